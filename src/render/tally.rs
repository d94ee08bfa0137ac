//! What a digest counts: by state, severity and name.

use std::collections::{BTreeMap, HashMap};

use super::facts;
use super::words::{self, pick};
use super::{SceneAlert, marks};
use crate::model::{Change, Lang};

/// Longest name that is kept apart, in characters.
const NAME_CHARS: usize = 80;
/// Longest severity that a digest shows, in characters.
const SEVERITY_CHARS: usize = 20;
/// Severities of one state that are told apart; what is less urgent than that is summed up. The usual config has five.
const LEVELS: usize = 6;

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

impl State {
    pub(super) fn of(alert: &SceneAlert) -> Self {
        match (facts::fires(alert), alert.change) {
            (true, Change::Unchanged) => Self::Still,
            (true, _) => Self::Firing,
            (false, _) => Self::Resolved,
        }
    }

    /// The word that templates compare with.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
            Self::Still => "still",
        }
    }

    /// For people; what is new needs no word.
    pub(super) fn word(self, lang: Lang) -> &'static str {
        match self {
            Self::Firing => "",
            Self::Resolved => words::word(lang, "resolved"),
            Self::Still => words::word(lang, "reminder"),
        }
    }
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
        let class = self.classes.entry((State::of(alert), alert.rank, alert.severity.clone())).or_default();
        class.total += 1;
        let name = marks::one_line(&super::identity::name(&alert.alert), NAME_CHARS);
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

    /// Rank of the most urgent that is news, else of the most urgent reminder; `None` when nothing fires.
    pub(super) fn worst(&self) -> Option<u8> {
        let of = |wanted: State| self.classes.keys().find(|(state, ..)| *state == wanted).map(|(_, rank, _)| *rank);
        of(State::Firing).or_else(|| of(State::Still))
    }

    /// The classes as a digest shows them: firing ones, resolved ones, reminders; most severe first; names sorted.
    pub(super) fn sorted(&self, lang: Lang) -> Vec<Sorted<'_>> {
        let mut classes: Vec<Sorted<'_>> = Vec::new();
        let mut levels = BTreeMap::new();
        for (state, ..) in self.classes.keys() {
            *levels.entry(*state).or_insert(0_usize) += 1;
        }
        let mut shown = 0;
        for ((state, rank, severity), class) in &self.classes {
            shown = if classes.last().is_some_and(|last| last.state == *state) { shown + 1 } else { 0 };
            let summed = shown >= LEVELS && levels.get(state).is_some_and(|levels| *levels > LEVELS + 1);
            let names = class.names.iter().map(|(name, count)| (name.as_str(), *count));
            match classes.last_mut() {
                Some(rest) if summed && shown > LEVELS => {
                    rest.total += class.total;
                    rest.keys.push((*rank, severity));
                    rest.names.extend(names);
                }
                _ => classes.push(Sorted {
                    state: *state,
                    rank: *rank,
                    severity: if summed { "" } else { severity },
                    text: if summed {
                        pick(lang, "其他级别", "Other levels").to_owned()
                    } else {
                        marks::cut(&words::severity(lang, severity), SEVERITY_CHARS)
                    },
                    total: class.total,
                    names: names.collect(),
                    keys: vec![(*rank, severity)],
                }),
            }
        }
        for class in &mut classes {
            class.sort();
        }
        classes
    }
}

/// A class as it is shown.
#[derive(Debug)]
pub(super) struct Sorted<'a> {
    pub(super) state: State,
    pub(super) rank: u8,
    /// The level's name; empty for the sum of several.
    pub(super) severity: &'a str,
    /// The level for people.
    pub(super) text: String,
    pub(super) total: u64,
    /// Each once, largest count first, then by name.
    pub(super) names: Vec<(&'a str, u64)>,
    /// Rank and severity of what it counts.
    keys: Vec<(u8, &'a str)>,
}

impl Sorted<'_> {
    pub(super) fn holds(&self, alert: &SceneAlert) -> bool {
        self.state == State::of(alert) && self.keys.contains(&(alert.rank, &alert.severity))
    }

    /// Whether its alerts are why people get up.
    pub(super) fn urgent(&self) -> bool {
        self.state == State::Firing && self.rank == 0
    }

    fn sort(&mut self) {
        if self.keys.len() > 1 {
            self.names.sort_unstable();
            self.names.dedup_by(|later, first| {
                let same = later.0 == first.0;
                if same {
                    first.1 += later.1;
                }
                same
            });
        }
        self.names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    }

    /// `恢复 警告`, `Resolved warning`, with the severity as a value.
    pub(super) fn label(&self, lang: Lang) -> String {
        match self.state.word(lang) {
            "" => marks::value(&self.text),
            word => format!("{word} {}", marks::value(&self.small_text(lang))),
        }
    }

    /// The severity inside a sentence.
    pub(super) fn small_text(&self, lang: Lang) -> String {
        if lang == Lang::En { self.text.to_lowercase() } else { self.text.clone() }
    }
}
