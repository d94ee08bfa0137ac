//! Ids of names, which never change once they are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::db::Fault;
use crate::store::StoreError;

/// What this process knows of ids.
#[derive(Default)]
pub(super) struct Names {
    bots: Mutex<HashMap<Arc<str>, i32>>,
    robots: Mutex<HashMap<Arc<str>, i32>>,
    vias: Mutex<HashMap<Arc<str>, i32>>,
}

impl Names {
    /// The id of a bot, whose row is made when it is new. A row made in a transaction that fails is not remembered:
    /// names are made in a statement of their own.
    pub(super) async fn bot(&self, _db: &super::Db, _name: &str) -> Result<i32, Fault> {
        unbuilt()
    }

    /// The id of a robot, as [`Names::bot`].
    pub(super) async fn robot(&self, _db: &super::Db, _hash: &str) -> Result<i32, Fault> {
        unbuilt()
    }

    /// The id of a via text, as [`Names::bot`].
    pub(super) async fn via(&self, _db: &super::Db, _text: &str) -> Result<i32, Fault> {
        unbuilt()
    }

    /// The name of a bot's row.
    pub(super) async fn bot_name(&self, _db: &super::Db, _id: i32) -> Result<Option<Arc<str>>, Fault> {
        unbuilt()
    }
}

pub(super) fn unbuilt<T, E: From<StoreError>>() -> Result<T, E> {
    Err(StoreError::Unavailable("this part of the engine is being built".to_owned()).into())
}
