//! One robot's chat, as a person would see it.

use serde_json::Value;

use super::super::record::{Record, Stats};
use super::super::rules::{Member, Rules};
use super::message;
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

/// What stands around the messages of a chat.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// One chat of several.
    Many,
    /// The only chat on the page.
    Alone,
    /// Nothing that the vendor's app would not show.
    Bare,
}

pub(in super::super) const fn vendor_name(kind: BotKind) -> &'static str {
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

    pub(super) fn draw(&self, html: &mut Html, frame: Frame) {
        html.raw("<section class=\"chat v-").vendor(self.kind).raw("\" id=\"c-").vendor(self.kind).raw("-");
        html.text(&self.token).raw("\">");
        self.head(html, frame);
        html.raw("<div class=\"log\" tabindex=\"0\"><div class=\"log-inner\">");
        if self.shown.is_empty() {
            html.raw("<p class=\"nothing\" id=\"none-").vendor(self.kind).raw("-").text(&self.token);
            html.raw("\">No message yet.</p>");
        }
        let mut before: Option<i64> = None;
        for record in &self.shown {
            let gap = frame != Frame::Bare && before.is_none_or(|before| record.at_ms - before >= 300_000);
            before = Some(record.at_ms);
            self.message(html, record, gap, frame);
        }
        html.raw("</div></div>");
        if frame != Frame::Bare {
            self.foot(html);
        }
        html.raw("</section>");
    }

    fn head(&self, html: &mut Html, frame: Frame) {
        html.raw("<header class=\"chat-head\"><div><h2>").text(&self.name());
        if frame == Frame::Bare {
            html.raw("</h2></div></header>");
            return;
        }
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
        if frame == Frame::Many {
            html.raw("<a class=\"alone\" aria-label=\"This chat alone\" title=\"This chat alone\" href=\"/chat/");
            html.vendor(self.kind).raw("/").text(&self.token).raw("\">⤢</a>");
        }
        html.raw("</header>");
    }

    fn message(&self, html: &mut Html, record: &Record, gap: bool, frame: Frame) {
        html.raw("<article class=\"msg\" id=\"m").text(&record.seq.to_string()).raw("\">");
        if gap {
            html.raw("<p class=\"gap\">");
            time(html, record);
            html.raw("</p>");
        }
        html.raw("<div class=\"row\">");
        said(html, self.kind, record, &self.rules.members);
        if frame != Frame::Bare {
            self.meta(html, record);
        }
        html.raw("</div></div></article>");
    }

    /// Type, size, and the body as it came, folded.
    fn meta(&self, html: &mut Html, record: &Record) {
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
        html.raw("</details>");
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

/// The robot's picture and name, the message, whom it calls, and what the vendor ignored. Leaves one `div` open, for
/// what the page adds.
pub(super) fn said(html: &mut Html, kind: BotKind, record: &Record, members: &[Member]) {
    html.raw("<div class=\"avatar\">").raw(ROBOT).raw("</div><div class=\"said\"><div class=\"who\">");
    html.raw("<b>Alert robot</b><span class=\"badge\">");
    html.raw(if kind == BotKind::WeCom { "BOT" } else { "机器人" }).raw("</span>");
    time(html, record);
    html.raw("</div>");
    message::body(html, kind, record, members);
    if record.mentions.all || !record.mentions.ids.is_empty() {
        html.raw("<p class=\"calls\">🔔 notifies ");
        let all = record.mentions.all.then_some("everyone");
        let names = all.into_iter().chain(record.mentions.names.iter().map(String::as_str));
        html.text(&names.collect::<Vec<_>>().join(", ")).raw("</p>");
    }
    for warning in &record.warnings {
        html.raw("<p class=\"warning\">").sentence(warning).raw("</p>");
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
