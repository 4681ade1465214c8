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
use lowgate_crypto::Ccm;
use lowgate_units::Instant;
use zeroize::Zeroizing;

/// The network's tree, and one of every group.
const TREES_MAX: usize = 1 + GROUPS_MAX;

/// The places of a node, [`TREES_MAX`] of them at most. Who has none spends no memory on them.
pub(crate) struct Trees(Vec<PathTold>);

/// What an epoch told.
struct Told {
    payload: Zeroizing<[u8; PAYLOAD_OCTETS_MAX]>,
    len: usize,
    /// To be said by who is a witness.
    followed: Option<Followed>,
}

impl Trees {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// A path that replaces the one in the same tree. Another signer is another manager, or the same one after a
    /// restart, who knows nothing of the paths of before. Beyond the bound nobody gives any.
    pub(crate) fn install(&mut self, told: PathTold) {
        self.0.retain(|held| held.signer == told.signer && held.path.tree != told.path.tree);
        if self.0.len() < TREES_MAX {
            self.0.push(told);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_amikey::tree::{DEPTH, Leaf, Path, SIGNER_OCTETS};
    use lowgate_amikey::{GroupId, MsgId};
    use lowgate_crypto::Key128;

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
        assert_eq!(trees.0.len(), TREES_MAX);
        trees.install(told(TreeName::Network, 2));
        assert_eq!(trees.0.len(), 1, "those of the manager before are history");
    }
}
