//! What was posted: which alert was in which state when, and whether the webhook was answered 200.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// A state of an alert: 0 fires, 1 has ended, 2 fires again, 3 has ended again...
pub type Step = u32;

/// Whether the alert fires in this state.
pub const fn fires(step: Step) -> bool {
    step.is_multiple_of(2)
}

/// One alert, known in texts by its `instance`, [`token`].
#[derive(Clone, Debug)]
pub struct Alert {
    pub name: String,
    pub severity: &'static str,
    /// States that were posted, in order.
    pub posted: Vec<Posted>,
}

/// One state, posted.
#[derive(Clone, Copy, Debug)]
pub struct Posted {
    pub step: Step,
    /// When the 200 came; `None` when there was none: then it may have been taken or not.
    pub taken: Option<Duration>,
}

impl Alert {
    /// The last state that was answered 200.
    pub fn last(&self) -> Option<Posted> {
        self.posted.iter().rev().find(|posted| posted.taken.is_some()).copied()
    }

    /// The state that must have been told at least. Of several firings in a row the first is enough, as of several ends: when
    /// the end between two firings was not taken, the second is a repeat.
    pub fn due(&self) -> Option<Step> {
        let mut taken = self.posted.iter().rev().filter(|posted| posted.taken.is_some());
        let last = taken.next()?.step;
        Some(taken.take_while(|posted| fires(posted.step) == fires(last)).last().map_or(last, |posted| posted.step))
    }
}

/// The `instance` of alert number `n`. Six digits, so that none is part of another.
pub fn token(n: usize) -> String {
    format!("i{n:06}")
}

/// Every alert of a drill.
pub struct Ledger {
    /// `startsAt` of every alert's first firing; each later one is a minute later. On a full minute.
    began: Timestamp,
    starts: HashMap<String, u32>,
    alerts: Mutex<Vec<Alert>>,
}

/// Firings of one alert that can be told apart.
const FIRINGS: u32 = 600;

impl Ledger {
    pub fn new() -> Self {
        let now = Timestamp::now();
        // An hour ago, so that no state begins in the future before its 60th firing.
        let began = Timestamp::from_second((now.as_second() / 60 - 60) * 60).unwrap();
        let mut ledger = Self { began, starts: HashMap::new(), alerts: Mutex::default() };
        ledger.starts = (0..FIRINGS).map(|n| (ledger.clock(n), n)).collect();
        ledger
    }

    /// When this firing of any alert begins, as messages show it: `HH:MM`, UTC.
    pub fn clock(&self, firing: u32) -> String {
        (self.began + SignedDuration::from_mins(i64::from(firing))).strftime("%H:%M").to_string()
    }

    pub fn alerts(&self) -> MutexGuard<'_, Vec<Alert>> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an alert, and returns its number.
    pub fn add(&self, name: &str, severity: &'static str) -> usize {
        let mut alerts = self.alerts();
        alerts.push(Alert { name: name.to_owned(), severity, posted: Vec::new() });
        alerts.len() - 1
    }

    /// The firing that began at this time of day, `HH:MM`.
    pub fn firing(&self, starts: &str) -> Option<u32> {
        self.starts.get(starts).copied()
    }

    fn entry(&self, alert: &Alert, n: usize, step: Step) -> Value {
        let starts = self.began + SignedDuration::from_mins(i64::from(step / 2));
        let ends = starts + SignedDuration::from_secs(50);
        json!({
            "status": if fires(step) { "firing" } else { "resolved" },
            "labels": {"alertname": alert.name, "instance": token(n), "severity": alert.severity},
            "annotations": {"summary": "measured 97, bound 90"},
            "startsAt": starts.to_string(),
            "endsAt": if fires(step) { "0001-01-01T00:00:00Z".to_owned() } else { ends.to_string() },
            "generatorURL": "http://prom.example:9090/graph?g0.expr=up",
            "fingerprint": "",
        })
    }

    /// A notification about these states of one group, as Alertmanager sends it.
    pub fn body(&self, group: &str, states: &[(usize, Step)]) -> Vec<u8> {
        let alerts = self.alerts();
        let entries: Vec<Value> = states.iter().map(|(n, step)| self.entry(&alerts[*n], *n, *step)).collect();
        drop(alerts);
        let firing = states.iter().any(|(_, step)| fires(*step));
        let body = json!({
            "receiver": "alarmbell",
            "status": if firing { "firing" } else { "resolved" },
            "alerts": entries,
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example:9093",
            "version": "4",
            "groupKey": format!("{{}}:{{group={group:?}}}"),
            "truncatedAlerts": 0,
        });
        body.to_string().into_bytes()
    }

    /// Notes that these states were posted, and when the first 200 came. What a snapshot or a second Alertmanager repeats
    /// is noted once.
    pub fn note(&self, states: &[(usize, Step)], taken: Option<Duration>) {
        let mut alerts = self.alerts();
        for (n, step) in states {
            let posted = &mut alerts[*n].posted;
            match posted.iter_mut().rev().find(|posted| posted.step == *step) {
                Some(known) => known.taken = known.taken.or(taken),
                None => posted.push(Posted { step: *step, taken }),
            }
        }
    }
}
