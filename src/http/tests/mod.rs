#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::{get, post};
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;

mod bodies;
mod connections;
mod framing;
mod login;

/// Longer than any test waits for something that comes.
const LONG: Duration = Duration::from_secs(60);

/// A running server.
struct Server {
    address: SocketAddr,
    registry: Registry,
    shutdown: CancellationToken,
    done: JoinHandle<()>,
}

/// Timeouts that never fire by themselves.
fn patient() -> ListenerConfig {
    ListenerConfig { connections: 100, header_timeout: LONG, idle_timeout: LONG, write_timeout: LONG }
}

async fn start(app: Router, config: ListenerConfig, grace: Duration) -> Server {
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    let metrics = HttpMetrics::new(&registry).unwrap();
    let shutdown = CancellationToken::new();
    let done = tokio::spawn(serve(listener, app, config, metrics, shutdown.clone(), grace));
    Server { address, registry, shutdown, done }
}

impl Server {
    async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), rest: Vec::new() }
    }

    fn metric(&self, name: &str) -> i64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == format!("alarmbell_http_{name}")).unwrap();
        let metric = &family.get_metric()[0];
        let (counter, gauge) = (metric.get_counter(), metric.get_gauge());
        (counter.get_value() + gauge.get_value()) as i64
    }
}

/// An answer: status, head in lower case, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// A client that speaks bytes.
struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        self.answer().await.unwrap()
    }

    async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        self.answer().await.unwrap()
    }

    /// The next answer; `None` when the connection ends before it.
    async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(LONG, self.read()).await.unwrap()
    }

    async fn read(&mut self) -> Option<Answer> {
        let mut answer = self.head().await?;
        let length: usize = answer.header("content-length").map_or(0, |n| n.parse().unwrap());
        while self.rest.len() < length {
            self.more().await?;
        }
        answer.body = String::from_utf8(self.rest.drain(..length).collect()).unwrap();
        Some(answer)
    }

    /// An answer without its body; also the whole answer to HEAD.
    async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.rest.drain(..end).collect()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body: String::new() })
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let read = self.stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        self.rest.extend_from_slice(&buffer[..read]);
        Some(())
    }

    /// Waits until the server closes; what came before is returned.
    async fn closed(&mut self) -> String {
        let all = async { while self.more().await.is_some() {} };
        tokio::time::timeout(LONG, all).await.unwrap();
        String::from_utf8(std::mem::take(&mut self.rest)).unwrap()
    }
}

/// A handler that says that it began, and ends when it may.
#[derive(Clone)]
struct Gate {
    began: Arc<Semaphore>,
    may_end: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { began: Arc::new(Semaphore::new(0)), may_end: Arc::new(Semaphore::new(0)) }
    }

    fn route(&self) -> Router {
        async fn held(State(gate): State<Gate>) -> &'static str {
            gate.pass().await;
            "done"
        }
        Router::new().route("/held", get(held)).route("/", get(|| async { "ok" })).with_state(self.clone())
    }

    async fn pass(&self) {
        self.began.add_permits(1);
        self.may_end.acquire().await.unwrap().forget();
    }

    async fn wait_for(&self, requests: u32) {
        tokio::time::timeout(LONG, self.began.acquire_many(requests)).await.unwrap().unwrap().forget();
    }
}
