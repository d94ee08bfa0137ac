//! What was sent, and where each alert stands.

use axum::extract::State;
use axum::response::Response;

use super::Shared;
use super::query::{Query, bad};
use super::view::{DeliveriesAnswer, MessagesAnswer};
use crate::http::{HttpError, success};
use crate::model::Verdict;
use crate::store::{DeliveryQuery, DeliveryState, MessageQuery, StoreError};

/// Messages, newest first.
pub(super) async fn messages(State(rooms): State<Shared>, query: Query) -> Result<Response, HttpError> {
    let query = query.only(&["bot", "verdict", "since", "until", "q", "limit", "after"])?;
    let verdict = query.owned("verdict");
    if verdict.as_deref().is_some_and(|word| !Verdict::WORDS.contains(&word)) {
        return Err(bad("verdict", &format!("it must be one of {}", Verdict::WORDS.join(", "))));
    }
    let asked = MessageQuery {
        bot: query.owned("bot"),
        verdict,
        since_ms: query.time("since")?,
        until_ms: query.time("until")?,
        q: query.owned("q"),
        limit: query.limit()?,
        after: query.after()?,
    };
    let page = rooms.api.store.messages(asked).await?;
    Ok(success(MessagesAnswer::new(page, &rooms.api.prefix)))
}

/// Per bot and alert: where it stands, and the message that told it.
pub(super) async fn deliveries(State(rooms): State<Shared>, query: Query) -> Result<Response, HttpError> {
    let query = query.only(&["bot", "state", "limit", "after"])?;
    let states = query.text("state").map(states).transpose()?.unwrap_or_default();
    let asked = DeliveryQuery { bot: query.owned("bot"), states, limit: query.limit()?, after: query.owned("after") };
    match rooms.api.store.deliveries(asked).await {
        Ok(page) => {
            let deliveries = page.rows.into_iter().map(Into::into).collect();
            Ok(success(DeliveriesAnswer { deliveries, next: page.next }))
        }
        Err(StoreError::NotFound) => Err(bad("after", "it must be the cursor that the page before gave")),
        Err(error) => Err(error.into()),
    }
}

fn states(text: &str) -> Result<Vec<DeliveryState>, HttpError> {
    let state = |word: &str| match word.trim() {
        "waiting" => Ok(DeliveryState::Waiting),
        "told" => Ok(DeliveryState::Told),
        "dead" => Ok(DeliveryState::Dead),
        _ => Err(bad("state", "it must be any of waiting, told, dead, with commas between them")),
    };
    text.split(',').map(state).collect()
}
