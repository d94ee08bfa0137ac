//! Many small things by 64-bit keys and 32-bit ids: no allocation and no pointer each, and growth in small steps.

use std::hash::{BuildHasher, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;

/// A place in a [`Room`]. The upper bit is a mark that whoever mixes places of two rooms sets on those of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id(u32);

impl Id {
    /// No place.
    pub(super) const NONE: Self = Self(u32::MAX);
    const MARK: u32 = 1 << 31;

    pub(super) const fn number(self) -> u32 {
        self.0
    }

    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub(super) const fn marked(self) -> Self {
        Self(self.0 | Self::MARK)
    }

    /// What was marked, without its mark.
    pub(super) fn unmarked(self) -> Option<Self> {
        (self.0 & Self::MARK != 0 && !self.is_none()).then_some(Self(self.0 & !Self::MARK))
    }
}

impl Default for Id {
    fn default() -> Self {
        Self::NONE
    }
}

/// Growing by doubling would need three times the room at its worst moment.
const CHUNK: usize = 1 << 10;

/// Things by id. What was removed stays in place as `T::default()` until its place is used again.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Room<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<Id>,
}

impl<T> Default for Room<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Room<T> {
    pub(super) fn add(&mut self, value: T) -> Id {
        if let Some(id) = self.free.pop() {
            self[id] = value;
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        // A chunk was just made sure of. Two thousand million entries would be 150 GB.
        let Some(chunk) = self.chunks.last_mut() else { return Id::NONE };
        chunk.push(value);
        Id(u32::try_from(before + chunk.len() - 1).unwrap_or(u32::MAX))
    }

    pub(super) fn remove(&mut self, id: Id) {
        self[id] = T::default();
        self.free.push(id);
    }
}

impl<T> Index<Id> for Room<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        let at = id.0 as usize;
        &self.chunks[at / CHUNK][at % CHUNK]
    }
}

impl<T> IndexMut<Id> for Room<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        let at = id.0 as usize;
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }
}

/// Ids by keys, which whatever the ids stand for knows: `key_of` says it.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Table {
    ids: HashTable<Id>,
    // Senders choose the keys: the hash must not be theirs to foresee.
    hasher: RandomState,
}

impl Default for Table {
    fn default() -> Self {
        Self { ids: HashTable::new(), hasher: RandomState::new() }
    }
}

impl Table {
    pub(super) fn find(&self, key: u64, key_of: impl Fn(Id) -> u64) -> Option<Id> {
        self.ids.find(self.hasher.hash_one(key), |id| key_of(*id) == key).copied()
    }

    /// Adds an id whose key is not there yet.
    pub(super) fn insert(&mut self, key: u64, id: Id, key_of: impl Fn(Id) -> u64) {
        let hasher = &self.hasher;
        self.ids.insert_unique(hasher.hash_one(key), id, |id| hasher.hash_one(key_of(*id)));
    }

    /// Lets another id have the place of this one.
    pub(super) fn replace(&mut self, key: u64, id: Id, by: Id) {
        if let Some(found) = self.ids.find_mut(self.hasher.hash_one(key), |other| *other == id) {
            *found = by;
        }
    }

    /// `false` when this id was not there under that key. Does not ask for anybody's key.
    pub(super) fn remove(&mut self, key: u64, id: Id) -> bool {
        let found = self.ids.find_entry(self.hasher.hash_one(key), |other| *other == id);
        found.map(hashbrown::hash_table::OccupiedEntry::remove).is_ok()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.ids.iter().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Gives room back when little of it is used.
    pub(super) fn shrink(&mut self, key_of: impl Fn(Id) -> u64) {
        if self.ids.capacity() / 8 > self.ids.len() {
            let hasher = &self.hasher;
            self.ids.shrink_to(self.ids.len() * 2, |id| hasher.hash_one(key_of(*id)));
        }
    }
}

/// What says by which key it is found.
pub(super) trait Keyed: Default {
    fn key(&self) -> u64;
}

/// Things that are found by their own keys.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Slab<T> {
    room: Room<T>,
    table: Table,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { room: Room::default(), table: Table::default() }
    }
}

impl<T: Keyed> Slab<T> {
    pub(super) fn find(&self, key: u64) -> Option<Id> {
        self.table.find(key, |id| self.room[id].key())
    }

    /// Adds what is not there yet.
    pub(super) fn insert(&mut self, value: T) -> Id {
        let key = value.key();
        let id = self.room.add(value);
        self.table.insert(key, id, |id| self.room[id].key());
        id
    }

    pub(super) fn remove(&mut self, id: Id) {
        if self.table.remove(self.room[id].key(), id) {
            self.room.remove(id);
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.table.ids()
    }

    /// Gives room back when little of it is used.
    pub(super) fn shrink(&mut self) {
        if self.table.is_empty() {
            *self = Self::default();
        } else {
            self.table.shrink(|id| self.room[id].key());
        }
    }
}

impl<T> Index<Id> for Slab<T> {
    type Output = T;

    fn index(&self, id: Id) -> &T {
        &self.room[id]
    }
}

impl<T> IndexMut<Id> for Slab<T> {
    fn index_mut(&mut self, id: Id) -> &mut T {
        &mut self.room[id]
    }
}
