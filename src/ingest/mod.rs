//! The way in: reads a webhook, decides who must know, appends it, and only then says yes.

mod metrics;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::model::{BodyError, Fingerprint, HeadFlags, Notification, Severities, Status, UNKNOWN_RECEIVER, via_text};
use crate::routing::{GroupBy, Routed, Router, group_id};
use crate::store::{Append, NewHead, Store, StoreError};

pub use metrics::IngestMetrics;

pub use crate::routing::Endpoint;

/// Alertmanager's `notification_reason` of a reminder (0.32 and later).
const REPEAT_REASON: &str = "repeat interval elapsed";
/// The `via` of a resolve that goes to a bot only because it was told the firing.
const VIA_TOLD: &str = "told";

/// Which bots know, or will be told, that an alert fires.
#[async_trait]
pub trait Audience: Send + Sync {
    /// Of each of these alerts the names of those bots, in one question. An alert that nobody knows is left out.
    ///
    /// # Errors
    /// When the store, if that is who knows, does not answer.
    async fn firing_bots(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError>;
}

/// What ingest needs of a config.
pub struct Settings {
    /// Who must know.
    pub router: Arc<Router>,
    /// Severity levels.
    pub severities: Severities,
    /// Whether each bot wants resolves, by name.
    pub send_resolved: std::collections::BTreeMap<Arc<str>, bool>,
}

/// Why a webhook was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    /// It can never work.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It may work later, or never.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No policy matched an alert and there is no default policy; nothing of the body was taken.
    #[error("{message}")]
    Nowhere {
        /// The alert (`alerts[3]`), or empty for a name that does not exist.
        at: String,
        /// What to do.
        message: String,
    },
}

/// What became of a webhook that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Alerts in the body.
    pub alerts: usize,
    /// States appended, over all bots; 0 when all were dropped on purpose.
    pub states: usize,
}

/// The way in.
pub struct Ingest {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    audience: Arc<dyn Audience>,
    settings: ArcSwap<Settings>,
    metrics: IngestMetrics,
}

impl Ingest {
    /// Opens the way in.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        audience: Arc<dyn Audience>,
        settings: Settings,
        metrics: IngestMetrics,
    ) -> Self {
        Self { store, clock, audience, settings: ArcSwap::from_pointee(settings), metrics }
    }

    /// Uses another config from the next webhook on.
    pub fn apply(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// The room's metrics.
    pub const fn metrics(&self) -> &IngestMetrics {
        &self.metrics
    }

    /// What to call an endpoint in metrics: its name when it exists, else `unknown`.
    pub fn receiver_label(&self, endpoint: &Endpoint) -> String {
        match endpoint {
            Endpoint::Policies => "policies".to_owned(),
            Endpoint::Named(name) if self.settings.load().router.knows(endpoint) => name.clone(),
            Endpoint::Named(_) => "unknown".to_owned(),
        }
    }

    /// Takes a webhook: when this returns `Ok`, every alert in it is on disk for every bot that must be told.
    ///
    /// `source` is the `?source=` of the URL. Reading a body of megabytes takes a while: such bodies are read on a
    /// thread of their own.
    ///
    /// # Errors
    /// [`IngestError`]; nothing of the body was kept.
    pub async fn accept(
        &self,
        endpoint: &Endpoint,
        source: Option<&str>,
        body: Bytes,
    ) -> Result<Accepted, IngestError> {
        const LARGE: usize = 256 * 1024;
        let notification = if body.len() > LARGE {
            let bytes = body.clone();
            let parsed = tokio::task::spawn_blocking(move || Notification::parse(&bytes)).await;
            parsed.map_err(|_| StoreError::Unavailable("a reader ended early".to_owned()))??
        } else {
            Notification::parse(&body)?
        };
        let settings = self.settings.load_full();
        let now = self.clock.now();
        let hearers = self.hearers(&notification).await?;
        let plan = Plan { settings: &settings, hearers, endpoint, source, now };
        let heads = plan.heads(&notification, &self.metrics)?;
        let accepted = Accepted { alerts: notification.alerts.len(), states: heads.len() };
        if !settings.router.knows(endpoint) {
            self.metrics.unknown_receivers.inc();
            tracing::warn!(
                receiver = endpoint.as_str(),
                "a webhook for a name that is neither a bot nor a contact group went to the default policy"
            );
        }
        drop(notification);
        if !heads.is_empty() {
            self.store.append(Append { received_ms: now.as_millisecond(), body, heads }).await?;
        }
        Ok(accepted)
    }

    /// Who must hear of the ends in a body, whatever the policies say by now: whoever was told that it fires.
    async fn hearers(&self, body: &Notification) -> Result<Hearers, StoreError> {
        let ended = body.alerts.iter().filter(|alert| alert.status == Status::Resolved);
        let ended: BTreeSet<Fingerprint> = ended.map(|alert| alert.fingerprint).collect();
        let mut hearers = Hearers::new();
        if ended.is_empty() {
            return Ok(hearers);
        }
        let ended: Vec<Fingerprint> = ended.into_iter().collect();
        for (fingerprint, bot) in self.audience.firing_bots(&ended).await? {
            hearers.entry(fingerprint).or_default().push(bot);
        }
        Ok(hearers)
    }
}

/// The bots that must hear of each alert's end.
type Hearers = HashMap<Fingerprint, Vec<Arc<str>>>;

/// Deciding who must know, for one body.
struct Plan<'a> {
    settings: &'a Settings,
    hearers: Hearers,
    endpoint: &'a Endpoint,
    source: Option<&'a str>,
    now: Timestamp,
}

impl Plan<'_> {
    fn heads(&self, body: &Notification, metrics: &IngestMetrics) -> Result<Vec<NewHead>, IngestError> {
        let mut heads = Vec::with_capacity(body.alerts.len());
        let known = self.settings.router.knows(self.endpoint);
        let mut dropped: Vec<(Arc<str>, u64)> = Vec::new();
        let source = self.source.unwrap_or_else(|| cluster(body));
        let (mut firing, mut resolved) = (0, 0);
        for (at, alert) in body.alerts.iter().enumerate() {
            match alert.status {
                Status::Firing => firing += 1,
                Status::Resolved => resolved += 1,
            }
            let routed = self.settings.router.route(self.endpoint, alert, self.now);
            let before = heads.len();
            match routed {
                Routed::To(targets) => {
                    for target in targets {
                        let group_by = target.group_by.as_deref();
                        let via = if known { target.via } else { via_text([&*target.via, UNKNOWN_RECEIVER]).into() };
                        heads.push(self.head(body, at, source, target.bot, via, group_by));
                    }
                }
                Routed::Dropped { policy } => match dropped.iter_mut().find(|(name, _)| *name == policy) {
                    Some((_, count)) => *count += 1,
                    None => dropped.push((policy, 1)),
                },
                Routed::Nowhere => return Err(self.nowhere(at)),
            }
            if alert.status == Status::Resolved {
                for bot in self.hearers.get(&alert.fingerprint).into_iter().flatten() {
                    if !heads[before..].iter().any(|head| head.bot == *bot) {
                        heads.push(self.head(body, at, source, Arc::clone(bot), VIA_TOLD.into(), None));
                    }
                }
            }
        }
        metrics.took(firing, resolved, &dropped);
        Ok(heads)
    }

    fn nowhere(&self, at: usize) -> IngestError {
        match self.endpoint {
            Endpoint::Policies => IngestError::Nowhere {
                at: format!("alerts[{at}]"),
                message:
                    "no policy matches this alert and the config has no default_policy; nothing of this body was taken"
                        .to_owned(),
            },
            Endpoint::Named(_) => IngestError::Nowhere {
                at: String::new(),
                message: "there is no bot or contact group of this name, and the config has no default_policy"
                    .to_owned(),
            },
        }
    }

    fn head(
        &self,
        body: &Notification,
        at: usize,
        source: &str,
        bot: Arc<str>,
        via: Arc<str>,
        group_by: Option<&GroupBy>,
    ) -> NewHead {
        let alert = &body.alerts[at];
        let mut flags = 0;
        if body.reason == REPEAT_REASON {
            flags |= HeadFlags::REPEAT;
        }
        if body.truncated_alerts > 0 {
            flags |= HeadFlags::TRUNCATED;
        }
        if alert.status == Status::Resolved && self.settings.send_resolved.get(&bot) == Some(&false) {
            flags |= HeadFlags::SILENT;
        }
        let ms = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_millisecond);
        NewHead {
            group: group_id(self.endpoint, source, &body.group_key, group_by, &via, alert),
            severity: self.settings.severities.rank(alert.label(&self.settings.severities.label)),
            idx: u32::try_from(at).unwrap_or(u32::MAX),
            fingerprint: alert.fingerprint,
            status: alert.status,
            flags: HeadFlags(flags),
            starts_ms: ms(alert.starts_at),
            ends_ms: ms(alert.ends_at),
            bot,
            via,
        }
    }
}

/// The `cluster` that all alerts of the body share: clusters with equal configs have equal groupKeys.
fn cluster(body: &Notification) -> &str {
    body.group_labels.get("cluster").or_else(|| body.common_labels.get("cluster")).map_or("", String::as_str)
}

#[cfg(test)]
mod tests;
