//! A serial line: the PL011 behind all of them.
//!
//! Of the first two reception is by interrupt into a ring; of the third by asking, for nobody speaks there who was
//! not asked. Transmission is by asking: an emulated line takes every octet
//! at once.
//!
//! **Invariant:** with the ring full the interrupt is switched off, so that further octets wait in the
//! UART and behind it; taking some out of the ring switches it on again.

use crate::register::Register;
use core::cell::RefCell;
use critical_section::Mutex;
use heapless::Deque;
use lm3s6965::interrupt;

/// What is received and not yet read: 22 ms at 460 800 baud.
pub const RING_OCTETS: usize = 1024;

const UART0: u32 = 0x4000_c000;
const UART1: u32 = 0x4000_d000;
const UART2: u32 = 0x4000_e000;
/// Offsets of the registers.
const DATA: u32 = 0x000;
const FLAGS: u32 = 0x018;
const LINE_CONTROL: u32 = 0x02c;
const CONTROL: u32 = 0x030;
const INTERRUPT_MASK: u32 = 0x038;

const RECEIVER_EMPTY: u32 = 1 << 4;
const TRANSMITTER_EMPTY: u32 = 1 << 7;
/// What an empty transmitter takes.
const FIFO_OCTETS: usize = 16;
/// Eight bits, with the FIFOs.
const EIGHT_BITS_FIFO: u32 = 0b11 << 5 | 1 << 4;
const ENABLED: u32 = 1 << 9 | 1 << 8 | 1;
/// Something was received, enough of it or some time ago.
const RECEIVED: u32 = 1 << 6 | 1 << 4;

type Ring = Mutex<RefCell<Deque<u8, RING_OCTETS>>>;

static FIRST: Ring = Mutex::new(RefCell::new(Deque::new()));
static SECOND: Ring = Mutex::new(RefCell::new(Deque::new()));

/// One serial line.
#[derive(Debug)]
pub struct Uart {
    base: u32,
    ring: &'static Ring,
}

impl Uart {
    pub(crate) fn first() -> Self {
        Self::start(UART0, &FIRST)
    }

    pub(crate) fn second() -> Self {
        Self::start(UART1, &SECOND)
    }

    fn start(base: u32, ring: &'static Ring) -> Self {
        start(base, RECEIVED);
        Self { base, ring }
    }

    /// Nothing was received that was not read.
    pub fn is_empty(&self) -> bool {
        critical_section::with(|cs| self.ring.borrow_ref(cs).is_empty())
    }

    /// Puts what was received at the front of `buffer`; how much that was.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        critical_section::with(|cs| {
            let mut ring = self.ring.borrow_ref_mut(cs);
            let mut len = 0;
            for place in buffer {
                let Some(octet) = ring.pop_front() else { break };
                *place = octet;
                len += 1;
            }
            Register::at(self.base, INTERRUPT_MASK).write(RECEIVED);
            len
        })
    }

    /// Sends from the front of `octets`; how many the line took.
    pub fn write(&mut self, octets: &[u8]) -> usize {
        write(self.base, octets)
    }

    /// Sends all of `octets`, however long the line takes.
    pub fn write_all(&mut self, octets: &[u8]) {
        write_all(self.base, octets);
    }
}

/// The line of somebody who answers.
#[derive(Debug)]
pub struct AskedUart(());

impl AskedUart {
    pub(crate) fn third() -> Self {
        start(UART2, 0);
        Self(())
    }

    /// The next octet, if there is one.
    pub fn read(&mut self) -> Option<u8> {
        let is_empty = Register::at(UART2, FLAGS).read() & RECEIVER_EMPTY != 0;
        (!is_empty).then(|| data(UART2))
    }

    /// Sends all of `octets`, however long the line takes.
    pub fn write_all(&mut self, octets: &[u8]) {
        write_all(UART2, octets);
    }
}

fn start(base: u32, interrupts: u32) {
    Register::at(base, CONTROL).write(0);
    Register::at(base, LINE_CONTROL).write(EIGHT_BITS_FIFO);
    Register::at(base, INTERRUPT_MASK).write(interrupts);
    Register::at(base, CONTROL).write(ENABLED);
}

fn write(base: u32, octets: &[u8]) -> usize {
    if octets.is_empty() || Register::at(base, FLAGS).read() & TRANSMITTER_EMPTY == 0 {
        return 0;
    }
    let taken = octets.iter().take(FIFO_OCTETS);
    taken.map(|octet| Register::at(base, DATA).write(u32::from(*octet))).count()
}

fn write_all(base: u32, mut octets: &[u8]) {
    while !octets.is_empty() {
        let taken = write(base, octets);
        octets = octets.get(taken..).unwrap_or_default();
    }
}

fn data(base: u32) -> u8 {
    let [octet, ..] = Register::at(base, DATA).read().to_le_bytes();
    octet
}

/// From the UART into the ring, as far as there is room.
fn receive(base: u32, ring: &Ring) {
    critical_section::with(|cs| {
        let mut ring = ring.borrow_ref_mut(cs);
        while Register::at(base, FLAGS).read() & RECEIVER_EMPTY == 0 {
            if ring.is_full() {
                return Register::at(base, INTERRUPT_MASK).write(0);
            }
            let _ = ring.push_back(data(base)); // there is room
        }
    });
}

#[interrupt]
fn UART0() {
    receive(UART0, &FIRST);
}

#[interrupt]
fn UART1() {
    receive(UART1, &SECOND);
}
