//! The radio's end of the second serial line, by hand.

use crate::emulator::PATIENCE;
use lowgate_mac::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxStatus, TxToken};
use lowgate_rcp::Report;
use lowgate_rcp::air::{AirDecoder, ToRadio, emit_event, emit_report};
use lowgate_units::{Lqi, Rssi};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};

/// How strong every frame is, and how clean.
pub(crate) const RSSI: i8 = -48;
pub(crate) const LQI: u8 = 199;

/// Says what the radio hears.
pub(crate) struct Voice(UnixStream);

/// Hears what the program wants of its radio, too.
pub(crate) struct Air {
    pub(crate) voice: Voice,
    heard: Receiver<ToRadio>,
}

impl Air {
    pub(crate) fn new(line: UnixStream) -> Self {
        let (sender, heard) = channel();
        let mut input = line.try_clone().expect("a socket");
        std::thread::spawn(move || {
            let (mut decoder, mut octets) = (AirDecoder::new(), [0; 4096]);
            while let Ok(len @ 1..) = input.read(&mut octets) {
                for &octet in &octets[..len] {
                    let Some(message) = decoder.push(octet) else { continue };
                    let message = message.expect("this line damages nothing");
                    let said = ToRadio::parse(message).expect("the program's messages make sense");
                    if sender.send(said).is_err() {
                        return;
                    }
                }
            }
        });
        Self { voice: Voice(line), heard }
    }

    /// The next thing that it wants.
    pub(crate) fn next(&self) -> ToRadio {
        self.heard.recv_timeout(PATIENCE).expect("the program wants something of its radio")
    }

    /// The next thing that it wants, however late; `None` once the emulator has ended.
    pub(crate) fn next_ever(&self) -> Option<ToRadio> {
        self.heard.recv().ok()
    }

    /// The next configuration.
    pub(crate) fn configuration(&self) -> RadioConfig {
        match self.next() {
            ToRadio::Command(RadioCommand::Configure(config)) => config,
            other => panic!("no configuration: {other:?}"),
        }
    }

    /// The next transmission; configurations before it are passed over.
    pub(crate) fn transmission(&self) -> (TxToken, Psdu) {
        loop {
            match self.next() {
                ToRadio::Command(RadioCommand::Transmit { token, psdu })
                | ToRadio::Transmit { token, psdu, .. } => return (token, psdu),
                ToRadio::Command(RadioCommand::Configure(_)) => {}
                other => panic!("no transmission: {other:?}"),
            }
        }
    }

    /// What it wanted until now.
    pub(crate) fn wanted(&self) -> Vec<ToRadio> {
        self.heard.try_iter().collect()
    }

    /// A second one, for another thread.
    pub(crate) fn voice(&self) -> Voice {
        Voice(self.voice.0.try_clone().expect("a socket"))
    }
}

impl Voice {
    pub(crate) fn end(&mut self, token: TxToken, status: TxStatus) {
        self.say(&RadioEvent::Transmitted { token, status, attempts: 1 });
    }

    pub(crate) fn hear(&mut self, psdu: &[u8]) {
        let psdu = Psdu::from_slice(psdu).expect("a PSDU");
        self.say(&RadioEvent::Received { psdu, rssi: Rssi(RSSI), lqi: Lqi(LQI) });
    }

    pub(crate) fn say(&mut self, event: &RadioEvent) {
        self.octets(&emit_event(event));
    }

    pub(crate) fn report(&mut self, report: &Report) {
        self.octets(&emit_report(report));
    }

    /// Whatever they mean.
    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.0.write_all(octets).expect("the emulator reads");
    }
}
