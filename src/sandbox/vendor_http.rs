//! The vendors' paths as axum handlers.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request as HttpRequest, State};
use axum::response::Response as HttpResponse;
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::reply::{Answer, Outcome};
use super::server::{CutConnection, Peer};
use super::{Request, Sandbox, vendor};
use crate::model::BotKind;

/// Bytes of a body that are read: room for WeCom's 2 MB picture in base64.
const BODY_MOST: usize = 3 << 20;
/// WeCom's largest upload is 20 MB.
const UPLOAD_MOST: usize = 21 << 20;
const BODY_TIME: Duration = Duration::from_secs(60);
/// How long a client waits at most for an answer that never comes.
const NEVER: Duration = Duration::from_secs(3_600);

pub(super) fn routes() -> Router<Sandbox> {
    Router::new()
        .route("/robot/send", any(dingtalk))
        .route("/cgi-bin/webhook/send", any(wecom))
        .route("/cgi-bin/webhook/upload_media", any(upload))
        .route("/open-apis/bot/v2/hook/{token}", any(feishu))
        .route("/open-apis/bot/v2/hook/{token}/", any(feishu))
}

async fn dingtalk(State(sandbox): State<Sandbox>, request: HttpRequest) -> HttpResponse {
    let token = query(&request, "access_token");
    send(sandbox, BotKind::DingTalk, token, request).await
}

async fn wecom(State(sandbox): State<Sandbox>, request: HttpRequest) -> HttpResponse {
    let token = query(&request, "key");
    send(sandbox, BotKind::WeCom, token, request).await
}

async fn feishu(State(sandbox): State<Sandbox>, Path(token): Path<String>, request: HttpRequest) -> HttpResponse {
    send(sandbox, BotKind::Feishu, Some(token), request).await
}

/// The first value of a query parameter, decoded once: `+` is a space, as in a form.
fn query(request: &HttpRequest, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or("");
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn peer(request: &HttpRequest) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0)
}

fn content_type(request: &HttpRequest) -> String {
    request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned()
}

enum Read {
    Whole(Bytes),
    TooLarge,
    Broken,
}

async fn read(body: Body, most: usize) -> Read {
    match tokio::time::timeout(BODY_TIME, Limited::new(body, most).collect()).await {
        Ok(Ok(whole)) => Read::Whole(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Read::TooLarge,
        Ok(Err(_)) | Err(_) => Read::Broken,
    }
}

async fn send(sandbox: Sandbox, kind: BotKind, token: Option<String>, request: HttpRequest) -> HttpResponse {
    let (timestamp, sign) = (query(&request, "timestamp"), query(&request, "sign"));
    let (ip, content_type) = (peer(&request), content_type(&request));
    let post = request.method() == Method::POST;
    let (body, oversize) = match read(request.into_body(), BODY_MOST).await {
        Read::Whole(body) => (body, false),
        Read::TooLarge => (Bytes::new(), true),
        Read::Broken => return cut(),
    };
    let outcome = sandbox.receive(
        kind,
        &Request {
            token: token.as_deref(),
            post,
            content_type: &content_type,
            timestamp: timestamp.as_deref(),
            sign: sign.as_deref(),
            body: &body,
            oversize,
            ip,
        },
    );
    drop(body);
    answer(&sandbox, outcome).await
}

async fn answer(sandbox: &Sandbox, outcome: Outcome) -> HttpResponse {
    let clock = &sandbox.0.clock;
    if !outcome.delay.is_zero() {
        clock.sleep_until(clock.mono() + outcome.delay).await;
    }
    match outcome.answer {
        Answer::Full(response) => {
            let mut answer = HttpResponse::new(Body::from(response.body));
            *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK);
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(response.content_type));
            for (name, value) in response.headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    answer.headers_mut().insert(name, value);
                }
            }
            answer
        }
        Answer::Cut => cut(),
        Answer::Never => {
            clock.sleep_until(clock.mono() + NEVER).await;
            cut()
        }
    }
}

/// A body that fails at once: on a server that does not know [`CutConnection`], the response breaks off.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::Error::other("cut on demand"))))
    }
}

fn cut() -> HttpResponse {
    let mut answer = HttpResponse::new(Body::new(Broken));
    answer.extensions_mut().insert(CutConnection);
    answer
}

async fn upload(State(sandbox): State<Sandbox>, request: HttpRequest) -> HttpResponse {
    let (ip, content_type) = (peer(&request), content_type(&request));
    let (key, kind) = (query(&request, "key"), query(&request, "type"));
    let post = request.method() == Method::POST;
    let body = match read(request.into_body(), UPLOAD_MOST).await {
        Read::Whole(body) => Some(body),
        Read::TooLarge => None,
        Read::Broken => return cut(),
    };
    let part = body.as_deref().map(|body| media_part(&content_type, body));
    let refuse = |code, text: &str| vendor::Refusal::new(0, code, text, "");
    let checked = match (post, kind.as_deref(), part) {
        (false, ..) => Err(refuse(43_002, "require POST method")),
        (_, None | Some(""), _) => Err(refuse(40_004, "invalid media type")),
        (_, Some(kind), _) if kind != "file" && kind != "voice" => Err(refuse(40_004, "invalid media type")),
        (_, _, None) => Err(refuse(45_001, "media size exceed limit")),
        (_, _, Some(None)) => Err(refuse(44_001, "empty media data")),
        (_, _, Some(Some(bytes))) if bytes <= 5 => Err(refuse(40_006, "invalid media size")),
        (_, Some("voice"), Some(Some(bytes))) if bytes > 2 << 20 => Err(refuse(45_007, "voice size exceed limit")),
        (_, Some(kind), _) => Ok(kind.to_owned()),
    };
    let outcome = sandbox.uploaded(key.as_deref(), checked, ip);
    answer(&sandbox, outcome).await
}

/// Bytes of the part named `media` that has a file name.
fn media_part(content_type: &str, body: &[u8]) -> Option<usize> {
    let (_, boundary) = content_type.strip_prefix("multipart/form-data")?.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let (start, end) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}"));
    let find = |haystack: &[u8], needle: &[u8]| haystack.windows(needle.len().max(1)).position(|at| at == needle);
    let mut rest = body.get(find(body, start.as_bytes())? + start.len()..)?;
    // A message of this API has one part; ten allow for fields around it.
    for _ in 0..10 {
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(rest.get(..head_end)?).into_owned();
        let data = rest.get(head_end + 4..)?;
        let size = find(data, end.as_bytes())?;
        if head.contains("name=\"media\"") && head.contains("filename=") {
            return Some(size);
        }
        rest = data.get(size + end.len() + 2..)?;
    }
    None
}
