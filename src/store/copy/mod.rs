//! Moves a whole store from one engine to another, or between two of one kind.
//!
//! Table by table in the order of their keys, in batches of bounded bytes. How far it got stands in the target, in the
//! transaction of each batch, so that a copy that was cut off goes on where it was. Until it is complete, the target says
//! that it is unfinished and no server opens it; then it is checked against the source: rows of each table, and for each
//! bot the terms of the proof. The source is only read.

mod tables;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub(super) use tables::{ATTEMPTS, BODIES, Column, HEADS, Kind, POS_BITS, Row, TABLES, Table, Value, weight};

use super::{StoreError, postgres, sqlite};
use crate::model::{Millis, Secret};

/// Of the notes in the target; another one can not be gone on with.
const FORMAT: u32 = 1;

/// The verdict of an attempt whose outcome nobody wrote down.
const UNKNOWN: &str = "unknown_outcome";

/// Where a store is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// The folder of an embedded store.
    Folder(PathBuf),
    /// The URL of a PostgreSQL database.
    Database(Secret),
}

/// What to copy.
#[derive(Clone, Debug)]
pub struct Order {
    /// The store that is read.
    pub from: Place,
    /// Where the copy goes: no store, or this copy's own unfinished one.
    pub to: Place,
    /// The wall clock: attempts that the source's server did not end have ended now at the latest.
    pub now_ms: Millis,
    /// Rows of one batch at most (at least 1).
    pub batch_rows: usize,
    /// Bytes of one batch, beyond its first row. Memory holds about three times as much.
    pub batch_bytes: usize,
}

impl Order {
    /// With batches of 2,000 rows and 4 MB.
    pub const fn new(from: Place, to: Place, now_ms: Millis) -> Self {
        Self { from, to, now_ms, batch_rows: 2_000, batch_bytes: 4 << 20 }
    }
}

/// How far a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The table at work.
    pub table: &'static str,
    /// Its rows that are copied.
    pub done: u64,
    /// Its rows.
    pub rows: u64,
    /// Rows that are copied, all tables.
    pub all_done: u64,
    /// Rows, all tables.
    pub all_rows: u64,
}

/// What was copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Rows of each table.
    pub tables: Vec<(&'static str, u64)>,
    /// Bots whose proof was compared.
    pub bots: usize,
    /// Alert states that wait in the copy.
    pub waiting: u64,
    /// Attempts whose server did not end them.
    pub ended: u64,
    /// Whether an earlier copy was gone on with.
    pub resumed: bool,
    /// Bots whose counters do not match what waits, in the source already.
    pub unproved: Vec<String>,
}

/// Why a copy was not made, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It can not be begun, or not be gone on with. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The caller ended it between two batches; it can be gone on with.
    #[error("stopped; the same command goes on from here")]
    Stopped,
    /// The copy is not what the source is.
    #[error("{0}")]
    Wrong(String),
    /// A store can not be used.
    #[error("the {0}: {1}")]
    Store(&'static str, StoreError),
}

/// Bounds of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Collects rows up to the bounds.
pub(super) struct Batch {
    bounds: Bounds,
    bytes: usize,
    pub(super) rows: Vec<Row>,
}

impl Batch {
    pub(super) const fn new(bounds: Bounds) -> Self {
        Self { bounds, bytes: 0, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.bytes += weight(&row);
        self.rows.push(row);
    }

    pub(super) const fn is_full(&self) -> bool {
        self.rows.len() >= self.bounds.rows || self.bytes >= self.bounds.bytes
    }
}

/// Of each table in order, the number of rows and the marks: what a store looks like from afar.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Survey(pub(super) Vec<Vec<i64>>);

impl Survey {
    fn rows(&self, at: usize) -> u64 {
        self.0.get(at).and_then(|marks| marks.first()).map_or(0, |rows| u64::try_from(*rows).unwrap_or_default())
    }

    /// Tables that are not as they were.
    fn changed(&self, other: &Self) -> String {
        let differs = |at: &usize| self.0.get(*at) != other.0.get(*at);
        let names: Vec<&str> = (0..TABLES.len()).filter(differs).map(|at| TABLES[at].name).collect();
        names.join(", ")
    }
}

/// A bot's terms of the proof, and its rows of heads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) bot: String,
    /// accepted, told by name, told in a number, superseded, dead.
    pub(super) terms: [i64; 5],
    pub(super) heads: i64,
}

impl Standing {
    fn is_proved(&self) -> bool {
        let [accepted, gone @ ..] = self.terms;
        gone.iter().try_fold(accepted, |rest, term| rest.checked_sub(*term)) == Some(self.heads)
    }
}

/// A store that is read. It looks the same during the whole copy.
#[async_trait]
pub(super) trait Source: Send {
    async fn survey(&mut self) -> Result<Survey, StoreError>;
    async fn standings(&mut self) -> Result<Vec<Standing>, StoreError>;
    /// The rows of a table behind this key, in the order of their keys. None: that was all.
    async fn read(
        &mut self,
        table: &'static Table,
        after: Option<&[Value]>,
        bounds: Bounds,
    ) -> Result<Vec<Row>, StoreError>;
    /// What the source looks like by now, at the end of the copy. An error when a server is there.
    async fn at_last(&mut self) -> Result<Survey, StoreError>;
}

/// A store that is written, by nobody else.
#[async_trait]
pub(super) trait Target: Send {
    /// What an unfinished copy noted here; `None` in an empty store.
    async fn note(&mut self) -> Result<Option<String>, StoreError>;
    /// Whether there is any row.
    async fn is_empty(&mut self) -> Result<bool, StoreError>;
    /// Marks the empty store as an unfinished copy.
    async fn begin(&mut self, note: &str) -> Result<(), StoreError>;
    /// Writes rows, and the note that they are written, in one transaction. Nothing when the note before is another.
    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        before: &str,
        note: &str,
    ) -> Result<(), StoreError>;
    /// Computes what this engine has besides the copied columns.
    async fn complete(&mut self) -> Result<(), StoreError>;
    async fn survey(&mut self) -> Result<Survey, StoreError>;
    async fn standings(&mut self) -> Result<Vec<Standing>, StoreError>;
    /// Opens the store for servers.
    async fn finish(&mut self, note: &str) -> Result<(), StoreError>;
    /// What to do for an empty store in this place.
    fn how_to_empty(&self) -> String;
}

/// How far a copy has come; it stands in the target.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Note {
    format: u32,
    /// The source when the copy began.
    source: Survey,
    /// The table at work.
    table: usize,
    /// Its last key that is copied.
    after: Option<Vec<Value>>,
    /// Its rows that are copied.
    done: u64,
    /// Attempts ended on the way.
    ended: u64,
}

impl Note {
    fn text(&self) -> Result<String, CopyError> {
        serde_json::to_string(self).map_err(|error| CopyError::Wrong(format!("the copy's note: {error}")))
    }
}

fn source(error: StoreError) -> CopyError {
    CopyError::Store("source", error)
}

fn target(error: StoreError) -> CopyError {
    CopyError::Store("target", error)
}

/// Copies a store. `watch` hears of each batch that is committed, and may end the copy there.
///
/// # Errors
/// See [`CopyError`]; but for refusals, the copy can be gone on with by calling again.
pub async fn copy(order: &Order, watch: &mut (dyn FnMut(Step) -> ControlFlow<()> + Send)) -> Result<Report, CopyError> {
    if same(&order.from, &order.to) {
        return Err(CopyError::Refused("the source and the target are the same store".to_owned()));
    }
    let mut from = open_source(&order.from).await.map_err(source)?;
    let renumber = matches!(order.from, Place::Database(_));
    let mut to = open_target(&order.to, renumber).await.map_err(target)?;
    let survey = from.survey().await.map_err(source)?;
    let (mut note, resumed) = start(&survey, to.as_mut()).await?;
    let mut written = note.text()?;
    let bounds = Bounds { rows: order.batch_rows.max(1), bytes: order.batch_bytes };
    while let Some(table) = TABLES.get(note.table) {
        let mut rows = from.read(table, note.after.as_deref(), bounds).await.map_err(source)?;
        let Some(last) = rows.last() else {
            note = Note { table: note.table + 1, after: None, done: 0, ..note };
            continue;
        };
        note.after = Some(table.key_of(last));
        note.done += rows.len() as u64;
        if table.name == ATTEMPTS {
            note.ended += end_attempts(table, &mut rows, order.now_ms);
        }
        let text = note.text()?;
        to.write(table, rows, &written, &text).await.map_err(target)?;
        written = text;
        if watch(step(&survey, table, &note)).is_break() {
            return Err(CopyError::Stopped);
        }
    }
    to.complete().await.map_err(target)?;
    let mut report = check(&survey, from.as_mut(), to.as_mut()).await?;
    to.finish(&written).await.map_err(target)?;
    report.resumed = resumed;
    report.ended = note.ended;
    Ok(report)
}

/// Where to begin, and whether that is a copy that was cut off.
async fn start(survey: &Survey, to: &mut dyn Target) -> Result<(Note, bool), CopyError> {
    let Some(text) = to.note().await.map_err(target)? else {
        if !to.is_empty().await.map_err(target)? {
            let how = to.how_to_empty();
            return Err(CopyError::Refused(format!("the target holds a store already; for an empty one, {how}")));
        }
        let note = Note { format: FORMAT, source: survey.clone(), table: 0, after: None, done: 0, ended: 0 };
        to.begin(&note.text()?).await.map_err(target)?;
        return Ok((note, false));
    };
    let how = to.how_to_empty();
    let note: Note = serde_json::from_str(&text).ok().filter(|note: &Note| note.format == FORMAT).ok_or_else(|| {
        CopyError::Refused(format!("the target holds an unfinished copy by another alarmbell; start over: {how}"))
    })?;
    if note.source != *survey {
        let changed = note.source.changed(survey);
        return Err(CopyError::Refused(format!(
            "the target holds an unfinished copy, and the source is another by now (see {changed}); start over: {how}"
        )));
    }
    Ok((note, true))
}

fn step(survey: &Survey, table: &'static Table, note: &Note) -> Step {
    let before: u64 = (0..note.table).map(|at| survey.rows(at)).sum();
    Step {
        table: table.name,
        done: note.done,
        rows: survey.rows(note.table),
        all_done: before + note.done,
        all_rows: (0..TABLES.len()).map(|at| survey.rows(at)).sum(),
    }
}

/// Ends what the source's server left open: it is gone, and its request ended before now.
fn end_attempts(table: &Table, rows: &mut [Row], now_ms: Millis) -> u64 {
    let at = |name| tables::column(table, name).unwrap_or_default();
    let (started, ended, verdict) = (at("started_ms"), at("ended_ms"), at("verdict"));
    let mut count = 0;
    for row in rows.iter_mut().filter(|row| row.get(ended) == Some(&Value::Null)) {
        let began = match row.get(started) {
            Some(Value::Int(ms)) => *ms,
            _ => now_ms,
        };
        row[ended] = Value::Int(now_ms.max(began));
        row[verdict] = Value::Text(UNKNOWN.to_owned());
        count += 1;
    }
    count
}

/// Compares the copy with the source, and the source with what it was.
async fn check(survey: &Survey, from: &mut dyn Source, to: &mut dyn Target) -> Result<Report, CopyError> {
    let copied = to.survey().await.map_err(target)?;
    let mut report = Report::default();
    for (at, table) in TABLES.iter().enumerate() {
        let (there, here) = (survey.rows(at), copied.rows(at));
        if there != here {
            let name = table.name;
            let how = to.how_to_empty();
            return Err(CopyError::Wrong(format!(
                "{name}: {there} rows in the source and {here} in the copy: something else writes there; start over: {how}"
            )));
        }
        report.tables.push((table.name, there));
    }
    let standings = from.standings().await.map_err(source)?;
    let copies = to.standings().await.map_err(target)?;
    if let Some((one, _)) = standings.iter().zip(&copies).find(|(one, other)| one != other) {
        return Err(CopyError::Wrong(format!("{}: the copy's counters are not the source's", one.bot)));
    }
    report.bots = standings.len();
    report.waiting = standings.iter().map(|bot| u64::try_from(bot.heads).unwrap_or_default()).sum();
    report.unproved = standings.into_iter().filter(|bot| !bot.is_proved()).map(|bot| bot.bot).collect();
    let now = from.at_last().await.map_err(source)?;
    if now != *survey {
        let (changed, how) = (survey.changed(&now), to.how_to_empty());
        return Err(CopyError::Wrong(format!(
            "the source was used while it was copied (see {changed}): stop what uses it, and start over: {how}"
        )));
    }
    Ok(report)
}

fn same(one: &Place, other: &Place) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match (one, other) {
        (Place::Folder(one), Place::Folder(other)) => real(one) == real(other),
        (Place::Database(one), Place::Database(other)) => one == other,
        _ => false,
    }
}

async fn open_source(place: &Place) -> Result<Box<dyn Source>, StoreError> {
    Ok(match place {
        Place::Folder(path) => Box::new(sqlite::copy::From::open(path)?),
        Place::Database(url) => Box::new(postgres::copy::From::open(url).await?),
    })
}

/// `renumber`: attempts' ids count per robot in the source.
async fn open_target(place: &Place, renumber: bool) -> Result<Box<dyn Target>, StoreError> {
    Ok(match place {
        Place::Folder(path) => Box::new(sqlite::copy::To::open(path, renumber)?),
        Place::Database(url) => Box::new(postgres::copy::To::open(url).await?),
    })
}
