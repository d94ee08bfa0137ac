//! Opening and closing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::db::{Db, Fault, again, transaction};
use super::names::Names;
use super::queue::Queue;
use super::{Inner, Options, StoreMetrics, append, cluster, hearers, schema, tls, url};
use crate::store::StoreError;

/// Connections of those that look things up: a page of history may take seconds.
const PEOPLE: usize = 3;

/// Connections that renew the lease, whatever else goes on.
const VITAL: usize = 1;
/// How long one of a beat's questions may take. Whoever beats drops what takes 2 s, and then the connection would merely go
/// back, wherever it leads.
const VITAL_PATIENCE: Duration = Duration::from_millis(1_500);

/// How long the end of the store waits for what is queued.
const DRAIN: Duration = Duration::from_secs(10);

/// The store in a PostgreSQL database. See [`crate::store::Store`] and [`crate::store::Cluster`].
pub struct PgStore {
    pub(super) inner: Arc<Inner>,
    pub(super) queue: Arc<Queue>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Held until the store is closed.
    home: Mutex<Option<File>>,
}

impl PgStore {
    /// Opens the store, and brings its tables to the present version.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] for a URL that can not be read, a database of a newer version, or a home that another
    /// process has; [`StoreError::Unavailable`] when the database does not answer.
    pub async fn open(options: Options, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let (lock, home) = match &options.home {
            Some(folder) => {
                let (lock, id) = take_home(folder)?;
                (Some(lock), id)
            }
            None => (None, String::new()),
        };
        let target = url::parse(options.url.expose_secret(), options.connect_timeout)?;
        let tls = tls::connector(&target.trust)?;
        let dial = Dial { hosts: target.hosts.into(), tls, each: options.connect_timeout };
        let db = dial.pool(options.connections.saturating_sub(PEOPLE + VITAL).max(3), &options)?;
        schema::migrate(&db).await?;
        let me = if options.home.is_some() { random_id()? } else { String::new() };
        if !home.is_empty() {
            bury(&db, &home).await?;
        }
        let (questions, asked) = tokio::sync::mpsc::channel(hearers::WAITING);
        let inner = Arc::new(Inner {
            people: dial.pool(PEOPLE, &options)?,
            vital: Db { patience: options.statement_timeout.min(VITAL_PATIENCE), ..dial.pool(VITAL, &options)? },
            db,
            metrics,
            me,
            home,
            feed: OnceLock::new(),
            names: Names::default(),
            mine: Mutex::default(),
            hearing: tokio::sync::Mutex::default(),
            claims: tokio::sync::Mutex::default(),
            backlog: super::Backlog::default(),
            questions,
            started: std::sync::atomic::AtomicI64::new(0),
            chores: super::Chores::default(),
            options,
        });
        let queue = Arc::new(Queue::new(&inner.options));
        let batches = tokio::spawn(append::run(inner.clone(), queue.clone()));
        let answers = tokio::spawn(hearers::run(inner.clone(), asked));
        Ok(Self { inner, queue, tasks: Mutex::new(vec![batches, answers]), home: Mutex::new(lock) })
    }

    /// Starts something that ends with the store.
    pub(super) fn keep(&self, task: JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
    }

    /// Takes nothing more, finishes what is queued, and lets go of the database.
    pub(super) async fn stop(&self) {
        self.queue.close();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let drained = tokio::time::timeout(DRAIN, self.queue.drained()).await;
        if drained.is_err() {
            tracing::warn!("the database took too long to take what was queued; the senders will repeat it");
        }
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // Aborted, all of them.
            let _ = task.await;
        }
        for db in [&self.inner.db, &self.inner.people, &self.inner.vital] {
            db.pool.close();
        }
        drop(self.home.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }
}

impl Drop for PgStore {
    fn drop(&mut self) {
        self.queue.close();
        for task in self.tasks.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

/// Connections without a store, for what is done to one from outside.
pub(super) fn connections(options: &Options, size: usize) -> Result<Db, StoreError> {
    let target = url::parse(options.url.expose_secret(), options.connect_timeout)?;
    let tls = tls::connector(&target.trust)?;
    Dial { hosts: target.hosts.into(), tls, each: options.connect_timeout }.pool(size, options)
}

/// 128 random bits.
fn random_id() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unusable(format!("no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Locks the folder for this process, and reads what it is known by.
fn take_home(folder: &Path) -> Result<(File, String), StoreError> {
    let wrong = |error: &std::io::Error| StoreError::Unusable(format!("storage path {}: {error}", folder.display()));
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| wrong(&error))?;
    let open = |name: &str| {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        options.open(folder.join(name)).map_err(|error| wrong(&error))
    };
    let lock = open("replica.lock")?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Unusable(format!("another alarmbell serves from {}", folder.display())));
        }
        Err(TryLockError::Error(error)) => return Err(wrong(&error)),
    }
    let mut file = open("replica.id")?;
    let mut id = String::new();
    file.read_to_string(&mut id).map_err(|error| wrong(&error))?;
    let id = id.trim();
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok((lock, id.to_owned()));
    }
    // New, or cut off while it was written: with another id the process before is merely waited for.
    let id = random_id()?;
    file.set_len(0).map_err(|error| wrong(&error))?;
    std::io::Seek::rewind(&mut file).map_err(|error| wrong(&error))?;
    file.write_all(format!("{id}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(|error| wrong(&error))?;
    Ok((lock, id))
}

/// The processes that had this home are dead: ends their attempts, frees their bots, and takes them off the list.
async fn bury(db: &Db, home: &str) -> Result<(), StoreError> {
    again!(db, conn => async {
        let home: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] = [(&home, Type::TEXT)];
        let tx = transaction(&mut conn, db.patience).await?;
        cluster::free_all(&tx, "SELECT id FROM alarmbell.replicas WHERE home = $1", &home).await?;
        tx.execute_typed("DELETE FROM alarmbell.replicas WHERE home = $1", &home).await?;
        tx.commit().await?;
        Ok::<_, Fault>(())
    })
}

/// Connects to the first of several hosts that answers and may write.
#[derive(Clone)]
struct Dial {
    hosts: Arc<[Config]>,
    tls: MakeRustlsConnect,
    /// How long one host may take.
    each: Duration,
}

impl Dial {
    fn pool(&self, size: usize, options: &Options) -> Result<Db, StoreError> {
        let config = self.hosts.first().cloned().unwrap_or_default();
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let hosts = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
        let pool = Pool::builder(Manager::from_connect(config, self.clone(), manager))
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.connect_timeout))
            .create_timeout(Some(self.each.saturating_mul(hosts).saturating_add(Duration::from_millis(100))))
            .recycle_timeout(Some(options.connect_timeout))
            .build()
            .map_err(|error| StoreError::Unusable(format!("connections to the database: {error}")))?;
        Ok(Db { pool, patience: options.statement_timeout, tls: self.tls.clone() })
    }

    async fn first(&self) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let mut failed = None;
        for host in self.hosts.iter() {
            match tokio::time::timeout(self.each, host.connect(self.tls.clone())).await {
                Ok(Ok((client, connection))) => {
                    let task = tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection to the database ended");
                        }
                    });
                    return Ok((client, task));
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            // The pool's own limit says so in a moment.
            None => std::future::pending().await,
        }
    }
}

impl Connect for Dial {
    fn connect(
        &self,
        _: &Config,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>>
    {
        Box::pin(self.first())
    }
}
