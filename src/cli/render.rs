//! `render`: what would be sent.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::args::Render;
use super::{Failure, bot, load, payload, plural, samples, say};
use crate::app::build;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::dispatch::{BotConfig, Occasion, Preview, Previews, preview_on};
use crate::model::{Mentions, MessageId, Notification};

pub(super) fn run(args: &Render) -> Result<(), Failure> {
    let config = load(&args.config_file)?;
    let bot = bot(&config, &args.bot)?;
    let (from, body) = match &args.payload {
        Some(file) => (file.display().to_string(), payload::read(file)?),
        None => {
            let sample = samples::find(samples::DEFAULT).map_err(Failure::usage)?;
            ("a built-in sample".to_owned(), sample.read(bot.lang).map_err(Failure::runtime)?)
        }
    };
    say(&show(&config, bot, &from, body, SystemClock::new().now(), args.digest))
}

fn show(config: &Config, bot: &BotConfig, from: &str, body: Notification, now: Timestamp, digest: bool) -> String {
    let settings = build::dispatch_settings(config, "");
    let alerts = body.alerts.len();
    let id = MessageId::from_bytes([0; 16]);
    let occasion = Occasion { digest, ..Occasion::default() };
    let previews = preview_on(&occasion, &settings, bot, body, now, || id.clone());
    let mut text = String::new();
    // Writing to a String can not fail.
    let _ = writeln!(text, "bot       {} ({}, {})", bot.name, bot.kind.as_str(), bot.lang.as_str());
    let _ = writeln!(text, "payload   {from}: {}", plural(alerts, "alert"));
    remarks(&mut text, &previews);
    let all = previews.messages.len();
    for (at, message) in previews.messages.iter().enumerate() {
        let _ = writeln!(text, "\n=== message {} of {all}\n", at + 1);
        one(&mut text, message);
    }
    text.push_str("\nNothing was sent.\n");
    text
}

/// What must be said of alerts that are in no message.
pub(super) fn remarks(text: &mut String, previews: &Previews) {
    if previews.direct {
        text.push_str("note      no policy leads these alerts to this bot; shown as sent to its own webhook address\n");
    }
    if previews.elsewhere > 0 {
        let _ = writeln!(text, "note      the policies lead {} elsewhere", plural(previews.elsewhere, "alert"));
    }
    if previews.silent > 0 {
        let silent = plural(previews.silent, "resolved alert");
        let _ = writeln!(text, "note      {silent} would not be told (send_resolved: false)");
    }
}

fn one(text: &mut String, message: &Preview) {
    let Preview { size, limit, .. } = message;
    let _ = writeln!(text, "kind      {}", message.kind.as_str());
    let _ = writeln!(text, "by        {}", message.policies.join(", "));
    let _ = writeln!(text, "template  {}", message.template);
    if let Some(failure) = &message.failure {
        let _ = writeln!(text, "FAILED    template {}: {}", failure.template, failure.error);
    }
    let _ = writeln!(text, "size      {size} of {limit} bytes");
    let _ = writeln!(text, "alerts    {} named, {} counted", message.named, message.counted);
    let _ = writeln!(text, "mentions  {}", mentions(&message.draft.mentions));
    let _ = writeln!(text, "\n--- as people see it\n\n{}", seen(message));
    let _ = writeln!(text, "\n--- request body, unsigned\n\n{}", pretty(&message.body));
}

fn mentions(mentions: &Mentions) -> String {
    let all = mentions.all.then_some("everybody");
    let names: Vec<&str> = all.into_iter().chain(mentions.people.iter().map(|person| person.name.as_str())).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

fn seen(message: &Preview) -> String {
    let mut text = message.text.clone();
    if let Some((title, lines)) = &message.draft.folded {
        text.push_str(&format!("\n\n[+] {title}\n{lines}"));
    }
    if !message.draft.links.is_empty() {
        text.push('\n');
    }
    for (name, url) in &message.draft.links {
        text.push_str(&format!("\n[{name}] {url}"));
    }
    text
}

fn pretty(body: &[u8]) -> String {
    let parsed: Result<serde_json::Value, _> = serde_json::from_slice(body);
    let pretty = parsed.and_then(|value| serde_json::to_string_pretty(&value));
    pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Folder, SECRETS};

    fn shown(name: &str, payload: &str) -> String {
        shown_as(name, payload, false)
    }

    fn shown_as(name: &str, payload: &str, digest: bool) -> String {
        let folder = Folder::new();
        let config = load(&folder.config_file()).unwrap();
        let body = payload::read(&std::path::Path::new("examples/payloads").join(payload)).unwrap();
        let now = "2026-11-20T10:05:00+08:00".parse().unwrap();
        let text = show(&config, bot(&config, name).unwrap(), payload, body, now, digest);
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
        text
    }

    #[test]
    fn as_the_policies_would_have_it() {
        let text = shown("first", "firing.zh.json");
        for part in [
            "bot       first (dingtalk, zh)\npayload   firing.zh.json: 2 alerts\n\n=== message 1 of 1\n",
            "by        policy:dba\n",
            " of 20000 bytes\nalerts    2 named, 0 counted\nmentions  zhang.san\n",
            "--- as people see it\n",
            "MySQL主从延迟",
            "\"msgtype\": \"markdown\"",
            "\"atMobiles\": [\n      \"13800000000\"",
            "Alarm",
            "Nothing was sent.",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_split_by_the_policy_makes_several_messages() {
        // `audit` makes every alert its own message and calls nobody; resolves are not told there.
        let text = shown("second", "mixed.zh.json");
        assert!(text.contains("note      1 resolved alert would not be told (send_resolved: false)\n"), "{text}");
        assert!(text.contains("=== message 2 of 2\n") && text.contains(" of 4096 bytes\nalerts    1 named"), "{text}");
    }

    #[test]
    fn straight_to_a_bot_that_no_policy_names() {
        let text = shown("third", "firing.zh.json");
        assert!(text.contains("note      no policy leads these alerts to this bot"), "{text}");
        assert!(text.contains("by        bot:third\n") && text.contains("\"msg_type\": \"interactive\""), "{text}");
    }

    #[test]
    fn everything_in_one_digest() {
        // The policy makes every alert a message of its own; a digest is one all the same.
        let text = shown_as("second", "mixed.zh.json", true);
        assert!(text.contains("note      1 resolved alert would not be told (send_resolved: false)\n"), "{text}");
        assert!(text.contains("=== message 1 of 1\n") && text.contains("kind      digest\n"), "{text}");
        assert!(text.contains(" of 4096 bytes\nalerts    2 named, 0 counted\n"), "{text}");
        assert!(text.contains("Alarm 汇总｜2 条｜"), "{text}");
        let direct = shown_as("third", "firing.zh.json", true);
        assert!(direct.contains("by        bot:third\n") && direct.contains("kind      digest\n"), "{direct}");
    }

    #[test]
    fn mistakes_are_named() {
        let folder = Folder::new();
        let args = |bot: &str, payload: Option<&str>, digest| Render {
            config_file: folder.config_file(),
            bot: bot.to_owned(),
            payload: payload.map(|text| folder.write("body.json", text)),
            digest,
        };
        let refused = |args: &Render| {
            let failure = run(args).unwrap_err();
            assert_eq!(failure.code, 2);
            failure.text
        };
        assert!(refused(&args("frist", None, false)).contains("there is no bot `frist`; did you mean `first`?"));
        let wrong = refused(&args("first", Some(r#"{"alerts":[{"labels":{},"startsAt":"soon"}]}"#), false));
        assert!(wrong.contains("body.json:1:36: alerts[0].startsAt: \"soon\" is not"), "{wrong}");
        let missing = Render { payload: Some("no/such".into()), ..args("first", None, false) };
        assert!(refused(&missing).contains("no/such: "));
        assert!(run(&args("first", None, false)).is_ok());
        assert!(run(&args("first", None, true)).is_ok());
    }
}
