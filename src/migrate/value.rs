//! What a Go expression becomes: a Handlebars expression that means the same wherever it stands, and its kind.
//!
//! Every path begins at the message or at a name that a block gave (`{{#each alerts as |alert|}}`), never at the context
//! of its place. So a Go variable is the expression it was set to, and `.` is what the block around it named.

use std::fmt::Write as _;

use super::source::{Pos, Problem};

/// A Handlebars expression.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Ex {
    /// Fields from the message on.
    Root(Vec<String>),
    /// Fields from a block's name on.
    Local(String, Vec<String>),
    Call(&'static str, Vec<Ex>, Vec<(&'static str, Ex)>),
    Text(String),
    /// As written.
    Number(String),
    Flag(bool),
}

/// Kinds of values, as Go knows them in a webhook's data.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    Message,
    Alerts(Which),
    Alert,
    /// Labels or annotations.
    Labels,
    /// Sorted ones.
    Pairs,
    Pair,
    Texts,
    /// What sprig's `split` gives: `._0`, `._1`.
    Parts,
    Numbers,
    /// A `dict`: never written, its entries are.
    Record(Vec<(String, Value)>),
    Text,
    Number,
    Flag,
    /// A time; where it is not shown in the bot's zone, the zone.
    Time(Option<Ex>),
    /// A length of time.
    Length,
    /// The numbers of the people who are mentioned.
    Mobiles,
    /// A list of anything.
    List,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    All,
    Firing,
    Resolved,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Value {
    pub(super) ex: Ex,
    pub(super) kind: Kind,
}

impl Value {
    pub(super) fn new(ex: Ex, kind: Kind) -> Self {
        Self { ex, kind }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::new(Ex::Text(text.into()), Kind::Text)
    }

    pub(super) fn flag(ex: Ex) -> Self {
        Self::new(ex, Kind::Flag)
    }

    /// As something that is shown or handed to a function: Go's `and` and `or` give one of their values, those of
    /// Handlebars say yes or no.
    pub(super) fn plain(self) -> Ex {
        match (self.ex, self.kind) {
            (ex @ Ex::Call("and" | "or", ..), Kind::Flag) => ex,
            (ex, _) => ex.chosen(),
        }
    }

    /// Something of the message, where only a `dict` as a whole is none: one of texts can be written.
    ///
    /// # Errors
    /// That this one can not.
    pub(super) fn object(self, pos: Pos) -> Result<Self, Problem> {
        let Kind::Record(fields) = self.kind else { return Ok(self) };
        let mut args = Vec::new();
        for (name, value) in fields {
            if !matches!(value.kind, Kind::Text | Kind::Number | Kind::Flag | Kind::Length) {
                let what = "this dict holds more than texts, which can only be taken out by name";
                return Err(Problem::new(pos, what, "hand on what it holds one by one"));
            }
            args.extend([Ex::Text(name), value.plain()]);
        }
        Ok(Self::new(Ex::call("dict", args), Kind::Labels))
    }

    /// Its parts, all told; those of a `dict`, too.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Kind::Record(fields) => 1 + fields.iter().map(|(_, value)| value.size()).sum::<usize>(),
            _ => self.ex.size(),
        }
    }

    /// As a condition: both engines call 0, false, nothing and what is empty untrue.
    pub(super) fn condition(self) -> Ex {
        match self.ex {
            Ex::Call("len", mut args, _) if args.len() == 1 => args.remove(0),
            Ex::Root(path) if path.is_empty() => Ex::Flag(true),
            other => other,
        }
    }
}

/// The alerts of a message, or those of one state.
pub(super) fn alerts(which: Which) -> Ex {
    let all = Ex::Root(vec!["alerts".to_owned()]);
    let state = match which {
        Which::All => return all,
        Which::Firing => "firing",
        Which::Resolved => "resolved",
    };
    Ex::call("where", vec![all, Ex::Text("status".to_owned()), Ex::Text(state.to_owned())])
}

impl Ex {
    pub(super) fn call(name: &'static str, args: Vec<Ex>) -> Self {
        Self::Call(name, args, Vec::new())
    }

    pub(super) fn root(name: &str) -> Self {
        Self::Root(vec![name.to_owned()])
    }

    /// See [`Value::plain`].
    fn chosen(self) -> Self {
        match self {
            Self::Call("or", args, _) => Self::call("default", args.into_iter().map(Self::chosen).collect()),
            Self::Call("and", args, _) => {
                let mut args = args.into_iter().map(Self::chosen).rev();
                let last = args.next().unwrap_or(Self::Flag(true));
                args.fold(last, |then, first| Self::call("ternary", vec![first.clone(), then, first]))
            }
            // A message shows fewer alerts than there are when they do not fit; its counts are of all.
            Self::Call("len", args, _) => match args.as_slice() {
                [list] if *list == alerts(Which::All) => Self::root("total"),
                [list] if *list == alerts(Which::Firing) => Self::root("firingCount"),
                [list] if *list == alerts(Which::Resolved) => Self::root("resolvedCount"),
                _ => Self::call("len", args),
            },
            other => other,
        }
    }

    pub(super) fn field(self, name: &str) -> Self {
        match self {
            Self::Root(mut path) => {
                path.push(name.to_owned());
                Self::Root(path)
            }
            Self::Local(local, mut path) => {
                path.push(name.to_owned());
                Self::Local(local, path)
            }
            other => Self::call("lookup", vec![other, Self::Text(name.to_owned())]),
        }
    }

    /// Calls inside of each other.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Call(_, args, named) => {
                let inner = args.iter().chain(named.iter().map(|(_, ex)| ex)).map(Self::depth).max();
                1 + inner.unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Its parts, all told.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Call(_, args, named) => {
                1 + args.iter().chain(named.iter().map(|(_, ex)| ex)).map(Self::size).sum::<usize>()
            }
            _ => 1,
        }
    }

    /// What stands between `{{` and `}}`. `inside`: within a block that changes the context.
    pub(super) fn tag(&self, inside: bool) -> String {
        let Self::Call(name, args, named) = self else { return self.argument(inside) };
        let mut out = (*name).to_owned();
        for arg in args {
            let _ = write!(out, " {}", arg.argument(inside));
        }
        for (key, arg) in named {
            let _ = write!(out, " {key}={}", arg.argument(inside));
        }
        out
    }

    /// The same as an argument.
    pub(super) fn argument(&self, inside: bool) -> String {
        match self {
            Self::Root(path) if inside => format!("@root.{}", path_text(path)),
            Self::Root(path) => path_text(path),
            Self::Local(name, path) if path.is_empty() => name.clone(),
            Self::Local(name, path) => format!("{name}.{}", path_text(path)),
            Self::Call(..) => format!("({})", self.tag(inside)),
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.clone(),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}

fn path_text(path: &[String]) -> String {
    let part = |name: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':') || !c.is_ascii();
        let bare = !name.is_empty() && name.chars().all(plain) && !name.contains(char::is_whitespace);
        // Words of the language, and numbers, mean something else without brackets.
        let reserved = matches!(name.as_str(), "this" | "else" | "as" | "true" | "false" | "null");
        let number = name.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if bare && !reserved && !number { name.clone() } else { format!("[{name}]") }
    };
    path.iter().map(part).collect::<Vec<_>>().join(".")
}

/// Whether a path may hold this name: `]` would end it.
pub(super) fn is_field(name: &str) -> bool {
    !name.is_empty() && !name.contains([']', '\n', '{', '}'])
}

/// A text in quotes. Braces are written by their number, so that no tag can begin or end in it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() && u32::from(c) <= 0xffff || matches!(c, '{' | '}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
