//! Captures written and read back.

use lowgate_testkit::{hex, to_hex};
use lowgate_units::{Channel, Lqi, Rssi};
use proptest::prelude::*;

use super::*;

fn air(psdu: &[u8]) -> AirFrame<'_> {
    AirFrame { channel: Channel::new(15), rssi: Some(Rssi(-70)), lqi: Some(Lqi(170)), psdu }
}

fn sample() -> Capture {
    let mut capture = Capture::new();
    capture.frame(Instant::from_micros(5_000_000_017), &air(&hex("02 00 2a")), "from the lobby");
    capture.packet(Instant::from_secs(5001), &hex("60 00 00 00 00 00 3b 40"), "");
    capture.secret("CLIENT_RANDOM 00 11\n");
    capture
}

#[test]
fn what_was_written_is_read_back() {
    let recording = read(&sample().emit("seed 7")).expect("ours");
    assert_eq!(recording.about, "seed 7");
    assert_eq!(recording.secrets, ["CLIENT_RANDOM 00 11"]);
    let [first, second] = &recording.packets[..] else { panic!("{recording:?}") };
    assert_eq!((first.at.as_micros(), first.link_type), (5_000_000_017, LINKTYPE_TAP));
    assert_eq!(first.comment, "from the lobby");
    assert_eq!(AirFrame::parse(&first.octets), Ok(air(&hex("02 00 2a"))));
    assert_eq!((second.at, second.link_type), (Instant::from_secs(5001), LINKTYPE_IPV6));
    assert_eq!(to_hex(&second.octets), "6000000000003b40");
    assert_eq!(sample().packets(), 2);
}

#[test]
fn a_file_without_packets_begins_with_a_section_and_two_interfaces() {
    let file = Capture::new().emit("");
    assert_eq!(to_hex(&file[..24]), "0a0d0d0a2c0000004d3c2b1a01000000ffffffffffffffff");
    assert_eq!(read(&file), Ok(Recording::default()));
}

#[test]
fn either_byte_order_and_other_resolutions() {
    let file = hex("0a0d0d0a 0000001c 1a2b3c4d 00010000 ffffffffffffffff 0000001c \
         00000001 00000020 011b0000 00000000 00090001 09000000 00000000 00000020 \
         00000006 00000024 00000000 00000001 00000000 00000002 00000002 abcd0000 00000024");
    let recording = read(&file).expect("sound");
    assert_eq!(recording.packets[0].at.as_micros(), (1 << 32) / 1000);
    assert_eq!(recording.packets[0].octets, [0xab, 0xcd]);
}

#[track_caller]
fn check(file: &[u8], at: usize, reason: ReadReason) {
    assert_eq!(read(file), Err(ReadFault { at, reason }));
}

#[test]
fn faults_say_where() {
    check(b"", 0, ReadReason::NoPcapng);
    check(b"no pcapng at all", 0, ReadReason::NoPcapng);
    let file = Capture::new().emit("");
    check(&file[..file.len() - 1], 120, ReadReason::CutShort);
    let with = |block: &str| [&file[..44], &hex(block)].concat();
    check(&with("06000000 0b000000"), 44, ReadReason::BlockLength);
    check(&with("06000000 0c000000 10000000"), 44, ReadReason::BlockLength);
    check(&with("06000000 0c000000 0c000000"), 44, ReadReason::FieldLength);
    check(
        &with("06000000 20000000 09000000 00000000 00000000 00000000 00000000 20000000"),
        44,
        ReadReason::UnknownInterface,
    );
    check(
        &with("01000000 1c000000 1b010000 00000000 09000100 7f000000 1c000000"),
        44,
        ReadReason::TimeResolution,
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damage_never_panics(at in 0..400usize, with in any::<u8>(), cut in 0..400usize) {
        let mut file = sample().emit("seed 7");
        let len = file.len();
        file[at % len] = with;
        let _ = read(&file);
        let _ = read(&file[..cut.min(len)]);
    }

    #[test]
    fn comments_and_octets_survive(
        comment in "\\PC{0,20}",
        octets in proptest::collection::vec(any::<u8>(), 0..40),
        micros in any::<u64>(),
    ) {
        let mut capture = Capture::new();
        capture.packet(Instant::from_micros(micros), &octets, &comment);
        let recording = read(&capture.emit("")).expect("ours");
        prop_assert_eq!(&recording.packets[0].octets, &octets);
        prop_assert_eq!(&recording.packets[0].comment, &comment);
        prop_assert_eq!(recording.packets[0].at.as_micros(), micros);
    }
}
