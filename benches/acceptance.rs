//! How fast webhooks are taken, beside a bare hyper server that only parses them, in one run.
//!
//! `cargo bench --bench acceptance [-- SECONDS] [RATE] [ratio] [half] [steady]` prints, for each number of connections,
//! webhooks per second and the latency of both and their ratio; then what both answer in at half of that load (or at
//! `RATE`), beside what the disk takes to keep 16 KB; then
//! the longest pauses in a minute of constant load, over many times around the write-ahead log. Each server is a process
//! of its own; both and the client share the machine, so the ratio is what counts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Its robot is out of reach, so that only acceptance is measured.
const CONFIG: &str = "
global: {backlog: {alerts: 100000000, bytes: 100GB}}
bots:
  - {name: ops, type: wecom, url: 'http://127.0.0.1:9/cgi-bin/webhook/send?key=00000000-0000-0000-0000-000000000000'}
default_policy: {notify: {bots: [ops]}}
";

#[path = "support/mod.rs"]
mod support;

use support::backlog::body;
use support::{Server, at_ms};

/// A bare server in a process of its own, as ours is: this program, told to be one.
struct Bare {
    address: SocketAddr,
    _child: tokio::process::Child,
}

impl Bare {
    async fn start() -> Self {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .env(BE_BARE, "1")
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        Self { address, _child: child }
    }

    /// Takes webhooks, parses them, keeps nothing.
    async fn be() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(
                TokioIo::new(stream),
                service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                    let bytes = request.into_body().collect().await?.to_bytes();
                    let parsed = alarmbell::model::Notification::parse(&bytes).is_ok();
                    assert!(parsed);
                    Ok::<_, hyper::Error>(hyper::Response::new(Full::new(bytes::Bytes::from_static(b"{}"))))
                }),
            ));
        }
    }
}

/// In the environment of the bare server.
const BE_BARE: &str = "ALARMBELL_BENCH_BARE";

/// Pairs of runs.
const ROUNDS: usize = 5;

struct Load {
    per_second: f64,
    /// Sorted.
    taken: Vec<Duration>,
    errors: u64,
}

async fn load(address: SocketAddr, connections: usize, alerts: u64, time: Duration, pace: Option<f64>) -> Load {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let errors = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for at in 0..connections {
        let errors = Arc::clone(&errors);
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut taken = Vec::new();
            let mut buffer = vec![0; 4096];
            let gap = pace.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
            let mut next = Instant::now() + gap.map_or(Duration::ZERO, |gap| gap.mul_f64(at as f64 / connections as f64));
            while start.elapsed() < time {
                if let Some(gap) = gap {
                    tokio::time::sleep_until(next.into()).await;
                    next += gap;
                }
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let body = body(number, number * alerts..(number + 1) * alerts);
                let head = format!(
                    "POST /api/v1/webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let sent = Instant::now();
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                let read = stream.read(&mut buffer).await.unwrap();
                taken.push(sent.elapsed());
                if !buffer[..read].starts_with(b"HTTP/1.1 200") {
                    errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            taken
        }));
    }
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    let seconds = start.elapsed().as_secs_f64();
    taken.sort_unstable();
    Load { per_second: taken.len() as f64 / seconds, taken, errors: errors.load(Ordering::Relaxed) }
}

#[tokio::main]
async fn main() {
    let time = Duration::from_secs(support::number(0).unwrap_or(3));
    if std::env::var_os(BE_BARE).is_some() {
        return Bare::be().await;
    }
    let server = Bare::start().await;
    let bare = server.address;
    let mut full = 0.0;
    if support::wants("ratio") {
        full = ratios(bare, time).await;
    }
    if let Some(rate) = support::number(1) {
        full = rate as f64 * 2.0;
    }
    if full == 0.0 && (support::wants("half") || support::wants("steady")) {
        let server = Server::start(CONFIG).await;
        full = load(server.address, 64, 1, time, None).await.per_second;
        server.kill().await;
    }
    if support::wants("half") {
        half(bare, full / 2.0, time).await;
    }
    if support::wants("steady") {
        let server = Server::start(CONFIG).await;
        let steady = load(server.address, 64, 1, time * 20, Some(full / 2.0)).await;
        line(&format!("constant {:.0}/s for {} s", full / 2.0, time.as_secs() * 20), &steady);
        server.kill().await;
    }
}

/// Webhooks per second with 64 connections and one alert.
async fn ratios(bare: SocketAddr, time: Duration) -> f64 {
    println!("connections  alerts   bare/s  alarmbell/s  ratio  (of all pairs)      p50 ms  p99 ms  errors");
    let mut full = 0.0;
    for (connections, alerts) in [(64, 1), (64, 100), (2000, 1)] {
        // In turn, so that a machine that slows down slows both; the pair with the median ratio counts.
        let mut pairs = Vec::new();
        for _ in 0..ROUNDS {
            let base = load(bare, connections, alerts, time, None).await;
            let server = Server::start(CONFIG).await;
            let ours = load(server.address, connections, alerts, time, None).await;
            server.kill().await;
            pairs.push((ours.per_second / base.per_second, base.per_second, ours));
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: Vec<String> = pairs.iter().map(|pair| format!("{:.2}", pair.0)).collect();
        let (ratio, base, ours) = &pairs[ROUNDS / 2];
        if (connections, alerts) == (64, 1) {
            full = ours.per_second;
        }
        println!(
            "{connections:>11}  {alerts:>6}  {base:>7.0}  {:>11.0}  {ratio:>5.2}  ({})  {:>6.2}  {:>6.2}  {:>6}",
            ours.per_second,
            all.join(", "),
            at_ms(&ours.taken, 0.5),
            at_ms(&ours.taken, 0.99),
            ours.errors
        );
    }
    full
}

/// Both servers at the same rate, in turn: what the bare one takes longer for is the client and the machine.
async fn half(bare: SocketAddr, rate: f64, time: Duration) {
    for (what, append) in [("longer", true), ("no longer", false)] {
        let disk = support::disk(append);
        let (p50, p99) = (at_ms(&disk, 0.5), at_ms(&disk, 0.99));
        println!("the disk alone, 16 KB and fdatasync, file gets {what}: p50 {p50:.2} ms, p99 {p99:.2} ms");
    }
    let mut pairs = Vec::new();
    for _ in 0..ROUNDS {
        let base = load(bare, 64, 1, time, Some(rate)).await;
        let server = Server::start(CONFIG).await;
        let ours = load(server.address, 64, 1, time, Some(rate)).await;
        server.kill().await;
        pairs.push((base, ours));
    }
    pairs.sort_by(|a, b| at_ms(&a.1.taken, 0.99).total_cmp(&at_ms(&b.1.taken, 0.99)));
    for (base, ours) in &pairs {
        line(&format!("half of that load, {rate:.0}/s"), ours);
        line("    the bare server at that rate", base);
    }
}

fn line(what: &str, load: &Load) {
    let Load { per_second, taken, errors } = load;
    println!(
        "{what}: {per_second:.0}/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {:.2} ms, errors {errors}",
        at_ms(taken, 0.5),
        at_ms(taken, 0.99),
        at_ms(taken, 0.999),
        at_ms(taken, 1.0),
    );
}
