//! With the AES engine of an nRF52840 (ECB). Linked and measured; it was not tried on a chip.
#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "hardware is reached by address")]

use core::ptr::{read_volatile, write_volatile};
use lowgate_crypto::{AesEngine, EngineCcm, Key128};

const BASE: usize = 0x4000_e000;
const TASKS_START: usize = BASE;
const EVENTS_END: usize = BASE + 0x100;
const EVENTS_ERROR: usize = BASE + 0x104;
const DATA: usize = BASE + 0x504;

/// What the engine reads and writes.
#[repr(C)]
struct Block {
    key: [u8; 16],
    clear: [u8; 16],
    cipher: [u8; 16],
}

struct Ecb;

impl AesEngine for Ecb {
    fn encrypt(&self, key: &Key128, block: &mut [u8; 16]) {
        let mut data = Block { key: *key.expose(), clear: *block, cipher: [0; 16] };
        // SAFETY: the addresses are registers of the engine. It touches `data` alone, and only between its
        // start and its end, for which this waits; an engine that something else has interrupted is
        // started again.
        unsafe {
            write_volatile(DATA as *mut u32, (&raw mut data) as u32);
            loop {
                write_volatile(EVENTS_END as *mut u32, 0);
                write_volatile(EVENTS_ERROR as *mut u32, 0);
                write_volatile(TASKS_START as *mut u32, 1);
                while read_volatile(EVENTS_END as *const u32) == 0
                    && read_volatile(EVENTS_ERROR as *const u32) == 0
                {}
                if read_volatile(EVENTS_END as *const u32) != 0 {
                    break;
                }
            }
            *block = read_volatile(&raw const data.cipher);
            write_volatile(&raw mut data.key, [0; 16]);
        }
    }
}

static CCM: EngineCcm<Ecb> = EngineCcm(Ecb);

#[cortex_m_rt::entry]
fn main() -> ! {
    lowgate_footprint::join(&CCM)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
