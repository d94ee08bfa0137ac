//! What is told: two at once, too late, twice, and with what the database can not hold.

use super::*;
use crate::clock::Clock;
use crate::model::{How, Kind, Labels};
use crate::store::{Effect, NewDeadLetter, ToldState};

async fn own(node: &Node, bots: &[&str]) {
    node.store.enlist(&names(bots)).await.unwrap();
    assert!(node.store.claim(&names(bots)).await.unwrap());
}

fn begin(bot: &str, n: u8, last_known: i64) -> Begin {
    Begin {
        bot: bot.into(),
        robot: "r".into(),
        message: MessageId::from_bytes([n; 16]),
        kind: Kind::Single,
        group: 1,
        body: "{}".into(),
        text: format!("message {n}"),
        covers: Vec::new(),
        alerts: Vec::new(),
        parts: 0,
        started_ms: SystemClock::new().now_ms(),
        last_known,
    }
}

async fn begun(node: &Node, start: Begin) -> i64 {
    match node.store.begin(start).await.unwrap() {
        Begun::Attempt(id) => id,
        Begun::Others(others) => panic!("{others:?}"),
    }
}

fn outcome(bot: &str, n: u8, attempt: i64, effect: Effect) -> Outcome {
    Outcome {
        bot: bot.into(),
        robot: "r".into(),
        message: MessageId::from_bytes([n; 16]),
        attempt,
        ended_ms: SystemClock::new().now_ms(),
        verdict: "delivered",
        reason: String::new(),
        robot_state: RobotState::default(),
        effect,
        superseded: Vec::new(),
        storm: None,
    }
}

fn told(positions: std::ops::RangeInclusive<i64>) -> Effect {
    let state = |pos: i64| ToldState {
        fingerprint: Fingerprint(pos.cast_unsigned()),
        group: 1,
        status: Status::Firing,
        starts_ms: 1,
        ends_ms: 0,
        accepted_ms: 5,
        told_ms: 6,
    };
    Effect::Told(positions.map(|pos| (pos, state(pos), How::Named)).collect())
}

/// Waits until somebody waits for a lock.
async fn until_waiting(place: &Place) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.number(waits).await == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_with_the_last_of_two_heads_that_go_at_once() {
    let Some(place) = Place::new().await else { return };
    let node = place.node().await;
    own(&node, &["a", "b"]).await;
    node.store.append(webhook(1, &["a", "b"])).await.unwrap();
    // Somebody tells what waits for a, and has not committed.
    let mut other = connect(&url_of(&place.server, &place.name)).await;
    let tx = other.transaction().await.unwrap();
    let a = node.store.inner.names.bot(&node.store.inner.db, "a").await.unwrap();
    let gone = heads::take(&tx, a, &[1]).await.unwrap();
    let mut books = books::Books::default();
    heads::drop_bodies(&tx, gone.iter().map(|gone| gone.body), &mut books).await.unwrap();

    let store = node.store.inner.clone();
    let second = tokio::spawn(async move { super::super::outcome::superseded(&store, "b", &[1]).await });
    until_waiting(&place).await;
    books.of(a).superseded += 1;
    books.settle(&tx, None).await.unwrap();
    tx.commit().await.unwrap();
    second.await.unwrap().unwrap();
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.heads").await, 0);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.bodies").await, 0);
    assert_eq!(place.number("SELECT sum(body_bytes)::bigint FROM alarmbell.bots").await, 0);
    place.end(vec![node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_a_bot_in_the_middle_writes_nothing() {
    let Some(place) = Place::new().await else { return };
    let node = place.node().await;
    own(&node, &["a"]).await;
    node.store.append(webhook(1, &["a"])).await.unwrap();
    let attempt = begun(&node, begin("a", 1, 0)).await;
    let rows = "SELECT (SELECT count(*) FROM alarmbell.heads) + 10 * (SELECT count(*) FROM alarmbell.messages WHERE open) \
         + 100 * (SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL) \
         + 1000 * (SELECT count(*) FROM alarmbell.told) + 10000 * (SELECT count(*) FROM alarmbell.messages)";
    assert_eq!(place.number(rows).await, 10_111);

    // The bot is taken over, and that is committed when the outcome is nearly written.
    for (round, expected) in [(0, 10_011), (1, 10_011)] {
        let mut thief = connect(&url_of(&place.server, &place.name)).await;
        let tx = thief.transaction().await.unwrap();
        tx.execute("UPDATE alarmbell.bots SET owner = 'other', fence = fence + 1", &[]).await.unwrap();
        let inner = node.store.inner.clone();
        let late = tokio::spawn(async move {
            if round == 0 {
                return super::super::outcome::finish(&inner, &outcome("a", 1, attempt, told(1..=1))).await;
            }
            attempts::begin(&inner, &begin("a", 2, attempt)).await.map(|_| ())
        });
        until_waiting(&place).await;
        tx.commit().await.unwrap();
        assert!(matches!(late.await.unwrap(), Err(StoreError::Fenced)));
        // Only the attempt's own time is written.
        assert_eq!(place.number(rows).await, expected, "round {round}");
        place.run("UPDATE alarmbell.bots SET owner = (SELECT id FROM alarmbell.replicas)").await;
    }
    // And whoever has it again under another fence can not end what began under the first.
    let again = node.store.finish(outcome("a", 1, attempt, told(1..=1))).await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");
    assert_eq!(place.number(rows).await, 10_011);
    place.end(vec![node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_behind_at_a_robot_ends_and_is_shown() {
    let Some(place) = Place::new().await else { return };
    let node = place.node().await;
    own(&node, &["a"]).await;
    let lost = begun(&node, begin("a", 1, 0)).await;
    // Another replica's attempt is not ours to end.
    place.run("INSERT INTO alarmbell.attempts VALUES (1, 99, 1, 5, NULL, NULL, 'other', 0)").await;
    place.run("UPDATE alarmbell.robots SET attempts = 99").await;
    let Begun::Others(others) = node.store.begin(begin("a", 1, 0)).await.unwrap() else { panic!("begun") };
    let ended: Vec<_> = others.iter().map(|other| (other.id, other.ended_ms.is_some())).collect();
    assert_eq!(ended, [(lost, true), (99, false)]);
    assert_eq!(begun(&node, begin("a", 1, 99)).await, 100);

    // After ten minutes nobody waits for it any more.
    let all = Retention { history_before_ms: 0, resolved_before_ms: 0, attempts_before_ms: 0 };
    while node.store.clean(all).await.unwrap() {}
    assert_eq!(place.number("SELECT ended_ms FROM alarmbell.attempts WHERE id = 99").await, 600_005);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL").await, 1);
    place.end(vec![node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_answer_was_lost_is_written_once() {
    let Some(place) = Place::new().await else { return };
    let node = place.node().await;
    own(&node, &["a"]).await;
    node.store.append(webhook(1, &["a"])).await.unwrap();
    place.run("UPDATE alarmbell.bots SET unannounced_dead = 5").await;
    let attempt = begun(&node, begin("a", 1, 0)).await;
    let notice = outcome("a", 1, attempt, Effect::Announced(2));
    for _ in 0..3 {
        node.store.finish(notice.clone()).await.unwrap();
    }
    assert_eq!(place.number("SELECT unannounced_dead FROM alarmbell.bots").await, 3);
    let attempt = begun(&node, begin("a", 2, attempt)).await;
    for _ in 0..3 {
        node.store.finish(outcome("a", 2, attempt, told(1..=1))).await.unwrap();
    }
    assert_eq!(place.number("SELECT told_named FROM alarmbell.bots").await, 1);
    place.end(vec![node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_is_refused() {
    let Some(place) = Place::new().await else { return };
    let node = place.node().await;
    own(&node, &["a"]).await;
    let mut append = webhook(1, &["a"]);
    append.heads[0].via = "policy:\0".into();
    node.store.append(append).await.unwrap();
    let nul = "x\0y".to_owned();
    let alert = ToldAlert {
        fingerprint: Fingerprint(1),
        status: Status::Firing,
        how: How::Named,
        severity: nul.clone(),
        labels: Labels::from([(nul.clone(), nul.clone())]),
        summary: nul.clone(),
        starts_ms: 0,
        ends_ms: 0,
    };
    let id = MessageId::from_bytes([1; 16]);
    node.store.keep_alerts(&id, 0, vec![alert.clone()]).await.unwrap();
    let start = Begin { text: nul.clone(), alerts: vec![alert.clone()], parts: 1, ..begin("a", 1, 0) };
    let attempt = begun(&node, Begin { robot: nul.as_str().into(), ..start }).await;
    let letter = NewDeadLetter {
        pos: 1,
        via: "policy:\0".to_owned(),
        group: 1,
        alert: alert.clone(),
        body: "\0".into(),
        reason: nul.clone(),
        severity: 0,
    };
    let mut end = outcome("a", 1, attempt, Effect::Dead(vec![letter]));
    end.robot = nul.as_str().into();
    end.reason = nul.clone();
    end.robot_state = RobotState { reason: nul.clone(), remedy: nul.clone(), ..RobotState::default() };
    node.store.finish(end).await.unwrap();

    let shown = "x\u{fffd}y";
    let row = node.store.message(&id).await.unwrap();
    assert_eq!((&*row.text, &*row.reason), (shown, shown));
    // JSON can hold it.
    assert_eq!(row.alerts, [alert.clone(), alert]);
    let (state, _) = node.store.robot(&nul, 0).await.unwrap();
    assert_eq!((&*state.reason, &*state.remedy), (shown, shown));
    for (q, found) in [("\0", 1), ("X\u{fffd}", 1), ("z", 0)] {
        let query = MessageQuery { q: Some(q.to_owned()), ..MessageQuery::default() };
        assert_eq!(node.store.messages(query).await.unwrap().rows.len(), found, "{q}");
    }
    for (verdict, bot) in [(Some(nul.clone()), None), (None, Some(nul.clone()))] {
        let none = MessageQuery { verdict, bot, ..MessageQuery::default() };
        assert!(node.store.messages(none).await.unwrap().rows.is_empty());
    }
    assert!(node.store.dead_letters(Some(nul.clone()), 9, None).await.unwrap().rows.is_empty());
    assert_eq!(node.store.fallback_of(&nul).await.unwrap(), None);
    let letters = node.store.dead_letters(None, 9, None).await.unwrap().rows;
    assert_eq!((letters.len(), &*letters[0].reason), (1, shown));
    let page = node.store.deliveries(DeliveryQuery { limit: 9, ..DeliveryQuery::default() }).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    place.end(vec![node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_takes_nothing_is_not_ready() {
    let Some(place) = Place::new().await else { return };
    let node = place.node().await;
    node.store.ready().await.unwrap();
    // As a full disk does, but not for everybody's.
    place.run("ALTER TABLE alarmbell.bodies ADD CHECK (id <> 0)").await;
    let refused = node.store.ready().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    place.end(vec![node]).await;
}
