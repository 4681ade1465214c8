//! A store as octets, and back: what a journal of the daemon begins with.
//!
//! **Invariant:** an image never is a file of its own; whoever takes one keeps it as secret as the store.

use crate::{Damage, SqliteStore};
use lowgate_manager::StoreError;
use rusqlite::Connection;
use zeroize::Zeroizing;

/// Octets of the largest image: a domain of 16 384 devices has a third.
pub const IMAGE_OCTETS_MAX: usize = 32 << 20;
/// Where SQLite's header says how the file is read and written; 1 is without a write-ahead log, which a
/// store in memory cannot have.
const FORMAT_VERSIONS: std::ops::Range<usize> = 18..20;

impl SqliteStore {
    /// All that is committed, as the octets of an SQLite file.
    ///
    /// # Errors
    /// When SQLite refuses, or the store is larger than [`IMAGE_OCTETS_MAX`].
    pub fn image(&mut self) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let data = self.connection.serialize("main").map_err(Damage::from)?;
        let mut image = Zeroizing::new(data.to_vec());
        if image.len() > IMAGE_OCTETS_MAX {
            return Err(Damage::Value { column: "(all)" }.into());
        }
        if let Some(versions) = image.get_mut(FORMAT_VERSIONS) {
            versions.fill(1);
        }
        Ok(image)
    }

    /// A store in memory that holds what an image does.
    ///
    /// # Errors
    /// When the octets are no image.
    pub fn of_image(image: &[u8]) -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(Damage::from)?;
        connection
            .deserialize_read_exact("main", image, image.len(), false)
            .map_err(Damage::from)?;
        Ok(Self { connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_manager::{Batch, Change, NewDomain, Store, found};
    use lowgate_units::{Channel, Instant, Ipv6Addr, SeededEntropy};

    #[test]
    fn a_store_comes_back_from_its_image() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut store = SqliteStore::open(&dir.path().join("domain.db")).expect("a new file");
        let empty = store.image().expect("an image");
        let channel = Channel::new(15).expect("in the band");
        let new = NewDomain::new(channel, Ipv6Addr::LOCALHOST);
        let changes = vec![found(new, &mut SeededEntropy::new(1))];
        store.commit(&Batch { revision: 1, changes }).expect("the first revision");
        let changes = vec![Change::WindowOpened { until: Instant::from_secs(9) }];
        let mut copy = SqliteStore::of_image(&store.image().expect("an image")).expect("its own");
        assert_eq!(copy.load().expect("read"), store.load().expect("read"));
        copy.commit(&Batch { revision: 2, changes }).expect("a copy goes on");
        assert_eq!(store.load().expect("read").revision, 1, "the store does not");
        let mut copy = SqliteStore::of_image(&empty).expect("its own");
        assert_eq!(copy.load().expect("read").revision, 0);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for octets in [&b""[..], b"SQLite format 3\0", &[7; 4096]] {
            let loaded = SqliteStore::of_image(octets).and_then(|mut store| store.load());
            assert!(loaded.is_err(), "{} octets", octets.len());
        }
    }
}
