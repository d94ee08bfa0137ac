//! One robot's chat, as a person would see it.

use serde_json::Value;

use super::super::record::{Record, Stats};
use super::super::rules::Rules;
use super::card;
use super::html::link;
use super::markdown::{Flavour, People, draw, image, plain};
use crate::html::Html;
use crate::model::BotKind;

/// What the page needs of one robot.
pub(super) struct Chat {
    pub(super) kind: BotKind,
    pub(super) token: String,
    pub(super) rules: std::sync::Arc<Rules>,
    pub(super) stats: Stats,
    /// Shown messages, oldest first.
    pub(super) shown: Vec<Record>,
    /// Refused messages, newest first.
    pub(super) refused: Vec<Record>,
    /// Faults that wait.
    pub(super) faults: usize,
}

pub(super) const fn vendor_name(kind: BotKind) -> &'static str {
    match kind {
        BotKind::DingTalk => "DingTalk",
        BotKind::WeCom => "WeCom",
        BotKind::Feishu => "Feishu",
    }
}

/// The robot's picture; drawn here, loaded from nowhere.
const ROBOT: &str = "<svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><rect x=\"4.5\" y=\"8\" width=\"15\" height=\"11\" rx=\"3\"/><circle cx=\"9.3\" cy=\"13\" r=\"1.5\"/><circle cx=\"14.7\" cy=\"13\" r=\"1.5\"/><path d=\"M12 8V4.6M9.5 16.4h5\"/><circle cx=\"12\" cy=\"3.9\" r=\"1.1\"/></svg>";

impl Chat {
    /// The group's name, or one made up from the token.
    fn name(&self) -> String {
        if self.rules.name.is_empty() { format!("告警群 {}", shorten(&self.token)) } else { self.rules.name.clone() }
    }

    pub(super) fn draw_tab(&self, html: &mut Html) {
        html.raw("<a class=\"tab v-").vendor(self.kind).raw("\" href=\"#c-").vendor(self.kind).raw("-");
        html.text(&self.token).raw("\">").text(&self.name()).raw("</a>");
    }

    pub(super) fn draw(&self, html: &mut Html, alone: bool) {
        html.raw("<section class=\"chat v-").vendor(self.kind).raw("\" id=\"c-").vendor(self.kind).raw("-");
        html.text(&self.token).raw("\">");
        self.head(html, alone);
        html.raw("<div class=\"log\" tabindex=\"0\"><div class=\"log-inner\">");
        if self.shown.is_empty() {
            html.raw("<p class=\"nothing\" id=\"none-").vendor(self.kind).raw("-").text(&self.token);
            html.raw("\">No message yet.</p>");
        }
        let mut before: Option<i64> = None;
        for record in &self.shown {
            let gap = before.is_none_or(|before| record.at_ms - before >= 300_000);
            before = Some(record.at_ms);
            self.message(html, record, gap);
        }
        html.raw("</div></div>");
        self.foot(html);
        html.raw("</section>");
    }

    fn head(&self, html: &mut Html, alone: bool) {
        html.raw("<header class=\"chat-head\"><div><h2>").text(&self.name());
        html.raw("</h2><p class=\"sub\">").raw(vendor_name(self.kind)).raw(" · ");
        html.number(self.stats.accepted).raw(if self.stats.accepted == 1 { " message" } else { " messages" });
        for window in &self.stats.windows {
            html.raw(" · <span title=\"The fullest window so far, refused calls too\">peak ");
            html.number(window.max).raw("/").number(window.messages).raw(" in ");
            html.text(&period(window.per_ms)).raw("</span>");
        }
        if self.faults > 0 {
            html.raw(" · <span class=\"fault\">faults on demand</span>");
        }
        html.raw("</p></div>");
        if !alone {
            html.raw("<a class=\"alone\" aria-label=\"This chat alone\" title=\"This chat alone\" href=\"/chat/");
            html.vendor(self.kind).raw("/").text(&self.token).raw("\">⤢</a>");
        }
        html.raw("</header>");
    }

    fn message(&self, html: &mut Html, record: &Record, gap: bool) {
        html.raw("<article class=\"msg\" id=\"m").text(&record.seq.to_string()).raw("\">");
        if gap {
            html.raw("<p class=\"gap\">");
            time(html, record);
            html.raw("</p>");
        }
        html.raw("<div class=\"row\"><div class=\"avatar\">")
            .raw(ROBOT)
            .raw("</div><div class=\"said\"><div class=\"who\">");
        html.raw("<b>Alert robot</b><span class=\"badge\">");
        html.raw(if self.kind == BotKind::WeCom { "BOT" } else { "机器人" }).raw("</span>");
        time(html, record);
        html.raw("</div>");
        self.body(html, record);
        if record.mentions.all || !record.mentions.ids.is_empty() {
            html.raw("<p class=\"calls\">🔔 notifies ");
            let all = record.mentions.all.then_some("everyone");
            let names = all.into_iter().chain(record.mentions.names.iter().map(String::as_str));
            html.text(&names.collect::<Vec<_>>().join(", ")).raw("</p>");
        }
        for warning in &record.warnings {
            html.raw("<p class=\"warning\">").sentence(warning).raw("</p>");
        }
        html.raw("<details class=\"meta\"><summary>").text(&record.msgtype);
        if record.limit > 0 {
            html.raw(" · ").number(record.bytes).raw(" / ").number(record.limit).raw(" bytes");
        }
        if !record.fault.is_empty() {
            html.raw(" · <span class=\"fault\">").text(record.fault).raw("</span>");
        }
        html.raw("</summary>");
        if self.kind == BotKind::DingTalk && !record.title.is_empty() {
            html.raw("<p>Push preview: ").text(&record.title).raw("</p>");
        }
        raw(html, record);
        html.raw("</details></div></div></article>");
    }

    fn body(&self, html: &mut Html, record: &Record) {
        let json: Value = serde_json::from_str(&record.raw).unwrap_or(Value::Null);
        let people = People { mentions: &record.mentions, members: &self.rules.members };
        match self.kind {
            BotKind::DingTalk => dingtalk(html, &json, record, people),
            BotKind::WeCom => wecom(html, &json, record, people),
            BotKind::Feishu => feishu(html, &json, record, people),
        }
    }

    /// Where a chat has its input line: what the robot refused.
    fn foot(&self, html: &mut Html) {
        let refused = self.stats.refusals();
        if refused == 0 {
            html.raw("<footer class=\"foot ok\"><p>Nothing was refused.</p></footer>");
            return;
        }
        html.raw("<footer class=\"foot\"><details class=\"refused\"><summary><span class=\"count\">");
        html.number(refused).raw(" refused</span><span class=\"last\">");
        if let Some(last) = self.refused.first() {
            html.sentence(&last.reason);
        }
        html.raw("</span></summary><ol>");
        for record in &self.refused {
            html.raw("<li id=\"m").text(&record.seq.to_string()).raw("\"><div class=\"why\">").sentence(&record.reason);
            html.raw("</div><div class=\"code\">");
            time(html, record);
            html.raw(" <code>");
            if record.code != 0 {
                html.text(&record.code.to_string()).raw(" ");
            }
            html.text(&record.errmsg).raw("</code></div>");
            if !record.title.is_empty() {
                html.raw("<div class=\"what\">").text(&record.title).raw("</div>");
            }
            html.raw("<details class=\"meta\"><summary>").text(&record.msgtype).raw(" · ");
            html.number(record.bytes).raw(" bytes</summary>");
            raw(html, record);
            html.raw("</details></li>");
        }
        html.raw("</ol></details></footer>");
    }
}

fn time(html: &mut Html, record: &Record) {
    let clock = record.at.get(11..19).unwrap_or("");
    html.raw("<time datetime=\"").text(&record.at).raw("\" title=\"").text(&record.at).raw("\">");
    html.text(clock).raw(" UTC</time>");
}

fn raw(html: &mut Html, record: &Record) {
    let pretty = serde_json::from_str::<Value>(&record.raw).ok();
    let pretty = pretty.and_then(|json| serde_json::to_string_pretty(&json).ok());
    html.raw("<pre>").text(pretty.as_deref().unwrap_or(&record.raw)).raw("</pre>");
}

fn shorten(token: &str) -> String {
    if token.chars().count() <= 14 { token.to_owned() } else { token.chars().take(8).chain(['…']).collect() }
}

fn period(ms: u64) -> String {
    match ms {
        60_000 => "1 min".to_owned(),
        ms if ms % 60_000 == 0 => format!("{} min", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{} s", ms / 1_000),
        ms => format!("{ms} ms"),
    }
}

fn string<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
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
        "actionCard" => {
            html.raw("<div class=\"bubble md\">");
            draw(html, Flavour::DingTalk, people, &record.text);
            let single = (string(json, "/actionCard/singleTitle"), string(json, "/actionCard/singleURL"));
            let across = single.0.is_empty() && string(json, "/actionCard/btnOrientation") == "1";
            html.raw(if across { "<div class=\"actions across\">" } else { "<div class=\"actions\">" });
            let buttons = list(json, "/actionCard/btns");
            let buttons = buttons.iter().map(|button| (string(button, "/title"), string(button, "/actionURL")));
            let single = (!single.0.is_empty()).then_some(single);
            let several = single.is_none().then_some(buttons).into_iter().flatten();
            for (title, address) in single.into_iter().chain(several) {
                link(html, address, "action", |html| {
                    html.text(title);
                });
            }
            html.raw("</div></div>");
        }
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

fn wecom(html: &mut Html, json: &Value, record: &Record, people: People<'_>) {
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
        "template_card" => template_card(html, json.get("template_card").unwrap_or(&Value::Null)),
        other => {
            html.raw("<p class=\"quiet\">[").text(other).raw("]</p>");
        }
    }
    html.raw("</div>");
}

fn template_card(html: &mut Html, card: &Value) {
    html.raw("<div class=\"h h4\">").text(string(card, "/main_title/title")).raw("</div>");
    for path in ["/main_title/desc", "/emphasis_content/title", "/quote_area/quote_text", "/sub_title_text"] {
        if !string(card, path).is_empty() {
            html.raw("<div class=\"quiet\">").text(string(card, path)).raw("</div>");
        }
    }
    html.raw("<dl>");
    for row in list(card, "/horizontal_content_list") {
        html.raw("<dt>").text(string(row, "/keyname")).raw("</dt><dd>").text(string(row, "/value")).raw("</dd>");
    }
    html.raw("</dl>");
    for jump in list(card, "/jump_list") {
        html.raw("<p>");
        link(html, string(jump, "/url"), "", |html| {
            html.text(string(jump, "/title"));
        });
        html.raw("</p>");
    }
}

fn feishu(html: &mut Html, json: &Value, record: &Record, people: People<'_>) {
    let null = Value::Null;
    let content = json.get("content").unwrap_or(&null);
    match record.msgtype.as_str() {
        "interactive" => card::card(html, json.get("card").unwrap_or(&null), people),
        "post" => card::post(html, content, people),
        "text" => card::text(html, content, people),
        other => {
            html.raw("<div class=\"bubble\"><p class=\"quiet\">[").text(other).raw("]</p></div>");
        }
    }
}
