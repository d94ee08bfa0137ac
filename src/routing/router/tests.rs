#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::model::{Fingerprint, Status};
use crate::routing::{ContactGroup, RawTimeInterval};

const NOON: &str = "2026-11-20T12:00:00Z";

fn policy(name: &str, matchers: &str, bots: &[&str]) -> Policy {
    Policy {
        name: name.to_owned(),
        matchers: Matcher::parse_all(matchers).unwrap(),
        notify: Notify::To { bots: owned(bots), contact_groups: vec![] },
        mention: None,
        group_by: None,
        template: None,
        active_time_intervals: vec![],
        go_on: false,
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn groups(mut p: Policy, names: &[&str]) -> Policy {
    if let Notify::To { contact_groups, .. } = &mut p.notify {
        *contact_groups = owned(names);
    }
    p
}

fn rule(contacts: &[&str]) -> MentionRule {
    MentionRule {
        all: false,
        contacts: owned(contacts),
        contacts_from_label: None,
        min_severity: None,
        interval: Duration::from_secs(300),
    }
}

/// Bots a, b, c (c wants no resolves); contacts ann, bob, li.si, "wang wu"; group dba = bob on b.
fn config(policies: Vec<Policy>) -> Config {
    let contact = |name: &str| (name.to_owned(), Contact { name: name.to_owned(), ..Contact::default() });
    let office = RawTimeInterval { times: vec![("09:00".into(), "17:00".into())], ..Default::default() };
    let morning = RawTimeInterval { times: vec![("06:00".into(), "08:00".into())], ..Default::default() };
    let interval = |raw| TimeInterval::build(&raw, &TimeZone::UTC).unwrap();
    let group = ContactGroup { name: "dba".into(), contacts: owned(&["bob"]), bots: owned(&["b"]) };
    let people = ContactGroup { name: "people".into(), contacts: owned(&["ann"]), bots: vec![] };
    Config {
        policies,
        default_policy: Some(policy("default", "", &["c"])),
        contact_groups: BTreeMap::from([("dba".to_owned(), group), ("people".to_owned(), people)]),
        contacts: ["ann", "bob", "li.si", "wang wu"].into_iter().map(contact).collect(),
        bots: BTreeMap::from([("a".into(), true), ("b".into(), true), ("c".into(), false)]),
        time_intervals: BTreeMap::from([("office".into(), vec![interval(morning), interval(office)])]),
        timezone: TimeZone::UTC,
        severities: Severities::default(),
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn alert(pairs: &[(&str, &str)]) -> Alert {
    let labels = labels(pairs);
    Alert {
        status: Status::Firing,
        fingerprint: Fingerprint::of(&labels),
        labels,
        annotations: Labels::new(),
        starts_at: None,
        ends_at: None,
        generator_url: String::new(),
        silence_url: String::new(),
        dashboard_url: String::new(),
        panel_url: String::new(),
        value_string: String::new(),
    }
}

/// `bot<via+via>` of every target, or the other outcomes' names.
fn shown(routed: &Routed) -> String {
    match routed {
        Routed::To(targets) => {
            let show = |t: &Target| format!("{}<{}>", t.bot, t.via.replace('\n', "+"));
            targets.iter().map(show).collect::<Vec<_>>().join(" ")
        }
        Routed::Dropped { policy } => format!("dropped by {policy}"),
        Routed::Nowhere => "nowhere".to_owned(),
    }
}

fn at(config: Config, pairs: &[(&str, &str)], now: &str) -> String {
    shown(&Router::new(config).route(&Endpoint::Policies, &alert(pairs), now.parse().unwrap()))
}

#[test]
fn the_first_match_wins_and_continue_goes_on() {
    let go_on = |p: Policy| Policy { go_on: true, ..p };
    let db = || policy("db", "team=db", &["a"]);
    let all = || policy("all", "", &["b"]);
    let crit = || policy("crit", "severity=critical", &["a", "b"]);
    let table: Vec<(Vec<Policy>, &str)> = vec![
        (vec![], "c<default>"),
        (vec![policy("web", "team=web", &["a"])], "c<default>"),
        (vec![db(), all()], "a<policy:db>"),
        (vec![all(), db()], "b<policy:all>"),
        (vec![go_on(db()), all()], "a<policy:db> b<policy:all>"),
        // A bot matched twice is told once, by both ways; `continue` on the last match does not reach the default.
        (vec![go_on(db()), go_on(crit())], "a<policy:db+policy:crit> b<policy:crit>"),
        (vec![go_on(db()), policy("web", "team=web", &["c"]), crit()], "a<policy:db+policy:crit> b<policy:crit>"),
    ];
    for (policies, want) in table {
        assert_eq!(at(config(policies), &[("team", "db"), ("severity", "critical")], NOON), want);
    }
}

#[test]
fn notify_none_drops_only_what_nothing_else_tells() {
    let none = |go_on| Policy { notify: Notify::None, go_on, ..policy("quiet", "alertname=Watchdog", &[]) };
    let all = || policy("all", "", &["a"]);
    let dog = &[("alertname", "Watchdog")];
    assert_eq!(at(config(vec![none(false), all()]), dog, NOON), "dropped by quiet");
    assert_eq!(at(config(vec![none(true), all()]), dog, NOON), "a<policy:all>");
    assert_eq!(at(config(vec![none(true)]), dog, NOON), "dropped by quiet");
    assert_eq!(at(config(vec![none(false), all()]), &[], NOON), "a<policy:all>");
    let mut silent = config(vec![]);
    silent.default_policy = Some(Policy { notify: Notify::None, ..policy("default", "", &[]) });
    assert_eq!(at(silent.clone(), dog, NOON), "dropped by default");
    silent.default_policy = None;
    assert_eq!(at(silent, dog, NOON), "nowhere");
}

#[test]
fn outside_its_intervals_a_policy_does_not_match() {
    let day = || Policy { active_time_intervals: owned(&["office"]), ..policy("day", "", &["a"]) };
    let night = || policy("night", "", &["b"]);
    for (now, want) in [("07:00", "a<policy:day>"), ("08:30", "b<policy:night>"), ("16:59", "a<policy:day>")] {
        assert_eq!(at(config(vec![day(), night()]), &[], &format!("2026-11-20T{now}:00Z")), want, "{now}");
    }
    // `notify: none` is bound to its hours as well, and the default policy is what remains.
    let quiet = Policy { notify: Notify::None, ..day() };
    assert_eq!(at(config(vec![quiet.clone()]), &[], NOON), "dropped by day");
    assert_eq!(at(config(vec![quiet]), &[], "2026-11-20T03:00:00Z"), "c<default>");
}

#[test]
fn a_policy_that_reaches_no_bot_loses_nothing() {
    let lost = policy("lost", "", &["gone"]);
    assert_eq!(at(config(vec![lost.clone(), policy("all", "", &["a"])]), &[], NOON), "a<policy:all>");
    assert_eq!(at(config(vec![lost]), &[], NOON), "c<default>");
    assert_eq!(at(config(vec![groups(policy("p", "", &[]), &["people"])]), &[], NOON), "c<default>");
}

#[test]
fn contact_groups_bring_their_bots() {
    let p = groups(policy("p", "", &["a", "b", "a"]), &["dba", "gone"]);
    assert_eq!(at(config(vec![p]), &[], NOON), "a<policy:p> b<policy:p>");
    assert_eq!(at(config(vec![groups(policy("p", "", &[]), &["dba"])]), &[], NOON), "b<policy:p>");
}

#[test]
fn named_endpoints() {
    let router = Router::new(config(vec![policy("all", "", &["a", "b"])]));
    let to = |name: &str| {
        let endpoint = Endpoint::Named(name.to_owned());
        let routed = router.route(&endpoint, &alert(&[]), NOON.parse().unwrap());
        (shown(&routed), router.knows(&endpoint))
    };
    assert_eq!(to("a"), ("a<bot:a>".to_owned(), true));
    assert_eq!(to("dba"), ("b<group:dba>".to_owned(), true));
    // An unknown name, or a group of people without a chat, is not a way to lose alerts.
    assert_eq!(to("oops"), ("c<default>".to_owned(), false));
    assert_eq!(to("people"), ("c<default>".to_owned(), false));
    assert!(router.knows(&Endpoint::Policies));
    let without = Router::new(Config { default_policy: None, ..config(vec![]) });
    let routed = without.route(&Endpoint::Named("oops".into()), &alert(&[]), NOON.parse().unwrap());
    assert_eq!(routed, Routed::Nowhere);
}

#[test]
fn targets_carry_what_their_first_policy_says() {
    let split = Some(GroupBy::Labels(owned(&["cluster"])));
    let first = Policy { group_by: split.clone(), go_on: true, ..policy("first", "", &["a"]) };
    let second =
        Policy { group_by: Some(GroupBy::Each), template: Some("loud".into()), ..policy("second", "", &["a", "c"]) };
    let router = Router::new(config(vec![first, second]));
    let Routed::To(targets) = router.route(&Endpoint::Policies, &alert(&[]), NOON.parse().unwrap()) else { panic!() };
    assert_eq!(targets[0].group_by.as_deref(), split.as_ref());
    assert_eq!(targets[1].group_by.as_deref(), Some(&GroupBy::Each));
    assert!(targets[0].send_resolved && !targets[1].send_resolved);
    assert_eq!(router.template_for(&targets[0].via), Some("loud"));
    assert_eq!(router.template_for("policy:first"), None);
    assert_eq!(router.template_for("policy:removed\npolicy:second"), Some("loud"));
    assert_eq!(router.template_for("default"), None);
}

fn called(router: &Router, bot_rule: &MentionRule, via: &str, alerts: &[(&Labels, u8)]) -> String {
    let calls = router.mentions(bot_rule, via, alerts.iter().copied());
    let people = calls.people.iter().map(|call| format!("{}/{}", call.contact.name, call.interval.as_secs()));
    let all = calls.all.map(|interval| format!("all/{}", interval.as_secs()));
    all.into_iter().chain(people).collect::<Vec<_>>().join(" ")
}

#[test]
fn mentions_follow_the_rule_in_force() {
    let own = MentionRule { all: true, interval: Duration::from_secs(60), ..rule(&["li.si", "ghost"]) };
    let loud = Policy { mention: Some(own), ..policy("loud", "", &["a"]) };
    let router = Router::new(config(vec![
        loud,
        policy("plain", "", &["a"]),
        groups(policy("db", "", &["a"]), &["dba", "people"]),
    ]));
    let none = Labels::new();
    let table = [
        ("policy:plain", "ann/300"),
        ("default", "ann/300"),
        ("bot:a", "ann/300"),
        ("policy:removed", "ann/300"),
        ("", "ann/300"),
        ("policy:loud", "all/60 li.si/60"),
        ("policy:db", "ann/300 bob/300"),
        ("group:dba", "ann/300 bob/300"),
        ("policy:loud\npolicy:plain", "all/60 li.si/60 ann/300"),
    ];
    for (via, want) in table {
        assert_eq!(called(&router, &rule(&["ann"]), via, &[(&none, 0)]), want, "{via:?}");
    }
    assert_eq!(called(&router, &rule(&["ann"]), "policy:plain", &[]), "", "nothing fires");
}

#[test]
fn one_person_by_two_rules_is_called_once_at_the_shorter_interval() {
    let often = MentionRule { interval: Duration::from_secs(60), ..rule(&["bob", "ann", "bob"]) };
    let loud = Policy { mention: Some(often), ..policy("loud", "", &["a"]) };
    let router = Router::new(config(vec![loud, policy("plain", "", &["a"])]));
    let via = "policy:plain\npolicy:loud";
    assert_eq!(called(&router, &rule(&["ann"]), via, &[(&Labels::new(), 0)]), "ann/60 bob/60");
}

#[test]
fn labels_name_contacts_and_are_never_ids() {
    let by_owner = MentionRule { contacts_from_label: Some("owner".into()), ..rule(&[]) };
    let router = Router::new(config(vec![]));
    for (value, want) in [
        ("ann", "ann/300"),
        (" ann ", "ann/300"),
        ("wang wu", "wang wu/300"),
        ("li.si,ann bob", "li.si/300 ann/300 bob/300"),
        ("ann，li.si", "ann/300 li.si/300"),
        ("all", ""),
        ("13800000000", ""),
        ("<@all>", ""),
        ("", ""),
    ] {
        let labels = labels(&[("owner", value)]);
        assert_eq!(called(&router, &by_owner, "", &[(&labels, 4), (&labels, 0)]), want, "{value}");
    }
}

#[test]
fn only_urgent_alerts_call() {
    let urgent =
        MentionRule { all: true, contacts_from_label: Some("owner".into()), min_severity: Some(1), ..rule(&["li.si"]) };
    let router = Router::new(config(vec![groups(policy("db", "", &["a"]), &["dba"])]));
    let (ann, wang) = (labels(&[("owner", "ann")]), labels(&[("owner", "wang wu")]));
    assert_eq!(called(&router, &urgent, "policy:db", &[(&ann, 2), (&wang, 3)]), "");
    // The owner of a mild alert is not called because a colleague's is urgent.
    let both = [(&ann, 2), (&wang, 1)];
    assert_eq!(called(&router, &urgent, "policy:db", &both), "all/300 li.si/300 bob/300 wang wu/300");
}

#[test]
fn explains_every_policy() {
    let router = Router::new(config(vec![
        policy("web", r#"severity="critical",team="web""#, &["a"]),
        Policy { active_time_intervals: owned(&["office"]), ..policy("day", "", &["a"]) },
        policy("lost", "", &["gone"]),
        Policy { template: Some("loud".into()), ..groups(policy("db", "team=~d.", &["a"]), &["dba"]) },
        policy("rest", "", &["c"]),
    ]));
    let labels = labels(&[("team", "db"), ("severity", "page")]);
    let why = router.explain(&labels, "2026-11-20T03:00:00Z".parse().unwrap(), |_| Some(rule(&["ann"])));
    let outcomes: Vec<_> = why.steps.iter().map(|step| (&*step.policy, step.outcome.clone())).collect();
    let refused = Outcome::Refused { matcher: r#"severity="critical""#.into(), value: "page".into() };
    let want = vec![
        ("web", refused),
        ("day", Outcome::Inactive { intervals: owned(&["office"]) }),
        ("lost", Outcome::ReachesNobody),
        ("db", Outcome::Matched { go_on: false }),
        ("rest", Outcome::NotTried),
        ("default", Outcome::NotTried),
    ];
    assert_eq!(outcomes, want);
    assert_eq!(why.severity, "critical");
    assert_eq!(shown(&why.routed), "a<policy:db> b<policy:db>");
    let first = &why.told[0];
    assert_eq!((&*first.target.bot, first.template.as_deref()), ("a", Some("loud")));
    let people: Vec<_> = first.calls.people.iter().map(|call| call.contact.name.as_str()).collect();
    assert_eq!(people, ["ann", "bob"]);

    let other = router.explain(&Labels::from([("team".into(), "x".into())]), NOON.parse().unwrap(), |_| None);
    assert_eq!(shown(&other.routed), "a<policy:day>");
    let bare = Router::new(config(vec![])).explain(&Labels::new(), NOON.parse().unwrap(), |_| None);
    assert_eq!(bare.steps, vec![Step { policy: "default".into(), outcome: Outcome::Matched { go_on: false } }]);
}

#[test]
fn groups_split_a_body_and_never_join_two() {
    let (x, y) = (alert(&[("alertname", "A"), ("cluster", "x")]), alert(&[("alertname", "A"), ("cluster", "y")]));
    let policies = Endpoint::Policies;
    let id = |e: &Endpoint, source: &str, key: &str, by: Option<&GroupBy>, a: &Alert| {
        group_id(e, source, key, by, "policy:p", a)
    };
    let base = id(&policies, "", "k", None, &x);
    assert_eq!(base, id(&policies, "", "k", None, &y));
    let by = GroupBy::Labels(owned(&["alertname", "cluster"]));
    let by_name = GroupBy::Labels(owned(&["alertname"]));
    assert_ne!(id(&policies, "", "k", Some(&by), &x), id(&policies, "", "k", Some(&by), &y));
    assert_eq!(id(&policies, "", "k", Some(&by_name), &x), id(&policies, "", "k", Some(&by_name), &y));
    assert_ne!(id(&policies, "", "k", Some(&GroupBy::Each), &x), id(&policies, "", "k", Some(&GroupBy::Each), &y));
    let all = [
        base,
        id(&policies, "", "k2", None, &x),
        id(&policies, "eu", "k", None, &x),
        id(&Endpoint::Named("k".into()), "", "k", None, &x),
        id(&Endpoint::Named(String::new()), "", "k", None, &x),
        id(&policies, "", "k", Some(&by), &x),
        id(&policies, "", "k2", Some(&by), &x),
        id(&policies, "", "k", Some(&by_name), &x),
        id(&policies, "", "k", Some(&GroupBy::Each), &x),
        group_id(&policies, "", "k", Some(&by), "policy:q", &x),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}

proptest! {
    /// Whatever the policies: an alert is told, or dropped by a policy that says so, and each bot once.
    #[test]
    fn nothing_is_lost_by_configuration(
        specs in proptest::collection::vec((0..4_u8, 0..5_u8, any::<bool>(), any::<bool>()), 0..8),
        team in 0..4_u8,
        hour in 0..24_u8,
    ) {
        let policies: Vec<Policy> = specs.iter().enumerate().map(|(n, (t, reach, go_on, office))| Policy {
            notify: match reach {
                0 => Notify::None,
                1 => Notify::To { bots: owned(&["gone"]), contact_groups: owned(&["people"]) },
                2 => Notify::To { bots: vec![], contact_groups: owned(&["dba"]) },
                3 => Notify::To { bots: owned(&["a"]), contact_groups: vec![] },
                _ => Notify::To { bots: owned(&["b", "a"]), contact_groups: vec![] },
            },
            go_on: *go_on,
            active_time_intervals: if *office { owned(&["office"]) } else { vec![] },
            ..policy(&format!("p{n}"), &format!("team=t{t}"), &[])
        }).collect();
        let router = Router::new(config(policies.clone()));
        let alert = alert(&[("team", &format!("t{team}"))]);
        let now: Timestamp = format!("2026-11-20T{hour:02}:30:00Z").parse().unwrap();
        let routed = router.route(&Endpoint::Policies, &alert, now);
        match &routed {
            Routed::To(targets) => {
                let bots: std::collections::BTreeSet<_> = targets.iter().map(|t| t.bot.clone()).collect();
                prop_assert!(!targets.is_empty() && bots.len() == targets.len());
            }
            Routed::Dropped { policy } => {
                let by = policies.iter().find(|p| *p.name == **policy).unwrap();
                prop_assert_eq!(&by.notify, &Notify::None);
                prop_assert!(by.matchers.iter().all(|m| m.matches(&alert.labels)));
            }
            Routed::Nowhere => prop_assert!(false, "there is a default policy"),
        }
        prop_assert_eq!(router.explain(&alert.labels, now, |_| None).routed, routed);
    }
}
