//! Follows names from one part of the config to the other.

use std::collections::{HashMap, HashSet};

use crate::channel;
use crate::model::BotKind;

use super::Raw;
use super::bots::{RawBot, RawMention};
use super::people::{RawContact, RawGroup, missing_id};
use super::policies::{DEFAULT_NAME, RawNotify, RawPolicy};
use super::report::{At, Report, quoted};

/// The template set that is always there.
const BUILT_IN: &str = "default";

/// Everything that has a name.
struct Names<'r> {
    bots: HashMap<&'r str, &'r RawBot>,
    groups: HashMap<&'r str, &'r RawGroup>,
    contacts: HashMap<&'r str, &'r RawContact>,
    intervals: HashSet<&'r str>,
}

/// Notes every mistake that needs more than one part of the config to be seen.
pub(super) fn check(raw: &Raw, report: &mut Report) {
    let names = Names {
        bots: raw.bots.iter().filter(|bot| bot.name.is_some()).map(|bot| (bot.label(), bot)).collect(),
        groups: raw.groups.iter().map(|group| (group.name.value.as_str(), group)).collect(),
        contacts: raw.contacts.iter().map(|contact| (contact.name.value.as_str(), contact)).collect(),
        intervals: raw.intervals.iter().map(|interval| interval.name.value.as_str()).collect(),
    };
    duplicates(raw, report);
    if let Some(name) = &raw.global.report_bot {
        names.bot(name, report);
    }
    check_bots(raw, &names, report);
    let mut calls = Calls::default();
    for group in &raw.groups {
        check_group(group, &names, &mut calls, report);
    }
    for policy in raw.policies.iter().chain(&raw.default_policy) {
        check_policy(policy, raw, &names, &mut calls, report);
    }
    reachability(raw, report);
    unused_templates(raw, report);
}

fn duplicates(raw: &Raw, report: &mut Report) {
    let shared = "bots and contact groups share one namespace";
    let bots = raw.bots.iter().filter_map(|bot| bot.name.as_ref());
    unique(bots.chain(raw.groups.iter().map(|group| &group.name)), shared, report);
    unique(raw.contacts.iter().map(|contact| &contact.name), "each contact has its own name", report);
    unique(raw.policies.iter().map(|policy| &policy.name), "each policy has its own name", report);
    unique(raw.intervals.iter().map(|interval| &interval.name), "each time interval has its own name", report);
}

fn unique<'r>(names: impl Iterator<Item = &'r At<String>>, hint: &str, report: &mut Report) {
    let mut first = HashMap::new();
    for name in names {
        if let Some(before) = first.get(name.value.as_str()) {
            let super::Pos { line, column } = *before;
            let what = format!("the name {} is taken already, in line {line}, column {column}", quoted(&name.value));
            report.mistake(name.pos, what, hint);
        } else {
            first.insert(name.value.as_str(), name.pos);
        }
    }
}

impl<'r> Names<'r> {
    fn bot(&self, name: &At<String>, report: &mut Report) -> Option<&'r RawBot> {
        if let Some(bot) = self.bots.get(name.value.as_str()) {
            return Some(bot);
        }
        let hint = if self.groups.contains_key(name.value.as_str()) {
            "it is a contact group: name it under `contact_groups`".to_owned()
        } else {
            report.nearest(&name.value, self.bots.keys().copied(), || some("the bots are", self.bots.keys()))
        };
        report.mistake(name.pos, format!("there is no bot {}", quoted(&name.value)), hint);
        None
    }

    fn group(&self, name: &At<String>, report: &mut Report) -> Option<&'r RawGroup> {
        if let Some(group) = self.groups.get(name.value.as_str()) {
            return Some(group);
        }
        let hint = if self.bots.contains_key(name.value.as_str()) {
            "it is a bot: name it under `bots`".to_owned()
        } else {
            report.nearest(&name.value, self.groups.keys().copied(), || some("the groups are", self.groups.keys()))
        };
        report.mistake(name.pos, format!("there is no contact group {}", quoted(&name.value)), hint);
        None
    }

    fn contact(&self, name: &At<String>, report: &mut Report) -> Option<&'r RawContact> {
        if let Some(contact) = self.contacts.get(name.value.as_str()) {
            return Some(contact);
        }
        let names = self.contacts.keys().copied();
        let hint = report.nearest(&name.value, names, || some("the contacts are", self.contacts.keys()));
        report.mistake(name.pos, format!("there is no contact {}", quoted(&name.value)), hint);
        None
    }
}

/// A few of the names in order, for hints.
fn some<'r>(intro: &str, names: impl Iterator<Item = &'r &'r str>) -> String {
    let mut names: Vec<&str> = names.copied().collect();
    names.sort_unstable();
    match names.len() {
        0 => String::new(),
        1..=8 => format!("{intro} {}", names.join(", ")),
        more => format!("{intro} {} and {} more", names[..8].join(", "), more - 8),
    }
}

fn check_bots(raw: &Raw, names: &Names<'_>, report: &mut Report) {
    for bot in &raw.bots {
        if let Some(fallback) = &bot.fallback {
            if fallback.value == bot.label() {
                report.mistake(fallback.pos, "a bot can not be its own fallback", "");
            } else {
                names.bot(fallback, report);
            }
        }
        if let Some(mention) = &bot.mention {
            for name in &mention.contacts {
                let Some((contact, kind)) = names.contact(name, report).zip(bot.kind) else { continue };
                if let Some(missing) = missing_id(&contact.contact, kind) {
                    let what = format!("{} has {missing}: this bot can not mention them", quoted(&name.value));
                    report.warning(name.pos, what, "add it to the contact");
                }
            }
        }
        mention_label(bot.mention.as_ref(), raw, report);
        kind_calls(bot, report);
        if let (Some(template), Some(kind)) = (&bot.template, bot.kind) {
            check_template(template, &HashSet::from([kind]), raw, report);
        }
    }
    fallback_cycles(raw, names, report);
    shared_robots(raw, report);
}

/// Vendors ignore mentions in some message types without an error.
fn kind_calls(bot: &RawBot, report: &mut Report) {
    let Some(layout) = bot.layout.as_ref().filter(|layout| !layout.value.calls()) else { return };
    if bot.mention.as_ref().is_some_and(calls_somebody) {
        let what = format!(
            "a message of kind `{}` calls nobody: this bot's `mention` would be ignored",
            layout.value.as_str()
        );
        report.mistake(layout.pos, what, "write `kind: markdown`, or remove the bot's `mention`");
    }
}

fn calls_somebody(mention: &RawMention) -> bool {
    mention.all || !mention.contacts.is_empty() || mention.contacts_from_label.is_some()
}

/// Few of a bot's messages may mention people, and the others want its kind: no mistake, but said once.
fn kind_called(bots: &[&RawBot], who: &str, calls: &mut Calls, report: &mut Report) {
    for (layout, kind) in bots.iter().filter_map(|bot| bot.layout.as_ref().zip(bot.kind)) {
        if !layout.value.calls() && calls.insert((layout.pos, kind)) {
            let what = format!("{who} mentions people with this bot: those messages leave as `markdown`");
            let hint = format!("a message of kind `{}` calls nobody", layout.value.as_str());
            report.warning(layout.pos, what, hint);
        }
    }
}

fn mention_label(mention: Option<&RawMention>, raw: &Raw, report: &mut Report) {
    if let Some(label) = mention.and_then(|mention| mention.contacts_from_label.as_ref())
        && raw.contacts.is_empty()
    {
        let what = "`contacts_from_label` has no effect: there are no contacts to look the value up in";
        report.warning(label.pos, what, "add `contacts:`");
    }
}

fn fallback_cycles(raw: &Raw, names: &Names<'_>, report: &mut Report) {
    let mut done: HashSet<&str> = HashSet::new();
    for start in &raw.bots {
        let mut path: Vec<&RawBot> = Vec::new();
        let mut on_path: HashSet<&str> = HashSet::new();
        let mut next = Some(start);
        while let Some(bot) = next.filter(|bot| !done.contains(bot.label()) && on_path.insert(bot.label())) {
            path.push(bot);
            next = bot.fallback.as_ref().and_then(|name| names.bots.get(name.value.as_str()).copied());
        }
        let cycle = next.and_then(|again| path.iter().position(|bot| bot.label() == again.label()));
        if let Some(cycle) = cycle.map(|at| &path[at..]).filter(|cycle| cycle.len() > 1) {
            let mut chain: Vec<&str> = cycle.iter().map(|bot| bot.label()).take(10).collect();
            chain.push(if cycle.len() > 10 { "..." } else { cycle[0].label() });
            if let Some(pos) = cycle[0].fallback.as_ref().map(|name| name.pos) {
                let what = format!("the fallbacks go in a circle: {}", chain.join(" -> "));
                report.mistake(pos, what, "the last of them needs no fallback");
            }
        }
        done.extend(path.iter().map(|bot| bot.label()));
    }
}

/// Bots with one URL share bucket and lock, so they should agree on the limits.
fn shared_robots(raw: &Raw, report: &mut Report) {
    let mut first: HashMap<String, &RawBot> = HashMap::new();
    for (bot, kind) in raw.bots.iter().filter_map(|bot| bot.kind.map(|kind| (bot, kind))) {
        for robot in &bot.robots {
            let other = first.entry(channel::robot_id(kind, robot.value.url.expose())).or_insert(bot);
            if other.rate_limits != bot.rate_limits {
                let what = format!("{} has the same robot with other `rate_limits`", quoted(other.label()));
                let hint =
                    "the vendor counts per robot: the stricter of each window holds for both; give both the same";
                report.warning(robot.pos, what, hint);
            }
        }
    }
}

fn check_group(group: &RawGroup, names: &Names<'_>, calls: &mut Calls, report: &mut Report) {
    let bots: Vec<&RawBot> = group.bots.iter().filter_map(|name| names.bot(name, report)).collect();
    if !group.contacts.is_empty() {
        kind_called(&bots, &format!("the contact group {}", quoted(&group.name.value)), calls, report);
    }
    for name in &group.contacts {
        names.contact(name, report);
    }
    if group.bots.is_empty() {
        let what = format!("the contact group {} has no bots", quoted(&group.name.value));
        let hint =
            "a policy that also names bots mentions its contacts there, but its own webhook address reaches nobody";
        report.warning(group.name.pos, what, hint);
    }
}

/// Mentions and kinds that were complained about already: a group may serve many policies.
type Calls = HashSet<(super::Pos, BotKind)>;

fn check_policy(policy: &RawPolicy, raw: &Raw, names: &Names<'_>, calls: &mut Calls, report: &mut Report) {
    for name in &policy.intervals {
        if !names.intervals.contains(name.value.as_str()) {
            let hint = report.nearest(&name.value, names.intervals.iter().copied(), || {
                some("the time intervals are", names.intervals.iter())
            });
            report.mistake(name.pos, format!("there is no time interval {}", quoted(&name.value)), hint);
        }
    }
    let mention = policy.mention.as_ref();
    mention_label(mention, raw, report);
    let mut contacts: Vec<&At<String>> = Vec::new();
    for name in mention.map_or(&[][..], |mention| &mention.contacts) {
        if names.contact(name, report).is_some() {
            contacts.push(name);
        }
    }
    let RawNotify::To { bots, groups } = &policy.notify else { return };
    let mut all_known = true;
    let mut reached: Vec<&RawBot> = Vec::new();
    for name in bots {
        let bot = names.bot(name, report);
        all_known &= bot.is_some();
        reached.extend(bot);
    }
    for name in groups {
        let group = names.group(name, report);
        all_known &= group.is_some();
        let Some(group) = group else { continue };
        contacts.extend(&group.contacts);
        // Unknown ones are noted where the group stands.
        reached.extend(group.bots.iter().filter_map(|name| names.bots.get(name.value.as_str()).copied()));
        all_known &= group.bots.iter().all(|name| names.bots.contains_key(name.value.as_str()));
    }
    if reached.is_empty() && all_known {
        let what = "this policy reaches no bot: none of its contact groups has one";
        report.mistake(policy.notify_pos, what, "give the group `bots`, or name some here");
    }
    let kinds: HashSet<BotKind> = reached.iter().filter_map(|bot| bot.kind).collect();
    for kind in BotKind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        for name in &contacts {
            let Some(contact) = names.contacts.get(name.value.as_str()) else { continue };
            if let Some(missing) = missing_id(&contact.contact, kind).filter(|_| calls.insert((name.pos, kind))) {
                let what =
                    format!("{} has {missing}: a {} bot can not mention them", quoted(&name.value), kind.as_str());
                report.warning(name.pos, what, "add it to the contact");
            }
        }
    }
    if !contacts.is_empty() || mention.is_some_and(calls_somebody) {
        kind_called(&reached, &format!("the policy {}", quoted(&policy.name.value)), calls, report);
    }
    if let Some(template) = &policy.template {
        check_template(template, &kinds, raw, report);
    }
}

fn check_template(name: &At<String>, kinds: &HashSet<BotKind>, raw: &Raw, report: &mut Report) {
    if name.value == BUILT_IN || kinds.is_empty() {
        return;
    }
    let compiled = &raw.templates.compiled;
    let missing: Vec<&str> = BotKind::ALL
        .into_iter()
        .filter(|kind| kinds.contains(kind) && !compiled.has_set(*kind, &name.value))
        .map(BotKind::as_str)
        .collect();
    if missing.len() == kinds.len() {
        let sets = compiled.sets();
        // Another vendor may have a set of this very name.
        let names = || sets.iter().map(|(_, set)| set.as_str()).chain([BUILT_IN]).filter(|set| *set != name.value);
        let hint = report.nearest(&name.value, names(), || {
            format!("`templates` must match a file like {}.{}.body.hbs", missing[0], name.value)
        });
        report.mistake(
            name.pos,
            format!("there is no template {} for {}", quoted(&name.value), missing.join(", ")),
            hint,
        );
    } else if !missing.is_empty() {
        let what = format!("the template {} has no part for {}", quoted(&name.value), missing.join(", "));
        report.warning(name.pos, what, "the built-in one is used there");
    }
}

fn reachability(raw: &Raw, report: &mut Report) {
    let catches_all = |policy: &&RawPolicy| !policy.has_matchers && policy.intervals.is_empty();
    let mut policies = raw.policies.iter();
    if let Some(last) = policies.by_ref().find(|policy| catches_all(policy) && !policy.go_on)
        && let Some(next) = policies.next()
    {
        let what = format!(
            "no alert gets to this policy: {} in line {} takes them all",
            quoted(&last.name.value),
            last.name.pos.line
        );
        report.warning(next.pos, what, "give that one matchers, say `continue: true` there, or put it last");
    }
    if !raw.has_default_policy && !raw.policies.iter().any(|policy| catches_all(&policy)) {
        let what = "alerts that no policy matches are answered 404: there is no `default_policy`";
        let pos = raw.policies.last().map_or_else(super::Pos::default, |policy| policy.pos);
        report.warning(pos, what, format!("add `{DEFAULT_NAME}_policy: {{notify: {{bots: [...]}}}}`"));
    }
}

fn unused_templates(raw: &Raw, report: &mut Report) {
    let mut used: HashSet<(BotKind, &str)> = HashSet::new();
    let of_bot = |bot: &RawBot| bot.kind;
    for bot in &raw.bots {
        let set = bot.template.as_ref().map_or(BUILT_IN, |name| name.value.as_str());
        used.extend(of_bot(bot).map(|kind| (kind, set)));
    }
    for policy in raw.policies.iter().chain(&raw.default_policy) {
        if let Some(name) = &policy.template {
            // Exact enough: a set for a vendor that this policy happens not to reach is no mistake.
            used.extend(raw.bots.iter().filter_map(of_bot).map(|kind| (kind, name.value.as_str())));
        }
    }
    for (kind, set) in raw.templates.compiled.sets() {
        if !used.contains(&(kind, set.as_str())) {
            let what = format!("the template {} for {} is used by no bot and no policy", quoted(&set), kind.as_str());
            report.warning(raw.templates.pos, what, format!("say `template: {set}`, or remove its files"));
        }
    }
}
