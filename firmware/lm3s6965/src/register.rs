//! A register of the machine: the one place where addresses become memory.
#![expect(unsafe_code, reason = "hardware is reached by address")]

/// One register of 32 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(u32);

impl Register {
    /// At an address of the peripherals' region, as a data sheet gives it.
    pub(crate) const fn new(address: u32) -> Self {
        assert!(address >= 0x4000_0000 && address < 0x4400_0000 && address.is_multiple_of(4));
        Self(address)
    }

    pub(crate) const fn at(base: u32, offset: u32) -> Self {
        Self::new(base + offset)
    }

    pub(crate) fn read(self) -> u32 {
        // SAFETY: `new` took an aligned address of the peripherals' region, where no Rust object lives.
        unsafe { core::ptr::read_volatile(self.0 as *const u32) }
    }

    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for reading; no register that this crate names makes hardware touch the RAM.
        unsafe { core::ptr::write_volatile(self.0 as *mut u32, value) }
    }
}
