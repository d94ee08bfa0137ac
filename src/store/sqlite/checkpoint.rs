//! Moving the write-ahead log into the database file without long pauses on the way in.
//!
//! SQLite's own automatic checkpoint runs inside a commit and copies everything at once. Here a thread with its own
//! connection copies while the writer goes on. SQLite starts the log over only when a transaction begins with all of
//! it copied, and under load the thread never gets that far; so when little is left the writer copies the rest itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::reserve::LOG_BYTES;

/// Frames (pages of 4 KB) not yet copied that wake the thread: 32 MB. Syncing the database file delays commits, so it is
/// done seldom: with 4 MB, the 99th percentile of an append under load was three times as long.
const WAKE: i64 = 8_000;
/// Frames in the log from which the writer copies the rest itself, if that is little: 64 MB.
const START_OVER: i64 = 16_000;
/// How much is little: 4 MB.
const LITTLE: i64 = 1_000;
/// Frames from which the writer copies everything itself, because the disk does not keep up, and new readers wait, because
/// those before them leave no moment in which the log could start over: 256 MB.
const TOO_MANY: i64 = 64_000;

/// What is done about the log after a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    Nothing,
    /// The thread copies.
    Wake,
    /// The writer copies.
    Copy,
}

fn next(frames: i64, copied: i64, low: bool) -> Next {
    let left = frames - copied;
    if low || frames >= TOO_MANY || (frames >= START_OVER && left > 0 && left <= LITTLE) {
        Next::Copy
    } else if left >= WAKE || (frames >= START_OVER && left > LITTLE) {
        Next::Wake
    } else {
        Next::Nothing
    }
}

/// The log is made this large before it is needed: as large as it stays. A commit that makes the
/// file longer waits for the file system's journal as well: measured on ext4, 0.6 to 1.1 ms in the median and 15 to
/// 19 ms in the 99th percentile, instead of 0.15 and 7 ms.
const ROOM: u64 = LOG_BYTES.cast_unsigned();
/// So much at once, since a webhook may come meanwhile: about 2 ms.
const STEP: usize = 1 << 20;

/// Makes room in the log ahead of time.
pub(super) struct Room {
    /// `None` when there is enough, or none to be had.
    file: Option<File>,
    wanted: bool,
}

impl Room {
    /// In this log.
    pub(super) const fn new(log: Option<File>) -> Self {
        Self { file: log, wanted: false }
    }

    /// There was a webhook: a server that gets none keeps a small log.
    pub(super) const fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether there is something to do when nothing else is.
    pub(super) const fn is_wanted(&self) -> bool {
        self.wanted && self.file.is_some()
    }

    /// Makes the log a step longer. SQLite takes zeros for the log's end, and the write lock keeps other processes (the
    /// `send` command) from writing in the same place.
    pub(super) fn make(&mut self, conn: &Connection) {
        let Some(file) = self.file.take() else { return };
        if let Err(error) = conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])) {
            tracing::debug!(%error, "no room is made in the log before the next webhook");
            self.wanted = false;
            self.file = Some(file);
            return;
        }
        match lengthen(&file) {
            Ok(true) => self.file = Some(file),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "no room in the log ahead of time; it grows as it is needed"),
        }
        // When even this fails, the next transaction does too and says so.
        let _ = conn.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]));
    }
}

/// Whether there is more to do.
fn lengthen(file: &File) -> io::Result<bool> {
    let len = file.metadata()?.len();
    if len >= ROOM {
        return Ok(false);
    }
    let most = usize::try_from(ROOM - len).unwrap_or(STEP);
    file.write_all_at(&vec![0; STEP.min(most)], len)?;
    file.sync_data()?;
    Ok(true)
}

/// The writer's side.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread on a connection of its own.
    ///
    /// # Errors
    /// When the machine has no more threads.
    pub(super) fn start(conn: Connection) -> std::io::Result<Self> {
        let (wake, woken) = sync_channel(1);
        let thread =
            std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || run(&conn, &woken))?;
        Ok(Self { wake, thread: Some(thread) })
    }

    /// Looks at the log after a commit. `true` when readers must make way for a moment, so that it can start over.
    ///
    /// With little room on the disk it must not grow: it is copied at once.
    pub(super) fn after_commit(&self, conn: &Connection, low: bool) -> bool {
        let Ok((frames, copied)) = checkpoint(conn, "NOOP") else { return false };
        match next(frames, copied, low) {
            Next::Nothing => {}
            // A full channel means that it is awake.
            Next::Wake => drop(self.wake.try_send(())),
            // Another try follows the next commit.
            Next::Copy => drop(checkpoint(conn, "PASSIVE")),
        }
        frames >= TOO_MANY
    }

    /// After a failed transaction: a log that is copied can be started over, which needs no new room.
    pub(super) fn after_failure(&self) {
        // A full channel means that it is awake.
        let _ = self.wake.try_send(());
    }

    /// Ends the thread and closes the writer's connection: in order, with everything copied, or as a crash would.
    pub(super) fn finish(self, conn: Connection, orderly: bool) {
        drop(self.wake);
        if let Some(thread) = self.thread {
            // A panic there has nothing to add here.
            let _ = thread.join();
        }
        if orderly {
            // What is not copied now is copied at the next start.
            let _ = checkpoint(&conn, "TRUNCATE");
        } else {
            let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// Frames in the log and how many of them are copied.
fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    let sql = match mode {
        "NOOP" => "PRAGMA wal_checkpoint(NOOP)",
        "PASSIVE" => "PRAGMA wal_checkpoint(PASSIVE)",
        _ => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    conn.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

fn run(conn: &Connection, woken: &Receiver<()>) {
    // Closing this connection must not checkpoint: an orderly end does that once, on the writer's.
    let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    while woken.recv().is_ok() {
        if let Err(error) = checkpoint(conn, "PASSIVE") {
            tracing::debug!(%error, "checkpoint failed; the next one tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::store::sqlite::files;

    #[test]
    fn the_log_is_copied_by_whom_it_delays_least() {
        let table = [
            (0, 0, false, Next::Nothing),
            (WAKE - 1, 0, false, Next::Nothing),
            (WAKE, 0, false, Next::Wake),
            (WAKE, 1, false, Next::Nothing),
            // All is copied, and the next transaction starts it over.
            (START_OVER, START_OVER, false, Next::Nothing),
            (START_OVER, START_OVER - LITTLE, false, Next::Copy),
            (START_OVER, START_OVER - LITTLE - 1, false, Next::Wake),
            (START_OVER - 1, START_OVER - 2, false, Next::Nothing),
            (TOO_MANY, 0, false, Next::Copy),
            (3, 0, true, Next::Copy),
        ];
        for (frames, copied, low, expected) in table {
            assert_eq!(next(frames, copied, low), expected, "{frames} {copied} {low}");
        }
    }

    fn count(conn: &Connection) -> i64 {
        conn.query_row("SELECT count(*) FROM vias", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_log_with_room_ahead_is_read_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let conn = files::open_writer(folder.path()).unwrap();
        let mut room = Room::new(files::open_log(folder.path()));
        assert!(!room.is_wanted());
        room.want();
        let mut rows = 0;
        while room.is_wanted() {
            conn.execute("INSERT INTO vias (text) VALUES (?1)", [rows]).unwrap();
            rows += 1;
            room.make(&conn);
        }
        conn.execute("INSERT INTO vias (text) VALUES (?1)", [rows]).unwrap();
        let log = folder.path().join("alarmbell.db-wal");
        assert_eq!(std::fs::metadata(&log).unwrap().len(), ROOM);
        let crashed = tempfile::tempdir().unwrap();
        for name in ["alarmbell.db", "alarmbell.db-wal"] {
            std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
        }
        assert_eq!(count(&files::open_writer(crashed.path()).unwrap()), rows + 1);
        // Starting the log over keeps the room.
        checkpoint(&conn, "PASSIVE").unwrap();
        conn.execute("INSERT INTO vias (text) VALUES ('after')", []).unwrap();
        assert_eq!(std::fs::metadata(&log).unwrap().len(), ROOM);
        assert_eq!(count(&conn), rows + 2);
    }

    #[test]
    fn another_writer_puts_the_room_off() {
        let folder = tempfile::tempdir().unwrap();
        let conn = files::open_writer(folder.path()).unwrap();
        conn.busy_timeout(std::time::Duration::ZERO).unwrap();
        let other = files::open_checkpointer(folder.path()).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut room = Room::new(files::open_log(folder.path()));
        let log = folder.path().join("alarmbell.db-wal");
        let before = std::fs::metadata(&log).unwrap().len();
        room.want();
        room.make(&conn);
        assert!(!room.is_wanted());
        assert_eq!(std::fs::metadata(&log).unwrap().len(), before);
        other.execute_batch("ROLLBACK").unwrap();
        room.want();
        room.make(&conn);
        assert!(std::fs::metadata(&log).unwrap().len() > before);
    }
}
