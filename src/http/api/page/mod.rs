//! Pages for people: plain HTML that loads nothing and runs nothing.

mod draw;
mod frame;
mod list;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;

use self::frame::{answer, open};
use super::Shared;
use super::query::Query;
use crate::html::number_text;
use crate::http::HttpError;
use crate::model::{Lang, MessageId};
use crate::render::words::pick;
use crate::store::StoreError;

/// Alerts on one page: what a phone scrolls through without trouble.
const ROWS: u32 = 10_000;

/// The page of one message: every alert that it told, from `?from=` (1 and up) on as many as fit a page.
pub(super) async fn message(
    State(rooms): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query, HttpError>,
) -> Response {
    let from = query.ok().and_then(|query| query.text("from")?.parse::<u64>().ok()).unwrap_or(1).max(1);
    let control = &rooms.api.control;
    let Some(id) = id.ok().and_then(|Path(id)| MessageId::parse(&id)) else { return missing(control.page("").0) };
    // Before the message is read: that is what takes the memory.
    let Ok(_turn) = rooms.drawing.acquire().await else { return failed(control.page("").0) };
    let slice = match rooms.api.store.message_slice(&id, from - 1, ROWS).await {
        Ok(slice) => slice,
        Err(StoreError::NotFound) => return missing(control.page("").0),
        Err(error) => {
            tracing::warn!(%error, "a message's page can not be shown");
            return failed(control.page("").0);
        }
    };
    let (lang, tz) = control.page(&slice.row.bot);
    let drawn = tokio::task::spawn_blocking(move || draw::draw(&slice, from, lang, &tz)).await;
    drawn.map_or_else(|_| failed(lang), |html| answer(StatusCode::OK, html))
}

fn missing(lang: Lang) -> Response {
    let why = pick(
        lang,
        "链接不完整，或消息已超过保留时间而被清理。",
        "The link is not complete, or the message is older than what is kept.",
    );
    plain(StatusCode::NOT_FOUND, lang, pick(lang, "没有这条消息", "There is no such message"), why)
}

fn failed(lang: Lang) -> Response {
    let why = pick(lang, "存储暂时不可用，请稍后再试。", "The store does not answer just now; try again.");
    plain(StatusCode::SERVICE_UNAVAILABLE, lang, pick(lang, "暂时无法显示", "It can not be shown now"), why)
}

fn plain(status: StatusCode, lang: Lang, title: &'static str, why: &'static str) -> Response {
    let mut html = open(lang, title);
    html.raw("<header><h1>").raw(title).raw("</h1>\n<p>").raw(why).raw("</p></header>\n");
    answer(status, html)
}

/// What a newcomer opens first.
pub(super) async fn index(State(rooms): State<Shared>) -> Response {
    let control = &rooms.api.control;
    let (lang, _) = control.page("");
    let (status, bots) = (control.status().await, control.bots().await);
    let prefix = rooms.api.prefix.as_str();
    let mut html = open(lang, "alarmbell");
    html.raw("<header><h1>alarmbell ").text(&status.version).raw("</h1>\n<p>");
    html.raw(pick(lang, "将 Alertmanager 的 webhook 指向", "Point an Alertmanager webhook at"));
    html.raw(" <code>")
        .text(prefix)
        .raw("/api/v1/webhook</code>")
        .raw(pick(lang, "。", "."))
        .raw("</p></header>\n<main>\n");
    if !bots.is_empty() {
        html.raw("<ul>\n");
        for bot in bots {
            html.raw("<li><b>").text(&bot.name).raw("</b> ").raw(bot.kind.map_or("", |kind| kind.as_str())).raw(" · ");
            match bot.up {
                true => html.raw(pick(lang, "正常", "up")),
                false => html.raw("<span class=\"bad\">").raw(pick(lang, "异常", "down")).raw("</span>"),
            };
            let waiting = number_text(bot.waiting_alerts);
            html.raw(" · ").raw(pick(lang, "等待 ", "waiting ")).text(&waiting).raw("\n");
        }
        html.raw("</ul>\n");
    }
    html.raw("<ul>\n");
    let links = [
        ("/api/v1/messages", "发送记录", "what was sent, newest first"),
        ("/api/v1/deliveries", "每条告警的投递状态", "where each alert stands"),
        ("/api/v1/dead-letters", "被拒收的告警", "alerts that a robot refused"),
        ("/api/v1/bots", "机器人状态与处理建议", "each bot, and what it needs"),
        ("/api/v1/status", "版本、配置与存储", "version, config, store"),
        ("/metrics", "Prometheus 指标", "for Prometheus"),
        ("/-/ready", "就绪检查", "whether webhooks are taken"),
    ];
    for (path, zh, en) in links {
        html.raw("<li><a href=\"").text(prefix).raw(path).raw("\">").raw(path).raw("</a> ").raw(pick(lang, zh, en));
        html.raw("\n");
    }
    html.raw("</ul>\n<p class=\"t\">").raw(pick(
        lang,
        "配置与模板说明见 README.md。",
        "Config and templates: README.md.",
    ));
    html.raw("</p>\n</main>\n");
    answer(StatusCode::OK, html)
}
