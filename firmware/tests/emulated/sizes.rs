//! What the programs take of the machine.

use crate::emulator::Build;
use object::{Object, ObjectSection};

/// Octets of code and constants, and of variables; the stack has a budget of its own in other tests. They may
/// only shrink.
const BUDGETS: &[(Build, u64, u64)] =
    &[(Build::Shipped, 28_800, 2_300), (Build::Counting, 67_200, 2_300)];

/// Criteria: nothing is larger than its budget.
#[test]
fn each_program_keeps_to_its_budget() {
    for (build, flash_max, ram_max) in BUDGETS {
        let octets = std::fs::read(build.program()).expect("it was built");
        let file = object::File::parse(&*octets).expect("it was linked");
        let size = |names: &[&str]| -> u64 {
            let sections = file.sections();
            let ours =
                sections.filter(|section| section.name().is_ok_and(|it| names.contains(&it)));
            ours.map(|section| section.size()).sum()
        };
        let flash = size(&[".vector_table", ".text", ".rodata", ".data"]);
        let ram = size(&[".data", ".bss", ".uninit"]);
        println!("{build:?}: {flash} octets of flash, {ram} of RAM beside the stack");
        assert!(flash > 0 && flash <= *flash_max, "{build:?}: {flash} octets of flash");
        assert!(ram > 0 && ram <= *ram_max, "{build:?}: {ram} octets of RAM");
    }
}
