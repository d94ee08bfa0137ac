//! Alerts that another bot tells instead, because the robots of their own fail.

use std::collections::HashMap;

use deadpool_postgres::Object;
use tokio_postgres::types::Type;

use super::books::{Books, Speaker, count};
use super::db::{Fault, again, transaction};
use super::heads::{self, Copy, Gone};
use super::{Inner, feed, outcome};
use crate::model::{FALLBACK, via_names, via_text};
use crate::store::{HandOver, StoreError};

/// Heads and superseded positions of one transaction.
const STEP: usize = 500;

/// What is to be done, in order.
struct Plan<'a> {
    speaker: Speaker<'a>,
    to: i32,
    superseded: &'a [i64],
    /// Positions in order, so that the other bot hears older states first; and whether they leave.
    heads: Vec<(i64, bool)>,
    /// Old and new ids of vias.
    vias: (Vec<i32>, Vec<i32>),
}

pub(super) async fn hand_over(inner: &Inner, hand_over: &HandOver) -> Result<u64, StoreError> {
    let HandOver { from, to, moved, copied, superseded } = hand_over;
    if from == to {
        return Ok(0);
    }
    let mut heads: Vec<(i64, bool)> =
        moved.iter().map(|pos| (*pos, true)).chain(copied.iter().map(|pos| (*pos, false))).collect();
    // What is in both lists leaves.
    heads.sort_unstable_by_key(|(pos, leaves)| (*pos, !leaves));
    heads.dedup_by_key(|(pos, _)| *pos);
    let speaker = Speaker::new(inner, inner.names.bot(&inner.db, from).await?)?;
    let target = inner.names.bot(&inner.db, to).await?;
    let vias = fallback_vias(inner, speaker.bot, &heads, from).await?;
    let plan = Plan { speaker, to: target, superseded, heads, vias };
    let (mut done, mut appended) = ((0, 0), 0);
    // Superseded positions go first: after a crash they must not come back without the newer states that have left by
    // then.
    loop {
        let superseded = plan.superseded.len().min(done.0 + STEP);
        let heads = plan.heads.len().min(done.1 + STEP - (superseded - done.0));
        let part = (&plan.superseded[done.0..superseded], &plan.heads[done.1..heads]);
        let copies = again!(inner.db, conn => step(inner, &mut conn, &plan, part))?;
        appended += copies;
        if copies > 0 {
            feed::added(inner, std::slice::from_ref(to)).await;
        }
        done = (superseded, heads);
        if done == (plan.superseded.len(), plan.heads.len()) {
            return Ok(appended);
        }
    }
}

async fn step(
    inner: &Inner,
    conn: &mut Object,
    plan: &Plan<'_>,
    (superseded, heads): (&[i64], &[(i64, bool)]),
) -> Result<u64, Fault> {
    let tx = transaction(conn, inner.db.patience).await?;
    let from = plan.speaker.bot;
    plan.speaker.look(&tx).await?;
    let (mut books, mut bodies) = (Books::default(), Vec::new());
    outcome::supersede(&tx, from, superseded, &mut books, &mut bodies).await?;
    let positions: Vec<i64> = heads.iter().map(|(pos, _)| *pos).collect();
    let held = heads::hold(&tx, from, &positions).await?;
    let leaving: HashMap<i64, bool> = heads.iter().copied().collect();
    let leaving: Vec<Gone> =
        held.iter().filter(|gone| leaving.get(&gone.pos).is_some_and(|leaves| *leaves)).copied().collect();
    heads::note_ends(&tx, from, &leaving).await?;
    // Before the heads leave: what they need is needed where they go.
    heads::drop_bodies(&tx, bodies, &mut books).await?;

    let silent = |heads: &[Gone]| count(heads.iter().filter(|gone| gone.silent).count());
    books.of(from).superseded += count(leaving.len());
    books.of(from).silent -= silent(&leaving);
    books.of(plan.to).accepted += count(held.len());
    books.of(plan.to).silent += silent(&held);
    let last = books.settle(&tx, Some(&plan.speaker)).await?;
    if !held.is_empty() {
        let positions: Vec<i64> = held.iter().map(|gone| gone.pos).collect();
        let last = last.get(&plan.to).copied().ok_or_else(vanished)?;
        let vias = (&plan.vias.0[..], &plan.vias.1[..]);
        heads::copy(&tx, Copy { from, positions: &positions, to: plan.to, last, vias }).await?;
        heads::remove(&tx, from, &leaving.iter().map(|gone| gone.pos).collect::<Vec<_>>()).await?;
    }
    tx.commit().await?;
    Ok(held.len() as u64)
}

/// A bot's row that was there is not: somebody else changes the tables.
pub(super) fn vanished() -> StoreError {
    StoreError::Unavailable("a bot's row has vanished from the database".to_owned())
}

/// The same routes, and that they speak for another bot: old and new ids, of those that differ.
async fn fallback_vias(
    inner: &Inner,
    bot: i32,
    heads: &[(i64, bool)],
    from: &str,
) -> Result<(Vec<i32>, Vec<i32>), StoreError> {
    let added = format!("{FALLBACK}{from}");
    let mut seen: HashMap<i32, String> = HashMap::new();
    for heads in heads.chunks(5_000) {
        let positions: Vec<i64> = heads.iter().map(|(pos, _)| *pos).collect();
        let rows = again!(inner.db, conn => async {
            let sql = "SELECT v.id, v.text FROM (SELECT DISTINCT via FROM alarmbell.heads \
                 WHERE bot = $1 AND pos = ANY($2)) h JOIN alarmbell.vias v ON v.id = h.via";
            Ok::<_, Fault>(conn.query_typed(sql, &[(&bot, Type::INT4), (&positions, Type::INT8_ARRAY)]).await?)
        })?;
        for row in &rows {
            seen.insert(row.try_get(0).map_err(Fault::from)?, row.try_get(1).map_err(Fault::from)?);
        }
    }
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (id, text) in seen {
        if !via_names(&text).any(|name| name == added) {
            old.push(id);
            new.push(inner.names.via(&inner.db, &via_text(via_names(&text).chain([added.as_str()]))).await?);
        }
    }
    Ok((old, new))
}
