//! What went wrong, as callers see it: the only place that knows statuses.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Query, Request};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::BodyError;
use crate::store::StoreError;
use crate::telemetry::redact;

/// Why a request was refused.
///
/// Alertmanager sends again on any 5xx within a flush, and never on a 4xx: so what may work later is `Unavailable`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ErrorKind {
    /// It can never work: 400.
    BadData,
    /// Who are you: 401.
    Unauthorized,
    /// Not enabled: 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// The body did not come in time: 408.
    Timeout,
    /// The body is larger than any that is taken: 413.
    TooLarge,
    /// The body is compressed: 415.
    UnsupportedMedia,
    /// A defect of ours: 500.
    Internal,
    /// It may work later: 503.
    Unavailable,
}

impl ErrorKind {
    /// The status, and the `errorType` word of Prometheus' form.
    const fn facts(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::UnsupportedMedia => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        self.facts().0
    }

    /// The `errorType` word.
    pub const fn as_str(self) -> &'static str {
        self.facts().1
    }
}

/// A refusal in Prometheus' form: `{"status":"error","errorType":"bad_data","error":"...","at":"..."}`.
///
/// Alertmanager copies the whole body into its log, so it is short, and secrets in it are masked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct HttpError {
    /// Why.
    pub kind: ErrorKind,
    /// What is wrong and what to do, in a sentence.
    pub message: Cow<'static, str>,
    /// The place in the body (`alerts[3].startsAt`); empty for all of it, and then left out.
    pub at: String,
    /// Whether the connection must end, because the rest of the request was not read.
    pub close: bool,
}

impl HttpError {
    /// A refusal of the whole request.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), at: String::new(), close: false }
    }

    /// The same, and the connection ends.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}

impl From<BodyError> for HttpError {
    fn from(error: BodyError) -> Self {
        Self { at: error.at.clone(), ..Self::new(ErrorKind::BadData, error.message) }
    }
}

impl From<StoreError> for HttpError {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::NotFound => ErrorKind::NotFound,
            StoreError::Unavailable(_) | StoreError::BacklogFull(_) | StoreError::Unusable(_) | StoreError::Fenced => {
                ErrorKind::Unavailable
            }
        };
        Self::new(kind, error.to_string())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    status: &'static str,
    error_type: &'static str,
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    at: &'a str,
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, error_type) = self.kind.facts();
        let error = redact(&self.message);
        let mut response = json(status, &Envelope { status: "error", error_type, error: &error, at: &self.at });
        let headers = response.headers_mut();
        if self.kind == ErrorKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A success in Prometheus' form: `{"status":"success","data":...}`.
pub fn success(data: impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Success<T> {
        status: &'static str,
        data: T,
    }
    json(StatusCode::OK, &Success { status: "success", data })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/json");
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
        // Only a map with keys that are not strings gets here.
        Err(error) => {
            tracing::error!(%error, "an answer can not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Query parameters; what can not be read is answered in our form, with the parameter's mistake named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(HttpError::new(ErrorKind::BadData, rejection.body_text())),
        }
    }
}

/// The answer to a path that does not exist.
pub(super) async fn not_found() -> HttpError {
    HttpError::new(ErrorKind::NotFound, "there is no such path")
}

/// The answer to a path that exists with other methods; the router adds `Allow`.
pub(super) async fn method_not_allowed(request: Request) -> HttpError {
    let message = match *request.method() {
        http::Method::GET | http::Method::HEAD => "this path does not take GET; webhooks are sent with POST",
        _ => "this path does not take this method; see Allow",
    };
    HttpError::new(ErrorKind::MethodNotAllowed, message)
}
