//! Pages for people: plain HTML that loads nothing and runs nothing.

use axum::extract::State;
use axum::response::Response;

use super::Shared;
use crate::http::{ErrorKind, HttpError};

pub(super) async fn index(State(_rooms): State<Shared>) -> Result<Response, HttpError> {
    Err(HttpError::new(ErrorKind::NotFound, "there is no such path"))
}

pub(super) async fn message(State(rooms): State<Shared>) -> Result<Response, HttpError> {
    let _permit = rooms.drawing.acquire().await;
    let _ = rooms.api.control.page("");
    Err(HttpError::new(ErrorKind::NotFound, "there is no such path"))
}
