//! For people.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use super::ask::Shown;
use super::remarks;
use crate::dispatch::Preview;
use crate::model::{Draft, Mentions};

/// Everything about each bot's messages.
pub(super) fn full(shown: &[Shown]) -> String {
    let mut text = String::new();
    for (at, shown) in shown.iter().enumerate() {
        let Shown { bot, from, previews, notes } = shown;
        if at > 0 {
            text.push('\n');
        }
        let (kind, layout, lang) = (bot.kind.as_str(), bot.layout.as_str(), bot.lang.as_str());
        // Writing to a String can not fail.
        let _ = writeln!(text, "bot       {} ({kind} {layout}, {lang})\npayload   {from}", bot.name);
        text.push_str(&remarks(notes));
        let all = previews.messages.len();
        if all == 0 {
            text.push_str("\nNo message: there is nothing to tell.\n");
        }
        for (at, message) in previews.messages.iter().enumerate() {
            let _ = writeln!(text, "\n=== message {} of {all}\n", at + 1);
            one(&mut text, message);
        }
    }
    text.push_str("\nNothing was sent.\n");
    text
}

/// What people see, with a line about each message.
pub(super) fn brief(shown: &[Shown]) -> String {
    let mut text = String::new();
    for shown in shown {
        let all = shown.previews.messages.len();
        for (at, message) in shown.previews.messages.iter().enumerate() {
            let of = if all > 1 { format!(" {} of {all}", at + 1) } else { String::new() };
            let cut = message.trim.to_string();
            let cut = if cut.is_empty() { cut } else { format!("; {cut}") };
            let head = format!("{}{of}, {}: {}{cut}", shown.bot.name, layout(&message.draft), size(message));
            let _ = writeln!(text, "--- {head}\n\n{}\n", glimpse(message));
        }
        if all == 0 {
            let _ = writeln!(text, "--- {}: nothing to tell\n", shown.bot.name);
        }
    }
    text
}

/// In which of the vendor's message types it leaves.
pub(super) fn layout(draft: &Draft) -> &'static str {
    if draft.plain { "text" } else { draft.layout.as_str() }
}

fn size(message: &Preview) -> String {
    let Preview { size, limit, .. } = message;
    // Rounded; no vendor's limit is 0.
    let share = size.saturating_mul(200).checked_div(*limit).map_or(0, |half| half.div_ceil(2));
    format!("{size} of {limit} bytes ({share} %)")
}

fn one(text: &mut String, message: &Preview) {
    let _ = writeln!(text, "kind      {}, {}", message.kind.as_str(), layout(&message.draft));
    let _ = writeln!(text, "by        {}", message.policies.join(", "));
    let _ = writeln!(text, "template  {}", message.template);
    if let Some(failure) = &message.failure {
        let alert = failure.alert.map(|alert| format!(" (alert {alert})")).unwrap_or_default();
        let _ = writeln!(text, "FAILED    template {}: {}{alert}", failure.template, failure.error);
    }
    let _ = writeln!(text, "size      {}", size(message));
    let _ = writeln!(text, "alerts    {} named, {} counted", message.named, message.counted);
    let cut = message.trim.to_string();
    let _ = writeln!(text, "cut       {}", if cut.is_empty() { "nothing" } else { &cut });
    let _ = writeln!(text, "mentions  {}", mentions(&message.draft.mentions).join(", "));
    let _ = writeln!(text, "\n--- as people see it\n\n{}", seen(message));
    let _ = writeln!(text, "\n--- request body, unsigned\n\n{}", pretty(&message.body));
}

/// Whom it calls, or that it calls nobody.
fn mentions(mentions: &Mentions) -> Vec<&str> {
    let all = mentions.all.then_some("everybody");
    let names: Vec<&str> = all.into_iter().chain(mentions.people.iter().map(|person| person.name.as_str())).collect();
    if names.is_empty() { vec!["nobody"] } else { names }
}

fn seen(message: &Preview) -> String {
    let Draft { folded, links, .. } = &message.draft;
    let mut text = message.text.clone();
    if let Some((title, lines)) = folded {
        text.push_str(&format!("\n\n[+] {title}\n{lines}"));
    }
    if !links.is_empty() {
        text.push('\n');
    }
    for (name, url) in links {
        text.push_str(&format!("\n[{name}] {url}"));
    }
    text
}

/// The same without what only a client reads: colours, and where links lead.
fn glimpse(message: &Preview) -> String {
    static MARKS: LazyLock<Option<[Regex; 2]>> = LazyLock::new(|| {
        // A test reads both.
        Some([Regex::new(r"</?font[^<>]*>").ok()?, Regex::new(r"\[([^\[\]\n]*)\]\(https?://[^()\s]*\)").ok()?])
    });
    let mut text = message.text.clone();
    let Draft { folded, links, .. } = &message.draft;
    if let Some((title, lines)) = folded {
        text.push_str(&format!("\n[+] {title}\n{lines}"));
    }
    if let Some([colours, targets]) = &*MARKS {
        text = targets.replace_all(&colours.replace_all(&text, ""), "[$1]").into_owned();
    }
    let names: Vec<String> = links.iter().map(|(name, _)| format!("[{name}]")).collect();
    if names.is_empty() { text } else { format!("{text}\n{}", names.join(" ")) }
}

fn pretty(body: &[u8]) -> String {
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(body);
    let pretty = parsed.and_then(|value| serde_json::to_string_pretty(&value));
    pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}
