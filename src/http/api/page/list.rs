//! The alerts of a message in the order in which a person looks for one: firing first, then by urgency, then by name.
//!
//! What all rows of a heading share stands once at the heading: rows stay short, and what is left of their labels is
//! what tells them apart.

use std::collections::BTreeMap;

use crate::http::api::view;
use crate::model::{Labels, Severities, Status, ToldAlert};

/// Labels that several alerts share, borrowed from them.
pub(super) type Shared<'a> = BTreeMap<&'a str, &'a str>;

/// Alerts of one state.
pub(super) struct Section<'a> {
    pub(super) status: Status,
    pub(super) levels: Vec<Level<'a>>,
}

/// Alerts of one severity.
pub(super) struct Level<'a> {
    pub(super) name: &'a str,
    pub(super) groups: Vec<Group<'a>>,
}

/// Alerts of one name.
pub(super) struct Group<'a> {
    /// Empty when their labels name none.
    pub(super) name: &'a str,
    pub(super) rows: Vec<&'a ToldAlert>,
    /// What all rows share and [`List::shared`] has not.
    pub(super) shared: Shared<'a>,
    /// The summary of all rows, when there are several and they have one.
    pub(super) summary: &'a str,
}

/// All of them.
pub(super) struct List<'a> {
    /// Firing, then resolved; empty ones are left out.
    pub(super) sections: Vec<Section<'a>>,
    /// What all alerts share, when there are several.
    pub(super) shared: Shared<'a>,
}

impl Level<'_> {
    pub(super) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }
}

impl Section<'_> {
    pub(super) fn len(&self) -> usize {
        self.levels.iter().map(Level::len).sum()
    }
}

impl<'a> List<'a> {
    pub(super) fn new(alerts: &'a [ToldAlert]) -> Self {
        let order = levels(alerts);
        let mut rows: Vec<Row<'a>> = alerts.iter().map(|alert| Row::new(alert, &order)).collect();
        rows.sort_by(|a, b| a.key().cmp(&b.key()).then_with(|| a.alert.labels.cmp(&b.alert.labels)));
        let all: Vec<&ToldAlert> = rows.iter().map(|row| row.alert).collect();
        let shared = shared(&all, |_| false);
        let sections = rows.chunk_by(|a, b| a.alert.status == b.alert.status).filter_map(|rows| {
            let levels = rows.chunk_by(|a, b| a.alert.severity == b.alert.severity);
            Some(Section {
                status: rows.first()?.alert.status,
                levels: levels.filter_map(|rows| level(rows, &shared)).collect(),
            })
        });
        let sections = sections.collect();
        Self { sections, shared }
    }
}

fn level<'a>(rows: &[Row<'a>], above: &Shared<'a>) -> Option<Level<'a>> {
    let group = |rows: &[Row<'a>]| {
        let name = rows.first()?.name;
        let rows: Vec<&ToldAlert> = rows.iter().map(|row| row.alert).collect();
        let first = rows.first()?.summary.as_str();
        let same = rows.len() > 1 && rows.iter().all(|row| row.summary == first);
        let shared = shared(&rows, |label| above.contains_key(label));
        Some(Group { name, shared, summary: if same { first } else { "" }, rows })
    };
    let groups = rows.chunk_by(|a, b| a.name == b.name);
    Some(Level { name: &rows.first()?.alert.severity, groups: groups.filter_map(group).collect() })
}

struct Row<'a> {
    alert: &'a ToldAlert,
    rank: (u8, usize),
    name: &'a str,
}

impl<'a> Row<'a> {
    fn new(alert: &'a ToldAlert, order: &BTreeMap<&str, (u8, usize)>) -> Self {
        let rank = order.get(alert.severity.as_str()).copied().unwrap_or_default();
        Self { alert, rank, name: view::name(&alert.labels).unwrap_or_default() }
    }

    fn key(&self) -> (Status, (u8, usize), &str) {
        (self.alert.status, self.rank, self.name)
    }
}

/// The order of the levels: of those that everybody knows their own, of others as the message had them (it was sorted by
/// urgency).
fn levels(alerts: &[ToldAlert]) -> BTreeMap<&str, (u8, usize)> {
    let known = Severities::default();
    let mut order = BTreeMap::new();
    for alert in alerts {
        let seen = order.len();
        order.entry(alert.severity.as_str()).or_insert_with(|| (known.rank(&alert.severity), seen));
    }
    order
}

/// The labels that a page shows of an alert: all but those that its headings say.
pub(super) fn told(alert: &ToldAlert) -> impl Iterator<Item = (&str, &str)> {
    let named_by = ["alertname", "rulename"].into_iter().find(|name| has(&alert.labels, name));
    alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(move |(name, value)| {
        let level = *name == "severity" && value.eq_ignore_ascii_case(&alert.severity);
        Some(*name) != named_by && !level && !value.is_empty()
    })
}

fn has(labels: &Labels, name: &str) -> bool {
    labels.get(name).is_some_and(|value| !value.is_empty())
}

fn shared<'a>(rows: &[&'a ToldAlert], known: impl Fn(&str) -> bool) -> Shared<'a> {
    let [first, rest @ ..] = rows else { return Shared::new() };
    if rest.is_empty() {
        return Shared::new();
    }
    let mut shared: Shared<'a> = told(first).filter(|(name, _)| !known(name)).collect();
    for row in rest {
        if shared.is_empty() {
            break;
        }
        shared.retain(|name, value| row.labels.get(*name).is_some_and(|other| other == value));
    }
    shared
}
