//! A light on an emulated machine: the console says whether it is on.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use lowgate_device_qemu::{Kind, run};

#[entry]
fn main() -> ! {
    run(Kind::Light, |_| None)
}
