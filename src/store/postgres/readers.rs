//! Small reads, and what is remembered of bots.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

use super::backlog::WAITING;
use super::db::{Fault, again, text, transaction};
use super::{Inner, cluster};
use crate::model::Millis;
use crate::store::{StoreError, StoreSize, StoredBody};

/// Bots whose fallbacks are written in one transaction.
const STEP: usize = 1_000;
/// Via texts that are kept in memory: more than a config makes.
const VIAS: usize = 10_000;

/// The bodies with these ids, in the order asked.
pub(super) async fn bodies(inner: &Inner, ids: Vec<i64>) -> Result<Vec<StoredBody>, StoreError> {
    let rows = again!(inner.db, conn => async {
        let sql = "SELECT id, received_ms, body FROM alarmbell.bodies WHERE id = ANY($1)";
        Ok::<_, Fault>(conn.query_typed(sql, &[(&ids, Type::INT8_ARRAY)]).await?)
    })?;
    let mut found: HashMap<i64, (Millis, Bytes)> = HashMap::with_capacity(rows.len());
    for row in rows {
        let read = || Ok::<_, Fault>((row.try_get(0)?, (row.try_get(1)?, Bytes::copy_from_slice(row.try_get(2)?))));
        found.extend([read()?]);
    }
    let stored = |id: i64| {
        let (received_ms, body) = found.get(&id)?.clone();
        Some(StoredBody { id, received_ms, body })
    };
    Ok(ids.into_iter().filter_map(stored).collect())
}

/// The text of a via id, which never changes.
pub(super) async fn via(inner: &Inner, id: u32) -> Result<Arc<str>, StoreError> {
    if let Some(text) = inner.chores.vias().get(&id) {
        return Ok(text.clone());
    }
    let row = again!(inner.db, conn => async {
        let sql = "SELECT text FROM alarmbell.vias WHERE id = $1";
        Ok::<_, Fault>(conn.query_typed_opt(sql, &[(&id.cast_signed(), Type::INT4)]).await?)
    })?;
    let row = row.ok_or(StoreError::NotFound)?;
    let text: Arc<str> = row.try_get::<_, &str>(0).map_err(Fault::from)?.into();
    let mut vias = inner.chores.vias();
    if vias.len() >= VIAS {
        vias.clear();
    }
    vias.insert(id, text.clone());
    Ok(text)
}

/// Remembers each bot's fallback.
pub(super) async fn remember_fallbacks(
    inner: &Inner,
    fallbacks: &[(Arc<str>, Option<Arc<str>>)],
) -> Result<(), StoreError> {
    let bots: Vec<Arc<str>> = fallbacks.iter().map(|(bot, _)| bot.clone()).collect();
    cluster::enlist(inner, &bots).await?;
    for some in fallbacks.chunks(STEP) {
        let bots: Vec<_> = some.iter().map(|(bot, _)| text(bot)).collect();
        let bots: Vec<&str> = bots.iter().map(|bot| &**bot).collect();
        let to: Vec<_> = some.iter().map(|(_, to)| to.as_deref().map(text)).collect();
        let to: Vec<Option<&str>> = to.iter().map(Option::as_deref).collect();
        again!(inner.db, conn => async {
            let tx = transaction(&mut conn, inner.db.patience).await?;
            // Only what changes is locked, and in order: nearly always nothing does.
            let sql = "SELECT b.id, f.fallback FROM alarmbell.bots b \
                 JOIN unnest($1, $2) AS f (name, fallback) ON f.name = b.name \
                 WHERE b.fallback IS DISTINCT FROM f.fallback ORDER BY b.id FOR NO KEY UPDATE OF b";
            let rows = tx.query_typed(sql, &[(&bots, Type::TEXT_ARRAY), (&to, Type::TEXT_ARRAY)]).await?;
            for row in &rows {
                let sql = "UPDATE alarmbell.bots SET fallback = $2 WHERE id = $1";
                let params = [
                    (&row.try_get::<_, i32>(0)? as _, Type::INT4),
                    (&row.try_get::<_, Option<&str>>(1)? as _, Type::TEXT),
                ];
                tx.execute_typed(sql, &params).await?;
            }
            tx.commit().await?;
            Ok::<_, Fault>(())
        })?;
    }
    Ok(())
}

/// The fallback that was remembered for a bot.
pub(super) async fn fallback_of(inner: &Inner, bot: &str) -> Result<Option<Arc<str>>, StoreError> {
    let bot = &*text(bot);
    again!(inner.db, conn => async {
        let sql = "SELECT fallback FROM alarmbell.bots WHERE name = $1";
        let row = conn.query_typed_opt(sql, &[(&bot, Type::TEXT)]).await?;
        let fallback = row.as_ref().map(|row| row.try_get::<_, Option<&str>>(0)).transpose()?;
        Ok::<_, Fault>(fallback.flatten().map(Arc::from))
    })
}

/// Refuses what would make the backlog larger than it may be.
pub(super) async fn room_for(inner: &Inner, client: &impl GenericClient, heads: u64, bytes: u64) -> Result<(), Fault> {
    let row = client.query_typed_one(WAITING, &[]).await?;
    let (waiting, waiting_bytes) = (unsigned(row.try_get(0)?), unsigned(row.try_get(1)?));
    let (max_heads, max_bytes) = (inner.options.max_alerts, inner.options.max_bytes);
    if waiting.saturating_add(heads) > max_heads {
        return Err(StoreError::BacklogFull(format!("{waiting} of at most {max_heads} alerts wait")).into());
    }
    if waiting_bytes.saturating_add(bytes) > max_bytes {
        return Err(StoreError::BacklogFull(format!("{waiting_bytes} of at most {max_bytes} bytes wait")).into());
    }
    Ok(())
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Sizes of the whole. What it learns of the backlog, acceptance knows from then on.
pub(super) async fn size(inner: &Inner) -> Result<StoreSize, StoreError> {
    let mark = inner.backlog.mark();
    let (heads, waiting_bytes, silent) = again!(inner.db, conn => async {
        let sql = format!("SELECT w.*, (SELECT coalesce(sum(silent), 0)::bigint FROM alarmbell.bots) FROM ({WAITING}) w");
        let row = conn.query_typed_one(&sql, &[]).await?;
        Ok::<_, Fault>((row.try_get::<_, i64>(0)?, row.try_get::<_, i64>(1)?, row.try_get::<_, i64>(2)?))
    })?;
    inner.backlog.saw(mark, heads, waiting_bytes);
    Ok(StoreSize {
        bytes: bytes(inner).await?,
        waiting: unsigned(heads.saturating_sub(silent)),
        waiting_bytes: unsigned(waiting_bytes),
    })
}

/// Bytes on disk; 0 where the service does not say.
async fn bytes(inner: &Inner) -> Result<u64, StoreError> {
    if inner.chores.sizeless.load(Ordering::Relaxed) {
        return Ok(0);
    }
    let found = again!(inner.db, conn => async {
        let sql = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'alarmbell' AND c.relkind = 'r'";
        match conn.query_typed_one(sql, &[]).await {
            Ok(row) => Ok::<_, Fault>(Some(row.try_get::<_, i64>(0)?)),
            // Class 0A: not supported; class 42: no such function, or not for us.
            Err(error) if error.code().is_some_and(|code| ["0A", "42"].iter().any(|class| code.code().starts_with(class))) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    })?;
    if found.is_none() && !inner.chores.sizeless.swap(true, Ordering::Relaxed) {
        tracing::warn!("the database does not say how large its tables are: alarmbell_store_size_bytes stays 0");
    }
    Ok(unsigned(found.unwrap_or(0)))
}

/// Finds out whether the database takes what is written: writes a row, takes it back, and commits. Body 0 is nobody's.
pub(super) async fn probe(inner: &Inner) -> Result<(), StoreError> {
    again!(inner.db, conn => async {
        let tx = transaction(&mut conn, inner.db.patience).await?;
        let sql = "INSERT INTO alarmbell.bodies (id, received_ms, bot, body) VALUES (0, 0, 0, $1) \
             ON CONFLICT (id) DO NOTHING";
        tx.execute_typed(sql, &[(&&[0_u8; 1_000][..], Type::BYTEA)]).await?;
        tx.execute_typed("DELETE FROM alarmbell.bodies WHERE id = 0", &[]).await?;
        tx.commit().await?;
        Ok::<_, Fault>(())
    })
}
