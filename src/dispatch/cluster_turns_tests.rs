//! Two dispatchers on one store while bots change hands and configs differ.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::cluster_tests::{BOTS, Node, Rig, names};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_one_leaves_when_what_it_was_giving_back_has_ended_too() {
    let rig = Rig::new().await;
    let a = rig.node("a").await;
    rig.pass_until("the first takes all", || a.ours().len() == 4).await;
    for bot in BOTS {
        rig.fault(bot, 1_500);
        rig.accept(bot, 1).await;
    }
    rig.pass_until("all are on their way", || BOTS.iter().all(|bot| rig.requests(bot) == 1)).await;
    let b = rig.node("b").await;
    rig.pass_until("some are to be given back", || a.ours().len() < 4).await;
    a.stop().await;
    for bot in BOTS {
        let told = rig.verdicts(bot).await;
        assert_eq!(told, [("delivered".to_owned(), String::new(), 1)], "{bot} was nobody's before its message ended");
    }
    rig.pass_until("the other has all", || b.ours() == names(&BOTS)).await;
    rig.pass(Duration::from_secs(2)).await;
    assert!(BOTS.iter().all(|bot| rig.requests(bot) == 1 && b.waiting(bot) == Some(0)), "nothing is told twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_can_not_be_taken_keeps_no_other_waiting() {
    let rig = Rig::new().await;
    let a = rig.node("a").await;
    a.member.damaged.lock().unwrap().extend(["b1".into(), "b2".into()]);
    let took = rig.pass_until("it takes the others", || a.ours() == names(&["ops", "b3"])).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    rig.accept("b3", 1).await;
    rig.pass_until("they speak", || rig.shown("b3") == 1).await;
    a.member.damaged.lock().unwrap().clear();
    rig.pass_until("it tries again", || a.ours() == names(&BOTS)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_only_another_replica_knows_hears_of_ends_too() {
    let rig = Rig::new().await;
    let fewer = ["ops", "b1", "b2"];
    let (a, b) = (rig.node_with("a", &fewer, "old").await, rig.node_with("b", &BOTS, "new").await);
    rig.accept("b3", 1).await;
    rig.pass_until("whoever knows it tells it", || rig.shown("b3") == 1).await;
    rig.pass_until("each knows the other", || a.dispatcher.pulse().replicas.len() == 2).await;
    let hearers = |node: &Node| {
        let dispatcher = Arc::clone(&node.dispatcher);
        async move { dispatcher.firing_bots(&[Fingerprint(2)]).await.unwrap() }
    };
    let b3 = [(Fingerprint(2), Arc::from("b3"))];
    assert_eq!(hearers(&b).await, b3);
    assert_eq!(hearers(&a).await, b3, "its chat would show for ever that it fires");
    // What no config has any more hears of nothing.
    b.dispatcher.apply(rig.settings(&fewer, "old")).await.unwrap();
    let agree = |node: &Node| node.dispatcher.pulse().replicas.iter().all(|replica| replica.config_hash == "old");
    rig.pass_until("both have the config", || agree(&a) && agree(&b)).await;
    for node in [&a, &b] {
        assert_eq!(hearers(node).await, []);
    }
}

/// Its process is to end: as a task that is gone it would look well, and nobody would be told anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_anywhere_in_keeping_bots_is_one_of_all() {
    for place in ["beat", "claim", "release"] {
        let rig = Rig::new().await;
        let a = rig.node("a").await;
        rig.pass_until("it takes all", || a.ours().len() == 4).await;
        *a.member.defect.lock().unwrap() = Some(place);
        let other = match place {
            // It is to give some back.
            "release" => Some(rig.node("b").await),
            "claim" => {
                a.dispatcher.shared.membership.as_ref().unwrap().fence(&"b1".into());
                None
            }
            _ => None,
        };
        rig.pass_until("it ends", || a.own.is_finished()).await;
        assert!(a.own.await.unwrap_err().is_panic(), "{place}");
        if let Some(other) = other {
            other.stop().await;
        }
    }
}
