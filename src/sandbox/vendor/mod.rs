//! What each vendor checks, in the vendor's order, and how it answers.
//!
//! Steps carry the numbers of the facts page's check order; texts are the vendors' own where they are known.

mod card;
mod card_shape;
pub(super) mod dingtalk;
pub(super) mod feishu;
mod post;
pub(super) mod sign;
mod template_card;
pub(super) mod text;
pub(super) mod wecom;

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::rules::{Member, Rules};
use crate::model::BotKind;

/// One request, as far as the checks need it.
pub(super) struct Call<'a> {
    /// `Content-Type`, or empty.
    pub(super) content_type: &'a str,
    /// Decoded `timestamp` and `sign` of the query.
    pub(super) timestamp: Option<&'a str>,
    /// See `timestamp`.
    pub(super) sign: Option<&'a str>,
    /// The body; cut when `oversize`.
    pub(super) body: &'a [u8],
    /// Whether the body was longer than the sandbox reads.
    pub(super) oversize: bool,
    /// Who calls.
    pub(super) ip: IpAddr,
    /// Wall clock in milliseconds.
    pub(super) now_ms: i64,
    /// WeCom: whether a `media_id` was uploaded with this key and still lives.
    pub(super) has_media: &'a dyn Fn(&str) -> bool,
}

impl Call<'_> {
    /// `application/json`, with or without parameters.
    fn is_json(&self) -> bool {
        let kind = self.content_type.split(';').next().unwrap_or("");
        kind.trim().eq_ignore_ascii_case("application/json")
    }
}

/// Why a message was not shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// Number of the check that failed, per vendor.
    pub(super) step: u8,
    /// The vendor's code.
    pub(super) code: i64,
    /// The vendor's text.
    pub(super) text: String,
    /// The same in plain words, and what to do.
    pub(super) reason: String,
    /// HTTP status.
    pub(super) status: u16,
}

impl Refusal {
    pub(super) fn new(step: u8, code: i64, text: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { step, code, text: text.into(), reason: reason.into(), status: 200 }
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// Whom a message calls, as the chat resolved it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Mentioned {
    /// Everybody.
    pub all: bool,
    /// The ids that were called, each once.
    pub ids: Vec<String>,
    /// The names of those who are known members, in the same order; an id where no member is known.
    pub names: Vec<String>,
    /// Ids that were named but call nobody: not members, or not where the vendor looks for them.
    pub ignored: Vec<String>,
}

impl Mentioned {
    /// Takes an id that the message called.
    fn call(&mut self, members: &[Member], id: &str) {
        if self.ids.iter().any(|known| known == id) {
            return;
        }
        match members.iter().find(|member| member.is(id)) {
            Some(member) => {
                self.ids.push(id.to_owned());
                self.names.push(if member.name.is_empty() { id.to_owned() } else { member.name.clone() });
            }
            None if members.is_empty() => {
                self.ids.push(id.to_owned());
                self.names.push(id.to_owned());
            }
            None => self.ignore(id),
        }
    }

    fn ignore(&mut self, id: &str) {
        if !self.ignored.iter().any(|known| known == id) {
            self.ignored.push(id.to_owned());
        }
    }
}

/// A message that passed every check.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Taken {
    /// The type as sent.
    pub(super) msgtype: String,
    /// The line a chat list or push shows; empty where the type has none.
    pub(super) title: String,
    /// The text as sent, in the vendor's markup.
    pub(super) text: String,
    /// Whom it calls.
    pub(super) mentions: Mentioned,
    /// Bytes used of the limited field.
    pub(super) used: usize,
    /// The most bytes it may have.
    pub(super) limit: usize,
    /// What the vendor ignores but a client should know.
    pub(super) warnings: Vec<String>,
    /// DingTalk's `msgUuid`.
    pub(super) uuid: Option<String>,
}

/// Every check that needs no count: content type to keywords.
pub(super) fn check(kind: BotKind, call: &Call<'_>, rules: &Rules) -> Result<Taken, Refusal> {
    match kind {
        BotKind::DingTalk => dingtalk::check(call, rules),
        BotKind::WeCom => wecom::check(call, rules),
        BotKind::Feishu => feishu::check(call, rules),
    }
}

/// The refusal of an unknown token. `None` rules: nobody ever set that robot up.
pub(super) fn unknown_token(kind: BotKind, rules: Option<&Rules>) -> Refusal {
    let reason = "no robot has this token: it was removed, or the address was copied wrongly";
    match kind {
        BotKind::DingTalk => {
            let code = rules.map_or(300_005, |rules| rules.switches.bad_token_code);
            let text = if code == 400_101 { "access_token不存在" } else { "token is not exist" };
            Refusal::new(4, code, text, reason)
        }
        BotKind::WeCom => Refusal::new(2, 93_000, "invalid webhook url", reason),
        BotKind::Feishu => Refusal::new(2, 19_001, "param invalid: incoming webhook access token invalid", reason),
    }
}

/// The refusal of a robot that an administrator stopped.
pub(super) fn stopped(kind: BotKind) -> Refusal {
    let reason = "an administrator stopped this robot";
    match kind {
        BotKind::DingTalk => Refusal::new(4, 400_102, "bot is stopped", reason),
        BotKind::WeCom => Refusal::new(2, 93_004, "robot is disabled", reason),
        BotKind::Feishu => Refusal::new(2, 19_007, "Bot Not Enabled", reason),
    }
}

/// The refusal of a call that came too fast.
pub(super) fn too_fast(kind: BotKind, rules: Option<&Rules>, reason: String) -> Refusal {
    match kind {
        BotKind::DingTalk => {
            let code = rules.map_or(660_026, |rules| rules.switches.rate_code);
            let text = match code {
                130_101 => "send too fast, exceed 20 times per minute",
                410_100 => "发送速度太快而限流",
                _ => "sending too many messages per minute",
            };
            Refusal::new(3, code, text, reason)
        }
        BotKind::WeCom => Refusal::new(3, 45_009, "api freq out of limit", reason),
        BotKind::Feishu if rules.is_some_and(|rules| rules.switches.rate_is_9499) => {
            Refusal::new(3, 9_499, "too many request", reason).status(400)
        }
        BotKind::Feishu => {
            let text = "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]";
            Refusal::new(3, 11_232, text, reason)
        }
    }
}

/// The refusal of a vendor that is busy.
pub(super) fn busy(kind: BotKind) -> Refusal {
    let reason = "fault on demand: the vendor says that it is busy";
    match kind {
        BotKind::DingTalk => Refusal::new(0, -1, "系统繁忙", reason),
        BotKind::WeCom => Refusal::new(0, -1, "system error", reason),
        BotKind::Feishu => {
            Refusal::new(0, 11_232, "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]", reason)
        }
    }
}

/// A field that must be a string with something in it.
fn filled<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// Names the top-level fields that the vendor does not know.
fn unknown_fields(body: &Value, known: &[&str], warnings: &mut Vec<String>) {
    let fields = body.as_object().into_iter().flat_map(|object| object.keys());
    for field in fields.filter(|field| !known.contains(&field.as_str())).take(10) {
        let field: String = field.chars().take(64).collect();
        warnings.push(format!("unknown field `{field}` is ignored"));
    }
}

/// Whether the keyword rule is met by these texts. `None` when it is; else what is missing.
fn missing_keyword(rules: &Rules, texts: &[String]) -> Option<String> {
    use super::rules::KeywordMode;
    let found = |word: &&String| texts.iter().any(|text| text.contains(word.as_str()));
    let quoted = |words: Vec<&String>| words.iter().map(|word| format!("“{word}”")).collect::<Vec<_>>().join(", ");
    match rules.keyword_mode {
        _ if rules.keywords.is_empty() => None,
        KeywordMode::Any if rules.keywords.iter().any(|word| found(&word)) => None,
        KeywordMode::Any => {
            Some(format!("none of the keywords {} is in the message", quoted(rules.keywords.iter().collect())))
        }
        KeywordMode::All => {
            let missing: Vec<_> = rules.keywords.iter().filter(|word| !found(word)).collect();
            (!missing.is_empty()).then(|| format!("the keyword {} is not in the message", quoted(missing)))
        }
    }
}
