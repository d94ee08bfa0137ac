//! Putting a new config in force.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::metrics::ReloadMetrics;
use super::{AppError, build, warnings};
use crate::clock::Clock;
use crate::config::{self, Config, Loaded, Watched, WebConfig};
use crate::dispatch::Dispatcher;
use crate::http::{BodyLimits, Users};
use crate::ingest::Ingest;
use crate::model::{Mistake, Place};

/// What is known of the config in force.
#[derive(Clone)]
pub(super) struct Present {
    pub(super) config: Arc<Config>,
    /// What to watch; also of a config that was refused since.
    pub(super) watched: Watched,
    /// Hash of what was read last, whether it was taken or refused.
    pub(super) seen: String,
    pub(super) last_ok: bool,
    pub(super) last_success: Timestamp,
}

/// Everything that a reload changes.
pub(super) struct Reloader {
    pub(super) config_file: PathBuf,
    pub(super) web_config_file: Option<PathBuf>,
    pub(super) external_url: String,
    pub(super) retention: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ingest: Arc<Ingest>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) limits: Arc<ArcSwap<BodyLimits>>,
    pub(super) users: Arc<ArcSwap<Option<Users>>>,
    pub(super) metrics: ReloadMetrics,
    pub(super) present: Mutex<Present>,
    /// One reload at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// Reads the web config; without one everybody may in.
pub(super) fn web_users(file: Option<&PathBuf>) -> Result<(Option<Users>, Vec<Mistake>), AppError> {
    let Some(file) = file else { return Ok((None, Vec::new())) };
    let WebConfig { users, warnings } = config::load_web(file).map_err(AppError::Config)?;
    let hashes = users.into_iter().map(|(user, hash)| (user, hash.expose().to_owned())).collect();
    let users = Users::build(hashes).map_err(|error| {
        AppError::Config(vec![Mistake {
            place: Place { file: file.display().to_string(), line: 0, column: 0 },
            what: error.to_string(),
            line: String::new(),
            hint: String::new(),
            warning: false,
        }])
    })?;
    Ok(((!users.is_empty()).then_some(users), warnings))
}

impl Reloader {
    pub(super) fn present(&self) -> Present {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update(&self, change: impl FnOnce(&mut Present)) {
        change(&mut self.present.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Reads everything anew and puts it in force; a bad config changes nothing.
    pub(super) async fn reload(&self) -> Result<(), AppError> {
        let _turn = self.turn.lock().await;
        let (config_file, web_file) = (self.config_file.clone(), self.web_config_file.clone());
        let read = tokio::task::spawn_blocking(move || {
            let (watched, loaded) = config::load_watched(&config_file);
            let seen = config::fingerprint(&watched);
            (watched, seen, loaded, web_users(web_file.as_ref()))
        });
        let (watched, seen, loaded, web) = read.await.map_err(AppError::runtime)?;
        self.update(|present| {
            present.watched = watched;
            present.seen = seen;
        });
        let result = match (loaded, web) {
            (Ok(loaded), Ok((users, web_warnings))) => {
                warnings::log(&web_warnings);
                self.users.store(Arc::new(users));
                self.put(loaded).await
            }
            (Err(mistakes), Err(AppError::Config(more))) => {
                Err(AppError::Config(mistakes.into_iter().chain(more).collect()))
            }
            (Err(mistakes), _) => Err(AppError::Config(mistakes)),
            (_, Err(error)) => Err(error),
        };
        self.dispatcher.reloaded(result.as_ref().err().map(ToString::to_string).as_deref());
        match &result {
            Ok(()) => {
                let now = self.clock.now();
                self.metrics.succeeded(now);
                self.update(|present| {
                    present.last_ok = true;
                    present.last_success = now;
                });
                tracing::info!(config = %self.config_file.display(), "the config was read and is in force");
            }
            Err(error) => {
                self.metrics.failed();
                self.update(|present| present.last_ok = false);
                tracing::error!(error = %error, "the new config was refused; the old one stays in force");
            }
        }
        result
    }

    async fn put(&self, loaded: Loaded) -> Result<(), AppError> {
        let Loaded { config, warnings } = loaded;
        warnings::log(&warnings);
        let built = build::build(&config, &self.external_url, self.retention);
        let limits = self.limits.load().resized(config.global.body_limit, config.global.bodies_in_flight);
        self.limits.store(Arc::new(limits));
        self.ingest.apply(built.ingest);
        self.update(|present| present.config = Arc::new(config));
        if let Err(error) = self.dispatcher.apply(built.dispatch).await {
            tracing::warn!(%error, "the store does not answer; what waits for bots that are gone moves later");
        }
        Ok(())
    }

    /// Reloads when what was read has changed, until it is told to stop.
    pub(super) async fn watch(&self, interval: Duration, stop: CancellationToken) {
        loop {
            let until = self.clock.mono() + interval;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(until) => {}
            }
            let Present { watched, seen, .. } = self.present();
            let now = tokio::task::spawn_blocking(move || config::fingerprint(&watched)).await;
            if now.is_ok_and(|now| now != seen) {
                // Why it was refused is logged; the next change is another chance.
                let _ = self.reload().await;
            }
        }
    }
}
