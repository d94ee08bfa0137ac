//! Who must hear of an end is asked once per body, and a body is refused when nobody can say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::tz::TimeZone;

use super::*;
use crate::clock::ManualClock;
use crate::routing::{Config, Notify, Policy};
use crate::store::sqlite::{Options, SqliteStore};
use crate::store::{DeliveryQuery, StoreMetrics};

/// Says that `dba` knows of the alert `Known`, and keeps what it was asked.
#[derive(Default)]
struct Asked {
    questions: Mutex<Vec<Vec<Fingerprint>>>,
    away: std::sync::atomic::AtomicBool,
}

fn fingerprint(name: &str) -> Fingerprint {
    Fingerprint::of(&[("alertname".to_owned(), name.to_owned())].into())
}

#[async_trait]
impl Audience for Asked {
    async fn firing_bots(&self, fingerprints: &[Fingerprint]) -> Result<Vec<(Fingerprint, Arc<str>)>, StoreError> {
        self.questions.lock().unwrap().push(fingerprints.to_vec());
        if self.away.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        let known = fingerprints.iter().filter(|one| **one == fingerprint("Known"));
        Ok(known.map(|one| (*one, "dba".into())).collect())
    }
}

fn settings() -> Settings {
    let policy = Policy {
        name: "default".to_owned(),
        matchers: Vec::new(),
        notify: Notify::To { bots: vec!["ops".to_owned()], contact_groups: Vec::new() },
        mention: None,
        group_by: None,
        template: None,
        active_time_intervals: Vec::new(),
        go_on: false,
    };
    let router = Router::new(Config {
        policies: Vec::new(),
        default_policy: Some(policy),
        contact_groups: BTreeMap::new(),
        contacts: BTreeMap::new(),
        bots: BTreeMap::from([("ops".to_owned(), true), ("dba".to_owned(), true)]),
        time_intervals: BTreeMap::new(),
        timezone: TimeZone::UTC,
        severities: Severities::default(),
    });
    let send_resolved = BTreeMap::from([("ops".into(), true), ("dba".into(), true)]);
    Settings { router: Arc::new(router), severities: Severities::default(), send_resolved }
}

fn body(alerts: &[(&str, &str)]) -> Bytes {
    let alerts = alerts.iter().map(|(name, status)| {
        serde_json::json!({"status": status, "labels": {"alertname": name}, "startsAt": "2026-05-01T07:50:00Z"})
    });
    let alerts: Vec<_> = alerts.collect();
    serde_json::json!({"version": "4", "groupKey": "{}", "alerts": alerts}).to_string().into()
}

#[tokio::test]
async fn who_hears_of_ends_is_asked_once_and_a_body_waits_for_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let registry = prometheus::Registry::new();
    let metrics = StoreMetrics::register(&registry).unwrap();
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&Options::new(folder.path()), metrics).unwrap());
    struct Deaf;
    impl crate::store::Feed for Deaf {
        fn remember(&self, _: &Arc<str>, _: crate::store::BotImage) {}
        fn committed(&self, _: &[(Arc<str>, crate::model::Head)]) {}
    }
    store.replay(Arc::new(Deaf)).await.unwrap();
    let asked = Arc::new(Asked::default());
    let clock = ManualClock::new("2026-05-01T08:00:00Z".parse().unwrap());
    let metrics = IngestMetrics::register(&registry).unwrap();
    let ingest = Ingest::new(Arc::clone(&store), clock, Arc::clone(&asked) as Arc<dyn Audience>, settings(), metrics);
    let take = |alerts: Bytes| ingest.accept(&Endpoint::Policies, None, alerts);

    assert_eq!(take(body(&[("Known", "firing"), ("New", "firing")])).await.unwrap().states, 2);
    assert!(asked.questions.lock().unwrap().is_empty(), "nothing ended");

    let ends = body(&[("Known", "resolved"), ("New", "firing"), ("Other", "resolved"), ("Known", "resolved")]);
    assert_eq!(take(ends.clone()).await.unwrap().states, 6, "each at ops, and the end that dba waits for twice");
    let mut wanted = vec![fingerprint("Known"), fingerprint("Other")];
    wanted.sort();
    assert_eq!(*asked.questions.lock().unwrap(), [wanted], "one question, of each alert that ended");
    let query = DeliveryQuery { bot: Some("dba".to_owned()), limit: 10, ..DeliveryQuery::default() };
    let heard = store.deliveries(query).await.unwrap().rows;
    assert!(heard.iter().all(|row| row.fingerprint == fingerprint("Known")) && heard.len() == 2, "{heard:?}");

    let before = store.size().await.unwrap().waiting;
    asked.away.store(true, std::sync::atomic::Ordering::Relaxed);
    let refused = take(ends).await.unwrap_err();
    assert!(matches!(refused, IngestError::Store(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.size().await.unwrap().waiting, before, "nothing of the body was taken");
}
