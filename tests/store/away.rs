//! The database goes away, and nobody knows what it did last.

use std::time::{Duration, Instant};

use alarmbell::model::{Fingerprint, How};
use alarmbell::store::postgres::Options;
use alarmbell::store::{Beat, Begin, Begun, Cluster, Counters, Effect, Outcome, Store, StoreError};

use crate::harness::{NOW, begin, begun, message_id, outcome, told_state, webhook};
use crate::proxy::{Cut, Mode, Proxy};
use crate::rig::{Replica, Rig};

/// A replica behind a proxy that is soon impatient.
async fn behind(rig: &Rig, name: &str) -> (Proxy, Replica) {
    let proxy = Proxy::start(rig.database.server().port()).await;
    let options = Options {
        url: rig.database.url_at(proxy.port()).into(),
        connect_timeout: Duration::from_millis(300),
        statement_timeout: Duration::from_millis(700),
        ..rig.options(name, NOW)
    };
    let replica = rig.replica_with(options).await;
    (proxy, replica)
}

/// Tries until it works, as whoever sends webhooks does.
async fn append_at_last(replica: &Replica, fingerprint: u64) {
    let until = Instant::now() + Duration::from_secs(20);
    while let Err(error) = replica.store.append(webhook(&["x"], &[fingerprint])).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(Instant::now() < until, "it never comes back: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_away_is_unavailable_for_so_long() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, replica) = behind(&rig, "a").await;
    replica.own(&["x"]).await;
    for (n, mode) in (1..).zip([Mode::Refuse, Mode::Freeze, Mode::Refuse, Mode::Freeze]) {
        replica.store.append(webhook(&["x"], &[n])).await.unwrap();
        proxy.set(mode);
        let begun = Instant::now();
        let refused = replica.store.append(webhook(&["x"], &[100])).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{mode:?}: {refused:?}");
        let ready = replica.store.ready().await;
        assert!(matches!(ready, Err(StoreError::Unavailable(_))), "{mode:?}: {ready:?}");
        let beat = replica.store.beat(Beat::default()).await;
        assert!(matches!(beat, Err(StoreError::Unavailable(_))), "{mode:?}: {beat:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{mode:?}: after {:?}", begun.elapsed());
        proxy.set(Mode::Pass);
        // What was frozen may still get through.
        append_at_last(&replica, 200).await;
        replica.store.ready().await.unwrap();
        replica.store.beat(Beat::default()).await.unwrap();
    }
    let (counters, rows) = rig.audit().await.bots["x"];
    assert!(rows >= 8 && counters.accepted == rows, "{counters:?}");
    replica.heard.reaches("x", rows as usize).await;
    assert_eq!(replica.heard.last("x"), (1..=rows.cast_signed()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_is_renewed_though_its_connection_leads_nowhere() {
    let Some(rig) = Rig::new().await else { return };
    let proxy = Proxy::start(rig.database.server().port()).await;
    let options = Options { url: rig.database.url_at(proxy.port()).into(), ..rig.options("a", NOW) };
    let replica = rig.replica_with(options).await;
    proxy.stall();
    // As whoever beats does: a beat that takes 2 s is dropped.
    for _ in 0..2 {
        let beat = tokio::time::timeout(Duration::from_secs(2), replica.store.beat(Beat::default())).await;
        if matches!(beat, Ok(Ok(_))) {
            return;
        }
    }
    panic!("it clings to that connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_when_connections_are_cut() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, replica) = behind(&rig, "a").await;
    replica.own(&["x"]).await;
    for fingerprint in 0..40 {
        if fingerprint % 3 == 0 {
            proxy.cut();
        }
        append_at_last(&replica, fingerprint).await;
    }
    let (_, rows) = rig.audit().await.bots["x"];
    replica.heard.reaches("x", rows as usize).await;
    let heads = replica.heard.heads("x");
    for fingerprint in 0..40 {
        assert!(heads.iter().any(|head| head.fingerprint == Fingerprint(fingerprint)), "{fingerprint} is lost");
    }
}

/// A statement that accepts a webhook.
fn accepts(sql: &str) -> bool {
    sql.contains("INSERT INTO alarmbell.heads") && sql.contains("UPDATE alarmbell.bots")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_webhook_of_unknown_outcome_may_come_twice_and_is_not_lost() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, replica) = behind(&rig, "a").await;
    replica.own(&["x"]).await;
    replica.store.append(webhook(&["x"], &[1])).await.unwrap();
    for (n, cut, rows) in [(2, Cut::After, 2), (3, Cut::Before, 3)] {
        proxy.trap(cut, accepts);
        let unknown = replica.store.append(webhook(&["x"], &[n])).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
        assert_eq!(proxy.trapped() as u64, n - 1, "no statement was met that accepts a webhook");
        assert_eq!(rig.audit().await.bots["x"].1, rows);
        // The sender repeats it.
        append_at_last(&replica, n).await;
    }
    let fingerprints = [1, 2, 2, 3];
    replica.heard.reaches("x", fingerprints.len()).await;
    let heard: Vec<u64> = replica.heard.heads("x").iter().map(|head| head.fingerprint.0).collect();
    assert_eq!(heard, fingerprints);
    assert_eq!(rig.audit().await.bodies, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_of_unknown_begin_and_end_counts_once() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, replica) = behind(&rig, "a").await;
    replica.own(&["x"]).await;
    replica.store.append(webhook(&["x"], &[1, 2, 3])).await.unwrap();
    let commits = |sql: &str| sql == "COMMIT";
    let message = |last_known| Begin { last_known, ..begin("x", "r", 1) };
    let end = |attempt| {
        let told = Effect::Told(vec![(1, told_state(1), How::Named), (2, told_state(2), How::Counted)]);
        Outcome { superseded: vec![3], ..outcome("x", "r", 1, attempt, told) }
    };
    let open = "SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL";

    for (cut, left) in [(Cut::Before, 0), (Cut::After, 1)] {
        proxy.trap(cut, commits);
        let unknown = replica.store.begin(message(0)).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{cut:?} {unknown:?}");
        assert_eq!(rig.database.number(open).await, left, "{cut:?}");
    }
    // Nothing was sent in the attempt that nobody knows of, but it paces.
    let Begun::Others(others) = replica.store.begin(message(0)).await.unwrap() else { panic!("begun") };
    assert!(others.len() == 1 && others[0].ended_ms.is_some(), "{others:?}");
    let attempt = begun(&*replica.store, message(others[0].id)).await;
    assert_eq!(rig.database.number(open).await, 1);

    for (cut, rows) in [(Cut::Before, 3), (Cut::After, 0)] {
        proxy.trap(cut, commits);
        let unknown = replica.store.finish(end(attempt)).await;
        assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{cut:?} {unknown:?}");
        assert_eq!(rig.audit().await.bots["x"].1, rows, "{cut:?}");
    }
    let expected = Counters { accepted: 3, told_named: 1, told_counted: 1, superseded: 1, dead: 0 };
    let first = rig.audit().await;
    assert_eq!(first.bots["x"], (expected, 0));
    replica.store.finish(end(attempt)).await.unwrap();
    assert_eq!(rig.audit().await, first);
    assert_eq!(rig.database.number(open).await, 0);
    assert_eq!(proxy.trapped(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_of_an_unknown_begin_is_not_sent_after_what_took_its_place() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, replica) = behind(&rig, "a").await;
    replica.own(&["x", "y"]).await;
    replica.store.append(webhook(&["x", "y"], &[1, 2])).await.unwrap();
    proxy.trap(Cut::After, |sql| sql == "COMMIT");
    let unknown = replica.store.begin(begin("x", "r", 1)).await;
    assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
    // Another message at the same robot whose outcome is not known either, and one of the bot's at another robot.
    let mut last_known = 1;
    for (bot, robot, n) in [("y", "r", 2), ("x", "s", 3)] {
        last_known = if robot == "r" { last_known } else { 0 };
        let attempt = begun(&*replica.store, Begin { last_known, ..begin(bot, robot, n) }).await;
        replica.store.finish(outcome(bot, robot, n, attempt, Effect::Kept { open: true })).await.unwrap();
    }
    // A digest tells what was in the first, and newer states.
    let attempt = begun(&*replica.store, Begin { last_known: 2, ..begin("x", "r", 4) }).await;
    let told = Effect::Told(vec![(1, told_state(1), How::Named), (2, told_state(2), How::Named)]);
    replica.store.finish(outcome("x", "r", 4, attempt, told)).await.unwrap();
    replica.store.leave().await.unwrap();
    let next = rig.replica("b").await;
    next.own(&["x", "y"]).await;
    let open = |bot| next.heard.image(bot).open.iter().map(|open| open.id.clone()).collect::<Vec<_>>();
    assert_eq!(open("x"), [message_id(3)], "nobody sends the first any more");
    assert_eq!(open("y"), [message_id(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unknown_claim_is_settled_by_the_next() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, replica) = behind(&rig, "a").await;
    let other = rig.replica("b").await;
    replica.enlist(&["x"]).await;
    other.store.append(webhook(&["x"], &[1])).await.unwrap();
    proxy.trap(Cut::After, |sql| sql == "COMMIT");
    let unknown = replica.store.claim(&crate::rig::names(&["x"])).await;
    assert!(matches!(unknown, Err(StoreError::Unavailable(_))), "{unknown:?}");
    assert!(!other.claim(&["x"]).await, "on paper it is had");
    // To whom it is free it is shown as such.
    let pulse = replica.store.beat(Beat::default()).await.unwrap();
    assert!(pulse.free.iter().any(|free| &*free.bot == "x"), "{pulse:?}");
    assert!(replica.claim(&["x"]).await);
    assert_eq!(replica.heard.last("x"), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_database_asks_to_repeat_is_repeated() {
    let Some(rig) = Rig::new().await else { return };
    rig.database.set("default_transaction_isolation", "serializable").await;
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x"]).await;
    b.own(&["y"]).await;
    let mut tasks = Vec::new();
    for replica in [&a, &b] {
        let store = replica.store.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..40 {
                store.append(webhook(&["x", "y"], &[n])).await.unwrap();
            }
        }));
    }
    for (store, bot) in [(a.store.clone(), "x"), (b.store.clone(), "y")] {
        tasks.push(tokio::spawn(async move {
            let mut last_known = 0;
            // One robot: begins of both meet there.
            for n in 1..=15 {
                let mut message = begin(bot, "r", if bot == "x" { n } else { 100 + n });
                loop {
                    message.last_known = last_known;
                    match store.begin(message.clone()).await.unwrap() {
                        Begun::Attempt(id) => break last_known = id,
                        Begun::Others(others) => last_known = others.last().unwrap().id,
                    }
                }
                let mut end = outcome(bot, "r", n, last_known, Effect::Told(vec![]));
                end.message = message.message;
                store.finish(end).await.unwrap();
                store.beat(Beat::default()).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let audit = rig.audit().await;
    for (replica, bot) in [(&a, "x"), (&b, "y")] {
        assert_eq!(audit.bots[bot].1, 80);
        replica.heard.reaches(bot, 80).await;
        assert_eq!(replica.heard.last(bot), (1..=80).collect::<Vec<_>>());
    }
    assert_eq!((audit.attempts, audit.bodies), (30, 80));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_restarts_is_found_again() {
    // Its own: others must not be disturbed.
    if crate::server::shared().is_none() {
        return;
    }
    let server =
        crate::server::Server::start(&crate::server::Settings { durable: true, ..Default::default() }).unwrap();
    let rig = Rig::on(&server, NOW).await;
    let (_proxy, replica) = behind(&rig, "a").await;
    replica.own(&["x"]).await;
    for (n, at_once) in [(1, true), (2, false)] {
        replica.store.append(webhook(&["x"], &[n])).await.unwrap();
        server.down(at_once).unwrap();
        let away = replica.store.append(webhook(&["x"], &[100])).await;
        assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
        server.up().unwrap();
        append_at_last(&replica, 10 + n).await;
    }
    replica.heard.reaches("x", 4).await;
    let heard: Vec<u64> = replica.heard.heads("x").iter().map(|head| head.fingerprint.0).collect();
    assert_eq!(heard, [1, 11, 2, 12]);
    assert_eq!(rig.audit().await.bots["x"].1, 4);
}
