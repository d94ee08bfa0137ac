//! Alerts that another bot tells instead.

use super::{Inner, names::unbuilt};
use crate::store::{HandOver, StoreError};

pub(super) async fn hand_over(_inner: &Inner, _hand_over: &HandOver) -> Result<u64, StoreError> {
    unbuilt()
}
