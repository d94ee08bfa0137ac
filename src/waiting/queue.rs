//! The queue of one bot.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::entry::{Arrival, Entry, Waiting};
use super::group::{Group, Urgency};
use super::{Item, Options, Picked, Told};
use crate::model::{Change, Fingerprint, GroupId, Head, HeadFlags, How, Millis, Status};

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
pub struct Queue {
    options: Options,
    entries: HashMap<Fingerprint, Entry>,
    groups: HashMap<GroupId, Group>,
    ready: BTreeSet<(Urgency, GroupId)>,
    held: BTreeSet<(Millis, Fingerprint)>,
    /// Positions that were superseded and whose rows nobody has deleted yet.
    garbage: Vec<i64>,
    terms: Terms,
    repeats: u64,
    len: u64,
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4)
}

impl Queue {
    /// An empty queue whose counters continue from `terms`.
    pub fn new(options: Options, terms: Terms) -> Self {
        Self {
            options,
            entries: HashMap::new(),
            groups: HashMap::new(),
            ready: BTreeSet::new(),
            held: BTreeSet::new(),
            garbage: Vec::new(),
            terms,
            repeats: 0,
            len: 0,
        }
    }

    /// Takes new options; states already held keep their time.
    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// Restores a remembered told state; before any head.
    pub fn remember(&mut self, fingerprint: Fingerprint, group: GroupId, told: Told) {
        let entry = self.entries.entry(fingerprint).or_default();
        entry.group = group;
        entry.told = Some(Box::new(told));
        if told.status == Status::Firing {
            self.groups.entry(group).or_default().told_firing += 1;
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
    pub fn groups_waiting(&self) -> usize {
        self.ready.len()
    }

    /// States recognised as repeats since the start.
    pub const fn repeats(&self) -> u64 {
        self.repeats
    }

    /// When the oldest state that waits was accepted. Walks the groups: for scrapes, not for hot paths.
    pub fn oldest_ms(&self) -> Option<Millis> {
        let waiting = self.ready.iter().map(|(urgency, _)| urgency.since_ms).min();
        let flying = self.entries.values().filter_map(|e| e.flight.as_ref().map(|w| w.since_ms)).min();
        [waiting, flying].into_iter().flatten().min()
    }

    /// Whether this chat knows, or will be told, that the alert fires: then it must hear of its end.
    pub fn fires(&self, fingerprint: Fingerprint) -> bool {
        self.entries.get(&fingerprint).is_some_and(Entry::fires)
    }

    /// Takes the next head, in position order.
    pub fn apply(&mut self, head: Head) {
        self.terms.accepted = self.terms.accepted.max(u64::try_from(head.pos).unwrap_or(0));
        self.len += 1;
        let window = millis(self.options.dedup_window);
        let arrival = self
            .entries
            .get(&head.fingerprint)
            .map_or_else(|| Entry::default().classify(&head, window), |entry| entry.classify(&head, window));
        match arrival {
            Arrival::News => self.news(head),
            Arrival::Hold(until) => self.hold(head, until),
            Arrival::Repeat => {
                self.repeats += 1;
                self.supersede(head.pos);
                if head.status == Status::Resolved {
                    self.drop_held(head.fingerprint);
                }
            }
            Arrival::Silent => self.silent(&head),
        }
    }

    fn supersede(&mut self, pos: i64) {
        self.terms.superseded += 1;
        self.len -= 1;
        self.garbage.push(pos);
    }

    fn drop_held(&mut self, fingerprint: Fingerprint) {
        let Some(held) = self.entries.get_mut(&fingerprint).and_then(|entry| entry.held.take()) else { return };
        self.held.remove(&(held.1, fingerprint));
        self.repeats += 1;
        self.supersede(held.0.pos);
    }

    fn hold(&mut self, head: Head, until: Millis) {
        self.drop_held(head.fingerprint);
        let entry = self.entries.entry(head.fingerprint).or_default();
        entry.held = Some(Box::new((head, until)));
        self.held.insert((until, head.fingerprint));
    }

    /// A resolve that is noted but not told.
    fn silent(&mut self, head: &Head) {
        self.drop_held(head.fingerprint);
        self.supersede(head.pos);
        let Some(entry) = self.entries.get_mut(&head.fingerprint) else { return };
        if let Some(waiting) = &mut entry.waiting {
            // It is still told that it fired; the message says that it has ended.
            waiting.head.ends_ms = head.ends_ms;
        }
        if entry.told_firing() {
            if let Some(told) = &mut entry.told {
                told.status = Status::Resolved;
                told.ends_ms = head.ends_ms;
                told.accepted_ms = head.accepted_ms;
            }
            let group = entry.group;
            self.told_firing_less(group);
        }
    }

    fn told_firing_less(&mut self, group: GroupId) {
        if let Some(state) = self.groups.get_mut(&group) {
            state.told_firing = state.told_firing.saturating_sub(1);
            if state.is_empty() {
                self.groups.remove(&group);
            }
        }
    }

    fn news(&mut self, head: Head) {
        self.drop_held(head.fingerprint);
        let entry = self.entries.entry(head.fingerprint).or_default();
        entry.newest_repeats = head.flags.has(HeadFlags::REPEAT);
        let moved_from = (entry.group != head.group).then_some(entry.group);
        entry.group = head.group;
        let told_firing = entry.told_firing();
        let replaced = entry.waiting.map(|waiting| waiting.head.pos);
        let locked = entry.flight.is_some();
        entry.waiting = Some(entry.waiting.map_or(Waiting::of(head), |waiting| waiting.replaced_by(head)));
        if let Some(from) = moved_from {
            if told_firing {
                self.told_firing_less(from);
                self.groups.entry(head.group).or_default().told_firing += 1;
            }
            if replaced.is_some() && !locked {
                self.remove_waiting(from, head.fingerprint);
            }
        }
        if let Some(pos) = replaced {
            self.supersede(pos);
        }
        if locked {
            return;
        }
        if replaced.is_none() || moved_from.is_some() {
            self.add_waiting(head.fingerprint);
        } else {
            self.raise(head.fingerprint);
        }
    }

    fn urgency_of(entry: &Entry) -> Option<Urgency> {
        let waiting = entry.waiting.as_ref()?;
        Some(Urgency {
            reminder: entry.change(waiting) == Change::Unchanged,
            severity: waiting.head.severity,
            since_ms: waiting.since_ms,
        })
    }

    fn set_urgency(&mut self, id: GroupId, urgency: Option<Urgency>) {
        let group = self.groups.entry(id).or_default();
        if let Some(old) = group.urgency {
            self.ready.remove(&(old, id));
        }
        group.urgency = urgency;
        match urgency {
            Some(urgency) => {
                self.ready.insert((urgency, id));
            }
            None if group.is_empty() => {
                self.groups.remove(&id);
            }
            None => {}
        }
    }

    /// Lists an unlocked waiting alert in its group.
    fn add_waiting(&mut self, fingerprint: Fingerprint) {
        if let Some(entry) = self.entries.get(&fingerprint) {
            self.groups.entry(entry.group).or_default().waiting.push(fingerprint);
            self.raise(fingerprint);
        }
    }

    /// Lets a group's urgency rise to that of a member.
    fn raise(&mut self, fingerprint: Fingerprint) {
        let Some(entry) = self.entries.get(&fingerprint) else { return };
        let (id, Some(urgency)) = (entry.group, Self::urgency_of(entry)) else { return };
        let old = self.groups.get(&id).and_then(|group| group.urgency);
        let joined = old.map_or(urgency, |old| old.joined(urgency));
        if old != Some(joined) {
            self.set_urgency(id, Some(joined));
        }
    }

    fn remove_waiting(&mut self, id: GroupId, fingerprint: Fingerprint) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.waiting.retain(|member| *member != fingerprint);
            self.recompute(id);
        }
    }

    fn recompute(&mut self, id: GroupId) {
        let Some(group) = self.groups.get(&id) else { return };
        let urgency = group
            .waiting
            .iter()
            .filter_map(|member| self.entries.get(member).and_then(Self::urgency_of))
            .reduce(Urgency::joined);
        self.set_urgency(id, urgency);
    }

    /// The next time at which [`Queue::wake`] has something to do.
    pub fn next_wake_ms(&self) -> Option<Millis> {
        self.held.first().map(|(until, _)| *until)
    }

    /// Lets held states whose time has come wait like others.
    pub fn wake(&mut self, now_ms: Millis) {
        while let Some((until, fingerprint)) = self.held.first().copied() {
            if until > now_ms {
                return;
            }
            self.held.pop_first();
            if let Some(held) = self.entries.get_mut(&fingerprint).and_then(|entry| entry.held.take()) {
                self.news(held.0);
            }
        }
    }

    /// Whether something can be told now.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the most urgent group, at most `most(group)` of its alerts, and locks them.
    pub fn pick(&mut self, most: impl Fn(GroupId) -> usize) -> Option<Picked> {
        let (urgency, id) = *self.ready.first()?;
        let members = std::mem::take(&mut self.groups.get_mut(&id)?.waiting);
        let mut items: Vec<Item> = members.iter().filter_map(|member| self.item(*member)).collect();
        items.sort_by_key(|item| {
            (item.change == Change::Unchanged, item.head.status, item.head.severity, item.since_ms, item.head.pos)
        });
        let rest = items.split_off(items.len().min(most(id).max(1)));
        let mut telling_firing = 0;
        for item in &items {
            if let Some(entry) = self.entries.get_mut(&item.fingerprint()) {
                entry.flight = entry.waiting.take().map(Box::new);
                telling_firing += u32::from(entry.told_firing());
            }
        }
        let group = self.groups.get_mut(&id)?;
        group.waiting = rest.iter().map(Item::fingerprint).collect();
        let still_firing = group.told_firing.saturating_sub(telling_firing);
        self.recompute(id);
        Some(Picked { group: id, items, still_firing, reminder: urgency.reminder })
    }

    fn item(&self, fingerprint: Fingerprint) -> Option<Item> {
        let entry = self.entries.get(&fingerprint)?;
        let waiting = entry.waiting.as_ref()?;
        Some(Item {
            head: waiting.head,
            change: entry.change(waiting),
            flaps: waiting.flaps,
            since_ms: waiting.since_ms,
        })
    }

    /// Locks exactly these versions again after a restart, for a message whose outcome is unknown. Returns those
    /// that still wait; a version that is gone was told or replaced before.
    pub fn lock(&mut self, versions: &[(i64, Fingerprint)]) -> Vec<Item> {
        let mut items = Vec::new();
        for (pos, fingerprint) in versions {
            let Some(item) = self.item(*fingerprint).filter(|item| item.head.pos == *pos) else { continue };
            let Some(entry) = self.entries.get_mut(fingerprint) else { continue };
            entry.flight = entry.waiting.take().map(Box::new);
            let group = entry.group;
            self.remove_waiting(group, *fingerprint);
            items.push(item);
        }
        items
    }

    /// These versions were told.
    pub fn told(&mut self, told: &[(i64, Fingerprint, How)], now_ms: Millis) {
        for (pos, fingerprint, how) in told {
            let Some(flight) = self.land(*fingerprint, *pos) else { continue };
            self.len -= 1;
            match how {
                How::Named => self.terms.told_named += 1,
                How::Counted => self.terms.told_counted += 1,
            }
            let Some(entry) = self.entries.get_mut(fingerprint) else { continue };
            let was_firing = entry.told_firing();
            // A firing whose end was noted silently was told with that end.
            let ended = flight.head.ends_ms != 0;
            entry.told = Some(Box::new(Told {
                status: if ended { Status::Resolved } else { flight.head.status },
                starts_ms: flight.head.starts_ms,
                ends_ms: flight.head.ends_ms,
                accepted_ms: flight.head.accepted_ms,
                told_ms: now_ms,
            }));
            let (group, is_firing) = (entry.group, entry.told_firing());
            match (was_firing, is_firing) {
                (false, true) => self.groups.entry(group).or_default().told_firing += 1,
                (true, false) => self.told_firing_less(group),
                _ => {}
            }
            self.unlock(*fingerprint);
        }
    }

    /// These versions were not told: they wait again, unless a newer state has come meanwhile.
    pub fn released(&mut self, versions: &[(i64, Fingerprint)]) {
        for (pos, fingerprint) in versions {
            let Some(flight) = self.land(*fingerprint, *pos) else { continue };
            let Some(entry) = self.entries.get_mut(fingerprint) else { continue };
            let newer = entry.waiting.take();
            let mut waiting = newer.map_or(flight, |newer| flight.replaced_by(newer.head));
            waiting.flaps = waiting.flaps.saturating_add(newer.map_or(0, |newer| newer.flaps));
            entry.waiting = Some(waiting);
            if newer.is_some() {
                self.supersede(flight.head.pos);
            }
            self.unlock(*fingerprint);
        }
    }

    /// These versions became dead letters.
    pub fn dead(&mut self, versions: &[(i64, Fingerprint)]) {
        for (pos, fingerprint) in versions {
            if self.land(*fingerprint, *pos).is_some() {
                self.len -= 1;
                self.terms.dead += 1;
                self.unlock(*fingerprint);
            }
        }
    }

    fn land(&mut self, fingerprint: Fingerprint, pos: i64) -> Option<Waiting> {
        let entry = self.entries.get_mut(&fingerprint)?;
        entry.flight.as_ref().filter(|flight| flight.head.pos == pos)?;
        entry.flight.take().map(|flight| *flight)
    }

    fn unlock(&mut self, fingerprint: Fingerprint) {
        match self.entries.get(&fingerprint) {
            Some(entry) if entry.waiting.is_some() => self.add_waiting(fingerprint),
            Some(entry) if entry.is_idle() && entry.told.is_none() => {
                self.entries.remove(&fingerprint);
            }
            _ => {}
        }
    }

    /// Everything up to this position now waits elsewhere, or became dead letters: the store has moved it. Nothing may be
    /// in flight.
    pub fn moved(&mut self, up_to: i64, dead: bool) {
        let gone = |head: &Head| head.pos <= up_to;
        let mut moved = 0;
        let mut left = Vec::new();
        for (fingerprint, entry) in &mut self.entries {
            if entry.held.as_ref().is_some_and(|held| gone(&held.0))
                && let Some(held) = entry.held.take()
            {
                self.held.remove(&(held.1, *fingerprint));
                moved += 1;
            }
            if entry.flight.is_none() && entry.waiting.as_ref().is_some_and(|waiting| gone(&waiting.head)) {
                entry.waiting = None;
                moved += 1;
                left.push((entry.group, *fingerprint));
            }
        }
        for (group, fingerprint) in left {
            self.remove_waiting(group, fingerprint);
        }
        self.entries.retain(|_, entry| !entry.is_idle() || entry.told.is_some());
        self.garbage.retain(|pos| *pos > up_to);
        self.len -= moved;
        if dead {
            self.terms.dead += moved;
        } else {
            self.terms.superseded += moved;
        }
    }

    /// Hands over the superseded positions (at most `most`) whose rows can be deleted.
    pub fn take_garbage(&mut self, most: usize) -> Vec<i64> {
        let keep = self.garbage.len().saturating_sub(most);
        self.garbage.split_off(keep)
    }

    /// Takes back positions whose deletion failed.
    pub fn return_garbage(&mut self, positions: Vec<i64>) {
        self.garbage.extend(positions);
    }

    /// How many superseded positions wait for their deletion.
    pub fn garbage_len(&self) -> usize {
        self.garbage.len()
    }

    /// Forgets told states that are too old. Walks all alerts: call it every few minutes.
    pub fn forget(&mut self, now_ms: Millis) {
        let firing = now_ms - millis(self.options.firing_memory);
        let resolved = now_ms - millis(self.options.resolved_memory);
        let mut gone = Vec::new();
        self.entries.retain(|_, entry| {
            let Some(told) = entry.told.as_ref().filter(|_| entry.is_idle()) else { return true };
            let keep = match told.status {
                Status::Firing => told.accepted_ms >= firing,
                Status::Resolved => told.accepted_ms >= resolved,
            };
            if !keep && told.status == Status::Firing {
                gone.push(entry.group);
            }
            keep
        });
        for group in gone {
            self.told_firing_less(group);
        }
    }

    /// Versions that wait, are in flight or held; for moving a queue elsewhere and for tests.
    #[cfg(test)]
    pub(super) fn positions(&self) -> Vec<i64> {
        let mut all: Vec<i64> = self
            .entries
            .values()
            .flat_map(|e| {
                let waiting = e.waiting.map(|w| w.head.pos);
                let flight = e.flight.as_ref().map(|w| w.head.pos);
                [waiting, flight, e.held.as_ref().map(|h| h.0.pos)].into_iter().flatten()
            })
            .collect();
        all.sort_unstable();
        all
    }
}
