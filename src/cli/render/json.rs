//! For programs: one document with every bot, every message and every mistake.

use serde_json::{Value, json};

use super::ask::Shown;
use super::text;
use crate::dispatch::Preview;
use crate::render::TemplateFailure;

/// The document, with a line feed at its end.
pub(super) fn document(shown: &[Shown]) -> String {
    let bots: Vec<Value> = shown.iter().map(bot).collect();
    format!("{:#}\n", json!({"bots": bots}))
}

fn bot(shown: &Shown) -> Value {
    let Shown { bot, from, previews, notes } = shown;
    json!({
        "bot": &*bot.name,
        "type": bot.kind.as_str(),
        "lang": bot.lang.as_str(),
        "payload": from,
        "notes": notes,
        "messages": previews.messages.iter().map(message).collect::<Vec<_>>(),
    })
}

fn message(message: &Preview) -> Value {
    let draft = &message.draft;
    let pairs = |pairs: &[(String, String)], value: &str| -> Vec<Value> {
        pairs.iter().map(|(name, of)| json!({"name": name, value: of})).collect()
    };
    // A body that is no JSON would be the encoder's mistake; then it is shown as it is.
    let body: Value = serde_json::from_slice(&message.body)
        .unwrap_or_else(|_| String::from_utf8_lossy(&message.body).into_owned().into());
    json!({
        "kind": text::layout(draft),
        "digest": message.kind == crate::model::Kind::Digest,
        "policies": message.policies,
        "template": message.template,
        "size": message.size,
        "limit": message.limit,
        "named": message.named,
        "counted": message.counted,
        "cut": message.trim.to_string(),
        "mentions": {
            "all": draft.mentions.all,
            "people": draft.mentions.people.iter().map(|person| &person.name).collect::<Vec<_>>(),
        },
        "title": draft.title,
        "text": message.text,
        "facts": pairs(&draft.facts, "value"),
        "links": pairs(&draft.links, "url"),
        "folded": draft.folded.as_ref().map(|(title, text)| json!({"title": title, "text": text})),
        "body": body,
        "failure": message.failure.as_ref().map(failure),
    })
}

fn failure(failure: &TemplateFailure) -> Value {
    let (place, why) = failure.place();
    json!({
        "template": failure.template,
        "file": failure.place.file,
        "alert": failure.alert,
        "line": place.map(|(line, _)| line),
        "column": place.map(|(_, column)| column),
        "error": why,
    })
}
