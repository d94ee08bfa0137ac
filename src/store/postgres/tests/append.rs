//! Acceptance, and what the feed hears of it.

use super::super::{append, feed};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_position_is_heard_once_and_in_order_whoever_took_it() {
    let Some(place) = Place::new().await else { return };
    let nodes = [place.node().await, place.node().await, place.node().await];
    let bots = names(&["a", "b"]);
    assert!(nodes[0].store.claim(&bots).await.unwrap());
    assert!(!nodes[1].store.claim(&bots[..1]).await.unwrap(), "another replica speaks for it");
    // Somebody who holds a bot's row makes what is appended meanwhile commit late, and much of it at once.
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    for round in 0..5 {
        let hold = slow.transaction().await.unwrap();
        hold.execute("SELECT 1 FROM alarmbell.bots WHERE name = 'a' FOR UPDATE", &[]).await.unwrap();
        let appends = (0..30_u64).map(|nr| {
            let store = nodes[usize::try_from(nr).unwrap() % 3].store.inner.clone();
            let queue = nodes[usize::try_from(nr).unwrap() % 3].store.queue.clone();
            let to: &[&str] = if nr % 2 == 0 { &["a", "b"] } else { &["b", "a"] };
            let append = webhook(nr, to);
            async move { append::push(&store, &queue, append).await.unwrap() }
        });
        let appends: Vec<_> = appends.map(tokio::spawn).collect();
        let looks = tokio::spawn({
            let inner = nodes[0].store.inner.clone();
            async move {
                for _ in 0..20 {
                    feed::look(&inner).await.unwrap();
                }
            }
        });
        hold.commit().await.unwrap();
        for append in appends {
            append.await.unwrap();
        }
        looks.await.unwrap();
        feed::look(&nodes[0].store.inner).await.unwrap();
        let all: Vec<i64> = (1..=(round + 1) * 30).collect();
        assert_eq!(nodes[0].ear.positions("a"), all);
        assert_eq!(nodes[0].ear.positions("b"), all);
    }
    assert!(nodes[1].ear.heads.lock().unwrap().is_empty(), "nothing here is for it");
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.heads").await, 300);
    let wrong =
        "SELECT count(*) FROM alarmbell.heads h LEFT JOIN alarmbell.bodies b ON b.id = h.body WHERE b.id IS NULL";
    assert_eq!(place.number(wrong).await, 0, "each has its body");
    let bytes = webhook(0, &["a"]).body.len() as i64 * 150;
    assert_eq!(place.number("SELECT sum(body_bytes)::bigint FROM alarmbell.bots").await, bytes, "booked once");
    place.end(nodes.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_webhook_is_heard_before_it_is_answered() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    there.store.append(webhook(1, &["a"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [0; 0]);
    here.store.append(webhook(2, &["a", "b"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [1, 2], "also what another replica took before");
    assert_eq!(here.ear.positions("b"), [0; 0], "nobody speaks for it");
    // A feed that panics was told, and is told of the next.
    here.ear.deaf.store(true, std::sync::atomic::Ordering::Relaxed);
    here.store.append(webhook(3, &["a"])).await.unwrap();
    here.ear.deaf.store(false, std::sync::atomic::Ordering::Relaxed);
    here.store.append(webhook(4, &["a"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [1, 2, 4]);
    place.end(vec![here, there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backlog_refuses_until_there_is_room() {
    let Some(place) = Place::new().await else { return };
    let here = place.node_with(|options| options.max_alerts = 3).await;
    here.store.append(webhook(1, &["a", "b"])).await.unwrap();
    let full = here.store.append(webhook(1, &["a", "b"])).await.unwrap_err();
    assert_eq!(full.to_string(), "the backlog is full: 2 of at most 3 alerts wait");
    here.store.append(webhook(1, &["a"])).await.unwrap();
    assert!(matches!(here.store.append(webhook(1, &["a"])).await, Err(StoreError::BacklogFull(_))));
    here.store.beat(Beat::default()).await.unwrap();
    assert!(matches!(here.store.append(webhook(1, &["a"])).await, Err(StoreError::BacklogFull(_))));
    place.run("DELETE FROM alarmbell.heads WHERE bot = 1 AND pos = 1; UPDATE alarmbell.bots SET told_named = 1 WHERE id = 1").await;
    here.store.append(webhook(1, &["a"])).await.unwrap();
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_s_fault_is_its_own() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    place.run("ALTER TABLE alarmbell.heads ADD CHECK (fp <> 666)").await;
    // The first holds the task up, so that the others are one batch.
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    let hold = slow.transaction().await.unwrap();
    hold.execute("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    let append = |fingerprint| {
        let (inner, queue) = (here.store.inner.clone(), here.store.queue.clone());
        tokio::spawn(async move { append::push(&inner, &queue, webhook(fingerprint, &["a"])).await })
    };
    let first = append(1);
    while here.store.queue.len() > 0 || !first.is_finished() && place.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await == 0 {
        tokio::task::yield_now().await;
    }
    let others = [append(2), append(666), append(3)];
    while here.store.queue.len() < 3 {
        tokio::task::yield_now().await;
    }
    hold.rollback().await.unwrap();
    first.await.unwrap().unwrap();
    let mut failed = 0;
    for other in others {
        failed += u32::from(other.await.unwrap().is_err());
    }
    assert_eq!(failed, 1);
    assert_eq!(here.ear.positions("a"), [1, 2, 3]);
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_so_at_once_and_a_closed_store_too() {
    let Some(place) = Place::new().await else { return };
    let here = place.node_with(|options| (options.queue_ops, options.batch_ops) = (2, 1)).await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    let hold = slow.transaction().await.unwrap();
    hold.execute("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    let mut queued = Vec::new();
    while here.store.queue.len() < 2 {
        let (inner, queue) = (here.store.inner.clone(), here.store.queue.clone());
        queued.push(tokio::spawn(async move { append::push(&inner, &queue, webhook(1, &["a"])).await }));
        tokio::task::yield_now().await;
    }
    let full = here.store.append(webhook(9, &["a"])).await.unwrap_err();
    assert_eq!(full.to_string(), "the store is unavailable: its queue is full");
    hold.rollback().await.unwrap();
    // What is queued is finished by the end of the store.
    here.store.close().await;
    let mut taken = 0;
    for append in queued {
        taken += i64::from(append.await.unwrap().is_ok());
    }
    assert!(taken >= 2);
    assert_eq!(place.number("SELECT accepted FROM alarmbell.bots WHERE name = 'a'").await, taken);
    let closed = here.store.append(webhook(9, &["a"])).await.unwrap_err();
    assert_eq!(closed.to_string(), "the store is unavailable: the store is closed");
    place.end(vec![here]).await;
}
