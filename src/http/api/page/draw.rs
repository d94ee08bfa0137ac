//! The page of one message.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::frame::open;
use super::list::{Group, Level, List, Section, Shared, told};
use crate::html::{Html, number_text};
use crate::http::api::view::moment;
use crate::model::{How, Lang, Status, ToldAlert};
use crate::render::words::{self, pick};
use crate::store::MessageSlice;

/// With more alerts than this, headings of several rows start folded: so their names and numbers fit a few screens.
const OPEN: usize = 100;
/// Rows that a browser lays out together, when they come into sight.
const CHUNK: usize = 50;
/// How far the way back leads.
const ROWS_BEFORE: usize = super::ROWS as usize;

struct Page<'a> {
    lang: Lang,
    tz: &'a TimeZone,
    /// When the message was sent; durations count until then.
    sent: Timestamp,
    /// Rows of this kind are marked; the others are the most.
    marked: Option<How>,
    /// Whether headings start open.
    opened: bool,
    list: List<'a>,
    turns: Turns,
}

/// Draws it: the state of the alerts as the message told it, from the `from`th (1 and up) on.
pub(super) fn draw(slice: &MessageSlice, from: u64, lang: Lang, tz: &TimeZone) -> Html {
    let MessageSlice { row, named, counted } = slice;
    let list = List::new(&row.alerts);
    let (named, counted) = (shown(*named), shown(*counted));
    let turns = Turns { from: shown(from), here: row.alerts.len(), all: named.saturating_add(counted) };
    let marked = match (named, counted) {
        (_, 0) | (0, _) => None,
        (named, counted) if named < counted => Some(How::Named),
        _ => Some(How::Counted),
    };
    let sent = moment(row.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let headings = numbered(&list.sections).map(|(.., level)| level.groups.len()).sum::<usize>();
    let opened = row.alerts.len() <= OPEN || headings == 1;
    let page = Page { lang, tz, sent, marked, opened, list, turns };
    let title = page.title();
    let mut html = open(lang, &title);
    html.raw("<header><h1>").text(&title).raw("</h1>\n<p>").text(&row.bot).raw(" · ").text(&page.sent_text());
    html.raw("</p>\n");
    page.note(&mut html, &row.verdict, (named, counted));
    page.turns(&mut html);
    page.links(&mut html);
    html.raw("</header>\n<main>\n");
    if page.turns.all == 0 {
        html.raw("<pre>").text(&row.text).raw("</pre>\n");
    }
    for (at, section) in page.list.sections.iter().enumerate() {
        page.section(&mut html, at, section);
    }
    page.turns(&mut html);
    html.raw("</main>\n");
    html
}

/// A number to be shown.
fn shown(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Which of a message's alerts a page holds.
struct Turns {
    /// The first, from 1.
    from: usize,
    here: usize,
    all: usize,
}

/// A class for the levels that everybody knows.
fn tone(status: Status, level: &str) -> &'static str {
    match (status, level) {
        (Status::Resolved, _) => "resolved",
        (_, "critical") => "critical",
        (_, "error") => "error",
        (_, "warning") => "warning",
        (_, "info") => "info",
        _ => "other",
    }
}

fn status_word(lang: Lang, status: Status) -> &'static str {
    match status {
        Status::Firing => pick(lang, "告警中", "firing"),
        Status::Resolved => pick(lang, "已恢复", "resolved"),
    }
}

impl Page<'_> {
    fn title(&self) -> String {
        let part = |section: &Section<'_>| {
            let (count, word) = (number_text(section.len()), status_word(self.lang, section.status));
            match self.lang {
                Lang::Zh => format!("{word} {count} 条"),
                Lang::En => format!("{count} {word}"),
            }
        };
        if self.turns.here < self.turns.all {
            // The states of the others are on other pages.
            return format!("{}{}", number_text(self.turns.all), pick(self.lang, " 条告警", " alerts"));
        }
        let parts: Vec<String> = self.list.sections.iter().map(part).collect();
        match parts.is_empty() {
            true => pick(self.lang, "通知", "Notice").to_owned(),
            false => parts.join(pick(self.lang, "，", ", ")),
        }
    }

    /// `2026-05-01 10:02:03 Asia/Shanghai`
    fn sent_text(&self) -> String {
        let at = self.sent.to_zoned(self.tz.clone());
        let zone = self.tz.iana_name().map_or_else(|| format!("UTC{}", at.offset()), str::to_owned);
        format!("{} {zone}", at.strftime("%Y-%m-%d %H:%M:%S"))
    }

    fn note(&self, html: &mut Html, verdict: &str, (named, counted): (usize, usize)) {
        let lang = self.lang;
        match verdict {
            "delivered" => {}
            "" => {
                html.raw("<p>").raw(pick(lang, "正在发送。", "It is being sent.")).raw("</p>\n");
            }
            _ => {
                html.raw("<p class=\"bad\">");
                html.raw(pick(lang, "群机器人未确认收到这条消息（", "The chat's robot did not confirm this message ("));
                html.text(verdict).raw(pick(lang, "）。", ").")).raw("</p>\n");
            }
        }
        if named + counted > 0 {
            let (all, named, counted) = (number_text(named + counted), number_text(named), number_text(counted));
            let how = match (lang, counted.as_str(), named.as_str()) {
                (_, "0", _) => String::new(),
                (Lang::Zh, _, "0") => format!("群消息只统计了这 {all} 条的数量。"),
                (Lang::En, _, "0") => format!("The message only counted these {all}. "),
                (Lang::Zh, ..) => format!("群消息列出 {named} 条，其余 {counted} 条只计入数量。"),
                (Lang::En, ..) => format!("The message named {named} and counted {counted}. "),
            };
            html.raw("<p>").text(&how);
            html.raw(pick(lang, "以下为发送时的状态。", "States are those of the time it was sent.")).raw("</p>\n");
        }
        if !self.list.shared.is_empty() {
            labels(html, &self.list.shared);
        }
    }

    /// Ways to the pages before and behind, when the message told more than this one holds.
    fn turns(&self, html: &mut Html) {
        let Turns { from, here, all } = self.turns;
        if here >= all {
            return;
        }
        let behind = from.saturating_add(here);
        let all_text = number_text(all);
        let (first, last) = (number_text(from), number_text(behind - 1));
        html.raw("<p class=t>").text(&match (here, self.lang) {
            (0, Lang::Zh) => format!("共 {all_text} 条。"),
            (0, Lang::En) => format!("{all_text} in all."),
            (_, Lang::Zh) => format!("第 {first}–{last} 条，共 {all_text} 条。"),
            (_, Lang::En) => format!("{first} to {last} of {all_text}."),
        });
        html.raw("</p>\n<nav>");
        if from > 1 {
            let before = from.min(all.saturating_add(1)).saturating_sub(ROWS_BEFORE).max(1);
            html.raw("<a href=\"?from=").text(&before.to_string()).raw("\">");
            html.raw(pick(self.lang, "← 上一页", "← before")).raw("</a>");
        }
        if here > 0 && behind <= all {
            html.raw("<a href=\"?from=").text(&behind.to_string()).raw("\">");
            html.raw(pick(self.lang, "下一页 →", "more →")).raw("</a>");
        }
        html.raw("</nav>\n");
    }

    /// Ways down, when there is a way to go.
    fn links(&self, html: &mut Html) {
        let levels: Vec<(usize, usize, &Section<'_>, &Level<'_>)> = numbered(&self.list.sections).collect();
        if levels.len() < 2 {
            return;
        }
        html.raw("<nav>");
        let mut resolved = false;
        for (s, l, section, level) in levels {
            let over = section.status == Status::Resolved;
            if std::mem::replace(&mut resolved, over) && over {
                continue;
            }
            html.raw("<a class=\"").raw(tone(section.status, level.name)).raw("\" href=\"#");
            anchor(html, s, l).raw("\">");
            match over {
                true => html.raw(status_word(self.lang, section.status)).raw(" ").number(section.len()),
                false => html.text(&words::severity(self.lang, level.name)).raw(" ").number(level.len()),
            };
            html.raw("</a>");
        }
        html.raw("</nav>\n");
    }

    fn section(&self, html: &mut Html, at: usize, section: &Section<'_>) {
        html.raw("<h2>").raw(match section.status {
            Status::Firing => pick(self.lang, "告警中", "Firing"),
            Status::Resolved => pick(self.lang, "已恢复", "Resolved"),
        });
        html.raw("<small>").number(section.len()).raw("</small></h2>\n");
        for (l, level) in section.levels.iter().enumerate() {
            html.raw("<h3 class=\"").raw(tone(section.status, level.name)).raw("\" id=\"");
            anchor(html, at, l).raw("\">").text(&words::severity(self.lang, level.name));
            html.raw("<small>").number(level.len()).raw("</small></h3>\n");
            for groups in level.groups.chunks(CHUNK) {
                html.raw(if groups.len() == CHUNK { "<div class=\"c\">\n" } else { "<div>\n" });
                for group in groups {
                    self.group(html, group, tone(section.status, level.name));
                }
                html.raw("</div>\n");
            }
        }
    }

    fn group(&self, html: &mut Html, group: &Group<'_>, tone: &'static str) {
        if let [row] = group.rows.as_slice() {
            html.raw("<div class=\"g ").raw(tone).raw("\"><b>");
            self.name(html, group, row).raw("</b>");
            self.row(html, group, row);
            html.raw("</div>\n");
            return;
        }
        let Some(first) = group.rows.first() else { return };
        html.raw("<details class=\"g ").raw(tone).raw(if self.opened { "\" open>" } else { "\">" }).raw("<summary><b>");
        self.name(html, group, first).raw("</b><small>×").number(group.rows.len()).raw("</small></summary>\n");
        labels(html, &group.shared);
        if !group.summary.is_empty() {
            html.raw("<p class=\"s\">").text(group.summary).raw("</p>");
        }
        for rows in group.rows.chunks(CHUNK) {
            html.raw(if rows.len() == CHUNK { "<ol class=\"c\">\n" } else { "<ol>\n" });
            for row in rows {
                html.raw("<li>");
                self.row(html, group, row);
                // Its end tag may be left out, and so the page is smaller.
                html.raw("\n");
            }
            html.raw("</ol>");
        }
        html.raw("</details>\n");
    }

    fn name<'h>(&self, html: &'h mut Html, group: &Group<'_>, row: &ToldAlert) -> &'h mut Html {
        match (group.name, group.rows.len()) {
            ("", 1) => html.text(&row.fingerprint.to_string()),
            ("", _) => html.raw(pick(self.lang, "（无名）", "(no name)")),
            (name, _) => html.text(name),
        }
    }

    fn row(&self, html: &mut Html, group: &Group<'_>, row: &ToldAlert) {
        let known = |name: &str| group.shared.contains_key(name) || self.list.shared.contains_key(name);
        let own: Shared<'_> = told(row).filter(|(name, _)| !known(name)).collect();
        labels(html, &own);
        if group.summary.is_empty() && !row.summary.is_empty() {
            html.raw("<p class=s>").text(&row.summary);
        }
        html.raw("<p class=t>").text(&self.when(row));
        if self.marked == Some(row.how) {
            html.raw("<em>").raw(match row.how {
                How::Named => pick(self.lang, "已列出", "named"),
                How::Counted => pick(self.lang, "仅计数", "counted"),
            });
            html.raw("</em>");
        }
    }

    /// When it began, and when it ended or for how long it had fired by then.
    fn when(&self, row: &ToldAlert) -> String {
        let at = |time| words::time(time, self.sent, self.tz);
        let lasted = |from: Timestamp, to: Timestamp| words::duration(self.lang, to.as_second() - from.as_second());
        let start = moment(row.starts_ms);
        let end = moment(row.ends_ms).filter(|_| row.status == Status::Resolved);
        match (start, end, self.lang) {
            (Some(start), Some(end), Lang::Zh) => {
                format!("{}–{}，持续 {}", at(start), at(end), lasted(start, end))
            }
            (Some(start), Some(end), Lang::En) => {
                format!("{}–{}, lasted {}", at(start), at(end), lasted(start, end))
            }
            (Some(start), None, Lang::Zh) if row.status == Status::Firing => {
                format!("{} 起，已 {}", at(start), lasted(start, self.sent))
            }
            (Some(start), None, Lang::En) if row.status == Status::Firing => {
                format!("since {}, for {}", at(start), lasted(start, self.sent))
            }
            (Some(start), None, lang) => format!("{} {}", pick(lang, "开始于", "since"), at(start)),
            (None, Some(end), lang) => format!("{} {}", pick(lang, "恢复于", "resolved"), at(end)),
            (None, None, _) => String::new(),
        }
    }
}

/// All levels with the positions that make their anchors.
fn numbered<'l, 'a>(
    sections: &'l [Section<'a>],
) -> impl Iterator<Item = (usize, usize, &'l Section<'a>, &'l Level<'a>)> {
    sections
        .iter()
        .enumerate()
        .flat_map(|(s, section)| section.levels.iter().enumerate().map(move |(l, level)| (s, l, section, level)))
}

fn anchor(html: &mut Html, section: usize, level: usize) -> &mut Html {
    html.raw("s").number(section).raw("-").number(level)
}

fn labels(html: &mut Html, labels: &Shared<'_>) {
    if labels.is_empty() {
        return;
    }
    html.raw("<div class=l>");
    for (name, value) in labels {
        html.raw("<b><i>").text(name).raw("</i>").text(value).raw("</b>\n");
    }
    html.raw("</div>");
}
