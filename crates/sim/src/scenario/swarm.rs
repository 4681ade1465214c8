//! The swarm's dice: a seed draws a building, what people do in it and what goes wrong; in the end nothing
//! goes wrong any more, and everybody must be back.
//!
//! **Invariant:** equal seeds draw equal scenarios. Each aspect is drawn from dice of its own, so that
//! another way to draw one of them leaves all others as they were. Whole kinds of deeds and disasters are
//! left out of a run by the toss of a coin: what would hide a fault is often not there.

use super::{Deed, Disaster, Expectation, Scenario, Timed, Trouble};
use crate::building::Device;
use crate::medium::StationId;
use crate::world::{Backbone, DRIFT_PPM_MAX, Intruder, Lie, Towards, Trick};
use lowgate_dtls::Psk;
use lowgate_manager::{GroupId, Identity};
use lowgate_units::{Duration, Eui64, Instant, Prng};

/// After the last disaster and the last deed everybody is back within this time.
pub const CONVERGED_WITHIN: Duration = Duration::from_secs(300);

const DEVICES_MAX: u64 = 30;
/// Of all frames, on top of what the radio loses.
const LOSS_MAX: f64 = 0.2;
/// Between two installations, at most; in half of the runs everybody gets power at once.
const INSTALL_GAP_MILLIS_MAX: u64 = 3_000;
/// Of each kind of deed, at most.
const DEEDS_MAX: u64 = 6;
/// Nobody is asked for anything before.
const DEEDS_FROM: Instant = Instant::from_secs(20);
/// Deeds are done by then.
const DEEDS_UNTIL: Instant = Instant::from_secs(240);
const DISASTERS_MAX: u64 = 10;
/// Disasters have begun by then.
const DISASTERS_UNTIL: Instant = Instant::from_secs(180);
const DISASTER_MILLIS_MAX: u64 = 60_000;
const INTRUDERS_MAX: u64 = 3;
const ATTACKERS_MAX: u64 = 3;
/// An intruder hangs so far beside a device at most, in metres.
const INTRUDER_METRES_MAX: f64 = 3.0;
/// Of intruders, a locally administered address each; attackers count from another number on.
const INTRUDER_EUI64: u64 = 0x0212_4b00_ff00_0000;
const ATTACKER_EUI64: u64 = INTRUDER_EUI64 + 0x100;
/// Of the time.
const JAM_PERCENT_MAX: u64 = 60;
/// A store on a bad day, for one batch.
const COMMIT_MILLIS_MAX: u64 = 2_000;
const JITTER_MILLIS_MAX: u64 = 300;
/// A worn flash still takes so many writes, at most.
const WRITES_MAX: u64 = 12;

/// What is drawn, each from dice of its own.
#[derive(Clone, Copy)]
enum Aspect {
    Building = 1,
    Installation,
    Medium,
    Intruders,
    Deeds,
    DeedKinds,
    Disasters,
    DisasterKinds,
    /// Intruders after those of [`Self::Intruders`], and when they are at work.
    Attackers,
}

impl Aspect {
    fn dice(self, seed: u64) -> Prng {
        Prng::new(seed).fork(u64::from(u32::from_be_bytes(*b"swrm"))).fork(self as u64)
    }
}

impl Scenario {
    /// The swarm's scenario of a seed: at the end of it everybody is back.
    ///
    /// # Panics
    /// Never: any number of devices that is drawn has a building.
    pub fn drawn(seed: u64) -> Self {
        let mut scenario = Self::drawn_unattacked(seed);
        scenario.draw_attackers(seed);
        scenario.end_converged(CONVERGED_WITHIN);
        scenario
    }

    /// The same without the attackers whose tricks came after all others: what most faults of ours were found
    /// with.
    ///
    /// # Panics
    /// Never: any number of devices that is drawn has a building.
    pub fn drawn_unattacked(seed: u64) -> Self {
        let mut dice = Aspect::Building.dice(seed);
        let devices = 1 + dice.below(DEVICES_MAX) as usize;
        let mut installation = Aspect::Installation.dice(seed);
        let gap = match installation.below(2) {
            0 => Duration::ZERO,
            _ => Duration::from_millis(installation.below(INSTALL_GAP_MILLIS_MAX)),
        };
        let drawn = Self::installed(devices, dice.next_u64(), gap, Duration::ZERO);
        let mut scenario = drawn.expect("there is a building for so few");
        scenario.name = format!("swarm {seed}");
        scenario.medium.loss = Aspect::Medium.dice(seed).unit_f64() * LOSS_MAX;
        scenario.draw_intruders(seed);
        scenario.draw_deeds(seed);
        scenario.draw_disasters(seed);
        scenario.end_converged(CONVERGED_WITHIN);
        scenario
    }

    /// Takes its time from what is in it: nothing else is expected than that everybody is back `within`
    /// that time, and the window is open until then.
    pub(super) fn end_converged(&mut self, within: Duration) {
        self.duration = self.calm_from().since(Instant::ZERO) + within;
        self.expectations = vec![Expectation::Converged { within }];
        for deed in &mut self.deeds {
            if let Deed::OpenWindow(lasts) = &mut deed.what {
                *lasts = self.duration;
            }
        }
    }

    fn draw_intruders(&mut self, seed: u64) {
        let dice = Aspect::Intruders.dice(seed);
        let count = dice.fork(0).below(INTRUDERS_MAX + 1);
        let drawn = (1..=count).map(|nth| self.draw_intruder(nth, dice.fork(nth)));
        self.intruders = drawn.collect();
    }

    fn draw_place(&self, eui64: u64, dice: &mut Prng) -> Device {
        let beside = self.building.device(self.draw_station(dice)).expect("a station");
        let mut aside = || INTRUDER_METRES_MAX * (2.0 * dice.unit_f64() - 1.0);
        let (x, y) = (beside.x + aside(), beside.y + aside());
        Device { eui64: Eui64(eui64.to_be_bytes()), x, y, ..*beside }
    }

    /// Attackers with tricks that came after the others, each at work once. None holds a key: what somebody
    /// breaks who holds one is not whole when he is gone, but when he is expelled.
    fn draw_attackers(&mut self, seed: u64) {
        let dice = Aspect::Attackers.dice(seed);
        for nth in 1..=dice.fork(0).below(ATTACKERS_MAX + 1) {
            let mut dice = dice.fork(nth);
            let at = between(Instant::from_secs(1), DISASTERS_UNTIL, &mut dice);
            let lasts = millis(DISASTER_MILLIS_MAX, &mut dice);
            for intruder in self.draw_attack(2 * nth, &mut dice) {
                let what = Trouble::Intruder(StationId(self.stations()));
                self.intruders.push(intruder);
                self.disasters.push(Disaster { at, lasts, what });
            }
        }
    }

    /// One attacker, or the two ends of a tunnel.
    fn draw_attack(&self, number: u64, dice: &mut Prng) -> Vec<Intruder> {
        let ends = [ATTACKER_EUI64 + number, ATTACKER_EUI64 + number + 1];
        let places = ends.map(|eui64| self.draw_place(eui64, dice));
        let somebody = self.eui64_of(self.draw_station(dice));
        let lies = [
            Lie::Rank,
            Lie::Crowd,
            Lie::Version,
            Lie::Route(somebody),
            Lie::Address(somebody),
            Lie::Removal(somebody),
            Lie::Fragments(somebody),
            Lie::Records(somebody),
            Lie::Command(somebody),
            Lie::Counter(somebody),
        ];
        let lie = lies[dice.below(lies.len() as u64) as usize];
        let [here, there] = places.map(|place| place.eui64);
        let tricks = match dice.below(5) {
            0 => vec![Trick::Beacon],
            1 => vec![Trick::Jam(1 + dice.below(JAM_PERCENT_MAX) as u8)],
            2 => vec![Trick::Tunnel(there), Trick::Tunnel(here)],
            3 => vec![Trick::Tamper(there), Trick::Tamper(here)],
            _ => vec![Trick::Tell(lie)],
        };
        let intruders = places.into_iter().zip(tricks);
        intruders.map(|(place, trick)| Intruder::Eavesdropper { place, trick }).collect()
    }

    fn draw_intruder(&self, nth: u64, mut dice: Prng) -> Intruder {
        let place = self.draw_place(INTRUDER_EUI64 + nth, &mut dice);
        let somebody = self.eui64_of(self.draw_station(&mut dice));
        let trick = match dice.below(5) {
            0 => {
                let psk: [u8; 16] = std::array::from_fn(|_| dice.next_u64() as u8);
                let psk = Psk::new(&psk).expect("16 octets are a key");
                return Intruder::Stranger { place, identity: Identity::from(somebody), psk };
            }
            1 => Trick::Repeat,
            2 => Trick::Forge,
            3 => Trick::Inject,
            _ => Trick::Flood(somebody),
        };
        Intruder::Eavesdropper { place, trick }
    }

    fn draw_deeds(&mut self, seed: u64) {
        let (kinds, dice) = (Aspect::DeedKinds.dice(seed), Aspect::Deeds.dice(seed));
        let draws: [fn(&Self, &mut Prng) -> Deed; 7] = [
            |it, dice| Deed::Press { switch: it.draw_device(dice), on: dice.below(2) == 0 },
            |it, dice| Deed::Command { group: it.draw_group(dice), on: dice.below(2) == 0 },
            |it, dice| Deed::Read(it.draw_device(dice)),
            |it, dice| Deed::Ping(it.draw_device(dice)),
            |it, dice| Deed::Revoke(it.draw_device(dice)),
            |_, _| Deed::RekeyNetwork,
            |it, dice| Deed::RekeyGroup(it.draw_group(dice)),
        ];
        for (kind, draw) in draws.into_iter().enumerate() {
            let kind = kind as u64;
            if kinds.fork(kind).below(2) == 0 {
                continue;
            }
            let dice = dice.fork(kind);
            for nth in 1..=1 + dice.fork(0).below(DEEDS_MAX) {
                let mut dice = dice.fork(nth);
                let at = between(DEEDS_FROM, DEEDS_UNTIL, &mut dice);
                self.deeds.push(Timed { at, what: draw(self, &mut dice) });
            }
        }
    }

    fn draw_disasters(&mut self, seed: u64) {
        let draws: [fn(&Self, &mut Prng) -> Option<Trouble>; 11] = [
            |it, dice| Some(Trouble::NoPower(it.draw_station(dice))),
            |_, _| Some(Trouble::NoManager),
            |_, _| Some(Trouble::StoreBroken),
            |_, dice| Some(Trouble::StoreSlow(millis(COMMIT_MILLIS_MAX, dice))),
            |_, dice| Some(Trouble::Loss(dice.unit_f64())),
            Self::draw_path_loss,
            |_, dice| Some(draw_backbone(dice)),
            |it, dice| Some(Trouble::Drift(it.draw_station(dice), draw_ppm(dice))),
            |it, dice| Some(Trouble::Jump(it.draw_station(dice))),
            |it, dice| Some(Trouble::WornFlash(it.draw_station(dice), dice.below(WRITES_MAX))),
            Self::draw_intrusion,
        ];
        let kinds = Aspect::DisasterKinds.dice(seed);
        let there = |kind: &usize| kinds.fork(*kind as u64).below(2) == 0;
        let kinds: Vec<_> = (0..draws.len()).filter(there).collect();
        let dice = Aspect::Disasters.dice(seed);
        for nth in 1..=dice.fork(0).below(DISASTERS_MAX + 1) {
            let mut dice = dice.fork(nth);
            let at = between(Instant::from_secs(1), DISASTERS_UNTIL, &mut dice);
            let lasts = millis(DISASTER_MILLIS_MAX, &mut dice);
            let kind = kinds.get(dice.below(kinds.len() as u64) as usize);
            let what = kind.and_then(|kind| draws[*kind](self, &mut dice));
            self.disasters.extend(what.map(|what| Disaster { at, lasts, what }));
        }
    }

    fn draw_path_loss(&self, dice: &mut Prng) -> Option<Trouble> {
        let (from, to) = (self.draw_station(dice), self.draw_station(dice));
        let loss = 1.0 - dice.unit_f64();
        (from != to).then_some(Trouble::PathLoss { from, to, loss })
    }

    fn draw_intrusion(&self, dice: &mut Prng) -> Option<Trouble> {
        let nth = dice.below(self.intruders.len() as u64) as u32;
        (!self.intruders.is_empty()).then(|| Trouble::Intruder(StationId(self.honest() + nth)))
    }

    fn draw_station(&self, dice: &mut Prng) -> StationId {
        StationId(dice.below(u64::from(self.honest())) as u32)
    }

    fn draw_device(&self, dice: &mut Prng) -> StationId {
        StationId(1 + dice.below(u64::from(self.honest()) - 1) as u32)
    }

    fn draw_group(&self, dice: &mut Prng) -> GroupId {
        let groups = &self.building.groups;
        GroupId(groups[dice.below(groups.len() as u64) as usize].id)
    }

    fn eui64_of(&self, station: StationId) -> Eui64 {
        self.building.device(station).expect("a station of this building").eui64
    }
}

fn draw_backbone(dice: &mut Prng) -> Trouble {
    let towards = if dice.below(2) == 0 { Towards::Router } else { Towards::Manager };
    let (loss, duplication) = (dice.unit_f64(), dice.unit_f64());
    let jitter = millis(JITTER_MILLIS_MAX, dice);
    Trouble::Backbone(towards, Backbone { loss, duplication, jitter })
}

fn draw_ppm(dice: &mut Prng) -> i32 {
    dice.below(2 * DRIFT_PPM_MAX as u64 + 1) as i32 - DRIFT_PPM_MAX
}

/// At least one.
fn millis(max: u64, dice: &mut Prng) -> Duration {
    Duration::from_millis(1 + dice.below(max))
}

fn between(from: Instant, until: Instant, dice: &mut Prng) -> Instant {
    from + Duration::from_micros(dice.below(until.since(from).as_micros() as u64))
}
