//! How fast webhooks are taken, beside a bare hyper server that only parses them, in one run.
//!
//! `cargo bench --bench acceptance [-- SECONDS]` prints, for each number of connections, webhooks per second and the
//! latency of both and their ratio. Both servers and the client share the machine; the ratio is what counts.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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

use support::Server;

/// About 1 KB with one alert, as Alertmanager writes it; the number makes it another alert each time.
fn body(number: u64, alerts: u64) -> String {
    let alert = |n: u64| {
        format!(
            r#"{{"status":"firing","labels":{{"alertname":"DiskFull","cluster":"prod-1","instance":"10.0.0.1:{n:012}","job":"node","severity":"warning","team":"dba"}},"annotations":{{"description":"disk of 10.0.0.1 at 91% since ten minutes, and it is going to be full within two hours","summary":"Disk almost full"}},"startsAt":"2026-11-20T23:32:08.662928595Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prom.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1","fingerprint":"{n:016x}"}}"#
        )
    };
    let list: Vec<String> = (0..alerts).map(|at| alert(number * alerts + at)).collect();
    format!(
        r#"{{"receiver":"hook","status":"firing","alerts":[{}],"groupLabels":{{"alertname":"DiskFull","n":"{number:012}"}},"commonLabels":{{"alertname":"DiskFull","cluster":"prod-1","severity":"warning"}},"commonAnnotations":{{"summary":"Disk almost full"}},"externalURL":"http://vm:19093","version":"4","groupKey":"{{}}:{{n=\"{number:012}\"}}","truncatedAlerts":0}}"#,
        list.join(",")
    )
}

async fn bare() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
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
    });
    address
}

/// Pairs of runs.
const ROUNDS: usize = 3;

struct Load {
    per_second: f64,
    p50: Duration,
    p99: Duration,
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
                let body = body(NUMBER.fetch_add(1, Ordering::Relaxed), alerts);
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
    let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize];
    Load {
        per_second: taken.len() as f64 / seconds,
        p50: at(0.5),
        p99: at(0.99),
        errors: errors.load(Ordering::Relaxed),
    }
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().filter_map(|arg| arg.parse::<u64>().ok()).next().unwrap_or(3);
    let time = Duration::from_secs(seconds);
    println!("connections  alerts  bare/s   alarmbell/s  ratio  p50 ms  p99 ms  errors");
    let bare = bare().await;
    let mut full = 0.0;
    for (connections, alerts) in [(64, 1), (64, 100), (2000, 1)] {
        // In turn, so that a machine that slows down slows both; the pair with the median ratio counts.
        let mut pairs = Vec::new();
        for _ in 0..ROUNDS {
            let base = load(bare, connections, alerts, time, None).await;
            let mut server = Server::start(CONFIG).await;
            let ours = load(server.address, connections, alerts, time, None).await;
            server.child.kill().await.unwrap();
            pairs.push((base, ours));
        }
        pairs.sort_by(|a, b| (a.1.per_second / a.0.per_second).total_cmp(&(b.1.per_second / b.0.per_second)));
        let (base, ours) = &pairs[ROUNDS / 2];
        if (connections, alerts) == (64, 1) {
            full = ours.per_second;
        }
        row(connections, alerts, base, ours);
    }
    let mut server = Server::start(CONFIG).await;
    let half = load(server.address, 64, 1, time, Some(full / 2.0)).await;
    server.child.kill().await.unwrap();
    println!(
        "half of that load ({:.0}/s): p50 {:.2} ms, p99 {:.2} ms, errors {}",
        half.per_second,
        half.p50.as_secs_f64() * 1e3,
        half.p99.as_secs_f64() * 1e3,
        half.errors
    );
}

fn row(connections: usize, alerts: u64, base: &Load, ours: &Load) {
    println!(
        "{connections:>11}  {alerts:>6}  {:>7.0}  {:>11.0}  {:>5.2}  {:>6.2}  {:>6.2}  {:>6}",
        base.per_second,
        ours.per_second,
        ours.per_second / base.per_second,
        ours.p50.as_secs_f64() * 1e3,
        ours.p99.as_secs_f64() * 1e3,
        ours.errors
    );
}
