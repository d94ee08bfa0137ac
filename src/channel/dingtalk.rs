//! DingTalk custom robot: <https://open.dingtalk.com/document/orgapp/custom-robots-send-group-messages>.

use std::borrow::Cow;

use serde_json::json;

use super::beside::{columns, cut, links, whole_body, with_facts};
use super::escape::{Style, escape, one_line};
use super::hmac_base64;
use super::reply::{Answer, misconfigured};
use super::text::{break_lines, everybody, is_id, is_mobile, join, keyword_parts, plain, with_title};
use crate::model::{BotKind, Contact, Dialect, Draft, Lang, Layout, Mentions, Millis, Secret, Shape, Verdict};

/// Markdown messages and action cards; text when the draft is plain.
pub(super) struct DingTalk {
    /// Asked for by the config.
    pub(super) layout: Layout,
}

/// Bytes of the whole request body (documented; enforced as 20,000, not 20,480).
const LIMIT: usize = 20_000;

/// People in one message, by one vendor page.
const MAX_PEOPLE: usize = 50;

/// Buttons of an action card. The vendor names no bound; nobody reads more.
const MAX_BUTTONS: usize = 5;
/// Width of a button's title that no phone cuts.
const BUTTON: usize = 20;
/// Width of a title that fits into half a phone's width.
const HALF_BUTTON: usize = 10;

impl Dialect for DingTalk {
    fn kind(&self) -> BotKind {
        BotKind::DingTalk
    }

    fn layout(&self, shape: Shape) -> Layout {
        // An action card needs a button, and `at` has no effect in it.
        if self.layout == Layout::ActionCard && shape.links && !shape.calls { self.layout } else { Layout::Markdown }
    }

    fn escape(&self, value: &str) -> String {
        escape(value, Style::Wide)
    }

    fn mention_text(&self, mentions: &Mentions, lang: Lang) -> String {
        join(mentions, everybody(lang), |person| match target(person) {
            Some(target) => format!("@{}", target.text()),
            None => self.escape(&person.name),
        })
    }

    fn size(&self, draft: &Draft) -> usize {
        self.encode(draft, &"0".repeat(32)).len()
    }

    fn limit(&self, _: &Draft) -> usize {
        LIMIT
    }

    fn encode(&self, draft: &Draft, message_id: &str) -> Vec<u8> {
        let title = one_line(&draft.title);
        let at = at(&draft.mentions);
        let body = if draft.plain {
            // Only people in `at` are called in text, whatever it says: no tag needs neutralising.
            let content = plain(&with_title(&title, &draft.body), &[], |_| false);
            json!({"msgtype": "text", "text": {"content": content}, "at": at, "msgUuid": message_id})
        } else {
            let title = if title.is_empty() { "alarmbell" } else { title.as_str() };
            if let Some(card) = action_card(draft, title) {
                return json!({"msgtype": "actionCard", "actionCard": card, "msgUuid": message_id})
                    .to_string()
                    .into_bytes();
            }
            let text = text_of(&whole_body(draft), title);
            json!({"msgtype": "markdown", "markdown": {"title": title, "text": text}, "at": at, "msgUuid": message_id})
        };
        body.to_string().into_bytes()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        let mut texts = vec![draft.title.as_str()];
        texts.extend(keyword_parts(&draft.body, !draft.plain));
        texts
    }
}

/// DingTalk folds a single line break, so two spaces go before it. A text is required.
fn text_of(body: &str, title: &str) -> String {
    if body.trim().is_empty() { escape(title, Style::Wide) } else { break_lines(body, "  \n") }
}

/// The links as buttons below the text. `None` when the draft is for another layout, or can be none after all: without
/// a button, or with somebody to call, whom an action card would not call.
///
/// The addresses are plain ones, which a PC opens beside the chat. The vendor's own scheme would open the browser, but only
/// its own clients know it.
fn action_card(draft: &Draft, title: &str) -> Option<serde_json::Value> {
    if draft.layout != Layout::ActionCard || !draft.mentions.is_empty() {
        return None;
    }
    let links = links(draft, MAX_BUTTONS);
    let buttons: Vec<_> = links.iter().map(|(name, url)| (cut(name, BUTTON), *url)).collect();
    let text = text_of(&with_facts(draft), title);
    match buttons.as_slice() {
        [] => None,
        [(name, url)] => Some(json!({"title": title, "text": text, "singleTitle": name, "singleURL": url})),
        several => {
            let beside = several.len() == 2 && several.iter().all(|(name, _)| columns(name) <= HALF_BUTTON);
            let several = several.iter().map(|(name, url)| json!({"title": name, "actionURL": url}));
            Some(json!({
                "title": title,
                "text": text,
                "btnOrientation": if beside { "1" } else { "0" },
                "btns": several.collect::<Vec<_>>(),
            }))
        }
    }
}

/// By what a person is called.
enum Target<'a> {
    UserId(&'a str),
    Mobile(&'a str),
}

impl<'a> Target<'a> {
    const fn text(&self) -> &'a str {
        match self {
            Self::UserId(text) | Self::Mobile(text) => text,
        }
    }
}

/// The user id when there is one: a number of somebody who is not in the chat would be shown to all of it.
fn target(person: &Contact) -> Option<Target<'_>> {
    if is_id(&person.dingtalk_user_id) {
        Some(Target::UserId(&person.dingtalk_user_id))
    } else {
        is_mobile(&person.mobile).then_some(Target::Mobile(&person.mobile))
    }
}

fn at(mentions: &Mentions) -> serde_json::Value {
    let (mut mobiles, mut ids) = (Vec::new(), Vec::new());
    for target in mentions.people.iter().filter_map(target).take(MAX_PEOPLE) {
        match target {
            Target::UserId(id) => ids.push(id),
            Target::Mobile(mobile) => mobiles.push(mobile),
        }
    }
    json!({"atMobiles": mobiles, "atUserIds": ids, "isAtAll": mentions.all})
}

/// Puts `timestamp` (milliseconds) and `sign` into the query, in the place of older ones.
pub(super) fn sign(url: &Secret, secret: &Secret, now_ms: Millis) -> Secret {
    let secret = secret.expose();
    let sign = hmac_base64(secret.as_bytes(), format!("{now_ms}\n{secret}").as_bytes());
    // Exactly once: `+`, `/` and `=` of base64 must arrive as they are.
    let sign = percent_encoding::utf8_percent_encode(&sign, percent_encoding::NON_ALPHANUMERIC);
    let url = url.expose();
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let kept = query.split('&').filter(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        let name: Cow<'_, str> = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        !name.is_empty() && name != "timestamp" && name != "sign"
    });
    let mut signed = format!("{path}?");
    for pair in kept {
        signed.push_str(pair);
        signed.push('&');
    }
    signed.push_str(&format!("timestamp={now_ms}&sign={sign}"));
    Secret::new(signed)
}

/// Documented: a robot that sent more than 20 in a minute is throttled for 10 minutes.
pub(super) const PENALTY_MS: Millis = 600_000;
/// The organisation's monthly quota: nothing changes within minutes.
const QUOTA_MS: Millis = 3_600_000;
/// The caller's address sent more than 10,000 in 20 s: blocked for 5 minutes.
pub(super) const BLOCKED_MS: Millis = 300_000;
const APP_QPS_MS: Millis = 60_000;

/// What an error code means.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    let reason = answer.reason.clone();
    let remedy = match answer.code {
        -1 => return Verdict::Retry { reason },
        130_101 | 410_100 | 660_026 => return Verdict::RateLimited { wait_ms: PENALTY_MS, reason },
        90_030 => return Verdict::RateLimited { wait_ms: QUOTA_MS, reason },
        90_018 => return Verdict::RateLimited { wait_ms: APP_QPS_MS, reason },
        310_000 => security(&answer.message),
        40_035 if answer.message.contains("access_token") => TOKEN,
        88 | 300_001 | 300_005 | 400_101 => TOKEN,
        43_002 | 43_004 => {
            "DingTalk did not see our request as it was sent. Check the bot's `url`, and whether a proxy between here \
             and DingTalk changes requests."
        }
        400_013 => {
            "The group chat was dissolved. Add a custom robot to another group and put its URL into the bot's `url`."
        }
        400_102 => "The robot was switched off. Switch it on in the group's settings under Bots, or add a new one.",
        400_106 => {
            "The robot was removed from the group. Add a custom robot in the group's settings and put its URL into the \
             bot's `url`."
        }
        _ => return Verdict::Rejected { reason },
    };
    misconfigured(reason, remedy)
}

const TOKEN: &str = "DingTalk does not know this access_token. Open the group's settings, Bots, the custom robot, copy \
                     its webhook again into the bot's `url`; if it is gone, add a new one.";

/// One code, four causes, told apart by texts of two generations.
fn security(message: &str) -> &'static str {
    // "description:" holds "ip", and the links at the end may hold anything.
    let text = message.to_lowercase().replace("description", "");
    let text = text.split("link:").next().unwrap_or_default().split("more:").next().unwrap_or_default();
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if says(&["keyword", "关键词"]) {
        "The robot accepts only messages with its keyword. Open the group's settings, Bots, this robot, and add the \
         robot's keyword to this bot's `keywords`."
    } else if says(&["签名过期", "invalid timestamp"]) {
        "DingTalk finds the signature too old or from the future. Check this machine's clock (NTP)."
    } else if says(&["签名", "sign not match", "sign"]) {
        "The signature is wrong. Copy the robot's signing secret (SEC...) again from its security settings into this \
         bot's `secret`."
    } else if says(&["whitelist", "白名单", "ip"]) {
        "The robot accepts messages only from certain addresses. Add this machine's public IPv4 address to the robot's \
         security settings, or remove the rule."
    } else {
        "The robot's security settings refuse the message. Compare its keywords, signing secret and address list with \
         this bot's `keywords` and `secret`."
    }
}
