//! Where the database is, and the bounds of its use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;

/// Where the database is and how much the store may hold.
#[derive(Clone)]
pub struct Options {
    /// A URL as libpq reads it: `postgres://user:password@host[:port][,host...]/database?sslmode=...&sslrootcert=FILE`.
    /// A secret: it is never shown.
    pub url: secrecy::SecretString,
    /// Folder that one process at a time can have: what makes a restarted replica known again. `None` for a guest (the
    /// `send` command), which makes attempts and reads, but is no replica.
    pub home: Option<PathBuf>,
    /// What people know this replica by.
    pub name: String,
    /// Alert states that may wait, all bots; beyond, [`crate::store::StoreError::BacklogFull`].
    pub max_alerts: u64,
    /// Bytes of bodies that may wait; beyond, [`crate::store::StoreError::BacklogFull`].
    pub max_bytes: u64,
    /// Appends that may be queued; beyond, [`crate::store::StoreError::Unavailable`] at once.
    pub queue_ops: usize,
    /// Bytes that may be queued. An append that is larger alone fits an empty queue.
    pub queue_bytes: usize,
    /// Webhooks in one transaction.
    pub batch_ops: usize,
    /// Bytes in one transaction, beyond its first webhook.
    pub batch_bytes: usize,
    /// Connections at most.
    pub connections: usize,
    /// How long a connection may take to be had, new or free.
    pub connect_timeout: Duration,
    /// How long a statement may take before its connection is given up.
    pub statement_timeout: Duration,
    /// How often new heads of other replicas are looked for.
    pub poll: Duration,
    /// This replica's clock, which the database's is compared with.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// The defaults.
    pub fn new(url: secrecy::SecretString, home: Option<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            url,
            home,
            name: String::new(),
            max_alerts: 2_000_000,
            max_bytes: 4_000_000_000,
            queue_ops: 65_536,
            queue_bytes: 256 << 20,
            batch_ops: 1_024,
            batch_bytes: 16 << 20,
            connections: 12,
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            poll: Duration::from_millis(200),
            clock,
        }
    }
}
