//! Alerts that change their place: a gone bot's go to others or become dead letters, dead letters come back.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::fault::Fault;
use super::outcome;
use super::queue::Step;
use super::tx::{HEAD_COLUMNS, Tx, is_silent, key, read_head};
use crate::model::{Head, HeadFlags, Millis, ToldAlert};
use crate::store::common::gone::{self, Parsed};
use crate::store::{NewDeadLetter, StoreError};

/// Heads moved in one transaction.
const STEP: usize = 200;

/// How far a move has come.
#[derive(Clone, Default)]
pub(super) struct Progress {
    moved: u64,
    /// The last position to move; what is appended later is for a later move.
    upto: Option<i64>,
    /// The body that was read last: the heads of a large one follow each other.
    body: Option<Arc<Parsed>>,
}

/// Moves the next heads of `from`.
pub(super) fn rehome(
    tx: &mut Tx<'_>,
    from: &str,
    to: &[Arc<str>],
    now_ms: Millis,
    done: &mut Progress,
) -> Result<Step<u64>, Fault> {
    tx.must_be_exclusive()?;
    let slot = tx.bot(from)?;
    let mut targets = Vec::new();
    for name in to {
        let target = tx.bot(name)?;
        if target != slot && !targets.contains(&target) {
            targets.push(target);
        }
    }
    if targets.is_empty() && !to.is_empty() {
        // From a bot to itself.
        return Ok(Step::Done(0));
    }
    let bot = tx.mem.bot(slot);
    let last = i64::try_from(bot.counts.proof.accepted).unwrap_or(i64::MAX);
    let (first, last) = (key(bot.id, 0), key(bot.id, *done.upto.get_or_insert(last)));
    let heads = tx
        .conn
        .prepare_cached(&format!(
            "SELECT {HEAD_COLUMNS} FROM heads WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT {STEP}"
        ))?
        .query_map([first, last], read_head)?
        .collect::<Result<Vec<_>, _>>()?;
    for (_, head, len) in &heads {
        if targets.is_empty() && is_silent(head) {
            // Nobody was to be told of it.
            tx.drop_head(slot, head.pos, |counts| counts.proof.superseded += 1)?;
        } else if targets.is_empty() {
            let letter = letter(tx, head, done)?;
            outcome::die(tx, slot, &letter, now_ms)?;
        } else {
            for target in &targets {
                tx.append_head(*target, head.body, *len, head)?;
            }
            tx.drop_head(slot, head.pos, |counts| counts.proof.superseded += 1)?;
        }
        done.moved += 1;
    }
    if heads.len() == STEP {
        return Ok(Step::More);
    }
    give_up_open(tx, slot, now_ms)?;
    Ok(Step::Done(done.moved))
}

/// Messages of a gone bot whose outcome is not known are not sent again.
fn give_up_open(tx: &Tx<'_>, slot: usize, now_ms: Millis) -> Result<(), Fault> {
    let bot = tx.mem.bot(slot).id;
    tx.conn
        .prepare_cached(
            "UPDATE attempts SET ended_ms = ?2, verdict = 'unknown_outcome' WHERE ended_ms IS NULL AND message IN \
             (SELECT seq FROM messages WHERE open = 1 AND bot = ?1)",
        )?
        .execute([bot, now_ms])?;
    tx.conn
        .prepare_cached(
            "UPDATE messages SET open = 0, verdict = 'unknown_outcome', covers = NULL, body = NULL \
             WHERE open = 1 AND bot = ?1",
        )?
        .execute([bot])?;
    Ok(())
}

/// A dead letter made of a head alone.
fn letter(tx: &Tx<'_>, head: &Head, done: &mut Progress) -> Result<NewDeadLetter, Fault> {
    let parsed = match &done.body {
        Some(parsed) if parsed.id == head.body => parsed.clone(),
        _ => done.body.insert(Arc::new(parse(tx, head.body)?)).clone(),
    };
    let via = tx
        .conn
        .prepare_cached("SELECT text FROM vias WHERE id = ?1")?
        .query_row([head.via], |row| row.get::<_, String>(0))
        .optional()?
        .unwrap_or_default();
    Ok(gone::letter(head, via, &parsed))
}

fn parse(tx: &Tx<'_>, id: i64) -> Result<Parsed, Fault> {
    let body = tx
        .conn
        .prepare_cached("SELECT body FROM bodies WHERE id = ?1")?
        .query_row([id], |row| row.get::<_, Vec<u8>>(0))
        .optional()?
        .unwrap_or_default();
    Ok(Parsed::new(id, &body))
}

/// Appends a dead letter's alert anew and removes the letter.
pub(super) fn replay(tx: &mut Tx<'_>, id: i64, to: Option<&str>, now_ms: Millis) -> Result<(), Fault> {
    tx.must_be_exclusive()?;
    let sql = "SELECT b.name, d.via, d.grp, d.severity, d.alert, d.body FROM dead_letters d \
         JOIN bots b ON b.id = d.bot WHERE d.id = ?1";
    let found = tx.conn.prepare_cached(sql)?.query_row([id], |row| {
        let strings = (row.get::<_, String>(0)?, row.get::<_, String>(4)?);
        Ok((strings, row.get::<_, u32>(1)?, row.get::<_, i64>(2)?, row.get::<_, u8>(3)?, row.get::<_, Vec<u8>>(5)?))
    });
    let ((bot, alert), via, group, severity, body) = found.optional()?.ok_or(StoreError::NotFound)?;
    let alert: ToldAlert = serde_json::from_str(&alert)
        .map_err(|error| StoreError::Unusable(format!("the dead letter is damaged: {error}")))?;
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    tx.mem.room_for(1, u64::from(len), tx.max)?;
    let slot = tx.bot(to.unwrap_or(&bot))?;
    let body_id = tx.mem.new_body();
    tx.conn
        .prepare_cached("INSERT INTO bodies (id, received_ms, body) VALUES (?1, ?2, ?3)")?
        .execute(params![body_id, now_ms, body])?;
    let head = Head {
        pos: 0,
        body: body_id,
        idx: 0,
        fingerprint: alert.fingerprint,
        group: group.cast_unsigned(),
        status: alert.status,
        severity,
        flags: HeadFlags(HeadFlags::REPLAY),
        starts_ms: alert.starts_ms,
        ends_ms: alert.ends_ms,
        accepted_ms: now_ms,
        via,
    };
    tx.append_head(slot, body_id, len, &head)?;
    delete(tx, id)
}

/// Removes a dead letter.
pub(super) fn delete(tx: &Tx<'_>, id: i64) -> Result<(), Fault> {
    match tx.conn.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([id])? {
        0 => Err(StoreError::NotFound.into()),
        _ => Ok(()),
    }
}
