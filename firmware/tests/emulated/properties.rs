//! Every property that the co-processor has, by hand.

use crate::dialog::Dialog;
use crate::emulator::{Build, Emulator};
use lowgate_rcp::air::ToRadio;

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
        ("34", "34 024c47fffe000007"),
        ("35", "35 feff"),
        ("36", "36 ffff"),
        ("37", "37 00"),
        ("38", "38 00"),
        ("b001", "b001 0b"),
        ("b101", "b101 04"),
        // Acknowledgements, retries, channel access.
        ("8b24", "8b24 0d"),
        ("8326", "8326 00"),
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
        ("34", "0200000000000042", "024c47fffe000007"),
        ("35", "3412", "feff"),
        ("36", "cdab", "ffff"),
        ("38", "02", "00"),
        ("8326", "01", "00"),
        ("20", "01", "00"),
        ("37", "01", "00"),
    ] {
        dialog.check(&format!("81 02 {property}"), &format!("81 06 {property} {born}"));
        dialog.check(&format!("82 03 {property} {value}"), &format!("82 06 {property} {value}"));
        dialog.check(&format!("83 02 {property}"), &format!("83 06 {property} {value}"));
    }
    // Its receiver was off until all of them but the stream were set.
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
