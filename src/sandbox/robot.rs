//! One robot: its rules, its counts, and what it remembers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, FaultKind};
use super::record::{Record, RequestLine, Stats};
use super::rules::{RobotState, Rules};
use super::vendor::{self, Call, Refusal, Taken};
use super::window::Limiter;
use crate::model::{BotKind, fnv1a};

const SHOWN_KEPT: usize = 2_000;
const REFUSED_KEPT: usize = 500;
const LINES_KEPT: usize = 200_000;
const UUIDS_KEPT: usize = 50_000;
const MEDIA_KEPT: usize = 1_000;
const FAULTS_KEPT: usize = 100;
/// Bytes of messages kept by one robot.
const WEIGHT_KEPT: usize = 16 << 20;
/// Bytes of a refused body that are kept.
const REFUSED_RAW: usize = 32 * 1024;
const MEDIA_LIFE: Duration = Duration::from_secs(3 * 86_400);

/// When and how a request came.
pub(super) struct Arrival {
    pub(super) seq: u64,
    pub(super) now_ms: i64,
    pub(super) mono: Duration,
}

/// What was decided about a request.
pub(super) struct Decision {
    /// `Err` is what the vendor answers; `Ok` is success.
    pub(super) verdict: Result<(), Refusal>,
    /// The fault that changes the answer.
    pub(super) fault: Option<Fault>,
}

pub(super) struct Robot {
    pub(super) kind: BotKind,
    pub(super) rules: Arc<Rules>,
    pub(super) faults: VecDeque<Fault>,
    pub(super) shown: VecDeque<Record>,
    pub(super) refused: VecDeque<Record>,
    pub(super) lines: VecDeque<RequestLine>,
    stats: Stats,
    limiter: Limiter,
    uuids: (HashSet<String>, VecDeque<String>),
    media: HashMap<String, Duration>,
    weight: usize,
}

fn limiter(kind: BotKind, rules: &Rules) -> Limiter {
    let switches = &rules.switches;
    Limiter::new(rules.limits(kind), rules.penalty(kind), switches.fixed_windows, switches.count_refused)
}

impl Robot {
    pub(super) fn new(kind: BotKind, rules: Rules) -> Self {
        Self {
            limiter: limiter(kind, &rules),
            kind,
            rules: Arc::new(rules),
            faults: VecDeque::new(),
            shown: VecDeque::new(),
            refused: VecDeque::new(),
            lines: VecDeque::new(),
            stats: Stats::default(),
            uuids: Default::default(),
            media: HashMap::new(),
            weight: 0,
        }
    }

    /// Sets new rules. Counting starts anew only when the limits changed.
    pub(super) fn set(&mut self, rules: Rules) {
        let same = rules.limits(self.kind) == self.rules.limits(self.kind)
            && rules.penalty(self.kind) == self.rules.penalty(self.kind)
            && rules.switches == self.rules.switches;
        if !same {
            self.limiter = limiter(self.kind, &rules);
        }
        self.rules = Arc::new(rules);
    }

    /// Forgets messages, requests, counts and seen `msgUuid`s; the rate windows stay.
    pub(super) fn clear(&mut self) {
        self.shown.clear();
        self.refused.clear();
        self.lines.clear();
        self.uuids = Default::default();
        self.stats = Stats::default();
        self.weight = 0;
    }

    pub(super) fn add_fault(&mut self, fault: Fault) -> bool {
        let room = self.faults.len() < FAULTS_KEPT;
        if room {
            self.faults.push_back(fault);
        }
        room
    }

    pub(super) fn stats(&self) -> Stats {
        Stats { windows: self.limiter.stats(), ..self.stats.clone() }
    }

    pub(super) fn add_media(&mut self, id: String, now: Duration) {
        self.media.retain(|_, at| now.saturating_sub(*at) < MEDIA_LIFE);
        if self.media.len() < MEDIA_KEPT {
            self.media.insert(id, now);
        }
    }

    /// The media that this robot's messages may name.
    pub(super) fn live_media(&self, now: Duration) -> Vec<String> {
        let live = self.media.iter().filter(|(_, at)| now.saturating_sub(**at) < MEDIA_LIFE);
        live.map(|(id, _)| id.clone()).collect()
    }

    fn next_fault(&mut self) -> Option<Fault> {
        while self.faults.front().is_some_and(|fault| fault.count == Some(0)) {
            self.faults.pop_front();
        }
        let fault = self.faults.front_mut()?;
        let taken = fault.clone();
        if let Some(count) = &mut fault.count {
            *count -= 1;
        }
        if self.faults.front().is_some_and(|fault| fault.count == Some(0)) {
            self.faults.pop_front();
        }
        Some(taken)
    }

    /// Whether the robot is there, as its vendor would say it.
    pub(super) fn presence(&self) -> Result<(), Refusal> {
        match self.rules.state {
            RobotState::Active => Ok(()),
            RobotState::Stopped => Err(vendor::stopped(self.kind)),
            RobotState::Gone => Err(vendor::unknown_token(self.kind, Some(&self.rules))),
        }
    }

    fn judge(&mut self, call: &Call<'_>, mono: Duration) -> Result<Taken, Refusal> {
        // Every call counts, whatever becomes of it.
        let rate = self.limiter.call(mono);
        // DingTalk counts before it looks the token up; the others the other way round.
        if self.kind != BotKind::DingTalk {
            self.presence()?;
        }
        rate.map_err(|limit| {
            let per = limit.per_ms as f64 / 1_000.0;
            let mut reason = format!("too fast: more than {} calls in {per} s", limit.messages);
            if self.rules.penalty(self.kind) > 0 {
                let minutes = self.rules.penalty(self.kind) as f64 / 60_000.0;
                reason.push_str(&format!("; the robot stays closed for {minutes} min"));
            }
            vendor::too_fast(self.kind, Some(&self.rules), reason)
        })?;
        if self.kind == BotKind::DingTalk {
            self.presence()?;
        }
        vendor::check(self.kind, call, &self.rules)
    }

    /// Takes one request through fault, count and checks, and remembers it.
    pub(super) fn receive(&mut self, call: &Call<'_>, arrival: &Arrival) -> Decision {
        let fault = self.next_fault();
        if let Some(fault) = &fault {
            *self.stats.faults.entry(fault.kind.as_str()).or_default() += 1;
        }
        let reaches = fault.as_ref().is_none_or(|fault| fault.kind.reaches_robot());
        let judged = match &fault {
            Some(fault) if !reaches => {
                let _ = self.limiter.call(arrival.mono);
                Err(self.faulted(fault.kind))
            }
            _ => self.judge(call, arrival.mono),
        };
        let name = fault.as_ref().map_or("", |fault| fault.kind.as_str());
        let verdict = self.remember(judged, name, call, arrival);
        Decision { verdict, fault }
    }

    /// A request that ended before any robot's rule was asked (wrong method).
    pub(super) fn refuse(&mut self, refusal: Refusal, call: &Call<'_>, arrival: &Arrival) -> Refusal {
        let told = refusal.clone();
        let _ = self.remember(Err(refusal), "", call, arrival);
        told
    }

    fn faulted(&self, kind: FaultKind) -> Refusal {
        let reason = format!("fault on demand: {}", kind.in_words());
        let mut refusal = match kind {
            FaultKind::Busy => vendor::busy(self.kind),
            FaultKind::Misconfigured => vendor::unknown_token(self.kind, Some(&self.rules)),
            FaultKind::RateLimited => vendor::too_fast(self.kind, Some(&self.rules), String::new()),
            FaultKind::Http500 => Refusal::new(0, 500, "", ""),
            FaultKind::Http502 => Refusal::new(0, 502, "", ""),
            FaultKind::Http503 => Refusal::new(0, 503, "", ""),
            FaultKind::Http504 => Refusal::new(0, 504, "", ""),
            FaultKind::Http429 => Refusal::new(0, 429, "", ""),
            FaultKind::Status1111 => Refusal::new(0, 1_111, "", ""),
            _ => Refusal::new(0, 0, "", ""),
        };
        refusal.reason = reason;
        refusal
    }

    fn remember(
        &mut self,
        judged: Result<Taken, Refusal>,
        fault: &'static str,
        call: &Call<'_>,
        arrival: &Arrival,
    ) -> Result<(), Refusal> {
        self.stats.requests += 1;
        let duplicate = judged.as_ref().is_ok_and(|taken| self.seen(taken.uuid.as_deref()));
        let hash = match &judged {
            Ok(taken) => fnv1a([taken.title.as_bytes(), b"\n", taken.text.as_bytes()]),
            Err(_) => fnv1a([call.body]),
        };
        let refusal = judged.as_ref().err();
        self.lines.push_back(RequestLine {
            seq: arrival.seq,
            at_ms: arrival.now_ms,
            mono_us: u64::try_from(arrival.mono.as_micros()).unwrap_or(u64::MAX),
            accepted: refusal.is_none(),
            duplicate,
            step: refusal.map_or(0, |refusal| refusal.step),
            code: refusal.map_or(0, |refusal| refusal.code),
            fault,
            bytes: call.body.len(),
            hash: format!("{hash:016x}"),
        });
        if self.lines.len() > LINES_KEPT {
            self.lines.pop_front();
        }
        if duplicate {
            self.stats.duplicates += 1;
            return Ok(());
        }
        self.keep(record(&judged, fault, call, arrival));
        match judged {
            Ok(_) => {
                self.stats.accepted += 1;
                Ok(())
            }
            Err(refusal) => {
                *self.stats.refused.entry(refusal.code.to_string()).or_default() += 1;
                Err(refusal)
            }
        }
    }

    /// Whether this `msgUuid` was accepted before; remembers it.
    fn seen(&mut self, uuid: Option<&str>) -> bool {
        let Some(uuid) = uuid else { return false };
        if !self.uuids.0.insert(uuid.to_owned()) {
            return true;
        }
        self.uuids.1.push_back(uuid.to_owned());
        let full = self.uuids.1.len() > UUIDS_KEPT;
        if let Some(oldest) = full.then(|| self.uuids.1.pop_front()).flatten() {
            self.uuids.0.remove(&oldest);
        }
        false
    }

    fn keep(&mut self, record: Record) {
        self.weight += record.weight();
        let accepted = record.accepted;
        let (list, most) = if accepted { (&mut self.shown, SHOWN_KEPT) } else { (&mut self.refused, REFUSED_KEPT) };
        list.push_back(record);
        while list.len() > most || (self.weight > WEIGHT_KEPT && list.len() > 1) {
            if let Some(oldest) = list.pop_front() {
                self.weight = self.weight.saturating_sub(oldest.weight());
            }
        }
    }
}

/// Judges a body as a robot without security settings would, and remembers it nowhere.
pub(super) fn trial(kind: BotKind, body: &str, arrival: &Arrival) -> Record {
    let call = Call {
        content_type: "application/json",
        timestamp: None,
        sign: None,
        body: body.as_bytes(),
        oversize: false,
        ip: std::net::Ipv4Addr::LOCALHOST.into(),
        now_ms: arrival.now_ms,
        has_media: &|_| false,
    };
    let judged = vendor::check(kind, &call, &Rules::default());
    record(&judged, "", &call, arrival)
}

fn record(judged: &Result<Taken, Refusal>, fault: &'static str, call: &Call<'_>, arrival: &Arrival) -> Record {
    let empty = Taken::default();
    let (taken, refusal) = match judged {
        Ok(taken) => (taken, None),
        Err(refusal) => (&empty, Some(refusal)),
    };
    let kept = if refusal.is_some() { call.body.len().min(REFUSED_RAW) } else { call.body.len() };
    let raw = String::from_utf8_lossy(call.body.get(..kept).unwrap_or_default()).into_owned();
    // What was refused has a type and a title all the same, if it can be read.
    let (msgtype, title) = match refusal {
        None => (taken.msgtype.clone(), taken.title.clone()),
        Some(_) => super::peek::headline(&raw),
    };
    let at = jiff::Timestamp::from_millisecond(arrival.now_ms).unwrap_or_default();
    Record {
        seq: arrival.seq,
        at: format!("{at:.3}"),
        at_ms: arrival.now_ms,
        accepted: refusal.is_none(),
        step: refusal.map_or(0, |refusal| refusal.step),
        code: refusal.map_or(0, |refusal| refusal.code),
        errmsg: refusal.map_or("ok", |refusal| &refusal.text).to_owned(),
        reason: refusal.map_or("", |refusal| &refusal.reason).to_owned(),
        fault,
        msgtype,
        title,
        text: taken.text.clone(),
        mentions: taken.mentions.clone(),
        bytes: if refusal.is_some() { call.body.len() } else { taken.used },
        limit: taken.limit,
        warnings: taken.warnings.clone(),
        msg_uuid: taken.uuid.clone().unwrap_or_default(),
        raw,
    }
}
