//! Clean-up in small steps, which any replica may do.

use super::{Inner, names::unbuilt};
use crate::store::{Retention, StoreError};

pub(super) async fn step(_inner: &Inner, _retention: &Retention) -> Result<bool, StoreError> {
    unbuilt()
}
