//! What a session can be resumed from: a bounded memory by session id (RFC 5246 section 7.3), or a
//! ticket that the client keeps for us (RFC 5077).
//!
//! **Invariants:** only a session with the extended master secret is resumed (RFC 7627 section 5.3),
//! only within its lifetime, and only when the directory still knows its identity by the key that it
//! proved. What is remembered changes by authentic handshakes alone. A ticket's nonce is a counter
//! under a key that no other run of a server has.

use super::{Server, Visit};
use crate::fragment_len::FragmentLen;
use crate::hello::{ClientHelloHead, ClientOffer, SESSION_ID_OCTETS_MAX};
use crate::schedule::Master;
use crate::{CipherSuite, CloseReason, IDENTITY_OCTETS_MAX, Psk};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
#[cfg(feature = "ecc")]
use lowgate_crypto::PublicKey;
use lowgate_crypto::{Ccm, Key128, Secret, hmac_sha256};
#[cfg(feature = "x509")]
use lowgate_units::Eui64;
use lowgate_units::{Duration, Entropy, Instant};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How the memory finds a session.
pub(super) type SessionName = [u8; SESSION_ID_OCTETS_MAX];
/// Tells a key from another one.
pub(super) type KeyCheck = [u8; KEY_CHECK_OCTETS];
const KEY_CHECK_OCTETS: usize = 8;

const NAME_OCTETS: usize = 4;
const COUNTER_OCTETS: usize = 8;
const HEAD_OCTETS: usize = NAME_OCTETS + COUNTER_OCTETS;
const TAG_OCTETS: usize = 16;
/// Master secret, time, key check, fragment length, suite; the identity is the rest.
const FIXED_OCTETS: usize = 48 + 8 + KEY_CHECK_OCTETS + 1 + 2;
const OCTETS_MIN: usize = HEAD_OCTETS + FIXED_OCTETS + TAG_OCTETS;
/// Our longest ticket.
pub(super) const OWN_TICKET_OCTETS_MAX: usize = OCTETS_MIN + IDENTITY_OCTETS_MAX;

const _: () = assert!(OWN_TICKET_OCTETS_MAX <= crate::hello::TICKET_OCTETS_MAX);

/// What a later handshake goes on from.
#[derive(Clone)]
pub(super) struct Resumable {
    pub(super) identity: Box<[u8]>,
    /// RFC 5246 section 7.3: kept through resumptions.
    pub(super) suite: CipherSuite,
    pub(super) master: Master,
    /// When the key was proved.
    pub(super) since: Instant,
    pub(super) key_check: KeyCheck,
    /// RFC 6066 section 4: kept through resumptions.
    pub(super) fragment_len: Option<FragmentLen>,
}

/// A key is not kept to see whether it changed.
pub(super) fn key_check(psk: &Psk, identity: &[u8]) -> KeyCheck {
    let label: &[u8] = b"lowgate resumption";
    *hmac_sha256(psk.expose(), &[label, identity]).first_chunk().expect("8 of 32 octets")
}

/// The same of a public key.
#[cfg(feature = "ecc")]
pub(super) fn public_key_check(key: &PublicKey, identity: &[u8]) -> KeyCheck {
    let label: &[u8] = b"lowgate resumption";
    *hmac_sha256(label, &[&key.point(), identity]).first_chunk().expect("8 of 32 octets")
}

/// The same of a device that certificates name. Which key it has may change.
#[cfg(feature = "x509")]
pub(super) fn device_check(eui64: Eui64, identity: &[u8]) -> KeyCheck {
    let label: &[u8] = b"lowgate resumption device";
    *hmac_sha256(label, &[&eui64.0, identity]).first_chunk().expect("8 of 32 octets")
}

impl Server {
    /// What the client asks to go on from, if it can have that.
    pub(super) fn resumable(
        &mut self,
        visit: &mut Visit<'_>,
        head: &ClientHelloHead<'_>,
        offer: &ClientOffer<'_>,
    ) -> Result<Option<Resumable>, CloseReason> {
        let lifetime = self.config.resumption_lifetime;
        let found = match offer.ticket {
            // RFC 5077 section 3.4: beside a ticket the session id finds nothing.
            Some(ticket) if !ticket.is_empty() => match &mut self.tickets {
                Some(keys) => {
                    keys.refresh(visit.now, lifetime, visit.entropy);
                    keys.open(self.config.ccm, ticket)
                }
                None => None,
            },
            Some(_) | None => self.memory.find(head.session_id).cloned(),
        };
        let good = found.filter(|resumable| {
            visit.now.since(resumable.since) < lifetime
                && resumable.fragment_len == offer.fragment_len
                // RFC 5246 section 7.4.1.2: the client MUST offer the session's suite.
                && head.suites().any(|suite| suite == resumable.suite)
                && is_still_good(visit, resumable)
        });
        // RFC 7627 section 5.3: a hello without the extension MUST NOT resume a session that has it,
        // and there are no others here.
        if good.is_some() && !offer.extended_master_secret {
            return Err(CloseReason::ExtendedMasterSecretMissing);
        }
        Ok(good)
    }

    /// The body of a NewSessionTicket (RFC 5077 section 3.3).
    pub(super) fn new_session_ticket(
        &mut self,
        visit: &mut Visit<'_>,
        resumable: &Resumable,
    ) -> Box<[u8]> {
        let lifetime = self.config.resumption_lifetime;
        let keys = self.tickets.get_or_insert_with(|| TicketKeys::new(visit.now, visit.entropy));
        keys.refresh(visit.now, lifetime, visit.entropy);
        let ticket = keys.seal(self.config.ccm, resumable);
        let hint = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
        [&hint.to_be_bytes()[..], &(ticket.len() as u16).to_be_bytes(), &ticket].concat().into()
    }
}

fn is_still_good(visit: &Visit<'_>, resumable: &Resumable) -> bool {
    let identity = &resumable.identity;
    let same = |check: KeyCheck| check.ct_eq(&resumable.key_check).into();
    let same_key = match resumable.suite {
        CipherSuite::Psk => {
            visit.directory.psk(identity).is_some_and(|psk| same(key_check(&psk, identity)))
        }
        #[cfg(feature = "ecc")]
        CipherSuite::EcdhePsk => {
            visit.directory.psk(identity).is_some_and(|psk| same(key_check(&psk, identity)))
        }
        #[cfg(feature = "ecc")]
        CipherSuite::EcdheEcdsa => {
            let key = visit.directory.public_key(identity);
            let same_key = key.is_some_and(|key| same(public_key_check(&key, identity)));
            #[cfg(feature = "x509")]
            let same_key = {
                let device = visit.directory.eui64(identity);
                same_key || device.is_some_and(|eui64| same(device_check(eui64, identity)))
            };
            same_key
        }
    };
    same_key && visit.directory.may_resume(identity)
}

/// The sessions that can be resumed by their names: one an identity, so that who makes many makes
/// others forgotten by none of them.
#[derive(Default)]
pub(super) struct Memory {
    entries: BTreeMap<Box<[u8]>, Entry>,
    names: BTreeMap<SessionName, Box<[u8]>>,
}

struct Entry {
    name: SessionName,
    resumable: Resumable,
    used: Instant,
}

impl Memory {
    fn find(&self, session_id: &[u8]) -> Option<&Resumable> {
        let name: &SessionName = session_id.try_into().ok()?;
        let entry = self.entries.get(self.names.get(name)?)?;
        Some(&entry.resumable)
    }

    /// Remembers a session in place of what its identity had; of `max` others that are too many the
    /// one goes that was used least recently.
    pub(super) fn insert(&mut self, name: SessionName, resumable: Resumable, max: usize) {
        let (identity, used) = (resumable.identity.clone(), resumable.since);
        self.forget(&identity);
        while self.entries.len() >= max {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(identity, _)| identity.clone()) else { return };
            self.forget(&oldest);
        }
        self.names.insert(name, identity.clone());
        self.entries.insert(identity, Entry { name, resumable, used });
    }

    /// The session was resumed.
    pub(super) fn touch(&mut self, identity: &[u8], now: Instant) {
        if let Some(entry) = self.entries.get_mut(identity) {
            entry.used = now;
        }
    }

    pub(super) fn forget(&mut self, identity: &[u8]) {
        if let Some(entry) = self.entries.remove(identity) {
            self.names.remove(&entry.name);
        }
    }
}

/// The keys of tickets: a new one each lifetime, so that a ticket's key is gone two lifetimes after.
pub(super) struct TicketKeys {
    /// Of the current key; the one before has the number before.
    name: u32,
    current: Key128,
    previous: Option<Key128>,
    since: Instant,
    /// Tickets sealed under the current key.
    sealed: u64,
}

impl TicketKeys {
    fn new(now: Instant, entropy: &mut dyn Entropy) -> Self {
        let mut name = [0; NAME_OCTETS];
        entropy.fill(&mut name);
        let current = draw_key(entropy);
        Self { name: u32::from_be_bytes(name), current, previous: None, since: now, sealed: 0 }
    }

    fn refresh(&mut self, now: Instant, lifetime: Duration, entropy: &mut dyn Entropy) {
        let age = now.since(self.since);
        if age < lifetime {
            return;
        }
        let last = core::mem::replace(&mut self.current, draw_key(entropy));
        self.previous = Some(last).filter(|_| age < lifetime * 2);
        self.name = self.name.wrapping_add(1);
        self.since = now;
        self.sealed = 0;
    }

    fn seal(&mut self, ccm: &dyn Ccm, resumable: &Resumable) -> Vec<u8> {
        let mut octets = vec![0; OCTETS_MIN + resumable.identity.len()];
        let (head, rest) = octets.split_at_mut(HEAD_OCTETS);
        head[..NAME_OCTETS].copy_from_slice(&self.name.to_be_bytes());
        head[NAME_OCTETS..].copy_from_slice(&self.sealed.to_be_bytes());
        self.sealed += 1;
        let (inner, tag) = rest.split_at_mut(rest.len() - TAG_OCTETS);
        inner[..48].copy_from_slice(resumable.master.0.expose());
        inner[48..56].copy_from_slice(&resumable.since.as_micros().to_be_bytes());
        inner[56..64].copy_from_slice(&resumable.key_check);
        inner[64] = resumable.fragment_len.map_or(0, FragmentLen::octet);
        inner[65..67].copy_from_slice(&resumable.suite.octets());
        inner[67..].copy_from_slice(&resumable.identity);
        ccm.seal(&self.current, &nonce(head), head, inner, tag);
        octets
    }

    fn open(&self, ccm: &dyn Ccm, ticket: &[u8]) -> Option<Resumable> {
        if !(OCTETS_MIN..=OWN_TICKET_OCTETS_MAX).contains(&ticket.len()) {
            return None;
        }
        let (head, sealed) = ticket.split_at(HEAD_OCTETS);
        let name = u32::from_be_bytes(*head.first_chunk()?);
        let key = match self.name.wrapping_sub(name) {
            0 => &self.current,
            1 => self.previous.as_ref()?,
            _ => return None,
        };
        let mut inner = Zeroizing::new([0; OWN_TICKET_OCTETS_MAX]);
        let (octets, tag) = sealed.split_at(sealed.len() - TAG_OCTETS);
        let inner = &mut inner[..octets.len()];
        inner.copy_from_slice(octets);
        ccm.open(key, &nonce(head), head, inner, tag).ok()?;
        let (fixed, identity) = inner.split_at(FIXED_OCTETS);
        Some(Resumable {
            identity: identity.into(),
            master: Master(Secret::from_slice(&fixed[..48])?),
            since: Instant::from_micros(u64::from_be_bytes(*fixed[48..].first_chunk()?)),
            key_check: *fixed[56..].first_chunk()?,
            fragment_len: FragmentLen::parse(&fixed[64..65]).ok(),
            suite: CipherSuite::parse([fixed[65], fixed[66]])?,
        })
    }
}

/// The head is unlike that of every other ticket under the key.
fn nonce(head: &[u8]) -> [u8; 13] {
    let mut nonce = [0; 13];
    nonce[..HEAD_OCTETS].copy_from_slice(head);
    nonce
}

fn draw_key(entropy: &mut dyn Entropy) -> Key128 {
    let mut octets = Zeroizing::new([0; 16]);
    entropy.fill(&mut *octets);
    Key128::new(*octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_crypto::SoftCcm;
    use lowgate_units::SeededEntropy;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn resumable(identity: &[u8], since: Instant) -> Resumable {
        let master = Master(Secret::new([7; 48]));
        let fragment_len = Some(FragmentLen::Octets512);
        Resumable {
            identity: identity.into(),
            suite: CipherSuite::Psk,
            master,
            since,
            key_check: [9; 8],
            fragment_len,
        }
    }

    fn keys(entropy: &mut SeededEntropy) -> TicketKeys {
        TicketKeys::new(Instant::ZERO, entropy)
    }

    #[test]
    fn one_session_an_identity_and_the_least_recently_used_goes() {
        let mut memory = Memory::default();
        let at = Instant::from_secs;
        for (name, identity, since) in [(1, b"a", 1), (2, b"b", 2), (3, b"b", 3)] {
            memory.insert([name; 32], resumable(identity, at(since)), 2);
        }
        assert!(memory.find(&[2; 32]).is_none(), "b has another one since");
        assert!(memory.find(&[1; 32]).is_some() && memory.find(&[3; 32]).is_some());
        memory.touch(b"a", at(4));
        memory.insert([4; 32], resumable(b"c", at(5)), 2);
        assert!(memory.find(&[3; 32]).is_none(), "b was used before a");
        assert!(memory.find(&[1; 32]).is_some() && memory.find(&[4; 32]).is_some());
        assert!(memory.find(&[]).is_none() && memory.find(&[1; 31]).is_none());
        memory.forget(b"a");
        assert_eq!((memory.entries.len(), memory.names.len()), (1, 1));
    }

    #[test]
    fn a_ticket_outlives_one_change_of_key_and_not_two() {
        let mut entropy = SeededEntropy::new(1);
        let mut keys = keys(&mut entropy);
        let ticket = keys.seal(&SoftCcm, &resumable(b"d", Instant::ZERO));
        let opens = |keys: &TicketKeys| keys.open(&SoftCcm, &ticket).is_some();
        keys.refresh(Instant::from_secs(3599), HOUR, &mut entropy);
        assert!(opens(&keys) && keys.previous.is_none());
        keys.refresh(Instant::from_secs(3600), HOUR, &mut entropy);
        assert!(opens(&keys) && keys.previous.is_some());
        keys.refresh(Instant::from_secs(7200), HOUR, &mut entropy);
        assert!(!opens(&keys));
        // After a long silence no old key is left at all.
        let ticket = keys.seal(&SoftCcm, &resumable(b"d", Instant::ZERO));
        keys.refresh(Instant::from_secs(7200 + 7200), HOUR, &mut entropy);
        assert!(keys.open(&SoftCcm, &ticket).is_none() && keys.previous.is_none());
    }

    #[test]
    fn no_two_tickets_share_a_nonce() {
        let mut entropy = SeededEntropy::new(1);
        let mut keys = keys(&mut entropy);
        let [one, two] = [(); 2].map(|()| keys.seal(&SoftCcm, &resumable(b"d", Instant::ZERO)));
        assert_ne!(one[..HEAD_OCTETS], two[..HEAD_OCTETS]);
        let other = TicketKeys::new(Instant::ZERO, &mut entropy);
        assert!(other.open(&SoftCcm, &one).is_none(), "another run of the server");
    }

    proptest! {
        #[test]
        fn open_of_seal_is_identity(
            identity in prop::collection::vec(any::<u8>(), 0..=IDENTITY_OCTETS_MAX),
            micros in any::<u64>(),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut entropy = SeededEntropy::new(1);
            let mut keys = keys(&mut entropy);
            let since = Instant::from_micros(micros);
            let mut ticket = keys.seal(&SoftCcm, &resumable(&identity, since));
            let opened = keys.open(&SoftCcm, &ticket).expect("own ticket");
            prop_assert_eq!((&opened.identity[..], opened.since), (&identity[..], since));
            prop_assert!(opened.master.0 == Secret::new([7; 48]));
            prop_assert_eq!(opened.key_check, [9; 8]);
            prop_assert_eq!(opened.fragment_len, Some(FragmentLen::Octets512));
            let at = at.index(ticket.len());
            ticket[at] ^= 1 << bit;
            prop_assert!(keys.open(&SoftCcm, &ticket).is_none());
            prop_assert!(keys.open(&SoftCcm, &ticket[..at]).is_none());
        }

        #[test]
        fn any_ticket(ticket in prop::collection::vec(any::<u8>(), 0..300)) {
            let keys = keys(&mut SeededEntropy::new(1));
            prop_assert!(keys.open(&SoftCcm, &ticket).is_none());
        }
    }
}
