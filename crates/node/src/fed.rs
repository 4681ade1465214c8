//! A machine, and when it wants to be polled again: at once after anything that may have changed it.

use core::ops::{Deref, DerefMut};
use lowgate_units::Instant;

/// A machine that is polled when it was fed or when its time has come, and is let alone between.
pub(crate) struct Fed<M> {
    machine: M,
    until: Instant,
}

impl<M> Fed<M> {
    pub(crate) const fn new(machine: M) -> Self {
        Self { machine, until: Instant::ZERO }
    }

    /// Whether polling it may give anything but a wait.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// It was polled and said so.
    pub(crate) const fn waits(&mut self, until: Instant) {
        self.until = until;
    }

    /// When to poll it.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }
}

impl<M> Deref for Fed<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M> DerefMut for Fed<M> {
    fn deref_mut(&mut self) -> &mut M {
        self.until = Instant::ZERO;
        &mut self.machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_change_it_has_it_polled() {
        let (early, late) = (Instant::from_secs(1), Instant::from_secs(2));
        let mut fed = Fed::new(7);
        assert!(fed.is_due(early));
        fed.waits(late);
        assert_eq!(*fed, 7);
        assert!(!fed.is_due(early) && fed.is_due(late));
        *fed = 8;
        assert!(fed.is_due(early));
        assert_eq!((*fed, fed.until()), (8, Instant::ZERO));
    }
}
