//! Whom a message calls.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Router;
use crate::model::{Contact, Labels, via_names};
use crate::routing::MentionRule;

/// Names looked at in one label's value, at most.
const NAMES_IN_LABEL: usize = 32;

/// One person to call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Who.
    pub contact: Arc<Contact>,
    /// The least time between two calls of this person in this chat. Keeping to it is the caller's part.
    pub interval: Duration,
}

/// Whom firing alerts call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Calls {
    /// Everybody, and the least time between two such calls.
    pub all: Option<Duration>,
    /// These people, each once: those of the rules first, then of contact groups, then of labels.
    pub people: Vec<Call>,
}

/// A rule in force, and the contacts of the contact groups that come with it.
type InForce<'a> = (&'a MentionRule, &'a [usize]);

impl Router {
    /// Whom these firing alerts, which came by `via`, call in a bot's chat. A policy's own `mention` takes the place of
    /// the bot's rule for what came by that policy. Contacts of the contact groups that a policy notifies, or of the
    /// group whose endpoint it was, are called under the same rule.
    ///
    /// `alerts` are labels and severity rank of the firing alerts only: resolves call nobody.
    pub fn mentions<'a>(
        &self,
        bot_rule: &MentionRule,
        via: &str,
        alerts: impl IntoIterator<Item = (&'a Labels, u8)>,
    ) -> Calls {
        let rules = self.in_force(bot_rule, via);
        let mut urgent = vec![false; rules.len()];
        let mut labelled = Vec::new();
        for (labels, rank) in alerts {
            for ((rule, _), urgent) in rules.iter().zip(&mut urgent) {
                if rule.min_severity.is_some_and(|least| rank > least) {
                    continue;
                }
                *urgent = true;
                if let Some(value) = rule.contacts_from_label.as_ref().and_then(|name| labels.get(name)) {
                    self.named_in(value, |contact| labelled.push((contact, rule.interval)));
                }
            }
        }
        let in_force = || rules.iter().zip(&urgent).filter(|(_, urgent)| **urgent).map(|(rule, _)| rule);
        let by_name = in_force().flat_map(|(rule, _)| {
            rule.contacts.iter().filter_map(|name| Some((*self.contact_names.get(name)?, rule.interval)))
        });
        let by_group = in_force().flat_map(|(rule, group)| group.iter().map(|contact| (*contact, rule.interval)));
        Calls {
            all: in_force().filter(|(rule, _)| rule.all).map(|(rule, _)| rule.interval).min(),
            people: self.each_once(by_name.chain(by_group).chain(labelled)),
        }
    }

    fn in_force<'a>(&'a self, bot_rule: &'a MentionRule, via: &str) -> Vec<InForce<'a>> {
        let mut rules: Vec<InForce<'a>> = via_names(via)
            .map(|name| match (self.rule_of(name), name.strip_prefix("group:")) {
                (Some(rule), _) => (rule.mention.as_ref().unwrap_or(bot_rule), rule.group_contacts.as_slice()),
                (None, Some(group)) => (bot_rule, self.groups.get(group).map_or(&[][..], |group| &group.contacts)),
                (None, None) => (bot_rule, &[][..]),
            })
            .collect();
        if rules.is_empty() {
            rules.push((bot_rule, &[]));
        }
        rules
    }

    /// The contacts that a label's value names: one name, or several with commas or spaces between them.
    fn named_in(&self, value: &str, mut found: impl FnMut(usize)) {
        // A name may hold a space itself.
        if let Some(contact) = self.contact_names.get(value.trim()) {
            return found(*contact);
        }
        let names = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '，' | '、' | '；'));
        names
            .filter(|name| !name.is_empty())
            .take(NAMES_IN_LABEL)
            .filter_map(|name| self.contact_names.get(name))
            .for_each(|contact| found(*contact));
    }

    /// In order of first appearance, with the shortest interval that any rule gives.
    fn each_once(&self, calls: impl Iterator<Item = (usize, Duration)>) -> Vec<Call> {
        let mut places = HashMap::new();
        let mut people: Vec<Call> = Vec::new();
        for (contact, interval) in calls {
            let Some(who) = self.contacts.get(contact) else { continue };
            let place = *places.entry(contact).or_insert(people.len());
            match people.get_mut(place) {
                Some(known) => known.interval = known.interval.min(interval),
                None => people.push(Call { contact: Arc::clone(who), interval }),
            }
        }
        people
    }
}
