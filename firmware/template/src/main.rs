//! A sensor, to begin a program of your own with.
//!
//! What is yours stands here: what the device is, and how it measures. The board under it is the emulated one; put
//! yours in its place (`PORTING.md` says what a board does). All else, joining, keys, routing, CoAP, flash, button
//! and LED, is `lowgate-device`.
//!
//! In the mesh `GET /sensor` gives what was measured last, in tenths; `PUT /identify` of a number of seconds has the
//! LED blink.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use lowgate_device_qemu::{Kind, run};
use lowgate_units::{Duration, Instant};

/// From one value to the next.
const EVERY: Duration = Duration::from_secs(10);
/// What the chip's sensor gives at 0 degrees Celsius, and for each degree more.
const ZERO_COUNTS: i32 = 500;
const DEGREE_COUNTS: i32 = 10;

/// A thermometer behind an analogue converter.
struct Thermometer {
    due: Instant,
}

impl Thermometer {
    const fn new() -> Self {
        Self { due: Instant::ZERO }
    }

    /// A value in tenths of a degree, when it is time for one. It is asked often and must not wait.
    fn measure(&mut self, now: Instant) -> Option<i16> {
        if now < self.due {
            return None;
        }
        self.due = now + EVERY;
        let tenths = (convert(now) - ZERO_COUNTS) * 10 / DEGREE_COUNTS;
        i16::try_from(tenths).ok()
    }
}

/// Your converter's register. The emulated machine has none: it gets warmer by a degree a minute, for half an hour.
fn convert(now: Instant) -> i32 {
    let minutes = now.as_micros() / 60_000_000 % 30;
    ZERO_COUNTS + 20 * DEGREE_COUNTS + DEGREE_COUNTS * minutes as i32
}

#[entry]
fn main() -> ! {
    let mut thermometer = Thermometer::new();
    run(Kind::Sensor, |now| thermometer.measure(now))
}
