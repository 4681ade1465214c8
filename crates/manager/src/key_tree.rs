//! The manager's side of a key tree: who sits where, and what an eviction costs.
//!
//! **Invariant:** an epoch is planned on a copy, which takes the tree's place once it is stored; so the keys of
//! an epoch are used for one plan.

use lowgate_amikey::tree::{
    DEPTH, ENTRIES_MAX, Entry, LEAVES, Leaf, Node, Path, Place, Seed, TreeName, step,
};
use lowgate_crypto::Key128;
use lowgate_units::Eui64;
use std::collections::{BTreeMap, BTreeSet};

/// Epochs over which a key is stepped when it is used; older ones are stepped for good when an epoch is planned.
const STEPS_MAX: u32 = 64;

/// A key, and the epoch that it was for when it was made: it is stepped to the one in question when it is used,
/// so that an epoch changes little more than it renews.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    key: Key128,
    since: u32,
}

/// A tree of one PAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTree {
    name: TreeName,
    /// The next to be told.
    epoch: u32,
    leaves: BTreeMap<Eui64, Leaf>,
    taken: BTreeSet<Leaf>,
    /// Of taken leaves and of all nodes above them.
    keys: BTreeMap<Node, Held>,
}

/// An epoch that evicts, ready to be told.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The epoch it is.
    pub epoch: u32,
    /// For those who stay, in the order of their children.
    pub entries: Vec<Entry>,
    /// What is told is sealed under this.
    pub root: Key128,
    /// The tree afterwards.
    pub after: KeyTree,
}

/// Why somebody gets no place or no plan is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTreeFault {
    /// All [`LEAVES`] are taken.
    Full,
    /// More than one message can tell: fewer are to be evicted at once.
    Entries(usize),
    /// The epochs are used up: the tree is to be made anew.
    Epochs,
}

impl KeyTree {
    /// A tree without members.
    pub fn new(name: TreeName) -> Self {
        Self {
            name,
            epoch: 1,
            leaves: BTreeMap::new(),
            taken: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Who is in it.
    pub fn members(&self) -> impl Iterator<Item = Eui64> {
        self.leaves.keys().copied()
    }

    /// The next epoch to be told.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// A place for one more member, the lowest: full subtrees make short messages. Who is in already gets a
    /// new leaf key.
    ///
    /// # Errors
    /// There is no room.
    pub fn enter(
        &mut self,
        eui64: Eui64,
        mut draw: impl FnMut() -> Key128,
    ) -> Result<Path, KeyTreeFault> {
        let leaf = match self.leaves.get(&eui64) {
            Some(leaf) => *leaf,
            None => (0..LEAVES)
                .filter_map(Leaf::new)
                .find(|leaf| !self.taken.contains(leaf))
                .ok_or(KeyTreeFault::Full)?,
        };
        self.leaves.insert(eui64, leaf);
        self.taken.insert(leaf);
        let since = self.epoch;
        self.keys.insert(leaf.node(), Held { key: draw(), since });
        for node in leaf.node().way_up().skip(1) {
            self.keys.entry(node).or_insert_with(|| Held { key: draw(), since });
        }
        Ok(self.path_of(leaf))
    }

    /// What a member is to hold, if it is one.
    pub fn path(&self, eui64: Eui64) -> Option<Path> {
        self.leaves.get(&eui64).map(|leaf| self.path_of(*leaf))
    }

    fn path_of(&self, leaf: Leaf) -> Path {
        let mut keys: [Key128; DEPTH + 1] = core::array::from_fn(|_| Key128::new([0; 16]));
        for (key, node) in keys.iter_mut().zip(leaf.node().way_up()) {
            *key = self.key(node).expect("the nodes above a taken leaf have keys");
        }
        Path { tree: self.name, epoch: self.epoch, leaf, keys }
    }

    /// A node's key of the epoch to come; `None` where nobody sits below.
    fn key(&self, node: Node) -> Option<Key128> {
        let Held { key, since } = self.keys.get(&node)?;
        let epochs = *since..self.epoch;
        Some(epochs.fold(key.clone(), |key, epoch| step(&key, self.place(epoch, node))))
    }

    const fn place(&self, epoch: u32, node: Node) -> Place {
        Place { tree: self.name, epoch, node }
    }

    /// The next epoch without those who go; with nobody to go, one for everybody.
    ///
    /// # Errors
    /// One message cannot tell it.
    pub fn plan(
        &self,
        gone: &BTreeSet<Eui64>,
        mut draw: impl FnMut() -> Key128,
    ) -> Result<Plan, KeyTreeFault> {
        let mut after = self.clone();
        after.epoch = self
            .epoch
            .checked_add(1)
            .filter(|next| *next < u32::MAX)
            .ok_or(KeyTreeFault::Epochs)?;
        let vacated: Vec<Leaf> =
            gone.iter().filter_map(|eui64| after.leaves.remove(eui64)).collect();
        for leaf in &vacated {
            after.taken.remove(leaf);
            after.keys.remove(&leaf.node());
        }
        after.bring_up(self);
        let mut entries = Vec::new();
        let mut seeds: BTreeMap<Node, Seed> = BTreeMap::new();
        // From the bottom up: a higher number is never nearer to the root.
        for node in above(&vacated).into_iter().rev() {
            self.renew(node, &mut after, &mut seeds, (&mut entries, &mut draw));
        }
        entries.sort_by_key(|entry: &Entry| entry.child);
        if entries.len() > ENTRIES_MAX {
            return Err(KeyTreeFault::Entries(entries.len()));
        }
        let renewed =
            seeds.get(&Node::ROOT).map(|seed| seed.key(self.place(self.epoch, Node::ROOT)));
        // Where nobody stays, nobody is told.
        let kept = self.key(Node::ROOT).filter(|_| !after.leaves.is_empty());
        let root = renewed.or(kept).unwrap_or_else(draw);
        Ok(Plan { epoch: self.epoch, entries, root, after })
    }

    /// As many epochs as it takes, at most `len_max`, each without some more of those who go, so that no message has
    /// more than `entries_max` entries. Only the last is without all of them: what is told goes there.
    ///
    /// # Errors
    /// It takes more.
    pub fn plans(
        &self,
        gone: &BTreeSet<Eui64>,
        (entries_max, len_max): (usize, usize),
        mut draw: impl FnMut() -> Key128,
    ) -> Result<Vec<Plan>, KeyTreeFault> {
        // In the order of their leaves: neighbours share most of what is renewed.
        let mut going: Vec<Eui64> =
            gone.iter().filter(|eui64| self.leaves.contains_key(eui64)).copied().collect();
        going.sort_unstable_by_key(|eui64| self.leaves[eui64]);
        let (mut plans, mut rest) = (Vec::<Plan>::new(), &going[..]);
        while plans.is_empty() || !rest.is_empty() {
            let tree = plans.last().map_or(self, |plan| &plan.after);
            let together = |len: &usize| tree.entries(&rest[..*len]) <= entries_max;
            let len = (1..=rest.len()).take_while(together).last().unwrap_or(rest.len().min(1));
            let plan = tree.plan(&rest[..len].iter().copied().collect(), &mut draw)?;
            if plan.entries.len() > entries_max || plans.len() >= len_max {
                return Err(KeyTreeFault::Entries(plan.entries.len()));
            }
            plans.push(plan);
            rest = &rest[len..];
        }
        Ok(plans)
    }

    /// So many entries an epoch without these takes.
    fn entries(&self, gone: &[Eui64]) -> usize {
        let leaves: BTreeSet<Leaf> = gone.iter().map(|eui64| self.leaves[eui64]).collect();
        let vacated: Vec<Leaf> = leaves.iter().copied().collect();
        let renewed = above(&vacated);
        let mut stays: BTreeSet<Node> = BTreeSet::new();
        let mut entries = 0;
        for node in renewed.iter().rev() {
            let children = node.children().expect("no leaf is above anybody");
            let unchanged = children.into_iter().filter(|child| {
                let vacated = leaves.iter().any(|leaf| leaf.node() == *child);
                !vacated && !renewed.contains(child) && self.keys.contains_key(child)
            });
            let unchanged = unchanged.count();
            let taught = children.into_iter().filter(|child| stays.contains(child)).count();
            entries += unchanged + taught.saturating_sub(1);
            if unchanged + taught > 0 {
                stays.insert(*node);
            }
        }
        entries
    }

    /// Keys that were made long ago are as they will be in the epoch to come.
    fn bring_up(&mut self, before: &Self) {
        for (node, held) in &mut self.keys {
            if self.epoch - held.since > STEPS_MAX {
                let key = before.key(*node).expect("nobody is in it who was not before");
                let place = before.place(before.epoch, *node);
                *held = Held { key: step(&key, place), since: self.epoch };
            }
        }
    }

    /// A node above somebody who goes gets a new key, unless nobody stays below it.
    fn renew(
        &self,
        node: Node,
        after: &mut Self,
        seeds: &mut BTreeMap<Node, Seed>,
        (entries, draw): (&mut Vec<Entry>, &mut impl FnMut() -> Key128),
    ) {
        let children = node.children().expect("no leaf is above anybody");
        let staying = children.into_iter().filter(|child| after.keys.contains_key(child));
        let staying: Vec<Node> = staying.collect();
        if staying.is_empty() {
            after.keys.remove(&node);
            return;
        }
        let place = |node| self.place(self.epoch, node);
        let teacher = staying.iter().find(|child| seeds.contains_key(child)).copied();
        let seed = match teacher {
            Some(child) => seeds[&child].up(place(child)),
            None => Seed(draw()),
        };
        for child in staying.into_iter().filter(|child| Some(*child) != teacher) {
            let renewed = seeds.get(&child).map(|seed| seed.key(place(child)));
            let key = renewed.or_else(|| self.key(child)).expect("somebody stays below it");
            entries.push(Entry { child, wrapped: seed.wrapped(&key, place(child)) });
        }
        let key = step(&seed.key(place(node)), place(node));
        after.keys.insert(node, Held { key, since: after.epoch });
        seeds.insert(node, seed);
    }
}

/// The nodes above these leaves.
fn above(leaves: &[Leaf]) -> BTreeSet<Node> {
    leaves.iter().flat_map(|leaf| leaf.node().way_up().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_amikey::tree::{PAYLOAD_OCTETS_MAX, Received, TREE_OCTETS_MAX, TreeFault, emit};
    use lowgate_crypto::SoftCcm;
    use lowgate_units::Prng;
    use proptest::prelude::*;

    fn eui64(n: u16) -> Eui64 {
        let [high, low] = n.to_be_bytes();
        Eui64([2, 0, 0, 0, 0, 0, high, low])
    }

    /// A manager's tree, and what each of its members holds.
    struct Domain {
        tree: KeyTree,
        paths: BTreeMap<Eui64, Path>,
        prng: Prng,
    }

    fn drawn(prng: &mut Prng) -> Key128 {
        let halves = [prng.next_u64().to_be_bytes(), prng.next_u64().to_be_bytes()];
        Key128::from_slice(&halves.concat()).expect("16 octets")
    }

    impl Domain {
        fn of(members: u16, seed: u64) -> Self {
            let mut domain = Self {
                tree: KeyTree::new(TreeName::Network),
                paths: BTreeMap::new(),
                prng: Prng::new(seed),
            };
            (0..members).for_each(|n| domain.enter(n));
            domain
        }

        fn enter(&mut self, n: u16) {
            let path = self.tree.enter(eui64(n), || drawn(&mut self.prng)).expect("room");
            self.paths.insert(eui64(n), path);
        }

        /// Everybody hears of an epoch; who is gone, too. How many entries it took.
        fn advance(&mut self, gone: &BTreeSet<Eui64>, told: &[u8]) -> usize {
            let plan = self.tree.plan(gone, || drawn(&mut self.prng)).expect("one message");
            let mut octets = [0; TREE_OCTETS_MAX];
            let head = (TreeName::Network, plan.epoch);
            let len = emit(head, &plan.entries, (&plan.root, told), &SoftCcm, &mut octets);
            let len = len.expect("room for a message");
            let received = Received::new(&octets[..len]).expect("well formed");
            let tree = received.verified(|_, _| true).expect("signed");
            for (eui64, path) in &mut self.paths {
                let mut payload = [0; PAYLOAD_OCTETS_MAX];
                match path.follow(&tree, &SoftCcm, &mut payload) {
                    Ok((after, octets)) => {
                        assert!(!gone.contains(eui64), "{eui64:?} is gone and follows");
                        assert_eq!(&payload[..octets], told);
                        *path = after;
                    }
                    Err(fault) => {
                        assert!(gone.contains(eui64), "{eui64:?} stays: {fault:?}");
                        assert!(matches!(fault, TreeFault::Evicted | TreeFault::Payload));
                    }
                }
            }
            self.paths.retain(|eui64, _| !gone.contains(eui64));
            self.tree = plan.after;
            for (eui64, path) in &self.paths {
                assert_eq!(self.tree.path(*eui64).as_ref(), Some(path), "as the manager has it");
            }
            plan.entries.len()
        }
    }

    #[test]
    fn one_of_a_thousand_costs_ten_entries() {
        let mut domain = Domain::of(1000, 1);
        let entries = domain.advance(&[eui64(321)].into(), b"the next key");
        assert_eq!(entries, DEPTH);
        assert_eq!(domain.advance(&BTreeSet::new(), b"another"), 0, "nobody goes");
    }

    #[test]
    fn of_a_few_it_costs_fewer() {
        let mut domain = Domain::of(16, 1);
        assert_eq!(
            domain.advance(&[eui64(3)].into(), b"key"),
            4,
            "empty subtrees are told nothing"
        );
        let mut two = Domain::of(2, 1);
        assert_eq!(two.advance(&[eui64(0)].into(), b"key"), 1);
        assert_eq!(two.advance(&[eui64(1)].into(), b"key"), 0, "nobody is left");
    }

    #[test]
    fn no_key_is_stepped_over_many_epochs() {
        let mut domain = Domain::of(5, 1);
        for epoch in 0..3 * STEPS_MAX {
            let gone: &[Eui64] = if epoch == 100 { &[eui64(2)] } else { &[] };
            domain.advance(&gone.iter().copied().collect(), b"key");
            let tree = &domain.tree;
            assert!(tree.keys.values().all(|held| tree.epoch - held.since <= STEPS_MAX));
        }
        assert_eq!(domain.paths.len(), 4);
    }

    #[test]
    fn a_place_is_taken_again_and_tells_nothing_of_before() {
        let mut domain = Domain::of(8, 1);
        let before = domain.paths[&eui64(5)].clone();
        domain.advance(&[eui64(5)].into(), b"key");
        domain.enter(100);
        let path = domain.tree.path(eui64(100)).expect("in");
        assert_eq!(path.leaf, before.leaf);
        assert!(path.keys.iter().zip(&before.keys).all(|(now, then)| now != then));
        domain.advance(&[eui64(0)].into(), b"next");
        assert_eq!(domain.paths.len(), 7);
    }

    #[test]
    fn a_tree_has_an_end_and_so_has_a_message() {
        let mut domain = Domain::of(LEAVES, 1);
        let full = domain.tree.enter(eui64(2000), || Key128::new([1; 16]));
        assert_eq!(full, Err(KeyTreeFault::Full));
        let scattered: BTreeSet<Eui64> = (0..16).map(|n| eui64(n * 64)).collect();
        let plan = domain.tree.plan(&scattered, || drawn(&mut domain.prng));
        assert!(matches!(plan, Err(KeyTreeFault::Entries(111))), "{plan:?}");
    }

    #[test]
    fn who_is_too_many_for_one_message_goes_in_several() {
        const ENTRIES: usize = 10;
        let mut domain = Domain::of(LEAVES, 1);
        // Neighbours go together; one is not in it.
        for (gone, messages) in [((0..8).collect(), 1), (vec![0, 512, 1023], 3)] {
            let gone: BTreeSet<Eui64> = gone.into_iter().chain([5000]).map(eui64).collect();
            let plans = domain.tree.plans(&gone, (ENTRIES, 16), || drawn(&mut domain.prng));
            let plans = plans.expect("few enough");
            assert_eq!(plans.len(), messages);
            let mut tree = &domain.tree;
            let mut left = BTreeSet::new();
            for plan in &plans {
                let stay: BTreeSet<Eui64> = plan.after.members().collect();
                let going: Vec<Eui64> = tree.members().filter(|it| !stay.contains(it)).collect();
                assert_eq!((plan.epoch, plan.entries.len()), (tree.epoch, tree.entries(&going)));
                assert!(!going.is_empty() && plan.entries.len() <= ENTRIES);
                left.extend(going);
                tree = &plan.after;
            }
            assert_eq!(left, gone.difference(&[eui64(5000)].into()).copied().collect());
        }
        let all: BTreeSet<Eui64> = (0..16).map(|n| eui64(n * 64)).collect();
        let plans = domain.tree.plans(&all, (ENTRIES, 4), || drawn(&mut domain.prng));
        assert!(matches!(plans, Err(KeyTreeFault::Entries(_))), "{plans:?}");
        let nobody = domain.tree.plans(&BTreeSet::new(), (ENTRIES, 4), || drawn(&mut domain.prng));
        assert_eq!(nobody.expect("an epoch for everybody").len(), 1);
    }

    #[test]
    fn what_is_missed_past_or_forged_is_refused() {
        let mut domain = Domain::of(4, 1);
        let plan = domain.tree.plan(&[eui64(1)].into(), || drawn(&mut domain.prng)).expect("one");
        let mut octets = [0; TREE_OCTETS_MAX];
        let head = (TreeName::Network, plan.epoch);
        let len = emit(head, &plan.entries, (&plan.root, b"key"), &SoftCcm, &mut octets);
        let octets = &mut octets[..len.expect("room")];
        let forged = Received::new(octets).expect("well formed").verified(|_, _| false);
        assert_eq!(forged.err(), Some(TreeFault::Signature));
        let follow = |octets: &[u8], path: &Path| {
            let tree = Received::new(octets)?.verified(|_, _| true)?;
            path.follow(&tree, &SoftCcm, &mut [0; PAYLOAD_OCTETS_MAX])
        };
        let path = domain.paths[&eui64(0)].clone();
        let (after, _) = follow(octets, &path).expect("stays");
        assert_eq!(follow(octets, &after), Err(TreeFault::Past));
        let early = Path { epoch: path.epoch - 1, ..path.clone() };
        assert_eq!(follow(octets, &early), Err(TreeFault::Missed));
        let other = Path { tree: TreeName::Group(lowgate_amikey::GroupId(1)), ..path.clone() };
        assert_eq!(follow(octets, &other), Err(TreeFault::OtherTree));
        let evicted = &domain.paths[&eui64(1)];
        assert_eq!(follow(octets, evicted), Err(TreeFault::Evicted));
        for cut in 0..octets.len() {
            assert!(follow(&octets[..cut], &path).is_err(), "{cut} octets of {}", octets.len());
        }
        let at = octets.len() - 1;
        octets[at] ^= 1;
        assert_eq!(follow(octets, &path), Err(TreeFault::Payload));
    }

    proptest! {
        /// Whoever comes and goes, in whatever order: those who stay follow, those who go do not.
        #[test]
        fn members_come_and_go(
            seed: u64,
            members in 1..70u16,
            rounds in prop::collection::vec((prop::collection::vec(0..90u16, 0..5), 0..90u16), 1..6),
        ) {
            let mut domain = Domain::of(members, seed);
            for (gone, comes) in rounds {
                let gone: BTreeSet<Eui64> = gone.into_iter().map(eui64).collect();
                domain.advance(&gone, b"what is told");
                if !domain.paths.contains_key(&eui64(comes)) {
                    domain.enter(comes);
                }
            }
        }
    }
}
