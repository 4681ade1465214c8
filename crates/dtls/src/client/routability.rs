//! The client's part of a return routability check, RFC 9853: it answers. Where its server is its owner knows.

use super::{Client, ClientOutput, State};
use crate::RecordDrop;
use crate::record::RecordType;
use crate::routability::RoutabilityMessage;

impl Client {
    /// An authentic message of the server.
    pub(super) fn routability_came(&mut self, plaintext: &[u8]) -> Result<(), RecordDrop> {
        match &self.state {
            State::Established(session) if session.hello.return_routability => {}
            _ => return Err(RecordDrop::NotNegotiated),
        }
        match RoutabilityMessage::parse(plaintext)? {
            RoutabilityMessage::Challenge(cookie) => {
                self.inbound.receive(RecordType::ReturnRoutability, &cookie)
            }
            // RFC 9853 section 5.4: what answers nothing is discarded silently.
            RoutabilityMessage::Response(_) | RoutabilityMessage::Drop(_) => {
                Err(RecordDrop::Unexpected)
            }
        }
    }

    /// Gives the cookie back that came first.
    pub(super) fn answer_challenge(&mut self, buf: &mut [u8]) -> ClientOutput {
        let dropped = ClientOutput::Event(RecordDrop::QueueFull);
        let cookie = self.inbound.front().and_then(|(_, cookie)| cookie.try_into().ok());
        let (State::Established(session), Some(cookie)) = (&mut self.state, cookie) else {
            return dropped;
        };
        if session.write.is_nearly_exhausted() {
            return dropped;
        }
        let answer = RoutabilityMessage::Response(cookie).octets();
        let room = buf.len().min(self.settings.datagram_len_max);
        let (kind, cid) = (RecordType::ReturnRoutability, &session.hello.cid);
        let sealed = session.write.seal(self.ccm, kind, cid, &answer, &mut buf[..room]);
        sealed.map_or(dropped, |len| ClientOutput::Transmit { len })
    }
}
