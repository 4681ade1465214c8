//! What happens to a daemon's machines: the closed set of their inputs, for the loop that feeds them and
//! for the journal.
//!
//! **Invariant:** an input is all that the machines learn, but for the time and chance; what is read from
//! a journal is what was written.

use super::control::Ask;
use super::journal::wire::{Emit, Parse};
use lowgate_units::Ipv6Addr;

/// One thing that happens.
#[derive(Clone)]
pub(super) enum Input {
    /// The daemon has everything that it needs.
    Start,
    /// Time has passed.
    Wake,
    /// The serial line is open.
    LineOpened,
    /// The serial line is not open.
    LineClosed { why: String },
    /// The co-processor says something.
    LineOctets(Vec<u8>),
    /// From the building's network.
    Packet(Vec<u8>),
    /// To one of the manager's ports.
    ForManager { from: (Ipv6Addr, u16), dst_port: u16, octets: Vec<u8> },
    /// To the border router's own port.
    ForRouter { from: (Ipv6Addr, u16), octets: Vec<u8> },
    /// From the building's network to a group.
    ForGroup { from: (Ipv6Addr, u16), group: Ipv6Addr, octets: Vec<u8> },
    /// Something outside does not work, which people should know.
    Trouble { line: String },
    /// The disk has that revision.
    Committed { revision: u64 },
    /// The disk has that record.
    Stored { ticket: u32 },
    /// A command asks; its answer carries the number.
    Asked { question: u64, ask: Ask },
}

impl Input {
    /// What it is, for people; no key is in it.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Start => "start".into(),
            Self::Wake => "time has passed".into(),
            Self::LineOpened => "the serial line is open".into(),
            Self::LineClosed { why } => format!("the serial line is closed: {why}"),
            Self::LineOctets(octets) => format!("{} octets of the serial line", octets.len()),
            Self::Packet(packet) => format!("a packet of {} octets", packet.len()),
            Self::ForManager { from: (addr, port), dst_port, octets } => {
                let len = octets.len();
                format!("{len} octets for the manager's port {dst_port} from [{addr}]:{port}")
            }
            Self::ForRouter { from: (addr, port), octets } => {
                format!("{} octets for the border router from [{addr}]:{port}", octets.len())
            }
            Self::ForGroup { from: (addr, port), group, octets } => {
                format!("{} octets for the group {group} from [{addr}]:{port}", octets.len())
            }
            Self::Trouble { line } => line.clone(),
            Self::Committed { revision } => format!("revision {revision} is stored"),
            Self::Stored { ticket } => format!("the border router's record {ticket} is stored"),
            Self::Asked { question, ask } => format!("question {question}: {}", ask.word()),
        }
    }

    pub(super) fn emit(&self, out: &mut Emit) {
        match self {
            Self::Start => {
                out.u8(0);
            }
            Self::Wake => {
                out.u8(1);
            }
            Self::LineOpened => {
                out.u8(2);
            }
            Self::LineClosed { why } => {
                out.u8(3).octets(why.as_bytes());
            }
            Self::LineOctets(octets) => {
                out.u8(4).octets(octets);
            }
            Self::Packet(packet) => {
                out.u8(5).octets(packet);
            }
            Self::ForManager { from: (addr, port), dst_port, octets } => {
                out.u8(6).addr(*addr).u16(*port).u16(*dst_port).octets(octets);
            }
            Self::ForRouter { from: (addr, port), octets } => {
                out.u8(7).addr(*addr).u16(*port).octets(octets);
            }
            Self::ForGroup { from: (addr, port), group, octets } => {
                out.u8(11).addr(*addr).u16(*port).addr(*group).octets(octets);
            }
            Self::Trouble { line } => {
                out.u8(12).octets(line.as_bytes());
            }
            Self::Committed { revision } => {
                out.u8(8).u64(*revision);
            }
            Self::Stored { ticket } => {
                out.u8(9).u32(*ticket);
            }
            Self::Asked { question, ask } => {
                let ask = serde_json::to_vec(ask).expect("a question is strings and numbers");
                out.u8(10).u64(*question).octets(&ask);
            }
        }
    }

    pub(super) fn parse(from: &mut Parse<'_>) -> Option<Self> {
        Some(match from.u8()? {
            0 => Self::Start,
            1 => Self::Wake,
            2 => Self::LineOpened,
            3 => Self::LineClosed { why: from.text()? },
            4 => Self::LineOctets(from.octets()?.to_vec()),
            5 => Self::Packet(from.octets()?.to_vec()),
            6 => Self::ForManager {
                from: (from.addr()?, from.u16()?),
                dst_port: from.u16()?,
                octets: from.octets()?.to_vec(),
            },
            7 => {
                let sender = (from.addr()?, from.u16()?);
                Self::ForRouter { from: sender, octets: from.octets()?.to_vec() }
            }
            8 => Self::Committed { revision: from.u64()? },
            9 => Self::Stored { ticket: from.u32()? },
            10 => Self::Asked {
                question: from.u64()?,
                ask: serde_json::from_slice(from.octets()?).ok()?,
            },
            11 => {
                let sender = (from.addr()?, from.u16()?);
                let (group, octets) = (from.addr()?, from.octets()?.to_vec());
                Self::ForGroup { from: sender, group, octets }
            }
            12 => Self::Trouble { line: from.text()? },
            _ => return None,
        })
    }
}
