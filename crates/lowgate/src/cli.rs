//! The command line of Lowgate: what may be said, and who is told.
//!
//! **Invariant:** [`definition`] is all there is; manual pages and completions are made of it, never by hand.

use crate::daemon::{claim, commands, keys, replay};
use crate::{decode, demo, rcp, sim, sniff};
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use std::io::Write;
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
    /// Simulated meshes
    Sim {
        #[command(subcommand)]
        command: Sim,
    },
    /// Writes a configuration in which every key is documented
    Init {
        /// Where to
        #[arg(default_value = crate::daemon::config::PATH)]
        file: PathBuf,
    },
    /// Border router and domain manager in one process
    Run {
        #[command(flatten)]
        place: commands::Where,
        #[command(flatten)]
        journaled: commands::Journaled,
    },
    /// A border router whose domain manager is elsewhere
    Router {
        #[command(flatten)]
        place: commands::Where,
        #[command(flatten)]
        journaled: commands::Journaled,
    },
    /// A domain manager whose border routers are elsewhere
    Manager {
        #[command(flatten)]
        place: commands::Where,
        #[command(flatten)]
        journaled: commands::Journaled,
    },
    /// Shows the claim code of this machine's border router, as text and as QR code
    Claim {
        #[command(flatten)]
        place: commands::Where,
    },
    /// The inventory
    Device {
        #[command(flatten)]
        place: commands::Where,
        #[command(subcommand)]
        device: commands::Device,
    },
    /// Groups of devices that take commands together
    Group {
        #[command(flatten)]
        place: commands::Where,
        #[command(subcommand)]
        group: commands::Group,
    },
    /// When new devices may join
    Window {
        #[command(flatten)]
        place: commands::Where,
        #[command(subcommand)]
        window: commands::Window,
    },
    /// The keys of the network and of its groups: where they stand, and new ones
    Keys {
        #[command(flatten)]
        place: commands::Where,
        #[command(subcommand)]
        keys: keys::Keys,
    },
    /// The mesh as the border router sees it
    Mesh {
        #[command(flatten)]
        place: commands::Where,
        #[command(subcommand)]
        mesh: commands::Mesh,
    },
    /// The domain in a few numbers
    Status {
        #[command(flatten)]
        place: commands::Where,
        #[command(flatten)]
        shown: commands::Shown,
    },
    /// What happens, a line each, until interrupted
    Events {
        #[command(flatten)]
        place: commands::Where,
    },
    /// A radio co-processor, asked without a daemon
    Rcp {
        #[command(flatten)]
        place: commands::Where,
        #[command(subcommand)]
        rcp: rcp::Rcp,
    },
    /// A capture of all that a co-processor hears on a channel, for Wireshark
    Sniff {
        #[command(flatten)]
        place: commands::Where,
        #[command(flatten)]
        options: Box<sniff::Options>,
    },
    /// Writes what a shell needs to complete this command line
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Subcommand)]
enum Sim {
    /// A radio co-processor on a pty, with a mesh of simulated devices, in real time
    Serve(sim::ServeOptions),
    /// Many buildings of which chance decides all, what goes wrong too; in the end everybody must be back
    Swarm(sim::SwarmOptions),
    /// Takes from a run of the swarm that fails all without which it still does
    Minimize(sim::MinimizeOptions),
    /// A scenario from a file, with one seed or many, and what came of it
    Run(sim::RunOptions),
    /// Does again what a daemon's journal holds, and compares what comes of it
    Replay(replay::Options),
    /// What the simulator makes of things that are known without it
    Report {
        #[command(subcommand)]
        report: sim::Report,
    },
}

/// The whole command line, for programs that describe it.
#[must_use]
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// Does what the process was asked on its command line.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command_line: Vec<String> = std::env::args().skip(1).collect();
    let command_line = format!("lowgate {}", command_line.join(" "));
    match arguments.command {
        Command::Demo(options) => demo::run(&options, &command_line, &mut std::io::stdout().lock()),
        Command::Decode { file, keys } => show(&file, keys.as_deref()),
        Command::Sim { command: Sim::Serve(options) } => {
            sim::serve(&options, &mut std::io::stdout().lock())
        }
        Command::Sim { command: Sim::Swarm(options) } => {
            sim::swarm(&options, &mut std::io::stdout().lock())
        }
        Command::Sim { command: Sim::Minimize(options) } => {
            sim::minimize(&options, &mut std::io::stdout().lock())
        }
        Command::Sim { command: Sim::Run(options) } => {
            sim::run(&options, &command_line, &mut std::io::stdout().lock())
        }
        Command::Sim { command: Sim::Replay(options) } => {
            replay::replay(&options, &mut std::io::stdout().lock())
        }
        Command::Sim { command: Sim::Report { report } } => {
            sim::report(&report, &mut std::io::stdout().lock())
        }
        Command::Init { file } => commands::init(&file),
        Command::Run { place, journaled } => commands::run(&place, &journaled),
        Command::Router { place, journaled } => commands::router(&place, &journaled),
        Command::Manager { place, journaled } => commands::manager(&place, &journaled),
        Command::Claim { place } => claim::show(&place),
        Command::Device { place, device } => commands::device(&place, device),
        Command::Group { place, group } => commands::group(&place, group),
        Command::Window { place, window } => commands::window(&place, &window),
        Command::Keys { place, keys } => keys::keys(&place, &keys),
        Command::Mesh { place, mesh } => commands::mesh(&place, &mesh),
        Command::Status { place, shown } => commands::status(&place, shown),
        Command::Events { place } => commands::events(&place),
        Command::Rcp { place, rcp } => rcp::run(&place, &rcp),
        Command::Sniff { place, options } => sniff::run(&place, &options),
        Command::Completions { shell } => completions(shell),
    }
}

fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "lowgate", &mut script);
    // A shell that reads half of it and goes has what it wanted.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::SUCCESS
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn the_definition_contradicts_itself_nowhere() {
        definition().debug_assert();
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut definition(), "lowgate", &mut script);
            let script = String::from_utf8(script).expect("text");
            for command in definition().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
