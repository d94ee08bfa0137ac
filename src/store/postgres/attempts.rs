//! Attempts: what pacing needs of a robot, and the start of an attempt.

use deadpool_postgres::Object;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::Speaker;
use super::db::{Fault, again, text, transaction};
use super::outcome::UNKNOWN;
use super::skew::{self, Skew};
use super::{Inner, NOW_MS, parts};
use crate::model::Millis;
use crate::store::common::covers;
use crate::store::{AttemptTimes, Begin, Begun, RobotState, StoreError};

pub(super) async fn robot(
    inner: &Inner,
    robot: &str,
    since_ms: Millis,
) -> Result<(RobotState, Vec<AttemptTimes>), StoreError> {
    let robot = &*text(robot);
    again!(inner.db, conn => read_robot(inner, &conn, robot, since_ms))
}

async fn read_robot(
    inner: &Inner,
    conn: &Object,
    robot: &str,
    since_ms: Millis,
) -> Result<(RobotState, Vec<AttemptTimes>), Fault> {
    let sql = format!(
        "SELECT id, paused_until_ms, failures, failing_since_ms, last_verdict, last_verdict_ms, reason, remedy, {NOW_MS} \
         FROM alarmbell.robots WHERE hash = $1"
    );
    let before = inner.options.clock.now_ms();
    let Some(row) = conn.query_typed_opt(&sql, &[(&robot, Type::TEXT)]).await? else {
        return Ok((RobotState::default(), Vec::new()));
    };
    let skew = Skew::between(before, row.try_get(8)?, inner.options.clock.now_ms());
    let state = RobotState {
        paused_until_ms: skew.shown(row.try_get(1)?),
        failures: u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0),
        failing_since_ms: skew.shown(row.try_get(3)?),
        last_verdict: row.try_get(4)?,
        last_verdict_ms: skew.shown(row.try_get(5)?),
        reason: row.try_get(6)?,
        remedy: row.try_get(7)?,
    };
    let sql = "SELECT id, started_ms, ended_ms FROM alarmbell.attempts \
         WHERE robot = $1 AND (ended_ms IS NULL OR ended_ms > $2) ORDER BY id";
    let params = [(&row.try_get::<_, i32>(0)? as _, Type::INT4), (&skew.bound(since_ms) as _, Type::INT8)];
    Ok((state, read_times(&conn.query_typed(sql, &params).await?, skew)?))
}

fn read_times(rows: &[tokio_postgres::Row], skew: Skew) -> Result<Vec<AttemptTimes>, Fault> {
    let read = |row: &tokio_postgres::Row| {
        Ok(AttemptTimes {
            id: row.try_get(0)?,
            started_ms: skew.shown(row.try_get(1)?),
            ended_ms: row.try_get::<_, Option<Millis>>(2)?.map(|ended| skew.shown(ended)),
        })
    };
    rows.iter().map(read).collect()
}

/// What [`begin`] writes besides the ids that it learns.
struct Start<'a> {
    begin: &'a Begin,
    bot: i32,
    robot: i32,
    /// JSON.
    alerts: String,
    covers: Vec<u8>,
}

pub(super) async fn begin(inner: &Inner, begin: &Begin) -> Result<Begun, StoreError> {
    let alerts = serde_json::to_string(&begin.alerts)
        .map_err(|error| StoreError::Unavailable(format!("a message's alerts: {error}")))?;
    let start = Start {
        begin,
        bot: inner.names.bot(&inner.db, &begin.bot).await?,
        robot: inner.names.robot(&inner.db, &begin.robot).await?,
        alerts,
        covers: covers::write(&begin.covers),
    };
    if inner.me.is_empty() && !begin.covers.is_empty() {
        return Err(Speaker::new(inner, start.bot).map_or_else(|error| error, |_| StoreError::Fenced));
    }
    again!(inner.db, conn => try_begin(inner, &mut conn, &start))
}

async fn try_begin(inner: &Inner, conn: &mut Object, start: &Start<'_>) -> Result<Begun, Fault> {
    let tx = transaction(conn, inner.db.patience).await?;
    let speaker = (!inner.me.is_empty()).then_some(Speaker { bot: start.bot, me: &inner.me, fence: None });
    let look = async {
        match &speaker {
            Some(speaker) => speaker.look(&tx).await,
            None => Ok(0),
        }
    };
    let lock = async {
        let sql = "SELECT id FROM alarmbell.robots WHERE id = $1 FOR NO KEY UPDATE";
        Ok(tx.query_typed_opt(sql, &[(&start.robot, Type::INT4)]).await?)
    };
    // Sent one after the other without waiting: the database does them in this order, and what is listed is listed under
    // the robot's lock.
    let (skew, fence, _, others) = tokio::try_join!(skew::measure(inner, &*tx), look, lock, others(inner, &tx, start))?;
    if !others.is_empty() {
        let others = read_times(&others, skew)?;
        tx.commit().await?;
        return Ok(Begun::Others(others));
    }
    let close = async {
        match &speaker {
            Some(_) => close_passed_over(&tx, start).await,
            None => Ok(()),
        }
    };
    let (attempt, (), message) = tokio::try_join!(next_attempt(&tx, start.robot), close, write_message(&tx, start))?;
    let started_ms = skew.stored(start.begin.started_ms);
    let insert = async {
        let sql = "INSERT INTO alarmbell.attempts (robot, id, message, started_ms, owner, fence) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        let params = [
            (&start.robot as _, Type::INT4),
            (&attempt as _, Type::INT8),
            (&message as _, Type::INT8),
            (&started_ms as _, Type::INT8),
            (&inner.me as _, Type::TEXT),
            (&fence as _, Type::INT8),
        ];
        Ok(tx.execute_typed(sql, &params).await?)
    };
    let confirm = async {
        match speaker {
            Some(speaker) => Speaker { fence: Some(fence), ..speaker }.lock(&tx).await,
            None => Ok(0),
        }
    };
    tokio::try_join!(insert, confirm)?;
    tx.commit().await?;
    Ok(Begun::Attempt(attempt))
}

/// Ends what this replica left behind at the robot: its own earlier begin or finish that failed, since it has one message
/// in flight there. Returns the attempts that the caller does not know of.
async fn others(inner: &Inner, tx: &Transaction<'_>, start: &Start<'_>) -> Result<Vec<tokio_postgres::Row>, Fault> {
    let end = async {
        if inner.me.is_empty() {
            return Ok(0);
        }
        let sql = format!(
            "UPDATE alarmbell.attempts SET ended_ms = greatest(started_ms, {NOW_MS}), verdict = $3 \
             WHERE robot = $1 AND owner = $2 AND ended_ms IS NULL"
        );
        let params = [(&start.robot as _, Type::INT4), (&inner.me as _, Type::TEXT), (&UNKNOWN as _, Type::TEXT)];
        Ok::<_, Fault>(tx.execute_typed(&sql, &params).await?)
    };
    let list = async {
        let sql = "SELECT id, started_ms, ended_ms FROM alarmbell.attempts WHERE robot = $1 AND id > $2 ORDER BY id";
        Ok(tx.query_typed(sql, &[(&start.robot, Type::INT4), (&start.begin.last_known, Type::INT8)]).await?)
    };
    let (_, rows) = tokio::try_join!(end, list)?;
    Ok(rows)
}

async fn next_attempt(tx: &Transaction<'_>, robot: i32) -> Result<i64, Fault> {
    let sql = "UPDATE alarmbell.robots SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts";
    Ok(tx.query_typed_one(sql, &[(&robot, Type::INT4)]).await?.try_get(0)?)
}

/// An open message goes before all others of its bot at its robot, unless nobody here knows that it is open: the answer to
/// its begin was lost, and nothing was sent. From now on its alerts are told otherwise; whoever speaks for the bot next must
/// not send it after that.
async fn close_passed_over(tx: &Transaction<'_>, start: &Start<'_>) -> Result<(), Fault> {
    // Those that cover nothing are of the `send` command.
    let sql = "UPDATE alarmbell.messages SET open = false, verdict = $4, covers = NULL, body = NULL \
         WHERE open AND bot = $1 AND robot = $2 AND id <> $3 AND octet_length(covers) > 0";
    let params = [
        (&start.bot as _, Type::INT4),
        (&start.robot as _, Type::INT4),
        (&start.begin.message.as_str() as _, Type::TEXT),
        (&UNKNOWN as _, Type::TEXT),
    ];
    tx.execute_typed(sql, &params).await?;
    Ok(())
}

/// The message's row, now open. A further attempt that has no text or alerts (its process was restarted) keeps those of
/// the attempt before.
async fn write_message(tx: &Transaction<'_>, start: &Start<'_>) -> Result<i64, Fault> {
    let begin = start.begin;
    let id = begin.message.as_str();
    let parts = async {
        // The same bytes again keep what they tell.
        if begin.text.is_empty() { Ok(()) } else { parts::delete_all_from(tx, id, begin.parts).await }
    };
    let sql = "INSERT INTO alarmbell.messages AS m \
         (id, bot, robot, kind, grp, at_ms, text, alerts, covers, body, verdict, reason, attempts, open) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', 1, true) \
         ON CONFLICT (id) DO UPDATE SET robot = $3, at_ms = $6, covers = $9, body = $10, verdict = '', reason = '', \
         attempts = m.attempts + 1, open = true, text = CASE WHEN $7 = '' THEN m.text ELSE $7 END, \
         alerts = CASE WHEN $8 = '[]' THEN m.alerts ELSE $8 END \
         RETURNING seq";
    let params = [
        (&id as _, Type::TEXT),
        (&start.bot as _, Type::INT4),
        (&start.robot as _, Type::INT4),
        (&begin.kind.as_str() as _, Type::TEXT),
        (&begin.group.cast_signed() as _, Type::INT8),
        (&begin.started_ms as _, Type::INT8),
        (&&*text(&begin.text) as _, Type::TEXT),
        (&start.alerts as _, Type::TEXT),
        (&start.covers as _, Type::BYTEA),
        (&&begin.body[..] as _, Type::BYTEA),
    ];
    let message = async { Ok(tx.query_typed_one(sql, &params).await?.try_get(0)?) };
    let ((), (), seq) = tokio::try_join!(parts, parts::forget_unbegun(tx, id), message)?;
    Ok(seq)
}

pub(super) async fn set_robot(inner: &Inner, robot: &str, state: &RobotState) -> Result<(), StoreError> {
    let id = inner.names.robot(&inner.db, robot).await?;
    again!(inner.db, conn => async {
        let tx = transaction(&mut conn, inner.db.patience).await?;
        let skew = skew::measure(inner, &*tx).await?;
        write_robot(&tx, id, state, skew).await?;
        tx.commit().await?;
        Ok::<_, Fault>(())
    })
}

/// Writes a robot's state.
pub(super) async fn write_robot(tx: &Transaction<'_>, id: i32, state: &RobotState, skew: Skew) -> Result<(), Fault> {
    let sql = "UPDATE alarmbell.robots SET paused_until_ms = $2, failures = $3, failing_since_ms = $4, \
         last_verdict = $5, last_verdict_ms = $6, reason = $7, remedy = $8 WHERE id = $1";
    let params = [
        (&id as _, Type::INT4),
        (&skew.stored(state.paused_until_ms) as _, Type::INT8),
        (&i32::try_from(state.failures).unwrap_or(i32::MAX) as _, Type::INT4),
        (&skew.stored(state.failing_since_ms) as _, Type::INT8),
        (&&*text(&state.last_verdict) as _, Type::TEXT),
        (&skew.stored(state.last_verdict_ms) as _, Type::INT8),
        (&&*text(&state.reason) as _, Type::TEXT),
        (&&*text(&state.remedy) as _, Type::TEXT),
    ];
    tx.execute_typed(sql, &params).await?;
    Ok(())
}
