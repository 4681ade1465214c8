//! The watchdog: a program that does not come back to its loop is reset.

use crate::clock::CLOCK_HZ;
use crate::register::Register;
use lowgate_units::Duration;

/// The first time it only warns, and nobody listens; the second time in a row it resets. So long because a
/// far end that does not read stops the emulated processor in the midst of an octet, and not the clock.
pub const PERIOD: Duration = Duration::from_secs(4);
const PERIOD_CYCLES: u32 = 4 * CLOCK_HZ;

const LOAD: Register = Register::new(0x4000_0000);
const CONTROL: Register = Register::new(0x4000_0008);
const CLEAR: Register = Register::new(0x4000_000c);
const LOCK: Register = Register::new(0x4000_0c00);

const COUNT_AND_RESET: u32 = 0b11;
const UNLOCK: u32 = 0x1acc_e551;
const LOCKED: u32 = 0;

/// Wants to be fed.
#[derive(Debug)]
pub struct Watchdog(());

impl Watchdog {
    pub(crate) fn start() -> Self {
        LOCK.write(UNLOCK);
        LOAD.write(PERIOD_CYCLES);
        CONTROL.write(COUNT_AND_RESET);
        LOCK.write(LOCKED);
        Self(())
    }

    /// All is well for another [`PERIOD`].
    pub fn feed(&mut self) {
        LOCK.write(UNLOCK);
        CLEAR.write(1);
        LOCK.write(LOCKED);
    }
}
