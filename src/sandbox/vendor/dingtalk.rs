//! DingTalk's custom robot: facts page, section 3.

use serde_json::Value;

use super::super::ip;
use super::super::rules::Rules;
use super::{Call, Mentioned, Refusal, Taken, filled, missing_keyword, sign, text, unknown_fields};

const KEYWORD: &str =
    "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词，并在发送的信息中包含此关键词;";
const SIGN: &str = "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在调用的网址中，请确认机器人的密钥加密和填写正确;link:请参考本接口对应文档查看签名的获取方式;";
const EXPIRED: &str = "description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在 timestampms 以内;link:请参考本接口对应文档查看签名的获取方式;";
const OLD_SUFFIX: &str = ", more: [https://ding-doc.dingtalk.com/doc#/serverapi2/qf2nxq]";

/// Steps 5 to 11.
pub(super) fn check(call: &Call<'_>, rules: &Rules) -> Result<Taken, Refusal> {
    if !call.is_json() {
        return Err(Refusal::new(
            5,
            43_004,
            "无效的HTTP HEADER Content-Type",
            "the request's Content-Type is not application/json",
        ));
    }
    let limit = rules.body_limit(crate::model::BotKind::DingTalk);
    if call.oversize || call.body.len() > limit {
        let text = match rules.switches.old_texts {
            true => format!("message too long, exceed {limit} bytes"),
            false => format!("description: body 大小不合法;solution:请保持大小在 {limit}bytes 以内;"),
        };
        let size = if call.oversize { "far more".to_owned() } else { call.body.len().to_string() };
        return Err(Refusal::new(6, 460_101, text, format!("the body has {size} bytes; {limit} are allowed")));
    }
    let body: Value = serde_json::from_slice(call.body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| Refusal::new(7, 40_035, "缺少参数 json", "the body is not a JSON object"))?;
    security(call, rules)?;
    let mut taken = content(&body, rules)?;
    let scope = match rules.switches.keywords_in_title_and_text_only {
        true => vec![text::without_targets(&taken.title), text::without_targets(&taken.text)],
        false => body.get(&taken.msgtype).map_or_else(Vec::new, |payload| text::strings(payload, &[])),
    };
    if let Some(reason) = missing_keyword(rules, &scope) {
        return Err(security_refusal(11, rules, "keywords not in content", KEYWORD, reason));
    }
    taken.used = call.body.len();
    taken.limit = limit;
    taken.uuid = filled(&body, "msgUuid").map(str::to_owned);
    unknown_fields(&body, &["msgtype", "at", "msgUuid", &taken.msgtype.clone()], &mut taken.warnings);
    Ok(taken)
}

fn security_refusal(step: u8, rules: &Rules, old: &str, new: &str, reason: String) -> Refusal {
    let text = match rules.switches.old_texts {
        true => format!("{old}{OLD_SUFFIX}"),
        false => new.to_owned(),
    };
    Refusal::new(step, 310_000, text, reason)
}

fn security(call: &Call<'_>, rules: &Rules) -> Result<(), Refusal> {
    if !ip::allowed(&rules.ips, call.ip) {
        let old = format!("ip {} not in whitelist", call.ip);
        let new = format!("description:来源ip {} 不在白名单中;solution:请联系群管理员查看此机器人的ip白名单;", call.ip);
        let reason = format!("the caller's address {} is not in the robot's list", call.ip);
        return Err(security_refusal(8, rules, &old, &new, reason));
    }
    if rules.secret.is_empty() {
        return Ok(());
    }
    let wrong = |reason: &str| security_refusal(8, rules, "sign not match", SIGN, reason.to_owned());
    let (Some(timestamp), Some(given)) = (call.timestamp, call.sign) else {
        return Err(wrong("the robot wants a signature, and `timestamp` or `sign` is missing from the address"));
    };
    let wanted = sign::dingtalk(&rules.secret, timestamp);
    let again = percent_encoding::percent_decode_str(given).decode_utf8_lossy();
    if given != wanted && !(rules.switches.decode_sign_twice && again == wanted) {
        return Err(wrong(match again == wanted {
            true => "the signature was percent-encoded twice",
            false if given.replace(' ', "+") == wanted => "the signature was not percent-encoded: a + became a space",
            false => "the signature does not match: wrong secret, or another recipe",
        }));
    }
    let skew = timestamp.parse::<i64>().ok().map(|at| call.now_ms.saturating_sub(at).saturating_abs());
    if skew.is_none_or(|skew| skew > sign::SKEW_MS) {
        let reason = "the signature's timestamp is more than one hour away, or not in milliseconds";
        return Err(security_refusal(8, rules, "invalid timestamp", EXPIRED, reason.to_owned()));
    }
    Ok(())
}

/// Steps 9 and 10: type, required fields, mentions.
fn content(body: &Value, rules: &Rules) -> Result<Taken, Refusal> {
    let msgtype = body.get("msgtype").and_then(Value::as_str).unwrap_or("");
    let shown: String = msgtype.chars().take(40).collect();
    if !["text", "link", "markdown", "actionCard", "feedCard"].contains(&msgtype) {
        let reason = format!("`msgtype` is {shown:?}, not text, link, markdown, actionCard or feedCard (case counts)");
        return Err(Refusal::new(9, 400_105, "不支持的消息类型", reason));
    }
    let null = Value::Null;
    let payload = body.get(msgtype).unwrap_or(&null);
    let need = |object: &Value, field: &str| {
        filled(object, field).map(str::to_owned).ok_or_else(|| {
            let text = format!("缺少参数 {msgtype}.{field}");
            let reason = format!("`{msgtype}.{field}` is missing, empty or not a string");
            Refusal::new(10, rules.switches.missing_field_code, text, reason)
        })
    };
    let mut taken = Taken { msgtype: msgtype.to_owned(), ..Taken::default() };
    match msgtype {
        "text" => taken.text = need(payload, "content")?,
        "markdown" => (taken.title, taken.text) = (need(payload, "title")?, need(payload, "text")?),
        "link" => {
            (taken.title, taken.text) = (need(payload, "title")?, need(payload, "text")?);
            need(payload, "messageUrl")?;
        }
        "actionCard" => {
            (taken.title, taken.text) = (need(payload, "title")?, need(payload, "text")?);
            action_card(payload, rules, &need, &mut taken.warnings)?;
        }
        _ => {
            each(payload, "links", &["title", "messageURL", "picURL"], &need)?;
            taken.title = payload.pointer("/links/0/title").and_then(Value::as_str).unwrap_or("").to_owned();
            taken.text = taken.title.clone();
        }
    }
    mentions(body, rules, &mut taken)?;
    Ok(taken)
}

/// Buttons and switches. The switches are strings; what the robot answers to others is not known, so they are refused.
fn action_card(card: &Value, rules: &Rules, need: &Need<'_>, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    if filled(card, "singleTitle").is_some() || filled(card, "singleURL").is_some() {
        need(card, "singleTitle")?;
        need(card, "singleURL")?;
        if card.get("btns").is_some() {
            warnings.push("`btns` is ignored beside `singleTitle` and `singleURL`".to_owned());
        }
    } else {
        each(card, "btns", &["title", "actionURL"], need)?;
    }
    for switch in ["btnOrientation", "hideAvatar"] {
        match card.get(switch) {
            None => {}
            Some(Value::String(text)) if text == "0" || text == "1" => {}
            Some(Value::String(_)) => warnings.push(format!("`{switch}` is neither \"0\" nor \"1\"")),
            Some(_) => {
                let reason = format!("`actionCard.{switch}` must be the string \"0\" or \"1\"");
                let text = format!("参数 actionCard.{switch} 不合法");
                return Err(Refusal::new(10, rules.switches.missing_field_code, text, reason));
            }
        }
    }
    Ok(())
}

type Need<'a> = dyn Fn(&Value, &str) -> Result<String, Refusal> + 'a;

fn each(payload: &Value, list: &str, fields: &[&str], need: &Need<'_>) -> Result<(), Refusal> {
    let items = payload.get(list).and_then(Value::as_array).filter(|items| !items.is_empty());
    let Some(items) = items else {
        need(&Value::Null, list)?;
        return Ok(());
    };
    for item in items {
        for field in fields {
            need(item, field)?;
        }
    }
    Ok(())
}

fn mentions(body: &Value, rules: &Rules, taken: &mut Taken) -> Result<(), Refusal> {
    let Some(at) = body.get("at").filter(|at| !at.is_null()) else { return Ok(()) };
    let list = |field: &str| at.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let named: Vec<Value> = list("atMobiles").into_iter().chain(list("atUserIds")).collect();
    let all = match at.get("isAtAll") {
        Some(Value::Bool(all)) => *all,
        Some(Value::String(text)) if text == "true" => {
            taken.warnings.push("`isAtAll` should be a boolean, not a string".to_owned());
            true
        }
        _ => false,
    };
    if !["text", "markdown"].contains(&taken.msgtype.as_str()) {
        if all || !named.is_empty() {
            if rules.switches.refuse_useless_at {
                let reason = format!("`at` beside `{}`, which has no mentions", taken.msgtype);
                return Err(Refusal::new(10, rules.switches.missing_field_code, "参数 at 不合法", reason));
            }
            taken.warnings.push(format!("`at` is ignored: {} messages mention nobody", taken.msgtype));
        }
        return Ok(());
    }
    let mut mentioned = Mentioned { all, ..Mentioned::default() };
    for id in &named {
        let Some(id) = id.as_str() else {
            taken.warnings.push("`atMobiles` and `atUserIds` must hold strings".to_owned());
            continue;
        };
        // In text the service adds the mention itself; in markdown it is drawn only where the text has it.
        if taken.msgtype == "text" || taken.text.contains(&format!("@{id}")) {
            mentioned.call(&rules.members, id);
        } else {
            mentioned.ignore(id);
            taken.warnings.push(format!("the text lacks \"@{id}\", so the mention is not drawn"));
        }
    }
    if mentioned.ids.len() > 50 {
        taken.warnings.push("more than 50 people are mentioned".to_owned());
    }
    taken.mentions = mentioned;
    Ok(())
}
