//! Every recorded body, to targets with all mention and message settings: taken over, read by our own reader, and told.

use super::configs::{loaded, made};
use super::facts::{Facts, MANY, check_default, check_legacy, check_title, facts, holds, webhooks};
use super::*;
use crate::config::Config;
use crate::dispatch::Settings;

const MENTIONS: &[(&str, &str)] = &[
    ("nobody", ""),
    ("all", "    mention: {all: true}\n"),
    ("people", "    mention: {mobiles: ['13800000000', 13900000000]}\n"),
    ("both", "    mention: {all: true, mobiles: ['13800000000']}\n"),
];

const OWN: &str = "{{ define \"own\" }}{{ range .Alerts }}* {{ .Labels.alertname }} {{ .Status }}\n{{ end }}{{ range .AtMobiles }}@{{ . }}{{ end }}{{ end }}";

/// What each must show of a message's title and body.
const MESSAGES: &[(&str, &str)] = &[
    ("none", ""),
    (
        "standard",
        "    message: {title: '{{ template \"ding.link.title\" . }}', text: '{{ template \"ding.link.content\" . }}'}\n",
    ),
    (
        "default",
        "    message: {title: '{{ template \"default.title\" . }}', text: '{{ template \"default.content\" . }}'}\n",
    ),
    (
        "legacy",
        "    message: {title: '{{ template \"legacy.title\" . }}', text: '{{ template \"legacy.content\" . }}'}\n",
    ),
    ("title", "    message: {title: 'own {{ .Status }}'}\n"),
    ("text", "    message: {text: '{{ template \"own\" . }}'}\n"),
];

/// With `default_message` or without.
fn settings(default: &str) -> Config {
    let mut text = format!("templates: ['*.tmpl']\n{default}targets:\n");
    for (mention, mention_text) in MENTIONS {
        for (message, message_text) in MESSAGES {
            text.push_str(&format!(
                "  {mention}-{message}:\n    url: https://oapi.dingtalk.com/robot/send?access_token={mention}{message}\n{mention_text}{message_text}"
            ));
        }
    }
    let (made, findings) = made(&text, &[("own.tmpl", OWN)]);
    let left: Vec<&Mistake> = findings.iter().chain(&made.findings).filter(|found| !found.warning).collect();
    assert!(left.is_empty(), "{left:?}");
    loaded(&made)
}

fn told(config: &Config, settings: &Settings, bot: usize, payload: &str) -> Preview {
    let body = Notification::parse(&recorded(payload)).unwrap();
    let id = MessageId::from_bytes([0; 16]);
    let mut made = preview(settings, &config.bots[bot], body, "2026-11-21T02:04:02Z".parse().unwrap(), || id.clone());
    assert_eq!(made.messages.len(), 1);
    let message = made.messages.remove(0);
    let of = format!("{} of {payload}", config.bots[bot].name);
    assert!(message.failure.is_none(), "{of}: {:?}", message.failure);
    assert!(message.size <= message.limit, "{of}");
    message
}

/// Whom the robot is told to call.
fn check_calls(message: &Preview, mention: &str, found: &Facts, of: &str) {
    let at = &serde_json::from_slice::<serde_json::Value>(&message.body).unwrap()["at"];
    let (all, people) = match mention {
        _ if found.firing == 0 => (false, Vec::new()),
        "nobody" => (false, Vec::new()),
        "all" => (true, Vec::new()),
        "people" => (false, vec!["13800000000", "13900000000"]),
        _ => (true, vec!["13800000000"]),
    };
    assert_eq!(at["isAtAll"], all, "{of}: {at}");
    assert_eq!(at["atMobiles"], serde_json::json!(people), "{of}: {at}");
    for mobile in people {
        assert!(message.draft.body.contains(&format!("@{mobile}")), "{of}: {}", message.draft.body);
    }
}

fn check_message(made: &Preview, message: &str, found: &Facts, of: &str) {
    let (title, body) = (&made.draft.title, &made.draft.body);
    let names = found.body.alerts.iter().map(|alert| alert.name().to_owned());
    match message {
        // The look of the other bridge stays where it was asked for, in whole or in part.
        "default" => {
            check_title(title, found, of);
            check_default(body, found, of);
        }
        "legacy" => {
            check_title(title, found, of);
            check_legacy(body, found, of);
        }
        "title" => {
            let status = if found.firing > 0 { "firing" } else { "resolved" };
            assert_eq!(title, &format!("own {status}"), "{of}");
            holds(body, names, of);
        }
        "text" => {
            let line = |alert: &crate::model::Alert| format!("* {} {}", alert.name(), alert.status.as_str());
            holds(body, found.body.alerts.iter().map(line), of);
        }
        _ => holds(body, names, of),
    }
}

#[test]
fn every_setting_tells_every_recorded_body() {
    for default in ["", "default_message: {title: 'd', text: '{{ template \"legacy.content\" . }}'}\n"] {
        let config = settings(default);
        let ready = build::dispatch_settings(&config, "");
        assert_eq!(config.bots.len(), MENTIONS.len() * MESSAGES.len());
        for payload in webhooks() {
            let found = facts(&payload);
            let each =
                MENTIONS.iter().flat_map(|(mention, _)| MESSAGES.iter().map(move |(message, _)| (mention, message)));
            for (at, (mention, message)) in each.enumerate() {
                let of = format!("{mention}-{message} of {payload}");
                let told = told(&config, &ready, at, &payload);
                check_calls(&told, mention, &found, &of);
                if *message == "none" && !default.is_empty() {
                    assert_eq!(told.draft.title, "d", "{of}");
                    check_legacy(&told.draft.body, &found, &of);
                } else {
                    check_message(&told, message, &found, &of);
                }
            }
        }
    }
}

/// What does not fit is counted, in every look.
#[test]
fn nothing_of_many_alerts_is_lost() {
    let config = settings("");
    let ready = build::dispatch_settings(&config, "");
    // The last names no alert so that it could be told from the others.
    for (at, (message, _)) in MESSAGES.iter().enumerate().filter(|(_, (message, _))| *message != "text") {
        let told = told(&config, &ready, at, MANY);
        assert_eq!(told.named + told.counted, 50, "{message}");
        let shown = told.draft.body.contains(&format!("另有 {} 条", told.counted));
        assert!(shown || told.counted == 0, "{message}: {} counted in {}", told.counted, told.draft.body);
    }
}
