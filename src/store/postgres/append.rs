//! Acceptance: many webhooks in one statement, the next when the last was answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio_postgres::types::Type;

use super::backlog::WAITING;
use super::db::{Fault, again, unless_panic};
use super::queue::{Job, Queue};
use super::{Inner, PgStore, feed};
use crate::model::{Head, HeadFlags, Status};
use crate::store::{Append, NewHead, StoreError};

/// What a queued webhook holds besides its body: a generous guess, for the queue's bound.
const JOB_BYTES: usize = 256;

/// Ids of bodies that are fetched at once. Those of a process that ends are never used.
const IDS: usize = 4_096;

pub(super) async fn append(store: &PgStore, append: Append) -> Result<(), StoreError> {
    push(&store.inner, &store.queue, append).await
}

pub(super) async fn push(inner: &Inner, queue: &Queue, append: Append) -> Result<(), StoreError> {
    if append.heads.is_empty() {
        return Ok(());
    }
    if u32::try_from(append.body.len()).is_err() || append.heads.len() > i32::MAX as usize {
        return Err(StoreError::Unusable("a body of 4 GB or more".to_owned()));
    }
    if inner.me.is_empty() {
        return Err(StoreError::Unusable("only a serving alarmbell may take webhooks".to_owned()));
    }
    let weight = append.body.len() + append.heads.len() * size_of::<NewHead>() + JOB_BYTES;
    let (reply, answer) = oneshot::channel();
    queue.push(Job { weight, append, reply })?;
    // Its way back was dropped: by the end of the store, or by a panic in the batch that it was in.
    answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("it was cut off".to_owned())))
}

async fn look(inner: &Inner) -> Result<(), StoreError> {
    let mark = inner.backlog.mark();
    let (heads, bytes) = again!(inner.db, conn => async {
        let row = conn.query_typed_one(WAITING, &[]).await?;
        Ok::<_, Fault>((row.get(0), row.get(1)))
    })?;
    inner.backlog.saw(mark, heads, bytes);
    Ok(())
}

/// Answers the webhooks that there is no room for; returns the others.
async fn within_bounds(inner: &Inner, jobs: Vec<Job>) -> Vec<Job> {
    let (max_heads, max_bytes) = (inner.options.max_alerts, inner.options.max_bytes);
    let (mut heads, mut bytes) = inner.backlog.now();
    let fits = |heads: u64, bytes: u64, job: &Job| {
        let (more_heads, more_bytes) = (job.append.heads.len() as u64, job.append.body.len() as u64);
        heads.saturating_add(more_heads) <= max_heads && bytes.saturating_add(more_bytes) <= max_bytes
    };
    let all = jobs.iter().fold((heads, bytes), |(heads, bytes), job| {
        (heads + job.append.heads.len() as u64, bytes + job.append.body.len() as u64)
    });
    if all.0 <= max_heads && all.1 <= max_bytes {
        return jobs;
    }
    // Much may have been told since the last look.
    if let Err(error) = look(inner).await {
        answer(jobs, &Err(error));
        return Vec::new();
    }
    (heads, bytes) = inner.backlog.now();
    let mut kept = Vec::with_capacity(jobs.len());
    for job in jobs {
        if fits(heads, bytes, &job) {
            heads += job.append.heads.len() as u64;
            bytes += job.append.body.len() as u64;
            kept.push(job);
        } else {
            let why = if heads.saturating_add(job.append.heads.len() as u64) > max_heads {
                format!("{heads} of at most {max_heads} alerts wait")
            } else {
                format!("{bytes} of at most {max_bytes} bytes wait")
            };
            answer(vec![job], &Err(StoreError::BacklogFull(why)));
        }
    }
    kept
}

fn answer(jobs: Vec<Job>, result: &Result<(), StoreError>) {
    for job in jobs {
        // Nobody listens when the caller gave up; what was committed stays.
        let _ = job.reply.send(result.clone());
    }
}

/// Marks the queue closed when the task ends, however it ends: callers then get an answer.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Takes what is queued, batch by batch, until the queue is closed and empty.
pub(super) async fn run(inner: Arc<Inner>, queue: Arc<Queue>) {
    let _closing = Closing(queue.clone());
    let mut ids = Vec::new();
    while let Some(jobs) = queue.take().await {
        let batch = async {
            let jobs = within_bounds(&inner, jobs).await;
            if !jobs.is_empty() {
                commit(&inner, jobs, &mut ids).await;
            }
        };
        if unless_panic(batch).await.is_none() {
            // Their way back was dropped, so the senders know. What was committed all the same is heard of by polling.
            tracing::error!("taking webhooks panicked; those failed, and it goes on");
        }
    }
}

/// Commits a batch, tells the feed, answers.
async fn commit(inner: &Inner, jobs: Vec<Job>, ids: &mut Vec<i64>) {
    let result = attempt(inner, &jobs, ids).await;
    let Err(fault) = result else { return answer(jobs, &Ok(())) };
    if jobs.len() == 1 || !fault.is_of_content() {
        let error = StoreError::from(fault);
        tracing::warn!(%error, webhooks = jobs.len(), "a batch of webhooks was not taken");
        return answer(jobs, &Err(error));
    }
    // One of them is to blame; the others must not suffer.
    for job in jobs {
        let jobs = vec![job];
        let result = attempt(inner, &jobs, ids).await.map_err(StoreError::from);
        answer(jobs, &result);
    }
}

async fn attempt(inner: &Inner, jobs: &[Job], ids: &mut Vec<i64>) -> Result<(), Fault> {
    let mut batch = Batch::default();
    for job in jobs {
        batch.add(inner, &job.append).await?;
    }
    let started = Instant::now();
    if ids.len() < jobs.len() {
        more_ids(inner, jobs.len(), ids).await?;
    }
    batch.bodies = ids.split_off(ids.len() - jobs.len());
    let first = match batch.write(inner, jobs).await {
        Ok(first) => first,
        Err(fault) => {
            // A row that is not there where one was: the database is another than it was.
            if fault.is(&tokio_postgres::error::SqlState::DIVISION_BY_ZERO) {
                inner.names.forget();
                ids.clear();
                return Err(StoreError::Unavailable("the database lost rows that it had; try again".to_owned()).into());
            }
            return Err(fault);
        }
    };
    inner.backlog.appended(batch.bot.len() as u64, jobs.iter().map(|job| job.append.body.len() as u64).sum());
    inner.metrics.commit_duration.observe(started.elapsed().as_secs_f64());
    inner.metrics.batch_webhooks.observe(jobs.len() as f64);
    feed::appended(inner, batch.heads(jobs, &first)).await;
    Ok(())
}

/// Fetches ids for bodies.
async fn more_ids(inner: &Inner, need: usize, ids: &mut Vec<i64>) -> Result<(), Fault> {
    let many = i32::try_from(IDS.max(need)).unwrap_or(i32::MAX);
    let fetched = again!(inner.db, conn => async {
        let rows = conn
            .query_typed(
                "SELECT nextval(pg_get_serial_sequence('alarmbell.bodies', 'id')) FROM generate_series(1, $1)",
                &[(&many, Type::INT4)],
            )
            .await?;
        Ok::<_, Fault>(rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>())
    })?;
    ids.extend(fetched);
    if ids.len() < need {
        return Err(StoreError::Unavailable("no ids for what is to be kept".to_owned()).into());
    }
    Ok(())
}

/// What one statement adds to a bot's row.
#[derive(Default)]
struct Raise {
    heads: i64,
    bytes: i64,
    silent: i64,
}

/// The columns of the rows to write.
#[derive(Default)]
struct Batch {
    /// By bot, in the order in which the rows are locked.
    raise: BTreeMap<i32, Raise>,
    /// One id for each webhook.
    bodies: Vec<i64>,
    /// The bot whose bytes a webhook's body is booked to.
    booked: Vec<i32>,
    /// One for each head from here on.
    bot: Vec<i32>,
    via: Vec<i32>,
    /// Which of the bot's new heads it is, from 1.
    rank: Vec<i64>,
}

fn is_silent(head: &NewHead) -> bool {
    matches!(head.status, Status::Resolved) && head.flags.has(HeadFlags::SILENT)
}

fn len(number: usize) -> i32 {
    // The largest body is far smaller, and the number of its alerts smaller still.
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Everything of acceptance in one statement, so in one round trip and one commit. The rows of the bots are locked in the
/// order of their ids before the first is changed: two batches never wait for each other. Dividing by zero stops it when
/// a bot has no row; its alerts would be lost otherwise.
const WRITE: &str = "\
WITH locked AS MATERIALIZED (
  SELECT id FROM alarmbell.bots WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE
), raised AS (
  UPDATE alarmbell.bots b
  SET accepted = b.accepted + c.heads, body_bytes = b.body_bytes + c.bytes, silent = b.silent + c.silent
  FROM unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[]) AS c(id, heads, bytes, silent)
  WHERE b.id = c.id
    AND (SELECT CASE WHEN count(*) = cardinality($1) THEN 1 ELSE 1 / (count(*) - count(*)) END FROM locked) = 1
  RETURNING b.id, b.accepted - c.heads AS before
), bodies AS (
  INSERT INTO alarmbell.bodies (id, received_ms, bot, body)
  SELECT unnest($5::int8[]), unnest($6::int8[]), unnest($7::int4[]), unnest($8::bytea[])
), heads AS (
  INSERT INTO alarmbell.heads
    (bot, pos, body, body_len, idx, fp, grp, status, severity, flags, starts_ms, ends_ms, accepted_ms, via)
  SELECT h.bot, r.before + h.rank, h.body, h.body_len, h.idx, h.fp, h.grp, h.status, h.severity, h.flags,
    h.starts_ms, h.ends_ms, h.accepted_ms, h.via
  FROM unnest($9::int4[], $10::int8[], $11::int8[], $12::int4[], $13::int4[], $14::int8[], $15::int8[], $16::int2[],
    $17::int2[], $18::int2[], $19::int8[], $20::int8[], $21::int8[], $22::int4[])
    AS h(bot, rank, body, body_len, idx, fp, grp, status, severity, flags, starts_ms, ends_ms, accepted_ms, via)
  JOIN raised r ON r.id = h.bot
)
SELECT id, before FROM raised";

impl Batch {
    async fn add(&mut self, inner: &Inner, append: &Append) -> Result<(), Fault> {
        for (at, head) in append.heads.iter().enumerate() {
            let bot = inner.names.bot(&inner.db, &head.bot).await?;
            let raise = self.raise.entry(bot).or_default();
            raise.heads += 1;
            raise.silent += i64::from(is_silent(head));
            if at == 0 {
                raise.bytes += i64::from(len(append.body.len()));
                self.booked.push(bot);
            }
            self.rank.push(raise.heads);
            self.bot.push(bot);
            self.via.push(inner.names.via(&inner.db, &head.via).await?);
        }
        Ok(())
    }

    /// Writes the rows; returns each bot's last position before.
    async fn write(&self, inner: &Inner, jobs: &[Job]) -> Result<BTreeMap<i32, i64>, Fault> {
        let bots: Vec<i32> = self.raise.keys().copied().collect();
        let raise = |number: fn(&Raise) -> i64| self.raise.values().map(number).collect::<Vec<i64>>();
        let (more, bytes, silent) = (raise(|bot| bot.heads), raise(|bot| bot.bytes), raise(|bot| bot.silent));
        let received: Vec<i64> = jobs.iter().map(|job| job.append.received_ms).collect();
        let texts: Vec<&[u8]> = jobs.iter().map(|job| &job.append.body[..]).collect();
        let columns = Columns::of(jobs, &self.bodies);
        let rows = again!(inner.db, conn => async {
            let rows = conn
                .query_typed(
                    WRITE,
                    &[
                        (&bots, Type::INT4_ARRAY),
                        (&more, Type::INT8_ARRAY),
                        (&bytes, Type::INT8_ARRAY),
                        (&silent, Type::INT8_ARRAY),
                        (&self.bodies, Type::INT8_ARRAY),
                        (&received, Type::INT8_ARRAY),
                        (&self.booked, Type::INT4_ARRAY),
                        (&texts, Type::BYTEA_ARRAY),
                        (&self.bot, Type::INT4_ARRAY),
                        (&self.rank, Type::INT8_ARRAY),
                        (&columns.body, Type::INT8_ARRAY),
                        (&columns.body_len, Type::INT4_ARRAY),
                        (&columns.idx, Type::INT4_ARRAY),
                        (&columns.fp, Type::INT8_ARRAY),
                        (&columns.grp, Type::INT8_ARRAY),
                        (&columns.status, Type::INT2_ARRAY),
                        (&columns.severity, Type::INT2_ARRAY),
                        (&columns.flags, Type::INT2_ARRAY),
                        (&columns.starts, Type::INT8_ARRAY),
                        (&columns.ends, Type::INT8_ARRAY),
                        (&columns.accepted, Type::INT8_ARRAY),
                        (&self.via, Type::INT4_ARRAY),
                    ],
                )
                .await;
            rows.map_err(Fault::from).map(Ok).or_else(keep)
        })?;
        Ok(rows?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// The heads as they were written.
    fn heads(&self, jobs: &[Job], first: &BTreeMap<i32, i64>) -> Vec<(Arc<str>, Head)> {
        let mut out = Vec::with_capacity(self.bot.len());
        let all = jobs
            .iter()
            .zip(&self.bodies)
            .flat_map(|(job, body)| job.append.heads.iter().map(move |new| (job, *body, new)));
        for (at, (job, body, new)) in all.enumerate() {
            let pos = first.get(&self.bot[at]).copied().unwrap_or_default() + self.rank[at];
            let head = new.stored(pos, body, self.via[at].cast_unsigned(), job.append.received_ms);
            out.push((new.bot.clone(), head));
        }
        out
    }
}

/// A fault that the database does not ask to repeat is the batch's own, and its code is wanted.
fn keep<T>(fault: Fault) -> Result<Result<T, Fault>, Fault> {
    if fault.asks_again() || fault.spoils_connection() { Err(fault) } else { Ok(Err(fault)) }
}

/// The columns of heads that come from the webhooks as they are.
#[derive(Default)]
struct Columns {
    body: Vec<i64>,
    body_len: Vec<i32>,
    idx: Vec<i32>,
    fp: Vec<i64>,
    grp: Vec<i64>,
    status: Vec<i16>,
    severity: Vec<i16>,
    flags: Vec<i16>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    accepted: Vec<i64>,
}

impl Columns {
    fn of(jobs: &[Job], bodies: &[i64]) -> Self {
        let mut columns = Self::default();
        for (job, body) in jobs.iter().zip(bodies) {
            for head in &job.append.heads {
                columns.body.push(*body);
                columns.body_len.push(len(job.append.body.len()));
                columns.idx.push(head.idx.cast_signed());
                columns.fp.push(head.fingerprint.0.cast_signed());
                columns.grp.push(head.group.cast_signed());
                columns.status.push(match head.status {
                    Status::Firing => 0,
                    Status::Resolved => 1,
                });
                columns.severity.push(head.severity.into());
                columns.flags.push(head.flags.0.into());
                columns.starts.push(head.starts_ms);
                columns.ends.push(head.ends_ms);
                columns.accepted.push(job.append.received_ms);
            }
        }
        columns
    }
}
