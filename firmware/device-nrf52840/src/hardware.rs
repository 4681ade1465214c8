//! The chip's generator of entropy, and its AES engine.

use core::sync::atomic::{Ordering, compiler_fence};
use embassy_nrf::mode::Blocking;
use embassy_nrf::peripherals::RNG;
use embassy_nrf::rng::Rng;
use embassy_nrf::{Peri, pac};
use lowgate_crypto::{AesEngine, EngineCcm, Key128};
use lowgate_units::Entropy;

/// Entropy for keys.
pub(crate) struct Dice(Rng<'static, Blocking>);

impl Dice {
    /// With the chip's correction of its bias, which costs time and is wanted for keys.
    pub(crate) fn new(generator: Peri<'static, RNG>) -> Self {
        let generator = Rng::new_blocking(generator);
        generator.set_bias_correction(true);
        Self(generator)
    }
}

impl Entropy for Dice {
    fn fill(&mut self, octets: &mut [u8]) {
        self.0.blocking_fill_bytes(octets);
    }
}

/// What the engine reads and writes.
#[repr(C)]
struct Block {
    key: [u8; 16],
    clear: [u8; 16],
    cipher: [u8; 16],
}

/// One block at a time.
pub(crate) struct Ecb;

impl AesEngine for Ecb {
    #[expect(unsafe_code, reason = "memory that hardware reads and writes by itself")]
    fn encrypt(&self, key: &Key128, block: &mut [u8; 16]) {
        let mut data = Block { key: *key.expose(), clear: *block, cipher: [0; 16] };
        let engine = pac::ECB;
        engine.ecbdataptr().write_value((&raw mut data) as u32);
        loop {
            engine.events_endecb().write_value(0);
            engine.events_errorecb().write_value(0);
            compiler_fence(Ordering::Release);
            engine.tasks_startecb().write_value(1);
            while engine.events_endecb().read() == 0 && engine.events_errorecb().read() == 0 {}
            // What something else has interrupted is begun again.
            if engine.events_endecb().read() != 0 {
                break;
            }
        }
        compiler_fence(Ordering::Acquire);
        // SAFETY: the engine is at rest; it has written these octets behind the compiler's back. The key is
        // overwritten likewise: nobody reads it any more, which the compiler must not conclude.
        unsafe {
            *block = (&raw const data.cipher).read_volatile();
            (&raw mut data.key).write_volatile([0; 16]);
        }
    }
}

pub(crate) static CCM: EngineCcm<Ecb> = EngineCcm(Ecb);
