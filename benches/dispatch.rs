//! What one message costs the processor: choice, rendering, sending, recording; clean-up and commits are in it. On SQLite
//! and, where the machine has it, on PostgreSQL, whose own processes are counted apart.
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

#[path = "support/mod.rs"]
mod support;

use support::backlog;
use support::engine::{self, Engine, Place, engines};
use support::robot::Robot;

/// Runs of each.
const ROUNDS: usize = 3;
/// In the environment of the process that tells: folder, robot, number of bots, and the database's URL if it is one.
const TELL: &str = "ALARMBELL_BENCH_TELL";

fn names(bots: usize) -> Vec<Arc<str>> {
    (0..bots).map(|at| format!("bot-{at}").into()).collect()
}

/// Tells what waits until it is killed.
async fn tell(folder: &Path, robot: &str, bots: usize, url: Option<&str>) {
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
    let store = engine::open(folder, url, &registry).await;
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
    // Ends at once for a store of one process.
    dispatcher.own().await;
    std::future::pending::<()>().await;
}

struct Cost {
    cpu_us: f64,
    /// The database's.
    database_us: f64,
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

/// What waits.
#[derive(Clone, Copy)]
struct Backlog {
    bots: usize,
    waiting: u64,
}

impl Backlog {
    async fn fill(self, engine: &Engine) -> Place {
        let place = engine.place().await;
        backlog::fill(place.open().await, &names(self.bots), self.waiting / self.bots as u64).await;
        // As autovacuum has them some minutes later.
        place.run("VACUUM ANALYZE").await;
        place
    }
}

/// `messages` of what waits are told.
async fn run(place: &Place, bots: usize, messages: u64, part: Part) -> Cost {
    let robot = Robot::start().await;
    let (folder, url) = (place.folder().display(), place.url().unwrap_or_default());
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .env(TELL, format!("{folder}|{}|{bots}|{url}", robot.address))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (pid, postmaster) = (child.id().unwrap(), place.postmaster().await);
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
    let of_database = || postmaster.map_or(Duration::ZERO, support::cpu_of_children);
    let (first, cpu, database, begin) = (robot.answered(), support::cpu(pid), of_database(), Instant::now());
    assert!(first < until - messages / 4, "{first} of {messages} were told before");
    robot.until(until).await;
    let told = (robot.answered() - first) as f64;
    let us = |time: Duration| time.as_secs_f64() * 1e6 / told;
    let (cpu_us, wall_us) = (us(support::cpu(pid) - cpu), us(begin.elapsed()));
    let database_us = us(of_database().saturating_sub(database));
    let cost = Cost { cpu_us, database_us, wall_us, own_mb: support::memory(pid).own };
    child.kill().await.unwrap();
    cost
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Pair {
    what: &'static str,
    small: Backlog,
    large: Backlog,
    messages: u64,
    part: Part,
}

/// Prints the medians of the two.
async fn pair(engine: &Engine, pair: &Pair) {
    let Pair { what, small, large, messages, part } = *pair;
    let (mut few, mut many) = (Vec::new(), Vec::new());
    // What is hardly made smaller by a run does for the next one too.
    let mut place = None;
    for _ in 0..ROUNDS {
        few.push(run(&small.fill(engine).await, small.bots, messages.min(small.waiting), part).await);
        let from = match place.take().filter(|_| messages < large.waiting / 100) {
            Some(place) => place,
            None => large.fill(engine).await,
        };
        many.push(run(&from, large.bots, messages, part).await);
        place = Some(from);
    }
    for (Backlog { bots, waiting }, costs) in [(small, &few), (large, &many)] {
        let all: Vec<String> = costs.iter().map(|cost| format!("{:.0}", cost.cpu_us)).collect();
        let database = match engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres(_) => format!(" and {:.0} of the database's", median(costs, |cost| cost.database_us)),
        };
        println!(
            "{what}, {}: {bots:>6} bots, {waiting:>8} waiting: {:>6.0} us of processor a message ({}){database}, \
             {:>6.0} us passed, {:.0} MB",
            engine.name(),
            median(costs, |cost| cost.cpu_us),
            all.join(", "),
            median(costs, |cost| cost.wall_us),
            median(costs, |cost| cost.own_mb)
        );
    }
    let ratio = |of: fn(&Cost) -> f64| median(&many, of) / median(&few, of);
    println!("{what}, {}: ratio {:.2}", engine.name(), ratio(|cost| cost.cpu_us + cost.database_us));
}

#[tokio::main]
async fn main() {
    // As the program does; fails only when it is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // 10,000 robots are 10,000 connections.
    alarmbell::http::raise_nofile().unwrap();
    if let Ok(what) = std::env::var(TELL) {
        let [folder, robot, bots, url] = what.split('|').collect::<Vec<_>>()[..] else { panic!("{TELL}={what}") };
        let url = Some(url).filter(|url| !url.is_empty());
        return tell(Path::new(folder), robot, bots.parse().unwrap(), url).await;
    }
    let messages = support::number(0).unwrap_or(2_000);
    let of = |bots: usize, waiting: u64| Backlog { bots, waiting };
    for engine in engines() {
        // A message on PostgreSQL is some fifteen round trips.
        let all = match engine {
            Engine::Sqlite => (messages * 40).max(80_000),
            Engine::Postgres(_) => (messages * 15).max(30_000),
        };
        let bots =
            Pair { what: "bots", small: of(10, all), large: of(10_000, all), messages: all, part: Part::After(2) };
        let first = Pair {
            what: "first",
            small: of(1_000, 1_000),
            large: of(10_000, 10_000),
            messages: 10_000,
            part: Part::Shares(0.1, 0.95),
        };
        let part = Part::Shares(0.25, 0.75);
        let (small, large) = (of(1, messages.max(1_000)), of(1, 1_000_000));
        let waiting = Pair { what: "waiting", small, large, messages, part };
        for each in [bots, first, waiting].iter().filter(|each| support::wants(each.what)) {
            pair(&engine, each).await;
        }
    }
}
