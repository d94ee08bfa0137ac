use super::*;

/// Answers with the length of the body; `/held` keeps the body until it may end.
fn app(limits: &BodyLimits, gate: &Gate) -> Router {
    type Both = (BodyLimits, Gate);
    async fn length(State((limits, _)): State<Both>, request: Request) -> Result<String, HttpError> {
        let (body, _permit) = read_body(request, &limits).await?;
        Ok(body.len().to_string())
    }
    async fn held(State((limits, gate)): State<Both>, request: Request) -> Result<String, HttpError> {
        let (body, _permit) = read_body(request, &limits).await?;
        gate.pass().await;
        Ok(body.len().to_string())
    }
    let routes = Router::new().route("/", post(length)).route("/held", post(held));
    routes.with_state((limits.clone(), gate.clone()))
}

async fn started(limits: &BodyLimits, gate: &Gate) -> Server {
    start(app(limits, gate), patient(), LONG).await
}

fn kind(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["errorType"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn bodies_of_every_size_come_whole() {
    let limits = BodyLimits::new(3_000_000, 10_000_000);
    let server = started(&limits, &Gate::new()).await;
    let mut client = server.connect().await;
    for length in [0, 1, 8192, 262_144, 262_145, 1_000_003, 3_000_000] {
        let answer = client.post("/", &"x".repeat(length)).await;
        assert_eq!((answer.status, answer.body), (200, length.to_string()));
    }
    client
        .send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n...\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().body, "8");
    client.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    client.send("ab").await;
    assert_eq!(client.answer().await.unwrap().body, "2");
    assert_eq!(limits.used(), 0);
    assert_eq!(server.metric("connections_accepted_total"), 1);
}

/// The whole body is sent before the answer is read, as simple clients do; the answer must not be lost to a reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seventy_megabytes_are_too_large() {
    const MB: usize = 1 << 20;
    let limits = BodyLimits::new(64 << 20, 256 << 20);
    let server = started(&limits, &Gate::new()).await;
    let chunk = "x".repeat(MB);
    let mut known = server.connect().await;
    known.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 70 * MB)).await;
    for _ in 0..70 {
        known.send(&chunk).await;
    }
    let answer = known.answer().await.unwrap();
    assert_eq!(kind(&answer), (413, "too_large".into()));
    assert_eq!(answer.header("connection"), Some("close"));

    let mut chunked = server.connect().await;
    chunked.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..70 {
        chunked.send(&format!("{MB:x}\r\n{chunk}\r\n")).await;
    }
    assert_eq!(chunked.answer().await.unwrap().status, 413);
    assert_eq!(limits.used(), 0);
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let mut limits = BodyLimits::new(1000, 1000);
    limits.stall_timeout = Duration::from_millis(150);
    let server = started(&limits, &Gate::new()).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf").await;
    assert_eq!(kind(&client.answer().await.unwrap()), (408, "timeout".into()));
    assert_eq!(limits.used(), 0);
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let mut limits = BodyLimits::new(1000, 1000);
    (limits.stall_timeout, limits.total_timeout) = (LONG, Duration::from_millis(400));
    let server = started(&limits, &Gate::new()).await;
    let Client { stream, rest } = server.connect().await;
    let (read, mut write) = stream.into_split();
    let drip = tokio::spawn(async move {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
        write.write_all(head.as_bytes()).await.unwrap();
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            if write.write_all(b"x").await.is_err() {
                return;
            }
        }
    });
    let mut read = read;
    let mut text = rest;
    while !String::from_utf8_lossy(&text).contains("408 ") {
        assert_ne!(read.read_buf(&mut text).await.unwrap(), 0);
    }
    drip.abort();
}

#[tokio::test]
async fn a_client_that_vanishes_frees_its_share() {
    let limits = BodyLimits::new(1000, 1000);
    let server = started(&limits, &Gate::new()).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nhalf").await;
    while limits.used() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    while limits.used() != 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.connect().await.post("/", &"x".repeat(1000)).await.status, 200);
}

#[tokio::test]
async fn bodies_in_flight_share_a_budget() {
    let (limits, gate) = (BodyLimits::new(1000, 2500), Gate::new());
    let server = started(&limits, &gate).await;
    let body = "x".repeat(1000);
    let request = format!("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{body}");
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    a.send(&request).await;
    b.send(&request).await;
    gate.wait_for(2).await;
    assert_eq!(limits.used(), 2000);
    let answer = server.connect().await.post("/", &body).await;
    assert_eq!(kind(&answer), (503, "unavailable".into()));
    // What fits is still taken, and a reload to smaller limits goes on counting what is there.
    assert_eq!(server.connect().await.post("/", &body[..500]).await.status, 200);
    assert_eq!(limits.resized(10, 20).used(), 2000);
    // Without a Content-Length the excess shows while it arrives.
    let mut chunked = server.connect().await;
    chunked
        .send(&format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n{}\r\n", &body[..600]))
        .await;
    assert_eq!(chunked.answer().await.unwrap().status, 503);
    gate.may_end.add_permits(2);
    assert_eq!(a.answer().await.unwrap().body, "1000");
    assert_eq!(b.answer().await.unwrap().body, "1000");
    assert_eq!(server.connect().await.post("/", &body).await.status, 200);
    assert_eq!(limits.used(), 0);
}

#[tokio::test]
async fn a_length_alone_holds_no_memory() {
    let limits = BodyLimits::new(64 << 20, 256 << 20);
    let server = started(&limits, &Gate::new()).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = server.connect().await;
        client.send(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\nx", 64 << 20)).await;
        clients.push(client);
    }
    // All of them have been seen when each has its first step.
    while limits.used() < 8 * 256 * 1024 {
        tokio::task::yield_now().await;
    }
    assert_eq!(limits.used(), 8 * 256 * 1024);
    assert_eq!(server.connect().await.post("/", &"x".repeat(1 << 20)).await.status, 200);
}

#[tokio::test]
async fn other_mistakes() {
    let server = started(&BodyLimits::new(1000, 500), &Gate::new()).await;
    let answer = server.connect().await.post("/", &"x".repeat(501)).await;
    assert_eq!(kind(&answer), (413, "too_large".into()), "it would never fit");
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx").await;
    assert_eq!(kind(&client.answer().await.unwrap()), (415, "unsupported_media_type".into()));
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nxx").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(kind(&client.answer().await.unwrap()), (400, "bad_data".into()));
}
