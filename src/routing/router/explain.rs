//! Why an alert goes where it goes, for `alarmbell routes test`.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Calls, Check, DEFAULT, Routed, Router, Target};
use crate::model::Labels;
use crate::routing::MentionRule;

/// What one policy said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It matched.
    Matched {
        /// Whether later policies were tried all the same (`continue: true`).
        go_on: bool,
    },
    /// One of its matchers did not match.
    Refused {
        /// The matcher in its canonical form.
        matcher: String,
        /// The label's value; empty for a missing label.
        value: String,
    },
    /// Its matchers match, but it is not active now.
    Inactive {
        /// Names of its time intervals.
        intervals: Vec<String>,
    },
    /// Its matchers match, but none of the names it notifies leads to a bot.
    ReachesNobody,
    /// It was not needed.
    NotTried,
}

/// One policy on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The policy's name; `default` for the default policy.
    pub policy: Arc<str>,
    /// What it said.
    pub outcome: Outcome,
}

/// One bot that would be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The bot and what led there.
    pub target: Target,
    /// The policy's template set; `None`: the bot's.
    pub template: Option<String>,
    /// Whom the message would call if nobody had been called lately.
    pub calls: Calls,
}

/// The way of one firing alert through the policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Name of the alert's severity level.
    pub severity: String,
    /// Every policy in order, and the default policy last.
    pub steps: Vec<Step>,
    /// What becomes of it.
    pub routed: Routed,
    /// The bots of [`Routed::To`], with what their messages would be like.
    pub told: Vec<Told>,
}

impl Router {
    /// Explains how a firing alert with these labels is routed at `now`. `rule_of` gives a bot's own mention rule.
    pub fn explain(
        &self,
        labels: &Labels,
        now: Timestamp,
        rule_of: impl Fn(&str) -> Option<MentionRule>,
    ) -> Explanation {
        let mut steps = Vec::new();
        let routed = self.through_policies(labels, now, |rule, check| {
            let outcome = match check {
                Check::Matched => Outcome::Matched { go_on: rule.go_on },
                Check::Refused(matcher) => Outcome::Refused {
                    matcher: matcher.to_string(),
                    value: labels.get(&matcher.name).cloned().unwrap_or_default(),
                },
                Check::ReachesNobody => Outcome::ReachesNobody,
                Check::Inactive(named) => {
                    Outcome::Inactive { intervals: named.iter().map(|(name, _)| name.clone()).collect() }
                }
            };
            steps.push(Step { policy: Arc::clone(&rule.name), outcome });
        });
        let matched = steps.iter().any(|step| matches!(step.outcome, Outcome::Matched { .. }));
        let rest = self.rules.iter().skip(steps.len());
        steps.extend(rest.map(|rule| Step { policy: Arc::clone(&rule.name), outcome: Outcome::NotTried }));
        if self.default.is_some() {
            let outcome = if matched { Outcome::NotTried } else { Outcome::Matched { go_on: false } };
            steps.push(Step { policy: DEFAULT.into(), outcome });
        }
        let rank = self.severities.rank(labels.get(&self.severities.label).map_or("", String::as_str));
        let told = match &routed {
            Routed::To(targets) => targets.iter().map(|target| self.told(target, labels, rank, &rule_of)).collect(),
            Routed::Dropped { .. } | Routed::Nowhere => Vec::new(),
        };
        Explanation { severity: self.severities.name(rank).to_owned(), steps, routed, told }
    }

    fn told(&self, target: &Target, labels: &Labels, rank: u8, rule_of: impl Fn(&str) -> Option<MentionRule>) -> Told {
        let calls = rule_of(&target.bot).map(|rule| self.mentions(&rule, &target.via, [(labels, rank)]));
        Told {
            target: target.clone(),
            template: self.template_for(&target.via).map(str::to_owned),
            calls: calls.unwrap_or_default(),
        }
    }
}
