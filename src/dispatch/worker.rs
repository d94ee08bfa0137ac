//! One worker per bot and robot: waits for its turn, sends one message, writes down what became of it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bot::{Bot, Open};
use super::client::{self, Reply};
use super::ladder::{Stage, Step};
use super::letter::{Content, Desk, Letter};
use super::robot::Robot;
use super::{BotConfig, RobotConfig, Shared};
use crate::channel;
use crate::model::{BotKind, GroupId, How, MessageId, Millis, Status, Verdict};
use crate::render::TemplateFailure;
use crate::store::{Begin, Begun, Effect, NewDeadLetter, OpenMessage, Outcome, RobotState, StoreError, ToldState};
use crate::waiting::{Item, Picked};

/// How long the worker waits before it asks a store again that did not answer.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// Superseded rows that one outcome deletes, at most.
const GARBAGE: usize = 500;

/// Sends one bot's messages through one robot.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) bot: Arc<Bot>,
    pub(super) config: Arc<BotConfig>,
    pub(super) robot_config: RobotConfig,
    pub(super) robot: Arc<Robot>,
    pub(super) client: reqwest::Client,
    pub(super) stop: CancellationToken,
}

/// The worker was told to stop.
struct Stopped;

impl Worker {
    /// Runs until it is told to stop. A message that was begun is always finished first.
    pub(super) async fn run(self) {
        while !self.stop.is_cancelled() {
            if self.ready().await.is_err() {
                return;
            }
            let lane = tokio::select! {
                () = self.stop.cancelled() => return,
                lane = self.robot.lane.lock() => lane,
            };
            let turn = self.turn().await;
            drop(lane);
            if let Err(error) = turn {
                tracing::warn!(bot = %self.bot.name, %error, "the store does not answer; sending waits");
                if self.sleep(STORE_AGAIN).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn sleep(&self, time: Duration) -> Result<(), Stopped> {
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
        let Some(mut letter) = self.compose().await? else { return Ok(()) };
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
        self.conclude(&mut letter, attempt, verdict).await;
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
                self.bot.queue().released(&versions);
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
            self.bot.queue().released(&letter.versions());
        }
    }

    fn open_of(&self, letter: &Letter) -> Open {
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
                self.robot.learn(&others, &*self.shared.clock);
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

    /// Writes down what became of the attempt, and lets the queue know. A store that does not answer is asked until it
    /// does: the message may have been delivered, and nothing else may be sent before that is written.
    async fn conclude(&self, letter: &mut Letter, attempt: i64, verdict: Verdict) {
        let now_ms = self.shared.clock.now_ms();
        let rand = (self.shared.fraction)();
        let state = self.robot.after(&verdict, now_ms, rand);
        let step = self.step(letter, &verdict);
        let effect = self.effect(letter, &verdict, step, now_ms);
        let garbage = self.bot.queue().take_garbage(GARBAGE);
        let outcome = Outcome {
            bot: Arc::clone(&self.bot.name),
            robot: Arc::clone(&self.robot.id),
            message: letter.id.clone(),
            attempt,
            ended_ms: now_ms,
            verdict: verdict.as_str(),
            reason: verdict.reason().to_owned(),
            robot_state: state.clone(),
            effect,
            superseded: garbage.clone(),
        };
        loop {
            match self.shared.store.finish(outcome.clone()).await {
                Ok(()) => break,
                Err(StoreError::NotFound) => break,
                Err(error) => {
                    tracing::error!(bot = %self.bot.name, %error, "an outcome can not be written; sending waits");
                    if self.sleep(STORE_AGAIN).await.is_err() {
                        // The attempt stays open, and the next start treats its outcome as unknown.
                        return;
                    }
                }
            }
        }
        self.robot.ended(self.shared.clock.mono());
        self.robot.set(state.clone(), now_ms, self.shared.clock.mono());
        self.settle(letter, &verdict, step, now_ms);
        self.report(letter, &verdict, &state);
    }

    /// What a refusal leads to; `None` for other verdicts.
    fn step(&self, letter: &Letter, verdict: &Verdict) -> Option<Step> {
        let Verdict::Rejected { .. } = verdict else { return None };
        let Content::Alerts(items) = &letter.content else { return None };
        Some(letter.stage.refused(items.len(), channel::refuses_mention(self.config.kind, verdict)))
    }

    fn effect(&self, letter: &Letter, verdict: &Verdict, step: Option<Step>, now_ms: Millis) -> Effect {
        match (&letter.content, verdict) {
            (Content::Notice(dead), Verdict::Delivered | Verdict::Rejected { .. }) => Effect::Announced(*dead),
            (Content::Alerts(items), Verdict::Delivered) => {
                Effect::Told(items.iter().map(|(item, how)| (item.head.pos, told_state(item, now_ms), *how)).collect())
            }
            (Content::Alerts(items), Verdict::Rejected { reason }) if step == Some(Step::Dead) => {
                let letters = items.iter().enumerate();
                Effect::Dead(letters.map(|(at, (item, _))| dead_letter(letter, at, item, reason)).collect())
            }
            (Content::Alerts(_), Verdict::Rejected { .. }) => Effect::Kept { open: false },
            _ => Effect::Kept { open: self.stays_open(letter, verdict) },
        }
    }

    /// DingTalk knows a message again by its id: after an unknown outcome the same is sent until its outcome is known.
    fn stays_open(&self, letter: &Letter, verdict: &Verdict) -> bool {
        let was_open = letter.text.is_empty();
        self.config.kind == BotKind::DingTalk
            && matches!(letter.content, Content::Alerts(_))
            && (was_open || matches!(verdict, Verdict::UnknownOutcome { .. }))
    }

    /// After the commit: the queue and the desk learn what the store knows.
    fn settle(&self, letter: &Letter, verdict: &Verdict, step: Option<Step>, now_ms: Millis) {
        let mut desk = self.bot.desk();
        let mut queue = self.bot.queue();
        if let Content::Notice(dead) = letter.content {
            if matches!(verdict, Verdict::Delivered | Verdict::Rejected { .. }) {
                desk.unannounced = desk.unannounced.saturating_sub(dead);
            }
            return;
        }
        match (verdict, step) {
            (Verdict::Delivered, _) => {
                queue.told(&letter.covers(), now_ms);
                let now = self.shared.clock.mono();
                desk.called.extend(letter.calls.iter().map(|name| (name.clone(), now)));
                desk.retrying.remove(&letter.group);
                if !letter.stage.halving {
                    desk.stages.remove(&letter.group);
                }
            }
            (_, Some(Step::Dead)) => {
                queue.dead(&letter.versions());
                desk.unannounced += u32::try_from(letter.versions().len()).unwrap_or(u32::MAX);
                desk.retrying.remove(&letter.group);
                if !letter.stage.halving {
                    desk.stages.remove(&letter.group);
                }
            }
            (_, Some(Step::Again(stage))) => {
                queue.released(&letter.versions());
                desk.stages.insert(letter.group, stage);
                desk.retrying.remove(&letter.group);
            }
            // Its alerts stay locked: newer states leave in the next message.
            _ if self.stays_open(letter, verdict) => desk.open.push_front(self.open_of(letter)),
            _ => {
                queue.released(&letter.versions());
                desk.retrying.insert(letter.group, letter.id.clone());
            }
        }
        if !queue.has_ready() {
            desk.stages.clear();
        }
    }

    fn report(&self, letter: &Letter, verdict: &Verdict, state: &RobotState) {
        let metrics = &self.shared.metrics;
        let bot = &*self.bot.name;
        metrics.attempt(bot, verdict);
        if matches!(verdict, Verdict::Delivered | Verdict::Rejected { .. }) {
            metrics.message(bot, letter.kind, verdict);
        }
        match verdict {
            Verdict::Delivered => {
                tracing::debug!(bot, id = %letter.id, "delivered");
                let Content::Alerts(items) = &letter.content else { return };
                let settings = self.shared.settings.load();
                for (item, _) in items {
                    let waited = state.last_verdict_ms.saturating_sub(item.since_ms).max(0);
                    metrics.told_after(self.config.kind, settings.severities.name(item.head.severity), waited);
                }
            }
            Verdict::Misconfigured { reason, remedy } => {
                tracing::error!(bot, id = %letter.id, reason = %reason, remedy = %remedy, "the robot refuses every message");
            }
            verdict => {
                tracing::warn!(bot, id = %letter.id, verdict = verdict.as_str(), reason = verdict.reason(), "not delivered");
            }
        }
    }
}

/// Closes an open message in the store; its alerts wait on.
pub(super) async fn give_up(shared: &Shared, bot: &Bot, open: &OpenMessage) -> Result<(), StoreError> {
    let (state, _) = shared.store.robot(&open.robot, shared.clock.now_ms()).await?;
    let closed = shared
        .store
        .finish(Outcome {
            bot: Arc::clone(&bot.name),
            robot: open.robot.as_str().into(),
            message: open.id.clone(),
            attempt: open.attempt.unwrap_or(0),
            ended_ms: shared.clock.now_ms(),
            verdict: "unknown_outcome",
            reason: "the process ended before the outcome was known".to_owned(),
            robot_state: state,
            effect: Effect::Kept { open: false },
            superseded: Vec::new(),
        })
        .await;
    match closed {
        Err(StoreError::NotFound) => Ok(()),
        other => other,
    }
}

const fn told_state(item: &Item, now_ms: Millis) -> ToldState {
    let head = &item.head;
    let ended_silently = matches!(head.status, Status::Firing) && head.ends_ms != 0;
    ToldState {
        fingerprint: head.fingerprint,
        group: head.group,
        status: if ended_silently { Status::Resolved } else { head.status },
        starts_ms: head.starts_ms,
        ends_ms: head.ends_ms,
        accepted_ms: head.accepted_ms,
        told_ms: now_ms,
    }
}

fn dead_letter(letter: &Letter, at: usize, item: &Item, reason: &str) -> NewDeadLetter {
    let (via, body) = match letter.sources.get(at) {
        Some((via, body)) => (via.to_string(), alone(body, item)),
        None => (String::new(), Vec::new()),
    };
    let alert = letter.alerts.get(at).cloned().unwrap_or_else(|| crate::model::ToldAlert {
        fingerprint: item.fingerprint(),
        status: item.head.status,
        how: How::Named,
        severity: String::new(),
        labels: crate::model::Labels::new(),
        summary: String::new(),
        starts_ms: item.head.starts_ms,
        ends_ms: item.head.ends_ms,
    });
    NewDeadLetter {
        pos: item.head.pos,
        via,
        group: letter.group,
        alert,
        body: body.into(),
        reason: reason.to_owned(),
        severity: item.head.severity,
    }
}

/// A webhook body that holds just this alert.
fn alone(body: &crate::model::Notification, item: &Item) -> Vec<u8> {
    let index = usize::try_from(item.head.idx).unwrap_or(usize::MAX);
    let Some(alert) = body.alerts.get(index) else { return Vec::new() };
    let time = |time: Option<jiff::Timestamp>| time.map(|time| time.to_string());
    let value = serde_json::json!({
        "receiver": body.receiver,
        "status": alert.status,
        "alerts": [{
            "status": alert.status,
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": time(alert.starts_at),
            "endsAt": time(alert.ends_at),
            "generatorURL": alert.generator_url,
            "fingerprint": alert.fingerprint,
            "silenceURL": alert.silence_url,
            "dashboardURL": alert.dashboard_url,
            "panelURL": alert.panel_url,
            "valueString": alert.value_string,
        }],
        "groupLabels": body.group_labels,
        "commonLabels": body.common_labels,
        "commonAnnotations": body.common_annotations,
        "externalURL": body.external_url,
        "version": body.version,
        "groupKey": body.group_key,
        "truncatedAlerts": 0,
    });
    value.to_string().into_bytes()
}
