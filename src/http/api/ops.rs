//! For those who run it: metrics, health, reload, status.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header;
use prometheus::TextEncoder;
use tokio::time::timeout;

use super::Shared;
use super::view::{BotsAnswer, StatusAnswer};
use crate::http::{ErrorKind, HttpError, success};

/// How long the store may take to commit before we are not ready. Probes wait 1 s or longer.
const PATIENCE: Duration = Duration::from_secs(2);
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Prometheus' text format 0.0.4. Collectors read files and take locks, so it is done off the threads that serve.
pub(super) async fn metrics(State(rooms): State<Shared>) -> Result<Response, HttpError> {
    rooms.api.control.before_scrape().await;
    let registry = rooms.api.registry.clone();
    let text = tokio::task::spawn_blocking(move || TextEncoder::new().encode_to_string(&registry.gather())).await;
    match text {
        Ok(Ok(text)) => Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()),
        Ok(Err(error)) => Err(defect(&error)),
        Err(error) => Err(defect(&error)),
    }
}

fn defect(error: &dyn std::error::Error) -> HttpError {
    tracing::error!(%error, "the metrics can not be written");
    HttpError::new(ErrorKind::Internal, "the metrics can not be written; see the log")
}

/// The process runs.
pub(super) async fn healthy() -> Response {
    ([(header::CONTENT_TYPE, TEXT)], "alarmbell is healthy.\n").into_response()
}

/// Webhooks would be taken.
pub(super) async fn ready(State(rooms): State<Shared>) -> Result<Response, HttpError> {
    match timeout(PATIENCE, rooms.api.store.ready()).await {
        Ok(Ok(())) => Ok(([(header::CONTENT_TYPE, TEXT)], "alarmbell is ready.\n").into_response()),
        Ok(Err(error)) => Err(HttpError::new(ErrorKind::Unavailable, format!("not ready: {error}"))),
        Err(_) => Err(HttpError::new(ErrorKind::Unavailable, "not ready: the store does not answer within 2 s")),
    }
}

/// Reads the config anew.
pub(super) async fn reload(State(rooms): State<Shared>) -> Result<Response, HttpError> {
    if !rooms.api.lifecycle {
        let message = "reloading by HTTP is off; start with --web.enable-lifecycle, or send SIGHUP";
        return Err(HttpError::new(ErrorKind::Forbidden, message));
    }
    match rooms.api.control.reload().await {
        Ok(()) => Ok(success(())),
        Err(reason) => {
            let message = format!("the config was not reloaded, the old one stays in force: {reason}");
            Err(HttpError::new(ErrorKind::Internal, message))
        }
    }
}

/// Version, uptime, config, store.
pub(super) async fn status(State(rooms): State<Shared>) -> Response {
    let store = &rooms.api.store;
    let asked = timeout(PATIENCE, async { (store.ready().await.is_ok(), store.size().await.ok()) }).await;
    let (ready, size) = asked.unwrap_or((false, None));
    success(StatusAnswer::new(rooms.api.control.status().await, ready, size))
}

/// Every bot.
pub(super) async fn bots(State(rooms): State<Shared>) -> Response {
    let (bots, now) = (rooms.api.control.bots().await, rooms.api.clock.now());
    success(BotsAnswer { bots: bots.into_iter().map(|bot| bot.shown(now)).collect() })
}
