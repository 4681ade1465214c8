//! Files of version 1, whose domains had one PAN, and of version 2, whose devices had no keys with each other, go on
//! as files of the present version.

use lowgate_manager::{
    Batch, Change, Device, DeviceState, Domain, GroupId, KeyIndex, LinkKey, PanConfig, Polynomial,
    Role, Secret, SetName, Store,
};
use lowgate_store::SqliteStore;
use lowgate_units::{Channel, Eui64, Instant, PanId, ShortAddr};
use rusqlite::Connection;
use std::path::Path;

const VERSION_1: &str = include_str!("version_1.sql");
const VERSION_2: &str = include_str!("version_2.sql");

const fn eui(n: u8) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, 0, n])
}

fn pan() -> PanId {
    PanId::new(4660).expect("not broadcast")
}

fn short(raw: u16) -> ShortAddr {
    ShortAddr::new(raw).expect("not reserved")
}

fn made(path: &Path, sql: &str) {
    Connection::open(path).expect("a new file").execute_batch(sql).expect("it is SQL");
}

fn layout(path: &Path) -> (i64, Vec<(String, String)>) {
    let file = Connection::open(path).expect("it opens");
    let version = file.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a number");
    let sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name";
    let mut query = file.prepare(sql).expect("it is SQL");
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    (version, rows.collect::<Result<_, _>>().expect("text"))
}

fn domain(store: &mut SqliteStore) -> Domain {
    let snapshot = store.load().expect("it loads");
    Domain::restore(&snapshot.changes).expect("it fits together")
}

/// Criteria: everything is where it was, in the founding PAN; the layout is that of a new file.
#[test]
fn one_pan_becomes_the_founding_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, new) = (folder.path().join("domain.db"), folder.path().join("new.db"));
    made(&path, VERSION_1);
    let mut store = SqliteStore::open(&path).expect("it migrates");
    drop(SqliteStore::open(&new).expect("a new file"));
    assert_eq!(layout(&path), layout(&new));
    assert_eq!(store.load().expect("it loads").revision, 41);
    let domain = domain(&mut store);
    let founding = PanConfig {
        pan_id: pan(),
        channel: Channel::new(15).expect("in the band"),
        mesh_prefix: [0xfd, 0, 0, 1, 0, 2, 0, 3],
    };
    assert_eq!(domain.config().founding_pan(), founding);
    assert_eq!(domain.config().manager_addr.to_string(), "fd00:b::1");
    assert_eq!(domain.window(Instant::from_secs(4)), Some(Instant::from_secs(5)));
    let pan = domain.founding_pan();
    let keys = [Some(&pan.link_key), pan.staged_key.as_ref()];
    let keys = keys.map(|key| key.map(|key| (key.index.raw(), *key.key.expose())));
    assert_eq!(keys, [Some((3, [0x33; 16])), Some((4, [0x44; 16]))]);
    assert_eq!(pan.border_router, Some(eui(2)));
    let members: Vec<_> = pan.members.iter().map(|(eui64, short)| (*eui64, short.raw())).collect();
    assert_eq!(members, [(eui(2), 0), (eui(3), 1)]);
    let id = pan.config.pan_id;
    let states: Vec<_> = domain.devices().values().map(|device: &Device| device.state).collect();
    let revoked =
        |last: Option<u16>| DeviceState::Revoked { last: last.map(|raw| (id, short(raw))) };
    let admitted = |raw| DeviceState::Admitted { pan: id, short: short(raw) };
    let expected = [
        revoked(Some(0)),
        admitted(0),
        admitted(1),
        revoked(Some(2)),
        DeviceState::Expected,
        revoked(None),
    ];
    assert_eq!(states, expected);
    let group = &domain.groups()[&GroupId(7)];
    assert_eq!((group.epoch.csb_id.0, group.epoch.tek_id.raw()), (99, 5));
    let ids: Vec<_> = group.sender_ids.iter().map(|(key, id)| (*key, id.raw())).collect();
    assert_eq!(ids, [((id, eui(2)), 1), ((id, eui(3)), 3)]);
    assert_eq!(domain.devices()[&eui(3)].record.groups[&GroupId(7)], Role::SenderAndListener);
}

/// Criteria: the file takes what follows, also what version 1 could not hold, and nothing that it must not.
#[test]
fn it_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    made(&path, VERSION_1);
    let mut store = SqliteStore::open(&path).expect("it migrates");
    let other = PanId::new(7).expect("not broadcast");
    let config = PanConfig {
        pan_id: other,
        channel: Channel::new(20).expect("in the band"),
        mesh_prefix: [0xfd, 0, 0, 1, 0, 2, 0, 4],
    };
    let key = lowgate_manager::Key128::new([5; 16]);
    let link_key = LinkKey { index: KeyIndex::FIRST, key };
    let (eui64, sender_id) = (eui(3), lowgate_manager::SenderId::MIN);
    let changes = vec![
        Change::PanCreated { config, link_key },
        Change::LinkKeyActivated { pan: pan(), index: KeyIndex::new(4).expect("not 0") },
        Change::Moved { eui64, pan: other, short: short(1) },
        Change::SenderIdGiven { group: GroupId(7), pan: other, eui64, sender_id },
        Change::Admitted { eui64: eui(5), pan: pan(), short: short(3) },
    ];
    let mut expected = domain(&mut store);
    changes.iter().for_each(|change| expected.apply(change).expect("it fits"));
    store.commit(&Batch { revision: 42, changes }).expect("the next revision");
    assert!(domain(&mut SqliteStore::open(&path).expect("it opens")) == expected);
    // The address that the switch left, and the one of who was expelled, stay theirs.
    let mut record = expected.devices()[&eui(6)].record.clone();
    (record.eui64, record.identity) = (eui(9), eui(9).into());
    let admitted = |raw| {
        let admitted = Change::Admitted { eui64: eui(9), pan: pan(), short: short(raw) };
        Batch { revision: 43, changes: vec![Change::DeviceImported(record.clone()), admitted] }
    };
    for raw in [1, 2] {
        store.commit(&admitted(raw)).expect_err("somebody has it");
    }
    store.commit(&admitted(4)).expect("nobody has it");
}

/// Criteria: all is where it was; the layout is that of a new file; the file takes what version 2 could not hold.
#[test]
fn keys_of_pairs_are_added() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, new) = (folder.path().join("domain.db"), folder.path().join("new.db"));
    made(&path, VERSION_2);
    let mut store = SqliteStore::open(&path).expect("it migrates");
    drop(SqliteStore::open(&new).expect("a new file"));
    assert_eq!(layout(&path), layout(&new));
    assert_eq!(store.load().expect("it loads").revision, 41);
    let mut expected = domain(&mut store);
    let member = &expected.devices()[&eui(1)];
    assert_eq!(member.state, DeviceState::Admitted { pan: pan(), short: short(1) });
    assert!(expected.pairs().is_none());
    let name = SetName { set: 1, generation: 1 };
    let polynomial = Polynomial::new(name, 31, Secret::new([3; 32])).expect("a degree");
    let changes = vec![
        Change::PairsStarted { polynomial, lost_before: vec![] },
        Change::PairLost { eui64: eui(1) },
    ];
    changes.iter().for_each(|change| expected.apply(change).expect("it fits"));
    store.commit(&Batch { revision: 42, changes }).expect("the next revision");
    assert!(domain(&mut SqliteStore::open(&path).expect("it opens")) == expected);
}

/// Criteria: a file that cannot be brought over stays as it was.
#[test]
fn all_or_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    made(&path, VERSION_1);
    made(&path, "DROP INDEX devices_short");
    let before = layout(&path);
    SqliteStore::open(&path).expect_err("no file of ours lacks the index");
    assert_eq!(layout(&path), before);
}
