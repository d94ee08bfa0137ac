//! The functions that Go templates call, and their counterparts.
//! Sources: <https://pkg.go.dev/text/template#hdr-Functions>, <https://masterminds.github.io/sprig/>, Alertmanager's
//! `template.DefaultFuncs`.

use super::fields::{ZONE, ZONE_HINT};
use super::printing::{print, printf};
use super::source::{Pos, Problem};
use super::value::{Ex, Kind, Value, Which, is_field};
use crate::render::golayout::strftime;

/// What is worth knowing of a place that was carried over.
#[derive(Default, Debug)]
pub(super) struct Notes(pub(super) Vec<Problem>);

impl Notes {
    pub(super) fn add(&mut self, pos: Pos, what: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Problem::new(pos, what, hint));
    }
}

type Made = Result<Value, Problem>;

/// Calls a function with all its arguments, the piped one last.
///
/// # Errors
/// That it has no counterpart, or is used in a way that has none.
pub(super) fn call(name: &str, pos: Pos, args: Vec<Value>, notes: &mut Notes) -> Made {
    if args.iter().any(|arg| arg.kind == Kind::Message) {
        return Err(Problem::new(pos, format!("`{name}` of the whole message has no counterpart"), ""));
    }
    let made = match name {
        "and" | "or" => Some(all_or_any(name, args, pos)?),
        "not" | "empty" => one(args).map(|value| Value::flag(Ex::call("not", vec![value.condition()]))),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => Some(compare(name, args, pos)?),
        "len" => one(args).map(|value| Value::new(Ex::call("len", vec![value.ex]), Kind::Number)),
        "index" | "get" => Some(index(args, pos)?),
        "date" | "date_in_zone" | "dateInZone" | "tz" | "since" | "ago" | "now" | "toDate" | "mustToDate"
        | "humanizeDuration" | "duration" | "unixEpoch" => dates(name, args, pos, notes)?,
        "list" | "stringSlice" | "tuple" => Some(list(args, pos, notes)?),
        "join" | "split" | "splitList" | "has" | "hasKey" | "keys" | "values" | "first" | "contains" => {
            lists(name, args, pos, notes)?
        }
        "last" | "reverse" | "uniq" | "sortAlpha" | "append" | "pick" | "omit" => parts(name, args, pos, notes)?,
        "default" => two(args).map(|[other, value]| either(vec![value, other])),
        "coalesce" if !args.is_empty() => Some(either(args)),
        "ternary" => three(args).map(|[yes, no, test]| {
            let kind = yes.kind.clone();
            Value::new(Ex::call("ternary", vec![test.condition(), yes.plain(), no.plain()]), kind)
        }),
        "add1" => one(args).map(|value| number("add", vec![value.plain(), Ex::Number("1".to_owned())])),
        "int" | "int64" | "float64" | "atoi" => {
            one(args).map(|value| number("add", vec![value.plain(), Ex::Number("0".to_owned())]))
        }
        "add" | "sub" | "mul" | "div" | "mod" if args.len() >= 2 => {
            let own = ["add", "sub", "mul", "div", "mod"].into_iter().find(|own| *own == name).unwrap_or("add");
            let made = Ex::call(own, args.into_iter().map(Value::plain).collect());
            // Go divides whole numbers.
            let made = if name == "div" { Ex::call("floor", vec![made]) } else { made };
            Some(Value::new(made, Kind::Number))
        }
        "max" | "biggest" | "min" if !args.is_empty() => {
            let own = if name == "min" { "min" } else { "max" };
            Some(number(own, args.into_iter().map(Value::plain).collect()))
        }
        "floor" | "ceil" => {
            let own = if name == "floor" { "floor" } else { "ceil" };
            one(args).map(|value| number(own, vec![value.plain()]))
        }
        "round" => two(args).map(|[value, digits]| number("round", vec![value.plain(), digits.plain()])),
        "print" | "cat" => Some(print(args, if name == "cat" { " " } else { "" }, pos, notes)?),
        "printf" => Some(printf(args, pos, notes)?),
        "toJson" | "mustToJson" | "toRawJson" => one(args).map(|value| own_text("json", vec![value.plain()])),
        _ => texts(name, args, pos, notes)?,
    };
    made.ok_or_else(|| unknown(name, pos))
}

fn unknown(name: &str, pos: Pos) -> Problem {
    let what = format!("the function `{name}` has no counterpart, or not with these arguments");
    Problem::new(pos, what, "templates/README.md lists the helpers that there are")
}

fn one(args: Vec<Value>) -> Option<Value> {
    <[Value; 1]>::try_from(args).ok().map(|[value]| value)
}

fn two(args: Vec<Value>) -> Option<[Value; 2]> {
    args.try_into().ok()
}

fn three(args: Vec<Value>) -> Option<[Value; 3]> {
    args.try_into().ok()
}

pub(super) fn own_text(helper: &'static str, args: Vec<Ex>) -> Value {
    Value::new(Ex::call(helper, args), Kind::Text)
}

fn number(helper: &'static str, args: Vec<Ex>) -> Value {
    Value::new(Ex::call(helper, args), Kind::Number)
}

/// The first that is not empty.
fn either(values: Vec<Value>) -> Value {
    let kind = values.last().map_or(Kind::Text, |value| value.kind.clone());
    Value::new(Ex::call("default", values.into_iter().map(Value::plain).collect()), kind)
}

fn all_or_any(name: &str, mut args: Vec<Value>, pos: Pos) -> Made {
    let flags = args.iter().all(|arg| arg.kind == Kind::Flag);
    match (args.len(), args.pop()) {
        (1, Some(only)) => Ok(only),
        (_, Some(last)) => {
            let kind = if flags { Kind::Flag } else { last.kind.clone() };
            args.push(last);
            let own = if name == "and" { "and" } else { "or" };
            Ok(Value::new(Ex::call(own, args.into_iter().map(Value::condition).collect()), kind))
        }
        _ => Err(unknown(name, pos)),
    }
}

fn compare(name: &str, args: Vec<Value>, pos: Pos) -> Made {
    let mut args = args.into_iter();
    let (Some(first), Some(second)) = (args.next(), args.next()) else { return Err(unknown(name, pos)) };
    let rest: Vec<Value> = args.collect();
    if !rest.is_empty() {
        if name != "eq" {
            return Err(unknown(name, pos));
        }
        // `eq a b c` asks whether a is b or c.
        let any = std::iter::once(second).chain(rest);
        let each: Result<Vec<Ex>, Problem> =
            any.map(|other| compare("eq", vec![first.clone(), other], pos).map(Value::condition)).collect();
        return Ok(Value::flag(Ex::call("or", each?)));
    }
    if let Some(found) = against_nothing(name, &first, &second) {
        return Ok(found);
    }
    let own = match name {
        "eq" => "eq",
        "ne" => "ne",
        "lt" => "lt",
        "le" => "lte",
        "gt" => "gt",
        _ => "gte",
    };
    for value in [&first, &second] {
        if matches!(value.kind, Kind::Time(_) | Kind::Length | Kind::Mobiles) {
            return Err(Problem::new(
                pos,
                format!("`{name}` of times has no counterpart"),
                "compare what stands in a label",
            ));
        }
    }
    Ok(Value::flag(Ex::call(own, vec![first.plain(), second.plain()])))
}

/// A text beside "" and a list's length beside 0 ask whether something is there: a missing label is no text here.
fn against_nothing(name: &str, first: &Value, second: &Value) -> Option<Value> {
    let subject = match (&first.ex, &second.ex) {
        (Ex::Call("len", list, _), Ex::Number(zero)) if zero == "0" => list.first()?.clone(),
        (_, Ex::Text(text)) if text.is_empty() && first.kind == Kind::Text && matches!(name, "eq" | "ne") => {
            first.ex.clone()
        }
        _ => return None,
    };
    match name {
        "gt" | "ne" => Some(Value::new(subject, Kind::List)),
        "eq" | "le" => Some(Value::flag(Ex::call("not", vec![subject]))),
        _ => None,
    }
}

fn index(args: Vec<Value>, pos: Pos) -> Made {
    let mut args = args.into_iter();
    let mut value = args.next().ok_or_else(|| unknown("index", pos))?;
    for key in args {
        let kind = match value.kind {
            Kind::Labels => Kind::Text,
            Kind::Alerts(_) => Kind::Alert,
            Kind::Pairs => Kind::Pair,
            Kind::Texts => Kind::Text,
            _ => return Err(unknown("index", pos)),
        };
        let by_path = matches!(value.ex, Ex::Root(_) | Ex::Local(..));
        let ex = match key.ex {
            Ex::Text(name) if kind == Kind::Text && is_field(&name) => value.ex.field(&name),
            Ex::Number(at) if by_path && at.parse::<u32>().is_ok() => value.ex.field(&at),
            _ => Ex::call("lookup", vec![value.ex, key.plain()]),
        };
        value = Value::new(ex, kind);
    }
    Ok(value)
}

/// A layout that is written down.
pub(super) fn layout(value: &Value, pos: Pos) -> Result<Ex, Problem> {
    let Ex::Text(layout) = &value.ex else {
        return Err(Problem::new(pos, "the layout of this time is computed", "write it down, as strftime knows it"));
    };
    strftime(layout).map(Ex::Text).map_err(|sign| {
        Problem::new(pos, format!("`{sign}` in a layout has no counterpart"), "use the signs of strftime")
    })
}

/// `time at layout`, in the zone that the value carries.
pub(super) fn shown_time(at: Value, layout: Ex) -> Value {
    let zone = match at.kind {
        Kind::Time(zone) => zone,
        _ => None,
    };
    let named = zone.map(|zone| ("tz", zone)).into_iter().collect();
    Value::new(Ex::Call("time", vec![at.ex, layout], named), Kind::Text)
}

fn dates(name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let is_time = |value: &Value| matches!(value.kind, Kind::Time(_));
    Ok(match name {
        "now" if args.is_empty() => Some(Value::new(Ex::root("now"), Kind::Time(None))),
        "date" => match two(args) {
            Some([form, at]) if is_time(&at) => Some(shown_time(at, layout(&form, pos)?)),
            _ => None,
        },
        "date_in_zone" | "dateInZone" => match three(args) {
            Some([form, at, zone]) if is_time(&at) => {
                let at = Value::new(at.ex, Kind::Time(Some(zone.plain())));
                Some(shown_time(at, layout(&form, pos)?))
            }
            _ => None,
        },
        "tz" => {
            two(args).filter(|[_, at]| is_time(at)).map(|[zone, at]| Value::new(at.ex, Kind::Time(Some(zone.plain()))))
        }
        "since" | "ago" => {
            one(args).filter(is_time).map(|at| Value::new(Ex::call("duration", vec![at.ex]), Kind::Length))
        }
        "toDate" | "mustToDate" => match two(args) {
            Some([form, value]) if value.kind == Kind::Text => {
                // Go takes a time without an offset for UTC.
                let utc = vec![("tz", Ex::Text("UTC".to_owned()))];
                let at = Ex::Call("parseTime", vec![value.plain(), layout(&form, pos)?], utc);
                Some(Value::new(at, Kind::Time(None)))
            }
            _ => None,
        },
        "unixEpoch" => one(args).filter(is_time).map(|at| number("timestamp", vec![at.ex])),
        "humanizeDuration" => match one(args) {
            Some(length) if length.kind == Kind::Length => Some(length),
            Some(length) if matches!(length.kind, Kind::Number | Kind::Text) => {
                Some(own_text("humanizeDuration", vec![length.plain()]))
            }
            _ => None,
        },
        "duration" => match one(args) {
            Some(length) if length.kind == Kind::Length => Some(length),
            Some(length) if matches!(length.kind, Kind::Number | Kind::Text) => {
                notes.add(pos, "a length of time is shown with two units at most, from seconds up", "");
                let seconds = Ex::call("add", vec![length.plain(), Ex::Number("0".to_owned())]);
                Some(Value::new(Ex::call("duration", vec![seconds]), Kind::Length))
            }
            _ => None,
        },
        _ => None,
    })
}

/// A value as text, for functions that take texts and for what is shown.
pub(super) fn text(value: Value, pos: Pos, notes: &mut Notes) -> Result<Ex, Problem> {
    match value.kind {
        Kind::Text | Kind::Number | Kind::Flag | Kind::Length => Ok(value.plain()),
        Kind::Time(None) => {
            notes.add(pos, ZONE, ZONE_HINT);
            Ok(shown_time(value, Ex::Text("%Y-%m-%d %H:%M:%S %z".to_owned())).ex)
        }
        Kind::Time(Some(_)) => Ok(shown_time(value, Ex::Text("%Y-%m-%d %H:%M:%S %z".to_owned())).ex),
        Kind::Texts => {
            notes.add(pos, "a list is shown without Go's square brackets", "");
            Ok(Ex::call("join", vec![value.plain(), Ex::Text(" ".to_owned())]))
        }
        Kind::Mobiles => Ok(value.plain()),
        _ => Err(Problem::new(pos, "this is no text: Go would show its inner form", "show its fields")),
    }
}

fn list(args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Made {
    let items: Result<Vec<Ex>, Problem> = args.into_iter().map(|arg| text(arg, pos, notes)).collect();
    Ok(Value::new(Ex::call("list", items?), Kind::Texts))
}

fn lists(name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    if name == "keys" || name == "values" {
        let field = if name == "keys" { "Names" } else { "Values" };
        return match one(args) {
            Some(map) if map.kind == Kind::Labels => super::fields::field(map, field, Vec::new(), pos, notes).map(Some),
            _ => Ok(None),
        };
    }
    if name == "first" {
        return match one(args) {
            Some(list) => index(vec![list, Value::new(Ex::Number("0".to_owned()), Kind::Number)], pos).map(Some),
            None => Ok(None),
        };
    }
    let Some([first, second]) = two(args) else { return Ok(None) };
    Ok(match name {
        // Both orders, as the helper takes them.
        "join" if matches!(second.kind, Kind::Texts | Kind::Text) => {
            let by = text(first, pos, notes)?;
            Some(own_text("join", vec![second.plain(), by]))
        }
        "split" | "splitList" => {
            let (by, whole) = (text(first, pos, notes)?, text(second, pos, notes)?);
            (name == "splitList").then(|| Value::new(Ex::call("split", vec![whole, by]), Kind::Texts))
        }
        "has" if second.kind == Kind::Texts => {
            Some(Value::flag(Ex::call("contains", vec![second.plain(), text(first, pos, notes)?])))
        }
        "hasKey" if first.kind == Kind::Labels => {
            Some(Value::flag(Ex::call("contains", vec![first.plain(), text(second, pos, notes)?])))
        }
        "contains" => {
            let (part, whole) = (text(first, pos, notes)?, text(second, pos, notes)?);
            Some(Value::flag(Ex::call("contains", vec![whole, part])))
        }
        _ => None,
    })
}

/// Parts of lists and of labels, and lists in another order.
fn parts(name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let mut args = args.into_iter();
    let Some(of) = args.next() else { return Ok(None) };
    let rest: Result<Vec<Ex>, Problem> = args.map(|arg| text(arg, pos, notes)).collect();
    let rest = rest?;
    let kind = of.kind.clone();
    let of = of.plain();
    Ok(match (name, &kind, rest.len()) {
        ("last", _, 0) => items(&kind).map(|(_, item)| Value::new(Ex::call("last", vec![of]), item)),
        ("reverse", Kind::Texts | Kind::Alerts(_), 0) => Some(Value::new(Ex::call("reverse", vec![of]), kind)),
        ("uniq", Kind::Texts, 0) => Some(Value::new(Ex::call("uniq", vec![of]), kind)),
        ("sortAlpha", Kind::Texts, 0) => Some(Value::new(Ex::call("sort", vec![of]), kind)),
        ("append", Kind::Texts, 1) => {
            Some(Value::new(Ex::call("append", std::iter::once(of).chain(rest).collect()), kind))
        }
        ("pick" | "omit", Kind::Labels, 1..) => {
            let own = if name == "pick" { "pick" } else { "omit" };
            Some(Value::new(Ex::call(own, std::iter::once(of).chain(rest).collect()), kind))
        }
        _ => None,
    })
}

fn texts(name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let args: Result<Vec<Ex>, Problem> = args.into_iter().map(|arg| text(arg, pos, notes)).collect();
    let args = args?;
    let many = args.len();
    let mut args = args.into_iter();
    let mut next = || args.next().unwrap_or(Ex::Flag(false));
    let swapped = |helper, first: Ex, second: Ex| own_text(helper, vec![second, first]);
    Ok(Some(match (name, many) {
        ("toUpper" | "upper", 1) => own_text("upper", vec![next()]),
        ("toLower" | "lower", 1) => own_text("lower", vec![next()]),
        ("title", 1) => own_text("title", vec![next()]),
        ("trimSpace" | "trim", 1) => own_text("trim", vec![next()]),
        ("urlquery", 1) => own_text("urlEncode", vec![next()]),
        ("urlUnescape", 1) => own_text("urlDecode", vec![next()]),
        // What is shown is always made safe for the chat; a value that was made safe twice would be wrong.
        ("markdown" | "html" | "safeHtml" | "safeUrl" | "toString" | "js", 1) => Value::new(next(), Kind::Text),
        ("quote", 1) => own_text("concat", vec![Ex::Text("\"".to_owned()), next(), Ex::Text("\"".to_owned())]),
        ("squote", 1) => own_text("concat", vec![Ex::Text("'".to_owned()), next(), Ex::Text("'".to_owned())]),
        ("trunc", 2) => {
            notes.add(pos, "`slice` counts characters, `trunc` counted bytes", "");
            match next() {
                Ex::Number(most) if most.parse::<u32>().is_ok() => {
                    own_text("slice", vec![next(), Ex::Number("0".to_owned()), Ex::Number(most)])
                }
                _ => return Ok(None),
            }
        }
        ("abbrev", 2) => swapped("truncate", next(), next()),
        ("match" | "regexMatch" | "mustRegexMatch", 2) => {
            let pattern = next();
            Value::flag(Ex::call("match", vec![next(), pattern]))
        }
        ("hasPrefix", 2) => Value::flag(swapped("startsWith", next(), next()).ex),
        ("hasSuffix", 2) => Value::flag(swapped("endsWith", next(), next()).ex),
        ("replace", 3) => {
            let (old, new) = (next(), next());
            own_text("replace", vec![next(), old, new])
        }
        ("reReplaceAll", 3) => {
            let (pattern, by) = (next(), next());
            by_pattern(next(), pattern, by)
        }
        ("regexReplaceAll" | "mustRegexReplaceAll", 3) => {
            let (pattern, subject) = (next(), next());
            by_pattern(subject, pattern, next())
        }
        ("trimSuffix", 2) => swapped("trimSuffix", next(), next()),
        ("trimPrefix", 2) => swapped("trimPrefix", next(), next()),
        // All that the pattern found.
        ("regexFind" | "mustRegexFind", 2) => {
            let pattern = next();
            own_text("capture", vec![next(), pattern, Ex::Number("0".to_owned())])
        }
        ("repeat", 2) => swapped("repeat", next(), next()),
        ("substr", 3) => {
            let (from, to) = (next(), next());
            own_text("slice", vec![next(), from, to])
        }
        ("base64encode", 1) => own_text("base64encode", vec![next()]),
        ("b64enc", 1) => {
            notes.add(pos, "`base64encode` writes `-` and `_`, as in URLs, where `b64enc` wrote `+` and `/`", "");
            own_text("base64encode", vec![next()])
        }
        ("base64decode" | "b64dec", 1) => own_text("base64decode", vec![next()]),
        _ => return Ok(None),
    }))
}

fn by_pattern(subject: Ex, pattern: Ex, by: Ex) -> Value {
    Value::new(Ex::Call("replace", vec![subject, pattern, by], vec![("regex", Ex::Flag(true))]), Kind::Text)
}

/// How a list's items are called, and their kind; `None` for what is no list.
pub(super) fn items(of: &Kind) -> Option<(&'static str, Kind)> {
    match of {
        Kind::Alerts(Which::All | Which::Firing | Which::Resolved) => Some(("alert", Kind::Alert)),
        Kind::Pairs => Some(("pair", Kind::Pair)),
        Kind::Labels => Some(("value", Kind::Text)),
        Kind::Texts => Some(("item", Kind::Text)),
        _ => None,
    }
}
