//! No secret in anything that the program writes, whatever goes wrong.

use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, RobotState, Rules};
use rustix::process::Signal;

use crate::support::robots::free;
use crate::support::{Bot, Hook, Place, Robots, config};

/// The password `correct-horse-marker` at cost 10.
const USERS: &str = "basic_auth_users:\n  ops: ";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_anywhere() {
    let robots = Robots::start().await;
    let secret = "SECmarker0123456789abcdef0123456789abcdef0123456789abcdef01234567";
    let feishu_secret = "feishumarkersecret0001";
    let rules = Rules { secret: secret.to_owned(), ..free() };
    let signed = robots.bot_with(BotKind::DingTalk, "signed", rules).with(format!("secret: {secret}"));
    let unsigned = robots.bot(BotKind::DingTalk, "unsigned").with(format!("secret: {secret}x"));
    robots.set(&unsigned, Rules { secret: secret.to_owned(), ..free() });
    let gone = robots.bot_with(BotKind::WeCom, "gone", Rules { state: RobotState::Gone, ..free() });
    let rules = Rules { secret: feishu_secret.to_owned(), ..free() };
    let feishu = robots.bot_with(BotKind::Feishu, "feishu", rules).with(format!("secret: {feishu_secret}"));
    let cut = robots.bot(BotKind::Feishu, "cut");
    robots.fault(&cut, FaultKind::CutBefore, 0);
    // Nobody listens there.
    let nobody = format!("http://127.0.0.1:9/cgi-bin/webhook/send?key={}", gone.token);
    let mut dead = robots.bot(BotKind::WeCom, "dead");
    dead.url = nobody.clone();
    let proxied = robots
        .bot(BotKind::Feishu, "proxied")
        .with("http_config: {proxy_url: \"http://proxyuser:proxymarkerpassword@127.0.0.1:9\", no_proxy: \"\"}");
    let refusing = robots.bot_with(
        BotKind::WeCom,
        "refusing",
        Rules { markdown_max_bytes: Some(1), text_max_bytes: Some(1), ..free() },
    );
    let bots: Vec<Bot> = vec![signed, unsigned, gone, feishu, cut, dead, proxied, refusing];
    let hash = bcrypt::hash("correct-horse-marker", 10).unwrap();
    let place = Place::new(&config(&bots, ""));
    let web = place.write("web.yml", &format!("{USERS}{hash}\n"));
    let flags = [
        format!("--web.config.file={}", web.display()),
        "--web.enable-lifecycle".to_owned(),
        "--web.enable-admin-api".to_owned(),
        "--web.external-url=https://bell.example/".to_owned(),
        "--web.route-prefix=/".to_owned(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = place.serve_with(&flags).await.login("ops", "correct-horse-marker");
    server.take(&Hook::new("g").firing("n1")).await;
    for bot in &bots {
        let attempts = [("bot", bot.name.as_str())];
        server.wait_metric("attempts_total", &attempts, 1.0).await;
    }
    server.wait_metric("alert_states_dead_total", &[("bot", "refusing")], 1.0).await;

    // A bad config that is full of secrets, and then the good one again.
    let bad = config(&bots, "").replace("type: wecom", "type: wecmo").replace("/robot/send", "/robot/sned");
    place.write_config(&bad);
    server.program.signal(Signal::HUP);
    server.wait_gauge("config_last_reload_successful", &[], 0.0).await;
    let mut seen = String::new();
    seen.push_str(&server.post("/-/reload", "").await.text);
    let check = place.run(&["check-config", "alarmbell.yml"]).await;
    assert_eq!(check.code, 2, "{}", check.stderr);
    seen.push_str(&(check.stdout + &check.stderr));
    place.write_config(&config(&bots, ""));
    server.reload().await;
    let check = place.run(&["check-config", "alarmbell.yml"]).await;
    assert_eq!(check.code, 0, "{}", check.stderr);
    seen.push_str(&(check.stdout + &check.stderr));
    for bot in &bots {
        // Without a store it does not wait for its turn, which may be long for a robot that fails.
        let name = format!("--bot={}", bot.name);
        let ran = place.run(&["send", "--config.file=alarmbell.yml", &name, "--storage.path=none"]).await;
        seen.push_str(&(ran.stdout + &ran.stderr));
        let ran = place.run(&["render", "--config.file=alarmbell.yml", &name]).await;
        seen.push_str(&(ran.stdout + &ran.stderr));
    }
    let reads =
        ["metrics", "api/v1/status", "api/v1/bots", "api/v1/messages", "api/v1/deliveries", "api/v1/dead-letters", ""];
    for path in reads {
        let answer = server.get(&format!("/{path}")).await;
        assert_eq!(answer.status, 200, "/{path}: {}", answer.text);
        seen.push_str(&answer.text);
    }
    let messages = server.get("/api/v1/messages").await.data();
    let messages = messages["messages"].as_array().unwrap().clone();
    assert!(!messages.is_empty());
    for message in messages {
        let page = server.get(&format!("/m/{}", message["id"].as_str().unwrap())).await;
        assert_eq!(page.status, 200);
        seen.push_str(&page.text);
    }
    seen.push_str(&server.post("/api/v1/webhook", "{\"alerts\": [{\"labels\": 3}]}").await.text);
    let cmdline = std::fs::read_to_string(format!("/proc/{}/cmdline", server.program.pid())).unwrap();
    seen.push_str(&cmdline);
    seen.push_str(&server.logs());

    let mut secrets: Vec<&str> = bots.iter().map(|bot| bot.token.as_str()).collect();
    secrets.extend([secret, &secret[3..], feishu_secret, "proxymarkerpassword", "correct-horse-marker", hash.as_str()]);
    secrets.push(&hash[7..]);
    for secret in secrets {
        if let Some(at) = seen.find(secret) {
            let from = (0..=at.saturating_sub(200)).rev().find(|from| seen.is_char_boundary(*from)).unwrap();
            panic!("{secret} is written:\n{}", &seen[from..at + secret.len()]);
        }
    }
    for part in ["sign=", "access_token=", "Basic "] {
        let shown = seen.match_indices(part).find(|(at, _)| !seen[at + part.len()..].starts_with("<redacted>"));
        let shown = shown.map(|(at, _)| seen[at..].chars().take(80).collect::<String>());
        assert!(
            shown.as_deref().is_none_or(|text| text.starts_with("access_token=...") || text.starts_with("Basic auth")),
            "{shown:?}"
        );
    }
}
