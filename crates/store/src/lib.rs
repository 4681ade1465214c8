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
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Written into the file; another number means another layout of the tables.
const SCHEMA_VERSION: i64 = 1;
/// How long a commit waits for somebody who reads the tables by hand.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// A store in one SQLite file, and its write-ahead log beside it.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
}

/// Why a file could not be opened as a store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made, or its mode not be set to 0600.
    #[error("cannot create or protect {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
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
    #[error("{path} has tables of version {found}; this program knows version {SCHEMA_VERSION}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
    },
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
        protect(path).map_err(|source| OpenError::File { path: path.into(), source })?;
        let sqlite = |source| OpenError::Sqlite { path: path.into(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
        Self::prepare(&connection).map_err(sqlite)?;
        let mut store = Self { connection };
        match store.version().map_err(sqlite)? {
            0 => store.create().map_err(sqlite)?,
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

    fn version(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))
    }

    fn create(&mut self) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(include_str!("schema.sql"))?;
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
