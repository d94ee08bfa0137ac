//! How fast webhooks are taken, beside a bare hyper server that only parses them, in one run; on SQLite and, where the
//! machine has it, on PostgreSQL.
//!
//! `cargo bench --bench acceptance [-- SECONDS] [RATE] [ratio] [half] [steady]` prints, for each number of connections,
//! webhooks per second and the latency of each store, and their ratio to the bare server and to each other; then what
//! they answer in at half of that load (or at `RATE`), beside what the disk takes to keep 16 KB; then
//! the longest pauses in a minute of constant load, over many times around the write-ahead log. Each server is a process
//! of its own; all and the client share the machine, so the ratio is what counts.

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

use support::at_ms;
use support::backlog::{body, resolved};
use support::engine::{Engine, engines};

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

/// What is sent.
#[derive(Clone, Copy)]
struct Shape {
    connections: usize,
    /// Alerts in a webhook.
    alerts: u64,
    /// Whether each webhook that fires is followed by one that says its end.
    ends: bool,
}

const ONE: Shape = Shape { connections: 64, alerts: 1, ends: false };

struct Load {
    per_second: f64,
    /// Sorted.
    taken: Vec<Duration>,
    errors: u64,
}

async fn load(address: SocketAddr, shape: Shape, time: Duration, pace: Option<f64>) -> Load {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let errors = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let Shape { connections, alerts, ends } = shape;
    let mut tasks = Vec::new();
    for at in 0..connections {
        let errors = Arc::clone(&errors);
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            let mut taken = Vec::new();
            let mut buffer = vec![0; 4096];
            let gap = pace.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
            let mut fired = None;
            let mut next = Instant::now() + gap.map_or(Duration::ZERO, |gap| gap.mul_f64(at as f64 / connections as f64));
            while start.elapsed() < time {
                if let Some(gap) = gap {
                    tokio::time::sleep_until(next.into()).await;
                    next += gap;
                }
                let of = |number: u64| (number, number * alerts..(number + 1) * alerts);
                let body = if let Some((number, alerts)) = fired.take().map(of) {
                    resolved(number, alerts)
                } else {
                    let (number, alerts) = of(NUMBER.fetch_add(1, Ordering::Relaxed));
                    fired = ends.then_some(number);
                    body(number, alerts)
                };
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

/// In the order of [`engines`].
type PerEngine<T> = Vec<(Engine, T)>;

#[tokio::main]
async fn main() {
    let time = Duration::from_secs(support::number(0).unwrap_or(3));
    if std::env::var_os(BE_BARE).is_some() {
        return Bare::be().await;
    }
    let server = Bare::start().await;
    let bare = server.address;
    let engines = engines();
    let mut full = Vec::new();
    if support::wants("ratio") {
        full = ratios(bare, &engines, time).await;
    }
    if let Some(rate) = support::number(1) {
        full = engines.iter().map(|engine| (engine.clone(), rate as f64 * 2.0)).collect();
    }
    if full.is_empty() && (support::wants("half") || support::wants("steady")) {
        for engine in &engines {
            full.push((engine.clone(), ours(engine, ONE, time, None).await.per_second));
        }
    }
    if support::wants("half") {
        half(bare, &full, time).await;
    }
    if support::wants("steady") {
        for (engine, full) in &full {
            let steady = ours(engine, ONE, time * 20, Some(full / 2.0)).await;
            line(&format!("{}, constant {:.0}/s for {} s", engine.name(), full / 2.0, time.as_secs() * 20), &steady);
        }
    }
}

/// The load on a new server.
async fn ours(engine: &Engine, shape: Shape, time: Duration, pace: Option<f64>) -> Load {
    let (server, _place) = engine.start(CONFIG).await;
    let load = load(server.address, shape, time, pace).await;
    server.kill().await;
    load
}

/// A run of each, in turn, so that a machine that slows down slows all.
struct Round {
    bare: f64,
    loads: Vec<Load>,
}

/// Webhooks per second of each engine with 64 connections and one alert.
async fn ratios(bare: SocketAddr, engines: &[Engine], time: Duration) -> PerEngine<f64> {
    println!(
        "connections  alerts  store        bare/s  alarmbell/s  ratio  (of all rounds)     p50 ms  p99 ms  errors"
    );
    let mut full = Vec::new();
    let shapes = [ONE, Shape { alerts: 100, ..ONE }, Shape { connections: 2000, ..ONE }, Shape { ends: true, ..ONE }];
    for shape in shapes {
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let bare = load(bare, shape, time, None).await.per_second;
            let mut loads = Vec::new();
            for engine in engines {
                loads.push(ours(engine, shape, time, None).await);
            }
            rounds.push(Round { bare, loads });
        }
        for (at, engine) in engines.iter().enumerate() {
            let rate = of_engine(shape, engine, &mut rounds, at);
            if (shape.connections, shape.alerts, shape.ends) == (64, 1, false) {
                full.push((engine.clone(), rate));
            }
        }
        if engines.len() == 2 {
            let beside = |round: &Round| round.loads[1].per_second / round.loads[0].per_second;
            rounds.sort_by(|a, b| beside(a).total_cmp(&beside(b)));
            let all: Vec<String> = rounds.iter().map(|round| format!("{:.2}", beside(round))).collect();
            println!("             PostgreSQL / SQLite: {:.2}  ({})", beside(&rounds[ROUNDS / 2]), all.join(", "));
        }
    }
    full
}

/// Prints the round with the median ratio; returns its rate.
fn of_engine(shape: Shape, engine: &Engine, rounds: &mut [Round], at: usize) -> f64 {
    let ratio = |round: &Round| round.loads[at].per_second / round.bare;
    rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let all: Vec<String> = rounds.iter().map(|round| format!("{:.2}", ratio(round))).collect();
    let round = &rounds[ROUNDS / 2];
    let load = &round.loads[at];
    println!(
        "{:>11}  {:>6}  {:<10}  {:>7.0}  {:>11.0}  {:>5.2}  ({})  {:>6.2}  {:>6.2}  {:>6}{}",
        shape.connections,
        shape.alerts,
        engine.name(),
        round.bare,
        load.per_second,
        ratio(round),
        all.join(", "),
        at_ms(&load.taken, 0.5),
        at_ms(&load.taken, 0.99),
        load.errors,
        if shape.ends { "  every other one a resolve" } else { "" }
    );
    load.per_second
}

/// Each server and the bare one at the same rate, in turn: what the bare one takes longer for is the client and the
/// machine.
async fn half(bare: SocketAddr, full: &PerEngine<f64>, time: Duration) {
    for (what, append) in [("longer", true), ("no longer", false)] {
        let disk = support::disk(append);
        let (p50, p99) = (at_ms(&disk, 0.5), at_ms(&disk, 0.99));
        println!("the disk alone, 16 KB and fdatasync, file gets {what}: p50 {p50:.2} ms, p99 {p99:.2} ms");
    }
    let mut rounds: PerEngine<Vec<(Load, Load)>> =
        full.iter().map(|(engine, _)| (engine.clone(), Vec::new())).collect();
    for _ in 0..ROUNDS {
        for ((engine, full), (_, pairs)) in full.iter().zip(&mut rounds) {
            let base = load(bare, ONE, time, Some(full / 2.0)).await;
            pairs.push((base, ours(engine, ONE, time, Some(full / 2.0)).await));
        }
    }
    for ((engine, full), (_, mut pairs)) in full.iter().zip(rounds) {
        pairs.sort_by(|a, b| at_ms(&a.1.taken, 0.99).total_cmp(&at_ms(&b.1.taken, 0.99)));
        for (base, ours) in &pairs {
            line(&format!("{}, half of that load, {:.0}/s", engine.name(), full / 2.0), ours);
            line("    the bare server at that rate", base);
        }
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
