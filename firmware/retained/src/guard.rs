//! The lowest octets of the stack, which nobody may touch.
//!
//! **Invariant:** a stack that grows into them is a fault. The handler of that fault may use them: to it
//! the protection does not apply.
#![expect(unsafe_code, reason = "the memory protection unit can forbid the stack itself")]

use cortex_m::peripheral::MPU;

/// As in `memory.x`.
const STACK_BOTTOM: u32 = 0x2000_0000;
/// A power of two, and a multiple of it is where the stack begins.
const GUARD_OCTETS: u32 = 2048;

/// Size field: log2 of the octets, less one. No access for anybody, and no execution.
const NO_ACCESS: u32 = 1 << 28 | (GUARD_OCTETS.ilog2() - 1) << 1 | 1;
/// What is no region stays as it is without protection.
const ENABLED_WITH_DEFAULTS: u32 = 1 << 2 | 1;

pub(crate) fn begin(unit: &MPU) {
    // SAFETY: the region is the end of the stack, far below what is in use when the program begins.
    unsafe {
        unit.rnr.write(0);
        unit.rbar.write(STACK_BOTTOM);
        unit.rasr.write(NO_ACCESS);
        unit.ctrl.write(ENABLED_WITH_DEFAULTS);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// Whether the address is one of them, or below.
pub(crate) const fn forbids(address: usize) -> bool {
    address < (STACK_BOTTOM + GUARD_OCTETS) as usize
}
