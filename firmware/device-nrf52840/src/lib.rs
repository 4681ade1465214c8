//! A device on Nordic's nRF52840: flash, entropy, AES engine, button and LEDs for `lowgate_device`.
//!
//! Nobody has run it: it was written without a chip at hand. What it decides, `lowgate_device` decides, and that
//! runs in the emulator.
//!
//! **Invariant:** the flash is its program's and nobody else's; without room in the heap the program starts anew, like
//! after any other mistake.
#![no_std]

mod flash;
mod hardware;

pub use lowgate_device::Kind;

use embassy_nrf::gpio::{Input as Pin, Output as Lamp};
use embedded_alloc::LlffHeap;
use flash::Flash;
use hardware::{CCM, Dice};
use lowgate_device::{Device, Input, Maker, Output};
use lowgate_mac::{LinkInput, LinkMachine, LinkOutput, PhyEvent, RadioCommand};
use lowgate_nrf52840::radio::{self, Heard, Order};
use lowgate_nrf52840::{Boot, WAKE, clock};
use lowgate_units::{Duration, Entropy, Instant, Prng};

/// For the node: packets take as much room as they need.
const HEAP_OCTETS: usize = 64 * 1024;
/// So often it is looked whether the button is pressed.
const BUTTON_EVERY: Duration = Duration::from_millis(20);

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// What a board has for people. All of it is on when its pin is low.
pub struct Pins {
    /// Pressed for five seconds it resets the device to what the factory delivered.
    pub button: Pin<'static>,
    /// Says how the device is (`lowgate_device::Sign`).
    pub led: Lamp<'static>,
    /// The light itself.
    pub lamp: Lamp<'static>,
}

/// The parts of the chip that a device wants; what is left is its maker's.
pub struct Chip {
    /// Flash.
    pub nvmc: embassy_nrf::Peri<'static, embassy_nrf::peripherals::NVMC>,
    /// Entropy.
    pub rng: embassy_nrf::Peri<'static, embassy_nrf::peripherals::RNG>,
    /// Watchdog.
    pub wdt: embassy_nrf::Peri<'static, embassy_nrf::peripherals::WDT>,
}

/// Runs a device of this kind, for ever. Why the life before ended nobody can be told: there is no console.
pub async fn run(_: Boot, kind: Kind, chip: Chip, mut pins: Pins) -> ! {
    #[expect(unsafe_code, reason = "the allocator wants to be given its memory")]
    // SAFETY: it is called once, for there is one `Boot`, and nothing was allocated before.
    unsafe {
        embedded_alloc::init!(HEAP, HEAP_OCTETS);
    }
    let mut watchdog = lowgate_nrf52840::hardware::watchdog(chip.wdt);
    clock::start();
    radio::start();
    let mut dice = Dice::new(chip.rng);
    let mut seed = [0; 8];
    dice.fill(&mut seed);
    let mut link = LinkMachine::above_acknowledger(Prng::new(u64::from_le_bytes(seed)));
    let maker = Maker { kind, ccm: &CCM };
    let mut device = Device::boot(clock::now(), maker, Flash::new(chip.nvmc), &mut dice);
    let mut was_pressed = false;
    loop {
        watchdog.pet();
        let is_pressed = pins.button.is_low();
        if is_pressed != was_pressed {
            was_pressed = is_pressed;
            device.handle(clock::now(), Input::Button { is_pressed });
        }
        let until = turn(&mut device, &mut link, &mut pins);
        clock::wake_at(until.min(clock::now() + BUTTON_EVERY));
        WAKE.wait().await;
    }
}

/// Everything that can be done now; when there is more.
fn turn(device: &mut Device<Flash>, link: &mut LinkMachine, pins: &mut Pins) -> Instant {
    loop {
        while let Some(heard) = radio::heard() {
            match heard {
                Heard::Phy(event) => link.handle(clock::now(), LinkInput::Phy(event)),
                Heard::Frame { psdu, rssi, lqi, at, said_pending: _ } => {
                    let event = PhyEvent::Received { psdu, rssi, lqi };
                    link.handle(clock::when(at), LinkInput::Phy(event));
                }
                Heard::Energy(_) => {} // a device does not scan for it
            }
            poll_link(device, link);
        }
        let link_until = poll_link(device, link);
        match device.poll(clock::now()) {
            Output::Radio(command) => {
                if let RadioCommand::Configure(config) = &command {
                    radio::configure(*config);
                }
                link.handle(clock::now(), LinkInput::Command(command));
            }
            Output::Light { on } => pins.lamp.set_level((!on).into()),
            Output::Led { is_lit } => pins.led.set_level((!is_lit).into()),
            Output::Note(_) => {} // the LED says what matters of it
            Output::Restart => cortex_m::peripheral::SCB::sys_reset(),
            Output::Wait { until } => return until.min(link_until),
        }
    }
}

fn poll_link(device: &mut Device<Flash>, link: &mut LinkMachine) -> Instant {
    loop {
        let now = clock::now();
        match link.poll(now) {
            LinkOutput::Phy(command) => radio::order(Order::Phy(command)),
            LinkOutput::Event(event) => device.handle(now, Input::Radio(event)),
            LinkOutput::Wait { until } => return until,
        }
    }
}
