//! What holds for every message, whatever its template did: keywords, mention text, the list link, the size.

use super::facts::Facts;
use super::marks::{cut, one_line};
use super::{KeywordMode, Scene, identity};
use crate::model::{Alert, Dialect, Draft};

/// Longest title, in characters: a push preview shows about forty.
pub(super) const TITLE_CHARS: usize = 150;

/// Lines that must stand in the body; empty ones need not.
pub(super) struct Parts {
    pub(super) list: String,
    pub(super) mentions: String,
}

/// The built-in title, for when there is no other. `before_name` stands before the alert's name.
pub(super) fn title(scene: &Scene, facts: &Facts<'_>, before_name: &str) -> String {
    let lead = facts.lead.map(|lead| &*lead.alert);
    let name = lead.map(identity::name).unwrap_or_default();
    let found = lead.map(|lead| facts.identity(lead)).unwrap_or_default();
    let first = found.first().map_or("", |first| identity::without_port(first));
    let cluster = lead.map(identity::cluster).unwrap_or_default();
    let name = format!("{before_name}{name}");
    one_line(&[facts.emoji, &facts.state(scene), &name, first, &cluster].join(" "), TITLE_CHARS)
}

/// Blanks at the ends of lines and runs of empty lines go.
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        out.push_str(line);
    }
    out
}

/// Adds the list link, the mention text and missing keywords as last lines, in this order.
pub(super) fn finish(dialect: &dyn Dialect, scene: &Scene, mut draft: Draft, parts: &Parts) -> Draft {
    for part in [&parts.list, &parts.mentions] {
        if !part.is_empty() && !holds_word(&draft.body, part) {
            add_line(&mut draft.body, part);
        }
    }
    let missing = missing_keywords(dialect, scene, &draft);
    if !missing.is_empty() {
        add_line(&mut draft.body, &missing.join(" "));
    }
    draft
}

pub(super) fn add_line(body: &mut String, line: &str) {
    if !body.is_empty() {
        body.push('\n');
    }
    body.push_str(line);
}

/// The vendor compares case-sensitively. For the mode `any`, the first keyword when none is there.
fn missing_keywords<'a>(dialect: &dyn Dialect, scene: &'a Scene, draft: &Draft) -> Vec<&'a str> {
    let texts = dialect.keyword_texts(draft);
    let missing: Vec<&str> = scene
        .keywords
        .iter()
        .map(String::as_str)
        .filter(|keyword| !keyword.is_empty() && !texts.iter().any(|text| text.contains(keyword)))
        .collect();
    let wanted = scene.keywords.iter().filter(|keyword| !keyword.is_empty()).count();
    match scene.keyword_mode {
        KeywordMode::All => missing,
        KeywordMode::Any if missing.len() == wanted => missing.into_iter().take(1).collect(),
        KeywordMode::Any => Vec::new(),
    }
}

/// Whether `text` holds `word`, not as part of a longer one: `node-1` does not stand in `node-10`.
pub(super) fn holds_word(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let (begins, ends) = (part(word.chars().next()), part(word.chars().next_back()));
    text.match_indices(word).any(|(at, found)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + found.len()..).and_then(|t| t.chars().next());
        let inside = begins && part(before) || ends && part(after);
        !inside
    })
}

/// Whether people can read which alert is meant: its name and the first of `identity`, with or without its port.
pub(super) fn names(dialect: &dyn Dialect, draft: &Draft, alert: &Alert, identity: &[String]) -> bool {
    let shows = |text: &str| {
        let in_place = |place: &String| holds_word(place, text) || holds_word(place, &dialect.escape(text));
        let mut facts = draft.facts.iter().map(|(_, value)| value);
        text.is_empty() || [&draft.body, &draft.title].into_iter().any(in_place) || facts.any(in_place)
    };
    let first = identity.first().map_or("", String::as_str);
    shows(&identity::name(alert)) && (shows(first) || shows(identity::without_port(first)))
}

/// Whether the vendor takes it.
pub(super) fn fits(dialect: &dyn Dialect, draft: &Draft) -> bool {
    dialect.size(draft) <= dialect.limit(draft)
}

/// The last resort for a plain draft that is too big although it holds only numbers: first the title gets short, then
/// the mention text goes with the people it calls, then the body is cut. Keywords stay to the end.
pub(super) fn squeeze(dialect: &dyn Dialect, scene: &Scene, bare: &str, mut draft: Draft, mut parts: Parts) -> Draft {
    let build = |title: &str, body: &str, parts: &Parts, draft: &Draft| {
        let draft = Draft { title: title.to_owned(), body: body.to_owned(), ..draft.clone() };
        finish(dialect, scene, draft, parts)
    };
    let mut title = draft.title.clone();
    for step in 0..4 {
        match step {
            0 => {}
            1 => title = cut(&title, 40),
            2 => parts.list.clear(),
            _ => {
                parts.mentions.clear();
                draft.mentions = Default::default();
            }
        }
        let made = build(&title, bare, &parts, &draft);
        if fits(dialect, &made) {
            return made;
        }
    }
    let (mut low, mut high) = (0, bare.chars().count());
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(dialect, &build(&title, &cut(bare, middle), &parts, &draft)) { low = middle } else { high = middle - 1 }
    }
    build(&title, &cut(bare, low), &parts, &draft)
}
