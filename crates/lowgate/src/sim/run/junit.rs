//! `--junit`: a test report as CI servers take it, a suite with a case for each seed.
//!
//! **Invariant:** well-formed XML 1.0 whatever stands in names and messages.

use super::pool::Ended;
use super::tell::Teller;
use crate::report::escape::text as escaped;
use std::time::Duration;

/// The report. Times are of the machine, for that is what such a report is asked.
pub(super) fn emit(teller: &Teller<'_>, all: &[Ended]) -> String {
    let name = escaped(&teller.read.scenario.name);
    let bugs = all.iter().filter(|ended| ended.outcome.is_err()).count();
    let failures = all.iter().filter(|ended| !ended.is_good()).count() - bugs;
    let took = secs(all.iter().map(|ended| ended.took).sum());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{name}\" \
         tests=\"{}\" failures=\"{failures}\" errors=\"{bugs}\" time=\"{took}\">\n",
        all.len()
    );
    for ended in all {
        let (seed, took) = (ended.seed, secs(ended.took));
        text += &format!("    <testcase classname=\"{name}\" name=\"seed {seed}\" time=\"{took}\"");
        if ended.is_good() {
            text += "/>\n";
            continue;
        }
        let kind = if ended.outcome.is_err() { "error" } else { "failure" };
        let wrong = teller.wrong(ended);
        let first = escaped(wrong.first().map_or("", String::as_str));
        let body = format!("{}\nagain: {}", wrong.join("\n"), teller.again(seed));
        let body = escaped(&body);
        text += &format!(">\n      <{kind} message=\"{first}\">{body}</{kind}>\n    </testcase>\n");
    }
    text + "  </testsuite>\n</testsuites>\n"
}

fn secs(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}
