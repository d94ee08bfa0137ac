//! A fallback takes alerts over.

use std::collections::BTreeMap;
use std::sync::Arc;

use alarmbell::model::{Head, Status};
use alarmbell::store::{Append, Counters, HandOver, NewHead, Store, StoreError};

use crate::harness::{Bounds, Gate, Harness, new_head, poll_once, webhook};

fn hand_over(from: &str, to: &str) -> HandOver {
    HandOver { from: from.into(), to: to.into(), moved: vec![], copied: vec![], superseded: vec![] }
}

pub(crate) async fn alerts_are_handed_over_as_they_are(h: Harness) {
    let (store, seen, _) = h.start().await;
    store.append(webhook(&["b"], &[50])).await.unwrap();
    let mut ended = NewHead { status: Status::Resolved, ends_ms: 77, flags: Default::default(), ..new_head("a", 3, 4) };
    ended.via = "policy:p\ngroup:night".into();
    let mut append = webhook(&["a"], &[1, 2, 3]);
    append.heads.push(ended);
    store.append(append).await.unwrap();

    let asked =
        HandOver { moved: vec![3, 1, 99], copied: vec![4, 0], superseded: vec![2, 1 << 50], ..hand_over("a", "b") };
    assert_eq!(store.hand_over(asked.clone()).await.unwrap(), 3);
    assert_eq!(h.counters("a").await, (Counters { accepted: 4, superseded: 3, ..Counters::default() }, 1));
    assert_eq!(h.counters("b").await, (Counters { accepted: 4, ..Counters::default() }, 4));
    // Older states first, whatever the order asked.
    let (from, to) = (seen.of("a"), seen.of("b"));
    assert_eq!(to.iter().map(|head| head.pos).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (taken, old) in to[1..].iter().zip([from[0], from[2], from[3]]) {
        assert_eq!(Head { pos: taken.pos, via: taken.via, ..old }, *taken);
    }
    assert_eq!(&*store.via(to[1].via).await.unwrap(), "policy:p\nfallback:a");
    assert_eq!(&*store.via(to[3].via).await.unwrap(), "policy:p\ngroup:night\nfallback:a");

    // Once more: what left is gone, what was copied is appended again, and says so once.
    assert_eq!(store.hand_over(asked).await.unwrap(), 1);
    let back = HandOver { moved: vec![4], ..hand_over("b", "a") };
    assert_eq!(store.hand_over(back).await.unwrap(), 1);
    let again = HandOver { moved: vec![5], ..hand_over("a", "b") };
    assert_eq!(store.hand_over(again).await.unwrap(), 1);
    let last = *seen.of("b").last().unwrap();
    assert_eq!(&*store.via(last.via).await.unwrap(), "policy:p\ngroup:night\nfallback:a\nfallback:b");

    // To itself, and of a bot that nobody knows.
    assert_eq!(store.hand_over(HandOver { moved: vec![4], ..hand_over("a", "a") }).await.unwrap(), 0);
    assert_eq!(store.hand_over(HandOver { moved: vec![4], ..hand_over("x", "y") }).await.unwrap(), 0);
    assert_eq!(h.counters("a").await.1, 1);
    // Their bodies are still there, each once.
    assert_eq!(h.audit().await.bodies, 2);
    let heard = seen.of("b");
    drop(store);
    let (_store, again, _) = h.start().await;
    assert_eq!(again.of("b"), heard.into_iter().filter(|head| head.pos != 4).collect::<Vec<_>>());
}

pub(crate) async fn a_full_backlog_does_not_refuse_a_takeover(h: Harness) {
    let store = h.open(Bounds { max_alerts: Some(3), ..Bounds::default() }).await;
    let seen = Arc::new(crate::harness::Seen::default());
    store.replay(seen.clone()).await.unwrap();
    store.append(webhook(&["a"], &[1, 2, 3])).await.unwrap();
    let full = store.append(webhook(&["a"], &[4])).await;
    assert!(matches!(full, Err(StoreError::BacklogFull(_))), "{full:?}");
    let copied = HandOver { moved: vec![1], copied: vec![2, 3], ..hand_over("a", "b") };
    assert_eq!(store.hand_over(copied).await.unwrap(), 3);
    assert_eq!(store.size().await.unwrap().waiting, 5);
    assert_eq!(seen.positions("b"), [1, 2, 3]);
}

/// The alerts that wait, by fingerprint: at which bots.
async fn places(h: &Harness) -> (Arc<dyn Store>, BTreeMap<u64, Vec<&'static str>>) {
    let (store, seen, _) = h.start().await;
    let mut places: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for bot in ["a", "b"] {
        for head in seen.of(bot) {
            places.entry(head.fingerprint.0).or_default().push(bot);
        }
    }
    (store, places)
}

pub(crate) async fn a_crash_between_steps_loses_nothing(h: Harness) {
    let store = h.open(Bounds::default()).await;
    let gate = Gate::new();
    store.replay(gate.clone()).await.unwrap();
    let fingerprints: Vec<u64> = (1..=1_000).collect();
    let heads = fingerprints.iter().map(|fp| new_head("a", 0, *fp)).collect();
    store.append(Append { heads, ..webhook(&["a"], &[1]) }).await.unwrap();
    // 1 to 300 are old states; from there every fifth is copied.
    let (copied, moved): (Vec<i64>, Vec<i64>) = (301..=1_000).partition(|pos| pos % 5 == 0);
    let asked = HandOver { moved, copied, superseded: (1..=300).collect(), ..hand_over("a", "b") };

    gate.shut();
    let mut task = store.hand_over(asked.clone());
    assert!(poll_once(&mut task).await.is_none());
    // The first step with heads is committed, and the next has not begun.
    gate.reached().await;
    drop(task);
    let gone = Arc::downgrade(&store);
    let end = tokio::task::spawn_blocking(move || drop(store));
    while gone.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    gate.open();
    end.await.unwrap();

    let (store, before) = places(&h).await;
    assert!((1..=300).all(|fp| !before.contains_key(&fp)), "superseded ones go before the others");
    let left = |places: &BTreeMap<u64, Vec<&str>>| places.values().filter(|bots| bots.contains(&"b")).count();
    assert!((100..700).contains(&left(&before)), "{} have left", left(&before));
    for fp in 301..=1_000 {
        let bots = &before[&fp];
        let whole = if fp % 5 == 0 { vec!["a", "b"] } else { vec!["b"] };
        assert!(*bots == ["a"] || *bots == whole, "{fp}: {bots:?}");
    }

    // Asked again, it is completed; only copies can come twice.
    let appended = store.hand_over(asked).await.unwrap();
    drop(store);
    let (_store, after) = places(&h).await;
    let twice: usize = before.iter().filter(|(_, bots)| **bots == ["a", "b"]).count();
    for fp in 301..=1_000 {
        let mut bots = after[&fp].clone();
        bots.dedup();
        assert_eq!(bots, if fp % 5 == 0 { vec!["a", "b"] } else { vec!["b"] }, "{fp}");
    }
    assert_eq!(appended as usize, 700 - left(&before) + twice);
    assert_eq!(h.counters("a").await.0.superseded, 300 + 560);
}
