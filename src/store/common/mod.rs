//! What the engines do alike: forms that are stored, and what is worked out without a database.

pub(super) mod covers;
pub(super) mod deliveries;
pub(super) mod gone;
pub(super) mod parts;

use std::time::Duration;

/// A search of the history that takes longer is given up, with a hint.
pub(super) const SEARCH: Duration = Duration::from_secs(10);
/// Bytes of texts and alerts on one page of messages, beyond its first message.
pub(super) const PAGE_BYTES: usize = 32 << 20;
/// Rows of a page, or of any other list for people.
const MAX_LIMIT: u32 = 1_000;

/// As many rows as are asked for, within bounds.
pub(super) fn limit(asked: u32) -> u32 {
    asked.clamp(1, MAX_LIMIT)
}
