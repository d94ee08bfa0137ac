//! Who speaks for a bot whose robots take nothing, and who is told of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;

use super::tests::{Bench, POOL, settings, until};
use super::*;
use crate::model::{HeadFlags, Status};
use crate::sandbox::{Fault, FaultKind, Rules};
use crate::store::{Append, NewHead};

/// `ops` falls back to `spare`.
const PAIR: &str = "- {name: ops, type: wecom, rate_limits: [{messages: 10000, per: 1s}], fallback: spare, \
    fallback_after: 60s, url: \"http://AT/cgi-bin/webhook/send?key=one\"}\n\
    - {name: spare, type: wecom, rate_limits: [{messages: 10000, per: 1s}], url: \"http://AT/cgi-bin/webhook/send?key=two\"}";
const LAST: &str = "\n- {name: last, type: dingtalk, keywords: [DiskFull], rate_limits: [{messages: 10000, per: 1s}], \
    url: \"http://AT/robot/send?access_token=one\"}";

/// How fast time goes while a test waits for something: slowly, so that a busy machine does not end a pause meanwhile.
const TICK: Duration = Duration::from_millis(5);
/// How fast it goes when a test lets it.
const STRIDE: Duration = Duration::from_millis(250);
/// Farther away than any pacing.
const FAR: Duration = Duration::from_secs(60);

impl Bench {
    fn of(&self, name: &str) -> Arc<Bot> {
        self.dispatcher.shared.bot(&name.into())
    }

    fn accepted(&self, name: &str) -> u64 {
        self.of(name).queue().terms().accepted
    }

    /// Lets time go on until `check` holds.
    async fn until(&self, what: &str, check: impl Fn() -> bool) {
        until(what, || {
            self.clock.advance(TICK);
            check()
        })
        .await;
    }

    /// Lets so much time go by, step by step, and all tasks do what they can meanwhile.
    async fn pass(&self, time: Duration) {
        let end = self.clock.mono() + time;
        while self.clock.mono() < end {
            self.clock.advance(STRIDE);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits, while time stands still, until a robot of the bot has failed and that is written.
    async fn failed(&self, name: &str) {
        let failing = || {
            let config = Arc::clone(&self.dispatcher.shared.settings.load().bots[name]);
            let robots = self.dispatcher.shared.robots_of(&config);
            robots.iter().any(|robot| robot.state().is_some_and(|state| state.failing_since_ms > 0))
        };
        until("it failed", failing).await;
    }

    fn clear(&self, token: &str) {
        assert!(self.chats.clear_faults(BotKind::WeCom, token));
    }

    fn texts(&self, token: &str) -> Vec<String> {
        let records = self.chats.messages(BotKind::WeCom, token, 0, 1000).unwrap();
        records.into_iter().filter(|record| record.accepted).map(|record| record.text).collect()
    }

    fn speaker(&self, name: &str) -> Option<String> {
        self.dispatcher.bots().into_iter().find(|bot| bot.name == name).unwrap().spoken_for_by
    }

    async fn accept_one(&self, n: u64, status: Status, bots: &[&str]) {
        self.append(n, status, bots, 0).await;
    }

    async fn append(&self, n: u64, status: Status, bots: &[&str], flags: u8) {
        let body = serde_json::json!({"receiver": "r", "status": status, "alerts": [
            {"status": status, "labels": {"alertname": format!("Alert{n}")}, "startsAt": "2026-11-21T01:00:00Z"}]});
        let heads = bots.iter().map(|bot| NewHead {
            bot: (*bot).into(),
            via: "default".into(),
            idx: 0,
            fingerprint: Fingerprint(n + 1),
            group: n + 1,
            status,
            severity: 0,
            flags: HeadFlags(flags),
            starts_ms: 0,
            ends_ms: if status == Status::Firing { 0 } else { self.clock.now_ms() },
        });
        let heads = heads.collect();
        let body = Bytes::from(body.to_string());
        self.store.append(Append { received_ms: self.clock.now_ms(), body, heads }).await.unwrap();
    }
}

#[tokio::test]
async fn a_misconfigured_bots_alerts_are_told_by_its_fallback_at_once() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..3).await;
    bench.until("the fallback has told them", || bench.shown("two") == 3 && bench.of("spare").queue().is_empty()).await;
    assert_eq!((bench.requests("one"), bench.waiting(), bench.speaker("ops")), (1, 0, Some("spare".to_owned())));
    let terms = bench.ops().queue().terms();
    assert_eq!((terms.accepted, terms.superseded), (3, 3));
    // While its pause lasts, what comes goes on without being tried here.
    bench.accept(3..5).await;
    bench.until("those, too", || bench.shown("two") == 5).await;
    assert_eq!(bench.requests("one"), 1);
}

#[tokio::test]
async fn a_failing_bots_alerts_wait_for_it_as_long_as_its_fallback_after() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Http500, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..3).await;
    bench.failed("ops").await;
    bench.pass(Duration::from_secs(55)).await;
    assert_eq!((bench.accepted("spare"), bench.waiting(), bench.speaker("ops")), (0, 3, None));
    bench.pass(Duration::from_secs(5)).await;
    bench.until("the fallback has told them", || bench.shown("two") == 3).await;
    assert_eq!((bench.waiting(), bench.speaker("ops")), (0, Some("spare".to_owned())));
}

#[tokio::test]
async fn a_bot_that_works_again_speaks_for_itself() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    bench.until("the fallback has told it", || bench.shown("two") == 1).await;
    bench.clear("one");
    // Longer than a first pause.
    bench.pass(Duration::from_secs(31)).await;
    bench.accept(1..3).await;
    bench.until("it tells the next itself", || bench.shown("one") == 2 && bench.waiting() == 0).await;
    bench.until("and nobody speaks for it", || bench.speaker("ops").is_none()).await;
    assert_eq!(bench.shown("two"), 1);
}

#[tokio::test]
async fn the_end_of_an_alert_that_a_chat_knows_is_told_in_both() {
    let bench = Bench::new(PAIR).await;
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    bench.until("its own chat knows of it", || bench.shown("one") == 1 && bench.waiting() == 0).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.accept_one(0, Status::Resolved, &["ops"]).await;
    bench.accept_one(7, Status::Firing, &["ops"]).await;
    bench.until("the fallback has told both", || bench.shown("two") == 2 && bench.waiting() == 1).await;
    // The end waits on, and is not handed over again and again.
    bench.pass(Duration::from_secs(5)).await;
    bench.accept_one(8, Status::Firing, &["ops"]).await;
    bench.until("the fallback has told the next", || bench.shown("two") == 3).await;
    assert_eq!((bench.accepted("spare"), bench.waiting()), (3, 1));
    bench.clear("one");
    bench.pass(Duration::from_secs(31)).await;
    bench.until("its own chat hears of the end", || bench.shown("one") == 2).await;
    let texts = bench.texts("one");
    assert!(texts[1].contains("Alert0") && !texts[1].contains("Alert7"), "{texts:?}");
}

#[tokio::test]
async fn a_pool_with_a_robot_that_works_needs_nobody() {
    let pool = POOL.replace("{name: ops", "{name: ops, fallback: last") + LAST;
    let bench = Bench::new(&pool).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..6).await;
    bench.until("the other robot has told them", || bench.waiting() == 0).await;
    assert_eq!((bench.accepted("last"), bench.speaker("ops")), (0, None));
}

#[tokio::test]
async fn a_fallback_that_is_down_itself_is_passed_over() {
    let chain = PAIR.replace("{name: spare", "{name: spare, fallback: last") + LAST;
    let bench = Bench::new(&chain).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.fault("two", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept_one(1, Status::Firing, &["spare"]).await;
    bench.until("the second is down", || bench.speaker("spare") == Some("last".to_owned())).await;
    let before = bench.accepted("spare");
    bench.accept_one(2, Status::Firing, &["ops"]).await;
    bench.until("the third has both", || bench.accepted("last") == 2).await;
    bench.until("and speaks for both", || bench.speaker("ops") == Some("last".to_owned())).await;
    assert_eq!(bench.accepted("spare"), before);
}

#[tokio::test]
async fn without_a_bot_that_works_alerts_wait() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.fault("two", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept_one(1, Status::Firing, &["spare"]).await;
    bench.failed("spare").await;
    bench.accept_one(2, Status::Firing, &["ops"]).await;
    bench.failed("ops").await;
    bench.pass(Duration::from_secs(5)).await;
    assert_eq!((bench.accepted("spare"), bench.waiting(), bench.speaker("ops")), (1, 1, None));
    bench.clear("two");
    bench.pass(Duration::from_secs(31)).await;
    bench.until("the fallback works again and is told", || bench.shown("two") == 2).await;
}

#[tokio::test]
async fn what_a_fallback_can_not_tell_does_not_go_back() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept_one(1, Status::Firing, &["ops"]).await;
    bench.fault("two", FaultKind::Misconfigured, 0);
    bench.failed("spare").await;
    let one = bench.accepted("ops");
    // A reload may turn things round.
    let turned = PAIR.replace("fallback: spare, ", "").replace("{name: spare", "{name: spare, fallback: ops");
    bench.clear("one");
    bench.dispatcher.apply(settings(bench.at, &turned)).await.unwrap();
    bench.pass(Duration::from_secs(20)).await;
    assert_eq!((bench.accepted("ops"), bench.of("spare").queue().len()), (one, 1), "it came from there");
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_everything_where_it_is() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Http500, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..3).await;
    bench.failed("ops").await;
    bench.pass(Duration::from_secs(40)).await;
    bench.store.close().await;
    bench.pass(Duration::from_secs(40)).await;
    bench.dispatcher.stop().await;
    assert_eq!((bench.waiting(), bench.accepted("spare")), (3, 0));
    assert!(bench.ops().queue().has_ready(), "nothing stays locked");
}

#[tokio::test]
async fn a_message_with_an_unknown_outcome_is_given_up_when_another_bot_speaks() {
    let ding = PAIR.replacen("type: wecom", "type: dingtalk, keywords: [Alert]", 1);
    let bench = Bench::new(&ding.replacen("cgi-bin/webhook/send?key", "robot/send?access_token", 1)).await;
    let fault = Fault { kind: FaultKind::CutBefore, count: None, latency_ms: 0 };
    assert!(bench.chats.add_fault(BotKind::DingTalk, "one", fault));
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    bench.failed("ops").await;
    bench.pass(Duration::from_secs(59)).await;
    assert_eq!(bench.accepted("spare"), 0);
    bench.pass(Duration::from_secs(2)).await;
    bench.until("the fallback has told it", || bench.shown("two") == 1).await;
    assert_eq!((bench.waiting(), bench.ops().desk().open.len()), (0, 0));
}

/// A bench whose troubles are told to `spare`.
async fn reporting(bots: &str) -> Bench {
    let bench = Bench::new(bots).await;
    let mut settings = settings(bench.at, bots);
    settings.report_bot = Some("spare".into());
    bench.dispatcher.apply(settings).await.unwrap();
    bench.dispatcher.count_dead_letters().await.unwrap();
    bench
}

#[tokio::test]
async fn a_robot_that_fails_for_a_minute_is_reported_once_and_its_end() {
    let alone = PAIR.replace("fallback: spare, fallback_after: 60s, ", "");
    let bench = reporting(&alone).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.accept(0..1).await;
    bench.failed("ops").await;
    bench.pass(Duration::from_secs(50)).await;
    bench.dispatcher.report().await.unwrap();
    assert_eq!(bench.accepted("spare"), 0);
    bench.pass(Duration::from_secs(10)).await;
    for _ in 0..3 {
        bench.dispatcher.report().await.unwrap();
    }
    bench.until("it is told", || bench.shown("two") == 1).await;
    assert_eq!(bench.accepted("spare"), 1);
    let text = bench.texts("two").remove(0);
    assert!(text.contains("AlarmbellRobotFailing") && text.contains("ops") && text.contains("处理办法"), "{text}");
    bench.clear("one");
    bench.pass(Duration::from_secs(120)).await;
    bench.until("it works again", || bench.shown("one") == 1).await;
    bench.until("and that is written", || bench.waiting() == 0).await;
    for _ in 0..3 {
        bench.dispatcher.report().await.unwrap();
    }
    bench.until("its end is told", || bench.shown("two") == 2).await;
    assert_eq!(bench.accepted("spare"), 2);
}

#[tokio::test]
async fn nobody_is_told_of_their_own_robots_but_their_fallback_is() {
    for (fallback, told) in [("", 0), ("fallback: last, ", 1)] {
        let own = PAIR.replace("{name: spare, ", &format!("{{name: spare, {fallback}")) + LAST;
        let bench = reporting(&own).await;
        bench.fault("two", FaultKind::Http500, 0);
        bench.accept_one(1, Status::Firing, &["spare"]).await;
        bench.failed("spare").await;
        bench.pass(Duration::from_secs(61)).await;
        bench.dispatcher.report().await.unwrap();
        bench.dispatcher.report().await.unwrap();
        assert_eq!((bench.accepted("spare"), bench.accepted("last")), (1, told));
    }
}

#[tokio::test]
async fn a_refused_config_is_reported_without_its_secrets() {
    let bench = reporting(PAIR).await;
    bench
        .dispatcher
        .reloaded(Some("alarmbell.yml:3:1: what?\n  url: https://x/robot/send?access_token=0123456789abcdef"));
    bench.dispatcher.reloaded(Some("alarmbell.yml:4:1: still wrong"));
    bench.dispatcher.report().await.unwrap();
    bench.dispatcher.report().await.unwrap();
    bench.until("it is told", || bench.shown("two") == 1).await;
    bench.dispatcher.reloaded(None);
    bench.dispatcher.report().await.unwrap();
    bench.dispatcher.report().await.unwrap();
    bench.until("so is its end", || bench.shown("two") == 2).await;
    assert_eq!(bench.accepted("spare"), 2);
    let text = bench.texts("two").join("\n");
    assert!(text.contains("AlarmbellReloadFailed") && !text.contains("0123456789abcdef"), "{text}");
}

#[tokio::test]
async fn a_report_that_dies_is_not_repeated() {
    let bench = reporting(PAIR).await;
    bench.dispatcher.reloaded(Some("wrong"));
    bench.dispatcher.report().await.unwrap();
    bench.until("it is told", || bench.shown("two") == 1).await;
    bench.until("and that is written", || bench.of("spare").queue().is_empty()).await;
    bench.of("spare").queue().forget(crate::model::Millis::MAX / 2);
    bench.dispatcher.report().await.unwrap();
    assert_eq!(bench.accepted("spare"), 1, "no queue knows of it any more, and it was told");
}

#[tokio::test]
async fn what_ended_in_a_chat_without_ends_does_not_fire_for_ever_in_another() {
    let bench = Bench::new(&PAIR.replacen("{name: ops", "{name: ops, send_resolved: false", 1)).await;
    bench.fault("one", FaultKind::Http500, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..2).await;
    bench.failed("ops").await;
    bench.append(0, Status::Resolved, &["ops"], HeadFlags::SILENT).await;
    bench.pass(Duration::from_secs(61)).await;
    bench.until("the other is told", || bench.shown("two") == 1).await;
    assert_eq!((bench.accepted("spare"), bench.waiting()), (1, 1));
    bench.clear("one");
    bench.pass(Duration::from_secs(61)).await;
    bench.until("its own chat hears that it fired", || bench.shown("one") == 1).await;
}

#[tokio::test]
async fn many_alerts_change_hands_in_chunks_and_all_arrive() {
    let bench = Bench::new(PAIR).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1_800).await;
    bench.until("all are handed over", || bench.accepted("spare") == 1_800 && bench.waiting() == 0).await;
    assert_eq!(bench.ops().queue().terms().superseded, 1_800);
}

#[tokio::test]
async fn a_penalty_that_another_process_got_holds_here_too() {
    let bench = Bench::new(PAIR).await;
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    bench.until("it is told", || bench.shown("one") == 1 && bench.waiting() == 0).await;
    let config = Arc::clone(&bench.dispatcher.shared.settings.load().bots["ops"]);
    let robot = bench.dispatcher.shared.robots_of(&config).remove(0);
    let now_ms = bench.clock.now_ms() + 1;
    let begin = crate::store::Begin {
        bot: "ops".into(),
        robot: Arc::clone(&robot.id),
        message: MessageId::from_bytes([7; 16]),
        kind: crate::model::Kind::Plain,
        group: 0,
        body: Bytes::from_static(b"{}"),
        text: "x".to_owned(),
        covers: Vec::new(),
        alerts: Vec::new(),
        parts: 0,
        started_ms: now_ms,
        last_known: robot.last_attempt(),
    };
    let crate::store::Begun::Attempt(attempt) = bench.store.begin(begin.clone()).await.unwrap() else { panic!() };
    let penalty = crate::store::RobotState {
        paused_until_ms: now_ms + 600_000,
        failures: 1,
        failing_since_ms: now_ms,
        last_verdict: "rate_limited".to_owned(),
        last_verdict_ms: now_ms,
        ..crate::store::RobotState::default()
    };
    let outcome = crate::store::Outcome {
        bot: "ops".into(),
        robot: Arc::clone(&robot.id),
        message: begin.message,
        attempt,
        ended_ms: now_ms,
        verdict: "rate_limited",
        reason: String::new(),
        robot_state: penalty,
        effect: crate::store::Effect::Kept { open: false },
        superseded: Vec::new(),
        storm: None,
    };
    bench.store.finish(outcome).await.unwrap();
    bench.accept(1..2).await;
    bench.until("the worker has heard of it", || robot.due(bench.clock.mono()) > bench.clock.mono() + FAR).await;
    assert_eq!(bench.requests("one"), 1);
}

#[tokio::test]
async fn who_falls_back_to_whom_reaches_the_store_in_the_end() {
    let bench = Bench::new(PAIR).await;
    bench.dispatcher.fallbacks_owed.store(true, Ordering::Relaxed);
    bench.dispatcher.remember_fallbacks().await.unwrap();
    assert_eq!(bench.store.fallback_of("ops").await.unwrap().as_deref(), Some("spare"));
    assert!(!bench.dispatcher.fallbacks_owed.load(Ordering::Relaxed));
}

#[tokio::test]
async fn dead_letters_are_counted_as_they_die() {
    let bench = reporting(PAIR).await;
    let nothing = Rules {
        rate_limits: Some(Vec::new()),
        markdown_max_bytes: Some(1),
        text_max_bytes: Some(1),
        ..Rules::default()
    };
    bench.chats.put_robot(BotKind::WeCom, "one", nothing).unwrap();
    bench.accept(0..1).await;
    bench.until("it died", || bench.waiting() == 0).await;
    let died = bench.ops().queue().terms().dead;
    assert_eq!((died, bench.dispatcher.shared.letters("ops", died)), (1, Some(1)));
    bench.dispatcher.report().await.unwrap();
    bench.until("it is reported", || bench.shown("two") == 1).await;
    assert!(bench.texts("two")[0].contains("AlarmbellDeadLetters"), "{:?}", bench.texts("two"));
}

#[tokio::test]
async fn an_end_that_a_chat_without_ends_was_not_told_is_known_after_a_takeover_and_a_restart() {
    let bench = Bench::new(&PAIR.replacen("{name: ops", "{name: ops, send_resolved: false", 1)).await;
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..1).await;
    bench.until("its own chat knows of it", || bench.shown("one") == 1 && bench.waiting() == 0).await;
    bench.pass(Duration::from_secs(60)).await;
    bench.append(0, Status::Resolved, &["ops"], HeadFlags::SILENT).await;
    bench.pass(Duration::from_secs(60)).await;
    bench.fault("one", FaultKind::Misconfigured, 0);
    bench.accept(0..1).await;
    bench.until("it fires again, elsewhere", || bench.shown("two") == 1 && bench.waiting() == 0).await;
    bench.until("and that is written", || bench.of("spare").queue().is_empty()).await;
    let knows =
        |bench: &Bench| (bench.ops().queue().fires(Fingerprint(1)), bench.of("spare").queue().fires(Fingerprint(1)));
    assert_eq!(knows(&bench), (false, true));
    let bench = bench.restarted().await;
    assert_eq!(knows(&bench), (false, true));
}
