//! Replicas that start: tables, passwords, and homes.

use alarmbell::store::postgres::PgStore;
use alarmbell::store::{Beat, Begin, Cluster, Effect, Store, StoreError};

use crate::harness::{NOW, begin, begun, outcome, webhook};
use crate::postgres::options;
use crate::rig::Rig;
use crate::server::{Server, shared};

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn replicas_that_start_at_once_make_the_tables_once() {
    let Some(rig) = Rig::new().await else { return };
    let starts: Vec<_> = (0..8)
        .map(|n| {
            let options = rig.options(&format!("home{n}"), NOW);
            tokio::spawn(async move { PgStore::open(options, crate::sqlite::metrics()).await })
        })
        .collect();
    for start in starts {
        let store = start.await.unwrap().map_err(|error| panic!("{error:?}")).unwrap();
        store.append(webhook(&["x"], &[1])).await.unwrap();
    }
    assert_eq!(rig.audit().await.bots["x"].1, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_newer_version_are_refused() {
    let Some(rig) = Rig::new().await else { return };
    drop(rig.replica("a").await);
    rig.database.run("UPDATE alarmbell.meta SET value = (value::int + 1)::text WHERE key = 'version'").await;
    match PgStore::open(rig.options("b", NOW), crate::sqlite::metrics()).await {
        Err(StoreError::Unusable(why)) => assert!(why.contains("newer alarmbell"), "{why}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_goes_over_tls() {
    let Some(server) = shared() else { return };
    let database = server.database().await;
    server.with_password(&database, "open sesame/1").await;
    let ca = Server::authority();
    let ca = ca.display();
    let open = async |password: &str, parameters: &str| {
        let options = options(database.url_of_scram(password, parameters), None, NOW);
        PgStore::open(options, crate::sqlite::metrics()).await
    };
    let right = "open%20sesame%2F1";
    for parameters in [format!("sslmode=verify-full&sslrootcert={ca}"), "sslmode=require".to_owned()] {
        let store = open(right, &parameters).await.map_err(|error| panic!("{parameters}: {error}")).unwrap();
        tell_of(&store).await;
    }
    for (password, parameters) in [
        ("wrong%20sesame", "sslmode=require".to_owned()),
        (right, "sslmode=disable".to_owned()),
        // The system's authorities did not sign it.
        (right, "sslmode=verify-full".to_owned()),
    ] {
        match open(password, &parameters).await {
            Ok(_) => panic!("{parameters}: it opened"),
            Err(error) => assert!(!error.to_string().contains("sesame"), "{error}"),
        }
    }
}

/// A guest writes.
async fn tell_of(store: &PgStore) {
    let robot = store.robot("r", 0).await.unwrap().1.last().map_or(0, |attempt| attempt.id);
    let message = Begin { covers: vec![], last_known: robot, ..begin("x", "r", 1) };
    let attempt = begun(store, message).await;
    store.finish(outcome("x", "r", 1, attempt, Effect::Told(vec![]))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_back_to_its_home_need_not_wait() {
    let Some(rig) = Rig::new().await else { return };
    let (a, b) = (rig.replica("a").await, rig.replica("b").await);
    a.own(&["x"]).await;
    a.store.append(webhook(&["x"], &[1])).await.unwrap();
    begun(&*a.store, begin("x", "r", 1)).await;
    let second = PgStore::open(rig.options("a", NOW), crate::sqlite::metrics()).await;
    assert!(matches!(second, Err(StoreError::Unusable(_))), "two processes in one home");
    drop(second);
    assert!(!b.claim(&["x"]).await);

    let before = a.id.clone();
    drop(a);
    let a = rig.replica("a").await;
    assert_ne!(a.id, before);
    assert_eq!(rig.owners().await, []);
    let (_, attempts) = a.store.robot("r", 0).await.unwrap();
    assert!(attempts.len() == 1 && attempts[0].ended_ms.is_some(), "{attempts:?}");
    assert!(b.claim(&["x"]).await);
    let pulse = b.store.beat(Beat::default()).await.unwrap();
    assert_eq!(pulse.replicas.len(), 2, "the process before is not there: {pulse:?}");
    assert_eq!(b.heard.image("x").open.len(), 1, "its message is still to be sent");
}
