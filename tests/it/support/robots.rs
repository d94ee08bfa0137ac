//! The vendors' robots, emulated strictly inside the test.

use std::net::SocketAddr;

use alarmbell::clock::{Clock, SystemClock};
use alarmbell::model::{BotKind, fnv1a};
use alarmbell::sandbox::{Fault, FaultKind, Record, RequestLine, Rules, Sandbox, Stats, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::config::Bot;

/// A sandbox on a port of its own; it ends with the test.
pub struct Robots {
    pub sandbox: Sandbox,
    pub address: SocketAddr,
    pub clock: std::sync::Arc<SystemClock>,
    _stop: oneshot::Sender<()>,
}

/// Rules without rate limits.
pub fn free() -> Rules {
    Rules { rate_limits: Some(Vec::new()), ..Rules::default() }
}

/// At most `messages` in any window of `seconds`, and a penalty of one second.
pub fn limited(messages: u32, seconds: u64) -> Rules {
    let limit = alarmbell::sandbox::RateLimit { messages, per_ms: seconds * 1_000 };
    Rules { rate_limits: Some(vec![limit]), ..Rules::default() }
}

/// A token of the vendor's shape, made from a name. No other test or secret looks like it.
pub fn token(kind: BotKind, name: &str) -> String {
    let half = |salt: &str| format!("{:016x}", fnv1a([name.as_bytes(), salt.as_bytes()]));
    match kind {
        BotKind::DingTalk => half("a") + &half("b") + &half("c") + &half("d"),
        BotKind::WeCom | BotKind::Feishu => {
            let (a, b) = (half("a"), half("b"));
            format!("{}-{}-{}-{}-{}", &a[..8], &a[8..12], &a[12..], &b[..4], &b[4..])
        }
    }
}

impl Robots {
    pub async fn start() -> Self {
        let clock = SystemClock::new();
        let sandbox = Sandbox::new(clock.clone() as std::sync::Arc<dyn Clock>, false);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = sandbox.clone();
        tokio::spawn(async move {
            let _ = serve(listener, serving, async move { drop(stopped.await) }).await;
        });
        Self { sandbox, address, clock, _stop: stop }
    }

    /// Makes a robot without rate limits and the bot that speaks through it.
    pub fn bot(&self, kind: BotKind, name: &str) -> Bot {
        self.bot_with(kind, name, free())
    }

    /// Makes a robot with these rules and the bot that speaks through it.
    pub fn bot_with(&self, kind: BotKind, name: &str, rules: Rules) -> Bot {
        let bot = Bot::new(kind, name, token(kind, name), self.address);
        self.sandbox.put_robot(kind, &bot.token, rules).unwrap();
        bot
    }

    /// Changes a robot's rules.
    pub fn set(&self, bot: &Bot, rules: Rules) {
        self.sandbox.put_robot(bot.kind, &bot.token, rules).unwrap();
    }

    pub fn fault(&self, bot: &Bot, kind: FaultKind, count: u64) {
        self.slow_fault(bot, kind, count, 0);
    }

    pub fn slow_fault(&self, bot: &Bot, kind: FaultKind, count: u64, latency_ms: u64) {
        let count = (count > 0).then_some(count);
        assert!(self.sandbox.add_fault(bot.kind, &bot.token, Fault { kind, count, latency_ms }));
    }

    pub fn clear_faults(&self, bot: &Bot) {
        assert!(self.sandbox.clear_faults(bot.kind, &bot.token));
    }

    /// Everything that came, shown and refused, oldest first.
    pub fn all(&self, bot: &Bot) -> Vec<Record> {
        self.sandbox.messages(bot.kind, &bot.token, 0, usize::MAX).unwrap()
    }

    /// What the chat shows, oldest first.
    pub fn shown(&self, bot: &Bot) -> Vec<Record> {
        self.all(bot).into_iter().filter(|record| record.accepted).collect()
    }

    /// Title and text of what the chat shows.
    pub fn texts(&self, bot: &Bot) -> Vec<String> {
        self.shown(bot).iter().map(|record| format!("{}\n{}", record.title, record.text)).collect()
    }

    /// How many shown messages hold `part`.
    pub fn telling(&self, bot: &Bot, part: &str) -> usize {
        self.texts(bot).iter().filter(|text| text.contains(part)).count()
    }

    pub fn requests(&self, bot: &Bot) -> Vec<RequestLine> {
        self.sandbox.requests(bot.kind, &bot.token, 0, usize::MAX).unwrap()
    }

    pub fn stats(&self, bot: &Bot) -> Stats {
        self.sandbox.stats(bot.kind, &bot.token).unwrap()
    }

    /// Waits until the chat shows at least so many messages, and returns them all.
    pub async fn wait_shown(&self, bot: &Bot, least: usize) -> Vec<Record> {
        let what = format!("{} shows {least} messages", bot.name);
        super::wait_for(&what, || async { Some(self.shown(bot)).filter(|shown| shown.len() >= least) }).await
    }

    /// Waits until a shown message holds `part`.
    pub async fn wait_told(&self, bot: &Bot, part: &str) {
        let what = format!("{} tells {part:?}", bot.name);
        super::wait_until(&what, || async { self.telling(bot, part) > 0 }).await;
    }

    /// Waits until so many requests have arrived, whatever became of them.
    pub async fn wait_requests(&self, bot: &Bot, least: usize) {
        let what = format!("{} was called {least} times", bot.name);
        super::wait_until(&what, || async { self.requests(bot).len() >= least }).await;
    }

    /// The most requests that any window of this length held, by arrival.
    pub fn fullest_window(&self, bot: &Bot, window_ms: u64) -> usize {
        let times: Vec<u64> = self.requests(bot).iter().map(|line| line.mono_us).collect();
        let within = |from: usize| times[from..].iter().take_while(|at| **at - times[from] < window_ms * 1_000).count();
        (0..times.len()).map(within).max().unwrap_or(0)
    }
}
