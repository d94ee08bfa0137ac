//! Acceptance, the feed, and what a restart brings back.

use std::sync::Arc;

use alarmbell::model::{Head, HeadFlags, How, Status};
use alarmbell::store::{Append, StoreError};

use crate::harness::{Bounds, Gate, Harness, NOW, Seen, new_head, poll_once, tell, webhook};

pub(crate) async fn positions_have_no_gaps_under_concurrent_appends(h: Harness) {
    let (store, seen, _) = h.start().await;
    let tasks: Vec<_> = (0..40_u64)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    let bots: &[&str] = if task % 2 == 0 { &["a", "b"] } else { &["a"] };
                    store.append(webhook(bots, &[task * 100 + n, 7])).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(seen.positions("a"), (1..=800).collect::<Vec<i64>>());
    assert_eq!(seen.positions("b"), (1..=400).collect::<Vec<i64>>());
    assert_eq!(h.counters("a").await.0.accepted, 800);
    assert_eq!(h.counters("b").await.0.accepted, 400);
    assert_eq!(h.audit().await.bodies, 400);
}

pub(crate) async fn the_feed_hears_once_and_in_order(h: Harness) {
    let (store, seen, images) = h.start().await;
    assert!(images.is_empty());
    let mut append = webhook(&["a"], &[11, u64::MAX]);
    append.heads[1].status = Status::Resolved;
    append.heads[1].ends_ms = NOW - 1;
    store.append(append.clone()).await.unwrap();
    // What was answered has been heard.
    let heard = seen.of("a");
    assert_eq!(heard.len(), 2);
    let expected = Head {
        pos: 2,
        body: heard[0].body,
        idx: 1,
        fingerprint: append.heads[1].fingerprint,
        group: append.heads[1].group,
        status: Status::Resolved,
        severity: 3,
        flags: HeadFlags(HeadFlags::REPEAT | HeadFlags::TRUNCATED),
        starts_ms: NOW - 5,
        ends_ms: NOW - 1,
        accepted_ms: NOW,
        via: heard[0].via,
    };
    assert_eq!(heard[1], expected);
    assert_eq!(&*store.via(heard[1].via).await.unwrap(), "policy:p");
    assert!(matches!(store.via(heard[1].via + 1).await, Err(StoreError::NotFound)));
}

pub(crate) async fn a_reopened_store_replays_the_same(h: Harness) {
    let (store, seen, _) = h.start().await;
    for n in 0..1_200 {
        store.append(webhook(&["a"], &[n])).await.unwrap();
    }
    store.append(webhook(&["b"], &[5])).await.unwrap();
    tell(&*store, "a", 1, &[1, 2, 3], How::Named).await;
    store.close().await;

    let (store, again, images) = h.start().await;
    assert_eq!(again.of("a"), seen.of("a")[3..]);
    assert_eq!(again.of("b"), seen.of("b"));
    assert_eq!(images["a"].counters, h.counters("a").await.0);
    assert_eq!(images["a"].told.len(), 3);
    store.append(webhook(&["a", "c"], &[9])).await.unwrap();
    assert_eq!(again.positions("a").last(), Some(&1_201));
    assert_eq!(again.positions("c"), [1]);
    let body = |seen: &Seen, bot: &str| seen.of(bot).last().unwrap().body;
    assert_eq!(body(&again, "a"), body(&again, "c"));
    assert!(body(&again, "a") > body(&again, "b"), "a body's id is used again");
}

pub(crate) async fn a_dropped_store_replays_what_was_answered(h: Harness) {
    let (store, seen, _) = h.start().await;
    for n in 0..50 {
        store.append(webhook(&["a"], &[n])).await.unwrap();
    }
    drop(store);
    let (_store, again, _) = h.start().await;
    assert_eq!(again.of("a"), seen.of("a"));
    assert_eq!(h.audit().await.bodies, 50);
}

pub(crate) async fn the_backlog_is_bounded(h: Harness) {
    let store = h.open(Bounds { max_alerts: Some(3), ..Bounds::default() }).await;
    store.append(webhook(&["a"], &[1, 2])).await.unwrap();
    let refused = store.append(webhook(&["a", "b"], &[3])).await;
    assert!(matches!(refused, Err(StoreError::BacklogFull(_))), "{refused:?}");
    assert!(!h.audit().await.bots.contains_key("b"), "a refused webhook leaves traces");
    store.append(webhook(&["a"], &[3])).await.unwrap();
    tell(&*store, "a", 1, &[1, 2], How::Named).await;
    store.append(webhook(&["a", "b"], &[4])).await.unwrap();
    drop(store);

    // The bytes of two webhooks; one that goes to two bots counts once.
    let two = 2 * webhook(&["a"], &[1]).body.len() as u64;
    let store = h.open(Bounds { max_bytes: Some(two), ..Bounds::default() }).await;
    let refused = store.append(webhook(&["a"], &[5])).await;
    assert!(matches!(refused, Err(StoreError::BacklogFull(_))), "{refused:?}");
    store.superseded("a".into(), vec![3]).await.unwrap();
    store.append(webhook(&["a"], &[5])).await.unwrap();
}

pub(crate) async fn a_full_queue_says_so_at_once(h: Harness) {
    let store = h.open(Bounds { queue_ops: Some(2), ..Bounds::default() }).await;
    let gate = Gate::new();
    store.replay(gate.clone()).await.unwrap();
    gate.shut();
    let append = |n: u64| {
        let store = store.clone();
        async move { store.append(webhook(&["a"], &[n])).await }
    };
    // The writer takes the first and stands; the queue takes two more.
    let first = tokio::spawn(append(1));
    gate.reached().await;
    let mut second = Box::pin(append(2));
    let mut third = Box::pin(append(3));
    assert!(poll_once(&mut second).await.is_none());
    assert!(poll_once(&mut third).await.is_none());
    assert!(matches!(append(4).await, Err(StoreError::Unavailable(_))));
    gate.open();
    first.await.unwrap().unwrap();
    second.await.unwrap();
    third.await.unwrap();
    append(5).await.unwrap();
    assert_eq!(h.counters("a").await.0.accepted, 4);
}

pub(crate) async fn bodies_go_with_their_last_head(h: Harness) {
    let (store, seen, _) = h.start().await;
    store.append(webhook(&["a", "b"], &[1])).await.unwrap();
    let id = seen.of("a")[0].body;
    tell(&*store, "a", 1, &[1], How::Named).await;
    assert_eq!(store.bodies(vec![id]).await.unwrap().len(), 1);
    tell(&*store, "b", 2, &[1], How::Named).await;
    assert!(store.bodies(vec![id]).await.unwrap().is_empty());
    assert_eq!(h.audit().await.bodies, 0);
}

pub(crate) async fn bodies_come_in_the_order_asked(h: Harness) {
    let (store, seen, _) = h.start().await;
    for n in 0..3 {
        let append = Append { received_ms: NOW + n, body: format!("body {n}").into(), ..webhook(&["a"], &[1]) };
        store.append(append).await.unwrap();
    }
    let ids: Vec<i64> = seen.of("a").iter().map(|head| head.body).collect();
    let bodies = store.bodies(vec![ids[2], 999, ids[0]]).await.unwrap();
    let got: Vec<_> = bodies.iter().map(|body| (body.id, body.received_ms, &body.body[..])).collect();
    assert_eq!(got, [(ids[2], NOW + 2, &b"body 2"[..]), (ids[0], NOW, &b"body 0"[..])]);
}

pub(crate) async fn a_closed_store_takes_nothing(h: Harness) {
    let (store, _, _) = h.start().await;
    let late: Vec<_> = (0..20)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.append(webhook(&["a"], &[n])).await.is_ok() })
        })
        .collect();
    store.close().await;
    let mut accepted = 0;
    for append in late {
        accepted += u64::from(append.await.unwrap());
    }
    assert_eq!(h.counters("a").await.0.accepted, accepted);
    assert!(matches!(store.append(webhook(&["a"], &[1])).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.dead_letter_counts().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    store.close().await;
}

pub(crate) async fn sizes_follow_what_waits(h: Harness) {
    let (store, _, _) = h.start().await;
    let append =
        Append { body: "0123456789".into(), heads: vec![new_head("a", 0, 1), new_head("b", 0, 1)], received_ms: 1 };
    store.append(append).await.unwrap();
    let size = store.size().await.unwrap();
    assert_eq!((size.waiting, size.waiting_bytes), (2, 10));
    assert!(size.bytes > 4_096);
    drop(store);
    let (store, _, _) = h.start().await;
    let size = store.size().await.unwrap();
    assert_eq!((size.waiting, size.waiting_bytes), (2, 10));
    tell(&*store, "a", 1, &[1], How::Named).await;
    store.superseded(Arc::from("b"), vec![1]).await.unwrap();
    let size = store.size().await.unwrap();
    assert_eq!((size.waiting, size.waiting_bytes), (0, 0));
    store.ready().await.unwrap();
}
