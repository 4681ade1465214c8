//! What no host and no radio ought to say. After each the program runs on.

use crate::air::Air;
use crate::dialog::{Dialog, hex, line};
use crate::emulator::{Build, Emulator, PATIENCE};
use crate::line::Silence;
use lowgate_rcp::air::ToRadio;
use lowgate_units::Prng;
use std::time::Duration;

/// What the co-processor may take of its 35 KiB.
const STACK_BUDGET_OCTETS: usize = 14 * 1024;

struct Machine {
    emulator: Emulator,
    dialog: Dialog,
    air: Air,
}

impl Machine {
    fn start() -> Self {
        let (emulator, line, air) = Emulator::start(Build::Shipped);
        let mut dialog = Dialog::new(line);
        assert_eq!(dialog.next(), "80060070");
        assert_eq!(air.next(), ToRadio::Started);
        Self { emulator, dialog, air }
    }

    fn enable(&mut self) {
        self.dialog.check("81 03 20 01", "81 06 20 01");
        self.dialog.check("82 03 37 01", "82 06 37 01");
    }

    /// It is the same program as before, and its stack has room left.
    fn check_sound(&mut self) {
        self.dialog.check("8f 02 03", "8f 06 03 03");
        assert!(!self.air.wanted().contains(&ToRadio::Started), "it started afresh");
        let used = self.emulator.stack_octets();
        println!("{used} octets of the stack");
        assert!(used <= STACK_BUDGET_OCTETS, "{used} octets of the stack");
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut prng = Prng::new(seed);
    (0..len).map(|_| prng.next_u64().to_le_bytes()[0]).collect()
}

/// Criteria: no word about it, and the next question is answered.
#[test]
fn garbage_on_the_serial_line() {
    let mut machine = Machine::start();
    for seed in 0..20 {
        machine.dialog.write(&noise(seed, 1000));
        machine.check_sound();
    }
    for frame in ["00 02 01", "ff", "3c 3c 3c", ""] {
        machine.dialog.say(frame);
        machine.check_sound();
    }
    machine.dialog.expect_silence();
}

/// Criteria: damaged ones are dropped without a word; whole ones without sense are a parse error.
#[test]
fn truncated_frames() {
    let mut machine = Machine::start();
    let whole = line(&hex("81 03 36 cdab"));
    for len in 1..whole.len() - 1 {
        machine.dialog.write(&whole[..len]);
        machine.check_sound();
    }
    machine.dialog.say("81");
    machine.dialog.expect_silence();
    for frame in
        ["81 02", "81 03", "81 03 20", "81 03 36 cd", "81 03 34 02000000000000", "81 02 80"]
    {
        machine.dialog.check(frame, "81 06 00 09");
    }
    machine.enable();
    for stream in ["83 03 71", "83 03 71 05", "83 03 71 0500 61880700", "83 03 71 0500 6188070000"]
    {
        machine.dialog.check(stream, "83 06 00 09");
    }
    machine.check_sound();
}

/// Criteria: dropped, or an invalid argument; the next question is answered.
#[test]
fn oversized_frames() {
    let mut machine = Machine::start();
    machine.enable();
    machine.dialog.write(&[0x55; 20_000]);
    machine.check_sound();
    for len in [255, 256, 257, 300, 2000] {
        let mut frame = hex("81 03 36 cdab");
        frame.resize(len, 0);
        machine.dialog.write(&line(&frame));
        // The longest that it takes has 256 octets; what is behind a value is passed over.
        if len <= 256 {
            let answer = machine.dialog.next();
            assert!(answer.starts_with("810636cdab") || answer.starts_with("810600"), "{answer}");
        }
        machine.check_sound();
    }
    // A PSDU has up to 127 octets with its FCS.
    for len in [128_u8, 140, 200] {
        let psdu = vec![0x61; usize::from(len)];
        let frame = [&hex("83 03 71")[..], &[len, 0], &psdu, &[0x0f]].concat();
        machine.dialog.write(&line(&frame));
        assert_eq!(machine.dialog.next(), "83060003", "{len} octets");
    }
    assert!(!machine.air.wanted().iter().any(|it| format!("{it:?}").contains("Transmit")));
    machine.check_sound();
}

/// Criteria: the status that Spinel has for it, and nothing has changed.
#[test]
fn properties_out_of_range() {
    let mut machine = Machine::start();
    for (question, status) in [
        ("03 21 0a", "03"),
        ("03 21 1b", "03"),
        ("03 21 ff", "03"),
        ("03 38 03", "03"),
        ("03 20 02", "09"),
        ("03 37 ff", "09"),
        // No such property; none that can be set; none that has elements.
        ("02 7f", "0d"),
        ("02 ffff7f", "0d"),
        ("03 01 0505", "0d"),
        ("04 36 cdab", "0d"),
        ("05 36 cdab", "0d"),
        // No such command, and one that only a co-processor says.
        ("63 36", "05"),
        ("06 36 cdab", "05"),
    ] {
        machine.dialog.check(&format!("81 {question}"), &format!("81 06 00 {status}"));
    }
    // No such interface.
    machine.dialog.check("91 02 01", "91 06 00 06");
    machine.dialog.check("82 02 21", "82 06 21 0b");
    machine.dialog.check("82 02 36", "82 06 36 ffff");
    machine.enable();
    machine.dialog.check("83 03 71 0500 6188070000 0a", "83 06 00 03");
    machine.dialog.check("83 03 71 0200 6188 0f", "83 06 00 03");
    machine.check_sound();
}

/// Criteria: a host that never reset it is answered; frames pass only after it was switched on.
#[test]
fn commands_before_a_reset() {
    let mut machine = Machine::start();
    machine.dialog.check("81 03 71 0500 6188070000 0f", "81 06 00 04");
    machine.air.voice.hear(&[1, 2, 3]);
    machine.dialog.expect_silence();
    machine.enable();
    machine.air.voice.hear(&[1, 2, 3]);
    assert!(machine.dialog.next().starts_with("8006710500010203"));
    // One transmission at a time; a reset in the midst of it, and its end afterwards, harm nobody.
    machine.dialog.say("83 03 71 0500 6188070000 0f");
    let (token, _) = machine.air.transmission();
    machine.dialog.check("84 03 71 0500 6188080000 0f", "84 06 00 0c");
    machine.dialog.check("80 01 02", "80 06 00 72");
    machine.air.voice.end(token, lowgate_mac::TxStatus::Acked);
    machine.dialog.expect_silence();
    machine.enable();
    machine.dialog.say("83 03 71 0500 6188090000 0f");
    let (token, _) = machine.air.transmission();
    machine.air.voice.end(token, lowgate_mac::TxStatus::NoAck);
    assert!(machine.dialog.next().starts_with("83060011"));
    machine.check_sound();
}

/// Criteria: nothing of it reaches the host, and frames pass afterwards.
#[test]
fn nonsense_from_the_radio() {
    let mut machine = Machine::start();
    machine.enable();
    for seed in 0..20 {
        machine.air.voice.octets(&noise(seed, 1000));
        machine.air.voice.octets(&line(&noise(seed, 3)));
    }
    for message in ["", "81", "82 01", "82 00000000 07 01", "82 63000000 01 01", "00", "ff"] {
        machine.air.voice.octets(&line(&hex(message)));
    }
    machine.air.voice.octets(&line(&[0x81; 200]));
    machine.dialog.expect_silence();
    machine.air.voice.hear(&[1, 2, 3]);
    assert!(machine.dialog.next().starts_with("8006710500010203"));
    machine.check_sound();
}

/// Purpose: a host that stops reading while the air goes on. The emulated line takes no octet that the
/// host's socket has no room for; then the whole processor stands still, but not the watchdog's clock.
/// Criteria: it was not reset; it answers as soon as the host reads again; no frame was lost or damaged.
#[test]
fn a_host_that_stops_reading() {
    const FRAMES: u32 = 4000;
    /// Shorter than the watchdog's patience, which is eight seconds.
    const STALL: Duration = Duration::from_secs(4);
    let (emulator, line, mut air) = Emulator::start(Build::Shipped);
    let mut dialog = Dialog::new(line);
    assert_eq!(dialog.next(), "80060070");
    dialog.check("81 03 20 01", "81 06 20 01");
    dialog.check("82 03 37 01", "82 06 37 01");
    let begun = std::time::Instant::now();
    let speaker = std::thread::spawn(move || {
        for number in 0..FRAMES {
            let mut psdu = vec![0x41; 120];
            psdu[..4].copy_from_slice(&number.to_le_bytes());
            air.voice.hear(&psdu);
        }
        air
    });
    Silence::new().until(begun + STALL);
    assert!(!speaker.is_finished(), "nobody was held up");
    for number in 0..FRAMES {
        let frame = dialog.next();
        let wanted: String = number.to_le_bytes().iter().map(|it| format!("{it:02x}")).collect();
        assert!(frame.starts_with(&format!("8006717a00{wanted}")), "frame {number}: {frame}");
        assert!(begun.elapsed() < STALL + PATIENCE, "frame {number}: it is too slow");
    }
    let air = speaker.join().expect("it has said all");
    let mut machine = Machine { emulator, dialog, air };
    assert_eq!(machine.air.next(), ToRadio::Started);
    machine.check_sound();
}
