//! The table of compression contexts, RFC 6282 section 3.1.2, and the prefixes in it.
//!
//! Lifetimes are the owner's business (RFC 6775 section 4.2); here a context is there or is not.

use lowgate_units::{Iid, Ipv6Addr};

/// Contexts a network can have: the identifier has four bits.
pub const CONTEXTS_MAX: usize = 16;

/// A context identifier, 0 to 15. Context 0 costs no extra octet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(u8);

impl ContextId {
    /// Context 0.
    pub const DEFAULT: Self = Self(0);

    /// `None` above 15.
    pub const fn new(raw: u8) -> Option<Self> {
        if (raw as usize) < CONTEXTS_MAX { Some(Self(raw)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> u8 {
        self.0
    }
}

/// An IPv6 prefix: address and length. Bits behind the length are always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: Ipv6Addr,
    len: u8,
}

impl Prefix {
    /// fe80::/64: what stateless compression derives addresses from.
    pub const LINK_LOCAL: Self = Self { addr: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), len: 64 };

    /// The first `len` bits of `addr`; `None` for a length over 128.
    pub fn new(addr: Ipv6Addr, len: u8) -> Option<Self> {
        let mask = mask(len)?;
        Some(Self { addr: Ipv6Addr::from_bits(addr.to_bits() & mask), len })
    }

    /// The prefix as an address with zeros behind it.
    pub const fn addr(self) -> Ipv6Addr {
        self.addr
    }

    /// The length in bits, 0 to 128.
    #[expect(clippy::len_without_is_empty, reason = "a length in bits, not of a collection")]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether `addr` lies under this prefix.
    pub fn contains(self, addr: Ipv6Addr) -> bool {
        Self::new(addr, self.len) == Some(self)
    }

    /// The address of `iid` under this prefix.
    // RFC 6282 section 3.1.1: bits covered by context information are always used, IID bits not
    // covered come from the IID, any remaining bits are zero.
    pub fn with_iid(self, iid: Iid) -> Ipv6Addr {
        let covered = mask(self.len).unwrap_or(u128::MAX);
        let iid = u128::from(u64::from_be_bytes(iid.0));
        Ipv6Addr::from_bits(self.addr.to_bits() | (iid & !covered))
    }
}

/// The `len` high bits; `None` for a length over 128.
fn mask(len: u8) -> Option<u128> {
    match len {
        0 => Some(0),
        1..=128 => Some(u128::MAX << (128 - u32::from(len))),
        _ => None,
    }
}

/// What a context may be used for (the C flag of RFC 6775 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextUse {
    /// Compression and decompression (C = 1).
    Both,
    /// Decompression only: the context is on its way in or out (C = 0).
    DecompressionOnly,
}

/// The contexts of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contexts {
    slots: [Option<(Prefix, ContextUse)>; CONTEXTS_MAX],
}

impl Contexts {
    /// An empty table.
    pub const fn new() -> Self {
        Self { slots: [None; CONTEXTS_MAX] }
    }

    /// Enters or replaces context `id`.
    pub fn set(&mut self, id: ContextId, prefix: Prefix, usage: ContextUse) {
        if let Some(slot) = self.slots.get_mut(usize::from(id.0)) {
            *slot = Some((prefix, usage));
        }
    }

    /// Forgets context `id`.
    pub fn remove(&mut self, id: ContextId) {
        if let Some(slot) = self.slots.get_mut(usize::from(id.0)) {
            *slot = None;
        }
    }

    /// The prefix of context `id`: a packet that names it can be decompressed.
    pub fn prefix(&self, id: ContextId) -> Option<Prefix> {
        self.slots.get(usize::from(id.0)).copied().flatten().map(|(prefix, _)| prefix)
    }

    /// Every context in the table, by rising identifier.
    pub fn iter(&self) -> impl Iterator<Item = (ContextId, Prefix, ContextUse)> + '_ {
        (0u8..).zip(&self.slots).filter_map(|(raw, slot)| {
            let (prefix, usage) = (*slot)?;
            Some((ContextId(raw), prefix, usage))
        })
    }

    /// The contexts a compressor may use.
    // RFC 6775 section 4.2: a context whose C flag is 0 is used for decompression only.
    pub(crate) fn for_compression(&self) -> impl Iterator<Item = (ContextId, Prefix)> + '_ {
        self.iter().filter(|(.., usage)| *usage == ContextUse::Both).map(|(id, p, _)| (id, p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(addr: &str, len: u8) -> Prefix {
        Prefix::new(addr.parse().unwrap(), len).unwrap()
    }

    fn check_with_iid(prefix: Prefix, expected: &str) {
        let addr = prefix.with_iid(Iid([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]));
        assert_eq!(addr, expected.parse::<Ipv6Addr>().unwrap());
        assert!(prefix.contains(addr));
    }

    #[test]
    fn bits_behind_the_length_are_zero() {
        assert_eq!(prefix("fd00:1:2:3:4:5:6:7", 64), prefix("fd00:1:2:3::", 64));
        assert_eq!(prefix("ffff::", 0), prefix("::", 0));
        assert_eq!(prefix("::1", 128).addr(), Ipv6Addr::LOCALHOST);
        assert_eq!(Prefix::new(Ipv6Addr::LOCALHOST, 129), None);
        assert_eq!(Prefix::LINK_LOCAL, prefix("fe80::", 64));
        assert!(!prefix("fd00:1:2:3::", 64).contains("fd00:1:2:4::".parse().unwrap()));
    }

    #[test]
    fn covered_bits_win_and_the_gap_is_zero() {
        check_with_iid(prefix("fd00:1:2:3::", 64), "fd00:1:2:3:1122:3344:5566:7788");
        check_with_iid(prefix("fd00:1::", 32), "fd00:1::1122:3344:5566:7788");
        check_with_iid(prefix("fd00:1:2:3:ffff::", 68), "fd00:1:2:3:f122:3344:5566:7788");
        check_with_iid(prefix("fd00::1", 128), "fd00::1");
        check_with_iid(prefix("::", 0), "::1122:3344:5566:7788");
    }

    #[test]
    fn sixteen_contexts() {
        assert_eq!(ContextId::new(16), None);
        let mut contexts = Contexts::new();
        for raw in 0..16 {
            let id = ContextId::new(raw).unwrap();
            contexts.set(id, prefix("fd00::", raw), ContextUse::Both);
        }
        assert!(contexts.iter().map(|(id, p, _)| (id.raw(), p.len())).eq((0..16).zip(0..16)));
        let id = ContextId::new(15).unwrap();
        contexts.set(id, prefix("fd00::", 9), ContextUse::DecompressionOnly);
        assert_eq!(contexts.prefix(id).map(Prefix::len), Some(9));
        // RFC 6775 section 4.2: C = 0 is for decompression only.
        assert_eq!(contexts.for_compression().count(), 15);
        contexts.remove(id);
        assert_eq!(contexts.prefix(id), None);
        assert_eq!(contexts.iter().count(), 15);
    }
}
