//! For any input and any template: it fits, keywords and title are there, alerts are accounted for, nothing panics.

use proptest::prelude::*;

use super::*;

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 ._:/-]{0,20}",
        2 => "[告警数据库严重\\n*<>\\[\\]()#|@&`_~\"'{}\\\\]{0,24}",
        2 => "\\PC{0,30}",
        1 => any::<String>(),
        1 => "[长x]{0,3000}",
        1 => Just("<@all> <at id=all></at> [x](http://evil.example)".to_owned()),
        1 => Just("\u{fdd2}<font>\u{fdd3}\u{fdd0}*\u{fdd1}{{name}}".to_owned()),
        1 => Just("https://user:pw@x.example/a)b](c".to_owned()),
    ]
}

fn label_name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec![
            "alertname", "instance", "pod", "cluster", "namespace", "severity", "job", "uid", "rulename",
            "summary", "description", "message", "runbook_url", "dashboard",
        ]).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn pairs() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map(label_name(), text(), 0..8)
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of((-377_705_023_201_i64..253_402_207_200).prop_map(|s| Timestamp::from_second(s).unwrap()))
}

prop_compose! {
    pub(super) fn told()(
        labels in pairs(), annotations in pairs(), starts_at in moment(), ends_at in moment(), url in text(),
        change in 0..5_usize, rank in 0..6_u8, flaps in 0..9_u32, severity in text(),
    ) -> SceneAlert {
        let change =
            [Change::New, Change::Refired, Change::Resolved, Change::FiredResolved, Change::Unchanged][change];
        let resolved = matches!(change, Change::Resolved | Change::FiredResolved);
        let alert = Alert {
            status: if resolved { Status::Resolved } else { Status::Firing },
            fingerprint: crate::model::Fingerprint::of(&labels),
            labels, annotations, starts_at, ends_at,
            generator_url: url.clone(), silence_url: url.clone(), dashboard_url: url.clone(), panel_url: url.clone(),
            value_string: url,
        };
        SceneAlert { alert: Arc::new(alert), change, rank, severity, flaps }
    }
}

prop_compose! {
    fn any_scene()(
        alerts in prop::collection::vec(told(), 0..14), group_labels in pairs(), external in text(), zh in any::<bool>(),
        still in 0..3_u32, truncated in 0..3_u64, people in prop::collection::vec("[a-z]{1,8}", 0..4),
        all in any::<bool>(), any_keyword in any::<bool>(), list in any::<bool>(), form in 0..6_usize,
        keywords in prop::collection::vec(prop_oneof!["[a-zA-Z告警*_]{1,12}", Just("Alarm".to_owned())], 0..4),
        version in prop_oneof![Just("4"), Just("1"), Just("")],
    ) -> Scene {
        let mut body = group(vec![lag("x", false)]);
        (body.group_labels, body.external_url, body.version) = (group_labels, external, version.to_owned());
        let mut scene = scene(body, if zh { Lang::Zh } else { Lang::En });
        (scene.alerts, scene.still_firing, scene.truncated) = (alerts, still, truncated);
        scene.mentions = Mentions { all, people: people.iter().map(|name| person(name)).collect() };
        scene.keywords = keywords;
        scene.keyword_mode = if any_keyword { KeywordMode::Any } else { KeywordMode::All };
        if list {
            scene.list_url = "https://bell.example/m/0123456789abcdef0123456789abcdef".to_owned();
        }
        scene.form = *[Form::Plain, Form::Counts].get(form).unwrap_or(&Form::Full);
        scene.template = "x".to_owned();
        scene
    }
}

/// Pieces that people write, whole and broken.
pub(super) fn source() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{name}}",
        "{{{annotations.summary}}}",
        "{{#each alerts}}",
        "{{/each}}",
        "{{#if single}}",
        "{{else}}",
        "{{/if}}",
        "{{this}}",
        "{{#each alertTexts}}",
        "{{time startsAt}}",
        "{{duration startsAt}}",
        "{{truncate name 3}}",
        "{{join policies \",\"}}",
        "{{link name generatorURL}}",
        "{{json labels}}",
        "{{#each (sortedLabels labels)}}",
        "{{mentions}}",
        "{{raw name}}",
        "{{match name name}}",
        "{{replace name \"(.)\" \"$1$1\" regex=true}}",
        "{{~",
        "~}}",
        "{{",
        "}}",
        "{{{",
        "}}}",
        "\\",
        "(",
        "\"",
        "'",
        "{{!-- x --}}",
        "{{else if name}}",
        "{{^}}",
        "{{> x}}",
        "\n",
        "\u{fdd0}",
        "{{#*inline \"p\"}}x{{/inline}}",
        "{{> p}}",
        "{{#with alerts.[0]}}",
        "{{/with}}",
        "{{../name}}",
        "{{@root.bot}}",
        "{{lookup labels name}}",
        "{{{{raw}}}} {{x}} {{{{/raw}}}}",
        "{{alerts.x}}",
        "{{time name}}",
    ]);
    prop_oneof![
        3 => prop::collection::vec(prop_oneof![5 => piece.prop_map(str::to_owned), 1 => text()], 0..9)
            .prop_map(|pieces| pieces.concat()),
        1 => (1..70_000_usize).prop_map(|n| "长".repeat(n / 3)),
        1 => Just("{{#each alerts}}{{#each ../alerts}}{{json @root}}{{/each}}{{/each}}".to_owned()),
        1 => Just(String::new()),
    ]
}

fn holds(scene: &Scene, dialect: &Fake, rendered: &Rendered) -> Result<(), TestCaseError> {
    let draft = &rendered.draft;
    prop_assert!(dialect.size(draft) <= dialect.limit(draft), "{} > {}", dialect.size(draft), dialect.limit(draft));
    prop_assert!(!draft.title.trim().is_empty() && !draft.title.contains('\n'));
    prop_assert_eq!(rendered.how.len(), scene.alerts.len());
    let there = |word: &String| dialect.keyword_texts(draft).iter().any(|text| text.contains(word));
    let kept = match scene.keyword_mode {
        KeywordMode::All => scene.keywords.iter().all(there),
        KeywordMode::Any => scene.keywords.is_empty() || scene.keywords.iter().any(there),
    };
    prop_assert!(kept, "{:?} in {draft:?}", scene.keywords);
    let calls = dialect.mention_text(&scene.mentions, scene.lang);
    prop_assert!(draft.body.contains(&calls));
    let marks = |text: &str| text.chars().any(|c| ('\u{fdd0}'..='\u{fdd3}').contains(&c));
    prop_assert!(!marks(&draft.body) && !marks(&draft.title), "a mark is left in {draft:?}");
    if scene.form == Form::Counts {
        prop_assert!(rendered.how.iter().all(|how| *how == How::Counted));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn built_in_messages_hold(scene in any_scene(), kind in 0..3_usize, limit in 700..20_000_usize) {
        let dialect = Fake { kind: BotKind::ALL[kind], limit: limit * 2 };
        let rendered = render(&Templates::default(), &dialect, &scene);
        holds(&scene, &dialect, &rendered)?;
        prop_assert!(rendered.failure.is_none(), "{:?}", rendered.failure);
        // No value of a label or annotation opened a tag or a link.
        let body = &rendered.draft.body;
        prop_assert!(rendered.draft.plain || !body.replace("\\<", "").contains("<at "), "{body}");
        prop_assert!(rendered.draft.plain || !body.replace("\\[", "").contains("[x\\](http://evil"), "{body}");
    }

    #[test]
    fn built_in_messages_hold_in_every_layout(scene in any_scene(), at in 0..7_usize) {
        let all: Vec<(BotKind, Layout)> =
            BotKind::ALL.iter().flat_map(|kind| Layout::of(*kind).iter().map(|layout| (*kind, *layout))).collect();
        let (kind, layout) = all[at % all.len()];
        let dialect = crate::channel::dialect(kind, layout, true);
        let rendered = render(&Templates::default(), &*dialect, &scene);
        prop_assert!(rendered.failure.is_none(), "{:?}", rendered.failure);
        let draft = &rendered.draft;
        prop_assert!(dialect.size(draft) <= dialect.limit(draft));
        let texts = dialect.keyword_texts(draft);
        // Where there is no markup, a keyword can not look like it.
        let there = |word: &String| word.contains('*') || texts.iter().any(|text| text.contains(word));
        prop_assert!(scene.keyword_mode == KeywordMode::Any || scene.keywords.iter().all(there), "{draft:?}");
        prop_assert!(draft.layout.has_facts() || draft.facts.is_empty());
        prop_assert!(draft.layout.has_buttons() || draft.links.is_empty());
        for text in draft.facts.iter().flat_map(|(name, value)| [name, value]) {
            let odd = |c: char| c.is_control() || ('\u{fdd0}'..='\u{fdd3}').contains(&c);
            prop_assert!(!text.contains(odd), "{text:?}");
        }
        if draft.layout == Layout::TemplateCard && !draft.plain {
            prop_assert!(draft.facts.len() <= 6 && draft.mentions.is_empty());
        }
        if !draft.facts.is_empty() {
            let facts = Facts::of(&scene);
            for (told, _) in scene.alerts.iter().zip(&rendered.how).filter(|(_, how)| **how == How::Named) {
                let first = facts.identity(&told.alert).into_iter().next().unwrap_or_default();
                let shown = |text: &String| text.contains(identity::without_port(&first));
                let in_facts = draft.facts.iter().any(|(_, value)| shown(value));
                prop_assert!(in_facts || shown(&draft.title) || shown(&draft.body), "{first} in {draft:?}");
            }
        }
    }

    #[test]
    fn any_template_holds(
        scene in any_scene(), kind in 0..3_usize, limit in 700..6_000_usize,
        title in source(), alert in source(), body in source(),
    ) {
        let dialect = Fake { kind: BotKind::ALL[kind], limit: limit * 2 };
        let name = |part: &str| format!("{}.x.{part}.hbs", dialect.kind.as_str());
        let files = [(name("title"), title), (name("alert"), alert), (name("body"), body)];
        let (templates, mistakes) = Templates::new(&files);
        for mistake in &mistakes {
            prop_assert!(!mistake.to_string().is_empty());
        }
        holds(&scene, &dialect, &render(&templates, &dialect, &scene))?;
    }

    #[test]
    fn the_smallest_limits_never_panic(scene in any_scene(), limit in 0..700_usize) {
        let dialect = Fake { kind: BotKind::WeCom, limit };
        let rendered = render(&Templates::default(), &dialect, &scene);
        prop_assert_eq!(rendered.how.len(), scene.alerts.len());
    }
}
