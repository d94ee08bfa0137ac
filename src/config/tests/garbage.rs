//! No text panics, loops or grows.

use std::path::Path;

use proptest::prelude::*;

use super::super::*;
use super::root;

fn any(text: &str) {
    let outcome = parse_str("x", text, Path::new("/nonexistent"));
    let mistakes = outcome.map_or_else(|mistakes| mistakes, |loaded| loaded.warnings);
    assert!(mistakes.len() <= 201);
    assert!(report(&mistakes).len() < 400_000);
    let _ = parse_web_str("x", text);
}

/// YAML that looks like a config: known keys with values of any shape.
fn yaml() -> impl Strategy<Value = String> {
    let key = prop::sample::select(
        [KEYS, bots::KEYS, global::KEYS, policies::KEYS, people::CONTACT_KEYS, intervals::KEYS, http::KEYS].concat(),
    );
    let word = prop::sample::select(vec![
        "a", "none", "~", "\"\"", "5m", "64MB", "true", "dingtalk", "[]", "{}", "critical", "'...'", "1e999", "*a",
        "&a b",
    ]);
    let leaf = word.prop_map(str::to_owned);
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|entries| {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn garbage_is_refused_calmly(text in "[\\PC\\n\\t]{0,200}") {
        any(&text);
    }

    #[test]
    fn yaml_garbage_is_refused_calmly(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \\n\\ta-c0]|: |- |\\n  ){0,120}") {
        any(&text);
    }

    #[test]
    fn any_shape_of_value_is_refused_calmly(text in yaml()) {
        any(&text);
    }

    #[test]
    fn a_damaged_config_is_refused_calmly(at in 0usize..6_000, cut in 0usize..40, put in "[-:,\\[\\]{}'\"#&*| \\n\\t]{0,3}") {
        let text = std::fs::read_to_string(root().join("examples/full.yml")).unwrap();
        let damaged: String = text.chars().take(at).chain(put.chars()).chain(text.chars().skip(at + cut)).collect();
        any(&damaged);
    }
}

#[test]
fn bombs_are_bounded() {
    any(&"[".repeat(100_000));
    any(&"{a: ".repeat(100_000));
    any(&"- ".repeat(100_000));
    any(&format!("bots: [{}]", "a,".repeat(900_000)));
    any(&format!("bots: {{{}}}", (0..100_000).map(|n| format!("k{n}: 1,")).collect::<String>()));
    any(&format!("a: {}", "x".repeat(4 << 20)));
    any(&format!("\"{}", "x\n".repeat(1 << 20)));
    any("\u{0}\u{1}\u{7f}");
    any("a: !!binary aGk=\nb: !<tag:x> y\n? [a]\n: b\n");
    let wide: String = (0..2_000).map(|n| format!("k{n}: &k{n} [{}]\n", "*a,".repeat(50))).collect();
    any(&format!("a: &a [{}]\n{wide}", "x,".repeat(200)));
}
