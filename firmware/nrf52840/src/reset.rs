//! Why the chip starts, and how it is started anew.

use embassy_nrf::pac;
use heapless::String;
use lowgate_retained::{Cause, LAST_WORDS_OCTETS_MAX, Restart};
use lowgate_spinel::Status;
use lowgate_units::Eui64;

/// What the bootloader of the dongle (nRF5 SDK: BOOTLOADER_DFU_START) takes for a wish to stay there.
const STAY_IN_BOOTLOADER: u8 = 0xb1;

/// Which chip this is, and why it starts.
#[derive(Clone, Debug)]
pub struct Boot {
    /// For the host.
    pub why: Status,
    /// Of the life before.
    pub last_words: Option<String<LAST_WORDS_OCTETS_MAX>>,
    /// From the factory.
    pub eui64: Eui64,
}

impl Boot {
    /// First of all, and once: the chip forgets what it told.
    ///
    /// # Panics
    /// The second time.
    pub fn begin() -> Self {
        let core = cortex_m::Peripherals::take().expect("nobody else runs");
        let Restart { cause, last_words } = lowgate_retained::begin(&core.MPU);
        Self { why: status(cause), last_words, eui64: eui64() }
    }
}

fn status(cause: Cause) -> Status {
    let reasons = pac::POWER.resetreas().read();
    // Writing ones clears them.
    pac::POWER.resetreas().write_value(reasons);
    match cause {
        Cause::Panic => Status::RESET_CRASH,
        Cause::Fault => Status::RESET_FAULT,
        _ if reasons.dog() => Status::RESET_WATCHDOG,
        _ if reasons.lockup() => Status::RESET_FAULT,
        _ if reasons.resetpin() => Status::RESET_EXTERNAL,
        _ if reasons.sreq() => Status::RESET_SOFTWARE,
        Cause::PowerOn | Cause::Watchdog => Status::RESET_POWER_ON,
    }
}

/// The device address that the manufacturer gave the chip: he assigns 48 bits at random, of which the two
/// that say whose they are become a local one's; ff fe goes into their middle.
fn eui64() -> Eui64 {
    let low = pac::FICR.deviceaddr(0).read().to_le_bytes();
    let high = pac::FICR.deviceaddr(1).read().to_le_bytes();
    let ([a, b, c, d], [e, f, ..]) = (low, high);
    Eui64([f & 0xfc | 0x02, e, d, 0xff, 0xfe, c, b, a])
}

/// Into the bootloader.
pub fn enter_bootloader() -> ! {
    pac::POWER.gpregret().write(|w| w.set_gpregret(STAY_IN_BOOTLOADER));
    cortex_m::peripheral::SCB::sys_reset()
}
