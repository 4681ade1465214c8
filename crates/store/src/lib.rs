//! The manager's records in SQLite.
//!
//! **Invariant:** one batch is one transaction, durable when [`SqliteStore::commit`] returns, refused
//! unless its revision is the next one. The file holds keys: nobody but its owner may read it.

mod flash;
mod image;
mod load;
mod write;

pub use flash::{FlashError, FlashFile, FlashRecord};
pub use image::IMAGE_OCTETS_MAX;
use lowgate_manager::{Batch, Snapshot, Store, StoreError};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Written into the file; another number means another layout of the tables.
const SCHEMA_VERSION: i64 = 3;
/// The tables of version 1.
const TABLES_OF_VERSION_1: [&str; 6] =
    ["ledger", "domain", "link_keys", "groups", "devices", "members"];
/// How long a commit waits for somebody who reads the tables by hand.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// A store in one SQLite file, and its write-ahead log beside it.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

/// Why a file could not be opened as a store, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made or read, or its mode not be set to 0600.
    #[error(
        "cannot open {path}: {cause}; it and its folder must belong to the service's user, on a disk \
         that is not read-only"
    )]
    Access {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// Somebody else has it.
    #[error("{path} is locked by another program; `fuser -v {path}` names it, stop that first")]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// It is no database, or a part of it is lost.
    #[error("{path} is damaged ({cause}); put back the last copy of its folder")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        cause: String,
    },
    /// The disk is full.
    #[error("no room on the disk of {path}; delete something there, then start again")]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// SQLite refused.
    #[error("cannot open {path}: {source}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The tables have another layout.
    #[error(
        "{path} has tables of version {found}, this program knows version {SCHEMA_VERSION}; use the \
         program that wrote them"
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
    },
}

impl OpenError {
    fn system(path: &Path, source: &io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Access { path, cause: source.to_string() },
        }
    }

    fn sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let (path, cause) = (path.to_owned(), source.to_string());
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, cause }
            }
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                Self::Access { path, cause }
            }
            _ => Self::Sqlite { path, source },
        }
    }
}

/// What is wrong with the tables' content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    /// A column holds what no domain has.
    #[error("column {column} holds an impossible value")]
    Value {
        /// Table and column.
        column: &'static str,
    },
    /// A change concerns a row that is not there, or not in that state.
    #[error("{change} does not fit the tables")]
    Change {
        /// The kind of change.
        change: &'static str,
    },
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        Self::Environment(Box::new(damage))
    }
}

impl SqliteStore {
    /// Opens the store in the file at `path`, or makes a new one there. The file's mode is 0600
    /// afterwards.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        protect(path).map_err(|source| OpenError::system(path, &source))?;
        let sqlite = |source| OpenError::sqlite(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        Self::prepare(&connection).map_err(sqlite)?;
        Self::check(path, &connection)?;
        let mut store = Self { connection };
        match store.version().map_err(sqlite)? {
            0 => store.create().map_err(sqlite)?,
            1 => store.migrate().map_err(sqlite)?,
            2 => store.add_pairs().map_err(sqlite)?,
            SCHEMA_VERSION => {}
            found => return Err(OpenError::Version { path: path.into(), found }),
        }
        Ok(store)
    }

    /// Write-ahead logging lets people read while the manager writes; with `FULL` each commit is on
    /// the disk when it returns. Overwritten keys are wiped from the file.
    fn prepare(connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "trusted_schema", false)
    }

    /// Pages that are lost show when they are needed, which may be long after the last good copy is; and
    /// somebody else's lock when something is to be written.
    fn check(path: &Path, connection: &Connection) -> Result<(), OpenError> {
        let writing = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
        writing.map_err(|source| OpenError::sqlite(path, source))?;
        let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        let said: String = checked.map_err(|source| OpenError::sqlite(path, source))?;
        match said.as_str() {
            "ok" => Ok(()),
            cause => {
                // Of several lines the first says what the others are about.
                let cause = cause.lines().next().unwrap_or_default().to_owned();
                Err(OpenError::Damaged { path: path.into(), cause })
            }
        }
    }

    fn version(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))
    }

    fn create(&mut self) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute_batch(include_str!("pairs.sql"))?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()
    }

    /// One PAN became many: all of it in one transaction, so that a file is of one version at any time.
    fn migrate(&mut self) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch("DROP INDEX devices_short")?;
        for table in TABLES_OF_VERSION_1 {
            transaction.execute_batch(&format!("ALTER TABLE {table} RENAME TO old_{table}"))?;
        }
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute_batch(include_str!("pairs.sql"))?;
        transaction.execute_batch(include_str!("migrate.sql"))?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()
    }

    /// Keys of pairs came with version 3; the other tables are as they were.
    fn add_pairs(&mut self) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(include_str!("pairs.sql"))?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()
    }

    fn try_commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(Damage::from)?;
        let committed = load::revision(&transaction)?;
        if committed.checked_add(1) != Some(batch.revision) {
            let offered = batch.revision;
            return Err(StoreError::RevisionNotNext { committed, offered });
        }
        write::revision(&transaction, batch.revision)?;
        for change in &batch.changes {
            write::change(&transaction, change)?;
        }
        transaction.commit().map_err(|error| Damage::from(error).into())
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        // One transaction, so that all tables are of one revision.
        let transaction = self.connection.transaction().map_err(Damage::from)?;
        Ok(load::snapshot(&transaction)?)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.try_commit(batch)
    }
}

/// The file exists and only its owner may read or write it. SQLite gives its log the same mode.
fn protect(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600).open(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        // A new file's name is as durable as what is written into it.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
    #[cfg(not(unix))]
    options.open(path).map(|_| ())
}
