//! What the listener counts.

use prometheus::{IntCounter, IntGauge, Registry};

/// Metrics of the listener; all start at 0.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    /// `alarmbell_http_connections`
    pub(super) connections: IntGauge,
    /// `alarmbell_http_connections_accepted_total`
    pub(super) accepted: IntCounter,
    /// `alarmbell_http_connections_evicted_total`
    pub(super) evicted: IntCounter,
    /// `alarmbell_http_connections_refused_total`
    pub(super) refused: IntCounter,
    /// `alarmbell_http_handler_panics_total`
    pub(super) panics: IntCounter,
}

impl HttpMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// One of them is registered already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(format!("alarmbell_http_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let connections = IntGauge::new("alarmbell_http_connections", "Open connections.")?;
        registry.register(Box::new(connections.clone()))?;
        Ok(Self {
            connections,
            accepted: counter("connections_accepted_total", "Connections taken.")?,
            evicted: counter("connections_evicted_total", "Idle connections closed to make room for new ones.")?,
            refused: counter("connections_refused_total", "Connections answered with 503 because all were busy.")?,
            panics: counter("handler_panics_total", "Requests that ended in a defect of ours.")?,
        })
    }
}
