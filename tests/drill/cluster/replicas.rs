//! The database, and the replicas as processes: each has its own storage path and its own way to the database.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::postgres::{self, Database};
use crate::proxy::Proxy;
use crate::support::Server;
use crate::support::program::Program;
use crate::support::server::ALARMBELL;

/// Replicas that serve all the time; one more has a place.
pub const USUAL: usize = 3;
const PLACES: usize = USUAL + 1;
/// How long a replica may take until it listens, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place where a replica can be.
pub struct Place {
    pub server: Option<Server>,
    /// Its folders so far; the last one is in use.
    folders: usize,
    /// Processes so far.
    starts: usize,
}

/// All of them.
pub struct Replicas {
    pub database: Database,
    pub proxies: Vec<Proxy>,
    /// Whoever does something to a replica holds its place.
    pub places: Vec<tokio::sync::Mutex<Place>>,
    /// Where webhooks can be posted: replicas that are not known to be away.
    doors: Mutex<Vec<Option<SocketAddr>>>,
    logs: Mutex<Vec<(String, String)>>,
    dir: TempDir,
}

/// Whether a replica that comes back finds what the one before left on its disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Folder {
    Same,
    Fresh,
}

impl Replicas {
    /// Starts the database and as many proxies as there are places; no replica yet.
    ///
    /// # Errors
    /// What the database's programs say.
    pub async fn new(config: &str) -> Result<Self, String> {
        let settings = postgres::Settings { durable: true, ..postgres::Settings::default() };
        let server = tokio::task::spawn_blocking(move || postgres::Server::start(&settings)).await.unwrap()?;
        let database = server.database().await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("alarmbell.yml"), config).unwrap();
        let mut proxies = Vec::new();
        for place in 0..PLACES {
            let proxy = Proxy::start(server.port()).await;
            std::fs::write(dir.path().join(format!("url{place}")), database.url_at(proxy.port())).unwrap();
            proxies.push(proxy);
        }
        let place = || tokio::sync::Mutex::new(Place { server: None, folders: 0, starts: 0 });
        Ok(Self {
            database,
            proxies,
            places: std::iter::repeat_with(place).take(PLACES).collect(),
            doors: Mutex::new(vec![None; PLACES]),
            logs: Mutex::default(),
            dir,
        })
    }

    fn doors_mut(&self) -> MutexGuard<'_, Vec<Option<SocketAddr>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replicas that can be asked: place and address.
    pub fn doors(&self) -> Vec<(usize, SocketAddr)> {
        self.doors_mut().iter().enumerate().filter_map(|(place, door)| Some((place, (*door)?))).collect()
    }

    /// From now on nobody posts there.
    pub fn close(&self, place: usize) {
        self.doors_mut()[place] = None;
    }

    pub fn open(&self, place: usize, server: &Server) {
        self.doors_mut()[place] = Some(server.address);
    }

    fn program(&self, number: usize, place: &Place) -> Program {
        Program::start(ALARMBELL, |command| {
            let path = |name: String| self.dir.path().join(name).display().to_string();
            command.arg("serve").args(crate::FLAGS).arg("--web.listen-address=127.0.0.1:0");
            command.arg(format!("--config.file={}", path("alarmbell.yml".to_owned())));
            command.arg(format!("--storage.path={}", path(format!("data{number}-{}", place.folders))));
            command.arg(format!("--storage.url-file={}", path(format!("url{number}"))));
        })
    }

    /// Starts a replica and lets webhooks in. One that ends before it listens, because the database is away, is started
    /// again, as whoever watches over it would.
    pub async fn start(&self, number: usize, place: &mut Place, folder: Folder) {
        if folder == Folder::Fresh {
            place.folders += 1;
        }
        let deadline = Instant::now() + PATIENCE;
        'again: loop {
            place.starts += 1;
            let mut program = self.program(number, place);
            loop {
                let running = program.is_running();
                if program.output().contains("msg=listening") {
                    let server = Server::listening(program).await;
                    self.open(number, &server);
                    place.server = Some(server);
                    return;
                }
                let late = Instant::now() > deadline;
                if late || !running {
                    let output = program.output();
                    self.keep_log(number, place.starts, output.clone());
                    assert!(!late, "replica {number} does not listen:\n{output}");
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    continue 'again;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// kill -9.
    pub async fn kill(&self, number: usize, place: &mut Place) {
        let Some(server) = place.server.take() else { return };
        self.close(number);
        let log = server.kill().await;
        self.keep_log(number, place.starts, log);
    }

    /// Asks it to end, and waits until it has. Returns its exit code.
    pub async fn terminate(&self, number: usize, place: &mut Place) -> i32 {
        let Some(mut server) = place.server.take() else { return 0 };
        self.close(number);
        server.program.signal(Signal::TERM);
        let code = server.program.wait().await.code().unwrap_or(-1);
        self.keep_log(number, place.starts, server.logs());
        code
    }

    fn keep_log(&self, number: usize, start: usize, log: String) {
        let name = format!("replica-{number}-{start}.log");
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push((name, log));
    }

    /// Every log so far, of those that run as well.
    pub async fn logs(&self) -> Vec<(String, String)> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (number, place) in self.places.iter().enumerate() {
            let place = place.lock().await;
            if let Some(server) = &place.server {
                logs.push((format!("replica-{number}-{}.log", place.starts), server.logs()));
            }
        }
        logs.push(("postgresql.log".to_owned(), self.database.server().log()));
        logs
    }

    /// Where the config is.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("alarmbell.yml")
    }
}
