//! How the planner goes about statements over a large backlog that it has no figures of yet: a storm is minutes old before
//! PostgreSQL looks at its tables.

use super::*;

/// One bot for which 120,000 alerts wait, and others for which few do.
async fn unknown(place: &Place) {
    place
        .run(
            "ALTER TABLE alarmbell.heads SET (autovacuum_enabled = off); \
             INSERT INTO alarmbell.heads SELECT CASE WHEN n > 50 THEN 1 ELSE n END, n, n, 1, 0, n * 7, n, 0, 0, 0, 1, 0, 1, 1 \
             FROM generate_series(1, 120000) n",
        )
        .await;
}

async fn explain(place: &Place, sql: &str) -> String {
    let rows = place.admin.query(&format!("EXPLAIN {sql}"), &[]).await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_read_along_the_key_whatever_is_known() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    unknown(&place).await;
    let sql = image::page_sql().replace("$1", "'{1}'").replace("$2", "'{0}'");
    for known in [false, true] {
        if known {
            place.run("ANALYZE alarmbell.heads").await;
        }
        let plan = explain(&place, &sql).await;
        assert!(plan.contains("Index Scan using heads_pkey") && !plan.contains("Bitmap"), "{known} {plan}");
    }
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_of_an_end_is_looked_up_and_not_compiled() {
    let Some(place) = Place::new().await else { return };
    let here = place.node().await;
    unknown(&place).await;
    let asked: Vec<String> = (0..500).map(|n| (n * 7).to_string()).collect();
    let plan = explain(&place, &hearers::ASK.replace("$1", &format!("'{{{}}}'", asked.join(",")))).await;
    let cost = plan.split("..").nth(1).and_then(|rest| rest.split('.').next()).unwrap().parse::<u64>().unwrap();
    // jit_above_cost is 100,000.
    assert!(!plan.contains("Seq Scan on heads") && cost < 50_000, "{plan}");
    place.end(vec![here]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_questions_gets_its_own_answer() {
    let Some(place) = Place::new().await else { return };
    let here = Arc::new(place.node().await);
    for n in 0..40 {
        here.store.append(webhook(n, if n % 2 == 0 { &["a"] } else { &["a", "b"] })).await.unwrap();
    }
    let asking: Vec<_> = (0..40_u64)
        .map(|n| {
            let here = here.clone();
            tokio::spawn(async move { here.store.hearers(&[Fingerprint(n), Fingerprint(1_000 + n)]).await })
        })
        .collect();
    for (n, asked) in (0..40_u64).zip(asking) {
        let mut found = asked.await.unwrap().unwrap();
        found.sort();
        let bots = names(if n % 2 == 0 { &["a"] } else { &["a", "b"] });
        assert_eq!(found, bots.into_iter().map(|bot| (Fingerprint(n), bot)).collect::<Vec<_>>());
    }
    here.store.close().await;
    assert!(matches!(here.store.hearers(&[Fingerprint(1)]).await, Err(StoreError::Unavailable(_))));
    place.end(vec![Arc::into_inner(here).unwrap()]).await;
}
