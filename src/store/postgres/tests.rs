//! The engine against a server, in databases of their own: ALARMBELL_TEST_POSTGRES is the URL of one that may be made.
//! Without it they say so and pass.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod append;
mod cluster;
mod plans;
mod told;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use prometheus::Registry;
use tokio_postgres::{Client, NoTls};

use super::*;
use crate::clock::SystemClock;
use crate::model::{Head, HeadFlags, Status};
use crate::store::{BotImage, Free, NewHead};

#[derive(Default)]
struct Ear {
    images: Mutex<Vec<(Arc<str>, BotImage)>>,
    heads: Mutex<Vec<(Arc<str>, Head)>>,
    deaf: AtomicBool,
}

impl Feed for Ear {
    fn remember(&self, bot: &Arc<str>, image: BotImage) {
        self.images.lock().unwrap().push((bot.clone(), image));
    }

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        assert!(!self.deaf.load(std::sync::atomic::Ordering::Relaxed), "asked for by a test");
        self.heads.lock().unwrap().extend_from_slice(heads);
    }
}

impl Ear {
    fn positions(&self, bot: &str) -> Vec<i64> {
        self.heads.lock().unwrap().iter().filter(|(name, _)| &**name == bot).map(|(_, head)| head.pos).collect()
    }
}

/// A database of its own.
struct Place {
    server: String,
    name: String,
    admin: Client,
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn url_of(server: &str, database: &str) -> String {
    let (place, query) = server.split_once('?').unwrap_or((server, ""));
    let scheme = place.find("://").unwrap() + 3;
    let end = place[scheme..].find('/').map_or(place.len(), |at| scheme + at);
    format!("{}/{database}?{query}", &place[..end])
}

/// A replica, with what it hears.
struct Node {
    store: PgStore,
    ear: Arc<Ear>,
    home: tempfile::TempDir,
}

impl Place {
    async fn new() -> Option<Self> {
        let Ok(server) = std::env::var("ALARMBELL_TEST_POSTGRES") else {
            eprintln!("skipped: ALARMBELL_TEST_POSTGRES does not name a server");
            return None;
        };
        let name = format!("alarmbell_test_{:016x}", fastrand::u64(..));
        let main = connect(&server).await;
        main.batch_execute(&format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")).await.unwrap();
        let admin = connect(&url_of(&server, &name)).await;
        Some(Self { server, name, admin })
    }

    fn options(&self, home: &std::path::Path) -> Options {
        let mut options =
            Options::new(url_of(&self.server, &self.name).into(), Some(home.to_owned()), SystemClock::new());
        // The tests look for news themselves.
        options.poll = Duration::from_secs(3_600);
        options.connections = 6;
        options
    }

    async fn node_with(&self, change: impl FnOnce(&mut Options)) -> Node {
        let home = tempfile::tempdir().unwrap();
        let mut options = self.options(home.path());
        change(&mut options);
        let store = PgStore::open(options, metrics()).await.unwrap();
        let ear = Arc::new(Ear::default());
        store.replay(ear.clone()).await.unwrap();
        store.beat(Beat::default()).await.unwrap();
        Node { store, ear, home }
    }

    async fn node(&self) -> Node {
        self.node_with(|_| {}).await
    }

    async fn number(&self, sql: &str) -> i64 {
        self.admin.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn run(&self, sql: &str) {
        self.admin.batch_execute(sql).await.unwrap();
    }

    /// Drops the database.
    async fn end(self, nodes: Vec<Node>) {
        for node in nodes {
            node.store.close().await;
        }
        drop(self.admin);
        let main = connect(&self.server).await;
        main.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.unwrap();
    }
}

fn metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::new()).unwrap()
}

fn webhook(fingerprint: u64, bots: &[&str]) -> Append {
    let head = |bot: &&str| NewHead {
        bot: (*bot).into(),
        via: "default".into(),
        idx: 0,
        fingerprint: Fingerprint(fingerprint),
        group: 1,
        status: Status::Firing,
        severity: 0,
        flags: HeadFlags::default(),
        starts_ms: 1,
        ends_ms: 0,
    };
    Append { received_ms: 5, body: b"{\"\\u0000\": \"\xff\"}"[..].into(), heads: bots.iter().map(head).collect() }
}

fn names(bots: &[&str]) -> Vec<Arc<str>> {
    bots.iter().map(|bot| Arc::from(*bot)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let Some(place) = Place::new().await else { return };
    let homes: Vec<_> = (0..6).map(|_| tempfile::tempdir().unwrap()).collect();
    let opening = homes.iter().map(|home| tokio::spawn(PgStore::open(place.options(home.path()), metrics())));
    for store in opening.collect::<Vec<_>>() {
        store.await.unwrap().unwrap().close().await;
    }
    assert_eq!(place.number("SELECT value::bigint FROM alarmbell.meta WHERE key = 'version'").await, 1);
    let again = PgStore::open(place.options(homes[0].path()), metrics()).await.unwrap();
    let second = PgStore::open(place.options(homes[0].path()), metrics()).await.err().unwrap();
    assert!(second.to_string().starts_with("another alarmbell serves from"), "{second}");
    again.close().await;
    for (change, says) in [
        ("UPDATE alarmbell.meta SET value = 'copying' WHERE key = 'state'", "is being copied"),
        ("UPDATE alarmbell.meta SET value = '99' WHERE key = 'version'", "use the newer alarmbell"),
        ("UPDATE alarmbell.meta SET value = 'x' WHERE key = 'version'", "not made by alarmbell"),
    ] {
        place.run(change).await;
        let error = PgStore::open(place.options(homes[0].path()), metrics()).await.err().unwrap();
        assert!(matches!(error, StoreError::Unusable(_)) && error.to_string().contains(says), "{error}");
    }
    place.end(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_is_told_the_remedy() {
    let Some(place) = Place::new().await else { return };
    let role = format!("{}_role", place.name);
    place.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p@ss?w'")).await;
    let home = tempfile::tempdir().unwrap();
    let at = url_of(&place.server, &place.name);
    let host = at.split_once('@').map_or(&at[at.find("://").unwrap() + 3..], |(_, host)| host);
    let mut options = place.options(home.path());
    options.url = format!("postgres://{role}:p%40ss%3Fw@{host}").into();
    let error = PgStore::open(options, metrics()).await.err().unwrap();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("CREATE SCHEMA")), "{error}");
    place.run(&format!("DROP ROLE {role}")).await;
    place.end(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_an_unknown_outcome_and_the_next_works() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    let hold = slow.transaction().await.unwrap();
    hold.execute("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    let (inner, queue) = (here.store.inner.clone(), here.store.queue.clone());
    let cut = tokio::spawn(async move { super::append::push(&inner, &queue, webhook(1, &["a"])).await });
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.number(kill).await == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(cut.await.unwrap(), Err(StoreError::Unavailable(_))));
    hold.rollback().await.unwrap();
    here.store.append(webhook(2, &["a"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [1]);
    // All others were cut while nobody used them.
    place.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()").await;
    let mut worked = here.store.append(webhook(3, &["a"])).await;
    if worked.is_err() {
        worked = here.store.append(webhook(3, &["a"])).await;
    }
    worked.unwrap();
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_given_up_here_and_there() {
    let Some(place) = Place::new().await else { return };
    let here = place.node_with(|options| options.statement_timeout = Duration::from_millis(200)).await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    let hold = slow.transaction().await.unwrap();
    hold.execute("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    let error = here.store.append(webhook(1, &["a"])).await.unwrap_err();
    assert_eq!(error.to_string(), "the store is unavailable: the database did not answer in time");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.number(waits).await > 0 {
        tokio::task::yield_now().await;
    }
    hold.rollback().await.unwrap();
    here.store.append(webhook(2, &["a"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [1], "what was given up was not written later");
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_falls_silent_inside_a_transaction_holds_nobody_up() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(there.store.claim(&names(&["a"])).await.unwrap());
    let mut conn = here.store.inner.db.conn().await.unwrap();
    let silent = db::transaction(&mut conn, Duration::from_secs(10)).await.unwrap();
    silent.query_typed("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    there.store.append(webhook(1, &["a"])).await.unwrap();
    assert_eq!(there.ear.positions("a"), [1]);
    assert!(silent.query_typed("SELECT 1", &[]).await.is_err(), "its transaction was ended");
    drop(silent);
    drop(conn);
    place.end(vec![here, there]).await;
}
