//! A key tree (the idea of RFC 2627 section 5.4): whom the manager takes a key away from, the others learn the
//! next one by a message whose length grows with the logarithm of their number, and he does not.
//!
//! Every member sits at a [`Leaf`] and holds the keys of the nodes from there to the root, its [`Path`]. To
//! evict leaves the manager renews every node above them. A renewed node's key is made of a seed; one of its
//! renewed children makes the same seed of its own, and to every other child it is wrapped under that child's
//! key. So each member that stays finds one entry and computes the rest upwards, and an evicted one finds none.
//! What is to be told, key messages of one record's form, is sealed under the new root.
//!
//! After every epoch each key of the tree is replaced by a one-way image of itself ([`step`]): who reads a
//! member's storage opens nothing of before, and a newcomer, who gets the path as it is, neither.
//!
//! ```text
//! TREE a7 | kind8 | group16 | epoch32 | count8 | { child16 | wrapped seed 16 }* | length16 | sealed | tag 8
//!      | DER signature
//! ```
//! The manager signs everything before the signature: who holds keys of the tree could forge all else.
//!
//! **Invariant:** an epoch is planned once and stored before it is told, so no key wraps two seeds. Nothing of a
//! message is used before its signature is verified: only [`Received::verified`] gives a [`Tree`].

use crate::wire::{NoRoom, Reader, Writer};
use crate::{GroupId, MsgId};
use lowgate_crypto::{Ccm, Key128, hkdf_sha256};

/// Edges between a leaf and the root.
pub const DEPTH: usize = 10;
/// Members a tree has room for: as many as a border router knows devices.
pub const LEAVES: u16 = 1 << DEPTH;
/// Entries of one message: with a payload of [`PAYLOAD_OCTETS_MAX`] and a signature it fits one IPv6 packet of
/// 1280 octets. Evictions that need more are told in several epochs.
pub const ENTRIES_MAX: usize = 48;
/// Octets that one message tells.
pub const PAYLOAD_OCTETS_MAX: usize = 200;
/// Octets of the longest message.
pub const TREE_OCTETS_MAX: usize = HEADER_OCTETS
    + ENTRIES_MAX * ENTRY_OCTETS
    + 2
    + PAYLOAD_OCTETS_MAX
    + TAG_OCTETS
    + SIGNATURE_OCTETS_MAX;
/// Of an ECDSA signature on P-256, in DER.
pub const SIGNATURE_OCTETS_MAX: usize = 72;

const TAG_TREE: u8 = 0xa7;
const HEADER_OCTETS: usize = 9;
const ENTRY_OCTETS: usize = 18;
const TAG_OCTETS: usize = 8;
/// Every payload key is used once.
const NONCE: [u8; 12] = [0; 12];

/// Whose keys a tree carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreeName {
    /// The devices of a PAN.
    Network,
    /// The members of a group in a PAN.
    Group(GroupId),
}

impl TreeName {
    const fn octets(self) -> [u8; 3] {
        match self {
            Self::Network => [0, 0, 0],
            Self::Group(GroupId(group)) => {
                let [high, low] = group.to_be_bytes();
                [1, high, low]
            }
        }
    }

    const fn of(octets: [u8; 3]) -> Option<Self> {
        match octets {
            [0, 0, 0] => Some(Self::Network),
            [1, high, low] => Some(Self::Group(GroupId(u16::from_be_bytes([high, low])))),
            _ => None,
        }
    }
}

/// A member's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaf(u16);

impl Leaf {
    /// `None` from [`LEAVES`] on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < LEAVES { Some(Self(number)) } else { None }
    }

    /// From 0 on.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The node it is.
    pub const fn node(self) -> Node {
        Node(LEAVES + self.0)
    }
}

/// A node, numbered as in a heap: the root is 1, the children of `n` are `2n` and `2n + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u16);

impl Node {
    /// Whose key all members hold.
    pub const ROOT: Self = Self(1);

    /// `None` unless it is in the tree.
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 1 && number < 2 * LEAVES { Some(Self(number)) } else { None }
    }

    /// From 1 on.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The node above, which the root does not have.
    pub const fn parent(self) -> Option<Self> {
        Self::new(self.0 / 2)
    }

    /// Both nodes below, which a leaf does not have.
    pub const fn children(self) -> Option<[Self; 2]> {
        if self.0 < LEAVES { Some([Self(2 * self.0), Self(2 * self.0 + 1)]) } else { None }
    }

    /// Itself, then the nodes above it, the root last.
    pub fn way_up(self) -> impl Iterator<Item = Self> + Clone {
        core::iter::successors(Some(self), |node| node.parent())
    }
}

/// Where and when a key is derived.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Which tree.
    pub tree: TreeName,
    /// The epoch that is told.
    pub epoch: u32,
    /// The node.
    pub node: Node,
}

/// A seed is worth the key of its node and of all renewed nodes above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed(pub Key128);

impl Seed {
    /// The new key of its node.
    pub fn key(&self, at: Place) -> Key128 {
        derived(&self.0, b"lowgate tree node v1", at)
    }

    /// The seed of the node above.
    pub fn up(&self, at: Place) -> Self {
        Self(derived(&self.0, b"lowgate tree up v1", at))
    }

    /// For who holds `key`, that of a child; `at` is the child. Also undoes it.
    #[must_use]
    pub fn wrapped(&self, key: &Key128, at: Place) -> Self {
        let pad = derived(key, b"lowgate tree wrap v1", at);
        let (own, pad) = (self.0.expose(), pad.expose());
        Self(Key128::new(core::array::from_fn(|at| own[at] ^ pad[at])))
    }
}

/// What becomes of a node's key when the epoch is over.
pub fn step(key: &Key128, at: Place) -> Key128 {
    derived(key, b"lowgate tree step v1", at)
}

fn payload_key(root: &Key128, tree: TreeName, epoch: u32) -> Key128 {
    derived(root, b"lowgate tree payload v1", Place { tree, epoch, node: Node::ROOT })
}

fn derived(key: &Key128, label: &[u8], at: Place) -> Key128 {
    let mut out = [0; 16];
    let place = [&at.tree.octets()[..], &at.epoch.to_be_bytes(), &at.node.0.to_be_bytes()];
    let info = [label, place[0], place[1], place[2]];
    hkdf_sha256(b"", key.expose(), &info, &mut out);
    Key128::new(out)
}

/// A seed for those below `child`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key wraps the seed of the node above it.
    pub child: Node,
    /// The seed, wrapped.
    pub wrapped: Seed,
}

/// Why a tree message is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeFault {
    /// It ends early.
    Truncated,
    /// It names no tree or no node, a node twice, or too many.
    Malformed,
    /// The manager did not sign it.
    Signature,
    /// Of another tree than the path is.
    OtherTree,
    /// Of an epoch before.
    Past,
    /// An epoch in between was missed: the path is to be asked for.
    Missed,
    /// Others got the new root.
    Evicted,
    /// What it tells does not open.
    Payload,
}

/// A message whose signature nobody looked at.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What is signed.
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Received<'a> {
    /// Finds the parts.
    ///
    /// # Errors
    /// It ends early or is no such message.
    pub fn new(octets: &'a [u8]) -> Result<Self, TreeFault> {
        let mut reader = Reader(octets);
        let head: [u8; HEADER_OCTETS] = reader.array().ok_or(TreeFault::Truncated)?;
        if head[0] != TAG_TREE || usize::from(head[8]) > ENTRIES_MAX {
            return Err(TreeFault::Malformed);
        }
        let skipped = reader.take(usize::from(head[8]) * ENTRY_OCTETS);
        skipped.ok_or(TreeFault::Truncated)?;
        let payload = reader.u16().and_then(|len| reader.take(usize::from(len) + TAG_OCTETS));
        payload.ok_or(TreeFault::Truncated)?;
        let signature = reader.rest();
        let signed = &octets[..octets.len() - signature.len()];
        Ok(Self { signed, signature })
    }

    /// The message, if `verifies(signed, signature)` says that the manager signed it.
    ///
    /// # Errors
    /// It did not, or what it signed is malformed.
    pub fn verified(
        self,
        verifies: impl FnOnce(&[u8], &[u8]) -> bool,
    ) -> Result<Tree<'a>, TreeFault> {
        if !verifies(self.signed, self.signature) {
            return Err(TreeFault::Signature);
        }
        Tree::parse(self.signed)
    }
}

/// A message of the manager.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    name: TreeName,
    epoch: u32,
    entries: &'a [[u8; ENTRY_OCTETS]],
    /// What the payload's tag covers besides it.
    head: &'a [u8],
    sealed: &'a [u8],
}

impl<'a> Tree<'a> {
    fn parse(signed: &'a [u8]) -> Result<Self, TreeFault> {
        let mut reader = Reader(signed);
        let head: [u8; HEADER_OCTETS] = reader.array().ok_or(TreeFault::Truncated)?;
        let name = TreeName::of([head[1], head[2], head[3]]).ok_or(TreeFault::Malformed)?;
        let epoch = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let entries = reader.take(usize::from(head[8]) * ENTRY_OCTETS);
        let (entries, _) = entries.ok_or(TreeFault::Truncated)?.as_chunks();
        let head = &signed[..HEADER_OCTETS + entries.len() * ENTRY_OCTETS];
        let _len = reader.u16();
        let sealed = reader.rest();
        let tree = Self { name, epoch, entries, head, sealed };
        // Rising, so each once; the root is nobody's child.
        let numbers = || tree.entries.iter().map(|entry| u16::from_be_bytes([entry[0], entry[1]]));
        let below_root = numbers().all(|number| number > 1 && Node::new(number).is_some());
        let rising = numbers().is_sorted_by(|a, b| a < b);
        // After the last epoch there is another tree.
        if sealed.len() < TAG_OCTETS || !below_root || !rising || epoch == u32::MAX {
            return Err(TreeFault::Malformed);
        }
        Ok(tree)
    }

    /// Which tree it is of.
    pub const fn name(&self) -> TreeName {
        self.name
    }

    /// Which epoch it tells.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    fn entry(&self, child: Node) -> Option<Seed> {
        let number = |entry: &[u8; ENTRY_OCTETS]| u16::from_be_bytes([entry[0], entry[1]]);
        let at = self.entries.binary_search_by_key(&child.0, number).ok()?;
        Key128::from_slice(&self.entries[at][2..]).map(Seed)
    }
}

/// What a member holds: the keys of its leaf and of all nodes above, for one epoch to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Which tree it is in.
    pub tree: TreeName,
    /// The epoch that the keys are for.
    pub epoch: u32,
    /// Where it sits.
    pub leaf: Leaf,
    /// The leaf's first, the root's last.
    pub keys: [Key128; DEPTH + 1],
}

impl Path {
    /// The path after a message; writes what it tells into `payload` and says how long that is. Both are to be
    /// stored before anything of it is used.
    ///
    /// # Errors
    /// The message is of no use to this member; its path stays as it is.
    pub fn follow(
        &self,
        tree: &Tree<'_>,
        ccm: &dyn Ccm,
        payload: &mut [u8; PAYLOAD_OCTETS_MAX],
    ) -> Result<(Self, usize), TreeFault> {
        if tree.name != self.tree {
            return Err(TreeFault::OtherTree);
        }
        if tree.epoch != self.epoch {
            let past = tree.epoch < self.epoch;
            return Err(if past { TreeFault::Past } else { TreeFault::Missed });
        }
        let mut after = self.clone();
        let renewed = after.renew(tree);
        if !renewed && !tree.entries.is_empty() {
            return Err(TreeFault::Evicted);
        }
        let len = after.open(tree, ccm, payload)?;
        after.step();
        Ok((after, len))
    }

    /// Whether there are seeds for this member; its keys are then the new ones.
    fn renew(&mut self, tree: &Tree<'_>) -> bool {
        let place = |node| Place { tree: self.tree, epoch: self.epoch, node };
        let mut below: Option<(Seed, Node)> = None;
        let way = self.leaf.node().way_up();
        for (level, (child, node)) in way.clone().zip(way.skip(1)).enumerate() {
            let told = tree.entry(child);
            let unwrapped = told.map(|wrapped| wrapped.wrapped(&self.keys[level], place(child)));
            let seed = unwrapped.or_else(|| below.map(|(seed, at)| seed.up(place(at))));
            if let Some(seed) = &seed {
                self.keys[level + 1] = seed.key(place(node));
            }
            below = seed.map(|seed| (seed, node));
        }
        below.is_some()
    }

    fn open(
        &self,
        tree: &Tree<'_>,
        ccm: &dyn Ccm,
        payload: &mut [u8; PAYLOAD_OCTETS_MAX],
    ) -> Result<usize, TreeFault> {
        let (sealed, tag) = tree.sealed.split_at(tree.sealed.len() - TAG_OCTETS);
        let out = payload.get_mut(..sealed.len()).ok_or(TreeFault::Malformed)?;
        out.copy_from_slice(sealed);
        let key = payload_key(&self.keys[DEPTH], self.tree, self.epoch);
        ccm.open(&key, &NONCE, tree.head, out, tag).map_err(|_| TreeFault::Payload)?;
        Ok(sealed.len())
    }

    fn step(&mut self) {
        for (key, node) in self.keys.iter_mut().zip(self.leaf.node().way_up()) {
            *key = step(key, Place { tree: self.tree, epoch: self.epoch, node });
        }
        self.epoch += 1;
    }
}

/// Octets of the point that messages are verified with, uncompressed (SEC 1).
pub const SIGNER_OCTETS: usize = 65;

/// A member's path, and who signs the messages of its tree: what a manager tells a device in its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTold {
    /// Number of this message.
    pub msg_id: MsgId,
    /// The path.
    pub path: Path,
    /// The manager's public key, a point on P-256.
    pub signer: [u8; SIGNER_OCTETS],
}

/// That a member holds what an epoch told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Which tree.
    pub tree: TreeName,
    /// The epoch.
    pub epoch: u32,
}

/// One in so many leaves says that it followed an epoch, others each time: enough to know that a flood came
/// through, few enough to cost little.
const WITNESSES_ONE_IN: u32 = 8;

impl Leaf {
    /// Whether its member is one of those who say that they followed that epoch.
    pub const fn is_witness(self, epoch: u32) -> bool {
        (self.0 as u32) % WITNESSES_ONE_IN == epoch % WITNESSES_ONE_IN
    }
}

impl PathTold {
    /// Octets of the message, tag and number included.
    pub(crate) const OCTETS: usize = 2 + 3 + 4 + 2 + SIGNER_OCTETS + (DEPTH + 1) * 16;

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        writer.put(&self.path.tree.octets())?;
        writer.put_u32(self.path.epoch)?;
        writer.put_u16(self.path.leaf.0)?;
        writer.put(&self.signer)?;
        self.path.keys.iter().try_for_each(|key| writer.put(key.expose()))
    }

    /// `None` if it ends early or names no tree or leaf.
    pub(crate) fn parse(msg_id: MsgId, mut reader: Reader<'_>) -> Option<Self> {
        let tree = TreeName::of(reader.array()?)?;
        let (epoch, leaf) = (reader.u32()?, Leaf::new(reader.u16()?)?);
        let signer = reader.array()?;
        let mut keys = [const { None }; DEPTH + 1];
        for key in &mut keys {
            *key = Some(Key128::new(reader.array()?));
        }
        let keys = keys.map(|key| key.expect("all were read"));
        Some(Self { msg_id, path: Path { tree, epoch, leaf, keys }, signer })
    }
}

impl Followed {
    /// Octets of the message, tag and number included.
    pub(crate) const OCTETS: usize = 2 + 3 + 4;

    pub(crate) fn emit(self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        writer.put(&self.tree.octets())?;
        writer.put_u32(self.epoch)
    }

    /// `None` if it ends early or names no tree.
    pub(crate) fn parse(mut reader: Reader<'_>) -> Option<Self> {
        Some(Self { tree: TreeName::of(reader.array()?)?, epoch: reader.u32()? })
    }
}

/// Writes a message with what it tells sealed under `root`, and says how long it is; the signature is to follow.
///
/// # Errors
/// `out` is too short, there are more than [`ENTRIES_MAX`] entries or [`PAYLOAD_OCTETS_MAX`] octets.
///
/// # Panics
/// Unless the entries' children rise.
pub fn emit(
    (tree, epoch): (TreeName, u32),
    entries: &[Entry],
    (root, payload): (&Key128, &[u8]),
    ccm: &dyn Ccm,
    out: &mut [u8],
) -> Result<usize, NoRoom> {
    assert!(entries.is_sorted_by(|a, b| a.child < b.child), "the planner sorts them");
    if entries.len() > ENTRIES_MAX || payload.len() > PAYLOAD_OCTETS_MAX {
        return Err(NoRoom);
    }
    let mut writer = Writer::new(out);
    writer.put_u8(TAG_TREE)?;
    writer.put(&tree.octets())?;
    writer.put_u32(epoch)?;
    writer.put_u8(u8::try_from(entries.len()).map_err(|_| NoRoom)?)?;
    for entry in entries {
        writer.put_u16(entry.child.0)?;
        writer.put(entry.wrapped.0.expose())?;
    }
    let head_octets = writer.written();
    writer.put_u16(u16::try_from(payload.len()).map_err(|_| NoRoom)?)?;
    writer.put(payload)?;
    let mut tag = [0; TAG_OCTETS];
    writer.put(&tag)?;
    let written = writer.written();
    let (head, rest) = out[..written].split_at_mut(head_octets);
    let (sealed, tag_at) = rest[2..].split_at_mut(payload.len());
    ccm.seal(&payload_key(root, tree, epoch), &NONCE, head, sealed, &mut tag);
    tag_at.copy_from_slice(&tag);
    Ok(written)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_crypto::SoftCcm;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn path() -> Path {
        let keys = core::array::from_fn(|_| Key128::new([7; 16]));
        Path { tree: TreeName::Network, epoch: 1, leaf: Leaf::new(5).expect("in it"), keys }
    }

    /// Signed, whoever sent it.
    fn follow(octets: &[u8]) -> Result<(Path, usize), TreeFault> {
        let tree = Received::new(octets)?.verified(|_, _| true)?;
        path().follow(&tree, &SoftCcm, &mut [0; PAYLOAD_OCTETS_MAX])
    }

    /// A message for the leaf's half of the tree and the octets that tell it.
    fn message(payload: &[u8], children: &[u16]) -> Vec<u8> {
        let place = |node| Place { tree: TreeName::Network, epoch: 1, node };
        let seed = Seed(Key128::new([9; 16]));
        let entries: Vec<Entry> = children
            .iter()
            .map(|child| Node::new(*child).expect("in the tree"))
            .map(|child| Entry {
                child,
                wrapped: seed.wrapped(&Key128::new([7; 16]), place(child)),
            })
            .collect();
        let root = seed.key(place(Node::ROOT));
        let mut out = [0; TREE_OCTETS_MAX];
        let head = (TreeName::Network, 1);
        let len = emit(head, &entries, (&root, payload), &SoftCcm, &mut out).expect("room");
        out[..len].to_vec()
    }

    #[test]
    fn names_end_where_the_tree_does() {
        assert_eq!((Node::new(0), Node::new(2 * LEAVES), Leaf::new(LEAVES)), (None, None, None));
        let last = Leaf::new(LEAVES - 1).expect("in it").node();
        assert_eq!((last.children(), Node::ROOT.parent()), (None, None));
        assert_eq!(last.way_up().count(), DEPTH + 1);
    }

    #[test]
    fn more_than_one_message_holds_is_refused() {
        let root = Key128::new([1; 16]);
        let entry = |child| {
            let child = Node::new(child).expect("in the tree");
            Entry { child, wrapped: Seed(root.clone()) }
        };
        let entries: Vec<Entry> = (2..3 + ENTRIES_MAX as u16).map(entry).collect();
        let mut out = [0; 2 * TREE_OCTETS_MAX];
        let mut emitted = |entries: &[Entry], len| {
            let payload = [0; PAYLOAD_OCTETS_MAX + 1];
            emit((TreeName::Network, 1), entries, (&root, &payload[..len]), &SoftCcm, &mut out)
        };
        let longest = TREE_OCTETS_MAX - SIGNATURE_OCTETS_MAX;
        assert_eq!(emitted(&entries[1..], PAYLOAD_OCTETS_MAX), Ok(longest));
        assert_eq!(emitted(&entries, 0), Err(NoRoom));
        assert_eq!(emitted(&[], PAYLOAD_OCTETS_MAX + 1), Err(NoRoom));
    }

    proptest! {
        #[test]
        fn what_is_emitted_is_followed(
            payload in proptest::collection::vec(any::<u8>(), 0..PAYLOAD_OCTETS_MAX),
            signature in proptest::collection::vec(any::<u8>(), 0..SIGNATURE_OCTETS_MAX),
        ) {
            let mut octets = message(&payload, &[2]);
            let signed = octets.clone();
            octets.extend(&signature);
            let received = Received::new(&octets).expect("well formed");
            let tree = received.verified(|all, by| (all, by) == (&signed[..], &signature[..]));
            let mut told = [0; PAYLOAD_OCTETS_MAX];
            let (after, len) =
                path().follow(&tree.expect("signed"), &SoftCcm, &mut told).expect("stays");
            prop_assert_eq!((after.epoch, &told[..len]), (2, &payload[..]));
            prop_assert!(after.keys.iter().all(|key| *key != Key128::new([7; 16])));
        }

        /// Signed or not, octets of any kind: they are read or refused.
        #[test]
        fn no_octets_panic(
            head in prop_oneof![Just(None), (0..3u8, 0..60u8).prop_map(Some)],
            tail in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let head = head.map_or(Vec::new(), |(kind, count)| {
                [&[TAG_TREE, kind][..], &[0; 5], &[1, count]].concat()
            });
            prop_assert!(follow(&[head, tail].concat()).is_err());
        }

        /// One octet before the signature is wrong: nothing of it is used.
        #[test]
        fn no_damage_is_followed(at: prop::sample::Index, change in 1..=255u8) {
            let mut octets = message(b"what is told", &[2, 3]);
            let at = at.index(octets.len());
            octets[at] ^= change;
            // The other half's seed is not this member's, but the tag covers it.
            prop_assert!(follow(&octets).is_err());
        }
    }
}
