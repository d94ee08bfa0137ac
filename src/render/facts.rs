//! What a scene amounts to: counts, words, tone. Computed once a message.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::{self, pick};
use super::{Scene, SceneAlert, Tally, identity, links, texts};
use crate::model::{Alert, Change, FALLBACK, Lang, Status, Tone};

/// A message that waited longer than this says so, in seconds: pacing alone explains less.
const LATE: i64 = 120;

pub(super) struct Facts<'a> {
    scene: &'a Scene,
    pub(super) fresh: u64,
    pub(super) resolved: u64,
    /// Fire unchanged: told as reminders or only counted.
    pub(super) unchanged: u64,
    /// Everything of the group that fires now.
    pub(super) still: u64,
    pub(super) total: usize,
    /// Nothing in the group fires, as far as anybody knows.
    pub(super) all_clear: bool,
    pub(super) partly: bool,
    pub(super) reminder: bool,
    /// The alert that gives the title its name: the most urgent that fires, else the first.
    pub(super) lead: Option<&'a SceneAlert>,
    /// Labels that all alerts share; empty for one alert.
    pub(super) common: BTreeSet<&'a str>,
    /// Keys of the links that all of several alerts share.
    pub(super) links: Vec<&'static str>,
    pub(super) one_name: bool,
    /// All of several alerts say the same of what is wrong.
    pub(super) one_summary: bool,
    /// They say the same more about it, or nothing.
    pub(super) one_description: bool,
    pub(super) tone: Tone,
    pub(super) emoji: &'static str,
}

impl<'a> Facts<'a> {
    pub(super) fn of(scene: &'a Scene) -> Self {
        let (mut fresh, mut resolved, mut unchanged) = (0, 0, u64::from(scene.still_firing));
        for alert in &scene.alerts {
            match alert.change {
                Change::New | Change::Refired => fresh += 1,
                Change::Resolved | Change::FiredResolved => resolved += 1,
                Change::Unchanged if alert.alert.status == Status::Resolved => resolved += 1,
                Change::Unchanged => unchanged += 1,
            }
        }
        let still = fresh + unchanged;
        let lead = scene.alerts.iter().filter(|a| fires(a)).min_by_key(|a| a.rank).or(scene.alerts.first());
        let first_name = scene.alerts.first().map_or("", |a| a.alert.name());
        let alerts = || scene.alerts.iter().map(|told| &*told.alert);
        let mut facts = Self {
            scene,
            fresh,
            resolved,
            unchanged,
            still,
            total: scene.alerts.len(),
            all_clear: resolved > 0 && still == 0 && scene.truncated == 0,
            partly: resolved > 0 && (still > 0 || scene.truncated > 0),
            reminder: fresh == 0 && resolved == 0 && unchanged > 0,
            lead,
            common: identity::common(alerts()),
            links: links::shared(alerts()),
            one_summary: scene.alerts.len() > 1 && texts::same(alerts(), 0),
            one_description: texts::same(alerts(), 1),
            one_name: scene.alerts.iter().all(|a| a.alert.name() == first_name),
            tone: Tone::Grey,
            emoji: "",
        };
        facts.colour(lead.map(|lead| lead.rank));
        facts
    }

    /// The same of a digest, whose alerts are mostly counted: the scene holds only those that may be named.
    pub(super) fn of_digest(scene: &'a Scene, tally: &Tally) -> Self {
        let mut facts = Self::of(scene);
        (facts.fresh, facts.resolved) = (tally.firing(), tally.resolved());
        facts.unchanged = tally.total().saturating_sub(facts.fresh + facts.resolved);
        facts.still = facts.fresh + facts.unchanged;
        facts.total = usize::try_from(tally.total()).unwrap_or(usize::MAX);
        facts.all_clear = facts.resolved > 0 && facts.still == 0;
        facts.partly = facts.resolved > 0 && facts.still > 0;
        facts.reminder = facts.fresh == 0 && facts.resolved == 0 && facts.unchanged > 0;
        // Out of hundreds of alerts each must say for itself which one it is.
        (facts.common, facts.links) = (BTreeSet::new(), Vec::new());
        (facts.one_name, facts.one_summary) = (false, false);
        facts.colour(tally.worst().or((facts.total > 0).then_some(u8::MAX)));
        facts
    }

    fn colour(&mut self, rank: Option<u8>) {
        self.tone = self.tone(rank);
        self.emoji = match self.tone {
            Tone::Red => "🔴",
            Tone::Orange => "🟠",
            Tone::Blue => "🔵",
            Tone::Green => "🟢",
            Tone::Grey => "⚪",
        };
    }

    /// See [`identity::identity`].
    pub(super) fn identity(&self, alert: &Alert) -> Vec<String> {
        identity::identity(alert, &self.common, &self.scene.notification.group_labels)
    }

    /// What all of several alerts share of it.
    pub(super) fn shared_identity(&self) -> Vec<String> {
        let lead = self.lead.filter(|_| !self.common.is_empty());
        lead.map(|lead| identity::shared(&lead.alert, &self.common))
            .unwrap_or_default()
            .into_iter()
            .map(|m| m.1)
            .collect()
    }

    /// By the most urgent alert. Green only when all is clear: "resolved 1, +3 not sent" is grey, because nobody knows.
    /// Reminders of the two most urgent levels stay red, others are grey: told again, they are not news.
    fn tone(&self, rank: Option<u8>) -> Tone {
        let Some(rank) = rank else { return Tone::Grey };
        if self.all_clear {
            return Tone::Green;
        }
        if self.still == 0 || (self.reminder && rank > 1) {
            return Tone::Grey;
        }
        match rank {
            0 | 1 => Tone::Red,
            2 => Tone::Orange,
            _ => Tone::Blue,
        }
    }

    /// The first word of a message: a severity, or what ended. A partly resolved one begins with its counts.
    pub(super) fn state(&self, scene: &Scene) -> String {
        let lang = scene.lang;
        let severity = self.lead.map(|lead| words::severity(lang, &lead.severity)).unwrap_or_default();
        if self.total == 0 && self.still == 0 {
            return words::word(lang, "notice").to_owned();
        }
        if self.all_clear {
            return words::word(lang, "resolved").to_owned();
        }
        if self.partly {
            let news = match (lang, self.fresh) {
                (_, 0) => String::new(),
                (Lang::Zh, n) => format!("（新增 {n}）"),
                (Lang::En, n) => format!(" ({n} new)"),
            };
            return match (lang, self.still) {
                (Lang::Zh, 0) => format!("恢复 {}，{}", self.resolved, not_sent(lang, scene.truncated)),
                (Lang::En, 0) => format!("Resolved {}, {}", self.resolved, not_sent(lang, scene.truncated)),
                (Lang::Zh, still) => format!("恢复 {}，仍有 {still}{news} {severity}", self.resolved),
                (Lang::En, still) => format!("Resolved {}, still {still}{news} {severity}", self.resolved),
            };
        }
        if self.reminder {
            return format!("{} {severity}", words::word(lang, "reminder"));
        }
        severity
    }

    /// How many of what, for a message about several alerts; empty when the state has said it.
    pub(super) fn counts(&self, scene: &Scene) -> String {
        if self.partly || (self.total < 2 && scene.still_firing == 0) {
            return String::new();
        }
        let lang = scene.lang;
        let parts = [
            (self.fresh, pick(lang, "新增", "new")),
            (self.unchanged, pick(lang, "仍在告警", "still firing")),
            (self.resolved, pick(lang, "恢复", "resolved")),
        ];
        join_counts(lang, parts.into_iter().map(|(n, word)| (n, word.to_owned())))
    }

    /// Facts that must not be missing from a message, each a sentence of our own words.
    pub(super) fn notes(&self, scene: &Scene) -> Vec<String> {
        let mut notes = Vec::new();
        if scene.truncated > 0 && !(self.partly && self.still == 0) {
            notes.push(not_sent(scene.lang, scene.truncated));
        }
        if scene.policies.iter().any(|name| name == crate::model::UNKNOWN_RECEIVER) {
            notes.push(match scene.lang {
                Lang::Zh => "Webhook 地址中的名称不存在，已按默认策略发送".to_owned(),
                Lang::En => "the webhook's address names nobody; sent by the default policy".to_owned(),
            });
        }
        notes.extend(on_behalf(scene));
        let late = scene.now.as_second().saturating_sub(scene.waiting_since_ms / 1_000);
        if scene.waiting_since_ms > 0 && late >= LATE {
            let length = words::duration(scene.lang, late);
            notes.push(match scene.lang {
                Lang::Zh => format!("排队 {length} 后发出"),
                Lang::En => format!("waited {length} to be sent"),
            });
        }
        notes
    }

    /// "12 more: 2 critical, 10 warning" about the alerts after the first `shown`; empty when there are none.
    pub(super) fn more(&self, scene: &Scene, shown: usize) -> String {
        let rest = scene.alerts.get(shown..).unwrap_or_default();
        if rest.is_empty() {
            return String::new();
        }
        let parts = totals(scene.lang, rest);
        match (scene.lang, shown) {
            (Lang::Zh, 0) => format!("共 {} 条：{parts}", rest.len()),
            (Lang::Zh, _) => format!("另有 {} 条：{parts}", rest.len()),
            (Lang::En, 0) => format!("{} alerts: {parts}", rest.len()),
            (Lang::En, _) => format!("{} more: {parts}", rest.len()),
        }
    }
}
/// Bots that a note names at most.
const SPOKEN_FOR: usize = 5;

/// The names of policies alone.
pub(super) fn policies(scene: &Scene) -> impl Iterator<Item = &String> {
    scene.policies.iter().filter(|name| !name.starts_with(FALLBACK))
}

/// For whom this bot speaks.
fn on_behalf(scene: &Scene) -> Option<String> {
    let names: BTreeSet<String> = (scene.policies.iter())
        .filter_map(|name| Some(super::marks::one_line(name.strip_prefix(FALLBACK)?, 100)))
        .filter(|name| !name.is_empty())
        .collect();
    let names: Vec<String> = names.into_iter().take(SPOKEN_FOR).collect();
    (!names.is_empty()).then(|| match scene.lang {
        Lang::Zh => format!("代 {} 发送", names.join("、")),
        Lang::En => format!("on behalf of {}", names.join(", ")),
    })
}

/// "+3 not sent": Alertmanager left alerts out of its body.
fn not_sent(lang: Lang, truncated: u64) -> String {
    match lang {
        Lang::Zh => format!("+{truncated} 条未发送"),
        Lang::En => format!("+{truncated} not sent"),
    }
}

/// Numbers by severity for what fires and one for what ended; our own words and configured level names only.
pub(super) fn totals(lang: Lang, alerts: &[SceneAlert]) -> String {
    let mut firing: BTreeMap<(u8, &str), u64> = BTreeMap::new();
    let mut resolved = 0;
    for alert in alerts {
        if fires(alert) {
            *firing.entry((alert.rank, &alert.severity)).or_default() += 1;
        } else {
            resolved += 1;
        }
    }
    let levels = firing.into_iter().map(|((_, level), n)| {
        let word = words::severity(lang, level);
        (n, if lang == Lang::En { word.to_lowercase() } else { word })
    });
    let ended = (resolved, pick(lang, "恢复", "resolved").to_owned());
    join_counts(lang, levels.chain([ended]))
}

pub(super) fn join_counts(lang: Lang, parts: impl Iterator<Item = (u64, String)>) -> String {
    let parts: Vec<String> = parts
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| match lang {
            Lang::Zh => format!("{word} {n}"),
            Lang::En => format!("{n} {word}"),
        })
        .collect();
    parts.join(words::word(lang, "comma"))
}

/// Whether it counts as firing in this message.
pub(super) fn fires(alert: &SceneAlert) -> bool {
    match alert.change {
        Change::New | Change::Refired => true,
        Change::Resolved | Change::FiredResolved => false,
        Change::Unchanged => alert.alert.status == Status::Firing,
    }
}

/// The same for a line in a list: when it began, and when it ended.
pub(super) fn when_short(scene: &Scene, alert: &SceneAlert) -> String {
    span(scene, alert, words::time)
}

/// The same to the minute, where that tells begin and end apart.
pub(super) fn when_brief(scene: &Scene, alert: &SceneAlert) -> String {
    let length = alert
        .alert
        .starts_at
        .zip(alert.alert.ends_at)
        .map(|(start, end)| end.as_second().saturating_sub(start.as_second()));
    let short = length.is_some_and(|seconds| seconds < 60) && !fires(alert);
    span(scene, alert, if short { words::time } else { words::minute })
}

fn span(scene: &Scene, alert: &SceneAlert, layout: fn(Timestamp, Timestamp, &TimeZone) -> String) -> String {
    let at = |time| layout(time, scene.now, &scene.tz);
    let ended = alert.alert.ends_at.filter(|_| !fires(alert));
    match (alert.alert.starts_at, ended, scene.lang) {
        (Some(start), Some(end), _) => words::range((start, end), scene.now, &scene.tz, layout),
        (Some(start), None, Lang::Zh) => format!("{} 起", at(start)),
        (Some(start), None, Lang::En) => format!("since {}", at(start)),
        (None, Some(end), _) => format!("–{}", at(end)),
        (None, None, _) => String::new(),
    }
}

/// When an alert began and ended, and how long that is.
pub(super) struct Timing {
    /// "still firing", "since 10:01:32"; "10:01:32–10:09:05"; "flapped 7 times".
    pub(super) at: Vec<String>,
    /// "2m", "7m33s".
    pub(super) length: Option<String>,
    pub(super) flaps: Option<String>,
}

impl Timing {
    pub(super) fn of(scene: &Scene, facts: &Facts<'_>, alert: &SceneAlert) -> Self {
        let lang = scene.lang;
        let flaps = (alert.flaps > 1).then(|| match lang {
            Lang::Zh => format!("波动 {} 次", alert.flaps),
            Lang::En => format!("flapped {} times", alert.flaps),
        });
        let (start, end) = (alert.alert.starts_at, alert.alert.ends_at);
        if !fires(alert) {
            let lasted = |(start, end): (Timestamp, Timestamp)| {
                words::duration(lang, end.as_second().saturating_sub(start.as_second()))
            };
            return Self { at: vec![ended(scene, alert)], length: start.zip(end).map(lasted), flaps };
        }
        let state = match alert.change {
            Change::Refired => Some(pick(lang, "再次告警", "fired again")),
            // A message of nothing but reminders says so once.
            Change::Unchanged if !facts.reminder => Some(pick(lang, "仍在告警", "still firing")),
            _ => None,
        };
        let since = Some(when_short(scene, alert)).filter(|since| !since.is_empty());
        let age = |start: Timestamp| words::age(lang, scene.now.as_second().saturating_sub(start.as_second()));
        Self { at: state.map(str::to_owned).into_iter().chain(since).collect(), length: start.map(age), flaps }
    }

    /// All of it in words.
    fn text(self, lang: Lang, firing: bool) -> String {
        let length = self.length.map(|length| match (lang, firing) {
            // "under a minute" needs no word before it.
            (Lang::Zh, true) if length.starts_with('不') => length,
            (Lang::Zh, true) => format!("已 {length}"),
            (Lang::Zh, false) => format!("持续 {length}"),
            (Lang::En, true) => format!("for {length}"),
            (Lang::En, false) => format!("lasted {length}"),
        });
        let parts: Vec<String> = self.at.into_iter().chain(length).chain(self.flaps).collect();
        parts.join(words::word(lang, "comma"))
    }
}

/// When one that has ended began and ended.
fn ended(scene: &Scene, alert: &SceneAlert) -> String {
    let at = |time| words::time(time, scene.now, &scene.tz);
    match (alert.alert.starts_at, alert.alert.ends_at, alert.change, scene.lang) {
        (Some(start), Some(end), Change::FiredResolved, Lang::Zh) => {
            format!("{} 告警，{} 恢复", at(start), at(end))
        }
        (Some(start), Some(end), Change::FiredResolved, Lang::En) => {
            format!("fired {}, resolved {}", at(start), at(end))
        }
        (Some(start), Some(end), ..) => words::range((start, end), scene.now, &scene.tz, words::time),
        (None, Some(end), _, Lang::Zh) => format!("{} 恢复", at(end)),
        (None, Some(end), _, Lang::En) => format!("resolved {}", at(end)),
        (Some(start), None, _, Lang::Zh) => format!("{} 起，已恢复", at(start)),
        (Some(start), None, _, Lang::En) => format!("since {}, resolved", at(start)),
        (None, None, _, Lang::Zh) => "已恢复".to_owned(),
        (None, None, _, Lang::En) => "resolved".to_owned(),
    }
}

/// When it began and ended or how long it lasts, in words.
pub(super) fn when(scene: &Scene, facts: &Facts<'_>, alert: &SceneAlert) -> String {
    Timing::of(scene, facts, alert).text(scene.lang, fires(alert))
}
