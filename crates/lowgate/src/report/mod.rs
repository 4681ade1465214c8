//! The page a run leaves behind: one HTML file that needs nothing else.
//!
//! All of it is there without scripts, at the end of the run; the script only moves the time.
//! **Invariant:** no request leaves the page, and no text of a user becomes markup or code.

pub(crate) mod escape;
mod figures;
mod join;
mod model;
mod plan;
#[cfg(test)]
mod tests;

pub use model::{
    Attempt, Change, Check, Delivery, Device, Event, Figure, Floor, GroupCommand, Join, Kind, Link,
    Message, Octets, Report, Room, State,
};

use escape::script_data;
pub(crate) use escape::text;
use serde::Serialize;

/// Even if a text got through [`escape`], the browser would fetch nothing and send nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'";

/// The page of `report`.
///
/// An index that names no device, floor or party leaves its mark out; nothing panics.
pub fn render(report: &Report) -> String {
    let sections = [
        figures::summary(report),
        plan::section(report),
        join::section(report),
        figures::group_command(report),
        figures::attempts(report),
    ]
    .concat();
    let held = report.checks.iter().filter(|check| check.held).count();
    let data = script_data(&Replay::of(report));
    let script = include_str!("page.js");
    let page = Page {
        title: &report.building,
        verdict: verdict(held, report.checks.len()),
        style: "",
        sections,
        footer: footer(report),
        scripts: format!(
            "<script type=\"application/json\" id=\"data\">{data}</script>\n\
             <script>\n{script}</script>\n"
        ),
    };
    page.render()
}

/// What is on every page of ours, and what is not.
pub(crate) struct Page<'a> {
    /// As people write it.
    pub(crate) title: &'a str,
    /// Markup beside the title, of [`verdict`].
    pub(crate) verdict: String,
    /// On top of the style that all pages have.
    pub(crate) style: &'a str,
    /// Markup.
    pub(crate) sections: String,
    /// Markup.
    pub(crate) footer: String,
    /// Markup of the script elements.
    pub(crate) scripts: String,
}

impl Page<'_> {
    /// The file's text.
    pub(crate) fn render(&self) -> String {
        let Self { verdict, sections, footer, scripts, .. } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title} – Lowgate</title>\n\
             <style>\n{common}{style}</style>\n</head>\n<body>\n<header class=\"top\">\n<div>\n\
             <p class=\"brand\">Lowgate</p>\n<h1>{title}</h1>\n</div>\n{verdict}\n</header>\n\
             <main>\n{sections}</main>\n{footer}{scripts}</body>\n</html>\n",
            title = text(self.title),
            common = include_str!("page.css"),
            style = self.style,
        )
    }
}

/// How many checks held, of all.
pub(crate) fn verdict(held: usize, all: usize) -> String {
    match (held, all) {
        (_, 0) => String::new(),
        _ if held == all => format!("<p class=\"verdict good\">✓ All {all} checks held</p>"),
        _ => format!("<p class=\"verdict bad\">✗ {} of {all} checks failed</p>", all - held),
    }
}

fn footer(report: &Report) -> String {
    format!(
        "<footer>\n<p>Seed <b>{}</b>. The same seed repeats this run octet by octet:</p>\n\
         <pre tabindex=\"0\"><code>{}</code></pre>\n\
         <p>All times are virtual. The simulator counts every octet on the air.</p>\n</footer>\n",
        report.seed,
        text(&report.command_line)
    )
}

/// Microseconds as seconds.
fn seconds(us: u64) -> String {
    format!("{:.2} s", us as f64 / 1e6)
}

/// Microseconds as milliseconds.
fn milliseconds(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1e3)
}

/// A device by name, or what stands for one that is not there.
fn name(report: &Report, device: usize) -> String {
    report.devices.get(device).map_or_else(|| "?".into(), |device| text(&device.name))
}

/// What the script needs to move the time.
#[derive(Serialize)]
struct Replay<'a> {
    end_us: u64,
    names: Vec<&'a str>,
    /// Floor, x and y on the plan.
    places: Vec<(usize, f64, f64)>,
    /// Of the states, as [`State`] is written.
    words: Vec<(State, &'static str)>,
    events: &'a [Event],
}

impl<'a> Replay<'a> {
    fn of(report: &'a Report) -> Self {
        let scale = plan::Scale::of(report);
        Self {
            end_us: report.end_us,
            names: report.devices.iter().map(|device| device.name.as_str()).collect(),
            places: report.devices.iter().map(|device| scale.place(device)).collect(),
            words: plan::STATES.to_vec(),
            events: &report.events,
        }
    }
}
