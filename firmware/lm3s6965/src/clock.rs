//! Time since the start, from the core's own SysTick.
//!
//! **Invariant:** it never goes back. It is late if the processor is kept from its interrupts for
//! longer than 100 ms.

use crate::register::Register;
use core::cell::Cell;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::exception;
use critical_section::Mutex;
use lowgate_units::Instant;

/// The processor's clock.
pub(crate) const CLOCK_HZ: u32 = 50_000_000;
/// The counter starts anew every 100 ms, which is also the longest sleep.
const WRAP_CYCLES: u32 = CLOCK_HZ / 10;
const CYCLES_PER_US: u32 = CLOCK_HZ / 1_000_000;

/// Run-mode clock configuration: 200 MHz, divided by four.
const RCC: Register = Register::new(0x400f_e060);
const RCC_DIVISOR_MASK: u32 = 0xf << 23;
const RCC_DIVIDE_BY_4: u32 = 3 << 23;
const RCC_USE_DIVISOR: u32 = 1 << 22;

static WRAPS: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

/// Tells the time.
#[derive(Debug)]
pub struct Clock(());

impl Clock {
    pub(crate) fn start(mut timer: SYST) -> Self {
        RCC.write(RCC.read() & !RCC_DIVISOR_MASK | RCC_DIVIDE_BY_4 | RCC_USE_DIVISOR);
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(WRAP_CYCLES - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
        Self(())
    }

    /// To the microsecond.
    pub fn now(&self) -> Instant {
        Instant::from_micros(self.ticks() / u64::from(CYCLES_PER_US))
    }

    /// Cycles of the processor's clock since the start; of two with interrupts held back between them the
    /// difference is right up to 100 ms.
    pub fn ticks(&self) -> u64 {
        let (wraps, left) = critical_section::with(|cs| {
            let (wraps, left) = (WRAPS.borrow(cs).get(), SYST::get_current());
            // It wrapped after we had switched interrupts off: which of the two we read is not sure.
            if SCB::is_pendst_pending() { (wraps + 1, SYST::get_current()) } else { (wraps, left) }
        });
        u64::from(wraps) * u64::from(WRAP_CYCLES)
            + u64::from((WRAP_CYCLES - 1).saturating_sub(left))
    }
}

#[exception]
fn SysTick() {
    // 13 years of them; an overflow would be a panic, hence a reset.
    critical_section::with(|cs| WRAPS.borrow(cs).set(WRAPS.borrow(cs).get() + 1));
}
