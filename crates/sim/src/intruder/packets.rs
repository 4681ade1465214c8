//! Packets of an attacker's own making, and the frames they travel in.

use lowgate_crypto::{Ccm, Key128};
use lowgate_ieee802154::{
    AddressedFrame, Addressing, AuxSecurityHeader, Content, Format, Frame, FrameCounter, KeyId,
    KeyIndex, Version, nonce,
};
use lowgate_mac::{LinkSecurity, Psdu};
use lowgate_router::{Datagram, packet};
use lowgate_sixlowpan::{ContextId, ContextUse, Contexts, LinkPair, Prefix, iphc};
use lowgate_units::{Eui64, Ipv6Addr, LinkAddr, LinkDst, PanId};

/// RFC 8200 section 8.1.
const ICMPV6: u8 = 58;
/// Proves a neighbour (RFC 4861 section 7.1).
pub(super) const NEAR: u8 = 255;
/// Of a packet that goes farther.
pub(super) const FAR: u8 = 64;
const HOP_LIMIT_AT: usize = 7;
/// What an unsecured frame between extended addresses carries.
const CONTENT_OCTETS_MAX: usize = 104;

/// An ICMPv6 message: who says it, to whom, from how near, its type and code, and its body.
pub(super) fn icmpv6(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    hop_limit: u8,
    [kind, code]: [u8; 2],
    body: &[u8],
) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], body].concat();
    let addresses = [src.octets(), dst.octets()].concat();
    let len = message.len() as u8;
    let summed = [&addresses[..], &[0, 0, 0, len, 0, 0, 0, ICMPV6], &message].concat();
    let word = |word: &[u8]| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
    let sum: u32 = summed.chunks(2).map(word).sum();
    // RFC 1071: carries come round; there are too few words for a second one.
    let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    let header = [0x60, 0, 0, 0, 0, len, ICMPV6, hop_limit];
    [&header[..], &addresses, &message].concat()
}

/// A datagram between these addresses and ports.
pub(super) fn udp(
    (src, src_port): (Ipv6Addr, u16),
    (dst, dst_port): (Ipv6Addr, u16),
    hop_limit: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = packet(&Datagram { src, dst, src_port, dst_port, payload });
    packet[HOP_LIMIT_AT] = hop_limit;
    packet
}

/// Of a packet, what a frame from one to the other carries; with the mesh's prefix, if it is known there.
pub(super) fn compressed(
    src: Eui64,
    dst: LinkDst,
    packet: &[u8],
    prefix: Option<[u8; 8]>,
) -> Option<Vec<u8>> {
    let mut contexts = Contexts::default();
    if let Some(prefix) = prefix {
        let prefix = Prefix::new(lowgate_units::Iid([0; 8]).under(prefix), 64)?;
        contexts.set(ContextId::new(0)?, prefix, ContextUse::Both);
    }
    let link = LinkPair { src: LinkAddr::Extended(src), dst };
    let mut octets = [0; CONTENT_OCTETS_MAX];
    let len = iphc::compress(packet, link, &contexts, &mut octets).ok()?.len();
    Some(octets[..len].to_vec())
}

/// A frame of data without security.
pub(super) fn unsecured<'p>(
    pan: PanId,
    src: Eui64,
    dst: LinkDst,
    sequence: u8,
    payload: &'p [u8],
) -> AddressedFrame<'p> {
    AddressedFrame {
        format: Format::Unsecured(Version::V2003),
        pending: false,
        ack_request: dst != LinkDst::Broadcast,
        sequence,
        content: Content::Data {
            addressing: Addressing::within(pan, dst, LinkAddr::Extended(src)),
        },
        payload,
    }
}

/// The octets; `None` if they are too many.
pub(super) fn emit(frame: &Frame<'_>) -> Option<Psdu> {
    let mut psdu = Psdu::new();
    psdu.resize_default(frame.len()).ok()?;
    frame.emit(&mut psdu);
    Some(psdu)
}

/// The octets of a frame that somebody seals who holds the key, in whatever name.
pub(super) fn sealed(
    ccm: &dyn Ccm,
    (index, key): (KeyIndex, &Key128),
    (src, counter): (Eui64, FrameCounter),
    frame: AddressedFrame<'_>,
) -> Option<Psdu> {
    let level = LinkSecurity::EncMic64.level();
    let aux = AuxSecurityHeader { level, key_id: KeyId::Index(index), counter };
    let frame = AddressedFrame { format: Format::Secured(aux), ..frame };
    let mut psdu = emit(&Frame::Addressed(frame))?;
    let (head_len, mic_at) = (frame.head_len(), psdu.len());
    psdu.resize_default(mic_at + level.mic_len()).ok()?;
    let (head, rest) = psdu.split_at_mut(head_len);
    let (payload, mic) = rest.split_at_mut(mic_at - head_len);
    ccm.seal(key, &nonce(src, counter, level), head, payload, mic);
    Some(psdu)
}
