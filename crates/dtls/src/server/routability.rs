//! Whether a client is where its records come from: the three conditions of RFC 9146 section 6. The record is
//! authentic, it is newer than all before, and by RFC 9853 the client shows that it hears us there.
//!
//! This is the one check of addresses. Heartbeats (RFC 6520), which also could, say whether somebody is there at all:
//! they have no rule for what may be sent to somebody who asked for nothing, their requests are longer, and no other
//! implementation has both them and connection IDs. The old path is not asked first (section 5.2): that helps against
//! somebody who forwards everything faster than the network does, and costs everybody else a round trip; but what comes
//! from the old address ends the check.
//!
//! **Invariants:** until the client answered there, a new address is sent challenges alone, and of all of them no more
//! than three times what came from it. One address a session is in question at a time.

use super::{Peer, Server, ServerOutput, SessionId, Visit};
use crate::RecordDrop;
use crate::protect::WriteKeys;
use crate::record::RecordType;
use crate::routability::{COOKIE_OCTETS, Cookie, OCTETS, RoutabilityMessage};
use alloc::vec;
use lowgate_units::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Challenges to one address.
const CHALLENGES_MAX: usize = 3;
/// RFC 9853 section 2: what is sent to an address that is not validated, as a multiple of what came from it.
const AMPLIFICATION_MAX: usize = 3;
/// RFC 9853 section 5.5: the check takes three round trips, 1 s where none is known.
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_millis(333);

/// An address in question.
pub(super) struct Check {
    peer: Peer,
    /// Of the challenges that left.
    cookies: heapless::Vec<Cookie, CHALLENGES_MAX>,
    /// Octets that came from there and that went there.
    came: usize,
    sent: usize,
    round_trip: Duration,
}

impl Server {
    /// An authentic record of `octets` came.
    pub(super) fn heard_at(&mut self, visit: &Visit<'_>, id: SessionId, octets: usize) {
        if let Some(check) = self.checks.get_mut(&id).filter(|check| check.peer == *visit.peer) {
            check.came = check.came.saturating_add(octets);
        }
    }

    /// It was newer than all before, and came from where its session is not.
    pub(super) fn heard_elsewhere(&mut self, visit: &mut Visit<'_>, id: SessionId, octets: usize) {
        let Some(session) = self.table.get(id) else { return };
        if !session.return_routability {
            // Nobody can be asked: the owner is told, and finds out by its own means.
            return self.move_session(id, visit.peer);
        }
        // RFC 9853 section 5: nested changes are not followed; after this check the next record begins another.
        if self.checks.contains_key(&id) {
            return;
        }
        let round_trip = match session.round_trip_ms {
            0 => ROUND_TRIP_UNKNOWN,
            millis => Duration::from_millis(u64::from(millis)),
        };
        let (peer, cookies) = (visit.peer.clone(), heapless::Vec::new());
        self.checks.insert(id, Check { peer, cookies, came: octets, sent: 0, round_trip });
        self.challenge(visit.now, id, draw_cookie(visit));
    }

    /// Sends a challenge, if there may be one more, and comes back in a round trip.
    fn challenge(&mut self, now: Instant, id: SessionId, cookie: Cookie) {
        let Some(check) = self.checks.get_mut(&id) else { return };
        self.checks_due.put(&id, now + check.round_trip);
        let room = (check.came * AMPLIFICATION_MAX).saturating_sub(check.sent);
        let peer = check.peer.clone();
        let sent = self.send_routability(id, &RoutabilityMessage::Challenge(cookie), (&peer, room));
        if let Some(check) = self.checks.get_mut(&id) {
            check.sent += sent;
            let _ = check.cookies.push(cookie); // who is called has room for it
        }
    }

    pub(super) fn tick_checks(&mut self, now: Instant) {
        for id in self.checks_due.due(now) {
            match self.checks.get(&id) {
                // RFC 9853 section 5.3: each MUST contain random data of its own.
                Some(check) if check.cookies.len() < CHALLENGES_MAX => {
                    let cookie = self.next_cookie(check);
                    self.challenge(now, id, cookie);
                }
                Some(_) | None => self.forget_check(id),
            }
        }
    }

    /// The first one is drawn; the others follow from it by a secret of ours.
    fn next_cookie(&self, check: &Check) -> Cookie {
        let last: &[u8] = check.cookies.last().map_or(&[], |cookie| cookie);
        let code = lowgate_crypto::hmac_sha256(self.dummy_secret.expose(), &[b"cookie", last]);
        *code.first_chunk().expect("8 of 32 octets")
    }

    /// Also when a record that is newer than all before came from where the session is: it is there, then.
    pub(super) fn forget_check(&mut self, id: SessionId) {
        self.checks.remove(&id);
        self.checks_due.remove(&id);
    }

    /// How many octets left, to where there is room for so many.
    fn send_routability(
        &mut self,
        id: SessionId,
        message: &RoutabilityMessage,
        (to, room): (&Peer, usize),
    ) -> usize {
        let Some(session) = self.table.get_mut(id) else { return 0 };
        let len = WriteKeys::overhead(session.client_cid().len()) + OCTETS;
        // The last number is kept for close_notify.
        if len > room.min(self.config.datagram_len_max) || !session.write.has_left(2) {
            return 0;
        }
        let mut octets = vec![0; len];
        let (write, cid) = session.writer();
        let kind = RecordType::ReturnRoutability;
        if write.seal(self.config.ccm, kind, cid, &message.octets(), &mut octets).is_err() {
            return 0;
        }
        self.transmit(to, octets);
        len
    }

    /// An authentic message of the check.
    pub(super) fn routability_came(
        &mut self,
        visit: &Visit<'_>,
        id: SessionId,
        (plaintext, octets): (&[u8], usize),
    ) -> Result<(), RecordDrop> {
        let session = self.table.get(id).ok_or(RecordDrop::UnknownPeer)?;
        if !session.return_routability {
            return Err(RecordDrop::NotNegotiated);
        }
        match RoutabilityMessage::parse(plaintext)? {
            RoutabilityMessage::Challenge(cookie) => {
                // RFC 9853 section 5.4: exactly one answer, at once, to where the challenge came from. That may be an
                // address that nobody confirmed, and its record may have a long connection ID.
                let answer = RoutabilityMessage::Response(cookie);
                self.send_routability(id, &answer, (visit.peer, octets * AMPLIFICATION_MAX));
                Ok(())
            }
            RoutabilityMessage::Response(cookie) => {
                let answers = |asked: &Cookie| bool::from(asked.ct_eq(&cookie));
                let check = self
                    .checks
                    .get(&id)
                    .filter(|check| check.peer == *visit.peer && check.cookies.iter().any(answers));
                let peer = check.ok_or(RecordDrop::Unexpected)?.peer.clone();
                self.forget_check(id);
                self.move_session(id, &peer);
                Ok(())
            }
            RoutabilityMessage::Drop(_) => Err(RecordDrop::Unexpected),
        }
    }

    fn move_session(&mut self, id: SessionId, peer: &Peer) {
        self.table.move_to(id, peer);
        let peer = peer.clone();
        self.outputs.push_back(ServerOutput::PeerMoved { session: id, peer });
    }
}

fn draw_cookie(visit: &mut Visit<'_>) -> Cookie {
    let mut cookie = [0; COOKIE_OCTETS];
    visit.entropy.fill(&mut cookie);
    cookie
}
