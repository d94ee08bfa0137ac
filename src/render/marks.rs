//! What is data and what is markup, through a whole template.
//!
//! A template engine's escape function must outlive everything, the vendor's dialect is borrowed. So nothing is escaped
//! while a template runs: values are put between two marks, and the dialect escapes what is between them at the end.
//! The marks are Unicode noncharacters, which text never holds; [`clean`] takes them out of what senders say.

use super::links;

/// Longest address that is looked for before a value, in bytes.
const MAX_ADDRESS: usize = 4_096;

const VALUE: char = '\u{fdd0}';
const VALUE_END: char = '\u{fdd1}';
const SAFE: char = '\u{fdd2}';
const SAFE_END: char = '\u{fdd3}';

const fn is_mark(c: char) -> bool {
    matches!(c, VALUE | VALUE_END | SAFE | SAFE_END)
}

/// Control characters, and those that turn the direction of writing, can make a message say something else than the
/// alert did; line breaks and tabs may stay.
const fn is_unwanted(c: char) -> bool {
    is_mark(c)
        || (c.is_ascii_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A sender's text without unwanted characters, cut to `max` characters with an ellipsis.
pub(super) fn clean(text: &str, max: usize) -> String {
    // Only the front of a text of several megabytes is ever looked at.
    let mut out = String::with_capacity(text.len().min(max.saturating_mul(2)));
    for (count, c) in text.chars().filter(|c| !is_unwanted(*c)).enumerate() {
        if count == max {
            out.pop();
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

/// The same on one line: every run of white space becomes one space.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    // A text of several megabytes is not looked at beyond what can be shown.
    let text = front(text, max.saturating_mul(8).saturating_add(256));
    for part in text.split(|c: char| c.is_whitespace() || is_unwanted(c)).filter(|part| !part.is_empty()) {
        if count > max {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
            count += 1;
        }
        for c in part.chars().take(max + 2) {
            out.push(c);
            count += 1;
        }
    }
    if count > max { cut(&out, max) } else { out }
}

/// The first `max` bytes, less the rest of a character that would be cut.
pub(super) fn front(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// At most `max` characters; the last one is an ellipsis when something was cut.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().nth(max).is_none() {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    if max > 0 {
        out.push('…');
    }
    out
}

/// A value to be escaped, in text that we write ourselves.
pub(super) fn value(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 6);
    out.push(VALUE);
    out.extend(text.chars().filter(|c| !is_mark(*c)));
    out.push(VALUE_END);
    out
}

/// Marks finished markup, so that `{{x}}` does not escape it again. Values inside keep their marks.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 6);
    out.push(SAFE);
    out.extend(text.chars().filter(|c| !matches!(*c, SAFE | SAFE_END)));
    out.push(SAFE_END);
    out
}

/// Whether a part of the text is finished markup.
pub(super) fn has_safe(text: &str) -> bool {
    text.contains(SAFE)
}

/// The engine's escape function: everything becomes a value but what [`safe`] marked.
pub(super) fn escape(text: &str) -> String {
    if !text.contains(SAFE) {
        return value(text);
    }
    let mut out = String::with_capacity(text.len() + 12);
    for (at, part) in text.split(SAFE).enumerate() {
        let (inner, outer) = match (at, part.split_once(SAFE_END)) {
            (0, _) => ("", part),
            (_, Some(parts)) => parts,
            // Cut in the middle by somebody: no longer known to be safe.
            (_, None) => ("", part),
        };
        out.extend(inner.chars().filter(|c| *c != SAFE_END));
        if !outer.is_empty() {
            out.push_str(&value(outer));
        }
    }
    out
}

/// The same without line breaks inside values: lines end only where the template ends them.
pub(super) fn flat(text: &str) -> String {
    let mut inside = false;
    let keep = |c: char| match c {
        VALUE | VALUE_END => {
            inside = c == VALUE;
            c
        }
        '\n' if inside => ' ',
        c => c,
    };
    text.chars().map(keep).collect()
}

/// Text without marks, as helpers see it.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !is_mark(*c)).collect()
}

/// Ends a template's run: what is marked as a value goes through `escape`, or is made part of an address where it stands
/// in one; no mark remains.
pub(super) fn resolve(text: &str, escape: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(VALUE) {
        out.extend(before.chars().filter(|c| !is_mark(*c)));
        let (inner, tail) = after.split_once(VALUE_END).unwrap_or((after, ""));
        let inner = plain(inner);
        let value = match open_address(&out) {
            Some(before) => links::inside(&inner, before),
            None => escape(&inner),
        };
        out.push_str(&value);
        rest = tail;
    }
    out.extend(rest.chars().filter(|c| !is_mark(*c)));
    out
}

/// The address of a link that is not closed yet at the end of the text. No escaped value holds `](`.
fn open_address(text: &str) -> Option<&str> {
    let end = |b: &u8| matches!(b, b'(' | b')') || b.is_ascii_whitespace();
    let behind = text.bytes().rev().take(MAX_ADDRESS).position(|b| end(&b))?;
    let (before, address) = text.split_at_checked(text.len() - behind)?;
    before.ends_with("](").then_some(address)
}
