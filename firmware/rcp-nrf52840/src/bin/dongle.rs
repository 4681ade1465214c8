//! The co-processor on the dongle, PCA10059: USB CDC to the host.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_futures::join::join4;
use embassy_nrf::usb::vbus_detect::{HardwareVbusDetect, InterruptHandler as VbusHandler};
use embassy_nrf::usb::{Driver, InterruptHandler};
use embassy_nrf::{bind_interrupts, peripherals};
use embassy_usb::class::cdc_acm::{CdcAcmClass, Receiver, Sender, State};
use lowgate_nrf52840::{Boot, hardware};
use lowgate_rcp::RcpConfig;
use lowgate_rcp_nrf52840::{CHUNK_OCTETS, FROM_HOST, Program, TO_HOST, wrote_to_host};

const VERSION: &str = concat!("LOWGATE/", env!("CARGO_PKG_VERSION"), "; NRF52840-DONGLE");
/// pid.codes' numbers for tests: a product wants its own.
const VENDOR: u16 = 0x1209;
const PRODUCT: u16 = 0x0001;
/// Octets of a packet at full speed.
const PACKET_OCTETS: u16 = 64;
const DESCRIPTOR_OCTETS: usize = 256;
const CONTROL_OCTETS: usize = 64;

bind_interrupts!(struct Interrupts {
    USBD => InterruptHandler<peripherals::USBD>;
    CLOCK_POWER => VbusHandler;
});

type Usb<'d> = Driver<'d, HardwareVbusDetect>;

/// From the host into the pipe.
async fn hear<'d>(mut line: Receiver<'d, Usb<'d>>) -> ! {
    let mut octets = [0; PACKET_OCTETS as usize];
    loop {
        line.wait_connection().await;
        while let Ok(len) = line.read_packet(&mut octets).await {
            FROM_HOST.write_all(octets.get(..len).unwrap_or_default()).await;
        }
    }
}

/// From the pipe to the host. What was said to a host that is gone is lost with it.
async fn tell<'d>(mut line: Sender<'d, Usb<'d>>) -> ! {
    let mut octets = [0; CHUNK_OCTETS];
    loop {
        let len = TO_HOST.read(&mut octets).await;
        wrote_to_host();
        line.wait_connection().await;
        let _ = line.write_packet(octets.get(..len).unwrap_or_default()).await;
    }
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let boot = Boot::begin();
    let chip = embassy_nrf::init(hardware::config());
    let seed = hardware::seed(chip.RNG);
    let watchdog = hardware::watchdog(chip.WDT);
    let driver = Driver::new(chip.USBD, Interrupts, HardwareVbusDetect::new(Interrupts));
    let mut config = embassy_usb::Config::new(VENDOR, PRODUCT);
    config.manufacturer = Some("Lowgate");
    config.product = Some("Lowgate radio co-processor");
    let (mut configuration, mut device) = ([0; DESCRIPTOR_OCTETS], [0; DESCRIPTOR_OCTETS]);
    let (mut control, mut state) = ([0; CONTROL_OCTETS], State::new());
    let mut builder = embassy_usb::Builder::new(
        driver,
        config,
        &mut configuration,
        &mut device,
        &mut [],
        &mut control,
    );
    let class = CdcAcmClass::new(&mut builder, &mut state, PACKET_OCTETS);
    let (sender, receiver) = class.split();
    let mut usb = builder.build();
    let config = RcpConfig { bootloader: true, ..RcpConfig::new(boot.eui64, VERSION) };
    let program = Program::new(config, boot, seed, watchdog);
    join4(usb.run(), hear(receiver), tell(sender), program.run()).await;
}
