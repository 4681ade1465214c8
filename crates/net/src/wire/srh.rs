//! The source routing header, RFC 6554 (routing type 3).

use super::Reader;
use heapless::Vec;
use lowgate_units::Ipv6Addr;

/// Addresses a source route may list; a mesh of ours is at most one hop deeper.
pub(crate) const HOPS_MAX: usize = 24;

const TYPE: u8 = 3;
const FIXED_OCTETS: usize = 8;
/// A full header with nothing compressed.
pub(crate) const OCTETS_MAX: usize = FIXED_OCTETS + 16 * HOPS_MAX;

/// The header's octets for a packet sent to `first`, all segments left. The first octet is for the
/// next header. `None` if `hops` is empty.
pub(crate) fn emit(first: Ipv6Addr, hops: &[Ipv6Addr]) -> Option<Vec<u8, OCTETS_MAX>> {
    // RFC 6554 section 3 elides what an entry shares with the packet's destination. That becomes
    // each hop in turn, so it must be what all of them share.
    let cmpr = hops.iter().map(|hop| common(first, *hop)).min()?;
    let list = (16 - cmpr) * hops.len();
    let pad = list.next_multiple_of(8) - list;
    let mut out = Vec::new();
    let nibbles = u8::try_from(cmpr << 4 | cmpr).ok()?;
    let head = [
        0,
        u8::try_from((list + pad) / 8).ok()?,
        TYPE,
        u8::try_from(hops.len()).ok()?,
        nibbles,
        u8::try_from(pad << 4).ok()?,
        0,
        0,
    ];
    out.extend_from_slice(&head).ok()?;
    for hop in hops {
        out.extend_from_slice(&hop.octets()[cmpr..]).ok()?;
    }
    out.extend_from_slice(&[0; 8][..pad]).ok()?;
    Some(out)
}

/// Leading octets that two addresses share, as many as a nibble tells.
fn common(a: Ipv6Addr, b: Ipv6Addr) -> usize {
    a.octets().iter().zip(b.octets()).take(15).take_while(|(a, b)| **a == *b).count()
}

/// Why a header stops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SrhFault {
    /// Cannot be read. `at`: the field, for the parameter problem message.
    Malformed { at: u32 },
    /// Not routing type 3, with segments left.
    UnknownType,
}

/// A header on its way: where its addresses lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Srh {
    pub(crate) segments_left: u8,
    count: usize,
    cmpr_i: usize,
    cmpr_e: usize,
}

impl Srh {
    /// Reads the routing header at the front of `octets`.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, SrhFault> {
        const LENGTH: SrhFault = SrhFault::Malformed { at: 1 };
        let mut reader = Reader::new(octets);
        let mut u8 = || reader.u8().ok_or(LENGTH);
        let (_next, len, kind, segments_left) = (u8()?, u8()?, u8()?, u8()?);
        if kind != TYPE {
            // RFC 8200 section 4.4: an unknown type with no segments left is passed over.
            let done = Self { segments_left: 0, count: 0, cmpr_i: 0, cmpr_e: 0 };
            return if segments_left == 0 { Ok(done) } else { Err(SrhFault::UnknownType) };
        }
        let (nibbles, pad) = (u8()?, usize::from(u8()? >> 4));
        let (cmpr_i, cmpr_e) = (usize::from(nibbles >> 4), usize::from(nibbles & 15));
        let list = usize::from(len) * 8;
        if octets.len() < FIXED_OCTETS + list {
            return Err(LENGTH);
        }
        // RFC 6554 section 4.2: n = ((HdrExtLen * 8) - Pad - (16 - CmprE)) / (16 - CmprI) + 1.
        let middle = list.checked_sub(pad + 16 - cmpr_e).ok_or(LENGTH)?;
        if !middle.is_multiple_of(16 - cmpr_i) {
            return Err(LENGTH);
        }
        let count = middle / (16 - cmpr_i) + 1;
        if usize::from(segments_left) > count {
            return Err(SrhFault::Malformed { at: 3 });
        }
        Ok(Self { segments_left, count, cmpr_i, cmpr_e })
    }

    /// Where address `index` lies in the header, and how many octets of the prefix it lacks.
    fn slot(&self, index: usize) -> (usize, usize) {
        let at = FIXED_OCTETS + index * (16 - self.cmpr_i);
        (at, if index + 1 == self.count { self.cmpr_e } else { self.cmpr_i })
    }

    /// All addresses, completed from the packet's destination.
    pub(crate) fn addresses<'a>(
        &'a self,
        octets: &'a [u8],
        dst: Ipv6Addr,
    ) -> impl Iterator<Item = Ipv6Addr> + 'a {
        (0..self.count).filter_map(move |index| self.address(octets, dst, index))
    }

    fn address(&self, octets: &[u8], dst: Ipv6Addr, index: usize) -> Option<Ipv6Addr> {
        let (at, cmpr) = self.slot(index);
        let mut addr = dst.octets();
        addr[cmpr..].copy_from_slice(octets.get(at..at + 16 - cmpr)?);
        Some(Ipv6Addr::from(addr))
    }

    /// Takes the next hop off the list and puts `dst` in its place; gives the next hop. Without
    /// segments left, `None`.
    pub(crate) fn advance(&self, octets: &mut [u8], dst: Ipv6Addr) -> Option<Ipv6Addr> {
        let left = usize::from(self.segments_left).checked_sub(1)?;
        let index = self.count - left - 1;
        let next = self.address(octets, dst, index)?;
        let (at, cmpr) = self.slot(index);
        octets.get_mut(at..at + 16 - cmpr)?.copy_from_slice(&dst.octets()[cmpr..]);
        octets[3] = self.segments_left - 1;
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;
    use std::string::String;

    fn node(short: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, short)
    }

    #[test]
    fn octets_of_three_hops() {
        let octets = emit(node(0x0101), &[node(0x0202), node(0x0303), node(0x0404)]).expect("fits");
        assert_eq!(
            to_hex(&octets),
            "000103 03ee20 0000 0202 0303 0404 0000".split(' ').collect::<String>()
        );
        // All in the page of the first hop: one octet each.
        let octets = emit(node(0x0101), &[node(0x0102), node(0x0103)]).expect("fits");
        assert_eq!(
            to_hex(&octets),
            "000103 02ff60 0000 0203 000000000000".split(' ').collect::<String>()
        );
    }

    #[test]
    fn the_packet_visits_every_hop() {
        let hops = [node(0x0202), node(0x0303), node(0x0404)];
        let mut octets = emit(node(0x0101), &hops).expect("fits");
        let mut dst = node(0x0101);
        for hop in hops {
            let srh = Srh::parse(&octets).expect("well-formed");
            dst = srh.advance(&mut octets, dst).expect("segments left");
            assert_eq!(dst, hop);
        }
        let srh = Srh::parse(&octets).expect("well-formed");
        assert_eq!(srh.advance(&mut octets, dst), None);
        assert_eq!(
            srh.addresses(&octets, dst).collect::<std::vec::Vec<_>>(),
            [node(0x0101), node(0x0202), node(0x0303)]
        );
    }

    #[track_caller]
    fn refuse(text: &str, fault: SrhFault) {
        assert_eq!(Srh::parse(&hex(text)), Err(fault));
    }

    #[test]
    fn faults_are_named() {
        refuse("00 00 03 01 ee 20 0000", SrhFault::Malformed { at: 1 }); // no room for an address
        refuse("00 02 03 01 ee 20 0000 0202", SrhFault::Malformed { at: 1 }); // cut
        refuse("00 01 03 05 ee 20 0000 0202030304040000", SrhFault::Malformed { at: 3 });
        refuse("00 01 03 01 be 00 0000 0202030304040000", SrhFault::Malformed { at: 1 }); // 5 | 6
        refuse("00 01 02 01 ee 20 0000 0202030304040000", SrhFault::UnknownType);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_octets_never_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..64), ours: bool) {
            if ours && octets.len() > 3 {
                octets[1] %= 8;
                octets[2] = TYPE;
            }
            if let Ok(srh) = Srh::parse(&octets) {
                let _ = srh.addresses(&octets, node(1)).count();
                let _ = srh.advance(&mut octets, node(1));
            }
        }

        #[test]
        fn every_route_survives(shorts in proptest::collection::vec(any::<u16>(), 2..12)) {
            let hops: std::vec::Vec<_> = shorts[1..].iter().map(|short| node(*short)).collect();
            let mut octets = emit(node(shorts[0]), &hops).expect("fits");
            let mut dst = node(shorts[0]);
            for hop in hops {
                dst = Srh::parse(&octets).expect("ours").advance(&mut octets, dst).expect("left");
                prop_assert_eq!(dst, hop);
            }
        }
    }
}
