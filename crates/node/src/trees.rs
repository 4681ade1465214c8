//! Key trees: by one message the manager tells all members but those it takes something away from.
//!
//! Paths are kept in memory only. Who restarts has none until the manager tells it one again, and hears of changed
//! keys like those who follow no trees, or finds out for itself. Nor has a build without the feature `trees` any.
//!
//! **Invariant:** nothing of a message is used before its signature is verified. Only the manager can say a path.

use crate::api::{Event, GROUPS_MAX};
use crate::keys::Confirm;
use crate::node::Node;
use alloc::vec::Vec;
use lowgate_amikey::tree::{Followed, PAYLOAD_OCTETS_MAX, PathTold, Received, TreeFault, TreeName};
use lowgate_amikey::{Cfg, Message, Mkd, Spd};
use lowgate_crypto::Ccm;
use lowgate_units::{Duration, Instant, Prng};
use zeroize::Zeroizing;

/// The network's tree, and one of every group.
const TREES_MAX: usize = 1 + GROUPS_MAX;
/// Witnesses say that they followed within this time, lest all speak at once.
const SAID_WITHIN: Duration = Duration::from_secs(3);
/// The mesh builds itself anew where a router is shut out: who has no way to the manager waits for one.
const SAID_AGAIN: Duration = Duration::from_secs(1);
/// By then the manager has told this node by itself.
const SAID_AT_LAST: Duration = Duration::from_secs(20);

/// The places of a node, [`TREES_MAX`] of them at most. Who has none spends no memory on them.
pub(crate) struct Trees {
    held: Vec<PathTold>,
    /// What is to be said as a witness, [`TREES_MAX`] at most.
    saying: Vec<Saying>,
}

/// That an epoch was followed.
struct Saying {
    followed: Followed,
    at: Instant,
    /// After that it is history.
    until: Instant,
}

/// What an epoch told.
struct Told {
    payload: Zeroizing<[u8; PAYLOAD_OCTETS_MAX]>,
    len: usize,
    /// To be said by who is a witness.
    followed: Option<Followed>,
}

impl Trees {
    pub(crate) const fn new() -> Self {
        Self { held: Vec::new(), saying: Vec::new() }
    }

    /// A path that replaces the one in the same tree. Another signer is another manager, or the same one after a
    /// restart, who knows nothing of the paths of before. Beyond the bound nobody gives any.
    pub(crate) fn install(&mut self, told: PathTold) {
        self.held.retain(|held| held.signer == told.signer && held.path.tree != told.path.tree);
        if self.held.len() < TREES_MAX {
            self.held.push(told);
        }
    }

    pub(crate) fn forget(&mut self, tree: TreeName) {
        self.held.retain(|held| held.path.tree != tree);
    }

    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.saying.clear();
    }

    /// What an epoch told is stored; a witness is to say so in a while.
    pub(crate) fn stored(&mut self, now: Instant, followed: Followed, prng: &mut Prng) {
        self.saying.retain(|earlier| earlier.followed.tree != followed.tree);
        if self.saying.len() < TREES_MAX {
            let spread = prng.below(SAID_WITHIN.as_micros() as u64);
            let at = now + Duration::from_micros(spread);
            self.saying.push(Saying { followed, at, until: now + SAID_AT_LAST });
        }
    }

    /// When something is to be said.
    pub(crate) fn due(&self) -> Instant {
        self.saying.iter().map(|saying| saying.at).min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// What is to be said now, if there is a way to say it.
    fn take_due(&mut self, now: Instant, has_way: bool) -> Option<Followed> {
        self.saying.retain(|saying| now < saying.until);
        let at = self.saying.iter().position(|saying| saying.at <= now)?;
        if has_way {
            return Some(self.saying.swap_remove(at).followed);
        }
        let waiting = self.saying.iter_mut().filter(|saying| saying.at <= now);
        waiting.for_each(|saying| saying.at = now + SAID_AGAIN);
        None
    }

    /// Opens a message and goes on to the next epoch.
    fn follow(&mut self, ccm: &dyn Ccm, octets: &[u8]) -> Result<Told, TreeFault> {
        // One manager signs for all trees.
        let signer = self.held.first().ok_or(TreeFault::OtherTree)?.signer;
        let received = Received::new(octets)?;
        let tree = received.verified(|signed, signature| verifies(&signer, signed, signature))?;
        let held = self.held.iter_mut().find(|held| held.path.tree == tree.name());
        let held = held.ok_or(TreeFault::OtherTree)?;
        let mut payload = Zeroizing::new([0; PAYLOAD_OCTETS_MAX]);
        let (after, len) = held.path.follow(&tree, ccm, &mut payload)?;
        let followed = Followed { tree: tree.name(), epoch: tree.epoch() };
        let followed = held.path.leaf.is_witness(tree.epoch()).then_some(followed);
        held.path = after;
        Ok(Told { payload, len, followed })
    }
}

#[cfg(feature = "trees")]
fn verifies(signer: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let key = lowgate_crypto::PublicKey::from_point(signer);
    let digest = lowgate_crypto::Sha256::of(signed);
    key.is_some_and(|key| key.verifies(&digest, signature))
}

/// Without the curve nothing is known to be the manager's.
#[cfg(not(feature = "trees"))]
const fn verifies(_signer: &[u8], _signed: &[u8], _signature: &[u8]) -> bool {
    false
}

impl Node {
    /// What is told to all names those who send, each with its id: this node's part of it. `None` if it sends and is
    /// not named: the manager tells it by itself. Nor does a late message bring back an epoch of before.
    pub(crate) fn part_of(&mut self, mkd: Mkd, mut spd: Spd) -> Option<(Mkd, Spd)> {
        let named = core::mem::take(&mut spd.parameters.named_senders);
        let own = named.iter().find(|(_, eui64)| *eui64 == self.config.eui64);
        spd.sender_id = own.map(|(id, _)| *id);
        let held = self.groups.by_id(mkd.group);
        let may_follow = held.is_none_or(|group| {
            spd.tek_id.is_after(group.epoch) && (own.is_some() || !group.sends())
        });
        may_follow.then_some((mkd, spd))
    }

    /// Whether a configuration that is told to all brings a key that is later than those held.
    pub(crate) fn is_news(&self, cfg: &Cfg) -> bool {
        let mut held = self.link.iter().flat_map(|link| &link.cfg.keys);
        held.all(|held| cfg.keys.iter().all(|key| key.index.is_after(held.index)))
    }

    /// As a witness, says that an epoch was followed.
    pub(crate) fn say_followed_if_due(&mut self, now: Instant) {
        let has_way = self.net.is_attached();
        if let Some(followed) = self.trees.take_due(now, has_way) {
            // Unheard, the manager tells this node once more by itself.
            let _ = self.joiner.tell(&Message::Followed(followed));
        }
    }

    /// A message of a key tree arrived.
    pub(crate) fn take_tree(&mut self, now: Instant, octets: &[u8]) {
        match self.trees.follow(self.config.ccm, octets) {
            Ok(Told { payload, len, followed }) => {
                self.keys(now, Confirm::Followed(followed), &payload[..len]);
            }
            Err(fault) => {
                if fault == TreeFault::Missed {
                    self.doubt_keys(now);
                }
                self.event(Event::TreeDropped(fault));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Kind, NodeConfig};
    use crate::keys::Link;
    use lowgate_amikey::tree::{DEPTH, Leaf, Path, SIGNER_OCTETS};
    use lowgate_amikey::{
        CsbId, Generation, GroupId, KeyIndex, KeyUsage, LinkKey, MsgId, OldEpoch, Rand, SenderId,
        SpdParameters, TekId, Tgk,
    };
    use lowgate_crypto::{Key128, Secret, SoftCcm};
    use lowgate_dtls::{Psk, Retransmission};
    use lowgate_units::{Channel, Eui64, Ipv6Addr, SeededEntropy};

    fn told(tree: TreeName, signer: u8) -> PathTold {
        let keys = [const { None::<Key128> }; DEPTH + 1].map(|_| Key128::new([1; 16]));
        let path = Path { tree, epoch: 1, leaf: Leaf::new(0).expect("in it"), keys };
        PathTold { msg_id: MsgId(1), path, signer: [signer; SIGNER_OCTETS] }
    }

    #[test]
    fn places_are_replaced_bounded_and_of_one_manager() {
        let mut trees = Trees::new();
        for group in (0..10).map(GroupId) {
            trees.install(told(TreeName::Group(group), 1));
            trees.install(told(TreeName::Group(group), 1));
        }
        assert_eq!(trees.held.len(), TREES_MAX);
        trees.install(told(TreeName::Network, 2));
        assert_eq!(trees.held.len(), 1, "those of the manager before are history");
    }

    #[test]
    fn a_witness_speaks_once_and_when_it_is_heard() {
        let (mut trees, mut prng) = (Trees::new(), Prng::new(1));
        let at = Instant::from_secs;
        let followed = |epoch| Followed { tree: TreeName::Network, epoch };
        trees.stored(at(10), followed(1), &mut prng);
        trees.stored(at(10), followed(2), &mut prng);
        let due = trees.due();
        assert!((at(10)..at(13)).contains(&due));
        assert_eq!(trees.take_due(at(13), false), None);
        assert_eq!(trees.due(), at(14));
        assert_eq!(trees.take_due(at(14), true), Some(followed(2)), "the earlier one is history");
        assert_eq!((trees.take_due(at(14), true), trees.due()), (None, Instant::FAR_FUTURE));
        trees.stored(at(20), followed(3), &mut prng);
        assert_eq!(trees.take_due(at(40), true), None, "nobody waits for it");
    }

    const ME: Eui64 = Eui64([2; 8]);

    fn node(kind: Kind) -> Node {
        let config = NodeConfig {
            eui64: ME,
            identity: [2; 8].into_iter().collect(),
            psk: Psk::new(&[1; 16]).expect("16 octets"),
            kind,
            groups: heapless::Vec::new(),
            channels: Channel::new(15).into_iter().collect(),
            ccm: &SoftCcm,
            retransmission: Retransmission::USUAL,
            key_trees: true,
            key_log: false,
        };
        Node::new(Instant::ZERO, config, [], &mut SeededEntropy::new(1), Prng::new(1))
    }

    /// What all members of a group are told, with these senders named.
    fn told_to_all(epoch: u16, named: &[(u8, Eui64)]) -> (Mkd, Spd) {
        let (csb_id, secret) = (CsbId(epoch.into()), || Secret::new([epoch as u8; 16]));
        let (msg_id, group) = (MsgId(0), GroupId(1));
        let mkd = Mkd { msg_id, csb_id, generation: Generation(epoch), group, tgk: Tgk(secret()) };
        let id = |raw| SenderId::new(raw).expect("1 to 254");
        let parameters = SpdParameters {
            port: Some(61_640),
            address: Some(Ipv6Addr::new(0xff35, 0, 0, 0, 0, 0, 0, 1)),
            named_senders: named.iter().map(|(raw, eui64)| (id(*raw), *eui64)).collect(),
            senders: [1, 2].into_iter().map(id).collect(),
            ..SpdParameters::default()
        };
        let (tek_id, rand) = (TekId::new(epoch).expect("not 0"), Rand(secret()));
        let (sender_id, old_epoch) = (None, OldEpoch::Wipe);
        (mkd, Spd { msg_id, csb_id, tek_id, sender_id, rand, old_epoch, parameters })
    }

    #[test]
    fn a_sender_goes_on_under_the_id_it_is_named_with_or_waits() {
        let mut node = node(Kind::Switch);
        let part = |node: &mut Node, epoch, named: &[(u8, Eui64)]| {
            let (mkd, spd) = told_to_all(epoch, named);
            let part = node.part_of(mkd, spd);
            part.inspect(|(mkd, spd)| {
                assert!(spd.parameters.named_senders.is_empty(), "storage keeps its own part");
                node.groups.install(mkd, spd, None).expect("complete");
            })
        };
        let own = |part: Option<(Mkd, Spd)>| part.map(|(_, spd)| spd.sender_id.map(SenderId::raw));
        let other = Eui64([3; 8]);
        assert_eq!(own(part(&mut node, 2, &[(1, other)])), Some(None), "it listens");
        assert_eq!(own(part(&mut node, 3, &[(1, other), (2, ME)])), Some(Some(2)));
        assert_eq!(own(part(&mut node, 4, &[(1, other)])), None, "it is told by itself");
        assert_eq!(own(part(&mut node, 5, &[(1, ME)])), Some(Some(1)));
        for late in [4, 5] {
            assert_eq!(own(part(&mut node, late, &[(2, ME)])), None, "{late} is over");
        }
    }

    #[test]
    fn a_key_of_the_network_that_comes_late_is_not_taken_in() {
        let mut node = node(Kind::Light);
        let cfg = |indices: &[u8]| {
            let key = |raw: &u8| LinkKey {
                index: KeyIndex::new(*raw).expect("not reserved"),
                usage: KeyUsage::EncMic64,
                key: Key128::new([*raw; 16]),
            };
            Cfg { keys: indices.iter().map(key).collect(), ..Cfg::default() }
        };
        let (held, active) = (cfg(&[254, 2]), KeyIndex::new(254).expect("not reserved"));
        node.link = Some(Link { cfg: held, active, hint: None });
        let news = [1, 2, 3, 254].map(|index| node.is_news(&cfg(&[index])));
        assert_eq!(news, [false, false, true, false]);
    }
}
