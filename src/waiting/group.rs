//! What waits of one group, and how urgent it is.

use crate::model::{Fingerprint, Millis};

/// Order of groups: reminders last, then by severity, then by age.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Urgency {
    pub(super) reminder: bool,
    pub(super) severity: u8,
    pub(super) since_ms: Millis,
}

impl Urgency {
    /// The urgency of two things that leave together.
    pub(super) fn joined(self, other: Self) -> Self {
        Self {
            reminder: self.reminder && other.reminder,
            // A reminder's severity must not lift the group's news, nor its age.
            severity: match (self.reminder, other.reminder) {
                (false, true) => self.severity,
                (true, false) => other.severity,
                _ => self.severity.min(other.severity),
            },
            since_ms: match (self.reminder, other.reminder) {
                (false, true) => self.since_ms,
                (true, false) => other.since_ms,
                _ => self.since_ms.min(other.since_ms),
            },
        }
    }
}

/// One group of one bot.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Alerts that wait and are not locked by a message in flight.
    pub(super) waiting: Vec<Fingerprint>,
    /// The group's place in the order; `Some` exactly while `waiting` is not empty.
    pub(super) urgency: Option<Urgency>,
    /// Alerts of this group that were last told as firing.
    pub(super) told_firing: u32,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.told_firing == 0
    }
}
