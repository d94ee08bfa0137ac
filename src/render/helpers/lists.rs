//! Helpers on lists and objects.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use handlebars::{Handlebars, Helper};
use serde_json::{Map, Value, json};

use super::{Answer, MAX_ITEMS, arg, count, flag, function, text, value, values};
use crate::model::Labels;

pub(super) fn register(registry: &mut Handlebars<'_>) {
    macro_rules! helper {
        ($name:literal, $function:expr) => {
            registry.register_helper($name, function($function));
        };
    }
    helper!("len", |h| Ok(length(value(h, 0)).into()));
    helper!("list", |h| Ok(Value::Array(values(h).cloned().collect())));
    helper!("append", |h| Ok(items(value(h, 0)).iter().chain(values(h).skip(1)).cloned().collect()));
    helper!("range", range);
    helper!("first", |h| Ok(items(value(h, 0)).first().cloned().unwrap_or_default()));
    helper!("last", |h| Ok(items(value(h, 0)).last().cloned().unwrap_or_default()));
    helper!("limit", |h| {
        let most = count(h, 1).ok_or("say how many: {{limit list 3}}")?;
        Ok(items(value(h, 0)).iter().take(most).cloned().collect())
    });
    helper!("slice", slice);
    helper!("reverse", |h| Ok(items(value(h, 0)).iter().rev().cloned().collect()));
    helper!("sort", |h| Ok(sort(h)));
    helper!("uniq", |h| Ok(uniq(h)));
    helper!("groupBy", |h| Ok(group_by(items(value(h, 0)), &arg(h, 1))));
    helper!("where", |h| {
        let (field, wanted) = (arg(h, 1), arg(h, 2));
        let found =
            items(value(h, 0)).iter().filter(|item| at(item, &field).is_some_and(|found| text(found) == wanted));
        Ok(found.cloned().collect())
    });
    helper!("pluck", |h| {
        let field = arg(h, 1);
        Ok(items(value(h, 0)).iter().filter_map(|item| at(item, &field).cloned()).collect())
    });
    helper!("dict", dict);
    helper!("keys", |h| Ok(object(value(h, 0), |map| map.keys().map(String::as_str).collect())));
    helper!("values", |h| Ok(object(value(h, 0), |map| map.values().cloned().collect())));
    helper!("omit", |h| Ok(chosen(h, false)));
    helper!("pick", |h| Ok(chosen(h, true)));
    helper!("sortedLabels", |h| Ok(sorted_labels(value(h, 0))));
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn object(value: &Value, of: impl Fn(&Map<String, Value>) -> Value) -> Value {
    value.as_object().map_or_else(|| Value::Array(Vec::new()), of)
}

fn length(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::String(_) => text(value).chars().count(),
        _ => 0,
    }
}

/// A field of an item, or a field of its field: `labels.namespace`. A name with dots is taken as a whole first.
fn at<'a>(item: &'a Value, path: &str) -> Option<&'a Value> {
    let map = item.as_object()?;
    if let Some(found) = map.get(path) {
        return Some(found);
    }
    let mut dots = path.match_indices('.');
    dots.find_map(|(dot, _)| at(map.get(path.get(..dot)?)?, path.get(dot + 1..)?))
}

/// `{{range 3}}`: 0 1 2; `{{range 1 4}}`: 1 2 3.
fn range(h: &Helper<'_>) -> Answer {
    let first = count(h, 0).ok_or("say how far: {{range 3}}")?;
    let (from, to) = if h.param(1).is_some() { (first, count(h, 1).unwrap_or(first)) } else { (0, first) };
    if to.saturating_sub(from) > MAX_ITEMS {
        return Err(format!("more than {MAX_ITEMS} numbers"));
    }
    Ok((from..to).collect())
}

/// Part of a list, or characters of a text: from here, up to there.
fn slice(h: &Helper<'_>) -> Answer {
    let from = count(h, 1).ok_or("say from where: {{slice list 1 3}}")?;
    let to = if h.param(2).is_some() { count(h, 2).ok_or("say up to where: {{slice list 1 3}}")? } else { usize::MAX };
    let most = to.saturating_sub(from);
    Ok(match value(h, 0) {
        Value::Array(items) => items.iter().skip(from).take(most).cloned().collect(),
        Value::Null => Value::Null,
        other => text(other).chars().skip(from).take(most).collect::<String>().into(),
    })
}

/// What a list is sorted by: numbers by value, before texts.
enum By {
    Number(f64),
    Text(String),
}

impl By {
    fn of(value: &Value) -> Self {
        value.as_f64().map_or_else(|| Self::Text(text(value)), Self::Number)
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
        }
    }
}

/// What stands at the field that the second argument names, or the item itself.
fn subject<'a>(h: &Helper<'_>, item: &'a Value) -> &'a Value {
    match arg(h, 1).as_str() {
        "" => item,
        field => at(item, field).unwrap_or(&Value::Null),
    }
}

fn sort(h: &Helper<'_>) -> Value {
    let mut keyed: Vec<(By, &Value)> = items(value(h, 0)).iter().map(|i| (By::of(subject(h, i)), i)).collect();
    let backwards = flag(h, "reverse");
    keyed.sort_by(|(a, _), (b, _)| if backwards { b.compare(a) } else { a.compare(b) });
    keyed.into_iter().map(|(_, item)| item.clone()).collect()
}

/// The first of those that are alike.
fn uniq(h: &Helper<'_>) -> Value {
    let mut seen = HashSet::new();
    items(value(h, 0)).iter().filter(|item| seen.insert(text(subject(h, item)))).cloned().collect()
}

/// `[{key, items}]` in the order in which the keys come first.
fn group_by(items: &[Value], field: &str) -> Value {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    for item in items {
        let key = at(item, field).map(text).unwrap_or_default();
        let place = *places.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(item.clone()),
            None => groups.push((key, vec![item.clone()])),
        }
    }
    groups.into_iter().map(|(key, items)| json!({"key": key, "items": items})).collect()
}

fn dict(h: &Helper<'_>) -> Answer {
    let all: Vec<&Value> = values(h).collect();
    let pairs = all.chunks(2).map(|pair| match pair {
        [key, value] => Ok((text(key), (*value).clone())),
        _ => Err("every key needs a value: {{dict \"a\" 1 \"b\" 2}}".to_owned()),
    });
    pairs.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// An object with only some of its keys, or without them; they are given one by one or as lists.
fn chosen(h: &Helper<'_>, wanted: bool) -> Value {
    let Value::Object(map) = value(h, 0) else { return Value::Object(Map::new()) };
    let names: HashSet<String> = values(h)
        .skip(1)
        .flat_map(|name| match name {
            Value::Array(names) => names.iter().map(text).collect(),
            name => vec![text(name)],
        })
        .collect();
    let kept = map.iter().filter(|(name, _)| names.contains(*name) == wanted);
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn sorted_labels(labels: &Value) -> Value {
    let Value::Object(map) = labels else { return Value::Array(Vec::new()) };
    let labels: Labels = map.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let pairs = crate::render::identity::sorted(&labels).into_iter();
    pairs.map(|(name, value)| json!({"name": name, "value": value})).collect()
}
