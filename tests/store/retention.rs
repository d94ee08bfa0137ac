//! Clean-up.

use alarmbell::model::{How, Status};
use alarmbell::store::{Effect, MessageQuery, Retention, Store, ToldState};

use crate::harness::{Harness, NOW, begin, begun, dead_letter, message_id, outcome, tell, told_state, webhook};

const EVERYTHING: Retention =
    Retention { history_before_ms: NOW * 2, resolved_before_ms: NOW * 2, attempts_before_ms: NOW * 2 };
const NOTHING: Retention = Retention { history_before_ms: 0, resolved_before_ms: 0, attempts_before_ms: 0 };

/// Cleans until there is no more; returns the number of steps.
async fn clean(store: &dyn Store, retention: Retention) -> u32 {
    let mut steps = 1;
    while store.clean(retention).await.unwrap() {
        steps += 1;
        assert!(steps < 1_000, "it never ends");
    }
    steps
}

pub(crate) async fn old_things_go_in_steps(h: Harness) {
    let (store, _, _) = h.start().await;
    let fingerprints: Vec<u64> = (1..=1_302).collect();
    store.append(webhook(&["a"], &fingerprints)).await.unwrap();
    let told = |status, told_ms, accepted_ms| ToldState { status, told_ms, accepted_ms, ..told_state(0) };
    let attempt = begun(&*store, begin("a", "r", 1)).await;
    let mut states = vec![
        told(Status::Firing, 50, 99),
        told(Status::Firing, 50, 100),
        told(Status::Firing, 100, 50),
        told(Status::Resolved, 199, 199),
        told(Status::Resolved, 200, 0),
    ];
    states.resize(1_300, told(Status::Resolved, 10, 10));
    let states = (1_u64..)
        .zip(states)
        .map(|(n, state)| {
            let state = ToldState { fingerprint: alarmbell::model::Fingerprint(n), ..state };
            (n.cast_signed(), state, How::Named)
        })
        .collect();
    store.finish(outcome("a", "r", 1, attempt, Effect::Told(states))).await.unwrap();
    store.finish(outcome("a", "r", 3, 0, Effect::Dead(vec![dead_letter(1_302, 2)]))).await.unwrap();
    tell(&*store, "a", 2, &[1_301], How::Named).await;

    let steps = clean(&*store, NOTHING).await;
    assert!(steps >= 3, "1,301 told states were looked at in {steps} steps");
    assert_eq!(h.audit().await.told, 1_301);

    clean(&*store, Retention { history_before_ms: 100, resolved_before_ms: 200, attempts_before_ms: 0 }).await;
    assert_eq!(h.audit().await.told, 4);
    assert_eq!(h.audit().await.attempts, 2);

    // Message 1 began at NOW + 1, the second at NOW + 2; their attempts ended 1,000 later, the letter died at 1,003.
    let history = Retention { history_before_ms: NOW + 2, resolved_before_ms: 0, attempts_before_ms: NOW + 1_002 };
    clean(&*store, history).await;
    let left = store.messages(MessageQuery { limit: 9, ..MessageQuery::default() }).await.unwrap().rows;
    assert_eq!(left.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), [message_id(2)]);
    assert_eq!(h.audit().await.attempts, 1);
    clean(&*store, Retention { history_before_ms: NOW + 1_003, ..history }).await;
    assert_eq!(store.dead_letter_counts().await.unwrap(), [("a".into(), 1)]);
    clean(&*store, EVERYTHING).await;
    assert!(store.dead_letter_counts().await.unwrap().is_empty());
    assert_eq!((h.audit().await.told, h.audit().await.attempts), (0, 0));
    assert_eq!(clean(&*store, EVERYTHING).await, 1);
}

pub(crate) async fn open_messages_stay(h: Harness) {
    let (store, _, _) = h.start().await;
    begun(&*store, begin("a", "r1", 1)).await;
    let attempt = begun(&*store, begin("a", "r2", 2)).await;
    store.finish(outcome("a", "r2", 2, attempt, Effect::Kept { open: true })).await.unwrap();
    clean(&*store, EVERYTHING).await;
    drop(store);
    let (store, _, images) = h.start().await;
    assert_eq!(images["a"].open.len(), 2);
    // An attempt that was cleaned away is not given out again.
    let mut next = begin("a", "r2", 3);
    next.last_known = attempt;
    assert!(begun(&*store, next).await > attempt);
}

pub(crate) async fn what_waits_stays(h: Harness) {
    let (store, seen, _) = h.start().await;
    for n in 0..600 {
        store.append(webhook(&["a"], &[n])).await.unwrap();
    }
    clean(&*store, EVERYTHING).await;
    assert_eq!(h.counters("a").await.1, 600);
    assert_eq!(h.audit().await.bodies, 600);
    drop(store);
    let (store, again, _) = h.start().await;
    assert_eq!(again.of("a"), seen.of("a"));
    clean(&*store, EVERYTHING).await;
    assert_eq!(h.audit().await.bodies, 600);
}

pub(crate) async fn orphans_of_a_crash_are_swept(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1])).await.unwrap();
    drop(store);
    h.plant_orphan().await;
    let (store, _, _) = h.start().await;
    clean(&*store, NOTHING).await;
    // The audit holds that every body has a head.
    assert_eq!(h.audit().await.bodies, 1);
}
