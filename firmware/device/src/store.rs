//! Small records under small names, in a flash whose power may fail at any octet of a write.
//!
//! One page holds all records; new ones are appended to it. When it is full, what is still in force is copied
//! to the next page, whose header is written last: until then the old page counts. Pages take turns, so that
//! all of them wear alike. A page is erased before it is written, and no word is written twice.
//!
//! ```text
//! header   magic:4 "LGF1"  sequence:4  wiping:4  crc32:4
//! record   name:3  len:1  octets  crc32:4  padding of ff
//! ```
//!
//! Numbers are little endian. Bit 7 of a record's name says that the record is gone. The greatest sequence is in
//! force. A record that is not whole ends its page: what comes next goes to the next one. Behind it nothing can
//! be written, so that if something is, the flash lost what it held, and no record is believed any more: a counter
//! might be one of those behind.
//!
//! **Invariant:** a record is replaced whole or not at all, and is beyond a loss of power when
//! [`Store::put`] returns. Names have bit 7 clear.

use crate::crc::crc32;
use embedded_storage::nor_flash::NorFlash;
use heapless::Vec;
use lowgate_node::flash::RECORD_OCTETS_MAX;

/// Records at a time.
pub const RECORDS_MAX: usize = 32;
/// Pages at least: one in force, one to be written next.
pub const PAGES_MIN: u32 = 2;

/// A record's name.
pub type Name = [u8; 3];

const MAGIC: &[u8; 4] = b"LGF1";
const HEADER_OCTETS: usize = 16;
/// The other pages hold what must not be found.
const WIPING: u32 = 1;
const GONE: u8 = 0x80;
const BLANK: u8 = 0xff;
const NAME_AND_LEN_OCTETS: usize = 4;
const CHECK_OCTETS: usize = 4;
/// Some flashes take no less than that at a time.
const WORD_OCTETS_MAX: usize = 16;
const FRAMED_OCTETS_MAX: usize =
    (NAME_AND_LEN_OCTETS + RECORD_OCTETS_MAX + CHECK_OCTETS).next_multiple_of(WORD_OCTETS_MAX);
/// Looked at together.
const CHUNK_OCTETS: usize = 240;

/// A record as it is in the flash.
type Framed = Vec<u8, FRAMED_OCTETS_MAX>;

/// Why a record was not written, or not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The flash refused, or did not keep what it took.
    Flash,
    /// What is in force fills a page, or there are [`RECORDS_MAX`].
    Full,
    /// More than [`RECORD_OCTETS_MAX`] octets.
    TooLong,
    /// A record changed by itself. [`Store::wipe`] makes a new beginning.
    Damaged,
}

/// The records.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    /// Where its pages are.
    base: u32,
    pages: u32,
    /// The page in force, counted from `base`; none in a new flash.
    page: Option<u32>,
    sequence: u32,
    /// Where the next record goes, if the page's end is not torn.
    next: u32,
    is_torn: bool,
    fault: Option<StoreFault>,
    index: Vec<(Name, u32), RECORDS_MAX>,
}

/// What is at one place of a page.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
enum Place {
    Blank,
    /// So long at most, if its writing was cut off.
    Torn(u32),
    Record(Framed),
}

impl<F: NorFlash> Store<F> {
    const PAGE_OCTETS: u32 = F::ERASE_SIZE as u32;
    const WORD_OCTETS: usize = {
        assert!(F::WRITE_SIZE <= WORD_OCTETS_MAX && F::READ_SIZE <= 4 && 16 % F::WRITE_SIZE == 0);
        if F::WRITE_SIZE > 4 { F::WRITE_SIZE } else { 4 }
    };

    /// What the pages from the page of number `first` to the flash's end hold. If that cannot be told,
    /// [`Self::fault`] says so, and nothing but [`Self::wipe`] changes it.
    ///
    /// # Panics
    /// When there are fewer pages than [`PAGES_MIN`].
    pub fn open(flash: F, first: u32) -> Self {
        let pages = ((flash.capacity() / F::ERASE_SIZE) as u32).saturating_sub(first);
        assert!(pages >= PAGES_MIN, "one page in force, one to be written next");
        let (base, index) = (first * Self::PAGE_OCTETS, Vec::new());
        let (page, sequence, next, is_torn, fault) = (None, 0, 0, false, None);
        let mut store = Self { flash, base, pages, page, sequence, next, is_torn, fault, index };
        store.fault = store.find_all().err();
        store
    }

    fn find_all(&mut self) -> Result<(), StoreFault> {
        let mut is_wiping = false;
        for page in 0..self.pages {
            if let Some((sequence, wiping)) = self.header(page)?
                && sequence > self.sequence
            {
                (self.page, self.sequence, is_wiping) = (Some(page), sequence, wiping == WIPING);
            }
        }
        if let Some(page) = self.page {
            self.scan(page)?;
        }
        if is_wiping { self.erase_others() } else { Ok(()) }
    }

    /// Why it takes and tells nothing.
    pub const fn fault(&self) -> Option<StoreFault> {
        self.fault
    }

    /// Names of all records.
    pub fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.index.iter().map(|(name, _)| *name)
    }

    /// A record's octets.
    ///
    /// # Errors
    /// The flash does not hold any more what it did.
    pub fn read(&mut self, name: Name) -> Result<Option<Vec<u8, RECORD_OCTETS_MAX>>, StoreFault> {
        self.fault.map_or(Ok(()), Err)?;
        let (Some(at), Some(page)) = (self.find(name), self.page) else { return Ok(None) };
        let (_, at) = self.index[at];
        match self.place(page, at)? {
            Place::Record(framed) => Ok(Vec::from_slice(octets(&framed)).ok()),
            Place::Blank | Place::Torn(_) => Err(StoreFault::Flash),
        }
    }

    /// Writes a record in place of the one of that name.
    ///
    /// # Errors
    /// Why not. The flash holds what it held before, or the new record and nobody was told.
    pub fn put(&mut self, name: Name, octets: &[u8]) -> Result<(), StoreFault> {
        let known = self.find(name);
        if known.is_none() && self.index.is_full() {
            return Err(StoreFault::Full);
        }
        let framed = Self::frame(name, octets)?;
        let at = self.append(&framed)?;
        // By name once more: others may have moved.
        match self.find(name).and_then(|known| self.index.get_mut(known)) {
            Some(known) => known.1 = at,
            None => self.index.push((name, at)).map_err(|_| StoreFault::Full)?,
        }
        Ok(())
    }

    /// Deletes a record, if there is one.
    ///
    /// # Errors
    /// Why not.
    pub fn erase(&mut self, name: Name) -> Result<(), StoreFault> {
        if self.find(name).is_none() {
            return Ok(());
        }
        let [kind, high, low] = name;
        let framed = Self::frame([kind | GONE, high, low], &[])?;
        self.append(&framed)?;
        self.index.retain(|(known, _)| *known != name);
        Ok(())
    }

    /// Erases all but what is to be kept. It may be cut off at any moment: the next [`Store::open`]
    /// finds either everything or what is kept, and ends it. Of a store with a fault nothing is kept.
    ///
    /// # Errors
    /// Why not.
    pub fn wipe(&mut self, is_kept: impl Fn(Name) -> bool) -> Result<(), StoreFault> {
        if self.fault.is_some() {
            self.index.clear();
        }
        self.turn_page(is_kept, WIPING)?;
        self.fault = None;
        self.erase_others()
    }

    fn find(&self, name: Name) -> Option<usize> {
        self.index.iter().position(|(known, _)| *known == name)
    }

    fn frame(name: Name, octets: &[u8]) -> Result<Framed, StoreFault> {
        let fits = octets.len() <= RECORD_OCTETS_MAX;
        let len = u8::try_from(octets.len()).ok().filter(|_| fits).ok_or(StoreFault::TooLong)?;
        let [kind, high, low] = name;
        let mut framed = Framed::new();
        let put = |framed: &mut Framed, part: &[u8]| {
            framed.extend_from_slice(part).map_err(|_| StoreFault::TooLong)
        };
        put(&mut framed, &[kind, high, low, len])?;
        put(&mut framed, octets)?;
        let check = crc32(&framed).to_le_bytes();
        put(&mut framed, &check)?;
        let len = framed.len().next_multiple_of(Self::WORD_OCTETS);
        framed.resize(len, BLANK).map_err(|_| StoreFault::TooLong)?;
        Ok(framed)
    }

    /// Writes behind the last record; where that is.
    fn append(&mut self, framed: &[u8]) -> Result<u32, StoreFault> {
        self.fault.map_or(Ok(()), Err)?;
        let page = match self.page {
            Some(page) if !self.is_torn && self.has_room(framed) => page,
            Some(_) | None => self.turn_page(|_| true, 0)?,
        };
        if !self.has_room(framed) {
            return Err(StoreFault::Full);
        }
        let at = self.next;
        // Whatever becomes of it: after a fault nobody knows what is there.
        self.is_torn = true;
        self.write_framed(page, at, framed)?;
        self.is_torn = false;
        self.next += framed.len() as u32;
        Ok(at)
    }

    fn has_room(&self, framed: &[u8]) -> bool {
        self.next + framed.len() as u32 <= Self::PAGE_OCTETS
    }

    /// Goes on in the next page, with what is to be kept.
    fn turn_page(
        &mut self,
        is_kept: impl Fn(Name) -> bool,
        wiping: u32,
    ) -> Result<u32, StoreFault> {
        let target = self.page.map_or(0, |page| (page + 1) % self.pages);
        self.erase_page(target)?;
        let (mut index, mut next) = (Vec::new(), HEADER_OCTETS as u32);
        for at in 0..self.index.len() {
            let (name, at) = self.index[at];
            let (true, Some(page)) = (is_kept(name), self.page) else { continue };
            let Place::Record(framed) = self.place(page, at)? else {
                return Err(StoreFault::Flash);
            };
            self.write_framed(target, next, &framed)?;
            let _ = index.push((name, next)); // no more than there were
            next += framed.len() as u32;
        }
        let sequence = self.sequence + 1;
        let mut header = [0; HEADER_OCTETS];
        header[..4].copy_from_slice(MAGIC);
        header[4..8].copy_from_slice(&sequence.to_le_bytes());
        header[8..12].copy_from_slice(&wiping.to_le_bytes());
        let check = crc32(&header[..12]);
        header[12..].copy_from_slice(&check.to_le_bytes());
        let at = self.address(target, 0);
        self.flash.write(at, &header).map_err(|_| StoreFault::Flash)?;
        if self.header(target)? != Some((sequence, wiping)) {
            return Err(StoreFault::Flash);
        }
        (self.page, self.sequence, self.index) = (Some(target), sequence, index);
        (self.next, self.is_torn) = (next, false);
        Ok(target)
    }

    fn erase_others(&mut self) -> Result<(), StoreFault> {
        let in_force = self.page;
        for page in (0..self.pages).filter(|page| Some(*page) != in_force) {
            if !self.is_blank(page, 0)? {
                self.erase_page(page)?;
            }
        }
        Ok(())
    }

    fn erase_page(&mut self, page: u32) -> Result<(), StoreFault> {
        let (from, to) = (self.address(page, 0), self.address(page + 1, 0));
        self.flash.erase(from, to).map_err(|_| StoreFault::Flash)
    }

    fn write_framed(&mut self, page: u32, at: u32, framed: &[u8]) -> Result<(), StoreFault> {
        let address = self.address(page, at);
        self.flash.write(address, framed).map_err(|_| StoreFault::Flash)?;
        match self.place(page, at)? {
            Place::Record(kept) if kept == framed => Ok(()),
            Place::Record(_) | Place::Blank | Place::Torn(_) => Err(StoreFault::Flash),
        }
    }

    /// Sequence and wiping of a page that has a header.
    fn header(&mut self, page: u32) -> Result<Option<(u32, u32)>, StoreFault> {
        let mut header = [0; HEADER_OCTETS];
        self.read_at(page, 0, &mut header)?;
        let (words, _) = header.as_chunks::<4>();
        let [magic, sequence, wiping, check] = [words[0], words[1], words[2], words[3]];
        let is_whole = magic == *MAGIC && crc32(&header[..12]) == u32::from_le_bytes(check);
        Ok(is_whole.then(|| (u32::from_le_bytes(sequence), u32::from_le_bytes(wiping))))
    }

    /// Fills the index.
    fn scan(&mut self, page: u32) -> Result<(), StoreFault> {
        self.next = HEADER_OCTETS as u32;
        loop {
            match self.place(page, self.next)? {
                Place::Blank => break,
                Place::Torn(extent) => {
                    self.is_torn = true;
                    let is_last = self.is_blank(page, self.next + extent)?;
                    return if is_last { Ok(()) } else { Err(StoreFault::Damaged) };
                }
                Place::Record(framed) => {
                    let (name, is_gone) = name(&framed);
                    self.index.retain(|(known, _)| *known != name);
                    if !is_gone {
                        self.index.push((name, self.next)).map_err(|_| StoreFault::Full)?;
                    }
                    self.next += framed.len() as u32;
                }
            }
        }
        self.is_torn = !self.is_blank(page, self.next)?;
        Ok(())
    }

    fn place(&mut self, page: u32, at: u32) -> Result<Place, StoreFault> {
        let mut framed = Framed::new();
        let room = Self::PAGE_OCTETS.saturating_sub(at) as usize;
        if room < NAME_AND_LEN_OCTETS {
            return Ok(Place::Blank);
        }
        let mut head = [0; NAME_AND_LEN_OCTETS];
        self.read_at(page, at, &mut head)?;
        if head == [BLANK; NAME_AND_LEN_OCTETS] {
            return Ok(Place::Blank);
        }
        let len = usize::from(head[3]);
        let whole = NAME_AND_LEN_OCTETS + len + CHECK_OCTETS;
        let padded = whole.next_multiple_of(Self::WORD_OCTETS);
        if len > RECORD_OCTETS_MAX || padded > room || framed.resize(padded, 0).is_err() {
            return Ok(Place::Torn(NAME_AND_LEN_OCTETS as u32));
        }
        self.read_at(page, at, &mut framed)?;
        let (covered, check) = framed[..whole].split_at(whole - CHECK_OCTETS);
        let is_whole = crc32(covered).to_le_bytes() == check;
        Ok(if is_whole { Place::Record(framed) } else { Place::Torn(padded as u32) })
    }

    fn is_blank(&mut self, page: u32, from: u32) -> Result<bool, StoreFault> {
        let mut chunk = [0; CHUNK_OCTETS];
        for at in (from..Self::PAGE_OCTETS).step_by(CHUNK_OCTETS) {
            let len = CHUNK_OCTETS.min((Self::PAGE_OCTETS - at) as usize);
            self.read_at(page, at, &mut chunk[..len])?;
            if chunk[..len].iter().any(|octet| *octet != BLANK) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_at(&mut self, page: u32, at: u32, octets: &mut [u8]) -> Result<(), StoreFault> {
        let address = self.address(page, at);
        self.flash.read(address, octets).map_err(|_| StoreFault::Flash)
    }

    const fn address(&self, page: u32, at: u32) -> u32 {
        self.base + page * Self::PAGE_OCTETS + at
    }
}

/// Whose record it is, and whether it says that this one is gone.
fn name(framed: &[u8]) -> (Name, bool) {
    (([framed[0] & !GONE, framed[1], framed[2]]), framed[0] & GONE != 0)
}

/// What [`Store::place`] found to be whole.
fn octets(framed: &[u8]) -> &[u8] {
    &framed[NAME_AND_LEN_OCTETS..NAME_AND_LEN_OCTETS + usize::from(framed[3])]
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
