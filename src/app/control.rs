//! What the HTTP side asks of the running program.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::reload::Reloader;
use crate::clock::Clock;
use crate::dispatch::{BotView, Dispatcher};
use crate::http::api::{BotLine, Control, ReplicaLine, RobotLine, Status, moment};
use crate::model::Lang;
use crate::store::{Pulse, Replica};

/// The running program, for the HTTP side.
pub(super) struct AppControl {
    reloader: Arc<Reloader>,
    dispatcher: Arc<Dispatcher>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
}

impl AppControl {
    pub(super) fn new(reloader: Arc<Reloader>, dispatcher: Arc<Dispatcher>, clock: Arc<dyn Clock>) -> Self {
        let started = clock.now();
        Self { reloader, dispatcher, clock, started }
    }
}

impl AppControl {
    fn replicas(&self) -> Vec<ReplicaLine> {
        let Pulse { me, replicas, .. } = self.dispatcher.pulse();
        let line = |replica: Replica| ReplicaLine {
            me: replica.id == me,
            id: replica.id,
            name: replica.name,
            version: replica.version,
            config_hash: replica.config_hash,
            started: moment(replica.started_ms),
            last_seen: moment(replica.seen_ms),
            bots: replica.bots,
        };
        replicas.into_iter().map(line).collect()
    }
}

#[async_trait]
impl Control for AppControl {
    async fn status(&self) -> Status {
        let present = self.reloader.present();
        let uptime = self.clock.now().duration_since(self.started);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("ALARMBELL_REVISION").unwrap_or("unknown").to_owned(),
            started: self.started,
            uptime_seconds: u64::try_from(uptime.as_secs()).unwrap_or(0),
            config_file: self.reloader.config_file.display().to_string(),
            config_hash: present.config.hash.clone(),
            last_reload_ok: present.last_ok,
            last_reload: present.last_success,
            store_engine: if self.dispatcher.is_shared() { "postgres" } else { "sqlite" }.to_owned(),
            replicas: self.replicas(),
        }
    }

    async fn bots(&self) -> Vec<BotLine> {
        self.dispatcher.refresh_views().await;
        self.dispatcher.bots().into_iter().map(line).collect()
    }

    async fn before_scrape(&self) {
        self.dispatcher.refresh_views().await;
    }

    async fn reload(&self) -> Result<(), String> {
        self.reloader.reload().await.map_err(|error| error.to_string())
    }

    fn page(&self, bot: &str) -> (Lang, TimeZone) {
        let config = self.reloader.present().config;
        match config.bots.iter().find(|known| *known.name == *bot) {
            Some(bot) => (bot.lang, bot.timezone.clone()),
            None => (config.global.language.unwrap_or(Lang::Zh), config.global.timezone.clone()),
        }
    }

    async fn dead_letters_changed(&self) {
        if let Err(error) = self.dispatcher.count_dead_letters().await {
            tracing::warn!(%error, "the dead letters can not be counted now; they are at the next clean-up");
        }
    }

    fn has_bot(&self, name: &str) -> bool {
        self.reloader.present().config.bots.iter().any(|bot| *bot.name == *name)
    }
}

fn line(bot: BotView) -> BotLine {
    let robots = bot.robots.into_iter().map(|robot| RobotLine {
        id: robot.id,
        tokens_available: robot.tokens,
        up: robot.up,
        last_verdict: robot.last_verdict,
        last_verdict_at: moment(robot.last_verdict_ms),
        reason: robot.reason,
        remedy: robot.remedy,
        paused_until: moment(robot.paused_until_ms),
    });
    let mut line = BotLine::new(bot.name, bot.kind).with_robots(robots.collect());
    line.waiting_alerts = bot.waiting_alerts;
    line.waiting_groups = bot.waiting_groups;
    line.oldest = bot.oldest_ms.and_then(moment);
    line.spoken_for_by = bot.spoken_for_by;
    line
}
