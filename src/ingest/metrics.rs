//! Counters of the way in.

use std::sync::Arc;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

/// What came in.
#[derive(Clone)]
pub struct IngestMetrics {
    /// Webhooks by receiver and HTTP status.
    pub webhooks: IntCounterVec,
    /// From the head of a request to its answer.
    pub duration: Histogram,
    /// Webhooks for names that do not exist.
    pub unknown_receivers: IntCounter,
    alerts: IntCounterVec,
    dropped: IntCounterVec,
}

impl IngestMetrics {
    /// Registers the room's metrics.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            webhooks: IntCounterVec::new(
                Opts::new("alarmbell_webhooks_total", "Webhooks by receiver and HTTP status."),
                &["receiver", "code"],
            )?,
            duration: Histogram::with_opts(
                HistogramOpts::new("alarmbell_webhook_duration_seconds", "Time from a webhook's head to its answer.")
                    .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0]),
            )?,
            unknown_receivers: IntCounter::new(
                "alarmbell_webhook_unknown_receivers_total",
                "Webhooks for a name that is neither a bot nor a contact group; the default policy took them.",
            )?,
            alerts: IntCounterVec::new(
                Opts::new("alarmbell_webhook_alerts_total", "Alerts in webhooks that could be read, by status."),
                &["status"],
            )?,
            dropped: IntCounterVec::new(
                Opts::new("alarmbell_alerts_dropped_total", "Alerts dropped on purpose (notify: none), by policy."),
                &["policy"],
            )?,
        };
        registry.register(Box::new(metrics.webhooks.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.unknown_receivers.clone()))?;
        registry.register(Box::new(metrics.alerts.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        metrics.webhooks.with_label_values(&["policies", "200"]);
        for status in ["firing", "resolved"] {
            metrics.alerts.with_label_values(&[status]);
        }
        Ok(metrics)
    }

    pub(super) fn took(&self, firing: u64, resolved: u64, dropped: &[(Arc<str>, u64)]) {
        self.alerts.with_label_values(&["firing"]).inc_by(firing);
        self.alerts.with_label_values(&["resolved"]).inc_by(resolved);
        for (policy, count) in dropped {
            self.dropped.with_label_values(&[&**policy]).inc_by(*count);
        }
    }
}
