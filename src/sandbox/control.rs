//! The control API under `/api/sandbox/`: rules, faults, and what arrived. Answers have the form
//! `{"status":"success","data":...}` or `{"status":"error","errorType":...,"error":...}`.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Fault, FaultKind, Sandbox};
use crate::model::BotKind;

/// Bytes of a request's body.
pub(super) const BODY_MOST: usize = 1 << 20;

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/api/sandbox/robots", get(robots))
        .route("/api/sandbox/robots/{vendor}/{token}", put(put_robot))
        .route("/api/sandbox/robots/{vendor}/{token}/messages", get(messages).delete(clear_messages))
        .route("/api/sandbox/robots/{vendor}/{token}/requests", get(requests))
        .route("/api/sandbox/robots/{vendor}/{token}/stats", get(stats))
        .route("/api/sandbox/robots/{vendor}/{token}/faults", post(add_fault).get(faults).delete(clear_faults))
        .route("/api/sandbox/reset", post(reset))
        .route("/api/sandbox/version", get(version))
        .merge(super::playground::api::routes())
        .layer(DefaultBodyLimit::max(BODY_MOST))
        .layer(from_fn(same_site))
}

/// A page of another site must not change the sandbox of the person who looks at it.
async fn same_site(request: Request, next: Next) -> Response {
    let foreign = request.headers().get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if foreign && request.method() != Method::GET {
        return Mistake::new(StatusCode::FORBIDDEN, "forbidden", "calls from other sites are refused").into_response();
    }
    next.run(request).await
}

pub(super) struct Mistake {
    status: StatusCode,
    kind: &'static str,
    text: String,
}

impl Mistake {
    pub(super) fn new(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Self {
        Self { status, kind, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", text)
    }

    fn unknown_robot() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no such robot; make it with PUT, or send it a message")
    }
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        let body = json!({"status": "error", "errorType": self.kind, "error": self.text});
        respond(self.status, body.to_string())
    }
}

fn respond(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) type Answer = Result<Response, Mistake>;

pub(super) fn success(data: impl Serialize) -> Answer {
    #[derive(Serialize)]
    struct Success<T> {
        status: &'static str,
        data: T,
    }
    match serde_json::to_string(&Success { status: "success", data }) {
        Ok(body) => Ok(respond(StatusCode::OK, body)),
        Err(error) => Err(Mistake::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())),
    }
}

/// The vendor named in a path.
pub(super) fn vendor(name: &str) -> Option<BotKind> {
    match name {
        "lark" => Some(BotKind::Feishu),
        name => BotKind::ALL.into_iter().find(|kind| kind.as_str() == name),
    }
}

fn robot_path((vendor_name, token): (String, String)) -> Result<(BotKind, String), Mistake> {
    let kind = vendor(&vendor_name)
        .ok_or_else(|| Mistake::bad(format!("{vendor_name:?} is none of dingtalk, wecom, feishu")))?;
    Ok((kind, token))
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Mistake> {
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let at = error.path().to_string();
        let place = if at == "." { String::new() } else { format!("{at}: ") };
        Mistake::bad(format!("{place}{}", error.into_inner()))
    })
}

async fn robots(State(sandbox): State<Sandbox>) -> Answer {
    success(sandbox.robots())
}

async fn put_robot(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>, body: Bytes) -> Answer {
    let (kind, token) = robot_path(path)?;
    let rules = if body.is_empty() { super::Rules::default() } else { read(&body)? };
    sandbox.put_robot(kind, &token, rules).map_err(Mistake::bad)?;
    success(json!({"path": super::address(kind, &token)}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    accepted: Option<bool>,
}

impl Page {
    fn read(query: Result<Query<Self>, axum::extract::rejection::QueryRejection>) -> Result<Self, Mistake> {
        query.map(|Query(page)| page).map_err(|error| {
            Mistake::bad(format!("{}; known are after, limit, accepted (true or false)", error.body_text()))
        })
    }
}

type PageQuery = Result<Query<Page>, axum::extract::rejection::QueryRejection>;

async fn messages(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>, query: PageQuery) -> Answer {
    let (kind, token) = robot_path(path)?;
    let page = Page::read(query)?;
    let all = sandbox.messages(kind, &token, page.after, usize::MAX).ok_or_else(Mistake::unknown_robot)?;
    let wanted = all.into_iter().filter(|record| page.accepted.is_none_or(|accepted| record.accepted == accepted));
    success(wanted.take(page.limit.unwrap_or(1_000)).collect::<Vec<_>>())
}

async fn requests(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>, query: PageQuery) -> Answer {
    let (kind, token) = robot_path(path)?;
    let page = Page::read(query)?;
    let limit = page.limit.unwrap_or(usize::MAX);
    let lines = sandbox.requests(kind, &token, page.after, limit).ok_or_else(Mistake::unknown_robot)?;
    success(lines)
}

async fn stats(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>) -> Answer {
    let (kind, token) = robot_path(path)?;
    success(sandbox.stats(kind, &token).ok_or_else(Mistake::unknown_robot)?)
}

async fn faults(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>) -> Answer {
    let (kind, token) = robot_path(path)?;
    let faults = sandbox.with_robot(kind, &token, |robot| robot.faults.clone());
    success(faults.ok_or_else(Mistake::unknown_robot)?)
}

async fn add_fault(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>, body: Bytes) -> Answer {
    let (kind, token) = robot_path(path)?;
    let fault: Fault = read(&body)?;
    if fault.latency_ms > 3_600_000 {
        return Err(Mistake::bad("latency_ms: at most one hour (3600000)"));
    }
    if fault.kind == FaultKind::Latency && fault.latency_ms == 0 {
        return Err(Mistake::bad("latency_ms: a `latency` fault needs it"));
    }
    if fault.count == Some(0) {
        return Err(Mistake::bad("count: at least 1; leave it out for \"until cleared\""));
    }
    sandbox.stats(kind, &token).ok_or_else(Mistake::unknown_robot)?;
    match sandbox.add_fault(kind, &token, fault) {
        true => success(()),
        false => Err(Mistake::bad("100 faults wait already; clear them first")),
    }
}

async fn clear_faults(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>) -> Answer {
    let (kind, token) = robot_path(path)?;
    match sandbox.clear_faults(kind, &token) {
        true => success(()),
        false => Err(Mistake::unknown_robot()),
    }
}

async fn clear_messages(State(sandbox): State<Sandbox>, Path(path): Path<(String, String)>) -> Answer {
    let (kind, token) = robot_path(path)?;
    match sandbox.clear_messages(kind, &token) {
        true => success(()),
        false => Err(Mistake::unknown_robot()),
    }
}

async fn reset(State(sandbox): State<Sandbox>) -> Answer {
    sandbox.reset();
    success(())
}

async fn version(State(sandbox): State<Sandbox>) -> Answer {
    success(json!({"version": sandbox.version()}))
}
