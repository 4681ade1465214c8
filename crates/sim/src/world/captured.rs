//! What somebody can do who holds a revoked device in his hands: he has its radio and all of its flash.
//!
//! The link layer keeps him out; so that the group layer is tried as well, he is given the octets that
//! the link layer would have kept from him, and members are given his, past the link layer.

use super::World;
use crate::check::secured;
use crate::medium::StationId;
use lowgate_amikey::{GroupId, Message, Messages, derive};
use lowgate_dtls::group::{GroupKeys, GroupReceiver, GroupSender, SenderFloor, SenderId};
use lowgate_ieee802154::{Frame, FrameCounter, SecurityLevel, nonce};
use lowgate_mac::{LinkSecurity, Psdu};
use lowgate_node::Event;
use lowgate_node::flash::Record;
use lowgate_units::{Duration, Instant};

/// Where his forged records begin to count: far ahead of what any honest sender has used.
const FORGED_SEQ: u64 = 1 << 30;
/// Group records sealed since the revocation that are remembered.
const SEALED_MAX: usize = 64;
/// A member that the manager told to use another epoch of a group's keys may not have heard it for so long.
const EPOCH_CURRENT_WITHIN: Duration = Duration::from_secs(180);
/// Octets of a MIC of level 6.
const MIC_OCTETS: usize = 8;

/// A group record that somebody sealed since the revocation was decided.
pub(super) struct Sealed {
    at: Instant,
    group: GroupId,
    record: Vec<u8>,
    heard: bool,
}

impl World {
    /// A station sent a group record. What those who were expelled say, they know.
    pub(super) fn group_sent(&mut self, station: StationId, event: &Event) {
        let Event::GroupSent { group, record } = event else { return };
        let Some(revocation) = self.checkers.revocation() else { return };
        if !self.checkers.is_member(station) {
            return;
        }
        // Somebody may not have heard of the new epoch for a while.
        let epoch = record.get(3..5).map(|octets| u16::from_be_bytes([octets[0], octets[1]]));
        let in_force = self.manager.domain().groups().get(group);
        let in_force = in_force.map(|group| group.epoch.tek_id.raw());
        let over = |at| self.now >= at + EPOCH_CURRENT_WITHIN;
        if epoch == in_force || revocation.effective_at.is_some_and(over) {
            let (at, group, record) = (self.now, *group, record.clone());
            if self.sealed_after.len() >= SEALED_MAX {
                self.sealed_after.remove(0);
            }
            self.sealed_after.push(Sealed { at, group, record, heard: false });
        }
    }

    /// A group record that a member opened is given to it once more, past the link layer and MPL: it knows it,
    /// and nothing comes of it.
    pub(super) fn repeat_group_record(&mut self) {
        let Some(opened) = self.checkers.take_opened_record() else { return };
        let station = &mut self.stations[opened.station.index()];
        if station.try_group_record(opened.group, &opened.record) == Some(true) {
            self.checkers.repeated(self.now, &opened);
        }
    }

    /// The revoked device's radio received a frame. If a group record is in it, which only the world can
    /// tell, the device's own group keys are tried on it.
    pub(super) fn overheard(&mut self, station: StationId, psdu: &Psdu) {
        let Some(revocation) = self.checkers.revocation() else { return };
        // What was sealed after the revocation before this one, this device could still open.
        let decided_at = revocation.decided_at;
        self.sealed_after.retain(|sealed| sealed.at >= decided_at && !sealed.heard);
        let unheard = !self.sealed_after.is_empty();
        if revocation.station != station || !revocation.holds_old_keys() || !unheard {
            return;
        }
        let Some(payload) = self.open_frame(psdu) else { return };
        let mut opened = Vec::new();
        for sealed in self.sealed_after.iter_mut().filter(|sealed| !sealed.heard) {
            let len = sealed.record.len();
            if payload.windows(len).any(|window| window == sealed.record) {
                sealed.heard = true;
                opened.push((sealed.group, sealed.record.clone()));
            }
        }
        for (group, record) in opened {
            let opens = self
                .captured_keys(station, group)
                .is_some_and(|keys| plaintext(&keys, &record).is_some());
            self.checkers.group_heard(self.now, opens);
        }
    }

    /// The payload of a secured frame, by the domain's keys.
    fn open_frame(&self, psdu: &Psdu) -> Option<Vec<u8>> {
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return None };
        let (src, (pan, index), counter) = secured(&frame)?;
        let pan = self.manager.domain().pans().get(&pan)?;
        let keys = pan.staged_key.iter().chain([&pan.link_key]);
        let keys = keys.filter(|key| key.index.raw() == index);
        let level: SecurityLevel = LinkSecurity::EncMic64.level();
        let nonce = nonce(src, FrameCounter(counter), level);
        let (sealed, mic) =
            frame.payload.split_at_checked(frame.payload.len().checked_sub(MIC_OCTETS)?)?;
        let header = &psdu[..frame.head_len()];
        keys.into_iter().find_map(|key| {
            let mut payload = sealed.to_vec();
            self.config.ccm.open(&key.key, &nonce, header, &mut payload, mic).ok()?;
            Some(payload)
        })
    }

    /// The keys of a group as the flash of a station holds them.
    fn captured_keys(&self, station: StationId, group: GroupId) -> Option<GroupKeys> {
        let flash = self.stations[station.index()].flash();
        flash.iter().filter_map(|(key, octets)| Record::parse(*key, octets)).find_map(|record| {
            let Record::Group { group: id, messages } = record else { return None };
            let mut messages = Messages::new(&messages).flatten();
            match (messages.next(), messages.next()) {
                (Some(Message::Mkd(mkd)), Some(Message::Spd(spd))) if id == group => {
                    let tek = derive(&mkd.tgk, spd.csb_id, &spd.rand).request;
                    let (key, salt) = (tek.key.clone(), *tek.salt.expose());
                    Some(GroupKeys { key, salt, epoch: spd.tek_id.raw() })
                }
                _ => None,
            }
        })
    }

    /// Has the revoked device forge a command for each of its groups in the name of each sender, and
    /// hands it to every member.
    pub fn forge_group_records(&mut self) {
        let Some(revocation) = self.checkers.revocation() else { return };
        let revoked = revocation.station;
        let groups: Vec<GroupId> = self.manager.domain().groups().keys().copied().collect();
        for group in groups {
            for (member, opened) in self.forged(revoked, group) {
                self.checkers.group_forged(self.now, member, opened);
            }
        }
    }

    /// Forges with the keys in a device's flash a command for a group in the name of each sender, and hands it
    /// to every other member; how many of them were opened, `None` if the flash has no keys of this group.
    pub fn forged_commands_opened(&mut self, captured: StationId, group: GroupId) -> Option<usize> {
        self.captured_keys(captured, group)?;
        let opened = self.forged(captured, group).into_iter().filter(|(_, opened)| *opened);
        Some(opened.count())
    }

    /// What the keys in a device's flash make of a group's record, whoever sent it.
    pub fn captured_plaintext(
        &self,
        captured: StationId,
        group: GroupId,
        record: &[u8],
    ) -> Option<Vec<u8>> {
        plaintext(&self.captured_keys(captured, group)?, record)
    }

    /// To whom forged records were handed, and whether they opened.
    fn forged(&mut self, captured: StationId, group: GroupId) -> Vec<(StationId, bool)> {
        let Some(keys) = self.captured_keys(captured, group) else { return Vec::new() };
        let members = self.honest().filter(|it| *it != captured && self.checkers.is_member(*it));
        let members: Vec<_> = members.collect();
        let mut handed = Vec::new();
        // Nothing is refused because it was forged before.
        let sequence = FORGED_SEQ + self.now.since(Instant::ZERO).as_secs();
        for sender in 1..=16 {
            let mut forger = GroupSender::new(keys.clone(), SenderId(sender), sequence);
            forger.reserve(sequence + 1);
            let mut record = [0; 64];
            let command = b"\x50\x02\x00\x01\xb5light\xff1";
            let len = forger.seal(self.config.ccm, command, &mut record).expect("it fits");
            for member in &members {
                let station = &mut self.stations[member.index()];
                if let Some(opened) = station.try_group_record(group, &record[..len]) {
                    handed.push((*member, opened));
                }
            }
        }
        handed
    }
}

/// What these keys make of the record, whoever sent it.
fn plaintext(keys: &GroupKeys, record: &[u8]) -> Option<Vec<u8>> {
    (1..=254).find_map(|sender| {
        let mut receiver = GroupReceiver::<1>::new(keys.clone());
        receiver.admit(SenderId(sender), SenderFloor::Known(0)).ok()?;
        let mut octets = record.to_vec();
        let opened = receiver.open(&lowgate_crypto::SoftCcm, &mut octets).ok()?;
        Some(opened.plaintext.to_vec())
    })
}
