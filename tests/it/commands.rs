//! The other commands, and every example that we ship.

use std::path::{Path, PathBuf};

use alarmbell::model::BotKind;
use alarmbell::sandbox::{RobotState, Rules};

use crate::support::program::{Program, Ran, run};
use crate::support::robots::{free, limited};
use crate::support::server::ALARMBELL;
use crate::support::web::{Answer, CLIENT};
use crate::support::{Hook, Place, Robots, config, hook, wait_until};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

async fn alarmbell(arguments: &[&str]) -> Ran {
    run(ALARMBELL, |command| {
        command.args(arguments).current_dir(root());
    })
    .await
}

/// Files of a folder with this extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<String> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let fits = paths.filter(|path| path.extension().is_some_and(|ending| ending == extension));
    let mut names: Vec<String> = fits.map(|path| path.display().to_string()).collect();
    names.sort();
    assert!(!names.is_empty(), "nothing in {}", folder.display());
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_config_is_right() {
    for file in ["examples/minimal.yml", "examples/full.yml"] {
        let ran = alarmbell(&["check-config", file]).await;
        assert_eq!(ran.code, 0, "{file}: {}", ran.stderr);
        assert!(ran.stdout.contains("ok"), "{}", ran.stdout);
        assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    }
    // The others in the folder are Prometheus' and Alertmanager's, and checked by their own programs.
    let all = files(&root().join("examples"), "yml");
    assert_eq!(all.len(), 4, "a new example is to be loaded by a test: {all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_config_in_the_kubernetes_manifest_is_right() {
    let manifest = std::fs::read_to_string(root().join("deploy/kubernetes/alarmbell.yaml")).unwrap();
    let block: String = manifest
        .lines()
        .skip_while(|line| line.trim() != "alarmbell.yml: |")
        .skip(1)
        .take_while(|line| line.starts_with("    ") || line.is_empty())
        .map(|line| format!("{}\n", line.get(4..).unwrap_or("")))
        .collect();
    let place = Place::new(&block.replace("/etc/alarmbell/", ""));
    place.write("secrets/ops-dingtalk.url", "https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef\n");
    place.write("secrets/ops-dingtalk.secret", "SEC0123456789abcdef0123456789abcdef\n");
    let ran = place.run(&["check-config", "alarmbell.yml"]).await;
    assert_eq!(ran.code, 0, "{block}\n{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_payload_is_taken_and_can_be_shown() {
    let robots = Robots::start().await;
    let bots =
        [robots.bot(BotKind::DingTalk, "dt"), robots.bot(BotKind::WeCom, "wc"), robots.bot(BotKind::Feishu, "fs")];
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    for file in files(&root().join("examples/payloads"), "json") {
        server.take_at("/api/v1/webhook", std::fs::read(&file).unwrap()).await;
        for bot in &bots {
            let ran = place.run(&["render", &format!("--bot={}", bot.name), &format!("--payload={file}")]).await;
            assert_eq!(ran.code, 0, "{file}: {}", ran.stderr);
            assert!(ran.stdout.contains("Nothing was sent."), "{}", ran.stdout);
        }
    }
    server.wait_empty().await;
    assert!(bots.iter().all(|bot| robots.stats(bot).refusals() == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn check_config_names_every_mistake_of_every_file() {
    let bad = root().join("tests/fixtures/config/bad");
    let (one, many) = (bad.join("unknown-top-key.yml"), bad.join("many-at-once.yml"));
    let (one, many) = (one.display().to_string(), many.display().to_string());
    let ran = alarmbell(&["check-config", "examples/minimal.yml", &one, &many]).await;
    assert_eq!(ran.code, 2);
    let said = ran.stdout + &ran.stderr;
    assert!(said.contains("examples/minimal.yml: ok"), "{said}");
    let places = said.lines().filter(|line| line.starts_with(&one) || line.starts_with(&many));
    let places = places.filter(|line| line.split(':').nth(1).is_some_and(|part| part.parse::<u32>().is_ok()));
    assert!(places.count() > 3, "each with file:line:column: {said}");
    assert!(said.contains("hint:"), "{said}");
    // Without a file there is nothing to check.
    assert_eq!(alarmbell(&["check-config"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_test_says_where_an_alert_goes() {
    let ran = alarmbell(&[
        "routes",
        "test",
        "--config.file=examples/full.yml",
        "--at=2026-11-20T10:00:00+08:00",
        "severity=critical",
        "team=db",
    ])
    .await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in ["database-critical", "ops-wecom", "ops-dingtalk", "zhang.san"] {
        assert!(ran.stdout.contains(part), "no {part:?} in:\n{}", ran.stdout);
    }
    let dropped = alarmbell(&["routes", "test", "--config.file=examples/full.yml", "env=test"]).await;
    assert!(dropped.stdout.contains("test-systems") && dropped.stdout.contains("dropped"), "{}", dropped.stdout);
    assert_eq!(alarmbell(&["routes", "test", "--config.file=examples/full.yml", "nonsense"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_render_shows_is_what_is_sent() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::DingTalk, "dt");
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let file = hook::payloads().join("group3_firing.body").display().to_string();
    let ran = place.run(&["render", "--bot=dt", &format!("--payload={file}")]).await;
    let server = place.serve().await;
    server.take_at("/api/v1/webhook", hook::payload("group3_firing")).await;
    let sent = robots.wait_shown(&bot, 1).await.remove(0);
    assert!(ran.stdout.contains(&sent.title), "{}\n{}", sent.title, ran.stdout);
    for line in sent.text.lines().filter(|line| !line.contains("since ")) {
        assert!(ran.stdout.contains(line.trim_end()), "no {line:?} in:\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains(&format!("size      {} of {} bytes", sent.bytes, sent.limit)), "{}", ran.stdout);
    let none = place.run(&["render", "--bot=nobody"]).await;
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("dt"), "it names the bots that there are: {}", none.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_says_what_the_robot_said_and_what_to_do() {
    let robots = Robots::start().await;
    let good = robots.bot(BotKind::WeCom, "good");
    let gone = robots.bot_with(BotKind::Feishu, "gone", Rules { state: RobotState::Gone, ..free() });
    let place = Place::new(&config(&[good.clone(), gone], ""));
    let ran = place.run(&["send", "--bot=good"]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("verdict   delivered"), "{}", ran.stdout);
    assert_eq!(robots.shown(&good).len(), 1);
    let file = hook::payloads().join("one_firing.body").display().to_string();
    let ran = place.run(&["send", "--bot=good", &format!("--payload={file}")]).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(robots.telling(&good, "InstanceDown"), 1);
    let ran = place.run(&["send", "--bot=gone"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("misconfigured") && ran.stdout.contains("remedy"), "{}", ran.stdout);
    assert!(!place.storage().exists(), "send makes no store");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_takes_its_turn_among_the_servers_messages() {
    let robots = Robots::start().await;
    let bot = robots.bot_with(BotKind::WeCom, "wc", limited(6, 4)).limits("{messages: 6, per: 4s}");
    let place = Place::new(&config(
        std::slice::from_ref(&bot),
        "global: {dedup_window: 2s, language: en, timezone: UTC, digest: {threshold: 100}}",
    ));
    let server = place.serve().await;
    for n in 0..12 {
        server.take(&Hook::new(&format!("g{n}")).named(&format!("Turn{n:02}")).firing("n1")).await;
    }
    robots.wait_requests(&bot, 2).await;
    for _ in 0..2 {
        let ran = place.run(&["send", "--bot=wc"]).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("takes its turn"), "{}", ran.stdout);
    }
    robots.wait_shown(&bot, 14).await;
    let stats = robots.stats(&bot);
    assert_eq!(stats.refusals(), 0, "{:?}", stats.refused);
    assert!(stats.windows[0].max <= 6, "{:?}", stats.windows);
    server.wait_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_its_story_without_a_refusal() {
    let mut demo = Program::start(ALARMBELL, |command| {
        command.args(["demo", "--web.listen-address=127.0.0.1:0", "--speed=20"]);
    });
    let line = demo.wait_line("  open http://").await;
    let chats = line.split_whitespace().nth(1).unwrap().trim_end_matches('/').to_owned();
    demo.wait_line("Everything has been told").await;
    demo.wait_line("webhook_configs").await;
    let robots = Answer::of(CLIENT.get(format!("{chats}/api/sandbox/robots"))).await.unwrap();
    assert_eq!(robots.status, 200);
    let robots = robots.data();
    let list = robots.as_array().unwrap();
    assert_eq!(list.len(), 3, "{robots}");
    for robot in list {
        assert!(robot["accepted"].as_u64().unwrap() >= 3, "{robot}");
        assert_eq!(robot["refused"], 0, "{robot}");
    }
    let page = Answer::of(CLIENT.get(&chats)).await.unwrap().text;
    assert!(page.contains("db-03") && page.contains("db-04"), "{page}");
    demo.signal(rustix::process::Signal::INT);
    assert!(demo.wait().await.success());
    assert!(demo.output().contains("no files are left"), "{}", demo.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_runs_alone() {
    let mut sandbox = Program::start(ALARMBELL, |command| {
        command.args(["sandbox", "--web.listen-address=127.0.0.1:0"]);
    });
    let line = sandbox.wait_line("  open http://").await;
    let base = line.split_whitespace().nth(1).unwrap().trim_end_matches('/').to_owned();
    let body = r#"{"msgtype": "text", "text": {"content": "hello from nobody"}}"#;
    let url = format!("{base}/cgi-bin/webhook/send?key=ops");
    let request = CLIENT.post(url).header("content-type", "application/json").body(body);
    assert_eq!(Answer::of(request).await.unwrap().json()["errcode"], 0);
    let page = Answer::of(CLIENT.get(&base)).await.unwrap();
    assert!(page.text.contains("hello from nobody"), "{}", page.text);
    assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    sandbox.signal(rustix::process::Signal::TERM);
    wait_until("it has ended", || std::future::ready(!sandbox.is_running())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help_and_version_are_successes_and_mistakes_are_2() {
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"], &["send", "--help"]] {
        let ran = alarmbell(arguments).await;
        assert_eq!(ran.code, 0, "{arguments:?}");
        assert!(!ran.stdout.is_empty() && ran.stderr.is_empty(), "{arguments:?}: {}", ran.stderr);
    }
    for arguments in [&["nonsense"][..], &["serve", "--web.listen-address"], &["render", "--bot"], &["send", "--bot"]] {
        let ran = alarmbell(arguments).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stdout);
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

/// The other bridge's config, taken over as it is, serves its address and shows its message.
#[tokio::test(flavor = "multi_thread")]
async fn a_migrated_config_serves_the_same_address() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::DingTalk, "ops");
    let place = Place::new("");
    let text = "{{ range .Alerts.Firing }}* {{ .Labels.instance }}: {{ .Annotations.summary }}\n{{ end }}";
    let bridge = format!(
        "targets:\n  ops:\n    url: {}\n    mention: {{mobiles: ['13800000000']}}\n    message: {{text: \"{text}\"}}\n",
        bot.url
    );
    place.write("config.yml", &bridge);
    let ran = place.run(&["migrate", "prometheus-webhook-dingtalk", "config.yml", "-o", "alarmbell.yml"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("alarmbell.yml exists already"), "{}", ran.stderr);
    let ran =
        place.run(&["migrate", "prometheus-webhook-dingtalk", "config.yml", "-o", "alarmbell.yml", "--force"]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    assert!(!ran.stdout.contains(&bot.token) && !ran.stderr.contains(&bot.token));
    let server = place.serve().await;
    server.take_at("/dingtalk/ops/send", Hook::new("g").firing("db-1").firing("db-2").body()).await;
    let sent = robots.wait_shown(&bot, 1).await.remove(0);
    assert!(sent.text.contains("* db-1: disk of db-1 is full"), "{}", sent.text);
    assert!(sent.text.contains("* db-2: disk of db-2 is full"), "{}", sent.text);
    assert!(sent.text.ends_with("@13800000000"), "{}", sent.text);
}
