//! Acceptance: many webhooks in one statement.

use super::{PgStore, names::unbuilt};
use crate::store::{Append, StoreError};

pub(super) async fn append(_store: &PgStore, _append: Append) -> Result<(), StoreError> {
    unbuilt()
}
