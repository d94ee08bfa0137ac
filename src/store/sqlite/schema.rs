//! The file's version, and how an older one becomes the present one.

use rusqlite::{Connection, TransactionBehavior};

use super::fault::Fault;
use crate::store::StoreError;

/// Marks the file as ours: "almb".
const APPLICATION_ID: i64 = 0x616c_6d62;

/// Marks a copy that is not complete: "almc". Every alarmbell refuses it, also one that does not know why.
pub(super) const UNFINISHED_ID: i64 = 0x616c_6d63;

/// One script per version, the first makes version 1. Scripts that were released are never changed.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

/// Brings the file to the present version; a new one gets its tables.
///
/// # Errors
/// [`StoreError::Unusable`] for a file of a newer version or of another program.
pub(super) fn migrate(conn: &mut Connection) -> Result<(), Fault> {
    // Readers of the version that also write must not meet each other half way.
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = |sql: &str| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    let application = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application == UNFINISHED_ID {
        let why = "it holds a copy that is not complete: give the same `alarmbell storage copy` again to finish it";
        return Err(StoreError::Unusable(why.to_owned()).into());
    }
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(StoreError::Unusable("the database file was not made by alarmbell".to_owned()).into());
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        let message = format!(
            "the store has version {version}, this alarmbell knows versions up to {}: use the newer alarmbell that wrote it",
            MIGRATIONS.len()
        );
        return Err(StoreError::Unusable(message).into());
    }
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    for script in MIGRATIONS.iter().skip(done) {
        tx.execute_batch(script)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))?;
    tx.commit()?;
    Ok(())
}

/// Whether the file is an unfinished copy, of the present version.
///
/// # Errors
/// [`StoreError::Unusable`] for an unfinished copy of another version.
pub(super) fn is_unfinished(conn: &Connection) -> Result<bool, Fault> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number("PRAGMA application_id")? != UNFINISHED_ID {
        return Ok(false);
    }
    present(number("PRAGMA user_version")?)?;
    Ok(true)
}

/// Whether the file is one of ours and of the present version; nothing is changed.
///
/// # Errors
/// [`StoreError::Unusable`] when it is not.
pub(super) fn must_be_present(conn: &Connection) -> Result<(), Fault> {
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let why = match number("PRAGMA application_id")? {
        APPLICATION_ID => return present(number("PRAGMA user_version")?),
        UNFINISHED_ID => "it holds a copy that is not complete",
        _ => "the database file was not made by alarmbell",
    };
    Err(StoreError::Unusable(why.to_owned()).into())
}

fn present(version: i64) -> Result<(), Fault> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version == known {
        return Ok(());
    }
    let why = format!(
        "it has version {version}, and this alarmbell copies version {known}: serve from it once with this alarmbell"
    );
    Err(StoreError::Unusable(why).into())
}

/// Marks the file as an unfinished copy, or as a store that can be used.
pub(super) fn mark(conn: &Connection, unfinished: bool) -> Result<(), Fault> {
    Ok(conn.pragma_update(None, "application_id", if unfinished { UNFINISHED_ID } else { APPLICATION_ID })?)
}
