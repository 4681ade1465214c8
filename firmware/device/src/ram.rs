//! A flash in memory for tests: its power fails where the test wants it, and it is as strict as a real one.

extern crate std;
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use std::vec;
use std::vec::Vec;

/// Pages of it.
pub(crate) const PAGES: usize = 4;
const BLANK: u8 = 0xff;

/// A flash that keeps what it holds when its store is gone.
#[derive(Clone, Debug)]
pub(crate) struct Ram<const PAGE_OCTETS: usize> {
    pub(crate) octets: Vec<u8>,
    /// How often each page was erased.
    pub(crate) erased: [u32; PAGES],
    /// Octets that may change before the power fails.
    pub(crate) left: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dark;

impl NorFlashError for Dark {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl<const PAGE_OCTETS: usize> Ram<PAGE_OCTETS> {
    pub(crate) fn new() -> Self {
        Self { octets: vec![BLANK; PAGES * PAGE_OCTETS], erased: [0; PAGES], left: None }
    }

    /// How many of `len` octets change.
    fn spend(&mut self, len: usize) -> Result<usize, Dark> {
        let Some(left) = &mut self.left else { return Ok(len) };
        let spent = len.min(*left);
        *left -= spent;
        Ok(spent)
    }
}

impl<const PAGE_OCTETS: usize> ErrorType for &mut Ram<PAGE_OCTETS> {
    type Error = Dark;
}

impl<const PAGE_OCTETS: usize> ReadNorFlash for &mut Ram<PAGE_OCTETS> {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Dark> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        bytes.copy_from_slice(&self.octets[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.octets.len()
    }
}

impl<const PAGE_OCTETS: usize> NorFlash for &mut Ram<PAGE_OCTETS> {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE_OCTETS;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Dark> {
        assert_eq!((from as usize % PAGE_OCTETS, (to - from) as usize), (0, PAGE_OCTETS));
        let spent = self.spend(PAGE_OCTETS)?;
        self.octets[from as usize..][..spent].fill(BLANK);
        self.erased[from as usize / PAGE_OCTETS] += 1;
        if spent < PAGE_OCTETS { Err(Dark) } else { Ok(()) }
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Dark> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        let spent = self.spend(bytes.len())?;
        let place = &mut self.octets[offset as usize..][..spent];
        assert!(place.iter().all(|octet| *octet == BLANK), "no word is written twice");
        place.copy_from_slice(&bytes[..spent]);
        if spent < bytes.len() { Err(Dark) } else { Ok(()) }
    }
}
