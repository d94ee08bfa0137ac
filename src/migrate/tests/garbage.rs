//! Whatever the input: no panic, bounded work, and what comes out can be loaded.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

fn loads(text: &str) -> Vec<String> {
    let (_, mistakes) = crate::render::Templates::new(&[("dingtalk.x.body.hbs", text)]);
    // Loops in loops in loops are too many rounds for some messages, which is only a warning.
    mistakes.iter().filter(|mistake| !mistake.warning).map(ToString::to_string).collect()
}

fn pieces() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "{{ if .Status }}",
        "{{ else }}",
        "{{ else if .GroupLabels.a }}",
        "{{ end }}",
        "{{ range .Alerts }}",
        "{{ range $i, $x := .Alerts.Firing }}",
        "{{ with .GroupLabels }}",
        "{{- ",
        " -}}",
        "{{",
        "}}",
        "{{/* x -- }} {{ */}}",
        "{{ $x }}",
        "{{ $x := .Status }}",
        "{{ $x = 1 }}",
        "{{ .Labels.SortedPairs }}",
        "{{ .Value | len | printf \"%v\" }}",
        "{{ template \"default.content\" . }}",
        "{{ define \"d\" }}",
        "{{ template \"d\" . }}",
        "{{ block \"d\" .Alerts }}",
        "{{ . }}",
        "{{ .Labels }}",
        "{{ (index .Alerts 0).StartsAt.Format \"2006\" }}",
        "{{ index .GroupLabels \"a]b\" }}",
        "](",
        ")",
        "[",
        "{",
        "}",
        "\\",
        "\n",
        "  ",
        "{{ break }}",
        "{{ range .Labels }}",
        "{{ eq .Status \"\" }}",
        "{{ and .Status (or .Receiver 1) | not }}",
        "{{ printf \"%s{{\" .Status }}",
        "{{ \"\\u0000\\n}}\" }}",
        "{{ .GroupLabels.ü }}",
        "{{ $first := true }}",
        "{{ if $first }}{{ $first = false }}{{ else }}, {{ end }}",
        "{{ $first = false }}",
        "{{ $n := 0 }}",
        "{{ $n = add1 $n }}{{ $n }}",
        "{{ $d := dict \"a\" $d \"b\" . }}",
        "{{ template \"d\" (dict \"a\" . \"b\" $) }}",
        "{{ .a.b }}",
        "{{ range until (len .Alerts) }}",
        "{{ (last (slice .Alerts 1)).Labels.x }}",
        "{{ append (list 1 .Status) . | uniq | reverse | first }}",
        "{{ (split \"-\" .Receiver)._1 }}",
    ]);
    prop_oneof![4 => fixed.prop_map(str::to_owned), 1 => "\\PC{0,6}", 1 => "\\{\\{[ -~]{0,12}\\}\\}"]
}

proptest! {
    #![proptest_config(Config { cases: 400, ..Config::default() })]

    #[test]
    fn anything_is_read_or_refused_and_the_result_loads(parts in prop::collection::vec(pieces(), 0..30)) {
        let text = parts.concat();
        let templates = Templates::new(Vec::new(), true).unwrap();
        let _ = Templates::new(vec![source(&text)], false);
        if let Ok(done) = templates.translate(&source(&text)) {
            prop_assert_eq!(loads(&done.text), Vec::<String>::new(), "{}\n{}", text, done.text);
        }
    }

    /// Balanced ones, so that many get through.
    #[test]
    fn nested_templates_load(depth in 0_usize..30, kinds in prop::collection::vec(0_usize..4, 30), inner in pieces()) {
        let begin = |at: &usize| ["{{ if .Status }}a", "{{ range $.Alerts }}\n", "{{ with $.GroupLabels }} ", "{{ with $.Alerts.Firing }}"][*at];
        let text = format!("{}{inner}{}", kinds[..depth].iter().map(begin).collect::<String>(), "{{ end }}\n".repeat(depth));
        if let Ok(done) = Templates::new(Vec::new(), true).unwrap().translate(&source(&text)) {
            prop_assert_eq!(loads(&done.text), Vec::<String>::new(), "{}\n{}", text, done.text);
        }
    }
}

/// A working template with pieces of itself and others taken out, doubled and put elsewhere.
fn mutated() -> impl Strategy<Value = String> {
    let change = (0..3_usize, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1..40_usize, pieces());
    (0..2_usize, prop::collection::vec(change, 1..12)).prop_map(|(of, changes)| {
        let whole = [super::facts::OTHER_WORDS, BUILT_IN][of].to_owned() + "{{ template \"corp.content\" . }}";
        changes.into_iter().fold(whole, |text, (what, at, to, length, piece)| {
            let mut chars: Vec<char> = text.chars().collect();
            let (at, to) = (at.index(chars.len().max(1)), to.index(chars.len().max(1)));
            let end = (at + length).min(chars.len());
            let cut: Vec<char> = chars.get(at..end).unwrap_or_default().to_vec();
            match what {
                0 => drop(chars.splice(at..end, [])),
                1 => drop(chars.splice(to..to, cut)),
                _ => drop(chars.splice(at..at, piece.chars())),
            }
            chars.into_iter().collect()
        })
    })
}

proptest! {
    #![proptest_config(Config { cases: 200, ..Config::default() })]

    #[test]
    fn mutated_templates_are_read_or_refused_and_the_result_loads(text in mutated()) {
        let templates = Templates::new(Vec::new(), true).unwrap();
        if let Ok(done) = templates.translate(&source(&text)) {
            prop_assert_eq!(loads(&done.text), Vec::<String>::new(), "{}\n{}", text, done.text);
        }
    }
}

#[test]
fn nothing_is_too_deep_or_too_long() {
    for text in [
        "{{ if true }}".repeat(100_000),
        format!("{{{{ {} }}}}", "(".repeat(100_000)),
        "{{ if .Status }}a{{ else }}".repeat(10_000),
        "x".repeat(2 << 20),
    ] {
        assert!(Templates::new(vec![source(&text)], false).is_err(), "{}", &text[..40]);
    }
    let templates = Templates::new(Vec::new(), true).unwrap();
    let chain = format!("{{{{ if .Status }}}}{}{{{{ end }}}}", "{{ else if .Receiver }}".repeat(5_000));
    let with = format!("{{{{ with .Status }}}}{}{{{{ end }}}}", "{{ else with .Receiver }}".repeat(5_000));
    let calls = format!("{{{{ .Status {} }}}}", "| upper ".repeat(100_000));
    let mut vars = "{{ $a := print .Status .Receiver }}".to_owned();
    for _ in 0..200 {
        vars.push_str("{{ $a := print $a $a }}");
    }
    vars.push_str("{{ $a }}");
    let mut dicts = "{{ $a := dict \"x\" .Status }}".to_owned();
    for _ in 0..200 {
        dicts.push_str("{{ $a := dict \"x\" $a \"y\" $a }}");
    }
    dicts.push_str("{{ $a.x }}");
    let flags: String = (0..8_000).map(|at| format!("{{{{ $v{at} := true }}}}{{{{ $v{at} = false }}}}")).collect();
    for (text, what) in [
        (dicts, "this is too long for one expression"),
        (flags, "the variable $v0 changes its value, which Handlebars' can not"),
        (chain, "too many `else if`"),
        (with, "blocks nest too deeply"),
        (format!("{{{{ {} }}}}", ".a".repeat(100_000)), "the message's field `.a` has no counterpart"),
        (calls, "this is too long for one expression"),
        (vars, "this is too long for one expression"),
    ] {
        let done = templates.translate(&source(&text)).unwrap();
        assert!(done.findings.iter().any(|found| found.what == what), "{:?}", findings(&done).first());
        assert_eq!(loads(&done.text), Vec::<String>::new());
    }
}

/// Each of these calls the next one twice: written out it would be a billion lines.
#[test]
fn templates_that_double_are_not_written_out() {
    let mut text = String::new();
    for at in 0..30 {
        text.push_str(&format!(
            "{{{{ define \"d{at}\" }}}}line {{{{ template \"d{0}\" . }}}}{{{{ template \"d{0}\" . }}}}{{{{ end }}}}",
            at + 1
        ));
    }
    text.push_str("{{ define \"d30\" }}end{{ end }}{{ template \"d0\" . }}");
    let done = Templates::new(Vec::new(), true).unwrap().translate(&source(&text)).unwrap();
    assert_eq!(done.text, "");
    let what = "the result is too long: templates that call each other are written out at each place";
    assert_eq!(findings(&done), [format!("1:1: {what}")]);
}
