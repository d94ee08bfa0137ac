//! The engines that are measured side by side: SQLite, and PostgreSQL when the machine has it.

use std::path::Path;
use std::sync::Arc;

use alarmbell::clock::SystemClock;
use alarmbell::store::sqlite::SqliteStore;
use alarmbell::store::{Store, StoreMetrics, postgres, sqlite};

use super::Server;

#[path = "../../tests/support/postgres.rs"]
mod server;

/// What [`server`] sets for tests, as PostgreSQL has it by default; a commit survives the machine.
const DEFAULTS: [&str; 5] =
    ["shared_buffers = 128MB", "max_connections = 100", "jit = on", "wal_level = replica", "max_wal_senders = 10"];

/// A kind of store.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite,
    /// A private server on this machine.
    Postgres(server::Server),
}

/// The engines that there are; says so when PostgreSQL is left out.
pub(crate) fn engines() -> Vec<Engine> {
    let lines = DEFAULTS.iter().map(|line| (*line).to_owned()).collect();
    let settings = server::Settings { durable: true, lines };
    match server::Server::start(&settings) {
        Ok(server) => vec![Engine::Sqlite, Engine::Postgres(server)],
        Err(why) => {
            println!("PostgreSQL is LEFT OUT: {why}");
            vec![Engine::Sqlite]
        }
    }
}

impl Engine {
    /// For reports, of one width.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// Room for a new store.
    pub(crate) async fn place(&self) -> Place {
        let database = match self {
            Self::Sqlite => None,
            Self::Postgres(server) => Some(server.database().await),
        };
        Place { database, folder: tempfile::tempdir().unwrap() }
    }

    /// A server with an empty store, and where that is.
    pub(crate) async fn start(&self, config: &str) -> (Server, Place) {
        let place = self.place().await;
        (place.start(config).await, place)
    }
}

/// Where a store is; gone when dropped.
pub(crate) struct Place {
    database: Option<server::Database>,
    folder: tempfile::TempDir,
}

impl Place {
    /// The folder of the config and of the store.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database's, if it is one.
    pub(crate) fn url(&self) -> Option<String> {
        self.database.as_ref().map(server::Database::url)
    }

    /// Starts a server on it and waits until that listens.
    pub(crate) async fn start(&self, config: &str) -> Server {
        self.start_in(self.folder(), config).await
    }

    /// Starts a further replica, which has a folder of its own.
    pub(crate) async fn start_in(&self, folder: &Path, config: &str) -> Server {
        let url: Vec<String> = self.url().iter().map(|url| format!("--storage.url={url}")).collect();
        Server::start_with(folder, config, &url).await
    }

    /// The store itself, in this process.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        open(self.folder(), self.url().as_deref(), &prometheus::Registry::new()).await
    }

    /// Runs statements, if it is a database.
    pub(crate) async fn run(&self, sql: &str) {
        if let Some(database) = &self.database {
            database.run(sql).await;
        }
    }

    /// The process that all of the database's are children of.
    pub(crate) async fn postmaster(&self) -> Option<u32> {
        let backend = self.database.as_ref()?.number("SELECT pg_backend_pid()::bigint").await;
        let status = std::fs::read_to_string(format!("/proc/{backend}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        Some(parent.trim().parse().unwrap())
    }
}

/// Opens a store in this process, without bounds of what may wait.
pub(crate) async fn open(folder: &Path, url: Option<&str>, registry: &prometheus::Registry) -> Arc<dyn Store> {
    let metrics = StoreMetrics::register(registry).unwrap();
    let (data, max_alerts, max_bytes) = (folder.join("data"), u64::MAX, u64::MAX);
    if let Some(url) = url {
        let options = postgres::Options::new(url.to_owned().into(), Some(data), SystemClock::new());
        let options = postgres::Options { max_alerts, max_bytes, ..options };
        return Arc::new(postgres::PgStore::open(options, metrics).await.unwrap());
    }
    let options = sqlite::Options { max_alerts, max_bytes, ..sqlite::Options::new(data) };
    Arc::new(SqliteStore::open(&options, metrics).unwrap())
}
