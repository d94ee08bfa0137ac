//! Keeps secrets out of the lines that mistakes show. What is not known to be harmless is hidden.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::Mistake;

use super::node::{Data, Node};

/// Shorter secrets are not searched for in texts: every other word would be blanked out.
pub(super) const MIN_SECRET: usize = 4;

/// Keys whose values are harmless when the file can not be read as YAML, so that only the line's text is known.
const HARMLESS: &[&str] = &[
    "active_time_intervals",
    "alerts",
    "all",
    "allow_http",
    "backlog",
    "bots",
    "bytes",
    "connections",
    "contact_groups",
    "contacts",
    "contacts_from_label",
    "continue",
    "days_of_month",
    "dedup_window",
    "default_policy",
    "digest",
    "end_time",
    "fallback",
    "fallback_after",
    "global",
    "group_by",
    "http_config",
    "interval",
    "keyword_mode",
    "keywords",
    "label",
    "language",
    "levels",
    "limits",
    "location",
    "matchers",
    "mention",
    "messages",
    "min_severity",
    "months",
    "name",
    "notify",
    "per",
    "policies",
    "rate_limits",
    "report_bot",
    "robots",
    "secret_file",
    "send_resolved",
    "severity",
    "start_time",
    "template",
    "templates",
    "threshold",
    "time_intervals",
    "times",
    "timezone",
    "tls_config",
    "type",
    "unknown",
    "url_file",
    "weekdays",
    "years",
];

/// Whether a text looks like a webhook URL, a signing secret, or a URL with a password: for values that stand where
/// they should not.
pub(super) fn looks_secret(text: &str) -> bool {
    static SECRET: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)access_token|[?&]key=|/hook/|://[^/\s]*@|\bSEC[0-9a-z]{12,}|\$2[abxy]\$|[0-9a-f]{32,}|[0-9a-f]{8}-[0-9a-f]{4}-")
            .ok()
    });
    SECRET.as_ref().is_none_or(|secret| secret.is_match(text))
}

/// Whether it is a URL without anything secret in it, like a webhook URL whose token was forgotten: hints name such
/// URLs and must stay readable.
pub(super) fn is_public_url(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let short = |mut segments: std::str::Split<'_, char>| segments.all(|segment| segment.len() < 16);
    url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path_segments().is_some_and(short)
}

/// Whether what stands where a key belongs may be a secret that lost its key. People mistype keys, but those stay
/// short or consist of letters.
pub(super) fn is_odd_key(key: &str) -> bool {
    let words = key.chars().all(|c| c.is_alphabetic() || c == '_' || c == '-');
    (key.len() >= 12 && (!words || key.len() > 40)) || looks_secret(key)
}

/// The file's text with every value blanked out that no reader called harmless, and with the `extras` replaced.
pub(super) fn shown_text(text: &str, root: &Node, extras: &[(Range<usize>, char)]) -> String {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    collect(root, &mut hidden);
    hidden.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    let mut parts: Vec<(Range<usize>, char)> = hidden.into_iter().map(|range| (range, '*')).collect();
    parts.extend(extras.iter().cloned());
    parts.sort_by_key(|(range, _)| range.start);
    for (range, mask) in parts {
        let (start, end) = (range.start.max(at), range.end.min(text.len()));
        let (Some(before), Some(inside)) = (text.get(at..start), text.get(start..end)) else { continue };
        shown.push_str(before);
        shown.extend(inside.chars().map(|c| if c.is_whitespace() { c } else { mask }));
        at = end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    shown
}

fn collect(node: &Node, hidden: &mut Vec<Range<usize>>) {
    match &node.data {
        Data::Scalar { text, .. } => {
            if !node.is_shown() || looks_secret(text) {
                hidden.push(node.span.clone());
            }
        }
        Data::Seq(items) => items.iter().for_each(|item| collect(item, hidden)),
        Data::Map(entries) => {
            for entry in entries {
                if is_odd_key(&entry.key) && !entry.known.get() {
                    hidden.push(entry.span.clone());
                }
                collect(&entry.value, hidden);
            }
        }
    }
}

/// A line of a file that is not YAML: values stay only behind keys that are known to be harmless.
pub(super) fn guess(line: &str) -> String {
    static KEY: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"["']?([^\s"'{\[,:]{1,40})["']?\s*:(?:\s|$)"#).ok());
    let Some(key) = KEY.as_ref() else { return String::new() };
    let line = line.split(" #").next().unwrap_or_default();
    let mut shown = String::new();
    let (mut at, mut harmless) = (0, false);
    for found in key.captures_iter(line) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { break };
        let before = &line[at..whole.start()];
        shown.push_str(&if harmless { before.to_owned() } else { mask(before) });
        shown.push_str(&if is_odd_key(name.as_str()) { mask(whole.as_str()) } else { whole.as_str().to_owned() });
        at = whole.end();
        harmless = HARMLESS.contains(&name.as_str());
        if !harmless {
            break;
        }
    }
    shown.push_str(&if harmless { line[at..].to_owned() } else { mask(&line[at..]) });
    if looks_secret(&shown) || shown.contains("://") { mask(line) } else { shown }
}

fn mask(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() || "-[]{},".contains(c) { c } else { '*' }).collect()
}

/// Replaces every occurrence of the secrets in the mistakes' texts.
pub(super) fn scrub(mistakes: &mut [Mistake], secrets: &[String]) {
    // Nearly always nothing is found, so that one search through all texts is enough for each secret.
    let mut texts = String::new();
    for mistake in mistakes.iter() {
        for text in [&mistake.what, &mistake.line, &mistake.hint] {
            texts.push_str(text);
            texts.push('\n');
        }
    }
    let mut found: Vec<&String> = secrets.iter().filter(|secret| texts.contains(secret.as_str())).collect();
    // A secret that holds another one goes first.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for mistake in mistakes {
        for secret in &found {
            for text in [&mut mistake.what, &mut mistake.line, &mut mistake.hint] {
                *text = text.replace(secret.as_str(), "<hidden>");
            }
        }
    }
}
