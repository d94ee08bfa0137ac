//! What every test of the battery needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::time::Duration;

use alarmbell::model::{Fingerprint, Head, HeadFlags, How, Kind, Labels, MessageId, Millis, Status, ToldAlert};
use alarmbell::store::{
    Append, Begin, Begun, BotImage, Counters, Effect, Feed, NewDeadLetter, NewHead, Outcome, RobotState, Store,
    ToldState,
};
use async_trait::async_trait;

/// What a test may ask of an engine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) max_alerts: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) queue_ops: Option<usize>,
}

/// Makes stores of one kind, all on the same rows.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    /// The same kind with no rows.
    fn fresh(&self) -> Arc<dyn Engine>;
    async fn open(&self, dir: &Path, bounds: Bounds) -> Arc<dyn Store>;
    /// Looks at the rows from outside.
    async fn audit(&self, dir: &Path) -> Audit;
    /// Leaves a body behind that no head refers to, as a kill between two steps does.
    async fn plant_orphan(&self, dir: &Path);
    /// When an attempt ends that a process left open, if the next process in its place ends it.
    fn ends_attempts_at_open(&self) -> Option<Millis> {
        None
    }
}

/// What the rows say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Counters and head rows of each bot.
    pub(crate) bots: BTreeMap<String, (Counters, u64)>,
    /// Bodies, and how many of them have a head.
    pub(crate) bodies: u64,
    pub(crate) needed_bodies: u64,
    pub(crate) attempts: u64,
    pub(crate) told: u64,
    pub(crate) parts: u64,
}

impl Audit {
    /// The proof: what was accepted and is not gone waits. And no body is kept that nothing needs.
    pub(crate) fn check(&self) {
        for (bot, (counters, rows)) in &self.bots {
            let gone = counters.told_named + counters.told_counted + counters.superseded + counters.dead;
            assert_eq!(counters.accepted - gone, *rows, "{bot}: {counters:?}");
        }
        assert_eq!(self.bodies, self.needed_bodies);
    }
}

pub(crate) struct Harness {
    dir: tempfile::TempDir,
    engine: Arc<dyn Engine>,
}

impl Harness {
    pub(crate) fn new(engine: impl Engine) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), engine: Arc::new(engine) }
    }

    /// The same engine in another folder.
    pub(crate) fn fresh(&self) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), engine: self.engine.fresh() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn open(&self, bounds: Bounds) -> Arc<dyn Store> {
        self.engine.open(self.path(), bounds).await
    }

    pub(crate) async fn plant_orphan(&self) {
        self.engine.plant_orphan(self.path()).await;
    }

    pub(crate) fn ends_attempts_at_open(&self) -> Option<Millis> {
        self.engine.ends_attempts_at_open()
    }

    /// Opens and replays.
    pub(crate) async fn start(&self) -> (Arc<dyn Store>, Arc<Seen>, BTreeMap<String, BotImage>) {
        let store = self.open(Bounds::default()).await;
        let seen = Arc::new(Seen::default());
        store.replay(seen.clone()).await.unwrap();
        let images = std::mem::take(&mut *seen.images.lock().unwrap());
        (store, seen, images)
    }

    /// The rows, after checking the proof on them.
    pub(crate) async fn audit(&self) -> Audit {
        let audit = self.engine.audit(self.path()).await;
        audit.check();
        audit
    }

    /// One bot's counters and head rows; none for a bot that does not exist.
    pub(crate) async fn counters(&self, bot: &str) -> (Counters, u64) {
        self.audit().await.bots.get(bot).copied().unwrap_or_default()
    }
}

/// A feed that remembers.
#[derive(Default)]
pub(crate) struct Seen {
    heads: Mutex<Vec<(Arc<str>, Head)>>,
    images: Mutex<BTreeMap<String, BotImage>>,
}

impl Feed for Seen {
    fn remember(&self, bot: &Arc<str>, image: BotImage) {
        assert!(self.of(bot).is_empty(), "an image after a head");
        self.images.lock().unwrap().insert(bot.to_string(), image);
    }

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        self.heads.lock().unwrap().extend_from_slice(heads);
    }
}

impl Seen {
    /// One bot's heads in the order heard.
    pub(crate) fn of(&self, bot: &str) -> Vec<Head> {
        self.heads.lock().unwrap().iter().filter(|(name, _)| &**name == bot).map(|(_, head)| *head).collect()
    }

    pub(crate) fn positions(&self, bot: &str) -> Vec<i64> {
        self.of(bot).iter().map(|head| head.pos).collect()
    }
}

/// A feed that can hold the writer up after a commit, so that a test decides what is queued together.
pub(crate) struct Gate {
    pub(crate) seen: Seen,
    shut: Mutex<bool>,
    changed: Condvar,
    reached: tokio::sync::Notify,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        let (shut, changed) = (Mutex::new(false), Condvar::new());
        Arc::new(Self { seen: Seen::default(), shut, changed, reached: tokio::sync::Notify::new() })
    }

    pub(crate) fn shut(&self) {
        *self.shut.lock().unwrap() = true;
    }

    /// The writer stands at the gate.
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(Duration::from_secs(60), self.reached.notified());
        reached.await.expect("nothing comes to the gate");
    }

    pub(crate) fn open(&self) {
        *self.shut.lock().unwrap() = false;
        self.changed.notify_all();
    }
}

impl Feed for Gate {
    fn remember(&self, bot: &Arc<str>, image: BotImage) {
        self.seen.remember(bot, image);
    }

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        self.seen.committed(heads);
        let mut shut = self.shut.lock().unwrap();
        while *shut {
            self.reached.notify_one();
            shut = self.changed.wait(shut).unwrap();
        }
    }
}

/// Polls once: what an operation does before it waits, it has done then.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

pub(crate) const NOW: Millis = 1_800_000_000_000;

/// A webhook body with these alerts, as Alertmanager sends it.
pub(crate) fn body(names: &[&str]) -> String {
    let alerts: Vec<_> = names
        .iter()
        .map(|name| {
            serde_json::json!({
                "status": "firing",
                "labels": {"alertname": name, "severity": "critical"},
                "annotations": {"summary": format!("{name} is down")},
                "startsAt": "2026-11-20T23:32:09Z",
                "endsAt": "0001-01-01T00:00:00Z",
            })
        })
        .collect();
    serde_json::json!({
        "receiver": "ops", "status": "firing", "version": "4", "groupKey": "{}:{}", "alerts": alerts,
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
    })
    .to_string()
}

pub(crate) fn new_head(bot: &str, idx: u32, fingerprint: u64) -> NewHead {
    NewHead {
        bot: bot.into(),
        via: "policy:p".into(),
        idx,
        fingerprint: Fingerprint(fingerprint),
        group: u64::MAX - 1,
        status: Status::Firing,
        severity: 3,
        flags: HeadFlags(HeadFlags::REPEAT | HeadFlags::TRUNCATED),
        starts_ms: NOW - 5,
        ends_ms: 0,
    }
}

/// One webhook with one alert per fingerprint, told to each bot.
pub(crate) fn webhook(bots: &[&str], fingerprints: &[u64]) -> Append {
    let names: Vec<String> = fingerprints.iter().map(|fp| format!("alert{fp}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let heads = bots.iter().flat_map(|bot| (0..).zip(fingerprints).map(|(idx, fp)| new_head(bot, idx, *fp))).collect();
    Append { received_ms: NOW, body: body(&names).into(), heads }
}

pub(crate) fn message_id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

pub(crate) fn told_alert(fingerprint: u64) -> ToldAlert {
    ToldAlert {
        fingerprint: Fingerprint(fingerprint),
        status: Status::Firing,
        how: How::Named,
        severity: "critical".to_owned(),
        labels: Labels::from([("alertname".to_owned(), format!("alert{fingerprint}"))]),
        summary: "it is down".to_owned(),
        starts_ms: NOW - 5,
        ends_ms: 0,
    }
}

pub(crate) fn begin(bot: &str, robot: &str, n: u8) -> Begin {
    Begin {
        bot: bot.into(),
        robot: robot.into(),
        message: message_id(n),
        kind: Kind::Single,
        group: u64::MAX,
        body: format!("{{\"n\":{n}}}").into(),
        text: format!("message {n}"),
        covers: vec![(i64::from(n), Fingerprint(u64::MAX - u64::from(n)), How::Named)],
        alerts: vec![told_alert(u64::from(n))],
        parts: 0,
        started_ms: NOW + i64::from(n),
        last_known: 0,
    }
}

pub(crate) fn told_state(fingerprint: u64) -> ToldState {
    ToldState {
        fingerprint: Fingerprint(fingerprint),
        group: u64::MAX,
        status: Status::Firing,
        starts_ms: NOW - 5,
        ends_ms: 0,
        accepted_ms: NOW,
        told_ms: NOW + 7,
    }
}

pub(crate) fn outcome(bot: &str, robot: &str, n: u8, attempt: i64, effect: Effect) -> Outcome {
    Outcome {
        bot: bot.into(),
        robot: robot.into(),
        message: message_id(n),
        attempt,
        ended_ms: NOW + 1_000 + i64::from(n),
        verdict: "delivered",
        reason: String::new(),
        robot_state: RobotState::default(),
        effect,
        superseded: Vec::new(),
        storm: None,
    }
}

pub(crate) fn dead_letter(pos: i64, fingerprint: u64) -> NewDeadLetter {
    NewDeadLetter {
        pos,
        via: "policy:dead".to_owned(),
        group: u64::MAX - 9,
        alert: told_alert(fingerprint),
        body: body(&[&format!("alert{fingerprint}")]).into(),
        reason: "sensitive words".to_owned(),
        severity: 4,
    }
}

/// Begins, and gives the attempt's id.
pub(crate) async fn begun(store: &dyn Store, begin: Begin) -> i64 {
    match store.begin(begin).await.unwrap() {
        Begun::Attempt(id) => id,
        Begun::Others(others) => panic!("others: {others:?}"),
    }
}

/// Tells the alerts at these positions, whose fingerprints are their positions.
pub(crate) async fn tell(store: &dyn Store, bot: &str, n: u8, positions: &[i64], how: How) {
    let robot = format!("robot of {bot} for {n}");
    let attempt = begun(store, begin(bot, &robot, n)).await;
    let told = positions.iter().map(|pos| (*pos, told_state(pos.cast_unsigned()), how)).collect();
    store.finish(outcome(bot, &robot, n, attempt, Effect::Told(told))).await.unwrap();
}
