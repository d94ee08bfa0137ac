//! What the API shows of each bot.

use super::Dispatcher;
use crate::model::{BotKind, Millis};

/// One robot of a bot; never its URL.
#[derive(Clone, Debug)]
pub struct RobotView {
    /// Hash of its URL.
    pub id: String,
    /// Messages that it would take at once.
    pub tokens: u32,
    /// Whether it takes messages, as far as is known.
    pub up: bool,
    /// The last verdict's word; empty before the first.
    pub last_verdict: String,
    /// When the last verdict came; 0 before the first.
    pub last_verdict_ms: Millis,
    /// What the robot said last, when it was not "delivered".
    pub reason: String,
    /// What a person must do, when one must.
    pub remedy: String,
    /// Nothing is sent before this time; 0 for none.
    pub paused_until_ms: Millis,
}

/// One bot.
#[derive(Clone, Debug)]
pub struct BotView {
    /// Its name.
    pub name: String,
    /// Vendor; `None` for a bot that is no longer in the config.
    pub kind: Option<BotKind>,
    /// Alert states that wait.
    pub waiting_alerts: u64,
    /// Groups that wait.
    pub waiting_groups: u64,
    /// When the oldest waiting state was accepted.
    pub oldest_ms: Option<Millis>,
    /// The bot that speaks for it now, because none of its robots takes messages.
    pub spoken_for_by: Option<String>,
    /// Its robots.
    pub robots: Vec<RobotView>,
}

impl Dispatcher {
    /// Every bot of the config, and those that are gone while alerts still wait for them.
    pub fn bots(&self) -> Vec<BotView> {
        let settings = self.shared.settings.load_full();
        for name in settings.bots.keys() {
            // A bot that was never told anything has its line too.
            self.shared.bot(name);
        }
        let now = self.shared.clock.mono();
        let mut views = Vec::new();
        for bot in self.shared.all_bots() {
            let config = settings.bots.get(&bot.name);
            let queue = bot.queue();
            if config.is_none() && queue.is_empty() {
                continue;
            }
            let robots = config.map(|config| self.shared.robots_of(config)).unwrap_or_default();
            let robots = robots.iter().map(|robot| {
                let (state, tokens, up) = robot.view(now);
                RobotView {
                    id: robot.id.to_string(),
                    tokens,
                    up: up && !bot.is_stuck(),
                    last_verdict: state.last_verdict,
                    last_verdict_ms: state.last_verdict_ms,
                    reason: state.reason,
                    remedy: state.remedy,
                    paused_until_ms: state.paused_until_ms,
                }
            });
            views.push(BotView {
                name: bot.name.to_string(),
                kind: config.map(|config| config.kind),
                waiting_alerts: queue.len(),
                waiting_groups: u64::try_from(queue.groups_waiting()).unwrap_or(u64::MAX),
                oldest_ms: queue.oldest_ms(),
                spoken_for_by: bot.speaker().map(|name| name.to_string()),
                robots: robots.collect(),
            });
        }
        views
    }
}
