//! What a bot would be sent for a webhook body. Sends nothing, and needs neither a store nor a queue.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::letter::{News, calls, dialect, history_text, kind_of};
use super::{BotConfig, Settings};
use crate::model::{
    Alert, Change, Dialect, Draft, How, Kind, Mentions, MessageId, Notification, Status, via_names, via_text,
};
use crate::render::{self, DigestScene, Form, Rendered, SceneAlert, Tally, TemplateFailure};
use crate::routing::{Endpoint, Routed, Target, group_id};

/// Alerts that a digest may name.
const LEADING: usize = 100;

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
    /// The messages, in the order of their first alerts.
    pub messages: Vec<Preview>,
    /// No policy leads any of the alerts to this bot: these are the messages for the bot's own webhook address.
    pub direct: bool,
    /// Alerts that the policies lead elsewhere.
    pub elsewhere: usize,
    /// Resolved alerts that the bot does not want to hear of (`send_resolved: false`).
    pub silent: usize,
}

/// The messages for a chat that was told the firing of what is resolved and nothing of the rest, and where nobody was
/// called lately.
pub fn preview(
    settings: &Settings,
    config: &BotConfig,
    body: Notification,
    now: Timestamp,
    mut new_id: impl FnMut() -> MessageId,
) -> Previews {
    let body = Arc::new(body);
    let Mine { alerts, endpoint, mut previews } = mine(settings, config, &body, now);
    let mut groups: Vec<(u64, Vec<(&Alert, Target)>)> = Vec::new();
    for (alert, target) in alerts {
        let group = group_id(&endpoint, "", &body.group_key, target.group_by.as_deref(), &target.via, alert);
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, alerts)) => alerts.push((alert, target)),
            None => groups.push((group, vec![(alert, target)])),
        }
    }
    let one = |(_, alerts): (u64, Vec<(&Alert, Target)>)| message(settings, config, &body, &alerts, now, new_id());
    previews.messages = groups.into_iter().map(one).collect();
    previews
}

/// The digest that the same chat would be sent if these alerts were all that waited for it, and the only one of its
/// storm. No message when no alert leads to it.
pub fn preview_digest(
    settings: &Settings,
    config: &BotConfig,
    body: &Notification,
    now: Timestamp,
    id: MessageId,
) -> Previews {
    let Mine { alerts, mut previews, .. } = mine(settings, config, body, now);
    if !alerts.is_empty() {
        previews.messages.push(digest(settings, config, &alerts, now, id));
    }
    previews
}

/// The alerts of a body that are for one bot, and what is to be said of the others.
struct Mine<'a> {
    alerts: Vec<(&'a Alert, Target)>,
    endpoint: Endpoint,
    previews: Previews,
}

fn mine<'a>(settings: &Settings, config: &BotConfig, body: &'a Notification, now: Timestamp) -> Mine<'a> {
    let through = |endpoint: &Endpoint| -> Vec<(&'a Alert, Target)> {
        let target = |alert| match settings.router.route(endpoint, alert, now) {
            Routed::To(targets) => targets.into_iter().find(|target| target.bot == config.name),
            Routed::Dropped { .. } | Routed::Nowhere => None,
        };
        body.alerts.iter().filter_map(|alert| Some((alert, target(alert)?))).collect()
    };
    let mut endpoint = Endpoint::Policies;
    let mut alerts = through(&endpoint);
    let direct = alerts.is_empty();
    if direct {
        endpoint = Endpoint::Named(config.name.to_string());
        alerts = through(&endpoint);
    }
    let elsewhere = body.alerts.len() - alerts.len();
    let all = alerts.len();
    alerts.retain(|(alert, _)| config.send_resolved || alert.status == Status::Firing);
    let silent = all - alerts.len();
    Mine { alerts, endpoint, previews: Previews { messages: Vec::new(), direct, elsewhere, silent } }
}

/// The policies of all of them, each once, in the order of the alerts.
fn via_of(told: &[(&Alert, Target)]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in told.iter().flat_map(|(_, target)| via_names(&target.via)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    via_text(names)
}

fn mentions(settings: &Settings, config: &BotConfig, via: &str, alerts: &[SceneAlert]) -> Mentions {
    let calls = calls(settings, config, via, alerts);
    let people = calls.people.iter().map(|call| (*call.contact).clone()).collect();
    Mentions { all: calls.all.is_some(), people }
}

fn digest(
    settings: &Settings,
    config: &BotConfig,
    told: &[(&Alert, Target)],
    now: Timestamp,
    id: MessageId,
) -> Preview {
    let via = via_of(told);
    let mut leading: Vec<SceneAlert> = told.iter().map(|(alert, _)| scene_alert(settings, alert)).collect();
    let mut tally = Tally::default();
    for alert in &leading {
        tally.add(alert);
    }
    let all = leading.len();
    leading.sort_by_key(|alert| (alert.alert.status, alert.rank, alert.alert.starts_at));
    let mentions = mentions(settings, config, &via, &leading);
    leading.truncate(LEADING);
    let scene = DigestScene {
        bot: config.name.to_string(),
        lang: config.lang,
        tz: config.timezone.clone(),
        now,
        tally,
        leading,
        since_ms: now.as_millisecond(),
        storm: None,
        policies: via_names(&via).map(str::to_owned).collect(),
        mentions,
        template: config.template.clone(),
        keywords: config.keywords.clone(),
        keyword_mode: config.keyword_mode,
        list_url: settings.list_url(&id),
        link_rewrites: Arc::clone(&settings.link_rewrites),
        form: Form::Full,
    };
    let dialect = dialect(config);
    let rendered = render::render_digest(&settings.templates, dialect.as_ref(), &scene);
    let kind = if rendered.draft.plain { Kind::Plain } else { Kind::Digest };
    finished(dialect.as_ref(), rendered, (id, kind), all, (scene.policies, scene.template))
}

fn message(
    settings: &Settings,
    config: &BotConfig,
    body: &Arc<Notification>,
    told: &[(&Alert, Target)],
    now: Timestamp,
    id: MessageId,
) -> Preview {
    let via = via_of(told);
    let mut alerts: Vec<SceneAlert> = told.iter().map(|(alert, _)| scene_alert(settings, alert)).collect();
    alerts.sort_by_key(|alert| (alert.alert.status, alert.rank));
    let mentions = mentions(settings, config, &via, &alerts);
    let news = News {
        via: &via,
        notification: Arc::clone(body),
        alerts,
        still_firing: 0,
        since_ms: now.as_millisecond(),
        mentions,
        form: Form::Full,
    };
    let scene = news.scene(settings, config, now, &id);
    let dialect = dialect(config);
    let rendered = render::render(&settings.templates, dialect.as_ref(), &scene);
    let (kind, all) = (kind_of(scene.form, &rendered), rendered.how.len());
    finished(dialect.as_ref(), rendered, (id, kind), all, (scene.policies, scene.template))
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
        policies,
        template,
        failure: rendered.failure,
        draft: rendered.draft,
        id,
    }
}

fn scene_alert(settings: &Settings, alert: &Alert) -> SceneAlert {
    let rank = settings.severities.rank(alert.label(&settings.severities.label));
    SceneAlert {
        alert: Arc::new(alert.clone()),
        change: if alert.status == Status::Firing { Change::New } else { Change::Resolved },
        rank,
        severity: settings.severities.name(rank).to_owned(),
        flaps: 0,
    }
}
