//! What people look up: messages.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use deadpool_postgres::{Object, Transaction};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Inner;
use super::db::{Db, Fault, again, text, transaction};
use super::parts;
use crate::model::{Kind, MessageId};
use crate::store::common;
use crate::store::common::parts::{Window, leave_out, slice};
use crate::store::{MessagePage, MessageQuery, MessageRow, MessageSlice, StoreError};

/// What is left beyond that for the page itself.
const REST: Duration = Duration::from_secs(10);
/// Texts that are searched at once.
const SEARCHED: usize = 200;

const COLUMNS: &str = "m.seq, b.name, m.at_ms, m.verdict, m.attempts, m.reason, m.kind, m.id, m.text, m.alerts";

fn damaged(what: &str) -> Fault {
    StoreError::Unusable(format!("the database is damaged: {what}")).into()
}

/// A transaction that sees one moment and changes nothing.
pub(super) async fn snapshot(conn: &mut Object, patience: Duration) -> Result<Transaction<'_>, Fault> {
    let tx = transaction(conn, patience).await?;
    tx.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    Ok(tx)
}

/// The connections of those that look things up, for as long as a page may take.
fn patient(inner: &Inner) -> Db {
    Db { patience: inner.people.patience.max(common::SEARCH + REST), ..inner.people.clone() }
}

fn read_message(row: &Row) -> Result<MessageRow, Fault> {
    Ok(MessageRow {
        seq: row.try_get(0)?,
        id: MessageId::parse(row.try_get(7)?).ok_or_else(|| damaged("a message's id"))?,
        bot: row.try_get(1)?,
        at_ms: row.try_get(2)?,
        verdict: row.try_get(3)?,
        reason: row.try_get(5)?,
        attempts: u32::try_from(row.try_get::<_, i32>(4)?).unwrap_or(0),
        kind: Kind::parse(row.try_get(6)?).ok_or_else(|| damaged("a message's kind"))?,
        text: row.try_get(8)?,
        alerts: serde_json::from_str(row.try_get(9)?).map_err(|_| damaged("a message's alerts"))?,
        left_out: 0,
    })
}

/// Adds the alerts of a message's parts.
async fn add_parts(tx: &Transaction<'_>, row: &mut MessageRow) -> Result<(), Fault> {
    let own = row.alerts.len();
    let mut window = Window::ALL;
    parts::read_into(&**tx, row.id.as_str(), &mut window, &mut row.alerts).await?;
    // Only what is read up to the bound can be short of the whole.
    if window.is_full() {
        let (named, counted) = parts::counts(&**tx, row.id.as_str()).await?;
        row.left_out = (named + counted).saturating_sub((row.alerts.len() - own) as u64);
    }
    Ok(())
}

/// A message with the alerts of its own row.
async fn find(tx: &Transaction<'_>, id: &MessageId) -> Result<MessageRow, Fault> {
    let sql =
        format!("SELECT {COLUMNS} FROM alarmbell.messages m JOIN alarmbell.bots b ON b.id = m.bot WHERE m.id = $1");
    match tx.query_typed_opt(&sql, &[(&id.as_str(), Type::TEXT)]).await? {
        Some(row) => read_message(&row),
        None => Err(StoreError::NotFound.into()),
    }
}

pub(super) async fn message(inner: &Inner, id: &MessageId) -> Result<MessageRow, StoreError> {
    let db = patient(inner);
    again!(db, conn => async {
        let tx = snapshot(&mut conn, db.patience).await?;
        let mut row = find(&tx, id).await?;
        add_parts(&tx, &mut row).await?;
        tx.commit().await?;
        Ok::<_, Fault>(row)
    })
}

pub(super) async fn message_slice(
    inner: &Inner,
    id: &MessageId,
    skip: u64,
    limit: u32,
) -> Result<MessageSlice, StoreError> {
    let db = patient(inner);
    again!(db, conn => read_slice(&mut conn, &db, id, skip, limit))
}

async fn read_slice(conn: &mut Object, db: &Db, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, Fault> {
    let tx = snapshot(conn, db.patience).await?;
    let row = find(&tx, id).await?;
    let (mut slice, mut window) = slice(row, parts::counts(&*tx, id.as_str()).await?, skip, limit);
    parts::read_into(&*tx, id.as_str(), &mut window, &mut slice.row.alerts).await?;
    tx.commit().await?;
    Ok(leave_out(slice))
}

/// The id of a bot that somebody asks for, in words that may be anything.
pub(super) async fn bot_id(tx: &Transaction<'_>, name: &str) -> Result<Option<i32>, Fault> {
    let sql = "SELECT id FROM alarmbell.bots WHERE name = $1";
    let row = tx.query_typed_opt(sql, &[(&&*text(name), Type::TEXT)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn messages(inner: &Inner, query: &MessageQuery) -> Result<MessagePage, StoreError> {
    let db = patient(inner);
    again!(db, conn => page(&mut conn, &db, query))
}

/// What was found for a page before its rows were read.
#[derive(Default)]
struct Found {
    /// Newest first.
    seqs: Vec<i64>,
    /// Of them, those that have parts.
    with_parts: Vec<i64>,
    bytes: usize,
    next: Option<i64>,
}

async fn page(conn: &mut Object, db: &Db, query: &MessageQuery) -> Result<MessagePage, Fault> {
    let tx = snapshot(conn, db.patience).await?;
    let bot = match &query.bot {
        None => None,
        Some(name) => match bot_id(&tx, name).await? {
            Some(id) => Some(id),
            None => return Ok(MessagePage::default()),
        },
    };
    let found = search(&tx, query, bot).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM alarmbell.messages m JOIN alarmbell.bots b ON b.id = m.bot WHERE m.seq = ANY($1)"
    );
    let rows = tx.query_typed(&sql, &[(&found.seqs, Type::INT8_ARRAY)]).await?;
    let mut by_seq = HashMap::with_capacity(rows.len());
    for row in rows {
        let read = read_message(&row)?;
        by_seq.insert(read.seq, read);
    }
    let mut page = MessagePage { rows: Vec::with_capacity(found.seqs.len()), next: found.next };
    for seq in &found.seqs {
        let Some(mut row) = by_seq.remove(seq) else { continue };
        if found.with_parts.contains(seq) {
            add_parts(&tx, &mut row).await?;
        }
        page.rows.push(row);
    }
    tx.commit().await?;
    Ok(page)
}

/// Finds the messages of a page, newest first, until it is full.
async fn search(tx: &Transaction<'_>, query: &MessageQuery, bot: Option<i32>) -> Result<Found, Fault> {
    let limit = usize::try_from(common::limit(query.limit)).unwrap_or(1);
    let needle = query.q.as_deref().filter(|q| !q.is_empty()).map(|q| text(q).to_lowercase());
    // One row more than fits says that there is a next page.
    let batch = if needle.is_some() { SEARCHED } else { limit + 1 };
    let give_up = Instant::now() + common::SEARCH;
    let mut found = Found::default();
    let mut before = query.after.unwrap_or(i64::MAX);
    loop {
        let rows = candidates(tx, query, bot, (before, batch, needle.is_some())).await?;
        for row in &rows {
            before = row.try_get(0)?;
            if let Some(needle) = &needle
                && !row.try_get::<_, &str>(3)?.to_lowercase().contains(needle)
            {
                continue;
            }
            if found.seqs.len() == limit || found.bytes >= common::PAGE_BYTES {
                found.next = found.seqs.last().copied();
                return Ok(found);
            }
            found.seqs.push(before);
            let part_bytes = usize::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
            found.bytes += usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0) + part_bytes;
            if part_bytes > 0 {
                found.with_parts.push(before);
            }
        }
        if rows.len() < batch {
            return Ok(found);
        }
        if Instant::now() > give_up {
            // Nobody knows whether there is more; the next page will say.
            found.next = found.seqs.last().copied();
            if found.next.is_none() {
                let hint = "the search took longer than 10 s: narrow it by time or bot";
                return Err(StoreError::Unavailable(hint.to_owned()).into());
            }
            return Ok(found);
        }
    }
}

/// The next messages that may be on the page: seq, bytes of their own, bytes of their parts, and the text when it is to
/// be searched.
async fn candidates(
    tx: &Transaction<'_>,
    query: &MessageQuery,
    bot: Option<i32>,
    (before, batch, searched): (i64, usize, bool),
) -> Result<Vec<Row>, Fault> {
    let text_column = if searched { ", m.text" } else { "" };
    let of_bot = if bot.is_some() { "m.bot = $4" } else { "$4::int4 IS NULL" };
    let of_verdict = if query.verdict.is_some() { "m.verdict = $5" } else { "$5::text IS NULL" };
    let sql = format!(
        "SELECT m.seq, octet_length(m.text)::bigint + octet_length(m.alerts), \
         (SELECT coalesce(sum(octet_length(p.alerts)), 0)::bigint FROM alarmbell.message_parts p \
         WHERE p.message = m.id){text_column} \
         FROM alarmbell.messages m WHERE m.seq < $1 AND m.at_ms >= $2 AND m.at_ms < $3 AND {of_bot} AND {of_verdict} \
         ORDER BY m.seq DESC LIMIT $6"
    );
    let verdict = query.verdict.as_deref().map(text);
    let params = [
        (&before as _, Type::INT8),
        (&query.since_ms.unwrap_or(i64::MIN) as _, Type::INT8),
        (&query.until_ms.unwrap_or(i64::MAX) as _, Type::INT8),
        (&bot as _, Type::INT4),
        (&verdict.as_deref() as _, Type::TEXT),
        (&i64::try_from(batch).unwrap_or(i64::MAX) as _, Type::INT8),
    ];
    Ok(tx.query_typed(&sql, &params).await?)
}
