//! The drills' own test: what is planted must be found, else their passes would say nothing.

use std::slice::from_ref;
use std::time::Duration;

use alarmbell::sandbox::{RequestLine, Stats, WindowStat};

use super::chat::{Chat, Message};
use super::cluster::incident::{Incident, Kind};
use super::cluster::judge::{self as rooms, Tally};
use super::judge;
use super::ledger::{Ledger, token};
use super::parse::{self, State};
use super::report::Section;

/// A chat in which these texts came, a second apart.
fn chat(ledger: &Ledger, texts: &[&str]) -> Chat {
    let at = |n: usize| Duration::from_secs(n as u64);
    let messages = texts.iter().enumerate().map(|(n, text)| {
        let said = parse::read(ledger, text.lines().next().unwrap(), text);
        let tells = said.named.clone();
        Message {
            at: at(n),
            title: String::new(),
            text: (*text).to_owned(),
            said,
            tells,
            listed: 0,
            bytes: (text.len(), 4_096),
        }
    });
    let line = |n: usize| RequestLine {
        seq: n as u64,
        at_ms: 0,
        mono_us: n as u64 * 1_000_000,
        accepted: true,
        duplicate: false,
        step: 0,
        code: 0,
        fault: "",
        bytes: 0,
        hash: String::new(),
    };
    let windows = vec![WindowStat { messages: 2, per_ms: 60_000, max: 0 }];
    Chat {
        messages: messages.collect(),
        refused: Vec::new(),
        raws: Vec::new(),
        older: 0,
        lines: (0..texts.len()).map(line).collect(),
        stats: Stats { windows, ..Stats::default() },
    }
}

/// Whether the judge of this name says no.
fn refuses(judge: impl Fn(&mut Section)) -> bool {
    let mut section = Section::default();
    judge(&mut section);
    section.checks.iter().any(|check| !check.ok)
}

/// Alerts 0 to 2 are critical and named `Kafka`, 3 to 12 are warnings named `Node`; 12 has ended.
fn ledger() -> Ledger {
    let ledger = Ledger::new();
    for n in 0..13 {
        let alert = if n < 3 { ledger.add("Kafka", "critical") } else { ledger.add("Node", "warning") };
        ledger.note(&[(alert, 0)], Some(Duration::ZERO));
    }
    ledger.note(&[(12, 1)], Some(Duration::ZERO));
    ledger
}

pub fn check() -> Section {
    let mut section = Section::new("the drills' own test: what is planted is found");
    let ledger = ledger();
    let begin = ledger.clock(0);
    let digest = format!(
        "🔴 **Alarm digest | 13 alerts | 10:05:00–10:05:30**\nAlert storm since 10:01:00, digest 2: 99 firing, 1 resolved so far\n\
         Critical 3: Kafka 3\n- Kafka {} since {begin}:00\n- Kafka {} since {begin}:00\n- Kafka {} since {begin}:00\n\
         <font color=\"warning\">Warning 9</font>: Node 4\n2 other names: 5 warning\n\
         Resolved warning 1: Node 1\n3 named, 10 counted · [full list](http://x/m/1)\nDispatch: on-call",
        token(0),
        token(1),
        token(2)
    );
    let said = parse::read(&ledger, "", &digest);
    section.none("a digest that adds up", &said.wrong);
    let figures = (said.figures.firing("critical"), said.figures.firing("warning"), said.figures.total());
    section.check("its figures are read", figures == (3, 9, 13), format!("{figures:?}"));
    section.check("and whom it names", said.named == [(0, 0), (1, 0), (2, 0)], format!("{:?}", said.named));
    for (planted, part, other) in [
        ("a head with another number", "13 alerts", "14 alerts"),
        ("a class with another number", "Critical 3", "Critical 4"),
        ("a name with another number", "Node 4", "Node 5"),
        ("another number of named ones", "3 named", "2 named"),
        ("others that are left out", "2 other names: 5 warning\n", ""),
    ] {
        let wrong = parse::read(&ledger, "", &digest.replace(part, other)).wrong.len();
        section.check(planted, wrong > 0, format!("{wrong} complaints"));
    }

    let single = |n: usize, state: &str| format!("Warning Node {}\n{}\n{state}\nDispatch: on-call", token(n), token(n));
    let (fired, ended) = (format!("since {begin}:00, for 1h"), format!("{begin}:00–{begin}:50, lasted 50s"));
    let said = parse::read(&ledger, "", &single(12, &ended));
    section.check("an end is read", said.named == [(12, 1)], format!("{:?}", said.named));
    let said = parse::read(&ledger, "Still firing Warning", &single(5, &format!("still firing, {fired}")));
    let still = said.figures.totals.keys().all(|(state, _)| *state == State::Still);
    section.check("a reminder is no news", still && said.reminders == [5], format!("{:?}", said.reminders));
    let said = parse::read(&ledger, "", &format!("{}\n12 more: 2 critical, 9 warning", single(5, &fired)));
    section.check("a sum that is wrong", !said.wrong.is_empty(), format!("{:?}", said.wrong));

    let text = format!("2 new, 11 still firing  \n{}\n1 more: 1 warning", single(5, &fired));
    let said = parse::read(&ledger, "", &text);
    let holds = [1, 2, 13, 14].map(|listed| said.holds(listed));
    section.check("what fires beside news", holds == [false, true, true, false], format!("{} beside", said.beside));
    let said = parse::read(&ledger, "", &format!("Resolved 1, still 4 (3 new) Warning\n{}", single(12, &ended)));
    section.check("what fires beside ends", said.beside == 1, said.beside);

    let texts = [single(12, &ended), single(12, &fired), single(12, &fired)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let wrong = chat(&ledger, &texts);
    section.check("an older state after a newer one", wrong.disorder().len() == 2, format!("{:?}", wrong.disorder()));
    section.check("a message that repeats another", wrong.repeats().len() == 1, wrong.repeats().len());
    section.check("a window over its limit", refuses(|to| judge::limits(to, "", &wrong)), "3 of 2");
    section.check("alerts that were not told", refuses(|to| judge::losses(to, "", &wrong, &ledger)), "12 of 13");
    section.check("sums that are not what was posted", refuses(|to| judge::sums(to, "", &wrong, &ledger)), "3 of 14");
    let (criticals, _, missing) = judge::criticals(&wrong, &ledger);
    section.check("critical alerts that were not told", (criticals, missing.len()) == (3, 3), missing.len());
    // Messages 0 to 2 come at 0, 1 and 2 s; the last two tell the same, which is older than what the first told.
    let incident = |kind, from, to| {
        let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
        Incident { kind, from, to, how: String::new(), wrong: Vec::new() }
    };
    let (stop, kill) = (incident(Kind::Stop, 0, 2_000), incident(Kind::KillSame, 1_100, 1_200));
    let early = incident(Kind::CutAll, 5_000, 6_000);
    for (name, incidents, planted) in [
        ("late messages without a stop", &[kill.clone()][..], true),
        ("two late messages for a stop", from_ref(&stop), true),
        ("a late message for each of two stops", &[stop.clone(), stop.clone()], false),
    ] {
        let refused = refuses(|to| rooms::disorder(to, "", &wrong, incidents, &mut Tally::default()));
        section.check(name, refused == planted, refused);
    }
    let texts = [single(5, &fired), single(5, &fired), single(5, &fired)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let again = chat(&ledger, &texts);
    for (name, incidents, robots, planted) in [
        ("a duplicate without an incident", &[early.clone(), kill.clone()][..], 1, true),
        ("two duplicates for a kill", from_ref(&kill), 1, true),
        ("a duplicate for each of two robots", from_ref(&kill), 2, false),
        ("a duplicate for each of two kills", &[kill.clone(), kill.clone()], 1, false),
    ] {
        let refused = refuses(|to| rooms::duplicates(to, "", robots, &again, incidents, &mut Tally::default()));
        section.check(name, refused == planted, refused);
    }
    let right = chat(&ledger, &[&digest]);
    section.check("sums that are right", !refuses(|to| judge::sums(to, "", &right, &ledger)), "13");
    section
}
