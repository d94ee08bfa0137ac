//! What is wrong with a template is said when it is loaded: where, what, and what to write instead.

use super::sets::load;
use super::*;

/// Where, what and hint of the mistakes in one part, a line each.
fn of(part: &str, source: &str) -> Vec<String> {
    let (_, mistakes) = Templates::new(&[(format!("t/wecom.x.{part}.hbs"), source)]);
    let shown = |mistake: &crate::model::Mistake| {
        let place = &mistake.place;
        let warning = if mistake.warning { "warning: " } else { "" };
        let hint = if mistake.hint.is_empty() { String::new() } else { format!(" -- {}", mistake.hint) };
        format!("{}:{} {warning}{}{hint}", place.line, place.column, mistake.what)
    };
    mistakes.iter().map(shown).collect()
}

#[test]
fn fields_that_no_message_has() {
    for (part, source, expected) in [
        ("alert", "a\n {{lables.instance}}", "2:4 unknown field `lables` -- did you mean `labels`?"),
        ("alert", "{{instance}}", "1:3 unknown field `instance` -- `instance` is of the labels: write labels.instance"),
        (
            "alert",
            "{{runbook_url}}",
            "1:3 unknown field `runbook_url` -- `runbook_url` is of the annotations: write annotations.runbook_url",
        ),
        ("alert", "{{bot}}", "1:3 unknown field `bot` -- `bot` is a field of the message: write @root.bot"),
        ("alert", "{{biz_line}}", "1:3 unknown field `biz_line` -- if it is a label: labels.biz_line"),
        ("alert", "{{../lables}}", "1:3 unknown field `lables` -- `lables` is nothing"),
        ("alert", "{{@root.stats}}", "1:3 unknown field `stats` -- did you mean `state`?"),
        ("alert", "{{Labels.alertname}}", "1:3 unknown field `Labels` -- did you mean `labels`?"),
        ("alert", "{{upper severty}}", "1:9 unknown field `severty` -- did you mean `severity`?"),
        ("alert", "{{#if (and firing sumary)}}x{{/if}}", "1:19 unknown field `sumary` -- did you mean `summary`?"),
        (
            "alert",
            "{{labels.a.b}}",
            "1:3 `labels.a.b` leads nowhere: what stands before its end is a text -- a name with dots stands in brackets",
        ),
        ("body", "{{name.x}}", "1:3 `name.x` leads nowhere: what stands before its end is a text"),
        (
            "body",
            "{{startsAt}}",
            "1:3 unknown field `startsAt` -- `startsAt` is a field of each alert: {{#each alerts}}{{startsAt}}{{/each}}",
        ),
        (
            "title",
            "{{instance}}",
            "1:3 unknown field `instance` -- write commonLabels.instance, or labels.instance inside {{#each alerts}}",
        ),
        (
            "body",
            "{{alerts.name}}",
            "1:3 `alerts.name` leads nowhere: `alerts` is a list -- {{#each alerts}}...{{/each}}",
        ),
        (
            "body",
            "{{#each alerts}}{{pod}}{{/each}}",
            "1:19 unknown field `pod` -- `pod` is of the labels: write labels.pod",
        ),
        ("body", "{{#each alerts as |a|}}{{a.nam}}{{/each}}", "1:26 unknown field `nam` -- did you mean `name`?"),
        ("body", "{{#each (where alerts \"status\" \"firing\")}}{{nam}}{{/each}}", "1:45 unknown field `nam`"),
        (
            "body",
            "{{#each (groupBy alerts \"labels.x\")}}{{keys}}{{/each}}",
            "1:40 `keys` needs a value -- write {{join",
        ),
        ("body", "{{#each (groupBy alerts \"labels.x\")}}{{ky}}{{/each}}", "1:40 unknown field `ky`"),
        (
            "body",
            "{{#each (groupBy alerts \"lables.x\")}}{{key}}{{/each}}",
            "1:26 unknown field `lables` -- did you mean `labels`?",
        ),
        ("body", "{{#with (first alerts)}}{{nam}}{{/with}}", "1:27 unknown field `nam` -- did you mean `name`?"),
        ("body", "{{#each links}}{{nam}}{{/each}}", "1:18 unknown field `nam` -- did you mean `name`?"),
        ("body", "{{#each name}}x{{/each}}", "1:9 `name` is no list -- each goes through lists"),
        (
            "body",
            "{{#if single}}a{{else if allclear}}b{{/if}}",
            "1:26 unknown field `allclear` -- did you mean `allClear`?",
        ),
        ("body", "{{#*inline \"p\"}}{{nam}}{{/inline}}{{#each alerts}}{{> p}}{{/each}}", "1:19 unknown field `nam`"),
        ("body", "{{@root}}", "1:3 unknown variable `@root` -- there are @index"),
        ("body", "{{end}}", "1:3 unknown field `end` -- this looks like a Go template"),
        ("digest", "{{#each classes}}{{totl}}{{/each}}", "1:20 unknown field `totl` -- did you mean `total`?"),
        ("digest", "{{#each classes}}{{#each alerts}}{{lin}}{{/each}}{{/each}}", "1:36 unknown field `lin`"),
        ("digest", "{{alertTexts}}", "1:3 unknown field `alertTexts` -- "),
    ] {
        let found = of(part, source);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert!(found[0].starts_with(expected.split(" -- `lables` is nothing").next().unwrap()), "{source}: {found:?}");
    }
}

#[test]
fn what_may_be_there_is_let_through() {
    for (part, source) in [
        ("alert", "{{labels.anything}}{{labels.[a.b]}}{{annotations.x}}{{../bot}}{{@root.routeLabels.y}}{{this.name}}"),
        ("alert", "{{#with labels}}{{pod}}{{#each this}}{{@key}}{{this}}{{/each}}{{../name}}{{/with}}"),
        ("alert", "{{#each links as |l at|}}{{at}}{{l.url}}{{url}}{{l.name}}{{../name}}{{../../bot}}{{/each}}"),
        (
            "body",
            "{{#each alerts as |first last|}}{{first.name}}{{last}}{{/each}}{{#each policies as |first|}}{{first}}{{/each}}",
        ),
        ("alert", "{{#with (dict \"a\" 1)}}{{a}}{{b}}{{/with}}{{#with (lookup this \"labels\")}}{{x}}{{/with}}"),
        ("body", "{{#each alerts}}{{labels.x}}{{else}}{{name}}{{/each}}{{alerts.[0].name}}{{alerts.0.name}}"),
        ("body", "{{#each (sort (where alerts \"labels.a.b\" \"x\") \"severityRank\")}}{{name}}{{labels.q}}{{/each}}"),
        (
            "body",
            "{{#each (sortedLabels commonLabels)}}{{name}}{{value}}{{/each}}{{#each (pick groupLabels \"a\")}}{{this}}{{/each}}",
        ),
        ("body", "{{#each (groupBy alerts \"labels.x\")}}{{key}}{{#each items}}{{name}}{{@index}}{{/each}}{{/each}}"),
        ("body", "{{#*inline \"p\"}}{{name}}{{mine}}{{/inline}}{{#each alerts}}{{> p mine=1}}{{/each}}{{> p mine=2}}"),
        (
            "body",
            "{{#*inline \"unused\"}}{{whatever}}{{/inline}}{{> [unused] alerts.[0] }}".split("{{>").next().unwrap(),
        ),
        (
            "body",
            "{{#each notes}}{{this}}{{/each}}{{#each policies}}{{this}}{{/each}}{{default nothing_known.x \"\"}}"
                .split("{{default")
                .next()
                .unwrap(),
        ),
        (
            "digest",
            "{{#each classes}}{{#each names}}{{name}}{{count}}{{/each}}{{#each alerts}}{{line}}{{name}}{{/each}}{{/each}}{{storm.digest}}",
        ),
    ] {
        assert_eq!(of(part, source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn calls_that_can_not_work() {
    for (source, expected) in [
        ("{{truncate name}}", "1:3 `truncate` takes 2 values, here it has 1 -- write {{truncate summary 80}}"),
        ("a {{upper name 1}}", "1:5 `upper` takes 1 value, here it has 2 -- write {{upper name}}"),
        ("{{upper}}", "1:3 `upper` needs a value -- write {{upper name}}"),
        ("{{#if (eq name)}}x{{/if}}", "1:8 `eq` takes 2 values, here it has 1"),
        ("{{concat sep=\"x\"}}", "1:3 `concat` takes at least 1 value, here it has 0"),
        ("{{slice name}}", "1:3 `slice` takes 2 to 3 values, here it has 1"),
        ("{{#upper name}}x{{/upper}}", "1:4 `upper` is no block -- write {{upper name}}"),
        ("{{if single}}", "1:3 `if` is a block -- write {{#if firing}}...{{/if}}"),
        (
            "{{#each alerts}}{{time startsAt zone=\"UTC\"}}{{/each}}",
            "1:33 `time` knows no `zone=` -- it knows `tz=`, `go=`",
        ),
        ("{{time now tz=\"Asia/Shangai\"}}", "1:3 `time`: there is no time zone \"Asia/Shangai\" -- write {{time"),
        ("{{time now \"%Q%!\"}}", "1:3 `time`: \"%Q%!\" is no layout of strftime: "),
        ("{{time now go=\"15 -07\"}}", "1:3 `time`: `-07` in a Go layout has no counterpart"),
        ("{{match name \"(\"}}", "1:3 `match`: \"(\" is not a regular expression, or too large a one"),
        ("{{replace name \"[\" \"\" regex=true}}", "1:3 `replace`: \"[\" is not a regular expression"),
        ("{{capture name \"*\"}}", "1:3 `capture`: \"*\" is not a regular expression"),
        ("{{color \"gren\" name}}", "1:3 `color`: there is no colour `gren`; did you mean `green`?"),
        ("{{color \"red\"}}", "1:3 `color` takes 2 values, here it has 1"),
        ("{{#with (dict \"a\")}}x{{/with}}", "1:10 `dict`: every key needs a value"),
        ("{{toUpper name}}", "1:3 unknown helper `toUpper` -- here it is {{upper x}}"),
        ("{{reReplaceAll \"a\" \"b\" name}}", "1:3 unknown helper `reReplaceAll` -- here it is {{replace text"),
        ("{{> builtin}}", "1:5 unknown partial `builtin` -- the built-in text of this part is {{builtin}}"),
        ("{{> default}}", "1:5 unknown partial `default` -- the built-in text of this part is {{builtin}}"),
    ] {
        let found = of("body", source);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
        assert!(found[0].starts_with(expected), "{source}: {found:?}");
    }
    // A layout that would put the finding of another way of writing it right is right.
    for right in [
        "{{replace name \"[\" \"\"}}",
        "{{color \"灾难\" name}}",
        "{{time now go=\"Jan 2, 2006\"}}",
        "{{#color \"red\"}}x{{/color}}",
    ] {
        assert_eq!(of("body", right), Vec::<String>::new(), "{right}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_in_its_order() {
    let source = "{{uper name}}\n{{nam}} {{nam}}\n{{#each alerts}}{{truncate sumary}}{{/each}}";
    let found = of("body", source);
    let places: Vec<&str> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(places, ["1:3", "2:3", "2:11", "3:19", "3:28"], "{found:?}");
    assert_eq!(of("body", &"{{nam}}\n".repeat(500)).len(), 50);
}

#[test]
fn what_always_fails_is_found_by_a_trial() {
    for (part, source, expected) in [
        ("body", "a\n{{time name}}", "2:1 time: this is not an RFC 3339 time -- this fails for every message"),
        (
            "alert",
            "{{truncate summary name}}",
            "1:1 truncate: say how many characters: {{truncate text 80}} -- this fails for every message",
        ),
        (
            "digest",
            "{{#each (range total 100000)}}{{/each}}",
            "1:1 range: more than 1000 numbers -- this fails for every message",
        ),
        (
            "body",
            "{{#if allClear}}{{time name}}{{/if}}",
            "1:17 warning: time: this is not an RFC 3339 time -- this fails for a resolved alert",
        ),
        (
            "alert",
            "{{#unless summary}}{{time name}}{{/unless}}",
            "1:20 warning: time: this is not an RFC 3339 time -- this fails for an alert with no label but its name, and no \
             annotation",
        ),
        (
            "title",
            "{{#if (eq kind \"template_card\")}}{{time name}}{{/if}}",
            "1:34 warning: time: this is not an RFC 3339 time -- this fails for the kind template_card",
        ),
    ] {
        assert_eq!(of(part, source), [expected], "{source}");
    }
    // Each part is tried alone: the one does not hide the other.
    let files = [("wecom.x.alert.hbs", "{{time name}}"), ("wecom.x.title.hbs", "{{time bot}}")];
    assert_eq!(load(&files).1.len(), 2);
}
