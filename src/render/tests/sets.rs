//! Template files: names, sets, mistakes.

use super::*;

pub(super) fn load(files: &[(&str, &str)]) -> (Templates, Vec<String>) {
    let (templates, mistakes) = Templates::new(files);
    (templates, mistakes.iter().map(ToString::to_string).collect())
}

pub(super) fn one(source: &str) -> String {
    let (_, mistakes) = load(&[("t/wecom.x.body.hbs", source)]);
    assert!(!mistakes.is_empty(), "{source:?} was taken");
    mistakes.join("\n")
}

pub(super) fn rendered(files: &[(&str, &str)], kind: BotKind, set: &str) -> Rendered {
    let (templates, mistakes) = load(files);
    assert_eq!(mistakes, Vec::<String>::new());
    let mut scene = scene(group(vec![lag("db-03:3306", false)]), Lang::En);
    scene.template = set.to_owned();
    render(&templates, &Fake::new(kind), &scene)
}

#[test]
fn built_in_templates_compile_and_have_no_findings() {
    for (kind, part, source) in templates::BUILT_IN {
        let name = format!("{}.copy.{}.hbs", kind.as_str(), part.as_str());
        let (_, mistakes) = load(&[(&name, source)]);
        assert_eq!(mistakes, Vec::<String>::new(), "{name}");
        assert!(Templates::default().part(kind, "default", part).is_some(), "{name}");
    }
}

#[test]
fn a_set_overrides_single_parts() {
    let file = [("x/dingtalk.night.alert.hbs", "~ {{labels.instance}} ~ {{annotations.nope}}{{labels.nope}}")];
    let night = rendered(&file, BotKind::DingTalk, "night");
    assert_eq!(night.draft.title, "🔴Critical MySQL主从延迟 db-03 prod-sh");
    assert!(
        night.draft.body.starts_with("🔴 **Critical Alarm | MySQL主从延迟**\n~ db-03:3306 ~\n"),
        "{}",
        night.draft.body
    );
    assert_eq!(night.how, [How::Named]);

    let title = rendered(&[("feishu.night.title.hbs", "{{upper severity}}\n{{name}}")], BotKind::Feishu, "night");
    assert_eq!(title.draft.title, "CRITICAL MySQL主从延迟");
    assert!(title.draft.facts.contains(&("When".to_owned(), "since 02:01:32".to_owned())), "{title:?}");

    let body = rendered(&[("wecom.night.body.hbs", "{{#each alertTexts}}{{this}}{{/each}}")], BotKind::WeCom, "night");
    assert!(
        body.draft.body.starts_with("><font color=\"comment\">Where</font> prod-sh / db-03:3306"),
        "{}",
        body.draft.body
    );
    // What must be there and is not in the template comes last: the keywords. "Alarm" is in the title.
    assert!(body.draft.body.ends_with("\nDispatch"), "{}", body.draft.body);
}

#[test]
fn the_set_default_overrides_the_built_in_for_all() {
    let files = [("dingtalk.default.title.hbs", "mine"), ("dingtalk.other.body.hbs", "text {{name}}")];
    assert_eq!(rendered(&files, BotKind::DingTalk, "default").draft.title, "mine");
    assert_eq!(rendered(&files, BotKind::DingTalk, "other").draft.title, "mine");
}

#[test]
fn sets_are_known_by_vendor() {
    let files = [("a/wecom.night.title.hbs", "x"), ("a/wecom.night.body.hbs", "x"), ("b/feishu.v1.2.alert.hbs", "x")];
    let (templates, mistakes) = load(&files);
    assert!(mistakes.is_empty());
    assert_eq!(templates.sets(), [(BotKind::Feishu, "v1.2".to_owned()), (BotKind::WeCom, "night".to_owned())]);
    assert!(templates.has_set(BotKind::WeCom, "night") && templates.has_set(BotKind::Feishu, "v1.2"));
    assert!(!templates.has_set(BotKind::DingTalk, "night"));
    // What is wrong with a file was said where it stands: the set is not missing besides.
    let (templates, mistakes) = load(&[("dingtalk.night.body.hbs", "{{#if}}")]);
    assert!(!mistakes.is_empty() && templates.has_set(BotKind::DingTalk, "night"));
    assert!(templates.has_set(BotKind::DingTalk, "default"));
}

#[test]
fn names_that_do_not_follow_the_scheme() {
    for (name, what) in [
        ("t/alert.hbs", "`alert.hbs` is not a template's name"),
        ("t/wecom.night.title.tmpl", "`wecom.night.title.tmpl` is not a template's name"),
        ("t/slack.night.title.hbs", "`slack` is not a type of bot"),
        ("t/wecom.night.head.hbs", "`head` is not a part of a message"),
        ("t/wecom..title.hbs", "`` is not a set's name"),
        ("t/wecom.a b.title.hbs", "`a b` is not a set's name"),
    ] {
        let (templates, mistakes) = load(&[(name, "x")]);
        assert_eq!(mistakes.len(), 1, "{name}");
        assert!(mistakes[0].starts_with(&format!("{name}: {what}")), "{}", mistakes[0]);
        assert!(mistakes[0].contains("hint: name it <type>.<set>.<part>.hbs"), "{}", mistakes[0]);
        assert!(templates.sets().is_empty());
    }
    let (_, mistakes) = load(&[("a/wecom.x.title.hbs", "x"), ("b/wecom.x.title.hbs", "y")]);
    assert!(mistakes[0].contains("two templates wecom.x.title"), "{mistakes:?}");
}

#[test]
fn mistakes_have_place_line_and_hint() {
    let sources = [
        "ok\n  {{#if a}}\nno end",
        "a\n{{#each alerts}}\n  {{uper name}}\n{{/each}}",
        "{{#alerts}}x{{/alerts}}",
        "{{ .Labels.alertname }}",
        "{{range .Alerts}}{{end}}",
        "{{#if x}}{{/unless}}",
        "{{> other}}",
        "{{name (foo 1)}}",
        "{{#if x}}a{{else if (frob x)}}b{{/if}}",
        "{{name",
    ];
    insta::assert_snapshot!(sources.map(one).join("\n\n"));
}

#[test]
fn what_would_never_end_is_refused_when_loaded() {
    let circle = r#"{{#*inline "a"}}{{> b}}{{/inline}}{{#*inline "b"}}{{> a}}{{/inline}}{{> a}}"#;
    assert!(one(circle).contains("includes itself without end"));
    assert!(one(r#"{{#*inline "a"}}{{> a}}{{/inline}}{{> a}}"#).contains("includes itself"));
    let mut doubling = String::new();
    for n in 0..20 {
        doubling.push_str(&format!("{{{{#*inline \"p{n}\"}}}}{{{{> p{m}}}}}{{{{> p{m}}}}}{{{{/inline}}}}", m = n + 1));
    }
    doubling.push_str("{{#*inline \"p20\"}}x{{/inline}}{{> p0}}");
    assert!(one(&doubling).contains("too often"));
    assert!(one(&"{{#if x}}".repeat(5_000)).contains("nest too deeply"));
    assert!(one(&format!("{{{{x {}}}}}", "(not ".repeat(5_000))).contains("nest too deeply"));
    assert!(one(&"x".repeat(70_000)).contains("over 64 KiB"));
    assert!(one(r#"{{> (lookup this "name")}}"#).contains("written down"));
}

#[test]
fn inline_partials_work() {
    let source = r#"{{#*inline "row"}}<{{labels.instance}}>{{/inline}}{{#each alerts}}{{> row}}{{/each}} {{name}}"#;
    let made = rendered(&[("wecom.x.body.hbs", source)], BotKind::WeCom, "x");
    assert!(made.failure.is_none(), "{:?}", made.failure);
    assert!(made.draft.body.starts_with("<db-03:3306> MySQL"), "{}", made.draft.body);
}

#[test]
fn finished_markup_is_joined_with_the_template_s_own_text() {
    let files = [
        ("wecom.x.alert.hbs", "{{link (default labels.instance) \"https://x.example/\"}}"),
        ("wecom.x.body.hbs", "{{join alertTexts \" / \"}}{{t \"comma\"}}{{name}}"),
    ];
    let (templates, mistakes) = load(&files);
    assert_eq!(mistakes, Vec::<String>::new());
    let mut scene = scene(group(vec![lag("a", false), lag("b", false)]), Lang::En);
    scene.template = "x".to_owned();
    scene.keywords.clear();
    let made = render(&templates, &Fake::new(BotKind::WeCom), &scene);
    assert_eq!(made.draft.body, "[a](https://x.example/) / [b](https://x.example/), MySQL主从延迟");
}

#[test]
fn an_alert_s_template_sees_the_message_and_any_label_name() {
    let alert = "{{labels.[a.b]}} {{lookup labels \"a.b\"}} {{../bot}} {{@root.bot}} {{labels.集群}}{{labels.a}}";
    let (templates, mistakes) = load(&[("wecom.x.alert.hbs", alert), ("wecom.x.body.hbs", "{{alertTexts.[0]}}")]);
    assert_eq!(mistakes, Vec::<String>::new());
    let mut odd = lag("db", false);
    odd.labels.extend(labels(&[("a.b", "dotted"), ("集群", "生产")]));
    let mut scene = scene(group(vec![odd]), Lang::En);
    scene.template = "x".to_owned();
    scene.keywords.clear();
    assert_eq!(render(&templates, &Fake::new(BotKind::WeCom), &scene).draft.body, "dotted dotted ops ops 生产");
}
