//! The client: one session, fixed buffers.

use crate::{
    CloseReason, ContentType, GroupAnswer, KeyLog, Psk, RecordDrop, Retransmission, SendRefused,
};
use lowgate_crypto::Ccm;
use lowgate_units::{Instant, Prng};

/// What a client wants.
#[derive(Clone, Debug)]
pub struct ClientConfig<'a> {
    /// PSK identity, 0 to 128 octets.
    pub identity: &'a [u8],
    /// The key that belongs to it.
    pub psk: Psk,
    /// Payload of the 0xFF40 extension, at most 192 octets; `None` leaves it out.
    pub group_request: Option<&'a [u8]>,
    /// Offer RFC 9146, with an empty connection ID towards us.
    pub connection_id: bool,
    /// Offer and demand RFC 7627. Off only to talk to peers that do not have it.
    pub extended_master_secret: bool,
    /// The longest datagram we send, at least [`crate::DATAGRAM_LEN_MIN`].
    pub datagram_len_max: usize,
    /// When to repeat a flight.
    pub retransmission: Retransmission,
    /// Report [`ClientOutput::KeyLog`].
    pub key_log: bool,
}

/// Why a configuration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigRefused {
    /// More than 128 octets of identity.
    IdentityTooLong,
    /// More than 192 octets of group request.
    GroupRequestTooLong,
    /// A group request is bound to the keys by the extended master secret alone.
    GroupRequestNeedsExtendedMasterSecret,
    /// `datagram_len_max` is below [`crate::DATAGRAM_LEN_MIN`].
    DatagramTooShort,
}

/// What happens to a client.
#[derive(Debug)]
pub enum ClientInput<'a> {
    /// Begin the handshake. Only the first counts.
    Start,
    /// A datagram from the server; its octets are used as scratch.
    Datagram(&'a mut [u8]),
    /// Say close_notify and end.
    Close,
}

/// What a client wishes or tells. `len` counts octets at the start of the caller's buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientOutput {
    /// Send a datagram to the server.
    Transmit {
        /// Octets of it.
        len: usize,
    },
    /// Asked for by `key_log`.
    KeyLog(KeyLog),
    /// Both Finished verified.
    Established {
        /// The server's 0xFF40 payload; `None` when it did not answer the request.
        group_answer: Option<GroupAnswer>,
    },
    /// A payload arrived.
    Received {
        /// What it is.
        content_type: ContentType,
        /// Octets of it.
        len: usize,
    },
    /// Something was dropped.
    Event(RecordDrop),
    /// The end; nothing but `Wait` follows.
    Closed {
        /// Why.
        reason: CloseReason,
    },
    /// Nothing more before `until`, unless fed.
    Wait {
        /// `Instant::FAR_FUTURE`: no timer runs.
        until: Instant,
    },
}

/// A DTLS client and its one session.
pub struct Client {
    ccm: &'static dyn Ccm,
    _prng: Prng,
}

impl Client {
    /// A client that has not started. `random` must be fresh from a generator fit for secrets.
    ///
    /// # Errors
    /// When `config` breaks a bound.
    pub fn new(
        ccm: &'static dyn Ccm,
        _config: ClientConfig<'_>,
        _random: [u8; 32],
        prng: Prng,
    ) -> Result<Self, ConfigRefused> {
        Ok(Self { ccm, _prng: prng })
    }

    /// Feeds one input; drain with [`Self::poll`] until `Wait` afterwards.
    pub fn handle(&mut self, _now: Instant, _input: ClientInput<'_>) {
        let _ = self.ccm;
    }

    /// The next output. `buf` holds a datagram or a payload; 1280 octets suffice.
    pub fn poll(&mut self, _now: Instant, _buf: &mut [u8]) -> ClientOutput {
        ClientOutput::Wait { until: Instant::FAR_FUTURE }
    }

    /// Seals one record into `out` and returns its length; several may share a datagram.
    ///
    /// # Errors
    /// See [`SendRefused`].
    pub fn send(
        &mut self,
        _content_type: ContentType,
        _plaintext: &[u8],
        _out: &mut [u8],
    ) -> Result<usize, SendRefused> {
        Err(SendRefused::NotEstablished)
    }

    /// Whether [`Self::send`] would work.
    pub fn is_established(&self) -> bool {
        false
    }
}
