//! Takes a Go template apart into text and the words of its actions.

use super::source::{Pos, Problem};

/// The largest file, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// Text between actions, already trimmed as the actions beside it ask for.
    Text(String),
    Comment(String),
    /// `{{`
    Begin,
    /// `}}`
    End,
    Field(String),
    Dot,
    Variable(String),
    Name(String),
    Quoted(String),
    Number(String),
    Open,
    Close,
    Bar,
    Comma,
    Declare,
    Assign,
}

/// A token, where it begins, and whether it stands right behind the one before.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) pos: Pos,
    pub(super) glued: bool,
}

/// Reads all of it. Linear in the text's length.
///
/// # Errors
/// Where it is no Go template, or that it is over [`MAX_BYTES`].
pub(super) fn lex(text: &str) -> Result<Vec<Lexeme>, Problem> {
    if text.len() > MAX_BYTES {
        return Err(Problem::new(Pos::default(), "the template is over 1 MiB", ""));
    }
    let mut lexer = Lexer { rest: text, pos: Pos { line: 1, column: 1 }, found: Vec::new(), glued: false };
    lexer.all()?;
    Ok(lexer.found)
}

struct Lexer<'a> {
    rest: &'a str,
    pos: Pos,
    found: Vec<Lexeme>,
    glued: bool,
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

impl<'a> Lexer<'a> {
    fn all(&mut self) -> Result<(), Problem> {
        let mut trim = false;
        loop {
            let end = self.rest.find("{{").unwrap_or(self.rest.len());
            let pos = self.pos;
            let mut text = self.take(end);
            if trim {
                text = text.trim_start_matches(is_space);
            }
            if self.rest.is_empty() {
                self.text(text, pos);
                return Ok(());
            }
            let begin = self.pos;
            self.take(2);
            // Only a dash with a blank behind it trims: `{{-3}}` is a number.
            if self.rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space)) {
                self.take(1);
                text = text.trim_end_matches(is_space);
            }
            self.text(text, pos);
            let blanks = self.rest.len() - self.rest.trim_start_matches(is_space).len();
            trim = if self.rest.get(blanks..).is_some_and(|rest| rest.starts_with("/*")) {
                self.take(blanks);
                self.comment(begin)?
            } else {
                self.action(begin)?
            };
        }
    }

    fn text(&mut self, text: &str, pos: Pos) {
        if !text.is_empty() {
            self.push(Token::Text(text.to_owned()), pos);
        }
    }

    fn push(&mut self, token: Token, pos: Pos) {
        self.found.push(Lexeme { token, pos, glued: self.glued });
        self.glued = true;
    }

    /// The next `length` bytes, which must end on a character.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        for c in taken.chars() {
            if c == '\n' {
                self.pos = Pos { line: self.pos.line + 1, column: 1 };
            } else {
                self.pos.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    /// Takes `}}` or ` -}}`; says whether the text behind it is trimmed.
    fn end(&mut self) -> Option<bool> {
        if self.rest.starts_with("}}") {
            self.take(2);
            return Some(false);
        }
        let dash = self.rest.trim_start_matches(is_space);
        if dash.len() < self.rest.len() && dash.starts_with("-}}") {
            let length = self.rest.len() - dash.len() + 3;
            self.take(length);
            return Some(true);
        }
        None
    }

    fn comment(&mut self, begin: Pos) -> Result<bool, Problem> {
        let open = || Problem::new(begin, "this comment does not end", "a comment is {{/* ... */}}");
        self.take(2);
        let end = self.rest.find("*/").ok_or_else(open)?;
        let text = self.take(end).to_owned();
        self.take(2);
        let trim = self.end().ok_or_else(open)?;
        self.push(Token::Comment(text), begin);
        Ok(trim)
    }

    fn action(&mut self, begin: Pos) -> Result<bool, Problem> {
        self.push(Token::Begin, begin);
        loop {
            if let Some(trim) = self.end() {
                self.push(Token::End, self.pos);
                return Ok(trim);
            }
            let blanks = self.rest.len() - self.rest.trim_start_matches(is_space).len();
            if blanks > 0 {
                self.take(blanks);
                self.glued = false;
                continue;
            }
            let pos = self.pos;
            let token = self.token(begin)?;
            self.push(token, pos);
        }
    }

    fn word(&mut self, from: usize) -> String {
        let tail = self.rest.get(from..).unwrap_or_default();
        let end = tail.find(|c| !is_word(c)).unwrap_or(tail.len());
        self.take(from + end).get(from..).unwrap_or_default().to_owned()
    }

    fn token(&mut self, begin: Pos) -> Result<Token, Problem> {
        let mut chars = self.rest.chars();
        let Some(first) = chars.next() else {
            return Err(Problem::new(begin, "this action does not end", "every {{ needs its }}"));
        };
        let second = chars.next();
        let single = match first {
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '|' => Some(Token::Bar),
            ',' => Some(Token::Comma),
            '=' => Some(Token::Assign),
            _ => None,
        };
        if let Some(token) = single {
            self.take(1);
            return Ok(token);
        }
        match (first, second) {
            (':', Some('=')) => {
                self.take(2);
                Ok(Token::Declare)
            }
            ('"' | '`' | '\'', _) => self.quoted(first),
            ('$', _) => Ok(Token::Variable(self.word(1))),
            ('.', Some(c)) if c.is_ascii_digit() => self.number(),
            ('.', Some(c)) if is_word(c) => Ok(Token::Field(self.word(1))),
            ('.', _) => {
                self.take(1);
                Ok(Token::Dot)
            }
            ('0'..='9', _) => self.number(),
            ('+' | '-', Some(c)) if c.is_ascii_digit() || c == '.' => self.number(),
            (c, _) if is_word(c) => Ok(Token::Name(self.word(0))),
            (c, _) => Err(Problem::new(self.pos, format!("{c:?} has no meaning here"), "")),
        }
    }

    fn number(&mut self) -> Result<Token, Problem> {
        let pos = self.pos;
        let mut last = '\0';
        let part = |c: char| {
            let sign = matches!(c, '+' | '-') && (last == '\0' || matches!(last, 'e' | 'E'));
            let takes = sign || c == '.' || is_word(c);
            last = c;
            takes
        };
        let mut part = part;
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let text = self.take(end).replace('_', "");
        let whole = text.parse::<i64>().is_ok();
        if whole || text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(Token::Number(text));
        }
        let bare = text.trim_start_matches(['+', '-']);
        let based = |prefix: &str, radix| i64::from_str_radix(bare.strip_prefix(prefix)?, radix).ok();
        match based("0x", 16).or_else(|| based("0o", 8)).or_else(|| based("0b", 2)) {
            Some(number) if text.starts_with('-') => Ok(Token::Number(format!("-{number}"))),
            Some(number) => Ok(Token::Number(number.to_string())),
            None => Err(Problem::new(pos, format!("{:?} is no number", short(&text)), "")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, Problem> {
        let pos = self.pos;
        let open = || Problem::new(pos, "this quote does not end", "");
        self.take(1);
        if quote == '`' {
            let end = self.rest.find('`').ok_or_else(open)?;
            let text = self.take(end).replace('\r', "");
            self.take(1);
            return Ok(Token::Quoted(text));
        }
        let mut text = String::new();
        loop {
            let c = self.rest.chars().next().filter(|c| *c != '\n').ok_or_else(open)?;
            if c == '\\' {
                text.push(self.escape(quote)?);
                continue;
            }
            self.take(c.len_utf8());
            if c == quote {
                break;
            }
            text.push(c);
        }
        // A character is a number to Go.
        match (quote, text.chars().next()) {
            ('\'', Some(c)) if text.chars().count() == 1 => Ok(Token::Number(u32::from(c).to_string())),
            ('\'', _) => Err(Problem::new(pos, "only one character stands between these quotes", "write \"...\"")),
            _ => Ok(Token::Quoted(text)),
        }
    }

    /// A backslash and what it means. Bytes of a split character (`\xe4\xb8`) are not put together.
    fn escape(&mut self, quote: char) -> Result<char, Problem> {
        let pos = self.pos;
        let wrong = || Problem::new(pos, "this backslash means nothing to Go", "write \\\\ for a backslash");
        self.take(1);
        let c = self.rest.chars().next().ok_or_else(wrong)?;
        self.take(c.len_utf8());
        let digits = match c {
            'n' => return Ok('\n'),
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'v' => return Ok('\u{b}'),
            '\\' => return Ok('\\'),
            c if c == quote => return Ok(c),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(wrong()),
        };
        let code = self.rest.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let found = code.and_then(char::from_u32).filter(|c| digits > 2 || c.is_ascii()).ok_or_else(wrong)?;
        self.take(digits);
        Ok(found)
    }
}

/// The front of a text, for a sentence.
pub(super) fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
