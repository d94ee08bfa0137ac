//! One worker per bot and robot: waits for its turn, sends one message, writes down what became of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bot::Bot;
use super::client::{self, Reply};
use super::ladder::{Stage, Step};
use super::letter::{DIGEST, Letter};
use super::robot::Robot;
use super::shared::Shared;
use super::{BotConfig, RobotConfig};
use crate::channel;
use crate::model::{Fingerprint, GroupId, MessageId, Millis, Verdict};
use crate::store::{Begin, Begun, StoreError};
use crate::waiting::Plan;

/// How long the worker waits before it asks a store again that did not answer.
pub(super) const STORE_AGAIN: Duration = Duration::from_secs(1);

/// How often another process' message in flight is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A request ends after 5 s: an attempt that is open for longer was left behind by a process that was killed.
const IN_FLIGHT_MS: Millis = 10_000;

/// Sends one bot's messages through one robot.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) bot: Arc<Bot>,
    pub(super) config: Arc<BotConfig>,
    pub(super) robot_config: RobotConfig,
    pub(super) robot: Arc<Robot>,
    /// All robots of the bot, this one among them.
    pub(super) pool: Arc<[Arc<Robot>]>,
    pub(super) client: reqwest::Client,
    pub(super) stop: CancellationToken,
    /// What it is telling just now.
    pub(super) hand: Mutex<Option<Hand>>,
}

/// What a worker holds during a turn, for when the turn ends in a panic.
pub(super) struct Hand {
    pub(super) group: GroupId,
    pub(super) versions: Vec<(i64, Fingerprint)>,
    pub(super) stage: Stage,
    /// Once it is composed.
    pub(super) message: Option<MessageId>,
}

/// The worker was told to stop.
pub(super) struct Stopped;

impl Worker {
    /// Runs until it is told to stop. A panic is a defect, but a bot that falls silent because of it would be a worse
    /// one: its alerts are put back and the worker starts anew.
    pub(super) async fn supervised(self) {
        let worker = Arc::new(self);
        worker.look_at_robot().await;
        loop {
            let running = Arc::clone(&worker);
            let Err(error) = tokio::spawn(async move { running.run().await }).await else { return };
            if !error.is_panic() {
                return;
            }
            worker.bot.set_stuck(true);
            tracing::error!(bot = %worker.bot.name, %error, "sending panicked, which is a defect; it starts anew");
            worker.recover().await;
            if worker.sleep(STORE_AGAIN).await.is_err() {
                return;
            }
        }
    }

    /// A bot that comes from another replica may have a robot that fails: that is known before the first message.
    async fn look_at_robot(&self) {
        if self.shared.membership.is_none() {
            return;
        }
        let _lane = self.robot.lane.lock().await;
        let loaded = self.robot.load(&*self.shared.store, &*self.shared.clock, &self.robot_config.rate_limits);
        if let Err(error) = loaded.await {
            // It is tried again before each message.
            tracing::debug!(bot = %self.bot.name, %error, "what is stored of the robot can not be read yet");
        }
    }

    /// Puts back what a panic left in hand. Its content may be the reason, so the group is told more plainly.
    pub(super) async fn recover(&self) {
        // While the lane is ours nobody else has an attempt in flight.
        let _lane = self.robot.lane.lock().await;
        self.robot.ended(self.shared.clock.mono());
        let Some(Hand { group, versions, stage, message }) = self.hand().take() else { return };
        let mut desk = self.bot.desk();
        // A notice covers nothing either, and is composed at once.
        let digest = group == DIGEST && (!versions.is_empty() || message.is_none());
        match stage.refused(versions.len(), digest, false) {
            Step::Again(plainer) => drop(desk.stages.insert(group, plainer)),
            Step::Apart => self.tell_apart(&mut desk),
            Step::Dead => {}
        }
        if digest {
            desk.storm.stays();
        }
        if versions.is_empty() && !digest {
            desk.announcing = false;
        }
        // Its further attempt closes the one that nobody ended.
        desk.retrying.extend(message.map(|id| (group, id)));
        drop(desk);
        self.bot.put_back(&versions);
    }

    pub(super) fn hand(&self) -> MutexGuard<'_, Option<Hand>> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) {
        while !self.stop.is_cancelled() {
            if self.ready().await.is_err() {
                return;
            }
            let lane = tokio::select! {
                () = self.stop.cancelled() => return,
                lane = self.robot.lane.lock() => lane,
            };
            let turn = self.turn().await;
            self.hand().take();
            drop(lane);
            if let Err(StoreError::Fenced) = turn {
                self.shared.fence(&self.bot.name);
                return;
            }
            if let Err(error) = turn {
                tracing::warn!(bot = %self.bot.name, %error, "the store does not answer; sending waits");
                if self.sleep(STORE_AGAIN).await.is_err() {
                    return;
                }
            }
        }
    }

    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        let until = self.shared.clock.mono() + time;
        tokio::select! {
            () = self.stop.cancelled() => Err(Stopped),
            () = self.shared.clock.sleep_until(until) => Ok(()),
        }
    }

    /// Whether there is something to tell besides what waits in the queue.
    fn has_more(&self) -> bool {
        let desk = self.bot.desk();
        (desk.unannounced > 0 && !desk.announcing) || desk.open.iter().any(|open| *open.message.robot == *self.robot.id)
    }

    /// Waits until there is something to tell.
    async fn ready(&self) -> Result<(), Stopped> {
        loop {
            // The bell is listened to before the queue is asked, so that nothing falls between.
            let bell = self.bot.bell.notified();
            tokio::pin!(bell);
            bell.as_mut().enable();
            let Plan::Wait(until) = self.plan() else { return Ok(()) };
            if self.has_more() {
                return Ok(());
            }
            let clock = &self.shared.clock;
            let wake = self.bot.queue().next_wake_ms().map(|at| at - clock.now_ms());
            let wake = wake.map_or(Duration::from_secs(3600), |left| {
                Duration::from_millis(u64::try_from(left).unwrap_or(0).max(1))
            });
            let wake = clock.mono() + wake;
            tokio::select! {
                () = self.stop.cancelled() => return Err(Stopped),
                () = &mut bell => {}
                () = clock.sleep_until(until.map_or(wake, |until| until.min(wake))) => {}
            }
        }
    }

    /// Waits until the robot may be sent to, as far as the store knows of other replicas' attempts.
    async fn due(&self) -> Result<Result<(), Stopped>, StoreError> {
        loop {
            self.robot.load(&*self.shared.store, &*self.shared.clock, &self.robot_config.rate_limits).await?;
            match self.due_here().await {
                Err(Stopped) => return Ok(Err(Stopped)),
                // Meanwhile the attempt that holds a token may have ended, late.
                Ok(true) if self.robot.is_held() => {}
                Ok(_) => return Ok(Ok(())),
            }
        }
    }

    /// Waits until the robot may be sent to, as far as is known here. Says whether it had to wait.
    async fn due_here(&self) -> Result<bool, Stopped> {
        let mut waited = false;
        loop {
            let lifted = self.robot.lifted.notified();
            tokio::pin!(lifted);
            lifted.as_mut().enable();
            let now = self.shared.clock.mono();
            let due = self.robot.due(now);
            if due <= now {
                return Ok(waited);
            }
            waited = true;
            tokio::select! {
                () = self.stop.cancelled() => return Err(Stopped),
                () = &mut lifted => {}
                () = self.shared.clock.sleep_until(due) => {}
            }
        }
    }

    /// One message, from the choice to its outcome. The newest state and the newest template win, so the choice is
    /// made only when the robot can be sent to.
    async fn turn(&self) -> Result<(), StoreError> {
        if self.due().await?.is_err() || self.leased().await.is_err() {
            return Ok(());
        }
        let Some(letter) = self.compose().await? else { return Ok(()) };
        *self.hand() = Some(Hand {
            group: letter.group,
            versions: letter.versions(),
            stage: letter.stage,
            message: Some(letter.id.clone()),
        });
        let attempt = match self.begin(&letter).await {
            Ok(Some(attempt)) => attempt,
            Ok(None) => {
                self.put_back(&letter);
                return Ok(());
            }
            Err(error) => {
                self.put_back(&letter);
                return Err(error);
            }
        };
        match self.send(&letter).await {
            Some(verdict) => self.conclude(&letter, attempt, verdict).await,
            None => self.unsent(&letter, attempt).await,
        }
        Ok(())
    }

    /// Waits until the lease is long enough for a request.
    async fn leased(&self) -> Result<(), Stopped> {
        let Some(membership) = &self.shared.membership else { return Ok(()) };
        loop {
            // Before the question, so that nothing falls between.
            let mut renewals = membership.renewals();
            if self.shared.may_send() {
                return Ok(());
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Stopped),
                _ = renewals.changed() => {}
                () = self.shared.clock.sleep_until(self.shared.clock.mono() + STORE_AGAIN) => {}
            }
        }
    }

    /// Commits the attempt before its first byte leaves; `None` when another process has used the robot meanwhile.
    async fn begin(&self, letter: &Letter) -> Result<Option<i64>, StoreError> {
        let begun = self
            .shared
            .store
            .begin(Begin {
                bot: Arc::clone(&self.bot.name),
                robot: Arc::clone(&self.robot.id),
                message: letter.id.clone(),
                kind: letter.kind,
                group: letter.group,
                body: letter.body.clone(),
                text: letter.text.clone(),
                covers: letter.covers(),
                alerts: letter.alerts.clone(),
                parts: letter.parts,
                started_ms: self.shared.clock.now_ms(),
                last_known: self.robot.last_attempt(),
            })
            .await?;
        match begun {
            Begun::Attempt(attempt) => {
                self.robot.started(attempt, self.shared.clock.mono());
                Ok(Some(attempt))
            }
            Begun::Others(others) => {
                // A start in the future comes from before the clock was set back: nobody could say how old it is.
                let now_ms = self.shared.clock.now_ms();
                let recent = now_ms - IN_FLIGHT_MS..=now_ms;
                if others.iter().any(|other| other.ended_ms.is_none() && recent.contains(&other.started_ms)) {
                    // One message in flight per robot, also of the `send` command: asked again until it has ended.
                    let _ = self.sleep(LOOK_AGAIN).await;
                } else {
                    self.robot.learn(&others, self.shared.membership.is_some(), &*self.shared.clock);
                    // It may have got a penalty by them.
                    self.robot.reload_state(&*self.shared.store, &*self.shared.clock).await?;
                }
                Ok(None)
            }
        }
    }

    /// `None` when it was not sent, because the lease ran out.
    async fn send(&self, letter: &Letter) -> Option<Verdict> {
        let RobotConfig { url, secret, .. } = &self.robot_config;
        let kind = self.config.kind;
        let request = channel::sign(kind, url, secret.as_ref(), &letter.body, self.shared.clock.now_ms());
        let start = self.shared.clock.mono();
        let sent = if self.shared.membership.is_some() {
            let shared = Arc::clone(&self.shared);
            client::send_if(&self.client, request, Arc::new(move || shared.may_send())).await?
        } else {
            client::send(&self.client, request).await
        };
        let end = self.shared.clock.mono();
        self.shared.metrics.send_took(kind, end.saturating_sub(start));
        Some(match sent {
            Ok(Reply { status, body }) => channel::verdict(kind, status, &body, self.robot.failures()),
            Err(verdict) => verdict,
        })
    }
}
