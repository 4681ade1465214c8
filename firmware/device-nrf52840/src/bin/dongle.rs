//! A light on the dongle, PCA10059: its button, the green LED for how it is, the red one for the light.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_nrf::gpio::{Input, Level, Output, OutputDrive, Pull};
use lowgate_device_nrf52840::{Chip, Kind, Pins, run};
use lowgate_nrf52840::{Boot, hardware};

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let boot = Boot::begin();
    let chip = embassy_nrf::init(hardware::config());
    let pins = Pins {
        button: Input::new(chip.P1_06, Pull::Up),
        led: Output::new(chip.P0_06, Level::High, OutputDrive::Standard),
        lamp: Output::new(chip.P0_08, Level::High, OutputDrive::Standard),
    };
    run(boot, Kind::Light, Chip { nvmc: chip.NVMC, rng: chip.RNG, wdt: chip.WDT }, pins).await
}
