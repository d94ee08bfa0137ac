//! From raw values without mistakes to the rooms' own configs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::channel;
use crate::dispatch::{BotConfig, RateLimit, RobotConfig};
use crate::model::Layout;
use crate::routing::{self, ContactGroup, Notify, Policy};

use super::bots::{RawBot, RawMention};
use super::global::{RawGlobal, zone_of};
use super::policies::{RawNotify, RawPolicy};
use super::report::At;
use super::{Config, Global, Raw, Watched};

pub(super) fn compile(raw: Raw, hash: String, watched: Watched) -> Config {
    let Raw { global, templates, bots, contacts, groups, policies, default_policy, intervals, .. } = raw;
    let routing = routing::Config {
        policies: policies.into_iter().map(policy).collect(),
        default_policy: default_policy.map(policy),
        contact_groups: groups
            .into_iter()
            .map(|group| {
                let name = group.name.value;
                let compiled =
                    ContactGroup { name: name.clone(), contacts: plain(group.contacts), bots: plain(group.bots) };
                (name, compiled)
            })
            .collect(),
        contacts: contacts.into_iter().map(|contact| (contact.name.value, contact.contact)).collect(),
        bots: bots.iter().map(|bot| (bot.label().to_owned(), bot.send_resolved)).collect(),
        time_intervals: intervals
            .into_iter()
            .map(|interval| (interval.name.value, interval.intervals))
            .collect::<BTreeMap<_, _>>(),
        timezone: global.timezone.clone(),
        severities: global.severities.clone(),
    };
    let mut bots: Vec<BotConfig> = bots.into_iter().filter_map(|raw| bot(raw, &global)).collect();
    strictest_limits(&mut bots);
    let template_files = templates.files;
    Config { global: compile_global(global), routing, bots, template_files, hash, watched }
}

fn compile_global(raw: RawGlobal) -> Global {
    Global {
        timezone: raw.timezone,
        language: raw.language,
        dedup_window: raw.dedup_window,
        body_limit: raw.body_limit,
        bodies_in_flight: raw.bodies_in_flight,
        connections: usize::try_from(raw.connections).unwrap_or(usize::MAX),
        backlog_alerts: raw.backlog_alerts,
        backlog_bytes: raw.backlog_bytes,
        link_rewrites: raw.link_rewrites.into(),
        report_bot: raw.report_bot.map(|name| name.value),
        digest: raw.digest,
    }
}

/// `None` never happens: a bot without name or type is a mistake.
fn bot(raw: RawBot, global: &RawGlobal) -> Option<BotConfig> {
    let kind = raw.kind?;
    Some(BotConfig {
        name: raw.shared_name(),
        kind,
        layout: raw.layout.map(|layout| layout.value).or_else(|| Layout::of(kind).first().copied())?,
        lang: raw.lang,
        timezone: if global.timezone_given { global.timezone.clone() } else { zone_of(Some(raw.lang)) },
        robots: raw.robots.into_iter().map(|robot| robot.value).collect(),
        keywords: raw.keywords,
        keyword_mode: raw.keyword_mode,
        template: raw.template.map_or_else(|| "default".to_owned(), |name| name.value),
        rate_limits: raw.rate_limits,
        mention: raw.mention.unwrap_or_else(RawMention::none).rule(),
        send_resolved: raw.send_resolved,
        fallback: raw.fallback.map(|name| Arc::from(name.value)),
        fallback_after: raw.fallback_after,
        http: raw.http.unwrap_or_else(|| global.http.clone()),
    })
}

/// Bots with one URL share its robot, which counts the messages of all of them: of each window the strictest limit holds.
fn strictest_limits(bots: &mut [BotConfig]) {
    let id = |bot: &BotConfig, robot: &RobotConfig| channel::robot_id(bot.kind, robot.url.expose());
    let mut strictest: HashMap<String, BTreeMap<Duration, u32>> = HashMap::new();
    for bot in &*bots {
        for robot in &bot.robots {
            let windows = strictest.entry(id(bot, robot)).or_default();
            for limit in &bot.rate_limits {
                windows.entry(limit.per).and_modify(|most| *most = limit.messages.min(*most)).or_insert(limit.messages);
            }
        }
    }
    for bot in bots {
        let limits = bot.robots.iter().map(|robot| {
            let windows = strictest.get(&id(bot, robot)).into_iter().flatten();
            windows.map(|(per, messages)| RateLimit { messages: *messages, per: *per }).collect()
        });
        let limits: Vec<Vec<RateLimit>> = limits.collect();
        for (robot, limits) in bot.robots.iter_mut().zip(limits) {
            robot.rate_limits = limits;
        }
    }
}

fn policy(raw: RawPolicy) -> Policy {
    Policy {
        name: raw.name.value,
        matchers: raw.matchers,
        notify: match raw.notify {
            RawNotify::To { bots, groups } => Notify::To { bots: plain(bots), contact_groups: plain(groups) },
            // An unread one never gets here: it is a mistake.
            RawNotify::None | RawNotify::Unread => Notify::None,
        },
        mention: raw.mention.map(RawMention::rule),
        group_by: raw.group_by,
        template: raw.template.map(|name| name.value),
        active_time_intervals: plain(raw.intervals),
        go_on: raw.go_on,
    }
}

fn plain(names: Vec<At<String>>) -> Vec<String> {
    names.into_iter().map(|name| name.value).collect()
}
