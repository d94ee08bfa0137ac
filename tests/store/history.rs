//! What people look at.

use std::collections::BTreeSet;
use std::sync::Arc;

use alarmbell::model::{HeadFlags, How, Kind, Status};
use alarmbell::store::{
    Append, Counters, DeliveryPage, DeliveryQuery, DeliveryState, Effect, MessageQuery, MessageRow, NewHead, Store,
    StoreError,
};

use crate::harness::{
    Harness, NOW, begin, begun, dead_letter, message_id, new_head, outcome, tell, told_alert, webhook,
};

async fn send(store: &dyn Store, bot: &str, n: u8, text: &str, verdict: &'static str) {
    let robot = format!("robot {n}");
    let mut start = begin(bot, &robot, n);
    start.text = text.to_owned();
    let attempt = begun(store, start).await;
    let mut end = outcome(bot, &robot, n, attempt, Effect::Kept { open: false });
    end.verdict = verdict;
    end.reason = if verdict == "delivered" { String::new() } else { "it said no".to_owned() };
    store.finish(end).await.unwrap();
}

fn all() -> MessageQuery {
    MessageQuery { limit: 1_000, ..MessageQuery::default() }
}

async fn texts(store: &dyn Store, query: MessageQuery) -> Vec<String> {
    store.messages(query).await.unwrap().rows.into_iter().map(|row| row.text).collect()
}

pub(crate) async fn messages_are_listed_newest_first(h: Harness) {
    let (store, _, _) = h.start().await;
    for n in 1..=7 {
        send(&*store, "a", n, &format!("text {n}"), "delivered").await;
    }
    let mut query = MessageQuery { limit: 3, ..MessageQuery::default() };
    let mut pages = Vec::new();
    loop {
        let page = store.messages(query.clone()).await.unwrap();
        pages.push(page.rows.iter().map(|row| row.text.clone()).collect::<Vec<_>>());
        query.after = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec!["text 7", "text 6", "text 5"], vec!["text 4", "text 3", "text 2"], vec!["text 1"]]);
    // A limit outside its range is brought into it.
    assert_eq!(store.messages(MessageQuery::default()).await.unwrap().rows.len(), 1);
    // A page that is just full leads on only when there is more of what was asked for.
    let exact = MessageQuery { q: Some("text 7".to_owned()), limit: 1, ..MessageQuery::default() };
    assert_eq!(store.messages(exact).await.unwrap().next, None);
    assert_eq!(store.messages(MessageQuery { limit: 7, ..MessageQuery::default() }).await.unwrap().next, None);
    let page = store.messages(MessageQuery { limit: 6, ..MessageQuery::default() }).await.unwrap();
    assert_eq!(page.next, Some(page.rows[5].seq));
}

pub(crate) async fn messages_are_filtered(h: Harness) {
    let (store, _, _) = h.start().await;
    for (n, bot, verdict) in [(1, "a", "delivered"), (2, "b", "rejected"), (3, "a", "rejected"), (4, "a", "retry")] {
        send(&*store, bot, n, &format!("text {n}"), verdict).await;
    }
    let store = &*store;
    let bot = |name: &str| MessageQuery { bot: Some(name.to_owned()), ..all() };
    let verdict = |word: &str| MessageQuery { verdict: Some(word.to_owned()), ..all() };
    assert_eq!(texts(store, bot("b")).await, ["text 2"]);
    assert_eq!(texts(store, bot("none")).await, [""; 0]);
    assert_eq!(texts(store, verdict("rejected")).await, ["text 3", "text 2"]);
    assert_eq!(texts(store, MessageQuery { since_ms: Some(NOW + 3), ..all() }).await, ["text 4", "text 3"]);
    assert_eq!(texts(store, MessageQuery { until_ms: Some(NOW + 3), ..all() }).await, ["text 2", "text 1"]);
    let narrow = MessageQuery {
        since_ms: Some(NOW + 2),
        until_ms: Some(NOW + 4),
        verdict: Some("rejected".to_owned()),
        q: Some("TEXT".to_owned()),
        ..bot("a")
    };
    assert_eq!(texts(store, narrow).await, ["text 3"]);
    assert_eq!(texts(store, MessageQuery { limit: 1, ..verdict("delivered") }).await, ["text 1"]);
}

pub(crate) async fn search_ignores_case_and_knows_cjk(h: Harness) {
    let (store, _, _) = h.start().await;
    for (n, text) in [(1, "磁盘空间不足 DB-1"), (2, "Straße ÄRGER"), (3, "100%_sure")] {
        send(&*store, "a", n, text, "delivered").await;
    }
    for (q, found) in
        [("空间", 1), ("db-1", 1), ("ärger", 1), ("STRASSE", 0), ("%", 1), ("_s", 1), ("磁盘不足", 0), ("", 3)]
    {
        let query = MessageQuery { q: Some(q.to_owned()), ..all() };
        assert_eq!(texts(&*store, query).await.len(), found, "{q}");
    }
}

pub(crate) async fn messages_are_found_by_id(h: Harness) {
    let (store, _, _) = h.start().await;
    send(&*store, "a", 4, "text", "rejected").await;
    let row = store.message(&message_id(4)).await.unwrap();
    let expected = MessageRow {
        seq: row.seq,
        id: message_id(4),
        bot: "a".to_owned(),
        at_ms: NOW + 4,
        verdict: "rejected".to_owned(),
        reason: "it said no".to_owned(),
        attempts: 1,
        kind: Kind::Single,
        text: "text".to_owned(),
        alerts: vec![told_alert(4)],
        left_out: 0,
    };
    assert_eq!(format!("{row:?}"), format!("{expected:?}"));
    assert!(matches!(store.message(&message_id(5)).await, Err(StoreError::NotFound)));
}

async fn every_page(store: &dyn Store, query: DeliveryQuery) -> Vec<String> {
    let mut lines = Vec::new();
    let mut query = query;
    loop {
        let DeliveryPage { rows, next } = store.deliveries(query.clone()).await.unwrap();
        assert!(rows.len() <= query.limit as usize);
        for row in rows {
            let state = serde_json::to_value(row.state).unwrap();
            let message = row.message.as_deref().map_or("-", |id| &id[..2]);
            lines.push(format!("{} {} {} {message}", row.bot, row.fingerprint.0, state.as_str().unwrap()));
        }
        match next {
            Some(next) => query.after = Some(next),
            None => return lines,
        }
    }
}

pub(crate) async fn deliveries_are_paged_over_all_states(h: Harness) {
    let (store, _, _) = h.start().await;
    store.append(webhook(&["a", "b"], &[1, 2, 3, 4])).await.unwrap();
    tell(&*store, "a", 1, &[1, 2], How::Named).await;
    tell(&*store, "b", 2, &[1], How::Counted).await;
    let dead = Effect::Dead(vec![dead_letter(2, 2), dead_letter(3, 3)]);
    store.finish(outcome("b", "r", 3, 0, dead)).await.unwrap();
    let store = &*store;
    let everything = [
        "a 3 waiting -",
        "a 4 waiting -",
        "b 4 waiting -",
        "a 1 told 01",
        "a 2 told 01",
        "b 1 told 02",
        "b 2 dead -",
        "b 3 dead -",
    ];
    for limit in 1..=9 {
        let query = DeliveryQuery { limit, ..DeliveryQuery::default() };
        assert_eq!(every_page(store, query.clone()).await, everything, "limit {limit}");
        for bot in ["a", "b", "none"] {
            let of_bot: Vec<_> = everything.iter().filter(|line| line.starts_with(&format!("{bot} "))).collect();
            let query = DeliveryQuery { bot: Some(bot.to_owned()), ..query.clone() };
            assert_eq!(every_page(store, query).await.iter().collect::<Vec<_>>(), of_bot, "{bot}, limit {limit}");
        }
        let states = vec![DeliveryState::Dead, DeliveryState::Waiting];
        let some: BTreeSet<_> = every_page(store, DeliveryQuery { states, ..query }).await.into_iter().collect();
        assert_eq!(some.len(), 5);
        assert!(some.iter().all(|line| !line.contains("told")));
    }
    let foreign = DeliveryQuery { after: Some("x".to_owned()), ..DeliveryQuery::default() };
    assert!(matches!(store.deliveries(foreign).await, Err(StoreError::NotFound)));
}

pub(crate) async fn noted_ends_wait_for_nobody(h: Harness) {
    let (store, seen, _) = h.start().await;
    let silent = |fp| NewHead {
        status: Status::Resolved,
        flags: HeadFlags(HeadFlags::SILENT | HeadFlags::TRUNCATED),
        ..new_head("a", 0, fp)
    };
    // The flag alone says nothing: such a chat is told what fires.
    let firing = NewHead { flags: HeadFlags(HeadFlags::SILENT), ..new_head("a", 0, 2) };
    let heads = vec![silent(1), firing, silent(3), new_head("a", 0, 4)];
    store.append(Append { heads, ..webhook(&["a"], &[1]) }).await.unwrap();
    let lines = |store: Arc<dyn Store>, limit| async move {
        every_page(&*store, DeliveryQuery { limit, ..DeliveryQuery::default() }).await
    };
    for limit in 1..4 {
        assert_eq!(lines(store.clone(), limit).await, ["a 2 waiting -", "a 4 waiting -"]);
    }
    assert_eq!(store.size().await.unwrap().waiting, 2);
    // Their rows are there, and heard of at a start.
    assert_eq!(h.counters("a").await.1, 4);
    drop(store);
    let (store, again, _) = h.start().await;
    assert_eq!(again.of("a"), seen.of("a"));
    assert_eq!(store.size().await.unwrap().waiting, 2);

    store.superseded("a".into(), vec![1, 2]).await.unwrap();
    assert_eq!(store.size().await.unwrap().waiting, 1);
    // Nobody was to be told of it, so nobody is left to replay it for.
    assert_eq!(store.rehome("a".into(), vec![], NOW).await.unwrap(), 2);
    assert_eq!(store.dead_letter_counts().await.unwrap(), [("a".into(), 1)]);
    assert_eq!(h.counters("a").await.0, Counters { accepted: 4, superseded: 3, dead: 1, ..Counters::default() });
    assert_eq!(store.size().await.unwrap().waiting, 0);
}
