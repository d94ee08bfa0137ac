//! What an engine offers beyond [`super::Store`] when several replicas share it: who is there, and who speaks for which
//! bot.
//!
//! A replica's right to speak is one lease on the database's clock, renewed by every [`Cluster::beat`]; which bots it
//! speaks for is written in their rows. A bot changes hands when its replica gave it back or let its lease run out, and
//! from then on whatever the replica before still writes for it is refused with [`StoreError::Fenced`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Fingerprint, Millis};

/// How long a replica may speak after it began its last successful beat. A request to a robot takes at most 5 s, so one
/// that is begun with that much left ends before anybody else may begin.
pub const LEASE: Duration = Duration::from_secs(8);

/// What a replica says of itself with every beat.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Beat {
    /// Hash of the config in force.
    pub config_hash: String,
}

/// A replica that is there, as its last beat left it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    /// Unique per process.
    pub id: String,
    /// What people know it by: the host's name.
    pub name: String,
    /// alarmbell's version.
    pub version: String,
    /// Hash of its config.
    pub config_hash: String,
    /// When it started (database's clock).
    pub started_ms: Millis,
    /// Its last beat (database's clock).
    pub seen_ms: Millis,
    /// Bots it speaks for.
    pub bots: u64,
}

/// The answer to a beat.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pulse {
    /// This replica's id.
    pub me: String,
    /// All replicas whose lease has not run out, this one among them, in order of their ids.
    pub replicas: Vec<Replica>,
    /// Bots that this replica spoke for and does not any more: its lease had run out, and others took them.
    pub lost: Vec<Arc<str>>,
    /// Bots that nobody speaks for: never spoken for, given back, or their replica's lease ran out. Those for which
    /// nothing waits and that no config has for long may be left out.
    pub free: Vec<Free>,
}

/// A bot that nobody speaks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Free {
    /// Its name.
    pub bot: Arc<str>,
    /// Whether alerts wait for it.
    pub waiting: bool,
}

/// An engine that replicas share.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Makes rows for bots that have none, so that they can be claimed.
    async fn enlist(&self, bots: &[Arc<str>]) -> Result<(), StoreError>;

    /// Renews this replica's lease, and says who is there and what became free or lost. A replica that is lost sight of
    /// (its row was cleaned up) appears anew.
    async fn beat(&self, beat: Beat) -> Result<Pulse, StoreError>;

    /// Speaks for all of these bots, or for none when another replica speaks for one of them (then `false`). Before it
    /// returns `true`, the feed has heard each bot's image and all its heads; from then on it hears of every new head,
    /// whichever replica took it.
    async fn claim(&self, bots: &[Arc<str>]) -> Result<bool, StoreError>;

    /// Speaks for these no more; the feed hears nothing further of them. What is not ours is left alone.
    async fn release(&self, bots: &[Arc<str>]) -> Result<(), StoreError>;

    /// Forgets that these were ours without a word to the database, because they are lost.
    fn forget(&self, bots: &[Arc<str>]);

    /// Gives back everything and disappears from the list.
    async fn leave(&self) -> Result<(), StoreError>;

    /// Of each of these alerts, the bots whose chats know, or will be told, that it fires. May name a bot that was told
    /// of its end already: a resolve too many is recognised as a repeat.
    async fn hearers(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError>;

    /// Shows the others how bots stand that this replica speaks for: JSON that the store does not look into.
    async fn publish(&self, views: Vec<(Arc<str>, String)>) -> Result<(), StoreError>;

    /// What was last published of each bot, by whichever replica.
    async fn views(&self) -> Result<Vec<(Arc<str>, String)>, StoreError>;
}
