//! Time in microseconds, from a timer that runs freely: the radio's events are caught by it without the
//! program's help.
//!
//! **Invariant:** it never goes back, as long as somebody reads it once an hour.

use core::cell::Cell;
use critical_section::Mutex;
use embassy_nrf::interrupt;
use embassy_nrf::pac::timer::vals;
use embassy_nrf::pac::{self, timer::Timer};
use lowgate_units::{Duration, Instant};

pub(crate) const TIMER: Timer = pac::TIMER0;
/// Its registers of times: of the radio's start, of the alarm, of the end of a frame, of now.
pub(crate) const AT_START: usize = 0;
const AT_ALARM: usize = 1;
pub(crate) const AT_END: usize = 2;
const AT_NOW: usize = 3;
/// 16 MHz, divided by two so often.
const MICROSECONDS: u8 = 4;
/// What is nearer than this may be over before it is set.
const ALARM_MIN: Duration = Duration::from_micros(20);
/// The longest sleep: the program wants to feed its watchdog.
const ALARM_MAX: Duration = Duration::from_secs(1);

static LAST: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Starts it.
pub fn start() {
    TIMER.tasks_stop().write_value(1);
    TIMER.mode().write(|w| w.set_mode(vals::Mode::Timer));
    TIMER.bitmode().write(|w| w.set_bitmode(vals::Bitmode::_32bit));
    TIMER.prescaler().write(|w| w.set_prescaler(MICROSECONDS));
    TIMER.tasks_clear().write_value(1);
    TIMER.intenset().write(|w| w.set_compare(AT_ALARM, true));
    TIMER.tasks_start().write_value(1);
    crate::hardware::unmask(pac::Interrupt::TIMER0);
}

/// The lower half of it, within an interrupt or a critical section.
pub(crate) fn ticks() -> u32 {
    TIMER.tasks_capture(AT_NOW).write_value(1);
    TIMER.cc(AT_NOW).read()
}

/// Now.
pub fn now() -> Instant {
    let micros = critical_section::with(|cs| {
        let last = LAST.borrow(cs);
        let passed = ticks().wrapping_sub(last.get() as u32);
        last.set(last.get() + u64::from(passed));
        last.get()
    });
    Instant::from_micros(micros)
}

/// When it was that, less than an hour ago.
pub fn when(ticks: u32) -> Instant {
    let now = now().as_micros();
    let ago = (now as u32).wrapping_sub(ticks);
    Instant::from_micros(now.saturating_sub(ago.into()))
}

/// Wakes the program then, or before.
pub fn wake_at(until: Instant) {
    let now = now();
    let until = until.clamp(now + ALARM_MIN, now + ALARM_MAX);
    TIMER.events_compare(AT_ALARM).write_value(0);
    TIMER.cc(AT_ALARM).write_value(until.as_micros() as u32);
}

#[interrupt]
fn TIMER0() {
    TIMER.events_compare(AT_ALARM).write_value(0);
    crate::WAKE.signal(());
}
