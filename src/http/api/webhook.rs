//! Webhooks: read, taken, answered and counted; what is refused is logged.

use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::Shared;
use crate::http::{ErrorKind, HttpError, Params, read_body, success};
use crate::ingest::{Accepted, Endpoint, IngestError};

/// `?source=` tells clusters with equal configs apart; senders may add what they like.
#[derive(Deserialize)]
pub(super) struct Source {
    source: Option<String>,
}

type Asked = Result<Params<Source>, HttpError>;

#[derive(Serialize)]
struct Taken {
    alerts: usize,
    states: usize,
}

/// Through the policies.
pub(super) async fn policies(State(rooms): State<Shared>, source: Asked, request: Request) -> Response {
    answer(&rooms, Ok(Endpoint::Policies), source, request).await
}

/// Straight to a bot or contact group.
pub(super) async fn named(
    State(rooms): State<Shared>,
    name: Result<Path<String>, PathRejection>,
    source: Asked,
    request: Request,
) -> Response {
    let endpoint = name
        .map(|Path(name)| Endpoint::Named(name))
        .map_err(|_| HttpError::new(ErrorKind::BadData, "the name in the path is not UTF-8"));
    answer(&rooms, endpoint, source, request).await
}

async fn answer(rooms: &Shared, endpoint: Result<Endpoint, HttpError>, source: Asked, request: Request) -> Response {
    let started = Instant::now();
    let ingest = &rooms.api.ingest;
    let receiver = endpoint.as_ref().map_or_else(|_| "unknown".to_owned(), |endpoint| ingest.receiver_label(endpoint));
    let taken = match endpoint {
        Ok(endpoint) => take(rooms, &endpoint, source, request).await,
        Err(error) => Err(error.closing()),
    };
    let response = match taken {
        Ok(Accepted { alerts, states }) => success(Taken { alerts, states }),
        Err(error) => {
            rooms.refusals.note(&receiver, &error, &*rooms.api.clock);
            error.into_response()
        }
    };
    ingest.metrics().webhooks.with_label_values(&[receiver.as_str(), response.status().as_str()]).inc();
    ingest.metrics().duration.observe(started.elapsed().as_secs_f64());
    response
}

async fn take(rooms: &Shared, endpoint: &Endpoint, source: Asked, request: Request) -> Result<Accepted, HttpError> {
    // The rest of the request has not been read.
    let Params(Source { source }) = source.map_err(HttpError::closing)?;
    let source = source.as_deref().filter(|source| !source.is_empty());
    let limits = rooms.api.limits.load_full();
    // Counts as in flight until the answer: that long the store holds the bytes.
    let (body, _permit) = read_body(request, &limits).await?;
    rooms.api.ingest.accept(endpoint, source, body).await.map_err(refusal)
}

fn refusal(error: IngestError) -> HttpError {
    match error {
        IngestError::Body(error) => error.into(),
        IngestError::Store(error) => error.into(),
        IngestError::Nowhere { at, message } => HttpError { at, ..HttpError::new(ErrorKind::NotFound, message) },
    }
}
