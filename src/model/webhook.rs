//! Lenient reading of the webhook body that Alertmanager, Grafana and ARMS send.
//!
//! Shape and oddities: Alertmanager `notify/webhook/webhook.go` and `template/template.go`, and recorded bodies.
//! Unknown fields are ignored, `null` and missing mean empty, non-string values of maps are kept as their JSON text.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Alert, Fingerprint, Labels, Status, fnv1a};

/// One webhook body.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Receiver's name as people know it, without Alertmanager's regex escapes.
    pub receiver: String,
    /// Firing if any alert in this body fires.
    pub status: Status,
    /// At least one.
    pub alerts: Vec<Alert>,
    /// Labels that the group was made by.
    pub group_labels: Labels,
    /// Labels that all alerts in the body share.
    pub common_labels: Labels,
    /// Annotations that all alerts in the body share.
    pub common_annotations: Labels,
    /// Labels of Alertmanager's route (0.34 and later).
    pub route_labels: Labels,
    /// Alertmanager's own address; no trailing slash.
    pub external_url: String,
    /// Opaque group key; empty when the sender has none.
    pub group_key: String,
    /// How many alerts `max_alerts` left out.
    pub truncated_alerts: u64,
    /// `notification_reason` (0.32 and later), else empty.
    pub reason: String,
    /// Payload version as sent; may be empty.
    pub version: String,
}

/// Why a body can never work, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BodyError {
    /// The place, as `alerts[3].startsAt`; empty for the body as a whole.
    pub at: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl BodyError {
    fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }
}

/// Undoes Go's `regexp.QuoteMeta`, which Alertmanager applies to the receiver's name.
pub fn unescape_receiver(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().or(Some('\\'))),
            c => out.push(c),
        }
    }
    out
}

impl Notification {
    /// Reads a body.
    ///
    /// # Errors
    /// [`BodyError`] with the place when it is not UTF-8, not JSON, of a wrong type, of another sender's shape
    /// (event recorder, `/api/v2/alerts`), or without alerts.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let text = std::str::from_utf8(body).map_err(|e| {
            BodyError::new("", format!("the body is not UTF-8 (first wrong byte at offset {})", e.valid_up_to()))
        })?;
        let wire: Wire<'_> = match serde_json::from_str(text) {
            Ok(wire) => wire,
            Err(error) => return Err(explain(text, &error)),
        };
        if wire.alerts.is_none() {
            return Err(foreign(text).unwrap_or_else(|| {
                BodyError::new(
                    "alerts",
                    "the body has no `alerts`: this is not Alertmanager's webhook body; remove a custom `payload:` from the webhook_config",
                )
            }));
        }
        wire.build()
    }
}

/// Names the sender of a well-known body that does not belong here.
fn foreign(text: &str) -> Option<BodyError> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "@timestamp")]
        timestamp: Option<IgnoredAny>,
        data: Option<IgnoredAny>,
    }
    let event: Event = serde_json::from_str(text).ok()?;
    (event.timestamp.is_some() && event.data.is_some()).then(|| BodyError::new("", EVENT_RECORDER))
}

const EVENT_RECORDER: &str = "this is an event of Alertmanager's event recorder, not a notification: remove this URL from \
     `event_recorder.webhook_outputs` and use it as a receiver's `webhook_configs[].url`";
const API_ALERTS: &str = "this is a list of alerts as Prometheus posts to Alertmanager's /api/v2/alerts: point Prometheus' \
     `alerting.alertmanagers` at Alertmanager, and an Alertmanager receiver's `webhook_configs[].url` here";

/// Finds the place of a mistake; only called for bad bodies, so it may be slow.
fn explain(text: &str, error: &serde_json::Error) -> BodyError {
    let trimmed = text.trim_start();
    if trimmed.is_empty() {
        return BodyError::new("", "the body is empty");
    }
    if trimmed.starts_with("$alertmanager_content") {
        return BodyError::new(
            "",
            "the body is the literal `$alertmanager_content`: a console test that does not fill in the variable",
        );
    }
    if trimmed.starts_with('[') {
        #[derive(Deserialize)]
        struct Item {
            labels: Option<IgnoredAny>,
            #[serde(rename = "@timestamp")]
            timestamp: Option<IgnoredAny>,
        }
        if let Ok(items) = serde_json::from_str::<Vec<Item>>(text) {
            if items.iter().any(|item| item.timestamp.is_some()) {
                return BodyError::new("", EVENT_RECORDER);
            }
            if items.iter().all(|item| item.labels.is_some()) {
                return BodyError::new("", API_ALERTS);
            }
        }
        return BodyError::new("", "the body is a JSON array; Alertmanager's webhook body is an object");
    }
    if !matches!(error.classify(), serde_json::error::Category::Data) {
        return BodyError::new("", format!("the body is not valid JSON: {error}"));
    }
    let mut de = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Wire<'_>>(&mut de) {
        Err(found) => {
            let at = found.path().to_string();
            let at = if at == "." { String::new() } else { at };
            BodyError::new(at, found.into_inner().to_string())
        }
        Ok(_) => BodyError::new("", error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "Alertmanager's webhook body, an object")]
struct Wire<'a> {
    #[serde(default, borrow, deserialize_with = "text")]
    receiver: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text")]
    status: Cow<'a, str>,
    #[serde(default, borrow)]
    alerts: Option<Vec<WireAlert<'a>>>,
    #[serde(default)]
    group_labels: Map,
    #[serde(default)]
    common_labels: Map,
    #[serde(default)]
    common_annotations: Map,
    #[serde(default)]
    route_labels: Map,
    #[serde(default, borrow, rename = "externalURL", deserialize_with = "text")]
    external_url: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text")]
    version: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text")]
    group_key: Cow<'a, str>,
    #[serde(default)]
    truncated_alerts: Option<u64>,
    #[serde(default, borrow, rename = "notification_reason", deserialize_with = "text")]
    reason: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an alert, an object")]
struct WireAlert<'a> {
    #[serde(default, borrow, deserialize_with = "text")]
    status: Cow<'a, str>,
    #[serde(default)]
    labels: Map,
    #[serde(default)]
    annotations: Map,
    #[serde(default, deserialize_with = "time")]
    starts_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time")]
    ends_at: Option<Timestamp>,
    #[serde(default, borrow, rename = "generatorURL", deserialize_with = "text")]
    generator_url: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text")]
    fingerprint: Cow<'a, str>,
    #[serde(default, borrow, rename = "silenceURL", deserialize_with = "text")]
    silence_url: Cow<'a, str>,
    #[serde(default, borrow, rename = "dashboardURL", deserialize_with = "text")]
    dashboard_url: Cow<'a, str>,
    #[serde(default, borrow, rename = "panelURL", deserialize_with = "text")]
    panel_url: Cow<'a, str>,
    #[serde(default, borrow, deserialize_with = "text")]
    value_string: Cow<'a, str>,
}

impl Wire<'_> {
    fn build(self) -> Result<Notification, BodyError> {
        let wire_alerts = self.alerts.unwrap_or_default();
        if wire_alerts.is_empty() {
            return Err(BodyError::new("alerts", "the body holds no alerts"));
        }
        let alerts = wire_alerts
            .into_iter()
            .enumerate()
            .map(|(at, alert)| alert.build(at, &self.status))
            .collect::<Result<Vec<_>, _>>()?;
        let firing = alerts.iter().any(|alert| alert.status == Status::Firing);
        Ok(Notification {
            receiver: unescape_receiver(&self.receiver),
            status: if firing { Status::Firing } else { Status::Resolved },
            alerts,
            group_labels: self.group_labels.0,
            common_labels: self.common_labels.0,
            common_annotations: self.common_annotations.0,
            route_labels: self.route_labels.0,
            external_url: self.external_url.trim_end_matches('/').to_owned(),
            group_key: self.group_key.into_owned(),
            truncated_alerts: self.truncated_alerts.unwrap_or(0),
            reason: self.reason.into_owned(),
            version: self.version.into_owned(),
        })
    }
}

impl WireAlert<'_> {
    fn build(self, at: usize, body_status: &str) -> Result<Alert, BodyError> {
        let status = match (self.status.as_ref(), body_status, self.ends_at) {
            ("firing", ..) | ("", "firing", _) => Status::Firing,
            ("resolved", ..) | ("", "resolved", _) => Status::Resolved,
            ("", _, Some(_)) => Status::Resolved,
            ("", _, None) => Status::Firing,
            (other, ..) => {
                return Err(BodyError::new(
                    format!("alerts[{at}].status"),
                    format!(
                        "{} is not a status; it must be \"firing\" or \"resolved\"",
                        serde_json::Value::from(shorten(other))
                    ),
                ));
            }
        };
        let fingerprint = match self.fingerprint.as_ref() {
            "" => Fingerprint::of(&self.labels.0),
            // ARMS sends 32 digits: still the sender's identity, hashed to our width.
            text => Fingerprint::parse(text).unwrap_or_else(|| Fingerprint(fnv1a([text.as_bytes()]))),
        };
        Ok(Alert {
            status,
            labels: self.labels.0,
            annotations: self.annotations.0,
            starts_at: self.starts_at,
            ends_at: if status == Status::Firing { None } else { self.ends_at },
            generator_url: self.generator_url.into_owned(),
            fingerprint,
            silence_url: self.silence_url.into_owned(),
            dashboard_url: self.dashboard_url.into_owned(),
            panel_url: self.panel_url.into_owned(),
            value_string: self.value_string.into_owned(),
        })
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A string map that takes `null`, and any JSON value as its text.
#[derive(Default)]
struct Map(Labels);

impl<'de> Deserialize<'de> for Map {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Map;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_unit<E>(self) -> Result<Map, E> {
                Ok(Map::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Map, A::Error> {
                let mut out = Labels::new();
                while let Some((key, value)) = map.next_entry::<String, Text<'de>>()? {
                    out.insert(key, value.0.into_owned());
                }
                Ok(Map(out))
            }
        }
        d.deserialize_any(V)
    }
}

/// Any JSON value as text: a string as it is, `null` as nothing, others as their JSON.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed("")))
            }
            fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_string())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                let value = serde_json::Value::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))?;
                Ok(Text(Cow::Owned(value.to_string())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let value = serde_json::Value::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Text(Cow::Owned(value.to_string())))
            }
        }
        d.deserialize_any(V)
    }
}

/// A top-level string: other scalars as their text, but an object or array there is a mistake worth naming.
fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Cow<'de, str>, D::Error> {
    struct V;
    impl<'de> Visitor<'de> for V {
        type Value = Cow<'de, str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(v))
        }
        fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(v.to_owned()))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(""))
        }
        fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(v.to_string()))
        }
        fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(v.to_string()))
        }
        fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(v.to_string()))
        }
        fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
            Ok(Cow::Owned(v.to_string()))
        }
    }
    d.deserialize_any(V)
}

/// RFC 3339 with any offset and 0 to 9 fractional digits; Go's zero time, `""` and `null` are "not known".
fn time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    let text = text(d)?;
    if text.is_empty() || text.starts_with("0001-01-01") {
        return Ok(None);
    }
    text.parse::<Timestamp>().map(Some).map_err(|_| {
        serde::de::Error::custom(format!(
            "{} is not an RFC 3339 time like 2026-11-20T23:32:09Z",
            serde_json::Value::from(shorten(&text))
        ))
    })
}
