//! The octets of IPv6, ICMPv6, neighbour discovery, RPL and MPL.
//!
//! **Invariant:** pure functions of octets; no state, no time. IPv6 headers and checksums are
//! smoltcp's; formats that it lacks, or reads too kindly, are ours.

pub(crate) mod icmpv6;
pub(crate) mod ipv6;
pub(crate) mod mpl;
pub(crate) mod nd;
pub(crate) mod options;
pub(crate) mod rpl;
pub(crate) mod srh;
pub(crate) mod udp;

use crate::api::Packet;
use lowgate_units::{Eui64, Ipv6Addr};
use smoltcp::wire::{IpProtocol, checksum};

/// Takes fields off the front of octets.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn eui64(&mut self) -> Option<Eui64> {
        self.array().map(Eui64)
    }

    pub(crate) fn addr(&mut self) -> Option<Ipv6Addr> {
        self.array::<16>().map(Ipv6Addr::from)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// Appends fields to a packet. What does not fit is remembered and shows at [`Writer::finish`].
#[derive(Default)]
pub(crate) struct Writer {
    octets: Packet,
    overflowed: bool,
}

impl Writer {
    pub(crate) fn put(&mut self, octets: &[u8]) {
        self.overflowed |= self.octets.extend_from_slice(octets).is_err();
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    pub(crate) fn addr(&mut self, value: Ipv6Addr) {
        self.put(&value.octets());
    }

    pub(crate) fn zeros(&mut self, len: usize) {
        for _ in 0..len {
            self.u8(0);
        }
    }

    /// Overwrites two octets written before.
    pub(crate) fn patch_u16(&mut self, at: usize, value: u16) {
        if let Some(field) = self.octets.get_mut(at..at + 2) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// `None` if something did not fit.
    pub(crate) fn finish(self) -> Option<Packet> {
        (!self.overflowed).then_some(self.octets)
    }
}

/// The RFC 1071 sum of the pseudo-header (RFC 8200 section 8.1) and `octets`; `!0` over octets whose
/// checksum field is right.
pub(crate) fn sum(src: Ipv6Addr, dst: Ipv6Addr, protocol: u8, octets: &[u8]) -> u16 {
    let pseudo = checksum::pseudo_header_v6(
        &src,
        &dst,
        IpProtocol::from(protocol),
        u32::try_from(octets.len()).unwrap_or(u32::MAX),
    );
    checksum::combine(&[pseudo, checksum::data(octets)])
}

/// True for `ffxx::`.
pub(crate) fn is_multicast(addr: Ipv6Addr) -> bool {
    addr.octets()[0] == 0xff
}

/// The scope nibble of a multicast address (RFC 4291 section 2.7).
pub(crate) fn multicast_scope(addr: Ipv6Addr) -> u8 {
    addr.octets()[1] & 0x0f
}

/// True for `fe80::/64`, the link-local addresses that this mesh makes.
pub(crate) fn is_link_local(addr: Ipv6Addr) -> bool {
    addr.octets()[..8] == [0xfe, 0x80, 0, 0, 0, 0, 0, 0]
}

/// `ff02::1a` (RFC 6550 section 20.19).
pub(crate) const ALL_RPL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1a);
/// `ff02::fc` (RFC 7731 section 11).
pub(crate) const ALL_MPL_FORWARDERS_LINK: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfc);
/// `ff03::fc`, the MPL domain (RFC 7731 section 11).
pub(crate) const ALL_MPL_FORWARDERS: Ipv6Addr = Ipv6Addr::new(0xff03, 0, 0, 0, 0, 0, 0, 0xfc);
