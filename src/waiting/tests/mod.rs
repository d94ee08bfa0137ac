//! The rules, one by one, in the words of those who are told.
#![allow(clippy::unwrap_used, clippy::panic)]

mod duplicates;
mod flights;
mod memory;
mod merging;
mod model;
mod order;
mod plain;
mod recorded;
mod rows;
mod silent;
mod size;
mod storm;
mod takeover;
mod tree;
mod urgent;
mod weather;

use super::{Item, Options, Picked, Queue, Terms};
use crate::model::{Change, Fingerprint, GroupId, Head, HeadFlags, How, Millis, Status, fnv1a};

const WINDOW: i64 = 45;
const CRITICAL: u8 = 0;
const WARNING: u8 = 2;

fn id(name: &str) -> Fingerprint {
    Fingerprint(fnv1a([name.as_bytes()]))
}

fn group_id(name: &str) -> GroupId {
    fnv1a([name.as_bytes()])
}

fn ms(seconds: i64) -> Millis {
    seconds * 1_000
}

/// A state of an alert, with times in seconds: of group "g", a warning, begun at 10 and accepted then unless said.
#[derive(Clone, Copy)]
struct State(Head);

fn state(name: &str, status: Status) -> State {
    State(Head {
        pos: 0,
        body: 1,
        idx: 0,
        fingerprint: id(name),
        group: group_id("g"),
        status,
        severity: WARNING,
        flags: HeadFlags(0),
        starts_ms: ms(10),
        ends_ms: 0,
        accepted_ms: ms(10),
        via: 1,
    })
}

fn firing(name: &str) -> State {
    state(name, Status::Firing)
}

/// Ended at 20 unless said.
fn resolved(name: &str) -> State {
    state(name, Status::Resolved).ends(20)
}

impl State {
    fn at(self, seconds: i64) -> Self {
        Self(Head { accepted_ms: ms(seconds), ..self.0 })
    }

    fn starts(self, seconds: i64) -> Self {
        Self(Head { starts_ms: ms(seconds), ..self.0 })
    }

    fn ends(self, seconds: i64) -> Self {
        Self(Head { ends_ms: ms(seconds), ..self.0 })
    }

    fn of(self, group: &str) -> Self {
        Self(Head { group: group_id(group), ..self.0 })
    }

    fn severity(self, severity: u8) -> Self {
        Self(Head { severity, ..self.0 })
    }

    fn flag(self, flag: u8) -> Self {
        Self(Head { flags: HeadFlags(self.0.flags.0 | flag), ..self.0 })
    }

    /// From a body that says "repeat interval elapsed".
    fn again(self) -> Self {
        self.flag(HeadFlags::REPEAT)
    }

    /// To a bot that is told of firings only.
    fn silent(self) -> Self {
        self.flag(HeadFlags::SILENT)
    }

    fn replayed(self) -> Self {
        self.flag(HeadFlags::REPLAY)
    }
}

struct Chat {
    queue: Queue,
    accepted: i64,
}

fn chat() -> Chat {
    Chat { queue: Queue::new(Options::default(), Terms::default()), accepted: 0 }
}

/// A chat that was told these, each at the time at which it was accepted.
fn told(states: &[State]) -> Chat {
    let mut chat = chat();
    for state in states {
        chat.hears(*state);
        chat.tell_all();
    }
    chat
}

fn versions(picked: &Picked) -> Vec<(i64, Fingerprint)> {
    picked.items.iter().map(|item| (item.head.pos, item.fingerprint())).collect()
}

impl Chat {
    fn hears(&mut self, state: State) -> &mut Self {
        self.accepted += 1;
        self.queue.apply(Head { pos: self.accepted, ..state.0 });
        self
    }

    fn pick(&mut self) -> Picked {
        self.queue.pick(|_| usize::MAX).unwrap()
    }

    fn told(&mut self, picked: &Picked) {
        let told: Vec<_> = picked.items.iter().map(|item| (item.head.pos, item.fingerprint(), How::Named)).collect();
        self.queue.told(&told, 0);
    }

    fn released(&mut self, picked: &Picked) {
        self.queue.released(&versions(picked));
    }

    fn dead(&mut self, picked: &Picked) {
        self.queue.dead(&versions(picked));
    }

    /// Tells all that waits, message by message.
    fn tell_all(&mut self) -> Vec<Picked> {
        let mut messages = Vec::new();
        while let Some(picked) = self.queue.pick(|_| usize::MAX) {
            self.told(&picked);
            messages.push(picked);
        }
        messages
    }

    /// What all messages say, alert by alert.
    fn says(&mut self) -> Vec<(Fingerprint, Change)> {
        self.tell_all().iter().flat_map(|picked| &picked.items).map(|i| (i.fingerprint(), i.change)).collect()
    }

    fn says_nothing(&mut self) {
        assert_eq!(self.says(), []);
        assert_eq!(self.queue.len(), 0);
    }

    fn only(&mut self) -> Item {
        let picked = self.pick();
        assert_eq!(picked.items.len(), 1);
        self.told(&picked);
        picked.items[0]
    }
}

fn says(name: &str, change: Change) -> Vec<(Fingerprint, Change)> {
    vec![(id(name), change)]
}

#[test]
fn a_firing_is_told_once_and_its_end_once() {
    let mut chat = chat();
    chat.hears(firing("a"));
    assert_eq!(chat.says(), says("a", Change::New));
    chat.hears(resolved("a").at(30));
    assert_eq!(chat.says(), says("a", Change::Resolved));
    chat.says_nothing();
}
