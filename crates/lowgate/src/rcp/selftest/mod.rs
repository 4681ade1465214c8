//! `lowgate rcp selftest`: step by step, what the border router will want of a co-processor.
//!
//! **Invariant:** a step that could not be tried is never `ok`.

mod line;
mod radio;

use super::dialog::{Dialog, Trouble};
use super::info::Info;
use crate::daemon::commands::Shown;
use lowgate_linux::SerialUrl;
use lowgate_spinel::Status;
use serde_json::{Value, json};

/// What a step that went well tells.
struct Done {
    detail: String,
    figures: Value,
}

impl Done {
    fn new(detail: impl Into<String>, figures: Value) -> Self {
        Self { detail: detail.into(), figures }
    }
}

/// Why a step did not go well.
enum Unmet {
    /// What the border router needs is not so.
    Failed(String),
    /// The co-processor has no such thing, and need not.
    NotSupported(String),
}

impl From<Trouble> for Unmet {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble.to_string())
    }
}

impl Unmet {
    /// For what a co-processor may lack.
    fn optional(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(
                Status::PROP_NOT_FOUND
                | Status::UNIMPLEMENTED
                | Status::INVALID_COMMAND_FOR_PROP
                | Status::INVALID_COMMAND,
            ) => Self::NotSupported(trouble.to_string()),
            other => other.into(),
        }
    }
}

type Ended = Result<Done, Unmet>;

/// What came of it all.
pub(super) struct Report {
    shown: Shown,
    info: Value,
    steps: Vec<(&'static str, Ended)>,
}

impl Report {
    /// No step failed.
    pub(super) fn held(&self) -> bool {
        !self.steps.iter().any(|(_, ended)| matches!(ended, Err(Unmet::Failed(_))))
    }

    /// For programs.
    pub(super) fn json(&self, url: &SerialUrl) -> Value {
        let step = |(name, ended): &(&'static str, Ended)| {
            let (result, detail) = words(ended);
            let figures = ended.as_ref().map_or(&Value::Null, |done| &done.figures);
            json!({ "step": name, "result": result, "detail": detail, "figures": figures })
        };
        json!({
            "lowgate": env!("CARGO_PKG_VERSION"),
            "system": system(),
            "url": url.to_string(),
            "info": self.info,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
            "held": self.held(),
        })
    }

    fn note(&mut self, name: &'static str, ended: Ended) {
        if !self.shown.json {
            let (result, detail) = words(&ended);
            println!("{name:<16} {result}: {detail}");
        }
        self.steps.push((name, ended));
    }

    fn conclude(&self) {
        if !self.shown.json {
            let failed = |ended: &Ended| matches!(ended, Err(Unmet::Failed(_)));
            let failed = self.steps.iter().filter(|(_, ended)| failed(ended)).count();
            match failed {
                0 => println!("\nAll of it is as the border router needs it."),
                some => println!("\n{some} of {} steps failed.", self.steps.len()),
            }
        }
    }
}

fn words(ended: &Ended) -> (&'static str, &str) {
    match ended {
        Ok(done) => ("ok", &done.detail),
        Err(Unmet::Failed(why)) => ("failed", why),
        Err(Unmet::NotSupported(why)) => ("not supported", why),
    }
}

/// The kernel; its drivers make half of a serial line.
fn system() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {} {}", release.trim(), std::env::consts::ARCH)
}

/// Runs all steps, and tells people of each as it ends.
///
/// # Errors
/// One line, if it cannot be begun.
pub(super) async fn perform(url: &SerialUrl, shown: Shown) -> Result<Report, String> {
    let mut dialog = Dialog::begin(url).await?;
    let dialog = &mut dialog;
    let mut report = Report { shown, info: Value::Null, steps: Vec::new() };
    if !shown.json {
        println!("lowgate {} rcp selftest, {}, {url}\n", env!("CARGO_PKG_VERSION"), system());
    }
    report.note("reset", line::reset(dialog).await);
    let info = match Info::ask(dialog).await {
        Ok(info) => info,
        Err(trouble) => {
            report.note("identity", Err(trouble.into()));
            report.conclude();
            return Ok(report);
        }
    };
    report.info = info.json();
    report.note(
        "identity",
        match info.unfit() {
            None => Ok(Done::new(info.summary(), Value::Null)),
            Some(why) => Err(Unmet::Failed(format!("{}: {why}", info.summary()))),
        },
    );
    report.note("driver", line::driver(dialog).await);
    report.note("latency", line::latency(dialog).await);
    report.note("unknown property", line::unknown_property(dialog).await);
    report.note("noise", line::noise(dialog).await);
    report.note("throughput", line::throughput(dialog).await);
    report.note("settings", radio::settings(dialog, &info).await);
    report.note("energy", radio::energy(dialog, &info).await);
    report.note("transmission", radio::transmission(dialog, &info).await);
    report.note("acknowledgement", radio::acknowledgement(dialog, &info).await);
    report.note("reception", radio::reception(dialog, &info).await);
    report.note("reset after use", line::reset(dialog).await);
    report.conclude();
    Ok(report)
}
