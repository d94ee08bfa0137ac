//! Files that an older alarmbell wrote.

use std::path::Path;

use alarmbell::model::{Fingerprint, How};
use alarmbell::store::sqlite::{Options, SqliteStore};
use alarmbell::store::{Begin, Counters, Effect, HandOver, MessageQuery, Outcome};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use crate::harness::{Harness, NOW, begin, begun, message_id, outcome, told_alert, told_state, webhook};
use crate::sqlite::{Engine, metrics};

const FIRST: &str = include_str!("../../src/store/sqlite/migrations/0001.sql");

/// What version 1 left: two of three alerts wait, one message told the other, one is in flight.
fn write_version_1(dir: &Path) {
    let conn = Connection::open(dir.join("alarmbell.db")).unwrap();
    conn.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").unwrap();
    conn.execute_batch(FIRST).unwrap();
    conn.execute_batch("PRAGMA application_id = 0x616c6d62; PRAGMA user_version = 1").unwrap();
    let alerts = serde_json::to_string(&[told_alert(1)]).unwrap();
    let mut covers = 2_i64.to_le_bytes().to_vec();
    covers.extend(2_u64.to_le_bytes());
    covers.push(1);
    let run = |sql: &str| conn.execute_batch(&sql.replace("NOW", &NOW.to_string())).unwrap();
    run("INSERT INTO bots (name, accepted, told_named, fallback) VALUES ('a', 3, 1, 'b'), ('b', 0, 0, NULL);
         INSERT INTO vias (text) VALUES ('policy:p');
         INSERT INTO bodies (id, received_ms, body) VALUES (7, NOW, x'7b7d');
         INSERT INTO heads VALUES ((1 << 40) + 2, 7, 2, 0, 2, 9, 0, 3, 0, 5, 0, NOW, 1);
         INSERT INTO heads VALUES ((1 << 40) + 3, 7, 2, 1, 3, 9, 1, 3, 0, 5, 6, NOW, 1);
         INSERT INTO told VALUES (1, 1, 9, 0, 5, 0, NOW, NOW + 1, 1);
         INSERT INTO robots (hash) VALUES ('r');
         INSERT INTO attempts (robot, message, started_ms, ended_ms, verdict) VALUES (1, 1, NOW, NOW + 1, 'delivered');
         INSERT INTO attempts (robot, message, started_ms) VALUES (1, 2, NOW + 2);");
    let insert = "INSERT INTO messages (id, bot, robot, kind, grp, at_ms, verdict, attempts, open, reason, text, alerts, \
         covers, body) VALUES (?1, 1, 1, 'single', 9, ?2, ?3, 1, ?4, '', ?5, ?6, ?7, ?8)";
    let first =
        (message_id(1).as_str().to_owned(), NOW, "delivered", 0, "first", &alerts, None::<Vec<u8>>, None::<Vec<u8>>);
    conn.execute(insert, first).unwrap();
    let second =
        (message_id(2).as_str().to_owned(), NOW + 2, "", 1, "second", &alerts, Some(covers), Some(b"{}".to_vec()));
    conn.execute(insert, second).unwrap();
}

/// Files of this version are out there.
#[test]
fn released_scripts_are_never_changed() {
    let hash: String = Sha256::digest(FIRST).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "adc7c88e80595f950a7a66cbdec33ed7dcafbe95d9ccbca834d094086217135c");
}

#[tokio::test]
async fn a_file_of_version_1_keeps_all_that_it_holds() {
    let h = Harness::new(Engine);
    write_version_1(h.path());
    let (store, seen, images) = h.start().await;
    assert_eq!(
        seen.of("a").iter().map(|head| (head.pos, head.body, head.idx)).collect::<Vec<_>>(),
        [(2, 7, 0), (3, 7, 1)]
    );
    let image = &images["a"];
    assert_eq!(image.counters, Counters { accepted: 3, told_named: 1, ..Counters::default() });
    assert_eq!((image.told.len(), image.storm), (1, None));
    assert_eq!(image.open.len(), 1);
    assert_eq!((image.open[0].attempt, &image.open[0].body[..]), (Some(2), &b"{}"[..]));
    assert_eq!(image.open[0].covers, [(2, Fingerprint(2), How::Counted)]);
    assert_eq!(store.fallback_of("a").await.unwrap().as_deref(), Some("b"));
    let page = store.messages(MessageQuery { limit: 9, ..MessageQuery::default() }).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| &*row.text).collect::<Vec<_>>(), ["second", "first"]);
    assert!(page.rows.iter().all(|row| row.alerts == [told_alert(1)]));

    // And does what this version can.
    store.append(webhook(&["a"], &[4])).await.unwrap();
    store.keep_alerts(&message_id(3), 0, vec![told_alert(5)]).await.unwrap();
    let attempt = begun(&*store, Begin { parts: 1, last_known: 2, ..begin("a", "r", 3) }).await;
    assert_eq!(store.message(&message_id(3)).await.unwrap().alerts, [told_alert(3), told_alert(5)]);
    let told = Effect::Told(vec![(2, told_state(2), How::Named)]);
    let end = Outcome { storm: Some(Default::default()), ..outcome("a", "r", 3, attempt, told) };
    store.finish(end).await.unwrap();
    let taken = HandOver { from: "a".into(), to: "b".into(), moved: vec![3], copied: vec![], superseded: vec![] };
    assert_eq!(store.hand_over(taken).await.unwrap(), 1);
    drop(store);
    let (_store, seen, images) = h.start().await;
    assert_eq!((seen.positions("a"), seen.positions("b")), (vec![4], vec![1]));
    assert_eq!(images["a"].storm, Some(Default::default()));
    h.audit().await;
}

#[test]
fn it_migrates_once() {
    let dir = tempfile::tempdir().unwrap();
    write_version_1(dir.path());
    for _ in 0..2 {
        drop(SqliteStore::open(&Options::new(dir.path()), metrics()).unwrap());
        let conn = Connection::open(dir.path().join("alarmbell.db")).unwrap();
        let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, 2);
    }
}
