//! Address modes of IPHC: SAC/SAM and M/DAC/DAM, RFC 6282 sections 3.1.1 and 3.2.

use heapless::Vec;
use lowgate_units::{Iid, Ipv6Addr};

use super::DecompressDrop;
use crate::wire::Reader;
use crate::{ContextId, Contexts, Prefix};

/// Stateful bit of a source or destination mode: SAC, DAC.
const STATEFUL: u8 = 0x4;
/// M, the bit before DAC.
const MULTICAST: u8 = 0x8;

/// An address as it goes on the wire.
pub(super) struct Encoded {
    /// SAC and SAM, or M, DAC and DAM.
    pub(super) mode: u8,
    /// The context it needs; the default one when it needs none.
    pub(super) context: ContextId,
    /// What is carried in line.
    pub(super) inline: Vec<u8, 16>,
}

/// Which contexts an encoding may use: others than context 0 cost an octet for the pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    DefaultContext,
    AnyContext,
}

impl Encoded {
    fn new(mode: u8, context: ContextId, inline: &[u8]) -> Self {
        // A slice of an address always fits.
        Self { mode, context, inline: Vec::from_slice(inline).unwrap_or_default() }
    }

    fn stateless(mode: u8, inline: &[u8]) -> Self {
        Self::new(mode, ContextId::DEFAULT, inline)
    }

    fn shorter(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.inline.len() < self.inline.len() => other,
            Some(_) | None => self,
        }
    }
}

/// The shortest mode for a source address. `elided` is the IID the encapsulating header implies.
pub(super) fn encode_source(
    addr: Ipv6Addr,
    elided: Option<Iid>,
    contexts: &Contexts,
    reach: Reach,
) -> Encoded {
    // SAC=1, SAM=00: the unspecified address.
    if addr.is_unspecified() {
        return Encoded::stateless(STATEFUL, &[]);
    }
    encode_unicast(addr, elided, contexts, reach)
}

/// The shortest mode for a destination address.
pub(super) fn encode_destination(
    addr: Ipv6Addr,
    elided: Option<Iid>,
    contexts: &Contexts,
    reach: Reach,
) -> Encoded {
    if addr.is_multicast() {
        encode_multicast(addr, contexts, reach)
    } else {
        encode_unicast(addr, elided, contexts, reach)
    }
}

fn encode_unicast(
    addr: Ipv6Addr,
    elided: Option<Iid>,
    contexts: &Contexts,
    reach: Reach,
) -> Encoded {
    let mut best = Encoded::stateless(0, &addr.octets());
    best = best.shorter(encode_under(Prefix::LINK_LOCAL, 0, ContextId::DEFAULT, addr, elided));
    for (id, prefix) in within(contexts, reach) {
        best = best.shorter(encode_under(prefix, STATEFUL, id, addr, elided));
    }
    best
}

/// The shortest of modes 11, 10 and 01 that `prefix` restores `addr` from.
fn encode_under(
    prefix: Prefix,
    stateful: u8,
    context: ContextId,
    addr: Ipv6Addr,
    elided: Option<Iid>,
) -> Option<Encoded> {
    let iid = Iid::of(addr);
    let [.., high, low] = iid.0;
    // RFC 6282 section 3.2.2: IID bits not covered by the context MUST NOT be elided if they do
    // not match. So each mode is tried by what decompression would make of it.
    if elided.is_some_and(|elided| prefix.with_iid(elided) == addr) {
        Some(Encoded::new(stateful | 3, context, &[]))
    } else if prefix.with_iid(short_iid([high, low])) == addr {
        Some(Encoded::new(stateful | 2, context, &[high, low]))
    } else if prefix.with_iid(iid) == addr {
        Some(Encoded::new(stateful | 1, context, &iid.0))
    } else {
        None
    }
}

fn encode_multicast(addr: Ipv6Addr, contexts: &Contexts, reach: Reach) -> Encoded {
    let o = addr.octets();
    let zeros = |from: usize, to: usize| o.iter().take(to).skip(from).all(|octet| *octet == 0);
    // DAC=0, DAM=11: ff02::00XX.
    if o[1] == 0x02 && zeros(2, 15) {
        return Encoded::stateless(MULTICAST | 3, &o[15..]);
    }
    // DAC=0, DAM=10: ffXX::00XX:XXXX.
    if zeros(2, 13) {
        return Encoded::stateless(MULTICAST | 2, &[o[1], o[13], o[14], o[15]]);
    }
    // DAC=0, DAM=01: ffXX::00XX:XXXX:XXXX.
    if zeros(2, 11) {
        return Encoded::stateless(MULTICAST | 1, &[o[1], o[11], o[12], o[13], o[14], o[15]]);
    }
    // DAC=1, DAM=00: ffXX:XXLL:PPPP:PPPP:PPPP:PPPP:XXXX:XXXX, L and P from the context.
    let inline = [o[1], o[2], o[12], o[13], o[14], o[15]];
    let fits = |prefix| unicast_prefix_based(inline, prefix) == Some(addr);
    match within(contexts, reach).find(|(_, prefix)| fits(*prefix)) {
        Some((id, _)) => Encoded::new(MULTICAST | STATEFUL, id, &inline),
        // DAC=0, DAM=00: the full address.
        None => Encoded::stateless(MULTICAST, &o),
    }
}

fn within(contexts: &Contexts, reach: Reach) -> impl Iterator<Item = (ContextId, Prefix)> + '_ {
    let reached = move |id| reach == Reach::AnyContext || id == ContextId::DEFAULT;
    contexts.for_compression().filter(move |(id, _)| reached(*id))
}

/// The source address that the three bits SAC and SAM and the octets in line stand for.
pub(super) fn parse_source(
    mode: u8,
    context: ContextId,
    elided: Option<Iid>,
    contexts: &Contexts,
    reader: &mut Reader<'_>,
) -> Result<Ipv6Addr, DecompressDrop> {
    match mode & 0x7 {
        0..=3 => parse_unicast(mode, Prefix::LINK_LOCAL, elided, reader),
        STATEFUL => Ok(Ipv6Addr::UNSPECIFIED),
        5.. => {
            let prefix = contexts.prefix(context).ok_or(DecompressDrop::UnknownContext)?;
            parse_unicast(mode, prefix, elided, reader)
        }
    }
}

/// The destination address that the four bits M, DAC and DAM and the octets in line stand for.
pub(super) fn parse_destination(
    mode: u8,
    context: ContextId,
    elided: Option<Iid>,
    contexts: &Contexts,
    reader: &mut Reader<'_>,
) -> Result<Ipv6Addr, DecompressDrop> {
    let addr = match mode & 0xf {
        0..=3 => parse_unicast(mode, Prefix::LINK_LOCAL, elided, reader)?,
        // M=0, DAC=1, DAM=00 is reserved.
        STATEFUL => return Err(DecompressDrop::ReservedAddressMode),
        5..=7 => {
            let prefix = contexts.prefix(context).ok_or(DecompressDrop::UnknownContext)?;
            parse_unicast(mode, prefix, elided, reader)?
        }
        8..=11 => parse_multicast(mode, reader)?,
        12 => {
            let prefix = contexts.prefix(context).ok_or(DecompressDrop::UnknownContext)?;
            let inline = reader.array()?;
            unicast_prefix_based(inline, prefix).ok_or(DecompressDrop::ContextTooLong)?
        }
        // M=1, DAC=1, DAM=01, 10 and 11 are reserved.
        13.. => return Err(DecompressDrop::ReservedAddressMode),
    };
    // RFC 6282 section 3.1.1: M says whether the destination is a multicast address.
    if addr.is_multicast() != (mode & MULTICAST != 0) {
        return Err(DecompressDrop::MulticastBitWrong);
    }
    Ok(addr)
}

fn parse_unicast(
    mode: u8,
    prefix: Prefix,
    elided: Option<Iid>,
    reader: &mut Reader<'_>,
) -> Result<Ipv6Addr, DecompressDrop> {
    let iid = match mode & 0x3 {
        0 => return Ok(Ipv6Addr::from(reader.array::<16>()?)),
        1 => Iid(reader.array()?),
        2 => short_iid(reader.array()?),
        3.. => elided.ok_or(DecompressDrop::NoLinkAddress)?,
    };
    Ok(prefix.with_iid(iid))
}

fn parse_multicast(mode: u8, reader: &mut Reader<'_>) -> Result<Ipv6Addr, DecompressDrop> {
    let mut octets = [0; 16];
    octets[0] = 0xff;
    match mode & 0x3 {
        0 => octets = reader.array()?,
        1 => {
            octets[1] = reader.octet()?;
            octets[11..].copy_from_slice(&reader.array::<5>()?);
        }
        2 => {
            octets[1] = reader.octet()?;
            octets[13..].copy_from_slice(&reader.array::<3>()?);
        }
        3.. => {
            octets[1] = 0x02;
            octets[15] = reader.octet()?;
        }
    }
    Ok(Ipv6Addr::from(octets))
}

/// The address of RFC 6282 figure 10 for a context; `None` when the context is over 64 bits,
/// which RFC 3306 section 4 has no room for.
fn unicast_prefix_based(inline: [u8; 6], prefix: Prefix) -> Option<Ipv6Addr> {
    if prefix.len() > 64 {
        return None;
    }
    let [flags_scope, riid, group @ ..] = inline;
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&[0xff, flags_scope, riid, prefix.len()]);
    octets[4..12].copy_from_slice(&prefix.addr().octets()[..8]);
    octets[12..].copy_from_slice(&group);
    Some(Ipv6Addr::from(octets))
}

/// The IID of 16 bits in line: any 16 bits, also those that are nobody's short address.
// RFC 6282 section 3.1.1: 0000:00ff:fe00:XXXX.
fn short_iid([high, low]: [u8; 2]) -> Iid {
    Iid([0, 0, 0, 0xff, 0xfe, 0, high, low])
}
