//! The daemon's own driver, on the first serial line, in real time.

use crate::emulator::PATIENCE;
use lowgate_mac::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxStatus, TxToken};
use lowgate_router::co_processor::{
    CoProcessor, CoProcessorEvent, CoProcessorInput, CoProcessorOutput,
};
use lowgate_units::{Channel, Eui64, Instant as Moment, PanId, ShortAddr};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Between two looks at the clock.
const TURN: Duration = Duration::from_millis(1);

/// A host and what it told.
pub(crate) struct Host {
    line: UnixStream,
    machine: CoProcessor,
    started: Instant,
    pub(crate) events: Vec<RadioEvent>,
    pub(crate) told: Vec<CoProcessorEvent>,
    /// Times that it wanted its line opened anew.
    pub(crate) reopened: u32,
}

pub(crate) fn config() -> RadioConfig {
    RadioConfig {
        channel: Channel::new(15).expect("in the band"),
        pan_id: PanId::new(0xabcd),
        short: ShortAddr::new(1),
        eui64: Eui64([2, 0, 0, 0, 0, 0, 0, 1]),
        promiscuous: false,
    }
}

impl Host {
    /// With a line that has just been opened.
    pub(crate) fn new(line: UnixStream) -> Self {
        line.set_read_timeout(Some(TURN)).expect("a socket");
        let machine = CoProcessor::new(Moment::ZERO);
        let (events, told) = (Vec::new(), Vec::new());
        let started = Instant::now();
        let mut host = Self { line, machine, started, events, told, reopened: 0 };
        host.handle(CoProcessorInput::Opened);
        host.command(RadioCommand::Configure(config()));
        host
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }

    /// Until it takes and delivers frames.
    pub(crate) fn ready(&mut self) {
        self.run_until("ready", |host| host.machine.is_ready());
    }

    pub(crate) fn command(&mut self, command: RadioCommand) {
        self.handle(CoProcessorInput::Command(command));
    }

    pub(crate) fn transmit(&mut self, token: u32, psdu: &[u8]) {
        let psdu = Psdu::from_slice(psdu).expect("a PSDU");
        self.command(RadioCommand::Transmit { token: TxToken(token), psdu });
    }

    /// How the transmission ended, which is the next thing that happens.
    pub(crate) fn end(&mut self, token: u32) -> TxStatus {
        self.run_until("the end of a transmission", |host| !host.events.is_empty());
        match self.events.remove(0) {
            RadioEvent::Transmitted { token: TxToken(ended), status, .. } if ended == token => {
                status
            }
            other => panic!("not the end of {token}: {other:?}"),
        }
    }

    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: never came; {:?}", self.told);
            self.turn();
        }
    }

    /// What came, and what time brings.
    pub(crate) fn turn(&mut self) {
        let mut octets = [0; 4096];
        match self.line.read(&mut octets) {
            Ok(len @ 1..) => self.handle(CoProcessorInput::Octets(&octets[..len])),
            Ok(_) => panic!("the emulator has ended"),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => self.drain(),
            Err(fault) => panic!("the line: {fault}"),
        }
    }

    fn now(&self) -> Moment {
        Moment::ZERO + self.started.elapsed()
    }

    fn handle(&mut self, input: CoProcessorInput<'_>) {
        self.machine.handle(self.now(), input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.machine.poll(self.now()) {
                CoProcessorOutput::Wait { .. } => return,
                CoProcessorOutput::Octets(octets) => {
                    self.line.write_all(&octets).expect("the emulator reads");
                }
                CoProcessorOutput::Event(event) => self.events.push(event),
                CoProcessorOutput::Told(event) => self.told.push(event),
                CoProcessorOutput::Reopen => {
                    self.reopened += 1;
                    self.machine.handle(self.now(), CoProcessorInput::Closed);
                    self.machine.handle(self.now(), CoProcessorInput::Opened);
                }
            }
        }
    }
}
