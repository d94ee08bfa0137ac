//! What goes wrong.

use std::sync::Arc;
use std::time::Duration;

use alarmbell::clock::{Clock, SystemClock};
use fastrand::Rng;
use rustix::process::Signal;
use tokio::sync::MutexGuard;

use super::replicas::{Folder, Place, Replicas, USUAL};
use crate::proxy::{Cut, Mode};

/// Kinds of incidents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// kill -9, and a new one with the same storage path.
    KillSame,
    /// kill -9, and a new one on another machine, so to speak.
    KillFresh,
    /// SIGSTOP for longer than a lease, then SIGCONT.
    Stop,
    /// A fourth replica comes, and leaves as SIGTERM asks it to.
    Fourth,
    /// The database is restarted in an orderly way.
    RestartFast,
    /// The database is restarted as after a crash.
    RestartImmediate,
    /// Nobody reaches the database.
    CutAll,
    /// One replica does not reach the database.
    CutOne,
    /// Connections are cut when something is to be committed, before or after it was.
    CutCommits,
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::KillSame,
        Self::KillFresh,
        Self::Stop,
        Self::Fourth,
        Self::RestartFast,
        Self::RestartImmediate,
        Self::CutAll,
        Self::CutOne,
        Self::CutCommits,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KillSame => "kill -9, same folder",
            Self::KillFresh => "kill -9, fresh folder",
            Self::Stop => "stopped and continued",
            Self::Fourth => "a fourth comes and goes",
            Self::RestartFast => "database restarted, fast",
            Self::RestartImmediate => "database restarted, immediate",
            Self::CutAll => "database cut off, all",
            Self::CutOne => "database cut off, one",
            Self::CutCommits => "cut at commit",
        }
    }

    /// Whether it needs the database's server for itself.
    const fn restarts(self) -> bool {
        matches!(self, Self::RestartFast | Self::RestartImmediate)
    }
}

/// One that happened.
#[derive(Clone, Debug)]
pub struct Incident {
    pub kind: Kind,
    pub from: Duration,
    pub to: Duration,
    /// To whom, and how.
    pub how: String,
    /// What should not have been.
    pub wrong: Vec<String>,
}

/// A replica that runs and to which nothing else happens.
async fn somebody<'a>(replicas: &'a Replicas, rng: &mut Rng) -> (usize, MutexGuard<'a, Place>) {
    loop {
        let first = rng.usize(..USUAL);
        for number in (0..USUAL).map(|n| (first + n) % USUAL) {
            if let Ok(place) = replicas.places[number].try_lock()
                && place.server.is_some()
            {
                return (number, place);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn seconds(rng: &mut Rng, from: f64, to: f64) -> Duration {
    Duration::from_secs_f64(from + rng.f64() * (to - from))
}

/// Lets it happen, and returns when it is over.
pub async fn happen(kind: Kind, replicas: Arc<Replicas>, clock: Arc<SystemClock>, seed: u64, short: bool) -> Incident {
    let mut rng = Rng::with_seed(seed);
    let from = clock.mono();
    let mut wrong = Vec::new();
    let how = match kind {
        Kind::KillSame => kill(&replicas, Folder::Same, &mut rng).await,
        Kind::KillFresh => kill(&replicas, Folder::Fresh, &mut rng).await,
        Kind::Stop => stop(&replicas, &mut rng, short).await,
        Kind::Fourth => fourth(&replicas, &mut rng, &mut wrong).await,
        Kind::RestartFast => restart(&replicas, false, &mut wrong).await,
        Kind::RestartImmediate => restart(&replicas, true, &mut wrong).await,
        Kind::CutAll => {
            let all: Vec<usize> = (0..replicas.proxies.len()).collect();
            cut_off(&replicas, &all, &mut rng, short).await
        }
        Kind::CutOne => {
            let one = rng.usize(..USUAL);
            cut_off(&replicas, &[one], &mut rng, short).await
        }
        Kind::CutCommits => cut_commits(&replicas, &mut rng, short).await,
    };
    Incident { kind, from, to: clock.mono(), how, wrong }
}

async fn kill(replicas: &Replicas, folder: Folder, rng: &mut Rng) -> String {
    let (number, mut place) = somebody(replicas, rng).await;
    replicas.kill(number, &mut place).await;
    let pause = seconds(rng, 0.0, 4.0);
    tokio::time::sleep(pause).await;
    replicas.start(number, &mut place, folder).await;
    format!("replica {number}, a new one after {:.1} s", pause.as_secs_f64())
}

async fn stop(replicas: &Replicas, rng: &mut Rng, short: bool) -> String {
    let (number, place) = somebody(replicas, rng).await;
    let server = place.server.as_ref().unwrap();
    let length = seconds(rng, 10.0, if short { 10.5 } else { 15.0 });
    server.program.signal(Signal::STOP);
    // Whoever watches over it notices after a moment.
    let notice = Duration::from_millis(500);
    tokio::time::sleep(notice).await;
    replicas.close(number);
    tokio::time::sleep(length - notice).await;
    server.program.signal(Signal::CONT);
    tokio::time::sleep(notice).await;
    replicas.open(number, server);
    format!("replica {number}, for {:.1} s", length.as_secs_f64())
}

async fn fourth(replicas: &Replicas, rng: &mut Rng, wrong: &mut Vec<String>) -> String {
    let mut place = replicas.places[USUAL].lock().await;
    replicas.start(USUAL, &mut place, Folder::Fresh).await;
    let length = seconds(rng, 3.0, 8.0);
    tokio::time::sleep(length).await;
    let code = replicas.terminate(USUAL, &mut place).await;
    if code != 0 {
        wrong.push(format!("the fourth replica ended with {code}"));
    }
    format!("for {:.1} s", length.as_secs_f64())
}

async fn restart(replicas: &Replicas, at_once: bool, wrong: &mut Vec<String>) -> String {
    let server = replicas.database.server().clone();
    let done = tokio::task::spawn_blocking(move || server.down(at_once).and_then(|()| server.up())).await.unwrap();
    wrong.extend(done.err());
    String::new()
}

async fn cut_off(replicas: &Replicas, whom: &[usize], rng: &mut Rng, short: bool) -> String {
    let length = if short { seconds(rng, 1.0, 4.0) } else { seconds(rng, 1.0, 12.0) };
    let mode = if rng.bool() { Mode::Refuse } else { Mode::Freeze };
    for number in whom {
        replicas.proxies[*number].set(mode);
    }
    tokio::time::sleep(length).await;
    for number in whom {
        replicas.proxies[*number].set(Mode::Pass);
    }
    format!("{whom:?}, {mode:?} for {:.1} s", length.as_secs_f64())
}

async fn cut_commits(replicas: &Replicas, rng: &mut Rng, short: bool) -> String {
    let until = tokio::time::Instant::now() + if short { seconds(rng, 1.0, 2.0) } else { seconds(rng, 2.0, 5.0) };
    let before: usize = replicas.proxies.iter().map(|proxy| proxy.trapped()).sum();
    while tokio::time::Instant::now() < until {
        let cut = if rng.bool() { Cut::Before } else { Cut::After };
        let commits = rng.usize(..3) > 0;
        let matches = move |sql: &str| {
            let sql = sql.trim_start().to_ascii_uppercase();
            if commits { sql.starts_with("COMMIT") } else { sql.starts_with("INSERT") || sql.starts_with("WITH") }
        };
        replicas.proxies[rng.usize(..USUAL)].trap(cut, matches);
        tokio::time::sleep(Duration::from_millis(rng.u64(50..400))).await;
    }
    for proxy in &replicas.proxies {
        proxy.trap(Cut::Before, |_| false);
    }
    let after: usize = replicas.proxies.iter().map(|proxy| proxy.trapped()).sum();
    format!("{} times", after - before)
}

/// All kinds and some more of them, in any order, some two at once.
pub fn plan(rng: &mut Rng, short: bool) -> Vec<Vec<Kind>> {
    if short {
        let mut turns = vec![vec![Kind::Stop, Kind::KillFresh], vec![Kind::CutAll], vec![Kind::CutCommits]];
        turns.push(vec![if rng.bool() { Kind::RestartFast } else { Kind::RestartImmediate }]);
        rng.shuffle(&mut turns);
        return turns;
    }
    let mut kinds = Kind::ALL.to_vec();
    kinds.extend(std::iter::repeat_with(|| Kind::ALL[rng.usize(..Kind::ALL.len())]).take(4).collect::<Vec<_>>());
    rng.shuffle(&mut kinds);
    let mut turns: Vec<Vec<Kind>> = Vec::new();
    for kind in kinds {
        match turns.last_mut() {
            Some(turn) if turn.len() == 1 && rng.usize(..10) < 4 && !(turn[0].restarts() && kind.restarts()) => {
                turn.push(kind);
            }
            _ => turns.push(vec![kind]),
        }
    }
    turns
}
