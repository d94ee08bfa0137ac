//! The shapes of the answers. Times are RFC 3339, `null` when there is none.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{BotKind, Fingerprint, How, Kind, Labels, Millis, Status as AlertStatus, ToldAlert};
use crate::store::{DeadLetter, DeadLetterPage, Delivery, DeliveryState, MessagePage, MessageRow, StoreSize};
use crate::telemetry::redact;

/// What is running.
#[derive(Clone, Debug)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Revision it was built from.
    pub revision: String,
    /// When it started.
    pub started: Timestamp,
    /// For how long it has run, in seconds.
    pub uptime_seconds: u64,
    /// The config's file; empty when there is none (demo).
    pub config_file: String,
    /// Hash of the config in force.
    pub config_hash: String,
    /// Whether the last reload (the start is the first) succeeded.
    pub last_reload_ok: bool,
    /// When a config was last put in force.
    pub last_reload: Timestamp,
    /// The store's engine: `sqlite` or `postgres`.
    pub store_engine: String,
    /// The replicas that share the store, as the last beat saw them; empty for an engine of one process.
    pub replicas: Vec<ReplicaLine>,
}

/// One replica.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ReplicaLine {
    /// Unique per process.
    pub id: String,
    /// What people know it by: the host's name.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Hash of its config.
    pub config_hash: String,
    /// When it started.
    pub started: Option<Timestamp>,
    /// Its last sign of life.
    pub last_seen: Option<Timestamp>,
    /// Bots it speaks for.
    pub bots: u64,
    /// Whether it is the one that answers.
    pub me: bool,
}

/// One robot of a bot; never its URL.
#[derive(Clone, Debug, Serialize)]
pub struct RobotLine {
    /// Hash of its URL.
    pub id: String,
    /// Messages that it would take at once.
    pub tokens_available: u32,
    /// Whether it takes messages, as far as is known.
    pub up: bool,
    /// The last verdict's word; empty before the first.
    pub last_verdict: String,
    /// When the last verdict came.
    pub last_verdict_at: Option<Timestamp>,
    /// What the robot said last, when it was not "delivered".
    pub reason: String,
    /// What a person must do, when one must.
    pub remedy: String,
    /// Nothing is sent before this time.
    pub paused_until: Option<Timestamp>,
}

/// One bot.
#[derive(Clone, Debug, Serialize)]
pub struct BotLine {
    /// Its name.
    pub name: String,
    /// Vendor; `None` for a bot that is no longer in the config.
    #[serde(rename = "type")]
    pub kind: Option<BotKind>,
    /// Messages that its robots would take at once, together.
    pub tokens_available: u32,
    /// Alert states that wait.
    pub waiting_alerts: u64,
    /// Groups that wait.
    pub waiting_groups: u64,
    /// When the oldest waiting state was accepted.
    pub oldest: Option<Timestamp>,
    /// Word of the newest verdict of its robots; empty before the first.
    pub last_verdict: String,
    /// When that came.
    pub last_verdict_at: Option<Timestamp>,
    /// What the robot said for which a person must do something, the newest first; else what the robot of the newest
    /// verdict said, when it was not "delivered".
    pub reason: String,
    /// What a person must do about that same robot, when one must.
    pub remedy: String,
    /// When the first of its robots may send again; `None` when one may now.
    pub paused_until: Option<Timestamp>,
    /// Whether any of its robots takes messages, as far as is known.
    pub up: bool,
    /// The bot that tells its alerts now, because none of its robots takes messages.
    pub spoken_for_by: Option<String>,
    /// Its robots.
    pub robots: Vec<RobotLine>,
}

impl BotLine {
    /// A bot without robots of which nothing is known.
    pub fn new(name: String, kind: Option<BotKind>) -> Self {
        Self {
            name,
            kind,
            tokens_available: 0,
            waiting_alerts: 0,
            waiting_groups: 0,
            oldest: None,
            last_verdict: String::new(),
            last_verdict_at: None,
            reason: String::new(),
            remedy: String::new(),
            paused_until: None,
            up: false,
            spoken_for_by: None,
            robots: Vec::new(),
        }
    }

    /// The same bot with these robots, and what follows from them.
    #[must_use]
    pub fn with_robots(mut self, robots: Vec<RobotLine>) -> Self {
        self.tokens_available = robots.iter().fold(0, |sum, robot| sum.saturating_add(robot.tokens_available));
        self.up = robots.iter().any(|robot| robot.up);
        let all_paused = !robots.is_empty() && robots.iter().all(|robot| robot.paused_until.is_some());
        self.paused_until = robots.iter().filter_map(|robot| robot.paused_until).min().filter(|_| all_paused);
        if let Some(last) = robots.iter().max_by_key(|robot| robot.last_verdict_at) {
            self.last_verdict.clone_from(&last.last_verdict);
            self.last_verdict_at = last.last_verdict_at;
            // Somebody must act even when another robot spoke since.
            let broken = robots.iter().filter(|robot| !robot.remedy.is_empty());
            let shown = broken.max_by_key(|robot| robot.last_verdict_at).unwrap_or(last);
            self.reason.clone_from(&shown.reason);
            self.remedy.clone_from(&shown.remedy);
        }
        self.robots = robots;
        self
    }

    /// As it may be shown: pauses that are over are none, and replies are masked once more.
    pub(super) fn shown(mut self, now: Timestamp) -> Self {
        let mut robots = std::mem::take(&mut self.robots);
        for robot in &mut robots {
            robot.paused_until = robot.paused_until.filter(|until| *until > now);
            robot.reason = redact(&robot.reason);
            robot.remedy = redact(&robot.remedy);
        }
        self.with_robots(robots)
    }
}

/// A stored time; `None` for 0 ("not known") and for what no calendar has.
pub fn moment(ms: Millis) -> Option<Timestamp> {
    Some(ms).filter(|ms| *ms != 0).and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

#[derive(Serialize)]
pub(super) struct StatusAnswer {
    version: String,
    revision: String,
    started: Timestamp,
    uptime_seconds: u64,
    ready: bool,
    config: ConfigAnswer,
    store: StoreAnswer,
    /// Left out for an engine of one process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replicas: Vec<ReplicaLine>,
}

#[derive(Serialize)]
struct ConfigAnswer {
    file: String,
    hash: String,
    last_reload_ok: bool,
    last_reload_success: Timestamp,
}

#[derive(Serialize)]
struct StoreAnswer {
    engine: String,
    /// `null` while the store does not answer, as the others.
    bytes: Option<u64>,
    waiting: Option<u64>,
    waiting_bytes: Option<u64>,
}

impl StatusAnswer {
    pub(super) fn new(status: Status, ready: bool, size: Option<StoreSize>) -> Self {
        Self {
            version: status.version,
            revision: status.revision,
            started: status.started,
            uptime_seconds: status.uptime_seconds,
            ready,
            config: ConfigAnswer {
                file: status.config_file,
                hash: status.config_hash,
                last_reload_ok: status.last_reload_ok,
                last_reload_success: status.last_reload,
            },
            store: StoreAnswer {
                engine: status.store_engine,
                bytes: size.map(|size| size.bytes),
                waiting: size.map(|size| size.waiting),
                waiting_bytes: size.map(|size| size.waiting_bytes),
            },
            replicas: status.replicas,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BotsAnswer {
    pub(super) bots: Vec<BotLine>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertLine {
    fingerprint: Fingerprint,
    status: AlertStatus,
    how: How,
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    labels: Labels,
    #[serde(skip_serializing_if = "String::is_empty")]
    summary: String,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
}

impl From<ToldAlert> for AlertLine {
    fn from(alert: ToldAlert) -> Self {
        Self {
            name: name(&alert.labels).map(str::to_owned),
            fingerprint: alert.fingerprint,
            status: alert.status,
            how: alert.how,
            severity: alert.severity,
            labels: alert.labels,
            summary: alert.summary,
            starts_at: moment(alert.starts_ms),
            ends_at: moment(alert.ends_ms),
        }
    }
}

/// What people call the alert, if its labels say so; as [`crate::model::Alert::name`].
pub(super) fn name(labels: &Labels) -> Option<&str> {
    let of = |label| labels.get(label).map(String::as_str).filter(|name| !name.is_empty());
    of("alertname").or_else(|| of("rulename"))
}

#[derive(Serialize)]
pub(super) struct MessagesAnswer {
    messages: Vec<MessageLine>,
    /// `after` of the next page; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize)]
struct MessageLine {
    id: String,
    seq: i64,
    time: Option<Timestamp>,
    bot: String,
    /// Empty while in flight.
    verdict: String,
    reason: String,
    attempts: u32,
    kind: Kind,
    text: String,
    alerts: Vec<AlertLine>,
    /// Further alerts that it told, when they are too many for an answer; its page lists them.
    #[serde(skip_serializing_if = "is_none")]
    alerts_left_out: u64,
    url: String,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

impl MessagesAnswer {
    pub(super) fn new(page: MessagePage, prefix: &str) -> Self {
        let line = |row: MessageRow| MessageLine {
            url: format!("{prefix}/m/{}", row.id),
            id: row.id.to_string(),
            seq: row.seq,
            time: moment(row.at_ms),
            bot: row.bot,
            verdict: row.verdict,
            reason: redact(&row.reason),
            attempts: row.attempts,
            kind: row.kind,
            text: row.text,
            alerts: row.alerts.into_iter().map(AlertLine::from).collect(),
            alerts_left_out: row.left_out,
        };
        Self { messages: page.rows.into_iter().map(line).collect(), next: page.next }
    }
}

#[derive(Serialize)]
pub(super) struct DeliveriesAnswer {
    pub(super) deliveries: Vec<DeliveryLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct DeliveryLine {
    bot: String,
    fingerprint: Fingerprint,
    status: AlertStatus,
    state: DeliveryState,
    time: Option<Timestamp>,
    /// Id of the message that told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<Delivery> for DeliveryLine {
    fn from(row: Delivery) -> Self {
        Self {
            bot: row.bot,
            fingerprint: row.fingerprint,
            status: row.status,
            state: row.state,
            time: moment(row.at_ms),
            message: row.message,
        }
    }
}

#[derive(Serialize)]
pub(super) struct LettersAnswer {
    dead_letters: Vec<LetterLine>,
    /// `after` of the next page; left out when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize)]
struct LetterLine {
    id: i64,
    bot: String,
    time: Option<Timestamp>,
    reason: String,
    alert: AlertLine,
}

impl LettersAnswer {
    pub(super) fn new(page: DeadLetterPage) -> Self {
        let line = |row: DeadLetter| LetterLine {
            id: row.id,
            bot: row.bot,
            time: moment(row.at_ms),
            reason: redact(&row.reason),
            alert: row.alert.into(),
        };
        Self { dead_letters: page.rows.into_iter().map(line).collect(), next: page.next }
    }
}
