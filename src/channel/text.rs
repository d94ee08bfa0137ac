//! Small helpers on message texts that several vendors share.

use super::escape::{GAP, visible, wide};
use crate::model::{Contact, Lang, Mentions};

/// The text with its title as first line, unless it begins with that line already.
pub(super) fn with_title(title: &str, body: &str) -> String {
    let has_it = body.lines().next().is_some_and(|line| line.trim() == title);
    match (title.is_empty() || has_it, body.is_empty()) {
        (true, _) => body.to_owned(),
        (false, true) => title.to_owned(),
        (false, false) => format!("{title}\n{body}"),
    }
}

/// Makes plain text safe: invisible and turning characters go, and each `<` that `opens` finds to begin a tag becomes
/// full-width, but where one of the `calls` stands: that is replaced by its partner.
pub(super) fn plain(text: &str, calls: &[(String, String)], opens: fn(&str) -> bool) -> String {
    let text: String = visible(text).filter(|c| *c == '\n' || !c.is_control()).collect();
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.as_str();
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let call = calls.iter().find_map(|(from, to)| tag.strip_prefix(from.as_str()).map(|behind| (to, behind)));
        if let Some((to, behind)) = call {
            out.push_str(to);
            rest = behind;
            continue;
        }
        // `<` is one byte.
        rest = tag.get(1..).unwrap_or_default();
        out.push(if opens(rest) { wide('<') } else { '<' });
    }
    out.push_str(rest);
    out
}

/// A part of a text in markdown, as people read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece<'a> {
    /// Stands in the markdown as it is.
    Text(&'a str),
    /// Name, which may hold markup, and address.
    Link(&'a str, &'a str),
    /// A new line.
    Break,
}

/// The parts of a markdown text without its markup: tags of colour, emphasis, heading and quote marks, gaps.
pub(super) fn pieces<'a>(markdown: &'a str, each: &mut impl FnMut(Piece<'a>)) {
    for (at, line) in markdown.split('\n').enumerate() {
        if at > 0 {
            each(Piece::Break);
        }
        let line = line.trim();
        let line = line.strip_prefix('>').map_or(line, str::trim_start);
        let heading = line.trim_start_matches('#');
        let line = if heading.len() < line.len() && heading.starts_with(' ') { heading.trim_start() } else { line };
        inline(line, each);
    }
}

/// The parts of one line.
fn inline<'a>(line: &'a str, each: &mut impl FnMut(Piece<'a>)) {
    let (mut begin, mut at) = (0, 0);
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let Some(c) = rest.chars().next() else { break };
        let (found, behind) = match c {
            GAP | '`' => (None, rest.get(c.len_utf8()..)),
            '*' => (None, rest.strip_prefix("**")),
            '<' => match (tag(rest, "br"), tag(rest, "font").or_else(|| tag(rest, "text_tag"))) {
                (Some(behind), _) => (Some(Piece::Break), Some(behind)),
                (None, behind) => (None, behind),
            },
            '[' | '!' => match link(rest) {
                Some((name, address, behind)) => (Some(Piece::Link(name, address)), Some(behind)),
                None => (None, None),
            },
            _ => (None, None),
        };
        let Some(behind) = behind else {
            at += c.len_utf8();
            continue;
        };
        run(line.get(begin..at), each);
        found.into_iter().for_each(&mut *each);
        at = line.len() - behind.len();
        begin = at;
    }
    run(line.get(begin..), each);
}

fn run<'a>(text: Option<&'a str>, each: &mut impl FnMut(Piece<'a>)) {
    text.filter(|text| !text.is_empty()).map(Piece::Text).into_iter().for_each(each);
}

impl Piece<'_> {
    /// As plain text: a link becomes name and address.
    pub(super) fn write(self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Break => out.push('\n'),
            Self::Link(name, address) => {
                let named = !name.is_empty() && name != address;
                if named {
                    name_parts(name).into_iter().for_each(|part| out.push_str(part));
                }
                if named && !address.is_empty() {
                    out.push(' ');
                }
                out.push_str(address);
            }
        }
    }
}

/// Plain text for people from the markdown that DingTalk and WeCom share.
pub(super) fn from_markdown(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    pieces(markdown, &mut |piece| piece.write(&mut out));
    out
}

/// The parts of a link's name without markup.
pub(super) fn name_parts(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    inline(name, &mut |piece| parts.extend(if let Piece::Text(text) = piece { Some(text) } else { None }));
    parts
}

/// The text without tags of colour.
pub(super) fn without_colours(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some(at) = rest.find('<') {
        let (before, opened) = rest.split_at(at);
        out.push_str(before);
        rest = tag(opened, "font").unwrap_or_else(|| {
            out.push('<');
            // `<` is one byte.
            opened.get(1..).unwrap_or_default()
        });
    }
    out.push_str(rest);
    out
}

/// Longest tag, link name and link address that are looked for, in bytes: keeps hostile text linear.
const MAX_TAG: usize = 64;
const MAX_NAME: usize = 300;
const MAX_ADDRESS: usize = 4_000;

/// What stands behind a tag of this name, opening or closing, at the beginning.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let inside = text.strip_prefix('<')?;
    let inside = inside.strip_prefix('/').unwrap_or(inside);
    let (found, behind) = inside.split_at_checked(name.len())?;
    let ends = behind.starts_with(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'));
    if !found.eq_ignore_ascii_case(name) || !ends {
        return None;
    }
    text.get(find_byte(text, b'>', MAX_TAG)? + 1..)
}

/// Name, address and what stands behind a link or image at the beginning. The name holds no bracket.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let inside = text.strip_prefix("![").or_else(|| text.strip_prefix('['))?;
    let close = inside.bytes().take(MAX_NAME).position(|b| b == b']' || b == b'[')?;
    let address = inside.get(close..)?.strip_prefix("](")?;
    let end = find_byte(address, b')', MAX_ADDRESS)?;
    Some((inside.get(..close)?, address.get(..end)?, address.get(end + 1..)?))
}

fn find_byte(text: &str, wanted: u8, within: usize) -> Option<usize> {
    text.bytes().take(within).position(|b| b == wanted)
}

/// Makes every line of a markdown text a line in the chat: `within` stands for a single line break between blocks of text;
/// a blank line where a quote, a list, a table or a rule would else take in its neighbour.
pub(super) fn break_lines(text: &str, within: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut fenced = false;
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_end();
        out.push_str(line);
        fenced ^= line.trim_start().starts_with("```");
        let Some(next) = lines.peek() else { break };
        out.push_str(match (fenced || line.is_empty() || next.trim().is_empty(), parted(line, next)) {
            (true, _) => "\n",
            (false, true) => "\n\n",
            (false, false) => within,
        });
    }
    out
}

fn parted(line: &str, next: &str) -> bool {
    let rule =
        |line: &str| !line.trim().is_empty() && line.trim().bytes().all(|b| matches!(b, b'-' | b'=' | b'*' | b'_'));
    let (before, behind) = (Block::of(line), Block::of(next));
    let continued = before == Block::List && next.starts_with("  ");
    rule(next) || (before != Block::Text && before != behind && !continued)
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Block {
    Text,
    Quote,
    List,
    Table,
}

impl Block {
    fn of(line: &str) -> Self {
        let line = line.trim_start();
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        if line.starts_with('>') {
            Self::Quote
        } else if line.starts_with('|') {
            Self::Table
        } else if ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark))
            || (number.len() < line.len() && number.starts_with(". "))
        {
            Self::List
        } else {
            Self::Text
        }
    }
}

/// The parts of a text in which a vendor certainly looks for keywords: addresses and, in markdown, tags and link
/// targets are left out.
pub(super) fn keyword_parts(text: &str, markdown: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut at) = (0, 0);
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        match skipped(rest, markdown) {
            0 => at += 1,
            length => {
                parts.extend(text.get(begin..at));
                at += length;
                begin = at;
            }
        }
    }
    parts.extend(text.get(begin..));
    parts.retain(|part| !part.is_empty());
    parts
}

/// Bytes at the beginning that are no text to the vendor; an empty `rest` stands for the middle of a character.
fn skipped(rest: &str, markdown: bool) -> usize {
    let address_end = |from: usize| {
        let stop = |b: u8| b.is_ascii_whitespace() || matches!(b, b')' | b'<' | b'>' | b'"') || !b.is_ascii();
        rest.bytes().skip(from).position(stop).map_or(rest.len(), |end| from + end)
    };
    match rest.as_bytes().first() {
        Some(b'h') if rest.starts_with("http://") || rest.starts_with("https://") => address_end(0),
        Some(b']') if markdown && rest.starts_with("](") => find_byte(rest, b')', MAX_ADDRESS).map_or(0, |end| end + 1),
        Some(b'<') if markdown => {
            let tag = rest.as_bytes().get(1).is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'@'));
            if tag { find_byte(rest, b'>', MAX_TAG * 4).map_or(0, |end| end + 1) } else { 0 }
        }
        _ => 0,
    }
}

/// Everybody, as people read it.
pub(super) const fn everybody(lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => "@所有人",
        Lang::En => "@all",
    }
}

/// An id that can stand in a mention: it comes from the config and is still not trusted to be one.
pub(super) fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@'))
}

/// A telephone number as the vendors take it.
pub(super) fn is_mobile(mobile: &str) -> bool {
    (5..=20).contains(&mobile.len()) && mobile.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-'))
}

/// Everybody when `all`, then each person by `person`, with spaces between.
pub(super) fn join(mentions: &Mentions, all: &str, person: impl Fn(&Contact) -> String) -> String {
    let everybody = mentions.all.then(|| all.to_owned());
    let people = mentions.people.iter().map(person).filter(|text| !text.is_empty());
    everybody.into_iter().chain(people).collect::<Vec<_>>().join(" ")
}
