//! Filling the memory, the feed and the waiting index from the file at start.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use rusqlite::Connection;

use super::fault::Fault;
use super::memory::Memory;
use super::tx::{BOT_COLUMNS, HEAD_COLUMNS, is_silent, read_bot, read_head, status};
use crate::model::{Fingerprint, Head, Kind, MessageId, StormState};
use crate::store::common::covers;
use crate::store::{BotImage, Feed, OpenMessage, StoreError, ToldState};

/// Heads handed to the feed at once.
const FEED_BATCH: usize = 1_000;

/// Batches that may be read ahead of the feed.
const AHEAD: usize = 4;

/// Heads of bots, in position order of each.
type Batch = Vec<(Arc<str>, Head)>;

/// Fills the memory; `feed` hears of all heads of each bot in position order.
pub(super) fn load(conn: &Connection, mem: &mut Memory, feed: Option<&dyn Feed>) -> Result<(), Fault> {
    *mem = Memory::default();
    // One snapshot for all of it, though nobody else may change what is read here.
    let snapshot = conn.unchecked_transaction()?;
    let names = load_names(conn, mem)?;
    let seen = if let Some(feed) = feed {
        for (bot, image) in images(conn, mem)? {
            feed.remember(&bot, image);
        }
        feed_heads(conn, mem, &names, feed)?
    } else {
        load_heads(conn, mem, &names, |_| Ok(()))?
    };
    for bot in mem.bots() {
        let proof = bot.counts.proof;
        let gone = proof.told_named + proof.told_counted + proof.superseded + proof.dead;
        let rows = seen.get(&bot.id).copied().unwrap_or_default();
        if proof.accepted.checked_sub(gone) != Some(rows) {
            tracing::error!(bot = %bot.name, ?proof, rows, "the stored counters do not match the waiting alerts");
        }
    }
    mem.committed();
    snapshot.finish()?;
    Ok(())
}

/// Reading a million rows takes about as long as merging them, so a thread merges while this one reads on.
fn feed_heads(
    conn: &Connection,
    mem: &mut Memory,
    names: &HashMap<i64, Arc<str>>,
    feed: &dyn Feed,
) -> Result<HashMap<i64, u64>, Fault> {
    std::thread::scope(|scope| {
        let (send, batches) = sync_channel::<Batch>(AHEAD);
        let feeder = std::thread::Builder::new().name("store-replay".to_owned());
        let fed = feeder
            .spawn_scoped(scope, move || batches.iter().for_each(|batch| feed.committed(&batch)))
            .map_err(|error| StoreError::Unavailable(format!("no thread for the replay: {error}")))?;
        let read = load_heads(conn, mem, names, |batch| {
            send.send(batch).map_err(|_| StoreError::Unavailable("the replay's thread ended early".to_owned()).into())
        });
        drop(send);
        if let Err(panic) = fed.join() {
            std::panic::resume_unwind(panic);
        }
        read
    })
}

/// Reads all heads and hands them out in batches; returns how many each bot has.
fn load_heads(
    conn: &Connection,
    mem: &mut Memory,
    names: &HashMap<i64, Arc<str>>,
    mut hand: impl FnMut(Batch) -> Result<(), Fault>,
) -> Result<HashMap<i64, u64>, Fault> {
    let mut statement = conn.prepare(&format!("SELECT {HEAD_COLUMNS} FROM heads ORDER BY key"))?;
    let mut rows = statement.query([])?;
    let mut seen: HashMap<i64, u64> = HashMap::new();
    let mut batch = Vec::new();
    // The rows come bot by bot.
    let mut now: (i64, u64, Arc<str>) = (0, 0, "".into());
    while let Some(row) = rows.next()? {
        let (bot, head, len) = read_head(row)?;
        mem.need(head.body, len, is_silent(&head));
        // Loading is no change to be undone, and its notes would be as large as the backlog.
        mem.forget_undo();
        if bot != now.0 {
            seen.insert(now.0, now.1);
            let name = names.get(&bot).ok_or_else(|| damaged("a waiting alert of a bot that does not exist"))?;
            now = (bot, 0, name.clone());
        }
        now.1 += 1;
        batch.push((now.2.clone(), head));
        if batch.len() == FEED_BATCH {
            hand(std::mem::replace(&mut batch, Vec::with_capacity(FEED_BATCH)))?;
        }
    }
    if !batch.is_empty() {
        hand(batch)?;
    }
    seen.insert(now.0, now.1);
    Ok(seen)
}

fn damaged(what: &str) -> Fault {
    StoreError::Unusable(format!("the database file is damaged: {what}")).into()
}

fn load_names(conn: &Connection, mem: &mut Memory) -> Result<HashMap<i64, Arc<str>>, Fault> {
    let mut names = HashMap::new();
    for bot in conn.prepare(&format!("SELECT {BOT_COLUMNS} FROM bots ORDER BY id"))?.query_map([], read_bot)? {
        let bot = bot?;
        names.insert(bot.id, bot.name.clone());
        mem.add_bot(bot);
    }
    let mut vias = conn.prepare("SELECT text, id FROM vias")?;
    let mut rows = vias.query([])?;
    while let Some(row) = rows.next()? {
        mem.add_via(row.get::<_, String>(0)?.into(), row.get(1)?);
    }
    let last: Option<i64> = conn.query_row("SELECT max(id) FROM bodies", [], |row| row.get(0))?;
    mem.set_last_body(last.unwrap_or_default());
    Ok(names)
}

/// Each known bot's image.
fn images(conn: &Connection, mem: &Memory) -> Result<Vec<(Arc<str>, BotImage)>, Fault> {
    let mut images = Vec::with_capacity(mem.bots().len());
    let mut place = HashMap::new();
    for bot in mem.bots() {
        place.insert(bot.id, images.len());
        let unannounced_dead = u32::try_from(bot.counts.unannounced).unwrap_or(u32::MAX);
        let image = BotImage { counters: bot.counts.proof, unannounced_dead, ..BotImage::default() };
        images.push((bot.name.clone(), image));
    }
    let mut statement =
        conn.prepare("SELECT bot, fp, grp, status, starts_ms, ends_ms, accepted_ms, told_ms FROM told")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(at) = place.get(&row.get::<_, i64>(0)?) else { continue };
        images[*at].1.told.push(ToldState {
            fingerprint: Fingerprint(row.get::<_, i64>(1)?.cast_unsigned()),
            group: row.get::<_, i64>(2)?.cast_unsigned(),
            status: status(row.get(3)?),
            starts_ms: row.get(4)?,
            ends_ms: row.get(5)?,
            accepted_ms: row.get(6)?,
            told_ms: row.get(7)?,
        });
    }
    read_storms(conn, |bot, storm| {
        if let Some(at) = place.get(&bot) {
            images[*at].1.storm = Some(storm);
        }
    })?;
    for (bot, message) in open_messages(conn)? {
        if let Some(at) = place.get(&bot) {
            images[*at].1.open.push(message);
        }
    }
    Ok(images)
}

fn read_storms(conn: &Connection, mut found: impl FnMut(i64, StormState)) -> Result<(), Fault> {
    let mut statement = conn.prepare("SELECT id, storm FROM bots WHERE storm IS NOT NULL")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let json = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        match serde_json::from_str(json) {
            Ok(storm) => found(row.get(0)?, storm),
            // Its totals begin anew; that is no reason not to start.
            Err(error) => tracing::warn!(%error, "a bot's storm can not be read"),
        }
    }
    Ok(())
}

/// Messages whose outcome nobody knows, oldest first.
fn open_messages(conn: &Connection) -> Result<Vec<(i64, OpenMessage)>, Fault> {
    let mut statement = conn.prepare(
        "SELECT m.bot, m.id, r.hash, m.kind, m.grp, m.attempts, m.body, m.covers, \
         (SELECT max(a.id) FROM attempts a WHERE a.message = m.seq AND a.ended_ms IS NULL) \
         FROM messages m JOIN robots r ON r.id = m.robot WHERE m.open = 1 ORDER BY m.seq",
    )?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let id = MessageId::parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)
            .ok_or_else(|| damaged("a message's id"))?;
        let kind = Kind::parse(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)
            .ok_or_else(|| damaged("a message's kind"))?;
        let message = OpenMessage {
            id,
            attempt: row.get(8)?,
            robot: row.get(2)?,
            kind,
            group: row.get::<_, i64>(4)?.cast_unsigned(),
            attempts: row.get(5)?,
            body: row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default().into(),
            covers: covers::read(&row.get::<_, Option<Vec<u8>>>(7)?.unwrap_or_default()),
        };
        out.push((row.get(0)?, message));
    }
    Ok(out)
}
