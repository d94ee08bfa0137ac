//! Functions on texts.

use super::functions::{Notes, own_text, text};
use super::source::{Pos, Problem};
use super::value::{Ex, Kind, Value};

pub(super) fn texts(name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let args: Result<Vec<Ex>, Problem> = args.into_iter().map(|arg| text(arg, pos, notes)).collect();
    let args = args?;
    let many = args.len();
    let mut args = args.into_iter();
    let mut next = || args.next().unwrap_or(Ex::Flag(false));
    let swapped = |helper, first: Ex, second: Ex| own_text(helper, vec![second, first]);
    let whole = |ex: &Ex| matches!(ex, Ex::Number(number) if number.parse::<u32>().is_ok());
    Ok(Some(match (name, many) {
        ("toUpper" | "upper", 1) => own_text("upper", vec![next()]),
        ("toLower" | "lower", 1) => own_text("lower", vec![next()]),
        ("title", 1) => own_text("title", vec![next()]),
        ("trimSpace" | "trim", 1) => own_text("trim", vec![next()]),
        ("nospace", 1) => by_pattern(next(), Ex::Text("\\s".to_owned()), Ex::Text(String::new())),
        ("urlquery", 1) => own_text("urlEncode", vec![next()]),
        ("urlUnescape", 1) => own_text("urlDecode", vec![next()]),
        ("base64encode", 1) => own_text("base64encode", vec![next()]),
        ("b64enc", 1) => {
            notes.add(pos, "`base64encode` writes `-` and `_`, as in URLs, where `b64enc` wrote `+` and `/`", "");
            own_text("base64encode", vec![next()])
        }
        ("b64dec" | "base64decode", 1) => own_text("base64decode", vec![next()]),
        // What is shown is always made safe for the chat; a value that was made safe twice would be wrong.
        ("markdown" | "html" | "safeHtml" | "safeUrl" | "toString" | "js", 1) => Value::new(next(), Kind::Text),
        ("quote", 1) => own_text("concat", vec![Ex::Text("\"".to_owned()), next(), Ex::Text("\"".to_owned())]),
        ("squote", 1) => own_text("concat", vec![Ex::Text("'".to_owned()), next(), Ex::Text("'".to_owned())]),
        ("trunc", 2) => {
            notes.add(pos, "`slice` counts characters; `trunc` counted bytes", "");
            match next() {
                most if whole(&most) => own_text("slice", vec![next(), Ex::Number("0".to_owned()), most]),
                _ => return Ok(None),
            }
        }
        ("abbrev", 2) => swapped("truncate", next(), next()),
        ("substr", 3) => {
            let (from, to) = (next(), next());
            if !whole(&from) || !whole(&to) {
                return Ok(None);
            }
            notes.add(pos, "`slice` counts characters; `substr` counted bytes", "");
            own_text("slice", vec![next(), from, to])
        }
        ("repeat", 2) => swapped("repeat", next(), next()),
        ("plural", 3) => {
            let (single, several) = (next(), next());
            let is_one = Ex::call("eq", vec![next(), Ex::Number("1".to_owned())]);
            own_text("ternary", vec![is_one, single, several])
        }
        ("match" | "regexMatch", 2) => {
            let pattern = next();
            Value::flag(Ex::call("match", vec![next(), pattern]))
        }
        ("regexFind", 2) => {
            let pattern = next();
            own_text("capture", vec![next(), pattern, Ex::Number("0".to_owned())])
        }
        ("hasPrefix", 2) => Value::flag(swapped("startsWith", next(), next()).ex),
        ("hasSuffix", 2) => Value::flag(swapped("endsWith", next(), next()).ex),
        ("trimPrefix", 2) => swapped("trimPrefix", next(), next()),
        ("trimSuffix", 2) => swapped("trimSuffix", next(), next()),
        ("replace", 3) => {
            let (old, new) = (next(), next());
            own_text("replace", vec![next(), old, new])
        }
        ("reReplaceAll", 3) => {
            let (pattern, by) = (next(), next());
            by_pattern(next(), pattern, by)
        }
        ("regexReplaceAll", 3) => {
            let (pattern, subject) = (next(), next());
            by_pattern(subject, pattern, next())
        }
        _ => return Ok(None),
    }))
}

fn by_pattern(subject: Ex, pattern: Ex, by: Ex) -> Value {
    Value::new(Ex::Call("replace", vec![subject, pattern, by], vec![("regex", Ex::Flag(true))]), Kind::Text)
}
