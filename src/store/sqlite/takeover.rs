//! Alerts that another bot tells instead, because the robots of their own fail.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::fault::Fault;
use super::outcome::supersede;
use super::queue::Step;
use super::tx::{HEAD_COLUMNS, Tx, key_at, read_head};
use crate::model::{FALLBACK, Head, via_names, via_text};
use crate::store::HandOver;

/// Heads and superseded positions of one transaction.
const STEP: usize = 200;

/// What is to be done, in order.
#[derive(Debug)]
pub(super) struct Plan {
    from: Arc<str>,
    to: Arc<str>,
    superseded: Vec<i64>,
    /// Positions of `from` in order, so that the other bot hears older states first; and whether they leave it.
    heads: Vec<(i64, bool)>,
}

impl Plan {
    pub(super) fn new(hand_over: HandOver) -> Self {
        let HandOver { from, to, moved, copied, superseded } = hand_over;
        let mut heads: Vec<(i64, bool)> =
            moved.into_iter().map(|pos| (pos, true)).chain(copied.into_iter().map(|pos| (pos, false))).collect();
        // What is in both lists leaves.
        heads.sort_unstable_by_key(|(pos, leaves)| (*pos, !leaves));
        heads.dedup_by_key(|(pos, _)| *pos);
        Self { from, to, superseded, heads }
    }

    /// Bytes it holds, for the queue's bound.
    pub(super) fn weight(&self) -> usize {
        self.superseded.len() * size_of::<i64>() + self.heads.len() * size_of::<(i64, bool)>()
    }
}

/// How far it has come.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    superseded: usize,
    heads: usize,
    appended: u64,
}

/// Does the next part. Superseded positions go first: after a crash they must not come back without the newer states
/// that have left by then.
pub(super) fn step(tx: &mut Tx<'_>, plan: &Plan, done: &mut Progress) -> Result<Step<u64>, Fault> {
    tx.must_be_exclusive()?;
    let slot = tx.bot(&plan.from)?;
    let target = tx.bot(&plan.to)?;
    if slot == target {
        return Ok(Step::Done(0));
    }
    let mut room = STEP;
    supersede(tx, slot, &plan.superseded, &mut done.superseded, &mut room)?;
    let mut vias = HashMap::new();
    for (pos, leaves) in plan.heads.iter().skip(done.heads).take(room) {
        done.heads += 1;
        let Some((head, len)) = find(tx, slot, *pos)? else { continue };
        let via = match vias.get(&head.via) {
            Some(via) => *via,
            None => *vias.entry(head.via).or_insert(fallback_via(tx, head.via, &plan.from)?),
        };
        tx.append_head(target, head.body, len, &Head { via, ..head })?;
        done.appended += 1;
        if *leaves {
            tx.drop_head(slot, *pos, |counts| counts.proof.superseded += 1)?;
        }
    }
    let over = done.superseded >= plan.superseded.len() && done.heads >= plan.heads.len();
    Ok(if over { Step::Done(done.appended) } else { Step::More })
}

fn find(tx: &Tx<'_>, slot: usize, pos: i64) -> Result<Option<(Head, u32)>, Fault> {
    let Some(key) = key_at(tx.mem.bot(slot).id, pos) else { return Ok(None) };
    let found = tx
        .conn
        .prepare_cached(&format!("SELECT {HEAD_COLUMNS} FROM heads WHERE key = ?1"))?
        .query_row([key], read_head)
        .optional()?;
    Ok(found.map(|(_, head, len)| (head, len)))
}

/// The same routes, and that it speaks for another bot.
fn fallback_via(tx: &mut Tx<'_>, id: u32, from: &str) -> Result<u32, Fault> {
    let text = tx
        .conn
        .prepare_cached("SELECT text FROM vias WHERE id = ?1")?
        .query_row([id], |row| row.get::<_, String>(0))
        .optional()?
        .unwrap_or_default();
    let added = format!("{FALLBACK}{from}");
    if via_names(&text).any(|name| name == added) {
        return Ok(id);
    }
    tx.via(&via_text(via_names(&text).chain([added.as_str()])))
}
