//! Dead letters: seen, sent again, thrown away.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;

use super::Shared;
use super::query::{Query, bad};
use super::view::LettersAnswer;
use crate::http::{ErrorKind, HttpError, success};
use crate::store::StoreError;

type Id = Result<Path<i64>, PathRejection>;

/// Dead letters, newest first.
pub(super) async fn list(State(rooms): State<Shared>, query: Query) -> Result<Response, HttpError> {
    let query = query.only(&["bot", "limit", "after"])?;
    let limit = query.limit()?;
    let page = rooms.api.store.dead_letters(query.owned("bot"), limit, query.after()?).await?;
    Ok(success(LettersAnswer::new(page)))
}

/// Sends one again: to its own bot, or to `?bot=`.
pub(super) async fn replay(State(rooms): State<Shared>, id: Id, query: Query) -> Result<Response, HttpError> {
    let id = allowed(&rooms, id)?;
    let query = query.only(&["bot"])?;
    let api = &rooms.api;
    let bot = match query.text("bot") {
        Some(bot) if api.control.has_bot(bot) => bot.to_owned(),
        Some(_) => return Err(bad("bot", "the config has no bot of this name")),
        None => {
            let before = id.checked_add(1).ok_or_else(none)?;
            let row = api.store.dead_letters(None, 1, Some(before)).await?.rows.pop();
            let letter = row.filter(|letter| letter.id == id).ok_or_else(none)?;
            if !api.control.has_bot(&letter.bot) {
                return Err(bad("bot", "the config no longer has the bot that this was for; name another"));
            }
            letter.bot
        }
    };
    let bot = Some(bot.as_str().into());
    api.store.replay_dead_letter(id, bot, api.clock.now_ms()).await.map_err(named)?;
    api.control.dead_letters_changed().await;
    Ok(success(()))
}

/// Throws one away.
pub(super) async fn remove(State(rooms): State<Shared>, id: Id) -> Result<Response, HttpError> {
    let id = allowed(&rooms, id)?;
    rooms.api.store.delete_dead_letter(id).await.map_err(named)?;
    rooms.api.control.dead_letters_changed().await;
    Ok(success(()))
}

fn allowed(rooms: &Shared, id: Id) -> Result<i64, HttpError> {
    if !rooms.api.admin {
        let message = "replaying and deleting are off; start with --web.enable-admin-api";
        return Err(HttpError::new(ErrorKind::Forbidden, message));
    }
    id.map(|Path(id)| id).map_err(|_| none())
}

fn none() -> HttpError {
    HttpError::new(ErrorKind::NotFound, "there is no such dead letter")
}

fn named(error: StoreError) -> HttpError {
    match error {
        StoreError::NotFound => none(),
        error => error.into(),
    }
}
