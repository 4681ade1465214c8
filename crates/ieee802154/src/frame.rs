//! The general MAC frame, IEEE 802.15.4-2006 clause 7.2.1, without its FCS.
//!
//! **Invariant:** what parses emits the same octets again: a frame that spends a reserved bit is
//! refused, not cleaned.

use crate::ParseDrop;
use crate::addressing::{Addressing, Modes, Pan};
use crate::beacon::BeaconFields;
use crate::octets::{Reader, Writer};
use crate::security::AuxSecurityHeader;
use lowgate_units::{LinkAddr, LinkDst};

/// Most octets of a frame without its FCS: aMaxPHYPacketSize less two.
pub const PSDU_OCTETS_MAX: usize = 125;

const TYPE_BEACON: u16 = 0;
const TYPE_DATA: u16 = 1;
const TYPE_ACK: u16 = 2;
const TYPE_COMMAND: u16 = 3;
const SECURED: u16 = 1 << 3;
const PENDING: u16 = 1 << 4;
const ACK_REQUEST: u16 = 1 << 5;
const COMPRESSION: u16 = 1 << 6;
const RESERVED: u16 = 0b111 << 7;
const VERSION_2006: u16 = 1 << 12;

/// A frame as it is on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An acknowledgement.
    Ack(Ack),
    /// Everything that has addresses.
    Addressed(AddressedFrame<'a>),
}

/// An acknowledgement: whoever waits for this number takes it as his.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The version in its control field, which means nothing here.
    pub version: Version,
    /// The acknowledged frame's.
    pub sequence: u8,
    /// The sender has more for the receiver.
    pub pending: bool,
}

/// Frame version of an unsecured frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 0: what every device understands; ours when not secured.
    V2003,
    /// 1.
    V2006,
}

/// Version and security together: only 2006 has the auxiliary header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// In clear.
    Unsecured(Version),
    /// 2006, secured as the header says.
    Secured(AuxSecurityHeader),
}

/// A beacon, data or command frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressedFrame<'a> {
    /// Version and security.
    pub format: Format,
    /// The sender has more for the receiver.
    pub pending: bool,
    /// The receiver shall acknowledge.
    pub ack_request: bool,
    /// Sequence number: DSN, or BSN of a beacon.
    pub sequence: u8,
    /// Type, addresses and the fields that security leaves readable.
    pub content: Content<'a>,
    /// The rest. Of a secured frame: sealed, with the tag at its end.
    pub payload: &'a [u8],
}

/// Type, addresses, and the fields that security authenticates but does not hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A beacon: from somebody, to everyone.
    Beacon {
        /// The sender's PAN.
        pan: Pan,
        /// The sender.
        src: LinkAddr,
        /// Superframe, slots, pending addresses.
        fields: BeaconFields<'a>,
    },
    /// Data for the layer above.
    Data {
        /// The addresses.
        addressing: Addressing,
    },
    /// A command between MACs.
    Command {
        /// The addresses.
        addressing: Addressing,
        /// Which.
        id: CommandId,
    },
}

/// Command frame identifier (IEEE 802.15.4-2006 table 82).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u8);

impl CommandId {
    /// Association request.
    pub const ASSOCIATION_REQUEST: Self = Self(1);
    /// Data request.
    pub const DATA_REQUEST: Self = Self(4);
    /// Beacon request.
    pub const BEACON_REQUEST: Self = Self(7);
}

impl Frame<'_> {
    /// Reads a whole frame.
    ///
    /// # Errors
    /// [`ParseDrop`] names the field at fault.
    pub fn parse(octets: &[u8]) -> Result<Frame<'_>, ParseDrop> {
        if octets.len() > PSDU_OCTETS_MAX {
            return Err(ParseDrop::TooLong);
        }
        let mut reader = Reader::new(octets);
        let control = reader.u16()?;
        let version = match control >> 12 & 0b11 {
            0 => Version::V2003,
            1 => Version::V2006,
            2 => return Err(ParseDrop::Version2015),
            _ => return Err(ParseDrop::VersionReserved),
        };
        if control & RESERVED != 0 {
            return Err(ParseDrop::FrameControlReserved);
        }
        if control & 0b111 == TYPE_ACK {
            return parse_ack(control, version, reader).map(Frame::Ack);
        }
        parse_addressed(control, version, reader).map(Frame::Addressed)
    }

    /// Octets on the wire.
    pub const fn len(&self) -> usize {
        match self {
            Self::Ack(_) => Ack::LEN,
            Self::Addressed(frame) => frame.len(),
        }
    }

    /// Writes the frame to the front of `out`; the number of octets.
    ///
    /// # Panics
    /// If `out` is shorter than `len`.
    pub fn emit(&self, out: &mut [u8]) -> usize {
        match self {
            Self::Ack(ack) => {
                let octets = ack.octets();
                out[..octets.len()].copy_from_slice(&octets);
                octets.len()
            }
            Self::Addressed(frame) => frame.emit(out),
        }
    }
}

fn parse_ack(control: u16, version: Version, mut reader: Reader<'_>) -> Result<Ack, ParseDrop> {
    let sequence = reader.u8()?;
    let allowed = TYPE_ACK | PENDING | VERSION_2006;
    if control & !allowed != 0 || !reader.rest().is_empty() {
        return Err(ParseDrop::AckMalformed);
    }
    Ok(Ack { version, sequence, pending: control & PENDING != 0 })
}

fn parse_addressed(
    control: u16,
    version: Version,
    mut reader: Reader<'_>,
) -> Result<AddressedFrame<'_>, ParseDrop> {
    let sequence = reader.u8()?;
    let modes = Modes {
        dst: control >> 10 & 0b11,
        src: control >> 14,
        compressed: control & COMPRESSION != 0,
    };
    let frame_type = control & 0b111;
    if frame_type > TYPE_COMMAND {
        return Err(ParseDrop::FrameType);
    }
    let addressing = Addressing::parse(modes, &mut reader)?.ok_or(ParseDrop::AddressesForType)?;
    let format = match (control & SECURED != 0, version) {
        (false, version) => Format::Unsecured(version),
        (true, Version::V2003) => return Err(ParseDrop::Security2003),
        (true, Version::V2006) => Format::Secured(AuxSecurityHeader::parse(&mut reader)?),
    };
    let content = match (frame_type, addressing) {
        (TYPE_BEACON, Addressing::Src { pan, src }) => {
            Content::Beacon { pan, src, fields: BeaconFields::parse(&mut reader)? }
        }
        (TYPE_BEACON, _) => return Err(ParseDrop::AddressesForType),
        (TYPE_DATA, addressing) => Content::Data { addressing },
        (_, addressing) => Content::Command { addressing, id: CommandId(reader.u8()?) },
    };
    Ok(AddressedFrame {
        format,
        pending: control & PENDING != 0,
        ack_request: control & ACK_REQUEST != 0,
        sequence,
        content,
        payload: reader.rest(),
    })
}

impl Ack {
    /// Octets on the wire.
    pub const LEN: usize = 3;

    /// The acknowledgement of the frame numbered `sequence`.
    pub const fn of(sequence: u8) -> Self {
        Self { version: Version::V2003, sequence, pending: false }
    }

    /// The frame itself.
    pub const fn octets(&self) -> [u8; Self::LEN] {
        let mut control = TYPE_ACK;
        if self.pending {
            control |= PENDING;
        }
        if matches!(self.version, Version::V2006) {
            control |= VERSION_2006;
        }
        let [low, high] = control.to_le_bytes();
        [low, high, self.sequence]
    }
}

impl<'a> AddressedFrame<'a> {
    /// A Beacon Request, clause 7.3.7: from nobody, to everyone on every PAN.
    pub const fn beacon_request(sequence: u8) -> Self {
        let addressing = Addressing::Dst { pan: Pan::Any, dst: LinkDst::Broadcast };
        Self {
            format: Format::Unsecured(Version::V2003),
            pending: false,
            ack_request: false,
            sequence,
            content: Content::Command { addressing, id: CommandId::BEACON_REQUEST },
            payload: &[],
        }
    }

    /// From whom.
    pub const fn src(&self) -> Option<LinkAddr> {
        match &self.content {
            Content::Beacon { src, .. } => Some(*src),
            Content::Data { addressing } | Content::Command { addressing, .. } => addressing.src(),
        }
    }

    /// To whom, and in which PAN. `None` for a beacon.
    pub const fn dst(&self) -> Option<(Pan, LinkDst)> {
        match &self.content {
            Content::Beacon { .. } => None,
            Content::Data { addressing } | Content::Command { addressing, .. } => addressing.dst(),
        }
    }

    /// Octets before the payload. Of a secured frame exactly these are authenticated in clear
    /// ("a data", IEEE 802.15.4-2006 table 97): header, auxiliary header, beacon fields or
    /// command identifier.
    pub const fn head_len(&self) -> usize {
        let security = match &self.format {
            Format::Unsecured(_) => 0,
            Format::Secured(aux) => aux.len(),
        };
        let content = match &self.content {
            Content::Beacon { pan, src, fields } => {
                Addressing::Src { pan: *pan, src: *src }.len() + fields.len()
            }
            Content::Data { addressing } => addressing.len(),
            Content::Command { addressing, .. } => addressing.len() + 1,
        };
        3 + security + content
    }

    /// Octets on the wire.
    pub const fn len(&self) -> usize {
        self.head_len() + self.payload.len()
    }

    /// Writes the frame to the front of `out`; the number of octets.
    ///
    /// # Panics
    /// If `out` is shorter than `len`.
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let mut writer = Writer::new(out);
        let (frame_type, addressing) = match self.content {
            Content::Beacon { pan, src, .. } => (TYPE_BEACON, Addressing::Src { pan, src }),
            Content::Data { addressing } => (TYPE_DATA, addressing),
            Content::Command { addressing, .. } => (TYPE_COMMAND, addressing),
        };
        writer.u16(self.control(frame_type, &addressing));
        writer.u8(self.sequence);
        addressing.emit(&mut writer);
        if let Format::Secured(aux) = &self.format {
            aux.emit(&mut writer);
        }
        match &self.content {
            Content::Beacon { fields, .. } => fields.emit(&mut writer),
            Content::Data { .. } => {}
            Content::Command { id, .. } => writer.u8(id.0),
        }
        writer.all(self.payload);
        writer.written()
    }

    fn control(&self, frame_type: u16, addressing: &Addressing) -> u16 {
        let modes = Modes::of(addressing);
        let mut control = frame_type | modes.dst << 10 | modes.src << 14;
        control |= match self.format {
            Format::Unsecured(Version::V2003) => 0,
            Format::Unsecured(Version::V2006) => VERSION_2006,
            Format::Secured(_) => VERSION_2006 | SECURED,
        };
        for (set, bit) in [
            (self.pending, PENDING),
            (self.ack_request, ACK_REQUEST),
            (modes.compressed, COMPRESSION),
        ] {
            if set {
                control |= bit;
            }
        }
        control
    }
}

#[cfg(test)]
mod tests;
