//! What comes in: every recorded body from its exact bytes, every mistake with a clear answer, any load within bounds.

use alarmbell::model::BotKind;
use alarmbell::sandbox::FaultKind;
use tokio::task::JoinSet;

use crate::support::raw::{Raw, head, raise_descriptors};
use crate::support::web::{Answer, CLIENT};
use crate::support::{Bot, Hook, Place, Robots, Server, config, hook, payload, wait_until};

struct Rig {
    robots: Robots,
    bot: Bot,
    server: Server,
    _place: Place,
}

async fn rig(rest: &str) -> Rig {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc");
    let place = Place::new(&config(std::slice::from_ref(&bot), rest));
    let server = place.serve().await;
    Rig { robots, bot, server, _place: place }
}

/// The server takes a webhook and tells it.
async fn goes_on(rig: &Rig, name: &str) {
    rig.server.take(&Hook::new(name).named(name).firing("n1")).await;
    rig.robots.wait_told(&rig.bot, name).await;
}

fn recorded() -> Vec<String> {
    let files = std::fs::read_dir(hook::payloads()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".body").map(str::to_owned)).collect();
    names.sort();
    assert!(names.len() >= 28, "the recorded bodies are there: {names:?}");
    names
}

/// What must stand in the refusal of a recorded body that is no notification.
fn foreign(name: &str) -> Option<&'static str> {
    match name {
        name if name.contains("event_recorder") => Some("event recorder"),
        name if name.contains("api_v2_alerts") => Some("/api/v2/alerts"),
        name if name.contains("custom_payload") => Some("no `alerts`"),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_body_at_every_address() {
    let rig = rig("").await;
    let mut taken = 0.0;
    for name in recorded() {
        for path in ["/api/v1/webhook", "/api/v1/webhook/wc", "/dingtalk/wc/send"] {
            for put in [false, true] {
                let url = rig.server.url(path);
                let request = if put { CLIENT.put(url) } else { CLIENT.post(url) };
                let answer = Answer::of(request.body(payload(&name))).await.unwrap();
                match foreign(&name) {
                    None => {
                        assert_eq!(answer.status, 200, "{name} at {path}: {}", answer.text);
                        taken += 1.0;
                    }
                    Some(part) => {
                        assert_eq!(answer.status, 400, "{name} at {path}: {}", answer.text);
                        assert!(answer.error().0.contains(part), "{name} at {path}: {}", answer.text);
                    }
                }
            }
        }
    }
    let metrics = rig.server.metrics().await;
    assert_eq!(metrics.sum("webhooks_total", &[("code", "200")]), taken);
    assert!(metrics.sum("webhooks_total", &[("code", "400"), ("receiver", "policies")]) > 0.0);
    assert!(metrics.sum("webhook_alerts_total", &[("status", "firing")]) > 0.0);
    assert!(metrics.sum("webhook_alerts_total", &[("status", "resolved")]) > 0.0);
    rig.server.wait_empty().await;
    assert_eq!(rig.robots.stats(&rig.bot).refusals(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_body_is_named_with_its_place() {
    let rig = rig("").await;
    let cases: [(&[u8], &str, &str); 10] = [
        (b"", "", "empty"),
        (b"{\"alerts\": [", "", "not valid JSON"),
        (b"not json", "", "not valid JSON"),
        (b"{\"alerts\": []}", "alerts", "no alerts"),
        (b"{\"status\": \"firing\"}", "alerts", "no `alerts`"),
        (b"{\"alerts\": {}}", "alerts", ""),
        (b"{\"alerts\": [{}, {}, {}, {\"startsAt\": \"yesterday\"}]}", "alerts[3].startsAt", ""),
        (b"{\"alerts\": [{\"labels\": 7}]}", "alerts[0].labels", ""),
        (b"\xff\xfe", "", "not UTF-8"),
        (b"$alertmanager_content", "", "$alertmanager_content"),
    ];
    for (body, at, part) in cases {
        let shown = String::from_utf8_lossy(body);
        let answer = rig.server.post("/api/v1/webhook", body.to_vec()).await;
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text);
        assert_eq!(answer.json()["errorType"], "bad_data");
        let (error, place) = answer.error();
        assert_eq!(place, at, "{shown}: {}", answer.text);
        assert!(error.contains(part), "{shown}: {}", answer.text);
    }
    assert_eq!(rig.server.metrics().await.sum("alert_states_accepted_total", &[]), 0.0);
    goes_on(&rig, "AfterMistakes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_webhook_is_told_so() {
    let rig = rig("").await;
    assert_eq!(rig.server.get("/nothing/here").await.status, 404);
    for path in ["/api/v1/webhook", "/api/v1/webhook/wc", "/dingtalk/wc/send"] {
        let answer = rig.server.get(path).await;
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.headers.get("allow").unwrap().to_str().unwrap();
        assert!(allow.contains("POST") && allow.contains("PUT"), "{path}: {allow}");
    }
    let zipped = CLIENT.post(rig.server.url("/api/v1/webhook")).header("content-encoding", "gzip").body("x");
    assert_eq!(Answer::of(zipped).await.unwrap().status, 415);
    assert_eq!(rig.server.get("/-/healthy").await.status, 200);
    assert_eq!(rig.server.get("/-/ready").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn seventy_megabytes_are_413() {
    let rig = rig("").await;
    // Announced: refused before any of it is read.
    let mut raw = Raw::open(rig.server.address).await;
    raw.write(&head(70 << 20)).await.unwrap();
    assert_eq!(raw.status().await, 413);
    // Not announced: refused while it comes.
    let mut raw = Raw::open(rig.server.address).await;
    let head = b"POST /api/v1/webhook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    raw.write(head).await.unwrap();
    for _ in 0..80 {
        raw.write(b"100000\r\n").await.unwrap();
        raw.fill(1 << 20).await.unwrap();
        raw.write(b"\r\n").await.unwrap();
    }
    // What came after the refusal was read and thrown away, so that the answer arrives.
    assert_eq!(raw.status().await, 413);
    assert_eq!(rig.server.metrics().await.sum("webhooks_total", &[("code", "413")]), 2.0);
    goes_on(&rig, "AfterTooMuch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_line_is_closed_and_disturbs_nobody() {
    let rig = rig("").await;
    let mut half = Raw::open(rig.server.address).await;
    half.write(b"POST /api/v1/webh").await.unwrap();
    let mut silent = Raw::open(rig.server.address).await;
    let mut garbage = Raw::open(rig.server.address).await;
    garbage.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").await.unwrap();
    let answer = garbage.answer().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    goes_on(&rig, "Meanwhile").await;
    // Ten seconds for a head.
    for raw in [&mut half, &mut silent] {
        let status = raw.status().await;
        assert!(status == 0 || status == 408, "{status}");
    }
    goes_on(&rig, "Afterwards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_connections_at_once() {
    raise_descriptors();
    let rig = rig("").await;
    let mut open = Vec::new();
    for _ in 0..3_000 {
        open.push(Raw::open(rig.server.address).await);
    }
    let mut sending = JoinSet::new();
    for (n, mut raw) in open.into_iter().enumerate() {
        sending.spawn(async move {
            let body = Hook::new("g").firing(&format!("n{n}")).body();
            raw.write(&head(body.len())).await.unwrap();
            raw.write(&body).await.unwrap();
            (raw.status().await, raw)
        });
    }
    let mut kept = Vec::new();
    while let Some(done) = sending.join_next().await {
        let (status, raw) = done.unwrap();
        assert_eq!(status, 200);
        kept.push(raw);
    }
    assert_eq!(rig.server.metrics().await.sum("alert_states_accepted_total", &[]), 3_000.0);
    assert!(rig.server.descriptors() < 3_000 + 200, "{}", rig.server.descriptors());
    drop(kept);
    wait_until("the connections are closed", || async { rig.server.descriptors() < 200 }).await;
    goes_on(&rig, "AfterTheCrowd").await;
    rig.server.wait_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_cost_idle_ones_their_place() {
    let rig = rig("global: {limits: {connections: 40}}").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::open(rig.server.address).await;
        raw.write(b"GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_eq!(raw.status().await, 200);
        idle.push(raw);
        assert!(rig.server.descriptors() < 40 + 60, "{}", rig.server.descriptors());
    }
    goes_on(&rig, "InTheCrowd").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_megabytes_of_bodies_at_once() {
    const EACH: usize = 50 << 20;
    let rig = rig("").await;
    let before = rig.server.peak_memory();
    // A body without alerts, and with a long field that nobody reads. All but its last byte.
    let (start, end) = (br#"{"alerts":[],"x":""#, br#""}"#);
    let mut sending = JoinSet::new();
    for _ in 0..6 {
        let address = rig.server.address;
        sending.spawn(async move {
            let mut raw = Raw::open(address).await;
            raw.write(&head(start.len() + EACH + end.len())).await.unwrap();
            raw.write(start).await.unwrap();
            let whole = raw.fill(EACH).await.is_ok();
            (raw, whole)
        });
    }
    let mut open = Vec::new();
    while let Some(sent) = sending.join_next().await {
        open.push(sent.unwrap());
    }
    let mut statuses = Vec::new();
    for (raw, whole) in &mut open {
        if *whole {
            let _ = raw.write(end).await;
        }
        statuses.push(raw.status().await);
    }
    // Five fit in 256 MB. Who does not gets 503, or a reset connection when it went on writing.
    assert!(statuses.iter().filter(|status| **status == 400).count() <= 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| [400, 503, 0].contains(status)), "{statuses:?}");
    assert!(rig.server.metrics().await.sum("webhooks_total", &[("code", "503")]) >= 1.0);
    let grown = (rig.server.peak_memory() - before) >> 20;
    assert!(grown < 256 + 128, "it took {grown} MB more");
    // The memory is free for others.
    let mut raw = Raw::open(rig.server.address).await;
    raw.write(&head(start.len() + EACH + end.len())).await.unwrap();
    raw.write(start).await.unwrap();
    raw.fill(EACH).await.unwrap();
    raw.write(end).await.unwrap();
    assert_eq!(raw.status().await, 400);
    goes_on(&rig, "AfterTheFlood").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_backlog_is_503_until_there_is_room() {
    let rig = rig("global: {backlog: {alerts: 5}, language: en}").await;
    rig.robots.fault(&rig.bot, FaultKind::Http500, 0);
    let hook = |n: usize| Hook::new(&format!("g{n}")).named(&format!("Backlog{n}")).firing("n1");
    for n in 0..5 {
        rig.server.take(&hook(n)).await;
    }
    let answer = rig.server.post("/api/v1/webhook", hook(5).body()).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.error().0.contains("backlog"), "{}", answer.text);
    rig.robots.clear_faults(&rig.bot);
    // Alertmanager sends again within its flush.
    wait_until("there is room again", || async {
        rig.server.post("/api/v1/webhook", hook(5).body()).await.status == 200
    })
    .await;
    for n in 0..6 {
        rig.robots.wait_told(&rig.bot, &format!("Backlog{n}")).await;
    }
}
