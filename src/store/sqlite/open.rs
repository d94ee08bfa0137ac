//! Opening and closing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::checkpoint::{Checkpoints, Room};
use super::files;
use super::memory::{Memory, Totals};
use super::queue::{Bounds, Queue};
use super::readers::{Gate, Readers};
use super::reserve::Reserve;
use super::writer::{Shared, Writer};
use crate::store::StoreMetrics;
use crate::store::{StoreError, StoreSize};

/// Where the store is and how much it may hold.
#[derive(Clone, Debug)]
pub struct Options {
    /// The storage path: a folder, made with mode 0700 when it is missing.
    pub path: PathBuf,
    /// Alert states that may wait, all bots; beyond, [`StoreError::BacklogFull`].
    pub max_alerts: u64,
    /// Bytes of bodies that may wait; beyond, [`StoreError::BacklogFull`].
    pub max_bytes: u64,
    /// Operations that may be queued; beyond, [`StoreError::Unavailable`] at once.
    pub queue_ops: usize,
    /// Bytes that may be queued. An operation that is larger alone fits an empty queue.
    pub queue_bytes: usize,
    /// Operations in one transaction.
    pub batch_ops: usize,
    /// Bytes in one transaction, beyond its first operation.
    pub batch_bytes: usize,
    /// Pages of 4 KB that the file may have; tests make a full disk of it.
    pub max_page_count: Option<u32>,
    /// Bytes on the disk that are set aside, so that alerts can be told and room be freed when it is full; 0 for none.
    pub reserve_bytes: u64,
}

impl Options {
    /// The defaults of design section 5: 2,000,000 alerts and 4 GB may wait.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_alerts: 2_000_000,
            max_bytes: 4_000_000_000,
            queue_ops: 65_536,
            queue_bytes: 256 << 20,
            batch_ops: 4_096,
            batch_bytes: 32 << 20,
            max_page_count: None,
            reserve_bytes: 16 << 20,
        }
    }
}

/// The store in one SQLite file. See [`crate::store::Store`].
pub struct SqliteStore {
    pub(super) queue: Arc<Queue>,
    #[cfg(test)]
    pub(super) gate: Arc<Gate>,
    /// Reads that messages wait for.
    pub(super) quick: Arc<Readers>,
    /// Reads that people wait for; they may take seconds.
    pub(super) slow: Arc<Readers>,
    path: PathBuf,
    pub(super) shared: Arc<Shared>,
    metrics: StoreMetrics,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Whether there is a store in this folder.
    pub fn exists(path: &Path) -> bool {
        files::database(path).exists()
    }

    /// Opens the store for the process that serves. Blocks for some milliseconds; more after a kill under load, when
    /// the log is read again.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with the path and the reason: another process serves from it, it can not be made or
    /// written, it is damaged or of a newer version.
    pub fn open(options: &Options, metrics: StoreMetrics) -> Result<Self, StoreError> {
        files::make_folder(&options.path)?;
        let lock = files::lock(&options.path)?;
        Self::start(options, metrics, Some(lock))
    }

    /// Opens the store beside the process that serves: attempts can be made and everything read, but what waits can
    /// not be changed.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], apart from the lock.
    pub fn open_shared(options: &Options, metrics: StoreMetrics) -> Result<Self, StoreError> {
        files::make_folder(&options.path)?;
        Self::start(options, metrics, None)
    }

    fn start(options: &Options, metrics: StoreMetrics, lock: Option<std::fs::File>) -> Result<Self, StoreError> {
        let conn = match files::open_writer(&options.path) {
            // On a full disk it can be opened with the room that was set aside.
            Err(_) if lock.is_some() && Reserve::free(&options.path) => files::open_writer(&options.path)?,
            other => other?,
        };
        if let Some(pages) = options.max_page_count {
            conn.pragma_update(None, "max_page_count", pages).map_err(super::Fault::from)?;
        }
        let threads = |error| StoreError::Unusable(format!("no thread for the store: {error}"));
        // The process beside it lives for one message.
        let room = Room::new(lock.as_ref().and_then(|_| files::open_log(&options.path)));
        let checkpoints = Checkpoints::start(files::open_checkpointer(&options.path)?).map_err(threads)?;
        let queue = Arc::new(Queue::new(Bounds {
            queue_ops: options.queue_ops,
            queue_bytes: options.queue_bytes,
            batch_ops: options.batch_ops,
            batch_bytes: options.batch_bytes,
        }));
        let shared = Arc::new(Shared::default());
        let gate = Gate::new();
        let writer = Writer {
            conn,
            mem: Memory::default(),
            queue: queue.clone(),
            shared: shared.clone(),
            metrics: metrics.clone(),
            feed: None,
            max: Totals { heads: options.max_alerts, bytes: options.max_bytes, silent: 0 },
            going: VecDeque::new(),
            // Without the lock nothing of what waits is looked at.
            loaded: lock.is_none(),
            reserve: Reserve::new(
                &options.path,
                if lock.is_some() { options.reserve_bytes } else { 0 },
                options.max_page_count,
            ),
            failing: false,
            unheard: Vec::new(),
            doubtful: Vec::new(),
            checkpoints,
            gate: gate.clone(),
            room,
            lock,
        };
        let thread =
            std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run()).map_err(threads)?;
        Ok(Self {
            queue,
            #[cfg(test)]
            gate: gate.clone(),
            quick: Readers::new(options.path.clone(), gate.clone(), 2),
            slow: Readers::new(options.path.clone(), gate, 2),
            path: options.path.clone(),
            shared,
            metrics,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The size on disk, also as a metric, and what waits.
    pub(super) fn measure(&self) -> StoreSize {
        let bytes = files::bytes(&self.path);
        self.metrics.size.set(bytes as f64);
        let totals = self.shared.totals();
        StoreSize { bytes, waiting: totals.heads.saturating_sub(totals.silent), waiting_bytes: totals.bytes }
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        // A panic elsewhere can not leave an Option half taken.
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Commits what is queued and closes everything.
    pub(super) async fn stop(&self) {
        self.quick.close();
        self.slow.close();
        self.queue.close();
        if let Some(thread) = self.take_thread() {
            // A panic there has been reported by its own thread.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for SqliteStore {
    /// As a crash would: what is queued and was not answered is dropped.
    fn drop(&mut self) {
        self.queue.abandon();
        if let Some(thread) = self.take_thread() {
            let _ = thread.join();
        }
    }
}
