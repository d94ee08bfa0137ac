//! The control API, uploads, robots that make themselves, and bounds.

use serde_json::{Value, json};

use super::super::{Rules, Sandbox};
use super::{JSON, Rig, text, unlimited};
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};

#[tokio::test]
async fn mistakes_are_named() {
    let rig = Rig::quick();
    let robots = "/api/sandbox/robots";
    let cases = [
        ("PUT", format!("{robots}/slack/T"), "{}", 400, "none of dingtalk, wecom, feishu"),
        ("PUT", format!("{robots}/wecom/bad%20token"), "{}", 400, "a token has"),
        ("PUT", format!("{robots}/dingtalk/T"), r#"{"keyword":[]}"#, 400, "keyword: unknown field"),
        ("PUT", format!("{robots}/dingtalk/T"), r#"{"rate_limits":[{"messages":0,"per_ms":1}]}"#, 400, "rate_limits"),
        (
            "PUT",
            format!("{robots}/dingtalk/T"),
            r#"{"rate_limits":[{"messages":1,"per":1}]}"#,
            400,
            "rate_limits[0].per",
        ),
        ("PUT", format!("{robots}/dingtalk/T"), r#"{"ips":["::1"]}"#, 400, "ips"),
        ("PUT", format!("{robots}/dingtalk/T"), r#"{"switches":{"rate_code":1}}"#, 400, "switches.rate_code"),
        ("PUT", format!("{robots}/wecom/T"), r#"{"secret":"x"}"#, 400, "WeCom robots have no"),
        ("POST", format!("{robots}/wecom/T/faults"), r#"{"kind":"fire"}"#, 400, "unknown variant `fire`"),
        ("POST", format!("{robots}/wecom/T/faults"), r#"{"kind":"latency"}"#, 400, "latency_ms"),
        ("POST", format!("{robots}/wecom/T/faults"), r#"{"kind":"busy","count":0}"#, 400, "count"),
        ("POST", format!("{robots}/wecom/X/faults"), r#"{"kind":"busy"}"#, 404, "no such robot"),
        ("GET", format!("{robots}/wecom/X/messages"), "", 404, "no such robot"),
        ("GET", format!("{robots}/wecom/T/messages?limit=x"), "", 400, "limit"),
        ("DELETE", format!("{robots}/wecom/X/messages"), "", 404, "no such robot"),
    ];
    for (method, path, body, status, part) in cases {
        let reply = rig.call(method, &path, JSON, body).await;
        assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.body);
        assert_eq!(reply.json()["status"], "error");
        assert!(reply.json()["error"].as_str().unwrap().contains(part), "{path} {body}: {}", reply.body);
    }
    assert_eq!(rig.call("PATCH", "/api/sandbox/reset", JSON, "").await.status, 405);
}

#[tokio::test]
async fn what_arrived_can_be_read() {
    let rig = Rig::quick();
    rig.send(WeCom, &text(WeCom, "one")).await;
    rig.advance_ms(1_500);
    rig.send(WeCom, "{}").await;
    rig.send(WeCom, &text(WeCom, "two")).await;
    let base = "/api/sandbox/robots/wecom/T";
    let messages = rig.get(&format!("{base}/messages")).await.json();
    let list = messages["data"].as_array().unwrap();
    let field = |name: &str| list.iter().map(|message| message[name].clone()).collect::<Vec<Value>>();
    assert_eq!(field("accepted"), [true, false, true]);
    assert_eq!(field("code"), [0, 40_008, 0]);
    assert_eq!(field("at")[1], "2023-11-14T22:13:21.500Z");
    assert_eq!((field("bytes")[0].clone(), field("limit")[0].clone()), (json!(3), json!(2_048)));
    assert_eq!(list[0]["raw"]["text"]["content"], "one");
    let seq = list[0]["seq"].as_u64().unwrap();
    let after = rig.get(&format!("{base}/messages?after={seq}&limit=1&accepted=true")).await.json();
    assert_eq!(after["data"][0]["text"], "two");
    let requests = rig.get(&format!("{base}/requests?after={seq}")).await.json();
    assert_eq!(requests["data"].as_array().unwrap().len(), 2);
    assert_eq!(requests["data"][0]["mono_us"], 1_500_000);
    let stats = rig.get(&format!("{base}/stats")).await.json();
    assert_eq!(stats["data"]["refused"], json!({"40008": 1}));

    assert_eq!(rig.call("DELETE", &format!("{base}/messages"), JSON, "").await.status, 200);
    assert_eq!(rig.records(WeCom), []);
    assert_eq!(rig.call("POST", "/api/sandbox/reset", JSON, "").await.status, 200);
    assert_eq!(rig.get("/api/sandbox/robots").await.json()["data"], json!([]));
}

#[tokio::test]
async fn rules_come_back_without_the_secret() {
    let rig = Rig::new();
    let rules = r#"{"name":"ops","secret":"SECvery","keywords":["Alarm"]}"#;
    let made = rig.call("PUT", "/api/sandbox/robots/lark/T", JSON, rules).await;
    assert_eq!(made.json()["data"]["path"], "/open-apis/bot/v2/hook/T");
    let list = rig.get("/api/sandbox/robots").await;
    assert!(!list.body.contains("SECvery"), "{}", list.body);
    assert_eq!(list.json()["data"][0]["signed"], true);
    assert_eq!(list.json()["data"][0]["rules"]["keywords"], json!(["Alarm"]));
}

#[tokio::test]
async fn calls_from_other_sites_change_nothing() {
    use tower::ServiceExt as _;
    let rig = Rig::quick();
    let request = http::Request::post("/api/sandbox/reset").header("sec-fetch-site", "cross-site");
    let request = request.body(axum::body::Body::empty()).unwrap();
    assert_eq!(rig.sandbox.router().oneshot(request).await.unwrap().status(), 403);
    assert_eq!(rig.sandbox.robots().len(), 3);
}

#[tokio::test]
async fn robots_make_themselves_only_when_allowed() {
    let mut rig = Rig::new();
    assert_eq!(rig.send(Feishu, &text(Feishu, "x")).await.code(), 19_001);
    assert_eq!(rig.sandbox.robots().len(), 0);
    rig.sandbox = Sandbox::new(rig.clock.clone(), true);
    for kind in BotKind::ALL {
        assert_eq!(rig.send(kind, &text(kind, "x")).await.code(), 0);
    }
    let odd = rig.call("POST", "/robot/send?access_token=a%20b", JSON, text(DingTalk, "x")).await;
    assert_eq!(odd.code(), 300_005);
    assert_eq!(rig.sandbox.robots().len(), 3);
}

#[tokio::test]
async fn an_upload_can_be_sent_by_its_own_key_for_three_days() {
    let rig = Rig::quick();
    rig.sandbox.put_robot(WeCom, "other", unlimited()).unwrap();
    let form = "--B\r\nContent-Disposition: form-data; name=\"media\"; filename=\"a.txt\"; filelength=6\r\nContent-Type: application/octet-stream\r\n\r\nmytext\r\n--B--\r\n";
    let path = "/cgi-bin/webhook/upload_media?key=T&type=file";
    let multipart = "multipart/form-data; boundary=B";
    let reply = rig.call("POST", path, multipart, form).await.json();
    assert_eq!(
        (&reply["errcode"], &reply["type"], &reply["created_at"]),
        (&json!(0), &json!("file"), &json!("1700000000"))
    );
    let body = format!(r#"{{"msgtype":"file","file":{{"media_id":{}}}}}"#, reply["media_id"]);
    assert_eq!(rig.send(WeCom, &body).await.code(), 0);
    let foreign = rig.call("POST", "/cgi-bin/webhook/send?key=other", JSON, body.clone()).await;
    assert_eq!(foreign.code(), 40_007);
    rig.advance_ms(3 * 86_400_000);
    assert_eq!(rig.send(WeCom, &body).await.code(), 40_007);

    let refused = [
        (path, form.replace("mytext", "tiny").clone(), 40_006),
        (path, form.replace("name=\"media\"", "name=\"x\""), 44_001),
        (path, "nonsense".to_owned(), 44_001),
        ("/cgi-bin/webhook/upload_media?key=T&type=video", form.to_owned(), 40_004),
        ("/cgi-bin/webhook/upload_media?key=unknown&type=file", form.to_owned(), 40_058),
    ];
    for (path, form, code) in refused {
        assert_eq!(rig.call("POST", path, multipart, form).await.code(), code, "{path}");
    }
}

#[tokio::test]
async fn memory_is_bounded_and_every_request_stays_visible() {
    let rig = Rig::quick();
    let total = 2_600;
    for n in 0..total {
        rig.send(WeCom, &text(WeCom, &format!("message {n}"))).await;
    }
    assert_eq!(rig.records(WeCom).len(), 2_000);
    assert_eq!(rig.last(WeCom).text, "message 2599");
    assert_eq!(rig.sandbox.requests(WeCom, "T", 0, usize::MAX).unwrap().len(), total);
    // Refused ones never push shown ones out.
    for _ in 0..600 {
        rig.send(WeCom, "{}").await;
    }
    let records = rig.records(WeCom);
    assert_eq!(records.iter().filter(|record| record.accepted).count(), 2_000);
    assert_eq!(records.len(), 2_500);
    assert_eq!(rig.stats(WeCom).refused["40008"], 600);
}

#[tokio::test]
async fn odd_bodies_get_an_answer() {
    let rig = Rig::new();
    for kind in BotKind::ALL {
        rig.set(kind, Rules { max_bytes: Some(200_000), ..unlimited() });
        let deep = format!("{}1{}", "[".repeat(2_000), "]".repeat(2_000));
        let odd: [Vec<u8>; 5] =
            [vec![0xff, 0xfe], b"null".to_vec(), deep.into_bytes(), vec![b' '; 4 << 20], b"{\"msg_type\":[]}".to_vec()];
        for body in odd {
            let reply = rig.call("POST", &super::super::address(kind, "T"), JSON, body).await;
            assert_ne!(reply.code(), 0, "{}", reply.body);
        }
        assert_eq!(rig.get("/").await.status, 200);
    }
}
