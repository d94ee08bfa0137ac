//! Connections, and what to do when a transaction fails.
//!
//! No statement is prepared by name, nothing listens, nothing is locked or set beyond a transaction: all of it works
//! behind a pooler that lends a connection for one transaction.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError, TimeoutType, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;

/// How often a transaction that the database asks to repeat is repeated.
const TRIES: u32 = 20;

/// How long a transaction may hold its locks while its client says nothing: a process that is stopped, or whose network
/// is cut, in the middle of one must not hold up the others for longer than its lease.
const SILENCE: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 4_000 });

/// How long it is tried to tell the server that nobody waits for a statement any more.
const CANCEL: Duration = Duration::from_secs(2);

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

/// Text as the database can keep it: it has no way to write U+0000.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

impl Fault {
    /// Whether the database gave this code.
    pub(super) fn is(&self, code: &SqlState) -> bool {
        matches!(self, Self::Sql(error) if error.code() == Some(code))
    }

    /// Whether what was sent is to blame, and not the database's state: classes 22 (data), 23 (constraint) and 54
    /// (limits of the program).
    pub(super) fn is_of_content(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.code().starts_with(class)))
    }

    /// Whether the same transaction may succeed when it is done again: 40001, 40P01, and those of distributed services.
    /// 25006 is a primary that was made a standby: another connection finds the new one. 25P02 is what a statement gets
    /// that was sent together with one that failed, and may be heard of first: the next try tells the cause, if it stays.
    pub(super) fn asks_again(&self) -> bool {
        self.is(&SqlState::T_R_SERIALIZATION_FAILURE)
            || self.is(&SqlState::IN_FAILED_SQL_TRANSACTION)
            || self.is(&SqlState::T_R_DEADLOCK_DETECTED)
            || self.is(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// Whether the connection is of no more use: it leads to a server that went down or became a standby.
    pub(super) fn spoils_connection(&self) -> bool {
        self.is(&SqlState::READ_ONLY_SQL_TRANSACTION)
            || matches!(self, Self::Sql(error) if error.is_closed()
                || error.code().is_some_and(|code| code.code().starts_with("57P") || code.code().starts_with("08")))
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
/// `Result<T, Fault>` that may be made several times; the whole is a `Result<T, StoreError>`. What takes longer than
/// [`Db::patience`] is given up together with its connection: whether it was committed is not known then.
///
/// `$work` must not ask for a second connection: with all of them in use for that, everybody would wait for everybody.
macro_rules! again {
    ($db:expr, $conn:ident => $work:expr) => {{
        let mut tries = $crate::store::postgres::db::Tries::default();
        loop {
            #[allow(unused_mut, reason = "a transaction needs it, a query does not")]
            let mut $conn = match $db.conn().await {
                Ok(conn) => conn,
                Err(error) => break Err(error),
            };
            match tokio::time::timeout($db.patience, $work).await {
                Ok(Ok(done)) => break Ok(done),
                Ok(Err(fault)) => {
                    if fault.spoils_connection() {
                        drop(deadpool_postgres::Object::take($conn));
                    } else {
                        drop($conn);
                    }
                    if let Err(error) = tries.next(fault).await {
                        break Err(error);
                    }
                }
                Err(_) => break Err($db.give_up($conn)),
            }
        }
    }};
}
pub(super) use again;

/// Begins a transaction that the server ends by itself when this process falls silent in the middle of it.
pub(super) async fn transaction(conn: &mut Object, patience: Duration) -> Result<Transaction<'_>, Fault> {
    let tx = conn.transaction().await?;
    let limits = format!(
        "SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL statement_timeout = {}",
        SILENCE.as_millis(),
        patience.as_millis()
    );
    {
        // Sent by the first poll, and its answer is not waited for: that saves a round trip, and a failure of it fails
        // the next statement.
        let mut set = pin!(tx.batch_execute(&limits));
        std::future::poll_fn(|cx| {
            let _ = set.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
    }
    Ok(tx)
}

/// The outcome of a future, or `None` when it panicked: a task that all depend on goes on with the next thing.
pub(super) async fn unless_panic<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Connections for one kind of work: others can not use them up.
#[derive(Clone)]
pub(super) struct Db {
    pub(super) pool: Pool,
    /// How long one try of a transaction may take.
    pub(super) patience: Duration,
    pub(super) tls: MakeRustlsConnect,
}

impl Db {
    /// A connection, within the bounds of time.
    pub(super) async fn conn(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => unavailable(&error),
            PoolError::Timeout(TimeoutType::Wait) => {
                StoreError::Unavailable("all connections to the database are in use".to_owned())
            }
            PoolError::Timeout(_) => StoreError::Unavailable("the database can not be reached in time".to_owned()),
            PoolError::Closed => StoreError::Unavailable("the store is closed".to_owned()),
            other => StoreError::Unavailable(other.to_string()),
        })
    }

    /// Gives up what runs on a connection, and the connection with it.
    pub(super) fn give_up(&self, conn: Object) -> StoreError {
        let lost = Object::take(conn);
        let tls = self.tls.clone();
        tokio::spawn(async move {
            // It may wait for a lock, or have one that others wait for; when this fails too, its own limits end it.
            let _ = tokio::time::timeout(CANCEL, lost.cancel_token().cancel_query(tls)).await;
            drop(lost);
        });
        StoreError::Unavailable("the database did not answer in time".to_owned())
    }
}
