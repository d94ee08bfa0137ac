//! One robot: its tokens, its pause, and the lane that lets one message through at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::dispatch::RateLimit;
use crate::model::{Millis, Verdict};
use crate::pacing::{Bucket, backoff};
use crate::store::{AttemptTimes, RobotState, Store, StoreError};

/// The word of a verdict that waits for a person.
const MISCONFIGURED: &str = "misconfigured";
/// The word of a verdict that carries the vendor's penalty.
const RATE_LIMITED: &str = "rate_limited";
/// How long an attempt that nobody ended holds its token.
const LEFT_BEHIND_MS: Millis = 600_000;
/// Failures in a row after which a robot counts as down.
const DOWN_AFTER: u32 = 3;
/// A stored pause longer than this comes from a wall clock that stepped.
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 3600);

/// A robot, shared by every bot that has its URL.
pub(super) struct Robot {
    /// Hash of its URL.
    pub(super) id: Arc<str>,
    /// Held from the choice of a message to its outcome.
    pub(super) lane: tokio::sync::Mutex<()>,
    /// Rung when a pause was lifted.
    pub(super) lifted: Notify,
    inner: Mutex<Inner>,
}

/// Why a robot takes nothing at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// Until a person has changed something.
    Misconfigured,
    /// For so long.
    Failing(Duration),
}

struct Inner {
    bucket: Bucket,
    limits: Vec<(u32, Duration)>,
    state: RobotState,
    /// While it fails: a monotonic time, and for how long it had failed by then. The wall clock may be set meanwhile.
    failing: Option<(Duration, Duration)>,
    /// Monotonic end of the pause.
    paused_until: Duration,
    /// The newest attempt that the bucket knows of.
    last_attempt: i64,
    /// Whether an attempt is on its way.
    flying: bool,
    loaded: bool,
    /// Whether another replica may still be sending: an attempt of one that is gone holds its token until it is ended, or
    /// for ten minutes. Only with a store that replicas share.
    held: bool,
}

impl Inner {
    fn set_state(&mut self, state: RobotState, now_ms: Millis, now: Duration) {
        let since_ms = state.failing_since_ms;
        self.failing = match self.failing {
            _ if since_ms == 0 => None,
            Some(failing) if since_ms == self.state.failing_since_ms => Some(failing),
            _ => Some((now, Duration::from_millis(u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0)))),
        };
        self.state = state;
    }

    fn failing_for(&self, now: Duration) -> Option<Duration> {
        self.failing.map(|(then, before)| now.saturating_sub(then).saturating_add(before))
    }
}

impl Robot {
    pub(super) fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            id,
            lane: tokio::sync::Mutex::new(()),
            lifted: Notify::new(),
            inner: Mutex::new(Inner {
                bucket: Bucket::new(&[]),
                limits: Vec::new(),
                state: RobotState::default(),
                failing: None,
                paused_until: Duration::ZERO,
                last_attempt: 0,
                flying: false,
                loaded: false,
                held: false,
            }),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets limits before anything was read, so that the free tokens can be shown.
    pub(super) fn prepare(&self, limits: &[RateLimit]) {
        let mut inner = self.inner();
        if !inner.loaded {
            inner.bucket.set_limits(&limits.iter().map(|limit| (limit.messages, limit.per)).collect::<Vec<_>>());
        }
    }

    /// Reads what is stored of it, once; again when the limits look farther back than before, and each time while another
    /// replica's attempt is open.
    pub(super) async fn load(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
        limits: &[RateLimit],
    ) -> Result<(), StoreError> {
        let wanted: Vec<(u32, Duration)> = limits.iter().map(|limit| (limit.messages, limit.per)).collect();
        {
            let inner = self.inner();
            if inner.loaded && inner.limits == wanted && !inner.held {
                return Ok(());
            }
        }
        let longest = wanted.iter().map(|(_, per)| *per).max().unwrap_or_default();
        let since = clock.now_ms() - millis(longest) * 2;
        let (state, attempts) = store.robot(&self.id, since).await?;
        let (now_ms, now) = (clock.now_ms(), clock.mono());
        let mut inner = self.inner();
        inner.bucket.set_limits(&wanted);
        inner.bucket.restore(attempts.iter().map(|attempt| times(attempt, now_ms)), now_ms, now);
        inner.held = store.cluster().is_some() && attempts.iter().any(|attempt| is_open(attempt, now_ms));
        inner.last_attempt = attempts.iter().map(|attempt| attempt.id).max().unwrap_or(0).max(inner.last_attempt);
        inner.limits = wanted;
        if !inner.loaded {
            // A start reads the config anew, like a reload: what waited for a person is tried again.
            let waits = state.last_verdict != MISCONFIGURED;
            let left = if waits { u64::try_from(state.paused_until_ms - now_ms).unwrap_or(0) } else { 0 };
            inner.paused_until = now + Duration::from_millis(left).min(LONGEST_PAUSE);
            inner.set_state(state, now_ms, now);
            inner.loaded = true;
        }
        Ok(())
    }

    /// Whether what is stored of it must be read anew before each attempt.
    pub(super) fn is_held(&self) -> bool {
        self.inner().held
    }

    /// Forgets what was read: another replica may use it from now on.
    pub(super) fn unload(&self) {
        let mut inner = self.inner();
        inner.set_state(RobotState::default(), 0, Duration::ZERO);
        inner.paused_until = Duration::ZERO;
        inner.loaded = false;
    }

    /// When the next attempt may start.
    pub(super) fn due(&self, now: Duration) -> Duration {
        let inner = self.inner();
        inner.bucket.earliest(now).max(inner.paused_until)
    }

    /// Messages that it would take at once, and how far apart they are at least.
    pub(super) fn room(&self, now: Duration) -> (u32, Duration) {
        let inner = self.inner();
        (inner.bucket.tokens(now), inner.bucket.spacing())
    }

    pub(super) fn last_attempt(&self) -> i64 {
        self.inner().last_attempt
    }

    /// Learns of attempts that another process made.
    pub(super) fn learn(&self, others: &[AttemptTimes], shared: bool, clock: &dyn Clock) {
        let (now_ms, now) = (clock.now_ms(), clock.mono());
        let mut inner = self.inner();
        inner.held |= shared && others.iter().any(|other| is_open(other, now_ms));
        inner.bucket.add(others.iter().map(|other| times(other, now_ms)), now_ms, now);
        inner.last_attempt = others.iter().map(|attempt| attempt.id).fold(inner.last_attempt, i64::max);
    }

    pub(super) fn started(&self, attempt: i64, now: Duration) {
        let mut inner = self.inner();
        inner.bucket.start(now);
        inner.flying = true;
        inner.last_attempt = inner.last_attempt.max(attempt);
    }

    pub(super) fn ended(&self, now: Duration) {
        let mut inner = self.inner();
        inner.bucket.end(now);
        inner.flying = false;
    }

    /// Failures in a row, for penalties that grow.
    pub(super) fn failures(&self) -> u32 {
        self.inner().state.failures
    }

    /// The state after a verdict, not yet in force.
    pub(super) fn after(&self, verdict: &Verdict, now_ms: Millis, rand: f64) -> RobotState {
        let old = self.inner().state.clone();
        let failed = !matches!(verdict, Verdict::Delivered | Verdict::Rejected { .. });
        let failures = if failed { old.failures.saturating_add(1) } else { 0 };
        let grow = |base, cap| millis(backoff(failures - 1, base, cap, rand));
        let pause = match verdict {
            Verdict::Delivered | Verdict::Rejected { .. } => 0,
            Verdict::RateLimited { wait_ms, .. } => *wait_ms,
            Verdict::Retry { .. } | Verdict::UnknownOutcome { .. } => {
                grow(Duration::from_secs(1), Duration::from_secs(60)).max(200)
            }
            // A person has to act: there is no hurry, and a reload lifts it.
            Verdict::Misconfigured { .. } => grow(Duration::from_secs(30), Duration::from_secs(300)).max(15_000),
        };
        RobotState {
            paused_until_ms: if pause > 0 { now_ms + pause } else { 0 },
            failures,
            failing_since_ms: match (failed, old.failing_since_ms) {
                (false, _) => 0,
                (true, 0) => now_ms,
                (true, since) => since,
            },
            last_verdict: verdict.as_str().to_owned(),
            last_verdict_ms: now_ms,
            reason: verdict.reason().to_owned(),
            remedy: verdict.remedy().to_owned(),
        }
    }

    /// Puts a state in force.
    pub(super) fn set(&self, state: RobotState, now_ms: Millis, now: Duration) {
        let left = u64::try_from(state.paused_until_ms - now_ms).unwrap_or(0);
        let mut inner = self.inner();
        inner.paused_until = if left > 0 { now + Duration::from_millis(left) } else { Duration::ZERO };
        inner.set_state(state, now_ms, now);
    }

    /// Ends a pause that waits for a person, because the config was read anew. Returns the state to store.
    pub(super) fn lift(&self) -> Option<RobotState> {
        let mut inner = self.inner();
        if inner.state.last_verdict != MISCONFIGURED {
            return None;
        }
        inner.paused_until = Duration::ZERO;
        inner.state.paused_until_ms = 0;
        inner.state.failures = 0;
        let state = inner.state.clone();
        drop(inner);
        self.lifted.notify_waiters();
        Some(state)
    }

    /// Passes over a pause that is ours alone, for a person who tries the robot now; the vendor's penalty stays.
    pub(super) fn pass_over_backoff(&self) {
        let mut inner = self.inner();
        if inner.state.last_verdict != RATE_LIMITED {
            inner.paused_until = Duration::ZERO;
        }
    }

    /// What is stored of it may be newer: `send` got a penalty, say. Then it holds here, too.
    pub(super) async fn reload_state(&self, store: &dyn Store, clock: &dyn Clock) -> Result<(), StoreError> {
        let (state, _) = store.robot(&self.id, clock.now_ms()).await?;
        if state.last_verdict_ms > self.inner().state.last_verdict_ms {
            self.set(state, clock.now_ms(), clock.mono());
        }
        Ok(())
    }

    /// Whether it takes nothing at present, and for how long. `None` once its pause is over, until it is tried again.
    pub(super) fn trouble(&self, now: Duration) -> Option<Trouble> {
        let inner = self.inner();
        let failing = inner.failing_for(now).filter(|_| inner.paused_until > now || inner.flying);
        failing.map(|time| match inner.state.last_verdict == MISCONFIGURED {
            true => Trouble::Misconfigured,
            false => Trouble::Failing(time),
        })
    }

    /// For how long it has failed; `None` when it works.
    pub(super) fn failing_for(&self, now: Duration) -> Option<Duration> {
        self.inner().failing_for(now)
    }

    /// Its state once it was read from the store.
    pub(super) fn state(&self) -> Option<RobotState> {
        let inner = self.inner();
        inner.loaded.then(|| inner.state.clone())
    }

    /// Its state, free tokens, and whether it takes messages as far as is known.
    pub(super) fn view(&self, now: Duration) -> (RobotState, u32, bool) {
        let inner = self.inner();
        let up = inner.state.last_verdict != MISCONFIGURED && inner.state.failures < DOWN_AFTER;
        (inner.state.clone(), inner.bucket.tokens(now), up)
    }
}

/// An attempt that nobody ended counts as ending now, for ten minutes: then its process is long gone, and `send`, which
/// reads them anew each time, must not wait for ever.
fn times(attempt: &AttemptTimes, now_ms: Millis) -> (Millis, Option<Millis>) {
    let left = attempt.started_ms.saturating_add(LEFT_BEHIND_MS);
    (attempt.started_ms, attempt.ended_ms.or((left < now_ms).then_some(left)))
}

/// Whether it holds its token still, though nobody may be left who would end it.
fn is_open(attempt: &AttemptTimes, now_ms: Millis) -> bool {
    attempt.ended_ms.is_none() && attempt.started_ms.saturating_add(LEFT_BEHIND_MS) >= now_ms
}

pub(super) fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX / 4)
}
