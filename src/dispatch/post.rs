//! What a replica remembers from beat to beat of the bots that it takes and gives back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Settings;
use super::crews::{Crew, Planner, crews};

/// Bots that are claimed at once, about: one by one they would take too long after another replica's death.
const AT_ONCE: usize = 200;

type CrewsOf = (Arc<Settings>, Arc<[Crew]>);

/// What is remembered from beat to beat.
#[derive(Default)]
pub(super) struct Post {
    pub(super) planner: Mutex<Planner>,
    /// The crews of the config that they were reckoned for.
    crews: Mutex<Option<CrewsOf>>,
    /// Bots that a claim that failed may have made ours all the same.
    doubtful: Mutex<Vec<Arc<str>>>,
    /// Crews that could not be taken, and how often in a row; by their first bots.
    failed: Mutex<HashMap<Arc<str>, u32>>,
    /// Whether some bots of the config may have no row yet.
    pub(super) enlist_owed: AtomicBool,
    /// Workers of bots that leave us, until they have ended.
    ending: Mutex<Vec<TaskTracker>>,
    /// Nothing is taken any more.
    pub(super) closing: CancellationToken,
    /// No more beats.
    pub(super) ended: CancellationToken,
}

impl Post {
    pub(super) fn enlist(&self) {
        self.enlist_owed.store(true, Ordering::Relaxed);
    }

    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    pub(super) fn crews_of(&self, settings: &Arc<Settings>) -> Arc<[Crew]> {
        let mut known = self.crews.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, crews)) = known.as_ref().filter(|(of, _)| Arc::ptr_eq(of, settings)) {
            return Arc::clone(crews);
        }
        let crews: Arc<[Crew]> = crews(&settings.bots).into();
        *known = Some((Arc::clone(settings), Arc::clone(&crews)));
        crews
    }

    /// What to claim together, from the last one on. What could not be taken goes last and alone: it may be to blame, and
    /// must not keep others waiting.
    pub(super) fn batches(&self, mut claim: Vec<Crew>) -> Vec<Vec<Crew>> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|first, _| claim.iter().any(|crew| crew[0] == *first));
        claim.sort_by_key(|crew| failed.get(&crew[0]).copied().unwrap_or(0));
        let mut batches: Vec<Vec<Crew>> = Vec::new();
        for crew in claim {
            let fits = |batch: &Vec<Crew>| batch.iter().map(Vec::len).sum::<usize>() + crew.len() <= AT_ONCE;
            match batches.last_mut().filter(|batch| fits(batch) && !failed.contains_key(&crew[0])) {
                Some(batch) => batch.push(crew),
                None => batches.push(vec![crew]),
            }
        }
        batches.reverse();
        batches
    }

    /// Whether these could be asked for together.
    pub(super) fn tried(&self, batch: &[Crew], well: bool) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        for crew in batch {
            if well {
                failed.remove(&crew[0]);
            } else {
                *failed.entry(Arc::clone(&crew[0])).or_default() += 1;
            }
        }
    }

    pub(super) fn ends(&self, tasks: TaskTracker) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.retain(|tasks| !tasks.is_empty());
        ending.push(tasks);
    }

    /// Workers that may have a message in flight though their bots are on their way to others.
    pub(super) fn ending(&self) -> Vec<TaskTracker> {
        std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn doubtful(&self) -> std::sync::MutexGuard<'_, Vec<Arc<str>>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
