//! What is dropped, by name. Noise is counted by the owner; it never ends a session.

/// Why a record, or a message in it, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordDrop {
    /// The header or the length does not fit the datagram.
    Malformed,
    /// Neither 0xfefd nor, in epoch 0, 0xfeff.
    UnknownVersion,
    /// A content type that means nothing here.
    UnknownType,
    /// No session or handshake for this peer or connection ID.
    UnknownPeer,
    /// The session wants its connection ID (RFC 9146 section 3).
    ConnectionIdExpected,
    /// An epoch that is over, or not yet there.
    WrongEpoch,
    /// Longer than was agreed (RFC 6066 section 4), or than any record may be.
    TooLong,
    /// Seen before, or too old to tell.
    Replayed,
    /// The tag does not fit.
    BadTag,
    /// Content types 30 and 31 without 0xFF40.
    NotNegotiated,
    /// A handshake message could not be read.
    BadMessage,
    /// A fragment contradicts its own lengths, or is beyond the bound.
    BadFragment,
    /// A handshake message that has no place in this state.
    Unexpected,
    /// A message that was processed before.
    Repeated,
    /// An alert nobody can vouch for.
    UnauthenticAlert,
    /// A hello that cannot lead to a session, for this reason.
    HelloRefused(crate::CloseReason),
    /// A handshake that failed as three did before it: who is barred is not told of one by one.
    Barred,
    /// Certificates that are not taken, for this reason.
    #[cfg(feature = "x509")]
    CertificateRefused(crate::CertificateRefused),
    /// The peer wants to renegotiate.
    Renegotiation,
    /// A HelloRequest in the clear: the server, or somebody in its place, knows of no session.
    HelloRequested,
    /// More records in one datagram than are looked at.
    TooManyRecords,
    /// The owner did not drain the outputs.
    QueueFull,
}
