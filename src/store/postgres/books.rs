//! What a transaction changes in the rows of bots: gathered while it goes on, written at its end.
//!
//! These rows are what every acceptance needs. So they are locked last and for as short as can be, and only then it is
//! certain whether this replica still speaks for the bot: whoever takes it over writes the same row, before us or after.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::Inner;
use super::db::Fault;
use crate::store::StoreError;

/// What is added to the columns of these names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Change {
    pub(super) accepted: i64,
    pub(super) told_named: i64,
    pub(super) told_counted: i64,
    pub(super) superseded: i64,
    pub(super) dead: i64,
    pub(super) unannounced: i64,
    pub(super) body_bytes: i64,
    pub(super) silent: i64,
}

/// The bot whose alerts a transaction tells, and who must speak for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker<'a> {
    pub(super) bot: i32,
    pub(super) me: &'a str,
    /// Its fence, when the transaction began with one.
    pub(super) fence: Option<i64>,
}

impl<'a> Speaker<'a> {
    /// # Errors
    /// [`StoreError::Unusable`] for a guest, who speaks for no bot.
    pub(super) fn new(inner: &'a Inner, bot: i32) -> Result<Self, StoreError> {
        if inner.me.is_empty() {
            return Err(StoreError::Unusable("only a serving alarmbell may change what waits".to_owned()));
        }
        Ok(Self { bot, me: &inner.me, fence: None })
    }

    /// Looks whether it may speak, without a lock: what comes out is worth nothing until the books are settled, but saves
    /// the work. Returns the bot's fence.
    pub(super) async fn look(&self, tx: &Transaction<'_>) -> Result<i64, Fault> {
        let sql = "SELECT owner, fence FROM alarmbell.bots WHERE id = $1";
        let row = tx.query_typed_opt(sql, &[(&self.bot, Type::INT4)]).await?.ok_or(StoreError::Fenced)?;
        self.check(row.try_get(0)?, row.try_get(1)?)
    }

    /// Locks the bot's row until the end of the transaction.
    pub(super) async fn lock(&self, tx: &Transaction<'_>) -> Result<i64, Fault> {
        let sql = "SELECT owner, fence FROM alarmbell.bots WHERE id = $1 FOR NO KEY UPDATE";
        let row = tx.query_typed_opt(sql, &[(&self.bot, Type::INT4)]).await?.ok_or(StoreError::Fenced)?;
        self.check(row.try_get(0)?, row.try_get(1)?)
    }

    fn check(&self, owner: Option<&str>, fence: i64) -> Result<i64, Fault> {
        if owner != Some(self.me) || self.fence.is_some_and(|began| began != fence) {
            return Err(StoreError::Fenced.into());
        }
        Ok(fence)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Books {
    changes: BTreeMap<i32, Change>,
    storm: Option<String>,
}

impl Books {
    /// What changes of a bot.
    pub(super) fn of(&mut self, bot: i32) -> &mut Change {
        self.changes.entry(bot).or_default()
    }

    /// The speaker's storm from now on.
    pub(super) fn set_storm(&mut self, storm: String) {
        self.storm = Some(storm);
    }

    /// Locks the rows in the order of their ids, checks that the speaker still speaks, and writes. Returns each bot's last
    /// position. Nothing but heads of positions given out here may be written after it.
    pub(super) async fn settle(
        mut self,
        tx: &Transaction<'_>,
        speaker: Option<&Speaker<'_>>,
    ) -> Result<HashMap<i32, i64>, Fault> {
        if let Some(speaker) = speaker {
            self.changes.entry(speaker.bot).or_default();
        }
        if self.changes.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<i32> = self.changes.keys().copied().collect();
        let storm = self.storm.take();
        let lock = async {
            let sql = "SELECT id, owner, fence FROM alarmbell.bots WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";
            Ok::<_, Fault>(tx.query_typed(sql, &[(&ids, Type::INT4_ARRAY)]).await?)
        };
        let keep_storm = async {
            if let (Some(storm), Some(speaker)) = (&storm, speaker) {
                let sql = "UPDATE alarmbell.bots SET storm = $2 WHERE id = $1";
                tx.execute_typed(sql, &[(&speaker.bot, Type::INT4), (storm, Type::TEXT)]).await?;
            }
            Ok(())
        };
        // Sent one after the other without waiting: the database does them in this order.
        let (rows, last, ()) = tokio::try_join!(lock, self.write(tx, &ids), keep_storm)?;
        if let Some(speaker) = speaker {
            let mut spoken = Err(StoreError::Fenced.into());
            for row in &rows {
                if row.try_get::<_, i32>(0)? == speaker.bot {
                    spoken = speaker.check(row.try_get(1)?, row.try_get(2)?);
                }
            }
            spoken?;
        }
        Ok(last)
    }

    async fn write(&self, tx: &Transaction<'_>, ids: &Vec<i32>) -> Result<HashMap<i32, i64>, Fault> {
        let column = |read: fn(&Change) -> i64| self.changes.values().map(read).collect::<Vec<i64>>();
        let columns = [
            column(|change| change.accepted),
            column(|change| change.told_named),
            column(|change| change.told_counted),
            column(|change| change.superseded),
            column(|change| change.dead),
            column(|change| change.unannounced),
            column(|change| change.body_bytes),
            column(|change| change.silent),
        ];
        let mut params: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> = vec![(ids, Type::INT4_ARRAY)];
        params.extend(columns.iter().map(|column| (column as _, Type::INT8_ARRAY)));
        let sql = "UPDATE alarmbell.bots b SET accepted = b.accepted + c.accepted, \
             told_named = b.told_named + c.told_named, told_counted = b.told_counted + c.told_counted, \
             superseded = b.superseded + c.superseded, dead = b.dead + c.dead, \
             unannounced_dead = greatest(0, b.unannounced_dead + c.unannounced), \
             body_bytes = greatest(0, b.body_bytes + c.body_bytes), silent = greatest(0, b.silent + c.silent) \
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS c (id, accepted, told_named, told_counted, superseded, \
             dead, unannounced, body_bytes, silent) WHERE b.id = c.id RETURNING b.id, b.accepted";
        let rows = tx.query_typed(sql, &params).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

/// A number of rows as it is counted.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
