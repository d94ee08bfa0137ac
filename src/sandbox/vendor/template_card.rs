//! WeCom's template cards: facts page, section 4.2. The lengths given there are advice for display, and not enforced.

use serde_json::Value;

use super::{Call, Refusal, Taken, filled, text};

/// One part of a card: an object, or a list of at most so many.
struct Part {
    name: &'static str,
    /// Items at most; `None`: one object instead of a list.
    most: Option<usize>,
    known: &'static [&'static str],
    needs: &'static [&'static str],
    /// Smallest and largest `type`, where the part has one. The smallest is the default, but for `card_action`.
    kinds: Option<(i64, i64)>,
    /// The only `card_type` that shows it.
    only: Option<&'static str>,
}

const fn part(name: &'static str, known: &'static [&'static str], needs: &'static [&'static str]) -> Part {
    Part { name, most: None, known, needs, kinds: None, only: None }
}

const TEXT: Option<&str> = Some("text_notice");
const NEWS: Option<&str> = Some("news_notice");
const ANY: Option<(i64, i64)> = Some((0, 2));

const PARTS: [Part; 10] = [
    part("source", &["icon_url", "desc", "desc_color"], &[]),
    part("main_title", &["title", "desc"], &[]),
    Part { only: TEXT, ..part("emphasis_content", &["title", "desc"], &[]) },
    Part { only: NEWS, ..part("card_image", &["url", "aspect_ratio"], &["url"]) },
    Part {
        kinds: ANY,
        only: NEWS,
        ..part("image_text_area", &["type", "url", "appid", "pagepath", "title", "desc", "image_url"], &["image_url"])
    },
    Part { kinds: ANY, ..part("quote_area", &["type", "url", "appid", "pagepath", "title", "quote_text"], &[]) },
    Part { most: Some(4), only: NEWS, ..part("vertical_content_list", &["title", "desc"], &["title"]) },
    Part {
        most: Some(6),
        kinds: Some((0, 3)),
        ..part("horizontal_content_list", &["type", "keyname", "value", "url", "media_id", "userid"], &["keyname"])
    },
    Part { most: Some(3), kinds: ANY, ..part("jump_list", &["type", "title", "url", "appid", "pagepath"], &["title"]) },
    Part { kinds: Some((1, 2)), ..part("card_action", &["type", "url", "appid", "pagepath"], &[]) },
];

fn wrong(place: &str, what: &str) -> Refusal {
    super::wecom::bad_parameter(6, &format!("template_card.{place}"), format!("`template_card.{place}` {what}"))
}

/// Checks a card and reads its title and text.
pub(super) fn check(card: &Value, call: &Call<'_>, taken: &mut Taken) -> Result<(), Refusal> {
    let kind = filled(card, "card_type").filter(|kind| [TEXT, NEWS].contains(&Some(*kind)));
    let kind = kind.ok_or_else(|| wrong("card_type", "is neither text_notice nor news_notice"))?;
    let main = card.get("main_title").and_then(|main| filled(main, "title")).unwrap_or("");
    let sub = filled(card, "sub_title_text").unwrap_or("");
    if main.is_empty() && (kind == "news_notice" || sub.is_empty()) {
        let or = if kind == "news_notice" { "" } else { ", and so is `sub_title_text`" };
        return Err(wrong("main_title.title", &format!("is missing{or}")));
    }
    if card.get("sub_title_text").is_some_and(|sub| !sub.is_string()) {
        return Err(wrong("sub_title_text", "is not a string"));
    }
    for part in &PARTS {
        let Some(value) = card.get(part.name) else { continue };
        if part.only.is_some_and(|only| only != kind) {
            taken.warnings.push(format!("`{}` is ignored: a {kind} card does not show it", part.name));
        }
        check_part(part, value, call, &mut taken.warnings)?;
    }
    if kind == "news_notice" && card.get("card_image").is_none() {
        return Err(wrong("card_image", "is missing"));
    }
    if card.get("card_action").is_none() {
        return Err(wrong("card_action", "is missing: every card needs an address"));
    }
    ignored(card, kind, &mut taken.warnings);
    taken.title = if main.is_empty() { sub.lines().next().unwrap_or("").to_owned() } else { main.to_owned() };
    taken.text = words(card);
    Ok(())
}

fn check_part(part: &Part, value: &Value, call: &Call<'_>, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    let Some(most) = part.most else {
        return check_item(part, value, call, warnings);
    };
    let items = value.as_array().ok_or_else(|| wrong(part.name, "is not an array"))?;
    if items.len() > most {
        return Err(wrong(part.name, &format!("holds {} items; at most {most} are allowed", items.len())));
    }
    items.iter().try_for_each(|item| check_item(part, item, call, warnings))
}

fn check_item(part: &Part, item: &Value, call: &Call<'_>, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    let name = part.name;
    let fields = item.as_object().ok_or_else(|| wrong(name, "is not an object, or holds something else"))?;
    for (field, value) in fields {
        let place = format!("{name}.{}", field.chars().take(64).collect::<String>());
        let (fits, form) = match field.as_str() {
            "type" => (value.is_i64(), "a whole number"),
            "desc_color" => (value.as_i64().is_some_and(|colour| (0..=3).contains(&colour)), "a number from 0 to 3"),
            "aspect_ratio" => (
                value.as_f64().is_some_and(|ratio| ratio > 1.3 - 1e-9 && ratio < 2.25),
                "a number from 1.3 to below 2.25",
            ),
            _ => (value.is_string(), "a string"),
        };
        if !part.known.contains(&field.as_str()) {
            warnings.push(format!("unknown field `{place}` is ignored"));
        } else if !fits {
            return Err(wrong(&place, &format!("is not {form}")));
        }
    }
    let kind = match (part.kinds, item.get("type").and_then(Value::as_i64)) {
        (Some((1, _)), None) => return Err(wrong(&format!("{name}.type"), "is missing")),
        (Some((least, most)), Some(kind)) if !(least..=most).contains(&kind) => {
            return Err(wrong(&format!("{name}.type"), &format!("is {kind}, not {least} to {most}")));
        }
        (_, kind) => kind.unwrap_or(0),
    };
    let rows = name == "horizontal_content_list";
    let target = match (kind, rows) {
        (1, _) => Some("url"),
        (2, false) => Some("appid"),
        (2, true) => Some("media_id"),
        (3, true) => Some("userid"),
        _ => None,
    };
    let target = target.filter(|_| part.kinds.is_some());
    for field in part.needs.iter().copied().chain(target) {
        if filled(item, field).is_none() {
            return Err(wrong(&format!("{name}.{field}"), "is missing or empty"));
        }
    }
    if target == Some("media_id") && !filled(item, "media_id").is_some_and(|id| (call.has_media)(id)) {
        return Err(Refusal::new(10, 40_007, "invalid media_id", "a card names a file that was not uploaded"));
    }
    Ok(())
}

/// What such a card can not do, and what it does not know.
fn ignored(card: &Value, kind: &str, warnings: &mut Vec<String>) {
    let known = |field: &str| ["card_type", "sub_title_text"].contains(&field) || PARTS.iter().any(|p| p.name == field);
    for field in card.as_object().into_iter().flat_map(|card| card.keys()).filter(|field| !known(field)).take(10) {
        let field: String = field.chars().take(64).collect();
        warnings.push(format!("unknown field `{field}` of the card is ignored"));
    }
    if kind != "text_notice" && card.get("sub_title_text").is_some() {
        warnings.push(format!("`sub_title_text` is ignored: a {kind} card does not show it"));
    }
    if text::strings(card, &[]).iter().any(|words| !text::wecom_ats(words).is_empty()) {
        warnings.push("<@userid> is ignored: a template_card mentions nobody, and shows it as it is".to_owned());
    }
}

/// What can be read on the card, from top to bottom.
fn words(card: &Value) -> String {
    let texts = [
        "/source/desc",
        "/main_title/title",
        "/main_title/desc",
        "/emphasis_content/title",
        "/emphasis_content/desc",
        "/quote_area/title",
        "/quote_area/quote_text",
        "/sub_title_text",
    ];
    let mut lines: Vec<String> =
        texts.iter().filter_map(|path| card.pointer(path)?.as_str()).map(str::to_owned).collect();
    for (list, first, second) in [
        ("vertical_content_list", "title", "desc"),
        ("horizontal_content_list", "keyname", "value"),
        ("jump_list", "title", ""),
    ] {
        for item in card.get(list).and_then(Value::as_array).into_iter().flatten() {
            let both = [first, second].map(|field| item.get(field).and_then(Value::as_str).unwrap_or(""));
            lines.push(both.join(" ").trim_end().to_owned());
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    lines.join("\n")
}
