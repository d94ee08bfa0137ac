//! The store's own metrics.

use prometheus::{Gauge, Histogram, HistogramOpts, Registry, exponential_buckets};

/// See design section 7. Cloning shares the numbers.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    pub(in crate::store) commit_duration: Histogram,
    pub(in crate::store) batch_webhooks: Histogram,
    pub(in crate::store) size: Gauge,
}

impl StoreMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// When metrics of these names are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self::new()?;
        registry.register(Box::new(metrics.commit_duration.clone()))?;
        registry.register(Box::new(metrics.batch_webhooks.clone()))?;
        registry.register(Box::new(metrics.size.clone()))?;
        Ok(metrics)
    }

    pub(in crate::store) fn new() -> prometheus::Result<Self> {
        let commit = HistogramOpts::new(
            "alarmbell_store_commit_duration_seconds",
            "How long a transaction took, from its first row to durable.",
        )
        .buckets(exponential_buckets(0.000_25, 2.0, 16)?);
        let batch = HistogramOpts::new("alarmbell_store_batch_webhooks", "Webhooks accepted in one transaction.")
            .buckets(exponential_buckets(1.0, 2.0, 13)?);
        Ok(Self {
            commit_duration: Histogram::with_opts(commit)?,
            batch_webhooks: Histogram::with_opts(batch)?,
            size: Gauge::new("alarmbell_store_size_bytes", "Size of the store on disk.")?,
        })
    }
}
