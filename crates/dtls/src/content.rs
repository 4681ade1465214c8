//! What a session carries, and what its owner is told or refused.

use crate::{GROUP_ANSWER_OCTETS_MAX, PAIRWISE_ID_OCTETS_MAX};
use core::fmt;
use lowgate_crypto::Secret;

/// What a record holds for the owner. Types 30 and 31 exist only after both ends agreed on 0xFF40.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentType {
    /// 23, RFC 5246.
    ApplicationData,
    /// 30: begins with a master key message (private use).
    KeyData,
    /// 31: key-management messages without a master key (private use).
    KeyParameters,
}

impl ContentType {
    /// Whether only 0xFF40 opens it.
    pub(crate) const fn needs_negotiation(self) -> bool {
        match self {
            Self::ApplicationData => false,
            Self::KeyData | Self::KeyParameters => true,
        }
    }
}

/// The payload of 0xFF40 in a ServerHello.
pub type GroupAnswer = heapless::Vec<u8, GROUP_ANSWER_OCTETS_MAX>;

/// The payload of 0xFF41: who says it, and by which secret it has its keys with others.
pub type PairwiseId = heapless::Vec<u8, PAIRWISE_ID_OCTETS_MAX>;

/// One line of a key log, for people who read captures of their own network.
///
/// It prints as `CLIENT_RANDOM <random> <master secret>`, the line that TLS analysers read.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyLog {
    /// The ClientHello's random.
    pub client_random: [u8; 32],
    /// The master secret of the session.
    pub master_secret: Secret<48>,
}

impl fmt::Display for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CLIENT_RANDOM ")?;
        self.client_random.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(" ")?;
        self.master_secret.expose().iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog(..)")
    }
}

/// Why a payload was not sealed. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendRefused {
    /// No session, or its handshake is not finished.
    NotEstablished,
    /// Content types 30 and 31 need 0xFF40 from both ends.
    NotNegotiated,
    /// The record does not fit `datagram_len_max` or the buffer.
    TooLong,
    /// 2^48 records were sent: the session must be made anew (RFC 6347 section 4.1).
    SequenceExhausted,
    /// The owner did not drain the outputs.
    QueueFull,
}
