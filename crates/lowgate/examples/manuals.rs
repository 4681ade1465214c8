//! What a package brings along besides the program: manual pages and completions, written into one
//! folder. `cargo run -p lowgate --example manuals -- DIR`
//!
//! **Invariant:** made of the command line's definition and of the template that `lowgate init` writes;
//! nothing is told here that they do not tell.

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use lowgate::cli;
use lowgate::daemon::config::TEMPLATE;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const VERSION: &str = concat!("lowgate ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    let [dir] = &std::env::args_os().skip(1).map(PathBuf::from).collect::<Vec<_>>()[..] else {
        eprintln!("one argument is needed: the folder to write into");
        return ExitCode::from(2);
    };
    match write(dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{}: not written: {fault}", dir.display());
            ExitCode::from(2)
        }
    }
}

fn write(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut command = cli::definition().disable_help_subcommand(true);
    // Gives each subcommand its whole name.
    command.build();
    pages(&command, dir)?;
    fs::write(dir.join("lowgate.toml.5"), configuration())?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut cli::definition(), "lowgate", dir)?;
    }
    Ok(())
}

/// A page for the command and for each below it: lowgate(1), lowgate-device(1), lowgate-device-import(1).
fn pages(command: &clap::Command, dir: &Path) -> io::Result<()> {
    Man::new(command.clone()).source(VERSION).generate_to(dir)?;
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .try_for_each(|below| pages(below, dir))
}

/// lowgate.toml(5): a section for each table of the template, a paragraph for each key, with the
/// comment above it as it stands.
fn configuration() -> String {
    let mut page = Roff::new();
    page.control("TH", ["lowgate.toml", "5", "", VERSION, ""]);
    page.control("SH", ["NAME"]);
    page.text([roman("lowgate.toml - configuration of the Lowgate daemon")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "The daemon and its commands read /etc/lowgate/lowgate.toml unless --config names another \
         file. It is TOML; a key that is not listed here is refused. lowgate-init(1) writes one with \
         the values below.",
    )]);
    let mut comment = Vec::new();
    for line in TEMPLATE.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
        } else if line.starts_with('[') {
            page.control("SH", [line]);
        } else if line.contains('=') {
            page.control("TP", []);
            page.text([bold(line)]);
            page.control("nf", []);
            for text in comment.drain(..) {
                page.text([roman(text)]);
            }
            page.control("fi", []);
        } else {
            // What stands before an empty line is about the file and not about a key.
            comment.clear();
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("lowgate"), roman("(1), "), bold("lowgate-init"), roman("(1)")]);
    page.render()
}
