//! Clean-up in small steps, which any replica may do, several at once too: what another one works at is passed over.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::{Books, count};
use super::db::{Fault, again, transaction};
use super::{Inner, NOW_MS, heads, outcome, parts, skew};
use crate::store::{Retention, StoreError};

/// Rows of one step.
const STEP: i64 = 500;
/// Bytes of one step, beyond one row.
const STEP_BYTES: i64 = 4 << 20;
/// How long an attempt that nobody ends holds its token: its replica is long gone.
const LEFT_BEHIND_MS: i64 = 600_000;
/// Told states or bodies beyond which they are not looked through in every round, and how often instead.
const MANY: usize = 10_000;
const SELDOM: Duration = Duration::from_secs(300);

/// What the next step looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Phase {
    #[default]
    Messages,
    /// Parts that no message was begun with.
    Unbegun,
    DeadLetters,
    /// After this bot and fingerprint.
    Told(i32, i64),
    Attempts,
    /// Bodies after this one, up to the last one of the round: those that two replicas left to each other.
    Bodies(i64, i64),
}

/// A look through many rows, one after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    seen: usize,
    /// Not again before (monotonic).
    rest: Duration,
}

impl Walk {
    fn ended(&mut self, now: Duration) {
        self.rest = if self.seen > MANY { now.saturating_add(SELDOM) } else { Duration::ZERO };
        self.seen = 0;
    }
}

/// Where clean-up stands in this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cleaner {
    phase: Phase,
    told: Walk,
    bodies: Walk,
}

/// One step: at most [`STEP`] rows. `true` when the round is not over.
pub(super) async fn step(inner: &Inner, retention: &Retention) -> Result<bool, StoreError> {
    if inner.me.is_empty() {
        return Err(StoreError::Unusable("only a serving alarmbell may clean up".to_owned()));
    }
    let mut cleaner = *inner.chores.cleaner();
    loop {
        let now = inner.options.clock.mono();
        let before = cleaner;
        let (worked, next) = again!(inner.db, conn => async {
            let mut after = before;
            let worked = phase(inner, &mut conn, retention, &mut after, now).await?;
            Ok::<_, Fault>((worked, after))
        })?;
        cleaner = next;
        *inner.chores.cleaner() = cleaner;
        let over = cleaner.phase == Phase::Messages && before.phase != Phase::Messages;
        if over || worked {
            return Ok(!over);
        }
    }
}

/// One step of a phase, in a transaction; moves on when there was nothing. Whether something was done.
async fn phase(
    inner: &Inner,
    conn: &mut Object,
    retention: &Retention,
    cleaner: &mut Cleaner,
    now: Duration,
) -> Result<bool, Fault> {
    let tx = transaction(conn, inner.db.patience).await?;
    let again = |phase, worked, next| (worked, if worked { phase } else { next });
    let (worked, next) = match cleaner.phase {
        Phase::Messages => again(Phase::Messages, messages(&tx, retention).await?, Phase::Unbegun),
        Phase::Unbegun => {
            // An hour ago, give or take: the only time among these that always moves with the clock.
            let worked = parts::clean_unbegun(&tx, retention.resolved_before_ms).await?;
            again(Phase::Unbegun, worked, Phase::DeadLetters)
        }
        Phase::DeadLetters => {
            let told = if cleaner.told.rest > now { Phase::Attempts } else { Phase::Told(0, i64::MIN) };
            again(Phase::DeadLetters, dead_letters(&tx, retention).await?, told)
        }
        Phase::Told(bot, fp) => told(&tx, (bot, fp), retention, &mut cleaner.told, now).await?,
        Phase::Attempts => {
            let worked = attempts(inner, &tx, retention).await?;
            let next = if worked || cleaner.bodies.rest > now { Phase::Messages } else { last_body(&tx).await? };
            again(Phase::Attempts, worked, next)
        }
        Phase::Bodies(after, upto) => bodies(&tx, (after, upto), &mut cleaner.bodies, now).await?,
    };
    tx.commit().await?;
    cleaner.phase = next;
    Ok(worked)
}

/// Parts go before their message, so that none is left behind.
async fn messages(tx: &Transaction<'_>, retention: &Retention) -> Result<bool, Fault> {
    let sql = "SELECT seq, octet_length(text)::bigint + octet_length(alerts), id, \
         EXISTS (SELECT 1 FROM alarmbell.message_parts p WHERE p.message = m.id) FROM alarmbell.messages m \
         WHERE at_ms < $1 AND NOT open ORDER BY at_ms LIMIT $2 FOR UPDATE SKIP LOCKED";
    let rows = tx.query_typed(sql, &[(&retention.history_before_ms, Type::INT8), (&STEP, Type::INT8)]).await?;
    let (mut old, mut bytes) = (Vec::new(), 0);
    for row in &rows {
        if row.try_get(3)? {
            // What comes before one with parts goes first, in a step of its own.
            if old.is_empty() {
                let id: &str = row.try_get(2)?;
                if parts::delete_some(tx, id).await? {
                    return Ok(true);
                }
                parts::forget_unbegun(tx, id).await?;
                old.push(row.try_get::<_, i64>(0)?);
            }
            break;
        }
        old.push(row.try_get(0)?);
        bytes += row.try_get::<_, i64>(1)?;
        if bytes >= STEP_BYTES {
            break;
        }
    }
    if old.is_empty() {
        return Ok(false);
    }
    tx.execute_typed("DELETE FROM alarmbell.messages WHERE seq = ANY($1)", &[(&old, Type::INT8_ARRAY)]).await?;
    Ok(true)
}

async fn dead_letters(tx: &Transaction<'_>, retention: &Retention) -> Result<bool, Fault> {
    let sql = "DELETE FROM alarmbell.dead_letters WHERE id IN \
         (SELECT id FROM alarmbell.dead_letters WHERE at_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
    Ok(tx.execute_typed(sql, &[(&retention.history_before_ms, Type::INT8), (&STEP, Type::INT8)]).await? > 0)
}

/// Looks at the next told states. A firing one was last seen when it was told or accepted last.
async fn told(
    tx: &Transaction<'_>,
    after: (i32, i64),
    retention: &Retention,
    walk: &mut Walk,
    now: Duration,
) -> Result<(bool, Phase), Fault> {
    let sql = "SELECT bot, fp, greatest(told_ms, accepted_ms) < CASE WHEN status = 0 THEN $3::bigint ELSE $4 END \
         FROM alarmbell.told WHERE (bot, fp) > ($1, $2) ORDER BY bot, fp LIMIT $5";
    let rows = tx
        .query_typed(
            sql,
            &[
                (&after.0, Type::INT4),
                (&after.1, Type::INT8),
                (&retention.history_before_ms, Type::INT8),
                (&retention.resolved_before_ms, Type::INT8),
                (&STEP, Type::INT8),
            ],
        )
        .await?;
    let (mut bots, mut fps, mut last) = (Vec::new(), Vec::new(), after);
    for row in &rows {
        last = (row.try_get::<_, i32>(0)?, row.try_get::<_, i64>(1)?);
        if row.try_get(2)? {
            bots.push(last.0);
            fps.push(last.1);
        }
    }
    if !bots.is_empty() {
        // Looked at again: one may have been told anew meanwhile.
        let sql = "DELETE FROM alarmbell.told t USING unnest($1, $2) AS o (bot, fp) WHERE t.bot = o.bot AND t.fp = o.fp \
             AND greatest(t.told_ms, t.accepted_ms) < CASE WHEN t.status = 0 THEN $3::bigint ELSE $4 END";
        let params = [
            (&bots as _, Type::INT4_ARRAY),
            (&fps as _, Type::INT8_ARRAY),
            (&retention.history_before_ms as _, Type::INT8),
            (&retention.resolved_before_ms as _, Type::INT8),
        ];
        tx.execute_typed(sql, &params).await?;
    }
    walk.seen += rows.len();
    if count(rows.len()) == STEP {
        return Ok((true, Phase::Told(last.0, last.1)));
    }
    walk.ended(now);
    Ok((!rows.is_empty(), Phase::Attempts))
}

/// Old attempts go; those that nobody ends are ended.
async fn attempts(inner: &Inner, tx: &Transaction<'_>, retention: &Retention) -> Result<bool, Fault> {
    let sql = format!(
        "UPDATE alarmbell.attempts SET ended_ms = started_ms + $1, verdict = $2 WHERE (robot, id) IN \
         (SELECT robot, id FROM alarmbell.attempts WHERE ended_ms IS NULL AND started_ms < {NOW_MS} - $1 LIMIT $3 \
         FOR UPDATE SKIP LOCKED)"
    );
    let params = [(&LEFT_BEHIND_MS as _, Type::INT8), (&outcome::UNKNOWN as _, Type::TEXT), (&STEP as _, Type::INT8)];
    let ended = tx.execute_typed(&sql, &params).await?;
    let before = skew::measure(inner, tx).await?.bound(retention.attempts_before_ms);
    let sql = "DELETE FROM alarmbell.attempts WHERE (robot, id) IN \
         (SELECT robot, id FROM alarmbell.attempts WHERE ended_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let deleted = tx.execute_typed(sql, &[(&before, Type::INT8), (&STEP, Type::INT8)]).await?;
    Ok(ended + deleted > 0)
}

async fn last_body(tx: &Transaction<'_>) -> Result<Phase, Fault> {
    let row = tx.query_typed_one("SELECT coalesce(max(id), 0) FROM alarmbell.bodies", &[]).await?;
    Ok(Phase::Bodies(0, row.try_get(0)?))
}

/// Sweeps bodies that nobody needs.
async fn bodies(
    tx: &Transaction<'_>,
    (after, upto): (i64, i64),
    walk: &mut Walk,
    now: Duration,
) -> Result<(bool, Phase), Fault> {
    let sql = "SELECT b.id, (SELECT h.pos FROM alarmbell.heads h WHERE h.body = b.id LIMIT 1) IS NULL \
         FROM alarmbell.bodies b WHERE b.id > $1 AND b.id <= $2 ORDER BY b.id LIMIT $3";
    let rows = tx.query_typed(sql, &[(&after, Type::INT8), (&upto, Type::INT8), (&STEP, Type::INT8)]).await?;
    let mut orphans: Vec<i64> = Vec::new();
    let mut last = after;
    for row in &rows {
        last = row.try_get(0)?;
        if row.try_get(1)? {
            orphans.push(last);
        }
    }
    if !orphans.is_empty() {
        let sql = "SELECT id FROM alarmbell.bodies WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED";
        let rows = tx.query_typed(sql, &[(&orphans, Type::INT8_ARRAY)]).await?;
        let held = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        let mut books = Books::default();
        heads::drop_bodies(tx, held, &mut books).await?;
        books.settle(tx, None).await?;
    }
    walk.seen += rows.len();
    if count(rows.len()) == STEP {
        return Ok((true, Phase::Bodies(last, upto)));
    }
    walk.ended(now);
    Ok((!rows.is_empty(), Phase::Messages))
}
