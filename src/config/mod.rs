//! The config file: from YAML to what the rooms need, with every mistake at once and its place.
//!
//! A file is read in four steps, and each goes on after a mistake: `load` makes a tree of the YAML, the readers make
//! raw values that remember their places, `crossref` follows names from one part to the other, and only a file without
//! mistakes becomes a [`Config`] in `compile`. A value is hidden in every mistake's line unless a reader took it for
//! harmless.

mod bots;
mod compile;
mod crossref;
mod dingtalk_bridge;
mod fields;
mod files;
mod global;
mod http;
mod intervals;
mod load;
mod node;
mod people;
mod policies;
mod redact;
mod report;
mod templates;
mod values;
mod web;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::dispatch::BotConfig;
use crate::model::{Lang, Mistake, Place};
use crate::render::LinkRewrite;
use crate::routing;

use self::fields::Fields;
use self::files::Files;
use self::report::{Pos, Report};

pub use self::dingtalk_bridge::{DingTalkBridge, load_dingtalk_bridge};
pub use self::files::{Watched, fingerprint};
pub use self::web::{WebConfig, load_web, parse_web_str};

/// When and how digests leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DigestConfig {
    /// The least time between two digests of a bot; at least 1 s.
    pub interval: Duration,
    /// Up to this many waiting groups leave as single messages; at least 1.
    pub threshold: usize,
}

/// What `global` says, defaults filled in.
#[derive(Clone, PartialEq, Debug)]
pub struct Global {
    /// Zone of time intervals that name none, and of shown times.
    pub timezone: TimeZone,
    /// Language of built-in texts; `None`: each bot's own by its host.
    pub language: Option<Lang>,
    /// Within this time an unchanged alert is a duplicate.
    pub dedup_window: Duration,
    /// Largest webhook body, in bytes.
    pub body_limit: u64,
    /// Bytes of all bodies that are read at one time; at least `body_limit`.
    pub bodies_in_flight: u64,
    /// Open connections; beyond it idle ones are closed.
    pub connections: usize,
    /// Alerts that may wait, over all bots.
    pub backlog_alerts: u64,
    /// Bytes of bodies that may wait.
    pub backlog_bytes: u64,
    /// Prefix replacements for links; first match wins.
    pub link_rewrites: Arc<[LinkRewrite]>,
    /// The bot that is told of alarmbell's own troubles.
    pub report_bot: Option<String>,
    /// Digests.
    pub digest: DigestConfig,
}

/// A config without mistakes.
#[derive(Clone, Debug)]
pub struct Config {
    /// What concerns everything.
    pub global: Global,
    /// Policies, contacts, groups, time intervals, severities.
    pub routing: routing::Config,
    /// The bots, in the file's order.
    pub bots: Vec<BotConfig>,
    /// Path and source of every custom template file, for `render::Templates::new`.
    pub template_files: Vec<(String, String)>,
    /// Hash (16 hexadecimal digits) of the contents of all files read; equals [`fingerprint`] of [`Config::watched`]
    /// as long as nothing changed. 64 bits of a SHA-256: secrets can not be derived from it.
    pub hash: String,
    /// What to watch for changes.
    pub watched: Watched,
}

/// A usable config and what is odd about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// What works, but hardly as it was meant; sorted by place.
    pub warnings: Vec<Mistake>,
}

/// Reads a config file and all it refers to; relative paths begin at its folder. Blocks on I/O.
///
/// # Errors
/// Every mistake and warning, sorted by place, at most about 200. No text holds a secret.
pub fn load(path: &Path) -> Result<Loaded, Vec<Mistake>> {
    load_watched(path).1
}

/// Like [`load`], and says what was read even when it was refused, so that mending any of it is noticed.
pub fn load_watched(path: &Path) -> (Watched, Result<Loaded, Vec<Mistake>>) {
    let name = path.display().to_string();
    let (mut files, text) = open(path);
    match text {
        Ok(text) => read(&name, &text, files),
        Err(why) => {
            files.note(&name, "");
            (files.finish().0, Err(vec![unreadable(&name, &why)]))
        }
    }
}

/// Reads a config from a text. `name` is what mistakes call it; relative paths begin at `base_dir`.
///
/// # Errors
/// As [`load`].
pub fn parse_str(name: &str, text: &str, base_dir: &Path) -> Result<Loaded, Vec<Mistake>> {
    let mut files = Files::new(base_dir);
    files.note(name, text);
    read(name, text, files).1
}

/// Reads a duration as the config does: `30s`, `1h30m`, `2w`, `0`.
///
/// # Errors
/// What is wrong and how it is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    values::duration(text).map_err(|(what, hint)| format!("{what}; {hint}"))
}

/// A duration in the form that [`duration`] reads.
pub fn show_duration(duration: Duration) -> String {
    values::show_duration(duration)
}

/// Mistakes as a person reads them, sorted by place, one blank line between two.
pub fn report(mistakes: &[Mistake]) -> String {
    let mut sorted: Vec<&Mistake> = mistakes.iter().collect();
    // "and N more" has no line and stays last.
    sorted.sort_by_key(|mistake| (mistake.what.starts_with("and ") && mistake.place.line == 0, &mistake.place));
    sorted.iter().map(|mistake| format!("{mistake}\n")).collect::<Vec<_>>().join("\n")
}

fn open(path: &Path) -> (Files, Result<String, String>) {
    let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(PathBuf::from("."), PathBuf::from);
    let mut files = Files::new(&base);
    let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = files.read_text(&file_name);
    (files, text)
}

fn unreadable(name: &str, why: &str) -> Mistake {
    Mistake {
        place: Place { file: name.to_owned(), line: 0, column: 0 },
        what: format!("the file can not be read: {why}"),
        line: String::new(),
        hint: String::new(),
        warning: false,
    }
}

const KEYS: &[&str] =
    &["global", "templates", "bots", "contacts", "contact_groups", "policies", "default_policy", "time_intervals"];

/// Everything of the file as it stands there, before names are followed.
struct Raw {
    global: global::RawGlobal,
    templates: templates::RawTemplates,
    bots: Vec<bots::RawBot>,
    contacts: Vec<people::RawContact>,
    groups: Vec<people::RawGroup>,
    policies: Vec<policies::RawPolicy>,
    default_policy: Option<policies::RawPolicy>,
    /// Whether the file has one, readable or not.
    has_default_policy: bool,
    intervals: Vec<intervals::RawInterval>,
}

fn read(name: &str, text: &str, mut files: Files) -> (Watched, Result<Loaded, Vec<Mistake>>) {
    let text = &*load::plain_breaks(text);
    let mut report = Report::new(name, text);
    let Some(tree) = load::tree(&mut report) else {
        return (files.finish().0, Err(report.finish(None)));
    };
    let raw = raw(&tree.root, &mut files, &mut report);
    if let Some(raw) = &raw {
        crossref::check(raw, &mut report);
    }
    let (watched, hash) = files.finish();
    let refused = report.has_errors();
    let mistakes = report.finish(Some(&redact::shown_text(text, &tree.root, &tree.extras)));
    let outcome = match raw {
        Some(raw) if !refused => {
            Ok(Loaded { config: compile::compile(raw, hash, watched.clone()), warnings: mistakes })
        }
        _ => Err(mistakes),
    };
    (watched, outcome)
}

fn raw(root: &node::Node, files: &mut Files, report: &mut Report) -> Option<Raw> {
    let top = Fields::open(root, "the config", KEYS, report)?;
    let global = global::read(top.node("global"), files, report);
    let severities = &global.severities;
    let raw = Raw {
        templates: templates::read(&top, files, report),
        bots: bots::read(&top, &global, files, report),
        contacts: people::contacts(&top, report),
        groups: people::groups(&top, report),
        policies: policies::read(&top, severities, report),
        default_policy: policies::default_policy(&top, severities, report),
        has_default_policy: top.node("default_policy").is_some(),
        intervals: intervals::read(&top, &global.timezone, report),
        global,
    };
    if !top.has("bots") {
        let line = Pos { line: root.pos.line, column: root.pos.column };
        report.mistake(line, "there are no bots", "add `bots:` with at least one; see examples/minimal.yml");
    }
    Some(raw)
}
