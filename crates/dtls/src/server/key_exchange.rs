//! From ClientKeyExchange to the session.
//!
//! **Invariant:** whether an identity is known shows neither in what is done nor in how long it
//! takes: an unknown one goes on with a key that nobody has, to the same decrypt_error.

use super::half_open::{Course, Expected, Stage, Terms};
use super::resumption::{KeyCheck, Resumable, key_check};
use super::session::{Extras, ForExporters, LastFlight, Session};
use super::{Server, ServerOutput, Visit};
#[cfg(feature = "ecc")]
use crate::curve::parse_client_share;
use crate::fragment_len::FragmentLen;
use crate::handshake::{Fragment, MessageType, VERIFY_DATA_OCTETS, hash_message};
use crate::hello::Sink;
use crate::protect::{EPOCH, ReadKeys, WriteKeys};
use crate::record::{Record, RecordType};
use crate::schedule::{Master, Premaster, Randoms};
use crate::{
    AlertDescription, CipherSuite, CloseReason, IDENTITY_OCTETS_MAX, KeyLog, Psk, RecordDrop,
};
use alloc::boxed::Box;
#[cfg(feature = "ecc")]
use lowgate_crypto::PublicKey;
use lowgate_crypto::{Digest, Sha256, hmac_sha256};
use subtle::ConstantTimeEq;

/// The alert follows the second Finished that cannot be read, for the first may be forged.
const UNREADABLE_BEFORE_ALERT: u8 = 2;

impl Server {
    /// A handshake fragment of epoch 0 that is no ClientHello.
    pub(super) fn key_exchange(
        &mut self,
        visit: &mut Visit<'_>,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let seq = half.hello_seq + 1;
        let Stage::Answered { terms, .. } = &mut half.stage else {
            return Err(RecordDrop::Unexpected);
        };
        #[cfg(feature = "ecc")]
        if terms.suite == CipherSuite::EcdheEcdsa {
            return self.shown(visit, fragment);
        }
        if fragment.kind != MessageType::ClientKeyExchange || fragment.seq != seq {
            return Err(RecordDrop::Unexpected);
        }
        if fragment.is_whole() {
            return self.client_key(visit, fragment.octets);
        }
        terms.reassemble(seq, 0, fragment)?;
        match terms.reassembled(seq) {
            Some(message) => self.client_key(visit, message.body()),
            None => Ok(()),
        }
    }

    /// A whole ClientKeyExchange. Until a Finished verified the latest counts: an earlier one may
    /// have been changed on its way.
    fn client_key(&mut self, visit: &mut Visit<'_>, body: &[u8]) -> Result<(), RecordDrop> {
        let (len, rest) = body.split_first_chunk().ok_or(RecordDrop::BadMessage)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (identity, share) = rest.split_at_checked(len).ok_or(RecordDrop::BadMessage)?;
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let Stage::Answered { terms, expected } = &mut half.stage else {
            return Err(RecordDrop::Unexpected);
        };
        if len > IDENTITY_OCTETS_MAX || share.is_empty() != (terms.suite == CipherSuite::Psk) {
            return Err(RecordDrop::BadMessage);
        }
        #[cfg(feature = "ecc")]
        let share = match terms.suite {
            CipherSuite::Psk => None,
            CipherSuite::EcdhePsk | CipherSuite::EcdheEcdsa => Some(parse_client_share(share)?),
        };
        match expected {
            // There is nothing to exchange when a session is resumed.
            Some(Expected { course: Course::Abbreviated, .. }) => {
                return Err(RecordDrop::Unexpected);
            }
            #[cfg(feature = "ecc")]
            Some(expected) if expected.identity[..] == *identity && expected.share == share => {
                return Err(RecordDrop::Repeated);
            }
            #[cfg(not(feature = "ecc"))]
            Some(expected) if expected.identity[..] == *identity => {
                return Err(RecordDrop::Repeated);
            }
            Some(_) | None => {}
        }
        let unreadable = expected.as_ref().map_or(0, |expected| expected.unreadable);
        // Computed in any case, so that it takes the same time.
        let dummy = hmac_sha256(self.dummy_secret.expose(), &[identity]);
        let known = visit.directory.psk(identity);
        let psk = known.or_else(|| Psk::new(&dummy[..16])).ok_or(RecordDrop::BadMessage)?;
        let randoms = Randoms { client: &half.client_random, server: &terms.server_random };
        let seq = half.hello_seq + 1;
        #[cfg(feature = "ecc")]
        let shared = match &share {
            Some(share) => Some(half.spent.agree(terms.exchange.as_mut(), share)?),
            None => None,
        };
        #[cfg(feature = "ecc")]
        let premaster = match &shared {
            Some(shared) => Premaster::EcdhePsk(shared, &psk),
            None => Premaster::Psk(&psk),
        };
        #[cfg(not(feature = "ecc"))]
        let premaster = Premaster::Psk(&psk);
        let mut transcript = terms.transcript.clone();
        hash_message(&mut transcript, MessageType::ClientKeyExchange, seq, body);
        let session_hash = transcript.digest();
        let master = terms.master(&premaster, randoms, &session_hash);
        let proved = Proved {
            identity: identity.into(),
            #[cfg(feature = "ecc")]
            share,
            key_check: terms.can_be_resumed().then(|| key_check(&psk, identity)),
            unreadable,
        };
        *expected = Some(expect(terms, randoms, (master, transcript), seq + 1, proved));
        Ok(())
    }

    /// A record of epoch 1 for the handshake at `visit.peer`.
    pub(super) fn half_open_record(
        &mut self,
        visit: &mut Visit<'_>,
        record: Record<'_>,
    ) -> Result<(), RecordDrop> {
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let Stage::Answered { terms, expected: Some(expected) } = &mut half.stage else {
            return Err(RecordDrop::WrongEpoch);
        };
        // It overtook its ChangeCipherSpec, and will come again.
        if !terms.cipher_changed {
            return Err(RecordDrop::WrongEpoch);
        }
        let opened = match expected.read.open(self.config.ccm, record) {
            Ok(opened) => opened,
            Err(RecordDrop::BadTag) => {
                self.unreadable(visit);
                return Err(RecordDrop::BadTag);
            }
            Err(drop) => return Err(drop),
        };
        match opened.kind {
            RecordType::Handshake => {}
            RecordType::Alert => {
                let [_, description] = *opened.plaintext else {
                    return Err(RecordDrop::BadMessage);
                };
                let reason = CloseReason::PeerAlert(AlertDescription(description));
                self.give_up(visit.peer, reason);
                return Ok(());
            }
            RecordType::ChangeCipherSpec => return Err(RecordDrop::Unexpected),
            // RFC 6347 section 4.2.4: nothing is delivered before Finished.
            RecordType::Heartbeat | RecordType::ReturnRoutability | RecordType::Payload(_) => {
                return Err(RecordDrop::WrongEpoch);
            }
        }
        let (fragment, _) = Fragment::split(opened.plaintext)?;
        let seq = expected.finished_seq;
        if fragment.kind != MessageType::Finished || fragment.seq != seq {
            return Err(RecordDrop::Unexpected);
        }
        if fragment.is_whole() {
            return self.client_finished(visit, fragment.octets);
        }
        terms.reassemble(seq, EPOCH, &fragment)?;
        match terms.reassembled(seq) {
            Some(message) if message.epoch == EPOCH => self.client_finished(visit, message.body()),
            Some(_) | None => Ok(()),
        }
    }

    /// A record in the place of Finished that does not open: another key, or forged. The handshake
    /// goes on for a while, so that a forger cannot end it.
    fn unreadable(&mut self, visit: &Visit<'_>) {
        let Some(half) = self.half_open.get_mut(visit.peer) else { return };
        let Stage::Answered { expected: Some(expected), .. } = &mut half.stage else { return };
        // Who resumes a session speaks after it opened our Finished, so its key is right: this was forged.
        // It repeats itself only when we do, and so we go on.
        if matches!(expected.course, Course::Abbreviated) {
            return;
        }
        expected.unreadable = expected.unreadable.saturating_add(1);
        let count = expected.unreadable;
        if count < UNREADABLE_BEFORE_ALERT {
            return;
        }
        self.doom(visit.now, visit.peer, CloseReason::KeyMismatch);
    }

    fn client_finished(&mut self, visit: &mut Visit<'_>, body: &[u8]) -> Result<(), RecordDrop> {
        let body: &[u8; VERIFY_DATA_OCTETS] =
            body.try_into().map_err(|_| RecordDrop::BadMessage)?;
        let half = self.half_open.get_mut(visit.peer).ok_or(RecordDrop::UnknownPeer)?;
        let Stage::Answered { expected: Some(expected), .. } = &half.stage else {
            return Err(RecordDrop::Unexpected);
        };
        if !bool::from(expected.client_verify.ct_eq(body)) {
            // Whoever has the keys saw other messages than we did.
            let (reason, seq) = (CloseReason::KeyMismatch, half.plain_seq);
            if let Some(alert) = reason.alert() {
                self.send_plain_alert(visit.peer, alert, seq);
            }
            self.give_up(visit.peer, reason);
            return Ok(());
        }
        self.establish(visit);
        Ok(())
    }

    fn establish(&mut self, visit: &mut Visit<'_>) {
        let Some(half) = self.half_open.remove(visit.peer) else { return };
        let mut half = *half;
        half.timer.answered(visit.now);
        let Stage::Answered { terms, expected: Some(expected) } = half.stage else { return };
        self.lift_bars(visit.peer, &expected.identity);
        self.make_way(visit.peer, &expected.identity);
        let mut random_start = [0; 8];
        random_start.copy_from_slice(&half.client_random[..8]);
        let (last_flight, ticket) = self.settle(visit, &terms, &expected);
        let for_exporters = (self.config.exporters && terms.extended_master_secret).then(|| {
            Box::new(ForExporters {
                master: expected.master.clone(),
                client_random: half.client_random,
                server_random: terms.server_random,
            })
        });
        let session = Session {
            place: visit.peer.into(),
            identity: expected.identity.clone(),
            suite: terms.suite,
            write: expected.write,
            read: expected.read,
            own_cid: terms.own_cid,
            group_agreed: terms.group_request.is_some(),
            heartbeat: terms.heartbeat,
            return_routability: terms.return_routability,
            resumed: matches!(expected.course, Course::Abbreviated),
            plain_seq: half.plain_seq,
            finished_seq: expected.finished_seq,
            last_flight,
            extras: Extras { client_cid: terms.client_cid, ticket, for_exporters }.kept(),
            has_last_flight: matches!(expected.course, Course::Abbreviated),
            random_start,
            last_heard: visit.now,
            round_trip_ms: half
                .timer
                .round_trip()
                .map_or(0, |it| u16::try_from(it.as_millis()).unwrap_or(u16::MAX).max(1)),
        };
        let session = self.table.insert(session);
        self.hold_last_flight(visit.now, session);
        if self.config.key_log {
            let master_secret = expected.master.0;
            let line = KeyLog { client_random: half.client_random, master_secret };
            self.outputs.push_back(ServerOutput::KeyLog(line));
        }
        self.outputs.push_back(ServerOutput::Established {
            session,
            peer: visit.peer.clone(),
            identity: expected.identity,
            group_request: terms.group_request,
        });
    }

    /// The client's Finished verified: what is remembered for the next time, and what it hears of us
    /// now: its ticket apart. When a session was resumed that is nothing, for it has our Finished.
    fn settle(
        &mut self,
        visit: &mut Visit<'_>,
        terms: &Terms,
        expected: &Expected,
    ) -> (Option<LastFlight>, Box<[u8]>) {
        let Course::Full { transcript, key_check } = &expected.course else {
            self.memory.touch(&expected.identity, visit.now);
            return (None, Box::default());
        };
        let resumable = key_check.map(|key_check| Resumable {
            identity: expected.identity.clone(),
            suite: terms.suite,
            master: expected.master.clone(),
            since: visit.now,
            key_check,
            fragment_len: terms.fragment_len,
        });
        let mut transcript = transcript.clone();
        let mut ticket = Box::default();
        match (resumable, terms.session_name) {
            (Some(resumable), Some(name)) => {
                self.memory.insert(name, resumable, self.config.resumable_max);
            }
            // RFC 5077 section 3.3: MUST be sent when the ServerHello said so.
            (Some(resumable), None) => {
                ticket = self.new_session_ticket(visit, &resumable);
                let (kind, seq) = (MessageType::NewSessionTicket, terms.next_seq);
                hash_message(&mut transcript, kind, seq, &ticket);
            }
            // RFC 5077 section 3.3: the promised one has a length of zero.
            (None, None) if terms.gives_ticket => {
                ticket = Box::from([0; 6]);
                let (kind, seq) = (MessageType::NewSessionTicket, terms.next_seq);
                hash_message(&mut transcript, kind, seq, &ticket);
            }
            (None, _) => {}
        }
        let verify_data = expected.master.server_finished(&transcript.digest());
        (Some(LastFlight { seq: terms.next_seq, verify_data }), ticket)
    }
}

/// Who proves himself by the Finished that is expected.
pub(super) struct Proved {
    pub(super) identity: Box<[u8]>,
    #[cfg(feature = "ecc")]
    pub(super) share: Option<PublicKey>,
    /// There when the session can be resumed.
    pub(super) key_check: Option<KeyCheck>,
    /// Finished records that did not open before.
    pub(super) unreadable: u8,
}

impl Terms {
    /// Whether the session that is being made can be resumed later.
    pub(super) const fn can_be_resumed(&self) -> bool {
        self.session_name.is_some() || self.gives_ticket
    }

    /// `session_hash` is over everything up to the ClientKeyExchange.
    pub(super) fn master(
        &self,
        premaster: &Premaster<'_>,
        randoms: Randoms<'_>,
        session_hash: &Digest,
    ) -> Master {
        let session_hash = self.extended_master_secret.then_some(session_hash);
        Master::derive(premaster, randoms, session_hash)
    }
}

/// Keys, and what the client's Finished, `seq`, must say behind all in `transcript`.
pub(super) fn expect(
    terms: &Terms,
    randoms: Randoms<'_>,
    (master, mut transcript): (Master, Sha256),
    seq: u16,
    proved: Proved,
) -> Expected {
    let schedule = master.schedule();
    let (client_keys, server_keys) = schedule.keys(randoms);
    let client_verify = schedule.client_finished(&transcript.digest());
    hash_message(&mut transcript, MessageType::Finished, seq, &client_verify);
    let longest = FragmentLen::plaintext_octets_max(terms.fragment_len);
    Expected {
        identity: proved.identity,
        #[cfg(feature = "ecc")]
        share: proved.share,
        write: WriteKeys::new(server_keys, longest),
        read: ReadKeys::new(client_keys, longest),
        master,
        finished_seq: seq,
        client_verify,
        unreadable: proved.unreadable,
        course: Course::Full { transcript, key_check: proved.key_check },
    }
}

/// A session is resumed (RFC 5246 section 7.3): keys from its master secret and the new randoms, our
/// Finished behind the ServerHello, and the client's after that.
pub(super) fn abbreviate(
    terms: &mut Terms,
    client_random: &[u8; 32],
    seq: u16,
    resumable: Resumable,
) -> Expected {
    let Resumable { identity, master, .. } = resumable;
    let randoms = Randoms { client: client_random, server: &terms.server_random };
    let schedule = master.schedule();
    let (client_keys, server_keys) = schedule.keys(randoms);
    let server_verify = schedule.server_finished(&terms.transcript.digest());
    terms.flight.change_cipher();
    let Terms { flight, transcript, .. } = terms;
    flight.message(MessageType::Finished, seq, transcript, |out| out.put(&server_verify));
    let client_verify = schedule.client_finished(&terms.transcript.digest());
    let longest = FragmentLen::plaintext_octets_max(terms.fragment_len);
    Expected {
        identity,
        #[cfg(feature = "ecc")]
        share: None,
        write: WriteKeys::new(server_keys, longest),
        read: ReadKeys::new(client_keys, longest),
        master,
        finished_seq: seq,
        client_verify,
        unreadable: 0,
        course: Course::Abbreviated,
    }
}
