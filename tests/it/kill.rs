//! kill -9 between accept, attempt and verdict: everything is told, at most one message twice per kill and robot.

use alarmbell::model::BotKind;
use alarmbell::sandbox::FaultKind;

use crate::support::{Bot, Hook, Place, Robots, config};

const KINDS: [(BotKind, &str); 3] = [(BotKind::DingTalk, "dt"), (BotKind::WeCom, "wc"), (BotKind::Feishu, "fs")];

/// Lets each robot answer its first request with this fault, kills the server while it waits for the answer, and starts
/// it again. Returns how often each chat was told, after everything was.
async fn killed_in_flight(fault: FaultKind) -> Vec<(Bot, usize)> {
    let robots = Robots::start().await;
    let bots: Vec<Bot> = KINDS.iter().map(|(kind, name)| robots.bot(*kind, name)).collect();
    let place = Place::new(&config(&bots, ""));
    let server = place.serve().await;
    for bot in &bots {
        robots.slow_fault(bot, fault, 1, 20_000);
    }
    server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100")).await;
    for bot in &bots {
        robots.wait_requests(bot, 1).await;
    }
    // Another group comes while the first is in flight.
    server.take(&Hook::new("h").named("OtherGroup").firing("n3:9100")).await;
    server.kill().await;

    let server = place.serve().await;
    server.wait_empty().await;
    let told = |bot: &Bot, part: &str| robots.telling(bot, part);
    for bot in &bots {
        assert!(told(bot, "n1") >= 1 && told(bot, "n2") >= 1, "{}: {:?}", bot.name, robots.texts(bot));
        assert_eq!(told(bot, "OtherGroup"), 1, "{}: only what was in flight can be told twice", bot.name);
        let metrics = server.metrics().await;
        assert_eq!(metrics.sum("alert_states_told_total", &[("bot", &bot.name)]), 3.0, "{}", bot.name);
    }
    bots.into_iter().map(|bot| (bot.clone(), told(&bot, "n1"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_robot_showed_it() {
    for (bot, times) in killed_in_flight(FaultKind::Latency).await {
        match bot.kind {
            // It knows the message again by its msgUuid.
            BotKind::DingTalk => assert_eq!(times, 1, "dt"),
            _ => assert_eq!(times, 2, "{}: once before the kill and once after", bot.name),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_robot_showed_it() {
    for (bot, times) in killed_in_flight(FaultKind::TimeoutBefore).await {
        assert_eq!(times, 1, "{}", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_again_and_again() {
    const KILLS: usize = 6;
    let robots = Robots::start().await;
    let bots: Vec<Bot> = KINDS.iter().map(|(kind, name)| robots.bot(*kind, name)).collect();
    let place = Place::new(&config(&bots, ""));
    let mut names = Vec::new();
    for round in 0..KILLS {
        let server = place.serve().await;
        for n in 0..4 {
            let name = format!("Round{round}n{n}");
            server.take(&Hook::new(&name).named(&name).firing("n1")).await;
            names.push(name);
        }
        // From "nothing was sent" to "the outcome of the last is being written".
        for bot in &bots {
            robots.wait_requests(bot, round * 4 + round.min(4)).await;
        }
        server.kill().await;
    }
    let server = place.serve().await;
    server.wait_empty().await;
    for bot in &bots {
        for name in &names {
            assert!(robots.telling(bot, name) >= 1, "{name} was lost for {}", bot.name);
        }
        let twice = robots.shown(bot).len() - names.len();
        let most = if bot.kind == BotKind::DingTalk { 0 } else { KILLS };
        assert!(twice <= most, "{}: {twice} messages too many after {KILLS} kills", bot.name);
        let metrics = server.metrics().await;
        assert_eq!(metrics.sum("alert_states_told_total", &[("bot", &bot.name)]), names.len() as f64);
    }
}
