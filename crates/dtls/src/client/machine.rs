//! The client's side of the handshake: what each record and each silence does.
//!
//! **Invariant:** before the server's Finished verified nobody is believed for good: what cannot be
//! right is dropped, an alert is a suspicion, and a handshake that leads nowhere begins anew.

use super::config::Own;
#[cfg(feature = "ecc")]
use super::curve::Proof;
use super::inbound::Inbound;
use super::resume::{Outcome, SavedSession, SessionName};
use super::{Client, CloseReason, ConnectionId, Heard, Negotiated, State, Suspicion};
use crate::flight::FINISHED_OCTETS;
use crate::handshake::{Fragment, MESSAGE_SEQ_MAX, MessageType, VERIFY_DATA_OCTETS, hash_message};
use crate::hello::{ClientHello, ServerHello, Sink, parse_hello_verify};
use crate::protect::{EPOCH, WriteKeys};
use crate::record::{Record, RecordType};
use crate::schedule::{Master, Premaster, Randoms};
use crate::{
    AlertDescription, CipherSuite, GroupAnswer, IDENTITY_OCTETS_MAX, RECORDS_PER_DATAGRAM_MAX,
    RecordDrop, Retransmission,
};
use lowgate_crypto::{Sha256, hmac_sha256};
use lowgate_units::{Duration, Instant};
use subtle::ConstantTimeEq;

/// HelloVerifyRequests that are answered at once; later ones wait for the timer, so that a forger
/// cannot make us talk as fast as he does.
const VERIFIES_MAX: u8 = 16;
/// An unauthentic alert is believed when it answered this many of our transmissions.
const TOLD_MAX: u8 = 3;
/// How often a suspicion makes us begin anew before it is believed.
const DOUBTED_MAX: u8 = 1;
/// How often another ServerHello takes the place of the one that was believed.
const REWINDS_MAX: u8 = 4;
/// A ClientHello up to its extensions, beside its suites: version, random, four lengths, one compression
/// method.
const HELLO_HEAD_OCTETS: usize = 2 + 32 + 1 + 1 + 2 + 1 + 1;
/// Headers of a record and of a fragment.
const FRAGMENT_OVERHEAD_OCTETS: usize = 13 + 12;
/// Cookies of our server; one that is longer is known when it comes.
const OWN_COOKIE_OCTETS: usize = 16;
/// A repeated flight of the server is answered by ours, but not faster than this.
const REPEAT_GAP: Duration = Duration::from_millis(100);

/// How often a flight is sent after a ServerHello before the handshake begins anew: something that
/// nobody can verify (a ServerHello changed on its way) may have spoilt it.
const fn transmissions_max(policy: Retransmission) -> u16 {
    match policy {
        // To a neighbour they are close to each other.
        Retransmission::Adaptive { hops: 0..=1 } => 12,
        Retransmission::Adaptive { .. } | Retransmission::Crowded => 8,
        Retransmission::Rfc6347 | Retransmission::Rfc7925 => 4,
    }
}

impl Client {
    /// First ClientHello of an attempt.
    pub(super) fn begin(&mut self, now: Instant) {
        self.hello_seq = 0;
        self.verifies = 0;
        self.suspicion = None;
        self.cookie.clear();
        self.rewinds = 0;
        self.hello();
        self.transmit(now);
    }

    /// A new attempt within the same patience, under a random of its own.
    fn restart(&mut self, now: Instant) {
        let label: &[u8] = b"client random";
        self.random = hmac_sha256(self.settings.secret(), &[label, &self.random]);
        // What was resumed, or a ticket on its way, may be what spoilt the attempt.
        self.saved = None;
        self.settings.offered.session_ticket = false;
        #[cfg(feature = "x509")]
        {
            self.settings.offered.cached = false;
        }
        self.timer.restarted();
        self.begin(now);
    }

    /// Builds the flight of a ClientHello.
    fn hello(&mut self) {
        self.disown_server();
        self.state = State::AwaitHello;
        self.flight.clear();
        self.inbound = Inbound::fragments();
        // RFC 6347 section 4.2.6: an earlier ClientHello and its answer are not in the transcript.
        self.transcript = Sha256::new();
        self.next_receive = self.hello_seq;
        self.saved = self.saved.take().filter(|saved| self.fits_first_fragment(saved));
        let hello = ClientHello {
            random: &self.random,
            session_id: self.saved.as_ref().map_or(&[], SavedSession::name),
            cookie: &self.cookie,
            offered: self.settings.offered,
            group_request: &self.settings.group_request,
            pairwise: self.settings.pair.as_ref().map_or(&[], |pair| &pair.own),
            server_name: &self.settings.server_name,
            ticket: self.saved.as_ref().map_or(&[], SavedSession::ticket),
            #[cfg(feature = "x509")]
            fingerprint: self.settings.own.fingerprint(),
        };
        let kind = MessageType::ClientHello;
        self.flight.message(kind, self.hello_seq, &mut self.transcript, |out| hello.emit(out));
    }

    /// A server that keeps nothing before its cookie reads a first fragment alone: what does not lie in it
    /// up to the cookie and the suites is never answered.
    fn fits_first_fragment(&self, saved: &SavedSession) -> bool {
        let cookie_len = self.cookie.len().max(OWN_COOKIE_OCTETS);
        let suites_len = 2 * self.settings.offered.suites.0.len();
        let len = HELLO_HEAD_OCTETS + suites_len + saved.name().len() + cookie_len;
        FRAGMENT_OVERHEAD_OCTETS + len <= self.settings.datagram_len_max
    }

    /// Whatever ServerHello was believed, it is so no longer.
    fn disown_server(&mut self) {
        if let Some(random_start) = self.believed.take() {
            if self.disowned.is_full() {
                self.disowned.pop_front();
            }
            let _ = self.disowned.push_back(random_start); // room was made
        }
    }

    fn transmit(&mut self, now: Instant) {
        self.flight.start();
        self.timer.sent(now, &mut self.prng);
    }

    /// Timers.
    pub(super) fn tick(&mut self, now: Instant) {
        let (answered, finished_out) = match self.state {
            State::AwaitHello => (false, false),
            State::AwaitDone { .. } => (true, false),
            State::AwaitFinished { .. } => (true, true),
            State::Established(_) => return self.tick_heartbeat(now),
            State::Idle | State::Closing { .. } | State::Closed => return,
        };
        if now >= self.timer.gives_up() {
            let reason = self.suspicion.map_or(CloseReason::TimedOut, |suspect| suspect.reason);
            return self.end(reason);
        }
        if now < self.timer.due() || self.flight.is_pending() {
            return;
        }
        if let Some(suspicion) = &mut self.suspicion {
            if suspicion.told >= TOLD_MAX {
                let reason = suspicion.reason;
                // Who refuses a resumption may still want a full handshake.
                let hopeless = !finished_out && self.saved.is_none() && !self.offers_cached();
                if hopeless || self.doubted == DOUBTED_MAX {
                    return self.end(reason);
                }
                self.doubted += 1;
                return self.restart(now);
            }
            suspicion.heard = false;
        }
        let max = transmissions_max(self.settings.retransmission);
        if answered && self.timer.transmissions() >= max {
            return self.restart(now);
        }
        self.transmit(now);
    }

    /// Whether the server may show a fingerprint in place of its certificates.
    const fn offers_cached(&self) -> bool {
        #[cfg(feature = "x509")]
        let offers = self.settings.offered.cached;
        #[cfg(not(feature = "x509"))]
        let offers = false;
        offers
    }

    /// The end, whatever the state.
    pub(super) fn end(&mut self, reason: CloseReason) {
        let established = matches!(self.state, State::Established(_));
        // RFC 5246 section 7.2.2: a session that failed MUST NOT be resumed. RFC 5077 section 3.2: nor
        // SHOULD the ticket of a handshake that did.
        if self.is_under_way() || established && matches!(reason, CloseReason::PeerAlert(_)) {
            self.saved = None;
        }
        let state = core::mem::replace(&mut self.state, State::Closed);
        let (session, told) = match state {
            State::Idle => (None, true),
            State::AwaitHello | State::AwaitDone { .. } => (None, false),
            State::AwaitFinished { session, .. } | State::Established(session) => {
                (Some(session), false)
            }
            State::Closing { session, reason, told } => {
                self.state = State::Closing { session, reason, told };
                return;
            }
            State::Closed => return,
        };
        self.flight.stop();
        self.state = State::Closing { session, reason, told };
    }

    const fn is_under_way(&self) -> bool {
        matches!(
            self.state,
            State::AwaitHello | State::AwaitDone { .. } | State::AwaitFinished { .. }
        )
    }

    pub(super) fn suspect(&mut self, reason: CloseReason) {
        let first = Suspicion { reason, told: 0, heard: false };
        let suspicion = self.suspicion.get_or_insert(first);
        suspicion.reason = reason;
        if !core::mem::replace(&mut suspicion.heard, true) {
            suspicion.told += 1;
        }
    }

    pub(super) fn datagram(&mut self, now: Instant, datagram: &mut [u8]) {
        if matches!(self.state, State::Idle | State::Closing { .. } | State::Closed) {
            return;
        }
        let mut rest = datagram;
        for _ in 0..RECORDS_PER_DATAGRAM_MAX {
            if rest.is_empty() {
                return;
            }
            // We gave out no connection ID: a record that has one cannot be delimited.
            let (record, tail) = match Record::split(rest, 0) {
                Ok(split) => split,
                Err(drop) => return self.news.event(drop),
            };
            let handled = match record.epoch {
                0 => self.plain_record(now, record),
                _ => self.protected_record(now, record),
            };
            if let Err(drop) = handled {
                self.news.event(drop);
            }
            rest = tail;
        }
        self.news.event(RecordDrop::TooManyRecords);
    }

    fn plain_record(&mut self, now: Instant, record: Record<'_>) -> Result<(), RecordDrop> {
        match record.plain_type().ok_or(RecordDrop::UnknownType)? {
            RecordType::Handshake => self.fragments(now, 0, record.body),
            RecordType::ChangeCipherSpec => match &mut self.state {
                State::AwaitFinished { cipher_changed, .. } if *record.body == [1] => {
                    *cipher_changed = true;
                    Ok(())
                }
                State::Idle
                | State::AwaitHello
                | State::AwaitDone { .. }
                | State::AwaitFinished { .. }
                | State::Established(_)
                | State::Closing { .. }
                | State::Closed => Err(RecordDrop::Unexpected),
            },
            RecordType::Alert => self.plain_alert(record.body),
            // RFC 6347 section 4.2.4; wolfSSL once delivered these (CVE-2020-24585).
            RecordType::Heartbeat | RecordType::ReturnRoutability | RecordType::Payload(_) => {
                Err(RecordDrop::WrongEpoch)
            }
        }
    }

    fn plain_alert(&mut self, alert: &[u8]) -> Result<(), RecordDrop> {
        match (alert, &self.state) {
            (
                [level @ 1..=2, description],
                State::AwaitHello | State::AwaitDone { .. } | State::AwaitFinished { .. },
            ) if *level == 2 || *description == AlertDescription::CLOSE_NOTIFY.0 => {
                self.suspect(CloseReason::PeerAlert(AlertDescription(*description)));
            }
            _ => {} // nothing it could mean to a session
        }
        Err(RecordDrop::UnauthenticAlert)
    }

    fn protected_record(&mut self, now: Instant, record: Record<'_>) -> Result<(), RecordDrop> {
        let (session, established) = match &mut self.state {
            State::Established(session) => (session, true),
            // The Finished overtook its ChangeCipherSpec, or was forged: it will come again.
            State::AwaitFinished { session, cipher_changed: true, .. } => (session, false),
            State::Idle
            | State::AwaitHello
            | State::AwaitDone { .. }
            | State::AwaitFinished { .. }
            | State::Closing { .. }
            | State::Closed => return Err(RecordDrop::WrongEpoch),
        };
        let opened = session.read.open(self.ccm, record)?;
        match opened.kind {
            RecordType::Handshake if established => self.authentic_handshake(opened.plaintext),
            RecordType::Handshake => self.fragments(now, EPOCH, opened.plaintext),
            RecordType::Alert => {
                if let [level, description] = *opened.plaintext {
                    match (level, AlertDescription(description)) {
                        (_, AlertDescription::CLOSE_NOTIFY) => self.end(CloseReason::PeerClosed),
                        (2, description) => self.end(CloseReason::PeerAlert(description)),
                        _ => {} // warnings change nothing
                    }
                    return Ok(());
                }
                Err(RecordDrop::BadMessage)
            }
            RecordType::ChangeCipherSpec => Err(RecordDrop::Unexpected),
            // RFC 6520 section 3: not during a handshake.
            RecordType::Heartbeat if !established => Err(RecordDrop::WrongEpoch),
            RecordType::Heartbeat => self.heartbeat_came(opened.plaintext),
            RecordType::ReturnRoutability if !established => Err(RecordDrop::WrongEpoch),
            RecordType::ReturnRoutability => self.routability_came(opened.plaintext),
            // RFC 6347 section 4.2.4: MUST discard or buffer until Finished came.
            RecordType::Payload(_) if !established => Err(RecordDrop::WrongEpoch),
            RecordType::Payload(kind) => {
                if kind.needs_negotiation() && session.hello.group_answer.is_none() {
                    return Err(RecordDrop::NotNegotiated);
                }
                self.inbound.receive(RecordType::Payload(kind), opened.plaintext)
            }
        }
    }

    fn fragments(&mut self, now: Instant, epoch: u16, payload: &[u8]) -> Result<(), RecordDrop> {
        let mut rest = payload;
        while !rest.is_empty() {
            let (fragment, tail) = Fragment::split(rest)?;
            self.fragment(now, epoch, &fragment)?;
            rest = tail;
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        now: Instant,
        epoch: u16,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        match (&self.state, fragment.kind) {
            (State::AwaitHello | State::AwaitDone { .. }, MessageType::HelloVerifyRequest) => {
                // It fits any datagram, and a server that keeps no state cannot cut it.
                let body = fragment.is_whole().then_some(fragment.octets);
                return self.verify_request(now, body.ok_or(RecordDrop::BadFragment)?);
            }
            // Servers count their HelloVerifyRequests in different ways.
            (State::AwaitHello, MessageType::ServerHello) if fragment.seq < self.next_receive => {
                return self.early_hello(now, epoch, fragment);
            }
            (State::AwaitDone { .. } | State::AwaitFinished { .. }, MessageType::ServerHello)
                if fragment.seq <= self.hello_seq && fragment.is_whole() =>
            {
                self.rewind(fragment.octets)?;
                return self.early_hello(now, epoch, fragment);
            }
            (State::AwaitHello | State::AwaitDone { .. } | State::AwaitFinished { .. }, _) => {}
            // RFC 5246 section 7.4.1.1: a simple notification, and nobody vouches for it. The owner may
            // ask within the session whether anybody is there.
            (State::Established(_), MessageType::HelloRequest) => {
                return Err(RecordDrop::HelloRequested);
            }
            (State::Idle | State::Established(_) | State::Closing { .. } | State::Closed, _) => {
                return Err(RecordDrop::Repeated);
            }
        }
        if fragment.seq < self.next_receive {
            self.repeated(now, fragment.kind);
            return Err(RecordDrop::Repeated);
        }
        if fragment.is_whole() && fragment.seq == self.next_receive {
            self.message(now, (epoch, fragment.kind), fragment.octets)?;
        } else {
            self.inbound.insert(self.next_receive, epoch, fragment)?;
        }
        loop {
            if let Some(message) = self.inbound.take_message(self.next_receive) {
                self.message(now, (message.epoch, message.kind), message.body())?;
                continue;
            }
            #[cfg(feature = "x509")]
            if let Some(message) = self.inbound.take_long(self.next_receive) {
                self.message(now, (message.epoch, message.kind), message.body())?;
                continue;
            }
            return Ok(());
        }
    }

    /// A ServerHello with a lower number than expected. Only when it is accepted the count follows.
    fn early_hello(
        &mut self,
        now: Instant,
        epoch: u16,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        if !fragment.is_whole() {
            return Err(RecordDrop::BadFragment);
        }
        let expected = core::mem::replace(&mut self.next_receive, fragment.seq);
        let accepted = self.message(now, (epoch, fragment.kind), fragment.octets);
        if accepted.is_err() {
            self.next_receive = expected;
        }
        accepted
    }

    /// Another ServerHello than the one we believe. Until a Finished verified the latest counts: the
    /// earlier one may be forged, or the answer to a hello from before we lost our memory.
    fn rewind(&mut self, body: &[u8]) -> Result<(), RecordDrop> {
        let hello = self.acceptable(body)?;
        let other = self.believed.is_none_or(|believed| hello.random[..8] != believed);
        if !other || self.rewinds == REWINDS_MAX {
            return Err(RecordDrop::Repeated);
        }
        self.rewinds += 1;
        self.hello();
        Ok(())
    }

    /// RFC 6347 section 4.2.4: a retransmitted flight of the peer asks for ours.
    fn repeated(&mut self, now: Instant, kind: MessageType) {
        let is_last = kind == MessageType::ServerHelloDone;
        if matches!(self.state, State::AwaitFinished { .. })
            && is_last
            && now - self.timer.last_sent() >= REPEAT_GAP
        {
            self.transmit(now);
        }
    }

    fn verify_request(&mut self, now: Instant, body: &[u8]) -> Result<(), RecordDrop> {
        let asked = parse_hello_verify(body).map_err(RecordDrop::HelloRefused)?;
        if asked.is_empty() {
            return Err(RecordDrop::BadMessage);
        }
        if *asked == self.cookie[..] {
            return Err(RecordDrop::Repeated);
        }
        let next = self.hello_seq + 1;
        if next > MESSAGE_SEQ_MAX {
            return Err(RecordDrop::Unexpected);
        }
        self.cookie = ConnectionId::from_slice(asked).map_err(|_| RecordDrop::BadMessage)?;
        self.suspicion = None;
        self.hello_seq = next;
        self.hello();
        self.verifies = self.verifies.saturating_add(1);
        if self.verifies <= VERIFIES_MAX {
            self.timer.answered(now);
            self.transmit(now);
        }
        Ok(())
    }

    /// A whole message whose turn it is. An error leaves everything as it was.
    fn message(
        &mut self,
        now: Instant,
        (epoch, kind): (u16, MessageType),
        body: &[u8],
    ) -> Result<(), RecordDrop> {
        match (&mut self.state, kind, epoch) {
            (State::AwaitHello, MessageType::ServerHello, 0) => self.server_hello(body)?,
            (
                State::AwaitDone { heard: Heard::Psk { hint_seen: seen @ false }, .. },
                MessageType::ServerKeyExchange,
                0,
            ) => {
                // RFC 4279 section 5.2: without a profile that says how, the hint is ignored.
                let (len, hint) = body.split_first_chunk().ok_or(RecordDrop::BadMessage)?;
                if usize::from(u16::from_be_bytes(*len)) != hint.len() {
                    return Err(RecordDrop::BadMessage);
                }
                *seen = true;
            }
            #[cfg(feature = "ecc")]
            (
                State::AwaitDone { heard: Heard::EcdhePsk { .. } | Heard::EcdheEcdsa(_), .. },
                MessageType::Certificate
                | MessageType::ServerKeyExchange
                | MessageType::CertificateRequest,
                0,
            ) => self.hear(kind, body)?,
            (State::AwaitDone { heard, .. }, MessageType::ServerHelloDone, 0)
                if body.is_empty() && heard.is_enough() => {}
            (
                State::AwaitFinished { outcome: Outcome { ticket_promised: true, .. }, .. },
                MessageType::NewSessionTicket,
                0,
            ) => self.new_session_ticket(body)?,
            (State::AwaitFinished { .. }, MessageType::Finished, EPOCH) => {
                return self.finished(now, body);
            }
            _ => return Err(RecordDrop::Unexpected),
        }
        hash_message(&mut self.transcript, kind, self.next_receive, body);
        self.next_receive += 1;
        self.suspicion = None;
        if kind == MessageType::ServerHelloDone {
            self.answer(now);
        }
        self.expect_finished();
        Ok(())
    }

    /// A ServerHello that fits our hello, and that was not found wanting before.
    fn acceptable<'h>(&mut self, body: &'h [u8]) -> Result<ServerHello<'h>, RecordDrop> {
        let checked = ServerHello::parse(body, self.settings.offered).and_then(|hello| {
            if self.settings.offered.extended_master_secret && !hello.extended_master_secret {
                return Err(CloseReason::ExtendedMasterSecretMissing);
            }
            // Another secret or another name than the key is of: its Finished would not verify either.
            let peer = self.settings.pair.as_ref().map(|pair| &pair.peer[..]);
            if hello.pairwise.is_some_and(|says| Some(says) != peer) {
                return Err(CloseReason::NoCommonPair);
            }
            // RFC 5246 section 7.4.1.3: a session that is resumed keeps its suite.
            let resumed = self.saved.as_ref().filter(|_| self.is_resumed_by(&hello));
            if resumed.is_some_and(|saved| saved.suite() != hello.suite) {
                return Err(CloseReason::IllegalHello);
            }
            // RFC 7250 section 4.2: a server that shows something else than what we know it by.
            #[cfg(feature = "ecc")]
            if self.settings.offered.raw_keys && resumed.is_none() && !hello.server_raw_key {
                return Err(CloseReason::NoCommonSuite);
            }
            let cid = hello.connection_id.unwrap_or_default();
            // Our Finished must fit a datagram whatever the server wants to read in it.
            if WriteKeys::overhead(cid.len()) + FINISHED_OCTETS > self.settings.datagram_len_max {
                return Err(CloseReason::IllegalHello);
            }
            Ok(hello)
        });
        match checked {
            Ok(hello) if self.disowned.iter().any(|start| hello.random[..8] == *start) => {
                Err(RecordDrop::Repeated)
            }
            Ok(hello) => Ok(hello),
            Err(reason) => {
                self.suspect(reason);
                Err(RecordDrop::HelloRefused(reason))
            }
        }
    }

    fn server_hello(&mut self, body: &[u8]) -> Result<(), RecordDrop> {
        let hello = self.acceptable(body)?;
        let believed = hello.random.first_chunk().copied();
        let cid = ConnectionId::from_slice(hello.connection_id.unwrap_or_default());
        let name = SessionName::from_slice(hello.session_id);
        let hello = Negotiated {
            suite: hello.suite,
            server_random: *hello.random,
            extended_master_secret: hello.extended_master_secret,
            name: name.map_err(|_| RecordDrop::BadMessage)?,
            resumed: self.is_resumed_by(&hello),
            ticket_promised: hello.session_ticket,
            fragment_len: hello.fragment_len,
            heartbeat: hello.heartbeat,
            return_routability: hello.return_routability && hello.connection_id.is_some(),
            #[cfg(feature = "ecc")]
            client_raw_key: hello.client_raw_key,
            #[cfg(feature = "x509")]
            cached: hello.cached,
            #[cfg(feature = "x509")]
            certificate_url: hello.certificate_url,
            cid: cid.map_err(|_| RecordDrop::BadMessage)?,
            group_answer: hello
                .group_answer
                .and_then(|answer| GroupAnswer::from_slice(answer).ok()),
        };
        self.believed = believed;
        if hello.resumed {
            self.resume(hello);
        } else {
            let heard = Heard::nothing(hello.suite);
            self.state = State::AwaitDone { hello, heard };
        }
        Ok(())
    }

    /// ServerHelloDone came: key exchange, change of cipher, Finished.
    fn answer(&mut self, now: Instant) {
        let State::AwaitDone { hello, heard } = core::mem::replace(&mut self.state, State::Closed)
        else {
            unreachable!("the caller matched the state");
        };
        self.flight.clear();
        self.flight.limit_records(hello.fragment_len);
        let (master, seq) = match (&heard, &self.settings.own) {
            (Heard::Psk { .. }, Own::Psk { identity, psk }) => {
                let (kind, seq) = (MessageType::ClientKeyExchange, self.hello_seq + 1);
                self.flight.message(kind, seq, &mut self.transcript, |out| {
                    put_identity(identity, out);
                });
                let hash = self.transcript.digest();
                let randoms = Randoms { client: &self.random, server: &hello.server_random };
                let session_hash = hello.extended_master_secret.then_some(&hash);
                (Master::derive(&Premaster::Psk(psk), randoms, session_hash), seq + 1)
            }
            #[cfg(feature = "ecc")]
            _ => self.exchange_keys(&hello, &heard),
        };
        let verify = master.schedule().client_finished(&self.transcript.digest());
        self.flight.change_cipher();
        let kind = MessageType::Finished;
        self.flight.message(kind, seq, &mut self.transcript, |out| out.put(&verify));
        self.await_finished(hello, master);
        self.timer.answered(now);
        self.transmit(now);
    }

    fn finished(&mut self, now: Instant, body: &[u8]) -> Result<(), RecordDrop> {
        let State::AwaitFinished { session, outcome, server_verify, .. } = &self.state else {
            return Err(RecordDrop::Unexpected);
        };
        let body: &[u8; VERIFY_DATA_OCTETS] =
            body.try_into().map_err(|_| RecordDrop::BadMessage)?;
        if !bool::from(server_verify.ct_eq(body)) {
            // The record was authentic, so no stranger made us say this: unless it was he who brought
            // the ticket.
            if session.hello.ticket_promised && !outcome.ticket_promised {
                self.restart(now);
            } else {
                self.end(CloseReason::KeyMismatch);
            }
            return Ok(());
        }
        let kind = MessageType::Finished;
        hash_message(&mut self.transcript, kind, self.next_receive, body);
        let state = core::mem::replace(&mut self.state, State::Closed);
        let State::AwaitFinished { session, outcome, .. } = state else {
            unreachable!("matched above");
        };
        self.establish(session, outcome);
        self.inbound = Inbound::payloads();
        self.suspicion = None;
        self.news.established = true;
        Ok(())
    }
}

/// RFC 4279 section 2.
pub(super) fn put_identity(identity: &[u8], out: &mut impl Sink) {
    out.put(&(identity.len() as u16).to_be_bytes());
    out.put(identity);
}

impl Heard {
    /// Behind a ServerHello with this suite.
    const fn nothing(suite: CipherSuite) -> Self {
        match suite {
            CipherSuite::Psk => Self::Psk { hint_seen: false },
            #[cfg(feature = "ecc")]
            CipherSuite::EcdhePsk => Self::EcdhePsk { share: None },
            #[cfg(feature = "ecc")]
            CipherSuite::EcdheEcdsa => Self::EcdheEcdsa(Proof::nothing()),
        }
    }

    /// Whether ServerHelloDone may follow.
    const fn is_enough(&self) -> bool {
        match self {
            Self::Psk { .. } => true,
            #[cfg(feature = "ecc")]
            Self::EcdhePsk { share } => share.is_some(),
            #[cfg(feature = "ecc")]
            Self::EcdheEcdsa(proof) => proof.is_enough(),
        }
    }
}

const _: () = assert!(IDENTITY_OCTETS_MAX + 2 + 12 + FINISHED_OCTETS <= super::FLIGHT_OCTETS_MAX);
