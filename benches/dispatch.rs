//! What one message costs the processor: choice, rendering, sending, recording; clean-up and commits are in it.
//!
//! `cargo bench --bench dispatch [-- MESSAGES] [bots] [first] [waiting]` lets a dispatcher and its store tell alerts one by
//! one (no digests) to robots on loopback without a limit worth the name. They are a process of their own; the report is
//! its processor time a message, and its memory at the end. The two of a pair run in turn, three times; the medians are
//! compared.
//!
//! - `bots`: 10 and 10,000 bots, once each has told two messages: so without connections, and without what is read of a
//!   robot before its first message.
//! - `first`: the first message of each of 1,000 and 10,000 bots, with their connections and most of their workers' starts.
//! - `waiting`: one bot, with 1,000 and 1,000,000 waiting.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alarmbell::app::build;
use alarmbell::clock::SystemClock;
use alarmbell::dispatch::{DispatchMetrics, Dispatcher, Parts, RateLimit};
use alarmbell::store::Store;
use alarmbell::store::StoreMetrics;
use alarmbell::store::sqlite::{Options, SqliteStore};

#[path = "support/mod.rs"]
mod support;

use support::backlog;
use support::robot::Robot;

/// Runs of each.
const ROUNDS: usize = 3;
/// In the environment of the process that tells: folder, robot and number of bots.
const TELL: &str = "ALARMBELL_BENCH_TELL";

fn names(bots: usize) -> Vec<Arc<str>> {
    (0..bots).map(|at| format!("bot-{at}").into()).collect()
}

/// Tells what waits until it is killed.
async fn tell(folder: &Path, robot: &str, bots: usize) {
    let mut text = "global: {http_config: {proxy_from_environment: false}}\nbots:\n".to_owned();
    for bot in names(bots) {
        text.push_str(&format!(
            "  - {{name: {bot}, type: wecom, url: 'http://{robot}/cgi-bin/webhook/send?key={bot}'}}\n"
        ));
    }
    text.push_str("default_policy: {notify: {bots: [bot-0]}}\n");
    let config = alarmbell::config::parse_str("bench", &text, folder).unwrap().config;
    let mut settings = build::dispatch_settings(&config, "");
    settings.storms.threshold = usize::MAX;
    for bot in settings.bots.values_mut() {
        let bot = Arc::make_mut(bot);
        bot.rate_limits = vec![RateLimit { messages: 10_000_000, per: Duration::from_secs(60) }];
        for robot in &mut bot.robots {
            robot.rate_limits.clone_from(&bot.rate_limits);
        }
    }
    let registry = prometheus::Registry::new();
    let options = Options::new(folder.join("data"));
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&options, StoreMetrics::register(&registry).unwrap()).unwrap());
    let random = Arc::new(|bytes: &mut [u8]| bytes.fill_with(|| fastrand::u8(..)));
    let retention = Duration::from_secs(86_400);
    let parts = Parts {
        store: Arc::clone(&store),
        clock: SystemClock::new(),
        random,
        fraction: Arc::new(fastrand::f64),
        settings,
        retention,
    };
    let dispatcher = Dispatcher::new(parts, DispatchMetrics::register(&registry).unwrap(), &registry).unwrap();
    store.replay(dispatcher.feed()).await.unwrap();
    dispatcher.start().await.unwrap();
    std::future::pending::<()>().await;
}

struct Cost {
    cpu_us: f64,
    wall_us: f64,
    own_mb: f64,
}

/// Which of the messages are measured.
#[derive(Clone, Copy)]
enum Part {
    /// Between these shares of them.
    Shares(f64, f64),
    /// From when every bot has told so many.
    After(u64),
}

/// `messages` of what waits are told.
async fn run(bots: usize, waiting: u64, messages: u64, part: Part) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    backlog::fill(folder.path(), &names(bots), waiting / bots as u64).await;
    let robot = Robot::start().await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .env(TELL, format!("{}|{}|{bots}", folder.path().display(), robot.address))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let share = |share: f64| (messages as f64 * share) as u64;
    let until = match part {
        Part::Shares(from, until) => {
            robot.until(share(from)).await;
            share(until)
        }
        Part::After(each) => {
            robot.until_bots(bots, each).await;
            share(0.95)
        }
    };
    let (first, cpu, begin) = (robot.answered(), support::cpu(pid), Instant::now());
    assert!(first < until - messages / 4, "{first} of {messages} were told before");
    robot.until(until).await;
    let told = (robot.answered() - first) as f64;
    let us = |time: Duration| time.as_secs_f64() * 1e6 / told;
    let (cpu_us, wall_us) = (us(support::cpu(pid) - cpu), us(begin.elapsed()));
    let cost = Cost { cpu_us, wall_us, own_mb: support::memory(pid).own };
    child.kill().await.unwrap();
    cost
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn pair(what: &str, small: (usize, u64), large: (usize, u64), messages: u64, part: Part) {
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        few.push(run(small.0, small.1, messages.min(small.1), part).await);
        many.push(run(large.0, large.1, messages, part).await);
    }
    for ((bots, waiting), costs) in [(small, &few), (large, &many)] {
        let all: Vec<String> = costs.iter().map(|cost| format!("{:.0}", cost.cpu_us)).collect();
        println!(
            "{what}: {bots:>6} bots, {waiting:>8} waiting: {:>6.0} us of processor a message ({}), {:>6.0} us passed, \
             {:.0} MB",
            median(costs, |cost| cost.cpu_us),
            all.join(", "),
            median(costs, |cost| cost.wall_us),
            median(costs, |cost| cost.own_mb)
        );
    }
    println!("{what}: ratio {:.2}", median(&many, |cost| cost.cpu_us) / median(&few, |cost| cost.cpu_us));
}

#[tokio::main]
async fn main() {
    // As the program does; fails only when it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // 10,000 robots are 10,000 connections.
    alarmbell::http::raise_nofile().unwrap();
    if let Ok(what) = std::env::var(TELL) {
        let [folder, robot, bots] = what.split('|').collect::<Vec<_>>()[..] else { panic!("{TELL}={what}") };
        return tell(Path::new(folder), robot, bots.parse().unwrap()).await;
    }
    let messages = support::number(0).unwrap_or(2_000);
    if support::wants("bots") {
        let all = (messages * 40).max(80_000);
        pair("bots", (10, all), (10_000, all), all, Part::After(2)).await;
    }
    if support::wants("first") {
        pair("first", (1_000, 1_000), (10_000, 10_000), 10_000, Part::Shares(0.1, 0.95)).await;
    }
    if support::wants("waiting") {
        pair("waiting", (1, 1_000.max(messages)), (1, 1_000_000), messages, Part::Shares(0.25, 0.75)).await;
    }
}
