//! Frames by their octets: the cases of 802.15.4-2003 and -2006, and what is refused.

extern crate std;

use super::*;
use crate::{
    BeaconFields, FrameCounter, GtsDescriptor, KeyId, KeyIndex, SecurityLevel, SrcPan, Superframe,
    nonce,
};
use lowgate_testkit::{hex, to_hex};
use lowgate_units::{Eui64, PanId, ShortAddr};
use proptest::prelude::*;
use std::vec::Vec;

const PAN: PanId = PanId::new(0x4321).expect("a PAN");
const ONE: Eui64 = Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 1]);
const TWO: Eui64 = Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 2]);

fn short(raw: u16) -> LinkAddr {
    LinkAddr::Short(ShortAddr::new(raw).expect("not reserved"))
}

fn addressed<'a>(format: Format, content: Content<'a>, payload: &'a [u8]) -> AddressedFrame<'a> {
    AddressedFrame { format, pending: false, ack_request: false, sequence: 0x84, content, payload }
}

fn secured(level: SecurityLevel, key_id: KeyId, counter: u32) -> Format {
    Format::Secured(AuxSecurityHeader { level, key_id, counter: FrameCounter(counter) })
}

/// Also: emit of parse is identity from a dirty buffer, and no prefix is a panic.
fn check(text: &str, expected: Result<Frame<'_>, ParseDrop>) {
    let octets = hex(text);
    assert_eq!(Frame::parse(&octets), expected);
    for end in 0..octets.len() {
        let _ = Frame::parse(&octets[..end]);
    }
    if let Ok(frame) = expected {
        let mut out = [0xa5; PSDU_OCTETS_MAX];
        let len = frame.emit(&mut out);
        assert_eq!(to_hex(&out[..len]), to_hex(&octets));
        assert_eq!(frame.len(), len);
    }
}

fn check_addressed(text: &str, frame: AddressedFrame<'_>) {
    check(text, Ok(Frame::Addressed(frame)));
}

fn check_drop(text: &str, drop: ParseDrop) {
    check(text, Err(drop));
}

#[test]
fn acknowledgements() {
    check("02 00 2a", Ok(Frame::Ack(Ack::of(0x2a))));
    check("12 00 2a", Ok(Frame::Ack(Ack { pending: true, ..Ack::of(0x2a) })));
    check("02 10 2a", Ok(Frame::Ack(Ack { version: Version::V2006, ..Ack::of(0x2a) })));
    check_drop("02 00 2a 00", ParseDrop::AckMalformed);
    check_drop("0a 10 2a", ParseDrop::AckMalformed);
    check_drop("22 00 2a", ParseDrop::AckMalformed);
    check_drop("02 88 2a ffff", ParseDrop::AckMalformed);
}

#[test]
fn beacon_request() {
    check_addressed("03 08 84 ffff ffff 07", AddressedFrame::beacon_request(0x84));
}

#[test]
fn data_by_addressing() {
    let v2003 = Format::Unsecured(Version::V2003);
    let rows: [(&str, Addressing); 6] = [
        (
            "41 88 84 2143 3412 7856 aa",
            Addressing::within(PAN, LinkDst::Unicast(short(0x1234)), short(0x5678)),
        ),
        (
            "41 c8 84 2143 ffff 0100000000 48deac aa",
            Addressing::within(PAN, LinkDst::Broadcast, LinkAddr::Extended(ONE)),
        ),
        (
            "01 cc 84 2143 0200000000 48deac 2143 0100000000 48deac aa",
            Addressing::Both {
                dst_pan: Pan::Id(PAN),
                dst: LinkDst::Unicast(LinkAddr::Extended(TWO)),
                src_pan: SrcPan::Carried(Pan::Id(PAN)),
                src: LinkAddr::Extended(ONE),
            },
        ),
        (
            "01 c8 84 ffff ffff ffff 0100000000 48deac aa",
            Addressing::Both {
                dst_pan: Pan::Any,
                dst: LinkDst::Broadcast,
                src_pan: SrcPan::Carried(Pan::Any),
                src: LinkAddr::Extended(ONE),
            },
        ),
        (
            "01 08 84 2143 3412 aa",
            Addressing::Dst { pan: Pan::Id(PAN), dst: LinkDst::Unicast(short(0x1234)) },
        ),
        ("01 80 84 2143 3412 aa", Addressing::Src { pan: Pan::Id(PAN), src: short(0x1234) }),
    ];
    for (text, addressing) in rows {
        check_addressed(text, addressed(v2003, Content::Data { addressing }, &[0xaa]));
    }
}

#[test]
fn flags_and_version() {
    let addressing = Addressing::within(PAN, LinkDst::Unicast(short(1)), short(2));
    let frame = AddressedFrame {
        pending: true,
        ack_request: true,
        ..addressed(Format::Unsecured(Version::V2006), Content::Data { addressing }, &[])
    };
    check_addressed("71 98 84 2143 0100 0200", frame);
}

#[test]
fn key_identifier_modes() {
    let index = KeyIndex::new(7).expect("not 0");
    let addressing = Addressing::within(PAN, LinkDst::Broadcast, short(2));
    let level = SecurityLevel::EncMic64;
    let rows = [
        ("06 05000000", KeyId::Implicit),
        ("0e 05000000 07", KeyId::Index(index)),
        ("16 05000000 01020304 07", KeyId::Source4([1, 2, 3, 4], index)),
        ("1e 05000000 0102030405060708 07", KeyId::Source8([1, 2, 3, 4, 5, 6, 7, 8], index)),
    ];
    for (aux, key_id) in rows {
        let text = std::format!("49 98 84 2143 ffff 0200 {aux} dddd");
        let frame =
            addressed(secured(level, key_id, 5), Content::Data { addressing }, &[0xdd, 0xdd]);
        check_addressed(&text, frame);
        assert_eq!(frame.head_len(), hex(&text).len() - 2);
    }
}

#[test]
fn every_level_is_named_and_has_its_tag() {
    let mic_lens = [0, 4, 8, 16, 0, 4, 8, 16];
    for (raw, mic_len) in (0u8..8).zip(mic_lens) {
        let octets = hex(&std::format!("49 98 84 2143 ffff 0200 {raw:02x} 05000000"));
        let Ok(Frame::Addressed(frame)) = Frame::parse(&octets) else {
            panic!("level {raw} did not parse");
        };
        let Format::Secured(aux) = frame.format else { panic!("level {raw} came in clear") };
        assert_eq!((aux.level.raw(), aux.level.mic_len()), (raw, mic_len));
    }
}

// IEEE 802.15.4-2006 annex C.2.1: head and nonce of the secured beacon.
#[test]
fn annex_c_2_1_beacon() {
    let superframe = Superframe::new(0xcf55).expect("no reserved bit");
    let content = Content::Beacon {
        pan: Pan::Id(PAN),
        src: LinkAddr::Extended(ONE),
        fields: BeaconFields { superframe, ..BeaconFields::NONBEACON },
    };
    let payload = hex("51525354 223bc1ec841ab553");
    let frame = addressed(secured(SecurityLevel::Mic64, KeyId::Implicit, 5), content, &payload);
    check_addressed(
        "08d0 84 2143 0100000000 48deac 02 05000000 55cf 00 00 51525354 223bc1ec841ab553",
        frame,
    );
    assert_eq!(frame.head_len(), 22);
    assert_eq!((superframe.beacon_order(), superframe.superframe_order()), (5, 5));
    assert_eq!(superframe.final_cap_slot(), 15);
    assert!(superframe.pan_coordinator() && superframe.association_permit());
    assert!(!superframe.battery_life_extension());
    let nonce = nonce(ONE, FrameCounter(5), SecurityLevel::Mic64);
    assert_eq!(to_hex(&nonce), "acde4800000000010000000502");
}

#[test]
fn annex_c_2_2_data() {
    let addressing =
        Addressing::within(PAN, LinkDst::Unicast(LinkAddr::Extended(TWO)), LinkAddr::Extended(ONE));
    let payload = hex("d43e022b");
    let frame = AddressedFrame {
        ack_request: true,
        ..addressed(
            secured(SecurityLevel::Enc, KeyId::Implicit, 5),
            Content::Data { addressing },
            &payload,
        )
    };
    check_addressed("69dc 84 2143 0200000000 48deac 0100000000 48deac 04 05000000 d43e022b", frame);
    assert_eq!(frame.head_len(), 26);
}

// The command identifier belongs to the octets authenticated in clear.
#[test]
fn annex_c_2_3_command() {
    let addressing = Addressing::Both {
        dst_pan: Pan::Id(PAN),
        dst: LinkDst::Unicast(LinkAddr::Extended(TWO)),
        src_pan: SrcPan::Carried(Pan::Any),
        src: LinkAddr::Extended(ONE),
    };
    let content = Content::Command { addressing, id: CommandId::ASSOCIATION_REQUEST };
    let payload = hex("d84fde529061f9c6f1");
    let frame = AddressedFrame {
        ack_request: true,
        ..addressed(secured(SecurityLevel::EncMic64, KeyId::Implicit, 5), content, &payload)
    };
    let text = "2bdc 84 2143 0200000000 48deac ffff 0100000000 48deac 06 05000000 01
                d84fde529061f9c6f1";
    check_addressed(text, frame);
    assert_eq!(frame.head_len(), 29);
}

#[test]
fn beacon_with_slots_and_pending_addresses() {
    let text = "00 80 84 2143 0100 ffcf  82 02 3412 2a 7856 1f  12 0300 0400 0100000000 48deac cc";
    let octets = hex(text);
    let Ok(Frame::Addressed(frame)) = Frame::parse(&octets) else { panic!("a beacon") };
    check_addressed(text, frame);
    let Content::Beacon { fields, .. } = frame.content else { panic!("a beacon") };
    assert!(fields.gts.permit());
    let slot = |raw, start, slots, receive_only| GtsDescriptor {
        short: ShortAddr::new(raw).expect("not reserved"),
        start,
        slots,
        receive_only,
    };
    let slots: Vec<_> = fields.gts.descriptors().collect();
    assert_eq!(slots, [slot(0x1234, 10, 2, false), slot(0x5678, 15, 1, true)]);
    let pending: Vec<_> = fields.pending.addresses().collect();
    assert_eq!(pending, [short(3), short(4), LinkAddr::Extended(ONE)]);
    assert_eq!(frame.payload, [0xcc]);
}

#[test]
fn our_beacon() {
    let content = Content::Beacon {
        pan: Pan::Id(PAN),
        src: LinkAddr::Extended(ONE),
        fields: BeaconFields::NONBEACON,
    };
    let frame = addressed(Format::Unsecured(Version::V2003), content, &[1, 2]);
    check_addressed("00 c0 84 2143 0100000000 48deac ff0f 00 00 0102", frame);
    let Content::Beacon { fields, .. } = frame.content else { unreachable!("built above") };
    assert_eq!(fields.gts.descriptors().count() + fields.pending.addresses().count(), 0);
}

#[test]
fn refused_by_name() {
    check_drop("", ParseDrop::Truncated);
    check_drop("41 88", ParseDrop::Truncated);
    check_drop("41 88 84 2143 3412 78", ParseDrop::Truncated);
    check_drop("49 98 84 2143 ffff 0200 0e 050000", ParseDrop::Truncated);
    check_drop("03 08 84 ffff ffff", ParseDrop::Truncated);
    check_drop("41 a8 84 2143 3412 7856", ParseDrop::Version2015);
    check_drop("41 b8 84 2143 3412 7856", ParseDrop::VersionReserved);
    check_drop("c1 88 84 2143 3412 7856", ParseDrop::FrameControlReserved);
    check_drop("44 88 84 2143 3412 7856", ParseDrop::FrameType);
    check_drop("01 84 84 2143 3412 7856", ParseDrop::AddressingMode);
    check_drop("01 48 84 2143 3412 7856", ParseDrop::AddressingMode);
    check_drop("41 08 84 2143 3412", ParseDrop::CompressionWithoutAddresses);
    check_drop("01 00 84", ParseDrop::AddressesForType);
    check_drop("03 00 84 07", ParseDrop::AddressesForType);
    check_drop("00 08 84 2143 ffff ff0f 00 00", ParseDrop::AddressesForType);
    check_drop("41 88 84 2143 feff 7856", ParseDrop::ShortAddrReserved);
    check_drop("41 88 84 2143 3412 ffff", ParseDrop::ShortAddrReserved);
    check_drop("49 88 84 2143 ffff 0200 06 05000000", ParseDrop::Security2003);
    check_drop("49 98 84 2143 ffff 0200 26 05000000", ParseDrop::SecurityControlReserved);
    check_drop("49 98 84 2143 ffff 0200 0e 05000000 00", ParseDrop::KeyIndexZero);
    check_drop("00 80 84 2143 0100 ff2f 00 00", ParseDrop::BeaconReserved);
    check_drop("00 80 84 2143 0100 ff0f 08 00", ParseDrop::BeaconReserved);
    check_drop("00 80 84 2143 0100 ff0f 01 80 3412 2a 00", ParseDrop::BeaconReserved);
    check_drop("00 80 84 2143 0100 ff0f 00 08", ParseDrop::BeaconReserved);
    check_drop("00 80 84 2143 0100 ff0f 00 44", ParseDrop::BeaconReserved);
    check_drop("00 80 84 2143 0100 ff0f 01 00 ffff 2a 00", ParseDrop::ShortAddrReserved);
    check_drop("00 80 84 2143 0100 ff0f 00 01 ffff", ParseDrop::ShortAddrReserved);
    check_drop(&"41".repeat(126), ParseDrop::TooLong);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_octets_never_panic_and_emit_of_parse_is_identity(
        // Half of all cases get a frame control field that leads somewhere.
        control in prop_oneof![
            any::<u16>(),
            (0u16..4, any::<u8>(), 0u16..2).prop_map(|(kind, bits, version)| {
                kind | u16::from(bits & 0x0f) << 3 | 0xc800 | version << 12
            }),
        ],
        rest in prop::collection::vec(any::<u8>(), 0..128),
    ) {
        let octets = [&control.to_le_bytes()[..], &rest].concat();
        if let Ok(frame) = Frame::parse(&octets) {
            let mut out = [0xa5; PSDU_OCTETS_MAX];
            let len = frame.emit(&mut out);
            prop_assert_eq!(&out[..len], &octets[..]);
            prop_assert_eq!(frame.len(), len);
            if let Frame::Addressed(frame) = frame {
                prop_assert_eq!(&octets[frame.head_len()..], frame.payload);
            }
        }
    }
}
