//! Room that is set aside for a full disk.
//!
//! What frees room (telling alerts, clean-up) needs some itself: every transaction is written to the log first. So a file
//! of some megabytes stands by, and is deleted when the disk is full. Until it is back, webhooks are refused: they would
//! use the room up.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::StoreError;

/// How often it is tried to set room aside again while nothing is committed.
const RETRY: Duration = Duration::from_secs(5);
/// Bytes written at once.
const CHUNK: usize = 1 << 20;
/// Bytes of the log's file that stay when it starts over.
pub(super) const LOG_BYTES: i64 = 64 << 20;
/// The same while there is little room.
const LOW_LOG_BYTES: i64 = 1 << 20;
/// Bytes of a page.
const PAGE: u64 = 4_096;

/// See the module.
#[derive(Debug)]
pub(super) struct Reserve {
    file: PathBuf,
    bytes: u64,
    /// The file's bound in pages, where there is one: raised while webhooks are refused.
    pages: Option<u32>,
    low: bool,
    /// When it was last tried in vain; `None` when there is reason to try again.
    tried: Option<Instant>,
}

/// Why a webhook is refused while there is little room.
pub(super) fn no_room() -> StoreError {
    StoreError::Unavailable("no room left on the disk".to_owned())
}

fn file(folder: &Path) -> PathBuf {
    folder.join("alarmbell.reserve")
}

impl Reserve {
    /// Room of so many bytes; none are set aside for 0.
    pub(super) fn new(folder: &Path, bytes: u64, pages: Option<u32>) -> Self {
        Self { file: file(folder), bytes, pages, low: false, tried: None }
    }

    /// Frees the room before there is a store, so that one can be opened on a full disk.
    pub(super) fn free(folder: &Path) -> bool {
        fs::remove_file(file(folder)).is_ok()
    }

    /// Whether the room is in use, and webhooks must wait.
    pub(super) const fn is_low(&self) -> bool {
        self.low
    }

    /// The disk is full: frees the room. `false` when it was free already, and so there is none left.
    pub(super) fn release(&mut self, conn: &Connection) -> bool {
        self.tried = Some(Instant::now());
        if self.bytes == 0 || self.low {
            return false;
        }
        self.set_low(conn, true);
        let freed = fs::remove_file(&self.file).is_ok();
        tracing::warn!("the disk is full: webhooks are refused until there is room, what waits is told");
        freed || self.pages.is_some()
    }

    /// Something was committed: there may be more room now.
    pub(super) fn committed(&mut self) {
        self.tried = None;
    }

    /// Sets room aside at the start.
    pub(super) fn fill(&mut self, conn: &Connection) {
        if self.bytes > 0 && !self.set_aside() {
            tracing::warn!("there is little room left on the disk: webhooks are refused until there is more");
            self.set_low(conn, true);
            self.tried = Some(Instant::now());
        }
    }

    /// Sets room aside again, when that is possible by now.
    pub(super) fn restore(&mut self, conn: &Connection) {
        if !self.low || self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return;
        }
        // Pages that alarmbell itself has freed are room as well.
        let inside = conn.query_row("PRAGMA freelist_count", [], |row| row.get::<_, u32>(0)).unwrap_or(0);
        if self.set_aside() || u64::from(inside) * PAGE >= 2 * self.bytes {
            self.set_low(conn, false);
            tracing::info!("there is room on the disk again: webhooks are accepted");
        } else {
            self.tried = Some(Instant::now());
        }
    }

    /// Either state changes bounds of the file and its log; when that fails, they stay a little too wide or narrow.
    fn set_low(&mut self, conn: &Connection, low: bool) {
        self.low = low;
        // While there is little room, a log that starts over gives back what it took.
        let _ = conn.pragma_update(None, "journal_size_limit", if low { LOW_LOG_BYTES } else { LOG_BYTES });
        if let Some(pages) = self.pages {
            let more = if low { u32::try_from(self.bytes / PAGE).unwrap_or(u32::MAX) } else { 0 };
            let _ = conn.pragma_update(None, "max_page_count", pages.saturating_add(more));
        }
    }

    /// Makes the file, whole or not at all.
    fn set_aside(&self) -> bool {
        if fs::metadata(&self.file).is_ok_and(|file| file.len() == self.bytes) {
            return true;
        }
        let made = File::create(&self.file).and_then(|file| allocate(file, self.bytes));
        if made.is_err() {
            // What there is of it must not take the room that is left.
            let _ = fs::remove_file(&self.file);
        }
        made.is_ok()
    }
}

/// Takes the room on the disk, which a length alone does not.
fn allocate(mut file: File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // Some file systems can not; what is written takes room on all but those that compress.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
            other => return Ok(other?),
        }
    }
    let chunk = vec![0x5a; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.write_all(&chunk[..take])?;
        left -= take as u64;
    }
    Ok(())
}
