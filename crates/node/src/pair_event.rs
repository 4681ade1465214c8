//! What happens between two devices that have a key of their own, for owners and for the simulator's checkers.

use alloc::vec::Vec;
use lowgate_amikey::pairs::ShareFault;
use lowgate_amikey::pairwise::SetName;
use lowgate_coap::Code;
use lowgate_dtls::CloseReason;
use lowgate_units::{Eui64, Ipv6Addr};

/// Where a device answers those that have a key with it alone, in DTLS.
pub const PAIR_PORT: u16 = 61627;
/// The port of its own that it calls them from; both are compressible (RFC 6282 section 4.3.3).
pub const PAIR_CALLER_PORT: u16 = 61626;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PairEvent {
    /// The share of this polynomial is stored and in use.
    ShareStored(SetName),
    /// What the manager told as a share is none of ours.
    ShareRefused(ShareFault),
    /// So many devices are known to be lost: there are no keys with them.
    LostKnown(usize),
    /// There is a session.
    Opened {
        /// With whom, authentically.
        peer: Eui64,
        /// Under which polynomial.
        name: SetName,
    },
    /// A session is over.
    Closed {
        /// With whom.
        peer: Eui64,
        /// Why.
        reason: CloseReason,
    },
    /// A handshake that another device began led to nothing.
    CallerFailed {
        /// Where it is heard.
        addr: Ipv6Addr,
        /// Why.
        reason: CloseReason,
    },
    /// A request of ours was answered.
    Answered {
        /// By whom.
        peer: Eui64,
        /// How.
        code: Code,
        /// What came with it.
        payload: Vec<u8>,
    },
    /// A request of ours was not.
    Unanswered {
        /// Whom it was for.
        peer: Eui64,
        /// Why.
        why: PairRefused,
    },
    /// A datagram of a session or handshake was sent.
    Sent {
        /// To whom.
        dst: Ipv6Addr,
        /// To which port, which says who began.
        dst_port: u16,
        /// The datagram.
        octets: Vec<u8>,
    },
}

impl PairEvent {
    /// A request that this device has no share for.
    pub(crate) const fn no_share(peer: Eui64) -> Self {
        Self::Unanswered { peer, why: PairRefused::NoShare }
    }
}

/// Why a request to another device has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairRefused {
    /// This device has no share.
    NoShare,
    /// There is no key with that device: it is this one, or lost.
    NoKey,
    /// Sessions with as many others are in use.
    Busy,
    /// The handshake led to nothing.
    Handshake(CloseReason),
    /// The session was there, an answer was not.
    Silent,
}
