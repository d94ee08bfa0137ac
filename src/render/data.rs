//! What templates see of a message. The fields are described in `templates/README.md`.

use serde_json::{Map, Value, json};

use super::facts::{self, Facts};
use super::identity::CLUSTER;
use super::marks::{clean, cut, one_line, safe, value};
use super::texts::Texts;
use super::{Scene, identity, links, words};
use crate::model::{Alert, BotKind, Labels, Layout, Millis, Status};

/// Bounds on what one alert brings into a template, whatever its sender sent.
const MAX_LABELS: usize = 64;
pub(super) const NAME_CHARS: usize = 200;
/// Text of all labels, or all annotations, of one alert, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Buttons on a card.
const MAX_BUTTONS: usize = 5;
/// Links of a template card: itself, and three lines below.
const MAX_JUMPS: usize = 4;
/// Labels that are shown of an alert whose annotations say nothing.
const MAX_OTHERS: usize = 4;
/// A text of one of several alerts that share a shorter one, in characters.
const OWN_CHARS: usize = 160;
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

/// `prod-sh / shop`, and `db-03:3306` or `db-03 · /data`, each part once; without what all alerts of the message share
/// when there are several.
pub(super) fn place(alert: &Alert, facts: &Facts<'_>) -> (String, String) {
    join_place(area(alert, |name| !facts.common.contains(name)), facts.identity(alert))
}

fn join_place(mut area: Vec<String>, marks: Vec<String>) -> (String, String) {
    // A namespace may be all that identifies.
    area.retain(|part| !part.is_empty() && !marks.contains(part));
    area.dedup();
    (area.join(" / "), marks.join(" · "))
}

/// Both as one.
pub(super) fn whole_place((area, marks): &(String, String)) -> String {
    let bar = if area.is_empty() || marks.is_empty() { "" } else { " / " };
    format!("{area}{bar}{marks}")
}

/// Cluster and namespace, by labels that `shown` lets through.
fn area(alert: &Alert, shown: impl Fn(&str) -> bool) -> Vec<String> {
    let mut parts = Vec::new();
    if CLUSTER.iter().all(|name| alert.label(name).is_empty() || shown(name)) {
        parts.push(identity::cluster(alert));
    }
    if shown("namespace") {
        parts.push(identity::namespace(alert));
    }
    parts
}

/// Name and identity of an alert as the built-in lists show it.
pub(super) fn label(alert: &Alert, facts: &Facts<'_>) -> String {
    let (area, marks) = place(alert, facts);
    let named = !facts.one_name || (area.is_empty() && marks.is_empty()) || facts.total < 2;
    let name = if named { identity::name(alert) } else { String::new() };
    let parts = [name, area.replace(" / ", " "), marks.replace(" · ", " ")];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// `team=db, region=sh`: what else is known of an alert.
fn label_line(alert: &Alert, facts: &Facts<'_>) -> String {
    let marks = identity::marks(alert, &facts.common, &Labels::new());
    let pair = |(name, text): (&str, &str)| format!("{}={}", one_line(name, 40), one_line(text, 60));
    let pairs: Vec<String> = identity::others(alert, &marks).into_iter().take(MAX_OTHERS).map(pair).collect();
    pairs.join(", ")
}

/// The alert at `index` of the scene.
pub(super) fn alert(scene: &Scene, facts: &Facts<'_>, index: usize, compact: bool, max: Cut) -> Value {
    let Some(told) = scene.alerts.get(index) else { return Value::Null };
    let alert = &*told.alert;
    let rewrites = &scene.link_rewrites;
    let mut links = links::of_alert(alert, alertmanager(scene), rewrites);
    if facts.total > 1 {
        // A phone shows one line of them; the others belong to the group.
        links.retain(|(key, _)| (*key == "graph" || *key == "dashboard") && !facts.links.contains(key));
    }
    let link = |link: &str| links::usable(link, rewrites).unwrap_or_else(|| clean(link, NAME_CHARS));
    let texts = Texts::of(alert, max.annotations);
    let own = match (facts.one_summary, facts.one_description) {
        (false, _) => texts.summary.clone(),
        (true, false) => cut(&texts.description, OWN_CHARS),
        (true, true) => String::new(),
    };
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
        "ownSummary": own,
        "summary": texts.summary,
        "description": texts.description,
        "value": texts.value,
        "labelLine": label_line(alert, facts),
        "cluster": identity::cluster(alert),
        "identity": identity.join(" "),
        "place": whole_place(&place(alert, facts)),
        "label": label(alert, facts),
        "when": facts::when(scene, facts, told),
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
    if let Some(lead) = facts.lead.filter(|_| !facts.links.is_empty()) {
        links = links::of_alert(&lead.alert, "", &scene.link_rewrites);
        links.retain(|(key, _)| facts.links.contains(key));
    }
    if facts.still > 0 {
        let silence = links::silence_url(external, &scene.notification.group_labels);
        links.extend(silence.and_then(|url| links::usable(&url, &scene.link_rewrites)).map(|url| ("silence", url)));
    }
    links.extend(list.map(|list| ("list", list)));
    links
}

/// Buttons of a card. Where there is no room for all, a dashboard is what can be found in the others.
pub(super) fn buttons(scene: &Scene, layout: Layout, links: &[(&'static str, String)]) -> Vec<(String, String)> {
    let most = if layout == Layout::TemplateCard { MAX_JUMPS } else { MAX_BUTTONS };
    let spare = links.len() > most;
    let chosen = links.iter().filter(|(key, _)| !spare || *key != "dashboard").take(most);
    chosen.map(|(key, url)| (words::capital(words::word(scene.lang, key)), url.clone())).collect()
}

/// All labels of the only alert, for vendors that can fold them away, noise last; the values still have their marks.
pub(super) fn folded(scene: &Scene, max: Cut) -> Option<(String, String)> {
    let [only] = scene.alerts.as_slice() else { return None };
    let mut labels = identity::sorted(&only.alert.labels);
    labels.sort_by_cached_key(|(name, _)| identity::is_noise_of(&only.alert, name));
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
    let shared = facts.lead.filter(|_| facts.one_summary && facts.still > 0);
    let summary = shared.map(|lead| Texts::of(&lead.alert, max.annotations).summary).unwrap_or_default();
    let more = json!({
        "emoji": facts.emoji,
        "state": facts.state(scene),
        "counts": facts.counts(scene),
        "andMore": and_more(scene, facts),
        "summary": summary,
        "notes": facts.notes(scene),
        "dispatch": dispatch(scene, facts, vendor.2),
        "buttons": vendor.1.has_buttons() && !links.is_empty(),
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
        "columns": false,
        "policies": facts::policies(scene).take(MAX_LABELS).map(|name| clean(name, NAME_CHARS)).collect::<Vec<_>>(),
        "people": scene.mentions.people.iter().map(|person| one_line(&person.name, NAME_CHARS)).collect::<Vec<_>>(),
        "everybody": scene.mentions.all,
        "mentions": if mentions.is_empty() { String::new() } else { safe(mentions) },
        "newCount": facts.fresh,
        "resolvedCount": facts.resolved,
        "stillFiring": facts.unchanged,
        "firingCount": facts.still,
        "total": facts.total,
        "listURL": links::usable(&scene.list_url, &[]).unwrap_or_default(),
        "now": scene.now.to_string(),
        "waitingSince": waiting_since(scene.waiting_since_ms),
        "waited": waited(scene, scene.waiting_since_ms),
        "lang": scene.lang.as_str(),
        "single": facts.total == 1,
        "allClear": facts.all_clear,
        "partlyResolved": facts.partly,
        "reminder": facts.reminder,
    })
}

/// When the oldest alert was accepted; empty when that is not known.
pub(super) fn waiting_since(ms: Millis) -> String {
    let known = Some(ms).filter(|ms| *ms > 0).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    known.map(|at| at.to_string()).unwrap_or_default()
}

/// Seconds since then; 0 when that is not known.
pub(super) fn waited(scene: &Scene, ms: Millis) -> i64 {
    if ms > 0 { scene.now.as_second().saturating_sub(ms / 1_000).max(0) } else { 0 }
}

/// The alert that names the message, and what all its alerts share.
fn lead(scene: &Scene, facts: &Facts<'_>) -> Value {
    let lead = facts.lead.map(|lead| &*lead.alert);
    let identity = lead.map(|lead| facts.identity(lead)).unwrap_or_default();
    let shared = facts.shared_identity();
    let short = shared.first().or(identity.first()).map_or("", |first| identity::without_port(first)).to_owned();
    let common = |name: &str| facts.common.contains(name);
    let cluster = match (lead, facts.total) {
        (Some(lead), 1) => identity::cluster(lead),
        (Some(lead), _) => {
            area(lead, |name| common(name) && name != "namespace").into_iter().next().unwrap_or_default()
        }
        (None, _) => String::new(),
    };
    // An only alert says itself where it is.
    let place = lead.filter(|_| facts.total > 1).map(|lead| join_place(area(lead, common), shared)).unwrap_or_default();
    let severity = clean(facts.lead.map_or("", |lead| lead.severity.as_str()), NAME_CHARS);
    json!({
        "severity": severity,
        "severityText": words::severity(scene.lang, &severity),
        "severityRank": facts.lead.map(|lead| lead.rank),
        "name": lead.map(identity::name).unwrap_or_default(),
        "identity": identity.join(" "),
        "identityShort": cut(&short, 60),
        "place": one_line(&whole_place(&place), NAME_CHARS),
        "cluster": cluster,
    })
}

/// "and 2 more" for a title that names one of several alerts.
fn and_more(scene: &Scene, facts: &Facts<'_>) -> String {
    match (scene.lang, facts.total) {
        (_, 0 | 1) => String::new(),
        (crate::model::Lang::Zh, total) => format!("等{total}条"),
        (crate::model::Lang::En, total) => format!("and {} more", total - 1),
    }
}

/// Who acts.
pub(super) fn dispatch(scene: &Scene, facts: &Facts<'_>, mentions: &str) -> String {
    let word = |key| words::word(scene.lang, key);
    let who = if mentions.is_empty() { who(scene, facts) } else { mentions };
    safe(&format!("{}{who}", word("colon")))
}

/// Who acts when nobody is called.
pub(super) fn who(scene: &Scene, facts: &Facts<'_>) -> &'static str {
    words::word(scene.lang, if facts.all_clear { "nobody" } else { "oncall" })
}
