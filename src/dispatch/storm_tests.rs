//! Storms as a chat sees them, and where alerts are when something goes wrong in one.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::client::client;
use super::ladder::Stage;
use super::letter::DIGEST;
use super::tests::{Bench, until};
use super::worker::{Hand, Worker};
use crate::clock::Clock;
use crate::model::{BotKind, Fingerprint, HeadFlags, How, Kind, MessageId, Status};
use crate::sandbox::{Fault, FaultKind, Rules};
use crate::store::{Append, Begin, Begun, MessageQuery, MessageRow, NewHead};
use crate::waiting::Plan;

/// One robot at the vendor's pace. The clock stands still unless a test moves it.
const SLOW: &str = "- {name: ops, type: wecom, url: \"http://AT/cgi-bin/webhook/send?key=one\"}";
const DING: &str = "- {name: ops, type: dingtalk, url: \"http://AT/robot/send?access_token=one\"}";
const WARNING: u8 = 2;
const CRITICAL: u8 = 0;

impl Bench {
    /// Commits alerts of that severity, each a group of its own, in webhooks of a hundred.
    async fn storm(&self, numbers: Range<u64>, severity: u8, status: Status) {
        let numbers: Vec<u64> = numbers.collect();
        for part in numbers.chunks(100) {
            let alerts: Vec<_> = part
                .iter()
                .map(|n| {
                    serde_json::json!({"status": status, "labels": {"alertname": format!("Alert{n}")},
                        "annotations": {}, "startsAt": "2026-11-21T01:00:00Z"})
                })
                .collect();
            let body = serde_json::json!({"receiver": "r", "status": status, "alerts": alerts});
            let heads = part.iter().enumerate().map(|(at, n)| NewHead {
                bot: "ops".into(),
                via: "default".into(),
                idx: u32::try_from(at).unwrap(),
                fingerprint: Fingerprint(n + 1),
                group: n + 1,
                status,
                severity,
                flags: HeadFlags(0),
                starts_ms: self.clock.now_ms(),
                ends_ms: if status == Status::Resolved { self.clock.now_ms() } else { 0 },
            });
            let (received_ms, body) = (self.clock.now_ms(), Bytes::from(body.to_string()));
            self.store.append(Append { received_ms, body, heads: heads.collect() }).await.unwrap();
        }
    }

    /// Messages that were told, oldest first.
    async fn told(&self) -> Vec<MessageRow> {
        let query = MessageQuery { verdict: Some("delivered".to_owned()), limit: 1_000, ..MessageQuery::default() };
        let mut rows = self.store.messages(query).await.unwrap();
        rows.rows.reverse();
        rows.rows
    }

    /// Lets time pass until nothing waits; at most that much.
    async fn until_all_told(&self, most: Duration) {
        let end = self.clock.mono() + most;
        let told = || {
            assert!(self.clock.mono() <= end, "{} still wait after {most:?}", self.waiting());
            self.clock.advance(Duration::from_millis(100));
            self.waiting() == 0
        };
        until("all is told", told).await;
    }
}

fn digests(told: &[MessageRow]) -> Vec<usize> {
    told.iter().filter(|row| row.kind == Kind::Digest).map(|row| row.alerts.len()).collect()
}

#[tokio::test]
async fn more_groups_than_single_messages_can_tell_leave_as_one_digest() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..250, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    until("all is told", || bench.waiting() == 0).await;
    let told = bench.told().await;
    assert_eq!(digests(&told), [250], "one message tells all of them");
    let named = told[0].alerts.iter().filter(|alert| alert.how == How::Named).count();
    assert!((1..250).contains(&named), "{named} of 250 are named");
    let terms = bench.ops().queue().terms();
    assert_eq!((terms.told_named, terms.told_counted), (named as u64, 250 - named as u64));
}

#[tokio::test]
async fn few_groups_leave_one_by_one() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..8, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    bench.until_all_told(Duration::from_secs(60)).await;
    let told = bench.told().await;
    assert_eq!((told.len(), digests(&told).len()), (8, 0));
}

#[tokio::test]
async fn the_next_digest_waits_for_its_time_and_a_critical_alert_does_not() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..50, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    until("the first digest is told", || bench.waiting() == 0).await;
    bench.storm(100..150, WARNING, Status::Firing).await;
    bench.storm(200..201, CRITICAL, Status::Firing).await;
    let critical = || {
        bench.clock.advance(Duration::from_millis(100));
        bench.waiting() == 50
    };
    until("the critical one is told alone", critical).await;
    let passed = bench.clock.mono();
    assert!(passed < Duration::from_secs(10), "{passed:?}");
    bench.until_all_told(Duration::from_secs(40)).await;
    assert!(bench.clock.mono() >= Duration::from_secs(30), "the second digest left after {:?}", bench.clock.mono());
    let told = bench.told().await;
    assert_eq!(told.iter().map(|row| row.alerts.len()).collect::<Vec<_>>(), [50, 1, 50]);
    assert_eq!(digests(&told), [50, 50]);
    assert!(told[2].text.contains("101"), "the storm's totals, this digest included: {}", told[2].text);
}

#[tokio::test]
async fn what_happened_while_it_waited_is_told_once() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..40, WARNING, Status::Firing).await;
    bench.clock.advance(Duration::from_secs(60));
    bench.storm(0..15, WARNING, Status::Resolved).await;
    bench.dispatcher.start().await.unwrap();
    until("all is told", || bench.waiting() == 0).await;
    let told = bench.told().await;
    assert_eq!(digests(&told), [40]);
    assert_eq!(told[0].alerts.iter().filter(|alert| alert.status == Status::Resolved).count(), 15);
    let terms = bench.ops().queue().terms();
    assert_eq!((terms.accepted, terms.superseded), (55, 15));
}

#[tokio::test]
async fn a_digest_that_is_refused_loses_its_markup() {
    let bench = Bench::new(SLOW).await;
    let rules = Rules { rate_limits: Some(Vec::new()), markdown_max_bytes: Some(10), ..Rules::default() };
    bench.chats.put_robot(BotKind::WeCom, "one", rules).unwrap();
    bench.storm(0..40, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    bench.until_all_told(Duration::from_secs(60)).await;
    let told = bench.told().await;
    assert_eq!(digests(&told), [40]);
    assert_eq!(bench.requests("one"), 2);
    assert_eq!(bench.ops().queue().terms().dead, 0);
}

#[tokio::test]
async fn a_robot_that_refuses_even_numbers_is_told_group_by_group() {
    let bench = Bench::new(SLOW).await;
    let rules = Rules {
        rate_limits: Some(Vec::new()),
        markdown_max_bytes: Some(10),
        text_max_bytes: Some(10),
        ..Rules::default()
    };
    bench.chats.put_robot(BotKind::WeCom, "one", rules).unwrap();
    bench.storm(0..12, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    let some_died = || {
        bench.clock.advance(Duration::from_millis(100));
        bench.ops().queue().terms().dead > 0
    };
    until("an alert was refused alone", some_died).await;
    let free = Rules { rate_limits: Some(Vec::new()), ..Rules::default() };
    bench.chats.put_robot(BotKind::WeCom, "one", free).unwrap();
    bench.until_all_told(Duration::from_secs(120)).await;
    let terms = bench.ops().queue().terms();
    assert_eq!(terms.accepted, terms.told_named + terms.told_counted + terms.dead);
    assert!(terms.dead < 12, "the others are told once the robot takes them: {terms:?}");
}

#[tokio::test]
async fn a_digest_of_unknown_outcome_is_sent_again_as_it_was() {
    let bench = Bench::new(DING).await;
    let fault = Fault { kind: FaultKind::CutAfter, count: Some(1), latency_ms: 0 };
    assert!(bench.chats.add_fault(BotKind::DingTalk, "one", fault));
    bench.storm(0..40, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    let first = || bench.chats.requests(BotKind::DingTalk, "one", 0, 10).unwrap().len() == 1;
    until("the first was sent", first).await;
    bench.storm(100..140, WARNING, Status::Firing).await;
    bench.until_all_told(Duration::from_secs(60)).await;
    let requests = bench.chats.requests(BotKind::DingTalk, "one", 0, 10).unwrap();
    assert_eq!(requests[0].hash, requests[1].hash, "the same bytes");
    assert!(requests[1].duplicate, "the vendor knows it again");
    let told = bench.told().await;
    assert_eq!(digests(&told), [40, 40], "newer alerts leave in the next one");
    assert_eq!(told[0].attempts, 2);
}

#[tokio::test]
async fn a_panic_in_a_digest_loses_nothing() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..40, WARNING, Status::Firing).await;
    bench.composing.store(1, Ordering::SeqCst);
    bench.dispatcher.start().await.unwrap();
    bench.until_all_told(Duration::from_secs(60)).await;
    assert_eq!(digests(&bench.told().await), [40]);
}

#[tokio::test]
async fn a_robot_that_was_down_for_a_day_tells_a_digest_and_not_a_thousand_messages() {
    let bench = Bench::new(SLOW).await;
    bench.fault("one", FaultKind::Http503, 0);
    bench.dispatcher.start().await.unwrap();
    for hour in 0..24_u64 {
        bench.storm(hour * 50..hour * 50 + 50, WARNING, Status::Firing).await;
        for _ in 0..60 {
            bench.clock.advance(Duration::from_secs(60));
            tokio::task::yield_now().await;
        }
    }
    assert!(bench.chats.clear_faults(BotKind::WeCom, "one"));
    bench.until_all_told(Duration::from_secs(120)).await;
    let told = bench.told().await;
    assert!(told.len() <= 3, "{} messages", told.len());
    assert_eq!(told.iter().map(|row| row.alerts.len()).sum::<usize>(), 1_200);
}

#[tokio::test]
async fn a_pool_shares_the_storm() {
    let pool = "- {name: ops, type: wecom, robots: [{url: \"http://AT/cgi-bin/webhook/send?key=one\"}, \
        {url: \"http://AT/cgi-bin/webhook/send?key=two\"}]}";
    let bench = Bench::new(pool).await;
    bench.storm(0..200, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    until("all is told", || bench.waiting() == 0).await;
    assert_eq!(digests(&bench.told().await), [200], "one robot tells it, the other does not tell it again");
}

#[tokio::test]
async fn a_restart_does_not_begin_the_storm_anew() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..50, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    until("the first digest is told", || bench.waiting() == 0).await;
    bench.dispatcher.stop().await;
    let bench = bench.restarted().await;
    bench.storm(100..150, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    bench.until_all_told(Duration::from_secs(40)).await;
    let told = bench.told().await;
    assert_eq!(digests(&told), [50, 50]);
    let apart = told[1].at_ms - told[0].at_ms;
    assert!(apart >= 30_000, "the second left {apart} ms after the first");
    assert!(told[1].text.contains("100"), "the totals go on: {}", told[1].text);
}

#[tokio::test]
async fn what_one_digest_can_not_hold_leaves_without_waiting_for_the_interval() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..20_050, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    until("all is told", || bench.waiting() == 0).await;
    let told = bench.told().await;
    assert_eq!(digests(&told), [20_000, 50]);
}

#[tokio::test]
async fn a_storm_that_ended_before_a_restart_does_not_go_on_after_it() {
    let bench = Bench::new(SLOW).await;
    bench.storm(0..50, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    until("the digest is told", || bench.waiting() == 0).await;
    bench.dispatcher.stop().await;
    bench.clock.advance(Duration::from_secs(3_600));
    let bench = bench.restarted().await;
    bench.storm(100..105, WARNING, Status::Firing).await;
    bench.dispatcher.start().await.unwrap();
    bench.until_all_told(Duration::from_secs(60)).await;
    let told = bench.told().await;
    assert_eq!((digests(&told), told.len()), (vec![50], 6), "five groups are no storm");
}

#[tokio::test]
async fn a_digest_that_waits_for_another_process_keeps_one_set_of_parts() {
    let bench = Bench::new(SLOW).await;
    let config = Arc::clone(&bench.dispatcher.shared.settings.load().bots["ops"]);
    let robot = bench.dispatcher.shared.robots_of(&config).remove(0);
    bench.accept(900..901).await;
    bench.dispatcher.start().await.unwrap();
    until("the robot is known", || bench.waiting() == 0).await;
    // `send` has an attempt in flight.
    let begin = Begin {
        bot: "ops".into(),
        robot: Arc::clone(&robot.id),
        message: MessageId::from_bytes([7; 16]),
        kind: Kind::Plain,
        group: 0,
        body: Bytes::from_static(b"{}"),
        text: "x".to_owned(),
        covers: Vec::new(),
        alerts: Vec::new(),
        parts: 0,
        started_ms: bench.clock.now_ms(),
        last_known: robot.last_attempt(),
    };
    assert!(matches!(bench.store.begin(begin).await.unwrap(), Begun::Attempt(_)));
    bench.storm(0..250, WARNING, Status::Firing).await;
    for _ in 0..60 {
        bench.clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(bench.waiting(), 250, "it is waited for");
    let file = rusqlite::Connection::open(bench.database()).unwrap();
    let sets = "SELECT count(DISTINCT message) FROM message_parts";
    assert_eq!(file.query_row(sets, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[tokio::test]
async fn what_failed_alone_and_was_told_in_a_digest_is_not_continued_later() {
    let bench = Bench::new(SLOW).await;
    let fault = Fault { kind: FaultKind::Http500, count: Some(1), latency_ms: 0 };
    assert!(bench.chats.add_fault(BotKind::WeCom, "one", fault));
    bench.dispatcher.start().await.unwrap();
    bench.storm(0..1, WARNING, Status::Firing).await;
    until("it failed", || !bench.ops().desk().retrying.is_empty()).await;
    bench.storm(1..50, WARNING, Status::Firing).await;
    bench.until_all_told(Duration::from_secs(60)).await;
    assert_eq!(digests(&bench.told().await), [50]);
    assert!(bench.ops().desk().retrying.is_empty());
}

#[tokio::test]
async fn a_huge_group_is_told_in_messages_that_memory_can_hold() {
    let bench = Bench::new(SLOW).await;
    for part in 0..2 {
        let numbers = part * 5_010..(part + 1) * 5_010;
        let alerts = numbers.clone().map(|n| {
            serde_json::json!({"status": "firing", "labels": {"alertname": "A", "n": n.to_string()},
                "startsAt": "2026-11-21T01:00:00Z"})
        });
        let body = serde_json::json!({"receiver": "r", "status": "firing", "alerts": alerts.collect::<Vec<_>>()});
        let heads = numbers.enumerate().map(|(at, n)| NewHead {
            bot: "ops".into(),
            via: "default".into(),
            idx: u32::try_from(at).unwrap(),
            fingerprint: Fingerprint(n + 1),
            group: 7,
            status: Status::Firing,
            severity: WARNING,
            flags: HeadFlags(0),
            starts_ms: bench.clock.now_ms(),
            ends_ms: 0,
        });
        let (received_ms, heads) = (bench.clock.now_ms(), heads.collect());
        bench.store.append(Append { received_ms, body: Bytes::from(body.to_string()), heads }).await.unwrap();
    }
    bench.dispatcher.start().await.unwrap();
    bench.until_all_told(Duration::from_secs(60)).await;
    let told = bench.told().await;
    assert_eq!(told.iter().map(|row| row.alerts.len()).collect::<Vec<_>>(), [10_000, 20]);
}

#[tokio::test]
async fn urgent_news_without_end_leaves_nobody_waiting_for_ever() {
    let bench = Bench::new(SLOW).await;
    bench.dispatcher.start().await.unwrap();
    // Three leave at once; from here on every message needs a token.
    bench.storm(0..4, CRITICAL, Status::Firing).await;
    bench.storm(1_000..1_001, WARNING, Status::Firing).await;
    let begun = bench.clock.mono();
    let mut next = 4;
    loop {
        let told = bench.told().await;
        if told.iter().any(|row| row.alerts.iter().any(|alert| alert.severity == "warning")) {
            assert_eq!(digests(&told), Vec::<usize>::new());
            break;
        }
        let waited = bench.clock.mono() - begun;
        assert!(waited < Duration::from_secs(60), "the warning still waits after {waited:?}");
        if bench.waiting() < 3 {
            bench.storm(next..next + 1, CRITICAL, Status::Firing).await;
            next += 1;
        }
        bench.clock.advance(Duration::from_millis(100));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(next > 8, "urgent news came all the time");
}

#[tokio::test]
async fn a_panic_before_a_digest_has_taken_anything_does_not_end_all_digests() {
    let bench = Bench::new(SLOW).await;
    let config = Arc::clone(&bench.dispatcher.shared.settings.load().bots["ops"]);
    let pool: Arc<[_]> = bench.dispatcher.shared.robots_of(&config).into();
    let worker = Worker {
        shared: Arc::clone(&bench.dispatcher.shared),
        bot: bench.ops(),
        robot_config: config.robots[0].clone(),
        robot: Arc::clone(&pool[0]),
        pool,
        client: client(&config.http).unwrap(),
        stop: tokio_util::sync::CancellationToken::new(),
        hand: Mutex::default(),
        config,
    };
    bench.storm(0..50, WARNING, Status::Firing).await;
    assert_eq!(worker.plan(), Plan::Digest);
    bench.ops().desk().storm.leaves();
    *worker.hand() = Some(Hand { group: DIGEST, versions: Vec::new(), stage: Stage::default(), message: None });
    assert_eq!(worker.plan(), Plan::Wait(None));
    worker.recover().await;
    assert_eq!(worker.plan(), Plan::Digest);
}
