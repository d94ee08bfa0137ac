//! Feishu's posts and texts, drawn.

use serde_json::Value;

use super::super::vendor::Mentioned;
use super::html::link;
use super::markdown::{People, image, plain};
use super::message::{list, string};
use crate::html::Html;

/// A rich-text post: lines of tags.
pub(super) fn post(html: &mut Html, content: &Value, people: People<'_>) {
    let locales = ["/post/zh_cn", "/post/en_us", "/post/ja_jp"];
    let Some(post) = locales.iter().find_map(|locale| content.pointer(locale)) else { return };
    // A post calls by its tags only: an id in a text calls nobody.
    let nobody = Mentioned::default();
    let words = People { mentions: &nobody, members: people.members };
    html.raw("<div class=\"bubble md\">");
    if !string(post, "/title").is_empty() {
        html.raw("<div class=\"h h4\">").text(string(post, "/title")).raw("</div>");
    }
    for line in list(post, "/content") {
        let blank = line.as_array().is_none_or(Vec::is_empty);
        html.raw(if blank { "<div class=\"blank\">" } else { "<div>" });
        for tag in line.as_array().into_iter().flatten() {
            match string(tag, "/tag") {
                "text" | "md" => plain(html, words, string(tag, "/text")),
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
    let nobody = Mentioned::default();
    let words = People { mentions: &nobody, members: people.members };
    html.raw("<div class=\"bubble\">");
    let mut rest = string(content, "/text");
    while let Some((before, from)) = rest.split_once("<at ") {
        plain(html, words, before);
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
    plain(html, words, rest);
    html.raw("</div>");
}
