//! Connections, and what to do when a transaction fails.
//!
//! No statement is prepared by name, nothing listens, nothing is locked beyond a transaction: all of it works behind a
//! pooler that lends a connection for one transaction.

use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// How often a transaction that the database asks to repeat is repeated.
const TRIES: u32 = 20;

/// Why a statement or a transaction failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database said so, or the connection broke.
    Sql(tokio_postgres::Error),
    /// It can not be done.
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Sql(error) => unavailable(&error),
        }
    }
}

/// An error as people may see it: the server's own words, never the connection string.
pub(super) fn unavailable(error: &tokio_postgres::Error) -> StoreError {
    let text = match error.as_db_error() {
        Some(db) => format!("the database says: {} ({})", db.message(), db.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    };
    StoreError::Unavailable(text)
}

impl Fault {
    /// Whether the same transaction may succeed when it is done again: 40001, 40P01, and those of distributed services.
    fn asks_again(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.code().is_some_and(|code| {
            *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED
        })
    }
}

/// Counts the tries of one transaction; see [`again`].
#[derive(Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Waits a little before the next try; gives the fault back when another try makes no sense.
    pub(super) async fn next(&mut self, fault: Fault) -> Result<(), StoreError> {
        if !fault.asks_again() || self.0 >= TRIES {
            return Err(fault.into());
        }
        self.0 += 1;
        let most = 2_u64 << self.0.min(6);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
        Ok(())
    }
}

/// Does `$work` with a connection `$conn`, and again while the database asks for it. `$work` is a future of
/// `Result<T, Fault>` that may be made several times; the whole is a `Result<T, StoreError>`.
macro_rules! again {
    ($db:expr, $conn:ident => $work:expr) => {{
        let mut tries = $crate::store::postgres::db::Tries::default();
        loop {
            #[allow(unused_mut, reason = "a transaction needs it, a query does not")]
            let mut $conn = match $db.conn().await {
                Ok(conn) => conn,
                Err(error) => break Err(error),
            };
            match $work.await {
                Ok(done) => break Ok(done),
                Err(fault) => {
                    drop($conn);
                    if let Err(error) = tries.next(fault).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}
pub(super) use again;

/// The connections.
#[derive(Clone)]
pub(super) struct Db {
    pub(super) pool: Pool,
}

impl Db {
    /// A connection, within the bounds of time.
    pub(super) async fn conn(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => unavailable(&error),
            PoolError::Timeout(_) => StoreError::Unavailable("no connection to the database in time".to_owned()),
            PoolError::Closed => StoreError::Unavailable("the store is closed".to_owned()),
            other => StoreError::Unavailable(other.to_string()),
        })
    }
}
