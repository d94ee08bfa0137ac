//! What goes into messages, and what becomes of it.

use super::Item;
use super::Picked;
use super::entry::{Known, Rank};
use super::group::Urgency;
use super::queue::{Queue, Terms};
use super::slab::Id;
use super::state::{Chain, Flight};
use crate::model::{Change, Fingerprint, GroupId, How, Millis};

/// Groups among which the one that waits longest is looked for.
const FEW: usize = 1_000;

impl Queue {
    /// Whether something can be told now.
    pub const fn has_ready(&self) -> bool {
        self.ready > 0
    }

    /// Takes the most urgent group, at most `most(group)` of its alerts (at least one), and locks them.
    pub fn pick(&mut self, most: impl Fn(GroupId) -> usize) -> Option<Picked> {
        let (_, group) = self.most_urgent()?;
        Some(self.pick_of(group, most(group).max(1)))
    }

    /// As [`Queue::pick`], of the group that waits longest, if it does since before that time. Looks at all groups, and so
    /// only while they are few: when there are more, a storm's digest tells them all.
    pub fn pick_overdue(&mut self, before_ms: Millis, most: impl Fn(GroupId) -> usize) -> Option<Picked> {
        if self.ready > FEW {
            return None;
        }
        let overdue = self.in_order().filter(|(urgency, _)| urgency.since() < before_ms);
        let (_, group) = overdue.min_by_key(|(urgency, _)| urgency.since())?;
        Some(self.pick_of(group, most(group).max(1)))
    }

    fn pick_of(&mut self, group: GroupId, most: usize) -> Picked {
        let mut taken = self.first_of_each_kind(group, most);
        taken.sort_unstable();
        taken.truncate(most);
        self.take_of(group, &taken)
    }

    /// Of each kind that waits in a group the `most` oldest alerts: what comes first in a message is among them.
    fn first_of_each_kind(&self, group: GroupId, most: usize) -> Vec<(Rank, Id)> {
        let (mut first, mut kind, mut of_kind) = (Vec::new(), None, 0);
        let mut members = self.members(group);
        while let Some(id) = members.next() {
            let Some(rank) = self.all.entries[id].rank() else { continue };
            let urgency = Urgency::from(rank);
            if kind != Some(urgency.kind()) {
                (kind, of_kind) = (Some(urgency.kind()), 0);
            }
            if of_kind < most {
                first.push((rank, id));
                of_kind += 1;
            } else if let Some(next) = urgency.next_kind() {
                members = self.members_from(group, next);
            } else {
                break;
            }
        }
        first
    }

    /// Of each group with new critical alerts: when the oldest of those was accepted, the oldest first; at most `most`
    /// groups. Critical is what has the first of the configured severity levels, fires, and is news.
    pub fn critical(&self, most: usize) -> Vec<Millis> {
        self.in_order().map_while(|(urgency, _)| urgency.critical_since()).take(most).collect()
    }

    /// Takes the most urgent group's new critical alerts, at most `most(group)` of them (at least one), and locks them;
    /// `None` when none waits.
    pub fn pick_critical(&mut self, most: impl Fn(GroupId) -> usize) -> Option<Picked> {
        let (_, group) = self.most_urgent().filter(|(urgency, _)| urgency.critical_since().is_some())?;
        let ranked = self.members(group).filter_map(|id| self.all.entries[id].rank().map(|rank| (rank, id)));
        let critical = ranked.take_while(|(rank, _)| Urgency::from(*rank).critical_since().is_some());
        let taken: Vec<_> = critical.take(most(group).max(1)).collect();
        Some(self.take_of(group, &taken))
    }

    fn take_of(&mut self, group: GroupId, taken: &[(Rank, Id)]) -> Picked {
        let items = self.take_all(taken.iter().map(|(_, id)| *id));
        let still_firing = self.still_firing(group);
        let reminder = items.iter().all(|item| item.change == Change::Unchanged);
        Picked { group, items, still_firing, reminder }
    }

    /// Takes at most `most` alerts (at least one), the most urgent groups first and of each the most urgent alerts, and locks
    /// them; empty when nothing waits. Does not walk what it leaves in place.
    pub fn pick_some(&mut self, most: usize) -> Vec<Item> {
        let most = most.max(1);
        let mut items = Vec::new();
        while items.len() < most
            && let Some((_, group)) = self.most_urgent()
        {
            let ids: Vec<Id> = self.members(group).take(most - items.len()).collect();
            let mut taken = self.take_all(ids.into_iter());
            if taken.is_empty() {
                break;
            }
            items.append(&mut taken);
        }
        items
    }

    /// Whether this chat was told that the alert fires, and not yet of its end.
    pub fn was_told_firing(&self, fingerprint: Fingerprint) -> bool {
        self.all.entries.find(fingerprint.0).is_some_and(|id| self.all.entries[id].was_told_firing())
    }

    /// Locks listed alerts with what waits of them.
    fn take_all(&mut self, ids: impl DoubleEndedIterator<Item = Id>) -> Vec<Item> {
        // The most urgent last: its group's place changes once, then.
        let mut items: Vec<Item> = ids.rev().filter_map(|id| self.take_off(id)).collect();
        items.reverse();
        items
    }

    /// Locks a listed alert with what waits of it.
    fn take_off(&mut self, id: Id) -> Option<Item> {
        let item = self.all.entries[id].item()?;
        self.unlink(id);
        self.update(id, |entry| {
            let group = entry.group;
            let state = entry.waiting.take().map(|waiting| waiting.state());
            let rare = entry.make_rare();
            let chain = std::mem::take(&mut rare.chain);
            rare.flight = state.map(|state| Box::new(Flight { state, group, chain, turned: false, ended: false }));
        });
        self.garbage_takes_off(id);
        Some(item)
    }

    /// Locks exactly these versions, for a message that is sent again because its outcome is unknown. Returns those that
    /// still wait; a version that is gone was told or replaced before.
    pub fn lock(&mut self, versions: &[(i64, Fingerprint)]) -> Vec<Item> {
        let mut items = Vec::new();
        for (pos, fingerprint) in versions {
            let Some(id) = self.all.entries.find(fingerprint.0) else { continue };
            if self.all.entries[id].held().is_some_and(|held| held.state.pos == *pos) {
                // It was on its way already: its time had come before the restart.
                self.wake_one(id);
            }
            let entry = &self.all.entries[id];
            if entry.is_listed() && entry.waiting.is_some_and(|waiting| waiting.pos() == *pos) {
                items.extend(self.take_off(id));
            }
        }
        items
    }

    /// These versions were told.
    pub fn told(&mut self, told: &[(i64, Fingerprint, How)], now_ms: Millis) {
        for (pos, fingerprint, how) in told {
            let Some((id, flight)) = self.land(*fingerprint, *pos) else { continue };
            self.len -= 1;
            match how {
                How::Named => self.terms.told_named += 1,
                How::Counted => self.terms.told_counted += 1,
            }
            self.ages.remove(flight.chain.since(&flight.state));
            self.update(id, |entry| entry.set_known(Known::of(&flight, now_ms)));
            self.spare(id, flight.chain.needed);
            self.unlock(id);
        }
    }

    /// These versions were not told: they wait again, unless a newer state has come meanwhile.
    pub fn released(&mut self, versions: &[(i64, Fingerprint)]) {
        for (pos, fingerprint) in versions {
            let Some((id, flight)) = self.land(*fingerprint, *pos) else { continue };
            let Flight { state, group, chain, turned, .. } = flight;
            match self.all.entries[id].waiting() {
                _ if self.all.entries[id].is_ended_reminder(&state, chain.flaps) => {
                    self.drop_reminder(id, &state, chain)
                }
                Some(newer) => {
                    self.count_superseded();
                    self.ages.remove(self.all.entries[id].since(&newer));
                    self.with_spare(id, |of_newer, spare| {
                        *of_newer = Chain::join(chain, &state, turned, std::mem::take(of_newer), spare);
                    });
                }
                None => {
                    self.update(id, |entry| {
                        entry.group = group;
                        entry.waiting = Some(state.into());
                    });
                    self.with_spare(id, |since, spare| {
                        let later = std::mem::replace(since, chain);
                        later.needed.into_iter().for_each(|pos| since.need(pos, spare));
                    });
                }
            }
            self.unlock(id);
        }
    }

    /// These versions became dead letters.
    pub fn dead(&mut self, versions: &[(i64, Fingerprint)]) {
        self.leave(versions, |terms| terms.dead += 1);
    }

    /// These versions wait for another bot now: for this one they count as superseded, and its chat knows what it knew.
    pub fn handed_over(&mut self, versions: &[(i64, Fingerprint)]) {
        self.leave(versions, |terms| terms.superseded += 1);
    }

    fn leave(&mut self, versions: &[(i64, Fingerprint)], count: impl Fn(&mut Terms)) {
        for (pos, fingerprint) in versions {
            let Some((id, flight)) = self.land(*fingerprint, *pos) else { continue };
            self.len -= 1;
            count(&mut self.terms);
            self.ages.remove(flight.chain.since(&flight.state));
            if flight.ended {
                // The chat knows of an older firing, and that one is over, too.
                self.end_known(id, flight.state.ends_ms, flight.state.accepted_ms);
            }
            self.spare(id, flight.chain.needed);
            self.unlock(id);
            self.judge_held(*fingerprint);
        }
    }

    fn land(&mut self, fingerprint: Fingerprint, pos: i64) -> Option<(Id, Flight)> {
        let id = self.all.entries.find(fingerprint.0)?;
        self.all.entries[id].flight().filter(|flight| flight.state.pos == pos)?;
        let flight = self.update(id, |entry| entry.rare_mut()?.flight.take())?;
        self.garbage_lands(fingerprint, flight.chain.needed.len());
        Some((id, *flight))
    }

    fn unlock(&mut self, id: Id) {
        if self.all.entries[id].waits_in_vain() {
            self.drop_waiting_reminder(id);
        }
        if self.all.entries[id].waiting.is_some() {
            self.link(id);
        } else {
            self.rest(id);
        }
    }
}
