//! Dead letters of a bot that is gone, made of what is stored alone: the configuration does not know it any more.

use bytes::Bytes;
use serde_json::Value;

use crate::model::{Alert, Head, How, Labels, Notification, ToldAlert};
use crate::store::NewDeadLetter;

/// Characters of a summary that are kept.
const SUMMARY_CHARS: usize = 1_000;

/// A webhook's body, read.
#[derive(Debug)]
pub(in crate::store) struct Parsed {
    /// The body's.
    pub(in crate::store) id: i64,
    /// Empty when it can not be read.
    alerts: Vec<Alert>,
    json: Value,
}

impl Parsed {
    pub(in crate::store) fn new(id: i64, body: &[u8]) -> Self {
        let alerts = Notification::parse(body).map(|notification| notification.alerts).unwrap_or_default();
        Self { id, alerts, json: serde_json::from_slice(body).unwrap_or(Value::Null) }
    }

    /// The body with one of its alerts.
    fn alone(&self, idx: usize) -> Value {
        let Some(fields) = self.json.as_object() else { return Value::Null };
        let fields = fields.iter().map(|(name, value)| {
            let value = match value.as_array().and_then(|list| list.get(idx)) {
                Some(alert) if name == "alerts" => Value::Array(vec![alert.clone()]),
                _ => value.clone(),
            };
            (name.clone(), value)
        });
        Value::Object(fields.collect())
    }
}

/// A dead letter made of a head, what its `via` stands for, and its body.
pub(in crate::store) fn letter(head: &Head, via: String, body: &Parsed) -> NewDeadLetter {
    let idx = usize::try_from(head.idx).unwrap_or(usize::MAX);
    NewDeadLetter {
        pos: head.pos,
        via,
        group: head.group,
        alert: told_alert(head, body.alerts.get(idx)),
        body: Bytes::from(body.alone(idx).to_string()),
        reason: "the bot is gone from the configuration, and no other bot is left to tell".to_owned(),
        severity: head.severity,
    }
}

fn told_alert(head: &Head, alert: Option<&Alert>) -> ToldAlert {
    let annotation = |alert: &Alert| {
        let text = ["summary", "description", "message"].iter().find_map(|name| alert.annotations.get(*name));
        text.map(|text| text.chars().take(SUMMARY_CHARS).collect::<String>())
    };
    // The configured levels are not known here; the label says most.
    let severity = alert.map_or("", |alert| alert.label("severity"));
    ToldAlert {
        fingerprint: head.fingerprint,
        status: head.status,
        how: How::Named,
        severity: if severity.is_empty() { "unknown" } else { severity }.to_owned(),
        labels: alert.map_or_else(Labels::new, |alert| alert.labels.clone()),
        summary: alert.and_then(annotation).unwrap_or_default(),
        starts_ms: head.starts_ms,
        ends_ms: head.ends_ms,
    }
}
