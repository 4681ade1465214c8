//! With AES in software.
#![no_std]
#![no_main]

use lowgate_crypto::SoftCcm;

static CCM: SoftCcm = SoftCcm;

#[cortex_m_rt::entry]
fn main() -> ! {
    lowgate_footprint::join(&CCM)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
