//! Any octets, any keys: lines and no panic. Whole captures are in the workspace's own tests.

use super::*;
use lowgate_access::jpy::Envelope;
use lowgate_access::relay::HEADER_OCTETS;
use lowgate_access::{JOIN_PORT, MANAGER_RELAY_PORT};
use lowgate_crypto::SoftCcm;
use lowgate_dtls::group::{GroupSender, SenderId};
use lowgate_sim::capture::Capture;
use lowgate_sim::keybook::{ADDRESSES_FILE, GROUPS_FILE, KEY_LOG_FILE, LINK_KEYS_FILE};
use lowgate_units::Instant;
use proptest::prelude::*;

const ADDRESSES: &str = "pan_id,mesh_prefix,short,eui64\n\
                         0x1a43,fd00:1:2:3::,0x0001,02-12-4b-00-00-00-00-01\n";
// The worked example of the wire page: TGK 00..0f, CSB 5a17c0de, RAND 10..1f.
const GROUPS: &str = "group,address,port,epoch,request_key,request_salt,response_key,response_salt\n\
    1,ff35:40:fd00:1:2:3:8000:1,61616,1,6bcb43b74a2380b1ac0e6fd8c65235c7,53a384d2,\
    b4bfaa03103e43bc5434985a591bc42b,eaba2823\n";

fn keys() -> Keys {
    let mut keys = Keys::default();
    let link = "\"c0c1c2c3c4c5c6c7c8c9cacbcccdcecf\",\"1\",\"No hash\"\n";
    for (name, text) in [(LINK_KEYS_FILE, link), (GROUPS_FILE, GROUPS), (ADDRESSES_FILE, ADDRESSES)]
    {
        assert_eq!(keys.add(name, text), []);
    }
    keys
}

/// A command of sender 5.
fn record() -> Vec<u8> {
    let mut sender = GroupSender::new(keys().groups[0].request.clone(), SenderId(5), 0);
    sender.reserve(1);
    let mut record = vec![0; 64];
    let len = sender.seal(&SoftCcm, b"\x50\x03\x00\x01\xb5light\xff1", &mut record);
    record.truncate(len.expect("room"));
    record
}

fn octets(text: &str) -> Vec<u8> {
    let mut octets = vec![0; text.len() / 2];
    keys::unhex(text, &mut octets).expect("hexadecimal");
    octets
}

/// A UDP datagram in an IPv6 packet; the reader looks at no checksum.
fn udp(dst: &str, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    let mut packet = octets("60000000");
    packet.extend(len.to_be_bytes());
    packet.extend([17, 64]);
    for address in ["fd00:1:2:3:0:ff:fe00:1", dst] {
        let address: lowgate_units::Ipv6Addr = address.parse().expect("an address");
        packet.extend(address.octets());
    }
    for field in [ports.0, ports.1, len, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(payload);
    packet
}

fn packet(link_type: u16, octets: Vec<u8>) -> Recording {
    let packet = Packet { at: Instant::from_millis(1500), link_type, octets, comment: "".into() };
    Recording { packets: vec![packet], ..Recording::default() }
}

#[track_caller]
fn check(recording: &Recording, keys: Option<&Keys>, expected: &str) {
    let lines: Vec<String> = lines(recording, keys).collect();
    assert_eq!(lines, [expected]);
}

#[test]
fn a_group_record_with_keys_and_without() {
    let group = packet(LINKTYPE_IPV6, udp("ff35:40:fd00:1:2:3:8000:1", (61616, 61616), &record()));
    let head = "     1     1.500000 fd00:1:2:3:0:ff:fe00:1 → ff35:40:fd00:1:2:3:8000:1 \
                IPv6 hop limit 64 | UDP 61616 → 61616 |";
    let words = "group 1 epoch 1 sender 5 number 0: CoAP NON 1 PUT /light \"1\"";
    check(&group, Some(&keys()), &format!("{head} {words}"));
    check(&group, None, &format!("{head} group record epoch 1 sender 5 number 0 sealed"));
    let mut damaged = group;
    *damaged.packets[0].octets.last_mut().expect("octets") ^= 1;
    let words = "group 1 epoch 1 sender 5 number 0 does not open";
    check(&damaged, Some(&keys()), &format!("{head} {words}"));
}

#[test]
fn an_envelope_and_the_hello_in_it() {
    let mut header = [0; HEADER_OCTETS];
    header[..12].copy_from_slice(&[1, 0, 0xf0, 0xbc, 0, 0x12, 0x4b, 0, 0, 0, 0, 1]);
    let content = octets(
        "16feff0000000000000000000f 01 00002a 0000 000000 000003 fefd00".replace(' ', "").as_str(),
    );
    let mut envelope = [0; 64];
    let len = Envelope { header: &header, content: &content }.emit(&mut envelope).expect("room");
    let ports = (JOIN_PORT, MANAGER_RELAY_PORT);
    check(
        &packet(LINKTYPE_IPV6, udp("fd00::1", ports, &envelope[..len])),
        None,
        "     1     1.500000 fd00:1:2:3:0:ff:fe00:1 → fd00::1 IPv6 hop limit 64 | UDP 61630 → 61629 \
         | JPY generation 1 interface 0 joiner fe80::12:4b00:0:1 port 61628, 28 octets \
         | DTLS 0:0 handshake (15): ClientHello 0 (0 to 3 of 42)",
    );
}

#[test]
fn frames_that_anybody_can_read() {
    let words = |psdu: &str| {
        let recording = packet(LINKTYPE_NO_FCS, octets(&psdu.replace(' ', "")));
        let line = lines(&recording, None).next().expect("one packet");
        line[20..].to_owned()
    };
    assert_eq!(words("02 00 2a"), "- → - 802.15.4 acknowledgement of 42");
    assert_eq!(words("03 08 2a ff ff ff ff 07"), "- → everyone 802.15.4 beacon request unsecured");
    assert_eq!(
        words("00 c0 2a 43 1a 0100000000 4b12 02 ff 8f 00 00 01 01 aabbccdd 03 07"),
        "02-12-4b-00-00-00-00-01 → everyone 802.15.4 beacon unsecured | beacon: joining open, \
         domain hint aabbccdd, rank 3, load 7"
    );
    assert_eq!(words("ff"), "- → - 802.15.4 not read: Truncated");
}

#[test]
fn what_is_unknown_is_named() {
    check(&packet(1, vec![1]), None, "     1     1.500000 - → - link type 1 is not read");
    check(&packet(LINKTYPE_IPV6, vec![0; 39]), None, "     1     1.500000 - → - no IPv6 packet");
    check(
        &packet(LINKTYPE_TAP, vec![9]),
        None,
        "     1     1.500000 - → - no TAP header: HeaderLength",
    );
}

#[test]
fn faults_of_key_files_are_all_named_and_repeat_no_key() {
    let mut keys = Keys::default();
    let key = "c0c1c2c3c4c5c6c7c8c9cacbcccdcec";
    let faults =
        keys.add(LINK_KEYS_FILE, &format!("# keys\n\"{key}\",\"1\",\"\"\n\"\",\"x\",\"\"\n1"));
    let lines: Vec<usize> = faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 3, 4]);
    assert!(faults.iter().all(|(_, what)| !what.contains(key) && what.contains("allowed")));
    assert_eq!(keys.add(GROUPS_FILE, "group").len(), 1);
    assert_eq!(keys.add(GROUPS_FILE, &GROUPS.replace("53a384d2", "53")).len(), 1);
    assert_eq!(keys.add(ADDRESSES_FILE, &ADDRESSES.replace("0x0001", "0xffff")).len(), 1);
    assert_eq!(keys.add(ADDRESSES_FILE, "pan_id,mesh_prefix,short,eui64\n1,2").len(), 1);
}

#[test]
fn faults_name_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut out = Vec::new();
    let capture = folder.path().join("x.pcapng");
    let words = |faults: Vec<DecodeFault>| -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    };
    let missing = words(run(&capture, None, &mut out).expect_err("no file"));
    assert!(missing[0].contains("x.pcapng: cannot be read"), "{missing:?}");
    std::fs::write(&capture, b"text").expect("writes");
    let foreign = words(run(&capture, None, &mut out).expect_err("no capture"));
    assert!(foreign[0].contains("x.pcapng: at octet 0: this is no pcapng file"), "{foreign:?}");
    let keys = words(run(&capture, Some(folder.path()), &mut out).expect_err("no keys"));
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(out.is_empty());
}

#[cfg(unix)]
#[test]
fn key_files_are_for_their_owner_even_where_another_was() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(KEY_LOG_FILE);
    std::fs::write(&path, b"old").expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("may");
    let file = lowgate_sim::keybook::KeyFile { name: KEY_LOG_FILE, content: "new\n".into() };
    write_keys(folder.path(), &[file]).expect("writes");
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "new\n");
}

#[test]
fn no_control_character_reaches_the_terminal() {
    let mut capture = Capture::new();
    capture.packet(Instant::ZERO, &[0; 40], "\x1b[31mred");
    let recording = read(&capture.emit("")).expect("ours");
    assert!(lines(&recording, None).all(|line| !line.contains('\x1b')));
}

fn link_type() -> impl Strategy<Value = u16> {
    prop::sample::select(vec![LINKTYPE_TAP, LINKTYPE_IPV6, LINKTYPE_NO_FCS, LINKTYPE_WITH_FCS, 1])
}

/// Octets behind a front that leads deep into the decoder.
fn likely() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let ports = prop::sample::select(vec![5684u16, 61616, 61628, 61629, 61630]);
    let payload = prop::collection::vec(any::<u8>(), 0..120);
    let front = prop::sample::select(vec![
        "",
        "16feff0000000000000000",
        "17fefd0001000000000000",
        "19fefd0001000000000000aabbccdd",
        "8254010000000000000000000000000000000000000058",
    ]);
    let dst = prop::sample::select(vec!["fd00::1", "ff35:40:fd00:1:2:3:8000:1"]);
    (ports.clone(), ports, payload, front, dst).prop_map(|(src, to, payload, front, dst)| {
        let payload = [octets(front), payload].concat();
        (LINKTYPE_IPV6, udp(dst, (src, to), &payload))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_packets_never_panic(
        packets in prop::collection::vec(
            (link_type(), prop::collection::vec(any::<u8>(), 0..140)).prop_map(|p| p),
            0..8,
        ),
        deep in prop::collection::vec(likely(), 0..8),
    ) {
        let packets = packets.into_iter().chain(deep).map(|(link_type, octets)| {
            Packet { at: Instant::ZERO, link_type, octets, comment: String::new() }
        });
        let recording = Recording { packets: packets.collect(), ..Recording::default() };
        prop_assert_eq!(lines(&recording, None).count(), recording.packets.len());
        let keys = keys();
        prop_assert_eq!(lines(&recording, Some(&keys)).count(), recording.packets.len());
    }

    #[test]
    fn any_key_file_never_panics(name in prop::sample::select(vec![
        LINK_KEYS_FILE, GROUPS_FILE, ADDRESSES_FILE, KEY_LOG_FILE,
    ]), text in "(pan_id,mesh_prefix,short,eui64\n)?[0-9a-fx:,\"\n#€-]{0,80}") {
        let _ = Keys::default().add(name, &text);
    }
}
