//! Who is there, and who speaks for which bot.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use deadpool_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::backlog::WAITING;
use super::db::{Fault, again, text, transaction};
use super::image::{self, Claimed};
use super::{Inner, Mine, NOW_MS};
use crate::store::{Beat, Counters, Free, LEASE, Pulse, Replica, StoreError};

/// How long the row of a replica stays whose lease ran out: attempts and bots may still name it, but nobody asks any more.
const GONE_MS: i64 = 3_600_000;

/// Bots in one statement.
const CHUNK: usize = 1_000;

pub(super) async fn enlist(inner: &Inner, bots: &[Arc<str>]) -> Result<(), StoreError> {
    let mut names: Vec<&str> = bots.iter().map(|bot| &**bot).collect();
    names.sort_unstable();
    for some in names.chunks(CHUNK) {
        again!(inner.db, conn => async {
            let sql = "INSERT INTO alarmbell.bots (name) SELECT n FROM unnest($1::text[]) AS n \
                       WHERE NOT EXISTS (SELECT 1 FROM alarmbell.bots b WHERE b.name = n) \
                       ORDER BY n ON CONFLICT (name) DO NOTHING";
            Ok::<_, Fault>(conn.execute_typed(sql, &[(&some, Type::TEXT_ARRAY)]).await?)
        })?;
    }
    Ok(())
}

fn only_replicas(inner: &Inner) -> Result<(), StoreError> {
    if inner.me.is_empty() {
        return Err(StoreError::Unusable("only a serving alarmbell speaks for bots".to_owned()));
    }
    Ok(())
}

pub(super) async fn beat(inner: &Inner, beat: &Beat) -> Result<Pulse, StoreError> {
    only_replicas(inner)?;
    renew(inner, beat).await?;
    // In statements of their own: one that waited for the lease's row would not see what changed meanwhile.
    let (ids, fences): (Vec<i32>, Vec<i64>) = inner.mine().values().map(|own| (own.id, own.fence)).unzip();
    let mark = inner.backlog.mark();
    let (replicas, lost, free, (heads, bytes)) = again!(inner.vital, conn => async {
        let me: &(dyn ToSql + Sync) = &inner.me;
        let live = format!(
            "SELECT r.id, r.name, r.version, r.config_hash, r.started_ms, r.seen_ms, count(b.id) \
             FROM alarmbell.replicas r LEFT JOIN alarmbell.bots b ON b.owner = r.id \
             WHERE r.until_ms > {NOW_MS} GROUP BY r.id ORDER BY r.id"
        );
        let lost = "SELECT m.id, m.fence FROM unnest($1::int4[], $2::int8[]) AS m(id, fence) WHERE NOT EXISTS \
                    (SELECT 1 FROM alarmbell.bots b WHERE b.id = m.id AND b.fence = m.fence AND b.owner = $3)";
        let free = format!(
            "SELECT b.name, b.accepted - b.told_named - b.told_counted - b.superseded - b.dead > b.silent \
             FROM alarmbell.bots b WHERE b.owner IS NULL OR (b.owner = $1 AND b.id <> ALL($2)) \
             OR NOT EXISTS (SELECT 1 FROM alarmbell.replicas r WHERE r.id = b.owner AND r.until_ms > {NOW_MS}) \
             ORDER BY b.id"
        );
        let of_lost: [(&(dyn ToSql + Sync), Type); 3] =
            [(&ids, Type::INT4_ARRAY), (&fences, Type::INT8_ARRAY), (me, Type::TEXT)];
        let of_free: [(&(dyn ToSql + Sync), Type); 2] = [(me, Type::TEXT), (&ids, Type::INT4_ARRAY)];
        // Sent together, answered together.
        let (live, lost, free, waiting) = tokio::try_join!(
            conn.query_typed(&live, &[]),
            conn.query_typed(lost, &of_lost),
            conn.query_typed(&free, &of_free),
            conn.query_typed_one(WAITING, &[]),
        )?;
        let live: Vec<Replica> = live.iter().map(replica).collect();
        let lost: HashSet<(i32, i64)> = lost.iter().map(|row| (row.get(0), row.get(1))).collect();
        let free: Vec<Free> =
            free.iter().map(|row| Free { bot: row.get::<_, &str>(0).into(), waiting: row.get(1) }).collect();
        Ok::<_, Fault>((live, lost, free, (waiting.get(0), waiting.get(1))))
    })?;
    inner.backlog.saw(mark, heads, bytes);
    let is_lost = |own: &Mine| lost.contains(&(own.id, own.fence));
    let lost = inner.mine().iter().filter(|(_, own)| is_lost(own)).map(|(bot, _)| bot.clone()).collect();
    Ok(Pulse { me: inner.me.clone(), replicas, lost, free })
}

fn replica(row: &tokio_postgres::Row) -> Replica {
    Replica {
        id: row.get(0),
        name: row.get(1),
        version: row.get(2),
        config_hash: row.get(3),
        started_ms: row.get(4),
        seen_ms: row.get(5),
        bots: u64::try_from(row.get::<_, i64>(6)).unwrap_or_default(),
    }
}

/// Renews the lease, and takes away the rows of replicas that are long gone.
async fn renew(inner: &Inner, beat: &Beat) -> Result<(), StoreError> {
    let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    let sql = format!(
        "INSERT INTO alarmbell.replicas (id, home, name, version, config_hash, started_ms, seen_ms, until_ms) \
         SELECT $1, $2, $3, $4, $5, CASE WHEN $6 = 0 THEN t.now ELSE $6 END, t.now, t.now + $7 \
         FROM (SELECT {NOW_MS} AS now) t \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, config_hash = excluded.config_hash, \
         seen_ms = {NOW_MS}, until_ms = {NOW_MS} + $7 RETURNING started_ms"
    );
    let sweep = format!(
        "DELETE FROM alarmbell.replicas WHERE id IN (SELECT id FROM alarmbell.replicas \
         WHERE until_ms < {NOW_MS} - {GONE_MS} FOR UPDATE SKIP LOCKED)"
    );
    let known = inner.started.load(Ordering::Relaxed);
    let name = text(&inner.options.name);
    let started = again!(inner.vital, conn => async {
        let params: [(&(dyn ToSql + Sync), Type); 7] = [
            (&inner.me, Type::TEXT),
            (&inner.home, Type::TEXT),
            (&&*name, Type::TEXT),
            (&env!("CARGO_PKG_VERSION"), Type::TEXT),
            (&beat.config_hash, Type::TEXT),
            (&known, Type::INT8),
            (&lease, Type::INT8),
        ];
        let (row, _) = tokio::try_join!(conn.query_typed_one(&sql, &params), conn.execute_typed(&sweep, &[]))?;
        Ok::<_, Fault>(row.get::<_, i64>(0))
    })?;
    inner.started.store(started, Ordering::Relaxed);
    Ok(())
}

pub(super) async fn claim(inner: &Inner, bots: &[Arc<str>]) -> Result<bool, StoreError> {
    only_replicas(inner)?;
    let Some(feed) = inner.feed.get() else {
        return Err(StoreError::Unusable("nobody listens yet".to_owned()));
    };
    let _claims = inner.claims.lock().await;
    let mut wanted: Vec<Arc<str>> = {
        let mine = inner.mine();
        bots.iter().filter(|bot| !mine.contains_key(*bot)).cloned().collect()
    };
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(true);
    }
    enlist(inner, &wanted).await?;
    let Some(claimed) = again!(inner.db, conn => async {
        let tx = transaction(&mut conn, inner.db.patience).await?;
        let claimed = take(&tx, &inner.me, &wanted).await?;
        tx.commit().await?;
        Ok::<_, Fault>(claimed)
    })?
    else {
        return Ok(false);
    };
    if let Err(error) = load(inner, &**feed, &claimed).await {
        forget(inner, &wanted);
        if let Err(error) = give_back(inner, &wanted).await {
            // They are ours on paper; the next beat shows them as free to us.
            tracing::warn!(%error, "bots that could not be read were not given back");
        }
        return Err(error);
    }
    Ok(true)
}

/// Writes us down as their owner, when all of them can be had.
async fn take(tx: &Transaction<'_>, me: &str, bots: &[Arc<str>]) -> Result<Option<Vec<Claimed>>, Fault> {
    let names: Vec<&str> = bots.iter().map(|bot| &**bot).collect();
    let sql = "SELECT id, owner FROM alarmbell.bots WHERE name = ANY($1) ORDER BY id FOR NO KEY UPDATE";
    let rows = tx.query_typed(sql, &[(&names, Type::TEXT_ARRAY)]).await?;
    if rows.len() != names.len() {
        return Err(StoreError::Unavailable("a bot's row is gone".to_owned()).into());
    }
    let mut owners: Vec<String> = rows.iter().filter_map(|row| row.get(1)).filter(|owner| owner != me).collect();
    owners.sort_unstable();
    owners.dedup();
    if !owners.is_empty() {
        // Locked: a beat of one of them that comes at the same moment must wait, and then see what it lost.
        let sql = format!(
            "SELECT until_ms > {NOW_MS} FROM alarmbell.replicas WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
        );
        let live = tx.query_typed(&sql, &[(&owners, Type::TEXT_ARRAY)]).await?;
        if live.iter().any(|row| row.get(0)) {
            return Ok(None);
        }
    }
    let ids: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let sql = "UPDATE alarmbell.bots SET owner = $1, fence = fence + 1 WHERE id = ANY($2) RETURNING id, name, fence";
    let rows = tx.query_typed(sql, &[(&me, Type::TEXT), (&ids, Type::INT4_ARRAY)]).await?;
    let claimed =
        |row: &tokio_postgres::Row| Claimed { id: row.get(0), name: row.get::<_, &str>(1).into(), fence: row.get(2) };
    Ok(Some(rows.iter().map(claimed).collect()))
}

/// Hands the feed all that the store has of them; at the end they are ours.
async fn load(inner: &Inner, feed: &dyn crate::store::Feed, claimed: &[Claimed]) -> Result<(), StoreError> {
    // What the feed is being told of them from an earlier time with us comes before the new image.
    drop(inner.hearing.lock().await);
    for some in claimed.chunks(CHUNK) {
        let mut waiting = Vec::with_capacity(some.len());
        for (bot, image) in image::images(inner, some).await? {
            let Counters { accepted, told_named, told_counted, superseded, dead } = image.counters;
            waiting.push(accepted.saturating_sub(told_named + told_counted + superseded + dead));
            feed.remember(&bot, image);
        }
        let mut cursors = image::Cursors::new(some, waiting);
        // Most of it without holding up others; what comes meanwhile is little.
        while image::page(inner, &mut cursors).await? {}
        let _hearing = inner.hearing.lock().await;
        cursors.again();
        while image::page(inner, &mut cursors).await? {}
        let mut mine = inner.mine();
        for (bot, heard) in some.iter().zip(cursors.heard()) {
            mine.insert(bot.name.clone(), Mine { id: bot.id, fence: bot.fence, heard });
        }
    }
    Ok(())
}

pub(super) async fn release(inner: &Inner, bots: &[Arc<str>]) -> Result<(), StoreError> {
    let _claims = inner.claims.lock().await;
    {
        let _hearing = inner.hearing.lock().await;
        forget(inner, bots);
    }
    give_back(inner, bots).await
}

/// Takes our name off these bots.
async fn give_back(inner: &Inner, bots: &[Arc<str>]) -> Result<(), StoreError> {
    let names: Vec<&str> = bots.iter().map(|bot| &**bot).collect();
    for some in names.chunks(CHUNK) {
        again!(inner.db, conn => async {
            let sql = "WITH locked AS MATERIALIZED (SELECT id FROM alarmbell.bots WHERE name = ANY($1) AND owner = $2 \
                       ORDER BY id FOR NO KEY UPDATE) \
                       UPDATE alarmbell.bots b SET owner = NULL, fence = b.fence + 1 FROM locked l \
                       WHERE b.id = l.id AND b.owner = $2";
            let params: [(&(dyn ToSql + Sync), Type); 2] = [(&some, Type::TEXT_ARRAY), (&inner.me, Type::TEXT)];
            Ok::<_, Fault>(conn.execute_typed(sql, &params).await?)
        })?;
    }
    Ok(())
}

pub(super) fn forget(inner: &Inner, bots: &[Arc<str>]) {
    let mut mine = inner.mine();
    for bot in bots {
        mine.remove(bot);
    }
}

pub(super) async fn leave(inner: &Inner) -> Result<(), StoreError> {
    if inner.me.is_empty() {
        return Ok(());
    }
    let _claims = inner.claims.lock().await;
    {
        let _hearing = inner.hearing.lock().await;
        inner.mine().clear();
    }
    again!(inner.db, conn => async {
        let tx = transaction(&mut conn, inner.db.patience).await?;
        free_all(&tx, "$1", &[(&inner.me, Type::TEXT)]).await?;
        tx.execute_typed("DELETE FROM alarmbell.replicas WHERE id = $1", &[(&inner.me, Type::TEXT)]).await?;
        tx.commit().await?;
        Ok::<_, Fault>(())
    })
}

/// Takes these replicas' names off all bots and ends their attempts, because they will not send any more. `who` is an
/// SQL list of their ids.
pub(super) async fn free_all(
    tx: &Transaction<'_>,
    who: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<(), Fault> {
    tx.query_typed(
        &format!("SELECT id FROM alarmbell.bots WHERE owner IN ({who}) ORDER BY id FOR NO KEY UPDATE"),
        params,
    )
    .await?;
    tx.execute_typed(
        &format!("UPDATE alarmbell.bots SET owner = NULL, fence = fence + 1 WHERE owner IN ({who})"),
        params,
    )
    .await?;
    let sql = format!(
        "UPDATE alarmbell.attempts SET ended_ms = greatest(started_ms, {NOW_MS}), verdict = 'unknown_outcome' \
         WHERE ended_ms IS NULL AND owner IN ({who})"
    );
    tx.execute_typed(&sql, params).await?;
    Ok(())
}

pub(super) async fn publish(inner: &Inner, views: &[(Arc<str>, String)]) -> Result<(), StoreError> {
    for some in views.chunks(CHUNK) {
        let bots: Vec<&str> = some.iter().map(|(bot, _)| &**bot).collect();
        let shown: Vec<&str> = some.iter().map(|(_, view)| &**view).collect();
        again!(inner.db, conn => async {
            // What is not ours any more is the new owner's to say.
            let sql = format!(
                "INSERT INTO alarmbell.views (bot, at_ms, view) \
                 SELECT b.id, {NOW_MS}, v.view FROM unnest($1::text[], $2::text[]) AS v(name, view) \
                 JOIN alarmbell.bots b ON b.name = v.name AND b.owner = $3 ORDER BY b.id \
                 ON CONFLICT (bot) DO UPDATE SET at_ms = excluded.at_ms, view = excluded.view"
            );
            let params: [(&(dyn ToSql + Sync), Type); 3] =
                [(&bots, Type::TEXT_ARRAY), (&shown, Type::TEXT_ARRAY), (&inner.me, Type::TEXT)];
            Ok::<_, Fault>(conn.execute_typed(&sql, &params).await?)
        })?;
    }
    Ok(())
}

pub(super) async fn views(inner: &Inner) -> Result<Vec<(Arc<str>, String)>, StoreError> {
    let rows = again!(inner.db, conn => async {
        let sql = "SELECT b.name, v.view FROM alarmbell.views v JOIN alarmbell.bots b ON b.id = v.bot ORDER BY b.id";
        Ok::<_, Fault>(conn.query_typed(sql, &[]).await?)
    })?;
    Ok(rows.iter().map(|row| (row.get::<_, &str>(0).into(), row.get(1))).collect())
}
