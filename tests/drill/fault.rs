//! The fault drill: every fault of the sandbox, on each vendor: a few in a row before a single message, in a small storm,
//! and for long; robots that come back; addresses that are mended by a reload.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alarmbell::clock::Clock;
use alarmbell::model::BotKind;
use alarmbell::sandbox::{FaultKind, RateLimit, Rules};

use super::args::Options;
use super::chat::{Chat, Watch, chat};
use super::judge;
use super::ledger::{Ledger, Step};
use super::load::{self, Post};
use super::report::Section;
use super::support::{Bot, Metrics, Place, Robots, Server, config};

/// Groups of the small storm, and of the one while robots are down for long.
const STORM: usize = 60;
const LONG_STORM: usize = 40;
/// After a long fault a robot is told in so many messages, however much waits: what a digest leaves, and what does not
/// make one.
const AFTER: usize = 12;

/// A bot whose robot has one kind of fault.
struct Case {
    bot: Bot,
    fault: FaultKind,
    /// What its faults must be taken for.
    verdict: &'static str,
    /// Whether the robot shows the message all the same, and the answer does not say so.
    shows: bool,
    /// How long the vendor closes the robot.
    penalty: Duration,
}

impl Case {
    /// Whether the outcome is not known.
    fn unknown(&self) -> bool {
        self.verdict == "unknown_outcome"
    }

    /// Faults in a row.
    fn burst(&self) -> u64 {
        // Each would cost its penalty, or wait for a person.
        if self.penalty > Duration::ZERO || self.fault == FaultKind::Misconfigured { 1 } else { 3 }
    }

    /// Whether a drill can wait for it. Ten minutes are for the whole one.
    fn is_waited_for(&self, short: bool) -> bool {
        !short || self.penalty <= Duration::from_secs(61)
    }
}

/// What the vendors' documents make of an answer, and the penalty in seconds.
fn meaning(kind: BotKind, fault: FaultKind) -> Option<(&'static str, u64)> {
    let penalty = match kind {
        BotKind::DingTalk => 600,
        BotKind::WeCom => 61,
        BotKind::Feishu => 0,
    };
    Some(match fault {
        FaultKind::Http500 | FaultKind::Http502 | FaultKind::Http503 | FaultKind::Html => ("retry", 0),
        // Feishu says "too many requests" when it is busy.
        FaultKind::Busy if kind == BotKind::Feishu => ("rate_limited", 0),
        FaultKind::Busy => ("retry", 0),
        FaultKind::Http504
        | FaultKind::Timeout
        | FaultKind::TimeoutBefore
        | FaultKind::CutBefore
        | FaultKind::CutAfter
        | FaultKind::Empty
        | FaultKind::CutJson => ("unknown_outcome", 0),
        FaultKind::Http429 | FaultKind::RateLimited => ("rate_limited", penalty),
        FaultKind::Misconfigured => ("misconfigured", 0),
        FaultKind::Latency => ("delivered", 0),
        // Only DingTalk has this gateway.
        FaultKind::Status1111 if kind == BotKind::DingTalk => ("rate_limited", 300),
        FaultKind::Status1111 => return None,
    })
}

/// As strict as the vendors' own, with windows of seconds.
fn rules(kind: BotKind) -> (Rules, &'static str) {
    let limit = |messages, per_ms| RateLimit { messages, per_ms };
    let (limits, yaml) = match kind {
        BotKind::Feishu => (vec![limit(5, 1_000), limit(30, 6_000)], "{messages: 5, per: 1s}, {messages: 30, per: 6s}"),
        _ => (vec![limit(20, 6_000)], "{messages: 20, per: 6s}"),
    };
    (Rules { rate_limits: Some(limits), ..Rules::default() }, yaml)
}

fn cases(robots: &Robots, options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in &options.vendors {
        for fault in FaultKind::ALL {
            let Some((verdict, penalty)) = meaning(*kind, fault) else { continue };
            let name = format!("{}-{}", kind.as_str(), fault.as_str().replace('_', "-"));
            let (rules, yaml) = rules(*kind);
            let bot = robots.bot_with(*kind, &name, rules).limits(yaml);
            let shows =
                matches!(fault, FaultKind::Timeout | FaultKind::CutAfter | FaultKind::Empty | FaultKind::CutJson);
            cases.push(Case { bot, fault, verdict, shows, penalty: Duration::from_secs(penalty) });
        }
    }
    cases
}

/// The drill's parts and what they share.
struct Stage {
    robots: Robots,
    server: Server,
    ledger: Arc<Ledger>,
    cases: Vec<Case>,
    short: bool,
    late: Vec<String>,
}

impl Stage {
    fn arm(&self, count: impl Fn(&Case) -> Option<u64>) {
        for case in &self.cases {
            let latency = if case.fault == FaultKind::Latency { 800 } else { 0 };
            if let Some(count) = count(case) {
                self.robots.slow_fault(&case.bot, case.fault, count, latency);
            }
        }
    }

    /// Posts so many new alerts, each a group of its own, evenly over the time.
    async fn post(&self, name: &str, groups: usize, alerts: usize, over: Duration) {
        let mut plan = Vec::new();
        for n in 0..groups {
            let severity = if n % 20 == 0 { "critical" } else { "warning" };
            let states: Vec<(usize, Step)> = (0..alerts).map(|_| (self.ledger.add(name, severity), 0)).collect();
            let at = over.mul_f64(n as f64 / groups as f64);
            plan.push(Post { at, group: format!("{name}{n}"), states });
        }
        load::run(&self.ledger, &self.robots.clock, self.server.address, plan).await;
    }

    async fn metrics(&self) -> Metrics {
        self.server.metrics().await
    }

    /// Waits until nothing waits for those that can be waited for; notes those for which it took too long.
    async fn settle(&mut self, part: &str, patience: Duration) {
        let deadline = self.robots.clock.mono() + patience;
        loop {
            let metrics = self.metrics().await;
            let waits = |case: &&Case| {
                case.is_waited_for(self.short) && metrics.sum("queue_alerts", &[("bot", &case.bot.name)]) > 0.0
            };
            let waiting: Vec<String> = self.cases.iter().filter(waits).map(|case| case.bot.name.clone()).collect();
            if waiting.is_empty() {
                return;
            }
            if self.robots.clock.mono() > deadline {
                self.late.extend(waiting.into_iter().map(|name| format!("{name}, {part}")));
                return;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

pub async fn run(options: &Options) -> Vec<Section> {
    let robots = Robots::start().await;
    let cases = cases(&robots, options);
    let bots: Vec<Bot> = cases.iter().map(|case| case.bot.clone()).collect();
    let place = Place::new(&config(&bots, "global: {language: en, timezone: UTC, digest: {interval: 5s}}"));
    let server = place.serve_with(&super::FLAGS).await;
    let watch = Watch::start(&robots, &bots);
    let ledger = Arc::new(Ledger::new());
    let mut stage = Stage { robots, server, ledger, cases, short: options.short, late: Vec::new() };
    // Feishu's penalty doubles up to a minute, an unanswered attempt takes five seconds, a pause after failures at most a
    // minute.
    let patience = Duration::from_secs(if options.short { 100 } else { 780 });

    stage.arm(|case| Some(case.burst()));
    stage.post("FaultAlone", 1, 2, Duration::ZERO).await;
    if options.short {
        // Their penalty is over after the storm only.
        tokio::time::sleep(Duration::from_secs(8)).await;
    } else {
        stage.settle("alone", patience).await;
    }
    let armed_again = |case: &Case| case.is_waited_for(options.short) && case.penalty == Duration::ZERO;
    stage.arm(|case| armed_again(case).then_some(case.burst()));
    stage.post("FaultStorm", STORM, 1, Duration::ZERO).await;
    // A misconfigured bot waits for a person, who changes something and lets it be read.
    tokio::time::sleep(Duration::from_secs(2)).await;
    stage.server.reload().await;
    stage.settle("in a small storm", patience).await;

    let long = Duration::from_secs(if options.short { 8 } else { 90 });
    let before: BTreeMap<String, usize> =
        stage.cases.iter().map(|case| (case.bot.name.clone(), watch.records(&case.bot).len())).collect();
    // 0 lasts until it is cleared.
    stage.arm(|case| armed_again(case).then_some(0));
    stage.post("FaultLong", LONG_STORM, 1, long).await;
    let down = stage.metrics().await;
    for case in &stage.cases {
        stage.robots.clear_faults(&case.bot);
    }
    stage.server.reload().await;
    stage.settle("after a long fault", patience).await;

    let metrics = stage.metrics().await;
    let mut sections = Vec::new();
    for kind in &options.vendors {
        let mut section =
            Section::new(format!("fault, {}: each fault in a row, in a small storm, and for long", kind.as_str()));
        let mut found = Found::default();
        for case in stage.cases.iter().filter(|case| case.bot.kind == *kind) {
            let chat = chat(&stage.robots, &watch, &case.bot, &stage.ledger, Some(&stage.server)).await;
            super::keep_chat(options, &format!("fault-{}", case.bot.name), &chat);
            let skip = before.get(&case.bot.name).copied().unwrap_or(0);
            found.look(case, &chat, &stage, (&down, &metrics), watch.records(&case.bot).into_iter().skip(skip));
        }
        found.report(&mut section, kind.as_str());
        sections.push(section);
    }
    let mut section = Section::new("fault: all of them");
    section.none("bots that were not done in time", &stage.late);
    section.figure("bots, each with a fault of its own", stage.cases.len());
    sections.push(section);
    sections
}

/// What is wrong with any bot of a vendor.
#[derive(Default)]
struct Found {
    refused: Vec<String>,
    over: Vec<String>,
    texts: Vec<String>,
    lost: Vec<String>,
    verdicts: Vec<String>,
    same: Vec<String>,
    repeats: Vec<String>,
    after: Vec<String>,
    up: Vec<String>,
    faults: u64,
    resent: usize,
    twice: usize,
    older: usize,
    most_after: usize,
    kept: usize,
}

fn failed(section: Section) -> impl Iterator<Item = String> {
    section.checks.into_iter().filter(|check| !check.ok).map(|check| format!("{}: {}", check.name, check.detail))
}

impl Found {
    fn look(
        &mut self,
        case: &Case,
        chat: &Chat,
        stage: &Stage,
        (down, metrics): (&Metrics, &Metrics),
        long: impl Iterator<Item = alarmbell::sandbox::Record>,
    ) {
        let name = case.bot.name.as_str();
        let mut section = Section::default();
        judge::limits(&mut section, name, chat);
        let (refusals, over) = (section.checks[0].clone(), section.checks[1].clone());
        if !refusals.ok {
            self.refused.push(format!("{name}: {}", refusals.detail));
        }
        if !over.ok {
            self.over.push(format!("{name}: {}", over.detail));
        }
        let mut section = Section::default();
        judge::texts(&mut section, name, chat);
        self.texts.extend(failed(section));
        let applied = chat.stats.faults.values().sum::<u64>();
        self.faults += applied;
        let verdicts =
            |metrics: &Metrics, verdict: &str| metrics.sum("attempts_total", &[("bot", name), ("verdict", verdict)]);
        let counted = verdicts(metrics, case.verdict);
        // Every answer of a latent robot is a good one.
        if case.verdict != "delivered" && counted != applied as f64 {
            self.verdicts.push(format!("{name}: {applied} faults, {counted} attempts {}", case.verdict));
        }
        if !case.is_waited_for(stage.short) {
            self.waits(case, chat, metrics);
            return;
        }
        if verdicts(metrics, "delivered") < 1.0 || metrics.sum("bot_up", &[("bot", name)]) != 1.0 {
            self.up.push(format!("{name}: not up at the end"));
        }
        if case.fault == FaultKind::Misconfigured && down.sum("bot_up", &[("bot", name)]) != 0.0 {
            self.up.push(format!("{name}: up while it was misconfigured"));
        }
        let mut section = Section::default();
        judge::losses(&mut section, name, chat, &stage.ledger);
        self.lost.extend(failed(section));
        self.repeats(case, chat, applied);
        if case.unknown() && case.bot.kind == BotKind::DingTalk {
            self.same(case, chat);
        }
        let after = long.filter(|record| record.accepted && record.fault.is_empty()).count();
        if case.penalty == Duration::ZERO && case.fault != FaultKind::Latency {
            self.most_after = self.most_after.max(after);
            if after > AFTER {
                self.after.push(format!("{name}: {after} messages about {LONG_STORM} groups"));
            }
        }
    }

    /// A robot that its vendor closed for minutes: nothing is lost, and nothing is sent.
    fn waits(&mut self, case: &Case, chat: &Chat, metrics: &Metrics) {
        let name = case.bot.name.as_str();
        let queue = metrics.sum("queue_alerts", &[("bot", name)]);
        let accepted = metrics.sum("alert_states_accepted_total", &[("bot", name)]);
        let told: u64 = chat.messages.iter().map(|message| message.said.figures.total()).sum();
        if queue + (told as f64) < accepted {
            self.lost.push(format!("{name}: {accepted} accepted, {told} told, {queue} wait"));
        }
        if chat.lines.len() != 1 {
            self.refused.push(format!("{name}: called {} times while it is closed", chat.lines.len()));
        }
        self.kept += 1;
    }

    /// Only an outcome that is not known, of a message that was shown, is told twice; by DingTalk not even that.
    fn repeats(&mut self, case: &Case, chat: &Chat, applied: u64) {
        let repeats = chat.repeats().len();
        self.twice += repeats;
        self.older += chat.older;
        let most = if case.shows && case.bot.kind != BotKind::DingTalk { usize::try_from(applied).unwrap() } else { 0 };
        if repeats > most {
            self.repeats.push(format!("{}: {repeats} messages told again, at most {most}", case.bot.name));
        }
    }

    /// After an unknown outcome DingTalk gets the same bytes under the same id before anything else.
    fn same(&mut self, case: &Case, chat: &Chat) {
        let name = &case.bot.name;
        let raws: BTreeMap<u64, &str> = chat.raws.iter().map(|(seq, raw)| (*seq, raw.as_str())).collect();
        for pair in chat.lines.windows(2).filter(|pair| !pair[0].fault.is_empty()) {
            let (first, next) = (&pair[0], &pair[1]);
            let same = match (raws.get(&first.seq), raws.get(&next.seq)) {
                (Some(first), Some(next)) => first == next,
                // What it knows again is not kept: the words must be the same.
                _ => next.duplicate && first.hash == next.hash,
            };
            self.resent += 1;
            if !same {
                self.same.push(format!("{name}: request {} is not request {} again", next.seq, first.seq));
            }
        }
    }

    fn report(self, section: &mut Section, vendor: &str) {
        section.figure("faults applied", self.faults);
        section.figure("messages told again after an unknown outcome", self.twice);
        section.figure("messages whose list is that of a later one", self.older);
        section.figure("robots that were closed for minutes, and kept their alerts", self.kept);
        section.figure(format!("messages about {LONG_STORM} groups after a long fault, at most"), self.most_after);
        section.none("refusals by the robots' own rules", &self.refused);
        section.none("over the limit in any window", &self.over);
        section.none("accepted alerts lost", &self.lost);
        section.none("verdicts that are not what happened", &self.verdicts);
        section.none("messages that are wrong", &self.texts);
        section.none("told twice without need", &self.repeats);
        section.none("bots that are up or down when they are not", &self.up);
        section.none(format!("more than {AFTER} messages after a long fault"), &self.after);
        if vendor == BotKind::DingTalk.as_str() {
            section.figure("requests after an unknown outcome", self.resent);
            section.none("not the same id and body again first", &self.same);
        }
    }
}
