//! What a bot would be sent for a webhook body. Sends nothing, and needs neither a store nor a queue.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::letter::{News, calls, dialect, history_text, kind_of};
use super::{BotConfig, Settings};
use crate::model::{Alert, Change, Draft, How, Kind, Mentions, MessageId, Notification, Status, via_names, via_text};
use crate::render::{self, Form, SceneAlert, TemplateFailure};
use crate::routing::{Endpoint, Routed, Target, group_id};

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
    let through = |endpoint: &Endpoint| -> Vec<(&Alert, Target)> {
        let target = |alert| match settings.router.route(endpoint, alert, now) {
            Routed::To(targets) => targets.into_iter().find(|target| target.bot == config.name),
            Routed::Dropped { .. } | Routed::Nowhere => None,
        };
        body.alerts.iter().filter_map(|alert| Some((alert, target(alert)?))).collect()
    };
    let mut endpoint = Endpoint::Policies;
    let mut mine = through(&endpoint);
    let direct = mine.is_empty();
    if direct {
        endpoint = Endpoint::Named(config.name.to_string());
        mine = through(&endpoint);
    }
    let elsewhere = body.alerts.len() - mine.len();
    let all = mine.len();
    mine.retain(|(alert, _)| config.send_resolved || alert.status == Status::Firing);
    let silent = all - mine.len();

    let mut groups: Vec<(u64, Vec<(&Alert, Target)>)> = Vec::new();
    for (alert, target) in mine {
        let group = group_id(&endpoint, "", &body.group_key, target.group_by.as_deref(), &target.via, alert);
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, alerts)) => alerts.push((alert, target)),
            None => groups.push((group, vec![(alert, target)])),
        }
    }
    let one = |(_, alerts): (u64, Vec<(&Alert, Target)>)| message(settings, config, &body, &alerts, now, new_id());
    Previews { messages: groups.into_iter().map(one).collect(), direct, elsewhere, silent }
}

fn message(
    settings: &Settings,
    config: &BotConfig,
    body: &Arc<Notification>,
    told: &[(&Alert, Target)],
    now: Timestamp,
    id: MessageId,
) -> Preview {
    let mut names: Vec<&str> = Vec::new();
    for name in told.iter().flat_map(|(_, target)| via_names(&target.via)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let via = via_text(names);
    let mut alerts: Vec<SceneAlert> = told.iter().map(|(alert, _)| scene_alert(settings, alert)).collect();
    alerts.sort_by_key(|alert| (alert.alert.status, alert.rank));
    let calls = calls(settings, config, &via, &alerts);
    let people = calls.people.iter().map(|call| (*call.contact).clone()).collect();
    let news = News {
        via: &via,
        notification: Arc::clone(body),
        alerts,
        still_firing: 0,
        since_ms: now.as_millisecond(),
        mentions: Mentions { all: calls.all.is_some(), people },
        form: Form::Full,
    };
    let scene = news.scene(settings, config, now, &id);
    let dialect = dialect(config);
    let rendered = render::render(&settings.templates, dialect.as_ref(), &scene);
    let named = rendered.how.iter().filter(|how| **how == How::Named).count();
    Preview {
        kind: kind_of(scene.form, &rendered),
        body: dialect.encode(&rendered.draft, id.as_str()).into(),
        text: history_text(&rendered.draft),
        size: dialect.size(&rendered.draft),
        limit: dialect.limit(&rendered.draft),
        named,
        counted: rendered.how.len() - named,
        policies: scene.policies,
        template: scene.template,
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
