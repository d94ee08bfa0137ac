//! The template playground with a painter that only repeats what it was asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::super::{Blot, Painted, PaintedMessage, Painter, Sample, Wish};
use super::{JSON, Rig};
use crate::model::BotKind;

const PATH: &str = "/api/sandbox/playground";

/// Tells the wish's sample and body in a text message.
#[derive(Default)]
struct Parrot {
    /// Paintings that go on now, and the most so far.
    now: AtomicUsize,
    most: AtomicUsize,
    /// Paintings of the sample `wait` wait for it.
    open: AtomicBool,
}

impl Painter for Parrot {
    fn samples(&self) -> Vec<Sample> {
        vec![Sample { name: "one".to_owned(), title: "One alert".to_owned() }]
    }

    fn sources(&self, vendor: BotKind) -> BTreeMap<String, String> {
        BTreeMap::from([("body".to_owned(), format!("{{{{{}}}}}", vendor.as_str()))])
    }

    fn paint(&self, wish: &Wish) -> Painted {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        while wish.sample == "wait" && !self.open.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        assert_ne!(wish.sample, "panic");
        let typed = wish.parts.get("body").cloned().unwrap_or_default();
        if typed.contains("oops") {
            let blot =
                Blot { part: "body".to_owned(), line: 1, column: 3, what: "no `oops`".to_owned(), ..Blot::default() };
            return Painted { messages: Vec::new(), mistakes: vec![blot] };
        }
        let text = format!("{} {typed} {}", wish.sample, wish.payload.as_deref().unwrap_or(""));
        let body = match wish.sample.as_str() {
            "refused" => "{}".to_owned(),
            _ => super::text(wish.vendor, &text),
        };
        let (size, limit) = (body.len(), 20_000);
        let failure = String::new();
        let message = PaintedMessage { body, size, limit, named: 1, counted: 2, cut: "cut".to_owned(), failure };
        Painted { messages: vec![message], mistakes: Vec::new() }
    }
}

fn rig() -> Rig {
    let rig = Rig::quick();
    rig.sandbox.offer_playground(Arc::new(Parrot::default()));
    rig
}

fn wish(fields: Value) -> String {
    let mut wish = json!({"vendor": "dingtalk", "lang": "en", "sample": "one"});
    wish.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    wish.to_string()
}

#[tokio::test]
async fn without_a_painter_there_is_no_playground() {
    let rig = Rig::quick();
    for (method, path) in [("GET", "/playground"), ("GET", PATH), ("POST", PATH)] {
        assert_eq!(rig.call(method, path, JSON, wish(json!({}))).await.status, 404, "{method} {path}");
    }
    assert!(!rig.get("/").await.body.contains("/playground"));
    let rig = self::rig();
    assert!(rig.get("/").await.body.contains("href=\"/playground\""));
    assert_eq!(rig.get("/playground").await.status, 200);
}

#[tokio::test]
async fn what_can_be_chosen() {
    let reply = rig().get(PATH).await;
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json()["data"],
        json!({
            "samples": [{"name": "one", "title": "One alert"}],
            "vendors": [
                {"vendor": "dingtalk", "name": "DingTalk", "kinds": ["markdown", "actionCard"], "sources": {"body": "{{dingtalk}}"}},
                {"vendor": "wecom", "name": "WeCom", "kinds": ["markdown", "markdown_v2", "template_card"], "sources": {"body": "{{wecom}}"}},
                {"vendor": "feishu", "name": "Feishu", "kinds": ["card", "post"], "sources": {"body": "{{feishu}}"}},
            ],
        })
    );
}

#[tokio::test]
async fn a_wish_is_drawn_and_judged_but_reaches_no_robot() {
    let rig = rig();
    for vendor in BotKind::ALL {
        let parts = json!({"vendor": vendor, "parts": {"body": "<b>\u{202e}typed"}, "payload": "{}", "mention": true});
        let reply = rig.call("POST", PATH, JSON, wish(parts)).await;
        let data = reply.json()["data"].clone();
        assert_eq!(data["mistakes"], json!([]), "{data}");
        let message = &data["messages"][0];
        assert_eq!(message["body"], super::text(vendor, "one <b>\u{202e}typed {}"));
        assert_eq!((&message["named"], &message["counted"], &message["cut"]), (&json!(1), &json!(2), &json!("cut")));
        let html = message["html"].as_str().unwrap();
        assert!(html.starts_with("<div class=\"row\">") && html.contains("one &lt;b&gt;typed {}"), "{html}");
        assert_eq!(html.matches("<div").count(), html.matches("</div>").count(), "{html}");
        let verdict = &message["verdict"];
        assert_eq!((&verdict["accepted"], &verdict["msgtype"]), (&json!(true), &json!("text")), "{verdict}");
        assert_eq!(rig.stats(vendor).requests, 0);
    }
    assert_eq!(rig.sandbox.version(), Rig::quick().sandbox.version(), "no page has to be drawn again");
}

#[tokio::test]
async fn people_are_called_by_name() {
    let sample = "<at user_id=\"ou_00000000000000000000000000000001\">x</at><at user_id=\"ou_stranger\">y</at>";
    let reply = rig().call("POST", PATH, JSON, wish(json!({"vendor": "feishu", "sample": sample}))).await;
    let message = reply.json()["data"]["messages"][0].clone();
    assert_eq!(message["verdict"]["mentions"]["names"], json!(["zhang.san", "ou_stranger"]), "{message}");
    let html = message["html"].as_str().unwrap();
    assert!(
        html.contains("<span class=\"at\">@zhang.san</span>") && html.contains("notifies zhang.san, ou_str"),
        "{html}"
    );
}

#[tokio::test]
async fn what_a_robot_would_refuse_is_said_and_not_drawn() {
    let rig = rig();
    for (vendor, code) in [(BotKind::DingTalk, 400_105), (BotKind::WeCom, 40_008), (BotKind::Feishu, 19_002)] {
        let reply = rig.call("POST", PATH, JSON, wish(json!({"vendor": vendor, "sample": "refused"}))).await;
        let message = reply.json()["data"]["messages"][0].clone();
        assert_eq!((&message["html"], &message["body"]), (&json!(""), &json!("{}")));
        let verdict = &message["verdict"];
        assert_eq!((&verdict["accepted"], &verdict["code"]), (&json!(false), &json!(code)), "{verdict}");
        assert!(verdict["reason"].as_str().unwrap().contains("type"), "{verdict}");
    }
}

#[tokio::test]
async fn mistakes_come_with_their_place() {
    let reply = rig().call("POST", PATH, JSON, wish(json!({"parts": {"body": "{{oops}}"}}))).await;
    let blot = json!({"part": "body", "line": 1, "column": 3, "what": "no `oops`", "hint": ""});
    assert_eq!(reply.json()["data"], json!({"messages": [], "mistakes": [blot]}));
}

#[tokio::test]
async fn bad_wishes_are_named() {
    let rig = rig();
    let cases = [
        (wish(json!({"vendor": "slack"})), 400, "vendor: "),
        (wish(json!({"lang": "fr"})), 400, "lang: "),
        (wish(json!({"parts": {"body": 3}})), 400, "parts.body: "),
        (wish(json!({"colour": "red"})), 400, "colour"),
        (wish(json!({"kind": "card"})), 400, "kind: dingtalk has no card, only markdown, actionCard"),
        ("{".to_owned(), 400, "EOF"),
        (wish(json!({"payload": "x".repeat(1 << 20)})), 413, "1048576 bytes"),
        (wish(json!({"sample": "panic"})), 500, "broke down"),
    ];
    for (body, status, text) in cases {
        let reply = rig.call("POST", PATH, JSON, body).await;
        assert_eq!(reply.status, status, "{}", reply.body);
        assert!(reply.json()["error"].as_str().unwrap().contains(text), "{}", reply.body);
    }
    use tower::ServiceExt as _;
    let request = http::Request::post(PATH).header("sec-fetch-site", "cross-site");
    let request = request.body(axum::body::Body::from(wish(json!({})))).unwrap();
    assert_eq!(rig.sandbox.router().oneshot(request).await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_few_are_painted_at_a_time_and_some_wait() {
    let rig = Arc::new(Rig::quick());
    let parrot = Arc::new(Parrot::default());
    rig.sandbox.offer_playground(parrot.clone());
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let rig = Arc::clone(&rig);
        asked.spawn(async move { rig.call("POST", PATH, JSON, wish(json!({"sample": "wait"}))).await.status });
    }
    let answers = async {
        // Two paint and sixteen wait; what is more is told to come again.
        for _ in 0..6 {
            assert_eq!(asked.join_next().await.unwrap().unwrap(), 503);
        }
        while parrot.now.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        parrot.open.store(true, Ordering::SeqCst);
        while let Some(status) = asked.join_next().await {
            assert_eq!(status.unwrap(), 200);
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), answers).await.unwrap();
    assert_eq!(parrot.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_page_has_no_script_or_style_of_its_own_and_a_label_for_everything() {
    let rig = rig();
    for path in ["/playground", "/assets/playground.js", "/assets/playground.css"] {
        let reply = rig.get(path).await;
        assert_eq!(reply.status, 200);
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert!(!reply.body.contains("style=\"") && !reply.body.contains("url("), "{path}");
        let body = reply.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!body.contains("://"), "{path} names another place");
    }
    let page = rig.get("/playground").await.body;
    assert_eq!(page.matches("<script").count(), page.matches("<script src=\"/assets/").count());
    for field in page.split('<').filter(|tag| tag.starts_with("textarea")) {
        assert!(field.contains("aria-label="), "{field}");
    }
    for part in ["title", "alert", "body", "digest", "payload"] {
        assert!(page.contains(&format!("aria-controls=\"panel-{part}\"")), "{part}");
        assert!(page.contains(&format!("id=\"panel-{part}\" aria-labelledby=\"tab-{part}\"")), "{part}");
    }
}
