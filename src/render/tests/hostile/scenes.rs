//! The messages that hostile values get into.

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::*;
use super::attacks;
use crate::model::{BotKind, StormState};

pub(super) const LIST: &str = "https://bell.example/m/0123456789abcdef0123456789abcdef";

/// What a message tells, and in which form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Told {
    Firing,
    Resolved,
    Several,
    Mixed,
    Reminder,
    Plain,
    Counts,
    Digest,
    PlainDigest,
}

impl Told {
    pub(super) const ALL: [Self; 9] = [
        Self::Firing,
        Self::Resolved,
        Self::Several,
        Self::Mixed,
        Self::Reminder,
        Self::Plain,
        Self::Counts,
        Self::Digest,
        Self::PlainDigest,
    ];

    const fn changes(self) -> &'static [Change] {
        match self {
            Self::Firing => &[Change::New],
            Self::Resolved => &[Change::Resolved],
            Self::Several | Self::Plain => &[Change::New, Change::Refired],
            Self::Mixed | Self::Counts => &[Change::New, Change::Resolved, Change::FiredResolved],
            Self::Reminder => &[Change::Unchanged],
            Self::Digest | Self::PlainDigest => &[Change::New, Change::FiredResolved, Change::Unchanged],
        }
    }

    const fn form(self) -> Form {
        match self {
            Self::Plain | Self::PlainDigest => Form::Plain,
            Self::Counts => Form::Counts,
            _ => Form::Full,
        }
    }
}

/// Everything that is said, and by whom it is called.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) told: Told,
    pub(super) lang: Lang,
    pub(super) mentions: Mentions,
    pub(super) list: bool,
    /// Values, used in turn.
    pub(super) values: Vec<String>,
    pub(super) addresses: Vec<String>,
    /// Labels beside the usual ones.
    pub(super) more: usize,
}

/// A message or a digest.
pub(super) enum Any {
    Message(Scene),
    Digest(DigestScene),
}

/// Hands out a plan's values.
pub(super) struct Source<'a> {
    plan: &'a Plan,
    at: usize,
    /// How the value of this number is said.
    say: &'a dyn Fn(usize, &str) -> String,
    /// The same for addresses.
    lead: &'a dyn Fn(usize, &str) -> String,
}

impl Source<'_> {
    fn value(&mut self) -> String {
        self.at += 1;
        (self.say)(self.at, self.plan.values.get(self.at % self.plan.values.len()).unwrap())
    }

    fn address(&mut self) -> String {
        self.at += 1;
        (self.lead)(self.at, self.plan.addresses.get(self.at % self.plan.addresses.len()).unwrap())
    }

    fn labels(&mut self, names: &[&str]) -> Labels {
        names.iter().map(|name| ((*name).to_owned(), self.value())).collect()
    }

    fn alert(&mut self, change: Change) -> SceneAlert {
        let resolved = matches!(change, Change::Resolved | Change::FiredResolved);
        let mut alert = lag("x", resolved);
        alert.labels = self.labels(&["alertname", "cluster", "namespace", "instance", "team", "a b\"c"]);
        for _ in 0..self.plan.more {
            let name = self.value();
            alert.labels.insert(name, self.value());
        }
        alert.annotations = self.labels(&["summary", "description", "message", "x"]);
        for name in ["runbook_url", "dashboard"] {
            alert.annotations.insert(name.to_owned(), self.address());
        }
        let (name, value) = (self.value(), self.value());
        alert.annotations.insert(name, value);
        alert.fingerprint = crate::model::Fingerprint::of(&alert.labels);
        alert.generator_url = self.address();
        alert.value_string = self.value();
        if self.at.is_multiple_of(3) {
            (alert.silence_url, alert.dashboard_url, alert.panel_url) =
                (self.address(), self.address(), self.address());
        }
        let (rank, severity) = if change == Change::New { (0, "critical") } else { (2, "warning") };
        SceneAlert { alert: Arc::new(alert), change, rank, severity: severity.to_owned(), flaps: 3 }
    }
}

impl Plan {
    pub(super) fn scene(&self, say: &dyn Fn(usize, &str) -> String, lead: &dyn Fn(usize, &str) -> String) -> Any {
        let mut source = Source { plan: self, at: 0, say, lead };
        let alerts: Vec<SceneAlert> = self.told.changes().iter().map(|change| source.alert(*change)).collect();
        let list_url = if self.list { LIST.to_owned() } else { String::new() };
        if matches!(self.told, Told::Digest | Told::PlainDigest) {
            let mut scene = super::super::digest::digest(alerts, self.lang);
            (scene.mentions, scene.list_url, scene.form) = (self.mentions.clone(), list_url, self.told.form());
            scene.storm = Some(StormState { digests: 2, firing: 900, ..StormState::default() });
            scene.template = "x".to_owned();
            return Any::Digest(scene);
        }
        let mut body = group(vec![lag("x", false)]);
        (body.receiver, body.external_url, body.reason) = (source.value(), source.address(), source.value());
        body.group_labels = source.labels(&["alertname", "cluster", "x"]);
        body.common_labels = source.labels(&["alertname", "severity"]);
        body.common_annotations = source.labels(&["summary"]);
        body.route_labels = source.labels(&["x"]);
        (body.group_key, body.truncated_alerts) = (source.value(), 3);
        let mut scene = scene(body, self.lang);
        (scene.alerts, scene.still_firing) = (alerts, 2);
        (scene.mentions, scene.list_url, scene.form) = (self.mentions.clone(), list_url, self.told.form());
        scene.template = "x".to_owned();
        Any::Message(scene)
    }
}

impl Plan {
    /// Every value as it is said, with its number.
    pub(super) fn typed(&self, say: &dyn Fn(usize, &str) -> String) -> Vec<(usize, String)> {
        let said = RefCell::new(Vec::new());
        let note = |at: usize, text: &str| {
            let text = say(at, text);
            said.borrow_mut().push((at, text.clone()));
            text
        };
        self.scene(&note, &|_, text| text.to_owned());
        said.into_inner()
    }
}

impl Any {
    pub(super) fn render(&self, templates: &Templates, dialect: &dyn Dialect) -> Rendered {
        match self {
            Self::Message(scene) => render(templates, dialect, scene),
            Self::Digest(scene) => render_digest(templates, dialect, scene),
        }
    }

    /// Whether this is an address of its alerts or its group.
    pub(super) fn owns(&self, address: &str) -> bool {
        self.addresses().contains(address)
    }

    fn addresses(&self) -> BTreeSet<String> {
        let (alerts, group, list) = match self {
            Self::Message(scene) => (&scene.alerts, Some(&*scene.notification), &scene.list_url),
            Self::Digest(scene) => (&scene.leading, None, &scene.list_url),
        };
        let external = group.map_or("", |group| &group.external_url);
        let mut own: BTreeSet<String> = alerts
            .iter()
            .flat_map(|told| links::of_alert(&told.alert, external, &[]))
            .map(|(_, url)| url)
            .chain(links::usable(list, &[]))
            .collect();
        let silence = group.and_then(|group| links::silence_url(external, &group.group_labels));
        own.extend(silence.and_then(|url| links::usable(&url, &[])));
        own
    }
}

/// Somebody whom each vendor can call.
fn bo(mobile: bool) -> Contact {
    let id = if mobile { String::new() } else { "u-007".to_owned() };
    let mobile = if mobile { "13800000000".to_owned() } else { String::new() };
    Contact { mobile, dingtalk_user_id: id.clone(), wecom_user_id: id.clone(), feishu_open_id: id, ..person("bo") }
}

/// Mostly nobody: only such messages leave in every message type.
pub(super) fn mentions() -> impl Strategy<Value = Mentions> {
    prop_oneof![
        4 => Just(Mentions::default()),
        1 => Just(Mentions { all: true, people: Vec::new() }),
        1 => Just(Mentions { all: false, people: vec![bo(false)] }),
        1 => Just(Mentions { all: false, people: vec![bo(true)] }),
        1 => Just(Mentions { all: true, people: vec![bo(false)] }),
    ]
}

prop_compose! {
    /// Values that no message cuts.
    pub(super) fn short()(
        told in prop::sample::select(&Told::ALL), zh in any::<bool>(), mentions in mentions(), list in any::<bool>(),
        values in prop::collection::vec(attacks::mixed().prop_filter("short", |text| text.len() < 50), 1..6),
        addresses in prop::collection::vec(attacks::mixed(), 1..4), more in 0..3_usize,
    ) -> Plan {
        Plan { told, lang: if zh { Lang::Zh } else { Lang::En }, mentions, list, values, addresses, more }
    }
}

prop_compose! {
    /// Values of any size.
    pub(super) fn wild()(
        told in prop::sample::select(&Told::ALL), zh in any::<bool>(), mentions in mentions(), list in any::<bool>(),
        values in prop::collection::vec(attacks::wild(), 1..12),
        addresses in prop::collection::vec(attacks::address(), 1..8),
        more in prop_oneof![4 => 0..4_usize, 1 => Just(200)],
    ) -> Plan {
        Plan { told, lang: if zh { Lang::Zh } else { Lang::En }, mentions, list, values, addresses, more }
    }
}

/// A dialect for each message type of each vendor.
pub(super) fn dialects() -> Vec<(Layout, Box<dyn Dialect>)> {
    let all = BotKind::ALL.into_iter().flat_map(|kind| Layout::of(kind).iter().map(move |layout| (kind, *layout)));
    all.map(|(kind, layout)| (layout, crate::channel::dialect(kind, layout, true))).collect()
}
