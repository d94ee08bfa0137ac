//! How much waits, so that there is a bound to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What waits at all bots, as far as this replica knows: never less than there is, but for what other replicas took
/// since the last look.
#[derive(Default)]
pub(super) struct Backlog {
    /// Alerts and bytes that this process appended, ever.
    heads: AtomicU64,
    bytes: AtomicU64,
    seen: Mutex<Seen>,
}

/// The last look at the database, and what this process had appended before it.
#[derive(Clone, Copy, Default)]
struct Seen {
    heads: u64,
    bytes: u64,
    own_heads: u64,
    own_bytes: u64,
}

/// What this process had appended when a look at the database began.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    heads: u64,
    bytes: u64,
}

impl Backlog {
    /// To be taken before the database is asked, for [`Backlog::saw`].
    pub(super) fn mark(&self) -> Mark {
        Mark { heads: self.heads.load(Ordering::Acquire), bytes: self.bytes.load(Ordering::Acquire) }
    }

    /// So much waited when the database was asked.
    pub(super) fn saw(&self, mark: Mark, heads: i64, bytes: i64) {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let seen = Seen { heads: number(heads), bytes: number(bytes), own_heads: mark.heads, own_bytes: mark.bytes };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    pub(super) fn appended(&self, heads: u64, bytes: u64) {
        self.heads.fetch_add(heads, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Alerts and bytes.
    pub(super) fn now(&self) -> (u64, u64) {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.mark();
        (
            seen.heads.saturating_add(mark.heads.saturating_sub(seen.own_heads)),
            seen.bytes.saturating_add(mark.bytes.saturating_sub(seen.own_bytes)),
        )
    }
}

/// What waits, for [`Backlog::saw`]. The noted ends that nobody waits for take room all the same.
pub(super) const WAITING: &str = "SELECT coalesce(sum(accepted - told_named - told_counted - superseded - dead), 0)::bigint, \
     coalesce(sum(body_bytes), 0)::bigint FROM alarmbell.bots";
