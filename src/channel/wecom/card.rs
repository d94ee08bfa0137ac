//! WeCom's template card: title, text, short facts, links.

use serde_json::{Value, json};

use super::opens;
use crate::channel::beside::{columns, cut, facts, is_verbatim, links};
use crate::channel::escape::one_line;
use crate::channel::text::{Piece, keyword_parts, name_parts, pieces, plain};
use crate::model::{Draft, MessageId, Tone};

/// Bytes of a card's `sub_title_text`: the vendor advises 112 characters, most of them of three bytes. Nothing enforces it,
/// but what a phone clips was not told.
pub(super) const LIMIT: usize = 112 * 3;
/// Facts and links of a card (documented and enforced).
const FACTS: usize = 6;
pub(super) const LINKS: usize = 3;
/// Widths in columns, of which a full-width character takes two. Advised for a title are 26 characters, for a fact's name 5
/// and its value 26, for a link 13. Values get a second line, since names of pods are that long.
const TITLE: usize = 52;
const NAME: usize = 12;
const VALUE: usize = 104;
const LINK: usize = 26;
/// Width of title and second title together: more than any title that is made.
const TITLES: usize = 320;

/// A card of the kind `text_notice`.
pub(super) fn card(draft: &Draft, links: &[(String, &str)]) -> Value {
    let inert = |text: &str| plain(text, &[], opens);
    let title = titles(draft);
    let (main, second) = halves(&title);
    let mut card = json!({
        "card_type": "text_notice",
        "source": {"desc": "alarmbell", "desc_color": match draft.tone {
            Tone::Red => 2,
            Tone::Green => 3,
            Tone::Orange => 1,
            Tone::Blue | Tone::Grey => 0,
        }},
        "main_title": {"title": if main.is_empty() { "alarmbell".to_owned() } else { inert(main) }},
    });
    // Fields that say nothing are left out: an empty one may be drawn as a gap.
    if !second.is_empty() {
        card["main_title"]["desc"] = inert(second).into();
    }
    let text = text(draft);
    if !text.is_empty() {
        card["sub_title_text"] = text.into();
    }
    let facts = facts(draft, FACTS).map(|(name, value)| {
        let name = if name.is_empty() { "·".to_owned() } else { inert(&cut(&name, NAME)) };
        json!({"keyname": name, "value": inert(&cut(&value, VALUE))})
    });
    let facts: Vec<Value> = facts.collect();
    if !facts.is_empty() {
        card["horizontal_content_list"] = facts.into();
    }
    let goal = goal(links);
    let shown = links.iter().filter(|(_, url)| links.len() <= LINKS || *url != goal).take(LINKS);
    let shown = shown.map(|(name, url)| json!({"type": 1, "title": inert(&cut(name, LINK)), "url": url}));
    card["jump_list"] = shown.collect::<Vec<_>>().into();
    card["card_action"] = json!({"type": 1, "url": goal});
    card
}

/// Where a touch on the card leads: alarmbell's own page of the message, which has everything; else the first link.
fn goal<'a>(links: &[(String, &'a str)]) -> &'a str {
    let own = |url: &&str| {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit_once("/m/").is_some_and(|(_, id)| MessageId::parse(id).is_some())
    };
    let mut urls = links.iter().map(|(_, url)| *url);
    urls.clone().rev().find(own).or_else(|| urls.next()).unwrap_or_default()
}

fn titles(draft: &Draft) -> String {
    cut(&one_line(&draft.title), TITLES)
}

/// A long title in two: before the last blank or bar within the first line's width, and behind it.
fn halves(title: &str) -> (&str, &str) {
    if columns(title) <= TITLE {
        return (title, "");
    }
    let breaks = title.match_indices([' ', '｜']).take_while(|(at, _)| {
        let front = title.get(..*at).unwrap_or_default();
        columns(front) <= TITLE
    });
    match breaks.last() {
        Some((at, mark)) => {
            let (main, behind) = (title.get(..at), title.get(at + mark.len()..));
            (main.unwrap_or_default().trim(), behind.unwrap_or_default().trim())
        }
        None => (title, ""),
    }
}

/// The lines of the text below the title. Names stand for links that the card has anyway, and lines of nothing but such
/// links go: an address would fill a phone's screen, and can not be touched there.
fn lines(draft: &Draft) -> Vec<Vec<Piece<'_>>> {
    let links = links(draft, LINKS + 1);
    let known = |address: &str| links.iter().any(|(_, url)| *url == address);
    let mut lines = vec![Vec::new()];
    pieces(&draft.body, &mut |piece| match (piece, lines.last_mut()) {
        (Piece::Break, _) => lines.push(Vec::new()),
        (piece, Some(line)) => line.push(piece),
        (_, None) => {}
    });
    lines.retain(|line| {
        let of_links = line.iter().any(|piece| matches!(piece, Piece::Link(..)));
        let says_more = line.iter().any(|piece| match piece {
            Piece::Text(text) => text.contains(char::is_alphanumeric),
            Piece::Link(_, address) => !known(address),
            Piece::Break => false,
        });
        !of_links || says_more
    });
    for piece in lines.iter_mut().flatten() {
        if let Piece::Link(name, address) = *piece
            && known(address)
        {
            *piece = Piece::Link(name, "");
        }
    }
    lines
}

/// The text below the title.
pub(super) fn text(draft: &Draft) -> String {
    let mut out = String::with_capacity(draft.body.len());
    for line in lines(draft) {
        out.push('\n');
        line.into_iter().for_each(|piece| piece.write(&mut out));
    }
    let text = plain(out.trim(), &[], opens);
    if text == one_line(&draft.title) { String::new() } else { text }
}

/// What stands in the card letter by letter.
pub(super) fn keyword_texts(draft: &Draft) -> Vec<&str> {
    let mut parts = Vec::new();
    if titles(draft) == draft.title {
        parts.extend(<[&str; 2]>::from(halves(&draft.title)));
    }
    // A text that repeats the title is not there.
    if !text(draft).is_empty() {
        for piece in lines(draft).into_iter().flatten() {
            match piece {
                Piece::Text(text) => parts.extend(keyword_parts(text, false)),
                Piece::Link(name, address) if name != address => parts.extend(name_parts(name)),
                Piece::Link(..) | Piece::Break => {}
            }
        }
    }
    let shown = draft.facts.iter().filter(|(_, value)| !one_line(value).is_empty()).take(FACTS);
    for (text, most) in shown.flat_map(|(name, value)| [(name, NAME), (value, VALUE)]) {
        parts.extend((columns(text) <= most).then_some(text.as_str()));
    }
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty() && is_verbatim(part, &['<'])).collect()
}
