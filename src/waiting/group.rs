//! What waits of one group, and how urgent it is.

use super::entry::Rank;
use super::slab::{Id, Keyed};
use crate::model::{GroupId, Millis};

/// Order of groups: reminders last, then by severity, then by age. One number, because there are as many as groups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Urgency(u64);

impl Urgency {
    const REMINDER: u64 = 1 << 63;
    const SINCE_BITS: u32 = 55;
    const SINCE: u64 = (1 << Self::SINCE_BITS) - 1;

    fn new(reminder: bool, severity: u8, since_ms: Millis) -> Self {
        let since = u64::try_from(since_ms).unwrap_or(0).min(Self::SINCE);
        Self((u64::from(reminder) << 63) | (u64::from(severity) << Self::SINCE_BITS) | since)
    }

    const fn is_reminder(self) -> bool {
        self.0 & Self::REMINDER != 0
    }

    /// The urgency of two things that leave together. A reminder's severity must not lift the news, nor its age.
    pub(super) fn joined(self, other: Self) -> Self {
        if self.is_reminder() != other.is_reminder() {
            return self.min(other);
        }
        let since = (self.0 & Self::SINCE).min(other.0 & Self::SINCE);
        Self((self.0 & !Self::SINCE).min(other.0 & !Self::SINCE) | since)
    }
}

impl From<Rank> for Urgency {
    fn from(rank: Rank) -> Self {
        Self::new(rank.unchanged, rank.severity, rank.since_ms)
    }
}

/// One group of one bot.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) id: GroupId,
    /// The first of its alerts that could be told now; each entry names the next.
    pub(super) first: Id,
    /// Alerts last told as firing of which no message is on its way.
    pub(super) told_firing: u32,
    /// Whether `urgency` may be too high, because an alert left or changed.
    pub(super) stale: bool,
    /// Its place in the order; without meaning while no alert could be told.
    pub(super) urgency: Urgency,
}

impl Keyed for Group {
    fn key(&self) -> u64 {
        self.id
    }
}

impl Group {
    pub(super) fn is_vacant(&self) -> bool {
        self.first.is_none() && self.told_firing == 0
    }
}
