//! Feishu's cards and posts, drawn.

use serde_json::Value;

use super::html::link;
use super::markdown::{Flavour, People, draw, image, plain};
use crate::html::Html;

/// Components are drawn to this depth; the emulator accepts five levels.
const DEPTH: u8 = 8;

fn string<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A card with its coloured head.
pub(super) fn card(html: &mut Html, card: &Value, people: People<'_>) {
    html.raw("<div class=\"card\">");
    if let Some(header) = card.get("header") {
        html.raw("<div class=\"card-head ")
            .raw(head_class(string(header, "/template")))
            .raw("\"><div class=\"card-title\">");
        text_object(html, header.get("title"), people);
        for tag in list(header, "/text_tag_list").iter().take(3) {
            html.raw("<span class=\"label head-label\">").text(string(tag, "/text/content")).raw("</span>");
        }
        html.raw("</div>");
        if !string(header, "/subtitle/content").is_empty() {
            html.raw("<div class=\"card-sub\">");
            text_object(html, header.get("subtitle"), people);
            html.raw("</div>");
        }
        html.raw("</div>");
    }
    html.raw("<div class=\"card-body\">");
    let elements = match list(card, "/body/elements") {
        [] => list(card, "/elements"),
        elements => elements,
    };
    if card.get("type").is_some_and(|kind| kind == "template") {
        html.raw("<p class=\"quiet\">Card template ").text(string(card, "/data/template_id"));
        html.raw(": its content is kept at the vendor.</p>");
    }
    components(html, elements, people, DEPTH);
    html.raw("</div></div>");
}

fn head_class(template: &str) -> &'static str {
    match template {
        "blue" => "head-blue",
        "wathet" => "head-wathet",
        "turquoise" => "head-turquoise",
        "green" => "head-green",
        "yellow" => "head-yellow",
        "orange" => "head-orange",
        "red" => "head-red",
        "carmine" => "head-carmine",
        "violet" | "purple" => "head-purple",
        "indigo" => "head-indigo",
        "grey" => "head-grey",
        _ => "head-default",
    }
}

fn text_object(html: &mut Html, text: Option<&Value>, people: People<'_>) {
    let Some(text) = text else { return };
    let content = string(text, "/content");
    match string(text, "/tag") {
        "plain_text" | "" => plain(html, people, content),
        _ => draw(html, Flavour::Card, people, content),
    }
}

fn components(html: &mut Html, elements: &[Value], people: People<'_>, depth: u8) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let mut buttons = false;
    for element in elements {
        let button = string(element, "/tag") == "button";
        if button != buttons {
            html.raw(if button { "<div class=\"buttons\">" } else { "</div>" });
            buttons = button;
        }
        component(html, element, people, depth);
    }
    if buttons {
        html.raw("</div>");
    }
}

fn component(html: &mut Html, element: &Value, people: People<'_>, depth: u8) {
    match string(element, "/tag") {
        "markdown" => {
            let small = matches!(string(element, "/text_size"), "notation" | "x-small");
            html.raw(if small { "<div class=\"md small\">" } else { "<div class=\"md\">" });
            draw(html, Flavour::Card, people, string(element, "/content"));
            html.raw("</div>");
        }
        "div" => {
            html.raw("<div class=\"md\">");
            text_object(html, element.get("text"), people);
            for field in list(element, "/fields") {
                html.raw("<div class=\"field\">");
                text_object(html, field.get("text"), people);
                html.raw("</div>");
            }
            html.raw("</div>");
        }
        "hr" => {
            html.raw("<hr>");
        }
        "button" => button(html, element, people),
        "action" => {
            html.raw("<div class=\"buttons\">");
            for action in list(element, "/actions").iter().take(20) {
                button(html, action, people);
            }
            html.raw("</div>");
        }
        "collapsible_panel" => {
            let open = element.get("expanded") == Some(&Value::Bool(true));
            html.raw(if open {
                "<details class=\"panel\" open><summary>"
            } else {
                "<details class=\"panel\"><summary>"
            });
            text_object(html, element.pointer("/header/title"), people);
            html.raw("</summary><div class=\"panel-body\">");
            components(html, list(element, "/elements"), people, depth);
            html.raw("</div></details>");
        }
        "column_set" => {
            html.raw("<div class=\"columns\">");
            for column in list(element, "/columns") {
                html.raw("<div class=\"column\">");
                components(html, list(column, "/elements"), people, depth);
                html.raw("</div>");
            }
            html.raw("</div>");
        }
        "column" | "interactive_container" | "form" => components(html, list(element, "/elements"), people, depth),
        "note" => {
            html.raw("<div class=\"note\">");
            for part in list(element, "/elements") {
                text_object(html, Some(part), people);
            }
            html.raw("</div>");
        }
        "img" => image(html, string(element, "/img_key"), string(element, "/alt/content")),
        "table" => table(html, element),
        tag => {
            html.raw("<p class=\"quiet\">[").text(tag).raw("] is not drawn here</p>");
        }
    }
}

fn button(html: &mut Html, element: &Value, people: People<'_>) {
    let open_url = list(element, "/behaviors").iter().find(|behaviour| string(behaviour, "/type") == "open_url");
    let address = open_url.map_or_else(|| string(element, "/url"), |behaviour| string(behaviour, "/default_url"));
    let class = match string(element, "/type") {
        kind if kind.starts_with("primary") => "button primary",
        kind if kind.starts_with("danger") => "button danger",
        _ => "button",
    };
    let label = |html: &mut Html| text_object(html, element.get("text"), people);
    if address.is_empty() {
        html.raw("<span class=\"button\">");
        label(html);
        html.raw("</span>");
    } else {
        link(html, address, class, label);
    }
}

fn table(html: &mut Html, element: &Value) {
    let columns = list(element, "/columns");
    html.raw("<div class=\"table\"><table><tr>");
    for column in columns {
        html.raw("<th>").text(string(column, "/display_name")).raw("</th>");
    }
    html.raw("</tr>");
    for row in list(element, "/rows").iter().take(50) {
        html.raw("<tr>");
        for column in columns {
            let cell = row.get(string(column, "/name"));
            html.raw("<td>");
            match cell {
                Some(Value::String(text)) => html.text(text),
                Some(other) => html.text(&other.to_string()),
                None => html.raw(""),
            };
            html.raw("</td>");
        }
        html.raw("</tr>");
    }
    html.raw("</table></div>");
}

/// A rich-text post: lines of tags.
pub(super) fn post(html: &mut Html, content: &Value, people: People<'_>) {
    let locales = ["/post/zh_cn", "/post/en_us", "/post/ja_jp"];
    let Some(post) = locales.iter().find_map(|locale| content.pointer(locale)) else { return };
    html.raw("<div class=\"bubble md\">");
    if !string(post, "/title").is_empty() {
        html.raw("<div class=\"h h4\">").text(string(post, "/title")).raw("</div>");
    }
    for line in list(post, "/content") {
        html.raw("<div>");
        for tag in line.as_array().into_iter().flatten() {
            match string(tag, "/tag") {
                "text" | "md" => plain(html, people, string(tag, "/text")),
                "a" => link(html, string(tag, "/href"), "", |html| {
                    html.text(string(tag, "/text"));
                }),
                "at" => people.draw(html, string(tag, "/user_id")),
                "img" => image(html, string(tag, "/image_key"), ""),
                _ => {}
            }
        }
        html.raw("</div>");
    }
    html.raw("</div>");
}

/// A text message: plain, but `<at user_id="...">` mentions.
pub(super) fn text(html: &mut Html, content: &Value, people: People<'_>) {
    html.raw("<div class=\"bubble\">");
    let mut rest = string(content, "/text");
    while let Some((before, from)) = rest.split_once("<at ") {
        plain(html, people, before);
        let inside = from.split_once('>');
        let id = inside.and_then(|(attributes, _)| {
            let found = super::super::vendor::text::attributes(attributes);
            found.into_iter().find(|(name, _)| name == "user_id").map(|(_, id)| id)
        });
        match (id, inside) {
            (Some(id), Some((_, after))) => {
                people.draw(html, &id);
                rest = after.split_once("</at>").map_or(after, |(_, after)| after);
            }
            _ => {
                html.text("<at ");
                rest = from;
            }
        }
    }
    plain(html, people, rest);
    html.raw("</div>");
}
