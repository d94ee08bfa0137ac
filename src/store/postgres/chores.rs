//! What this process remembers of its chores, none of which matters when it is forgotten.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clean::Cleaner;

/// See the module.
#[derive(Default)]
pub(super) struct Chores {
    /// Where clean-up stands.
    cleaner: Mutex<Cleaner>,
    vias: Mutex<HashMap<u32, Arc<str>>>,
    /// The service does not say how large tables are.
    pub(super) sizeless: AtomicBool,
}

// No code that can panic runs under these locks.
impl Chores {
    pub(super) fn cleaner(&self) -> MutexGuard<'_, Cleaner> {
        self.cleaner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Texts of vias that were asked for.
    pub(super) fn vias(&self) -> MutexGuard<'_, HashMap<u32, Arc<str>>> {
        self.vias.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
