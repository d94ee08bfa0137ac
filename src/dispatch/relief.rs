//! When none of a bot's robots takes messages, another bot tells what waits for it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BotConfig;
use super::bot::Bot;
use super::outcome::give_up;
use super::robot::{Robot, Trouble};
use super::shared::Shared;
use super::worker::STORE_AGAIN;
use crate::model::{FALLBACK, Fingerprint, Status, via_names};
use crate::store::{HandOver, StoreError};
use crate::waiting::Item;

/// Alerts that change hands in one commit, about.
const CHUNK: usize = 500;
/// Superseded rows that go with a chunk besides those that must.
const GARBAGE: usize = 500;
/// How often a bot is looked at while something waits for it.
const LOOK: Duration = Duration::from_secs(1);
/// How often a bot is looked at for which nothing waits; what comes rings.
const IDLE: Duration = Duration::from_secs(3_600);
/// The least time between two rounds, so that what comes one by one goes on together.
const ROUND: Duration = Duration::from_millis(250);
/// How much longer it is for each alert that stays: every round looks at all of those.
const PER_STAYING: Duration = Duration::from_micros(50);
const LONGEST_ROUND: Duration = Duration::from_secs(30);

type Version = (i64, Fingerprint);

const fn version(item: &Item) -> Version {
    (item.head.pos, item.fingerprint())
}

/// Whether a bot with these robots can not deliver now, and for long enough that another bot should. Once the pause of one
/// of them is over it is not down: its worker tries a message, and that is how a recovery is noticed.
fn is_down(shared: &Shared, robots: &[Arc<Robot>], after: Duration) -> bool {
    let now = shared.clock.mono();
    robots.iter().all(|robot| match robot.trouble(now) {
        None => false,
        Some(Trouble::Misconfigured) => true,
        Some(Trouble::Failing(time)) => time >= after,
    })
}

/// Hands over what waits for one bot while it is down.
pub(super) struct Relief {
    shared: Arc<Shared>,
    bot: Arc<Bot>,
    config: Arc<BotConfig>,
    robots: Arc<[Arc<Robot>]>,
    /// Whether the bot has no workers, because its `http_config` can not be used.
    helpless: bool,
    stop: CancellationToken,
    /// What it has locked.
    hand: Mutex<Vec<Version>>,
}

/// What one round has done so far.
#[derive(Default)]
struct Round {
    handed: u64,
    /// Whether everything found its place, or has to stay.
    complete: bool,
    /// Ends that the fallback knows and that wait at the bot all the same.
    copied: HashMap<Fingerprint, i64>,
    vias: HashMap<u32, Arc<str>>,
}

/// What one bot gets of a chunk.
#[derive(Default)]
struct Share {
    moved: Vec<Version>,
    copied: Vec<Version>,
}

impl Relief {
    pub(super) fn new(
        shared: &Arc<Shared>,
        bot: &Arc<Bot>,
        config: &Arc<BotConfig>,
        helpless: bool,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            robots: shared.robots_of(config).into(),
            shared: Arc::clone(shared),
            bot: Arc::clone(bot),
            config: Arc::clone(config),
            helpless,
            stop: stop.clone(),
            hand: Mutex::default(),
        }
    }

    /// Runs until it is told to stop. A panic is a defect: what it had locked waits again, and it starts anew.
    pub(super) async fn supervised(self) {
        let relief = Arc::new(self);
        loop {
            let running = Arc::clone(&relief);
            let ended = tokio::spawn(async move { running.run().await }).await;
            let Some(error) = ended.err().filter(tokio::task::JoinError::is_panic) else {
                relief.bot.set_speaker(None);
                return;
            };
            tracing::error!(bot = %relief.bot.name, %error, "the takeover panicked, which is a defect; it starts anew");
            relief.release();
            relief.sleep(STORE_AGAIN).await;
        }
    }

    async fn run(&self) {
        let mut copied = HashMap::new();
        let (mut news, mut was_down) = (true, false);
        while !self.stop.is_cancelled() {
            let down = self.is_down();
            news |= down && !was_down;
            was_down = down;
            if down && (news || self.has_open()) {
                let (complete, staying) = match self.round(&mut copied).await {
                    Ok(done) => done,
                    Err(StoreError::Fenced) => {
                        self.shared.fence(&self.bot.name);
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(bot = %self.bot.name, %error, "the store does not answer; the takeover waits");
                        self.sleep(STORE_AGAIN).await;
                        (false, 0)
                    }
                };
                news = !complete;
                let staying = u32::try_from(staying).unwrap_or(u32::MAX);
                self.sleep((ROUND + PER_STAYING.saturating_mul(staying)).min(LONGEST_ROUND)).await;
            }
            self.look_for_recovery();
            let until = self.shared.clock.mono() + self.patience();
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.bot.alarm.notified() => news = true,
                () = self.shared.clock.sleep_until(until) => news |= self.is_held_due(),
            }
        }
    }

    async fn sleep(&self, time: Duration) {
        let until = self.shared.clock.mono() + time;
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.shared.clock.sleep_until(until) => {}
        }
    }

    fn is_down(&self) -> bool {
        self.helpless || is_down(&self.shared, &self.robots, self.config.fallback_after)
    }

    fn has_open(&self) -> bool {
        self.bot.desk().open.iter().any(|open| !open.message.covers.is_empty())
    }

    fn patience(&self) -> Duration {
        let busy = self.bot.speaker().is_some() || !self.bot.queue().is_empty();
        if busy { LOOK } else { IDLE }
    }

    fn is_held_due(&self) -> bool {
        self.bot.queue().next_wake_ms().is_some_and(|at| at <= self.shared.clock.now_ms())
    }

    fn hand(&self) -> MutexGuard<'_, Vec<Version>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets what it has locked wait again.
    fn release(&self) {
        let locked = std::mem::take(&mut *self.hand());
        for part in locked.chunks(CHUNK) {
            // In parts: the store's writer thread waits for the queue, too.
            self.bot.queue().released(part);
        }
        if !locked.is_empty() {
            // Its own alarm stays silent: nothing new is there.
            self.bot.bell.notify_waiters();
        }
    }

    fn look_for_recovery(&self) {
        let works = |robot: &Arc<Robot>| robot.state().is_some_and(|state| state.failing_since_ms == 0);
        if self.bot.speaker().is_some() && self.robots.iter().any(works) {
            let to = self.bot.set_speaker(None);
            tracing::info!(bot = %self.bot.name, fallback = to.as_deref(), "the bot works again and speaks for itself");
        }
    }

    /// Bots that could speak for this one now, the nearest first.
    fn candidates(&self) -> Vec<Arc<BotConfig>> {
        let settings = self.shared.settings.load_full();
        let mut seen: HashSet<&str> = HashSet::from([&*self.bot.name]);
        let mut found = Vec::new();
        let mut next = self.config.fallback.as_deref();
        while let Some(config) = next.filter(|name| seen.insert(name)).and_then(|name| settings.bots.get(name)) {
            if !is_down(&self.shared, &self.shared.robots_of(config), config.fallback_after) {
                found.push(Arc::clone(config));
            }
            next = config.fallback.as_deref();
        }
        found
    }

    /// Hands over what waits, in chunks; what stays is locked until the end, so that each chunk finds others. Returns
    /// whether nothing is left to do until something changes, and how many stay.
    async fn round(&self, copied: &mut HashMap<Fingerprint, i64>) -> Result<(bool, usize), StoreError> {
        let candidates = self.candidates();
        let Some(first) = candidates.first() else { return Ok((false, 0)) };
        self.give_up_open().await?;
        let before = self.bot.set_speaker(Some(Arc::clone(&first.name)));
        let mut round = Round { complete: true, ..Round::default() };
        let done = self.chunks(&candidates, copied, &mut round).await;
        let staying = self.hand().len();
        self.release();
        if self.bot.queue().is_empty() {
            // Of what is told elsewhere nothing is left to be continued.
            let mut desk = self.bot.desk();
            desk.retrying.clear();
            desk.stages.clear();
        }
        copied.retain(|fingerprint, _| !round.complete || round.copied.contains_key(fingerprint));
        copied.extend(round.copied);
        if before.is_none() && round.handed == 0 {
            // There was nothing to say.
            self.bot.set_speaker(None);
        } else if before.as_ref() != Some(&first.name) {
            tracing::warn!(
                from = %self.bot.name, to = %first.name, alerts = round.handed,
                "the bot can not deliver; its fallback speaks for it"
            );
        }
        done.map(|()| (round.complete, staying))
    }

    async fn chunks(
        &self,
        candidates: &[Arc<BotConfig>],
        copied: &HashMap<Fingerprint, i64>,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        loop {
            if self.stop.is_cancelled() || !self.is_down() {
                // A robot may be tried again: the rest waits for what becomes of that.
                round.complete = false;
                return Ok(());
            }
            let items = {
                let mut queue = self.bot.queue();
                queue.wake(self.shared.clock.now_ms());
                queue.pick_some(CHUNK)
            };
            if items.is_empty() {
                return Ok(());
            }
            let staying = self.hand().len();
            self.hand().extend(items.iter().map(version));
            for (to, share) in self.divide(&items, candidates, copied, round).await? {
                self.hand_over(to, share, staying, round).await?;
            }
        }
    }

    /// Who gets which of these alerts; the others stay.
    async fn divide<'a>(
        &self,
        items: &[Item],
        candidates: &'a [Arc<BotConfig>],
        copied: &HashMap<Fingerprint, i64>,
        round: &mut Round,
    ) -> Result<Vec<(&'a BotConfig, Share)>, StoreError> {
        let mut shares: Vec<(&BotConfig, Share)> = Vec::new();
        for item in items {
            if item.head.status == Status::Firing && item.head.ends_ms != 0 {
                // It is over, in a chat that is not told of ends: elsewhere it would seem to fire for ever.
                continue;
            }
            let via = self.via(item.head.via, &mut round.vias).await?;
            let mut passed = via_names(&via).filter_map(|name| name.strip_prefix(FALLBACK)).collect::<HashSet<_>>();
            passed.insert(&self.bot.name);
            let Some(to) = candidates.iter().find(|to| !passed.contains(&*to.name)) else {
                round.complete = false;
                continue;
            };
            let at = shares.iter().position(|(known, _)| known.name == to.name).unwrap_or_else(|| {
                shares.push((to, Share::default()));
                shares.len() - 1
            });
            let Some((_, share)) = shares.get_mut(at) else { continue };
            let (pos, fingerprint) = version(item);
            let ends_known = item.head.status == Status::Resolved && self.bot.queue().was_told_firing(fingerprint);
            if !ends_known {
                share.moved.push((pos, fingerprint));
            } else if copied.get(&fingerprint) == Some(&pos) || !to.send_resolved {
                round.copied.insert(fingerprint, pos);
            } else {
                share.copied.push((pos, fingerprint));
            }
        }
        Ok(shares)
    }

    async fn via(&self, id: u32, known: &mut HashMap<u32, Arc<str>>) -> Result<Arc<str>, StoreError> {
        if let Some(via) = known.get(&id) {
            return Ok(Arc::clone(via));
        }
        let via = self.shared.store.via(id).await?;
        known.insert(id, Arc::clone(&via));
        Ok(via)
    }

    /// `staying` is where the chunk begins among what is locked.
    async fn hand_over(
        &self,
        to: &BotConfig,
        share: Share,
        staying: usize,
        round: &mut Round,
    ) -> Result<(), StoreError> {
        let Share { moved, copied } = share;
        let positions = |versions: &[Version]| {
            let mut positions: Vec<i64> = versions.iter().map(|(pos, _)| *pos).collect();
            positions.sort_unstable();
            positions
        };
        if moved.is_empty() && copied.is_empty() {
            return Ok(());
        }
        let garbage = self.bot.queue().take_garbage_for(&moved, GARBAGE);
        let hand_over = HandOver {
            from: Arc::clone(&self.bot.name),
            to: Arc::clone(&to.name),
            moved: positions(&moved),
            copied: positions(&copied),
            superseded: garbage.clone(),
        };
        match self.shared.store.hand_over(hand_over).await {
            Ok(handed) => {
                self.bot.queue().handed_over(&moved);
                let gone: HashSet<Version> = moved.into_iter().collect();
                let mut hand = self.hand();
                let chunk = hand.split_off(staying);
                hand.extend(chunk.into_iter().filter(|version| !gone.contains(version)));
                drop(hand);
                round.copied.extend(copied.into_iter().map(|(pos, fingerprint)| (fingerprint, pos)));
                round.handed += handed;
                self.shared.metrics.handed_over(&self.bot.name, handed);
                Ok(())
            }
            Err(error) => {
                self.bot.queue().return_garbage(garbage);
                Err(error)
            }
        }
    }

    /// Messages with an unknown outcome hold their alerts; a robot that takes nothing will not tell what became of them.
    async fn give_up_open(&self) -> Result<(), StoreError> {
        loop {
            let open = {
                let mut desk = self.bot.desk();
                let at = desk.open.iter().position(|open| !open.message.covers.is_empty());
                at.and_then(|at| desk.open.remove(at))
            };
            let Some(open) = open else { return Ok(()) };
            if let Err(error) =
                give_up(&self.shared, &self.bot, &open.message, "the robot fails, and another bot tells what was in it")
                    .await
            {
                self.bot.desk().open.push_front(open);
                return Err(error);
            }
            self.bot.release(&open);
        }
    }
}
