//! The vendors' own tags (`<font>`, `<at>`, `<@id>`), taken out of a text before its markdown is read.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::super::vendor::text::attributes;
use super::markdown::Flavour;

// Rare punctuation marks, since a parser of Markdown takes the `<` and `>` that they stand for as such: whether `**`
// beside a tag makes bold depends on it.
const OPEN: char = '\u{12470}';
const CLOSE: char = '\u{12471}';
/// Keeps a line from being read as a block.
pub(super) const GUARD: char = '\u{12472}';

#[derive(Clone, Debug)]
pub(super) enum Colour {
    Class(&'static str),
    Hex(String),
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    FontOpen(Colour),
    FontClose,
    LabelOpen(Colour),
    LabelClose,
    At(Vec<String>),
    Break,
}

#[allow(clippy::expect_used)]
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"<@(?P<id>[^<>@\s]{1,64})>|<(?P<close>/?)(?P<name>[a-z_]{1,12})\b(?P<rest>[^<>\n]{0,400})>")
        .expect("a constant pattern")
});

/// Names of colours that have a class.
fn class(name: &str) -> Option<Colour> {
    Some(Colour::Class(match name {
        "info" => "c-info",
        "comment" => "c-comment",
        "warning" => "c-warning",
        "red" | "red-500" | "red-600" => "c-red",
        "green" | "green-500" | "green-600" | "lime" => "c-green",
        "grey" | "gray" | "neutral" | "grey-500" | "grey-600" => "c-grey",
        "orange" | "orange-500" | "orange-600" => "c-orange",
        "yellow" => "c-yellow",
        "blue" | "blue-500" | "blue-600" | "wathet" => "c-blue",
        "turquoise" => "c-turquoise",
        "purple" | "violet" | "indigo" => "c-purple",
        "carmine" => "c-carmine",
        _ => return None,
    }))
}

fn colour(flavour: Flavour, rest: &str) -> Option<Colour> {
    let value = attributes(rest).into_iter().find(|(name, _)| name == "color")?.1.to_ascii_lowercase();
    match flavour {
        // Three names and no others.
        Flavour::WeCom if !["info", "comment", "warning"].contains(&value.as_str()) => None,
        Flavour::WeCom => class(&value),
        Flavour::Card if ["info", "comment", "warning"].contains(&value.as_str()) => None,
        Flavour::Card => class(&value),
        Flavour::DingTalk => {
            let hex = value.strip_prefix('#').filter(|hex| matches!(hex.len(), 3 | 6));
            let hex = hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            hex.map(|hex| Colour::Hex(format!("#{hex}"))).or_else(|| class(&value))
        }
        Flavour::WeComV2 => None,
    }
}

/// A piece of vendor markup, and how it was written.
pub(super) struct Pieces(Vec<(Piece, String)>);

impl Pieces {
    /// Takes the vendor's tags out of a text.
    pub(super) fn take(flavour: Flavour, text: &str) -> (Self, String) {
        let mut pieces = Vec::new();
        let clean: String =
            text.chars().map(|c| if matches!(c, OPEN | CLOSE | GUARD) { '\u{fffd}' } else { c }).collect();
        let mut replace = |found: &Captures<'_>| {
            let written = found.get(0).map_or("", |found| found.as_str()).to_owned();
            let Some(piece) = piece(flavour, found) else { return written };
            pieces.push((piece, written));
            format!("{OPEN}{}{CLOSE}", pieces.len() - 1)
        };
        let mut end = 0;
        let mut out = String::with_capacity(clean.len());
        for found in TAG.captures_iter(&clean) {
            // A closing tag that went with its opening one is found once more here.
            let Some(whole) = found.get(0).filter(|whole| whole.start() >= end) else { continue };
            out.push_str(clean.get(end..whole.start()).unwrap_or(""));
            end = whole.end();
            let new = replace(&found);
            // `<at id=x></at>`: what stands between the tags is not drawn.
            if new.starts_with(OPEN) && found.name("name").is_some_and(|name| name.as_str() == "at") {
                let rest = clean.get(end..).unwrap_or("");
                if let Some(close) = rest.find("</at>").filter(|close| *close <= 64) {
                    end += close + "</at>".len();
                }
            }
            out.push_str(&new);
        }
        out.push_str(clean.get(end..).unwrap_or(""));
        (Self(pieces), out)
    }

    pub(super) fn get(&self, index: &str) -> Option<&(Piece, String)> {
        self.0.get(index.parse::<usize>().ok()?)
    }

    /// The text as it was written.
    pub(super) fn restore(&self, text: &str) -> String {
        let mut out = String::new();
        for (plain, piece) in split(text) {
            out.push_str(&plain.replace(GUARD, ""));
            if let Some((_, written)) = piece.and_then(|index| self.get(index)) {
                out.push_str(written);
            }
        }
        out
    }
}

/// Runs of plain text, each with the number of the piece that follows it.
pub(super) fn split(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((plain, after)) = text.split_once(OPEN) else {
            rest = None;
            return Some((text, None));
        };
        let (index, after) = after.split_once(CLOSE).unwrap_or((after, ""));
        rest = Some(after);
        Some((plain, Some(index)))
    })
}

fn piece(flavour: Flavour, found: &Captures<'_>) -> Option<Piece> {
    if let Some(id) = found.name("id") {
        return (flavour == Flavour::WeCom).then(|| Piece::At(vec![id.as_str().to_owned()]));
    }
    let closes = found.name("close").is_some_and(|close| !close.as_str().is_empty());
    let rest = found.name("rest").map_or("", |rest| rest.as_str());
    let card = flavour == Flavour::Card;
    match (found.name("name")?.as_str(), closes) {
        ("font", true) if flavour != Flavour::WeComV2 => Some(Piece::FontClose),
        ("font", false) => colour(flavour, rest).map(Piece::FontOpen),
        ("text_tag", true) if card => Some(Piece::LabelClose),
        ("text_tag", false) if card => Some(Piece::LabelOpen(colour(flavour, rest).unwrap_or(Colour::Class("c-grey")))),
        ("br", _) if card || flavour == Flavour::DingTalk => Some(Piece::Break),
        ("at", false) if card => {
            let (name, value) = attributes(rest).into_iter().find(|(name, _)| name == "id" || name == "ids")?;
            let split = |value: &str| value.split(',').map(str::to_owned).collect();
            Some(Piece::At(if name == "ids" { split(&value) } else { vec![value] }))
        }
        _ => None,
    }
}
