//! Metrics about the config.

use jiff::Timestamp;
use prometheus::{Gauge, IntGauge, Registry};

/// Whether the config in force is the one on disk.
#[derive(Clone)]
pub(super) struct ReloadMetrics {
    successful: IntGauge,
    timestamp: Gauge,
}

impl ReloadMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            successful: IntGauge::new(
                "alarmbell_config_last_reload_successful",
                "Whether the last attempt to read the config worked.",
            )?,
            timestamp: Gauge::new(
                "alarmbell_config_last_reload_success_timestamp_seconds",
                "When the config was last read with success.",
            )?,
        };
        registry.register(Box::new(metrics.successful.clone()))?;
        registry.register(Box::new(metrics.timestamp.clone()))?;
        Ok(metrics)
    }

    pub(super) fn succeeded(&self, at: Timestamp) {
        self.successful.set(1);
        self.timestamp.set(at.as_duration().as_secs_f64());
    }

    pub(super) fn failed(&self) {
        self.successful.set(0);
    }
}
