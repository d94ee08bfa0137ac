//! The whole way, with the real programs: Prometheus evaluates a rule, Alertmanager groups and repeats, alarmbell tells
//! three strict robots, and a browser looks at their chats.
//!
//! Started by `tests/run`, which gets the programs and names them in the environment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]
#![allow(unreachable_pub, reason = "the harness is shared by binaries")]

mod book;
mod browser;
mod monitoring;
mod playground;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../it/support/mod.rs"]
mod support;
mod tab;
mod twins;

use std::time::Duration;

use alarmbell::model::BotKind;
use alarmbell::sandbox::{KeywordMode, Member, Record, Rules};

use monitoring::{Alertmanager, Exporter, Prometheus};
use support::{Bot, Place, Robots, config, wait_within};

const KEYWORDS: [&str; 2] = ["Alarm", "Dispatch"];
const OPEN_ID: &str = "ou_0123456789abcdef0123456789abcdef";
const DINGTALK_SECRET: &str = "SEC0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd";
const FEISHU_SECRET: &str = "abcdefghijklmnopqrstuv";
/// Scrape, rule, group_wait and group_interval together are some seconds; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A program that `tests/run` has named.
fn program(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start these tests with tests/run"))
}

/// Robots as strict as their vendors: signatures, keywords, the vendors' own rate limits, and people in the chat.
fn strict(robots: &Robots) -> Vec<Bot> {
    let members = vec![Member {
        name: "Zhang San".to_owned(),
        mobile: "13800000000".to_owned(),
        user_id: "zhangsan".to_owned(),
        open_id: OPEN_ID.to_owned(),
    }];
    let plain = Rules { members, ..Rules::default() };
    let safe = |secret: &str| Rules {
        secret: secret.to_owned(),
        keywords: KEYWORDS.map(str::to_owned).to_vec(),
        keyword_mode: KeywordMode::All,
        ..plain.clone()
    };
    let mention = "mention: {contacts_from_label: owner, min_severity: critical, interval: 0s}";
    let safe_bot = |kind, name: &str, secret: &str| {
        let bot = robots.bot_with(kind, name, safe(secret));
        bot.with(format!("secret: {secret}")).with("keywords: [Alarm, Dispatch]")
    };
    let bots = [
        safe_bot(BotKind::DingTalk, "ops-dingtalk", DINGTALK_SECRET),
        robots.bot_with(BotKind::WeCom, "ops-wecom", plain.clone()),
        safe_bot(BotKind::Feishu, "ops-feishu", FEISHU_SECRET),
    ];
    bots.into_iter().map(|bot| bot.vendor_limits().with(mention)).collect()
}

/// The product's own dedup window: what has not changed within it is only counted.
const CONTACTS: &str = r#"
global: {language: en, timezone: UTC}
contacts:
  - {name: zhang.san, mobile: "13800000000", dingtalk_user_id: zhangsan, wecom_user_id: zhangsan, feishu_open_id: ou_0123456789abcdef0123456789abcdef}
"#;

/// The message with this number in each chat.
async fn shown(robots: &Robots, bots: &[Bot], number: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for bot in bots {
        let what = format!("message {number} in the chat of {}", bot.name);
        let look = || async { robots.shown(bot).get(number - 1).cloned() };
        records.push(wait_within(PATIENCE, &what, look).await);
    }
    records
}

/// What one step of the story looks like in every chat.
struct Step<'a> {
    title: &'a str,
    has: &'a [&'a str],
    lacks: &'a [&'a str],
    calls: bool,
}

impl Step<'_> {
    #[track_caller]
    fn check(&self, bot: &Bot, record: &Record) {
        let text = format!("{}\n{}", record.title, record.text);
        let name = &bot.name;
        assert!(text.contains(self.title), "{name}: no {:?} in:\n{text}", self.title);
        for part in self.has {
            assert!(text.contains(part), "{name}: no {part:?} in:\n{text}");
        }
        for part in self.lacks {
            assert!(!text.contains(part), "{name}: {part:?} in:\n{text}");
        }
        for keyword in KEYWORDS {
            assert!(text.contains(keyword), "{name}: no keyword {keyword:?} in:\n{text}");
        }
        let called: &[&str] = match (self.calls, bot.kind) {
            (false, _) => &[],
            (true, BotKind::Feishu) => &[OPEN_ID],
            (true, _) => &["zhangsan"],
        };
        assert_eq!(record.mentions.ids, called, "{name}: {text}");
        assert!(!record.mentions.all && record.mentions.ignored.is_empty(), "{name}: {:?}", record.mentions);
        assert!(record.warnings.is_empty(), "{name}: {:?}", record.warnings);
        assert!(record.bytes <= record.limit, "{name}: {} of {}", record.bytes, record.limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_rule_to_three_chats_and_their_page() {
    let robots = Robots::start().await;
    let bots = strict(&robots);
    let place = Place::new(&config(&bots, CONTACTS));
    let server = place.serve_with(&["--log.level=info"]).await;
    let exporter = Exporter::start().await;
    let alertmanager = Alertmanager::start(&program("ALERTMANAGER_BIN"), &server.url("/api/v1/webhook")).await;
    let prometheus =
        Prometheus::start(&program("PROMETHEUS_BIN"), exporter.address, alertmanager.address, server.address).await;

    let story: [(&[&str], Step<'_>); 4] = [
        (
            &["db-01", "db-02"],
            Step {
                title: "Critical",
                has: &["DiskFull", "db-01", "db-02", "2 new"],
                lacks: &["Resolved"],
                calls: true,
            },
        ),
        (
            &["db-01", "db-02", "db-03"],
            Step {
                title: "Critical",
                has: &["DiskFull", "db-03", "1 new, 2 still firing"],
                lacks: &["db-01", "Resolved"],
                calls: true,
            },
        ),
        (
            &["db-02", "db-03"],
            Step {
                title: "Resolved 1, still 2 Critical",
                has: &["DiskFull", "db-01"],
                lacks: &["db-03"],
                calls: false,
            },
        ),
        (
            &[],
            Step {
                title: "Resolved",
                has: &["DiskFull", "db-02", "db-03", "2 resolved", "nothing to do"],
                lacks: &["db-01", "still"],
                calls: false,
            },
        ),
    ];
    for (number, (full, step)) in story.iter().enumerate() {
        exporter.set_full(full);
        for (bot, record) in bots.iter().zip(shown(&robots, &bots, number + 1).await) {
            step.check(bot, &record);
        }
    }

    server.wait_empty().await;
    let metrics = server.metrics().await;
    for bot in &bots {
        let all = robots.all(bot);
        assert_eq!(all.len(), 4, "{}: nothing else came: {:?}", bot.name, robots.texts(bot));
        assert_eq!(robots.stats(bot).refusals(), 0, "{}", bot.name);
        assert_eq!(metrics.sum("alert_states_told_total", &[("bot", &bot.name)]), 6.0, "{}", bot.name);
        assert_eq!(metrics.sum("attempts_total", &[("bot", &bot.name)]), 4.0, "{}", bot.name);
    }
    prometheus.watches_alarmbell().await;
    look_at_the_page(&robots, &bots).await;
    assert_eq!(server.stop().await, 0);
}

/// What a person sees who opens the sandbox's page.
async fn look_at_the_page(robots: &Robots, bots: &[Bot]) {
    let chromium = program("CHROMIUM_BIN");
    let url = format!("http://{}/", robots.address);
    let page = browser::text_of(&chromium, &url).await;
    for part in ["DiskFull", "db-03", "Resolved 1, still 2", "nothing to do", "Zhang San", "on-call"] {
        assert!(page.contains(part), "no {part:?} on the page:\n{page}");
    }
    // Markdown is drawn, not shown.
    for part in ["**", "<font", "<@zhangsan>", "]("] {
        assert!(!page.contains(part), "{part:?} on the page:\n{page}");
    }
    for (width, height) in [(1280, 900), (390, 844)] {
        let picture = browser::screenshot(&chromium, &url, &format!("sandbox-{width}"), width, height).await;
        assert_eq!(picture.width, width);
        assert!(picture.bytes > 20_000, "the picture of {width} x {height} is nearly empty: {} bytes", picture.bytes);
    }
    for bot in bots {
        let url = format!("http://{}/chat/{}/{}", robots.address, bot.kind.as_str(), bot.token);
        let page = browser::text_of(&chromium, &url).await;
        assert!(page.matches("DiskFull").count() >= 4, "{}: {page}", bot.name);
    }
}
