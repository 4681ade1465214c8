//! The neighbours that registered their address through us as their 6LR, RFC 8505 section 5.
//! **Invariant:** an entry counts only when the root confirmed it.

use crate::event::RegistrationStatus;
use crate::lollipop;
use crate::wire::nd::Earo;
use core::cmp::Ordering;
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, List};

/// Neighbours that may be registered through one router; the next is sent elsewhere.
pub const REGISTRATIONS_MAX: usize = 64;

/// How long the root may take to confirm.
const CONFIRMATION_MAX: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
struct Entry {
    eui64: Eui64,
    addr: Ipv6Addr,
    tid: u8,
    confirmed: bool,
    until: Instant,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Registrations {
    entries: List<Entry, REGISTRATIONS_MAX>,
}

impl Registrations {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Somebody asks; `Ok` means to ask the root.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        addr: Ipv6Addr,
        earo: &Earo,
    ) -> Result<(), RegistrationStatus> {
        self.entries.retain(|entry| now < entry.until);
        let until = now + CONFIRMATION_MAX;
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.eui64 == earo.rovr) {
            // RFC 8505 section 5.2: an older transaction is answered "moved".
            if entry.addr == addr && lollipop::compare(earo.tid, entry.tid) == Some(Ordering::Less)
            {
                return Err(RegistrationStatus::Moved);
            }
            if !entry.confirmed || entry.addr != addr {
                entry.until = until;
                entry.confirmed = false;
            }
            entry.tid = earo.tid;
            entry.addr = addr;
            return Ok(());
        }
        let fresh = Entry { eui64: earo.rovr, addr, tid: earo.tid, confirmed: false, until };
        self.entries.push(fresh).map_err(|_| RegistrationStatus::NeighborCacheFull)
    }

    /// The root answered. False if nobody asked that.
    pub(crate) fn answer(&mut self, now: Instant, addr: Ipv6Addr, earo: &Earo) -> bool {
        let asked =
            |entry: &Entry| entry.eui64 == earo.rovr && entry.addr == addr && entry.tid == earo.tid;
        let Some(i) = self.entries.iter().position(asked) else { return false };
        if earo.status == RegistrationStatus::Success.raw() && earo.lifetime > 0 {
            let entry = &mut self.entries[i];
            entry.confirmed = true;
            entry.until = now + Duration::from_secs(u64::from(earo.lifetime) * 60);
        } else {
            self.entries.swap_remove(i);
        }
        true
    }

    /// How many neighbours are registered through us.
    pub(crate) fn len(&self, now: Instant) -> usize {
        self.entries.iter().filter(|entry| entry.confirmed && now < entry.until).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDR: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 7);

    fn earo(n: u8, tid: u8, status: u8) -> Earo {
        Earo { status, tid, lifetime: 60, rovr: Eui64([2, 0, 0, 0, 0, 0, 0, n]) }
    }

    #[test]
    fn only_what_was_asked_is_confirmed() {
        let (mut table, now) = (Registrations::default(), Instant::ZERO);
        assert!(!table.answer(now, ADDR, &earo(1, 240, 0)));
        assert_eq!(table.ask(now, ADDR, &earo(1, 240, 0)), Ok(()));
        assert!(!table.answer(now, ADDR, &earo(1, 239, 0)));
        assert_eq!(table.len(now), 0);
        assert!(table.answer(now, ADDR, &earo(1, 240, 0)));
        assert_eq!(table.len(now), 1);
        assert_eq!(table.len(now + Duration::from_secs(3601)), 0);
    }

    #[test]
    fn a_refusal_leaves_nothing_and_old_news_is_moved() {
        let (mut table, now) = (Registrations::default(), Instant::ZERO);
        assert_eq!(table.ask(now, ADDR, &earo(1, 241, 0)), Ok(()));
        assert_eq!(table.ask(now, ADDR, &earo(1, 240, 0)), Err(RegistrationStatus::Moved));
        assert!(table.answer(now, ADDR, &earo(1, 241, 10)));
        assert_eq!(table.len(now), 0);
    }

    #[test]
    fn a_full_table_says_so_until_the_unconfirmed_expire() {
        let (mut table, now) = (Registrations::default(), Instant::ZERO);
        for n in 0..REGISTRATIONS_MAX as u8 {
            assert_eq!(table.ask(now, ADDR, &earo(n, 240, 0)), Ok(()));
        }
        let late = earo(200, 240, 0);
        assert_eq!(table.ask(now, ADDR, &late), Err(RegistrationStatus::NeighborCacheFull));
        assert_eq!(table.ask(now + CONFIRMATION_MAX, ADDR, &late), Ok(()));
    }
}
