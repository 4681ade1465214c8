//! Established sessions and the two ways to find them: by connection ID, else by peer. There are many of them, so
//! what few have is in a box of its own.
//!
//! **Invariants:** both indexes name living sessions only. An authentic record can move its own
//! session to another address, but never takes an address from a session that has it: otherwise one
//! member could make another unreachable by writing its address on a record.

use super::resumption::OWN_TICKET_OCTETS_MAX;
use super::whereabouts::{Place, Whereabouts};
use super::{Peer, SessionId};
use crate::flight::{Buffer, FINISHED_OCTETS, Flight, RecordWriter};
use crate::handshake::{MessageType, VERIFY_DATA_OCTETS};
use crate::heartbeat::HeartbeatMode;
use crate::hello::Sink;
use crate::protect::{ReadKeys, WriteKeys};
use crate::record::RecordType;
use crate::schedule::Master;
use crate::{CipherSuite, ContentType, SendRefused};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::vec;
use alloc::vec::Vec;
use lowgate_crypto::{Ccm, Sha256};
use lowgate_units::Instant;

/// One client, after both Finished verified.
pub(super) struct Session {
    pub(super) place: Place,
    pub(super) identity: Box<[u8]>,
    pub(super) suite: CipherSuite,
    pub(super) write: WriteKeys,
    pub(super) read: ReadKeys,
    /// What the client must write in its records.
    pub(super) own_cid: Option<u32>,
    /// Whether content types 30 and 31 are open.
    pub(super) group_agreed: bool,
    /// Whether heartbeats were agreed on, and whether the client answers ours.
    pub(super) heartbeat: Option<HeartbeatMode>,
    /// Whether either end may ask where the other is.
    pub(super) return_routability: bool,
    /// Whether it goes on from an earlier one.
    pub(super) resumed: bool,
    /// Next record number of epoch 0: ChangeCipherSpec may have to be repeated.
    pub(super) plain_seq: u64,
    /// message_seq of the client's Finished.
    pub(super) finished_seq: u16,
    /// What the client may have missed; `None` when its flight was the last.
    pub(super) last_flight: Option<LastFlight>,
    /// Payloads of the client came: it has our last flight.
    pub(super) has_last_flight: bool,
    pub(super) extras: Option<Box<Extras>>,
    /// The start of the ClientHello's random: tells a late repetition from a new hello.
    pub(super) random_start: [u8; 8],
    pub(super) last_heard: Instant,
    /// What its handshake measured, at least 1; 0: nothing. A minute is the most there can be.
    pub(super) round_trip_ms: u16,
}

/// Our answer to the client's Finished, beside ChangeCipherSpec.
pub(super) struct LastFlight {
    /// message_seq of its first message.
    pub(super) seq: u16,
    pub(super) verify_data: [u8; VERIFY_DATA_OCTETS],
}

/// What most sessions have nothing of.
pub(super) struct Extras {
    /// What the client wants to read in our records; empty for none.
    pub(super) client_cid: Box<[u8]>,
    /// A NewSessionTicket's body, which goes before the Finished of the last flight and is forgotten with it; empty
    /// for none.
    pub(super) ticket: Box<[u8]>,
    pub(super) for_exporters: Option<Box<ForExporters>>,
}

impl Extras {
    /// `None` if there is nothing in it.
    pub(super) fn kept(self) -> Option<Box<Self>> {
        let nothing =
            self.client_cid.is_empty() && self.ticket.is_empty() && self.for_exporters.is_none();
        (!nothing).then(|| Box::new(self))
    }
}

fn client_cid(extras: Option<&Extras>) -> &[u8] {
    extras.map_or(&[], |extras| &extras.client_cid)
}

/// What RFC 5705 derives from. There only when it is asked for and safe.
pub(super) struct ForExporters {
    pub(super) master: Master,
    pub(super) client_random: [u8; 32],
    pub(super) server_random: [u8; 32],
}

/// NewSessionTicket (header 12, fixed 6) and Finished.
const LAST_FLIGHT_OCTETS_MAX: usize = 12 + 6 + OWN_TICKET_OCTETS_MAX + FINISHED_OCTETS;

impl Session {
    /// Empty for none.
    pub(super) fn client_cid(&self) -> &[u8] {
        client_cid(self.extras.as_deref())
    }

    /// What seals records, and the connection ID that they bear.
    pub(super) fn writer(&mut self) -> (&mut WriteKeys, &[u8]) {
        (&mut self.write, client_cid(self.extras.as_deref()))
    }

    /// Octets of one datagram with one record for each payload, to be sealed behind `ahead` records more.
    ///
    /// # Errors
    /// Why there can be no such datagram.
    pub(super) fn check_all(
        &self,
        payloads: &[(ContentType, &[u8])],
        len_max: usize,
        ahead: u64,
    ) -> Result<usize, SendRefused> {
        if payloads.iter().any(|(kind, _)| kind.needs_negotiation()) && !self.group_agreed {
            return Err(SendRefused::NotNegotiated);
        }
        let overhead = WriteKeys::overhead(self.client_cid().len());
        let total: usize = payloads.iter().map(|(_, payload)| overhead + payload.len()).sum();
        if total > len_max || payloads.iter().any(|(_, payload)| !self.write.allows(payload.len()))
        {
            return Err(SendRefused::TooLong);
        }
        // The last number is kept for close_notify.
        if !self.write.has_left(payloads.len() as u64 + ahead + 1) {
            return Err(SendRefused::SequenceExhausted);
        }
        Ok(total)
    }

    /// One datagram with one record for each payload. Checked first, so that a refusal uses up no
    /// record number.
    pub(super) fn seal_all(
        &mut self,
        ccm: &dyn Ccm,
        payloads: &[(ContentType, &[u8])],
        len_max: usize,
    ) -> Result<Vec<u8>, SendRefused> {
        let mut octets = vec![0; self.check_all(payloads, len_max, 0)?];
        let mut rest = &mut octets[..];
        for (kind, payload) in payloads {
            let kind = RecordType::Payload(*kind);
            let (write, cid) = self.writer();
            let sealed = write.seal(ccm, kind, cid, payload, rest);
            let len = sealed.map_err(|_| SendRefused::SequenceExhausted)?;
            rest = &mut rest[len..];
        }
        Ok(octets)
    }

    /// Who sends payloads has our Finished: a ticket need not be kept for him any longer.
    pub(super) fn heard_payload(&mut self) {
        self.has_last_flight = true;
        if let Some(extras) = &mut self.extras
            && !extras.ticket.is_empty()
        {
            extras.ticket = Box::default();
            self.last_flight = None;
        }
    }

    pub(super) fn seal_alert(&mut self, ccm: &dyn Ccm, alert: [u8; 2]) -> Vec<u8> {
        let mut octets = vec![0; WriteKeys::overhead(self.client_cid().len()) + alert.len()];
        let (write, cid) = self.writer();
        let len = write.seal(ccm, RecordType::Alert, cid, &alert, &mut octets).unwrap_or(0);
        octets.truncate(len);
        octets
    }

    /// Our last flight, under record numbers of its own each time.
    pub(super) fn repeat_last_flight(&mut self, ccm: &dyn Ccm, len_max: usize) -> Vec<Vec<u8>> {
        let Some(last) = &self.last_flight else { return Vec::new() };
        let mut flight = Flight::<heapless::Vec<u8, LAST_FLIGHT_OCTETS_MAX>>::default();
        let mut seq = last.seq;
        // The transcript ended with the handshake; nothing is verified over this one.
        let mut transcript = Sha256::new();
        let ticket = self.extras.as_deref().map_or(&[][..], |extras| &extras.ticket);
        if !ticket.is_empty() {
            let kind = MessageType::NewSessionTicket;
            flight.message(kind, seq, &mut transcript, |out| out.put(ticket));
            seq += 1;
        }
        flight.change_cipher();
        let kind = MessageType::Finished;
        flight.message(kind, seq, &mut transcript, |out| out.put(&last.verify_data));
        flight.start();
        let writer = RecordWriter {
            ccm,
            plain_seq: &mut self.plain_seq,
            keys: Some((&mut self.write, client_cid(self.extras.as_deref()))),
        };
        write_out(&mut flight, writer, len_max)
    }
}

/// All datagrams of a flight.
pub(super) fn write_out<B: Buffer>(
    flight: &mut Flight<B>,
    mut writer: RecordWriter<'_>,
    len_max: usize,
) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while flight.is_pending() {
        let mut octets = vec![0; len_max];
        let keys = writer.keys.as_mut().map(|(keys, cid)| (&mut **keys, *cid));
        let again = RecordWriter { ccm: writer.ccm, plain_seq: &mut *writer.plain_seq, keys };
        let len = flight.datagram(again, &mut octets);
        if len > 0 {
            octets.truncate(len);
            octets.shrink_to_fit();
            datagrams.push(octets);
        }
    }
    datagrams
}

/// All sessions. Boxed, for a tree moves its entries and leaves room between them.
#[derive(Default)]
pub(super) struct SessionTable {
    sessions: BTreeMap<SessionId, Box<Session>>,
    by_cid: BTreeMap<u32, SessionId>,
    whereabouts: Whereabouts,
    /// Whose they are, if anybody has to know.
    by_identity: Option<BTreeSet<(IdentityMark, SessionId)>>,
    names_given: u64,
}

/// Stands for an identity in an index. Two that have one in common are told apart by themselves.
type IdentityMark = [u8; 8];

fn identity_mark(identity: &[u8]) -> IdentityMark {
    *Sha256::of(identity).first_chunk().expect("8 of 32 octets")
}

impl SessionTable {
    /// A table that counts the sessions of each identity.
    pub(super) fn counting() -> Self {
        Self { by_identity: Some(BTreeSet::new()), ..Self::default() }
    }

    fn of_identity<'a>(&'a self, identity: &'a [u8]) -> impl Iterator<Item = SessionId> {
        let mark = identity_mark(identity);
        let all = (mark, SessionId(0))..=(mark, SessionId(u64::MAX));
        let found = self.by_identity.iter().flat_map(move |index| index.range(all.clone()));
        found
            .map(|(_, id)| *id)
            .filter(|id| self.get(*id).is_some_and(|session| *session.identity == *identity))
    }

    /// How many sessions an identity has; 0 if nobody counts them.
    pub(super) fn count_of(&self, identity: &[u8]) -> usize {
        self.of_identity(identity).count()
    }

    /// The one of an identity that was heard least recently.
    pub(super) fn stalest_of(&self, identity: &[u8]) -> Option<SessionId> {
        self.of_identity(identity).min_by_key(|id| self.get(*id).map(|it| (it.last_heard, *id)))
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id).map(|session| &**session)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id).map(|session| &mut **session)
    }

    pub(super) fn by_cid(&self, cid: u32) -> Option<SessionId> {
        self.by_cid.get(&cid).copied()
    }

    pub(super) fn by_peer(&self, peer: &Peer) -> Option<SessionId> {
        self.whereabouts.at(peer)
    }

    /// Those that were heard least recently, the first of them last. Looks at all.
    pub(super) fn stalest(&self, count_max: usize) -> Vec<(Instant, SessionId)> {
        let mut stalest = BinaryHeap::with_capacity(count_max + 1);
        for (id, session) in &self.sessions {
            stalest.push((session.last_heard, *id));
            if stalest.len() > count_max {
                stalest.pop();
            }
        }
        let mut stalest = stalest.into_sorted_vec();
        stalest.reverse();
        stalest
    }

    /// Adds a session; it is the one that is found at its peer from now on.
    pub(super) fn insert(&mut self, session: Session) -> SessionId {
        let id = SessionId(self.names_given);
        self.names_given += 1;
        if let Some(cid) = session.own_cid {
            self.by_cid.insert(cid, id);
        }
        if let Some(index) = &mut self.by_identity {
            index.insert((identity_mark(&session.identity), id));
        }
        self.whereabouts.put(&session.place.peer(), id);
        self.sessions.insert(id, Box::new(session));
        id
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = *self.sessions.remove(&id)?;
        if let Some(cid) = session.own_cid {
            self.by_cid.remove(&cid);
        }
        if let Some(index) = &mut self.by_identity {
            index.remove(&(identity_mark(&session.identity), id));
        }
        self.whereabouts.remove(&session.place.peer(), id);
        Some(session)
    }

    /// The session is heard at `peer` now.
    pub(super) fn move_to(&mut self, id: SessionId, peer: &Peer) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let old = core::mem::replace(&mut session.place, peer.into());
        self.whereabouts.remove(&old.peer(), id);
        self.whereabouts.put_if_free(peer, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment_len::PLAINTEXT_OCTETS_MAX;
    use crate::protect::Keys;
    use crate::record::SEQ_MAX;
    use lowgate_crypto::{Key128, SoftCcm};
    use lowgate_units::Ipv6Addr;

    fn session() -> Session {
        let keys = || Keys { key: Key128::new([1; 16]), salt: [2; 4] };
        let relay_header = heapless::Vec::new();
        Session {
            place: (&Peer { addr: Ipv6Addr::LOCALHOST, port: 1, relay_header }).into(),
            identity: Box::from(&b"d"[..]),
            suite: CipherSuite::Psk,
            write: WriteKeys::new(keys(), PLAINTEXT_OCTETS_MAX),
            read: ReadKeys::new(keys(), PLAINTEXT_OCTETS_MAX),
            own_cid: None,
            group_agreed: true,
            heartbeat: None,
            return_routability: false,
            resumed: true,
            plain_seq: 0,
            finished_seq: 3,
            last_flight: None,
            has_last_flight: true,
            extras: None,
            random_start: [0; 8],
            last_heard: Instant::ZERO,
            round_trip_ms: 0,
        }
    }

    #[test]
    fn record_numbers_run_out_with_one_left_for_the_goodbye() {
        let mut session = session();
        session.write.set_next_seq(SEQ_MAX - 1);
        let one = (ContentType::ApplicationData, &b"x"[..]);
        let refused = session.seal_all(&SoftCcm, &[one, one], 512);
        assert_eq!(refused, Err(SendRefused::SequenceExhausted));
        assert!(session.seal_all(&SoftCcm, &[one], 512).is_ok());
        let refused = session.seal_all(&SoftCcm, &[one], 512);
        assert_eq!(refused, Err(SendRefused::SequenceExhausted));
        assert!(!session.seal_alert(&SoftCcm, [1, 0]).is_empty());
        assert!(session.seal_alert(&SoftCcm, [1, 0]).is_empty());
    }

    /// An idle session that is heard directly: itself, an EUI-64 for an identity, and its entries in three trees.
    #[test]
    fn a_session_is_small() {
        const IDENTITY_OCTETS: usize = 8;
        let entries = size_of::<(SessionId, Box<Session>)>()
            + size_of::<(u32, SessionId)>()
            + size_of::<((Ipv6Addr, u16), SessionId)>();
        // Trees are half full at worst.
        let octets = size_of::<Session>() + IDENTITY_OCTETS + 2 * entries;
        assert!(octets <= 328, "{octets}");
    }
}
