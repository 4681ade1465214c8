//! The journal's file: chunks under AES-128-CCM, each read only as it was written and where it was
//! written.
//!
//! ```text
//! "lowgate journal 1\n" | salt 16 | chunk*
//! chunk   len32 | tag 8 of it | that many octets, sealed | tag 16
//! ```
//!
//! The file's key is HKDF-SHA-256 of the user's key, with the salt: no two files share one. A chunk's
//! nonce is its number, and whether it seals the length or the octets; the salt is authenticated by
//! way of the key. What a file ends in the middle of, a power cut may have torn.
//!
//! **Invariant:** nothing is written unsealed, and a number seals once under a key.

use lowgate_crypto::{Ccm, Key128, SoftCcm, hkdf_sha256};
use lowgate_units::Entropy;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 18] = b"lowgate journal 1\n";
const SALT_OCTETS: usize = 16;
/// Octets of one chunk, before it is sealed. CCM with a nonce of 13 octets seals less than 2^16.
pub(super) const CHUNK_OCTETS_MAX: usize = 32 * 1024;
const LEN_TAG_OCTETS: usize = 8;
const TAG_OCTETS: usize = 16;
/// Octets that a file begins with.
pub(super) const HEADER_OCTETS: usize = MAGIC.len() + SALT_OCTETS;

/// Whether the file at `path` begins as a journal does.
pub(super) fn is_journal(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok()) && magic == *MAGIC
}
/// Octets that sealing adds to a chunk.
pub(super) const CHUNK_OVERHEAD_OCTETS: usize = 4 + LEN_TAG_OCTETS + TAG_OCTETS;

/// What a nonce seals.
#[derive(Clone, Copy)]
enum Sealed {
    Len = 1,
    Octets = 2,
}

fn nonce(sealed: Sealed, number: u64) -> [u8; 13] {
    let mut nonce = [0; 13];
    nonce[0] = sealed as u8;
    nonce[5..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn file_key(key: &Key128, salt: &[u8; SALT_OCTETS]) -> Key128 {
    let mut octets = Zeroizing::new([0; 16]);
    hkdf_sha256(salt, key.expose(), &[b"lowgate journal v1"], &mut octets[..]);
    Key128::new(*octets)
}

/// Writes chunks.
pub(super) struct Sealer<W> {
    to: W,
    key: Key128,
    number: u64,
}

impl<W: Write> Sealer<W> {
    /// Begins a file.
    pub(super) fn begin(mut to: W, key: &Key128, entropy: &mut dyn Entropy) -> io::Result<Self> {
        let mut salt = [0; SALT_OCTETS];
        entropy.fill(&mut salt);
        to.write_all(MAGIC)?;
        to.write_all(&salt)?;
        Ok(Self { to, key: file_key(key, &salt), number: 0 })
    }

    /// Seals and writes one chunk, at most [`CHUNK_OCTETS_MAX`] octets.
    pub(super) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        let len = u32::try_from(chunk.len()).expect("CHUNK_OCTETS_MAX fits").to_be_bytes();
        let (mut len_tag, mut tag) = ([0; LEN_TAG_OCTETS], [0; TAG_OCTETS]);
        let (of_len, of_octets) =
            (nonce(Sealed::Len, self.number), nonce(Sealed::Octets, self.number));
        SoftCcm.seal(&self.key, &of_len, &len, &mut [], &mut len_tag);
        let mut octets = chunk.to_vec();
        SoftCcm.seal(&self.key, &of_octets, &len, &mut octets, &mut tag);
        self.number += 1;
        // In one write, so that a process that is killed tears nothing.
        self.to.write_all(&[&len[..], &len_tag, &octets, &tag].concat())
    }
}

/// Why a file cannot be read on.
#[derive(Debug)]
pub(in crate::daemon) enum Unreadable {
    /// It does not begin as a journal does.
    NoJournal,
    /// It is sealed with another key, or its first octets were changed.
    AnotherKey,
    /// What stands at that octet was not written there.
    Damaged { at: u64 },
    /// The system refuses.
    File(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJournal => f.write_str("no journal of this program"),
            Self::AnotherKey => {
                f.write_str("not sealed with this key, or its first octets were changed")
            }
            Self::Damaged { at } => {
                write!(f, "changed at octet {at} or within the 32 KiB after it")
            }
            Self::File(fault) => write!(f, "cannot be read: {fault}"),
        }
    }
}

/// Reads chunks.
pub(super) struct Opener<R> {
    from: R,
    key: Key128,
    number: u64,
    at: u64,
}

/// What comes next in a file.
pub(super) enum Next {
    /// A chunk.
    Chunk(Zeroizing<Vec<u8>>),
    /// The file ends here, after a chunk.
    End,
    /// The file ends in the middle of a chunk.
    Torn,
}

impl<R: Read> Opener<R> {
    pub(super) fn begin(mut from: R, key: &Key128) -> Result<Self, Unreadable> {
        let mut header = [0; HEADER_OCTETS];
        let len = fill(&mut from, &mut header).map_err(Unreadable::File)?;
        let salt = header.strip_prefix(MAGIC).and_then(|salt| salt.try_into().ok());
        let salt = salt.filter(|_| len == HEADER_OCTETS).ok_or(Unreadable::NoJournal)?;
        Ok(Self { from, key: file_key(key, salt), number: 0, at: HEADER_OCTETS as u64 })
    }

    pub(super) fn next(&mut self) -> Result<Next, Unreadable> {
        let mut head = [0; 4 + LEN_TAG_OCTETS];
        match fill(&mut self.from, &mut head).map_err(Unreadable::File)? {
            0 => return Ok(Next::End),
            len if len < head.len() => return Ok(Next::Torn),
            _ => {}
        }
        let damaged = Unreadable::Damaged { at: self.at };
        let (len, len_tag) = head.split_at(4);
        let of_len = nonce(Sealed::Len, self.number);
        if SoftCcm.open(&self.key, &of_len, len, &mut [], len_tag).is_err() {
            // A disk that lost power may have the file's length without its last octets.
            let torn = head == [0; 12] && self.rest_is_zero().map_err(Unreadable::File)?;
            return match (torn, self.number) {
                (true, _) => Ok(Next::Torn),
                (false, 0) => Err(Unreadable::AnotherKey),
                (false, _) => Err(damaged),
            };
        }
        let count = u32::from_be_bytes(len.try_into().expect("four")) as usize;
        if count > CHUNK_OCTETS_MAX {
            return Err(damaged);
        }
        let mut octets = Zeroizing::new(vec![0; count + TAG_OCTETS]);
        if fill(&mut self.from, &mut octets).map_err(Unreadable::File)? < octets.len() {
            return Ok(Next::Torn);
        }
        let (body, tag) = octets.split_at_mut(count);
        let of_octets = nonce(Sealed::Octets, self.number);
        if SoftCcm.open(&self.key, &of_octets, len, body, tag).is_err() {
            return Err(damaged);
        }
        octets.truncate(count);
        self.number += 1;
        self.at += (count + CHUNK_OVERHEAD_OCTETS) as u64;
        Ok(Next::Chunk(octets))
    }

    fn rest_is_zero(&mut self) -> io::Result<bool> {
        let mut octets = [0; 4096];
        loop {
            match fill(&mut self.from, &mut octets)? {
                0 => return Ok(true),
                len if octets[..len].iter().any(|octet| *octet != 0) => return Ok(false),
                _ => {}
            }
        }
    }
}

/// As many octets as there are, up to all of `octets`.
fn fill(from: &mut impl Read, octets: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < octets.len() {
        match from.read(&mut octets[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_units::SeededEntropy;
    use proptest::prelude::*;

    fn key(n: u8) -> Key128 {
        Key128::new([n; 16])
    }

    fn sealed(chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut sealer = Sealer::begin(&mut octets, &key(1), &mut SeededEntropy::new(1));
        let sealer = sealer.as_mut().expect("memory takes all");
        chunks.iter().for_each(|chunk| sealer.write(chunk).expect("memory takes all"));
        octets
    }

    /// The chunks that are read, and how it ends: all read, torn, or unreadable.
    fn opened(octets: &[u8], key: &Key128) -> (Vec<Vec<u8>>, &'static str) {
        let mut chunks = Vec::new();
        let Ok(mut opener) = Opener::begin(octets, key) else { return (chunks, "no journal") };
        loop {
            match opener.next() {
                Ok(Next::Chunk(chunk)) => chunks.push(chunk.to_vec()),
                Ok(Next::End) => return (chunks, "end"),
                Ok(Next::Torn) => return (chunks, "torn"),
                Err(Unreadable::Damaged { .. }) => return (chunks, "damaged"),
                Err(Unreadable::AnotherKey) => return (chunks, "another key"),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn three() -> Vec<Vec<u8>> {
        vec![b"one".to_vec(), vec![7; CHUNK_OCTETS_MAX], vec![]]
    }

    #[test]
    fn chunks_come_back_under_their_key_and_no_other() {
        let file = sealed(&three());
        assert_eq!(opened(&file, &key(1)), (three(), "end"));
        assert_eq!(opened(&file, &key(2)), (vec![], "another key"));
        let overhead: usize = three().iter().map(|chunk| chunk.len() + CHUNK_OVERHEAD_OCTETS).sum();
        assert_eq!(file.len(), HEADER_OCTETS + overhead);
        assert!(!file.windows(3).any(|window| window == b"one"));
    }

    #[test]
    fn two_files_share_no_key() {
        let mut entropy = SeededEntropy::new(1);
        let mut file = || {
            let mut octets = Vec::new();
            let mut sealer = Sealer::begin(&mut octets, &key(1), &mut entropy).expect("memory");
            sealer.write(&[0; 64]).expect("memory takes all");
            octets.split_off(HEADER_OCTETS)
        };
        assert_ne!(file(), file());
    }

    #[test]
    fn chunks_in_another_order_are_damage() {
        let file = sealed(&[b"one".to_vec(), b"two".to_vec()]);
        let (first, second) = file[HEADER_OCTETS..].split_at(3 + CHUNK_OVERHEAD_OCTETS);
        let swapped = [&file[..HEADER_OCTETS], second, first].concat();
        assert_eq!(opened(&swapped, &key(1)), (vec![], "another key"));
        let missing = [&file[..HEADER_OCTETS], second].concat();
        assert_eq!(opened(&missing, &key(1)), (vec![], "another key"));
        let twice = [&file[..], second].concat();
        assert_eq!(opened(&twice, &key(1)).1, "damaged");
    }

    #[test]
    fn a_power_cut_leaves_a_tear_and_not_damage() {
        let file = sealed(&[b"one".to_vec(), b"two".to_vec()]);
        for len in HEADER_OCTETS..file.len() {
            let (chunks, end) = opened(&file[..len], &key(1));
            let whole = (len - HEADER_OCTETS) / (3 + CHUNK_OVERHEAD_OCTETS);
            assert_eq!(chunks.len(), whole, "{len}");
            let between = (len - HEADER_OCTETS).is_multiple_of(3 + CHUNK_OVERHEAD_OCTETS);
            assert_eq!(end, if between { "end" } else { "torn" }, "{len}");
        }
        let holes = [&file[..], &[0; 5000]].concat();
        assert_eq!(opened(&holes, &key(1)).1, "torn");
    }

    #[test]
    fn every_flipped_octet_is_found() {
        let file = sealed(&[b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        for at in 0..file.len() {
            let mut file = file.clone();
            file[at] ^= 0x10;
            let (chunks, end) = opened(&file, &key(1));
            let expected = match at {
                _ if at < MAGIC.len() => "no journal",
                _ if at < HEADER_OCTETS + 4 + LEN_TAG_OCTETS => "another key",
                _ => "damaged",
            };
            assert_eq!(end, expected, "octet {at}");
            assert!(chunks.len() < 3, "octet {at}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets: Vec<u8>, behind: Vec<u8>) {
            opened(&octets, &key(1));
            let file = [&sealed(&[])[..], &behind].concat();
            prop_assert_eq!(opened(&file, &key(1)).0, Vec::<Vec<u8>>::new());
        }
    }
}
