//! Feishu's rich text: lines of texts, links and calls, made from the markdown that cards have.
//!
//! A post shows no markdown, so its markup goes. Values were escaped for it, so what stands for a link or a call here was
//! written by a template. One locale is enough: every client shows the only one there is.

use serde_json::{Value, json};

use super::{MAX_LINKS, decode, open_id, opens};
use crate::channel::beside::{facts, is_verbatim, is_web, links};
use crate::channel::escape::one_line;
use crate::channel::text::{Piece, inline, keyword_parts, name_of, pieces, plain};
use crate::model::Draft;

type Line = Vec<Value>;

pub(super) fn post(draft: &Draft) -> Value {
    let calls = calls(draft);
    let mut lines = lines(&draft.body, &calls);
    lines.extend(more(draft));
    let missing = links(draft, MAX_LINKS).into_iter().filter(|(_, url)| !draft.body.contains(url));
    let mut last = Line::new();
    for (name, url) in missing {
        if !last.is_empty() {
            last.push(text(" · "));
        }
        last.push(link(&name, url));
    }
    lines.extend((!last.is_empty()).then_some(last));
    let title = one_line(&draft.title);
    if lines.is_empty() {
        lines.push(vec![text(if title.is_empty() { "alarmbell" } else { &title })]);
    }
    json!({"title": title, "content": lines})
}

/// Each text that calls somebody in a card, and the tag that does so here.
fn calls(draft: &Draft) -> Vec<(String, Value)> {
    let everybody = ("<at id=all></at>".to_owned(), json!({"tag": "at", "user_id": "all"}));
    let people = draft.mentions.people.iter().filter_map(|person| {
        let id = open_id(person)?;
        // The name is shown where the id is nobody's in this chat: a post is not refused for it, as a card is.
        let tag = json!({"tag": "at", "user_id": id, "user_name": one_line(&person.name)});
        Some((format!("<at id={id}></at>"), tag))
    });
    draft.mentions.all.then_some(everybody).into_iter().chain(people).collect()
}

/// The lines of a text in markdown; empty ones at its ends go.
fn lines(markdown: &str, calls: &[(String, Value)]) -> Vec<Line> {
    let mut lines = vec![Line::new()];
    pieces(markdown, &mut |piece| {
        let Some(line) = lines.last_mut() else { return };
        match piece {
            Piece::Break => lines.push(Line::new()),
            Piece::Text(found) => texts(found, calls, line),
            Piece::Link(name, url) if is_web(url) => line.push(link(&decode(&name_of(name)), url)),
            Piece::Link(name, url) => line.push(text(&shown(&format!("{} {url}", name_of(name))))),
        }
    });
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(0);
    let mut lines = lines.split_off(first);
    // Whether a line may be without any tag is not documented.
    lines.iter_mut().filter(|line| line.is_empty()).for_each(|line| line.push(text(" ")));
    lines
}

/// A text with calls in it.
fn texts(found: &str, calls: &[(String, Value)], line: &mut Line) {
    let mut rest = found;
    let mut begin = 0;
    let push = |from: &str| {
        let shown = shown(from);
        (!shown.is_empty()).then(|| text(&shown))
    };
    while let Some(at) = rest.get(begin..).and_then(|behind| behind.find('<')).map(|at| begin + at) {
        let (before, tag) = rest.split_at(at);
        let call = calls.iter().find_map(|(from, to)| Some((to, tag.strip_prefix(from.as_str())?)));
        match call {
            Some((to, behind)) => {
                line.extend(push(before));
                line.push(to.clone());
                rest = behind;
                begin = 0;
            }
            // `<` is one byte.
            None => begin = at + 1,
        }
    }
    line.extend(push(rest));
}

/// What the card would draw, harmless even to a client that read tags in it.
fn shown(markdown: &str) -> String {
    plain(&decode(markdown), &[], opens)
}

fn text(text: &str) -> Value {
    json!({"tag": "text", "text": text})
}

fn link(name: &str, url: &str) -> Value {
    let name = plain(&one_line(name), &[], opens);
    json!({"tag": "a", "text": if name.is_empty() { url } else { &name }, "href": url})
}

/// Facts and folded lines that the body does not have: a post has no place for them, but nothing may be lost.
fn more(draft: &Draft) -> Vec<Line> {
    let body = decode(&draft.body);
    let facts = facts(draft, usize::MAX).filter(|(_, value)| !body.contains(value.as_str()));
    let mut out: Vec<Line> =
        facts.map(|(name, value)| vec![text(&plain(format!("{name} {value}").trim(), &[], opens))]).collect();
    if let Some((head, folded)) = draft.folded.as_ref().filter(|(_, folded)| !draft.body.contains(folded.as_str())) {
        out.extend(lines(head, &[]));
        out.extend(lines(folded, &[]));
    }
    out
}

/// What stands in the post letter by letter.
pub(super) fn keyword_texts(draft: &Draft) -> Vec<&str> {
    let mut parts = vec![draft.title.trim()];
    pieces(&draft.body, &mut |piece| match piece {
        Piece::Text(text) => parts.extend(keyword_parts(text, true)),
        Piece::Link(name, url) if is_web(url) => inline(name, &mut |piece| {
            parts.extend(if let Piece::Text(text) = piece { Some(text) } else { None });
        }),
        Piece::Link(..) | Piece::Break => {}
    });
    // An ampersand may belong to an entity whose other half stands in the next part.
    parts.retain(|part| !part.is_empty() && is_verbatim(part, &['<', '&']));
    parts
}
