//! What a digest counts: by state, severity and name.

use std::collections::{BTreeMap, HashMap};

use super::SceneAlert;
use super::facts;
use crate::model::Change;

/// Longest name that is kept apart, in characters.
const NAME_CHARS: usize = 80;

/// Alerts of one state and severity.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) total: u64,
    pub(super) names: HashMap<String, u64>,
}

/// What an alert counts as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum State {
    /// Fires, and the chat did not know.
    Firing,
    /// Has ended.
    Resolved,
    /// Fires unchanged: a reminder.
    Still,
}

/// Counts alerts for a digest. Memory: one number for each distinct state, severity and name.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By state, and by rank and name of the severity.
    pub(super) classes: BTreeMap<(State, u8, String), Class>,
}

impl Tally {
    /// Counts one alert.
    pub fn add(&mut self, alert: &SceneAlert) {
        let state = match (facts::fires(alert), alert.change) {
            (true, Change::Unchanged) => State::Still,
            (true, _) => State::Firing,
            (false, _) => State::Resolved,
        };
        let class = self.classes.entry((state, alert.rank, alert.severity.clone())).or_default();
        class.total += 1;
        let name = super::marks::one_line(&super::identity::name(&alert.alert), NAME_CHARS);
        *class.names.entry(name).or_default() += 1;
    }

    fn count(&self, wanted: impl Fn(State) -> bool) -> u64 {
        self.classes.iter().filter(|((state, ..), _)| wanted(*state)).map(|(_, class)| class.total).sum()
    }

    /// Alerts that fire and are news.
    pub fn firing(&self) -> u64 {
        self.count(|state| state == State::Firing)
    }

    /// Alerts that have ended.
    pub fn resolved(&self) -> u64 {
        self.count(|state| state == State::Resolved)
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.count(|_| true)
    }
}
