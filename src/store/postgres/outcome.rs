//! The end of an attempt, and what it does to the alerts in its message.

use super::{Inner, names::unbuilt};
use crate::store::{Outcome, StoreError};

pub(super) async fn finish(_inner: &Inner, _outcome: &Outcome) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn superseded(_inner: &Inner, _bot: &str, _positions: &[i64]) -> Result<(), StoreError> {
    unbuilt()
}
