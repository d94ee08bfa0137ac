//! The page.
use super::Sandbox;
pub(super) fn routes() -> axum::Router<Sandbox> { axum::Router::new() }
