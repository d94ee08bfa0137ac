//! When groups leave one by one, and when everything leaves at once as a digest.

use std::time::Duration;

use crate::model::{Millis, StormState};

/// When and how digests leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StormOptions {
    /// The least time between two digests.
    pub interval: Duration,
    /// Up to this many waiting groups leave as single messages; at least 1.
    pub threshold: usize,
}

/// What waits, and what the robot can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Demand<'a> {
    /// Groups that could be told now.
    pub groups: usize,
    /// Of each group with new critical alerts: when the oldest of those was accepted, the oldest first. As many as
    /// `tokens`, and one more, are enough.
    pub critical: &'a [Millis],
    /// Messages that the robot would take at once.
    pub tokens: u32,
    /// How far apart its messages are at least.
    pub spacing: Duration,
    /// Monotonic time.
    pub now: Duration,
    /// Wall clock.
    pub now_ms: Millis,
}

/// What leaves next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan {
    /// The most urgent group.
    Group,
    /// The most urgent group's new critical alerts.
    Critical,
    /// Everything at once.
    Digest,
    /// Nothing until then (monotonic), or until something changes.
    Wait(Option<Duration>),
}

/// Whether a bot's chat is in a storm.
#[derive(Debug, Default)]
pub struct Storm {
    state: Option<StormState>,
}

impl Storm {
    /// What was stored of it.
    pub fn restore(state: Option<StormState>, _now_ms: Millis, _now: Duration) -> Self {
        Self { state }
    }

    /// What leaves next. Begins and ends the storm.
    pub fn plan(&mut self, demand: &Demand<'_>, _options: &StormOptions) -> Plan {
        if demand.groups > 0 { Plan::Group } else { Plan::Wait(None) }
    }

    /// A digest is on its way: no other leaves until [`Storm::stays`] or [`Storm::delivered`].
    pub fn leaves(&mut self) {}

    /// The digest was not told.
    pub fn stays(&mut self) {}

    /// The storm after a message that tells so many alerts, to be shown in it and stored with its outcome. `None` when
    /// there is no storm.
    pub fn after(&self, _digest: bool, _firing: u64, _resolved: u64, _now_ms: Millis) -> Option<StormState> {
        self.state
    }

    /// A message was delivered: takes over what [`Storm::after`] said.
    pub fn delivered(&mut self, _digest: bool, after: Option<StormState>, _now: Duration) {
        self.state = after;
    }

    /// Whether there is a storm.
    pub const fn is_on(&self) -> bool {
        self.state.is_some()
    }
}
