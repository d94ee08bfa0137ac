//! What became of an attempt: written down first, then told to the queue.

use std::sync::Arc;

use super::bot::Bot;
use super::digest::{MOST, PART};
use super::ladder::Step;
use super::letter::{Content, Letter};
use super::shared::Shared;
use super::sources::Source;
use super::worker::{STORE_AGAIN, Worker};
use crate::channel;
use crate::model::{BotKind, How, Kind, Labels, Millis, Status, StormState, ToldAlert, Verdict};
use crate::store::{Effect, NewDeadLetter, OpenMessage, Outcome, RobotState, StoreError, ToldState};
use crate::waiting::Item;

/// Why an attempt ended without a request.
const UNSENT: &str = "the lease ran out before the request was written";

/// Whether an outcome was written down.
enum Written {
    Done,
    /// The worker was told to stop before the store answered.
    Never,
    /// Another replica speaks for the bot.
    Fenced,
}

/// Superseded rows that one outcome deletes, at most.
const GARBAGE: usize = 500;

impl Worker {
    /// Writes down what became of the attempt, and lets the queue know. A store that does not answer is asked until it
    /// does: the message may have been delivered, and nothing else may be sent before that is written.
    pub(super) async fn conclude(&self, letter: &Letter, attempt: i64, verdict: Verdict) {
        let now_ms = self.shared.clock.now_ms();
        let rand = (self.shared.fraction)();
        let state = self.robot.after(&verdict, now_ms, rand);
        let step = self.step(letter, &verdict);
        let effect = self.effect(letter, &verdict, step, now_ms);
        // Old states of what is told or dies now must not come back at a restart: their rows go in the same commit.
        let leaving = matches!(effect, Effect::Told(_) | Effect::Dead(_));
        let versions = if leaving { letter.versions() } else { Vec::new() };
        let garbage = self.bot.queue().take_garbage_for(&versions, GARBAGE);
        let storm = self.storm_after(letter, &verdict, now_ms);
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
            storm,
        };
        match self.write_down(outcome).await {
            Written::Done => {}
            Written::Never => {
                self.leave_open(letter, attempt, garbage);
                return;
            }
            Written::Fenced => {
                tracing::warn!(
                    bot = %self.bot.name, id = %letter.id, verdict = verdict.as_str(),
                    "another replica speaks for the bot by now; what became of a message of ours is not counted"
                );
                self.shared.metrics.attempt(&self.bot.name, &verdict);
                self.robot.ended(self.shared.clock.mono());
                return;
            }
        }
        self.bot.set_stuck(false);
        self.robot.ended(self.shared.clock.mono());
        self.robot.set(state.clone(), now_ms, self.shared.clock.mono());
        self.settle(letter, &verdict, step, storm, now_ms);
        self.report(letter, &verdict, &state);
    }

    /// The lease ran out before the request was written: the attempt ends, and everything is as before it.
    pub(super) async fn unsent(&self, letter: &Letter, attempt: i64) {
        let verdict = Verdict::Retry { reason: UNSENT.to_owned() };
        let was_open = letter.text.is_empty();
        let outcome = Outcome {
            bot: Arc::clone(&self.bot.name),
            robot: Arc::clone(&self.robot.id),
            message: letter.id.clone(),
            attempt,
            ended_ms: self.shared.clock.now_ms(),
            verdict: verdict.as_str(),
            reason: UNSENT.to_owned(),
            // It is not the robot's fault.
            robot_state: self.robot.state().unwrap_or_default(),
            effect: Effect::Kept { open: was_open },
            superseded: Vec::new(),
            storm: None,
        };
        tracing::warn!(bot = %self.bot.name, id = %letter.id, "{UNSENT}; the message waits");
        let written = self.write_down(outcome).await;
        self.robot.ended(self.shared.clock.mono());
        match written {
            Written::Done => {
                self.shared.metrics.attempt(&self.bot.name, &verdict);
                self.put_back(letter);
            }
            Written::Never | Written::Fenced => self.put_back(letter),
        }
    }

    /// Asks the store until it has written an outcome down.
    async fn write_down(&self, outcome: Outcome) -> Written {
        loop {
            match self.shared.store.finish(outcome.clone()).await {
                Ok(()) | Err(StoreError::NotFound) => return Written::Done,
                Err(StoreError::Fenced) => {
                    self.shared.fence(&self.bot.name);
                    return Written::Fenced;
                }
                Err(error) => {
                    tracing::error!(bot = %self.bot.name, %error, "an outcome can not be written; sending waits");
                    if self.sleep(STORE_AGAIN).await.is_err() {
                        return Written::Never;
                    }
                }
            }
        }
    }

    /// Nobody wrote down what became of the attempt. The next start treats its outcome as unknown; so does the worker
    /// that comes after a reload, which finds the queue and the robot as they are left here.
    fn leave_open(&self, letter: &Letter, attempt: i64, garbage: Vec<i64>) {
        self.bot.queue().return_garbage(garbage);
        self.robot.ended(self.shared.clock.mono());
        let mut open = self.open_of(letter);
        open.message.attempt = Some(attempt);
        let mut desk = self.bot.desk();
        desk.open.push_front(open);
        self.stays(letter, &mut desk);
    }

    /// The storm once this was told; `None` when nothing was told in one.
    fn storm_after(&self, letter: &Letter, verdict: &Verdict, now_ms: Millis) -> Option<StormState> {
        let told = matches!((verdict, &letter.content), (Verdict::Delivered, Content::Alerts(_)));
        let (firing, resolved) = letter.news;
        let digest = letter.kind == Kind::Digest;
        told.then(|| self.bot.desk().storm.after(digest, firing, resolved, now_ms)).flatten()
    }

    /// What a refusal leads to; `None` for other verdicts.
    fn step(&self, letter: &Letter, verdict: &Verdict) -> Option<Step> {
        let Verdict::Rejected { .. } = verdict else { return None };
        let Content::Alerts(items) = &letter.content else { return None };
        let mention = channel::refuses_mention(self.config.kind, verdict);
        Some(letter.stage.refused(items.len(), letter.kind == Kind::Digest, mention))
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
    /// In a pool it is sent again once: then its alerts must not wait for a broken robot while others could tell them.
    fn stays_open(&self, letter: &Letter, verdict: &Verdict) -> bool {
        let was_open = letter.text.is_empty();
        let again =
            if was_open { self.config.robots.len() == 1 } else { matches!(verdict, Verdict::UnknownOutcome { .. }) };
        self.config.kind == BotKind::DingTalk && matches!(letter.content, Content::Alerts(_)) && again
    }

    /// After the commit: the queue and the desk learn what the store knows.
    fn settle(
        &self,
        letter: &Letter,
        verdict: &Verdict,
        step: Option<Step>,
        storm: Option<StormState>,
        now_ms: Millis,
    ) {
        let mut desk = self.bot.desk();
        let digest = letter.kind == Kind::Digest;
        match verdict {
            Verdict::Delivered if digest || storm.is_some() => {
                desk.storm.delivered(digest, storm, self.shared.clock.mono());
                if digest && matches!(&letter.content, Content::Alerts(items) if items.len() >= MOST) {
                    desk.storm.fell_short();
                }
            }
            _ => self.stays(letter, &mut desk),
        }
        if let Content::Notice(dead) = letter.content {
            desk.announcing = false;
            if matches!(verdict, Verdict::Delivered | Verdict::Rejected { .. }) {
                desk.unannounced = desk.unannounced.saturating_sub(dead);
            }
            return;
        }
        match (verdict, step) {
            (Verdict::Delivered, _) => {
                // In parts: the store's writer thread waits for the queue, too.
                for part in letter.covers().chunks(PART) {
                    self.bot.queue().told(part, now_ms);
                }
                let now = self.shared.clock.mono();
                desk.called.extend(letter.calls.iter().map(|name| (name.clone(), now)));
                desk.retrying.remove(&letter.group);
                if !letter.stage.halving {
                    desk.stages.remove(&letter.group);
                }
            }
            (_, Some(Step::Dead)) => {
                self.bot.queue().dead(&letter.versions());
                desk.unannounced += u32::try_from(letter.versions().len()).unwrap_or(u32::MAX);
                desk.retrying.remove(&letter.group);
                if !letter.stage.halving {
                    desk.stages.remove(&letter.group);
                }
            }
            (_, Some(Step::Apart)) => {
                self.release(letter);
                self.tell_apart(&mut desk);
            }
            (_, Some(Step::Again(stage))) => {
                self.release(letter);
                desk.stages.insert(letter.group, stage);
                desk.retrying.remove(&letter.group);
            }
            // Its alerts stay locked: newer states leave in the next message.
            _ if self.stays_open(letter, verdict) => desk.open.push_front(self.open_of(letter)),
            _ => {
                self.release(letter);
                desk.retrying.insert(letter.group, letter.id.clone());
            }
        }
        if self.bot.queue().has_ready() {
            // What this robot gave back need not wait until it may be sent to again: another of the pool may be idle.
            self.bot.ring();
        } else {
            // What failed alone may have been told in a digest: whatever that group tells later is another message.
            desk.retrying.clear();
            desk.stages.clear();
        }
    }

    fn release(&self, letter: &Letter) {
        for part in letter.versions().chunks(PART) {
            self.bot.queue().released(part);
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

/// Why most open messages are closed.
pub(super) const KILLED: &str = "the process ended before the outcome was known";

/// Closes an open message in the store; its alerts wait on.
pub(super) async fn give_up(shared: &Shared, bot: &Bot, open: &OpenMessage, why: &str) -> Result<(), StoreError> {
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
            reason: why.to_owned(),
            robot_state: state,
            effect: Effect::Kept { open: false },
            superseded: Vec::new(),
            storm: None,
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
        Some(source) => (source.via.to_string(), alone(source)),
        None => (String::new(), Vec::new()),
    };
    let alert = letter.alerts.get(at).cloned().unwrap_or_else(|| ToldAlert {
        fingerprint: item.fingerprint(),
        status: item.head.status,
        how: How::Named,
        severity: String::new(),
        labels: Labels::new(),
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
fn alone(source: &Source) -> Vec<u8> {
    let Source { body, alert, .. } = source;
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
