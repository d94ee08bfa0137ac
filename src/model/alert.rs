//! One alert as a sender describes it.

use jiff::Timestamp;

use super::{Fingerprint, Labels};

/// Whether an alert fires or has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

impl Status {
    /// The lower-case word that Alertmanager uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert of a notification, after lenient reading: missing and null fields are empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Firing or resolved.
    pub status: Status,
    /// Labels; may be empty when a sender removed all of them.
    pub labels: Labels,
    /// Annotations; non-string values are kept as their JSON text.
    pub annotations: Labels,
    /// When it began, if the sender said so.
    pub starts_at: Option<Timestamp>,
    /// When it ended; `None` for a firing alert (Go's zero time).
    pub ends_at: Option<Timestamp>,
    /// Link to the expression that fires; may be empty or not a URL.
    pub generator_url: String,
    /// The sender's fingerprint when it is 16 hexadecimal digits, else computed over the labels.
    pub fingerprint: Fingerprint,
    /// Grafana: link that opens a pre-filled silence; else empty.
    pub silence_url: String,
    /// Grafana: link to the dashboard; else empty.
    pub dashboard_url: String,
    /// Grafana: link to the panel; else empty.
    pub panel_url: String,
    /// Grafana: the values that made it fire, as text; else empty.
    pub value_string: String,
}

impl Alert {
    /// The label's value, or `""`.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The alert's name: `alertname`, else Grafana's `rulename`, else `""`.
    pub fn name(&self) -> &str {
        match self.label("alertname") {
            "" => self.label("rulename"),
            name => name,
        }
    }
}
