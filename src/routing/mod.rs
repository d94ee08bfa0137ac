//! Who must know: policies, time intervals, contact groups. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::model::{Contact, Matcher, Severities};

mod interval;
mod router;

pub use interval::{IntervalError, RawTimeInterval, TimeInterval};
pub use router::{Call, Calls, Endpoint, Explanation, Outcome, Routed, Router, Step, Target, Told, group_id};

/// Whom to call in a chat, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MentionRule {
    /// Everybody.
    pub all: bool,
    /// Names of contacts.
    pub contacts: Vec<String>,
    /// A label whose value is looked up among the contacts.
    pub contacts_from_label: Option<String>,
    /// Only alerts at least this urgent (rank).
    pub min_severity: Option<u8>,
    /// The least time between two calls of one person in one chat.
    pub interval: Duration,
}

/// Where a policy's alerts go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notify {
    /// Nowhere, on purpose.
    None,
    /// To these.
    To {
        /// Names of bots.
        bots: Vec<String>,
        /// Names of contact groups.
        contact_groups: Vec<String>,
    },
}

/// One notification policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Where to.
    pub notify: Notify,
    /// Overrides the bots' own rule, for alerts that came by this policy.
    pub mention: Option<MentionRule>,
    /// Splits a body; `None` keeps Alertmanager's group.
    pub group_by: Option<GroupBy>,
    /// Template set, instead of the bot's.
    pub template: Option<String>,
    /// Names of time intervals in which it matches; empty: always.
    pub active_time_intervals: Vec<String>,
    /// Whether later policies are tried too.
    pub go_on: bool,
}

/// How a policy splits a body into groups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupBy {
    /// By the values of these labels.
    Labels(Vec<String>),
    /// Every alert alone (`['...']`).
    Each,
}

/// A contact group: people, and the bots of the chats they read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContactGroup {
    /// Its name; shares the namespace of bots.
    pub name: String,
    /// Names of contacts, called on this group's and its notify's bots.
    pub contacts: Vec<String>,
    /// Names of bots.
    pub bots: Vec<String>,
}

/// What routing needs of the config.
#[derive(Clone, Debug)]
pub struct Config {
    /// In order; first match wins unless it says `continue`.
    pub policies: Vec<Policy>,
    /// Takes what no policy matched. Its name is `default`.
    pub default_policy: Option<Policy>,
    /// Contact groups by name.
    pub contact_groups: BTreeMap<String, ContactGroup>,
    /// Contacts by name.
    pub contacts: BTreeMap<String, Contact>,
    /// Every bot's name, and whether it wants resolves.
    pub bots: BTreeMap<String, bool>,
    /// Time intervals by name; a name holds when any of its intervals does.
    pub time_intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// Zone of time intervals that name none.
    pub timezone: TimeZone,
    /// Severity levels.
    pub severities: Severities,
}
