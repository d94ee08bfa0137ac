//! Numbers as people read them, in the forms of Prometheus' template functions.
//! Source: <https://prometheus.io/docs/prometheus/latest/configuration/template_reference/#numbers>.

use handlebars::{Handlebars, Helper};

use super::numbers::parsed;
use super::{Answer, function, value};

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const BINARY: [&str; 8] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

pub(super) fn register(registry: &mut Handlebars<'_>) {
    registry.register_helper("humanize", function(|h| shown(h, decimal)));
    registry.register_helper("humanizeBytes", function(|h| shown(h, bytes)));
    registry.register_helper("humanizePercent", function(|h| shown(h, |x| format!("{}%", digits(x * 100.0)))));
    registry.register_helper("humanizeDuration", function(|h| shown(h, duration)));
}

/// What is no number stays what it is: an annotation may say "n/a".
fn shown(h: &Helper<'_>, how: impl Fn(f64) -> String) -> Answer {
    Ok(parsed(value(h, 0)).map_or_else(|| value(h, 0).clone(), |number| how(number).into()))
}

/// Four significant digits, as Go's `%.4g`.
fn digits(number: f64) -> String {
    let text = format!("{number:.3e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let bare = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    match exponent {
        -4..=3 => bare(&format!("{number:.*}", usize::try_from(3 - exponent).unwrap_or_default())),
        _ => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", bare(mantissa), exponent.abs())
        }
    }
}

fn decimal(mut number: f64) -> String {
    let mut prefix = "";
    if number.abs() >= 1.0 {
        for next in LARGE {
            if number.abs() < 1_000.0 {
                break;
            }
            prefix = next;
            number /= 1_000.0;
        }
    } else if number != 0.0 {
        for next in SMALL {
            if number.abs() >= 1.0 {
                break;
            }
            prefix = next;
            number *= 1_000.0;
        }
    }
    format!("{}{prefix}", digits(number))
}

fn bytes(mut number: f64) -> String {
    let mut prefix = "";
    for next in BINARY {
        if number.abs() < 1_024.0 {
            break;
        }
        prefix = next;
        number /= 1_024.0;
    }
    format!("{}{prefix}B", digits(number))
}

/// Of seconds: `1d 2h 3m 4s`, `2m 5s`, `2.008s`, `1.5ms`.
fn duration(number: f64) -> String {
    if number.abs() >= 1.0 {
        let sign = if number < 0.0 { "-" } else { "" };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
        let whole = number.abs() as u64;
        let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
        return match (days, hours, minutes) {
            (1.., ..) => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
            (0, 1.., _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
            (0, 0, 1..) => format!("{sign}{minutes}m {seconds}s"),
            (0, 0, 0) => format!("{}s", digits(number)),
        };
    }
    let mut number = number;
    let mut prefix = "";
    if number != 0.0 {
        for next in SMALL {
            if number.abs() >= 1.0 {
                break;
            }
            prefix = next;
            number *= 1_000.0;
        }
    }
    format!("{}{prefix}s", digits(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values of Prometheus' own tests, with our units for bytes.
    #[test]
    fn forms() {
        for (number, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (1_234_567.0, "1.235M"),
            (0.12, "120m"),
            (1_500.0, "1.5k"),
            (-1_500.0, "-1.5k"),
            (999.96, "1000"),
            (1e30, "1e+06Y"),
            (1e-30, "1e-06y"),
        ] {
            assert_eq!(decimal(number), expected, "{number}");
        }
        for (number, expected) in
            [(0.0, "0B"), (1_023.0, "1023B"), (1_048_576.0, "1MiB"), (1_610_612_736.0, "1.5GiB"), (-2_048.0, "-2KiB")]
        {
            assert_eq!(bytes(number), expected, "{number}");
        }
        for (number, expected) in [
            (0.0, "0s"),
            (1.0, "1s"),
            (60.0, "1m 0s"),
            (3_600.0, "1h 0m 0s"),
            (86_400.0, "1d 0h 0m 0s"),
            (93_784.0, "1d 2h 3m 4s"),
            (-93_784.0, "-1d 2h 3m 4s"),
            (2.008, "2.008s"),
            (0.0015, "1.5ms"),
            (-1.0, "-1s"),
            (899.99, "14m 59s"),
        ] {
            assert_eq!(duration(number), expected, "{number}");
        }
        for number in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324] {
            for how in [decimal, bytes, duration] {
                assert!(how(number).len() < 340, "{number}");
            }
        }
    }
}
