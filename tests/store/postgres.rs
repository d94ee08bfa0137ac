//! PostgreSQL as an engine of the battery: one replica that speaks for every bot it meets.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alarmbell::clock::{Clock, ManualClock};
use alarmbell::model::{MessageId, Millis, ToldAlert};
use alarmbell::store::postgres::{Options, PgStore};
use alarmbell::store::{
    Append, AttemptTimes, Beat, Begin, Begun, Cluster, Counters, DeadLetterPage, DeliveryPage, DeliveryQuery, Feed,
    HandOver, MessagePage, MessageQuery, MessageRow, MessageSlice, Outcome, Retention, RobotState, Store, StoreError,
    StoreSize, StoredBody,
};
use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::harness::{Audit, Bounds, NOW, Seen};
use crate::server::{Database, Server, shared};
use crate::sqlite::metrics;

/// A database whose clock stands still until a test moves it.
pub(crate) struct Engine {
    server: Server,
    database: OnceCell<Database>,
}

impl Engine {
    /// None on a machine without PostgreSQL.
    pub(crate) fn of_this_machine() -> Option<Self> {
        Some(Self { server: shared()?, database: OnceCell::new() })
    }

    async fn database(&self) -> &Database {
        self.database.get_or_init(|| stopped_clock(&self.server, TIME)).await
    }
}

/// A database in which it is `now_ms`: a function in front of the real one says so.
pub(crate) async fn stopped_clock(server: &Server, now_ms: Millis) -> Database {
    let database = server.database().await;
    let clock = format!(
        "CREATE SCHEMA stopped;
         CREATE TABLE stopped.clock (ms BIGINT NOT NULL);
         INSERT INTO stopped.clock VALUES ({now_ms});
         CREATE FUNCTION stopped.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
             $$ SELECT 'epoch'::timestamptz + (SELECT ms FROM stopped.clock) * interval '1 millisecond' $$;",
    );
    database.run(&clock).await;
    database.set("search_path", "stopped, pg_catalog, public").await;
    database
}

/// Lets time pass on the database's clock.
pub(crate) async fn advance(database: &Database, by: Duration) {
    database.run(&format!("UPDATE stopped.clock SET ms = ms + {}", by.as_millis())).await;
}

/// What time it is in the battery: attempts began before, and end later.
const TIME: Millis = NOW + 500;

/// A clock that stands at this time.
fn clock(now_ms: Millis) -> Arc<dyn Clock> {
    ManualClock::new(Timestamp::from_millisecond(now_ms).unwrap())
}

/// Options of a replica at this time, or of a guest, who has no home.
pub(crate) fn options(url: String, home: Option<PathBuf>, now_ms: Millis) -> Options {
    let poll = Duration::from_millis(20);
    Options { name: "replica".to_owned(), poll, ..Options::new(url.into(), home, clock(now_ms)) }
}

/// Opens; a process that just ended in this home may hold it for a moment.
pub(crate) async fn open(options: &Options) -> PgStore {
    let mut tries = 0;
    loop {
        match PgStore::open(options.clone(), metrics()).await {
            Ok(store) => return store,
            Err(StoreError::Unusable(_)) if tries < 500 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// What the rows say. Rows of bots that nothing was accepted for are there because somebody asked to speak for them.
pub(crate) async fn audit(database: &Database) -> Audit {
    let client = database.client().await;
    let bots = client
        .query(
            "SELECT name, accepted, told_named, told_counted, superseded, dead, \
             (SELECT count(*) FROM alarmbell.heads WHERE bot = bots.id) FROM alarmbell.bots WHERE accepted > 0",
            &[],
        )
        .await
        .unwrap();
    let bots = bots.iter().map(|row| {
        let count = |at: usize| row.get::<_, i64>(at).cast_unsigned();
        let counters = Counters {
            accepted: count(1),
            told_named: count(2),
            told_counted: count(3),
            superseded: count(4),
            dead: count(5),
        };
        (row.get(0), (counters, count(6)))
    });
    let number = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0).cast_unsigned();
    Audit {
        bots: bots.collect(),
        bodies: number("SELECT count(*) FROM alarmbell.bodies").await,
        needed_bodies: number("SELECT count(*) FROM alarmbell.bodies WHERE id IN (SELECT body FROM alarmbell.heads)")
            .await,
        attempts: number("SELECT count(*) FROM alarmbell.attempts").await,
        told: number("SELECT count(*) FROM alarmbell.told").await,
        parts: number("SELECT count(*) FROM alarmbell.message_parts").await,
    }
}

#[async_trait]
impl crate::harness::Engine for Engine {
    fn fresh(&self) -> Arc<dyn crate::harness::Engine> {
        Arc::new(Self { server: self.server.clone(), database: OnceCell::new() })
    }

    async fn open(&self, dir: &Path, bounds: Bounds) -> Arc<dyn Store> {
        let database = self.database().await;
        let mut options = options(database.url(), Some(dir.to_owned()), TIME);
        options.max_alerts = bounds.max_alerts.unwrap_or(options.max_alerts);
        options.max_bytes = bounds.max_bytes.unwrap_or(options.max_bytes);
        options.queue_ops = bounds.queue_ops.unwrap_or(options.queue_ops);
        let store = Arc::new(open(&options).await);
        let rows = database.client().await.query("SELECT name FROM alarmbell.bots ORDER BY id", &[]).await.unwrap();
        let known = rows.iter().map(|row| Arc::from(row.get::<_, &str>(0))).collect();
        let voice = Voice {
            store: store.clone(),
            known,
            listens: OnceCell::new(),
            mine: Mutex::default(),
            claims: tokio::sync::Mutex::default(),
        };
        Arc::new(Speaker { voice: Arc::new(voice), store, tasks: Mutex::default() })
    }

    async fn audit(&self, _: &Path) -> Audit {
        audit(self.database().await).await
    }

    async fn plant_orphan(&self, _: &Path) {
        self.database().await.run("INSERT INTO alarmbell.bodies (received_ms, bot, body) VALUES (1, 1, '\\x00')").await;
    }

    fn ends_attempts_at_open(&self) -> Option<Millis> {
        Some(TIME)
    }
}

/// A replica that claims each bot before it does anything with it, as an engine of one process needs not.
struct Speaker {
    voice: Arc<Voice>,
    store: Arc<PgStore>,
    /// What is under way whether or not anybody polls, as on a writer thread.
    tasks: Mutex<Vec<tokio::task::AbortHandle>>,
}

/// For which bots it speaks.
struct Voice {
    store: Arc<PgStore>,
    /// Bots that were there when it was opened.
    known: Vec<Arc<str>>,
    listens: OnceCell<()>,
    mine: Mutex<HashSet<Arc<str>>>,
    claims: tokio::sync::Mutex<()>,
}

impl Drop for Speaker {
    /// A process that ends takes what it does with it.
    fn drop(&mut self) {
        self.tasks.lock().unwrap().drain(..).for_each(|task| task.abort());
    }
}

impl Voice {
    /// Speaks for these from now on.
    async fn speak(&self, mut new: Vec<Arc<str>>) -> Result<(), StoreError> {
        let keep_new = |new: &mut Vec<Arc<str>>| {
            let mine = self.mine.lock().unwrap();
            new.retain(|bot| !mine.contains(bot));
        };
        keep_new(&mut new);
        if new.is_empty() && self.listens.initialized() {
            return Ok(());
        }
        // Some tests never listen.
        self.listen(Arc::new(Seen::default())).await?;
        let _one_by_one = self.claims.lock().await;
        keep_new(&mut new);
        new.sort_unstable();
        new.dedup();
        self.claim(new).await
    }

    async fn listen(&self, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
        let listen = || async {
            self.store.replay(feed).await?;
            self.claim(self.known.clone()).await
        };
        self.listens.get_or_try_init(listen).await.copied()
    }

    async fn claim(&self, bots: Vec<Arc<str>>) -> Result<(), StoreError> {
        if bots.is_empty() {
            return Ok(());
        }
        self.store.enlist(&bots).await?;
        let pulse = self.store.beat(Beat::default()).await?;
        assert_eq!(pulse.lost, [], "nobody else is there");
        assert!(self.store.claim(&bots).await?, "{bots:?}");
        self.mine.lock().unwrap().extend(bots);
        Ok(())
    }
}

impl Speaker {
    /// Speaks for these bots, and does it, in a task of its own.
    async fn run<T, F>(
        &self,
        bots: impl IntoIterator<Item = Arc<str>>,
        work: impl FnOnce(Arc<PgStore>) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (voice, bots) = (self.voice.clone(), bots.into_iter().collect());
        let task = tokio::spawn(async move {
            voice.speak(bots).await?;
            work(voice.store.clone()).await
        });
        self.tasks.lock().unwrap().push(task.abort_handle());
        task.await.unwrap()
    }
}

#[async_trait]
impl Store for Speaker {
    async fn replay(&self, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
        assert!(!self.voice.listens.initialized(), "replayed after first use");
        self.voice.listen(feed).await
    }

    /// Not in a task: it is in the queue when it was polled once.
    async fn append(&self, append: Append) -> Result<(), StoreError> {
        self.voice.speak(append.heads.iter().map(|head| head.bot.clone()).collect()).await?;
        self.store.append(append).await
    }

    async fn bodies(&self, ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError> {
        self.store.bodies(ids).await
    }

    async fn via(&self, id: u32) -> Result<Arc<str>, StoreError> {
        self.store.via(id).await
    }

    async fn robot(&self, robot: &str, since_ms: Millis) -> Result<(RobotState, Vec<AttemptTimes>), StoreError> {
        self.store.robot(robot, since_ms).await
    }

    async fn keep_alerts(&self, message: &MessageId, part: u32, alerts: Vec<ToldAlert>) -> Result<(), StoreError> {
        self.store.keep_alerts(message, part, alerts).await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        self.run([begin.bot.clone()], move |store| async move { store.begin(begin).await }).await
    }

    async fn finish(&self, outcome: Outcome) -> Result<(), StoreError> {
        self.run([outcome.bot.clone()], move |store| async move { store.finish(outcome).await }).await
    }

    async fn superseded(&self, bot: Arc<str>, positions: Vec<i64>) -> Result<(), StoreError> {
        self.run([bot.clone()], move |store| async move { store.superseded(bot, positions).await }).await
    }

    async fn set_robot(&self, robot: &str, state: RobotState) -> Result<(), StoreError> {
        self.store.set_robot(robot, state).await
    }

    async fn rehome(&self, from: Arc<str>, to: Vec<Arc<str>>, now_ms: Millis) -> Result<u64, StoreError> {
        self.run([from.clone()].into_iter().chain(to.clone()), move |store| async move {
            store.rehome(from, to, now_ms).await
        })
        .await
    }

    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError> {
        self.run([hand_over.from.clone(), hand_over.to.clone()], move |store| async move {
            store.hand_over(hand_over).await
        })
        .await
    }

    async fn remember_fallbacks(&self, fallbacks: Vec<(Arc<str>, Option<Arc<str>>)>) -> Result<(), StoreError> {
        self.store.remember_fallbacks(fallbacks).await
    }

    async fn fallback_of(&self, bot: &str) -> Result<Option<Arc<str>>, StoreError> {
        self.store.fallback_of(bot).await
    }

    async fn messages(&self, query: MessageQuery) -> Result<MessagePage, StoreError> {
        self.store.messages(query).await
    }

    async fn message(&self, id: &MessageId) -> Result<MessageRow, StoreError> {
        self.store.message(id).await
    }

    async fn message_slice(&self, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, StoreError> {
        self.store.message_slice(id, skip, limit).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        self.store.deliveries(query).await
    }

    async fn dead_letters(
        &self,
        bot: Option<String>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<DeadLetterPage, StoreError> {
        self.store.dead_letters(bot, limit, after).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        self.store.dead_letter_counts().await
    }

    async fn replay_dead_letter(&self, id: i64, bot: Option<Arc<str>>, now_ms: Millis) -> Result<(), StoreError> {
        self.run(bot.clone(), move |store| async move { store.replay_dead_letter(id, bot, now_ms).await }).await
    }

    async fn delete_dead_letter(&self, id: i64) -> Result<(), StoreError> {
        self.store.delete_dead_letter(id).await
    }

    async fn clean(&self, retention: Retention) -> Result<bool, StoreError> {
        self.store.clean(retention).await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        self.store.size().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.store.ready().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
