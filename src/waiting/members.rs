//! Which alerts of which group could be told now, and in which order groups come.
//!
//! An alert is of interest to its group while it is listed or counts as told and firing. The table of groups leads to a
//! group's only such alert, or, once there were two at a time, to a record until there is none.

use super::entry::Entry;
use super::group::{Group, Urgency};
use super::queue::Queue;
use super::slab::{Id, Slab};
use super::tree::{self, InOrder, Tree};
use crate::model::GroupId;

/// A group's alerts that could be told now, the most urgent first.
pub(super) enum Members<'a> {
    One(Option<Id>),
    Many(InOrder<'a, Slab<Entry>>),
}

impl Iterator for Members<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        match self {
            Self::One(id) => id.take(),
            Self::Many(ids) => ids.next(),
        }
    }
}

impl Queue {
    /// Changes an entry, and its groups' count of told and still firing alerts. It must not be listed when that changes.
    pub(super) fn update<R>(&mut self, id: Id, change: impl FnOnce(&mut Entry) -> R) -> R {
        let entry = &mut self.all.entries[id];
        let before = entry.counts_in();
        let result = change(entry);
        let after = entry.counts_in();
        if before != after {
            if let Some(group) = before {
                self.told_firing_less(group, id);
            }
            if let Some(group) = after {
                self.told_firing_more(group, id);
            }
        }
        result
    }

    pub(super) fn find_group(&self, group: GroupId) -> Option<Id> {
        self.groups.find(group, |at| self.all.group_id(at))
    }

    fn add_group(&mut self, group: GroupId, at: Id) {
        self.groups.insert(group, at, |at| self.all.group_id(at));
    }

    fn told_firing_more(&mut self, group: GroupId, id: Id) {
        match self.find_group(group) {
            None => self.add_group(group, id),
            Some(at) if at == id => {}
            Some(at) => self.record(at).told_firing += 1,
        }
    }

    fn told_firing_less(&mut self, group: GroupId, id: Id) {
        // The alert may say another group by now: so it is looked for by its id.
        if self.groups.remove(group, id) {
            return;
        }
        let Some(at) = self.find_group(group) else { return };
        let record = self.record(at);
        record.told_firing = record.told_firing.saturating_sub(1);
        self.leave_if_vacant(group, at);
    }

    fn leave_if_vacant(&mut self, group: GroupId, at: Id) {
        if let Some(record) = at.unmarked().filter(|record| self.all.groups[*record].is_vacant()) {
            self.groups.remove(group, at);
            self.all.groups.remove(record);
        }
    }

    /// The record of a group, made now if until now one alert stood for it.
    fn record(&mut self, at: Id) -> &mut Group {
        let record = at.unmarked().unwrap_or_else(|| self.make_record(at));
        &mut self.all.groups[record]
    }

    /// Another alert than `id`, which stands for its group, becomes of interest to it.
    fn make_record(&mut self, id: Id) -> Id {
        let entry = &self.all.entries[id];
        let (group, urgency, listed) = (entry.group, entry.urgency(), entry.is_listed());
        let counts = |counts: bool| u32::from(counts);
        let told_firing = counts(entry.counts_in().is_some());
        let told_changed = counts(listed && entry.changes_told_firing());
        if listed {
            self.take_out_of_order(id);
        }
        let root = if listed { id } else { Id::NONE };
        let record = Group { id: group, root, told_firing, told_changed, urgency, ..Group::default() };
        let record = self.all.groups.add(record);
        self.groups.replace(group, id, record.marked());
        if listed {
            self.put_in_order(record.marked());
        }
        record
    }

    fn put_in_order(&mut self, at: Id) {
        self.order = Tree { nodes: &mut self.all, lots: self.lots, root: self.order }.insert(at);
        self.ready += 1;
    }

    fn take_out_of_order(&mut self, at: Id) {
        self.order = Tree { nodes: &mut self.all, lots: self.lots, root: self.order }.remove(at);
        self.ready -= 1;
    }

    const fn tree(&mut self, root: Id) -> Tree<'_, Slab<Entry>> {
        Tree { nodes: &mut self.all.entries, lots: self.lots, root }
    }

    /// Lists a waiting alert of which no message is on its way.
    pub(super) fn link(&mut self, id: Id) {
        let entry = &self.all.entries[id];
        let (group, urgency, changes) = (entry.group, entry.urgency(), entry.changes_told_firing());
        match self.find_group(group) {
            None => {
                self.add_group(group, id);
                self.put_in_order(id);
            }
            Some(at) if at == id => self.put_in_order(id),
            Some(at) => {
                let at = at.unmarked().unwrap_or_else(|| self.make_record(at));
                let root = self.all.groups[at].root;
                let new_root = self.tree(root).insert(id);
                let record = &mut self.all.groups[at];
                record.root = new_root;
                record.told_changed += u32::from(changes);
                if root.is_none() || urgency < record.urgency {
                    self.place(at, !root.is_none(), urgency);
                }
            }
        }
    }

    /// Takes a listed alert off its group's list; before anything changes by which it is ordered.
    pub(super) fn unlink(&mut self, id: Id) {
        let entry = &self.all.entries[id];
        let (group, urgency, changes) = (entry.group, entry.urgency(), entry.changes_told_firing());
        let counts = entry.counts_in().is_some();
        let Some(at) = self.find_group(group) else { return };
        let Some(record) = at.unmarked() else {
            self.take_out_of_order(at);
            if !counts {
                self.groups.remove(group, at);
            }
            return;
        };
        let root = self.tree(self.all.groups[record].root).remove(id);
        let first = tree::first(&self.all.entries, root);
        let Group { told_changed, urgency: before, .. } = self.all.groups[record];
        if root.is_none() {
            self.take_out_of_order(at);
        } else if urgency == before {
            let urgency = self.all.entries[first].urgency();
            if urgency != before {
                self.place(record, true, urgency);
            }
        }
        let record = &mut self.all.groups[record];
        record.root = root;
        record.told_changed = told_changed.saturating_sub(u32::from(changes));
        self.leave_if_vacant(group, at);
    }

    /// Gives a group's record its place in the order.
    fn place(&mut self, record: Id, has_one: bool, urgency: Urgency) {
        if has_one {
            self.take_out_of_order(record.marked());
        }
        self.all.groups[record].urgency = urgency;
        self.put_in_order(record.marked());
    }

    /// A group's alerts that could be told now, the most urgent first.
    pub(super) fn members(&self, group: GroupId) -> Members<'_> {
        self.members_from(group, Urgency::default())
    }

    /// Those of them that are no more urgent than this.
    pub(super) fn members_from(&self, group: GroupId, urgency: Urgency) -> Members<'_> {
        let entries = &self.all.entries;
        let at = self.find_group(group);
        match at.map(|at| (at, at.unmarked())) {
            None => Members::One(None),
            Some((id, None)) => {
                let is_member = entries[id].is_listed() && entries[id].urgency() >= urgency;
                Members::One(Some(id).filter(|_| is_member))
            }
            Some((_, Some(record))) => {
                let root = self.all.groups[record].root;
                Members::Many(InOrder::new(entries, root, |id| entries[id].urgency() < urgency))
            }
        }
    }

    /// Alerts of a group that fire unchanged, as the chat knows.
    pub(super) fn still_firing(&self, group: GroupId) -> u32 {
        let Some(at) = self.find_group(group) else { return 0 };
        match at.unmarked() {
            Some(record) => self.all.groups[record].still_firing(),
            None => {
                let entry = &self.all.entries[at];
                u32::from(entry.counts_in().is_some() && !(entry.is_listed() && entry.changes_told_firing()))
            }
        }
    }

    /// The groups that could be told now, the most urgent first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (Urgency, GroupId)> {
        let groups = InOrder::new(&self.all, self.order, |_| false);
        groups.map(|at| (self.all.urgency(at), self.all.group_id(at)))
    }

    /// The group that comes first.
    pub(super) fn most_urgent(&self) -> Option<(Urgency, GroupId)> {
        let at = Some(tree::first(&self.all, self.order)).filter(|at| !at.is_none())?;
        Some((self.all.urgency(at), self.all.group_id(at)))
    }

    pub(super) fn shrink_groups(&mut self) {
        if self.groups.is_empty() {
            self.groups = super::slab::Table::default();
            self.all.groups = super::slab::Room::default();
        } else {
            self.groups.shrink(|at| self.all.group_id(at));
        }
    }
}
