//! A few words of RAM that nothing clears: how the life before this one ended.
//!
//! **Invariant:** what is read from there is judged like octets from a stranger; after power came on they
//! are whatever they are.
#![expect(unsafe_code, reason = "a variable that nobody initialises, and the processor's faults")]

use crate::guard;
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, exception};
use heapless::String;

/// Octets of what is kept of a panic's words; the rest is cut off.
pub const LAST_WORDS_OCTETS_MAX: usize = 160;

const MAGIC: u32 = 0x4c47_5243;
const ENDED: u32 = 0;
const RUNNING: u32 = 1;
const PANICKED: u32 = 2;
const FAULTED: u32 = 3;

/// Why the program starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There was no life before.
    PowerOn,
    /// The program found a mistake of its own.
    Panic,
    /// The processor found one.
    Fault,
    /// It ended while it ran, and did not say why: the watchdog, or what the chip's own register tells.
    Watchdog,
}

/// Why the program starts, and what the life before had to say.
#[derive(Clone, Debug)]
pub struct Restart {
    /// Why.
    pub cause: Cause,
    /// A panic's place and message, or a fault's address.
    pub last_words: Option<String<LAST_WORDS_OCTETS_MAX>>,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Record {
    magic: u32,
    state: u32,
    len: usize,
    words: [u8; LAST_WORDS_OCTETS_MAX],
}

// SAFETY: cortex-m-rt leaves this section alone; nothing but `load` and `store` touches the variable.
#[unsafe(link_section = ".uninit.retained")]
static mut RECORD: MaybeUninit<Record> = MaybeUninit::uninit();

fn load() -> Record {
    // SAFETY: every pattern of bits is a `Record`; it is read as the hardware has it, and no reference to
    // it is made.
    unsafe { (&raw const RECORD).cast::<Record>().read_volatile() }
}

fn store(state: u32, words: &str) {
    let mut record = Record { magic: MAGIC, state, len: 0, words: [0; _] };
    for (place, octet) in record.words.iter_mut().zip(words.bytes()) {
        *place = octet;
        record.len += 1;
    }
    // SAFETY: as for `load`. The program runs on one core, and whoever stores is not interrupted by
    // another that does: at the start of `main` nothing runs yet, and the other two never return.
    unsafe { (&raw mut RECORD).cast::<Record>().write_volatile(record) }
}

/// Takes what the life before left, and leaves that this one runs.
pub(crate) fn begin() -> Restart {
    let record = load();
    let cause = match (record.magic, record.state) {
        (MAGIC, RUNNING) => Cause::Watchdog,
        (MAGIC, PANICKED) => Cause::Panic,
        (MAGIC, FAULTED) => Cause::Fault,
        (_, _) => Cause::PowerOn,
    };
    store(RUNNING, "");
    let words = record.words.get(..record.len).and_then(|words| str::from_utf8(words).ok());
    let last_words = match cause {
        Cause::Panic | Cause::Fault => words.and_then(|words| String::try_from(words).ok()),
        Cause::PowerOn | Cause::Watchdog => None,
    };
    Restart { cause, last_words }
}

/// Starts the program anew, as if power had come on.
pub fn restart() -> ! {
    cortex_m::interrupt::disable();
    store(ENDED, "");
    SCB::sys_reset()
}

/// As much as there is room for, in one line.
struct Words(String<LAST_WORDS_OCTETS_MAX>);

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let character = if character.is_control() { ' ' } else { character };
            self.0.push(character).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

fn end(state: u32, words: fmt::Arguments<'_>) -> ! {
    let mut text = Words(String::new());
    let _ = text.write_fmt(words); // what does not fit is cut off
    store(state, &text.0);
    SCB::sys_reset()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    end(PANICKED, format_args!("{info}"))
}

// SAFETY: it never returns to what the fault has interrupted.
#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    if guard::forbids(core::ptr::from_ref(frame).addr()) {
        // What the processor wanted to leave there it could not.
        end(FAULTED, format_args!("the stack was full"))
    }
    end(FAULTED, format_args!("fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr()))
}
