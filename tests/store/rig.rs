//! Replicas on one database, and feeds that hold what they hear to its rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alarmbell::model::{Head, Millis};
use alarmbell::store::postgres::{Options, PgStore};
use alarmbell::store::{Beat, BotImage, Cluster, Feed, Store};
use tokio::sync::watch;

use crate::harness::{Audit, NOW};
use crate::postgres::{audit, open, options, stopped_clock};
use crate::server::{Database, Server, shared};

pub(crate) fn names(bots: &[&str]) -> Vec<Arc<str>> {
    bots.iter().map(|bot| Arc::from(*bot)).collect()
}

/// A database and the homes of its replicas.
pub(crate) struct Rig {
    pub(crate) database: Database,
    homes: tempfile::TempDir,
}

impl Rig {
    /// On a database in which it is [`NOW`]; none on a machine without PostgreSQL.
    pub(crate) async fn new() -> Option<Self> {
        Self::at(NOW).await
    }

    /// On a database in which it is this time.
    pub(crate) async fn at(now_ms: Millis) -> Option<Self> {
        Some(Self::on(&shared()?, now_ms).await)
    }

    /// On a server of one's own.
    pub(crate) async fn on(server: &Server, now_ms: Millis) -> Self {
        Self { database: stopped_clock(server, now_ms).await, homes: tempfile::tempdir().unwrap() }
    }

    /// Options of a replica by whose clock it is this time.
    pub(crate) fn options(&self, name: &str, now_ms: Millis) -> Options {
        Options { name: name.to_owned(), ..options(self.database.url(), Some(self.homes.path().join(name)), now_ms) }
    }

    /// A replica that is there and has claimed nothing.
    pub(crate) async fn replica(&self, name: &str) -> Replica {
        self.replica_with(self.options(name, NOW)).await
    }

    pub(crate) async fn replica_with(&self, options: Options) -> Replica {
        let store = Arc::new(open(&options).await);
        let heard = Arc::new(Heard::default());
        store.replay(heard.clone()).await.unwrap();
        let id = store.beat(Beat::default()).await.unwrap().me;
        assert!(!id.is_empty());
        Replica { store, heard, id }
    }

    /// Lets a replica's lease run out, as when it has been away.
    pub(crate) async fn expire(&self, replica: &Replica) {
        let changed = self
            .database
            .client()
            .await
            .execute("UPDATE alarmbell.replicas SET until_ms = seen_ms WHERE id = $1", &[&replica.id])
            .await
            .unwrap();
        assert_eq!(changed, 1);
    }

    /// Bots that are spoken for, and by which replica.
    pub(crate) async fn owners(&self) -> Vec<(String, String)> {
        let sql = "SELECT name, owner FROM alarmbell.bots WHERE owner IS NOT NULL ORDER BY name";
        let rows = self.database.client().await.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// The rows, after checking the proof and the sums on them.
    pub(crate) async fn audit(&self) -> Audit {
        let audit = audit(&self.database).await;
        audit.check();
        let wrong = "SELECT count(*) FROM alarmbell.bots b WHERE body_bytes <> \
             (SELECT coalesce(sum(length(body)), 0) FROM alarmbell.bodies WHERE bot = b.id)";
        assert_eq!(self.database.number(wrong).await, 0, "bytes of bodies");
        audit
    }
}

pub(crate) struct Replica {
    pub(crate) store: Arc<PgStore>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) id: String,
}

impl Replica {
    pub(crate) async fn enlist(&self, bots: &[&str]) {
        self.store.enlist(&names(bots)).await.unwrap();
    }

    pub(crate) async fn claim(&self, bots: &[&str]) -> bool {
        self.store.claim(&names(bots)).await.unwrap()
    }

    /// Bots that nobody else speaks for.
    pub(crate) async fn own(&self, bots: &[&str]) {
        self.enlist(bots).await;
        assert!(self.claim(bots).await, "{bots:?}");
    }
}

/// What was heard of one bot since one claim.
#[derive(Clone, Default)]
struct Session {
    image: BotImage,
    heads: Vec<Head>,
}

/// A feed that keeps apart what it heard after each image.
#[derive(Default)]
pub(crate) struct Heard {
    bots: Mutex<BTreeMap<String, Vec<Session>>>,
    /// What must not be; a panic inside a feed is caught by the engine.
    faults: Mutex<Vec<String>>,
    changed: watch::Sender<()>,
}

impl Feed for Heard {
    fn remember(&self, bot: &Arc<str>, image: BotImage) {
        let session = Session { image, heads: Vec::new() };
        self.bots.lock().unwrap().entry(bot.to_string()).or_default().push(session);
    }

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        let mut bots = self.bots.lock().unwrap();
        for (bot, head) in heads {
            let Some(session) = bots.get_mut(&**bot).and_then(|sessions| sessions.last_mut()) else {
                self.faults.lock().unwrap().push(format!("a head of {bot} before its image"));
                continue;
            };
            if let Some(last) = session.heads.last().filter(|last| last.pos >= head.pos) {
                self.faults.lock().unwrap().push(format!("{bot}: {} after {}", head.pos, last.pos));
            }
            session.heads.push(*head);
        }
        drop(bots);
        self.changed.send_replace(());
    }
}

impl Heard {
    /// How often a bot was claimed.
    pub(crate) fn sessions(&self, bot: &str) -> usize {
        self.bots.lock().unwrap().get(bot).map_or(0, Vec::len)
    }

    /// Of each claim the positions heard.
    pub(crate) fn all(&self, bot: &str) -> Vec<Vec<i64>> {
        self.check();
        let bots = self.bots.lock().unwrap();
        let sessions = bots.get(bot).into_iter().flatten();
        sessions.map(|session| session.heads.iter().map(|head| head.pos).collect()).collect()
    }

    /// Since the last claim.
    pub(crate) fn last(&self, bot: &str) -> Vec<i64> {
        self.heads(bot).iter().map(|head| head.pos).collect()
    }

    /// Since the last claim.
    pub(crate) fn heads(&self, bot: &str) -> Vec<Head> {
        self.session(bot).heads
    }

    /// At the last claim.
    pub(crate) fn image(&self, bot: &str) -> BotImage {
        self.session(bot).image
    }

    fn check(&self) {
        assert_eq!(*self.faults.lock().unwrap(), [""; 0]);
    }

    fn session(&self, bot: &str) -> Session {
        self.check();
        self.bots.lock().unwrap().get(bot).and_then(|sessions| sessions.last()).cloned().unwrap_or_default()
    }

    /// Waits until so many heads were heard since the last claim.
    pub(crate) async fn reaches(&self, bot: &str, count: usize) {
        let mut changed = self.changed.subscribe();
        let reached = changed.wait_for(|()| self.session(bot).heads.len() >= count);
        if tokio::time::timeout(Duration::from_secs(20), reached).await.is_err() {
            panic!("{bot}: heard {:?} of {count}", self.last(bot));
        }
    }
}
