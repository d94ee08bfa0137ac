//! `global:`.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::dispatch::HttpClientConfig;
use crate::model::{Lang, Severities};
use crate::render::LinkRewrite;

use super::fields::{Fields, text};
use super::files::Files;
use super::node::{Data, Node};
use super::report::{At, Pos, Report, quoted};
use super::{DigestConfig, http};

pub(super) const KEYS: &[&str] = &[
    "timezone",
    "language",
    "dedup_window",
    "severity",
    "digest",
    "limits",
    "backlog",
    "http_config",
    "link_rewrites",
    "report_bot",
];
const MAX_LEVELS: usize = 32;
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) struct RawGlobal {
    pub(super) timezone: TimeZone,
    /// Whether the file names it: a bot's language decides otherwise.
    pub(super) timezone_given: bool,
    pub(super) language: Option<Lang>,
    pub(super) dedup_window: Duration,
    pub(super) severities: Severities,
    pub(super) digest: DigestConfig,
    pub(super) body_limit: u64,
    pub(super) bodies_in_flight: u64,
    pub(super) connections: u64,
    pub(super) backlog_alerts: u64,
    pub(super) backlog_bytes: u64,
    pub(super) http: HttpClientConfig,
    pub(super) link_rewrites: Vec<LinkRewrite>,
    pub(super) report_bot: Option<At<String>>,
}

impl Default for RawGlobal {
    fn default() -> Self {
        Self {
            timezone: zone_of(None),
            timezone_given: false,
            language: None,
            dedup_window: Duration::from_secs(45),
            severities: Severities::default(),
            digest: DigestConfig { interval: Duration::from_secs(30), threshold: 8 },
            body_limit: 64 << 20,
            bodies_in_flight: 256 << 20,
            connections: 4_096,
            backlog_alerts: 2_000_000,
            backlog_bytes: 4 << 30,
            http: http::default(),
            link_rewrites: Vec::new(),
            report_bot: None,
        }
    }
}

/// The zone that goes with a language when the file names none: Asia/Shanghai with zh, UTC with en.
pub(super) fn zone_of(language: Option<Lang>) -> TimeZone {
    match language {
        Some(Lang::En) => TimeZone::UTC,
        // The database is compiled in; without that zone the offset is right all the same.
        _ => TimeZone::get("Asia/Shanghai").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(8))),
    }
}

pub(super) fn read(node: Option<&Rc<Node>>, files: &mut Files, report: &mut Report) -> RawGlobal {
    let mut global = RawGlobal::default();
    let Some(fields) = node.and_then(|node| Fields::open(node, "`global`", KEYS, report)) else { return global };
    global.language = fields.word("language", &[("zh", Lang::Zh), ("en", Lang::En)], report).map(|found| found.value);
    global.timezone = zone_of(global.language);
    if let Some(zone) = timezone(&fields, report) {
        global.timezone = zone;
        global.timezone_given = true;
    }
    if let Some(window) = fields.duration("dedup_window", Duration::ZERO..=HOUR, report) {
        global.dedup_window = window.value;
    }
    if let Some(node) = fields.node("severity") {
        severity(node, &mut global.severities, report);
    }
    if let Some(node) = fields.node("digest") {
        digest(node, &mut global.digest, report);
    }
    if let Some(node) = fields.node("limits") {
        limits(node, &mut global, report);
    }
    if let Some(node) = fields.node("backlog") {
        backlog(node, &mut global, report);
    }
    if let Some(node) = fields.node("http_config") {
        global.http = http::read(node, files, report);
    }
    global.link_rewrites = link_rewrites(&fields, report);
    global.report_bot = fields.text("report_bot", report);
    global
}

fn timezone(fields: &Fields<'_>, report: &mut Report) -> Option<TimeZone> {
    let name = fields.text("timezone", report)?;
    match TimeZone::get(&name.value) {
        Ok(zone) => Some(zone),
        Err(_) => {
            let database = jiff::tz::db();
            let known: Vec<String> = database.available().map(|known| known.to_string()).collect();
            let hint = report.nearest(&name.value, known.iter().map(String::as_str), || {
                "a name of the IANA database, like Asia/Shanghai, Europe/Berlin or UTC".to_owned()
            });
            report.mistake(name.pos, format!("there is no time zone {}", quoted(&name.value)), hint);
            None
        }
    }
}

fn digest(node: &Node, digest: &mut DigestConfig, report: &mut Report) {
    let Some(fields) = Fields::open(node, "`digest`", &["interval", "threshold"], report) else { return };
    if let Some(interval) = fields.duration("interval", Duration::from_secs(1)..=HOUR, report) {
        digest.interval = interval.value;
    }
    if let Some(threshold) = fields.number("threshold", 1..=10_000, report) {
        digest.threshold = usize::try_from(threshold.value).unwrap_or(usize::MAX);
    }
}

fn limits(node: &Node, global: &mut RawGlobal, report: &mut Report) {
    let keys = ["body", "bodies_in_flight", "connections"];
    let Some(fields) = Fields::open(node, "`limits`", &keys, report) else { return };
    let body = fields.size("body", 1 << 10..=1 << 30, report);
    let all = fields.size("bodies_in_flight", 1 << 10..=1 << 40, report);
    global.body_limit = body.as_ref().map_or(global.body_limit, |found| found.value);
    global.bodies_in_flight = all.as_ref().map_or(global.bodies_in_flight, |found| found.value);
    if let Some(found) = all.or(body).filter(|_| global.bodies_in_flight < global.body_limit) {
        let what = "`bodies_in_flight` is less than `body`: the largest bodies could never be taken";
        report.mistake(found.pos, what, "make `bodies_in_flight` at least as large as `body`");
    }
    if let Some(connections) = fields.number("connections", 1..=1_000_000, report) {
        global.connections = connections.value;
    }
}

fn backlog(node: &Node, global: &mut RawGlobal, report: &mut Report) {
    let Some(fields) = Fields::open(node, "`backlog`", &["alerts", "bytes"], report) else { return };
    if let Some(alerts) = fields.number("alerts", 1..=1_000_000_000, report) {
        global.backlog_alerts = alerts.value;
    }
    if let Some(bytes) = fields.size("bytes", 1 << 20..=1 << 50, report) {
        global.backlog_bytes = bytes.value;
    }
}

fn link_rewrites(fields: &Fields<'_>, report: &mut Report) -> Vec<LinkRewrite> {
    let mut rewrites = Vec::new();
    for node in fields.list("link_rewrites", report) {
        let Some(fields) = Fields::open(node, "a link rewrite", &["prefix", "replace"], report) else { continue };
        for key in ["prefix", "replace"] {
            if !fields.has(key) {
                report.mistake(fields.pos, format!("a link rewrite needs `{key}`"), "");
            }
        }
        let prefix = fields.text("prefix", report);
        let replace = fields.text("replace", report);
        if let Some((prefix, replace)) = prefix.zip(replace) {
            rewrites.push(LinkRewrite { prefix: prefix.value, replace: replace.value });
        }
    }
    rewrites
}

fn severity(node: &Node, severities: &mut Severities, report: &mut Report) {
    let Some(fields) = Fields::open(node, "`severity`", &["label", "levels", "unknown"], report) else { return };
    if let Some(label) = fields.text("label", report) {
        severities.label = label.value;
    }
    let unknown = fields.text("unknown", report);
    if let Some(node) = fields.node("levels") {
        let before = severities.name(severities.unknown).to_owned();
        let Some(levels) = levels(node, report) else { return };
        severities.levels = levels;
        match severities.find(&before) {
            Some(rank) => severities.unknown = rank,
            None if unknown.is_none() => {
                let what = "`unknown` is needed: it names the level of alerts without a known severity";
                report.mistake(fields.key_pos("levels"), what, "add `unknown:` with one of the levels");
            }
            None => {}
        }
    }
    if let Some(unknown) = unknown {
        match severities.find(&unknown.value) {
            Some(rank) => severities.unknown = rank,
            None => unknown_level(&unknown, severities, report),
        }
    }
}

/// Notes that there is no such level.
pub(super) fn unknown_level(name: &At<String>, severities: &Severities, report: &mut Report) {
    let names = || severities.levels.iter().map(|(level, _)| level.as_str());
    let hint =
        report.nearest(&name.value, names(), || format!("the levels are {}", names().collect::<Vec<_>>().join(", ")));
    report.mistake(name.pos, format!("there is no severity level {}", quoted(&name.value)), hint);
}

fn levels(node: &Node, report: &mut Report) -> Option<Vec<(String, Vec<String>)>> {
    let Data::Map(entries) = &node.data else {
        let what = format!("`levels` must be a map, not {}", node.noun());
        report.mistake(node.pos, what, "like {critical: [page, p0], warning: [warn], info: []}, most urgent first");
        return None;
    };
    if entries.is_empty() || entries.len() > MAX_LEVELS {
        report.mistake(node.pos, format!("there must be 1 to {MAX_LEVELS} levels"), "");
    }
    let mut seen: HashMap<String, Pos> = HashMap::new();
    let mut once = |name: &str, pos: Pos, report: &mut Report| {
        if let Some(before) = seen.insert(name.trim().to_lowercase(), pos) {
            let what = format!("{} stands for two levels, first in line {}", quoted(name), before.line);
            report.mistake(pos, what, "names are compared without case; each may stand once");
        }
    };
    let mut levels = Vec::new();
    for entry in entries.iter().take(MAX_LEVELS) {
        if entry.key.trim().is_empty() {
            report.mistake(entry.pos, "a level needs a name", "");
        }
        once(&entry.key, entry.pos, report);
        let mut aliases = Vec::new();
        match &entry.value.data {
            _ if entry.value.is_null() => {}
            Data::Seq(items) => {
                for item in items {
                    let Some(alias) = text(item, "another name of a level", report) else { continue };
                    once(&alias.value, alias.pos, report);
                    aliases.push(alias.value);
                }
            }
            _ => {
                let what = format!("the other names of a level must be a list, not {}", entry.value.noun());
                report.mistake(entry.value.pos, what, "like [warn, p2], or [] for none");
            }
        }
        levels.push((entry.key.clone(), aliases));
    }
    Some(levels)
}
