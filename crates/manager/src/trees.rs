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
    ENTRIES_MAX, PAYLOAD_OCTETS_MAX, Path, SIGNER_OCTETS, TREE_OCTETS_MAX, TreeName, emit,
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
const SPREAD_WITHIN: Duration = Duration::from_secs(10);
/// Nobody relies on it before, whatever witnesses say.
const SPREAD_AT_LEAST: Duration = Duration::from_secs(3);
/// Entries of one message: with what it tells and the border router's request around it, it fits one record.
pub(crate) const FLOOD_ENTRIES_MAX: usize = 10;
/// Messages that wait or are on their way in a PAN: what would be one more is told by unicast.
const FLOODS_MAX: usize = 32;
/// Of the witnesses, one in so many may miss a flood that came through.
const MISSED_ONE_IN: usize = 4;

const _: () = assert!(FLOOD_ENTRIES_MAX <= ENTRIES_MAX);

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
        for place in self.places.values_mut() {
            place.holders.remove(&eui64);
        }
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
            place.holders.remove(&eui64);
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
        let place = self
            .places
            .entry(name)
            .or_insert_with(|| Place { tree: KeyTree::new(name), holders: BTreeSet::new() });
        !place.holders.contains(&eui64) && place.tree.enter(eui64, || secrets.draw()).is_ok()
    }

    /// What a member is to hold.
    pub(crate) fn path(&self, name: TreeName, eui64: Eui64) -> Option<Path> {
        self.places.get(&name)?.tree.path(eui64)
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
        let place = self.places.get_mut(&name)?;
        let all = planted(Fault::TreeKeepsTheGone);
        let gone = place.tree.members().filter(|eui64| !all && !stays(eui64)).collect();
        place.holders.retain(|eui64| stays(eui64));
        if place.holders.len() < MEMBERS_MIN || self.floods.len() >= FLOODS_MAX {
            self.begin_anew(name, stays);
            return None;
        }
        let plan = place.tree.plan(&gone, || secrets.draw());
        let plan = plan.ok().filter(|plan| plan.entries.len() <= FLOOD_ENTRIES_MAX);
        let Some(plan) = plan.filter(|_| payload.len() <= PAYLOAD_OCTETS_MAX) else {
            // More go than one message can do without.
            self.begin_anew(name, stays);
            return None;
        };
        let octets = message(name, &plan, payload, ccm, &secrets.signer);
        let witness = |eui64: &&Eui64| {
            let path = plan.after.path(**eui64);
            path.is_some_and(|path| path.leaf.is_witness(plan.epoch))
        };
        let told = std::mem::take(&mut place.holders);
        let open: BTreeSet<Eui64> = told.iter().filter(witness).copied().collect();
        // Whatever path the others were told is history.
        self.newcomers.extend(plan.after.members().filter(|it| !told.contains(it)));
        place.tree = plan.after;
        place.holders.clone_from(&told);
        let (witnesses, epoch, stage) = (open.len(), plan.epoch, FloodStage::Waiting);
        let flood = Flood { name, epoch, octets, told: told.clone(), open, witnesses, stage };
        self.queue(flood);
        Some((epoch, told))
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
            flood.told.retain(|eui64| !them.contains(eui64));
            let before = flood.open.len();
            flood.open.retain(|eui64| !them.contains(eui64));
            flood.witnesses -= before - flood.open.len();
        }
    }

    /// A tree without those who go, in which nobody has a path yet.
    fn begin_anew(&mut self, name: TreeName, stays: impl Fn(&Eui64) -> bool) {
        let Some(place) = self.places.remove(&name) else { return };
        self.newcomers.extend(place.tree.members().filter(stays));
    }

    /// The message to give to the border router now.
    pub(crate) fn waiting(&self) -> Option<&[u8]> {
        let flood = self.floods.front()?;
        (flood.stage == FloodStage::Waiting).then_some(&flood.octets[..])
    }

    /// The border router is asked to send it.
    pub(crate) fn asked(&mut self, request: CoapRequestId) {
        if let Some(flood) = self.floods.front_mut() {
            flood.stage = FloodStage::Asked(request);
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

    /// Who was not reached holds a path of before.
    fn forget_paths(&mut self, flood: &Flood, unreached: &BTreeSet<Eui64>) {
        if let Some(place) = self.places.get_mut(&flood.name) {
            place.holders.retain(|holder| !unreached.contains(holder));
        }
        self.newcomers.extend(unreached);
    }

    fn spread_due(&self) -> Instant {
        match self.floods.front() {
            Some(Flood { stage: FloodStage::Spreading { since }, open, .. }) => {
                *since + if open.is_empty() { SPREAD_AT_LEAST } else { SPREAD_WITHIN }
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
mod tests {
    use super::*;
    use lowgate_amikey::GroupId;
    use lowgate_crypto::SoftCcm;
    use lowgate_units::SeededEntropy;

    const NETWORK: TreeName = TreeName::Network;
    const GROUP: TreeName = TreeName::Group(GroupId(1));
    const START: Instant = Instant::from_secs(100);

    fn eui64(n: u8) -> Eui64 {
        Eui64([2, 0, 0, 0, 0, 0, 0, n])
    }

    /// So many members confirmed their places in these trees.
    fn grown(members: u8, names: &[TreeName]) -> (Trees, TreeSecrets) {
        let mut secrets = TreeSecrets::new(&mut SeededEntropy::new(1));
        let mut trees = Trees::default();
        for eui64 in (0..members).map(eui64) {
            trees.came(START, eui64);
        }
        assert!(trees.newcomers(START, members.into()).is_empty(), "others may be joining");
        let calm = START + CALM_AFTER;
        for eui64 in trees.newcomers(calm, members.into()) {
            for name in names {
                assert!(trees.enter(*name, eui64, &mut secrets));
            }
        }
        for (eui64, name) in
            (0..members).map(eui64).flat_map(|it| names.iter().map(move |n| (it, n)))
        {
            let epoch = trees.path(*name, eui64).expect("a place").epoch;
            assert!(trees.confirmed(*name, eui64, epoch));
        }
        (trees, secrets)
    }

    fn tell(trees: &mut Trees, secrets: &mut TreeSecrets, name: TreeName, gone: u8) -> usize {
        let stays = |it: &Eui64| *it != eui64(gone);
        let told = trees.tell(name, stays, b"what is told", (&SoftCcm, secrets));
        told.map_or(0, |(_, told)| told.len())
    }

    #[test]
    fn few_are_given_no_places_and_told_nothing() {
        let few = MEMBERS_MIN - 1;
        let mut trees = Trees::default();
        trees.came(START, eui64(1));
        assert!(trees.newcomers(START + CALM_AFTER, few).is_empty());
        assert_eq!(trees.due(few), Instant::FAR_FUTURE);
        assert_eq!(trees.due(MEMBERS_MIN), START + CALM_AFTER);
        let (mut trees, mut secrets) = grown(MEMBERS_MIN as u8, &[NETWORK]);
        assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 0), 0, "too few stay");
        assert_eq!(trees.newcomers(START + CALM_AFTER, MEMBERS_MIN).len(), MEMBERS_MIN - 1, "anew");
    }

    #[test]
    fn a_flood_that_witnesses_confirm_is_over_soon() {
        let (mut trees, mut secrets) = grown(64, &[NETWORK]);
        assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 7), 63);
        assert!(trees.waiting().is_some() && !trees.is_idle());
        trees.floods[0].stage = FloodStage::Spreading { since: START };
        let (epoch, witnesses) = (trees.floods[0].epoch, trees.floods[0].open.clone());
        assert!((6..=9).contains(&witnesses.len()), "one in eight: {witnesses:?}");
        witnesses.iter().for_each(|it| trees.followed(*it, NETWORK, epoch));
        assert!(trees.over(START + (SPREAD_AT_LEAST - Duration::from_millis(1))).is_none());
        let FloodOver { flood, unreached } =
            trees.over(START + SPREAD_AT_LEAST).expect("it is over");
        assert_eq!((flood.told.len(), unreached.len()), (63, 0));
        assert!(trees.is_idle());
    }

    #[test]
    fn whoever_witnesses_stand_for_is_told_when_they_are_silent() {
        for silent in [1, 7] {
            let (mut trees, mut secrets) = grown(64, &[NETWORK]);
            tell(&mut trees, &mut secrets, NETWORK, 7);
            trees.floods[0].stage = FloodStage::Spreading { since: START };
            let (epoch, witnesses) = (trees.floods[0].epoch, trees.floods[0].open.clone());
            let heard = witnesses.iter().skip(silent);
            heard.for_each(|it| trees.followed(*it, NETWORK, epoch));
            assert!(trees.over(START + SPREAD_AT_LEAST).is_none());
            let over = trees.over(START + SPREAD_WITHIN).expect("long enough");
            assert_eq!(over.unreached.len(), if silent == 1 { 1 } else { 63 });
            for eui64 in &over.unreached {
                assert!(trees.newcomers.contains(eui64), "its path is history");
            }
        }
    }

    #[test]
    fn a_border_router_that_does_not_send_reaches_nobody() {
        let (mut trees, mut secrets) = grown(20, &[NETWORK]);
        tell(&mut trees, &mut secrets, NETWORK, 200);
        let over = trees.fail().expect("it waited");
        assert_eq!((over.unreached.len(), trees.is_idle()), (20, true));
        assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 200), 0, "nobody holds a path");
    }

    #[test]
    fn what_would_be_one_too_many_goes_by_unicast() {
        let (mut trees, mut secrets) = grown(20, &[NETWORK]);
        let told = [0; FLOODS_MAX + 1].map(|_| tell(&mut trees, &mut secrets, NETWORK, 200));
        assert_eq!(
            (told[FLOODS_MAX - 1], told[FLOODS_MAX], trees.floods.len()),
            (20, 0, FLOODS_MAX)
        );
        assert!(trees.path(NETWORK, eui64(1)).is_none(), "the tree begins anew");
    }

    #[test]
    fn groups_go_before_the_network_and_who_misses_one_confirms_both() {
        let (mut trees, mut secrets) = grown(20, &[NETWORK, GROUP]);
        tell(&mut trees, &mut secrets, NETWORK, 200);
        tell(&mut trees, &mut secrets, GROUP, 200);
        let names: Vec<_> = trees.floods.iter().map(|flood| flood.name).collect();
        assert_eq!(names, [GROUP, NETWORK]);
        trees.withdraw(&[eui64(1), eui64(2)].into());
        assert_eq!(trees.floods.iter().map(|it| it.told.len()).collect::<Vec<_>>(), [20, 18]);
    }

    #[test]
    fn who_goes_while_a_message_is_on_its_way_is_not_waited_for() {
        let (mut trees, mut secrets) = grown(20, &[NETWORK]);
        tell(&mut trees, &mut secrets, NETWORK, 200);
        let witness = *trees.floods[0].open.first().expect("some");
        trees.left(witness, None);
        let flood = &trees.floods[0];
        assert!(!flood.told.contains(&witness) && flood.open.len() == flood.witnesses);
        assert!(!trees.confirmed(NETWORK, witness, 1), "a path of before");
    }
}
