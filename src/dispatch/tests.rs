//! Where alerts are when something goes wrong around a worker.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::net::TcpListener;

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::config;
use crate::model::{BotKind, HeadFlags, Millis, Status};
use crate::sandbox::{self, Fault, FaultKind, Rules, Sandbox};
use crate::store::StoreMetrics;
use crate::store::sqlite::{Options as StoreOptions, SqliteStore};
use crate::store::{Append, NewHead};

/// Robots `one` and `two` of each vendor, and a dispatcher whose clock stands still.
pub(super) struct Bench {
    pub(super) chats: Sandbox,
    pub(super) at: std::net::SocketAddr,
    pub(super) dispatcher: Dispatcher,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<ManualClock>,
    /// So many further calls for randomness panic: while a message is composed, and after it was sent.
    pub(super) composing: Arc<AtomicU32>,
    pub(super) concluding: Arc<AtomicU32>,
    folder: tempfile::TempDir,
    bots: String,
}

pub(super) fn settings(at: std::net::SocketAddr, bots: &str) -> Settings {
    let text = format!(
        "global: {{http_config: {{proxy_from_environment: false}}}}\nbots:\n{bots}\n\
         default_policy: {{notify: {{bots: [ops]}}}}\n"
    )
    .replace("AT", &at.to_string());
    let config = config::parse_str("test", &text, Path::new(".")).unwrap().config;
    crate::app::build::dispatch_settings(&config, "")
}

pub(super) const POOL: &str = "- {name: ops, type: wecom, rate_limits: [{messages: 100, per: 1s}], robots: [\
    {url: \"http://AT/cgi-bin/webhook/send?key=one\"}, {url: \"http://AT/cgi-bin/webhook/send?key=two\"}]}";
pub(super) const ONE: &str = "- {name: ops, type: wecom, rate_limits: [{messages: 100, per: 1s}], \
    url: \"http://AT/cgi-bin/webhook/send?key=one\"}";

fn panic_while(left: &AtomicU32) {
    let take = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    assert!(take.is_err(), "a defect");
}

/// Robots that take whatever comes, and where.
pub(super) async fn chats(kinds: &[BotKind], tokens: &[&str]) -> (Sandbox, std::net::SocketAddr) {
    // Fails only when another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chats = Sandbox::new(SystemClock::new(), false);
    for token in tokens {
        for kind in kinds {
            let rules = Rules { rate_limits: Some(Vec::new()), ..Rules::default() };
            chats.put_robot(*kind, token, rules).unwrap();
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(sandbox::serve(listener, chats.clone(), std::future::pending()));
    (chats, at)
}

/// A webhook of alerts that fire, each a group of its own.
pub(super) fn firing(bot: &str, numbers: std::ops::Range<u64>, now_ms: Millis) -> Append {
    let alerts = numbers.clone().map(|n| {
        serde_json::json!({"status": "firing", "labels": {"alertname": format!("Alert{n}")},
            "annotations": {}, "startsAt": "2026-11-21T01:00:00Z"})
    });
    let body = serde_json::json!({"receiver": "r", "status": "firing", "alerts": alerts.collect::<Vec<_>>()});
    let heads = numbers.enumerate().map(|(at, n)| NewHead {
        bot: bot.into(),
        via: "default".into(),
        idx: u32::try_from(at).unwrap(),
        fingerprint: Fingerprint(n + 1),
        group: n + 1,
        status: Status::Firing,
        severity: 0,
        flags: HeadFlags(0),
        starts_ms: now_ms,
        ends_ms: 0,
    });
    Append { received_ms: now_ms, body: Bytes::from(body.to_string()), heads: heads.collect() }
}

impl Bench {
    pub(super) async fn new(bots: &str) -> Self {
        let (chats, at) = chats(&[BotKind::WeCom, BotKind::DingTalk], &["one", "two"]).await;
        let folder = tempfile::tempdir().unwrap();
        let clock = ManualClock::new("2026-11-21T01:00:00Z".parse::<Timestamp>().unwrap());
        Self::on(chats, at, folder, clock, bots.to_owned()).await
    }

    /// The same chats, files and time in a new process.
    pub(super) async fn restarted(self) -> Self {
        self.dispatcher.stop().await;
        self.store.close().await;
        let Self { chats, at, dispatcher, store, clock, folder, bots, .. } = self;
        drop((dispatcher, store));
        Self::on(chats, at, folder, clock, bots).await
    }

    async fn on(
        chats: Sandbox,
        at: std::net::SocketAddr,
        folder: tempfile::TempDir,
        clock: Arc<ManualClock>,
        bots: String,
    ) -> Self {
        let metrics = StoreMetrics::register(&Registry::new()).unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&StoreOptions::new(folder.path()), metrics).unwrap());
        let (composing, concluding) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let (compose, conclude) = (Arc::clone(&composing), Arc::clone(&concluding));
        let parts = Parts {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(move |bytes| {
                panic_while(&compose);
                bytes.fill_with(|| fastrand::u8(..));
            }),
            fraction: Arc::new(move || {
                panic_while(&conclude);
                0.5
            }),
            settings: settings(at, &bots),
            retention: Duration::from_secs(86_400),
        };
        let registry = Registry::new();
        let dispatcher = Dispatcher::new(parts, DispatchMetrics::register(&registry).unwrap(), &registry).unwrap();
        store.replay(dispatcher.feed()).await.unwrap();
        Self { chats, at, dispatcher, store, clock, composing, concluding, folder, bots }
    }

    pub(super) fn fault(&self, token: &str, kind: FaultKind, latency_ms: u64) {
        assert!(self.chats.add_fault(BotKind::WeCom, token, Fault { kind, count: None, latency_ms }));
    }

    pub(super) fn requests(&self, token: &str) -> usize {
        self.chats.requests(BotKind::WeCom, token, 0, 1000).unwrap().len()
    }

    pub(super) fn shown(&self, token: &str) -> usize {
        self.chats.messages(BotKind::WeCom, token, 0, 1000).unwrap().iter().filter(|m| m.accepted).count()
    }

    /// Commits firing alerts, each a group of its own.
    pub(super) async fn accept(&self, numbers: std::ops::Range<u64>) {
        self.store.append(firing("ops", numbers, self.clock.now_ms())).await.unwrap();
    }

    pub(super) fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("alarmbell.db")
    }

    pub(super) fn ops(&self) -> Arc<Bot> {
        self.dispatcher.shared.bot(&"ops".into())
    }

    pub(super) fn waiting(&self) -> u64 {
        self.ops().queue().len()
    }
}

pub(super) async fn until(what: &str, check: impl Fn() -> bool) {
    let look = async {
        while !check() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(what, look).await;
}

pub(super) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(15), work).await.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

#[tokio::test]
async fn what_a_broken_robot_of_a_pool_gives_back_the_others_tell_at_once() {
    let bench = Bench::new(POOL).await;
    bench.fault("one", FaultKind::Misconfigured, 700);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..3).await;
    // The healthy one tells the others meanwhile, and is idle when the broken one fails.
    until("all are told", || bench.waiting() == 0).await;
    assert_eq!((bench.requests("one"), bench.shown("two")), (1, 3));
}

#[tokio::test]
async fn a_reload_that_finds_the_store_away_still_starts_the_bots() {
    let bench = Bench::new(ONE).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    until("the robot is paused for a person", || {
        let robot = bench.dispatcher.bots().remove(0).robots.remove(0);
        robot.last_verdict == "misconfigured"
    })
    .await;
    bench.store.close().await;
    let changed = ONE.replace("messages: 100", "messages: 50");
    assert!(bench.dispatcher.apply(settings(bench.at, &changed)).await.is_err(), "the store is closed");
    let running = bench.dispatcher.running.lock().await;
    assert_eq!(running.values().map(|run| run.tasks.len()).sum::<usize>(), 1, "the bot has its worker");
}

#[tokio::test]
async fn an_outcome_that_could_not_be_written_before_a_reload_locks_nothing() {
    let config = ONE.replace("messages: 100", "messages: 1");
    let bench = Bench::new(&config).await;
    bench.fault("one", FaultKind::Latency, 500);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    until("the attempt is committed", || {
        bench.dispatcher.shared.robots.lock().unwrap().values().any(|robot| robot.last_attempt() > 0)
    })
    .await;
    bench.store.close().await;
    // The URL stays: the same robot goes on under the changed config.
    let changed = config.replace("type: wecom", "type: wecom, send_resolved: false");
    let _ = bench.dispatcher.apply(settings(bench.at, &changed)).await;
    let bot = bench.ops();
    let open = bot.desk().open.len();
    let ready = bot.queue().has_ready();
    assert!(open == 1 || ready, "the alert waits for the new worker");
    let robot = bench.dispatcher.shared.robots_of(&bench.dispatcher.shared.settings.load().bots["ops"]).remove(0);
    let later = bench.clock.mono() + Duration::from_secs(5);
    assert!(robot.due(later) <= later, "an attempt of the past does not hold the robot up for ever");
}

#[tokio::test]
async fn a_worker_that_panics_starts_anew_and_loses_nothing() {
    let bench = Bench::new(&ONE.replace("messages: 100", "messages: 1")).await;
    bench.dispatcher.start().await.unwrap();
    let up = || bench.dispatcher.bots()[0].robots[0].up;
    for panics in [&bench.composing, &bench.concluding] {
        let before = bench.shown("one");
        panics.store(1, Ordering::SeqCst);
        bench.clock.advance(Duration::from_secs(2));
        bench.accept(u64::try_from(before).unwrap() * 10..u64::try_from(before).unwrap() * 10 + 1).await;
        until("it panicked", || !up()).await;
        assert_eq!(bench.waiting(), 1);
        let told = || {
            bench.clock.advance(Duration::from_millis(100));
            bench.waiting() == 0
        };
        until("it is told all the same", told).await;
        until("the bot is up again", up).await;
    }
}

#[tokio::test]
async fn a_message_with_an_unknown_outcome_does_not_wait_for_a_broken_robot_of_a_pool() {
    let pool = POOL.replace("wecom", "dingtalk").replace("cgi-bin/webhook/send?key", "robot/send?access_token");
    let bench = Bench::new(&pool).await;
    let fault = Fault { kind: FaultKind::CutBefore, count: None, latency_ms: 300 };
    assert!(bench.chats.add_fault(BotKind::DingTalk, "one", fault));
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..2).await;
    let told = || {
        bench.clock.advance(Duration::from_millis(100));
        bench.waiting() == 0
    };
    until("both are told", told).await;
    let tried = bench.chats.requests(BotKind::DingTalk, "one", 0, 10).unwrap().len();
    assert!(tried >= 2, "the same is sent once more first, not {tried} times");
}
