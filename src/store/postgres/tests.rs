//! The engine against a server, in databases of their own: ALARMBELL_TEST_POSTGRES is the URL of one that may be made.
//! Without it they say so and pass.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

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
async fn every_position_is_heard_once_and_in_order_whoever_took_it() {
    let Some(place) = Place::new().await else { return };
    let nodes = [place.node().await, place.node().await, place.node().await];
    let bots = names(&["a", "b"]);
    assert!(nodes[0].store.claim(&bots).await.unwrap());
    assert!(!nodes[1].store.claim(&bots[..1]).await.unwrap(), "another replica speaks for it");
    // Somebody who holds a bot's row makes what is appended meanwhile commit late, and much of it at once.
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    for round in 0..5 {
        let hold = slow.transaction().await.unwrap();
        hold.execute("SELECT 1 FROM alarmbell.bots WHERE name = 'a' FOR UPDATE", &[]).await.unwrap();
        let appends = (0..30_u64).map(|nr| {
            let store = nodes[usize::try_from(nr).unwrap() % 3].store.inner.clone();
            let queue = nodes[usize::try_from(nr).unwrap() % 3].store.queue.clone();
            let to: &[&str] = if nr % 2 == 0 { &["a", "b"] } else { &["b", "a"] };
            let append = webhook(nr, to);
            async move { append::push(&store, &queue, append).await.unwrap() }
        });
        let appends: Vec<_> = appends.map(tokio::spawn).collect();
        let looks = tokio::spawn({
            let inner = nodes[0].store.inner.clone();
            async move {
                for _ in 0..20 {
                    feed::look(&inner).await.unwrap();
                }
            }
        });
        hold.commit().await.unwrap();
        for append in appends {
            append.await.unwrap();
        }
        looks.await.unwrap();
        feed::look(&nodes[0].store.inner).await.unwrap();
        let all: Vec<i64> = (1..=(round + 1) * 30).collect();
        assert_eq!(nodes[0].ear.positions("a"), all);
        assert_eq!(nodes[0].ear.positions("b"), all);
    }
    assert!(nodes[1].ear.heads.lock().unwrap().is_empty(), "nothing here is for it");
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.heads").await, 300);
    let wrong =
        "SELECT count(*) FROM alarmbell.heads h LEFT JOIN alarmbell.bodies b ON b.id = h.body WHERE b.id IS NULL";
    assert_eq!(place.number(wrong).await, 0, "each has its body");
    let bytes = webhook(0, &["a"]).body.len() as i64 * 150;
    assert_eq!(place.number("SELECT sum(body_bytes)::bigint FROM alarmbell.bots").await, bytes, "booked once");
    place.end(nodes.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_webhook_is_heard_before_it_is_answered() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    there.store.append(webhook(1, &["a"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [0; 0]);
    here.store.append(webhook(2, &["a", "b"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [1, 2], "also what another replica took before");
    assert_eq!(here.ear.positions("b"), [0; 0], "nobody speaks for it");
    // A feed that panics was told, and is told of the next.
    here.ear.deaf.store(true, std::sync::atomic::Ordering::Relaxed);
    here.store.append(webhook(3, &["a"])).await.unwrap();
    here.ear.deaf.store(false, std::sync::atomic::Ordering::Relaxed);
    here.store.append(webhook(4, &["a"])).await.unwrap();
    assert_eq!(here.ear.positions("a"), [1, 2, 4]);
    place.end(vec![here, there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_hears_all_of_it_while_alerts_come() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    let many: Vec<&str> = vec!["a"; 2_500];
    there.store.append(webhook(1, &many)).await.unwrap();
    let inner = (there.store.inner.clone(), there.store.queue.clone());
    let coming = tokio::spawn(async move {
        for nr in 0..40 {
            append::push(&inner.0, &inner.1, webhook(nr, &["a", "b"])).await.unwrap();
        }
    });
    assert!(here.store.claim(&names(&["b", "a", "c"])).await.unwrap());
    coming.await.unwrap();
    feed::look(&here.store.inner).await.unwrap();
    assert_eq!(here.ear.positions("a"), (1..=2_540).collect::<Vec<i64>>());
    assert_eq!(here.ear.positions("b"), (1..=40).collect::<Vec<i64>>());
    assert_eq!(here.ear.images.lock().unwrap().len(), 3);
    assert!(here.store.claim(&names(&["a"])).await.unwrap(), "it is ours already");
    assert_eq!(here.ear.images.lock().unwrap().len(), 3);
    // Given back, nothing more is heard of it; claimed by the other, all of it is.
    here.store.release(&names(&["a"])).await.unwrap();
    here.store.append(webhook(9, &["a"])).await.unwrap();
    feed::look(&here.store.inner).await.unwrap();
    assert_eq!(here.ear.positions("a").len(), 2_540);
    let pulse = there.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.free, [Free { bot: "a".into(), waiting: true }]);
    assert!(there.store.claim(&names(&["a"])).await.unwrap());
    assert_eq!(there.ear.positions("a"), (1..=2_541).collect::<Vec<i64>>());
    place.end(vec![here, there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_costs_the_bots_and_a_beat_says_so() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(here.store.claim(&names(&["a", "b"])).await.unwrap());
    let fence = "SELECT fence FROM alarmbell.bots WHERE name = 'a'";
    assert_eq!(place.number(fence).await, 1);
    let pulse = there.store.beat(Beat { config_hash: "h".to_owned() }).await.unwrap();
    assert_eq!(pulse.free, []);
    let mut bots: Vec<_> = pulse.replicas.iter().map(|replica| replica.bots).collect();
    bots.sort_unstable();
    assert_eq!(bots, [0, 2]);
    assert_eq!(pulse.replicas.iter().find(|replica| replica.id == pulse.me).unwrap().config_hash, "h");
    let expire = format!("UPDATE alarmbell.replicas SET until_ms = 1 WHERE id = '{}'", here.store.inner.me);
    place.run(&expire).await;
    let pulse = there.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.replicas.len(), 1);
    assert_eq!(pulse.free.iter().map(|free| &*free.bot).collect::<Vec<_>>(), ["a", "b"]);
    assert!(there.store.claim(&names(&["a"])).await.unwrap());
    assert_eq!(place.number(fence).await, 2);
    // The first wakes up: one is lost, the other is its own again since nobody took it.
    let pulse = here.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.lost, names(&["a"]));
    assert_eq!(pulse.free, []);
    here.store.forget(&pulse.lost);
    assert_eq!(here.store.beat(Beat::default()).await.unwrap().lost, []);
    assert!(!here.store.claim(&names(&["a", "c"])).await.unwrap());
    assert_eq!(
        place.number("SELECT count(*) FROM alarmbell.bots WHERE name = 'c' AND owner IS NULL").await,
        1,
        "all or none"
    );
    // Views: each shows its own only.
    here.store.publish(vec![("a".into(), "1".to_owned()), ("b".into(), "2".to_owned())]).await.unwrap();
    assert_eq!(there.store.views().await.unwrap(), [("b".into(), "2".to_owned())]);
    // Whoever was lost sight of for long appears anew.
    place.run("UPDATE alarmbell.replicas SET until_ms = 1").await;
    there.store.beat(Beat::default()).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    assert_eq!(here.store.beat(Beat::default()).await.unwrap().replicas.len(), 2);
    here.store.leave().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.bots WHERE owner IS NOT NULL").await, 1);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    place.end(vec![here, there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_that_races_a_claim_sees_what_it_lost() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    place.run(&format!("UPDATE alarmbell.replicas SET until_ms = 1 WHERE id = '{}'", here.store.inner.me)).await;
    // A claim of another, stopped between its look at the lease and its commit.
    let mut other = connect(&url_of(&place.server, &place.name)).await;
    let claim = other.transaction().await.unwrap();
    claim.execute("SELECT 1 FROM alarmbell.bots WHERE name = 'a' FOR NO KEY UPDATE", &[]).await.unwrap();
    claim.execute("SELECT 1 FROM alarmbell.replicas WHERE until_ms = 1 FOR NO KEY UPDATE", &[]).await.unwrap();
    let inner = here.store.inner.clone();
    let beat = tokio::spawn(async move { cluster::beat(&inner, &Beat::default()).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.number(waits).await == 0 {
        tokio::task::yield_now().await;
    }
    claim.execute("UPDATE alarmbell.bots SET owner = 'other', fence = fence + 1", &[]).await.unwrap();
    claim.commit().await.unwrap();
    assert_eq!(beat.await.unwrap().unwrap().lost, names(&["a"]));
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_comes_back_frees_what_its_process_had() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    assert!(there.store.claim(&names(&["b"])).await.unwrap());
    for node in [&here, &there] {
        place
            .run(&format!(
                "INSERT INTO alarmbell.attempts (robot, id, message, started_ms, owner, fence) \
                 SELECT 1, coalesce(max(id), 0) + 1, 1, 1, '{}', 1 FROM alarmbell.attempts",
                node.store.inner.me
            ))
            .await;
    }
    let Node { store, home, .. } = here;
    store.close().await;
    let back = PgStore::open(place.options(home.path()), metrics()).await.unwrap();
    let owners = "SELECT count(*) FROM alarmbell.bots WHERE owner IS NOT NULL";
    assert_eq!(place.number(owners).await, 1);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL").await, 1);
    assert_eq!(place.number("SELECT fence FROM alarmbell.bots WHERE name = 'a'").await, 2);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    back.close().await;
    place.end(vec![there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backlog_refuses_until_there_is_room() {
    let Some(place) = Place::new().await else { return };
    let here = place.node_with(|options| options.max_alerts = 3).await;
    here.store.append(webhook(1, &["a", "b"])).await.unwrap();
    let full = here.store.append(webhook(1, &["a", "b"])).await.unwrap_err();
    assert_eq!(full.to_string(), "the backlog is full: 2 of at most 3 alerts wait");
    here.store.append(webhook(1, &["a"])).await.unwrap();
    assert!(matches!(here.store.append(webhook(1, &["a"])).await, Err(StoreError::BacklogFull(_))));
    here.store.beat(Beat::default()).await.unwrap();
    assert!(matches!(here.store.append(webhook(1, &["a"])).await, Err(StoreError::BacklogFull(_))));
    place.run("DELETE FROM alarmbell.heads WHERE bot = 1 AND pos = 1; UPDATE alarmbell.bots SET told_named = 1 WHERE id = 1").await;
    here.store.append(webhook(1, &["a"])).await.unwrap();
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_webhook_s_fault_is_its_own() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    place.run("ALTER TABLE alarmbell.heads ADD CHECK (fp <> 666)").await;
    // The first holds the task up, so that the others are one batch.
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    let hold = slow.transaction().await.unwrap();
    hold.execute("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    let append = |fingerprint| {
        let (inner, queue) = (here.store.inner.clone(), here.store.queue.clone());
        tokio::spawn(async move { append::push(&inner, &queue, webhook(fingerprint, &["a"])).await })
    };
    let first = append(1);
    while here.store.queue.len() > 0 || !first.is_finished() && place.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").await == 0 {
        tokio::task::yield_now().await;
    }
    let others = [append(2), append(666), append(3)];
    while here.store.queue.len() < 3 {
        tokio::task::yield_now().await;
    }
    hold.rollback().await.unwrap();
    first.await.unwrap().unwrap();
    let mut failed = 0;
    for other in others {
        failed += u32::from(other.await.unwrap().is_err());
    }
    assert_eq!(failed, 1);
    assert_eq!(here.ear.positions("a"), [1, 2, 3]);
    place.end(vec![here]).await;
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
    let cut = tokio::spawn(async move { append::push(&inner, &queue, webhook(1, &["a"])).await });
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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_so_at_once_and_a_closed_store_too() {
    let Some(place) = Place::new().await else { return };
    let here = place.node_with(|options| (options.queue_ops, options.batch_ops) = (2, 1)).await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    let mut slow = connect(&url_of(&place.server, &place.name)).await;
    let hold = slow.transaction().await.unwrap();
    hold.execute("SELECT 1 FROM alarmbell.bots FOR UPDATE", &[]).await.unwrap();
    let mut queued = Vec::new();
    while here.store.queue.len() < 2 {
        let (inner, queue) = (here.store.inner.clone(), here.store.queue.clone());
        queued.push(tokio::spawn(async move { append::push(&inner, &queue, webhook(1, &["a"])).await }));
        tokio::task::yield_now().await;
    }
    let full = here.store.append(webhook(9, &["a"])).await.unwrap_err();
    assert_eq!(full.to_string(), "the store is unavailable: its queue is full");
    hold.rollback().await.unwrap();
    // What is queued is finished by the end of the store.
    here.store.close().await;
    let mut taken = 0;
    for append in queued {
        taken += i64::from(append.await.unwrap().is_ok());
    }
    assert!(taken >= 2);
    assert_eq!(place.number("SELECT accepted FROM alarmbell.bots WHERE name = 'a'").await, taken);
    let closed = here.store.append(webhook(9, &["a"])).await.unwrap_err();
    assert_eq!(closed.to_string(), "the store is unavailable: the store is closed");
    place.end(vec![here]).await;
}
