//! Start in order, stop in reverse.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::control::AppControl;
use super::metrics::ReloadMetrics;
use super::reload::{Present, Reloader, web_users};
use super::{AppError, Options, build, warnings};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Loaded};
use crate::dispatch::{self, DispatchMetrics, Dispatcher};
use crate::http::api::Api;
use crate::http::{self, Auth, BodyLimits, HttpMetrics, ListenerConfig};
use crate::ingest::{Audience, Ingest, IngestMetrics};
use crate::model::Fingerprint;
use crate::store::postgres::{self, PgStore};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::{Store, StoreError, StoreMetrics};
use crate::telemetry;

/// How long requests in flight may take to finish at a stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long messages in flight may take: a request to a robot ends after 5 s.
const SENDING: Duration = Duration::from_secs(8);

/// What the system can tell us to do. Taken before anything else: a signal that nobody takes ends the process, and one
/// that comes during the start is kept until somebody asks.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn take() -> Result<Self, AppError> {
        let handler = |kind| signal(kind).map_err(AppError::runtime);
        Ok(Self {
            term: handler(SignalKind::terminate())?,
            int: handler(SignalKind::interrupt())?,
            hup: handler(SignalKind::hangup())?,
        })
    }
}

/// A running server.
pub struct App {
    address: SocketAddr,
    signals: Signals,
    reloader: Arc<Reloader>,
    dispatcher: Arc<Dispatcher>,
    store: Arc<dyn Store>,
    /// Ends taking webhooks.
    serving: CancellationToken,
    /// Ends everything in the background.
    background: CancellationToken,
    server: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    /// Keeps the lease.
    own: JoinHandle<()>,
    /// It panicked.
    own_failed: CancellationToken,
}

struct Hearers(Arc<Dispatcher>);

#[async_trait]
impl Audience for Hearers {
    async fn firing_bots(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
        self.0.firing_bots(fingerprints).await
    }
}

/// The rooms that a server is made of, before it takes webhooks.
struct Rooms {
    clock: Arc<dyn Clock>,
    registry: Registry,
    store: Arc<dyn Store>,
    dispatcher: Arc<Dispatcher>,
    ingest: Arc<Ingest>,
    reloader: Arc<Reloader>,
    auth: Auth,
}

fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // Without the system's randomness ids are merely unique, which is what delivery needs.
        bytes.fill_with(|| fastrand::u8(..));
    }
}

/// What people know this replica by: the host's name, which is the pod's in Kubernetes.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Does `work`; cancels `failed` when that panics (or is aborted).
async fn telling_of_a_panic(failed: CancellationToken, work: impl Future<Output = ()>) {
    let guard = failed.drop_guard();
    work.await;
    guard.disarm();
}

async fn open_store(
    options: &Options,
    config: &config::Config,
    registry: &Registry,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Store>, AppError> {
    let metrics = StoreMetrics::register(registry)?;
    if let Some(url) = &options.storage_url {
        let store_options = postgres::Options {
            name: host_name(),
            max_alerts: config.global.backlog_alerts,
            max_bytes: config.global.backlog_bytes,
            ..postgres::Options::new(url.expose().into(), Some(options.storage_path.clone()), Arc::clone(clock))
        };
        return Ok(Arc::new(PgStore::open(store_options, metrics).await?));
    }
    let store_options = sqlite::Options {
        max_alerts: config.global.backlog_alerts,
        max_bytes: config.global.backlog_bytes,
        ..sqlite::Options::new(&options.storage_path)
    };
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&store_options, metrics)).await;
    Ok(Arc::new(opened.map_err(AppError::runtime)??))
}

async fn rooms(options: &Options, external_url: &str) -> Result<Rooms, AppError> {
    let path = options.config_file.clone();
    let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await.map_err(AppError::runtime)?;
    let Loaded { config, warnings } = loaded.map_err(AppError::Config)?;
    let (users, web_warnings) = web_users(options.web_config_file.as_ref())?;
    warnings::log(&warnings);
    warnings::log(&web_warnings);
    let clock: Arc<dyn Clock> = SystemClock::new();
    let registry = Registry::new();
    telemetry::build_info(&registry)?;
    telemetry::ProcessMetrics::register(&registry)?;
    let store = open_store(options, &config, &registry, &clock).await?;
    let built = build::build(&config, external_url, options.retention);
    let parts = dispatch::Parts {
        store: Arc::clone(&store),
        clock: Arc::clone(&clock),
        random: Arc::new(random),
        fraction: Arc::new(fastrand::f64),
        settings: built.dispatch,
        retention: options.retention,
    };
    let dispatcher = Arc::new(Dispatcher::new(parts, DispatchMetrics::register(&registry)?, &registry)?);
    store.replay(dispatcher.feed()).await?;
    let audience = Arc::new(Hearers(Arc::clone(&dispatcher)));
    let metrics = IngestMetrics::register(&registry)?;
    let ingest = Arc::new(Ingest::new(Arc::clone(&store), Arc::clone(&clock), audience, built.ingest, metrics));
    let users = Arc::new(ArcSwap::from_pointee(users));
    let auth = Auth::new(Arc::clone(&users)).map_err(AppError::runtime)?;
    let reload_metrics = ReloadMetrics::register(&registry)?;
    let now = clock.now();
    reload_metrics.succeeded(now);
    let limits = BodyLimits::new(config.global.body_limit, config.global.bodies_in_flight);
    let reloader = Arc::new(Reloader {
        config_file: options.config_file.clone(),
        web_config_file: options.web_config_file.clone(),
        external_url: external_url.to_owned(),
        retention: options.retention,
        clock: Arc::clone(&clock),
        ingest: Arc::clone(&ingest),
        dispatcher: Arc::clone(&dispatcher),
        limits: Arc::new(ArcSwap::from_pointee(limits)),
        users,
        metrics: reload_metrics,
        present: Mutex::new(Present {
            watched: config.watched.clone(),
            seen: config.hash.clone(),
            config: Arc::new(config),
            last_ok: true,
            last_success: now,
        }),
        turn: tokio::sync::Mutex::new(()),
    });
    Ok(Rooms { clock, registry, store, dispatcher, ingest, reloader, auth })
}

impl App {
    /// Starts a server: when this returns, webhooks are taken and everything that was kept is being told.
    ///
    /// # Errors
    /// [`AppError`]: mistakes in the config, an address that can not be bound, a store that can not be used.
    pub async fn start(options: Options) -> Result<Self, AppError> {
        let signals = Signals::take()?;
        match http::raise_nofile() {
            Ok(limit) => tracing::debug!(?limit, "the limit of open files"),
            Err(error) => tracing::warn!(%error, "the limit of open files can not be raised"),
        }
        let external_url =
            options.external_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default();
        let listener = http::bind(&options.listen).await.map_err(AppError::runtime)?;
        let address = listener.local_addr().map_err(AppError::runtime)?;
        let rooms = rooms(&options, &external_url).await?;
        if let Err(error) = rooms.dispatcher.start().await {
            tracing::warn!(%error, "the store does not answer; what waits for bots that are gone moves later");
        }
        let has_login = rooms.reloader.users.load().is_some();
        warnings::open_to_all(address, has_login);
        Ok(Self::serve(options, listener, address, rooms, signals)?)
    }

    fn serve(
        options: Options,
        listener: TcpListener,
        address: SocketAddr,
        rooms: Rooms,
        signals: Signals,
    ) -> prometheus::Result<Self> {
        let (serving, background) = (CancellationToken::new(), CancellationToken::new());
        let control =
            AppControl::new(Arc::clone(&rooms.reloader), Arc::clone(&rooms.dispatcher), Arc::clone(&rooms.clock));
        let metrics = HttpMetrics::new(&rooms.registry)?;
        let connections = rooms.reloader.present().config.global.connections;
        let prefix = http::route_prefix(&options.route_prefix, options.external_url.as_ref());
        let routes = http::api::routes(Api {
            ingest: Arc::clone(&rooms.ingest),
            store: Arc::clone(&rooms.store),
            control: Arc::new(control),
            limits: Arc::clone(&rooms.reloader.limits),
            registry: rooms.registry,
            clock: rooms.clock,
            prefix: prefix.clone(),
            lifecycle: options.lifecycle,
            admin: options.admin,
        });
        let routes = http::assemble(routes, &prefix, Some(Arc::new(rooms.auth)));
        let config = ListenerConfig { connections, ..ListenerConfig::default() };
        let server = tokio::spawn(http::serve(listener, routes, config, metrics, serving.clone(), GRACE));
        // It goes on while the last messages end: without its lease they would not be sent.
        let own_failed = CancellationToken::new();
        let own = tokio::spawn({
            let dispatcher = Arc::clone(&rooms.dispatcher);
            telling_of_a_panic(own_failed.clone(), async move { dispatcher.own().await })
        });
        let mut tasks = vec![tokio::spawn({
            let (dispatcher, stop) = (Arc::clone(&rooms.dispatcher), background.clone());
            async move { dispatcher.tend(stop).await }
        })];
        if !options.reload_interval.is_zero() {
            let (reloader, stop) = (Arc::clone(&rooms.reloader), background.clone());
            tasks.push(tokio::spawn(async move { reloader.watch(options.reload_interval, stop).await }));
        }
        tracing::info!(address = %address, version = env!("CARGO_PKG_VERSION"), "listening");
        let Rooms { store, dispatcher, reloader, .. } = rooms;
        Ok(Self { address, signals, reloader, dispatcher, store, serving, background, server, tasks, own, own_failed })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGTERM or SIGINT; SIGHUP reads the config anew.
    ///
    /// # Errors
    /// When what keeps the lease of a replica has panicked: whoever started the process is to start it again.
    pub async fn run_until_stopped(mut self) -> Result<(), AppError> {
        let Signals { term, int, hup } = &mut self.signals;
        let result = loop {
            tokio::select! {
                _ = term.recv() => break Ok(()),
                _ = int.recv() => break Ok(()),
                () = self.own_failed.cancelled() => {
                    break Err(AppError::runtime("what keeps this replica's lease panicked; the process must be started again"));
                }
                _ = hup.recv() => {
                    // Why it was refused is logged and counted.
                    let _ = self.reloader.reload().await;
                }
            }
        };
        if let Err(error) = &result {
            tracing::error!(%error, "a defect");
        }
        tracing::info!("stopping");
        self.stop().await;
        result
    }

    /// Takes no more webhooks, finishes what is in flight, keeps the rest on disk.
    pub async fn stop(self) {
        self.serving.cancel();
        self.background.cancel();
        // A task that panicked has said so, and there is nothing left to stop in it.
        let _ = self.server.await;
        for task in self.tasks {
            let _ = task.await;
        }
        if tokio::time::timeout(SENDING, self.dispatcher.stop()).await.is_err() {
            tracing::warn!("a message did not finish in time; its outcome counts as unknown");
        }
        self.own.abort();
        let _ = self.own.await;
        self.store.close().await;
        tracing::info!("stopped");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn a_panic_is_noticed_and_an_end_is_none() {
        for panics in [true, false] {
            let failed = CancellationToken::new();
            let task = telling_of_a_panic(failed.clone(), async move { assert!(!panics, "a defect") });
            assert_eq!(tokio::spawn(task).await.is_err(), panics);
            assert_eq!(failed.is_cancelled(), panics);
        }
    }
}
