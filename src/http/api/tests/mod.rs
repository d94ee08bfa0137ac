#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use prometheus::Registry;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::clock::ManualClock;
use crate::http::assemble;
use crate::ingest::{Audience, IngestMetrics, Settings};
use crate::model::{
    BotKind, Fingerprint, How, Kind, Labels, MessageId, Millis, Severities, Status as State, ToldAlert,
};
use crate::routing;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{Begin, Begun, BotImage, Effect, Feed, NewDeadLetter, Outcome, RobotState};
use crate::store::{StoreError, StoreMetrics};

mod history;
mod mutations;
mod ops;
mod pages;
mod webhooks;

/// 2026-05-01T08:00:00Z
const NOW: Millis = 1_777_622_400_000;

struct Nobody;

#[async_trait]
impl Audience for Nobody {
    async fn firing_bots(&self, _: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
        Ok(Vec::new())
    }
}

impl Feed for Nobody {
    fn remember(&self, _: &Arc<str>, _: BotImage) {}
    fn committed(&self, _: &[(Arc<str>, crate::model::Head)]) {}
}

/// A program that knows the bots `ops` and `dba`.
#[derive(Default)]
struct Fake {
    reload: Mutex<Option<String>>,
    changed: AtomicUsize,
    lang: Mutex<Option<Lang>>,
    replicas: Mutex<Vec<ReplicaLine>>,
    scraped: AtomicUsize,
}

#[async_trait]
impl Control for Fake {
    async fn status(&self) -> Status {
        let started = moment(NOW).unwrap();
        Status {
            version: "1.2.3".to_owned(),
            revision: "abc".to_owned(),
            started,
            uptime_seconds: 61,
            config_file: "/etc/alarmbell.yml".to_owned(),
            config_hash: "00ff".to_owned(),
            last_reload_ok: true,
            last_reload: started,
            store_engine: "sqlite".to_owned(),
            replicas: self.replicas.lock().unwrap().clone(),
        }
    }

    async fn bots(&self) -> Vec<BotLine> {
        let robot = |id: &str, up, at, paused| RobotLine {
            id: id.to_owned(),
            tokens_available: 20,
            up,
            last_verdict: if up { "delivered" } else { "misconfigured" }.to_owned(),
            last_verdict_at: moment(at),
            reason: if up { "" } else { "token is not exist: access_token=0123456789abcdef" }.to_owned(),
            remedy: if up { "" } else { "copy the URL again" }.to_owned(),
            paused_until: moment(paused),
        };
        let mut ops = BotLine::new("ops".to_owned(), Some(BotKind::DingTalk));
        ops.waiting_alerts = 1_234;
        ops.oldest = moment(NOW - 1_000);
        vec![
            ops.with_robots(vec![robot("r1", true, NOW, 0), robot("r2", false, NOW - 5, NOW + 60_000)]),
            BotLine::new("dba".to_owned(), Some(BotKind::Feishu)).with_robots(vec![robot("r3", false, NOW, NOW - 1)]),
        ]
    }

    async fn before_scrape(&self) {
        self.scraped.fetch_add(1, Ordering::Relaxed);
    }

    async fn reload(&self) -> Result<(), String> {
        self.reload.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn page(&self, bot: &str) -> (Lang, TimeZone) {
        let zh = bot == "ops" || *self.lang.lock().unwrap() == Some(Lang::Zh);
        match zh {
            true => (Lang::Zh, TimeZone::get("Asia/Shanghai").unwrap()),
            false => (Lang::En, TimeZone::UTC),
        }
    }

    async fn dead_letters_changed(&self) {
        self.changed.fetch_add(1, Ordering::Relaxed);
    }

    fn has_bot(&self, name: &str) -> bool {
        matches!(name, "ops" | "dba")
    }
}

/// The whole surface on a store of its own.
struct Rig {
    app: Router,
    store: Arc<dyn Store>,
    control: Arc<Fake>,
    limits: Arc<ArcSwap<BodyLimits>>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn policy(bots: &[&str]) -> routing::Policy {
    routing::Policy {
        name: "default".to_owned(),
        matchers: Vec::new(),
        notify: routing::Notify::To {
            bots: bots.iter().map(|bot| (*bot).to_owned()).collect(),
            contact_groups: Vec::new(),
        },
        mention: None,
        group_by: None,
        template: None,
        active_time_intervals: Vec::new(),
        go_on: false,
    }
}

fn settings(default: bool) -> Settings {
    let group = routing::ContactGroup {
        name: "night".to_owned(),
        contacts: Vec::new(),
        bots: vec!["ops".to_owned(), "dba".to_owned()],
    };
    let router = routing::Router::new(routing::Config {
        policies: Vec::new(),
        default_policy: default.then(|| policy(&["ops"])),
        contact_groups: BTreeMap::from([("night".to_owned(), group)]),
        contacts: BTreeMap::new(),
        bots: BTreeMap::from([("ops".to_owned(), true), ("dba".to_owned(), true)]),
        time_intervals: BTreeMap::new(),
        timezone: TimeZone::UTC,
        severities: Severities::default(),
    });
    let send_resolved = BTreeMap::from([("ops".into(), true), ("dba".into(), true)]);
    Settings { router: Arc::new(router), severities: Severities::default(), send_resolved }
}

impl Rig {
    async fn start() -> Self {
        Self::with(true, true).await
    }

    async fn with(switches: bool, default: bool) -> Self {
        Self::below("", switches, default).await
    }

    async fn below(prefix: &str, switches: bool, default: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::new();
        let metrics = StoreMetrics::register(&registry).unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&Options::new(folder.path()), metrics).unwrap());
        store.replay(Arc::new(Nobody)).await.unwrap();
        let clock = ManualClock::new(moment(NOW).unwrap());
        let metrics = IngestMetrics::register(&registry).unwrap();
        let ingest = Ingest::new(Arc::clone(&store), clock.clone(), Arc::new(Nobody), settings(default), metrics);
        let control = Arc::new(Fake::default());
        let limits = Arc::new(ArcSwap::from_pointee(BodyLimits::new(1 << 20, 4 << 20)));
        let api = Api {
            ingest: Arc::new(ingest),
            store: Arc::clone(&store),
            control: control.clone(),
            limits: limits.clone(),
            registry,
            clock: clock.clone(),
            prefix: prefix.to_owned(),
            lifecycle: switches,
            admin: switches,
        };
        let app = assemble(routes(api), prefix, None);
        Self { app, store, control, limits, clock, _folder: folder }
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let body = Body::from(body.into());
        let request = Request::builder().method(method).uri(path).body(body).unwrap();
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(Method::POST, path, body).await
    }

    /// The value of the sample whose line begins so; 0 when there is none.
    async fn metric(&self, sample: &str) -> f64 {
        let text = self.get("/metrics").await.body;
        let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// A message that was sent, with that end.
    async fn sent(&self, n: u8, bot: &str, alerts: Vec<ToldAlert>, verdict: &'static str) -> MessageId {
        self.sent_as(n, bot, alerts, 0, verdict).await
    }

    /// A message whose further alerts were kept in parts.
    async fn sent_in_parts(&self, n: u8, bot: &str, alerts: Vec<ToldAlert>, parts: u32) -> MessageId {
        self.sent_as(n, bot, alerts, parts, "delivered").await
    }

    async fn sent_as(&self, n: u8, bot: &str, alerts: Vec<ToldAlert>, parts: u32, verdict: &'static str) -> MessageId {
        let id = MessageId::from_bytes([n; 16]);
        let begin = Begin {
            bot: bot.into(),
            robot: format!("robot-{bot}").into(),
            message: id.clone(),
            kind: Kind::Single,
            group: 1,
            body: Bytes::from_static(b"{}"),
            text: format!("**message** {n}"),
            covers: Vec::new(),
            alerts,
            parts,
            started_ms: NOW + i64::from(n) * 1_000,
            last_known: i64::MAX,
        };
        let Begun::Attempt(attempt) = self.store.begin(begin).await.unwrap() else { panic!("others") };
        let dead = verdict == "rejected";
        let effect = if dead { Effect::Kept { open: false } } else { Effect::Told(Vec::new()) };
        self.end(bot, &id, attempt, verdict, effect).await;
        id
    }

    async fn end(&self, bot: &str, id: &MessageId, attempt: i64, verdict: &'static str, effect: Effect) {
        let outcome = Outcome {
            bot: bot.into(),
            robot: format!("robot-{bot}").into(),
            message: id.clone(),
            attempt,
            ended_ms: NOW + 500,
            verdict,
            reason: if verdict == "delivered" { "" } else { "refused: token=0123456789abcdef" }.to_owned(),
            robot_state: RobotState::default(),
            effect,
            superseded: Vec::new(),
            storm: None,
        };
        self.store.finish(outcome).await.unwrap();
    }

    /// A dead letter of that bot at that position.
    async fn died(&self, n: u8, bot: &str, pos: i64) {
        let alert = alert("DiskFull", State::Firing, "critical", &[("instance", "db1")]);
        let letter = NewDeadLetter {
            pos,
            via: "default".to_owned(),
            group: 1,
            body: ONE.into(),
            reason: "refused".to_owned(),
            severity: 0,
            alert: alert.clone(),
        };
        let id = MessageId::from_bytes([n; 16]);
        let begin = Begin {
            bot: bot.into(),
            robot: format!("robot-{bot}").into(),
            message: id.clone(),
            kind: Kind::Plain,
            group: 1,
            body: Bytes::from_static(b"{}"),
            text: "x".to_owned(),
            covers: Vec::new(),
            alerts: vec![alert],
            parts: 0,
            started_ms: NOW,
            last_known: i64::MAX,
        };
        let Begun::Attempt(attempt) = self.store.begin(begin).await.unwrap() else { panic!("others") };
        self.end(bot, &id, attempt, "rejected", Effect::Dead(vec![letter])).await;
    }
}

/// A body with one alert.
const ONE: &str = r#"{"version":"4","groupKey":"{}","alerts":[{"status":"firing","labels":{"alertname":"DiskFull",
    "instance":"db1"},"startsAt":"2026-05-01T07:50:00Z"}]}"#;

fn alert(name: &str, status: State, severity: &str, labels: &[(&str, &str)]) -> ToldAlert {
    let usual = [("alertname", name), ("severity", severity)];
    let labels = usual.iter().chain(labels);
    let labels: Labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ToldAlert {
        fingerprint: Fingerprint::of(&labels),
        status,
        how: How::Named,
        severity: severity.to_owned(),
        labels,
        summary: String::new(),
        starts_ms: NOW - 600_000,
        ends_ms: if status == State::Resolved { NOW - 60_000 } else { 0 },
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// What a success holds.
    #[track_caller]
    fn data(&self) -> Value {
        let mut json = self.json();
        assert_eq!((self.status, &json["status"]), (StatusCode::OK, &Value::from("success")), "{self:?}");
        json["data"].take()
    }

    /// Asserts a refusal; returns its text and place.
    #[track_caller]
    fn refused(&self, status: u16, kind: &str) -> (String, String) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        let json = self.json();
        assert_eq!((json["status"].as_str(), json["errorType"].as_str()), (Some("error"), Some(kind)), "{self:?}");
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        (text("error"), text("at"))
    }
}
