//! The air between the radios: 2.4 GHz O-QPSK at 250 kbit/s, as one machine under virtual time.
//!
//! A frame takes 32 us per octet. Each receiver that hears it settles, piece by piece between changes of the
//! interference around it, how likely its bits survived; the dice are thrown once, at the end, by a
//! generator of that link's own. A radio is half duplex, follows one frame at a time, needs 12 symbols from
//! listening to sending, and senses the channel over 8 symbols.
//!
//! **Invariant:** silence costs nothing; a frame costs work only at the stations within its reach. Nothing
//! that happens on one link moves the dice of another.

mod bit_error;
pub(crate) mod elementary;
mod energy;
pub(crate) mod grid;
pub mod known;
mod links;
mod power;
mod quality;
mod radio;

use std::collections::VecDeque;
use std::ops::Range;

use lowgate_mac::{PhyCommand, PhyEvent, Psdu};
use lowgate_units::{Channel, Duration, Instant, Lqi, Prng, Rssi};

use crate::queue::Queue;
pub use bit_error::bit_error_rate;
use elementary::exp;
pub use energy::{Currents, RadioTime};
use energy::{Meter, RadioState};
pub use links::Links;
use power::Power;
pub use power::Strength;
use radio::{Assessment, BIT_MICROS, LOCK_SINR_MIN, Radio, Sending};

/// Octets on the air in front of every PSDU: preamble, start of frame, length.
pub const SHR_PHR_OCTETS: usize = 6;
/// Octets of the frame check sequence, which PSDUs at the radio seam do not carry.
pub const FCS_OCTETS: usize = 2;
/// A symbol of four bits.
pub const SYMBOL: Duration = Duration::from_micros(16);
/// From listening to sending: aTurnaroundTime, 12 symbols.
pub const TURNAROUND: Duration = Duration::from_micros(192);
/// How long a clear channel assessment measures: 8 symbols.
pub const CCA_TIME: Duration = Duration::from_micros(128);

const OCTET_MICROS: u64 = 32;

/// A radio in the medium: an index below the number of stations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StationId(pub u32);

impl StationId {
    /// For indexing.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of a frame in the order of the air, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameId(pub u64);

/// What the radios have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MediumConfig {
    /// Noise in the receiver's bandwidth, its own and that of the band, in dBm.
    pub noise_dbm: f64,
    /// A receiver does not notice a frame below this strength, in dBm, however quiet the band.
    pub sensitivity_dbm: f64,
    /// Mean energy over 8 symbols, noise included, from which on the channel is busy, in dBm.
    pub cca_threshold_dbm: f64,
    /// Probability that a frame is lost on a link although it arrived, 0 to 1.
    pub loss: f64,
}

impl Default for MediumConfig {
    /// An office in which Wi-Fi shares the band: noise of -90 dBm, where a good receiver alone has -98 dBm
    /// and a sensitivity of -100 dBm (nRF52840 product specification, 802.15.4 at 250 kbit/s).
    fn default() -> Self {
        Self { noise_dbm: -90.0, sensitivity_dbm: -100.0, cca_threshold_dbm: -80.0, loss: 0.0 }
    }
}

impl MediumConfig {
    /// The probability that a frame of `psdu_len` octets (without FCS) at `strength` arrives when nobody
    /// else sends.
    pub fn reception(&self, strength: Strength, psdu_len: usize) -> f64 {
        let receiver = Receiver::new(self);
        if strength.power() < receiver.noticed {
            return 0.0;
        }
        let sinr = strength.power().attowatts() / receiver.noise;
        let bits = air_time(psdu_len).as_micros() as f64 / BIT_MICROS;
        exp(bits * bit_error::ln_bit_intact(sinr)) * (1.0 - self.loss)
    }
}

/// What all receivers have in common, in attowatts.
#[derive(Clone, Copy, Debug)]
struct Receiver {
    noise: f64,
    /// The least that is noticed when nobody else sends.
    noticed: Power,
    /// Over 8 symbols, less the noise: attowatts times microseconds.
    busy: u64,
}

impl Receiver {
    fn new(config: &MediumConfig) -> Self {
        let power = |dbm| Strength::from_dbm(dbm).power();
        let noise = power(config.noise_dbm);
        let quietest = Power::ceil(noise.attowatts() * LOCK_SINR_MIN);
        let cca_micros = CCA_TIME.as_micros() as u64;
        let threshold = power(config.cca_threshold_dbm).over(cca_micros);
        Self {
            noise: noise.attowatts(),
            noticed: quietest.max(power(config.sensitivity_dbm)),
            busy: threshold.saturating_sub(noise.over(cca_micros)),
        }
    }
}

/// How long a frame of `psdu_len` octets (without FCS) is on the air.
pub const fn air_time(psdu_len: usize) -> Duration {
    Duration::from_micros((SHR_PHR_OCTETS + psdu_len + FCS_OCTETS) as u64 * OCTET_MICROS)
}

/// What the medium has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum MediumOutput {
    /// For the driver of a radio.
    Phy {
        /// Whose radio.
        station: StationId,
        /// The frame that was sent or received.
        frame: Option<FrameId>,
        /// What the radio says. The RSSI is the frame's own power; the LQI is 0 at an SINR of 0 dB and
        /// 255 from 30 dB on, by the frame's worst moment.
        event: PhyEvent,
    },
    /// A frame begins, for captures and checkers. In the order of the air.
    Aired {
        /// Its number.
        frame: FrameId,
        /// Who sends.
        station: StationId,
        /// Where.
        channel: Channel,
        /// Its octets.
        psdu: Psdu,
        /// When it ends.
        ends: Instant,
    },
    /// Nothing more until then.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// What became of all frames so far, per receiver that could have decoded them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediumCounters {
    /// Frames sent.
    pub aired: u64,
    /// Receptions handed up.
    pub received: u64,
    /// Receptions with a bad FCS: noise or a collision.
    pub corrupted: u64,
    /// Receptions that the extra loss took.
    pub lost: u64,
    /// Receptions broken off because the receiver began to send, retuned, or went to a louder frame.
    pub abandoned: u64,
    /// Frames that a receiver did not notice because it was sending or following another.
    pub unheard: u64,
    /// Clear channel assessments that found the channel busy.
    pub busy: u64,
}

/// The medium: fed by the radios, polled to [`MediumOutput::Wait`].
#[derive(Debug)]
pub struct Medium {
    receiver: Receiver,
    loss: f64,
    paths: Paths,
    radios: Vec<Radio>,
    meters: Vec<Meter>,
    /// Frames on the air or about to be, and places of former ones.
    flights: Vec<Flight>,
    free: Vec<usize>,
    steps: Queue<Step>,
    sayings: VecDeque<Saying>,
    counters: MediumCounters,
    now: Instant,
}

/// All ways from one station to another: those out of one station lie together, in the order of their ends.
#[derive(Debug)]
struct Paths {
    first: Vec<u32>,
    /// What every frame needs.
    paths: Vec<Path>,
    /// What only a reception needs.
    fates: Vec<Fate>,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    to: StationId,
    rssi: Rssi,
    power: Power,
}

/// What may happen to a frame on a path that is not the interference's doing.
#[derive(Clone, Debug)]
struct Fate {
    /// On top of the medium's.
    loss: f64,
    dice: Prng,
}

#[derive(Clone, Debug)]
struct Flight {
    station: StationId,
    channel: Channel,
    psdu: Psdu,
    frame: FrameId,
    ends: Instant,
    /// The sender was switched off or retuned: its steps still come, to no effect.
    aborted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(usize),
    End(usize),
    CcaEnd(StationId),
}

/// A [`MediumOutput`] to come; octets are copied when it is asked for.
#[derive(Clone, Copy, Debug)]
enum Saying {
    Aired(usize),
    Sent(usize),
    Received {
        slot: usize,
        path: u32,
        lqi: Lqi,
    },
    Assessed {
        station: StationId,
        idle: bool,
    },
    /// Everything about a flight was said.
    Over(usize),
}

impl Medium {
    /// A medium over `links` in which all radios are off. `seed` decides the dice.
    pub fn new(config: MediumConfig, links: &Links, seed: u64) -> Self {
        Self {
            receiver: Receiver::new(&config),
            loss: config.loss,
            paths: Paths::new(links, &Prng::new(seed)),
            radios: vec![Radio::default(); links.stations()],
            meters: vec![Meter::default(); links.stations()],
            flights: Vec::new(),
            free: Vec::new(),
            steps: Queue::new(),
            sayings: VecDeque::new(),
            counters: MediumCounters::default(),
            now: Instant::ZERO,
        }
    }

    /// How many stations there are.
    pub fn stations(&self) -> usize {
        self.radios.len()
    }

    /// What became of all frames so far.
    pub fn counters(&self) -> MediumCounters {
        self.counters
    }

    /// How long the radio of `station` was in each of its states, from the beginning to the last command or
    /// poll.
    pub fn radio_time(&self, station: StationId) -> RadioTime {
        self.meters[station.index()].read(self.now)
    }

    /// The probability that any frame on any link is lost although it arrived.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Sets [`Self::loss`].
    pub fn set_loss(&mut self, loss: f64) {
        self.loss = loss;
    }

    /// The same on the link between `a` and `b` only, both ways, on top of the medium's: 1 cuts the link,
    /// though the two still disturb each other.
    pub fn set_link_loss(&mut self, a: StationId, b: StationId, loss: f64) {
        for (from, to) in [(a, b), (b, a)] {
            self.set_path_loss(from, to, loss);
        }
    }

    /// The same in one direction only.
    pub fn set_path_loss(&mut self, from: StationId, to: StationId, loss: f64) {
        if let Some(path) = self.paths.find(from, to) {
            self.paths.fates[path].loss = loss;
        }
    }

    /// Does what the driver of `station`'s radio asks. The first [`PhyCommand::Tune`] switches it on.
    ///
    /// # Panics
    /// When the radio is off, or still busy with the command before: a fault of its driver.
    pub fn perform(&mut self, now: Instant, station: StationId, command: PhyCommand) {
        match command {
            PhyCommand::Tune { channel } => self.tune(now, station, Some(channel)),
            PhyCommand::Cca => self.sense(now, station),
            PhyCommand::Transmit { psdu } => self.transmit(now, station, psdu),
        }
    }

    /// Has the radio of `station` listen on `channel`, or switches it off. What it was sending or
    /// receiving breaks off; an assessment under way is never answered, nor is anything else still said
    /// to the driver of before.
    pub fn tune(&mut self, now: Instant, station: StationId, channel: Option<Channel>) {
        self.advance(now);
        if self.radios[station.index()].channel == channel {
            return;
        }
        self.abort(now, station);
        self.forget_sayings(station);
        let mut incident = Power::default();
        for path in self.paths.of(station) {
            // Who hears us is heard by us.
            let Sending::Now(slot) = self.radios[path.to.index()].sending else { continue };
            if Some(self.flights[slot].channel) == channel {
                incident += path.power;
            }
        }
        let radio = &mut self.radios[station.index()];
        self.counters.abandoned += u64::from(radio.lock.is_some());
        *radio = Radio { channel, incident, ..Radio::default() };
        let state = if channel.is_some() { RadioState::Listen } else { RadioState::Off };
        self.meters[station.index()].enter(now, state);
    }

    fn forget_sayings(&mut self, station: StationId) {
        let (flights, paths) = (&self.flights, &self.paths);
        self.sayings.retain(|saying| match *saying {
            Saying::Aired(_) | Saying::Over(_) => true,
            Saying::Sent(slot) => flights[slot].station != station,
            Saying::Received { path, .. } => paths.paths[path as usize].to != station,
            Saying::Assessed { station: to, .. } => to != station,
        });
    }

    /// Senses the channel for 8 symbols; [`PhyEvent::CcaDone`] answers.
    fn sense(&mut self, now: Instant, station: StationId) {
        self.advance(now);
        let radio = &mut self.radios[station.index()];
        assert!(radio.channel.is_some() && radio.cca.is_none(), "{station:?} cannot sense now");
        let ends = now + CCA_TIME;
        radio.cca = Some(Assessment { ends, settled: now, energy: 0 });
        self.steps.push(ends, Step::CcaEnd(station));
    }

    /// Sends at once, or 12 symbols after the radio last listened to something that mattered (a frame's
    /// end, an assessment's end); [`PhyEvent::TransmitDone`] answers.
    fn transmit(&mut self, now: Instant, station: StationId, psdu: Psdu) {
        self.advance(now);
        let radio = &mut self.radios[station.index()];
        assert_eq!(radio.sending, Sending::No, "{station:?} already sends");
        let channel = radio.channel.expect("a radio that is off is given nothing to send");
        let begins = now.max(radio.listened_until + TURNAROUND);
        let ends = begins + air_time(psdu.len());
        let frame = FrameId(u64::MAX);
        let flight = Flight { station, channel, psdu, frame, ends, aborted: false };
        let slot = if let Some(slot) = self.free.pop() {
            self.flights[slot] = flight;
            slot
        } else {
            self.flights.push(flight);
            self.flights.len() - 1
        };
        radio.sending = Sending::Soon(slot);
        self.steps.push(begins, Step::Begin(slot));
    }

    /// What happened up to `now`, one thing at a time; [`MediumOutput::Wait`] comes last.
    ///
    /// # Panics
    /// When `now` is earlier than before, or later than the medium asked to be polled.
    pub fn poll(&mut self, now: Instant) -> MediumOutput {
        self.advance(now);
        loop {
            while let Some(saying) = self.sayings.pop_front() {
                match saying {
                    Saying::Aired(slot) => return self.aired(slot),
                    Saying::Sent(slot) => {
                        let Flight { station, frame, .. } = self.flights[slot];
                        let event = PhyEvent::TransmitDone;
                        return MediumOutput::Phy { station, frame: Some(frame), event };
                    }
                    Saying::Received { slot, path, lqi } => return self.received(slot, path, lqi),
                    Saying::Assessed { station, idle } => {
                        let event = PhyEvent::CcaDone { idle };
                        return MediumOutput::Phy { station, frame: None, event };
                    }
                    Saying::Over(slot) => self.free.push(slot),
                }
            }
            match self.steps.pop(now) {
                Some((at, Step::Begin(slot))) => self.begin(at, slot),
                Some((at, Step::End(slot))) => self.end(at, slot),
                Some((at, Step::CcaEnd(station))) => self.assess(at, station),
                None => return MediumOutput::Wait { until: self.steps.next_at() },
            }
        }
    }

    fn aired(&self, slot: usize) -> MediumOutput {
        let Flight { station, channel, frame, ends, ref psdu, .. } = self.flights[slot];
        MediumOutput::Aired { frame, station, channel, psdu: psdu.clone(), ends }
    }

    fn received(&self, slot: usize, path: u32, lqi: Lqi) -> MediumOutput {
        let (flight, path) = (&self.flights[slot], &self.paths.paths[path as usize]);
        let event = PhyEvent::Received { psdu: flight.psdu.clone(), rssi: path.rssi, lqi };
        MediumOutput::Phy { station: path.to, frame: Some(flight.frame), event }
    }

    /// When to poll next, as the last [`MediumOutput::Wait`] said or sooner after new commands.
    pub fn next_at(&self) -> Instant {
        if self.sayings.is_empty() { self.steps.next_at() } else { self.now }
    }

    fn advance(&mut self, now: Instant) {
        assert!(now >= self.now, "the world's clock never goes back");
        assert!(now <= self.steps.next_at(), "the medium is polled when it asked for it");
        self.now = now;
    }

    fn begin(&mut self, now: Instant, slot: usize) {
        let flight = &mut self.flights[slot];
        if flight.aborted {
            self.free.push(slot);
            return;
        }
        flight.frame = FrameId(self.counters.aired);
        self.counters.aired += 1;
        let sender = &mut self.radios[flight.station.index()];
        sender.sending = Sending::Now(slot);
        self.counters.abandoned += u64::from(sender.lock.take().is_some());
        self.meters[flight.station.index()].enter(now, RadioState::Transmit);
        for path in self.paths.of(flight.station) {
            let radio = &mut self.radios[path.to.index()];
            if radio.channel == Some(flight.channel) {
                radio.settle(now, &self.receiver);
                radio.incident += path.power;
                radio.notice(now, slot, path.power, &self.receiver, &mut self.counters);
            }
        }
        self.steps.push(flight.ends, Step::End(slot));
        self.sayings.push_back(Saying::Aired(slot));
    }

    fn end(&mut self, now: Instant, slot: usize) {
        let Flight { station, channel, aborted, .. } = self.flights[slot];
        if aborted {
            self.sayings.push_back(Saying::Over(slot));
            return;
        }
        self.radios[station.index()].sending = Sending::No;
        self.meters[station.index()].enter(now, RadioState::Listen);
        self.sayings.push_back(Saying::Sent(slot));
        for index in self.paths.range(station) {
            let path = &self.paths.paths[index];
            let radio = &mut self.radios[path.to.index()];
            if radio.channel != Some(channel) {
                continue;
            }
            radio.settle(now, &self.receiver);
            radio.incident -= path.power;
            let Some(lock) = radio.lock.take_if(|lock| lock.flight == slot) else { continue };
            radio.listened_until = now;
            let Fate { loss, dice } = &mut self.paths.fates[index];
            let (noise, chance) = (dice.unit_f64(), dice.unit_f64());
            if !lock.survives(noise) {
                self.counters.corrupted += 1;
            } else if chance >= (1.0 - self.loss) * (1.0 - *loss) {
                self.counters.lost += 1;
            } else {
                self.counters.received += 1;
                let lqi = quality::lqi(lock.sinr_min());
                self.sayings.push_back(Saying::Received { slot, path: index as u32, lqi });
            }
        }
        self.sayings.push_back(Saying::Over(slot));
    }

    fn assess(&mut self, now: Instant, station: StationId) {
        let radio = &mut self.radios[station.index()];
        radio.settle(now, &self.receiver);
        // An assessment that a retuning broke off left its step behind.
        let Some(cca) = radio.cca.take_if(|cca| cca.ends == now) else { return };
        radio.listened_until = now;
        let busy = radio.sending != Sending::No
            || radio.senses_carrier(now)
            || cca.energy >= self.receiver.busy;
        self.counters.busy += u64::from(busy);
        self.sayings.push_back(Saying::Assessed { station, idle: !busy });
    }

    /// Takes what `station` sends off the air.
    fn abort(&mut self, now: Instant, station: StationId) {
        let slot = match self.radios[station.index()].sending {
            Sending::No => return,
            Sending::Soon(slot) | Sending::Now(slot) => slot,
        };
        let begun = self.radios[station.index()].sending == Sending::Now(slot);
        self.radios[station.index()].sending = Sending::No;
        self.flights[slot].aborted = true;
        let channel = self.flights[slot].channel;
        for path in self.paths.of(station).iter().filter(|_| begun) {
            let radio = &mut self.radios[path.to.index()];
            if radio.channel == Some(channel) {
                radio.settle(now, &self.receiver);
                radio.incident -= path.power;
                let broken = radio.lock.take_if(|lock| lock.flight == slot);
                self.counters.corrupted += u64::from(broken.is_some());
            }
        }
    }
}

impl Paths {
    fn new(links: &Links, dice: &Prng) -> Self {
        let stations = || (0..links.stations() as u32).map(StationId);
        let mut paths = Self { first: vec![0], paths: Vec::new(), fates: Vec::new() };
        for from in stations() {
            let of_sender = dice.fork(links.name(from));
            for &(to, strength) in links.neighbours(from) {
                paths.paths.push(Path { to, rssi: rssi(strength), power: strength.power() });
                paths.fates.push(Fate { loss: 0.0, dice: of_sender.fork(links.name(to)) });
            }
            paths.first.push(paths.paths.len() as u32);
        }
        paths
    }

    fn range(&self, from: StationId) -> Range<usize> {
        self.first[from.index()] as usize..self.first[from.index() + 1] as usize
    }

    fn of(&self, from: StationId) -> &[Path] {
        &self.paths[self.range(from)]
    }

    fn find(&self, from: StationId, to: StationId) -> Option<usize> {
        let found = self.of(from).binary_search_by_key(&to, |path| path.to).ok()?;
        Some(self.range(from).start + found)
    }
}

fn rssi(strength: Strength) -> Rssi {
    Rssi(strength.dbm().round().clamp(-128.0, 127.0) as i8)
}

#[cfg(test)]
mod tests;
