//! What stands beside a body, links and short facts, bounded whatever a draft holds.

use super::escape::{Style, escape, one_line, visible};
use crate::model::Draft;

/// Longest address of a button, in bytes; what renders gives 1,500 at most.
const MAX_URL: usize = 2_000;

/// Named links that may be opened: http(s) addresses without blanks. At most `max`; of more, the last one stays, since
/// that is the page with everything.
pub(super) fn links(draft: &Draft, max: usize) -> Vec<(String, &str)> {
    let usable = |(name, url): &'_ (String, String)| !one_line(name).is_empty() && is_web(url);
    let mut links: Vec<_> = draft.links.iter().filter(|link| usable(link)).collect();
    if let (true, Some(last)) = (links.len() > max, links.last().copied()) {
        links.truncate(max.saturating_sub(1));
        links.push(last);
    }
    links.into_iter().map(|(name, url)| (one_line(name), url.as_str())).collect()
}

/// Whether a link or button may lead there.
pub(super) fn is_web(url: &str) -> bool {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web && url.len() <= MAX_URL && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// At most `max` facts with a value, on one line each.
pub(super) fn facts(draft: &Draft, max: usize) -> impl Iterator<Item = (String, String)> + '_ {
    let shown = draft.facts.iter().map(|(name, value)| (one_line(name), one_line(value)));
    shown.filter(|(_, value)| !value.is_empty()).take(max)
}

/// The body, in the markdown of DingTalk and WeCom, with the facts and links that do not stand in it: what a draft for
/// another layout says must not be lost.
pub(super) fn whole_body(draft: &Draft) -> String {
    let mut body = with_facts(draft);
    let missing = links(draft, usize::MAX).into_iter().filter(|(_, url)| !draft.body.contains(url));
    let missing = missing.map(|(name, url)| format!("[{}]({})", escape(&name, Style::Wide), inside_brackets(url)));
    let missing: Vec<String> = missing.collect();
    if !missing.is_empty() {
        add_line(&mut body, &missing.join(" · "));
    }
    body
}

/// The body with the facts that do not stand in it.
pub(super) fn with_facts(draft: &Draft) -> String {
    let mut body = draft.body.clone();
    for (name, value) in facts(draft, usize::MAX) {
        let value = escape(&value, Style::Wide);
        if !draft.body.contains(&value) {
            add_line(&mut body, format!("{} {value}", escape(&name, Style::Wide)).trim());
        }
    }
    body
}

/// An address that does not end the brackets around it.
fn inside_brackets(url: &str) -> String {
    url.replace('(', "%28").replace(')', "%29").replace('<', "%3C").replace('>', "%3E").replace('\\', "%5C")
}

pub(super) fn add_line(body: &mut String, line: &str) {
    if !body.is_empty() {
        body.push('\n');
    }
    body.push_str(line);
}

/// Width on a screen: other than ASCII, nearly everything that alerts hold is full-width.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

const fn width(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

/// The front of a text with an ellipsis when it is wider than `most` columns.
pub(super) fn cut(text: &str, most: usize) -> String {
    // A text of megabytes is not measured beyond what is shown.
    let mut used = 0;
    let fits = |c: char, room: usize, used: &mut usize| {
        *used += width(c);
        *used <= room
    };
    if text.chars().all(|c| fits(c, most, &mut used)) {
        return text.to_owned();
    }
    used = 0;
    let front: String = text.chars().take_while(|c| fits(*c, most.saturating_sub(1), &mut used)).collect();
    // What would join the next character has none.
    let front = front.trim_end_matches([' ', '\u{200c}', '\u{200d}']);
    format!("{front}…")
}

/// Whether the text is sent letter by letter where texts become one line, hidden characters go and `changed` ones are
/// rewritten.
pub(super) fn is_verbatim(text: &str, changed: &[char]) -> bool {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || changed.contains(&c);
    visible(text).eq(text.chars()) && !text.contains(breaks)
}
