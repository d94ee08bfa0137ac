//! What an alert's annotations say: what is wrong, more about it, and the value that made it fire.

use super::finish::holds_word;
use super::marks::{cut, front, one_line};
use crate::model::{Alert, Labels};

/// Annotations that say what is wrong, the shortest first.
const SAYINGS: [&str; 3] = ["summary", "description", "message"];
/// Annotations that hold the value, in small letters and without what joins words.
const VALUES: [&str; 4] = ["value", "currentvalue", "当前值", "current"];
/// Longest value shown, in characters: it is a fact, not a text.
const VALUE_CHARS: usize = 60;
/// Expressions of a Grafana rule whose values are shown.
const GRAFANA_VALUES: usize = 3;

/// One line each; empty when there is none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Texts {
    pub(super) summary: String,
    /// When it says more than the summary.
    pub(super) description: String,
    /// When neither of them says it.
    pub(super) value: String,
}

impl Texts {
    /// Of an alert, each text with `max` characters at most.
    pub(super) fn of(alert: &Alert, max: usize) -> Self {
        let mut value = annotated(&alert.annotations);
        let mut texts: Vec<String> = Vec::new();
        for name in SAYINGS {
            let (text, listed) = alert.annotations.get(name).map(|text| split(text, max)).unwrap_or_default();
            if value.is_empty() {
                value = listed;
            }
            if !text.is_empty() && !texts.contains(&text) {
                texts.push(text);
            }
        }
        if texts.is_empty() {
            texts.extend(any(&alert.annotations, max));
        }
        if value.is_empty() {
            value = grafana(&alert.value_string);
        }
        let mut texts = texts.into_iter();
        let (summary, description) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        if says(&summary, &value) || says(&description, &value) {
            value.clear();
        }
        Self { summary, description, value }
    }
}

/// Whether all these alerts have the same first saying (`at` 0), and one at all; or the same second one (`at` 1), or none.
pub(super) fn same<'a>(mut alerts: impl Iterator<Item = &'a Alert>, at: usize) -> bool {
    let saying = |alert: &'a Alert| {
        let texts = SAYINGS.iter().filter_map(|name| alert.annotations.get(*name)).map(|text| text.trim());
        texts.filter(|text| !text.is_empty()).nth(at)
    };
    let Some(first) = alerts.next().map(saying) else { return true };
    (at > 0 || first.is_some()) && alerts.all(|alert| saying(alert) == first)
}

/// The value that an annotation of its own holds.
fn annotated(annotations: &Labels) -> String {
    let found = VALUES.iter().find_map(|wanted| annotations.iter().find(|(name, _)| bare(name) == *wanted));
    found.map(|(_, text)| tidy(text)).unwrap_or_default()
}

/// A name in small letters, without what joins words. Long ones are none of those looked for.
fn bare(name: &str) -> String {
    cut(name, 40).to_lowercase().replace(['_', '-', ' '], "")
}

/// The first annotation that is neither an address nor a value, for senders with names of their own.
fn any(annotations: &Labels, max: usize) -> Option<String> {
    let says = |name: &str, text: &str| {
        !name.starts_with("__") && !VALUES.contains(&bare(name).as_str()) && !front(text, 1_024).contains("://")
    };
    let mut own = annotations.iter().filter(|(name, text)| says(name, text));
    own.find_map(|(_, text)| Some(one_line(text, max)).filter(|text| !text.is_empty()))
}

/// A text without the lines that only list the value and the labels, as widespread rules end theirs
/// (`VALUE = 5`, `LABELS = map[...]`), and that value.
fn split(text: &str, max: usize) -> (String, String) {
    let whole = || one_line(text, max);
    // A text of several megabytes is not looked at beyond what can be shown.
    let head = front(text, max.saturating_mul(8).saturating_add(256));
    if !head.contains('\n') {
        return (whole(), String::new());
    }
    let (mut kept, mut value) = (Vec::new(), String::new());
    for line in head.lines() {
        match (listed(line, "labels"), listed(line, "value").or_else(|| listed(line, "当前值"))) {
            (Some(_), _) => {}
            (None, Some(found)) if value.is_empty() => value = tidy(found),
            _ => kept.push(line),
        }
    }
    let text = one_line(&kept.join("\n"), max);
    if text.is_empty() { (whole(), String::new()) } else { (text, value) }
}

/// What follows `NAME =` or `NAME:` on a line of its own.
fn listed<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim();
    let (before, after) = line.split_once(['=', ':', '：'])?;
    (before.trim().to_lowercase() == name).then(|| after.trim())
}

/// `[ var='A' labels={...} value=93.2 ], ...` as `93.2`, or `A 93.2, B 80` when there are several.
fn grafana(text: &str) -> String {
    let text = front(text, 4_096);
    let mut found = Vec::new();
    for part in text.split("var='").skip(1) {
        let Some((name, rest)) = part.split_once('\'') else { continue };
        let value = rest.rsplit_once("value=").map_or("", |(_, value)| value);
        let value = value.split([' ', ']']).next().unwrap_or_default();
        if !value.is_empty() && found.len() < GRAFANA_VALUES {
            found.push((one_line(name, 20), tidy(value)));
        }
    }
    match found.as_slice() {
        [] => tidy(text),
        [(_, value)] => value.clone(),
        several => {
            let shown: Vec<String> = several.iter().map(|(name, value)| format!("{name} {value}")).collect();
            cut(&shown.join(", "), VALUE_CHARS)
        }
    }
}

/// A number as a person would say it, anything else as it is.
fn tidy(text: &str) -> String {
    let text = one_line(text, VALUE_CHARS);
    let digits = text.chars().filter(char::is_ascii_digit).count();
    match text.parse::<f64>() {
        // "007" and numbers of a few digits were written by somebody.
        Ok(number) if number.is_finite() && digits > 5 && number.abs() < 1e15 => rounded(number),
        _ => text,
    }
}

/// Four digits that matter, and all of a whole part.
fn rounded(number: f64) -> String {
    let size = number.abs();
    let places = if number.fract() == 0.0 || size >= 1_000.0 {
        0
    } else if size >= 100.0 {
        1
    } else if size >= 1.0 {
        2
    } else {
        // 0.00012345 as 0.0001235.
        (1..=12)
            .find(|places| size * 10_f64.powi(*places) >= 1.0)
            .map_or(0, |places| places.unsigned_abs() as usize + 3)
    };
    let text = format!("{number:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Whether a text says the value already, maybe rounded or in percent.
fn says(text: &str, value: &str) -> bool {
    if value.is_empty() || holds_word(text, value) {
        return true;
    }
    let Ok(value) = value.trim_end_matches(['%', 's']).parse::<f64>() else { return false };
    numbers(text).any(|(number, percent)| {
        let places = number.split_once('.').map_or(0, |(_, digits)| digits.len());
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        let is = |value: f64| format!("{value:.places$}") == number;
        // "5" may be five minutes.
        digits > 1 && places < 10 && (is(value) || (percent && is(value * 100.0)))
    })
}

/// Numbers in a text, and whether a percent sign follows.
fn numbers(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.find(|c: char| c.is_ascii_digit())?;
        let tail = rest.get(from..)?;
        let end = tail.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tail.len());
        let (number, behind) = tail.split_at(end);
        rest = behind;
        Some((number.trim_end_matches('.'), behind.trim_start().starts_with('%')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(annotations: &[(&str, &str)], value_string: &str) -> (String, String, String) {
        let mut alert = crate::render::tests::lag("db", false);
        alert.annotations = crate::render::tests::labels(annotations);
        alert.value_string = value_string.to_owned();
        let Texts { summary, description, value } = Texts::of(&alert, 100);
        (summary, description, value)
    }

    #[test]
    fn what_annotations_say() {
        let host = "Memory is filling up (< 10% left)\n  VALUE = 5.273645210987\n  LABELS = map[instance:n1 job:node]";
        for (annotations, value_string, expected) in [
            (
                &[("summary", "Out of memory"), ("description", host)][..],
                "",
                ["Out of memory", "Memory is filling up (< 10% left)", "5.27"],
            ),
            (&[("summary", "a"), ("value", "312")], "", ["a", "", "312"]),
            (&[("summary", "lag 312s, limit 60s"), ("value", "312")], "", ["lag 312s, limit 60s", "", ""]),
            (&[("summary", "CPU 93%"), ("current_value", "0.9312345")], "", ["CPU 93%", "", ""]),
            (&[("summary", "CPU 93.12%"), ("VALUE", "93.1234567")], "", ["CPU 93.12%", "", ""]),
            (&[("summary", "down for 5 minutes"), ("Value", "5.2")], "", ["down for 5 minutes", "", "5.2"]),
            (&[("summary", "a"), ("message", "a")], "", ["a", "", ""]),
            (&[("description", "value: 5")], "", ["value: 5", "", ""]),
            (&[("description", "VALUE = 5\nLABELS = x")], "", ["VALUE = 5 LABELS = x", "", ""]),
            (&[("说明", "磁盘满"), ("runbook_url", "https://x.example")], "", ["磁盘满", "", ""]),
            (&[("value", "7"), ("dashboard", "https://x.example")], "", ["", "", "7"]),
            (&[], "[ var='A' labels={instance=web-01} value=93.20000001 ]", ["", "", "93.2"]),
            (&[], "[ var='A' labels={} value=1 ], [ var='B' labels={} value=123456.789 ]", ["", "", "A 1, B 123457"]),
            (&[], "something else", ["", "", "something else"]),
        ] {
            let (summary, description, value) = texts(annotations, value_string);
            assert_eq!([summary.as_str(), &description, &value], expected, "{annotations:?} {value_string}");
        }
    }

    #[test]
    fn numbers_as_people_say_them() {
        for (number, shown) in [
            ("93.24761234", "93.25"),
            ("1234567.891", "1234568"),
            ("123.456789", "123.5"),
            ("0.000123456", "0.0001235"),
            ("9.3241e+01", "93.24"),
            ("-0.51234567", "-0.5123"),
            ("10.1.2.3", "10.1.2.3"),
            ("0012", "0012"),
            ("1e300", "1e300"),
            ("NaN", "NaN"),
            ("12.50", "12.50"),
            ("3.000000", "3"),
        ] {
            assert_eq!(tidy(number), shown);
        }
    }
}
