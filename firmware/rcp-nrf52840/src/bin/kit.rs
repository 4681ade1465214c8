//! The co-processor on the development kit, PCA10056: the serial line of its debugger, with flow control.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_futures::join::join3;
use embassy_nrf::buffered_uarte::{self, BufferedUarte, BufferedUarteRx, BufferedUarteTx};
use embassy_nrf::uarte::{self, Baudrate};
use embassy_nrf::{bind_interrupts, peripherals};
use embedded_io_async::Write;
use lowgate_nrf52840::{Boot, hardware};
use lowgate_rcp::RcpConfig;
use lowgate_rcp_nrf52840::{CHUNK_OCTETS, FROM_HOST, Program, TO_HOST, wrote_to_host};

const VERSION: &str = concat!("LOWGATE/", env!("CARGO_PKG_VERSION"), "; NRF52840-DK");
const BUFFER_OCTETS: usize = 1024;

bind_interrupts!(struct Interrupts {
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
});

/// From the host into the pipe. A damaged octet is for the frame's check sequence to find.
async fn hear(mut line: BufferedUarteRx<'_>) -> ! {
    let mut octets = [0; CHUNK_OCTETS];
    loop {
        if let Ok(len) = line.read(&mut octets).await {
            FROM_HOST.write_all(octets.get(..len).unwrap_or_default()).await;
        }
    }
}

/// From the pipe to the host.
async fn tell(mut line: BufferedUarteTx<'_>) -> ! {
    let mut octets = [0; CHUNK_OCTETS];
    loop {
        let len = TO_HOST.read(&mut octets).await;
        wrote_to_host();
        let _ = line.write_all(octets.get(..len).unwrap_or_default()).await;
    }
}

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let boot = Boot::begin();
    let chip = embassy_nrf::init(hardware::config());
    let seed = hardware::seed(chip.RNG);
    let watchdog = hardware::watchdog(chip.WDT);
    let mut config = uarte::Config::default();
    config.baudrate = Baudrate::Baud460800;
    let (mut received, mut to_send) = ([0; BUFFER_OCTETS], [0; BUFFER_OCTETS]);
    let line = BufferedUarte::new_with_rtscts(
        chip.UARTE0,
        chip.TIMER1,
        chip.PPI_CH0,
        chip.PPI_CH1,
        chip.PPI_GROUP0,
        chip.P0_08,
        chip.P0_06,
        chip.P0_07,
        chip.P0_05,
        Interrupts,
        config,
        &mut received,
        &mut to_send,
    );
    let (receiver, sender) = line.split();
    let config = RcpConfig::new(boot.eui64, VERSION);
    let program = Program::new(config, boot, seed, watchdog);
    join3(hear(receiver), tell(sender), program.run()).await;
}
