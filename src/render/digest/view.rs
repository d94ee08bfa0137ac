//! What a digest shows of its alerts: which are named, which names are listed, and how much of both at each size.

use std::collections::HashSet;

use super::super::facts::{self, Facts};
use super::super::tally::Sorted;
use super::super::words::pick;
use super::super::{Scene, SceneAlert, Trim, identity, marks};
use super::DigestScene;
use crate::model::{Alert, Lang};

/// Alerts of the most urgent level that are named at most: a phone shows about ten at once.
const URGENT: usize = 30;
/// Alerts that are named at most when there are others among them.
const NAMED: usize = 20;
/// So many of a class that is too large to be named whole and has nothing more urgent above it.
const SAMPLE: usize = 10;
/// Names that are listed of a class at most.
const NAMES: usize = 300;
/// Down to so many of each class the list of names gives way to less urgent alerts that are named ...
const NAMES_LONG: usize = 8;
/// ... and down to so many to the most urgent ones ...
const NAMES_SHORT: usize = 3;
/// ... of which so many stay when not even these names fit.
const URGENT_SHORT: usize = 8;

/// One step of making a digest smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rung {
    /// Alerts named.
    pub(super) named: usize,
    /// Names listed of each class.
    pub(super) names: usize,
}

/// A digest's alerts in order, computed once.
pub(super) struct View<'a> {
    pub(super) digest: &'a DigestScene,
    pub(super) scene: &'a Scene,
    pub(super) facts: &'a Facts<'a>,
    pub(super) classes: Vec<Sorted<'a>>,
    /// Places in the scene of the alerts that may be named, the most urgent first, and their class.
    pub(super) chosen: Vec<(usize, usize)>,
    /// How many of these are of the most urgent level.
    urgent: usize,
    /// Whether alerts of several clusters may be named.
    clusters: bool,
}

/// Names of a state that are in no list.
pub(super) struct Others {
    pub(super) names: usize,
    pub(super) total: u64,
    /// "9868 other names: 3 critical, 9865 warning".
    pub(super) text: String,
}

/// What is shown of one class.
pub(super) struct Block<'v> {
    pub(super) class: &'v Sorted<'v>,
    /// `恢复 警告`, `Resolved warning`; with marks.
    pub(super) label: String,
    /// Those listed.
    pub(super) names: &'v [(&'v str, u64)],
    /// Places in the scene of its named alerts.
    pub(super) alerts: Vec<usize>,
    /// At the last class of a state: what its lists leave out.
    pub(super) others: Option<Others>,
}

impl<'a> View<'a> {
    pub(super) fn of(digest: &'a DigestScene, scene: &'a Scene, facts: &'a Facts<'a>) -> Self {
        let classes = digest.tally.sorted(digest.lang);
        let chosen = choose(&digest.leading, &classes);
        let urgent = |at: &&(usize, usize)| classes.get(at.1).is_some_and(Sorted::urgent);
        let urgent = chosen.iter().filter(urgent).count();
        let clusters: HashSet<String> = chosen
            .iter()
            .filter_map(|(at, _)| digest.leading.get(*at))
            .map(|told| identity::cluster(&told.alert))
            .collect();
        Self { digest, scene, facts, chosen, urgent, clusters: clusters.len() > 1, classes }
    }

    /// From the most to the least: shorter lists of names, then fewer named alerts, the most urgent last.
    pub(super) fn ladder(&self) -> Vec<Rung> {
        let most = self.classes.iter().map(|class| class.names.len()).max().unwrap_or(0).min(NAMES);
        let (all, urgent) = (self.chosen.len(), self.urgent);
        let mut rungs = vec![Rung { named: all, names: most }];
        let mut names = most;
        while names > NAMES_LONG {
            names = (names - (names / 10).max(1)).max(NAMES_LONG);
            rungs.push(Rung { named: all, names });
        }
        rungs.extend((urgent..all).rev().map(|named| Rung { named, names }));
        let short = names.min(NAMES_SHORT);
        rungs.extend((short..names).rev().map(|names| Rung { named: urgent, names }));
        let few = urgent.min(URGENT_SHORT);
        rungs.extend((few..urgent).rev().map(|named| Rung { named, names: short }));
        rungs.extend((0..short).rev().map(|names| Rung { named: few, names }));
        rungs.extend((0..few).rev().map(|named| Rung { named, names: 0 }));
        rungs
    }

    /// What is left out at one step.
    pub(super) fn trim(&self, rung: Rung) -> Trim {
        let cut = self.classes.iter().any(|class| class.names.len() > rung.names);
        Trim::digest(self.facts.total, rung.named, cut.then_some(rung.names))
    }

    /// Everything that is counted or named at one step.
    pub(super) fn blocks(&self, rung: Rung) -> Vec<Block<'_>> {
        let named = self.chosen.get(..rung.named).unwrap_or(&self.chosen);
        self.classes
            .iter()
            .enumerate()
            .map(|(at, class)| Block {
                class,
                label: class.label(self.digest.lang),
                names: class.names.get(..rung.names).unwrap_or(&class.names),
                alerts: named.iter().filter(|(_, of)| *of == at).map(|(alert, _)| *alert).collect(),
                others: self.others(at, rung.names),
            })
            .collect()
    }

    /// What the lists of a state leave out, at its last class.
    fn others(&self, at: usize, names: usize) -> Option<Others> {
        let state = self.classes.get(at)?.state;
        if self.classes.get(at + 1).is_some_and(|next| next.state == state) {
            return None;
        }
        let mut seen = HashSet::new();
        let mut parts = Vec::new();
        for class in self.classes.iter().filter(|class| class.state == state) {
            let rest = class.names.get(names..).unwrap_or_default();
            seen.extend(rest.iter().map(|(name, _)| *name));
            parts.push((
                rest.iter().map(|(_, count)| count).sum::<u64>(),
                marks::value(&class.small_text(self.digest.lang)),
            ));
        }
        let total = parts.iter().map(|(count, _)| count).sum();
        let parts = facts::join_counts(self.digest.lang, parts.into_iter());
        let text = match self.digest.lang {
            Lang::Zh => format!("另有 {} 个名称{}：{parts}", seen.len(), state.word(Lang::Zh)),
            Lang::En => {
                let names = if seen.len() == 1 { "name" } else { "names" };
                let state = state.word(Lang::En).to_lowercase();
                format!("{} other {names} {state}", seen.len()).trim_end().to_owned() + ": " + &parts
            }
        };
        (!seen.is_empty()).then_some(Others { names: seen.len(), total, text })
    }

    /// Name, identity and place of a named alert.
    pub(super) fn label(&self, alert: &Alert) -> String {
        let mut parts = vec![identity::name(alert)];
        let found = self.facts.identity(alert);
        let several = found.len() > 1;
        // Two values tell more than one with its port.
        parts.extend(found.iter().map(|value| if several { value } else { identity::without_port(value) }.to_owned()));
        let cluster = identity::cluster(alert);
        if !cluster.is_empty() && (self.clusters || found.is_empty()) {
            parts.push(cluster);
        }
        parts.join(" ")
    }

    /// A named alert on one line: who, and since when; with marks.
    pub(super) fn line(&self, told: &SceneAlert) -> String {
        let label = marks::value(&self.label(&told.alert));
        format!("{label} {}", facts::when_short(self.scene, told)).trim_end().to_owned()
    }
}

impl Block<'_> {
    /// `NodeDown 380、PodCrashLoop 32`; with marks.
    pub(super) fn names_line(&self, lang: Lang) -> String {
        let pairs = self.names.iter().map(|(name, count)| format!("{} {count}", marks::value(name)));
        pairs.collect::<Vec<_>>().join(pick(lang, "、", ", "))
    }

    /// `警告 412：NodeDown 380、PodCrashLoop 32`; with marks.
    pub(super) fn line(&self, lang: Lang) -> String {
        let names = self.names_line(lang);
        let colon = if names.is_empty() { "" } else { pick(lang, "：", ": ") };
        format!("{} {}{colon}{names}", self.label, self.class.total)
    }
}

/// Which alerts are named, and the class of each: critical ones before all others; of the rest, classes that can be
/// named whole, down to the first that can not. A few of many would say nothing that its number does not.
fn choose(leading: &[SceneAlert], classes: &[Sorted<'_>]) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, Vec<usize>)> = Vec::new();
    for (at, told) in leading.iter().enumerate() {
        let Some(class) = classes.iter().position(|class| class.holds(told)) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == class) {
            Some((_, alerts)) => alerts.push(at),
            None => groups.push((class, vec![at])),
        }
    }
    let urgent = |class: usize| classes.get(class).is_some_and(Sorted::urgent);
    groups.sort_by_key(|(class, _)| !urgent(*class));
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for (class, alerts) in groups {
        let total = classes.get(class).map_or(0, |class| class.total);
        let room = NAMED.saturating_sub(chosen.len());
        let whole = alerts.len() <= room && u64::try_from(alerts.len()) == Ok(total);
        let take = match (urgent(class), whole) {
            (true, _) => URGENT,
            (false, true) => room,
            (false, false) if chosen.is_empty() => SAMPLE,
            (false, false) => 0,
        };
        chosen.extend(alerts.iter().take(take).map(|at| (*at, class)));
        if !whole && !urgent(class) {
            break;
        }
    }
    chosen
}

/// Whether a list of so many names is long on a phone.
pub(super) const fn is_long(names: usize) -> bool {
    names > 12
}
