//! The engine that replicas share: PostgreSQL 15 or later, or what speaks its protocol.
//!
//! The same tables as the embedded engine's, changed by short transactions from any replica. Locks have their order: what
//! waits and what was told, a robot's row (its attempts), attempts and messages, bodies, and last the rows of bots (their
//! positions, counters and owners), several rows of one table in the order of their ids. Bots' rows come last because
//! every acceptance needs them; and whatever tells alerts of a bot checks under that last lock that this replica still
//! speaks for it, or takes everything back.

mod append;
mod attempts;
mod backlog;
mod books;
mod chores;
mod clean;
mod cluster;
pub(super) mod copy;
mod db;
mod deliveries;
mod feed;
mod heads;
mod hearers;
mod history;
mod image;
mod letters;
mod names;
mod open;
mod options;
mod outcome;
mod parts;
mod queue;
mod readers;
mod rehome;
mod schema;
mod skew;
mod takeover;
mod tls;
mod url;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;

pub use open::PgStore;
pub use options::Options;

use self::backlog::Backlog;
use self::chores::Chores;
use self::db::Db;
use self::names::Names;
use super::{
    Append, AttemptTimes, Beat, Begin, Begun, Cluster, DeadLetterPage, DeliveryPage, DeliveryQuery, Feed, HandOver,
    MessagePage, MessageQuery, MessageRow, MessageSlice, Outcome, Pulse, Retention, RobotState, Store, StoreError,
    StoreMetrics, StoreSize, StoredBody,
};
use crate::model::{Fingerprint, MessageId, Millis, ToldAlert};

/// The database's clock in milliseconds, at the moment of the statement and not of its transaction.
const NOW_MS: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

/// A bot that this replica speaks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mine {
    /// Its row.
    id: i32,
    /// Its row's fence when it was claimed.
    fence: i64,
    /// The last position that the feed has heard.
    heard: i64,
}

/// What all parts of the engine share.
struct Inner {
    /// Connections for what alerts and messages wait for.
    db: Db,
    /// Connections for what people look up, which may take seconds.
    people: Db,
    /// The lease's own connection.
    vital: Db,
    options: Options,
    metrics: StoreMetrics,
    /// This process: unique, and empty for a guest.
    me: String,
    /// The storage path that it lives in, as the database knows it; empty for a guest.
    home: String,
    feed: OnceLock<Arc<dyn Feed>>,
    names: Names,
    /// Bots that this replica speaks for, by name. A bot is in here from the moment that the feed has heard all of it.
    mine: Mutex<HashMap<Arc<str>, Mine>>,
    /// Held by whoever hands something to the feed.
    hearing: tokio::sync::Mutex<()>,
    /// Held by whoever takes bots over: one after the other.
    claims: tokio::sync::Mutex<()>,
    backlog: Backlog,
    /// What webhooks ask before they are taken.
    questions: tokio::sync::mpsc::Sender<hearers::Question>,
    /// When this replica's first beat was (database's clock); 0 before.
    started: AtomicI64,
    chores: Chores,
}

impl Inner {
    fn mine(&self) -> MutexGuard<'_, HashMap<Arc<str>, Mine>> {
        // No code that can panic runs under the lock.
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for PgStore {
    fn cluster(&self) -> Option<&dyn Cluster> {
        Some(self)
    }

    async fn replay(&self, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
        feed::listen(self, feed)
    }

    async fn append(&self, append: Append) -> Result<(), StoreError> {
        append::append(self, append).await
    }

    async fn bodies(&self, ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError> {
        readers::bodies(&self.inner, ids).await
    }

    async fn via(&self, id: u32) -> Result<Arc<str>, StoreError> {
        readers::via(&self.inner, id).await
    }

    async fn robot(&self, robot: &str, since_ms: Millis) -> Result<(RobotState, Vec<AttemptTimes>), StoreError> {
        attempts::robot(&self.inner, robot, since_ms).await
    }

    async fn keep_alerts(&self, message: &MessageId, part: u32, alerts: Vec<ToldAlert>) -> Result<(), StoreError> {
        parts::keep(&self.inner, message, part, &alerts).await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        attempts::begin(&self.inner, &begin).await
    }

    async fn finish(&self, outcome: Outcome) -> Result<(), StoreError> {
        outcome::finish(&self.inner, &outcome).await
    }

    async fn superseded(&self, bot: Arc<str>, positions: Vec<i64>) -> Result<(), StoreError> {
        outcome::superseded(&self.inner, &bot, &positions).await
    }

    async fn set_robot(&self, robot: &str, state: RobotState) -> Result<(), StoreError> {
        attempts::set_robot(&self.inner, robot, &state).await
    }

    async fn rehome(&self, from: Arc<str>, to: Vec<Arc<str>>, now_ms: Millis) -> Result<u64, StoreError> {
        rehome::rehome(&self.inner, &from, &to, now_ms).await
    }

    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError> {
        takeover::hand_over(&self.inner, &hand_over).await
    }

    async fn remember_fallbacks(&self, fallbacks: Vec<(Arc<str>, Option<Arc<str>>)>) -> Result<(), StoreError> {
        readers::remember_fallbacks(&self.inner, &fallbacks).await
    }

    async fn fallback_of(&self, bot: &str) -> Result<Option<Arc<str>>, StoreError> {
        readers::fallback_of(&self.inner, bot).await
    }

    async fn messages(&self, query: MessageQuery) -> Result<MessagePage, StoreError> {
        history::messages(&self.inner, &query).await
    }

    async fn message(&self, id: &MessageId) -> Result<MessageRow, StoreError> {
        history::message(&self.inner, id).await
    }

    async fn message_slice(&self, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, StoreError> {
        history::message_slice(&self.inner, id, skip, limit).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        deliveries::deliveries(&self.inner, &query).await
    }

    async fn dead_letters(
        &self,
        bot: Option<String>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<DeadLetterPage, StoreError> {
        letters::list(&self.inner, bot.as_deref(), limit, after).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        letters::counts(&self.inner).await
    }

    async fn replay_dead_letter(&self, id: i64, bot: Option<Arc<str>>, now_ms: Millis) -> Result<(), StoreError> {
        letters::replay(&self.inner, id, bot.as_deref(), now_ms).await
    }

    async fn delete_dead_letter(&self, id: i64) -> Result<(), StoreError> {
        letters::delete(&self.inner, id).await
    }

    async fn clean(&self, retention: Retention) -> Result<bool, StoreError> {
        clean::step(&self.inner, &retention).await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        readers::size(&self.inner).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        readers::probe(&self.inner).await
    }

    async fn close(&self) {
        self.stop().await;
    }
}

#[async_trait]
impl Cluster for PgStore {
    async fn enlist(&self, bots: &[Arc<str>]) -> Result<(), StoreError> {
        cluster::enlist(&self.inner, bots).await
    }

    async fn beat(&self, beat: Beat) -> Result<Pulse, StoreError> {
        cluster::beat(&self.inner, &beat).await
    }

    async fn claim(&self, bots: &[Arc<str>]) -> Result<bool, StoreError> {
        cluster::claim(&self.inner, bots).await
    }

    async fn release(&self, bots: &[Arc<str>]) -> Result<(), StoreError> {
        cluster::release(&self.inner, bots).await
    }

    fn forget(&self, bots: &[Arc<str>]) {
        cluster::forget(&self.inner, bots);
    }

    async fn leave(&self) -> Result<(), StoreError> {
        cluster::leave(&self.inner).await
    }

    async fn hearers(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
        hearers::hearers(&self.inner, fingerprints).await
    }

    async fn publish(&self, views: Vec<(Arc<str>, String)>) -> Result<(), StoreError> {
        cluster::publish(&self.inner, &views).await
    }

    async fn views(&self) -> Result<Vec<(Arc<str>, String)>, StoreError> {
        cluster::views(&self.inner).await
    }
}
