//! Collects every mistake of one file, and hands them out sorted, bounded and without secrets.

use std::cell::Cell;
use std::rc::Rc;

use crate::model::{Mistake, Place};

use super::redact;

/// At most this many mistakes are handed out; the last one then says how many more there are.
const MAX_MISTAKES: usize = 200;
/// With thousands of names and mistakes only the first mistakes get a "did you mean".
const MAX_COMPARISONS: usize = 200_000;
/// Lines are shown up to this many characters.
const MAX_LINE: usize = 160;
/// Names and values quoted in a sentence are cut to this many characters.
const MAX_QUOTED: usize = 60;

/// A position in the file, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(super) struct Pos {
    pub(super) line: usize,
    /// In characters.
    pub(super) column: usize,
}

/// A value and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) pos: Pos,
}

struct Found {
    pos: Pos,
    what: String,
    hint: String,
    warning: bool,
}

/// The mistakes of one file so far.
pub(super) struct Report {
    file: String,
    text: Rc<str>,
    found: Vec<Found>,
    foreign: Vec<Mistake>,
    left_out: usize,
    errors: bool,
    secrets: Vec<String>,
    /// How many more names may be compared in search of a hint.
    comparisons: Cell<usize>,
}

impl Report {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.into(),
            found: Vec::new(),
            foreign: Vec::new(),
            left_out: 0,
            errors: false,
            secrets: Vec::new(),
            comparisons: Cell::new(MAX_COMPARISONS),
        }
    }

    pub(super) fn text(&self) -> Rc<str> {
        Rc::clone(&self.text)
    }

    /// Notes a mistake that stops the config from being used.
    pub(super) fn mistake(&mut self, pos: Pos, what: impl Into<String>, hint: impl Into<String>) {
        self.errors = true;
        self.push(Found { pos, what: what.into(), hint: hint.into(), warning: false });
    }

    /// Notes something that works, but hardly as it was meant.
    pub(super) fn warning(&mut self, pos: Pos, what: impl Into<String>, hint: impl Into<String>) {
        self.push(Found { pos, what: what.into(), hint: hint.into(), warning: true });
    }

    /// Takes in a mistake of another file (a template).
    pub(super) fn foreign(&mut self, mistake: Mistake) {
        self.errors |= !mistake.warning;
        if self.full() && mistake.warning {
            self.left_out += 1;
        } else {
            self.foreign.push(mistake);
        }
    }

    fn push(&mut self, found: Found) {
        if self.full() {
            self.left_out += 1;
        } else {
            self.found.push(found);
        }
    }

    /// Whether more mistakes would not be shown; costly searches for hints can be left out then.
    pub(super) fn full(&self) -> bool {
        self.found.len() + self.foreign.len() >= MAX_MISTAKES
    }

    /// Whether anything stops the config from being used.
    pub(super) fn has_errors(&self) -> bool {
        self.errors
    }

    /// From now on this text can not appear in any mistake.
    pub(super) fn hide(&mut self, secret: &str) {
        if secret.len() >= redact::MIN_SECRET && !redact::is_public_url(secret) {
            self.secrets.push(secret.to_owned());
        }
    }

    /// `did you mean ...` for the nearest of the names, else `otherwise`.
    pub(super) fn nearest<'a>(
        &self,
        name: &str,
        names: impl IntoIterator<Item = &'a str>,
        otherwise: impl FnOnce() -> String,
    ) -> String {
        if self.full() {
            return String::new();
        }
        if name.len() > 200 {
            return otherwise();
        }
        let wanted = name.to_lowercase();
        let length = wanted.chars().count();
        let most = (length / 3).max(1);
        let best = names
            .into_iter()
            .take(self.comparisons.get())
            .inspect(|_| self.comparisons.set(self.comparisons.get().saturating_sub(1)))
            .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
            .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
            .min_by_key(|(distance, _)| *distance);
        match best {
            Some((distance, candidate)) if distance <= most && distance < length => {
                format!("did you mean `{candidate}`?")
            }
            _ => otherwise(),
        }
    }

    /// All mistakes, by place. `shown` is the text with everything blanked out that may not be seen; without it
    /// (the file could not be read as YAML) lines are blanked out by guess.
    pub(super) fn finish(self, shown: Option<&str>) -> Vec<Mistake> {
        let lines: Vec<&str> = shown.unwrap_or(&self.text).lines().collect();
        let line_of = |pos: Pos| -> String {
            let Some(line) = pos.line.checked_sub(1).and_then(|at| lines.get(at)) else { return String::new() };
            if pos.column > MAX_LINE {
                return String::new();
            }
            let line = if shown.is_some() { (*line).to_owned() } else { redact::guess(line) };
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            cut(&line, MAX_LINE)
        };
        let mut all: Vec<Mistake> = self
            .found
            .into_iter()
            .map(|found| Mistake {
                place: Place { file: self.file.clone(), line: found.pos.line, column: found.pos.column },
                line: line_of(found.pos),
                what: found.what,
                hint: found.hint,
                warning: found.warning,
            })
            .chain(self.foreign)
            .collect();
        all.sort_by(|a, b| a.place.cmp(&b.place));
        if self.left_out > 0 {
            all.push(Mistake {
                place: Place { file: self.file.clone(), line: 0, column: 0 },
                what: format!("and {} more", self.left_out),
                line: String::new(),
                hint: "mend these first".to_owned(),
                warning: !self.errors,
            });
        }
        redact::scrub(&mut all, &self.secrets);
        all
    }
}

/// The text cut to that many characters, with an ellipsis when something is missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// An unknown key as it may stand in a sentence.
pub(super) fn quoted_key(key: &str) -> String {
    if redact::is_odd_key(key) { "`<hidden>`".to_owned() } else { quoted(key) }
}

/// A name or value as it may stand in a sentence: in backticks, short, on one line, and never a webhook URL.
pub(super) fn quoted(text: &str) -> String {
    if redact::looks_secret(text) {
        return "`<hidden>`".to_owned();
    }
    let text: String = text.chars().take(MAX_QUOTED + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("`{}`", cut(&text, MAX_QUOTED))
}
