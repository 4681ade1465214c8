#![no_std]
//! DTLS 1.2 (RFC 6347) for the IoT profile (RFC 7925): the suite `TLS_PSK_WITH_AES_128_CCM_8`
//! (RFC 6655), cookies, extended master secret (RFC 7627), connection ID (RFC 9146), resumption by
//! session id and by ticket (RFC 5077), max_fragment_length and server names (RFC 6066), exporters
//! (RFC 5705), heartbeats (RFC 6520), return routability checks (RFC 9853), and the group request extension
//! 0xFF40 with content types 30 and 31.
//!
//! With the cargo feature `ecc` also `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256` (RFC 8442, forward secrecy) and
//! raw public keys (RFC 7250) under `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8` (RFC 7251), both on P-256 alone.
//! Without it there is no curve. With the cargo feature `x509` certificates as well (RFC 7925 section 4.4).
//!
//! [`Client`] has fixed buffers and no allocator; `Server` (cargo feature `server`) keeps thousands
//! of sessions. Both are machines without clock and sockets: feed with `handle`, drain with `poll`
//! until `Wait`. [`group`] seals and opens the multicast records of a group.
//!
//! **Invariants:** nothing that is not authentic changes a session; a bad record is an event, never
//! an alert; no record number is used twice under one key; nothing is delivered before the peer's
//! Finished verified; what the network can fill has a named bound.
//! *Absent:* renegotiation, compression, versions below 1.2.

#[cfg(feature = "server")]
extern crate alloc;

mod alert;
#[cfg(all(test, feature = "server"))]
mod capture;
mod client;
mod content;
#[cfg(feature = "ecc")]
mod curve;
mod exporter;
mod flight;
mod fragment_len;
pub mod group;
mod handshake;
mod heartbeat;
mod hello;
mod noise;
mod protect;
mod psk;
mod reassembly;
mod record;
mod replay;
mod retransmission;
mod routability;
mod schedule;
#[cfg(feature = "server")]
mod server;
mod suite;
#[cfg(feature = "x509")]
mod x509;

pub use alert::{AlertDescription, CloseReason};
#[cfg(feature = "ecc")]
pub use client::WithoutExchange;
pub use client::{
    Client, ClientConfig, ClientInput, ClientOutput, ConfigRefused, Credential, Pair, SavedSession,
};
#[cfg(feature = "x509")]
pub use client::{KnownChain, ServerIdentity};
pub use content::{ContentType, GroupAnswer, KeyLog, PairwiseId, SendRefused};
pub use exporter::ExportRefused;
pub use flight::is_hello_request;
pub use fragment_len::FragmentLen;
pub use noise::RecordDrop;
pub use psk::{Identity, Psk};
pub use retransmission::{Retransmission, RetransmissionTimer};
#[cfg(all(feature = "server", feature = "x509"))]
pub use server::ServerCertificates;
#[cfg(feature = "server")]
pub use server::{
    BAR_USUAL, Packing, PairAnswer, Peer, PskDirectory, RESUMPTION_LIFETIME_MAX, Server,
    ServerConfig, ServerInput, ServerOutput, SessionId,
};
pub use suite::CipherSuite;
#[cfg(feature = "x509")]
pub use x509::{
    ANCHORS_MAX, CERTIFICATE_URL_OCTETS_MAX, CERTIFICATES_MAX, CHAIN_OCTETS_MAX,
    CertificateRefused, CertificateUrl, CertificateUrls, TrustAnchor, UnixTime,
};

/// RFC 4279 section 5.3: identities of 128 octets must be supported; longer ones are refused.
pub const IDENTITY_OCTETS_MAX: usize = 128;
/// Longest 0xFF40 payload of a ClientHello.
pub const GROUP_REQUEST_OCTETS_MAX: usize = 192;
/// Longest 0xFF40 payload of a ServerHello.
pub const GROUP_ANSWER_OCTETS_MAX: usize = 16;
/// Longest payload of 0xFF41.
pub const PAIRWISE_ID_OCTETS_MAX: usize = 16;
/// Longest server name of a ClientHello. DNS allows 253 octets; devices' servers have short names.
pub const SERVER_NAME_OCTETS_MAX: usize = 128;
/// Octets that our server's connection IDs have.
pub const CONNECTION_ID_OCTETS: usize = 4;
/// The least `datagram_len_max`: the Finished of either side fits in one record at least.
pub const DATAGRAM_LEN_MIN: usize = 96;
/// What a record costs: header 13, explicit nonce 8, tag 8, connection ID 4, inner type 1.
pub const RECORD_OVERHEAD_OCTETS_MAX: usize = 13 + 8 + 8 + CONNECTION_ID_OCTETS + 1;
/// Records of one datagram that are looked at.
const RECORDS_PER_DATAGRAM_MAX: usize = 32;

/// What the profile asks for, and the tests that show it.
#[cfg(doc)]
#[doc = include_str!("requirements.md")]
pub mod requirements {}

/// Implementations of others, and what of it was seen to work with ours.
#[cfg(doc)]
#[doc = include_str!("interop.md")]
pub mod interop {}

/// Weaknesses of others, and the tests that show that they are not ours.
#[cfg(doc)]
#[doc = include_str!("weaknesses.md")]
pub mod weaknesses {}
