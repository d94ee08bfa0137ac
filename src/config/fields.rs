//! Reading a map key by key. Every reader notes what is wrong and answers `None`, so that reading goes on.

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use super::node::{Data, Entry, Node};
use super::report::{At, Pos, Report, quoted, quoted_key};
use super::values::{self, Wrong};

/// The known keys of one map.
pub(super) struct Fields<'n> {
    pub(super) pos: Pos,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    /// Opens a map that may have these keys; notes every other key. `what` is a word with its article ("a bot").
    pub(super) fn open(node: &'n Node, what: &str, known: &[&str], report: &mut Report) -> Option<Self> {
        let Data::Map(all) = &node.data else {
            report.mistake(node.pos, format!("{what} must be a map, not {}", node.noun()), keys_hint(known));
            return None;
        };
        let mut entries = Vec::new();
        for entry in all {
            if known.contains(&entry.key.as_str()) {
                entry.known.set(true);
                entries.push(entry);
            } else {
                let hint = report.nearest(&entry.key, known.iter().copied(), || keys_hint(known));
                report.mistake(entry.pos, format!("unknown key {} in {what}", quoted_key(&entry.key)), hint);
            }
        }
        Some(Self { pos: node.pos, entries })
    }

    /// Where the key stands; where the map begins when it is not there.
    pub(super) fn key_pos(&self, key: &str) -> Pos {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.pos, |entry| entry.pos)
    }

    /// Whether the key is there, even without a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The value, whatever it is. A list or map that was left empty counts as not given.
    pub(super) fn node(&self, key: &str) -> Option<&'n Rc<Node>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    /// A single value that is not a secret. An empty one is a mistake.
    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<At<String>> {
        let found = self.entries.iter().find(|entry| entry.key == key)?;
        text(&found.value, &format!("`{key}`"), report)
    }

    /// Like [`Fields::text`], but quotes with nothing between them count as not given.
    pub(super) fn text_or_empty(&self, key: &str, report: &mut Report) -> Option<At<String>> {
        let found = self.entries.iter().find(|entry| entry.key == key)?;
        match &found.value.data {
            Data::Scalar { text, plain: false } if text.is_empty() => None,
            _ => text(&found.value, &format!("`{key}`"), report),
        }
    }

    /// A single value that must not be seen.
    pub(super) fn secret(&self, key: &str, report: &mut Report) -> Option<At<String>> {
        let node = &self.entries.iter().find(|entry| entry.key == key)?.value;
        node.conceal();
        if let Data::Scalar { text, .. } = &node.data {
            report.hide(text);
        }
        let secret = scalar(node, &format!("`{key}`"), report)?;
        Some(At { value: secret.trim().to_owned(), pos: node.pos })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, default: bool, report: &mut Report) -> bool {
        let Some(found) = self.text(key, report) else { return default };
        match found.value.as_str() {
            "true" | "True" | "TRUE" => true,
            "false" | "False" | "FALSE" => false,
            other => {
                report.mistake(found.pos, format!("`{key}` is true or false, not {}", quoted(other)), "");
                default
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&self, key: &str, bounds: RangeInclusive<u64>, report: &mut Report) -> Option<At<u64>> {
        let found = self.text(key, report)?;
        match found.value.replace('_', "").parse::<u64>() {
            Ok(value) if bounds.contains(&value) => Some(At { value, pos: found.pos }),
            _ => {
                let hint = format!("a whole number from {} to {}", bounds.start(), bounds.end());
                report.mistake(found.pos, format!("`{key}` can not be {}", quoted(&found.value)), hint);
                None
            }
        }
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &self,
        key: &str,
        bounds: RangeInclusive<Duration>,
        report: &mut Report,
    ) -> Option<At<Duration>> {
        let show = |length: &Duration| values::show_duration(*length);
        self.measured(key, values::duration, bounds, show, report)
    }

    /// A size in bytes within bounds.
    pub(super) fn size(&self, key: &str, bounds: RangeInclusive<u64>, report: &mut Report) -> Option<At<u64>> {
        self.measured(key, values::size, bounds, |bytes| show_size(*bytes), report)
    }

    fn measured<T: PartialOrd>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
        bounds: RangeInclusive<T>,
        show: impl Fn(&T) -> String,
        report: &mut Report,
    ) -> Option<At<T>> {
        let found = self.text(key, report)?;
        let (what, hint) = match read(&found.value) {
            Ok(value) if bounds.contains(&value) => return Some(At { value, pos: found.pos }),
            Ok(_) => ("out of bounds".to_owned(), format!("from {} to {}", show(bounds.start()), show(bounds.end()))),
            Err(wrong) => wrong,
        };
        report.mistake(found.pos, format!("`{key}: {}`: {what}", quoted(&found.value).trim_matches('`')), hint);
        None
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], report: &mut Report) -> Option<At<T>> {
        let found = self.text(key, report)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == found.value) {
            return Some(At { value: *value, pos: found.pos });
        }
        let names = || words.iter().map(|(word, _)| *word);
        let hint =
            report.nearest(&found.value, names(), || format!("one of {}", names().collect::<Vec<_>>().join(", ")));
        report.mistake(found.pos, format!("`{key}` can not be {}", quoted(&found.value)), hint);
        None
    }

    /// The items of a list; none when the key is not there.
    pub(super) fn list(&self, key: &str, report: &mut Report) -> &'n [Rc<Node>] {
        let Some(node) = self.node(key) else { return &[] };
        match &node.data {
            Data::Seq(items) => items,
            _ => {
                let what = format!("`{key}` must be a list, not {}", node.noun());
                report.mistake(node.pos, what, format!("write `{key}: [...]`, or one `- ...` per line"));
                &[]
            }
        }
    }

    /// A list of single values that are not secrets.
    pub(super) fn texts(&self, key: &str, report: &mut Report) -> Vec<At<String>> {
        let what = format!("an item of `{key}`");
        if let Some(node) = self.node(key) {
            node.show();
        }
        self.list(key, report).iter().filter_map(|item| text(item, &what, report)).collect()
    }
}

fn keys_hint(known: &[&str]) -> String {
    format!("its keys are {}", known.join(", "))
}

fn show_size(bytes: u64) -> String {
    let units = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    let unit = units.into_iter().find(|(shift, _)| bytes >= 1 << shift && bytes.trailing_zeros() >= *shift);
    unit.map_or_else(|| format!("{bytes}B"), |(shift, name)| format!("{}{name}", bytes >> shift))
}

fn scalar<'n>(node: &'n Node, what: &str, report: &mut Report) -> Option<&'n str> {
    match &node.data {
        _ if node.is_null() => report.mistake(node.pos, format!("{what} has no value"), "give it one, or remove it"),
        Data::Scalar { text, .. } if text.trim().is_empty() => {
            report.mistake(node.pos, format!("{what} is empty"), "give it a value, or remove it");
        }
        Data::Scalar { text, .. } => return Some(text),
        _ => report.mistake(node.pos, format!("{what} must be a single value, not {}", node.noun()), ""),
    }
    None
}

/// A single value that is not a secret.
pub(super) fn text(node: &Node, what: &str, report: &mut Report) -> Option<At<String>> {
    node.show();
    let text = scalar(node, what, report)?;
    Some(At { value: text.to_owned(), pos: node.pos })
}
