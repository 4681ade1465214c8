//! ClientHellos: cookie first, then a handshake.
//!
//! **Invariant:** without a valid cookie nothing is kept and at most one HelloVerifyRequest, shorter
//! than the ClientHello, is sent.

#[cfg(feature = "ecc")]
use super::curve::{Exchange, Kind, Spent};
use super::half_open::{CLIENT_HELLO_OCTETS_MAX, HalfOpen, Stage, Terms};
use super::key_exchange::abbreviate;
use super::resumption::Resumable;
use super::{Packing, PairAnswer, Server, ServerOutput, Visit, draw_secret};
use crate::flight::{FINISHED_OCTETS, Flight};
use crate::handshake::{self, Fragment, MESSAGE_SEQ_MAX, MessageType, hash_message};
use crate::heartbeat::OWN_OCTETS;
use crate::hello::{Answer, ClientHelloHead, ClientOffer};
use crate::protect::WriteKeys;
use crate::reassembly::Reassembler;
use crate::record::{self, RecordType, SEQ_MAX, VERSION_1_0};
use crate::{
    CONNECTION_ID_OCTETS, CipherSuite, CloseReason, GROUP_REQUEST_OCTETS_MAX, GroupAnswer,
    RecordDrop, RetransmissionTimer,
};
use alloc::boxed::Box;
use alloc::vec;
use lowgate_crypto::{Digest, Sha256};

/// Room for the records of a handshake behind a ClientHello's record number.
const PLAIN_SEQ_MAX: u64 = SEQ_MAX >> 1;

/// Where a ClientHello stands.
#[derive(Clone, Copy)]
struct Place {
    record_seq: u64,
    hello_seq: u16,
}

/// What the client offers, the session to resume, and what both ends say.
type Agreed<'h> = (ClientOffer<'h>, Option<Resumable>, Terms, Option<GroupAnswer>);

impl Server {
    pub(super) fn client_hello(
        &mut self,
        visit: &mut Visit<'_>,
        record_seq: u64,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        if fragment.message_len > CLIENT_HELLO_OCTETS_MAX {
            return Err(RecordDrop::BadFragment);
        }
        if fragment.seq > MESSAGE_SEQ_MAX || record_seq > PLAIN_SEQ_MAX {
            return Err(RecordDrop::BadMessage);
        }
        if fragment.offset > 0 {
            return self.more_of_hello(visit, fragment);
        }
        let head = ClientHelloHead::parse(fragment.octets).map_err(RecordDrop::HelloRefused)?;
        let place = Place { record_seq, hello_seq: fragment.seq };
        self.cookies.refresh(visit.now, visit.entropy);
        if self.config.cookie && !self.cookies.knows(visit.peer, &head) {
            self.ask_for_cookie(visit, place, &head);
            return Ok(());
        }
        if let Some(half) = self.half_open.get(visit.peer)
            && half.client_random == *head.random
            && half.hello_seq == place.hello_seq
        {
            let Stage::Answered { terms, .. } = &half.stage else {
                return self.more_of_hello(visit, fragment);
            };
            // The cookie does not cover the extensions. Until a Finished verified the latest counts:
            // the one that we answered may have been changed on its way.
            let other = fragment.is_whole() && terms.hello_hash != Sha256::of(fragment.octets);
            #[cfg(feature = "ecc")]
            let other = other && half.spent.may_reopen(terms.suite);
            if other {
                return self.open_hello(visit, place, fragment.octets);
            }
            self.repeat_flight(visit.now, visit.peer);
            return Err(RecordDrop::Repeated);
        }
        // A hello that was delayed until its own handshake was over.
        let at_peer = self.table.by_peer(visit.peer).and_then(|id| self.table.get(id));
        if at_peer.is_some_and(|session| session.random_start == head.random[..8]) {
            return Err(RecordDrop::Repeated);
        }
        if fragment.is_whole() {
            return self.open_hello(visit, place, fragment.octets);
        }
        let mut fragments = Box::new(Reassembler::default());
        fragments.insert(place.hello_seq, 0, fragment)?;
        self.admit(visit, place, *head.random, Stage::Hello { fragments });
        Ok(())
    }

    fn more_of_hello(
        &mut self,
        visit: &mut Visit<'_>,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        let unexpected = RecordDrop::Unexpected;
        let half = self.half_open.get_mut(visit.peer).ok_or(unexpected)?;
        let Stage::Hello { fragments } = &mut half.stage else { return Err(RecordDrop::Repeated) };
        if fragment.seq != half.hello_seq {
            return Err(unexpected);
        }
        fragments.insert(half.hello_seq, 0, fragment)?;
        let place = Place { record_seq: half.plain_seq, hello_seq: half.hello_seq };
        let whole = fragments.take(half.hello_seq);
        match whole {
            Some(message) if message.kind == MessageType::ClientHello => {
                // They may have been exchanged behind the one that had the cookie.
                if !self.has_cookie(visit, message.body())? {
                    self.give_up(visit.peer, CloseReason::MalformedHello);
                    return Err(RecordDrop::BadMessage);
                }
                self.open_hello(visit, place, message.body())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a whole ClientHello has a valid cookie, or needs none.
    fn has_cookie(&self, visit: &Visit<'_>, body: &[u8]) -> Result<bool, RecordDrop> {
        let head = ClientHelloHead::parse(body).map_err(RecordDrop::HelloRefused)?;
        Ok(!self.config.cookie || self.cookies.knows(visit.peer, &head))
    }

    fn ask_for_cookie(&mut self, visit: &Visit<'_>, place: Place, head: &ClientHelloHead<'_>) {
        let cookie = self.cookies.bake(visit.peer, head);
        let body_len = 3 + cookie.len();
        let message_len = handshake::HEADER_OCTETS + body_len;
        let mut octets = vec![0; record::HEADER_OCTETS + message_len];
        // RFC 6347 section 4.2.1: version 1.0 SHOULD be used, and the record number of the
        // ClientHello MUST be, so that a server without state repeats none.
        let outer = (RecordType::Handshake.octet(), VERSION_1_0);
        let numbers = (0, place.record_seq);
        let at = record::emit_header(outer, numbers, &[], message_len, &mut octets);
        let Some(at) = at else { return };
        let kind = MessageType::HelloVerifyRequest;
        let header = handshake::emit_header(kind, place.hello_seq, body_len, (0, body_len));
        let (head, body) = octets[at..].split_at_mut(handshake::HEADER_OCTETS);
        head.copy_from_slice(&header);
        body[..2].copy_from_slice(&VERSION_1_0.to_be_bytes());
        body[2] = cookie.len() as u8;
        body[3..].copy_from_slice(&cookie);
        self.transmit(visit.peer, octets);
    }

    /// Keeps a handshake in place of an earlier one of the same peer.
    fn admit(
        &mut self,
        visit: &mut Visit<'_>,
        place: Place,
        client_random: [u8; 32],
        stage: Stage,
    ) {
        let now = visit.now;
        // All of this very hello came, or another version of it: still the same handshake.
        let again = self.half_open.get(visit.peer).filter(|half| {
            half.client_random == client_random && half.hello_seq == place.hello_seq
        });
        // RFC 6347 section 4.2.1: the initial ServerHello takes the ClientHello's record number, and
        // no later record goes behind it.
        #[cfg(feature = "ecc")]
        let spent = again.map_or_else(Spent::default, |half| half.spent.reopened());
        let used = again.map(|half| half.plain_seq);
        let plain_seq = used.map_or(place.record_seq, |used| used.max(place.record_seq));
        if used.is_none() {
            self.give_up(visit.peer, CloseReason::Superseded);
            self.make_room();
            let peer = visit.peer.clone();
            self.outputs.push_back(ServerOutput::HandshakeStarted { peer });
        }
        let hops = visit.directory.hops(visit.peer);
        let retransmission = self.config.retransmission.over(hops);
        let half = HalfOpen {
            #[cfg(feature = "ecc")]
            spent,
            client_random,
            hello_seq: place.hello_seq,
            plain_seq,
            started: now,
            timer: RetransmissionTimer::new(retransmission, now),
            doom: None,
            alerts: 0,
            stage,
        };
        self.half_open.insert(visit.peer.clone(), Box::new(half));
    }

    /// A whole ClientHello with a valid cookie.
    fn open_hello(
        &mut self,
        visit: &mut Visit<'_>,
        place: Place,
        body: &[u8],
    ) -> Result<(), RecordDrop> {
        let head = ClientHelloHead::parse(body).map_err(RecordDrop::HelloRefused)?;
        let hash = Sha256::of(body);
        let (offer, resumable, mut terms, group_answer) = match self.consider(visit, &head, hash) {
            Ok(agreed) => agreed,
            Err(reason) => {
                self.refuse_hello(visit, place, reason);
                return Err(RecordDrop::HelloRefused(reason));
            }
        };
        #[cfg(feature = "ecc")]
        let kind = if resumable.is_none() { self.exchange_kind(terms.suite, &offer) } else { None };
        #[cfg(feature = "ecc")]
        if let Some(kind) = kind {
            terms.exchange = Some(Exchange::begin(visit, kind));
        }
        hash_message(&mut terms.transcript, MessageType::ClientHello, place.hello_seq, body);
        let own_cid = terms.own_cid.map(u32::to_be_bytes);
        let session_name = terms.session_name;
        let pairwise = terms.pairwise.take();
        let answer = Answer {
            suite: terms.suite,
            random: &{ terms.server_random },
            // RFC 5077 section 3.4: with a ticket too the client's own session id says that it is taken.
            session_id: match (&resumable, &session_name) {
                (Some(_), _) => head.session_id,
                (None, Some(name)) => name,
                (None, None) => &[],
            },
            extended_master_secret: terms.extended_master_secret,
            connection_id: own_cid.as_ref().map(|cid| &cid[..]),
            // RFC 5746 section 3.6: answered when the client showed that it knows it.
            renegotiation_info: offer.renegotiation_info,
            group_answer: group_answer.as_deref(),
            pairwise: pairwise.as_deref(),
            fragment_len: terms.fragment_len,
            // RFC 6066 section 3: nothing when a session is resumed.
            named: resumable.is_none()
                && self.config.server_name.is_some()
                && offer.server_name.is_some(),
            heartbeat: terms.heartbeat.is_some(),
            return_routability: terms.return_routability,
            session_ticket: terms.gives_ticket,
            #[cfg(feature = "ecc")]
            point_formats: terms.suite != CipherSuite::Psk && offer.curve.names_formats(),
            #[cfg(feature = "ecc")]
            certificate_types: offer.curve.answer(kind.and_then(Kind::certificate_type)),
            #[cfg(feature = "x509")]
            cached: kind.is_some_and(Kind::is_cached),
        };
        let tight = matches!(self.config.packing, Packing::Tight { .. }) && group_answer.is_some();
        let Terms { flight, transcript, fragment_len, .. } = &mut terms;
        flight.limit_records(*fragment_len);
        if tight {
            // Who speaks our extension reads every message of a record.
            flight.share_records();
        }
        let hello_kind = MessageType::ServerHello;
        flight.message(hello_kind, place.hello_seq, transcript, |out| answer.emit(out));
        let seq = place.hello_seq + 1;
        #[cfg(feature = "ecc")]
        let seq = self.put_exchange(&mut terms, head.random, seq);
        let Terms { flight, transcript, .. } = &mut terms;
        let expected = match resumable {
            Some(resumable) => Some(abbreviate(&mut terms, head.random, seq, resumable)),
            None => {
                flight.message(MessageType::ServerHelloDone, seq, transcript, |_| {});
                None
            }
        };
        terms.next_seq = seq + 1;
        let stage = Stage::Answered { terms, expected };
        self.admit(visit, place, *head.random, stage);
        self.send_flight(visit.now, visit.peer);
        Ok(())
    }

    /// What comes of a hello.
    fn consider<'h>(
        &mut self,
        visit: &mut Visit<'_>,
        head: &ClientHelloHead<'h>,
        hash: Digest,
    ) -> Result<Agreed<'h>, CloseReason> {
        let offer = head.offer()?;
        let resumable = self.resumable(visit, head, &offer)?;
        let suite = match &resumable {
            Some(resumable) => resumable.suite,
            None => self.choose(head, &offer)?,
        };
        let (terms, group_answer) = self.agree(visit, &offer, (hash, suite), resumable.as_ref())?;
        Ok((offer, resumable, terms, group_answer))
    }

    /// What a hello without a future is answered. Nothing is kept.
    fn refuse_hello(&mut self, visit: &Visit<'_>, place: Place, reason: CloseReason) {
        if self.half_open.get(visit.peer).is_some_and(|h| matches!(h.stage, Stage::Hello { .. })) {
            self.half_open.remove(visit.peer);
        }
        if let Some(alert) = reason.alert() {
            self.send_plain_alert(visit.peer, alert, place.record_seq);
        }
        let barred = self.is_barred(visit.peer);
        self.count_failure(visit.peer, None, (0, reason));
        self.tell_failure(visit.peer, None, reason, barred);
    }

    /// The suite of a full handshake: of those that both ends can do the one that the client likes best.
    fn choose(
        &self,
        head: &ClientHelloHead<'_>,
        offer: &ClientOffer<'_>,
    ) -> Result<CipherSuite, CloseReason> {
        #[cfg(not(feature = "ecc"))]
        let _ = offer;
        let able = |suite: &CipherSuite| match suite {
            CipherSuite::Psk => true,
            #[cfg(feature = "ecc")]
            CipherSuite::EcdhePsk => self.config.forward_secrecy && offer.curve.has_our_curve(),
            #[cfg(feature = "ecc")]
            CipherSuite::EcdheEcdsa => self.shows(offer).is_some(),
        };
        head.suites().find(able).ok_or(match () {
            #[cfg(feature = "ecc")]
            () if offer.curve.has_formats_of_no_use() => CloseReason::IllegalHello,
            () => CloseReason::NoCommonSuite,
        })
    }

    fn agree(
        &mut self,
        visit: &mut Visit<'_>,
        offer: &ClientOffer<'_>,
        (hello_hash, suite): (Digest, CipherSuite),
        resumable: Option<&Resumable>,
    ) -> Result<(Terms, Option<GroupAnswer>), CloseReason> {
        // A group request is bound to the keys by the session hash alone.
        if offer.group_request.is_some() && !offer.extended_master_secret {
            return Err(CloseReason::ExtendedMasterSecretMissing);
        }
        // RFC 6066 section 3: continue, or abort with a fatal alert; a warning would help nobody.
        if let (Some(own), Some(asked)) = (&self.config.server_name, offer.server_name)
            && !own.as_bytes().eq_ignore_ascii_case(asked)
        {
            return Err(CloseReason::UnrecognizedName);
        }
        let group_request =
            offer.group_request.filter(|request| request.len() <= GROUP_REQUEST_OCTETS_MAX);
        let group_answer = group_request.and_then(|request| visit.directory.group_answer(request));
        let pairwise = match offer.pairwise.map(|client| visit.directory.pair_answer(client)) {
            Some(PairAnswer::Refused) => return Err(CloseReason::NoCommonPair),
            Some(PairAnswer::Own(own)) => Some(own),
            Some(PairAnswer::Ignored) | None => None,
        };
        let longest = self.config.datagram_len_max;
        // A connection ID with which not even Finished fits a datagram is as good as not offered.
        let client_cid = offer
            .connection_id
            .filter(|_| self.config.connection_id)
            .filter(|cid| WriteKeys::overhead(cid.len()) + FINISHED_OCTETS <= longest);
        let mut server_random = [0; 32];
        visit.entropy.fill(&mut server_random);
        let own_cid = client_cid.map(|_| self.draw_cid(visit));
        // RFC 7627 section 5.3: what has no extended master secret is never resumed.
        let can_be_resumed = resumable.is_none() && offer.extended_master_secret;
        let gives_ticket = can_be_resumed && self.config.tickets && offer.ticket.is_some();
        // RFC 5077 section 3.4: a session with a ticket SHOULD have no session id.
        let named = can_be_resumed && !gives_ticket && self.config.resumable_max > 0;
        let terms = Terms {
            suite,
            #[cfg(feature = "ecc")]
            exchange: None,
            hello_hash,
            server_random,
            extended_master_secret: offer.extended_master_secret,
            fragment_len: offer.fragment_len,
            // Not with a connection ID with which none of ours fits a datagram.
            heartbeat: offer.heartbeat.filter(|_| {
                let cid_len = client_cid.map_or(0, <[u8]>::len);
                self.config.heartbeat && WriteKeys::overhead(cid_len) + OWN_OCTETS <= longest
            }),
            // RFC 9853 section 3: MUST NOT be answered without a connection ID.
            return_routability: self.config.return_routability
                && offer.return_routability
                && own_cid.is_some(),
            own_cid,
            client_cid: client_cid.unwrap_or_default().into(),
            group_request: group_answer.as_ref().and(group_request).map(Into::into),
            pairwise,
            session_name: named.then(|| *draw_secret(visit.entropy).expose()),
            gives_ticket,
            next_seq: 0,
            transcript: Sha256::new(),
            flight: Flight::default(),
            reassembler: None,
            #[cfg(feature = "x509")]
            chain: None,
            cipher_changed: false,
        };
        Ok((terms, group_answer))
    }

    /// A connection ID that names nobody.
    fn draw_cid(&self, visit: &mut Visit<'_>) -> u32 {
        let mut octets = [0; CONNECTION_ID_OCTETS];
        visit.entropy.fill(&mut octets);
        let mut cid = u32::from_be_bytes(octets);
        // There are 2^32 of them and some thousand sessions: this ends, mostly at once.
        while !self.is_free(cid) {
            cid = cid.wrapping_add(1);
        }
        cid
    }
}
