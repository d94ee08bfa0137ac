//! `templates/README.md` says what is: every field, every helper, and what each example gives.

use super::sets::load;
use super::*;

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
    let helpers = signatures::NAMES.to_vec();
    let mut found = documented("Helpers");
    found.retain(|name| !name.starts_with('{'));
    assert_eq!(sorted(found), sorted(helpers));
}

#[test]
fn every_field_of_the_readme_may_be_written() {
    let class = |name: &&str| documented_of_classes().contains(name);
    let digest: Vec<&str> = documented("Fields of a digest");
    let (classes, digest): (Vec<&str>, Vec<&str>) = digest.into_iter().partition(class);
    let all = [
        ("body", "", documented("Fields of a message")),
        ("alert", "", documented("Fields of an alert")),
        ("digest", "", digest),
        ("digest", "classes.[0].", classes),
    ];
    for (part, before, names) in all {
        let source: String = names.iter().map(|name| format!("{{{{#if {before}{name}}}}}x{{{{/if}}}}\n")).collect();
        assert_eq!(load(&[(&format!("wecom.x.{part}.hbs"), &source)]).1, Vec::<String>::new());
    }
}

/// The second table of a digest's fields.
fn documented_of_classes() -> Vec<&'static str> {
    let section = README.split("| field of a class |").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect()
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
    let source = README.split("```handlebars\n").nth(3).unwrap().split("```").next().unwrap();
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
    let source = README.split("```handlebars\n").nth(2).unwrap().split("```").next().unwrap();
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

/// Renders a part of the alert's own, as the README's examples are read: for the sample's first alert.
fn example(source: &str) -> String {
    let files =
        [("dingtalk.x.alert.hbs", format!("[{source}]")), ("dingtalk.x.body.hbs", "{{alertTexts.[0]}}".to_owned())];
    let (templates, mistakes) = Templates::new(&files);
    assert!(mistakes.is_empty(), "{source}: {}", mistakes[0]);
    let scene = Scene { template: "x".to_owned(), ..trial::sample().unwrap() };
    let dialect = trial::Bare { kind: BotKind::DingTalk, layout: Layout::Markdown };
    let made = render(&templates, &dialect, &scene);
    assert!(made.failure.is_none(), "{source}: {:?}", made.failure);
    let body = made.draft.body.split_once("]\n").map_or(made.draft.body.as_str(), |(first, _)| first);
    let body = body.strip_prefix('[').unwrap_or(body);
    body.strip_suffix(']').unwrap_or(body).trim_end().to_owned()
}

/// What stands between backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_helper_s_example_gives_what_the_readme_says() {
    let section = README.split("\n## ").find(|part| part.starts_with("Helpers")).unwrap();
    let mut tried = 0;
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [names, _, examples, gives] = cells.as_slice() else { panic!("{row}") };
        let (examples, gives) = (code(examples), code(gives));
        for name in code(names).into_iter().filter(|name| !name.starts_with('{')) {
            let calls = |example: &&str| {
                let before = |at: usize| example[..at].ends_with(['{', '(', '#']);
                example.match_indices(name).any(|(at, _)| before(at))
            };
            assert!(examples.iter().any(calls), "no example of {name}: {row}");
        }
        if examples == ["{{builtin}}"] {
            continue;
        }
        assert_eq!(examples.len(), gives.len(), "{row}");
        for (source, expected) in examples.iter().zip(gives) {
            assert_eq!(example(source), expected, "{source}");
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn every_usage_in_a_hint_is_a_call_that_is_right() {
    for signature in signatures::ALL {
        for part in ["title", "alert", "body", "digest"] {
            let (_, mistakes) = load(&[(&format!("wecom.x.{part}.hbs"), signature.usage)]);
            let call = |mistake: &String| {
                mistake.contains("unknown helper") || mistake.contains("takes ") || mistake.contains("block")
            };
            assert!(!mistakes.iter().any(call), "{}: {mistakes:?}", signature.usage);
        }
        let name = format!("{{{}", signature.name);
        let inner = format!("({} ", signature.name);
        let block = format!("#{} ", signature.name);
        let usage = signature.usage;
        assert!(usage.contains(&name) || usage.contains(&inner) || usage.contains(&block), "{usage}");
    }
}

#[test]
fn the_readme_shows_the_sample_s_first_alert() {
    let shown = README.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    let whole: serde_json::Value = serde_json::from_str(include_str!("../sample.json")).unwrap();
    assert_eq!(shown, whole["alerts"][0]);
    assert_eq!(trial::NOW.to_string(), "2026-11-21T10:04:02Z");
    assert_eq!(Notification::parse(include_bytes!("../sample.json")).unwrap().alerts.len(), 3);
}

#[test]
fn the_readme_s_addition_to_a_built_in_part_works() {
    let source = README.split("```handlebars\n").nth(1).unwrap().split("```").next().unwrap();
    let (templates, mistakes) = load(&[("dingtalk.night.alert.hbs", source)]);
    assert_eq!(mistakes, Vec::<String>::new());
    let scene = Scene { template: "night".to_owned(), ..trial::sample().unwrap() };
    let body = render(&templates, &Fake::new(BotKind::DingTalk), &scene).draft.body;
    let plain = render(&Templates::default(), &Fake::new(BotKind::DingTalk), &scene).draft.body;
    let added: Vec<&str> = body.lines().filter(|line| !plain.contains(line)).collect();
    assert_eq!(added, ["Team shop, query disk_used \\> 0.95", "Team shop", "Team shop"], "{body}");
    let kept: Vec<&str> = body.lines().filter(|line| !line.starts_with("Team shop") && !line.is_empty()).collect();
    assert_eq!(kept, plain.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
}

#[test]
fn the_readme_s_mistake_is_what_is_said() {
    let shown = README.split("## Mistakes").nth(1).unwrap().split("```\n").nth(1).unwrap();
    let (_, mistakes) = load(&[("t/wecom.night.alert.hbs", "{{name}}\non {{instance}}")]);
    assert_eq!(mistakes, [shown.trim_end()]);
}
