use tokio::time::Instant;

use super::*;

const SHORT: Duration = Duration::from_millis(150);

fn hello() -> Router {
    Router::new().route("/", get(|| async { "ok" }))
}

#[tokio::test]
async fn half_a_request_line_and_silence_are_closed() {
    let server = start(hello(), ListenerConfig { header_timeout: SHORT, ..patient() }, LONG).await;
    for half in ["", "GE", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
        let began = Instant::now();
        let mut client = server.connect().await;
        client.send(half).await;
        assert_eq!(client.closed().await, "", "{half:?}");
        assert!(began.elapsed() >= SHORT - Duration::from_millis(5), "{half:?} closed early");
    }
    assert_eq!(server.connect().await.get("/").await.status, 200);
}

#[tokio::test]
async fn an_idle_connection_outlives_the_head_timeout_but_not_a_half_head() {
    let server = start(hello(), ListenerConfig { header_timeout: SHORT, ..patient() }, LONG).await;
    let mut idle = server.connect().await;
    assert_eq!(idle.get("/").await.status, 200);
    let mut half = server.connect().await;
    assert_eq!(half.get("/").await.status, 200);
    // A silent one, opened later, is closed: so the timeout has passed for the idle one as well.
    assert_eq!(server.connect().await.closed().await, "");
    half.send("GET / HT").await;
    assert_eq!(half.closed().await, "");
    assert_eq!(idle.get("/").await.status, 200);
    assert_eq!(server.metric("connections_accepted_total"), 3);
}

#[tokio::test]
async fn an_idle_connection_ends_after_its_own_time() {
    let server = start(hello(), ListenerConfig { idle_timeout: SHORT, ..patient() }, LONG).await;
    let mut client = server.connect().await;
    assert_eq!(client.get("/").await.status, 200);
    let began = Instant::now();
    assert_eq!(client.closed().await, "");
    assert!(began.elapsed() >= SHORT - Duration::from_millis(30));
}

#[tokio::test]
async fn keep_alive_pipelining_and_absolute_paths() {
    let server = start(hello(), patient(), LONG).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.body, "ok");
    }
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET http://x:8060/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.answer().await.unwrap().status, 200);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.closed().await, "");
    assert_eq!(server.metric("connections_accepted_total"), 1);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = start(hello(), patient(), LONG).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nX: ").await;
    let chunk = "x".repeat(16 * 1024);
    for _ in 0..16 {
        if client.stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert!(client.closed().await.starts_with("HTTP/1.1 431 "));
    for wrong in ["\u{1}\u{2}garbage\r\n\r\n", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
        let mut client = server.connect().await;
        client.send(wrong).await;
        assert!(client.closed().await.starts_with("HTTP/1.1 400 "), "{wrong:?}");
    }
}

/// A client that asks for much and reads nothing can not keep its connection.
#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let big = || async { vec![0_u8; 64 << 20] };
    let config = ListenerConfig { write_timeout: SHORT, ..patient() };
    let server = start(Router::new().route("/big", get(big)), config, LONG).await;
    let mut client = server.connect().await;
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.more().await.unwrap();
    server.shutdown.cancel();
    let began = Instant::now();
    server.done.await.unwrap();
    assert!(began.elapsed() < LONG / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_the_bound_are_all_answered() {
    const BOUND: i64 = 100;
    let server = Arc::new(start(hello(), ListenerConfig { connections: 100, ..patient() }, LONG).await);
    let clients: Vec<_> = (0..600)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let mut client = server.connect().await;
                let answer = client.get("/").await;
                assert!(server.metric("connections") <= BOUND);
                (answer.status, client)
            })
        })
        .collect();
    // Every client keeps its connection, so room comes only from those that are closed for others.
    let mut kept = Vec::new();
    for client in clients {
        let (status, client) = client.await.unwrap();
        assert_eq!(status, 200);
        kept.push(client);
    }
    assert_eq!(server.metric("connections_accepted_total"), 600);
    assert_eq!(server.metric("connections_refused_total"), 0);
    assert!(server.metric("connections") <= BOUND);
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room() {
    let server = start(hello(), ListenerConfig { connections: 2, ..patient() }, LONG).await;
    let mut older = server.connect().await;
    older.get("/").await;
    // Times are kept in milliseconds.
    let mut newer = server.connect().await;
    while server.metric("connections") < 2 {
        tokio::task::yield_now().await;
    }
    let later = Instant::now() + Duration::from_millis(3);
    while Instant::now() < later {
        newer.get("/").await;
    }
    assert_eq!(server.connect().await.get("/").await.status, 200);
    assert_eq!(older.closed().await, "");
    assert_eq!(newer.get("/").await.status, 200);
    assert_eq!(server.metric("connections_evicted_total"), 1);
}

#[tokio::test]
async fn when_all_are_busy_new_ones_are_told_so() {
    let gate = Gate::new();
    let server = start(gate.route(), ListenerConfig { connections: 2, ..patient() }, LONG).await;
    let (mut a, mut b) = (server.connect().await, server.connect().await);
    a.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    b.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.wait_for(2).await;
    let answer = server.connect().await.post("/held", "body").await;
    assert_eq!((answer.status, answer.json()["errorType"].as_str()), (503, Some("unavailable")));
    assert_eq!(server.metric("connections_refused_total"), 1);
    gate.may_end.add_permits(2);
    // Room is short, so the answers end their connections.
    let answer = a.answer().await.unwrap();
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("done", Some("close")));
    assert_eq!(b.answer().await.unwrap().body, "done");
    assert_eq!(server.connect().await.get("/").await.status, 200);
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight() {
    let gate = Gate::new();
    let server = start(gate.route(), patient(), LONG).await;
    let (mut held, mut idle, mut silent) = (server.connect().await, server.connect().await, server.connect().await);
    held.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.wait_for(1).await;
    assert_eq!(idle.get("/").await.status, 200);
    while server.metric("connections") < 3 {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    assert_eq!(idle.closed().await, "");
    assert_eq!(silent.closed().await, "");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    assert!(!server.done.is_finished());
    gate.may_end.add_permits(1);
    let answer = held.answer().await.unwrap();
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("done", Some("close")));
    server.done.await.unwrap();
}

#[tokio::test]
async fn shutdown_cuts_what_outlasts_the_grace() {
    let gate = Gate::new();
    let server = start(gate.route(), patient(), SHORT).await;
    let mut held = server.connect().await;
    held.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n").await;
    gate.wait_for(1).await;
    server.shutdown.cancel();
    server.done.await.unwrap();
    assert_eq!(held.closed().await, "");
}

#[tokio::test]
async fn a_panic_is_an_answer_and_nothing_more() {
    let broken = || async { if true { panic!("boom") } else { "" } };
    let server = start(hello().route("/broken", get(broken)), patient(), LONG).await;
    let answer = server.connect().await.get("/broken").await;
    assert_eq!((answer.status, answer.json()["errorType"].as_str()), (500, Some("internal")));
    assert!(!answer.body.contains("boom"));
    assert_eq!(server.connect().await.get("/").await.status, 200);
    assert_eq!(server.metric("handler_panics_total"), 1);
}

#[tokio::test]
async fn binds_what_can_be_bound() {
    let any = bind(":0").await.unwrap();
    let port = any.local_addr().unwrap().port();
    assert_ne!(port, 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    assert!(bind("localhost:0").await.unwrap().local_addr().unwrap().ip().is_loopback());
    for wrong in ["", "8060", ":http", ":99999", "no.such.host.invalid:1"] {
        let error = bind(wrong).await.unwrap_err().to_string();
        assert!(error.contains(&format!("listen on {wrong}:")), "{error}");
    }
    assert!(bind(&format!("127.0.0.1:{port}")).await.is_err());
    assert!(raise_nofile().unwrap().is_none_or(|most| most > 100));
}
