//! Renders custom templates once when they are loaded, for a few small samples: what always fails is found before an
//! alert is to be told, not at night.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::lint::{Finding, Schema};
use super::templates::{Compiled, Part, parse};
use super::{
    DigestScene, Form, KeywordMode, Scene, SceneAlert, Tally, TemplateFailure, Templates, render, render_digest,
};
use crate::model::{
    Alert, BotKind, Change, Contact, Dialect, Draft, Fingerprint, Labels, Lang, Layout, Mentions, Notification,
    Severities, Shape, Status, StormState,
};

/// A webhook body; the examples in `templates/README.md` are about its first alert.
const SAMPLE: &str = include_str!("sample.json");
/// When it is told: 10:04:02 in UTC.
pub(super) const NOW: Timestamp = Timestamp::constant(1_795_255_442, 0);
/// A set's name that no file can have.
const SET: &str = " trial";

/// What a trial found.
pub(super) struct Found {
    pub(super) finding: Finding,
    /// It works for some messages.
    pub(super) warning: bool,
}

/// Tries one part alone, so that it does not hide behind others: for every sample that uses it.
pub(super) fn run(templates: &Templates, kind: &'static str, part: &Compiled) -> Option<Found> {
    let vendor = BotKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
    let alone = templates.alone(kind, part.clone(), SET);
    let mut failures: Vec<(String, TemplateFailure)> = Vec::new();
    let mut tried = 0;
    let layouts = Layout::of(vendor);
    for (about, scene) in samples() {
        // What looks different in another message type does so for any sample.
        let most = if tried == 0 { layouts.len() } else { 1 };
        for layout in layouts.iter().take(most) {
            let dialect = Bare { kind: vendor, layout: *layout };
            let about = if layout == &layouts[0] { about.to_owned() } else { format!("the kind {}", layout.as_str()) };
            let made = match part.part {
                Part::Digest => render_digest(&alone, &dialect, &digest_of(&scene)),
                _ => render(&alone, &dialect, &scene),
            };
            tried += 1;
            failures.extend(made.failure.map(|failure| (about, failure)));
        }
    }
    let (about, failure) = failures.first()?;
    let (_, reason) = failure.place();
    let always = failures.len() == tried;
    let hint = if always { "this fails for every message".to_owned() } else { format!("this fails for {about}") };
    let finding = (failure.place.line, failure.place.column, reason.to_owned(), hint);
    Some(Found { finding, warning: !always })
}

/// What templates find in a message and in a digest, as the sample has it.
pub(super) fn schema(templates: &Templates) -> Schema {
    let data = |part: Part| {
        let template = Arc::new(parse("{{{json this}}}").ok()?);
        let compiled =
            Compiled { name: String::new(), path: String::new(), part, template, built_in: None, custom: true };
        let alone = templates.alone(BotKind::WeCom.as_str(), compiled, SET);
        let dialect = Bare { kind: BotKind::WeCom, layout: Layout::Markdown };
        let mut scene = sample()?;
        // As much as there can be.
        scene.truncated = 1;
        let made = match part {
            Part::Digest => render_digest(&alone, &dialect, &digest_of(&scene)),
            _ => render(&alone, &dialect, &scene),
        };
        serde_json::from_str(made.draft.body.lines().next()?).ok()
    };
    Schema::of(&data(Part::Body).unwrap_or(Value::Null), &data(Part::Digest).unwrap_or(Value::Null))
}

/// The sample as one message about its three alerts.
pub(super) fn sample() -> Option<Scene> {
    let body = Notification::parse(SAMPLE.as_bytes()).ok()?;
    let levels = Severities::default();
    let told = |alert: &Alert| {
        let rank = levels.rank(alert.label("severity"));
        let change = if alert.status == Status::Firing { Change::New } else { Change::Resolved };
        let severity = levels.name(rank).to_owned();
        SceneAlert { alert: Arc::new(alert.clone()), change, rank, severity, flaps: 0 }
    };
    Some(Scene {
        bot: "ops".to_owned(),
        lang: Lang::En,
        tz: TimeZone::UTC,
        now: NOW,
        truncated: 0,
        alerts: body.alerts.iter().map(told).collect(),
        notification: Arc::new(body),
        still_firing: 0,
        waiting_since_ms: NOW.as_millisecond() - 1_000,
        policies: vec!["shop".to_owned()],
        mentions: Mentions { all: false, people: vec![Contact { name: "zhang.san".to_owned(), ..Contact::default() }] },
        template: SET.to_owned(),
        keywords: Vec::new(),
        keyword_mode: KeywordMode::All,
        list_url: "https://bell.example/m/1".to_owned(),
        link_rewrites: Arc::from([]),
        form: Form::Full,
    })
}

/// Messages that differ in what they lack.
fn samples() -> Vec<(&'static str, Scene)> {
    let Some(whole) = sample() else { return Vec::new() };
    let with = |alerts: Vec<SceneAlert>| Scene { alerts, ..whole.clone() };
    let one = |at: usize| with(whole.alerts.iter().skip(at).take(1).cloned().collect());
    let mut reminder = one(0);
    reminder.alerts.iter_mut().for_each(|told| told.change = Change::Unchanged);
    (reminder.mentions, reminder.list_url) = (Mentions::default(), String::new());
    let mut bare = one(1);
    bare.alerts.iter_mut().for_each(|told| told.alert = Arc::new(nearly_nothing(&told.alert)));
    vec![
        ("a message about several alerts", whole.clone()),
        ("a message about one alert", one(0)),
        ("a resolved alert", one(2)),
        ("a reminder that calls nobody", reminder),
        ("an alert with no label but its name, and no annotation", bare),
    ]
}

fn nearly_nothing(alert: &Alert) -> Alert {
    let labels: Labels = [("alertname".to_owned(), "Watchdog".to_owned())].into();
    Alert { fingerprint: Fingerprint::of(&labels), labels, annotations: Labels::new(), ..alert.clone() }
}

fn digest_of(scene: &Scene) -> DigestScene {
    let mut tally = Tally::default();
    scene.alerts.iter().for_each(|told| tally.add(told));
    DigestScene {
        bot: scene.bot.clone(),
        lang: scene.lang,
        tz: scene.tz.clone(),
        now: scene.now,
        tally,
        leading: scene.alerts.clone(),
        since_ms: NOW.as_millisecond() - 30_000,
        storm: (scene.alerts.len() > 1).then(|| StormState {
            since_ms: NOW.as_millisecond() - 95_000,
            digests: 3,
            firing: 3_120,
            resolved: 157,
            ..StormState::default()
        }),
        policies: scene.policies.clone(),
        mentions: scene.mentions.clone(),
        template: scene.template.clone(),
        keywords: Vec::new(),
        keyword_mode: KeywordMode::All,
        list_url: scene.list_url.clone(),
        link_rewrites: Arc::clone(&scene.link_rewrites),
        form: Form::Full,
    }
}

/// A vendor that takes anything and escapes nothing: nobody reads what is rendered here.
pub(super) struct Bare {
    pub(super) kind: BotKind,
    pub(super) layout: Layout,
}

impl Dialect for Bare {
    fn kind(&self) -> BotKind {
        self.kind
    }

    fn layout(&self, _: Shape) -> Layout {
        self.layout
    }

    fn escape(&self, value: &str) -> String {
        value.to_owned()
    }

    fn mention_text(&self, mentions: &Mentions, _: Lang) -> String {
        mentions.people.iter().map(|person| format!("@{}", person.name)).collect::<Vec<_>>().join(" ")
    }

    fn size(&self, _: &Draft) -> usize {
        0
    }

    fn limit(&self, _: &Draft) -> usize {
        usize::MAX
    }

    fn encode(&self, _: &Draft, _: &str) -> Vec<u8> {
        Vec::new()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        vec![&draft.title, &draft.body]
    }
}
