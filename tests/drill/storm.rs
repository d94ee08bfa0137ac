//! The storm drill: far more alerts than a robot can say, at the vendors' own limits.

use std::sync::Arc;
use std::time::Duration;

use alarmbell::clock::Clock;
use alarmbell::sandbox::Rules;
use fastrand::Rng;

use super::args::{Options, Shape};
use super::chat::{Watch, chat};
use super::judge;
use super::ledger::{Ledger, Step};
use super::load::{self, Post};
use super::report::Section;
use super::support::{Bot, Place, Robots, config};

/// All must be told so long after the last was taken.
const TOLD: Duration = Duration::from_secs(45);
/// What is aimed at.
const AIM: Duration = Duration::from_secs(35);
/// A critical alert waits no longer.
const CRITICAL: Duration = Duration::from_secs(10);
const DIGESTS: usize = 4;
/// Bursts of critical alerts; each may call for a digest of its own, since none of them waits for the next.
const BURSTS: [(f64, &str); 2] = [(0.33, "BurstCriticalOne"), (0.75, "BurstCriticalTwo")];
const MINUTE: Duration = Duration::from_secs(60);
/// So long it is waited for what is late, so that the report can say how late.
const PATIENCE: Duration = Duration::from_secs(150);

struct Planner<'a> {
    ledger: &'a Ledger,
    rng: &'a mut Rng,
    posts: Vec<Post>,
    length: f64,
}

impl Planner<'_> {
    fn post(&mut self, at: f64, group: &str, states: Vec<(usize, Step)>) {
        self.posts.push(Post { at: Duration::from_secs_f64(at), group: group.to_owned(), states });
    }

    /// One of 24 names, most of few, each with one severity.
    fn kind(&mut self) -> (String, &'static str) {
        let n = (self.rng.f64() * self.rng.f64() * 24.0) as usize;
        let severity = ["warning", "warning", "info", "error"][n % 4];
        (format!("StormKind{n:02}"), severity)
    }

    /// Alerts that only fire, each a group of its own, evenly over the time.
    fn groups(&mut self, alerts: usize, own_names: bool) {
        for n in 0..alerts {
            let (mut name, severity) = self.kind();
            if own_names {
                name = format!("Single{n:05}");
            }
            let group = format!("g{n}");
            let alert = self.ledger.add(&name, severity);
            self.post(self.length * n as f64 / alerts as f64, &group, vec![(alert, 0)]);
        }
    }

    /// One group: a snapshot every other second with all that fires by then.
    fn one_group(&mut self, alerts: usize) {
        let all: Vec<(usize, Step)> = (0..alerts)
            .map(|_| (self.ledger.add("StormKindOne", ["warning", "info", "error"][self.rng.usize(..3)]), 0))
            .collect();
        let snapshots = (self.length / 2.0).ceil() as usize;
        for n in 1..=snapshots {
            let known = alerts * n / snapshots;
            self.post(self.length * n as f64 / snapshots as f64, "one", all[..known].to_vec());
        }
    }

    /// Three of four fire and stay, others end, flap, or flap and end; some in groups of a few.
    fn mix(&mut self, alerts: usize) {
        let mut left = alerts;
        let mut n = 0;
        while left > 0 {
            let size = self.rng.usize(1..=4).min(left);
            left -= size;
            let group = format!("m{n}");
            n += 1;
            let begin = self.rng.f64() * self.length * 0.9;
            let (name, severity) = self.kind();
            let (name, changes) = match self.rng.usize(..20) {
                0..15 => (name, 0),
                15..18 => (format!("{name}Ended"), 1),
                18 => (format!("{name}Flapping"), 2 * self.rng.u32(1..4)),
                _ => (format!("{name}Flapped"), 2 * self.rng.u32(1..4) + 1),
            };
            let members: Vec<usize> = (0..size).map(|_| self.ledger.add(&name, severity)).collect();
            let mut at = begin;
            for step in 0..=changes {
                self.post(at, &group, members.iter().map(|alert| (*alert, step)).collect());
                at += (self.length - at).min(self.length / 6.0) * self.rng.f64();
            }
        }
    }

    /// Critical ones, each a group and a name of its own, evenly.
    fn spread(&mut self, criticals: usize) {
        for n in 0..criticals {
            let at = self.length * (n as f64 + 0.5) / criticals as f64;
            self.critical(at, &format!("SpreadCritical{n:02}"), n);
        }
    }

    fn critical(&mut self, at: f64, name: &str, n: usize) {
        let group = format!("c{name}{n}");
        let alert = self.ledger.add(name, "critical");
        self.post(at, &group, vec![(alert, 0)]);
    }

    /// Many critical ones within a second, at a third and at three quarters of the time.
    fn bursts(&mut self, criticals: usize) {
        for (at, name) in BURSTS {
            for n in 0..criticals {
                let offset = self.rng.f64();
                self.critical(self.length * at + offset, name, n);
            }
        }
    }
}

fn plan(ledger: &Ledger, rng: &mut Rng, shape: Shape, options: &Options) -> Vec<Post> {
    let mut planner = Planner { ledger, rng, posts: Vec::new(), length: options.seconds as f64 };
    let alerts = options.alerts;
    match shape {
        Shape::Groups => planner.groups(alerts, false),
        Shape::Names => planner.groups(alerts, true),
        Shape::OneGroup => planner.one_group(alerts),
        Shape::Mix => {
            // As many a minute as a robot of 20 has tokens for, beside digests.
            let criticals = usize::try_from(options.seconds * 18 / 60).unwrap().clamp(2, 18);
            planner.mix(alerts - criticals);
            planner.spread(criticals);
        }
        Shape::Bursts => {
            let criticals = (alerts / 50).max(25).min(alerts / 4);
            planner.groups(alerts - 2 * criticals, false);
            planner.bursts(criticals);
        }
    }
    planner.posts
}

/// One storm, told by a bot of each vendor.
pub async fn run(options: &Options, shape: Shape) -> Vec<Section> {
    let mut rng = Rng::with_seed(options.seed ^ (shape as u64 + 1));
    let robots = Robots::start().await;
    let bots: Vec<Bot> = options
        .vendors
        .iter()
        .map(|kind| robots.bot_with(*kind, kind.as_str(), Rules::default()).vendor_limits())
        .collect();
    let place = Place::new(&config(&bots, "global: {language: en, timezone: UTC}"));
    let server = place.serve_with(&super::FLAGS).await;
    let watch = Watch::start(&robots, &bots);
    let ledger = Arc::new(Ledger::new());
    let posts = plan(&ledger, &mut rng, shape, options);
    let begun = robots.clock.mono();
    let loaded = load::run(&ledger, &robots.clock, server.address, posts).await;
    let emptied = super::emptied(&server, PATIENCE).await;
    let mut sections = Vec::new();
    let title = format!("storm, {}: {} alerts in {} s", shape.as_str(), options.alerts, options.seconds);
    let mut section = Section::new(&title);
    section.figure("webhooks, sent again", format!("{}, {}", loaded.webhooks, loaded.again));
    section.figure("last one taken after, s", format!("{:.1}", (loaded.last - begun).as_secs_f64()));
    section.figure("behind its plan at most, s", format!("{:.2}", loaded.late.as_secs_f64()));
    section.figure("memory at most, MB", server.peak_memory() / (1 << 20));
    section.check("the queues empty", emptied, if emptied { "yes" } else { "no" });
    let metrics = server.metrics().await;
    for bot in &bots {
        let who = bot.name.as_str();
        let chat = chat(&robots, &watch, bot, &ledger, Some(&server)).await;
        super::keep_chat(options, &format!("storm-{}-{who}", shape.as_str()), &chat);
        let digests = chat.messages.iter().filter(|message| message.said.digest).count();
        let figures: usize = chat.messages.iter().map(|message| message.listed).sum();
        let fullest = chat.messages.iter().map(|message| message.bytes.0).max().unwrap_or(0);
        section.figure(format!("{who}: messages, digests"), format!("{}, {digests}", chat.messages.len()));
        section.figure(format!("{who}: largest message, bytes"), fullest);
        judge::limits(&mut section, who, &chat);
        let late = chat.last_news().saturating_sub(loaded.last);
        let aim = if late <= AIM { "" } else { " (aim 35)" };
        section.check(
            format!("{who}: all told within 45 s of the last"),
            emptied && late <= TOLD,
            format!("{:.1} s{aim}", late.as_secs_f64()),
        );
        let minute = chat.digests(MINUTE);
        let most = DIGESTS + if shape == Shape::Bursts { BURSTS.len() } else { 0 };
        section.check(format!("{who}: digests in any 60 s, at most {most}"), minute <= most, minute);
        let (criticals, worst, missing) = judge::criticals(&chat, &ledger);
        if criticals > 0 {
            section.figure(format!("{who}: critical alerts"), criticals);
            section.none(format!("{who}: critical alerts that were not told"), &missing);
            let took = format!("{:.1} s", worst.as_secs_f64());
            section.check(format!("{who}: each critical told within 10 s"), worst <= CRITICAL, took);
        }
        judge::texts(&mut section, who, &chat);
        judge::losses(&mut section, who, &chat, &ledger);
        judge::sums(&mut section, who, &chat, &ledger);
        let told = metrics.sum("alert_states_told_total", &[("bot", who)]);
        section.check(
            format!("{who}: the metrics count what texts and lists say"),
            told == figures as f64 || !emptied,
            format!("metrics {told}, texts and lists {figures}"),
        );
    }
    sections.push(section);
    sections
}
