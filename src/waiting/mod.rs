//! The index of untold states of one bot: what waits, what repeats, what happened meanwhile, what is most urgent.
//!
//! Pure: fed with [`Head`]s in position order (the stored ones first, then each new one after its commit), asked for
//! the next group to tell, told what became of it. It can be rebuilt at any time from the remembered told states and
//! the stored heads, and then says the same: every rule looks only at those and at the times stored in them. For that
//! the store must delete superseded rows only as [`Queue::take_garbage`] and [`Queue::take_garbage_for`] say. What a
//! rebuilt queue does not know: that a told reminder was one, and of more than a few flaps how many.
//!
//! Every head that was ever applied is in exactly one place: waiting, in flight, held, told, superseded or dead.
//! [`Queue::terms`] and [`Queue::len`] are that equation.
//!
//! The most urgent comes first: reminders last, then by severity, firing before resolved, then by age. A group is as urgent
//! as its most urgent alert, so it has the age of the most urgent kind that waits in it, not of any.
//!
//! Costs: [`Queue::forget`] and [`Queue::moved`] walk all alerts; everything else takes about the same time however much
//! waits, besides what it hands out. A million waiting alerts take 82 MB in a hundred groups, 92 MB in a million; to take
//! them for a digest takes half a microsecond each (measured).

mod ages;
mod entry;
mod flights;
mod garbage;
mod group;
mod members;
mod queue;
mod slab;
mod state;
mod storm;
mod tree;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::model::{Change, Fingerprint, GroupId, Head, Millis, Status};

pub use queue::{Queue, Terms};
pub use storm::{Demand, Plan, Storm, StormOptions};

/// What is remembered for how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Within this time after a state was accepted, the same status again is a repeat.
    pub dedup_window: Duration,
    /// A told firing state is remembered this long.
    pub firing_memory: Duration,
    /// A told resolve is remembered this long.
    pub resolved_memory: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dedup_window: Duration::from_secs(45),
            firing_memory: Duration::from_secs(30 * 86_400),
            resolved_memory: Duration::from_secs(3_600),
        }
    }
}

/// The state that a chat was last told of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// Firing or resolved.
    pub status: Status,
    /// Its `startsAt`; 0 unknown.
    pub starts_ms: Millis,
    /// Its `endsAt`; 0 while it fires.
    pub ends_ms: Millis,
    /// When that state was accepted.
    pub accepted_ms: Millis,
    /// When it was told.
    pub told_ms: Millis,
}

/// One alert in a group that was picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// The version that will be told.
    pub head: Head,
    /// What it means to the chat.
    pub change: Change,
    /// Changes of status that were absorbed while it waited; 0 when this state is the only one.
    pub flaps: u16,
    /// When the oldest state that it stands for was accepted.
    pub since_ms: Millis,
}

impl Item {
    /// Which alert.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.head.fingerprint
    }
}

/// A group that is to be told now. Its alerts are locked until [`Queue::told`], [`Queue::released`] or
/// [`Queue::dead`] was called with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picked {
    /// Which group.
    pub group: GroupId,
    /// Changed alerts first, then by severity and age; at least one.
    pub items: Vec<Item>,
    /// Alerts of the group that fire unchanged as the chat knows, and are not among the items.
    pub still_firing: u32,
    /// Whether nothing changed: a reminder.
    pub reminder: bool,
}
