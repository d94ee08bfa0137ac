//! Since when the oldest of many waits, without walking them.

use std::collections::BTreeMap;

use crate::model::Millis;

/// About a second: a day's backlog has at most 84,375 steps.
const STEP_BITS: u32 = 10;

/// Counts times in steps of 1,024 ms.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Ages {
    /// By step: how many, and the earliest that came while it was not empty.
    steps: BTreeMap<Millis, (u32, Millis)>,
}

impl Ages {
    pub(super) fn add(&mut self, since_ms: Millis) {
        let step = self.steps.entry(since_ms >> STEP_BITS).or_insert((0, since_ms));
        step.0 += 1;
        step.1 = step.1.min(since_ms);
    }

    pub(super) fn remove(&mut self, since_ms: Millis) {
        let at = since_ms >> STEP_BITS;
        let Some(step) = self.steps.get_mut(&at) else { return };
        step.0 -= 1;
        if step.0 == 0 {
            self.steps.remove(&at);
        }
    }

    /// The oldest, or up to a second before it.
    pub(super) fn oldest(&self) -> Option<Millis> {
        self.steps.first_key_value().map(|(_, (_, first))| *first)
    }
}
