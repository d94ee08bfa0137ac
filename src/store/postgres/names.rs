//! Ids of names, which never change once they are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_postgres::types::Type;

use super::Db;
use super::db::{Fault, again, text};
use crate::store::StoreError;

type Ids = Mutex<HashMap<Arc<str>, i32>>;

/// What this process knows of ids. A row that was made is never deleted, so what is known stays true.
#[derive(Default)]
pub(super) struct Names {
    bots: Ids,
    robots: Ids,
    vias: Ids,
    bot_names: Mutex<HashMap<i32, Arc<str>>>,
}

/// A table of names.
#[derive(Clone, Copy)]
struct Table {
    find: &'static str,
    make: &'static str,
}

const BOTS: Table = Table {
    find: "SELECT id FROM alarmbell.bots WHERE name = $1",
    make: "INSERT INTO alarmbell.bots (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING id",
};
const ROBOTS: Table = Table {
    find: "SELECT id FROM alarmbell.robots WHERE hash = $1",
    make: "INSERT INTO alarmbell.robots (hash) VALUES ($1) ON CONFLICT (hash) DO NOTHING RETURNING id",
};
const VIAS: Table = Table {
    find: "SELECT id FROM alarmbell.vias WHERE text = $1",
    make: "INSERT INTO alarmbell.vias (text) VALUES ($1) ON CONFLICT (text) DO NOTHING RETURNING id",
};

fn lock<T>(map: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Names {
    /// The id of a bot, whose row is made when it is new, in a statement of its own. Takes a connection when the name is
    /// not known yet: ask before you have one.
    pub(super) async fn bot(&self, db: &Db, name: &str) -> Result<i32, Fault> {
        id(&self.bots, BOTS, db, name).await
    }

    /// The id of a robot, as [`Names::bot`].
    pub(super) async fn robot(&self, db: &Db, hash: &str) -> Result<i32, Fault> {
        id(&self.robots, ROBOTS, db, hash).await
    }

    /// The id of a via text, as [`Names::bot`].
    pub(super) async fn via(&self, db: &Db, text: &str) -> Result<i32, Fault> {
        id(&self.vias, VIAS, db, text).await
    }

    /// The name of a bot's row.
    pub(super) async fn bot_name(&self, db: &Db, id: i32) -> Result<Option<Arc<str>>, Fault> {
        if let Some(name) = lock(&self.bot_names).get(&id) {
            return Ok(Some(name.clone()));
        }
        let found = again!(db, conn => async {
            let row = conn.query_typed_opt("SELECT name FROM alarmbell.bots WHERE id = $1", &[(&id, Type::INT4)]).await?;
            Ok::<_, Fault>(row.map(|row| Arc::<str>::from(row.get::<_, &str>(0))))
        })?;
        if let Some(name) = &found {
            lock(&self.bot_names).insert(id, name.clone());
        }
        Ok(found)
    }

    /// Forgets everything: the rows may be others than they were (a database that was restored while we ran).
    pub(super) fn forget(&self) {
        for ids in [&self.bots, &self.robots, &self.vias] {
            lock(ids).clear();
        }
        lock(&self.bot_names).clear();
    }
}

async fn known(ids: &Ids, table: Table, db: &Db, name: &str) -> Result<Option<i32>, Fault> {
    if let Some(id) = lock(ids).get(name) {
        return Ok(Some(*id));
    }
    let key = text(name);
    let found = again!(db, conn => async {
        let row = conn.query_typed_opt(table.find, &[(&&*key, Type::TEXT)]).await?;
        Ok::<_, Fault>(row.map(|row| row.get::<_, i32>(0)))
    })?;
    if let Some(id) = found {
        lock(ids).insert(name.into(), id);
    }
    Ok(found)
}

async fn id(ids: &Ids, table: Table, db: &Db, name: &str) -> Result<i32, Fault> {
    if let Some(id) = known(ids, table, db, name).await? {
        return Ok(id);
    }
    let key = text(name);
    let made = again!(db, conn => async {
        // In two statements: the first does not see a row that another transaction makes meanwhile.
        if let Some(row) = conn.query_typed_opt(table.make, &[(&&*key, Type::TEXT)]).await? {
            return Ok::<_, Fault>(Some(row.get::<_, i32>(0)));
        }
        let row = conn.query_typed_opt(table.find, &[(&&*key, Type::TEXT)]).await?;
        Ok(row.map(|row| row.get(0)))
    })?;
    let Some(id) = made else {
        return Err(StoreError::Unavailable("a name's row came and went".to_owned()).into());
    };
    lock(ids).insert(name.into(), id);
    Ok(id)
}
