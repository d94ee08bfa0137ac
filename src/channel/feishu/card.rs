//! Feishu's card of schema 2.0: head, body, facts in two columns, a folded panel, buttons.
//!
//! The vendor's bounds are 200 elements and five levels; this makes at most 120 elements on three levels.

use serde_json::{Value, json};

use super::MAX_LINKS;
use crate::channel::beside::{columns, cut, facts, is_verbatim, links};
use crate::channel::escape::{Style, escape, one_line};
use crate::channel::text::keyword_parts;
use crate::model::{Draft, Tone};

/// Characters of a button (measured).
const MAX_BUTTON: usize = 100;
/// Buttons side by side; what does not fit goes to the next line of the screen.
const ROW: usize = 4;
/// Facts that one card shows.
const FACTS: usize = 10;
/// Widths in columns, of which a full-width character takes two.
const NAME: usize = 24;
const VALUE: usize = 300;
/// A wider value has both columns to itself: half a phone's width shows little more in a line.
const HALF: usize = 22;

pub(super) fn card(draft: &Draft) -> Value {
    let mut elements = Vec::new();
    if !draft.body.trim().is_empty() {
        elements.push(json!({"tag": "markdown", "content": draft.body}));
    }
    elements.extend(fact_rows(draft));
    if let Some((head, lines)) = &draft.folded {
        elements.push(json!({
            "tag": "collapsible_panel",
            "expanded": false,
            "header": {"title": {"tag": "markdown", "content": head}},
            "elements": [{"tag": "markdown", "content": lines}],
        }));
    }
    elements.extend(button_rows(draft));
    let title = one_line(&draft.title);
    if elements.is_empty() {
        elements.push(json!({"tag": "markdown", "content": escape(&title, Style::Entity)}));
    }
    let colour = match draft.tone {
        Tone::Red => "red",
        Tone::Orange => "orange",
        Tone::Blue => "blue",
        Tone::Green => "green",
        Tone::Grey => "grey",
    };
    json!({
        "schema": "2.0",
        "config": {"update_multi": true},
        "header": {"title": {"tag": "plain_text", "content": title}, "template": colour},
        "body": {"elements": elements},
    })
}

/// Facts, two in a row where both are short.
fn fact_rows(draft: &Draft) -> Vec<Value> {
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut room = false;
    for (name, value) in facts(draft, FACTS) {
        let short = columns(&value) <= HALF;
        let column = fact(&cut(&name, NAME), &cut(&value, VALUE));
        match rows.last_mut().filter(|_| room && short) {
            Some(row) => {
                row.push(column);
                room = false;
            }
            None => {
                rows.push(vec![column]);
                room = short;
            }
        }
    }
    rows.into_iter().map(|columns| row("none", columns)).collect()
}

/// The name small and grey above its value.
fn fact(name: &str, value: &str) -> Value {
    let mut elements = Vec::new();
    if !name.is_empty() {
        let name = format!("<font color='grey'>{}</font>", escape(name, Style::Entity));
        elements.push(json!({"tag": "markdown", "text_size": "notation", "content": name}));
    }
    elements.push(json!({"tag": "markdown", "content": escape(value, Style::Entity)}));
    json!({
        "tag": "column",
        "width": "weighted",
        "weight": 1,
        "vertical_spacing": "2px",
        "elements": elements,
    })
}

/// Buttons beside each other, each as wide as its name; the first one is the most likely to be wanted.
fn button_rows(draft: &Draft) -> Vec<Value> {
    let links = links(draft, MAX_LINKS);
    let button = |(at, (name, url)): (usize, &(String, &str))| {
        let name: String = name.chars().take(MAX_BUTTON).collect();
        json!({
            "tag": "column",
            "width": "auto",
            "elements": [{
                "tag": "button",
                "type": if at == 0 { "primary" } else { "default" },
                "text": {"tag": "plain_text", "content": name},
                "behaviors": [{"type": "open_url", "default_url": url}],
            }],
        })
    };
    let buttons: Vec<Value> = links.iter().enumerate().map(button).collect();
    buttons.chunks(ROW).map(|columns| row("flow", columns.to_vec())).collect()
}

/// `flex_mode` on a narrow screen: `none` keeps the columns beside each other, `flow` lets them go to the next line.
fn row(flex_mode: &str, columns: Vec<Value>) -> Value {
    json!({"tag": "column_set", "flex_mode": flex_mode, "horizontal_spacing": "8px", "columns": columns})
}

/// Beside title and body: the folded panel, and facts that stand in the card letter by letter.
pub(super) fn keyword_texts(draft: &Draft) -> Vec<&str> {
    let mut texts = Vec::new();
    if let Some((head, lines)) = &draft.folded {
        texts.push(head.as_str());
        texts.extend(keyword_parts(lines, true));
    }
    let shown = draft.facts.iter().filter(|(_, value)| !one_line(value).is_empty()).take(FACTS);
    for (text, most) in shown.flat_map(|(name, value)| [(name, NAME), (value, VALUE)]) {
        let text = text.trim();
        let verbatim = columns(text) <= most && is_verbatim(text, &[]) && escape(text, Style::Entity) == text;
        texts.extend(verbatim.then_some(text));
    }
    texts
}
