//! Template files: names, sets, mistakes.

use super::*;

fn load(files: &[(&str, &str)]) -> (Templates, Vec<String>) {
    let (templates, mistakes) = Templates::new(files);
    (templates, mistakes.iter().map(ToString::to_string).collect())
}

fn one(source: &str) -> String {
    let (_, mistakes) = load(&[("t/wecom.x.body.hbs", source)]);
    assert!(!mistakes.is_empty(), "{source:?} was taken");
    mistakes.join("\n")
}

fn rendered(files: &[(&str, &str)], kind: BotKind, set: &str) -> Rendered {
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
    let file = [("x/dingtalk.night.alert.hbs", "~ {{labels.instance}} ~ {{missing.field}}{{labels.nope}}")];
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
    assert!(title.draft.facts.contains(&("When".to_owned(), "since 02:01:32, for 2m".to_owned())), "{title:?}");

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

const README: &str = include_str!("../../../templates/README.md");

/// Names in backticks in the first column of the tables under a heading.
fn documented(heading: &str) -> Vec<&'static str> {
    let section = README.split("\n## ").find(|part| part.starts_with(heading)).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect()
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_readme_names_every_field_and_every_helper() {
    let scene = scene(group(vec![lag("db-03:3306", false)]), Lang::En);
    let facts = Facts::of(&scene);
    let max = data::Cut { annotations: 100, labels: 100 };
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let message = data::message(&scene, &facts, (BotKind::WeCom, Layout::Markdown, ""), &[], max);
    let mut fields = keys(&message);
    fields.extend(["alerts", "alertTexts", "omitted", "more"]);
    fields.sort_unstable();
    assert_eq!(sorted(documented("Fields of a message")), fields);
    let alert = data::alert(&scene, &facts, 0, false, max);
    assert_eq!(sorted(documented("Fields of an alert")), keys(&alert));
    let digest = super::digest::digest(vec![super::digest::told("A", "warning", "x", 5, Change::New)], Lang::En);
    let mut fields = keys_of_digest(&digest);
    fields.sort();
    let mut found: Vec<String> = documented("Fields of a digest").into_iter().map(str::to_owned).collect();
    found.sort();
    assert_eq!(found, fields);
    let mut helpers = helpers::NAMES.to_vec();
    helpers.retain(|name| *name != "raw");
    let mut found = documented("Helpers");
    found.retain(|name| !name.starts_with('{'));
    assert_eq!(sorted(found), sorted(helpers));
}

/// Names of all that a digest's template sees, and of what a class has.
fn keys_of_digest(scene: &DigestScene) -> Vec<String> {
    let of = "{{#each this}}{{@key}} {{/each}}{{#each classes.[0]}}{{@key}} {{/each}}";
    let (templates, mistakes) = load(&[("dingtalk.x.digest.hbs", of)]);
    assert_eq!(mistakes, Vec::<String>::new());
    let mut scene = scene.clone();
    (scene.template, scene.list_url) = ("x".to_owned(), String::new());
    scene.keywords.clear();
    let body = render_digest(&templates, &Fake::new(BotKind::DingTalk), &scene).draft.body;
    body.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_readme_s_digest_works() {
    let source = README.split("```handlebars\n").nth(2).unwrap().split("```").next().unwrap();
    let (templates, mistakes) = load(&[("wecom.night.digest.hbs", source)]);
    assert_eq!(mistakes, Vec::<String>::new());
    let told = |at: usize| super::digest::told(&format!("Name{at}"), "warning", "x", 5, Change::New);
    let mut scene = super::digest::digest((0..400).map(told).collect(), Lang::En);
    scene.template = "night".to_owned();
    scene.mentions.people = vec![person("bo")];
    let made = render_digest(&templates, &Fake { kind: BotKind::WeCom, limit: 20_000 }, &scene);
    let body = &made.draft.body;
    let begin = "Alarm digest | 400 alerts | 02:03:32–02:04:02\n**Warning** 400: Name0 1, Name1 1, ";
    assert!(body.starts_with(begin), "{body}");
    assert!(body.contains("\n100 other names: 100 warning\n>Name0 x since 02:03:57\n>Name1 x"), "{body}");
    assert!(body.contains("\n10 named, 390 counted, Dispatch: <@bo>"), "{body}");
}

#[test]
fn the_readme_s_example_works() {
    let source = README.split("```handlebars\n").nth(1).unwrap().split("```").next().unwrap();
    let (templates, mistakes) = load(&[("wecom.night.body.hbs", source)]);
    assert_eq!(mistakes, Vec::<String>::new());
    let mut scene = scene(group((0..150).map(|n| lag(&format!("db-{n}"), false)).collect()), Lang::En);
    scene.template = "night".to_owned();
    scene.mentions.people = vec![person("bo")];
    scene.list_url = "https://bell.example/m/1".to_owned();
    let made = render(&templates, &Fake { kind: BotKind::WeCom, limit: 20_000 }, &scene);
    let end = "\nand 50 more\n[full list](https://bell.example/m/1)\nAlarm for ops, Dispatch: <@bo>";
    assert!(made.draft.body.ends_with(end), "{}", made.draft.body);
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

/// The examples of the later rows of the helpers' table, with what they give for an alert of one firing MySQL replica.
#[test]
fn helpers_do_what_their_examples_say() {
    let table = [
        ("{{#each (where alerts \"status\" \"firing\")}}{{name}} {{/each}}", "MySQL主从延迟"),
        ("{{join (pluck alerts \"name\") \", \"}}", "MySQL主从延迟"),
        ("{{#each alerts}}{{len (omit labels \"alertname\" \"severity\")}}{{/each}}", "4"),
        ("{{join (split \"a-b\" \"-\") \"+\"}}", "a+b"),
        ("{{join (list \"x\" name)}}", "x, MySQL主从延迟"),
        ("{{upper (concat severity \"!\")}}", "CRITICAL!"),
        ("[alerts]({{url externalURL \"/#/alerts\"}})", "[alerts](http://am.example:9093/#/alerts)"),
        ("{{urlDecode \"a%20b+c\"}}", "a b c"),
        ("{{#each alerts}}{{ternary firing \"on\" \"off\"}}{{/each}}", "on"),
        ("{{#each alerts}}{{#if (startsWith labels.instance \"db-\")}}yes{{/if}} {{add index 1}}{{/each}}", "yes 1"),
        ("{{fixed 3.14159 2}}", "3.14"),
    ];
    let more = [
        ("{{add 1 2 3.5}} {{sub \"7\" 2}} {{mul 3 4}} {{div 7 2}} {{mod 7 4}}", "6.5 5 12 3.5 3"),
        ("<{{div 1 0}}{{add \"x\" 1}}{{fixed \"x\"}}>", "<>"),
        ("{{ternary true \"on\" \"off\"}} {{endsWith \"db-1\" \"-1\"}} {{startsWith \"db\" \"x\"}}", "on true false"),
        ("{{len (omit groupLabels (list \"cluster\"))}} {{len (omit groupLabels \"no\")}}", "1 2"),
        ("{{url \"javascript:alert(1)\"}}{{url \"https://a.example/(x) y\"}}", "https://a.example/%28x%29%20y"),
        ("{{len (where name \"a\" \"b\")}}{{len (pluck name \"a\")}}{{len (split name \"\")}}", "001"),
    ];
    for (example, _) in table {
        assert!(README.contains(&format!("`{example}`")), "{example} is not in the README");
    }
    for (example, gives) in table.iter().chain(&more) {
        let made = rendered(&[("wecom.x.body.hbs", example)], BotKind::WeCom, "x");
        assert!(made.failure.is_none(), "{example}: {:?}", made.failure);
        let body = made.draft.body.lines().next().unwrap_or_default();
        assert_eq!(body, *gives, "{example}");
    }
}
