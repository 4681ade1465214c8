//! The program `lowgate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lowgate::cli::main()
}
