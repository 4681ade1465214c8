//! The machine: TI's LM3S6965 as QEMU's `lm3s6965evb` emulates it. Three serial lines, a clock, a
//! watchdog, and a few words of RAM that outlive a reset.
//!
//! It is written for the emulator. A real chip also wants its pins and its peripherals' clocks switched
//! on, and the speed of its lines set; QEMU has neither, so that could not be tried here.
//!
//! **Invariant:** no octet that the machine received is lost: where there is no room for it, it stays
//! with the sender. Whatever ends the program, the next boot can say why.
#![no_std]

mod clock;
mod register;
mod uart;
mod watchdog;

pub use clock::Clock;
pub use lowgate_retained::{Cause, LAST_WORDS_OCTETS_MAX, Restart, restart};
pub use uart::{AskedUart, RING_OCTETS, Uart};
pub use watchdog::{PERIOD, Watchdog};

use cortex_m::peripheral::NVIC;
use lm3s6965::Interrupt;
use lowgate_units::Eui64;
use register::Register;

/// Factory memory; the manufacturer keeps the Ethernet address there, three octets in each.
const USER0: Register = Register::new(0x400f_e1e0);
const USER1: Register = Register::new(0x400f_e1e4);

/// What a program needs of it.
#[derive(Debug)]
pub struct Machine {
    /// Time since the program started.
    pub clock: Clock,
    /// The first serial line.
    pub first: Uart,
    /// The second serial line.
    pub second: Uart,
    /// The third serial line.
    pub third: AskedUart,
    /// Runs already.
    pub watchdog: Watchdog,
    /// Why the program starts.
    pub restart: Restart,
    /// From the factory's Ethernet address.
    pub eui64: Eui64,
}

impl Machine {
    /// Switches it on; `None` the second time.
    pub fn take() -> Option<Self> {
        let core = cortex_m::Peripherals::take()?;
        let restart = lowgate_retained::begin(&core.MPU);
        let clock = Clock::start(core.SYST);
        let (first, second, third) = (Uart::first(), Uart::second(), AskedUart::third());
        for interrupt in [Interrupt::UART0, Interrupt::UART1] {
            unmask(interrupt);
        }
        let watchdog = Watchdog::start();
        Some(Self { clock, first, second, third, watchdog, restart, eui64: eui64() })
    }

    /// Sleeps until a line has something or the clock ticks.
    pub fn sleep(&self) {
        sleep(&self.first, &self.second);
    }
}

/// Sleeps until one of both lines has something or the clock ticks.
pub fn sleep(first: &Uart, second: &Uart) {
    // With interrupts held back: one that comes after the look ends the sleep, and is not slept over.
    cortex_m::interrupt::free(|_| {
        if first.is_empty() && second.is_empty() {
            cortex_m::asm::wfi();
        }
    });
}

#[expect(unsafe_code, reason = "the register that lets an interrupt happen")]
fn unmask(interrupt: Interrupt) {
    // SAFETY: no critical section depends on this interrupt being masked; the rings have their own.
    unsafe { NVIC::unmask(interrupt) };
}

/// The address of the Ethernet controller, with ff fe in its middle.
fn eui64() -> Eui64 {
    let [a, b, c, _] = USER0.read().to_le_bytes();
    let [d, e, f, _] = USER1.read().to_le_bytes();
    Eui64([a, b, c, 0xff, 0xfe, d, e, f])
}
