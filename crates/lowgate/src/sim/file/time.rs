//! Times as people write them: `90s`, `2m`, `1.5h`, `500ms`, or a number of seconds.
//!
//! **Invariant:** reading is exact to the nanosecond, and what [`emit`] writes reads back as the same time.

use lowgate_units::Duration;

/// What a time looks like, for whoever wrote something else.
pub(super) const ALLOWED: &str =
    "a time as \"90s\", \"2m\", \"1h\", \"500ms\", \"20us\" or seconds";

/// The longest time: a year.
const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// From the largest to the smallest, in nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The time; `None` if it is none, or longer than a year.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" => "s",
        unit => unit,
    };
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let (whole, fraction): (u128, u128) = (whole.parse().ok()?, fraction.parse().ok()?);
    let fraction = fraction.checked_mul(*unit)?;
    let nanos = whole.checked_mul(*unit)?.checked_add(fraction / scale)?;
    let nanos = u64::try_from(nanos).ok().filter(|_| fraction % scale == 0)?;
    Some(Duration::from_nanos(nanos)).filter(|time| *time <= TIME_MAX)
}

/// In the largest unit in which it is a whole number, but in seconds below two minutes.
pub(super) fn emit(time: Duration) -> String {
    let nanos = time.as_nanos();
    let fits = |(_, unit): &&(&str, u128)| {
        nanos.is_multiple_of(*unit) && (*unit <= UNITS[2].1 || nanos >= 2 * unit)
    };
    let (name, unit) = UNITS.iter().find(fits).expect("everything is a number of nanoseconds");
    format!("{}{name}", nanos / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        for (text, nanos) in [
            ("0", 0),
            ("90s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("500ms", 500_000_000),
            ("0.1", 100_000_000),
            ("2 m", 120_000_000_000),
            ("17us", 17_000),
            ("0.000000001", 1),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "s", "-1s", "1.s", ".5s", "1.2.3s", "5 min", "1e3", "1d", "0.5ns", "9999h"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        let endless = "9".repeat(60);
        assert_eq!((parse(&endless), parse(&format!("0.{endless}"))), (None, None));
    }

    #[test]
    fn emit_of_parse_is_identity() {
        for text in ["0h", "90s", "2m", "60s", "3h", "1500ms", "20us", "1ns", "61s"] {
            let time = parse(text).expect("a time");
            assert_eq!(parse(&emit(time)), Some(time));
            if text != "0h" {
                assert_eq!(emit(time), text);
            }
        }
        assert_eq!(emit(Duration::ZERO), "0s");
    }
}
