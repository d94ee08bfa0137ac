//! Attempts: what pacing needs of a robot, and the start of an attempt.

use super::{Inner, names::unbuilt};
use crate::model::Millis;
use crate::store::{AttemptTimes, Begin, Begun, RobotState, StoreError};

pub(super) async fn robot(
    _inner: &Inner,
    _robot: &str,
    _since_ms: Millis,
) -> Result<(RobotState, Vec<AttemptTimes>), StoreError> {
    unbuilt()
}

pub(super) async fn begin(_inner: &Inner, _begin: &Begin) -> Result<Begun, StoreError> {
    unbuilt()
}

pub(super) async fn set_robot(_inner: &Inner, _robot: &str, _state: &RobotState) -> Result<(), StoreError> {
    unbuilt()
}
