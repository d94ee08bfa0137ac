//! The harness: the real program, robots that run inside the test, and bodies as Alertmanager sends them.

#![allow(dead_code, unused_imports, reason = "shared by test binaries that use different parts of it")]

pub mod config;
pub mod hook;
pub mod metrics;
pub mod program;
pub mod raw;
pub mod robots;
pub mod server;
pub mod web;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use config::{Bot, config};
pub use hook::{Hook, payload};
pub use metrics::Metrics;
pub use robots::Robots;
pub use server::{Place, Server};

/// The longest that anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `check` says yes. Fails with `what` when it has not for [`PATIENCE`].
#[track_caller]
pub fn wait_until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) -> impl Future<Output = ()> {
    wait_for(what, move || {
        let answer = check();
        async move { answer.await.then_some(()) }
    })
}

/// Waits until `look` finds something. Fails with `what` when it has not for [`PATIENCE`].
#[track_caller]
pub fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, look: impl FnMut() -> F) -> impl Future<Output = T> {
    wait_within(PATIENCE, what, look)
}

/// The same with another patience.
#[track_caller]
pub fn wait_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let (what, place) = (what.to_owned(), std::panic::Location::caller());
    async move {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "{place}: waited too long: {what}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}
