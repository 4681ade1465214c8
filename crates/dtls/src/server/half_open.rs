//! Handshakes under way: what is kept of them, their timers, and who must go when there are many.
//!
//! **Invariant:** an entry exists only after a valid cookie (unless cookies are off), lives for a
//! bounded time, and never touches the session that its peer may already have.

#[cfg(feature = "ecc")]
use super::curve::{Exchange, Spent};
use super::resumption::{KeyCheck, SessionName};
use super::session::write_out;
use super::{Peer, Server, ServerOutput};
#[cfg(feature = "x509")]
use crate::CHAIN_OCTETS_MAX;
use crate::flight::{Flight, RecordWriter, plain_alert};
use crate::fragment_len::FragmentLen;
#[cfg(feature = "x509")]
use crate::handshake::MessageType;
use crate::handshake::{Fragment, VERIFY_DATA_OCTETS};
use crate::heartbeat::HeartbeatMode;
use crate::protect::{ReadKeys, WriteKeys};
use crate::reassembly::{Message, Reassembler};
use crate::schedule::Master;
use crate::{CipherSuite, CloseReason, PairwiseId, RecordDrop, RetransmissionTimer};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
#[cfg(feature = "ecc")]
use lowgate_crypto::PublicKey;
use lowgate_crypto::{Digest, Sha256};
use lowgate_units::{Duration, Instant};

/// Longest ClientHello: strangers bring some hundred octets of suites and extensions.
pub(super) const CLIENT_HELLO_OCTETS_MAX: usize = 2048;
/// ClientKeyExchange and Finished; with keys to show there are Certificate and CertificateVerify too.
const REASSEMBLY_SLOTS: usize = if cfg!(feature = "ecc") { 4 } else { 2 };
const REASSEMBLY_OCTETS_MAX: usize =
    2 + crate::IDENTITY_OCTETS_MAX + if cfg!(feature = "ecc") { 1 + 65 } else { 0 };
/// Alerts about one handshake.
const ALERTS_MAX: u8 = 8;
/// After something hopeless, what is genuine has this long to come.
pub(super) const DOOMED_FOR: Duration = Duration::from_secs(5);
/// A repeated flight of the client is answered by ours, but not faster than this.
const REPEAT_GAP: Duration = Duration::from_millis(100);

/// One handshake.
pub(super) struct HalfOpen {
    pub(super) client_random: [u8; 32],
    /// message_seq of the ClientHello; the other messages count on from it.
    pub(super) hello_seq: u16,
    /// Next record number of epoch 0.
    pub(super) plain_seq: u64,
    pub(super) started: Instant,
    pub(super) timer: RetransmissionTimer,
    /// Set by what can only be forged or hopeless: when the handshake ends, and why, if nothing better comes.
    pub(super) doom: Option<(Instant, CloseReason)>,
    /// Alerts that were sent about it.
    pub(super) alerts: u8,
    /// What it cost us so far.
    #[cfg(feature = "ecc")]
    pub(super) spent: Spent,
    pub(super) stage: Stage,
}

/// How far it came.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives in a box, and mostly in its larger variant"
)]
pub(super) enum Stage {
    /// The ClientHello comes in fragments; its first one had a valid cookie.
    Hello { fragments: Box<Reassembler<1, CLIENT_HELLO_OCTETS_MAX>> },
    /// Our flight is out.
    Answered { terms: Terms, expected: Option<Expected> },
}

/// What both hellos agreed on.
pub(super) struct Terms {
    pub(super) suite: CipherSuite,
    /// Where the key exchange stands.
    #[cfg(feature = "ecc")]
    pub(super) exchange: Option<Exchange>,
    /// Of the ClientHello that was answered.
    pub(super) hello_hash: Digest,
    pub(super) server_random: [u8; 32],
    pub(super) extended_master_secret: bool,
    pub(super) fragment_len: Option<FragmentLen>,
    pub(super) heartbeat: Option<HeartbeatMode>,
    pub(super) return_routability: bool,
    pub(super) own_cid: Option<u32>,
    pub(super) client_cid: Box<[u8]>,
    pub(super) group_request: Option<Box<[u8]>>,
    /// What we say of ourselves to a client that has a key with us alone.
    pub(super) pairwise: Option<PairwiseId>,
    /// What the new session is called, so that it can be resumed,
    pub(super) session_name: Option<SessionName>,
    /// or whether the client is given a ticket for it.
    pub(super) gives_ticket: bool,
    /// message_seq of what we send next.
    pub(super) next_seq: u16,
    /// Of our flight.
    pub(super) transcript: Sha256,
    pub(super) flight: Flight<Vec<u8>>,
    /// From the first message that comes in fragments.
    pub(super) reassembler: Option<Box<Reassembler<REASSEMBLY_SLOTS, REASSEMBLY_OCTETS_MAX>>>,
    /// The same for a Certificate, which is longer than all others.
    #[cfg(feature = "x509")]
    pub(super) chain: Option<Box<Reassembler<1, CHAIN_OCTETS_MAX>>>,
    pub(super) cipher_changed: bool,
}

/// What must come from the client now.
pub(super) struct Expected {
    pub(super) identity: Box<[u8]>,
    /// What of the ClientKeyExchange is no identity.
    #[cfg(feature = "ecc")]
    pub(super) share: Option<PublicKey>,
    pub(super) write: WriteKeys,
    pub(super) read: ReadKeys,
    pub(super) master: Master,
    /// message_seq of its Finished,
    pub(super) finished_seq: u16,
    /// and what that says.
    pub(super) client_verify: [u8; VERIFY_DATA_OCTETS],
    /// Finished records that did not open.
    pub(super) unreadable: u8,
    pub(super) course: Course,
}

/// Which handshake it is.
pub(super) enum Course {
    /// The ClientKeyExchange came. Nothing was sealed under these keys yet, so another
    /// ClientKeyExchange may replace them. Our Finished follows the client's.
    Full {
        /// Through the client's Finished.
        transcript: Sha256,
        /// There when the session can be resumed.
        key_check: Option<KeyCheck>,
    },
    /// A session is resumed: our Finished is part of our flight.
    Abbreviated,
}

impl HalfOpen {
    /// When something is to be done about it.
    pub(super) fn due(&self) -> Instant {
        let doomed = self.doom.map_or(Instant::FAR_FUTURE, |(at, _)| at);
        self.timer.due().min(self.timer.gives_up()).min(doomed)
    }

    pub(super) fn identity(&self) -> Option<Box<[u8]>> {
        match &self.stage {
            Stage::Answered { expected: Some(expected), .. } => Some(expected.identity.clone()),
            Stage::Answered { expected: None, .. } | Stage::Hello { .. } => None,
        }
    }

    /// Finished records that did not open.
    const fn unreadable(&self) -> u8 {
        match &self.stage {
            Stage::Answered { expected: Some(expected), .. } => expected.unreadable,
            Stage::Answered { expected: None, .. } | Stage::Hello { .. } => 0,
        }
    }
}

impl Server {
    /// Earliest timer.
    pub(super) fn wake_at(&self) -> Instant {
        let (probes, checks) = (self.probes_due.first(), self.checks_due.first());
        let agendas = [self.half_open.wake_at(), probes, checks, self.held.first()];
        let first = agendas.into_iter().flatten().min();
        first.unwrap_or(Instant::FAR_FUTURE).min(self.stale.idle_at(self.config.idle_close))
    }

    /// Repeats flights, gives up.
    pub(super) fn tick(&mut self, now: Instant) {
        self.now = now;
        self.tick_heartbeats(now);
        self.tick_last_flights(now);
        self.tick_checks(now);
        self.close_idle(now);
        for peer in self.half_open.due(now) {
            let Some(half) = self.half_open.get(&peer) else { continue };
            if let Some((_, reason)) = half.doom.filter(|(at, _)| now >= *at) {
                self.give_up(&peer, reason);
            } else if now >= half.timer.gives_up() {
                self.give_up(&peer, CloseReason::TimedOut);
            } else if self.is_barred(&peer) {
                // It asks if it wants to hear the flight again.
                self.half_open.get_mut(&peer).into_iter().for_each(|half| half.timer.restarted());
            } else {
                self.send_flight(now, &peer);
            }
            self.half_open.settled(&peer);
        }
    }

    /// All that a datagram did to the handshake of who sent it is done.
    pub(super) fn settle_half_open(&mut self, peer: &Peer) {
        self.half_open.settled(peer);
        while self.half_open.count_of(peer.addr) > self.config.half_open_per_source_max
            && let Some(oldest) = self.half_open.oldest_of(peer.addr)
        {
            self.give_up(&oldest, CloseReason::Evicted);
        }
    }

    /// Sends our flight, for the first time or again.
    pub(super) fn send_flight(&mut self, now: Instant, peer: &Peer) {
        let Some(half) = self.half_open.get_mut(peer) else { return };
        half.timer.sent(now, &mut self.prng);
        let Stage::Answered { terms, expected } = &mut half.stage else { return };
        terms.flight.start();
        let keys = match expected {
            Some(Expected { write, course: Course::Abbreviated, .. }) => {
                Some((write, &terms.client_cid[..]))
            }
            Some(Expected { course: Course::Full { .. }, .. }) | None => None,
        };
        let plain_seq = &mut half.plain_seq;
        let writer = RecordWriter { ccm: self.config.ccm, plain_seq, keys };
        for octets in write_out(&mut terms.flight, writer, self.config.datagram_len_max) {
            self.transmit(peer, octets);
        }
    }

    /// The client repeats its flight: part of ours was lost (RFC 6347 section 4.2.4).
    pub(super) fn repeat_flight(&mut self, now: Instant, peer: &Peer) {
        let Some(half) = self.half_open.get(peer) else { return };
        if now - half.timer.last_sent() >= REPEAT_GAP {
            self.send_flight(now, peer);
        }
    }

    /// What came is hopeless, or forged: the peer is told, and the handshake goes on for a while, so that a
    /// forger cannot end it.
    pub(super) fn doom(&mut self, now: Instant, peer: &Peer, reason: CloseReason) {
        let Some(half) = self.half_open.get_mut(peer) else { return };
        half.doom.get_or_insert((now + DOOMED_FOR, reason));
        // If anything is still to come, then from the client's own timer.
        half.timer.restarted();
        if half.alerts == ALERTS_MAX {
            return;
        }
        half.alerts += 1;
        let seq = half.plain_seq;
        half.plain_seq += 1;
        if let Some(alert) = reason.alert() {
            self.send_plain_alert(peer, alert, seq);
        }
    }

    /// Ends a handshake without a word to the peer.
    pub(super) fn give_up(&mut self, peer: &Peer, reason: CloseReason) {
        let barred = self.is_barred(peer);
        let Some(half) = self.half_open.remove(peer) else { return };
        let identity = half.identity();
        // Who begins anew has not failed, to the owner, but what was hopeless counts.
        let counted = half.doom.map_or(reason, |(_, hopeless)| hopeless);
        self.count_failure(peer, identity.as_deref(), (half.unreadable(), counted));
        self.tell_failure(peer, identity, reason, barred);
    }

    pub(super) fn tell_failure(
        &mut self,
        peer: &Peer,
        identity: Option<Box<[u8]>>,
        reason: CloseReason,
        barred: bool,
    ) {
        if barred {
            return self.event(peer, RecordDrop::Barred);
        }
        let failed = ServerOutput::HandshakeFailed { peer: peer.clone(), identity, reason };
        self.outputs.push_back(failed);
    }

    /// An alert of epoch 0. Anyone could have sent it, so it is a hint to the client, no more.
    pub(super) fn send_plain_alert(&mut self, peer: &Peer, alert: [u8; 2], seq: u64) {
        if self.is_barred(peer) || !self.alerts.take(self.now, peer) {
            return;
        }
        let mut octets = vec![0; 32];
        let len = plain_alert(alert, seq, &mut octets);
        octets.truncate(len);
        self.transmit(peer, octets);
    }

    /// Makes room for one more handshake: the oldest of the address that has most of them goes, so
    /// that who floods from one place crowds out himself.
    pub(super) fn make_room(&mut self) {
        while self.half_open.len() >= self.config.half_open_max {
            let most = self.half_open.fullest();
            match most.and_then(|source| self.half_open.oldest_of(source)) {
                Some(peer) => self.give_up(&peer, CloseReason::Evicted),
                None => return,
            }
        }
    }

    /// Whether `cid` names nobody yet.
    pub(super) fn is_free(&self, cid: u32) -> bool {
        self.table.by_cid(cid).is_none() && !self.half_open.has_cid(cid)
    }

    /// Both Finished verified: the session that this peer had before makes way for the new one.
    pub(super) fn make_way(&mut self, peer: &Peer, identity: &[u8]) {
        let old = self.table.by_peer(peer).filter(|id| {
            // RFC 6347 section 4.2.8: the previous association MUST be abandoned. But a session with
            // a connection ID that came here from elsewhere and is somebody else is not "previous".
            self.table
                .get(*id)
                .is_some_and(|old| old.own_cid.is_none() || old.identity[..] == *identity)
        });
        if let Some(old) = old {
            self.end_session(old, CloseReason::Superseded);
        }
        while self.table.count_of(identity) >= self.config.sessions_per_peer_max
            && let Some(stalest) = self.table.stalest_of(identity)
        {
            self.end_session(stalest, CloseReason::Evicted);
        }
        while self.table.len() >= self.config.sessions_max
            && let Some(stalest) = self.stale.take(&self.table)
        {
            self.end_session(stalest, CloseReason::Evicted);
        }
    }
}

impl Terms {
    /// Fragments of ClientKeyExchange and Finished.
    pub(super) fn reassemble(
        &mut self,
        next: u16,
        epoch: u16,
        fragment: &Fragment<'_>,
    ) -> Result<(), RecordDrop> {
        #[cfg(feature = "x509")]
        if fragment.kind == MessageType::Certificate {
            let chain = self.chain.get_or_insert_default();
            return chain.insert(fragment.seq, epoch, fragment);
        }
        let reassembler = self.reassembler.get_or_insert_default();
        reassembler.insert(next, epoch, fragment)
    }

    /// The message `next`, if all of its fragments came.
    pub(super) fn reassembled(&mut self, next: u16) -> Option<Message<REASSEMBLY_OCTETS_MAX>> {
        self.reassembler.as_mut()?.take(next)
    }
}
