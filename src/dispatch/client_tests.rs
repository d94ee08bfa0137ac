//! The last step before a request is written.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::AtomicUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::client::{Reply, client, send_if};
use super::*;
use crate::channel;
use crate::model::Secret;

/// A robot that keeps what it reads and answers whatever seems to be a request.
async fn robot() -> (String, Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cgi-bin/webhook/send?key=one", listener.local_addr().unwrap());
    let (read, ended) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicUsize>::default());
    let (all, ends) = (Arc::clone(&read), Arc::clone(&ended));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut part = [0; 4096];
            loop {
                let count = stream.read(&mut part).await.unwrap_or(0);
                if count == 0 {
                    ends.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                all.lock().unwrap().extend_from_slice(&part[..count]);
                if part[..count].ends_with(b"END") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
                }
            }
        }
    });
    (url, read, ended)
}

#[tokio::test]
async fn a_request_is_given_up_as_late_as_its_body_is_wanted() {
    // Fails only when another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, read, ended) = robot().await;
    let client = client(&HttpClientConfig::default()).unwrap();
    let request = || channel::sign(BotKind::WeCom, &Secret::new(url.as_str()), None, b"END", 0);
    // The question is asked twice: before the connection, and once that is there.
    for (yes, asked) in [(0, 1), (1, 2)] {
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        let sent = send_if(&client, request(), Arc::new(move || counted.fetch_add(1, Ordering::SeqCst) < yes)).await;
        assert!(sent.is_none(), "after {yes} times yes nothing is sent");
        assert_eq!(count.load(Ordering::SeqCst), asked);
    }
    super::tests::until("the connection is closed", || ended.load(Ordering::SeqCst) == 1).await;
    assert!(!read.lock().unwrap().ends_with(b"END"), "the robot has no body");
    let sent = send_if(&client, request(), Arc::new(|| true)).await;
    let Some(Ok(Reply { status, body })) = sent else { panic!("it is sent") };
    assert_eq!((status, &body[..]), (200, &b"{}"[..]));
    let text = String::from_utf8(read.lock().unwrap().clone()).unwrap().to_lowercase();
    assert!(text.contains("content-length: 3") && !text.contains("chunked"), "{text}");
}
