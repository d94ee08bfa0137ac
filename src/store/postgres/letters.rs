//! Dead letters, and what waits for bots that are gone.

use std::sync::Arc;

use super::{Inner, names::unbuilt};
use crate::model::Millis;
use crate::store::{DeadLetter, StoreError};

pub(super) async fn rehome(_inner: &Inner, _from: &str, _to: &[Arc<str>], _now_ms: Millis) -> Result<u64, StoreError> {
    unbuilt()
}

pub(super) async fn list(
    _inner: &Inner,
    _bot: Option<&str>,
    _limit: u32,
    _after: Option<i64>,
) -> Result<Vec<DeadLetter>, StoreError> {
    unbuilt()
}

pub(super) async fn counts(_inner: &Inner) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
    unbuilt()
}

pub(super) async fn replay(_inner: &Inner, _id: i64, _bot: Option<&str>, _now_ms: Millis) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn delete(_inner: &Inner, _id: i64) -> Result<(), StoreError> {
    unbuilt()
}
