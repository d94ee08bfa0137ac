//! Attempts, outcomes, robots.

use alarmbell::model::{Fingerprint, How, Status};
use alarmbell::store::{AttemptTimes, Begun, Counters, Effect, RobotState, ToldState};

use crate::harness::{Harness, NOW, begin, begun, dead_letter, message_id, outcome, tell, told_state, webhook};

pub(crate) async fn an_attempt_begins_and_ends(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1])).await.unwrap();
    let attempt = begun(&*store, begin("a", "r", 1)).await;
    let open = AttemptTimes { id: attempt, started_ms: NOW + 1, ended_ms: None };
    assert_eq!(store.robot("r", i64::MAX).await.unwrap(), (RobotState::default(), vec![open]));
    let row = store.message(&message_id(1)).await.unwrap();
    assert_eq!((&*row.verdict, row.attempts, row.at_ms), ("", 1, NOW + 1));

    let mut end = outcome("a", "r", 1, attempt, Effect::Told(vec![(1, told_state(1), How::Named)]));
    end.robot_state = RobotState {
        paused_until_ms: 1,
        failures: 2,
        failing_since_ms: 3,
        last_verdict: "retry".to_owned(),
        last_verdict_ms: 4,
        reason: "why".to_owned(),
        remedy: "do".to_owned(),
    };
    store.finish(end.clone()).await.unwrap();
    let ended = AttemptTimes { ended_ms: Some(NOW + 1_001), ..open };
    assert_eq!(store.robot("r", NOW + 1_000).await.unwrap(), (end.robot_state.clone(), vec![ended]));
    assert_eq!(store.robot("r", NOW + 1_001).await.unwrap(), (end.robot_state, vec![]));
    assert_eq!(store.message(&message_id(1)).await.unwrap().verdict, "delivered");
    let counters = Counters { accepted: 1, told_named: 1, ..Counters::default() };
    assert_eq!(h.counters("a").await, (counters, 0));
    drop(store);
    assert!(h.start().await.2["a"].open.is_empty());
}

pub(crate) async fn others_attempts_are_told_first(h: Harness) {
    let (store, _, _) = h.start().await;
    let first = begun(&*store, begin("a", "r", 1)).await;
    store.finish(outcome("a", "r", 1, first, Effect::Kept { open: false })).await.unwrap();
    let Begun::Others(others) = store.begin(begin("a", "r", 2)).await.unwrap() else { panic!("begun") };
    assert_eq!(others, [AttemptTimes { id: first, started_ms: NOW + 1, ended_ms: Some(NOW + 1_001) }]);
    assert!(store.message(&message_id(2)).await.is_err(), "a refused attempt leaves traces");

    let mut next = begin("a", "r", 2);
    next.last_known = first;
    let second = begun(&*store, next).await;
    assert!(second > first);
    // Another robot's attempts do not matter.
    begun(&*store, begin("a", "other", 3)).await;
}

pub(crate) async fn an_unended_attempt_is_open_after_a_restart(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1])).await.unwrap();
    let attempt = begun(&*store, begin("a", "r", 1)).await;
    drop(store);
    let (_store, _, images) = h.start().await;
    let [open] = &images["a"].open[..] else { panic!("{:?}", images["a"].open) };
    let begin = begin("a", "r", 1);
    let left_open = h.ends_attempts_at_open().is_none().then_some(attempt);
    assert_eq!((&open.id, open.attempt, &*open.robot), (&begin.message, left_open, "r"));
    assert_eq!((open.kind, open.group, open.attempts), (begin.kind, begin.group, 1));
    assert_eq!((&open.body, &open.covers), (&begin.body, &begin.covers));
}

pub(crate) async fn an_unknown_outcome_keeps_its_message_open(h: Harness) {
    let (store, _, _) = h.start().await;
    for (n, open) in [(1, true), (2, false), (3, true)] {
        let attempt = begun(&*store, begin("a", &format!("r{n}"), n)).await;
        store.finish(outcome("a", &format!("r{n}"), n, attempt, Effect::Kept { open })).await.unwrap();
    }
    drop(store);
    let (store, _, images) = h.start().await;
    let open: Vec<_> = images["a"].open.iter().map(|open| (open.id.clone(), open.attempt)).collect();
    assert_eq!(open, [(message_id(1), None), (message_id(3), None)]);
    assert_eq!(images["a"].open[0].body, begin("a", "r1", 1).body);
    // Given up without an attempt.
    store.finish(outcome("a", "r1", 1, 0, Effect::Kept { open: false })).await.unwrap();
    drop(store);
    assert_eq!(h.start().await.2["a"].open.len(), 1);
}

pub(crate) async fn a_resend_keeps_text_and_alerts(h: Harness) {
    let (store, _, _) = h.start().await;
    let first = begun(&*store, begin("a", "r", 1)).await;
    store.finish(outcome("a", "r", 1, first, Effect::Kept { open: true })).await.unwrap();
    let before = store.message(&message_id(1)).await.unwrap();
    let mut again = begin("a", "r", 1);
    (again.text, again.alerts, again.last_known, again.started_ms) = (String::new(), Vec::new(), first, NOW + 99);
    begun(&*store, again).await;
    let after = store.message(&message_id(1)).await.unwrap();
    assert_eq!((after.seq, after.attempts, after.at_ms, &*after.verdict), (before.seq, 2, NOW + 99, ""));
    assert_eq!((after.text, after.alerts), (before.text, before.alerts));
}

pub(crate) async fn a_later_outcome_ends_earlier_attempts(h: Harness) {
    let (store, _, _) = h.start().await;
    let first = begun(&*store, begin("a", "r", 1)).await;
    drop(store);
    let (store, _, _) = h.start().await;
    let mut again = begin("a", "r", 1);
    again.last_known = first;
    let second = begun(&*store, again).await;
    store.finish(outcome("a", "r", 1, second, Effect::Told(vec![]))).await.unwrap();
    let (_, attempts) = store.robot("r", 0).await.unwrap();
    let ended: Vec<_> = attempts.iter().map(|attempt| (attempt.id, attempt.ended_ms)).collect();
    let first_ended = h.ends_attempts_at_open().unwrap_or(NOW + 1_001);
    assert_eq!(ended, [(first, Some(first_ended)), (second, Some(NOW + 1_001))]);
}

pub(crate) async fn told_states_are_upserted(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a", "b"], &[1, 2])).await.unwrap();
    store.append(webhook(&["a"], &[1])).await.unwrap();
    tell(&*store, "a", 1, &[1, 2], How::Named).await;
    let resolved = ToldState {
        fingerprint: Fingerprint(1),
        group: 3,
        status: Status::Resolved,
        starts_ms: 4,
        ends_ms: 5,
        accepted_ms: 6,
        told_ms: 7,
    };
    let attempt = begun(&*store, begin("a", "r", 9)).await;
    let effect = Effect::Told(vec![(3, resolved, How::Counted)]);
    store.finish(outcome("a", "r", 9, attempt, effect)).await.unwrap();
    let counters = Counters { accepted: 3, told_named: 2, told_counted: 1, ..Counters::default() };
    assert_eq!(h.counters("a").await, (counters, 0));
    assert_eq!(h.counters("b").await.1, 2);
    drop(store);
    let mut told = h.start().await.2["a"].told.clone();
    told.sort_by_key(|told| told.fingerprint);
    assert_eq!(told, [resolved, told_state(2)]);
}

pub(crate) async fn heads_are_counted_once(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1, 2, 3, 4, 5])).await.unwrap();
    store.superseded("a".into(), vec![2, 2, 77, 0, -1, i64::MAX]).await.unwrap();
    // 2 was superseded while its message was in flight: told, but counted already.
    tell(&*store, "a", 1, &[1, 2], How::Named).await;
    let attempt = begun(&*store, begin("a", "r", 2)).await;
    let mut end = outcome("a", "r", 2, attempt, Effect::Dead(vec![dead_letter(1, 1), dead_letter(4, 4)]));
    end.superseded = vec![3, 1];
    store.finish(end).await.unwrap();
    let counters = Counters { accepted: 5, told_named: 1, superseded: 2, dead: 1, told_counted: 0 };
    assert_eq!(h.counters("a").await, (counters, 1));
    assert_eq!(store.dead_letters(None, 10, None).await.unwrap().rows.len(), 1);
}

pub(crate) async fn large_outcomes_come_in_steps(h: Harness) {
    let (store, _, _) = h.start().await;
    let fingerprints: Vec<u64> = (1..=1_700).collect();
    store.append(webhook(&["a"], &fingerprints)).await.unwrap();
    store.append(webhook(&["a"], &fingerprints)).await.unwrap();
    let attempt = begun(&*store, begin("a", "r", 1)).await;
    let told = (1_701_i64..=3_400).map(|pos| (pos, told_state(pos.cast_unsigned()), How::Counted)).collect();
    let mut end = outcome("a", "r", 1, attempt, Effect::Told(told));
    end.superseded = (1..=1_699).collect();
    store.finish(end).await.unwrap();
    let counters = Counters { accepted: 3_400, told_counted: 1_700, superseded: 1_699, ..Counters::default() };
    assert_eq!(h.counters("a").await, (counters, 1));
    assert_eq!(store.message(&message_id(1)).await.unwrap().verdict, "delivered");
    assert_eq!(h.audit().await.told, 1_700);
}

pub(crate) async fn robots_are_remembered(h: Harness) {
    let (store, _, _) = h.start().await;
    assert_eq!(store.robot("none", 0).await.unwrap(), (RobotState::default(), vec![]));
    let state = RobotState { paused_until_ms: NOW, reason: "slow".to_owned(), ..RobotState::default() };
    store.set_robot("r", state.clone()).await.unwrap();
    drop(store);
    let (store, _, _) = h.start().await;
    assert_eq!(store.robot("r", 0).await.unwrap().0, state);
}

pub(crate) async fn a_notice_announces_dead_letters(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1, 2, 3])).await.unwrap();
    let dead = vec![dead_letter(1, 1), dead_letter(2, 2), dead_letter(3, 3)];
    store.finish(outcome("a", "r", 1, 0, Effect::Dead(dead))).await.unwrap();
    store.finish(outcome("a", "r", 2, 0, Effect::Announced(2))).await.unwrap();
    drop(store);
    let (store, _, images) = h.start().await;
    assert_eq!(images["a"].unannounced_dead, 1);
    assert_eq!(images["a"].counters.dead, 3);
    store.finish(outcome("a", "r", 3, 0, Effect::Announced(9))).await.unwrap();
    drop(store);
    assert_eq!(h.start().await.2["a"].unannounced_dead, 0);
}
