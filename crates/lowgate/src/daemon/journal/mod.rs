//! The daemon's journal: every input of its machines with its time, what chance gave them, and a digest of
//! what they did; so that `lowgate sim replay` can do it again.
//!
//! A thread seals and writes; the radio does not wait for it. What a daemon that was killed had not
//! written is lost, and a file that ends in the middle of something is read up to there. The file is
//! not flushed to the disk: a power cut may cost the last seconds.
//!
//! **Invariant:** an input stands in the journal before what came of it; after the first that is missing
//! nothing follows. Nothing is written unsealed: a journal holds keys.

mod entry;
mod key;
mod reader;
mod seal;
pub(super) mod wire;
mod writer;

pub(super) use entry::{Beginning, Ending, Entry, Outcome};
pub(super) use key::read as read_key;
pub(super) use reader::{Reader, Stop};
pub(super) use writer::Journal;

/// Octets of the largest journal: days of a calm building, about two hours of a serial line that never
/// rests.
pub(super) const JOURNAL_OCTETS_MAX: u64 = 256 << 20;

/// A journal that is there already, for tests.
#[cfg(test)]
pub(super) fn sealed(entries: &[Entry], key: &lowgate_crypto::Key128) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut entropy = super::chance::OsEntropy;
    let mut sealer = seal::Sealer::begin(&mut octets, key, &mut entropy).expect("memory");
    for entry in entries {
        for chunk in entry.emit().chunks(seal::CHUNK_OCTETS_MAX) {
            sealer.write(chunk).expect("memory takes all");
        }
    }
    octets
}
