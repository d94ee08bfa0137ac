//! Several replicas on one database: who speaks for what, and who hears of what.

use std::sync::Arc;
use std::time::Duration;

use alarmbell::model::{Fingerprint, How, Status};
use alarmbell::store::{Beat, Begin, Begun, Cluster, Counters, Effect, HandOver, Store, StoreError, ToldState};

use crate::harness::{NOW, begin, begun, new_head, outcome, tell, told_state, webhook};
use crate::postgres::{advance, open, options};
use crate::rig::{Rig, names};

/// Whoever tells alerts of a bot that others speak for by now is refused.
#[track_caller]
fn assert_fenced<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Fenced)), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bots_are_claimed_together_or_not_at_all() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.enlist(&["x", "y", "z"]).await;
    assert!(a.claim(&["x", "y"]).await);
    assert!(!b.claim(&["z", "y"]).await);
    assert_eq!(rig.owners().await, [("x", &*a.id), ("y", &*a.id)].map(|(bot, id)| (bot.to_owned(), id.to_owned())));
    assert!(b.claim(&["z"]).await);
    a.store.release(&names(&["y"])).await.unwrap();
    // What is not ours is left alone.
    a.store.release(&names(&["z"])).await.unwrap();
    assert!(b.claim(&["y"]).await);
    assert!(!a.claim(&["x", "z"]).await);
    let owners = [("x", &*a.id), ("y", &*b.id), ("z", &*b.id)];
    assert_eq!(rig.owners().await, owners.map(|(bot, id)| (bot.to_owned(), id.to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_is_read_once_when_a_bot_is_claimed() {
    // With some ten thousands it may as well sort them: 40 ms.
    const MANY: i64 = 150_000;
    let Some(rig) = Rig::new().await else { return };
    let a = rig.replica("a").await;
    a.enlist(&["x", "y", "z"]).await;
    let heads = |bots: &str, count: i64, apart: i64| {
        format!(
            "INSERT INTO alarmbell.heads SELECT b.id, n * {apart}, 1, 1, 0, n, n, 0, 0, 0, 1, 0, 1, 1 \
             FROM alarmbell.bots b, generate_series(1, {count}) n WHERE b.name LIKE '{bots}'; \
             UPDATE alarmbell.bots SET accepted = {count} * {apart}, superseded = {count} * ({apart} - 1) \
             WHERE name LIKE '{bots}'"
        )
    };
    // As after a storm: the planner knows nothing of the table, which was empty when it was analysed. One bot's are far
    // apart, since most of what it had was told.
    rig.database.run("ALTER TABLE alarmbell.heads SET (autovacuum_enabled = off)").await;
    rig.database.run(&heads("x", MANY, 1)).await;
    rig.database.run(&heads("z", 6, 9_000)).await;
    assert!(a.claim(&["x", "y", "z"]).await);
    assert_eq!(a.heard.last("x"), (1..=MANY).collect::<Vec<_>>());
    assert_eq!(a.heard.last("y"), [0; 0]);
    assert_eq!(a.heard.last("z"), (1..=6).map(|n| n * 9_000).collect::<Vec<_>>());
    // And as later, when it knows that nearly all are one bot's.
    let small: Vec<String> = (0..100).map(|n| format!("small{n}")).collect();
    let small: Vec<&str> = small.iter().map(String::as_str).collect();
    a.enlist(&small).await;
    rig.database.run(&heads("small%", 2, 1)).await;
    rig.database.run("ANALYZE alarmbell.heads").await;
    assert!(a.claim(&small).await);
    assert!(small.iter().all(|bot| a.heard.last(bot) == [1, 2]));
    // The server counts what a connection did when it ends.
    a.store.close().await;
    let read = "SELECT i.idx_tup_read + t.seq_tup_read FROM pg_stat_user_indexes i JOIN pg_stat_user_tables t USING (relid) \
         WHERE i.indexrelname = 'heads_pkey'";
    let mut rows = 0;
    for _ in 0..100 {
        rows = rig.database.number(read).await;
        if rows >= MANY {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!((MANY..2 * MANY).contains(&rows), "{rows} were read for {MANY}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_bot_is_never_had_by_two() {
    let Some(rig) = Rig::new().await else { return };
    let mut replicas = Vec::new();
    for name in ["a", "b", "c", "d"] {
        replicas.push(Arc::new(rig.replica(name).await));
    }
    let bots: Vec<Arc<str>> = (0..20).map(|n| format!("bot{n}").into()).collect();
    replicas[0].store.enlist(&bots).await.unwrap();
    let tasks: Vec<_> = replicas
        .iter()
        .enumerate()
        .map(|(at, replica)| {
            let (replica, mut bots) = (replica.clone(), bots.clone());
            bots.rotate_left(at * 5);
            tokio::spawn(async move {
                let mut won = Vec::new();
                // Pairs overlap, and come in different orders.
                for pair in bots.windows(2) {
                    let pair = if at % 2 == 0 { pair.to_vec() } else { vec![pair[1].clone(), pair[0].clone()] };
                    if replica.store.claim(&pair).await.unwrap() {
                        won.extend(pair);
                    }
                }
                won.sort();
                won.dedup();
                won
            })
        })
        .collect();
    let mut won = Vec::new();
    for (replica, task) in replicas.iter().zip(tasks) {
        won.extend(task.await.unwrap().into_iter().map(|bot| (bot.to_string(), replica.id.clone())));
    }
    won.sort();
    assert_eq!(rig.owners().await, won);
    assert!(won.windows(2).all(|pair| pair[0].0 != pair[1].0), "{won:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_lost_a_bot_writes_nothing_for_it() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x"]).await;
    b.own(&["y"]).await;
    a.store.append(webhook(&["x"], &[1, 2, 3])).await.unwrap();
    let covers = (1_i64..=3).map(|pos| (pos, Fingerprint(pos.cast_unsigned()), How::Named)).collect();
    let old = begun(&*a.store, Begin { covers, ..begin("x", "r", 1) }).await;
    assert!(!b.claim(&["x"]).await);

    rig.expire(&a).await;
    let pulse = b.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.replicas.iter().map(|replica| &*replica.id).collect::<Vec<_>>(), [&*b.id]);
    assert!(pulse.free.iter().any(|free| &*free.bot == "x" && free.waiting), "{pulse:?}");
    assert!(b.claim(&["x"]).await);
    assert_eq!(b.heard.last("x"), [1, 2, 3]);
    let image = b.heard.image("x");
    assert_eq!((image.counters.accepted, image.open.len()), (3, 1));
    // Its attempt is nobody else's to end.
    assert_eq!((image.open[0].attempt, image.open[0].covers.len()), (None, 3));

    let before = rig.audit().await;
    assert_fenced(&a.store.begin(Begin { last_known: old, ..begin("x", "r", 2) }).await);
    assert_fenced(&a.store.superseded("x".into(), vec![1]).await);
    let hand_over = HandOver { from: "x".into(), to: "y".into(), moved: vec![1], copied: vec![2], superseded: vec![3] };
    assert_fenced(&a.store.hand_over(hand_over).await);
    assert_fenced(&a.store.rehome("x".into(), vec!["y".into()], NOW).await);
    assert_eq!(rig.audit().await, before);

    // The message is b's now. Its outcome does not end an attempt that may still be under way.
    let resent = begun(&*b.store, Begin { last_known: old, ..begin("x", "r", 1) }).await;
    let told = |positions: &[i64]| {
        Effect::Told(positions.iter().map(|pos| (*pos, told_state(pos.cast_unsigned()), How::Named)).collect())
    };
    b.store.finish(outcome("x", "r", 1, resent, told(&[1]))).await.unwrap();
    let open = "SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL";
    assert_eq!(rig.database.number(open).await, 1);
    let before = rig.audit().await;
    assert_eq!(before.bots["x"], (Counters { accepted: 3, told_named: 1, ..Counters::default() }, 2));
    assert_fenced(&a.store.finish(outcome("x", "r", 1, old, told(&[1, 2, 3]))).await);
    assert_eq!(rig.audit().await, before);
    assert_eq!(rig.database.number(open).await, 0, "its own attempt ended");

    // It learns of it, and is there again.
    let pulse = a.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.lost, names(&["x"]));
    assert_eq!(pulse.replicas.len(), 2);
    a.store.forget(&pulse.lost);
    assert!(!a.claim(&["x"]).await);
    b.store.release(&names(&["x"])).await.unwrap();
    assert!(a.claim(&["x"]).await);
    assert_eq!(a.heard.last("x"), [2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_attempt_of_an_earlier_claim_is_fenced_too() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x"]).await;
    a.store.append(webhook(&["x"], &[1])).await.unwrap();
    let old = begun(&*a.store, begin("x", "r", 1)).await;
    rig.expire(&a).await;
    assert!(b.claim(&["x"]).await);
    b.store.release(&names(&["x"])).await.unwrap();
    let pulse = a.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.lost, names(&["x"]), "it was had by another meanwhile");
    a.store.forget(&pulse.lost);
    assert!(a.claim(&["x"]).await);
    // Between the two claims somebody else may have told it.
    let told = Effect::Told(vec![(1, told_state(1), How::Named)]);
    assert_fenced(&a.store.finish(outcome("x", "r", 1, old, told)).await);
    assert_eq!(rig.audit().await.bots["x"].1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_takes_a_webhook_its_owner_hears_of_it() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x"]).await;
    b.own(&["y"]).await;
    a.store.append(webhook(&["x", "y"], &[1])).await.unwrap();
    assert_eq!(a.heard.last("x"), [1]);
    for n in 2..6 {
        b.store.append(webhook(&["x", "y"], &[n])).await.unwrap();
    }
    // What was answered at its owner has been heard there, and whatever was taken before it.
    assert_eq!(b.heard.last("y"), (1..=5).collect::<Vec<_>>());
    a.store.append(webhook(&["x"], &[6])).await.unwrap();
    assert_eq!(a.heard.last("x"), (1..=6).collect::<Vec<_>>());
    b.store.append(webhook(&["x"], &[7])).await.unwrap();
    a.heard.reaches("x", 7).await;
    assert_eq!(b.heard.sessions("x"), 0, "it does not speak for it");

    // In order of the claim.
    a.store.release(&names(&["x"])).await.unwrap();
    assert!(b.claim(&["x"]).await);
    assert_eq!(b.heard.last("x"), (1..=7).collect::<Vec<_>>());
    a.store.append(webhook(&["x"], &[8])).await.unwrap();
    b.heard.reaches("x", 8).await;
    assert_eq!(a.heard.last("x").len(), 7);
    let heads = b.heard.heads("x");
    assert_eq!(heads.iter().map(|head| head.fingerprint.0).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    let via = heads[7].via;
    assert_eq!(&*b.store.via(via).await.unwrap(), "policy:p");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn positions_have_no_gaps_whoever_appends() {
    let Some(rig) = Rig::new().await else { return };
    let mut tasks = Vec::new();
    let owner = rig.replica("owner").await;
    owner.own(&["x", "y"]).await;
    let mut replicas = vec![];
    for name in ["a", "b"] {
        replicas.push(rig.replica(name).await);
    }
    for (at, store) in replicas.iter().chain([&owner]).map(|replica| replica.store.clone()).enumerate() {
        for task in 0..4_usize {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                for n in 0..15 {
                    // In both orders.
                    let bots = if (at + task) % 2 == 0 { ["x", "y"] } else { ["y", "x"] };
                    store.append(webhook(&bots[..1 + n % 2], &[n as u64, 7])).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let audit = rig.audit().await;
    let mut heads = 0;
    for bot in ["x", "y"] {
        let (counters, rows) = audit.bots[bot];
        assert_eq!(counters.accepted, rows);
        owner.heard.reaches(bot, rows as usize).await;
        assert_eq!(owner.heard.last(bot), (1..=rows.cast_signed()).collect::<Vec<_>>());
        heads += rows;
    }
    // 12 tasks of 15 webhooks, 7 of them to both bots, two alerts each.
    assert_eq!((heads, audit.bodies), (12 * 22 * 2, 12 * 15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hearers_are_those_whose_chats_know() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x", "y"]).await;
    a.store.append(webhook(&["x"], &[1, 2])).await.unwrap();
    a.store.append(webhook(&["y"], &[3, 2])).await.unwrap();
    let mut end = webhook(&["y"], &[5]);
    end.heads[0] = alarmbell::store::NewHead { status: Status::Resolved, ..new_head("y", 0, 5) };
    a.store.append(end).await.unwrap();
    let attempt = begun(&*a.store, begin("y", "r", 1)).await;
    let told = Effect::Told(vec![(1, told_state(3), How::Named)]);
    a.store.finish(outcome("y", "r", 1, attempt, told)).await.unwrap();
    let resolved = ToldState { status: Status::Resolved, ..told_state(2) };
    let attempt = begun(&*a.store, Begin { last_known: attempt, ..begin("x", "r", 2) }).await;
    a.store.finish(outcome("x", "r", 2, attempt, Effect::Told(vec![(2, resolved, How::Named)]))).await.unwrap();

    let asked: Vec<Fingerprint> = [1, 2, 3, 4, u64::MAX].map(Fingerprint).to_vec();
    let found = b.store.hearers(&asked).await.unwrap();
    for (fp, bot) in [(1, "x"), (2, "y"), (3, "y")] {
        assert!(found.contains(&(Fingerprint(fp), bot.into())), "{fp} {bot} is missing in {found:?}");
    }
    // One that was told of the end may be named as well.
    let may = [(1, "x"), (2, "y"), (3, "y"), (2, "x")];
    assert!(found.iter().all(|(fp, bot)| may.contains(&(fp.0, &**bot))), "{found:?}");
    assert_eq!(b.store.hearers(&[]).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn views_are_shown_to_all() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x"]).await;
    b.own(&["y"]).await;
    assert_eq!(b.store.views().await.unwrap(), []);
    a.store.publish(vec![("x".into(), "{\"waiting\":1}".to_owned())]).await.unwrap();
    b.store.publish(vec![("y".into(), "{}".to_owned())]).await.unwrap();
    a.store.publish(vec![("x".into(), "{\"waiting\":2}".to_owned())]).await.unwrap();
    a.store.publish(vec![]).await.unwrap();
    for replica in [&a, &b] {
        let mut views = replica.store.views().await.unwrap();
        views.sort();
        assert_eq!(views, [("x".into(), "{\"waiting\":2}".to_owned()), ("y".into(), "{}".to_owned())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pulse_says_who_is_there_and_what_is_free() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x", "y"]).await;
    a.enlist(&["free", "waits"]).await;
    b.store.append(webhook(&["waits"], &[1])).await.unwrap();
    a.store.beat(Beat { config_hash: "one".to_owned() }).await.unwrap();
    let pulse = b.store.beat(Beat { config_hash: "two".to_owned() }).await.unwrap();
    assert_eq!((&*pulse.me, &pulse.lost), (&*b.id, &vec![]));
    let mut expected = vec![(&*a.id, "a", "one", 2), (&*b.id, "b", "two", 0)];
    expected.sort_unstable();
    let replicas: Vec<_> = pulse
        .replicas
        .iter()
        .map(|replica| (&*replica.id, &*replica.name, &*replica.config_hash, replica.bots))
        .collect();
    assert_eq!(replicas, expected);
    assert!(pulse.replicas.iter().all(|replica| replica.version == env!("CARGO_PKG_VERSION")), "{pulse:?}");
    assert!(pulse.replicas.iter().all(|replica| replica.started_ms == NOW && replica.seen_ms == NOW), "{pulse:?}");
    let mut free: Vec<_> = pulse.free.iter().map(|free| (&*free.bot, free.waiting)).collect();
    free.sort_unstable();
    assert_eq!(free, [("free", false), ("waits", true)]);

    // The lease is 8 s on the database's clock.
    advance(&rig.database, Duration::from_millis(7_999)).await;
    assert_eq!(b.store.beat(Beat::default()).await.unwrap().replicas.len(), 2);
    advance(&rig.database, Duration::from_millis(2)).await;
    let pulse = b.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.replicas.len(), 1);
    assert_eq!(pulse.free.len(), 4);
    // Nobody took them, so nothing is lost.
    let pulse = a.store.beat(Beat::default()).await.unwrap();
    assert_eq!((pulse.lost, pulse.replicas.len(), pulse.free.len()), (vec![], 2, 2));

    // So long away that nobody knows of it any more.
    advance(&rig.database, Duration::from_secs(7_200)).await;
    assert_eq!(b.store.beat(Beat::default()).await.unwrap().replicas.len(), 1);
    assert_eq!(rig.database.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    let pulse = a.store.beat(Beat::default()).await.unwrap();
    assert_eq!((pulse.replicas.len(), pulse.lost), (2, vec![]));

    a.store.leave().await.unwrap();
    let pulse = b.store.beat(Beat::default()).await.unwrap();
    assert_eq!((pulse.replicas.len(), pulse.free.len()), (1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guest_sends_and_speaks_for_nobody() {
    let Some(rig) = Rig::new().await else { return };
    let a = rig.replica("a").await;
    a.own(&["x"]).await;
    a.enlist(&["free"]).await;
    let guest = open(&options(rig.database.url(), None, NOW)).await;
    let message = |n, last_known| Begin { covers: vec![], last_known, ..begin("x", "r", n) };
    let attempt = begun(&guest, message(1, 0)).await;
    // Whoever speaks for the bot paces with it, under way and done.
    let Begun::Others(others) = a.store.begin(message(2, 0)).await.unwrap() else { panic!("begun") };
    assert_eq!(others.iter().map(|other| (other.id, other.ended_ms)).collect::<Vec<_>>(), [(attempt, None)]);
    guest.finish(outcome("x", "r", 1, attempt, Effect::Told(vec![]))).await.unwrap();
    assert!(a.store.robot("r", 0).await.unwrap().1[0].ended_ms.is_some());
    begun(&*a.store, message(2, attempt)).await;

    let claimed = guest.claim(&names(&["free"])).await;
    assert!(!matches!(claimed, Ok(true)), "{claimed:?}");
    assert_eq!(rig.owners().await, [("x".to_owned(), a.id.clone())]);
    assert_eq!(a.store.beat(Beat::default()).await.unwrap().replicas.len(), 1);
    guest.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_whose_clocks_differ_pace_alike() {
    let Some(rig) = Rig::at(NOW + 3_600_000).await else { return };
    let (early, late) = (rig.replica("early").await, rig.replica_with(rig.options("late", NOW + 7_200_000)).await);
    early.own(&["x"]).await;
    early.store.append(webhook(&["x"], &[1])).await.unwrap();
    tell(&*early.store, "x", 1, &[1], How::Named).await;
    let robot = "robot of x for 1";
    let (_, own) = early.store.robot(robot, 0).await.unwrap();
    let (_, others) = late.store.robot(robot, 0).await.unwrap();
    for (attempts, ahead) in [(own, 0), (others, 7_200_000)] {
        let [attempt] = attempts[..] else { panic!("{attempts:?}") };
        // It began at 1 and ended at 1,001; rounding makes times later, so that pacing waits rather longer.
        for (time, exact) in [(attempt.started_ms, NOW + 1), (attempt.ended_ms.unwrap(), NOW + 1_001)] {
            assert!((0..10).contains(&(time - ahead - exact)), "{time} for {exact}, {ahead} ahead");
        }
    }
}
