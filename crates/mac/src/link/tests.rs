//! Stations over a toy channel in virtual time: every frame reaches everyone unless a test takes
//! it away.

extern crate std;

use super::*;
use crate::{
    COUNTER_BLOCK, FrameCounter, FrameDrop, KeyIndex, Mac, MacConfig, MacEvent, MacInput,
    MacOutput, Security,
};
use lowgate_crypto::{Key128, SoftCcm};
use lowgate_testkit::hex;
use lowgate_units::{Eui64, LinkAddr, LinkDst, PanId, ShortAddr};
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

const CCA_TIME: Duration = symbols(8);

fn airtime(psdu: &Psdu) -> Duration {
    // SHR and PHR of 6 octets, FCS of 2.
    symbols(2 * (6 + psdu.len() as u64 + 2))
}

/// A frame on the air, for the tests to judge: its sender, its number there, its octets.
struct OnAir<'a> {
    sender: usize,
    number: usize,
    psdu: &'a Psdu,
}

impl OnAir<'_> {
    fn is_ack(&self) -> bool {
        self.psdu[0] & 0b111 == 2
    }
}

struct Transmission {
    sender: usize,
    start: Instant,
    end: Instant,
    psdu: Psdu,
}

/// Everything that happens, in order of time and then of appearance.
struct Air {
    now: Instant,
    stations: Vec<LinkMachine>,
    pending: Vec<(Instant, usize, PhyEvent)>,
    sent: Vec<Transmission>,
    events: Vec<(Instant, usize, RadioEvent)>,
    loses: Box<dyn FnMut(OnAir<'_>) -> bool>,
    hears: fn(usize, usize) -> bool,
    busy: bool,
}

impl Air {
    fn new(stations: u16, loses: impl FnMut(OnAir<'_>) -> bool + 'static) -> Self {
        let mut air = Self {
            now: Instant::ZERO,
            stations: Vec::new(),
            pending: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            loses: Box::new(loses),
            hears: |_, _| true,
            busy: false,
        };
        for i in 0..stations {
            air.stations.push(LinkMachine::new(Prng::new(7).fork(i.into())));
            air.command(i.into(), RadioCommand::Configure(config(i)));
        }
        air
    }

    fn command(&mut self, station: usize, command: RadioCommand) {
        self.stations[station].handle(self.now, LinkInput::Command(command));
        self.drain(station);
    }

    fn transmit(&mut self, station: usize, token: u32, text: &str) {
        let psdu = Psdu::from_slice(&hex(text)).expect("fits");
        self.command(station, RadioCommand::Transmit { token: TxToken(token), psdu });
    }

    fn drain(&mut self, station: usize) -> Instant {
        loop {
            match self.stations[station].poll(self.now) {
                LinkOutput::Wait { until } => return until,
                LinkOutput::Event(event) => self.events.push((self.now, station, event)),
                LinkOutput::Phy(PhyCommand::Tune { .. }) => {}
                LinkOutput::Phy(PhyCommand::Cca) => {
                    let idle = !self.busy && !self.someone_sends(station);
                    let done = PhyEvent::CcaDone { idle };
                    self.pending.push((self.now + CCA_TIME, station, done));
                }
                LinkOutput::Phy(PhyCommand::Transmit { psdu }) => self.start(station, psdu),
            }
        }
    }

    fn someone_sends(&self, listener: usize) -> bool {
        let now = self.now;
        self.sent
            .iter()
            .any(|tx| tx.start <= now && now < tx.end && (self.hears)(listener, tx.sender))
    }

    fn start(&mut self, sender: usize, psdu: Psdu) {
        let (start, end) = (self.now, self.now + airtime(&psdu));
        self.pending.push((end, sender, PhyEvent::TransmitDone));
        let number = self.sent.iter().filter(|tx| tx.sender == sender).count();
        if !(self.loses)(OnAir { sender, number, psdu: &psdu }) {
            for receiver in (0..self.stations.len()).filter(|i| *i != sender) {
                let (rssi, lqi) = (Rssi(-50), Lqi(255));
                self.pending.push((
                    end,
                    receiver,
                    PhyEvent::Received { psdu: psdu.clone(), rssi, lqi },
                ));
            }
        }
        self.sent.push(Transmission { sender, start, end, psdu });
    }

    /// Receptions that overlapped another frame at the receiver are gone.
    fn collided(&self, receiver: usize, end: Instant, psdu: &Psdu) -> bool {
        let Some(own) = self.sent.iter().position(|tx| tx.end == end && tx.psdu == *psdu) else {
            return false;
        };
        let start = self.sent[own].start;
        self.sent.iter().enumerate().any(|(i, tx)| {
            let heard = tx.sender == receiver || (self.hears)(receiver, tx.sender);
            i != own && heard && tx.start < end && start < tx.end
        })
    }

    /// Until nothing is left to happen.
    fn run(&mut self) {
        loop {
            let waits: Vec<Instant> = (0..self.stations.len()).map(|i| self.drain(i)).collect();
            let wake = waits.into_iter().min().unwrap_or(Instant::FAR_FUTURE);
            let first = self.pending.iter().map(|(at, ..)| *at).min();
            let next = wake.min(first.unwrap_or(Instant::FAR_FUTURE));
            if next == Instant::FAR_FUTURE {
                return;
            }
            assert!(next >= self.now, "time never goes back");
            self.now = next;
            while let Some(i) = self.pending.iter().position(|(at, ..)| *at == next) {
                let (_, station, event) = self.pending.remove(i);
                if let PhyEvent::Received { psdu, .. } = &event
                    && (self.collided(station, next, psdu) || !self.is_heard(station, next, psdu))
                {
                    continue;
                }
                self.stations[station].handle(next, LinkInput::Phy(event));
                self.drain(station);
            }
        }
    }

    fn is_heard(&self, receiver: usize, end: Instant, psdu: &Psdu) -> bool {
        self.sent
            .iter()
            .any(|tx| tx.end == end && tx.psdu == *psdu && (self.hears)(receiver, tx.sender))
    }

    fn outcomes(&self) -> Vec<(u32, TxStatus, u8)> {
        self.events
            .iter()
            .filter_map(|(_, _, event)| match event {
                RadioEvent::Transmitted { token, status, attempts } => {
                    Some((token.0, *status, *attempts))
                }
                RadioEvent::Received { .. } => None,
            })
            .collect()
    }

    fn receptions(&self, station: usize) -> usize {
        let received = |event: &RadioEvent| matches!(event, RadioEvent::Received { .. });
        self.events.iter().filter(|(_, at, event)| *at == station && received(event)).count()
    }
}

/// Station n has the short address n.
fn config(station: u16) -> RadioConfig {
    let mut eui64 = [0xac, 0xde, 0x48, 0, 0, 0, 0, 0];
    eui64[7] = station as u8;
    RadioConfig {
        channel: Channel::new(15).expect("in the band"),
        pan_id: PanId::new(0x4321),
        short: ShortAddr::new(station),
        eui64: Eui64(eui64),
        promiscuous: false,
    }
}

/// From station 0 to station 1, asking for an acknowledgement.
const DATA: &str = "61 88 2a 2143 0100 0000 112233";

#[test]
fn acknowledged_at_the_first_attempt_after_192_us() {
    let mut air = Air::new(3, |_| false);
    air.transmit(0, 9, DATA);
    air.run();
    assert_eq!(air.outcomes(), [(9, TxStatus::Acked, 1)]);
    assert_eq!((air.receptions(1), air.receptions(2)), (1, 0));
    let [data, ack] = &air.sent[..] else { panic!("{} frames", air.sent.len()) };
    assert_eq!(ack.start - data.end, TURNAROUND_TIME);
    assert_eq!(&ack.psdu[..], &hex("02 00 2a")[..]);
}

#[test]
fn broadcast_is_sent_once_and_acknowledged_by_nobody() {
    let mut air = Air::new(3, |_| false);
    air.transmit(0, 1, "41 88 2a 2143 ffff 0000 11");
    air.run();
    assert_eq!(air.outcomes(), [(1, TxStatus::Sent, 1)]);
    assert_eq!((air.receptions(1), air.receptions(2)), (1, 1));
    assert_eq!(air.sent.len(), 1);
}

/// A sniffer hears the frame, its acknowledgement and what is no frame, and says nothing.
#[test]
fn who_takes_everything_acknowledges_nothing() {
    let mut air = Air::new(3, |_| false);
    let sniffer = RadioConfig { promiscuous: true, ..config(1) };
    air.command(1, RadioCommand::Configure(sniffer));
    air.transmit(0, 1, "61 88 2a 2143 0200 0000 11");
    air.run();
    assert_eq!((air.outcomes(), air.receptions(1)), (vec![(1, TxStatus::Acked, 1)], 2));
    air.transmit(0, 2, "ff ff");
    air.run();
    assert_eq!((air.receptions(1), air.receptions(2)), (3, 1));
    let attempts = 1 + MAC_MAX_FRAME_RETRIES;
    air.transmit(0, 3, DATA);
    air.run();
    assert_eq!(air.outcomes().last(), Some(&(3, TxStatus::NoAck, attempts)));
}

#[test]
fn lost_data_is_sent_again_with_the_same_octets() {
    let mut air = Air::new(2, |frame| frame.sender == 0 && frame.number < 2);
    air.transmit(0, 1, DATA);
    air.run();
    assert_eq!(air.outcomes(), [(1, TxStatus::Acked, 3)]);
    assert_eq!(air.receptions(1), 1);
    let data: Vec<_> = air.sent.iter().filter(|tx| tx.sender == 0).collect();
    assert!(data.iter().all(|tx| tx.psdu[..] == hex(DATA)[..]));
    for pair in data.windows(2) {
        assert!(pair[1].start - pair[0].end >= MAC_ACK_WAIT_DURATION);
    }
}

// The duplicate is acknowledged again: the sender knows no other way to learn that it arrived.
#[test]
fn lost_ack_makes_a_duplicate_that_is_acknowledged_again() {
    let mut air = Air::new(2, |frame| frame.is_ack() && frame.number == 0);
    air.transmit(0, 1, DATA);
    air.run();
    assert_eq!(air.outcomes(), [(1, TxStatus::Acked, 2)]);
    assert_eq!(air.receptions(1), 2);
}

// Both halves: the duplicate is acknowledged below the seam and a replay above it.
#[test]
fn a_sealed_duplicate_is_acknowledged_and_refused() {
    let device = |station: u16| {
        let RadioConfig { channel, pan_id, short, eui64, .. } = config(station);
        let mut mac = Mac::new(MacConfig::new(eui64, &SoftCcm), Prng::new(1));
        mac.handle(Instant::ZERO, MacInput::SetNetwork { channel, pan_id, short });
        let index = KeyIndex::new(1).expect("not 0");
        let (key, counter_floor) = (Key128::new([1; 16]), FrameCounter(0));
        mac.handle(Instant::ZERO, MacInput::InstallKey { index, key, counter_floor });
        mac.handle(Instant::ZERO, MacInput::ActivateKey { index });
        let below = FrameCounter(COUNTER_BLOCK);
        while mac.poll(Instant::ZERO) != (MacOutput::ReserveCounter { index, below }) {}
        mac.handle(Instant::ZERO, MacInput::CounterReserved { index, below });
        mac
    };
    let (mut alice, mut bob) = (device(0), device(1));
    let mut air = Air::new(2, |frame| frame.is_ack() && frame.number == 0);
    let dst = LinkDst::Unicast(LinkAddr::Extended(config(1).eui64));
    let security = Security::Secured;
    alice.handle(air.now, MacInput::Send { token: 5, dst, security, payload: b"once" });
    let MacOutput::Radio(command) = alice.poll(air.now) else { panic!("a frame") };
    air.command(0, command);
    air.run();
    assert_eq!(air.outcomes(), [(0, TxStatus::Acked, 2)]);
    let mut outputs = vec![];
    for (at, _, event) in air.events.drain(..).filter(|(_, station, _)| *station == 1) {
        bob.handle(at, MacInput::Radio(event));
        outputs.push(bob.poll(at));
    }
    assert!(matches!(&outputs[0], MacOutput::Received { payload, .. } if payload[..] == *b"once"));
    let replayed = MacEvent::FrameDropped(FrameDrop::Replayed);
    assert_eq!(outputs[1..], [MacOutput::Event(replayed)]);
}

#[test]
fn silence_ends_after_the_last_retry() {
    let mut air = Air::new(2, |frame| frame.sender == 0);
    air.transmit(0, 1, DATA);
    air.run();
    let attempts = 1 + MAC_MAX_FRAME_RETRIES;
    assert_eq!(air.outcomes(), [(1, TxStatus::NoAck, attempts)]);
    assert_eq!(air.sent.len(), usize::from(attempts));
}

#[test]
fn a_foreign_ack_does_not_count() {
    let mut air = Air::new(2, |_| true);
    air.transmit(0, 1, DATA);
    let mut looks = vec![];
    while looks.len() < 40 {
        let wake = air.drain(0);
        let first = air.pending.iter().map(|(at, ..)| *at).min();
        air.now = wake.min(first.unwrap_or(Instant::FAR_FUTURE));
        let psdu = Psdu::from_slice(&hex("02 00 2b")).expect("fits");
        let foreign = PhyEvent::Received { psdu, rssi: Rssi(-50), lqi: Lqi(255) };
        air.stations[0].handle(air.now, LinkInput::Phy(foreign));
        while let Some(i) = air.pending.iter().position(|(at, ..)| *at == air.now) {
            let (_, station, event) = air.pending.remove(i);
            air.stations[station].handle(air.now, LinkInput::Phy(event));
        }
        looks.push(air.now);
    }
    assert!(air.outcomes().iter().all(|(_, status, _)| *status != TxStatus::Acked));
}

#[test]
fn busy_at_every_look() {
    let mut air = Air::new(2, |_| false);
    air.busy = true;
    air.transmit(0, 1, DATA);
    air.run();
    assert_eq!(air.outcomes(), [(1, TxStatus::ChannelBusy, 0)]);
    assert!(air.sent.is_empty());
    // Five looks, each after at most 2^BE - 1 periods.
    let most: u32 = [7, 15, 31, 31, 31].into_iter().sum();
    assert!(air.now - Instant::ZERO <= UNIT_BACKOFF_PERIOD * most + CCA_TIME * 5);
}

#[test]
fn one_transmission_at_a_time() {
    let mut air = Air::new(2, |_| false);
    air.transmit(0, 1, DATA);
    air.transmit(0, 2, DATA);
    air.run();
    assert_eq!(air.outcomes(), [(2, TxStatus::ChannelBusy, 0), (1, TxStatus::Acked, 1)]);
}

#[test]
fn the_receiver_gets_its_pause() {
    let long = std::format!("{DATA}{}", "00".repeat(100));
    let mut air = Air::new(2, |_| false);
    for round in 0..20 {
        air.transmit(0, round, &long);
        air.run();
    }
    let ends: Vec<_> = air.sent.iter().filter(|tx| tx.sender == 1).map(|tx| tx.end).collect();
    let starts: Vec<_> = air.sent.iter().filter(|tx| tx.sender == 0).map(|tx| tx.start).collect();
    for (end, start) in ends.iter().zip(&starts[1..]) {
        assert!(*start - *end >= MAC_MIN_LIFS_PERIOD);
    }
}

// Both ends send at once, many times: every frame ends in an acknowledgement, none is answered late.
#[test]
fn crossing_traffic_ends_well() {
    let mut air = Air::new(2, |_| false);
    for round in 0..50 {
        air.transmit(0, round, DATA);
        air.transmit(1, round, "61 88 2b 2143 0000 0100 112233");
        air.run();
    }
    assert_eq!(air.outcomes().len(), 100);
    assert!(air.outcomes().iter().all(|(_, status, _)| *status == TxStatus::Acked));
    for ack in air.sent.iter().filter(|tx| tx.psdu.len() == Ack::LEN) {
        assert!(air.sent.iter().any(|data| ack.start - data.end == TURNAROUND_TIME));
    }
}

// Stations 0 and 2 do not hear each other and both send to 1, full frames, at the same instant.
#[test]
fn hidden_stations_get_through_by_their_retries() {
    let tail = "00".repeat(100);
    let mut acked = 0;
    let mut air = Air::new(3, |_| false);
    air.hears = |a, b| a == 1 || b == 1;
    for round in 0..50 {
        air.transmit(0, round, &std::format!("61 88 2a 2143 0100 0000 {tail}"));
        air.transmit(2, round, &std::format!("61 88 2b 2143 0100 0200 {tail}"));
        air.run();
    }
    for (_, status, _) in air.outcomes() {
        acked += u32::from(status == TxStatus::Acked);
    }
    assert!(acked >= 97, "{acked} of 100");
}

#[test]
fn frames_before_configuration_and_noise_are_ignored() {
    let mut machine = LinkMachine::new(Prng::new(1));
    for text in [DATA, "", "ff", "02 00 2a", "41 a8 84 2143 3412 7856"] {
        let psdu = Psdu::from_slice(&hex(text)).expect("fits");
        let event = PhyEvent::Received { psdu, rssi: Rssi(-90), lqi: Lqi(1) };
        machine.handle(Instant::ZERO, LinkInput::Phy(event));
        let wait = LinkOutput::Wait { until: Instant::FAR_FUTURE };
        assert_eq!(machine.poll(Instant::ZERO), wait);
    }
}

/// Times of one station's attempts, on a channel where nobody answers and, `busy`, somebody always talks.
fn attempts(access: Access, busy: bool) -> (Vec<Instant>, RadioEvent) {
    let mut air = Air::new(1, |_| true);
    air.busy = busy;
    let psdu = Psdu::from_slice(&hex(DATA)).expect("fits");
    let transmit = LinkInput::Transmit { token: TxToken(1), psdu, access };
    air.stations[0].handle(air.now, transmit);
    air.run();
    let (_, _, event) = air.events.pop().expect("it ends");
    (air.sent.iter().map(|sent| sent.start).collect(), event)
}

#[test]
fn a_frame_tries_as_often_as_its_owner_wishes() {
    for frame_retries_max in [0, 1, 15, 255] {
        let access = Access { frame_retries_max, ..Access::SEAM };
        let (times, event) = attempts(access, false);
        // One less than a count holds.
        let wanted = frame_retries_max.min(254) + 1;
        assert_eq!(times.len(), usize::from(wanted));
        let (token, status) = (TxToken(1), TxStatus::NoAck);
        assert_eq!(event, RadioEvent::Transmitted { token, status, attempts: wanted });
    }
}

#[test]
fn a_frame_that_does_not_look_goes_at_its_time() {
    let at = Instant::from_millis(700);
    let access = Access { csma_backoffs_max: None, frame_retries_max: 1, not_before: Some(at) };
    for busy in [false, true] {
        let (times, event) = attempts(access, busy);
        assert_eq!((times.len(), times[0]), (2, at));
        assert!(matches!(event, RadioEvent::Transmitted { attempts: 2, .. }));
    }
    let looking = Access { csma_backoffs_max: Some(2), ..access };
    let (times, event) = attempts(looking, false);
    assert!(times[0] >= at + TURNAROUND_TIME && times.len() == 2);
    assert!(matches!(event, RadioEvent::Transmitted { status: TxStatus::NoAck, .. }));
    let (times, event) = attempts(looking, true);
    assert!(times.is_empty());
    let (token, status) = (TxToken(1), TxStatus::ChannelBusy);
    assert_eq!(event, RadioEvent::Transmitted { token, status, attempts: 0 });
}

#[test]
fn above_a_transceiver_that_acknowledges_the_machine_does_not() {
    let machines = [LinkMachine::new(Prng::new(1)), LinkMachine::above_acknowledger(Prng::new(1))];
    let acknowledgements = machines.map(|mut machine| {
        let configure = RadioCommand::Configure(config(1));
        machine.handle(Instant::ZERO, LinkInput::Command(configure));
        let psdu = Psdu::from_slice(&hex(DATA)).expect("fits");
        let event = PhyEvent::Received { psdu, rssi: Rssi(-50), lqi: Lqi(200) };
        machine.handle(Instant::ZERO, LinkInput::Phy(event));
        let (mut heard, mut sent) = (0, 0);
        loop {
            match machine.poll(Instant::from_millis(1)) {
                LinkOutput::Event(RadioEvent::Received { .. }) => heard += 1,
                LinkOutput::Phy(PhyCommand::Transmit { .. }) => sent += 1,
                LinkOutput::Phy(PhyCommand::Tune { .. }) => {}
                LinkOutput::Wait { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(heard, 1);
        sent
    });
    assert_eq!(acknowledgements, [1, 0]);
}

#[test]
fn a_new_channel_waits_for_the_frame_on_its_way() {
    let mut machine = LinkMachine::new(Prng::new(1));
    let channel = |number| Channel::new(number).expect("in the band");
    let configure = |number| {
        let config = RadioConfig { channel: channel(number), ..config(0) };
        LinkInput::Command(RadioCommand::Configure(config))
    };
    let psdu = Psdu::from_slice(&hex("41 88 2a 2143 ffff 0000 11")).expect("fits");
    machine.handle(Instant::ZERO, configure(11));
    let tune = |number| LinkOutput::Phy(PhyCommand::Tune { channel: channel(number) });
    assert_eq!(machine.poll(Instant::ZERO), tune(11));
    let transmit = RadioCommand::Transmit { token: TxToken(1), psdu: psdu.clone() };
    machine.handle(Instant::ZERO, LinkInput::Command(transmit));
    machine.handle(Instant::ZERO, configure(12));
    assert!(matches!(machine.poll(Instant::ZERO), LinkOutput::Wait { .. }));
    let at = Instant::from_millis(10);
    assert_eq!(machine.poll(at), LinkOutput::Phy(PhyCommand::Cca));
    machine.handle(at, LinkInput::Phy(PhyEvent::CcaDone { idle: true }));
    let sending = at + TURNAROUND_TIME;
    assert_eq!(machine.poll(at), LinkOutput::Wait { until: sending });
    assert_eq!(machine.poll(sending), LinkOutput::Phy(PhyCommand::Transmit { psdu }));
    machine.handle(sending, LinkInput::Phy(PhyEvent::TransmitDone));
    assert!(matches!(machine.poll(sending), LinkOutput::Event(_)));
    // The owner may answer that event before it polls on: this frame is for the new channel.
    let psdu = Psdu::from_slice(&hex("41 88 2b 2143 ffff 0000 11")).expect("fits");
    let transmit = RadioCommand::Transmit { token: TxToken(2), psdu };
    machine.handle(sending, LinkInput::Command(transmit));
    assert_eq!(machine.poll(sending), tune(12));
    assert!(matches!(machine.poll(sending), LinkOutput::Wait { .. }));
}
