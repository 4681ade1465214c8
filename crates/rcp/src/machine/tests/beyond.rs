//! What only a host asks for whose radio knows more than the seam.

use super::*;
use crate::radio::Levels;
use lowgate_units::{LinkAddr, ShortAddr};
use std::format;

fn short(raw: u16) -> LinkAddr {
    LinkAddr::Short(ShortAddr::new(raw).unwrap())
}

fn reception(psdu: &str, said_pending: bool) -> Reception {
    let psdu = Psdu::from_slice(&hex(psdu)).unwrap();
    Reception { psdu, rssi: Rssi(-40), lqi: Lqi(9), at: Instant::from_millis(700), said_pending }
}

#[test]
fn a_radio_that_knows_more_says_so() {
    let mut bench = Bench::beyond();
    bench.check("81 02 8b24", "81 06 8b24 4f");
    // One that does not refuses what it cannot do, and tells its radio nothing of it.
    let mut bench = Bench::new();
    bench.enable();
    bench.check("81 03 31 0f", "81 06 31 0f");
    bench.check("81 03 30 02", "81 06 00 02");
    bench.check("81 03 25 08", "81 06 25 08");
    bench.check("81 03 8326 01", "81 06 8326 01");
    bench
        .check("81 03 71 0500 6188070000 0f 04 07 01 01 00 01 01000000 00000000 0f", "81 06 00 02");
    assert!(bench.demands.is_empty());
}

#[test]
fn energy_is_looked_for_and_told() {
    let mut bench = Bench::beyond();
    bench.check("81 02 31", "81 06 31");
    bench.check("81 02 32", "81 06 32 c800");
    bench.check("81 03 31 0f", "81 06 31 0f");
    bench.check("82 03 32 0a00", "82 06 32 0a00");
    bench.check("83 03 30 02", "83 06 00 04");
    bench.enable();
    bench.check("83 03 30 02", "83 06 30 02");
    let (channel, duration) = (Channel::new(15).unwrap(), Duration::from_millis(10));
    assert_eq!(bench.demands, [Demand::Scan(Scan { channel, duration })]);
    bench.check("84 02 30", "84 06 30 02");
    // Neither a second one nor a frame meanwhile; nothing ends it early.
    bench.check("84 03 30 02", "84 06 00 0c");
    bench.check("84 03 71 0500 6188070000 0f", "84 06 00 0c");
    bench.check("84 03 30 00", "84 06 30 02");
    bench.report(Report::Scanned(Rssi(-91)));
    assert_eq!(bench.frames, [hex("80 06 39 0f a5"), hex("80 06 30 00")]);
    bench.report(Report::Scanned(Rssi(-91)));
    assert!(bench.frames.is_empty(), "nobody asked");
    bench.check("84 02 30", "84 06 30 00");
}

#[test]
fn what_cannot_be_scanned_is_refused() {
    let mut bench = Bench::beyond();
    bench.enable();
    bench.check("81 03 30 02", "81 06 00 03");
    bench.check("81 03 31 0b0c", "81 06 31 0b0c");
    bench.check("81 03 30 02", "81 06 00 03");
    bench.check("81 03 31 0b0a", "81 06 00 03");
    bench.check("81 02 31", "81 06 31 0b0c");
    bench.check("81 03 30 01", "81 06 00 02");
    bench.check("81 03 30", "81 06 00 09");
    bench.check("81 03 32 01", "81 06 00 09");
    bench.check("81 03 31 1a1a", "81 06 31 1a");
    bench.send(&hex("83 03 71 0500 6188070000 0f"));
    bench.check("81 03 30 02", "81 06 00 0c");
    assert!(!bench.demands.iter().any(|demand| matches!(demand, Demand::Scan(_))));
}

#[test]
fn a_radio_that_finds_no_end_of_its_scan_is_not_waited_for() {
    let mut bench = Bench::beyond();
    bench.enable();
    bench.check("81 03 31 0f", "81 06 31 0f");
    bench.check("81 03 30 02", "81 06 30 02");
    bench.frames.clear();
    bench.now = bench.drain();
    assert_eq!(bench.now, NOW + Duration::from_millis(200) + SCAN_SLACK);
    bench.drain();
    assert_eq!(bench.frames, [hex("80 06 39 0f 7f"), hex("80 06 30 00")]);
    // Of one that was asked for before a reset nobody hears.
    bench.check("81 03 30 02", "81 06 30 02");
    bench.check("80 01 02", "80 06 00 72");
    bench.check("81 02 30", "81 06 30 00");
    bench.report(Report::Scanned(Rssi(-91)));
    assert!(bench.frames.is_empty());
}

#[test]
fn for_whom_something_is_waiting() {
    let mut bench = Bench::beyond();
    bench.check("81 03 8326 01", "81 06 8326 01");
    bench.check("82 04 8426 0100", "82 07 8426 0100");
    bench.check("83 04 8426 3412", "83 07 8426 3412");
    bench.check("84 02 8426", "84 06 8426 0100 3412");
    bench.check("85 04 8526 0200000000000009", "85 07 8526 0200000000000009");
    bench.check("86 05 8426 0100", "86 08 8426 0100");
    let Some(Demand::SourceMatch(list)) = bench.demands.last() else { panic!() };
    let extended = LinkAddr::Extended(Eui64([2, 0, 0, 0, 0, 0, 0, 9]));
    assert!(list.waits_for(short(0x1234)) && list.waits_for(extended));
    assert!(!list.waits_for(short(1)));
    // Not there; no address; half an address; no list.
    bench.check("81 05 8426 0100", "81 06 00 14");
    bench.check("81 04 8426 feff", "81 06 00 03");
    bench.check("81 04 8426 01", "81 06 00 09");
    bench.check("81 04 8526 01020304050607", "81 06 00 09");
    bench.check("81 04 8326 01", "81 06 00 0d");
    // The whole list in place of the one before, or none of it.
    bench.check("81 03 8426 0500 0600", "81 06 8426 0500 0600");
    bench.check("81 03 8426 0700 08", "81 06 00 09");
    bench.check("81 02 8426", "81 06 8426 0500 0600");
    bench.check("81 03 8526", "81 06 8526");
    let Some(Demand::SourceMatch(list)) = bench.demands.last() else { panic!() };
    assert_eq!((list.short().len(), list.extended().len()), (2, 0));
    // A reset forgets them, and the radio hears of it.
    bench.check("80 01 02", "80 06 00 72");
    assert_eq!(bench.demands.last(), Some(&Demand::SourceMatch(SourceMatch::new())));
    let told = bench.demands.len();
    bench.check("80 01 02", "80 06 00 72");
    assert_eq!(bench.demands.len(), told);
}

#[test]
fn its_lists_are_bounded() {
    let mut bench = Bench::beyond();
    for number in 0..lowgate_mac::SOURCE_MATCH_SHORT_MAX {
        bench.check(&format!("81 04 8426 {number:02x}00"), &format!("81 07 8426 {number:02x}00"));
    }
    bench.check("81 04 8426 0001", "81 06 00 0b");
    bench.check("81 04 8426 0100", "81 07 8426 0100");
    for number in 0..lowgate_mac::SOURCE_MATCH_EXTENDED_MAX {
        let octets = format!("8526 {number:016x}");
        bench.check(&format!("81 04 {octets}"), &format!("81 07 {octets}"));
    }
    bench.check("81 04 8526 ffffffffffffffff", "81 06 00 0b");
    let all = "0100".repeat(17);
    bench.check(&format!("81 03 8426 {all}"), "81 06 8426 0100");
}

#[test]
fn levels_reach_the_radio() {
    let mut bench = Bench::beyond();
    bench.check("81 03 25 08", "81 06 25 08");
    bench.check("81 03 24 c4", "81 06 24 c4");
    bench.check("81 03 24 c4", "81 06 24 c4");
    let levels = |tx_power_dbm, cca_threshold_dbm| {
        Demand::Levels(Levels { tx_power_dbm, cca_threshold_dbm })
    };
    assert_eq!(bench.demands, [levels(8, -75), levels(8, -60)]);
    bench.check("81 03 25", "81 06 00 09");
    bench.check("80 01 02", "80 06 00 72");
    assert_eq!(bench.demands.last(), Some(&levels(0, -75)));
}

#[test]
fn a_frame_goes_the_way_that_its_host_wants() {
    let mut bench = Bench::beyond();
    bench.enable();
    // Our own host's wishes are the seam's.
    bench.send(&hex("83 03 71 0500 6188070000 0f 04 07 01 01 00 01 00000000 00000000 0f"));
    assert!(matches!(bench.radio.last(), Some(RadioCommand::Transmit { .. })));
    assert!(bench.demands.is_empty());
    bench.report(Report::Transmitted { token: TxToken(0), status: TxStatus::Acked, ack: None });
    // No look, no retry, 258 us after 0xfffff: the clock is at 1 s.
    bench.send(&hex("83 03 71 0500 6188070000 14 04 00 00 01 00 01 02010000 ffff0f00 0f"));
    let at = Instant::from_micros(0xf_ffff + 258);
    let access = Access { csma_backoffs_max: None, frame_retries_max: 0, not_before: Some(at) };
    let (token, psdu) = (TxToken(1), Psdu::from_slice(&[0x61, 0x88, 7]).unwrap());
    assert_eq!(bench.demands, [Demand::Transmit { token, psdu, access }]);
    let Some(RadioCommand::Configure(config)) = bench.radio.last() else { panic!() };
    assert_eq!(config.channel.number(), 20, "it is there before");
    assert_eq!(bench.drain(), at + TRANSMISSION_MAX);
    bench.report(Report::Transmitted { token, status: TxStatus::NoAck, ack: None });
    assert_eq!(bench.frames[0][..4], [0x83, 6, 0, 17]);
    let Some(RadioCommand::Configure(config)) = bench.radio.last() else { panic!() };
    assert_eq!(config.channel.number(), 15, "and back afterwards");
}

#[test]
fn what_should_have_been_sent_before_or_much_later_is_not() {
    let mut bench = Bench::beyond();
    bench.enable();
    for base in ["3e420f00", "00000080", "40c9a203"] {
        let wish = format!("83 03 71 0500 6188070000 14 04 00 00 01 00 01 01000000 {base} 0f");
        bench.check(&wish, "83 06 00 03");
    }
    assert!(bench.demands.is_empty());
    bench.check("84 02 21", "84 06 21 0b");
}

#[test]
fn the_hosts_clock_may_be_about_to_go_round() {
    let now = Instant::from_micros(0xffff_ffff);
    assert_eq!(time_of(now, 4), Ok(Instant::from_micros(0x1_0000_0004)));
    let later = Instant::from_micros(0x7_0000_0004);
    assert_eq!(time_of(later, 5), Ok(Instant::from_micros(0x7_0000_0005)));
    assert_eq!(time_of(later, 3), Err(Status::INVALID_ARGUMENT));
}

#[test]
fn an_acknowledgement_is_told_as_it_was_heard() {
    for (ack, pending) in [("020007", false), ("120007", true)] {
        let mut bench = Bench::beyond();
        bench.enable();
        bench.send(&hex("83 03 71 0500 6188070000 0f"));
        let (token, status) = (TxToken(0), TxStatus::Acked);
        bench.report(Report::Transmitted { token, status, ack: Some(reception(ack, false)) });
        let done = TransmitDone::parse(&bench.frames[0][3..]).unwrap();
        assert_eq!((done.status, done.frame_pending), (Status::OK, pending));
        let heard = done.ack.unwrap();
        assert_eq!(heard.psdu, with_fcs(&hex(ack)));
        assert_eq!((heard.rssi, heard.lqi, heard.timestamp_us), (-40, 9, 700_000));
    }
}

#[test]
fn who_was_told_that_more_is_waiting_is_marked() {
    for (said_pending, flags) in [(false, 0), (true, 0x10)] {
        let mut bench = Bench::beyond();
        bench.enable();
        bench.report(Report::Received(reception("638807cdab0100020004", said_pending)));
        let raw = RawReceived::parse(&bench.frames[0][3..]).unwrap();
        assert_eq!((raw.flags.0, raw.timestamp_us), (flags, 700_000));
    }
}

#[test]
fn it_hands_over_to_a_bootloader_if_it_has_one() {
    let mut bench = Bench::beyond();
    bench.check("80 01 03", "80 06 00 03");
    assert_eq!(bench.left, 0);
    let mut bench = Bench::with(RcpConfig { bootloader: true, ..RcpConfig::new(HWADDR, "test") });
    bench.check("85 02 05", "85 06 05 22 8104 40 41 42");
    bench.check("80 01 03", "80 06 00 72");
    assert_eq!(bench.left, 1);
}
