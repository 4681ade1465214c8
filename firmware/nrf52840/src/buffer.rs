//! A frame where the transceiver finds it: length, PSDU with room for its FCS.
//!
//! **Invariant:** the program touches it only while the transceiver is not at it, which the driver's state
//! says; hence the driver alone has it.
#![expect(unsafe_code, reason = "memory that hardware reads and writes by itself")]

use core::cell::UnsafeCell;
use core::sync::atomic::{Ordering, compiler_fence};
use lowgate_mac::{PSDU_OCTETS_MAX, Psdu};

/// Of the check sequence, which the transceiver computes and does not keep.
const FCS_OCTETS: usize = 2;
const OCTETS: usize = 1 + PSDU_OCTETS_MAX + FCS_OCTETS;

/// Room for one.
pub(crate) struct Buffer(UnsafeCell<[u8; OCTETS]>);

// SAFETY: the driver is behind a critical section, and nobody else names its buffers.
unsafe impl Sync for Buffer {}

impl Buffer {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new([0; OCTETS]))
    }

    /// For the register that the transceiver finds it by.
    pub(crate) fn address(&self) -> u32 {
        self.0.get() as u32
    }

    /// Before the transceiver sends it.
    pub(crate) fn fill(&self, psdu: &[u8]) {
        let psdu = psdu.get(..PSDU_OCTETS_MAX).unwrap_or(psdu);
        // SAFETY: the transceiver is off when the driver fills a buffer, and the fence lets nothing be
        // written after the task that sends it.
        let octets = unsafe { &mut *self.0.get() };
        let [len, rest @ ..] = octets;
        *len = (psdu.len() + FCS_OCTETS) as u8;
        rest.iter_mut().zip(psdu).for_each(|(place, octet)| *place = *octet);
        compiler_fence(Ordering::Release);
    }

    /// After the transceiver has received it: PSDU without its FCS, and the octet behind it, in which the
    /// transceiver says how clean it was. `None` for what is too short for a frame, or says of itself that it
    /// is too long.
    pub(crate) fn take(&self) -> Option<(Psdu, u8)> {
        compiler_fence(Ordering::Acquire);
        // SAFETY: the transceiver has ended the frame and is off; the fence lets nothing be read before.
        let octets = unsafe { &*self.0.get() };
        let [len, rest @ ..] = octets;
        let len = usize::from(*len).checked_sub(FCS_OCTETS)?;
        let quality = *rest.get(len)?;
        Some((Psdu::from_slice(rest.get(..len).filter(|psdu| !psdu.is_empty())?).ok()?, quality))
    }
}
