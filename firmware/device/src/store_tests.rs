//! The store on a flash in memory, whose power fails where the test wants it.

extern crate std;
use super::*;
use crate::ram::PAGES;
use lowgate_units::Prng;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec as StdVec;

const PAGE_OCTETS: usize = 512;

type Ram = crate::ram::Ram<PAGE_OCTETS>;

type Held = BTreeMap<Name, StdVec<u8>>;

fn held(ram: &mut Ram) -> Held {
    let mut store = Store::open(ram, 0);
    assert_eq!(store.fault(), None);
    let names: StdVec<Name> = store.names().collect();
    let mut read = |name| store.read(name).expect("readable").expect("named");
    names.into_iter().map(|name| (name, read(name).to_vec())).collect()
}

#[derive(Clone, Debug)]
enum Op {
    Put(Name, StdVec<u8>),
    Erase(Name),
    Wipe,
}

const KEPT: u8 = 1;

/// What the records are after it.
fn after(mut held: Held, op: &Op) -> Held {
    match op {
        Op::Put(name, octets) => drop(held.insert(*name, octets.clone())),
        Op::Erase(name) => drop(held.remove(name)),
        Op::Wipe => held.retain(|name, _| name[0] == KEPT),
    }
    held
}

fn perform(store: &mut Store<&mut Ram>, op: &Op) -> Result<(), StoreFault> {
    match op {
        Op::Put(name, octets) => store.put(*name, octets),
        Op::Erase(name) => store.erase(*name),
        Op::Wipe => store.wipe(|name| name[0] == KEPT),
    }
}

/// Counters, keys that change, and a way out: what a device does, over all pages and more.
fn life() -> StdVec<Op> {
    let mut ops = vec![];
    for round in 0..60_u8 {
        ops.push(Op::Put([KEPT, 0, round % 3], vec![round; 4]));
        ops.push(Op::Put([0, 0, 0], vec![round; 60 + usize::from(round)]));
        match round % 10 {
            3 => ops.push(Op::Erase([KEPT, 0, 0])),
            6 => ops.push(Op::Put([4, 0, 1], vec![round; 40])),
            9 => ops.push(Op::Wipe),
            _ => {}
        }
    }
    ops
}

/// Criteria: wherever the power fails, the flash holds what it held before or after the operation; what follows
/// works; the second boot finds what the first one did.
#[test]
fn the_power_fails_at_any_octet() {
    let (mut ram, mut model) = (Ram::new(), Held::new());
    let mut cuts = 0;
    for op in life() {
        let next = after(model.clone(), &op);
        for cut in 0.. {
            let mut torn = Ram { left: Some(cut), ..ram.clone() };
            let was_told = perform(&mut Store::open(&mut torn, 0), &op).is_ok();
            torn.left = None;
            let found = held(&mut torn);
            assert!(found == next || found == model && !was_told, "{op:?} cut after {cut} octets");
            perform(&mut Store::open(&mut torn, 0), &op).expect("power is back");
            assert_eq!(held(&mut torn), next);
            if was_told {
                ram = torn;
                break;
            }
            cuts += 1;
        }
        model = next;
    }
    assert!(cuts > 10_000, "{cuts}");
}

/// The same, and the power fails again while the store makes good for it.
#[test]
fn the_power_fails_again_and_again() {
    let (mut ram, mut model) = (Ram::new(), Held::new());
    let mut dice = Prng::new(1);
    for op in life() {
        let next = after(model.clone(), &op);
        loop {
            // Whatever is done at once, a wipe too, changes less than twice that.
            let cut = dice.below(2 * (PAGES * PAGE_OCTETS) as u64) as usize;
            ram.left = Some(cut);
            let was_told = perform(&mut Store::open(&mut ram, 0), &op).is_ok();
            ram.left = None;
            let found = held(&mut ram);
            assert!(found == next || found == model && !was_told, "{op:?} cut after {cut}");
            if found == next {
                break;
            }
        }
        model = next;
    }
}

#[test]
fn all_pages_wear_alike() {
    let mut ram = Ram::new();
    let mut store = Store::open(&mut ram, 0);
    for count in 0..4000_u32 {
        store.put([KEPT, 0, (count % 2) as u8], &count.to_be_bytes()).expect("there is room");
    }
    let (least, most) = (ram.erased.iter().min(), ram.erased.iter().max());
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{:?}", ram.erased);
    // 40 records of 12 octets fit a page, two of them are copied.
    assert!(ram.erased[0] < 4000 / 35 / PAGES as u32, "{:?}", ram.erased);
}

#[test]
fn nothing_that_was_wiped_is_in_any_page() {
    let mut ram = Ram::new();
    let mut store = Store::open(&mut ram, 0);
    for count in 0..40_u8 {
        store.put([0, 0, count % 2], &[0xa5; 100]).expect("there is room");
    }
    store.put([KEPT, 0, 0], &[1]).expect("there is room");
    store.wipe(|name| name[0] == KEPT).expect("it can");
    assert!(!ram.octets.windows(4).any(|octets| octets == [0xa5; 4]));
    assert_eq!(held(&mut ram), Held::from([([KEPT, 0, 0], vec![1])]));
}

#[test]
fn full_is_said_and_changes_nothing() {
    let mut ram = Ram::new();
    let mut store = Store::open(&mut ram, 0);
    store.put([0, 0, 0], &[1; 200]).expect("there is room");
    store.put([0, 0, 1], &[2; 200]).expect("there is room");
    assert_eq!(store.put([0, 0, 2], &[3; 200]), Err(StoreFault::Full));
    assert_eq!(store.put([0, 0, 2], &[3; 225]), Err(StoreFault::TooLong));
    store.put([0, 0, 3], &[4; 4]).expect("a small one");
    assert_eq!(held(&mut ram).len(), 3);
    let mut ram = Ram::new();
    let mut store = Store::open(&mut ram, 0);
    for count in 0..RECORDS_MAX as u8 {
        store.put([0, 0, count], &[1]).expect("there is room");
    }
    assert_eq!(store.put([0, 1, 0], &[1]), Err(StoreFault::Full));
}

/// Criteria: a counter behind a damaged record is not forgotten silently, and a wipe makes a new beginning.
#[test]
fn a_record_that_changed_by_itself_is_noticed() {
    let mut ram = Ram::new();
    let mut store = Store::open(&mut ram, 0);
    store.put([0, 0, 0], &[9; 40]).expect("there is room");
    store.put([KEPT, 0, 0], &[1; 4]).expect("there is room");
    ram.octets[HEADER_OCTETS + 10] ^= 1;
    let mut store = Store::open(&mut ram, 0);
    assert_eq!(store.fault(), Some(StoreFault::Damaged));
    assert_eq!(store.put([KEPT, 0, 0], &[2; 4]), Err(StoreFault::Damaged));
    assert_eq!(store.read([KEPT, 0, 0]), Err(StoreFault::Damaged));
    store.wipe(|_| true).expect("it can");
    store.put([KEPT, 0, 0], &[3; 4]).expect("there is room");
    assert_eq!(held(&mut ram), Held::from([([KEPT, 0, 0], vec![3; 4])]));
}

proptest! {
    #[test]
    fn whatever_a_flash_holds_nothing_panics(octets in prop::collection::vec(any::<u8>(), PAGE_OCTETS)) {
        let mut ram = Ram::new();
        ram.octets[..PAGE_OCTETS].copy_from_slice(&octets);
        ram.octets[..4].copy_from_slice(MAGIC);
        let check = crc32(&ram.octets[..12]);
        ram.octets[12..16].copy_from_slice(&check.to_le_bytes());
        let mut store = Store::open(&mut ram, 0);
        let _ = store.read([KEPT, 0, 0]);
        let put = store.put([KEPT, 0, 0], &[1; 4]);
        prop_assert!(put.is_ok() || store.fault().is_some());
    }
}
