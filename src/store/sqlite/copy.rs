//! The two ends of a copy in a SQLite file.
//!
//! Statements run where they are called: a copy has a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::fault::Fault;
use super::{files, schema, tx};
use crate::store::StoreError;
use crate::store::copy::{
    ATTEMPTS, BODIES, Batch, Bounds, HEADS, POS_BITS, Row, Source, Standing, Survey, TABLES, Table, Target, Value,
};

/// The highest bot whose positions fit into a head's key.
const BOT_MAX: i64 = (1 << (63 - POS_BITS)) - 1;

/// Which bodies are needed, and by whom first: a few bytes for each that waits.
const NEEDED: &str = "CREATE TEMP TABLE needed (of INTEGER PRIMARY KEY, first_bot INTEGER NOT NULL); \
     INSERT INTO needed SELECT body, min(key) >> 40 FROM heads GROUP BY body;";

const STANDINGS: &str = "SELECT name, accepted, told_named, told_counted, superseded, dead, \
     (SELECT count(*) FROM heads WHERE key BETWEEN (bots.id << 40) AND (bots.id << 40) + 1099511627775) \
     FROM bots ORDER BY id";

/// The table of the copy's note; it goes with the copy's end.
const NOTE: &str = "CREATE TABLE copy_note (note TEXT NOT NULL) STRICT";

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn value(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        // No column has the type.
        ValueRef::Real(_) => Value::Null,
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

/// Whose columns are in what order: the neutral ones, out of the file's.
fn select(table: &Table) -> String {
    let columns: Vec<&str> = table
        .columns
        .iter()
        .map(|column| match (table.name, column.name) {
            (HEADS, "bot") => "key >> 40",
            (HEADS, "pos") => "key & 1099511627775",
            (BODIES, "bot") => "needed.first_bot",
            (_, name) => name,
        })
        .collect();
    let columns = columns.join(", ");
    match table.name {
        BODIES => format!("SELECT {columns} FROM bodies JOIN temp.needed ON needed.of = bodies.id"),
        name => format!("SELECT {columns} FROM {name}"),
    }
}

fn page(table: &Table, after: bool) -> String {
    let key = table.key_names();
    let marks: Vec<String> = (1..=table.key).map(|n| format!("?{n}")).collect();
    let (rest, order) = match table.name {
        HEADS => ("key > (?1 << 40) + ?2".to_owned(), "key"),
        _ => (format!("({key}) > ({})", marks.join(", ")), key.as_str()),
    };
    let rest = if after { format!("WHERE {rest}") } else { String::new() };
    format!("{} {rest} ORDER BY {order}", select(table))
}

fn insert(table: &Table) -> String {
    let mut names = Vec::new();
    let mut values = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        match (table.name, column.name) {
            (HEADS, "bot") => {
                names.push("key");
                values.push("(?1 << 40) + ?2".to_owned());
            }
            (HEADS, "pos") | (BODIES, "bot") => {}
            (_, name) => {
                names.push(name);
                values.push(format!("?{}", at + 1));
            }
        }
    }
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), values.join(", "))
}

fn survey(conn: &Connection, needed: bool) -> Result<Survey, Fault> {
    let mut survey = Survey::default();
    for table in TABLES {
        let from = match table.name {
            BODIES if needed => "bodies JOIN temp.needed ON needed.of = bodies.id",
            name => name,
        };
        let columns = 1 + table.marks.len();
        let sql = format!("SELECT {} FROM {from}", table.survey());
        survey.0.push(conn.query_row(&sql, [], |row| (0..columns).map(|at| row.get(at)).collect())?);
    }
    Ok(survey)
}

fn standings(conn: &Connection) -> Result<Vec<Standing>, Fault> {
    let mut statement = conn.prepare(STANDINGS)?;
    let rows = statement.query_map([], |row| {
        let terms = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?];
        Ok(Standing { bot: row.get(0)?, terms, heads: row.get(6)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A store that is read, in one snapshot. No server can open it meanwhile.
pub(in crate::store) struct From {
    path: PathBuf,
    conn: Connection,
    _lock: File,
}

impl From {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, StoreError> {
        if !files::database(path).exists() {
            return Err(StoreError::Unusable(format!("there is no store in {}", path.display())));
        }
        let lock = files::lock(path)?;
        let open = || {
            let conn = files::open_reader(path)?;
            schema::must_be_present(&conn)?;
            conn.execute_batch("BEGIN")?;
            conn.execute_batch(NEEDED)?;
            Ok(conn)
        };
        let conn = open().map_err(|fault| files::placed(path, &fault))?;
        Ok(Self { path: path.to_owned(), conn, _lock: lock })
    }

    fn batch(&self, table: &Table, after: Option<&[Value]>, bounds: Bounds) -> Result<Vec<Row>, Fault> {
        let mut statement = self.conn.prepare_cached(&page(table, after.is_some()))?;
        let mut rows = statement.query(params_from_iter(after.unwrap_or_default()))?;
        let mut batch = Batch::new(bounds);
        while !batch.is_full() {
            let Some(row) = rows.next()? else { break };
            let columns = 0..table.columns.len();
            batch.push(columns.map(|at| row.get_ref(at).map(value)).collect::<Result<_, _>>()?);
        }
        Ok(batch.rows)
    }
}

#[async_trait]
impl Source for From {
    async fn survey(&mut self) -> Result<Survey, StoreError> {
        Ok(survey(&self.conn, true)?)
    }

    async fn standings(&mut self) -> Result<Vec<Standing>, StoreError> {
        Ok(standings(&self.conn)?)
    }

    async fn read(
        &mut self,
        table: &'static Table,
        after: Option<&[Value]>,
        bounds: Bounds,
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.batch(table, after, bounds)?)
    }

    async fn at_last(&mut self) -> Result<Survey, StoreError> {
        // The lock keeps servers out, but not `alarmbell send`.
        let look = || {
            let conn = files::open_reader(&self.path)?;
            conn.execute_batch(NEEDED)?;
            survey(&conn, true)
        };
        Ok(look()?)
    }
}

/// A store that is written. No server can open it meanwhile.
pub(in crate::store) struct To {
    path: PathBuf,
    conn: Connection,
    /// Attempts' ids count per robot in the source, so they get new ones: in the order of robot and id, which keeps the
    /// order of each robot's.
    renumber: bool,
    _lock: File,
}

impl To {
    pub(in crate::store) fn open(path: &Path, renumber: bool) -> Result<Self, StoreError> {
        files::make_folder(path)?;
        let lock = files::lock(path)?;
        let conn = files::open_copy(path)?;
        // Nobody else brings the log back into the file here.
        conn.execute_batch("PRAGMA wal_autocheckpoint = 1000").map_err(Fault::from)?;
        Ok(Self { path: path.to_owned(), conn, renumber, _lock: lock })
    }

    /// Does it all or nothing.
    fn change(&mut self, work: impl FnOnce(&Connection) -> Result<(), Fault>) -> Result<(), StoreError> {
        let tx = self.conn.transaction().map_err(Fault::from)?;
        work(&tx)?;
        Ok(tx.commit().map_err(Fault::from)?)
    }
}

fn write(conn: &Connection, table: &Table, rows: &mut [Row], renumber: bool) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached(&insert(table))?;
    for row in rows {
        if table.name == HEADS {
            check_key(row)?;
        }
        if table.name == ATTEMPTS && renumber && row.len() > 1 {
            row[1] = Value::Null;
        }
        statement.execute(params_from_iter(row.iter()))?;
    }
    Ok(())
}

/// Whether bot and position fit into a head's key.
fn check_key(row: &[Value]) -> Result<(), Fault> {
    let (Some(Value::Int(bot)), Some(Value::Int(pos))) = (row.first(), row.get(1)) else { return Ok(()) };
    if (0..=BOT_MAX).contains(bot) && tx::key_at(*bot, *pos).is_some() {
        return Ok(());
    }
    Err(StoreError::Unusable(format!("a SQLite store can not hold position {pos} of bot {bot}")).into())
}

fn set_note(conn: &Connection, note: &str) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE copy_note SET note = ?1")?.execute([note])?;
    Ok(())
}

#[async_trait]
impl Target for To {
    async fn note(&mut self) -> Result<Option<String>, StoreError> {
        let note = || {
            if !schema::is_unfinished(&self.conn)? {
                return Ok(None);
            }
            let note = self.conn.query_row("SELECT note FROM copy_note", [], |row| row.get(0)).optional()?;
            Ok::<_, Fault>(Some(note.unwrap_or_default()))
        };
        Ok(note()?)
    }

    async fn is_empty(&mut self) -> Result<bool, StoreError> {
        for table in TABLES {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
            if self.conn.query_row(&sql, [], |row| row.get(0)).map_err(Fault::from)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn begin(&mut self, note: &str) -> Result<(), StoreError> {
        self.change(|conn| {
            conn.execute_batch(NOTE)?;
            conn.execute("INSERT INTO copy_note (note) VALUES (?1)", [note])?;
            schema::mark(conn, true)
        })
    }

    async fn write(
        &mut self,
        table: &'static Table,
        mut rows: Vec<Row>,
        _before: &str,
        note: &str,
    ) -> Result<(), StoreError> {
        // The lock makes sure that the note is the one before.
        let renumber = self.renumber;
        self.change(|conn| {
            write(conn, table, &mut rows, renumber)?;
            set_note(conn, note)
        })
    }

    async fn complete(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn survey(&mut self) -> Result<Survey, StoreError> {
        Ok(survey(&self.conn, false)?)
    }

    async fn standings(&mut self) -> Result<Vec<Standing>, StoreError> {
        Ok(standings(&self.conn)?)
    }

    async fn finish(&mut self, _note: &str) -> Result<(), StoreError> {
        self.change(|conn| {
            conn.execute_batch("DROP TABLE copy_note")?;
            schema::mark(conn, false)
        })?;
        // What stays in the log is found there by the server.
        let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        Ok(())
    }

    fn how_to_empty(&self) -> String {
        format!("delete the folder {} or name another", self.path.display())
    }
}
