//! What every drill holds a robot's record to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chat::Chat;
use super::ledger::{Alert, Ledger, fires};
use super::parse::State;
use super::report::Section;

/// No refusal by the robot's own rules, and no window over its limit: by the sandbox's count and by the times of arrival.
pub fn limits(section: &mut Section, who: &str, chat: &Chat) {
    let own: Vec<String> = chat
        .refused
        .iter()
        .filter(|record| record.fault.is_empty())
        .map(|record| format!("{} {} {}", record.code, record.errmsg, record.reason))
        .collect();
    section.none(format!("{who}: refusals"), &own);
    let mut over = Vec::new();
    let mut fullest = Vec::new();
    for window in &chat.stats.windows {
        let per = Duration::from_millis(window.per_ms);
        let (sandbox, arrival, limit) = (window.max, chat.fullest(per), window.messages as usize);
        fullest.push(format!("{} of {limit} in {} s", sandbox.max(arrival), per.as_secs_f64()));
        if sandbox > limit || arrival > limit {
            over.push(format!("{sandbox} by the robot's count, {arrival} by arrival, in {per:?}; limit {limit}"));
        }
    }
    let detail = if over.is_empty() { fullest.join(", ") } else { over.join("; ") };
    section.check(format!("{who}: never over the limit in any window"), over.is_empty(), detail);
}

/// Every message can be read, adds up in itself and with the list behind it, and none tells an older state after a newer.
pub fn texts(section: &mut Section, who: &str, chat: &Chat) {
    section.none(format!("{who}: messages that say nothing"), &chat.mute());
    section.none(format!("{who}: messages that do not add up in themselves"), &chat.wrong());
    section.none(format!("{who}: older states after newer ones"), &chat.disorder());
}

/// Every alert whose webhook was answered 200 is told, in that state or a newer one.
pub fn losses(section: &mut Section, who: &str, chat: &Chat, ledger: &Ledger) {
    let told = chat.told();
    let alerts = ledger.alerts();
    let lost = |(n, alert): (usize, &Alert)| {
        let due = alert.due()?;
        match told.get(&n) {
            Some(step) if *step >= due => None,
            Some(step) => Some(format!("alert {n} ({}): told {step}, taken {due}", alert.name)),
            None => Some(format!("alert {n} ({}): never told", alert.name)),
        }
    };
    let lost: Vec<String> = alerts.iter().enumerate().filter_map(lost).collect();
    let taken = alerts.iter().filter(|alert| alert.last().is_some()).count();
    section.figure(format!("{who}: alerts accepted, told"), format!("{taken}, {}", told.len()));
    section.none(format!("{who}: accepted alerts lost"), &lost);
}

/// How often alerts may be told as firing and as ended: at least and at most.
#[derive(Clone, Copy, Default, Debug)]
struct Bounds {
    firing: (u64, u64),
    resolved: (u64, u64),
}

impl Bounds {
    fn add(&mut self, alert: &Alert) {
        let Some(last) = alert.last() else { return };
        let taken = || alert.posted.iter().filter(|posted| posted.taken.is_some());
        let firings = taken().filter(|posted| fires(posted.step)).count() as u64;
        let ends = taken().count() as u64 - firings;
        // The last state is told; of those before, whatever its chat was in time for. An alert that is only known as ended
        // or as firing is told once.
        let now = fires(last.step);
        self.firing.0 += u64::from(now);
        self.resolved.0 += u64::from(!now);
        self.firing.1 += firings;
        self.resolved.1 += ends;
    }

    const fn of(&self, state: State) -> (u64, u64) {
        match state {
            State::Firing => self.firing,
            State::Resolved | State::Still => self.resolved,
        }
    }
}

/// Named and counted figures, read out of the texts, against what was posted: per alertname and per severity.
pub fn sums(section: &mut Section, who: &str, chat: &Chat, ledger: &Ledger) {
    let mut by_name: BTreeMap<String, Bounds> = BTreeMap::new();
    let mut by_severity: BTreeMap<String, Bounds> = BTreeMap::new();
    for alert in ledger.alerts().iter() {
        by_name.entry(alert.name.clone()).or_default().add(alert);
        by_severity.entry(alert.severity.to_owned()).or_default().add(alert);
    }
    let mut names: BTreeMap<(State, String), u64> = BTreeMap::new();
    let mut totals: BTreeMap<(State, String), u64> = BTreeMap::new();
    let mut folded: BTreeMap<State, u64> = BTreeMap::new();
    for figures in chat.messages.iter().map(|message| &message.said.figures) {
        figures.names.iter().for_each(|(key, n)| *names.entry(key.clone()).or_default() += n);
        figures.totals.iter().for_each(|(key, n)| *totals.entry(key.clone()).or_default() += n);
        figures.folded.iter().for_each(|(state, n)| *folded.entry(*state).or_default() += n);
    }
    let mut exact = 0;
    let mut compare =
        |what: &str, bounds: &BTreeMap<String, Bounds>, said: &BTreeMap<(State, String), u64>, open: bool| {
            let mut wrong = Vec::new();
            for state in [State::Firing, State::Resolved] {
                let folded = if open { folded.get(&state).copied().unwrap_or(0) } else { 0 };
                for (key, bound) in bounds {
                    let ((least, most), n) = (bound.of(state), said.get(&(state, key.clone())).copied().unwrap_or(0));
                    exact += u64::from(least == most);
                    // What is folded away may be of any name.
                    if n > most || n + folded < least {
                        wrong.push(format!("{what} {key}, {state:?}: said {n}, posted {least} to {most}"));
                    }
                }
                for ((_, key), n) in said.iter().filter(|((of, key), _)| *of == state && !bounds.contains_key(key)) {
                    if !key.is_empty() {
                        wrong.push(format!("{what} {key:?}, {state:?}: said {n}, never posted"));
                    }
                }
            }
            wrong
        };
    let mut wrong = compare("name", &by_name, &names, true);
    // Where a text counts ended ones without their severity, only their sum can be held to anything.
    let bare = totals.get(&(State::Resolved, String::new())).copied().unwrap_or(0);
    if bare == 0 {
        wrong.extend(compare("severity", &by_severity, &totals, false));
    }
    for state in [State::Firing, State::Resolved] {
        let said: u64 = totals.iter().filter(|((of, _), _)| *of == state).map(|(_, n)| n).sum();
        let (least, most) = by_severity.values().fold((0, 0), |sum, bound| {
            let (least, most) = bound.of(state);
            (sum.0 + least, sum.1 + most)
        });
        section.figure(
            format!("{who}: told as {state:?}, at least and at most posted"),
            format!("{said}, {least}, {most}"),
        );
        if !(least..=most).contains(&said) {
            wrong.push(format!("all, {state:?}: said {said}, posted {least} to {most}"));
        }
    }
    section.figure(format!("{who}: sums with one right value"), exact);
    section.none(format!("{who}: sums by alertname and severity that differ"), &wrong);
}

/// The longest that a critical alert waited to be named or counted: the n-th accepted against the n-th told, and each
/// that is named by itself.
pub fn criticals(chat: &Chat, ledger: &Ledger) -> (usize, Duration, Vec<String>) {
    let alerts = ledger.alerts();
    let mut taken: Vec<Duration> = alerts
        .iter()
        .filter(|alert| alert.severity == "critical")
        .filter_map(|alert| alert.posted.iter().find(|posted| fires(posted.step))?.taken)
        .collect();
    taken.sort_unstable();
    let mut told = Vec::new();
    for message in &chat.messages {
        let n = usize::try_from(message.said.figures.firing("critical")).unwrap();
        told.extend(std::iter::repeat_n(message.at, n));
    }
    let mut worst = Duration::ZERO;
    let mut missing = Vec::new();
    for (n, taken) in taken.iter().enumerate() {
        match told.get(n) {
            Some(told) => worst = worst.max(told.saturating_sub(*taken)),
            None => missing.push(format!("the {}. critical alert was never told", n + 1)),
        }
    }
    for (n, alert) in alerts.iter().enumerate().filter(|(_, alert)| alert.severity == "critical") {
        let first = chat.messages.iter().find(|message| message.tells.iter().any(|(told, _)| *told == n));
        let taken = alert.posted.iter().find(|posted| fires(posted.step)).and_then(|posted| posted.taken);
        if let (Some(first), Some(taken)) = (first, taken) {
            worst = worst.max(first.at.saturating_sub(taken));
        }
    }
    (taken.len(), worst, missing)
}
