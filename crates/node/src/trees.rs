//! Key trees: by one message the manager tells all members but those it takes something away from.
//!
//! Paths are kept in memory only. Who restarts has none until the manager tells it one again, and hears of changed
//! keys like those who follow no trees, or finds out for itself. Nor has a build without the feature `trees` any.
//!
//! **Invariant:** nothing of a message is used before its signature is verified. Only the manager can say a path.

use crate::api::{Event, GROUPS_MAX};
use crate::keys::Confirm;
use crate::node::Node;
use heapless::Vec as FixedVec;
use lowgate_amikey::tree::{Followed, PAYLOAD_OCTETS_MAX, PathTold, Received, TreeFault, TreeName};
use lowgate_crypto::Ccm;
use lowgate_units::Instant;
use zeroize::Zeroizing;

/// The network's tree, and one of every group.
const TREES_MAX: usize = 1 + GROUPS_MAX;

/// The places of a node.
pub(crate) struct Trees(FixedVec<PathTold, TREES_MAX>);

/// What an epoch told.
struct Told {
    payload: Zeroizing<[u8; PAYLOAD_OCTETS_MAX]>,
    len: usize,
    /// To be said by who is a witness.
    followed: Option<Followed>,
}

impl Trees {
    pub(crate) const fn new() -> Self {
        Self(FixedVec::new())
    }

    /// A path that replaces the one in the same tree. Beyond the bound nobody gives any.
    pub(crate) fn install(&mut self, told: PathTold) {
        self.forget(told.path.tree);
        drop(self.0.push(told));
    }

    pub(crate) fn forget(&mut self, tree: TreeName) {
        self.0.retain(|held| held.path.tree != tree);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Opens a message and goes on to the next epoch.
    fn follow(&mut self, ccm: &dyn Ccm, octets: &[u8]) -> Result<Told, TreeFault> {
        // One manager signs for all trees.
        let signer = self.0.first().ok_or(TreeFault::OtherTree)?.signer;
        let received = Received::new(octets)?;
        let tree = received.verified(|signed, signature| verifies(&signer, signed, signature))?;
        let held = self.0.iter_mut().find(|held| held.path.tree == tree.name());
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
