//! The bounded queue in front of the writer.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::fault::Fault;
use super::tx::Tx;
use crate::store::{Append, Feed, StoreError};

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// An operation in one or more steps, each in a transaction of its own.
pub(super) trait Task: Send {
    /// Does the next step. A failure that is not fatal is kept for [`Task::settle`].
    fn step(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault>;
    /// Keeps a failure of the last step that reaches nobody else.
    fn fail(&mut self, error: StoreError);
    /// The transaction of the last step was committed or not: answers, or returns itself for the next step.
    fn settle(self: Box<Self>, result: Result<(), StoreError>) -> Option<Box<dyn Task>>;
}

/// What a step came to.
pub(super) enum Step<T> {
    /// There is more to do in the next transaction.
    More,
    /// That is the answer.
    Done(T),
}

/// A task made of a function and a state that only a commit moves forward.
pub(super) struct Call<T, S, F> {
    pub(super) state: S,
    pub(super) run: F,
    pub(super) reply: Reply<T>,
    pub(super) next: Option<(S, Result<Step<T>, StoreError>)>,
}

impl<T, S, F> Task for Call<T, S, F>
where
    T: Send + 'static,
    S: Clone + Send + 'static,
    F: FnMut(&mut Tx<'_>, &mut S) -> Result<Step<T>, Fault> + Send + 'static,
{
    fn step(&mut self, tx: &mut Tx<'_>) -> Result<(), Fault> {
        let mut state = self.state.clone();
        let step = (self.run)(tx, &mut state)?;
        self.next = Some((state, Ok(step)));
        Ok(())
    }

    fn fail(&mut self, error: StoreError) {
        self.next = Some((self.state.clone(), Err(error)));
    }

    fn settle(mut self: Box<Self>, result: Result<(), StoreError>) -> Option<Box<dyn Task>> {
        let answer = match (result, self.next.take()) {
            (Err(error), _) | (Ok(()), Some((_, Err(error)))) => Err(error),
            (Ok(()), Some((_, Ok(Step::Done(answer))))) => Ok(answer),
            (Ok(()), Some((state, Ok(Step::More)))) => {
                self.state = state;
                return Some(self);
            }
            (Ok(()), None) => Err(StoreError::Unavailable("it was not done".to_owned())),
        };
        // Nobody listens when the caller gave up; what was committed stays.
        let _ = self.reply.send(answer);
        None
    }
}

/// What the writer is asked to do.
pub(super) enum Work {
    Append(Append, Reply<()>, Result<(), StoreError>),
    Task(Box<dyn Task>),
    /// Runs alone, between transactions.
    Replay(Arc<dyn Feed>, Reply<()>),
}

pub(super) struct Job {
    /// Bytes it holds in memory.
    pub(super) weight: usize,
    pub(super) work: Work,
}

/// What [`Queue::take`] found.
pub(super) enum Taken {
    /// Appends and tasks in order; empty when there were none and it was not to wait.
    Batch(Vec<Job>),
    Replay(Arc<dyn Feed>, Reply<()>),
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Takes nothing more; what is queued is done.
    Draining,
    /// What is queued is dropped.
    Abandoned,
}

struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    mode: Mode,
}

/// Bounds of the queue and of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) queue_ops: usize,
    pub(super) queue_bytes: usize,
    pub(super) batch_ops: usize,
    pub(super) batch_bytes: usize,
}

pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    bounds: Bounds,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        let state = State { jobs: VecDeque::new(), bytes: 0, mode: Mode::Open };
        Self { state: Mutex::new(state), ready: Condvar::new(), bounds }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, or says at once that there is no room. A job larger than the bound fits an empty queue.
    pub(super) fn push(&self, job: Job) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.mode != Mode::Open {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        let full = state.jobs.len() >= self.bounds.queue_ops
            || (state.bytes > 0 && state.bytes.saturating_add(job.weight) > self.bounds.queue_bytes);
        if full {
            return Err(StoreError::Unavailable("its queue is full".to_owned()));
        }
        state.bytes = state.bytes.saturating_add(job.weight);
        state.jobs.push_back(job);
        if state.jobs.len() == 1 {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Takes what is queued, within the bounds of a batch; waits for the first when `wait`.
    pub(super) fn take(&self, wait: bool) -> Taken {
        let mut state = self.state();
        while state.jobs.is_empty() && state.mode == Mode::Open && wait {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.mode {
            Mode::Abandoned => {
                state.jobs.clear();
                return Taken::Closed;
            }
            Mode::Draining if state.jobs.is_empty() => return Taken::Closed,
            _ => {}
        }
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while batch.len() < self.bounds.batch_ops {
            let Some(job) = state.jobs.pop_front() else { break };
            if !batch.is_empty() && bytes.saturating_add(job.weight) > self.bounds.batch_bytes {
                state.jobs.push_front(job);
                break;
            }
            match job.work {
                Work::Replay(feed, reply) if batch.is_empty() => return Taken::Replay(feed, reply),
                Work::Replay(..) => {
                    state.jobs.push_front(job);
                    break;
                }
                _ => {}
            }
            bytes = bytes.saturating_add(job.weight);
            state.bytes = state.bytes.saturating_sub(job.weight);
            batch.push(job);
        }
        Taken::Batch(batch)
    }

    /// Whether queued jobs were dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.state().mode == Mode::Abandoned
    }

    /// Takes no more jobs; what is queued is done first.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.mode == Mode::Open {
            state.mode = Mode::Draining;
        }
        drop(state);
        self.ready.notify_all();
    }

    /// Takes no more jobs and drops those that wait.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.mode = Mode::Abandoned;
        state.jobs.clear();
        drop(state);
        self.ready.notify_all();
    }
}
