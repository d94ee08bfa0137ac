use super::*;

async fn three() -> Rig {
    let rig = Rig::start().await;
    let firing = alert("DiskFull", State::Firing, "critical", &[("instance", "db1")]);
    let mut ended = alert("DiskFull", State::Resolved, "warning", &[]);
    ended.how = How::Counted;
    rig.sent(1, "ops", vec![firing, ended], "delivered").await;
    rig.sent(2, "dba", Vec::new(), "retry").await;
    rig.sent(3, "ops", Vec::new(), "delivered").await;
    rig
}

/// The numbers in the messages' texts.
fn numbers(data: &Value) -> Vec<&str> {
    data["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["text"].as_str().unwrap().rsplit(' ').next().unwrap())
        .collect()
}

#[tokio::test]
async fn messages_show_what_was_told() {
    let rig = three().await;
    let data = rig.get("/api/v1/messages").await.data();
    assert_eq!(numbers(&data), ["3", "2", "1"]);
    let id = "01".repeat(16);
    let mut first = data["messages"][2].clone();
    first["seq"].take();
    assert_eq!(data.get("next"), None);
    let [firing, ended] = first["alerts"].take().as_array().unwrap().clone().try_into().unwrap();
    let expected = serde_json::json!({
        "id": id, "seq": null, "time": "2026-05-01T08:00:01Z", "bot": "ops", "verdict": "delivered", "reason": "",
        "attempts": 1, "kind": "single", "text": "**message** 1", "alerts": null, "url": format!("/m/{id}"),
    });
    assert_eq!(first, expected);
    let labels = serde_json::json!({"alertname": "DiskFull", "instance": "db1", "severity": "critical"});
    let expected = serde_json::json!({
        "fingerprint": firing["fingerprint"], "status": "firing", "how": "named", "severity": "critical",
        "name": "DiskFull", "labels": labels, "startsAt": "2026-05-01T07:50:00Z", "endsAt": null,
    });
    assert_eq!(firing, expected);
    assert_eq!((&ended["how"], &ended["endsAt"]), (&"counted".into(), &"2026-05-01T07:59:00Z".into()));
    // What a robot said is masked wherever it is shown.
    assert!(!data.to_string().contains("0123456789abcdef"));
}

#[tokio::test]
async fn messages_are_filtered_and_paged() {
    let rig = three().await;
    let all = ["3", "2", "1"];
    let table = [
        ("", all.as_slice()),
        ("bot=&verdict=&since=&until=&q=&limit=&after=", &all),
        ("bot=ops", &["3", "1"]),
        ("bot=gone", &[]),
        ("verdict=retry", &["2"]),
        ("q=MESSAGE**+2", &["2"]),
        ("since=2026-05-01T08:00:02Z", &["3", "2"]),
        ("since=2026-05-01T16:00:02%2B08:00&until=2026-05-01T16:00:03+08:00", &["2"]),
        ("until=1777622402.5", &["2", "1"]),
        ("limit=1", &["3"]),
    ];
    for (query, expected) in table {
        assert_eq!(numbers(&rig.get(&format!("/api/v1/messages?{query}")).await.data()), expected, "{query}");
    }
    for (limit, expected) in [(1, 3), (2, 2), (3, 1), (4, 1)] {
        let (mut after, mut seen, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let data = rig.get(&format!("/api/v1/messages?limit={limit}&after={after}")).await.data();
            seen.extend(numbers(&data).iter().map(|n| (*n).to_owned()));
            pages += 1;
            match data.get("next") {
                Some(next) => after = next.as_i64().unwrap().to_string(),
                None => break,
            }
        }
        assert_eq!((seen.as_slice(), pages), (all.map(str::to_owned).as_slice(), expected), "limit {limit}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let rig = Rig::start().await;
    let table = [
        ("messages?limit=0", "limit"),
        ("messages?limit=1001", "limit"),
        ("messages?limit=many", "limit"),
        ("messages?after=x", "after"),
        ("messages?since=yesterday", "since"),
        ("messages?until=2026-05-01", "until"),
        ("messages?verdict=fine", "verdict"),
        ("messages?bots=ops", "bots"),
        ("messages?bot=a&bot=b", "bot"),
        ("deliveries?state=waiting,lost", "state"),
        ("deliveries?after=zzz", "after"),
        ("deliveries?limit=-1", "limit"),
        ("dead-letters?limit=1e3", "limit"),
        ("dead-letters?after=99999999999999999999", "after"),
        ("dead-letters?state=dead", "state"),
    ];
    for (path, parameter) in table {
        let (error, at) = rig.get(&format!("/api/v1/{path}")).await.refused(400, "bad_data");
        assert_eq!(at, parameter, "{path}");
        assert!(error.starts_with(&format!("parameter {parameter}: ")), "{error}");
    }
}

#[tokio::test]
async fn deliveries_say_where_each_alert_stands() {
    let rig = Rig::start().await;
    rig.post("/api/v1/webhook/night", ONE).await.data();
    let data = rig.get("/api/v1/deliveries").await.data();
    let rows = data["deliveries"].as_array().unwrap();
    let bots: Vec<&str> = rows.iter().map(|row| row["bot"].as_str().unwrap()).collect();
    assert_eq!(bots.len(), 2);
    assert!(bots.contains(&"ops") && bots.contains(&"dba"));
    assert_eq!(rows[0]["state"], "waiting");
    assert_eq!(rows[0]["time"], "2026-05-01T08:00:00Z");
    let count = async |query: &str| {
        rig.get(&format!("/api/v1/deliveries?{query}")).await.data()["deliveries"].as_array().unwrap().len()
    };
    assert_eq!(count("state=told,dead").await, 0);
    assert_eq!(count("state=told,waiting&bot=ops").await, 1);
    let first = rig.get("/api/v1/deliveries?limit=1").await.data();
    let next = first["next"].as_str().unwrap();
    assert_eq!(count(&format!("limit=1&after={next}")).await, 1);
    assert_eq!(data["next"], Value::Null);
}

#[tokio::test]
async fn dead_letters_are_listed_replayed_and_deleted() {
    let rig = Rig::start().await;
    for n in 1..=3_u8 {
        rig.post("/api/v1/webhook/ops", ONE).await.data();
        rig.died(n, "ops", i64::from(n)).await;
    }
    let ids = async |query: &str| -> Vec<i64> {
        let data = rig.get(&format!("/api/v1/dead-letters?{query}")).await.data();
        data["dead_letters"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    let all = ids("").await;
    assert_eq!(all.len(), 3);
    assert!(ids("bot=dba").await.is_empty());
    let data = rig.get("/api/v1/dead-letters?limit=2").await.data();
    assert_eq!(data["next"], all[1]);
    assert_eq!(ids(&format!("after={}", all[1])).await, [all[2]]);
    let row = &data["dead_letters"][0];
    assert_eq!(
        (&row["bot"], &row["reason"], &row["alert"]["name"]),
        (&"ops".into(), &"refused".into(), &"DiskFull".into())
    );

    let path = |id: i64, rest: &str| format!("/api/v1/dead-letters/{id}{rest}");
    let (_, at) = rig.post(&path(all[0], "/replay?bot=nobody"), "").await.refused(400, "bad_data");
    assert_eq!(at, "bot");
    for wrong in ["/api/v1/dead-letters/77", "/api/v1/dead-letters/9223372036854775807", "/api/v1/dead-letters/x"] {
        rig.post(&format!("{wrong}/replay"), "").await.refused(404, "not_found");
        rig.post(&format!("{wrong}/replay?bot=dba"), "").await.refused(404, "not_found");
        rig.call(Method::DELETE, wrong, "").await.refused(404, "not_found");
    }
    assert_eq!(rig.control.changed.load(Ordering::Relaxed), 0);
    assert_eq!(rig.store.size().await.unwrap().waiting, 0);

    assert_eq!(rig.post(&path(all[0], "/replay"), "").await.data(), Value::Null);
    assert_eq!(rig.post(&path(all[1], "/replay?bot=dba"), "").await.data(), Value::Null);
    assert_eq!(rig.call(Method::DELETE, &path(all[2], ""), "").await.data(), Value::Null);
    assert_eq!(rig.control.changed.load(Ordering::Relaxed), 3);
    assert!(ids("").await.is_empty());
    let waiting = rig.get("/api/v1/deliveries?state=waiting").await.data();
    let mut bots: Vec<&str> =
        waiting["deliveries"].as_array().unwrap().iter().map(|row| row["bot"].as_str().unwrap()).collect();
    bots.sort_unstable();
    assert_eq!(bots, ["dba", "ops"]);
}

#[tokio::test]
async fn a_dead_letter_of_a_bot_that_is_gone_needs_another() {
    let rig = Rig::start().await;
    let head = crate::store::NewHead {
        bot: "gone".into(),
        via: "default".into(),
        idx: 0,
        fingerprint: Fingerprint(1),
        group: 1,
        status: State::Firing,
        severity: 0,
        flags: crate::model::HeadFlags::default(),
        starts_ms: NOW,
        ends_ms: 0,
    };
    rig.store.append(crate::store::Append { received_ms: NOW, body: ONE.into(), heads: vec![head] }).await.unwrap();
    rig.died(1, "gone", 1).await;
    let id = rig.get("/api/v1/dead-letters?bot=gone").await.data()["dead_letters"][0]["id"].as_i64().unwrap();
    let path = format!("/api/v1/dead-letters/{id}/replay");
    let (error, at) = rig.post(&path, "").await.refused(400, "bad_data");
    assert!(at == "bot" && error.contains("no longer"), "{error}");
    rig.post(&format!("{path}?bot=gone"), "").await.refused(400, "bad_data");
    rig.post(&format!("{path}?bot=dba"), "").await.data();
}

#[tokio::test]
async fn admin_calls_are_off_unless_enabled() {
    let rig = Rig::with(false, true).await;
    for (method, path) in [(Method::DELETE, "/api/v1/dead-letters/1"), (Method::POST, "/api/v1/dead-letters/x/replay")]
    {
        let (error, _) = rig.call(method, path, "").await.refused(403, "forbidden");
        assert!(error.contains("--web.enable-admin-api"), "{error}");
    }
}
