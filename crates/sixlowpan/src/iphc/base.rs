//! The IPv6 header as LOWPAN_IPHC, RFC 6282 section 3.

use lowgate_units::{Iid, Ipv6Addr, LinkDst};

use super::DecompressDrop;
use super::address::{self, Encoded, Reach};
use crate::wire::{Full, Reader, Truncated, Writer};
use crate::{ContextId, Contexts, LinkPair};

/// Octets of an IPv6 header.
pub(super) const IPV6_OCTETS: usize = 40;

/// What the encapsulating header says of elided IIDs.
#[derive(Clone, Copy)]
pub(super) struct Outer {
    src: Option<Iid>,
    dst: Option<Iid>,
}

impl Outer {
    /// The frame is the encapsulating header.
    pub(super) fn link(link: LinkPair) -> Self {
        let dst = match link.dst {
            LinkDst::Broadcast => None,
            LinkDst::Unicast(addr) => Some(addr.into()),
        };
        Self { src: Some(link.src.into()), dst }
    }
}

/// An IPv6 header without the payload length, which the lower layers know.
#[derive(Clone, Copy)]
pub(super) struct Ipv6Header {
    traffic_class: u8,
    flow_label: u32,
    pub(super) next: u8,
    hop_limit: u8,
    src: Ipv6Addr,
    dst: Ipv6Addr,
}

/// How the header after this one is carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// As it is; its number is in line.
    Inline(u8),
    /// By a next header encoding that also says its number.
    Compressed,
}

impl Ipv6Header {
    /// The header at the front of `octets`, the beginning of a packet of `size` octets.
    pub(super) fn parse_begin(octets: &[u8], size: usize) -> Result<Self, NotWhole> {
        let mut reader = Reader::new(octets);
        let (version, payload_len, header) =
            Self::parse(&mut reader).map_err(|_| NotWhole::NotIpv6)?;
        if version != 6 {
            return Err(NotWhole::NotIpv6);
        }
        // RFC 4944 section 5.3: datagram_size SHALL be 40 octets more than the payload length.
        if usize::from(payload_len) + IPV6_OCTETS != size || octets.len() > size {
            return Err(NotWhole::LengthMismatch);
        }
        Ok(header)
    }

    fn parse(reader: &mut Reader<'_>) -> Result<(u8, u16, Self), Truncated> {
        let word = u32::from_be_bytes(reader.array()?);
        let [version, traffic_class, ..] = (word >> 4).to_be_bytes();
        let payload_len = reader.u16()?;
        let header = Self {
            traffic_class,
            flow_label: word & 0x000f_ffff,
            next: reader.octet()?,
            hop_limit: reader.octet()?,
            src: Ipv6Addr::from(reader.array::<16>()?),
            dst: Ipv6Addr::from(reader.array::<16>()?),
        };
        Ok((version, payload_len, header))
    }

    /// As an IPv6 header whose payload length is still zero.
    pub(super) fn emit(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        let word = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label;
        writer.put(&word.to_be_bytes())?;
        writer.put(&[0, 0, self.next, self.hop_limit])?;
        writer.put(&self.src.octets())?;
        writer.put(&self.dst.octets())
    }

    /// What this header, as the encapsulating one, says of elided IIDs.
    // RFC 6282 section 3.2.2: bits are copied from the addresses of the encapsulating IPv6 header.
    pub(super) fn as_outer(&self) -> Outer {
        Outer { src: Some(Iid::of(self.src)), dst: Some(Iid::of(self.dst)) }
    }

    /// Writes the shortest LOWPAN_IPHC encoding.
    pub(super) fn emit_iphc(
        &self,
        next: Next,
        outer: Outer,
        contexts: &Contexts,
        writer: &mut Writer<'_>,
    ) -> Result<(), Full> {
        let (src, dst) = self.encode_addresses(outer, contexts);
        let (traffic_bits, traffic) = self.encode_traffic();
        let next_bit = if next == Next::Compressed { 0x04 } else { 0 };
        let hop_bits = match self.hop_limit {
            1 => 1,
            64 => 2,
            255 => 3,
            0 | 2..=63 | 65..=254 => 0,
        };
        let cid = src.context.raw() << 4 | dst.context.raw();
        let cid_bit = if cid == 0 { 0 } else { 0x80 };
        writer.put(&[
            0x60 | traffic_bits << 3 | next_bit | hop_bits,
            cid_bit | src.mode << 4 | dst.mode,
        ])?;
        if cid != 0 {
            writer.put(&[cid])?;
        }
        // RFC 6282 section 3.2: fields carried in line appear in the order of the IPv6 header.
        writer.put(traffic.as_slice())?;
        if let Next::Inline(number) = next {
            writer.put(&[number])?;
        }
        if hop_bits == 0 {
            writer.put(&[self.hop_limit])?;
        }
        writer.put(&src.inline)?;
        writer.put(&dst.inline)
    }

    /// The pair that takes the fewest octets, the context identifier octet included.
    fn encode_addresses(&self, outer: Outer, contexts: &Contexts) -> (Encoded, Encoded) {
        let pair = |reach| {
            let src = address::encode_source(self.src, outer.src, contexts, reach);
            let dst = address::encode_destination(self.dst, outer.dst, contexts, reach);
            let octets = src.inline.len() + dst.inline.len();
            (octets, (src, dst))
        };
        let (octets, pair_by_default) = pair(Reach::DefaultContext);
        let (octets_any, pair_by_any) = pair(Reach::AnyContext);
        if octets_any + 1 < octets { pair_by_any } else { pair_by_default }
    }

    /// The TF bits and the octets in line.
    // RFC 6282 section 3.2.1: ECN first, then DSCP: the traffic class is rotated right by 2 bits.
    fn encode_traffic(&self) -> (u8, heapless::Vec<u8, 4>) {
        let rotated = self.traffic_class.rotate_right(2);
        let [_, flow @ ..] = self.flow_label.to_be_bytes();
        let dscp = rotated & 0x3f;
        let mut inline = heapless::Vec::new();
        // At most four octets in every arm, so there is room.
        let bits = match (dscp, self.flow_label) {
            (0, 0) if rotated == 0 => 3,
            (_, 0) => {
                let _ = inline.push(rotated);
                2
            }
            (0, _) => {
                let _ = inline.extend_from_slice(&[rotated | flow[0], flow[1], flow[2]]);
                1
            }
            (_, _) => {
                let _ = inline.extend_from_slice(&[rotated, flow[0], flow[1], flow[2]]);
                0
            }
        };
        (bits, inline)
    }

    /// Reads a LOWPAN_IPHC encoding. `next` of the header is zero while that is compressed.
    pub(super) fn parse_iphc(
        reader: &mut Reader<'_>,
        outer: Outer,
        contexts: &Contexts,
    ) -> Result<(Self, Next), DecompressDrop> {
        let [first, second] = reader.array()?;
        if first & 0xe0 != 0x60 {
            return Err(DecompressDrop::UnknownDispatch);
        }
        // RFC 6282 section 3.1.1: without CID, context 0 is used.
        let cid = if second & 0x80 == 0 { 0 } else { reader.octet()? };
        let context = |raw| ContextId::new(raw).ok_or(DecompressDrop::UnknownContext);
        let (source_context, destination_context) = (context(cid >> 4)?, context(cid & 0x0f)?);
        let (traffic_class, flow_label) = parse_traffic(first >> 3, reader)?;
        let next = if first & 0x04 == 0 { Next::Inline(reader.octet()?) } else { Next::Compressed };
        let hop_limit = match first & 0x03 {
            0 => reader.octet()?,
            1 => 1,
            2 => 64,
            3.. => 255,
        };
        let src = address::parse_source(second >> 4, source_context, outer.src, contexts, reader)?;
        let dst =
            address::parse_destination(second, destination_context, outer.dst, contexts, reader)?;
        let number = match next {
            Next::Inline(number) => number,
            Next::Compressed => 0,
        };
        Ok((Self { traffic_class, flow_label, next: number, hop_limit, src, dst }, next))
    }
}

/// Traffic class and flow label by the two TF bits.
fn parse_traffic(bits: u8, reader: &mut Reader<'_>) -> Result<(u8, u32), DecompressDrop> {
    match bits & 0x3 {
        0 => {
            let [rotated, flow @ ..] = reader.array::<4>()?;
            Ok((rotated.rotate_left(2), flow_label(flow)))
        }
        1 => {
            let flow = reader.array::<3>()?;
            Ok((flow[0] >> 6, flow_label(flow)))
        }
        2 => Ok((reader.octet()?.rotate_left(2), 0)),
        3.. => Ok((0, 0)),
    }
}

/// The low 20 bits; the padding before them says nothing.
fn flow_label([high, middle, low]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, high & 0x0f, middle, low])
}

/// Why octets are not the IPv6 packet they should be.
pub(super) enum NotWhole {
    NotIpv6,
    LengthMismatch,
}
