//! A store that several dispatchers of one test share: SQLite for what is kept, and rules of its own for who speaks for
//! which bot.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, ManualClock};
use crate::model::{Fingerprint, Head, MessageId, Millis, Status, ToldAlert};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::*;

/// Who made an attempt, under which fence, and when. Nobody else ends it.
struct Made {
    by: String,
    fence: u64,
    started_ms: Millis,
    ended: bool,
}

/// What stands in the database besides what SQLite keeps.
#[derive(Default)]
pub(super) struct Rows {
    replicas: HashMap<String, (Replica, Duration)>,
    owners: HashMap<Arc<str>, String>,
    fences: HashMap<Arc<str>, u64>,
    /// The last position that the owner has heard.
    heard: HashMap<Arc<str>, i64>,
    feeds: HashMap<String, Arc<dyn Feed>>,
    attempts: HashMap<(Arc<str>, i64), Made>,
    views: HashMap<Arc<str>, String>,
    bots: BTreeSet<Arc<str>>,
    firing: HashSet<(Fingerprint, Arc<str>)>,
}

impl Rows {
    fn live(&self, id: &str, now: Duration) -> bool {
        self.replicas.get(id).is_some_and(|(_, until)| *until > now)
    }

    fn is_free(&self, bot: &str, now: Duration) -> bool {
        self.owners.get(bot).is_none_or(|owner| !self.live(owner, now))
    }

    pub(super) fn owner(&self, bot: &str) -> Option<String> {
        self.owners.get(bot).cloned()
    }

    /// Gives a bot to somebody, whatever its owner thinks.
    pub(super) fn set_owner(&mut self, bot: &str, owner: Option<&str>) {
        *self.fences.entry(bot.into()).or_default() += 1;
        match owner {
            Some(owner) => drop(self.owners.insert(bot.into(), owner.to_owned())),
            None => drop(self.owners.remove(bot)),
        }
    }
}

pub(super) struct Hall {
    pub(super) store: SqliteStore,
    path: PathBuf,
    clock: Arc<ManualClock>,
    rows: Mutex<Rows>,
}

impl Hall {
    pub(super) async fn new(path: PathBuf, clock: Arc<ManualClock>) -> Arc<Self> {
        let metrics = StoreMetrics::register(&prometheus::Registry::new()).unwrap();
        let store = SqliteStore::open(&Options::new(&path), metrics).unwrap();
        let hall = Arc::new(Self { store, path, clock, rows: Mutex::default() });
        hall.store.replay(Arc::new(Fan(Arc::downgrade(&hall)))).await.unwrap();
        hall
    }

    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }
}

/// Hands each head to whoever speaks for its bot.
struct Fan(std::sync::Weak<Hall>);

impl Feed for Fan {
    fn remember(&self, _: &Arc<str>, _: BotImage) {}

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        let Some(hall) = self.0.upgrade() else { return };
        let mut rows = hall.rows();
        let mut told: HashMap<String, Vec<(Arc<str>, Head)>> = HashMap::new();
        for (bot, head) in heads {
            rows.bots.insert(Arc::clone(bot));
            if head.status == Status::Firing {
                rows.firing.insert((head.fingerprint, Arc::clone(bot)));
            }
            let Some(owner) = rows.owner(bot) else { continue };
            let heard = rows.heard.entry(Arc::clone(bot)).or_default();
            if head.pos > *heard {
                *heard = head.pos;
                told.entry(owner).or_default().push((Arc::clone(bot), *head));
            }
        }
        for (owner, heads) in told {
            if let Some(feed) = rows.feeds.get(&owner) {
                feed.committed(&heads);
            }
        }
    }
}

/// Passes on what is stored of some bots.
struct Only {
    bots: Vec<Arc<str>>,
    to: Arc<dyn Feed>,
    heard: Mutex<HashMap<Arc<str>, i64>>,
}

impl Feed for Only {
    fn remember(&self, bot: &Arc<str>, image: BotImage) {
        if self.bots.contains(bot) {
            self.heard.lock().unwrap().insert(Arc::clone(bot), i64::try_from(image.counters.accepted).unwrap());
            self.to.remember(bot, image);
        }
    }

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        let heads: Vec<_> = heads.iter().filter(|(bot, _)| self.bots.contains(bot)).cloned().collect();
        for (bot, head) in &heads {
            let mut heard = self.heard.lock().unwrap();
            let heard = heard.entry(Arc::clone(bot)).or_default();
            *heard = (*heard).max(head.pos);
        }
        self.to.committed(&heads);
    }
}

/// One replica's way to the shared store.
pub(super) struct Member {
    pub(super) hall: Arc<Hall>,
    pub(super) id: String,
    /// Nothing reaches the store.
    pub(super) cut: AtomicBool,
    /// After the next attempt is committed the store is out of reach, and so much time passes.
    pub(super) pass_after_begin: Mutex<Option<Duration>>,
    mine: Mutex<HashSet<Arc<str>>>,
    /// What is stored of these can not be read.
    pub(super) damaged: Mutex<HashSet<Arc<str>>>,
    /// The next time that the store is asked for this, something panics.
    pub(super) defect: Mutex<Option<&'static str>>,
}

impl Member {
    pub(super) fn new(hall: &Arc<Hall>, id: &str) -> Arc<Self> {
        Arc::new(Self {
            hall: Arc::clone(hall),
            id: id.to_owned(),
            cut: AtomicBool::new(false),
            pass_after_begin: Mutex::default(),
            mine: Mutex::default(),
            damaged: Mutex::default(),
            defect: Mutex::default(),
        })
    }

    fn reach(&self) -> Result<&SqliteStore, StoreError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("cut off".to_owned()));
        }
        Ok(&self.hall.store)
    }

    fn panic_at(&self, place: &str) {
        let defect = self.defect.lock().unwrap().take_if(|at| *at == place);
        assert!(defect.is_none(), "a defect");
    }

    /// Renews the lease. Who is there, what is lost and what is free.
    fn renew(&self, config_hash: String) -> (Vec<Replica>, Vec<Arc<str>>, Vec<Arc<str>>) {
        let (now, now_ms) = (self.hall.clock.mono(), self.hall.clock.now_ms());
        let mut rows = self.hall.rows();
        let replica = Replica {
            id: self.id.clone(),
            name: format!("host-{}", self.id),
            version: "1".to_owned(),
            config_hash,
            started_ms: 1,
            seen_ms: now_ms,
            bots: 0,
        };
        rows.replicas.insert(self.id.clone(), (replica, now + LEASE));
        let has = |id: &str| rows.owners.values().filter(|owner| *owner == id).count() as u64;
        let live = rows.replicas.values().filter(|(_, until)| *until > now);
        let mut replicas: Vec<_> = live.map(|(one, _)| Replica { bots: has(&one.id), ..one.clone() }).collect();
        replicas.sort_by(|a, b| a.id.cmp(&b.id));
        let free: Vec<Arc<str>> = rows.bots.iter().filter(|bot| rows.is_free(bot, now)).cloned().collect();
        let mine = self.mine.lock().unwrap().clone();
        let lost = mine.into_iter().filter(|bot| rows.owner(bot).as_deref() != Some(&*self.id)).collect();
        (replicas, lost, free)
    }

    fn speaks(&self, bot: &str) -> Result<(), StoreError> {
        if self.hall.rows().owner(bot).as_deref() == Some(&*self.id) { Ok(()) } else { Err(StoreError::Fenced) }
    }
}

#[async_trait]
impl Store for Member {
    fn cluster(&self) -> Option<&dyn Cluster> {
        Some(self)
    }

    async fn replay(&self, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
        self.hall.rows().feeds.insert(self.id.clone(), feed);
        Ok(())
    }

    async fn append(&self, append: Append) -> Result<(), StoreError> {
        self.reach()?.append(append).await
    }

    async fn bodies(&self, ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError> {
        self.reach()?.bodies(ids).await
    }

    async fn via(&self, id: u32) -> Result<Arc<str>, StoreError> {
        self.reach()?.via(id).await
    }

    async fn robot(&self, robot: &str, since_ms: Millis) -> Result<(RobotState, Vec<AttemptTimes>), StoreError> {
        let (state, mut attempts) = self.reach()?.robot(robot, since_ms).await?;
        let rows = self.hall.rows();
        for ((_, id), made) in rows.attempts.iter().filter(|((of, _), made)| **of == *robot && !made.ended) {
            attempts.retain(|attempt| attempt.id != *id);
            attempts.push(AttemptTimes { id: *id, started_ms: made.started_ms, ended_ms: None });
        }
        attempts.sort_by_key(|attempt| attempt.id);
        Ok((state, attempts))
    }

    async fn keep_alerts(&self, message: &MessageId, part: u32, alerts: Vec<ToldAlert>) -> Result<(), StoreError> {
        self.reach()?.keep_alerts(message, part, alerts).await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let store = self.reach()?;
        self.speaks(&begin.bot)?;
        let (robot, bot, started_ms) = (Arc::clone(&begin.robot), Arc::clone(&begin.bot), begin.started_ms);
        let begun = store.begin(begin).await?;
        if let Begun::Attempt(attempt) = begun {
            let mut rows = self.hall.rows();
            let fence = rows.fences.get(&bot).copied().unwrap_or_default();
            let made = Made { by: self.id.clone(), fence, started_ms, ended: false };
            rows.attempts.insert((robot, attempt), made);
        }
        if let Some(time) = self.pass_after_begin.lock().unwrap().take() {
            self.cut.store(true, Ordering::SeqCst);
            self.hall.clock.advance(time);
        }
        Ok(begun)
    }

    async fn finish(&self, outcome: Outcome) -> Result<(), StoreError> {
        let store = self.reach()?;
        let fenced = {
            let mut rows = self.hall.rows();
            let fence = rows.fences.get(&outcome.bot).copied().unwrap_or_default();
            let made = rows.attempts.get_mut(&(Arc::clone(&outcome.robot), outcome.attempt));
            made.is_some_and(|made| {
                made.ended |= made.by == self.id;
                made.by != self.id || made.fence != fence
            })
        };
        if fenced || self.speaks(&outcome.bot).is_err() {
            let only_its_end = Effect::Kept { open: true };
            store.finish(Outcome { effect: only_its_end, superseded: Vec::new(), storm: None, ..outcome }).await?;
            return Err(StoreError::Fenced);
        }
        store.finish(outcome).await
    }

    async fn superseded(&self, bot: Arc<str>, positions: Vec<i64>) -> Result<(), StoreError> {
        self.speaks(&bot)?;
        self.reach()?.superseded(bot, positions).await
    }

    async fn set_robot(&self, robot: &str, state: RobotState) -> Result<(), StoreError> {
        self.reach()?.set_robot(robot, state).await
    }

    async fn rehome(&self, from: Arc<str>, to: Vec<Arc<str>>, now_ms: Millis) -> Result<u64, StoreError> {
        self.speaks(&from)?;
        self.reach()?.rehome(from, to, now_ms).await
    }

    async fn hand_over(&self, hand_over: HandOver) -> Result<u64, StoreError> {
        self.speaks(&hand_over.from)?;
        self.reach()?.hand_over(hand_over).await
    }

    async fn remember_fallbacks(&self, fallbacks: Vec<(Arc<str>, Option<Arc<str>>)>) -> Result<(), StoreError> {
        self.reach()?.remember_fallbacks(fallbacks).await
    }

    async fn fallback_of(&self, bot: &str) -> Result<Option<Arc<str>>, StoreError> {
        self.reach()?.fallback_of(bot).await
    }

    async fn messages(&self, query: MessageQuery) -> Result<MessagePage, StoreError> {
        self.reach()?.messages(query).await
    }

    async fn message(&self, id: &MessageId) -> Result<MessageRow, StoreError> {
        self.reach()?.message(id).await
    }

    async fn message_slice(&self, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, StoreError> {
        self.reach()?.message_slice(id, skip, limit).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        self.reach()?.deliveries(query).await
    }

    async fn dead_letters(
        &self,
        bot: Option<String>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<DeadLetterPage, StoreError> {
        self.reach()?.dead_letters(bot, limit, after).await
    }

    async fn dead_letter_counts(&self) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
        self.reach()?.dead_letter_counts().await
    }

    async fn replay_dead_letter(&self, id: i64, bot: Option<Arc<str>>, now_ms: Millis) -> Result<(), StoreError> {
        self.reach()?.replay_dead_letter(id, bot, now_ms).await
    }

    async fn delete_dead_letter(&self, id: i64) -> Result<(), StoreError> {
        self.reach()?.delete_dead_letter(id).await
    }

    async fn clean(&self, retention: Retention) -> Result<bool, StoreError> {
        self.reach()?.clean(retention).await
    }

    async fn size(&self) -> Result<StoreSize, StoreError> {
        self.reach()?.size().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.reach()?.ready().await
    }

    async fn close(&self) {}
}

#[async_trait]
impl Cluster for Member {
    async fn enlist(&self, bots: &[Arc<str>]) -> Result<(), StoreError> {
        self.reach()?;
        self.hall.rows().bots.extend(bots.iter().cloned());
        Ok(())
    }

    async fn beat(&self, beat: Beat) -> Result<Pulse, StoreError> {
        self.reach()?;
        self.panic_at("beat");
        let (replicas, lost, free) = self.renew(beat.config_hash);
        let page = self.hall.store.deliveries(DeliveryQuery {
            states: vec![DeliveryState::Waiting],
            limit: 1_000,
            ..DeliveryQuery::default()
        });
        let waiting: HashSet<String> = page.await?.rows.into_iter().map(|row| row.bot).collect();
        let free = free.into_iter().map(|bot| Free { waiting: waiting.contains(&*bot), bot }).collect();
        Ok(Pulse { me: self.id.clone(), replicas, lost, free })
    }

    async fn claim(&self, bots: &[Arc<str>]) -> Result<bool, StoreError> {
        self.reach()?;
        self.panic_at("claim");
        if bots.iter().any(|bot| self.damaged.lock().unwrap().contains(bot)) {
            return Err(StoreError::Unusable("the database is damaged".to_owned()));
        }
        let asked = bots;
        let (hall, id, bots) = (Arc::clone(&self.hall), self.id.clone(), bots.to_vec());
        let claim = move || {
            // No head passes meanwhile.
            let mut rows = hall.rows();
            let now = hall.clock.mono();
            if bots.iter().any(|bot| !rows.is_free(bot, now) && rows.owner(bot).as_deref() != Some(&*id)) {
                return false;
            }
            let to = Arc::clone(&rows.feeds[&id]);
            let only = Arc::new(Only { bots: bots.clone(), to, heard: Mutex::default() });
            for bot in &bots {
                only.to.remember(bot, BotImage::default());
            }
            let metrics = StoreMetrics::register(&prometheus::Registry::new()).unwrap();
            let guest = SqliteStore::open_shared(&Options::new(&hall.path), metrics).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                guest.replay(Arc::clone(&only) as Arc<dyn Feed>).await.unwrap();
                guest.close().await;
            });
            for bot in &bots {
                rows.set_owner(bot, Some(&id));
                let heard = only.heard.lock().unwrap().get(bot).copied().unwrap_or_default();
                rows.heard.insert(Arc::clone(bot), heard);
            }
            true
        };
        let claimed = tokio::task::spawn_blocking(claim).await.unwrap();
        if claimed {
            self.mine.lock().unwrap().extend(asked.iter().cloned());
        }
        Ok(claimed)
    }

    async fn release(&self, bots: &[Arc<str>]) -> Result<(), StoreError> {
        self.reach()?;
        self.panic_at("release");
        self.forget(bots);
        let mut rows = self.hall.rows();
        for bot in bots {
            if rows.owner(bot).as_deref() == Some(&*self.id) {
                rows.set_owner(bot, None);
            }
        }
        Ok(())
    }

    fn forget(&self, bots: &[Arc<str>]) {
        self.mine.lock().unwrap().retain(|bot| !bots.contains(bot));
    }

    async fn leave(&self) -> Result<(), StoreError> {
        self.reach()?;
        let mut rows = self.hall.rows();
        let had: Vec<_> = rows.owners.iter().filter(|(_, owner)| **owner == self.id).map(|(b, _)| b.clone()).collect();
        had.iter().for_each(|bot| rows.set_owner(bot, None));
        rows.replicas.remove(&self.id);
        Ok(())
    }

    async fn hearers(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
        self.reach()?;
        let rows = self.hall.rows();
        Ok(rows.firing.iter().filter(|(fingerprint, _)| fingerprints.contains(fingerprint)).cloned().collect())
    }

    async fn publish(&self, views: Vec<(Arc<str>, String)>) -> Result<(), StoreError> {
        self.reach()?;
        let mut rows = self.hall.rows();
        for (bot, view) in views {
            if rows.owner(&bot).as_deref() == Some(&*self.id) {
                rows.views.insert(bot, view);
            }
        }
        Ok(())
    }

    async fn views(&self) -> Result<Vec<(Arc<str>, String)>, StoreError> {
        self.reach()?;
        Ok(self.hall.rows().views.iter().map(|(bot, view)| (Arc::clone(bot), view.clone())).collect())
    }
}
