//! A pcapng file back to packets: ours, or anybody's.

use std::fmt;

use lowgate_units::Instant;

use super::{
    BYTE_ORDER_MAGIC, DECRYPTION_SECRETS, ENHANCED_PACKET, INTERFACE_DESCRIPTION, OPTION_COMMENT,
    OPTION_END, OPTION_TIME_RESOLUTION, SECTION_HEADER, TLS_KEY_LOG,
};

/// Most interfaces of a section.
const INTERFACES_MAX: usize = 1024;
/// Times count microseconds where an interface does not say otherwise.
const UNITS_PER_SECOND_USUAL: u64 = 1_000_000;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The comment of its first section, empty when there is none.
    pub about: String,
    /// All packets in the order of the file.
    pub packets: Vec<Packet>,
    /// The lines of its TLS key logs.
    pub secrets: Vec<String>,
}

/// One captured packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// As the capture has it; virtual time in ours.
    pub at: Instant,
    /// What kind of packet: [`LINKTYPE_TAP`](super::LINKTYPE_TAP) or another.
    pub link_type: u16,
    /// Its octets, as many as were captured.
    pub octets: Vec<u8>,
    /// Empty when there is none.
    pub comment: String,
}

/// Where and why a file is no pcapng.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFault {
    /// Octets from the beginning of the file to the block at fault.
    pub at: usize,
    /// What is wrong with it.
    pub reason: ReadReason,
}

/// Why a file is no pcapng.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReason {
    /// It does not begin with a section header, or its magic number is unknown.
    NoPcapng,
    /// Of a major version other than 1.
    Version,
    /// The file ends within the block.
    CutShort,
    /// Its two lengths differ, or are too small or no multiple of 4.
    BlockLength,
    /// Its fields do not fit into it.
    FieldLength,
    /// More interfaces than a capture of one site has.
    TooManyInterfaces,
    /// A packet of an interface that was not described.
    UnknownInterface,
    /// A time resolution finer than this reader understands.
    TimeResolution,
}

impl fmt::Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            ReadReason::NoPcapng => "this is no pcapng file",
            ReadReason::Version => "a version other than 1 is not understood",
            ReadReason::CutShort => "the file ends within a block",
            ReadReason::BlockLength => "the lengths of a block do not agree",
            ReadReason::FieldLength => "the fields of a block do not fit into it",
            ReadReason::TooManyInterfaces => "there are too many interfaces",
            ReadReason::UnknownInterface => "a packet names an interface that nobody described",
            ReadReason::TimeResolution => "a time resolution is too fine",
        };
        write!(f, "at octet {}: {reason}", self.at)
    }
}

impl std::error::Error for ReadFault {}

/// All packets of a pcapng file of either byte order. Blocks of other kinds are skipped.
///
/// # Errors
/// The first block that is wrong.
pub fn read(file: &[u8]) -> Result<Recording, ReadFault> {
    let mut reading = Reading::default();
    let mut at = 0;
    while at < file.len() {
        let len = reading.block(&file[at..]).map_err(|reason| ReadFault { at, reason })?;
        at += len;
    }
    if reading.sections == 0 {
        return Err(ReadFault { at: 0, reason: ReadReason::NoPcapng });
    }
    Ok(reading.recording)
}

#[derive(Default)]
struct Reading {
    recording: Recording,
    sections: u64,
    order: Order,
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy, Default)]
enum Order {
    #[default]
    Little,
    Big,
}

struct Interface {
    link_type: u16,
    units_per_second: u64,
}

impl Reading {
    /// Reads the block at the beginning of `rest`; how long it is.
    fn block(&mut self, rest: &[u8]) -> Result<usize, ReadReason> {
        // The header of a section says in which order numbers are; its kind reads alike in both.
        let kind = self.order.u32(rest, 0).ok_or(ReadReason::CutShort)?;
        if kind == SECTION_HEADER {
            self.order = Order::of(rest)?;
        } else if self.sections == 0 {
            return Err(ReadReason::NoPcapng);
        }
        let len = self.order.u32(rest, 4).ok_or(ReadReason::CutShort)? as usize;
        if len < 12 || !len.is_multiple_of(4) {
            return Err(ReadReason::BlockLength);
        }
        let block = rest.get(..len).ok_or(ReadReason::CutShort)?;
        if self.order.u32(block, len - 4) != Some(len as u32) {
            return Err(ReadReason::BlockLength);
        }
        let body = &block[8..len - 4];
        match kind {
            SECTION_HEADER => self.section(body)?,
            INTERFACE_DESCRIPTION => self.interface(body)?,
            ENHANCED_PACKET => self.packet(body)?,
            DECRYPTION_SECRETS => self.secrets(body).ok_or(ReadReason::FieldLength)?,
            _ => {} // Statistics, names and others' blocks.
        }
        Ok(len)
    }

    fn section(&mut self, body: &[u8]) -> Result<(), ReadReason> {
        if self.order.u16(body, 4).ok_or(ReadReason::FieldLength)? != 1 {
            return Err(ReadReason::Version);
        }
        let options = body.get(16..).ok_or(ReadReason::FieldLength)?;
        if self.sections == 0 {
            self.recording.about = self.comment(options)?;
        }
        self.sections += 1;
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), ReadReason> {
        if self.interfaces.len() == INTERFACES_MAX {
            return Err(ReadReason::TooManyInterfaces);
        }
        let link_type = self.order.u16(body, 0).ok_or(ReadReason::FieldLength)?;
        let options = body.get(8..).ok_or(ReadReason::FieldLength)?;
        let mut units_per_second = UNITS_PER_SECOND_USUAL;
        for option in self.options(options)? {
            if let (OPTION_TIME_RESOLUTION, [resolution, ..]) = option {
                let (base, power) = if resolution & 0x80 == 0 {
                    (10u64, *resolution)
                } else {
                    (2, resolution & 0x7f)
                };
                let units = base.checked_pow(u32::from(power));
                units_per_second = units.ok_or(ReadReason::TimeResolution)?;
            }
        }
        self.interfaces.push(Interface { link_type, units_per_second });
        Ok(())
    }

    fn packet(&mut self, body: &[u8]) -> Result<(), ReadReason> {
        let field = |index: usize| self.order.u32(body, 4 * index).ok_or(ReadReason::FieldLength);
        let interface =
            self.interfaces.get(field(0)? as usize).ok_or(ReadReason::UnknownInterface)?;
        let units = u64::from(field(1)?) << 32 | u64::from(field(2)?);
        let len = field(3)? as usize;
        let octets = body.get(20..).and_then(|rest| rest.get(..len));
        let octets = octets.ok_or(ReadReason::FieldLength)?.to_vec();
        let options = body.get(20 + len.next_multiple_of(4)..).ok_or(ReadReason::FieldLength)?;
        let comment = self.comment(options)?;
        let micros = u128::from(units) * 1_000_000 / u128::from(interface.units_per_second);
        let at = Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let link_type = interface.link_type;
        self.recording.packets.push(Packet { at, link_type, octets, comment });
        Ok(())
    }

    fn secrets(&mut self, body: &[u8]) -> Option<()> {
        let kind = self.order.u32(body, 0)?;
        let len = self.order.u32(body, 4)? as usize;
        let secrets = body.get(8..)?.get(..len)?;
        if kind == TLS_KEY_LOG {
            let lines = String::from_utf8_lossy(secrets);
            self.recording.secrets.extend(lines.lines().map(str::to_owned));
        }
        Some(())
    }

    fn comment(&self, options: &[u8]) -> Result<String, ReadReason> {
        let options = self.options(options)?;
        let comment = options.iter().find(|(code, _)| *code == OPTION_COMMENT);
        Ok(comment.map_or(String::new(), |(_, value)| String::from_utf8_lossy(value).into_owned()))
    }

    fn options<'o>(&self, mut rest: &'o [u8]) -> Result<Vec<(u16, &'o [u8])>, ReadReason> {
        let mut options = Vec::new();
        while let (Some(code), Some(len)) = (self.order.u16(rest, 0), self.order.u16(rest, 2)) {
            if code == OPTION_END {
                break;
            }
            let len = usize::from(len);
            let value = rest.get(4..).and_then(|rest| rest.get(..len));
            options.push((code, value.ok_or(ReadReason::FieldLength)?));
            rest = rest.get(4 + len.next_multiple_of(4)..).ok_or(ReadReason::FieldLength)?;
        }
        Ok(options)
    }
}

impl Order {
    fn of(section: &[u8]) -> Result<Self, ReadReason> {
        if Self::Little.u32(section, 8).ok_or(ReadReason::CutShort)? == BYTE_ORDER_MAGIC {
            Ok(Self::Little)
        } else if Self::Big.u32(section, 8) == Some(BYTE_ORDER_MAGIC) {
            Ok(Self::Big)
        } else {
            Err(ReadReason::NoPcapng)
        }
    }

    fn u16(self, octets: &[u8], at: usize) -> Option<u16> {
        let octets = *octets.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        })
    }

    fn u32(self, octets: &[u8], at: usize) -> Option<u32> {
        let octets = *octets.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        })
    }
}
