//! Faults on demand; cuts over a real connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Fault, FaultKind, serve};
use super::{JSON, Rig, text};
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};

fn once(kind: FaultKind) -> Fault {
    Fault { kind, count: Some(1), latency_ms: 0 }
}

/// Sends one message over TCP; gives what came back before the connection closed.
async fn over_tcp(rig: &Rig, kind: BotKind, body: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, rig.sandbox.clone(), async {
        let _ = stopped.await;
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let path = super::super::address(kind, "T");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a closed connection too.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_cut_closes_the_connection_without_an_answer() {
    for (fault, shown) in [(FaultKind::CutBefore, 0), (FaultKind::CutAfter, 1)] {
        let rig = Rig::quick();
        assert!(rig.sandbox.add_fault(WeCom, "T", once(fault)));
        assert_eq!(over_tcp(&rig, WeCom, &text(WeCom, "x")).await, "", "{fault:?}");
        assert_eq!(rig.stats(WeCom).accepted, shown, "{fault:?}");
        let answer = over_tcp(&rig, WeCom, &text(WeCom, "x")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "the fault was for one request: {answer}");
    }
}

#[tokio::test]
async fn a_retry_after_a_cut_shows_once_with_msg_uuid_and_twice_without() {
    let rig = Rig::quick();
    let body = r#"{"msgtype":"markdown","markdown":{"title":"t","text":"x"},"msgUuid":"u-1"}"#;
    rig.sandbox.add_fault(DingTalk, "T", once(FaultKind::CutAfter));
    assert_eq!(over_tcp(&rig, DingTalk, body).await, "");
    assert_eq!(rig.send(DingTalk, body).await.code(), 0);
    let stats = rig.stats(DingTalk);
    assert_eq!((stats.requests, stats.accepted, stats.duplicates), (2, 1, 1));
    assert_eq!(rig.records(DingTalk).len(), 1);
    let lines = rig.sandbox.requests(DingTalk, "T", 0, 10).unwrap();
    assert_eq!(lines.iter().map(|line| line.duplicate).collect::<Vec<_>>(), [false, true]);
    assert_eq!(lines[0].hash, lines[1].hash);

    rig.send(WeCom, &text(WeCom, "x")).await;
    rig.send(WeCom, &text(WeCom, "x")).await;
    assert_eq!(rig.stats(WeCom).accepted, 2);
}

#[tokio::test]
async fn a_refused_message_does_not_use_up_its_msg_uuid() {
    let rig = Rig::quick();
    let body = r#"{"msgtype":"text","text":{"content":"x"},"msgUuid":"u-1"}"#;
    rig.sandbox.add_fault(DingTalk, "T", once(FaultKind::Busy));
    assert_eq!(rig.send(DingTalk, body).await.code(), -1);
    assert_eq!(rig.send(DingTalk, body).await.code(), 0);
    assert_eq!(rig.stats(DingTalk).accepted, 1);
}

#[tokio::test]
async fn answers_go_wrong_as_ordered() {
    let cases = [
        (FaultKind::Http500, 500, "500 Internal Server Error", false),
        (FaultKind::Http502, 502, "502 Bad Gateway", false),
        (FaultKind::Http503, 503, "503 Service", false),
        (FaultKind::Http504, 504, "504 Gateway", false),
        (FaultKind::Http429, 429, "429 Too Many", false),
        (FaultKind::Html, 200, "<html>", false),
        (FaultKind::Status1111, 200, "\"status\":1111", false),
        (FaultKind::Empty, 200, "", true),
        (FaultKind::CutJson, 200, "{", true),
    ];
    for kind in BotKind::ALL {
        for (fault, status, part, shown) in cases {
            let rig = Rig::quick();
            rig.sandbox.add_fault(kind, "T", once(fault));
            let reply = rig.send(kind, &text(kind, "x")).await;
            assert_eq!(reply.status, status, "{fault:?}");
            assert!(reply.body.contains(part), "{fault:?}: {}", reply.body);
            let broken = serde_json::from_str::<serde_json::Value>(&reply.body).is_err();
            assert_eq!(broken, fault != FaultKind::Status1111, "{fault:?}: {}", reply.body);
            assert_eq!(rig.stats(kind).accepted, u64::from(shown), "{fault:?}");
            assert_eq!(rig.last(kind).fault, fault.as_str());
            assert_eq!(rig.send(kind, &text(kind, "x")).await.code(), 0, "{fault:?} was for one request");
        }
    }
}

#[tokio::test]
async fn vendors_own_codes_on_demand() {
    let codes = |kind| match kind {
        DingTalk => [-1, 300_005, 660_026],
        WeCom => [-1, 93_000, 45_009],
        Feishu => [11_232, 19_001, 11_232],
    };
    for kind in BotKind::ALL {
        let rig = Rig::quick();
        let faults = [FaultKind::Busy, FaultKind::Misconfigured, FaultKind::RateLimited];
        for (fault, code) in faults.into_iter().zip(codes(kind)) {
            rig.sandbox.add_fault(kind, "T", once(fault));
            assert_eq!(rig.send(kind, &text(kind, "x")).await.code(), code, "{fault:?}");
            assert_eq!(rig.stats(kind).accepted, 0);
        }
    }
}

#[tokio::test]
async fn latency_and_timeouts_wait_for_the_clock() {
    let rig = Rig::quick();
    rig.sandbox.add_fault(Feishu, "T", Fault { kind: FaultKind::Latency, count: None, latency_ms: 5_000 });
    let body = text(Feishu, "x");
    let mut waiting = Box::pin(rig.send(Feishu, &body));
    assert!(futures_pending(&mut waiting).await);
    assert_eq!(rig.stats(Feishu).accepted, 1, "shown before the answer");
    rig.advance_ms(4_999);
    assert!(futures_pending(&mut waiting).await);
    rig.advance_ms(1);
    assert_eq!(waiting.await.code(), 0);

    assert!(rig.sandbox.clear_faults(Feishu, "T"));
    for (fault, shown) in [(FaultKind::Timeout, 2), (FaultKind::TimeoutBefore, 2)] {
        rig.sandbox.add_fault(Feishu, "T", once(fault));
        let mut waiting = Box::pin(rig.send(Feishu, &body));
        assert!(futures_pending(&mut waiting).await);
        rig.advance_ms(600_000);
        assert!(futures_pending(&mut waiting).await, "no answer in ten minutes");
        assert_eq!(rig.stats(Feishu).accepted, shown, "{fault:?}");
    }
}

/// Whether a future is still waiting after everything that can run has run.
async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
    for _ in 0..8 {
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending()))
                .await;
        if !polled {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn faults_count_down_in_order() {
    let rig = Rig::quick();
    rig.sandbox.add_fault(WeCom, "T", Fault { kind: FaultKind::Http502, count: Some(2), latency_ms: 0 });
    rig.sandbox.add_fault(WeCom, "T", once(FaultKind::Busy));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(rig.send(WeCom, &text(WeCom, "x")).await.status);
    }
    assert_eq!(seen, [502, 502, 200, 200]);
    let stats = rig.stats(WeCom);
    assert_eq!((stats.accepted, stats.refused["502"], stats.refused["-1"]), (1, 2, 1));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_hanging_request() {
    let rig = Rig::quick();
    rig.sandbox.add_fault(WeCom, "T", once(FaultKind::Timeout));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, rig.sandbox.clone(), async {
        let _ = stopped.await;
    }));
    let body = text(WeCom, "x");
    let head = format!("POST /cgi-bin/webhook/send?key=T HTTP/1.1\r\nhost: x\r\ncontent-type: {JSON}\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    while rig.stats(WeCom).requests == 0 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(30), server).await.unwrap().unwrap().unwrap();
}
