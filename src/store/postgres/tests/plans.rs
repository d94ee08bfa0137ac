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
