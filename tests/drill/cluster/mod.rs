//! The cluster drill: three replicas on one PostgreSQL, and all that happens to replicas, databases and networks.

mod ask;
pub mod incident;
pub mod judge;
mod keep;
mod post;
mod replicas;
mod team;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alarmbell::clock::Clock;
use fastrand::Rng;
use tokio::task::JoinSet;

use self::ask::Scraper;
use self::incident::{Incident, Kind};
use self::judge::Tally;
use self::post::{Counts, Office, Storm};
use self::replicas::{Folder, Replicas, USUAL};
use self::team::Room;
use crate::args::Options;
use crate::chat::{Chat, Watch, chat};
use crate::ledger::Ledger;
use crate::load;
use crate::report::Section;
use crate::support::{Metrics, Robots};

/// A dead replica's robots speak again within this time.
const SILENCE: Duration = Duration::from_secs(12);
/// The bots are spread evenly so soon after a replica came.
const EVEN: Duration = Duration::from_secs(12);
/// Between steady alerts: 15 a minute, of the 20 that a robot can say.
const STEADY: Duration = Duration::from_secs(4);
/// Until everything is told when nothing happens any more.
const QUIET: Duration = Duration::from_secs(150);

/// Everything that takes part.
struct World {
    options: Options,
    robots: Robots,
    rooms: Vec<Room>,
    watch: Watch,
    office: Arc<Office>,
    scraper: Arc<Scraper>,
    incidents: Mutex<Vec<Incident>>,
    chats: Mutex<Vec<(String, Chat)>>,
}

pub async fn run(options: &Options) -> Vec<Section> {
    let mut section = Section::new(format!("cluster, seed {}", options.seed));
    let begun = Instant::now();
    let robots = Robots::start().await;
    let rooms = team::rooms(&robots);
    // Few digests in half of the whole runs, so that many messages are in flight; the product's own number in all others.
    let threshold = if options.short || options.seed.is_multiple_of(2) { 8 } else { 40 };
    section.figure("groups that make a storm", threshold);
    let replicas = match Replicas::new(&team::config(&rooms, options.short, threshold)).await {
        Ok(replicas) => Arc::new(replicas),
        Err(why) if why.starts_with("not found") && std::env::var_os("ALARMBELL_REQUIRE_POSTGRES").is_none() => {
            section.figure("skipped: no PostgreSQL", why);
            return vec![section];
        }
        Err(why) => {
            section.check("PostgreSQL starts", false, why);
            return vec![section];
        }
    };
    let client = load::client();
    let world = Arc::new(World {
        options: options.clone(),
        watch: Watch::start(&robots, &team::all(&rooms)),
        office: Arc::new(Office {
            ledger: Arc::new(Ledger::new()),
            clock: Arc::clone(&robots.clock),
            replicas: Arc::clone(&replicas),
            counts: Counts::default(),
            client: client.clone(),
        }),
        scraper: Scraper::start(&replicas, &client, &robots.clock),
        robots,
        rooms,
        incidents: Mutex::default(),
        chats: Mutex::default(),
    });
    let part = tokio::spawn(whole(Arc::clone(&world), section));
    let mut section = part.await.unwrap_or_else(|error| {
        let mut section = Section::new(format!("cluster, seed {}", options.seed));
        section.check("runs to its end", false, error);
        section
    });
    world.scraper.end();
    section.figure("it took, s", format!("{:.0}", begun.elapsed().as_secs_f64()));
    let ok = section.checks.iter().all(|check| check.ok);
    section.line = format!("{} {}", if ok { "PASS" } else { "FAIL" }, section.line);
    if !ok {
        let (chats, incidents) = (world.chats.lock().unwrap().clone(), world.incidents.lock().unwrap().clone());
        let World { robots, rooms, office, .. } = &*world;
        let folder = keep::keep(options.seed, &replicas, robots, rooms, &office.ledger, &chats, &incidents).await;
        section.line.push_str(&format!("; kept in {}", folder.display()));
        section.figure("kept: incidents.txt, replica-*.log, chat-*.txt, ledger.jsonl in", folder.display());
    }
    vec![section]
}

/// Bots of each replica, as one of them says, once they are spread evenly; else as it was at the end of the patience.
async fn even(world: &World) -> (bool, Duration, Vec<u64>) {
    let begun = Instant::now();
    loop {
        let doors = world.office.replicas.doors();
        let mut spread = Vec::new();
        for (_, at) in &doors {
            spread.push(ask::spread(&world.office.client, *at).await.unwrap_or_default());
        }
        let first = spread.first().cloned().unwrap_or_default();
        let (least, most) = (first.iter().min().copied(), first.iter().max().copied());
        let spreads = first.len() == doors.len() && first.iter().sum::<u64>() == team::BOTS;
        let fair = least.zip(most).is_some_and(|(least, most)| most - least <= team::LARGEST_CREW);
        if spreads && fair && spread.iter().all(|other| *other == first) {
            return (true, begun.elapsed(), first);
        }
        if begun.elapsed() > EVEN {
            return (false, begun.elapsed(), first);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn whole(world: Arc<World>, mut section: Section) -> Section {
    let mut rng = Rng::with_seed(world.options.seed ^ 0xc1a5);
    // All at once: each finds an empty database.
    let mut starts = JoinSet::new();
    for number in 0..USUAL {
        let replicas = Arc::clone(&world.office.replicas);
        starts.spawn(async move {
            let mut place = replicas.places[number].lock().await;
            replicas.start(number, &mut place, Folder::Fresh).await;
        });
    }
    while let Some(start) = starts.join_next().await {
        start.unwrap();
    }
    deaths(&world, &mut section, &mut rng).await;
    storm(&world, &mut section, &mut rng).await;
    let quiet = world.office.clock.mono();
    let emptied = emptied(&world).await;
    let took = (world.office.clock.mono() - quiet).as_secs_f64();
    section.check("everything is told in the end", emptied, format!("after {took:.1} s"));
    at_the_end(&world, &mut section).await;
    judged(&world, &mut section).await;
    section
}

/// Steady alerts while replicas die one after the other, and for how long their robots are silent.
async fn deaths(world: &Arc<World>, section: &mut Section, rng: &mut Rng) {
    let replicas = &world.office.replicas;
    let mut uneven = Vec::new();
    let mut spreads = Vec::new();
    let mut note = |(ok, after, spread): (bool, Duration, Vec<u64>)| {
        let text = format!("{spread:?} after {:.1} s", after.as_secs_f64());
        if !ok {
            uneven.push(text.clone());
        }
        spreads.push(text);
    };
    note(even(world).await);
    let stop = Arc::new(AtomicBool::new(false));
    let seed = rng.u64(..);
    let posting =
        tokio::spawn(post::steady(Arc::clone(&world.office), STEADY, Arc::clone(&stop), Rng::with_seed(seed)));
    let deaths = if world.options.short { 1 } else { 3 };
    let mut worst = Duration::ZERO;
    let mut late = Vec::new();
    for death in 0..deaths {
        tokio::time::sleep(Duration::from_secs_f64(5.0 + 2.0 * rng.f64())).await;
        let number = (death + rng.usize(..USUAL)) % USUAL;
        let mut place = replicas.places[number].lock().await;
        replicas.kill(number, &mut place).await;
        let killed = world.office.clock.mono();
        let mut silent = Vec::new();
        let deadline = killed + Duration::from_secs(25);
        for room in &world.rooms {
            let next = loop {
                let lines = room.robots.iter().flat_map(|robot| world.robots.requests(robot));
                let times = lines.map(|line| Duration::from_micros(line.mono_us));
                // What was on its way when it died is not what comes next.
                let next = times.filter(|at| *at > killed + Duration::from_millis(300)).min();
                if next.is_some() || world.office.clock.mono() > deadline {
                    break next;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let silence = next.map_or(Duration::from_secs(99), |at| at - killed);
            worst = worst.max(silence);
            if silence > SILENCE {
                late.push(format!("{} after {:.1} s", room.name, silence.as_secs_f64()));
            }
            silent.push(format!("{:.1}", silence.as_secs_f64()));
        }
        section.figure(format!("silence after death {} by room, s", death + 1), silent.join(" "));
        let folder = if rng.bool() { Folder::Same } else { Folder::Fresh };
        replicas.start(number, &mut place, folder).await;
        let kind = if folder == Folder::Same { Kind::KillSame } else { Kind::KillFresh };
        let (from, to) = (killed, world.office.clock.mono());
        let how = format!("replica {number}, steady alerts");
        world.incidents.lock().unwrap().push(Incident { kind, from, to, how, wrong: Vec::new() });
        drop(place);
        note(even(world).await);
    }
    stop.store(true, Ordering::Relaxed);
    posting.await.unwrap();
    section.figure("bots of each replica", spreads.join("; "));
    section.none("bots spread evenly when three are there", &uneven);
    section.none("robots of a dead replica that are silent for more than 12 s", &late);
    section.figure("worst silence after a death, s", format!("{:.1}", worst.as_secs_f64()));
    section.line.push_str(&format!("worst silence {:.1} s", worst.as_secs_f64()));
}

/// Alerts that fire, end and fire again, and one incident after the other.
async fn storm(world: &Arc<World>, section: &mut Section, rng: &mut Rng) {
    let office = &world.office;
    let (short, clock) = (world.options.short, &office.clock);
    team::slow(&world.robots, &world.rooms, rng);
    let storm = Storm::start(office, rng);
    for turn in incident::plan(rng, short) {
        let pause = if short { 1.0 + rng.f64() } else { 1.0 + 4.0 * rng.f64() };
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        let mut running = JoinSet::new();
        for kind in turn {
            let (replicas, clock) = (Arc::clone(&office.replicas), Arc::clone(clock));
            running.spawn(incident::happen(kind, replicas, clock, rng.u64(..), short));
            tokio::time::sleep(Duration::from_millis(rng.u64(0..1_500))).await;
        }
        while let Some(incident) = running.join_next().await {
            world.incidents.lock().unwrap().push(incident.unwrap());
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = storm.end(Duration::from_secs(60)).await;
    section.check("every webhook is taken in the end", ended, if ended { "yes" } else { "no" });
    for robot in world.rooms.iter().flat_map(|room| &room.robots) {
        world.robots.clear_faults(robot);
    }
    world.incidents.lock().unwrap().sort_by_key(|incident| incident.from);
    let incidents = world.incidents.lock().unwrap().clone();
    for line in keep::story(&incidents) {
        section.figure("incident", line);
    }
    let wrong: Vec<String> = incidents.iter().flat_map(|one| one.wrong.clone()).collect();
    section.none("incidents that went wrong in themselves", &wrong);
}

/// Waits until every replica says, twice in a row, that nothing waits.
async fn emptied(world: &World) -> bool {
    let deadline = Instant::now() + QUIET;
    let mut empty = 0;
    while Instant::now() < deadline {
        let doors = world.office.replicas.doors();
        let mut waiting = 0.0;
        for (_, at) in &doors {
            let scrape = ask::get(&world.office.client, *at, "/metrics").await.map(Metrics::parse);
            waiting += scrape.map_or(1.0, |metrics| metrics.sum("queue_alerts", &[]));
        }
        empty = if waiting == 0.0 && doors.len() == USUAL { empty + 1 } else { 0 };
        if empty == 2 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
    false
}

/// What the replicas say of the whole and of each other.
async fn at_the_end(world: &World, section: &mut Section) {
    let (office, scraper) = (&world.office, &world.scraper);
    let doors = office.replicas.doors();
    let (ok, after, spread) = even(world).await;
    section.check("bots spread evenly at the end", ok, format!("{spread:?} after {:.1} s", after.as_secs_f64()));
    for path in ["/api/v1/bots", "/api/v1/messages?limit=1000", "/api/v1/deliveries?limit=1000"] {
        let same = ask::agree(&office.client, &doors, path).await;
        section.check(format!("every replica says the same: {path}"), same.is_ok(), same.err().unwrap_or_default());
    }
    let mut wrong = Vec::new();
    let (mut selves, mut lists) = (Vec::new(), Vec::new());
    for (place, at) in &doors {
        let status = ask::data(&office.client, *at, "/api/v1/status").await.unwrap_or_default();
        let replicas = status["replicas"].as_array().cloned().unwrap_or_default();
        let own = replicas.iter().filter(|one| one["me"] == true).map(|one| one["id"].to_string());
        selves.extend(own);
        lists.push((*place, replicas.iter().map(|one| one["id"].to_string()).collect::<Vec<_>>()));
        let hash = &status["config"]["hash"];
        if hash.is_null() || replicas.iter().any(|one| one["config_hash"] != *hash) {
            wrong.push(format!("replica {place} lists another config than {hash}"));
        }
    }
    selves.sort();
    for (place, mut list) in lists {
        list.sort();
        if list != selves || list.len() != USUAL {
            wrong.push(format!("replica {place} lists {list:?}, those that answer are {selves:?}"));
        }
    }
    section.none("replicas that do not list exactly those that live, with equal configs", &wrong);
    let mut wrong = Vec::new();
    for (place, at) in &doors {
        let text = ask::get(&office.client, *at, "/metrics").await.unwrap_or_default();
        let metrics = Metrics::parse(text);
        let term = |name: &str, bot: &str| metrics.sum(name, &[("bot", bot)]);
        for bot in world.rooms.iter().flat_map(|room| room.bots) {
            let [accepted, told, superseded, dead] =
                ["accepted", "told", "superseded", "dead"].map(|word| term(&format!("alert_states_{word}_total"), bot));
            let (least, most) = office.counts.bounds(bot);
            if accepted != told + superseded + dead || dead != 0.0 {
                wrong.push(format!(
                    "replica {place}, {bot}: {accepted} is not {told} + {superseded} + {dead} (dead: 0)"
                ));
            }
            if accepted < least as f64 || accepted > most as f64 {
                wrong.push(format!("replica {place}, {bot}: accepted {accepted}, posted {least} to {most}"));
            }
        }
        if *place == doors[0].0 {
            let sum = |word: &str| metrics.sum(&format!("alert_states_{word}_total"), &[]);
            let sums = ["accepted", "told", "superseded", "dead"].map(sum);
            section.figure("states accepted, told, superseded, dead", format!("{sums:?}"));
            section.line.push_str(&format!("; states accepted {}, told {}, superseded {}", sums[0], sums[1], sums[2]));
        }
    }
    section.none("the counters of the whole, at each replica", &wrong);
    let wrong = scraper.end();
    let (scrapes, missed) = (scraper.scrapes.load(Ordering::Relaxed), scraper.missed.load(Ordering::Relaxed));
    section.figure("scrapes, and those that failed", format!("{scrapes}, {missed}"));
    section.none("the equation, at every scrape", &wrong);
    let panics = office.replicas.logs().await.into_iter().filter(|(_, log)| log.contains("panicked"));
    section.none("replicas that panicked", &panics.map(|(name, _)| name).collect::<Vec<_>>());
}

/// What the robots recorded.
async fn judged(world: &World, section: &mut Section) {
    let office = &world.office;
    let counts = &office.counts;
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (posted, accepted) = (load(&counts.posted), load(&counts.accepted));
    let (refused, unanswered) = (load(&counts.refused), load(&counts.unanswered));
    section
        .figure("webhooks posted: 200, refused, no answer", format!("{posted}: {accepted}, {refused}, {unanswered}"));
    section.line.push_str(&format!("; posted {posted}: 200 {accepted}, refused {refused}, no answer {unanswered}"));
    let incidents = world.incidents.lock().unwrap().clone();
    let place = office.replicas.places[0].lock().await;
    let server = place.server.as_ref();
    let mut tally = Tally::default();
    for room in &world.rooms {
        let mut chats = Vec::new();
        for robot in &room.robots {
            let chat = chat(&world.robots, &world.watch, robot, &office.ledger, server).await;
            crate::keep_chat(&world.options, &format!("cluster-{}", robot.name), &chat);
            world.chats.lock().unwrap().push((robot.name.clone(), chat.clone()));
            chats.push(chat);
        }
        judge::room(section, room, &chats, &office.ledger, &incidents, &mut tally);
    }
    let kinds: Vec<String> = tally.duplicates.iter().map(|(kind, n)| format!("{}: {n}", kind.as_str())).collect();
    let all: usize = tally.duplicates.values().sum();
    let shown = if kinds.is_empty() { "none".to_owned() } else { kinds.join("; ") };
    section.figure("messages told twice, by incident", &shown);
    section.figure("late messages of a stopped replica", tally.late);
    let n = incidents.len();
    section.line.push_str(&format!("; {n} incidents, told twice {all}, late {}", tally.late));
}
