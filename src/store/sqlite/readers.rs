//! Connections that only read: they never wait for the writer, nor it for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::fault::Fault;
use super::files;
use crate::model::Millis;
use crate::store::{AttemptTimes, RobotState, StoreError, StoredBody};

/// How long a read waits for the log at most: longer than any read that is under way.
const WAY: Duration = Duration::from_secs(15);

/// Holds new reads back while the log must start over: it can do so only in a moment in which nobody reads from it.
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(false)))
    }

    pub(super) fn hold(&self, held: bool) {
        self.0.send_if_modified(|now| std::mem::replace(now, held) != held);
    }

    async fn pass(&self) {
        if *self.0.borrow() {
            // After that, reading is worth more than the room that the log takes.
            let _ = timeout(WAY, self.0.subscribe().wait_for(|held| !held)).await;
        }
    }
}

/// A few connections, opened when they are needed first.
pub(super) struct Readers {
    path: PathBuf,
    gate: Arc<Gate>,
    idle: Mutex<Vec<Connection>>,
    free: Semaphore,
}

impl Readers {
    pub(super) fn new(path: PathBuf, gate: Arc<Gate>, connections: usize) -> Arc<Self> {
        Arc::new(Self { path, gate, idle: Mutex::new(Vec::new()), free: Semaphore::new(connections) })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // No code that can panic runs under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a read on a thread that may block, in one snapshot of the file.
    pub(super) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let closed = |_| StoreError::Unavailable("the store is closed".to_owned());
        let permit = self.free.acquire().await.map_err(closed)?;
        self.gate.pass().await;
        let readers = self.clone();
        let work = move || -> Result<T, Fault> {
            let idle = readers.idle().pop();
            let conn = match idle {
                Some(conn) => conn,
                None => files::open_reader(&readers.path)?,
            };
            let snapshot = conn.unchecked_transaction()?;
            let answer = read(&conn);
            snapshot.finish()?;
            if !readers.free.is_closed() {
                readers.idle().push(conn);
            }
            answer
        };
        let answer = tokio::task::spawn_blocking(work).await;
        drop(permit);
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StoreError::Unavailable("a read was cut off".to_owned())),
        }
    }

    /// Closes idle connections; no read begins any more.
    pub(super) fn close(&self) {
        self.free.close();
        self.gate.hold(false);
        self.idle().clear();
    }
}

/// The bodies with these ids, in the order asked.
pub(super) fn bodies(conn: &Connection, ids: &[i64]) -> Result<Vec<StoredBody>, Fault> {
    let mut find = conn.prepare_cached("SELECT received_ms, body FROM bodies WHERE id = ?1")?;
    let mut out = Vec::with_capacity(ids.len());
    for id in ids {
        let body = find.query_row([id], |row| {
            Ok(StoredBody { id: *id, received_ms: row.get(0)?, body: row.get::<_, Vec<u8>>(1)?.into() })
        });
        out.extend(body.optional()?);
    }
    Ok(out)
}

/// The text of a via id.
pub(super) fn via(conn: &Connection, id: u32) -> Result<Arc<str>, Fault> {
    let text: Option<String> =
        conn.prepare_cached("SELECT text FROM vias WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()?;
    Ok(text.ok_or(StoreError::NotFound)?.into())
}

/// A robot's state, and its attempts that are open or ended after a time.
pub(super) fn robot(conn: &Connection, hash: &str, since_ms: Millis) -> Result<(RobotState, Vec<AttemptTimes>), Fault> {
    let sql = "SELECT id, paused_until_ms, failures, failing_since_ms, last_verdict, last_verdict_ms, reason, remedy \
         FROM robots WHERE hash = ?1";
    let found = conn.prepare_cached(sql)?.query_row([hash], |row| {
        let state = RobotState {
            paused_until_ms: row.get(1)?,
            failures: row.get(2)?,
            failing_since_ms: row.get(3)?,
            last_verdict: row.get(4)?,
            last_verdict_ms: row.get(5)?,
            reason: row.get(6)?,
            remedy: row.get(7)?,
        };
        Ok((row.get::<_, i64>(0)?, state))
    });
    let Some((id, state)) = found.optional()? else { return Ok((RobotState::default(), Vec::new())) };
    let sql = "SELECT id, started_ms, ended_ms FROM attempts \
         WHERE robot = ?1 AND (ended_ms IS NULL OR ended_ms > ?2) ORDER BY id";
    let attempts = conn
        .prepare_cached(sql)?
        .query_map([id, since_ms], |row| {
            Ok(AttemptTimes { id: row.get(0)?, started_ms: row.get(1)?, ended_ms: row.get(2)? })
        })?
        .collect::<Result<_, _>>()?;
    Ok((state, attempts))
}

/// The fallback that was remembered for a bot.
pub(super) fn fallback_of(conn: &Connection, bot: &str) -> Result<Option<Arc<str>>, Fault> {
    let found: Option<Option<String>> = conn
        .prepare_cached("SELECT fallback FROM bots WHERE name = ?1")?
        .query_row([bot], |row| row.get(0))
        .optional()?;
    Ok(found.flatten().map(Into::into))
}
