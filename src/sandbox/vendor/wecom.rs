//! WeCom's group robot: facts page, section 4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::super::rules::Rules;
use super::{Call, Refusal, Taken, filled, template_card, text, unknown_fields};

const IMAGE_MOST: usize = 2 * 1024 * 1024;

pub(super) fn bad_parameter(step: u8, text: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(step, 40_058, format!("{text}. invalid Request Parameter"), reason)
}

/// Steps 4 to 10.
pub(super) fn check(call: &Call<'_>, rules: &Rules) -> Result<Taken, Refusal> {
    if !call.is_json() {
        return Err(Refusal::new(4, 47_001, "data format error", "the request's Content-Type is not application/json"));
    }
    if call.oversize {
        return Err(Refusal::new(4, 47_001, "data format error", "the body is larger than 4 MiB"));
    }
    let body: Value = serde_json::from_slice(call.body).ok().filter(Value::is_object).ok_or_else(|| {
        Refusal::new(4, 47_001, "Warning: wrong json format. data format error", "the body is not a JSON object")
    })?;
    let msgtype = body.get("msgtype").and_then(Value::as_str).unwrap_or("");
    if !TYPES.contains(&msgtype) {
        let shown: String = msgtype.chars().take(40).collect();
        let reason = format!("`msgtype` is {shown:?}, which is none of {}", TYPES.join(", "));
        return Err(Refusal::new(5, 40_008, "invalid message type", reason));
    }
    let payload = body
        .get(msgtype)
        .filter(|payload| payload.is_object())
        .ok_or_else(|| bad_parameter(6, &format!("missing {msgtype}"), format!("the object `{msgtype}` is missing")))?;
    let mut taken = Taken { msgtype: msgtype.to_owned(), ..Taken::default() };
    match msgtype {
        "text" | "markdown" | "markdown_v2" => content(payload, rules, &mut taken)?,
        "image" => image(payload, &mut taken)?,
        "news" => news(payload, &mut taken)?,
        "template_card" => template_card::check(payload, call, &mut taken)?,
        _ => media(payload, call, msgtype)?,
    }
    unknown_fields(&body, &["msgtype", msgtype], &mut taken.warnings);
    Ok(taken)
}

const TYPES: [&str; 8] = ["text", "markdown", "markdown_v2", "image", "news", "file", "voice", "template_card"];

fn content(payload: &Value, rules: &Rules, taken: &mut Taken) -> Result<(), Refusal> {
    let field = format!("{}.content", taken.msgtype);
    let content = payload.get("content").and_then(Value::as_str).ok_or_else(|| {
        bad_parameter(6, &format!("missing {field}"), format!("`{field}` is missing or not a string"))
    })?;
    if content.trim().is_empty() {
        return Err(Refusal::new(7, 44_004, "content is empty", format!("`{field}` is empty")));
    }
    let limit = if taken.msgtype == "text" { rules.text_limit() } else { rules.markdown_limit() };
    if content.len() > limit {
        let reason = format!("`{field}` has {} bytes; {limit} are allowed", content.len());
        return Err(bad_parameter(8, &format!("{field} exceed max length {limit}"), reason));
    }
    (taken.text, taken.used, taken.limit) = (content.to_owned(), content.len(), limit);
    taken.title = content.lines().next().unwrap_or("").to_owned();
    let list = |name: &str| payload.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let listed: Vec<Value> = list("mentioned_list").into_iter().chain(list("mentioned_mobile_list")).collect();
    if taken.msgtype != "text" && !listed.is_empty() {
        if rules.switches.refuse_mentions_in_markdown {
            let reason = "`mentioned_list` belongs to `text` messages only";
            return Err(bad_parameter(8, &format!("{}.mentioned_list", taken.msgtype), reason));
        }
        let instead = if taken.msgtype == "markdown" { "; write <@userid>" } else { "" };
        taken.warnings.push(format!("`mentioned_list` is ignored outside `text` messages{instead}"));
    }
    if taken.msgtype == "text" {
        for id in listed.iter().filter_map(Value::as_str) {
            match id {
                "@all" => taken.mentions.all = true,
                id => taken.mentions.call(&rules.members, id),
            }
        }
    }
    let written = text::wecom_ats(content);
    if taken.msgtype == "markdown_v2" && !written.is_empty() {
        taken.warnings.push("<@userid> is ignored: markdown_v2 mentions nobody, and shows it as it is".to_owned());
    } else {
        for id in written {
            match id {
                "all" => {
                    taken.mentions.all = true;
                    taken.warnings.push("<@all> is not documented; it may call nobody".to_owned());
                }
                id => taken.mentions.call(&rules.members, id),
            }
        }
    }
    Ok(())
}

fn image(payload: &Value, taken: &mut Taken) -> Result<(), Refusal> {
    let missing =
        |field: &str| bad_parameter(6, &format!("missing image.{field}"), format!("`image.{field}` is missing"));
    let base64 = filled(payload, "base64").ok_or_else(|| missing("base64"))?;
    let md5 = filled(payload, "md5").ok_or_else(|| missing("md5"))?;
    let refuse = |reason: &str| Refusal::new(9, 40_009, "invalid image size", reason);
    let raw = STANDARD
        .decode(base64)
        .map_err(|_| refuse("`image.base64` is not plain base64 (no prefix, no line breaks)"))?;
    if raw.len() > IMAGE_MOST {
        return Err(refuse("the picture is larger than 2 MB"));
    }
    if !(raw.starts_with(b"\x89PNG") || raw.starts_with(b"\xff\xd8\xff")) {
        return Err(refuse("the picture is neither PNG nor JPG"));
    }
    let sum: String = Md5::digest(&raw).iter().map(|byte| format!("{byte:02x}")).collect();
    if !sum.eq_ignore_ascii_case(md5) {
        return Err(Refusal::new(
            9,
            301_019,
            "media file md5 not match",
            "`image.md5` is not the MD5 of the picture's bytes",
        ));
    }
    (taken.used, taken.limit) = (raw.len(), IMAGE_MOST);
    Ok(())
}

fn news(payload: &Value, taken: &mut Taken) -> Result<(), Refusal> {
    let empty = Vec::new();
    let articles = payload.get("articles").and_then(Value::as_array).unwrap_or(&empty);
    if !(1..=8).contains(&articles.len()) {
        let reason = format!("`news.articles` holds {} articles; 1 to 8 are allowed", articles.len());
        return Err(match articles.is_empty() {
            true => bad_parameter(6, "missing news.articles", reason),
            false => Refusal::new(8, 45_008, "too many articles", reason),
        });
    }
    for article in articles {
        for field in ["title", "url"] {
            if filled(article, field).is_none() {
                let name = format!("news.articles.{field}");
                return Err(bad_parameter(6, &format!("missing {name}"), format!("`{name}` is missing")));
            }
        }
        for (field, most) in [("title", 128), ("description", 512)] {
            if article.get(field).and_then(Value::as_str).is_some_and(|text| text.len() > most) {
                taken.warnings.push(format!("an article's {field} is cut to {most} bytes"));
            }
        }
    }
    taken.title = filled(&articles[0], "title").unwrap_or("").to_owned();
    taken.text = text::strings(payload, &[]).join("\n");
    Ok(())
}

fn media(payload: &Value, call: &Call<'_>, msgtype: &str) -> Result<(), Refusal> {
    let name = format!("{msgtype}.media_id");
    let id = filled(payload, "media_id")
        .ok_or_else(|| bad_parameter(6, &format!("missing {name}"), format!("`{name}` is missing")))?;
    if !(call.has_media)(id) {
        let reason = "this media_id is unknown, older than 3 days, or was uploaded with another key";
        return Err(Refusal::new(10, 40_007, "invalid media_id", reason));
    }
    Ok(())
}
