//! A written exchange between our host and a co-processor: what happened to the host and when, and what it
//! did then. Each line of the file is an input after its time in seconds, or, without a time, an output of
//! the input above it.
//!
//! ```text
//! 0.000130 < 7e80060070ee747e                 octets from the co-processor
//!          told co-processor: started afresh   a word for the log
//!          > 7e810201...7e                     octets for it
//! ```

use lowgate_mac::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxToken};
use lowgate_router::co_processor::{CoProcessor, CoProcessorInput, CoProcessorOutput};
use lowgate_units::{Channel, Duration, Instant, PanId, ShortAddr};
use std::fmt::Write;

/// More outputs than that at one instant are a spin.
const OUTPUTS_AT_ONCE_MAX: usize = 100;

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

/// What the host does about an input, and when it wants to be woken.
pub(crate) fn perform(host: &mut CoProcessor, at_us: u64, input: &str) -> (Vec<String>, Instant) {
    let now = Instant::ZERO + Duration::from_micros(at_us);
    let words: Vec<&str> = input.split(' ').collect();
    match words[..] {
        ["open"] => host.handle(now, CoProcessorInput::Opened),
        ["wake"] => {}
        // Somebody else's octets on the same line: what is answered is none of our questions.
        ["say", _] => {}
        ["<", octets] => host.handle(now, CoProcessorInput::Octets(&hex(octets))),
        ["configure", channel, pan, short, eui64] => {
            let number = |text| u16::from_str_radix(text, 16).expect("four digits");
            let config = RadioConfig {
                channel: Channel::new(channel.parse().expect("a number")).expect("in the band"),
                pan_id: PanId::new(number(pan)),
                short: ShortAddr::new(number(short)),
                eui64: eui64.parse().expect("an EUI-64"),
                promiscuous: false,
            };
            host.handle(now, CoProcessorInput::Command(RadioCommand::Configure(config)));
        }
        ["transmit", token, psdu] => {
            let token = TxToken(token.parse().expect("a number"));
            let psdu = Psdu::from_slice(&hex(psdu)).expect("a PSDU");
            host.handle(now, CoProcessorInput::Command(RadioCommand::Transmit { token, psdu }));
        }
        _ => panic!("no input: {input}"),
    }
    let mut outputs = Vec::new();
    loop {
        assert!(outputs.len() < OUTPUTS_AT_ONCE_MAX, "the host spins after {input}: {outputs:?}");
        outputs.push(match host.poll(now) {
            CoProcessorOutput::Wait { until } => return (outputs, until),
            CoProcessorOutput::Octets(octets) => format!("> {}", to_hex(&octets)),
            CoProcessorOutput::Told(event) => format!("told {event}"),
            CoProcessorOutput::Reopen => "reopen".to_owned(),
            CoProcessorOutput::Event(RadioEvent::Received { psdu, rssi, lqi }) => {
                format!("received {} dBm, quality {}: {}", rssi.0, lqi.0, to_hex(&psdu))
            }
            CoProcessorOutput::Event(RadioEvent::Transmitted { token, status, attempts }) => {
                format!("transmitted {}: {status:?}, attempts {attempts}", token.0)
            }
        });
    }
}

pub(crate) fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half an octet: {text}");
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two digits");
    (0..text.len()).step_by(2).map(octet).collect()
}
