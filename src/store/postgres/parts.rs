//! Alerts that a message tells, kept in parts: a digest tells more than one row should hold.

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Transaction};

use super::Inner;
use super::books::count;
use super::db::{Fault, again, transaction};
use crate::model::{MessageId, Millis, ToldAlert};
use crate::store::StoreError;
use crate::store::common::parts::{Part, UNBEGUN_MS, Window};

/// Parts looked at in one step of clean-up.
const STEP: i64 = 500;
/// Bytes of parts deleted in one step of clean-up, beyond one part.
const STEP_BYTES: i64 = 4 << 20;

pub(super) async fn keep(
    inner: &Inner,
    message: &MessageId,
    part: u32,
    alerts: &[ToldAlert],
) -> Result<(), StoreError> {
    let told = Part::new(alerts)?;
    let number = i32::try_from(part).map_err(|_| StoreError::Unusable("a message of too many parts".to_owned()))?;
    let id = message.as_str();
    again!(inner.db, conn => async {
        let tx = transaction(&mut conn, inner.db.patience).await?;
        if number == 0 {
            delete_all_from(&tx, id, 0).await?;
        }
        let sql = "INSERT INTO alarmbell.message_parts (message, part, named, counted, alerts) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (message, part) DO UPDATE SET named = $3, counted = $4, alerts = $5";
        let params = [
            (&id as _, Type::TEXT),
            (&number as _, Type::INT4),
            (&told.named as _, Type::INT8),
            (&told.counted as _, Type::INT8),
            (&told.json as _, Type::TEXT),
        ];
        tx.execute_typed(sql, &params).await?;
        let sql = "INSERT INTO alarmbell.unbegun (message, since_ms) VALUES ($1, 0) \
             ON CONFLICT (message) DO UPDATE SET since_ms = 0";
        tx.execute_typed(sql, &[(&id, Type::TEXT)]).await?;
        tx.commit().await?;
        Ok::<_, Fault>(())
    })
}

/// The message is begun, or gone: its parts are no orphans.
pub(super) async fn forget_unbegun(tx: &Transaction<'_>, message: &str) -> Result<(), Fault> {
    tx.execute_typed("DELETE FROM alarmbell.unbegun WHERE message = $1", &[(&message, Type::TEXT)]).await?;
    Ok(())
}

/// Deletes the parts from this one on.
pub(super) async fn delete_all_from(tx: &Transaction<'_>, message: &str, from: u32) -> Result<(), Fault> {
    let from = i32::try_from(from).unwrap_or(i32::MAX);
    let sql = "DELETE FROM alarmbell.message_parts WHERE message = $1 AND part >= $2";
    tx.execute_typed(sql, &[(&message, Type::TEXT), (&from, Type::INT4)]).await?;
    Ok(())
}

/// Deletes some of a message's parts, the last first; `true` when there are more.
pub(super) async fn delete_some(tx: &Transaction<'_>, message: &str) -> Result<bool, Fault> {
    let sql = "SELECT part, octet_length(alerts) FROM alarmbell.message_parts WHERE message = $1 \
         ORDER BY part DESC LIMIT $2";
    let rows = tx.query_typed(sql, &[(&message, Type::TEXT), (&STEP, Type::INT8)]).await?;
    let (mut first, mut bytes, mut seen) = (i32::MAX, 0, 0);
    for row in &rows {
        if bytes >= STEP_BYTES {
            break;
        }
        first = row.try_get(0)?;
        bytes += i64::from(row.try_get::<_, i32>(1)?);
        seen += 1;
    }
    let sql = "DELETE FROM alarmbell.message_parts WHERE message = $1 AND part >= $2";
    tx.execute_typed(sql, &[(&message, Type::TEXT), (&first, Type::INT4)]).await?;
    Ok(seen < rows.len() || count(seen) == STEP)
}

/// One step of clean-up: parts whose message has not been begun for an hour go. `true` when something was done.
///
/// `now_ms` is any time that moves with the wall clock.
pub(super) async fn clean_unbegun(tx: &Transaction<'_>, now_ms: Millis) -> Result<bool, Fault> {
    // A time from the future is one of a clock that was wrong.
    let sql = "UPDATE alarmbell.unbegun SET since_ms = $1 WHERE message IN (SELECT message FROM alarmbell.unbegun \
         WHERE since_ms = 0 OR since_ms > $1 LIMIT $2 FOR UPDATE SKIP LOCKED) AND $1 <> 0";
    if tx.execute_typed(sql, &[(&now_ms, Type::INT8), (&STEP, Type::INT8)]).await? > 0 {
        return Ok(true);
    }
    let sql = "SELECT u.message, EXISTS (SELECT 1 FROM alarmbell.messages m WHERE m.id = u.message) \
         FROM alarmbell.unbegun u WHERE since_ms <> 0 AND since_ms <= $1 LIMIT 1 FOR UPDATE OF u SKIP LOCKED";
    let old = tx.query_typed_opt(sql, &[(&now_ms.saturating_sub(UNBEGUN_MS), Type::INT8)]).await?;
    let Some(row) = old else { return Ok(false) };
    let message: &str = row.try_get(0)?;
    // Those of a message that was begun once go with it: what it told before them is gone already.
    if row.try_get(1)? || !delete_some(tx, message).await? {
        forget_unbegun(tx, message).await?;
    }
    Ok(true)
}

/// How many alerts the parts of a message name and count.
pub(super) async fn counts(client: &impl GenericClient, message: &str) -> Result<(u64, u64), Fault> {
    let sql = "SELECT coalesce(sum(named), 0)::bigint, coalesce(sum(counted), 0)::bigint \
         FROM alarmbell.message_parts WHERE message = $1";
    let row = client.query_typed_one(sql, &[(&message, Type::TEXT)]).await?;
    Ok((unsigned(row.try_get(0)?), unsigned(row.try_get(1)?)))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Adds what a window shows of a message's parts, in order.
pub(super) async fn read_into(
    client: &impl GenericClient,
    message: &str,
    window: &mut Window,
    alerts: &mut Vec<ToldAlert>,
) -> Result<(), Fault> {
    let sql = "SELECT part, named + counted FROM alarmbell.message_parts WHERE message = $1 ORDER BY part";
    let parts = client.query_typed(sql, &[(&message, Type::TEXT)]).await?;
    for row in &parts {
        if window.is_full() {
            break;
        }
        if window.passes_over(unsigned(row.try_get(1)?)) {
            continue;
        }
        let sql = "SELECT alerts FROM alarmbell.message_parts WHERE message = $1 AND part = $2";
        let params = [(&message as _, Type::TEXT), (&row.try_get::<_, i32>(0)? as _, Type::INT4)];
        let Some(part) = client.query_typed_opt(sql, &params).await? else { continue };
        window
            .take(part.try_get(0)?, alerts)
            .map_err(|_| StoreError::Unusable("the database is damaged: a message's alerts".to_owned()))?;
    }
    Ok(())
}
