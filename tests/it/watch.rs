//! What can be seen of a running server: metrics, the API, pages, logins, logs.

use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, Rules};

use crate::support::robots::free;
use crate::support::web::{Answer, CLIENT};
use crate::support::{Hook, Place, Robots, config, payload};

/// Every metric that the design names, as it stands in the text format.
const METRICS: [&str; 32] = [
    "alarmbell_alert_states_accepted_total",
    "alarmbell_alert_states_told_total",
    "alarmbell_alert_states_superseded_total",
    "alarmbell_alert_states_dead_total",
    "alarmbell_queue_alerts",
    "alarmbell_build_info",
    "alarmbell_config_last_reload_successful",
    "alarmbell_config_last_reload_success_timestamp_seconds",
    "alarmbell_webhooks_total",
    "alarmbell_webhook_duration_seconds_bucket",
    "alarmbell_webhook_alerts_total",
    "alarmbell_webhook_duplicates_total",
    "alarmbell_alerts_dropped_total",
    "alarmbell_queue_groups",
    "alarmbell_queue_oldest_timestamp_seconds",
    "alarmbell_tokens_available",
    "alarmbell_bot_up",
    "alarmbell_messages_total",
    "alarmbell_attempts_total",
    "alarmbell_send_duration_seconds_bucket",
    "alarmbell_delivery_delay_seconds_bucket",
    "alarmbell_template_errors_total",
    "alarmbell_fallback_alerts_total",
    "alarmbell_dead_letters",
    "alarmbell_store_commit_duration_seconds_bucket",
    "alarmbell_store_batch_webhooks_bucket",
    "alarmbell_store_size_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_and_its_labels_are_bounded() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc").with("template: odd");
    let place = Place::new("");
    // `time` wants a time, and this label is none.
    place.write("t/wecom.odd.body.hbs", "{{#if (eq name \"Breaks\")}}{{time name}}{{/if}}all is well");
    let policies = "policies: [{name: drop, matchers: ['env=\"test\"'], notify: none}]\ntemplates: [t/*.hbs]\n";
    place.write_config(&config(std::slice::from_ref(&bot), policies));
    let server = place.serve().await;
    server.take(&Hook::new("d").firing("n0").label("env", "test")).await;
    server.take(&Hook::new("b").named("Breaks").firing("n1")).await;
    server.take(&Hook::new("g").firing("n1")).await;
    server.take(&Hook::new("g").firing("n1")).await;
    for n in 0..20 {
        server
            .post(
                &format!("/api/v1/webhook/stranger{n}"),
                Hook::new("x").firing("n9").label("severity", &format!("s{n}")).body(),
            )
            .await;
        server.post(&format!("/api/v1/webhook/stranger{n}"), "nonsense").await;
    }
    server.wait_empty().await;
    let metrics = server.metrics().await;
    let missing: Vec<_> = METRICS.iter().filter(|name| !metrics.has(name)).collect();
    assert!(missing.is_empty(), "{missing:?}\n{}", metrics.text);
    assert!(
        metrics.text.contains("# HELP alarmbell_queue_alerts")
            && metrics.text.contains("# TYPE alarmbell_queue_alerts gauge")
    );
    assert!(!metrics.text.contains("stranger") && !metrics.text.contains("\"s3\""), "{}", metrics.text);
    assert!(metrics.sum("template_errors_total", &[]) >= 1.0);
    // The alert whose template failed was told all the same.
    assert_eq!(robots.telling(&bot, "Breaks"), 1);
    assert_eq!(metrics.sum("messages_total", &[("kind", "plain"), ("verdict", "delivered")]), 1.0);
    let logs = server.logs();
    let line = logs.lines().find(|line| line.contains("template=wecom.odd.body")).expect("it is logged");
    assert!(line.contains("bot=wc ") && line.contains("t/wecom.odd.body.hbs:1:27"), "{line}");
    let messages = server.get("/api/v1/messages?bot=wc").await.data();
    let plain = messages["messages"].as_array().unwrap().iter().find(|one| one["kind"] == "plain").unwrap();
    let fingerprint = plain["alerts"][0]["fingerprint"].as_str().unwrap();
    assert!(line.contains(&format!("alert={fingerprint}")), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_can_be_asked() {
    let robots = Robots::start().await;
    let nothing = Rules { markdown_max_bytes: Some(1), text_max_bytes: Some(1), ..free() };
    let good = robots.bot(BotKind::DingTalk, "good");
    let refusing = robots.bot_with(BotKind::WeCom, "refusing", nothing);
    let stuck = robots.bot(BotKind::Feishu, "stuck");
    robots.fault(&stuck, FaultKind::Http500, 0);
    let place = Place::new(&config(&[good.clone(), refusing, stuck], ""));
    let server = place.serve_with(&["--web.external-url=http://bell.example/sub/"]).await;
    server.take_at("/sub/api/v1/webhook", payload("group3_firing")).await;
    server_wait(&server, "/sub").await;
    let get = async |path: &str| server.get(&format!("/sub{path}")).await;

    let status = get("/api/v1/status").await.data();
    assert_eq!(status["ready"], true, "{status}");
    assert_eq!(status["store"]["engine"], "sqlite", "{status}");
    let bots = get("/api/v1/bots").await.data()["bots"].as_array().unwrap().clone();
    assert_eq!(bots.len(), 3);
    let by_name = |name: &str| bots.iter().find(|bot| bot["name"] == name).unwrap();
    assert_eq!(by_name("good")["waiting_alerts"], 0);
    assert_eq!(by_name("stuck")["waiting_alerts"], 3);
    assert_eq!(by_name("stuck")["waiting_groups"], 1);
    assert!(by_name("stuck")["oldest"].is_string());

    let messages = get("/api/v1/messages?bot=good").await.data()["messages"].as_array().unwrap().clone();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["verdict"], "delivered");
    assert_eq!(messages[0]["kind"], "single");
    assert_eq!(messages[0]["alerts"].as_array().unwrap().len(), 3);
    assert!(messages[0]["text"].as_str().unwrap().contains("DiskFull"));
    let rejected = get("/api/v1/messages?verdict=rejected").await.data()["messages"].as_array().unwrap().clone();
    assert!(!rejected.is_empty() && rejected.iter().all(|message| message["bot"] == "refusing"));
    assert_eq!(get("/api/v1/messages?q=DiskFull&bot=good").await.data()["messages"].as_array().unwrap().len(), 1);
    assert_eq!(get("/api/v1/messages?q=nowhere").await.data()["messages"].as_array().unwrap().len(), 0);
    assert_eq!(
        get("/api/v1/messages?since=2099-01-01T00:00:00Z").await.data()["messages"].as_array().unwrap().len(),
        0
    );
    assert_eq!(get("/api/v1/messages?limit=1").await.data()["messages"].as_array().unwrap().len(), 1);
    assert_eq!(get("/api/v1/messages?verdict=nonsense").await.status, 400);
    for (state, bot, number) in [("told", "good", 3), ("waiting", "stuck", 3), ("dead", "refusing", 3)] {
        let rows =
            get(&format!("/api/v1/deliveries?state={state}")).await.data()["deliveries"].as_array().unwrap().clone();
        assert_eq!(rows.len(), number, "{state}: {rows:?}");
        assert!(rows.iter().all(|row| row["bot"] == bot && row["state"] == state), "{state}: {rows:?}");
    }
    // The page that the message links to.
    let shown = robots.shown(&good);
    let link = format!("http://bell.example/sub/m/{}", messages[0]["id"].as_str().unwrap());
    assert!(shown[0].text.contains(&link), "{}", shown[0].text);
    let page = get(&format!("/m/{}", messages[0]["id"].as_str().unwrap())).await;
    assert_eq!(page.status, 200);
    for part in ["10.0.0.11:9100", "10.0.0.12:9100", "10.0.0.13:9100", "<html"] {
        assert!(page.text.contains(part), "{part}");
    }
    assert_eq!(get("/m/00000000000000000000000000000000").await.status, 404);
    assert_eq!(get("/m/nonsense").await.status, 404);
}

/// Waits until only the bot `stuck` has something waiting.
async fn server_wait(server: &crate::support::Server, prefix: &str) {
    crate::support::wait_until("the others are done", || async {
        let text = server.get(&format!("{prefix}/metrics")).await.text;
        let metrics = crate::support::Metrics::parse(text);
        metrics.check_equation();
        metrics.sum("queue_alerts", &[]) == 3.0
            && metrics.sum("attempts_total", &[("bot", "stuck"), ("verdict", "retry")]) > 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_calls_are_forbidden_unless_enabled() {
    let robots = Robots::start().await;
    let place = Place::new(&config(&[robots.bot(BotKind::WeCom, "wc")], ""));
    let server = place.serve().await;
    for answer in [
        server.post("/-/reload", "").await,
        server.post("/api/v1/dead-letters/1/replay", "").await,
        server.delete("/api/v1/dead-letters/1").await,
    ] {
        assert_eq!(answer.status, 403, "{}", answer.text);
        assert!(answer.error().0.contains("--web.enable-"), "{}", answer.text);
    }
    assert_eq!(server.get("/-/reload").await.status, 405);
    assert_eq!(server.post("/metrics", "").await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_protects_everything_but_the_pages() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc");
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let hash = bcrypt::hash("the password", 10).unwrap();
    let web = place.write("web.yml", &format!("basic_auth_users:\n  ops: {hash}\n"));
    let flag = format!("--web.config.file={}", web.display());
    let server = place.serve_with(&[&flag]).await;
    let body = Hook::new("g").firing("n1").body();
    for path in ["/metrics", "/api/v1/bots", "/api/v1/messages", "/-/ready", "/no/such/path"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"), "{path}");
    }
    assert_eq!(server.post("/api/v1/webhook", body.clone()).await.status, 401);
    for (user, password) in [("ops", "wrong"), ("nobody", "the password"), ("", "")] {
        let request = CLIENT.get(server.url("/metrics")).basic_auth(user, Some(password));
        assert_eq!(Answer::of(request).await.unwrap().status, 401, "{user}");
    }
    let server = server.login("ops", "the password");
    server.take_at("/api/v1/webhook", body).await;
    robots.wait_told(&bot, "n1").await;
    server.wait_empty().await;
    let messages = server.get("/api/v1/messages").await.data();
    let id = messages["messages"][0]["id"].as_str().unwrap().to_owned();
    // A phone that follows the link has no login.
    let page = Answer::of(CLIENT.get(server.url(&format!("/m/{id}")))).await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_config_with_tls_is_refused_with_a_clear_message() {
    let robots = Robots::start().await;
    let place = Place::new(&config(&[robots.bot(BotKind::WeCom, "wc")], ""));
    let web = place.write("web.yml", "tls_server_config: {cert_file: a, key_file: b}\n");
    let mut program = place.program(&[&format!("--web.config.file={}", web.display())]);
    assert_eq!(program.wait().await.code(), Some(2), "{}", program.output());
    assert!(program.output().contains("tls_server_config"), "{}", program.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_logfmt_or_json_line_by_line() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc");
    robots.fault(&bot, FaultKind::Http500, 1);
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let text = place.serve().await;
    text.take(&Hook::new("g").firing("n1\" injected=\"yes\nlevel=error")).await;
    text.wait_empty().await;
    for line in text.logs().lines() {
        assert!(line.starts_with("ts=") && line.contains(" level=") && line.contains(" msg="), "{line}");
    }
    assert_eq!(text.stop().await, 0);
    // The address stands in JSON here, so the harness's reader of logfmt is of no use.
    let mut program = place.program(&["--log.format=json"]);
    program.wait_line("listening").await;
    program.signal(rustix::process::Signal::TERM);
    assert!(program.wait().await.success());
    for line in program.output().lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(json["ts"].is_string() && json["level"].is_string() && json["msg"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_port_is_warned_of() {
    let robots = Robots::start().await;
    let place = Place::new(&config(&[robots.bot(BotKind::WeCom, "wc")], ""));
    let open = place.serve_with(&["--web.listen-address=0.0.0.0:0"]).await;
    let warnings = |logs: String| logs.lines().filter(|line| line.contains("level=warn")).count();
    assert_eq!(warnings(open.logs()), 1, "{}", open.logs());
    assert_eq!(open.stop().await, 0);
    let local = place.serve().await;
    assert_eq!(warnings(local.logs()), 0, "{}", local.logs());
}
