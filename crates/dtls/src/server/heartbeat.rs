//! Heartbeats of the server, RFC 6520; and by one of them, whether a client is where its records come
//! from, RFC 9146 section 6.
//!
//! **Invariants:** one request a session is under way. A session moves to an address only after its
//! client answered there what nobody else could read; until then answers go where it was.

use super::{Peer, Server, ServerOutput, SessionId, Visit};
use crate::heartbeat::{
    Asked, HEADER_OCTETS, HeartbeatMessage, HeartbeatMode, PADDING_OCTETS, PAYLOAD_OCTETS, draw,
};
use crate::protect::WriteKeys;
use crate::record::RecordType;
use crate::{CloseReason, RecordDrop, SendRefused};
use alloc::vec;
use alloc::vec::Vec;
use lowgate_units::Instant;

/// How often a new address is asked. It may be somebody's who asked for nothing.
const ASKED_ELSEWHERE_MAX: u16 = 3;

/// A request under way.
pub(super) struct Probe {
    asked: Asked,
    /// The address in question; `None`: the one where the client is.
    elsewhere: Option<Peer>,
    /// Whether the owner wants to know.
    for_owner: bool,
}

impl Probe {
    fn is_over(&self, now: Instant) -> bool {
        let enough = self.elsewhere.is_some()
            && self.asked.timer.transmissions() >= ASKED_ELSEWHERE_MAX
            && self.asked.is_due(now);
        enough || now >= self.asked.timer.gives_up()
    }
}

impl Server {
    /// Asks a client whether it is there. [`ServerOutput::HeartbeatAnswered`] follows, or, when it keeps
    /// silent for as long as a handshake is tried, the end of the session.
    ///
    /// # Errors
    /// [`SendRefused::NotNegotiated`] when the client answers none, [`SendRefused::QueueFull`] while one is
    /// under way (RFC 6520 section 3: there MUST NOT be another).
    pub fn heartbeat(&mut self, now: Instant, session: SessionId) -> Result<(), SendRefused> {
        let mode = self.table.get(session).ok_or(SendRefused::NotEstablished)?.heartbeat;
        if mode != Some(HeartbeatMode::PeerAllowedToSend) {
            return Err(SendRefused::NotNegotiated);
        }
        match self.probes.get_mut(&session) {
            Some(Probe { for_owner: true, .. }) => return Err(SendRefused::QueueFull),
            // The answer that is waited for anyhow will do.
            Some(probe) => probe.for_owner = true,
            None => self.ask_where_it_is(now, session),
        }
        Ok(())
    }

    fn ask_where_it_is(&mut self, now: Instant, id: SessionId) {
        let asked = Asked::new(draw(&mut self.prng), self.config.retransmission, now);
        self.probes.insert(id, Probe { asked, elsewhere: None, for_owner: true });
        self.ask(now, id);
    }

    pub(super) fn heartbeats_due(&self) -> impl Iterator<Item = Instant> {
        self.probes.values().map(|probe| probe.asked.wake_at())
    }

    pub(super) fn tick_heartbeats(&mut self, now: Instant) {
        let due: Vec<SessionId> = self
            .probes
            .iter()
            .filter(|(_, probe)| probe.asked.wake_at() <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(probe) = self.probes.get(&id) else { continue };
            if !probe.is_over(now) {
                self.ask(now, id);
                continue;
            }
            let (elsewhere, for_owner) = (probe.elsewhere.is_some(), probe.for_owner);
            self.probes.remove(&id);
            match (elsewhere, for_owner) {
                // Who is not at a new address may well be at the old one.
                (true, true) => self.ask_where_it_is(now, id),
                (true, false) => {}
                // RFC 6520 section 3: SHOULD be terminated.
                (false, _) => self.end_session(id, CloseReason::TimedOut),
            }
        }
    }

    /// Sends the request, for the first time or again.
    fn ask(&mut self, now: Instant, id: SessionId) {
        let Some(Probe { asked, elsewhere, .. }) = self.probes.get_mut(&id) else { return };
        asked.timer.sent(now, &mut self.prng);
        let (payload, to) = (asked.payload, elsewhere.clone());
        self.send_heartbeat(id, &HeartbeatMessage::Request(&payload), to);
    }

    fn send_heartbeat(&mut self, id: SessionId, message: &HeartbeatMessage<'_>, to: Option<Peer>) {
        let Some(session) = self.table.get_mut(id) else { return };
        let (HeartbeatMessage::Request(payload) | HeartbeatMessage::Response(payload)) = message;
        let overhead = WriteKeys::overhead(session.client_cid().len());
        let len = overhead + HEADER_OCTETS + payload.len() + PADDING_OCTETS;
        // A request of the client may be longer than what we send. The last number is kept for close_notify.
        if len > self.config.datagram_len_max || !session.write.has_left(2) {
            return;
        }
        let mut octets = vec![0; len];
        let parts = [&message.header()[..], payload, &draw(&mut self.prng)];
        let (ccm, kind) = (self.config.ccm, RecordType::Heartbeat);
        let (write, cid) = session.writer();
        let sealed = write.seal_parts(ccm, kind, cid, &parts, &mut octets);
        let to = to.unwrap_or_else(|| session.place.peer());
        if sealed.is_ok() {
            self.transmit(&to, octets);
        }
    }

    /// An authentic heartbeat.
    pub(super) fn heartbeat_came(
        &mut self,
        visit: &Visit<'_>,
        id: SessionId,
        plaintext: &[u8],
    ) -> Result<(), RecordDrop> {
        let session = self.table.get(id).ok_or(RecordDrop::UnknownPeer)?;
        if session.heartbeat.is_none() {
            return Err(RecordDrop::NotNegotiated);
        }
        let payload = match HeartbeatMessage::parse(plaintext)? {
            HeartbeatMessage::Request(payload) => {
                self.send_heartbeat(id, &HeartbeatMessage::Response(payload), None);
                return Ok(());
            }
            HeartbeatMessage::Response(payload) => payload,
        };
        let probe = self.probes.get(&id).filter(|probe| {
            let at = probe.elsewhere.as_ref();
            probe.asked.is_answered_by(payload) && at.is_none_or(|at| at == visit.peer)
        });
        let Probe { elsewhere, for_owner, .. } = probe.ok_or(RecordDrop::Unexpected)?;
        let (elsewhere, for_owner) = (elsewhere.clone(), *for_owner);
        self.probes.remove(&id);
        if let Some(peer) = elsewhere {
            self.move_session(id, &peer);
        }
        if for_owner {
            self.outputs.push_back(ServerOutput::HeartbeatAnswered { session: id });
        }
        Ok(())
    }

    /// An authentic record, newer than all before, came from where its session is not.
    pub(super) fn heard_elsewhere(&mut self, visit: &mut Visit<'_>, id: SessionId) {
        let peer = visit.peer;
        let Some(session) = self.table.get(id) else { return };
        if session.heartbeat != Some(HeartbeatMode::PeerAllowedToSend) {
            // Nobody can be asked: the owner is told, and finds out by its own means.
            return self.move_session(id, peer);
        }
        let under_way = self.probes.get(&id);
        if under_way.is_some_and(|probe| probe.elsewhere.as_ref() == Some(peer)) {
            return;
        }
        let for_owner = under_way.is_some_and(|probe| probe.for_owner);
        let mut payload = [0; PAYLOAD_OCTETS];
        visit.entropy.fill(&mut payload);
        let asked = Asked::new(payload, self.config.retransmission, visit.now);
        self.probes.insert(id, Probe { asked, elsewhere: Some(peer.clone()), for_owner });
        self.ask(visit.now, id);
    }

    fn move_session(&mut self, id: SessionId, peer: &Peer) {
        self.table.move_to(id, peer);
        let peer = peer.clone();
        self.outputs.push_back(ServerOutput::PeerMoved { session: id, peer });
    }
}
