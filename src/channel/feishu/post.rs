//! Feishu's rich text: lines of texts, links and calls, made from the markdown that cards have.
//!
//! A post shows no markdown, so its markup goes. Values were escaped for it, so what stands for a link or a call here was
//! written by a template. One locale is enough: every client shows the only one there is.

use serde_json::{Value, json};

use super::{MAX_LINKS, decode, open_id, opens};
use crate::channel::beside::{facts, is_verbatim, is_web, links};
use crate::channel::escape::one_line;
use crate::channel::text::{Piece, keyword_parts, name_parts, pieces, plain};
use crate::model::Draft;

type Line = Vec<Value>;

/// Lines and links that are made at most. Each takes more than twenty bytes, so that a post with so many is far too large to
/// be sent, and is made only to be measured.
const MOST: usize = 2_000;

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
    let mut made = 0;
    pieces(markdown, &mut |piece| {
        made += usize::from(!matches!(piece, Piece::Text(_)));
        let Some(line) = lines.last_mut().filter(|_| made <= MOST) else { return };
        match piece {
            Piece::Break => lines.push(Line::new()),
            Piece::Text(found) => texts(found, calls, line),
            Piece::Link(name, url) if is_web(url) => line.push(link(&decode(&name_parts(name).concat()), url)),
            Piece::Link(..) => {
                let mut found = String::new();
                piece.write(&mut found);
                push(&found, line);
            }
        }
    });
    if made <= MOST {
        lines.truncate(lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
        lines.drain(..lines.iter().position(|line| !line.is_empty()).unwrap_or(0));
    }
    // Harmless even to a client that read tags in texts; only now, since markup may have stood in such a tag.
    for text in lines.iter_mut().flatten().filter_map(text_in) {
        *text = plain(text, &[], opens);
    }
    // Whether a line may be without any tag is not documented.
    lines.iter_mut().filter(|line| line.is_empty()).for_each(|line| line.push(text(" ")));
    lines
}

/// A text with calls in it.
fn texts(found: &str, calls: &[(String, Value)], line: &mut Line) {
    let mut rest = found;
    let mut begin = 0;
    while let Some(at) = rest.get(begin..).and_then(|behind| behind.find('<')).map(|at| begin + at) {
        let (before, tag) = rest.split_at(at);
        let call = calls.iter().find_map(|(from, to)| Some((to, tag.strip_prefix(from.as_str())?)));
        match call {
            Some((to, behind)) => {
                push(before, line);
                line.push(to.clone());
                rest = behind;
                begin = 0;
            }
            // `<` is one byte.
            None => begin = at + 1,
        }
    }
    push(rest, line);
}

/// What the card would draw; behind a text, as one with it.
fn push(markdown: &str, line: &mut Line) {
    let shown = decode(markdown);
    if let Some(before) = line.last_mut().and_then(text_in) {
        before.push_str(&shown);
    } else if !shown.is_empty() {
        line.push(text(&shown));
    }
}

fn text_in(tag: &mut Value) -> Option<&mut String> {
    let is_text = tag.get("tag").is_some_and(|tag| tag == "text");
    match tag.get_mut("text") {
        Some(Value::String(text)) if is_text => Some(text),
        _ => None,
    }
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
        Piece::Link(name, url) if is_web(url) => parts.extend(name_parts(name)),
        Piece::Link(..) | Piece::Break => {}
    });
    let mut parts: Vec<&str> = parts.into_iter().flat_map(between_entities).collect();
    parts.retain(|part| !part.is_empty() && is_verbatim(part, &[]));
    parts
}

/// Longest entity that is written, `&#126;`, without its ampersand.
const MAX_ENTITY: usize = 5;

/// What stands between entities, and between angle brackets, which are rewritten where they would open a tag.
fn between_entities(part: &str) -> impl Iterator<Item = &str> {
    part.split('<').flat_map(|part| {
        part.split('&').enumerate().map(|(at, text)| {
            let end = text.bytes().take(MAX_ENTITY).position(|b| b == b';').filter(|_| at > 0);
            end.and_then(|end| text.get(end + 1..)).unwrap_or(text)
        })
    })
}
