//! Which bots a replica should speak for: decided anew after every beat, from what the beat said. Pure.
//!
//! Bots that share a robot or stand in for each other are a crew, and are told by one replica. Every replica reckons alike
//! who has the least, so that few ask for the same crew at once; who asks first gets it, which the store sees to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::BotConfig;
use crate::channel;
use crate::store::{Free, Replica};

/// What nobody has taken for so long anybody takes: the one who should may have another config, or hang.
const UNWANTED: Duration = Duration::from_secs(3);
/// A crew that is spoken for by several is given back by all of them after this time, so that one can have it.
const SPLIT: Duration = Duration::from_secs(3);
/// What was taken because nobody wanted it is not offered again for so long, nor while configs differ.
const KEEP: Duration = Duration::from_secs(600);
/// When nothing has moved for so long, the spread is made more even by whoever can, whosever turn it is.
const SETTLED: Duration = Duration::from_secs(5);

/// Bots that belong together, in name order; never empty.
pub(super) type Crew = Vec<Arc<str>>;

/// The crews of a config, in the order of their first bots.
pub(super) fn crews(bots: &BTreeMap<Arc<str>, Arc<BotConfig>>) -> Vec<Crew> {
    let names: Vec<&Arc<str>> = bots.keys().collect();
    let places: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (&***name, at)).collect();
    let mut parents: Vec<usize> = (0..names.len()).collect();
    let mut robots: HashMap<String, usize> = HashMap::new();
    for (at, config) in bots.values().enumerate() {
        if let Some(other) = config.fallback.as_deref().and_then(|name| places.get(name)) {
            join(&mut parents, at, *other);
        }
        for robot in &config.robots {
            let id = channel::robot_id(config.kind, robot.url.expose());
            let other = *robots.entry(id).or_insert(at);
            join(&mut parents, at, other);
        }
    }
    let mut crews: BTreeMap<usize, Crew> = BTreeMap::new();
    for (at, name) in names.into_iter().enumerate() {
        crews.entry(root(&mut parents, at)).or_default().push(Arc::clone(name));
    }
    crews.into_values().collect()
}

fn root(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

/// The smaller place becomes the root, so that crews keep the order of their first bots.
fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b)] = a.min(b);
}

/// How things stand after a beat.
pub(super) struct Situation<'a> {
    /// This replica's id.
    pub(super) me: &'a str,
    /// All replicas, in order of their ids.
    pub(super) replicas: &'a [Replica],
    /// The crews of this replica's config.
    pub(super) crews: &'a [Crew],
    /// Bots that this replica speaks for and does not give back yet, and whether alerts wait for them.
    pub(super) mine: &'a HashMap<Arc<str>, bool>,
    /// Bots on their way out of its hands.
    pub(super) leaving: &'a HashSet<Arc<str>>,
    /// Bots that nobody speaks for.
    pub(super) free: &'a [Free],
    /// Monotonic time.
    pub(super) now: Duration,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Decision {
    /// Bots to claim, each list together.
    pub(super) claim: Vec<Crew>,
    /// Bots to give back, each list together.
    pub(super) give: Vec<Crew>,
}

/// What a replica remembers from beat to beat to decide.
#[derive(Default)]
pub(super) struct Planner {
    /// Since when each bot is seen to be free.
    free_since: HashMap<Arc<str>, Duration>,
    /// Since when each crew is seen to be spoken for by several; by its first bot.
    split_since: HashMap<Arc<str>, Duration>,
    /// Crews that nobody else wanted, and when they were taken; by their first bots.
    unwanted: HashMap<Arc<str>, Duration>,
    /// Who was there, with which config and how many bots, and since when that holds.
    seen: (Vec<(String, String, u64)>, Duration),
    /// Since when the same are there with the same configs.
    same_since: Duration,
}

/// How a crew stands.
#[derive(Default)]
struct Parts {
    mine: Crew,
    free: Crew,
    /// Bots that others speak for.
    others: usize,
}

impl Planner {
    /// What to claim and what to give back.
    pub(super) fn decide(&mut self, now: &Situation<'_>) -> Decision {
        let Some(me) = now.replicas.iter().find(|replica| replica.id == now.me) else { return Decision::default() };
        self.remember(now);
        let uniform = now.replicas.iter().all(|replica| replica.config_hash == me.config_hash);
        let free: HashSet<&str> = now.free.iter().map(|free| &*free.bot).collect();
        let mut decision = Decision::default();
        let (mut whole, mut held, mut unsettled) = (Vec::new(), Vec::new(), false);
        let mut split = HashSet::new();
        for crew in now.crews {
            let Some(parts) = parts(crew, now, &free) else { continue };
            let age = parts.free.iter().map(|bot| self.age(bot, now.now)).min().unwrap_or_default();
            unsettled |= !parts.free.is_empty() && age < SETTLED;
            if parts.mine.is_empty() && parts.others == 0 && !parts.free.is_empty() {
                whole.push((crew, age));
            } else if !parts.free.is_empty() && (!parts.mine.is_empty() || age >= UNWANTED) {
                decision.claim.push(parts.free);
            } else if !parts.mine.is_empty() && parts.others > 0 {
                split.insert(Arc::clone(&crew[0]));
                let since = *self.split_since.entry(Arc::clone(&crew[0])).or_insert(now.now);
                if uniform && now.now.saturating_sub(since) >= SPLIT {
                    decision.give.push(parts.mine);
                }
            } else if parts.mine.len() == crew.len() {
                held.push(crew);
            }
        }
        self.split_since.retain(|first, _| split.contains(first));
        self.claim(now, whole, &mut decision);
        gone(now, uniform, me, &mut decision);
        if decision.claim.is_empty() && decision.give.is_empty() && !unsettled {
            decision.give = self.level(now, me, uniform, held);
        }
        decision
    }

    fn age(&self, bot: &Arc<str>, now: Duration) -> Duration {
        self.free_since.get(bot).map_or(Duration::ZERO, |since| now.saturating_sub(*since))
    }

    fn remember(&mut self, now: &Situation<'_>) {
        let free: HashSet<&Arc<str>> = now.free.iter().map(|free| &free.bot).collect();
        self.free_since.retain(|bot, _| free.contains(bot));
        for bot in free {
            self.free_since.entry(Arc::clone(bot)).or_insert(now.now);
        }
        let of = |replica: &Replica| (replica.id.clone(), replica.config_hash.clone(), replica.bots);
        let seen: Vec<_> = now.replicas.iter().map(of).collect();
        if self.seen.0 == seen {
            return;
        }
        let who = |seen: &[(String, String, u64)]| -> Vec<(String, String)> {
            seen.iter().map(|(id, hash, _)| (id.clone(), hash.clone())).collect()
        };
        if who(&self.seen.0) != who(&seen) {
            self.unwanted.clear();
            self.same_since = now.now;
        }
        self.seen = (seen, now.now);
    }

    /// Crews that are wholly free go to whoever has the least, the largest first; those that fall to this replica it claims.
    fn claim(&mut self, now: &Situation<'_>, mut whole: Vec<(&Crew, Duration)>, decision: &mut Decision) {
        let mut loads = loads(now);
        whole.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a[0].cmp(&b[0])));
        for (crew, age) in whole {
            let Some(least) = loads.iter_mut().min() else { return };
            least.0 += size(crew);
            let falls_to_me = least.1 == now.me;
            if falls_to_me || age >= UNWANTED {
                decision.claim.push(crew.clone());
            }
            if falls_to_me {
                self.unwanted.remove(&crew[0]);
            } else if age >= UNWANTED && now.now.saturating_sub(self.same_since) >= UNWANTED {
                self.unwanted.insert(Arc::clone(&crew[0]), now.now);
            }
        }
    }

    /// What to give back so that nobody has much less: only to replicas with the same config, since others may not know the
    /// bots; and only as long as the move makes the spread more even, so that it ends.
    fn level(&self, now: &Situation<'_>, me: &Replica, uniform: bool, mut held: Vec<&Crew>) -> Vec<Crew> {
        let is_peer = |replica: &&Replica| replica.config_hash == me.config_hash && replica.id != me.id;
        let mut peers: Vec<u64> = now.replicas.iter().filter(is_peer).map(|replica| replica.bots).collect();
        if peers.is_empty() {
            return Vec::new();
        }
        // What is on its way out goes to whoever has the least.
        for _ in now.leaving {
            if let Some(least) = peers.iter_mut().min() {
                *least += 1;
            }
        }
        let mut count = size_of(now.mine.len());
        let everybody = size_of(peers.len()) + 1;
        let total = count + peers.iter().sum::<u64>();
        let (floor, ceiling) = (total / everybody, total.div_ceil(everybody));
        let may_go = |since: &Duration| uniform && now.now.saturating_sub(*since) >= KEEP;
        held.retain(|crew| self.unwanted.get(&crew[0]).is_none_or(may_go));
        held.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| b[0].cmp(&a[0])));
        let mut given = Vec::new();
        for crew in &held {
            let Some(least) = peers.iter_mut().min() else { break };
            if count >= ceiling + size(crew) && count > *least + size(crew) {
                count -= size(crew);
                *least += size(crew);
                given.push((*crew).clone());
            }
        }
        if !given.is_empty() {
            return given;
        }
        let least = peers.iter().min().copied().unwrap_or(0);
        let missing: u64 = peers.iter().map(|load| floor.saturating_sub(*load)).sum();
        // Of those with as many the first ones give, no more than are missed.
        let before = now.replicas.iter().filter(is_peer).filter(|peer| (peer.bots, &me.id) > (count, &peer.id)).count();
        let turn = missing > size_of(before);
        let settled = now.now.saturating_sub(self.seen.1) >= SETTLED && now.leaving.is_empty();
        if !turn && !settled {
            return Vec::new();
        }
        let helps: Vec<&&Crew> = held.iter().filter(|crew| count > least + size(crew)).collect();
        // The largest that makes both alike at most; else the smallest that helps.
        let best = helps.iter().find(|crew| 2 * size(crew) <= count - least).or(helps.last());
        best.map(|crew| vec![(**crew).clone()]).unwrap_or_default()
    }
}

/// `None` for a crew of which a part is on its way out.
fn parts(crew: &Crew, now: &Situation<'_>, free: &HashSet<&str>) -> Option<Parts> {
    let mut parts = Parts::default();
    for bot in crew {
        if now.leaving.contains(bot) {
            return None;
        }
        if now.mine.contains_key(bot) {
            parts.mine.push(Arc::clone(bot));
        } else if free.contains(&**bot) {
            parts.free.push(Arc::clone(bot));
        } else {
            parts.others += 1;
        }
    }
    Some(parts)
}

/// How many bots each replica has, with its id: the least is who has least, or the first of those.
fn loads<'a>(now: &Situation<'a>) -> Vec<(u64, &'a str)> {
    let of = |replica: &'a Replica| match replica.id == now.me {
        true => (size_of(now.mine.len() + now.leaving.len()), now.me),
        false => (replica.bots, replica.id.as_str()),
    };
    now.replicas.iter().map(of).collect()
}

/// Bots that no config has: the first replica takes what waits for them, to move it; whoever has one for which nothing
/// waits, or that another config may have, lets it go.
fn gone(now: &Situation<'_>, uniform: bool, me: &Replica, decision: &mut Decision) {
    let known: HashSet<&str> = now.crews.iter().flatten().map(|bot| &**bot).collect();
    let stays = |bot: &str, waits: bool| known.contains(bot) || uniform && waits;
    let done = now.mine.iter().filter(|(bot, waits)| !stays(bot, **waits));
    decision.give.extend(done.map(|(bot, _)| vec![Arc::clone(bot)]));
    if !uniform || now.replicas.first().is_none_or(|first| first.id != me.id) {
        return;
    }
    let orphans = now.free.iter().filter(|free| free.waiting && !known.contains(&*free.bot));
    let orphans = orphans.filter(|free| !now.leaving.contains(&free.bot) && !now.mine.contains_key(&free.bot));
    decision.claim.extend(orphans.map(|free| vec![Arc::clone(&free.bot)]));
}

fn size(crew: &Crew) -> u64 {
    size_of(crew.len())
}

fn size_of(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "crews_tests.rs"]
mod tests;
