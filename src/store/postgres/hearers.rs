//! Who must hear that an alert is over: many questions in one statement, the next when the last was answered.
//!
//! Every webhook with an end in it asks before it is taken, and planning the statement costs more than its answer. So, as
//! on the way in, what has come up while the database was busy is asked together.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::Type;

use super::Inner;
use super::db::{Fault, again, unless_panic};
use crate::model::Fingerprint;
use crate::store::StoreError;

/// Fingerprints in one statement.
const CHUNK: usize = 500;
/// Questions that wait; whoever comes then waits for room.
pub(super) const WAITING: usize = 1_024;

type Answer = Vec<(Fingerprint, Arc<str>)>;

/// What one webhook wants to know.
pub(super) struct Question {
    fingerprints: Vec<i64>,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// The bots that each of these alerts fires at.
pub(super) async fn hearers(inner: &Inner, fingerprints: &[Fingerprint]) -> Result<Answer, StoreError> {
    if fingerprints.is_empty() {
        return Ok(Vec::new());
    }
    let closed = || StoreError::Unavailable("it was cut off".to_owned());
    let fingerprints = fingerprints.iter().map(|fingerprint| fingerprint.0.cast_signed()).collect();
    let (reply, answer) = oneshot::channel();
    inner.questions.send(Question { fingerprints, reply }).await.map_err(|_| closed())?;
    answer.await.map_err(|_| closed())?
}

/// Answers questions for as long as the store is open.
pub(super) async fn run(inner: Arc<Inner>, mut questions: mpsc::Receiver<Question>) {
    while let Some(first) = questions.recv().await {
        let mut size = first.fingerprints.len();
        let mut asked = vec![first];
        while size < CHUNK
            && let Ok(next) = questions.try_recv()
        {
            size += next.fingerprints.len();
            asked.push(next);
        }
        if unless_panic(answer(&inner, asked)).await.is_none() {
            // Their way back was dropped, so the senders know.
            tracing::error!("looking up who must hear of ends panicked; those webhooks failed, and it goes on");
        }
    }
}

async fn answer(inner: &Inner, asked: Vec<Question>) {
    let mut all: Vec<i64> = asked.iter().flat_map(|question| question.fingerprints.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    let found = ask(inner, &all).await;
    for question in asked {
        let answer = found.as_ref().map_err(StoreError::clone).map(|found| {
            let of = |fp: &i64| {
                let bots = found.get(fp).map(Vec::as_slice).unwrap_or_default();
                let fingerprint = Fingerprint(fp.cast_unsigned());
                bots.iter().map(move |bot| (fingerprint, bot.clone()))
            };
            question.fingerprints.iter().flat_map(of).collect()
        });
        // Nobody listens when the caller gave up.
        let _ = question.reply.send(answer);
    }
}

/// By an index look-up for each, whatever the planner knows of the tables. The limit, which is out of reach, keeps it from
/// reading all of them. The bounds say the same twice, and let it expect few rows of a table that it has no figures of yet:
/// of a million it would expect 5,000 for each alert, and compile the statement for that, which takes a second or two.
pub(super) const ASK: &str = "SELECT DISTINCT f.fp, b.name FROM unnest($1::int8[]) AS f(fp), LATERAL (\
     (SELECT t.bot FROM alarmbell.told t WHERE t.fp = f.fp AND t.fp BETWEEN f.fp AND f.fp AND t.status = 0 \
     LIMIT 2147483647) UNION ALL \
     (SELECT h.bot FROM alarmbell.heads h WHERE h.fp = f.fp AND h.fp BETWEEN f.fp AND f.fp AND h.status = 0 \
     LIMIT 2147483647)) k JOIN alarmbell.bots b ON b.id = k.bot";

async fn ask(inner: &Inner, fingerprints: &[i64]) -> Result<HashMap<i64, Vec<Arc<str>>>, StoreError> {
    let mut found: HashMap<i64, Vec<Arc<str>>> = HashMap::new();
    for some in fingerprints.chunks(CHUNK) {
        let rows = again!(inner.db, conn => async {
            Ok::<_, Fault>(conn.query_typed(ASK, &[(&some, Type::INT8_ARRAY)]).await?)
        })?;
        for row in &rows {
            found.entry(row.get(0)).or_default().push(row.get::<_, &str>(1).into());
        }
    }
    Ok(found)
}
