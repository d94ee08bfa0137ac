//! What a worker sends next: chosen when the robot can be sent to, since the newest state and the newest template win.

use std::time::Duration;

use super::bot::{self, Open};
use super::digest;
use super::ladder::Stage;
use super::letter::{Composed, Content, DIGEST, Desk, Letter};
use super::outcome::{KILLED, give_up};
use super::robot::millis;
use super::worker::{Hand, Worker};
use crate::model::{BotKind, Fingerprint, GroupId, Kind, MessageId, Place};
use crate::render::TemplateFailure;
use crate::store::{OpenMessage, StoreError};
use crate::waiting::{Demand, Item, Picked, Plan};

/// Groups with critical alerts that are counted at most, however many tokens there are.
const MOST_CRITICAL: usize = 1_000;
/// The most alerts of a group in one message: all of them are read before its first byte leaves. What waits beyond leaves
/// with the next token.
const MOST: usize = 10_000;
/// How long groups are told one by one after a robot refused even a digest of mere numbers.
const APART: Duration = Duration::from_secs(300);

fn versions(items: &[Item]) -> Vec<(i64, Fingerprint)> {
    items.iter().map(|item| (item.head.pos, item.fingerprint())).collect()
}

impl Worker {
    /// What leaves next of what waits.
    pub(super) fn plan(&self) -> Plan {
        let clock = &self.shared.clock;
        let (now, now_ms) = (clock.mono(), clock.now_ms());
        let rooms: Vec<_> = self.pool.iter().map(|robot| robot.room(now)).collect();
        let tokens = rooms.iter().fold(0_u32, |sum, (tokens, _)| sum.saturating_add(*tokens));
        let robots = u32::try_from(self.pool.len()).unwrap_or(u32::MAX).max(1);
        let spacing = rooms.iter().map(|(_, spacing)| *spacing).max().unwrap_or_default() / robots;
        let mut options = self.shared.settings.load().storms;
        options.threshold = options.threshold.saturating_mul(self.pool.len());
        let mut desk = self.bot.desk();
        let mut queue = self.bot.queue();
        queue.wake(now_ms);
        if now < desk.apart_until {
            return if queue.has_ready() { Plan::Group } else { Plan::Wait(None) };
        }
        let most = usize::try_from(tokens).unwrap_or(usize::MAX).min(MOST_CRITICAL) + 1;
        let critical = if desk.storm.is_on() { queue.critical(most) } else { Vec::new() };
        let groups = queue.groups_waiting();
        desk.storm.plan(&Demand { groups, critical: &critical, tokens, spacing, now, now_ms }, &options)
    }

    fn new_id(&self) -> MessageId {
        let mut bytes = [0; 16];
        (self.shared.random)(&mut bytes);
        MessageId::from_bytes(bytes)
    }

    pub(super) async fn compose(&self) -> Result<Option<Letter>, StoreError> {
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
        let picked = match self.plan() {
            Plan::Digest => return self.digest(&desk).await,
            Plan::Critical => self.pick(true),
            Plan::Group => self.pick(false),
            Plan::Wait(_) => None,
        };
        let Some((picked, stage)) = picked else {
            return Ok(self.unannounced().map(|dead| desk.notice(dead, self.new_id())));
        };
        let (id, uuid) = self.ids(picked.group);
        let composed = desk.group(&picked, id.clone(), &uuid, stage).await;
        self.composed(composed, &picked.items, picked.group, id)
    }

    /// The id of a group's next message, and another that only these bytes have. An attempt that failed is continued
    /// once: the robots of a pool must not share its id.
    fn ids(&self, group: GroupId) -> (MessageId, MessageId) {
        let uuid = self.new_id();
        let id = self.bot.desk().retrying.remove(&group).unwrap_or_else(|| uuid.clone());
        (id, uuid)
    }

    fn composed(
        &self,
        composed: Result<Composed, StoreError>,
        items: &[Item],
        group: GroupId,
        id: MessageId,
    ) -> Result<Option<Letter>, StoreError> {
        match composed {
            Ok((letter, failure)) => {
                if let Some(failure) = failure {
                    self.template_failed(&failure, items.first());
                }
                Ok(Some(letter))
            }
            Err(error) => {
                self.bot.desk().retrying.insert(group, id);
                self.bot.put_back(&versions(items));
                Err(error)
            }
        }
    }

    fn pick(&self, critical: bool) -> Option<(Picked, Stage)> {
        let interval = self.shared.settings.load().storms.interval;
        let before_ms = self.shared.clock.now_ms().saturating_sub(millis(interval));
        let mut desk = self.bot.desk();
        let most = |group: GroupId| desk.stages.get(&group).map_or(MOST, |stage| stage.most.min(MOST));
        let mut queue = self.bot.queue();
        let picked = if critical {
            queue.pick_critical(most)?
        } else {
            // Without this, urgent news at the robot's own pace would leave the rest waiting for ever.
            let oldest = if desk.oldest_next { queue.pick_overdue(before_ms, most) } else { None };
            let is_oldest = oldest.is_some();
            let picked = oldest.or_else(|| queue.pick(most))?;
            desk.oldest_next = !is_oldest;
            picked
        };
        let stage = desk.stages.get(&picked.group).copied().unwrap_or_default();
        *self.hand() = Some(Hand { group: picked.group, versions: versions(&picked.items), stage, message: None });
        Some((picked, stage))
    }

    /// Everything that waits, as far as one digest goes.
    async fn digest(&self, desk: &Desk<'_>) -> Result<Option<Letter>, StoreError> {
        let stage = {
            let mut desk = self.bot.desk();
            desk.storm.leaves();
            desk.stages.get(&DIGEST).copied().unwrap_or_default()
        };
        *self.hand() = Some(Hand { group: DIGEST, versions: Vec::new(), stage, message: None });
        let mut items = Vec::new();
        while items.len() < digest::MOST {
            // In parts: the store's writer thread waits for the queue, too.
            let part = self.bot.queue().pick_some(digest::PART);
            if part.is_empty() {
                break;
            }
            if let Some(hand) = &mut *self.hand() {
                hand.versions.extend(versions(&part));
            }
            items.extend(part);
            tokio::task::yield_now().await;
        }
        if items.is_empty() {
            self.bot.desk().storm.stays();
            return Ok(None);
        }
        digest::sort(&mut items);
        let (id, uuid) = self.ids(DIGEST);
        let composed = desk.digest(items.clone(), id.clone(), &uuid, stage).await;
        if composed.is_err() {
            self.bot.desk().storm.stays();
        }
        self.composed(composed, &items, DIGEST, id)
    }

    /// Dead letters that this robot is to tell the chat of: one robot of a pool does.
    fn unannounced(&self) -> Option<u32> {
        let mut desk = self.bot.desk();
        let wanted = desk.unannounced > 0 && !desk.announcing;
        desk.announcing |= wanted;
        wanted.then_some(desk.unannounced)
    }

    /// What was to be told is not, or nobody knows: another message may tell it.
    pub(super) fn stays(&self, letter: &Letter, desk: &mut bot::Desk) {
        if letter.kind == Kind::Digest {
            desk.storm.stays();
        }
        if let Content::Notice(_) = letter.content {
            desk.announcing = false;
        }
    }

    /// Tells groups one by one for a while.
    pub(super) fn tell_apart(&self, desk: &mut bot::Desk) {
        desk.stages.remove(&DIGEST);
        desk.apart_until = self.shared.clock.mono() + APART;
    }

    fn template_failed(&self, failure: &TemplateFailure, item: Option<&Item>) {
        self.shared.metrics.template_error(&failure.template);
        let alert = failure.alert.or(item.map(Item::fingerprint)).map(|alert| alert.to_string()).unwrap_or_default();
        let Place { file, line, column } = &failure.place;
        tracing::error!(
            bot = %self.bot.name, template = %failure.template, at = %format_args!("{file}:{line}:{column}"),
            error = %failure.error, alert = %alert,
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
            if let Err(error) = give_up(&self.shared, &self.bot, &open.message, KILLED).await {
                self.bot.desk().open.push_front(Open { items: None, ..open });
                return Err(error);
            }
        }
    }

    pub(super) fn put_back(&self, letter: &Letter) {
        // Before anybody hears that its alerts wait again.
        self.stays(letter, &mut self.bot.desk());
        if letter.text.is_empty() {
            // A message that is sent again stays exactly that, and its alerts locked.
            self.bot.desk().open.push_front(self.open_of(letter));
            return;
        }
        if let Content::Alerts(_) = letter.content {
            // The store keeps parts of a digest under its id: under another one it would keep them once more.
            self.bot.desk().retrying.insert(letter.group, letter.id.clone());
        }
        self.bot.put_back(&letter.versions());
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
}
