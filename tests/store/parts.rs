//! Messages that tell many alerts, and the storms they are told in.

use std::sync::Arc;

use alarmbell::model::{How, StormState, ToldAlert};
use alarmbell::store::{Begin, Effect, MessageQuery, Retention, Store, StoreError};

use crate::harness::{Harness, NOW, begin, begun, message_id, outcome, told_alert};

/// What nothing is older than, an hour-old clock at this time.
fn nothing_at(resolved_before_ms: i64) -> Retention {
    Retention { history_before_ms: 0, resolved_before_ms, attempts_before_ms: 0 }
}

async fn clean(store: &dyn Store, retention: Retention) -> u32 {
    let mut steps = 1;
    while store.clean(retention).await.unwrap() {
        steps += 1;
        assert!(steps < 1_000, "it never ends");
    }
    steps
}

fn alerts(fingerprints: impl IntoIterator<Item = u64>) -> Vec<ToldAlert> {
    let how = |fingerprint| if fingerprint % 3 == 0 { How::Named } else { How::Counted };
    fingerprints.into_iter().map(|fingerprint| ToldAlert { how: how(fingerprint), ..told_alert(fingerprint) }).collect()
}

fn digest(n: u8, own: u64, parts: u32) -> Begin {
    Begin { alerts: alerts(0..own), parts, ..begin("a", &format!("robot {n}"), n) }
}

async fn fingerprints(store: &dyn Store, n: u8) -> Vec<u64> {
    let row = store.message(&message_id(n)).await.unwrap();
    assert_eq!(row.left_out, 0);
    let listed = store.messages(MessageQuery { limit: 1_000, ..MessageQuery::default() }).await.unwrap().rows;
    let listed = listed.into_iter().find(|listed| listed.id == row.id).unwrap();
    assert_eq!(listed.alerts, row.alerts);
    row.alerts.iter().map(|alert| alert.fingerprint.0).collect()
}

async fn keep(store: &dyn Store, n: u8, part: u32, range: std::ops::Range<u64>) {
    store.keep_alerts(&message_id(n), part, alerts(range)).await.unwrap();
}

pub(crate) async fn parts_follow_a_messages_own_alerts(h: Harness) {
    let (store, _, _) = h.start().await;
    // In any order, and one again after a failure that nobody knows the outcome of.
    keep(&*store, 1, 0, 2..4).await;
    keep(&*store, 1, 2, 6..7).await;
    keep(&*store, 1, 1, 4..5).await;
    keep(&*store, 1, 1, 4..6).await;
    keep(&*store, 2, 0, 70..72).await;
    assert!(matches!(store.message(&message_id(1)).await, Err(StoreError::NotFound)));
    begun(&*store, digest(1, 2, 3)).await;
    begun(&*store, digest(2, 1, 1)).await;
    assert_eq!(fingerprints(&*store, 1).await, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(fingerprints(&*store, 2).await, [0, 70, 71]);
    let row = store.message(&message_id(1)).await.unwrap();
    assert_eq!(row.alerts, alerts(0..7));
    drop(store);
    let (store, _, _) = h.start().await;
    assert_eq!(fingerprints(&*store, 1).await, [0, 1, 2, 3, 4, 5, 6]);
}

pub(crate) async fn a_slice_says_what_the_whole_tells(h: Harness) {
    let (store, _, _) = h.start().await;
    keep(&*store, 1, 0, 3..7).await;
    keep(&*store, 1, 1, 7..7).await;
    keep(&*store, 1, 2, 7..10).await;
    begun(&*store, digest(1, 3, 3)).await;
    for skip in 0..12_u64 {
        for limit in 0..12_u32 {
            let slice = store.message_slice(&message_id(1), skip, limit).await.unwrap();
            let found: Vec<u64> = slice.row.alerts.iter().map(|alert| alert.fingerprint.0).collect();
            let expected: Vec<u64> = (0..10).skip(skip as usize).take(limit.max(1) as usize).collect();
            assert_eq!(found, expected, "{skip} {limit}");
            assert_eq!((slice.named, slice.counted), (4, 6));
            assert_eq!(slice.row.left_out, 10 - expected.len() as u64);
        }
    }
    let none = store.message_slice(&message_id(2), 0, 1).await;
    assert!(matches!(none, Err(StoreError::NotFound)));
}

pub(crate) async fn another_rendering_takes_the_place_of_the_parts(h: Harness) {
    let (store, _, _) = h.start().await;
    for part in 0..5 {
        let from = u64::from(part) * 10 + 10;
        keep(&*store, 1, part, from..from + 2).await;
    }
    let attempt = begun(&*store, digest(1, 1, 5)).await;
    let again = |text: &str, parts| Begin { text: text.to_owned(), parts, last_known: attempt, ..digest(1, 1, 0) };

    // The same bytes again, by a process that does not know what they tell.
    let resend = Begin { alerts: Vec::new(), robot: "r2".into(), ..again("", 0) };
    begun(&*store, resend).await;
    assert_eq!(fingerprints(&*store, 1).await, [0, 10, 11, 20, 21, 30, 31, 40, 41, 50, 51]);

    // Only the first parts are the new rendering's.
    begun(&*store, Begin { robot: "r3".into(), ..again("shorter", 2) }).await;
    assert_eq!(fingerprints(&*store, 1).await, [0, 10, 11, 20, 21]);

    keep(&*store, 1, 0, 5..6).await;
    begun(&*store, Begin { robot: "r4".into(), ..again("new", 1) }).await;
    assert_eq!(fingerprints(&*store, 1).await, [0, 5]);

    // Somebody else's attempt comes first: nothing is begun and nothing goes.
    let refused = store.begin(Begin { robot: "r4".into(), last_known: 0, ..again("new", 0) }).await.unwrap();
    assert!(matches!(refused, alarmbell::store::Begun::Others(_)));
    assert_eq!(fingerprints(&*store, 1).await, [0, 5]);
    begun(&*store, Begin { robot: "r5".into(), ..again("plain", 0) }).await;
    assert_eq!(fingerprints(&*store, 1).await, [0]);
}

pub(crate) async fn parts_go_with_their_message_in_steps(h: Harness) {
    let (store, _, _) = h.start().await;
    let large = |n: u64| ToldAlert { summary: "x".repeat(1 << 20), ..told_alert(n) };
    for part in 0..12 {
        store.keep_alerts(&message_id(1), part, vec![large(u64::from(part))]).await.unwrap();
    }
    keep(&*store, 2, 0, 1..3).await;
    for (n, parts) in [(1, 12), (2, 1)] {
        let attempt = begun(&*store, digest(n, 1, parts)).await;
        store.finish(outcome("a", &format!("robot {n}"), n, attempt, Effect::Told(vec![]))).await.unwrap();
    }
    assert_eq!(h.audit().await.parts, 13);
    // Message 1 began at NOW + 1.
    let old = Retention { history_before_ms: NOW + 2, ..nothing_at(0) };
    let mut left = Vec::new();
    while store.clean(old).await.unwrap() {
        left.push(h.audit().await.parts);
    }
    assert!(left.len() >= 3 && left.windows(2).all(|pair| pair[0] - pair[1] <= 5), "{left:?}");
    assert_eq!(h.audit().await.parts, 1);
    assert!(matches!(store.message(&message_id(1)).await, Err(StoreError::NotFound)));
    assert_eq!(fingerprints(&*store, 2).await, [0, 1, 2]);
}

pub(crate) async fn parts_that_were_never_begun_go_after_an_hour(h: Harness) {
    let (store, _, _) = h.start().await;
    keep(&*store, 1, 0, 0..2).await;
    keep(&*store, 1, 1, 2..4).await;
    keep(&*store, 2, 0, 0..2).await;
    begun(&*store, digest(2, 1, 1)).await;
    clean(&*store, nothing_at(NOW)).await;
    clean(&*store, nothing_at(NOW + 3_599_999)).await;
    assert_eq!(h.audit().await.parts, 3);
    // Somebody still works at it.
    keep(&*store, 1, 2, 4..6).await;
    clean(&*store, nothing_at(NOW + 3_600_000)).await;
    assert_eq!(h.audit().await.parts, 4);
    // A clock that was wrong does not keep them for ever.
    clean(&*store, nothing_at(NOW)).await;
    drop(store);
    let (store, _, _) = h.start().await;
    clean(&*store, nothing_at(NOW + 3_600_000)).await;
    assert_eq!(h.audit().await.parts, 1);
    assert_eq!(fingerprints(&*store, 2).await, [0, 0, 1]);

    // A rendering that was never begun, of a message that was: it goes with its message and not before.
    keep(&*store, 2, 0, 9..10).await;
    clean(&*store, nothing_at(NOW)).await;
    clean(&*store, nothing_at(NOW + 7_200_000)).await;
    assert_eq!(fingerprints(&*store, 2).await, [0, 9]);
    assert_eq!(clean(&*store, nothing_at(NOW + 7_200_000)).await, 1);
}

pub(crate) async fn a_message_with_too_many_alerts_says_how_many_are_left_out(h: Harness) {
    let (store, _, _) = h.start().await;
    let large = |n: u64| ToldAlert { summary: "x".repeat(8 << 20), ..told_alert(n) };
    for part in 0..6 {
        store.keep_alerts(&message_id(1), part, vec![large(u64::from(part)), told_alert(0)]).await.unwrap();
    }
    begun(&*store, digest(1, 1, 6)).await;
    begun(&*store, digest(2, 1, 0)).await;
    let row = store.message(&message_id(1)).await.unwrap();
    assert_eq!((row.alerts.len(), row.left_out), (1 + 2 * 4, 4));
    // And it fills a page alone.
    let page = |after| store.messages(MessageQuery { limit: 9, after, ..MessageQuery::default() });
    let first = page(None).await.unwrap();
    assert_eq!(first.rows.iter().map(|row| row.left_out).collect::<Vec<_>>(), [0, 4]);
    assert_eq!(first.next, None);
    begun(&*store, digest(3, 1, 0)).await;
    let filtered = MessageQuery { q: Some("message 3".to_owned()), limit: 1, ..MessageQuery::default() };
    assert_eq!(store.messages(filtered).await.unwrap().next, None);
    let first = page(Some(first.rows[0].seq)).await.unwrap();
    assert_eq!((first.rows.len(), first.next), (1, None));

    // All of it can be read, a slice at a time.
    let mut seen = 0;
    loop {
        let slice = store.message_slice(&message_id(1), seen, 100).await.unwrap();
        if slice.row.alerts.is_empty() {
            break;
        }
        seen += slice.row.alerts.len() as u64;
    }
    assert_eq!(seen, 13);
}

pub(crate) async fn a_storm_is_remembered_with_the_outcome(h: Harness) {
    let (store, _, images) = h.start().await;
    assert!(images.is_empty());
    let storm = |digests| StormState {
        since_ms: NOW,
        recent_ms: [0, NOW, NOW + 1, NOW + 2],
        digests,
        firing: u64::MAX >> 1,
        resolved: 3,
    };
    let end = |store: Arc<dyn Store>, bot: &'static str, n: u8, storm| async move {
        let robot = format!("robot {n}");
        let attempt = begun(&*store, begin(bot, &robot, n)).await;
        let outcome = outcome(bot, &robot, n, attempt, Effect::Told(vec![]));
        store.finish(alarmbell::store::Outcome { storm, ..outcome }).await.unwrap();
    };
    end(store.clone(), "a", 1, Some(storm(1))).await;
    end(store.clone(), "a", 2, Some(storm(2))).await;
    // None leaves it.
    end(store.clone(), "a", 3, None).await;
    end(store.clone(), "b", 4, None).await;
    drop(store);
    let (store, _, images) = h.start().await;
    assert_eq!((images["a"].storm, images["b"].storm), (Some(storm(2)), None));
    end(store.clone(), "a", 5, Some(StormState::default())).await;
    drop(store);
    assert_eq!(h.start().await.2["a"].storm, Some(StormState::default()));
}
