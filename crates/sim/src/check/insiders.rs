//! Intruders who hold the link keys of captured devices: what they seal is no forgery of the cipher's.
//!
//! **Bounds:** grows with insiders and keys; of the names they take, the last [`NAMES_MAX`] are remembered.

use super::LinkKeyName;
use super::frames::Secured;
use crate::medium::StationId;
use lowgate_units::Eui64;
use std::collections::{BTreeMap, VecDeque};

/// Names remembered.
const NAMES_MAX: usize = 1024;

/// The book.
#[derive(Default)]
pub(super) struct Insiders {
    /// Whose keys each of them holds, and which.
    held: BTreeMap<StationId, (StationId, Vec<LinkKeyName>)>,
    /// In whose name they sealed something.
    names: VecDeque<Eui64>,
}

impl Insiders {
    pub(super) fn hold(&mut self, insider: StationId, of: StationId, key: LinkKeyName) {
        let (_, keys) = self.held.entry(insider).or_insert((of, Vec::new()));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }

    /// Somebody sends a frame.
    pub(super) fn aired(&mut self, station: StationId, secured: Option<Secured>) {
        if self.sealed_by(station, secured).is_none() {
            return;
        }
        let Some((src, ..)) = secured.filter(|(src, ..)| !self.names.contains(src)) else { return };
        if self.names.len() >= NAMES_MAX {
            self.names.pop_front();
        }
        self.names.push_back(src);
    }

    /// The device with whose key an intruder sealed this.
    pub(super) fn sealed_by(
        &self,
        station: StationId,
        secured: Option<Secured>,
    ) -> Option<StationId> {
        let (of, keys) = self.held.get(&station)?;
        secured.is_some_and(|(_, key, _)| keys.contains(&key)).then_some(*of)
    }

    /// Whether one of them called itself that.
    pub(super) fn named(&self, eui64: Eui64) -> bool {
        self.names.contains(&eui64)
    }
}
