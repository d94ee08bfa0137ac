//! What people look at: messages, deliveries, dead letters.

use std::sync::Arc;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::parts;
use super::tx::{SILENT, count, keys, status};
use crate::model::{Fingerprint, Kind, MessageId};
use crate::store::common;
use crate::store::common::deliveries::{Cursor, Page};
use crate::store::common::parts::{Window, leave_out, slice};
use crate::store::{
    DeadLetter, DeadLetterPage, Delivery, DeliveryPage, DeliveryQuery, DeliveryState, MessagePage, MessageQuery,
    MessageRow, MessageSlice, StoreError,
};

const COLUMNS: &str = "m.seq, b.name, m.at_ms, m.verdict, m.attempts, m.reason, m.kind, m.id, m.text, m.alerts";

fn damaged(what: &str) -> Fault {
    StoreError::Unusable(format!("the database file is damaged: {what}")).into()
}

fn text<'r>(row: &'r Row<'_>, at: usize) -> Result<&'r str, Fault> {
    Ok(row.get_ref(at)?.as_str().map_err(rusqlite::Error::from)?)
}

fn read_message(row: &Row<'_>) -> Result<MessageRow, Fault> {
    let alerts = serde_json::from_str(text(row, 9)?).map_err(|_| damaged("a message's alerts"))?;
    Ok(MessageRow {
        seq: row.get(0)?,
        id: MessageId::parse(text(row, 7)?).ok_or_else(|| damaged("a message's id"))?,
        bot: row.get(1)?,
        at_ms: row.get(2)?,
        verdict: row.get(3)?,
        reason: row.get(5)?,
        attempts: row.get(4)?,
        kind: Kind::parse(text(row, 6)?).ok_or_else(|| damaged("a message's kind"))?,
        text: row.get(8)?,
        alerts,
        left_out: 0,
    })
}

/// Adds the alerts of a message's parts; returns their bytes.
fn add_parts(conn: &Connection, row: &mut MessageRow) -> Result<usize, Fault> {
    let id = row.id.as_str();
    let own = row.alerts.len();
    let mut window = Window::ALL;
    parts::read_into(conn, id, &mut window, &mut row.alerts)?;
    // Only what is read up to the bound can be short of the whole.
    if window.is_full() {
        let (named, counted) = parts::counts(conn, id)?;
        row.left_out = (named + counted).saturating_sub((row.alerts.len() - own) as u64);
    }
    Ok(window.bytes())
}

/// A message with the alerts of its own row.
fn find(conn: &Connection, id: &MessageId) -> Result<MessageRow, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM messages m JOIN bots b ON b.id = m.bot WHERE m.id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_str()])?;
    match rows.next()? {
        Some(row) => read_message(row),
        None => Err(StoreError::NotFound.into()),
    }
}

/// One message.
pub(super) fn message(conn: &Connection, id: &MessageId) -> Result<MessageRow, Fault> {
    let mut row = find(conn, id)?;
    add_parts(conn, &mut row)?;
    Ok(row)
}

/// One message with some of its alerts.
pub(super) fn message_slice(conn: &Connection, id: &MessageId, skip: u64, limit: u32) -> Result<MessageSlice, Fault> {
    let (mut slice, mut window) = slice(find(conn, id)?, parts::counts(conn, id.as_str())?, skip, limit);
    parts::read_into(conn, id.as_str(), &mut window, &mut slice.row.alerts)?;
    Ok(leave_out(slice))
}

fn bot_id(conn: &Connection, name: &str) -> Result<Option<i64>, Fault> {
    Ok(conn.prepare_cached("SELECT id FROM bots WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?)
}

/// Messages, newest first.
pub(super) fn messages(conn: &Connection, query: &MessageQuery) -> Result<MessagePage, Fault> {
    let limit = usize::try_from(common::limit(query.limit)).unwrap_or(1);
    let bot = match &query.bot {
        None => None,
        Some(name) => match bot_id(conn, name)? {
            Some(id) => Some(id),
            None => return Ok(MessagePage::default()),
        },
    };
    // A narrow index finds the few of a time; without it, every row of the history would be looked at.
    let time = match query.since_ms {
        Some(_) => "m.seq IN (SELECT seq FROM messages INDEXED BY messages_at WHERE at_ms >= ?2 AND at_ms < ?3)",
        None => "m.at_ms >= ?2 AND m.at_ms < ?3",
    };
    let of_bot = if bot.is_some() { "m.bot = ?4" } else { "?4 IS NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM messages m JOIN bots b ON b.id = m.bot \
         WHERE m.seq < ?1 AND {time} AND {of_bot} ORDER BY m.seq DESC"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        query.after.unwrap_or(i64::MAX),
        query.since_ms.unwrap_or(i64::MIN),
        query.until_ms.unwrap_or(i64::MAX),
        bot,
    ])?;
    let needle = query.q.as_deref().filter(|q| !q.is_empty()).map(str::to_lowercase);
    let give_up = Instant::now() + common::SEARCH;
    let mut page = MessagePage::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let tired = Instant::now() > give_up;
        if tired && page.rows.is_empty() {
            let hint = "the search took longer than 10 s: narrow it by time or bot";
            return Err(StoreError::Unavailable(hint.to_owned()).into());
        }
        let passes = passes(row, query.verdict.as_deref(), needle.as_deref())?;
        // One row more than fits says that there is a next page, and so may be what nobody looked at any more.
        if tired || (passes && (page.rows.len() == limit || bytes >= common::PAGE_BYTES)) {
            page.next = page.rows.last().map(|row| row.seq);
            break;
        }
        if passes {
            let mut found = read_message(row)?;
            bytes += text(row, 8)?.len() + text(row, 9)?.len() + add_parts(conn, &mut found)?;
            page.rows.push(found);
        }
    }
    Ok(page)
}

/// The filters that SQL does not apply.
fn passes(row: &Row<'_>, verdict: Option<&str>, needle: Option<&str>) -> Result<bool, Fault> {
    if let Some(verdict) = verdict
        && text(row, 3)? != verdict
    {
        return Ok(false);
    }
    match needle {
        Some(needle) => Ok(text(row, 8)?.to_lowercase().contains(needle)),
        None => Ok(true),
    }
}

/// A page of deliveries. A cursor is a head's key, a told state's bot and fingerprint, or a dead letter's id.
pub(super) fn deliveries(conn: &Connection, query: &DeliveryQuery) -> Result<DeliveryPage, Fault> {
    let mut page = Page::new(query)?;
    let bot = match &query.bot {
        None => None,
        Some(name) => match bot_id(conn, name)? {
            Some(id) => Some(id),
            None => return Ok(DeliveryPage::default()),
        },
    };
    for from in page.starts.clone() {
        if page.want() == 0 {
            break;
        }
        section(conn, from, bot, &mut page)?;
    }
    Ok(page.finish())
}

fn section(conn: &Connection, from: Cursor, bot: Option<i64>, page: &mut Page) -> Result<(), Fault> {
    let want = page.want();
    let (low, high) = bot.map_or((i64::MIN, i64::MAX), keys);
    let (first_bot, last_bot) = bot.map_or((i64::MIN, i64::MAX), |bot| (bot, bot));
    let told_from = match bot {
        // Right behind the bot before: no row of its own is skipped, and none of the others is looked at.
        Some(bot) if from == Cursor::start(from.state) => (bot - 1, i64::MAX),
        _ => (from.first, from.second),
    };
    let waiting = format!(
        "SELECT h.key, 0, b.name, h.fp, h.status, h.accepted_ms, NULL FROM heads h JOIN bots b ON b.id = h.key >> 40 \
         WHERE h.key > ?1 AND h.key BETWEEN ?2 AND ?3 AND ?4 IS NOT NULL AND NOT {SILENT} ORDER BY h.key LIMIT ?5"
    );
    // Each gives: two parts of the cursor, the bot's name, fingerprint, status, time, message.
    let (sql, values) = match from.state {
        DeliveryState::Waiting => (waiting.as_str(), [from.first, low, high, 0, want]),
        DeliveryState::Told => (
            "SELECT t.bot, t.fp, b.name, t.fp, t.status, t.told_ms, m.id FROM told t JOIN bots b ON b.id = t.bot \
             LEFT JOIN messages m ON m.seq = t.message \
             WHERE (t.bot, t.fp) > (?1, ?2) AND t.bot BETWEEN ?3 AND ?4 ORDER BY t.bot, t.fp LIMIT ?5",
            [told_from.0, told_from.1, first_bot, last_bot, want],
        ),
        DeliveryState::Dead => (
            "SELECT d.id, 0, b.name, d.alert ->> 'fingerprint', d.alert ->> 'status', d.at_ms, NULL \
             FROM dead_letters d JOIN bots b ON b.id = d.bot \
             WHERE d.id > ?1 AND d.bot BETWEEN ?2 AND ?3 AND ?4 IS NOT NULL ORDER BY d.id LIMIT ?5",
            [from.first, first_bot, last_bot, 0, want],
        ),
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    while let Some(row) = rows.next()? {
        let cursor = Cursor { state: from.state, first: row.get(0)?, second: row.get(1)? };
        page.add(cursor, read_delivery(row, from.state)?);
    }
    Ok(())
}

fn read_delivery(row: &Row<'_>, state: DeliveryState) -> Result<Delivery, Fault> {
    let (fingerprint, told) = if state == DeliveryState::Dead {
        let fingerprint = Fingerprint::parse(text(row, 3)?).ok_or_else(|| damaged("a dead letter's alert"))?;
        (fingerprint, status(i64::from(text(row, 4)? == "resolved")))
    } else {
        (Fingerprint(row.get::<_, i64>(3)?.cast_unsigned()), status(row.get(4)?))
    };
    Ok(Delivery { bot: row.get(2)?, fingerprint, status: told, state, at_ms: row.get(5)?, message: row.get(6)? })
}

/// Dead letters, newest first.
pub(super) fn dead_letters(
    conn: &Connection,
    bot: Option<&str>,
    limit: u32,
    after: Option<i64>,
) -> Result<DeadLetterPage, Fault> {
    let limit = common::limit(limit);
    let sql = "SELECT d.id, b.name, d.at_ms, d.reason, d.alert FROM dead_letters d JOIN bots b ON b.id = d.bot \
         WHERE d.id < ?1 AND (?2 IS NULL OR b.name = ?2) ORDER BY d.id DESC LIMIT ?3";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![after.unwrap_or(i64::MAX), bot, limit + 1])?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(DeadLetter {
            id: row.get(0)?,
            bot: row.get(1)?,
            at_ms: row.get(2)?,
            reason: row.get(3)?,
            alert: serde_json::from_str(text(row, 4)?).map_err(|_| damaged("a dead letter's alert"))?,
        });
    }
    Ok(DeadLetterPage::new(letters, limit))
}

/// Dead letters per bot.
pub(super) fn dead_letter_counts(conn: &Connection) -> Result<Vec<(Arc<str>, u64)>, Fault> {
    let sql = "SELECT b.name, n.count FROM (SELECT bot, count(*) AS count FROM dead_letters GROUP BY bot) n \
         JOIN bots b ON b.id = n.bot ORDER BY b.name";
    let counts = conn
        .prepare_cached(sql)?
        .query_map([], |row| Ok((row.get::<_, String>(0)?.into(), count(row, 1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(counts)
}
