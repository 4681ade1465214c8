//! Heartbeats, RFC 6520: is anybody there?
//!
//! **Invariant:** of a message only so many octets are given back as came with it.

use crate::noise::RecordDrop;
use crate::{CloseReason, Retransmission, RetransmissionTimer};
use lowgate_units::{Instant, Prng};
use subtle::ConstantTimeEq;

/// Type and length.
pub(crate) const HEADER_OCTETS: usize = 3;
/// RFC 6520 section 4: at least 16 octets of padding.
pub(crate) const PADDING_OCTETS: usize = 16;
/// What our requests carry: nobody guesses it who did not get it.
pub(crate) const PAYLOAD_OCTETS: usize = 16;

/// All of a request of ours.
pub(crate) const OWN_OCTETS: usize = HEADER_OCTETS + PAYLOAD_OCTETS + PADDING_OCTETS;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;

/// What the peer says of itself in its hello (RFC 6520 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatMode {
    PeerAllowedToSend = 1,
    PeerNotAllowedToSend = 2,
}

impl HeartbeatMode {
    pub(crate) fn parse(data: &[u8]) -> Result<Self, CloseReason> {
        match data {
            [1] => Ok(Self::PeerAllowedToSend),
            [2] => Ok(Self::PeerNotAllowedToSend),
            // RFC 6520 section 2: an unknown mode MUST be answered by illegal_parameter.
            [_] => Err(CloseReason::IllegalHello),
            _ => Err(CloseReason::MalformedHello),
        }
    }
}

/// A message without its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatMessage<'a> {
    Request(&'a [u8]),
    Response(&'a [u8]),
}

impl<'a> HeartbeatMessage<'a> {
    pub(crate) fn parse(octets: &'a [u8]) -> Result<Self, RecordDrop> {
        let (header, rest) =
            octets.split_first_chunk::<HEADER_OCTETS>().ok_or(RecordDrop::BadMessage)?;
        let len = usize::from(u16::from_be_bytes([header[1], header[2]]));
        // RFC 6520 section 4: too large a payload_length MUST be discarded silently. OpenSSL once answered it
        // with what lay behind (CVE-2014-0160).
        let padded = len + PADDING_OCTETS <= rest.len();
        let payload = rest.get(..len).filter(|_| padded).ok_or(RecordDrop::BadMessage)?;
        match header[0] {
            REQUEST => Ok(Self::Request(payload)),
            RESPONSE => Ok(Self::Response(payload)),
            _ => Err(RecordDrop::BadMessage),
        }
    }

    /// What goes before the payload.
    pub(crate) fn header(&self) -> [u8; HEADER_OCTETS] {
        let (kind, payload) = match self {
            Self::Request(payload) => (REQUEST, payload),
            Self::Response(payload) => (RESPONSE, payload),
        };
        let [high, low] = (payload.len() as u16).to_be_bytes();
        [kind, high, low]
    }
}

/// 16 octets that are as random as jitter needs them; they are sealed.
pub(crate) fn draw(prng: &mut Prng) -> [u8; PADDING_OCTETS] {
    (u128::from(prng.next_u64()) << 64 | u128::from(prng.next_u64())).to_be_bytes()
}

/// A request that waits for its response. RFC 6520 section 3: there is no more than one.
pub(crate) struct Asked {
    pub(crate) payload: [u8; PAYLOAD_OCTETS],
    pub(crate) timer: RetransmissionTimer,
}

impl Asked {
    pub(crate) const fn new(
        payload: [u8; PAYLOAD_OCTETS],
        policy: Retransmission,
        now: Instant,
    ) -> Self {
        Self { payload, timer: RetransmissionTimer::new(policy, now) }
    }

    /// Whether the request is to be sent, for the first time or again.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.timer.transmissions() == 0 || now >= self.timer.due()
    }

    /// When something is to be done about it.
    pub(crate) fn wake_at(&self) -> Instant {
        self.timer.due().min(self.timer.gives_up())
    }

    pub(crate) fn is_answered_by(&self, payload: &[u8]) -> bool {
        self.payload.ct_eq(payload).into()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    const PADDING: &str = "00112233445566778899aabbccddeeff";

    fn check(text: &str, expected: Result<HeartbeatMessage<'_>, RecordDrop>) {
        let octets = hex(&std::format!("{text}{PADDING}"));
        assert_eq!(HeartbeatMessage::parse(&octets), expected, "{text}");
        if let Ok(message) = expected {
            assert_eq!(octets[..3], message.header());
        }
        for end in 0..octets.len() {
            assert!(
                HeartbeatMessage::parse(&octets[..end]).is_err(),
                "16 octets of padding at least"
            );
        }
    }

    #[test]
    fn messages() {
        check("01 0002 beef", Ok(HeartbeatMessage::Request(&[0xbe, 0xef])));
        check("02 0002 beef", Ok(HeartbeatMessage::Response(&[0xbe, 0xef])));
        check("01 0000", Ok(HeartbeatMessage::Request(&[])));
    }

    #[test]
    fn faults() {
        let bad = Err(RecordDrop::BadMessage);
        check("00 0002 beef", bad);
        check("03 0002 beef", bad);
        check("ff 0002 beef", bad);
        // CVE-2014-0160.
        check("01 0003 beef", bad);
        check("01 4000 beef", bad);
        check("01 ffff beef", bad);
    }

    #[test]
    fn modes() {
        assert_eq!(HeartbeatMode::parse(&[1]), Ok(HeartbeatMode::PeerAllowedToSend));
        assert_eq!(HeartbeatMode::parse(&[2]), Ok(HeartbeatMode::PeerNotAllowedToSend));
        for octet in [0, 3, 255] {
            assert_eq!(HeartbeatMode::parse(&[octet]), Err(CloseReason::IllegalHello));
        }
        for data in [&[][..], &[1, 1]] {
            assert_eq!(HeartbeatMode::parse(data), Err(CloseReason::MalformedHello));
        }
    }

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(message) = HeartbeatMessage::parse(&octets) {
                let (HeartbeatMessage::Request(payload) | HeartbeatMessage::Response(payload)) = message;
                prop_assert!(payload.len() + 19 <= octets.len());
                prop_assert_eq!([&message.header(), payload].concat(), &octets[..3 + payload.len()]);
            }
        }
    }
}
