#![allow(clippy::unwrap_used, clippy::panic)]

use jiff::Timestamp;
use prometheus::Registry;
use tokio::net::TcpListener;

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::config;
use crate::model::BotKind;
use crate::sandbox::{self, Rules, Sandbox};
use crate::store::StoreMetrics;
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{MessageQuery, RobotState};

struct Bench {
    chats: Sandbox,
    config: BotConfig,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

async fn bench(token: &str) -> Bench {
    // Fails only when another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chats = Sandbox::new(SystemClock::new(), false);
    let rules = Rules { keywords: vec!["Dispatch".to_owned()], ..Rules::default() };
    chats.put_robot(BotKind::DingTalk, "MARKtoken", rules).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(sandbox::serve(listener, chats.clone(), std::future::pending()));
    let text = format!(
        "global: {{http_config: {{proxy_from_environment: false}}}}\n\
         bots: [{{name: ops, type: dingtalk, url: \"http://{at}/robot/send?access_token={token}\", \
         keywords: [Dispatch], rate_limits: [{{messages: 2, per: 10s}}]}}]\n\
         default_policy: {{notify: {{bots: [ops]}}}}\n"
    );
    let config = config::parse_str("test", &text, std::path::Path::new(".")).unwrap().config.bots.remove(0);
    let now: Timestamp = "2026-11-21T01:00:00Z".parse().unwrap();
    Bench { chats, config, clock: ManualClock::new(now), folder: tempfile::tempdir().unwrap() }
}

fn metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).unwrap()
}

fn id(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

impl Bench {
    fn server(&self) -> SqliteStore {
        SqliteStore::open(&Options::new(self.folder.path()), metrics()).unwrap()
    }

    /// Sends a test message; the clock moves on by itself whenever it is waited for.
    async fn send(&self, store: Option<&dyn Store>, number: u8) -> (Result<Sent, OnceError>, Vec<Wait>) {
        let mut waits = Vec::new();
        let once = Once { store, clock: &*self.clock, config: &self.config, robot: 0, fraction: 0.5 };
        let message = OnceMessage::test(&self.config, id(number));
        let sent = send_once(&once, message, |wait| {
            waits.push(wait);
            self.clock.advance(match wait {
                Wait::InFlight => LOOK_AGAIN,
                Wait::Turn(time) => time,
            });
        });
        (sent.await, waits)
    }

    fn begin(&self, last_known: i64) -> Begin {
        Begin {
            bot: Arc::clone(&self.config.name),
            robot: channel::robot_id(BotKind::DingTalk, self.config.robots[0].url.expose()).into(),
            message: id(99),
            kind: Kind::Single,
            group: 7,
            body: Bytes::new(),
            text: String::new(),
            covers: Vec::new(),
            alerts: Vec::new(),
            parts: 0,
            started_ms: self.clock.now_ms(),
            last_known,
        }
    }
}

#[tokio::test]
async fn a_test_message_is_delivered_and_the_server_learns_of_it() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    let sender = SqliteStore::open_shared(&Options::new(bench.folder.path()), metrics()).unwrap();
    let (sent, waits) = bench.send(Some(&sender), 1).await;
    let sent = sent.unwrap();
    assert_eq!((sent.verdict, sent.unwritten.is_none(), waits.len()), (Verdict::Delivered, true, 0));
    let Begun::Others(others) = server.begin(bench.begin(0)).await.unwrap() else { panic!("begun") };
    assert!(others.len() == 1 && others[0].ended_ms.is_some(), "{others:?}");
    let history = server.messages(MessageQuery { limit: 10, ..MessageQuery::default() }).await.unwrap().rows;
    assert_eq!((history.len(), history[0].verdict.as_str(), history[0].bot.as_str()), (1, "delivered", "ops"));
    assert!(history[0].text.contains("测试") && history[0].text.contains("Dispatch"), "{}", history[0].text);
    let shown = bench.chats.messages(BotKind::DingTalk, "MARKtoken", 0, 10).unwrap();
    assert_eq!((shown.len(), shown[0].accepted), (1, true));
}

#[tokio::test]
async fn takes_its_turn_within_the_robots_limit() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    for number in 1..=2 {
        bench.send(Some(&server), number).await.0.unwrap();
    }
    let (sent, waits) = bench.send(Some(&server), 3).await;
    assert_eq!(sent.unwrap().verdict, Verdict::Delivered);
    let waited = waits.iter().map(|wait| if let Wait::Turn(time) = wait { *time } else { Duration::ZERO });
    // 1.01 windows after the first ended.
    let waited: Duration = waited.sum();
    assert!(waited >= Duration::from_millis(10_100) && waited < Duration::from_secs(11), "{waits:?}");
}

#[tokio::test]
async fn waits_for_a_message_in_flight_but_not_for_a_dead_process() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    assert!(matches!(server.begin(bench.begin(0)).await.unwrap(), Begun::Attempt(_)));
    let (sent, waits) = bench.send(Some(&server), 1).await;
    assert_eq!(sent.unwrap().verdict, Verdict::Delivered);
    // 10 s in steps of 200 ms: then nobody can end it any more.
    assert_eq!(waits.iter().filter(|wait| **wait == Wait::InFlight).count(), 50, "{waits:?}");
}

#[tokio::test]
async fn attempts_from_before_the_limits_look_back_are_news_only_once() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    bench.send(Some(&server), 1).await.0.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    let (_, attempts) = server.robot(&bench.begin(0).robot, 0).await.unwrap();
    assert!(attempts.len() == 1 && attempts[0].ended_ms.is_some(), "open ones are another matter: {attempts:?}");
    // Going round for ever, it would wait for nothing that the test's clock could see.
    let sent = tokio::time::timeout(Duration::from_secs(20), bench.send(Some(&server), 2));
    let (sent, waits) = sent.await.expect("goes round for ever");
    assert_eq!((sent.unwrap().verdict, waits), (Verdict::Delivered, vec![]));
}

#[tokio::test]
async fn attempts_that_nobody_ended_hold_their_tokens_for_ten_minutes() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    for last_known in 0..2 {
        assert!(matches!(server.begin(bench.begin(last_known)).await.unwrap(), Begun::Attempt(_)));
    }
    // Both tokens of the robot; waiting for ever, it would move this clock on without an end.
    let sent = tokio::time::timeout(Duration::from_secs(20), bench.send(Some(&server), 1));
    let (sent, _) = sent.await.expect("waits for ever");
    assert_eq!(sent.unwrap().verdict, Verdict::Delivered);
    let waited = bench.clock.mono();
    assert!(waited > Duration::from_secs(600) && waited < Duration::from_secs(615), "{waited:?}");
}

#[tokio::test]
async fn an_attempt_from_before_the_clock_was_set_back_is_nobodys_any_more() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    assert!(matches!(server.begin(bench.begin(0)).await.unwrap(), Begun::Attempt(_)));
    bench.clock.step_wall(bench.clock.now() - jiff::SignedDuration::from_hours(1));
    let (sent, waits) = bench.send(Some(&server), 1).await;
    assert_eq!(sent.unwrap().verdict, Verdict::Delivered);
    assert!(!waits.contains(&Wait::InFlight), "{waits:?}");
}

#[tokio::test]
async fn a_pause_that_waits_for_a_person_is_passed_over() {
    let bench = bench("MARKother").await;
    let server = bench.server();
    for number in 1..=2 {
        let (sent, waits) = bench.send(Some(&server), number).await;
        let Verdict::Misconfigured { reason, remedy } = sent.unwrap().verdict else { panic!("another verdict") };
        assert!(!remedy.is_empty() && !format!("{reason}{remedy}").contains("MARK"), "{reason} {remedy}");
        assert_eq!(waits, []);
    }
    let robot = bench.begin(0).robot;
    let (state, attempts) = server.robot(&robot, 0).await.unwrap();
    assert_eq!((state.last_verdict.as_str(), attempts.len()), ("misconfigured", 2));
}

#[tokio::test]
async fn a_pause_after_a_failure_is_passed_over_and_a_penalty_is_not() {
    let bench = bench("MARKtoken").await;
    let server = bench.server();
    let robot = bench.begin(0).robot;
    let now_ms = bench.clock.now_ms();
    let paused = |verdict: &str| RobotState {
        last_verdict: verdict.to_owned(),
        failures: 9,
        paused_until_ms: now_ms + 5_000,
        ..RobotState::default()
    };
    server.set_robot(&robot, paused("unknown_outcome")).await.unwrap();
    assert_eq!(bench.send(Some(&server), 1).await.1, []);
    server.set_robot(&robot, paused("rate_limited")).await.unwrap();
    let (sent, waits) = bench.send(Some(&server), 2).await;
    assert_eq!(sent.unwrap().verdict, Verdict::Delivered);
    assert!(waits.iter().any(|wait| matches!(wait, Wait::Turn(time) if *time > Duration::from_secs(4))), "{waits:?}");
}

#[tokio::test]
async fn without_a_store_it_leaves_no_trace() {
    let mut bench = bench("MARKtoken").await;
    let (sent, waits) = bench.send(None, 1).await;
    assert_eq!((sent.unwrap().verdict, waits.len()), (Verdict::Delivered, 0));
    assert_eq!(std::fs::read_dir(bench.folder.path()).unwrap().count(), 0);
    bench.config.robots.clear();
    assert!(matches!(bench.send(None, 2).await.0, Err(OnceError::NoRobot)));
}

#[tokio::test]
async fn the_text_is_a_test_in_the_bots_language_with_its_keywords() {
    let mut config = bench("MARKtoken").await.config;
    config.keywords = vec!["one".to_owned(), "two".to_owned()];
    let all = test_draft(&config);
    assert!(all.title.contains("测试") && all.body.ends_with("\none two"), "{all:?}");
    config.lang = Lang::En;
    config.keyword_mode = KeywordMode::Any;
    config.keywords = vec!["TEST".to_owned(), "two".to_owned()];
    let any = test_draft(&config);
    assert!(any.title.contains("TEST") && !any.body.contains("two") && any.mentions.is_empty(), "{any:?}");
}
