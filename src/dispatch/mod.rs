//! Delivery: one queue per bot, one worker per bot and robot, and what becomes of every attempt.
//!
//! The dispatcher hears of every committed head through the store's [`Feed`], lets the waiting index merge it, and
//! sends what is most urgent as soon as the robot may be sent to. Nothing important lives here alone: attempts,
//! penalties and outcomes are stored before they take effect.

mod bot;
mod client;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod clock_tests;
#[cfg(test)]
mod cluster_rig_tests;
#[cfg(test)]
mod cluster_tests;
#[cfg(test)]
mod cluster_turns_tests;
mod compose;
mod config;
mod crews;
mod digest;
mod ladder;
mod letter;
mod membership;
mod metrics;
mod once;
mod outcome;
mod ownership;
mod post;
mod preview;
mod published;
mod relief;
#[cfg(test)]
mod relief_tests;
mod report;
mod robot;
mod shared;
mod sources;
#[cfg(test)]
mod storm_tests;
mod tend;
#[cfg(test)]
mod tests;
mod view;
mod worker;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::bot::{Bot, Open};
use self::client::Clients;
use self::membership::Membership;
use self::outcome::KILLED;
use self::post::Post;
use self::relief::Relief;
use self::report::Reports;
use self::shared::Shared;
use self::worker::Worker;
use crate::clock::Clock;
use crate::model::{BotKind, Fingerprint, MessageId, Severities};
use crate::render::{LinkRewrite, Templates};
use crate::routing::Router;
use crate::store::{Feed, Pulse, Store, StoreError};
use crate::waiting::{Options, StormOptions};

pub use client::client;
pub use config::{BotConfig, HttpClientConfig, RateLimit, RobotConfig};
pub use metrics::DispatchMetrics;
pub use once::{Once, OnceError, OnceMessage, Sent, Wait, send_once};
pub use preview::{Occasion, Preview, Previews, preview, preview_on};
pub use view::{BotView, RobotView};

/// Fills a buffer with random bytes that nobody can guess.
pub type RandomBytes = Arc<dyn Fn(&mut [u8]) + Send + Sync>;
/// A random number in [0, 1), for jitter.
pub type RandomFraction = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What dispatch needs of a config.
pub struct Settings {
    /// The bots by name.
    pub bots: BTreeMap<Arc<str>, Arc<BotConfig>>,
    /// Mentions and templates of policies.
    pub router: Arc<Router>,
    /// The compiled templates.
    pub templates: Arc<Templates>,
    /// Names of severity levels.
    pub severities: Severities,
    /// Link rewrites.
    pub link_rewrites: Arc<[LinkRewrite]>,
    /// Where people reach alarmbell, without a trailing slash; empty when nobody said.
    pub external_url: String,
    /// What the queues remember.
    pub options: Options,
    /// Bots that take over alerts of bots that are gone and named no fallback.
    pub default_bots: Vec<Arc<str>>,
    /// When and how digests leave.
    pub storms: StormOptions,
    /// The bot that is told of alarmbell's own troubles.
    pub report_bot: Option<Arc<str>>,
    /// Hash of the config: replicas compare theirs.
    pub config_hash: String,
}

impl Settings {
    fn list_url(&self, id: &MessageId) -> String {
        if self.external_url.is_empty() { String::new() } else { format!("{}/m/{id}", self.external_url) }
    }
}

struct Running {
    config: Arc<BotConfig>,
    /// Whether it has workers: one that could not start may be able to at the next reload.
    works: bool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// See the module's text.
pub struct Dispatcher {
    shared: Arc<Shared>,
    running: tokio::sync::Mutex<HashMap<Arc<str>, Running>>,
    retention: Duration,
    /// Whether the store does not know yet who falls back to whom.
    fallbacks_owed: AtomicBool,
    reports: Reports,
    post: Post,
    clients: Clients,
}

/// What a dispatcher is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for message ids.
    pub random: RandomBytes,
    /// Randomness for jitter.
    pub fraction: RandomFraction,
    /// The first config.
    pub settings: Settings,
    /// How long the history is kept.
    pub retention: Duration,
}

impl Dispatcher {
    /// Makes a dispatcher that sends nothing yet.
    ///
    /// # Errors
    /// When its metrics can not be registered.
    pub fn new(parts: Parts, metrics: DispatchMetrics, registry: &Registry) -> prometheus::Result<Self> {
        let membership = parts.store.cluster().map(|_| Membership::new());
        let shared = Arc::new(Shared {
            store: parts.store,
            clock: parts.clock,
            settings: ArcSwap::from_pointee(parts.settings),
            metrics,
            random: parts.random,
            fraction: parts.fraction,
            bots: RwLock::default(),
            robots: Mutex::default(),
            dead_letters: Mutex::default(),
            membership,
        });
        registry.register(Box::new(metrics::QueueCollector::new(&shared)?))?;
        if shared.membership.is_some() {
            registry.register(Box::new(metrics::ClusterCollector::new(&shared)?))?;
        }
        Ok(Self {
            shared,
            running: tokio::sync::Mutex::default(),
            retention: parts.retention,
            fallbacks_owed: AtomicBool::new(false),
            reports: Reports::default(),
            post: Post::default(),
            clients: Clients::default(),
        })
    }

    /// Who must hear of commits: give it to [`Store::replay`].
    pub fn feed(&self) -> Arc<dyn Feed> {
        Arc::clone(&self.shared) as Arc<dyn Feed>
    }

    /// Whether replicas share the store.
    pub fn is_shared(&self) -> bool {
        self.shared.store.cluster().is_some()
    }

    /// The answer to the last beat that had one; empty before, and for a store of one process.
    pub fn pulse(&self) -> Pulse {
        self.shared.membership.as_ref().map(|membership| membership.heard().pulse).unwrap_or_default()
    }

    /// Of each of these alerts, the bots of the config whose chats know, or will be told, that it fires: they must hear of
    /// its end too. Asked of the store when replicas share it, since other replicas took or told the firing; and while their
    /// configs differ, also bots that only another one may know.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn firing_bots(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
        let settings = self.shared.settings.load_full();
        if let Some(cluster) = self.shared.store.cluster() {
            let mut hearers = cluster.hearers(fingerprints).await?;
            let membership = self.shared.membership.as_ref();
            // What another config has may tell it; what none has in the end goes where its alerts go.
            if !membership.is_some_and(|membership| membership.others_differ(&settings.config_hash)) {
                hearers.retain(|(_, bot)| settings.bots.contains_key(bot));
            }
            return Ok(hearers);
        }
        let bots = self.shared.bots.read().unwrap_or_else(PoisonError::into_inner);
        let mut found = Vec::new();
        for bot in bots.values().filter(|bot| settings.bots.contains_key(&bot.name)) {
            let queue = bot.queue();
            let fires = fingerprints.iter().filter(|fingerprint| queue.fires(**fingerprint));
            found.extend(fires.map(|fingerprint| (*fingerprint, Arc::clone(&bot.name))));
        }
        Ok(found)
    }

    /// Puts a config in force: workers of bots that changed are replaced, those of bots that are gone stop, and what
    /// waits for them moves to others.
    ///
    /// # Errors
    /// When the store does not answer; the config is in force all the same, and [`Dispatcher::tend`] catches up.
    pub async fn apply(&self, settings: Settings) -> Result<(), StoreError> {
        self.shared.settings.store(Arc::new(settings));
        self.start().await
    }

    /// Starts what the present config asks for.
    ///
    /// # Errors
    /// As [`Dispatcher::apply`].
    pub async fn start(&self) -> Result<(), StoreError> {
        let settings = self.shared.settings.load_full();
        let mut running = self.running.lock().await;
        let mut stopped = Vec::new();
        running.retain(|name, run| {
            let keep = settings.bots.get(name).is_some_and(|config| **config == *run.config) && run.works;
            if !keep {
                run.stop.cancel();
                run.tasks.close();
                stopped.push(run.tasks.clone());
            }
            keep
        });
        for tasks in stopped {
            tasks.wait().await;
        }
        for bot in self.shared.all_bots() {
            bot.queue().set_options(settings.options);
            // Digests may be due earlier now.
            bot.ring();
        }
        self.fallbacks_owed.store(true, Ordering::Relaxed);
        self.post.enlist();
        // A store that does not answer must leave no bot without its workers.
        let lifted = self.lift().await;
        self.clients.keep(settings.bots.values().map(|bot| &bot.http));
        for (name, config) in &settings.bots {
            self.shared.metrics.bot(name);
            // Bots that other replicas speak for have no workers here.
            if let Some(bot) = self.shared.ours(name).filter(|_| !running.contains_key(name)) {
                running.insert(Arc::clone(name), self.spawn(&bot, config).await);
            }
        }
        drop(running);
        lifted?;
        self.remember_fallbacks().await?;
        self.rehome_all().await
    }

    /// Pauses that wait for a person end when the config is read anew.
    async fn lift(&self) -> Result<(), StoreError> {
        let robots: Vec<_> =
            self.shared.robots.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect();
        let lifted: Vec<_> = robots.iter().filter_map(|robot| Some((&robot.id, robot.lift()?))).collect();
        for (id, state) in lifted {
            self.shared.store.set_robot(id, state).await?;
        }
        Ok(())
    }

    async fn spawn(&self, bot: &Arc<Bot>, config: &Arc<BotConfig>) -> Running {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        bot.set_speaker(None);
        self.close_foreign(bot, config).await;
        self.lock_open(bot, config).await;
        let client = self.clients.of(&config.http);
        let works = client.is_ok();
        match client {
            Ok(client) => {
                bot.set_stuck(false);
                let pool: Arc<[_]> = self.shared.robots_of(config).into();
                for (robot, robot_config) in pool.iter().map(Arc::clone).zip(&config.robots) {
                    robot.prepare(&robot_config.rate_limits);
                    let worker = Worker {
                        shared: Arc::clone(&self.shared),
                        bot: Arc::clone(bot),
                        config: Arc::clone(config),
                        robot_config: robot_config.clone(),
                        robot,
                        pool: Arc::clone(&pool),
                        client: client.clone(),
                        stop: stop.clone(),
                        hand: Mutex::default(),
                    };
                    tasks.spawn(worker.supervised());
                }
            }
            // The config was checked; the alerts wait for a mended one.
            Err(error) => {
                bot.set_stuck(true);
                tracing::error!(bot = %config.name, %error, "the bot's http_config can not be used");
            }
        }
        if config.fallback.is_some() {
            tasks.spawn(Relief::new(&self.shared, bot, config, !works, &stop).supervised());
        }
        Running { config: Arc::clone(config), works, stop, tasks }
    }

    /// Messages that an earlier process left open: their alerts are locked before any worker of the bot starts, or another
    /// robot of a pool could tell a newer state first. Those that will not be sent again as they are end here.
    async fn lock_open(&self, bot: &Bot, config: &BotConfig) {
        let open = std::mem::take(&mut bot.desk().open);
        let mut kept = VecDeque::with_capacity(open.len());
        for Open { message, items } in open {
            let covers: Vec<_> = message.covers.iter().map(|(pos, fingerprint, _)| (*pos, *fingerprint)).collect();
            let items = items.unwrap_or_else(|| bot.queue().lock(&covers));
            // In a pool, what was overtaken meanwhile may be in the chat already.
            let whole = items.len() == covers.len() || config.robots.len() == 1;
            let open = Open { message, items: Some(items) };
            // One that covers nothing is of the `send` command, which may be at it still.
            if covers.is_empty() || (config.kind == BotKind::DingTalk && whole) {
                kept.push_back(open);
                continue;
            }
            if let Err(error) = outcome::give_up(&self.shared, bot, &open.message, KILLED).await {
                if let StoreError::Fenced = error {
                    self.shared.fence(&bot.name);
                }
                tracing::warn!(bot = %bot.name, %error, "an old message can not be closed yet");
                kept.push_back(open);
                continue;
            }
            bot.release(&open);
        }
        bot.desk().open = kept;
    }

    /// Gives up messages that were open at robots which the bot no longer has.
    async fn close_foreign(&self, bot: &Bot, config: &BotConfig) {
        let robots = self.shared.robots_of(config);
        let foreign: Vec<_> = {
            let mut desk = bot.desk();
            let (mine, foreign): (Vec<_>, Vec<_>) =
                desk.open.drain(..).partition(|open| robots.iter().any(|robot| *robot.id == *open.message.robot));
            desk.open = mine.into();
            foreign
        };
        for open in foreign {
            bot.release(&open);
            if let Err(error) = outcome::give_up(&self.shared, bot, &open.message, KILLED).await {
                tracing::warn!(bot = %bot.name, %error, "an old message can not be closed");
            }
        }
    }

    /// What waits for bots that are gone goes to their fallback, else to the default policy's bots, else it dies.
    async fn rehome_all(&self) -> Result<(), StoreError> {
        let settings = self.shared.settings.load_full();
        for bot in self.shared.all_bots() {
            if settings.bots.contains_key(&bot.name) || bot.queue().is_empty() || !bot.is_ours() {
                continue;
            }
            // A replica that has another config may still know it.
            if !self.all_agree(&settings) {
                continue;
            }
            // A reload that is under way stops its workers first: one may have a message in flight.
            if self.running.lock().await.contains_key(&bot.name) {
                continue;
            }
            // Their robot is gone with the bot; the store closes them when it moves what is in them.
            let open = std::mem::take(&mut bot.desk().open);
            open.iter().for_each(|open| bot.release(open));
            let up_to = i64::try_from(bot.queue().terms().accepted).unwrap_or(i64::MAX);
            let fallback = self.shared.store.fallback_of(&bot.name).await?;
            let to = match fallback.filter(|name| settings.bots.contains_key(name)) {
                Some(name) => vec![name],
                None => settings.default_bots.clone(),
            };
            let rehomed = self.shared.store.rehome(Arc::clone(&bot.name), to.clone(), self.shared.clock.now_ms()).await;
            if let Err(StoreError::Fenced) = rehomed {
                self.shared.fence(&bot.name);
                continue;
            }
            let moved = rehomed?;
            bot.queue().moved(up_to, to.is_empty());
            tracing::warn!(bot = %bot.name, alerts = moved, to = ?to, "alerts of a bot that is gone were moved");
        }
        Ok(())
    }

    /// Stops the workers: each finishes the message that it has begun. Then whatever other replicas may tell is theirs.
    pub async fn stop(&self) {
        self.post.close();
        let running = std::mem::take(&mut *self.running.lock().await);
        for run in running.values() {
            run.stop.cancel();
            run.tasks.close();
        }
        for run in running.into_values() {
            run.tasks.wait().await;
        }
        // Whoever leaves says that nothing of it is in flight.
        for tasks in self.post.ending() {
            tasks.wait().await;
        }
        self.leave().await;
    }
}
