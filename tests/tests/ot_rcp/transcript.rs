//! A written exchange between a host and a co-processor: what happened to the one of the two that is ours
//! and when, and what it did then. Each line of the file is an input after its time in seconds, or, without a
//! time, an output of the input above it. With our host:
//!
//! ```text
//! 0.000130 < 7e80060070ee747e                 octets from the co-processor
//!          told co-processor: started afresh   a word for the log
//!          > 7e810201...7e                     octets for it
//! ```
//!
//! With our co-processor, whose host and whose radio somebody else is:
//!
//! ```text
//! 0.000130 host 7e800102eaf07e                 octets from the host
//! 0.004020 radio 8200000000000001              a message from the radio, `lowgate_rcp::air`
//!          host 80060072                       a frame for the host
//!          radio 010bffffffff...               a message for the radio
//! ```

use std::fmt::Write;

/// An input and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at_us: u64,
    pub(crate) input: String,
    pub(crate) outputs: Vec<String>,
}

/// The steps of a file.
pub(crate) fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(output) = line.strip_prefix(' ') {
            let step = steps.last_mut().expect("an output has an input");
            step.outputs.push(output.trim_start().to_owned());
            continue;
        }
        let (at, input) = line.split_once(' ').expect("a time and an input");
        let (seconds, micros) = at.split_once('.').expect("seconds with six places");
        let number = |digits: &str| digits.parse::<u64>().expect("digits");
        let at_us = number(seconds) * 1_000_000 + number(micros);
        steps.push(Step { at_us, input: input.to_owned(), outputs: Vec::new() });
    }
    steps
}

/// The file of these steps, under a head of comment lines.
pub(crate) fn emit(head: &str, steps: &[Step]) -> String {
    let mut text: String =
        head.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    for step in steps {
        let (seconds, micros) = (step.at_us / 1_000_000, step.at_us % 1_000_000);
        writeln!(text, "{seconds}.{micros:06} {}", step.input).expect("to a string");
        for output in &step.outputs {
            writeln!(text, "         {output}").expect("to a string");
        }
    }
    text
}

pub(crate) fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half an octet: {text}");
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(octet).collect()
}
