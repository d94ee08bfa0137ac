//! `policies:` and `default_policy:`.

use std::collections::HashSet;
use std::rc::Rc;

use crate::model::{Matcher, Severities};
use crate::routing::GroupBy;

use super::bots::{RawMention, mention};
use super::fields::{Fields, text};
use super::node::{Data, Node};
use super::report::{At, Pos, Report, quoted};

pub(super) const KEYS: &[&str] =
    &["name", "matchers", "notify", "mention", "group_by", "template", "active_time_intervals", "continue"];
pub(super) const DEFAULT_KEYS: &[&str] = &["notify", "mention", "group_by", "template"];
/// What `default_policy` is called in metrics and messages.
pub(super) const DEFAULT_NAME: &str = "default";

/// Where a policy's alerts go, names unfollowed.
pub(super) enum RawNotify {
    /// Could not be read; the mistake is noted.
    Unread,
    None,
    To {
        bots: Vec<At<String>>,
        groups: Vec<At<String>>,
    },
}

pub(super) struct RawPolicy {
    pub(super) pos: Pos,
    pub(super) name: At<String>,
    pub(super) matchers: Vec<Matcher>,
    /// Whether the file gives any matcher, readable or not.
    pub(super) has_matchers: bool,
    pub(super) notify: RawNotify,
    pub(super) notify_pos: Pos,
    pub(super) mention: Option<RawMention>,
    pub(super) group_by: Option<GroupBy>,
    pub(super) template: Option<At<String>>,
    pub(super) intervals: Vec<At<String>>,
    pub(super) go_on: bool,
}

pub(super) fn read(top: &Fields<'_>, severities: &Severities, report: &mut Report) -> Vec<RawPolicy> {
    let nodes = top.list("policies", report);
    let numbered = nodes.iter().zip(1..);
    numbered.filter_map(|(node, number)| policy(node, number, severities, report)).collect()
}

fn policy(node: &Node, number: usize, severities: &Severities, report: &mut Report) -> Option<RawPolicy> {
    let fields = Fields::open(node, "a policy", KEYS, report)?;
    let name = match fields.text("name", report) {
        Some(name) => {
            if name.value == DEFAULT_NAME {
                report.mistake(name.pos, "`default` is the name of the default policy", "choose another name");
            }
            if name.value.chars().count() > 100 || name.value.contains(char::is_control) {
                report.mistake(name.pos, "a policy's name is one line of at most 100 characters", "");
            }
            name
        }
        None => At { value: format!("policy-{number}"), pos: fields.pos },
    };
    let mut policy = common(&fields, name, severities, report);
    (policy.has_matchers, policy.matchers) = matchers(&fields, report);
    policy.intervals = fields.texts("active_time_intervals", report);
    policy.go_on = fields.flag("continue", false, report);
    Some(policy)
}

pub(super) fn default_policy(top: &Fields<'_>, severities: &Severities, report: &mut Report) -> Option<RawPolicy> {
    let fields = Fields::open(top.node("default_policy")?, "`default_policy`", DEFAULT_KEYS, report)?;
    let name = At { value: DEFAULT_NAME.to_owned(), pos: fields.pos };
    Some(common(&fields, name, severities, report))
}

fn common(fields: &Fields<'_>, name: At<String>, severities: &Severities, report: &mut Report) -> RawPolicy {
    RawPolicy {
        pos: fields.pos,
        name,
        matchers: Vec::new(),
        has_matchers: false,
        notify: notify(fields, report),
        notify_pos: fields.key_pos("notify"),
        mention: mention(fields, severities, report),
        group_by: group_by(fields, report),
        template: fields.text("template", report),
        intervals: Vec::new(),
        go_on: false,
    }
}

const NOTIFY_HINT: &str = "like {bots: [NAME]} or {contact_groups: [NAME]}; `notify: none` drops alerts on purpose";

fn notify(fields: &Fields<'_>, report: &mut Report) -> RawNotify {
    let Some(node) = fields.node("notify") else {
        report.mistake(fields.key_pos("notify"), "this policy reaches no bot: `notify` is missing", NOTIFY_HINT);
        return RawNotify::Unread;
    };
    if let Data::Scalar { text, .. } = &node.data {
        node.show();
        if text == "none" {
            return RawNotify::None;
        }
        report.mistake(node.pos, "`notify` must be a map or the word none", NOTIFY_HINT);
        return RawNotify::Unread;
    }
    let Some(to) = Fields::open(node, "`notify`", &["bots", "contact_groups"], report) else {
        return RawNotify::Unread;
    };
    let (bots, groups) = (to.texts("bots", report), to.texts("contact_groups", report));
    if bots.is_empty() && groups.is_empty() {
        report.mistake(node.pos, "this policy reaches no bot: `notify` names none", NOTIFY_HINT);
        return RawNotify::Unread;
    }
    RawNotify::To { bots, groups }
}

/// Whether the file gives any matcher, and those that could be read.
fn matchers(fields: &Fields<'_>, report: &mut Report) -> (bool, Vec<Matcher>) {
    let mut matchers = Vec::new();
    if let Some(node) = fields.node("matchers") {
        node.show();
    }
    let empty = |node: &Rc<Node>| matches!(&node.data, Data::Seq(items) if items.is_empty());
    let given = fields.node("matchers").is_some_and(|node| !empty(node));
    if fields.has("matchers") && !given {
        report.warning(fields.key_pos("matchers"), "`matchers` is empty: this policy takes every alert", "");
    }
    for node in fields.list("matchers", report) {
        if matches!(node.data, Data::Map(_)) {
            let hint = "with quotes around it, like 'severity=\"critical\"'";
            report.mistake(node.pos, "a matcher must be a single value, not a map", hint);
            continue;
        }
        let Some(found) = text(node, "a matcher", report) else { continue };
        match Matcher::parse(&found.value) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => {
                let pos = inside(node, &found, error.offset);
                let what = format!("bad matcher {}: {}", quoted(&found.value), error.message);
                report.mistake(
                    pos,
                    what,
                    "like severity=\"critical\", team!=\"db\", name=~\"a|b\" or name!~\"test.*\"",
                );
            }
        }
    }
    (given, matchers)
}

/// The place of a character inside a value that stands on one line as it is.
fn inside(node: &Node, found: &At<String>, offset: usize) -> Pos {
    let Pos { line, column } = found.pos;
    let quotes = match node.span.len().checked_sub(found.value.len()) {
        Some(0) => 0,
        Some(2) => 1,
        // With escapes or over several lines the places do not correspond.
        _ => return found.pos,
    };
    Pos { line, column: column + quotes + offset.min(found.value.chars().count()) }
}

fn group_by(fields: &Fields<'_>, report: &mut Report) -> Option<GroupBy> {
    fields.node("group_by")?;
    let labels = fields.texts("group_by", report);
    if labels.iter().any(|label| label.value == "...") {
        if labels.len() > 1 {
            let what = "'...' stands alone: it makes every alert its own group";
            report.mistake(fields.key_pos("group_by"), what, "write group_by: ['...']");
        }
        return Some(GroupBy::Each);
    }
    if labels.is_empty() {
        let hint = "leave it out for Alertmanager's own groups, or write ['...'] for every alert alone";
        report.mistake(fields.key_pos("group_by"), "`group_by` names no label", hint);
    }
    let mut seen = HashSet::new();
    for label in &labels {
        if !seen.insert(label.value.as_str()) {
            report.mistake(label.pos, format!("the label {} is named twice", quoted(&label.value)), "");
        }
    }
    Some(GroupBy::Labels(labels.into_iter().map(|label| label.value).collect()))
}
