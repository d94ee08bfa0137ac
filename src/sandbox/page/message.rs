//! What a message looks like in its vendor's phone client.

use serde_json::Value;

use super::super::record::Record;
use super::super::rules::Member;
use super::html::link;
use super::markdown::{Flavour, People, draw, image, plain};
use super::{card, post, template_card};
use crate::html::Html;
use crate::model::BotKind;

/// Draws an accepted message. `members` give their names to the ids that it calls.
pub(super) fn body(html: &mut Html, kind: BotKind, record: &Record, members: &[Member]) {
    let json: Value = serde_json::from_str(&record.raw).unwrap_or(Value::Null);
    let people = People { mentions: &record.mentions, members };
    match kind {
        BotKind::DingTalk => dingtalk(html, &json, record, people),
        BotKind::WeCom => wecom(html, &json, record, people),
        BotKind::Feishu => feishu(html, &json, record, people),
    }
}

pub(super) fn string<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

pub(super) fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Mentions that the service adds by itself behind a text.
fn appended(html: &mut Html, record: &Record, people: People<'_>) {
    if record.mentions.all {
        html.raw(" ");
        people.draw(html, "all");
    }
    for id in record.mentions.ids.iter().filter(|id| !record.text.contains(id.as_str())) {
        html.raw(" ");
        people.draw(html, id);
    }
}

fn dingtalk(html: &mut Html, json: &Value, record: &Record, people: People<'_>) {
    match record.msgtype.as_str() {
        "markdown" => {
            html.raw("<div class=\"bubble md\">");
            draw(html, Flavour::DingTalk, people, &record.text);
            if record.mentions.all {
                html.raw("<p>");
                people.draw(html, "all");
                html.raw("</p>");
            }
            html.raw("</div>");
        }
        "link" => {
            html.raw("<div class=\"bubble linked\"><b>");
            link(html, string(json, "/link/messageUrl"), "", |html| {
                html.text(&record.title);
            });
            html.raw("</b><p class=\"quiet\">").text(&record.text).raw("</p></div>");
        }
        "actionCard" => action_card(html, json, record, people),
        "feedCard" => {
            html.raw("<div class=\"bubble\">");
            for item in list(json, "/feedCard/links") {
                html.raw("<p>");
                link(html, string(item, "/messageURL"), "", |html| {
                    html.text(string(item, "/title"));
                });
                html.raw("</p>");
                image(html, string(item, "/picURL"), "");
            }
            html.raw("</div>");
        }
        _ => {
            html.raw("<div class=\"bubble\">");
            plain(html, people, &record.text);
            appended(html, record, people);
            html.raw("</div>");
        }
    }
}

/// Markdown above full-width buttons; side by side when the card says so.
fn action_card(html: &mut Html, json: &Value, record: &Record, people: People<'_>) {
    html.raw("<div class=\"bubble md action-card\">");
    draw(html, Flavour::DingTalk, people, &record.text);
    let single = (string(json, "/actionCard/singleTitle"), string(json, "/actionCard/singleURL"));
    let across = single.0.is_empty() && string(json, "/actionCard/btnOrientation") == "1";
    html.raw(if across { "<div class=\"actions across\">" } else { "<div class=\"actions\">" });
    let buttons = list(json, "/actionCard/btns").iter();
    let buttons = buttons.map(|button| (string(button, "/title"), string(button, "/actionURL")));
    let single = (!single.0.is_empty()).then_some(single);
    let several = single.is_none().then_some(buttons).into_iter().flatten();
    for (title, address) in single.into_iter().chain(several) {
        link(html, address, "action", |html| {
            html.text(title);
        });
    }
    html.raw("</div></div>");
}

fn wecom(html: &mut Html, json: &Value, record: &Record, people: People<'_>) {
    if record.msgtype == "template_card" {
        template_card::draw(html, json.get("template_card").unwrap_or(&Value::Null));
        return;
    }
    html.raw("<div class=\"bubble md\">");
    match record.msgtype.as_str() {
        "markdown" => draw(html, Flavour::WeCom, people, &record.text),
        "markdown_v2" => draw(html, Flavour::WeComV2, people, &record.text),
        "text" => {
            plain(html, people, &record.text);
            appended(html, record, people);
        }
        "news" => {
            for article in list(json, "/news/articles") {
                html.raw("<p><b>");
                link(html, string(article, "/url"), "", |html| {
                    html.text(string(article, "/title"));
                });
                html.raw("</b><br><span class=\"quiet\">").text(string(article, "/description")).raw("</span></p>");
            }
        }
        other => {
            html.raw("<p class=\"quiet\">[").text(other).raw("]</p>");
        }
    }
    html.raw("</div>");
}

fn feishu(html: &mut Html, json: &Value, record: &Record, people: People<'_>) {
    let null = Value::Null;
    let content = json.get("content").unwrap_or(&null);
    match record.msgtype.as_str() {
        "interactive" => card::card(html, json.get("card").unwrap_or(&null), people),
        "post" => post::post(html, content, people),
        "text" => post::text(html, content, people),
        other => {
            html.raw("<div class=\"bubble\"><p class=\"quiet\">[").text(other).raw("]</p></div>");
        }
    }
}
