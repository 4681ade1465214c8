//! What our host does about a line of a transcript.

use super::transcript::{hex, to_hex};
use lowgate_mac::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxToken};
use lowgate_router::co_processor::{CoProcessor, CoProcessorInput, CoProcessorOutput};
use lowgate_units::{Channel, Duration, Instant, PanId, ShortAddr};

/// More outputs than that at one instant are a spin.
const OUTPUTS_AT_ONCE_MAX: usize = 100;

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
