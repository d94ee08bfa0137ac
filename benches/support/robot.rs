//! A robot on loopback that says yes to everything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    answered: Arc<AtomicU64>,
}

impl Robot {
    /// Listens on a free port.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, hears) = unbounded_channel();
        let answered = Arc::new(AtomicU64::new(0));
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
        self.answered.load(Ordering::Relaxed)
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

async fn talk(mut stream: TcpStream, heard: UnboundedSender<Instant>, answered: Arc<AtomicU64>) {
    let mut buffer = vec![0; 65_536];
    let mut request = Vec::new();
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if request.is_empty() && heard.send(Instant::now()).is_err() {
            return;
        }
        request.extend_from_slice(&buffer[..read]);
        if is_whole(&request) {
            request.clear();
            let answer = "{\"errcode\":0,\"errmsg\":\"ok\"}";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
            // Counted before it is sent: what follows an answer is part of the next message.
            answered.fetch_add(1, Ordering::Relaxed);
            if stream.write_all(format!("{head}: {}\r\n\r\n{answer}", answer.len()).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    request.len() >= end + 4 + length.map_or(0, |length| length.trim().parse().unwrap())
}
