//! What the dispatcher and all workers share, and how it hears of commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;

use super::bot::{Bot, Open, Standing};
use super::membership::Membership;
use super::robot::Robot;
use super::{BotConfig, DispatchMetrics, RandomBytes, RandomFraction, Settings};
use crate::channel;
use crate::clock::Clock;
use crate::model::Head;
use crate::store::{BotImage, Feed, OpenMessage, Store};
use crate::waiting::{Queue, Storm, Terms, Told};

/// What all workers share.
pub(crate) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: ArcSwap<Settings>,
    pub(super) metrics: DispatchMetrics,
    pub(super) random: RandomBytes,
    pub(super) fraction: RandomFraction,
    pub(super) bots: RwLock<HashMap<Arc<str>, Arc<Bot>>>,
    pub(super) robots: Mutex<HashMap<Arc<str>, Arc<Robot>>>,
    /// Dead letters when they were counted, and how many alerts had died by then.
    pub(super) dead_letters: Mutex<HashMap<Arc<str>, (u64, u64)>>,
    /// Our place among replicas that share the store; `None` for a store of one process, whose bots are all ours.
    pub(super) membership: Option<Membership>,
}

impl Shared {
    pub(super) fn bot(&self, name: &Arc<str>) -> Arc<Bot> {
        if let Some(bot) = self.bots.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(bot);
        }
        let mut bots = self.bots.write().unwrap_or_else(PoisonError::into_inner);
        let options = self.settings.load().options;
        let new = || Bot::new(Arc::clone(name), Queue::new(options, Terms::default()), Standing::Ours);
        Arc::clone(bots.entry(Arc::clone(name)).or_insert_with(new))
    }

    /// A bot that this replica speaks for. A store of one process speaks for every bot, also for those that nobody has
    /// heard of.
    pub(super) fn ours(&self, name: &Arc<str>) -> Option<Arc<Bot>> {
        if self.membership.is_none() {
            return Some(self.bot(name));
        }
        self.here(name).filter(|bot| bot.is_ours())
    }

    /// A bot of which something is known here, whether it is coming, ours or leaving.
    pub(super) fn here(&self, name: &str) -> Option<Arc<Bot>> {
        self.bots.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// Nothing is known of this bot any more: what comes to us again is read anew.
    pub(super) fn drop_bot(&self, name: &str) -> Option<Arc<Bot>> {
        self.bots.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }

    /// The store said that another replica speaks for this bot.
    pub(super) fn fence(&self, bot: &Arc<str>) {
        if let Some(membership) = &self.membership {
            membership.fence(bot);
        }
    }

    /// Whether a request to a robot may begin now.
    pub(super) fn may_send(&self) -> bool {
        self.membership.as_ref().is_none_or(|membership| membership.may_send(&*self.clock))
    }

    /// Dead letters kept of a bot of whose alerts so many have died until now. `None` before they are counted.
    pub(super) fn letters(&self, bot: &str, died: u64) -> Option<u64> {
        let letters = self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.get(bot).map(|(kept, before)| kept + died.saturating_sub(*before))
    }

    /// Those that this replica speaks for, in name order.
    pub(super) fn all_bots(&self) -> Vec<Arc<Bot>> {
        let bots = self.bots.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = bots.values().filter(|bot| bot.is_here()).map(Arc::clone).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(super) fn robot(&self, id: &str) -> Arc<Robot> {
        let mut robots = self.robots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(robot) = robots.get(id) {
            return Arc::clone(robot);
        }
        let robot = Robot::new(id.into());
        robots.insert(Arc::clone(&robot.id), Arc::clone(&robot));
        robot
    }

    pub(super) fn robots_of(&self, config: &BotConfig) -> Vec<Arc<Robot>> {
        config.robots.iter().map(|robot| self.robot(&channel::robot_id(config.kind, robot.url.expose()))).collect()
    }
}

impl Feed for Shared {
    fn remember(&self, name: &Arc<str>, image: BotImage) {
        let counters = image.counters;
        let terms = Terms {
            accepted: counters.accepted,
            told_named: counters.told_named,
            told_counted: counters.told_counted,
            superseded: counters.superseded,
            dead: counters.dead,
        };
        let mut queue = Queue::new(self.settings.load().options, terms);
        for state in &image.told {
            let told = Told {
                status: state.status,
                starts_ms: state.starts_ms,
                ends_ms: state.ends_ms,
                accepted_ms: state.accepted_ms,
                told_ms: state.told_ms,
            };
            queue.remember(state.fingerprint, state.group, told);
        }
        let standing = if self.membership.is_some() { Standing::Coming } else { Standing::Ours };
        let bot = Bot::new(Arc::clone(name), queue, standing);
        {
            let mut desk = bot.desk();
            let shared = self.membership.is_some();
            let open = image.open.into_iter().map(|message| OpenMessage {
                // Another replica's attempt is not ours to end: it holds its token until whoever made it says so.
                attempt: message.attempt.filter(|_| !shared),
                ..message
            });
            desk.open = open.map(|message| Open { message, items: None }).collect();
            desk.unannounced = image.unannounced_dead;
            let storms = self.settings.load().storms;
            desk.storm = Storm::restore(image.storm, &storms, self.clock.now_ms(), self.clock.mono());
        }
        self.bots.write().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(name), bot);
    }

    fn committed(&self, heads: &[(Arc<str>, Head)]) {
        // All that one commit holds for a bot is applied before the bot hears of any: else the first alerts of a group
        // would leave without the others.
        let mut by_bot: HashMap<&Arc<str>, Vec<&Head>> = HashMap::new();
        for (name, head) in heads {
            by_bot.entry(name).or_default().push(head);
        }
        for (name, heads) in by_bot {
            let bot = match self.membership {
                None => self.bot(name),
                // Without its image its heads say nothing: it has just left.
                Some(_) => match self.here(name) {
                    Some(bot) => bot,
                    None => continue,
                },
            };
            {
                let mut queue = bot.queue();
                for head in heads {
                    queue.apply(*head);
                }
            }
            bot.ring();
        }
    }
}
