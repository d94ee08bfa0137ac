//! Alertmanager's label matchers: `name op value`, alone or in a list `{a="b", c=~"d"}`.
//!
//! Follows Alertmanager 0.27 and later in its default mode (`matcher/compat`): what the classic parser
//! (`pkg/labels`) reads keeps the classic meaning, the rest is read by the UTF-8 parser (`matcher/parse`). So a bare
//! ASCII name takes values with `\"`, `\\` and `\n` only, any other backslash being literal (`instance=~"10\.0\..*"`),
//! and a quoted or UTF-8 name takes Go's escapes and refuses unknown ones.
//!
//! Two inputs that Alertmanager takes literally are mistakes here, because they can not be meant: a value in single
//! quotes or backticks, and a bare value that begins with `=`. An opening brace needs its closing one.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::Labels;

mod parse;

/// Compiled size of one pattern in bytes, at most: a config can not eat the memory.
const REGEX_BYTES: usize = 2 << 20;

const EMPTY_NAME: &str = "the label name is empty";

/// How a matcher compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Match,
    /// `!~`
    NoMatch,
}

impl MatchOp {
    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Match => "=~",
            Self::NoMatch => "!~",
        }
    }
}

/// One matcher. A label that is missing counts as empty. Patterns are anchored at both ends.
///
/// Patterns have the syntax of the crate `regex`, which is that of Go but for rare corners (`\d`, `\w` and `\s` know
/// Unicode; there is no `\Q...\E`).
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Label name.
    pub name: String,
    /// Comparison.
    pub op: MatchOp,
    /// Value or pattern.
    pub value: String,
    /// The compiled pattern of `=~` and `!~`.
    pattern: Option<Pattern>,
}

/// A pattern, ready to be tried on every alert.
#[derive(Clone, Debug)]
enum Pattern {
    /// `a|b|c` without any other syntax, which is what most patterns are: no engine is needed.
    OneOf(Vec<Box<str>>),
    Regex(Regex),
}

impl Pattern {
    fn new(text: &str) -> Result<Self, MatcherError> {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | ':' | '|' | '@' | ' ' | '%');
        if text.chars().all(plain) {
            return Ok(Self::OneOf(text.split('|').map(Into::into).collect()));
        }
        // The pattern alone first: `a)|(b` must not compile by borrowing the anchor's brackets.
        compile(text)?;
        compile(&format!("^(?:{text})$")).map(Self::Regex)
    }

    fn matches(&self, value: &str) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| **word == *value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

/// Why a matcher can not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct MatcherError {
    /// What is wrong.
    pub message: String,
    /// Offset in characters inside the matcher's text, from 0.
    pub offset: usize,
}

impl MatcherError {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), offset }
    }
}

impl Matcher {
    /// Builds a matcher from its parts.
    ///
    /// # Errors
    /// An empty name, or a pattern that does not compile or would need more than 2 MiB; the offset is 0.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, MatcherError> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() {
            return Err(MatcherError::new(0, EMPTY_NAME));
        }
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Match | MatchOp::NoMatch => Some(Pattern::new(&value)?),
        };
        Ok(Self { name, op, value, pattern })
    }

    /// Reads exactly one matcher.
    ///
    /// # Errors
    /// What [`Matcher::parse_all`] refuses, none at all, or more than one.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let mut all = Self::parse_all(text)?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (Some(_), others) => Err(MatcherError::new(0, format!("one matcher is expected here, not {}", others + 1))),
            (None, _) => Err(MatcherError::new(0, "there is no matcher")),
        }
    }

    /// Reads a list of matchers, with or without braces; it may be empty.
    ///
    /// # Errors
    /// The first place that can not be read, or a pattern that does not compile.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, MatcherError> {
        parse::Parser::new(text)?.list()
    }

    /// Whether an alert with these labels matches.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matches_value(labels.get(&self.name).map_or("", String::as_str))
    }

    /// Whether the label's value matches; `""` for a missing label.
    pub fn matches_value(&self, value: &str) -> bool {
        let found = self.pattern.as_ref().map_or_else(|| value == self.value, |pattern| pattern.matches(value));
        found == matches!(self.op, MatchOp::Equal | MatchOp::Match)
    }
}

/// The canonical form: a bare name where it may be bare, the value always in quotes. Reads back as an equal matcher.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(is_reserved) {
            quote(f, &self.name)?
        } else {
            f.write_str(&self.name)?
        }
        f.write_str(self.op.as_str())?;
        quote(f, &self.value)
    }
}

fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    use fmt::Write as _;
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

fn compile(pattern: &str) -> Result<Regex, MatcherError> {
    let built = RegexBuilder::new(pattern).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build();
    built.map_err(|error| {
        let text = match error {
            regex::Error::CompiledTooBig(_) => "it is too big".to_owned(),
            // The engine draws the pattern and a caret over several lines; its last line says what is wrong.
            other => {
                let text = other.to_string();
                let last = text.lines().next_back().unwrap_or_default();
                last.strip_prefix("error: ").unwrap_or(last).to_owned()
            }
        };
        MatcherError::new(0, format!("the pattern is not a regular expression: {text}"))
    })
}

/// Characters that end a bare name (Alertmanager's `isReserved`).
fn is_reserved(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '!' | '=' | '~' | ',' | '\\' | '"' | '\'' | '`')
}

#[cfg(test)]
mod tests;
