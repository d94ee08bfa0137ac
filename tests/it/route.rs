//! Who is told: policies, addresses, times, resolves. Nothing is lost by configuration.

use alarmbell::model::BotKind;

use crate::support::{Bot, Hook, Place, Robots, Server, config};

struct Rig {
    robots: Robots,
    a: Bot,
    b: Bot,
    c: Bot,
    place: Place,
    server: Server,
}

async fn rig(rest: &str) -> Rig {
    let robots = Robots::start().await;
    let a = robots.bot(BotKind::DingTalk, "bot-a");
    let b = robots.bot(BotKind::WeCom, "bot-b");
    let c = robots.bot(BotKind::Feishu, "bot-c");
    let place = Place::new(&config(&[a.clone(), b.clone(), c.clone()], rest));
    let server = place.serve().await;
    Rig { robots, a, b, c, place, server }
}

impl Rig {
    /// Sends an alert of this name and waits until nothing waits. Returns who was told of it, as in "ac".
    async fn told(&self, path: &str, name: &str, labels: &[(&str, &str)]) -> String {
        let mut hook = Hook::new(name).named(name).firing("n1");
        for (label, value) in labels {
            hook = hook.label(label, value);
        }
        self.told_of(path, &hook, name).await
    }

    async fn told_of(&self, path: &str, hook: &Hook, part: &str) -> String {
        self.server.take_at(path, hook.body()).await;
        self.server.wait_empty().await;
        let bots = [("a", &self.a), ("b", &self.b), ("c", &self.c)];
        bots.iter().filter(|(_, bot)| self.robots.telling(bot, part) > 0).map(|(letter, _)| *letter).collect()
    }
}

const POLICIES: &str = r#"
contacts:
  - {name: zhang.san, mobile: "13800000000", dingtalk_user_id: zhangsan}
contact_groups:
  - {name: dba, contacts: [zhang.san], bots: [bot-a, bot-c]}
time_intervals:
  - {name: long-ago, time_intervals: [{years: ['2001']}]}
policies:
  - {name: dropped, matchers: ['env="test"'], notify: none}
  - {name: never, matchers: ['team="night"'], notify: {bots: [bot-a]}, active_time_intervals: [long-ago]}
  - {name: all-see, matchers: ['audience="all"'], notify: {bots: [bot-b]}, continue: true}
  - {name: databases, matchers: ['team=~"db|storage|night"'], notify: {contact_groups: [dba]}}
  - {name: utf8, matchers: ['"团队"="网络"'], notify: {bots: [bot-a, bot-a]}}
default_policy: {notify: {bots: [bot-b]}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn policies_decide_alert_by_alert() {
    let rig = rig(POLICIES).await;
    let policies = "/api/v1/webhook";
    assert_eq!(rig.told(policies, "Default", &[]).await, "b");
    assert_eq!(rig.told(policies, "Databases", &[("team", "storage")]).await, "ac", "a group's bots");
    assert_eq!(rig.told(policies, "Night", &[("team", "night")]).await, "ac", "outside its times the next is tried");
    assert_eq!(rig.told(policies, "Continued", &[("audience", "all"), ("team", "db")]).await, "abc");
    assert_eq!(rig.told(policies, "ContinuedToDefault", &[("audience", "all")]).await, "b");
    assert_eq!(rig.told(policies, "Network", &[("团队", "网络")]).await, "a");
    assert_eq!(rig.told(policies, "Dropped", &[("env", "test"), ("team", "db")]).await, "");
    let metrics = rig.server.metrics().await;
    assert_eq!(metrics.sum("alerts_dropped_total", &[("policy", "dropped")]), 1.0);
    // One body, three ways.
    let mixed = Hook::new("mixed")
        .named("Mixed")
        .firing("m1")
        .label("team", "db")
        .firing("m2")
        .firing("m3")
        .label("env", "test");
    rig.told_of(policies, &mixed, "Mixed").await;
    let told = |bot: &Bot, part: &str| rig.robots.telling(bot, part);
    assert_eq!((told(&rig.a, "m1"), told(&rig.a, "m2"), told(&rig.a, "m3")), (1, 0, 0));
    assert_eq!((told(&rig.b, "m1"), told(&rig.b, "m2"), told(&rig.b, "m3")), (0, 1, 0));
    // A bot that is reached twice is told once.
    assert_eq!(told(&rig.a, "Network"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_names_a_bot_or_a_contact_group() {
    let rig = rig(POLICIES).await;
    assert_eq!(rig.told("/api/v1/webhook/bot-c", "OneBot", &[("env", "test")]).await, "c", "no policy is asked");
    assert_eq!(rig.told("/api/v1/webhook/dba", "OneGroup", &[]).await, "ac");
    assert_eq!(rig.told("/dingtalk/bot-b/send", "DropIn", &[]).await, "b");
    let shown = rig.robots.shown(&rig.a);
    let called: Vec<_> = shown.iter().filter(|record| record.title.contains("OneGroup")).collect();
    assert_eq!(called[0].mentions.ids, ["zhangsan"], "the group's people are called");
    // A name that does not exist, marked as such.
    assert_eq!(rig.told("/api/v1/webhook/no-such", "Stray", &[]).await, "b");
    let metrics = rig.server.metrics().await;
    assert_eq!(metrics.sum("webhook_unknown_receivers_total", &[]), 1.0);
    assert_eq!(metrics.sum("webhooks_total", &[("receiver", "unknown"), ("code", "200")]), 1.0);
    assert!(rig.server.logs().contains("no-such"), "it is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_default_policy_nothing_is_lost_in_silence() {
    let rig =
        rig("default_policy:\npolicies:\n  - {name: p, matchers: ['team=\"db\"'], notify: {bots: [bot-a]}}\n").await;
    let both = Hook::new("g").named("Both").firing("n1").label("team", "db").firing("n2");
    let answer = rig.server.post("/api/v1/webhook", both.body()).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    assert_eq!(answer.error().1, "alerts[1]");
    assert_eq!(rig.server.post("/api/v1/webhook/no-such", both.body()).await.status, 404);
    assert_eq!(rig.server.metrics().await.sum("alert_states_accepted_total", &[]), 0.0, "nothing of it was kept");
    assert_eq!(rig.told("/api/v1/webhook", "Fits", &[("team", "db")]).await, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn group_by_splits_a_body() {
    let policies = "
policies:
  - {name: split, matchers: ['team=\"split\"'], notify: {bots: [bot-a]}, group_by: [zone]}
  - {name: alone, matchers: ['team=\"alone\"'], notify: {bots: [bot-b]}, group_by: ['...']}
default_policy: {notify: {bots: [bot-c]}}
";
    let rig = rig(policies).await;
    for team in ["split", "alone", "whole"] {
        let hook = ["n1", "n2", "n3"].iter().zip(["east", "east", "west"]).fold(Hook::new(team), |hook, (n, zone)| {
            hook.firing(&format!("{team}-{n}")).label("team", team).label("zone", zone)
        });
        rig.server.take(&hook).await;
    }
    rig.server.wait_empty().await;
    assert_eq!(rig.robots.shown(&rig.a).len(), 2, "one for each zone");
    assert_eq!(rig.robots.shown(&rig.b).len(), 3, "one for each alert");
    assert_eq!(rig.robots.shown(&rig.c).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_wants_no_resolves_gets_none() {
    let robots = Robots::start().await;
    let quiet = robots.bot(BotKind::DingTalk, "quiet").with("send_resolved: false");
    let loud = robots.bot(BotKind::DingTalk, "loud");
    let place = Place::new(&config(&[quiet.clone(), loud.clone()], ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1")).await;
    server.wait_empty().await;
    server.take(&Hook::new("g").resolved("n1")).await;
    robots.wait_shown(&loud, 2).await;
    server.wait_empty().await;
    assert_eq!(robots.shown(&quiet).len(), 1);
    // It fires again: that is news for both.
    server.take(&Hook::new("g").firing("n1").later(55)).await;
    robots.wait_shown(&loud, 3).await;
    robots.wait_shown(&quiet, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolve_goes_to_whom_was_told_the_firing_whatever_the_policies_say_now() {
    let rig = rig("default_policy: {notify: {bots: [bot-a]}}").await;
    assert_eq!(rig.told("/api/v1/webhook", "Moved", &[]).await, "a");
    let bots = [rig.a.clone(), rig.b.clone(), rig.c.clone()];
    rig.place.write_config(&config(&bots, "default_policy: {notify: {bots: [bot-b]}}"));
    rig.server.reload().await;
    rig.server.take(&Hook::new("Moved").named("Moved").resolved("n1")).await;
    rig.server.wait_empty().await;
    let ends = |bot: &Bot| rig.robots.texts(bot).iter().filter(|text| text.contains("Resolved")).count();
    assert_eq!((ends(&rig.a), ends(&rig.b), ends(&rig.c)), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn mentions_call_whom_the_vendor_knows() {
    let robots = Robots::start().await;
    let rule = "mention: {contacts_from_label: owner, min_severity: critical, interval: 5m}";
    let dt = robots.bot(BotKind::DingTalk, "dt").with(rule);
    let wc = robots.bot(BotKind::WeCom, "wc").with(rule);
    let fs = robots.bot(BotKind::Feishu, "fs").with(rule);
    let contacts = r#"
contacts:
  - {name: zhang.san, mobile: "13800000000", dingtalk_user_id: zhangsan, wecom_user_id: ZhangSan, feishu_open_id: ou_0123456789abcdef0123456789abcdef}
"#;
    let place = Place::new(&config(&[dt.clone(), wc.clone(), fs.clone()], contacts));
    let server = place.serve().await;
    let hook =
        |group: &str, instance: &str, owner: &str| Hook::new(group).named(group).firing(instance).label("owner", owner);
    server.take(&hook("Low", "n1", "zhang.san")).await;
    server.take(&hook("Stranger", "crit1", "wang.wu")).await;
    server.take(&hook("High", "crit2", "zhang.san")).await;
    server.take(&hook("Again", "crit3", "zhang.san")).await;
    server.wait_empty().await;
    for (bot, id) in [(&dt, "zhangsan"), (&wc, "ZhangSan"), (&fs, "ou_0123456789abcdef0123456789abcdef")] {
        assert_eq!(robots.stats(bot).refusals(), 0, "{}", bot.name);
        let shown = robots.shown(bot);
        let calls: Vec<&Vec<String>> =
            shown.iter().map(|record| &record.mentions.ids).filter(|ids| !ids.is_empty()).collect();
        assert_eq!(
            calls,
            [&vec![id.to_owned()]],
            "{}: once within the interval, for criticals, by contacts only",
            bot.name
        );
        assert!(shown.iter().all(|record| !record.mentions.all), "{}", bot.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_keywords_are_right() {
    let robots = Robots::start().await;
    let words = vec!["Alarm".to_owned(), "Dispatch".to_owned(), "夜班".to_owned()];
    let rules = |secret: &str| alarmbell::sandbox::Rules {
        secret: secret.to_owned(),
        keywords: words.clone(),
        keyword_mode: alarmbell::sandbox::KeywordMode::All,
        ..crate::support::robots::free()
    };
    let with = |bot: Bot, secret: &str| bot.with(format!("secret: {secret}")).with("keywords: [Alarm, Dispatch, 夜班]");
    let secrets = ["SEC0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd", "abcdefghijklmnopqrstuv"];
    let dt = with(robots.bot_with(BotKind::DingTalk, "dt", rules(secrets[0])), secrets[0]);
    let fs = with(robots.bot_with(BotKind::Feishu, "fs", rules(secrets[1])), secrets[1]);
    let place = Place::new(&config(&[dt.clone(), fs.clone()], ""));
    let server = place.serve().await;
    server.take(&Hook::new("g").firing("n1").annotation("summary", &"很长的说明 ".repeat(3_000))).await;
    server.wait_empty().await;
    server.take(&Hook::new("g").resolved("n1")).await;
    for bot in [&dt, &fs] {
        robots.wait_shown(bot, 2).await;
        assert_eq!(robots.stats(bot).refusals(), 0, "{}: {:?}", bot.name, robots.all(bot));
    }
    server.wait_empty().await;
}
