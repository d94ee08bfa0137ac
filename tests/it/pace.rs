//! The robots' own record: never over a limit in any window, and hardly ever under it.

use std::time::Duration;

use alarmbell::model::BotKind;
use alarmbell::sandbox::{RateLimit, Rules};

use crate::support::{Bot, Hook, Place, Robots, Server, config, wait_within};

/// As the vendors' own, ten times as fast: DingTalk with its penalty, Feishu with two limits.
fn fast(robots: &Robots) -> Vec<(Bot, usize)> {
    let limit = |messages, per_ms| RateLimit { messages, per_ms };
    let rules = |limits: &[RateLimit]| Rules { rate_limits: Some(limits.to_vec()), ..Rules::default() };
    let dt = robots.bot_with(BotKind::DingTalk, "dt", rules(&[limit(12, 6_000)]));
    let wc = robots.bot_with(BotKind::WeCom, "wc", rules(&[limit(12, 6_000)]));
    let fs = robots.bot_with(BotKind::Feishu, "fs", rules(&[limit(4, 1_000), limit(18, 6_000)]));
    vec![
        (dt.limits("{messages: 12, per: 6s}"), 12),
        (wc.limits("{messages: 12, per: 6s}"), 12),
        (fs.limits("{messages: 4, per: 1s}, {messages: 18, per: 6s}"), 18),
    ]
}

async fn demand(server: &Server, groups: std::ops::Range<usize>) {
    for n in groups {
        server.take(&Hook::new(&format!("g{n}")).named(&format!("Demand{n:03}")).firing("n1")).await;
    }
}

/// No digests: what paces a robot is shown under constant demand.
const ONE_BY_ONE: &str = "global: {dedup_window: 2s, language: en, timezone: UTC, digest: {threshold: 10000}}";

/// Waits until so many requests have come, or a refusal: then there is nothing to wait for.
async fn wait_requests(robots: &Robots, bot: &Bot, least: usize, patience: Duration) {
    let what = format!("{} was called {least} times", bot.name);
    let look = || async {
        let stats = robots.stats(bot);
        (robots.requests(bot).len() >= least || stats.refusals() > 0).then_some(())
    };
    wait_within(patience, &what, look).await;
}

/// Nothing was refused, and no window of any limit was over.
fn check(robots: &Robots, bot: &Bot) {
    let stats = robots.stats(bot);
    assert_eq!(stats.refusals(), 0, "{}: {:?}", bot.name, stats.refused);
    for window in stats.windows {
        assert!(window.max <= window.messages as usize, "{}: {window:?}", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constant_demand_uses_the_limits_and_never_exceeds_them() {
    let robots = Robots::start().await;
    let bots = fast(&robots);
    let entries: Vec<Bot> = bots.iter().map(|(bot, _)| bot.clone()).collect();
    let place = Place::new(&config(&entries, ONE_BY_ONE));
    let server = place.serve().await;
    demand(&server, 0..60).await;
    for (bot, limit) in &bots {
        wait_requests(&robots, bot, 2 * limit + 1, Duration::from_secs(40)).await;
        check(&robots, bot);
        let lines = robots.requests(bot);
        let took = Duration::from_micros(lines[2 * limit].mono_us - lines[0].mono_us);
        // At best two windows of 6.06 s.
        assert!(took < Duration::from_secs(12) * 10 / 9, "{}: {took:?}", bot.name);
        // The vendor's window, as the sandbox and as we count it.
        assert!(robots.fullest_window(bot, 6_000) <= *limit, "{}", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_mid_window_forgets_no_attempt() {
    let robots = Robots::start().await;
    let bots = fast(&robots);
    let entries: Vec<Bot> = bots.iter().map(|(bot, _)| bot.clone()).collect();
    let place = Place::new(&config(&entries, ONE_BY_ONE));
    let mut server = place.serve().await;
    demand(&server, 0..40).await;
    for part in 1..=3 {
        for (bot, limit) in &bots {
            wait_requests(&robots, bot, limit * part / 2, Duration::from_secs(30)).await;
        }
        server.kill().await;
        server = place.serve().await;
    }
    for (bot, limit) in &bots {
        wait_requests(&robots, bot, limit * 2, Duration::from_secs(30)).await;
        check(&robots, bot);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_that_share_a_url_share_its_limit() {
    let robots = Robots::start().await;
    let rules = crate::support::robots::limited(6, 3);
    let one = robots.bot_with(BotKind::WeCom, "one", rules).limits("{messages: 6, per: 3s}");
    let mut two = one.clone();
    two.name = "two".to_owned();
    let place = Place::new(&config(&[one.clone(), two], ONE_BY_ONE));
    let server = place.serve().await;
    demand(&server, 0..8).await;
    wait_requests(&robots, &one, 14, Duration::from_secs(30)).await;
    check(&robots, &one);
}

/// The vendors' own limits in real time; the only test that takes more than a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_minute_of_each_vendor() {
    let robots = Robots::start().await;
    let bots: Vec<(Bot, usize)> =
        [(BotKind::DingTalk, "dt", 20), (BotKind::WeCom, "wc", 20), (BotKind::Feishu, "fs", 100)]
            .into_iter()
            .map(|(kind, name, limit)| (robots.bot_with(kind, name, Rules::default()).vendor_limits(), limit))
            .collect();
    let entries: Vec<Bot> = bots.iter().map(|(bot, _)| bot.clone()).collect();
    let place = Place::new(&config(&entries, ONE_BY_ONE));
    let server = place.serve().await;
    demand(&server, 0..110).await;
    for (bot, limit) in &bots {
        wait_requests(&robots, bot, limit + 2, Duration::from_secs(100)).await;
        check(&robots, bot);
        let lines = robots.requests(bot);
        let took = Duration::from_micros(lines[*limit].mono_us - lines[0].mono_us);
        assert!(took < Duration::from_secs(60) * 10 / 9, "{}: {took:?}", bot.name);
        assert!(robots.fullest_window(bot, 60_000) <= *limit, "{}", bot.name);
    }
}
