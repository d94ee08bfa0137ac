//! Go's text/template as a person wrote it: the tree of a file, each node with its place.
//!
//! The grammar is that of <https://pkg.go.dev/text/template>, read by [`super::lex`] and [`super::parse`].

/// Line and column from 1, the column in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Pos {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why something could not be read or carried over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    pub(super) pos: Pos,
    pub(super) what: String,
    pub(super) hint: String,
}

impl Problem {
    pub(super) fn new(pos: Pos, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { pos, what: what.into(), hint: hint.into() }
    }
}

/// A file: what stands outside of every `define`, and the definitions.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) defines: Vec<(String, Vec<Node>)>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) pos: Pos,
    pub(super) kind: Kind,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    Text(String),
    Comment(String),
    /// `{{ pipeline }}`
    Print(Pipe),
    /// `{{ $x := pipeline }}` and `{{ $x = pipeline }}`
    Set(Pipe),
    If(Choice),
    With(Choice),
    Range {
        pipe: Pipe,
        body: Vec<Node>,
        other: Option<Vec<Node>>,
    },
    /// `{{ template "name" pipeline }}`, and `block`, whose body is in the tree's definitions.
    Call {
        name: String,
        with: Option<Pipe>,
    },
    Break,
    Continue,
}

/// `if` or `with`, each `else if`, and `else`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Choice {
    pub(super) arms: Vec<(Pipe, Vec<Node>)>,
    pub(super) other: Option<Vec<Node>>,
}

/// `$a, $b := command | command`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Pipe {
    pub(super) pos: Pos,
    /// Variables that it sets, without the dollar sign.
    pub(super) names: Vec<String>,
    /// They are new (`:=`).
    pub(super) declares: bool,
    /// Each at least one word.
    pub(super) commands: Vec<Vec<Word>>,
}

/// An operand and the fields taken from it: `$a.B.C`, `(f x).Y`, `.D`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Word {
    pub(super) pos: Pos,
    pub(super) head: Head,
    pub(super) fields: Vec<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Head {
    Dot,
    /// Empty for `$`.
    Variable(String),
    Name(String),
    Text(String),
    /// As written.
    Number(String),
    Flag(bool),
    Nil,
    Bracket(Box<Pipe>),
}
