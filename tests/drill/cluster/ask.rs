//! Asking replicas: their metrics all the time, what they say of each other at the end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alarmbell::clock::{Clock, SystemClock};
use serde_json::Value;

use super::replicas::Replicas;
use crate::crash::equation;
use crate::support::Metrics;

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_secs(3);

/// An answer's text; `None` when there was none, or not a good one.
pub async fn get(client: &reqwest::Client, at: SocketAddr, path: &str) -> Option<String> {
    let answer = client.get(format!("http://{at}{path}")).timeout(PATIENCE).send().await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    answer.text().await.ok()
}

/// `data` of an answer.
pub async fn data(client: &reqwest::Client, at: SocketAddr, path: &str) -> Option<Value> {
    let mut json: Value = serde_json::from_str(&get(client, at, path).await?).ok()?;
    Some(json["data"].take())
}

/// Scrapes every replica twice a second and holds each scrape to the equation.
#[derive(Default)]
pub struct Scraper {
    pub scrapes: AtomicU64,
    pub missed: AtomicU64,
    pub wrong: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Scraper {
    pub fn start(replicas: &Arc<Replicas>, client: &reqwest::Client, clock: &Arc<SystemClock>) -> Arc<Self> {
        let scraper = Arc::new(Self::default());
        let (own, replicas) = (Arc::clone(&scraper), Arc::clone(replicas));
        let (client, clock) = (client.clone(), Arc::clone(clock));
        tokio::spawn(async move {
            while !own.stop.load(Ordering::Relaxed) {
                for (place, door) in replicas.doors() {
                    let at = clock.mono().as_secs_f64();
                    let Some(text) = get(&client, door, "/metrics").await else {
                        own.missed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    own.scrapes.fetch_add(1, Ordering::Relaxed);
                    let mut wrong = own.wrong.lock().unwrap();
                    wrong.extend(
                        equation(&Metrics::parse(text))
                            .into_iter()
                            .map(|one| format!("{at:.1} s, replica {place}: {one}")),
                    );
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        scraper
    }

    pub fn end(&self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.wrong.lock().unwrap().clone()
    }
}

/// How many bots each replica of the list speaks for, as this one says.
pub async fn spread(client: &reqwest::Client, at: SocketAddr) -> Option<Vec<u64>> {
    let status = data(client, at, "/api/v1/status").await?;
    let replicas = status["replicas"].as_array()?;
    replicas.iter().map(|replica| replica["bots"].as_u64()).collect()
}

/// Without what differs from moment to moment.
fn settled(mut value: Value) -> Value {
    const MOVING: [&str; 1] = ["tokens_available"];
    match &mut value {
        Value::Object(map) => {
            map.retain(|key, _| !MOVING.contains(&key.as_str()));
            for inner in map.values_mut() {
                *inner = settled(inner.take());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = settled(item.take())),
        _ => {}
    }
    value
}

/// Whether every replica gives the same answer, within some seconds. Else what differs.
pub async fn agree(client: &reqwest::Client, doors: &[(usize, SocketAddr)], path: &str) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..50 {
        let mut answers = Vec::new();
        for (place, at) in doors {
            let answer = data(client, *at, path).await.map(settled);
            answers.push((*place, answer.map_or_else(|| "no answer".to_owned(), |answer| answer.to_string())));
        }
        let (first, rest) = answers.split_first().unwrap();
        match rest.iter().find(|answer| answer.1 != first.1) {
            None if first.1 != "no answer" => return Ok(()),
            None => last = "no answer".to_owned(),
            Some(other) => last = differ(first, other),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Err(last)
}

/// The first place where two answers differ.
fn differ(one: &(usize, String), other: &(usize, String)) -> String {
    let at = one.1.bytes().zip(other.1.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let bytes = &text.as_bytes()[at.saturating_sub(60).min(text.len())..(at + 60).min(text.len())];
        String::from_utf8_lossy(bytes).into_owned()
    };
    format!("replica {} says {:?}, {} says {:?}", one.0, part(&one.1), other.0, part(&other.1))
}
