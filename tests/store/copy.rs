//! Moving a store between engines: `alarmbell storage copy`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use alarmbell::model::Secret;
use alarmbell::store::StoreError;
use alarmbell::store::copy::{CopyError, Order, Place, Report, Step, copy};
use alarmbell::store::sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::harness::{NOW, Seen};
use crate::server::{Database, shared};
use crate::sqlite::metrics;

/// When the copies are made.
const LATER: i64 = NOW + 3_600_000;
/// Everything that a store holds; what else there is belongs to running servers.
const TABLES: [&str; 11] = [
    "attempts",
    "bodies",
    "bots",
    "dead_letters",
    "heads",
    "message_parts",
    "messages",
    "robots",
    "told",
    "unbegun",
    "vias",
];

/// Several rows in every table, with all that is easily lost: NULL, negative hashes, silent heads, open attempts, an
/// ended robot's ids between another's, messages with and without a body.
const ROWS: &str = "
INSERT INTO bots VALUES (1, 'a', 9, 2, 1, 1, 1, 1, 'b', '{\"x\":1}'), (2, 'b', 4, 0, 0, 0, 0, 0, NULL, NULL),
    (7, 'gone', 0, 0, 0, 0, 0, 0, NULL, NULL);
UPDATE bots SET storm = NULL WHERE id = 7;
INSERT INTO vias VALUES (1, 'policy:p'), (2, ''), (5, 'policy:\u{62a5}\u{8b66}');
INSERT INTO robots VALUES (1, 'r1', 0, 0, 0, '', 0, '', ''), (2, 'r2', NOW + 9, 3, NOW - 7, 'retry', NOW - 1, 'it broke', 'mend it'),
    (4, 'r4', 0, 0, 0, 'delivered', NOW, '', '');
INSERT INTO bodies VALUES (3, NOW, x'7b7d'), (4, NOW + 1, zeroblob(300000)), (8, NOW + 2, x''), (9, NOW + 3, x'00ff');
INSERT INTO heads VALUES
    ((1 << 40) + 2, 3, 2, 0, -5, -9, 0, 3, 0, 5, 0, NOW, 1), ((1 << 40) + 5, 3, 2, 1, 6, 9, 1, 0, 2, 5, 6, NOW, 2),
    ((1 << 40) + 8, 4, 300000, 0, 7, 9, 0, 1, 1, 0, 0, NOW + 1, 1), ((1 << 40) + 9, 9, 2, 0, 7, 9, 1, 1, 0, 0, 4, NOW + 3, 5),
    ((2 << 40) + 1, 4, 300000, 0, 7, 9, 0, 1, 1, 0, 0, NOW + 1, 1), ((2 << 40) + 2, 8, 0, 0, 1, 1, 1, 1, 3, 0, 0, NOW + 2, 1),
    ((2 << 40) + 3, 9, 2, 0, 2, 1, 0, 1, 0, 0, 0, NOW + 3, 1), ((2 << 40) + 4, 9, 2, 1, 3, 1, 0, 1, 0, 0, 0, NOW + 3, 1);
INSERT INTO told VALUES (1, -8, 9, 0, 5, 0, NOW, NOW + 1, 1), (1, 1, 9, 1, 5, 6, NOW, NOW + 1, NULL), (2, -8, 9, 0, 5, 0, NOW, NOW + 1, 2);
INSERT INTO messages VALUES
    (1, 'm1', 1, 1, 'single', -9, NOW, 'delivered', 1, 0, '', 'text', '[]', NULL, NULL),
    (2, 'm2', 1, 2, 'digest', 0, NOW + 1, '', 2, 1, '', '\u{62a5}\u{8b66}', '[]', x'0001', x'7b7d'),
    (6, 'm6', 2, 4, 'single', 1, NOW + 2, 'rejected', 1, 0, 'no', '', '[]', NULL, NULL);
INSERT INTO message_parts (message, part, named, counted, alerts) VALUES ('m2', 0, 5, 1, '[]'), ('m2', 1, 0, 3, '[]'), ('m0', 0, 1, 1, '[]');
INSERT INTO unbegun VALUES ('m0', 0), ('mx', NOW);
INSERT INTO attempts VALUES (1, 1, 1, NOW, NOW + 1, 'delivered'), (2, 2, 2, NOW, NOW + 2, 'retry'), (5, 1, 1, NOW - 9, NOW + 5, 'delivered'),
    (6, 4, 6, NOW + 5, NOW + 6, 'rejected'), (9, 2, 2, NOW + 7, NULL, NULL);
INSERT INTO dead_letters VALUES (1, 1, 3, NOW, 1, 9, 3, 'refused', '{}', x'7b7d'), (4, 2, 9, NOW, 2, -9, 0, '', '{}', x'');
";

/// A folder with a store that holds [`ROWS`].
fn full() -> tempfile::TempDir {
    let dir = empty();
    // A message's id has 32 digits.
    let long = |digit: &str| format!("'{}'", digit.repeat(32));
    let ids = ["m0", "m1", "m2", "m6", "mx"].map(|id| (format!("'{id}'"), long(&id[1..].replace('x', "f"))));
    let rows = ids.iter().fold(ROWS.replace("NOW", &NOW.to_string()), |rows, (id, long)| rows.replace(id, long));
    edit(dir.path(), &rows);
    dir
}

/// A folder with a store that holds nothing.
fn empty() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(&Options::new(dir.path()), metrics()).unwrap());
    dir
}

fn edit(dir: &Path, sql: &str) {
    Connection::open(dir.join("alarmbell.db")).unwrap().execute_batch(sql).unwrap();
}

fn folder(dir: &Path) -> Place {
    Place::Folder(dir.to_owned())
}

fn database(database: &Database) -> Place {
    Place::Database(Secret::new(database.url()))
}

/// With batches of two rows, or of one large one.
fn order(from: &Place, to: &Place) -> Order {
    Order { batch_rows: 2, batch_bytes: 100_000, ..Order::new(from.clone(), to.clone(), LATER) }
}

async fn whole(from: &Place, to: &Place) -> Result<Report, CopyError> {
    copy(&order(from, to), &mut |_| ControlFlow::Continue(())).await
}

/// Ends after so many batches.
async fn part(from: &Place, to: &Place, batches: usize) -> Result<Report, CopyError> {
    let mut left = batches;
    let mut watch = |_: Step| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    copy(&order(from, to), &mut watch).await
}

fn refusal(copied: Result<Report, CopyError>) -> String {
    let error = copied.unwrap_err();
    assert!(!matches!(error, CopyError::Stopped));
    error.to_string()
}

type Dump = BTreeMap<&'static str, Vec<Vec<String>>>;

/// All columns of all tables, whatever the code under test knows of them. Attempts without their ids, but in their order.
fn dump(dir: &Path) -> Dump {
    let conn = Connection::open(dir.join("alarmbell.db")).unwrap();
    let rows = |table: &str| {
        let columns = match table {
            "attempts" => "robot, message, started_ms, ended_ms, verdict",
            "message_parts" => "message, part, named, counted, alerts",
            _ => "*",
        };
        let order = if table == "attempts" { "robot, id" } else { "1, 2" };
        let mut statement = conn.prepare(&format!("SELECT {columns} FROM {table} ORDER BY {order}")).unwrap();
        let many = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| {
            (0..many).map(|at| row.get::<_, Value>(at).map(|value| format!("{value:?}"))).collect::<Result<Vec<_>, _>>()
        };
        let found: Vec<_> = statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap();
        found
    };
    TABLES.into_iter().map(|table| (table, rows(table))).collect()
}

/// The same of a database, but for what only running replicas need.
async fn dump_database(database: &Database) -> Dump {
    let client = database.client().await;
    let mut dump = Dump::new();
    for table in TABLES {
        let sql = format!("SELECT to_jsonb(x)::text FROM alarmbell.{table} x ORDER BY 1");
        let rows = client.query(&sql, &[]).await.unwrap();
        dump.insert(table, rows.iter().map(|row| vec![row.get(0)]).collect());
    }
    dump
}

/// What a copy of [`full`] must hold: all of it, with the open attempt ended.
fn expected(dir: &Path) -> Dump {
    let mut dump = dump(dir);
    let open = dump.get_mut("attempts").unwrap().iter_mut().find(|row| row[3] == "Null").unwrap();
    open[3] = format!("Integer({LATER})");
    open[4] = "Text(\"unknown_outcome\")".to_owned();
    assert!(dump.values().all(|rows| rows.len() > 1), "every table takes part");
    dump
}

async fn number(database: &Database, sql: &str) -> i64 {
    database.number(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_comes_back_from_postgresql_as_it_was() {
    let Some(server) = shared() else { return };
    let (source, there, back) = (full(), server.database().await, tempfile::tempdir().unwrap());
    let before = dump(source.path());
    let report = whole(&folder(source.path()), &database(&there)).await.unwrap();
    assert_eq!((report.bots, report.waiting, report.ended, report.resumed), (3, 8, 1, false));
    assert_eq!(report.unproved, Vec::<String>::new());
    assert_eq!(dump(source.path()), before, "the source stays as it is");
    let rows: u64 = before.values().map(|rows| rows.len() as u64).sum();
    assert_eq!(report.tables.iter().map(|(_, rows)| rows).sum::<u64>(), rows);

    let report = whole(&database(&there), &folder(back.path())).await.unwrap();
    assert_eq!(report.ended, 0, "it was ended on the way there");
    assert_eq!(dump(back.path()), expected(source.path()));
    // And a server takes it.
    let store = SqliteStore::open(&Options::new(back.path()), metrics()).unwrap();
    let seen = std::sync::Arc::new(Seen::default());
    alarmbell::store::Store::replay(&store, seen.clone()).await.unwrap();
    assert_eq!((seen.positions("a"), seen.positions("b")), (vec![2, 5, 8, 9], vec![1, 2, 3, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_postgresql_has_is_computed() {
    let Some(server) = shared() else { return };
    let (source, there) = (full(), server.database().await);
    whole(&folder(source.path()), &database(&there)).await.unwrap();
    for (sql, is) in [
        ("SELECT body_bytes FROM alarmbell.bots WHERE id = 1", 2 + 300_000 + 2),
        ("SELECT body_bytes FROM alarmbell.bots WHERE id = 2", 0),
        ("SELECT silent FROM alarmbell.bots WHERE id = 1", 1),
        ("SELECT silent FROM alarmbell.bots WHERE id = 2", 1),
        ("SELECT count(*) FROM alarmbell.bots WHERE owner IS NULL AND fence = 0", 3),
        ("SELECT attempts FROM alarmbell.robots WHERE id = 1", 5),
        ("SELECT attempts FROM alarmbell.robots WHERE id = 2", 9),
        ("SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL", 0),
        ("SELECT bot::bigint FROM alarmbell.bodies WHERE id = 4", 1),
        ("SELECT bot::bigint FROM alarmbell.bodies WHERE id = 8", 2),
        ("SELECT count(*) FROM alarmbell.messages WHERE open", 1),
        // Numbers go on behind what was copied.
        ("SELECT nextval(pg_get_serial_sequence('alarmbell.bots', 'id'))", 8),
        ("SELECT nextval(pg_get_serial_sequence('alarmbell.messages', 'seq'))", 7),
        ("SELECT nextval(pg_get_serial_sequence('alarmbell.dead_letters', 'id'))", 5),
        ("SELECT nextval(pg_get_serial_sequence('alarmbell.bodies', 'id'))", 10),
        ("SELECT nextval(pg_get_serial_sequence('alarmbell.robots', 'id'))", 5),
        ("SELECT nextval(pg_get_serial_sequence('alarmbell.vias', 'id'))", 6),
        ("SELECT count(*) FROM alarmbell.meta WHERE key = 'copy'", 0),
    ] {
        assert_eq!(number(&there, sql).await, is, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_rows_can_be_copied() {
    let Some(server) = shared() else { return };
    let (source, there, back) = (empty(), server.database().await, tempfile::tempdir().unwrap());
    let report = whole(&folder(source.path()), &database(&there)).await.unwrap();
    assert_eq!((report.bots, report.waiting), (0, 0));
    assert_eq!(number(&there, "SELECT nextval(pg_get_serial_sequence('alarmbell.bots', 'id'))").await, 1);
    whole(&database(&there), &folder(back.path())).await.unwrap();
    assert_eq!(dump(back.path()), dump(source.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_a_kind_are_the_same() {
    let (source, copied) = (full(), tempfile::tempdir().unwrap());
    whole(&folder(source.path()), &folder(&copied.path().join("new"))).await.unwrap();
    assert_eq!(dump(&copied.path().join("new")), expected(source.path()));
    let ids = |dir: &Path| {
        let conn = Connection::open(dir.join("alarmbell.db")).unwrap();
        conn.query_row("SELECT group_concat(id) FROM (SELECT id FROM attempts ORDER BY id)", [], |row| {
            row.get::<_, String>(0)
        })
        .unwrap()
    };
    assert_eq!(ids(&copied.path().join("new")), ids(source.path()), "ids that no other robot has are kept");

    let Some(server) = shared() else { return };
    let (one, other) = (server.database().await, server.database().await);
    whole(&folder(source.path()), &database(&one)).await.unwrap();
    one.run("UPDATE alarmbell.attempts SET owner = '', fence = 0; UPDATE alarmbell.bots SET fence = 0").await;
    whole(&database(&one), &database(&other)).await.unwrap();
    assert_eq!(dump_database(&other).await, dump_database(&one).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_can_not_write_is_replaced() {
    let Some(server) = shared() else { return };
    let (source, there) = (full(), server.database().await);
    edit(source.path(), "UPDATE messages SET text = 'a' || char(0) || 'b' WHERE seq = 1");
    whole(&folder(source.path()), &database(&there)).await.unwrap();
    let sql = "SELECT count(*) FROM alarmbell.messages WHERE text = U&'a\\FFFDb'";
    assert_eq!(number(&there, sql).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_robots_share_in_postgresql_are_told_apart_in_sqlite() {
    let Some(server) = shared() else { return };
    let (source, there, back) = (full(), server.database().await, tempfile::tempdir().unwrap());
    whole(&folder(source.path()), &database(&there)).await.unwrap();
    there.run("UPDATE alarmbell.attempts SET id = id - 1 WHERE robot = 2").await;
    let shared_ids = "SELECT count(*) - count(DISTINCT id) FROM alarmbell.attempts";
    assert!(number(&there, shared_ids).await > 0, "the test has its point");
    whole(&database(&there), &folder(back.path())).await.unwrap();
    assert_eq!(dump(back.path())["attempts"], expected(source.path())["attempts"]);
}

/// Goes on after an end behind every single batch, and meanwhile nobody can serve from the target.
async fn in_pieces(from: &Place, to: &Place, refused: impl AsyncFn() -> String) -> Report {
    let mut runs = 0;
    loop {
        runs += 1;
        assert!(runs < 100, "it comes on");
        match part(from, to, 1).await {
            Ok(report) => {
                assert!(runs > 2 * TABLES.len(), "tables are of more than one batch");
                return report;
            }
            Err(CopyError::Stopped) => {
                let why = refused().await;
                assert!(why.contains("storage copy"), "{why}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn sqlite_refuses(dir: &Path) -> String {
    let why = |opened: Result<SqliteStore, StoreError>| match opened.err() {
        Some(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    };
    let guest = why(SqliteStore::open_shared(&Options::new(dir), metrics()));
    assert_eq!(guest, why(SqliteStore::open(&Options::new(dir), metrics())));
    guest
}

async fn postgres_refuses(database: &Database) -> String {
    use alarmbell::store::postgres::PgStore;
    match PgStore::open(crate::postgres::options(database.url(), None, NOW), metrics()).await.err() {
        Some(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_copy_goes_on() {
    let (source, copied) = (full(), tempfile::tempdir().unwrap());
    let (from, to) = (folder(source.path()), folder(copied.path()));
    let report = in_pieces(&from, &to, async || sqlite_refuses(copied.path())).await;
    assert!(report.resumed);
    assert_eq!(report.ended, 1);
    assert_eq!(dump(copied.path()), expected(source.path()));

    let Some(server) = shared() else { return };
    let (there, back) = (server.database().await, tempfile::tempdir().unwrap());
    in_pieces(&from, &database(&there), async || postgres_refuses(&there).await).await;
    in_pieces(&database(&there), &folder(back.path()), async || sqlite_refuses(back.path())).await;
    assert_eq!(dump(back.path()), expected(source.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_inside_a_batch_goes_on() {
    let (source, copied) = (full(), tempfile::tempdir().unwrap());
    let (from, to) = (folder(source.path()), folder(copied.path()));
    part(&from, &to, 1).await.unwrap_err();
    let in_order = [
        "bots",
        "vias",
        "robots",
        "bodies",
        "heads",
        "told",
        "messages",
        "message_parts",
        "unbegun",
        "attempts",
        "dead_letters",
    ];
    for table in in_order {
        edit(
            copied.path(),
            &format!("CREATE TRIGGER boom AFTER INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'the disk broke'); END"),
        );
        let why = refusal(whole(&from, &to).await);
        assert!(why.contains("the target") && why.contains("the disk broke"), "{table}: {why}");
        edit(copied.path(), "DROP TRIGGER boom");
    }
    whole(&from, &to).await.unwrap();
    assert_eq!(dump(copied.path()), expected(source.path()));

    let Some(server) = shared() else { return };
    let there = server.database().await;
    part(&from, &database(&there), 1).await.unwrap_err();
    there
        .run(
            "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'the disk broke'; END $$",
        )
        .await;
    for table in in_order {
        there.run(&format!("CREATE TRIGGER boom AFTER INSERT ON alarmbell.{table} EXECUTE FUNCTION boom()")).await;
        let why = refusal(whole(&from, &database(&there)).await);
        assert!(why.contains("the disk broke"), "{table}: {why}");
        there.run(&format!("DROP TRIGGER boom ON alarmbell.{table}")).await;
    }
    whole(&from, &database(&there)).await.unwrap();
    let back = tempfile::tempdir().unwrap();
    whole(&database(&there), &folder(back.path())).await.unwrap();
    assert_eq!(dump(back.path()), expected(source.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_can_not_be_copied_is_refused() {
    let (source, other, none) = (full(), full(), tempfile::tempdir().unwrap());
    let (from, to) = (folder(source.path()), folder(none.path()));
    let said = [
        (whole(&from, &from).await, "the same store"),
        (whole(&from, &folder(&source.path().join("."))).await, "the same store"),
        (whole(&folder(&none.path().join("nothing")), &to).await, "there is no store in"),
        (whole(&from, &folder(other.path())).await, "holds a store already"),
    ];
    for (copied, why) in said {
        let said = refusal(copied);
        assert!(said.contains(why), "{said}");
    }
    assert!(!none.path().join("nothing").exists(), "nothing is made of a source");
    assert_eq!(dump(other.path()), dump(source.path()));

    for (sql, why) in [
        ("PRAGMA user_version = 1", "serve from it once"),
        ("PRAGMA user_version = 99", "version 99"),
        ("PRAGMA application_id = 0x616c6d63", "not complete"),
        ("PRAGMA application_id = 1", "not made by alarmbell"),
    ] {
        let source = full();
        edit(source.path(), sql);
        let said = refusal(whole(&folder(source.path()), &to).await);
        assert!(said.contains("the source") && said.contains(why), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_refused() {
    let (source, copied) = (full(), tempfile::tempdir().unwrap());
    let (from, to) = (folder(source.path()), folder(copied.path()));
    let server = SqliteStore::open(&Options::new(source.path()), metrics()).unwrap();
    let said = refusal(whole(&from, &to).await);
    assert!(said.contains("the source: another alarmbell serves from"), "{said}");
    drop(server);
    let server = SqliteStore::open(&Options::new(copied.path()), metrics()).unwrap();
    let said = refusal(whole(&from, &to).await);
    assert!(said.contains("the target: another alarmbell serves from"), "{said}");
    drop(server);
    // And nobody serves while it is copied.
    let mut refused = 0;
    let mut watch = |_: Step| {
        for path in [source.path(), copied.path()] {
            let opened = SqliteStore::open(&Options::new(path), metrics()).err();
            refused += usize::from(matches!(opened, Some(StoreError::Unusable(why)) if why.contains("serves from")));
        }
        if refused > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    assert!(matches!(copy(&order(&from, &to), &mut watch).await, Err(CopyError::Stopped)));
    assert_eq!(refused, 2);

    let Some(server) = shared() else { return };
    let there = server.database().await;
    whole(&from, &database(&there)).await.unwrap();
    let lease = "INSERT INTO alarmbell.replicas (id, home, name, version, config_hash, started_ms, seen_ms, until_ms) \
                 SELECT 'x', 'x', 'bell-0', '', '', 0, 0, (extract(epoch from clock_timestamp()) * 1000)::bigint + ";
    let other = server.database().await;
    there.run(&format!("{lease} 60000")).await;
    for (from, to) in [(database(&there), database(&other)), (from.clone(), database(&there))] {
        let said = refusal(whole(&from, &to).await);
        assert!(said.contains("serves from the database (bell-0)"), "{said}");
    }
    // A lease that ran out is nobody's.
    there.run("UPDATE alarmbell.replicas SET until_ms = until_ms - 70000").await;
    whole(&database(&there), &database(&other)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_not_be_copied_is_refused() {
    let Some(server) = shared() else { return };
    let (source, one, other, new) = (full(), server.database().await, server.database().await, server.database().await);
    let (from, to) = (folder(source.path()), database(&one));
    let said = refusal(whole(&to, &database(&other)).await);
    assert!(said.contains("the source: there is no store in the database"), "{said}");
    assert_eq!(number(&one, "SELECT count(*) FROM pg_namespace WHERE nspname = 'alarmbell'").await, 0);
    whole(&from, &to).await.unwrap();
    for (from, to, why) in [
        (&to, &to, "the same store"),
        (&from, &to, "DROP SCHEMA alarmbell"),
        (&Place::Database(Secret::new("postgres://x:MARK@127.0.0.1:1/x")), &database(&new), "the source"),
        (&from, &Place::Database(Secret::new("postgres://x:MARK@127.0.0.1:1/x")), "the target"),
    ] {
        let said = refusal(whole(from, to).await);
        assert!(said.contains(why) && !said.contains("MARK"), "{said}");
    }
    one.run("UPDATE alarmbell.meta SET value = '99' WHERE key = 'version'").await;
    let said = refusal(whole(&to, &database(&new)).await);
    assert!(said.contains("version 99"), "{said}");
    one.run("UPDATE alarmbell.meta SET value = '1' WHERE key = 'version'").await;
    one.run("UPDATE alarmbell.meta SET value = 'copying' WHERE key = 'state'").await;
    let said = refusal(whole(&to, &database(&new)).await);
    assert!(said.contains("not complete"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_used_in_between_is_noticed() {
    let changes = [
        ("messages", "UPDATE messages SET attempts = attempts + 1 WHERE seq = 1"),
        ("attempts", "INSERT INTO attempts (robot, message, started_ms) VALUES (1, 1, 99)"),
        ("heads", "DELETE FROM heads WHERE key = (2 << 40) + 4"),
        ("bots", "UPDATE bots SET accepted = accepted + 1 WHERE id = 2"),
        ("told", "UPDATE told SET told_ms = told_ms + 99 WHERE fp = 1"),
        ("robots", "UPDATE robots SET failures = 1 WHERE id = 1"),
        ("dead_letters", "DELETE FROM dead_letters WHERE id = 1"),
    ];
    for (table, sql) in changes {
        let (source, copied) = (full(), tempfile::tempdir().unwrap());
        let (from, to) = (folder(source.path()), folder(copied.path()));
        part(&from, &to, 3).await.unwrap_err();
        edit(source.path(), sql);
        let said = refusal(whole(&from, &to).await);
        assert!(
            said.contains("another by now") && said.contains(table) && said.contains("delete the folder"),
            "{said}"
        );
        // Also while it is copied: the lock does not keep `alarmbell send` out.
        let (source, copied) = (full(), tempfile::tempdir().unwrap());
        let mut watch = |step: Step| {
            if step.all_done == step.all_rows {
                edit(source.path(), sql);
            }
            ControlFlow::Continue(())
        };
        let said = refusal(copy(&order(&folder(source.path()), &folder(copied.path())), &mut watch).await);
        assert!(said.contains("was used while it was copied") && said.contains(table), "{said}");
        assert!(sqlite_refuses(copied.path()).contains("not complete"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_that_comes_to_the_target_ends_the_copy() {
    let Some(server) = shared() else { return };
    let source = full();
    let from = folder(source.path());
    for sql in [
        "UPDATE alarmbell.meta SET value = 'another' WHERE key = 'copy'",
        "INSERT INTO alarmbell.replicas (id, home, name, version, config_hash, started_ms, seen_ms, until_ms) \
         VALUES ('x', 'x', 'bell-0', '', '', 0, 0, 9000000000000)",
    ] {
        let there = server.database().await;
        let mut steps = 0;
        let mut watch = |_: Step| {
            steps += 1;
            if steps == 2 {
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(there.run(sql)));
            }
            ControlFlow::Continue(())
        };
        let said = refusal(copy(&order(&from, &database(&there)), &mut watch).await);
        assert!(said.contains("another copy, or a server"), "{said}");
        assert_eq!(steps, 2);
    }
    // An unfinished copy by an alarmbell that notes it in another way.
    let there = server.database().await;
    part(&from, &database(&there), 2).await.unwrap_err();
    there.run("UPDATE alarmbell.meta SET value = '{\"format\":2}' WHERE key = 'copy'").await;
    let said = refusal(whole(&from, &database(&there)).await);
    assert!(said.contains("by another alarmbell"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_do_not_add_up_are_said_and_rows_that_nobody_needs_stay_behind() {
    let (source, copied) = (full(), tempfile::tempdir().unwrap());
    edit(source.path(), "UPDATE bots SET dead = dead + 1 WHERE id = 1; INSERT INTO bodies VALUES (99, 1, x'00')");
    let report = whole(&folder(source.path()), &folder(copied.path())).await.unwrap();
    assert_eq!(report.unproved, ["a"]);
    assert_eq!(dump(copied.path())["bodies"].len() + 1, dump(source.path())["bodies"].len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_told_in_order() {
    let (source, copied) = (full(), tempfile::tempdir().unwrap());
    let mut steps = Vec::new();
    let mut watch = |step: Step| {
        steps.push(step);
        ControlFlow::Continue(())
    };
    copy(&order(&folder(source.path()), &folder(copied.path())), &mut watch).await.unwrap();
    assert!(steps.windows(2).all(|pair| pair[0].all_done < pair[1].all_done));
    let last = steps.last().unwrap();
    assert_eq!((last.all_done, last.done, last.table), (last.all_rows, last.rows, "dead_letters"));
    // A large body has a batch of its own.
    let bodies: Vec<u64> = steps.iter().filter(|step| step.table == "bodies").map(|step| step.done).collect();
    assert_eq!(bodies, [2, 4]);
}
