//! Durations, sizes and names as people write them.

use std::time::Duration;

/// Units of a duration, longest first, in milliseconds; Prometheus' (a year has 365 days).
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// What is wrong, and what would be right.
pub(super) type Wrong = (String, String);

/// Reads a duration as Prometheus does: whole numbers with units, longest first (`90s`, `1h30m`, `2w`); `0` alone.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let example = || "write it like 30s, 5m, 1h30m, 1d or 2w".to_owned();
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let hint = if text.len() <= 9 { format!("{text}s are seconds, {text}m minutes") } else { example() };
        return Err(("a duration needs a unit".to_owned(), hint));
    }
    if text.starts_with('-') {
        return Err(("a duration can not be negative".to_owned(), example()));
    }
    if text.contains('.') {
        return Err(("a duration has no fractions".to_owned(), "1.5h is 1h30m".to_owned()));
    }
    let (mut rest, mut units, mut total) = (text, UNITS.as_slice(), 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let Some(at) = units.iter().position(|(name, _)| *name == unit) else {
            let known = UNITS.iter().any(|(name, _)| *name == unit) && digits > 0;
            let what =
                if known { "the units of a duration go from long to short, each once" } else { "not a duration" };
            return Err((what.to_owned(), example()));
        };
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(units[at].1));
        let Some(sum) = part.and_then(|part| total.checked_add(part)) else {
            let what = if digits == 0 { "not a duration" } else { "the duration is too long" };
            return Err((what.to_owned(), example()));
        };
        total = sum;
        units = &units[at + 1..];
        rest = &rest[digits + letters..];
    }
    if text.is_empty() { Err(("not a duration".to_owned(), example())) } else { Ok(Duration::from_millis(total)) }
}

/// A duration in the form that [`duration`] reads.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, length) in UNITS {
        if rest >= length {
            text.push_str(&format!("{}{name}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a size in bytes: a whole number with a unit. As in Prometheus' flags 1KB = 1KiB = 1024B, and so on.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let example = || "write it like 512KB, 64MB or 4GB (1MB = 1MiB = 1024 x 1024 bytes)".to_owned();
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "B" => 0,
        "KB" | "KiB" => 10,
        "MB" | "MiB" => 20,
        "GB" | "GiB" => 30,
        "TB" | "TiB" => 40,
        "" if digits > 0 => return Err(("a size needs a unit".to_owned(), example())),
        _ => return Err(("not a size".to_owned(), example())),
    };
    if digits == 0 {
        return Err(("not a size".to_owned(), example()));
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| ("the size is too big".to_owned(), example()))
}

/// Whether bots and contact groups may be called that: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most 100 characters.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    text.len() <= 100 && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("1ms", 1),
            ("30s", 30_000),
            ("5m", 300_000),
            ("90m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("2w", 14 * 86_400_000),
            ("1y", 365 * 86_400_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_gets_a_reason() {
        for (text, reason) in [
            ("", "not a duration"),
            ("30", "a duration needs a unit"),
            ("-5s", "a duration can not be negative"),
            ("1.5h", "a duration has no fractions"),
            ("5 m", "not a duration"),
            ("m", "not a duration"),
            ("5x", "not a duration"),
            ("5M", "not a duration"),
            ("1m1h", "the units of a duration go from long to short, each once"),
            ("1m1m", "the units of a duration go from long to short, each once"),
            ("99999999999999999999s", "the duration is too long"),
            ("999999999999999y", "the duration is too long"),
            ("５m", "not a duration"),
        ] {
            assert_eq!(duration(text).unwrap_err().0, reason, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0B", 0),
            ("5B", 5),
            ("1KB", 1024),
            ("1KiB", 1024),
            ("64MB", 67_108_864),
            ("64 MiB", 67_108_864),
            ("4GB", 4_294_967_296),
            ("2TB", 2_199_023_255_552),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for (text, reason) in [
            ("64", "a size needs a unit"),
            ("64mb", "not a size"),
            ("MB", "not a size"),
            ("1.5GB", "not a size"),
            ("-1MB", "not a size"),
            ("", "not a size"),
            ("99999999999999TB", "the size is too big"),
        ] {
            assert_eq!(size(text).unwrap_err().0, reason, "{text}");
        }
    }

    #[test]
    fn names_have_the_contract_s_form() {
        for good in ["a", "0", "ops-dingtalk", "A.b_c-9"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "运维", "a\n", &"a".repeat(101)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_back(millis in 0u64..100_000_000_000) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(length)).unwrap(), length);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = duration(&text);
            let _ = size(&text);
        }
    }
}
