//! Texts inside bodies: what keywords are looked for in, and who is called.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

// The patterns are constants that the tests exercise; one that does not compile is a bug of the build.
#[allow(clippy::expect_used)]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static LINK: LazyLock<Regex> = LazyLock::new(|| pattern(r"\]\([^)\n]*\)"));
static WECOM_AT: LazyLock<Regex> = LazyLock::new(|| pattern(r"<@([^<>@\s]{1,64})>"));
static AT_TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"<at\b([^<>]*?)/?>"));
static ATTRIBUTE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'/>]+))"#));

/// A markdown text without its link targets: keywords do not count there.
pub(crate) fn without_targets(text: &str) -> String {
    LINK.replace_all(text, "]()").into_owned()
}

/// Every string value, but those whose key ends in `url`; link targets removed. At most 64 levels deep.
pub(super) fn strings(value: &Value, skip: &[&str]) -> Vec<String> {
    fn walk(value: &Value, skip: &[&str], depth: u8, out: &mut Vec<String>) {
        match value {
            _ if depth == 0 => {}
            Value::String(text) => out.push(without_targets(text)),
            Value::Array(items) => items.iter().for_each(|item| walk(item, skip, depth - 1, out)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let lower = key.to_ascii_lowercase();
                    let is_url = lower.ends_with("url") || lower == "href";
                    if !is_url && !skip.contains(&key.as_str()) {
                        walk(value, skip, depth - 1, out);
                    }
                }
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(value, skip, 64, &mut out);
    out
}

/// WeCom: the ids in `<@id>`.
pub(super) fn wecom_ats(text: &str) -> Vec<&str> {
    WECOM_AT.captures_iter(text).filter_map(|found| found.get(1)).map(|id| id.as_str()).collect()
}

/// Feishu: attribute name and value of each `<at ...>` tag; a tag without any gives `("", "")`.
pub(super) fn feishu_ats(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for tag in AT_TAG.captures_iter(text) {
        let inside = tag.get(1).map_or("", |inside| inside.as_str());
        let before = out.len();
        out.extend(attributes(inside));
        if out.len() == before {
            out.push((String::new(), String::new()));
        }
    }
    out
}

/// The attributes inside a tag: name in lower case, value as written.
pub(crate) fn attributes(inside: &str) -> Vec<(String, String)> {
    let attribute = |found: regex::Captures<'_>| {
        let name = found.get(1).map_or("", |name| name.as_str()).to_ascii_lowercase();
        let value = (2..=4).find_map(|group| found.get(group)).map_or("", |value| value.as_str());
        (name, value.to_owned())
    };
    ATTRIBUTE.captures_iter(inside).map(attribute).collect()
}
