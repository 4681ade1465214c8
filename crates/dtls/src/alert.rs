//! Alerts (RFC 5246 section 7.2) and the reasons for which a session ends.
//!
//! **Invariant:** the alert that is sent is a total function of the reason.

#[cfg(feature = "x509")]
use crate::CertificateRefused;

/// What an alert says. The numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertDescription(pub u8);

impl AlertDescription {
    /// The peer will send nothing more.
    pub const CLOSE_NOTIFY: Self = Self(0);
    /// No common parameters.
    pub const HANDSHAKE_FAILURE: Self = Self(40);
    /// A certificate is broken, or a signature in it.
    pub const BAD_CERTIFICATE: Self = Self(42);
    /// A certificate is of another kind, or for something else.
    pub const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    /// A certificate is not valid now.
    pub const CERTIFICATE_EXPIRED: Self = Self(45);
    /// Something else is wrong with a certificate.
    pub const CERTIFICATE_UNKNOWN: Self = Self(46);
    /// A field contradicts another or the standard.
    pub const ILLEGAL_PARAMETER: Self = Self(47);
    /// A certificate comes from nobody whom the other end trusts.
    pub const UNKNOWN_CA: Self = Self(48);
    /// A certificate is good, and its owner not welcome.
    pub const ACCESS_DENIED: Self = Self(49);
    /// A message could not be read.
    pub const DECODE_ERROR: Self = Self(50);
    /// Finished did not verify: other keys, or a message was changed on its way.
    pub const DECRYPT_ERROR: Self = Self(51);
    /// The version is not spoken here.
    pub const PROTOCOL_VERSION: Self = Self(70);
    /// Renegotiation is not done here (a warning).
    pub const NO_RENEGOTIATION: Self = Self(100);
    /// What a certificate's URL leads to could not be had.
    pub const CERTIFICATE_UNOBTAINABLE: Self = Self(111);
    /// What a certificate's URL leads to is something else.
    pub const BAD_CERTIFICATE_HASH_VALUE: Self = Self(114);
    /// The ServerHello answers an extension that was not asked for.
    pub const UNSUPPORTED_EXTENSION: Self = Self(110);
    /// The server has another name.
    pub const UNRECOGNIZED_NAME: Self = Self(112);
    /// The server does not know the PSK identity (we send [`Self::DECRYPT_ERROR`] instead).
    pub const UNKNOWN_PSK_IDENTITY: Self = Self(115);
}

/// Why a handshake failed or a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// The owner asked for it.
    Requested,
    /// The peer said close_notify, authentically.
    PeerClosed,
    /// The peer said a fatal alert: authentically, or, before keys exist, it said nothing better.
    PeerAlert(AlertDescription),
    /// The peer did not answer in time.
    TimedOut,
    /// The peer has another key, or its identity is unknown, or the handshake was tampered with.
    KeyMismatch,
    /// The peer speaks no DTLS 1.2.
    NoCommonVersion,
    /// No `TLS_PSK_WITH_AES_128_CCM_8`, or no null compression.
    NoCommonSuite,
    /// A group request needs the extended master secret.
    ExtendedMasterSecretMissing,
    /// A hello contradicts itself or its standard.
    IllegalHello,
    /// A hello could not be read.
    MalformedHello,
    /// The ServerHello answers what was not asked.
    UnsolicitedExtension,
    /// The client looks for a server of another name.
    UnrecognizedName,
    /// The two ends have no key of their own: one has another secret, is somebody else, or is the same.
    NoCommonPair,
    /// The peer's certificates are not taken.
    #[cfg(feature = "x509")]
    Certificate(CertificateRefused),
    /// The same peer made a new session.
    Superseded,
    /// The table was full and this one was heard least recently, or crowded out its neighbours.
    Evicted,
    /// Nothing was heard of it for as long as the owner configured.
    Idle,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertLevel {
    Warning = 1,
    Fatal = 2,
}

impl CloseReason {
    /// Whether the peer did what leads to no session.
    #[cfg(feature = "server")]
    pub(crate) const fn is_fatal(self) -> bool {
        matches!(self.alert(), Some([level, _]) if level == AlertLevel::Fatal as u8)
    }

    /// The two octets of the alert that tells the peer, `None` where telling is useless.
    pub(crate) const fn alert(self) -> Option<[u8; 2]> {
        use AlertDescription as D;
        use AlertLevel::{Fatal, Warning};
        let (level, description) = match self {
            Self::Requested | Self::PeerClosed | Self::Evicted | Self::Idle => {
                (Warning, D::CLOSE_NOTIFY)
            }
            // RFC 7925 section 4.2 wants decrypt_error for unknown identities as well.
            Self::KeyMismatch => (Fatal, D::DECRYPT_ERROR),
            Self::NoCommonVersion => (Fatal, D::PROTOCOL_VERSION),
            // RFC 7627 section 5.2: handshake_failure when the extension is missed.
            Self::NoCommonSuite | Self::ExtendedMasterSecretMissing | Self::NoCommonPair => {
                (Fatal, D::HANDSHAKE_FAILURE)
            }
            Self::IllegalHello => (Fatal, D::ILLEGAL_PARAMETER),
            Self::MalformedHello => (Fatal, D::DECODE_ERROR),
            Self::UnsolicitedExtension => (Fatal, D::UNSUPPORTED_EXTENSION),
            Self::UnrecognizedName => (Fatal, D::UNRECOGNIZED_NAME),
            #[cfg(feature = "x509")]
            Self::Certificate(refused) => (Fatal, refused.alert()),
            Self::PeerAlert(_) | Self::TimedOut | Self::Superseded => return None,
        };
        Some([level as u8, description.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7925 section 6: these MUST NOT be used with pre-shared keys, and unknown_psk_identity never.
    #[test]
    fn alerts_of_this_profile() {
        const FOREIGN: [u8; 15] = [30, 41, 42, 43, 44, 45, 46, 48, 49, 111, 113, 114, 115, 21, 60];
        use CloseReason as R;
        for reason in [
            R::Requested,
            R::PeerClosed,
            R::PeerAlert(AlertDescription(42)),
            R::TimedOut,
            R::KeyMismatch,
            R::NoCommonVersion,
            R::NoCommonSuite,
            R::ExtendedMasterSecretMissing,
            R::IllegalHello,
            R::MalformedHello,
            R::UnsolicitedExtension,
            R::UnrecognizedName,
            R::NoCommonPair,
            R::Superseded,
            R::Evicted,
            R::Idle,
        ] {
            let description = reason.alert().map(|[_, description]| description);
            assert!(description.is_none_or(|alert| !FOREIGN.contains(&alert)), "{reason:?}");
        }
        assert_eq!(R::NoCommonVersion.alert(), Some([2, 70]));
        assert_eq!(R::KeyMismatch.alert(), Some([2, 51]));
    }
}
