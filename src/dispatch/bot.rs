//! What dispatch keeps of one bot between messages.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::ladder::Stage;
use crate::model::{Fingerprint, GroupId, MessageId};
use crate::store::OpenMessage;
use crate::waiting::{Item, Queue, Storm};

/// One bot: its queue, and what its workers share.
pub(super) struct Bot {
    pub(super) name: Arc<str>,
    queue: Mutex<Queue>,
    desk: Mutex<Desk>,
    /// Rung when something may have become ready.
    pub(super) bell: Notify,
    /// One ring for whoever takes over: kept until it is heard.
    pub(super) alarm: Notify,
    /// The bot that speaks for it at present.
    speaker: Mutex<Option<Arc<str>>>,
    /// Whether its worker can not run, or panicked and has finished no message since.
    pub(super) stuck: AtomicBool,
    standing: AtomicU8,
    /// Repeats that its heads held already when it came to us.
    repeats_before: AtomicU64,
    /// When it came to us: nanoseconds on the monotonic clock.
    since: AtomicU64,
}

/// Whether this replica speaks for a bot; of a store of one process always [`Standing::Ours`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Standing {
    /// The store is still telling what waits for it.
    Coming,
    /// It has workers, if the config has it.
    Ours,
    /// Its workers finish what they have begun.
    Leaving,
}

/// What a bot's workers remember from one message to the next. What matters of it is stored too.
#[derive(Default)]
pub(super) struct Desk {
    /// Groups whose content a robot refused, and how they are told now.
    pub(super) stages: HashMap<GroupId, Stage>,
    /// Messages with an unknown outcome that must be sent again as they are.
    pub(super) open: VecDeque<Open>,
    /// The message that a group's next attempt continues.
    pub(super) retrying: HashMap<GroupId, MessageId>,
    /// When a person was last called, by contact name; `""` is everybody. Monotonic time.
    pub(super) called: HashMap<String, Duration>,
    /// Dead letters that the chat has not been told of.
    pub(super) unannounced: u32,
    /// Whether a message is on its way that tells the chat of them.
    pub(super) announcing: bool,
    /// Whether the next single message is for the group that waits longest, not for the most urgent one.
    pub(super) oldest_next: bool,
    /// Whether there is more to tell than fits single messages.
    pub(super) storm: Storm,
    /// Until then (monotonic) nothing is told in digests, because the robot refused even one of numbers.
    pub(super) apart_until: Duration,
}

/// A message with an unknown outcome.
pub(super) struct Open {
    pub(super) message: OpenMessage,
    /// Its alerts, locked since it was sent; `None` for one that was begun by an earlier process.
    pub(super) items: Option<Vec<Item>>,
}

impl Bot {
    /// Unlocks the alerts of messages that will not be sent again.
    pub(super) fn release(&self, open: &Open) {
        let locked = open.items.iter().flatten().map(|item| (item.head.pos, item.fingerprint()));
        self.put_back(&locked.collect::<Vec<_>>());
    }

    /// These versions were not told: any of the bot's robots may take them now.
    pub(super) fn put_back(&self, versions: &[(i64, Fingerprint)]) {
        self.queue().released(versions);
        self.ring();
    }

    pub(super) fn new(name: Arc<str>, queue: Queue, standing: Standing) -> Arc<Self> {
        Arc::new(Self {
            name,
            queue: Mutex::new(queue),
            desk: Mutex::default(),
            bell: Notify::new(),
            alarm: Notify::new(),
            speaker: Mutex::default(),
            stuck: AtomicBool::new(false),
            standing: AtomicU8::new(standing as u8),
            repeats_before: AtomicU64::new(0),
            since: AtomicU64::new(0),
        })
    }

    fn stands(&self, standing: Standing) -> bool {
        self.standing.load(Ordering::Acquire) == standing as u8
    }

    /// Whether this replica speaks for it, and will.
    pub(super) fn is_ours(&self) -> bool {
        self.stands(Standing::Ours)
    }

    /// Whether this replica speaks for it still, or will: all of its heads are known here.
    pub(super) fn is_here(&self) -> bool {
        !self.stands(Standing::Coming)
    }

    /// All of its heads were heard, and it is ours.
    pub(super) fn came(&self, now: Duration) {
        self.repeats_before.store(self.queue().repeats(), Ordering::Relaxed);
        self.since.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.standing.store(Standing::Ours as u8, Ordering::Release);
    }

    pub(super) fn leaves(&self) {
        self.standing.store(Standing::Leaving as u8, Ordering::Release);
    }

    /// When it came to us, monotonic.
    pub(super) fn since(&self) -> Duration {
        Duration::from_nanos(self.since.load(Ordering::Relaxed))
    }

    /// Repeats that were recognised since it came to us.
    pub(super) fn repeats(&self) -> u64 {
        self.queue().repeats().saturating_sub(self.repeats_before.load(Ordering::Relaxed))
    }

    // A panic inside is a defect, but refusing all further alerts because of it would be a worse one.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Ordering::Relaxed);
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    pub(super) fn ring(&self) {
        self.bell.notify_waiters();
        self.alarm.notify_one();
    }

    /// The bot that speaks for it at present.
    pub(super) fn speaker(&self) -> Option<Arc<str>> {
        self.speaker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets who speaks for it; returns who did before.
    pub(super) fn set_speaker(&self, speaker: Option<Arc<str>>) -> Option<Arc<str>> {
        std::mem::replace(&mut *self.speaker.lock().unwrap_or_else(PoisonError::into_inner), speaker)
    }
}
