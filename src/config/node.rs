//! The tree a YAML file is read into before anything is understood, so that reading can go on after a mistake.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use super::report::Pos;

/// What a node holds.
#[derive(Debug)]
pub(super) enum Data {
    /// Text as written; `plain` when it stood without quotes and may mean null, a flag or a number.
    Scalar {
        text: String,
        plain: bool,
    },
    Seq(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) pos: Pos,
    /// Bytes of the key in the text.
    pub(super) span: Range<usize>,
    pub(super) value: Rc<Node>,
    /// Whether a reader knows this key, so that it may be shown.
    pub(super) known: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    Not,
    Harmless,
    Secret,
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) pos: Pos,
    /// Bytes of a scalar in the text.
    pub(super) span: Range<usize>,
    pub(super) data: Data,
    seen: Cell<Seen>,
}

impl Node {
    pub(super) fn new(pos: Pos, span: Range<usize>, data: Data) -> Self {
        Self { pos, span, data, seen: Cell::new(Seen::Not) }
    }

    /// Says that this scalar may be shown, unless it is read as a secret somewhere.
    pub(super) fn show(&self) {
        if self.seen.get() == Seen::Not {
            self.seen.set(Seen::Harmless);
        }
    }

    /// Says that this scalar is a secret.
    pub(super) fn conceal(&self) {
        self.seen.set(Seen::Secret);
    }

    pub(super) fn is_shown(&self) -> bool {
        self.seen.get() == Seen::Harmless
    }

    /// Whether nothing was written, or YAML's null.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.data, Data::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The word for what it is, for sentences.
    pub(super) fn noun(&self) -> &'static str {
        match &self.data {
            _ if self.is_null() => "nothing",
            Data::Scalar { .. } => "a single value",
            Data::Seq(_) => "a list",
            Data::Map(_) => "a map",
        }
    }
}
