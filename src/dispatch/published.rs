//! How bots stand, as the replica that speaks for them tells the others.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::bot::Bot;
use super::ownership::PATIENCE;
use super::shared::Shared;
use super::{Dispatcher, RobotView};
use crate::model::Millis;
use crate::store::LEASE;
use crate::waiting::Terms;

/// For so long after a bot has left us nothing older of it is shown than what we showed.
const KEPT: Duration = LEASE.saturating_add(Duration::from_secs(2));

/// What other replicas published is read at most this often.
const VIEWS: Duration = Duration::from_secs(1);

/// One bot at one moment: the equation of the proof holds in it. Replicas of other versions may leave out or add fields.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Published {
    pub(super) accepted: u64,
    pub(super) told_named: u64,
    pub(super) told_counted: u64,
    pub(super) superseded: u64,
    pub(super) dead: u64,
    pub(super) waiting: u64,
    pub(super) groups: u64,
    pub(super) oldest_ms: Option<Millis>,
    pub(super) spoken_for_by: Option<String>,
    pub(super) robots: Vec<RobotView>,
}

impl Published {
    /// How a bot stands that this replica speaks for.
    pub(super) fn of(shared: &Shared, bot: &Bot) -> Self {
        let settings = shared.settings.load();
        let robots = settings.bots.get(&bot.name).map(|config| shared.robots_of(config)).unwrap_or_default();
        let (now, stuck) = (shared.clock.mono(), bot.is_stuck());
        let robots = robots.iter().map(|robot| RobotView::of(robot, stuck, now)).collect();
        let spoken_for_by = bot.speaker().map(|name| name.to_string());
        let queue = bot.queue();
        let Terms { accepted, told_named, told_counted, superseded, dead } = queue.terms();
        Self {
            accepted,
            told_named,
            told_counted,
            superseded,
            dead,
            waiting: queue.len(),
            groups: u64::try_from(queue.groups_waiting()).unwrap_or(u64::MAX),
            oldest_ms: queue.oldest_ms(),
            spoken_for_by,
            robots,
        }
    }

    /// How far its counters have come: none of them ever falls.
    const fn progress(&self) -> (u64, u64) {
        let done = self.told_named.saturating_add(self.told_counted).saturating_add(self.superseded);
        (self.accepted, done.saturating_add(self.dead))
    }
}

/// How the bots stand that other replicas speak for.
#[derive(Default)]
pub(super) struct Views {
    /// Held while they are read: when that was last, on the monotonic clock.
    pub(super) turn: tokio::sync::Mutex<Option<Duration>>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    read: HashMap<Arc<str>, Arc<Published>>,
    /// Bots that have left us, as we showed them last, and until when nothing older takes that place.
    kept: HashMap<Arc<str>, (Arc<Published>, Duration)>,
    /// What was published last, as hashes of the texts.
    sent: HashMap<Arc<str>, u64>,
}

impl Dispatcher {
    /// Reads anew how bots stand that other replicas speak for, and counts the dead letters; at most once a second. Within
    /// 2 s, and for nothing when the store is of one process.
    pub async fn refresh_views(&self) {
        let (Some(cluster), Some(membership)) = (self.shared.store.cluster(), &self.shared.membership) else { return };
        let read = async {
            let mut turn = membership.views.turn.lock().await;
            let now = self.shared.clock.mono();
            if turn.is_some_and(|last| now.saturating_sub(last) < VIEWS) {
                return;
            }
            let read = async {
                membership.views.put(cluster.views().await?, now);
                self.count().await
            };
            if let Err(error) = read.await {
                tracing::debug!(%error, "how other replicas' bots stand can not be read");
            }
            *turn = Some(now);
        };
        if timeout(PATIENCE, read).await.is_err() {
            tracing::debug!("how other replicas' bots stand can not be read in time");
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Views {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All bots of which something is known, in name order.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Arc<Published>)> {
        let inner = self.inner();
        let mut all = inner.read.clone();
        all.extend(inner.kept.iter().map(|(bot, (kept, _))| (Arc::clone(bot), Arc::clone(kept))));
        drop(inner);
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// What the store has by now. What we published of our own and was overwritten by a former owner is published again.
    pub(super) fn put(&self, views: Vec<(Arc<str>, String)>, now: Duration) {
        let parsed = views.iter().filter_map(|(bot, text)| Some((bot, serde_json::from_str::<Published>(text).ok()?)));
        let parsed: HashMap<Arc<str>, Arc<Published>> =
            parsed.map(|(bot, view)| (Arc::clone(bot), Arc::new(view))).collect();
        let mut inner = self.inner();
        for (bot, text) in &views {
            if inner.sent.get(bot).is_some_and(|sent| *sent != hash(text)) {
                inner.sent.remove(bot);
            }
        }
        inner.kept.retain(|bot, (kept, until)| {
            *until > now && parsed.get(bot).is_none_or(|view| view.progress() < kept.progress())
        });
        inner.read = parsed;
    }

    /// A bot leaves us: nothing older is shown of it than this.
    pub(super) fn keep(&self, bot: &Arc<str>, view: Published, now: Duration) {
        let mut inner = self.inner();
        inner.kept.insert(Arc::clone(bot), (Arc::new(view), now.saturating_add(KEPT)));
        inner.sent.remove(bot);
    }

    /// A bot has come to us.
    pub(super) fn came(&self, bot: &str) {
        let mut inner = self.inner();
        inner.kept.remove(bot);
        inner.sent.remove(bot);
    }

    /// What differs from what was published last, as text.
    pub(super) fn changed(&self, shared: &Shared) -> Vec<(Arc<str>, String)> {
        let mut changed = Vec::new();
        for bot in shared.all_bots() {
            // Numbers and texts: there is nothing that could not be written.
            let Ok(text) = serde_json::to_string(&Published::of(shared, &bot)) else { continue };
            if self.inner().sent.get(&bot.name) != Some(&hash(&text)) {
                changed.push((Arc::clone(&bot.name), text));
            }
        }
        changed
    }

    /// These were published.
    pub(super) fn sent(&self, views: &[(Arc<str>, u64)]) {
        self.inner().sent.extend(views.iter().cloned());
    }
}

/// What to remember of texts that are about to be published.
pub(super) fn hashes(views: &[(Arc<str>, String)]) -> Vec<(Arc<str>, u64)> {
    views.iter().map(|(bot, text)| (Arc::clone(bot), hash(text))).collect()
}
