//! A robot on loopback that says yes to everything.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Answers every request as WeCom does.
pub(crate) struct Robot {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// When the first bytes of each request came.
    pub(crate) hears: UnboundedReceiver<Instant>,
    answered: Arc<Answered>,
}

/// How many requests got their yes, and how many of each bot, by its key.
#[derive(Default)]
struct Answered {
    all: AtomicU64,
    by_key: Mutex<HashMap<String, u64>>,
}

impl Robot {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, hears) = unbounded_channel();
        let answered = Arc::new(Answered::default());
        let count = Arc::clone(&answered);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(talk(stream, heard.clone(), Arc::clone(&count)));
            }
        });
        Self { address, hears, answered }
    }

    /// Messages that it said yes to.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.all.load(Ordering::Relaxed)
    }

    /// Bots that were told so many messages.
    pub(crate) fn bots_told(&self, messages: u64) -> usize {
        self.answered.by_key.lock().unwrap().values().filter(|told| **told >= messages).count()
    }

    /// Waits until so many bots were told so many messages each.
    pub(crate) async fn until_bots(&self, bots: usize, messages: u64) {
        let begin = Instant::now();
        while self.bots_told(messages) < bots {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert!(begin.elapsed() < Duration::from_secs(300), "{} of {bots} bots", self.bots_told(messages));
        }
    }

    /// Waits for so many answers, with a look every few milliseconds.
    pub(crate) async fn until(&self, answered: u64) {
        let mut last = (self.answered(), Instant::now());
        while self.answered() < answered {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.answered() > last.0 {
                last = (self.answered(), Instant::now());
            }
            assert!(last.1.elapsed() < Duration::from_secs(120), "no message for 2 minutes, {} of {answered}", last.0);
        }
    }
}

async fn talk(mut stream: TcpStream, heard: UnboundedSender<Instant>, answered: Arc<Answered>) {
    let mut buffer = vec![0; 65_536];
    let mut request = Vec::new();
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if request.is_empty() && heard.send(Instant::now()).is_err() {
            return;
        }
        request.extend_from_slice(&buffer[..read]);
        if is_whole(&request) {
            let key = key(&request);
            request.clear();
            let answer = "{\"errcode\":0,\"errmsg\":\"ok\"}";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
            // Counted before it is sent: what follows an answer is part of the next message.
            *answered.by_key.lock().unwrap().entry(key).or_default() += 1;
            answered.all.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(format!("{head}: {}\r\n\r\n{answer}", answer.len()).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// What the address has behind `key=`.
fn key(request: &[u8]) -> String {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default());
    let key = line.split_once("key=").map_or("", |(_, rest)| rest);
    key.split([' ', '&']).next().unwrap_or_default().to_owned()
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    request.len() >= end + 4 + length.map_or(0, |length| length.trim().parse().unwrap())
}
