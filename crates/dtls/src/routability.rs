//! Return routability check, RFC 9853: is a peer where its records come from? In its basic form (section 5.1 of it):
//! the new address alone is asked.
//!
//! **Invariant:** pure functions of octets.

use crate::RecordDrop;

/// 64 bits of entropy (RFC 9853 section 4).
pub(crate) const COOKIE_OCTETS: usize = 8;
/// A message: its type and its cookie.
pub(crate) const OCTETS: usize = 1 + COOKIE_OCTETS;

pub(crate) type Cookie = [u8; COOKIE_OCTETS];

const PATH_CHALLENGE: u8 = 0;
const PATH_RESPONSE: u8 = 1;
const PATH_DROP: u8 = 2;

/// What one end asks and the other answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoutabilityMessage {
    Challenge(Cookie),
    Response(Cookie),
    /// The path is not preferred any longer: said on the old path alone, which is never asked here.
    Drop(Cookie),
}

impl RoutabilityMessage {
    /// RFC 9853 section 4: unknown types MUST be ignored, gracefully.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, RecordDrop> {
        let (kind, cookie) = octets.split_first().ok_or(RecordDrop::BadMessage)?;
        let cookie = Cookie::try_from(cookie).map_err(|_| RecordDrop::BadMessage)?;
        match *kind {
            PATH_CHALLENGE => Ok(Self::Challenge(cookie)),
            PATH_RESPONSE => Ok(Self::Response(cookie)),
            PATH_DROP => Ok(Self::Drop(cookie)),
            _ => Err(RecordDrop::BadMessage),
        }
    }

    pub(crate) fn octets(&self) -> [u8; OCTETS] {
        let (kind, cookie) = match self {
            Self::Challenge(cookie) => (PATH_CHALLENGE, cookie),
            Self::Response(cookie) => (PATH_RESPONSE, cookie),
            Self::Drop(cookie) => (PATH_DROP, cookie),
        };
        let mut octets = [kind; OCTETS];
        octets[1..].copy_from_slice(cookie);
        octets
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<RoutabilityMessage, RecordDrop>) {
        let octets = hex(text);
        assert_eq!(RoutabilityMessage::parse(&octets), expected, "{text}");
        if let Ok(message) = expected {
            assert_eq!(octets, message.octets());
            for end in 0..octets.len() {
                assert!(RoutabilityMessage::parse(&octets[..end]).is_err());
            }
        }
    }

    proptest! {
        /// Whatever comes is read or refused; what is read is written alike.
        #[test]
        fn what_is_read_is_written_alike(octets: std::vec::Vec<u8>, nine: [u8; OCTETS]) {
            for octets in [&octets[..], &nine, &[nine[0] % 4, 1, 2, 3, 4, 5, 6, 7, 8]] {
                match RoutabilityMessage::parse(octets) {
                    Ok(message) => prop_assert_eq!(&message.octets()[..], octets),
                    Err(drop) => prop_assert_eq!(drop, RecordDrop::BadMessage),
                }
            }
        }
    }

    #[test]
    fn messages_of_a_routability_check() {
        let cookie = [1, 2, 3, 4, 5, 6, 7, 8];
        check("00 0102030405060708", Ok(RoutabilityMessage::Challenge(cookie)));
        check("01 0102030405060708", Ok(RoutabilityMessage::Response(cookie)));
        check("02 0102030405060708", Ok(RoutabilityMessage::Drop(cookie)));
        for none in ["", "03 0102030405060708", "ff 0102030405060708", "00 010203040506070809"] {
            check(none, Err(RecordDrop::BadMessage));
        }
    }
}
