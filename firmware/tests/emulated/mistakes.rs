//! The way back from mistakes of the program's own, with a build that has some to offer.

use crate::air::Air;
use crate::dialog::{Dialog, line};
use crate::emulator::{Build, Emulator};
use lowgate_rcp::air::ToRadio;
use lowgate_spinel::Status;

/// Kinds of message that only this build knows.
const PANIC: u8 = 0xf0;
const FAULT: u8 = 0xf1;
const HANG: u8 = 0xf2;
const OVERFLOW: u8 = 0xf3;

fn reset_notice(status: Status) -> String {
    format!("800600{:02x}", status.0)
}

struct Machine {
    _emulator: Emulator,
    dialog: Dialog,
    air: Air,
}

impl Machine {
    fn start() -> Self {
        let (emulator, line, air) = Emulator::start(Build::Planted);
        let mut dialog = Dialog::new(line);
        assert_eq!(dialog.next(), reset_notice(Status::RESET_POWER_ON));
        assert_eq!(air.next(), ToRadio::Started);
        Self { _emulator: emulator, dialog, air }
    }

    /// What it says of its next life.
    fn make(&mut self, mistake: u8) -> String {
        self.air.voice.octets(&line(&[mistake]));
        let notice = self.dialog.next();
        assert_eq!(self.air.next(), ToRadio::Started);
        notice
    }

    /// Text of the debug stream.
    fn words(&mut self) -> String {
        let frame = crate::dialog::hex(&self.dialog.next());
        let [0x80, 0x06, 0x70, text @ .., 0] = &frame[..] else { panic!("no words: {frame:02x?}") };
        String::from_utf8(text.to_vec()).expect("a text")
    }
}

/// Criteria: it starts anew, says why and where, says it again to a host that resets, and then no more.
#[test]
fn a_panic_leaves_its_reason_for_the_next_boot() {
    let mut machine = Machine::start();
    assert_eq!(machine.make(PANIC), reset_notice(Status::RESET_CRASH));
    let words = machine.words();
    assert!(words.contains("main.rs") && words.ends_with("planted mistake"), "{words}");
    machine.dialog.check("81 02 00", "81 06 00 74");
    machine.dialog.check("80 01 02", "80 06 00 72");
    assert_eq!(machine.words(), words);
    machine.dialog.check("80 01 02", "80 06 00 72");
    machine.dialog.check("81 02 01", "81 06 01 04 03");
}

/// Criteria: as with a panic; the processor names the address.
#[test]
fn so_does_a_fault_of_the_processor() {
    let mut machine = Machine::start();
    assert_eq!(machine.make(FAULT), reset_notice(Status::RESET_FAULT));
    let words = machine.words();
    assert!(words.starts_with("fault at 0x0000"), "{words}");
    machine.dialog.check("81 02 01", "81 06 01 04 03");
}

/// Criteria: as with any other fault; nothing was overwritten before.
#[test]
fn so_does_a_stack_that_grows_too_far() {
    let mut machine = Machine::start();
    assert_eq!(machine.make(OVERFLOW), reset_notice(Status::RESET_FAULT));
    assert_eq!(machine.words(), "the stack was full");
    machine.dialog.check("81 02 01", "81 06 01 04 03");
}

/// Criteria: the watchdog ends it; the next life says so.
#[test]
fn a_program_that_hangs_is_reset() {
    let mut machine = Machine::start();
    assert_eq!(machine.make(HANG), reset_notice(Status::RESET_WATCHDOG));
    machine.dialog.check("81 02 01", "81 06 01 04 03");
    // A mistake of its own afterwards is told as such.
    assert_eq!(machine.make(PANIC), reset_notice(Status::RESET_CRASH));
}
