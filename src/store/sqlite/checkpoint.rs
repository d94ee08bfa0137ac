//! Moving the write-ahead log into the database file without long pauses on the way in.
//!
//! SQLite's own automatic checkpoint runs inside a commit and copies everything at once. Here a thread with its own
//! connection copies while the writer goes on. SQLite starts the log over only when a transaction begins with all of
//! it copied, and under load the thread never gets that far; so when little is left the writer copies the rest itself.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

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
    use super::*;

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
}
