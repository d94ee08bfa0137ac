//! The embedded engine: one SQLite file, one writer thread.
//!
//! `synchronous=FULL` in WAL mode: a commit is on disk when it returns. All changes go through the writer, which puts
//! everything that is queued into one transaction; reads have connections of their own.

mod checkpoint;
mod clean;
pub(super) mod copy;
mod fault;
mod files;
mod history;
mod letters;
mod live;
mod memory;
mod open;
mod outcome;
mod parts;
mod queue;
mod readers;
mod replay;
mod reserve;
mod schema;
mod takeover;
mod tx;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

pub use open::{Options, SqliteStore};

use super::common::parts::Part;
use super::{
    Append, AttemptTimes, Begin, Begun, DeadLetterPage, DeliveryPage, DeliveryQuery, Feed, HandOver, MessagePage,
    MessageQuery, MessageRow, MessageSlice, Outcome, Retention, RobotState, Store, StoreError, StoreSize, StoredBody,
};
use crate::model::{MessageId, Millis, ToldAlert};
use fault::Fault;
use queue::{Call, Job, Step, Work};
use tx::Tx;

/// What a job holds besides its body: a generous guess, for the queue's bound.
const JOB_BYTES: usize = 256;

impl SqliteStore {
    async fn ask<T>(&self, weight: usize, work: impl FnOnce(queue::Reply<T>) -> Work) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Job { weight: weight + JOB_BYTES, work: work(reply) })?;
        // Its way back was dropped: by the end of the store, or by a panic in the transaction that it was in.
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("it was cut off".to_owned())))
    }

    /// Runs a task of several steps on the writer.
    async fn steps<T, S, F>(&self, weight: usize, state: S, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        S: Clone + Send + 'static,
        F: FnMut(&mut Tx<'_>, &mut S) -> Result<Step<T>, Fault> + Send + 'static,
    {
        self.ask(weight, |reply| Work::Task(Box::new(Call { state, run, reply, next: None }))).await
    }

    /// Runs a task of one step on the writer.
    async fn once<T, F>(&self, weight: usize, mut run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.steps(weight, (), move |tx, ()| run(tx).map(Step::Done)).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn replay(&self, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
        self.ask(0, |reply| Work::Replay(feed, reply)).await
    }

    async fn append(&self, append: Append) -> Result<(), StoreError> {
        let weight = append.body.len() + append.heads.len() * size_of::<super::NewHead>();
        self.ask(weight, |reply| Work::Append(append, reply, Ok(()))).await
    }

    async fn bodies(&self, ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError> {
        self.quick.read(move |conn| readers::bodies(conn, &ids)).await
    }

    async fn via(&self, id: u32) -> Result<Arc<str>, StoreError> {
        self.quick.read(move |conn| readers::via(conn, id)).await
    }

    async fn robot(&self, robot: &str, since_ms: Millis) -> Result<(RobotState, Vec<AttemptTimes>), StoreError> {
        let robot = robot.to_owned();
        self.quick.read(move |conn| readers::robot(conn, &robot, since_ms)).await
    }

    async fn keep_alerts(&self, message: &MessageId, part: u32, alerts: Vec<ToldAlert>) -> Result<(), StoreError> {
        let kept = Part::new(&alerts)?;
        drop(alerts);
        let message = message.clone();
        self.steps(kept.json.len(), (), move |tx, ()| parts::keep(tx, message.as_str(), part, &kept)).await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let alerts = serde_json::to_string(&begin.alerts)
            .map_err(|error| StoreError::Unavailable(format!("a message's alerts: {error}")))?;
        let weight = begin.body.len() + begin.text.len() + alerts.len() + begin.covers.len() * 24;
        self.steps(weight, (), move |tx, ()| outcome::begin(tx, &begin, &alerts)).await
    }

    async fn finish(&self, outcome: Outcome) -> Result<(), StoreError> {
        let weight = outcome.superseded.len() * 8
            + match &outcome.effect {
                super::Effect::Told(told) => told.len() * 72,
                super::Effect::Dead(dead) => dead.iter().map(|letter| letter.body.len() + 1_024).sum(),
                _ => 0,
            };
        self.steps(weight, outcome::Progress::default(), move |tx, done| outcome::finish(tx, &outcome, done)).await
    }

    async fn superseded(&self, bot: Arc<str>, positions: Vec<i64>) -> Result<(), StoreError> {
        let weight = positions.len() * 8;
        self.steps(weight, 0, move |tx, done| outcome::superseded(tx, &bot, &positions, done)).await
    }

    async fn set_robot(&self, robot: &str, state: RobotState) -> Result<(), StoreError> {
        let robot = robot.to_owned();
        self.once(0, move |tx| outcome::set_robot(tx, &robot, &state)).await
    }

    async fn rehome(&self, from: Arc<str>, to: Vec<Arc<str>>, now_ms: Millis) -> Result<u64, StoreError> {
        let start = letters::Progress::default();
        self.steps(0, start, move |tx, done| letters::rehome(tx, &from, &to, now_ms, done)).await
    }

    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError> {
        let plan = takeover::Plan::new(hand_over);
        let start = takeover::Progress::default();
        self.steps(plan.weight(), start, move |tx, done| takeover::step(tx, &plan, done)).await
    }

    async fn remember_fallbacks(&self, fallbacks: Vec<(Arc<str>, Option<Arc<str>>)>) -> Result<(), StoreError> {
        self.once(fallbacks.len() * 64, move |tx| outcome::remember_fallbacks(tx, &fallbacks)).await
    }

    async fn fallback_of(&self, bot: &str) -> Result<Option<Arc<str>>, StoreError> {
        let bot = bot.to_owned();
        self.quick.read(move |conn| readers::fallback_of(conn, &bot)).await
    }

    async fn messages(&self, query: MessageQuery) -> Result<MessagePage, StoreError> {
        self.slow.read(move |conn| history::messages(conn, &query)).await
    }

    async fn message(&self, id: &MessageId) -> Result<MessageRow, StoreError> {
        let id = id.clone();
        self.slow.read(move |conn| history::message(conn, &id)).await
    }

    async fn message_slice(&self, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, StoreError> {
        let id = id.clone();
        self.slow.read(move |conn| history::message_slice(conn, &id, skip, limit)).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        self.slow.read(move |conn| history::deliveries(conn, &query)).await
    }

    async fn dead_letters(
        &self,
        bot: Option<String>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<DeadLetterPage, StoreError> {
        self.slow.read(move |conn| history::dead_letters(conn, bot.as_deref(), limit, after)).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        self.slow.read(history::dead_letter_counts).await
    }

    async fn replay_dead_letter(&self, id: i64, bot: Option<Arc<str>>, now_ms: Millis) -> Result<(), StoreError> {
        self.once(0, move |tx| letters::replay(tx, id, bot.as_deref(), now_ms)).await
    }

    async fn delete_dead_letter(&self, id: i64) -> Result<(), StoreError> {
        self.once(0, move |tx| letters::delete(tx, id)).await
    }

    async fn clean(&self, retention: Retention) -> Result<bool, StoreError> {
        self.once(0, move |tx| clean::step(tx, &retention)).await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        Ok(self.measure())
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.once(0, |tx| outcome::probe(tx)).await
    }

    async fn close(&self) {
        self.stop().await;
    }
}
