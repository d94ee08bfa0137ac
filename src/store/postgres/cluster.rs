//! Who is there, and who speaks for which bot.

use std::sync::Arc;

use super::{Inner, names::unbuilt};
use crate::model::Fingerprint;
use crate::store::{Beat, Pulse, StoreError};

pub(super) async fn enlist(_inner: &Inner, _bots: &[Arc<str>]) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn beat(_inner: &Inner, _beat: &Beat) -> Result<Pulse, StoreError> {
    unbuilt()
}

pub(super) async fn claim(_inner: &Inner, _bots: &[Arc<str>]) -> Result<bool, StoreError> {
    unbuilt()
}

pub(super) async fn release(_inner: &Inner, _bots: &[Arc<str>]) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn leave(_inner: &Inner) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn hearers(
    _inner: &Inner,
    _fingerprints: &[Fingerprint],
) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
    unbuilt()
}

pub(super) async fn publish(_inner: &Inner, _views: &[(Arc<str>, String)]) -> Result<(), StoreError> {
    unbuilt()
}

pub(super) async fn views(_inner: &Inner) -> Result<Vec<(Arc<str>, String)>, StoreError> {
    unbuilt()
}

pub(super) fn forget(_inner: &Inner, _bots: &[Arc<str>]) {}
