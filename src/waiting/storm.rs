//! When groups leave one by one, and when everything leaves at once as a digest.
//!
//! Outside a storm:
//!
//! - up to [`StormOptions::threshold`] waiting groups leave one by one;
//! - more begin a storm. Its first digest leaves at once, unless the last one of an earlier storm is younger than
//!   [`StormOptions::interval`].
//!
//! In a storm:
//!
//! - Nothing leaves alone but new critical alerts. While a digest is on its way no other leaves.
//! - A digest is due an interval after the last one was delivered. When by then little waits (a quarter of the threshold),
//!   the storm ends instead, and that leaves one by one.
//! - Critical alerts do not wait for it: each group's leave alone, the oldest first. When more groups have some than there
//!   are tokens, a digest leaves with the next token, once the oldest of them is two seconds old: a burst is told at once and
//!   not in pieces. But so that with the digests that will be due no minute gets more
//!   than [`StormState::RECENT`], as far as the interval alone allows that.
//! - No critical alert waits for longer than ten seconds for others: when the next one would, a digest leaves, however many
//!   have left. So when critical alerts come faster than tokens for long, there are more digests.
//!
//! A digest that was not delivered does not count: another may leave at once. After one that could not hold all that
//! waited, the next leaves at once, too.
//!
//! Intervals are measured with the monotonic clock; only the age of a critical alert, and what is restored, are taken from
//! the wall clock.

use std::time::Duration;

use crate::model::{Millis, StormState};

/// How long digests are counted.
const MINUTE: Nanos = 60 * 1_000_000_000;

/// A critical alert is told within ten seconds; the rest is for composing, for the way, and for a robot whose messages must be a
/// little farther apart because few tokens are left.
const CRITICAL_WAITS_MS: Millis = 8_000;

/// How long a burst of critical alerts may take to arrive.
const GATHERS: Duration = Duration::from_secs(2);

/// Monotonic time; signed, because what is restored was before this process began.
type Nanos = i128;

fn nanos(duration: Duration) -> Nanos {
    // A Duration has at most 2^94 of them.
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX / 4)
}

fn duration(nanos: Nanos) -> Duration {
    let nanos = u128::try_from(nanos).unwrap_or(0);
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    match (u64::try_from(seconds), u32::try_from(rest)) {
        (Ok(seconds), Ok(rest)) => Duration::new(seconds, rest),
        _ => Duration::MAX,
    }
}

/// When and how digests leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StormOptions {
    /// The least time between two digests.
    pub interval: Duration,
    /// Up to this many waiting groups leave as single messages; at least 1.
    pub threshold: usize,
}

impl StormOptions {
    /// So few waiting groups end a storm.
    const fn little(&self) -> usize {
        self.threshold.div_ceil(4)
    }
}

/// What waits, and what the robot can take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Demand<'a> {
    /// Groups that could be told now.
    pub groups: usize,
    /// Of each group with new critical alerts: when the oldest of those was accepted, the oldest first. As many as
    /// `tokens`, and one more, are enough; at least two.
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

impl Demand<'_> {
    /// Whether the second oldest critical alert would be told too late, if the oldest left alone now.
    fn is_late(&self) -> bool {
        let Some(second) = self.critical.get(1) else { return false };
        let spacing = Millis::try_from(self.spacing.as_millis()).unwrap_or(Millis::MAX);
        self.now_ms.saturating_sub(*second).saturating_add(spacing) > CRITICAL_WAITS_MS
    }

    /// How long a digest waits for the rest of a burst of critical alerts.
    fn gathers(&self) -> Option<Duration> {
        let age = self.now_ms.saturating_sub(*self.critical.first()?);
        // A wall clock that stepped back must not stretch it.
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(u64::MAX));
        GATHERS.checked_sub(age).filter(|left| !left.is_zero())
    }
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
    /// When the newest digests were delivered, oldest first; also those of an earlier storm.
    recent: [Option<Nanos>; StormState::RECENT],
    /// Whether a digest is on its way.
    flying: bool,
    /// Whether the last digest did not hold all that waited.
    short: bool,
}

impl Storm {
    /// What was stored of it. Stored times in the future count as now. Nobody stores that a storm has ended: one without a
    /// digest for two intervals has, and only when its digests left is of use.
    pub fn restore(state: Option<StormState>, options: &StormOptions, now_ms: Millis, now: Duration) -> Self {
        let before = |then_ms: Millis| {
            let age_ms = now_ms.saturating_sub(then_ms).max(0);
            (then_ms != 0).then(|| nanos(now) - Nanos::from(age_ms) * 1_000_000)
        };
        let mut recent = state.map(|state| state.recent_ms.map(before)).unwrap_or_default();
        recent.sort_unstable();
        let goes_on = |state: &StormState| {
            let last = state.since_ms.max(state.last_digest_ms());
            Nanos::from(now_ms.saturating_sub(last)) * 1_000_000 <= nanos(options.interval) * 2
        };
        let state = state.filter(goes_on);
        Self { state, recent, flying: false, short: false }
    }

    /// What leaves next. Begins and ends the storm.
    pub fn plan(&mut self, demand: &Demand<'_>, options: &StormOptions) -> Plan {
        match demand.groups {
            0 if !self.is_on() => return Plan::Wait(None),
            groups if !self.is_on() && groups <= options.threshold => return Plan::Group,
            _ => {}
        }
        self.state.get_or_insert_with(|| begun(demand.now_ms));
        let has_critical = !demand.critical.is_empty();
        if self.flying {
            return if has_critical { Plan::Critical } else { Plan::Wait(None) };
        }
        match self.due(options).filter(|due| !self.short && *due > nanos(demand.now)) {
            None if demand.groups > options.little() => Plan::Digest,
            None => {
                self.state = None;
                self.short = false;
                if demand.groups > 0 { Plan::Group } else { Plan::Wait(None) }
            }
            Some(due) if !has_critical => Plan::Wait(Some(duration(due))),
            Some(_) if demand.is_late() => Plan::Digest,
            Some(due) if self.hurries(demand, options) => match demand.gathers() {
                Some(left) => Plan::Wait(Some(duration(due.min(nanos(demand.now) + nanos(left))))),
                None => Plan::Digest,
            },
            Some(_) => Plan::Critical,
        }
    }

    /// When the next digest is due; `None` before the first.
    fn due(&self, options: &StormOptions) -> Option<Nanos> {
        self.recent[StormState::RECENT - 1].map(|last| last + nanos(options.interval))
    }

    /// Whether a digest leaves before it is due, for the critical alerts that wait.
    fn hurries(&self, demand: &Demand<'_>, options: &StormOptions) -> bool {
        let too_many = demand.critical.len() > usize::try_from(demand.tokens).unwrap_or(usize::MAX);
        too_many && self.leaves_room(nanos(demand.now), nanos(options.interval))
    }

    /// Whether after a digest now, and one after each interval from now, no minute has too many.
    fn leaves_room(&self, now: Nanos, interval: Nanos) -> bool {
        (0..StormState::RECENT).zip(0..).all(|(later, intervals)| {
            let since = now + interval * intervals - MINUTE;
            let counted = self.recent.iter().flatten().filter(|left| **left > since).count();
            since >= now || counted + later < StormState::RECENT
        })
    }

    /// A digest is on its way: no other leaves until [`Storm::stays`] or [`Storm::delivered`].
    pub const fn leaves(&mut self) {
        self.flying = true;
    }

    /// The digest that was just delivered did not hold all that waited: the next need not wait for its time.
    pub const fn fell_short(&mut self) {
        self.short = true;
    }

    /// The digest was not told.
    pub const fn stays(&mut self) {
        self.flying = false;
    }

    /// The storm after a message that tells so many alerts, to be shown in it and stored with its outcome. `None` when
    /// there is no storm. A digest is always one's.
    pub fn after(&self, digest: bool, firing: u64, resolved: u64, now_ms: Millis) -> Option<StormState> {
        let mut state = self.state.or_else(|| digest.then(|| begun(now_ms)))?;
        if digest {
            state.recent_ms.rotate_left(1);
            state.recent_ms[StormState::RECENT - 1] = now_ms;
            state.digests = state.digests.saturating_add(1);
        }
        state.firing = state.firing.saturating_add(firing);
        state.resolved = state.resolved.saturating_add(resolved);
        Some(state)
    }

    /// A message was delivered: takes over what [`Storm::after`] said of it. When two robots of a pool tell at once, it
    /// may not know of the other message: nothing is taken back that was counted, and no storm begins or ends by a
    /// message that is not a digest.
    pub fn delivered(&mut self, digest: bool, after: Option<StormState>, now: Duration) {
        if digest {
            self.flying = false;
            self.short = false;
            self.recent.rotate_left(1);
            self.recent[StormState::RECENT - 1] = Some(nanos(now));
        }
        self.state = match (self.state, after) {
            (Some(state), Some(after)) if state.since_ms == after.since_ms => Some(joined(&state, &after)),
            (_, Some(after)) if digest => Some(after),
            (state, _) => state,
        };
    }

    /// Whether there is a storm.
    pub const fn is_on(&self) -> bool {
        self.state.is_some()
    }
}

fn begun(now_ms: Millis) -> StormState {
    StormState { since_ms: now_ms, ..StormState::default() }
}

fn joined(one: &StormState, other: &StormState) -> StormState {
    let newer = if other.digests >= one.digests { other } else { one };
    StormState { firing: one.firing.max(other.firing), resolved: one.resolved.max(other.resolved), ..*newer }
}
