//! Several robots for one chat, other bots for those that can not speak, and who is told of it.

use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, Rules};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::robots::free;
use crate::support::{Bot, Hook, Place, Robots, Server, config, wait_until};

/// `ops` falls back to `spare`; everything goes to `ops`.
async fn pair(after: &str) -> (Robots, Bot, Bot, String) {
    let robots = Robots::start().await;
    let ops = robots.bot(BotKind::DingTalk, "ops").with("fallback: spare").with(format!("fallback_after: {after}"));
    let spare = robots.bot(BotKind::WeCom, "spare");
    let text = config(&[ops.clone(), spare.clone()], "default_policy: {notify: {bots: [ops]}}");
    (robots, ops, spare, text)
}

async fn speaker(server: &Server, bot: &Bot) -> Value {
    let data = server.get("/api/v1/bots").await.data();
    let bots = data["bots"].as_array().unwrap().clone();
    bots.into_iter().find(|entry| entry["name"] == bot.name).unwrap()["spoken_for_by"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misconfigured_bots_fallback_speaks_for_it_until_it_is_mended() {
    let (robots, ops, spare, good) = pair("1h").await;
    let place = Place::new(&good.replace(&ops.token, &"0".repeat(64)));
    let server = place.serve().await;
    server.take(&Hook::new("a").named("First").firing("n1")).await;
    robots.wait_told(&spare, "First").await;
    server.take(&Hook::new("b").named("Second").firing("n1")).await;
    robots.wait_told(&spare, "Second").await;
    server.wait_empty().await;
    assert_eq!(speaker(&server, &ops).await, "spare");
    let metrics = server.metrics().await;
    assert_eq!(metrics.sum("fallback_alerts_total", &[("bot", "ops")]), 2.0);
    assert_eq!(metrics.sum("alert_states_superseded_total", &[("bot", "ops")]), 2.0);
    let log = server.logs();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("its fallback speaks for it")).collect();
    assert!(lines.len() == 1 && lines[0].contains("from=ops") && lines[0].contains("to=spare"), "{lines:?}");

    place.write_config(&good);
    server.reload().await;
    server.take(&Hook::new("c").named("Third").firing("n1")).await;
    robots.wait_told(&ops, "Third").await;
    wait_until("nobody speaks for it", || async { speaker(&server, &ops).await.is_null() }).await;
    // Who was told that it fires is told that it has ended.
    server.take(&Hook::new("a").named("First").resolved("n1")).await;
    wait_until("its end is told", || async { robots.telling(&spare, "First") == 2 }).await;
    assert_eq!(robots.telling(&spare, "Third"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_bots_fallback_speaks_for_it_and_both_hear_of_ends() {
    let (robots, ops, spare, text) = pair("1s").await;
    let place = Place::new(&text);
    let server = place.serve().await;
    server.take(&Hook::new("a").named("Known").firing("n1")).await;
    robots.wait_told(&ops, "Known").await;
    server.wait_empty().await;
    robots.fault(&ops, FaultKind::Http502, 0);
    server.take(&Hook::new("a").named("Known").resolved("n1")).await;
    server.take(&Hook::new("b").named("Fresh").firing("n1")).await;
    robots.wait_told(&spare, "Fresh").await;
    robots.wait_told(&spare, "Known").await;
    robots.clear_faults(&ops);
    wait_until("its own chat hears of the end", || async { robots.telling(&ops, "Known") == 2 }).await;
    server.wait_log("the bot works again").await;
    server.wait_empty().await;
    assert_eq!((robots.telling(&ops, "Fresh"), robots.telling(&spare, "Known")), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_robot_of_a_pool_is_left_out() {
    let robots = Robots::start().await;
    let (one, two) = (robots.bot(BotKind::WeCom, "one"), robots.bot(BotKind::WeCom, "two"));
    let spare = robots.bot(BotKind::Feishu, "spare");
    let urls = format!("robots: [{{url: \"{}\"}}, {{url: \"{}\"}}]", one.url, two.url);
    let text = config(&[one.clone(), spare.clone()], "default_policy: {notify: {bots: [one]}}")
        .replace(&format!("url: \"{}\"", one.url), &format!("{urls}\n    fallback: spare"));
    robots.fault(&one, FaultKind::Misconfigured, 0);
    let place = Place::new(&text);
    let server = place.serve().await;
    for n in 0..10 {
        server.take(&Hook::new(&format!("g{n}")).named(&format!("Alert{n}")).firing("n1")).await;
    }
    for n in 0..10 {
        robots.wait_told(&two, &format!("Alert{n}")).await;
    }
    server.wait_empty().await;
    robots.wait_requests(&one, 1).await;
    assert_eq!((robots.shown(&spare).len(), speaker(&server, &one).await), (0, Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_pool_had_in_flight_is_told_by_the_same_robot_first() {
    let robots = Robots::start().await;
    let (one, two) = (robots.bot(BotKind::DingTalk, "one"), robots.bot(BotKind::DingTalk, "two"));
    let urls = format!("robots: [{{url: \"{}\"}}, {{url: \"{}\"}}]", one.url, two.url);
    let text = config(std::slice::from_ref(&one), "").replace(&format!("url: \"{}\"", one.url), &urls);
    let place = Place::new(&text);
    let server = place.serve().await;
    for bot in [&one, &two] {
        robots.slow_fault(bot, FaultKind::Latency, 1, 20_000);
    }
    server.take(&Hook::new("g").firing("n1:9100")).await;
    wait_until("one of them has it", || async { robots.requests(&one).len() + robots.requests(&two).len() == 1 }).await;
    server.kill().await;
    robots.clear_faults(&one);
    robots.clear_faults(&two);
    let server = place.serve().await;
    server.wait_empty().await;
    let told = [&one, &two].map(|bot| robots.telling(bot, "n1:9100"));
    assert_eq!(told.iter().sum::<usize>(), 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_alerts_change_hands() {
    const ALERTS: usize = 3_000;
    let (robots, ops, spare, text) = pair("1h").await;
    robots.fault(&ops, FaultKind::Misconfigured, 0);
    let place = Place::new(&text);
    for round in 0..4 {
        let server = place.serve().await;
        let mut hook = Hook::new(&format!("r{round}"));
        for n in 0..ALERTS / 4 {
            hook = hook.firing(&format!("r{round}n{n}"));
        }
        server.take(&hook).await;
        if round > 0 {
            // Sooner and later within the takeover.
            wait_until("alerts change hands", || async {
                server.metrics().await.sum("fallback_alerts_total", &[]) >= (round as f64 - 1.0) * 200.0
            })
            .await;
        }
        server.kill().await;
    }
    let server = place.serve().await;
    wait_until("nothing waits for the bot", || async {
        server.metrics().await.sum("queue_alerts", &[("bot", "ops")]) == 0.0
    })
    .await;
    server.wait_empty().await;
    let metrics = server.metrics().await;
    let of = |name: &str, bot: &str| metrics.sum(name, &[("bot", bot)]);
    assert_eq!(of("alert_states_accepted_total", "ops"), ALERTS as f64);
    assert_eq!(of("alert_states_superseded_total", "ops"), ALERTS as f64);
    // Each went over in one commit with its leaving: not one of them twice.
    assert_eq!(of("alert_states_accepted_total", "spare"), ALERTS as f64);
    assert_eq!(of("alert_states_told_total", "spare"), ALERTS as f64);
    let _ = (ops, spare);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_bot_hears_of_dead_letters_and_refused_configs_once_and_of_their_end() {
    let robots = Robots::start().await;
    let ops = robots.bot(BotKind::DingTalk, "ops");
    let chief = robots.bot(BotKind::WeCom, "chief");
    let good = config(
        &[ops.clone(), chief.clone()],
        "global: {dedup_window: 2s, language: en, timezone: UTC, report_bot: chief}\ndefault_policy: {notify: {bots: [ops]}}",
    );
    let place = Place::new(&good);
    let server = place.serve_with(&["--web.enable-admin-api"]).await;
    place.write_config("bots: 5");
    server.program.signal(Signal::HUP);
    robots.wait_told(&chief, "AlarmbellReloadFailed").await;
    let text = robots.texts(&chief).join("\n");
    assert!(text.contains("The new config was refused") && text.contains("alarmbell.yml:1:"), "{text}");
    server.program.signal(Signal::HUP);
    place.write_config(&good);
    server.reload().await;
    wait_until("its end is told", || async { robots.telling(&chief, "AlarmbellReloadFailed") == 2 }).await;

    robots.set(&ops, Rules { max_bytes: Some(1), ..free() });
    server.take(&Hook::new("g").firing("n1")).await;
    robots.wait_told(&chief, "AlarmbellDeadLetters").await;
    // A restart repeats nothing.
    server.wait_empty().await;
    server.kill().await;
    let server = place.serve_with(&["--web.enable-admin-api"]).await;
    server.wait_metric("dead_letters", &[("bot", "ops")], 1.0).await;
    let letters = server.get("/api/v1/dead-letters").await.data();
    let id = letters["dead_letters"][0]["id"].to_string().trim_matches('"').to_owned();
    assert_eq!(server.delete(&format!("/api/v1/dead-letters/{id}")).await.status, 200);
    wait_until("its end is told", || async { robots.telling(&chief, "AlarmbellDeadLetters") == 2 }).await;
    server.wait_empty().await;
    assert_eq!(robots.shown(&chief).len(), 4, "{:?}", robots.texts(&chief));
}
