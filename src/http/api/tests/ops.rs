use super::*;

#[tokio::test]
async fn metrics_are_in_prometheus_text_format() {
    let rig = Rig::start().await;
    let answer = rig.get("/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(answer.body.contains("# TYPE alarmbell_webhooks_total counter"), "{}", answer.body);
    assert_eq!(answer.body.lines().filter(|line| line.starts_with("# TYPE alarmbell_webhooks_total ")).count(), 1);
}

#[tokio::test]
async fn health_answers_get_and_head() {
    let rig = Rig::start().await;
    for (path, text) in [("/-/healthy", "alarmbell is healthy.\n"), ("/-/ready", "alarmbell is ready.\n")] {
        assert_eq!(rig.get(path).await.body, text);
        let head = rig.call(Method::HEAD, path, "").await;
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods() {
    let rig = Rig::start().await;
    for path in ["/api/v1/nothing", "/api/v1/webhook/", "/api/v1/webhook/a/b", "/m/", "/m/a/b", "/metrics/", "/-/"] {
        rig.post(path, ONE).await.refused(404, "not_found");
        rig.get(path).await.refused(404, "not_found");
    }
    let table = [
        (Method::GET, "/api/v1/webhook", "POST,PUT"),
        (Method::GET, "/dingtalk/x/send", "POST,PUT"),
        (Method::DELETE, "/api/v1/webhook/x", "POST,PUT"),
        (Method::POST, "/metrics", "GET,HEAD"),
        (Method::POST, "/", "GET,HEAD"),
        (Method::GET, "/-/reload", "POST,PUT"),
        (Method::POST, "/api/v1/messages", "GET,HEAD"),
        (Method::GET, "/api/v1/dead-letters/1", "DELETE"),
        (Method::GET, "/api/v1/dead-letters/1/replay", "POST"),
        (Method::POST, "/m/00112233445566778899aabbccddeeff", "GET,HEAD"),
    ];
    for (method, path, allow) in table {
        let answer = rig.call(method, path, "").await;
        answer.refused(405, "method_not_allowed");
        let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{path}");
    }
}

#[tokio::test]
async fn reload_is_off_unless_it_is_enabled() {
    let rig = Rig::with(false, true).await;
    let (error, _) = rig.post("/-/reload", "").await.refused(403, "forbidden");
    assert!(error.contains("--web.enable-lifecycle"), "{error}");
    let rig = Rig::start().await;
    assert_eq!(rig.post("/-/reload", "").await.data(), Value::Null);
    assert_eq!(rig.call(Method::PUT, "/-/reload", "").await.data(), Value::Null);
    *rig.control.reload.lock().unwrap() = Some("alarmbell.yml:3:5: unknown key; secret=abcdefgh12345678".to_owned());
    let (error, _) = rig.post("/-/reload", "").await.refused(500, "internal");
    assert!(error.contains("alarmbell.yml:3:5") && !error.contains("abcdefgh"), "{error}");
}

#[tokio::test]
async fn status_says_what_runs() {
    let rig = Rig::start().await;
    rig.post("/api/v1/webhook", ONE).await.data();
    let mut status = rig.get("/api/v1/status").await.data();
    assert!(status["store"]["bytes"].take().as_u64().unwrap() > 0);
    assert_eq!(status["store"]["waiting_bytes"].take(), ONE.len());
    let expected = serde_json::json!({
        "version": "1.2.3", "revision": "abc", "started": "2026-05-01T08:00:00Z", "uptime_seconds": 61, "ready": true,
        "config": {"file": "/etc/alarmbell.yml", "hash": "00ff", "last_reload_ok": true,
                   "last_reload_success": "2026-05-01T08:00:00Z"},
        "store": {"engine": "sqlite", "bytes": null, "waiting": 1, "waiting_bytes": null},
    });
    assert_eq!(status, expected);
}

#[tokio::test]
async fn status_lists_replicas_only_where_there_are_some() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/api/v1/status").await.data().get("replicas"), None);
    *rig.control.replicas.lock().unwrap() = vec![ReplicaLine {
        id: "6f1c".to_owned(),
        name: "alarmbell-0".to_owned(),
        version: "1.2.3".to_owned(),
        config_hash: "00ff".to_owned(),
        started: moment(NOW),
        last_seen: moment(NOW + 1_000),
        bots: 7,
        me: true,
    }];
    let expected = serde_json::json!([{"id": "6f1c", "name": "alarmbell-0", "version": "1.2.3", "config_hash": "00ff",
        "started": "2026-05-01T08:00:00Z", "last_seen": "2026-05-01T08:00:01Z", "bots": 7, "me": true}]);
    assert_eq!(rig.get("/api/v1/status").await.data()["replicas"], expected);
}

#[tokio::test]
async fn a_scrape_brings_what_others_publish_up_to_date_first() {
    let rig = Rig::start().await;
    rig.get("/metrics").await;
    assert_eq!(rig.control.scraped.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn bots_show_what_a_person_must_do() {
    let rig = Rig::start().await;
    let answer = rig.get("/api/v1/bots").await;
    assert!(!answer.body.contains("0123456789abcdef"), "{}", answer.body);
    let bots = answer.data()["bots"].take();
    let (ops, dba) = (&bots[0], &bots[1]);
    assert_eq!((&ops["name"], &ops["type"], &dba["type"]), (&"ops".into(), &"dingtalk".into(), &"feishu".into()));
    assert_eq!((&ops["waiting_alerts"], &ops["oldest"]), (&1_234.into(), &"2026-05-01T07:59:59Z".into()));
    // A pool takes messages while one of its robots does; its newest verdict and the need to act are shown.
    assert_eq!((&ops["up"], &ops["tokens_available"], &ops["paused_until"]), (&true.into(), &40.into(), &Value::Null));
    // Somebody must act, though another robot spoke since: reason and remedy are of one robot.
    assert_eq!(ops["last_verdict"], "delivered");
    assert_eq!((&ops["reason"], &ops["remedy"]), (&ops["robots"][1]["reason"], &"copy the URL again".into()));
    assert!(ops["reason"].as_str().unwrap().starts_with("token is not exist"), "{ops}");
    assert_eq!((&ops["robots"][0]["remedy"], &ops["spoken_for_by"]), (&"".into(), &Value::Null));
    assert_eq!(ops["robots"][1]["paused_until"], "2026-05-01T08:01:00Z");
    assert_eq!((&dba["up"], &dba["last_verdict_at"]), (&false.into(), &"2026-05-01T08:00:00Z".into()));
    // A pause that is over is none.
    assert_eq!((&dba["paused_until"], &dba["robots"][0]["paused_until"]), (&Value::Null, &Value::Null));
    rig.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(rig.get("/api/v1/bots").await.data()["bots"][0]["robots"][1]["paused_until"], Value::Null);
}

#[test]
fn a_bot_is_paused_when_all_its_robots_are() {
    let robot = |paused| RobotLine {
        id: "r".to_owned(),
        tokens_available: u32::MAX,
        up: false,
        last_verdict: String::new(),
        last_verdict_at: None,
        reason: String::new(),
        remedy: String::new(),
        paused_until: moment(paused),
    };
    let paused = |robots: Vec<RobotLine>| BotLine::new("x".to_owned(), None).with_robots(robots).paused_until;
    assert_eq!(paused(vec![]), None);
    assert_eq!(paused(vec![robot(5), robot(0)]), None);
    assert_eq!(paused(vec![robot(9), robot(5)]), Timestamp::from_millisecond(5).ok());
    assert_eq!(BotLine::new("x".to_owned(), None).with_robots(vec![robot(0), robot(0)]).tokens_available, u32::MAX);
}

#[test]
fn stored_times() {
    assert_eq!(moment(0), None);
    assert_eq!(moment(i64::MAX), None);
    assert_eq!(moment(NOW).unwrap().to_string(), "2026-05-01T08:00:00Z");
    assert_eq!(moment(NOW + 5).unwrap().to_string(), "2026-05-01T08:00:00.005Z");
}
