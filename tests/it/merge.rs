//! States, not messages: what a chat is told of a group through its life.

use alarmbell::model::BotKind;
use alarmbell::sandbox::FaultKind;

use crate::support::{Bot, Hook, Place, Robots, Server, config, payload};

struct Rig {
    robots: Robots,
    bots: Vec<Bot>,
    server: Server,
    _place: Place,
}

impl Rig {
    async fn new() -> Self {
        Self::with("").await
    }

    async fn with(rest: &str) -> Self {
        let robots = Robots::start().await;
        let bots = vec![
            robots.bot(BotKind::DingTalk, "dt"),
            robots.bot(BotKind::WeCom, "wc"),
            robots.bot(BotKind::Feishu, "fs"),
        ];
        let place = Place::new(&config(&bots, rest));
        let server = place.serve().await;
        Self { robots, bots, server, _place: place }
    }

    /// Waits until every chat shows so many messages, and returns the last of each.
    async fn last(&self, number: usize) -> Vec<String> {
        let mut last = Vec::new();
        for bot in &self.bots {
            let shown = self.robots.wait_shown(bot, number).await;
            assert_eq!(shown.len(), number, "{}: {:?}", bot.name, self.robots.texts(bot));
            last.push(self.robots.texts(bot).pop().unwrap());
        }
        self.server.wait_empty().await;
        last
    }

    /// Nobody refused anything, and nothing waits.
    async fn clean(&self) {
        for bot in &self.bots {
            assert_eq!(self.robots.stats(bot).refusals(), 0, "{}", bot.name);
        }
        self.server.wait_empty().await;
    }
}

#[track_caller]
fn all_hold(texts: &[String], parts: &[&str]) {
    for text in texts {
        for part in parts {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_through_its_life() {
    let rig = Rig::new().await;
    rig.server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100")).await;
    all_hold(&rig.last(1).await, &["Warning", "DiskFull", "n1", "n2", "2 new"]);

    // Alertmanager sends the whole group each time: what has not changed is only counted.
    rig.server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100").firing("n3:9100")).await;
    let joined = rig.last(2).await;
    all_hold(&joined, &["n3", "1 new, 2 still firing"]);
    assert!(joined.iter().all(|text| !text.contains("n1")), "told already: {joined:?}");

    rig.server.take(&Hook::new("g").resolved("n1:9100").firing("n2:9100").firing("n3:9100")).await;
    all_hold(&rig.last(3).await, &["Resolved 1, still 2 Warning", "n1"]);

    rig.server.take(&Hook::new("g").resolved("n2:9100").resolved("n3:9100")).await;
    let end = rig.last(4).await;
    all_hold(&end, &["Resolved", "n2", "n3", "2 resolved", "nothing to do"]);
    assert!(end.iter().all(|text| !text.contains("still")), "{end:?}");
    rig.clean().await;
    for bot in &rig.bots {
        let told = rig.server.metrics().await.sum("alert_states_told_total", &[("bot", &bot.name)]);
        assert_eq!(told, 6.0, "{}: three fired, three ended", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_is_counted_beside_what_has_also_after_the_window() {
    // Alertmanager's group_interval is longer than any window: every later body of a group comes after it.
    let rig = Rig::with("global: {dedup_window: 0s, language: en, timezone: UTC}").await;
    rig.server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100")).await;
    rig.last(1).await;
    rig.server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100").firing("n3:9100")).await;
    let joined = rig.last(2).await;
    all_hold(&joined, &["n3", "1 new, 2 still firing"]);
    assert!(joined.iter().all(|text| !text.contains("n1") && !text.contains("n2")), "{joined:?}");
    rig.server.take(&Hook::new("g").resolved("n1:9100").firing("n2:9100").firing("n3:9100")).await;
    let partly = rig.last(3).await;
    all_hold(&partly, &["Resolved 1, still 2 Warning", "n1"]);
    assert!(partly.iter().all(|text| !text.contains("n2") && !text.contains("n3")), "{partly:?}");
    // Alone they are a reminder, and named.
    rig.server.take(&Hook::new("g").firing("n2:9100").firing("n3:9100")).await;
    all_hold(&rig.last(4).await, &["Still firing Warning", "n2", "n3"]);
    let metrics = rig.server.metrics().await;
    for bot in &rig.bots {
        let told = |how: &str| metrics.sum("alert_states_told_total", &[("bot", &bot.name), ("how", how)]);
        assert_eq!((told("named"), told("counted")), (6.0, 4.0), "{}", bot.name);
    }
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_pairs_are_told_once() {
    let rig = Rig::with("global: {dedup_window: 30s, language: en, timezone: UTC}").await;
    // Two Alertmanagers of one cluster, then the same one again after its repeat_interval within the window.
    let mut told = 0;
    for pair in [["ha_duplicate_from_position_0", "ha_duplicate_from_position_1"], ["one_firing", "one_firing_repeat"]]
    {
        for name in pair {
            rig.server.take_at("/api/v1/webhook", payload(name)).await;
        }
        told += 1;
        rig.last(told).await;
    }
    let metrics = rig.server.metrics().await;
    for bot in &rig.bots {
        assert_eq!(rig.robots.shown(bot).len(), 2);
        let superseded = metrics.sum("alert_states_superseded_total", &[("bot", &bot.name)]);
        assert_eq!(superseded, metrics.sum("alert_states_told_total", &[("bot", &bot.name)]), "{}", bot.name);
    }
    assert!(metrics.sum("webhook_duplicates_total", &[]) > 0.0);
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_group_through_its_life() {
    let rig = Rig::new().await;
    for (number, (name, part)) in [
        ("group3_firing", "3 new"),
        ("group3_one_resolved", "Resolved 1, still 2"),
        ("group3_all_resolved", "2 resolved"),
    ]
    .into_iter()
    .enumerate()
    {
        rig.server.take_at("/api/v1/webhook", payload(name)).await;
        all_hold(&rig.last(number + 1).await, &[part, "DiskFull"]);
    }
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_group_is_a_reminder_after_the_window_and_a_duplicate_within() {
    let rig = Rig::with("global: {dedup_window: 1s, language: en, timezone: UTC}").await;
    let hook = Hook::new("g").firing("n1:9100");
    rig.server.take(&hook).await;
    rig.last(1).await;
    // Sent until the window is over: until then nothing is told, and then once.
    let mut sent = 0;
    let reminded = || rig.bots.iter().all(|bot| rig.robots.shown(bot).len() >= 2);
    crate::support::wait_until("a reminder", || {
        sent += 1;
        async {
            rig.server.take(&hook).await;
            reminded()
        }
    })
    .await;
    all_hold(&rig.last(2).await, &["Still firing Warning", "DiskFull"]);
    assert!(sent > 2);
    assert!(rig.server.metrics().await.sum("alert_states_superseded_total", &[]) > 0.0);
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_a_robot_is_busy_leaves_as_one_message() {
    let rig = Rig::new().await;
    for bot in &rig.bots {
        rig.robots.slow_fault(bot, FaultKind::Latency, 1, 1_500);
    }
    rig.server.take(&Hook::new("first").named("Blocker").firing("n0:9100")).await;
    for bot in &rig.bots {
        rig.robots.wait_requests(bot, 1).await;
    }
    rig.server.take(&Hook::new("g").firing("n1:9100").firing("n2:9100")).await;
    rig.server.take(&Hook::new("g").firing("n1:9100").resolved("n2:9100")).await;
    rig.server.take(&Hook::new("g").firing("n1:9100").firing("n3:9100")).await;
    for text in rig.last(2).await {
        assert!(text.contains("n1") && text.contains("n2") && text.contains("n3"), "{text}");
        assert!(text.contains("Resolved 1, still 2 (2 new)"), "{text}");
        assert!(text.contains("fired "), "it fired and ended while it waited: {text}");
    }
    let metrics = rig.server.metrics().await;
    for bot in &rig.bots {
        assert_eq!(metrics.sum("alert_states_told_total", &[("bot", &bot.name)]), 4.0, "{}", bot.name);
        assert_eq!(metrics.sum("alert_states_superseded_total", &[("bot", &bot.name)]), 3.0, "{}", bot.name);
    }
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alertmanager_left_out_is_never_all_resolved() {
    let rig = Rig::new().await;
    rig.server.take_at("/api/v1/webhook", payload("max_alerts_1_resolved_hides_firing")).await;
    all_hold(&rig.last(1).await, &["Resolved 1, +1 not sent"]);
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_alerts_are_one_message_and_all_are_told() {
    let rig = Rig::new().await;
    rig.server.take_at("/api/v1/webhook", payload("fifty_firing")).await;
    all_hold(&rig.last(1).await, &["50 new"]);
    let metrics = rig.server.metrics().await;
    for bot in &rig.bots {
        assert_eq!(metrics.sum("alert_states_told_total", &[("bot", &bot.name)]), 50.0);
    }
    rig.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_with_equal_group_keys_are_different_groups() {
    let rig = Rig::new().await;
    let hook = |n: &str| Hook::new("g").firing(n).label("cluster", n).body();
    rig.server.take_at("/api/v1/webhook?source=east", hook("east1")).await;
    rig.last(1).await;
    rig.server.take_at("/api/v1/webhook?source=west", hook("west1")).await;
    let west = rig.last(2).await;
    assert!(west.iter().all(|text| !text.contains("still firing")), "{west:?}");
    rig.clean().await;
}
