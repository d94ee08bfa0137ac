//! What templates see of a message. The fields are described in `templates/README.md`.

use serde_json::{Map, Value, json};

use super::facts::{self, Facts};
use super::identity::CLUSTER;
use super::marks::{clean, cut, one_line, safe, value};
use super::{Scene, identity, links, words};
use crate::model::{Alert, BotKind, Labels, Layout, Status};

/// Bounds on what one alert brings into a template, whatever its sender sent.
const MAX_LABELS: usize = 64;
pub(super) const NAME_CHARS: usize = 200;
/// Text of all labels, or all annotations, of one alert, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Buttons on a card; more wrap on a phone.
const MAX_BUTTONS: usize = 4;
/// Labels that are folded away.
const MAX_FOLDED: usize = 30;

/// How much of each text is shown, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cut {
    pub(super) annotations: usize,
    pub(super) labels: usize,
}

/// `[text](url)` that templates need not escape. The URL must have gone through [`links::usable`].
pub(super) fn markdown_link(text: &str, url: &str) -> String {
    safe(&format!("[{}]({url})", value(text)))
}

pub(super) fn link_values(scene: &Scene, links: &[(&'static str, String)]) -> Value {
    let link =
        |(key, url): &(&'static str, String)| json!({"key": key, "name": words::word(scene.lang, key), "url": url});
    links.iter().map(link).collect()
}

pub(super) fn link_line(scene: &Scene, links: &[(&'static str, String)]) -> String {
    let parts: Vec<String> = links.iter().map(|(key, url)| markdown_link(words::word(scene.lang, key), url)).collect();
    if parts.is_empty() { String::new() } else { safe(&parts.join(" · ")) }
}

fn pairs(labels: &Labels, max: usize) -> Value {
    let mut out = Map::new();
    let mut bytes = 0;
    for (name, text) in identity::sorted(labels).into_iter().take(MAX_LABELS) {
        let (name, text) = (clean(name, NAME_CHARS), clean(text, max));
        bytes += name.len() + text.len();
        if bytes > MAX_TEXT {
            break;
        }
        out.insert(name, text.into());
    }
    Value::Object(out)
}

/// The one-line text that says what is wrong, and a second one when the sender wrote two.
fn summary(alert: &Alert, max: usize) -> (String, String) {
    let annotation = |name: &str| one_line(alert.annotations.get(name).map_or("", String::as_str), max);
    let mut texts: Vec<String> = Vec::new();
    for text in ["summary", "description", "message"].into_iter().map(annotation) {
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.is_empty() {
        texts.push(one_line(&alert.value_string, max));
    }
    let mut texts = texts.into_iter();
    (texts.next().unwrap_or_default(), texts.next().unwrap_or_default())
}

/// `prod-sh / shop / db-03:3306`; without what all alerts of the message share when there are several.
fn place(alert: &Alert, facts: &Facts<'_>) -> Vec<String> {
    let shown = |name: &str| !facts.common.contains(name);
    let mut parts = Vec::new();
    if CLUSTER.iter().all(|name| shown(name)) {
        parts.push(identity::cluster(alert));
    }
    if shown("namespace") {
        parts.push(one_line(alert.label("namespace"), 80));
    }
    parts.extend(facts.identity(alert));
    parts.retain(|part| !part.is_empty());
    parts.dedup();
    parts
}

/// Name and identity of an alert as the built-in lists show it.
pub(super) fn label(alert: &Alert, facts: &Facts<'_>) -> String {
    let mut parts = place(alert, facts);
    if !facts.one_name || parts.is_empty() || facts.total < 2 {
        parts.insert(0, identity::name(alert));
    }
    parts.join(" ")
}

/// The alert at `index` of the scene.
pub(super) fn alert(scene: &Scene, facts: &Facts<'_>, index: usize, compact: bool, max: Cut) -> Value {
    let Some(told) = scene.alerts.get(index) else { return Value::Null };
    let alert = &*told.alert;
    let rewrites = &scene.link_rewrites;
    let mut links = links::of_alert(alert, alertmanager(scene), rewrites);
    if facts.total > 1 {
        // A phone shows one line of them; the others belong to the group.
        links.retain(|(key, _)| *key == "graph" || *key == "dashboard");
    }
    let link = |link: &str| links::usable(link, rewrites).unwrap_or_else(|| clean(link, NAME_CHARS));
    let (summary, description) = summary(alert, max.annotations);
    let firing = facts::fires(told);
    let time = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let identity = facts.identity(alert);
    let mut out = json!({
        "status": if firing { Status::Firing } else { Status::Resolved }.as_str(),
        "firing": firing,
        "labels": pairs(&alert.labels, max.labels),
        "annotations": pairs(&alert.annotations, max.annotations),
        "startsAt": time(alert.starts_at),
        "endsAt": time(alert.ends_at),
        "generatorURL": link(&alert.generator_url),
        "fingerprint": alert.fingerprint.to_string(),
        "silenceURL": link(&alert.silence_url),
        "dashboardURL": link(&alert.dashboard_url),
        "panelURL": link(&alert.panel_url),
        "valueString": clean(&alert.value_string, max.annotations),
        "change": told.change,
        "severity": clean(&told.severity, NAME_CHARS),
        "severityRank": told.rank,
        "severityText": words::severity(scene.lang, &clean(&told.severity, NAME_CHARS)),
        "name": identity::name(alert),
        "flaps": told.flaps,
        "index": index,
    });
    let more = json!({
        "compact": compact,
        "single": facts.total == 1,
        "emoji": emoji(told.rank, firing),
        "ownSummary": if facts.one_summary.is_some() { "" } else { summary.as_str() },
        "summary": summary,
        "description": description,
        "cluster": identity::cluster(alert),
        "identity": identity.join(" "),
        "place": place(alert, facts).join(" / "),
        "label": label(alert, facts),
        "when": facts::when(scene, told),
        "whenShort": facts::when_short(scene, told),
        "links": link_values(scene, &links),
        "linkLine": link_line(scene, &links),
    });
    extend(&mut out, more);
    out
}

/// Alertmanager's own address. Grafana sends its own in the same field, has other pages, and version 1.
fn alertmanager(scene: &Scene) -> &str {
    if scene.notification.version == "1" { "" } else { &scene.notification.external_url }
}

const fn emoji(rank: u8, firing: bool) -> &'static str {
    match (firing, rank) {
        (false, _) => "🟢",
        (true, 0 | 1) => "🔴",
        (true, 2) => "🟠",
        (true, _) => "🔵",
    }
}

pub(super) fn extend(to: &mut Value, more: Value) {
    if let (Value::Object(to), Value::Object(more)) = (to, more) {
        to.extend(more);
    }
}

/// Links of the message as a whole: of its only alert, or of the group.
pub(super) fn message_links(scene: &Scene, facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let external = alertmanager(scene);
    let list = links::usable(&scene.list_url, &[]);
    if let [only] = scene.alerts.as_slice() {
        let mut links = links::of_alert(&only.alert, external, &scene.link_rewrites);
        if !facts::fires(only) {
            links.retain(|(key, _)| *key != "silence");
        }
        links.extend(list.map(|list| ("details", list)));
        return links;
    }
    let mut links = Vec::new();
    if let Some(lead) = facts.lead {
        let same = |alert: &super::SceneAlert, name: &str| {
            alert.alert.annotations.get(name) == lead.alert.annotations.get(name)
        };
        let shared = scene.alerts.iter().all(|a| same(a, "runbook_url") && same(a, "runbook"));
        let found = links::of_alert(&lead.alert, "", &scene.link_rewrites);
        links.extend(found.into_iter().filter(|(key, _)| shared && *key == "runbook"));
    }
    if facts.still > 0 {
        let silence = links::silence_url(external, &scene.notification.group_labels);
        links.extend(silence.and_then(|url| links::usable(&url, &scene.link_rewrites)).map(|url| ("silence", url)));
    }
    links.extend(list.map(|list| ("list", list)));
    links
}

/// Buttons of a card about one alert; the last of them is always the page with everything.
pub(super) fn buttons(scene: &Scene, links: &[(&'static str, String)]) -> Vec<(String, String)> {
    let mut chosen: Vec<_> = links.iter().take(MAX_BUTTONS).collect();
    if let (true, Some(last)) = (links.len() > MAX_BUTTONS, links.last()) {
        chosen.pop();
        chosen.push(last);
    }
    chosen.into_iter().map(|(key, url)| (words::word(scene.lang, key).to_owned(), url.clone())).collect()
}

/// All labels of the only alert, for vendors that can fold them away; the values still have their marks.
pub(super) fn folded(scene: &Scene, max: Cut) -> Option<(String, String)> {
    let [only] = scene.alerts.as_slice() else { return None };
    let labels = identity::sorted(&only.alert.labels);
    let line = |(name, text): &(&str, &str)| {
        format!("{} = {}", value(&one_line(name, NAME_CHARS)), value(&one_line(text, max.labels)))
    };
    let lines: Vec<String> = labels.iter().take(MAX_FOLDED).map(line).collect();
    (!lines.is_empty()).then(|| (words::word(scene.lang, "labels").to_owned(), lines.join("\n")))
}

/// The vendor, the message type, and the text that calls people.
pub(super) type Vendor<'a> = (BotKind, Layout, &'a str);

/// The whole message without its alerts.
pub(super) fn message(
    scene: &Scene,
    facts: &Facts<'_>,
    vendor: Vendor<'_>,
    links: &[(&'static str, String)],
    max: Cut,
) -> Value {
    let mut out = payload(scene, facts, max);
    extend(&mut out, counted(scene, facts, vendor));
    extend(&mut out, lead(scene, facts));
    let summary = facts.one_summary.filter(|_| facts.still > 0).unwrap_or_default();
    let more = json!({
        "emoji": facts.emoji,
        "state": facts.state(scene),
        "counts": facts.counts(scene),
        "andMore": and_more(scene, facts),
        "summary": one_line(summary, max.annotations),
        "notes": facts.notes(scene),
        "dispatch": dispatch(scene, facts, vendor.2),
        "links": link_values(scene, links),
        "linkLine": link_line(scene, links),
    });
    extend(&mut out, more);
    out
}

/// Alertmanager's own fields, of the newest body; status and truncation as they are told.
fn payload(scene: &Scene, facts: &Facts<'_>, max: Cut) -> Value {
    let body = &*scene.notification;
    let text = |text: &str| clean(text, NAME_CHARS);
    let external = links::usable(&body.external_url, &scene.link_rewrites).map(|url| {
        // Alertmanager's has no slash at its end, and templates add theirs.
        let bare = if body.external_url.ends_with('/') { &url } else { url.trim_end_matches('/') };
        bare.to_owned()
    });
    json!({
        "receiver": text(&body.receiver),
        "status": if facts.still > 0 { Status::Firing } else { Status::Resolved }.as_str(),
        "groupLabels": pairs(&body.group_labels, max.labels),
        "commonLabels": pairs(&body.common_labels, max.labels),
        "commonAnnotations": pairs(&body.common_annotations, max.annotations),
        "routeLabels": pairs(&body.route_labels, max.labels),
        "externalURL": external.unwrap_or_else(|| text(&body.external_url)),
        "notificationReason": text(&body.reason),
        "truncatedAlerts": scene.truncated,
    })
}

pub(super) fn counted(scene: &Scene, facts: &Facts<'_>, (kind, layout, mentions): Vendor<'_>) -> Value {
    json!({
        "bot": clean(&scene.bot, NAME_CHARS),
        "type": kind.as_str(),
        "kind": layout.as_str(),
        "buttons": layout.has_buttons(),
        "columns": layout.has_facts(),
        "policies": facts::policies(scene).take(MAX_LABELS).map(|name| clean(name, NAME_CHARS)).collect::<Vec<_>>(),
        "mentions": if mentions.is_empty() { String::new() } else { safe(mentions) },
        "newCount": facts.fresh,
        "resolvedCount": facts.resolved,
        "stillFiring": facts.unchanged,
        "firingCount": facts.still,
        "total": facts.total,
        "listURL": links::usable(&scene.list_url, &[]).unwrap_or_default(),
        "now": scene.now.to_string(),
        "lang": scene.lang.as_str(),
        "single": facts.total == 1,
        "allClear": facts.all_clear,
        "partlyResolved": facts.partly,
        "reminder": facts.reminder,
    })
}

/// The alert that names the message, and what all its alerts share.
fn lead(scene: &Scene, facts: &Facts<'_>) -> Value {
    let lead = facts.lead.map(|lead| &*lead.alert);
    let identity = lead.map(|lead| facts.identity(lead)).unwrap_or_default();
    let short = identity.first().map_or("", |first| identity::without_port(first));
    let shared = |name: &&str| facts.common.contains(*name);
    let cluster = lead.filter(|_| facts.total == 1 || CLUSTER.iter().any(shared)).map(identity::cluster);
    let cluster = cluster.unwrap_or_default();
    let namespace = lead.filter(|_| shared(&"namespace")).map_or("", |lead| lead.label("namespace"));
    // An only alert says itself where it is.
    let place = [cluster.as_str(), namespace].into_iter().filter(|part| !part.is_empty() && facts.total > 1);
    let severity = clean(facts.lead.map_or("", |lead| lead.severity.as_str()), NAME_CHARS);
    json!({
        "severity": severity,
        "severityText": words::severity(scene.lang, &severity),
        "severityRank": facts.lead.map(|lead| lead.rank),
        "name": lead.map(identity::name).unwrap_or_default(),
        "identity": identity.join(" "),
        "identityShort": cut(short, 60),
        "place": one_line(&place.collect::<Vec<_>>().join(" / "), NAME_CHARS),
        "cluster": cluster,
    })
}

/// "and 2 more" for a title that names one of several alerts.
fn and_more(scene: &Scene, facts: &Facts<'_>) -> String {
    match (scene.lang, facts.total) {
        (_, 0 | 1) => String::new(),
        (crate::model::Lang::Zh, total) => format!("等 {total} 条"),
        (crate::model::Lang::En, total) => format!("and {} more", total - 1),
    }
}

/// Who acts.
pub(super) fn dispatch(scene: &Scene, facts: &Facts<'_>, mentions: &str) -> String {
    let word = |key| words::word(scene.lang, key);
    let who = match (mentions.is_empty(), facts.all_clear) {
        (false, _) => mentions.to_owned(),
        (true, true) => word("nobody").to_owned(),
        (true, false) => word("oncall").to_owned(),
    };
    safe(&format!("{}{who}", word("colon")))
}
