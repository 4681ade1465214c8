//! What every store must do, as a check that each implementation runs over itself.
//!
//! **Invariant:** what was committed comes back, what was not never does.

use crate::change::{Batch, Change, LinkKey};
use crate::decide::{NewDomain, found};
use crate::device::{DevicePsk, DeviceRecord, Identity, Kind};
use crate::domain::Domain;
use crate::store::{Store, StoreError};
use lowgate_amikey::{GroupId, Role};
use lowgate_units::{
    Channel, Duration, Entropy, Eui64, Instant, Ipv6Addr, PanId, Prng, SeededEntropy,
};
use std::collections::BTreeMap;

/// Opens the same store again; what it holds is what earlier ones committed, and nothing at first.
pub type Reopen<'a> = &'a mut dyn FnMut() -> Box<dyn Store>;

/// A chain of random decisions from `seed`. After each the manager may crash: before it committed,
/// between commit and the next decision, or not at all. The domain must come back as committed.
///
/// # Panics
/// When it does not; the message names the seed.
pub fn survives_crashes(seed: u64, decisions: u32, reopen: Reopen<'_>) {
    let mut prng = Prng::new(seed);
    let mut entropy = SeededEntropy::new(seed);
    let mut store = reopen();
    let mut domain = create(&mut *store, &mut entropy);
    let mut revision = 1;
    for step in 0..decisions {
        let changes = decision(&domain, &mut prng, &mut entropy);
        if changes.is_empty() {
            continue;
        }
        let batch = Batch { revision: revision + 1, changes };
        if prng.below(4) == 0 {
            // Decided, never committed.
            store = reopen();
        } else {
            store.commit(&batch).expect("the next revision");
            revision = batch.revision;
            for change in &batch.changes {
                domain.apply(change).expect("a decision fits");
            }
        }
        if prng.below(3) == 0 {
            store = reopen();
        }
        let loaded = store.load().expect("it holds a domain");
        assert_eq!(loaded.revision, revision, "seed {seed}, step {step}");
        let restored = Domain::restore(&loaded.changes).expect("what is stored fits together");
        assert!(restored == domain, "seed {seed}, step {step}: another domain came back");
    }
}

/// A batch whose revision is not the next one leaves no trace.
///
/// # Panics
/// When it does.
pub fn fences_revisions(reopen: Reopen<'_>) {
    let mut store = reopen();
    let empty = store.load().expect("an empty store opens");
    assert!(empty.revision == 0 && empty.changes.is_empty(), "a new store holds nothing");
    create(&mut *store, &mut SeededEntropy::new(1));
    let before = store.load().expect("it holds a domain");
    for revision in [0, 1, 3, u64::MAX] {
        let until = Instant::from_secs(9);
        let batch = Batch { revision, changes: vec![Change::WindowOpened { until }] };
        let refused = store.commit(&batch);
        assert!(
            matches!(
                refused,
                Err(StoreError::RevisionNotNext { committed: 1, offered }) if offered == revision
            ),
            "revision {revision} after 1: {refused:?}"
        );
        assert_eq!(store.load().expect("still there"), before);
    }
}

fn create(store: &mut dyn Store, entropy: &mut SeededEntropy) -> Domain {
    let channel = Channel::new(15).expect("in the band");
    let further_channels = [20, 11].into_iter().filter_map(Channel::new).collect();
    let new = NewDomain { further_channels, ..NewDomain::new(channel, Ipv6Addr::LOCALHOST) };
    let changes = vec![found(new, entropy)];
    let domain = Domain::restore(&changes).expect("a domain begins with its creation");
    store.commit(&Batch { revision: 1, changes }).expect("the first revision");
    domain
}

/// A decision that could be made now; empty when the dice ask for an impossible one.
fn decision(domain: &Domain, prng: &mut Prng, entropy: &mut dyn Entropy) -> Vec<Change> {
    let now = Instant::from_secs(100);
    let some_device = |prng: &mut Prng| {
        let nth = prng.below(domain.devices().len().max(1) as u64) as usize;
        domain.devices().values().nth(nth)
    };
    let some_group = |prng: &mut Prng| GroupId(prng.below(6) as u16);
    match prng.below(20) {
        0 => {
            let id = some_group(prng);
            domain.decide_group(id, "group", entropy).unwrap_or_default()
        }
        1..=3 => domain.decide_import(&[record(domain, prng)]).unwrap_or_default(),
        4 => vec![Change::WindowClosed],
        5 => {
            let until = now + Duration::from_secs(prng.below(1000));
            domain.decide_window(now, until).into_iter().collect()
        }
        6 => some_device(prng)
            .and_then(|device| domain.decide_revocation(device.record.eui64, entropy).ok())
            .unwrap_or_default(),
        7 => {
            let (pan, staged) = some_pan(domain, prng);
            let index = staged.map(|key| key.index);
            index.map(|index| Change::LinkKeyActivated { pan, index }).into_iter().collect()
        }
        8 | 9 => some_device(prng)
            .and_then(|device| {
                let (eui64, group) = (device.record.eui64, some_group(prng));
                domain.decide_member_removed(group, eui64, entropy).ok()
            })
            .unwrap_or_default(),
        18 => domain.decide_pairs(3, entropy).into_iter().collect(),
        19 => match prng.below(4) {
            0 => domain.decide_next_pairs(entropy).unwrap_or_default(),
            _ => Vec::new(),
        },
        10 => domain.decide_network_rekey(entropy).unwrap_or_default(),
        11 => domain.decide_group_rekey(some_group(prng), entropy).unwrap_or_default(),
        12 => some_device(prng)
            .and_then(|device| {
                let (eui64, group) = (device.record.eui64, some_group(prng));
                let role = some_role(prng);
                domain.decide_member_added(group, eui64, role, entropy).ok()
            })
            .unwrap_or_default(),
        _ => some_device(prng)
            .and_then(|device| {
                let granted = domain.granted(device, &BTreeMap::new());
                let (from, _) = some_pan(domain, prng);
                domain.decide_admission(now, device, Some(from), &granted, entropy).ok()
            })
            .unwrap_or_default(),
    }
}

fn some_pan<'d>(domain: &'d Domain, prng: &mut Prng) -> (PanId, Option<&'d LinkKey>) {
    let nth = prng.below(domain.pans().len() as u64) as usize;
    let pan = domain.pans().values().nth(nth).expect("below the number of PANs");
    (pan.config.pan_id, pan.staged_key.as_ref())
}

fn record(domain: &Domain, prng: &mut Prng) -> DeviceRecord {
    let eui64 = Eui64([prng.below(40) as u8; 8]);
    let len = 16 + prng.below(49) as usize;
    let kinds = [Kind::BorderRouter, Kind::Light, Kind::Switch, Kind::Sensor];
    let kind = kinds[prng.below(4) as usize];
    let mut groups = BTreeMap::new();
    let ids = domain.groups().keys().filter(|_| kind != Kind::BorderRouter);
    for id in ids.filter(|_| prng.below(2) == 0).copied().collect::<Vec<_>>() {
        groups.insert(id, some_role(prng));
    }
    let identity = match prng.below(2) {
        0 => Identity::from(eui64),
        _ => Identity::new(&vec![eui64.0[0]; 1 + prng.below(128) as usize]).expect("in range"),
    };
    DeviceRecord {
        eui64,
        identity,
        psk: DevicePsk::new(&vec![7; len]).expect("in range"),
        kind,
        name: format!("device {eui64}"),
        room: "Küche".into(),
        groups,
    }
}

fn some_role(prng: &mut Prng) -> Role {
    [Role::Listener, Role::Sender, Role::SenderAndListener][prng.below(3) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Snapshot;
    use crate::store::MemoryStore;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A memory store that outlives its openings.
    struct Shared(Rc<RefCell<MemoryStore>>);

    impl Store for Shared {
        fn load(&mut self) -> Result<Snapshot, StoreError> {
            self.0.borrow_mut().load()
        }

        fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
            self.0.borrow_mut().commit(batch)
        }
    }

    #[test]
    fn memory_store_conforms() {
        for seed in 0..60 {
            let kept = Rc::new(RefCell::new(MemoryStore::default()));
            survives_crashes(seed, 120, &mut || Box::new(Shared(kept.clone())));
        }
        let kept = Rc::new(RefCell::new(MemoryStore::default()));
        fences_revisions(&mut || Box::new(Shared(kept.clone())));
    }

    #[test]
    fn the_dice_give_every_change() {
        let mut kinds = Vec::new();
        for seed in 0..60 {
            let (mut prng, mut entropy) = (Prng::new(seed), SeededEntropy::new(seed));
            let mut domain = create(&mut MemoryStore::default(), &mut entropy);
            for _ in 0..120 {
                for change in decision(&domain, &mut prng, &mut entropy) {
                    domain.apply(&change).expect("a decision fits");
                    let kind = std::mem::discriminant(&change);
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
            }
        }
        // All but the first, which creates the domain.
        assert_eq!(kinds.len(), 16);
    }

    #[test]
    fn a_snapshot_of_any_state_rebuilds_it() {
        for seed in 0..60 {
            let (mut prng, mut entropy) = (Prng::new(seed), SeededEntropy::new(seed));
            let mut domain = create(&mut MemoryStore::default(), &mut entropy);
            for _ in 0..120 {
                for change in decision(&domain, &mut prng, &mut entropy) {
                    domain.apply(&change).expect("a decision fits");
                }
                let snapshot = domain.snapshot(7);
                let rebuilt = Domain::restore(&snapshot.changes);
                assert!(rebuilt.as_ref() == Ok(&domain), "seed {seed}");
            }
        }
    }
}
