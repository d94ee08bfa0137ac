//! The end of an attempt, and what it does to the alerts in its message.

use std::collections::{HashMap, HashSet};

use deadpool_postgres::Object;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::books::{Books, Speaker};
use super::db::{Fault, again, text, transaction};
use super::heads::{self, Gone};
use super::skew::{self, Skew};
use super::{Inner, attempts};
use crate::model::{How, Millis, Status};
use crate::store::{Effect, NewDeadLetter, Outcome, StoreError, ToldState};

/// Alerts whose outcome is written in one transaction. What is more follows in the next ones, and the attempt ends with
/// the last: a crash in between leaves it open, as any crash before the verdict does.
const STEP: usize = 1_000;
/// Bytes of dead letters in one transaction, beyond one of them.
const STEP_BYTES: usize = 8 << 20;

/// The verdict of an attempt whose outcome nobody wrote down.
pub(super) const UNKNOWN: &str = "unknown_outcome";

/// An outcome, and the ids of what it names.
struct Plan<'a> {
    outcome: &'a Outcome,
    bot: i32,
    robot: i32,
    told: &'a [(i64, ToldState, How)],
    dead: &'a [NewDeadLetter],
    vias: HashMap<&'a str, i32>,
    storm: Option<String>,
    /// `None` for a guest, who may only end an attempt.
    speaker: Option<Speaker<'a>>,
}

impl<'a> Plan<'a> {
    async fn new(inner: &'a Inner, outcome: &'a Outcome) -> Result<Self, StoreError> {
        let (told, dead): (&[_], &[_]) = match &outcome.effect {
            Effect::Told(told) => (told, &[]),
            Effect::Dead(dead) => (&[], dead),
            Effect::Kept { .. } | Effect::Announced(_) => (&[], &[]),
        };
        let bot = inner.names.bot(&inner.db, &outcome.bot).await?;
        let tells = told.len() + dead.len() + outcome.superseded.len() > 0;
        let tells = tells || outcome.storm.is_some() || matches!(outcome.effect, Effect::Announced(_));
        let guest = inner.me.is_empty() && !tells;
        let json = |storm| {
            serde_json::to_string(storm).map_err(|error| StoreError::Unavailable(format!("a storm's state: {error}")))
        };
        Ok(Self {
            outcome,
            bot,
            robot: inner.names.robot(&inner.db, &outcome.robot).await?,
            told,
            dead,
            vias: vias(inner, dead).await?,
            storm: outcome.storm.as_ref().map(json).transpose()?,
            speaker: if guest { None } else { Some(Speaker::new(inner, bot)?) },
        })
    }
}

/// The ids of the letters' vias.
pub(super) async fn vias<'a>(inner: &Inner, dead: &'a [NewDeadLetter]) -> Result<HashMap<&'a str, i32>, StoreError> {
    let mut ids = HashMap::new();
    for letter in dead {
        if !ids.contains_key(&*letter.via) {
            ids.insert(&*letter.via, inner.names.via(&inner.db, &letter.via).await?);
        }
    }
    Ok(ids)
}

/// How far an outcome has been written.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    superseded: usize,
    alerts: usize,
}

pub(super) async fn finish(inner: &Inner, outcome: &Outcome) -> Result<(), StoreError> {
    let plan = Plan::new(inner, outcome).await?;
    let mut done = Progress::default();
    loop {
        match again!(inner.db, conn => step(inner, &mut conn, &plan, done)) {
            Ok(Some(next)) => done = next,
            Ok(None) => return Ok(()),
            Err(StoreError::Fenced) => {
                end_own(inner, &plan).await?;
                return Err(StoreError::Fenced);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Writes the next part; `None` when that was the last.
async fn step(
    inner: &Inner,
    conn: &mut Object,
    plan: &Plan<'_>,
    mut done: Progress,
) -> Result<Option<Progress>, Fault> {
    let tx = transaction(conn, inner.db.patience).await?;
    let outcome = plan.outcome;
    let (skew, message, standing) =
        tokio::try_join!(skew::measure(inner, &*tx), message(&tx, plan), standing(&tx, plan))?;
    let mut books = Books::default();
    let mut bodies = Vec::new();

    let superseded = &outcome.superseded[done.superseded.min(outcome.superseded.len())..];
    let superseded = &superseded[..superseded.len().min(STEP)];
    supersede(&tx, plan.bot, superseded, &mut books, &mut bodies).await?;
    done.superseded += superseded.len();
    let room = STEP - superseded.len();
    let told = &plan.told[done.alerts.min(plan.told.len())..];
    let told = &told[..told.len().min(room)];
    tell(&tx, plan.bot, told, message, &mut books, &mut bodies).await?;
    done.alerts += told.len();
    let dead = some_letters(&plan.dead[done.alerts.min(plan.dead.len())..], room);
    die(&tx, plan.bot, dead, &plan.vias, outcome.ended_ms, &mut books, &mut bodies).await?;
    done.alerts += dead.len();

    let over = done.superseded >= outcome.superseded.len() && done.alerts >= plan.told.len() + plan.dead.len();
    if over {
        if let Effect::Announced(count) = outcome.effect
            && !standing.repeated
        {
            books.of(plan.bot).unannounced -= i64::from(count);
        }
        if let Some(storm) = &plan.storm {
            books.set_storm(storm.clone());
        }
        // Sent one after the other without waiting: the database does them in this order.
        let robot = attempts::write_robot(&tx, plan.robot, &outcome.robot_state, skew);
        tokio::try_join!(robot, end_attempts(inner, &tx, plan, message, skew))?;
    }
    heads::drop_bodies(&tx, bodies, &mut books).await?;
    books.settle(&tx, standing.speaker.as_ref()).await?;
    tx.commit().await?;
    Ok(if over { None } else { Some(done) })
}

async fn message(tx: &Transaction<'_>, plan: &Plan<'_>) -> Result<Option<i64>, Fault> {
    let sql = "SELECT seq FROM alarmbell.messages WHERE id = $1";
    let row = tx.query_typed_opt(sql, &[(&plan.outcome.message.as_str(), Type::TEXT)]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// What an outcome is worth when its writing begins.
struct Standing<'a> {
    /// Who must speak for the bot when the books are settled: whoever began the attempt, under the same fence.
    speaker: Option<Speaker<'a>>,
    /// The attempt has ended so already: its answer was lost on the way, and what can not be told from its rows is done.
    repeated: bool,
}

async fn standing<'a>(tx: &Transaction<'_>, plan: &Plan<'a>) -> Result<Standing<'a>, Fault> {
    let Some(speaker) = plan.speaker else { return Ok(Standing { speaker: None, repeated: false }) };
    let attempt = async {
        let sql = "SELECT owner, fence, ended_ms IS NOT NULL AND verdict = $3 FROM alarmbell.attempts \
             WHERE robot = $1 AND id = $2";
        let params = [
            (&plan.robot as _, Type::INT4),
            (&plan.outcome.attempt as _, Type::INT8),
            (&plan.outcome.verdict as _, Type::TEXT),
        ];
        Ok(tx.query_typed_opt(sql, &params).await?)
    };
    let (now, attempt) = tokio::try_join!(speaker.look(tx), attempt)?;
    let (fence, repeated) = match attempt {
        Some(row) if row.try_get::<_, &str>(0)? == speaker.me => (row.try_get(1)?, row.try_get(2)?),
        Some(_) => return Err(StoreError::Fenced.into()),
        None => (now, false),
    };
    if fence != now {
        return Err(StoreError::Fenced.into());
    }
    Ok(Standing { speaker: Some(Speaker { fence: Some(fence), ..speaker }), repeated })
}

/// Deletes and counts superseded heads.
pub(super) async fn supersede(
    tx: &Transaction<'_>,
    bot: i32,
    positions: &[i64],
    books: &mut Books,
    bodies: &mut Vec<i64>,
) -> Result<(), Fault> {
    let gone = heads::take(tx, bot, positions).await?;
    books.of(bot).superseded += super::books::count(gone.len());
    book(bot, &gone, books, bodies);
    Ok(())
}

/// Notes what goes with heads that went, whatever became of them.
pub(super) fn book(bot: i32, gone: &[Gone], books: &mut Books, bodies: &mut Vec<i64>) {
    books.of(bot).silent -= super::books::count(gone.iter().filter(|gone| gone.silent).count());
    bodies.extend(gone.iter().map(|gone| gone.body));
}

/// Alerts were told. Their states are remembered even when their heads are gone already (superseded while in flight).
async fn tell(
    tx: &Transaction<'_>,
    bot: i32,
    told: &[(i64, ToldState, How)],
    message: Option<i64>,
    books: &mut Books,
    bodies: &mut Vec<i64>,
) -> Result<(), Fault> {
    if told.is_empty() {
        return Ok(());
    }
    let mut hows = HashMap::with_capacity(told.len());
    for (pos, _, how) in told {
        hows.entry(*pos).or_insert(*how);
    }
    let positions: Vec<i64> = told.iter().map(|(pos, ..)| *pos).collect();
    let gone = heads::take(tx, bot, &positions).await?;
    for gone in &gone {
        match hows.get(&gone.pos) {
            Some(How::Counted) => books.of(bot).told_counted += 1,
            _ => books.of(bot).told_named += 1,
        }
    }
    book(bot, &gone, books, bodies);
    remember(tx, bot, told, message).await
}

/// Writes told states; of one alert the last.
async fn remember(
    tx: &Transaction<'_>,
    bot: i32,
    told: &[(i64, ToldState, How)],
    message: Option<i64>,
) -> Result<(), Fault> {
    let mut seen = HashSet::with_capacity(told.len());
    let mut states: Vec<&ToldState> =
        told.iter().rev().map(|(_, state, _)| state).filter(|state| seen.insert(state.fingerprint)).collect();
    states.sort_unstable_by_key(|state| state.fingerprint.0.cast_signed());
    let column = |read: fn(&ToldState) -> i64| states.iter().map(|state| read(state)).collect::<Vec<i64>>();
    let columns = [
        column(|state| state.fingerprint.0.cast_signed()),
        column(|state| state.group.cast_signed()),
        column(|state| i64::from(state.status == Status::Resolved)),
        column(|state| state.starts_ms),
        column(|state| state.ends_ms),
        column(|state| state.accepted_ms),
        column(|state| state.told_ms),
    ];
    let mut params: Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> =
        vec![(&bot, Type::INT4), (&message, Type::INT8)];
    params.extend(columns.iter().map(|column| (column as _, Type::INT8_ARRAY)));
    let sql = "INSERT INTO alarmbell.told (bot, fp, grp, status, starts_ms, ends_ms, accepted_ms, told_ms, message) \
         SELECT $1, s.*, $2 FROM unnest($3, $4, $5::smallint[], $6, $7, $8, $9) AS s \
         ON CONFLICT (bot, fp) DO UPDATE SET grp = excluded.grp, status = excluded.status, \
         starts_ms = excluded.starts_ms, ends_ms = excluded.ends_ms, accepted_ms = excluded.accepted_ms, \
         told_ms = excluded.told_ms, message = excluded.message";
    tx.execute_typed(sql, &params).await?;
    Ok(())
}

/// As many letters as one transaction should write.
fn some_letters(dead: &[NewDeadLetter], room: usize) -> &[NewDeadLetter] {
    let mut bytes = 0;
    let fits = |letter: &&NewDeadLetter| {
        let before = bytes;
        bytes += letter.body.len();
        before < STEP_BYTES
    };
    &dead[..dead.iter().take(room).take_while(fits).count()]
}

/// Alerts become dead letters, unless their heads are gone already.
pub(super) async fn die(
    tx: &Transaction<'_>,
    bot: i32,
    letters: &[NewDeadLetter],
    vias: &HashMap<&str, i32>,
    at_ms: Millis,
    books: &mut Books,
    bodies: &mut Vec<i64>,
) -> Result<(), Fault> {
    if letters.is_empty() {
        return Ok(());
    }
    let positions: Vec<i64> = letters.iter().map(|letter| letter.pos).collect();
    let gone = heads::take(tx, bot, &positions).await?;
    books.of(bot).dead += super::books::count(gone.len());
    books.of(bot).unannounced += super::books::count(gone.len());
    book(bot, &gone, books, bodies);
    let mut died: HashSet<i64> = gone.iter().map(|gone| gone.pos).collect();
    let letters: Vec<&NewDeadLetter> = letters.iter().filter(|letter| died.remove(&letter.pos)).collect();
    let json = |letter: &&NewDeadLetter| {
        serde_json::to_string(&letter.alert)
            .map_err(|error| StoreError::Unavailable(format!("a dead letter's alert: {error}")))
    };
    let alerts = letters.iter().map(json).collect::<Result<Vec<_>, _>>()?;
    let reasons: Vec<_> = letters.iter().map(|letter| text(&letter.reason)).collect();
    // Ids are given in the order of the letters: lists of them are in that order.
    let sql = "INSERT INTO alarmbell.dead_letters (bot, pos, at_ms, via, grp, severity, reason, alert, body) \
         SELECT $1, l.pos, $2, l.via, l.grp, l.severity, l.reason, l.alert, l.body \
         FROM unnest($3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY \
         AS l (pos, via, grp, severity, reason, alert, body, n) ORDER BY l.n";
    let params = [
        (&bot as _, Type::INT4),
        (&at_ms as _, Type::INT8),
        (&letters.iter().map(|letter| letter.pos).collect::<Vec<_>>() as _, Type::INT8_ARRAY),
        (&letters.iter().map(|letter| vias.get(&*letter.via)).collect::<Vec<_>>() as _, Type::INT4_ARRAY),
        (&letters.iter().map(|letter| letter.group.cast_signed()).collect::<Vec<_>>() as _, Type::INT8_ARRAY),
        (&letters.iter().map(|letter| i16::from(letter.severity)).collect::<Vec<_>>() as _, Type::INT2_ARRAY),
        (&reasons.iter().map(|reason| &**reason).collect::<Vec<&str>>() as _, Type::TEXT_ARRAY),
        (&alerts as _, Type::TEXT_ARRAY),
        (&letters.iter().map(|letter| &letter.body[..]).collect::<Vec<&[u8]>>() as _, Type::BYTEA_ARRAY),
    ];
    tx.execute_typed(sql, &params).await?;
    Ok(())
}

/// Ends the attempt, and those of the same message that this replica left open; those of others are theirs to end.
async fn end_attempts(
    inner: &Inner,
    tx: &Transaction<'_>,
    plan: &Plan<'_>,
    message: Option<i64>,
    skew: Skew,
) -> Result<(), Fault> {
    let outcome = plan.outcome;
    let Some(message) = message else { return end_attempt(inner, tx, plan, skew).await };
    let left = async {
        let sql = "UPDATE alarmbell.attempts SET ended_ms = $2, verdict = $3 \
             WHERE message = $1 AND ended_ms IS NULL AND owner = $4";
        let params = [
            (&message as _, Type::INT8),
            (&skew.stored(outcome.ended_ms) as _, Type::INT8),
            (&UNKNOWN as _, Type::TEXT),
            (&inner.me as _, Type::TEXT),
        ];
        Ok(tx.execute_typed(sql, &params).await?)
    };
    let close = async {
        let sql = "UPDATE alarmbell.messages SET verdict = $2, reason = $3, open = $4, \
             covers = CASE WHEN $4 THEN covers END, body = CASE WHEN $4 THEN body END WHERE seq = $1";
        let params = [
            (&message as _, Type::INT8),
            (&outcome.verdict as _, Type::TEXT),
            (&&*text(&outcome.reason) as _, Type::TEXT),
            (&matches!(outcome.effect, Effect::Kept { open: true }) as _, Type::BOOL),
        ];
        Ok(tx.execute_typed(sql, &params).await?)
    };
    tokio::try_join!(end_attempt(inner, tx, plan, skew), left, close)?;
    Ok(())
}

async fn end_attempt(inner: &Inner, tx: &Transaction<'_>, plan: &Plan<'_>, skew: Skew) -> Result<(), Fault> {
    let outcome = plan.outcome;
    let sql = "UPDATE alarmbell.attempts SET ended_ms = $3, verdict = $4 WHERE robot = $1 AND id = $2 AND owner = $5";
    let params = [
        (&plan.robot as _, Type::INT4),
        (&outcome.attempt as _, Type::INT8),
        (&skew.stored(outcome.ended_ms) as _, Type::INT8),
        (&outcome.verdict as _, Type::TEXT),
        (&inner.me as _, Type::TEXT),
    ];
    tx.execute_typed(sql, &params).await?;
    Ok(())
}

/// Another replica speaks for the bot: what came of the attempt is not ours to write, but when it ended is. Pacing needs
/// it, and nobody else knows.
async fn end_own(inner: &Inner, plan: &Plan<'_>) -> Result<(), StoreError> {
    again!(inner.db, conn => async {
        let tx = transaction(&mut conn, inner.db.patience).await?;
        let skew = skew::measure(inner, &*tx).await?;
        end_attempt(inner, &tx, plan, skew).await?;
        tx.commit().await?;
        Ok::<_, Fault>(())
    })
}

pub(super) async fn superseded(inner: &Inner, bot: &str, positions: &[i64]) -> Result<(), StoreError> {
    let speaker = Speaker::new(inner, inner.names.bot(&inner.db, bot).await?)?;
    for positions in positions.chunks(STEP) {
        again!(inner.db, conn => async {
            let tx = transaction(&mut conn, inner.db.patience).await?;
            speaker.look(&tx).await?;
            let (mut books, mut bodies) = (Books::default(), Vec::new());
            supersede(&tx, speaker.bot, positions, &mut books, &mut bodies).await?;
            heads::drop_bodies(&tx, bodies, &mut books).await?;
            books.settle(&tx, Some(&speaker)).await?;
            tx.commit().await?;
            Ok::<_, Fault>(())
        })?;
    }
    Ok(())
}
