//! Random lives of a queue, beside the plain rules and a store that can crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::plain::{Fate, Plain, flaps};
use crate::model::{Change, Fingerprint, Head, HeadFlags, How, Millis, Status};
use crate::waiting::{Item, Options, Picked, Queue, Terms, Told};

const ALERTS: u64 = 4;

#[derive(Clone, Debug)]
struct Arrives {
    alert: u64,
    group: u64,
    firing: bool,
    severity: u8,
    starts: u8,
    ends: u8,
    flags: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Becomes {
    Told,
    Dead,
    /// They wait for another bot now.
    HandedOver,
    Kept,
}

#[derive(Clone, Debug)]
enum Step {
    Arrives(Arrives),
    Clock(Millis),
    Wake,
    Pick(usize),
    PickCritical,
    PickSome(usize),
    /// A message's outcome; the states arrive between the store's commit and the queue's hearing of it.
    Outcome(usize, Becomes, usize, Vec<Arrives>),
    CleanUp(usize, bool),
    /// The process is killed and starts again; so many open messages are taken up.
    Crash(usize),
}

/// Which of the rare things may happen. Some cost a little exactness over a restart: of a told reminder it is not stored
/// that it was one; a clock that steps back mixes up "before" and "after"; what comes after a state that dies was compared
/// with that one, and is compared with the told one after, as is a silent end before it; a replayed letter that found a newer
/// state in flight is taken up again once that is told; of a reminder that ended silently not even `startsAt` is left.
#[derive(Clone, Copy, Debug)]
struct World {
    silent: bool,
    deaths: bool,
    repeats: bool,
    replays: bool,
    steps_back: bool,
    late_after_death: bool,
    odd_starts: bool,
}

const TAME: World = World {
    silent: false,
    deaths: false,
    repeats: false,
    replays: false,
    steps_back: false,
    late_after_death: false,
    odd_starts: true,
};
const SILENT: World = World { silent: true, odd_starts: false, ..TAME };
const DEADLY: World = World { deaths: true, ..TAME };
const WILD: World = World {
    silent: true,
    deaths: true,
    repeats: true,
    replays: true,
    steps_back: true,
    late_after_death: true,
    odd_starts: true,
};

fn arrives(world: World) -> impl Strategy<Value = Arrives> {
    let flags = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.05));
    let flags = flags.prop_map(move |(repeat, silent, replay)| {
        if replay && world.replays {
            return HeadFlags::REPLAY;
        }
        u8::from(repeat && world.repeats) * HeadFlags::REPEAT + u8::from(silent && world.silent) * HeadFlags::SILENT
    });
    (0..ALERTS, 0_u64..3, any::<bool>(), 0_u8..3, 0_u8..6, 0_u8..4, flags).prop_map(
        |(alert, group, firing, severity, starts, ends, flags)| Arrives {
            alert,
            group,
            firing,
            severity,
            starts,
            ends,
            flags,
        },
    )
}

fn step(world: World) -> impl Strategy<Value = Step> {
    let back: Millis = if world.steps_back { -90_000 } else { 0 };
    let dies = if world.deaths { Becomes::Dead } else { Becomes::Kept };
    let leaves = if world.deaths { Becomes::HandedOver } else { Becomes::Kept };
    let becomes = prop_oneof![4 => Just(Becomes::Told), 1 => Just(dies), 1 => Just(leaves), 3 => Just(Becomes::Kept)];
    let meanwhile = prop::collection::vec(arrives(world), 0..3);
    prop_oneof![
        12 => arrives(world).prop_map(Step::Arrives),
        4 => (back..60_000).prop_map(Step::Clock),
        3 => Just(Step::Wake),
        3 => prop_oneof![Just(usize::MAX), 0_usize..4].prop_map(Step::Pick),
        1 => Just(Step::PickCritical),
        2 => prop_oneof![Just(usize::MAX), 0_usize..4].prop_map(Step::PickSome),
        5 => (0_usize..3, becomes, 0_usize..6, meanwhile).prop_map(|(at, be, most, meanwhile)| {
            Step::Outcome(at, be, most, meanwhile)
        }),
        2 => (0_usize..6, any::<bool>()).prop_map(|(most, fails)| Step::CleanUp(most, fails)),
        2 => (0_usize..3).prop_map(Step::Crash),
    ]
}

/// The rows that a store would have.
#[derive(Clone, Default)]
struct Rows {
    heads: BTreeMap<i64, Head>,
    told: BTreeMap<Fingerprint, (u64, Told)>,
    terms: Terms,
}

impl Rows {
    fn delete(&mut self, garbage: &[i64]) {
        for pos in garbage {
            assert!(self.heads.remove(pos).is_some(), "position {pos} was handed over twice, or is none");
            self.terms.superseded += 1;
        }
    }

    fn queue(&self) -> Queue {
        let mut queue = Queue::new(Options::default(), self.terms);
        for (fingerprint, (group, told)) in &self.told {
            queue.remember(*fingerprint, *group, *told);
        }
        for head in self.heads.values() {
            queue.apply(*head);
        }
        queue
    }
}

struct Life {
    world: World,
    queue: Queue,
    plain: Plain,
    rows: Rows,
    now_ms: Millis,
    messages: Vec<Picked>,
    /// Per alert: the position last told, and whether the chat then took it for firing.
    chat: BTreeMap<Fingerprint, (i64, bool)>,
    /// Per alert: the status that was accepted last.
    last: BTreeMap<Fingerprint, Status>,
    odd: BTreeSet<Fingerprint>,
    /// The clock was set back: which end is of which firing may be judged otherwise after a restart.
    stepped_back: bool,
    /// Per alert: since when it fires.
    episodes: BTreeMap<u64, Millis>,
}

fn versions(message: &Picked) -> Vec<(i64, Fingerprint)> {
    message.items.iter().map(|item| (item.head.pos, item.fingerprint())).collect()
}

fn seen_firing(item: &Item) -> bool {
    item.head.status == Status::Firing && item.head.ends_ms == 0
}

impl Life {
    fn new(world: World) -> Self {
        let options = Options::default();
        Self {
            world,
            queue: Queue::new(options, Terms::default()),
            plain: Plain::new(&options),
            rows: Rows::default(),
            now_ms: 1_000_000_000,
            messages: Vec::new(),
            chat: BTreeMap::new(),
            last: BTreeMap::new(),
            odd: BTreeSet::new(),
            stepped_back: false,
            episodes: BTreeMap::new(),
        }
    }

    fn live(&mut self, step: &Step) {
        match step {
            Step::Arrives(arrives) => self.arrive(arrives),
            Step::Clock(by) => {
                self.now_ms += by;
                self.stepped_back |= *by < 0;
            }
            Step::Wake => {
                self.queue.wake(self.now_ms);
                self.plain.wake(self.now_ms);
            }
            Step::Pick(most) => {
                let picked = self.queue.pick(|_| *most);
                assert_eq!(picked, self.plain.pick(*most));
                self.messages.extend(picked);
            }
            Step::PickCritical => {
                let picked = self.queue.pick_critical(|_| usize::MAX);
                assert_eq!(picked, self.plain.pick_critical());
                self.messages.extend(picked);
            }
            Step::PickSome(most) => {
                let items = self.queue.pick_some(*most);
                assert_eq!(items, self.plain.pick_some(*most));
                if !items.is_empty() {
                    self.messages.push(Picked { group: 0, items, still_firing: 0, reminder: false });
                }
            }
            Step::Outcome(at, becomes, most, meanwhile) => self.outcome(*at, *becomes, *most, meanwhile),
            Step::CleanUp(most, fails) => {
                let garbage = self.queue.take_garbage_for(&[], *most);
                if *fails {
                    self.queue.return_garbage(garbage);
                } else {
                    self.rows.delete(&garbage);
                }
            }
            Step::Crash(open) => self.crash(*open),
        }
        if matches!(step, Step::Pick(_) | Step::PickCritical | Step::PickSome(_)) {
            self.messages.last().into_iter().for_each(|message| self.check_changes(message));
        }
        self.check();
    }

    fn arrive(&mut self, arrives: &Arrives) {
        let episode = self.episodes.entry(arrives.alert).or_insert(self.now_ms);
        let starts_ms = match arrives.starts {
            1 => {
                *episode = self.now_ms;
                *episode
            }
            _ if !self.world.odd_starts => *episode,
            0 => 0,
            n => 1_000_000_000 + i64::from(n) * 20_000,
        };
        let ends_ms = [0, self.now_ms, starts_ms, starts_ms + 10_000][usize::from(arrives.ends)];
        let head = Head {
            pos: i64::try_from(self.rows.terms.accepted + 1).unwrap(),
            body: 7,
            idx: 3,
            fingerprint: Fingerprint(arrives.alert),
            group: arrives.group,
            status: if arrives.firing { Status::Firing } else { Status::Resolved },
            severity: arrives.severity,
            flags: HeadFlags(arrives.flags),
            starts_ms,
            ends_ms,
            accepted_ms: self.now_ms,
            via: 5,
        };
        self.rows.terms.accepted += 1;
        self.rows.heads.insert(head.pos, head);
        if head.flags.has(HeadFlags::REPLAY) {
            self.odd.insert(head.fingerprint);
        }
        self.queue.apply(head);
        self.plain.apply(head);
        // The end of an earlier firing says nothing of this one.
        if !self.plain.alerts[&head.fingerprint].has_begun_after(&head) {
            self.last.insert(head.fingerprint, head.status);
        } else if self.stepped_back {
            self.odd.insert(head.fingerprint);
        }
    }

    fn check_changes(&self, message: &Picked) {
        for item in &message.items {
            let knows = self.chat.get(&item.fingerprint()).map(|(_, firing)| *firing);
            match item.change {
                Change::New => assert_eq!(knows, None),
                // A silent end is forgotten by nobody but the chat.
                Change::Refired => assert!(knows.is_some()),
                Change::Resolved | Change::Unchanged => assert_eq!(knows, Some(true)),
                Change::FiredResolved => {}
            }
        }
    }

    fn outcome(&mut self, at: usize, becomes: Becomes, most: usize, meanwhile: &[Arrives]) {
        if self.messages.is_empty() {
            return;
        }
        let message = self.messages.swap_remove(at % self.messages.len());
        let followed = |item: &Item| {
            let alert = &self.plain.alerts[&item.fingerprint()];
            alert.held.is_some() || !alert.waiting.is_empty()
        };
        let gone = matches!(becomes, Becomes::Dead | Becomes::HandedOver);
        let gone = gone && (self.world.late_after_death || !message.items.iter().any(followed));
        let becomes = if gone || becomes == Becomes::Told { becomes } else { Becomes::Kept };
        let leaving = if becomes == Becomes::Kept { Vec::new() } else { versions(&message) };
        let garbage = self.queue.take_garbage_for(&leaving, most);
        self.rows.delete(&garbage);
        match becomes {
            Becomes::Told => self.commit_told(&message),
            Becomes::Dead | Becomes::HandedOver => message.items.iter().for_each(|item| {
                self.rows.heads.remove(&item.head.pos).unwrap();
                self.rows.terms.dead += u64::from(becomes == Becomes::Dead);
                self.rows.terms.superseded += u64::from(becomes == Becomes::HandedOver);
                self.odd.insert(item.fingerprint());
            }),
            Becomes::Kept => {}
        }
        if !gone || self.world.late_after_death {
            meanwhile.iter().for_each(|arrives| self.arrive(arrives));
        }
        self.conclude(&message, becomes);
    }

    fn commit_told(&mut self, message: &Picked) {
        for item in &message.items {
            self.rows.heads.remove(&item.head.pos).unwrap();
            self.rows.terms.told_named += 1;
            let told = Told {
                status: if seen_firing(item) { Status::Firing } else { Status::Resolved },
                starts_ms: item.head.starts_ms,
                ends_ms: item.head.ends_ms,
                accepted_ms: item.head.accepted_ms,
                told_ms: self.now_ms,
            };
            self.rows.told.insert(item.fingerprint(), (item.head.group, told));
            let before = self.chat.insert(item.fingerprint(), (item.head.pos, seen_firing(item)));
            assert!(before.is_none_or(|(pos, _)| pos < item.head.pos), "an older state was told after a newer one");
        }
    }

    fn conclude(&mut self, message: &Picked, becomes: Becomes) {
        let versions = versions(message);
        let told: Vec<_> = versions.iter().map(|(pos, fingerprint)| (*pos, *fingerprint, How::Named)).collect();
        match becomes {
            Becomes::Told => {
                self.queue.told(&told, self.now_ms);
                self.plain.told(&told);
            }
            Becomes::Dead => {
                self.queue.dead(&versions);
                self.plain.leave(&versions, Fate::Dead);
            }
            Becomes::HandedOver => {
                self.queue.handed_over(&versions);
                self.plain.leave(&versions, Fate::Superseded);
            }
            Becomes::Kept => {
                self.queue.released(&versions);
                self.plain.released(&versions);
            }
        }
    }

    fn crash(&mut self, open: usize) {
        let rebuilt = self.rows.queue();
        if !self.world.steps_back {
            self.compare(&rebuilt);
        }
        self.queue = rebuilt;
        self.plain = Plain::new(&Options::default());
        for (fingerprint, (group, told)) in &self.rows.told {
            self.plain.remember(*fingerprint, *group, told);
        }
        self.rows.heads.values().for_each(|head| self.plain.apply(*head));
        let messages = std::mem::take(&mut self.messages);
        for message in messages.into_iter().take(open) {
            let items = self.queue.lock(&versions(&message));
            assert_eq!(items, self.plain.lock(&versions(&message)));
            if !items.is_empty() {
                self.messages.push(Picked { items, ..message });
            }
        }
    }

    /// After a restart everything is as it was, with all messages given back.
    fn compare(&self, rebuilt: &Queue) {
        if self.plain.alerts.values().any(|alert| flaps(&alert.waiting) + flaps(&alert.flight) > 2) {
            // Of long stories only the ends are kept.
            return;
        }
        if self.plain.alerts.values().any(super::plain::Alert::goes_on_after_a_silent_end) {
            // Whether it counts as the end of a reminder depends on what was being sent.
            return;
        }
        let (mut before, mut after) = (self.queue.clone(), rebuilt.clone());
        self.messages.iter().for_each(|message| before.released(&versions(message)));
        let now = self.now_ms;
        [&mut before, &mut after].into_iter().for_each(|queue| queue.wake(now));
        assert_eq!(before.terms(), after.terms());
        assert_eq!(before.positions(), after.positions());
        assert_eq!(before.next_wake_ms(), after.next_wake_ms());
        for fingerprint in (0..ALERTS).map(Fingerprint) {
            assert_eq!(before.fires(fingerprint), after.fires(fingerprint));
            assert_eq!(before.was_told_firing(fingerprint), after.was_told_firing(fingerprint));
        }
        loop {
            let picked = before.pick(|_| usize::MAX);
            assert_eq!(picked, after.pick(|_| usize::MAX));
            if picked.is_none() {
                break;
            }
        }
    }

    fn check(&self) {
        let (queue, plain) = (&self.queue, &self.plain);
        let terms = queue.terms();
        assert_eq!(queue.positions(), plain.untold());
        assert_eq!(queue.len(), plain.count(Fate::Untold));
        assert_eq!(terms.accepted, self.rows.terms.accepted);
        let gone = terms.told_named + terms.told_counted + terms.superseded + terms.dead;
        assert_eq!(terms.accepted - gone, queue.len());
        assert_eq!(terms.told_named, self.rows.terms.told_named);
        assert_eq!(terms.dead, self.rows.terms.dead);
        super::tree::groups_hold(queue);
        assert_eq!(queue.groups_waiting(), plain.groups().len());
        assert_eq!(queue.next_wake_ms(), plain.next_wake_ms());
        for fingerprint in (0..ALERTS).map(Fingerprint) {
            let fires = plain.alerts.get(&fingerprint).is_some_and(super::plain::Alert::fires);
            assert_eq!(queue.fires(fingerprint), fires);
            let told_firing = plain.alerts.get(&fingerprint).is_some_and(super::plain::Alert::told_fires);
            assert_eq!(queue.was_told_firing(fingerprint), told_firing);
        }
        let critical = plain.critical();
        for most in 0..3 {
            assert_eq!(queue.critical(most), critical[..most.min(critical.len())]);
        }
        match (queue.oldest_ms(), plain.oldest_ms()) {
            (None, None) => {}
            (Some(oldest), Some(right)) => assert!(oldest <= right && right - oldest < 1_024),
            (oldest, right) => panic!("{oldest:?} instead of {right:?}"),
        }
        let garbage = queue.clone().take_garbage(usize::MAX);
        assert_eq!(garbage.len(), queue.garbage_len());
        for pos in garbage {
            assert!(!plain.fates.get(&pos).is_some_and(|fate| *fate == Fate::Untold), "{pos} is still needed");
            assert!(self.rows.heads.contains_key(&pos));
        }
    }

    /// Everything is told in the end, and the chat knows what is true.
    fn drain(&mut self) {
        while !self.messages.is_empty() {
            self.outcome(0, Becomes::Told, usize::MAX, &[]);
        }
        self.now_ms += 10_000_000;
        self.live(&Step::Wake);
        while self.queue.has_ready() {
            self.live(&Step::Pick(usize::MAX));
            self.live(&Step::Outcome(0, Becomes::Told, 0, Vec::new()));
        }
        assert!(self.queue.is_empty());
        for (fingerprint, status) in self.last.iter().filter(|(fingerprint, _)| !self.odd.contains(fingerprint)) {
            assert_eq!(self.queue.fires(*fingerprint), *status == Status::Firing, "{fingerprint}");
        }
        self.queue.forget(Millis::MAX / 2);
        let garbage = self.queue.take_garbage(usize::MAX);
        self.rows.delete(&garbage);
        assert!(self.rows.heads.is_empty(), "rows that nobody will delete: {:?}", self.rows.heads.keys());
        assert_eq!(self.rows.terms, self.queue.terms());
    }
}

fn live(world: World, steps: &[Step]) {
    let mut life = Life::new(world);
    for step in steps {
        life.live(step);
    }
    life.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_changes_nothing(steps in prop::collection::vec(step(TAME), 1..60)) {
        live(TAME, &steps);
    }

    #[test]
    fn a_restart_changes_nothing_where_resolves_are_not_told(steps in prop::collection::vec(step(SILENT), 1..60)) {
        live(SILENT, &steps);
    }

    #[test]
    fn a_restart_changes_nothing_where_messages_are_refused(steps in prop::collection::vec(step(DEADLY), 1..60)) {
        live(DEADLY, &steps);
    }

    #[test]
    fn the_queue_keeps_the_plain_rules(steps in prop::collection::vec(step(WILD), 1..80)) {
        live(WILD, &steps);
    }
}
