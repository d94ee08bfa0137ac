//! What waits: heads that go, and the bodies that nobody needs any more.

use std::collections::HashSet;

use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use super::books::Books;
use super::db::Fault;
use crate::model::Millis;

/// Whether a row of `heads` is an end that is noted for a chat that is not told of ends.
pub(super) const SILENT: &str = "(status = 1 AND flags & 2 <> 0)";

/// Which heads `x` of the bot `m.bot` come after `m.heard`; to be read `ORDER BY x.bot, x.pos` with a limit.
///
/// Written so that the planner walks along the primary key whatever it knows of the tables. Of `x.bot = m.bot` it expects a
/// bot of average size, or, of tables that it has no figures of yet, next to nothing; then it reads and sorts all that is
/// left of a large bot for each page. (With up to some 80,000 heads in all it may do that here too: 40 ms.)
pub(super) const AFTER: &str = "(x.bot, x.pos) > (m.bot, m.heard) AND x.bot <= m.bot";

/// What is to be known of a head that goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone {
    pub(super) pos: i64,
    pub(super) body: i64,
    /// See [`SILENT`].
    pub(super) silent: bool,
    fp: i64,
    accepted_ms: Millis,
    ends_ms: Millis,
}

/// The columns of [`read_gone`], in its order.
fn gone_columns() -> String {
    format!("pos, body, {SILENT}, fp, accepted_ms, ends_ms")
}

fn read_gone(row: &Row) -> Result<Gone, Fault> {
    Ok(Gone {
        pos: row.try_get(0)?,
        body: row.try_get(1)?,
        silent: row.try_get(2)?,
        fp: row.try_get(3)?,
        accepted_ms: row.try_get(4)?,
        ends_ms: row.try_get(5)?,
    })
}

fn read_all(rows: &[Row]) -> Result<Vec<Gone>, Fault> {
    let mut gone = rows.iter().map(read_gone).collect::<Result<Vec<_>, _>>()?;
    gone.sort_unstable_by_key(|gone| gone.pos);
    Ok(gone)
}

/// Deletes a bot's heads at these positions, and returns those that were there, in order.
pub(super) async fn take(tx: &Transaction<'_>, bot: i32, positions: &[i64]) -> Result<Vec<Gone>, Fault> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let columns = gone_columns();
    let sql = format!("DELETE FROM alarmbell.heads WHERE bot = $1 AND pos = ANY($2) RETURNING {columns}");
    let rows = tx.query_typed(&sql, &[(&bot, Type::INT4), (&positions, Type::INT8_ARRAY)]).await?;
    let gone = read_all(&rows)?;
    note_ends(tx, bot, &gone).await?;
    Ok(gone)
}

/// Locks a bot's heads at these positions, and returns those that are there, in order: while they are locked, nobody
/// takes them, nor their bodies.
pub(super) async fn hold(tx: &Transaction<'_>, bot: i32, positions: &[i64]) -> Result<Vec<Gone>, Fault> {
    let columns = gone_columns();
    let sql = format!(
        "SELECT {columns} FROM alarmbell.heads WHERE bot = $1 AND pos = ANY($2) ORDER BY pos FOR NO KEY UPDATE"
    );
    read_all(&tx.query_typed(&sql, &[(&bot, Type::INT4), (&positions, Type::INT8_ARRAY)]).await?)
}

/// As [`hold`], of the first so many up to a position. Along the primary key, as [`AFTER`].
pub(super) async fn hold_first(tx: &Transaction<'_>, bot: i32, upto: i64, most: i64) -> Result<Vec<Gone>, Fault> {
    let columns = gone_columns();
    let sql = format!(
        "SELECT {columns} FROM alarmbell.heads WHERE (bot, pos) <= ($1, $2) AND bot >= $1 ORDER BY bot, pos LIMIT $3 \
         FOR NO KEY UPDATE"
    );
    read_all(&tx.query_typed(&sql, &[(&bot, Type::INT4), (&upto, Type::INT8), (&most, Type::INT8)]).await?)
}

/// Deletes heads that are held.
pub(super) async fn remove(tx: &Transaction<'_>, bot: i32, positions: &[i64]) -> Result<(), Fault> {
    let sql = "DELETE FROM alarmbell.heads WHERE bot = $1 AND pos = ANY($2)";
    tx.execute_typed(sql, &[(&bot, Type::INT4), (&positions, Type::INT8_ARRAY)]).await?;
    Ok(())
}

/// Noted ends of alerts go: from now on their told states must say that it is over, or they would fire again after a
/// restart. What was accepted after such an end is not meant.
pub(super) async fn note_ends(tx: &Transaction<'_>, bot: i32, gone: &[Gone]) -> Result<(), Fault> {
    let silent: Vec<&Gone> = gone.iter().filter(|gone| gone.silent).collect();
    if silent.is_empty() {
        return Ok(());
    }
    let column = |read: fn(&Gone) -> i64| silent.iter().map(|gone| read(gone)).collect::<Vec<i64>>();
    let ends = column(|gone| if gone.ends_ms == 0 { gone.accepted_ms.max(1) } else { gone.ends_ms });
    // The first end after what was told makes it over; later ones find it so.
    let sql = "UPDATE alarmbell.told t SET status = 1, ends_ms = e.ends_ms, accepted_ms = e.accepted_ms FROM \
         (SELECT DISTINCT ON (n.fp) n.fp, n.accepted_ms, n.ends_ms \
          FROM unnest($2, $3, $4, $5) AS n (pos, fp, accepted_ms, ends_ms) \
          JOIN alarmbell.told o ON o.bot = $1 AND o.fp = n.fp AND o.status = 0 AND o.accepted_ms < n.accepted_ms \
          ORDER BY n.fp, n.pos) e \
         WHERE t.bot = $1 AND t.fp = e.fp";
    tx.execute_typed(
        sql,
        &[
            (&bot, Type::INT4),
            (&column(|gone| gone.pos), Type::INT8_ARRAY),
            (&column(|gone| gone.fp), Type::INT8_ARRAY),
            (&column(|gone| gone.accepted_ms), Type::INT8_ARRAY),
            (&ends, Type::INT8_ARRAY),
        ],
    )
    .await?;
    Ok(())
}

/// Of these bodies, those that no head refers to. An index look-up for each, whatever the planner thinks of the tables.
const UNNEEDED: &str = "DELETE FROM alarmbell.bodies b WHERE b.id = ANY($1) \
     AND (SELECT h.pos FROM alarmbell.heads h WHERE h.body = b.id LIMIT 1) IS NULL \
     RETURNING b.id, b.bot, octet_length(b.body)";

/// Deletes those of these bodies that no head refers to any more.
pub(super) async fn drop_bodies(
    tx: &Transaction<'_>,
    bodies: impl IntoIterator<Item = i64>,
    books: &mut Books,
) -> Result<(), Fault> {
    let mut left: HashSet<i64> = bodies.into_iter().collect();
    if left.is_empty() {
        return Ok(());
    }
    delete_unneeded(tx, &mut left, books).await?;
    if left.is_empty() {
        return Ok(());
    }
    // Others may take the heads that still need these, at this moment. Whoever has the body's lock after the other sees
    // what the other took; without it, each would leave the body to the other.
    let mut ids: Vec<i64> = left.iter().copied().collect();
    ids.sort_unstable();
    let sql = "SELECT id FROM alarmbell.bodies WHERE id = ANY($1) ORDER BY id FOR UPDATE";
    tx.query_typed(sql, &[(&ids, Type::INT8_ARRAY)]).await?;
    delete_unneeded(tx, &mut left, books).await
}

async fn delete_unneeded(tx: &Transaction<'_>, left: &mut HashSet<i64>, books: &mut Books) -> Result<(), Fault> {
    let ids: Vec<i64> = left.iter().copied().collect();
    for row in tx.query_typed(UNNEEDED, &[(&ids, Type::INT8_ARRAY)]).await? {
        left.remove(&row.try_get(0)?);
        books.of(row.try_get(1)?).body_bytes -= i64::from(row.try_get::<_, i32>(2)?);
    }
    Ok(())
}

/// Where appended heads come from and go to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy<'a> {
    pub(super) from: i32,
    /// In order.
    pub(super) positions: &'a [i64],
    pub(super) to: i32,
    /// The last position that was given out at `to`, those of these heads included.
    pub(super) last: i64,
    /// Old and new ids of vias; others stay.
    pub(super) vias: (&'a [i32], &'a [i32]),
}

/// Appends heads anew for another bot, at positions that were booked for them.
pub(super) async fn copy(tx: &Transaction<'_>, copy: Copy<'_>) -> Result<(), Fault> {
    let base = copy.last - super::books::count(copy.positions.len());
    let sql = "INSERT INTO alarmbell.heads (bot, pos, body, body_len, idx, fp, grp, status, severity, flags, starts_ms, \
         ends_ms, accepted_ms, via) \
         SELECT $3, $4 + row_number() OVER (ORDER BY h.pos), h.body, h.body_len, h.idx, h.fp, h.grp, h.status, \
         h.severity, h.flags, h.starts_ms, h.ends_ms, h.accepted_ms, coalesce(v.new, h.via) \
         FROM alarmbell.heads h LEFT JOIN unnest($5, $6) AS v (old, new) ON v.old = h.via \
         WHERE h.bot = $1 AND h.pos = ANY($2)";
    let written = tx
        .execute_typed(
            sql,
            &[
                (&copy.from, Type::INT4),
                (&copy.positions, Type::INT8_ARRAY),
                (&copy.to, Type::INT4),
                (&base, Type::INT8),
                (&copy.vias.0, Type::INT4_ARRAY),
                (&copy.vias.1, Type::INT4_ARRAY),
            ],
        )
        .await?;
    // They are locked, so all are there; a gap in the positions would stop the feed.
    if usize::try_from(written).unwrap_or(usize::MAX) == copy.positions.len() {
        return Ok(());
    }
    Err(crate::store::StoreError::Unavailable("heads went while they were copied".to_owned()).into())
}
