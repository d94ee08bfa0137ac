//! `storage copy`: moves a store between engines.

use super::Failure;
use super::args::StorageCopy;

pub(super) fn copy(_args: &StorageCopy) -> Result<(), Failure> {
    Err(Failure::runtime("not built yet"))
}
