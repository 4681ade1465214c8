//! `lowgate decode`: a capture in words, one line a packet, and in it what other analysers cannot
//! know: the relays' envelope, key messages, group records.
//!
//! Without keys it tells what anybody can see. With the folder that `--keys` wrote it opens frames,
//! the DTLS sessions whose handshake is in the capture, and group records. It never prints a key.
//!
//! **Invariant:** no file makes it panic; what does not parse is named in its line and the next
//! line follows. Every table has a bound.

mod air;
mod coap;
mod dtls;
mod ip;
mod key_messages;
mod keys;
mod session;

pub use keys::{KeyFault, Keys, write_keys};

use air::Air;
use ip::Ip;
use lowgate_sim::capture::{
    AirFrame, LINKTYPE_IPV6, LINKTYPE_TAP, Packet, ReadFault, Recording, read,
};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// LINKTYPE_IEEE802_15_4_WITHFCS.
const LINKTYPE_WITH_FCS: u16 = 195;
/// LINKTYPE_IEEE802_15_4_NOFCS.
const LINKTYPE_NO_FCS: u16 = 230;

/// Why a capture is not decoded. Each prints as one line that names the file.
#[derive(Debug)]
pub enum DecodeFault {
    /// The capture cannot be read from its disk.
    File(PathBuf, io::Error),
    /// The capture is no capture.
    Capture(PathBuf, ReadFault),
    /// A file of keys.
    Key(KeyFault),
    /// The lines cannot be written.
    Output(io::Error),
}

impl fmt::Display for DecodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, why) => {
                write!(f, "{}: cannot be read: {why}; a pcapng file is wanted", path.display())
            }
            Self::Capture(path, fault) => {
                write!(f, "{}: {fault}; a pcapng file is wanted", path.display())
            }
            Self::Key(fault) => fault.fmt(f),
            Self::Output(why) => write!(f, "the lines cannot be written: {why}"),
        }
    }
}

impl std::error::Error for DecodeFault {}

/// Decodes the file at `capture` with the keys of a folder, if there is one, and writes its lines.
///
/// # Errors
/// Every fault of the key files at once, or the first of the capture or of `out`.
pub fn run(
    capture: &Path,
    keys: Option<&Path>,
    out: &mut dyn Write,
) -> Result<(), Vec<DecodeFault>> {
    let keys = keys.map(Keys::read).transpose().map_err(|faults| {
        let faults: Vec<DecodeFault> = faults.into_iter().map(DecodeFault::Key).collect();
        faults
    })?;
    let file =
        std::fs::read(capture).map_err(|why| vec![DecodeFault::File(capture.into(), why)])?;
    let recording =
        read(&file).map_err(|fault| vec![DecodeFault::Capture(capture.into(), fault)])?;
    for line in lines(&recording, keys.as_ref()) {
        match writeln!(out, "{line}") {
            Ok(()) => {}
            // Who reads no further has seen enough.
            Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(why) => return Err(vec![DecodeFault::Output(why)]),
        }
    }
    Ok(())
}

/// The packets of a recording in words, numbered as Wireshark numbers them.
pub fn lines<'a>(
    recording: &'a Recording,
    keys: Option<&'a Keys>,
) -> impl Iterator<Item = String> + 'a {
    let mut decoder = Decoder::new(recording, keys);
    (1..).zip(&recording.packets).map(move |(number, packet)| decoder.line(number, packet))
}

/// What is learnt from one packet for the next.
struct Decoder<'a> {
    air: Air<'a>,
    ip: Ip<'a>,
}

/// What a line says of a packet.
#[derive(Default)]
struct Said {
    src: String,
    dst: String,
    /// From the outermost layer to the innermost.
    layers: Vec<String>,
}

impl Said {
    fn between(src: impl ToString, dst: impl ToString) -> Self {
        Self { src: src.to_string(), dst: dst.to_string(), layers: Vec::new() }
    }

    fn say(&mut self, layer: impl Into<String>) {
        self.layers.push(layer.into());
    }
}

impl<'a> Decoder<'a> {
    fn new(recording: &Recording, keys: Option<&'a Keys>) -> Self {
        Self { air: Air::new(keys), ip: Ip::new(&recording.secrets, keys) }
    }

    fn line(&mut self, number: u64, packet: &Packet) -> String {
        let said = self.packet(packet);
        let seconds = packet.at.as_secs_f64();
        let comment = match &packet.comment[..] {
            "" => String::new(),
            comment => format!(" ({})", printable(comment.as_bytes())),
        };
        let (src, dst, layers) = (said.src, said.dst, said.layers.join(" | "));
        format!("{number:>6} {seconds:>12.6} {src} → {dst} {layers}{comment}")
    }

    fn packet(&mut self, packet: &Packet) -> Said {
        let octets = &packet.octets[..];
        let psdu = match packet.link_type {
            LINKTYPE_TAP => match AirFrame::parse(octets) {
                Ok(frame) => frame.psdu,
                Err(fault) => return unreadable(&format!("no TAP header: {fault:?}")),
            },
            LINKTYPE_NO_FCS => octets,
            LINKTYPE_WITH_FCS => &octets[..octets.len().saturating_sub(2)],
            LINKTYPE_IPV6 => return self.backbone(octets),
            other => return unreadable(&format!("link type {other} is not read")),
        };
        let (mut said, datagram) = self.air.frame(packet.at, psdu);
        if let Some(datagram) = datagram {
            self.ip.packet(&datagram, &mut said);
        }
        said
    }

    fn backbone(&mut self, octets: &[u8]) -> Said {
        let address = |at: usize| {
            let octets: [u8; 16] = octets.get(at..at + 16)?.try_into().ok()?;
            Some(lowgate_units::Ipv6Addr::from(octets).to_string())
        };
        let (Some(src), Some(dst)) = (address(8), address(24)) else {
            return unreadable("no IPv6 packet");
        };
        let mut said = Said::between(src, dst);
        self.ip.packet(octets, &mut said);
        said
    }
}

fn unreadable(why: &str) -> Said {
    let mut said = Said::between("-", "-");
    said.say(why);
    said
}

/// Octets of a text or number that are printed at most.
const SHOWN_OCTETS_MAX: usize = 48;

/// Text in quotes, other octets in hexadecimal.
fn shown(octets: &[u8]) -> String {
    let front = &octets[..octets.len().min(SHOWN_OCTETS_MAX)];
    let more = if front.len() < octets.len() { "…" } else { "" };
    if !front.is_empty() && front.iter().all(|octet| matches!(octet, 0x20..=0x7e)) {
        format!("\"{}{more}\"", printable(front))
    } else {
        format!("{}{more}", hex(front))
    }
}

/// Text that cannot steer a terminal.
fn printable(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).chars().map(|c| if c.is_control() { '.' } else { c }).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Takes fields off the front of octets that may end anywhere.
#[derive(Clone, Copy)]
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(front)
    }

    /// A big-endian number of up to eight octets.
    fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(self.number(2)? as u16)
    }
}

#[cfg(test)]
mod tests;
