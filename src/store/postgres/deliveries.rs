//! What people look up: where each alert stands.

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::Inner;
use super::db::{Fault, again};
use super::heads::SILENT;
use super::history::{bot_id, snapshot};
use super::letters::read_alert;
use crate::model::{Fingerprint, Status};
use crate::store::{Delivery, DeliveryPage, DeliveryQuery, DeliveryState, StoreError};

/// Rows of a page.
const MAX_LIMIT: u32 = 1_000;

/// Where a page begins: after this row of this section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cursor {
    state: DeliveryState,
    /// A bot, or a dead letter's id.
    first: i64,
    /// A head's position, or a told state's fingerprint.
    second: i64,
}

/// The order of the sections.
const SECTIONS: [(DeliveryState, char); 3] =
    [(DeliveryState::Waiting, 'w'), (DeliveryState::Told, 't'), (DeliveryState::Dead, 'd')];

impl Cursor {
    const fn start(state: DeliveryState) -> Self {
        Self { state, first: i64::MIN, second: i64::MIN }
    }

    fn write(self) -> String {
        let letter = SECTIONS.iter().find(|(state, _)| *state == self.state).map_or('w', |(_, letter)| *letter);
        format!("{letter}{:016x}{:016x}", self.first, self.second)
    }

    fn parse(text: &str) -> Option<Self> {
        let (state, letter) = SECTIONS.iter().find(|(_, letter)| text.starts_with(*letter))?;
        let digits = text.strip_prefix(*letter)?;
        let (first, second) = digits.split_at_checked(16)?;
        let number = |digits: &str| Fingerprint::parse(digits).map(|number| number.0.cast_signed());
        Some(Self { state: *state, first: number(first)?, second: number(second)? })
    }
}

/// A page of deliveries: what waits, then what was told, then dead letters.
pub(super) async fn deliveries(inner: &Inner, query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
    let after = match &query.after {
        None => None,
        Some(text) => Some(Cursor::parse(text).ok_or(StoreError::NotFound)?),
    };
    again!(inner.people, conn => page(inner, &mut conn, query, after))
}

async fn page(
    inner: &Inner,
    conn: &mut Object,
    query: &DeliveryQuery,
    after: Option<Cursor>,
) -> Result<DeliveryPage, Fault> {
    let limit = usize::try_from(query.limit.clamp(1, MAX_LIMIT)).unwrap_or(1);
    let tx = snapshot(conn, inner.people.patience).await?;
    let bot = match &query.bot {
        None => None,
        Some(name) => match bot_id(&tx, name).await? {
            Some(id) => Some(id),
            None => return Ok(DeliveryPage::default()),
        },
    };
    let mut lines: Vec<(Cursor, Delivery)> = Vec::new();
    let mut begun = after.is_none();
    for (state, _) in SECTIONS {
        let from = match after {
            Some(after) if after.state == state => after,
            _ => Cursor::start(state),
        };
        begun |= after.is_some_and(|after| after.state == state);
        if !begun || !(query.states.is_empty() || query.states.contains(&state)) || lines.len() > limit {
            continue;
        }
        // One more than asked says whether there is a next page.
        let want = i64::try_from(limit + 1 - lines.len()).unwrap_or(i64::MAX);
        let sql = section(state, bot.is_some());
        let params = [
            (&from.first as _, Type::INT8),
            (&from.second as _, Type::INT8),
            (&want as _, Type::INT8),
            (&bot as _, Type::INT4),
        ];
        for row in tx.query_typed(&sql, &params).await? {
            let cursor = Cursor { state, first: row.try_get(0)?, second: row.try_get(1)? };
            lines.push((cursor, read(&row, state)?));
        }
    }
    tx.commit().await?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = lines.last().filter(|_| more).map(|(cursor, _)| cursor.write());
    Ok(DeliveryPage { rows: lines.into_iter().map(|(_, delivery)| delivery).collect(), next })
}

/// The statement of a section. Gives two parts of the cursor, the bot's name, fingerprint and status (of a dead letter its
/// alert), time, message.
fn section(state: DeliveryState, of_bot: bool) -> String {
    match state {
        DeliveryState::Waiting => format!(
            "SELECT h.bot::bigint, h.pos, b.name, h.fp, h.status, h.accepted_ms, NULL::text FROM alarmbell.heads h \
             JOIN alarmbell.bots b ON b.id = h.bot WHERE (h.bot, h.pos) > ($1, $2) AND NOT {SILENT} AND {} \
             ORDER BY h.bot, h.pos LIMIT $3",
            if of_bot { "h.bot = $4" } else { "$4::int4 IS NULL" }
        ),
        DeliveryState::Told => format!(
            "SELECT t.bot::bigint, t.fp, b.name, t.fp, t.status, t.told_ms, m.id FROM alarmbell.told t \
             JOIN alarmbell.bots b ON b.id = t.bot LEFT JOIN alarmbell.messages m ON m.seq = t.message \
             WHERE (t.bot, t.fp) > ($1, $2) AND {} ORDER BY t.bot, t.fp LIMIT $3",
            if of_bot { "t.bot = $4" } else { "$4::int4 IS NULL" }
        ),
        DeliveryState::Dead => format!(
            "SELECT d.id, 0::bigint, b.name, d.alert, 0, d.at_ms, NULL::text FROM alarmbell.dead_letters d \
             JOIN alarmbell.bots b ON b.id = d.bot WHERE d.id > $1 AND $2::bigint IS NOT NULL AND {} \
             ORDER BY d.id LIMIT $3",
            if of_bot { "d.bot = $4" } else { "$4::int4 IS NULL" }
        ),
    }
}

fn read(row: &Row, state: DeliveryState) -> Result<Delivery, Fault> {
    let (fingerprint, status) = if state == DeliveryState::Dead {
        let alert = read_alert(row.try_get(3)?)?;
        (alert.fingerprint, alert.status)
    } else {
        let status = if row.try_get::<_, i16>(4)? == 0 { Status::Firing } else { Status::Resolved };
        (Fingerprint(row.try_get::<_, i64>(3)?.cast_unsigned()), status)
    };
    let message = row.try_get(6)?;
    Ok(Delivery { bot: row.try_get(2)?, fingerprint, status, state, at_ms: row.try_get(5)?, message })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn cursors_survive_and_foreign_text_is_none() {
        for (state, first, second) in
            [(DeliveryState::Waiting, 7, 0), (DeliveryState::Told, 3, i64::MIN), (DeliveryState::Dead, i64::MAX, -1)]
        {
            let cursor = Cursor { state, first, second };
            assert_eq!(Cursor::parse(&cursor.write()), Some(cursor));
        }
        for text in ["", "w", "x00000000000000070000000000000000", "w7", "d0000000000000007é000000000000000"] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
