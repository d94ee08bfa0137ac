//! The room's tests: messages as people see them, templates, and what must hold for any input.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

mod bounds;
mod digest;
mod digest_props;
mod fit;
mod hostile;
mod kube;
mod messages;
mod mistakes;
mod parts;
mod props;
mod readme;
mod sets;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;
use crate::model::{BotKind, Contact, Labels, Layout, Severities, Shape, Status};

/// A vendor with simple rules: values are one trimmed line with a backslash before markup characters, sizes are bytes of
/// title and body.
pub(super) struct Fake {
    pub(super) kind: BotKind,
    pub(super) limit: usize,
}

impl Fake {
    pub(super) fn new(kind: BotKind) -> Self {
        Self { kind, limit: if kind == BotKind::WeCom { 4_096 } else { 20_000 } }
    }
}

impl Dialect for Fake {
    fn kind(&self) -> BotKind {
        self.kind
    }

    fn layout(&self, _: Shape) -> Layout {
        Layout::of(self.kind)[0]
    }

    fn escape(&self, value: &str) -> String {
        let mut out = String::new();
        for c in value.trim().chars() {
            match c {
                '\n' => out.push(' '),
                '*' | '[' | ']' | '<' | '>' | '`' | '#' => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
        out
    }

    fn mention_text(&self, mentions: &Mentions, _: Lang) -> String {
        let all = mentions.all.then(|| "@all".to_owned());
        all.into_iter().chain(mentions.people.iter().map(|p| format!("<@{}>", p.name))).collect::<Vec<_>>().join(" ")
    }

    fn size(&self, draft: &Draft) -> usize {
        let links: usize = draft.links.iter().map(|(name, url)| name.len() + url.len()).sum();
        let folded = draft.folded.as_ref().map_or(0, |(head, lines)| head.len() + lines.len());
        let facts: usize = draft.facts.iter().map(|(name, value)| name.len() + value.len()).sum();
        draft.title.len() + 1 + draft.body.len() + links + folded + facts
    }

    fn limit(&self, draft: &Draft) -> usize {
        if draft.plain && self.kind == BotKind::WeCom { self.limit / 2 } else { self.limit }
    }

    fn encode(&self, draft: &Draft, _: &str) -> Vec<u8> {
        draft.body.clone().into_bytes()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        let facts = draft.facts.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        [draft.title.as_str(), &draft.body].into_iter().chain(facts).collect()
    }
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// 10:04:02 in Shanghai.
pub(super) const NOW: &str = "2026-11-21T02:04:02Z";

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn recorded(name: &str) -> Notification {
    let path = format!("{}/tests/fixtures/payloads/{name}.body", env!("CARGO_MANIFEST_DIR"));
    Notification::parse(&std::fs::read(path).unwrap()).unwrap()
}

/// A scene that tells a body's alerts as new and resolved ones.
pub(super) fn scene(body: Notification, lang: Lang) -> Scene {
    let levels = Severities::default();
    let alerts = body
        .alerts
        .iter()
        .map(|alert| {
            let rank = levels.rank(alert.label("severity"));
            SceneAlert {
                alert: Arc::new(alert.clone()),
                change: if alert.status == Status::Firing { Change::New } else { Change::Resolved },
                rank,
                severity: levels.name(rank).to_owned(),
                flaps: 0,
            }
        })
        .collect();
    Scene {
        bot: "ops".to_owned(),
        lang,
        tz: TimeZone::get(if lang == Lang::Zh { "Asia/Shanghai" } else { "UTC" }).unwrap(),
        now: at(NOW),
        truncated: body.truncated_alerts,
        notification: Arc::new(body),
        alerts,
        still_firing: 0,
        waiting_since_ms: at(NOW).as_millisecond() - 1_000,
        policies: vec!["database-critical".to_owned()],
        mentions: Mentions::default(),
        template: "default".to_owned(),
        keywords: vec!["Alarm".to_owned(), "Dispatch".to_owned()],
        keyword_mode: KeywordMode::All,
        list_url: String::new(),
        link_rewrites: Arc::from([]),
        form: Form::Full,
    }
}

pub(super) fn person(name: &str) -> Contact {
    Contact { name: name.to_owned(), ..Contact::default() }
}

/// The alert of the drawings: a replica lags behind.
pub(super) fn lag(host: &str, resolved: bool) -> Alert {
    let labels = labels(&[
        ("alertname", "MySQL主从延迟"),
        ("cluster", "prod-sh"),
        ("instance", host),
        ("job", "mysql"),
        ("prometheus", "monitoring/k8s"),
        ("severity", "critical"),
    ]);
    Alert {
        status: if resolved { Status::Resolved } else { Status::Firing },
        fingerprint: crate::model::Fingerprint::of(&labels),
        labels,
        annotations: self::labels(&[
            ("summary", "从库延迟 312s，阈值 60s"),
            ("runbook_url", "https://wiki.example/mysql"),
        ]),
        starts_at: Some(at("2026-11-21T02:01:32Z")),
        ends_at: resolved.then(|| at("2026-11-21T02:03:05Z")),
        generator_url: "http://prom.example:9090/graph?g0.expr=lag".to_owned(),
        silence_url: String::new(),
        dashboard_url: String::new(),
        panel_url: String::new(),
        value_string: String::new(),
    }
}

pub(super) fn group(alerts: Vec<Alert>) -> Notification {
    let firing = alerts.iter().any(|a| a.status == Status::Firing);
    Notification {
        receiver: "chat".to_owned(),
        status: if firing { Status::Firing } else { Status::Resolved },
        group_labels: labels(&[("alertname", "MySQL主从延迟"), ("cluster", "prod-sh")]),
        common_labels: Labels::new(),
        common_annotations: Labels::new(),
        route_labels: Labels::new(),
        external_url: "http://am.example:9093".to_owned(),
        group_key: "{}".to_owned(),
        truncated_alerts: 0,
        reason: String::new(),
        version: "4".to_owned(),
        alerts,
    }
}

pub(super) fn show(rendered: &Rendered) -> String {
    let Draft { title, body, plain, tone, facts, links, folded, .. } = &rendered.draft;
    let named = rendered.how.iter().filter(|how| **how == How::Named).count();
    let mut out = format!("[{tone:?}{}] {title}\n", if *plain { ", plain" } else { "" });
    if !body.is_empty() {
        out.push_str(&format!("{body}\n"));
    }
    for (name, value) in facts {
        out.push_str(&format!("| {name}: {value}\n"));
    }
    if let Some((head, lines)) = folded {
        out.push_str(&format!("▸ {head}\n  {}\n", lines.replace('\n', "\n  ")));
    }
    for (name, url) in links {
        out.push_str(&format!("({name}) {url}\n"));
    }
    out.push_str(&format!("-- named {named}, counted {}\n", rendered.how.len() - named));
    if let Some(failure) = &rendered.failure {
        out.push_str(&format!("-- failed: {failure:?}\n"));
    }
    out
}
