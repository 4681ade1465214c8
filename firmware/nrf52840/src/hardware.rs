//! What every board has of the chip beside radio and serial line.

use embassy_nrf::interrupt::{Interrupt, InterruptExt, Priority};
use embassy_nrf::wdt::{Watchdog, WatchdogHandle};
use embassy_nrf::{Peri, config, peripherals, rng, wdt};

/// A program that does not come back to its loop is reset after this; of the watchdog's 32 768 Hz.
const PATIENCE_TICKS: u32 = 8 * 32_768;

/// The crystal for the radio. Every other interrupt waits for that of the radio, which has 192 us.
pub fn config() -> config::Config {
    for other in [Interrupt::TIMER0, Interrupt::USBD, Interrupt::CLOCK_POWER, Interrupt::UARTE0] {
        other.set_priority(Priority::P2);
    }
    let mut config = config::Config::default();
    config.hfclk_source = config::HfclkSource::ExternalXtal;
    config
}

/// For dice that are no secret.
pub fn seed(generator: Peri<'_, peripherals::RNG>) -> u64 {
    let mut octets = [0; 8];
    rng::Rng::new_blocking(generator).blocking_fill_bytes(&mut octets);
    u64::from_le_bytes(octets)
}

/// Starts it.
///
/// # Panics
/// If something else has started it otherwise; the next life then says so.
pub fn watchdog(watchdog: Peri<'static, peripherals::WDT>) -> WatchdogHandle {
    let mut config = wdt::Config::default();
    config.timeout_ticks = PATIENCE_TICKS;
    let started = Watchdog::try_new(watchdog, config);
    let Ok((_, [handle])) = started else { panic!("the watchdog runs otherwise") };
    handle
}

#[expect(unsafe_code, reason = "the register that lets an interrupt happen")]
pub(crate) fn unmask(interrupt: Interrupt) {
    // SAFETY: no critical section depends on this interrupt being masked.
    unsafe { cortex_m::peripheral::NVIC::unmask(interrupt) };
}
