//! The board of an emulated device: a console on the first serial line, on the second one somebody who plays the
//! radio (`lowgate_rcp::air`), on the third one its flash and its entropy (`storage`).
//!
//! The console tells what happens, one line each. It also is the button: `+` presses it, `-` lets it go.
//!
//! **Invariant:** it decides nothing that the device does not. The heap is bounded by [`HEAP_OCTETS`]; without room
//! in it the program starts anew, like after any other mistake.
#![no_std]

mod storage;

pub use lowgate_device::Kind;
pub use storage::{PAGE_OCTETS, PAGES, Refused, Storage};

use core::cell::RefCell;
use core::fmt::{self, Write};
use embedded_alloc::LlffHeap;
use lowgate_crypto::SoftCcm;
use lowgate_device::{Device, Input, Maker, Output};
use lowgate_lm3s6965::{AskedUart, Clock, Machine, Uart, Watchdog, restart, sleep};
use lowgate_rcp::air::{self, AirDecoder, ToRadio};
use lowgate_units::{Duration, Instant};

/// For the node: packets take as much room as they need.
pub const HEAP_OCTETS: usize = 26 * 1024;
/// The clock ticks so often, and ends any sleep.
const TICK: Duration = Duration::from_millis(100);

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// The far end of the console.
struct Console<'a>(&'a mut Uart);

impl Write for Console<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes());
        Ok(())
    }
}

struct Board {
    clock: Clock,
    console: Uart,
    air: Uart,
    watchdog: Watchdog,
    from_radio: AirDecoder,
}

/// Runs a device of this kind. A sensor's `measure` is asked all the time, and gives a value in tenths of its unit
/// when it has a new one.
///
/// # Panics
/// When something else took the machine.
pub fn run(kind: Kind, measure: impl FnMut(Instant) -> Option<i16>) -> ! {
    #[expect(unsafe_code, reason = "the allocator wants to be given its memory")]
    // SAFETY: it is called once, for the machine below can be taken once, and nothing was allocated before.
    unsafe {
        embedded_alloc::init!(HEAP, HEAP_OCTETS);
    }
    let Machine { clock, first, second, third, watchdog, restart: why, .. } =
        Machine::take().expect("nobody else runs");
    let third = RefCell::new(third);
    let mut board =
        Board { clock, console: first, air: second, watchdog, from_radio: AirDecoder::new() };
    board.say(format_args!("LOWGATE/{}; {:?}", env!("CARGO_PKG_VERSION"), why.cause));
    if let Some(words) = why.last_words {
        board.say(format_args!("{words}"));
    }
    board.air.write_all(&ToRadio::Started.emit());
    drive(board, kind, measure, &third)
}

fn drive(
    mut board: Board,
    kind: Kind,
    mut measure: impl FnMut(Instant) -> Option<i16>,
    third: &RefCell<AskedUart>,
) -> ! {
    let maker = Maker { kind, ccm: &SoftCcm };
    let (storage, mut entropy) = (Storage(third), Storage(third));
    storage.begin(board.clock.ticks() as u32);
    let mut device = Device::boot(board.clock.now(), maker, storage, &mut entropy);
    loop {
        board.watchdog.feed();
        let now = board.clock.now();
        let until = match device.poll(now) {
            Output::Wait { until } => until,
            output => {
                board.perform(output);
                continue;
            }
        };
        if let Some(tenths) = measure(now) {
            device.handle(now, Input::Measured { tenths });
        }
        if let Some(input) = board.hear() {
            device.handle(board.clock.now(), input);
        } else if until > now + TICK {
            sleep(&board.console, &board.air);
        }
    }
}

impl Board {
    fn say(&mut self, line: fmt::Arguments<'_>) {
        // The console takes everything.
        let _ = writeln!(Console(&mut self.console), "{line}");
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Radio(command) => self.air.write_all(&ToRadio::Command(command).emit()),
            Output::Light { on } => {
                self.say(format_args!("light {}", if on { "on" } else { "off" }));
            }
            Output::Led { is_lit } => {
                self.say(format_args!("led {}", if is_lit { "lit" } else { "dark" }));
            }
            Output::Note(note) => self.say(format_args!("{note}")),
            Output::Restart => restart(),
            Output::Wait { .. } => unreachable!("the caller keeps it"),
        }
    }

    fn hear(&mut self) -> Option<Input> {
        self.hear_radio().or_else(|| self.hear_button())
    }

    /// The next message that is whole.
    fn hear_radio(&mut self) -> Option<Input> {
        let mut octet = [0];
        while self.air.read(&mut octet) == 1 {
            let [octet] = octet;
            if let Some(Ok(message)) = self.from_radio.push(octet)
                && let Ok(event) = air::parse_event(message)
            {
                return Some(Input::Radio(event));
            }
        }
        None
    }

    fn hear_button(&mut self) -> Option<Input> {
        let mut octet = [0];
        while self.console.read(&mut octet) == 1 {
            match octet {
                [b'+'] => return Some(Input::Button { is_pressed: true }),
                [b'-'] => return Some(Input::Button { is_pressed: false }),
                _ => {}
            }
        }
        None
    }
}
