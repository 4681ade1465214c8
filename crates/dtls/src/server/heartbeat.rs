//! Heartbeats of the server, RFC 6520.
//!
//! **Invariant:** one request a session is under way, to where its client is.

use super::{Server, ServerOutput, SessionId};
use crate::heartbeat::{
    Asked, HEADER_OCTETS, HeartbeatMessage, HeartbeatMode, PADDING_OCTETS, draw,
};
use crate::protect::WriteKeys;
use crate::record::RecordType;
use crate::{CloseReason, RecordDrop, SendRefused};
use alloc::vec;
use lowgate_units::Instant;

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
        if self.probes.contains_key(&session) {
            return Err(SendRefused::QueueFull);
        }
        let asked = Asked::new(draw(&mut self.prng), self.config.retransmission, now);
        self.probes.insert(session, asked);
        self.ask(now, session);
        Ok(())
    }

    pub(super) fn tick_heartbeats(&mut self, now: Instant) {
        for id in self.probes_due.due(now) {
            let Some(asked) = self.probes.get(&id) else { continue };
            if now >= asked.timer.gives_up() {
                // RFC 6520 section 3: SHOULD be terminated.
                self.end_session(id, CloseReason::TimedOut);
            } else {
                self.ask(now, id);
            }
        }
    }

    /// Sends the request, for the first time or again.
    fn ask(&mut self, now: Instant, id: SessionId) {
        let Some(asked) = self.probes.get_mut(&id) else { return };
        asked.timer.sent(now, &mut self.prng);
        self.probes_due.put(&id, asked.wake_at());
        let payload = asked.payload;
        self.send_heartbeat(id, &HeartbeatMessage::Request(&payload));
    }

    fn send_heartbeat(&mut self, id: SessionId, message: &HeartbeatMessage<'_>) {
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
        let to = session.place.peer();
        if sealed.is_ok() {
            self.transmit(&to, octets);
        }
    }

    /// An authentic heartbeat.
    pub(super) fn heartbeat_came(
        &mut self,
        id: SessionId,
        plaintext: &[u8],
    ) -> Result<(), RecordDrop> {
        let session = self.table.get(id).ok_or(RecordDrop::UnknownPeer)?;
        if session.heartbeat.is_none() {
            return Err(RecordDrop::NotNegotiated);
        }
        let payload = match HeartbeatMessage::parse(plaintext)? {
            HeartbeatMessage::Request(payload) => {
                self.send_heartbeat(id, &HeartbeatMessage::Response(payload));
                return Ok(());
            }
            HeartbeatMessage::Response(payload) => payload,
        };
        let asked = self.probes.get(&id).filter(|asked| asked.is_answered_by(payload));
        asked.ok_or(RecordDrop::Unexpected)?;
        self.probes.remove(&id);
        self.probes_due.remove(&id);
        self.outputs.push_back(ServerOutput::HeartbeatAnswered { session: id });
        Ok(())
    }
}
