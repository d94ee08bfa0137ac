//! Superseded positions on their way out of the store.
//!
//! Their rows come back at a restart. An old one must not come back when a newer state of its alert has been told or has
//! died: so those go in the commit that says so, at the latest. And those without which the untold state would not be
//! the same after a restart stay until then.

use std::collections::{HashSet, VecDeque};

use super::queue::Queue;
use super::slab::Id;
use super::state::{Chain, insert};
use crate::model::Fingerprint;

/// Where superseded positions are besides their alerts.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Garbage {
    /// Whose deletion failed.
    returned: Vec<i64>,
    /// Alerts that have spare ones.
    listed: VecDeque<Fingerprint>,
    /// Alerts in flight that have some; these must go first.
    aloft: HashSet<Fingerprint>,
    /// How many spare ones alerts have.
    spare: usize,
    /// How many needed ones alerts in flight have.
    flying: usize,
}

impl Queue {
    /// Hands over superseded positions whose rows can be deleted: about `most` (of each alert all or none), and
    /// besides them all of the alerts in flight. Take them for every outcome that tells alerts or lets them die, and delete them in the same commit:
    /// otherwise an old state could come back at a restart and be told after a newer one.
    ///
    /// [`Queue::take_garbage_for`] takes no more than must go.
    pub fn take_garbage(&mut self, most: usize) -> Vec<i64> {
        let mut out = std::mem::take(&mut self.garbage.returned);
        for fingerprint in std::mem::take(&mut self.garbage.aloft) {
            self.take_flying(fingerprint, &mut out);
        }
        self.take_spare(&mut out, most);
        out
    }

    /// As [`Queue::take_garbage`], for an outcome that tells these alerts or lets them die; `&[]` for one after which they
    /// wait on, and for clean-up. What other untold alerts stand for stays in the store, so that they keep their age and
    /// their flaps over a restart.
    pub fn take_garbage_for(&mut self, versions: &[(i64, Fingerprint)], most: usize) -> Vec<i64> {
        let mut out = std::mem::take(&mut self.garbage.returned);
        for (_, fingerprint) in versions {
            self.garbage.aloft.remove(fingerprint);
            self.take_flying(*fingerprint, &mut out);
        }
        self.take_spare(&mut out, most);
        out
    }

    fn take_flying(&mut self, fingerprint: Fingerprint, out: &mut Vec<i64>) {
        let Some(id) = self.all.entries.find(fingerprint.0) else { return };
        let Some(rare) = self.all.entries[id].rare_mut() else { return };
        let Some(flight) = &mut rare.flight else { return };
        self.garbage.flying -= flight.chain.needed.len();
        self.garbage.spare -= rare.spare.len();
        out.append(&mut flight.chain.needed);
        out.append(&mut rare.spare);
    }

    /// All of one alert or none: they were judged by each other.
    fn take_spare(&mut self, out: &mut Vec<i64>, most: usize) {
        while out.len() < most {
            let Some(fingerprint) = self.garbage.listed.pop_front() else { break };
            let Some(id) = self.all.entries.find(fingerprint.0) else { continue };
            let Some(rare) = self.all.entries[id].rare_mut() else { continue };
            rare.spare_listed = false;
            self.garbage.spare -= rare.spare.len();
            out.append(&mut std::mem::take(&mut rare.spare));
            self.rest(id);
        }
    }

    /// Takes back positions whose deletion failed.
    pub fn return_garbage(&mut self, positions: Vec<i64>) {
        self.garbage.returned.extend(positions);
    }

    /// How many superseded positions [`Queue::take_garbage`] would hand over.
    pub fn garbage_len(&self) -> usize {
        let Garbage { returned, spare, flying, .. } = &self.garbage;
        returned.len() + spare + flying
    }

    /// Positions of this alert that nobody needs.
    pub(super) fn spare(&mut self, id: Id, positions: impl IntoIterator<Item = i64>) {
        self.with_spare(id, |_, spare| positions.into_iter().for_each(|pos| insert(spare, pos)));
    }

    /// Lets `change` add to an alert's spare positions.
    pub(super) fn with_spare(&mut self, id: Id, change: impl FnOnce(&mut Chain, &mut Vec<i64>)) {
        let entry = &mut self.all.entries[id];
        let fingerprint = entry.fingerprint;
        let rare = entry.make_rare();
        let before = rare.spare.len();
        change(&mut rare.chain, &mut rare.spare);
        self.garbage.spare += rare.spare.len() - before;
        if rare.flight.is_some() && rare.spare.len() > before {
            self.garbage.aloft.insert(fingerprint);
        }
        if !rare.spare.is_empty() && !rare.spare_listed {
            rare.spare_listed = true;
            self.garbage.listed.push_back(fingerprint);
        }
    }

    /// The alert goes into flight: what was superseded of it now goes first.
    pub(super) fn garbage_takes_off(&mut self, id: Id) {
        let entry = &self.all.entries[id];
        let Some(rare) = entry.rare() else { return };
        let needed = rare.flight.as_ref().map_or(0, |flight| flight.chain.needed.len());
        self.garbage.flying += needed;
        if needed + rare.spare.len() > 0 {
            self.garbage.aloft.insert(entry.fingerprint);
        }
    }

    /// The alert's flight is over; so many needed positions were in it.
    pub(super) fn garbage_lands(&mut self, fingerprint: Fingerprint, needed: usize) {
        self.garbage.aloft.remove(&fingerprint);
        self.garbage.flying -= needed;
    }

    /// Positions up to this one are gone from the store.
    pub(super) fn garbage_moved(&mut self, up_to: i64) {
        self.garbage.returned.retain(|pos| *pos > up_to);
        for id in self.all.entries.ids().collect::<Vec<_>>() {
            let Some(rare) = self.all.entries[id].rare_mut() else { continue };
            let before = rare.spare.len();
            rare.spare.retain(|pos| *pos > up_to);
            rare.chain.needed.retain(|pos| *pos > up_to);
            self.garbage.spare -= before - rare.spare.len();
        }
    }
}
