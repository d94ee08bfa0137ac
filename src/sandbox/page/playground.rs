//! The template playground's page: its frame. The script fills it and asks for the drawings.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::super::Sandbox;
use super::{Look, close, lost, open, respond};
use crate::html::Html;
use crate::model::BotKind;

pub(super) const CSS: &str = include_str!("../assets/playground.css");
pub(super) const JS: &str = include_str!("../assets/playground.js");

/// What can be edited, and what it is.
const PARTS: [(&str, &str); 5] = [
    ("title", "The first line, and what a phone shows before the chat is opened."),
    ("alert", "One alert; the body takes them one after the other."),
    ("body", "Everything below the title of a message about one group."),
    ("digest", "The body of a message that tells a storm: many groups at once."),
    ("payload", "A webhook body, as Alertmanager sends it. Used when the sample is “My payload”."),
];

pub(super) async fn page(State(sandbox): State<Sandbox>) -> Response {
    if sandbox.painter().is_none() {
        return lost("This sandbox has no template playground");
    }
    let mut html = Html::default();
    open(&mut html, "alarmbell: template playground", None, &Look { playground: true, ..Look::default() });
    html.raw("<div class=\"bar\"><h1><span class=\"dot\" aria-hidden=\"true\"></span><a href=\"/\">alarmbell sandbox</a> <span class=\"here\">Template playground</span></h1>");
    html.raw("<p class=\"pg-state\" id=\"state\" role=\"status\"></p><button type=\"button\" class=\"quiet-button\" id=\"scheme\" aria-pressed=\"false\">Night</button></div>");
    choices(&mut html);
    html.raw("<main class=\"pg\">");
    editors(&mut html);
    html.raw("<section class=\"pg-show\" aria-labelledby=\"show-h\"><h2 id=\"show-h\" class=\"pg-h\">On the phone</h2><div class=\"phone\"><div id=\"phone\" class=\"screen\" tabindex=\"0\"></div></div></section>");
    html.raw("<section class=\"pg-facts\" aria-labelledby=\"facts-h\"><h2 id=\"facts-h\" class=\"pg-h\">Facts</h2><div id=\"facts\"></div></section></main>");
    html.raw("<noscript><p class=\"noscript\">The playground needs scripts. <code>alarmbell render</code> shows the same on a terminal.</p></noscript>");
    close(&mut html);
    respond(StatusCode::OK, html)
}

fn choices(html: &mut Html) {
    html.raw("<form class=\"pg-choose\" id=\"choose\" aria-label=\"What to draw\"><label class=\"pick\"><span>Sample</span><select id=\"sample\" name=\"sample\"></select></label>");
    html.raw("<fieldset class=\"seg\"><legend>Vendor</legend>");
    for kind in BotKind::ALL {
        html.raw("<label class=\"v-")
            .vendor(kind)
            .raw("\"><input type=\"radio\" name=\"vendor\" value=\"")
            .vendor(kind);
        html.raw("\"><span>").raw(super::vendor_name(kind)).raw("</span></label>");
    }
    html.raw("</fieldset><label class=\"pick\"><span>Kind</span><select id=\"kind\" name=\"kind\"></select></label>");
    html.raw("<fieldset class=\"seg\"><legend>Language</legend><label><input type=\"radio\" name=\"lang\" value=\"zh\"><span lang=\"zh\">中文</span></label><label><input type=\"radio\" name=\"lang\" value=\"en\"><span>English</span></label></fieldset>");
    html.raw("<label class=\"tick\"><input type=\"checkbox\" id=\"mention\" name=\"mention\"><span>Calls somebody</span></label></form>");
}

/// A tab and an editor for each part. The first is shown; the script shows the others.
fn editors(html: &mut Html) {
    html.raw("<section class=\"pg-edit\" aria-label=\"Templates\"><div class=\"pg-tabs\" role=\"tablist\" aria-label=\"Parts\">");
    for (at, (part, _)) in PARTS.iter().enumerate() {
        html.raw("<button type=\"button\" role=\"tab\" class=\"pg-tab\" id=\"tab-").raw(part);
        html.raw("\" data-part=\"").raw(part).raw("\" aria-controls=\"panel-").raw(part).raw("\" aria-selected=\"");
        html.raw(if at == 0 { "true\">" } else { "false\" tabindex=\"-1\">" });
        html.raw(part).raw("<span class=\"flag\"></span></button>");
    }
    html.raw("</div>");
    for (at, (part, what)) in PARTS.iter().enumerate() {
        html.raw("<div role=\"tabpanel\" class=\"pg-panel\" id=\"panel-").raw(part);
        html.raw("\" aria-labelledby=\"tab-").raw(part).raw("\"").raw(if at == 0 { ">" } else { " hidden>" });
        html.raw("<div class=\"pg-tools\"><p id=\"about-").raw(part).raw("\">").raw(what).raw("</p>");
        html.raw("<span class=\"pg-changed\"></span><button type=\"button\" class=\"quiet-button\" data-do=\"save\">Save…</button>");
        html.raw("<button type=\"button\" class=\"quiet-button\" data-do=\"reset\" disabled>");
        html.raw(if *part == "payload" { "Clear" } else { "Reset" }).raw("</button></div>");
        html.raw("<div class=\"code\"><div class=\"gutter\" aria-hidden=\"true\"><div class=\"marks\"></div><pre></pre></div><div class=\"pane\"><div class=\"bands\"></div><pre class=\"paint\" aria-hidden=\"true\"></pre>");
        html.raw(
            "<textarea wrap=\"off\" spellcheck=\"false\" autocomplete=\"off\" autocapitalize=\"off\" aria-label=\"",
        )
        .raw(part);
        html.raw("\" aria-describedby=\"about-").raw(part).raw(" mistakes\"></textarea></div></div></div>");
    }
    html.raw("<ol class=\"mistakes\" id=\"mistakes\" aria-live=\"polite\" aria-label=\"Mistakes\"></ol></section>");
}
