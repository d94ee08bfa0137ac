//! Dead letters, and what waits for bots that are gone.

use std::sync::Arc;

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::books::Books;
use super::db::{Fault, again, text, transaction};
use super::takeover::vanished;
use super::{Inner, feed, readers};
use crate::model::{HeadFlags, Millis, Status, ToldAlert};
use crate::store::common;
use crate::store::{DeadLetter, DeadLetterPage, StoreError};

/// The alert of a dead letter's row.
pub(super) fn read_alert(json: &str) -> Result<ToldAlert, Fault> {
    serde_json::from_str(json)
        .map_err(|_| StoreError::Unusable("the database is damaged: a dead letter's alert".to_owned()).into())
}

pub(super) async fn list(
    inner: &Inner,
    bot: Option<&str>,
    limit: u32,
    after: Option<i64>,
) -> Result<DeadLetterPage, StoreError> {
    let limit = common::limit(limit);
    let bot = bot.map(text);
    let rows = again!(inner.people, conn => async {
        let sql = "SELECT d.id, b.name, d.at_ms, d.reason, d.alert \
             FROM alarmbell.dead_letters d JOIN alarmbell.bots b ON b.id = d.bot \
             WHERE d.id < $1 AND ($2 IS NULL OR b.name = $2) ORDER BY d.id DESC LIMIT $3";
        let params = [
            (&after.unwrap_or(i64::MAX) as _, Type::INT8),
            (&bot.as_deref() as _, Type::TEXT),
            (&(i64::from(limit) + 1) as _, Type::INT8),
        ];
        Ok::<_, Fault>(conn.query_typed(sql, &params).await?)
    })?;
    let letters = rows.iter().map(read_letter).collect::<Result<_, _>>()?;
    Ok(DeadLetterPage::new(letters, limit))
}

fn read_letter(row: &Row) -> Result<DeadLetter, Fault> {
    Ok(DeadLetter {
        id: row.try_get(0)?,
        bot: row.try_get(1)?,
        at_ms: row.try_get(2)?,
        reason: row.try_get(3)?,
        alert: read_alert(row.try_get(4)?)?,
    })
}

pub(super) async fn counts(inner: &Inner) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
    let rows = again!(inner.people, conn => async {
        let sql = "SELECT b.name, n.count FROM (SELECT bot, count(*) AS count FROM alarmbell.dead_letters GROUP BY bot) n \
             JOIN alarmbell.bots b ON b.id = n.bot ORDER BY b.name COLLATE \"C\"";
        Ok::<_, Fault>(conn.query_typed(sql, &[]).await?)
    })?;
    let read = |row: &Row| {
        Ok::<_, Fault>((row.try_get::<_, &str>(0)?.into(), u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0)))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Appends a dead letter's alert anew and removes the letter.
pub(super) async fn replay(inner: &Inner, id: i64, bot: Option<&str>, now_ms: Millis) -> Result<(), StoreError> {
    if inner.me.is_empty() {
        return Err(StoreError::Unusable("only a serving alarmbell may change what waits".to_owned()));
    }
    let to = match bot {
        Some(name) => Some(inner.names.bot(&inner.db, name).await?),
        None => None,
    };
    let target = again!(inner.db, conn => try_replay(inner, &mut conn, id, to, now_ms))?;
    // It is done; what is not heard of now is found by the next look.
    if let Ok(Some(name)) = inner.names.bot_name(&inner.db, target).await {
        feed::added(inner, &[name]).await;
    }
    Ok(())
}

async fn try_replay(inner: &Inner, conn: &mut Object, id: i64, to: Option<i32>, now_ms: Millis) -> Result<i32, Fault> {
    let tx = transaction(conn, inner.db.patience).await?;
    let sql = "DELETE FROM alarmbell.dead_letters WHERE id = $1 RETURNING bot, via, grp, severity, alert, body";
    let row = tx.query_typed_opt(sql, &[(&id, Type::INT8)]).await?.ok_or(StoreError::NotFound)?;
    let bot = to.unwrap_or(row.try_get(0)?);
    let alert = read_alert(row.try_get(4)?)?;
    let body: &[u8] = row.try_get(5)?;
    let len = i32::try_from(body.len()).unwrap_or(i32::MAX);
    readers::room_for(inner, &*tx, 1, body.len() as u64).await?;
    let sql = "INSERT INTO alarmbell.bodies (received_ms, bot, body) VALUES ($1, $2, $3) RETURNING id";
    let params = [(&now_ms as _, Type::INT8), (&bot as _, Type::INT4), (&body as _, Type::BYTEA)];
    let body_id: i64 = tx.query_typed_one(sql, &params).await?.try_get(0)?;
    let mut books = Books::default();
    books.of(bot).accepted += 1;
    books.of(bot).body_bytes += i64::from(len);
    let pos = books.settle(&tx, None).await?.get(&bot).copied().ok_or_else(vanished)?;
    let sql = "INSERT INTO alarmbell.heads (bot, pos, body, body_len, idx, fp, grp, status, severity, flags, starts_ms, \
         ends_ms, accepted_ms, via) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let params = [
        (&bot as _, Type::INT4),
        (&pos as _, Type::INT8),
        (&body_id as _, Type::INT8),
        (&len as _, Type::INT4),
        (&alert.fingerprint.0.cast_signed() as _, Type::INT8),
        (&row.try_get::<_, i64>(2)? as _, Type::INT8),
        (&i16::from(alert.status == Status::Resolved) as _, Type::INT2),
        (&row.try_get::<_, i16>(3)? as _, Type::INT2),
        (&i16::from(HeadFlags::REPLAY) as _, Type::INT2),
        (&alert.starts_ms as _, Type::INT8),
        (&alert.ends_ms as _, Type::INT8),
        (&now_ms as _, Type::INT8),
        (&row.try_get::<_, i32>(1)? as _, Type::INT4),
    ];
    tx.execute_typed(sql, &params).await?;
    tx.commit().await?;
    Ok(bot)
}

/// Removes a dead letter.
pub(super) async fn delete(inner: &Inner, id: i64) -> Result<(), StoreError> {
    let deleted = again!(inner.db, conn => async {
        let sql = "DELETE FROM alarmbell.dead_letters WHERE id = $1";
        Ok::<_, Fault>(conn.execute_typed(sql, &[(&id, Type::INT8)]).await?)
    })?;
    if deleted == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}
