//! Posting webhooks as Alertmanager does: over several connections, tried again until they are taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alarmbell::clock::{Clock, SystemClock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::ledger::{Ledger, Step};

/// One webhook, and when it leaves after the begin.
#[derive(Clone, Debug)]
pub struct Post {
    pub at: Duration,
    pub group: String,
    pub states: Vec<(usize, Step)>,
}

/// A client that keeps its connections, as Alertmanager does.
pub fn client() -> reqwest::Client {
    // Fails only when somebody was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(30)).pool_max_idle_per_host(64).build().unwrap()
}

/// Whether it was answered 200; `Err` holds the status, 0 for no answer at all.
pub async fn post(client: &reqwest::Client, to: SocketAddr, body: Vec<u8>) -> Result<(), u16> {
    let sent = client.post(format!("http://{to}/api/v1/webhook")).body(body).send().await;
    match sent {
        Ok(answer) if answer.status().as_u16() == 200 => answer.bytes().await.map(drop).map_err(|_| 0),
        Ok(answer) => Err(answer.status().as_u16()),
        Err(_) => Err(0),
    }
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loaded {
    pub webhooks: usize,
    /// Times that one had to be sent again.
    pub again: usize,
    /// When the last 200 came.
    pub last: Duration,
    /// How far behind the plan the worst was.
    pub late: Duration,
}

/// Posts all of it at its times, at most 64 at once. Those of one group must be in order and far enough apart; the next of
/// a group waits for the one before.
pub async fn run(ledger: &Arc<Ledger>, clock: &Arc<SystemClock>, to: SocketAddr, plan: Vec<Post>) -> Loaded {
    let client = client();
    let places = Arc::new(Semaphore::new(64));
    let begun = clock.mono();
    let mut loaded = Loaded { webhooks: plan.len(), ..Loaded::default() };
    let mut tasks = JoinSet::new();
    let mut queues: std::collections::BTreeMap<String, Vec<Post>> = std::collections::BTreeMap::new();
    for post in plan {
        queues.entry(post.group.clone()).or_default().push(post);
    }
    for queue in queues.into_values() {
        let (ledger, clock, places, client) =
            (Arc::clone(ledger), Arc::clone(clock), Arc::clone(&places), client.clone());
        tasks.spawn(async move {
            let (mut again, mut last, mut late) = (0, Duration::ZERO, Duration::ZERO);
            for item in queue {
                clock.sleep_until(begun + item.at).await;
                let _place = places.acquire().await.unwrap();
                let body = ledger.body(&item.group, &item.states);
                late = late.max(clock.mono().saturating_sub(begun + item.at));
                ledger.note(&item.states, None);
                while post(&client, to, body.clone()).await.is_err() {
                    again += 1;
                    assert!(again < 10_000, "webhooks are not taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                last = clock.mono();
                ledger.note(&item.states, Some(last));
            }
            (again, last, late)
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (again, last, late) = done.unwrap();
        loaded.again += again;
        loaded.last = loaded.last.max(last);
        loaded.late = loaded.late.max(late);
    }
    loaded
}
