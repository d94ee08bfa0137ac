//! What one message costs the processor: choice, rendering, sending, recording; clean-up and commits are in it.
//!
//! `cargo bench --bench dispatch [-- MESSAGES] [bots] [waiting]` lets the server tell alerts one by one (no digests) to
//! robots on loopback without a limit worth the name, with 10 and 10,000 bots, and with 1,000 and 1,000,000 waiting. It
//! prints the server's processor time a message, from the first quarter of the messages to the third. The two of a
//! pair run in turn, three times; the medians are compared.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[path = "support/mod.rs"]
mod support;

use support::robot::Robot;
use support::{Server, backlog};

/// Runs of each.
const ROUNDS: usize = 3;

fn config(robot: SocketAddr, bots: &[Arc<str>]) -> String {
    let mut text =
        "global: {backlog: {alerts: 100000000, bytes: 100GB}, digest: {threshold: 100000000}}\nbots:\n".to_owned();
    for bot in bots {
        text.push_str(&format!(
            "  - {{name: {bot}, type: wecom, url: 'http://{robot}/cgi-bin/webhook/send?key={bot}', \
             rate_limits: [{{messages: 1000000, per: 1m}}]}}\n"
        ));
    }
    text.push_str("default_policy: {notify: {bots: [bot-0]}}\n");
    text
}

struct Cost {
    cpu_us: f64,
    wall_us: f64,
}

/// `messages` of what waits are told.
async fn run(bots: usize, waiting: u64, messages: u64) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<Arc<str>> = (0..bots).map(|at| format!("bot-{at}").into()).collect();
    backlog::fill(folder.path(), &names, waiting / bots as u64).await;
    let robot = Robot::start().await;
    let server = Server::start_on(folder.path(), &config(robot.address, &names)).await;
    robot.until(messages / 4).await;
    let (first, cpu, begin) = (robot.answered(), server.cpu(), Instant::now());
    robot.until(messages * 3 / 4).await;
    let told = (robot.answered() - first) as f64;
    let us = |time: Duration| time.as_secs_f64() * 1e6 / told;
    let cost = Cost { cpu_us: us(server.cpu() - cpu), wall_us: us(begin.elapsed()) };
    server.kill().await;
    cost
}

fn median(costs: &[Cost], of: impl Fn(&Cost) -> f64) -> f64 {
    let mut values: Vec<f64> = costs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn pair(what: &str, small: (usize, u64), large: (usize, u64), messages: u64) {
    let (mut few, mut many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        few.push(run(small.0, small.1, messages.min(small.1)).await);
        many.push(run(large.0, large.1, messages).await);
    }
    for ((bots, waiting), costs) in [(small, &few), (large, &many)] {
        let all: Vec<String> = costs.iter().map(|cost| format!("{:.0}", cost.cpu_us)).collect();
        println!(
            "{what}: {bots:>6} bots, {waiting:>8} waiting: {:>6.0} us of processor a message ({}), {:>6.0} us passed",
            median(costs, |cost| cost.cpu_us),
            all.join(", "),
            median(costs, |cost| cost.wall_us)
        );
    }
    println!("{what}: ratio {:.2}", median(&many, |cost| cost.cpu_us) / median(&few, |cost| cost.cpu_us));
}

#[tokio::main]
async fn main() {
    let messages = support::number(0).unwrap_or(2_000);
    // 10,000 robots are 10,000 connections.
    alarmbell::http::raise_nofile().unwrap();
    if support::wants("bots") {
        let all = (messages * 20).max(20_000);
        pair("bots", (10, all), (10_000, all), all).await;
    }
    if support::wants("waiting") {
        pair("waiting", (1, 1_000.max(messages)), (1, 1_000_000), messages).await;
    }
}
