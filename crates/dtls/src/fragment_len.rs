//! max_fragment_length, RFC 6066 section 4: how long the plaintext of a record may be.

use crate::CloseReason;

/// Without an agreement (RFC 5246 section 6.2.1).
pub(crate) const PLAINTEXT_OCTETS_MAX: u16 = 1 << 14;

/// The most octets that the plaintext of a record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FragmentLen {
    /// 2^9.
    Octets512 = 1,
    /// 2^10.
    Octets1024 = 2,
    /// 2^11.
    Octets2048 = 3,
    /// 2^12.
    Octets4096 = 4,
}

impl FragmentLen {
    /// From the extension's one octet.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, CloseReason> {
        match data {
            [1] => Ok(Self::Octets512),
            [2] => Ok(Self::Octets1024),
            [3] => Ok(Self::Octets2048),
            [4] => Ok(Self::Octets4096),
            // RFC 6066 section 4: another value MUST abort with illegal_parameter.
            [_] => Err(CloseReason::IllegalHello),
            _ => Err(CloseReason::MalformedHello),
        }
    }

    /// The extension's octet.
    pub(crate) const fn octet(self) -> u8 {
        self as u8
    }

    /// The length itself.
    pub const fn octets(self) -> usize {
        1 << (self as u8 + 8)
    }

    /// What a record may have after this agreement or none.
    pub(crate) fn plaintext_octets_max(agreed: Option<Self>) -> u16 {
        agreed.map_or(PLAINTEXT_OCTETS_MAX, |agreed| agreed.octets() as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (octet, octets) in [(1, 512), (2, 1024), (3, 2048), (4, 4096)] {
            let parsed = FragmentLen::parse(&[octet]).expect("an allowed value");
            assert_eq!((parsed.octet(), parsed.octets()), (octet, octets));
        }
        // tinydtls took any value (CVE-2026-9267).
        for octet in [0, 5, 255] {
            assert_eq!(FragmentLen::parse(&[octet]), Err(CloseReason::IllegalHello));
        }
        for data in [&[][..], &[1, 1]] {
            assert_eq!(FragmentLen::parse(data), Err(CloseReason::MalformedHello));
        }
    }
}
