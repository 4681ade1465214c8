//! Unsecured frames that came twice because our acknowledgement was lost. They carry no counter,
//! only the 8-bit sequence number.
//!
//! **Invariant:** a filter for accidents. It proves nothing: anybody can write any number.

use lowgate_units::{Duration, Eui64, Instant};

/// Senders remembered: those joining through us at the same time.
pub const DUPLICATE_SENDERS_MAX: usize = 8;
/// A sender's last number stays known this long: all its retries take less.
pub const DUPLICATE_MEMORY: Duration = Duration::from_millis(500);

/// The last sequence number of each recent sender.
pub(crate) struct Duplicates {
    recent: heapless::Vec<Recent, DUPLICATE_SENDERS_MAX>,
}

struct Recent {
    src: Eui64,
    sequence: u8,
    until: Instant,
}

impl Duplicates {
    pub(crate) const fn new() -> Self {
        Self { recent: heapless::Vec::new() }
    }

    /// Whether this is the frame we had last from `src`; remembers it.
    pub(crate) fn repeats(&mut self, now: Instant, src: Eui64, sequence: u8) -> bool {
        let until = now + DUPLICATE_MEMORY;
        let news = Recent { src, sequence, until };
        if let Some(recent) = self.recent.iter_mut().find(|recent| recent.src == src) {
            let repeats = recent.sequence == sequence && now < recent.until;
            *recent = news;
            return repeats;
        }
        if let Err(news) = self.recent.push(news)
            && let Some(oldest) = self.recent.iter_mut().min_by_key(|recent| recent.until)
        {
            *oldest = news;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_again_and_soon() {
        let mut duplicates = Duplicates::new();
        let (a, b) = (Eui64([1; 8]), Eui64([2; 8]));
        let start = Instant::from_secs(1);
        assert!(!duplicates.repeats(start, a, 7));
        assert!(duplicates.repeats(start, a, 7));
        assert!(!duplicates.repeats(start, b, 7));
        assert!(!duplicates.repeats(start, a, 8));
        assert!(!duplicates.repeats(start + DUPLICATE_MEMORY, a, 8));
    }

    #[test]
    fn the_oldest_sender_makes_room() {
        let mut duplicates = Duplicates::new();
        for number in 0..=DUPLICATE_SENDERS_MAX as u8 {
            let now = Instant::from_millis(number.into());
            assert!(!duplicates.repeats(now, Eui64([number; 8]), 1));
        }
        let now = Instant::from_millis(20);
        assert!(duplicates.repeats(now, Eui64([1; 8]), 1));
        assert!(!duplicates.repeats(now, Eui64([0; 8]), 1));
    }
}
