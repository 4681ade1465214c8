//! What becomes of a revoked device: from the manager's decision to the moment it took effect everywhere,
//! and what it could do from then on.

use super::{Fault, LinkKeyName};
use crate::medium::{FrameId, StationId};
use lowgate_units::{Duration, Eui64, Instant, PanId};
use std::collections::BTreeSet;

/// A frame that was sealed before its sender switched is repeated on the air for no longer than this.
const LAST_FRAMES: Duration = Duration::from_millis(500);

/// One revocation.
///
/// It takes effect when the last member has switched to the new key and has no frame under the old one on
/// the air any more. Before that a member that has not
/// heard of the switch still opens frames under the old key: that time is measured, not hidden.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Who is revoked.
    pub eui64: Eui64,
    /// Where it is.
    pub station: StationId,
    /// The PAN it was in.
    pub pan: PanId,
    /// When the store had the decision.
    pub decided_at: Instant,
    /// When the border router was told to switch.
    pub commanded_at: Option<Instant>,
    /// When it took effect: half a second after the last member switched.
    pub effective_at: Option<Instant>,
    /// Frames under the new key that its radio received, and that a member opened, while it held all its
    /// old keys.
    pub frames_heard_after: u64,
    /// Of all frames sent by others since it took effect, those it opened.
    pub frames_opened_after: u64,
    /// Of all frames it sent since it took effect, those that anybody opened.
    pub frames_accepted_after: u64,
    /// Group records sealed by others since the decision that its radio received.
    pub group_records_heard_after: u64,
    /// Of these, those that its group keys open.
    pub group_records_opened_after: u64,
    /// Group records that it sealed with its keys and that were handed to members, whatever the link
    /// layer says.
    pub group_records_forged: u64,
    /// Of these, those that a member opened.
    pub group_records_accepted_after: u64,
    /// The index of the new key, once it is known.
    pub key: Option<LinkKeyName>,
    /// That the border router routes to it was found.
    pub(super) routed: bool,
    /// Its group keys were tried on the members.
    pub(super) forged: bool,
    waiting: BTreeSet<StationId>,
    /// Let in since the decision, while the old key was the one to tell.
    told: BTreeSet<StationId>,
    switched: BTreeSet<(StationId, LinkKeyName)>,
    gave_up: bool,
    heard: BTreeSet<FrameId>,
    opened: BTreeSet<FrameId>,
}

impl Revocation {
    pub(super) fn new(
        now: Instant,
        (station, pan): (StationId, PanId),
        eui64: Eui64,
        members: BTreeSet<StationId>,
    ) -> Self {
        Self {
            eui64,
            station,
            pan,
            decided_at: now,
            commanded_at: None,
            effective_at: None,
            frames_heard_after: 0,
            frames_opened_after: 0,
            frames_accepted_after: 0,
            group_records_heard_after: 0,
            group_records_opened_after: 0,
            group_records_forged: 0,
            group_records_accepted_after: 0,
            key: None,
            routed: false,
            forged: false,
            waiting: members,
            told: BTreeSet::new(),
            switched: BTreeSet::new(),
            gave_up: false,
            heard: BTreeSet::new(),
            opened: BTreeSet::new(),
        }
    }

    /// Members that have not switched yet.
    pub const fn waiting(&self) -> &BTreeSet<StationId> {
        &self.waiting
    }

    /// Whether it still has every key it had.
    pub const fn holds_old_keys(&self) -> bool {
        !self.gave_up
    }

    /// The manager let somebody in: it tells the key that is in force now, whatever is when that arrives.
    pub(super) fn let_in(&mut self, station: StationId, pan: PanId) {
        self.told.remove(&station);
        if self.commanded_at.is_none() && pan == self.pan && station != self.station {
            self.told.insert(station);
        }
    }

    /// Somebody joined. Who was let in before the border router switched sends under the key that the
    /// revoked device has, like a member that has not heard of the switch.
    pub(super) fn joined(&mut self, station: StationId, pan: PanId) {
        let of_before = self.told.remove(&station) || self.commanded_at.is_none();
        if of_before && pan == self.pan && station != self.station {
            self.waiting.insert(station);
            self.effective_at = None;
        }
    }

    pub(super) fn commanded(&mut self, now: Instant, key: LinkKeyName) {
        if key.0 != self.pan {
            return; // nothing of what it held changes there
        }
        self.commanded_at = Some(now);
        self.key = Some(key);
        let switched = std::mem::take(&mut self.switched);
        self.waiting.retain(|station| !switched.contains(&(*station, key)));
        self.settle(now);
    }

    pub(super) fn switched(&mut self, now: Instant, station: StationId, key: LinkKeyName) {
        // Which key it is about, the manager's command tells.
        self.switched.insert((station, key));
        if self.key == Some(key) {
            self.waiting.remove(&station);
            self.settle(now);
        }
    }

    /// A station that had switched forgot it: it takes effect when this one has switched again.
    pub(super) fn fell_back(&mut self, station: StationId) {
        if self.commanded_at.is_some() && station != self.station {
            self.waiting.insert(station);
            self.effective_at = None;
        }
    }

    fn settle(&mut self, now: Instant) {
        if self.waiting.is_empty() && self.effective_at.is_none() {
            self.effective_at = Some(now + LAST_FRAMES);
        }
    }

    pub(super) fn gave_up(&mut self, now: Instant, station: StationId) {
        if station == self.station {
            self.gave_up = true;
            return;
        }
        // It lost the network: whatever it had is gone, it must join again.
        self.waiting.remove(&station);
        if self.commanded_at.is_some() {
            self.settle(now);
        }
    }

    pub(super) fn heard(
        &mut self,
        now: Instant,
        station: StationId,
        frame: FrameId,
        key: Option<LinkKeyName>,
    ) {
        let after = self.effective_at.is_some_and(|at| now >= at);
        if station == self.station && !self.gave_up && after && key == self.key {
            self.heard.insert(frame);
            self.count_heard(frame);
        }
    }

    fn count_heard(&mut self, frame: FrameId) {
        if self.heard.contains(&frame) && self.opened.remove(&frame) {
            self.frames_heard_after += 1;
            self.heard.remove(&frame);
        }
        // Both sides of one frame are known within the time it is on the air.
        let old = FrameId(frame.0.saturating_sub(64));
        self.heard = self.heard.split_off(&old);
        self.opened = self.opened.split_off(&old);
    }

    pub(super) fn opened(
        &mut self,
        now: Instant,
        by: StationId,
        frame: FrameId,
        src: Eui64,
        sender: StationId,
    ) -> Option<Fault> {
        let after = self.effective_at.is_some_and(|at| now >= at);
        if !after {
            return None;
        }
        if by == self.station {
            if sender != self.station {
                self.frames_opened_after += 1;
                return Some(Fault::RevokedOpened { station: by });
            }
        } else if src == self.eui64 {
            self.frames_accepted_after += 1;
            return Some(Fault::RevokedAccepted { station: by, src });
        } else {
            self.opened.insert(frame);
            self.count_heard(frame);
        }
        None
    }
}
