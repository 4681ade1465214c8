//! The summary, the group command and the attempts that failed.

use super::{
    Attempt, Check, Delivery, Figure, GroupCommand, Report, milliseconds, name, seconds, text,
};

pub(super) fn summary(report: &Report) -> String {
    let figures: String = report.figures.iter().map(figure).collect();
    let checks: String = report.checks.iter().map(check).collect();
    let checks = if checks.is_empty() {
        String::new()
    } else {
        format!("<ul class=\"checks\">\n{checks}</ul>\n")
    };
    format!(
        "<section aria-labelledby=\"summary-title\">\n<h2 id=\"summary-title\">The run</h2>\n\
         <dl class=\"figures\">\n{figures}</dl>\n{checks}</section>\n"
    )
}

fn figure(figure: &Figure) -> String {
    format!(
        "<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n",
        text(&figure.label),
        text(&figure.value),
        text(&figure.note)
    )
}

fn check(check: &Check) -> String {
    let (class, sign) = if check.held { ("good", "✓") } else { ("bad", "✗ failed:") };
    format!(
        "<li class=\"{class}\"><b>{sign}</b> <span>{} <small>{}</small></span></li>\n",
        text(&check.what),
        text(&check.saw)
    )
}

pub(super) fn group_command(report: &Report) -> String {
    let Some(command) = &report.group_command else { return String::new() };
    let mut deliveries = command.deliveries.clone();
    // Who never heard it comes last.
    deliveries.sort_by_key(|delivery| delivery.latency_us.unwrap_or(u64::MAX));
    let heard: Vec<u64> = deliveries.iter().filter_map(|delivery| delivery.latency_us).collect();
    let slowest = heard.last().copied().unwrap_or(0);
    let bars: String = deliveries.iter().map(|delivery| bar(report, delivery, slowest)).collect();
    format!(
        "<section aria-labelledby=\"group-title\">\n<h2 id=\"group-title\">One command to a group</h2>\n\
         <p>{}</p>\n<ol class=\"bars\">\n{bars}</ol>\n</section>\n",
        group_words(report, command, &heard)
    )
}

fn group_words(report: &Report, command: &GroupCommand, heard: &[u64]) -> String {
    let mut words = format!(
        "<b>{}</b> sent <code>{}</code> to <b>{}</b> after {}. {} of {} members opened it",
        name(report, command.sender),
        text(&command.command),
        text(&command.group),
        seconds(command.at_us),
        heard.len(),
        command.deliveries.len()
    );
    if let (Some(half), Some(most), Some(all)) = (rank(heard, 50), rank(heard, 99), heard.last()) {
        words += &format!(
            ": half of them within {}, 99 % within {}, the last after {}",
            milliseconds(half),
            milliseconds(most),
            milliseconds(*all)
        );
    }
    words + "."
}

/// The nearest-rank percentile of an ascending list.
fn rank(ascending: &[u64], percent: usize) -> Option<u64> {
    let rank = (ascending.len() * percent).div_ceil(100);
    ascending.get(rank.checked_sub(1)?).copied()
}

fn bar(report: &Report, delivery: &Delivery, slowest: u64) -> String {
    let name = name(report, delivery.device);
    let hops = report.devices.get(delivery.device).and_then(|device| device.hops);
    let hops = hops.map_or_else(String::new, |hops| {
        format!(" <small>{hops} hop{}</small>", if hops == 1 { "" } else { "s" })
    });
    match delivery.latency_us {
        Some(latency) => {
            let width = latency as f64 / slowest.max(1) as f64 * 100.0;
            format!(
                "<li><span>{name}{hops}</span><span class=\"bar\"><i style=\"width:{width:.1}%\"></i>\
                 </span><span class=\"n\">{}</span></li>\n",
                milliseconds(latency)
            )
        }
        None => format!(
            "<li class=\"never\"><span>{name}{hops}</span><span class=\"bar\"></span>\
             <span class=\"n\">✗ never</span></li>\n"
        ),
    }
}

pub(super) fn attempts(report: &Report) -> String {
    if report.attempts.is_empty() {
        return String::new();
    }
    let cards: String = report.attempts.iter().map(attempt).collect();
    format!(
        "<section aria-labelledby=\"attempts-title\">\n<h2 id=\"attempts-title\">Who tried and what \
         they got</h2>\n<div class=\"attempts\">\n{cards}</div>\n</section>\n"
    )
}

fn attempt(attempt: &Attempt) -> String {
    let counts: String = attempt
        .counts
        .iter()
        .map(|(what, count)| {
            let zero = if *count == 0 { " class=\"zero\"" } else { "" };
            format!(
                "<tr{zero}><th scope=\"row\">{}</th><td class=\"n\">{count}</td></tr>",
                text(what)
            )
        })
        .collect();
    let counts = if counts.is_empty() {
        counts
    } else {
        format!("<table><tbody>{counts}</tbody></table>\n")
    };
    format!(
        "<article>\n<h3>{}</h3>\n<dl><dt>Tried</dt><dd>{} <small>from {}</small></dd>\
         <dt>Got</dt><dd><b>{}</b></dd><dt>Why</dt><dd>{}</dd></dl>\n{counts}</article>\n",
        text(&attempt.who),
        text(&attempt.tried),
        seconds(attempt.at_us),
        text(&attempt.got),
        text(&attempt.why)
    )
}
