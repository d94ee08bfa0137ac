//! Treaps whose links are in what they order, so that they take no room of their own: a group's alerts by urgency, and
//! the groups by theirs. What is in one must leave it before anything changes by which it is ordered.

use std::hash::{BuildHasher, RandomState};

use super::slab::Id;

/// What a tree is made of.
pub(super) trait Nodes {
    /// By what they are ordered; no two have the same.
    type Key: Ord;

    fn key(&self, id: Id) -> Self::Key;
    fn links(&self, id: Id) -> Links;
    fn links_mut(&mut self, id: Id) -> &mut Links;
}

/// What hangs below a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    pub(super) left: Id,
    pub(super) right: Id,
}

/// Where a node hangs.
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

/// Each change takes time in proportion to the logarithm of how many are in it.
pub(super) struct Tree<'a, N> {
    pub(super) nodes: &'a mut N,
    pub(super) lots: Lots,
    pub(super) root: Id,
}

impl<N: Nodes> Tree<'_, N> {
    fn hang(&mut self, place: Place, id: Id) {
        match place {
            Place::Root => self.root = id,
            Place::Left(parent) => self.nodes.links_mut(parent).left = id,
            Place::Right(parent) => self.nodes.links_mut(parent).right = id,
        }
    }

    /// Adds what is in no tree. Returns the root.
    pub(super) fn insert(mut self, id: Id) -> Id {
        let (key, lot) = (self.nodes.key(id), self.lots.of(id));
        let (mut place, mut at) = (Place::Root, self.root);
        while !at.is_none() && self.lots.of(at) > lot {
            let Links { left, right } = self.nodes.links(at);
            (place, at) = if key < self.nodes.key(at) { (Place::Left(at), left) } else { (Place::Right(at), right) };
        }
        self.hang(place, id);
        let (mut before, mut after) = (Place::Left(id), Place::Right(id));
        while !at.is_none() {
            if self.nodes.key(at) < key {
                self.hang(before, at);
                (before, at) = (Place::Right(at), self.nodes.links(at).right);
            } else {
                self.hang(after, at);
                (after, at) = (Place::Left(at), self.nodes.links(at).left);
            }
        }
        self.hang(before, Id::NONE);
        self.hang(after, Id::NONE);
        self.root
    }

    /// Takes one out. Returns the root.
    pub(super) fn remove(mut self, id: Id) -> Id {
        let key = self.nodes.key(id);
        let (mut place, mut at) = (Place::Root, self.root);
        while at != id {
            if at.is_none() {
                return self.root;
            }
            let Links { left, right } = self.nodes.links(at);
            (place, at) = if key < self.nodes.key(at) { (Place::Left(at), left) } else { (Place::Right(at), right) };
        }
        let Links { mut left, mut right } = std::mem::take(self.nodes.links_mut(id));
        while !left.is_none() && !right.is_none() {
            if self.lots.of(left) > self.lots.of(right) {
                self.hang(place, left);
                (place, left) = (Place::Right(left), self.nodes.links(left).right);
            } else {
                self.hang(place, right);
                (place, right) = (Place::Left(right), self.nodes.links(right).left);
            }
        }
        self.hang(place, if left.is_none() { right } else { left });
        self.root
    }
}

/// The first of a tree.
pub(super) fn first(nodes: &impl Nodes, root: Id) -> Id {
    let mut at = root;
    while !at.is_none() && !nodes.links(at).left.is_none() {
        at = nodes.links(at).left;
    }
    at
}

/// A tree from its first to its last.
pub(super) struct InOrder<'a, N> {
    nodes: &'a N,
    /// Which come next, with what hangs to their right; the last one first.
    open: Vec<Id>,
}

impl<'a, N: Nodes> InOrder<'a, N> {
    /// Begins with the first of which `is_before` does not hold: it must hold of the first ones only.
    pub(super) fn new(nodes: &'a N, root: Id, is_before: impl Fn(Id) -> bool) -> Self {
        let mut open = Vec::new();
        let mut at = root;
        while !at.is_none() {
            let Links { left, right } = nodes.links(at);
            at = if is_before(at) {
                right
            } else {
                open.push(at);
                left
            };
        }
        Self { nodes, open }
    }
}

impl<N: Nodes> Iterator for InOrder<'_, N> {
    type Item = Id;

    fn next(&mut self) -> Option<Id> {
        let id = self.open.pop()?;
        let mut at = self.nodes.links(id).right;
        while !at.is_none() {
            self.open.push(at);
            at = self.nodes.links(at).left;
        }
        Some(id)
    }
}
