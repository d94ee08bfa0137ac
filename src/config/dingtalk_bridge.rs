//! Reads the config of prometheus-webhook-dingtalk: <https://github.com/timonwong/prometheus-webhook-dingtalk>, 2.x.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::channel;
use crate::migrate::{MessageText, Original, Source, Target};
use crate::model::{BotKind, Mistake, Place, Secret};

use super::bots::is_plain_http_abroad;
use super::fields::{Fields, text};
use super::files::Files;
use super::node::{Data, Entry, Node};
use super::people::is_mobile;
use super::report::{At, Report, quoted};
use super::{load, redact};

const KEYS: &[&str] = &["no_builtin_template", "template", "templates", "default_message", "timeout", "targets"];
const TARGET_KEYS: &[&str] = &["url", "secret", "mention", "message"];
/// The other bridge's own default, and the time that alarmbell gives a robot.
const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_TARGETS: usize = 10_000;

/// What was read of a file.
#[derive(Clone, Debug)]
pub struct DingTalkBridge {
    /// Targets and messages.
    pub original: Original,
    /// The template files.
    pub templates: Vec<Source>,
    /// Whether the templates that it brings along may be called (not `no_builtin_template`).
    pub built_in: bool,
    /// What is left to do: patterns that match no file. As warnings, what is worth knowing.
    pub findings: Vec<Mistake>,
}

/// Reads the file and the templates that it names; relative paths begin at its folder, or else here. Blocks on I/O.
///
/// # Errors
/// Every mistake, sorted by place. No text holds a secret.
pub fn load_dingtalk_bridge(path: &Path) -> Result<DingTalkBridge, Vec<Mistake>> {
    let name = path.display().to_string();
    let (files, text) = super::open(path);
    match text {
        Ok(text) => parse(&name, &text, files),
        Err(why) => Err(vec![super::unreadable(&name, &why)]),
    }
}

fn parse(name: &str, text: &str, mut files: Files) -> Result<DingTalkBridge, Vec<Mistake>> {
    let text = &*load::plain_breaks(text);
    let mut report = Report::new(name, text);
    let Some(tree) = load::tree(&mut report) else { return Err(report.finish(None)) };
    let mut found = Vec::new();
    let read = Fields::open(&tree.root, "the config", KEYS, &mut report).map(|top| DingTalkBridge {
        built_in: !top.flag("no_builtin_template", false, &mut report),
        templates: templates(&top, &mut files, &mut found, &mut report),
        original: Original {
            file: name.to_owned(),
            message: top.node("default_message").and_then(|node| message(node, name, text, &mut report)),
            targets: targets(&top, name, text, &mut report),
        },
        findings: timeout(&top, &mut report).into_iter().collect(),
    });
    let refused = report.has_errors();
    let mistakes = report.finish(Some(&redact::shown_text(text, &tree.root, &tree.extras)));
    match read {
        Some(mut read) if !refused => {
            read.findings.extend(found);
            read.findings.iter_mut().for_each(|finding| finding.place.file = name.to_owned());
            Ok(read)
        }
        _ => Err(mistakes),
    }
}

/// Something to do or to know about a value of the file.
fn finding(at: &At<String>, what: String, hint: &str, warning: bool) -> Mistake {
    let place = Place { file: String::new(), line: at.pos.line, column: at.pos.column };
    Mistake { place, what, line: String::new(), hint: hint.to_owned(), warning }
}

fn timeout(top: &Fields<'_>, report: &mut Report) -> Option<Mistake> {
    let given = top.text("timeout", report)?;
    let what = format!("`timeout: {}` is not carried over", quoted(&given.value).trim_matches('`'));
    let differs = super::duration(&given.value) != Ok(TIMEOUT);
    differs.then(|| finding(&given, what, "alarmbell waits 5s for a robot's answer, and tries again", true))
}

fn templates(top: &Fields<'_>, files: &mut Files, found: &mut Vec<Mistake>, report: &mut Report) -> Vec<Source> {
    let mut patterns = top.texts("templates", report);
    patterns.extend(top.text("template", report));
    let mut sources: Vec<Source> = Vec::new();
    for pattern in patterns {
        let shown = quoted(&pattern.value);
        let paths = match files.matches(&pattern.value) {
            Ok(paths) if paths.is_empty() => here(&pattern.value),
            Ok(paths) => paths,
            Err(why) => {
                report.mistake(pattern.pos, format!("{shown} is no good pattern: {why}"), "");
                continue;
            }
        };
        if paths.is_empty() {
            let hint = "copy the templates to where this path leads, or change it, and migrate again";
            found.push(finding(&pattern, format!("no file matches {shown}"), hint, false));
        }
        for path in paths {
            let name = path.to_string_lossy().into_owned();
            match files.read_match(path).and_then(super::files::as_text) {
                Ok(text) => sources.push(Source { file: name, text, lines: Vec::new() }),
                Err(why) => report.mistake(pattern.pos, format!("{} can not be read: {why}", quoted(&name)), ""),
            }
        }
    }
    sources
}

/// The other bridge looks for relative paths in the folder where it was started.
fn here(pattern: &str) -> Vec<PathBuf> {
    Files::new(Path::new(".")).matches(pattern).unwrap_or_default()
}

fn targets(top: &Fields<'_>, file: &str, text: &str, report: &mut Report) -> Vec<Target> {
    let Some(node) = top.node("targets") else {
        report.mistake(top.pos, "there are no `targets`", "a config of prometheus-webhook-dingtalk has some");
        return Vec::new();
    };
    let Data::Map(entries) = &node.data else {
        report.mistake(node.pos, format!("`targets` must be a map, not {}", node.noun()), "");
        return Vec::new();
    };
    if entries.len() > MAX_TARGETS {
        report.mistake(node.pos, format!("more than {MAX_TARGETS} targets"), "");
        return Vec::new();
    }
    entries.iter().filter_map(|entry| target(entry, file, text, report)).collect()
}

fn target(entry: &Entry, file: &str, text: &str, report: &mut Report) -> Option<Target> {
    if !entry.key.starts_with(|c: char| c.is_ascii_alphabetic()) || !super::values::is_name(&entry.key) {
        let what = format!("{} can not be a target's name", super::report::quoted_key(&entry.key));
        report.mistake(entry.pos, what, "letters, digits, `-` and `_`");
        return None;
    }
    entry.known.set(true);
    let fields = Fields::open(&entry.value, "a target", TARGET_KEYS, report)?;
    let secret = fields.has("secret").then(|| fields.secret("secret", report)).flatten();
    let Some(url) = fields.secret("url", report) else {
        report.mistake(entry.pos, "this target has no `url`", "");
        return None;
    };
    if let Err(what) = channel::check_url(BotKind::DingTalk, &url.value) {
        report.mistake(url.pos, what, "copy it again from the robot's settings");
    }
    let mention = fields.node("mention").and_then(|node| Fields::open(node, "`mention`", &["all", "mobiles"], report));
    let mobiles = mention.as_ref().map(|mention| mobiles(mention, file, report)).unwrap_or_default();
    Some(Target {
        name: entry.key.clone(),
        plain_http: is_plain_http_abroad(&url.value),
        url: Secret::new(url.value),
        secret: secret.map(|secret| Secret::new(secret.value)),
        all: mention.is_some_and(|mention| mention.flag("all", false, report)),
        mobiles,
        message: fields.node("message").and_then(|node| message(node, file, text, report)),
    })
}

fn mobiles(mention: &Fields<'_>, file: &str, report: &mut Report) -> Vec<(String, bool, Place)> {
    let place = |at: &At<String>| Place { file: file.to_owned(), line: at.pos.line, column: at.pos.column };
    let found = mention.texts("mobiles", report);
    found.into_iter().map(|at| (at.value.clone(), is_mobile(&at.value), place(&at))).collect()
}

fn message(node: &Node, file: &str, whole: &str, report: &mut Report) -> Option<MessageText> {
    let fields = Fields::open(node, "a message", &["title", "text"], report)?;
    let mut part = |key: &str| {
        let node = fields.node(key)?;
        text(node, &format!("`{key}`"), report).map(|found| Source {
            file: file.to_owned(),
            lines: lines(&found, whole),
            text: found.value,
        })
    };
    Some(MessageText { title: part("title"), text: part("text") })
}

/// Where each line of a value stands in the file: YAML takes indentation, quotes and folds out of it. A line that can not
/// be found is said to be where the value begins.
fn lines(value: &At<String>, whole: &str) -> Vec<(usize, usize)> {
    let mut rest = whole.split('\n').enumerate().skip(value.pos.line.saturating_sub(1)).peekable();
    let begin = (value.pos.line, value.pos.column.saturating_sub(1));
    let mut places = Vec::new();
    for line in value.value.split('\n') {
        let wanted = line.trim();
        let column = |text: &str| text.find(wanted).map(|at| text.get(..at).map_or(0, |front| front.chars().count()));
        let found = match rest.peek() {
            // The line of the key itself holds only what is in quotes or plain.
            Some((at, text)) if places.is_empty() && column(text).is_none() => {
                let at = *at;
                rest.next();
                rest.peek().and_then(|(next, text)| Some((*next + 1, column(text)?))).or(Some((at + 1, begin.1)))
            }
            Some((at, text)) => column(text).map(|column| (*at + 1, column)),
            None => None,
        };
        rest.next();
        let blanks = line.chars().count() - line.trim_start().chars().count();
        places.push(found.map_or(begin, |(line, column)| (line, column.saturating_sub(blanks))));
    }
    places
}
