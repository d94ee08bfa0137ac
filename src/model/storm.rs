//! What is remembered of a storm: more groups than a robot can tell one by one.

use super::Millis;

/// One bot's storm so far. Stored with the outcome of each message that is told in it, so that neither the totals nor the
/// pace of digests begin anew with a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct StormState {
    /// When it began (wall clock).
    pub since_ms: Millis,
    /// When the newest digests were delivered (wall clock), oldest first; 0 for none.
    pub recent_ms: [Millis; Self::RECENT],
    /// Digests delivered.
    pub digests: u32,
    /// Alerts told as firing, reminders apart.
    pub firing: u64,
    /// Alerts told as resolved.
    pub resolved: u64,
}

impl StormState {
    /// Digests that a minute may bring, critical alerts apart.
    pub const RECENT: usize = 4;

    /// When the last digest was delivered; 0 before the first.
    pub const fn last_digest_ms(&self) -> Millis {
        self.recent_ms[Self::RECENT - 1]
    }
}
