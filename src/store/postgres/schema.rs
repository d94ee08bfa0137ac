//! The tables' version, and how older tables become the present ones.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::Db;
use super::db::{Fault, again, transaction};
use crate::store::StoreError;

/// One script per version, the first makes version 1. Scripts that were released are never changed.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("migrations/0001.sql")];

/// How long the tables may take to become the present ones, the wait for another replica that does it included.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is tried to make what other replicas make at the same time.
const TRIES: u32 = 10;

/// The key of [`META`] that says what state the store is in: [`READY`], or something that keeps replicas out.
pub(super) const STATE: &str = "state";
/// Anybody may use the store.
pub(super) const READY: &str = "ready";

/// Made before anything else. Its row "version" is locked by whoever changes the tables.
const META: &str = "CREATE SCHEMA IF NOT EXISTS alarmbell; \
     CREATE TABLE IF NOT EXISTS alarmbell.meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL); \
     INSERT INTO alarmbell.meta (key, value) VALUES ('version', '0'), ('state', 'ready') ON CONFLICT (key) DO NOTHING;";

/// Brings the tables to the present version; an empty database gets them. Safe when several replicas start at once.
///
/// # Errors
/// [`StoreError::Unusable`] for tables of a newer version, a database that can not hold every text, one in which we may
/// not make tables, or a store that is being copied.
pub(super) async fn migrate(db: &Db) -> Result<(), StoreError> {
    prepare(db).await?;
    let state = again!(db, conn => value(&conn, STATE))?;
    if state.as_deref().is_some_and(|state| state != READY) {
        return Err(StoreError::Unusable(
            "the database holds a store that is being copied, or was not copied to its end: finish `alarmbell storage \
             copy` first"
                .to_owned(),
        ));
    }
    Ok(())
}

/// As [`migrate`], whatever state the store is in.
pub(super) async fn prepare(db: &Db) -> Result<(), StoreError> {
    let db = &Db { patience: PATIENCE, ..db.clone() };
    let encoding = again!(db, conn => async {
        let row = conn.query_typed_one("SELECT current_setting('server_encoding')", &[]).await?;
        Ok::<_, Fault>(row.get::<_, String>(0))
    })?;
    if encoding != "UTF8" {
        return Err(StoreError::Unusable(format!(
            "the database has the encoding {encoding}, which can not hold every alert: make one with ENCODING 'UTF8'"
        )));
    }
    make_meta(db).await?;
    again!(db, conn => upgrade(&mut conn)).map_err(remedy_of)
}

/// Makes the table of the version, unless it is there.
async fn make_meta(db: &Db) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let made = again!(db, conn => async {
            let row = conn.query_typed_one("SELECT to_regclass('alarmbell.meta') IS NOT NULL", &[]).await?;
            if !row.get::<_, bool>(0) {
                return Ok(conn.batch_execute(META).await.map_err(Fault::from));
            }
            Ok::<_, Fault>(Ok(()))
        })?;
        let Err(fault) = made else { return Ok(()) };
        if !is_race(&fault) {
            return Err(remedy(fault));
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(5..=50))).await;
    }
    Err(StoreError::Unavailable("other replicas make the tables; try again".to_owned()))
}

/// Whether two replicas made the same thing at once: `IF NOT EXISTS` looks before it makes.
fn is_race(fault: &Fault) -> bool {
    [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_SCHEMA,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::INTERNAL_ERROR,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .iter()
    .any(|code| fault.is(code))
}

fn remedy(fault: Fault) -> StoreError {
    remedy_of(if fault.is(&SqlState::INSUFFICIENT_PRIVILEGE) { no_privilege() } else { fault.into() })
}

fn remedy_of(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(why) if why.ends_with("(42501)") => no_privilege(),
        other => other,
    }
}

fn no_privilege() -> StoreError {
    StoreError::Unusable(
        "the database's user may not make the schema alarmbell or its tables: as the database's owner, run CREATE SCHEMA \
         alarmbell AUTHORIZATION the_user, or give the user a database of its own"
            .to_owned(),
    )
}

/// A value of the table of the version.
pub(super) async fn value(conn: &Object, key: &str) -> Result<Option<String>, Fault> {
    let row = conn.query_typed_opt("SELECT value FROM alarmbell.meta WHERE key = $1", &[(&key, Type::TEXT)]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// How many scripts were run, of so many that we know.
fn version(stored: Option<&str>) -> Result<usize, Fault> {
    let done: usize = stored.and_then(|stored| stored.parse().ok()).ok_or_else(|| {
        StoreError::Unusable("the schema alarmbell in the database was not made by alarmbell".to_owned())
    })?;
    if done > MIGRATIONS.len() {
        let message = format!(
            "the store has version {done}, this alarmbell knows versions up to {}: use the newer alarmbell that wrote it",
            MIGRATIONS.len()
        );
        return Err(StoreError::Unusable(message).into());
    }
    Ok(done)
}

/// Whether the tables are of the present version; nothing is changed.
///
/// # Errors
/// [`StoreError::Unusable`] when they are not.
pub(super) async fn must_be_present(conn: &Object) -> Result<(), Fault> {
    let done = version(value(conn, "version").await?.as_deref())?;
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    let message = format!(
        "the store has version {done}, and this alarmbell copies version {}: serve from it once with this alarmbell",
        MIGRATIONS.len()
    );
    Err(StoreError::Unusable(message).into())
}

async fn upgrade(conn: &mut Object) -> Result<(), Fault> {
    // Without the lock first: most starts change nothing, and a user that may only read the version gets this far.
    if version(value(conn, "version").await?.as_deref())? == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = transaction(conn, PATIENCE).await?;
    let row = tx.query_typed_opt("SELECT value FROM alarmbell.meta WHERE key = 'version' FOR UPDATE", &[]).await?;
    let done = version(row.map(|row| row.get::<_, String>(0)).as_deref())?;
    for script in MIGRATIONS.iter().skip(done) {
        tx.batch_execute(script).await?;
    }
    let now = MIGRATIONS.len().to_string();
    tx.execute_typed("UPDATE alarmbell.meta SET value = $1 WHERE key = 'version'", &[(&now, Type::TEXT)]).await?;
    tx.commit().await?;
    Ok(())
}
