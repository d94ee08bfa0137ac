//! Who hears of heads: each position of a bot that is ours, in order, once.
//!
//! Positions become visible in order (they are given out under the bot's lock), so all there is to know is the last one
//! that was heard. Whoever hands something to the feed holds `hearing`: heads that follow on what was heard go to it at
//! once, and when some are missing they are read first.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::db::{Fault, again, unless_panic};
use super::heads::AFTER;
use super::{Inner, PgStore};
use crate::model::{Fingerprint, Head, HeadFlags, Status};
use crate::store::{Feed, StoreError};

/// Heads read at once.
const PAGE: i64 = 1_000;

/// Bots that are read in one statement.
const BOTS: usize = 64;

/// Bots up to which the database is asked as often as the options say; with more, in proportion less often.
const OFTEN: usize = 1_000;

/// The columns of [`read_head`], in its order.
pub(super) const HEAD_COLUMNS: &str = "h.bot, h.pos, h.body, h.idx, h.fp, h.grp, h.status, h.severity, h.flags, \
     h.starts_ms, h.ends_ms, h.accepted_ms, h.via";

/// Reads [`HEAD_COLUMNS`]: the bot's id and the head.
pub(super) fn read_head(row: &Row) -> (i32, Head) {
    let small = |at: usize| u8::try_from(row.get::<_, i16>(at)).unwrap_or(u8::MAX);
    let head = Head {
        pos: row.get(1),
        body: row.get(2),
        idx: row.get::<_, i32>(3).cast_unsigned(),
        fingerprint: Fingerprint(row.get::<_, i64>(4).cast_unsigned()),
        group: row.get::<_, i64>(5).cast_unsigned(),
        status: status(row.get(6)),
        severity: small(7),
        flags: HeadFlags(small(8)),
        starts_ms: row.get(9),
        ends_ms: row.get(10),
        accepted_ms: row.get(11),
        via: row.get::<_, i32>(12).cast_unsigned(),
    };
    (row.get(0), head)
}

/// A status as stored.
pub(super) const fn status(stored: i16) -> Status {
    if stored == 0 { Status::Firing } else { Status::Resolved }
}

/// Sets who hears, and begins to look for what other replicas take.
pub(super) fn listen(store: &PgStore, feed: Arc<dyn Feed>) -> Result<(), StoreError> {
    if store.inner.feed.set(feed).is_err() {
        return Err(StoreError::Unusable("the store has a feed already".to_owned()));
    }
    store.keep(tokio::spawn(poll(store.inner.clone())));
    Ok(())
}

/// Tells the feed of committed heads. A panic of it is its own: what it was told then counts as heard, since it may have
/// taken in some of it and must not hear of any twice.
pub(super) fn tell(inner: &Inner, heads: &[(Arc<str>, Head)]) {
    let Some(feed) = inner.feed.get().filter(|_| !heads.is_empty()) else { return };
    if catch_unwind(AssertUnwindSafe(|| feed.committed(heads))).is_err() {
        tracing::error!(alerts = heads.len(), "what was accepted may not all be told before its bots change hands");
    }
}

/// After an append of our own: the feed hears of what is for bots that are ours, and of what other replicas took before.
pub(super) async fn appended(inner: &Inner, heads: Vec<(Arc<str>, Head)>) {
    let _hearing = inner.hearing.lock().await;
    let mut behind: Vec<Arc<str>> = Vec::new();
    let mut next = Vec::with_capacity(heads.len());
    {
        let mut mine = inner.mine();
        for (bot, head) in heads {
            let Some(own) = mine.get_mut(&bot) else { continue };
            if head.pos == own.heard + 1 {
                own.heard = head.pos;
                next.push((bot, head));
            } else if head.pos > own.heard && behind.last() != Some(&bot) {
                behind.push(bot);
            }
        }
    }
    tell(inner, &next);
    if behind.is_empty() {
        return;
    }
    behind.sort();
    behind.dedup();
    if let Err(error) = catch_up(inner, &behind).await {
        // They are kept, and the next look finds them.
        tracing::warn!(%error, "accepted alerts will be heard of later");
    }
}

/// Heads were appended otherwise than by webhooks: the feed hears of those that are for bots of ours.
pub(super) async fn added(inner: &Inner, bots: &[Arc<str>]) {
    let _hearing = inner.hearing.lock().await;
    if let Err(error) = catch_up(inner, bots).await {
        // They are kept, and the next look finds them.
        tracing::warn!(%error, "alerts that came from elsewhere will be heard of later");
    }
}

/// Reads what the feed has not heard of these bots, and tells it. Only with `hearing`. Nothing of bots that are another
/// replica's by now though we have not heard so: it deletes what it has told,
/// and what is left would have gaps.
async fn catch_up(inner: &Inner, bots: &[Arc<str>]) -> Result<(), StoreError> {
    for some in bots.chunks(BOTS) {
        loop {
            let (ids, heard, names) = cursors(inner, some);
            if ids.is_empty() {
                break;
            }
            let rows = again!(inner.db, conn => async {
                let sql = format!(
                    "SELECT {HEAD_COLUMNS} FROM unnest($1::int4[], $2::int8[]) AS m(bot, heard) \
                     JOIN alarmbell.bots b ON b.id = m.bot AND b.owner = $3, LATERAL \
                     (SELECT * FROM alarmbell.heads x WHERE {AFTER} ORDER BY x.bot, x.pos LIMIT {PAGE}) h ORDER BY h.bot, h.pos"
                );
                let params =
                    [(&ids as _, Type::INT4_ARRAY), (&heard as _, Type::INT8_ARRAY), (&inner.me as _, Type::TEXT)];
                Ok::<_, Fault>(conn.query_typed(&sql, &params).await?)
            })?;
            let mut full: HashMap<i32, i64> = HashMap::new();
            let mut heads = Vec::with_capacity(rows.len());
            {
                let mut mine = inner.mine();
                for row in &rows {
                    let (id, head) = read_head(row);
                    *full.entry(id).or_default() += 1;
                    // Each bot's rows come in order; one that was lost meanwhile is heard no more.
                    let Some((name, own)) = names.get(&id).and_then(|name| Some((name, mine.get_mut(name)?))) else {
                        continue;
                    };
                    if head.pos > own.heard {
                        own.heard = head.pos;
                        heads.push((name.clone(), head));
                    }
                }
            }
            tell(inner, &heads);
            if !full.values().any(|rows| *rows >= PAGE) {
                break;
            }
        }
    }
    Ok(())
}

/// Ids and last heard positions of those of these bots that are ours.
fn cursors(inner: &Inner, bots: &[Arc<str>]) -> (Vec<i32>, Vec<i64>, HashMap<i32, Arc<str>>) {
    let mine = inner.mine();
    let (mut ids, mut heard, mut names) = (Vec::new(), Vec::new(), HashMap::new());
    for bot in bots {
        if let Some(own) = mine.get(bot) {
            ids.push(own.id);
            heard.push(own.heard);
            names.insert(own.id, bot.clone());
        }
    }
    (ids, heard, names)
}

/// Looks for what other replicas took for our bots, for as long as the store is open.
async fn poll(inner: Arc<Inner>) {
    let mut failing = false;
    loop {
        let bots = inner.mine().len();
        let times = u32::try_from(bots.div_ceil(OFTEN)).unwrap_or(u32::MAX).max(1);
        tokio::time::sleep(inner.options.poll.saturating_mul(times).min(Duration::from_secs(10))).await;
        let looked = unless_panic(look(&inner)).await;
        match looked.unwrap_or_else(|| Err(StoreError::Unavailable("looking for news panicked".to_owned()))) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "what other replicas accept is not heard of for now");
            }
            Err(_) => {}
        }
    }
}

/// One look for news.
pub(super) async fn look(inner: &Inner) -> Result<(), StoreError> {
    let ids: Vec<i32> = inner.mine().values().map(|own| own.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows = again!(inner.db, conn => async {
        let sql = "SELECT id, accepted FROM alarmbell.bots WHERE id = ANY($1)";
        Ok::<_, Fault>(conn.query_typed(sql, &[(&ids, Type::INT4_ARRAY)]).await?)
    })?;
    let accepted: HashMap<i32, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let behind = |inner: &Inner| {
        let mine = inner.mine();
        let news = mine.iter().filter(|(_, own)| accepted.get(&own.id).is_some_and(|last| *last > own.heard));
        news.map(|(bot, _)| bot.clone()).collect::<Vec<_>>()
    };
    if behind(inner).is_empty() {
        return Ok(());
    }
    let _hearing = inner.hearing.lock().await;
    let mut behind = behind(inner);
    behind.sort();
    catch_up(inner, &behind).await
}
