//! One robot's tokens.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Millis;

/// Nanoseconds on the monotonic clock; attempts of an earlier process lie before its zero.
type Nanos = i64;

/// A limit of more messages than this counts as this many: bounds the memory.
const MAX_TRACKED: u32 = 100_000;

/// With fewer attempts than this in the window the next one need not be spread.
const FREE_START: usize = 3;

/// The tokens of one robot, under all of its limits at the same time.
///
/// Times are those of [`Clock::mono`](crate::clock::Clock::mono). One attempt at a time: the caller sees to it.
/// Memory: 16 bytes for each attempt within the longest of the limits' windows, at most the largest limit's number.
#[derive(Clone, Debug)]
pub struct Bucket {
    limits: Vec<Limit>,
    /// In the order of their ends; an open one last.
    attempts: VecDeque<Attempt>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limit {
    /// At least 1.
    messages: usize,
    /// 1.01 of the vendor's window: clocks and networks are not exact.
    window: Nanos,
}

impl Limit {
    /// When the token comes back that an attempt took.
    fn back(self, attempt: &Attempt, now: Nanos) -> Nanos {
        attempt.ended.unwrap_or(now).saturating_add(self.window)
    }
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    started: Nanos,
    /// `None` while it is in flight.
    ended: Option<Nanos>,
}

impl Bucket {
    /// A bucket for "so many messages in any window of that length", full. Without limits it never makes wait; a limit
    /// of no messages counts as one of 1.
    pub fn new(limits: &[(u32, Duration)]) -> Self {
        let mut bucket = Self { limits: Vec::new(), attempts: VecDeque::new() };
        bucket.set_limits(limits);
        bucket
    }

    /// Sets other limits and keeps what was sent. When they look farther back than the old ones, what the bucket has
    /// forgotten must come from the store: call [`Bucket::restore`] with a longer past.
    pub fn set_limits(&mut self, limits: &[(u32, Duration)]) {
        self.limits = limits
            .iter()
            .map(|(messages, per)| {
                let per = nanos(*per);
                let messages = usize::try_from((*messages).clamp(1, MAX_TRACKED)).unwrap_or(1);
                Limit { messages, window: per.saturating_add(per / 100) }
            })
            .collect();
    }

    /// An attempt begins: its token is taken, before its first byte leaves.
    pub fn start(&mut self, now: Duration) {
        let now = nanos(now);
        self.attempts.push_back(Attempt { started: now, ended: None });
        self.forget(now);
    }

    /// The attempt in flight has ended, however it did. Its token comes back a window from now.
    pub fn end(&mut self, now: Duration) {
        let now = nanos(now);
        for attempt in self.attempts.iter_mut().rev().take_while(|attempt| attempt.ended.is_none()) {
            attempt.ended = Some(now.max(attempt.started));
        }
    }

    /// Replaces the past by stored attempts: wall clock start and end, `None` for one whose outcome nobody wrote down.
    /// That one, and times in the future, count as now. An attempt in flight in this bucket stays.
    ///
    /// A wall clock that was set back makes the bucket too careful; one that was set forward while no process ran makes
    /// attempts look older than they are, and nothing here can know.
    pub fn restore(
        &mut self,
        attempts: impl IntoIterator<Item = (Millis, Option<Millis>)>,
        wall_now_ms: Millis,
        now: Duration,
    ) {
        self.attempts.retain(|attempt| attempt.ended.is_none());
        self.add(attempts, wall_now_ms, now);
    }

    /// Adds stored attempts that another process made through this robot; times as in [`Bucket::restore`].
    pub fn add(
        &mut self,
        attempts: impl IntoIterator<Item = (Millis, Option<Millis>)>,
        wall_now_ms: Millis,
        now: Duration,
    ) {
        let now = nanos(now);
        let place = |wall: Millis| {
            let age = wall_now_ms.saturating_sub(wall).max(0);
            now.saturating_sub(age.saturating_mul(1_000_000))
        };
        for (started, ended) in attempts {
            // Stored times are cut to the millisecond: the end may have been almost one later.
            let ended = ended.map_or(now, |ended| place(ended.max(started).saturating_add(1)));
            self.attempts.push_back(Attempt { started: place(started), ended: Some(ended) });
        }
        self.attempts.make_contiguous().sort_by_key(|attempt| (attempt.ended.unwrap_or(Nanos::MAX), attempt.started));
        self.forget(now);
    }

    /// When the next attempt may start; `now` or later, and never earlier when asked again later.
    ///
    /// Attempt n+L starts no sooner than 1.01 windows after attempt n has ended. With fewer than three attempts in the
    /// window: at once. Else the wait since the last start is at least 1.01 windows / L, and at least the time until the
    /// next token comes back shared by the tokens that are left.
    pub fn earliest(&self, now: Duration) -> Duration {
        let at = nanos(now);
        let latest = self.limits.iter().map(|limit| self.earliest_under(*limit, at)).max().unwrap_or(at);
        now.max(Duration::from_nanos(u64::try_from(latest).unwrap_or(0)))
    }

    /// How far apart attempts are when all tokens are in use: the longest under any limit, zero without one.
    pub fn spacing(&self) -> Duration {
        let apart = self.limits.iter().map(|limit| limit.window / count(limit.messages)).max().unwrap_or(0);
        Duration::from_nanos(u64::try_from(apart).unwrap_or(0))
    }

    /// Attempts that could start at once but for the spreading: the fewest left under any limit. `u32::MAX` without one.
    pub fn tokens(&self, now: Duration) -> u32 {
        let now = nanos(now);
        let free = |limit: &Limit| limit.messages.saturating_sub(self.used(*limit, now, now));
        self.limits.iter().map(free).min().map_or(u32::MAX, |free| u32::try_from(free).unwrap_or(u32::MAX))
    }

    fn earliest_under(&self, limit: Limit, now: Nanos) -> Nanos {
        let last = self.attempts.len().checked_sub(limit.messages).and_then(|at| self.attempts.get(at));
        let allowed = last.map_or(now, |attempt| limit.back(attempt, now));
        allowed.max(self.spread(limit, now)).max(now)
    }

    /// The first time at which the even spread allows the next attempt: the first since the last start by which so much
    /// time has passed as the tokens left then, shared out over the time until one more comes back, are apart.
    fn spread(&self, limit: Limit, now: Nanos) -> Nanos {
        let Some(last) = self.attempts.back().map(|attempt| attempt.started) else { return now };
        let even = last.saturating_add(limit.window / count(limit.messages));
        let mut at = last;
        // Each round some token comes back.
        loop {
            let used = self.used(limit, at, now);
            let oldest = self.attempts.len().checked_sub(used).and_then(|at| self.attempts.get(at));
            let (Some(oldest), true) = (oldest, used >= FREE_START) else { return at };
            let next = limit.back(oldest, now);
            // Where `at - last = (next - at) / free`.
            let free = count(limit.messages.saturating_sub(used));
            let share = last.saturating_add(next.saturating_sub(last) / free.saturating_add(1));
            let due = if free == 0 { next } else { share.max(even).max(at) };
            if due < next {
                return due;
            }
            at = next;
        }
    }

    /// Attempts whose tokens were not back at `at`.
    fn used(&self, limit: Limit, at: Nanos, now: Nanos) -> usize {
        self.attempts.len() - self.attempts.partition_point(|attempt| limit.back(attempt, now) <= at)
    }

    /// Drops attempts that no limit looks at any more.
    fn forget(&mut self, now: Nanos) {
        let most = self.limits.iter().map(|limit| limit.messages).max().unwrap_or(0).max(FREE_START);
        let window = self.limits.iter().map(|limit| limit.window).max().unwrap_or(0);
        let over = self.attempts.len().saturating_sub(most);
        // Spreading looks back from the last start, so two windows: one before it and one since.
        let old =
            |attempt: &Attempt| attempt.ended.is_some_and(|ended| ended.saturating_add(window.saturating_mul(2)) < now);
        let past = self.attempts.partition_point(old);
        self.attempts.drain(..over.max(past));
    }
}

fn count(n: usize) -> Nanos {
    Nanos::try_from(n).unwrap_or(Nanos::MAX)
}

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}
