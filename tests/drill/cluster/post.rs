//! Posting as Alertmanagers do: one webhook of a group after the other, each again and again until it is answered 200, to
//! any replica. Groups with two Alertmanagers have each webhook posted by both, which know nothing of each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alarmbell::clock::{Clock, SystemClock};
use fastrand::Rng;
use tokio::task::JoinSet;

use super::replicas::Replicas;
use super::team::LEFT;
use crate::ledger::{Ledger, Step};
use crate::load;

/// Groups that one Alertmanager posts, and groups that two do.
const SINGLES: usize = 9;
const TWINS: usize = 5;
/// The second of two Alertmanagers may be so many webhooks behind without having been held up.
const CLOSE_BEHIND: usize = 3;
/// How often one alert changes at most: no state may begin in the future.
const STEPS: Step = 40;

/// What was posted. States are counted once for each bot that a 200 promises them to: those of `left`, those of `right`,
/// and those of everybody.
#[derive(Debug, Default)]
pub struct Counts {
    pub posted: AtomicU64,
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
    pub unanswered: AtomicU64,
    /// States of the left side in webhooks that were answered 200, and in those that may have been taken.
    pub left: [AtomicU64; 2],
    pub right: [AtomicU64; 2],
}

impl Counts {
    fn count(&self, ledger: &Ledger, states: &[(usize, Step)], answer: Result<(), u16>) {
        let alerts = ledger.alerts();
        let left = states.iter().filter(|(alert, _)| alerts[*alert].name.starts_with(LEFT)).count() as u64;
        let right = states.len() as u64 - left;
        let which = usize::from(answer.is_err());
        self.left[which].fetch_add(left, Ordering::Relaxed);
        self.right[which].fetch_add(right, Ordering::Relaxed);
        let what = match answer {
            Ok(()) => &self.accepted,
            Err(0) => &self.unanswered,
            Err(_) => &self.refused,
        };
        what.fetch_add(1, Ordering::Relaxed);
    }

    /// At least and at most: states accepted for the bot of this name.
    pub fn bounds(&self, bot: &str) -> (u64, u64) {
        let sides: &[&[AtomicU64; 2]] = match bot {
            "left" => &[&self.left],
            "right" => &[&self.right],
            _ => &[&self.left, &self.right],
        };
        let sum = |which: usize| sides.iter().map(|side| side[which].load(Ordering::Relaxed)).sum::<u64>();
        (sum(0), sum(0) + sum(1))
    }
}

/// What all posters share.
pub struct Office {
    pub ledger: Arc<Ledger>,
    pub clock: Arc<SystemClock>,
    pub replicas: Arc<Replicas>,
    pub counts: Counts,
    pub client: reqwest::Client,
}

impl Office {
    /// Posts until it is taken. Waits for an answer as long as Alertmanager does, which is `group_interval`.
    pub async fn deliver(&self, group: &str, states: &[(usize, Step)], rng: &mut Rng) {
        let body = self.ledger.body(group, states);
        self.ledger.note(states, None);
        loop {
            let doors = self.replicas.doors();
            if doors.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let (_, to) = doors[rng.usize(..doors.len())];
            self.counts.posted.fetch_add(1, Ordering::Relaxed);
            let answer = load::post(&self.client, to, body.clone()).await;
            self.counts.count(&self.ledger, states, answer);
            if answer.is_ok() {
                self.ledger.note(states, Some(self.clock.mono()));
                return;
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(50..300))).await;
        }
    }
}

/// One webhook.
struct Line {
    /// Milliseconds before it.
    pause: u64,
    states: Vec<(usize, Step)>,
    /// Lines of the script that it stands for.
    lines: usize,
}

/// What a group's Alertmanagers post, written on demand.
struct Script {
    group: String,
    rng: Rng,
    members: Vec<(usize, Step)>,
    /// Milliseconds of pause before each, and its states.
    lines: Vec<(u64, Vec<(usize, Step)>)>,
    /// Webhooks of a burst that are still to come.
    burst: usize,
}

impl Script {
    fn new(group: String, seed: u64) -> Self {
        Self { group, rng: Rng::with_seed(seed), members: Vec::new(), lines: Vec::new(), burst: 0 }
    }

    fn write(&mut self, ledger: &Ledger) {
        let rng = &mut self.rng;
        if self.burst == 0 && rng.usize(..25) == 0 {
            self.burst = rng.usize(5..20);
        }
        let pause = if self.burst > 0 { 20 } else { rng.u64(100..2_500) };
        self.burst = self.burst.saturating_sub(1);
        let mut states: Vec<(usize, Step)> = Vec::new();
        for _ in 0..rng.usize(1..=3) {
            if rng.usize(..10) < 6 && !self.members.is_empty() {
                // Rather of late: so that changes meet states that still wait.
                let at = self.members.len() - 1 - rng.usize(..self.members.len().min(6));
                let member = &mut self.members[at];
                if states.iter().all(|(alert, _)| *alert != member.0) && member.1 < STEPS {
                    member.1 += 1;
                    states.push(*member);
                    continue;
                }
            }
            if states.len() < 2 {
                let severity = ["warning", "error", "info", "critical"][rng.usize(..40).min(33) / 11];
                let side = if rng.bool() { LEFT } else { "Right" };
                let alert = ledger.add(&format!("{side}{}", self.group), severity);
                self.members.push((alert, 0));
                states.push((alert, 0));
            }
        }
        self.lines.push((pause, states));
    }

    /// What is to be posted by one that has posted `n` lines, and how many lines that is; `None` when nothing more is
    /// written. Who was held up posts the newest state of each alert, as an Alertmanager does at its next flush.
    fn line(&mut self, n: usize, ledger: &Ledger, stop: bool) -> Option<Line> {
        if self.lines.len() <= n && !stop {
            self.write(ledger);
        }
        let lines = self.lines.get(n..).filter(|lines| !lines.is_empty())?;
        if lines.len() <= CLOSE_BEHIND {
            let (pause, states) = lines[0].clone();
            return Some(Line { pause, states, lines: 1 });
        }
        let newest: BTreeMap<usize, Step> = lines.iter().flat_map(|(_, states)| states.iter().copied()).collect();
        Some(Line { pause: 0, states: newest.into_iter().collect(), lines: lines.len() })
    }
}

/// Everybody who posts in a storm.
pub struct Storm {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Storm {
    pub fn start(office: &Arc<Office>, rng: &mut Rng) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..SINGLES + TWINS {
            let script = Arc::new(Mutex::new(Script::new(format!("G{number}"), rng.u64(..))));
            for _ in 0..if number < SINGLES { 1 } else { 2 } {
                let (office, stop, script) = (Arc::clone(office), Arc::clone(&stop), Arc::clone(&script));
                tasks.spawn(alertmanager(office, script, stop, Rng::with_seed(rng.u64(..))));
            }
        }
        Self { stop, tasks }
    }

    /// Waits until all that was written is taken. Says no when that takes too long.
    pub async fn end(mut self, patience: Duration) -> bool {
        self.stop.store(true, Ordering::Relaxed);
        let all = async {
            while let Some(task) = self.tasks.join_next().await {
                task.unwrap();
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }
}

async fn alertmanager(office: Arc<Office>, script: Arc<Mutex<Script>>, stop: Arc<AtomicBool>, mut rng: Rng) {
    let mut posted = 0;
    loop {
        let (group, line) = {
            let mut script = script.lock().unwrap();
            (script.group.clone(), script.line(posted, &office.ledger, stop.load(Ordering::Relaxed)))
        };
        let Some(Line { pause, states, lines }) = line else { return };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        office.deliver(&group, &states, &mut rng).await;
        posted += lines;
    }
}

/// Posts a new alert every so often, each a group of its own, until told to stop.
pub async fn steady(office: Arc<Office>, every: Duration, stop: Arc<AtomicBool>, mut rng: Rng) {
    let mut ticks = tokio::time::interval(every);
    let mut posts = JoinSet::new();
    for n in 0.. {
        ticks.tick().await;
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let side = if n % 2 == 0 { LEFT } else { "Right" };
        let alert = office.ledger.add(&format!("{side}Steady"), "warning");
        let (office, mut rng) = (Arc::clone(&office), Rng::with_seed(rng.u64(..)));
        posts.spawn(async move { office.deliver(&format!("Steady{n}"), &[(alert, 0)], &mut rng).await });
    }
    while let Some(post) = posts.join_next().await {
        post.unwrap();
    }
}
