//! The routes: webhooks in, and what can be asked about them.
//!
//! Answers have Prometheus' form, apart from the few that people or Prometheus read: `/`, `/m/{id}`, `/metrics` and
//! `/-/healthy`. Everything is bounded: bodies by [`BodyLimits`], pages by their `limit`, the store's answers by its own
//! patience.

mod history;
mod letters;
mod ops;
mod page;
mod query;
mod refusals;
mod view;
mod webhook;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use axum::Router;
use axum::routing::{delete, get, post};
use jiff::tz::TimeZone;
use tokio::sync::Semaphore;

use super::BodyLimits;
use crate::clock::Clock;
use crate::ingest::Ingest;
use crate::model::Lang;
use crate::store::Store;

pub use view::{BotLine, ReplicaLine, RobotLine, Status, moment};

/// What the routes stand on.
pub struct Api {
    /// The way in.
    pub ingest: Arc<Ingest>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The running program.
    pub control: Arc<dyn Control>,
    /// Bounds of webhook bodies; a reload swaps them.
    pub limits: Arc<ArcSwap<BodyLimits>>,
    /// What `/metrics` shows.
    pub registry: prometheus::Registry,
    /// Stamps replays.
    pub clock: Arc<dyn Clock>,
    /// The prefix that [`super::assemble`] puts before all paths, for links; empty for none.
    pub prefix: String,
    /// `--web.enable-lifecycle`
    pub lifecycle: bool,
    /// `--web.enable-admin-api`
    pub admin: bool,
}

/// What the routes ask of the running program.
#[async_trait]
pub trait Control: Send + Sync {
    /// What is running.
    async fn status(&self) -> Status;

    /// Every bot of the config, and those that are gone while alerts still wait for them; the same of every replica, a
    /// second behind.
    async fn bots(&self) -> Vec<BotLine>;

    /// The metrics are about to be read: brings those up to date that speak of other replicas' bots. Takes 2 s at most.
    async fn before_scrape(&self);

    /// Reads the config anew.
    ///
    /// # Errors
    /// Why the old one stays in force, in words that may be shown.
    async fn reload(&self) -> Result<(), String>;

    /// Language and zone of the pages of a bot's messages; the config's own for a bot that it does not have (`""`).
    fn page(&self, bot: &str) -> (Lang, TimeZone);

    /// Dead letters were replayed or deleted: counts them anew.
    async fn dead_letters_changed(&self);

    /// Whether the config has a bot of this name.
    fn has_bot(&self, name: &str) -> bool;
}

/// Pages that are drawn at once: one of 10,000 alerts takes some megabytes.
const DRAWN_AT_ONCE: usize = 4;

/// What every handler gets.
struct Rooms {
    api: Api,
    refusals: refusals::Refusals,
    drawing: Semaphore,
}

type Shared = Arc<Rooms>;

/// The routes of the HTTP surface, to be put through [`super::assemble`].
pub fn routes(api: Api) -> Router {
    let rooms = Arc::new(Rooms { api, refusals: Default::default(), drawing: Semaphore::new(DRAWN_AT_ONCE) });
    Router::new()
        .route("/", get(page::index))
        .route("/m/{id}", get(page::message))
        .route("/metrics", get(ops::metrics))
        .route("/-/healthy", get(ops::healthy))
        .route("/-/ready", get(ops::ready))
        .route("/-/reload", post(ops::reload).put(ops::reload))
        .route("/api/v1/webhook", post(webhook::policies).put(webhook::policies))
        .route("/api/v1/webhook/{name}", post(webhook::named).put(webhook::named))
        .route("/dingtalk/{name}/send", post(webhook::named).put(webhook::named))
        .route("/api/v1/status", get(ops::status))
        .route("/api/v1/bots", get(ops::bots))
        .route("/api/v1/messages", get(history::messages))
        .route("/api/v1/deliveries", get(history::deliveries))
        .route("/api/v1/dead-letters", get(letters::list))
        .route("/api/v1/dead-letters/{id}", delete(letters::remove))
        .route("/api/v1/dead-letters/{id}/replay", post(letters::replay))
        .with_state(rooms)
}
