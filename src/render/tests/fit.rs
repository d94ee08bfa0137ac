//! Size, keywords, mentions, the list link and failing templates.

use super::*;

fn with_template(part: &str, source: &str) -> Templates {
    let (templates, mistakes) = Templates::new(&[(format!("wecom.x.{part}.hbs"), source)]);
    // Those that fail are told when they are loaded, and taken all the same.
    assert!(mistakes.iter().all(|mistake| mistake.hint.starts_with("this fails")), "{mistakes:?}");
    templates
}

/// A group of `n` alerts with distinct names of instances, all new.
fn many(n: usize, template: &str) -> Scene {
    let alerts = (0..n).map(|i| lag(&format!("db-{i}.example.com:3306"), false)).collect();
    let mut scene = scene(group(alerts), Lang::Zh);
    scene.template = template.to_owned();
    scene.list_url = "https://bell.example/m/0123456789abcdef0123456789abcdef".to_owned();
    scene.mentions.people = vec![person("zhang.san")];
    scene.keywords.push("监控".to_owned());
    scene
}

fn check(dialect: &Fake, scene: &Scene, rendered: &Rendered) {
    let draft = &rendered.draft;
    assert!(dialect.size(draft) <= dialect.limit(draft), "{} > {}", dialect.size(draft), dialect.limit(draft));
    for keyword in &scene.keywords {
        let there = dialect.keyword_texts(draft).iter().any(|text| text.contains(keyword));
        assert!(there, "{keyword} is missing in {draft:?}");
    }
    assert!(!draft.title.is_empty() && !draft.title.contains('\n'));
    assert_eq!(rendered.how.len(), scene.alerts.len());
    for mark in ['\u{fdd0}', '\u{fdd1}', '\u{fdd2}', '\u{fdd3}'] {
        assert!(!draft.body.contains(mark) && !draft.title.contains(mark));
    }
}

#[test]
fn a_long_list_names_what_fits_and_counts_the_rest() {
    let templates = Templates::default();
    for (n, limit) in [(1, 4_096), (5, 4_096), (60, 4_096), (60, 2_000), (10_000, 4_096), (10_000, 1_000), (60, 800)] {
        let scene = many(n, "default");
        let dialect = Fake { kind: BotKind::WeCom, limit };
        let rendered = render(&templates, &dialect, &scene);
        check(&dialect, &scene, &rendered);
        let body = &rendered.draft.body;
        assert!(body.contains("<@zhang.san>") && body.contains(&scene.list_url), "{n}, {limit}: {body}");
        let named = rendered.how.iter().filter(|how| **how == How::Named).count();
        for (at, how) in rendered.how.iter().enumerate() {
            assert_eq!(*how, if at < named { How::Named } else { How::Counted });
            assert_eq!(finish::holds_word(body, &format!("db-{at}.example.com:3306")), at < named, "{at} of {n}");
        }
        if named < n {
            assert!(body.contains(&format!("{} 条：严重 {}", n - named, n - named)), "{body}");
        }
        assert!(named > 0 || limit <= 1_000, "{n} in {limit}: {body}");
    }
}

#[test]
fn steps_down_in_the_promised_order() {
    let templates = Templates::default();
    let mut scene = many(4, "default");
    for alert in &mut scene.alerts {
        let mut long = (*alert.alert).clone();
        long.annotations.insert("summary".to_owned(), format!("{} {}", long.label("instance"), "长".repeat(490)));
        alert.alert = Arc::new(long);
    }
    let shown = |limit: usize| {
        let dialect = Fake { kind: BotKind::WeCom, limit };
        let rendered = render(&templates, &dialect, &scene);
        check(&dialect, &scene, &rendered);
        let named = rendered.how.iter().filter(|how| **how == How::Named).count();
        (rendered.draft.body.matches("\n>db-").count(), rendered.draft.body.matches('长').count(), named)
    };
    let (details, text, named) = shown(20_000);
    assert_eq!((details, named), (4, 4));
    // Fewer in detail first, with their text as it was.
    let (fewer, less, named) = shown(4_096);
    assert!((1..4).contains(&fewer) && less * details == text * fewer && named == 4, "{fewer} {less} {named}");
    // Then shorter text.
    let (one, short, named) = shown(1_600);
    assert!(one == 1 && short < less / fewer && named == 4, "{one} {short} {named}");
    // Then fewer names.
    let (none, text, named) = shown(450);
    assert!((none, text) == (0, 0) && named < 4, "{none} {text} {named}");
}

#[test]
fn one_alert_with_huge_annotations_is_still_named() {
    let templates = Templates::default();
    for kind in BotKind::ALL {
        let mut scene = many(1, "default");
        let mut huge = (*scene.alerts[0].alert).clone();
        huge.annotations.insert("summary".to_owned(), "库".repeat(2_000_000));
        huge.annotations.insert("description".to_owned(), "x ".repeat(2_000_000));
        huge.labels.insert("blob".to_owned(), "y".repeat(1_000_000));
        huge.labels.extend((0..5_000).map(|n| (format!("l{n}"), "z".repeat(50))));
        scene.alerts[0].alert = Arc::new(huge);
        let dialect = Fake { kind, limit: 4_096 };
        let rendered = render(&templates, &dialect, &scene);
        check(&dialect, &scene, &rendered);
        assert_eq!(rendered.how, [How::Named]);
        assert!(!rendered.draft.plain && rendered.draft.body.contains("…"), "{}", rendered.draft.body);
    }
}

#[test]
fn a_template_that_fails_loses_no_alert() {
    for (part, source, error) in [
        ("body", "a\nb {{time \"nonsense\"}}", "line 2, column 3: time: this is not an RFC 3339 time"),
        (
            "alert",
            "{{match name (concat \"(\")}}",
            "line 1, column 1: match: \"(\" is not a regular expression, or too large a one",
        ),
        ("title", "{{#each alerts}}{{time \"x\"}}{{/each}}", "line 1, column 17: time: this is not an RFC 3339 time"),
    ] {
        let scene = many(3, "x");
        let dialect = Fake::new(BotKind::WeCom);
        let rendered = render(&with_template(part, source), &dialect, &scene);
        check(&dialect, &scene, &rendered);
        let failure = rendered.failure.as_ref().unwrap();
        assert_eq!((failure.template.as_str(), failure.error.as_str()), (format!("wecom.x.{part}").as_str(), error));
        assert!(rendered.draft.plain && rendered.how.iter().all(|how| *how == How::Named));
        for at in 0..3 {
            assert!(rendered.draft.body.contains(&format!("db-{at}.example.com:3306")), "{}", rendered.draft.body);
        }
        assert!(rendered.draft.body.contains("<@zhang.san>"));
    }
}

#[test]
fn templates_that_write_too_much_are_replaced() {
    let loops = "{{#each alerts}}{{#each ../alerts}}{{#each ../../alerts}}{{/each}}{{/each}}{{/each}}";
    let flood = format!("{{{{#each alerts}}}}{}{{{{/each}}}}", "x".repeat(60_000));
    for (part, source, failed) in [
        ("body", loops, true),
        ("body", flood.as_str(), true),
        ("body", &"y".repeat(60_000), false),
        ("alert", &"y".repeat(60_000), false),
        ("title", &"y".repeat(60_000), true),
    ] {
        let scene = many(100, "x");
        let dialect = Fake::new(BotKind::WeCom);
        let rendered = render(&with_template(part, source), &dialect, &scene);
        check(&dialect, &scene, &rendered);
        assert_eq!(rendered.failure.is_some(), failed, "{part}: {:?}", rendered.failure);
    }
}

#[test]
fn a_custom_template_names_only_what_it_shows() {
    let dialect = Fake::new(BotKind::WeCom);
    let how = |source: &str| render(&with_template("body", source), &dialect, &many(3, "x")).how;
    assert_eq!(how("{{name}} {{alerts.[1].labels.instance}}"), [How::Named, How::Named, How::Counted]);
    // The built-in title names the first.
    assert_eq!(how("{{total}} alerts"), [How::Named, How::Counted, How::Counted]);
    assert_eq!(how("{{#each alertTexts}}{{this}}{{/each}}"), [How::Named; 3]);
    // db-1 is not db-10.
    let scene = many(11, "x");
    let templates = with_template("body", "{{name}} {{alerts.[10].labels.instance}}");
    let named = render(&templates, &dialect, &scene).how.iter().filter(|how| **how == How::Named).count();
    // And db-0, which the built-in title names.
    assert_eq!(named, 2);
}

#[test]
fn what_a_custom_body_leaves_out_is_added_in_order() {
    let mut scene = many(3, "x");
    scene.keywords = vec!["Alarm".to_owned(), "MySQL".to_owned(), "监控".to_owned(), "mysql".to_owned()];
    let dialect = Fake::new(BotKind::WeCom);
    let body = render(&with_template("body", "just text\n\n\n\nabout {{name}}  \n"), &dialect, &scene).draft.body;
    // "Alarm" stands in the title, "MySQL" in the name; case counts.
    assert_eq!(body, "just text\n\nabout MySQL主从延迟\n<@zhang.san>\n监控 mysql");

    scene.keyword_mode = KeywordMode::Any;
    let body = render(&with_template("body", "just text"), &dialect, &scene).draft.body;
    assert_eq!(body, "just text\n<@zhang.san>");
    scene.keywords = vec!["监控".to_owned(), "值班".to_owned()];
    let body = render(&with_template("body", "just text {{mentions}}"), &dialect, &scene).draft.body;
    assert_eq!(body, "just text <@zhang.san>\n监控");
}

#[test]
fn the_counts_form_holds_nothing_that_a_sender_wrote() {
    let templates = Templates::default();
    let mut scene = many(3, "default");
    scene.form = Form::Counts;
    scene.alerts[1].change = Change::Resolved;
    scene.still_firing = 4;
    scene.truncated = 2;
    let dialect = Fake::new(BotKind::DingTalk);
    let rendered = render(&templates, &dialect, &scene);
    check(&dialect, &scene, &rendered);
    let text = format!("{}\n{}", rendered.draft.title, rendered.draft.body);
    for word in ["MySQL", "db-", "prod", "从库", "prom.example", "am.example"] {
        assert!(!text.contains(word), "{text}");
    }
    assert!(text.contains("严重 2") && text.contains("恢复 1") && text.contains("+2"), "{text}");
    assert_eq!(rendered.how, [How::Counted; 3]);
}

#[test]
fn nothing_to_tell_is_no_reason_to_fail() {
    for form in [Form::Full, Form::Plain, Form::Counts] {
        let mut scene = many(0, "default");
        scene.form = form;
        for kind in BotKind::ALL {
            let dialect = Fake::new(kind);
            let rendered = render(&Templates::default(), &dialect, &scene);
            check(&dialect, &scene, &rendered);
            assert!(rendered.how.is_empty() && rendered.failure.is_none());
        }
    }
}

#[test]
fn alerts_without_labels_have_a_name() {
    let mut alert = lag("x", false);
    alert.labels.clear();
    alert.annotations.clear();
    alert.starts_at = None;
    let fingerprint = alert.fingerprint.to_string();
    let rendered = render(&Templates::default(), &Fake::new(BotKind::Feishu), &scene(group(vec![alert]), Lang::En));
    assert!(rendered.draft.title.contains(&fingerprint), "{}", rendered.draft.title);
    assert_eq!(rendered.how, [How::Named]);
}

#[test]
fn every_recorded_body_renders() {
    let templates = Templates::default();
    let folder = format!("{}/tests/fixtures/payloads", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let Ok(body) = Notification::parse(&std::fs::read(file.unwrap().path()).unwrap()) else { continue };
        seen += 1;
        for kind in BotKind::ALL {
            let scene = scene(body.clone(), Lang::Zh);
            let dialect = Fake::new(kind);
            let rendered = render(&templates, &dialect, &scene);
            check(&dialect, &scene, &rendered);
            assert!(rendered.failure.is_none() && rendered.how.iter().all(|how| *how == How::Named), "{rendered:?}");
        }
    }
    assert!(seen >= 15, "{seen}");
}
