//! Many alerts that wait: as webhooks, and written into a store directly.

use std::sync::Arc;

use alarmbell::clock::{Clock as _, SystemClock};
use alarmbell::model::{Fingerprint, HeadFlags, Status};
use alarmbell::store::{Append, NewHead, Store};

/// A body of about 400 bytes an alert and 600 around them, as Alertmanager writes it. Alert `n` is its own alert.
pub(crate) fn body(group: u64, numbers: std::ops::Range<u64>) -> String {
    let alert = |n: u64| {
        format!(
            r#"{{"status":"firing","labels":{{"alertname":"DiskFull","cluster":"prod-1","instance":"10.0.0.1:{n:012}","job":"node","severity":"warning","team":"dba"}},"annotations":{{"description":"disk of 10.0.0.1 at 91% since ten minutes, and it is going to be full within two hours","summary":"Disk almost full"}},"startsAt":"2026-11-20T23:32:08.662928595Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prom.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1","fingerprint":"{:016x}"}}"#,
            fingerprint(n)
        )
    };
    let list: Vec<String> = numbers.map(alert).collect();
    format!(
        r#"{{"receiver":"hook","status":"firing","alerts":[{}],"groupLabels":{{"alertname":"DiskFull","n":"{group:012}"}},"commonLabels":{{"alertname":"DiskFull","cluster":"prod-1","severity":"warning"}},"commonAnnotations":{{"summary":"Disk almost full"}},"externalURL":"http://vm:19093","version":"4","groupKey":"{{}}:{{n=\"{group:012}\"}}","truncatedAlerts":0}}"#,
        list.join(",")
    )
}

/// The same alerts, ended.
pub(crate) fn resolved(group: u64, numbers: std::ops::Range<u64>) -> String {
    body(group, numbers)
        .replace(r#""status":"firing""#, r#""status":"resolved""#)
        .replace("0001-01-01T00:00:00Z", "2026-11-20T23:52:08.662928595Z")
}

/// Spread as real ones are.
fn fingerprint(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Appends alerts for each of the bots, each a group and a body of its own, in rounds over the bots.
pub(crate) async fn fill(store: Arc<dyn Store>, bots: &[Arc<str>], each: u64) {
    let now = SystemClock::new().now_ms();
    let via: Arc<str> = "default_policy".into();
    let mut tasks = Vec::new();
    for round in 0..each {
        for (at, bot) in bots.iter().enumerate() {
            let n = round * bots.len() as u64 + at as u64 + 1;
            let head = NewHead {
                bot: Arc::clone(bot),
                via: Arc::clone(&via),
                idx: 0,
                fingerprint: Fingerprint(fingerprint(n)),
                group: fingerprint(n) ^ 1,
                status: Status::Firing,
                severity: 2,
                flags: HeadFlags::default(),
                starts_ms: 1_795_217_528_662,
                ends_ms: 0,
            };
            let append = Append { received_ms: now, body: body(n, n..n + 1).into(), heads: vec![head] };
            let store = Arc::clone(&store);
            tasks.push(tokio::spawn(async move { store.append(append).await.unwrap() }));
            if tasks.len() == 4_000 {
                for task in tasks.drain(..) {
                    task.await.unwrap();
                }
            }
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    store.close().await;
}
