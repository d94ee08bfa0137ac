//! What waits for a bot that is gone goes to others, or becomes dead letters.

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_postgres::Object;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::{Books, Speaker, count};
use super::db::{Fault, again, transaction};
use super::feed::{HEAD_COLUMNS, read_head};
use super::heads::{self, Copy, Gone};
use super::takeover::vanished;
use super::{Inner, feed, outcome, skew};
use crate::model::Millis;
use crate::store::common::gone::{self, Parsed};
use crate::store::{NewDeadLetter, StoreError};

/// Heads moved in one transaction.
const STEP: i64 = 500;
/// Bytes of dead letters that are written at once, beyond one of them.
const LETTERS_BYTES: usize = 4 << 20;

struct Plan<'a> {
    speaker: Speaker<'a>,
    targets: Vec<i32>,
    /// The last position to move; what is appended later is for a later move.
    upto: i64,
    now_ms: Millis,
}

pub(super) async fn rehome(inner: &Inner, from: &str, to: &[Arc<str>], now_ms: Millis) -> Result<u64, StoreError> {
    let speaker = Speaker::new(inner, inner.names.bot(&inner.db, from).await?)?;
    let mut targets = Vec::new();
    for name in to {
        let target = inner.names.bot(&inner.db, name).await?;
        if target != speaker.bot && !targets.contains(&target) {
            targets.push(target);
        }
    }
    if targets.is_empty() && !to.is_empty() {
        // From a bot to itself.
        return Ok(0);
    }
    let upto = again!(inner.db, conn => async {
        let sql = "SELECT accepted FROM alarmbell.bots WHERE id = $1";
        let row = conn.query_typed_opt(sql, &[(&speaker.bot, Type::INT4)]).await?;
        Ok::<_, Fault>(row.map(|row| row.try_get::<_, i64>(0)).transpose()?.unwrap_or(0))
    })?;
    let plan = Plan { speaker, targets, upto, now_ms };
    let mut moved = 0;
    loop {
        let step = again!(inner.db, conn => step(inner, &mut conn, &plan))?;
        moved += step;
        if step > 0 {
            feed::added(inner, to).await;
        }
        if step < u64::try_from(STEP).unwrap_or(u64::MAX) {
            return Ok(moved);
        }
    }
}

/// Moves the next heads; with the last of them, the bot's open messages are given up.
async fn step(inner: &Inner, conn: &mut Object, plan: &Plan<'_>) -> Result<u64, Fault> {
    let tx = transaction(conn, inner.db.patience).await?;
    let from = plan.speaker.bot;
    plan.speaker.look(&tx).await?;
    let held = heads::hold_first(&tx, from, plan.upto, STEP).await?;
    let (mut books, mut bodies) = (Books::default(), Vec::new());
    if plan.targets.is_empty() {
        let silent: Vec<i64> = held.iter().filter(|gone| gone.silent).map(|gone| gone.pos).collect();
        // Nobody was to be told of these.
        outcome::supersede(&tx, from, &silent, &mut books, &mut bodies).await?;
        let dead: Vec<i64> = held.iter().filter(|gone| !gone.silent).map(|gone| gone.pos).collect();
        bury(&tx, plan, &dead, &mut books, &mut bodies).await?;
    } else {
        heads::note_ends(&tx, from, &held).await?;
    }
    if count(held.len()) < STEP {
        give_up_open(inner, &tx, plan).await?;
    }
    heads::drop_bodies(&tx, bodies, &mut books).await?;
    send_on(&tx, plan, &held, books).await?;
    tx.commit().await?;
    Ok(held.len() as u64)
}

/// Settles the books, and appends held heads at each target.
async fn send_on(tx: &Transaction<'_>, plan: &Plan<'_>, held: &[Gone], mut books: Books) -> Result<(), Fault> {
    let from = plan.speaker.bot;
    if plan.targets.is_empty() || held.is_empty() {
        books.settle(tx, Some(&plan.speaker)).await?;
        return Ok(());
    }
    let silent = count(held.iter().filter(|gone| gone.silent).count());
    books.of(from).superseded += count(held.len());
    books.of(from).silent -= silent;
    for target in &plan.targets {
        books.of(*target).accepted += count(held.len());
        books.of(*target).silent += silent;
    }
    let last = books.settle(tx, Some(&plan.speaker)).await?;
    let positions: Vec<i64> = held.iter().map(|gone| gone.pos).collect();
    for to in &plan.targets {
        let last = last.get(to).copied().ok_or_else(vanished)?;
        heads::copy(tx, Copy { from, positions: &positions, to: *to, last, vias: (&[], &[]) }).await?;
    }
    heads::remove(tx, from, &positions).await
}

/// Messages of a gone bot whose outcome is not known are not sent again. Attempts of other replicas are theirs to end.
async fn give_up_open(inner: &Inner, tx: &Transaction<'_>, plan: &Plan<'_>) -> Result<(), Fault> {
    let skew = skew::measure(inner, tx).await?;
    let sql = "UPDATE alarmbell.attempts SET ended_ms = $2, verdict = $3 WHERE ended_ms IS NULL AND owner = $4 \
         AND message IN (SELECT seq FROM alarmbell.messages WHERE open AND bot = $1)";
    let params = [
        (&plan.speaker.bot as _, Type::INT4),
        (&skew.stored(plan.now_ms) as _, Type::INT8),
        (&outcome::UNKNOWN as _, Type::TEXT),
        (&plan.speaker.me as _, Type::TEXT),
    ];
    tx.execute_typed(sql, &params).await?;
    let sql = "UPDATE alarmbell.messages SET open = false, verdict = $2, covers = NULL, body = NULL \
         WHERE open AND bot = $1";
    tx.execute_typed(sql, &[(&plan.speaker.bot, Type::INT4), (&outcome::UNKNOWN, Type::TEXT)]).await?;
    Ok(())
}

/// Makes dead letters of heads. Bodies are read one by one: the heads of a large one follow each other.
async fn bury(
    tx: &Transaction<'_>,
    plan: &Plan<'_>,
    positions: &[i64],
    books: &mut Books,
    bodies: &mut Vec<i64>,
) -> Result<(), Fault> {
    let sql = format!(
        "SELECT {HEAD_COLUMNS}, v.text FROM alarmbell.heads h LEFT JOIN alarmbell.vias v ON v.id = h.via \
         WHERE h.bot = $1 AND h.pos = ANY($2) ORDER BY h.pos"
    );
    let rows = tx.query_typed(&sql, &[(&plan.speaker.bot, Type::INT4), (&positions, Type::INT8_ARRAY)]).await?;
    let mut vias: HashMap<String, i32> = HashMap::new();
    let mut read: Option<Parsed> = None;
    let (mut letters, mut bytes) = (Vec::new(), 0);
    for row in &rows {
        let (_, head) = read_head(row);
        let via = row.try_get::<_, Option<String>>("text")?.unwrap_or_default();
        let parsed = match read.take() {
            Some(parsed) if parsed.id == head.body => parsed,
            _ => parse(tx, head.body).await?,
        };
        let parsed = read.insert(parsed);
        vias.insert(via.clone(), head.via.cast_signed());
        let letter = gone::letter(&head, via, parsed);
        bytes += letter.body.len();
        letters.push(letter);
        if bytes >= LETTERS_BYTES {
            flush(tx, plan, &mut letters, &vias, books, bodies).await?;
            bytes = 0;
        }
    }
    flush(tx, plan, &mut letters, &vias, books, bodies).await
}

async fn flush(
    tx: &Transaction<'_>,
    plan: &Plan<'_>,
    letters: &mut Vec<NewDeadLetter>,
    vias: &HashMap<String, i32>,
    books: &mut Books,
    bodies: &mut Vec<i64>,
) -> Result<(), Fault> {
    let vias = vias.iter().map(|(text, id)| (text.as_str(), *id)).collect();
    let written = std::mem::take(letters);
    outcome::die(tx, plan.speaker.bot, &written, &vias, plan.now_ms, books, bodies).await
}

async fn parse(tx: &Transaction<'_>, id: i64) -> Result<Parsed, Fault> {
    let sql = "SELECT body FROM alarmbell.bodies WHERE id = $1";
    let row = tx.query_typed_opt(sql, &[(&id, Type::INT8)]).await?;
    let body: &[u8] = row.as_ref().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    Ok(Parsed::new(id, body))
}
