//! Feishu's (Lark's) custom bot: facts page, section 5.

use serde_json::Value;

use super::super::ip;
use super::super::rules::{Member, Rules};
use super::{Call, Mentioned, Refusal, Taken, card, filled, missing_keyword, post, sign, text, unknown_fields};

const SIGN: &str = "sign match fail or timestamp is not within one hour from current time";

pub(super) fn bad_request(step: u8, rules: &Rules, reason: impl Into<String>) -> Refusal {
    Refusal::new(step, 9_499, "Bad Request", reason).status(rules.switches.bad_request_status)
}

/// Steps 4 to 10.
pub(super) fn check(call: &Call<'_>, rules: &Rules) -> Result<Taken, Refusal> {
    let limit = rules.body_limit(crate::model::BotKind::Feishu);
    if call.oversize || call.body.len() > limit {
        let size = if call.oversize { "far more".to_owned() } else { call.body.len().to_string() };
        let reason = format!("the body has {size} bytes; {limit} are allowed");
        return Err(match rules.switches.oversize_is_bad_request {
            true => bad_request(4, rules, reason),
            false => Refusal::new(4, 19_036, "The message exceeds the size limit of 30KB", reason),
        });
    }
    if !call.is_json() {
        return Err(bad_request(5, rules, "the request's Content-Type is not application/json"));
    }
    let body: Value = serde_json::from_slice(call.body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| bad_request(5, rules, "the body is not a JSON object"))?;
    if !ip::allowed(&rules.ips, call.ip) {
        let reason = format!("the caller's address {} is not in the bot's list", call.ip);
        return Err(Refusal::new(6, 19_022, "Ip Not Allowed", reason));
    }
    signature(&body, call, rules)?;
    let Some(msgtype) = filled(&body, "msg_type") else {
        let reason = match body.get("msgtype") {
            Some(_) => "`msg_type` is missing (the body has `msgtype`, which is DingTalk's and WeCom's name)",
            None => "`msg_type` is missing",
        };
        return Err(Refusal::new(7, 19_002, "params error, msg_type need", reason));
    };
    let mut taken = Taken { msgtype: msgtype.chars().take(40).collect(), ..Taken::default() };
    let payload = content(&body, msgtype, rules, &mut taken)?;
    let scope =
        text::strings(payload, &["tag", "image_key", "img_key", "user_id", "share_chat_id", "template", "type"]);
    if let Some(reason) = missing_keyword(rules, &scope) {
        return Err(Refusal::new(10, 19_024, "Key Words Not Found", reason));
    }
    (taken.used, taken.limit) = (call.body.len(), limit);
    unknown_fields(&body, &["msg_type", "content", "card", "timestamp", "sign"], &mut taken.warnings);
    Ok(taken)
}

fn signature(body: &Value, call: &Call<'_>, rules: &Rules) -> Result<(), Refusal> {
    if rules.secret.is_empty() {
        return Ok(());
    }
    let refuse = |reason: &str| Refusal::new(6, 19_021, SIGN, reason);
    let timestamp = match body.get("timestamp") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(_)) if rules.switches.timestamp_string_only => {
            return Err(refuse("`timestamp` must be a string"));
        }
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(refuse("the bot wants a signature, and `timestamp` is missing from the body")),
    };
    let given = filled(body, "sign").ok_or_else(|| refuse("the bot wants a signature, and `sign` is missing"))?;
    if given != sign::feishu(&rules.secret, &timestamp) {
        return Err(refuse(match given == sign::dingtalk(&rules.secret, &timestamp) {
            true => "the body is signed with DingTalk's recipe",
            false => "the signature does not match: wrong secret, or another recipe",
        }));
    }
    let at = timestamp.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
    if at.is_none_or(|at| call.now_ms.saturating_sub(at).saturating_abs() > sign::SKEW_MS) {
        return Err(refuse("the signature's timestamp is more than one hour away, or not in seconds"));
    }
    Ok(())
}

/// Steps 8 and 9; gives the value in which keywords are looked for.
fn content<'a>(body: &'a Value, msgtype: &str, rules: &Rules, taken: &mut Taken) -> Result<&'a Value, Refusal> {
    if msgtype == "interactive" {
        let card = body
            .get("card")
            .filter(|card| card.is_object())
            .ok_or_else(|| bad_request(8, rules, "`card` is missing, or a string instead of an object"))?;
        card::check(card, rules, taken)?;
        return Ok(card);
    }
    let content = body
        .get("content")
        .filter(|content| content.is_object())
        .ok_or_else(|| bad_request(8, rules, "`content` is missing, or a string instead of an object"))?;
    let need = |field: &str| {
        filled(content, field).ok_or_else(|| bad_request(8, rules, format!("`content.{field}` is missing or empty")))
    };
    match msgtype {
        "text" => {
            taken.text = need("text")?.to_owned();
            taken.title = taken.text.lines().next().unwrap_or("").to_owned();
            for (name, id) in text::feishu_ats(&taken.text) {
                match (name.as_str(), id.as_str()) {
                    ("user_id", "all") => taken.mentions.all = true,
                    ("user_id", id) => taken.mentions.call(&rules.members, id),
                    _ => taken.warnings.push("<at> in a text needs user_id=\"...\"; it is drawn as text".to_owned()),
                }
            }
        }
        "post" => post::check(content, rules, taken)?,
        "image" => {
            need("image_key")?;
        }
        "share_chat" => {
            need("share_chat_id")?;
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(bad_request(8, rules, format!("`msg_type` {shown:?} is not known")));
        }
    }
    Ok(content)
}

/// An id that a card may mention: `all`, an open id, or a user id; never a mobile number or an e-mail address.
pub(super) fn card_mention(attribute: &str, id: &str, members: &[Member], to: &mut Mentioned) -> Result<(), String> {
    let shape = |id: &str| {
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        let mobile = id.len() >= 11 && id.bytes().all(|b| b.is_ascii_digit());
        plain && !mobile && (1..=64).contains(&id.len())
    };
    let ids: Vec<&str> = match attribute {
        "id" => vec![id],
        "ids" => id.split(',').collect(),
        _ => return Ok(()),
    };
    for id in ids {
        if id == "all" {
            to.all = true;
        } else if !shape(id) || !(members.is_empty() || members.iter().any(|member| member.is(id))) {
            return Err(id.chars().take(64).collect());
        } else {
            to.call(members, id);
        }
    }
    Ok(())
}
