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
mod links;

use std::collections::VecDeque;

use lowgate_mac::{PhyCommand, PhyEvent, Psdu};
use lowgate_units::{Channel, Duration, Instant, Lqi, Prng, Rssi};

use crate::queue::Queue;
pub use links::{Links, Strength};

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
const BIT_MICROS: f64 = 4.0;
/// The preamble and the delimiter: as long as they last, a louder frame takes the receiver over.
const SHR_TIME: Duration = Duration::from_micros(160);
/// A carrier has been recognised after half the preamble.
const CARRIER_SENSE_TIME: Duration = Duration::from_micros(64);
/// A receiver does not notice a preamble at less than this ratio of powers (-2 dB).
const LOCK_SINR_MIN: f64 = 0.63;
/// Another frame, spread by the same chips, harms more than noise of its power: data sheets of receivers
/// ask for 3 dB over an interferer on the same channel, where the formula for noise is content with 0.
const INTERFERENCE_WEIGHT: f64 = 2.0;
/// How much louder a frame must be to take a receiver over (3 dB).
const TAKEOVER_RATIO: f64 = 2.0;

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
    /// Mean energy over 8 symbols from which on the channel is busy, in dBm.
    pub cca_threshold_dbm: f64,
    /// Probability that a frame is lost on a link although it arrived, 0 to 1.
    pub loss: f64,
}

impl Default for MediumConfig {
    /// An office in which Wi-Fi shares the band: noise of -90 dBm, where a good receiver alone has -98 dBm.
    fn default() -> Self {
        Self { noise_dbm: -90.0, cca_threshold_dbm: -80.0, loss: 0.0 }
    }
}

impl MediumConfig {
    /// The probability that a frame of `psdu_len` octets (without FCS) at `strength` arrives when nobody
    /// else sends.
    pub fn reception(&self, strength: Strength, psdu_len: usize) -> f64 {
        let sinr = strength.milliwatts() / Strength::from_dbm(self.noise_dbm).milliwatts();
        if sinr < LOCK_SINR_MIN {
            return 0.0;
        }
        let bits = air_time(psdu_len).as_micros() as f64 / BIT_MICROS;
        (bits * bit_error::ln_bit_intact(sinr)).exp() * (1.0 - self.loss)
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
    noise_mw: f64,
    cca_threshold_mw: f64,
    loss: f64,
    paths: Vec<Vec<Path>>,
    radios: Vec<Radio>,
    flights: Vec<Flight>,
    free: Vec<usize>,
    steps: Queue<Step>,
    outputs: VecDeque<MediumOutput>,
    counters: MediumCounters,
    now: Instant,
}

/// The way from one station to another.
#[derive(Clone, Debug)]
struct Path {
    to: StationId,
    strength: Strength,
    milliwatts: f64,
    /// On top of the medium's.
    loss: f64,
    dice: Prng,
}

#[derive(Clone, Debug, Default)]
struct Radio {
    /// `None`: switched off.
    channel: Option<Channel>,
    /// The power of all frames on its channel, its own excepted, and how many these are.
    incident_mw: f64,
    incident: u32,
    sending: Sending,
    lock: Option<Lock>,
    cca: Option<Assessment>,
    /// The radio listened at least until then, and turns around from there.
    listened_until: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sending {
    #[default]
    No,
    /// Turning around; deaf to what it cannot follow to its end.
    Soon(usize),
    Now(usize),
}

/// The frame a receiver follows.
#[derive(Clone, Debug)]
struct Lock {
    flight: usize,
    milliwatts: f64,
    since: Instant,
    settled: Instant,
    ln_intact: f64,
    /// The worst so far; makes the LQI.
    sinr_min: f64,
}

#[derive(Clone, Debug)]
struct Assessment {
    ends: Instant,
    settled: Instant,
    /// Milliwatts times microseconds.
    energy: f64,
}

#[derive(Clone, Debug)]
struct Flight {
    station: StationId,
    channel: Channel,
    psdu: Psdu,
    frame: FrameId,
    /// The sender was switched off or retuned: its steps still come, to no effect.
    aborted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(usize),
    End(usize),
    CcaEnd(StationId),
}

impl Medium {
    /// A medium over `links` in which all radios are off. `seed` decides the dice.
    pub fn new(config: MediumConfig, links: &Links, seed: u64) -> Self {
        let dice = Prng::new(seed);
        let stations = (0..links.stations() as u32).map(StationId);
        Self {
            noise_mw: Strength::from_dbm(config.noise_dbm).milliwatts(),
            cca_threshold_mw: Strength::from_dbm(config.cca_threshold_dbm).milliwatts(),
            loss: config.loss,
            paths: stations.map(|from| paths(links, from, &dice)).collect(),
            radios: vec![Radio::default(); links.stations()],
            flights: Vec::new(),
            free: Vec::new(),
            steps: Queue::new(),
            outputs: VecDeque::new(),
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
        for path in self.paths[from.index()].iter_mut().filter(|path| path.to == to) {
            path.loss = loss;
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
        self.outputs.retain(
            |output| !matches!(output, MediumOutput::Phy { station: to, .. } if *to == station),
        );
        let mut incident_mw = 0.0;
        let mut incident = 0;
        for radio in &self.radios {
            let Sending::Now(flight) = radio.sending else { continue };
            let flight = &self.flights[flight];
            let path = self.paths[flight.station.index()].iter().find(|path| path.to == station);
            if let Some(path) = path.filter(|_| Some(flight.channel) == channel) {
                incident_mw += path.milliwatts;
                incident += 1;
            }
        }
        let radio = &mut self.radios[station.index()];
        self.counters.abandoned += u64::from(radio.lock.is_some());
        *radio = Radio { channel, incident_mw, incident, ..Radio::default() };
    }

    /// Senses the channel for 8 symbols; [`PhyEvent::CcaDone`] answers.
    fn sense(&mut self, now: Instant, station: StationId) {
        self.advance(now);
        let radio = &mut self.radios[station.index()];
        assert!(radio.channel.is_some() && radio.cca.is_none(), "{station:?} cannot sense now");
        let ends = now + CCA_TIME;
        radio.cca = Some(Assessment { ends, settled: now, energy: 0.0 });
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
        let flight = Flight { station, channel, psdu, frame: FrameId(u64::MAX), aborted: false };
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
            if let Some(output) = self.outputs.pop_front() {
                return output;
            }
            match self.steps.pop(now) {
                Some((at, Step::Begin(slot))) => self.begin(at, slot),
                Some((at, Step::End(slot))) => self.end(at, slot),
                Some((at, Step::CcaEnd(station))) => self.assess(at, station),
                None => return MediumOutput::Wait { until: self.steps.next_at() },
            }
        }
    }

    /// When to poll next, as the last [`MediumOutput::Wait`] said or sooner after new commands.
    pub fn next_at(&self) -> Instant {
        if self.outputs.is_empty() { self.steps.next_at() } else { self.now }
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
        for path in &self.paths[flight.station.index()] {
            let radio = &mut self.radios[path.to.index()];
            if radio.channel == Some(flight.channel) {
                radio.settle(now, self.noise_mw);
                radio.incident_mw += path.milliwatts;
                radio.incident += 1;
                radio.notice(now, slot, path.milliwatts, self.noise_mw, &mut self.counters);
            }
        }
        let ends = now + air_time(flight.psdu.len());
        self.steps.push(ends, Step::End(slot));
        self.outputs.push_back(MediumOutput::Aired {
            frame: flight.frame,
            station: flight.station,
            channel: flight.channel,
            psdu: flight.psdu.clone(),
            ends,
        });
    }

    fn end(&mut self, now: Instant, slot: usize) {
        self.free.push(slot);
        let flight = &self.flights[slot];
        if flight.aborted {
            return;
        }
        let (station, frame) = (flight.station, flight.frame);
        self.radios[station.index()].sending = Sending::No;
        let event = PhyEvent::TransmitDone;
        self.outputs.push_back(MediumOutput::Phy { station, frame: Some(frame), event });
        for path in &mut self.paths[station.index()] {
            let radio = &mut self.radios[path.to.index()];
            if radio.channel != Some(flight.channel) {
                continue;
            }
            radio.settle(now, self.noise_mw);
            radio.fade(path.milliwatts);
            let Some(lock) = radio.lock.take_if(|lock| lock.flight == slot) else { continue };
            radio.listened_until = now;
            if path.dice.unit_f64() >= lock.ln_intact.exp() {
                self.counters.corrupted += 1;
            } else if path.dice.unit_f64() >= (1.0 - self.loss) * (1.0 - path.loss) {
                self.counters.lost += 1;
            } else {
                self.counters.received += 1;
                let event = PhyEvent::Received {
                    psdu: flight.psdu.clone(),
                    rssi: rssi(path.strength),
                    lqi: lqi(lock.sinr_min),
                };
                let (station, frame) = (path.to, Some(frame));
                self.outputs.push_back(MediumOutput::Phy { station, frame, event });
            }
        }
    }

    fn assess(&mut self, now: Instant, station: StationId) {
        let radio = &mut self.radios[station.index()];
        radio.settle(now, self.noise_mw);
        // An assessment that a retuning broke off left its step behind.
        let Some(cca) = radio.cca.take_if(|cca| cca.ends == now) else { return };
        radio.listened_until = now;
        let mean_mw = cca.energy / CCA_TIME.as_micros() as f64;
        let carrier =
            radio.lock.as_ref().is_some_and(|lock| lock.since + CARRIER_SENSE_TIME <= now);
        let idle = radio.sending == Sending::No && !carrier && mean_mw < self.cca_threshold_mw;
        self.counters.busy += u64::from(!idle);
        let event = PhyEvent::CcaDone { idle };
        self.outputs.push_back(MediumOutput::Phy { station, frame: None, event });
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
        for path in self.paths[station.index()].iter().filter(|_| begun) {
            let radio = &mut self.radios[path.to.index()];
            if radio.channel == Some(channel) {
                radio.settle(now, self.noise_mw);
                radio.fade(path.milliwatts);
                let broken = radio.lock.take_if(|lock| lock.flight == slot);
                self.counters.corrupted += u64::from(broken.is_some());
            }
        }
    }
}

impl Radio {
    /// Accounts for the time since the last change, during which the powers around were constant.
    fn settle(&mut self, now: Instant, noise_mw: f64) {
        if let Some(lock) = &mut self.lock {
            let micros = now.since(lock.settled).as_micros() as f64;
            let sinr = sinr(lock.milliwatts, self.incident_mw, noise_mw);
            lock.settled = now;
            if micros > 0.0 {
                lock.ln_intact += micros / BIT_MICROS * bit_error::ln_bit_intact(sinr);
                lock.sinr_min = lock.sinr_min.min(sinr);
            }
        }
        if let Some(cca) = &mut self.cca {
            cca.energy += self.incident_mw * now.since(cca.settled).as_micros() as f64;
            cca.settled = now;
        }
    }

    /// A frame of this power ended. Sums of powers must come back to nothing when the air is silent.
    fn fade(&mut self, milliwatts: f64) {
        self.incident -= 1;
        self.incident_mw = if self.incident == 0 { 0.0 } else { self.incident_mw - milliwatts };
    }

    /// A frame begins and already counts among the incident ones: does this radio follow it?
    fn notice(
        &mut self,
        now: Instant,
        flight: usize,
        milliwatts: f64,
        noise_mw: f64,
        counters: &mut MediumCounters,
    ) {
        let alone = milliwatts / noise_mw;
        if alone < LOCK_SINR_MIN {
            return;
        }
        let sinr = sinr(milliwatts, self.incident_mw, noise_mw);
        let taken = self.lock.as_ref().is_some_and(|lock| {
            now > lock.since + SHR_TIME || milliwatts < lock.milliwatts * TAKEOVER_RATIO
        });
        if matches!(self.sending, Sending::Now(_)) || taken || sinr < LOCK_SINR_MIN {
            counters.unheard += 1;
            return;
        }
        counters.abandoned += u64::from(self.lock.is_some());
        self.lock = Some(Lock {
            flight,
            milliwatts,
            since: now,
            settled: now,
            ln_intact: 0.0,
            sinr_min: sinr,
        });
    }
}

/// The ways out of `from`, in the order of the stations, each with dice of its own.
fn paths(links: &Links, from: StationId, dice: &Prng) -> Vec<Path> {
    let mut paths: Vec<_> = links
        .neighbours(from)
        .iter()
        .map(|&(to, strength)| Path {
            to,
            strength,
            milliwatts: strength.milliwatts(),
            loss: 0.0,
            dice: dice.fork(u64::from(from.0) << 32 | u64::from(to.0)),
        })
        .collect();
    paths.sort_by_key(|path| path.to);
    paths
}

/// The ratio of one of the incident frames to all else.
fn sinr(milliwatts: f64, incident_mw: f64, noise_mw: f64) -> f64 {
    milliwatts / (noise_mw + INTERFERENCE_WEIGHT * (incident_mw - milliwatts).max(0.0))
}

fn rssi(strength: Strength) -> Rssi {
    Rssi(strength.dbm().round().clamp(-128.0, 127.0) as i8)
}

fn lqi(sinr: f64) -> Lqi {
    Lqi((10.0 * sinr.log10() * 255.0 / 30.0).clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests;
