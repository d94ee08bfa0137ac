//! WeCom's group robot: facts page, section 4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::super::rules::Rules;
use super::{Call, Refusal, Taken, filled, text, unknown_fields};

const IMAGE_MOST: usize = 2 * 1024 * 1024;

fn bad_parameter(step: u8, text: &str, reason: impl Into<String>) -> Refusal {
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
        "template_card" => template_card(payload, call, &mut taken)?,
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
        taken.warnings.push("`mentioned_list` is ignored outside `text` messages; write <@userid>".to_owned());
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
        taken.warnings.push("markdown_v2 mentions nobody: <@userid> is shown as it is".to_owned());
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

fn template_card(card: &Value, call: &Call<'_>, taken: &mut Taken) -> Result<(), Refusal> {
    let wrong = |place: &str| {
        bad_parameter(6, &format!("template_card.{place}"), format!("`template_card.{place}` is missing or wrong"))
    };
    let notice = match filled(card, "card_type") {
        Some("text_notice") => false,
        Some("news_notice") => true,
        _ => return Err(wrong("card_type")),
    };
    let main = card.pointer("/main_title/title").and_then(Value::as_str).unwrap_or("");
    let sub = filled(card, "sub_title_text").unwrap_or("");
    if main.is_empty() && (notice || sub.is_empty()) {
        return Err(wrong("main_title.title"));
    }
    if notice && card.pointer("/card_image/url").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(wrong("card_image.url"));
    }
    let ratio = card.pointer("/card_image/aspect_ratio").and_then(Value::as_f64).unwrap_or(1.3);
    if !(1.3..2.25).contains(&ratio) {
        return Err(wrong("card_image.aspect_ratio"));
    }
    for (list, most) in [("vertical_content_list", 4), ("horizontal_content_list", 6), ("jump_list", 3)] {
        let items = card.get(list).and_then(Value::as_array);
        if items.is_some_and(|items| items.len() > most) {
            return Err(wrong(list));
        }
        for item in items.into_iter().flatten() {
            let name = if list == "horizontal_content_list" { "keyname" } else { "title" };
            let kind = item.get("type").and_then(Value::as_i64).unwrap_or(0);
            let file = list == "horizontal_content_list" && kind == 2;
            if filled(item, name).is_none() || (kind == 1 && filled(item, "url").is_none()) {
                return Err(wrong(list));
            }
            if file && !filled(item, "media_id").is_some_and(|id| (call.has_media)(id)) {
                return Err(Refusal::new(10, 40_007, "invalid media_id", "a card names a file that was not uploaded"));
            }
        }
    }
    let action = card.get("card_action").ok_or_else(|| wrong("card_action"))?;
    let needed = match action.get("type").and_then(Value::as_i64) {
        Some(1) => "url",
        Some(2) => "appid",
        _ => return Err(wrong("card_action.type")),
    };
    filled(action, needed).ok_or_else(|| wrong(&format!("card_action.{needed}")))?;
    taken.title = if main.is_empty() { sub.to_owned() } else { main.to_owned() };
    taken.text = text::strings(card, &["card_type", "userid", "media_id", "appid", "pagepath"]).join("\n");
    Ok(())
}
