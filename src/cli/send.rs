//! `send`: one test message.

use std::time::Duration;

use prometheus::Registry;

use super::args::Send;
use super::database::{EXPOSED, Given};
use super::{Failure, bot, load, payload, plural, render, runtime, say, warn};
use crate::app::build;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::dispatch::{BotConfig, Once, OnceError, OnceMessage, Previews, Sent, Wait, preview, send_once};
use crate::model::{MessageId, Verdict};
use crate::store::Store;
use crate::store::StoreMetrics;
use crate::store::postgres::{self, PgStore};
use crate::store::sqlite::{Options, SqliteStore};

pub(super) fn run(args: &Send) -> Result<(), Failure> {
    let database = args.database.given()?;
    let config = load(&args.config_file)?;
    let bot = bot(&config, &args.bot)?;
    let robots = bot.robots.len();
    let robot = usize::try_from(args.robot).unwrap_or(usize::MAX);
    if robot > robots {
        return Err(Failure::usage(format!("there is no robot {robot}: {} has {}", bot.name, plural(robots, "robot"))));
    }
    let message = message(args, &config, bot)?;
    say(&format!("bot       {} ({}), robot {robot} of {robots}\n", bot.name, bot.kind.as_str()))?;
    let clock = SystemClock::new();
    let sent = runtime()?.block_on(async {
        let store = store(args, database).await?;
        let once =
            Once { store: store.as_deref(), clock: &*clock, config: bot, robot: robot - 1, fraction: fastrand::f64() };
        let sent = send_once(&once, message, progress()).await;
        if let Some(store) = &store {
            store.close().await;
        }
        sent.map_err(|error| match error {
            OnceError::NoRobot => Failure::usage(error),
            OnceError::Client(_) | OnceError::Store(_) => Failure::runtime(error),
        })
    })?;
    say(&result(&sent))?;
    if sent.verdict == Verdict::Delivered { Ok(()) } else { Err(Failure { code: 1, text: String::new() }) }
}

fn message(args: &Send, config: &Config, bot: &BotConfig) -> Result<OnceMessage, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::runtime(format!("no random numbers: {error}")))?;
    let id = MessageId::from_bytes(bytes);
    let Some(file) = &args.payload else { return Ok(OnceMessage::test(bot, id)) };
    let settings = build::dispatch_settings(config, "");
    let now = SystemClock::new().now();
    // Only the first is sent.
    let previews = preview(&settings, bot, payload::read(file)?, now, || id.clone());
    let mut text = render::remarks(&render::notes(&previews, None));
    let Previews { messages, .. } = previews;
    if messages.len() > 1 {
        text.push_str(&format!("note      the payload makes {} messages; the first is sent\n", messages.len()));
    }
    say(&text)?;
    let first = messages.into_iter().next();
    first.map(OnceMessage::from).ok_or_else(|| Failure::usage("the payload makes no message for this bot"))
}

/// The servers' store, if there is one. None is made but the tables of a database that is empty.
async fn store(args: &Send, database: Option<Given>) -> Result<Option<Box<dyn Store>>, Failure> {
    let metrics = StoreMetrics::register(&Registry::new()).map_err(Failure::runtime)?;
    if let Some(given) = database {
        if given.exposed {
            warn(&format!("warning: {EXPOSED} (--storage.url-file)\n"));
        }
        // A guest: it takes its turn, and speaks for no bot.
        let options = postgres::Options::new(given.url.expose().into(), None, SystemClock::new());
        let store = PgStore::open(options, metrics).await.map_err(Failure::runtime)?;
        say("store     the database: takes its turn among the servers' messages\n")?;
        return Ok(Some(Box::new(store)));
    }
    let path = &args.storage_path;
    if !SqliteStore::exists(path) {
        say(&format!("store     none in {}: sent without pacing, and not in the history\n", path.display()))?;
        return Ok(None);
    }
    let store = SqliteStore::open_shared(&Options::new(path), metrics).map_err(Failure::runtime)?;
    say(&format!("store     {}: takes its turn among the server's messages\n", path.display()))?;
    Ok(Some(Box::new(store)))
}

/// Says what is waited for, each kind once in a row.
fn progress() -> impl FnMut(Wait) {
    let mut in_flight = false;
    move |wait| {
        let text = match wait {
            Wait::InFlight if std::mem::replace(&mut in_flight, true) => return,
            Wait::InFlight => "waiting   a message of the server's is on its way to this robot\n".to_owned(),
            Wait::Turn(time) => {
                in_flight = false;
                format!("waiting   {} for the robot's next turn; Ctrl-C gives up\n", seconds(time))
            }
        };
        // What can not be shown is not worth giving up for.
        let _ = say(&text);
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn result(sent: &Sent) -> String {
    let verdict = &sent.verdict;
    let mut text = format!("verdict   {}\n", verdict.as_str());
    if !verdict.reason().is_empty() {
        text.push_str(&format!("reason    {}\n", verdict.reason()));
    }
    let remedy = remedy(verdict);
    if !remedy.is_empty() {
        text.push_str(&format!("remedy    {remedy}\n"));
    }
    if let Some(error) = &sent.unwritten {
        text.push_str(&format!("note      the outcome could not be written down: {error}\n"));
    }
    text
}

fn remedy(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => String::new(),
        Verdict::Misconfigured { remedy, .. } => remedy.clone(),
        Verdict::RateLimited { wait_ms, .. } => {
            let wait = Duration::from_millis(u64::try_from(*wait_ms).unwrap_or(0));
            format!("wait {}, and see what else sends through this robot", seconds(wait))
        }
        Verdict::Retry { .. } => {
            "nothing was delivered; check the network and http_config (proxy, ca_file), and try again".to_owned()
        }
        Verdict::Rejected { .. } => "the robot is fine but refuses this content; see `alarmbell render`".to_owned(),
        Verdict::UnknownOutcome { .. } => {
            "the answer never came: look whether the message is in the chat before you try again".to_owned()
        }
    }
}
