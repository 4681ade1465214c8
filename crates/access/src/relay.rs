//! The relay element: passes a stranger's datagrams to the domain manager, and its answers back.
//!
//! Stateless: all it must know to answer travels in a header that it alone can make. The header is
//! the same octets for every datagram of one joiner, because the manager tells sessions apart by it.
//!
//! ```text
//! gen8 | ifindex8 | port16 | IID64 | HMAC64
//! ```
//!
//! It remembers whom it heard lately, for the rate alone, since names cost nothing on the air. Of the join rate
//!
//! - each joiner whom the domain manager answered has up to half, and nobody else's part;
//! - all that were heard before and not answered have half together;
//! - all that were never heard have an eighth together, besides.
//!
//! So whoever makes up names gets an eighth of the rate into the mesh; if each of them speaks again, five
//! eighths, and a joiner needs more repetitions; but one that was answered keeps its place while fewer than
//! [`ANSWERED_MAX`] others are answered between two of its flights. That is no proof of anything: what an
//! attacker hears on the air it can answer too, and then the rate as a whole is the bound.
//!
//! **Invariant:** only a datagram that obeys the drop rule of figure 2 of the design (link-local,
//! hop limit 255, to the join port, within size and rate) goes on, only to the domain manager; only
//! an answer whose header is authentic comes back, only to the joiner named there.

use crate::jpy::{self, Envelope, EnvelopeDrop};
use crate::rate::OctetBucket;
use crate::{JOIN_DATAGRAM_OCTETS_MAX, JOIN_PORT};
use lowgate_crypto::{Key128, hkdf_sha256, hmac_sha256, tags_match};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Eui64, Iid, Instant, Ipv6Addr};

/// Octets of this relay's header.
pub const HEADER_OCTETS: usize = 20;
/// The largest envelope a relay makes.
pub const ENVELOPE_OCTETS_MAX: usize =
    JOIN_DATAGRAM_OCTETS_MAX + HEADER_OCTETS + jpy::ENVELOPE_OCTETS_MAX;
/// What may pass at once before the rate holds.
pub const BURST_OCTETS: u32 = 1536;

/// Names remembered that the domain manager has not answered.
pub const HEARD_MAX: usize = 32;
/// Joiners whose rates are told apart: those whom the domain manager answered last.
pub const ANSWERED_MAX: usize = 32;
/// Of the rate, what all that were never heard before may use.
const NEWCOMERS_SHARE: u32 = 8;
/// Of the rate, what all may use that were heard before and not answered.
const RETURNING_SHARE: u32 = 2;
/// Of the rate, what one may use that was answered.
const ANSWERED_SHARE: u32 = 2;

const MAC_AT: usize = HEADER_OCTETS - 8;
/// A device has one radio interface.
const INTERFACE: u8 = 0;

/// What a header says. Only the relay that made it can tell whether it is authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderFields {
    /// Of the relay's key.
    pub generation: u8,
    /// Where the joiner was heard.
    pub interface: u8,
    /// The joiner's port.
    pub port: u16,
    /// The joiner's link-local address.
    pub joiner: Iid,
}

impl HeaderFields {
    /// Of a header that has the length of ours; for those who read captures.
    pub fn of(header: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_OCTETS] = header.try_into().ok()?;
        let [generation, interface, high, low, iid @ .., _, _, _, _, _, _, _, _] = *header;
        let port = u16::from_be_bytes([high, low]);
        Some(Self { generation, interface, port, joiner: Iid(iid) })
    }
}

/// One node's relay.
#[derive(Debug)]
pub struct Relay {
    key: Key128,
    generation: u8,
    octets_per_s: u32,
    newcomers: OctetBucket,
    returning: OctetBucket,
    /// All but the newcomers.
    upward: OctetBucket,
    downward: OctetBucket,
    /// Not answered; the one that was silent for longest first.
    heard: heapless::Vec<Iid, HEARD_MAX>,
    /// The one that was silent for longest first.
    answered: heapless::Vec<(Iid, OctetBucket), ANSWERED_MAX>,
}

/// A datagram that came without link-layer security.
#[derive(Clone, Copy, Debug)]
pub struct FromJoiner<'a> {
    /// IPv6 source.
    pub src: Ipv6Addr,
    /// IPv6 destination.
    pub dst: Ipv6Addr,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
    /// IPv6 hop limit.
    pub hop_limit: u8,
    /// One DTLS datagram.
    pub payload: &'a [u8],
}

/// An answer to pass on, without link-layer security, from [`JOIN_PORT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToJoiner<'a> {
    /// The joiner's link-local address.
    pub dst: Ipv6Addr,
    /// The joiner's port.
    pub dst_port: u16,
    /// One DTLS datagram.
    pub payload: &'a [u8],
}

/// Why the relay dropped something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelayDrop {
    /// The source is not link-local, or not made from a link-layer address.
    NotLinkLocal,
    /// Not to this node's own link-local address.
    NotForUs,
    /// Not to the join port.
    NotJoinPort,
    /// The hop limit is not 255: somebody forwarded it (RFC 5082).
    HopLimit,
    /// Empty, or larger than [`JOIN_DATAGRAM_OCTETS_MAX`].
    Size,
    /// No DTLS record.
    NotDtls,
    /// Over the join rate, or joining is closed.
    Rate,
    /// Not an envelope.
    Envelope(EnvelopeDrop),
    /// The header is not one that this relay made.
    ForeignHeader,
}

impl Relay {
    /// A relay with a key of its own, drawn at boot; `octets_per_s` is the join rate.
    pub fn new(now: Instant, secret: &[u8; 16], eui64: Eui64, octets_per_s: u32) -> Self {
        let mut key = [0; 16];
        hkdf_sha256(b"", secret, &[b"lowgate relay header v1", &eui64.0], &mut key);
        let bucket = |share| OctetBucket::new(now, octets_per_s / share, BURST_OCTETS);
        Self {
            key: Key128::new(key),
            generation: 1,
            octets_per_s,
            newcomers: bucket(NEWCOMERS_SHARE),
            returning: bucket(RETURNING_SHARE),
            upward: bucket(1),
            downward: bucket(1),
            heard: heapless::Vec::new(),
            answered: heapless::Vec::new(),
        }
    }

    /// The join rate of the latest configuration; zero closes this relay.
    pub fn set_rate(&mut self, now: Instant, octets_per_s: u32) {
        self.octets_per_s = octets_per_s;
        self.newcomers.set_rate(now, octets_per_s / NEWCOMERS_SHARE);
        self.returning.set_rate(now, octets_per_s / RETURNING_SHARE);
        for (_, own) in &mut self.answered {
            own.set_rate(now, octets_per_s / ANSWERED_SHARE);
        }
        self.upward.set_rate(now, octets_per_s);
        self.downward.set_rate(now, octets_per_s);
    }

    /// How busy this relay is, for its beacon: 0 to 255. It is so, too, if only a newcomer would notice.
    pub fn load(&mut self, now: Instant) -> u8 {
        u8::MAX - self.upward.fullness(now).min(self.newcomers.fullness(now))
    }

    /// Wraps a joiner's datagram for the domain manager; the envelope's length in `out`.
    ///
    /// # Errors
    /// The rule of figure 2 that it broke.
    pub fn wrap(
        &mut self,
        now: Instant,
        own_link_local: Ipv6Addr,
        datagram: FromJoiner<'_>,
        out: &mut [u8; ENVELOPE_OCTETS_MAX],
    ) -> Result<usize, RelayDrop> {
        let joiner = Iid::of(datagram.src);
        if joiner.link_local() != datagram.src || joiner.link_addr().is_none() {
            return Err(RelayDrop::NotLinkLocal);
        }
        if datagram.dst != own_link_local {
            return Err(RelayDrop::NotForUs);
        }
        if datagram.dst_port != JOIN_PORT {
            return Err(RelayDrop::NotJoinPort);
        }
        if datagram.hop_limit != 255 {
            return Err(RelayDrop::HopLimit);
        }
        let content = datagram.payload;
        if content.is_empty() || content.len() > JOIN_DATAGRAM_OCTETS_MAX {
            return Err(RelayDrop::Size);
        }
        if !is_dtls(content) {
            return Err(RelayDrop::NotDtls);
        }
        if !self.within_rate(now, joiner, content.len()) {
            return Err(RelayDrop::Rate);
        }
        let header = self.header(joiner, datagram.src_port);
        let envelope = Envelope { header: &header, content };
        Ok(envelope.emit(out).expect("ENVELOPE_OCTETS_MAX covers the largest content"))
    }

    fn within_rate(&mut self, now: Instant, joiner: Iid, octets: usize) -> bool {
        if let Some(at) = self.answered.iter().position(|(answered, _)| *answered == joiner) {
            let (_, mut own) = self.answered.remove(at);
            let passes = own.take(now, octets) && self.upward.take(now, octets);
            push_latest(&mut self.answered, (joiner, own));
            return passes;
        }
        let known = self.heard.iter().position(|heard| *heard == joiner);
        known.map(|at| self.heard.remove(at));
        push_latest(&mut self.heard, joiner);
        match known {
            Some(_) => self.returning.take(now, octets) && self.upward.take(now, octets),
            None => self.newcomers.take(now, octets),
        }
    }

    /// The domain manager answered this one, so it is not lost among those that it never will.
    fn answered(&mut self, now: Instant, joiner: Iid) {
        if self.answered.iter().all(|(answered, _)| *answered != joiner) {
            self.heard.retain(|heard| *heard != joiner);
            let own = OctetBucket::new(now, self.octets_per_s / ANSWERED_SHARE, BURST_OCTETS);
            push_latest(&mut self.answered, (joiner, own));
        }
    }

    /// Opens an envelope from the domain manager. The caller has checked that it came secured and
    /// from the manager's address.
    ///
    /// # Errors
    /// Why nothing is passed on.
    pub fn unwrap<'a>(
        &mut self,
        now: Instant,
        octets: &'a [u8],
    ) -> Result<ToJoiner<'a>, RelayDrop> {
        let envelope = jpy::parse(octets).map_err(RelayDrop::Envelope)?;
        let fields = HeaderFields::of(envelope.header).ok_or(RelayDrop::ForeignHeader)?;
        let HeaderFields { generation, interface, port: dst_port, joiner } = fields;
        let own = self.header(joiner, dst_port);
        let authentic = tags_match(&own[MAC_AT..], &envelope.header[MAC_AT..]);
        let authentic = authentic || planted(Fault::EnvelopeUnchecked);
        if generation != self.generation || interface != INTERFACE || !authentic {
            return Err(RelayDrop::ForeignHeader);
        }
        self.answered(now, joiner);
        if envelope.content.len() > JOIN_DATAGRAM_OCTETS_MAX {
            return Err(RelayDrop::Size);
        }
        if !self.downward.take(now, envelope.content.len()) {
            return Err(RelayDrop::Rate);
        }
        Ok(ToJoiner { dst: joiner.link_local(), dst_port, payload: envelope.content })
    }

    fn header(&self, joiner: Iid, port: u16) -> [u8; HEADER_OCTETS] {
        let mut header = [0; HEADER_OCTETS];
        header[0] = self.generation;
        header[1] = INTERFACE;
        header[2..4].copy_from_slice(&port.to_be_bytes());
        header[4..MAC_AT].copy_from_slice(&joiner.0);
        let tag = hmac_sha256(self.key.expose(), &[&header[..MAC_AT]]);
        header[MAC_AT..].copy_from_slice(&tag[..8]);
        header
    }
}

/// The one that was silent for longest leaves a full table.
fn push_latest<T, const N: usize>(table: &mut heapless::Vec<T, N>, latest: T) {
    if table.is_full() {
        table.remove(0);
    }
    // Infallible: there is room now.
    let _ = table.push(latest);
}

/// RFC 7983 section 7, and the versions of RFC 6347 section 4.1.
fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram, [20..=63, 0xfe, 0xfd | 0xff, ..])
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::beacon::CROWD_LOAD_MIN;
    use lowgate_testkit::to_hex;
    use proptest::prelude::*;
    use std::vec::Vec;

    const OWN: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 0xaa]);
    const STRANGER: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 1]);

    const HELLO: &[u8] = &[22, 0xfe, 0xfd];

    /// Datagrams of 256 octets that one bucket lets pass at once: the last one leaves less than the largest.
    const BURST_PASSES: usize = 1 + (BURST_OCTETS as usize - JOIN_DATAGRAM_OCTETS_MAX) / 256;

    fn relay() -> Relay {
        Relay::new(Instant::ZERO, &[7; 16], OWN, 1000)
    }

    fn datagram(payload: &[u8]) -> FromJoiner<'_> {
        FromJoiner {
            src: Iid::from(STRANGER).link_local(),
            dst: Iid::from(OWN).link_local(),
            src_port: 61628,
            dst_port: JOIN_PORT,
            hop_limit: 255,
            payload,
        }
    }

    fn wrap(relay: &mut Relay, datagram: FromJoiner<'_>) -> Result<Vec<u8>, RelayDrop> {
        let mut out = [0; ENVELOPE_OCTETS_MAX];
        let own = Iid::from(OWN).link_local();
        relay.wrap(Instant::ZERO, own, datagram, &mut out).map(|len| out[..len].to_vec())
    }

    #[test]
    fn what_goes_up_comes_back_to_the_same_joiner() {
        let mut relay = relay();
        let envelope = wrap(&mut relay, datagram(HELLO)).expect("within the rule");
        assert_eq!(to_hex(&envelope[..2]), "8254");
        assert_eq!(to_hex(&envelope[2..6]), "0100f0bc", "generation, interface, port");
        let back = relay.unwrap(Instant::ZERO, &envelope).expect("own header");
        assert_eq!((back.dst, back.dst_port), (Iid::from(STRANGER).link_local(), 61628));
        assert_eq!(back.payload, HELLO);
        let again = wrap(&mut relay, datagram(HELLO)).expect("within the rule");
        assert_eq!(again, envelope, "the header is the same for every datagram");
    }

    #[test]
    fn figure_2_row_by_row() {
        let global = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
        let large = [0; JOIN_DATAGRAM_OCTETS_MAX + 1];
        let good = datagram(HELLO);
        let rows = [
            (FromJoiner { src: global, ..good }, RelayDrop::NotLinkLocal),
            (FromJoiner { dst: global, ..good }, RelayDrop::NotForUs),
            (FromJoiner { dst_port: 5683, ..good }, RelayDrop::NotJoinPort),
            (FromJoiner { hop_limit: 254, ..good }, RelayDrop::HopLimit),
            (FromJoiner { payload: &[], ..good }, RelayDrop::Size),
            (FromJoiner { payload: &large, ..good }, RelayDrop::Size),
            (FromJoiner { payload: &[22, 3, 3], ..good }, RelayDrop::NotDtls),
            (FromJoiner { payload: &[1], ..good }, RelayDrop::NotDtls),
        ];
        for (datagram, drop) in rows {
            assert_eq!(wrap(&mut relay(), datagram), Err(drop));
        }
        let mut closed = Relay::new(Instant::ZERO, &[7; 16], OWN, 0);
        assert_eq!(wrap(&mut closed, good), Err(RelayDrop::Rate));
    }

    fn padded(octets: usize) -> Vec<u8> {
        let mut payload = HELLO.to_vec();
        payload.resize(octets, 0);
        payload
    }

    #[test]
    fn a_flood_is_cut_to_the_rate() {
        let (mut relay, payload) = (relay(), padded(256));
        let passed = (0..100).filter(|_| wrap(&mut relay, datagram(&payload)).is_ok()).count();
        // The first as a newcomer's.
        assert_eq!(passed, 1 + BURST_PASSES);
    }

    /// From the one of this number in a crowd.
    fn of_crowd(n: u16, payload: &[u8]) -> FromJoiner<'_> {
        let [high, low] = n.to_be_bytes();
        let src = Iid::from(Eui64([2, 0, 0, 0, 0, 1, high, low])).link_local();
        FromJoiner { src, ..datagram(payload) }
    }

    #[test]
    fn a_crowd_that_speaks_once_leaves_room_for_who_speaks_again() {
        let (mut relay, payload) = (relay(), padded(256));
        assert_eq!(relay.load(Instant::ZERO), 0);
        let passed = (0..1000).filter(|n| wrap(&mut relay, of_crowd(*n, &payload)).is_ok()).count();
        assert_eq!(passed, BURST_PASSES);
        assert!(relay.load(Instant::ZERO) >= CROWD_LOAD_MIN, "a joiner is told");
        assert_eq!(wrap(&mut relay, datagram(&payload)), Err(RelayDrop::Rate), "a newcomer");
        assert!(wrap(&mut relay, datagram(&payload)).is_ok(), "no longer one");
        assert_eq!(relay.heard.len(), HEARD_MAX);
    }

    #[test]
    fn a_crowd_that_speaks_again_leaves_room_for_who_was_answered() {
        let (mut relay, payload) = (relay(), padded(256));
        let envelope = wrap(&mut relay, datagram(HELLO)).expect("within the rule");
        relay.unwrap(Instant::ZERO, &envelope).expect("own header");
        let twice = (0..2000).map(|n| n / 2);
        let passed = twice.filter(|n| wrap(&mut relay, of_crowd(*n, &payload)).is_ok()).count();
        assert_eq!(passed, 2 * BURST_PASSES, "of newcomers, and of those that return");
        let second = Instant::from_secs(1);
        let own = Iid::from(OWN).link_local();
        let mut wrap = |joiner| relay.wrap(second, own, joiner, &mut [0; ENVELOPE_OCTETS_MAX]);
        assert!(wrap(of_crowd(1, &payload)).is_err(), "forgotten, and a newcomer");
        assert!((2000..3000).filter(|n| wrap(of_crowd(n / 2, &payload)).is_ok()).count() < 4);
        assert!(wrap(datagram(&payload)).is_ok(), "answered, and not forgotten");
    }

    #[test]
    fn answers_are_remembered_of_the_latest() {
        let mut relay = relay();
        for n in 0..100 {
            let header = relay.header(Iid::of(of_crowd(n, HELLO).src), 61628);
            let envelope = Envelope { header: &header, content: HELLO };
            let mut octets = [0; ENVELOPE_OCTETS_MAX];
            let len = envelope.emit(&mut octets).expect("room for it");
            relay.unwrap(Instant::ZERO, &octets[..len]).expect("own header");
        }
        let answered = relay.answered.iter().map(|(joiner, _)| *joiner);
        assert!(answered.eq((68..100).map(|n| Iid::of(of_crowd(n, HELLO).src))));
    }

    #[test]
    fn another_relays_header_opens_nothing() {
        let mut other = Relay::new(Instant::ZERO, &[8; 16], OWN, 1000);
        let envelope = wrap(&mut other, datagram(HELLO)).expect("within the rule");
        assert_eq!(relay().unwrap(Instant::ZERO, &envelope), Err(RelayDrop::ForeignHeader));
    }

    proptest! {
        #[test]
        fn one_flipped_bit_of_the_header_opens_nothing(bit in 0..HEADER_OCTETS * 8) {
            let mut relay = relay();
            let mut envelope = wrap(&mut relay, datagram(HELLO)).expect("within the rule");
            envelope[2 + bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(
                relay.unwrap(Instant::ZERO, &envelope),
                Err(RelayDrop::ForeignHeader)
            );
        }

        #[test]
        fn any_octets_never_panic(octets: Vec<u8>) {
            let _ = relay().unwrap(Instant::ZERO, &octets);
        }
    }
}
