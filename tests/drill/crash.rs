//! The crash drill: kill -9 at random moments under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alarmbell::clock::{Clock, SystemClock};
use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, RateLimit, Rules};
use fastrand::Rng;
use tokio::task::JoinHandle;

use super::args::Options;
use super::chat::{Chat, Watch, chat};
use super::judge;
use super::ledger::{Ledger, Step};
use super::load;
use super::report::Section;
use super::support::{Bot, Metrics, Place, Robots, Server, config};

/// Connections that post at the same time.
const CONNECTIONS: usize = 6;
/// Groups of each, so that alerts meet others of theirs.
const GROUPS: usize = 4;

/// Windows that are short, so that many of them see a kill.
fn rules(limits: &[(u32, u64)]) -> Rules {
    let limit = |(messages, seconds): &(u32, u64)| RateLimit { messages: *messages, per_ms: seconds * 1_000 };
    Rules { rate_limits: Some(limits.iter().map(limit).collect()), ..Rules::default() }
}

fn bots(robots: &Robots, options: &Options) -> Vec<Bot> {
    options
        .vendors
        .iter()
        .map(|kind| match kind {
            BotKind::Feishu => robots
                .bot_with(*kind, kind.as_str(), rules(&[(12, 1), (40, 4)]))
                .limits("{messages: 12, per: 1s}, {messages: 40, per: 4s}"),
            _ => robots.bot_with(*kind, kind.as_str(), rules(&[(30, 3)])).limits("{messages: 30, per: 3s}"),
        })
        .collect()
}

/// Where to post, as long as there is a server.
type Target = tokio::sync::watch::Receiver<Option<std::net::SocketAddr>>;

/// Posts new alerts, ends and new firings of earlier ones, one webhook after the other, until told to stop.
async fn poster(
    ledger: Arc<Ledger>,
    clock: Arc<SystemClock>,
    target: Target,
    stop: Arc<AtomicBool>,
    number: usize,
    seed: u64,
) -> usize {
    let mut rng = Rng::with_seed(seed);
    let client = load::client();
    // Every group's alerts and their states.
    let mut groups: Vec<Vec<(usize, Step)>> = vec![Vec::new(); GROUPS];
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(to) = *target.borrow() else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        let at = rng.usize(..GROUPS);
        let group = format!("p{number}g{at}");
        let members = &mut groups[at];
        let mut states: Vec<(usize, Step)> = Vec::new();
        for _ in 0..rng.usize(1..=3) {
            let old = rng.usize(..10) < 4 && !members.is_empty();
            if old {
                // Rather of late: so that changes meet states that still wait.
                let place = members.len() - 1 - rng.usize(..members.len().min(6));
                if states.iter().all(|(alert, _)| *alert != members[place].0) && members[place].1 < 40 {
                    members[place].1 += 1;
                    states.push(members[place]);
                }
            } else {
                let severity = ["warning", "error", "info", "critical"][rng.usize(..40).min(33) / 11];
                let alert = ledger.add(&format!("Crash{number}x{at}"), severity);
                members.push((alert, 0));
                states.push((alert, 0));
            }
        }
        let body = ledger.body(&group, &states);
        ledger.note(&states, None);
        if load::post(&client, to, body).await.is_ok() {
            ledger.note(&states, Some(clock.mono()));
            taken += 1;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(..60))).await;
    }
    taken
}

/// Accepted, told, superseded, dead and waiting of one scrape belong together, for every bot.
pub fn equation(metrics: &Metrics) -> Vec<String> {
    let mut wrong = Vec::new();
    for bot in metrics.bots() {
        let term = |name: &str| metrics.sum(name, &[("bot", &bot)]);
        let [accepted, told, superseded, dead] =
            ["accepted", "told", "superseded", "dead"].map(|word| term(&format!("alert_states_{word}_total")));
        let queue = term("queue_alerts");
        if accepted - told - superseded - dead != queue {
            wrong.push(format!("{bot}: {accepted} - {told} - {superseded} - {dead} is not {queue}"));
        }
    }
    wrong
}

async fn scrape(server: &Server) -> Metrics {
    Metrics::parse(server.get("/metrics").await.text)
}

/// Sends every robot's answers a little late, so that kills meet messages in flight.
fn slow(robots: &Robots, bots: &[Bot], rng: &mut Rng) {
    for bot in bots {
        robots.clear_faults(bot);
        robots.slow_fault(bot, FaultKind::Latency, 0, rng.u64(1..60));
    }
}

pub async fn run(options: &Options) -> Vec<Section> {
    let mut rng = Rng::with_seed(options.seed ^ 0xc4a5);
    let robots = Robots::start().await;
    let bots = bots(&robots, options);
    let place =
        Place::new(&config(&bots, "global: {language: en, timezone: UTC, dedup_window: 2s, digest: {interval: 4s}}"));
    let watch = Watch::start(&robots, &bots);
    let ledger = Arc::new(Ledger::new());
    let (tell, target) = tokio::sync::watch::channel(None);
    let stop = Arc::new(AtomicBool::new(false));
    let posters: Vec<JoinHandle<usize>> = (0..CONNECTIONS)
        .map(|number| {
            let (ledger, clock, stop) = (Arc::clone(&ledger), Arc::clone(&robots.clock), Arc::clone(&stop));
            tokio::spawn(poster(ledger, clock, target.clone(), stop, number, rng.u64(..)))
        })
        .collect();
    let begun = robots.clock.mono();
    let (mut kills, mut wrong, mut starts, mut longest) = (Vec::new(), Vec::new(), 0, Duration::ZERO);
    while kills.len() < options.kills {
        slow(&robots, &bots, &mut rng);
        let started = robots.clock.mono();
        // One of ten dies before it listens.
        if rng.usize(..10) == 0 {
            let mut program = place.program(&super::FLAGS);
            tokio::time::sleep(Duration::from_millis(rng.u64(..60))).await;
            program.kill().await;
            kills.push(robots.clock.mono());
            continue;
        }
        let server = place.serve_with(&super::FLAGS).await;
        longest = longest.max(robots.clock.mono() - started);
        starts += 1;
        wrong.extend(equation(&scrape(&server).await));
        tell.send_replace(Some(server.address));
        tokio::time::sleep(Duration::from_millis(rng.u64(..700))).await;
        tell.send_replace(None);
        server.kill().await;
        kills.push(robots.clock.mono());
    }
    let server = place.serve_with(&super::FLAGS).await;
    wrong.extend(equation(&scrape(&server).await));
    tell.send_replace(Some(server.address));
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let mut taken = 0;
    for poster in posters {
        taken += poster.await.unwrap();
    }
    let killed = robots.clock.mono() - begun;
    let emptied = super::emptied(&server, Duration::from_secs(150)).await;
    wrong.extend(equation(&scrape(&server).await));
    let mut section = Section::new(format!("crash: kill -9, {} times", kills.len()));
    section.figure("with all kills, s", format!("{:.1}", killed.as_secs_f64()));
    section.figure(
        "until all was told after the last, s",
        format!("{:.1}", (robots.clock.mono() - begun - killed).as_secs_f64()),
    );
    section.figure("webhooks answered 200", taken);
    section.figure("slowest start until it listens, s", format!("{:.2}", longest.as_secs_f64()));
    section.check("the queues empty", emptied, if emptied { "yes" } else { "no" });
    section.none(format!("the equation, after each of {} starts", starts + 1), &wrong);
    for bot in &bots {
        let who = bot.name.as_str();
        let chat = chat(&robots, &watch, bot, &ledger, Some(&server)).await;
        super::keep_chat(options, &format!("crash-{who}"), &chat);
        section.figure(
            format!("{who}: messages shown, requests"),
            format!("{}, {}", chat.messages.len(), chat.lines.len()),
        );
        judge::limits(&mut section, who, &chat);
        judge::texts(&mut section, who, &chat);
        judge::losses(&mut section, who, &chat, &ledger);
        duplicates(&mut section, who, &chat, &kills);
    }
    vec![section]
}

/// At most one message that is told twice for each kill: the one that was in flight. It is told again when its turn comes,
/// which may be after further kills.
fn duplicates(section: &mut Section, who: &str, chat: &Chat, kills: &[Duration]) {
    let repeats = chat.repeats();
    let mut by_kill: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (message, before) in &repeats {
        let at = chat.messages[*message].at;
        // The kill that met the earlier message in flight.
        let mut met: Vec<usize> = before.iter().map(|told| kills.partition_point(|kill| kill < told)).collect();
        met.sort_unstable();
        met.dedup();
        for kill in met {
            match kills.get(kill).filter(|kill| **kill < at) {
                Some(_) => by_kill.entry(kill).or_default().push(*message),
                None => wrong.push(format!("message {message} repeats another, and no kill was between them")),
            }
        }
    }
    let many = by_kill.iter().filter(|(_, messages)| messages.len() > 1);
    wrong.extend(many.map(|(kill, messages)| format!("kill {}: messages {messages:?}", kill + 1)));
    let known = chat.lines.iter().filter(|line| line.duplicate).count();
    section
        .figure(format!("{who}: messages shown twice, known again by their id"), format!("{}, {known}", repeats.len()));
    section.none(format!("{who}: more than one duplicate message for a kill"), &wrong);
}
