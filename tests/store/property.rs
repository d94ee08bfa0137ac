//! Random operations against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;

use alarmbell::model::How;
use alarmbell::store::{Counters, Effect, Retention, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Harness, NOW, begin, begun, dead_letter, outcome, told_state, webhook};

const BOTS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Op {
    /// To these bots (bits), so many alerts.
    Append(u8, u64),
    /// The oldest so many of a bot, named or counted, and what the next ones are superseded by.
    Tell(usize, usize, bool, usize),
    Kill(usize, usize),
    Supersede(usize, usize),
    Rehome(usize, Vec<usize>),
    ReplayLetter(Option<usize>),
    DeleteLetter,
    Clean,
    Reopen {
        orderly: bool,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let bot = 0..BOTS.len();
    let op = prop_oneof![
        6 => (1_u8..8, 1_u64..5).prop_map(|(bots, alerts)| Op::Append(bots, alerts)),
        4 => (bot.clone(), 0_usize..6, any::<bool>(), 0_usize..3)
            .prop_map(|(bot, count, named, superseded)| Op::Tell(bot, count, named, superseded)),
        2 => (bot.clone(), 1_usize..3).prop_map(|(bot, count)| Op::Kill(bot, count)),
        2 => (bot.clone(), 1_usize..4).prop_map(|(bot, count)| Op::Supersede(bot, count)),
        1 => (bot.clone(), proptest::collection::vec(bot.clone(), 0..3)).prop_map(|(from, to)| Op::Rehome(from, to)),
        1 => proptest::option::of(bot).prop_map(Op::ReplayLetter),
        1 => Just(Op::DeleteLetter),
        1 => Just(Op::Clean),
        1 => any::<bool>().prop_map(|orderly| Op::Reopen { orderly }),
    ];
    proptest::collection::vec(op, 1..40)
}

/// What must be true of one bot.
#[derive(Default)]
struct Expected {
    waiting: Vec<i64>,
    counters: Counters,
}

#[derive(Default)]
struct Model {
    bots: BTreeMap<&'static str, Expected>,
    /// Bots of the dead letters, oldest first.
    letters: Vec<&'static str>,
    messages: u8,
}

impl Model {
    fn accept(&mut self, bot: &'static str, count: u64) {
        let expected = self.bots.entry(bot).or_default();
        for _ in 0..count {
            expected.counters.accepted += 1;
            expected.waiting.push(expected.counters.accepted.cast_signed());
        }
    }

    fn take(&mut self, bot: &'static str, count: usize) -> Vec<i64> {
        let waiting = &mut self.bots.entry(bot).or_default().waiting;
        let count = count.min(waiting.len());
        waiting.drain(..count).collect()
    }

    fn counters(&mut self, bot: &'static str) -> &mut Counters {
        &mut self.bots.entry(bot).or_default().counters
    }
}

async fn apply(store: &dyn Store, model: &mut Model, op: &Op) {
    model.messages += 1;
    let n = model.messages;
    let robot = format!("r{n}");
    match op {
        Op::Append(bits, alerts) => {
            let bots: Vec<_> = (0..).zip(BOTS).filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, bot)| bot).collect();
            let fingerprints: Vec<u64> = (0..*alerts).collect();
            store.append(webhook(&bots, &fingerprints)).await.unwrap();
            bots.into_iter().for_each(|bot| model.accept(bot, *alerts));
        }
        Op::Tell(bot, count, named, superseded) => {
            let bot = BOTS[*bot];
            let told = model.take(bot, *count);
            let superseded = model.take(bot, *superseded);
            let how = if *named { How::Named } else { How::Counted };
            let attempt = begun(store, begin(bot, &robot, n)).await;
            let counters = model.counters(bot);
            let by_how = if *named { &mut counters.told_named } else { &mut counters.told_counted };
            *by_how += told.len() as u64;
            counters.superseded += superseded.len() as u64;
            let told = told.iter().map(|pos| (*pos, told_state(pos.cast_unsigned() % 5), how)).collect();
            let mut end = outcome(bot, &robot, n, attempt, Effect::Told(told));
            end.superseded = superseded;
            store.finish(end).await.unwrap();
        }
        Op::Kill(bot, count) => {
            let bot = BOTS[*bot];
            let dead = model.take(bot, *count);
            model.counters(bot).dead += dead.len() as u64;
            model.letters.extend(dead.iter().map(|_| bot));
            let dead = dead.iter().map(|pos| dead_letter(*pos, pos.cast_unsigned())).collect();
            store.finish(outcome(bot, &robot, n, 0, Effect::Dead(dead))).await.unwrap();
        }
        Op::Supersede(bot, count) => {
            let mut positions = model.take(BOTS[*bot], *count);
            model.counters(BOTS[*bot]).superseded += positions.len() as u64;
            positions.extend([0, 1 << 50]);
            store.superseded(BOTS[*bot].into(), positions).await.unwrap();
        }
        Op::Rehome(from, to) => rehome(store, model, BOTS[*from], to).await,
        Op::ReplayLetter(to) => {
            let Some(letter) = store.dead_letters(None, 1, None).await.unwrap().pop() else { return };
            let bot = model.letters.pop().unwrap();
            assert_eq!(letter.bot, bot);
            let to = to.map(|to| BOTS[to]);
            store.replay_dead_letter(letter.id, to.map(Arc::from), NOW).await.unwrap();
            model.accept(to.unwrap_or(bot), 1);
        }
        Op::DeleteLetter => {
            let Some(letter) = store.dead_letters(None, 1, None).await.unwrap().pop() else { return };
            model.letters.pop();
            store.delete_dead_letter(letter.id).await.unwrap();
        }
        Op::Clean => {
            let retention = Retention { history_before_ms: NOW + 30, resolved_before_ms: 0, attempts_before_ms: NOW };
            store.clean(retention).await.unwrap();
        }
        Op::Reopen { .. } => {}
    }
}

async fn rehome(store: &dyn Store, model: &mut Model, from: &'static str, to: &[usize]) {
    let mut targets: Vec<&'static str> = to.iter().map(|to| BOTS[*to]).filter(|to| *to != from).collect();
    targets.sort_unstable();
    targets.dedup();
    let moved = store.rehome(from.into(), to.iter().map(|to| BOTS[*to].into()).collect(), NOW).await.unwrap();
    if targets.is_empty() && !to.is_empty() {
        assert_eq!(moved, 0);
        return;
    }
    let heads = model.take(from, usize::MAX).len() as u64;
    assert_eq!(moved, heads);
    if targets.is_empty() {
        model.counters(from).dead += heads;
        model.letters.extend((0..heads).map(|_| from));
    } else {
        model.counters(from).superseded += heads;
        targets.into_iter().for_each(|to| model.accept(to, heads));
    }
}

/// The rows and the model say the same.
fn compare(h: &Harness, model: &Model, op: &Op) {
    let audit = h.audit();
    for (bot, expected) in &model.bots {
        let (counters, rows) = audit.bots.get(*bot).copied().unwrap_or_default();
        assert_eq!(counters, expected.counters, "{bot} after {op:?}");
        assert_eq!(rows, expected.waiting.len() as u64, "{bot} after {op:?}");
    }
}

pub(crate) async fn random_operations_keep_the_proof(h: Harness) {
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..12 {
        let ops = ops().new_tree(&mut runner).unwrap().current();
        run(&h.fresh(), &ops).await;
    }
}

async fn run(h: &Harness, ops: &[Op]) {
    let mut model = Model::default();
    let (mut store, mut seen, _) = h.start().await;
    for op in ops {
        if let Op::Reopen { orderly } = op {
            if *orderly {
                store.close().await;
            }
            drop(store);
            (store, seen, _) = h.start().await;
            for (bot, expected) in &model.bots {
                assert_eq!(seen.positions(bot), expected.waiting, "{bot} replayed in {ops:?}");
            }
        }
        apply(&*store, &mut model, op).await;
        compare(h, &model, op);
        for (bot, expected) in &model.bots {
            let last = seen.positions(bot).last().copied();
            assert!(expected.waiting.last() <= last.as_ref(), "{bot} in {ops:?}");
        }
    }
}
