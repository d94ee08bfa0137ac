//! Feishu's cards: structure of 1.0 and 2.0. In 2.0 an unknown property or tag refuses the whole card.
//!
//! Error texts follow replies seen in public reports (`unknown property, property: corner_radius, path: ROOT -> body -> elements -> [3](tag: column_set)`).

use serde_json::{Map, Value};

use super::super::rules::{Member, Rules};
use super::card_shape::{ONLY_V1, TEMPLATES, properties, values};
use super::{Mentioned, Refusal, Taken, feishu, filled, text};

const STEP: u8 = 9;
/// At most this many components and text objects in one card.
const MOST_ELEMENTS: usize = 200;
const MOST_TABLES: usize = 5;
const MOST_DEPTH: usize = 5;

fn refuse(sub: i64, message: &str, value: &str, reason: impl Into<String>) -> Refusal {
    Refusal::new(STEP, 11_246, format!("ErrCode: {sub}; ErrMsg: {message}; ErrorValue: {value};"), reason)
}

fn parse_error(value: &str, reason: impl Into<String>) -> Refusal {
    refuse(200_621, "parse card json err, please check whether the card json is correct", value, reason)
}

/// Checks a card and reads its title, text and mentions.
pub(super) fn check(card: &Value, rules: &Rules, taken: &mut Taken) -> Result<(), Refusal> {
    taken.title = card.pointer("/header/title/content").and_then(Value::as_str).unwrap_or("").to_owned();
    if card.get("type").and_then(Value::as_str) == Some("template") {
        return match card.pointer("/data/template_id").and_then(Value::as_str) {
            Some(id) if !id.is_empty() => {
                taken.warnings.push("a card template is not drawn here".to_owned());
                Ok(())
            }
            _ => Err(refuse(200_380, "template does not exist", "template_id", "`card.data.template_id` is missing")),
        };
    }
    let mut walk = Walk { rules, taken, count: 0, tables: 0, path: vec!["ROOT".to_owned()], text: Vec::new() };
    match card.get("schema") {
        None => walk.v1(card)?,
        Some(Value::String(schema)) if schema == "2.0" => walk.v2(card)?,
        Some(Value::String(schema)) if schema == "1.0" => walk.v1(card)?,
        Some(_) => return Err(parse_error("schema", "`card.schema` is neither \"1.0\" nor \"2.0\"")),
    }
    let drawn = walk.text.join("\n");
    taken.text = drawn;
    Ok(())
}

struct Walk<'a> {
    rules: &'a Rules,
    taken: &'a mut Taken,
    count: usize,
    tables: usize,
    path: Vec<String>,
    text: Vec<String>,
}

impl Walk<'_> {
    fn unknown(&self, property: &str) -> Refusal {
        let property: String = property.chars().take(64).collect();
        let value = format!("unknown property, property: {property}, path: {}", self.path.join(" -> "));
        parse_error(&value, format!("the card has the property `{property}`, which card 2.0 does not know there"))
    }

    fn only(&self, object: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(self.unknown(key)),
            None => Ok(()),
        }
    }

    /// Enters an object that must be there, with these properties only.
    fn object<'v>(&mut self, parent: &'v Value, key: &str, known: &[&str]) -> Result<Option<&'v Value>, Refusal> {
        let Some(value) = parent.get(key) else { return Ok(None) };
        let Some(object) = value.as_object() else {
            return Err(parse_error(key, format!("`{key}` in the card is not an object")));
        };
        self.path.push(key.to_owned());
        self.only(object, known)?;
        self.path.pop();
        Ok(Some(value))
    }

    fn v2(&mut self, card: &Value) -> Result<(), Refusal> {
        if let Some(root) = card.as_object() {
            self.only(root, &["schema", "config", "card_link", "header", "body"])?;
        }
        let config = [
            "update_multi",
            "width_mode",
            "enable_forward",
            "enable_forward_interaction",
            "summary",
            "streaming_mode",
            "streaming_config",
            "style",
            "locales",
            "use_custom_translation",
        ];
        let config = self.object(card, "config", &config)?;
        if config.and_then(|config| config.get("update_multi")) == Some(&Value::Bool(false)) {
            return Err(parse_error("update_multi", "`config.update_multi` may only be true in card 2.0"));
        }
        self.object(card, "card_link", &["url", "pc_url", "ios_url", "android_url"])?;
        self.header(card)?;
        let body = [
            "direction",
            "padding",
            "horizontal_spacing",
            "horizontal_align",
            "vertical_spacing",
            "vertical_align",
            "elements",
        ];
        let Some(body) = self.object(card, "body", &body)? else {
            return Err(parse_error("body", "a 2.0 card needs `body`"));
        };
        self.path.push("body".to_owned());
        self.elements(body, "elements", 1)?;
        self.path.pop();
        Ok(())
    }

    fn header(&mut self, card: &Value) -> Result<(), Refusal> {
        let known = ["title", "subtitle", "text_tag_list", "i18n_text_tag_list", "template", "icon", "padding"];
        let Some(header) = self.object(card, "header", &known)? else { return Ok(()) };
        if header.pointer("/title/content").and_then(Value::as_str).is_none() {
            return Err(parse_error("header.title", "`header.title` needs `tag` and `content`"));
        }
        for name in ["title", "subtitle"] {
            if let Some(title) = header.get(name) {
                self.text_object(title, &["plain_text", "lark_md"], name)?;
            }
        }
        let colour = header.get("template");
        if let Some(colour) = colour.filter(|colour| !colour.as_str().is_some_and(|name| TEMPLATES.contains(&name))) {
            let shown: String = colour.to_string().chars().take(40).collect();
            let reason = format!("`header.template` is {shown}, which is no colour of a card's head");
            return Err(parse_error(&format!("invalid template: {shown}"), reason));
        }
        if header.get("text_tag_list").and_then(Value::as_array).is_some_and(|tags| tags.len() > 3) {
            return Err(parse_error("text_tag_list", "a card's head has at most 3 tags"));
        }
        Ok(())
    }

    /// A text object: `{tag, content, ...}`. Counts as an element; its mentions count.
    fn text_object(&mut self, value: &Value, tags: &[&str], name: &str) -> Result<(), Refusal> {
        let tag = value.get("tag").and_then(Value::as_str).unwrap_or("");
        let content = value.get("content").and_then(Value::as_str);
        let (Some(object), Some(content), true) = (value.as_object(), content, tags.contains(&tag)) else {
            let reason = format!("`{name}` needs `tag` ({}) and `content`", tags.join(" or "));
            return Err(parse_error(name, reason));
        };
        self.path.push(format!("{name}(tag: {tag})"));
        self.only(
            object,
            &["tag", "content", "element_id", "text_size", "text_color", "text_align", "lines", "i18n_content", "icon"],
        )?;
        self.path.pop();
        self.counted()?;
        if tag != "plain_text" {
            self.mentions(content)?;
        }
        self.text.push(content.to_owned());
        Ok(())
    }

    fn mentions(&mut self, content: &str) -> Result<(), Refusal> {
        read_mentions(content, &self.rules.members, &mut self.taken.mentions, &mut self.taken.warnings)
    }

    fn counted(&mut self) -> Result<(), Refusal> {
        self.count += 1;
        if self.count <= MOST_ELEMENTS {
            return Ok(());
        }
        let reason = format!("the card has more than {MOST_ELEMENTS} elements");
        Err(refuse(11_310, "element exceeds the limit", "elements", reason))
    }

    fn elements(&mut self, parent: &Value, key: &str, depth: usize) -> Result<(), Refusal> {
        let Some(list) = parent.get(key) else { return Ok(()) };
        let Some(list) = list.as_array() else {
            return Err(parse_error(key, format!("`{key}` in the card is not an array")));
        };
        if depth > MOST_DEPTH {
            let reason = format!("the card nests containers more than {MOST_DEPTH} levels deep");
            return Err(refuse(11_310, "nesting exceeds the limit", key, reason));
        }
        self.path.push(key.to_owned());
        for (at, element) in list.iter().enumerate() {
            let tag = element.get("tag").and_then(Value::as_str).unwrap_or("");
            let tag: String = tag.chars().take(40).collect();
            self.path.push(format!("[{at}](tag: {tag})"));
            self.element(element, &tag, key, depth)?;
            self.path.pop();
        }
        self.path.pop();
        Ok(())
    }

    fn element(&mut self, element: &Value, tag: &str, list: &str, depth: usize) -> Result<(), Refusal> {
        self.counted()?;
        let gone = ONLY_V1.contains(&tag);
        let (Some(known), false) = (properties(tag), gone) else {
            let message = match gone {
                true => "cards of schema V2 no longer support this capability",
                false => "not support tag",
            };
            let value = format!("unsupported tag {tag}, path: {}", self.path.join(" -> "));
            return Err(refuse(200_861, message, &value, format!("card 2.0 has no component `{tag}`")));
        };
        if (list == "columns") != (tag == "column") || (["table", "form"].contains(&tag) && depth > 1) {
            let value = format!("path: {}", self.path.join(" -> "));
            let reason = format!("a `{tag}` may not stand there");
            return Err(refuse(200_410, "element is not allowed in this container", &value, reason));
        }
        if let (Some(object), false) = (element.as_object(), known == ["*"]) {
            let all: Vec<&str> = known.iter().copied().chain(["tag", "element_id", "margin"]).collect();
            self.only(object, &all)?;
        }
        self.holds(element, tag)?;
        self.inside(element, tag, depth)
    }

    /// Values of properties that the vendor lists.
    fn holds(&self, element: &Value, tag: &str) -> Result<(), Refusal> {
        for (property, holds) in values(tag) {
            let Some(value) = element.get(*property).filter(|value| !holds.takes(value)) else { continue };
            let shown: String = value.to_string().chars().take(40).collect();
            let value = format!("invalid {property}: {shown}, path: {}", self.path.join(" -> "));
            return Err(parse_error(&value, format!("`{property}` of a `{tag}` may not be {shown}")));
        }
        Ok(())
    }

    fn inside(&mut self, element: &Value, tag: &str, depth: usize) -> Result<(), Refusal> {
        match tag {
            "markdown" => {
                let Some(content) = element.get("content").and_then(Value::as_str) else {
                    return Err(parse_error("content", "a `markdown` element needs `content`"));
                };
                self.mentions(content)?;
                self.text.push(content.to_owned());
            }
            "div" => {
                if let Some(text) = element.get("text") {
                    self.text_object(text, &["plain_text", "lark_md"], "text")?;
                }
            }
            "button" => self.button(element)?,
            "collapsible_panel" => {
                let known = [
                    "title",
                    "background_color",
                    "width",
                    "vertical_align",
                    "padding",
                    "position",
                    "icon",
                    "icon_position",
                    "icon_expanded_angle",
                ];
                let Some(header) = self.object(element, "header", &known)? else {
                    return Err(parse_error("header", "a `collapsible_panel` needs `header`"));
                };
                if let Some(title) = header.get("title") {
                    self.text_object(title, &["plain_text", "markdown", "lark_md"], "title")?;
                }
                self.object(element, "border", &["color", "corner_radius"])?;
                self.elements(element, "elements", depth + 1)?;
            }
            "column_set" => {
                if element.get("columns").and_then(Value::as_array).is_none_or(Vec::is_empty) {
                    self.taken.warnings.push("a `column_set` without `columns` shows nothing".to_owned());
                }
                self.elements(element, "columns", depth + 1)?;
            }
            "column" | "interactive_container" | "form" => self.elements(element, "elements", depth + 1)?,
            "table" => {
                self.tables += 1;
                if self.tables > MOST_TABLES {
                    let reason = format!("the card has more than {MOST_TABLES} tables");
                    return Err(refuse(11_310, "card table number over limit", "table", reason));
                }
                self.text.extend(text::strings(element, &["tag", "name", "data_type"]));
            }
            "img" if filled(element, "img_key").is_none_or(|key| key.starts_with("http")) => {
                return Err(refuse(
                    200_570,
                    "card contains invalid image keys",
                    "img_key",
                    "`img_key` must be a key, not an address",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    fn button(&mut self, element: &Value) -> Result<(), Refusal> {
        if let Some(text) = element.get("text") {
            self.text_object(text, &["plain_text", "lark_md"], "text")?;
            let label = text.get("content").and_then(Value::as_str).unwrap_or("");
            if label.chars().count() > 100 {
                return Err(parse_error("button text", "a button's text has more than 100 characters"));
            }
        }
        for behaviour in element.get("behaviors").and_then(Value::as_array).into_iter().flatten() {
            match behaviour.get("type").and_then(Value::as_str) {
                Some("open_url") if filled(behaviour, "default_url").is_some() => {}
                Some("open_url") => return Err(parse_error("behaviors", "`open_url` needs `default_url`")),
                Some("callback" | "form_action") => {
                    self.taken.warnings.push("a custom bot gets no callbacks: this button does nothing".to_owned());
                }
                _ => return Err(parse_error("behaviors", "a button's behaviour needs a known `type`")),
            }
        }
        Ok(())
    }

    fn v1(&mut self, card: &Value) -> Result<(), Refusal> {
        let known = ["schema", "config", "header", "elements", "i18n_elements", "card_link", "i18n_header", "fallback"];
        for key in card.as_object().into_iter().flat_map(|object| object.keys()) {
            if !known.contains(&key.as_str()) {
                if self.rules.switches.refuse_unknown_v1_properties {
                    return Err(self.unknown(key));
                }
                let key: String = key.chars().take(64).collect();
                self.taken.warnings.push(format!("unknown card property `{key}` is ignored"));
            }
        }
        let colour = card.pointer("/header/template").and_then(Value::as_str);
        if colour.is_some_and(|colour| !TEMPLATES.contains(&colour)) {
            self.taken.warnings.push("unknown colour of the card's head: the default is shown".to_owned());
        }
        let lists = match (card.get("elements"), card.get("i18n_elements").and_then(Value::as_object)) {
            (Some(elements), _) => vec![elements],
            (None, Some(locales)) => locales.values().collect(),
            (None, None) => Vec::new(),
        };
        for list in lists {
            let Some(list) = list.as_array() else {
                return Err(parse_error("elements", "`elements` of the card is not an array"));
            };
            for element in list {
                self.v1_element(element, MOST_DEPTH)?;
            }
        }
        Ok(())
    }

    fn v1_element(&mut self, element: &Value, depth: usize) -> Result<(), Refusal> {
        let tag = element.get("tag").and_then(Value::as_str).unwrap_or("");
        self.counted()?;
        if depth == 0 || !(ONLY_V1.contains(&tag) || properties(tag).is_some()) {
            let tag: String = tag.chars().take(40).collect();
            return Err(refuse(11_310, "unsupported block", &tag, format!("card 1.0 has no element `{tag}` there")));
        }
        let texts = text::strings(element, &["tag", "type", "img_key", "elements", "columns", "actions"]);
        for content in &texts {
            self.mentions(content)?;
        }
        self.text.extend(texts);
        for key in ["elements", "columns", "actions"] {
            for inner in element.get(key).and_then(Value::as_array).into_iter().flatten() {
                // A note's and an action's parts are text objects and buttons, not components.
                if tag == "note" || tag == "action" {
                    self.text.extend(text::strings(inner, &["tag", "type", "img_key"]));
                } else {
                    self.v1_element(inner, depth - 1)?;
                }
            }
        }
        Ok(())
    }
}

fn read_mentions(
    content: &str,
    members: &[Member],
    to: &mut Mentioned,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    for (name, id) in text::feishu_ats(content) {
        if name != "id" && name != "ids" {
            warnings.push("<at> in a card needs id=...; it is drawn as text".to_owned());
        }
        feishu::card_mention(&name, &id, members, to).map_err(|id| {
            let reason = format!("the card mentions {id:?}, which is no open id or user id of a member");
            refuse(100_290, "user id is invalid", &id, reason)
        })?;
    }
    Ok(())
}
