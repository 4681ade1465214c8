//! The keys of a captured device, read out of its flash.

use super::packets::sealed;
use lowgate_crypto::{Ccm, Key128};
use lowgate_ieee802154::{AddressedFrame, FrameCounter, KeyIndex};
use lowgate_mac::Psdu;
use lowgate_node::flash::{Record, RecordKey, RecordOctets};
use lowgate_units::Eui64;
use std::collections::BTreeMap;

/// The link-layer key with which the device would wake up, and its counter.
pub(crate) struct Captured {
    pub(crate) eui64: Eui64,
    pub(crate) index: KeyIndex,
    key: Key128,
    next: u32,
    ccm: &'static dyn Ccm,
}

impl Captured {
    /// What the flash of this device holds; `None` if no network is in it.
    pub(crate) fn new(
        eui64: Eui64,
        flash: &BTreeMap<RecordKey, RecordOctets>,
        ccm: &'static dyn Ccm,
    ) -> Option<Self> {
        let record = |key: RecordKey| Record::parse(key, flash.get(&key)?);
        let Record::Network { active, cfg } = record(RecordKey::Network)? else { return None };
        let key = cfg.keys.iter().find(|key| key.index == active)?.key.clone();
        let next = match record(RecordKey::FrameCounter(active)) {
            Some(Record::FrameCounter { below, .. }) => below,
            _ => 0,
        };
        Some(Self { eui64, index: KeyIndex::new(active.raw())?, key, next, ccm })
    }

    /// A frame under the key, in whatever name; its counter goes so far ahead of the device's.
    pub(super) fn seal(
        &mut self,
        src: Eui64,
        ahead: u32,
        frame: AddressedFrame<'_>,
    ) -> Option<Psdu> {
        let counter = FrameCounter(self.next.checked_add(ahead)?);
        self.next += 1;
        sealed(self.ccm, (self.index, &self.key), (src, counter), frame)
    }
}

impl std::fmt::Debug for Captured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the keys of {}", self.eui64)
    }
}
