//! Clean-up in steps that are too small to be felt.

use rusqlite::params;

use super::fault::Fault;
use super::parts;
use super::tx::{Tx, status};
use crate::model::Status;
use crate::store::Retention;

/// Rows of one step.
const STEP: usize = 500;
/// Bytes of one step, beyond one row.
const STEP_BYTES: u64 = 4 << 20;
/// Free pages that are kept for reuse, besides a quarter of the file.
const KEEP_FREE_PAGES: i64 = 1_024;
/// Pages given back to the file system in one step.
const GIVE_BACK_PAGES: i64 = 128;

/// Deletes some of the bodies that no head refers to any more; returns them, for when the transaction fails.
pub(super) fn garbage(tx: &mut Tx<'_>) -> Result<Vec<(i64, u32)>, Fault> {
    let taken = tx.mem.take_garbage(STEP, STEP_BYTES);
    let delete = || {
        let mut delete = tx.conn.prepare_cached("DELETE FROM bodies WHERE id = ?1")?;
        for (id, _) in &taken {
            delete.execute([id])?;
        }
        Ok::<_, rusqlite::Error>(())
    };
    match delete() {
        Ok(()) => Ok(taken),
        Err(error) => {
            tx.mem.give_back(taken);
            Err(error.into())
        }
    }
}

/// What the next step looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Messages,
    /// Parts that no message was begun with.
    Unbegun,
    DeadLetters,
    /// After this bot and fingerprint.
    Told(i64, i64),
    Attempts,
    /// Bodies after this one: those that a crash left behind without heads.
    Bodies(i64),
    Space,
}

/// Where clean-up stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cleaner {
    phase: Phase,
    /// Bodies are swept once, up to the last one that was there at the first step.
    sweep_upto: Option<i64>,
}

impl Default for Cleaner {
    fn default() -> Self {
        Self { phase: Phase::Messages, sweep_upto: None }
    }
}

/// One step: at most [`STEP`] rows. `true` when the round is not over.
pub(super) fn step(tx: &mut Tx<'_>, retention: &Retention) -> Result<bool, Fault> {
    tx.must_be_exclusive()?;
    let mut cleaner = tx.mem.cleaner;
    loop {
        let (worked, next) = match cleaner.phase {
            Phase::Messages => again(Phase::Messages, messages(tx, retention)?, Phase::Unbegun),
            Phase::Unbegun => {
                // An hour ago, give or take: the only time among these that always moves with the clock.
                let worked = parts::clean_unbegun(tx, retention.resolved_before_ms)?;
                again(Phase::Unbegun, worked, Phase::DeadLetters)
            }
            Phase::DeadLetters => again(Phase::DeadLetters, dead_letters(tx, retention)?, Phase::Told(0, i64::MIN)),
            Phase::Told(bot, fp) => told(tx, (bot, fp), retention)?,
            Phase::Attempts => again(Phase::Attempts, attempts(tx, retention)?, Phase::Bodies(0)),
            Phase::Bodies(after) => bodies(tx, after, &mut cleaner.sweep_upto)?,
            Phase::Space => again(Phase::Space, space(tx)?, Phase::Messages),
        };
        let over = cleaner.phase == Phase::Space && next == Phase::Messages;
        cleaner.phase = next;
        if over || worked {
            // When the transaction fails, what this step skipped comes with the next round.
            tx.mem.cleaner = cleaner;
            return Ok(!over);
        }
    }
}

/// A phase that goes on while it found something.
fn again(phase: Phase, worked: bool, next: Phase) -> (bool, Phase) {
    (worked, if worked { phase } else { next })
}

/// Parts go before their message, so that none is left behind.
fn messages(tx: &Tx<'_>, retention: &Retention) -> Result<bool, Fault> {
    let mut find = tx.conn.prepare_cached(&format!(
        "SELECT seq, octet_length(text) + octet_length(alerts), id, \
         EXISTS (SELECT 1 FROM message_parts p WHERE p.message = m.id) FROM messages m INDEXED BY messages_at \
         WHERE at_ms < ?1 AND open = 0 ORDER BY at_ms LIMIT {STEP}"
    ))?;
    let mut rows = find.query([retention.history_before_ms])?;
    let mut old = Vec::new();
    let mut bytes = 0;
    let mut with_parts = None;
    while let Some(row) = rows.next()? {
        if row.get(3)? {
            with_parts = Some((row.get::<_, i64>(0)?, row.get::<_, String>(2)?));
            break;
        }
        old.push(row.get::<_, i64>(0)?);
        bytes += super::tx::count(row, 1)?;
        if bytes >= STEP_BYTES {
            break;
        }
    }
    drop(rows);
    // What comes before one with parts goes first, in a step of its own.
    if let (true, Some((seq, id))) = (old.is_empty(), with_parts) {
        if parts::delete_from(tx, &id, 0)? {
            return Ok(true);
        }
        parts::forget_unbegun(tx, &id)?;
        old.push(seq);
    }
    let mut delete = tx.conn.prepare_cached("DELETE FROM messages WHERE seq = ?1")?;
    for seq in &old {
        delete.execute([seq])?;
    }
    Ok(!old.is_empty())
}

fn dead_letters(tx: &Tx<'_>, retention: &Retention) -> Result<bool, Fault> {
    let deleted = tx
        .conn
        .prepare_cached(&format!(
            "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE at_ms < ?1 LIMIT {STEP})"
        ))?
        .execute([retention.history_before_ms])?;
    Ok(deleted > 0)
}

/// Looks at the next told states. A firing one was last seen when it was told or accepted last.
fn told(tx: &Tx<'_>, after: (i64, i64), retention: &Retention) -> Result<(bool, Phase), Fault> {
    let mut find = tx.conn.prepare_cached(&format!(
        "SELECT bot, fp, status, max(told_ms, accepted_ms) FROM told WHERE (bot, fp) > (?1, ?2) \
         ORDER BY bot, fp LIMIT {STEP}"
    ))?;
    let mut rows = find.query([after.0, after.1])?;
    let mut old = Vec::new();
    let mut last = after;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        last = (row.get(0)?, row.get(1)?);
        seen += 1;
        let before = match status(row.get(2)?) {
            Status::Firing => retention.history_before_ms,
            Status::Resolved => retention.resolved_before_ms,
        };
        if row.get::<_, i64>(3)? < before {
            old.push(last);
        }
    }
    drop(rows);
    let mut delete = tx.conn.prepare_cached("DELETE FROM told WHERE bot = ?1 AND fp = ?2")?;
    for (bot, fp) in old {
        delete.execute([bot, fp])?;
    }
    Ok((seen > 0, if seen == STEP { Phase::Told(last.0, last.1) } else { Phase::Attempts }))
}

fn attempts(tx: &Tx<'_>, retention: &Retention) -> Result<bool, Fault> {
    let deleted = tx
        .conn
        .prepare_cached(&format!(
            "DELETE FROM attempts WHERE id IN (SELECT id FROM attempts WHERE ended_ms < ?1 LIMIT {STEP})"
        ))?
        .execute([retention.attempts_before_ms])?;
    Ok(deleted > 0)
}

/// Sweeps bodies that nobody needs: a process was killed between an outcome and the step that deletes its bodies.
fn bodies(tx: &mut Tx<'_>, after: i64, upto: &mut Option<i64>) -> Result<(bool, Phase), Fault> {
    let last = match *upto {
        Some(last) => last,
        None => {
            let last: Option<i64> = tx.conn.query_row("SELECT max(id) FROM bodies", [], |row| row.get(0))?;
            *upto.insert(last.unwrap_or_default())
        }
    };
    let mut find = tx
        .conn
        .prepare_cached(&format!("SELECT id FROM bodies WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT {STEP}"))?;
    let ids = find.query_map([after, last], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut delete = tx.conn.prepare_cached("DELETE FROM bodies WHERE id = ?1")?;
    for id in ids.iter().filter(|id| !tx.mem.is_needed(**id)) {
        delete.execute(params![id])?;
    }
    Ok(match ids.last() {
        Some(id) if ids.len() == STEP => (true, Phase::Bodies(*id)),
        // What is appended from now on is swept by the writer itself.
        _ => {
            *upto = Some(0);
            (!ids.is_empty(), Phase::Space)
        }
    })
}

/// Gives free pages back when there are many.
fn space(tx: &Tx<'_>) -> Result<bool, Fault> {
    let pragma = |sql: &str| tx.conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let free = pragma("PRAGMA freelist_count")?;
    let pages = pragma("PRAGMA page_count")?;
    if free <= KEEP_FREE_PAGES.max(pages / 4) {
        return Ok(false);
    }
    let mut vacuum = tx.conn.prepare_cached(&format!("PRAGMA incremental_vacuum({GIVE_BACK_PAGES})"))?;
    let mut rows = vacuum.query([])?;
    // Each step of this statement frees one page.
    while rows.next()?.is_some() {}
    Ok(true)
}
