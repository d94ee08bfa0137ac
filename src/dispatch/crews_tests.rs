//! Who speaks for which bot, whoever comes, goes or dies.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::store::{Free, Replica};

/// Beats that a lease lasts.
const LEASE: u64 = 8;

fn crew(bots: &[&str]) -> Crew {
    bots.iter().map(|bot| Arc::from(*bot)).collect()
}

fn replica(id: &str, hash: &str, bots: u64) -> Replica {
    Replica {
        id: id.to_owned(),
        name: id.to_owned(),
        version: "1".to_owned(),
        config_hash: hash.to_owned(),
        started_ms: 0,
        seen_ms: 0,
        bots,
    }
}

fn free(bots: &[&str]) -> Vec<Free> {
    bots.iter().map(|bot| Free { bot: Arc::from(*bot), waiting: false }).collect()
}

fn mine(bots: &[&str]) -> HashMap<Arc<str>, bool> {
    bots.iter().map(|bot| (Arc::from(*bot), false)).collect()
}

/// One decision of `b` with a planner that has seen nothing yet.
fn once(replicas: &[Replica], crews: &[Crew], mine: &HashMap<Arc<str>, bool>, free: &[Free]) -> Decision {
    let leaving = HashSet::new();
    Planner::default().decide(&Situation {
        me: "b",
        replicas,
        crews,
        mine,
        leaving: &leaving,
        free,
        now: Duration::ZERO,
    })
}

#[test]
fn bots_that_share_a_robot_or_stand_in_for_each_other_are_a_crew() {
    let at = "127.0.0.1:1".parse().unwrap();
    let line = |name: &str, key: &str, more: &str| {
        format!("- {{name: {name}, type: wecom, url: \"http://AT/cgi-bin/webhook/send?key={key}\"{more}}}\n")
    };
    let bots = [
        line("ops", "one", ""),
        line("b", "two", ", fallback: c"),
        line("c", "three", ""),
        line("d", "one", ", fallback: e"),
        line("e", "four", ", fallback: e2"),
        line("e2", "three", ""),
        line("lone", "five", ""),
    ];
    let settings = super::super::tests::settings(at, &bots.concat());
    assert_eq!(crews(&settings.bots), [crew(&["b", "c", "d", "e", "e2", "ops"]), crew(&["lone"])]);
}

#[test]
fn the_only_replica_takes_everything_at_once() {
    let crews = [crew(&["x", "y"]), crew(&["z"])];
    let decision = once(&[replica("b", "h", 0)], &crews, &mine(&[]), &free(&["x", "y", "z", "gone"]));
    assert_eq!(decision, Decision { claim: crews.to_vec(), give: Vec::new() });
}

#[test]
fn who_has_less_takes_what_a_dead_one_left() {
    let crews: Vec<Crew> = ["u", "v", "w", "x", "y"].iter().map(|bot| crew(&[bot])).collect();
    let others = [replica("a", "h", 2), replica("b", "h", 1)];
    let decision = once(&others, &crews, &mine(&["u"]), &free(&["x", "y"]));
    assert_eq!(decision.claim, [crew(&["x"])], "the first falls to b, the second to a, which then has as many");
}

#[test]
fn one_bot_more_is_even_enough() {
    let crews: Vec<Crew> = ["x", "y", "z"].iter().map(|bot| crew(&[bot])).collect();
    let decide =
        |others: u64| once(&[replica("a", "h", others), replica("b", "h", 2)], &crews, &mine(&["x", "y"]), &[]);
    assert_eq!(decide(1), Decision::default());
    assert_eq!(decide(0).give.len(), 1);
    // Whoever has another config may not know the bots.
    let strangers = [replica("a", "other", 0), replica("b", "h", 2)];
    assert_eq!(once(&strangers, &crews, &mine(&["x", "y"]), &[]), Decision::default());
}

#[test]
fn a_crew_moves_only_when_that_is_more_even() {
    let crews = [crew(&["u", "v", "w"]), crew(&["x"])];
    let decide = |others| {
        let all = [replica("a", "h", others), replica("b", "h", 4)];
        once(&all, &crews, &mine(&["u", "v", "w", "x"]), &[]).give
    };
    assert_eq!(decide(0), [crew(&["x"])]);
    assert_eq!(decide(2), [crew(&["x"])]);
    assert_eq!(decide(3), Vec::<Crew>::new());
}

#[test]
fn a_bot_without_a_config_is_taken_by_the_first_when_all_agree() {
    let waits = [Free { bot: "gone".into(), waiting: true }];
    let decide = |a: &str, id: &str| once(&[replica(id, a, 0), replica("b", "h", 0)], &[], &mine(&[]), &waits).claim;
    assert_eq!(decide("h", "c"), Vec::<Crew>::new(), "c is listed first");
    let first = |hash: &str| once(&[replica("b", "h", 0), replica("c", hash, 0)], &[], &mine(&[]), &waits).claim;
    assert_eq!(first("h"), [crew(&["gone"])]);
    assert_eq!(first("new"), Vec::<Crew>::new(), "c may have a config with that bot");
    // Once nothing waits any more, or somebody may know it, it is let go.
    let held = |waiting: bool, hash: &str| {
        let mine = HashMap::from([(Arc::from("gone"), waiting)]);
        once(&[replica("a", hash, 0), replica("b", "h", 1)], &[], &mine, &[]).give
    };
    assert_eq!(held(true, "h"), Vec::<Crew>::new());
    assert_eq!(held(false, "h"), [crew(&["gone"])]);
    assert_eq!(held(true, "new"), [crew(&["gone"])]);
}

#[derive(Clone, Debug)]
enum Event {
    Join(bool),
    Leave(usize),
    Die(usize),
    Reload(usize, bool),
    Pass(u8),
}

/// A store, and replicas that beat on it in turns.
struct World {
    /// Crew sizes of the two configs; the second lacks some bots and joins others.
    configs: [Vec<Crew>; 2],
    owner: HashMap<Arc<str>, Option<u64>>,
    alive: Vec<Node>,
    /// Dead ones, and the beat until which their lease lasts.
    dead: Vec<(Replica, u64)>,
    next: u64,
    beat: u64,
    moves: u64,
}

struct Node {
    id: u64,
    second: bool,
    planner: Planner,
    /// Given back, and the beat at which the last message has ended.
    leaving: Vec<(Crew, u64)>,
}

impl World {
    fn new(sizes: &[usize]) -> Self {
        let mut configs = [Vec::new(), Vec::new()];
        let mut owner = HashMap::new();
        for (at, size) in sizes.iter().enumerate() {
            let bots: Crew = (0..*size).map(|bot| Arc::from(format!("{at:02}-{bot}").as_str())).collect();
            owner.extend(bots.iter().map(|bot| (Arc::clone(bot), None)));
            configs[0].push(bots.clone());
            // The second config lacks every seventh, and ties every fifth to the one before.
            if at % 7 == 6 {
                continue;
            }
            match configs[1].last_mut() {
                Some(last) if at % 5 == 4 => last.extend(bots),
                _ => configs[1].push(bots),
            }
        }
        Self { configs, owner, alive: Vec::new(), dead: Vec::new(), next: 0, beat: 0, moves: 0 }
    }

    fn count(&self, id: u64) -> u64 {
        self.owner.values().filter(|owner| **owner == Some(id)).count() as u64
    }

    fn replicas(&self) -> Vec<Replica> {
        let of = |node: &Node| {
            replica(&format!("{:04}", node.id), if node.second { "two" } else { "one" }, self.count(node.id))
        };
        let mut all: Vec<Replica> = self.alive.iter().map(of).collect();
        all.extend(self.dead.iter().filter(|(_, until)| *until > self.beat).map(|(replica, _)| replica.clone()));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    fn live(&self, id: u64) -> bool {
        let dead = |(replica, until): &(Replica, u64)| replica.id == format!("{id:04}") && *until > self.beat;
        self.alive.iter().any(|node| node.id == id) || self.dead.iter().any(dead)
    }

    fn set(&mut self, bots: &[Arc<str>], owner: Option<u64>) {
        for bot in bots {
            self.moves += 1;
            self.owner.insert(Arc::clone(bot), owner);
        }
    }

    fn act(&mut self, event: &Event) {
        match event {
            Event::Join(second) => {
                let node = Node { id: self.next, second: *second, planner: Planner::default(), leaving: Vec::new() };
                self.next += 1;
                self.alive.push(node);
            }
            Event::Leave(at) | Event::Die(at) if !self.alive.is_empty() => {
                let node = self.alive.remove(at % self.alive.len());
                if let Event::Leave(_) = event {
                    let had: Vec<_> =
                        self.owner.iter().filter(|(_, o)| **o == Some(node.id)).map(|(b, _)| Arc::clone(b)).collect();
                    self.set(&had, None);
                } else {
                    let hash = if node.second { "two" } else { "one" };
                    let left = replica(&format!("{:04}", node.id), hash, self.count(node.id));
                    self.dead.push((left, self.beat + LEASE));
                }
            }
            Event::Reload(at, second) if !self.alive.is_empty() => {
                let at = at % self.alive.len();
                self.alive[at].second = *second;
            }
            Event::Pass(beats) => (0..*beats).for_each(|_| self.second()),
            Event::Leave(_) | Event::Die(_) | Event::Reload(..) => {}
        }
    }

    /// Every replica beats once, one after the other.
    fn second(&mut self) {
        self.beat += 1;
        for at in 0..self.alive.len() {
            self.node(at);
        }
    }

    fn node(&mut self, at: usize) {
        let (id, beat) = (self.alive[at].id, self.beat);
        let ended: Vec<Crew> = {
            let leaving = &mut self.alive[at].leaving;
            let ended = leaving.iter().filter(|(_, until)| *until <= beat).map(|(crew, _)| crew.clone()).collect();
            leaving.retain(|(_, until)| *until > beat);
            ended
        };
        for crew in ended {
            assert!(crew.iter().all(|bot| self.owner[bot] == Some(id)), "nobody takes what is being given back");
            self.set(&crew, None);
        }
        let replicas = self.replicas();
        let free: Vec<Free> = {
            let free = |owner: &Option<u64>| owner.is_none_or(|owner| !self.live(owner));
            let names: BTreeSet<_> = self.owner.iter().filter(|(_, owner)| free(owner)).map(|(bot, _)| bot).collect();
            names.into_iter().map(|bot| Free { bot: Arc::clone(bot), waiting: false }).collect()
        };
        let leaving: HashSet<Arc<str>> = self.alive[at].leaving.iter().flat_map(|(crew, _)| crew.clone()).collect();
        let owned = self.owner.iter().filter(|(bot, owner)| **owner == Some(id) && !leaving.contains(*bot));
        let mine: HashMap<Arc<str>, bool> = owned.map(|(bot, _)| (Arc::clone(bot), false)).collect();
        let crews = self.configs[usize::from(self.alive[at].second)].clone();
        let me = format!("{id:04}");
        let now = Duration::from_secs(beat);
        let situation =
            Situation { me: &me, replicas: &replicas, crews: &crews, mine: &mine, leaving: &leaving, free: &free, now };
        let Decision { claim, give } = self.alive[at].planner.decide(&situation);
        let mut asked = HashSet::new();
        for crew in claim {
            assert!(crew.iter().all(|bot| asked.insert(Arc::clone(bot))), "nothing is claimed twice");
            // The store's rule: all of them or none, and only what nobody has.
            if crew.iter().all(|bot| self.owner[bot].is_none_or(|owner| !self.live(owner))) {
                self.set(&crew, Some(id));
            }
        }
        for crew in give {
            assert!(crew.iter().all(|bot| mine.contains_key(bot)), "only what is there is given back");
            let takes = crew.len() as u64 % 3 + 1;
            self.alive[at].leaving.push((crew, beat + takes));
        }
    }

    /// Bots that some replica's config has.
    fn known(&self) -> BTreeSet<Arc<str>> {
        self.alive.iter().flat_map(|node| self.configs[usize::from(node.second)].iter().flatten().cloned()).collect()
    }

    fn unspoken(&self) -> Vec<Arc<str>> {
        let known = self.known();
        let free = known.iter().filter(|bot| self.owner[*bot].is_none_or(|owner| !self.live(owner)));
        free.cloned().collect()
    }

    /// Whether a crew could go from somebody to somebody else and make the spread more even.
    fn uneven(&self) -> Option<String> {
        let least = self.alive.iter().map(|node| self.count(node.id)).min()?;
        for node in &self.alive {
            let count = self.count(node.id);
            for crew in &self.configs[usize::from(node.second)] {
                let has = crew.iter().all(|bot| self.owner[bot] == Some(node.id));
                if has && count > least + crew.len() as u64 {
                    return Some(format!("{} has {count}, {least} the least, {crew:?} could go", node.id));
                }
            }
        }
        None
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => any::<bool>().prop_map(Event::Join),
        1 => any::<usize>().prop_map(Event::Leave),
        2 => any::<usize>().prop_map(Event::Die),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, second)| Event::Reload(at, second)),
        4 => (1..12_u8).prop_map(Event::Pass),
    ];
    proptest::collection::vec(event, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_bots_are_spoken_for_evenly_and_rest(
        sizes in proptest::collection::vec(prop_oneof![6 => Just(1_usize), 2 => 2..4_usize, 1 => 5..12_usize], 1..30),
        events in events(),
        alike in any::<bool>(),
    ) {
        let mut world = World::new(&sizes);
        world.act(&Event::Join(false));
        for event in &events {
            world.act(event);
        }
        if world.alive.is_empty() {
            world.act(&Event::Join(false));
        }
        // The last dead ones' leases run out, and what nobody wanted was taken: nothing known stays without a voice.
        world.act(&Event::Pass(u8::try_from(LEASE).unwrap() + 5));
        if alike {
            for node in &mut world.alive {
                node.second = false;
            }
        }
        world.act(&Event::Pass(12));
        // A crew of many may have to move in several steps, each after a rest. What moves is free for a moment.
        let mut free: HashMap<Arc<str>, u32> = HashMap::new();
        for _ in 0..200 {
            world.act(&Event::Pass(1));
            let unspoken = world.unspoken();
            free.retain(|bot, _| unspoken.contains(bot));
            for bot in unspoken {
                let beats = free.entry(Arc::clone(&bot)).or_default();
                *beats += 1;
                prop_assert!(*beats <= 4, "{bot} is free for {beats} beats");
            }
        }
        if alike {
            prop_assert_eq!(world.uneven(), None);
            for crew in &world.configs[0] {
                let owners: HashSet<_> = crew.iter().map(|bot| world.owner[bot]).collect();
                prop_assert_eq!(owners.len(), 1, "{:?} is spoken for by several", crew);
            }
        }
        let before = world.moves;
        world.act(&Event::Pass(200));
        prop_assert_eq!(world.moves, before, "it never rests");
    }

    #[test]
    fn bots_that_stand_alone_spread_within_few_beats(count in 0..200_usize, replicas in 1..7_usize, joins in 0..4_usize) {
        let mut world = World::new(&vec![1; count]);
        for _ in 0..replicas {
            world.act(&Event::Join(false));
        }
        world.act(&Event::Pass(10));
        for _ in 0..joins {
            world.act(&Event::Join(false));
        }
        world.act(&Event::Pass(12));
        prop_assert_eq!(world.uneven(), None);
        prop_assert_eq!(world.unspoken(), Vec::<Arc<str>>::new());
        let before = world.moves;
        world.act(&Event::Pass(30));
        prop_assert_eq!(world.moves, before, "it never rests");
    }

    #[test]
    fn what_a_dead_one_had_is_taken_with_the_next_beat(count in 1..100_usize, replicas in 2..6_usize) {
        let mut world = World::new(&vec![1; count]);
        for _ in 0..replicas {
            world.act(&Event::Join(false));
        }
        world.act(&Event::Pass(20));
        world.act(&Event::Die(0));
        world.act(&Event::Pass(u8::try_from(LEASE).unwrap()));
        prop_assert_eq!(world.unspoken(), Vec::<Arc<str>>::new());
    }
}
