//! Time, passed in: the system's clock for the program, a manual one for tests.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::model::Millis;

/// A wall clock, a monotonic clock and a way to wait.
pub trait Clock: Send + Sync + 'static {
    /// Wall clock; may step.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary fixed point; never steps.
    fn mono(&self) -> Duration;

    /// Waits until [`Clock::mono`] has reached `until`.
    fn sleep_until(&self, until: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Wall clock in milliseconds since the epoch.
    fn now_ms(&self) -> Millis {
        self.now().as_millisecond()
    }
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn mono(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep_until(&self, until: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep_until((self.start + until).into()))
    }
}

/// A clock that moves only when told to. Waiting completes as soon as the time has been reached.
#[derive(Debug)]
pub struct ManualClock {
    time: Mutex<(Timestamp, Duration)>,
    moved: tokio::sync::watch::Sender<Duration>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            time: Mutex::new((now, Duration::ZERO)),
            moved: tokio::sync::watch::Sender::new(Duration::ZERO),
        })
    }

    fn time(&self) -> std::sync::MutexGuard<'_, (Timestamp, Duration)> {
        // A panic elsewhere can not leave two plain numbers half written.
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mono = {
            let mut time = self.time();
            time.1 += by;
            let millis = time.0.as_millisecond() + i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            time.0 = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
            time.1
        };
        self.moved.send_replace(mono);
    }

    /// Sets the wall clock alone, as an operator or NTP does.
    pub fn step_wall(&self, to: Timestamp) {
        self.time().0 = to;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.time().0
    }

    fn mono(&self) -> Duration {
        self.time().1
    }

    fn sleep_until(&self, until: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            // The sender lives as long as the clock; when it is gone nobody can be waiting for a time.
            let _ = moved.wait_for(|mono| *mono >= until).await;
        })
    }
}
