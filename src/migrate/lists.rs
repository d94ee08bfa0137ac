//! Functions on lists and objects.

use super::functions::{Made, Notes, own_text, text, two, unknown};
use super::source::{Pos, Problem};
use super::value::{Ex, Kind, Value, Which, is_field};

/// How a list's items are called, and their kind; `None` for what is no list.
pub(super) fn items(of: &Kind) -> Option<(&'static str, Kind)> {
    match of {
        Kind::Alerts(Which::All | Which::Firing | Which::Resolved) => Some(("alert", Kind::Alert)),
        Kind::Pairs => Some(("pair", Kind::Pair)),
        Kind::Labels => Some(("value", Kind::Text)),
        Kind::Texts | Kind::Parts => Some(("item", Kind::Text)),
        Kind::Numbers => Some(("number", Kind::Number)),
        _ => None,
    }
}

/// The same for lists that have an order.
fn ordered(of: &Kind) -> Option<Kind> {
    items(of).map(|(_, kind)| kind).filter(|_| *of != Kind::Labels && *of != Kind::Parts)
}

pub(super) fn index(args: Vec<Value>, pos: Pos) -> Made {
    let mut args = args.into_iter();
    let mut value = args.next().ok_or_else(|| unknown("index", pos))?;
    for key in args {
        if let (Kind::Record(fields), Ex::Text(name)) = (&value.kind, &key.ex) {
            value = entry(fields, name);
            continue;
        }
        value = value.object(pos)?;
        let kind = match value.kind {
            Kind::Labels => Kind::Text,
            Kind::Alerts(_) => Kind::Alert,
            Kind::Pairs => Kind::Pair,
            Kind::Texts => Kind::Text,
            Kind::Numbers => Kind::Number,
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

/// What a `dict` holds under this name.
pub(super) fn entry(fields: &[(String, Value)], name: &str) -> Value {
    let found = fields.iter().rev().find(|(known, _)| known == name);
    found.map_or_else(|| Value::text(""), |(_, value)| value.clone())
}

/// `dict "a" x "b" y`: templates take it apart again by name, mostly to hand several values to another template.
pub(super) fn dict(args: Vec<Value>, pos: Pos) -> Made {
    let mut fields = Vec::new();
    let mut args = args.into_iter();
    while let Some(key) = args.next() {
        let Ex::Text(name) = key.ex else {
            return Err(Problem::new(pos, "a name in this dict is computed", "write it down"));
        };
        fields.push((name, args.next().unwrap_or_else(|| Value::text(""))));
    }
    Ok(Value::new(Ex::Flag(!fields.is_empty()), Kind::Record(fields)))
}

pub(super) fn list(args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Made {
    let numbers = !args.is_empty() && args.iter().all(|arg| arg.kind == Kind::Number);
    let items: Result<Vec<Ex>, Problem> = args.into_iter().map(|arg| text(arg, pos, notes)).collect();
    Ok(Value::new(Ex::call("list", items?), if numbers { Kind::Numbers } else { Kind::Texts }))
}

/// Functions of one list, of a list and numbers, and of objects.
pub(super) fn lists(name: &str, mut args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let count = |value: &Value| matches!(value.kind, Kind::Number);
    Ok(match (name, args.as_mut_slice()) {
        ("keys" | "values", [map]) if map.kind == Kind::Labels => {
            let field = if name == "keys" { "Names" } else { "Values" };
            Some(super::fields::field(map.clone(), field, Vec::new(), pos, notes)?)
        }
        ("first", [list]) if matches!(list.ex, Ex::Root(_) | Ex::Local(..)) && items(&list.kind).is_some() => {
            Some(index(vec![list.clone(), Value::new(Ex::Number("0".to_owned()), Kind::Number)], pos)?)
        }
        ("first" | "last", [list]) => {
            let own = if name == "first" { "first" } else { "last" };
            ordered(&list.kind).map(|kind| Value::new(Ex::call(own, vec![list.ex.clone()]), kind))
        }
        ("reverse", [list]) if ordered(&list.kind).is_some() => Some(same("reverse", list, Vec::new())),
        ("rest", [list]) if ordered(&list.kind).is_some() => {
            Some(same("slice", list, vec![Ex::Number("1".to_owned())]))
        }
        ("uniq", [list]) if matches!(list.kind, Kind::Texts | Kind::Numbers) => Some(same("uniq", list, Vec::new())),
        ("sortAlpha", [list]) if list.kind == Kind::Texts => Some(same("sort", list, Vec::new())),
        ("slice", [list, places @ ..]) if ordered(&list.kind).is_some() && places.iter().all(count) => {
            let places: Vec<Ex> = places.iter().map(|place| place.clone().plain()).collect();
            Some(if places.is_empty() { list.clone() } else { same("slice", list, places) })
        }
        ("append" | "push", [list, more @ ..]) if list.kind == Kind::Texts => {
            let more: Result<Vec<Ex>, Problem> = more.iter().map(|item| text(item.clone(), pos, notes)).collect();
            Some(same("append", list, more?))
        }
        ("pick" | "omit", [map, names @ ..]) if map.kind == Kind::Labels => {
            let names: Result<Vec<Ex>, Problem> = names.iter().map(|name| text(name.clone(), pos, notes)).collect();
            Some(same(if name == "pick" { "pick" } else { "omit" }, map, names?))
        }
        ("until", [to]) if count(to) => Some(Value::new(Ex::call("range", vec![to.clone().plain()]), Kind::Numbers)),
        ("untilStep", [from, to, Value { ex: Ex::Number(step), .. }]) if step == "1" && count(from) && count(to) => {
            Some(Value::new(Ex::call("range", vec![from.clone().plain(), to.clone().plain()]), Kind::Numbers))
        }
        ("toStrings", [list]) if list.kind == Kind::Texts => Some(list.clone()),
        ("hasKey", [Value { kind: Kind::Record(fields), .. }, Value { ex: Ex::Text(name), .. }]) => {
            Some(Value::flag(Ex::Flag(fields.iter().any(|(known, _)| known == name))))
        }
        _ => pairs(name, args, pos, notes)?,
    })
}

/// What a helper makes of a list or an object: another one of its kind.
fn same(helper: &'static str, of: &Value, args: Vec<Ex>) -> Value {
    let args = std::iter::once(of.ex.clone()).chain(args).collect();
    Value::new(Ex::call(helper, args), of.kind.clone())
}

/// Functions of two.
fn pairs(name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Option<Value>, Problem> {
    let Some([first, second]) = two(args) else { return Ok(None) };
    Ok(match name {
        // Both orders, as the helper takes them.
        "join" if matches!(second.kind, Kind::Texts | Kind::Numbers | Kind::Text) => {
            let by = text(first, pos, notes)?;
            Some(own_text("join", vec![second.plain(), by]))
        }
        "split" | "splitList" => {
            let (by, whole) = (text(first, pos, notes)?, text(second, pos, notes)?);
            let kind = if name == "split" { Kind::Parts } else { Kind::Texts };
            Some(Value::new(Ex::call("split", vec![whole, by]), kind))
        }
        "has" if second.kind == Kind::Texts => {
            Some(Value::flag(Ex::call("contains", vec![second.plain(), text(first, pos, notes)?])))
        }
        "hasKey" => {
            let map = first.object(pos)?;
            let kind = map.kind == Kind::Labels;
            let asked = Ex::call("contains", vec![map.plain(), text(second, pos, notes)?]);
            kind.then_some(Value::flag(asked))
        }
        "contains" => {
            let (part, whole) = (text(first, pos, notes)?, text(second, pos, notes)?);
            Some(Value::flag(Ex::call("contains", vec![whole, part])))
        }
        _ => None,
    })
}
