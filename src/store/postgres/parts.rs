//! Alerts that a message tells, kept in parts.

use super::{Inner, names::unbuilt};
use crate::model::{MessageId, ToldAlert};
use crate::store::StoreError;

pub(super) async fn keep(
    _inner: &Inner,
    _message: &MessageId,
    _part: u32,
    _alerts: &[ToldAlert],
) -> Result<(), StoreError> {
    unbuilt()
}
