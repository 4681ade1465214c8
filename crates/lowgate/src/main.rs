//! The command line of Lowgate.

use clap::{Parser, Subcommand};
use lowgate::{decode, demo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A 6LoWPAN border router and domain manager for buildings
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Brings up a secured building in virtual time, and shows what attackers get from it
    Demo(demo::Options),
    /// Shows a capture layer by layer, with what other programs cannot know: envelopes of relays,
    /// key messages, records of groups
    Decode {
        /// A pcapng file
        file: PathBuf,
        /// The folder that `--keys` wrote
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command_line: Vec<String> = std::env::args().skip(1).collect();
    let command_line = format!("lowgate {}", command_line.join(" "));
    match arguments.command {
        Command::Demo(options) => demo::run(&options, &command_line, &mut std::io::stdout().lock()),
        Command::Decode { file, keys } => show(&file, keys.as_deref()),
    }
}

fn show(file: &Path, keys: Option<&Path>) -> ExitCode {
    match decode::run(file, keys, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            ExitCode::from(2)
        }
    }
}
