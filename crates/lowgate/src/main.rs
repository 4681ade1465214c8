//! The command line of Lowgate.

use clap::{Parser, Subcommand};
use lowgate::demo;
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command_line: Vec<String> = std::env::args().skip(1).collect();
    let command_line = format!("lowgate {}", command_line.join(" "));
    match arguments.command {
        Command::Demo(options) => demo::run(&options, &command_line, &mut std::io::stdout().lock()),
    }
}
