//! Counting calls in any window, as the vendors do it.

use std::collections::VecDeque;
use std::time::Duration;

use super::rules::RateLimit;

/// The most calls kept per window; beyond it the count stands still, and the robot is far over any limit.
const MOST_KEPT: usize = 200_000;

/// The calls of one robot against its limits.
#[derive(Debug)]
pub(super) struct Limiter {
    windows: Vec<Window>,
    penalty: Duration,
    closed_until: Duration,
    fixed: bool,
    count_refused: bool,
}

#[derive(Debug)]
struct Window {
    limit: RateLimit,
    calls: VecDeque<Duration>,
    max: usize,
}

/// How full one limit's fullest window was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct WindowStat {
    /// The limit.
    pub messages: u32,
    /// Its window in milliseconds.
    pub per_ms: u64,
    /// The most calls that any window held, refused ones too.
    pub max: usize,
}

impl Limiter {
    pub(super) fn new(limits: Vec<RateLimit>, penalty_ms: u64, fixed: bool, count_refused: bool) -> Self {
        let windows = limits.into_iter().map(|limit| Window { limit, calls: VecDeque::new(), max: 0 }).collect();
        let penalty = Duration::from_millis(penalty_ms);
        Self { windows, penalty, closed_until: Duration::ZERO, fixed, count_refused }
    }

    /// Counts a call at `now` (monotonic). `Err` names the limit it broke.
    pub(super) fn call(&mut self, now: Duration) -> Result<(), RateLimit> {
        let mut broken = None;
        for window in &mut self.windows {
            let per = Duration::from_millis(window.limit.per_ms);
            let fixed = self.fixed;
            // A call at exactly the window's length ago has left it.
            let left = |at: &Duration| match fixed {
                true => at.as_millis() / per.as_millis().max(1) != now.as_millis() / per.as_millis().max(1),
                false => now.saturating_sub(*at) >= per,
            };
            while window.calls.front().is_some_and(left) {
                window.calls.pop_front();
            }
            if window.calls.len() >= window.limit.messages as usize {
                broken = broken.or(Some(window.limit));
            }
        }
        let closed = now < self.closed_until;
        if let (Some(_), false) = (broken, closed) {
            self.closed_until = now + self.penalty;
        }
        let first = self.windows.first().map(|window| window.limit);
        let refused = broken.or(if closed { first } else { None });
        for window in &mut self.windows {
            if refused.is_none() || self.count_refused {
                window.calls.push_back(now);
                if window.calls.len() > MOST_KEPT {
                    window.calls.pop_front();
                }
            }
            // A refused call that does not count for the limit was made all the same.
            let uncounted = usize::from(refused.is_some() && !self.count_refused);
            window.max = window.max.max(window.calls.len() + uncounted);
        }
        refused.map_or(Ok(()), Err)
    }

    pub(super) fn stats(&self) -> Vec<WindowStat> {
        let stat = |w: &Window| WindowStat { messages: w.limit.messages, per_ms: w.limit.per_ms, max: w.max };
        self.windows.iter().map(stat).collect()
    }
}
