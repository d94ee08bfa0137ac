//! Digests as people see them, at their largest and at their smallest.

use super::*;
use crate::model::StormState;

pub(super) const LIST: &str = "https://bell.example/m/0123456789abcdef0123456789abcdef";

/// An alert by name and host that began so many seconds before [`NOW`].
pub(super) fn told(name: &str, severity: &str, host: &str, age: i64, change: Change) -> SceneAlert {
    let levels = Severities::default();
    let rank = levels.rank(severity);
    let resolved = matches!(change, Change::Resolved | Change::FiredResolved);
    let mut alert = lag(host, resolved);
    alert.labels.extend(labels(&[("alertname", name), ("severity", severity)]));
    if host.is_empty() {
        alert.labels.retain(|name, _| matches!(name.as_str(), "alertname" | "severity" | "cluster"));
    }
    alert.fingerprint = crate::model::Fingerprint::of(&alert.labels);
    alert.starts_at = Some(at(NOW) - jiff::SignedDuration::from_secs(age));
    alert.ends_at = resolved.then(|| at(NOW));
    SceneAlert { alert: Arc::new(alert), change, rank, severity: levels.name(rank).to_owned(), flaps: 0 }
}

/// A digest of all these; the first hundred, most urgent first, may be named.
pub(super) fn digest(mut alerts: Vec<SceneAlert>, lang: Lang) -> DigestScene {
    let mut tally = Tally::default();
    for alert in &alerts {
        tally.add(alert);
    }
    alerts.sort_by_key(|alert| (!facts::fires(alert), alert.change == Change::Unchanged, alert.rank));
    alerts.truncate(100);
    DigestScene {
        bot: "ops".to_owned(),
        lang,
        tz: TimeZone::get(if lang == Lang::Zh { "Asia/Shanghai" } else { "UTC" }).unwrap(),
        now: at(NOW),
        tally,
        leading: alerts,
        since_ms: at(NOW).as_millisecond() - 30_000,
        storm: None,
        policies: vec!["policy:dba".to_owned()],
        mentions: Mentions::default(),
        template: "default".to_owned(),
        keywords: vec!["Alarm".to_owned(), "Dispatch".to_owned()],
        keyword_mode: KeywordMode::All,
        list_url: LIST.to_owned(),
        link_rewrites: Arc::from([]),
        form: Form::Full,
    }
}

fn many(n: usize, name: &str, severity: &str, change: Change) -> impl Iterator<Item = SceneAlert> {
    (0..n).map(move |at| told(name, severity, &format!("node-{at}:9100"), 20, change))
}

/// 3 critical, 412 warning of 2 names, 57 resolved.
fn drawn(lang: Lang) -> DigestScene {
    let mut alerts = vec![
        told("MySQL主从延迟", "critical", "db-03:3306", 180, Change::New),
        told("KafkaDown", "critical", "k-1", 25, Change::New),
        told("EtcdNoLeader", "critical", "", 5, Change::New),
    ];
    alerts.extend(many(380, "NodeDown", "warning", Change::New).chain(many(
        32,
        "PodCrashLoop",
        "warning",
        Change::New,
    )));
    alerts.extend(many(57, "NodeDown", "warning", Change::Resolved));
    digest(alerts, lang)
}

/// `n` names of 80 characters, each once.
fn names(n: usize, lang: Lang) -> DigestScene {
    let name = |at: usize| format!("{at:05}{}", "磁盘".repeat(37) + "x");
    let alerts = (0..n).map(|at| told(&name(at), "warning", &format!("node-{at}"), 20, Change::New));
    let urgent = [told("KafkaDown", "critical", "k-1", 25, Change::New)];
    digest(urgent.into_iter().chain(alerts).collect(), lang)
}

fn cases(lang: Lang) -> Vec<(&'static str, DigestScene)> {
    let mut first = drawn(lang);
    first.mentions.people = vec![messages::called()];
    let mut third = drawn(lang);
    third.storm = Some(StormState {
        since_ms: at(NOW).as_millisecond() - 95_000,
        digests: 3,
        firing: 3_120,
        resolved: 157,
        ..StormState::default()
    });
    third.policies.push("fallback:ops-wecom".to_owned());
    let resolved = many(3, "NodeDown", "critical", Change::Resolved)
        .chain(many(55, "NodeDown", "warning", Change::FiredResolved))
        .chain(many(2, "DiskFull", "warning", Change::Resolved));
    let reminders =
        many(2, "NodeDown", "critical", Change::Unchanged).chain(many(40, "DiskFull", "warning", Change::Unchanged));
    let mut plain = drawn(lang);
    plain.form = Form::Plain;
    let mut counts = third.clone();
    counts.form = Form::Counts;
    let mixed = (0..30).map(|at| told(&format!("Job{at:02}Failed"), "info", "batch-1", 20, Change::New));
    let mixed = mixed.chain((0..14).map(|at| told("DiskFull", "error", &format!("node-{at}:9100"), 20, Change::New)));
    vec![
        ("as drawn", first),
        ("third of its storm, on behalf of another", third),
        ("thirty names, an error level that is named whole", digest(mixed.collect(), lang)),
        ("resolved only", digest(resolved.collect(), lang)),
        ("reminders only", digest(reminders.collect(), lang)),
        ("one critical", digest(vec![told("KafkaDown", "critical", "k-1", 25, Change::New)], lang)),
        ("plain", plain),
        ("counts", counts),
    ]
}

/// Every type of message of every vendor, in both languages, a file for each.
#[test]
fn every_vendor_type_and_language() {
    let templates = Templates::default();
    for kind in BotKind::ALL {
        for layout in Layout::of(kind) {
            for lang in [Lang::Zh, Lang::En] {
                let dialect = crate::channel::dialect(kind, *layout, true);
                let mut out = String::new();
                for (name, scene) in cases(lang) {
                    let rendered = render_digest(&templates, &*dialect, &scene);
                    assert!(rendered.failure.is_none(), "{name}: {:?}", rendered.failure);
                    out.push_str(&format!("===== {name}\n{}\n", show(&rendered)));
                }
                insta::assert_snapshot!(format!("{}_{}_{}", kind.as_str(), layout.as_str(), lang.as_str()), out);
            }
        }
    }
}

/// Long lines cut.
fn short(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| marks::cut(line, 120)).collect();
    lines.join("\n")
}

#[test]
fn ten_thousand_long_names() {
    let templates = Templates::default();
    let mut out = String::new();
    for kind in BotKind::ALL {
        let scene = names(10_000, if kind == BotKind::WeCom { Lang::Zh } else { Lang::En });
        let dialect = Fake::new(kind);
        let rendered = render_digest(&templates, &dialect, &scene);
        let (size, limit) = (dialect.size(&rendered.draft), dialect.limit(&rendered.draft));
        assert!(size <= limit && size > limit / 2, "{size} of {limit}");
        assert!(show(&rendered).contains(LIST));
        assert_eq!(rendered.how.iter().filter(|how| **how == How::Named).count(), 1);
        out.push_str(&format!("===== {}\n{}\n", kind.as_str(), short(&show(&rendered))));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn critical_alerts_win_over_long_lists_of_names() {
    let templates = Templates::default();
    let dialect = Fake::new(BotKind::WeCom);
    let critical = |n: usize| (0..n).map(|at| told("KafkaDown", "critical", &format!("kafka-{at}"), 25, Change::New));
    let named = |n: usize| {
        let mut scene = names(500, Lang::Zh);
        let alerts: Vec<SceneAlert> = critical(n).collect();
        for alert in &alerts {
            scene.tally.add(alert);
        }
        scene.leading.splice(1..1, alerts);
        let rendered = render_digest(&templates, &dialect, &scene);
        assert!(finish::fits(&dialect, &rendered.draft));
        let shown = rendered.draft.body.matches(">KafkaDown").count();
        assert_eq!(shown, rendered.how.iter().filter(|how| **how == How::Named).count());
        assert!(rendered.draft.body.contains(&format!("点名 {shown}，计数 {}", 501 + n - shown)));
        shown
    };
    assert_eq!(named(9), 10);
    assert_eq!(named(60), 30);
}

#[test]
fn what_is_named() {
    let counted = |alerts: Vec<SceneAlert>| {
        let scene = digest(alerts, Lang::En);
        let how = render_digest(&Templates::default(), &Fake::new(BotKind::DingTalk), &scene).how;
        (how.iter().filter(|how| **how == How::Named).count(), how.len())
    };
    // A class that is named whole, and nothing of the next that can not be.
    let few = || many(9, "A", "error", Change::New);
    assert_eq!(counted(few().collect()), (9, 9));
    assert_eq!(counted(few().chain(many(11, "B", "warning", Change::New)).collect()), (20, 20));
    assert_eq!(counted(few().chain(many(12, "B", "warning", Change::New)).collect()), (9, 21));
    // Alone, a large one is named in part.
    assert_eq!(counted(many(50, "B", "warning", Change::New).collect()), (10, 50));
    // Not so behind critical ones, of which more are named.
    let urgent = |n| many(n, "C", "critical", Change::New);
    assert_eq!(counted(urgent(1).chain(many(50, "B", "warning", Change::New)).collect()), (1, 51));
    assert_eq!(counted(urgent(25).chain(few()).collect()), (25, 34));
    assert_eq!(counted(urgent(70).collect()), (30, 70));
    assert_eq!(counted(urgent(2).chain(many(3, "C", "critical", Change::Resolved)).collect()), (5, 5));
}

#[test]
fn levels_without_end_are_summed_up() {
    let mut alerts: Vec<SceneAlert> = Vec::new();
    for rank in 0..40_u8 {
        for change in [Change::New, Change::Resolved, Change::Unchanged] {
            let mut one = told(&format!("N{rank}"), "critical", "x", 5, change);
            (one.rank, one.severity) = (rank, format!("level-{rank}-{}", "y".repeat(60)));
            alerts.push(one);
        }
    }
    let dialect = Fake::new(BotKind::WeCom);
    for form in [Form::Full, Form::Plain, Form::Counts] {
        let mut scene = digest(alerts.clone(), Lang::En);
        scene.form = form;
        let rendered = render_digest(&Templates::default(), &dialect, &scene);
        assert!(finish::fits(&dialect, &rendered.draft), "{:?}", rendered.draft);
        let body = rendered.draft.body.replace("</font>", "");
        assert!(body.contains("Other levels 34") && body.contains("Still firing other levels 34"), "{body}");
        assert!(rendered.draft.title.ends_with(", 40 resolved, 40 still firing"), "{}", rendered.draft.title);
        assert!(rendered.draft.title.contains(" others, "), "{}", rendered.draft.title);
    }
}

#[test]
fn a_name_in_two_levels_is_one_name() {
    let mut alerts: Vec<SceneAlert> = Vec::new();
    for at in 0..600 {
        alerts.push(told(&format!("N{at}"), "error", "x", 5, Change::New));
        alerts.push(told(&format!("N{at}"), "warning", "x", 5, Change::New));
    }
    let scene = digest(alerts, Lang::En);
    let rendered = render_digest(&Templates::default(), &Fake { kind: BotKind::DingTalk, limit: 90_000 }, &scene);
    assert!(rendered.draft.body.contains("\n300 other names: 300 error, 300 warning\n"), "{}", rendered.draft.body);
}

#[test]
fn a_storm_is_told_when_there_was_more_of_it() {
    let line = |digests: u32, firing: u64, resolved: u64| {
        let mut scene = digest(many(9, "A", "warning", Change::New).collect(), Lang::En);
        let since_ms = at(NOW).as_millisecond() - 60_000;
        scene.storm = Some(StormState { since_ms, digests, firing, resolved, ..StormState::default() });
        let body = render_digest(&Templates::default(), &Fake::new(BotKind::DingTalk), &scene).draft.body;
        body.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!(line(1, 9, 0), "**Warning 9**: A 9");
    // Critical alerts that left alone before the first digest count too.
    assert_eq!(line(1, 11, 0), "Alert storm since 02:03:02, digest 1: 11 firing, 0 resolved so far");
    assert_eq!(line(2, 9, 0), "Alert storm since 02:03:02, digest 2: 9 firing, 0 resolved so far");
}

#[test]
fn numbers_only_hold_nothing_that_a_sender_wrote() {
    let mut scene = drawn(Lang::En);
    scene.form = Form::Counts;
    let rendered = render_digest(&Templates::default(), &Fake::new(BotKind::DingTalk), &scene);
    let text = format!("{}\n{}", rendered.draft.title, rendered.draft.body);
    for word in ["MySQL", "Kafka", "NodeDown", "db-", "node-", "prod"] {
        assert!(!text.contains(word), "{text}");
    }
    assert!(text.contains("\nWarning 412\n") && text.contains("\nResolved warning 57\n"), "{text}");
    assert!(rendered.draft.plain && rendered.how.iter().all(|how| *how == How::Counted));
}

#[test]
fn single_messages_say_for_whom_they_speak() {
    for form in [Form::Full, Form::Plain, Form::Counts] {
        let mut scene = scene(group(vec![lag("db-03:3306", false)]), Lang::Zh);
        scene.policies.extend(["fallback:ops-wecom".to_owned(), "fallback:a\n<@all>".to_owned()]);
        scene.form = form;
        let rendered = render(&Templates::default(), &Fake::new(BotKind::WeCom), &scene);
        let body = rendered.draft.body;
        let expected = if form == Form::Full {
            "\n代 a \\<@all\\>、ops-wecom 发送\n"
        } else {
            "\n代 a <@all>、ops-wecom 发送\n"
        };
        assert!(body.contains(expected), "{body}");
    }
    let (templates, _) =
        Templates::new(&[("wecom.x.body.hbs", "[{{join policies \"+\"}}]"), ("wecom.x.title.hbs", "t")]);
    let mut scene = scene(group(vec![lag("db-03:3306", false)]), Lang::En);
    scene.policies = vec!["fallback:b".to_owned(), "policy:a".to_owned()];
    scene.template = "x".to_owned();
    let body = render(&templates, &Fake::new(BotKind::WeCom), &scene).draft.body;
    assert!(body.starts_with("[policy:a]"), "{body}");
}

fn custom(source: &str) -> Templates {
    let (templates, mistakes) = Templates::new(&[("wecom.x.digest.hbs", source)]);
    assert!(mistakes.iter().all(|mistake| mistake.hint.starts_with("this fails")), "{mistakes:?}");
    templates
}

#[test]
fn a_custom_digest_names_what_it_shows() {
    let mut scene = digest(many(5, "NodeDown", "warning", Change::New).collect(), Lang::En);
    scene.template = "x".to_owned();
    scene.mentions.people = vec![person("bo")];
    let dialect = Fake::new(BotKind::WeCom);
    let shown = |source: &str| render_digest(&custom(source), &dialect, &scene);
    let counted = shown("{{#each classes}}{{line}}{{/each}}");
    assert_eq!(counted.how, [How::Counted; 5]);
    assert_eq!(counted.draft.title, "Digest: 5 warning");
    // What must be there and is not in the template comes last.
    let end = "Warning 5: NodeDown 5\n[full list](https://bell.example/m/0123456789abcdef0123456789abcdef)\n<@bo>\nAlarm Dispatch";
    assert_eq!(counted.draft.body, end);
    let two = shown("{{#each alerts}}{{#if (lt index 2)}}{{name}} {{labels.instance}} {{/if}}{{/each}}");
    assert_eq!(two.how, [How::Named, How::Named, How::Counted, How::Counted, How::Counted]);
    assert_eq!(shown("{{#each alerts}}{{line}}\n{{/each}}").how, [How::Named; 5]);
    assert!(shown("{{#each alerts}}{{line}}\n{{/each}}").failure.is_none());
}

#[test]
fn a_digest_template_that_fails_loses_nothing() {
    let mut scene = drawn(Lang::En);
    scene.template = "x".to_owned();
    let dialect = Fake::new(BotKind::WeCom);
    let failed = render_digest(&custom("{{time \"nonsense\"}}"), &dialect, &scene);
    let failure = failed.failure.unwrap();
    assert_eq!(failure.template, "wecom.x.digest");
    assert_eq!(failure.error, "line 1, column 1: time: this is not an RFC 3339 time");
    assert!(failed.draft.plain && failed.draft.body.contains("Warning 412: NodeDown 380, PodCrashLoop 32"));
    assert_eq!(failed.how.iter().filter(|how| **how == How::Named).count(), 3);
    // One that never fits is no failure of the engine, and plain all the same.
    let long = render_digest(&custom(&"y".repeat(60_000)), &dialect, &scene);
    assert!(long.failure.is_none() && long.draft.plain);
    // Another set's digest is the built-in one.
    scene.template = "other".to_owned();
    assert!(!render_digest(&custom("mine"), &dialect, &scene).draft.body.starts_with("mine"));
}

#[test]
fn twenty_thousand_names_are_quick_work() {
    let mut tally = Tally::default();
    let alerts: Vec<SceneAlert> =
        (0..20_000).map(|at| told(&format!("Name{at}"), "warning", "x", 5, Change::New)).collect();
    for alert in &alerts {
        tally.add(alert);
    }
    let mut scene = digest(alerts, Lang::Zh);
    scene.tally = tally;
    // Sizes are asked for once a step and there are few steps: the ladder is searched by halves.
    struct Counting(Fake, std::sync::atomic::AtomicUsize);
    impl Dialect for Counting {
        fn kind(&self) -> BotKind {
            self.0.kind()
        }
        fn layout(&self, shape: Shape) -> Layout {
            self.0.layout(shape)
        }
        fn escape(&self, value: &str) -> String {
            self.0.escape(value)
        }
        fn mention_text(&self, mentions: &Mentions, lang: Lang) -> String {
            self.0.mention_text(mentions, lang)
        }
        fn size(&self, draft: &Draft) -> usize {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.0.size(draft)
        }
        fn limit(&self, draft: &Draft) -> usize {
            self.0.limit(draft)
        }
        fn encode(&self, draft: &Draft, id: &str) -> Vec<u8> {
            self.0.encode(draft, id)
        }
        fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
            self.0.keyword_texts(draft)
        }
    }
    let dialect = Counting(Fake::new(BotKind::WeCom), 0.into());
    let rendered = render_digest(&Templates::default(), &dialect, &scene);
    assert!(rendered.draft.body.contains("条｜") && !rendered.draft.plain);
    let asked = dialect.1.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked <= 8, "{asked}");
}
