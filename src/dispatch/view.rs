//! What the API shows of each bot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Dispatcher;
use super::published::Published;
use super::robot::Robot;
use crate::model::{BotKind, Millis};

/// One robot of a bot; never its URL.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
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

impl RobotView {
    pub(super) fn of(robot: &Robot, stuck: bool, now: Duration) -> Self {
        let (state, tokens, up) = robot.view(now);
        Self {
            id: robot.id.to_string(),
            tokens,
            up: up && !stuck,
            last_verdict: state.last_verdict,
            last_verdict_ms: state.last_verdict_ms,
            reason: state.reason,
            remedy: state.remedy,
            paused_until_ms: state.paused_until_ms,
        }
    }
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

impl BotView {
    fn of(name: &str, kind: Option<BotKind>, view: &Published) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            waiting_alerts: view.waiting,
            waiting_groups: view.groups,
            oldest_ms: view.oldest_ms,
            spoken_for_by: view.spoken_for_by.clone(),
            robots: view.robots.clone(),
        }
    }
}

impl Dispatcher {
    /// Every bot of the config, and those that are gone while alerts still wait for them. Of bots that other replicas speak
    /// for, as those last published and [`Dispatcher::refresh_views`] last read it.
    pub fn bots(&self) -> Vec<BotView> {
        let settings = self.shared.settings.load_full();
        let mut known: BTreeMap<Arc<str>, Arc<Published>> = match &self.shared.membership {
            // A bot that was never told anything has its line too.
            None => settings.bots.keys().map(|name| (self.shared.bot(name).name.clone(), Arc::default())).collect(),
            Some(membership) => {
                let nothing = settings.bots.keys().map(|name| (Arc::clone(name), Arc::default()));
                nothing.chain(membership.views.all()).collect()
            }
        };
        let here = self.shared.all_bots();
        known.extend(here.iter().map(|bot| (Arc::clone(&bot.name), Arc::new(Published::of(&self.shared, bot)))));
        let kind = |name: &Arc<str>| settings.bots.get(name).map(|config| config.kind);
        let views = known.iter().map(|(name, view)| BotView::of(name, kind(name), view));
        views.filter(|view| view.kind.is_some() || view.waiting_alerts > 0).collect()
    }
}
