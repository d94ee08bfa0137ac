//! The smaller pieces: helpers, links, what identifies an alert, times, marks.

use super::*;

/// Renders `source` as the body of a message about one alert.
fn body_of(source: &str, lang: Lang) -> Result<String, String> {
    let (templates, mistakes) = Templates::new(&[("wecom.x.body.hbs", source), ("wecom.x.title.hbs", "t")]);
    assert!(mistakes.iter().all(|mistake| mistake.hint.starts_with("this fails")), "{source}: {mistakes:?}");
    let mut scene = scene(group(vec![lag("db-03:3306", false)]), lang);
    let mut alert = (*scene.alerts[0].alert).clone();
    alert.annotations.insert("evil".to_owned(), "<@all> **[x](http://e)**".to_owned());
    alert.annotations.insert("two".to_owned(), "one\n two".to_owned());
    scene.alerts[0].alert = Arc::new(alert);
    scene.template = "x".to_owned();
    scene.keywords.clear();
    scene.mentions.people = vec![person("bo")];
    let rendered = render(&templates, &Fake::new(BotKind::WeCom), &scene);
    match rendered.failure {
        None => Ok(rendered.draft.body.trim_end_matches("\n<@bo>").to_owned()),
        Some(failure) => Err(format!("{}: {}", failure.template, failure.error)),
    }
}

fn en(source: &str) -> String {
    body_of(source, Lang::En).unwrap()
}

/// Evaluates with the first alert as context.
fn alert(expression: &str) -> String {
    en(&format!("{{{{#with alerts.[0]}}}}|{expression}|{{{{/with}}}}")).trim_matches('|').to_owned()
}

#[test]
fn helpers() {
    for (expression, expected) in [
        ("{{time startsAt}}", "02:01:32"),
        ("{{time startsAt \"%Y-%m-%d %H:%M\"}}", "2026-11-21 02:01"),
        ("{{time startsAt \"%H:%M\" tz=\"Asia/Shanghai\"}}", "10:01"),
        ("{{time endsAt}}", ""),
        ("{{time \"2026-11-20T23:00:00+01:00\"}}", "11-20 22:00"),
        ("{{time 1700000000}}", "2023-11-14 22:13"),
        ("{{duration startsAt}}", "2m30s"),
        ("{{duration startsAt \"2026-11-21T05:01:32Z\"}}", "3h"),
        ("{{duration 90061}}", "1d1h"),
        ("{{duration labels.nothing}}", ""),
        ("{{upper severity}} {{lower \"ABC\"}} {{title \"big bad WOLF\"}}", "CRITICAL abc Big Bad Wolf"),
        ("{{trim \"  x \"}}{{oneLine annotations.two}}", "xone two"),
        ("{{join @root.policies \",\"}}", "database-critical"),
        ("{{join \"+\" @root.policies}}", "database-critical"),
        ("{{default labels.nothing \"\" labels.job}}", "mysql"),
        ("{{truncate annotations.summary 5}}", "从库延迟…"),
        ("{{truncate \"abc\" 3}}", "abc"),
        ("{{#if (match labels.instance \"^db-\\\\d+:\")}}yes{{else}}no{{/if}}", "yes"),
        ("{{match \"x\" \"^y\"}}", "false"),
        ("{{replace labels.instance \":3306\" \"\"}}", "db-03"),
        ("{{replace labels.instance \"db-(\\\\d+).*\" \"$1\" regex=true}}", "03"),
        ("{{urlEncode \"a b&c=库\"}}", "a%20b%26c%3D%E5%BA%93"),
        ("{{#each (sortedLabels labels)}}{{name}} {{/each}}", "alertname cluster instance job prometheus severity "),
        ("{{json @root.policies}}", "\\[\"database-critical\"\\]"),
        ("{{#if (eq status \"firing\")}}f{{/if}}{{#if (and (gt 2 1) (not (lt 2 1)))}}!{{/if}}", "f!"),
        ("{{contains annotations.summary \"312\"}} {{contains labels \"job\"}} {{len @root.policies}}", "true true 1"),
        ("{{t \"silence\"}}{{t \"comma\"}}x", "silence, x"),
        ("{{link \"a]b\" \"https://x.example/a(b)\"}}", "[a\\]b](https://x.example/a%28b%29)"),
        ("{{link \"a\" \"javascript:alert(1)\"}}", "a"),
        (
            "{{#each labels}}{{@key}}={{#if @last}}{{this}}{{/if}} {{/each}}",
            "alertname= cluster= instance= job= prometheus= severity=critical ",
        ),
        (
            "{{#each @root.policies as |policy at|}}{{at}}{{policy}}{{../name}}{{/each}}",
            "0database-criticalMySQL主从延迟",
        ),
        ("{{#each (where @root.alerts \"name\" \"x\")}}{{this}}{{else}}none{{/each}}", "none"),
    ] {
        assert_eq!(alert(expression), expected, "{expression}");
    }
    assert_eq!(body_of("{{#each alerts}}{{duration startsAt}}{{/each}}", Lang::Zh).unwrap(), "2分30秒");
}

#[test]
fn helpers_that_fail_say_where() {
    for (source, error) in [
        ("x\n{{time \"yesterday\"}}", "wecom.x.body: line 2, column 1: time: this is not an RFC 3339 time"),
        ("{{time now \"%Q\" tz=(concat \"Mars/Base\")}}", "no time zone \"Mars/Base\""),
        ("{{time now (concat \"%\")}}", "time: "),
        ("{{match name (concat \"(\")}}", "is not a regular expression"),
        ("{{truncate name name}}", "say how many characters"),
        ("{{#with (dict \"x\" alerts)}}{{x.nope}}{{/with}}", "line 1, column 28: Cannot access array"),
    ] {
        let found = body_of(source, Lang::En).unwrap_err();
        assert!(found.contains(error), "{source}: {found}");
    }
}

#[test]
fn values_are_escaped_and_finished_markup_is_not() {
    assert_eq!(alert("{{annotations.evil}}"), "\\<@all\\> \\*\\*\\[x\\](http://e)\\*\\*");
    assert_eq!(alert("{{{annotations.evil}}}{{raw annotations.evil}}"), "<@all> **[x](http://e)**".repeat(2));
    // Through helpers, lists and nested calls, too.
    assert_eq!(alert("{{upper (default annotations.evil)}}").find("<@"), Some(1));
    assert_eq!(en("{{mentions}} {{join (lookup this \"policies\") mentions}}"), "<@bo> database-critical");
    let links =
        "{{#each alerts}}{{link annotations.evil @root.listURL}}{{link annotations.evil generatorURL}}{{/each}}";
    assert_eq!((en(links).matches("<@").count(), en(links).matches("\\<@all\\>").count()), (2, 2));
    assert!(en("{{#each alertTexts}}{{this}}{{/each}}").contains("What</font> 从库延迟"));
    // A key that is none of our own words is a sender's.
    assert_eq!(alert("{{t \"when\"}} {{t annotations.evil}}"), "When \\<@all\\> \\*\\*\\[x\\](http://e)\\*\\*");
    // What cuts finished markup into pieces gets data.
    assert_eq!(en("{{truncate mentions 3}}"), "\\<@…\n<@bo>".trim_end_matches("\n<@bo>"));
}

#[test]
fn marks_in_data_do_not_open_anything() {
    let hostile = "a\u{fdd2}<b>\u{fdd3}\u{fdd0}<c>\u{fdd1}\u{202e}\u{0}";
    assert_eq!(marks::clean(hostile, 100), "a<b><c>");
    let escape = |value: &str| value.replace('<', "!");
    for text in [marks::escape(&marks::clean(hostile, 100)), marks::value(hostile)] {
        assert!(!marks::resolve(&text, escape).contains('<'), "{text:?}");
    }
    let cut = marks::safe("<ok>").replace('\u{fdd3}', "") + "<x>";
    assert!(!marks::resolve(&marks::escape(&cut), escape).contains('<'));
}

#[test]
fn links_are_web_addresses_only() {
    let rewrite = [LinkRewrite { prefix: "http://k8s-0:9090".to_owned(), replace: "https://prom.corp".to_owned() }];
    for (link, expected) in [
        ("http://k8s-0:9090/graph?x=1", Some("https://prom.corp/graph?x=1")),
        ("https://a.example/b c(d)[e]", Some("https://a.example/b%20c%28d%29%5Be%5D")),
        ("https://user:secret@a.example/", Some("https://a.example/")),
        ("https://a.example/库", Some("https://a.example/%E5%BA%93")),
        ("HTTP://A.example", Some("http://a.example/")),
        ("https://a.example/@all?x=@zhangsan", Some("https://a.example/%40all?x=%40zhangsan")),
        ("https://a.example/?a=1&#60;b;c&lt;&&x;", Some("https://a.example/?a=1&#60%3Bb;c&lt%3B&&x%3B")),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("?orgId=1", None),
        ("", None),
        ("//a.example", None),
        ("ftp://a.example", None),
    ] {
        assert_eq!(links::usable(link, &rewrite).as_deref(), expected, "{link}");
    }
    assert_eq!(links::usable(&format!("https://a.example/{}", "x".repeat(2_000)), &[]), None);
}

#[test]
fn a_value_in_an_address_stays_in_it() {
    let escape = |value: &str| value.replace('<', "!");
    for (before, value, behind, expected) in [
        ("[x](", "https://a.example/b?c=_d_", ")", "[x](https://a.example/b?c=_d_)"),
        ("[x](", "https://a.example", "/#/alerts)", "[x](https://a.example/#/alerts)"),
        ("[x](", "https://a.example/", ")", "[x](https://a.example/)"),
        ("[x](", "https://u:p@a.example/)<b", ")", "[x](https://a.example/%29%3Cb)"),
        ("[x](", "javascript:alert(1)", ")", "[x](javascript%3Aalert%281%29)"),
        ("[x](", "//evil.example", ")", "[x](%2F%2Fevil.example)"),
        ("[x](", "", ")", "[x]()"),
        (
            "[x](https://a.example/?q=",
            "a) [y](http://e",
            "&z)",
            "[x](https://a.example/?q=a%29%20%5By%5D%28http://e&z)",
        ),
        ("[x](https://a.example/&#60", ";", ")", "[x](https://a.example/&#60%3B)"),
        ("[x](javascript", ":alert(1)", ")", "[x](javascript%3Aalert%281%29)"),
        ("[x](https://a.example", "@evil.example/", ")", "[x](https://a.example%40evil.example%2F)"),
        ("[x](https://a.example", "/b?c", ")", "[x](https://a.example/b?c)"),
        ("[x](https://", "db-1:9100", "/b)", "[x](https://db-1:9100/b)"),
        ("[x](https://g.", "eu:1", "/b)", "[x](https://g.eu:1/b)"),
        (
            "[x](dingtalk://page/link?url=",
            "https%3A%2F%2Fa",
            "&y=1)",
            "[x](dingtalk://page/link?url=https%3A%2F%2Fa&y=1)",
        ),
        ("[x](https://a.example/) ", "<", "", "[x](https://a.example/) !"),
        ("[x] (", "<", ")", "[x] (!)"),
        ("](", "<\n", "", "](%3C"),
        ("", "<", "", "!"),
    ] {
        let text = format!("{before}{}{behind}", marks::value(value));
        assert_eq!(marks::resolve(&text, escape), expected, "{text}");
    }
    let long = format!("[x]({}", "é".repeat(4_096));
    assert_eq!(marks::resolve(&format!("{long}{}", marks::value("<")), escape), format!("{long}!"));
}

#[test]
fn the_url_helper_keeps_the_host_that_it_was_given() {
    assert_eq!(en("x{{url \"https://a.example\" \"@evil.example/\"}}"), "x");
    assert_eq!(en("{{url \"https://a.example/\" \"@me\"}}"), "https://a.example/%40me");
    assert_eq!(en("{{url \"https://\" \"a.example:1\" \"/b\"}}"), "https://a.example:1/b");
}

#[test]
fn a_silence_link_has_the_labels_as_matchers() {
    let set = labels(&[("alertname", "a\"b"), ("集群", "生产")]);
    let link = links::silence_url("http://am/", &set).unwrap();
    let filter = percent_encoding::percent_decode_str(link.split_once("filter=").unwrap().1).decode_utf8_lossy();
    assert!(link.starts_with("http://am/#/silences/new?filter=%7B"), "{link}");
    assert_eq!(filter, "{alertname=\"a\\\"b\",\"集群\"=\"生产\"}");
    let mut many = labels(&[("alertname", "A"), ("instance", "i")]);
    many.extend((0..100).map(|n| (format!("label_{n}"), "v".repeat(50))));
    assert!(
        links::silence_url("http://am", &many).unwrap().ends_with("%7Balertname%3D%22A%22%2Cinstance%3D%22i%22%7D")
    );
    assert_eq!(links::silence_url("", &set), None);
}

#[test]
fn the_most_identifying_labels_come_first() {
    let identify = |pairs: &[(&str, &str)], common: &[&str], group: &[(&str, &str)]| {
        let mut alert = lag("x", false);
        alert.labels = labels(pairs);
        identity::identity(&alert, &common.iter().copied().collect(), &labels(group)).join(" ")
    };
    let node = [("alertname", "A"), ("instance", "n1:9100"), ("job", "node"), ("mountpoint", "/data"), ("uid", "7")];
    assert_eq!(identify(&node, &[], &[]), "n1:9100 /data");
    assert_eq!(identify(&node, &["instance"], &[]), "/data");
    let pod = [("pod", "cart-1"), ("instance", "10.1.1.1:8080"), ("job", "kube-state-metrics"), ("container", "c")];
    assert_eq!(identify(&pod, &[], &[]), "cart-1");
    assert_eq!(identify(&[("alertname", "A"), ("severity", "x"), ("cluster", "c")], &[], &[]), "");
    assert_eq!(identify(&[("job", "node"), ("namespace", "n")], &[], &[]), "node");
    assert_eq!(identify(&[("namespace", "n"), ("team", "t")], &[], &[]), "n t");
    assert_eq!(identify(&[("case", "g"), ("n", "a")], &[], &[("case", "g")]), "a g");
    // Only noise tells two apart: still better than two lines that look the same.
    assert_eq!(identify(&[("alertname", "A"), ("uid", "1")], &["alertname"], &[]), "1");
    for (value, short) in [("db:3306", "db"), ("[::1]:80", "[::1]"), ("::1", "::1"), ("a:b", "a:b"), (":80", ":80")] {
        assert_eq!(identity::without_port(value), short);
    }
}

#[test]
fn lengths_of_time() {
    for (seconds, zh, en) in [
        (-5, "0秒", "0s"),
        (453, "7分33秒", "7m33s"),
        (3_600, "1小时", "1h"),
        (100_000, "1天3小时", "1d3h"),
        (i64::MAX, "106751991167300天15小时", "106751991167300d15h"),
    ] {
        assert_eq!(
            (words::duration(Lang::Zh, seconds).as_str(), words::duration(Lang::En, seconds).as_str()),
            (zh, en)
        );
    }
    assert_eq!(words::age(Lang::Zh, 30), "不到 1 分钟");
    assert_eq!(words::age(Lang::En, 185), "3m");
    let tz = TimeZone::get("Asia/Shanghai").unwrap();
    for (time, text) in [
        ("2026-11-20T16:00:00Z", "00:00:00"),
        ("2026-11-20T15:59:59Z", "11-20 23:59"),
        ("2025-12-31T15:59:59Z", "2025-12-31 23:59"),
    ] {
        assert_eq!(words::time(at(time), at(NOW), &tz), text);
    }
}

#[test]
fn green_only_when_all_is_clear() {
    let tone = |change: &[Change], still: u32, truncated: u64, rank: u8| {
        let mut scene = scene(group(change.iter().map(|_| lag("db", false)).collect()), Lang::En);
        for (alert, change) in scene.alerts.iter_mut().zip(change) {
            (alert.change, alert.rank) = (*change, rank);
        }
        (scene.still_firing, scene.truncated) = (still, truncated);
        Facts::of(&scene).tone
    };
    use crate::model::Tone::*;
    assert_eq!(tone(&[Change::Resolved, Change::FiredResolved], 0, 0, 0), Green);
    assert_eq!(tone(&[Change::Resolved], 1, 0, 0), Red);
    assert_eq!(tone(&[Change::Resolved], 0, 3, 0), Grey);
    assert_eq!(tone(&[Change::Resolved, Change::New], 0, 0, 1), Red);
    assert_eq!(tone(&[Change::New], 0, 0, 2), Orange);
    assert_eq!(tone(&[Change::Refired], 0, 0, 4), Blue);
    assert_eq!(tone(&[Change::Unchanged], 0, 0, 0), Red);
    assert_eq!(tone(&[Change::Unchanged], 0, 0, 2), Grey);
}
