//! Random operations against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;

use alarmbell::model::{How, StormState};
use alarmbell::store::{Begin, Counters, Effect, HandOver, Retention, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::{Harness, NOW, begin, begun, dead_letter, message_id, outcome, told_alert, told_state, webhook};

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
    /// From, to, and how many of the oldest are superseded, leave, and are copied.
    HandOver(usize, usize, [usize; 3]),
    /// A message begins that tells so many alerts itself and so many in each of its parts; the last of them are stale.
    Digest(usize, u64, Vec<u64>, u32),
    /// Parts of a message that is never begun.
    Unbegun(u32),
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
        2 => (bot.clone(), bot.clone(), [0_usize..4, 0_usize..4, 0_usize..4])
            .prop_map(|(from, to, counts)| Op::HandOver(from, to, counts)),
        2 => (bot.clone(), 0_u64..3, proptest::collection::vec(0_u64..4, 0..4), 0_u32..3)
            .prop_map(|(bot, own, parts, stale)| Op::Digest(bot, own, parts, stale)),
        1 => (1_u32..4).prop_map(Op::Unbegun),
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
    storm: Option<StormState>,
}

#[derive(Default)]
struct Model {
    bots: BTreeMap<&'static str, Expected>,
    /// Bots of the dead letters, oldest first.
    letters: Vec<&'static str>,
    /// Digests in flight: their bot and the number of their alerts.
    digests: BTreeMap<u8, (&'static str, u64)>,
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
            end.storm = named.then(|| StormState { digests: n.into(), ..StormState::default() });
            let expected = model.bots.entry(bot).or_default();
            expected.storm = end.storm.or(expected.storm);
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
        Op::HandOver(from, to, counts) => hand_over(store, model, (BOTS[*from], BOTS[*to]), counts).await,
        Op::Digest(bot, own, parts, stale) => {
            let mut fingerprints = 0..;
            let mut take = |count: u64| fingerprints.by_ref().take(count as usize).map(told_alert).collect::<Vec<_>>();
            let start = Begin { alerts: take((*own).max(1)), ..begin(BOTS[*bot], &robot, n) };
            let kept = (0..).zip(parts.iter().map(|count| take(*count)).collect::<Vec<_>>());
            for (part, alerts) in kept.chain((parts.len() as u32..).zip(vec![vec![told_alert(99)]; *stale as usize])) {
                store.keep_alerts(&message_id(n), part, alerts).await.unwrap();
            }
            begun(store, Begin { parts: parts.len() as u32, ..start }).await;
            model.digests.insert(n, (BOTS[*bot], (*own).max(1) + parts.iter().sum::<u64>()));
        }
        Op::Unbegun(parts) => {
            for part in 0..*parts {
                store.keep_alerts(&message_id(n), part, vec![told_alert(1)]).await.unwrap();
            }
        }
        Op::Rehome(from, to) => rehome(store, model, BOTS[*from], to).await,
        Op::ReplayLetter(to) => {
            let Some(letter) = store.dead_letters(None, 1, None).await.unwrap().rows.pop() else { return };
            let bot = model.letters.pop().unwrap();
            assert_eq!(letter.bot, bot);
            let to = to.map(|to| BOTS[to]);
            store.replay_dead_letter(letter.id, to.map(Arc::from), NOW).await.unwrap();
            model.accept(to.unwrap_or(bot), 1);
        }
        Op::DeleteLetter => {
            let Some(letter) = store.dead_letters(None, 1, None).await.unwrap().rows.pop() else { return };
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

async fn hand_over(
    store: &dyn Store,
    model: &mut Model,
    (from, to): (&'static str, &'static str),
    counts: &[usize; 3],
) {
    let same = from == to;
    let mut take = |count: usize| if same { vec![1] } else { model.take(from, count) };
    let (superseded, moved) = (take(counts[0]), take(counts[1]));
    let copied: Vec<i64> = model.bots.entry(from).or_default().waiting.iter().take(counts[2]).copied().collect();
    let gone = (superseded.len() + moved.len()) as u64;
    let expected = if same { 0 } else { (moved.len() + copied.len()) as u64 };
    let asked = HandOver { from: from.into(), to: to.into(), moved, copied, superseded };
    assert_eq!(store.hand_over(asked).await.unwrap(), expected);
    if !same {
        model.counters(from).superseded += gone;
        model.accept(to, expected);
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
    // Its messages are in flight no more, and so may be cleaned away.
    model.digests.retain(|_, (bot, _)| *bot != from);
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
async fn compare(h: &Harness, model: &Model, op: &Op) {
    let audit = h.audit().await;
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
            let images;
            (store, seen, images) = h.start().await;
            for (bot, expected) in &model.bots {
                assert_eq!(seen.positions(bot), expected.waiting, "{bot} replayed in {ops:?}");
                assert_eq!(images.get(*bot).and_then(|image| image.storm), expected.storm, "{bot} in {ops:?}");
            }
        }
        apply(&*store, &mut model, op).await;
        compare(h, &model, op).await;
        for (n, (_, count)) in &model.digests {
            let told = store.message(&message_id(*n)).await.unwrap().alerts;
            let told: Vec<u64> = told.iter().map(|alert| alert.fingerprint.0).collect();
            assert_eq!(told, (0..*count).collect::<Vec<_>>(), "message {n} in {ops:?}");
        }
        for (bot, expected) in &model.bots {
            let last = seen.positions(bot).last().copied();
            assert!(expected.waiting.last() <= last.as_ref(), "{bot} in {ops:?}");
        }
    }
}
