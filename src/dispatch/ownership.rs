//! Speaking for a share of the bots: keeps the lease, takes what falls to this replica, gives back what others should have,
//! and lets go of what was lost. Only with a store that replicas share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::bot::Bot;
use super::crews::{Crew, Decision, Situation};
use super::membership::{BEAT, Heard, Membership, keep_beating};
use super::published::{Published, hashes};
use super::shared::Shared;
use super::{Dispatcher, Running, Settings};
use crate::store::{Cluster, StoreError};

/// How long other questions may take that are asked anew anyway.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A bot that leaves, with its workers if it has some.
type Departure = (Arc<Bot>, Option<Running>);

impl Dispatcher {
    /// Speaks for this replica's share of the bots until [`Dispatcher::stop`]; returns at once when the store is of one
    /// process.
    ///
    /// # Panics
    /// When any part of it does: without one of them this replica would hold on to bots that it does not speak for, or
    /// never speak again, and look well. Nobody knows then how far it had come, so only a new process is sound.
    pub async fn own(&self) {
        let (Some(cluster), Some(membership)) = (self.shared.store.cluster(), &self.shared.membership) else { return };
        let mut heard = membership.listen();
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_beating(Arc::clone(&self.shared), self.post.ended.clone()));
        loop {
            tokio::select! {
                () = self.post.ended.cancelled() => break,
                Ok(()) = heard.changed() => {
                    let heard = heard.borrow_and_update().clone();
                    self.round(cluster, membership, &heard, &mut tasks).await;
                }
                () = membership.rung.notified() => self.lose_fenced(cluster, membership, &mut tasks).await,
                Some(part) = tasks.join_next() => unless_panicked(part),
            }
        }
    }

    /// What follows from a beat.
    async fn round(&self, cluster: &dyn Cluster, membership: &Membership, heard: &Heard, tasks: &mut JoinSet<()>) {
        // What came to us after the beat began was not ours when the store looked.
        let lost = heard.pulse.lost.iter();
        let lost = lost.filter(|bot| self.shared.here(bot).is_none_or(|bot| bot.since() <= heard.begun));
        self.lose(cluster, membership, lost.map(Arc::clone).collect(), tasks).await;
        self.lose_fenced(cluster, membership, tasks).await;
        if !self.post.closing.is_cancelled()
            && let Err(error) = self.share(cluster, membership, heard, tasks).await
        {
            tracing::warn!(%error, "the store does not answer; taking bots waits");
        }
        self.publish(cluster, membership).await;
    }

    /// Takes and gives back what the beat suggests.
    async fn share(
        &self,
        cluster: &dyn Cluster,
        membership: &Membership,
        heard: &Heard,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        let settings = self.shared.settings.load_full();
        if self.post.enlist_owed.swap(false, Ordering::Relaxed) {
            let names: Vec<_> = settings.bots.keys().map(Arc::clone).collect();
            if let Err(error) = cluster.enlist(&names).await {
                self.post.enlist();
                return Err(error);
            }
        }
        let doubtful = self.post.doubtful().clone();
        if !doubtful.is_empty() {
            cluster.release(&doubtful).await?;
            self.post.doubtful().clear();
        }
        let Decision { claim, give } = self.decide(membership, heard, &settings);
        if !give.is_empty() {
            self.give(membership, give, tasks).await;
        }
        let mut batches = self.post.batches(claim);
        while let Some(mut batch) = batches.pop() {
            if self.post.closing.is_cancelled() {
                return Ok(());
            }
            let claimed = self.claim(cluster, &batch.concat()).await;
            self.post.tried(&batch, claimed.is_ok());
            if !claimed? && batch.len() > 1 {
                // Somebody was faster with one of them.
                let rest = batch.split_off(batch.len() / 2);
                batches.extend([rest, batch]);
            }
        }
        if self.has_gone(&settings) { self.rehome_all().await } else { Ok(()) }
    }

    fn has_gone(&self, settings: &Settings) -> bool {
        self.shared.all_bots().iter().any(|bot| bot.is_ours() && !settings.bots.contains_key(&bot.name))
    }

    fn decide(&self, membership: &Membership, heard: &Heard, settings: &Arc<Settings>) -> Decision {
        let mine: HashMap<Arc<str>, bool> = self
            .shared
            .all_bots()
            .iter()
            .filter(|bot| bot.is_ours())
            .map(|bot| (Arc::clone(&bot.name), !bot.queue().is_empty()))
            .collect();
        let leaving = membership.leaving().clone();
        let situation = Situation {
            me: &heard.pulse.me,
            replicas: &heard.pulse.replicas,
            crews: &self.post.crews_of(settings),
            mine: &mine,
            leaving: &leaving,
            free: &heard.pulse.free,
            now: self.shared.clock.mono(),
        };
        self.post.planner.lock().unwrap_or_else(PoisonError::into_inner).decide(&situation)
    }

    /// Claims these bots; `false` when another replica has one of them.
    async fn claim(&self, cluster: &dyn Cluster, names: &[Arc<str>]) -> Result<bool, StoreError> {
        let claimed = cluster.claim(names).await;
        if matches!(claimed, Ok(true)) {
            self.took(names).await;
            return Ok(true);
        }
        for name in names {
            if self.shared.here(name).is_some_and(|bot| !bot.is_here()) {
                self.shared.drop_bot(name);
            }
        }
        if claimed.is_err() {
            self.post.doubtful().extend(names.iter().map(Arc::clone));
        }
        claimed
    }

    async fn took(&self, names: &[Arc<str>]) {
        let mut running = self.running.lock().await;
        let settings = self.shared.settings.load_full();
        for name in names {
            let bot = self.shared.bot(name);
            bot.queue().set_options(settings.options);
            bot.came(self.shared.clock.mono());
            {
                // Its dead letters were counted when it was another's.
                let mut letters = self.shared.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(counted) = letters.get_mut(name) {
                    counted.1 = bot.queue().terms().dead;
                }
            }
            if let Some(membership) = &self.shared.membership {
                membership.views.came(name);
            }
            let Some(config) = settings.bots.get(name).filter(|_| !self.post.closing.is_cancelled()) else { continue };
            running.insert(Arc::clone(name), self.spawn(&bot, config).await);
        }
        tracing::info!(bots = ?names, "this replica speaks for them from now on");
    }

    /// Takes these bots out of the workers' hands: they finish what they have begun.
    async fn depart(&self, membership: &Membership, names: &[Arc<str>]) -> Vec<Departure> {
        let mut running = self.running.lock().await;
        let mut departures = Vec::new();
        for name in names {
            let Some(bot) = self.shared.ours(name) else { continue };
            bot.leaves();
            membership.leaving().insert(Arc::clone(name));
            let run = running.remove(name);
            if let Some(run) = &run {
                run.stop.cancel();
                run.tasks.close();
                self.post.ends(run.tasks.clone());
            }
            departures.push((bot, run));
        }
        departures
    }

    /// Gives crews back, each as soon as its last message has ended.
    async fn give(&self, membership: &Membership, crews: Vec<Crew>, tasks: &mut JoinSet<()>) {
        tracing::info!(bots = ?crews.concat(), "other replicas should speak for them; they are given back");
        let mut ending = JoinSet::new();
        for crew in &crews {
            let departures = self.depart(membership, crew).await;
            ending.spawn(async move {
                for (_, run) in &departures {
                    if let Some(run) = run {
                        run.tasks.wait().await;
                    }
                }
                departures
            });
        }
        let (shared, ended) = (Arc::clone(&self.shared), self.post.ended.clone());
        tasks.spawn(async move {
            while let Some(first) = ending.join_next().await {
                let mut gone = first.unwrap_or_default();
                while let Some(more) = ending.try_join_next() {
                    gone.extend(more.unwrap_or_default());
                }
                give_back(&shared, &ended, gone).await;
            }
        });
    }

    async fn lose_fenced(&self, cluster: &dyn Cluster, membership: &Membership, tasks: &mut JoinSet<()>) {
        let fenced: Vec<_> = membership.take_fenced().into_iter().collect();
        if fenced.is_empty() {
            return;
        }
        self.lose(cluster, membership, fenced.clone(), tasks).await;
        // Whatever made the store say so: what is ours by its rows after all must be free for somebody.
        self.post.doubtful().extend(fenced);
    }

    /// Lets go of bots that are others' by now: their workers stop, and what they find out is refused by the store.
    async fn lose(
        &self,
        cluster: &dyn Cluster,
        membership: &Membership,
        names: Vec<Arc<str>>,
        tasks: &mut JoinSet<()>,
    ) {
        if names.is_empty() {
            return;
        }
        tracing::warn!(bots = ?names, "other replicas speak for them by now");
        let departures = self.depart(membership, &names).await;
        cluster.forget(&names);
        for name in &names {
            if let Some(bot) = self.shared.drop_bot(name) {
                retire(&self.shared, &bot);
            }
        }
        let shared = Arc::clone(&self.shared);
        tasks.spawn(async move {
            for (_, run) in &departures {
                if let Some(run) = run {
                    run.tasks.wait().await;
                }
            }
            departed(&shared, &departures);
        });
    }

    /// Shows the others what has changed of the bots that this replica speaks for.
    async fn publish(&self, cluster: &dyn Cluster, membership: &Membership) {
        publish(cluster, membership, membership.views.changed(&self.shared)).await;
    }

    /// The workers have ended: others may take everything.
    pub(super) async fn leave(&self) {
        let (Some(cluster), Some(membership)) = (self.shared.store.cluster(), &self.shared.membership) else { return };
        self.publish(cluster, membership).await;
        self.post.ended.cancel();
        if !matches!(timeout(PATIENCE, cluster.leave()).await, Ok(Ok(()))) {
            tracing::warn!("the lease could not be given back; it runs out by itself");
        }
    }
}

/// Goes on with a task's panic, if that is how it ended.
fn unless_panicked(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

async fn publish(cluster: &dyn Cluster, membership: &Membership, views: Vec<(Arc<str>, String)>) {
    if views.is_empty() {
        return;
    }
    let sent = hashes(&views);
    match timeout(PATIENCE, cluster.publish(views)).await {
        Ok(Ok(())) => membership.views.sent(&sent),
        Ok(Err(error)) => tracing::debug!(%error, "how the bots stand can not be published; the next beat tries again"),
        Err(_) => tracing::debug!("how the bots stand can not be published in time; the next beat tries again"),
    }
}

/// These bots' last messages have ended: the others may have them.
async fn give_back(shared: &Shared, ended: &CancellationToken, gone: Vec<Departure>) {
    let (Some(cluster), Some(membership)) = (shared.store.cluster(), &shared.membership) else { return };
    // Whoever takes them shows nothing older.
    let here: Vec<_> = gone.iter().filter(|(bot, _)| shared.here(&bot.name).is_some()).collect();
    let text = |bot: &Bot| Some((Arc::clone(&bot.name), serde_json::to_string(&Published::of(shared, bot)).ok()?));
    publish(cluster, membership, here.iter().filter_map(|(bot, _)| text(bot)).collect()).await;
    loop {
        // Those that were lost meanwhile are nobody's to give.
        let names: Vec<_> = gone.iter().map(|(bot, _)| Arc::clone(&bot.name)).collect();
        let names: Vec<_> = names.into_iter().filter(|name| shared.here(name).is_some()).collect();
        if names.is_empty() {
            break;
        }
        let Err(error) = cluster.release(&names).await else {
            for name in &names {
                if let Some(bot) = shared.drop_bot(name) {
                    retire(shared, &bot);
                }
            }
            break;
        };
        tracing::warn!(%error, "bots can not be given back; it is tried again every second");
        tokio::select! {
            () = ended.cancelled() => return,
            () = shared.clock.sleep_until(shared.clock.mono() + BEAT) => {}
        }
    }
    departed(shared, &gone);
}

/// What was counted here of a bot stays counted.
fn retire(shared: &Shared, bot: &Bot) {
    let Some(membership) = &shared.membership else { return };
    membership.repeats.fetch_add(bot.repeats(), Ordering::Relaxed);
    membership.views.keep(&bot.name, Published::of(shared, bot), shared.clock.mono());
}

/// Nothing of these bots runs here any more: they may come back.
fn departed(shared: &Shared, departures: &[Departure]) {
    let Some(membership) = &shared.membership else { return };
    for (_, run) in departures {
        let robots = run.as_ref().map(|run| shared.robots_of(&run.config)).unwrap_or_default();
        robots.iter().for_each(|robot| robot.unload());
    }
    let names: HashSet<&str> = departures.iter().map(|(bot, _)| &*bot.name).collect();
    membership.leaving().retain(|name| !names.contains(&**name));
}
