//! A million alerts wait: the memory that takes, and how fast a start tells the first of them.
//!
//! `cargo bench --bench backlog [-- ALERTS] [alone] [split] [groups]` posts so many alerts (1,000,000) to a server whose
//! robot is out of reach, in three shapes: each its own webhook and group; webhooks of 100 alerts that `group_by` splits
//! into groups of one; 100 groups. Then it kills the server and starts it with a robot that answers. After that the same on
//! PostgreSQL, where the machine has it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[path = "support/mod.rs"]
mod support;

#[path = "backlog/postgres.rs"]
mod postgres;

use support::engine::{Engine, engines};
use support::robot::Robot;
use support::{Memory, Server, backlog};

/// Connections that fill it.
const CONNECTIONS: usize = 64;

struct Shape {
    name: &'static str,
    what: &'static str,
    /// Alerts in a webhook.
    alerts: u64,
    /// Alertmanager's groups.
    groups: u64,
    group_by: &'static str,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "alone", what: "each its own webhook and group", alerts: 1, groups: u64::MAX, group_by: "" },
    Shape {
        name: "split",
        what: "100 a webhook, each its own group",
        alerts: 100,
        groups: u64::MAX,
        group_by: ", group_by: ['...']",
    },
    Shape { name: "groups", what: "100 a webhook, 100 groups", alerts: 100, groups: 100, group_by: "" },
];

/// The robots differ by their keys: what is stored of one that was out of reach holds for its key wherever it is.
fn config(robot: SocketAddr, shape: &Shape) -> String {
    format!(
        "global: {{backlog: {{alerts: 100000000, bytes: 100GB}}}}\nbots:\n  - {{name: ops, type: wecom, \
         url: 'http://{robot}/cgi-bin/webhook/send?key=00000000-0000-0000-0000-{:012}'}}\n\
         default_policy: {{notify: {{bots: [ops]}}{}}}\n",
        robot.port(),
        shape.group_by
    )
}

async fn post(address: SocketAddr, shape: &Shape, alerts: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let (size, groups) = (shape.alerts, shape.groups);
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let next = Arc::clone(&next);
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut buffer = vec![0; 4096];
            loop {
                let webhook = next.fetch_add(1, Ordering::Relaxed);
                let first = webhook * size;
                if first >= alerts {
                    return;
                }
                let body = backlog::body(webhook % groups, first..(first + size).min(alerts));
                let head =
                    format!("POST /api/v1/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn run(shape: &Shape, alerts: u64) {
    println!("{alerts} alerts, {}", shape.what);
    let folder = tempfile::tempdir().unwrap();
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let server = Server::start_on(folder.path(), &config(nobody, shape)).await;
    let begin = Instant::now();
    post(server.address, shape, alerts).await;
    let took = begin.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.metric("alarmbell_queue_alerts").await, alerts as f64);
    memory(&format!("taken in {took:.0} s"), &server.memory());
    server.kill().await;
    let mut robot = Robot::start().await;
    let begin = Instant::now();
    let server = Server::start_on(folder.path(), &config(robot.address, shape)).await;
    let first = robot.hears.recv().await.unwrap().saturating_duration_since(begin).as_secs_f64();
    println!(
        "  start after a kill: listens after {:.2} s, first message after {first:.2} s",
        server.cold.as_secs_f64()
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    memory("after that start", &server.memory());
    server.kill().await;
}

fn memory(when: &str, Memory { resident, own, peak }: &Memory) {
    println!("  {when}: {resident:.0} MB resident, {own:.0} MB without the program, {peak:.0} MB at most");
}

#[tokio::main]
async fn main() {
    let alerts = support::number(0).unwrap_or(1_000_000);
    for shape in SHAPES.iter().filter(|shape| support::wants(shape.name)) {
        run(shape, alerts).await;
    }
    for engine in engines().iter().filter(|engine| matches!(engine, Engine::Postgres(_))) {
        for shape in SHAPES.iter().filter(|shape| support::wants(shape.name)) {
            postgres::run(engine, shape, alerts).await;
        }
    }
}
