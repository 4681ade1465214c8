//! The compact messages, octet by octet: one case per message, flag, TLV and fault.

use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use lowgate_amikey::tree::{
    DEPTH, Followed, LEAVES, Leaf, Path, PathTold, SIGNER_OCTETS, TreeName,
};
use lowgate_amikey::{
    BadMessage, Carrier, Cfg, CfgDrop, CsbId, Generation, GroupId, KeyError, Message, MessageDrop,
    Messages, Mkd, MsgId, NoRoom, OldEpoch, Rand, Req, Role, SenderId, SenderSet, SeqFloor, Spd,
    SpdParameters, TekId, Tgk, TlvDrop, Wish, emit_all,
};
use lowgate_crypto::{Key128, Secret};
use lowgate_testkit::hex;
use lowgate_units::Eui64;
use proptest::prelude::*;

const TGK: &str = "000102030405060708090a0b0c0d0e0f";
const RAND: &str = "101112131415161718191a1b1c1d1e1f";

/// Both ways, from a dirty buffer; every shorter buffer and every prefix is refused.
fn check(text: &str, messages: &[Message]) {
    let octets = hex(text);
    let parsed: Vec<Message> = Messages::new(&octets).map(|m| m.expect(text)).collect();
    assert_eq!(parsed, messages, "{text}");
    let mut out = vec![0xaa; octets.len() + 1];
    assert_eq!(emit_all(messages, &mut out), Ok(octets.len()), "{text}");
    assert_eq!(out[..octets.len()], octets, "{text}");
    for len in 0..octets.len() {
        assert_eq!(emit_all(messages, &mut out[..len]), Err(NoRoom));
        let shorter: Vec<_> = Messages::new(&octets[..len]).filter_map(Result::ok).collect();
        assert!(shorter != messages, "{len} octets of {text}");
    }
}

fn check_fault(text: &str, why: MessageDrop) {
    let octets = hex(text);
    let msg_id = octets.get(1).copied().map(MsgId);
    let found = Messages::new(&octets).find_map(Result::err);
    assert_eq!(found, Some(BadMessage { msg_id, why }), "{text}");
}

fn mkd() -> Message {
    Message::Mkd(Mkd {
        msg_id: MsgId(1),
        csb_id: CsbId(0x5a17_c0de),
        generation: Generation(1),
        group: GroupId(7),
        tgk: Tgk(Key128::from_slice(&hex(TGK)).expect("16 octets")),
    })
}

fn spd(old_epoch: OldEpoch, parameters: SpdParameters) -> Message {
    Message::Spd(Spd {
        msg_id: MsgId(2),
        csb_id: CsbId(0x5a17_c0de),
        tek_id: TekId::FIRST,
        sender_id: SenderId::new(5),
        rand: Rand(Secret::from_slice(&hex(RAND)).expect("16 octets")),
        old_epoch,
        parameters,
    })
}

fn plain_spd() -> Message {
    spd(OldEpoch::GRACE_DEFAULT, SpdParameters::default())
}

fn spd_text(sender: &str, flags: &str, tlvs: &str) -> String {
    format!("a2 02 5a17c0de 0001 {sender} {flags} {RAND} {tlvs}")
}

#[test]
fn mkd_of_the_worked_example() {
    check("a1015a17c0de00010007000102030405060708090a0b0c0d0e0f", &[mkd()]);
}

/// The worked example has nonce mode 0, which this profile does not speak; with mode 1 it is ours.
#[test]
fn spd_of_the_worked_example() {
    check("a2025a17c0de00010501101112131415161718191a1b1c1d1e1f", &[plain_spd()]);
    check_fault(
        "a2025a17c0de00010500101112131415161718191a1b1c1d1e1f",
        MessageDrop::NonceModeNotSpoken,
    );
}

#[test]
fn ack_of_the_worked_example() {
    check("a301", &[Message::Ack { msg_id: MsgId(1) }]);
}

#[test]
fn one_record_lists_what_it_confirms() {
    let acks = [255, 0, 1].map(|id| Message::Ack { msg_id: MsgId(id) });
    check("a3ff a300 a301", &acks);
}

#[test]
fn req_of_the_worked_example() {
    check(
        "a4035a17c0de0001",
        &[Message::Req(Req {
            msg_id: MsgId(3),
            csb_id: CsbId(0x5a17_c0de),
            tek_id: Some(TekId::FIRST),
            wishes: heapless::Vec::new(),
        })],
    );
}

#[test]
fn path_names_tree_epoch_leaf_and_signer() {
    let key = |n: u8| Key128::new([n; 16]);
    let path = |tree, leaf| {
        let keys = core::array::from_fn(|level| key(level as u8));
        let path = Path { tree, epoch: 0x0102_0304, leaf: Leaf::new(leaf).expect("in it"), keys };
        Message::Path(PathTold { msg_id: MsgId(9), path, signer: [0x51; SIGNER_OCTETS] })
    };
    let keys: String = (0..=DEPTH as u8).map(|level| format!("{level:02x}").repeat(16)).collect();
    let signer = "51".repeat(SIGNER_OCTETS);
    check(
        &format!("a809 00 0000 01020304 03ff {signer} {keys} a309"),
        &[path(TreeName::Network, 1023), Message::Ack { msg_id: MsgId(9) }],
    );
    check(
        &format!("a809 01 0007 01020304 0000 {signer} {keys}"),
        &[path(TreeName::Group(GroupId(7)), 0)],
    );
    for head in ["00 0001", "02 0000"] {
        check_fault(&format!("a809 {head} 01020304 0000 {signer} {keys}"), MessageDrop::Tree);
    }
    let beyond = format!("a809 00 0000 01020304 0400 {signer} {keys}");
    check_fault(&beyond, MessageDrop::Tree);
}

#[test]
fn followed_names_tree_and_epoch() {
    let followed = |tree| Message::Followed(Followed { tree, epoch: 0xfeff_0001 });
    check("a900 00 0000 feff0001", &[followed(TreeName::Network)]);
    check("a900 01 0102 feff0001", &[followed(TreeName::Group(GroupId(0x0102)))]);
    assert!(!followed(TreeName::Network).wants_ack());
    check_fault("a900 03 0000 feff0001", MessageDrop::Tree);
}

#[test]
fn req_to_join_one_group_and_leave_another() {
    let wishes = [(7, Some(Role::SenderAndListener)), (8, None)];
    let wishes = wishes.map(|(group, role)| Wish { group: GroupId(group), role });
    check(
        "a404 00000000 0000 0007 03 0008 00",
        &[Message::Req(Req {
            msg_id: MsgId(4),
            csb_id: CsbId::NONE,
            tek_id: None,
            wishes: wishes.into_iter().collect(),
        })],
    );
}

#[test]
fn req_faults() {
    check_fault("a403 5a17c0de 0001 00", MessageDrop::Truncated);
    check_fault("a403 5a17c0de 0001 0007 04", MessageDrop::Role(4));
    check_fault("a403 5a17c0de 0001 0007 01 0007 00", MessageDrop::GroupRepeated(GroupId(7)));
    let many: String = (0..17).map(|group| format!("{group:04x} 01")).collect();
    check_fault(&format!("a403 5a17c0de 0001 {many}"), MessageDrop::GroupsTooMany);
}

#[test]
fn err_of_the_worked_example() {
    let refused = Message::Err { msg_id: MsgId(1), error: KeyError::NotAuthorized };
    check("a60100", &[refused]);
}

#[test]
fn err_numbers() {
    for number in 0..=12u8 {
        let octets = [0xa6, 9, number];
        let Some(Ok(Message::Err { msg_id: MsgId(9), error })) = Messages::new(&octets).next()
        else {
            panic!("{number}");
        };
        assert_eq!(error as u8, number);
    }
    // A number nobody defined is still a refusal.
    let unknown = Messages::new(&[0xa6, 9, 77]).next();
    let error = KeyError::Unspecified;
    assert_eq!(unknown, Some(Ok(Message::Err { msg_id: MsgId(9), error })));
}

#[test]
fn cfg_with_its_length() {
    let cfg = Cfg { counter_floor: Some(0), ..Cfg::default() };
    check("a505 0007 a1 3a00010000 00", &[Message::Cfg { msg_id: MsgId(5), cfg }]);
}

#[test]
fn mkd_spd_and_cfg_share_a_record() {
    let cfg = Message::Cfg { msg_id: MsgId(3), cfg: Cfg { join_rate: Some(0), ..Cfg::default() } };
    check(
        "a1015a17c0de00010007000102030405060708090a0b0c0d0e0f
         a2025a17c0de00010501101112131415161718191a1b1c1d1e1f
         a3 09
         a503 0003 a1 07 00
         a6 04 09",
        &[
            mkd(),
            plain_spd(),
            Message::Ack { msg_id: MsgId(9) },
            cfg,
            Message::Err { msg_id: MsgId(4), error: KeyError::Policy },
        ],
    );
}

#[test]
fn content_types_follow_from_the_first_message() {
    assert_eq!(Carrier::of(&mkd()).content_type(), 30);
    for message in [plain_spd(), Message::Ack { msg_id: MsgId(0) }] {
        assert_eq!(Carrier::of(&message).content_type(), 31);
    }
    assert!(mkd().wants_ack() && !Message::Ack { msg_id: MsgId(0) }.wants_ack());
}

#[test]
fn a_receiver_without_a_sender_id() {
    let octets = hex(&spd_text("ff", "01", ""));
    let Some(Ok(Message::Spd(spd))) = Messages::new(&octets).next() else { panic!("an SPD") };
    assert_eq!(spd.sender_id, None);
}

#[test]
fn spd_at_an_eviction() {
    check(&spd_text("05", "03", ""), &[spd(OldEpoch::Wipe, SpdParameters::default())]);
}

fn named() -> (SenderId, Eui64) {
    (SenderId::MAX, Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 1]))
}

#[test]
fn spd_with_every_parameter() {
    let parameters = SpdParameters {
        port: Some(61616),
        address: Some("ff35:30:fd00::7".parse().expect("an address")),
        lifetime_secs: Some(86400),
        activation_delay_tenths: 20,
        named_senders: [named()].into_iter().collect(),
        seq_floor: SeqFloor::new(0x01_0000_0400).expect("below 2^40"),
        senders: [1, 5, 9].into_iter().filter_map(SenderId::new).collect(),
    };
    let grace = OldEpoch::Grace(NonZeroU16::new(30).expect("not zero"));
    check(
        &spd_text(
            "05",
            "05",
            "003a
             03 02 f0b0
             04 10 ff350030fd0000000000000000000007
             05 04 00015180
             06 02 0014
             07 02 001e
             09 09 fe02124b0000000001
             0a 05 0100000400
             0c 02 4440",
        ),
        &[spd(grace, parameters)],
    );
}

/// A group's address of ours in ten octets; whichever way it is written, once.
#[test]
fn spd_with_a_short_address() {
    let address = "ff35:40:fd00:1:2:3:8000:7".parse().expect("an address");
    let parameters = SpdParameters { address: Some(address), ..SpdParameters::default() };
    let short = "0d 0a fd00000100020003 0007";
    check(
        &spd_text("05", "05", &format!("000c {short}")),
        &[spd(OldEpoch::GRACE_DEFAULT, parameters)],
    );
    let long = "04 10 ff350040fd000001000200038000 0007";
    for (twice, kind) in [([short, long], 4), ([long, short], 13), ([short, short], 13)] {
        let tlvs = hex(&twice.concat());
        let octets =
            [&hex(&spd_text("05", "05", &format!("{:04x}", tlvs.len())))[..], &tlvs].concat();
        let bad = Messages::new(&octets).next().expect("a message").expect_err("twice");
        assert_eq!(bad.why, MessageDrop::Tlv(TlvDrop::Repeated(kind)));
    }
}

/// What the fixed part says may be repeated if it agrees; types with bit 7 may be skipped.
#[test]
fn spd_parameters_that_say_nothing_new() {
    let octets = hex(&spd_text(
        "05",
        "05",
        "0015 00 02 c0a8 01 02 0001 02 01 05 08 01 01 0c 00 80 03 010203",
    ));
    assert_eq!(Messages::new(&octets).next(), Some(Ok(plain_spd())));
    let no_grace = hex(&spd_text("05", "05", "0004 07 02 0000"));
    let wipe = spd(OldEpoch::Wipe, SpdParameters::default());
    assert_eq!(Messages::new(&no_grace).next(), Some(Ok(wipe)));
}

#[test]
fn spd_faults() {
    for (sender, flags, tlvs, why) in [
        ("00", "01", "", MessageDrop::SenderIdZero),
        ("05", "09", "", MessageDrop::FlagsReserved(9)),
        ("05", "05", "", MessageDrop::Truncated),
        ("05", "05", "0001", MessageDrop::Truncated),
        ("05", "05", "0001 03", MessageDrop::Tlv(TlvDrop::Truncated)),
        ("05", "05", "0003 03 02 f0", MessageDrop::Tlv(TlvDrop::Truncated)),
        ("05", "05", "0003 03 01 f0", MessageDrop::Tlv(TlvDrop::Length(3))),
        ("05", "05", "0008 03 02 f0b0 03 02 f0b0", MessageDrop::Tlv(TlvDrop::Repeated(3))),
        ("05", "05", "0004 00 02 c0a9", MessageDrop::Tlv(TlvDrop::Value(0))),
        ("05", "05", "0004 01 02 0002", MessageDrop::Tlv(TlvDrop::Value(1))),
        ("05", "05", "0003 02 01 06", MessageDrop::Tlv(TlvDrop::Value(2))),
        (
            "05",
            "05",
            "0012 04 10 fd000000000000000000000000000001",
            MessageDrop::Tlv(TlvDrop::Value(4)),
        ),
        ("05", "07", "0004 07 02 000c", MessageDrop::Tlv(TlvDrop::Value(7))),
        ("05", "05", "0003 08 01 00", MessageDrop::Tlv(TlvDrop::Value(8))),
        ("05", "05", "000b 09 09 0002124b0000000001", MessageDrop::Tlv(TlvDrop::Value(9))),
        ("05", "05", "0003 0c 01 80", MessageDrop::Tlv(TlvDrop::Value(12))),
        ("05", "05", "0003 0b 01 01", MessageDrop::Tlv(TlvDrop::Unknown(11))),
    ] {
        check_fault(&spd_text(sender, flags, tlvs), why);
    }
    check_fault(&format!("a2 02 5a17c0de 0000 05 01 {RAND}"), MessageDrop::TekIdZero);
    let names = "09 09 fe02124b0000000001".repeat(9);
    let names = spd_text("05", "05", &format!("0063 {names}"));
    check_fault(&names, MessageDrop::Tlv(TlvDrop::NamesTooMany));
}

#[test]
fn an_unknown_message_hides_what_is_behind_it() {
    let octets = hex("a301 a7 02 a302");
    let parsed: Vec<_> = Messages::new(&octets).collect();
    let why = MessageDrop::UnknownMessage(0xa7);
    let bad = BadMessage { msg_id: Some(MsgId(2)), why };
    assert_eq!(parsed, [Ok(Message::Ack { msg_id: MsgId(1) }), Err(bad)]);
    assert_eq!(why.error(), KeyError::DataType);
}

#[test]
fn a_fault_of_known_extent_does_not() {
    let octets = hex("a505 0002 a100 a302");
    let parsed: Vec<_> = Messages::new(&octets).collect();
    let why = MessageDrop::Cfg(CfgDrop::Malformed);
    assert_eq!(parsed.len(), 2);
    assert_eq!(parsed[0].as_ref().map_err(|bad| bad.msg_id), Err(Some(MsgId(5))));
    assert_eq!(parsed[1], Ok(Message::Ack { msg_id: MsgId(2) }));
    assert_eq!(why.error(), KeyError::PolicyParameter);
}

#[test]
fn sequence_floors_have_40_bits() {
    assert_eq!(SeqFloor::new(1 << 40), None);
    assert_eq!(SeqFloor::new((1 << 40) - 1).map(SeqFloor::raw), Some(0xff_ffff_ffff));
}

#[test]
fn no_key_prints() {
    let text = format!("{:?} {:?}", mkd(), plain_spd());
    assert_eq!(text.matches("(secret)").count(), 2, "{text}");
    assert!(!text.contains("[0, 1, 2") && !text.contains("16, 17"), "{text}");
}

fn any_message() -> impl Strategy<Value = Message> {
    let id = any::<u8>().prop_map(MsgId);
    prop_oneof![
        (id.clone(), any::<(u32, u16, u16, [u8; 16])>()).prop_map(
            |(msg_id, (csb, n, group, key))| {
                Message::Mkd(Mkd {
                    msg_id,
                    csb_id: CsbId(csb),
                    generation: Generation(n),
                    group: GroupId(group),
                    tgk: Tgk(Secret::new(key)),
                })
            }
        ),
        any_spd(),
        id.clone().prop_map(|msg_id| Message::Ack { msg_id }),
        (id.clone(), any_tree(), any::<u32>(), 0..LEAVES, any::<([u8; 32], [u8; 16])>()).prop_map(
            |(msg_id, tree, epoch, leaf, (point, key))| {
                let keys = core::array::from_fn(|_| Key128::new(key));
                let leaf = Leaf::new(leaf).expect("in it");
                let mut signer = [4; SIGNER_OCTETS];
                signer[1..33].copy_from_slice(&point);
                Message::Path(PathTold { msg_id, path: Path { tree, epoch, leaf, keys }, signer })
            }
        ),
        (any_tree(), any::<u32>())
            .prop_map(|(tree, epoch)| Message::Followed(Followed { tree, epoch })),
        (id, any::<(u32, u16)>()).prop_map(|(msg_id, (rate, short))| {
            let short = lowgate_units::ShortAddr::new(short);
            Message::Cfg { msg_id, cfg: Cfg { join_rate: Some(rate), short, ..Cfg::default() } }
        }),
    ]
}

fn any_tree() -> impl Strategy<Value = TreeName> {
    let group = any::<u16>().prop_map(|group| TreeName::Group(GroupId(group)));
    prop_oneof![Just(TreeName::Network), group]
}

/// Of a group of ours, one octet beside it, and any other.
fn any_address() -> impl Strategy<Value = Option<Ipv6Addr>> {
    let ours = any::<([u8; 8], u16)>().prop_map(|(prefix, group)| {
        let group = group.to_be_bytes();
        let octets = [&[0xff, 0x35, 0, 64][..], &prefix, &[0x80, 0], &group].concat();
        <[u8; 16]>::try_from(octets).expect("16 octets")
    });
    let beside = (ours.clone(), 1..16usize, any::<u8>()).prop_map(|(mut octets, at, octet)| {
        octets[at] = octet;
        octets
    });
    let any_other = any::<[u8; 16]>().prop_map(|mut octets| {
        octets[0] = 0xff;
        octets
    });
    proptest::option::of(prop_oneof![ours, beside, any_other].prop_map(Ipv6Addr::from))
}

fn any_spd() -> impl Strategy<Value = Message> {
    let fixed = any::<(u8, u32, u16, u8, [u8; 16], u16)>();
    let parameters = any::<(Option<u16>, Option<u32>, u16, u64, Vec<u8>)>();
    (fixed, parameters, any_address()).prop_map(|(fixed, parameters, address)| {
        let (id, csb, tek, sender, rand, grace) = fixed;
        let (port, lifetime_secs, activation_delay_tenths, floor, senders) = parameters;
        let senders: SenderSet = senders.into_iter().filter_map(SenderId::new).collect();
        let parameters = SpdParameters {
            port,
            address,
            lifetime_secs,
            activation_delay_tenths,
            senders,
            seq_floor: SeqFloor::new(floor >> 24).expect("40 bits"),
            ..SpdParameters::default()
        };
        Message::Spd(Spd {
            msg_id: MsgId(id),
            csb_id: CsbId(csb),
            tek_id: TekId::new(tek).unwrap_or(TekId::FIRST),
            sender_id: SenderId::new(sender),
            rand: Rand(Secret::new(rand)),
            old_epoch: NonZeroU16::new(grace).map_or(OldEpoch::Wipe, OldEpoch::Grace),
            parameters,
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn parse_of_emit_is_identity(messages in proptest::collection::vec(any_message(), 0..5)) {
        let mut out = vec![0xaa; 1500];
        let len = emit_all(&messages, &mut out).expect("room");
        let parsed: Vec<_> = Messages::new(&out[..len]).map(|m| m.expect("own")).collect();
        prop_assert_eq!(parsed, messages);
    }

    #[test]
    fn no_octets_panic(
        tag in 0xa0..0xabu8,
        tail in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        for octets in [tail.clone(), [&[tag][..], &tail].concat()] {
            prop_assert!(Messages::new(&octets).count() <= octets.len());
        }
    }

    /// One octet of a good record is wrong.
    #[test]
    fn no_damage_panics(message in any_message(), at in any::<u16>(), octet in any::<u8>()) {
        let mut out = vec![0xaa; 256];
        let len = message.emit(&mut out).expect("room");
        out[usize::from(at) % len] = octet;
        let _ = Messages::new(&out[..len]).count();
    }
}
