//! Which record belongs to whom: a ClientHello, a handshake under way, or a session.
//!
//! **Invariant:** a record of epoch 0 touches no session.

use super::half_open::Stage;
use super::{Server, ServerOutput, SessionId, Visit};
use crate::handshake::{Fragment, MessageType};
use crate::protect::EPOCH;
use crate::record::{HEADER_OCTETS, Record, RecordType, TLS12_CID};
use crate::{
    AlertDescription, CONNECTION_ID_OCTETS, CloseReason, RECORDS_PER_DATAGRAM_MAX, RecordDrop,
};
use alloc::vec::Vec;

impl Server {
    pub(super) fn datagram(&mut self, visit: &mut Visit<'_>, datagram: &mut [u8]) {
        self.now = visit.now;
        self.each_record(visit, datagram);
        self.settle_half_open(visit.peer);
    }

    fn each_record(&mut self, visit: &mut Visit<'_>, datagram: &mut [u8]) {
        let cid_len = if self.config.connection_id { CONNECTION_ID_OCTETS } else { 0 };
        let mut rest = datagram;
        for _ in 0..RECORDS_PER_DATAGRAM_MAX {
            if rest.is_empty() {
                return;
            }
            let (record, tail) = match Record::split(rest, cid_len) {
                Ok(split) => split,
                Err(drop) => return self.event(visit.peer, drop),
            };
            let handled = match record.epoch {
                0 => self.plain_record(visit, record),
                EPOCH => self.protected_record(visit, record),
                _ => Err(RecordDrop::WrongEpoch),
            };
            if let Err(drop) = handled {
                self.event(visit.peer, drop);
            }
            rest = tail;
        }
        self.event(visit.peer, RecordDrop::TooManyRecords);
    }

    fn plain_record(
        &mut self,
        visit: &mut Visit<'_>,
        record: Record<'_>,
    ) -> Result<(), RecordDrop> {
        match record.plain_type().ok_or(RecordDrop::UnknownType)? {
            RecordType::Handshake => {
                let mut rest = &*record.body;
                while !rest.is_empty() {
                    let (fragment, tail) = Fragment::split(rest)?;
                    match fragment.kind {
                        MessageType::ClientHello => {
                            self.client_hello(visit, record.seq, &fragment)?;
                        }
                        MessageType::HelloRequest
                        | MessageType::ServerHello
                        | MessageType::HelloVerifyRequest
                        | MessageType::NewSessionTicket
                        | MessageType::ServerKeyExchange
                        | MessageType::ServerHelloDone
                        | MessageType::ClientKeyExchange
                        | MessageType::Finished => self.key_exchange(visit, &fragment)?,
                        #[cfg(feature = "ecc")]
                        MessageType::Certificate
                        | MessageType::CertificateRequest
                        | MessageType::CertificateVerify => self.key_exchange(visit, &fragment)?,
                        #[cfg(feature = "x509")]
                        MessageType::CertificateUrl => return Err(RecordDrop::Unexpected),
                    }
                    rest = tail;
                }
                Ok(())
            }
            RecordType::ChangeCipherSpec => {
                let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::Unexpected)?;
                match &mut half.stage {
                    Stage::Answered { terms, .. } if *record.body == [1] => {
                        terms.cipher_changed = true;
                        Ok(())
                    }
                    Stage::Answered { .. } | Stage::Hello { .. } => Err(RecordDrop::Unexpected),
                }
            }
            // Anybody could have sent it; a client that gave up is forgotten in time.
            RecordType::Alert => Err(RecordDrop::UnauthenticAlert),
            RecordType::Heartbeat | RecordType::ReturnRoutability | RecordType::Payload(_) => {
                Err(RecordDrop::WrongEpoch)
            }
        }
    }

    fn protected_record(
        &mut self,
        visit: &mut Visit<'_>,
        record: Record<'_>,
    ) -> Result<(), RecordDrop> {
        let cid = record.cid.try_into().ok().map(u32::from_be_bytes);
        let pending = self.half_open.get(visit.peer).and_then(|half| match &half.stage {
            Stage::Answered { terms, .. } => Some(terms.own_cid),
            Stage::Hello { .. } => None,
        });
        if record.outer == TLS12_CID {
            if pending == Some(cid) {
                return self.half_open_record(visit, record);
            }
            let id = cid.and_then(|cid| self.table.by_cid(cid)).ok_or(RecordDrop::UnknownPeer)?;
            return self.session_record(visit, id, record);
        }
        // Of two sessions of one peer, only the new one has a handshake to finish.
        if pending == Some(None) && record.outer == RecordType::Handshake.octet() {
            return self.half_open_record(visit, record);
        }
        let id = self.table.by_peer(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        // RFC 9146 section 3: a record without the expected connection ID MUST be invalid.
        if self.table.get(id).is_some_and(|session| session.own_cid.is_some()) {
            return Err(RecordDrop::ConnectionIdExpected);
        }
        self.session_record(visit, id, record)
    }

    fn session_record(
        &mut self,
        visit: &mut Visit<'_>,
        id: SessionId,
        record: Record<'_>,
    ) -> Result<(), RecordDrop> {
        let session = self.table.get_mut(id).ok_or(RecordDrop::UnknownPeer)?;
        let octets = HEADER_OCTETS + record.cid.len() + record.body.len();
        let opened = session.read.open(self.config.ccm, record)?;
        session.last_heard = visit.now;
        let at_home = session.place.is(visit.peer);
        self.heard_at(visit, id, octets);
        // RFC 9146 section 6: verified, and newer than the newest.
        match (opened.newest, at_home) {
            (true, true) => self.forget_check(id),
            (true, false) => self.heard_elsewhere(visit, id, octets),
            (false, _) => {}
        }
        match opened.kind {
            RecordType::Payload(content_type) => {
                let session = self.table.get_mut(id).ok_or(RecordDrop::UnknownPeer)?;
                session.heard_payload();
                if content_type.needs_negotiation() && !session.group_agreed {
                    return Err(RecordDrop::NotNegotiated);
                }
                let octets = Vec::from(opened.plaintext);
                let received = ServerOutput::Received { session: id, content_type, octets };
                self.outputs.push_back(received);
                Ok(())
            }
            RecordType::Alert => {
                let [level, description] = *opened.plaintext else {
                    return Err(RecordDrop::BadMessage);
                };
                match (level, AlertDescription(description)) {
                    (_, AlertDescription::CLOSE_NOTIFY) => {
                        self.end_session(id, CloseReason::PeerClosed);
                    }
                    (2, description) => self.fatal_alert(id, description),
                    _ => {} // warnings change nothing
                }
                Ok(())
            }
            RecordType::Handshake => self.late_handshake(id, opened.plaintext),
            RecordType::Heartbeat => self.heartbeat_came(id, opened.plaintext),
            RecordType::ReturnRoutability => {
                self.routability_came(visit, id, (opened.plaintext, octets))
            }
            RecordType::ChangeCipherSpec => Err(RecordDrop::Unexpected),
        }
    }

    fn fatal_alert(&mut self, id: SessionId, description: AlertDescription) {
        // RFC 5246 section 7.2.2: secrets associated with a failed connection MUST be forgotten.
        if let Some(session) = self.table.get(id) {
            self.memory.forget(&session.identity);
        }
        self.end_session(id, CloseReason::PeerAlert(description));
    }

    /// Handshake messages inside a session: the client missed our last flight, or wants another
    /// handshake, which it cannot have.
    fn late_handshake(&mut self, id: SessionId, payload: &[u8]) -> Result<(), RecordDrop> {
        let (fragment, _) = Fragment::split(payload)?;
        let session = self.table.get_mut(id).ok_or(RecordDrop::UnknownPeer)?;
        match fragment.kind {
            // RFC 6347 section 4.2.4: a repeated last flight MUST be answered by ours.
            MessageType::Finished if fragment.seq == session.finished_seq => {
                let peer = session.place.peer();
                self.send_last_flight(id, &peer);
                Err(RecordDrop::Repeated)
            }
            MessageType::ClientHello => {
                // RFC 7925 section 17: renegotiation is disabled; the warning says so.
                let alert = [1, AlertDescription::NO_RENEGOTIATION.0];
                let peer = session.place.peer();
                if self.alerts.take(self.now, &peer) {
                    let octets = session.seal_alert(self.config.ccm, alert);
                    self.transmit(&peer, octets);
                }
                Err(RecordDrop::Renegotiation)
            }
            MessageType::Finished
            | MessageType::HelloRequest
            | MessageType::ServerHello
            | MessageType::HelloVerifyRequest
            | MessageType::NewSessionTicket
            | MessageType::ServerKeyExchange
            | MessageType::ServerHelloDone
            | MessageType::ClientKeyExchange => Err(RecordDrop::Unexpected),
            #[cfg(feature = "ecc")]
            MessageType::Certificate
            | MessageType::CertificateRequest
            | MessageType::CertificateVerify => Err(RecordDrop::Unexpected),
            #[cfg(feature = "x509")]
            MessageType::CertificateUrl => Err(RecordDrop::Unexpected),
        }
    }
}
