//! Bots change hands while webhooks come in everywhere: whoever speaks for one has heard all of it, once and in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use alarmbell::store::{Beat, Cluster, Store, StoreError};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::harness::webhook;
use crate::rig::{Replica, Rig, names};

const BOTS: [&str; 3] = ["x", "y", "z"];

/// What one replica does next.
#[derive(Clone, Debug)]
enum Op {
    /// To these bots (bits), so many alerts.
    Append(u8, u64),
    /// Several webhooks at once, to all bots.
    Burst(u64),
    /// Asks for these bots (bits), if it does not speak for them.
    Claim(u8),
    Release(u8),
    /// Its lease runs out without its knowledge.
    Expire,
    Beat,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let bits = 1_u8..8;
    let op = prop_oneof![
        6 => (bits.clone(), 1_u64..4).prop_map(|(bots, alerts)| Op::Append(bots, alerts)),
        2 => (2_u64..6).prop_map(Op::Burst),
        4 => bits.clone().prop_map(Op::Claim),
        2 => bits.prop_map(Op::Release),
        1 => Just(Op::Expire),
        2 => Just(Op::Beat),
    ];
    proptest::collection::vec(op, 5..25)
}

fn bots(bits: u8) -> Vec<&'static str> {
    (0..).zip(BOTS).filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, bot)| bot).collect()
}

async fn apply(rig: &Rig, replica: &Replica, op: &Op) {
    let store = &replica.store;
    match op {
        Op::Append(bits, alerts) => {
            store.append(webhook(&bots(*bits), &(0..*alerts).collect::<Vec<_>>())).await.unwrap();
        }
        Op::Burst(count) => {
            let burst: Vec<_> = (0..*count)
                .map(|n| {
                    let store = store.clone();
                    tokio::spawn(async move { store.append(webhook(&BOTS, &[n])).await })
                })
                .collect();
            for append in burst {
                append.await.unwrap().unwrap();
            }
        }
        Op::Claim(bits) => {
            store.claim(&names(&bots(*bits))).await.unwrap();
        }
        Op::Release(bits) => store.release(&names(&bots(*bits))).await.unwrap(),
        Op::Expire => rig.expire(replica).await,
        Op::Beat => beat(replica).await,
    }
}

async fn beat(replica: &Replica) {
    let pulse = replica.store.beat(Beat::default()).await.unwrap();
    replica.store.forget(&pulse.lost);
}

async fn run(ops: [Vec<Op>; 3]) -> Option<()> {
    let rig = Arc::new(Rig::new().await?);
    let mut replicas = Vec::new();
    for name in ["a", "b", "c"] {
        replicas.push(Arc::new(rig.replica(name).await));
    }
    replicas[0].enlist(&BOTS).await;
    let tasks: Vec<_> = replicas
        .iter()
        .zip(ops)
        .map(|(replica, ops)| {
            let (rig, replica) = (rig.clone(), replica.clone());
            tokio::spawn(async move {
                for op in ops {
                    apply(&rig, &replica, &op).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for replica in &replicas {
        beat(replica).await;
    }
    settle(&rig, &replicas).await;
    Some(())
}

/// Everybody speaks for what is theirs or free, and nothing is left to be heard.
async fn settle(rig: &Rig, replicas: &[Arc<Replica>]) {
    let mut free: BTreeSet<&str> = BOTS.into();
    for replica in replicas {
        for bot in BOTS {
            if replica.claim(&[bot]).await {
                assert!(free.remove(bot), "{bot} is had by two");
            }
        }
    }
    assert!(free.is_empty(), "nobody can have {free:?}");
    let audit = rig.audit().await;
    for (bot, owner) in rig.owners().await {
        let owner = replicas.iter().find(|replica| replica.id == owner).unwrap();
        let accepted = audit.bots.get(&bot).map_or(0, |(counters, _)| counters.accepted);
        owner.heard.reaches(&bot, accepted as usize).await;
        let sql = format!(
            "SELECT pos, fp FROM alarmbell.heads WHERE bot = (SELECT id FROM alarmbell.bots WHERE name = '{bot}') \
             ORDER BY pos"
        );
        let rows = rig.database.client().await.query(&sql, &[]).await.unwrap();
        let stored: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let heard = owner.heard.heads(&bot);
        let heard: Vec<_> = heard.iter().map(|head| (head.pos, head.fingerprint.0.cast_signed())).collect();
        assert_eq!(heard, stored, "{bot}");
        // Nothing was told, so each claim begins with the first, and whoever lost it heard all up to some moment.
        for session in replicas.iter().flat_map(|replica| replica.heard.all(&bot)) {
            assert_eq!(session, (1..=session.len() as i64).collect::<Vec<_>>(), "{bot}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn owners_hear_everything_once_and_in_order() {
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..8 {
        let mut next = || ops().new_tree(&mut runner).unwrap().current();
        let ops = [next(), next(), next()];
        let shown = format!("{ops:?}");
        let run = tokio::time::timeout(std::time::Duration::from_secs(60), tokio::spawn(run(ops))).await;
        match run.unwrap_or_else(|_| panic!("it hangs: {shown}")) {
            Ok(Some(())) => {}
            Ok(None) => return,
            Err(error) => panic!("{error}: {shown}"),
        }
    }
}

/// Outcomes are for the one that speaks, whoever tries; each alert is told once, or waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_one_tells_while_bots_change_hands() {
    let Some(rig) = Rig::new().await else { return };
    let rig = Arc::new(rig);
    let feeder = rig.replica("feeder").await;
    feeder.enlist(&["x"]).await;
    let fingerprints: Vec<u64> = (1..=60).collect();
    feeder.store.append(webhook(&["x"], &fingerprints)).await.unwrap();
    let mut tasks = Vec::new();
    for name in ["a", "b", "c"] {
        let (rig, replica) = (rig.clone(), rig.replica(name).await);
        tasks.push(tokio::spawn(async move {
            let mut told = 0;
            for round in 0_u8..12 {
                beat(&replica).await;
                if !replica.claim(&["x"]).await {
                    tokio::task::yield_now().await;
                    continue;
                }
                let waiting = replica.heard.last("x");
                for pos in waiting.into_iter().take(2) {
                    if round % 3 == 0 {
                        rig.expire(&replica).await;
                    }
                    match replica.store.superseded("x".into(), vec![pos]).await {
                        Ok(()) => told += 1,
                        Err(StoreError::Fenced) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
                replica.store.release(&names(&["x"])).await.unwrap();
            }
            told
        }));
    }
    let mut told = 0;
    for task in tasks {
        told += task.await.unwrap();
    }
    assert!(told > 0);
    let (counters, rows) = rig.audit().await.bots["x"];
    assert_eq!((counters.superseded, rows), (told, 60 - told));
}
