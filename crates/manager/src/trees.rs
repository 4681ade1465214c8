//! Key trees of a PAN: who has a place, which path he confirmed, and what is on its way through them.
//!
//! Trees are in memory only. A manager that restarts begins with none, and its members get places again with the
//! sessions they make; meanwhile everybody is told by unicast. A tree saves air, it is not needed.
//!
//! A flood may not come through. One member in a few is a witness and says that it followed; where witnesses stay
//! silent, whoever they stand for is told by unicast before the border router switches.
//!
//! **Invariant:** who goes is without the next epoch of every tree he had a place in. A message is counted as told
//! to those only who confirmed the path that it is made for.

use crate::key_tree::{KeyTree, Plan};
use lowgate_amikey::tree::{
    DEPTH, ENTRIES_MAX, PAYLOAD_OCTETS_MAX, Path, SIGNER_OCTETS, TREE_OCTETS_MAX, TreeName, emit,
};
use lowgate_coap::RequestId as CoapRequestId;
use lowgate_crypto::{Ccm, Key128, PrivateKey, Secret, Sha256, hkdf_sha256};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Entropy, Eui64, Instant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A PAN with so many members has trees, and a tree is used while so many hold its path: for fewer, unicast is as
/// good.
pub(crate) const MEMBERS_MIN: usize = 17;
/// Nobody is given a place while others join: the air is theirs.
const CALM_AFTER: Duration = Duration::from_secs(20);
/// A flood has come through, or not, after so long.
const SPREAD_WITHIN: Duration = Duration::from_secs(20);
/// If most witnesses have spoken, the others have so long.
const SPREAD_MOSTLY: Duration = Duration::from_secs(8);
/// Nobody relies on it before, whatever witnesses say.
const SPREAD_AT_LEAST: Duration = Duration::from_secs(3);
/// Entries of one message: who is out alone takes as many as the tree is deep.
pub(crate) const FLOOD_ENTRIES_MAX: usize = DEPTH;
/// An epoch takes as long as to tell so many by unicast: where more epochs are needed, that is what is done.
const MEMBERS_AN_EPOCH: usize = 32;
/// Octets that one message tells: with the border router's request around it, it fits one record.
pub(crate) const FLOOD_PAYLOAD_OCTETS_MAX: usize = 93;
/// Messages that wait or are on their way in a PAN: what would be one more is told by unicast.
const FLOODS_MAX: usize = 32;
/// Of the witnesses, one in so many may miss a flood that came through.
const MISSED_ONE_IN: usize = 4;

const _: () = assert!(FLOOD_ENTRIES_MAX <= ENTRIES_MAX);
const _: () = assert!(FLOOD_PAYLOAD_OCTETS_MAX <= PAYLOAD_OCTETS_MAX);

/// What the manager signs and makes keys with, as long as it runs.
pub(crate) struct TreeSecrets {
    signer: PrivateKey,
    secret: Secret<32>,
    drawn: u64,
}

impl TreeSecrets {
    pub(crate) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut draw = || {
            let mut octets = [0; 32];
            entropy.fill(&mut octets);
            Secret::new(octets)
        };
        let signer = loop {
            if let Some(signer) = PrivateKey::new(&draw()) {
                break signer;
            }
        };
        Self { signer, secret: draw(), drawn: 0 }
    }

    /// What members verify messages with.
    pub(crate) fn signer(&self) -> [u8; SIGNER_OCTETS] {
        self.signer.public().point()
    }

    /// A key that was never there before.
    fn draw(&mut self) -> Key128 {
        let mut key = [0; 16];
        let count = self.drawn.to_be_bytes();
        self.drawn += 1;
        hkdf_sha256(b"", self.secret.expose(), &[b"lowgate tree draw v1", &count], &mut key);
        Key128::new(key)
    }
}

/// One tree.
#[derive(Debug)]
struct Place {
    tree: KeyTree,
    /// Who confirmed the path of the epoch to come.
    holders: BTreeSet<Eui64>,
    /// What both were before the epochs that nobody has heard of yet: if more go, these are planned anew.
    unsent: Option<Before>,
}

/// See [`Place::unsent`].
#[derive(Debug)]
struct Before {
    tree: KeyTree,
    holders: BTreeSet<Eui64>,
}

impl Place {
    fn new(name: TreeName) -> Self {
        Self { tree: KeyTree::new(name), holders: BTreeSet::new(), unsent: None }
    }

    /// These hold the path no longer.
    fn lose(&mut self, lost: impl Fn(&Eui64) -> bool) {
        self.holders.retain(|holder| !lost(holder));
        if let Some(before) = &mut self.unsent {
            before.holders.retain(|holder| !lost(holder));
        }
    }
}

/// A message on its way.
#[derive(Debug)]
pub(crate) struct Flood {
    pub(crate) name: TreeName,
    pub(crate) epoch: u32,
    pub(crate) octets: Vec<u8>,
    /// Whom it is to reach.
    pub(crate) told: BTreeSet<Eui64>,
    /// Witnesses that have not said that they followed.
    open: BTreeSet<Eui64>,
    witnesses: usize,
    stage: FloodStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FloodStage {
    /// The border router is to be asked.
    Waiting,
    /// It is asked.
    Asked(CoapRequestId),
    /// It sent it.
    Spreading { since: Instant },
}

impl Flood {
    fn new(
        (name, epoch): (TreeName, u32),
        octets: Vec<u8>,
        told: BTreeSet<Eui64>,
        after: &KeyTree,
    ) -> Self {
        let witness = |eui64: &&Eui64| {
            let path = after.path(**eui64);
            path.is_some_and(|path| path.leaf.is_witness(epoch))
        };
        let open: BTreeSet<Eui64> = told.iter().filter(witness).copied().collect();
        let (witnesses, stage) = (open.len(), FloodStage::Waiting);
        Self { name, epoch, octets, told, open, witnesses, stage }
    }

    /// These are told otherwise.
    fn withdraw(&mut self, them: &BTreeSet<Eui64>) {
        self.told.retain(|eui64| !them.contains(eui64));
        let before = self.open.len();
        self.open.retain(|eui64| !them.contains(eui64));
        self.witnesses -= before - self.open.len();
    }
}

/// How a flood ended.
pub(crate) struct FloodOver {
    pub(crate) flood: Flood,
    /// Who is to be told by unicast.
    pub(crate) unreached: BTreeSet<Eui64>,
}

/// The trees of a PAN.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    places: BTreeMap<TreeName, Place>,
    /// Members that may lack a place; no more than the PAN has.
    newcomers: BTreeSet<Eui64>,
    calm_at: Instant,
    /// At most [`FLOODS_MAX`].
    floods: VecDeque<Flood>,
}

impl Trees {
    /// A member came, for the first time or again: what it held it may hold no longer.
    pub(crate) fn came(&mut self, now: Instant, eui64: Eui64) {
        self.places.values_mut().for_each(|place| place.lose(|holder| *holder == eui64));
        self.newcomers.insert(eui64);
        self.calm_at = now + CALM_AFTER;
    }

    /// A member is in one more group.
    pub(crate) fn lacks(&mut self, eui64: Eui64) {
        self.newcomers.insert(eui64);
    }

    /// A device is out of a tree's network or group, or of all.
    pub(crate) fn left(&mut self, eui64: Eui64, of: Option<TreeName>) {
        if of.is_none() {
            self.newcomers.remove(&eui64);
        }
        for (_, place) in
            self.places.iter_mut().filter(|(name, _)| of.is_none_or(|of| of == **name))
        {
            place.lose(|holder| *holder == eui64);
        }
        for flood in self.floods.iter_mut().filter(|it| of.is_none_or(|of| of == it.name)) {
            flood.told.remove(&eui64);
            if flood.open.remove(&eui64) {
                flood.witnesses -= 1;
            }
        }
    }

    /// Who is to be given places now, if the PAN of so many members is calm.
    pub(crate) fn newcomers(&mut self, now: Instant, members: usize) -> BTreeSet<Eui64> {
        if now < self.calm_at || members < MEMBERS_MIN {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.newcomers)
    }

    /// When somebody is to be given a place.
    fn calm_due(&self, members: usize) -> Instant {
        let waits = members >= MEMBERS_MIN && !self.newcomers.is_empty();
        if waits { self.calm_at } else { Instant::FAR_FUTURE }
    }

    /// A place in a tree, anew unless its path is confirmed. False if there is none to be told of.
    pub(crate) fn enter(
        &mut self,
        name: TreeName,
        eui64: Eui64,
        secrets: &mut TreeSecrets,
    ) -> bool {
        let place = self.places.entry(name).or_insert_with(|| Place::new(name));
        place.unsent = None;
        !place.holders.contains(&eui64) && place.tree.enter(eui64, || secrets.draw()).is_ok()
    }

    /// What a member is to hold.
    pub(crate) fn path(&self, name: TreeName, eui64: Eui64) -> Option<Path> {
        self.places.get(&name)?.tree.path(eui64)
    }

    /// A member is being told its path: no epoch before that is planned anew.
    pub(crate) fn path_told(&mut self, name: TreeName) {
        if let Some(place) = self.places.get_mut(&name) {
            place.unsent = None;
        }
    }

    /// Whether a member confirmed the path of the epoch to come.
    pub(crate) fn holds(&self, name: TreeName, eui64: Eui64) -> bool {
        self.places.get(&name).is_some_and(|place| place.holders.contains(&eui64))
    }

    /// A member confirmed a path. False if that is history.
    pub(crate) fn confirmed(&mut self, name: TreeName, eui64: Eui64, epoch: u32) -> bool {
        let Some(place) = self.places.get_mut(&name) else { return true };
        let path = place.tree.path(eui64);
        let current = path.is_some_and(|path| path.epoch == epoch);
        if current {
            place.holders.insert(eui64);
        }
        current
    }

    /// Has all holders of a tree told `payload`, and whoever does not stay is without it and all that follows. Whom
    /// that is to reach.
    pub(crate) fn tell(
        &mut self,
        name: TreeName,
        stays: impl Fn(&Eui64) -> bool,
        payload: &[u8],
        (ccm, secrets): (&dyn Ccm, &mut TreeSecrets),
    ) -> Option<(u32, BTreeSet<Eui64>)> {
        self.take_back(name);
        let place = self.places.get_mut(&name)?;
        let all = planted(Fault::TreeKeepsTheGone);
        let gone = place.tree.members().filter(|eui64| !all && !stays(eui64)).collect();
        place.holders.retain(|eui64| stays(eui64));
        let room = FLOODS_MAX - self.floods.len();
        if place.holders.len() < MEMBERS_MIN
            || room == 0
            || payload.len() > FLOOD_PAYLOAD_OCTETS_MAX
        {
            self.begin_anew(name, stays);
            return None;
        }
        let len_max = room.min(place.holders.len().div_ceil(MEMBERS_AN_EPOCH));
        let bounds = (FLOOD_ENTRIES_MAX, len_max);
        let Ok(plans) = place.tree.plans(&gone, bounds, || secrets.draw()) else {
            // More go than so many messages can do without.
            self.begin_anew(name, stays);
            return None;
        };
        let told = place.holders.clone();
        let floods: Vec<Flood> = plans
            .iter()
            .enumerate()
            .map(|(n, plan)| {
                // Who goes in one of these epochs opens those before.
                let payload = if n + 1 == plans.len() { payload } else { &[] };
                let octets = message(name, plan, payload, ccm, &secrets.signer);
                Flood::new((name, plan.epoch), octets, told.clone(), &plan.after)
            })
            .collect();
        let Plan { epoch, after, .. } = plans.into_iter().next_back()?;
        // Whatever path the others were told is history.
        self.newcomers.extend(after.members().filter(|it| !told.contains(it)));
        let tree = std::mem::replace(&mut place.tree, after);
        place.unsent = Some(Before { tree, holders: told.clone() });
        floods.into_iter().for_each(|flood| self.queue(flood));
        Some((epoch, told))
    }

    /// Epochs of a tree that still wait are as if they had not been planned, and so no key wraps two seeds: whoever goes
    /// now goes with those who went then, in fewer messages, and nobody is told what is history.
    fn take_back(&mut self, name: TreeName) {
        let Some(place) = self.places.get_mut(&name) else { return };
        let Some(Before { tree, holders }) = place.unsent.take() else { return };
        let was_planned = |flood: &Flood| flood.name == name && flood.epoch >= tree.epoch();
        self.floods.retain(|flood| !was_planned(flood));
        (place.tree, place.holders) = (tree, holders);
    }

    /// Groups' keys go before the network's: who went hears nothing more once the network has switched, and its group
    /// keys must be void by then.
    fn queue(&mut self, flood: Flood) {
        let waits = |it: &Flood| it.name == TreeName::Network && it.stage == FloodStage::Waiting;
        let network = self.floods.iter().position(waits);
        match network.filter(|_| flood.name != TreeName::Network) {
            Some(at) => self.floods.insert(at, flood),
            None => self.floods.push_back(flood),
        }
    }

    /// Whether nothing is on its way or waits: a network that switches opens nothing of a flood that is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.floods.is_empty()
    }

    /// The network's key does not count as told to these: they are to confirm it, with what else they lack.
    pub(crate) fn withdraw(&mut self, them: &BTreeSet<Eui64>) {
        for flood in self.floods.iter_mut().filter(|flood| flood.name == TreeName::Network) {
            flood.withdraw(them);
        }
        let network = self.places.get_mut(&TreeName::Network);
        if let Some(before) = network.and_then(|place| place.unsent.as_mut()) {
            before.holders.retain(|holder| !them.contains(holder));
        }
    }

    /// A tree without those who go, in which nobody has a path yet.
    fn begin_anew(&mut self, name: TreeName, stays: impl Fn(&Eui64) -> bool) {
        let Some(place) = self.places.remove(&name) else { return };
        self.newcomers.extend(place.tree.members().filter(stays));
    }

    /// The flood to give to the border router now; empty if it is for nobody any more.
    pub(crate) fn waiting(&self) -> Option<&[u8]> {
        let flood = self.floods.front().filter(|flood| flood.stage == FloodStage::Waiting)?;
        Some(if flood.told.is_empty() { &[] } else { &flood.octets })
    }

    /// The border router is asked to send it.
    pub(crate) fn asked(&mut self, request: CoapRequestId) {
        if let Some(flood) = self.floods.front_mut() {
            flood.stage = FloodStage::Asked(request);
            let name = flood.name;
            self.path_told(name);
        }
    }

    /// Whether that is what the border router was asked.
    pub(crate) fn awaits(&self, request: CoapRequestId) -> bool {
        self.floods.front().is_some_and(|flood| flood.stage == FloodStage::Asked(request))
    }

    /// The border router sent it, or did not.
    pub(crate) fn answered(&mut self, now: Instant, sent: bool) -> Option<FloodOver> {
        let flood = self.floods.front_mut()?;
        if sent {
            flood.stage = FloodStage::Spreading { since: now };
            return None;
        }
        self.fail()
    }

    /// The message that is on its way, or waits, reaches nobody.
    pub(crate) fn fail(&mut self) -> Option<FloodOver> {
        let flood = self.floods.pop_front()?;
        self.path_told(flood.name);
        let unreached = flood.told.clone();
        self.forget_paths(&flood, &unreached);
        Some(FloodOver { flood, unreached })
    }

    /// A member says that it followed.
    pub(crate) fn followed(&mut self, eui64: Eui64, name: TreeName, epoch: u32) {
        let flood = self.floods.iter_mut().find(|it| (it.name, it.epoch) == (name, epoch));
        if let Some(flood) = flood {
            flood.open.remove(&eui64);
        }
    }

    /// The flood that has come through by now, or has not.
    pub(crate) fn over(&mut self, now: Instant) -> Option<FloodOver> {
        if now < self.spread_due() {
            return None;
        }
        let flood = self.floods.pop_front()?;
        let came_through = flood.open.len() * MISSED_ONE_IN <= flood.witnesses;
        let unreached = if came_through { flood.open.clone() } else { flood.told.clone() };
        self.forget_paths(&flood, &unreached);
        Some(FloodOver { flood, unreached })
    }

    /// Who was not reached holds a path of before, with which it follows no later epoch either.
    fn forget_paths(&mut self, flood: &Flood, unreached: &BTreeSet<Eui64>) {
        let later = self.floods.iter_mut().filter(|later| later.name == flood.name);
        later.for_each(|later| later.withdraw(unreached));
        if let Some(place) = self.places.get_mut(&flood.name) {
            place.lose(|holder| unreached.contains(holder));
        }
        self.newcomers.extend(unreached);
    }

    fn spread_due(&self) -> Instant {
        match self.floods.front() {
            Some(Flood { stage: FloodStage::Spreading { since }, open, witnesses, .. }) => {
                let within = match open.len() {
                    0 => SPREAD_AT_LEAST,
                    silent if silent * MISSED_ONE_IN <= *witnesses => SPREAD_MOSTLY,
                    _ => SPREAD_WITHIN,
                };
                *since + within
            }
            _ => Instant::FAR_FUTURE,
        }
    }

    /// When something is to be done that no message brings.
    pub(crate) fn due(&self, members: usize) -> Instant {
        self.spread_due().min(self.calm_due(members))
    }
}

fn message(
    name: TreeName,
    plan: &Plan,
    payload: &[u8],
    ccm: &dyn Ccm,
    signer: &PrivateKey,
) -> Vec<u8> {
    let mut octets = vec![0; TREE_OCTETS_MAX];
    let len = emit((name, plan.epoch), &plan.entries, (&plan.root, payload), ccm, &mut octets);
    octets.truncate(len.expect("entries and payload are within their bounds"));
    let signature = signer.sign(&Sha256::of(&octets));
    octets.extend(signature.octets());
    octets
}

#[cfg(test)]
mod tests;
