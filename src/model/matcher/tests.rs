#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn one(text: &str) -> (String, &'static str, String) {
    let m = Matcher::parse(text).unwrap_or_else(|e| panic!("{text}: {e} at {}", e.offset));
    (m.name, m.op.as_str(), m.value)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// The cases of Alertmanager's own parser tables (`matcher/parse`, `pkg/labels`), and common ways to write them.
#[test]
fn reads_what_alertmanager_reads() {
    let table: &[(&str, (&str, &str, &str))] = &[
        ("foo=bar", ("foo", "=", "bar")),
        ("{foo=bar}", ("foo", "=", "bar")),
        ("{foo=bar,}", ("foo", "=", "bar")),
        ("foo=bar,", ("foo", "=", "bar")),
        (" { foo = bar , } ", ("foo", "=", "bar")),
        ("foo!=bar", ("foo", "!=", "bar")),
        ("foo=~[a-z]+", ("foo", "=~", "[a-z]+")),
        ("foo!~[a-z]+", ("foo", "!~", "[a-z]+")),
        ("foo =~ warning|critical", ("foo", "=~", "warning|critical")),
        (r#""foo"="bar""#, ("foo", "=", "bar")),
        (r#"{"foo"!="bar",}"#, ("foo", "!=", "bar")),
        ("foo=🙂bar", ("foo", "=", "🙂bar")),
        (r#""foo"="\xf0\x9f\x99\x82""#, ("foo", "=", "🙂")),
        (r#""foo"="\U0001f642""#, ("foo", "=", "🙂")),
        (r#""foo"="\u96c6\101\t""#, ("foo", "=", "集A\t")),
        (r#"foo="bar\n""#, ("foo", "=", "bar\n")),
        (r#"foo="\"bar\"""#, ("foo", "=", "\"bar\"")),
        (r#"foo="bar\\""#, ("foo", "=", "bar\\")),
        // Classic: other backslashes are literal, quoted or bare.
        (r#"instance=~"10\.0\..*""#, ("instance", "=~", r"10\.0\..*")),
        (r"instance=~10\.0\..*", ("instance", "=~", r"10\.0\..*")),
        (r#"foo="bar\t""#, ("foo", "=", r"bar\t")),
        ("foo=", ("foo", "=", "")),
        (r#"foo="""#, ("foo", "=", "")),
        ("foo=a b", ("foo", "=", "a b")),
        ("foo=a=b", ("foo", "=", "a=b")),
        ("foo=~a{2}", ("foo", "=~", "a{2}")),
        ("{foo=~a{2}}", ("foo", "=~", "a{2}")),
        (
            r#"quote="She said: \"Hi, ladies! That's gender-neutral…\"""#,
            ("quote", "=", "She said: \"Hi, ladies! That's gender-neutral…\""),
        ),
        // UTF-8 names, bare and quoted.
        ("集群=生产", ("集群", "=", "生产")),
        ("a.b-c/d=x", ("a.b-c/d", "=", "x")),
        (r#""foo bar"=~"x.*""#, ("foo bar", "=~", "x.*")),
        (r#""a\"b\\c"="x""#, ("a\"b\\c", "=", "x")),
    ];
    for (text, want) in table {
        let got = one(text);
        assert_eq!((got.0.as_str(), got.1, got.2.as_str()), *want, "{text}");
    }
}

#[test]
fn names_what_is_wrong_and_where() {
    let table: &[(&str, usize, &str)] = &[
        ("", 0, "no matcher"),
        ("{}", 0, "no matcher"),
        (",", 0, "label name, found ,"),
        ("{,}", 1, "label name"),
        ("{", 1, "closing brace"),
        ("{foo=bar", 8, "closing brace"),
        ("foo=bar}", 7, "opening brace"),
        ("foo", 3, "operators"),
        ("foo bar", 4, "operators"),
        ("foo!bar", 3, "operators"),
        ("=bar", 0, "label name"),
        ("foo==bar", 4, "operators"),
        ("foo='bar'", 4, "does not quote"),
        ("foo=\"bar", 4, "closing quote"),
        ("foo=\"bar\\", 4, "closing quote"),
        ("foo=\"bar\"baz", 9, "comma"),
        ("foo=b\"r", 5, "quote inside"),
        ("a=b,,c=d", 4, "label name"),
        ("foo=bar,bar=baz", 0, "not 2"),
        ("\"\"=x", 0, "name is empty"),
        (r#""foo"="bar\w""#, 10, r"\w is not an escape"),
        (r#""foo"="\xf0\x9f""#, 6, "UTF-8"),
        (r#""foo"="\ud800""#, 7, "not an escape"),
        ("集群=~\"(\"", 4, "unclosed group"),
        ("foo=~a)|(b", 5, "unopened group"),
        ("foo=~(?:\\w{500}){500}", 5, "too big"),
    ];
    for (text, offset, part) in table {
        let error = Matcher::parse(text).unwrap_err();
        assert_eq!(error.offset, *offset, "{text}: {}", error.message);
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert!(!error.message.contains('\n'), "{text}: {}", error.message);
    }
}

#[test]
fn compares_as_alertmanager_does() {
    let alert = labels(&[("severity", "critical"), ("team", "db-eu"), ("集群", "生产"), ("empty", "")]);
    let table = [
        (r#"severity="critical""#, true),
        (r#"severity!="critical""#, false),
        // Anchored at both ends.
        (r#"severity=~"crit""#, false),
        (r#"severity=~"crit.*|page""#, true),
        (r#"severity=~"page|crit""#, false),
        (r#"severity!~"crit""#, true),
        (r#"team=~"db|db-..""#, true),
        ("集群=生产", true),
        // A missing label is an empty one.
        (r#"absent="""#, true),
        (r#"absent!="""#, false),
        (r#"empty="""#, true),
        (r#"absent=~".*""#, true),
        (r#"absent=~".+""#, false),
        (r#"absent!~".+""#, true),
        (r#"absent!="x""#, true),
        (r#"team=~".+""#, true),
        (r#"absent=~"a|""#, true),
        (r#"absent=~"""#, true),
        (r#"severity=~"Critical""#, false),
        (r#"severity=~"(?i)Critical""#, true),
    ];
    for (text, want) in table {
        assert_eq!(Matcher::parse(text).unwrap().matches(&alert), want, "{text}");
    }
}

#[test]
fn lists() {
    let texts = |s: &str| Matcher::parse_all(s).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(texts(r#"{foo = "bar", dings != "bums", }"#), r#"foo="bar" dings!="bums""#);
    assert_eq!(texts("foo=bar, dings!=bums"), r#"foo="bar" dings!="bums""#);
    assert_eq!(texts(r#"a="x,y",b=~"p|q""#), r#"a="x,y" b=~"p|q""#);
    assert_eq!(texts(""), "");
    assert_eq!(texts(" { } "), "");
}

proptest! {
    #[test]
    fn display_reads_back(
        name in "\\PC{1,12}|[a-z_]{1,8}|[\\x00-\\x7f]{1,6}",
        op in prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual), Just(MatchOp::Match), Just(MatchOp::NoMatch)],
        value in "\\PC{0,20}|[\\x00-\\x7f]{0,10}|[a-z.|+*\\\\\"]{0,10}",
    ) {
        if let Ok(matcher) = Matcher::new(name, op, value) {
            let text = matcher.to_string();
            prop_assert_eq!(&Matcher::parse(&text).unwrap(), &matcher, "{}", text);
            prop_assert_eq!(Matcher::parse_all(&format!("{{{text},{text}}}")).unwrap(), vec![matcher.clone(), matcher]);
        }
    }

    /// Plain alternatives are compared without the engine: it must agree.
    #[test]
    fn plain_alternatives_match_as_the_engine_does(pattern in "[ab:/@% |_-]{0,6}|[a集é|]{0,5}", value in "[ab:/@% _-]{0,3}|[a集é]{0,2}") {
        let matcher = Matcher::new("x", MatchOp::Match, pattern.clone()).unwrap();
        let engine = Regex::new(&format!("^(?:{pattern})$")).unwrap();
        for value in pattern.split('|').chain([value.as_str()]) {
            prop_assert_eq!(matcher.matches_value(value), engine.is_match(value), "{} {}", pattern, value);
        }
    }

    #[test]
    fn garbage_never_panics(text in "[{}a\"\\\\=!~,'` \\n\\txuU0-9é集]{0,24}|\\PC{0,40}") {
        if let Err(error) = Matcher::parse_all(&text) {
            prop_assert!(error.offset <= text.chars().count());
        }
    }
}
