//! What a border router on Linux keeps in place of a flash: small records under small names.
//!
//! **Invariant:** a record is written whole or not at all, and is beyond power loss when
//! [`FlashFile::put`] returns. The file holds keys: nobody but its owner may read it.

use crate::{OpenError, SqliteStore, protect};
use rusqlite::{Connection, params};
use std::path::Path;

/// Records in one SQLite file.
#[derive(Debug)]
pub struct FlashFile {
    connection: Connection,
}

/// SQLite refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("the border router's records: {0}")]
pub struct FlashError(#[from] rusqlite::Error);

/// A name and its record.
pub type FlashRecord = (Vec<u8>, Vec<u8>);

impl FlashFile {
    /// Opens the file at `path`, or makes a new one there. The file's mode is 0600 afterwards.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        protect(path).map_err(|source| OpenError::system(path, &source))?;
        let sqlite = |source| OpenError::sqlite(path, source);
        let connection = Connection::open(path).map_err(sqlite)?;
        SqliteStore::prepare(&connection).map_err(sqlite)?;
        SqliteStore::check(path, &connection)?;
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS flash (name BLOB PRIMARY KEY, record BLOB NOT NULL)
                 STRICT, WITHOUT ROWID",
            )
            .map_err(sqlite)?;
        Ok(Self { connection })
    }

    /// All records, by name.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn all(&self) -> Result<Vec<FlashRecord>, FlashError> {
        let mut query = self.connection.prepare("SELECT name, record FROM flash ORDER BY name")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes a record in place of the one of that name.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn put(&self, name: &[u8], record: &[u8]) -> Result<(), FlashError> {
        let sql = "INSERT OR REPLACE INTO flash (name, record) VALUES (?1, ?2)";
        self.connection.execute(sql, params![name, record])?;
        Ok(())
    }

    /// Deletes a record, if there is one.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn erase(&self, name: &[u8]) -> Result<(), FlashError> {
        self.connection.execute("DELETE FROM flash WHERE name = ?1", params![name])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_outlive_the_process() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("router.db");
        let flash = FlashFile::open(&path).expect("a new file");
        flash.put(&[1, 0, 1], b"old").expect("written");
        flash.put(&[1, 0, 1], b"new").expect("written over");
        flash.put(&[2, 0, 0], b"gone").expect("written");
        flash.erase(&[2, 0, 0]).expect("erased");
        flash.erase(&[9, 9, 9]).expect("there was none");
        drop(flash);
        let flash = FlashFile::open(&path).expect("the same file");
        assert_eq!(flash.all().expect("read"), [(vec![1, 0, 1], b"new".to_vec())]);
    }
}
