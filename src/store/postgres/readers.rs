//! Small reads, and what is remembered of bots.

use std::sync::Arc;

use super::{Inner, names::unbuilt};
use crate::store::{StoreError, StoreSize, StoredBody};

pub(super) async fn bodies(_inner: &Inner, _ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError> {
    unbuilt()
}

pub(super) async fn via(_inner: &Inner, _id: u32) -> Result<Arc<str>, StoreError> {
    unbuilt()
}

pub(super) async fn remember_fallbacks(
    _inner: &Inner,
    _fallbacks: &[(Arc<str>, Option<Arc<str>>)],
) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn fallback_of(_inner: &Inner, _bot: &str) -> Result<Option<Arc<str>>, StoreError> {
    unbuilt()
}

pub(super) async fn size(_inner: &Inner) -> Result<StoreSize, StoreError> {
    unbuilt()
}

pub(super) async fn probe(_inner: &Inner) -> Result<(), StoreError> {
    unbuilt()
}
