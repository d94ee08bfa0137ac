//! The vendors' strict emulators and the page that shows the chats.
//!
//! Independent of `channel` on purpose: it is written from the vendors' facts alone and checks what `channel` does.

mod control;
mod fault;
mod ip;
mod page;
mod peek;
mod playground;
mod record;
mod reply;
mod robot;
mod rules;
mod server;
mod vendor;
mod vendor_http;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;

pub use fault::{Fault, FaultKind};
pub use playground::{Blot, Painted, PaintedMessage, Painter, Sample, Wish};
pub use record::{Record, RequestLine, Stats};
pub use rules::{KeywordMode, Member, RateLimit, RobotState, Rules, Switches};
pub use server::{Peer, serve};
pub use vendor::Mentioned;
pub use window::WindowStat;

use crate::clock::Clock;
use crate::model::{BotKind, fnv1a};
use reply::Outcome;
use robot::{Arrival, Robot};
use vendor::Call;
use window::Limiter;

/// The most robots; beyond it an unknown token stays unknown.
const ROBOTS_MOST: usize = 2_000;
/// Unknown DingTalk tokens whose calls are counted.
const GHOSTS_MOST: usize = 1_000;

/// The emulators' state; clones share it.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    auto_create: bool,
    painter: OnceLock<Arc<dyn Painter>>,
    easels: playground::api::Easels,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Per vendor, by token.
    robots: [BTreeMap<String, Robot>; 3],
    /// Counters of unknown DingTalk tokens: it counts before it knows the token.
    ghosts: HashMap<String, Limiter>,
    /// Requests so far.
    seq: u64,
    /// Grows with every change that the page shows.
    version: u64,
}

/// One robot as the API lists it. The signing secret is not in it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct RobotInfo {
    /// Vendor.
    pub vendor: BotKind,
    /// The token in its address.
    pub token: String,
    /// Path and query of its address.
    pub path: String,
    /// Its rules, with an empty `secret`.
    pub rules: Rules,
    /// Whether it wants signatures.
    pub signed: bool,
    /// Faults that wait.
    pub faults: Vec<Fault>,
    /// Messages shown since it was made or cleared.
    pub accepted: u64,
    /// Messages refused since then.
    pub refused: u64,
}

/// What a request brings, beside the vendor and the method.
struct Request<'a> {
    token: Option<&'a str>,
    post: bool,
    content_type: &'a str,
    timestamp: Option<&'a str>,
    sign: Option<&'a str>,
    body: &'a [u8],
    oversize: bool,
    ip: std::net::IpAddr,
}

const fn slot(kind: BotKind) -> usize {
    match kind {
        BotKind::DingTalk => 0,
        BotKind::WeCom => 1,
        BotKind::Feishu => 2,
    }
}

/// 1 to 128 letters, digits, `-`, `_`, `.`.
fn sane_token(token: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=128).contains(&token.len()) && token.bytes().all(plain)
}

/// Path and query of a robot's address.
fn address(kind: BotKind, token: &str) -> String {
    match kind {
        BotKind::DingTalk => format!("/robot/send?access_token={token}"),
        BotKind::WeCom => format!("/cgi-bin/webhook/send?key={token}"),
        BotKind::Feishu => format!("/open-apis/bot/v2/hook/{token}"),
    }
}

impl Sandbox {
    /// A sandbox without robots. With `auto_create`, the first call to a token of a sane shape (1 to 128 letters,
    /// digits, `-_.`) makes a robot with the vendor's own limits and no security settings.
    pub fn new(clock: Arc<dyn Clock>, auto_create: bool) -> Self {
        let (painter, easels, state) = Default::default();
        Self(Arc::new(Inner { clock, auto_create, painter, easels, state }))
    }

    /// Offers the template playground, drawn with this painter. The first one stays.
    pub fn offer_playground(&self, painter: Arc<dyn Painter>) {
        // A second one would change what an open page shows.
        let _ = self.0.painter.set(painter);
    }

    fn painter(&self) -> Option<Arc<dyn Painter>> {
        self.0.painter.get().cloned()
    }

    /// What a robot without security settings would make of a body now. No robot remembers or counts it.
    fn trial(&self, kind: BotKind, body: &str) -> Record {
        robot::trial(kind, body, &Arrival { seq: 0, now_ms: self.0.clock.now_ms(), mono: self.mono() })
    }

    /// The vendors' endpoints, the control API under `/api/sandbox/`, and the page.
    pub fn router(&self) -> Router {
        vendor_http::routes().merge(control::routes()).merge(page::routes()).with_state(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code between lock and unlock leaves the maps half changed in a way that matters to an emulator.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mono(&self) -> Duration {
        self.0.clock.mono()
    }

    /// Makes a robot, or gives an existing one new rules.
    ///
    /// # Errors
    /// A sentence for a person when the token or a rule is not allowed, or there are too many robots.
    pub fn put_robot(&self, kind: BotKind, token: &str, rules: Rules) -> Result<(), String> {
        if !sane_token(token) {
            return Err("a token has 1 to 128 letters, digits, `-`, `_`, `.`".to_owned());
        }
        rules.check(kind)?;
        let mut state = self.state();
        state.version += 1;
        let total: usize = state.robots.iter().map(BTreeMap::len).sum();
        let robots = &mut state.robots[slot(kind)];
        match robots.get_mut(token) {
            Some(robot) => robot.set(rules),
            None if total >= ROBOTS_MOST => return Err(format!("there are {ROBOTS_MOST} robots already")),
            None => {
                robots.insert(token.to_owned(), Robot::new(kind, rules));
            }
        }
        Ok(())
    }

    /// Reads or changes one robot; `None` when there is none.
    fn with_robot<T>(&self, kind: BotKind, token: &str, read: impl FnOnce(&mut Robot) -> T) -> Option<T> {
        self.state().robots[slot(kind)].get_mut(token).map(read)
    }

    /// Every robot, by vendor and token.
    pub fn robots(&self) -> Vec<RobotInfo> {
        let state = self.state();
        let all = state.robots.iter().flatten();
        all.map(|(token, robot)| {
            let stats = robot.stats();
            RobotInfo {
                vendor: robot.kind,
                token: token.clone(),
                path: address(robot.kind, token),
                rules: Rules { secret: String::new(), ..Rules::clone(&robot.rules) },
                signed: !robot.rules.secret.is_empty(),
                faults: robot.faults.iter().cloned().collect(),
                accepted: stats.accepted,
                refused: stats.refusals(),
            }
        })
        .collect()
    }

    /// Messages after number `after`, shown and refused, oldest first. `None` for an unknown robot.
    pub fn messages(&self, kind: BotKind, token: &str, after: u64, limit: usize) -> Option<Vec<Record>> {
        self.with_robot(kind, token, |robot| {
            let newer = |record: &&Record| record.seq > after;
            let both = robot.shown.iter().filter(newer).chain(robot.refused.iter().filter(newer));
            let mut both: Vec<&Record> = both.collect();
            both.sort_by_key(|record| record.seq);
            both.into_iter().take(limit).cloned().collect()
        })
    }

    /// Requests after number `after`, oldest first. `None` for an unknown robot.
    pub fn requests(&self, kind: BotKind, token: &str, after: u64, limit: usize) -> Option<Vec<RequestLine>> {
        self.with_robot(kind, token, |robot| {
            let from = robot.lines.partition_point(|line| line.seq <= after);
            robot.lines.iter().skip(from).take(limit).cloned().collect()
        })
    }

    /// Counts. `None` for an unknown robot.
    pub fn stats(&self, kind: BotKind, token: &str) -> Option<Stats> {
        self.with_robot(kind, token, |robot| robot.stats())
    }

    /// Adds a fault behind those that wait. `false` for an unknown robot or when 100 wait already.
    pub fn add_fault(&self, kind: BotKind, token: &str, fault: Fault) -> bool {
        self.with_robot(kind, token, |robot| robot.add_fault(fault)).unwrap_or(false)
    }

    /// Clears the faults of a robot. `false` for an unknown one.
    pub fn clear_faults(&self, kind: BotKind, token: &str) -> bool {
        self.with_robot(kind, token, |robot| robot.faults.clear()).is_some()
    }

    /// Forgets a robot's messages, requests and counts; rules and rate windows stay. `false` for an unknown one.
    pub fn clear_messages(&self, kind: BotKind, token: &str) -> bool {
        self.state().version += 1;
        self.with_robot(kind, token, Robot::clear).is_some()
    }

    /// Forgets every robot.
    pub fn reset(&self) {
        let mut state = self.state();
        let (seq, version) = (state.seq, state.version + 1);
        *state = State { seq, version, ..State::default() };
    }

    /// A number that grows with every change the page would show.
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// Takes one request to a send endpoint.
    fn receive(&self, kind: BotKind, request: &Request<'_>) -> Outcome {
        let (now_ms, mono) = (self.0.clock.now_ms(), self.mono());
        let mut state = self.state();
        state.seq += 1;
        state.version += 1;
        let arrival = Arrival { seq: state.seq, now_ms, mono };
        let answer = |rules: Option<&Rules>, refusal| reply::refused(kind, rules, refusal, request.ip, &arrival);
        let wrong_method = (!request.post).then(|| reply::wrong_method(kind));
        let Some(token) = request.token.filter(|token| !token.is_empty()) else {
            return answer(None, wrong_method.unwrap_or_else(|| reply::no_token(kind)));
        };
        let known = state.robots[slot(kind)].contains_key(token);
        let total: usize = state.robots.iter().map(BTreeMap::len).sum();
        if !known && wrong_method.is_none() && self.0.auto_create && sane_token(token) && total < ROBOTS_MOST {
            state.robots[slot(kind)].insert(token.to_owned(), Robot::new(kind, Rules::default()));
        }
        let Some(robot) = state.robots[slot(kind)].get_mut(token) else {
            let refusal = wrong_method.unwrap_or_else(|| ghost(&mut state.ghosts, kind, token, mono));
            return answer(None, refusal);
        };
        let media: Vec<String> = match kind {
            BotKind::WeCom => robot.live_media(mono),
            _ => Vec::new(),
        };
        let call = Call {
            content_type: request.content_type,
            timestamp: request.timestamp,
            sign: request.sign,
            body: request.body,
            oversize: request.oversize,
            ip: request.ip,
            now_ms,
            has_media: &|id| media.iter().any(|known| known == id),
        };
        if let Some(refusal) = wrong_method {
            let refusal = robot.refuse(refusal, &call, &arrival);
            return answer(Some(&robot.rules), refusal);
        }
        let decision = robot.receive(&call, &arrival);
        reply::decided(kind, &robot.rules, decision, request.ip, &arrival)
    }
}

impl Sandbox {
    /// Takes an upload whose form was `checked` (its type, or why not).
    fn uploaded(&self, key: Option<&str>, checked: Result<String, vendor::Refusal>, ip: std::net::IpAddr) -> Outcome {
        let (now_ms, mono) = (self.0.clock.now_ms(), self.mono());
        let mut state = self.state();
        state.seq += 1;
        let arrival = Arrival { seq: state.seq, now_ms, mono };
        let robot = key.and_then(|key| state.robots[slot(BotKind::WeCom)].get_mut(key));
        let Some(robot) = robot.filter(|robot| robot.rules.state == RobotState::Active) else {
            let text = "invalid param 'key'. invalid Request Parameter";
            return reply::refused(BotKind::WeCom, None, vendor::Refusal::new(2, 40_058, text, ""), ip, &arrival);
        };
        match checked {
            Err(refusal) => reply::refused(BotKind::WeCom, None, refusal, ip, &arrival),
            Ok(kind) => {
                let id = format!("3{:016x}{:08x}", fnv1a([kind.as_bytes(), key.unwrap_or("").as_bytes()]), arrival.seq);
                robot.add_media(id.clone(), mono);
                reply::uploaded(&kind, &id, now_ms)
            }
        }
    }
}

/// Answers a call to a token that nobody has. DingTalk counts such calls too.
fn ghost(ghosts: &mut HashMap<String, Limiter>, kind: BotKind, token: &str, mono: Duration) -> vendor::Refusal {
    if kind == BotKind::DingTalk {
        let rules = Rules::default();
        if ghosts.len() >= GHOSTS_MOST && !ghosts.contains_key(token) {
            ghosts.clear();
        }
        let key: String = token.chars().take(128).collect();
        let limiter =
            ghosts.entry(key).or_insert_with(|| Limiter::new(rules.limits(kind), rules.penalty(kind), false, true));
        if limiter.call(mono).is_err() {
            return vendor::too_fast(kind, None, String::new());
        }
    }
    vendor::unknown_token(kind, None)
}
