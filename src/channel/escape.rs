//! Values from labels and annotations inside a vendor's markdown: they read as typed and mean nothing.
//!
//! Feishu documents HTML entities. DingTalk and WeCom document no escape, so what could pair or open a tag becomes its
//! full-width form, which every Chinese font has, and what matters only by its place gets a zero-width space beside it.
//! What can do no harm where it stands (`node_cpu_seconds`, `5 > 3`, `a@b.com`) is left as it is.

/// Breaks up what a parser would read together; drawn as nothing. Not white space to CommonMark or regular expressions.
pub(super) const GAP: char = '\u{200b}';

/// How a dangerous character is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// DingTalk, WeCom: full-width forms and gaps.
    Wide,
    /// Feishu: decimal HTML entities.
    Entity,
}

/// Neutralises a value. Linear in its length; the result is one line without control characters.
pub(super) fn escape(value: &str, style: Style) -> String {
    let text = one_line(value);
    let mut out = String::with_capacity(text.len() + 16);
    let mut prev = None;
    let mut inside_word = false;
    let lonely = lonely_brackets(&text);
    let mut lonely = lonely.iter().peekable();
    for (at, c) in text.char_indices() {
        let rest = text.get(at + c.len_utf8()..).unwrap_or_default();
        if c == '_' && prev != Some('_') {
            inside_word = prev.is_some_and(char::is_alphanumeric) && word_follows(rest);
        }
        if lonely.next_if_eq(&&at).is_some() {
            // It would close, or keep open, a link that a template puts around the value.
            out.push_str(&alike(c, style));
            prev = Some(c);
            continue;
        }
        let place = Place { typed: text.get(..at).unwrap_or_default(), prev, rest };
        let dangerous = if c == '_' { !inside_word } else { place.dangerous(c, style) };
        if dangerous {
            write(&mut out, c, style)
        } else {
            out.push(c)
        }
        prev = Some(c);
    }
    out
}

/// One line: line breaks with the blanks around them become one space, other control characters a space; characters
/// that are invisible or turn the writing direction go.
pub(super) fn one_line(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut after_break = false;
    for c in visible(value) {
        if matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            out.truncate(out.trim_end_matches(' ').len());
            after_break = true;
            continue;
        }
        let c = if c.is_control() { ' ' } else { c };
        if after_break {
            if c == ' ' {
                continue;
            }
            out.push(' ');
            after_break = false;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

/// The characters of a text without those that hide or turn others. Joiners stay where they join letters or emoji.
pub(super) fn visible(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut prev = '\0';
    text.char_indices().filter_map(move |(at, c)| {
        let joins = matches!(c, '\u{200c}' | '\u{200d}')
            && !prev.is_ascii()
            && text
                .get(at + c.len_utf8()..)
                .and_then(|rest| rest.chars().next())
                .is_some_and(|next| !next.is_ascii() && !is_hidden(next));
        let keep = joins || !is_hidden(c);
        if keep {
            prev = c;
        }
        keep.then_some(c)
    })
}

/// Zero-width, filler, bidirectional and tag characters.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Where a character stands in its value.
struct Place<'a> {
    typed: &'a str,
    prev: Option<char>,
    rest: &'a str,
}

impl Place<'_> {
    /// Whether the character could mean something to the vendor here, or together with what a template puts around it.
    fn dangerous(&self, c: char, style: Style) -> bool {
        let next = self.rest.chars().next();
        let first = self.prev.is_none();
        match c {
            // In a table it would begin a new cell, wherever it stands.
            '`' | '|' => true,
            '<' => style == Style::Entity || !matches!(next, Some(' ' | '=' | '0'..='9')),
            // Documented as to be written as entities; a half-escaped pair of brackets would lack a partner.
            '>' | '[' | ']' if style == Style::Entity => true,
            // At the end of a heading it would be taken for its closing mark; `C#` is not.
            '#' => first || (next.is_none() && matches!(self.prev, Some(' ' | '#'))),
            '>' | '=' | '[' | '(' => first,
            // List marks and rules; "-5" and "-flag" are neither.
            '-' | '+' => first && !next.is_some_and(|c| c.is_alphanumeric() || c == '.'),
            '.' | ')' => matches!(next, None | Some(' ')) && self.follows_number(),
            '*' => !(self.prev == Some(' ') && next == Some(' ')),
            // `http://host/~user` can open a strike-out but none such can close one.
            '~' => !(self.prev == Some('/') && next.is_some_and(char::is_alphanumeric)),
            ']' => matches!(next, None | Some('(' | '[' | ':')),
            // A link behind it would become an image.
            '!' => next.is_none(),
            '\\' => next.is_none_or(|c| c.is_ascii_punctuation()),
            '&' => entity_follows(self.rest),
            // Feishu draws `:DONE:` as an emoji and documents the colon's entity; elsewhere only a table's `:-` matters.
            ':' => {
                (first && next == Some('-')) || style == Style::Entity && next.is_some_and(|c| c.is_ascii_alphabetic())
            }
            '@' => style == Style::Wide && !self.inside_address(next),
            _ => false,
        }
    }

    /// A list number may have nine digits.
    fn follows_number(&self) -> bool {
        (1..=9).contains(&self.typed.len()) && self.typed.bytes().all(|b| b.is_ascii_digit())
    }

    /// `a@b.com`, but neither `a@all` nor `a@138...`.
    fn inside_address(&self, next: Option<char>) -> bool {
        let all = self.rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("all"))
            && !self.rest.chars().nth(3).is_some_and(char::is_alphanumeric);
        self.prev.is_some_and(char::is_alphanumeric) && next.is_some_and(|c| c.is_ascii_alphabetic()) && !all
    }
}

/// Whether a letter or digit stands behind the underscores at the beginning of `rest`.
fn word_follows(rest: &str) -> bool {
    rest.trim_start_matches('_').chars().next().is_some_and(char::is_alphanumeric)
}

/// Whether `rest`, behind an ampersand, makes an HTML entity. The longest name has 31 characters.
fn entity_follows(rest: &str) -> bool {
    let name = rest.bytes().take(40).take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
    name > 0 && rest.as_bytes().get(name) == Some(&b';')
}

/// Byte offsets, in order, of square brackets without a partner.
fn lonely_brackets(text: &str) -> Vec<usize> {
    let (mut open, mut lonely) = (Vec::new(), Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => open.push(at),
            b']' if open.pop().is_none() => lonely.push(at),
            _ => {}
        }
    }
    lonely.append(&mut open);
    lonely.sort_unstable();
    lonely
}

fn write(out: &mut String, c: char, style: Style) {
    match c {
        _ if style == Style::Entity => out.push_str(&alike(c, style)),
        '<' | '*' | '_' | '`' | '~' | '@' | '|' => out.push_str(&alike(c, style)),
        ']' | '\\' | '&' | '!' => out.extend([c, GAP]),
        _ => out.extend([GAP, c]),
    }
}

fn alike(c: char, style: Style) -> String {
    match style {
        Style::Wide => wide(c).to_string(),
        Style::Entity => format!("&#{};", u32::from(c)),
    }
}

/// The full-width form of a printable ASCII character.
pub(super) fn wide(c: char) -> char {
    if c.is_ascii_graphic() { char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c) } else { c }
}
