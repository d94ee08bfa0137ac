//! The tables' version, and how older tables become the present ones.

use super::Db;
use super::names::unbuilt;
use crate::store::StoreError;

/// One script per version, the first makes version 1. Scripts that were released are never changed.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// Brings the tables to the present version; an empty database gets them. Safe when several replicas start at once.
pub(super) async fn migrate(_db: &Db) -> Result<(), StoreError> {
    unbuilt()
}
