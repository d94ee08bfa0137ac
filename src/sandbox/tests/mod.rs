#![allow(clippy::unwrap_used, clippy::panic)]

mod control;
mod faults;
mod playground;
mod rates;
mod signatures;
mod strict;
mod types;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Record, Rules, Sandbox, Stats};
use crate::clock::ManualClock;
use crate::model::BotKind;

/// The vectors' time: 1700000000 s.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;
pub(super) const JSON: &str = "application/json";

pub(super) struct Rig {
    pub(super) clock: Arc<ManualClock>,
    pub(super) sandbox: Sandbox,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    /// The vendor's code, whatever it calls it.
    pub(super) fn code(&self) -> i64 {
        let json = self.json();
        let code = ["errcode", "code", "StatusCode"].iter().find_map(|name| json.get(name)).unwrap();
        code.as_i64().or_else(|| code.as_str()?.parse().ok()).unwrap()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        let clock = ManualClock::new(jiff::Timestamp::from_millisecond(NOW_MS).unwrap());
        Self { sandbox: Sandbox::new(clock.clone(), false), clock }
    }

    /// A rig with one robot of each vendor, token `T`, without rate limits.
    pub(super) fn quick() -> Self {
        let rig = Self::new();
        for kind in BotKind::ALL {
            rig.set(kind, unlimited());
        }
        rig
    }

    pub(super) fn set(&self, kind: BotKind, rules: Rules) {
        self.sandbox.put_robot(kind, "T", rules).unwrap();
    }

    pub(super) async fn call(&self, method: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let response = self.sandbox.router().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Posts JSON to the robot `T`.
    pub(super) async fn send(&self, kind: BotKind, body: &str) -> Reply {
        self.call("POST", &super::address(kind, "T"), JSON, body.to_owned()).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "", "").await
    }

    pub(super) fn records(&self, kind: BotKind) -> Vec<Record> {
        self.sandbox.messages(kind, "T", 0, usize::MAX).unwrap()
    }

    pub(super) fn last(&self, kind: BotKind) -> Record {
        self.records(kind).pop().unwrap()
    }

    pub(super) fn stats(&self, kind: BotKind) -> Stats {
        self.sandbox.stats(kind, "T").unwrap()
    }

    pub(super) fn advance_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

pub(super) fn unlimited() -> Rules {
    Rules { rate_limits: Some(Vec::new()), ..Rules::default() }
}

/// A body that each vendor accepts.
pub(super) fn text(kind: BotKind, text: &str) -> String {
    let text = Value::from(text);
    match kind {
        BotKind::Feishu => format!(r#"{{"msg_type":"text","content":{{"text":{text}}}}}"#),
        _ => format!(r#"{{"msgtype":"text","text":{{"content":{text}}}}}"#),
    }
}
