//! A journal's entries, one after the other.

use super::entry::{ENTRY_OCTETS_MAX, Entry};
use super::seal::{Next, Opener, Unreadable};
use lowgate_crypto::Key128;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a journal.
pub(in crate::daemon) struct Reader<R> {
    from: Opener<R>,
    /// Opened and not yet read.
    octets: Zeroizing<Vec<u8>>,
}

/// Why there is no next entry.
#[derive(Debug)]
pub(in crate::daemon) enum Stop {
    /// The file ends here. Unless an entry said so before, the daemon was killed.
    End,
    /// The file cannot be read on.
    Unreadable(Unreadable),
    /// What the file holds is not what this program writes.
    Unknown,
}

impl Reader<BufReader<File>> {
    pub(in crate::daemon) fn open(path: &Path, key: &Key128) -> Result<Self, Unreadable> {
        let file = File::open(path).map_err(Unreadable::File)?;
        Self::new(BufReader::new(file), key)
    }
}

impl<R: Read> Reader<R> {
    pub(in crate::daemon) fn new(from: R, key: &Key128) -> Result<Self, Unreadable> {
        Ok(Self { from: Opener::begin(from, key)?, octets: Zeroizing::default() })
    }

    pub(in crate::daemon) fn next(&mut self) -> Result<Entry, Stop> {
        self.gather(4)?;
        let len = u32::from_be_bytes(self.octets[..4].try_into().expect("four")) as usize;
        if len > ENTRY_OCTETS_MAX {
            return Err(Stop::Unknown);
        }
        self.gather(4 + len)?;
        let entry = Entry::parse(&self.octets[4..4 + len]).ok_or(Stop::Unknown);
        self.octets.drain(..4 + len);
        entry
    }

    /// Opens chunks until so many octets are there.
    fn gather(&mut self, len: usize) -> Result<(), Stop> {
        while self.octets.len() < len {
            match self.from.next().map_err(Stop::Unreadable)? {
                Next::Chunk(chunk) => self.octets.extend_from_slice(&chunk),
                Next::End | Next::Torn => return Err(Stop::End),
            }
        }
        Ok(())
    }
}
