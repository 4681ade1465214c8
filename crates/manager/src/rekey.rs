//! Periodic rekeys: a new link-layer key with nobody expelled, a new epoch of a group that nobody left.
//!
//! The link-layer key is spread and switched to as after a revocation. A group keeps its TGK: a new RAND
//! and the next TEK_ID make new keys of it.
//!
//! **Invariant:** pure but for entropy, as all decisions; a refusal leaves no trace.

use crate::change::{Change, LinkKey};
use crate::decide::key;
use crate::domain::Domain;
use crate::membership::Turn;
use lowgate_amikey::{GroupId, TekId};
use lowgate_units::Entropy;

/// Why keys are not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekeyRefused {
    /// In every PAN with a border router a link-layer key is being spread already.
    UnderWay,
    /// No border router is a member: there is nobody to switch the mesh.
    NoBorderRouter,
    /// No such group.
    UnknownGroup,
    /// No device has asked for a share: there is no polynomial.
    NoPairs,
}

impl Domain {
    /// The next link-layer key of every PAN that has a border router and is not getting one already, to be
    /// spread to its members and then switched to.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_network_rekey(
        &self,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, RekeyRefused> {
        let mut refused = RekeyRefused::NoBorderRouter;
        let mut changes = Vec::new();
        for (id, pan) in self.pans().iter().filter(|(_, pan)| pan.border_router.is_some()) {
            if pan.staged_key.is_some() {
                refused = RekeyRefused::UnderWay;
                continue;
            }
            let key = LinkKey { index: pan.key_index_next(), key: key(entropy) };
            changes.push(Change::LinkKeyStaged { pan: *id, key });
        }
        if changes.is_empty() { Err(refused) } else { Ok(changes) }
    }

    /// The next epoch of a group: new RAND and TEK_ID, and SenderIDs from 1 on for who sends now.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_group_rekey(
        &self,
        id: GroupId,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, RekeyRefused> {
        let group = self.groups().get(&id).ok_or(RekeyRefused::UnknownGroup)?;
        if group.epoch.tek_id.next() == TekId::FIRST {
            // The number begins again, and that only under another bundle.
            return Ok(self.next_epoch(group, Turn::NOBODY, entropy));
        }
        Ok(self.next_rand(group, entropy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{NewDomain, found};
    use crate::group::GroupEpoch;
    use lowgate_units::{Channel, Ipv6Addr, SeededEntropy};

    const GROUP: GroupId = GroupId(7);

    fn domain(entropy: &mut SeededEntropy) -> Domain {
        let channel = Channel::new(15).expect("in the band");
        let created = found(NewDomain::new(channel, Ipv6Addr::LOCALHOST), entropy);
        let mut domain = Domain::restore(&[created]).expect("a domain begins with its creation");
        let group = domain.decide_group(GROUP, "lights", entropy).expect("a free number");
        group.iter().for_each(|change| domain.apply(change).expect("a decision fits"));
        domain
    }

    fn epoch(changes: &[Change]) -> GroupEpoch {
        match changes {
            [Change::GroupEpochStarted { group: GROUP, epoch }] => epoch.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_group_keeps_its_tgk_until_its_epochs_are_used_up() {
        let entropy = &mut SeededEntropy::new(1);
        let mut domain = domain(entropy);
        let first = domain.groups()[&GROUP].epoch.clone();
        let second = epoch(&domain.decide_group_rekey(GROUP, entropy).expect("it exists"));
        assert_eq!((&second.tgk, second.csb_id), (&first.tgk, first.csb_id));
        assert_eq!((second.generation, second.tek_id), (first.generation, first.tek_id.next()));
        assert_ne!(second.rand, first.rand);
        let last = GroupEpoch { tek_id: TekId::new(u16::MAX).expect("not 0"), ..second };
        let change = Change::GroupEpochStarted { group: GROUP, epoch: last.clone() };
        domain.apply(&change).expect("it exists");
        let again = epoch(&domain.decide_group_rekey(GROUP, entropy).expect("it exists"));
        assert_eq!((again.tek_id, again.generation), (TekId::FIRST, first.generation.next()));
        assert!(again.csb_id != last.csb_id && again.tgk != last.tgk);
    }

    #[test]
    fn refusals() {
        let entropy = &mut SeededEntropy::new(1);
        let domain = domain(entropy);
        let nobody = domain.decide_network_rekey(entropy);
        assert_eq!(nobody, Err(RekeyRefused::NoBorderRouter));
        let unknown = domain.decide_group_rekey(GroupId(8), entropy);
        assert_eq!(unknown, Err(RekeyRefused::UnknownGroup));
    }
}
