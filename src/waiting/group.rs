//! What waits of one group, and how urgent it is.

use super::entry::{Entry, Rank};
use super::slab::{Id, Room, Slab};
use super::state::Packed;
use super::tree::{Links, Nodes};
use crate::model::{GroupId, Millis, Status};

/// Order of alerts and of groups: reminders last, then by severity, firing before resolved, then by age. A group is as
/// urgent as its most urgent alert, so its age is the one of the most urgent kind that waits in it, not of any: that
/// makes its place say whether a new critical alert waits in it, and since when. One number, because there are as many
/// as groups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Urgency(u64);

impl Urgency {
    const SINCE_BITS: u32 = 54;
    const SINCE: u64 = (1 << Self::SINCE_BITS) - 1;

    /// Of what is not a reminder.
    pub(super) fn of_news(status: Status, severity: u8, since_ms: Millis) -> Self {
        let since = u64::try_from(since_ms).unwrap_or(0).min(Self::SINCE);
        let kind = (u64::from(severity) << 1) | u64::from(status == Status::Resolved);
        Self((kind << Self::SINCE_BITS) | since)
    }

    /// Which of the ages belong together.
    pub(super) const fn kind(self) -> u64 {
        self.0 >> Self::SINCE_BITS
    }

    /// The most urgent of the next kind.
    pub(super) fn next_kind(self) -> Option<Self> {
        (self.0 | Self::SINCE).checked_add(1).map(Self)
    }

    /// Since when.
    pub(super) fn since(self) -> Millis {
        Millis::try_from(self.0 & Self::SINCE).unwrap_or(Millis::MAX)
    }

    /// Since when, if it is of a new critical alert: not a reminder, of the first severity, firing.
    pub(super) fn critical_since(self) -> Option<Millis> {
        Millis::try_from(self.0).ok().filter(|_| self.0 <= Self::SINCE)
    }
}

impl From<Rank> for Urgency {
    fn from(rank: Rank) -> Self {
        let news = Self::of_news(rank.status, rank.severity, rank.since_ms);
        Self((u64::from(rank.unchanged) << (9 + Self::SINCE_BITS)) | news.0)
    }
}

/// A group of which more than one alert is of interest: listed, or told as firing. Of the others their one alert knows all
/// that there is to know, and stands for them; there are as many as alerts on the worst day.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    pub(super) id: GroupId,
    /// The tree of its alerts that could be told now.
    pub(super) root: Id,
    /// Alerts last told as firing of which no message is on its way.
    pub(super) told_firing: u32,
    /// Those among them of which something else than a reminder waits.
    pub(super) told_changed: u32,
    /// Of the first of its tree: its place in the order. Without meaning while no alert could be told.
    pub(super) urgency: Urgency,
    /// What hangs below it in the order of groups.
    pub(super) links: Links,
}

impl Group {
    /// Alerts that fire unchanged, as the chat knows.
    pub(super) const fn still_firing(&self) -> u32 {
        self.told_firing.saturating_sub(self.told_changed)
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.root.is_none() && self.told_firing == 0
    }
}

/// All alerts, and all groups: those of one alert by its id, others by a marked one.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct All {
    pub(super) entries: Slab<Entry>,
    pub(super) groups: Room<Group>,
}

impl All {
    pub(super) fn group_id(&self, at: Id) -> GroupId {
        at.unmarked().map_or_else(|| self.entries[at].group, |at| self.groups[at].id)
    }

    /// Of a group that could be told now.
    pub(super) fn urgency(&self, at: Id) -> Urgency {
        at.unmarked().map_or_else(|| self.entries[at].urgency(), |at| self.groups[at].urgency)
    }
}

/// The order of groups.
impl Nodes for All {
    type Key = (Urgency, GroupId);

    fn key(&self, at: Id) -> Self::Key {
        (self.urgency(at), self.group_id(at))
    }

    fn links(&self, at: Id) -> Links {
        at.unmarked().map_or_else(|| self.entries[at].links, |at| self.groups[at].links)
    }

    fn links_mut(&mut self, at: Id) -> &mut Links {
        match at.unmarked() {
            Some(at) => &mut self.groups[at].links,
            None => &mut self.entries[at].links,
        }
    }
}

/// The order of one group's alerts.
impl Nodes for Slab<Entry> {
    type Key = (Urgency, i64, Id);

    fn key(&self, id: Id) -> Self::Key {
        let entry = &self[id];
        (entry.urgency(), entry.waiting.as_ref().map_or(0, Packed::pos), id)
    }

    fn links(&self, id: Id) -> Links {
        self[id].links
    }

    fn links_mut(&mut self, id: Id) -> &mut Links {
        &mut self[id].links
    }
}
