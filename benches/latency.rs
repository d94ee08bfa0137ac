//! An idle server: how fast a webhook reaches the robot, how fast it starts, how much memory it holds; on SQLite and,
//! where the machine has it, on PostgreSQL.
//!
//! `cargo bench --bench latency [-- COUNT]` prints p50 and p99 over so many webhooks, one after the other; the cold start
//! of an empty server, over 20 starts; and its resident memory. On PostgreSQL there are two replicas: the webhooks go to
//! the one that speaks for the bot, then to the other one, at any moment between two of the owner's looks for news.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[path = "support/mod.rs"]
mod support;

use support::engine::{Engine, engines};
use support::robot::Robot;
use support::{Memory, Server, at_ms, backlog};

/// Cold starts.
const STARTS: usize = 20;

async fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// On a new store each time; ready means that `/-/ready` says so.
async fn cold(engine: &Engine, config: &str) {
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        let place = engine.place().await;
        let begin = Instant::now();
        let server = place.start(config).await;
        assert!(ask(server.address, "/-/ready").await.starts_with("HTTP/1.1 200"));
        taken.push(begin.elapsed());
        server.kill().await;
    }
    taken.sort_unstable();
    let (p50, least, most) = (at_ms(&taken, 0.5), at_ms(&taken, 0.0), at_ms(&taken, 1.0));
    println!("  cold start of an empty server until ready, {STARTS} times: p50 {p50:.0} ms ({least:.0} to {most:.0})");
}

/// One webhook after the other, until each is at the robot.
async fn messages(what: &str, server: &Server, robot: &mut Robot, numbers: std::ops::Range<u64>, pause: Duration) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 4096];
    let mut taken = Vec::new();
    for number in numbers {
        let body = backlog::body(number, number..number + 1);
        let head = format!("POST /api/v1/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        let sent = Instant::now();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let arrived = robot.hears.recv().await.unwrap();
        taken.push(arrived.saturating_duration_since(sent));
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
        // Idle again: the outcome is written.
        tokio::time::sleep(Duration::from_millis(20) + pause.mul_f64(fastrand::f64())).await;
    }
    taken.sort_unstable();
    let (p50, p99, times) = (at_ms(&taken, 0.5), at_ms(&taken, 0.99), taken.len());
    println!("  webhook sent{what} -> request at the robot, {times} times: p50 {p50:.2} ms, p99 {p99:.2} ms");
}

async fn run(engine: &Engine, count: u64) {
    println!("{}", engine.name());
    let mut robot = Robot::start().await;
    let config = format!(
        "bots:\n  - {{name: ops, type: wecom, url: 'http://{}/cgi-bin/webhook/send?key=00000000-0000-0000-0000-000000000000', \
         rate_limits: [{{messages: 9000, per: 1m}}]}}\ndefault_policy: {{notify: {{bots: [ops]}}}}\n",
        robot.address
    );
    cold(engine, &config).await;
    let (server, place) = engine.start(&config).await;
    let shared = place.url().is_some();
    if shared {
        server.until_owns(1).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = server.memory();
    messages("", &server, &mut robot, 0..count, Duration::ZERO).await;
    memory("idle", &idle);
    memory(&format!("after {count} messages"), &server.memory());
    if !shared {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let other = place.start_in(folder.path(), &config).await;
    // Two beats: it knows the first one, and leaves the bot to that.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let few = count.min(200);
    messages(" beside another replica", &server, &mut robot, count..count + few, Duration::ZERO).await;
    messages(" to the other replica", &other, &mut robot, count + few..count + 2 * few, Duration::from_millis(200))
        .await;
    assert_eq!((server.metric("alarmbell_bots_owned").await, other.metric("alarmbell_bots_owned").await), (1.0, 0.0));
}

fn memory(when: &str, Memory { resident, own, .. }: &Memory) {
    println!("  resident memory, {when}: {resident:.1} MB, of which {own:.1} MB are its own and the rest the program");
}

#[tokio::main]
async fn main() {
    let count = support::number(0).unwrap_or(300);
    for engine in engines() {
        run(&engine, count).await;
    }
}
