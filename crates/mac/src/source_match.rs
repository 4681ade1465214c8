//! Who finds in our acknowledgement that more is waiting: the source match of co-processors.
//!
//! IEEE 802.15.4-2006 clause 7.5.6.3: the acknowledgement of a data request says whether a frame is
//! waiting for its sender. The queues are the host's, the acknowledgement is due within
//! `TURNAROUND_TIME`: so the host leaves a list below the seam.
//!
//! **Invariant:** both lists are bounded, and nobody is on one twice.

use heapless::Vec;
use lowgate_units::{Eui64, LinkAddr, ShortAddr};

/// Short addresses of a list.
pub const SOURCE_MATCH_SHORT_MAX: usize = 16;
/// Extended addresses of a list.
pub const SOURCE_MATCH_EXTENDED_MAX: usize = 12;

/// Why a list stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceMatchRefused {
    /// There is no room for one more.
    Full,
    /// Whom to take away is not on it.
    Absent,
}

/// For whom something is waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMatch {
    /// The lists count. Until they do, something is waiting for whoever asks.
    pub enabled: bool,
    short: Vec<ShortAddr, SOURCE_MATCH_SHORT_MAX>,
    extended: Vec<Eui64, SOURCE_MATCH_EXTENDED_MAX>,
}

impl SourceMatch {
    /// Empty lists that do not count.
    pub const fn new() -> Self {
        Self { enabled: false, short: Vec::new(), extended: Vec::new() }
    }

    /// Something is waiting for it.
    pub fn waits_for(&self, addr: LinkAddr) -> bool {
        !self.enabled
            || match addr {
                LinkAddr::Short(short) => self.short.contains(&short),
                LinkAddr::Extended(eui64) => self.extended.contains(&eui64),
            }
    }

    /// Something is waiting for this one, too.
    ///
    /// # Errors
    /// [`SourceMatchRefused::Full`]
    pub fn insert(&mut self, addr: LinkAddr) -> Result<(), SourceMatchRefused> {
        match addr {
            LinkAddr::Short(short) => insert(&mut self.short, short),
            LinkAddr::Extended(eui64) => insert(&mut self.extended, eui64),
        }
    }

    /// Nothing is waiting for this one any more.
    ///
    /// # Errors
    /// [`SourceMatchRefused::Absent`]
    pub fn remove(&mut self, addr: LinkAddr) -> Result<(), SourceMatchRefused> {
        match addr {
            LinkAddr::Short(short) => remove(&mut self.short, &short),
            LinkAddr::Extended(eui64) => remove(&mut self.extended, &eui64),
        }
    }

    /// Nothing is waiting for anybody with a short address.
    pub fn clear_short(&mut self) {
        self.short.clear();
    }

    /// Nothing is waiting for anybody with an extended address.
    pub fn clear_extended(&mut self) {
        self.extended.clear();
    }

    /// Those with a short address, in no order that means anything.
    pub fn short(&self) -> &[ShortAddr] {
        &self.short
    }

    /// Those with an extended address, likewise.
    pub fn extended(&self) -> &[Eui64] {
        &self.extended
    }
}

fn insert<T: PartialEq, const N: usize>(
    list: &mut Vec<T, N>,
    item: T,
) -> Result<(), SourceMatchRefused> {
    if list.contains(&item) {
        return Ok(());
    }
    list.push(item).map_err(|_| SourceMatchRefused::Full)
}

fn remove<T: PartialEq, const N: usize>(
    list: &mut Vec<T, N>,
    item: &T,
) -> Result<(), SourceMatchRefused> {
    let at = list.iter().position(|other| other == item).ok_or(SourceMatchRefused::Absent)?;
    list.swap_remove(at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(raw: u16) -> LinkAddr {
        LinkAddr::Short(ShortAddr::new(raw).expect("an address"))
    }

    fn extended(last: u8) -> LinkAddr {
        LinkAddr::Extended(Eui64([2, 0, 0, 0, 0, 0, 0, last]))
    }

    #[test]
    fn until_it_counts_something_waits_for_everyone() {
        let mut list = SourceMatch::new();
        assert!(list.waits_for(short(1)) && list.waits_for(extended(1)));
        list.enabled = true;
        assert!(!list.waits_for(short(1)) && !list.waits_for(extended(1)));
        assert_eq!((list.insert(short(1)), list.insert(extended(1))), (Ok(()), Ok(())));
        assert!(list.waits_for(short(1)) && list.waits_for(extended(1)));
        assert!(!list.waits_for(short(2)) && !list.waits_for(extended(2)));
    }

    #[test]
    fn lists_are_bounded_and_know_each_once() {
        let mut list = SourceMatch::new();
        for raw in 0..SOURCE_MATCH_SHORT_MAX as u16 {
            assert_eq!((list.insert(short(raw)), list.insert(short(raw))), (Ok(()), Ok(())));
        }
        assert_eq!(list.insert(short(0x100)), Err(SourceMatchRefused::Full));
        for last in 0..SOURCE_MATCH_EXTENDED_MAX as u8 {
            assert_eq!(
                (list.insert(extended(last)), list.insert(extended(last))),
                (Ok(()), Ok(()))
            );
        }
        assert_eq!(list.insert(extended(0x80)), Err(SourceMatchRefused::Full));
        assert_eq!((list.remove(short(3)), list.remove(extended(3))), (Ok(()), Ok(())));
        assert_eq!(list.remove(short(3)), Err(SourceMatchRefused::Absent));
        assert_eq!(list.remove(extended(3)), Err(SourceMatchRefused::Absent));
        assert_eq!((list.insert(short(0x100)), list.insert(extended(0x80))), (Ok(()), Ok(())));
        list.clear_short();
        assert!(list.short().is_empty() && list.extended().len() == SOURCE_MATCH_EXTENDED_MAX);
        list.clear_extended();
        assert!(list.extended().is_empty());
    }
}
