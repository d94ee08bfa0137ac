//! Changing the config while alerts wait, by a signal, by HTTP, and by itself.

use std::os::unix::fs::symlink;

use alarmbell::model::BotKind;
use alarmbell::sandbox::FaultKind;
use rustix::process::Signal;

use crate::support::{Bot, Hook, Place, Robots, Server, config, wait_until};

/// Two bots, of which the first can not tell anything, and five alerts that wait for it.
async fn stuck(extra: &str) -> (Robots, Bot, Bot, Place, Server) {
    let robots = Robots::start().await;
    let mut gone = robots.bot(BotKind::DingTalk, "gone");
    if !extra.is_empty() {
        gone = gone.with(extra);
    }
    let other = robots.bot(BotKind::WeCom, "other");
    robots.fault(&gone, FaultKind::Http500, 0);
    let place = Place::new(&config(&[gone.clone(), other.clone()], "default_policy: {notify: {bots: [gone]}}"));
    let server = place.serve().await;
    for n in 0..5 {
        server.take(&Hook::new(&format!("g{n}")).named(&format!("Stuck{n}")).firing("n1")).await;
    }
    robots.wait_requests(&gone, 1).await;
    (robots, gone, other, place, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_a_removed_bot_go_to_its_fallback() {
    let (robots, _, other, place, server) = stuck("fallback: other").await;
    let third = robots.bot(BotKind::Feishu, "third");
    place.write_config(&config(&[other.clone(), third.clone()], "default_policy: {notify: {bots: [third]}}"));
    server.reload().await;
    for n in 0..5 {
        robots.wait_told(&other, &format!("Stuck{n}")).await;
    }
    server.wait_empty().await;
    assert_eq!(robots.shown(&third).len(), 0, "the fallback goes before the default");
}

#[tokio::test(flavor = "multi_thread")]
async fn else_to_the_default_policys_bots() {
    let (robots, gone, other, place, server) = stuck("").await;
    place.write_config(&config(std::slice::from_ref(&other), "default_policy: {notify: {bots: [other]}}"));
    server.reload().await;
    for n in 0..5 {
        robots.wait_told(&other, &format!("Stuck{n}")).await;
    }
    server.wait_empty().await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("alert_states_superseded_total", &[("bot", &gone.name)]), 5.0, "moved");
    // The proof is told of bots that are gone, too, and after a restart.
    server.kill().await;
    let server = place.serve().await;
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("alert_states_accepted_total", &[("bot", &gone.name)]), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn else_they_become_dead_letters() {
    let (_robots, gone, other, place, server) = stuck("").await;
    let policies = "default_policy:\npolicies: [{name: p, matchers: ['a=\"b\"'], notify: {bots: [other]}}]";
    place.write_config(&config(std::slice::from_ref(&other), policies));
    server.reload().await;
    server.wait_metric("alert_states_dead_total", &[("bot", &gone.name)], 5.0).await;
    server.wait_empty().await;
    let letters = server.get("/api/v1/dead-letters").await.data();
    assert_eq!(letters["dead_letters"].as_array().unwrap().len(), 5, "{letters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_was_removed_while_nothing_ran_is_noticed_at_the_start() {
    let (robots, _, other, place, server) = stuck("").await;
    server.kill().await;
    place.write_config(&config(std::slice::from_ref(&other), ""));
    let server = place.serve().await;
    for n in 0..5 {
        robots.wait_told(&other, &format!("Stuck{n}")).await;
    }
    server.wait_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_config_changes_nothing_and_says_why() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc");
    let good = config(std::slice::from_ref(&bot), "");
    let place = Place::new(&good);
    let server = place.serve_with(&["--web.enable-lifecycle"]).await;
    place.write_config(&good.replace("default_policy", "defualt_policy"));
    server.program.signal(Signal::HUP);
    server.wait_gauge("config_last_reload_successful", &[], 0.0).await;
    let log = server.logs();
    let line = log.lines().find(|line| line.contains("level=error")).unwrap();
    assert!(line.contains("alarmbell.yml:") && line.contains("defualt_policy"), "{line}");
    let answer = server.post("/-/reload", "").await;
    assert!(answer.status >= 400, "{}", answer.text);
    assert!(answer.error().0.contains("defualt_policy"), "{}", answer.text);
    // The old one is in force.
    server.take(&Hook::new("g").firing("n1")).await;
    robots.wait_told(&bot, "n1").await;
    place.write_config(&good);
    let answer = server.post("/-/reload", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    server.wait_gauge("config_last_reload_successful", &[], 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bad_config_says_at_the_start() {
    let place = Place::new("bots:\n  - {name: a, type: dingtlak, url: https://x.example/}\nnonsense: 1\n");
    let mut program = place.program(&[]);
    assert_eq!(program.wait().await.code(), Some(2));
    let output = program.output();
    assert!(output.contains("alarmbell.yml:2:") && output.contains("alarmbell.yml:3:1"), "{output}");
    assert!(output.contains("dingtlak") && output.contains("nonsense"), "every mistake at once: {output}");
    // A file that is not there, and a flag that is none.
    std::fs::remove_file(place.config()).unwrap();
    assert_eq!(place.program(&[]).wait().await.code(), Some(2));
    assert_eq!(place.run(&["serve", "--no-such-flag"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_config_map_is_followed() {
    let robots = Robots::start().await;
    let (old, new) = (robots.bot(BotKind::WeCom, "old"), robots.bot(BotKind::Feishu, "new"));
    // As the kubelet does it: the file is a link to a link to a folder, and the middle link is exchanged.
    let place = Place::new("unused: true");
    place.write("map/..1/alarmbell.yml", &config(std::slice::from_ref(&old), ""));
    let map = place.path().join("map");
    symlink("..1", map.join("..data")).unwrap();
    symlink("..data/alarmbell.yml", map.join("alarmbell.yml")).unwrap();
    std::fs::remove_file(place.config()).unwrap();
    symlink(map.join("alarmbell.yml"), place.config()).unwrap();
    let server = place.serve_with(&["--config.auto-reload-interval=100ms"]).await;
    server.take(&Hook::new("a").named("Before").firing("n1")).await;
    robots.wait_told(&old, "Before").await;

    place.write("map/..2/alarmbell.yml", &config(std::slice::from_ref(&new), ""));
    symlink("..2", map.join("..new")).unwrap();
    std::fs::rename(map.join("..new"), map.join("..data")).unwrap();
    wait_until("the new config is in force", || async {
        server.metrics().await.sum("tokens_available", &[("bot", "new")]) > 0.0
    })
    .await;
    server.take(&Hook::new("b").named("After").firing("n1")).await;
    robots.wait_told(&new, "After").await;
    assert_eq!(robots.telling(&old, "After"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_config_names_are_followed_too() {
    let robots = Robots::start().await;
    let (bot, wrong) = (robots.bot(BotKind::WeCom, "wc"), robots.bot(BotKind::WeCom, "wrong"));
    robots.set(&wrong, alarmbell::sandbox::Rules { state: alarmbell::sandbox::RobotState::Gone, ..Default::default() });
    let place = Place::new("");
    place.write("wc.url", &wrong.url);
    place.write("templates/wecom.night.title.hbs", "first {{name}}");
    let by_file = config(std::slice::from_ref(&bot.clone().with("template: night")), "templates: [templates/*.hbs]")
        .replace(&format!("url: \"{}\"", bot.url), "url_file: wc.url");
    place.write_config(&by_file);
    let server = place.serve_with(&["--config.auto-reload-interval=100ms"]).await;
    server.take(&Hook::new("a").named("Waits").firing("n1")).await;
    server.wait_gauge("bot_up", &[("bot", "wc")], 0.0).await;
    place.write("wc.url", &format!("{}\n", bot.url));
    robots.wait_told(&bot, "first Waits").await;
    place.write("templates/wecom.night.title.hbs", "second {{name}}");
    wait_until("the new template is used", || async {
        server.take(&Hook::new("b").named("Newer").firing(&format!("n{}", robots.requests(&bot).len()))).await;
        robots.telling(&bot, "second Newer") > 0
    })
    .await;
}
