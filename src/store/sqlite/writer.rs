//! The writer thread: everything that is queued goes into one transaction, and the next begins when it ended.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rusqlite::Connection;

use super::checkpoint::{Checkpoints, Room};
use super::clean;
use super::fault::Fault;
use super::memory::{Memory, Totals};
use super::queue::{Job, Queue, Taken, Task, Work};
use super::readers::Gate;
use super::replay;
use super::reserve::{Reserve, no_room};
use super::tx::{Inserts, Tx};
use crate::model::Head;
use crate::store::StoreMetrics;
use crate::store::{Feed, StoreError};

/// What others may read of the writer's memory without asking it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    heads: AtomicU64,
    silent: AtomicU64,
    bytes: AtomicU64,
    /// The next commits that a test lets end in a panic, before anybody hears of them.
    #[cfg(test)]
    pub(super) panics: AtomicU64,
}

impl Shared {
    pub(super) fn totals(&self) -> Totals {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Totals { heads: load(&self.heads), silent: load(&self.silent), bytes: load(&self.bytes) }
    }

    fn publish(&self, totals: Totals) {
        self.heads.store(totals.heads, Ordering::Relaxed);
        self.silent.store(totals.silent, Ordering::Relaxed);
        self.bytes.store(totals.bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    #[allow(clippy::panic)]
    fn panic_when_asked(&self) {
        if self.panics.load(Ordering::Relaxed) > 0 {
            self.panics.fetch_sub(1, Ordering::Relaxed);
            panic!("asked for by a test");
        }
    }
}

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) mem: Memory,
    pub(super) queue: Arc<Queue>,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: StoreMetrics,
    pub(super) feed: Option<Arc<dyn Feed>>,
    pub(super) max: Totals,
    /// Tasks with more steps to do, one each per transaction.
    pub(super) going: VecDeque<Box<dyn Task>>,
    /// Whether the memory matches the file.
    pub(super) loaded: bool,
    /// The last transaction failed: nothing is done that nobody asked for.
    pub(super) failing: bool,
    /// Heads of the transaction in progress, of which the feed hears after the commit.
    pub(super) unheard: Vec<(Arc<str>, Head)>,
    /// Heads of a transaction that a panic cut off: the file says whether they were committed.
    pub(super) doubtful: Vec<(Arc<str>, Head)>,
    pub(super) reserve: Reserve,
    pub(super) checkpoints: Checkpoints,
    /// In front of those who read.
    pub(super) gate: Arc<Gate>,
    pub(super) room: Room,
    /// Held for life by the process that may append; freed last.
    pub(super) lock: Option<File>,
}

/// Marks the queue closed when the thread ends, however it ends: callers then get an answer.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Why a transaction was given up.
struct Failed {
    error: StoreError,
    busy: bool,
    full: bool,
}

impl Writer {
    pub(super) fn run(mut self) {
        let _closing = Closing(self.queue.clone());
        self.reserve.fill(&self.conn);
        loop {
            // Whatever a panic leaves half done is thrown away and read again from the file.
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => self.recover(),
            }
        }
        let Self { conn, checkpoints, queue, lock, .. } = self;
        // A process that only sends leaves the log alone: copying all of it would hold up the one that serves.
        checkpoints.finish(conn, !queue.is_abandoned() && lock.is_some());
        drop(lock);
    }

    /// Takes what is queued and does it; `false` at the end.
    fn turn(&mut self) -> bool {
        let idle = self.going.is_empty() && (self.failing || !self.mem.has_garbage());
        let room = idle && !self.failing && !self.reserve.is_low() && self.room.is_wanted();
        match self.queue.take(idle && !room) {
            Taken::Batch(jobs) if room && jobs.is_empty() => self.room.make(&self.conn),
            Taken::Batch(jobs) => self.commit(jobs),
            Taken::Replay(feed, reply) => {
                let answer = self.replay(feed);
                // Nobody listens when the caller gave up.
                let _ = reply.send(answer);
            }
            Taken::Closed if self.going.is_empty() || self.queue.is_abandoned() => return false,
            Taken::Closed => self.commit(Vec::new()),
        }
        true
    }

    /// After a panic. Those who waited for what it cut off have been told that it failed, since their way back was
    /// dropped; of what was committed all the same the feed hears now.
    fn recover(&mut self) {
        tracing::error!("the store's writer panicked; what it was doing failed, and it goes on");
        self.loaded = false;
        self.doubtful.append(&mut self.unheard);
        match catch_unwind(AssertUnwindSafe(|| self.load())) {
            Ok(Ok(())) => {}
            // The next transaction tries again before it does anything else.
            Ok(Err(fault)) => tracing::error!(error = %fault.to_store(), "the store can not be read again yet"),
            Err(_) => tracing::error!("the store can not be read again yet"),
        }
    }

    /// Makes the memory match the file, outside a transaction.
    fn load(&mut self) -> Result<(), Fault> {
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        replay::load(&self.conn, &mut self.mem, None)?;
        self.loaded = true;
        self.shared.publish(self.mem.totals());
        // Positions are given out in the transaction that counts them, and nothing was committed since.
        let accepted = |bot: &Arc<str>| self.mem.slot(bot).map_or(0, |slot| self.mem.bot(slot).counts.proof.accepted);
        let mut heads = std::mem::take(&mut self.doubtful);
        heads.retain(|(bot, head)| u64::try_from(head.pos).is_ok_and(|pos| pos <= accepted(bot)));
        self.tell(&heads);
        Ok(())
    }

    /// Tells the feed of committed heads.
    fn tell(&self, heads: &[(Arc<str>, Head)]) {
        let Some(feed) = self.feed.as_ref().filter(|_| !heads.is_empty()) else { return };
        if catch_unwind(AssertUnwindSafe(|| feed.committed(heads))).is_err() {
            // It may have taken in some of them, and must not hear of any twice.
            let alerts = heads.len();
            tracing::error!(alerts, "what was accepted may not all be told before the next start");
        }
    }

    fn replay(&mut self, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
        self.loaded = false;
        replay::load(&self.conn, &mut self.mem, Some(&*feed))?;
        self.loaded = true;
        // It has just heard of them.
        self.doubtful.clear();
        self.shared.publish(self.mem.totals());
        self.feed = Some(feed);
        Ok(())
    }

    /// Commits a batch, tells the feed, answers.
    fn commit(&mut self, mut jobs: Vec<Job>) {
        self.reserve.restore(&self.conn);
        if self.reserve.is_low() {
            jobs = self.refuse_appends(jobs, &no_room());
        }
        let mut appends = jobs.iter().filter(|job| is_append(job)).count();
        jobs.extend(self.going.drain(..).map(|task| Job { weight: 0, work: Work::Task(task) }));
        let started = Instant::now();
        let mut result = self.transaction(&mut jobs);
        if let Err(failed) = &result
            && !failed.busy
        {
            let freed = failed.full && self.reserve.release(&self.conn);
            // What frees room (outcomes, clean-up) must not fail for ever because webhooks find none.
            if freed || (appends > 0 && appends < jobs.len()) {
                let error = failed.error.clone();
                jobs = self.refuse_appends(jobs, &error);
                appends = 0;
                if !jobs.is_empty() {
                    result = self.transaction(&mut jobs);
                }
            }
        }
        self.failing = result.is_err();
        if result.is_ok() && !jobs.is_empty() {
            self.reserve.committed();
            self.metrics.commit_duration.observe(started.elapsed().as_secs_f64());
            if appends > 0 {
                self.room.want();
                self.metrics.batch_webhooks.observe(appends as f64);
            }
        }
        self.settle(jobs, result.map_err(|failed| failed.error));
        if self.failing {
            self.checkpoints.after_failure();
            self.gate.hold(false);
        } else {
            let crowded = self.checkpoints.after_commit(&self.conn, self.reserve.is_low());
            self.gate.hold(crowded);
        }
    }

    /// Answers the webhooks among the jobs; returns the others.
    fn refuse_appends(&mut self, jobs: Vec<Job>, error: &StoreError) -> Vec<Job> {
        let (appends, tasks): (Vec<_>, Vec<_>) = jobs.into_iter().partition(is_append);
        self.settle(appends, Err(error.clone()));
        tasks
    }

    fn settle(&mut self, jobs: Vec<Job>, result: Result<(), StoreError>) {
        for job in jobs {
            match job.work {
                // Nobody listens when the caller gave up; what was committed stays.
                Work::Append(_, reply, own) => drop(reply.send(result.clone().and(own))),
                Work::Task(task) => self.going.extend(task.settle(result.clone())),
                // The queue hands these out apart.
                Work::Replay(..) => {}
            }
        }
    }

    /// All jobs in one transaction, or none. After a success the feed has heard of it.
    fn transaction(&mut self, jobs: &mut [Job]) -> Result<(), Failed> {
        let mut garbage = Vec::new();
        match self.try_transaction(jobs, &mut garbage) {
            Ok(()) => {
                #[cfg(test)]
                self.shared.panic_when_asked();
                self.mem.committed();
                let heads = std::mem::take(&mut self.unheard);
                self.tell(&heads);
                self.shared.publish(self.mem.totals());
                Ok(())
            }
            Err(fault) => {
                if !self.conn.is_autocommit() {
                    // When even this fails, the next BEGIN does too and says so.
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                self.unheard.clear();
                self.mem.give_back(garbage);
                self.mem.undo_all();
                self.loaded &= !fault.is_conflict();
                let error = match fault.to_store() {
                    error @ (StoreError::Unusable(_) | StoreError::Unavailable(_)) => error,
                    error => StoreError::Unavailable(error.to_string()),
                };
                tracing::warn!(%error, "a transaction failed and was rolled back");
                Err(Failed { error, busy: fault.is_busy(), full: fault.is_full() })
            }
        }
    }

    fn try_transaction(&mut self, jobs: &mut [Job], garbage: &mut Vec<(i64, u32)>) -> Result<(), Fault> {
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK")?;
        }
        let exclusive = self.lock.is_some();
        if !self.loaded {
            self.load()?;
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let inserts = Inserts::new(&self.conn)?;
        let fed = &mut self.unheard;
        let low = self.reserve.is_low();
        let mut tx = Tx { conn: &self.conn, mem: &mut self.mem, inserts, fed, max: self.max, exclusive, low };
        for job in &mut *jobs {
            run(&mut tx, &mut job.work)?;
        }
        if exclusive && (!jobs.is_empty() || !self.failing) {
            *garbage = clean::garbage(&mut tx)?;
        }
        tx.flush()?;
        drop(tx);
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

const fn is_append(job: &Job) -> bool {
    matches!(job.work, Work::Append(..))
}

/// Runs one job. An error is one that everybody in the transaction shares.
fn run(tx: &mut Tx<'_>, work: &mut Work) -> Result<(), Fault> {
    match work {
        Work::Append(append, _, own) => match tx.append(append) {
            Err(Fault::Alone(error)) => {
                *own = Err(error);
                Ok(())
            }
            other => other,
        },
        Work::Task(task) => {
            let mark = tx.mem.mark();
            let fed = tx.fed.len();
            tx.conn.prepare_cached("SAVEPOINT job")?.execute([])?;
            let Err(fault) = task.step(tx) else {
                tx.conn.prepare_cached("RELEASE job")?.execute([])?;
                return Ok(());
            };
            // SQLite may have rolled the whole transaction back by itself.
            if fault.is_fatal() || tx.conn.is_autocommit() {
                return Err(fault);
            }
            tx.conn.prepare_cached("ROLLBACK TO job")?.execute([])?;
            tx.conn.prepare_cached("RELEASE job")?.execute([])?;
            tx.mem.undo_to(mark);
            tx.fed.truncate(fed);
            task.fail(fault.to_store());
            Ok(())
        }
        Work::Replay(..) => Ok(()),
    }
}
