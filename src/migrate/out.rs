//! Writes Handlebars so that what Go would print is printed: blanks, line breaks, braces and backslashes included.

use std::collections::VecDeque;

use super::value::Ex;

/// Pieces that one address may consist of.
const MAX_PARTS: usize = 20;

/// A piece of the result.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Piece {
    /// Shown as it is.
    Text(String),
    /// A value, and whether it stands in a block that changes the context.
    Show(Ex, bool),
    /// `#if x`, `else`, `/if`: what stands between the braces.
    Tag(String),
    Comment(String),
}

/// The template's source.
pub(super) fn source(pieces: Vec<Piece>) -> String {
    let mut writer = Writer::default();
    for piece in joined(urls(pieces)) {
        match piece {
            Piece::Text(text) => writer.text(&text),
            Piece::Show(ex, inside) => writer.tag(&ex.tag(inside), false),
            Piece::Tag(tag) => writer.tag(&tag, true),
            Piece::Comment(text) => writer.tag(&format!("!-- {} --", harmless(&text)), true),
        }
    }
    writer.out
}

/// A comment's text without what would end it or look like a tag.
fn harmless(text: &str) -> String {
    let text = text.replace("{{", "{ {").replace("}}", "} }").replace("--", "- -");
    text.trim().trim_end_matches('-').trim_end().to_owned()
}

#[derive(Default)]
struct Writer {
    out: String,
    /// The last thing written is a tag that Handlebars takes for a line of its own, with the break behind it.
    alone: bool,
}

impl Writer {
    fn text(&mut self, text: &str) {
        // Handlebars leaves out the line break behind a tag that stands alone; Go does not.
        if self.alone && text.trim_start_matches([' ', '\t']).starts_with(['\n', '\r']) {
            self.out.push('\n');
        }
        self.alone = false;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            self.out.push_str(before);
            self.tag("raw \"\\u007b\\u007b\"", false);
            rest = after;
        }
        self.out.push_str(rest);
    }

    fn tag(&mut self, tag: &str, block: bool) {
        // A backslash before a tag would make text of it.
        if self.out.ends_with('\\') {
            self.out.push('\\');
        }
        if self.out.ends_with('{') {
            self.out.pop();
            self.tag("raw \"\\u007b\"", false);
        }
        let line = self.out.trim_end_matches([' ', '\t']);
        self.alone = block && (line.is_empty() || line.ends_with(['\n', '\r']));
        self.out.push_str("{{");
        self.out.push_str(tag);
        self.out.push_str("}}");
    }
}

/// Neighbouring texts as one, so that what is looked for in them is found.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => out.push(piece),
        }
    }
    out.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    out
}

/// `](a/{{b}})` becomes `]({{url "a/" b}})`: a value in a link's address is made safe as an address, not as text.
fn urls(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut pieces: VecDeque<Piece> = joined(pieces).into();
    let mut out = Vec::with_capacity(pieces.len());
    while let Some(piece) = pieces.pop_front() {
        let found = address(&piece).and_then(|(text, from)| Some((text.to_owned(), whole(&pieces, from)?)));
        let Some((text, (url, rest, used))) = found else {
            out.push(piece);
            continue;
        };
        out.extend([Piece::Text(text), url]);
        pieces.drain(..used);
        // What stands behind this link may hold the beginning of the next one.
        pieces.push_front(Piece::Text(rest));
    }
    out
}

/// The text up to an open `](`, and the beginning of the address behind it. Only what may begin a web address: values
/// in addresses of other kinds stay as they are.
fn address(piece: &Piece) -> Option<(&str, &str)> {
    let Piece::Text(text) = piece else { return None };
    let at = text.rfind("](")? + 2;
    let (text, from) = text.split_at_checked(at)?;
    let web = from.is_empty() || from.starts_with("http://") || from.starts_with("https://");
    (web && !from.contains([')', '\n'])).then_some((text, from))
}

/// The address as one expression, the text behind it from its `)` on, and how many pieces that took.
fn whole(pieces: &VecDeque<Piece>, begin: &str) -> Option<(Piece, String, usize)> {
    let mut args = Vec::new();
    if !begin.is_empty() {
        args.push(Ex::Text(begin.to_owned()));
    }
    let mut inside = false;
    for (at, piece) in pieces.iter().enumerate().take(MAX_PARTS) {
        match piece {
            Piece::Show(ex, within) => {
                inside |= within;
                args.push(ex.clone());
            }
            Piece::Text(text) => {
                let (before, rest) = match text.find([')', '\n']) {
                    Some(end) => text.split_at_checked(end)?,
                    None => (text.as_str(), ""),
                };
                if !before.is_empty() {
                    args.push(Ex::Text(before.to_owned()));
                }
                if rest.starts_with(')') {
                    let found = args.iter().any(|arg| !matches!(arg, Ex::Text(_)));
                    return found.then(|| (Piece::Show(Ex::call("url", args), inside), rest.to_owned(), at + 1));
                }
                if !rest.is_empty() {
                    return None;
                }
            }
            Piece::Tag(_) | Piece::Comment(_) => return None,
        }
    }
    None
}
