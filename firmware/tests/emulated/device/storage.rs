//! The far end of the third serial line: a device's flash, which outlives the device, and its entropy.
//!
//! It is not the program's own code: what `device-qemu`'s documentation says of the line is written down here a
//! second time.

use crate::dialog::line;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use lowgate_device::{SETTINGS_PAGES, Settings, Store, StoreFault};
use lowgate_node::flash::{Record, RecordKey};
use lowgate_spinel::Decoder;
use lowgate_units::{Entropy, SeededEntropy};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};

const PAGE_OCTETS: usize = 4096;
const PAGES: usize = 8;

/// A flash and its entropy. The power may fail at any octet of a change.
#[derive(Clone)]
pub(crate) struct Flash(Arc<Mutex<Memory>>);

struct Memory {
    octets: Vec<u8>,
    entropy: SeededEntropy,
    /// Octets that changed so far.
    changed: u64,
    /// Octets that may change before the power fails.
    left: Option<u64>,
    /// It takes no change at all, and says so.
    is_worn_out: bool,
}

impl Flash {
    /// As it leaves the factory: erased.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Memory {
            octets: vec![0xff; PAGES * PAGE_OCTETS],
            entropy: SeededEntropy::new(seed),
            changed: 0,
            left: None,
            is_worn_out: false,
        })))
    }

    /// With the page that the maker writes.
    pub(crate) fn with_settings(seed: u64, settings: &Settings) -> Self {
        let flash = Self::new(seed);
        let page = settings.emit().expect("right");
        flash.memory().octets[..page.len()].copy_from_slice(&page);
        flash
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().expect("nobody panics with it")
    }

    /// One bit of the settings changes by itself.
    pub(crate) fn damage_settings(&self) {
        self.memory().octets[20] ^= 4;
    }

    pub(crate) fn wear_out(&self) {
        self.memory().is_worn_out = true;
    }

    /// The power fails after so many more octets have changed, or not at all.
    pub(crate) fn cut_after(&self, left: Option<u64>) {
        self.memory().left = left;
    }

    pub(crate) fn changed(&self) -> u64 {
        self.memory().changed
    }

    /// What a program that starts now would find.
    pub(crate) fn records(&self) -> Result<Vec<Record>, StoreFault> {
        let mut copy = Copy(self.memory().octets.clone());
        let mut store = Store::open(&mut copy, SETTINGS_PAGES);
        store.fault().map_or(Ok(()), Err)?;
        let names: Vec<_> = store.names().collect();
        let record = |name: [u8; 3]| {
            let key = RecordKey::parse(&name).expect("only such names are written");
            let octets = store.read(name)?.expect("it is named");
            Ok(Record::parse(key, &octets).expect("whole"))
        };
        names.into_iter().map(record).collect()
    }

    /// Serves one life of a device; `dark` hears when the power fails.
    pub(crate) fn serve(&self, mut stream: UnixStream, dark: Sender<()>) {
        let flash = self.clone();
        std::thread::spawn(move || {
            let (mut decoder, mut octets) = (Decoder::<256>::new(), [0; 512]);
            while let Ok(len @ 1..) = stream.read(&mut octets) {
                for octet in &octets[..len] {
                    let Some(asked) = decoder.push(*octet) else { continue };
                    let asked = asked.expect("this line damages nothing");
                    let Some(answer) = flash.memory().answer(asked) else {
                        // The machine stands still in the midst of the change, until somebody ends it.
                        let _ = dark.send(());
                        return;
                    };
                    if stream.write_all(&line(&answer)).is_err() {
                        return;
                    }
                }
            }
        });
    }
}

impl Memory {
    /// `None`: the power failed.
    fn answer(&mut self, asked: &[u8]) -> Option<Vec<u8>> {
        let at = |octets: [u8; 4]| u32::from_le_bytes(octets) as usize;
        match *asked {
            [0x00, ref token @ ..] => Some([&[0x80], token].concat()),
            [0x01, a, b, c, d, len] => {
                let octets = &self.octets[at([a, b, c, d])..][..usize::from(len)];
                Some([&[0x81], octets].concat())
            }
            [0x02 | 0x03, ..] if self.is_worn_out => Some(vec![0xff]),
            [0x02, a, b, c, d, ref octets @ ..] => {
                let (at, len) = (at([a, b, c, d]), self.spend(octets.len()));
                let place = &mut self.octets[at..][..len];
                assert!(place.iter().all(|octet| *octet == 0xff), "no octet is written twice");
                place.copy_from_slice(&octets[..len]);
                (len == octets.len()).then(|| vec![0x82])
            }
            [0x03, a, b, c, d] => {
                let (at, len) = (at([a, b, c, d]), self.spend(PAGE_OCTETS));
                assert!(at.is_multiple_of(PAGE_OCTETS) && at > 0, "the settings are never erased");
                self.octets[at..][..len].fill(0xff);
                (len == PAGE_OCTETS).then(|| vec![0x83])
            }
            [0x04, len] => {
                let mut answer = vec![0; 1 + usize::from(len)];
                self.entropy.fill(&mut answer);
                answer[0] = 0x84;
                Some(answer)
            }
            _ => panic!("no such question: {asked:02x?}"),
        }
    }

    /// How many of `len` octets change.
    fn spend(&mut self, len: usize) -> usize {
        let spent = self.left.map_or(len, |left| len.min(left as usize));
        self.left = self.left.map(|left| left - spent as u64);
        self.changed += spent as u64;
        spent
    }
}

/// For reading what the flash holds with the device's own code.
struct Copy(Vec<u8>);

#[derive(Debug)]
struct Never;

impl NorFlashError for Never {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for &mut Copy {
    type Error = Never;
}

impl ReadNorFlash for &mut Copy {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Never> {
        bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for &mut Copy {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_OCTETS;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Never> {
        self.0[from as usize..to as usize].fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Never> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
