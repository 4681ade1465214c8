//! `lowgate device add`: one device, without a file of its own.
//!
//! **Invariant:** its key comes from a file or from standard input, never by the command line, which
//! every user of the machine can read.

use super::commands::{Where, failed, say};
use super::control::Ask;
use clap::Args;
use lowgate_manager::PSK_OCTETS_MAX;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// More than the longest key's digits with blanks around them.
const PSK_FILE_OCTETS_MAX: u64 = 4 * PSK_OCTETS_MAX as u64;

/// The device.
#[derive(Clone, Debug, Args)]
pub struct Add {
    /// Its EUI-64
    eui64: String,
    /// Where its key is, in hexadecimal digits: a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    psk_file: PathBuf,
    /// What it is
    #[arg(long, value_parser = ["light", "switch", "sensor"])]
    kind: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// Where it hangs
    #[arg(long, default_value = "")]
    room: String,
    /// The groups that it may be in, as in an inventory: "1:listener;7:both"
    #[arg(long, default_value = "")]
    groups: String,
}

/// `lowgate device add`
pub(super) fn add(place: &Where, add: Add) -> ExitCode {
    let psk = match read_key(&add.psk_file) {
        Ok(psk) => psk.to_string(),
        Err(fault) => return failed(&fault),
    };
    let Add { eui64, kind, name, room, groups, .. } = add;
    let ask = Ask::DeviceAdd { eui64, psk, kind, name, room, groups };
    say(place, &ask, |_| vec!["added; it may join while the window is open".into()])
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    let read = match path.to_str() {
        Some("-") => stdin().take(PSK_FILE_OCTETS_MAX).read_to_string(&mut text),
        _ => File::open(path)
            .and_then(|file| file.take(PSK_FILE_OCTETS_MAX).read_to_string(&mut text)),
    };
    match read {
        Ok(_) => Ok(text),
        Err(fault) => Err(format!(
            "{}: the key cannot be read: {fault}; hexadecimal digits are wanted",
            path.display()
        )),
    }
}
