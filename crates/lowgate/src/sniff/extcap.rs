//! As a capture interface of Wireshark: it calls the programs in its extcap folders with these arguments
//! (extcap(4)). A script of two lines stands there for us.

use super::defaults;
use crate::daemon::commands::Where;
use clap::Args;
use lowgate_sim::capture::LINKTYPE_TAP;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of the script, and of the interface.
const NAME: &str = "lowgate";

/// What Wireshark says, and how it is told of us.
#[derive(Clone, Debug, Args)]
pub(super) struct Extcap {
    /// Makes Wireshark know this as a capture interface; the folder is in its Help, About, Folders
    #[arg(long, value_name = "DIR", exclusive = true)]
    install_extcap: Option<PathBuf>,
    #[arg(long, hide = true)]
    extcap_interfaces: bool,
    #[arg(long, hide = true)]
    extcap_interface: Option<String>,
    #[arg(long, hide = true)]
    extcap_dlts: bool,
    #[arg(long, hide = true)]
    extcap_config: bool,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "")]
    extcap_version: Option<String>,
    #[arg(long, hide = true)]
    extcap_capture_filter: Option<String>,
    #[arg(long, hide = true, requires = "fifo")]
    capture: bool,
    #[arg(long, hide = true, value_name = "FILE", requires = "capture")]
    pub(super) fifo: Option<PathBuf>,
}

impl Extcap {
    /// Something else than a capture.
    pub(super) fn asked(&self) -> Option<Asked<'_>> {
        if let Some(folder) = &self.install_extcap {
            return Some(Asked::Install(folder));
        }
        let filtered = self.extcap_capture_filter.as_ref().is_some_and(|text| !text.is_empty());
        let questions = [
            (self.extcap_interfaces, Asked::Interfaces),
            (self.extcap_dlts, Asked::LinkTypes),
            (self.extcap_config, Asked::Arguments),
            (self.capture && filtered, Asked::FilteredCapture),
            (filtered, Asked::Filter),
        ];
        questions.into_iter().find(|(asked, _)| *asked).map(|(_, question)| question)
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    Install(&'a Path),
    Interfaces,
    LinkTypes,
    Arguments,
    /// Whether a capture filter is one.
    Filter,
    FilteredCapture,
}

const NO_FILTERS: &str = "capture filters do not know 802.15.4; use a display filter";

/// Answers in extcap's words.
pub(super) fn answer(place: &Where, asked: Asked<'_>) -> Result<(), String> {
    let lines = match asked {
        Asked::Install(folder) => return install(folder),
        Asked::Interfaces => vec![
            format!(
                "extcap {{version={}}}{{display=Lowgate: what a radio co-processor hears}}",
                env!("CARGO_PKG_VERSION")
            ),
            format!("interface {{value={NAME}}}{{display=802.15.4 radio co-processor}}"),
        ],
        Asked::LinkTypes => vec![format!(
            "dlt {{number={LINKTYPE_TAP}}}{{name=IEEE802_15_4_TAP}}{{display=IEEE 802.15.4 with TAP}}"
        )],
        Asked::Arguments => {
            let radio = defaults(place)?.radio;
            vec![
                format!(
                    "arg {{number=0}}{{call=--channel}}{{display=Channel}}{{type=integer}}{{range=11,26}}\
                     {{default={}}}{{tooltip=11 to 26}}",
                    radio.channel
                ),
                format!(
                    "arg {{number=1}}{{call=--radio}}{{display=Serial line}}{{type=string}}{{default={}}}\
                     {{tooltip=Of a co-processor that no daemon uses}}",
                    radio.url
                ),
            ]
        }
        // Wireshark takes any answer for the reason why a filter is none.
        Asked::Filter => vec![NO_FILTERS.into()],
        Asked::FilteredCapture => return Err(NO_FILTERS.into()),
    };
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// Writes the script; whatever stands in its place stays.
fn install(folder: &Path) -> Result<(), String> {
    let path = folder.join(NAME);
    let written = std::env::current_exe().and_then(|program| write(&path, &program));
    written.map_err(|fault| format!("{}: not written: {fault}", path.display()))?;
    println!("{}: written; Wireshark shows the interface after its next start", path.display());
    Ok(())
}

fn write(path: &Path, program: &Path) -> io::Result<()> {
    let program = program.to_str().ok_or_else(|| io::Error::other("our own path is not UTF-8"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path)?;
    writeln!(file, "#!/bin/sh\nexec {} sniff \"$@\"", quoted(program))
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_everything_in_it_is_one_word() {
        let path = "/opt/it's $HOME/lowgate";
        let said = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(path))])
            .output()
            .expect("a shell");
        assert_eq!(String::from_utf8_lossy(&said.stdout), path);
    }
}
