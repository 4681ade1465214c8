//! What a daemon keeps in its state folder, read from outside while none runs, and what must never go
//! back in it.
//!
//! # Panics
//! All of it when a file cannot be read, or something went back.

use lowgate_node::flash::{Record, RecordKey};
use rusqlite::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The databases at one moment.
#[derive(Debug)]
pub struct Kept {
    revision: i64,
    /// State and short address.
    devices: BTreeMap<String, (String, Option<u16>)>,
    /// Generation and TEK_ID of each group.
    groups: BTreeMap<u16, (i64, i64)>,
    link_keys: BTreeMap<u8, Vec<u8>>,
    flash: BTreeMap<RecordKey, Record>,
}

impl Kept {
    /// Reads copies: SQLite would tidy up after who was killed.
    pub fn read(state: &Path) -> Self {
        let copies = tempfile::tempdir().expect("a folder");
        for entry in state.read_dir().expect("the daemon made it") {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("it has a name");
            std::fs::copy(&path, copies.path().join(name)).expect("copied");
        }
        let open = |name| Connection::open(copies.path().join(name)).expect(name);
        let (domain, router) = (open("domain.db"), open("router.db"));
        let revision = rows(&domain, "SELECT revision FROM ledger", |row| row.get(0));
        let devices = rows(&domain, "SELECT eui64, state, short FROM devices", |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
        });
        let groups = rows(&domain, "SELECT group_id, generation, tek_id FROM groups", |row| {
            Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))
        });
        let link_keys = rows(&domain, "SELECT key_index, key FROM link_keys", |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        let flash = rows(&router, "SELECT name, record FROM flash", |row| {
            let (name, record): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let key = RecordKey::parse(&name);
            Ok(key.map(|key| (key, Record::parse(key, &record).expect("undamaged"))))
        });
        Self {
            revision: revision[0],
            devices: devices.into_iter().collect(),
            groups: groups.into_iter().collect(),
            link_keys: link_keys.into_iter().collect(),
            flash: flash.into_iter().flatten().collect(),
        }
    }

    /// How many devices are admitted, the border router among them.
    pub fn admitted(&self) -> usize {
        self.devices.values().filter(|(state, _)| state == "admitted").count()
    }

    /// Nobody has another's address, and since `before` nothing was lost and nothing went back.
    pub fn expect_after(&self, before: &Self) {
        assert!(self.revision >= before.revision, "{} {}", before.revision, self.revision);
        let shorts: Vec<u16> = self.devices.values().filter_map(|(_, short)| *short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len(), "{self:#?}");
        for (eui64, device) in &before.devices {
            if device.0 == "admitted" {
                assert_eq!(self.devices.get(eui64), Some(device), "{eui64}");
            }
        }
        for (group, epoch) in &before.groups {
            assert!(self.groups[group] >= *epoch, "group {group}: {epoch:?} {self:#?}");
        }
        assert_eq!(self.link_keys, before.link_keys, "nobody asked for another");
        for (name, old) in &before.flash {
            let new = self.flash.get(name).unwrap_or_else(|| panic!("{name:?} is lost"));
            assert!(is_not_older(new, old), "{name:?} went back");
        }
    }
}

fn is_not_older(new: &Record, old: &Record) -> bool {
    match (new, old) {
        (Record::FrameCounter { below: new, .. }, Record::FrameCounter { below: old, .. }) => {
            new >= old
        }
        // RFC 7731 section 6: serial number arithmetic (RFC 1982).
        (Record::MplSequence { through: new }, Record::MplSequence { through: old }) => {
            new.wrapping_sub(*old) < 128
        }
        // RFC 6550 section 7.2: 128 to 255 is a straight line that leads into the circle below it.
        (Record::DodagVersion { version: new }, Record::DodagVersion { version: old }) => {
            match (new, old) {
                (128.., 128..) => new >= old,
                (..128, 128..) => true,
                (128.., ..128) => false,
                (..128, ..128) => (new.wrapping_sub(*old) & 127) < 64,
            }
        }
        (
            Record::GroupSequence { epoch: new_epoch, below: new, .. },
            Record::GroupSequence { epoch: old_epoch, below: old, .. },
        ) => (new_epoch.raw(), new) >= (old_epoch.raw(), old),
        // A short address is given once.
        (Record::Member { eui64: new, .. }, Record::Member { eui64: old, .. }) => new == old,
        (Record::Network { .. }, Record::Network { .. })
        | (Record::Group { .. }, Record::Group { .. }) => true, // keys, compared in the domain
        _ => false,
    }
}

fn rows<T>(
    db: &Connection,
    sql: &str,
    make: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    let mut query = db.prepare(sql).expect("a table of ours");
    let rows = query.query_map([], make).expect("a table of ours");
    rows.collect::<rusqlite::Result<_>>().expect("columns of ours")
}
