//! The first words with the co-processor, before anything is changed: what is at the end of the line
//! must be one that the daemon can use. Later ones are the business of whoever supervises it.
//!
//! **Invariant:** nothing is changed but the co-processor, which is reset.

use lowgate_linux::{Exchanged, Serial, SerialUrl};
use lowgate_router::co_processor::{
    CoProcessor, CoProcessorEvent, CoProcessorInput, CoProcessorOutput, Fault, Incompatibility,
};
use lowgate_units::Instant;
use std::time::Duration;
use tokio::time::sleep;

/// Whoever has said nothing sensible by then is no co-processor. Boards that restart when their port
/// is opened take two seconds.
const GREETING_MAX: Duration = Duration::from_secs(5);
const READ_OCTETS_MAX: usize = 1024;

/// What is known so far of who is there.
#[derive(Default)]
struct Impression {
    octets: usize,
    fault: Option<Fault>,
    incompatible: Option<Incompatibility>,
}

/// Waits until the co-processor said what it is.
///
/// # Errors
/// One line, with the cause and the remedy.
pub(super) async fn greet(url: &SerialUrl, serial: &mut Serial) -> Result<(), String> {
    let started = std::time::Instant::now();
    let now = || Instant::ZERO + started.elapsed();
    let mut machine = CoProcessor::new(now());
    let mut impression = Impression::default();
    let (mut outgoing, mut octets) = (Vec::new(), [0; READ_OCTETS_MAX]);
    machine.handle(now(), CoProcessorInput::Opened);
    while started.elapsed() < GREETING_MAX {
        let until = match machine.poll(now()) {
            CoProcessorOutput::Octets(octets) => {
                outgoing.extend(octets);
                continue;
            }
            CoProcessorOutput::Told(CoProcessorEvent::Identified { .. }) => return Ok(()),
            CoProcessorOutput::Told(event) => {
                // The first time its words may have been damaged.
                if impression.confirms(&event) {
                    break;
                }
                continue;
            }
            CoProcessorOutput::Reopen => {
                machine.handle(now(), CoProcessorInput::Opened);
                continue;
            }
            CoProcessorOutput::Event(_) => continue, // it has no configuration: there are none
            CoProcessorOutput::Wait { until } => until,
        };
        tokio::select! {
            () = sleep(until.since(now()).min(GREETING_MAX)) => {}
            exchanged = serial.exchange(&outgoing, &mut octets) => match exchanged {
                Ok(Exchanged::Wrote(len)) => drop(outgoing.drain(..len)),
                Ok(Exchanged::Read(len)) => {
                    impression.octets += len;
                    machine.handle(now(), CoProcessorInput::Octets(&octets[..len]));
                }
                Err(fault) => {
                    return Err(format!("{url}: {fault}; is the co-processor plugged in firmly?"));
                }
            },
        }
    }
    Err(format!("{url}: {}", impression.refusal()))
}

impl Impression {
    /// Whether that is the second time that it is found of no use.
    fn confirms(&mut self, event: &CoProcessorEvent) -> bool {
        match event {
            CoProcessorEvent::Incompatible(what) => self.incompatible.replace(*what) == Some(*what),
            CoProcessorEvent::Lost(fault) => {
                self.fault = Some(*fault);
                false
            }
            _ => false,
        }
    }

    fn refusal(&self) -> String {
        if let Some(what) = self.incompatible {
            return format!("this co-processor cannot be used: {what}");
        }
        let fault = self.fault.map_or(String::new(), |fault| format!(": {fault}"));
        match self.octets {
            0 => format!(
                "nothing answers there{fault}; is that the co-processor's device, with ot-rcp \
                 firmware, and does baud= fit it?"
            ),
            octets => format!(
                "what is there is no radio co-processor{fault}, though {octets} octets came; give \
                 the co-processor's device, and its speed as baud="
            ),
        }
    }
}
