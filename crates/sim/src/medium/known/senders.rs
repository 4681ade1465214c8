//! Stations that send one frame after the other to everybody, each by the MAC's own CSMA-CA, with a random
//! pause in between; station 0 only listens.

use lowgate_mac::{
    LinkInput, LinkMachine, LinkOutput, PSDU_OCTETS_MAX, Psdu, RadioCommand, RadioConfig,
    RadioEvent, TxToken,
};
use lowgate_units::{Channel, Duration, Eui64, Instant, PanId, Prng, ShortAddr};

use crate::medium::elementary::ln;
use crate::medium::{Links, Medium, MediumConfig, MediumOutput, StationId, air_time};
use crate::queue::{Queue, Wakes};

/// Every frame is as long as a frame may be.
pub(super) const AIR_TIME: Duration = air_time(PSDU_OCTETS_MAX);
const PAN: u16 = 0x1234;
const LISTENER: StationId = StationId(0);

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// Frames on the air.
    pub(super) aired: u64,
    /// Of these, what station 0 received.
    pub(super) received: u64,
}

/// Has all stations but 0 send for `run`, each pausing for `pause` on average, exponentially distributed,
/// between one frame's end and the next one's way to the channel.
pub(super) fn send(links: &Links, pause: Duration, run: Duration, seed: u64) -> Outcome {
    let mut senders = Senders::new(links, pause, seed);
    senders.run_to(Instant::ZERO + run);
    senders.outcome
}

struct Senders {
    medium: Medium,
    machines: Vec<LinkMachine>,
    wakes: Wakes,
    /// Who has its next frame ready, and when.
    ready: Queue<StationId>,
    dice: Vec<Prng>,
    pause_micros: f64,
    now: Instant,
    outcome: Outcome,
}

impl Senders {
    fn new(links: &Links, pause: Duration, seed: u64) -> Self {
        let stations = links.stations();
        let dice = |purpose| {
            let root = Prng::new(seed).fork(purpose);
            (0..stations as u64).map(move |station| root.fork(station))
        };
        let mut senders = Self {
            medium: Medium::new(MediumConfig::default(), links, seed),
            machines: dice(1).map(LinkMachine::new).collect(),
            wakes: Wakes::new(stations),
            ready: Queue::new(),
            dice: dice(2).collect(),
            pause_micros: pause.as_micros() as f64,
            now: Instant::ZERO,
            outcome: Outcome::default(),
        };
        for station in (0..stations as u32).map(StationId) {
            let config = RadioConfig {
                channel: Channel::new(15).expect("in the band"),
                pan_id: PanId::new(PAN),
                short: ShortAddr::new(station.0 as u16),
                eui64: Eui64(u64::from(station.0 + 1).to_be_bytes()),
                promiscuous: false,
            };
            senders.feed(station, LinkInput::Command(RadioCommand::Configure(config)));
            if station != LISTENER {
                senders.pause(station);
            }
        }
        senders
    }

    fn pause(&mut self, station: StationId) {
        // In (0, 1], so that the logarithm exists.
        let uniform = 1.0 - self.dice[station.index()].unit_f64();
        let micros = -self.pause_micros * ln(uniform);
        self.ready.push(self.now + Duration::from_micros(micros as u64), station);
    }

    fn run_to(&mut self, until: Instant) {
        loop {
            let due = self.medium.next_at().min(self.wakes.next_at()).min(self.ready.next_at());
            if due > until {
                return;
            }
            self.now = due;
            while self.medium.next_at() <= due {
                self.listen();
            }
            while let Some((_, station)) = self.ready.pop(due) {
                let (token, psdu) = (TxToken(0), frame(station));
                self.feed(station, LinkInput::Command(RadioCommand::Transmit { token, psdu }));
            }
            while let Some((_, index)) = self.wakes.next().filter(|(at, _)| *at <= due) {
                self.drain(StationId(index as u32));
            }
        }
    }

    fn listen(&mut self) {
        match self.medium.poll(self.now) {
            MediumOutput::Phy { station, event, .. } => self.feed(station, LinkInput::Phy(event)),
            MediumOutput::Aired { .. } => self.outcome.aired += 1,
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
                LinkOutput::Event(RadioEvent::Transmitted { .. }) => self.pause(station),
                LinkOutput::Event(RadioEvent::Received { .. }) => {
                    self.outcome.received += u64::from(station == LISTENER);
                }
                LinkOutput::Wait { until } => return self.wakes.set(station.index(), until),
            }
        }
    }
}

/// A data frame of 2003 for everybody, as long as a frame may be.
fn frame(src: StationId) -> Psdu {
    let [pan_low, pan_high] = PAN.to_le_bytes();
    let [src_low, src_high] = (src.0 as u16).to_le_bytes();
    let header = [0x41, 0x88, 0, pan_low, pan_high, 0xff, 0xff, src_low, src_high];
    header.into_iter().chain(std::iter::repeat(0)).take(PSDU_OCTETS_MAX).collect()
}
