//! `lowgate sim report`: the simulator against results that are known without it, and what it costs.

mod eviction;
mod keoh;
mod plot;
mod scale;

use crate::report::{Page, text, verdict};
use clap::Subcommand;
use eviction::Eviction;
use keoh::Keoh;
use lowgate_sim::medium::known::{Curve, Study, all};
use scale::Scale;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Decides all that chance decides; any other seed does as well.
const SEED: u64 = 1;

/// What may be looked at.
#[derive(Subcommand)]
pub enum Report {
    /// The radio model: frames lost to noise, CSMA-CA among contenders, hidden senders
    Radio {
        /// Write plots to this HTML file, which needs nothing else
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Network access over one hop as draft-keoh-lwig-dtls-iot-01 measured it, each figure beside the draft's; then a
    /// crowd; tables in Markdown
    Keoh {
        /// Runs at each loss
        #[arg(long, value_name = "N", default_value_t = 1000,
              value_parser = clap::value_parser!(u32).range(20..=100_000))]
        runs: u32,
        /// Devices that join all at once under each retransmission policy; 0 leaves the crowds out
        #[arg(long, value_name = "N", default_value_t = 200,
              value_parser = clap::value_parser!(u32).range(0..=1000))]
        crowd: u32,
        /// Write the figures to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// What it costs to shut members of a group out, through key trees and by unicast; a table in Markdown
    Eviction {
        /// Groups of up to so many members, 16 to 1000
        #[arg(long, value_name = "N", default_value_t = 1000,
              value_parser = clap::value_parser!(u32).range(16..=1000))]
        members_max: u32,
        /// Write the figures to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// What a campus costs by its size, everybody switched on at once; a table in Markdown
    Scale {
        /// Sizes up to so many devices, 25 to 10000
        #[arg(long, value_name = "N", default_value_t = 1000,
              value_parser = clap::value_parser!(u32).range(25..=10_000))]
        devices_max: u32,
        /// Write the figures to this file
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

/// Does the report; fails when something is further off than is accepted.
pub fn report(report: &Report, out: &mut impl Write) -> ExitCode {
    let done = match report {
        Report::Radio { out: file } => radio(file.as_deref(), out),
        Report::Keoh { runs, crowd, json } => access(*runs, *crowd, json.as_deref(), out),
        Report::Eviction { members_max, json } => eviction(*members_max, json.as_deref(), out),
        Report::Scale { devices_max, json } => scale(*devices_max, json.as_deref(), out),
    };
    match done {
        Ok(holds) => ExitCode::from(u8::from(!holds)),
        Err(fault) => {
            eprintln!("lowgate sim report: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Whether every study holds.
fn radio(file: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let studies = all(SEED);
    tell(&studies, out)?;
    if let Some(file) = file {
        write(file, &page(&studies))?;
    }
    Ok(studies.iter().all(Study::holds))
}

/// Whether every target is reached.
fn access(runs: u32, crowd: u32, json: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let (runs, crowd) = (runs as usize, crowd as usize);
    let keoh = Keoh::measure(runs, crowd, SEED, |told| eprintln!("{told}"));
    write!(out, "{keoh}")?;
    if let Some(file) = json {
        write(file, &(serde_json::to_string_pretty(&keoh)? + "\n"))?;
    }
    Ok(keoh.holds())
}

/// Whether who went is out, at the price that is allowed.
fn eviction(members_max: u32, json: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let eviction = Eviction::measure(members_max as usize, SEED, |told| eprintln!("{told}"));
    write!(out, "{eviction}")?;
    if let Some(file) = json {
        write(file, &(serde_json::to_string_pretty(&eviction)? + "\n"))?;
    }
    Ok(eviction.holds())
}

/// Whether everybody was in in time and nothing was found.
fn scale(devices_max: u32, json: Option<&Path>, out: &mut impl Write) -> io::Result<bool> {
    let scale = Scale::measure(devices_max as usize, SEED, |told| eprintln!("{told}"))?;
    write!(out, "{scale}")?;
    if let Some(file) = json {
        write(file, &(serde_json::to_string_pretty(&scale)? + "\n"))?;
    }
    Ok(scale.holds())
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    std::fs::write(file, text)
        .map_err(|fault| io::Error::new(fault.kind(), format!("{}: {fault}", file.display())))
}

fn tell(studies: &[Study], out: &mut impl Write) -> io::Result<()> {
    for study in studies {
        let sign = if study.holds() { "ok" } else { "FAILED" };
        writeln!(out, "{}: {}: {sign}", study.title, off(study))?;
        for curve in &study.curves {
            writeln!(out, "    {}: {:.4}{}", curve.name, curve.deviation(), share(study, curve))?;
        }
    }
    Ok(())
}

/// How far off a study is, and how far it may be.
fn off(study: &Study) -> String {
    let absolute =
        format!("off by at most {:.4}, accepted {}", study.deviation(), study.deviation_max);
    match (study.relative_deviation(), study.relative_deviation_max) {
        (Some(relative), Some(most)) => format!(
            "{absolute}; by at most {:.1} % of the value, accepted {} %",
            100.0 * relative,
            100.0 * most
        ),
        _ => absolute,
    }
}

/// How far off a curve is as a share of the known values, where that says something.
fn share(study: &Study, curve: &Curve) -> String {
    match study.relative_deviation_max {
        Some(_) => format!(", {:.1} % of the value", 100.0 * curve.relative_deviation()),
        None => String::new(),
    }
}

/// The whole page.
fn page(studies: &[Study]) -> String {
    let page = Page {
        title: "The radio model against known results",
        verdict: verdict(studies.iter().filter(|study| study.holds()).count(), studies.len()),
        style: include_str!("plot.css"),
        sections: studies.iter().map(section).collect(),
        footer: "<footer>\n<p>Lines are formulas, dots are simulated. Equal on every machine:</p>\n\
             <pre tabindex=\"0\"><code>lowgate sim report radio --out FILE</code></pre>\n</footer>\n"
            .into(),
        scripts: String::new(),
    };
    page.render()
}

fn section(study: &Study) -> String {
    let (class, sign) = if study.holds() { ("good", "✓") } else { ("bad", "✗") };
    let rows: String = study
        .curves
        .iter()
        .map(|curve| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{:.4}{}</td></tr>\n",
                text(&curve.name),
                curve.deviation(),
                share(study, curve)
            )
        })
        .collect();
    format!(
        "<section>\n<h2>{}</h2>\n<p>{}</p>\n<p><b>Known from:</b> {}.</p>\n\
         <p class=\"{class}\">{sign} Simulated {}.</p>\n\
         <div class=\"study\">\n{}<table>\n<thead><tr><th scope=\"col\">Curve</th>\
         <th scope=\"col\" class=\"n\">Largest deviation</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n</section>\n",
        text(study.title),
        text(study.setting),
        text(study.source),
        off(study),
        plot::plot(study),
    )
}

#[cfg(test)]
mod tests;
