//! Connections that no well-behaved client would make.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::PATIENCE;

/// One connection.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Writes what the other side takes; it may have closed already.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Writes so many bytes of nothing in particular, in pieces.
    pub async fn fill(&mut self, bytes: usize) -> std::io::Result<()> {
        let piece = vec![b'a'; 256 * 1024];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(piece.len());
            self.0.write_all(&piece[..now]).await?;
            left -= now;
        }
        Ok(())
    }

    /// Reads until the other side closes, or a whole answer is there. Empty when it closed without one.
    pub async fn answer(&mut self) -> String {
        let mut text = Vec::new();
        let reading = async {
            let mut piece = vec![0; 16 * 1024];
            loop {
                match self.0.read(&mut piece).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => text.extend_from_slice(&piece[..read]),
                }
                if is_whole(&text) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("no answer");
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The status of the answer; 0 when the connection was closed without one.
    pub async fn status(&mut self) -> u16 {
        let answer = self.answer().await;
        answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}

/// The head of a webhook with a body of this many bytes.
pub fn head(length: usize) -> Vec<u8> {
    format!("POST /api/v1/webhook HTTP/1.1\r\nhost: alarmbell\r\ncontent-length: {length}\r\n\r\n").into_bytes()
}

/// Lets this process open as many connections as the machine allows.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}
