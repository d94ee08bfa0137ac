//! The bounded queue in front of the database.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::Options;
use crate::store::{Append, StoreError};

pub(super) struct Job {
    /// Bytes it holds in memory.
    pub(super) weight: usize,
    pub(super) append: Append,
    pub(super) reply: oneshot::Sender<Result<(), StoreError>>,
}

/// See the module.
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Notify,
    idle: Notify,
    ops: usize,
    bytes: usize,
    batch_ops: usize,
    batch_bytes: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
    /// The last batch was answered, and nothing more comes.
    done: bool,
}

impl Queue {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            state: Mutex::default(),
            ready: Notify::new(),
            idle: Notify::new(),
            ops: options.queue_ops,
            bytes: options.queue_bytes,
            batch_ops: options.batch_ops.max(1),
            batch_bytes: options.batch_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a webhook, or says at once that there is no room. One larger than the bound fits an empty queue.
    pub(super) fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        let full =
            state.jobs.len() >= self.ops || (state.bytes > 0 && state.bytes.saturating_add(job.weight) > self.bytes);
        if full {
            return Err(StoreError::Unavailable("its queue is full".to_owned()));
        }
        state.bytes = state.bytes.saturating_add(job.weight);
        state.jobs.push_back(job);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.state().jobs.len()
    }

    /// What is queued, within the bounds of a batch; empty when there is nothing, `None` at the end.
    fn try_take(&self) -> Option<Vec<Job>> {
        let mut state = self.state();
        if state.jobs.is_empty() && state.closed {
            state.done = true;
            drop(state);
            self.idle.notify_waiters();
            return None;
        }
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while batch.len() < self.batch_ops {
            let Some(job) = state.jobs.pop_front() else { break };
            if !batch.is_empty() && bytes.saturating_add(job.weight) > self.batch_bytes {
                state.jobs.push_front(job);
                break;
            }
            bytes = bytes.saturating_add(job.weight);
            batch.push(job);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        Some(batch)
    }

    /// The next batch, when there is one; `None` at the end.
    pub(super) async fn take(&self) -> Option<Vec<Job>> {
        loop {
            let batch = self.try_take()?;
            if !batch.is_empty() {
                return Some(batch);
            }
            self.ready.notified().await;
        }
    }

    /// Takes no more; what is queued is done first.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.ready.notify_one();
    }

    /// Waits until what was queued is done, after [`Queue::close`].
    pub(super) async fn drained(&self) {
        loop {
            let idle = self.idle.notified();
            if self.state().done {
                return;
            }
            idle.await;
        }
    }

    /// Drops what is queued: its senders are told.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.done = true;
        state.jobs.clear();
        drop(state);
        self.idle.notify_waiters();
    }
}
