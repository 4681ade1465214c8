//! Sequence counters of RFC 6550 section 7.2: they start on a stick (240 to 255), which shows a
//! restart, and then go round (0 to 127).

use core::cmp::Ordering;

/// Where a counter starts.
pub(crate) const START: u8 = 240;
const SEQUENCE_WINDOW: u8 = 16;

/// The counter after `counter` (RFC 6550 section 7.2), a DODAG's version for example.
pub const fn next(counter: u8) -> u8 {
    match counter {
        127 | 255 => 0,
        other => other + 1,
    }
}

/// `Greater` if `a` is newer. Counters too far apart to compare are "desynchronised": `None`.
pub(crate) fn compare(a: u8, b: u8) -> Option<Ordering> {
    match (a >= 128, b >= 128) {
        // RFC 6550 section 7.2 (4): one on the stick, the other on the circle.
        (true, false) => {
            let wrapped = 256 + u16::from(b) - u16::from(a);
            let b_is_newer = wrapped <= u16::from(SEQUENCE_WINDOW);
            Some(if b_is_newer { Ordering::Less } else { Ordering::Greater })
        }
        (false, true) => compare(b, a).map(Ordering::reverse),
        (true, true) => (a.abs_diff(b) <= SEQUENCE_WINDOW).then(|| a.cmp(&b)),
        (false, false) => {
            let ahead = a.wrapping_sub(b) & 0x7f;
            match ahead {
                0 => Some(Ordering::Equal),
                1..=SEQUENCE_WINDOW => Some(Ordering::Greater),
                _ if 128 - ahead <= SEQUENCE_WINDOW => Some(Ordering::Less),
                _ => None,
            }
        }
    }
}

/// `candidate` replaces `held`: newer, or too far off to tell (RFC 6550 section 7.2: then the
/// sender has most likely lost its counter).
#[cfg(any(feature = "root", test))]
pub(crate) fn replaces(candidate: u8, held: u8) -> bool {
    !matches!(compare(candidate, held), Some(Ordering::Less | Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(a: u8, b: u8, expected: Option<Ordering>) {
        assert_eq!(compare(a, b), expected);
        assert_eq!(compare(b, a), expected.map(Ordering::reverse));
    }

    #[test]
    fn comparisons_of_section_7_2() {
        check(240, 5, Some(Ordering::Greater)); // 256 + 5 - 240 = 21 > 16
        check(250, 5, Some(Ordering::Less)); // 256 + 5 - 250 = 11
        check(240, 240, Some(Ordering::Equal));
        check(241, 240, Some(Ordering::Greater));
        check(200, 240, None);
        check(3, 1, Some(Ordering::Greater));
        check(1, 127, Some(Ordering::Greater));
        check(0, 64, None);
        assert!(replaces(0, 64) && !replaces(1, 1));
    }

    #[test]
    fn the_circle_is_never_left() {
        let mut counter = START;
        for step in 0..400 {
            let after = next(counter);
            assert_eq!(compare(after, counter), Some(Ordering::Greater), "step {step}");
            counter = after;
        }
        assert!(counter < 128);
    }
}
