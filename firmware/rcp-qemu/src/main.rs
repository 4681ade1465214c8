//! The radio co-processor on an emulated machine: the host on the first serial line, somebody who plays
//! the radio on the second one (`lowgate_rcp::air`).
//!
//! **Invariant:** it decides nothing that the core does not. While an answer waits for the line, input
//! waits too, in its ring and behind it: a host that does not read cannot fill the memory.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use lowgate_lm3s6965::{Cause, Machine};
use lowgate_rcp::air::{self, AirDecoder, ToRadio};
use lowgate_rcp::{RadioReach, Rcp, RcpConfig, RcpInput, RcpOutput, SERIAL_OCTETS_MAX};
use lowgate_spinel::Status;
use lowgate_units::Instant;

/// For people, in the manner of OpenThread's: who, which version, on what.
const VERSION: &str = concat!("LOWGATE/", env!("CARGO_PKG_VERSION"), "; QEMU-LM3S6965");
/// Taken out of the host's line at a time. Of the shortest commands, five octets each, fewer fit in than
/// the core keeps answers.
const CHUNK_OCTETS: usize = 64;

/// Octets on their way out; the line took those before `sent`.
struct Outgoing<const N: usize> {
    octets: heapless::Vec<u8, N>,
    sent: usize,
}

impl<const N: usize> Outgoing<N> {
    const fn new() -> Self {
        Self { octets: heapless::Vec::new(), sent: 0 }
    }

    fn begin(&mut self, octets: heapless::Vec<u8, N>) {
        (self.octets, self.sent) = (octets, 0);
    }

    fn rest(&self) -> &[u8] {
        self.octets.get(self.sent..).unwrap_or_default()
    }
}

/// The program.
struct Program<'a> {
    machine: Machine,
    core: &'a mut Rcp,
    to_host: Outgoing<SERIAL_OCTETS_MAX>,
    to_radio: Outgoing<{ air::LINE_OCTETS_MAX }>,
    from_radio: AirDecoder,
}

impl Program<'_> {
    /// Everything that can be done now; whether there was anything.
    fn turn(&mut self) -> bool {
        let host = self.machine.first.write(self.to_host.rest());
        self.to_host.sent += host;
        let radio = self.machine.second.write(self.to_radio.rest());
        self.to_radio.sent += radio;
        if !self.to_host.rest().is_empty() || !self.to_radio.rest().is_empty() {
            return true;
        }
        // Input for a core that has nothing left to say, from both sides: neither is starved, and what
        // comes of it finds room.
        self.poll() || (self.hear_radio() | self.hear_host()) || host + radio > 0
    }

    /// One output of the core, if it has any.
    fn poll(&mut self) -> bool {
        let now = self.machine.clock.now();
        match self.core.poll(now) {
            RcpOutput::Serial(octets) => self.to_host.begin(octets),
            RcpOutput::Radio(command) => self.to_radio.begin(ToRadio::Command(command).emit()),
            RcpOutput::Demand(demand) => self.to_radio.begin(ToRadio::of(now, demand).emit()),
            RcpOutput::EnterBootloader => unreachable!("it said that it has none"),
            // The clock ticks more often than the core's patience with its radio needs.
            RcpOutput::Wait { .. } => return false,
        }
        true
    }

    fn hear_host(&mut self) -> bool {
        let mut chunk = [0; CHUNK_OCTETS];
        let len = self.machine.first.read(&mut chunk);
        let octets = chunk.get(..len).unwrap_or_default();
        if !octets.is_empty() {
            self.core.handle(self.machine.clock.now(), RcpInput::Serial(octets));
        }
        !octets.is_empty()
    }

    /// At most one message, so that the core can pass it on before the next.
    fn hear_radio(&mut self) -> bool {
        let mut octet = [0];
        let mut heard = false;
        while self.machine.second.read(&mut octet) == 1 {
            heard = true;
            let Some(Ok(message)) = octet.first().and_then(|octet| self.from_radio.push(*octet))
            else {
                continue; // within a message, or a damaged one
            };
            #[cfg(feature = "planted")]
            planted(message);
            let now = self.machine.clock.now();
            if let Ok(report) = air::parse_report(now, message) {
                self.core.handle(now, RcpInput::Report(report));
                break;
            }
        }
        heard
    }
}

/// Mistakes on demand.
#[cfg(feature = "planted")]
fn planted(message: &[u8]) {
    match message {
        [0xf0] => panic!("planted\nmistake"),
        [0xf1] => cortex_m::asm::udf(),
        [0xf2] => loop {
            cortex_m::asm::nop();
        },
        [0xf3] => {
            deeper(u32::MAX);
        }
        _ => {}
    }
}

/// Wants more stack than there is.
#[cfg(feature = "planted")]
fn deeper(left: u32) -> u32 {
    let room = core::hint::black_box([left; 64]);
    if left == 0 { 0 } else { deeper(left - 1).wrapping_add(room[1]) }
}

fn status(cause: Cause) -> Status {
    match cause {
        Cause::PowerOn => Status::RESET_POWER_ON,
        Cause::Panic => Status::RESET_CRASH,
        Cause::Fault => Status::RESET_FAULT,
        Cause::Watchdog => Status::RESET_WATCHDOG,
    }
}

#[entry]
fn main() -> ! {
    let machine = Machine::take().expect("nobody else runs");
    let reach = RadioReach::Beyond;
    let config = RcpConfig { reach, ..RcpConfig::new(machine.eui64, VERSION) };
    let (why, words) = (status(machine.restart.cause), machine.restart.last_words.clone());
    let mut core = Rcp::restarted(Instant::ZERO, config, why, words);
    let mut to_radio = Outgoing::new();
    to_radio.begin(ToRadio::Started.emit());
    let mut program = Program {
        machine,
        core: &mut core,
        to_host: Outgoing::new(),
        to_radio,
        from_radio: AirDecoder::new(),
    };
    loop {
        program.machine.watchdog.feed();
        if !program.turn() {
            program.machine.sleep();
        }
    }
}
