//! Feishu's rich-text posts: facts page, section 5.3.

use serde_json::Value;

use super::super::rules::Rules;
use super::{Refusal, Taken, feishu, filled};

/// Tags that the vendor's page of the webhook lists, with their fields. Those of the application interface
/// ([`UNSURE`]) may work; nobody has confirmed it.
const TAGS: [(&str, &[&str]); 4] = [
    ("text", &["text", "un_escape"]),
    ("a", &["text", "href"]),
    ("at", &["user_id", "user_name"]),
    ("img", &["image_key"]),
];
const UNSURE: [&str; 5] = ["md", "hr", "code_block", "emotion", "media"];

/// Checks a post and reads its title, text and mentions.
pub(super) fn check(content: &Value, rules: &Rules, taken: &mut Taken) -> Result<(), Refusal> {
    let wrong = |what: &str| feishu::bad_request(8, rules, format!("`content.post`: {what}"));
    let locales = content.get("post").and_then(Value::as_object).ok_or_else(|| wrong("missing"))?;
    let known = |name: &&String| ["zh_cn", "en_us", "ja_jp"].contains(&name.as_str());
    let Some((_, post)) = locales.iter().find(|(name, _)| known(name)) else {
        return Err(wrong("none of the locales zh_cn, en_us, ja_jp"));
    };
    taken.title = match post.get("title") {
        None => String::new(),
        Some(Value::String(title)) => title.clone(),
        Some(_) => return Err(wrong("`title` is not a string")),
    };
    let lines = post.get("content").and_then(Value::as_array).ok_or_else(|| wrong("`content` is not an array"))?;
    let mut text = Vec::new();
    for line in lines {
        let tags = line.as_array().ok_or_else(|| wrong("a line is not an array of tags"))?;
        let mut drawn = String::new();
        for tag in tags {
            read(tag, rules, taken, &mut drawn).map_err(|what| wrong(&what))?;
        }
        text.push(drawn);
    }
    taken.text = text.join("\n");
    Ok(())
}

/// Reads one tag of a line; what is wrong with it.
fn read(tag: &Value, rules: &Rules, taken: &mut Taken, drawn: &mut String) -> Result<(), String> {
    let name = tag.get("tag").and_then(Value::as_str).unwrap_or("");
    let need = |field: &str| filled(tag, field).ok_or_else(|| format!("a tag `{name}` lacks `{field}`"));
    let words = || tag.get("text").and_then(Value::as_str).unwrap_or("");
    if UNSURE.contains(&name) {
        drawn.push_str(words());
        warn(taken, format!("the tag `{name}` of a post is not confirmed for the webhook"));
        return Ok(());
    }
    let Some((_, fields)) = TAGS.iter().find(|(known, _)| *known == name) else {
        return Err("an unknown tag".to_owned());
    };
    for field in tag.as_object().into_iter().flat_map(|tag| tag.keys()) {
        if field != "tag" && !fields.contains(&field.as_str()) {
            let field: String = field.chars().take(64).collect();
            warn(taken, format!("`{field}` of a post's tag `{name}` is not confirmed for the webhook"));
        }
    }
    if tag.get("un_escape").is_some_and(|value| !value.is_boolean()) {
        return Err("`un_escape` is not a boolean".to_owned());
    }
    match name {
        // Blanks between links are texts of their own.
        "text" if tag.get("text").is_some_and(Value::is_string) => drawn.push_str(words()),
        "text" => return Err("a tag `text` lacks `text`".to_owned()),
        "a" => {
            drawn.push_str(need("text")?);
            need("href")?;
        }
        "at" => match need("user_id")? {
            "all" => taken.mentions.all = true,
            id => taken.mentions.call(&rules.members, id),
        },
        _ => {
            need("image_key")?;
        }
    }
    Ok(())
}

/// Says a thing once, however often a post repeats it.
fn warn(taken: &mut Taken, warning: String) {
    if !taken.warnings.contains(&warning) {
        taken.warnings.push(warning);
    }
}
