//! One worker per bot and robot: waits for its turn, sends one message, writes down what became of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bot::{Bot, Open};
use super::client::{self, Reply};
use super::ladder::{Stage, Step};
use super::letter::{Content, Desk, Letter};
use super::outcome::give_up;
use super::robot::Robot;
use super::shared::Shared;
use super::{BotConfig, RobotConfig};
use crate::channel;
use crate::model::{BotKind, Fingerprint, GroupId, MessageId, Millis, Verdict};
use crate::render::TemplateFailure;
use crate::store::{Begin, Begun, OpenMessage, StoreError};
use crate::waiting::Picked;

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
    pub(super) client: reqwest::Client,
    pub(super) stop: CancellationToken,
    /// What it is telling just now.
    pub(super) hand: Mutex<Option<Hand>>,
}

/// What a worker holds during a turn, for when the turn ends in a panic.
pub(super) struct Hand {
    group: GroupId,
    versions: Vec<(i64, Fingerprint)>,
    stage: Stage,
    /// Once it is composed.
    message: Option<MessageId>,
}

/// The worker was told to stop.
pub(super) struct Stopped;

impl Worker {
    /// Runs until it is told to stop. A panic is a defect, but a bot that falls silent because of it would be a worse
    /// one: its alerts are put back and the worker starts anew.
    pub(super) async fn supervised(self) {
        let worker = Arc::new(self);
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

    /// Puts back what a panic left in hand. Its content may be the reason, so the group is told more plainly.
    async fn recover(&self) {
        // While the lane is ours nobody else has an attempt in flight.
        let _lane = self.robot.lane.lock().await;
        self.robot.ended(self.shared.clock.mono());
        let Some(Hand { group, versions, stage, message }) = self.hand().take() else { return };
        let mut desk = self.bot.desk();
        if let Step::Again(plainer) = stage.refused(versions.len(), false) {
            desk.stages.insert(group, plainer);
        }
        // Its further attempt closes the one that nobody ended.
        desk.retrying.extend(message.map(|id| (group, id)));
        drop(desk);
        self.bot.put_back(&versions);
    }

    fn hand(&self) -> MutexGuard<'_, Option<Hand>> {
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

    fn has_work(&self) -> bool {
        let mut queue = self.bot.queue();
        queue.wake(self.shared.clock.now_ms());
        if queue.has_ready() {
            return true;
        }
        drop(queue);
        let desk = self.bot.desk();
        desk.unannounced > 0 || desk.open.iter().any(|open| *open.message.robot == *self.robot.id)
    }

    /// Waits until there is something to tell.
    async fn ready(&self) -> Result<(), Stopped> {
        loop {
            // The bell is listened to before the queue is asked, so that nothing falls between.
            let bell = self.bot.bell.notified();
            tokio::pin!(bell);
            bell.as_mut().enable();
            if self.has_work() {
                return Ok(());
            }
            let clock = &self.shared.clock;
            let wake = self.bot.queue().next_wake_ms().map(|at| at - clock.now_ms());
            let wake = wake.map_or(Duration::from_secs(3600), |left| {
                Duration::from_millis(u64::try_from(left).unwrap_or(0).max(1))
            });
            tokio::select! {
                () = self.stop.cancelled() => return Err(Stopped),
                () = &mut bell => {}
                () = clock.sleep_until(clock.mono() + wake) => {}
            }
        }
    }

    /// Waits until the robot may be sent to.
    async fn due(&self) -> Result<(), Stopped> {
        loop {
            let lifted = self.robot.lifted.notified();
            tokio::pin!(lifted);
            lifted.as_mut().enable();
            let now = self.shared.clock.mono();
            let due = self.robot.due(now);
            if due <= now {
                return Ok(());
            }
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
        self.robot.load(&*self.shared.store, &*self.shared.clock, &self.config.rate_limits).await?;
        if self.due().await.is_err() {
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
        let verdict = self.send(&letter).await;
        self.conclude(&letter, attempt, verdict).await;
        Ok(())
    }

    fn new_id(&self) -> MessageId {
        let mut bytes = [0; 16];
        (self.shared.random)(&mut bytes);
        MessageId::from_bytes(bytes)
    }

    async fn compose(&self) -> Result<Option<Letter>, StoreError> {
        if let Some(letter) = self.open_message().await? {
            return Ok(Some(letter));
        }
        let settings = self.shared.settings.load_full();
        let desk = Desk {
            settings: &settings,
            config: &self.config,
            bot: &self.bot,
            store: &*self.shared.store,
            clock: &*self.shared.clock,
        };
        let Some((picked, stage)) = self.pick() else {
            let dead = self.bot.desk().unannounced;
            return Ok((dead > 0).then(|| desk.notice(dead, self.new_id())));
        };
        let uuid = self.new_id();
        let id = self.bot.desk().retrying.get(&picked.group).cloned().unwrap_or_else(|| uuid.clone());
        match desk.group(&picked, id, &uuid, stage).await {
            Ok((letter, failure)) => {
                if let Some(failure) = failure {
                    self.template_failed(&failure, &picked);
                }
                Ok(Some(letter))
            }
            Err(error) => {
                let versions: Vec<_> = picked.items.iter().map(|i| (i.head.pos, i.fingerprint())).collect();
                self.bot.put_back(&versions);
                Err(error)
            }
        }
    }

    fn pick(&self) -> Option<(Picked, Stage)> {
        let desk = self.bot.desk();
        let most = |group: GroupId| desk.stages.get(&group).map_or(usize::MAX, |stage| stage.most);
        let mut queue = self.bot.queue();
        queue.wake(self.shared.clock.now_ms());
        let picked = queue.pick(most)?;
        let stage = desk.stages.get(&picked.group).copied().unwrap_or_default();
        let versions = picked.items.iter().map(|item| (item.head.pos, item.fingerprint())).collect();
        *self.hand() = Some(Hand { group: picked.group, versions, stage, message: None });
        Some((picked, stage))
    }

    fn template_failed(&self, failure: &TemplateFailure, picked: &Picked) {
        self.shared.metrics.template_error(&failure.template);
        let alert = picked.items.first().map(|item| item.fingerprint().to_string()).unwrap_or_default();
        tracing::error!(
            bot = %self.bot.name, template = %failure.template, error = %failure.error, alert = %alert,
            "a template failed; the built-in plain message is sent instead"
        );
    }

    /// A message with an unknown outcome goes before everything else, under the same id and with the same body.
    async fn open_message(&self) -> Result<Option<Letter>, StoreError> {
        loop {
            let open = {
                let mut desk = self.bot.desk();
                let at = desk.open.iter().position(|open| *open.message.robot == *self.robot.id);
                at.and_then(|at| desk.open.remove(at))
            };
            let Some(Open { message, items }) = open else { return Ok(None) };
            let versions: Vec<_> = message.covers.iter().map(|(pos, fingerprint, _)| (*pos, *fingerprint)).collect();
            let items = items.unwrap_or_else(|| self.bot.queue().lock(&versions));
            // A message of the `send` command covers nothing, and is not ours to repeat.
            if self.config.kind == BotKind::DingTalk && !versions.is_empty() {
                return Ok(Some(Letter::again(message, items)));
            }
            // WeCom and Feishu do not know a message again: its alerts get a fresh rendering.
            let open = Open { message, items: Some(items) };
            self.bot.release(&open);
            if let Err(error) = give_up(&self.shared, &self.bot, &open.message).await {
                self.bot.desk().open.push_front(Open { items: None, ..open });
                return Err(error);
            }
        }
    }

    fn put_back(&self, letter: &Letter) {
        if letter.text.is_empty() {
            // A message that is sent again stays exactly that, and its alerts locked.
            self.bot.desk().open.push_front(self.open_of(letter));
        } else {
            self.bot.put_back(&letter.versions());
        }
    }

    pub(super) fn open_of(&self, letter: &Letter) -> Open {
        let items = match &letter.content {
            Content::Alerts(items) => items.iter().map(|(item, _)| *item).collect(),
            Content::Notice(_) => Vec::new(),
        };
        let message = OpenMessage {
            id: letter.id.clone(),
            attempt: None,
            robot: self.robot.id.to_string(),
            kind: letter.kind,
            group: letter.group,
            attempts: 0,
            body: letter.body.clone(),
            covers: letter.covers(),
        };
        Open { message, items: Some(items) }
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
                parts: 0,
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
                    self.robot.learn(&others, &*self.shared.clock);
                }
                Ok(None)
            }
        }
    }

    async fn send(&self, letter: &Letter) -> Verdict {
        let RobotConfig { url, secret } = &self.robot_config;
        let kind = self.config.kind;
        let request = channel::sign(kind, url, secret.as_ref(), &letter.body, self.shared.clock.now_ms());
        let start = self.shared.clock.mono();
        let sent = client::send(&self.client, request).await;
        let end = self.shared.clock.mono();
        self.shared.metrics.send_took(kind, end.saturating_sub(start));
        match sent {
            Ok(Reply { status, body }) => channel::verdict(kind, status, &body, self.robot.failures()),
            Err(verdict) => verdict,
        }
    }
}
