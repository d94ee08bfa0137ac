//! What a bot would be sent for a webhook body. Sends nothing, and needs no store: the same queue decides what is news.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::digest::{is_critical, sort};
use super::letter::{News, calls, dialect, history_text, kind_of};
use super::{BotConfig, Settings};
use crate::model::{
    Alert, Change, Dialect, Draft, Head, HeadFlags, How, Kind, Mentions, MessageId, Millis, Notification, Status,
    via_names, via_text,
};
use crate::render::{self, DigestScene, Form, Rendered, SceneAlert, Tally, TemplateFailure, Trim};
use crate::routing::{Endpoint, Routed, Target, group_id};
use crate::waiting::{Item, Picked, Queue, Terms, Told};

/// Alerts that a digest may name.
const LEADING: usize = 100;

/// On what occasion a body comes.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// What the chat was told before, oldest first, all of it longer ago than the `dedup_window`. `None`: the firing of
    /// whatever is resolved in the body, and nothing of the rest.
    pub told: Option<&'a [Notification]>,
    /// In a storm: everything in one digest, its only one.
    pub digest: bool,
    /// How much is said; the plainer forms are what a robot gets that refused the full one.
    pub form: Form,
}

impl Default for Occasion<'_> {
    fn default() -> Self {
        Self { told: None, digest: false, form: Form::Full }
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Its id.
    pub id: MessageId,
    /// Its kind.
    pub kind: Kind,
    /// The unsigned request body.
    pub body: Bytes,
    /// What the history would show.
    pub text: String,
    /// The message before it has its vendor's form.
    pub draft: Draft,
    /// Its bytes as the vendor counts them.
    pub size: usize,
    /// The most that the vendor takes.
    pub limit: usize,
    /// Alerts that it names.
    pub named: usize,
    /// Alerts that it only counts.
    pub counted: usize,
    /// What was left out to make it fit.
    pub trim: Trim,
    /// The policies that led here.
    pub policies: Vec<String>,
    /// The template set.
    pub template: String,
    /// Set when a custom template failed and the built-in plain text took its place.
    pub failure: Option<TemplateFailure>,
}

/// What a body would make one bot say.
#[derive(Clone, Debug, Default)]
pub struct Previews {
    /// The messages, the most urgent first.
    pub messages: Vec<Preview>,
    /// No policy leads any of the alerts to this bot: these are the messages for the bot's own webhook address.
    pub direct: bool,
    /// Alerts that the policies lead elsewhere.
    pub elsewhere: usize,
    /// Resolved alerts that the bot does not want to hear of (`send_resolved: false`).
    pub silent: usize,
    /// Alerts of which the chat was told this very state already, and would not be told again.
    pub repeats: usize,
}

/// The messages for a chat that was told the firing of what is resolved and nothing of the rest, and where nobody was
/// called lately.
pub fn preview(
    settings: &Settings,
    config: &BotConfig,
    body: Notification,
    now: Timestamp,
    new_id: impl FnMut() -> MessageId,
) -> Previews {
    preview_on(&Occasion::default(), settings, config, body, now, new_id)
}

/// The messages on an occasion, in a chat where nobody was called lately. A digest is one message, or none when no alert
/// leads to the bot.
pub fn preview_on(
    occasion: &Occasion<'_>,
    settings: &Settings,
    config: &BotConfig,
    body: Notification,
    now: Timestamp,
    mut new_id: impl FnMut() -> MessageId,
) -> Previews {
    let body = Arc::new(body);
    let mut chat = Chat { settings, config, now, form: occasion.form, endpoint: Endpoint::Policies };
    let (mine, mut previews) = chat.mine(&body);
    let mut queue = chat.queue(&body, &mine, occasion.told);
    let picked: Vec<Picked> = std::iter::from_fn(|| queue.pick(|_| usize::MAX)).collect();
    previews.repeats = usize::try_from(queue.repeats()).unwrap_or(usize::MAX);
    if occasion.digest {
        let items: Vec<Item> = picked.into_iter().flat_map(|picked| picked.items).collect();
        previews.messages.extend((!items.is_empty()).then(|| chat.digest(&mine, items, new_id())));
    } else {
        previews.messages = picked.iter().map(|picked| chat.message(&body, &mine, picked, new_id())).collect();
    }
    previews
}

/// An alert of the body that is for this bot.
type Mine<'a> = (&'a Alert, Target);

/// One bot and its chat at one moment.
struct Chat<'a> {
    settings: &'a Settings,
    config: &'a BotConfig,
    now: Timestamp,
    form: Form,
    endpoint: Endpoint,
}

fn millis(time: Option<Timestamp>) -> Millis {
    time.map_or(0, Timestamp::as_millisecond)
}

impl Chat<'_> {
    fn target(&self, alert: &Alert) -> Option<Target> {
        match self.settings.router.route(&self.endpoint, alert, self.now) {
            Routed::To(targets) => targets.into_iter().find(|target| target.bot == self.config.name),
            Routed::Dropped { .. } | Routed::Nowhere => None,
        }
    }

    /// The alerts of a body that are for this bot, and what is to be said of the others.
    fn mine<'b>(&mut self, body: &'b Notification) -> (Vec<Mine<'b>>, Previews) {
        let through = |chat: &Self| -> Vec<Mine<'b>> {
            body.alerts.iter().filter_map(|alert| Some((alert, chat.target(alert)?))).collect()
        };
        let mut mine = through(self);
        let direct = mine.is_empty();
        if direct {
            self.endpoint = Endpoint::Named(self.config.name.to_string());
            mine = through(self);
        }
        let resolved = mine.iter().filter(|(alert, _)| alert.status == Status::Resolved).count();
        let silent = if self.config.send_resolved { 0 } else { resolved };
        let previews = Previews { direct, elsewhere: body.alerts.len() - mine.len(), silent, ..Previews::default() };
        (mine, previews)
    }

    fn group(&self, body: &Notification, alert: &Alert, target: &Target) -> u64 {
        group_id(&self.endpoint, "", &body.group_key, target.group_by.as_deref(), &target.via, alert)
    }

    /// The queue of a chat that was told these things, after the body has come.
    fn queue(&self, body: &Notification, mine: &[Mine<'_>], told: Option<&[Notification]>) -> Queue {
        let options = self.settings.options;
        let now_ms = self.now.as_millisecond();
        let window_ms = Millis::try_from(options.dedup_window.as_millis()).unwrap_or(Millis::MAX / 4);
        let then_ms = now_ms.saturating_sub(window_ms).saturating_sub(1);
        let mut queue = Queue::new(options, Terms::default());
        let mut remember = |body: &Notification, alert: &Alert, target: &Target, status: Status| {
            let ends_ms = if status == Status::Firing { 0 } else { millis(alert.ends_at) };
            let starts_ms = millis(alert.starts_at);
            let told = Told { status, starts_ms, ends_ms, accepted_ms: then_ms, told_ms: then_ms };
            queue.remember(alert.fingerprint, self.group(body, alert, target), told);
        };
        match told {
            Some(bodies) => {
                for (body, alert) in bodies.iter().flat_map(|body| body.alerts.iter().map(move |alert| (body, alert))) {
                    if let Some(target) = self.target(alert) {
                        remember(body, alert, &target, alert.status);
                    }
                }
            }
            None => {
                for (alert, target) in mine.iter().filter(|(alert, _)| alert.status == Status::Resolved) {
                    remember(body, alert, target, Status::Firing);
                }
            }
        }
        for (pos, (alert, target)) in (1..).zip(mine) {
            let silent = alert.status == Status::Resolved && !self.config.send_resolved;
            let severities = &self.settings.severities;
            queue.apply(Head {
                pos,
                body: 0,
                idx: u32::try_from(pos - 1).unwrap_or(u32::MAX),
                fingerprint: alert.fingerprint,
                group: self.group(body, alert, target),
                status: alert.status,
                severity: severities.rank(alert.label(&severities.label)),
                flags: HeadFlags(if silent { HeadFlags::SILENT } else { 0 }),
                starts_ms: millis(alert.starts_at),
                ends_ms: millis(alert.ends_at),
                accepted_ms: now_ms,
                via: 0,
            });
        }
        queue
    }

    fn scene_alert(&self, alert: &Alert, item: &Item) -> SceneAlert {
        let rank = item.head.severity;
        SceneAlert {
            alert: Arc::new(alert.clone()),
            change: item.change,
            rank,
            severity: self.settings.severities.name(rank).to_owned(),
            flaps: u32::from(item.flaps),
        }
    }

    fn mentions(&self, via: &str, alerts: &[SceneAlert]) -> Mentions {
        let calls = calls(self.settings, self.config, via, alerts);
        let people = calls.people.iter().map(|call| (*call.contact).clone()).collect();
        Mentions { all: calls.all.is_some(), people }
    }

    fn digest(&self, mine: &[Mine<'_>], mut items: Vec<Item>, id: MessageId) -> Preview {
        sort(&mut items);
        let found = of_items(mine, &items);
        let via = via_of(&found);
        let mut leading: Vec<SceneAlert> =
            found.iter().zip(&items).map(|((alert, _), item)| self.scene_alert(alert, item)).collect();
        let mut tally = Tally::default();
        leading.iter().for_each(|alert| tally.add(alert));
        let all = leading.len();
        leading.truncate(LEADING);
        let critical: Vec<SceneAlert> = leading.iter().filter(|alert| is_critical(alert)).cloned().collect();
        let (config, settings) = (self.config, self.settings);
        let scene = DigestScene {
            bot: config.name.to_string(),
            lang: config.lang,
            tz: config.timezone.clone(),
            now: self.now,
            tally,
            leading,
            since_ms: self.now.as_millisecond(),
            storm: None,
            policies: via_names(&via).map(str::to_owned).collect(),
            mentions: self.mentions(&via, &critical),
            template: config.template.clone(),
            keywords: config.keywords.clone(),
            keyword_mode: config.keyword_mode,
            list_url: settings.list_url(&id),
            link_rewrites: Arc::clone(&settings.link_rewrites),
            form: self.form,
        };
        let dialect = dialect(config);
        let rendered = render::render_digest(&settings.templates, dialect.as_ref(), &scene);
        let kind = if rendered.draft.plain { Kind::Plain } else { Kind::Digest };
        finished(dialect.as_ref(), rendered, (id, kind), all, (scene.policies, scene.template))
    }

    /// What has not changed is only counted beside what has; alone it is a reminder.
    fn message(&self, body: &Arc<Notification>, mine: &[Mine<'_>], picked: &Picked, id: MessageId) -> Preview {
        let found = of_items(mine, &picked.items);
        let via = via_of(&found);
        let told = found.iter().zip(&picked.items).map(|((alert, _), item)| self.scene_alert(alert, item));
        let alerts: Vec<SceneAlert> =
            told.filter(|alert| picked.reminder || alert.change != Change::Unchanged).collect();
        let unchanged = u32::try_from(picked.items.len() - alerts.len()).unwrap_or(u32::MAX);
        let news = News {
            via: &via,
            notification: Arc::clone(body),
            still_firing: unchanged.saturating_add(if self.config.send_resolved { picked.still_firing } else { 0 }),
            since_ms: self.now.as_millisecond(),
            mentions: self.mentions(&via, &alerts),
            alerts,
            form: self.form,
        };
        let scene = news.scene(self.settings, self.config, self.now, &id);
        let dialect = dialect(self.config);
        let rendered = render::render(&self.settings.templates, dialect.as_ref(), &scene);
        let kind = kind_of(scene.form, &rendered);
        finished(dialect.as_ref(), rendered, (id, kind), picked.items.len(), (scene.policies, scene.template))
    }
}

/// The alerts that the items stand for, in their order.
fn of_items<'m, 'a>(mine: &'m [Mine<'a>], items: &[Item]) -> Vec<&'m Mine<'a>> {
    let place = |item: &Item| usize::try_from(item.head.idx).unwrap_or(usize::MAX);
    items.iter().filter_map(|item| mine.get(place(item))).collect()
}

/// The policies of all of them, each once, in the order of the alerts.
fn via_of(told: &[&Mine<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in told.iter().flat_map(|(_, target)| via_names(&target.via)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    via_text(names)
}

/// What a person sees of a message about `all` alerts, and by which policies and template.
fn finished(
    dialect: &dyn Dialect,
    rendered: Rendered,
    (id, kind): (MessageId, Kind),
    all: usize,
    (policies, template): (Vec<String>, String),
) -> Preview {
    let named = rendered.how.iter().filter(|how| **how == How::Named).count();
    Preview {
        kind,
        body: dialect.encode(&rendered.draft, id.as_str()).into(),
        text: history_text(&rendered.draft),
        size: dialect.size(&rendered.draft),
        limit: dialect.limit(&rendered.draft),
        named,
        counted: all - named,
        trim: rendered.trim,
        policies,
        template,
        failure: rendered.failure,
        draft: rendered.draft,
        id,
    }
}
