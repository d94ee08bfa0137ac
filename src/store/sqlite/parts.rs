//! Alerts that a message tells, kept in parts: a digest tells more than one commit should hold.

use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::queue::Step;
use super::tx::{Tx, count};
use crate::model::{Millis, ToldAlert};
use crate::store::StoreError;
use crate::store::common::parts::{Part, UNBEGUN_MS, Window};

/// Parts deleted in one transaction.
const STEP: usize = 500;
/// Bytes of parts deleted in one transaction, beyond one part.
const STEP_BYTES: u64 = 4 << 20;

/// Keeps a part; part 0 first deletes, in steps, what was kept before.
pub(super) fn keep(tx: &mut Tx<'_>, message: &str, number: u32, part: &Part) -> Result<Step<()>, Fault> {
    if number == 0 && delete_from(tx, message, 0)? {
        return Ok(Step::More);
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO message_parts (message, part, named, counted, alerts) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (message, part) DO UPDATE SET named = ?3, counted = ?4, alerts = ?5",
        )?
        .execute(params![message, number, part.named, part.counted, part.json])?;
    tx.conn
        .prepare_cached(
            "INSERT INTO unbegun (message, since_ms) VALUES (?1, 0) ON CONFLICT (message) DO UPDATE SET since_ms = 0",
        )?
        .execute([message])?;
    Ok(Step::Done(()))
}

/// The message is begun, or gone: its parts are no orphans.
pub(super) fn forget_unbegun(tx: &Tx<'_>, message: &str) -> Result<(), Fault> {
    tx.conn.prepare_cached("DELETE FROM unbegun WHERE message = ?1")?.execute([message])?;
    Ok(())
}

/// Deletes some of the parts from this one on, the last first; `true` when there are more.
pub(super) fn delete_from(tx: &Tx<'_>, message: &str, from: u32) -> Result<bool, Fault> {
    let mut find = tx.conn.prepare_cached(&format!(
        "SELECT id, octet_length(alerts) FROM message_parts WHERE message = ?1 AND part >= ?2 \
         ORDER BY part DESC LIMIT {STEP}"
    ))?;
    let mut rows = find.query(params![message, from])?;
    let mut last = Vec::new();
    let mut bytes = 0;
    let mut more = false;
    while let Some(row) = rows.next()? {
        if bytes >= STEP_BYTES {
            more = true;
            break;
        }
        last.push(row.get::<_, i64>(0)?);
        bytes += count(row, 1)?;
    }
    drop(rows);
    let mut delete = tx.conn.prepare_cached("DELETE FROM message_parts WHERE id = ?1")?;
    for id in &last {
        delete.execute([id])?;
    }
    Ok(more || last.len() == STEP)
}

/// One step of clean-up: parts whose message has not been begun for an hour go. `true` when something was done.
///
/// The store has no clock of its own: `now_ms` is any that moves with the wall clock.
pub(super) fn clean_unbegun(tx: &Tx<'_>, now_ms: Millis) -> Result<bool, Fault> {
    // A time from the future is one of a clock that was wrong.
    let stamped = tx
        .conn
        .prepare_cached(&format!(
            "UPDATE unbegun SET since_ms = ?1 WHERE message IN \
             (SELECT message FROM unbegun WHERE since_ms = 0 OR since_ms > ?1 LIMIT {STEP}) AND ?1 <> 0"
        ))?
        .execute([now_ms])?;
    if stamped > 0 {
        return Ok(true);
    }
    let old: Option<String> = tx
        .conn
        .prepare_cached("SELECT message FROM unbegun WHERE since_ms <> 0 AND since_ms <= ?1 LIMIT 1")?
        .query_row([now_ms.saturating_sub(UNBEGUN_MS)], |row| row.get(0))
        .optional()?;
    let Some(message) = old else { return Ok(false) };
    // Those of a message that was begun once go with it: what it told before them is gone already.
    let begun = tx.conn.prepare_cached("SELECT 1 FROM messages WHERE id = ?1")?.exists([&message])?;
    if begun || !delete_from(tx, &message, 0)? {
        forget_unbegun(tx, &message)?;
    }
    Ok(true)
}

/// How many alerts the parts of a message name and count.
pub(super) fn counts(conn: &Connection, message: &str) -> Result<(u64, u64), Fault> {
    let sql = "SELECT ifnull(sum(named), 0), ifnull(sum(counted), 0) FROM message_parts WHERE message = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([message], |row| Ok((count(row, 0)?, count(row, 1)?)))?)
}

/// Adds what a window shows of a message's parts, in order.
pub(super) fn read_into(
    conn: &Connection,
    message: &str,
    window: &mut Window,
    alerts: &mut Vec<ToldAlert>,
) -> Result<(), Fault> {
    let sql = "SELECT named + counted, alerts FROM message_parts WHERE message = ?1 ORDER BY part";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([message])?;
    while let Some(row) = rows.next()? {
        if window.is_full() {
            break;
        }
        if window.passes_over(count(row, 0)?) {
            continue;
        }
        let json = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        window
            .take(json, alerts)
            .map_err(|_| StoreError::Unusable("the database file is damaged: a message's alerts".to_owned()))?;
    }
    Ok(())
}
