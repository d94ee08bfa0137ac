//! Which bots must be told of an alert.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Config, GroupBy, MentionRule, Notify, Policy, TimeInterval};
use crate::model::{Alert, Contact, Labels, Matcher, Severities, fnv1a, via_names, via_text};

mod explain;
mod mentions;

pub use explain::{Explanation, Outcome, Step, Told};
pub use mentions::{Call, Calls};

/// The `via` of the default policy.
const DEFAULT: &str = "default";

/// Where a webhook arrived.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// Through the policies.
    Policies,
    /// Straight to the bot or contact group of that name.
    Named(String),
}

impl Endpoint {
    /// The name; empty for the policies. What [`group_id`] wants.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Policies => "",
            Self::Named(name) => name,
        }
    }
}

/// One bot that must be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The bot's name.
    pub bot: Arc<str>,
    /// What led there: [`via_text`] of `policy:NAME`, `group:NAME`, `bot:NAME` or `default`.
    pub via: Arc<str>,
    /// How the first of the policies that led there splits a body; `None` keeps Alertmanager's group.
    pub group_by: Option<Arc<GroupBy>>,
    /// Whether the bot wants resolves.
    pub send_resolved: bool,
}

/// What becomes of one alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Routed {
    /// These bots must be told, each named once; never empty.
    To(Vec<Target>),
    /// Dropped on purpose (`notify: none`) by this policy.
    Dropped {
        /// The policy's name; `default` for the default policy.
        policy: Arc<str>,
    },
    /// Nothing matched and there is no default policy.
    Nowhere,
}

/// A configured bot, as routing knows it.
#[derive(Debug)]
struct Bot {
    name: Arc<str>,
    send_resolved: bool,
}

/// A policy, ready to be tried.
#[derive(Debug)]
struct Rule {
    name: Arc<str>,
    via: Arc<str>,
    matchers: Vec<Matcher>,
    /// `None`: always. A name holds when any of its intervals does.
    active: Option<Vec<(String, Vec<TimeInterval>)>>,
    bots: Vec<usize>,
    /// `notify: none`. A policy without it that has no bots reaches nobody by mistake, and so never matches.
    drops: bool,
    go_on: bool,
    group_by: Option<Arc<GroupBy>>,
    mention: Option<MentionRule>,
    /// Contacts of the contact groups it notifies.
    group_contacts: Vec<usize>,
    template: Option<String>,
}

/// A contact group, ready to be an endpoint.
#[derive(Debug)]
struct Group {
    via: Arc<str>,
    bots: Vec<usize>,
    contacts: Vec<usize>,
}

/// What a rule said to an alert.
enum Check<'a> {
    Matched,
    /// This matcher did not match.
    Refused(&'a Matcher),
    /// Outside these intervals.
    Inactive(&'a [(String, Vec<TimeInterval>)]),
    ReachesNobody,
}

/// Decides who must know. Immutable: a reload makes a new one.
#[derive(Debug)]
pub struct Router {
    bots: Vec<Bot>,
    /// Bot names to `via` and bot; the `via` is `bot:NAME`.
    bot_names: HashMap<String, (Arc<str>, usize)>,
    groups: HashMap<String, Group>,
    rules: Vec<Rule>,
    rule_names: HashMap<String, usize>,
    default: Option<Rule>,
    contacts: Vec<Arc<Contact>>,
    contact_names: HashMap<String, usize>,
    severities: Severities,
}

impl Router {
    /// Compiles a checked config. Names that it does not define lead nowhere; a policy that so reaches no bot does not
    /// match, and the next is tried.
    pub fn new(config: Config) -> Self {
        let mut router = Self {
            bots: Vec::new(),
            bot_names: HashMap::new(),
            groups: HashMap::new(),
            rules: Vec::new(),
            rule_names: HashMap::new(),
            default: None,
            contacts: Vec::new(),
            contact_names: HashMap::new(),
            severities: config.severities.clone(),
        };
        for (name, send_resolved) in &config.bots {
            let bot = Bot { name: name.as_str().into(), send_resolved: *send_resolved };
            router.bot_names.insert(name.clone(), (format!("bot:{name}").into(), router.bots.len()));
            router.bots.push(bot);
        }
        for (name, contact) in &config.contacts {
            router.contact_names.insert(name.clone(), router.contacts.len());
            router.contacts.push(Arc::new(contact.clone()));
        }
        for (name, group) in &config.contact_groups {
            let via = format!("group:{name}").into();
            let (bots, contacts) = (router.bots_of(&group.bots), router.contacts_of(&group.contacts));
            router.groups.insert(name.clone(), Group { via, bots, contacts });
        }
        for policy in &config.policies {
            let via = format!("policy:{}", policy.name);
            let rule = router.rule(policy, &via, &config);
            router.rule_names.entry(via).or_insert(router.rules.len());
            router.rules.push(rule);
        }
        router.default = config.default_policy.as_ref().map(|policy| router.rule(policy, DEFAULT, &config));
        router
    }

    fn rule(&self, policy: &Policy, via: &str, config: &Config) -> Rule {
        let (mut bots, mut group_contacts) = (Vec::new(), Vec::new());
        if let Notify::To { bots: names, contact_groups } = &policy.notify {
            bots = self.bots_of(names);
            for group in contact_groups.iter().filter_map(|name| self.groups.get(name)) {
                add_new(&mut bots, &group.bots);
                add_new(&mut group_contacts, &group.contacts);
            }
        }
        let named = |name: &String| (name.clone(), config.time_intervals.get(name).cloned().unwrap_or_default());
        let active = policy.active_time_intervals.iter().map(named).collect::<Vec<_>>();
        Rule {
            name: if via == DEFAULT { DEFAULT.into() } else { policy.name.as_str().into() },
            via: via.into(),
            matchers: policy.matchers.clone(),
            active: (!active.is_empty()).then_some(active),
            bots,
            drops: policy.notify == Notify::None,
            go_on: policy.go_on,
            group_by: policy.group_by.clone().map(Arc::new),
            mention: policy.mention.clone(),
            group_contacts,
            template: policy.template.clone(),
        }
    }

    fn bots_of(&self, names: &[String]) -> Vec<usize> {
        let found: Vec<usize> = names.iter().filter_map(|name| self.bot_names.get(name)).map(|(_, at)| *at).collect();
        let mut bots = Vec::new();
        add_new(&mut bots, &found);
        bots
    }

    fn contacts_of(&self, names: &[String]) -> Vec<usize> {
        names.iter().filter_map(|name| self.contact_names.get(name).copied()).collect()
    }

    /// Whether the endpoint leads somewhere by its own name. When it does not, its alerts go to the default policy and
    /// should be counted and logged as such.
    pub fn knows(&self, endpoint: &Endpoint) -> bool {
        match endpoint {
            Endpoint::Policies => true,
            Endpoint::Named(name) => !self.named(name).0.is_empty(),
        }
    }

    /// The bots of that name, and the `via` that leads there; empty when there are none.
    fn named(&self, name: &str) -> (&[usize], Option<&Arc<str>>) {
        if let Some((via, bot)) = self.bot_names.get(name) {
            return (std::slice::from_ref(bot), Some(via));
        }
        self.groups.get(name).map_or((&[], None), |group| (&group.bots, Some(&group.via)))
    }

    /// Who must be told of this alert.
    pub fn route(&self, endpoint: &Endpoint, alert: &Alert, now: Timestamp) -> Routed {
        match endpoint {
            Endpoint::Policies => self.through_policies(&alert.labels, now, |_, _| {}),
            Endpoint::Named(name) => match self.named(name) {
                (bots @ [_, ..], Some(via)) => {
                    Routed::To(bots.iter().filter_map(|at| self.target(*at, via, None)).collect())
                }
                _ => self.by_default(),
            },
        }
    }

    /// First match wins, `continue` goes on; `see` is told what each tried rule said.
    fn through_policies<'a>(
        &'a self,
        labels: &Labels,
        now: Timestamp,
        mut see: impl FnMut(&'a Rule, &Check<'a>),
    ) -> Routed {
        let mut targets = Vec::new();
        let mut dropped = None;
        for rule in &self.rules {
            let check = rule.check(labels, now);
            see(rule, &check);
            if !matches!(check, Check::Matched) {
                continue;
            }
            if rule.drops {
                dropped.get_or_insert(&rule.name);
            }
            self.add(&mut targets, rule);
            if !rule.go_on {
                break;
            }
        }
        match (targets.is_empty(), dropped) {
            (false, _) => Routed::To(targets),
            (true, Some(policy)) => Routed::Dropped { policy: Arc::clone(policy) },
            (true, None) => self.by_default(),
        }
    }

    fn by_default(&self) -> Routed {
        let Some(rule) = &self.default else { return Routed::Nowhere };
        let mut targets = Vec::new();
        self.add(&mut targets, rule);
        match (targets.is_empty(), rule.drops) {
            (false, _) => Routed::To(targets),
            (true, true) => Routed::Dropped { policy: Arc::clone(&rule.name) },
            (true, false) => Routed::Nowhere,
        }
    }

    /// Adds a rule's bots; one that is there already is told once, by both ways.
    fn add(&self, targets: &mut Vec<Target>, rule: &Rule) {
        for at in &rule.bots {
            let Some(new) = self.target(*at, &rule.via, rule.group_by.as_ref()) else { continue };
            match targets.iter_mut().find(|known| Arc::ptr_eq(&known.bot, &new.bot)) {
                Some(known) => known.via = via_text([&*known.via, &*new.via]).into(),
                None => targets.push(new),
            }
        }
    }

    fn target(&self, bot: usize, via: &Arc<str>, group_by: Option<&Arc<GroupBy>>) -> Option<Target> {
        self.bots.get(bot).map(|bot| Target {
            bot: Arc::clone(&bot.name),
            via: Arc::clone(via),
            group_by: group_by.map(Arc::clone),
            send_resolved: bot.send_resolved,
        })
    }

    /// The template set of the first policy in `via` that has one; `None` keeps the bot's. Policies that a reload
    /// removed are passed over.
    pub fn template_for(&self, via: &str) -> Option<&str> {
        via_names(via).find_map(|name| self.rule_of(name)?.template.as_deref())
    }

    fn rule_of(&self, via_name: &str) -> Option<&Rule> {
        match via_name {
            DEFAULT => self.default.as_ref(),
            name => self.rule_names.get(name).and_then(|at| self.rules.get(*at)),
        }
    }
}

impl Rule {
    fn check(&self, labels: &Labels, now: Timestamp) -> Check<'_> {
        if let Some(matcher) = self.matchers.iter().find(|matcher| !matcher.matches(labels)) {
            return Check::Refused(matcher);
        }
        if self.bots.is_empty() && !self.drops {
            return Check::ReachesNobody;
        }
        match &self.active {
            Some(named) if !named.iter().flat_map(|(_, any)| any).any(|interval| interval.contains(now)) => {
                Check::Inactive(named)
            }
            _ => Check::Matched,
        }
    }
}

fn add_new(list: &mut Vec<usize>, more: &[usize]) {
    for item in more {
        if !list.contains(item) {
            list.push(*item);
        }
    }
}

/// The group that an alert belongs to: endpoint, source and Alertmanager's groupKey, and within that what the
/// policy's `group_by` makes of it. A policy only ever splits a body, so its groups never join what Alertmanager keeps
/// apart. The same for every bot.
pub fn group_id(
    endpoint: &Endpoint,
    source: &str,
    group_key: &str,
    group_by: Option<&GroupBy>,
    via: &str,
    alert: &Alert,
) -> u64 {
    let kind: &[u8] = match endpoint {
        Endpoint::Policies => b"policies",
        Endpoint::Named(_) => b"named",
    };
    let body = [kind, endpoint.as_str().as_bytes(), source.as_bytes(), group_key.as_bytes()];
    match group_by {
        None => fnv1a(body),
        Some(GroupBy::Each) => {
            fnv1a(body.into_iter().chain([via.as_bytes(), b"each".as_slice(), &alert.fingerprint.0.to_be_bytes()]))
        }
        Some(GroupBy::Labels(names)) => {
            let values = names.iter().flat_map(|name| [name.as_bytes(), alert.label(name).as_bytes()]);
            fnv1a(body.into_iter().chain([via.as_bytes(), b"labels".as_slice()]).chain(values))
        }
    }
}

#[cfg(test)]
mod tests;
