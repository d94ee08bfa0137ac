//! Composing a message: from the picked alerts to the bytes that will be sent.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::bot::Bot;
use super::ladder::Stage;
use super::sources::{Source, missing, sources};
use super::{BotConfig, Settings};
use crate::channel;
use crate::clock::Clock;
use crate::model::{
    Change, Dialect, Draft, FALLBACK, Fingerprint, GroupId, Head, How, Kind, Labels, Mentions, MessageId, Millis,
    Notification, Status, ToldAlert, UNKNOWN_RECEIVER, via_names, via_text,
};
use crate::render::{self, Form, Rendered, Scene, SceneAlert};
use crate::routing::Calls;
use crate::store::{OpenMessage, Store, StoreError};
use crate::waiting::{Item, Picked};

/// Characters of an annotation that the history keeps.
const SUMMARY_CHARS: usize = 1_000;

/// Stands for a group where a message is a digest. A real group of this number, one in 2^64, would share its stage.
pub(super) const DIGEST: GroupId = 0;

/// What a message is about.
pub(super) enum Content {
    /// These versions of a group, and how each is told.
    Alerts(Vec<(Item, How)>),
    /// So many dead letters that the chat does not know of.
    Notice(u32),
}

/// A message that is ready to be sent.
pub(super) struct Letter {
    pub(super) id: MessageId,
    pub(super) kind: Kind,
    pub(super) group: GroupId,
    pub(super) content: Content,
    /// The unsigned request body.
    pub(super) body: Bytes,
    /// What people will read; empty for a message that is sent again.
    pub(super) text: String,
    pub(super) alerts: Vec<ToldAlert>,
    /// Names of those it calls; `""` is everybody.
    pub(super) calls: Vec<String>,
    /// How its group is told at present.
    pub(super) stage: Stage,
    /// What stands behind its alerts, for dead letters; none of a digest, which never becomes any.
    pub(super) sources: Vec<Source>,
    /// How many parts of further alerts the store keeps for it.
    pub(super) parts: u32,
    /// Alerts that it tells as firing, reminders apart, and as resolved.
    pub(super) news: (u64, u64),
}

impl Letter {
    /// The alert versions in it and how it tells each.
    pub(super) fn covers(&self) -> Vec<(i64, Fingerprint, How)> {
        match &self.content {
            Content::Alerts(items) => {
                items.iter().map(|(item, how)| (item.head.pos, item.fingerprint(), *how)).collect()
            }
            Content::Notice(_) => Vec::new(),
        }
    }

    /// The versions alone.
    pub(super) fn versions(&self) -> Vec<(i64, Fingerprint)> {
        self.covers().into_iter().map(|(pos, fingerprint, _)| (pos, fingerprint)).collect()
    }

    /// A message whose outcome is unknown, once more and exactly as it was.
    pub(super) fn again(open: OpenMessage, items: Vec<Item>) -> Self {
        let how: HashMap<i64, How> = open.covers.iter().map(|(pos, _, how)| (*pos, *how)).collect();
        let told = |item: Item| (item, how.get(&item.head.pos).copied().unwrap_or(How::Named));
        let news = started_and_ended(&items);
        Self {
            id: open.id,
            kind: open.kind,
            group: open.group,
            content: Content::Alerts(items.into_iter().map(told).collect()),
            body: open.body,
            text: String::new(),
            alerts: Vec::new(),
            calls: Vec::new(),
            stage: Stage::default(),
            sources: Vec::new(),
            parts: 0,
            news,
        }
    }
}

/// How many items are news of firing alerts, and of ended ones.
pub(super) fn started_and_ended<'a>(items: impl IntoIterator<Item = &'a Item>) -> (u64, u64) {
    let mut counts = (0, 0);
    for item in items {
        match item.change {
            Change::New | Change::Refired => counts.0 += 1,
            Change::Resolved | Change::FiredResolved => counts.1 += 1,
            Change::Unchanged => {}
        }
    }
    counts
}

/// What composing needs around it.
pub(super) struct Desk<'a> {
    pub(super) settings: &'a Settings,
    pub(super) config: &'a BotConfig,
    pub(super) bot: &'a Bot,
    pub(super) store: &'a dyn Store,
    pub(super) clock: &'a dyn Clock,
}

/// A composed message, and the custom template that failed on the way.
pub(super) type Composed = (Letter, Option<render::TemplateFailure>);

impl Desk<'_> {
    /// Composes a group's message. `uuid` is what DingTalk knows these bytes by: another rendering must have another one,
    /// or the newer state would be taken for the message that was shown already.
    pub(super) async fn group(
        &self,
        picked: &Picked,
        id: MessageId,
        uuid: &MessageId,
        stage: Stage,
    ) -> Result<Composed, StoreError> {
        let found = sources(self.store, &picked.items).await?;
        let via = joined_via(&found);
        let all: Vec<SceneAlert> =
            picked.items.iter().zip(&found).map(|(item, source)| self.scene_alert(item, source)).collect();
        // What has not changed is only counted beside what has; alone it is a reminder.
        let reminder = all.iter().all(|alert| alert.change == Change::Unchanged);
        let named = |alert: &SceneAlert| reminder || alert.change != Change::Unchanged;
        let alerts: Vec<SceneAlert> = all.iter().filter(|alert| named(alert)).cloned().collect();
        let counted = u32::try_from(all.len() - alerts.len()).unwrap_or(u32::MAX);
        let (mentions, calls) =
            if stage.quiet { (Mentions::default(), Vec::new()) } else { self.mentions(&via, &alerts) };
        let newest =
            picked.items.iter().zip(&found).max_by_key(|(item, _)| item.head.body).map(|(_, found)| &found.body);
        let news = News {
            via: &via,
            notification: newest.cloned().unwrap_or_else(|| Arc::new(missing())),
            alerts,
            still_firing: counted.saturating_add(if self.config.send_resolved { picked.still_firing } else { 0 }),
            since_ms: picked.items.iter().map(|item| item.since_ms).min().unwrap_or(0),
            mentions,
            form: stage.form,
        };
        let scene = news.scene(self.settings, self.config, self.clock.now(), &id);
        let dialect = dialect(self.config);
        let rendered = render::render(&self.settings.templates, dialect.as_ref(), &scene);
        let mut shown = rendered.how.iter();
        let how: Vec<How> = all
            .iter()
            .map(|alert| if named(alert) { shown.next().copied().unwrap_or(How::Counted) } else { How::Counted })
            .collect();
        let alerts = all.iter().zip(&picked.items).zip(&how);
        let alerts = alerts.map(|((alert, item), how)| told_alert(alert, &item.head, *how)).collect();
        let letter = Letter {
            kind: kind_of(stage.form, &rendered),
            group: picked.group,
            body: dialect.encode(&rendered.draft, uuid.as_str()).into(),
            text: history_text(&rendered.draft),
            content: Content::Alerts(picked.items.iter().copied().zip(how).collect()),
            alerts,
            calls,
            stage,
            news: started_and_ended(&picked.items),
            sources: found,
            parts: 0,
            id,
        };
        Ok((letter, rendered.failure))
    }

    /// Composes the notice that some alerts were refused.
    pub(super) fn notice(&self, dead: u32, id: MessageId) -> Letter {
        let dialect = dialect(self.config);
        let draft = render::notice(self.config.lang, dead, &self.config.keywords, self.config.keyword_mode);
        Letter {
            kind: Kind::Plain,
            group: 0,
            body: dialect.encode(&draft, id.as_str()).into(),
            text: history_text(&draft),
            content: Content::Notice(dead),
            alerts: Vec::new(),
            calls: Vec::new(),
            stage: Stage::default(),
            sources: Vec::new(),
            parts: 0,
            news: (0, 0),
            id,
        }
    }

    pub(super) fn scene_alert(&self, item: &Item, source: &Source) -> SceneAlert {
        let mut alert = Arc::clone(&source.alert);
        let mut change = item.change;
        if item.head.status == Status::Firing && item.head.ends_ms != 0 {
            // It ended while it waited, in a chat that is told of firings only.
            change = Change::FiredResolved;
            let ended = Arc::make_mut(&mut alert);
            ended.status = Status::Resolved;
            ended.ends_at = Timestamp::from_millisecond(item.head.ends_ms).ok();
        }
        SceneAlert {
            alert,
            change,
            rank: item.head.severity,
            severity: self.settings.severities.name(item.head.severity).to_owned(),
            flaps: u32::from(item.flaps),
        }
    }

    /// Whom the firing alerts call now, and by which names the calls are remembered.
    pub(super) fn mentions(&self, via: &str, alerts: &[SceneAlert]) -> (Mentions, Vec<String>) {
        let calls = calls(self.settings, self.config, via, alerts);
        let now = self.clock.mono();
        let desk = self.bot.desk();
        let due = |name: &str, interval| desk.called.get(name).is_none_or(|last| now >= *last + interval);
        let all = calls.all.is_some_and(|interval| due("", interval));
        let people = calls.people.into_iter().filter(|call| due(&call.contact.name, call.interval));
        let people: Vec<_> = people.map(|call| (*call.contact).clone()).collect();
        let mut names: Vec<String> = people.iter().map(|contact| contact.name.clone()).collect();
        if all {
            names.push(String::new());
        }
        (Mentions { all, people }, names)
    }
}

/// What a message tells, before its bot's settings are added.
pub(super) struct News<'a> {
    /// The policies that led here.
    pub(super) via: &'a str,
    /// The newest body of the group.
    pub(super) notification: Arc<Notification>,
    pub(super) alerts: Vec<SceneAlert>,
    pub(super) still_firing: u32,
    /// When the oldest of the alerts was accepted.
    pub(super) since_ms: Millis,
    pub(super) mentions: Mentions,
    pub(super) form: Form,
}

impl News<'_> {
    pub(super) fn scene(self, settings: &Settings, config: &BotConfig, now: Timestamp, id: &MessageId) -> Scene {
        Scene {
            bot: config.name.to_string(),
            lang: config.lang,
            tz: config.timezone.clone(),
            now,
            truncated: self.notification.truncated_alerts,
            notification: self.notification,
            alerts: self.alerts,
            still_firing: self.still_firing,
            waiting_since_ms: self.since_ms,
            policies: via_names(self.via).map(str::to_owned).collect(),
            mentions: self.mentions,
            template: settings.router.template_for(self.via).unwrap_or(&config.template).to_owned(),
            keywords: config.keywords.clone(),
            keyword_mode: config.keyword_mode,
            list_url: settings.list_url(id),
            link_rewrites: Arc::clone(&settings.link_rewrites),
            form: self.form,
        }
    }
}

/// The dialect of a bot's vendor, with room for a signature when any of its robots wants one.
pub(super) fn dialect(config: &BotConfig) -> Box<dyn Dialect> {
    channel::dialect(config.kind, config.layout, config.robots.iter().any(|robot| robot.secret.is_some()))
}

pub(super) const fn kind_of(form: Form, rendered: &Rendered) -> Kind {
    match form {
        Form::Full if rendered.failure.is_none() => Kind::Single,
        _ => Kind::Plain,
    }
}

/// Whom the newly firing alerts call, whoever was called lately.
pub(super) fn calls(settings: &Settings, config: &BotConfig, via: &str, alerts: &[SceneAlert]) -> Calls {
    let firing = alerts
        .iter()
        .filter(|alert| alert.alert.status == Status::Firing && matches!(alert.change, Change::New | Change::Refired));
    let firing: Vec<(&Labels, u8)> = firing.map(|alert| (&alert.alert.labels, alert.rank)).collect();
    // The marks are no policies, and must not bring in the bot's own rule beside a policy's.
    let via = via_text(via_names(via).filter(|name| *name != UNKNOWN_RECEIVER && !name.starts_with(FALLBACK)));
    if firing.is_empty() { Calls::default() } else { settings.router.mentions(&config.mention, &via, firing) }
}

/// The policies of all of them, each once, in the order of the alerts.
pub(super) fn joined_via(found: &[Source]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for source in found {
        for name in via_names(&source.via) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    via_text(names)
}

pub(super) fn told_alert(alert: &SceneAlert, head: &Head, how: How) -> ToldAlert {
    let text = ["summary", "description", "message"].iter().find_map(|name| alert.alert.annotations.get(*name));
    ToldAlert {
        fingerprint: head.fingerprint,
        status: alert.alert.status,
        how,
        severity: alert.severity.clone(),
        labels: alert.alert.labels.clone(),
        summary: text.map(|text| text.chars().take(SUMMARY_CHARS).collect()).unwrap_or_default(),
        starts_ms: head.starts_ms,
        ends_ms: head.ends_ms,
    }
}

/// What the history shows of a message.
pub(super) fn history_text(draft: &Draft) -> String {
    let body = if draft.body.starts_with(&draft.title) {
        draft.body.clone()
    } else {
        format!("{}\n{}", draft.title, draft.body)
    };
    let facts = draft.facts.iter().map(|(name, value)| format!("\n{name}: {value}"));
    facts.fold(body, |text, fact| text + &fact)
}
