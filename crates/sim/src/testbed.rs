//! Raw stations over the medium: the MAC's own link machines, no keys, no network.
//!
//! It is also the shortest example of a world: who is polled when, and in which order.

use lowgate_mac::{
    LinkInput, LinkMachine, LinkOutput, Psdu, RadioCommand, RadioConfig, RadioEvent, TxStatus,
    TxToken,
};
use lowgate_units::{Channel, Duration, Eui64, Instant, PanId, Prng, ShortAddr};

use crate::building::Building;
use crate::medium::{FrameId, Links, Medium, MediumConfig, MediumOutput, StationId};
use crate::queue::{Queue, Wakes};

const PAN: u16 = 0x1234;

struct Testbed {
    medium: Medium,
    machines: Vec<LinkMachine>,
    wakes: Wakes,
    /// What the test wants to be sent, and when.
    wishes: Queue<(StationId, Psdu)>,
    now: Instant,
    events: Vec<(Instant, StationId, RadioEvent)>,
    /// Every frame on the air: when, who, its octets.
    aired: Vec<(Instant, StationId, FrameId, Psdu)>,
    sent: u32,
}

impl Testbed {
    fn new(links: &Links, loss: f64, seed: u64) -> Self {
        let config = MediumConfig { loss, ..MediumConfig::default() };
        let dice = Prng::new(seed);
        let stations = links.stations();
        let mut testbed = Self {
            medium: Medium::new(config, links, seed),
            machines: (0..stations as u64).map(|i| LinkMachine::new(dice.fork(i))).collect(),
            wakes: Wakes::new(stations),
            wishes: Queue::new(),
            now: Instant::ZERO,
            events: Vec::new(),
            aired: Vec::new(),
            sent: 0,
        };
        for station in 0..stations as u32 {
            let config = RadioConfig {
                channel: Channel::new(15).expect("in the band"),
                pan_id: PanId::new(PAN),
                short: ShortAddr::new(station as u16),
                eui64: Eui64(u64::from(station + 1).to_be_bytes()),
                promiscuous: false,
            };
            let command = LinkInput::Command(RadioCommand::Configure(config));
            testbed.feed(StationId(station), command);
        }
        testbed
    }

    fn send(&mut self, at: Instant, from: StationId, psdu: Psdu) {
        self.wishes.push(at, (from, psdu));
    }

    fn run_to(&mut self, until: Instant) {
        loop {
            let due = self.medium.next_at().min(self.wakes.next_at()).min(self.wishes.next_at());
            if due > until {
                self.now = until;
                return;
            }
            self.now = due;
            // The air first: what a radio heard now may change what its machine wants to do now.
            while self.medium.next_at() <= due {
                self.listen();
            }
            while let Some((_, (from, psdu))) = self.wishes.pop(due) {
                let token = TxToken(self.sent);
                self.sent += 1;
                self.feed(from, LinkInput::Command(RadioCommand::Transmit { token, psdu }));
            }
            while let Some((at, index)) = self.wakes.next().filter(|(at, _)| *at <= due) {
                self.drain(StationId(index as u32));
                assert_ne!(self.wakes.next(), Some((at, index)), "a machine was woken for nothing");
            }
        }
    }

    fn listen(&mut self) {
        match self.medium.poll(self.now) {
            MediumOutput::Phy { station, event, .. } => self.feed(station, LinkInput::Phy(event)),
            MediumOutput::Aired { frame, station, psdu, .. } => {
                self.aired.push((self.now, station, frame, psdu));
            }
            MediumOutput::Wait { .. } => {}
        }
    }

    fn feed(&mut self, station: StationId, input: LinkInput) {
        self.machines[station.index()].handle(self.now, input);
        self.drain(station);
    }

    fn drain(&mut self, station: StationId) {
        loop {
            match self.machines[station.index()].poll(self.now) {
                LinkOutput::Phy(command) => self.medium.perform(self.now, station, command),
                LinkOutput::Event(event) => self.events.push((self.now, station, event)),
                LinkOutput::Wait { until } => return self.wakes.set(station.index(), until),
            }
        }
    }

    /// How the transmissions of `station` ended.
    fn statuses(&self, station: StationId) -> Vec<TxStatus> {
        let status = |(_, who, event): &(Instant, StationId, RadioEvent)| match event {
            RadioEvent::Transmitted { status, .. } if *who == station => Some(*status),
            RadioEvent::Transmitted { .. } | RadioEvent::Received { .. } => None,
        };
        self.events.iter().filter_map(status).collect()
    }

    /// First payload octets of what `station` received, in order.
    fn received(&self, station: StationId) -> Vec<u8> {
        let payload = |(_, who, event): &(Instant, StationId, RadioEvent)| match event {
            RadioEvent::Received { psdu, .. } if *who == station => psdu.get(9).copied(),
            RadioEvent::Transmitted { .. } | RadioEvent::Received { .. } => None,
        };
        self.events.iter().filter_map(payload).collect()
    }
}

/// A data frame of 2003 between short addresses that asks for an acknowledgement unless for everybody.
fn data(sequence: u8, src: StationId, dst: Option<StationId>, payload_len: usize) -> Psdu {
    let [pan_low, pan_high] = PAN.to_le_bytes();
    let dst_short = dst.map_or(0xffff, |dst| dst.0 as u16).to_le_bytes();
    let src_short = (src.0 as u16).to_le_bytes();
    let control = if dst.is_some() { 0x61 } else { 0x41 };
    let header = [control, 0x88, sequence, pan_low, pan_high];
    let payload = std::iter::repeat_n(sequence, payload_len);
    header.into_iter().chain(dst_short).chain(src_short).chain(payload).collect()
}

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const A: StationId = StationId(0);
const B: StationId = StationId(1);
const C: StationId = StationId(2);

#[test]
fn two_stations_exchange_a_frame_and_its_acknowledgement() {
    let mut testbed = Testbed::new(&Links::line(2), 0.0, 1);
    testbed.send(ms(10), A, data(7, A, Some(B), 50));
    testbed.run_to(ms(100));
    assert_eq!(testbed.statuses(A), [TxStatus::Acked]);
    assert_eq!(testbed.received(B), [7]);
    let [(sent, A, FrameId(0), frame), (acked, B, FrameId(1), _)] = &testbed.aired[..] else {
        panic!("{:?}", testbed.aired);
    };
    let on_air = Duration::from_micros((6 + frame.len() as u64 + 2) * 32);
    // Clause 7.5.6.4.2: the acknowledgement begins 12 symbols after the frame's last octet.
    assert_eq!(acked.since(*sent), on_air + Duration::from_micros(192));
}

#[test]
fn a_frame_to_nobody_is_tried_until_the_retries_are_over() {
    let mut testbed = Testbed::new(&Links::line(2), 0.0, 1);
    testbed.send(ms(10), A, data(7, A, Some(C), 50));
    testbed.run_to(Instant::from_secs(5));
    assert_eq!(testbed.statuses(A), [TxStatus::NoAck]);
    assert_eq!(testbed.aired.len(), 1 + usize::from(lowgate_mac::MAC_MAX_FRAME_RETRIES));
}

/// A and C each broadcast 200 frames at about the same time as the other; how many B hears.
fn heard_in_the_middle(links: &Links) -> usize {
    let mut testbed = Testbed::new(links, 0.0, 5);
    for round in 0..200u64 {
        testbed.send(ms(20 * round), A, data(round as u8, A, None, 100));
        testbed.send(ms(20 * round), C, data(round as u8, C, None, 100));
    }
    testbed.run_to(Instant::from_secs(10));
    testbed.received(B).len()
}

#[test]
fn hidden_stations_collide_and_carrier_sense_avoids_it() {
    let hidden = heard_in_the_middle(&Links::line(3));
    let in_sight = heard_in_the_middle(&Links::clique(3, -50.0));
    assert!(hidden < 100, "{hidden} of 400 frames of stations that cannot hear each other");
    assert!(in_sight > 300, "{in_sight} of 400 frames of stations that can");
}

#[test]
fn retries_bring_a_frame_through_a_loss() {
    let mut testbed = Testbed::new(&Links::line(2), 0.2, 3);
    for round in 0..300u64 {
        testbed.send(ms(200 * round), A, data(round as u8, A, Some(B), 60));
    }
    testbed.run_to(Instant::from_secs(70));
    let acked = testbed.statuses(A).iter().filter(|status| **status == TxStatus::Acked).count();
    assert!(acked >= 298, "{acked} of 300");
    let counters = testbed.medium.counters();
    assert_eq!(counters.aired, testbed.aired.len() as u64);
    assert_eq!(counters.corrupted, 0);
    assert_eq!(counters.received + counters.lost, counters.aired);
}

/// Everybody in a building broadcasts and sends to its loudest neighbour, `rounds` times in 10 s each.
fn chatter(devices: usize, rounds: u64, seed: u64) -> Testbed {
    let building = Building::generate(devices, 1).expect("allowed").building;
    let links = building.links(&MediumConfig::default());
    let mut testbed = Testbed::new(&links, 0.05, seed);
    let mut dice = Prng::new(seed);
    for station in (0..building.stations() as u32).map(StationId) {
        let loudest = links.neighbours(station).iter().max_by_key(|(_, strength)| *strength);
        let to = loudest.map(|(to, _)| *to);
        for round in 0..rounds {
            let at = |dice: &mut Prng| ms(10_000 * round + dice.below(9_000));
            testbed.send(at(&mut dice), station, data(round as u8, station, None, 40));
            testbed.send(at(&mut dice), station, data(round as u8, station, to, 80));
        }
    }
    testbed.run_to(Instant::from_secs(10 * rounds + 1));
    testbed
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = |seed| {
        let testbed = chatter(40, 6, seed);
        (testbed.events, testbed.aired, testbed.medium.counters())
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
    assert!(first.2.received > 4_000, "{:?}", first.2);
}
