//! Feishu's cards, drawn.

use serde_json::Value;

use super::html::link;
use super::markdown::{Flavour, People, draw, image};
use super::message::{list, string};
use crate::html::Html;

/// Components are drawn to this depth; the emulator accepts five levels.
const DEPTH: u8 = 8;

/// A card with its coloured head.
pub(super) fn card(html: &mut Html, card: &Value, people: People<'_>) {
    html.raw("<div class=\"card\">");
    if let Some(header) = card.get("header") {
        html.raw("<div class=\"card-head ")
            .raw(head_class(string(header, "/template")))
            .raw("\"><div class=\"card-title\">");
        text_object(html, header.get("title"), people);
        for tag in list(header, "/text_tag_list").iter().take(3) {
            html.raw("<span class=\"label head-label ")
                .raw(colour(string(tag, "/color")))
                .raw("\">")
                .text(string(tag, "/text/content"))
                .raw("</span>");
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
    // In 2.0 each button has a line of its own, unless columns or the body say otherwise.
    let row =
        card.get("schema").is_none_or(|schema| schema != "2.0") || string(card, "/body/direction") == "horizontal";
    components(html, elements, people, (DEPTH, row));
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
        // No links, nobody called.
        "plain_text" | "" => {
            for (at, line) in content.split('\n').enumerate() {
                html.raw(if at > 0 { "<br>" } else { "" }).text(line);
            }
        }
        _ => draw(html, Flavour::Card, people, content),
    }
}

/// How many levels may follow, and whether buttons stand in a row.
type Place = (u8, bool);

fn components(html: &mut Html, elements: &[Value], people: People<'_>, (depth, row): Place) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let mut buttons = false;
    for element in elements {
        let button = string(element, "/tag") == "button";
        if button != buttons {
            html.raw(match (button, row) {
                (false, _) => "</div>",
                (true, true) => "<div class=\"buttons\">",
                (true, false) => "<div class=\"buttons stacked\">",
            });
            buttons = button;
        }
        component(html, element, people, (depth, row));
    }
    if buttons {
        html.raw("</div>");
    }
}

fn component(html: &mut Html, element: &Value, people: People<'_>, place: Place) {
    match string(element, "/tag") {
        "markdown" => {
            html.raw("<div class=\"md").raw(text_size(string(element, "/text_size")));
            html.raw(text_align(string(element, "/text_align"))).raw("\">");
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
            components(html, list(element, "/elements"), people, place);
            html.raw("</div></details>");
        }
        "column_set" => column_set(html, element, people, place),
        "column" | "interactive_container" | "form" => components(html, list(element, "/elements"), people, place),
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

/// Columns side by side; `flex_mode` says what becomes of them on a narrow screen.
fn column_set(html: &mut Html, element: &Value, people: People<'_>, (depth, _): Place) {
    html.raw("<div class=\"columns").raw(match string(element, "/flex_mode") {
        "stretch" => " stretch",
        "flow" => " flow",
        "bisect" => " bisect",
        "trisect" => " trisect",
        _ => "",
    });
    html.raw(spacing(string(element, "/horizontal_spacing")));
    html.raw(background(string(element, "/background_style"))).raw("\">");
    for column in list(element, "/columns") {
        let weight = column.get("weight").and_then(Value::as_i64).unwrap_or(1);
        html.raw("<div class=\"column").raw(match (string(column, "/width"), weight) {
            ("weighted", 2) => " w2",
            ("weighted", 3) => " w3",
            ("weighted", 4) => " w4",
            ("weighted", 5) => " w5",
            ("weighted", _) => " w1",
            _ => "",
        });
        html.raw(match string(column, "/vertical_align") {
            "center" => " middle",
            "bottom" => " bottom",
            _ => "",
        });
        html.raw(if spacing(string(column, "/vertical_spacing")) == " gap-s" { " tight" } else { "" });
        html.raw(background(string(column, "/background_style"))).raw("\">");
        let row = string(column, "/direction") == "horizontal";
        components(html, list(column, "/elements"), people, (depth, row));
        html.raw("</div>");
    }
    html.raw("</div>");
}

/// A class for the gap between columns: the nearest of the vendor's steps.
fn spacing(value: &str) -> &'static str {
    let pixels = value.strip_suffix("px").and_then(|pixels| pixels.parse::<u16>().ok());
    match (value, pixels) {
        ("small", _) | (_, Some(0..=5)) => " gap-s",
        ("large", _) | (_, Some(10..=13)) => " gap-l",
        ("extra_large", _) | (_, Some(14..)) => " gap-xl",
        _ => "",
    }
}

fn text_size(value: &str) -> &'static str {
    match value {
        "notation" | "x-small" | "xx-small" | "small" => " small",
        "heading" | "heading-3" | "heading-4" | "large" | "medium" => " large",
        "heading-0" | "heading-1" | "heading-2" | "x-large" | "xx-large" | "xxx-large" | "xxxx-large" => " huge",
        _ => "",
    }
}

fn text_align(value: &str) -> &'static str {
    match value {
        "center" => " center",
        "right" => " right",
        _ => "",
    }
}

/// The vendor's colours come in steps, as in `red-50`; one tint for each is enough here.
fn background(value: &str) -> &'static str {
    match value.split('-').next().unwrap_or("") {
        "" | "default" | "white" => "",
        "red" | "carmine" => " tinted c-red",
        "orange" => " tinted c-orange",
        "yellow" => " tinted c-yellow",
        "green" | "lime" => " tinted c-green",
        "turquoise" => " tinted c-turquoise",
        "blue" | "wathet" | "indigo" => " tinted c-blue",
        "purple" | "violet" => " tinted c-purple",
        _ => " tinted c-grey",
    }
}

/// The class of a label in a card's head.
fn colour(name: &str) -> &'static str {
    match name {
        "blue" | "wathet" | "indigo" => "c-blue",
        "turquoise" => "c-turquoise",
        "lime" | "green" => "c-green",
        "orange" => "c-orange",
        "yellow" => "c-yellow",
        "red" => "c-red",
        "carmine" => "c-carmine",
        "purple" | "violet" => "c-purple",
        "neutral" => "c-grey",
        _ => "",
    }
}

fn button(html: &mut Html, element: &Value, people: People<'_>) {
    let open_url = list(element, "/behaviors").iter().find(|behaviour| string(behaviour, "/type") == "open_url");
    let address = open_url.map_or_else(|| string(element, "/url"), |behaviour| string(behaviour, "/default_url"));
    let fill = string(element, "/width") == "fill";
    let class = match (string(element, "/type"), fill) {
        ("primary_filled", false) => "button filled",
        ("primary_filled", true) => "button filled fill",
        ("danger_filled", false) => "button filled danger",
        ("danger_filled", true) => "button filled danger fill",
        (kind, false) if kind.starts_with("primary") => "button primary",
        (kind, true) if kind.starts_with("primary") => "button primary fill",
        (kind, false) if kind.starts_with("danger") => "button danger",
        (kind, true) if kind.starts_with("danger") => "button danger fill",
        (_, false) => "button",
        (_, true) => "button fill",
    };
    let label = |html: &mut Html| text_object(html, element.get("text"), people);
    if address.is_empty() {
        html.raw("<span class=\"").raw(class).raw("\">");
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
