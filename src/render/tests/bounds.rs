//! Helpers with anything as their arguments: no panic, no mark left or forged, nothing unescaped, and bounds that hold.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::props::text;
use super::*;

/// Renders a body whose fields a hostile sender chose: `a`, `b` and `c` are the annotations of the only alert.
fn body(source: &str, texts: [&str; 3], kind: BotKind, layout: Layout) -> Result<String, String> {
    static BASE: LazyLock<Templates> = LazyLock::new(Templates::default);
    let Ok(template) = templates::parse(source) else { return Err("not read".to_owned()) };
    let part = templates::Compiled {
        name: String::new(),
        path: String::new(),
        part: templates::Part::Body,
        template: Arc::new(template),
        built_in: None,
        custom: true,
    };
    // Without looking at it first: what is refused when it is loaded must hold, too.
    let templates = BASE.alone(kind.as_str(), part, "x");
    let mut alert = lag("db", false);
    // Links are the built-in fields' own.
    alert.generator_url.clear();
    alert.annotations.clear();
    for (name, value) in ["a", "b", "c"].iter().zip(texts) {
        alert.annotations.insert((*name).to_owned(), value.to_owned());
        alert.labels.insert((*name).to_owned(), value.to_owned());
    }
    let body = Notification { external_url: String::new(), ..group(vec![alert.clone(), alert]) };
    let mut scene = scene(body, Lang::En);
    scene.template = "x".to_owned();
    scene.keywords.clear();
    scene.mentions.people = vec![person("bo")];
    let made = render(&templates, &Angles { kind, layout }, &scene);
    made.failure.map_or(Ok(made.draft.body), |failure| Err(failure.error))
}

/// Values lose every sign that could be markup; mention text is `@(name)`.
struct Angles {
    kind: BotKind,
    layout: Layout,
}

impl Dialect for Angles {
    fn kind(&self) -> BotKind {
        self.kind
    }

    fn layout(&self, _: Shape) -> Layout {
        self.layout
    }

    fn escape(&self, value: &str) -> String {
        value.split_whitespace().collect::<Vec<_>>().join(" ").replace(['<', '[', '@', '*', '`', '('], "?")
    }

    fn mention_text(&self, mentions: &Mentions, _: Lang) -> String {
        mentions.people.iter().map(|person| format!("@({})", person.name)).collect::<Vec<_>>().join(" ")
    }

    fn size(&self, _: &Draft) -> usize {
        0
    }

    fn limit(&self, _: &Draft) -> usize {
        usize::MAX
    }

    fn encode(&self, _: &Draft, _: &str) -> Vec<u8> {
        Vec::new()
    }

    fn keyword_texts<'a>(&self, draft: &'a Draft) -> Vec<&'a str> {
        vec![&draft.title, &draft.body]
    }
}

const ARGUMENTS: [&str; 22] = [
    "labels.a",
    "labels.b",
    "annotations.c",
    "labels",
    "@root.alerts",
    "@root",
    "this",
    "nothing",
    "\"\"",
    "\"labels.a\"",
    "\"x\"",
    "0",
    "3",
    "-1",
    "99999999999",
    "1.5",
    "true",
    "null",
    "(list labels.a 1 labels)",
    "(split labels.a labels.b)",
    "startsAt",
    "\"%\"",
];

fn call() -> impl Strategy<Value = String> {
    let helper = prop::sample::select(signatures::ALL.iter().collect::<Vec<_>>());
    let args = prop::collection::vec(prop::sample::select(ARGUMENTS.to_vec()), 0..5);
    let named = prop::option::of(prop::sample::select(vec!["tz", "go", "regex", "reverse", "q"]));
    (helper, args, named, prop::sample::select(ARGUMENTS.to_vec()), 0..4_usize).prop_map(
        |(helper, mut args, named, value, how)| {
            // Most calls have as many arguments as the helper wants: others are refused when they are loaded.
            if how > 0 {
                while args.len() < helper.args.0 {
                    args.push(value);
                }
                args.truncate(helper.args.1.min(4));
            }
            let mut inner = format!("{} {}", helper.name, args.join(" "));
            if let Some(named) = named.filter(|named| how == 0 || helper.named.contains(named) || helper.name == "url")
            {
                inner.push_str(&format!(" {named}={value}"));
            }
            match helper.form {
                signatures::Form::Block => format!("{{{{#{inner}}}}}{{{{this}}}}{{{{else}}}}-{{{{/{}}}}}", helper.name),
                _ if how == 2 => format!("{{{{#each ({inner})}}}}{{{{this}}}}{{{{@key}}}}{{{{/each}}}}"),
                _ if how == 3 => format!("{{{{upper ({inner})}}}}{{{{color \"red\" ({inner})}}}}"),
                _ => format!("{{{{{inner}}}}}"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn helpers_hold(call in call(), a in text(), b in text(), c in text(), kind in 0..3_usize, layout in 0..3_usize) {
        let kind = BotKind::ALL[kind];
        let layout = *Layout::of(kind).get(layout).unwrap_or(&Layout::of(kind)[0]);
        let source = format!("{{{{#with alerts.[0]}}}}{call}{{{{/with}}}}");
        // `raw` is what it says.
        prop_assume!(!call.contains("raw"));
        let Ok(body) = body(&source, [&a, &b, &c], kind, layout) else { return Ok(()) };
        prop_assert!(body.len() <= 1_100_000);
        prop_assert!(!body.chars().any(|c| ('\u{fdd0}'..='\u{fdd3}').contains(&c)), "a mark is left: {call}: {body:?}");
        // The only tags and calls are the helpers' own.
        let own = body.replace("@(bo)", "").replace("</font>", "").replace("[db]", "");
        let tags = own.match_indices('<').all(|(at, _)| own[at..].starts_with("<font color="));
        prop_assert!(tags, "{call}: {body:?}");
        prop_assert!(!own.contains('@'), "{call}: {body:?}");
        prop_assert!(!own.contains('[') || call.contains("link"), "{call}: {body:?}");
        prop_assert_eq!(body.matches("<font ").count(), body.matches("</font>").count(), "{}: {:?}", call, body);
    }
}

#[test]
fn every_helper_is_reached() {
    // What the property above tries must be calls that are taken.
    let mut refused = Vec::new();
    for helper in signatures::ALL.iter().filter(|helper| helper.form != signatures::Form::Block && helper.args.0 > 0) {
        let args = vec!["labels.a"; helper.args.0.max(usize::from(helper.name == "color") * 2)].join(" ");
        let (_, mistakes) = Templates::new(&[("wecom.x.alert.hbs", format!("{{{{{} {args}}}}}", helper.name))]);
        if mistakes.iter().any(|mistake| !mistake.hint.starts_with("this fails")) {
            refused.push(format!("{}: {mistakes:?}", helper.name));
        }
    }
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn what_helpers_may_do_in_one_run_is_bounded() {
    let long = "长".repeat(900);
    for (source, error) in [
        ("{{#each (range 1000)}}{{#each (range 1000)}}x{{/each}}{{/each}}", "too many rounds"),
        (
            "{{#each (range 1000)}}{{#each (range 49)}}{{len (where @root.alerts \"name\" \"x\")}}{{/each}}{{/each}}",
            "too much work",
        ),
        ("{{#each (range 1000)}}{{#each (range 49)}}{{len (repeat \"x\" 65000)}}{{/each}}{{/each}}", "too much work"),
        (
            "{{#each (range 1000)}}{{#each (range 49)}}{{#each (where @root.alerts \"name\" \"x\")}}{{/each}}{{/each}}{{/each}}",
            "too much work",
        ),
        (
            "{{#each (range 1000)}}{{#each (range 49)}}{{match (repeat \"x\" 60000) \"(x+x+)+y\"}}{{/each}}{{/each}}",
            "too much work",
        ),
        ("{{repeat \"xxxxx\" 20000}}", "over 64 KiB"),
        ("{{repeat \"x\" 99999999999999}}", "over 64 KiB"),
        ("{{range 5000}}", "more than 1000"),
        ("{{#each (range 1000)}}{{#color \"red\"}}{{repeat \"x\" 4000}}{{/color}}{{/each}}", "over 1024 KiB"),
    ] {
        let begin = Instant::now();
        let found = body(source, [&long, &long, &long], BotKind::DingTalk, Layout::Markdown).unwrap_err();
        assert!(found.contains(error), "{source}: {found}");
        // Far above what it takes, far below what it would take.
        assert!(begin.elapsed() < Duration::from_secs(60), "{source}: {:?}", begin.elapsed());
    }
}

#[test]
fn colours_are_each_vendor_s() {
    let source = "{{#each (limit alerts 1)}}{{color severity labels.a}}|{{color \"green\" \"x\"}}|{{color \"no such\" \"y\"}}|\
                  {{color 2 \"z\"}}|{{color \"red\" (link \"l\" \"https://x.example/\")}}{{/each}}";
    let made = |kind, layout| body(source, ["<b>", "", ""], kind, layout).unwrap().replace("\n@(bo)", "");
    assert_eq!(
        made(BotKind::DingTalk, Layout::ActionCard),
        "<font color=\"#D92B2B\">?b></font>|<font color=\"#2E8B3D\">x</font>|y|<font color=\"#E07A00\">z</font>|\
         <font color=\"#D92B2B\">[l](https://x.example/)</font>"
    );
    assert_eq!(
        made(BotKind::WeCom, Layout::Markdown),
        "<font color=\"warning\">?b></font>|<font color=\"info\">x</font>|y|<font color=\"warning\">z</font>|\
         <font color=\"warning\">[l](https://x.example/)</font>"
    );
    assert_eq!(
        made(BotKind::Feishu, Layout::Card),
        "<font color='red'>?b></font>|<font color='green'>x</font>|y|<font color='orange'>z</font>|\
         <font color='red'>[l](https://x.example/)</font>"
    );
    for (kind, layout) in
        [(BotKind::WeCom, Layout::MarkdownV2), (BotKind::WeCom, Layout::TemplateCard), (BotKind::Feishu, Layout::Post)]
    {
        assert_eq!(made(kind, layout), "?b>|x|y|z|[l](https://x.example/)");
    }
    // Around a piece of a template: a tag for each line, behind what begins it; values stay on their line.
    let block =
        "{{#each (limit alerts 1)}}{{#color \"red\"}}\n>one {{labels.a}}\n\n- two\n  three \n{{/color}}{{/each}}";
    let made = body(block, ["a\n<b>\n>c", "", ""], BotKind::Feishu, Layout::Card).unwrap();
    assert_eq!(
        made.replace("\n@(bo)", ""),
        "><font color='red'>one a ?b> >c</font>\n\n- <font color='red'>two</font>\n  <font color='red'>three</font>"
    );
}

#[test]
fn only_those_whom_the_message_calls_are_called() {
    let source = "{{#with alerts.[0]}}{{mention \"bo\"}} {{mention labels.a}} {{mention \"@all\"}}{{/with}}";
    let made = |name: &str| body(source, [name, "", ""], BotKind::WeCom, Layout::Markdown).unwrap();
    assert_eq!(made("bo"), "@(bo) @(bo) ?all");
    assert_eq!(made("<@eve>"), "@(bo) ??eve> ?all");
    // A type of message that can not call, and a title, have the name.
    let card = body(source, ["bo", "", ""], BotKind::WeCom, Layout::TemplateCard).unwrap();
    assert!(card.starts_with("bo bo ?all"), "{card}");
    let (templates, mistakes) = Templates::new(&[(
        "dingtalk.x.title.hbs",
        "{{mention \"bo\"}} {{color \"red\" name}} {{link name \"https://x.example/\"}} {{escape \"<b>\"}}",
    )]);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let mut scene = scene(group(vec![lag("db", false)]), Lang::En);
    scene.template = "x".to_owned();
    scene.mentions.people = vec![person("bo")];
    let dialect = Angles { kind: BotKind::DingTalk, layout: Layout::Markdown };
    assert_eq!(render(&templates, &dialect, &scene).draft.title, "bo MySQL主从延迟 MySQL主从延迟 <b>");
}

#[test]
fn queries_out_of_links() {
    let promql = |link: &str| {
        let source = "{{#with alerts.[0]}}[{{promql labels.a}}]{{/with}}";
        let made = body(source, [link, "", ""], BotKind::DingTalk, Layout::Markdown).unwrap();
        made.split_once(']').unwrap().0.trim_start_matches('[').to_owned()
    };
    let explore = "https://g.example/explore?left=%7B%22datasource%22:%22x%22,%22queries%22:%5B%7B%22expr%22:%22up%20%3D%3D%200%22%7D%5D%7D";
    let older =
        "https://g.example/explore?orgId=1&left=%5B%22now-1h%22,%22now%22,%22VM%22,%7B%22expr%22:%22up%22%7D%5D";
    let panes = "https://g.example/explore?panes=%7B%22a%22:%7B%22queries%22:%5B%7B%22refId%22:%22A%22,%22expr%22:%22up%22%7D%5D%7D%7D";
    for (link, expected) in [
        ("http://p:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1", "up == 0"),
        ("http://p:9090/query?g0.expr=rate%28x%7Ba%3D%22b%22%7D%5B5m%5D%29+%3E+1&g0.tab=1", "rate?x{a=\"b\"}?5m]) > 1"),
        ("http://vm:8880/vmui/#/?g0.expr=up&g0.range_input=1h", "up"),
        ("http://vm/vmalert/alert?group_id=1&alert_id=2", ""),
        (explore, "up == 0"),
        (older, "up"),
        (panes, "up"),
        ("https://g.example/explore?left=%7Bbroken", ""),
        ("https://g.example/alerting/grafana/abc/view?orgId=1", ""),
        ("not a link", ""),
        ("http://p/?g0.expr=%3C@all%3E%E2%80%AEx", "??all>x"),
    ] {
        // The brackets around it are the template's.
        assert_eq!(promql(link), expected.split("])").next().unwrap(), "{link}");
    }
}

#[test]
fn times_that_are_written_otherwise() {
    for (source, expected) in [
        ("{{parseTime \"2026-11-21 10:01\" \"%Y-%m-%d %H:%M\" tz=\"Asia/Shanghai\"}}", "2026-11-21T02:01:00Z"),
        ("{{parseTime \"21.11.2026\" \"%d.%m.%Y\"}}", "2026-11-21T00:00:00Z"),
        ("{{parseTime \"2026-11-21T10:01:00+0800\" \"%Y-%m-%dT%H:%M:%S%z\"}}", "2026-11-21T02:01:00Z"),
        ("{{parseTime \"2026-11-21 10:01:02\" go=\"2006-01-02 15:04:05\"}}", "2026-11-21T10:01:02Z"),
        ("{{parseTime \"soon\" \"%Y\"}}", ""),
        ("{{parseTime nothing.x \"%Y\"}}".replace("nothing.x", "commonLabels.x").leak(), ""),
        ("{{addTime \"2026-11-21T10:01:00Z\" \"1w2d\"}}", "2026-11-30T10:01:00Z"),
        ("{{addTime \"2026-11-21T10:01:00Z\" 1.5}}", "2026-11-21T10:01:01.5Z"),
        ("{{addTime commonLabels.x \"1h\"}}", ""),
        ("{{timestamp commonLabels.x}}", ""),
        ("{{duration (addTime now \"-5m\")}}", "5m"),
        ("{{capture \"abc\" \"x\"}}{{base64decode \"%\"}}{{first \"x\"}}{{humanize \"n/a\"}}", "n/a"),
    ] {
        let made = body(&format!("[{source}"), ["", "", ""], BotKind::DingTalk, Layout::Markdown).unwrap();
        assert_eq!(made.lines().next().unwrap().trim_start_matches('['), expected, "{source}");
    }
    for source in
        ["{{addTime now \"soon\"}}", "{{addTime now \"1y\"}}", "{{addTime now \"999999999w\"}}", "{{parseTime now}}"]
    {
        assert!(body(source, ["", "", ""], BotKind::DingTalk, Layout::Markdown).is_err(), "{source}");
    }
}

#[test]
fn a_built_in_part_can_be_kept() {
    for kind in BotKind::ALL {
        let own = |part: &str, source: &str| (format!("{}.x.{part}.hbs", kind.as_str()), source.to_owned());
        let files = [
            own("title", "[{{builtin}}]"),
            own("alert", "{{builtin}}\n+{{labels.instance}}"),
            own("body", "before\n{{#each alerts}}{{#if @first}}{{{builtin}}}{{/if}}{{/each}}\nafter"),
            own("digest", "{{builtin}}\nafter"),
        ];
        let (templates, mistakes) = Templates::new(&files);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let mut scene = scene(group(vec![lag("db<1", false), lag("db-2", false)]), Lang::En);
        scene.keywords.clear();
        let plain = render(&Templates::default(), &Fake::new(kind), &scene).draft;
        scene.template = "x".to_owned();
        let made = render(&templates, &Fake::new(kind), &scene);
        assert!(made.failure.is_none(), "{:?}", made.failure);
        assert_eq!(made.draft.title, format!("[{}]", plain.title));
        let lines = made.draft.body.lines().filter(|line| !line.starts_with('+') && !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        let expected: Vec<&str> = plain.body.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines[1..lines.len() - 1], expected, "{}", made.draft.body);
        assert_eq!((lines[0], lines[lines.len() - 1]), ("before", "after"));
        assert!(made.draft.body.contains("\n+db\\<1\n"), "{}", made.draft.body);

        let mut digest =
            super::digest::digest(vec![super::digest::told("A", "warning", "x", 5, Change::New)], Lang::En);
        let plain = render_digest(&Templates::default(), &Fake::new(kind), &digest).draft.body;
        digest.template = "x".to_owned();
        let made = render_digest(&templates, &Fake::new(kind), &digest).draft.body;
        assert!(made.starts_with(&plain) && made.ends_with("after"), "{made}");
    }
}

#[test]
fn a_failure_says_where_and_about_which_alert() {
    let (templates, _) =
        Templates::new(&[("t/wecom.x.alert.hbs", "ok\n {{#if (eq labels.instance \"db-2\")}}{{time name}}{{/if}}")]);
    let mut scene = scene(group(vec![lag("db-1", false), lag("db-2", false)]), Lang::En);
    scene.template = "x".to_owned();
    let failure = render(&templates, &Fake::new(BotKind::WeCom), &scene).failure.unwrap();
    assert_eq!(failure.alert, Some(lag("db-2", false).fingerprint));
    assert_eq!(failure.template, "wecom.x.alert");
    assert_eq!((failure.place.file.as_str(), failure.place.line, failure.place.column), ("t/wecom.x.alert.hbs", 2, 37));
    assert_eq!(failure.error, "line 2, column 37: time: this is not an RFC 3339 time");
}
