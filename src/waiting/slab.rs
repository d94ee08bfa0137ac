//! A store of many small things under 32-bit ids: half of a pointer, no allocation each, and growth in small steps.

use std::ops::{Index, IndexMut};

/// A place in a [`Slab`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id(u32);

impl Id {
    /// No place.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::NONE
    }
}

/// Growing by doubling would need three times the room at its worst moment.
const CHUNK: usize = 1 << 10;

/// See the module. What was removed stays in place as `T::default()` until its place is used again.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<Id>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    pub(super) fn insert(&mut self, value: T) -> Id {
        if let Some(id) = self.free.pop() {
            self[id] = value;
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        // A chunk was just made sure of. Four thousand million entries do not fit the backlog's bound.
        let Some(chunk) = self.chunks.last_mut() else { return Id::NONE };
        chunk.push(value);
        Id(u32::try_from(before + chunk.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn remove(&mut self, id: Id) -> T {
        self.free.push(id);
        std::mem::take(&mut self[id])
    }

    /// Gives all room back; nothing may be in it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        let at = id.0 as usize;
        &self.chunks[at / CHUNK][at % CHUNK]
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        let at = id.0 as usize;
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }
}
