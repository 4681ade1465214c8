//! The configuration object, octet by octet: the published example, our labels, and every fault.

use std::net::Ipv6Addr;

use lowgate_amikey::pairs::Offered;
use lowgate_amikey::pairwise::SetName;
use lowgate_amikey::{
    Activation, CFG_OCTETS_MAX, Cfg, CfgDrop, KEYS_MAX, KeyIndex, KeyUsage, LinkKey, NoRoom,
    SixTischUsage,
};
use lowgate_crypto::Key128;
use lowgate_testkit::{hex, to_hex};
use lowgate_units::{Channel, PanId, ShortAddr};
use proptest::prelude::*;

fn key(index: u8, usage: KeyUsage, key: &str) -> LinkKey {
    LinkKey {
        index: KeyIndex::new(index).expect("a key index"),
        usage,
        key: Key128::from_slice(&hex(key)).expect("16 octets"),
    }
}

fn emitted(cfg: &Cfg) -> String {
    let mut out = [0xaa; CFG_OCTETS_MAX];
    let len = cfg.emit(&mut out).expect("room");
    assert_eq!(cfg.emit(&mut vec![0; len - 1]), Err(NoRoom));
    to_hex(&out[..len])
}

/// Both ways, and no prefix is a configuration.
fn check(text: &str, cfg: Cfg) {
    let octets = hex(text);
    assert_eq!(Cfg::parse(&octets), Ok(cfg.clone()));
    assert_eq!(emitted(&cfg), to_hex(&octets));
    for len in 0..octets.len() {
        assert!(Cfg::parse(&octets[..len]).is_err(), "{len} octets");
    }
}

fn check_fault(text: &str, fault: CfgDrop) {
    assert_eq!(Cfg::parse(&hex(text)), Err(fault), "{text}");
}

const K: &str = "e6bf4287c2d7618d6a9687445ffd33e6";

#[test]
fn rfc9031_appendix_a() {
    let usage = KeyUsage::SixTisch(SixTischUsage::new(0).expect("in table 6"));
    let cfg = Cfg {
        keys: [key(1, usage, K)].into_iter().collect(),
        short: ShortAddr::new(0xaf93),
        ..Cfg::default()
    };
    check("a2 02 82 01 50 e6bf4287c2d7618d6a9687445ffd33e6 03 81 42 af93", cfg);
}

#[test]
fn the_worked_example_with_private_labels() {
    let cfg = Cfg {
        keys: [key(1, KeyUsage::EncMic64, K)].into_iter().collect(),
        short: ShortAddr::new(0x0102),
        counter_floor: Some(0),
        ..Cfg::default()
    };
    check("a30283013a0001000150e6bf4287c2d7618d6a9687445ffd33e603814201023a0001000000", cfg);
}

#[test]
fn every_parameter() {
    let keys = [
        key(7, KeyUsage::EncMic64, K),
        key(8, KeyUsage::EncMic32, "000102030405060708090a0b0c0d0e0f"),
    ];
    check(
        "aa 02 86 07 3a00010001 50 e6bf4287c2d7618d6a9687445ffd33e6
               08 3a00010000 50 000102030405060708090a0b0c0d0e0f
            03 82 42 0000 18 18
            04 50 fd00000000000000000000000000aabb
            05 42 abcd
            07 19 0400
            3a00010000 1a 00010000
            3a00010002 0f
            3a00010003 48 fd00112233445566
            3a00010004 19 2ee0
            3a00010005 84 01 03 18 1f 02",
        Cfg {
            keys: keys.into_iter().collect(),
            short: ShortAddr::new(0),
            lease_hours: Some(24),
            manager: Some("fd00::aabb".parse().expect("an address")),
            join_rate: Some(1024),
            counter_floor: Some(0x1_0000),
            pan_id: PanId::new(0xabcd),
            channel: Channel::new(15),
            prefix: Some([0xfd, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66]),
            activation: Activation::Switch { after_ms: 12000 },
            pairs: Some(offered(31)),
        },
    );
}

fn offered(degree: u16) -> Offered {
    Offered { name: SetName { set: 1, generation: 3 }, degree, lost: 2 }
}

#[test]
fn keys_of_pairs() {
    check("a1 3a00010005 84 01 03 18 ff 02", Cfg { pairs: Some(offered(255)), ..Cfg::default() });
    // Too short, a degree of 0, one too high, and a generation past 255.
    for value in ["83 01 03 18 1f", "84 01 03 00 02", "84 01 03 19 0100 02", "84 01 19 0100 01 02"]
    {
        check_fault(&format!("a1 3a00010005 {value}"), CfgDrop::Value(-65542));
    }
}

/// What was written before the label of RFC 9031 was used is still read.
#[test]
fn the_private_label_of_the_pan() {
    let cfg = Cfg { pan_id: PanId::new(0xabcd), ..Cfg::default() };
    assert_eq!(Cfg::parse(&hex("a1 3a00010001 42 abcd")), Ok(cfg.clone()));
    check("a1 05 42 abcd", cfg);
}

#[test]
fn activation() {
    check("a0", Cfg::default());
    check("a1 3a00010004 f6", Cfg { activation: Activation::Stage, ..Cfg::default() });
    let switch = Activation::Switch { after_ms: 0 };
    check("a1 3a00010004 00", Cfg { activation: switch, ..Cfg::default() });
}

#[test]
fn a_full_configuration_fits() {
    let mut cfg = Cfg::parse(&hex("a0")).expect("an empty map");
    for index in 1..=KEYS_MAX as u8 {
        let octets = to_hex(&[index; 16]);
        cfg.keys.push(key(250 + index, KeyUsage::EncMic64, &octets)).expect("room");
    }
    cfg.short = ShortAddr::new(1);
    cfg.lease_hours = Some(u32::MAX);
    cfg.manager = Some(Ipv6Addr::LOCALHOST);
    (cfg.join_rate, cfg.counter_floor) = (Some(u32::MAX), Some(u32::MAX));
    (cfg.pan_id, cfg.channel) = (PanId::new(1), Channel::new(26));
    cfg.prefix = Some([0xfd; 8]);
    cfg.activation = Activation::Switch { after_ms: u32::MAX };
    let octets = hex(&emitted(&cfg));
    assert_eq!(Cfg::parse(&octets), Ok(cfg));
}

#[test]
fn rfc9031_labels_of_later_documents_are_skipped() {
    let cfg = Cfg { join_rate: Some(9), ..Cfg::default() };
    for text in ["a2 06 81 48 0102030405060708 07 09", "a2 18 63 a1 01 82 02 03 07 09"] {
        assert_eq!(Cfg::parse(&hex(text)), Ok(cfg.clone()), "{text}");
    }
    check_fault("a1 3a00010006 00", CfgDrop::UnknownPrivate);
    check_fault("a1 20 00", CfgDrop::UnknownPrivate);
}

#[test]
fn rfc9031_8_4_2_a_manager_address_of_another_length_is_discarded() {
    assert_eq!(Cfg::parse(&hex("a1 04 44 01020304")), Ok(Cfg::default()));
    check_fault("a1 04 01", CfgDrop::Value(4));
}

#[test]
fn rfc9031_8_4_4_an_invalid_short_identifier_is_ignored() {
    for text in ["a1 03 81 42 fffe", "a1 03 81 42 ffff", "a1 03 82 43 000001 01", "a1 03 81 40"] {
        assert_eq!(Cfg::parse(&hex(text)), Ok(Cfg::default()), "{text}");
    }
    for text in ["a1 03 42 0001", "a1 03 80", "a1 03 83 42 0001 01 01", "a1 03 82 42 0001 20"] {
        check_fault(text, CfgDrop::Value(3));
    }
}

#[test]
fn rfc9031_8_4_3_an_invalid_key_is_signalled() {
    let set = |elements: &str| format!("a1 02 {}", elements.replace('K', &format!("50 {K}")));
    check_fault("a1 02 80", CfgDrop::KeysMissing);
    for elements in [
        "82 00 K",            // mode 1 has no index 0
        "82 18ff K",          // 255 is reserved
        "82 01 4101",         // a short key
        "83 01 0f K",         // usage 15 is nobody's
        "83 01 3a00010003 K", // nor is -65540
        "83 01 K 4101",       // additional information
        "81 01",              // no key at all
        "84 01 K 02 4101",    // a second key that is short
        "9f 01",              // indefinite
    ] {
        check_fault(&set(elements), CfgDrop::Value(2));
    }
    check_fault(&set("84 01 K 02 K"), CfgDrop::KeyRepeated);
    check_fault(&set("84 01 K 01 50 000102030405060708090a0b0c0d0e0f"), CfgDrop::KeyRepeated);
}

#[test]
fn more_keys_than_anybody_needs() {
    let keys: String = (1..=5).map(|i| format!("{i:02x} 50 {}", to_hex(&[i; 16]))).collect();
    check_fault(&format!("a1 02 8a {keys}"), CfgDrop::KeysTooMany);
}

#[test]
fn faults() {
    check_fault("", CfgDrop::Malformed);
    check_fault("80", CfgDrop::Malformed);
    check_fault("bf ff", CfgDrop::Malformed);
    check_fault("a1 6161 00", CfgDrop::Malformed);
    check_fault("a0 00", CfgDrop::Trailing);
    check_fault("a2 07 01 07 01", CfgDrop::Repeated(7));
    check_fault("a2 05 42 abcd 3a00010001 42 abcd", CfgDrop::Repeated(-65538));
    check_fault("a1 07 20", CfgDrop::Value(7));
    check_fault("a1 07 1b 0000000100000000", CfgDrop::Value(7));
    check_fault("a1 3a00010000 1b 0000000100000000", CfgDrop::Value(-65537));
    check_fault("a1 3a00010001 42 ffff", CfgDrop::Value(-65538));
    check_fault("a1 3a00010001 01", CfgDrop::Value(-65538));
    check_fault("a1 3a00010002 0a", CfgDrop::Value(-65539));
    check_fault("a1 3a00010003 47 fd001122334455", CfgDrop::Value(-65540));
    check_fault("a1 3a00010004 f5", CfgDrop::Value(-65541));
    check_fault("bb ffffffffffffffff", CfgDrop::Malformed);
}

#[test]
fn keys_do_not_print() {
    let text = format!("{:?}", key(1, KeyUsage::EncMic64, K));
    assert!(text.contains("(secret)") && !text.contains("230"), "{text}");
}

/// CBOR that is often nearly right: pieces of configurations in any order.
fn nearly_cbor() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(hex("028201500102030405060708090a0b0c0d0e0f10")),
        Just(hex("0283013a00010001500102030405060708090a0b0c0d0e0f11")),
        Just(hex("0381420001")),
        Just(hex("03824200011830")),
        Just(hex("0718ff")),
        Just(hex("3a0001000001")),
        Just(hex("3a0001000142abcd")),
        Just(hex("3a00010004f6")),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    (any::<u8>(), proptest::collection::vec(piece, 0..5)).prop_map(|(noise, pieces)| {
        let first = if noise < 200 { 0xa0 + pieces.len() as u8 } else { noise };
        [&[first][..], &pieces.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn parse_of_emit_of_parse_is_identity(octets in nearly_cbor()) {
        if let Ok(cfg) = Cfg::parse(&octets) {
            let again = hex(&emitted(&cfg));
            prop_assert!(again.len() <= octets.len());
            prop_assert_eq!(Cfg::parse(&again), Ok(cfg));
        }
    }
}
