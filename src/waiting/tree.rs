//! The alerts of a group in the order of their urgency: a treap whose links are in the entries, so that it takes no room
//! of its own. An alert must leave it before anything changes by which it is ordered.

use std::hash::{BuildHasher, RandomState};

use super::entry::Entry;
use super::group::Urgency;
use super::slab::{Id, Slab};
use super::state::Packed;

/// Where an alert hangs.
#[derive(Clone, Copy)]
enum Place {
    Root,
    Left(Id),
    Right(Id),
}

/// What decides who hangs above whom: not for senders to foresee, or they could make a long chain of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lots(u64);

impl Lots {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0_u64))
    }

    /// Different for every id.
    const fn of(self, id: Id) -> u64 {
        let mixed = (id.number() as u64 ^ self.0).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mixed ^ (mixed >> 33)
    }
}

/// One group's tree. Each change takes time in proportion to the logarithm of how many are in it.
pub(super) struct Tree<'a> {
    pub(super) entries: &'a mut Slab<Entry>,
    pub(super) lots: Lots,
    pub(super) root: Id,
}

type Key = (Urgency, i64, Id);

fn key(entries: &Slab<Entry>, id: Id) -> Key {
    let entry = &entries[id];
    (entry.urgency(), entry.waiting.as_ref().map_or(0, Packed::pos), id)
}

impl Tree<'_> {
    fn hang(&mut self, place: Place, id: Id) {
        match place {
            Place::Root => self.root = id,
            Place::Left(parent) => self.entries[parent].left = id,
            Place::Right(parent) => self.entries[parent].right = id,
        }
    }

    /// Adds an alert that is in no tree. Returns the root.
    pub(super) fn insert(mut self, id: Id) -> Id {
        let (key_of_it, lot) = (key(self.entries, id), self.lots.of(id));
        let (mut place, mut at) = (Place::Root, self.root);
        while !at.is_none() && self.lots.of(at) > lot {
            let entry = &self.entries[at];
            (place, at) = if key_of_it < key(self.entries, at) {
                (Place::Left(at), entry.left)
            } else {
                (Place::Right(at), entry.right)
            };
        }
        self.hang(place, id);
        let (mut before, mut after) = (Place::Left(id), Place::Right(id));
        while !at.is_none() {
            if key(self.entries, at) < key_of_it {
                self.hang(before, at);
                (before, at) = (Place::Right(at), self.entries[at].right);
            } else {
                self.hang(after, at);
                (after, at) = (Place::Left(at), self.entries[at].left);
            }
        }
        self.hang(before, Id::NONE);
        self.hang(after, Id::NONE);
        self.root
    }

    /// Takes an alert out. Returns the root.
    pub(super) fn remove(mut self, id: Id) -> Id {
        let key_of_it = key(self.entries, id);
        let (mut place, mut at) = (Place::Root, self.root);
        while at != id {
            if at.is_none() {
                return self.root;
            }
            let entry = &self.entries[at];
            (place, at) = if key_of_it < key(self.entries, at) {
                (Place::Left(at), entry.left)
            } else {
                (Place::Right(at), entry.right)
            };
        }
        let entry = &mut self.entries[id];
        let (mut left, mut right) = (std::mem::take(&mut entry.left), std::mem::take(&mut entry.right));
        while !left.is_none() && !right.is_none() {
            if self.lots.of(left) > self.lots.of(right) {
                self.hang(place, left);
                (place, left) = (Place::Right(left), self.entries[left].right);
            } else {
                self.hang(place, right);
                (place, right) = (Place::Left(right), self.entries[right].left);
            }
        }
        self.hang(place, if left.is_none() { right } else { left });
        self.root
    }
}

/// The most urgent alert of a tree.
pub(super) fn first(entries: &Slab<Entry>, root: Id) -> Id {
    let mut at = root;
    while !at.is_none() && !entries[at].left.is_none() {
        at = entries[at].left;
    }
    at
}

/// The alerts of a tree, the most urgent first.
pub(super) struct InOrder<'a> {
    entries: &'a Slab<Entry>,
    /// Which come next, with what hangs to their right; the last one first.
    open: Vec<Id>,
}

impl<'a> InOrder<'a> {
    /// Begins with the first alert that is no more urgent than `from`.
    pub(super) fn new(entries: &'a Slab<Entry>, root: Id, from: Urgency) -> Self {
        let mut open = Vec::new();
        let mut at = root;
        while !at.is_none() {
            let entry = &entries[at];
            at = if entry.urgency() < from {
                entry.right
            } else {
                open.push(at);
                entry.left
            };
        }
        Self { entries, open }
    }
}

impl Iterator for InOrder<'_> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        let id = self.open.pop()?;
        let mut at = self.entries[id].right;
        while !at.is_none() {
            self.open.push(at);
            at = self.entries[at].left;
        }
        Some(id)
    }
}
