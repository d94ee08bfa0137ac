//! Which alerts of which group could be told now, and in which order groups come.
//!
//! A group's place is corrected upwards at once, and downwards only when it has come to the front: so that a change to
//! one alert never walks its group.

use super::entry::Entry;
use super::group::{Group, Urgency};
use super::queue::Queue;
use super::slab::Id;
use crate::model::GroupId;

impl Queue {
    /// Changes an entry, and its groups' count of told and still firing alerts.
    pub(super) fn update<R>(&mut self, id: Id, change: impl FnOnce(&mut Entry) -> R) -> R {
        let entry = &mut self.entries[id];
        let before = entry.counts_in();
        let result = change(entry);
        let after = entry.counts_in();
        if before != after {
            if let Some(group) = before {
                self.told_firing_less(group);
            }
            if let Some(group) = after {
                let at = self.find_or_add_group(group);
                self.groups[at].told_firing += 1;
            }
        }
        result
    }

    fn told_firing_less(&mut self, group: GroupId) {
        let Some(at) = self.groups.find(group) else { return };
        self.groups[at].told_firing = self.groups[at].told_firing.saturating_sub(1);
        if self.groups[at].is_vacant() {
            self.groups.remove(at);
        }
    }

    fn find_or_add_group(&mut self, group: GroupId) -> Id {
        self.groups.find(group).unwrap_or_else(|| self.groups.insert(Group { id: group, ..Group::default() }))
    }

    fn urgency_of(&self, id: Id) -> Urgency {
        self.entries[id].rank().map(Urgency::from).unwrap_or_default()
    }

    /// Lists a waiting alert of which no message is on its way.
    pub(super) fn link(&mut self, id: Id) {
        let urgency = self.urgency_of(id);
        let group_id = self.entries[id].group;
        let at = self.find_or_add_group(group_id);
        let group = &mut self.groups[at];
        let next = std::mem::replace(&mut group.first, id);
        if next.is_none() {
            group.urgency = urgency;
            group.stale = false;
            self.ready.insert((urgency, group_id));
        } else {
            self.entries[next].prev = id;
            self.raise(at, urgency);
        }
        let entry = &mut self.entries[id];
        (entry.prev, entry.next) = (Id::NONE, next);
    }

    fn raise(&mut self, at: Id, urgency: Urgency) {
        let group = &mut self.groups[at];
        let joined = group.urgency.joined(urgency);
        if joined != group.urgency {
            self.ready.remove(&(group.urgency, group.id));
            self.ready.insert((joined, group.id));
            group.urgency = joined;
        }
    }

    /// A listed alert has changed in its place.
    pub(super) fn relist(&mut self, id: Id) {
        let urgency = self.urgency_of(id);
        if let Some(at) = self.groups.find(self.entries[id].group) {
            self.raise(at, urgency);
            self.groups[at].stale = true;
        }
    }

    /// Takes a listed alert off its group's list.
    pub(super) fn unlink(&mut self, id: Id) {
        let entry = &mut self.entries[id];
        let group_id = entry.group;
        let (prev, next) = (std::mem::take(&mut entry.prev), std::mem::take(&mut entry.next));
        if !next.is_none() {
            self.entries[next].prev = prev;
        }
        if !prev.is_none() {
            self.entries[prev].next = next;
        }
        let Some(at) = self.groups.find(group_id) else { return };
        let group = &mut self.groups[at];
        if prev.is_none() {
            group.first = next;
        }
        group.stale = true;
        if group.first.is_none() {
            self.ready.remove(&(group.urgency, group_id));
            if group.is_vacant() {
                self.groups.remove(at);
            }
        }
    }

    /// A group's alerts that could be told now.
    pub(super) fn members(&self, group: GroupId) -> impl Iterator<Item = Id> {
        let first = self.groups.find(group).map_or(Id::NONE, |at| self.groups[at].first);
        let real = |id: Id| (!id.is_none()).then_some(id);
        std::iter::successors(real(first), move |id| real(self.entries[*id].next))
    }

    /// The group that comes first. Walks those at the front whose place is in doubt.
    pub(super) fn most_urgent(&mut self) -> Option<GroupId> {
        loop {
            let (urgency, group_id) = *self.ready.first()?;
            let at = self.groups.find(group_id)?;
            if !self.groups[at].stale {
                return Some(group_id);
            }
            let members = self.members(group_id).map(|id| self.urgency_of(id));
            let right = members.reduce(Urgency::joined).unwrap_or(urgency);
            self.ready.remove(&(urgency, group_id));
            self.ready.insert((right, group_id));
            let group = &mut self.groups[at];
            (group.urgency, group.stale) = (right, false);
        }
    }
}
