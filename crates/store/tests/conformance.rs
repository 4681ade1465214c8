//! The store against what every store must do, and against what only a file can suffer.

use lowgate_manager::conformance::{fences_revisions, survives_crashes};
use lowgate_manager::{Batch, Change, NewDomain, Store, StoreError, found};
use lowgate_store::{OpenError, SqliteStore};
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, SeededEntropy};
use proptest::prelude::*;
use std::path::Path;

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path).expect("the file opens")
}

fn created() -> Change {
    let channel = Channel::new(11).expect("in the band");
    let new = NewDomain::new(channel, Ipv6Addr::LOCALHOST);
    found(new, &mut SeededEntropy::new(1))
}

#[test]
fn revisions_are_fenced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    fences_revisions(&mut || Box::new(open(&path)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn what_was_committed_comes_back_and_nothing_else(seed: u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("domain.db");
        survives_crashes(seed, 40, &mut || Box::new(open(&path)));
    }
}

#[test]
fn a_batch_is_stored_entirely_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    let mut store = open(&path);
    store.commit(&Batch { revision: 1, changes: vec![created()] }).expect("the first");
    let before = store.load().expect("it loads");
    let until = Instant::from_secs(5);
    // The second change concerns a device that nobody imported.
    let changes = vec![Change::WindowOpened { until }, Change::Revoked { eui64: Eui64([9; 8]) }];
    let refused = store.commit(&Batch { revision: 2, changes });
    assert!(matches!(refused, Err(StoreError::Environment(_))), "{refused:?}");
    assert_eq!(store.load().expect("it loads"), before);
    let good = Batch { revision: 2, changes: vec![Change::WindowOpened { until }] };
    store.commit(&good).expect("the store goes on");
    assert_eq!(open(&path).load().expect("it loads").revision, 2);
}

#[test]
fn of_two_managers_one_is_fenced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    let (mut deposed, mut leader) = (open(&path), open(&path));
    let batch = Batch { revision: 1, changes: vec![created()] };
    leader.commit(&batch).expect("the first");
    let refused = deposed.commit(&batch);
    assert!(
        matches!(refused, Err(StoreError::RevisionNotNext { committed: 1, offered: 1 })),
        "{refused:?}"
    );
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_keys() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    std::fs::write(&path, b"").expect("an empty file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("its own file");
    let mut store = open(&path);
    store.commit(&Batch { revision: 1, changes: vec![created()] }).expect("the first");
    for name in ["domain.db", "domain.db-wal", "domain.db-shm"] {
        let metadata = std::fs::metadata(folder.path().join(name)).expect(name);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn foreign_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text");
    std::fs::write(&text, "no database, but long enough to be looked at as one. ".repeat(20))
        .expect("a file");
    assert!(matches!(SqliteStore::open(&text), Err(OpenError::Damaged { .. })));
    let newer = folder.path().join("newer.db");
    drop(open(&newer));
    let connection = rusqlite::Connection::open(&newer).expect("it opens");
    connection.pragma_update(None, "user_version", 99).expect("it is written");
    drop(connection);
    assert!(matches!(SqliteStore::open(&newer), Err(OpenError::Version { found: 99, .. })));
    let nowhere = folder.path().join("no/such/folder.db");
    assert!(matches!(SqliteStore::open(&nowhere), Err(OpenError::Access { .. })));
}

#[test]
fn tables_read_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("domain.db");
    let mut store = open(&path);
    store.commit(&Batch { revision: 1, changes: vec![created()] }).expect("the first");
    let connection = rusqlite::Connection::open(&path).expect("readers are welcome");
    let manager: String = connection
        .query_row("SELECT manager_addr FROM domain", [], |row| row.get(0))
        .expect("one domain");
    assert_eq!(manager, "::1");
}
