//! Every property that the co-processor has, by hand.

use crate::air::{LQI, RSSI};
use crate::dialog::Dialog;
use crate::emulator::{Build, Emulator};
use lowgate_mac::{Psdu, TxStatus};
use lowgate_rcp::air::ToRadio;
use lowgate_rcp::{Levels, Reception, Report};
use lowgate_units::{Instant, Lqi, Rssi};
use std::time::Duration;

/// Criteria: what an OpenThread host asks of a co-processor is answered as the radio is.
#[test]
fn what_it_is() {
    let (_emulator, line, _air) = Emulator::start(Build::Shipped);
    let mut dialog = Dialog::new(line);
    assert_eq!(dialog.next(), "80060070");
    dialog.check("81 00", "81 06 00 00");
    for (question, answer) in [
        ("01", "01 04 03"),
        ("03", "03 03"),
        // Configuration of the radio, raw link, levels of the interface.
        ("05", "05 22 8104 40 41"),
        ("06", "06 01"),
        ("08", "08 024c47fffe000007"),
        ("20", "20 00"),
        ("21", "21 0b"),
        ("22", "22 0b0c0d0e0f101112131415161718191a"),
        ("24", "24 b5"),
        ("25", "25 00"),
        ("26", "26 80"),
        ("27", "27 ab"),
        ("29", "29 0b0c0d0e0f101112131415161718191a"),
        ("30", "30 00"),
        ("31", "31"),
        ("32", "32 c800"),
        ("34", "34 024c47fffe000007"),
        ("35", "35 feff"),
        ("36", "36 ffff"),
        ("37", "37 00"),
        ("38", "38 00"),
        ("b001", "b001 0b"),
        ("b101", "b101 04"),
        // Acknowledgements, energy scan, retries, channel access, transmission at a time.
        ("8b24", "8b24 4f"),
        ("8326", "8326 00"),
        ("8426", "8426"),
        ("8526", "8526"),
    ] {
        dialog.check(&format!("82 02 {question}"), &format!("82 06 {answer}"));
    }
    // Text: that it is one, the driver's test sees.
    dialog.say("83 02 02");
    assert!(dialog.next().starts_with("830602"));
    // The clock goes, and in microseconds.
    let mut clock = || {
        dialog.say("84 02 8210");
        let octets = crate::dialog::hex(&dialog.next());
        let value: [u8; 8] = octets[4..].try_into().expect("a number of 64 bits");
        u64::from_le_bytes(value)
    };
    let begun = std::time::Instant::now();
    let (first, mut last) = (clock(), 0);
    while last < first + 400_000 {
        let now = clock();
        assert!(now >= last, "{now} after {last}: it goes back");
        last = now;
    }
    // The emulator's clock is the system's; it may be late, never fast.
    assert!(begun.elapsed().as_micros() >= 399_000, "it is fast");
}

/// Criteria: what was set is in force, survives no reset, and is told to the radio.
#[test]
fn what_can_be_set() {
    let (_emulator, line, air) = Emulator::start(Build::Shipped);
    let mut dialog = Dialog::new(line);
    assert_eq!(dialog.next(), "80060070");
    assert_eq!(air.next(), ToRadio::Started);
    for (property, value, born) in [
        ("21", "14", "0b"),
        ("24", "c0", "b5"),
        ("25", "08", "00"),
        ("31", "0b1a", ""),
        ("32", "0100", "c800"),
        ("34", "0200000000000042", "024c47fffe000007"),
        ("35", "3412", "feff"),
        ("36", "cdab", "ffff"),
        ("38", "02", "00"),
        ("8326", "01", "00"),
        ("8426", "01003412", ""),
        ("8526", "0200000000000043", ""),
        ("20", "01", "00"),
        ("37", "01", "00"),
    ] {
        dialog.check(&format!("81 02 {property}"), &format!("81 06 {property} {born}"));
        dialog.check(&format!("82 03 {property} {value}"), &format!("82 06 {property} {value}"));
        dialog.check(&format!("83 02 {property}"), &format!("83 06 {property} {value}"));
    }
    // All but the first two and the stream was set while its receiver was off.
    let levels = |tx_power_dbm, cca_threshold_dbm| {
        ToRadio::Levels(Levels { tx_power_dbm, cca_threshold_dbm })
    };
    assert_eq!([air.next(), air.next()], [levels(0, -64), levels(8, -64)]);
    let lists = [air.next(), air.next(), air.next()];
    let [.., ToRadio::SourceMatch(list)] = lists else { panic!("no lists: {lists:?}") };
    assert!(list.enabled && list.short().len() == 2 && list.extended().len() == 1);
    let config = air.configuration();
    assert_eq!(config.channel.number(), 20);
    assert_eq!(config.pan_id.map(lowgate_units::PanId::raw), Some(0xabcd));
    assert_eq!(config.short.map(lowgate_units::ShortAddr::raw), Some(0x1234));
    assert_eq!(config.eui64.0, [2, 0, 0, 0, 0, 0, 0, 0x42]);
    assert!(config.promiscuous);
    dialog.check("80 01 02", "80 06 00 72");
    for (property, born) in [("21", "0b"), ("36", "ffff"), ("20", "00"), ("37", "00")] {
        dialog.check(&format!("81 02 {property}"), &format!("81 06 {property} {born}"));
    }
}

/// Criteria: a look for energy, a frame at a time of its own, and the remarks on acknowledgements of both
/// directions pass through the program.
#[test]
fn what_only_other_hosts_ask_for() {
    let (_emulator, line, mut air) = Emulator::start(Build::Shipped);
    let mut dialog = Dialog::new(line);
    assert_eq!((dialog.next().as_str(), air.next()), ("80060070", ToRadio::Started));
    dialog.check("81 03 20 01", "81 06 20 01");
    dialog.check("81 03 37 01", "81 06 37 01");
    air.configuration();
    dialog.check("82 03 31 14", "82 06 31 14");
    dialog.check("82 03 30 02", "82 06 30 02");
    let ToRadio::Scan(scan) = air.next() else { panic!("no scan") };
    assert_eq!((scan.channel.number(), scan.duration), (20, Duration::from_millis(200)));
    air.voice.report(&Report::Scanned(Rssi(-77)));
    assert_eq!([dialog.next(), dialog.next()], ["80063914b3", "80063000"]);

    let reception = |psdu: &[u8], said_pending| {
        let psdu = Psdu::from_slice(psdu).expect("a PSDU");
        Reception { psdu, rssi: Rssi(RSSI), lqi: Lqi(LQI), at: Instant::ZERO, said_pending }
    };
    let request = [0x63, 0x88, 7, 0xcd, 0xab, 2, 0, 1, 0, 4];
    for (said_pending, flags) in [(true, "1000"), (false, "0000")] {
        air.voice.report(&Report::Received(reception(&request, said_pending)));
        let told = dialog.next();
        assert!(told.starts_with("8006710c00638807cdab0200010004"), "{told}");
        assert_eq!(told[34..42], *format!("d080{flags}"), "{told}");
    }
    // 100 ms after its own clock, without a look and without a second attempt.
    dialog.say("83 02 8210");
    let clock = dialog.next()[8..16].to_owned();
    let wish = format!("84 03 71 0500 6188070000 0b 04 00 00 01 00 01 a0860100 {clock} 0b");
    dialog.say(&wish);
    let ToRadio::Transmit { token, access, delay, .. } = air.next() else { panic!("no frame") };
    assert_eq!((access.csma_backoffs_max, access.frame_retries_max), (None, 0));
    assert!(delay > Duration::ZERO && delay <= Duration::from_millis(100), "{delay:?}");
    let ack = Some(reception(&[0x12, 0, 7], false));
    air.voice.report(&Report::Transmitted { token, status: TxStatus::Acked, ack });
    let told = dialog.next();
    assert!(told.starts_with("84060000010005001200"), "done, and more is waiting: {told}");
}
