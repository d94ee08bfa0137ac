//! The two ends of a copy in a PostgreSQL database.

mod sql;

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row as SqlRow};

use self::sql::{COMPLETE, COUNTING, STANDINGS, from, insert, page};
use super::db::{Db, Fault, again, text, transaction};
use super::{NOW_MS, Options, open, schema};
use crate::clock::SystemClock;
use crate::model::Secret;
use crate::store::StoreError;
use crate::store::copy::{Batch, Bounds, Column, Kind, Row, Source, Standing, Survey, TABLES, Table, Target, Value};

/// How long a statement may take: a survey reads everything.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// The state of a store that is an unfinished copy.
const COPYING: &str = "copying";
/// The key of the copy's note; it goes with the copy's end.
const NOTE: &str = "copy";

async fn connect(url: &Secret) -> Result<Db, StoreError> {
    let options = Options {
        statement_timeout: PATIENCE,
        connections: 2,
        ..Options::new(url.expose().into(), None, SystemClock::new())
    };
    open::connections(&options, options.connections)
}

/// A column of a batch.
enum Array {
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Int | Kind::Bool => Self::Int(Vec::with_capacity(rows)),
            Kind::Text => Self::Text(Vec::with_capacity(rows)),
            Kind::Bytes => Self::Bytes(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Int(all), Value::Int(number)) => all.push(Some(number)),
            (Self::Int(all), _) => all.push(None),
            (Self::Text(all), Value::Text(value)) => all.push(Some(text(&value).into_owned())),
            (Self::Text(all), _) => all.push(None),
            (Self::Bytes(all), Value::Bytes(bytes)) => all.push(Some(bytes)),
            (Self::Bytes(all), _) => all.push(None),
        }
    }

    fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Int(all) => (all, Type::INT8_ARRAY),
            Self::Text(all) => (all, Type::TEXT_ARRAY),
            Self::Bytes(all) => (all, Type::BYTEA_ARRAY),
        }
    }
}

fn arrays(table: &Table, rows: Vec<Row>) -> Vec<Array> {
    let mut arrays: Vec<Array> = table.columns.iter().map(|column| Array::new(column.kind, rows.len())).collect();
    for row in rows {
        for (array, value) in arrays.iter_mut().zip(row) {
            array.push(value);
        }
    }
    arrays
}

fn values(table: &Table, row: &SqlRow) -> Result<Row, Fault> {
    let read = |(at, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Int | Kind::Bool => row.try_get::<_, Option<i64>>(at)?.map_or(Value::Null, Value::Int),
            Kind::Text => row.try_get::<_, Option<String>>(at)?.map_or(Value::Null, Value::Text),
            Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map_or(Value::Null, Value::Bytes),
        })
    };
    table.columns.iter().enumerate().map(read).collect()
}

async fn survey(conn: &Client) -> Result<Survey, Fault> {
    let mut survey = Survey::default();
    for table in TABLES {
        let sql = format!("SELECT {} FROM {}", table.survey(), from(table));
        let row = conn.query_typed_one(&sql, &[]).await?;
        survey.0.push((0..row.len()).map(|at| row.try_get(at)).collect::<Result<_, _>>()?);
    }
    Ok(survey)
}

async fn standings(conn: &Client) -> Result<Vec<Standing>, Fault> {
    let mut standings = Vec::new();
    for row in conn.query_typed(STANDINGS, &[]).await? {
        let number = |at: usize| row.try_get::<_, i64>(at);
        let terms = [number(1)?, number(2)?, number(3)?, number(4)?, number(5)?];
        standings.push(Standing { bot: row.try_get(0)?, terms, heads: number(6)? });
    }
    Ok(standings)
}

/// Refuses while a replica's lease has not run out.
async fn nobody_there(conn: &Client) -> Result<(), Fault> {
    let sql = format!("SELECT name FROM alarmbell.replicas WHERE until_ms > {NOW_MS} ORDER BY name LIMIT 10");
    let rows = conn.query_typed(&sql, &[]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let why = format!(
        "alarmbell serves from the database ({}): stop it first; one that was killed is forgotten after 8 seconds",
        names.join(", ")
    );
    Err(StoreError::Unusable(why).into())
}

/// A store that is read, in one snapshot.
pub(in crate::store) struct From {
    conn: Object,
}

impl From {
    pub(in crate::store) async fn open(url: &Secret) -> Result<Self, StoreError> {
        let db = connect(url).await?;
        let conn = db.conn().await?;
        Self::begin(&conn).await?;
        Ok(Self { conn })
    }

    async fn begin(conn: &Object) -> Result<(), Fault> {
        let there: bool =
            conn.query_typed_one("SELECT to_regclass('alarmbell.meta') IS NOT NULL", &[]).await?.try_get(0)?;
        if !there {
            return Err(StoreError::Unusable("there is no store in the database".to_owned()).into());
        }
        schema::must_be_present(conn).await?;
        if schema::value(conn, schema::STATE).await?.as_deref() != Some(schema::READY) {
            return Err(StoreError::Unusable("the database holds a copy that is not complete".to_owned()).into());
        }
        nobody_there(conn).await?;
        conn.batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0",
        )
        .await?;
        Ok(())
    }

    async fn page(&self, table: &Table, after: Option<&[Value]>, bounds: Bounds) -> Result<Vec<Row>, Fault> {
        let sql = page(table, after.is_some(), bounds);
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
        for value in after.unwrap_or_default() {
            match value {
                Value::Int(number) => parameters.push((number, Type::INT8)),
                Value::Text(text) => parameters.push((text, Type::TEXT)),
                Value::Null | Value::Bytes(_) => {
                    return Err(StoreError::Unusable("the copy's note can not be read".to_owned()).into());
                }
            }
        }
        let mut batch = Batch::new(bounds);
        for row in self.conn.query_typed(&sql, &parameters).await? {
            batch.push(values(table, &row)?);
        }
        Ok(batch.rows)
    }

    async fn now(&self) -> Result<Survey, Fault> {
        self.conn.batch_execute("COMMIT").await?;
        nobody_there(&self.conn).await?;
        survey(&self.conn).await
    }
}

#[async_trait]
impl Source for From {
    async fn survey(&mut self) -> Result<Survey, StoreError> {
        Ok(survey(&self.conn).await?)
    }

    async fn standings(&mut self) -> Result<Vec<Standing>, StoreError> {
        Ok(standings(&self.conn).await?)
    }

    async fn read(
        &mut self,
        table: &'static Table,
        after: Option<&[Value]>,
        bounds: Bounds,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.page(table, after, bounds).await?)
    }

    async fn at_last(&mut self) -> Result<Survey, StoreError> {
        Ok(self.now().await?)
    }
}

/// A store that is written. Its state keeps servers out.
pub(in crate::store) struct To {
    db: Db,
}

impl To {
    pub(in crate::store) async fn open(url: &Secret) -> Result<Self, StoreError> {
        let db = connect(url).await?;
        schema::prepare(&db).await?;
        again!(db, conn => nobody_there(&conn))?;
        Ok(Self { db })
    }
}

async fn note(conn: &Object) -> Result<Option<String>, Fault> {
    match schema::value(conn, schema::STATE).await?.as_deref() {
        Some(COPYING) => Ok(Some(schema::value(conn, NOTE).await?.unwrap_or_default())),
        _ => Ok(None),
    }
}

async fn is_empty(conn: &Client) -> Result<bool, Fault> {
    for table in TABLES {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM alarmbell.{})", table.name);
        if conn.query_typed_one(&sql, &[]).await?.try_get(0)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn disturbed() -> Fault {
    StoreError::Unusable("another copy, or a server, has come to this database meanwhile".to_owned()).into()
}

async fn begin(conn: &mut Object, note: &str) -> Result<(), Fault> {
    let tx = transaction(conn, PATIENCE).await?;
    let state = [(&COPYING as &(dyn ToSql + Sync), Type::TEXT)];
    let sql = "UPDATE alarmbell.meta SET value = $1 WHERE key = 'state' AND value = 'ready'";
    if tx.execute_typed(sql, &state).await? != 1 {
        return Err(disturbed());
    }
    let sql = "INSERT INTO alarmbell.meta (key, value) VALUES ('copy', $1) \
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute_typed(sql, &[(&note, Type::TEXT)]).await?;
    tx.commit().await?;
    Ok(())
}

async fn write(conn: &mut Object, sql: &str, arrays: &[Array], before: &str, note: &str) -> Result<(), Fault> {
    let tx = transaction(conn, PATIENCE).await?;
    // A server that looked at the state before this copy began shows by its lease.
    let step = format!(
        "UPDATE alarmbell.meta SET value = $2 WHERE key = 'copy' AND value = $1 \
         AND NOT EXISTS (SELECT 1 FROM alarmbell.replicas WHERE until_ms > {NOW_MS})"
    );
    if tx.execute_typed(&step, &[(&before, Type::TEXT), (&note, Type::TEXT)]).await? != 1 {
        return Err(disturbed());
    }
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = arrays.iter().map(Array::parameter).collect();
    tx.execute_typed(sql, &parameters).await?;
    tx.commit().await?;
    Ok(())
}

async fn complete(conn: &mut Object) -> Result<(), Fault> {
    let tx = transaction(conn, PATIENCE).await?;
    tx.batch_execute(COMPLETE).await?;
    for (table, column) in COUNTING {
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('alarmbell.{table}', '{column}'), coalesce(max({column}), 1)::bigint, \
             max({column}) IS NOT NULL) FROM alarmbell.{table}"
        );
        tx.query_typed(&sql, &[]).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn finish(conn: &mut Object, note: &str) -> Result<(), Fault> {
    let tx = transaction(conn, PATIENCE).await?;
    let sql = "DELETE FROM alarmbell.meta WHERE key = 'copy' AND value = $1";
    if tx.execute_typed(sql, &[(&note, Type::TEXT)]).await? != 1 {
        return Err(disturbed());
    }
    let state = [(&schema::READY as &(dyn ToSql + Sync), Type::TEXT)];
    tx.execute_typed("UPDATE alarmbell.meta SET value = $1 WHERE key = 'state'", &state).await?;
    tx.commit().await?;
    Ok(())
}

#[async_trait]
impl Target for To {
    async fn note(&mut self) -> Result<Option<String>, StoreError> {
        again!(self.db, conn => note(&conn))
    }

    async fn is_empty(&mut self) -> Result<bool, StoreError> {
        again!(self.db, conn => is_empty(&conn))
    }

    async fn begin(&mut self, note: &str) -> Result<(), StoreError> {
        again!(self.db, conn => begin(&mut conn, note))
    }

    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        before: &str,
        note: &str,
    ) -> Result<(), StoreError> {
        let (sql, arrays) = (insert(table), arrays(table, rows));
        again!(self.db, conn => write(&mut conn, &sql, &arrays, before, note))
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        again!(self.db, conn => complete(&mut conn))
    }

    async fn survey(&mut self) -> Result<Survey, StoreError> {
        again!(self.db, conn => survey(&conn))
    }

    async fn standings(&mut self) -> Result<Vec<Standing>, StoreError> {
        again!(self.db, conn => standings(&conn))
    }

    async fn finish(&mut self, note: &str) -> Result<(), StoreError> {
        again!(self.db, conn => finish(&mut conn, note))?;
        // The database would do it by itself in a while; without, the first questions may be answered the slow way.
        let analyzed: Result<(), StoreError> = again!(self.db, conn => async {
            for table in TABLES {
                conn.batch_execute(&format!("ANALYZE alarmbell.{}", table.name)).await?;
            }
            Ok::<_, Fault>(())
        });
        if let Err(error) = analyzed {
            tracing::debug!(%error, "the copied tables were not analysed");
        }
        Ok(())
    }

    fn how_to_empty(&self) -> String {
        "run DROP SCHEMA alarmbell CASCADE in the target's database, or name another database".to_owned()
    }
}
