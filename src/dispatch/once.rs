//! One message outside the queue, for `alarmbell send`: takes its turn among the attempts of the server that owns the
//! store, when there is one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::{self, Reply};
use super::letter::{dialect, history_text};
use super::robot::Robot;
use super::{BotConfig, Preview, RateLimit};
use crate::channel;
use crate::clock::Clock;
use crate::model::{Draft, Kind, Lang, Mentions, MessageId, Millis, Tone, Verdict};
use crate::render::KeywordMode;
use crate::store::{Begin, Begun, Effect, Outcome, Store, StoreError};

/// An attempt that is open for longer than this has nobody left who would end it: a request takes 5 s at most.
const IN_FLIGHT: Millis = 10_000;
/// How often an attempt in flight is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A message for [`send_once`].
#[derive(Clone, Debug)]
pub struct OnceMessage {
    /// Its id.
    pub id: MessageId,
    /// Its kind.
    pub kind: Kind,
    /// The unsigned request body.
    pub body: Bytes,
    /// What the history shows.
    pub text: String,
}

impl OnceMessage {
    /// A text that says that it is a test, in the bot's language and with its keywords. Calls nobody.
    pub fn test(config: &BotConfig, id: MessageId) -> Self {
        let draft = test_draft(config);
        Self {
            kind: Kind::Plain,
            body: dialect(config).encode(&draft, id.as_str()).into(),
            text: history_text(&draft),
            id,
        }
    }
}

impl From<Preview> for OnceMessage {
    fn from(preview: Preview) -> Self {
        Self { id: preview.id, kind: preview.kind, body: preview.body, text: preview.text }
    }
}

fn test_draft(config: &BotConfig) -> Draft {
    let name = &config.name;
    let (title, mut body) = match config.lang {
        Lang::Zh => (
            "【测试】alarmbell 测试消息".to_owned(),
            format!("这是 alarmbell 以 {name} 之名发来的测试消息，不是告警，无需处理。"),
        ),
        Lang::En => (
            "[TEST] alarmbell test message".to_owned(),
            format!("A test message from alarmbell, sent as {name}. This is no alert; nobody has to do anything."),
        ),
    };
    let has = |word: &&str| title.contains(word) || body.contains(word);
    let missing: Vec<&str> = config.keywords.iter().map(String::as_str).filter(|word| !has(word)).collect();
    let wanted = match config.keyword_mode {
        KeywordMode::All => true,
        KeywordMode::Any => missing.len() == config.keywords.len(),
    };
    if wanted && !missing.is_empty() {
        body.push('\n');
        body.push_str(&missing.join(" "));
    }
    Draft::plain(title, body, Tone::Grey, Mentions::default())
}

/// What [`send_once`] waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// A message of the server's is on its way to this robot.
    InFlight,
    /// The robot may be sent to again after this time.
    Turn(Duration),
}

/// What became of the message.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What the robot's answer means.
    pub verdict: Verdict,
    /// Set when the outcome could not be written down: the server's pacing takes the attempt for unfinished.
    pub unwritten: Option<StoreError>,
}

/// Why nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OnceError {
    /// The bot has fewer robots.
    #[error("the bot has no robot of that number")]
    NoRobot,
    /// The bot's `http_config` can not be used.
    #[error("http_config: {0}")]
    Client(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where and how [`send_once`] sends.
pub struct Once<'a> {
    /// The server's store; without one the message is sent at once and leaves no trace.
    pub store: Option<&'a dyn Store>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The bot.
    pub config: &'a BotConfig,
    /// Which of its robots, from 0.
    pub robot: usize,
    /// A random number in [0, 1), for the pause after a failure.
    pub fraction: f64,
}

/// Sends one message through one robot. Of the pauses only the vendor's penalty is waited for: whoever tries a robot that
/// failed wants to know how it is now.
///
/// # Errors
/// [`OnceError`]; then nothing was sent.
pub async fn send_once(once: &Once<'_>, message: OnceMessage, mut waits: impl FnMut(Wait)) -> Result<Sent, OnceError> {
    let Once { clock, config, .. } = *once;
    let robot_config = config.robots.get(once.robot).ok_or(OnceError::NoRobot)?;
    let client = client::client(&config.http).map_err(OnceError::Client)?;
    let id: Arc<str> = channel::robot_id(config.kind, robot_config.url.expose()).into();
    let limits = &robot_config.rate_limits;
    let turn = match once.store {
        Some(store) => Some((store, take_turn(once, store, (&id, limits), &message, &mut waits).await?)),
        None => None,
    };
    let failures = turn.as_ref().map_or(0, |(_, (robot, _))| robot.failures());
    let request =
        channel::sign(config.kind, &robot_config.url, robot_config.secret.as_ref(), &message.body, clock.now_ms());
    let verdict = match client::send(&client, request).await {
        Ok(Reply { status, body }) => channel::verdict(config.kind, status, &body, failures),
        Err(verdict) => verdict,
    };
    let mut unwritten = None;
    if let Some((store, (robot, attempt))) = turn {
        let ended_ms = clock.now_ms();
        let outcome = Outcome {
            bot: Arc::clone(&config.name),
            robot: id,
            message: message.id,
            attempt,
            ended_ms,
            verdict: verdict.as_str(),
            reason: verdict.reason().to_owned(),
            robot_state: robot.after(&verdict, ended_ms, once.fraction),
            effect: Effect::Kept { open: false },
            superseded: Vec::new(),
            storm: None,
        };
        unwritten = store.finish(outcome).await.err();
    }
    Ok(Sent { verdict, unwritten })
}

/// Waits until the robot may be sent to, and commits the attempt.
async fn take_turn(
    once: &Once<'_>,
    store: &dyn Store,
    (id, limits): (&Arc<str>, &[RateLimit]),
    message: &OnceMessage,
    waits: &mut impl FnMut(Wait),
) -> Result<(Arc<Robot>, i64), OnceError> {
    let Once { clock, config, .. } = *once;
    let mut known = 0;
    loop {
        let (since, now_ms) = (clock.now_ms() - IN_FLIGHT, clock.now_ms());
        let (_, attempts) = store.robot(id, since).await?;
        // A start in the future comes from before the clock was set back: nobody could say how old it is.
        let recent = since + 1..=now_ms;
        if attempts.iter().any(|attempt| attempt.ended_ms.is_none() && recent.contains(&attempt.started_ms)) {
            let until = clock.mono() + LOOK_AGAIN;
            waits(Wait::InFlight);
            clock.sleep_until(until).await;
            continue;
        }
        // Read anew each time: the server goes on sending while this waits.
        let robot = Robot::new(Arc::clone(id));
        robot.load(store, clock, limits).await?;
        robot.pass_over_backoff();
        let now = clock.mono();
        let due = robot.due(now);
        if due > now {
            waits(Wait::Turn(due - now));
            clock.sleep_until(due).await;
            continue;
        }
        let begin = Begin {
            bot: Arc::clone(&config.name),
            robot: Arc::clone(id),
            message: message.id.clone(),
            kind: message.kind,
            group: 0,
            body: message.body.clone(),
            text: message.text.clone(),
            covers: Vec::new(),
            alerts: Vec::new(),
            parts: 0,
            started_ms: clock.now_ms(),
            last_known: robot.last_attempt().max(known),
        };
        // Others have used the robot: back to the end of the line. Attempts from before the window come only here, and
        // would be news each time.
        match store.begin(begin).await? {
            Begun::Attempt(attempt) => return Ok((robot, attempt)),
            Begun::Others(others) => known = others.iter().map(|other| other.id).fold(known, i64::max),
        }
    }
}

#[cfg(test)]
mod tests;
