//! Captures that Wireshark opens: pcapng, written and read back.
//!
//! The air is interface 0, 802.15.4 frames with their channel, strength and quality in front (TAP); the
//! backbone is interface 1, bare IPv6 packets. Interface 2, if it is there, repeats what relays pass on as
//! the domain manager takes it out of their envelope. Secrets of DTLS sessions stand before all packets, because a
//! dissector needs them before it meets the sessions. Format: draft-ietf-opsawg-pcapng.
//!
//! **Invariant:** the same calls give the same octets; in a [`Capture`] times are virtual, since the world's
//! beginning.

mod live;
mod read;
mod tap;
mod unwrap;

use lowgate_units::Instant;

pub use live::{begin_live, live_frame};
pub use read::{Packet, ReadFault, ReadReason, Recording, read};
pub use tap::{AirFrame, TapFault};
pub use unwrap::unwrapped;

/// LINKTYPE_IEEE802_15_4_TAP.
pub const LINKTYPE_TAP: u16 = 283;
/// LINKTYPE_IPV6.
pub const LINKTYPE_IPV6: u16 = 229;
/// Most octets of packets that a capture holds; later packets are left out and counted.
pub const CAPTURE_OCTETS_MAX: usize = 1 << 30;

const AIR: u32 = 0;
const BACKBONE: u32 = 1;
const UNWRAPPED: u32 = 2;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;
/// "TLSK": lines in the format of NSS key logs, which DTLS shares.
const TLS_KEY_LOG: u32 = 0x544c_534b;

const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_INTERFACE_NAME: u16 = 2;
const OPTION_INTERFACE_DESCRIPTION: u16 = 3;
const OPTION_USER_APPLICATION: u16 = 4;
const OPTION_TIME_RESOLUTION: u16 = 9;

/// A capture that is being recorded, in memory.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    packets: Vec<u8>,
    secrets: String,
    taken: u64,
    left_out: u64,
    has_unwrapped: bool,
}

impl Capture {
    /// An empty capture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a frame on the air. An empty comment is none.
    pub fn frame(&mut self, at: Instant, frame: &AirFrame<'_>, comment: &str) {
        let mut octets = Vec::with_capacity(40 + frame.psdu.len());
        frame.emit(&mut octets);
        self.record(AIR, at, &octets, comment);
    }

    /// Records an IPv6 packet on the backbone. An empty comment is none.
    pub fn packet(&mut self, at: Instant, packet: &[u8], comment: &str) {
        self.record(BACKBONE, at, packet, comment);
    }

    /// Records the packet that an envelope on the backbone stands for: see [`unwrapped`].
    pub fn unwrapped(&mut self, at: Instant, packet: &[u8], comment: &str) {
        self.has_unwrapped = true;
        self.record(UNWRAPPED, at, packet, comment);
    }

    /// Adds a session's secret: one line in the format of NSS key logs, `CLIENT_RANDOM <random> <secret>`.
    pub fn secret(&mut self, line: &str) {
        self.secrets.push_str(line.trim());
        self.secrets.push('\n');
    }

    /// The lines that [`Capture::secret`] added.
    pub fn key_log(&self) -> impl Iterator<Item = &str> {
        self.secrets.lines()
    }

    /// How many packets it holds. Wireshark numbers them from 1.
    pub fn packets(&self) -> u64 {
        self.taken
    }

    /// How many packets found no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The file. `about` becomes the comment of its section: how it came about, and how to read it.
    pub fn emit(&self, about: &str) -> Vec<u8> {
        let mut file = Vec::with_capacity(self.packets.len() + self.secrets.len() + 512);
        section_header(&mut file, about);
        interface(&mut file, LINKTYPE_TAP, "air", "802.15.4 frames as they are sent");
        interface(&mut file, LINKTYPE_IPV6, "backbone", "IPv6 between border router and manager");
        if self.has_unwrapped {
            interface(&mut file, LINKTYPE_IPV6, "unwrapped", "what relays' envelopes hold");
        }
        if !self.secrets.is_empty() {
            block(&mut file, DECRYPTION_SECRETS, |body| {
                body.extend(TLS_KEY_LOG.to_le_bytes());
                body.extend((self.secrets.len() as u32).to_le_bytes());
                padded(body, self.secrets.as_bytes());
            });
        }
        file.extend_from_slice(&self.packets);
        file
    }

    fn record(&mut self, interface: u32, at: Instant, octets: &[u8], comment: &str) {
        if self.packets.len() + octets.len() + comment.len() > CAPTURE_OCTETS_MAX {
            self.left_out += 1;
            return;
        }
        self.taken += 1;
        packet(&mut self.packets, interface, at, octets, comment);
    }
}

fn packet(file: &mut Vec<u8>, interface: u32, at: Instant, octets: &[u8], comment: &str) {
    let micros = at.as_micros();
    block(file, ENHANCED_PACKET, |body| {
        let len = octets.len() as u32;
        for field in [interface, (micros >> 32) as u32, micros as u32, len, len] {
            body.extend(field.to_le_bytes());
        }
        padded(body, octets);
        if !comment.is_empty() {
            option(body, OPTION_COMMENT, comment.as_bytes());
            option(body, OPTION_END, &[]);
        }
    });
}

fn section_header(file: &mut Vec<u8>, about: &str) {
    block(file, SECTION_HEADER, |body| {
        body.extend(BYTE_ORDER_MAGIC.to_le_bytes());
        body.extend(1u16.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        // The section's length is not said.
        body.extend(u64::MAX.to_le_bytes());
        if !about.is_empty() {
            option(body, OPTION_COMMENT, about.as_bytes());
        }
        option(body, OPTION_USER_APPLICATION, b"Lowgate");
        option(body, OPTION_END, &[]);
    });
}

fn interface(file: &mut Vec<u8>, link_type: u16, name: &str, description: &str) {
    block(file, INTERFACE_DESCRIPTION, |body| {
        body.extend(link_type.to_le_bytes());
        body.extend(0u16.to_le_bytes());
        // No limit to the octets of a packet.
        body.extend(0u32.to_le_bytes());
        option(body, OPTION_INTERFACE_NAME, name.as_bytes());
        option(body, OPTION_INTERFACE_DESCRIPTION, description.as_bytes());
        // Times count units of 10 to the power of -6 seconds.
        option(body, OPTION_TIME_RESOLUTION, &[6]);
        option(body, OPTION_END, &[]);
    });
}

/// A block has its length at both ends, so that files can be read backwards.
fn block(file: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = file.len();
    file.extend(kind.to_le_bytes());
    file.extend([0; 4]);
    body(file);
    let len = ((file.len() - begin + 4) as u32).to_le_bytes();
    file.extend(len);
    file[begin + 4..begin + 8].copy_from_slice(&len);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    // A comment longer than its length field can say is cut.
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    padded(body, value);
}

fn padded(body: &mut Vec<u8>, octets: &[u8]) {
    body.extend_from_slice(octets);
    body.resize(body.len() + octets.len().wrapping_neg() % 4, 0);
}

#[cfg(test)]
mod tests;
