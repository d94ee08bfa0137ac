//! Reads matchers; see the module above for whose meaning it follows.

use super::{EMPTY_NAME, MatchOp, Matcher, MatcherError, is_reserved};

/// A name that the classic parser reads: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn is_classic(name: &[char]) -> bool {
    name.first().is_some_and(|c| !c.is_ascii_digit())
        && name.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
}

/// Which escapes a quoted text knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// `\"`, `\\`, `\n`; any other backslash is literal.
    Classic,
    /// Those of a Go string; others are mistakes.
    Go,
}

pub(super) struct Parser {
    text: Vec<char>,
    at: usize,
    /// Where the list ends: before the closing brace, or the end of the text.
    end: usize,
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self, MatcherError> {
        let text: Vec<char> = text.chars().collect();
        let first = text.iter().position(|c| !c.is_whitespace()).unwrap_or(text.len());
        let mut end = text.iter().rposition(|c| !c.is_whitespace()).map_or(first, |last| last + 1);
        let mut at = first;
        if text.get(first) == Some(&'{') {
            if end < first + 2 || text.get(end - 1) != Some(&'}') {
                return Err(MatcherError::new(end, "the closing brace } is missing"));
            }
            at += 1;
            end -= 1;
        }
        Ok(Self { text, at, end })
    }

    fn peek(&self) -> Option<char> {
        (self.at < self.end).then(|| self.text.get(self.at).copied()).flatten()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    pub(super) fn list(mut self) -> Result<Vec<Matcher>, MatcherError> {
        let mut all = Vec::new();
        self.skip_space();
        while self.peek().is_some() {
            all.push(self.matcher()?);
            self.skip_space();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(c) => return Err(MatcherError::new(self.at, format!("expected a comma, found {c}"))),
                None => break,
            }
            self.skip_space();
        }
        Ok(all)
    }

    fn matcher(&mut self) -> Result<Matcher, MatcherError> {
        let (name, escapes) = self.name()?;
        self.skip_space();
        let op = self.op()?;
        self.skip_space();
        let value_at = self.at;
        let value = match self.peek() {
            Some('"') => self.quoted(escapes)?,
            Some(c @ ('\'' | '`')) => {
                return Err(MatcherError::new(self.at, format!("{c} does not quote; use double quotes \"...\"")));
            }
            Some('=') => return Err(MatcherError::new(self.at, "the operators are =, !=, =~ and !~")),
            _ => self.bare_value()?,
        };
        Matcher::new(name, op, value).map_err(|error| MatcherError { offset: value_at, ..error })
    }

    fn name(&mut self) -> Result<(String, Escapes), MatcherError> {
        let start = self.at;
        if self.peek() == Some('"') {
            let name = self.quoted(Escapes::Go)?;
            if name.is_empty() {
                return Err(MatcherError::new(start, EMPTY_NAME));
            }
            return Ok((name, Escapes::Go));
        }
        while self.peek().is_some_and(|c| !is_reserved(c)) {
            self.at += 1;
        }
        let name = self.text.get(start..self.at).unwrap_or_default();
        if name.is_empty() {
            let found = self.peek().map_or_else(|| "the end".to_owned(), String::from);
            return Err(MatcherError::new(start, format!("expected a label name, found {found}")));
        }
        Ok((name.iter().collect(), if is_classic(name) { Escapes::Classic } else { Escapes::Go }))
    }

    fn op(&mut self) -> Result<MatchOp, MatcherError> {
        let next = self.text.get(self.at + 1).copied().filter(|_| self.at + 1 < self.end);
        let (op, width) = match (self.peek(), next) {
            (Some('='), Some('~')) => (MatchOp::Match, 2),
            (Some('='), _) => (MatchOp::Equal, 1),
            (Some('!'), Some('=')) => (MatchOp::NotEqual, 2),
            (Some('!'), Some('~')) => (MatchOp::NoMatch, 2),
            _ => return Err(MatcherError::new(self.at, "expected one of the operators =, !=, =~ and !~")),
        };
        self.at += width;
        Ok(op)
    }

    /// Everything up to the next comma, without the space around it, as the classic parser reads it. May be empty.
    fn bare_value(&mut self) -> Result<String, MatcherError> {
        let start = self.at;
        let mut open = 0_usize;
        while let Some(c) = self.peek().filter(|c| *c != ',') {
            match c {
                '"' => {
                    let message = "a quote inside a value; quote all of it and write \\\" for a quote";
                    return Err(MatcherError::new(self.at, message));
                }
                '{' => open += 1,
                // Braces of a pattern come in pairs; a lone one is half of a list's.
                '}' => {
                    open = open.checked_sub(1).ok_or_else(|| {
                        MatcherError::new(self.at, "the opening brace { is missing; quote a value that holds a brace")
                    })?;
                }
                _ => {}
            }
            self.at += 1;
        }
        let raw: String = self.text.get(start..self.at).unwrap_or_default().iter().collect();
        let raw: Vec<char> = raw.trim_end().chars().collect();
        let mut value = String::new();
        let mut at = 0;
        while let Some(c) = raw.get(at) {
            at += if *c == '\\' { classic_escape(raw.get(at + 1).copied(), &mut value) } else { push(*c, &mut value) };
        }
        Ok(value)
    }

    /// A text in double quotes; stands on the opening one.
    fn quoted(&mut self, escapes: Escapes) -> Result<String, MatcherError> {
        let start = self.at;
        self.at += 1;
        // Bytes, because Go's \x and octal escapes are bytes that only together must be UTF-8.
        let mut bytes = Vec::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(MatcherError::new(start, "the closing quote \" is missing"));
            };
            self.at += 1;
            let mut text = String::new();
            match c {
                '"' => break,
                '\\' if escapes == Escapes::Classic => self.at += classic_escape(self.peek(), &mut text) - 1,
                '\\' => self.go_escape(&mut bytes)?,
                _ => text.push(c),
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        String::from_utf8(bytes).map_err(|_| MatcherError::new(start, "the escapes do not make valid UTF-8"))
    }

    /// One escape of a Go string; stands behind the backslash.
    fn go_escape(&mut self, out: &mut Vec<u8>) -> Result<(), MatcherError> {
        let place = self.at - 1;
        let Some(c) = self.peek() else {
            return Err(MatcherError::new(place, "the closing quote \" is missing"));
        };
        self.at += 1;
        let bad = || MatcherError::new(place, format!("\\{c} is not an escape; write \\\\ for a backslash"));
        let simple = match c {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '"' => u8::try_from(c).ok(),
            _ => None,
        };
        if let Some(byte) = simple {
            out.push(byte);
            return Ok(());
        }
        let (digits, radix) = match c {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => {
                self.at -= 1;
                (3, 8)
            }
            _ => return Err(bad()),
        };
        let mut number = 0_u32;
        for _ in 0..digits {
            let digit = self.peek().and_then(|d| d.to_digit(radix)).ok_or_else(bad)?;
            number = number.checked_mul(radix).and_then(|n| n.checked_add(digit)).ok_or_else(bad)?;
            self.at += 1;
        }
        if matches!(c, 'u' | 'U') {
            let c = char::from_u32(number).ok_or_else(bad)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            out.push(u8::try_from(number).map_err(|_| bad())?);
        }
        Ok(())
    }
}

/// Writes what a backslash and `next` mean; returns how many characters they are together.
fn classic_escape(next: Option<char>, out: &mut String) -> usize {
    match next {
        Some('n') => 1 + push('\n', out),
        Some(c @ ('"' | '\\')) => 1 + push(c, out),
        // Literal; the character behind it is read on its own.
        _ => push('\\', out),
    }
}

fn push(c: char, out: &mut String) -> usize {
    out.push(c);
    1
}
