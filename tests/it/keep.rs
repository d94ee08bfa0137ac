//! What was answered 200 is told, whatever happens to the process; and the counters prove it at every scrape.

use alarmbell::model::BotKind;
use alarmbell::sandbox::FaultKind;
use tokio::task::JoinSet;

use crate::support::{Bot, Hook, Place, Robots, Server, config, wait_until};

fn three(robots: &Robots) -> Vec<Bot> {
    vec![robots.bot(BotKind::DingTalk, "dt"), robots.bot(BotKind::WeCom, "wc"), robots.bot(BotKind::Feishu, "fs")]
}

/// Scrapes without a pause until `work` is done. Every scrape holds the equation, and no counter ever goes back.
async fn scraped<T>(server: &Server, work: impl Future<Output = T>) -> T {
    let scrape = async {
        let mut last = 0;
        loop {
            let accepted = server.metrics().await.check_equation();
            assert!(accepted >= last, "accepted went from {last} to {accepted}");
            last = accepted;
        }
    };
    tokio::select! {
        () = scrape => unreachable!("it scrapes until the work is done"),
        done = work => done,
    }
}

async fn send_all(server: &Server, hooks: Vec<Hook>) {
    let mut sending = JoinSet::new();
    for hook in hooks {
        let url = server.url("/api/v1/webhook");
        sending.spawn(async move {
            let request = crate::support::web::CLIENT.post(url).body(hook.body());
            assert_eq!(request.send().await.unwrap().status(), 200);
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_200_is_told_after_a_kill() {
    let robots = Robots::start().await;
    let bots = three(&robots);
    let place = Place::new(&config(&bots, ""));
    let names: Vec<String> = (0..40).map(|n| format!("Kept{n:03}")).collect();
    let hooks = |names: &[String]| names.iter().map(|name| Hook::new(name).named(name).firing("n1")).collect();

    let server = place.serve().await;
    send_all(&server, hooks(&names)).await;
    server.kill().await;

    let server = place.serve().await;
    scraped(&server, server.wait_empty()).await;
    for bot in &bots {
        for name in &names {
            let told = robots.telling(bot, name);
            assert!(told >= 1, "{name} was lost for {}", bot.name);
        }
        let shown = robots.shown(bot).len();
        // One message may have been in flight at the kill; DingTalk knows it again.
        let most = names.len() + usize::from(bot.kind != BotKind::DingTalk);
        assert!(shown <= most, "{} shows {shown} messages", bot.name);
        let accepted = server.metrics().await.sum("alert_states_accepted_total", &[("bot", &bot.name)]);
        assert_eq!(accepted, 40.0, "the counters survive the kill");
    }
}

/// Firing, repeats and resolves of a few alerts, in the order in which Alertmanager would send them.
fn life(worker: usize) -> Vec<Hook> {
    let group = format!("g{worker}");
    let alert = |n: usize| format!("w{worker}n{n}:9100");
    let mut hooks = Vec::new();
    for round in 0..6 {
        let all = (0..4).fold(Hook::new(&group), |hook, n| hook.firing(&alert(n)).later(round * 60));
        hooks.push(all.clone());
        hooks.push(all);
        let ended = Hook::new(&group).resolved(&alert(0)).later(round * 60).firing(&alert(1)).later(round * 60);
        hooks.push(ended);
    }
    hooks.push((0..4).fold(Hook::new(&group), |hook, n| hook.resolved(&alert(n)).later(300)));
    hooks
}

async fn live(server: &Server, hooks: &[Vec<Hook>]) {
    let mut sending = JoinSet::new();
    for hooks in hooks {
        let (url, hooks) = (server.url("/api/v1/webhook"), hooks.clone());
        sending.spawn(async move {
            for hook in hooks {
                let sent = crate::support::web::CLIENT.post(&url).body(hook.body()).send().await.unwrap();
                assert_eq!(sent.status(), 200);
            }
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_equation_holds_at_every_scrape_through_load_faults_and_a_restart() {
    let robots = Robots::start().await;
    let bots = three(&robots);
    let place = Place::new(&config(&bots, ""));
    for bot in &bots {
        for fault in [FaultKind::Http500, FaultKind::CutAfter, FaultKind::Busy, FaultKind::CutBefore] {
            robots.fault(bot, fault, 1);
        }
    }
    let lives: Vec<Vec<Hook>> = (0..8).map(life).collect();
    let half = |hooks: &Vec<Hook>| hooks[..10].to_vec();
    let rest = |hooks: &Vec<Hook>| hooks[10..].to_vec();

    let server = place.serve().await;
    scraped(&server, live(&server, &lives.iter().map(half).collect::<Vec<_>>())).await;
    let before = server.metrics().await;
    server.kill().await;

    let server = place.serve().await;
    let after = server.metrics().await;
    for bot in &bots {
        let accepted = |m: &crate::support::Metrics| m.sum("alert_states_accepted_total", &[("bot", &bot.name)]);
        assert_eq!(accepted(&before), accepted(&after), "{}", bot.name);
    }
    scraped(&server, live(&server, &lives.iter().map(rest).collect::<Vec<_>>())).await;
    scraped(&server, server.wait_empty()).await;

    let states: f64 = lives.iter().flatten().map(|hook| hook.len() as f64).sum();
    let metrics = server.metrics().await;
    for bot in &bots {
        assert_eq!(metrics.sum("alert_states_accepted_total", &[("bot", &bot.name)]), states);
        assert_eq!(metrics.sum("alert_states_dead_total", &[("bot", &bot.name)]), 0.0);
        // Every alert's last told state is its end.
        for n in 0..8 {
            let texts = robots.texts(bot);
            let last = texts.iter().rev().find(|text| text.contains(&format!("w{n}n"))).unwrap();
            assert!(last.contains("Resolved") && !last.contains("still"), "{}: {last}", bot.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_storage_exits_1() {
    let robots = Robots::start().await;
    let place = Place::new(&config(&three(&robots), ""));
    let server = place.serve().await;
    let mut second = place.program(&[]);
    assert_eq!(second.wait().await.code(), Some(1), "{}", second.output());
    assert!(second.output().contains("another alarmbell"), "it says why: {}", second.output());
    assert_eq!(server.get("/-/ready").await.status, 200, "the first goes on");
    // The lock goes with its process, however that ended.
    server.kill().await;
    place.serve().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_keeps_what_it_could_not_tell() {
    let robots = Robots::start().await;
    let bot = robots.bot(BotKind::WeCom, "wc");
    let place = Place::new(&config(std::slice::from_ref(&bot), ""));
    let server = place.serve().await;
    robots.slow_fault(&bot, FaultKind::Latency, 1, 700);
    for n in 0..5 {
        server.take(&Hook::new(&format!("g{n}")).named(&format!("Stop{n}")).firing("n1")).await;
    }
    robots.wait_requests(&bot, 1).await;
    // The message in flight is finished, and its outcome is written down.
    assert_eq!(server.stop().await, 0);
    let first = robots.shown(&bot).len();
    assert!(first < 5, "it told all before it ended");
    let server = place.serve().await;
    wait_until("the rest is told", || async { robots.shown(&bot).len() >= 5 }).await;
    server.wait_empty().await;
    assert_eq!(robots.shown(&bot).len(), 5, "nothing was told twice");
}
