//! Reading a reply: the part that the vendors share. All three answer HTTP 200 even when they refuse.

use serde_json::Value;

use super::escape::one_line;
use super::{dingtalk, feishu, wecom};
use crate::model::{BotKind, Millis, Verdict};

/// A vendor's code and what it said.
pub(super) struct Answer {
    pub(super) code: i64,
    /// As received; not for people: it may echo a secret.
    pub(super) message: String,
    /// Code and message for people: short and without secrets.
    pub(super) reason: String,
}

/// What a body is.
enum Body {
    Answer(Answer),
    /// DingTalk's gateway blocks the caller's address: `{"status":1111,...}`.
    Blocked,
    Empty,
    Html,
    /// Cut JSON, JSON without a code, or anything else.
    Odd,
}

pub(super) fn verdict(kind: BotKind, status: u16, body: &[u8], failures: u32) -> Verdict {
    let body = read(kind, body);
    match (status, body) {
        (300..=399, _) => misconfigured(
            format!("HTTP {status}: the robot answered with a redirect"),
            "Redirects are not followed. Check the bot's `url`: scheme, host and path must be those of the robot itself, \
             and no login page or proxy may stand before it.",
        ),
        (429, body) => Verdict::RateLimited { wait_ms: penalty_ms(kind, failures), reason: said(status, &body) },
        (_, Body::Blocked) => Verdict::RateLimited {
            wait_ms: dingtalk::BLOCKED_MS,
            reason: "status 1111: DingTalk's gateway blocks this address for a while".to_owned(),
        },
        // A gateway that gave up waiting does not know what became of the request.
        (504, body) => Verdict::UnknownOutcome { reason: said(status, &body) },
        (408 | 425 | 500..=599, body) => Verdict::Retry { reason: said(status, &body) },
        (200..=299, Body::Answer(Answer { code: 0, .. })) => Verdict::Delivered,
        (200..=499, Body::Answer(answer)) if answer.code != 0 => match kind {
            BotKind::DingTalk => dingtalk::verdict(&answer),
            BotKind::WeCom => wecom::verdict(&answer),
            BotKind::Feishu => feishu::verdict(&answer, failures),
        },
        (200..=299, Body::Html) => Verdict::Retry { reason: said(status, &Body::Html) },
        (407, body) => misconfigured(
            said(status, &body),
            "The proxy wants a login. Check the user and password in `proxy_url` of `http_config`.",
        ),
        (413, body) => Verdict::Rejected { reason: said(status, &body) },
        (400..=499, body) => misconfigured(
            said(status, &body),
            "The URL is not a robot's. Copy the webhook again from the group's settings into the bot's `url`, and check \
             that no proxy stands before it.",
        ),
        (_, body) => Verdict::UnknownOutcome { reason: said(status, &body) },
    }
}

/// A verdict that a person must mend.
pub(super) fn misconfigured(reason: String, remedy: &str) -> Verdict {
    Verdict::Misconfigured { reason, remedy: remedy.to_owned() }
}

fn penalty_ms(kind: BotKind, failures: u32) -> Millis {
    match kind {
        BotKind::DingTalk => dingtalk::PENALTY_MS,
        BotKind::WeCom => wecom::PENALTY_MS,
        BotKind::Feishu => feishu::penalty_ms(failures),
    }
}

fn said(status: u16, body: &Body) -> String {
    match body {
        Body::Answer(answer) => format!("HTTP {status}, {}", answer.reason),
        Body::Blocked | Body::Odd => format!("HTTP {status} with a body that is not a robot's answer"),
        Body::Empty => format!("HTTP {status} with an empty body"),
        Body::Html => format!("HTTP {status} with an HTML page"),
    }
}

fn read(kind: BotKind, body: &[u8]) -> Body {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Body::Empty;
    }
    if text.starts_with('<') {
        return Body::Html;
    }
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return Body::Odd };
    let number = |name: &str| fields.get(name).and_then(number);
    let string = |name: &str| fields.get(name).and_then(Value::as_str);
    let (name, code, message) = match kind {
        BotKind::DingTalk | BotKind::WeCom => ("errcode", number("errcode"), string("errmsg")),
        // Older answers have no `code`; where both stand, `code` counts.
        BotKind::Feishu if fields.get("code").is_some_and(|code| !code.is_null()) => {
            ("code", number("code"), string("msg"))
        }
        BotKind::Feishu => ("StatusCode", number("StatusCode"), string("StatusMessage")),
    };
    match code {
        Some(code) => {
            let message = message.unwrap_or_default();
            Body::Answer(Answer { code, message: message.to_owned(), reason: reason(name, code, message) })
        }
        None if kind == BotKind::DingTalk && number("status") == Some(1_111) => Body::Blocked,
        None => Body::Odd,
    }
}

/// A code may come as a number or as a string of it.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Characters of a vendor's message that people are shown.
const MAX_MESSAGE: usize = 300;
/// Characters of it that are looked at.
const MAX_READ: usize = 4_000;

fn reason(name: &str, code: i64, message: &str) -> String {
    let message: String = message.chars().take(MAX_READ).collect();
    let message = redact(&one_line(&message));
    let mut short: String = message.chars().take(MAX_MESSAGE).collect();
    if short.len() < message.len() {
        short.push('…');
    }
    if short.is_empty() { format!("{name} {code}") } else { format!("{name} {code}: {short}") }
}

/// Words behind which a secret stands, in URLs and in JSON.
const MARKS: [&str; 6] = ["access_token", "timestamp", "secret", "token", "sign", "key"];

/// Replaces what looks like a secret: values of the query parameters that carry them, what follows `/hook/`, and any
/// unbroken run as long as a token.
fn redact(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut hide_next = false;
    // Words and what stands between them, in turn.
    for (word, between) in words(message) {
        let like_token = word.len() >= 32 && word.bytes().any(|b| b.is_ascii_digit());
        if like_token || (hide_next && !word.is_empty()) {
            out.push_str("***");
        } else {
            out.push_str(word);
        }
        out.push_str(between);
        let lower = word.to_ascii_lowercase();
        let assigned = matches!(between.trim_matches(['"', '\'', ' ', '\\']), "=" | ":" | "%3D" | "%3d");
        hide_next = (assigned && MARKS.iter().any(|mark| lower.ends_with(mark)))
            || (lower == "hook" && between.starts_with('/'));
    }
    out
}

/// Splits a text into runs of token characters, each with what follows it. `%3D` stands between words, not in them.
fn words(text: &str) -> Vec<(&str, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+' | '%');
    let mut rest = text;
    let mut words = Vec::new();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (run, behind) = rest.split_at(end);
        let encoded = run.find("%3D").or_else(|| run.find("%3d"));
        let (word, behind) = match encoded {
            Some(at) => (run.get(..at).unwrap_or_default(), rest.get(at..).unwrap_or_default()),
            None => (run, behind),
        };
        let gap = if encoded.is_some() { 3 } else { behind.find(is_word).unwrap_or(behind.len()) };
        let (between, behind) = behind.split_at(gap);
        words.push((word, between));
        rest = behind;
    }
    words
}
