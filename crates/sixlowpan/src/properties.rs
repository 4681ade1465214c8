//! What holds for every packet and for every octet string.

extern crate std;

use crate::iphc::{compress, compress_within, decompress};
use crate::*;
use lowgate_units::{Eui64, Iid, Instant, Ipv6Addr, LinkAddr, LinkDst, ShortAddr};
use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;

const CASES: u32 = 256;

fn link_addr() -> impl Strategy<Value = LinkAddr> {
    prop_oneof![
        (0u16..0xfffe).prop_map(|raw| LinkAddr::Short(ShortAddr::new(raw).unwrap())),
        any::<[u8; 8]>().prop_map(|octets| LinkAddr::Extended(Eui64(octets))),
    ]
}

fn link_pair() -> impl Strategy<Value = LinkPair> {
    let dst = prop_oneof![Just(LinkDst::Broadcast), link_addr().prop_map(LinkDst::Unicast)];
    (link_addr(), dst).prop_map(|(src, dst)| LinkPair { src, dst })
}

fn prefix() -> impl Strategy<Value = Prefix> {
    let len = prop_oneof![Just(64u8), Just(48), 0u8..=128];
    (any::<u128>(), len).prop_map(|(bits, len)| {
        // Unicast: the first octet is never 0xff.
        Prefix::new(Ipv6Addr::from_bits(bits & !(0xc0 << 120)), len).unwrap()
    })
}

fn contexts() -> impl Strategy<Value = Contexts> {
    vec((0u8..16, prefix(), any::<bool>()), 0..6).prop_map(|entries| {
        let mut contexts = Contexts::new();
        for (id, prefix, both) in entries {
            let usage = if both { ContextUse::Both } else { ContextUse::DecompressionOnly };
            contexts.set(ContextId::new(id).unwrap(), prefix, usage);
        }
        contexts
    })
}

/// How an address relates to what both ends know: picks of [`Address::resolve`].
#[derive(Clone, Debug)]
struct Address {
    prefix: u8,
    iid: u8,
    noise: u128,
}

fn address() -> impl Strategy<Value = Address> {
    (any::<u8>(), any::<u8>(), any::<u128>()).prop_map(|(p, i, noise)| Address {
        prefix: p,
        iid: i,
        noise,
    })
}

impl Address {
    fn iid(&self, link: LinkPair) -> Iid {
        match (self.iid % 5, link.dst) {
            (0, _) => link.src.into(),
            (1, LinkDst::Unicast(addr)) => addr.into(),
            (2, _) => Iid([0, 0, 0, 0xff, 0xfe, 0, self.noise as u8, (self.noise >> 8) as u8]),
            // A value that two headers of a chain are likely to share.
            (3, _) => Iid([0, 0, 0, 0xff, 0xfe, 0, 0, self.noise as u8 & 1]),
            (_, _) => Iid((self.noise as u64).to_be_bytes()),
        }
    }

    fn resolve(&self, link: LinkPair, contexts: &Contexts) -> Ipv6Addr {
        let known: Vec<Prefix> = contexts.iter().map(|(_, prefix, _)| prefix).collect();
        match self.prefix % 6 {
            0 => Ipv6Addr::UNSPECIFIED,
            1 => Ipv6Addr::from_bits(self.noise & !(0xc0 << 120)),
            2 => Prefix::LINK_LOCAL.with_iid(self.iid(link)),
            _ => known
                .get(usize::from(self.prefix / 6) % known.len().max(1))
                .unwrap_or(&Prefix::LINK_LOCAL)
                .with_iid(self.iid(link)),
        }
    }

    fn resolve_destination(&self, link: LinkPair, contexts: &Contexts) -> Ipv6Addr {
        if self.noise >> 100 & 3 != 0 {
            return self.resolve(link, contexts);
        }
        let noise = self.noise.to_be_bytes();
        let mut octets = [0; 16];
        octets[0] = 0xff;
        octets[1] = if self.iid & 1 == 0 { 2 } else { noise[0] };
        match self.prefix % 5 {
            0 => octets[15] = noise[15],
            1 => octets[13..].copy_from_slice(&noise[13..]),
            2 => octets[11..].copy_from_slice(&noise[11..]),
            3 => octets[1..].copy_from_slice(&noise[1..]),
            _ => {
                octets[2] = noise[2];
                octets[12..].copy_from_slice(&noise[12..]);
                if let Some((_, prefix, _)) = contexts.iter().next() {
                    octets[3] = prefix.len();
                    octets[4..12].copy_from_slice(&prefix.addr().octets()[..8]);
                }
            }
        }
        Ipv6Addr::from(octets)
    }
}

/// A header of a chain, as it is drawn.
#[derive(Clone, Debug)]
enum Layer {
    Ipv6 { traffic: u32, hop_limit: u8, src: Address, dst: Address },
    Options { number: u8, options: Vec<(u8, Vec<u8>)>, zeros: bool },
    Routing { body: Vec<u8> },
}

fn ipv6_layer() -> impl Strategy<Value = Layer> {
    let traffic = prop_oneof![
        Just(0),
        (0u32..4).prop_map(|ecn| ecn << 20),
        0u32..1 << 20,
        (0u32..256).prop_map(|class| class << 20),
        0u32..1 << 28
    ];
    let hop_limit = prop_oneof![Just(1u8), Just(64), Just(255), any::<u8>()];
    (traffic, hop_limit, address(), address())
        .prop_map(|(traffic, hop_limit, src, dst)| Layer::Ipv6 { traffic, hop_limit, src, dst })
}

fn options_layer(number: u8) -> impl Strategy<Value = Layer> {
    // 0x23 and 0x63 RPL, 0x6d MPL, 0 and 1 padding within.
    let kind = prop_oneof![Just(0x23u8), Just(0x63), Just(0x6d), Just(1), Just(0), any::<u8>()];
    (vec((kind, vec(any::<u8>(), 0..9)), 0..4), prop::bool::weighted(0.9))
        .prop_map(move |(options, zeros)| Layer::Options { number, options, zeros })
}

fn routing_layer() -> impl Strategy<Value = Layer> {
    (0usize..8).prop_flat_map(|units| {
        vec(any::<u8>(), units * 8 + 6).prop_map(|body| Layer::Routing { body })
    })
}

#[derive(Clone, Debug)]
enum Tail {
    Udp { src: u16, dst: u16, checksum: u16, data: Vec<u8> },
    Icmpv6(Vec<u8>),
    Other(u8, Vec<u8>),
}

fn tail() -> impl Strategy<Value = Tail> {
    let port = || prop_oneof![0xf0b0u16..=0xf0bf, 0xf000u16..=0xf0ff, any::<u16>()];
    let data = || vec(any::<u8>(), 0..400);
    prop_oneof![
        4 => (port(), port(), any::<u16>(), data())
            .prop_map(|(src, dst, checksum, data)| Tail::Udp { src, dst, checksum, data }),
        2 => data().prop_map(Tail::Icmpv6),
        1 => (any::<u8>(), data()).prop_map(|(number, data)| Tail::Other(number, data)),
    ]
}

fn layers() -> impl Strategy<Value = Vec<Layer>> {
    let ip = || ipv6_layer().boxed();
    prop_oneof![
        (ip(),).prop_map(|(a,)| Vec::from([a])),
        (ip(), options_layer(0)).prop_map(|(a, b)| Vec::from([a, b])),
        (ip(), routing_layer(), ip()).prop_map(|(a, b, c)| Vec::from([a, b, c])),
        (ip(), options_layer(0), ip()).prop_map(|(a, b, c)| Vec::from([a, b, c])),
        (ip(), options_layer(60), options_layer(0), ip(), routing_layer(), ip(), ip())
            .prop_map(|(a, b, c, d, e, f, g)| Vec::from([a, b, c, d, e, f, g])),
    ]
}

fn build(layers: &[Layer], tail: &Tail, link: LinkPair, contexts: &Contexts) -> Vec<u8> {
    let (mut number, mut packet) = match tail {
        Tail::Udp { src, dst, checksum, data } => {
            let len = u16::try_from(8 + data.len()).unwrap();
            let fields = [*src, *dst, len, *checksum].map(u16::to_be_bytes);
            (17, [fields.as_flattened(), data.as_slice()].concat())
        }
        Tail::Icmpv6(data) => (58, data.clone()),
        Tail::Other(number, data) => (*number, data.clone()),
    };
    for layer in layers.iter().rev() {
        let (own, header) = match layer {
            Layer::Ipv6 { traffic, hop_limit, src, dst } => {
                let mut header = Vec::from((6 << 28 | traffic).to_be_bytes());
                header.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
                header.extend([number, *hop_limit]);
                header.extend(src.resolve(link, contexts).octets());
                header.extend(dst.resolve_destination(link, contexts).octets());
                (41, header)
            }
            Layer::Options { number: own, options, zeros } => {
                let mut header = Vec::from([number, 0]);
                for (kind, data) in options {
                    header.push(*kind);
                    if *kind != 0 {
                        header.push(u8::try_from(data.len()).unwrap());
                        header.extend(data);
                    }
                }
                match (8 - header.len() % 8) % 8 {
                    0 => {}
                    1 => header.push(0),
                    pad => {
                        header.extend([1, u8::try_from(pad - 2).unwrap()]);
                        header.extend(std::vec![u8::from(!zeros); pad - 2]);
                    }
                }
                header[1] = u8::try_from(header.len() / 8 - 1).unwrap();
                (*own, header)
            }
            Layer::Routing { body } => {
                let units = u8::try_from((body.len() + 2) / 8 - 1).unwrap();
                (43, [[number, units].as_slice(), body].concat())
            }
        };
        packet.splice(0..0, header);
        number = own;
    }
    packet
}

/// A valid packet with the link and the contexts it travels under.
fn travelling() -> impl Strategy<Value = (Vec<u8>, LinkPair, Contexts)> {
    (layers(), tail(), link_pair(), contexts()).prop_map(|(layers, tail, link, contexts)| {
        (build(&layers, &tail, link, &contexts), link, contexts)
    })
}

fn restored(octets: &[u8], link: LinkPair, contexts: &Contexts, dirt: u8) -> Vec<u8> {
    let mut out = [dirt; DATAGRAM_OCTETS_MAX];
    let whole = decompress(octets, link, contexts, None, &mut out).expect("it was compressed");
    out[..whole.len].to_vec()
}

fn cut(octets: &[u8], mut fragmenter: Fragmenter, payload_max: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut out = [0xa5; DATAGRAM_OCTETS_MAX + 1];
    while let Some(len) = fragmenter.emit_next(octets, &mut out) {
        assert!(len <= payload_max);
        frames.push(out[..len].to_vec());
    }
    assert!(fragmenter.is_done());
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn decompression_undoes_compression((packet, link, contexts) in travelling(), dirt: u8) {
        let mut out = [dirt; DATAGRAM_OCTETS_MAX + 1];
        let compressed = compress(&packet, link, &contexts, &mut out).unwrap();
        prop_assert!(compressed.len() <= packet.len(), "never longer");
        prop_assert!(compressed.covers().is_multiple_of(8));
        let octets = &out[..compressed.len()];
        prop_assert_eq!(restored(octets, link, &contexts, !dirt), packet);
        for len in 0..compressed.headers() {
            let _ = decompress(&octets[..len], link, &contexts, None, &mut [dirt; DATAGRAM_OCTETS_MAX]);
        }
    }

    #[test]
    fn so_it_does_within_any_room((packet, link, contexts) in travelling(), max in 0usize..120) {
        let mut out = [0xa5; DATAGRAM_OCTETS_MAX + 1];
        let compressed = compress_within(&packet, link, &contexts, max, &mut out).unwrap();
        prop_assert!(compressed.headers() <= max.max(1));
        let octets = &out[..compressed.len()];
        prop_assert_eq!(&octets[compressed.headers()..], &packet[compressed.covers()..]);
        prop_assert_eq!(restored(octets, link, &contexts, 0x5a), packet);
    }

    #[test]
    fn any_octets_decompress_without_panic(
        mut octets in vec(any::<u8>(), 0..200),
        first in prop_oneof![Just(0x41u8), 0x60u8..=0x7f],
        size in 0usize..1400,
        room in 0usize..1400,
        (link, contexts) in (link_pair(), contexts()),
    ) {
        if let Some(octet) = octets.first_mut() { *octet = first; }
        let mut out = std::vec![0xa5; room];
        let size = DatagramSize::new(size);
        for size in [None, size] {
            if let Ok(whole) = decompress(&octets, link, &contexts, size, &mut out) {
                prop_assert!(whole.len <= whole.size.octets() && whole.len <= room);
                prop_assert!(size.is_none_or(|size| whole.size == size));
            }
        }
    }

    #[test]
    fn what_any_octets_decompress_to_survives_another_round(
        (packet, link, contexts) in travelling(),
        damage in vec((0usize..60, any::<u8>()), 0..4),
    ) {
        let mut out = [0xa5; DATAGRAM_OCTETS_MAX + 1];
        let compressed = compress(&packet, link, &contexts, &mut out).unwrap();
        let octets = &mut out[..compressed.len()];
        for (at, value) in damage {
            if let Some(octet) = octets.get_mut(at) { *octet = value; }
        }
        let mut packet = [0x5a; DATAGRAM_OCTETS_MAX];
        if let Ok(whole) = decompress(octets, link, &contexts, None, &mut packet) {
            let packet = &packet[..whole.len];
            let again = compress(packet, link, &contexts, &mut out).unwrap();
            let again = restored(&out[..again.len()], link, &contexts, 0xa5);
            prop_assert_eq!(again, packet);
        }
    }

    #[test]
    fn fragments_in_any_order_with_duplicates(
        (packet, link, contexts) in travelling(),
        payload_max in Fragmenter::PAYLOAD_OCTETS_MIN..=104,
        order in vec(any::<u16>(), 64),
        unsecured: bool,
    ) {
        let mut out = [0xa5; DATAGRAM_OCTETS_MAX + 1];
        let headers_max = Fragmenter::headers_max(payload_max);
        let datagram = compress_within(&packet, link, &contexts, headers_max, &mut out).unwrap();
        let fragmenter = Fragmenter::new(datagram, DatagramTag(order[0]), payload_max).unwrap();
        let fragmented = fragmenter.is_fragmented();
        let frames = cut(&out[..datagram.len()], fragmenter, payload_max);
        let security = if unsecured { Security::Unsecured } else { Security::Secured };
        // Every frame once in a drawn order, with duplicates of drawn ones in between.
        let mut sequence: Vec<usize> = (0..frames.len()).collect();
        sequence.sort_by_key(|index| order[1 + index % 60].wrapping_mul(*index as u16 | 1));
        let mut reassembler = Reassembler::<2, 2>::new();
        let mut delivered = 0;
        for (step, index) in sequence.iter().enumerate() {
            let extra = sequence[usize::from(order[step % 64]) % (step + 1)];
            for index in [*index, extra] {
                let incoming = Incoming { link, security, octets: &frames[index] };
                let received = reassembler.handle(Instant::ZERO, incoming, &contexts, &mut out);
                match received {
                    Ok(Received::Datagram { len }) => {
                        prop_assert_eq!(&out[..len], &packet[..]);
                        delivered += 1;
                    }
                    Ok(Received::Waiting) | Err(ReceiveDrop::AlreadyComplete) => {}
                    Err(drop) => prop_assert!(false, "dropped: {drop:?}"),
                }
            }
        }
        prop_assert_eq!(delivered, if fragmented { 1 } else { 2 });
    }

    #[test]
    fn secured_and_unsecured_halves_make_no_whole(
        (packet, link, contexts) in travelling(),
        secured in vec(any::<bool>(), 64),
    ) {
        let mut out = [0xa5; DATAGRAM_OCTETS_MAX + 1];
        let datagram = compress_within(&packet, link, &contexts, 41, &mut out).unwrap();
        let fragmenter = Fragmenter::new(datagram, DatagramTag(9), 45).unwrap();
        prop_assume!(fragmenter.is_fragmented());
        let frames = cut(&out[..datagram.len()], fragmenter, 45);
        let of = |index: usize| secured[index % 64];
        prop_assume!((0..frames.len()).any(|i| of(i) != of(0)));
        let mut reassembler = Reassembler::<2, 2>::new();
        for (index, octets) in frames.iter().enumerate() {
            let security = if of(index) { Security::Secured } else { Security::Unsecured };
            let incoming = Incoming { link, security, octets };
            let received = reassembler.handle(Instant::ZERO, incoming, &contexts, &mut out);
            prop_assert_eq!(received, Ok(Received::Waiting));
        }
    }

    #[test]
    fn any_frames_reassemble_without_panic(
        frames in vec((0u8..4, vec(any::<u8>(), 0..116), any::<[bool; 2]>(), 0u64..4), 0..30),
        (link, contexts) in (link_pair(), contexts()),
    ) {
        let mut reassembler = Reassembler::<2, 1>::new();
        let mut now = Instant::ZERO;
        let mut out = [0xa5; DATAGRAM_OCTETS_MAX];
        for (like, mut octets, [secured, unwanted], secs) in frames {
            // Few sizes and tags, so that fragments meet.
            let patterns: [&[u8]; 4] = [&[], &[0xc0, 0x60, 0, 1], &[0xe0, 0x60, 0, 1], &[0x7f]];
            let pattern = patterns[usize::from(like)];
            octets.splice(0..pattern.len().min(octets.len()), pattern.iter().copied());
            if let (2, Some(offset)) = (like, octets.get_mut(4)) { *offset %= 16; }
            let security = if secured { Security::Secured } else { Security::Unsecured };
            let incoming = Incoming { link, security, octets: &octets };
            let begins = Reassembler::<2, 1>::beginning(incoming, &contexts, &mut out);
            prop_assert!(begins.is_none_or(|len| len <= DATAGRAM_OCTETS_MAX));
            if unwanted {
                reassembler.disregard(now, incoming);
            } else if let Ok(Received::Datagram { len }) =
                reassembler.handle(now, incoming, &contexts, &mut out)
            {
                prop_assert!(len <= DATAGRAM_OCTETS_MAX);
            }
            now += core::time::Duration::from_secs(secs);
            while reassembler.poll(now) != reassembler.poll(now) {}
        }
    }
}
