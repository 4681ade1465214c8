//! Identifiers of devices and networks. The universal/local bit flips in [`Iid::from`] and nowhere else.

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// EUI-64 in the order it is printed. 802.15.4 sends it reversed; the frame codec alone knows that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eui64(pub [u8; 8]);

impl fmt::Display for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("-")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Eui64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an EUI-64: eight octets of two hexadecimal digits, bare or with `-` or `:` between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseEui64Error;

impl fmt::Display for ParseEui64Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an EUI-64 is 16 hexadecimal digits, with - or : between octets or without")
    }
}

impl core::error::Error for ParseEui64Error {}

impl FromStr for Eui64 {
    type Err = ParseEui64Error;

    fn from_str(text: &str) -> Result<Self, ParseEui64Error> {
        let mut octets = [0; 8];
        let mut rest = text.as_bytes();
        let separator = rest.get(2).copied().filter(|c| matches!(c, b'-' | b':'));
        for (i, octet) in octets.iter_mut().enumerate() {
            if let Some(separator) = separator.filter(|_| i > 0) {
                rest = rest.strip_prefix(&[separator]).ok_or(ParseEui64Error)?;
            }
            let (pair, tail) = rest.split_at_checked(2).ok_or(ParseEui64Error)?;
            *octet = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
            rest = tail;
        }
        if rest.is_empty() { Ok(Self(octets)) } else { Err(ParseEui64Error) }
    }
}

fn hex_digit(c: u8) -> Result<u8, ParseEui64Error> {
    match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        b'A'..=b'F' => Ok(c - b'A' + 10),
        _ => Err(ParseEui64Error),
    }
}

/// A 16-bit address that names one device: never 0xfffe or 0xffff.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortAddr(u16);

impl ShortAddr {
    /// `None` for 0xfffe (no address) and 0xffff (broadcast).
    pub const fn new(raw: u16) -> Option<Self> {
        if raw >= 0xfffe { None } else { Some(Self(raw)) }
    }

    /// The number.
    pub const fn raw(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for ShortAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// A PAN identifier: never 0xffff, which means "any".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PanId(u16);

impl PanId {
    /// `None` for 0xffff (broadcast).
    pub const fn new(raw: u16) -> Option<Self> {
        if raw == 0xffff { None } else { Some(Self(raw)) }
    }

    /// The number.
    pub const fn raw(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for PanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// Interface identifier: the low 64 bits of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iid(pub [u8; 8]);

impl Iid {
    /// The low half of `addr`.
    pub fn of(addr: Ipv6Addr) -> Self {
        let o = addr.octets();
        Self([o[8], o[9], o[10], o[11], o[12], o[13], o[14], o[15]])
    }

    /// The address of this identifier under a /64 whose upper half is `prefix`.
    pub fn under(self, prefix: [u8; 8]) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets[..8].copy_from_slice(&prefix);
        octets[8..].copy_from_slice(&self.0);
        Ipv6Addr::from(octets)
    }

    /// The link-local address of this identifier (RFC 4291 section 2.5.6).
    pub fn link_local(self) -> Ipv6Addr {
        self.under([0xfe, 0x80, 0, 0, 0, 0, 0, 0])
    }

    /// The link-layer address this identifier was made from: the inverse of the `From` conversions.
    pub fn link_addr(self) -> Option<LinkAddr> {
        match self.0 {
            [0, 0, 0, 0xff, 0xfe, 0, high, low] => {
                ShortAddr::new(u16::from_be_bytes([high, low])).map(LinkAddr::Short)
            }
            octets => {
                let mut eui64 = octets;
                eui64[0] ^= 0x02;
                Some(LinkAddr::Extended(Eui64(eui64)))
            }
        }
    }
}

impl fmt::Debug for Iid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in self.0.chunks(2) {
            write!(f, ":{:02x}{:02x}", pair[0], pair[1])?;
        }
        Ok(())
    }
}

impl From<Eui64> for Iid {
    // RFC 4291 appendix A: the universal/local bit is inverted.
    fn from(eui64: Eui64) -> Self {
        let mut octets = eui64.0;
        octets[0] ^= 0x02;
        Self(octets)
    }
}

impl From<ShortAddr> for Iid {
    // RFC 6282 section 3.2.2: 0000:00ff:fe00:XXXX, without PAN ID and without inversion.
    fn from(short: ShortAddr) -> Self {
        let [high, low] = short.0.to_be_bytes();
        Self([0, 0, 0, 0xff, 0xfe, 0, high, low])
    }
}

impl From<LinkAddr> for Iid {
    fn from(addr: LinkAddr) -> Self {
        match addr {
            LinkAddr::Short(short) => short.into(),
            LinkAddr::Extended(eui64) => eui64.into(),
        }
    }
}

/// The link-layer address of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkAddr {
    /// 16 bits, given by the domain manager.
    Short(ShortAddr),
    /// 64 bits, given by the maker.
    Extended(Eui64),
}

/// Whom a link-layer frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkDst {
    /// Everyone in range (0xffff).
    Broadcast,
    /// One neighbour.
    Unicast(LinkAddr),
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn eui64_text() {
        let eui64 = Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, 0xaa]);
        assert_eq!("02124b00000000AA".parse(), Ok(eui64));
        assert_eq!("02-12-4b-00-00-00-00-aa".parse(), Ok(eui64));
        assert_eq!("02:12:4b:00:00:00:00:aa".parse(), Ok(eui64));
        assert_eq!(eui64.to_string(), "02-12-4b-00-00-00-00-aa");
        for bad in ["", "02", "02-12:4b-00-00-00-00-aa", "02124b00000000aabb", "0g124b00000000aa"] {
            assert_eq!(bad.parse::<Eui64>(), Err(ParseEui64Error), "{bad}");
        }
    }

    #[test]
    fn interface_identifiers_convert_both_ways() {
        let eui64 = Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, 0xaa]);
        let iid = Iid::from(eui64);
        assert_eq!(iid.0[0], 0x00);
        assert_eq!(iid.link_addr(), Some(LinkAddr::Extended(eui64)));
        let short = ShortAddr::new(0x1234).expect("not reserved");
        assert_eq!(Iid::from(short).0, [0, 0, 0, 0xff, 0xfe, 0, 0x12, 0x34]);
        assert_eq!(Iid::from(short).link_addr(), Some(LinkAddr::Short(short)));
        assert_eq!(Iid::of(iid.link_local()), iid);
    }

    #[test]
    fn reserved_numbers_name_nobody() {
        assert!(ShortAddr::new(0xfffe).is_none() && ShortAddr::new(0xffff).is_none());
        assert!(PanId::new(0xffff).is_none());
        assert_eq!(Iid([0, 0, 0, 0xff, 0xfe, 0, 0xff, 0xff]).link_addr(), None);
    }
}
