//! Who hears of heads: each position of a bot that is ours, in order, once.

use std::sync::Arc;

use super::{Inner, names::unbuilt};
use crate::store::{Feed, StoreError};

pub(super) async fn listen(_inner: &Inner, _feed: Arc<dyn Feed>) -> Result<(), StoreError> {
    unbuilt()
}
