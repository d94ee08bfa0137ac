//! A store of many small things by 64-bit keys and 32-bit ids: no allocation and no pointer each, and growth in small
//! steps.

use std::hash::{BuildHasher, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;

/// A place in a [`Slab`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id(u32);

impl Id {
    /// No place.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) const fn number(self) -> u32 {
        self.0
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::NONE
    }
}

/// What says by which key it is found.
pub(super) trait Keyed: Default {
    fn key(&self) -> u64;
}

/// Growing by doubling would need three times the room at its worst moment.
const CHUNK: usize = 1 << 10;

/// See the module. What was removed stays in place as `T::default()` until its place is used again.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<Id>,
    table: HashTable<Id>,
    // Senders choose the keys: the hash must not be theirs to foresee.
    hasher: RandomState,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), table: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<T: Keyed> Slab<T> {
    pub(super) fn find(&self, key: u64) -> Option<Id> {
        self.table.find(self.hasher.hash_one(key), |id| self[*id].key() == key).copied()
    }

    /// Adds what is not there yet.
    pub(super) fn insert(&mut self, value: T) -> Id {
        let hash = self.hasher.hash_one(value.key());
        let id = self.place(value);
        let (chunks, hasher) = (&self.chunks, &self.hasher);
        self.table.insert_unique(hash, id, |id| hasher.hash_one(at(chunks, *id).key()));
        id
    }

    fn place(&mut self, value: T) -> Id {
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

    pub(super) fn remove(&mut self, id: Id) {
        let hash = self.hasher.hash_one(self[id].key());
        if let Ok(found) = self.table.find_entry(hash, |other| *other == id) {
            found.remove();
            self[id] = T::default();
            self.free.push(id);
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.table.iter().copied()
    }

    /// Gives room back when little of it is used.
    pub(super) fn shrink(&mut self) {
        if self.table.is_empty() {
            *self = Self::default();
        } else if self.table.capacity() / 8 > self.table.len() {
            let (chunks, hasher) = (&self.chunks, &self.hasher);
            self.table.shrink_to(self.table.len() * 2, |id| hasher.hash_one(at(chunks, *id).key()));
        }
    }
}

fn at<T>(chunks: &[Vec<T>], id: Id) -> &T {
    let at = id.0 as usize;
    &chunks[at / CHUNK][at % CHUNK]
}

impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        at(&self.chunks, id)
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        let at = id.0 as usize;
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }
}
