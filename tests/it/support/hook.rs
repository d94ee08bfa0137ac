//! Bodies as Alertmanager sends them.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// When all alerts of this test run began, unless they say otherwise.
static BEGAN: LazyLock<jiff::Timestamp> = LazyLock::new(|| jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1));

/// One notification about one group. Alerts are named by their `instance`.
#[derive(Clone)]
pub struct Hook {
    group: String,
    name: String,
    alerts: Vec<Value>,
    more: Map<String, Value>,
}

impl Hook {
    /// About a group of alerts named `DiskFull`.
    pub fn new(group: &str) -> Self {
        Self { group: group.to_owned(), name: "DiskFull".to_owned(), alerts: Vec::new(), more: Map::new() }
    }

    /// The `alertname` of the alerts that follow.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub fn firing(self, instance: &str) -> Self {
        self.alert("firing", instance, "0001-01-01T00:00:00Z")
    }

    pub fn resolved(self, instance: &str) -> Self {
        let ended = *BEGAN + jiff::SignedDuration::from_secs(50);
        self.alert("resolved", instance, &ended.to_string())
    }

    fn alert(mut self, status: &str, instance: &str, ends_at: &str) -> Self {
        let severity = if instance.starts_with("crit") { "critical" } else { "warning" };
        self.alerts.push(json!({
            "status": status,
            "labels": {"alertname": self.name, "instance": instance, "severity": severity},
            "annotations": {"summary": format!("disk of {instance} is full")},
            "startsAt": BEGAN.to_string(),
            "endsAt": ends_at,
            "generatorURL": "http://prom.example:9090/graph?g0.expr=up",
            "fingerprint": "",
        }));
        self
    }

    /// Adds a label to the last alert.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.alerts.last_mut().unwrap()["labels"][name] = value.into();
        self
    }

    /// Adds an annotation to the last alert.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.alerts.last_mut().unwrap()["annotations"][name] = value.into();
        self
    }

    /// Lets the last alert begin so much later than usual.
    pub fn later(mut self, seconds: i64) -> Self {
        let at = *BEGAN + jiff::SignedDuration::from_secs(seconds);
        self.alerts.last_mut().unwrap()["startsAt"] = at.to_string().into();
        self
    }

    /// Sets a field of the body.
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// How many alerts it has.
    pub fn len(&self) -> usize {
        self.alerts.len()
    }

    pub fn body(&self) -> Vec<u8> {
        let firing = self.alerts.iter().any(|alert| alert["status"] == "firing");
        let mut body = json!({
            "receiver": "alarmbell",
            "status": if firing { "firing" } else { "resolved" },
            "alerts": self.alerts,
            "groupLabels": {"alertname": self.name},
            "commonLabels": {"alertname": self.name},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example:9093",
            "version": "4",
            "groupKey": format!("{{}}:{{group={:?}}}", self.group),
            "truncatedAlerts": 0,
        });
        body.as_object_mut().unwrap().extend(self.more.clone());
        body.to_string().into_bytes()
    }
}

/// Where recorded bodies are.
pub fn payloads() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/payloads")
}

/// A recorded body, byte by byte.
pub fn payload(name: &str) -> Vec<u8> {
    std::fs::read(payloads().join(format!("{name}.body"))).unwrap()
}
