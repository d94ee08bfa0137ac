//! Where alerts are kept: one interface, one engine per folder, one battery of tests for all of them.
//!
//! Acceptance only appends (a body once, a narrow [`Head`] per bot and alert). What was committed is handed to the
//! [`Feed`] in order before the caller is answered, so that whoever reads the feed has seen everything that was ever
//! acknowledged. Everything else (attempts, outcomes, clean-up) travels through the same writer in the same
//! transactions. Positions per bot count up by one from 1 and are never reused.

mod cluster;
mod common;
pub mod copy;
mod metrics;
pub mod postgres;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{
    Fingerprint, GroupId, Head, HeadFlags, How, Kind, MessageId, Millis, Status, StormState, ToldAlert,
};

pub use cluster::{Beat, Cluster, Free, LEASE, Pulse, Replica};
pub use metrics::StoreMetrics;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error, Clone)]
pub enum StoreError {
    /// It may work later: disk full, I/O error, queue full, shutting down.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The configured backlog is reached.
    #[error("the backlog is full: {0}")]
    BacklogFull(String),
    /// It will never work as asked (wrong schema version, damaged file, locked by another process).
    #[error("{0}")]
    Unusable(String),
    /// There is no such thing (dead letter, message).
    #[error("not found")]
    NotFound,
    /// Another replica speaks for this bot by now; nothing was written. Only of engines that replicas share.
    #[error("another replica speaks for this bot")]
    Fenced,
}

/// One alert state to append, before it has a position.
#[derive(Clone, Debug)]
pub struct NewHead {
    /// The bot's name.
    pub bot: Arc<str>,
    /// By which policies; see [`crate::model::via_text`].
    pub via: Arc<str>,
    /// Index of the alert inside the body.
    pub idx: u32,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// Which group, for this bot.
    pub group: GroupId,
    /// Firing or resolved.
    pub status: Status,
    /// Index into the severity levels.
    pub severity: u8,
    /// Facts about the body.
    pub flags: HeadFlags,
    /// `startsAt`, 0 unknown.
    pub starts_ms: Millis,
    /// `endsAt`, 0 while firing.
    pub ends_ms: Millis,
}

impl NewHead {
    /// The head as it is stored at a position, with the ids of its body and of what it has as `via`.
    pub(crate) const fn stored(&self, pos: i64, body: i64, via: u32, accepted_ms: Millis) -> Head {
        Head {
            pos,
            body,
            idx: self.idx,
            fingerprint: self.fingerprint,
            group: self.group,
            status: self.status,
            severity: self.severity,
            flags: self.flags,
            starts_ms: self.starts_ms,
            ends_ms: self.ends_ms,
            accepted_ms,
            via,
        }
    }
}

/// One webhook to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// When it arrived (wall clock).
    pub received_ms: Millis,
    /// The body's bytes as received.
    pub body: Bytes,
    /// What it must tell to whom; never empty.
    pub heads: Vec<NewHead>,
}

/// Hears of every committed head, in order, exactly once per process: at [`Store::replay`] the stored ones, then each
/// new one right after its commit and before its webhook is answered. Called on the store's writer thread: be quick.
pub trait Feed: Send + Sync {
    /// What the store remembers of one bot, before any of its heads. Called at [`Store::replay`] only.
    fn remember(&self, bot: &Arc<str>, image: BotImage);

    /// A batch of committed heads of possibly several bots; of one bot always in position order.
    fn committed(&self, heads: &[(Arc<str>, Head)]);
}

/// A told state that the store remembers for one bot and alert.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ToldState {
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// The group it was last seen in.
    pub group: GroupId,
    /// The state that was told.
    pub status: Status,
    /// Its `startsAt`.
    pub starts_ms: Millis,
    /// Its `endsAt`.
    pub ends_ms: Millis,
    /// When that state was accepted.
    pub accepted_ms: Millis,
    /// When it was told.
    pub told_ms: Millis,
}

/// The stored counters of one bot: the proof's terms, and the last position given out (that is `accepted`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Heads ever appended; equals the highest position.
    pub accepted: u64,
    /// Told by name.
    pub told_named: u64,
    /// Told in a number.
    pub told_counted: u64,
    /// Replaced before they were told, as far as their rows have been cleaned up.
    pub superseded: u64,
    /// Became dead letters.
    pub dead: u64,
}

/// What a robot's row remembers between attempts and over restarts. Robots are named by a hash of their URL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RobotState {
    /// Nothing is sent before this time (wall clock); 0 for none.
    pub paused_until_ms: Millis,
    /// Failures in a row.
    pub failures: u32,
    /// When the present row of failures began; 0 for none.
    pub failing_since_ms: Millis,
    /// The last verdict's word; empty before the first.
    pub last_verdict: String,
    /// When the last verdict came; 0 before the first.
    pub last_verdict_ms: Millis,
    /// What the robot said last, when it was not "delivered".
    pub reason: String,
    /// What a person must do, when one must.
    pub remedy: String,
}

/// One attempt as pacing needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttemptTimes {
    /// The attempt.
    pub id: i64,
    /// When it was committed, before its first byte.
    pub started_ms: Millis,
    /// When its outcome was committed; `None` while it is open (it counts as ending now).
    pub ended_ms: Option<Millis>,
}

/// An attempt whose outcome nobody wrote down: its process was killed, or the outcome is unknown.
#[derive(Clone, PartialEq, Debug)]
pub struct OpenMessage {
    /// The message.
    pub id: MessageId,
    /// The attempt that is open, if its outcome was never stored.
    pub attempt: Option<i64>,
    /// The robot it was for.
    pub robot: String,
    /// Kind of the message.
    pub kind: Kind,
    /// Its group.
    pub group: GroupId,
    /// Attempts so far.
    pub attempts: u32,
    /// The exact unsigned request body.
    pub body: Bytes,
    /// The alert versions in it and how it tells each.
    pub covers: Vec<(i64, Fingerprint, How)>,
}

/// All that one bot's queue needs to be rebuilt.
#[derive(Clone, Debug, Default)]
pub struct BotImage {
    /// The counters.
    pub counters: Counters,
    /// Remembered told states.
    pub told: Vec<ToldState>,
    /// Messages with an unknown outcome, oldest first.
    pub open: Vec<OpenMessage>,
    /// Dead letters that the chat has not been told of.
    pub unannounced_dead: u32,
    /// The last storm, as the last [`Outcome`] that had one left it.
    pub storm: Option<StormState>,
}

/// The start of an attempt. Committed before the first byte leaves.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The bot.
    pub bot: Arc<str>,
    /// Hash that names the robot (bots with one URL share it).
    pub robot: Arc<str>,
    /// The message; a further attempt of the same message keeps its id.
    pub message: MessageId,
    /// Kind of the message.
    pub kind: Kind,
    /// The group it is about.
    pub group: GroupId,
    /// The unsigned request body.
    pub body: Bytes,
    /// What people will read, for the history.
    pub text: String,
    /// Which alert versions it tells, and how.
    pub covers: Vec<(i64, Fingerprint, How)>,
    /// The alerts it tells, for `/m/` and the history; of many the first.
    pub alerts: Vec<ToldAlert>,
    /// How many parts of further alerts [`Store::keep_alerts`] has kept for this rendering of it.
    pub parts: u32,
    /// Start (wall clock).
    pub started_ms: Millis,
    /// The newest attempt of this robot that the caller knows of. When the store knows a newer one (another process
    /// sent through this robot), nothing is begun and [`Begun::Others`] says so.
    pub last_known: i64,
}

/// Answer to [`Begin`].
#[derive(Clone, Debug)]
pub enum Begun {
    /// Committed; the attempt's id.
    Attempt(i64),
    /// Other attempts the caller did not know of; pace again with them.
    Others(Vec<AttemptTimes>),
}

/// What an attempt's outcome does to the alerts in it.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Delivered: these versions are told; their heads go, their told states are remembered.
    Told(Vec<(i64, ToldState, How)>),
    /// Nothing changed; the heads stay. `open` keeps the message for a resend under the same id and body.
    Kept {
        /// The outcome is unknown and the vendor forgets duplicates by id: send exactly this again first.
        open: bool,
    },
    /// Refused alone: these become dead letters.
    Dead(Vec<NewDeadLetter>),
    /// A notice about dead letters was delivered or refused: these many are announced.
    Announced(u32),
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The bot.
    pub bot: Arc<str>,
    /// The robot's hash.
    pub robot: Arc<str>,
    /// The message.
    pub message: MessageId,
    /// The attempt; 0 when there was none (an open message that is given up).
    pub attempt: i64,
    /// End (wall clock).
    pub ended_ms: Millis,
    /// The verdict's word.
    pub verdict: &'static str,
    /// What the robot said.
    pub reason: String,
    /// The robot's state from now on.
    pub robot_state: RobotState,
    /// What becomes of the alerts.
    pub effect: Effect,
    /// Positions of this bot that were superseded since the last outcome: deleted and counted in the same commit.
    pub superseded: Vec<i64>,
    /// The bot's storm from now on; `None` leaves what is stored.
    pub storm: Option<StormState>,
}

/// Alerts that another bot tells instead, because this one's robots fail.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// The bot that can not tell them.
    pub from: Arc<str>,
    /// Its fallback.
    pub to: Arc<str>,
    /// Positions that leave `from`, where they count as superseded.
    pub moved: Vec<i64>,
    /// Positions that `to` tells and that wait at `from` all the same: ends of alerts whose firing its chat knows.
    pub copied: Vec<i64>,
    /// Superseded positions of `from` that must go with them.
    pub superseded: Vec<i64>,
}

/// A dead letter to write.
#[derive(Clone, Debug)]
pub struct NewDeadLetter {
    /// The head it was.
    pub pos: i64,
    /// By which policies it came.
    pub via: String,
    /// Its group.
    pub group: GroupId,
    /// What it told.
    pub alert: ToldAlert,
    /// A webhook body that holds just this alert, for a replay.
    pub body: Bytes,
    /// Why.
    pub reason: String,
    /// Index into the severity levels.
    pub severity: u8,
}

/// A dead letter as the API shows it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: i64,
    /// The bot whose robot refused it.
    pub bot: String,
    /// When it died.
    pub at_ms: Millis,
    /// What the robot said.
    pub reason: String,
    /// The alert.
    pub alert: ToldAlert,
}

/// A page of dead letters and the cursor of the next.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterPage {
    /// Newest first.
    pub rows: Vec<DeadLetter>,
    /// The `after` of the next page; present when there is one.
    pub next: Option<i64>,
}

impl DeadLetterPage {
    /// Of rows that were read with a limit of one more than fits.
    fn new(mut rows: Vec<DeadLetter>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().map(|row| row.id).filter(|_| more);
        Self { rows, next }
    }
}

/// A webhook body with its id.
#[derive(Clone, Debug)]
pub struct StoredBody {
    /// Its id.
    pub id: i64,
    /// When it arrived.
    pub received_ms: Millis,
    /// The bytes as received.
    pub body: Bytes,
}

/// A message as the history shows it.
#[derive(Clone, Debug)]
pub struct MessageRow {
    /// Orders messages; the API's `after` cursor.
    pub seq: i64,
    /// Its id, also of its page.
    pub id: MessageId,
    /// The bot.
    pub bot: String,
    /// When its last attempt began.
    pub at_ms: Millis,
    /// The last verdict's word; empty while in flight.
    pub verdict: String,
    /// What the robot said, when it was not "delivered".
    pub reason: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Kind.
    pub kind: Kind,
    /// What people read.
    pub text: String,
    /// The alerts it tells, or the first of them; see `left_out`.
    pub alerts: Vec<ToldAlert>,
    /// Alerts that it tells besides `alerts`: 0 unless they are too many to be held at once.
    pub left_out: u64,
}

/// A page of messages and the cursor of the next.
#[derive(Clone, Debug, Default)]
pub struct MessagePage {
    /// Newest first.
    pub rows: Vec<MessageRow>,
    /// The `after` of the next page; present when there is one.
    pub next: Option<i64>,
}

/// A message with some of its alerts.
#[derive(Clone, Debug)]
pub struct MessageSlice {
    /// The message, with those alerts; `left_out` counts the others, before and behind them.
    pub row: MessageRow,
    /// Alerts that it tells by name, all of them.
    pub named: u64,
    /// Alerts that it tells in a number, all of them.
    pub counted: u64,
}

/// Which messages to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct MessageQuery {
    /// Only this bot's.
    pub bot: Option<String>,
    /// Only with this last verdict.
    pub verdict: Option<String>,
    /// Only at or after.
    pub since_ms: Option<Millis>,
    /// Only before.
    pub until_ms: Option<Millis>,
    /// Only whose text contains this, without case.
    pub q: Option<String>,
    /// At most this many (1 to 1000).
    pub limit: u32,
    /// Only with a `seq` below this (the last one of the page before).
    pub after: Option<i64>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Only this bot's.
    pub bot: Option<String>,
    /// Any of these; all when empty.
    pub states: Vec<DeliveryState>,
    /// At most this many (1 to 1000).
    pub limit: u32,
    /// The cursor that the page before gave.
    pub after: Option<String>,
}

/// Where an alert stands with one bot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// Accepted, untold.
    Waiting,
    /// Told.
    Told,
    /// Dead letter.
    Dead,
}

/// One line of the deliveries list.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Delivery {
    /// The bot.
    pub bot: String,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// Its status in this state.
    pub status: Status,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it came into this state.
    pub at_ms: Millis,
    /// The message that told it, when one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A page of deliveries and the cursor of the next.
#[derive(Clone, Debug, Default)]
pub struct DeliveryPage {
    /// The lines.
    pub rows: Vec<Delivery>,
    /// Present when there are more.
    pub next: Option<String>,
}

/// How large the store is.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreSize {
    /// Bytes on disk, WAL included.
    pub bytes: u64,
    /// Alert states waiting, all bots; without those that are noted and never told ([`HeadFlags::SILENT`]).
    pub waiting: u64,
    /// Bytes of the bodies that waiting and noted alerts need.
    pub waiting_bytes: u64,
}

/// One step of clean-up: what is older than this may go.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Messages, dead letters and told firing states last seen before.
    pub history_before_ms: Millis,
    /// Told resolves from before.
    pub resolved_before_ms: Millis,
    /// Finished attempts from before.
    pub attempts_before_ms: Millis,
}

/// The store of one process. All writes are ordered by one writer; every method returns after its commit.
#[async_trait]
pub trait Store: Send + Sync {
    /// What replicas need that share the store; `None` for an engine of one process, which speaks for every bot.
    fn cluster(&self) -> Option<&dyn Cluster> {
        None
    }

    /// Sets who hears of commits, and hands it each known bot's image and then all stored heads, oldest first. Called
    /// once, before the first append.
    async fn replay(&self, feed: Arc<dyn Feed>) -> Result<(), StoreError>;

    /// Appends a webhook: durable when it returns.
    async fn append(&self, append: Append) -> Result<(), StoreError>;

    /// The bodies with these ids, in the order asked; missing ones are left out.
    async fn bodies(&self, ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError>;

    /// The text that a head's `via` stands for.
    async fn via(&self, id: u32) -> Result<Arc<str>, StoreError>;

    /// A robot's state and its attempts that ended after `since_ms` or are open, oldest first.
    async fn robot(&self, robot: &str, since_ms: Millis) -> Result<(RobotState, Vec<AttemptTimes>), StoreError>;

    /// Keeps further alerts that a message tells, as part `part` (from 0) of them, before the message is begun: a digest
    /// tells more than one commit should hold. Part 0 takes the place of whatever was kept for the message before. What
    /// is never begun goes with [`Store::clean`].
    async fn keep_alerts(&self, message: &MessageId, part: u32, alerts: Vec<ToldAlert>) -> Result<(), StoreError>;

    /// Begins an attempt. A further attempt that comes without text and alerts keeps those of the one before, and all
    /// parts; any other keeps [`Begin::parts`] parts, and the rest are stale and go.
    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError>;

    /// Ends an attempt. A large effect may take several commits, of which the last ends the attempt: a crash in between
    /// leaves the attempt open. Heads that are gone already are not counted again, so it may be repeated after a failure.
    async fn finish(&self, outcome: Outcome) -> Result<(), StoreError>;

    /// Deletes and counts superseded heads of a bot outside an outcome.
    async fn superseded(&self, bot: Arc<str>, positions: Vec<i64>) -> Result<(), StoreError>;

    /// Sets a robot's state outside an outcome (a reload lifts a pause).
    async fn set_robot(&self, robot: &str, state: RobotState) -> Result<(), StoreError>;

    /// Moves all waiting heads of a bot that is gone to other bots (they are appended anew there and count as
    /// superseded here); with no bots given they become dead letters. Works in steps; returns how many moved.
    async fn rehome(&self, from: Arc<str>, to: Vec<Arc<str>>, now_ms: Millis) -> Result<u64, StoreError>;

    /// Appends alerts anew for another bot, with `fallback:FROM` added to their `via`, in steps; heads that are gone
    /// already are left out. Returns how many were appended.
    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError>;

    /// Remembers each bot's fallback, for a later start with a config that no longer has the bot.
    async fn remember_fallbacks(&self, fallbacks: Vec<(Arc<str>, Option<Arc<str>>)>) -> Result<(), StoreError>;

    /// The fallback that was remembered for a bot.
    async fn fallback_of(&self, bot: &str) -> Result<Option<Arc<str>>, StoreError>;

    /// History. A page ends early when its texts and alerts are large. A message's alerts are those it was begun with,
    /// then those of its parts in order, up to a bound of the engine (tens of thousands) in [`MessageRow::left_out`].
    async fn messages(&self, query: MessageQuery) -> Result<MessagePage, StoreError>;

    /// One message, with its alerts as [`Store::messages`] gives them.
    async fn message(&self, id: &MessageId) -> Result<MessageRow, StoreError>;

    /// One message with at most `limit` (at least 1) of its alerts, without the first `skip`; fewer when they are large,
    /// none only behind the last.
    async fn message_slice(&self, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, StoreError>;

    /// Per bot and alert: where it stands; of waiting ones each state that is not told yet, without those that never are
    /// ([`HeadFlags::SILENT`]). A cursor that is none is [`StoreError::NotFound`].
    async fn deliveries(&self, query: DeliveryQuery) -> Result<DeliveryPage, StoreError>;

    /// At most `limit` (1 to 1000) dead letters, newest first, ids below `after`.
    async fn dead_letters(
        &self,
        bot: Option<String>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<DeadLetterPage, StoreError>;

    /// Number of dead letters per bot.
    async fn dead_letter_counts(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError>;

    /// Appends a dead letter's alert anew, for its own bot or another, and removes the dead letter.
    async fn replay_dead_letter(&self, id: i64, bot: Option<Arc<str>>, now_ms: Millis) -> Result<(), StoreError>;

    /// Removes a dead letter.
    async fn delete_dead_letter(&self, id: i64) -> Result<(), StoreError>;

    /// One small step of clean-up; `true` when there is more to do.
    async fn clean(&self, retention: Retention) -> Result<bool, StoreError>;

    /// Sizes, for metrics and the backlog.
    async fn size(&self) -> Result<StoreSize, StoreError>;

    /// Whether the store can commit now: it does so.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Stops taking work, commits what is queued and closes.
    async fn close(&self);
}
