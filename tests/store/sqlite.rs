//! SQLite as an engine of the battery, and what is particular to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use alarmbell::model::How;
use alarmbell::store::StoreMetrics;
use alarmbell::store::sqlite::{Options, SqliteStore};
use alarmbell::store::{Append, Begin, Begun, Counters, Effect, Store, StoreError};
use async_trait::async_trait;
use prometheus::Registry;
use rusqlite::{Connection, OpenFlags};

use crate::harness::{
    Audit, Bounds, Gate, Harness, Seen, begin, begun, message_id, new_head, outcome, poll_once, tell, told_alert,
    told_state, webhook,
};

pub(crate) struct Engine;

pub(crate) fn metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).unwrap()
}

fn count(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("alarmbell.db")
}

#[async_trait]
impl crate::harness::Engine for Engine {
    fn fresh(&self) -> Arc<dyn crate::harness::Engine> {
        Arc::new(Self)
    }

    async fn open(&self, dir: &Path, bounds: Bounds) -> Arc<dyn Store> {
        let mut options = Options::new(dir);
        options.max_alerts = bounds.max_alerts.unwrap_or(options.max_alerts);
        options.max_bytes = bounds.max_bytes.unwrap_or(options.max_bytes);
        options.queue_ops = bounds.queue_ops.unwrap_or(options.queue_ops);
        Arc::new(SqliteStore::open(&options, metrics()).unwrap())
    }

    async fn audit(&self, dir: &Path) -> Audit {
        let conn = Connection::open_with_flags(file(dir), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let conn = conn.unchecked_transaction().unwrap();
        let number = |sql: &str| conn.query_row(sql, [], |row| count(row, 0)).unwrap();
        let mut bots = conn
            .prepare(
                "SELECT name, accepted, told_named, told_counted, superseded, dead, \
                 (SELECT count(*) FROM heads WHERE key >> 40 = bots.id) FROM bots",
            )
            .unwrap();
        let bots = bots
            .query_map([], |row| {
                let counters = Counters {
                    accepted: count(row, 1)?,
                    told_named: count(row, 2)?,
                    told_counted: count(row, 3)?,
                    superseded: count(row, 4)?,
                    dead: count(row, 5)?,
                };
                Ok((row.get(0)?, (counters, count(row, 6)?)))
            })
            .unwrap();
        Audit {
            bots: bots.map(Result::unwrap).collect(),
            bodies: number("SELECT count(*) FROM bodies"),
            needed_bodies: number("SELECT count(*) FROM bodies WHERE id IN (SELECT body FROM heads)"),
            attempts: number("SELECT count(*) FROM attempts"),
            told: number("SELECT count(*) FROM told"),
            parts: number("SELECT count(*) FROM message_parts"),
        }
    }

    async fn plant_orphan(&self, dir: &Path) {
        let conn = Connection::open(file(dir)).unwrap();
        conn.execute("INSERT INTO bodies (received_ms, body) VALUES (1, x'00')", []).unwrap();
    }
}

fn refusal(result: Result<SqliteStore, StoreError>) -> String {
    match result {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers() {
    let h = Harness::new(Engine);
    let mut options = Options::new(h.path());
    options.max_page_count = Some(120);
    let store = Arc::new(SqliteStore::open(&options, metrics()).unwrap());
    let gate = Gate::new();
    store.replay(gate.clone()).await.unwrap();
    let mut accepted = 0;
    let append = |n: u64| Append { body: vec![b'x'; 1_000].into(), ..webhook(&["a"], &[n]) };
    loop {
        match store.append(append(accepted)).await {
            Ok(()) => accepted += 1,
            Err(StoreError::Unavailable(_)) => break,
            Err(other) => panic!("{other:?}"),
        }
        assert!(accepted < 1_000, "the disk never filled");
    }
    assert!(accepted > 20);
    let refused = store.ready().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(h.counters("a").await.1, accepted);

    // An outcome frees room, though webhooks that find none are in the same transaction.
    store.superseded("a".into(), (1..=10).collect()).await.unwrap();
    gate.shut();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.append(append(1)).await }
    });
    gate.reached().await;
    let mut flood: Vec<_> = (0..50).map(|n| store.append(append(n))).collect();
    for append in &mut flood {
        assert!(poll_once(append).await.is_none());
    }
    let told = (11..=20).map(|pos| (pos, told_state(1), How::Named)).collect();
    let mut finish = store.finish(outcome("a", "r", 1, 0, Effect::Told(told)));
    assert!(poll_once(&mut finish).await.is_none());
    gate.open();
    first.await.unwrap().unwrap();
    finish.await.unwrap();
    for append in flood {
        let refused = append.await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    store.superseded("a".into(), (21..=40).collect()).await.unwrap();
    store.append(append(1)).await.unwrap();
    store.ready().await.unwrap();
    accepted += 2;

    // No position was lost or given twice by what was rolled back.
    assert_eq!(gate.seen.positions("a"), (1..=accepted.cast_signed()).collect::<Vec<i64>>());
    assert_eq!(h.counters("a").await.0.accepted, accepted);
    drop(store);
    let (_store, again, _) = h.start().await;
    assert_eq!(again.positions("a"), (41..=accepted.cast_signed()).collect::<Vec<i64>>());
}

#[tokio::test]
async fn one_process_serves_and_others_only_send() {
    let h = Harness::new(Engine);
    let (store, _, _) = h.start().await;
    let options = Options::new(h.path());
    let why = refusal(SqliteStore::open(&options, metrics()));
    assert!(why.contains("another alarmbell serves from"), "{why}");

    store.append(webhook(&["a"], &[1])).await.unwrap();
    let sender = SqliteStore::open_shared(&options, metrics()).unwrap();
    for refused in [
        sender.append(webhook(&["a"], &[2])).await,
        sender.superseded("a".into(), vec![1]).await,
        sender.finish(outcome("a", "r", 1, 0, Effect::Told(vec![(1, told_state(1), How::Named)]))).await,
        sender.rehome("a".into(), vec![], 1).await.map(drop),
    ] {
        assert!(matches!(refused, Err(StoreError::Unusable(_))), "{refused:?}");
    }
    let attempt = begun(&sender, begin("new", "r", 1)).await;
    sender.finish(outcome("new", "r", 1, attempt, Effect::Told(vec![]))).await.unwrap();
    // The server meets the bot and the attempt that the other process wrote.
    let Begun::Others(others) = store.begin(begin("new", "r", 2)).await.unwrap() else { panic!("begun") };
    assert_eq!(others[0].id, attempt);
    store.append(webhook(&["new"], &[2])).await.unwrap();
    assert_eq!(h.counters("new").await.0.accepted, 1);
    sender.close().await;
    store.close().await;
    SqliteStore::open(&options, metrics()).unwrap();
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path());
    drop(SqliteStore::open(&options, metrics()).unwrap());
    let change = |sql: &str| Connection::open(file(dir.path())).unwrap().execute_batch(sql).unwrap();
    change("PRAGMA user_version = 99");
    let why = refusal(SqliteStore::open(&options, metrics()));
    assert!(why.contains("version 99") && why.contains("up to 2"), "{why}");
    change("PRAGMA user_version = 2; PRAGMA application_id = 7");
    let why = refusal(SqliteStore::open(&options, metrics()));
    assert!(why.contains("not made by alarmbell"), "{why}");

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(dir.path()), vec![b'?'; 9_000]).unwrap();
    let why = refusal(SqliteStore::open(&Options::new(dir.path()), metrics()));
    assert!(why.contains("alarmbell.db") && why.contains("damaged"), "{why}");
}

#[test]
fn the_path_is_made_or_the_reason_named() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("deep/er");
    drop(SqliteStore::open(&Options::new(&deep), metrics()).unwrap());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&deep).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let plain = dir.path().join("file");
    std::fs::write(&plain, "").unwrap();
    for path in [plain.clone(), plain.join("below")] {
        let why = refusal(SqliteStore::open(&Options::new(&path), metrics()));
        assert!(why.contains("not a directory") && why.contains(&path.display().to_string()), "{why}");
    }
    // Everybody may read it, nobody may make a file in it.
    let why = refusal(SqliteStore::open(&Options::new("/proc"), metrics()));
    assert!(why.starts_with("storage path /proc: "), "{why}");
}

#[tokio::test]
async fn a_mistake_in_one_operation_leaves_its_neighbours_alone() {
    let h = Harness::new(Engine);
    let (store, seen, _) = h.start().await;
    store.append(webhook(&["a"], &[1, 2, 3])).await.unwrap();
    // Each of these is refused by a trigger in the middle of its rows.
    Connection::open(file(h.path()))
        .unwrap()
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON told WHEN new.fp = 13 BEGIN SELECT raise(ABORT, 'no'); END")
        .unwrap();
    let bad = Effect::Told(vec![(1, told_state(1), How::Named), (2, told_state(13), How::Named)]);
    let good = Effect::Told(vec![(3, told_state(3), How::Named)]);
    let (bad, good, append) = tokio::join!(
        store.finish(outcome("a", "r", 1, 0, bad)),
        store.finish(outcome("a", "r", 2, 0, good)),
        store.append(webhook(&["a"], &[4])),
    );
    assert!(matches!(bad, Err(StoreError::Unavailable(_))), "{bad:?}");
    good.unwrap();
    append.unwrap();
    assert_eq!(h.counters("a").await, (Counters { accepted: 4, told_named: 1, ..Counters::default() }, 3));
    assert_eq!(seen.positions("a"), [1, 2, 3, 4]);
    let size = store.size().await.unwrap();
    assert_eq!(size.waiting, 3);

    // A move that fails half way: nobody hears of the half that was rolled back.
    Connection::open(file(h.path()))
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER stay BEFORE DELETE ON heads WHEN old.fp = 4 BEGIN SELECT raise(ABORT, 'no'); END",
        )
        .unwrap();
    let moved = store.rehome("a".into(), vec!["b".into()], 1).await;
    assert!(matches!(moved, Err(StoreError::Unavailable(_))), "{moved:?}");
    assert!(seen.positions("b").is_empty());
    store.append(webhook(&["b"], &[5])).await.unwrap();
    assert_eq!(seen.positions("b"), [1]);
    assert_eq!((h.counters("a").await.1, h.counters("b").await.1), (3, 1));
}

#[tokio::test]
async fn metrics_are_registered_and_move() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new();
    let metrics = StoreMetrics::register(&registry).unwrap();
    assert!(StoreMetrics::register(&registry).is_err());
    let store = SqliteStore::open(&Options::new(dir.path()), metrics).unwrap();
    store.append(webhook(&["a"], &[1])).await.unwrap();
    store.size().await.unwrap();
    let families = registry.gather();
    let metric = |name: &str| families.iter().find(|family| family.name() == name).unwrap().get_metric()[0].clone();
    assert_eq!(metric("alarmbell_store_commit_duration_seconds").get_histogram().get_sample_count(), 1);
    assert_eq!(metric("alarmbell_store_batch_webhooks").get_histogram().get_sample_count(), 1);
    assert!(metric("alarmbell_store_size_bytes").get_gauge().get_value() > 4_096.0);
}

#[tokio::test]
async fn free_pages_go_back_to_the_file_system() {
    let h = Harness::new(Engine);
    let (store, _, _) = h.start().await;
    let big = Append { body: vec![b'x'; 16 << 20].into(), ..webhook(&["a"], &[1]) };
    store.append(big).await.unwrap();
    tell(&*store, "a", 1, &[1], How::Named).await;
    store.close().await;
    let before = std::fs::metadata(file(h.path())).unwrap().len();
    assert!(before > 16 << 20);
    let (store, _, _) = h.start().await;
    let nothing = alarmbell::store::Retention { history_before_ms: 0, resolved_before_ms: 0, attempts_before_ms: 0 };
    while store.clean(nothing).await.unwrap() {}
    store.close().await;
    let after = std::fs::metadata(file(h.path())).unwrap().len();
    assert!(after < 8 << 20, "{before} -> {after}");
}

#[tokio::test]
async fn the_file_does_not_grow_with_every_storm() {
    let h = Harness::new(Engine);
    let everything = alarmbell::store::Retention {
        history_before_ms: i64::MAX,
        resolved_before_ms: 0,
        attempts_before_ms: i64::MAX,
    };
    let mut sizes = Vec::new();
    for storm in 0..4_u8 {
        let (store, _, _) = h.start().await;
        let first = i64::from(storm) * 2_000 + 1;
        for webhooks in 0..20_u64 {
            let fingerprints: Vec<u64> = (0..100).map(|n| webhooks * 100 + n).collect();
            store.append(webhook(&["a"], &fingerprints)).await.unwrap();
        }
        tell(&*store, "a", storm, &(first..first + 2_000).collect::<Vec<_>>(), How::Counted).await;
        while store.clean(everything).await.unwrap() {}
        // Now the log is in the file.
        store.close().await;
        sizes.push(std::fs::metadata(file(h.path())).unwrap().len());
    }
    assert_eq!(h.counters("a").await.0.told_counted, 8_000);
    assert!(sizes[3] <= sizes[1] + sizes[1] / 10, "{sizes:?}");
}

const CHILD: &str = "ALARMBELL_STORE_TEST_CHILD";

#[tokio::test]
#[allow(clippy::print_stdout)]
#[ignore = "the process that acknowledged_rows_survive_a_kill starts and kills"]
async fn child_that_appends_until_it_is_killed() {
    let dir = std::env::var_os(CHILD).expect("only its parent runs this");
    let store = SqliteStore::open(&Options::new(dir), metrics()).unwrap();
    let attempt = begun(&store, begin("a", "r", 1)).await;
    println!("attempt {attempt}");
    for n in 0.. {
        store.append(Append { heads: vec![new_head("a", 0, n)], ..webhook(&["a"], &[n]) }).await.unwrap();
        println!("acknowledged {n}");
    }
}

#[tokio::test]
async fn acknowledged_rows_survive_a_kill() {
    let h = Harness::new(Engine);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::child_that_appends_until_it_is_killed", "--ignored", "--nocapture"])
        .env(CHILD, h.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The test harness may put its own words before the first line.
    let mut number = || lines.find_map(|line| line.split_once("acknowledged ").map(|(_, n)| n.parse::<u64>().unwrap()));
    let mut acknowledged: Vec<u64> = (0..300).filter_map(|_| number()).collect();
    assert_eq!(acknowledged.len(), 300);
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said until then.
    acknowledged.extend(std::iter::from_fn(number));

    let (store, seen, images) = h.start().await;
    let stored: Vec<u64> = seen.of("a").iter().map(|head| head.fingerprint.0).collect();
    assert_eq!(stored[..acknowledged.len()], acknowledged);
    assert!(stored.len() <= acknowledged.len() + 1, "more than one row that was not acknowledged");
    assert_eq!(images["a"].open.iter().map(|open| open.id.clone()).collect::<Vec<_>>(), [message_id(1)]);
    h.audit().await;
    store.append(webhook(&["a"], &[1])).await.unwrap();
}

/// A store on a full disk with so much set aside, and how many alerts of bot `a` wait in it.
async fn full(dir: &Path, reserve_bytes: u64) -> (SqliteStore, u64) {
    let mut options = Options::new(dir);
    options.max_page_count = Some(200);
    options.reserve_bytes = reserve_bytes;
    let store = SqliteStore::open(&options, metrics()).unwrap();
    store.replay(Arc::new(Seen::default())).await.unwrap();
    for accepted in 0.. {
        match store.append(Append { body: vec![b'x'; 1_000].into(), ..webhook(&["a"], &[accepted]) }).await {
            Ok(()) => assert!(accepted < 1_000, "the disk never filled"),
            Err(StoreError::Unavailable(why)) => {
                assert!(why.contains("no room"), "{why}");
                return (store, accepted);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    unreachable!("it fills or fails")
}

#[tokio::test]
async fn on_a_full_disk_what_waits_is_told_with_the_room_set_aside() {
    let large = |last_known| Begin { body: vec![b'y'; 300_000].into(), last_known, ..begin("a", "r", 1) };
    let h = Harness::new(Engine);
    let (store, _) = full(h.path(), 0).await;
    let refused = store.begin(large(0)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "nothing was set aside, and it began: {refused:?}");
    drop(store);

    let h = Harness::new(Engine);
    let (store, accepted) = full(h.path(), 2 << 20).await;
    let refused = store.ready().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.keep_alerts(&message_id(1), 0, vec![told_alert(1); 100]).await.unwrap();
    let mut attempt = 0;
    for _ in 0..20 {
        attempt = begun(&store, large(attempt)).await;
        let kept = Effect::Kept { open: true };
        store.finish(outcome("a", "r", 1, attempt, kept)).await.unwrap();
    }
    let told = (1..=accepted.cast_signed()).map(|pos| (pos, told_state(pos.cast_unsigned()), How::Counted)).collect();
    store.finish(outcome("a", "r", 1, attempt, Effect::Told(told))).await.unwrap();
    // There is room, and it is taken.
    store.ready().await.unwrap();
    store.append(webhook(&["a"], &[1])).await.unwrap();
    assert_eq!(
        h.counters("a").await.0,
        Counters { accepted: accepted + 1, told_counted: accepted, ..Counters::default() }
    );
}
