//! The figures, for programs and for people.

use crate::ccm::Direction;
use serde::Serialize;
use std::fmt;

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Each way, from an IPv6 packet to the co-processor's line or back.
    pub(crate) forward: Vec<Forward>,
    /// What a datagram costs that the filter keeps out.
    pub(crate) flood: Vec<Flood>,
    /// One frame of 127 octets.
    pub(crate) ccm: Vec<Ccm>,
}

/// One datagram.
#[derive(Debug, Serialize)]
pub(crate) struct Forward {
    pub(crate) way: Way,
    pub(crate) payload_octets: usize,
    /// Of the last hop.
    pub(crate) frames: usize,
    pub(crate) ours: Cost,
    /// Between two veth.
    pub(crate) kernel: Cost,
    /// Our time over the kernel's.
    pub(crate) ratio: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// Building to mesh, to a device three hops away.
    Inward,
    /// Mesh to building.
    Outward,
}

/// Of one datagram, or of one frame.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) micros: f64,
    /// `None` where nothing counts them.
    pub(crate) instructions: Option<f64>,
}

/// One datagram of a flood.
#[derive(Debug, Serialize)]
pub(crate) struct Flood {
    pub(crate) kind: String,
    pub(crate) ours: Cost,
    /// Of one processor, at 10 000 a second.
    pub(crate) load_percent: f64,
}

/// One frame.
#[derive(Debug, Serialize)]
pub(crate) struct Ccm {
    pub(crate) direction: Direction,
    pub(crate) level: u8,
    pub(crate) ours: Cost,
    /// OpenSSL with the key given with every frame, as ours has it.
    pub(crate) openssl: Cost,
    /// OpenSSL with the key given once.
    pub(crate) openssl_key_kept: Cost,
    /// Our time over that of OpenSSL, key kept.
    pub(crate) ratio: f64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} us ", self.micros)?;
        match self.instructions {
            Some(count) => write!(f, "{count:>9.0} ins"),
            None => write!(f, "{:>9} ins", "-"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "one datagram forwarded{:28}ours{:20}the kernel    ours/kernel", "", "")?;
        for row in &self.forward {
            let way = match row.way {
                Way::Inward => "building -> mesh",
                Way::Outward => "mesh -> building",
            };
            let (octets, frames) = (row.payload_octets, row.frames);
            write!(f, "  {way}, {octets:>4} octets, {frames:>2} frames")?;
            writeln!(f, " {}  {}  {:>6.1}", row.ours, row.kernel, row.ratio)?;
        }
        writeln!(f, "one datagram of a flood{:27}ours    load at 10 000/s", "")?;
        for row in &self.flood {
            let (kind, load) = (&row.kind, row.load_percent);
            writeln!(f, "  {kind:<41} {}  {load:>5.2} %", row.ours)?;
        }
        writeln!(
            f,
            "one frame of 127 octets{:8}ours{:16}OpenSSL, key given{:8}OpenSSL, key kept  ours/kept",
            "", "", ""
        )?;
        for row in &self.ccm {
            let name = format!("{}, level {}", row.direction.name(), row.level);
            write!(f, "  {name:<14} {}  {}", row.ours, row.openssl)?;
            writeln!(f, "  {}  {:>5.2}", row.openssl_key_kept, row.ratio)?;
        }
        Ok(())
    }
}
