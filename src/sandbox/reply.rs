//! How a decision becomes an answer on the wire.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::fault::{FaultKind, html_page};
use super::robot::{Arrival, Decision};
use super::rules::Rules;
use super::vendor::Refusal;
use crate::model::BotKind;

/// What happens to the connection.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Answer {
    /// A complete response.
    Full(Response),
    /// The connection is closed without one.
    Cut,
    /// Nothing, until the client gives up.
    Never,
}

/// A response before it is an HTTP one.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// An answer, and how long to wait before it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Outcome {
    pub(super) answer: Answer,
    pub(super) delay: Duration,
}

impl Outcome {
    fn now(response: Response) -> Self {
        Self { answer: Answer::Full(response), delay: Duration::ZERO }
    }
}

pub(super) fn wrong_method(kind: BotKind) -> Refusal {
    let reason = "the request is not a POST";
    match kind {
        BotKind::DingTalk => Refusal::new(1, 43_002, "需要POST请求", reason),
        BotKind::WeCom => Refusal::new(1, 43_002, "require POST method", reason),
        BotKind::Feishu => Refusal { status: 405, ..Refusal::new(1, 405, "Method Not Allowed", reason) },
    }
}

pub(super) fn no_token(kind: BotKind) -> Refusal {
    let reason = "the address has no token";
    match kind {
        BotKind::DingTalk => Refusal::new(2, 40_035, "缺少参数 access_token", reason),
        BotKind::WeCom => Refusal::new(2, 93_000, "invalid webhook url", reason),
        BotKind::Feishu => Refusal::new(2, 19_001, "param invalid: incoming webhook access token invalid", reason),
    }
}

fn json_response(status: u16, content_type: &'static str, body: &Value) -> Response {
    Response { status, content_type, headers: Vec::new(), body: body.to_string() }
}

/// WeCom repeats code and text in headers, where only visible ASCII can stand.
fn wecom(code: i64, text: String) -> Response {
    let ascii: String = text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    Response {
        headers: vec![("Error-Code", code.to_string()), ("Error-Msg", ascii)],
        ..json_response(200, "application/json; charset=UTF-8", &json!({"errcode": code, "errmsg": text}))
    }
}

fn accepted(kind: BotKind, rules: &Rules) -> Response {
    match kind {
        BotKind::DingTalk if rules.switches.errcode_as_string => {
            json_response(200, "application/json", &json!({"errcode": "0", "errmsg": "ok"}))
        }
        BotKind::DingTalk => json_response(200, "application/json", &json!({"errcode": 0, "errmsg": "ok"})),
        BotKind::WeCom => wecom(0, "ok".to_owned()),
        BotKind::Feishu => {
            let body = match rules.switches.legacy_success {
                true => json!({"Extra": null, "StatusCode": 0, "StatusMessage": "success"}),
                false => json!({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}),
            };
            json_response(200, "application/json; charset=utf-8", &body)
        }
    }
}

fn refusal_response(kind: BotKind, rules: Option<&Rules>, refusal: &Refusal, ip: IpAddr, at: &Arrival) -> Response {
    let Refusal { code, text, status, .. } = refusal;
    match kind {
        BotKind::DingTalk => {
            let code = match rules.is_some_and(|rules| rules.switches.errcode_as_string) {
                true => json!(code.to_string()),
                false => json!(code),
            };
            json_response(*status, "application/json", &json!({"errcode": code, "errmsg": text}))
        }
        BotKind::WeCom => {
            let hint = format!("{}{:09}", at.now_ms / 1_000, at.seq % 1_000_000_000);
            let more = "more info at https://open.work.weixin.qq.com/devtool/query?e=";
            wecom(*code, format!("{text}, hint: [{hint}], from ip: {ip}, {more}{code}"))
        }
        BotKind::Feishu => {
            let body = json!({"code": code, "data": {}, "msg": text});
            json_response(*status, "application/json; charset=utf-8", &body)
        }
    }
}

/// A refusal without a robot behind it.
pub(super) fn refused(kind: BotKind, rules: Option<&Rules>, refusal: Refusal, ip: IpAddr, at: &Arrival) -> Outcome {
    Outcome::now(refusal_response(kind, rules, &refusal, ip, at))
}

/// WeCom's answer to an upload; `created_at` is a string of seconds.
pub(super) fn uploaded(kind: &str, id: &str, now_ms: i64) -> Outcome {
    let created = (now_ms / 1_000).to_string();
    let body = json!({"errcode": 0, "errmsg": "ok", "type": kind, "media_id": id, "created_at": created});
    Outcome::now(json_response(200, "application/json; charset=UTF-8", &body))
}

fn html(status: u16) -> Response {
    Response { status, content_type: "text/html; charset=utf-8", headers: Vec::new(), body: html_page(status) }
}

/// A robot's decision, with its fault applied.
pub(super) fn decided(kind: BotKind, rules: &Rules, decision: Decision, ip: IpAddr, at: &Arrival) -> Outcome {
    let usual = match &decision.verdict {
        Ok(()) => accepted(kind, rules),
        Err(refusal) => refusal_response(kind, Some(rules), refusal, ip, at),
    };
    let Some(fault) = decision.fault else { return Outcome::now(usual) };
    let answer = match fault.kind {
        FaultKind::Latency | FaultKind::Busy | FaultKind::Misconfigured | FaultKind::RateLimited => Answer::Full(usual),
        FaultKind::Timeout | FaultKind::TimeoutBefore => Answer::Never,
        FaultKind::CutBefore | FaultKind::CutAfter => Answer::Cut,
        FaultKind::Http500 => Answer::Full(html(500)),
        FaultKind::Http502 => Answer::Full(html(502)),
        FaultKind::Http503 => Answer::Full(html(503)),
        FaultKind::Http504 => Answer::Full(html(504)),
        FaultKind::Http429 => Answer::Full(html(429)),
        FaultKind::Html => Answer::Full(html(200)),
        FaultKind::Status1111 => {
            let body = json!({"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": format!("{:032x}", at.seq)});
            Answer::Full(json_response(200, "application/json", &body))
        }
        FaultKind::Empty => Answer::Full(Response { body: String::new(), ..usual }),
        FaultKind::CutJson => {
            let body: String = usual.body.chars().take(usual.body.chars().count() / 2).collect();
            Answer::Full(Response { body, ..usual })
        }
    };
    Outcome { answer, delay: Duration::from_millis(fault.latency_ms) }
}
