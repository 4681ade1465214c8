//! The end of the chip's flash that is a device's: one page of settings, seven of records.
//!
//! While a page is erased, the processor stands still for some 85 ms, and with it the radio's interrupts: what
//! comes then is not acknowledged and comes again.

use embassy_nrf::Peri;
use embassy_nrf::nvmc::{Error, Nvmc, PAGE_SIZE};
use embassy_nrf::peripherals::NVMC;
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// As in `dongle.x` and `kit.x`: below the dongle's bootloader.
const BEGIN: u32 = 0xd_8000;
const PAGES: u32 = 8;
const OCTETS: u32 = PAGES * PAGE_SIZE as u32;

/// Those pages and no others.
pub(crate) struct Flash(Nvmc<'static>);

impl Flash {
    pub(crate) fn new(nvmc: Peri<'static, NVMC>) -> Self {
        Self(Nvmc::new(nvmc))
    }
}

/// An offset of ours as the chip counts, if so many octets from there on are ours.
fn place(offset: u32, len: usize) -> Result<u32, Error> {
    let len = u32::try_from(len).map_err(|_| Error::OutOfBounds)?;
    let end = offset.checked_add(len).filter(|end| *end <= OCTETS);
    end.map(|_| BEGIN + offset).ok_or(Error::OutOfBounds)
}

impl ErrorType for Flash {
    type Error = Error;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = Nvmc::READ_SIZE;

    fn read(&mut self, offset: u32, octets: &mut [u8]) -> Result<(), Error> {
        self.0.read(place(offset, octets.len())?, octets)
    }

    fn capacity(&self) -> usize {
        OCTETS as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = Nvmc::WRITE_SIZE;
    const ERASE_SIZE: usize = Nvmc::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        let len = to.checked_sub(from).ok_or(Error::OutOfBounds)?;
        let begin = place(from, len as usize)?;
        self.0.erase(begin, begin + len)
    }

    fn write(&mut self, offset: u32, octets: &[u8]) -> Result<(), Error> {
        self.0.write(place(offset, octets.len())?, octets)
    }
}
