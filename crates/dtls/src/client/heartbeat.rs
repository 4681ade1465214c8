//! Heartbeats of the client, RFC 6520: asks and answers within a session.

use super::{Client, ClientOutput, CloseReason, Session, State};
use crate::heartbeat::{Asked, HeartbeatMessage, HeartbeatMode, OWN_OCTETS, draw};
use crate::protect::WriteKeys;
use crate::record::RecordType;
use crate::{RecordDrop, SendRefused};
use lowgate_units::Instant;

impl Client {
    /// Asks the server whether it is there. [`ClientOutput::HeartbeatAnswered`] follows, or, when it keeps
    /// silent for as long as a handshake is tried, the end of the session.
    ///
    /// # Errors
    /// [`SendRefused::NotNegotiated`] when the server answers none, [`SendRefused::QueueFull`] while one is
    /// under way (RFC 6520 section 3: there MUST NOT be another); as [`Client::send`] otherwise.
    pub fn heartbeat(&mut self, now: Instant) -> Result<(), SendRefused> {
        let State::Established(session) = &mut self.state else {
            return Err(SendRefused::NotEstablished);
        };
        if session.hello.heartbeat != Some(HeartbeatMode::PeerAllowedToSend) {
            return Err(SendRefused::NotNegotiated);
        }
        if session.asked.is_some() {
            return Err(SendRefused::QueueFull);
        }
        let len = WriteKeys::overhead(session.hello.cid.len()) + OWN_OCTETS;
        if len > self.settings.datagram_len_max {
            return Err(SendRefused::TooLong);
        }
        let payload = draw(&mut self.prng);
        session.asked = Some(Asked::new(payload, self.settings.retransmission, now));
        Ok(())
    }

    pub(super) fn tick_heartbeat(&mut self, now: Instant) {
        // RFC 6520 section 3: after several retransmissions the connection SHOULD be terminated.
        if let State::Established(Session { asked: Some(asked), .. }) = &self.state
            && now >= asked.timer.gives_up()
        {
            self.end(CloseReason::TimedOut);
        }
    }

    /// Sends our request, for the first time or again.
    pub(super) fn ask(&mut self, now: Instant, buf: &mut [u8]) -> Option<ClientOutput> {
        let State::Established(Session { asked, write, hello, .. }) = &mut self.state else {
            return None;
        };
        if write.is_nearly_exhausted() {
            *asked = None;
        }
        let asked = asked.as_mut().filter(|asked| asked.is_due(now))?;
        asked.timer.sent(now, &mut self.prng);
        let header = HeartbeatMessage::Request(&asked.payload).header();
        let parts = [&header[..], &asked.payload, &draw(&mut self.prng)];
        let room = buf.len().min(self.settings.datagram_len_max);
        let buf = &mut buf[..room];
        let sealed = write.seal_parts(self.ccm, RecordType::Heartbeat, &hello.cid, &parts, buf);
        sealed.ok().map(|len| ClientOutput::Transmit { len })
    }

    /// An authentic heartbeat of the server.
    pub(super) fn heartbeat_came(&mut self, plaintext: &[u8]) -> Result<(), RecordDrop> {
        let State::Established(session) = &mut self.state else {
            return Err(RecordDrop::Unexpected);
        };
        if session.hello.heartbeat.is_none() {
            return Err(RecordDrop::NotNegotiated);
        }
        match HeartbeatMessage::parse(plaintext)? {
            HeartbeatMessage::Request(payload) => {
                self.inbound.receive(RecordType::Heartbeat, payload)
            }
            HeartbeatMessage::Response(payload) => {
                let answered = |asked: &Asked| asked.is_answered_by(payload);
                if !session.asked.as_ref().is_some_and(answered) {
                    return Err(RecordDrop::Unexpected);
                }
                session.asked = None;
                self.news.heartbeat_answered = true;
                Ok(())
            }
        }
    }

    /// Gives the request back that came first.
    pub(super) fn answer_heartbeat(&mut self, buf: &mut [u8]) -> ClientOutput {
        let dropped = ClientOutput::Event(RecordDrop::QueueFull);
        let State::Established(Session { write, hello, .. }) = &mut self.state else {
            return dropped;
        };
        let Some((_, payload)) = self.inbound.front() else { return dropped };
        if write.is_nearly_exhausted() {
            return dropped;
        }
        let header = HeartbeatMessage::Response(payload).header();
        let parts = [&header[..], payload, &draw(&mut self.prng)];
        let room = buf.len().min(self.settings.datagram_len_max);
        let buf = &mut buf[..room];
        let sealed = write.seal_parts(self.ccm, RecordType::Heartbeat, &hello.cid, &parts, buf);
        sealed.map_or(dropped, |len| ClientOutput::Transmit { len })
    }
}
