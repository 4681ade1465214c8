//! One case per row of the tables of RFC 6282, worked out by hand from its text.

extern crate std;

use super::*;
use crate::{ContextId, ContextUse, Prefix};
use lowgate_testkit::{hex, to_hex};
use lowgate_units::{Eui64, Ipv6Addr, LinkAddr, LinkDst, ShortAddr};
use std::vec;
use std::vec::Vec;

/// Source EUI-64 00-12-4b-00-00-00-00-aa (IID 212:4b00:0:aa), destination 0x1234.
fn link() -> LinkPair {
    LinkPair {
        src: LinkAddr::Extended(Eui64([0x00, 0x12, 0x4b, 0, 0, 0, 0, 0xaa])),
        dst: LinkDst::Unicast(LinkAddr::Short(ShortAddr::new(0x1234).unwrap())),
    }
}

fn contexts() -> Contexts {
    let mut contexts = Contexts::new();
    for (id, addr, len) in [
        (0, "fd00:1:2:3::", 64),
        (1, "2001:db8::", 32),
        (2, "fd00:aaaa::8000:0:0:0", 65),
        (3, "fd00:bbbb:0:0:0:ff:fe00:0", 112),
        (4, "fd00:cccc::77", 128),
    ] {
        let prefix = Prefix::new(addr.parse().unwrap(), len).unwrap();
        contexts.set(ContextId::new(id).unwrap(), prefix, ContextUse::Both);
    }
    let leaving = Prefix::new("fd00:dddd::".parse().unwrap(), 64).unwrap();
    contexts.set(ContextId::new(5).unwrap(), leaving, ContextUse::DecompressionOnly);
    contexts
}

fn ipv6(traffic: u32, next: u8, hop_limit: u8, src: &str, dst: &str, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend((6u32 << 28 | traffic).to_be_bytes());
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend(src.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(dst.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(payload);
    packet
}

fn expand(octets: &[u8]) -> Result<Vec<u8>, DecompressDrop> {
    expand_over(octets, link())
}

fn expand_over(octets: &[u8], link: LinkPair) -> Result<Vec<u8>, DecompressDrop> {
    let mut out = [0xa5; DATAGRAM_OCTETS_MAX];
    let whole = decompress(octets, link, &contexts(), None, &mut out)?;
    assert_eq!(whole.len, whole.size.octets());
    Ok(out[..whole.len].to_vec())
}

/// Compression gives exactly `compressed`, decompression gives back `packet`.
fn check(compressed: &str, packet: &[u8]) {
    let mut out = [0x5a; DATAGRAM_OCTETS_MAX + 1];
    let result = compress(packet, link(), &contexts(), &mut out).unwrap();
    assert_eq!(to_hex(&out[..result.len()]), to_hex(&hex(compressed)));
    assert!(result.covers().is_multiple_of(8));
    check_expands(compressed, packet);
}

/// Decompression gives `packet`; compression would choose another encoding.
fn check_expands(compressed: &str, packet: &[u8]) {
    let octets = hex(compressed);
    assert_eq!(expand(&octets).map(|p| to_hex(&p)), Ok(to_hex(packet)), "{compressed}");
    for len in 0..octets.len() {
        let _ = expand(&octets[..len]);
    }
}

fn check_drop(compressed: &str, drop: DecompressDrop) {
    assert_eq!(expand(&hex(compressed)), Err(drop), "{compressed}");
}

const LOCAL_SRC: &str = "fe80::212:4b00:0:aa";
const LOCAL_DST: &str = "fe80::ff:fe00:1234";

/// The best case of RFC 6282 section 3: all elided but the next header.
fn between_neighbours(traffic: u32, hop_limit: u8) -> Vec<u8> {
    ipv6(traffic, 59, hop_limit, LOCAL_SRC, LOCAL_DST, &[])
}

#[test]
fn traffic_class_and_flow_label() {
    // DSCP 46, ECN 1: traffic class 1011 1001; rotated right by two 0110 1110.
    check("62 33 6e 01 23 45 3b", &between_neighbours(0xb9 << 20 | 0x12345, 64));
    check("6a 33 41 23 45 3b", &between_neighbours(0x01 << 20 | 0x12345, 64));
    check("72 33 6e 3b", &between_neighbours(0xb9 << 20, 64));
    check("7a 33 3b", &between_neighbours(0, 64));
    check("72 33 c0 3b", &between_neighbours(0x03 << 20, 64));
    check("6a 33 0f ff ff 3b", &between_neighbours(0xfffff, 64));
    // The padding says nothing.
    check_expands("62 33 6e f1 23 45 3b", &between_neighbours(0xb9 << 20 | 0x12345, 64));
    check_expands("6a 33 71 23 45 3b", &between_neighbours(0x01 << 20 | 0x12345, 64));
    // Longer encodings than needed are valid.
    check_expands("62 33 00 00 00 00 3b", &between_neighbours(0, 64));
}

#[test]
fn hop_limit() {
    check("78 33 3b 3f", &between_neighbours(0, 63));
    check("79 33 3b", &between_neighbours(0, 1));
    check("7a 33 3b", &between_neighbours(0, 64));
    check("7b 33 3b", &between_neighbours(0, 255));
    check("78 33 3b 00", &between_neighbours(0, 0));
}

/// `rest` begins with the second octet of the encoding; hop limit 64, next header 59 (none).
fn check_addresses(rest: &str, src: &str, dst: &str) {
    let (modes, inline) = rest.split_once('|').unwrap();
    check(&["7a", modes, "3b", inline].concat(), &ipv6(0, 59, 64, src, dst, &[]));
}

#[test]
fn source_stateless() {
    check_addresses("03 | 20010db9000000000000000000000001", "2001:db9::1", LOCAL_DST);
    check_addresses("13 | 0011223344556677", "fe80::11:2233:4455:6677", LOCAL_DST);
    check_addresses("23 | beef", "fe80::ff:fe00:beef", LOCAL_DST);
    check_addresses("33 |", LOCAL_SRC, LOCAL_DST);
    // Not the link-local prefix padded with zeros.
    check_addresses(
        "03 | fe80000000000001 02124b00000000aa",
        "fe80:0:0:1:212:4b00:0:aa",
        LOCAL_DST,
    );
}

#[test]
fn source_stateful() {
    check_addresses("43 |", "::", LOCAL_DST);
    check_addresses("53 | 0011223344556677", "fd00:1:2:3:11:2233:4455:6677", LOCAL_DST);
    check_addresses("63 | beef", "fd00:1:2:3:0:ff:fe00:beef", LOCAL_DST);
    check_addresses("73 |", "fd00:1:2:3:212:4b00:0:aa", LOCAL_DST);
    check_addresses("f3 10 |", "2001:db8::212:4b00:0:aa", LOCAL_DST);
    // Bits between a short context and the IID are zero, or the context does not serve.
    check_addresses("03 | 20010db8000000010000000000000009", "2001:db8:0:1::9", LOCAL_DST);
}

#[test]
fn source_by_a_context_over_64_bits() {
    // Bit 64 comes from the context; 0212.. has it clear in the link-layer address.
    check_addresses("f3 20 |", "fd00:aaaa::8212:4b00:0:aa", LOCAL_DST);
    check_addresses("e3 20 | 0001", "fd00:aaaa::8000:ff:fe00:1", LOCAL_DST);
    check_addresses("d3 20 | 8011223344556677", "fd00:aaaa::8011:2233:4455:6677", LOCAL_DST);
    check_expands(
        "7a d3 20 3b 0011223344556677",
        &ipv6(0, 59, 64, "fd00:aaaa::8011:2233:4455:6677", LOCAL_DST, &[]),
    );
    check_addresses("e3 30 | 0042", "fd00:bbbb::ff:fe00:42", LOCAL_DST);
    check_addresses("f3 30 |", "fd00:bbbb::ff:fe00:aa", LOCAL_DST);
    check_addresses("f3 40 |", "fd00:cccc::77", LOCAL_DST);
}

#[test]
fn destination_stateless_unicast() {
    check_addresses("30 | 20010db9000000000000000000000001", LOCAL_SRC, "2001:db9::1");
    check_addresses("31 | 0011223344556677", LOCAL_SRC, "fe80::11:2233:4455:6677");
    check_addresses("32 | beef", LOCAL_SRC, "fe80::ff:fe00:beef");
    check_addresses("33 |", LOCAL_SRC, LOCAL_DST);
}

#[test]
fn destination_stateful_unicast() {
    check_drop("7a 34 3b", DecompressDrop::ReservedAddressMode);
    check_addresses("35 | 0011223344556677", LOCAL_SRC, "fd00:1:2:3:11:2233:4455:6677");
    check_addresses("36 | beef", LOCAL_SRC, "fd00:1:2:3:0:ff:fe00:beef");
    check_addresses("37 |", LOCAL_SRC, "fd00:1:2:3:0:ff:fe00:1234");
    check_addresses("b7 03 |", LOCAL_SRC, "fd00:bbbb::ff:fe00:1234");
    check_addresses("f7 10 |", "2001:db8::212:4b00:0:aa", "fd00:1:2:3:0:ff:fe00:1234");
}

#[test]
fn destination_stateless_multicast() {
    check_addresses("38 | ff050000000001000000000000000002", LOCAL_SRC, "ff05:0:0:100::2");
    check_addresses("38 | ff050100000000000000000000000002", LOCAL_SRC, "ff05:100::2");
    check_addresses("38 | ff050000000000000000010000000002", LOCAL_SRC, "ff05::100:0:2");
    check_addresses("39 | 05 0102030405", LOCAL_SRC, "ff05::1:203:405");
    check_addresses("39 | 02 01ffbeef42", LOCAL_SRC, "ff02::1:ffbe:ef42");
    check_addresses("3a | 05 000001", LOCAL_SRC, "ff05::1");
    check_addresses("3a | 02 000100", LOCAL_SRC, "ff02::100");
    check_addresses("3b | 1a", LOCAL_SRC, "ff02::1a");
    check_addresses("3a | 03 0000fc", LOCAL_SRC, "ff03::fc");
}

#[test]
fn destination_stateful_multicast() {
    // RFC 3306: flags 3, scope 5, reserved 0, prefix length 64, prefix of context 0, group.
    check_addresses("3c | 35 00 00000042", LOCAL_SRC, "ff35:40:fd00:1:2:3:0:42");
    // RFC 3956: flags 7, RIID 7; prefix length 32 of context 1.
    check_addresses("bc 01 | 7e 07 12345678", LOCAL_SRC, "ff7e:720:2001:db8::1234:5678");
    for mode in ["3d", "3e", "3f"] {
        let octets = ["7a", mode, "3b 00 00 00 00 00 00"].concat();
        check_drop(&octets, DecompressDrop::ReservedAddressMode);
    }
    check_drop("7a bc 02 3b 35 00 00 00 00 42", DecompressDrop::ContextTooLong);
}

#[test]
fn addresses_that_cannot_be_restored() {
    check_drop("7a 53 3b", DecompressDrop::Truncated);
    check_drop("7a d3 f0 3b 0011223344556677", DecompressDrop::UnknownContext);
    check_drop("7a b7 0f 3b", DecompressDrop::UnknownContext);
    check_drop("7a bc 0f 3b 35 00 00 00 00 42", DecompressDrop::UnknownContext);
    // M=1 with an unicast address, M=0 with a multicast address.
    check_drop("7a 38 3b 20010db8000000000000000000000001", DecompressDrop::MulticastBitWrong);
    check_drop("7a 30 3b ff020000000000000000000000000001", DecompressDrop::MulticastBitWrong);
    let broadcast = LinkPair { dst: LinkDst::Broadcast, ..link() };
    for octets in ["7a 33 3b", "7a 37 3b"] {
        let expanded = expand_over(&hex(octets), broadcast);
        assert_eq!(expanded, Err(DecompressDrop::NoLinkAddress));
    }
}

#[test]
fn a_context_on_its_way_out_only_decompresses() {
    let packet = ipv6(0, 59, 64, "fd00:dddd::212:4b00:0:aa", LOCAL_DST, &[]);
    check_expands("7a f3 50 3b", &packet);
    check("7a 03 3b fd00dddd00000000 02124b00000000aa", &packet);
}

fn udp(ports: &str, payload: &[u8]) -> Vec<u8> {
    let mut datagram = hex(ports);
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0xab, 0xcd]);
    datagram.extend(payload);
    datagram
}

fn check_ports(nhc: &str, ports: &str) {
    let packet = ipv6(0, 17, 64, LOCAL_SRC, LOCAL_DST, &udp(ports, &[1, 2, 3]));
    check(&["7e 33", nhc, "ab cd 01 02 03"].concat(), &packet);
}

#[test]
fn udp_ports() {
    check_ports("f0 1634 1633", "1634 1633");
    check_ports("f1 1634 be", "1634 f0be");
    check_ports("f2 be 1634", "f0be 1634");
    check_ports("f1 f0be af", "f0be f0af");
    check_ports("f3 5e", "f0b5 f0be");
}

#[test]
fn udp_checksums_are_never_elided() {
    for nhc in ["f4 1634 1633", "f5 1634 be", "f6 be 1634", "f7 5e"] {
        check_drop(&["7e 33", nhc, "01 02 03"].concat(), DecompressDrop::ChecksumElided);
    }
}

#[test]
fn udp_lengths_that_cannot_be_restored_are_carried() {
    let mut datagram = udp("f0b5 f0be", &[1, 2]);
    datagram[5] = 9;
    let packet = ipv6(0, 17, 64, LOCAL_SRC, LOCAL_DST, &datagram);
    check("7a 33 11 f0b5 f0be 0009 abcd 0102", &packet);
    let packet = ipv6(0, 17, 64, LOCAL_SRC, LOCAL_DST, &datagram[..7]);
    check("7a 33 11 f0b5 f0be 0009 ab", &packet);
}

fn extension(number: u8, header: &str, then: &[u8]) -> Vec<u8> {
    let mut payload = hex(header);
    payload.extend(then);
    ipv6(0, number, 64, LOCAL_SRC, LOCAL_DST, &payload)
}

#[test]
fn extension_headers_by_identifier() {
    let datagram = udp("f0b5 f0be", &[9]);
    let after = "f3 5e abcd 09";
    // RPL option, RFC 9008: no padding to elide.
    let packet = extension(0, "11 00 23 04 00 1e 01 00", &datagram);
    check(&["7e 33 e1 06 23 04 00 1e 01 00", after].concat(), &packet);
    // Source routing header, RFC 6554; its own padding stays.
    let packet = extension(43, "11 01 03 01 ee 60 0000 5678 000000000000", &datagram);
    check(&["7e 33 e3 0e 03 01 ee 60 0000 5678 000000000000", after].concat(), &packet);
    let packet = extension(60, "11 00 1e 04 01 02 03 04", &datagram);
    check(&["7e 33 e7 06 1e 04 01 02 03 04", after].concat(), &packet);
    let packet = extension(135, "3b 00 05 00 12 34 00 00", &[]);
    check("7e 33 e8 3b 06 05 00 12 34 00 00", &packet);
    // The next header without an encoding is in line.
    let packet = extension(0, "3a 00 63 04 00 1e 01 00", &[0x80, 0, 1, 2]);
    check("7e 33 e0 3a 06 63 04 00 1e 01 00 80 00 01 02", &packet);
}

#[test]
fn trailing_padding_is_elided_and_comes_back() {
    let datagram = udp("f0b5 f0be", &[]);
    for (header, compressed) in [
        // MPL option, RFC 7731, and PadN of two octets.
        ("11 00 6d 02 10 07 01 00", "04 6d 02 10 07"),
        ("11 00 1e 03 01 02 03 00", "05 1e 03 01 02 03"),
        ("11 00 1e 01 01 01 01 00", "03 1e 01 01"),
        ("11 00 1e 00 01 02 00 00", "02 1e 00"),
        ("11 00 01 04 00 00 00 00", "00"),
        ("11 01 1e 05 01 02 03 04 05 01 05 00 00 00 00 00", "07 1e 05 01 02 03 04 05"),
        // Not only one, not zeros, too long, or not at the end.
        ("11 00 1e 02 01 02 00 00", "06 1e 02 01 02 00 00"),
        ("11 00 1e 01 01 01 01 07", "06 1e 01 01 01 01 07"),
        (
            "11 01 1e 04 01 02 03 04 01 06 00 00 00 00 00 00",
            "0e 1e 04 01 02 03 04 01 06 00 00 00 00 00 00",
        ),
        ("11 00 01 00 1e 02 01 02", "06 01 00 1e 02 01 02"),
        // Options that run over the end go as they are.
        ("11 00 1e 01 01 01 02 00", "06 1e 01 01 01 02 00"),
    ] {
        for (number, nhc) in [(0, "e1"), (60, "e7")] {
            let packet = extension(number, header, &datagram);
            check(&["7e 33", nhc, compressed, "f3 5e abcd"].concat(), &packet);
        }
    }
}

#[test]
fn extension_headers_of_unusual_length() {
    // 264 octets: 262 after the length field, 255 once seven octets of padding are elided.
    let mut options = vec![0x11, 32, 0x1e, 251];
    options.extend([7; 251]);
    options.extend([0x1e, 0]);
    let mut fits = options.clone();
    fits.extend(hex("01 05 00 00 00 00 00"));
    assert_eq!(fits.len(), 264);
    let datagram = udp("f0b5 f0be", &[]);
    let packet = extension(0, &to_hex(&fits), &datagram);
    check(&["7e 33 e1 ff", &to_hex(&options[2..]), "f3 5e abcd"].concat(), &packet);
    // One octet more after compression, and it goes as it is.
    options.extend(hex("1e 05 00 00 00 00 00"));
    let packet = extension(0, &to_hex(&options), &datagram);
    check(&["7a 33 00", &to_hex(&options), &to_hex(&datagram)].concat(), &packet);
    // A header that says it is longer than the packet.
    let packet = extension(0, "11 01 23 04 00 1e 01 00", &[]);
    check("7a 33 00 11 01 23 04 00 1e 01 00", &packet);
    // Only options can be padded.
    check_drop("7e 33 e2 3b 05 03 00 00 00 00", DecompressDrop::ExtensionUnaligned);
    check_drop("7e 33 e8 3b 00", DecompressDrop::ExtensionUnaligned);
}

#[test]
fn fragment_headers_are_carried_and_understood() {
    let atomic = extension(44, "11 00 00 00 12 34 56 78", &udp("f0b5 f0be", &[1]));
    check(
        &["7a 33 2c 11 00 00 00 12 34 56 78", &to_hex(&udp("f0b5 f0be", &[1]))].concat(),
        &atomic,
    );
    check_expands("7e 33 e5 00 00 00 12 34 56 78 f3 5e abcd 01", &atomic);
    let piece = extension(44, "11 00 00 09 12 34 56 78", &[1, 2]);
    check_expands("7e 33 e4 11 00 00 09 12 34 56 78 01 02", &piece);
    check_drop(
        "7e 33 e5 00 00 01 12 34 56 78 e7 06 1e 04 01 02 03 04 f3 5e abcd",
        DecompressDrop::LengthUnknown,
    );
    check_drop("7e 33 e5 00 00 01 12 34 56 78 f3 5e abcd 01", DecompressDrop::LengthUnknown);
    check_drop("7e 33 e5 00 00 08 12 34 56 78 ee 7a 33 3b", DecompressDrop::LengthUnknown);
}

#[test]
fn next_header_encodings_we_do_not_know() {
    for nhc in ["ea", "eb", "ec", "ed", "00", "d4", "df", "b0", "f8", "ff"] {
        check_drop(&["7e 33", nhc, "00 00 00 00"].concat(), DecompressDrop::UnknownNextHeader);
    }
    check_drop("7e 33", DecompressDrop::Truncated);
}

#[test]
fn tunnel_by_source_route() {
    let data = udp("1634 f0b1", &[0x61, 0x62]);
    let inner = ipv6(0, 17, 64, "fd00:9::1", "fd00:1:2:3:0:ff:fe00:5678", &data);
    let mut payload = hex("29 01 03 01 ee 60 0000 5678 000000000000");
    payload.extend(&inner);
    let root = "fd00:1:2:3:0:ff:fe00:0";
    let packet = ipv6(0, 43, 63, root, "fd00:1:2:3:0:ff:fe00:1234", &payload);
    check(
        "7c 67 3f 0000
         e3 0e 03 01 ee 60 0000 5678 000000000000
         ee 7e 06 fd000009000000000000000000000001 5678
         f1 1634 b1 abcd 6162",
        &packet,
    );
}

#[test]
fn inner_addresses_come_from_the_outer_header() {
    // RFC 6282 section 3.2.2. The link-layer addresses would make ..212:4b00:0:aa and ..1234.
    let inner = ipv6(0, 59, 64, "fd00:1:2:3:0:ff:fe00:9", "fe80::ff:fe00:8", &[]);
    let packet = ipv6(0, 41, 64, "fd00:1:2:3:0:ff:fe00:9", "2001:db8::ff:fe00:8", &inner);
    check("7e e6 01 0009 0008 ee 7a 73 3b", &packet);
    // Outermost multicast: the low half of the group address serves as it stands.
    let inner = ipv6(0, 59, 64, LOCAL_SRC, "fd00:1:2:3::fc", &[]);
    let packet = ipv6(0, 41, 255, LOCAL_SRC, "ff03::fc", &inner);
    check("7f 3a 03 0000fc ee 7a 37 3b", &packet);
}

#[test]
fn tunnel_by_mpl() {
    let group = "ff35:40:fd00:1:2:3:0:42";
    let src = "fd00:1:2:3:0:ff:fe00:7";
    let inner = ipv6(0, 17, 64, src, group, &udp("f0b0 f0b1", &[5]));
    let mut payload = hex("29 00 6d 02 10 07 01 00");
    payload.extend(&inner);
    let packet = ipv6(0, 0, 20, src, "ff03::fc", &payload);
    check(
        "7c 6a 14 0007 03 0000fc
         e1 04 6d 02 10 07
         ee 7e 7c 35 00 00000042
         f3 01 abcd 05",
        &packet,
    );
}

#[test]
fn an_inner_packet_that_ends_elsewhere_is_carried() {
    let mut inner = ipv6(0, 59, 64, LOCAL_SRC, LOCAL_DST, &[]);
    inner.push(0);
    let packet = ipv6(0, 41, 64, LOCAL_SRC, LOCAL_DST, &inner);
    check(&["7a 33 29", &to_hex(&inner)].concat(), &packet);
}

#[test]
fn uncompressed_packets_are_accepted() {
    let packet = between_neighbours(0, 64);
    check_expands(&["41", &to_hex(&packet)].concat(), &packet);
    check_drop("41", DecompressDrop::NotIpv6);
    let huge = ipv6(0, 59, 64, LOCAL_SRC, LOCAL_DST, &[0; DATAGRAM_OCTETS_MAX - 39]);
    check_drop(&["41", &to_hex(&huge)].concat(), DecompressDrop::TooLong);
    check_drop("41 60", DecompressDrop::NotIpv6);
    let mut wrong = packet.clone();
    wrong[0] = 0x40;
    check_drop(&["41", &to_hex(&wrong)].concat(), DecompressDrop::NotIpv6);
    check_drop(&["41", &to_hex(&packet), "00"].concat(), DecompressDrop::LengthMismatch);
    check_drop("", DecompressDrop::UnknownDispatch);
    check_drop("c0 28 00 00", DecompressDrop::UnknownDispatch);
}

#[test]
fn lengths_come_from_the_size_of_the_datagram() {
    let octets = hex("7e 33 f3 5e abcd 01 02 03 04 05 06 07 08");
    let mut out = [0xa5; DATAGRAM_OCTETS_MAX];
    let size = DatagramSize::new(1000).unwrap();
    let begin = decompress(&octets, link(), &contexts(), Some(size), &mut out).unwrap();
    assert_eq!((begin.len, begin.size), (56, size));
    assert_eq!(out[4..6], 960u16.to_be_bytes());
    assert_eq!(out[44..46], 960u16.to_be_bytes());
    for (size, drop) in [(55, DecompressDrop::LengthMismatch), (40, DecompressDrop::LengthMismatch)]
    {
        let size = DatagramSize::new(size);
        assert_eq!(decompress(&octets, link(), &contexts(), size, &mut out), Err(drop));
    }
    // The same behind the uncompressed dispatch.
    let mut octets = vec![0x41];
    octets.extend(between_neighbours(0, 64));
    octets.extend([0; 8]);
    let size = DatagramSize::new(40);
    let longer = decompress(&octets, link(), &contexts(), size, &mut out);
    assert_eq!(longer, Err(DecompressDrop::LengthMismatch));
    let octets = hex("7e 33 f3 5e abcd 01 02 03 04 05 06 07 08");
    let short = decompress(&octets, link(), &contexts(), None, &mut out[..55]);
    assert_eq!(short, Err(DecompressDrop::TooLong));
}

#[test]
fn headers_that_do_not_fit_are_not_compressed() {
    let data = udp("f0b5 f0be", &[9]);
    let packet = extension(0, "11 00 23 04 00 1e 01 00", &data);
    let full = ["7e 33 e1 06 23 04 00 1e 01 00", "f3 5e abcd 09"].concat();
    let two = ["7e 33 e0 11 06 23 04 00 1e 01 00", &to_hex(&data)].concat();
    let one = ["7a 33 00", &to_hex(&packet[40..])].concat();
    let none = ["41", &to_hex(&packet)].concat();
    for (max, compressed, headers, covers) in [
        (14, &full, 14, 56),
        (13, &two, 11, 48),
        (11, &two, 11, 48),
        (10, &one, 3, 40),
        (3, &one, 3, 40),
        (2, &none, 1, 0),
        (0, &none, 1, 0),
    ] {
        let mut out = [0x5a; 200];
        let result = compress_within(&packet, link(), &contexts(), max, &mut out).unwrap();
        assert_eq!(to_hex(&out[..result.len()]), to_hex(&hex(compressed)), "{max}");
        assert_eq!((result.headers(), result.covers()), (headers, covers));
        assert_eq!(result.size().octets(), packet.len());
        check_expands(compressed, &packet);
    }
}

#[test]
fn packets_that_are_refused() {
    let refused = |packet: &[u8], out_len: usize| {
        let mut out = vec![0; out_len];
        compress(packet, link(), &contexts(), &mut out).unwrap_err()
    };
    let packet = between_neighbours(0, 64);
    assert_eq!(refused(&[], 2000), CompressRefused::NotIpv6);
    assert_eq!(refused(&packet[..39], 2000), CompressRefused::NotIpv6);
    let mut version = packet.clone();
    version[0] = 0x40;
    assert_eq!(refused(&version, 2000), CompressRefused::NotIpv6);
    let mut longer = packet.clone();
    longer.push(0);
    assert_eq!(refused(&longer, 2000), CompressRefused::LengthMismatch);
    let huge = ipv6(0, 59, 64, LOCAL_SRC, LOCAL_DST, &[0; DATAGRAM_OCTETS_MAX - 39]);
    assert_eq!(refused(&huge, 2000), CompressRefused::TooLong);
    assert_eq!(refused(&packet, 2), CompressRefused::OutputTooSmall);
    assert_eq!(refused(&packet, 0), CompressRefused::OutputTooSmall);
}

#[test]
fn chains_are_bounded() {
    // Tunnels in tunnels: 16 IPv6 headers are restored, 17 are not.
    let nested = |count: usize| ["7e 33", &"ee 7e 33".repeat(count - 2), "ee 7a 33 3b"].concat();
    assert_eq!(expand(&hex(&nested(16))).map(|p| p.len()), Ok(640));
    check_drop(&nested(17), DecompressDrop::TooManyHeaders);
    // Empty extension headers: the output is the bound.
    check_drop(&["7e 33", &"e1 00".repeat(200), "e0 3b 00"].concat(), DecompressDrop::TooLong);
}
