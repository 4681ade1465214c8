//! The seam to storage, and the store that forgets when its owner drops it.

use crate::change::{Batch, Change, Snapshot};
use std::error::Error;
use std::fmt;

/// Where batches go before anybody hears of them.
pub trait Store {
    /// All that was committed: revision and changes that rebuild the domain.
    ///
    /// # Errors
    /// [`StoreError::Environment`].
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// Stores `batch` entirely, beyond power loss, or not at all.
    ///
    /// # Errors
    /// [`StoreError::RevisionNotNext`] if another revision must come first: somebody else leads
    /// this domain. [`StoreError::Environment`] for all else; nothing is stored then.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;
}

/// Why a store did not do it.
#[derive(Debug)]
pub enum StoreError {
    /// The batch's revision is not the next one.
    RevisionNotNext {
        /// The last one committed.
        committed: u64,
        /// The one offered.
        offered: u64,
    },
    /// The database, its disk, or what it holds.
    Environment(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RevisionNotNext { committed, offered } => write!(
                f,
                "revision {offered} does not follow revision {committed}: another manager leads \
                 this domain"
            ),
            Self::Environment(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::RevisionNotNext { .. } => None,
            Self::Environment(error) => Some(error.as_ref()),
        }
    }
}

/// Keeps every change in memory: for the simulator and for tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    revision: u64,
    changes: Vec<Change>,
}

impl From<Snapshot> for MemoryStore {
    fn from(Snapshot { revision, changes }: Snapshot) -> Self {
        Self { revision, changes }
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot { revision: self.revision, changes: self.changes.clone() })
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.revision != self.revision + 1 {
            let (committed, offered) = (self.revision, batch.revision);
            return Err(StoreError::RevisionNotNext { committed, offered });
        }
        self.revision = batch.revision;
        self.changes.extend(batch.changes.iter().cloned());
        Ok(())
    }
}
