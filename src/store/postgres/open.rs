//! Opening and closing.

use std::sync::Arc;

use super::names::unbuilt;
use super::{Inner, Options, StoreMetrics};
use crate::store::StoreError;

/// The store in a PostgreSQL database. See [`crate::store::Store`] and [`crate::store::Cluster`].
pub struct PgStore {
    pub(super) inner: Arc<Inner>,
}

impl PgStore {
    /// Opens the store, and brings its tables to the present version.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for a URL that can not be read, a database of a newer version, or a home that another
    /// process has; [`StoreError::Unavailable`] when the database does not answer.
    pub async fn open(_options: Options, _metrics: StoreMetrics) -> Result<Self, StoreError> {
        unbuilt()
    }

    pub(super) async fn stop(&self) {}
}
