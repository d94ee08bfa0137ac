//! What the writer remembers of the file, so that acceptance never has to read it. Every change can be undone: the
//! memory follows the transaction.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::clean::Cleaner;
use super::live::{Live, Need};
use crate::store::{Counters, StoreError};

/// A bot's row.
#[derive(Clone, Debug)]
pub(super) struct Bot {
    pub(super) id: i64,
    pub(super) name: Arc<str>,
    pub(super) counts: Counts,
    /// Whether its row must be written before the commit.
    pub(super) dirty: bool,
}

/// The part of a bot's row that changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    pub(super) proof: Counters,
    pub(super) unannounced: u64,
}

/// How much is kept for later, all bots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Totals {
    /// Heads.
    pub(super) heads: u64,
    /// Of these, ends that are noted and never told: they need room, and nobody waits for them.
    pub(super) silent: u64,
    /// Bytes of the bodies that heads refer to.
    pub(super) bytes: u64,
}

#[derive(Debug)]
enum Undo {
    NewBot,
    NewVia(Arc<str>),
    Bot(usize, Counts),
    Body(i64, Need),
    Garbage,
}

/// A place to go back to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    undo: usize,
    totals: Totals,
    next_body: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Memory {
    bots: Vec<Bot>,
    by_name: HashMap<Arc<str>, usize>,
    vias: HashMap<Arc<str>, u32>,
    live: Live,
    totals: Totals,
    next_body: i64,
    /// Bodies that no head refers to any more, with their lengths: deleted in small steps.
    garbage: VecDeque<(i64, u32)>,
    undo: Vec<Undo>,
    start: Mark,
    dirty: Vec<usize>,
    /// Where clean-up stands; not undone.
    pub(super) cleaner: Cleaner,
}

impl Memory {
    pub(super) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), totals: self.totals, next_body: self.next_body }
    }

    /// Goes back to a mark of this transaction.
    pub(super) fn undo_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.undo {
            match self.undo.pop() {
                Some(Undo::NewBot) => {
                    if let Some(bot) = self.bots.pop() {
                        self.by_name.remove(&bot.name);
                    }
                    let count = self.bots.len();
                    self.dirty.retain(|slot| *slot < count);
                }
                Some(Undo::NewVia(text)) => drop(self.vias.remove(&text)),
                Some(Undo::Bot(slot, counts)) => self.bots[slot].counts = counts,
                Some(Undo::Body(id, need)) => self.live.set(id, need),
                Some(Undo::Garbage) => drop(self.garbage.pop_back()),
                None => break,
            }
        }
        self.totals = mark.totals;
        self.next_body = mark.next_body;
    }

    /// Goes back to the last commit.
    pub(super) fn undo_all(&mut self) {
        self.undo_to(self.start);
        self.clean_rows();
    }

    fn clean_rows(&mut self) {
        for slot in self.dirty.drain(..) {
            self.bots[slot].dirty = false;
        }
    }

    /// The transaction is durable: nothing before can be undone.
    pub(super) fn committed(&mut self) {
        self.undo.clear();
        // One huge transaction must not hold its room for ever.
        self.undo.shrink_to(4096);
        self.clean_rows();
        self.start = self.mark();
    }

    /// Drops the notes of changes that are not to be undone, while loading.
    pub(super) fn forget_undo(&mut self) {
        self.undo.clear();
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn bots(&self) -> &[Bot] {
        &self.bots
    }

    pub(super) fn bot(&self, slot: usize) -> &Bot {
        &self.bots[slot]
    }

    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Notes a bot whose row exists; returns its slot.
    pub(super) fn add_bot(&mut self, bot: Bot) -> usize {
        let slot = self.bots.len();
        self.by_name.insert(bot.name.clone(), slot);
        self.bots.push(bot);
        self.undo.push(Undo::NewBot);
        slot
    }

    pub(super) fn via(&self, text: &str) -> Option<u32> {
        self.vias.get(text).copied()
    }

    /// Notes a via text whose row exists.
    pub(super) fn add_via(&mut self, text: Arc<str>, id: u32) {
        self.vias.insert(text.clone(), id);
        self.undo.push(Undo::NewVia(text));
    }

    /// Changes a bot's counters; its row is written once, at the end of the transaction.
    pub(super) fn count(&mut self, slot: usize, change: impl FnOnce(&mut Counts)) {
        let before = self.bots[slot].counts;
        change(&mut self.bots[slot].counts);
        self.undo.push(Undo::Bot(slot, before));
        if !self.bots[slot].dirty {
            self.bots[slot].dirty = true;
            self.dirty.push(slot);
        }
    }

    /// Bots whose rows must be written.
    pub(super) fn dirty(&self) -> impl Iterator<Item = &Bot> {
        self.dirty.iter().map(|slot| &self.bots[*slot])
    }

    /// Whether so much more may wait.
    pub(super) fn room_for(&self, heads: u64, bytes: u64, max: Totals) -> Result<(), StoreError> {
        let Totals { heads: waiting, bytes: waiting_bytes, .. } = self.totals;
        if waiting.saturating_add(heads) > max.heads {
            return Err(StoreError::BacklogFull(format!("{waiting} of at most {} alerts wait", max.heads)));
        }
        if waiting_bytes.saturating_add(bytes) > max.bytes {
            return Err(StoreError::BacklogFull(format!("{waiting_bytes} of at most {} bytes wait", max.bytes)));
        }
        Ok(())
    }

    /// The id of a new body.
    pub(super) fn new_body(&mut self) -> i64 {
        let id = self.next_body;
        self.next_body += 1;
        id
    }

    /// The highest body id that exists; set while loading.
    pub(super) fn set_last_body(&mut self, id: i64) {
        self.next_body = id + 1;
    }

    /// A head now refers to a body of that length.
    pub(super) fn need(&mut self, body: i64, len: u32, silent: bool) {
        let before = self.live.get(body);
        self.live.set(body, Need { refs: before.refs + 1, len });
        self.undo.push(Undo::Body(body, before));
        self.totals.heads += 1;
        self.totals.silent += u64::from(silent);
        if before.refs == 0 {
            self.totals.bytes += u64::from(len);
        }
    }

    /// One head less refers to a body.
    pub(super) fn release(&mut self, body: i64, silent: bool) {
        let before = self.live.get(body);
        let refs = before.refs.saturating_sub(1);
        let after = if refs == 0 { Need::default() } else { Need { refs, ..before } };
        self.live.set(body, after);
        self.undo.push(Undo::Body(body, before));
        self.totals.heads = self.totals.heads.saturating_sub(1);
        self.totals.silent = self.totals.silent.saturating_sub(u64::from(silent));
        if after.refs == 0 {
            self.totals.bytes = self.totals.bytes.saturating_sub(u64::from(before.len));
            self.garbage.push_back((body, before.len));
            self.undo.push(Undo::Garbage);
        }
    }

    /// Whether a body may be deleted.
    pub(super) fn is_needed(&self, body: i64) -> bool {
        self.live.get(body).refs > 0
    }

    pub(super) fn has_garbage(&self) -> bool {
        !self.garbage.is_empty()
    }

    /// Takes the next bodies to delete, oldest first, within bounds (at least one). The caller gives them back with
    /// [`Memory::give_back`] when the transaction fails.
    pub(super) fn take_garbage(&mut self, max: usize, max_bytes: u64) -> Vec<(i64, u32)> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < max && bytes < max_bytes {
            let Some((id, len)) = self.garbage.pop_front() else { break };
            bytes += u64::from(len);
            taken.push((id, len));
        }
        taken
    }

    /// Puts back what [`Memory::take_garbage`] took; before [`Memory::undo_all`].
    pub(super) fn give_back(&mut self, taken: Vec<(i64, u32)>) {
        for entry in taken.into_iter().rev() {
            self.garbage.push_front(entry);
        }
    }
}
