//! `lowgate rcp`: a radio co-processor, without a daemon.

pub(crate) mod dialog;
mod info;
mod selftest;

use crate::daemon::commands::{self, Shown, Where};
use clap::Subcommand;
use dialog::Dialog;
use info::Info;
use lowgate_linux::SerialUrl;
use std::process::ExitCode;

/// `lowgate rcp …`
#[derive(Clone, Debug, Subcommand)]
pub enum Rcp {
    /// What a co-processor says of itself; nothing is changed in it
    Info {
        /// Its serial line, or else the configuration's; like spinel+hdlc+uart:///dev/ttyACM0?baud=460800
        url: Option<String>,
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Tries all that `lowgate run` needs of a co-processor: a report to send in for new hardware. It sends
    /// frames on every channel
    Selftest {
        /// Its serial line, or else the configuration's; like spinel+hdlc+uart:///dev/ttyACM0?baud=460800
        url: Option<String>,
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Has a co-processor hand over to its bootloader, which takes new firmware
    Flash {
        /// Its serial line, or else the configuration's; like spinel+hdlc+uart:///dev/ttyACM0?baud=460800
        url: Option<String>,
    },
}

/// Exit code for what cannot be begun.
const UNUSABLE: u8 = 2;

/// Runs one of the commands.
pub fn run(place: &Where, rcp: &Rcp) -> ExitCode {
    let done = match rcp {
        Rcp::Info { url, shown } => info(place, url.as_deref(), *shown),
        Rcp::Selftest { url, shown } => selftest(place, url.as_deref(), *shown),
        Rcp::Flash { url } => flash(place, url.as_deref()),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("{fault}");
        ExitCode::from(UNUSABLE)
    })
}

/// The line that is meant: this one, or else the configuration's.
pub(crate) fn line(place: &Where, url: Option<&str>) -> Result<SerialUrl, String> {
    let url = match url {
        Some(url) => url.to_owned(),
        None => place.read()?.radio.url,
    };
    SerialUrl::parse(&url).map_err(|fault| fault.to_string())
}

fn info(place: &Where, url: Option<&str>, shown: Shown) -> Result<ExitCode, String> {
    let url = line(place, url)?;
    let info = commands::runtime()?.block_on(async {
        let mut dialog = Dialog::begin(&url).await?;
        Info::ask(&mut dialog).await.map_err(|trouble| format!("{url}: {trouble}"))
    })?;
    if shown.json {
        println!("{}", info.json());
    } else {
        info.lines().iter().for_each(|line| println!("{line}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn selftest(place: &Where, url: Option<&str>, shown: Shown) -> Result<ExitCode, String> {
    let url = line(place, url)?;
    let report = commands::runtime()?.block_on(selftest::perform(&url, shown))?;
    if shown.json {
        println!("{}", report.json(&url));
    }
    Ok(if report.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn flash(place: &Where, url: Option<&str>) -> Result<ExitCode, String> {
    let url = line(place, url)?;
    commands::runtime()?.block_on(async {
        let mut dialog = Dialog::begin(&url).await?;
        let info = Info::ask(&mut dialog).await.map_err(|trouble| format!("{url}: {trouble}"))?;
        if !info.has_bootloader() {
            return Err(format!(
                "{url}: {} has no bootloader that it enters by command; its reset button may do that",
                info.summary()
            ));
        }
        dialog.enter_bootloader().await.map_err(|trouble| format!("{url}: {trouble}"))
    })?;
    println!(
        "its bootloader has taken over, on a port of its own; firmware/README.md says how it is fed"
    );
    Ok(ExitCode::SUCCESS)
}
