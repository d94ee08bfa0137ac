//! What stands behind picked alerts: their bodies and policies, read in small parts.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::{Alert, Labels, Notification, Status};
use crate::store::{Store, StoreError, StoredBody};
use crate::waiting::Item;

/// Bytes of bodies that are read at once, about: a group's bodies can be megabytes each, and there may be many.
const READ_BYTES: usize = 4 << 20;
/// Bodies that are read at once.
const FIRST_READ: usize = 16;
const MOST_READ: usize = 256;

/// Where an alert came from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The policies that led it here.
    pub(super) via: Arc<str>,
    /// Its body, without any alert.
    pub(super) body: Arc<Notification>,
    /// The alert as its body has it.
    pub(super) alert: Arc<Alert>,
}

/// The source of each item, in order. Only the items' own alerts stay in memory.
pub(super) async fn sources(store: &dyn Store, items: &[Item]) -> Result<Vec<Source>, StoreError> {
    let mut by_body: HashMap<i64, Vec<usize>> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        by_body.entry(item.head.body).or_default().push(at);
    }
    let mut ids: Vec<i64> = by_body.keys().copied().collect();
    ids.sort_unstable();
    let mut found: Vec<Option<(Arc<Notification>, Arc<Alert>)>> = vec![None; items.len()];
    let mut ids = ids.as_slice();
    let mut most = FIRST_READ;
    while !ids.is_empty() {
        let (now, later) = ids.split_at(most.min(ids.len()));
        ids = later;
        let bodies = store.bodies(now.to_vec()).await?;
        let bytes: usize = bodies.iter().map(|stored| stored.body.len()).sum();
        most = (READ_BYTES * bodies.len().max(1) / bytes.max(1)).clamp(1, MOST_READ);
        for stored in bodies {
            let places = by_body.remove(&stored.id).unwrap_or_default();
            let Some((body, alerts)) = parse(&stored) else { continue };
            for at in places {
                let index = usize::try_from(items[at].head.idx).unwrap_or(usize::MAX);
                found[at] = alerts.get(index).map(|alert| (Arc::clone(&body), Arc::clone(alert)));
            }
        }
    }
    let mut vias: HashMap<u32, Arc<str>> = HashMap::new();
    let mut sources = Vec::with_capacity(items.len());
    for (item, found) in items.iter().zip(found) {
        let via = match vias.get(&item.head.via) {
            Some(via) => Arc::clone(via),
            None => {
                let via = store.via(item.head.via).await?;
                vias.insert(item.head.via, Arc::clone(&via));
                via
            }
        };
        let (body, alert) = found.unwrap_or_else(|| (Arc::new(missing()), Arc::new(unknown(item))));
        sources.push(Source { via, body, alert });
    }
    Ok(sources)
}

fn parse(stored: &StoredBody) -> Option<(Arc<Notification>, Vec<Arc<Alert>>)> {
    match Notification::parse(&stored.body) {
        Ok(mut body) => {
            let alerts = std::mem::take(&mut body.alerts).into_iter().map(Arc::new).collect();
            Some((Arc::new(body), alerts))
        }
        // It was readable when it was accepted; the alert is still told, by its fingerprint.
        Err(error) => {
            tracing::error!(body = stored.id, %error, "a stored body can not be read");
            None
        }
    }
}

/// Stands for a body that is gone or can not be read.
pub(super) fn missing() -> Notification {
    Notification {
        receiver: String::new(),
        status: Status::Firing,
        alerts: Vec::new(),
        group_labels: Labels::new(),
        common_labels: Labels::new(),
        common_annotations: Labels::new(),
        route_labels: Labels::new(),
        external_url: String::new(),
        group_key: String::new(),
        truncated_alerts: 0,
        reason: String::new(),
        version: String::new(),
    }
}

/// Stands for an alert whose body does not hold it.
fn unknown(item: &Item) -> Alert {
    Alert {
        status: item.head.status,
        labels: Labels::from([("fingerprint".to_owned(), item.head.fingerprint.to_string())]),
        annotations: Labels::new(),
        starts_at: Timestamp::from_millisecond(item.head.starts_ms).ok(),
        ends_at: (item.head.ends_ms > 0).then(|| Timestamp::from_millisecond(item.head.ends_ms).ok()).flatten(),
        generator_url: String::new(),
        fingerprint: item.head.fingerprint,
        silence_url: String::new(),
        dashboard_url: String::new(),
        panel_url: String::new(),
        value_string: String::new(),
    }
}
