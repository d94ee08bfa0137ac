//! More helpers that are functions of their arguments: on lists, texts, numbers and addresses.

use handlebars::{Handlebars, Helper, JsonTruthy as _, PathAndJson};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Number, Value, json};

use super::helpers::{arg, count, function, text, value};
use super::{links, marks};

/// Items that `split` makes at most.
const MAX_ITEMS: usize = 1_000;

/// Makes them known.
pub(super) fn register(registry: &mut Handlebars<'_>) {
    macro_rules! helper {
        ($name:literal, $function:expr) => {
            registry.register_helper($name, function($function));
        };
    }
    helper!("where", |h| Ok(matching(value(h, 0), &arg(h, 1), &arg(h, 2))));
    helper!("pluck", |h| Ok(pluck(value(h, 0), &arg(h, 1))));
    helper!("omit", |h| Ok(omit(h)));
    helper!("list", |h| Ok(Value::Array(values(h).cloned().collect())));
    helper!("split", |h| Ok(split(&arg(h, 0), &arg(h, 1))));
    helper!("concat", |h| Ok(values(h).map(text).collect::<String>().into()));
    helper!("url", |h| Ok(url(h)));
    helper!("urlDecode", |h| Ok(decode(&arg(h, 0)).into()));
    helper!("ternary", |h| Ok(value(h, if value(h, 0).is_truthy(false) { 1 } else { 2 }).clone()));
    helper!("startsWith", |h| Ok(arg(h, 0).starts_with(&arg(h, 1)).into()));
    helper!("endsWith", |h| Ok(arg(h, 0).ends_with(&arg(h, 1)).into()));
    helper!("add", |h| Ok(sum(h, |a, b| a + b)));
    helper!("sub", |h| Ok(sum(h, |a, b| a - b)));
    helper!("mul", |h| Ok(sum(h, |a, b| a * b)));
    helper!("div", |h| Ok(sum(h, |a, b| a / b)));
    helper!("mod", |h| Ok(sum(h, |a, b| a % b)));
    helper!("fixed", |h| Ok(fixed(h)));
}

fn values<'a>(h: &'a Helper<'_>) -> impl Iterator<Item = &'a Value> {
    h.params().iter().map(PathAndJson::value)
}

/// Those items of a list whose field has this value.
fn matching(list: &Value, field: &str, wanted: &str) -> Value {
    let Value::Array(items) = list else { return Value::Array(Vec::new()) };
    items.iter().filter(|item| item.get(field).is_some_and(|found| text(found) == wanted)).cloned().collect()
}

/// One field of each item.
fn pluck(list: &Value, field: &str) -> Value {
    let Value::Array(items) = list else { return Value::Array(Vec::new()) };
    items.iter().filter_map(|item| item.get(field).cloned()).collect()
}

/// A map without some of its keys, which are given one by one or as lists.
fn omit(h: &Helper<'_>) -> Value {
    let Value::Object(map) = value(h, 0) else { return Value::Object(Map::new()) };
    let names: Vec<String> = values(h)
        .skip(1)
        .flat_map(|name| match name {
            Value::Array(names) => names.iter().map(text).collect(),
            name => vec![text(name)],
        })
        .collect();
    let kept = map.iter().filter(|(name, _)| !names.contains(name));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn split(whole: &str, by: &str) -> Value {
    if by.is_empty() {
        return json!([whole]);
    }
    whole.splitn(MAX_ITEMS, by).collect()
}

/// The parts as one address for a link, made safe for the place between `(` and `)`; nothing when it is none.
fn url(h: &Helper<'_>) -> Value {
    let mut whole = String::new();
    for part in values(h).map(text) {
        // What stood there would become a user name in front of another host.
        let at = if links::ends_in_host(&whole) { "%40" } else { "@" };
        whole.push_str(&part.replace('@', at));
    }
    links::usable(&whole, &[]).map_or(Value::Null, |url| marks::safe(&url).into())
}

/// The opposite of `urlEncode`; `+` is a blank, as in a query.
fn decode(text: &str) -> String {
    let blanks = text.replace('+', " ");
    marks::plain(&percent_decode_str(&blanks).decode_utf8_lossy())
}

/// A number, or a text that is one.
fn parsed(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        other => text(other).trim().parse().ok(),
    }
}

/// All arguments together, from left to right; nothing when one is no number, or the result is none.
fn sum(h: &Helper<'_>, with: impl Fn(f64, f64) -> f64) -> Value {
    let numbers: Option<Vec<f64>> = values(h).map(parsed).collect();
    numbers.and_then(|numbers| numbers.into_iter().reduce(with)).map_or(Value::Null, shown)
}

/// Whole numbers without a point.
fn shown(number: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // every whole number below 2^53 has its i64
    let whole = (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    whole.map_or_else(|| Number::from_f64(number).map_or(Value::Null, Value::Number), Value::from)
}

fn fixed(h: &Helper<'_>) -> Value {
    let digits = count(h, 1).unwrap_or(2).min(9);
    parsed(value(h, 0)).map_or(Value::Null, |number| format!("{number:.digits$}").into())
}
