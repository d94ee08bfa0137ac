//! Values: they read as typed, and mean nothing to a vendor's parser, wherever a template puts them.

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser};

use super::dialect;
use crate::channel::escape::{GAP, one_line, wide};
use crate::model::BotKind::{self, DingTalk, Feishu, WeCom};

fn escape(kind: BotKind, value: &str) -> String {
    dialect(kind, false).escape(value)
}

#[test]
fn ordinary_values_stay_as_they_are() {
    for value in [
        "10.0.0.1:9100",
        "[::1]:9100x",
        "node_cpu_seconds",
        "a@b.com",
        "5 > 3",
        "3 < 5 and x <= 7",
        "C++",
        "从库延迟 312s，阈值 60s",
        "/var/lib/data (95.3%)!",
        "C:\\dir\\file",
        "~5m",
        "https://wiki.example/~me/a_b?x=1&y=2",
        "2 * 3 * 4",
        "-5",
        "node[0].x",
        "👨\u{200d}👩\u{200d}👧 ok",
    ] {
        for kind in [DingTalk, WeCom] {
            if !value.starts_with(['~', '[']) && !value.ends_with('!') {
                assert_eq!(escape(kind, value), value);
            }
            assert_eq!(shown(kind, &escape(kind, value)), narrow(value));
        }
        assert_eq!(shown(Feishu, &escape(Feishu, value)), value);
    }
}

#[test]
fn hostile_values_by_vendor() {
    let g = GAP;
    for (value, wide, feishu) in [
        ("@all", "＠all".to_owned(), "@all"),
        ("@所有人", "＠所有人".to_owned(), "@所有人"),
        ("x@13800000000", "x＠13800000000".to_owned(), "x@13800000000"),
        ("x@all!", format!("x＠all!{g}"), "x@all&#33;"),
        ("<@zhangsan>", "＜＠zhangsan>".to_owned(), "&#60;@zhangsan&#62;"),
        ("<at id=all></at>", "＜at id=all>＜/at>".to_owned(), "&#60;at id=all&#62;&#60;/at&#62;"),
        ("</font>x", "＜/font>x".to_owned(), "&#60;/font&#62;x"),
        ("[a](http://evil)", format!("{g}[a]{g}(http://evil)"), "&#91;a&#93;(http://evil)"),
        ("# big", format!("{g}# big"), "&#35; big"),
        ("#1", format!("{g}#1"), "&#35;1"),
        ("> q", format!("{g}> q"), "&#62; q"),
        ("- item", format!("{g}- item"), "&#45; item"),
        ("1. item", format!("1{g}. item"), "1&#46; item"),
        ("`code`", "｀code｀".to_owned(), "&#96;code&#96;"),
        ("**b** _i_", "＊＊b＊＊ ＿i＿".to_owned(), "&#42;&#42;b&#42;&#42; &#95;i&#95;"),
        ("a\r\n\n  # b", "a # b".to_owned(), "a # b"),
        ("a\u{2028}b\u{0}c\td", "a b c d".to_owned(), "a b c d"),
        ("\u{202e}evil\u{202c}\u{200b}\u{2066}x", "evilx".to_owned(), "evilx"),
        ("&lt;at&gt;", format!("&{g}lt;at&{g}gt;"), "&#38;lt;at&#38;gt;"),
        (":DONE:", ":DONE:".to_owned(), "&#58;DONE:"),
        ("\\", format!("\\{g}"), "&#92;"),
    ] {
        assert_eq!(escape(DingTalk, value), wide, "{value:?}");
        assert_eq!(escape(WeCom, value), wide, "{value:?}");
        assert_eq!(escape(Feishu, value), feishu, "{value:?}");
    }
}

/// What a person sees of an escaped value.
fn shown(kind: BotKind, escaped: &str) -> String {
    if kind != Feishu {
        return narrow(escaped);
    }
    let (shape, text) = parse(&format!("x{escaped}x"));
    assert_eq!(shape, ["start", "end"], "{escaped}");
    text[1..text.len() - 1].to_owned()
}

/// Full-width forms and gaps undone.
fn narrow(text: &str) -> String {
    let back = |c: char| (' '..='~').find(|ascii| *ascii != ' ' && wide(*ascii) == c).unwrap_or(c);
    text.chars().filter(|c| *c != GAP).map(back).collect()
}

/// The structure a CommonMark parser finds, and all text in it.
fn parse(markdown: &str) -> (Vec<String>, String) {
    let (mut shape, mut text) = (Vec::new(), String::new());
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Text(part) => text.push_str(&part),
            Event::SoftBreak | Event::HardBreak => {
                shape.push("break".to_owned());
                text.push('\n');
            }
            Event::Start(pulldown_cmark::Tag::Paragraph) => shape.push("start".to_owned()),
            Event::End(pulldown_cmark::TagEnd::Paragraph) => shape.push("end".to_owned()),
            other => shape.push(format!("{other:?}")),
        }
    }
    (shape, text)
}

/// What templates put around values.
const PLACES: [(&str, &str, &str); 15] = [
    ("", "", ""),
    ("- ", "", ""),
    ("> ", " ", ""),
    ("# ", " - ", ""),
    ("text\n", "\n", "\nmore"),
    ("a | b\n", "\n", "\nc | d"),
    ("**", "** **", "**"),
    ("[", "](http://real) [", "](http://real)"),
    ("name: ", ", ", "."),
    ("<font color=\"info\">", "</font> ", ""),
    ("x ", "(", ") [t](http://real)"),
    ("| a | b |\n|---|---|\n| ", " | ", " |\n| c | d |"),
    ("- a\n    - ", "\n    - ", "\n"),
    ("1. ", "\n2. *", "*"),
    (">> ", " ![i](http://real/i.png) ", "\n\n---\nx"),
];

/// Characters that mean something somewhere, and ordinary ones.
pub(super) fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[-\\[\\](){}<>#*_~`|+=:!.&;@\\\\\"' /0-9a-c]{1,3}",
        1 => "\\PC{1,3}",
        1 => "[\n\r\t\u{200b}\u{202e}\u{2028}\u{0}]",
        2 => prop::sample::select(vec![
            "@all", "<@id>", "<at id=all></at>", "<at user_id=\"all\">", "@13800000000", "](http://evil)", "[x](http://evil)",
            "![i](http://evil)", "<font color=\"red\">", "</font>", "&lt;", "&#60;", "```", "~~~", "---", "===", "1. ", "1) ",
            "<http://evil>", "<!--", "|-|", "[a]: http://evil", "node_cpu_seconds", "a@b.com", "所有人",
        ]).prop_map(str::to_owned),
    ];
    let value = proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat());
    // An empty value is no value: templates that put marks around it are wrong by themselves.
    value.prop_map(|value| if one_line(&value).is_empty() { "-".to_owned() } else { value })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_value_reads_as_typed_and_changes_no_structure(
        one in hostile(), two in hostile(), place in prop::sample::select(PLACES.to_vec()),
    ) {
        let (before, between, behind) = place;
        let build = |one: &str, two: &str| parse(&format!("{before}{one}{between}{two}{behind}"));
        for kind in BotKind::ALL {
            let (shape, text) = build(&escape(kind, &one), &escape(kind, &two));
            let (harmless, around) = build("Q", "W");
            prop_assert_eq!(&shape, &harmless, "{:?}: {}", kind, text);
            let (head, rest) = around.split_once('Q').unwrap();
            let (middle, tail) = rest.split_once('W').unwrap();
            let expected = format!("{head}{}{middle}{}{tail}", narrow(&one_line(&one)), narrow(&one_line(&two)));
            prop_assert_eq!(narrow(&text), expected, "{:?}", kind);
        }
    }

    #[test]
    fn a_value_calls_nobody_and_stays_one_line(value in prop_oneof![hostile(), any::<String>()]) {
        for kind in BotKind::ALL {
            let escaped = escape(kind, &value);
            let lower = escaped.to_ascii_lowercase();
            prop_assert!(!lower.contains("<@") && !lower.contains("<a") && !lower.contains("</") && !lower.contains("<f"));
            let turning = '\u{202a}'..='\u{202e}';
            let odd = escaped.chars().find(|c| c.is_control() || turning.contains(c));
            prop_assert_eq!(odd, None);
            if kind != Feishu {
                for (at, _) in escaped.match_indices('@') {
                    let behind = &lower[at + 1..];
                    let word: String = behind.chars().take_while(|c| c.is_alphanumeric()).collect();
                    prop_assert!(behind.starts_with(|c: char| c.is_ascii_alphabetic()) && word != "all", "{}", escaped);
                }
            }
        }
    }
}

#[test]
fn long_hostile_values_take_linear_time() {
    // Quadratic work on half a megabyte would take minutes.
    for piece in ["_", "<a", "&#", "](", "*", "\\", "~", "[", "\n ", "\u{200d}", "1."] {
        let value = piece.repeat(200_000);
        for kind in BotKind::ALL {
            assert!(escape(kind, &value).len() <= value.len() * 6 + 8);
        }
    }
}
