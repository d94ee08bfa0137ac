//! What a replica knows of its place among those that share the store: how long its lease lasts, who else is there, which
//! bots are on their way out of its hands, and how other replicas' bots stand.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::client;
use super::published::Views;
use super::shared::Shared;
use crate::clock::Clock;
use crate::model::Millis;
use crate::store::{Beat, LEASE, Pulse};

/// How often a replica shows that it lives.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// A beat that takes longer is given up, and the next one begun.
const BEAT_TIMEOUT: Duration = Duration::from_secs(2);

/// When a beat began: on both clocks, since a machine that slept knows so by the wall clock only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) mono: Duration,
    wall_ms: Millis,
}

impl Begun {
    pub(super) fn now(clock: &dyn Clock) -> Self {
        Self { mono: clock.mono(), wall_ms: clock.now_ms() }
    }
}

/// The answer to a beat, and when that began.
#[derive(Clone, Default)]
pub(super) struct Heard {
    pub(super) pulse: Pulse,
    /// Monotonic.
    pub(super) begun: Duration,
}

impl Heard {
    /// Whether all replicas have this config.
    pub(super) fn all_have(&self, config_hash: &str) -> bool {
        let replicas = &self.pulse.replicas;
        !replicas.is_empty() && replicas.iter().all(|replica| replica.config_hash == config_hash)
    }

    /// Whether this replica is the first of the list, which does what needs to be done once.
    pub(super) fn is_first(&self) -> bool {
        self.pulse.replicas.first().is_some_and(|first| first.id == self.pulse.me)
    }

    /// What people know this replica by, if nobody else has that name.
    pub(super) fn name(&self) -> Option<&str> {
        let Pulse { me, replicas, .. } = &self.pulse;
        let name = &replicas.iter().find(|replica| replica.id == *me)?.name;
        (replicas.iter().filter(|replica| replica.name == *name).count() == 1).then_some(name)
    }
}

/// See the module's text.
pub(super) struct Membership {
    begun: watch::Sender<Option<Begun>>,
    heard: watch::Sender<Heard>,
    /// Bots on their way out of our hands: not claimed anew before the last worker has ended.
    leaving: Mutex<HashSet<Arc<str>>>,
    /// Bots of which the store said that another replica speaks for them.
    fenced: Mutex<HashSet<Arc<str>>>,
    /// Rung when one was fenced.
    pub(super) rung: Notify,
    /// Repeats that were recognised for bots that are gone from here.
    pub(super) repeats: AtomicU64,
    pub(super) views: Views,
}

impl Membership {
    pub(super) fn new() -> Self {
        Self {
            begun: watch::Sender::new(None),
            heard: watch::Sender::new(Heard::default()),
            leaving: Mutex::default(),
            fenced: Mutex::default(),
            rung: Notify::new(),
            repeats: AtomicU64::new(0),
            views: Views::default(),
        }
    }

    /// A beat was answered.
    pub(super) fn beat(&self, begun: Begun, pulse: Pulse) {
        self.begun.send_replace(Some(begun));
        self.heard.send_replace(Heard { pulse, begun: begun.mono });
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Whether some replica has another config, as far as is known.
    pub(super) fn others_differ(&self, config_hash: &str) -> bool {
        self.heard.borrow().pulse.replicas.iter().any(|replica| replica.config_hash != config_hash)
    }

    pub(super) fn listen(&self) -> watch::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// What is left of the lease; 0 when it has run out.
    pub(super) fn left(&self, clock: &dyn Clock) -> Duration {
        let Some(begun) = *self.begun.borrow() else { return Duration::ZERO };
        // A clock that was set back says nothing.
        let wall = Duration::from_millis(u64::try_from(clock.now_ms().saturating_sub(begun.wall_ms)).unwrap_or(0));
        LEASE.saturating_sub(clock.mono().saturating_sub(begun.mono).max(wall))
    }

    /// Whether a request to a robot that begins now ends before anybody else may begin one.
    pub(super) fn may_send(&self, clock: &dyn Clock) -> bool {
        self.left(clock) > client::TIMEOUT
    }

    /// Hears of renewals from now on.
    pub(super) fn renewals(&self) -> watch::Receiver<Option<Begun>> {
        self.begun.subscribe()
    }

    pub(super) fn leaving(&self) -> MutexGuard<'_, HashSet<Arc<str>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store said that another replica speaks for this bot.
    pub(super) fn fence(&self, bot: &Arc<str>) {
        self.fenced.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(bot));
        self.rung.notify_one();
    }

    pub(super) fn take_fenced(&self) -> HashSet<Arc<str>> {
        std::mem::take(&mut *self.fenced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn repeats(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }
}

/// Beats until it is told to stop.
pub(super) async fn keep_beating(shared: Arc<Shared>, ended: CancellationToken) {
    let (Some(cluster), Some(membership)) = (shared.store.cluster(), &shared.membership) else { return };
    let clock = &shared.clock;
    let mut failing = false;
    loop {
        let begun = Begun::now(&**clock);
        let beat = Beat { config_hash: shared.settings.load().config_hash.clone() };
        let answer = tokio::select! {
            () = ended.cancelled() => return,
            answer = timeout(BEAT_TIMEOUT, cluster.beat(beat)) => answer,
        };
        match answer {
            Ok(Ok(pulse)) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("the store answers again: the lease is renewed");
                }
                membership.beat(begun, pulse);
            }
            failed => {
                let error = match failed {
                    Ok(Err(error)) => error.to_string(),
                    _ => "it takes too long".to_owned(),
                };
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error, "the lease can not be renewed; it is tried again every second");
                }
            }
        }
        tokio::select! {
            () = ended.cancelled() => return,
            () = clock.sleep_until(begun.mono + BEAT) => {}
        }
    }
}
