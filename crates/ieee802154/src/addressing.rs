//! Addressing fields, IEEE 802.15.4-2006 clauses 7.2.1.3 to 7.2.1.6.
//!
//! **Invariant:** the reversal of an extended address between air and print happens in `octets`,
//! for this crate and everyone above.

use crate::ParseDrop;
use crate::octets::{Reader, Writer};
use lowgate_units::{LinkAddr, LinkDst, PanId, ShortAddr};

const SHORT_BROADCAST: u16 = 0xffff;
const MODE_NONE: u16 = 0;
const MODE_SHORT: u16 = 2;
const MODE_EXTENDED: u16 = 3;

/// A PAN identifier field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pan {
    /// 0xffff: all PANs as a destination, none yet as a source.
    Any,
    /// One PAN.
    Id(PanId),
}

impl Pan {
    const fn raw(self) -> u16 {
        match self {
            Self::Any => 0xffff,
            Self::Id(id) => id.raw(),
        }
    }
}

impl From<Option<PanId>> for Pan {
    fn from(id: Option<PanId>) -> Self {
        id.map_or(Self::Any, Self::Id)
    }
}

/// The source's PAN in a frame with both addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrcPan {
    /// PAN id compression: the destination's, not repeated.
    Compressed,
    /// Carried, whether or not it equals the destination's.
    Carried(Pan),
}

/// The addresses of a data or command frame: never none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// No source: a Beacon Request, say.
    Dst {
        /// In which PAN.
        pan: Pan,
        /// To whom.
        dst: LinkDst,
    },
    /// No destination: to the PAN's coordinator.
    Src {
        /// From which PAN.
        pan: Pan,
        /// From whom.
        src: LinkAddr,
    },
    /// The usual case.
    Both {
        /// The destination's PAN.
        dst_pan: Pan,
        /// To whom.
        dst: LinkDst,
        /// The source's PAN.
        src_pan: SrcPan,
        /// From whom.
        src: LinkAddr,
    },
}

impl Addressing {
    /// Source and destination in one PAN, its identifier carried once.
    pub const fn within(pan: PanId, dst: LinkDst, src: LinkAddr) -> Self {
        Self::Both { dst_pan: Pan::Id(pan), dst, src_pan: SrcPan::Compressed, src }
    }

    /// From whom.
    pub const fn src(&self) -> Option<LinkAddr> {
        match self {
            Self::Dst { .. } => None,
            Self::Src { src, .. } | Self::Both { src, .. } => Some(*src),
        }
    }

    /// To whom, and in which PAN.
    pub const fn dst(&self) -> Option<(Pan, LinkDst)> {
        match self {
            Self::Src { .. } => None,
            Self::Dst { pan, dst } | Self::Both { dst_pan: pan, dst, .. } => Some((*pan, *dst)),
        }
    }

    /// Octets on the wire: 4 to 20.
    pub const fn len(&self) -> usize {
        match self {
            Self::Dst { dst, .. } => 2 + dst_len(*dst),
            Self::Src { src, .. } => 2 + src_len(*src),
            Self::Both { dst, src_pan: SrcPan::Compressed, src, .. } => {
                2 + dst_len(*dst) + src_len(*src)
            }
            Self::Both { dst, src, .. } => 4 + dst_len(*dst) + src_len(*src),
        }
    }
}

const fn dst_len(dst: LinkDst) -> usize {
    match dst {
        LinkDst::Broadcast => 2,
        LinkDst::Unicast(addr) => src_len(addr),
    }
}

const fn src_len(addr: LinkAddr) -> usize {
    match addr {
        LinkAddr::Short(_) => 2,
        LinkAddr::Extended(_) => 8,
    }
}

/// What the frame control field says of the addresses.
#[derive(Clone, Copy)]
pub(crate) struct Modes {
    pub(crate) dst: u16,
    pub(crate) src: u16,
    pub(crate) compressed: bool,
}

impl Modes {
    pub(crate) const fn of(addressing: &Addressing) -> Self {
        let (dst, src, compressed) = match addressing {
            Addressing::Dst { dst, .. } => (dst_mode(*dst), MODE_NONE, false),
            Addressing::Src { src, .. } => (MODE_NONE, src_mode(*src), false),
            Addressing::Both { dst, src, src_pan, .. } => {
                (dst_mode(*dst), src_mode(*src), matches!(src_pan, SrcPan::Compressed))
            }
        };
        Self { dst, src, compressed }
    }
}

const fn dst_mode(dst: LinkDst) -> u16 {
    match dst {
        LinkDst::Broadcast => MODE_SHORT,
        LinkDst::Unicast(addr) => src_mode(addr),
    }
}

const fn src_mode(addr: LinkAddr) -> u16 {
    match addr {
        LinkAddr::Short(_) => MODE_SHORT,
        LinkAddr::Extended(_) => MODE_EXTENDED,
    }
}

const fn has(mode: u16) -> Result<bool, ParseDrop> {
    match mode {
        MODE_NONE => Ok(false),
        MODE_SHORT | MODE_EXTENDED => Ok(true),
        _ => Err(ParseDrop::AddressingMode),
    }
}

fn parse_pan(reader: &mut Reader<'_>) -> Result<Pan, ParseDrop> {
    reader.u16().map(|raw| Pan::from(PanId::new(raw)))
}

fn parse_dst(modes: Modes, reader: &mut Reader<'_>) -> Result<LinkDst, ParseDrop> {
    if modes.dst == MODE_EXTENDED {
        return Ok(LinkDst::Unicast(LinkAddr::Extended(reader.eui64()?)));
    }
    match reader.u16()? {
        SHORT_BROADCAST => Ok(LinkDst::Broadcast),
        raw => Ok(LinkDst::Unicast(short(raw)?)),
    }
}

fn parse_src(modes: Modes, reader: &mut Reader<'_>) -> Result<LinkAddr, ParseDrop> {
    if modes.src == MODE_EXTENDED {
        return reader.eui64().map(LinkAddr::Extended);
    }
    short(reader.u16()?)
}

fn short(raw: u16) -> Result<LinkAddr, ParseDrop> {
    ShortAddr::new(raw).map(LinkAddr::Short).ok_or(ParseDrop::ShortAddrReserved)
}

impl Addressing {
    /// `None` without any address, which only an acknowledgement may be.
    pub(crate) fn parse(modes: Modes, reader: &mut Reader<'_>) -> Result<Option<Self>, ParseDrop> {
        let carried = (has(modes.dst)?, has(modes.src)?);
        if modes.compressed && carried != (true, true) {
            return Err(ParseDrop::CompressionWithoutAddresses);
        }
        Ok(match carried {
            (false, false) => None,
            (true, false) => {
                Some(Self::Dst { pan: parse_pan(reader)?, dst: parse_dst(modes, reader)? })
            }
            (false, true) => {
                Some(Self::Src { pan: parse_pan(reader)?, src: parse_src(modes, reader)? })
            }
            (true, true) => Some(Self::Both {
                dst_pan: parse_pan(reader)?,
                dst: parse_dst(modes, reader)?,
                src_pan: if modes.compressed {
                    SrcPan::Compressed
                } else {
                    SrcPan::Carried(parse_pan(reader)?)
                },
                src: parse_src(modes, reader)?,
            }),
        })
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        match *self {
            Self::Dst { pan, dst } => {
                writer.u16(pan.raw());
                emit_dst(dst, writer);
            }
            Self::Src { pan, src } => {
                writer.u16(pan.raw());
                emit_addr(src, writer);
            }
            Self::Both { dst_pan, dst, src_pan, src } => {
                writer.u16(dst_pan.raw());
                emit_dst(dst, writer);
                if let SrcPan::Carried(pan) = src_pan {
                    writer.u16(pan.raw());
                }
                emit_addr(src, writer);
            }
        }
    }
}

fn emit_dst(dst: LinkDst, writer: &mut Writer<'_>) {
    match dst {
        LinkDst::Broadcast => writer.u16(SHORT_BROADCAST),
        LinkDst::Unicast(addr) => emit_addr(addr, writer),
    }
}

fn emit_addr(addr: LinkAddr, writer: &mut Writer<'_>) {
    match addr {
        LinkAddr::Short(short) => writer.u16(short.raw()),
        LinkAddr::Extended(eui64) => writer.eui64(eui64),
    }
}
