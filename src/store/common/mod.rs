//! What the engines do alike: forms that are stored, and what is worked out without a database.

pub(super) mod covers;
pub(super) mod deliveries;
pub(super) mod gone;

/// Rows of a page, or of any other list for people.
const MAX_LIMIT: u32 = 1_000;

/// As many rows as are asked for, within bounds.
pub(super) fn limit(asked: u32) -> u32 {
    asked.clamp(1, MAX_LIMIT)
}
