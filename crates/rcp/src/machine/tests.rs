//! Commands by hand and by chance.

extern crate std;

mod beyond;
mod properties;

use super::*;
use lowgate_testkit::hex;
use std::vec::Vec as StdVec;

const NOW: Instant = Instant::from_secs(1);
const HWADDR: Eui64 = Eui64([2, 0, 0, 0, 0, 0, 0, 9]);

struct Bench {
    rcp: Rcp,
    now: Instant,
    frames: StdVec<StdVec<u8>>,
    radio: StdVec<RadioCommand>,
    demands: StdVec<Demand>,
    left: u32,
    decoder: Decoder<DECODER_OCTETS>,
}

impl Bench {
    fn new() -> Self {
        Self::with(RcpConfig::new(HWADDR, "test"))
    }

    /// With a radio that knows more than the seam.
    fn beyond() -> Self {
        Self::with(RcpConfig { reach: RadioReach::Beyond, ..RcpConfig::new(HWADDR, "test") })
    }

    fn with(config: RcpConfig) -> Self {
        let rcp = Rcp::new(NOW, config);
        let mut bench = Self {
            rcp,
            now: NOW,
            frames: StdVec::new(),
            radio: StdVec::new(),
            demands: StdVec::new(),
            left: 0,
            decoder: Decoder::new(),
        };
        bench.drain();
        bench
    }

    fn drain(&mut self) -> Instant {
        loop {
            match self.rcp.poll(self.now) {
                RcpOutput::Serial(octets) => {
                    for octet in octets {
                        if let Some(frame) = self.decoder.push(octet) {
                            self.frames.push(frame.unwrap().to_vec());
                        }
                    }
                }
                RcpOutput::Radio(command) => self.radio.push(command),
                RcpOutput::Demand(demand) => self.demands.push(demand),
                RcpOutput::EnterBootloader => self.left += 1,
                RcpOutput::Wait { until } => return until,
            }
        }
    }

    /// One frame in, one frame out.
    fn check(&mut self, question: &str, answer: &str) {
        self.frames.clear();
        self.send(&hex(question));
        assert_eq!(self.frames, [hex(answer)], "to {question}");
    }

    fn send(&mut self, frame: &[u8]) {
        let line: Vec<u8, SERIAL_OCTETS_MAX> = encode(frame).unwrap();
        self.rcp.handle(self.now, RcpInput::Serial(&line));
        self.drain();
    }

    /// What comes of a report.
    fn report(&mut self, report: Report) {
        self.frames.clear();
        self.rcp.handle(self.now, RcpInput::Report(report));
        self.drain();
    }

    fn enable(&mut self) {
        self.check("81 03 20 01", "81 06 20 01");
        self.check("82 03 37 01", "82 06 37 01");
    }
}

#[test]
fn it_tells_of_its_birth_and_of_a_reset() {
    let mut bench = Bench::new();
    assert_eq!(bench.frames, [hex("80 06 00 70")]);
    bench.check("80 01 02", "80 06 00 72");
}

#[test]
fn why_the_last_life_ended_is_told_at_birth_and_to_the_host_that_resets() {
    let config = RcpConfig::new(HWADDR, "test");
    let words = String::try_from("no").unwrap();
    let rcp = Rcp::restarted(NOW, config, Status::RESET_CRASH, Some(words));
    let mut bench = Bench { rcp, ..Bench::new() };
    bench.frames.clear();
    bench.drain();
    assert_eq!(bench.frames, [hex("80 06 00 74"), hex("80 06 70 6e6f00")]);
    bench.frames.clear();
    bench.send(&hex("80 01 02"));
    assert_eq!(bench.frames, [hex("80 06 00 72"), hex("80 06 70 6e6f00")]);
    bench.check("80 01 02", "80 06 00 72");
}

#[test]
fn the_longest_last_words_fit() {
    let config = RcpConfig::new(HWADDR, "test");
    let words: String<LAST_WORDS_OCTETS_MAX> = ['x'; LAST_WORDS_OCTETS_MAX].iter().collect();
    let mut bench = Bench::new();
    bench.frames.clear();
    bench.rcp = Rcp::restarted(NOW, config, Status::RESET_CRASH, Some(words));
    bench.drain();
    assert_eq!(bench.frames[1].len(), 3 + LAST_WORDS_OCTETS_MAX + 1);
    assert_eq!(bench.rcp.dropped(), 0);
}

#[test]
fn a_sniffer_takes_everything() {
    let mut bench = Bench::new();
    bench.enable();
    bench.radio.clear();
    bench.check("83 03 38 02", "83 06 38 02");
    assert!(matches!(bench.radio[..], [RadioCommand::Configure(config)] if config.promiscuous));
}

#[test]
fn questions_and_answers() {
    let mut bench = Bench::new();
    bench.check("81 00", "81 06 00 00");
    bench.check("82 02 01", "82 06 01 04 03");
    bench.check("83 02 05", "83 06 05 22 8104 40 41");
    bench.check("84 02 02", "84 06 02 74657374 00");
    bench.check("85 02 08", "85 06 08 0200000000000009");
    bench.check("86 02 b001", "86 06 b001 0b");
    bench.check("87 02 8b24", "87 06 8b24 0d");
    bench.check("88 02 36", "88 06 36 ffff");
    bench.check("89 03 36 cdab", "89 06 36 cdab");
    bench.check("8a 02 36", "8a 06 36 cdab");
}

#[test]
fn what_it_does_not_know_it_says() {
    let mut bench = Bench::new();
    bench.check("81 02 7f", "81 06 00 0d");
    bench.check("81 03 7f 00", "81 06 00 0d");
    bench.check("81 04 36 00", "81 06 00 0d");
    bench.check("81 55 36", "81 06 00 05");
    bench.check("81 03 20 07", "81 06 00 09");
    bench.check("81 03 21 05", "81 06 00 03");
    bench.check("81 03 38 03", "81 06 00 03");
    bench.check("91 02 01", "91 06 00 06");
}

#[test]
fn nothing_is_sent_or_delivered_before_it_is_enabled() {
    let mut bench = Bench::new();
    bench.check("81 03 71 0500 4188010000 0b", "81 06 00 04");
    let psdu = Psdu::from_slice(&[1, 2, 3]).unwrap();
    let event = RadioEvent::Received { psdu, rssi: Rssi(-40), lqi: Lqi(9) };
    bench.frames.clear();
    bench.rcp.handle(NOW, RcpInput::Radio(event.clone()));
    bench.drain();
    assert!(bench.frames.is_empty());
    bench.enable();
    bench.frames.clear();
    bench.rcp.handle(NOW, RcpInput::Radio(event));
    bench.drain();
    let raw = RawReceived::parse(&bench.frames[0][3..]).unwrap();
    assert_eq!(raw.psdu, with_fcs(&[1, 2, 3]));
    assert_eq!((raw.rssi, raw.lqi, raw.timestamp_us), (-40, 9, NOW.as_micros()));
}

#[test]
fn one_transmission_at_a_time_and_each_is_answered() {
    for (status, end) in [(TxStatus::Acked, 0), (TxStatus::NoAck, 17), (TxStatus::ChannelBusy, 18)]
    {
        let mut bench = Bench::new();
        bench.enable();
        bench.frames.clear();
        bench.send(&hex("83 03 71 0500 6188070000 0f"));
        assert!(bench.frames.is_empty());
        let Some(RadioCommand::Transmit { token, psdu }) = bench.radio.pop() else { panic!() };
        assert_eq!(psdu[..], [0x61, 0x88, 0x07]);
        let Some(RadioCommand::Configure(config)) = bench.radio.pop() else { panic!() };
        assert_eq!(config.channel.number(), 15);
        bench.check("84 03 71 0500 6188080000 0f", "84 06 00 0c");
        bench.frames.clear();
        let event = RadioEvent::Transmitted { token, status, attempts: 1 };
        bench.rcp.handle(NOW, RcpInput::Radio(event.clone()));
        bench.rcp.handle(NOW, RcpInput::Radio(event));
        bench.drain();
        assert_eq!(bench.frames.len(), 1);
        assert_eq!(bench.frames[0][..4], [0x83, 0x06, 0x00, end]);
        let done = TransmitDone::parse(&bench.frames[0][3..]).unwrap();
        assert_eq!(done.ack.is_some(), status == TxStatus::Acked);
        assert!(done.ack.is_none_or(|ack| ack.psdu == with_fcs(&[2, 0, 7])));
    }
}

#[test]
fn a_silent_radio_ends_in_a_failure() {
    let mut bench = Bench::new();
    bench.enable();
    bench.send(&hex("83 03 71 0500 6188070000 0f"));
    bench.frames.clear();
    bench.now = bench.drain();
    bench.drain();
    assert_eq!(bench.frames[0][..4], [0x83, 0x06, 0x00, 0x01]);
}

#[test]
fn after_a_reset_the_radio_may_still_be_busy() {
    let mut bench = Bench::new();
    bench.enable();
    bench.send(&hex("83 03 71 0500 6188070000 0f"));
    bench.check("80 01", "80 06 00 72");
    bench.enable();
    bench.check("83 03 71 0500 6188070000 0f", "83 06 00 0c");
}
