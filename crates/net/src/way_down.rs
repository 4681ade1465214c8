//! Whether what we send up is answered at all.
//!
//! The root may have lost the way to a node that still carries everybody's packets up: nobody behind it gets an
//! answer then, and each of them looks for a fault of its own. Such a node has the root confirm its route.

use lowgate_units::{Duration, Instant};

/// Packets sent up, nothing having come down since, that make a node doubt.
const UNANSWERED_MIN: u8 = 4;
/// And for how long nothing came.
const UNANSWERED_FOR: Duration = Duration::from_secs(8);
/// It doubts so often at most: there are packets that nobody answers.
const DOUBT_INTERVAL: Duration = Duration::from_secs(60);

/// What went up since something came down.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WayDown {
    unanswered: u8,
    /// The first of them.
    since: Instant,
    /// No doubt before.
    quiet_until: Instant,
}

impl WayDown {
    /// A packet went to the parent, ours or one that we forward. Whether it is time to ask the root.
    pub(crate) fn went_up(&mut self, now: Instant) -> bool {
        if self.unanswered == 0 {
            self.since = now;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        let doubts = self.unanswered >= UNANSWERED_MIN
            && now >= self.quiet_until.max(self.since + UNANSWERED_FOR);
        if doubts {
            self.quiet_until = now + DOUBT_INTERVAL;
        }
        doubts
    }

    /// A packet came by way of the root, for us or for somebody behind us.
    pub(crate) const fn came_down(&mut self) {
        self.unanswered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_doubted_when_nothing_comes_for_long() {
        let mut way = WayDown::default();
        let mut up = |second| way.went_up(Instant::from_secs(second));
        assert_eq!([0, 1, 2, 7].map(&mut up), [false; 4], "many, but not for long");
        assert!(up(8));
        assert!(!up(67), "once a minute");
        assert!(up(68));
        way.came_down();
        let mut up = |second| way.went_up(Instant::from_secs(second));
        assert_eq!([130, 140, 150].map(&mut up), [false; 3], "few since the last answer");
        assert!(up(160));
    }
}
