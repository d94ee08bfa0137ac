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
use crate::store::common::deliveries::{Cursor, Page};
use crate::store::{Delivery, DeliveryPage, DeliveryQuery, DeliveryState, StoreError};

/// A page of deliveries. A cursor is a bot (or a dead letter's id), and a head's position or a told state's fingerprint.
pub(super) async fn deliveries(inner: &Inner, query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
    again!(inner.people, conn => read_page(inner, &mut conn, query))
}

async fn read_page(inner: &Inner, conn: &mut Object, query: &DeliveryQuery) -> Result<DeliveryPage, Fault> {
    let mut page = Page::new(query)?;
    let tx = snapshot(conn, inner.people.patience).await?;
    let bot = match &query.bot {
        None => None,
        Some(name) => match bot_id(&tx, name).await? {
            Some(id) => Some(id),
            None => return Ok(DeliveryPage::default()),
        },
    };
    for from in page.starts.clone() {
        let want = page.want();
        if want == 0 {
            break;
        }
        let sql = section(from.state, bot.is_some());
        let params = [
            (&from.first as _, Type::INT8),
            (&from.second as _, Type::INT8),
            (&want as _, Type::INT8),
            (&bot as _, Type::INT4),
        ];
        for row in tx.query_typed(&sql, &params).await? {
            let cursor = Cursor { state: from.state, first: row.try_get(0)?, second: row.try_get(1)? };
            page.add(cursor, read(&row, from.state)?);
        }
    }
    tx.commit().await?;
    Ok(page.finish())
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
