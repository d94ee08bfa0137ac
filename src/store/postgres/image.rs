//! What the store has of bots that are claimed, for the feed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{IsolationLevel, Row};

use super::Inner;
use super::db::{Fault, again};
use super::feed::{HEAD_COLUMNS, read_head, status, tell};
use super::heads::AFTER;
use crate::model::{Fingerprint, Kind, MessageId};
use crate::store::common::covers;
use crate::store::{BotImage, Counters, OpenMessage, StoreError, ToldState};

/// A bot that is ours by now, before the feed knows it.
pub(super) struct Claimed {
    pub(super) id: i32,
    pub(super) name: Arc<str>,
    pub(super) fence: i64,
}

/// Each bot's image: counters, what was told, and messages whose outcome nobody knows.
pub(super) async fn images(inner: &Inner, bots: &[Claimed]) -> Result<Vec<(Arc<str>, BotImage)>, StoreError> {
    let ids: Vec<i32> = bots.iter().map(|bot| bot.id).collect();
    let mut images: HashMap<i32, (Arc<str>, BotImage)> =
        bots.iter().map(|bot| (bot.id, (bot.name.clone(), BotImage::default()))).collect();
    let (counters, told, open) = again!(inner.db, conn => async {
        // One snapshot: a finish of ours that is under way must be seen whole or not at all.
        let tx = conn.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&ids, Type::INT4_ARRAY)];
        let rows = tokio::try_join!(
            tx.query_typed(COUNTERS, &params),
            tx.query_typed(TOLD, &params),
            tx.query_typed(OPEN, &params),
        )?;
        tx.commit().await?;
        Ok::<_, Fault>(rows)
    })?;
    for row in &counters {
        if let Some((bot, image)) = images.get_mut(&row.get::<_, i32>(0)) {
            count(row, bot, image);
        }
    }
    for row in &told {
        if let Some((_, image)) = images.get_mut(&row.get::<_, i32>(0)) {
            image.told.push(told_state(row));
        }
    }
    for row in &open {
        if let Some((_, image)) = images.get_mut(&row.get::<_, i32>(0)) {
            image.open.push(open_message(row)?);
        }
    }
    Ok(bots.iter().filter_map(|bot| images.remove(&bot.id)).collect())
}

const COUNTERS: &str = "SELECT id, accepted, told_named, told_counted, superseded, dead, unannounced_dead, storm \
     FROM alarmbell.bots WHERE id = ANY($1)";

fn count(row: &Row, bot: &Arc<str>, image: &mut BotImage) {
    let number = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    image.counters = Counters {
        accepted: number(1),
        told_named: number(2),
        told_counted: number(3),
        superseded: number(4),
        dead: number(5),
    };
    image.unannounced_dead = u32::try_from(number(6)).unwrap_or(u32::MAX);
    if let Some(json) = row.get::<_, Option<&str>>(7) {
        match serde_json::from_str(json) {
            Ok(storm) => image.storm = Some(storm),
            // Its totals begin anew; that is no reason not to speak for it.
            Err(error) => tracing::warn!(%bot, %error, "the bot's storm can not be read"),
        }
    }
}

const TOLD: &str = "SELECT bot, fp, grp, status, starts_ms, ends_ms, accepted_ms, told_ms FROM alarmbell.told \
     WHERE bot = ANY($1)";

fn told_state(row: &Row) -> ToldState {
    ToldState {
        fingerprint: Fingerprint(row.get::<_, i64>(1).cast_unsigned()),
        group: row.get::<_, i64>(2).cast_unsigned(),
        status: status(row.get(3)),
        starts_ms: row.get(4),
        ends_ms: row.get(5),
        accepted_ms: row.get(6),
        told_ms: row.get(7),
    }
}

const OPEN: &str = "SELECT m.bot, m.id, r.hash, m.kind, m.grp, m.attempts, m.body, m.covers \
     FROM alarmbell.messages m JOIN alarmbell.robots r ON r.id = m.robot \
     WHERE m.open AND m.bot = ANY($1) ORDER BY m.seq";

/// Without its attempt: that is of an owner before (be it ourselves), who alone may end it, and holds its token until then.
fn open_message(row: &Row) -> Result<OpenMessage, StoreError> {
    let damaged = |what: &str| StoreError::Unusable(format!("the database is damaged: {what}"));
    Ok(OpenMessage {
        id: MessageId::parse(row.get(1)).ok_or_else(|| damaged("a message's id"))?,
        attempt: None,
        robot: row.get(2),
        kind: Kind::parse(row.get(3)).ok_or_else(|| damaged("a message's kind"))?,
        group: row.get::<_, i64>(4).cast_unsigned(),
        attempts: row.get::<_, i32>(5).cast_unsigned(),
        body: row.get::<_, Option<Vec<u8>>>(6).unwrap_or_default().into(),
        covers: covers::read(row.get::<_, Option<&[u8]>>(7).unwrap_or_default()),
    })
}

/// How far the heads of some bots have been read.
pub(super) struct Cursors<'a> {
    bots: &'a [Claimed],
    heard: Vec<i64>,
    /// How many heads each still has, as far as that is known.
    left: Vec<u64>,
    /// The bot that is being read.
    at: usize,
}

impl<'a> Cursors<'a> {
    /// `waiting` is how many heads each has.
    pub(super) fn new(bots: &'a [Claimed], waiting: Vec<u64>) -> Self {
        Self { bots, heard: vec![0; bots.len()], left: waiting, at: 0 }
    }

    /// Begins with the first bot again, for what came meanwhile.
    pub(super) fn again(&mut self) {
        self.at = 0;
        self.left.fill(0);
    }

    /// The bots to read from next: as many as fit a page, at least one.
    fn next(&self) -> std::ops::Range<usize> {
        let most = u64::try_from(PAGE).unwrap_or(u64::MAX);
        let mut sum = 0_u64;
        let fit = self.left[self.at..].iter().take(TOGETHER).take_while(|left| {
            sum = sum.saturating_add(**left);
            sum <= most
        });
        let to = self.at + fit.count().max(1);
        self.at..to.min(self.bots.len())
    }

    /// The last position of each that was read.
    pub(super) fn heard(self) -> Vec<i64> {
        self.heard
    }
}

/// Heads read at once.
const PAGE: i64 = 4_000;

/// Bots whose heads are read in one statement while few wait for each.
const TOGETHER: usize = 64;

/// Of bots ($1) what comes after a position of each ($2), along the primary key.
pub(super) fn page_sql() -> String {
    format!(
        "SELECT {HEAD_COLUMNS} FROM unnest($1::int4[], $2::int8[]) WITH ORDINALITY AS m(bot, heard, nr), LATERAL \
         (SELECT * FROM alarmbell.heads x WHERE {AFTER} ORDER BY x.bot, x.pos LIMIT {PAGE}) h \
         ORDER BY m.nr, h.pos LIMIT {PAGE}"
    )
}

/// Reads the next heads and hands them to the feed; `false` when there are none left.
pub(super) async fn page(inner: &Inner, cursors: &mut Cursors<'_>) -> Result<bool, StoreError> {
    let std::ops::Range { start: from, end: to } = cursors.next();
    if from == to {
        return Ok(false);
    }
    let some = &cursors.bots[from..to];
    let ids: Vec<i32> = some.iter().map(|bot| bot.id).collect();
    let heard = &cursors.heard[from..to];
    let rows = again!(inner.db, conn => async {
        let sql = page_sql();
        Ok::<_, Fault>(conn.query_typed(&sql, &[(&ids, Type::INT4_ARRAY), (&heard, Type::INT8_ARRAY)]).await?)
    })?;
    let mut heads = Vec::with_capacity(rows.len());
    let (mut at, mut first) = (from, to);
    for row in &rows {
        let (id, head) = read_head(row);
        while cursors.bots[at].id != id {
            at += 1;
        }
        first = first.min(at);
        cursors.heard[at] = head.pos;
        cursors.left[at] = cursors.left[at].saturating_sub(1);
        heads.push((cursors.bots[at].name.clone(), head));
    }
    tell(inner, &heads);
    // A full page ended somewhere inside a bot. Of those that had some there may be more farther on.
    cursors.at = if i64::try_from(rows.len()).is_ok_and(|rows| rows < PAGE) { first } else { at };
    Ok(true)
}
