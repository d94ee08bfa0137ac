//! The inside of a transaction: rows and memory change together.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::fault::Fault;
use super::memory::{Bot, Counts, Memory, Totals};
use crate::model::{Fingerprint, Head, HeadFlags, Status};
use crate::store::{Append, Counters, StoreError};

/// Bits of a head's key that hold its position; the bot's id is above them.
const POS_BITS: u32 = 40;
/// The highest position of a bot: 1,000 alerts a second for 34 years.
const POS_MAX: i64 = (1 << POS_BITS) - 1;

/// A head's key.
pub(super) const fn key(bot: i64, pos: i64) -> i64 {
    (bot << POS_BITS) | pos
}

/// A head's key; `None` for a position that no head can have.
pub(super) const fn key_at(bot: i64, pos: i64) -> Option<i64> {
    if pos >= 1 && pos <= POS_MAX { Some(key(bot, pos)) } else { None }
}

/// Bot and position of a head's key.
pub(super) const fn unkey(key: i64) -> (i64, i64) {
    (key >> POS_BITS, key & POS_MAX)
}

/// All keys of a bot: from, to, both included.
pub(super) const fn keys(bot: i64) -> (i64, i64) {
    (key(bot, 0), key(bot, POS_MAX))
}

/// The columns of [`read_head`], in its order.
pub(super) const HEAD_COLUMNS: &str =
    "key, body, body_len, idx, fp, grp, status, severity, flags, starts_ms, ends_ms, accepted_ms, via";

/// Reads [`HEAD_COLUMNS`]: the bot's id, the head and its body's length.
pub(super) fn read_head(row: &Row<'_>) -> rusqlite::Result<(i64, Head, u32)> {
    let (bot, pos) = unkey(row.get(0)?);
    let head = Head {
        pos,
        body: row.get(1)?,
        idx: row.get(3)?,
        fingerprint: Fingerprint(row.get::<_, i64>(4)?.cast_unsigned()),
        group: row.get::<_, i64>(5)?.cast_unsigned(),
        status: status(row.get(6)?),
        severity: row.get(7)?,
        flags: HeadFlags(row.get(8)?),
        starts_ms: row.get(9)?,
        ends_ms: row.get(10)?,
        accepted_ms: row.get(11)?,
        via: row.get(12)?,
    };
    Ok((bot, head, row.get(2)?))
}

/// Whether a row of `heads` is an end that is noted for a chat that is not told of ends; as [`is_silent`].
pub(super) const SILENT: &str = "(status = 1 AND flags & 2 <> 0)";

/// An end that is noted for a chat that is not told of ends: nobody waits for it.
pub(super) const fn is_silent(head: &Head) -> bool {
    matches!(head.status, Status::Resolved) && head.flags.has(HeadFlags::SILENT)
}

/// A status as stored.
pub(super) const fn status(stored: i64) -> Status {
    if stored == 0 { Status::Firing } else { Status::Resolved }
}

/// A status to store.
pub(super) const fn status_code(status: Status) -> i64 {
    match status {
        Status::Firing => 0,
        Status::Resolved => 1,
    }
}

/// Reads a counter, which is never negative.
pub(super) fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap_or_default())
}

/// The columns of [`read_bot`], in its order.
pub(super) const BOT_COLUMNS: &str = "id, name, accepted, told_named, told_counted, superseded, dead, unannounced_dead";

/// Reads [`BOT_COLUMNS`].
pub(super) fn read_bot(row: &Row<'_>) -> rusqlite::Result<Bot> {
    let proof = Counters {
        accepted: count(row, 2)?,
        told_named: count(row, 3)?,
        told_counted: count(row, 4)?,
        superseded: count(row, 5)?,
        dead: count(row, 6)?,
    };
    let name: String = row.get(1)?;
    let counts = Counts { proof, unannounced: count(row, 7)? };
    Ok(Bot { id: row.get(0)?, name: name.into(), counts, dirty: false })
}

/// The two statements of acceptance, prepared once per transaction.
pub(super) struct Inserts<'c> {
    body: CachedStatement<'c>,
    head: CachedStatement<'c>,
}

impl<'c> Inserts<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        let mut values = "?1".to_owned();
        for n in 2..=HEAD_COLUMNS.split(',').count() {
            values.push_str(&format!(", ?{n}"));
        }
        Ok(Self {
            body: conn.prepare_cached("INSERT INTO bodies (id, received_ms, body) VALUES (?1, ?2, ?3)")?,
            head: conn.prepare_cached(&format!("INSERT INTO heads ({HEAD_COLUMNS}) VALUES ({values})"))?,
        })
    }

    fn body(&mut self, id: i64, received_ms: i64, body: &[u8]) -> rusqlite::Result<()> {
        self.body.execute(params![id, received_ms, body]).map(drop)
    }

    fn head(&mut self, bot: i64, body_len: u32, head: &Head) -> rusqlite::Result<()> {
        self.head
            .execute(params![
                key(bot, head.pos),
                head.body,
                body_len,
                head.idx,
                head.fingerprint.0.cast_signed(),
                head.group.cast_signed(),
                status_code(head.status),
                head.severity,
                head.flags.0,
                head.starts_ms,
                head.ends_ms,
                head.accepted_ms,
                head.via,
            ])
            .map(drop)
    }
}

/// One transaction in progress.
pub(super) struct Tx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) mem: &'a mut Memory,
    pub(super) inserts: Inserts<'a>,
    /// What the feed will hear after the commit.
    pub(super) fed: &'a mut Vec<(Arc<str>, Head)>,
    pub(super) max: Totals,
    /// Whether this process holds the lock, and so may touch heads.
    pub(super) exclusive: bool,
    /// Whether webhooks are refused because the disk is full.
    pub(super) low: bool,
}

impl Tx<'_> {
    /// Refuses what only the process that holds the lock may do.
    pub(super) fn must_be_exclusive(&self) -> Result<(), Fault> {
        if self.exclusive {
            return Ok(());
        }
        Err(StoreError::Unusable("only the serving alarmbell may change what waits".to_owned()).into())
    }

    /// The slot of a bot, whose row is made when it is new.
    pub(super) fn bot(&mut self, name: &str) -> Result<usize, Fault> {
        if let Some(slot) = self.mem.slot(name) {
            return Ok(slot);
        }
        self.conn
            .prepare_cached("INSERT INTO bots (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
            .execute([name])?;
        let bot = self
            .conn
            .prepare_cached(&format!("SELECT {BOT_COLUMNS} FROM bots WHERE name = ?1"))?
            .query_row([name], read_bot)?;
        Ok(self.mem.add_bot(bot))
    }

    /// The id of a via text, whose row is made when it is new.
    pub(super) fn via(&mut self, text: &str) -> Result<u32, Fault> {
        if let Some(id) = self.mem.via(text) {
            return Ok(id);
        }
        self.conn
            .prepare_cached("INSERT INTO vias (text) VALUES (?1) ON CONFLICT (text) DO NOTHING")?
            .execute([text])?;
        let id =
            self.conn.prepare_cached("SELECT id FROM vias WHERE text = ?1")?.query_row([text], |row| row.get(0))?;
        self.mem.add_via(text.into(), id);
        Ok(id)
    }

    /// The id of a robot, whose row is made when it is new.
    pub(super) fn robot(&self, hash: &str) -> Result<i64, Fault> {
        let find = || {
            self.conn
                .prepare_cached("SELECT id FROM robots WHERE hash = ?1")?
                .query_row([hash], |row| row.get(0))
                .optional()
        };
        if let Some(id) = find()? {
            return Ok(id);
        }
        Ok(self.conn.prepare_cached("INSERT INTO robots (hash) VALUES (?1)")?.insert([hash])?)
    }

    /// Appends a webhook. Everything that could refuse it is checked before the first row is written.
    pub(super) fn append(&mut self, append: &Append) -> Result<(), Fault> {
        self.must_be_exclusive()?;
        if append.heads.is_empty() {
            return Ok(());
        }
        let too_large = || StoreError::Unusable("a body of 4 GB or more".to_owned());
        let len = u32::try_from(append.body.len()).map_err(|_| too_large())?;
        self.mem.room_for(append.heads.len() as u64, u64::from(len), self.max)?;
        let body = self.mem.new_body();
        self.inserts.body(body, append.received_ms, &append.body)?;
        for new in &append.heads {
            let slot = self.bot(&new.bot)?;
            let via = self.via(&new.via)?;
            // Its position is given there.
            self.append_head(slot, body, len, &new.stored(0, body, via, append.received_ms))?;
        }
        Ok(())
    }

    /// Appends one head with the next position of a bot; `head.pos` is ignored.
    pub(super) fn append_head(&mut self, slot: usize, body: i64, len: u32, head: &Head) -> Result<(), Fault> {
        self.mem.count(slot, |counts| counts.proof.accepted += 1);
        self.mem.need(body, len, is_silent(head));
        let bot = self.mem.bot(slot);
        let pos = i64::try_from(bot.counts.proof.accepted).unwrap_or(i64::MAX);
        let head = Head { pos, body, ..*head };
        self.inserts.head(bot.id, len, &head)?;
        self.fed.push((bot.name.clone(), head));
        Ok(())
    }

    /// Deletes a head that got its outcome; `change` counts it. `false` when it was gone already.
    pub(super) fn drop_head(&mut self, slot: usize, pos: i64, change: impl FnOnce(&mut Counts)) -> Result<bool, Fault> {
        let Some(key) = key_at(self.mem.bot(slot).id, pos) else { return Ok(false) };
        let gone = self
            .conn
            .prepare_cached(&format!(
                "DELETE FROM heads WHERE key = ?1 RETURNING body, {SILENT}, fp, accepted_ms, ends_ms"
            ))?
            .query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
            .optional()?;
        let Some((body, silent, fp, accepted_ms, ends_ms)) = gone else { return Ok(false) };
        if silent {
            self.end_told(slot, fp, accepted_ms, ends_ms)?;
        }
        self.mem.release(body, silent);
        self.mem.count(slot, change);
        Ok(true)
    }

    /// The noted end of an alert goes: from now on its told state must say that it is over, or it would fire again after a
    /// restart. What was accepted after that end is not meant.
    fn end_told(&self, slot: usize, fp: i64, accepted_ms: i64, ends_ms: i64) -> Result<(), Fault> {
        let ends_ms = if ends_ms == 0 { accepted_ms.max(1) } else { ends_ms };
        self.conn
            .prepare_cached(
                "UPDATE told SET status = 1, ends_ms = ?4, accepted_ms = ?3 \
                 WHERE bot = ?1 AND fp = ?2 AND status = 0 AND accepted_ms < ?3",
            )?
            .execute([self.mem.bot(slot).id, fp, accepted_ms, ends_ms])?;
        Ok(())
    }

    /// Writes the counters that changed; before the commit.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        let mut update = self.conn.prepare_cached(
            "UPDATE bots SET accepted = ?2, told_named = ?3, told_counted = ?4, superseded = ?5, dead = ?6, \
             unannounced_dead = ?7 WHERE id = ?1",
        )?;
        let stored = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for bot in self.mem.dirty() {
            let Counts { proof, unannounced } = bot.counts;
            update.execute(params![
                bot.id,
                stored(proof.accepted),
                stored(proof.told_named),
                stored(proof.told_counted),
                stored(proof.superseded),
                stored(proof.dead),
                stored(unannounced),
            ])?;
        }
        Ok(())
    }
}
