//! The functions that Go templates call, and their counterparts.
//! Sources: <https://pkg.go.dev/text/template#hdr-Functions>, <https://masterminds.github.io/sprig/>, Alertmanager's
//! `template.DefaultFuncs`.

use super::fields::{ZONE, ZONE_HINT, later, utc};
use super::lists::{dict, index, list, lists};
use super::printing::{print, printf};
use super::source::{Pos, Problem};
use super::texts::texts;
use super::value::{Ex, Kind, Value};
use crate::render::golayout::strftime;

/// What is worth knowing of a place that was carried over.
#[derive(Default, Debug)]
pub(super) struct Notes(pub(super) Vec<Problem>);

impl Notes {
    pub(super) fn add(&mut self, pos: Pos, what: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Problem::new(pos, what, hint));
    }
}

pub(super) type Made = Result<Value, Problem>;

/// Calls a function with all its arguments, the piped one last.
///
/// # Errors
/// That it has no counterpart, or is used in a way that has none.
pub(super) fn call(name: &str, pos: Pos, mut args: Vec<Value>, notes: &mut Notes) -> Made {
    if name == "dict" {
        return dict(args, pos);
    }
    if args.iter().any(|arg| arg.kind == Kind::Message) {
        return Err(Problem::new(pos, format!("`{name}` of the whole message has no counterpart"), ""));
    }
    if !matches!(name, "index" | "get" | "hasKey") {
        args = args.into_iter().map(|arg| arg.object(pos)).collect::<Result<_, _>>()?;
    }
    let made = match plain_name(name).as_str() {
        "and" | "or" => Some(all_or_any(name, args, pos)?),
        "not" | "empty" => one(args).map(|value| Value::flag(Ex::call("not", vec![value.condition()]))),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => Some(compare(name, args, pos)?),
        "len" => one(args).map(|value| Value::new(Ex::call("len", vec![value.ex]), Kind::Number)),
        "index" | "get" => Some(index(args, pos)?),
        "list" | "stringSlice" | "tuple" => Some(list(args, pos, notes)?),
        "default" => two(args).map(|[other, value]| either(vec![value, other])),
        "coalesce" if !args.is_empty() => Some(either(args)),
        "ternary" => three(args).map(|[yes, no, test]| {
            let kind = yes.kind.clone();
            Value::new(Ex::call("ternary", vec![test.condition(), yes.plain(), no.plain()]), kind)
        }),
        "print" | "cat" => Some(print(args, if name == "cat" { " " } else { "" }, pos, notes)?),
        "printf" => Some(printf(args, pos, notes)?),
        "toJson" | "toRawJson" => one(args).map(|value| own_text("json", vec![value.plain()])),
        own => match (numbers(own, &args), dates(own, &args, pos, notes)?) {
            (Some(made), _) | (None, Some(made)) => Some(made),
            (None, None) => match lists(own, args.clone(), pos, notes)? {
                None => texts(own, args, pos, notes)?,
                made => made,
            },
        },
    };
    made.ok_or_else(|| unknown(name, pos))
}

/// `mustFirst` is `first`: it differs in how it fails.
fn plain_name(name: &str) -> String {
    let behind = name.strip_prefix("must").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    match behind.and_then(|rest| Some((rest.get(..1)?, rest.get(1..)?))) {
        Some((first, rest)) => format!("{}{rest}", first.to_ascii_lowercase()),
        None => name.to_owned(),
    }
}

pub(super) fn unknown(name: &str, pos: Pos) -> Problem {
    let hint = match name {
        "env" | "expandenv" => "a message is no place for what stands in the environment",
        "indent" | "nindent" | "wrap" | "wrapWith" | "toYaml" | "toPrettyJson" => {
            "chats lay text out themselves: leave it out"
        }
        "set" | "unset" | "merge" | "mergeOverwrite" => "objects can not be changed: see `dict`, `pick` and `omit`",
        "fail" | "required" => "a template can not refuse an alert: it must be told",
        "compact" | "without" => "leave items out where they are shown, with {{#if}}",
        _ => "templates/README.md lists the helpers that there are",
    };
    Problem::new(pos, format!("the function `{name}` has no counterpart, or not with these arguments"), hint)
}

fn one(args: Vec<Value>) -> Option<Value> {
    <[Value; 1]>::try_from(args).ok().map(|[value]| value)
}

pub(super) fn two(args: Vec<Value>) -> Option<[Value; 2]> {
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

/// Arithmetic. Texts that are numbers count as such on both sides.
fn numbers(name: &str, args: &[Value]) -> Option<Value> {
    let all = || args.iter().map(|arg| arg.clone().plain()).collect::<Vec<_>>();
    let with = |own, by: &str| number(own, [all(), vec![Ex::Number(by.to_owned())]].concat());
    let own = match name {
        "add" | "addf" => "add",
        "sub" | "subf" => "sub",
        "mul" | "mulf" => "mul",
        "div" | "divf" => "div",
        "mod" => "mod",
        "max" | "maxf" | "biggest" => "max",
        "min" | "minf" => "min",
        "round" => "round",
        "floor" => "floor",
        "ceil" => "ceil",
        _ => "",
    };
    match (name, args.len()) {
        ("add1" | "add1f", 1) => Some(with("add", "1")),
        ("int" | "int64" | "float64" | "atoi", 1) => Some(with("add", "0")),
        // Of whole numbers, as there.
        ("div", 2..) => Some(number("floor", vec![Ex::call("div", all())])),
        ("floor" | "ceil", 1) | ("round", 2) => Some(number(own, all())),
        ("max" | "maxf" | "biggest" | "min" | "minf", 1..) => Some(number(own, all())),
        ("add" | "addf" | "sub" | "subf" | "mul" | "mulf" | "divf" | "mod", 2..) => Some(number(own, all())),
        _ => None,
    }
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

fn dates(name: &str, args: &[Value], pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let is_time = |value: &Value| matches!(value.kind, Kind::Time(_));
    let in_zone = |at: &Value, zone: &Value| Value::new(at.ex.clone(), Kind::Time(Some(zone.clone().plain())));
    Ok(match (name, args) {
        ("now", []) => Some(Value::new(Ex::root("now"), Kind::Time(None))),
        ("date", [form, at]) if is_time(at) => Some(shown_time(at.clone(), layout(form, pos)?)),
        ("date_in_zone" | "dateInZone", [form, at, zone]) if is_time(at) => {
            Some(shown_time(in_zone(at, zone), layout(form, pos)?))
        }
        ("tz", [zone, at]) if is_time(at) => Some(in_zone(at, zone)),
        ("toDate", [form, at]) if at.kind == Kind::Text => {
            let at = Ex::Call("parseTime", vec![at.clone().plain(), layout(form, pos)?], vec![("tz", utc())]);
            Some(Value::new(at, Kind::Time(Some(utc()))))
        }
        ("unixEpoch", [at]) if is_time(at) => Some(number("timestamp", vec![at.ex.clone()])),
        ("date_modify" | "dateModify", [Value { ex: Ex::Text(length), .. }, at]) if is_time(at) => {
            seconds(length).map(|seconds| later(at.clone(), seconds, pos, notes))
        }
        ("since" | "ago", [at]) if is_time(at) => {
            Some(Value::new(Ex::call("duration", vec![at.ex.clone()]), Kind::Length))
        }
        ("humanizeDuration" | "duration", [length]) if length.kind == Kind::Length => Some(length.clone()),
        ("humanizeDuration" | "duration", [length]) if matches!(length.kind, Kind::Number | Kind::Text) => {
            if name == "duration" {
                notes.add(pos, "a length of time is written as Prometheus writes it, 1h 2m 3s", "");
            }
            Some(Value::new(Ex::call("humanizeDuration", vec![length.clone().plain()]), Kind::Length))
        }
        _ => None,
    })
}

/// Go's `+1h30m`, in seconds.
fn seconds(length: &str) -> Option<f64> {
    let (sign, mut rest) = match length.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, length.strip_prefix('+').unwrap_or(length)),
    };
    let mut all = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let (unit, size) = [("ms", 0.001), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        all += number * size;
        rest = rest.get(unit.len()..)?;
    }
    Some(sign * all).filter(|seconds| !length.is_empty() && seconds.is_finite())
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
        Kind::Texts | Kind::Numbers => {
            notes.add(pos, "a list is shown without Go's square brackets", "");
            Ok(Ex::call("join", vec![value.plain(), Ex::Text(" ".to_owned())]))
        }
        Kind::Mobiles => Ok(value.plain()),
        _ => Err(Problem::new(pos, "this is no text: Go would show its inner form", "show its fields")),
    }
}
