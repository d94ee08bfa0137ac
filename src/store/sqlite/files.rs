//! The storage path: its folder, its lock, and connections to its database file.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault::Fault;
use super::reserve::LOG_BYTES;
use super::schema;
use crate::store::StoreError;

/// How long another process may hold the file before an operation gives up.
const BUSY: Duration = Duration::from_secs(5);

/// The database file under a storage path.
pub(super) fn database(path: &Path) -> PathBuf {
    path.join("alarmbell.db")
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    let why = match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "it is not a directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "no room left on the device".to_owned(),
        _ => error.to_string(),
    };
    StoreError::Unusable(format!("storage path {}: {why}", path.display()))
}

/// Makes the folder, readable by its owner only, when it is missing.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| unusable(path, &error))
}

/// Takes the lock of the process that serves from here; it is free again when the file is closed, also by a kill.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = options.open(path.join("alarmbell.lock")).map_err(|error| unusable(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Unusable(format!("another alarmbell serves from {}", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
    }
}

/// The connection that writes; makes or migrates the tables.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    writer(path, schema::migrate).map_err(|fault| placed(path, &fault))
}

/// As [`open_writer`], also for an unfinished copy.
pub(super) fn open_copy(path: &Path) -> Result<Connection, StoreError> {
    let migrate = |conn: &mut Connection| if schema::is_unfinished(conn)? { Ok(()) } else { schema::migrate(conn) };
    writer(path, migrate).map_err(|fault| placed(path, &fault))
}

/// What is wrong with a file, with its name.
pub(super) fn placed(path: &Path, fault: &Fault) -> StoreError {
    match fault.to_store() {
        StoreError::Unusable(why) | StoreError::Unavailable(why) => {
            StoreError::Unusable(format!("{}: {why}", database(path).display()))
        }
        other => other,
    }
}

fn writer(path: &Path, migrate: impl FnOnce(&mut Connection) -> Result<(), Fault>) -> Result<Connection, Fault> {
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    // First of all: SQLite's own checkpoint would copy the whole log in the first commit after a kill.
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0;")?;
    // Only a file without tables takes it; on others it would be a commit at each start that changes nothing.
    if conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))? == 0 {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let why = format!("the file system does not support a write-ahead log (journal mode stays {mode})");
        return Err(StoreError::Unusable(why).into());
    }
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -2048;")?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    migrate(&mut conn)?;
    Ok(conn)
}

/// The log's file, once there is one. Closing it loses no lock: SQLite has its locks on the other two.
pub(super) fn open_log(path: &Path) -> Option<File> {
    let mut name = database(path).into_os_string();
    name.push("-wal");
    OpenOptions::new().write(true).open(name).ok()
}

/// A connection that only copies the log into the database file.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, Fault> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -64;")?;
    Ok(conn)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    conn.execute_batch("PRAGMA cache_size = -1024;")?;
    Ok(conn)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Fault> {
    let conn = Connection::open_with_flags(database(path), flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}

/// Bytes of the database file and its companions.
pub(super) fn bytes(path: &Path) -> u64 {
    let main = database(path).into_os_string();
    ["", "-wal", "-shm"]
        .iter()
        .map(|suffix| {
            let mut name = main.clone();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |file| file.len())
        })
        .sum()
}
