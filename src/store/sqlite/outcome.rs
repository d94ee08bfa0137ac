//! Attempts: their start, their end, and what the end does to the alerts in the message.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::parts;
use super::queue::Step;
use super::reserve::no_room;
use super::tx::{Tx, status_code};
use crate::model::{How, Millis, StormState};
use crate::store::common::covers;
use crate::store::{AttemptTimes, Begin, Begun, Effect, NewDeadLetter, Outcome, RobotState, StoreError, ToldState};

/// Alerts whose outcome is written in one transaction. What is more follows in the next ones, and the attempt ends
/// with the last: a crash in between leaves it open, as any crash before the verdict does.
const STEP: usize = 500;

/// The verdict of an attempt whose outcome nobody wrote down.
const UNKNOWN: &str = "unknown_outcome";

/// Begins an attempt; `alerts` is the JSON of the alerts that it tells. Parts of an earlier rendering go first, in steps.
pub(super) fn begin(tx: &mut Tx<'_>, begin: &Begin, alerts: &str) -> Result<Step<Begun>, Fault> {
    let robot = tx.robot(&begin.robot)?;
    let others = tx
        .conn
        .prepare_cached("SELECT id, started_ms, ended_ms FROM attempts WHERE robot = ?1 AND id > ?2 ORDER BY id")?
        .query_map([robot, begin.last_known], |row| {
            Ok(AttemptTimes { id: row.get(0)?, started_ms: row.get(1)?, ended_ms: row.get(2)? })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    if !others.is_empty() {
        return Ok(Step::Done(Begun::Others(others)));
    }
    let id = begin.message.as_str();
    // The same bytes again keep what they tell.
    if !begin.text.is_empty() && parts::delete_from(tx, id, begin.parts)? {
        return Ok(Step::More);
    }
    parts::forget_unbegun(tx, id)?;
    let slot = tx.bot(&begin.bot)?;
    let message = write_message(tx, begin, tx.mem.bot(slot).id, robot, alerts)?;
    let attempt = tx
        .conn
        .prepare_cached("INSERT INTO attempts (robot, message, started_ms) VALUES (?1, ?2, ?3)")?
        .insert(params![robot, message, begin.started_ms])?;
    Ok(Step::Done(Begun::Attempt(attempt)))
}

/// The message's row, now open. A further attempt that has no text or alerts (its process was restarted) keeps those
/// of the attempt before.
fn write_message(tx: &Tx<'_>, begin: &Begin, bot: i64, robot: i64, alerts: &str) -> Result<i64, Fault> {
    let sql = "INSERT INTO messages \
         (id, bot, robot, kind, grp, at_ms, text, alerts, covers, body, verdict, reason, attempts, open) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, '', '', 1, 1) \
         ON CONFLICT (id) DO UPDATE SET robot = ?3, at_ms = ?6, covers = ?9, body = ?10, verdict = '', reason = '', \
         attempts = attempts + 1, open = 1, text = iif(?7 = '', text, ?7), alerts = iif(?8 = '[]', alerts, ?8) \
         RETURNING seq";
    let seq = tx.conn.prepare_cached(sql)?.query_row(
        params![
            begin.message.as_str(),
            bot,
            robot,
            begin.kind.as_str(),
            begin.group.cast_signed(),
            begin.started_ms,
            begin.text,
            alerts,
            covers::write(&begin.covers),
            &begin.body[..],
        ],
        |row| row.get(0),
    )?;
    Ok(seq)
}

/// How far an outcome has been written.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    superseded: usize,
    alerts: usize,
}

/// Writes the next part of an outcome.
pub(super) fn finish(tx: &mut Tx<'_>, outcome: &Outcome, done: &mut Progress) -> Result<Step<()>, Fault> {
    let (told, dead): (&[_], &[_]) = match &outcome.effect {
        Effect::Told(told) => (told, &[]),
        Effect::Dead(dead) => (&[], dead),
        Effect::Kept { .. } | Effect::Announced(_) => (&[], &[]),
    };
    if told.len() + dead.len() + outcome.superseded.len() > 0 {
        tx.must_be_exclusive()?;
    }
    let slot = tx.bot(&outcome.bot)?;
    let message = tx
        .conn
        .prepare_cached("SELECT seq FROM messages WHERE id = ?1")?
        .query_row([outcome.message.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;

    let mut room = STEP;
    supersede(tx, slot, &outcome.superseded, &mut done.superseded, &mut room)?;
    for (pos, state, how) in told.iter().skip(done.alerts).take(room) {
        tell(tx, slot, *pos, state, *how, message)?;
        done.alerts += 1;
        room -= 1;
    }
    for letter in dead.iter().skip(done.alerts).take(room) {
        die(tx, slot, letter, outcome.ended_ms)?;
        done.alerts += 1;
    }
    if done.superseded < outcome.superseded.len() || done.alerts < told.len() + dead.len() {
        return Ok(Step::More);
    }
    if let Effect::Announced(count) = outcome.effect {
        tx.must_be_exclusive()?;
        tx.mem.count(slot, |counts| counts.unannounced = counts.unannounced.saturating_sub(u64::from(count)));
    }
    if let Some(storm) = &outcome.storm {
        set_storm(tx, slot, storm)?;
    }
    end_attempts(tx, outcome, message)?;
    set_robot(tx, &outcome.robot, &outcome.robot_state)?;
    Ok(Step::Done(()))
}

fn end_attempts(tx: &Tx<'_>, outcome: &Outcome, message: Option<i64>) -> Result<(), Fault> {
    tx.conn.prepare_cached("UPDATE attempts SET ended_ms = ?2, verdict = ?3 WHERE id = ?1")?.execute(params![
        outcome.attempt,
        outcome.ended_ms,
        outcome.verdict
    ])?;
    let Some(message) = message else { return Ok(()) };
    tx.conn
        .prepare_cached("UPDATE attempts SET ended_ms = ?2, verdict = ?3 WHERE message = ?1 AND ended_ms IS NULL")?
        .execute(params![message, outcome.ended_ms, UNKNOWN])?;
    let open = matches!(outcome.effect, Effect::Kept { open: true });
    tx.conn
        .prepare_cached(
            "UPDATE messages SET verdict = ?2, reason = ?3, open = ?4, covers = iif(?4, covers, NULL), \
             body = iif(?4, body, NULL) WHERE seq = ?1",
        )?
        .execute(params![message, outcome.verdict, outcome.reason, open])?;
    Ok(())
}

/// Counts and deletes superseded heads, as many as there is room for.
pub(super) fn supersede(
    tx: &mut Tx<'_>,
    slot: usize,
    positions: &[i64],
    done: &mut usize,
    room: &mut usize,
) -> Result<(), Fault> {
    for pos in positions.iter().skip(*done).take(*room) {
        tx.drop_head(slot, *pos, |counts| counts.proof.superseded += 1)?;
        *done += 1;
        *room -= 1;
    }
    Ok(())
}

/// The next part of a list of superseded heads that comes outside an outcome.
pub(super) fn superseded(tx: &mut Tx<'_>, bot: &str, positions: &[i64], done: &mut usize) -> Result<Step<()>, Fault> {
    tx.must_be_exclusive()?;
    let slot = tx.bot(bot)?;
    supersede(tx, slot, positions, done, &mut { STEP })?;
    Ok(if *done < positions.len() { Step::More } else { Step::Done(()) })
}

/// One alert was told. Its state is remembered even when its head is gone already (superseded while in flight).
fn tell(
    tx: &mut Tx<'_>,
    slot: usize,
    pos: i64,
    state: &ToldState,
    how: How,
    message: Option<i64>,
) -> Result<(), Fault> {
    tx.drop_head(slot, pos, |counts| match how {
        How::Named => counts.proof.told_named += 1,
        How::Counted => counts.proof.told_counted += 1,
    })?;
    tx.conn
        .prepare_cached(
            "INSERT INTO told (bot, fp, grp, status, starts_ms, ends_ms, accepted_ms, told_ms, message) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (bot, fp) DO UPDATE SET grp = ?3, status = ?4, \
             starts_ms = ?5, ends_ms = ?6, accepted_ms = ?7, told_ms = ?8, message = ?9",
        )?
        .execute(params![
            tx.mem.bot(slot).id,
            state.fingerprint.0.cast_signed(),
            state.group.cast_signed(),
            status_code(state.status),
            state.starts_ms,
            state.ends_ms,
            state.accepted_ms,
            state.told_ms,
            message,
        ])?;
    Ok(())
}

/// One alert becomes a dead letter, unless its head is gone already.
pub(super) fn die(tx: &mut Tx<'_>, slot: usize, letter: &NewDeadLetter, at_ms: Millis) -> Result<(), Fault> {
    let died = tx.drop_head(slot, letter.pos, |counts| {
        counts.proof.dead += 1;
        counts.unannounced += 1;
    })?;
    if !died {
        return Ok(());
    }
    let via = tx.via(&letter.via)?;
    let alert = serde_json::to_string(&letter.alert)
        .map_err(|error| StoreError::Unavailable(format!("a dead letter's alert: {error}")))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO dead_letters (bot, pos, at_ms, via, grp, severity, reason, alert, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            tx.mem.bot(slot).id,
            letter.pos,
            at_ms,
            via,
            letter.group.cast_signed(),
            letter.severity,
            letter.reason,
            alert,
            &letter.body[..],
        ])?;
    Ok(())
}

/// Writes a robot's state.
pub(super) fn set_robot(tx: &Tx<'_>, robot: &str, state: &RobotState) -> Result<(), Fault> {
    let id = tx.robot(robot)?;
    tx.conn
        .prepare_cached(
            "UPDATE robots SET paused_until_ms = ?2, failures = ?3, failing_since_ms = ?4, last_verdict = ?5, \
             last_verdict_ms = ?6, reason = ?7, remedy = ?8 WHERE id = ?1",
        )?
        .execute(params![
            id,
            state.paused_until_ms,
            state.failures,
            state.failing_since_ms,
            state.last_verdict,
            state.last_verdict_ms,
            state.reason,
            state.remedy,
        ])?;
    Ok(())
}

fn set_storm(tx: &Tx<'_>, slot: usize, storm: &StormState) -> Result<(), Fault> {
    let json =
        serde_json::to_string(storm).map_err(|error| StoreError::Unavailable(format!("a storm's state: {error}")))?;
    tx.conn.prepare_cached("UPDATE bots SET storm = ?2 WHERE id = ?1")?.execute(params![tx.mem.bot(slot).id, json])?;
    Ok(())
}

/// Remembers each bot's fallback.
pub(super) fn remember_fallbacks(tx: &mut Tx<'_>, fallbacks: &[(Arc<str>, Option<Arc<str>>)]) -> Result<(), Fault> {
    for (bot, fallback) in fallbacks {
        let slot = tx.bot(bot)?;
        tx.conn
            .prepare_cached("UPDATE bots SET fallback = ?2 WHERE id = ?1 AND fallback IS NOT ?2")?
            .execute(params![tx.mem.bot(slot).id, fallback.as_deref()])?;
    }
    Ok(())
}

/// Finds out whether there is room: writes a page and takes it back. Body 0 is nobody's.
pub(super) fn probe(tx: &Tx<'_>) -> Result<(), Fault> {
    if tx.low {
        return Err(no_room().into());
    }
    let insert = "INSERT OR REPLACE INTO bodies (id, received_ms, body) VALUES (0, 0, zeroblob(4000))";
    match tx.conn.prepare_cached(insert)?.execute([]).map_err(Fault::from) {
        Ok(_) => {}
        // A question must not take others down with it.
        Err(fault) if !tx.conn.is_autocommit() => return Err(fault.to_store().into()),
        Err(fault) => return Err(fault),
    }
    tx.conn.prepare_cached("DELETE FROM bodies WHERE id = 0")?.execute([])?;
    Ok(())
}
