use std::cell::RefCell;

use super::*;

const WEBHOOK: &str = "/api/v1/webhook";

#[tokio::test]
async fn every_path_takes_post_and_put() {
    let rig = Rig::start().await;
    let table = [
        ("/api/v1/webhook", 1, "policies"),
        ("/api/v1/webhook?source=eu", 1, "policies"),
        ("/api/v1/webhook?source=&other=1", 1, "policies"),
        ("/api/v1/webhook/dba", 1, "dba"),
        ("/api/v1/webhook/night", 2, "night"),
        ("/dingtalk/dba/send", 1, "dba"),
        ("/dingtalk/d%62a/send", 1, "dba"),
        ("/dingtalk/nobody%2F%E5%80%BC/send", 1, "unknown"),
    ];
    for (path, states, receiver) in table {
        for method in [Method::POST, Method::PUT] {
            let sample = format!(r#"alarmbell_webhooks_total{{code="200",receiver="{receiver}"}}"#);
            let before = rig.metric(&sample).await;
            let data = rig.call(method, path, ONE).await.data();
            assert_eq!(data, serde_json::json!({"alerts": 1, "states": states}), "{path}");
            assert!((rig.metric(&sample).await - before - 1.0).abs() < f64::EPSILON, "{path}");
        }
    }
    let (all, per_path) = (rig.metric("alarmbell_webhook_duration_seconds_count").await, 2.0);
    assert!((all - per_path * 8.0).abs() < f64::EPSILON);
    assert!((rig.metric("alarmbell_webhook_unknown_receivers_total").await - 2.0).abs() < f64::EPSILON);
    // ops by its policy 3 times, by the group, and as the default of an unknown name.
    assert_eq!(rig.store.size().await.unwrap().waiting, 2 * 9);
}

#[tokio::test]
async fn refusals_name_the_place_and_are_counted() {
    let rig = Rig::start().await;
    let table: [(&[u8], &str, &str); 9] = [
        (b"", "", ""),
        (b"{", "", "JSON"),
        (b"null", "", ""),
        (b"[]", "alerts", ""),
        (br#"{"alerts":[]}"#, "alerts", "alerts"),
        (br#"{"alerts":7}"#, "alerts", ""),
        (br#"{"alerts":[{"status":"firing","labels":{"a":"b"}},{"status":"maybe"}]}"#, "alerts[1].status", ""),
        (br#"{"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"soon"}]}"#, "alerts[0].startsAt", ""),
        (b"{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"a\":\"\xff\"}}]}", "", "UTF-8"),
    ];
    for (body, place, word) in table {
        let answer = rig.post(WEBHOOK, body).await;
        let (error, at) = answer.refused(400, "bad_data");
        assert_eq!(at, place, "{answer:?}");
        assert!(error.contains(word) && !error.is_empty(), "{answer:?}");
    }
    let counted = rig.metric(r#"alarmbell_webhooks_total{code="400",receiver="policies"}"#).await;
    assert!((counted - 9.0).abs() < f64::EPSILON, "{counted}");
    assert!((rig.metric("alarmbell_webhook_duration_seconds_count").await - 9.0).abs() < f64::EPSILON);
    assert_eq!(rig.store.size().await.unwrap().waiting, 0);
}

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes to the log of the thread that logs.
struct ThisThread;

impl std::io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps what this thread logs from now on. For the whole process, since what tests on other threads do without any
/// subscriber decides whether a scoped one hears of anything.
fn keep_logs() {
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| ThisThread).finish();
    // Fails only when another test was faster.
    let _ = tracing::subscriber::set_global_default(subscriber);
    LOG.take();
}

#[tokio::test]
async fn refusals_are_logged_once_a_minute_without_the_body() {
    keep_logs();
    let rig = Rig::start().await;
    let bad: &[u8] = br#"{"alerts":[{"status":"firing","labels":{"a":"MARKlabel"},"startsAt":"MARKtime"}]}"#;
    for _ in 0..3 {
        rig.post(WEBHOOK, bad).await.refused(400, "bad_data");
    }
    rig.post("/api/v1/webhook/dba", &b""[..]).await.refused(400, "bad_data");
    rig.post("/api/v1/webhook/%ff", ONE).await.refused(400, "bad_data");
    rig.post(WEBHOOK, ONE).await.data();
    rig.clock.advance(std::time::Duration::from_secs(60));
    rig.post(WEBHOOK, bad).await.refused(400, "bad_data");
    rig.store.close().await;
    rig.post(WEBHOOK, ONE).await.refused(503, "unavailable");
    let text = String::from_utf8(LOG.take()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("a webhook was refused")).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for (line, parts) in lines.iter().zip([
        ["receiver=\"policies\"", "at=\"alerts[0].startsAt\"", "unsaid=0"],
        ["receiver=\"dba\"", "reason=\"the body is empty\"", "unsaid=0"],
        ["receiver=\"unknown\"", "UTF-8", "unsaid=0"],
        ["receiver=\"policies\"", "code=400", "unsaid=2"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)) && line.contains("WARN"), "{line}");
    }
    assert!(!text.contains("MARK"), "{text}");
}

#[tokio::test]
async fn odd_addresses_are_refused_and_counted() {
    let rig = Rig::start().await;
    let (error, _) = rig.post("/api/v1/webhook/%ff", ONE).await.refused(400, "bad_data");
    assert!(error.contains("UTF-8"), "{error}");
    let (error, _) = rig.post("/api/v1/webhook?source=a&source=b", ONE).await.refused(400, "bad_data");
    assert!(error.contains("source"), "{error}");
    for (receiver, code) in [("unknown", 400), ("policies", 400)] {
        let sample = format!(r#"alarmbell_webhooks_total{{code="{code}",receiver="{receiver}"}}"#);
        assert!((rig.metric(&sample).await - 1.0).abs() < f64::EPSILON, "{sample}");
    }
}

#[tokio::test]
async fn nowhere_to_go_is_404() {
    let rig = Rig::with(true, false).await;
    let (_, at) = rig.post(WEBHOOK, ONE).await.refused(404, "not_found");
    assert_eq!(at, "alerts[0]");
    let (error, at) = rig.post("/dingtalk/nobody/send", ONE).await.refused(404, "not_found");
    assert_eq!(at, "");
    assert!(error.contains("bot or contact group"), "{error}");
    assert!(
        (rig.metric(r#"alarmbell_webhooks_total{code="404",receiver="unknown"}"#).await - 1.0).abs() < f64::EPSILON
    );
    assert_eq!(rig.post("/api/v1/webhook/dba", ONE).await.data()["states"], 1);
}

#[tokio::test]
async fn bodies_have_bounds_that_a_reload_changes() {
    let rig = Rig::start().await;
    rig.limits.store(Arc::new(BodyLimits::new(100, 1 << 20)));
    let answer = rig.post(WEBHOOK, ONE).await;
    answer.refused(413, "too_large");
    assert_eq!(answer.header("connection"), "close");
    assert!(
        (rig.metric(r#"alarmbell_webhooks_total{code="413",receiver="policies"}"#).await - 1.0).abs() < f64::EPSILON
    );
    let present = BodyLimits::new(1 << 20, 1 << 20);
    rig.limits.store(Arc::new(present.clone()));
    rig.post(WEBHOOK, ONE).await.data();
    // Nothing is in flight any more.
    assert_eq!(present.used(), 0);
}

#[tokio::test]
async fn a_store_that_is_closed_is_503() {
    let rig = Rig::start().await;
    rig.store.close().await;
    rig.post(WEBHOOK, ONE).await.refused(503, "unavailable");
    rig.get("/-/ready").await.refused(503, "unavailable");
    assert_eq!(rig.get("/-/healthy").await.status, StatusCode::OK);
    let status = rig.get("/api/v1/status").await.data();
    assert_eq!(status["ready"], false);
    let sample = r#"alarmbell_webhooks_total{code="503",receiver="policies"}"#;
    assert!((rig.metric(sample).await - 1.0).abs() < f64::EPSILON);
}

/// Exact bytes of real senders: taken, or refused with what they are.
#[tokio::test]
async fn recorded_bodies() {
    let rig = Rig::start().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/payloads");
    let (mut taken, mut refused) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".body") {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        let answer = rig.post(WEBHOOK, body.clone()).await;
        let word = match &name {
            name if name.contains("event_recorder") => "event recorder",
            name if name.contains("api_v2_alerts") => "/api/v2/alerts",
            name if name.contains("custom_payload") => "alerts",
            _ => {
                let json: Value = serde_json::from_slice(&body).unwrap();
                let alerts = json["alerts"].as_array().unwrap().len();
                assert_eq!(answer.data()["alerts"], alerts, "{name}");
                taken += 1;
                continue;
            }
        };
        let (error, _) = answer.refused(400, "bad_data");
        assert!(error.contains(word), "{name}: {error}");
        refused += 1;
    }
    assert!(taken >= 15 && refused >= 9, "{taken} {refused}");
}
