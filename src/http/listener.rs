//! The accept loop: a bound on connections, timeouts, panics kept inside a request, and a graceful end.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::conn::{Arriving, Conn, Leaving, Phase, Watched};
use super::error::{ErrorKind, HttpError};
use super::metrics::HttpMetrics;

/// Read buffer of one connection in bytes, at most; also the largest head. hyper's default of 400 KB would let 4,096
/// connections hold 1.6 GB.
const BUFFER: usize = 64 * 1024;
/// How long new connections wait for room, counted from when it ran out; then they get 503.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often room is looked for meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Refused connections that are told so at a time; further ones are just closed.
const REFUSALS: usize = 64;

/// Bounds of the listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerConfig {
    /// Connections at a time, at least 1. Beyond it the longest idle ones are closed; when none is idle for a second,
    /// new ones get 503.
    pub connections: usize,
    /// The longest time from a connection's begin to its first head, and from a further head's first byte to its end.
    pub header_timeout: Duration,
    /// The longest time between two requests. Alertmanager's client (Go's) drops idle connections after 5 minutes
    /// itself; a longer time here means that it never meets one that we just closed.
    pub idle_timeout: Duration,
    /// The longest time for which the peer takes no byte of an answer.
    pub write_timeout: Duration,
}

impl Default for ListenerConfig {
    /// 4,096 connections, 10 s for a head, 310 s idle, 30 s to take some of an answer.
    fn default() -> Self {
        Self {
            connections: 4096,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(310),
            write_timeout: Duration::from_secs(30),
        }
    }
}

/// What all connections of a listener share.
struct Server {
    app: Router,
    config: ListenerConfig,
    metrics: HttpMetrics,
    http: http1::Builder,
    /// The zero of the connections' times.
    base: Instant,
    open: Mutex<HashMap<u64, Arc<Conn>>>,
    next: AtomicU64,
    /// Room is short: answers end their connections.
    pressed: AtomicBool,
    shutdown: CancellationToken,
    /// The grace is over.
    kill: CancellationToken,
}

/// Serves until `shutdown`; then takes no more connections, lets requests in flight finish for up to `grace`, and cuts
/// what remains. Returns when no connection is left.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    config: ListenerConfig,
    metrics: HttpMetrics,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let mut http = http1::Builder::new();
    // A handler is never dropped half way because its client closed its sending side. Times are kept by the phases.
    http.half_close(true).max_buf_size(BUFFER).header_read_timeout(None);
    let slots = Arc::new(Semaphore::new(config.connections.max(1)));
    let server = Arc::new(Server {
        app,
        config,
        metrics,
        http,
        base: Instant::now(),
        open: Mutex::default(),
        next: AtomicU64::new(0),
        pressed: AtomicBool::new(false),
        shutdown: shutdown.clone(),
        kill: CancellationToken::new(),
    });
    let tasks = TaskTracker::new();
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = accept(&listener, &server, slots, &tasks) => {}
    }
    drop(listener);
    tasks.close();
    if timeout(grace, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "requests did not finish in time; their connections are cut");
        server.kill.cancel();
        tasks.wait().await;
    }
}

/// Never returns.
async fn accept(listener: &TcpListener, server: &Arc<Server>, slots: Arc<Semaphore>, tasks: &TaskTracker) {
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut full_since = None;
    let mut failures = 0_u32;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                failures += 1;
                server.accept_failed(&error, failures).await;
                continue;
            }
        };
        failures = 0;
        // Answers are small and written whole.
        let _ = stream.set_nodelay(true);
        match server.room(&slots, &mut full_since).await {
            Some(slot) => {
                server.metrics.accepted.inc();
                tasks.spawn(Arc::clone(server).connection(stream, slot));
            }
            None => {
                server.metrics.refused.inc();
                if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                    tasks.spawn(refuse(stream, turn));
                }
            }
        }
    }
}

/// Tells a client that there is no room, in a form that Alertmanager takes for "try again".
async fn refuse(mut stream: TcpStream, _turn: OwnedSemaphorePermit) {
    let body = r#"{"status":"error","errorType":"unavailable","error":"too many connections; try again"}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing over unread bytes would reset the connection and the answer with it.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = timeout(PATIENCE, told).await;
}

impl Server {
    /// A place for one more connection, by closing idle ones if need be. Waits until [`PATIENCE`] after room ran out.
    async fn room(&self, slots: &Arc<Semaphore>, full_since: &mut Option<Instant>) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            *full_since = None;
            self.pressed.store(false, Ordering::Relaxed);
            return Some(slot);
        }
        self.pressed.store(true, Ordering::Relaxed);
        let until = *full_since.get_or_insert_with(Instant::now) + PATIENCE;
        loop {
            self.evict(slots.available_permits());
            if let Ok(Ok(slot)) = timeout(LOOK_AGAIN, Arc::clone(slots).acquire_owned()).await {
                return Some(slot);
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    /// Tells some of the longest idle connections to close, unless `free` says that there is room already.
    fn evict(&self, free: usize) {
        if free > 0 {
            return;
        }
        let mut idle: Vec<(u64, Arc<Conn>)> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.values().filter_map(|conn| Some((conn.idle_since()?, Arc::clone(conn)))).collect()
        };
        // A few at a time, since who runs into the bound once does so again at once.
        let some = (self.config.connections / 32).max(1);
        if idle.len() > some {
            idle.select_nth_unstable_by_key(some, |(since, _)| *since);
            idle.truncate(some);
        }
        for (_, conn) in idle {
            conn.evicted.notify_one();
        }
    }

    async fn accept_failed(&self, error: &io::Error, failures: u32) {
        // The peer gave up while it waited: nothing is wrong here.
        let of_peer = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
        if of_peer.contains(&error.kind()) {
            return;
        }
        // Out of descriptors or memory. The error comes back at once, so wait, and log the first and then some.
        if failures.is_power_of_two() {
            tracing::warn!(%error, failures, "can not accept connections");
        }
        self.evict(0);
        sleep(Duration::from_millis(10 << failures.min(6))).await;
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let conn = Conn::new(self.base);
        let _entry = Entry::new(&self, Arc::clone(&conn), slot);
        let (server, state) = (Arc::clone(&self), Arc::clone(&conn));
        let service = service_fn(move |request| Arc::clone(&server).answer(request, Arc::clone(&state)));
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&conn)));
        self.drive(pin!(self.http.serve_connection(io, service)), &conn).await;
    }

    /// Runs one connection to its end.
    async fn drive<S, B>(&self, mut http: Pin<&mut http1::Connection<TokioIo<Watched<TcpStream>>, S>>, conn: &Conn)
    where
        S: hyper::service::HttpService<Incoming, ResBody = B>,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: http_body::Body + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut armed = conn.deadline(&self.config).unwrap_or(self.base);
        let mut timer = pin!(tokio::time::sleep_until(armed));
        let (mut closing, mut told) = (false, false);
        loop {
            if closing && !told && !conn.is_flushing() {
                http.as_mut().graceful_shutdown();
                told = true;
            }
            let step = std::future::poll_fn(|cx| {
                if http.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                // Only an earlier deadline moves the timer: while requests follow each other, it costs nothing.
                if let Some(deadline) = conn.deadline(&self.config).filter(|deadline| *deadline < armed) {
                    armed = deadline;
                    timer.as_mut().reset(deadline);
                }
                timer.as_mut().poll(cx).map(|()| false)
            });
            tokio::select! {
                biased;
                done = step => {
                    if done {
                        return;
                    }
                    match conn.deadline(&self.config) {
                        Some(deadline) if deadline <= Instant::now() => {
                            if conn.idle_since().is_none() || told {
                                return;
                            }
                            closing = true;
                        }
                        _ => {}
                    }
                    armed = conn.deadline(&self.config).unwrap_or_else(|| Instant::now() + self.config.idle_timeout);
                    armed = armed.max(Instant::now() + Duration::from_millis(1));
                    timer.as_mut().reset(armed);
                }
                () = self.kill.cancelled() => return,
                () = self.shutdown.cancelled(), if !closing => closing = true,
                () = conn.evicted.notified(), if !closing => {
                    // A request may have come meanwhile.
                    if conn.idle_since().is_some() {
                        self.metrics.evicted.inc();
                        closing = true;
                    }
                }
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        conn: Arc<Conn>,
    ) -> Result<http::Response<Leaving>, Infallible> {
        conn.enter(Phase::Busy);
        let place = (request.method().clone(), request.uri().path().to_owned());
        let request = request.map(|body| Body::new(Arriving::new(body, Arc::clone(&conn))));
        let mut app = self.app.clone();
        let mut handling = pin!(async move { app.call(request).await });
        let outcome = std::future::poll_fn(|cx| {
            // The future is not touched again after a panic; shared state behind it is guarded by its own locks.
            let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handling.as_mut().poll(cx)));
            match polled {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        });
        let mut response = match outcome.await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => self.panicked(&*panic, &place),
        };
        if self.pressed.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Leaving::new(body, conn)))
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send), (method, path): &(http::Method, String)) -> Response {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        self.metrics.panics.inc();
        tracing::error!(panic = text, %method, path, "a request met a defect");
        HttpError::new(ErrorKind::Internal, "internal error; the log says more").closing().into_response()
    }
}

/// A connection's entry among the open ones, and its slot; both go when it does, even by a panic.
struct Entry {
    server: Arc<Server>,
    id: u64,
    _slot: OwnedSemaphorePermit,
}

impl Entry {
    fn new(server: &Arc<Server>, conn: Arc<Conn>, slot: OwnedSemaphorePermit) -> Self {
        let id = server.next.fetch_add(1, Ordering::Relaxed);
        server.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, conn);
        server.metrics.connections.inc();
        Self { server: Arc::clone(server), id, _slot: slot }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.server.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.server.metrics.connections.dec();
    }
}
