//! The button: a short press, and the long one that resets to what the factory delivered.
//!
//! **Invariant:** a press is one of the two, never both.

use lowgate_units::{Duration, Instant};

/// Held for so long, it is a long press; what follows does not wait for its end.
pub const LONG_PRESS: Duration = Duration::from_secs(5);
/// A contact that opens earlier has bounced.
const BOUNCE: Duration = Duration::from_millis(20);

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    Short,
    Long,
}

/// One button.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Button {
    since: Option<Instant>,
}

impl Button {
    pub(crate) fn handle(&mut self, now: Instant, is_pressed: bool) -> Option<Press> {
        if is_pressed {
            self.since.get_or_insert(now);
            return None;
        }
        self.since.take().filter(|since| now >= *since + BOUNCE).map(|_| Press::Short)
    }

    /// A press has become a long one.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Press> {
        self.since.take_if(|since| now >= *since + LONG_PRESS).map(|_| Press::Long)
    }

    pub(crate) fn until(&self) -> Instant {
        self.since.map_or(Instant::FAR_FUTURE, |since| since + LONG_PRESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant::from_secs(10);

    #[test]
    fn short_and_bounced() {
        let mut button = Button::default();
        assert_eq!(button.handle(AT, true), None);
        assert_eq!(button.handle(AT + Duration::from_millis(5), false), None);
        assert_eq!(button.handle(AT, true), None);
        assert_eq!(button.poll(AT + Duration::from_secs(4)), None);
        assert_eq!(button.handle(AT + Duration::from_secs(4), false), Some(Press::Short));
        assert_eq!(button.handle(AT + Duration::from_secs(4), false), None);
    }

    #[test]
    fn long_once() {
        let mut button = Button::default();
        button.handle(AT, true);
        button.handle(AT + Duration::from_secs(1), true);
        assert_eq!(button.until(), AT + LONG_PRESS);
        assert_eq!(button.poll(AT + LONG_PRESS), Some(Press::Long));
        assert_eq!(button.poll(AT + LONG_PRESS), None);
        assert_eq!(button.handle(AT + LONG_PRESS + LONG_PRESS, false), None);
    }
}
