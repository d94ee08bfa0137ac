//! Which alerts of which group could be told now, and in which order groups come.

use super::entry::Entry;
use super::group::{Group, Urgency};
use super::queue::Queue;
use super::slab::Id;
use super::tree::{self, InOrder, Tree};
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

    const fn tree(&mut self, root: Id) -> Tree<'_> {
        Tree { entries: &mut self.entries, lots: self.lots, root }
    }

    /// Lists a waiting alert of which no message is on its way.
    pub(super) fn link(&mut self, id: Id) {
        let urgency = self.entries[id].urgency();
        let group_id = self.entries[id].group;
        let at = self.find_or_add_group(group_id);
        let changes = self.entries[id].changes_told_firing();
        self.groups[at].told_changed += u32::from(changes);
        let Group { root, urgency: before, .. } = self.groups[at];
        self.groups[at].root = self.tree(root).insert(id);
        if !root.is_none() {
            if urgency >= before {
                return;
            }
            self.ready.remove(&(before, group_id));
        }
        self.place(at, urgency);
    }

    /// Takes a listed alert off its group's list; before anything changes by which it is ordered.
    pub(super) fn unlink(&mut self, id: Id) {
        let urgency = self.entries[id].urgency();
        let group_id = self.entries[id].group;
        let Some(at) = self.groups.find(group_id) else { return };
        let changes = self.entries[id].changes_told_firing();
        let Group { root, urgency: before, told_changed, .. } = self.groups[at];
        let root = self.tree(root).remove(id);
        self.groups[at].root = root;
        self.groups[at].told_changed = told_changed.saturating_sub(u32::from(changes));
        if root.is_none() {
            self.ready.remove(&(before, group_id));
            if self.groups[at].is_vacant() {
                self.groups.remove(at);
            }
        } else if urgency == before {
            let right = self.entries[tree::first(&self.entries, root)].urgency();
            if right != before {
                self.ready.remove(&(before, group_id));
                self.place(at, right);
            }
        }
    }

    fn place(&mut self, at: Id, urgency: Urgency) {
        let group = &mut self.groups[at];
        group.urgency = urgency;
        self.ready.insert((urgency, group.id));
    }

    /// A group's alerts that could be told now, the most urgent first.
    pub(super) fn members(&self, group: GroupId) -> InOrder<'_> {
        self.members_from(group, Urgency::default())
    }

    /// Those of them that are no more urgent than this.
    pub(super) fn members_from(&self, group: GroupId, urgency: Urgency) -> InOrder<'_> {
        let root = self.groups.find(group).map_or(Id::NONE, |at| self.groups[at].root);
        InOrder::new(&self.entries, root, urgency)
    }

    /// The group that comes first.
    pub(super) fn most_urgent(&self) -> Option<GroupId> {
        self.ready.first().map(|(_, group)| *group)
    }
}
