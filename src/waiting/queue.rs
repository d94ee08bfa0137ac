//! The queue of one bot.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ages::Ages;
use super::entry::{Arrival, Entry, Known};
use super::garbage::Garbage;
use super::group::All;
use super::slab::{Id, Table};
use super::state::{Chain, Held, State};
use super::tree::Lots;
use super::{Options, Told};
use crate::model::{Fingerprint, GroupId, Head, Millis, Status};

/// The terms of the proof for one bot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Terms {
    /// States accepted.
    pub accepted: u64,
    /// Told by name.
    pub told_named: u64,
    /// Told in a number.
    pub told_counted: u64,
    /// Replaced by a newer state, or a repeat.
    pub superseded: u64,
    /// Dead letters.
    pub dead: u64,
}

/// See the module's text.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Queue {
    options: Options,
    pub(super) all: All,
    /// Groups by their keys.
    pub(super) groups: Table,
    /// The tree of groups that could be told now, and how many those are.
    pub(super) order: Id,
    pub(super) ready: usize,
    pub(super) lots: Lots,
    held: BTreeSet<(Millis, Fingerprint)>,
    pub(super) ages: Ages,
    pub(super) garbage: Garbage,
    pub(super) terms: Terms,
    repeats: u64,
    pub(super) len: u64,
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4)
}

impl Queue {
    /// An empty queue whose counters continue from `terms`.
    pub fn new(options: Options, terms: Terms) -> Self {
        Self {
            options,
            all: All::default(),
            groups: Table::default(),
            order: Id::NONE,
            ready: 0,
            lots: Lots::new(),
            held: BTreeSet::new(),
            ages: Ages::default(),
            garbage: Garbage::default(),
            terms,
            repeats: 0,
            len: 0,
        }
    }

    /// Takes new options; states already held keep their time.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    fn window_ms(&self) -> Millis {
        millis(self.options.dedup_window)
    }

    /// Restores a remembered told state; before any head.
    pub fn remember(&mut self, fingerprint: Fingerprint, group: GroupId, told: Told) {
        let id = self.find_or_add(fingerprint);
        let listed = self.all.entries[id].is_listed();
        if listed {
            self.unlink(id);
        }
        self.update(id, |entry| {
            entry.group = group;
            entry.set_known(Known::new(&told, group));
        });
        if listed {
            self.link(id);
        }
    }

    /// The proof's terms, now.
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// States that wait, are in flight or held: accepted - told - superseded - dead.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Groups that could be told now.
    pub const fn groups_waiting(&self) -> usize {
        self.ready
    }

    /// States recognised as repeats since the start.
    pub const fn repeats(&self) -> u64 {
        self.repeats
    }

    /// When the oldest state was accepted that waits, is in flight or held; up to 1,024 ms too early.
    pub fn oldest_ms(&self) -> Option<Millis> {
        self.ages.oldest()
    }

    /// Whether this chat knows, or will be told, that the alert fires: then it must hear of its end.
    pub fn fires(&self, fingerprint: Fingerprint) -> bool {
        self.all.entries.find(fingerprint.0).is_some_and(|id| self.all.entries[id].fires())
    }

    /// Takes the next head, in position order.
    pub fn apply(&mut self, mut head: Head) {
        if head.status == Status::Firing {
            // Some senders date the end of what still fires.
            head.ends_ms = 0;
        }
        self.terms.accepted = self.terms.accepted.max(u64::try_from(head.pos).unwrap_or(0));
        self.len += 1;
        let id = self.find_or_add(head.fingerprint);
        // The same order as in a replay, where nobody wakes the held ones in between.
        if self.all.entries[id].held().is_some_and(|held| held.until_ms <= head.accepted_ms) {
            self.wake_one(id);
        }
        let arrival = self.all.entries[id].classify(&head, self.window_ms());
        self.arrive(id, head, arrival);
    }

    fn arrive(&mut self, id: Id, head: Head, arrival: Arrival) {
        match arrival {
            Arrival::News => self.news(id, head),
            Arrival::Hold(until_ms) => self.hold(id, &head, until_ms),
            Arrival::Silent => self.silent(id, &head),
            Arrival::Outdated => self.supersede(id, head.pos),
            Arrival::Repeat => {
                self.repeats += 1;
                if head.status == Status::Resolved {
                    self.drop_held(id);
                }
                self.supersede(id, head.pos);
            }
        }
    }

    fn find_or_add(&mut self, fingerprint: Fingerprint) -> Id {
        self.all.entries.find(fingerprint.0).unwrap_or_else(|| self.all.entries.insert(Entry::new(fingerprint)))
    }

    pub(super) fn count_superseded(&mut self) {
        self.terms.superseded += 1;
        self.len -= 1;
    }

    fn supersede(&mut self, id: Id, pos: i64) {
        self.count_superseded();
        self.spare(id, [pos]);
    }

    fn take_held(&mut self, id: Id) -> Option<Held> {
        let entry = &mut self.all.entries[id];
        let held = entry.rare_mut()?.held.take()?;
        self.held.remove(&(held.until_ms, entry.fingerprint));
        self.ages.remove(held.state.accepted_ms);
        Some(*held)
    }

    fn drop_held(&mut self, id: Id) {
        let Some(held) = self.take_held(id) else { return };
        self.repeats += 1;
        self.supersede(id, held.state.pos);
    }

    fn hold(&mut self, id: Id, head: &Head, until_ms: Millis) {
        self.drop_held(id);
        self.ages.add(head.accepted_ms);
        self.held.insert((until_ms, head.fingerprint));
        let held = Held { state: State::of(head), group: head.group, until_ms };
        self.all.entries[id].make_rare().held = Some(Box::new(held));
    }

    /// A resolve that is noted but not told.
    fn silent(&mut self, id: Id, head: &Head) {
        self.drop_held(id);
        self.count_superseded();
        let entry = &self.all.entries[id];
        let fires = |state: &State| state.status() == Status::Firing;
        match (entry.waiting(), entry.flight().map(|flight| flight.state)) {
            (Some(waiting), flight) if fires(&waiting) => {
                let listed = flight.is_none();
                if listed {
                    self.unlink(id);
                }
                self.with_spare(id, |chain, spare| chain.end(&waiting, head.pos, spare));
                if let Some(mut waiting) = self.all.entries[id].waiting() {
                    waiting.end(head);
                    self.all.entries[id].waiting = Some(waiting.into());
                }
                if listed && self.all.entries[id].waits_in_vain() {
                    self.drop_waiting_reminder(id);
                } else if listed {
                    self.link(id);
                }
            }
            (None, Some(flight)) if fires(&flight) => {
                self.with_spare(id, |chain, spare| chain.need(head.pos, spare));
                let rare = self.all.entries[id].make_rare();
                if let Some(flight) = &mut rare.flight {
                    flight.ends(head);
                }
            }
            (None, None) if entry.counts_in().is_some() => {
                self.with_spare(id, |chain, spare| chain.need(head.pos, spare));
                let ends_ms = if head.ends_ms == 0 { head.accepted_ms.max(1) } else { head.ends_ms };
                self.end_known(id, ends_ms, head.accepted_ms);
            }
            _ => self.spare(id, [head.pos]),
        }
    }

    pub(super) fn end_known(&mut self, id: Id, ends_ms: Millis, accepted_ms: Millis) {
        self.update(id, |entry| {
            if let Some(known) = entry.known_mut().filter(|known| known.fires()) {
                known.end(ends_ms, accepted_ms);
            }
        });
    }

    /// Takes back a waiting reminder, not listed, of an alert that has ended silently meanwhile.
    pub(super) fn drop_waiting_reminder(&mut self, id: Id) {
        let entry = &mut self.all.entries[id];
        let Some(reminder) = entry.waiting.take().map(|waiting| waiting.state()) else { return };
        let chain = std::mem::take(&mut entry.make_rare().chain);
        self.drop_reminder(id, &reminder, chain);
    }

    /// A reminder says nothing any more. What a replay needs to see that it has ended stays.
    pub(super) fn drop_reminder(&mut self, id: Id, reminder: &State, chain: Chain) {
        self.ages.remove(chain.since(reminder));
        self.supersede(id, reminder.pos);
        self.with_spare(id, |left, spare| chain.needed.into_iter().for_each(|pos| left.need(pos, spare)));
        self.end_known(id, reminder.ends_ms, reminder.accepted_ms);
    }

    fn news(&mut self, id: Id, head: Head) {
        self.drop_held(id);
        if self.all.entries[id].is_listed() {
            self.unlink(id);
        }
        let old = self.all.entries[id].waiting();
        match old {
            Some(old) => {
                self.count_superseded();
                let turned = old.status() != head.status;
                self.with_spare(id, |chain, spare| chain.replace(&old, turned, spare));
            }
            None => self.ages.add(head.accepted_ms),
        }
        self.update(id, |entry| {
            entry.group = head.group;
            entry.waiting = Some(State::of(&head).into());
            let flight = entry.rare_mut().and_then(|rare| rare.flight.as_mut());
            if let Some(flight) = flight.filter(|_| old.is_none()) {
                flight.turned = flight.state.status() != head.status;
            }
        });
        if self.all.entries[id].is_listed() {
            self.link(id);
        }
    }

    /// The next time at which [`Queue::wake`] has something to do.
    pub fn next_wake_ms(&self) -> Option<Millis> {
        self.held.first().map(|(until, _)| *until)
    }

    /// Lets held states whose time has come wait like others.
    pub fn wake(&mut self, now_ms: Millis) {
        // After the clock has stepped back: nothing is held for longer than a window.
        let longest = now_ms.saturating_add(self.window_ms());
        while let Some((_, fingerprint)) = self.due(now_ms, longest) {
            match self.all.entries.find(fingerprint.0) {
                Some(id) => self.wake_one(id),
                None => return,
            }
        }
    }

    fn due(&self, now_ms: Millis, longest: Millis) -> Option<(Millis, Fingerprint)> {
        let first = self.held.first().filter(|(until, _)| *until <= now_ms);
        first.or_else(|| self.held.last().filter(|(until, _)| *until > longest)).copied()
    }

    pub(super) fn wake_one(&mut self, id: Id) {
        let fingerprint = self.all.entries[id].fingerprint;
        if let Some(held) = self.take_held(id) {
            self.news(id, held.state.head(fingerprint, held.group));
        }
    }

    /// Judges a held state anew, because what it was compared with is gone.
    pub(super) fn judge_held(&mut self, fingerprint: Fingerprint) {
        let Some(id) = self.all.entries.find(fingerprint.0) else { return };
        let Some(held) = self.take_held(id) else { return };
        let head = held.state.head(fingerprint, held.group);
        let arrival = self.all.entries[id].classify(&head, self.window_ms());
        self.arrive(id, head, arrival);
    }

    /// Everything up to this position now waits elsewhere, or became dead letters: the store has moved it. Nothing may be
    /// in flight.
    pub fn moved(&mut self, up_to: i64, dead: bool) {
        let mut moved = 0;
        let ids: Vec<Id> = self.all.entries.ids().collect();
        for id in &ids {
            if self.all.entries[*id].held().is_some_and(|held| held.state.pos <= up_to) {
                self.take_held(*id);
                moved += 1;
            }
            let entry = &self.all.entries[*id];
            if let Some(waiting) = entry.waiting().filter(|waiting| waiting.pos <= up_to && entry.is_listed()) {
                self.ages.remove(entry.since(&waiting));
                self.unlink(*id);
                self.all.entries[*id].waiting = None;
                if let Some(rare) = self.all.entries[*id].rare_mut() {
                    rare.chain.forget_first();
                }
                moved += 1;
            }
        }
        self.garbage_moved(up_to);
        for id in ids {
            self.rest(id);
        }
        self.len -= moved;
        if dead {
            self.terms.dead += moved;
        } else {
            self.terms.superseded += moved;
        }
    }

    /// The alert may have nothing left to say: keeps of it what must be remembered.
    pub(super) fn rest(&mut self, id: Id) {
        let entry = &self.all.entries[id];
        if entry.waiting.is_none() && entry.flight().is_none() {
            // What died or was moved must not leave its group behind.
            let group = entry.known().map_or(entry.group, |known| known.group);
            let fires = entry.known().is_some_and(|known| known.fires());
            if entry.known().is_none() || fires {
                let needed = self.all.entries[id].rare_mut().map(|rare| std::mem::take(&mut rare.chain.needed));
                if let Some(needed) = needed.filter(|needed| !needed.is_empty()) {
                    self.spare(id, needed);
                }
            }
            self.update(id, |entry| entry.group = group);
        }
        let entry = &mut self.all.entries[id];
        entry.trim();
        if entry.is_over() {
            self.all.entries.remove(id);
        }
    }

    /// Forgets told states that are too old. Walks all alerts: call it every few minutes.
    pub fn forget(&mut self, now_ms: Millis) {
        let firing = now_ms.saturating_sub(millis(self.options.firing_memory));
        let resolved = now_ms.saturating_sub(millis(self.options.resolved_memory));
        let is_old = |entry: &Entry| {
            entry.is_idle()
                && entry.known().is_some_and(|known| match known.status {
                    Status::Firing => known.seen_ms < firing,
                    Status::Resolved => known.seen_ms < resolved,
                })
        };
        let old: Vec<Id> = self.all.entries.ids().filter(|id| is_old(&self.all.entries[*id])).collect();
        for id in old {
            self.update(id, |entry| entry.forget_known());
            self.rest(id);
        }
        self.all.entries.shrink();
        self.shrink_groups();
    }

    /// Positions that wait, are in flight or held.
    #[cfg(test)]
    pub(super) fn positions(&self) -> Vec<i64> {
        let of = |entry: &Entry| {
            let waiting = entry.waiting.map(|waiting| waiting.pos());
            let flight = entry.flight().map(|flight| flight.state.pos);
            [waiting, flight, entry.held().map(|held| held.state.pos)].into_iter().flatten().collect::<Vec<_>>()
        };
        let mut all: Vec<i64> = self.all.entries.ids().flat_map(|id| of(&self.all.entries[id])).collect();
        all.sort_unstable();
        all
    }
}
