//! The wall clock is set forward or back an hour, by a person or by NTP: limits, pauses and order do not notice.

#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use jiff::SignedDuration;

use super::tests::{Bench, ONE, settings, until};
use super::*;
use crate::model::{BotKind, HeadFlags, Status};
use crate::sandbox::{Fault, FaultKind};
use crate::store::{Append, NewHead};

const HOUR: i64 = 3_600;

/// Two messages a minute.
fn two_a_minute() -> String {
    ONE.replace("messages: 100, per: 1s", "messages: 2, per: 60s")
}

fn step(bench: &Bench, seconds: i64) {
    bench.clock.step_wall(bench.clock.now() + SignedDuration::from_secs(seconds));
}

/// Lets a time pass second by second. The real moments in between let the workers do what they may.
async fn pass(bench: &Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

/// The same store under a new process. The old one ends first.
async fn restarted(bench: &Bench, bots: &str) -> Dispatcher {
    bench.dispatcher.stop().await;
    let parts = Parts {
        store: Arc::clone(&bench.store),
        clock: Arc::clone(&bench.clock) as Arc<dyn Clock>,
        random: Arc::new(|bytes| bytes.fill_with(|| fastrand::u8(..))),
        fraction: Arc::new(|| 0.5),
        settings: settings(bench.at, bots),
        retention: Duration::from_secs(86_400),
    };
    let registry = Registry::new();
    let dispatcher = Dispatcher::new(parts, DispatchMetrics::register(&registry).unwrap(), &registry).unwrap();
    bench.store.replay(dispatcher.feed()).await.unwrap();
    dispatcher.start().await.unwrap();
    dispatcher
}

#[tokio::test]
async fn a_window_is_as_long_as_ever() {
    for seconds in [HOUR, -HOUR] {
        let bench = Bench::new(&two_a_minute()).await;
        bench.dispatcher.start().await.unwrap();
        bench.accept(0..4).await;
        pass(&bench, 2).await;
        until("the limit is used", || bench.waiting() == 2).await;
        step(&bench, seconds);
        pass(&bench, 57).await;
        assert_eq!(bench.requests("one"), 2, "{seconds} s: not before the minute is over");
        pass(&bench, 5).await;
        until("and then at once", || bench.shown("one") >= 3).await;
        pass(&bench, 62).await;
        until("the next no later than a minute after", || bench.shown("one") == 4).await;
    }
}

#[tokio::test]
async fn a_penalty_is_as_long_as_ever() {
    for seconds in [HOUR, -HOUR] {
        let bench = Bench::new(ONE).await;
        let fault = Fault { kind: FaultKind::RateLimited, count: Some(1), latency_ms: 0 };
        assert!(bench.chats.add_fault(BotKind::WeCom, "one", fault));
        bench.dispatcher.start().await.unwrap();
        bench.accept(0..1).await;
        until("it is refused", || bench.dispatcher.bots()[0].robots[0].last_verdict == "rate_limited").await;
        step(&bench, seconds);
        pass(&bench, 58).await;
        assert_eq!(bench.requests("one"), 1, "{seconds} s: the penalty is waited for");
        pass(&bench, 5).await;
        until("and not longer", || bench.shown("one") == 1).await;
    }
}

#[tokio::test]
async fn a_start_after_the_clock_was_set_back_forgets_no_attempt() {
    let bots = two_a_minute();
    let bench = Bench::new(&bots).await;
    bench.dispatcher.start().await.unwrap();
    bench.accept(0..4).await;
    pass(&bench, 2).await;
    until("the limit is used", || bench.waiting() == 2).await;
    step(&bench, -HOUR);
    let dispatcher = restarted(&bench, &bots).await;
    // The stored attempts are of the future: as good as of the moment in which they are read.
    until("they are read", || dispatcher.bots().iter().all(|bot| bot.robots.iter().all(|robot| robot.tokens == 0)))
        .await;
    pass(&bench, 59).await;
    assert_eq!(bench.requests("one"), 2);
    pass(&bench, 3).await;
    until("a window later they are free", || bench.shown("one") == 4).await;
    drop(dispatcher);
}

#[tokio::test]
async fn what_ends_after_the_clock_was_set_is_told() {
    for seconds in [HOUR, -HOUR] {
        let bench = Bench::new(ONE).await;
        bench.dispatcher.start().await.unwrap();
        bench.accept(0..1).await;
        until("the firing is told", || bench.shown("one") == 1 && bench.waiting() == 0).await;
        step(&bench, seconds);
        let (now_ms, at) = (bench.clock.now_ms(), bench.clock.now().to_string());
        let body = serde_json::json!({"receiver": "r", "status": "resolved", "alerts": [{"status": "resolved",
            "labels": {"alertname": "Alert0"}, "annotations": {}, "startsAt": "2026-11-21T01:00:00Z", "endsAt": at}]});
        let head = NewHead {
            bot: "ops".into(),
            via: "default".into(),
            idx: 0,
            fingerprint: Fingerprint(1),
            group: 1,
            status: Status::Resolved,
            severity: 0,
            flags: HeadFlags(0),
            starts_ms: now_ms,
            ends_ms: now_ms,
        };
        let append = Append { received_ms: now_ms, body: Bytes::from(body.to_string()), heads: vec![head] };
        bench.store.append(append).await.unwrap();
        pass(&bench, 1).await;
        until("its end is told", || bench.shown("one") == 2 && bench.waiting() == 0).await;
        // A new firing within the window for repeats is none of them: it ended in between.
        bench.accept(0..1).await;
        pass(&bench, 61).await;
        until("it is told again", || bench.shown("one") == 3).await;
    }
}

#[tokio::test]
async fn a_fallback_speaks_and_a_report_is_made_when_their_time_has_passed() {
    let pair = ONE.replace("{name: ops", "{name: ops, fallback: spare, fallback_after: 90s")
        + "\n"
        + &ONE.replace("ops", "spare").replace("key=one", "key=two");
    for seconds in [HOUR, -HOUR] {
        let bench = Bench::new(&pair).await;
        let mut settings = settings(bench.at, &pair);
        settings.report_bot = Some("spare".into());
        bench.dispatcher.apply(settings).await.unwrap();
        let fault = Fault { kind: FaultKind::Http500, count: None, latency_ms: 0 };
        assert!(bench.chats.add_fault(BotKind::WeCom, "one", fault));
        bench.accept(0..1).await;
        until("it failed", || bench.dispatcher.bots()[0].robots[0].last_verdict == "retry").await;
        step(&bench, seconds);
        let heard = || bench.dispatcher.shared.bot(&"spare".into()).queue().terms().accepted;
        pass(&bench, 57).await;
        bench.dispatcher.report().await.unwrap();
        assert_eq!(heard(), 0, "{seconds} s: nothing has failed for long");
        pass(&bench, 5).await;
        bench.dispatcher.report().await.unwrap();
        assert_eq!(heard(), 1, "{seconds} s: it is reported after a minute");
        pass(&bench, 23).await;
        assert_eq!(heard(), 1, "{seconds} s: the fallback waits");
        pass(&bench, 70).await;
        until("the fallback tells it", || heard() == 2 && bench.waiting() == 0).await;
    }
}
