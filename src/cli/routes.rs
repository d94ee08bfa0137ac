//! `routes test`: where an alert would go, and why.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::args::RoutesTest;
use super::{Failure, load, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};
use crate::dispatch::BotConfig;
use crate::model::{Labels, via_names};
use crate::routing::{Calls, GroupBy, Outcome, Routed, Router, Told};

pub(super) fn test(args: &RoutesTest) -> Result<(), Failure> {
    let mut labels = Labels::new();
    for (name, value) in &args.labels {
        if labels.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("the label {name} is given twice")));
        }
    }
    let config = load(&args.config_file)?;
    let at = args.at.unwrap_or_else(|| SystemClock::new().now());
    say(&explain(&config, &labels, at))
}

fn explain(config: &Config, labels: &Labels, at: Timestamp) -> String {
    let bot = |name: &str| config.bots.iter().find(|bot| *bot.name == *name);
    let router = Router::new(config.routing.clone());
    let way = router.explain(labels, at, |name| bot(name).map(|bot| bot.mention.clone()));
    let mut text = String::new();
    let shown: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    // Writing to a String can not fail.
    let _ = writeln!(text, "labels    {}", if shown.is_empty() { "none".to_owned() } else { shown.join(" ") });
    let _ = writeln!(text, "severity  {}", way.severity);
    let local = at.to_zoned(config.global.timezone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z");
    let _ = writeln!(text, "time      {local}\n\npolicies");
    let wide = way.steps.iter().map(|step| step.policy.chars().count()).max().unwrap_or(0).min(40);
    for step in &way.steps {
        let _ = writeln!(text, "  {:wide$}  {}", step.policy, outcome(&step.outcome, labels));
    }
    text.push('\n');
    match &way.routed {
        Routed::To(_) => {
            text.push_str("told\n");
            for told in &way.told {
                told_text(&mut text, told, bot(&told.target.bot));
            }
        }
        Routed::Dropped { policy } => {
            let _ = writeln!(text, "dropped on purpose by {policy} (notify: none); nobody is told");
        }
        Routed::Nowhere => text.push_str(
            "nowhere: no policy matched and there is no default_policy; a webhook with such an alert is refused\n",
        ),
    }
    text
}

fn outcome(outcome: &Outcome, labels: &Labels) -> String {
    match outcome {
        Outcome::Matched { go_on: false } => "matched".to_owned(),
        Outcome::Matched { go_on: true } => "matched, and goes on (continue: true)".to_owned(),
        Outcome::Refused { matcher, value } => {
            let has_none = value.is_empty() && !labels.values().any(String::is_empty);
            let have = if has_none { "the alert has no such label".to_owned() } else { format!("it is {value:?}") };
            format!("no: {matcher} does not hold, {have}")
        }
        Outcome::Inactive { intervals } => format!("no: outside of {}", intervals.join(", ")),
        Outcome::ReachesNobody => "no: it reaches no bot".to_owned(),
        Outcome::NotTried => "not needed".to_owned(),
    }
}

fn told_text(text: &mut String, told: &Told, bot: Option<&BotConfig>) {
    let names: Vec<&str> = via_names(&told.target.via).map(|name| name.trim_start_matches("policy:")).collect();
    let kind = bot.map_or("", |bot| bot.kind.as_str());
    let template = told.template.as_deref().or(bot.map(|bot| bot.template.as_str())).unwrap_or("default");
    let _ = writeln!(text, "  {} ({kind})", told.target.bot);
    let _ = writeln!(text, "    by        {}", names.join(", "));
    let _ = writeln!(text, "    group_by  {}", group_by(told.target.group_by.as_deref()));
    let _ = writeln!(text, "    mentions  {}", mentions(&told.calls));
    let _ = writeln!(text, "    template  {template}");
    if !told.target.send_resolved {
        text.push_str("    resolved  not told (send_resolved: false)\n");
    }
}

fn group_by(group_by: Option<&GroupBy>) -> String {
    match group_by {
        None => "Alertmanager's own group".to_owned(),
        Some(GroupBy::Each) => "every alert alone".to_owned(),
        Some(GroupBy::Labels(names)) => names.join(", "),
    }
}

fn mentions(calls: &Calls) -> String {
    let all = calls.all.map(|interval| ("everybody", interval));
    let people = calls.people.iter().map(|call| (call.contact.name.as_str(), call.interval));
    let said = all.into_iter().chain(people).map(|(who, interval)| {
        if interval.is_zero() {
            return who.to_owned();
        }
        format!("{who} (at most every {})", config::show_duration(interval))
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { "nobody".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{Folder, SECRETS};

    fn explained(pairs: &[(&str, &str)], at: &str) -> String {
        let folder = Folder::new();
        let config = load(&folder.config_file()).unwrap();
        let labels = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let text = explain(&config, &labels, at.parse().unwrap());
        assert!(SECRETS.iter().all(|secret| !text.contains(secret)), "{text}");
        text
    }

    // A Friday, and the Saturday after.
    const WORK: &str = "2026-11-20T10:00:00+08:00";
    const WEEKEND: &str = "2026-11-21T10:00:00+08:00";

    #[test]
    fn says_who_is_told_and_how() {
        let text = explained(&[("severity", "page"), ("team", "db")], WORK);
        assert_eq!(
            text,
            r#"labels    severity="page" team="db"
severity  critical
time      2026-11-20 10:00:00 +08:00

policies
  audit    matched, and goes on (continue: true)
  dba      matched
  test     not needed
  default  not needed

told
  second (wecom)
    by        audit, dba
    group_by  every alert alone
    mentions  zhang.san (at most every 10m)
    template  default
    resolved  not told (send_resolved: false)
  first (dingtalk)
    by        dba
    group_by  alertname, cluster
    mentions  zhang.san (at most every 10m)
    template  default
"#
        );
    }

    #[test]
    fn says_why_not() {
        let text = explained(&[("severity", "warning"), ("env", "test")], WORK);
        assert!(text.contains("audit    no: severity=~\"page|critical\" does not hold, it is \"warning\""), "{text}");
        assert!(
            text.contains("dba      no: team=~\"db|storage\" does not hold, the alert has no such label"),
            "{text}"
        );
        assert!(text.ends_with("\ndropped on purpose by test (notify: none); nobody is told\n"), "{text}");
        let text = explained(&[("team", "db")], WEEKEND);
        assert!(text.contains("dba      no: outside of working-hours"), "{text}");
        assert!(text.contains("default  matched"), "{text}");
        assert!(
            text.contains("  third (feishu)\n    by        default\n    group_by  Alertmanager's own group"),
            "{text}"
        );
    }

    #[test]
    fn nowhere_without_a_default() {
        let folder = Folder::new();
        let text = folder.config().replace("default_policy: {notify: {bots: [third]}}\n", "");
        let config = load(&folder.write("other.yml", &text)).unwrap();
        assert!(explain(&config, &Labels::new(), WORK.parse().unwrap()).contains("labels    none\n"));
        assert!(explain(&config, &Labels::new(), WORK.parse().unwrap()).contains("\nnowhere: "));
    }

    #[test]
    fn a_label_twice_is_a_mistake() {
        let label = |value: &str| ("team".to_owned(), value.to_owned());
        let args = RoutesTest { config_file: "x".into(), at: None, labels: vec![label("a"), label("b")] };
        assert_eq!(test(&args).unwrap_err().code, 2);
    }
}
