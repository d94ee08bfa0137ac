//! WeCom's template cards, drawn.

use serde_json::Value;

use super::html::link;
use super::markdown::image;
use super::message::{list, string};
use crate::html::Html;

/// Draws a card. Its texts are plain: no markup of theirs is read.
pub(super) fn draw(html: &mut Html, card: &Value) {
    let notice = string(card, "/card_type") != "news_notice";
    html.raw("<div class=\"tcard\">");
    source(html, card);
    if !notice {
        image(html, string(card, "/card_image/url"), "");
    }
    head(html, card);
    if notice {
        pair(html, "tc-big", string(card, "/emphasis_content/title"), string(card, "/emphasis_content/desc"));
    }
    pair(html, "tc-quote", string(card, "/quote_area/title"), string(card, "/quote_area/quote_text"));
    if notice && !string(card, "/sub_title_text").is_empty() {
        html.raw("<p class=\"tc-sub\">").text(string(card, "/sub_title_text")).raw("</p>");
    }
    for item in list(card, "/vertical_content_list").iter().filter(|_| !notice) {
        pair(html, "tc-item", string(item, "/title"), string(item, "/desc"));
    }
    rows(html, list(card, "/horizontal_content_list"));
    let jumps = list(card, "/jump_list");
    if !jumps.is_empty() {
        html.raw("<div class=\"tc-jumps\">");
        for jump in jumps {
            row_link(html, jump, "tc-jump", string(jump, "/title"));
        }
        html.raw("</div>");
    }
    html.raw("</div>");
}

fn source(html: &mut Html, card: &Value) {
    let words = string(card, "/source/desc");
    if words.is_empty() {
        return;
    }
    let colour = match card.pointer("/source/desc_color").and_then(Value::as_i64) {
        Some(1) => "<p class=\"tc-source tc-black\">",
        Some(2) => "<p class=\"tc-source c-red\">",
        Some(3) => "<p class=\"tc-source c-green\">",
        _ => "<p class=\"tc-source\">",
    };
    html.raw(colour).text(words).raw("</p>");
}

/// Title and the line below it; a tap anywhere on the card opens its address.
fn head(html: &mut Html, card: &Value) {
    let title = string(card, "/main_title/title");
    if !title.is_empty() {
        html.raw("<div class=\"tc-title\">");
        row_link(html, card.get("card_action").unwrap_or(&Value::Null), "tc-open", title);
        html.raw("</div>");
    }
    if !string(card, "/main_title/desc").is_empty() {
        html.raw("<p class=\"tc-desc\">").text(string(card, "/main_title/desc")).raw("</p>");
    }
}

/// A strong text and a quieter one; nothing when both are empty.
fn pair(html: &mut Html, class: &'static str, first: &str, second: &str) {
    if first.is_empty() && second.is_empty() {
        return;
    }
    html.raw("<p class=\"").raw(class).raw("\"><b>").text(first).raw("</b>");
    if !second.is_empty() {
        html.raw("<span>").text(second).raw("</span>");
    }
    html.raw("</p>");
}

/// The client gives names and values one line each and cuts what is longer; all of it stands in the tip.
fn rows(html: &mut Html, rows: &[Value]) {
    if rows.is_empty() {
        return;
    }
    html.raw("<dl class=\"tc-rows\">");
    for row in rows {
        let (name, value) = (string(row, "/keyname"), string(row, "/value"));
        html.raw("<dt title=\"").text(name).raw("\">").text(name).raw("</dt><dd title=\"").text(value).raw("\">");
        row_link(html, row, "", if value.is_empty() { string(row, "/userid") } else { value });
        html.raw("</dd>");
    }
    html.raw("</dl>");
}

/// A text that opens the address of its object, when that has one.
fn row_link(html: &mut Html, object: &Value, class: &'static str, words: &str) {
    match object.get("type").and_then(Value::as_i64) {
        Some(1) => link(html, string(object, "/url"), class, |html| {
            html.text(words);
        }),
        _ => {
            html.raw("<span class=\"").raw(class).raw("\">").text(words).raw("</span>");
        }
    }
}
