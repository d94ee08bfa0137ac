//! The room's own metrics, and the proof: the queues' terms, read all at once at every scrape.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::Shared;
use super::published::Published;
use crate::model::{BotKind, How, Kind, Millis, Verdict};

/// Counters that dispatch writes as it goes.
#[derive(Clone)]
pub struct DispatchMetrics {
    messages: IntCounterVec,
    attempts: IntCounterVec,
    send: HistogramVec,
    delay: HistogramVec,
    template_errors: IntCounterVec,
    handed_over: IntCounterVec,
}

impl DispatchMetrics {
    /// Registers the room's metrics.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            messages: IntCounterVec::new(
                Opts::new("alarmbell_messages_total", "Messages with a final verdict."),
                &["bot", "kind", "verdict"],
            )?,
            attempts: IntCounterVec::new(
                Opts::new("alarmbell_attempts_total", "Requests to robots by what their replies meant."),
                &["bot", "verdict"],
            )?,
            send: HistogramVec::new(
                HistogramOpts::new("alarmbell_send_duration_seconds", "Time that a request to a robot took.")
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]),
                &["type"],
            )?,
            delay: HistogramVec::new(
                HistogramOpts::new(
                    "alarmbell_delivery_delay_seconds",
                    "Time from an alert's acceptance to its being told.",
                )
                .buckets(vec![0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 1800.0, 7200.0]),
                &["type", "severity"],
            )?,
            template_errors: IntCounterVec::new(
                Opts::new("alarmbell_template_errors_total", "Messages whose custom template failed."),
                &["template"],
            )?,
            handed_over: IntCounterVec::new(
                Opts::new("alarmbell_fallback_alerts_total", "Alert states that a bot's fallback tells in its place."),
                &["bot"],
            )?,
        };
        registry.register(Box::new(metrics.messages.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.send.clone()))?;
        registry.register(Box::new(metrics.delay.clone()))?;
        registry.register(Box::new(metrics.template_errors.clone()))?;
        registry.register(Box::new(metrics.handed_over.clone()))?;
        for kind in BotKind::ALL {
            metrics.send.with_label_values(&[kind.as_str()]);
        }
        Ok(metrics)
    }

    /// Starts a bot's series at 0, so that the first increase is seen.
    pub(super) fn bot(&self, bot: &str) {
        self.handed_over.with_label_values(&[bot]);
        for verdict in Verdict::WORDS {
            self.attempts.with_label_values(&[bot, verdict]);
        }
        for kind in Kind::ALL {
            for verdict in ["delivered", "rejected"] {
                self.messages.with_label_values(&[bot, kind.as_str(), verdict]);
            }
        }
    }

    pub(super) fn message(&self, bot: &str, kind: Kind, verdict: &Verdict) {
        self.messages.with_label_values(&[bot, kind.as_str(), verdict.as_str()]).inc();
    }

    pub(super) fn attempt(&self, bot: &str, verdict: &Verdict) {
        self.attempts.with_label_values(&[bot, verdict.as_str()]).inc();
    }

    pub(super) fn send_took(&self, kind: BotKind, time: Duration) {
        self.send.with_label_values(&[kind.as_str()]).observe(time.as_secs_f64());
    }

    pub(super) fn told_after(&self, kind: BotKind, severity: &str, waited_ms: Millis) {
        let seconds = Duration::from_millis(u64::try_from(waited_ms).unwrap_or(0)).as_secs_f64();
        self.delay.with_label_values(&[kind.as_str(), severity]).observe(seconds);
    }

    pub(super) fn handed_over(&self, bot: &str, alerts: u64) {
        self.handed_over.with_label_values(&[bot]).inc_by(alerts);
    }

    pub(super) fn template_error(&self, template: &str) {
        self.template_errors.with_label_values(&[template]).inc();
    }
}

/// Reads every queue at the scrape; each bot's terms under one lock, so that the equation holds at every scrape.
pub(super) struct QueueCollector {
    shared: Weak<Shared>,
    descs: Vec<Desc>,
}

struct Families {
    accepted: IntCounterVec,
    told: IntCounterVec,
    superseded: IntCounterVec,
    dead: IntCounterVec,
    repeats: IntCounter,
    alerts: IntGaugeVec,
    groups: IntGaugeVec,
    oldest: GaugeVec,
    tokens: IntGaugeVec,
    up: IntGaugeVec,
    letters: IntGaugeVec,
}

impl Families {
    fn new() -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauge = |name: &str, help: &str| IntGaugeVec::new(Opts::new(name, help), &["bot"]);
        Ok(Self {
            accepted: counter("alarmbell_alert_states_accepted_total", "Alert states accepted for a bot.", &["bot"])?,
            told: counter(
                "alarmbell_alert_states_told_total",
                "Alert states told, by name or in a number.",
                &["bot", "how"],
            )?,
            superseded: counter(
                "alarmbell_alert_states_superseded_total",
                "Alert states that a newer state replaced before they were told, and repeats.",
                &["bot"],
            )?,
            dead: counter("alarmbell_alert_states_dead_total", "Alert states that became dead letters.", &["bot"])?,
            repeats: IntCounter::new("alarmbell_webhook_duplicates_total", "Alert states recognised as repeats.")?,
            alerts: gauge("alarmbell_queue_alerts", "Alert states that wait or are in flight.")?,
            groups: gauge("alarmbell_queue_groups", "Groups that wait.")?,
            oldest: GaugeVec::new(
                Opts::new(
                    "alarmbell_queue_oldest_timestamp_seconds",
                    "When the oldest waiting state was accepted; 0 when none waits.",
                ),
                &["bot"],
            )?,
            tokens: gauge("alarmbell_tokens_available", "Messages that the bot's robots would take at once.")?,
            up: gauge("alarmbell_bot_up", "Whether the bot's robots take messages, as far as is known.")?,
            letters: gauge("alarmbell_dead_letters", "Dead letters kept.")?,
        })
    }

    fn bot(&self, name: &str, view: &Published, letters: u64, has_config: bool) {
        self.accepted.with_label_values(&[name]).inc_by(view.accepted);
        self.told.with_label_values(&[name, How::Named.as_str()]).inc_by(view.told_named);
        self.told.with_label_values(&[name, How::Counted.as_str()]).inc_by(view.told_counted);
        self.superseded.with_label_values(&[name]).inc_by(view.superseded);
        self.dead.with_label_values(&[name]).inc_by(view.dead);
        self.alerts.with_label_values(&[name]).set(signed(view.waiting));
        self.groups.with_label_values(&[name]).set(signed(view.groups));
        let oldest = view.oldest_ms.map_or(0, |ms| u64::try_from(ms).unwrap_or(0));
        self.oldest.with_label_values(&[name]).set(Duration::from_millis(oldest).as_secs_f64());
        self.letters.with_label_values(&[name]).set(signed(letters));
        if has_config {
            let tokens = view.robots.iter().map(|robot| i64::from(robot.tokens)).sum();
            self.tokens.with_label_values(&[name]).set(tokens);
            self.up.with_label_values(&[name]).set(i64::from(view.robots.iter().any(|robot| robot.up)));
        }
    }

    fn collectors(&self) -> [&dyn Collector; 11] {
        [
            &self.accepted,
            &self.told,
            &self.superseded,
            &self.dead,
            &self.repeats,
            &self.alerts,
            &self.groups,
            &self.oldest,
            &self.tokens,
            &self.up,
            &self.letters,
        ]
    }
}

impl QueueCollector {
    pub(super) fn new(shared: &Arc<Shared>) -> prometheus::Result<Self> {
        let families = Families::new()?;
        let descs = families.collectors().iter().flat_map(|c| c.desc().into_iter().cloned()).collect();
        Ok(Self { shared: Arc::downgrade(shared), descs })
    }

    fn read(&self, shared: &Shared) -> prometheus::Result<Vec<MetricFamily>> {
        let families = Families::new()?;
        let mut known: BTreeMap<Arc<str>, Arc<Published>> = BTreeMap::new();
        if let Some(membership) = &shared.membership {
            known.extend(membership.views.all());
            families.repeats.inc_by(membership.repeats());
        }
        for bot in shared.all_bots() {
            families.repeats.inc_by(bot.repeats());
            known.insert(Arc::clone(&bot.name), Arc::new(Published::of(shared, &bot)));
        }
        let settings = shared.settings.load();
        for (name, view) in known {
            // Of those that others speak for the count itself is new enough.
            let died = if shared.here(&name).is_some() { view.dead } else { 0 };
            let letters = shared.letters(&name, died).unwrap_or(0);
            families.bot(&name, &view, letters, settings.bots.contains_key(&name));
        }
        Ok(families.collectors().iter().flat_map(|c| c.collect()).collect())
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Collector for QueueCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(shared) = self.shared.upgrade() else { return Vec::new() };
        // The names and labels are constants that were accepted at registration.
        self.read(&shared).unwrap_or_default()
    }
}

/// Where this replica stands among those that share the store.
pub(super) struct ClusterCollector {
    shared: Weak<Shared>,
    replicas: IntGauge,
    owned: IntGauge,
    lease: Gauge,
}

impl ClusterCollector {
    pub(super) fn new(shared: &Arc<Shared>) -> prometheus::Result<Self> {
        Ok(Self {
            shared: Arc::downgrade(shared),
            replicas: IntGauge::new("alarmbell_replicas", "Replicas that are there, this one among them.")?,
            owned: IntGauge::new("alarmbell_bots_owned", "Bots that this replica speaks for.")?,
            lease: Gauge::new(
                "alarmbell_lease_remaining_seconds",
                "How long this replica may still speak without hearing from the database; 0: it tells nothing.",
            )?,
        })
    }
}

impl Collector for ClusterCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.replicas.desc(), self.owned.desc(), self.lease.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(shared) = self.shared.upgrade() else { return Vec::new() };
        if let Some(membership) = &shared.membership {
            self.replicas.set(i64::try_from(membership.heard().pulse.replicas.len()).unwrap_or(i64::MAX));
            self.lease.set(membership.left(&*shared.clock).as_secs_f64());
        }
        self.owned.set(i64::try_from(shared.all_bots().len()).unwrap_or(i64::MAX));
        [self.replicas.collect(), self.owned.collect(), self.lease.collect()].concat()
    }
}
