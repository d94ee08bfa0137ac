//! From a webhook sent to an idle server to its request at the robot.
//!
//! `cargo bench --bench latency [-- COUNT]` prints p50 and p99 over so many webhooks, one after the other; the cold start
//! of an empty server; and its resident memory when idle.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[path = "support/mod.rs"]
mod support;

use support::Server;

/// Answers every request like WeCom, and says when its first bytes arrived.
async fn robot() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                let mut request = Vec::new();
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if request.is_empty() {
                        heard.send(Instant::now()).unwrap();
                    }
                    request.extend_from_slice(&buffer[..read]);
                    if is_whole(&request) {
                        request.clear();
                        let answer = "{\"errcode\":0,\"errmsg\":\"ok\"}";
                        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
                        stream.write_all(format!("{head}: {}\r\n\r\n{answer}", answer.len()).as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    (address, hears)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(str::to_owned));
    request.len() >= head.len() + 4 + length.map_or(0, |length| length.trim().parse().unwrap())
}

fn resident_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[tokio::main]
async fn main() {
    let count = std::env::args().filter_map(|arg| arg.parse::<u64>().ok()).next().unwrap_or(300);
    let (robot, mut hears) = robot().await;
    let config = format!(
        "bots:\n  - {{name: ops, type: wecom, url: 'http://{robot}/cgi-bin/webhook/send?key=00000000-0000-0000-0000-000000000000', \
         rate_limits: [{{messages: 9000, per: 1m}}]}}\ndefault_policy: {{notify: {{bots: [ops]}}}}\n"
    );
    let begin = Instant::now();
    let server = Server::start(&config).await;
    let cold = begin.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = resident_mb(server.child.id().unwrap());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 4096];
    let mut taken = Vec::new();
    for number in 0..count {
        let body = format!(
            r#"{{"status":"firing","alerts":[{{"status":"firing","labels":{{"alertname":"DiskFull","instance":"i{number}","severity":"warning"}},"annotations":{{"summary":"Disk almost full"}},"startsAt":"2026-11-20T23:32:08Z"}}],"groupKey":"g{number}"}}"#
        );
        let head = format!("POST /api/v1/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        let sent = Instant::now();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let arrived = hears.recv().await.unwrap();
        taken.push(arrived.saturating_duration_since(sent));
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
        // Idle again: the outcome is written.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    taken.sort_unstable();
    let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("webhook sent -> request at the robot, {count} times: p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
    println!("cold start of an empty server until it listens: {:.0} ms", cold.as_secs_f64() * 1e3);
    println!(
        "resident memory, idle: {idle:.1} MB; after {count} messages: {:.1} MB",
        resident_mb(server.child.id().unwrap())
    );
}
