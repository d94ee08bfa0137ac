//! Bots that change hands.

use super::super::{append, cluster, feed};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_hears_all_of_it_while_alerts_come() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    let many: Vec<&str> = vec!["a"; 2_500];
    there.store.append(webhook(1, &many)).await.unwrap();
    let inner = (there.store.inner.clone(), there.store.queue.clone());
    let coming = tokio::spawn(async move {
        for nr in 0..40 {
            append::push(&inner.0, &inner.1, webhook(nr, &["a", "b"])).await.unwrap();
        }
    });
    assert!(here.store.claim(&names(&["b", "a", "c"])).await.unwrap());
    coming.await.unwrap();
    feed::look(&here.store.inner).await.unwrap();
    assert_eq!(here.ear.positions("a"), (1..=2_540).collect::<Vec<i64>>());
    assert_eq!(here.ear.positions("b"), (1..=40).collect::<Vec<i64>>());
    assert_eq!(here.ear.images.lock().unwrap().len(), 3);
    assert!(here.store.claim(&names(&["a"])).await.unwrap(), "it is ours already");
    assert_eq!(here.ear.images.lock().unwrap().len(), 3);
    // Given back, nothing more is heard of it; claimed by the other, all of it is.
    here.store.release(&names(&["a"])).await.unwrap();
    here.store.append(webhook(9, &["a"])).await.unwrap();
    feed::look(&here.store.inner).await.unwrap();
    assert_eq!(here.ear.positions("a").len(), 2_540);
    let pulse = there.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.free, [Free { bot: "a".into(), waiting: true }]);
    assert!(there.store.claim(&names(&["a"])).await.unwrap());
    assert_eq!(there.ear.positions("a"), (1..=2_541).collect::<Vec<i64>>());
    place.end(vec![here, there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_costs_the_bots_and_a_beat_says_so() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(here.store.claim(&names(&["a", "b"])).await.unwrap());
    let fence = "SELECT fence FROM alarmbell.bots WHERE name = 'a'";
    assert_eq!(place.number(fence).await, 1);
    let pulse = there.store.beat(Beat { config_hash: "h".to_owned() }).await.unwrap();
    assert_eq!(pulse.free, []);
    let mut bots: Vec<_> = pulse.replicas.iter().map(|replica| replica.bots).collect();
    bots.sort_unstable();
    assert_eq!(bots, [0, 2]);
    assert_eq!(pulse.replicas.iter().find(|replica| replica.id == pulse.me).unwrap().config_hash, "h");
    let expire = format!("UPDATE alarmbell.replicas SET until_ms = 1 WHERE id = '{}'", here.store.inner.me);
    place.run(&expire).await;
    let pulse = there.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.replicas.len(), 1);
    assert_eq!(pulse.free.iter().map(|free| &*free.bot).collect::<Vec<_>>(), ["a", "b"]);
    assert!(there.store.claim(&names(&["a"])).await.unwrap());
    assert_eq!(place.number(fence).await, 2);
    // The first wakes up: one is lost, the other is its own again since nobody took it.
    let pulse = here.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.lost, names(&["a"]));
    assert_eq!(pulse.free, []);
    here.store.forget(&pulse.lost);
    assert_eq!(here.store.beat(Beat::default()).await.unwrap().lost, []);
    assert!(!here.store.claim(&names(&["a", "c"])).await.unwrap());
    assert_eq!(
        place.number("SELECT count(*) FROM alarmbell.bots WHERE name = 'c' AND owner IS NULL").await,
        1,
        "all or none"
    );
    // Views: each shows its own only.
    here.store.publish(vec![("a".into(), "1".to_owned()), ("b".into(), "2".to_owned())]).await.unwrap();
    assert_eq!(there.store.views().await.unwrap(), [("b".into(), "2".to_owned())]);
    // Whoever was lost sight of for long appears anew.
    place.run("UPDATE alarmbell.replicas SET until_ms = 1").await;
    there.store.beat(Beat::default()).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    assert_eq!(here.store.beat(Beat::default()).await.unwrap().replicas.len(), 2);
    here.store.leave().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.bots WHERE owner IS NOT NULL").await, 1);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    place.end(vec![here, there]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beat_that_races_a_claim_sees_what_it_lost() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    place.run(&format!("UPDATE alarmbell.replicas SET until_ms = 1 WHERE id = '{}'", here.store.inner.me)).await;
    // A claim of another, stopped between its look at the lease and its commit.
    let mut other = connect(&url_of(&place.server, &place.name)).await;
    let claim = other.transaction().await.unwrap();
    claim.execute("SELECT 1 FROM alarmbell.bots WHERE name = 'a' FOR NO KEY UPDATE", &[]).await.unwrap();
    claim.execute("SELECT 1 FROM alarmbell.replicas WHERE until_ms = 1 FOR NO KEY UPDATE", &[]).await.unwrap();
    let inner = here.store.inner.clone();
    let beat = tokio::spawn(async move { cluster::beat(&inner, &Beat::default()).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while place.number(waits).await == 0 {
        tokio::task::yield_now().await;
    }
    claim.execute("UPDATE alarmbell.bots SET owner = 'other', fence = fence + 1", &[]).await.unwrap();
    claim.commit().await.unwrap();
    assert_eq!(beat.await.unwrap().unwrap().lost, names(&["a"]));
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_comes_back_frees_what_its_process_had() {
    let Some(place) = Place::new().await else { return };
    let (here, there) = (place.node().await, place.node().await);
    assert!(here.store.claim(&names(&["a"])).await.unwrap());
    assert!(there.store.claim(&names(&["b"])).await.unwrap());
    for node in [&here, &there] {
        place
            .run(&format!(
                "INSERT INTO alarmbell.attempts (robot, id, message, started_ms, owner, fence) \
                 SELECT 1, coalesce(max(id), 0) + 1, 1, 1, '{}', 1 FROM alarmbell.attempts",
                node.store.inner.me
            ))
            .await;
    }
    let Node { store, home, .. } = here;
    store.close().await;
    let back = PgStore::open(place.options(home.path()), metrics()).await.unwrap();
    let owners = "SELECT count(*) FROM alarmbell.bots WHERE owner IS NOT NULL";
    assert_eq!(place.number(owners).await, 1);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.attempts WHERE ended_ms IS NULL").await, 1);
    assert_eq!(place.number("SELECT fence FROM alarmbell.bots WHERE name = 'a'").await, 2);
    assert_eq!(place.number("SELECT count(*) FROM alarmbell.replicas").await, 1);
    back.close().await;
    place.end(vec![there]).await;
}
