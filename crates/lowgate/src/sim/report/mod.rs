//! `lowgate sim report`: the simulator against results that are known without it.

mod plot;

use crate::report::{Page, text, verdict};
use clap::Subcommand;
use lowgate_sim::medium::known::{Curve, Study, all};
use std::io::Write;
use std::path::PathBuf;
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
}

/// Does the report; fails when something is further off than is accepted.
pub fn report(report: &Report, out: &mut impl Write) -> ExitCode {
    let Report::Radio { out: file } = report;
    let studies = all(SEED);
    if let Err(fault) = tell(&studies, out) {
        eprintln!("stdout: {fault}");
        return ExitCode::from(2);
    }
    if let Some(file) = file
        && let Err(fault) = std::fs::write(file, page(&studies))
    {
        eprintln!("{}: {fault}", file.display());
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(!studies.iter().all(Study::holds)))
}

fn tell(studies: &[Study], out: &mut impl Write) -> std::io::Result<()> {
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
