//! What each answer of a robot leads to: told, tried again, waited, kept, or given up; never taken for a success.

use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, RobotState, Rules};
use serde_json::Value;

use crate::support::robots::{free, limited};
use crate::support::{Bot, Hook, Metrics, Place, Robots, Server, config, wait_until};

const KINDS: [(BotKind, &str); 3] = [(BotKind::DingTalk, "dt"), (BotKind::WeCom, "wc"), (BotKind::Feishu, "fs")];

/// A passing failure, what it means, and whether the robot shows the message all the same.
const PASSING: [(FaultKind, &str, bool); 13] = [
    (FaultKind::Http500, "retry", false),
    (FaultKind::Http502, "retry", false),
    (FaultKind::Http503, "retry", false),
    (FaultKind::Http504, "unknown_outcome", false),
    (FaultKind::Html, "retry", false),
    (FaultKind::Busy, "retry", false),
    (FaultKind::CutBefore, "unknown_outcome", false),
    (FaultKind::CutAfter, "unknown_outcome", true),
    (FaultKind::Empty, "unknown_outcome", true),
    (FaultKind::CutJson, "unknown_outcome", true),
    (FaultKind::TimeoutBefore, "unknown_outcome", false),
    (FaultKind::Timeout, "unknown_outcome", true),
    (FaultKind::Latency, "delivered", true),
];

/// The bot's entry of `/api/v1/bots`.
async fn bot_view(server: &Server, bot: &Bot) -> Value {
    let data = server.get("/api/v1/bots").await.data();
    let list = data["bots"].as_array().unwrap().clone();
    list.into_iter().find(|entry| entry["name"] == bot.name).unwrap()
}

fn told(metrics: &Metrics, bot: &Bot) -> f64 {
    metrics.sum("alert_states_told_total", &[("bot", &bot.name)])
}

fn attempts(metrics: &Metrics, bot: &Bot, verdict: &str) -> f64 {
    metrics.sum("attempts_total", &[("bot", &bot.name), ("verdict", verdict)])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_passing_failure_of_every_vendor_is_tried_again() {
    let robots = Robots::start().await;
    let mut cases = Vec::new();
    for (kind, short) in KINDS {
        for (fault, verdict, shows) in PASSING {
            let bot = robots.bot(kind, &format!("{short}-{}", fault.as_str().replace('_', "-")));
            let latency = if fault == FaultKind::Latency { 1_000 } else { 0 };
            robots.slow_fault(&bot, fault, 1, latency);
            // Feishu says "too many requests" when it is busy.
            let busy = kind == BotKind::Feishu && fault == FaultKind::Busy;
            cases.push((bot, fault, if busy { "rate_limited" } else { verdict }, shows));
        }
    }
    let bots: Vec<Bot> = cases.iter().map(|case| case.0.clone()).collect();
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100")).await;
    server.wait_empty().await;
    let metrics = server.metrics().await;
    for (bot, fault, verdict, shows) in &cases {
        let name = &bot.name;
        assert_eq!(told(&metrics, bot), 2.0, "{name}");
        assert!(attempts(&metrics, bot, verdict) >= 1.0, "{name}: not {verdict}");
        assert_eq!(attempts(&metrics, bot, "delivered"), 1.0, "{name}");
        assert_eq!(metrics.sum("messages_total", &[("bot", name), ("verdict", "delivered")]), 1.0, "{name}");
        // Shown, and not known to be shown: told again, except where the robot knows the message by its id.
        let twice = *shows && *fault != FaultKind::Latency && bot.kind != BotKind::DingTalk;
        assert_eq!(robots.shown(bot).len(), 1 + usize::from(twice), "{name}");
        if *shows && *fault != FaultKind::Latency && bot.kind == BotKind::DingTalk {
            assert_eq!(robots.stats(bot).duplicates, 1, "{name}: the same msgUuid came again");
        }
        assert_eq!(robots.telling(bot, "n1"), robots.shown(bot).len(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dingtalk_gets_the_same_message_again_and_the_newer_states_in_the_next() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::DingTalk, "dt");
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let server = place.serve().await;
    robots.slow_fault(&bot, FaultKind::CutAfter, 1, 700);
    server.take(&Hook::new("g").firing("n1:9100")).await;
    robots.wait_requests(&bot, 1).await;
    server.take(&Hook::new("g").resolved("n1:9100")).await;
    let shown = robots.wait_shown(&bot, 2).await;
    server.wait_empty().await;
    assert_eq!(robots.requests(&bot).len(), 3);
    assert!(shown[0].text.contains("since "), "{}", shown[0].text);
    assert!(shown[1].title.contains("Resolved"), "{}", shown[1].title);
    assert_eq!(robots.stats(&bot).duplicates, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_fast_is_waited_for_by_each_vendors_penalty() {
    let robots = Robots::start().await;
    let mut cases = Vec::new();
    for (kind, short) in KINDS {
        let (limited, busy) = (format!("{short}-code"), format!("{short}-429"));
        // Ten minutes, a minute, and seconds that double.
        let least = match kind {
            BotKind::DingTalk => 590,
            BotKind::WeCom => 55,
            BotKind::Feishu => 0,
        };
        for (name, fault) in [(limited, FaultKind::RateLimited), (busy, FaultKind::Http429)] {
            let bot = robots.bot(kind, &name);
            robots.fault(&bot, fault, 1);
            cases.push((bot, least));
        }
    }
    let blocked = robots.bot(BotKind::DingTalk, "dt-1111");
    robots.fault(&blocked, FaultKind::Status1111, 1);
    cases.push((blocked, 290));
    let bots: Vec<Bot> = cases.iter().map(|case| case.0.clone()).collect();
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1:9100")).await;
    for (bot, least) in &cases {
        let labels = [("bot", bot.name.as_str()), ("verdict", "rate_limited")];
        server.wait_metric("attempts_total", &labels, 1.0).await;
        if bot.kind == BotKind::Feishu {
            robots.wait_told(bot, "n1").await;
            continue;
        }
        let view = bot_view(&server, bot).await;
        let until: jiff::Timestamp = view["paused_until"].as_str().unwrap().parse().unwrap();
        let left = until.as_second() - jiff::Timestamp::now().as_second();
        assert!(left >= *least, "{}: paused for {left} s", bot.name);
        assert_eq!(robots.requests(bot).len(), 1, "{}", bot.name);
        let queue = server.metrics().await.sum("queue_alerts", &[("bot", &bot.name)]);
        assert_eq!(queue, 1.0, "{}: kept", bot.name);
    }
    // The pause is stored: a restart does not shorten it.
    server.kill().await;
    let server = place.serve().await;
    server.take(&Hook::new("h").firing("n2:9100")).await;
    for (bot, _) in cases.iter().filter(|(bot, _)| bot.kind == BotKind::Feishu) {
        robots.wait_told(bot, "n2").await;
    }
    for (bot, _) in cases.iter().filter(|(bot, _)| bot.kind != BotKind::Feishu) {
        assert_eq!(robots.requests(bot).len(), 1, "{}", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misconfigured_bot_keeps_its_alerts_and_a_reload_delivers_them() {
    let robots = Robots::start().await;
    let bots: Vec<Bot> = KINDS.iter().map(|(kind, name)| robots.bot(*kind, name)).collect();
    // The robots that the wrong addresses name do not exist.
    let wrong: Vec<Bot> =
        bots.iter().map(|bot| bot.clone().with_token(&crate::support::robots::token(bot.kind, "nobody"))).collect();
    let place = Place::new(&config(&wrong, ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1:9100")).await;
    for bot in &bots {
        server.wait_metric("attempts_total", &[("bot", &bot.name), ("verdict", "misconfigured")], 1.0).await;
        server.wait_gauge("bot_up", &[("bot", &bot.name)], 0.0).await;
        let view = bot_view(&server, bot).await;
        assert_eq!((&view["last_verdict"], &view["up"]), (&"misconfigured".into(), &false.into()), "{view}");
        assert!(view["remedy"].as_str().unwrap().contains("again"), "{view}");
    }
    assert!(server.logs().contains("remedy="), "the log says what to do");
    place.write_config(&config(&bots, ""));
    server.reload().await;
    for bot in &bots {
        robots.wait_told(bot, "n1").await;
        server.wait_gauge("bot_up", &[("bot", &bot.name)], 1.0).await;
    }
    server.wait_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_was_mended_is_tried_again_by_a_reload_without_changes() {
    let robots = Robots::start().await;
    let bots: Vec<Bot> = KINDS.iter().map(|(kind, name)| robots.bot(*kind, name)).collect();
    for bot in &bots {
        robots.set(bot, Rules { state: RobotState::Stopped, ..free() });
    }
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1:9100")).await;
    for bot in &bots {
        server.wait_gauge("bot_up", &[("bot", &bot.name)], 0.0).await;
        robots.set(bot, free());
    }
    server.reload().await;
    for bot in &bots {
        robots.wait_told(bot, "n1").await;
    }
}

/// Robots that take nothing longer than a few bytes of their limited field, so that every rich form is refused.
fn tight(kind: BotKind) -> Rules {
    match kind {
        // A plain text message of one alert fits, the markdown one does not.
        BotKind::DingTalk => Rules { max_bytes: Some(520), ..free() },
        BotKind::WeCom => Rules { markdown_max_bytes: Some(10), ..free() },
        BotKind::Feishu => Rules { max_bytes: Some(620), ..free() },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_content_is_told_in_a_plainer_form() {
    let robots = Robots::start().await;
    let bots: Vec<Bot> = KINDS.iter().map(|(kind, name)| robots.bot_with(*kind, name, tight(*kind))).collect();
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1:9100").annotation("description", &"long ".repeat(30))).await;
    server.wait_empty().await;
    let metrics = server.metrics().await;
    for bot in &bots {
        assert!(robots.telling(bot, "DiskFull") == 1, "{}: {:?}", bot.name, robots.all(bot));
        assert!(attempts(&metrics, bot, "rejected") >= 1.0, "{}", bot.name);
        assert_eq!(told(&metrics, bot), 1.0, "{}", bot.name);
        let plain = metrics.sum("messages_total", &[("bot", &bot.name), ("kind", "plain"), ("verdict", "delivered")]);
        assert_eq!(plain, 1.0, "{}", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_alone_becomes_a_dead_letter_that_can_be_replayed() {
    let robots = Robots::start().await;
    let nothing = |kind| match kind {
        BotKind::WeCom => Rules { markdown_max_bytes: Some(1), text_max_bytes: Some(1), ..free() },
        _ => Rules { max_bytes: Some(1), ..free() },
    };
    let bots: Vec<Bot> = KINDS.iter().map(|(kind, name)| robots.bot_with(*kind, name, nothing(*kind))).collect();
    let place = Place::new(&config(&bots, ""));
    let server = place.serve_with(&["--web.enable-admin-api"]).await;
    server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100")).await;
    for bot in &bots {
        server.wait_metric("alert_states_dead_total", &[("bot", &bot.name)], 2.0).await;
    }
    server.wait_empty().await;
    for bot in &bots {
        server.wait_gauge("dead_letters", &[("bot", &bot.name)], 2.0).await;
    }

    // They survive a restart, with what the robot said.
    server.kill().await;
    let server = place.serve_with(&["--web.enable-admin-api"]).await;
    let letters = server.get("/api/v1/dead-letters").await.data();
    let letters = letters["dead_letters"].as_array().unwrap().clone();
    assert_eq!(letters.len(), 6, "{letters:?}");
    for bot in &bots {
        robots.set(bot, free());
    }
    for letter in &letters {
        assert!(letter.to_string().contains("DiskFull"), "{letter}");
        let id = letter["id"].to_string().trim_matches('"').to_owned();
        let instance = letter.to_string().contains("n1:9100");
        let answer = match instance {
            true => server.post(&format!("/api/v1/dead-letters/{id}/replay"), "").await,
            false => server.delete(&format!("/api/v1/dead-letters/{id}")).await,
        };
        assert_eq!(answer.status, 200, "{}", answer.text);
        let again = server.delete(&format!("/api/v1/dead-letters/{id}")).await;
        assert_eq!(again.status, 404, "it is gone: {}", again.text);
    }
    for bot in &bots {
        robots.wait_told(bot, "n1").await;
        server.wait_gauge("dead_letters", &[("bot", &bot.name)], 0.0).await;
    }
    server.wait_empty().await;
    for bot in &bots {
        assert_eq!(robots.telling(bot, "n2"), 0, "{}: it was deleted", bot.name);
        let metrics = server.metrics().await;
        assert_eq!(metrics.sum("alert_states_dead_total", &[("bot", &bot.name)]), 2.0);
        assert_eq!(told(&metrics, bot), 1.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn halves_find_the_one_alert_that_a_robot_refuses() {
    let robots = Robots::start().await;
    // DingTalk refuses a text without the keyword; this robot takes nothing that is longer than one plain alert.
    let bot = robots.bot_with(
        BotKind::WeCom,
        "wc",
        Rules { markdown_max_bytes: Some(1), text_max_bytes: Some(230), ..free() },
    );
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let server = place.serve().await;
    let hook = (0..6).fold(Hook::new("g"), |hook, n| hook.firing(&format!("n{n}:9100")));
    server.take(&hook).await;
    server.wait_empty().await;
    let metrics = server.metrics().await;
    let dead = metrics.sum("alert_states_dead_total", &[]);
    assert_eq!(told(&metrics, &bot) + dead, 6.0);
    assert!(told(&metrics, &bot) > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_is_told_that_something_was_refused() {
    let robots = Robots::start().await;
    let bot =
        robots.bot_with(BotKind::WeCom, "wc", Rules { markdown_max_bytes: Some(1), text_max_bytes: Some(1), ..free() });
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1:9100")).await;
    server.wait_metric("alert_states_dead_total", &[("bot", "wc")], 1.0).await;
    // The notice itself was refused as well; it is not tried for ever.
    let settled = robots.requests(&bot).len();
    robots.set(&bot, free());
    server.take(&Hook::new("h").named("Another").firing("n2:9100")).await;
    robots.wait_told(&bot, "Another").await;
    assert!(robots.requests(&bot).len() <= settled + 2, "{:?}", robots.texts(&bot));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_is_stricter_than_the_config_says_is_obeyed() {
    let robots = Robots::start().await;
    // The config believes in more than the robot takes: a refusal, a wait, and everything is told in the end.
    let bot = robots.bot_with(BotKind::Feishu, "fs", limited(3, 1));
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let server = place.serve().await;
    for n in 0..8 {
        server.take(&Hook::new(&format!("g{n}")).named(&format!("Strict{n}")).firing("n1")).await;
    }
    server.wait_empty().await;
    for n in 0..8 {
        assert_eq!(robots.telling(&bot, &format!("Strict{n}")), 1);
    }
    assert!(robots.stats(&bot).refusals() > 0);
    wait_until("it is up again", || async { server.metrics().await.sum("bot_up", &[("bot", "fs")]) == 1.0 }).await;
}
