//! Webhook bodies that people wrote or kept: read, and every mistake with its place.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Failure;
use crate::model::{Mistake, Notification, Place};

/// The name of standard input.
pub(super) const STDIN: &str = "-";
/// The most that is read, in bytes: what a server takes by default.
const MOST: u64 = 64 << 20;

/// Reads a body from a file, or from standard input for `-`.
///
/// # Errors
/// Wrong usage: it can not be read, or is no webhook body; then with line and column.
pub(super) fn read(file: &Path) -> Result<Notification, Failure> {
    let (name, bytes) = bytes(file)?;
    of_bytes(&name, &bytes)
}

/// As [`read`], of what was read before.
///
/// # Errors
/// Wrong usage: it is no webhook body.
pub(super) fn of_bytes(name: &str, bytes: &[u8]) -> Result<Notification, Failure> {
    parse(name, bytes).map_err(|mistake| Failure { code: 2, text: format!("{mistake}\n") })
}

/// The content of a file or of standard input, and what to call it.
///
/// # Errors
/// Wrong usage: it can not be read.
pub(super) fn bytes(file: &Path) -> Result<(String, Vec<u8>), Failure> {
    let is_stdin = file.as_os_str() == STDIN;
    let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let mut bytes = Vec::new();
    let read = if is_stdin {
        std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(MOST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage(format!("{name}: it is over {} MiB", MOST >> 20)));
    }
    Ok((name, bytes))
}

/// Reads a body; `name` is what its mistake calls it.
///
/// # Errors
/// What is wrong, with line and column where they are known.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Notification, Mistake> {
    Notification::parse(bytes).map_err(|error| {
        let (line, column) = place(bytes, &error.at).unwrap_or((0, 0));
        let message = if line == 0 { error.message.as_str() } else { without_place(&error.message) };
        let what = if error.at.is_empty() { message.to_owned() } else { format!("{}: {message}", error.at) };
        Mistake {
            place: Place { file: name.to_owned(), line, column },
            what,
            line: String::new(),
            hint: String::new(),
            warning: false,
        }
    })
}

/// The JSON reader's words without its own "at line 3 column 7".
fn without_place(message: &str) -> &str {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parts = || {
        let (rest, column) = message.rsplit_once(" column ")?;
        let (rest, line) = rest.rsplit_once(" at line ")?;
        (number(line) && number(column)).then_some(rest)
    };
    parts().unwrap_or(message)
}

/// Line and column, from 1, of what stands at a path like `alerts[3].startsAt`; for an empty path of where the text stops
/// being JSON.
fn place(bytes: &[u8], path: &str) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(bytes).ok()?;
    if path.is_empty() {
        let error = serde_json::from_str::<IgnoredAny>(text).err()?;
        return Some((error.line(), error.column().max(1)));
    }
    let steps: Vec<&str> = path.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
    let found = Seek(&steps).deserialize(&mut serde_json::Deserializer::from_str(text)).err()?;
    found.to_string().starts_with(HERE).then_some(())?;
    // It stopped before the value: after a colon, a comma or a bracket.
    let line = text.split('\n').nth(found.line().checked_sub(1)?)?;
    let before = line.get(..found.column()).unwrap_or(line);
    let blank = line.get(found.column()..).unwrap_or_default();
    let blank = blank.len() - blank.trim_start_matches(' ').len();
    Some((found.line(), before.chars().count() + blank + 1))
}

/// The error of [`Seek`] where its path ends.
const HERE: &str = "the end of the path";

/// Goes down a path through JSON, and fails where it ends.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.is_empty() { Err(D::Error::custom(HERE)) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value on the way")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Ok(()) };
        while let Some(key) = map.next_key::<String>()? {
            if key == *step {
                map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Ok(()) };
        let wanted: usize = step.parse().map_err(A::Error::custom)?;
        for _ in 0..wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(Seek(rest))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_have_places() {
        let cases = [
            (
                "{\"alerts\": [\n  {\"labels\": {},\n   \"startsAt\": \"soon\"}]}",
                3,
                16,
                "alerts[0].startsAt: \"soon\" is not",
            ),
            ("{\"alerts\": [{}, {\"status\": \"odd\"}]}", 1, 28, "alerts[1].status: "),
            ("{\"receiver\": {}}", 1, 14, "receiver: "),
            ("{\"告警\": 1, \"receiver\": []}", 1, 23, "receiver: "),
            ("{\"alerts\": [],\n oops}", 2, 2, "not valid JSON"),
            ("{\"alerts\": []}", 1, 12, "alerts: the body holds no alerts"),
            ("{}", 0, 0, "alerts: the body has no `alerts`"),
            ("[1]", 0, 0, "the body has no `alerts`"),
        ];
        for (text, line, column, what) in cases {
            let mistake = parse("body.json", text.as_bytes()).unwrap_err();
            assert!(mistake.what.contains(what) && !mistake.what.contains("column"), "{text}: {mistake}");
            assert_eq!((mistake.place.line, mistake.place.column), (line, column), "{text}: {mistake}");
        }
        assert_eq!(parse("body.json", b"\xff").unwrap_err().place.line, 0);
    }

    proptest! {
        /// No body and no path is too odd.
        #[test]
        fn any_text_and_any_path(text in ".{0,80}", path in "[a-z0-9.\\[\\]]{0,20}") {
            let _ = place(text.as_bytes(), &path);
            let _ = parse("x", text.as_bytes());
        }
    }
}
