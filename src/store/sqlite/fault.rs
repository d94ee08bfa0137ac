//! What can go wrong inside a transaction, and how far it reaches.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why an operation failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said so.
    Sql(rusqlite::Error),
    /// The operation itself can not be done; its neighbours can.
    Alone(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Alone(error)
    }
}

impl Fault {
    /// Whether the whole transaction must go: everything but a mistake in one operation's own data.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Alone(_) => false,
            Self::Sql(rusqlite::Error::SqliteFailure(error, _)) => {
                !matches!(error.code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
            }
            Self::Sql(_) => false,
        }
    }

    /// Whether the file holds something that the memory says it does not.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation))
    }

    /// Whether another process held the file for longer than the busy timeout.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        ))
    }

    /// Whether there may be no room on the disk. File systems that write late, and quotas, report it as an I/O error.
    pub(super) fn is_full(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure)
        ))
    }

    /// The error as callers see it.
    pub(super) fn to_store(&self) -> StoreError {
        match self {
            Self::Alone(error) => error.clone(),
            Self::Sql(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    StoreError::Unusable(format!("the database file is damaged: {error}"))
                }
                Some(ErrorCode::DiskFull) => StoreError::Unavailable(format!("no room left: {error}")),
                _ => StoreError::Unavailable(error.to_string()),
            },
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.to_store()
    }
}
