//! Dead letters, and bots that are gone.

use alarmbell::model::{Fingerprint, HeadFlags, How, Notification};
use alarmbell::store::{Append, Counters, Effect, Store, StoreError};

use crate::harness::{
    Harness, NOW, begin, begun, body, dead_letter, message_id, new_head, outcome, told_alert, webhook,
};

async fn kill(store: &dyn Store, bot: &str, n: u8, pos: i64, fingerprint: u64) {
    let effect = Effect::Dead(vec![dead_letter(pos, fingerprint)]);
    store.finish(outcome(bot, "r", n, 0, effect)).await.unwrap();
}

pub(crate) async fn dead_letters_are_listed_counted_and_deleted(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a", "b"], &[1, 2, 3])).await.unwrap();
    for (n, bot, pos) in [(1, "a", 1), (2, "a", 2), (3, "b", 1), (4, "a", 3)] {
        kill(&*store, bot, n, pos, pos.cast_unsigned()).await;
    }
    let page = store.dead_letters(None, 3, None).await.unwrap();
    let letters = page.rows;
    assert_eq!(page.next, Some(letters[2].id));
    assert_eq!(letters.iter().map(|letter| letter.at_ms).collect::<Vec<_>>(), [NOW + 1_004, NOW + 1_003, NOW + 1_002]);
    assert_eq!((&*letters[1].bot, &*letters[1].reason, &letters[1].alert), ("b", "sensitive words", &told_alert(1)));
    let rest = store.dead_letters(None, 3, page.next).await.unwrap();
    assert_eq!((rest.rows.len(), rest.next), (1, None));
    let all = store.dead_letters(None, 4, None).await.unwrap();
    assert_eq!((all.rows.len(), all.next), (4, None), "a full page may be the last");
    assert_eq!(store.dead_letters(Some("a".to_owned()), 9, None).await.unwrap().rows.len(), 3);
    assert_eq!(store.dead_letters(Some("none".to_owned()), 9, None).await.unwrap().rows.len(), 0);
    assert_eq!(store.dead_letter_counts().await.unwrap(), [("a".into(), 3), ("b".into(), 1)]);

    store.delete_dead_letter(letters[0].id).await.unwrap();
    assert!(matches!(store.delete_dead_letter(letters[0].id).await, Err(StoreError::NotFound)));
    assert_eq!(store.dead_letter_counts().await.unwrap(), [("a".into(), 2), ("b".into(), 1)]);
    // It stays dead in the proof.
    assert_eq!(h.counters("a").await.0.dead, 3);
}

pub(crate) async fn a_dead_letter_is_replayed(h: Harness) {
    let (store, seen, _) = h.start().await;
    store.append(webhook(&["a"], &[1, 2])).await.unwrap();
    kill(&*store, "a", 1, 1, 1).await;
    kill(&*store, "a", 2, 2, 2).await;
    let letters = store.dead_letters(None, 9, None).await.unwrap().rows;
    store.replay_dead_letter(letters[1].id, None, NOW + 50).await.unwrap();
    store.replay_dead_letter(letters[0].id, Some("new".into()), NOW + 51).await.unwrap();
    assert!(matches!(store.replay_dead_letter(letters[0].id, None, NOW).await, Err(StoreError::NotFound)));
    assert!(store.dead_letters(None, 9, None).await.unwrap().rows.is_empty());

    let head = *seen.of("a").last().unwrap();
    assert_eq!((head.pos, head.idx, head.fingerprint, head.accepted_ms), (3, 0, Fingerprint(1), NOW + 50));
    assert_eq!((head.flags, head.severity, head.group), (HeadFlags(HeadFlags::REPLAY), 4, u64::MAX - 9));
    assert_eq!(&*store.via(head.via).await.unwrap(), "policy:dead");
    assert_eq!(&*store.bodies(vec![head.body]).await.unwrap()[0].body, body(&["alert1"]).as_bytes());
    assert_eq!(seen.positions("new"), [1]);
    let counters = Counters { accepted: 3, dead: 2, ..Counters::default() };
    assert_eq!(h.counters("a").await, (counters, 1));
    assert_eq!(h.counters("new").await.1, 1);
}

pub(crate) async fn rehoming_moves_all_heads_in_steps(h: Harness) {
    let (store, seen, _) = h.start().await;
    store.append(webhook(&["b"], &[9])).await.unwrap();
    let fingerprints: Vec<u64> = (1..=450).collect();
    store.append(webhook(&["a"], &fingerprints)).await.unwrap();
    store.superseded("a".into(), vec![1]).await.unwrap();
    let to = vec!["b".into(), "c".into(), "b".into(), "a".into()];
    assert_eq!(store.rehome("a".into(), to, NOW).await.unwrap(), 449);
    assert_eq!(h.counters("a").await, (Counters { accepted: 450, superseded: 450, ..Counters::default() }, 0));
    assert_eq!(h.counters("b").await.1, 450);
    assert_eq!(h.counters("c").await.1, 449);
    assert_eq!(seen.positions("b"), (1..=450).collect::<Vec<i64>>());
    let (from, moved) = (seen.of("a")[1], seen.of("c")[0]);
    assert_eq!(alarmbell::model::Head { pos: 1, ..from }, moved);
    assert_eq!(h.audit().await.bodies, 2);
    assert_eq!(store.rehome("a".into(), vec!["b".into()], NOW).await.unwrap(), 0);
}

pub(crate) async fn rehoming_without_a_target_makes_dead_letters(h: Harness) {
    let (store, seen, _) = h.start().await;
    let names: Vec<String> = (0..300).map(|n| format!("alert{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut heads: Vec<_> = (0..300).map(|n| new_head("a", n, u64::from(n))).collect();
    // Beyond the body's alerts.
    heads.push(new_head("a", 300, 300));
    store.append(Append { received_ms: NOW, body: body(&names).into(), heads }).await.unwrap();
    let unreadable = Append { received_ms: NOW, body: "no JSON".into(), heads: vec![new_head("a", 0, 301)] };
    store.append(unreadable).await.unwrap();
    assert_eq!(store.rehome("a".into(), vec![], NOW + 5).await.unwrap(), 302);
    assert_eq!(h.counters("a").await, (Counters { accepted: 302, dead: 302, ..Counters::default() }, 0));
    assert_eq!(store.dead_letter_counts().await.unwrap(), [("a".into(), 302)]);

    let letters = store.dead_letters(None, 1_000, None).await.unwrap().rows;
    assert_eq!(letters[0].alert.fingerprint, Fingerprint(301));
    assert!(letters[0].alert.labels.is_empty());
    let letter = &letters[3];
    assert_eq!((letter.at_ms, letter.alert.how, &*letter.alert.severity), (NOW + 5, How::Named, "critical"));
    assert_eq!((&*letter.alert.labels["alertname"], &*letter.alert.summary), ("alert298", "alert298 is down"));

    store.replay_dead_letter(letter.id, Some("b".into()), NOW + 6).await.unwrap();
    let head = seen.of("b")[0];
    let stored = store.bodies(vec![head.body]).await.unwrap();
    let read = Notification::parse(&stored[0].body).unwrap();
    assert_eq!(read.alerts.len(), 1);
    assert_eq!(read.alerts[0].name(), "alert298");
    assert_eq!(read.receiver, "ops");
}

pub(crate) async fn rehoming_ends_open_messages(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1])).await.unwrap();
    begun(&*store, begin("a", "r", 1)).await;
    store.rehome("a".into(), vec!["b".into()], NOW + 5).await.unwrap();
    assert_eq!(store.message(&message_id(1)).await.unwrap().verdict, "unknown_outcome");
    assert_eq!(store.robot("r", 0).await.unwrap().1[0].ended_ms, Some(NOW + 5));
    drop(store);
    assert!(h.start().await.2["a"].open.is_empty());
}

pub(crate) async fn rehoming_to_itself_changes_nothing(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a"], &[1])).await.unwrap();
    assert_eq!(store.rehome("a".into(), vec!["a".into()], NOW).await.unwrap(), 0);
    assert_eq!(h.counters("a").await, (Counters { accepted: 1, ..Counters::default() }, 1));
}

pub(crate) async fn fallbacks_are_remembered(h: Harness) {
    let (store, _, _) = h.start().await;
    assert_eq!(store.fallback_of("a").await.unwrap(), None);
    store.remember_fallbacks(vec![("a".into(), Some("b".into())), ("b".into(), None)]).await.unwrap();
    drop(store);
    let (store, _, _) = h.start().await;
    assert_eq!(store.fallback_of("a").await.unwrap().as_deref(), Some("b"));
    assert_eq!(store.fallback_of("b").await.unwrap(), None);
    // A bot that is not named keeps its own: it may be gone from the config by now.
    store.remember_fallbacks(vec![("b".into(), Some("c".into()))]).await.unwrap();
    assert_eq!(store.fallback_of("a").await.unwrap().as_deref(), Some("b"));
    store.remember_fallbacks(vec![("a".into(), None)]).await.unwrap();
    assert_eq!(store.fallback_of("a").await.unwrap(), None);
}
