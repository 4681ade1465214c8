//! The first octet of a frame's payload, RFC 4944 section 5.1 as changed by RFC 6282 section 5.

/// What the payload of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dispatch {
    /// 01 000001: an IPv6 packet as it is follows.
    Ipv6,
    /// 01 1xxxxx: a packet compressed by RFC 6282.
    Iphc,
    /// 11 000xxx: the first fragment of a datagram.
    FirstFragment,
    /// 11 100xxx: a later fragment of a datagram.
    NextFragment,
}

impl Dispatch {
    /// 01 000001, the dispatch octet of an uncompressed packet.
    pub const IPV6: u8 = 0x41;

    /// What `octets` begin with; `None` when empty or for a dispatch we do not take part in.
    pub fn of(octets: &[u8]) -> Option<Self> {
        match octets.first()? {
            &Self::IPV6 => Some(Self::Ipv6),
            0x60..=0x7f => Some(Self::Iphc),
            0xc0..=0xc7 => Some(Self::FirstFragment),
            0xe0..=0xe7 => Some(Self::NextFragment),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: u8, expected: Option<Dispatch>) {
        assert_eq!(Dispatch::of(&[first]), expected, "{first:#04x}");
    }

    #[test]
    fn rows_of_the_dispatch_table() {
        check(0x41, Some(Dispatch::Ipv6));
        for first in 0x60..=0x7f {
            check(first, Some(Dispatch::Iphc));
        }
        for low in 0..8 {
            check(0xc0 | low, Some(Dispatch::FirstFragment));
            check(0xe0 | low, Some(Dispatch::NextFragment));
        }
    }

    #[test]
    fn what_we_do_not_take_part_in() {
        // NALP, ESC, HC1, BC0, mesh, RFRAG of RFC 8931, page switches of RFC 8025.
        for first in [0x00, 0x3f, 0x40, 0x42, 0x50, 0x80, 0xbf, 0xc8, 0xe8, 0xea, 0xf0, 0xff] {
            check(first, None);
        }
        assert_eq!(Dispatch::of(&[]), None);
    }
}
