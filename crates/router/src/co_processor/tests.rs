//! Host and co-processor, joined by a line that takes time and is not always sound.
//!
//! Pass: after every fault the co-processor is ready within 2 s, and every transmission ended once.

use super::*;
use lowgate_mac::{Psdu, RADIO_SILENCE_MAX, RadioConfig, TxStatus, TxToken};
use lowgate_rcp::{Rcp, RcpConfig, RcpInput, RcpOutput};
use lowgate_spinel::Status;
use lowgate_units::{Channel, Duration, Eui64, Lqi, PanId, Prng, Rssi, ShortAddr};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

const EUI64: Eui64 = Eui64([2, 0, 0, 0, 0, 0, 0, 1]);
const LATENCY: Duration = Duration::from_millis(1);
const AIR_TIME: Duration = Duration::from_millis(4);
const REOPEN_TIME: Duration = Duration::from_millis(50);
const RECOVERY_MAX: Duration = Duration::from_secs(2);
/// More outputs than that at one instant are a spin.
const STEPS_AT_ONCE_MAX: u32 = 2_000;
/// A data frame that asks for an acknowledgement, and one that does not.
const ASKS_ACK: [u8; 12] = [0x61, 0x88, 7, 0xcd, 0xab, 2, 0, 1, 0, 9, 9, 9];
const ASKS_NONE: [u8; 12] = [0x41, 0x88, 7, 0xcd, 0xab, 0xff, 0xff, 1, 0, 9, 9, 9];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    Sound,
    /// Each octet is lost, or one of its bits flipped, with this chance.
    Loses(f64),
    Flips(f64),
    /// The co-processor neither hears nor speaks.
    Silent,
    /// It does not answer until the line was closed and opened.
    Stuck,
}

struct World {
    now: Instant,
    prng: Prng,
    host: CoProcessor,
    rcp: Rcp,
    line: Line,
    open: bool,
    opens_at: Option<Instant>,
    to_rcp: VecDeque<(Instant, Vec<u8>)>,
    to_host: VecDeque<(Instant, Vec<u8>)>,
    /// The radio is busy with it.
    on_air: Option<(Instant, TxToken)>,
    air_status: TxStatus,
    aired: Vec<Psdu>,
    config: Option<RadioConfig>,
    events: Vec<RadioEvent>,
    ends: BTreeMap<u32, u32>,
    sent: BTreeMap<u32, Instant>,
    told: Vec<CoProcessorEvent>,
    reopened: u32,
    /// Of what the co-processor says from now on, this is lost.
    loses_answer: Option<u32>,
    /// Of what the host says, likewise.
    loses_question: Option<u32>,
}

/// Whether this is the one that is lost.
fn is_lost(countdown: &mut Option<u32>) -> bool {
    let left = countdown.take();
    *countdown = left.and_then(|left| left.checked_sub(1));
    left == Some(0)
}

fn rcp(now: Instant) -> Rcp {
    Rcp::new(now, RcpConfig::new(EUI64, "test/1"))
}

fn config(channel: u8) -> RadioConfig {
    RadioConfig {
        channel: Channel::new(channel).unwrap(),
        pan_id: PanId::new(0xabcd),
        short: ShortAddr::new(2),
        eui64: EUI64,
        promiscuous: false,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::from_secs(1);
        let mut world = Self {
            now,
            prng: Prng::new(seed),
            host: CoProcessor::new(now),
            rcp: rcp(now),
            line: Line::Sound,
            open: true,
            opens_at: None,
            to_rcp: VecDeque::new(),
            to_host: VecDeque::new(),
            on_air: None,
            air_status: TxStatus::Acked,
            aired: Vec::new(),
            config: None,
            events: Vec::new(),
            ends: BTreeMap::new(),
            sent: BTreeMap::new(),
            told: Vec::new(),
            reopened: 0,
            loses_answer: None,
            loses_question: None,
        };
        world.host.handle(now, CoProcessorInput::Opened);
        world
    }

    /// Ready, with a configuration.
    fn ready(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.command(RadioCommand::Configure(config(15)));
        world.run_for(Duration::from_millis(100));
        assert!(world.host.is_ready(), "{:?}", world.told);
        world
    }

    fn command(&mut self, command: RadioCommand) {
        self.host.handle(self.now, CoProcessorInput::Command(command));
    }

    fn transmit(&mut self, psdu: &[u8]) -> u32 {
        let token = self.sent.len() as u32;
        self.sent.insert(token, self.now);
        let psdu = Psdu::from_slice(psdu).unwrap();
        self.command(RadioCommand::Transmit { token: TxToken(token), psdu });
        token
    }

    fn hear(&mut self) {
        let psdu = Psdu::from_slice(&ASKS_NONE).unwrap();
        let event = RadioEvent::Received { psdu, rssi: Rssi(-50), lqi: Lqi(77) };
        self.rcp.handle(self.now, RcpInput::Radio(event));
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let next = self.drain();
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            self.deliver();
        }
        self.now = end;
        self.drain();
    }

    /// Everything that is due now; when something is due next.
    fn drain(&mut self) -> Instant {
        let mut steps = 0;
        let host = loop {
            steps += 1;
            assert!(steps < STEPS_AT_ONCE_MAX, "the host spins");
            match self.host.poll(self.now) {
                CoProcessorOutput::Wait { until } => break until,
                output => self.host_output(output),
            }
        };
        let rcp = loop {
            steps += 1;
            assert!(steps < STEPS_AT_ONCE_MAX, "the co-processor spins");
            match self.rcp.poll(self.now) {
                RcpOutput::Wait { until } => break until,
                RcpOutput::Demand(_) | RcpOutput::EnterBootloader => {
                    unreachable!("its radio is the seam")
                }
                RcpOutput::Radio(RadioCommand::Configure(config)) => self.config = Some(config),
                RcpOutput::Radio(RadioCommand::Transmit { token, psdu }) => {
                    assert!(self.on_air.is_none(), "one at a time");
                    self.aired.push(psdu);
                    self.on_air = Some((self.now + AIR_TIME, token));
                }
                RcpOutput::Serial(_) if is_lost(&mut self.loses_answer) => {}
                RcpOutput::Serial(octets) => {
                    let octets = self.damage(&octets);
                    self.to_host.push_back((self.now + LATENCY, octets));
                }
            }
        };
        assert!(host > self.now && rcp > self.now, "a wait that is over already");
        [
            Some(host),
            Some(rcp),
            self.opens_at,
            self.on_air.map(|(at, _)| at),
            self.to_host.front().map(|(at, _)| *at),
            self.to_rcp.front().map(|(at, _)| *at),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(Instant::FAR_FUTURE)
    }

    fn host_output(&mut self, output: CoProcessorOutput) {
        match output {
            CoProcessorOutput::Octets(_) if is_lost(&mut self.loses_question) => {}
            CoProcessorOutput::Octets(octets) => {
                let octets = self.damage(&octets);
                self.to_rcp.push_back((self.now + LATENCY, octets));
            }
            CoProcessorOutput::Event(event) => {
                if let RadioEvent::Transmitted { token, .. } = &event {
                    *self.ends.entry(token.0).or_default() += 1;
                    assert!(self.now - self.sent[&token.0] < RADIO_SILENCE_MAX);
                }
                self.events.push(event);
            }
            CoProcessorOutput::Told(event) => {
                assert!(!event.to_string().is_empty());
                self.told.push(event);
            }
            CoProcessorOutput::Reopen => {
                self.reopened += 1;
                if self.line == Line::Stuck {
                    self.line = Line::Sound;
                }
                self.close();
                self.opens_at = Some(self.now + REOPEN_TIME);
            }
            CoProcessorOutput::Wait { .. } => {}
        }
    }

    fn close(&mut self) {
        self.open = false;
        self.to_host.clear();
        self.to_rcp.clear();
        self.host.handle(self.now, CoProcessorInput::Closed);
    }

    fn deliver(&mut self) {
        let now = self.now;
        if self.opens_at.is_some_and(|at| at <= now) {
            self.opens_at = None;
            self.open = true;
            self.host.handle(now, CoProcessorInput::Opened);
        }
        if let Some((_, token)) = self.on_air.take_if(|(at, _)| *at <= now) {
            let event = RadioEvent::Transmitted { token, status: self.air_status, attempts: 1 };
            self.rcp.handle(now, RcpInput::Radio(event));
        }
        while let Some((_, octets)) = self.to_host.pop_front_if(|(at, _)| *at <= now) {
            self.host.handle(now, CoProcessorInput::Octets(&octets));
        }
        while let Some((_, octets)) = self.to_rcp.pop_front_if(|(at, _)| *at <= now) {
            self.rcp.handle(now, RcpInput::Serial(&octets));
        }
    }

    fn damage(&mut self, octets: &[u8]) -> Vec<u8> {
        if !self.open {
            return Vec::new();
        }
        match self.line {
            Line::Sound => octets.to_vec(),
            Line::Silent | Line::Stuck => Vec::new(),
            Line::Loses(chance) => {
                octets.iter().copied().filter(|_| self.prng.unit_f64() >= chance).collect()
            }
            Line::Flips(chance) => octets
                .iter()
                .map(|octet| {
                    let bit = 1 << self.prng.below(8);
                    if self.prng.unit_f64() < chance { octet ^ bit } else { *octet }
                })
                .collect(),
        }
    }

    /// Power fails for a moment: what the radio was at is forgotten too.
    fn reboot(&mut self) {
        self.rcp = rcp(self.now);
        self.on_air = None;
        self.config = None;
    }

    /// A transmission each time the last one ended, for so long.
    fn busy_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            if self.ends.len() == self.sent.len() {
                self.transmit(&ASKS_ACK);
            }
            let pause = Duration::from_micros(1 + self.prng.below(5_000));
            self.run_for(pause);
        }
    }

    /// Converges after the fault ended: ready in time, and it stays so and works.
    fn check_recovery(&mut self) {
        self.line = Line::Sound;
        self.busy_for(RECOVERY_MAX);
        assert!(self.host.is_ready(), "{:?}", self.told);
        self.run_for(RADIO_SILENCE_MAX);
        assert!(self.host.is_ready(), "{:?}", self.told);
        assert_eq!(self.config, Some(config(15)));
        let token = self.transmit(&ASKS_ACK);
        self.run_for(Duration::from_millis(50));
        let token = TxToken(token);
        assert!(self.events.contains(&RadioEvent::Transmitted {
            token,
            status: TxStatus::Acked,
            attempts: 1
        }));
        assert_eq!(self.ends.len(), self.sent.len());
        assert!(self.aired.len() <= self.sent.len(), "one was on the air twice");
        assert!(self.ends.values().all(|&ends| ends == 1), "each ends once: {:?}", self.ends);
    }
}

#[test]
fn it_initialises() {
    let mut world = World::new(1);
    world.run_for(Duration::from_millis(50));
    assert!(!world.host.is_ready(), "it has no configuration yet");
    assert!(matches!(
        world.told.as_slice(),
        [
            CoProcessorEvent::Resetting { attempt: 1 },
            CoProcessorEvent::Restarted(_),
            CoProcessorEvent::Restarted(_),
            CoProcessorEvent::Identified { eui64: Some(EUI64), api: 11, .. },
            CoProcessorEvent::Ready,
        ]
    ));
    world.command(RadioCommand::Configure(config(15)));
    world.run_for(Duration::from_millis(50));
    assert!(world.host.is_ready());
    assert_eq!(world.config, Some(config(15)));
}

#[test]
fn a_scan_hears_every_pan() {
    let mut world = World::ready(1);
    let scan = RadioConfig { pan_id: None, short: None, ..config(20) };
    world.command(RadioCommand::Configure(scan));
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.config, Some(scan));
}

#[test]
fn it_sends_and_tells_how_that_ended() {
    for (air, psdu, status, attempts) in [
        (TxStatus::Acked, ASKS_ACK, TxStatus::Acked, 1),
        (TxStatus::Sent, ASKS_NONE, TxStatus::Sent, 1),
        (TxStatus::NoAck, ASKS_ACK, TxStatus::NoAck, 8),
        (TxStatus::ChannelBusy, ASKS_ACK, TxStatus::ChannelBusy, 0),
    ] {
        let mut world = World::ready(1);
        world.air_status = air;
        let token = TxToken(world.transmit(&psdu));
        world.run_for(Duration::from_millis(50));
        assert_eq!(world.events, [RadioEvent::Transmitted { token, status, attempts }]);
        assert_eq!(world.aired, [Psdu::from_slice(&psdu).unwrap()]);
    }
}

#[test]
fn it_hears() {
    let mut world = World::ready(1);
    world.hear();
    world.run_for(Duration::from_millis(50));
    let psdu = Psdu::from_slice(&ASKS_NONE).unwrap();
    assert_eq!(world.events, [RadioEvent::Received { psdu, rssi: Rssi(-50), lqi: Lqi(77) }]);
}

#[test]
fn a_second_transmission_finds_the_first_one_under_way() {
    let mut world = World::ready(1);
    world.transmit(&ASKS_ACK);
    let token = TxToken(world.transmit(&ASKS_ACK));
    world.run_for(Duration::from_millis(50));
    let status = TxStatus::ChannelBusy;
    assert_eq!(world.events[0], RadioEvent::Transmitted { token, status, attempts: 0 });
    assert_eq!(world.ends.len(), 2);
}

#[test]
fn a_change_of_channel_waits_for_the_transmission_under_way() {
    let mut world = World::ready(1);
    world.transmit(&ASKS_ACK);
    world.command(RadioCommand::Configure(config(20)));
    world.run_for(Duration::from_millis(4));
    assert_eq!(world.config, Some(config(15)));
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.config, Some(config(20)));
    assert_eq!(world.ends.len(), 1);
}

#[test]
fn before_it_is_ready_the_channel_is_busy_but_not_at_once() {
    let mut world = World::new(1);
    world.line = Line::Silent;
    let token = TxToken(world.transmit(&ASKS_ACK));
    world.run_for(UNREADY_MAX - Duration::from_millis(1));
    assert!(world.events.is_empty());
    world.run_for(Duration::from_millis(1));
    let status = TxStatus::ChannelBusy;
    assert_eq!(world.events, [RadioEvent::Transmitted { token, status, attempts: 0 }]);
}

#[test]
fn a_co_processor_that_started_afresh_is_configured_again() {
    let mut world = World::ready(1);
    world.transmit(&ASKS_ACK);
    world.run_for(Duration::from_millis(2));
    world.reboot();
    world.run_for(Duration::from_millis(100));
    let end = RadioEvent::Transmitted { token: TxToken(0), status: TxStatus::NoAck, attempts: 0 };
    assert_eq!(world.events, [end]);
    world.check_recovery();
    assert_eq!(world.reopened, 0);
}

#[test]
fn what_a_crashed_co_processor_says_of_its_end_is_told_in_one_line() {
    let mut world = World::new(1);
    let words = heapless::String::try_from("gave up\nat x.rs:1").unwrap();
    let config = RcpConfig::new(EUI64, "test/1");
    world.rcp = Rcp::restarted(world.now, config, Status::RESET_CRASH, Some(words));
    world.command(RadioCommand::Configure(self::config(15)));
    world.run_for(Duration::from_millis(100));
    let told: Vec<String> = world.told.iter().map(ToString::to_string).collect();
    let words = "co-processor: its last words were: gave up\\nat x.rs:1";
    assert!(told.iter().any(|line| line == words), "{told:?}");
    assert!(world.host.is_ready(), "{told:?}");
}

#[test]
fn a_lost_notice_of_a_reset_is_noticed() {
    let mut world = World::ready(1);
    world.line = Line::Silent;
    world.reboot();
    world.run_for(Duration::from_millis(1));
    world.line = Line::Sound;
    world.run_for(Duration::from_millis(700));
    assert!(world.told.contains(&CoProcessorEvent::Lost(Fault::Forgot)), "{:?}", world.told);
    world.check_recovery();
}

/// Purpose: one frame of the line is lost, each in turn, whichever way it went.
/// Criteria: after its reset the co-processor is ready within a repetition, and nothing was begun anew.
#[test]
fn a_question_without_an_answer_is_asked_again() {
    let questions = (QUESTIONS.len() + setup::SETTINGS.len()) as u32;
    for lost in 0..questions {
        for is_answer in [true, false] {
            let mut world = World::new(1);
            world.command(RadioCommand::Configure(config(15)));
            // Ahead of them are its birth and its reset, or our reset.
            match is_answer {
                true => world.loses_answer = Some(lost + 2),
                false => world.loses_question = Some(lost + 1),
            }
            world.run_for(REPEAT_AFTER + Duration::from_millis(50));
            assert!(world.host.is_ready(), "{lost}: {:?}", world.told);
            assert_eq!(world.config, Some(config(15)));
            assert!(!world.told.iter().any(|it| matches!(it, CoProcessorEvent::Lost(_))));
            assert_eq!((world.loses_answer, world.loses_question), (None, None));
        }
    }
}

#[test]
fn a_probe_that_is_not_answered_is_repeated() {
    let mut world = World::ready(1);
    let told = world.told.len();
    world.loses_answer = Some(0);
    world.run_for(PROBE_INTERVAL * 2);
    assert_eq!((world.loses_answer, world.told.len()), (None, told));
    assert!(world.host.is_ready());
}

/// Purpose: the word about a transmission is lost, or the transmission itself.
/// Criteria: it ends once with an end that is not known, was on the air at most once, and the co-processor is
/// not begun anew; one that answers no transmission at all is.
#[test]
fn a_transmission_is_not_repeated() {
    for (loses_answer, loses_question, aired) in [(Some(0), None, 1), (None, Some(0), 0)] {
        let mut world = World::ready(1);
        (world.loses_answer, world.loses_question) = (loses_answer, loses_question);
        let token = TxToken(world.transmit(&ASKS_ACK));
        world.run_for(TRANSMISSION_MAX + Duration::from_millis(50));
        let status = TxStatus::NoAck;
        assert_eq!(world.events, [RadioEvent::Transmitted { token, status, attempts: 0 }]);
        assert_eq!(
            (world.aired.len(), world.told.last()),
            (aired, Some(&CoProcessorEvent::EndUntold))
        );
        world.check_recovery();
        assert!(!world.told.iter().any(|it| matches!(it, CoProcessorEvent::Lost(_))));
    }
    let mut world = World::ready(1);
    for _ in 0..2 {
        world.loses_question = Some(0);
        world.transmit(&ASKS_ACK);
        world.run_for(TRANSMISSION_MAX + Duration::from_millis(50));
    }
    let lost = CoProcessorEvent::Lost(Fault::NoAnswer(lowgate_spinel::Property::STREAM_RAW));
    assert!(world.told.contains(&lost), "{:?}", world.told);
    world.check_recovery();
}

#[test]
fn what_only_a_reopened_line_heals() {
    let mut world = World::ready(1);
    world.line = Line::Stuck;
    world.busy_for(Duration::from_secs(4));
    assert_eq!(world.reopened, 1);
    assert!(world.host.is_ready());
    world.check_recovery();
}

#[test]
fn a_closed_line_ends_what_is_under_way() {
    let mut world = World::ready(1);
    world.transmit(&ASKS_ACK);
    world.run_for(Duration::from_millis(2));
    world.close();
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.ends.len(), 1);
    world.opens_at = Some(world.now + REOPEN_TIME);
    world.run_for(REOPEN_TIME);
    world.check_recovery();
}

/// Answers of another kind than ours: what OpenThread's host would refuse too.
#[test]
fn an_old_co_processor_is_named() {
    use lowgate_spinel::{Command, Header, Property, Status, Tid, encode, write_property};
    let say = |tid: Tid, property: Property, octets: &[u8]| -> Vec<u8> {
        let header = Header::new(tid);
        let frame = write_property(header, Command::PROP_VALUE_IS, property, |w| w.octets(octets));
        encode::<64>(&frame.unwrap()).unwrap().to_vec()
    };
    let mut host = CoProcessor::new(Instant::ZERO);
    host.handle(Instant::ZERO, CoProcessorInput::Opened);
    let notice = say(Tid::NONE, Property::LAST_STATUS, &[Status::RESET_SOFTWARE.0 as u8]);
    let mut tid = Tid::NONE;
    let mut answers = vec![notice];
    for (property, octets) in [
        (Property::PROTOCOL_VERSION, &[4, 3][..]),
        (Property::CAPS, &[34]),
        (Property::NCP_VERSION, b"old\0"),
        (Property::HWADDR, &[0; 8]),
        (Property::RCP_API_VERSION, &[3]),
    ] {
        tid = tid.next();
        answers.push(say(tid, property, octets));
    }
    let mut told = Vec::new();
    for answer in answers {
        host.handle(Instant::ZERO, CoProcessorInput::Octets(&answer));
        loop {
            match host.poll(Instant::ZERO) {
                CoProcessorOutput::Wait { .. } => break,
                CoProcessorOutput::Told(event) => told.push(event),
                _ => {}
            }
        }
    }
    let old = CoProcessorEvent::Incompatible(Incompatibility::ApiTooOld { api: 3 });
    assert_eq!(told.last(), Some(&old));
}

fn faults() -> impl Strategy<Value = Line> {
    prop_oneof![
        (0.001..0.5).prop_map(Line::Loses),
        (0.001..0.5).prop_map(Line::Flips),
        Just(Line::Silent),
        Just(Line::Stuck),
        Just(Line::Sound),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn after_any_fault_it_recovers(
        seed in any::<u64>(),
        faults in prop::collection::vec((faults(), 0_u64..3_000, any::<bool>(), any::<bool>()), 1..5),
    ) {
        let mut world = World::ready(seed);
        for (line, millis, reboots, closes) in faults {
            world.line = line;
            if reboots {
                world.reboot();
            }
            world.busy_for(Duration::from_millis(millis / 2));
            if closes && world.open {
                world.close();
                world.opens_at = Some(world.now + REOPEN_TIME);
            }
            world.busy_for(Duration::from_millis(millis / 2));
        }
        if world.line == Line::Stuck {
            world.line = Line::Sound;
        }
        world.check_recovery();
    }

    #[test]
    fn any_octets_never_panic(
        seed in any::<u64>(),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..10),
    ) {
        let mut world = World::ready(seed);
        for octets in noise {
            world.host.handle(world.now, CoProcessorInput::Octets(&octets));
            world.busy_for(Duration::from_millis(10));
        }
        world.check_recovery();
    }

    #[test]
    fn any_frames_never_panic(
        seed in any::<u64>(),
        frames in prop::collection::vec((0x80_u8..0x90, prop_oneof![Just(0), Just(0x71), 0_u8..0x40], prop::collection::vec(any::<u8>(), 0..40)), 0..30),
    ) {
        let mut world = World::ready(seed);
        for (header, property, value) in frames {
            let mut frame = vec![header, 6, property];
            frame.extend(value);
            let line: heapless::Vec<u8, 256> = lowgate_spinel::encode(&frame).unwrap();
            world.host.handle(world.now, CoProcessorInput::Octets(&line));
            world.run_for(Duration::from_millis(1));
        }
        // Lies are no faults of the line: who calls itself incompatible is believed for a while.
        world.run_for(INCOMPATIBLE_PAUSE);
        world.check_recovery();
    }
}
