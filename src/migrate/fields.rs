//! The fields and methods of what Alertmanager sends, as Go knows them.
//! Sources: Alertmanager's template data (`template.Data`), and <https://pkg.go.dev/time#Time>.

use super::functions::{Notes, shown_time, text};
use super::lists::entry;
use super::source::{Pos, Problem};
use super::value::{Ex, Kind, Value, Which, alerts, is_field};

/// The field `name` of a value; `args` when it is a method.
///
/// # Errors
/// That it has no counterpart.
pub(super) fn field(of: Value, name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Value, Problem> {
    let no = |what: &str, hint: &str| Err(Problem::new(pos, format!("{what} has no counterpart"), hint));
    let takes_none = args.is_empty();
    let simple = |own: &str, kind: Kind| Ok(Value::new(of.ex.clone().field(own), kind));
    match (&of.kind, name) {
        (Kind::Record(fields), _) if takes_none => Ok(entry(fields, name)),
        (Kind::Labels, "Remove") => remove(of, args, pos),
        (Kind::Parts, _) => match name.strip_prefix('_').filter(|at| takes_none && at.parse::<u32>().is_ok()) {
            Some(at) => Ok(Value::new(Ex::call("lookup", vec![of.ex.clone(), Ex::Number(at.to_owned())]), Kind::Text)),
            None => no(&format!("`.{name}` of split"), "its parts are `._0`, `._1` and so on"),
        },
        (Kind::Texts, "Join") => {
            let by = args.into_iter().next().map_or_else(|| Ex::Text(String::new()), Value::plain);
            Ok(Value::new(Ex::call("join", vec![of.plain(), by]), Kind::Text))
        }
        (Kind::Time(_), _) => time(of, name, args, pos, notes),
        _ if !takes_none => no(&format!("`.{name}` with arguments"), "only functions and methods take arguments"),
        (Kind::Message, _) => message(name).map_or_else(|| no(&format!("the message's field `.{name}`"), FIELDS), Ok),
        (Kind::Alerts(_), "Firing") => Ok(Value::new(alerts(Which::Firing), Kind::Alerts(Which::Firing))),
        (Kind::Alerts(_), "Resolved") => Ok(Value::new(alerts(Which::Resolved), Kind::Alerts(Which::Resolved))),
        (Kind::Alert, "Status") => simple("status", Kind::Text),
        (Kind::Alert, "Labels") => simple("labels", Kind::Labels),
        (Kind::Alert, "Annotations") => simple("annotations", Kind::Labels),
        (Kind::Alert, "StartsAt") => simple("startsAt", Kind::Time(None)),
        (Kind::Alert, "EndsAt") => simple("endsAt", Kind::Time(None)),
        (Kind::Alert, "GeneratorURL") => simple("generatorURL", Kind::Text),
        (Kind::Alert, "Fingerprint") => simple("fingerprint", Kind::Text),
        (Kind::Alert, _) => no(&format!("the alert's field `.{name}`"), FIELDS),
        (Kind::Labels, "SortedPairs") => Ok(Value::new(sorted(of.ex), Kind::Pairs)),
        (Kind::Labels, "Names") => Ok(pluck(sorted(of.ex), "name")),
        (Kind::Labels, "Values") => Ok(pluck(sorted(of.ex), "value")),
        (Kind::Labels, _) if is_field(name) => simple(name, Kind::Text),
        (Kind::Pairs, "Names") => Ok(pluck(of.ex, "name")),
        (Kind::Pairs, "Values") => Ok(pluck(of.ex, "value")),
        (Kind::Pair, "Name") => simple("name", Kind::Text),
        (Kind::Pair, "Value") => simple("value", Kind::Text),
        (Kind::Length, "String") => Ok(of),
        _ => no(&format!("`.{name}` here"), FIELDS),
    }
}

const FIELDS: &str = "templates/README.md lists the fields that there are";

fn message(name: &str) -> Option<Value> {
    let (own, kind) = match name {
        "Status" => ("status", Kind::Text),
        "Receiver" => ("receiver", Kind::Text),
        "ExternalURL" => ("externalURL", Kind::Text),
        "NotificationReason" => ("notificationReason", Kind::Text),
        "TruncatedAlerts" => ("truncatedAlerts", Kind::Number),
        "GroupLabels" => ("groupLabels", Kind::Labels),
        "CommonLabels" => ("commonLabels", Kind::Labels),
        "CommonAnnotations" => ("commonAnnotations", Kind::Labels),
        "RouteLabels" => ("routeLabels", Kind::Labels),
        "Alerts" => ("alerts", Kind::Alerts(Which::All)),
        "AtMobiles" => ("mentions", Kind::Mobiles),
        _ => return None,
    };
    Some(Value::new(Ex::root(own), kind))
}

fn sorted(labels: Ex) -> Ex {
    Ex::call("sortedLabels", vec![labels])
}

fn pluck(list: Ex, field: &str) -> Value {
    Value::new(Ex::call("pluck", vec![list, Ex::Text(field.to_owned())]), Kind::Texts)
}

fn remove(of: Value, args: Vec<Value>, pos: Pos) -> Result<Value, Problem> {
    let mut all = vec![of.ex];
    for arg in args {
        match (arg.kind, arg.ex) {
            (Kind::Texts | Kind::List, Ex::Call("list", names, _)) => all.extend(names),
            (Kind::Texts | Kind::Text, ex) => all.push(ex),
            _ => return Err(Problem::new(pos, "`.Remove` takes names", "as in `.Remove (stringSlice \"a\" \"b\")`")),
        }
    }
    Ok(Value::new(Ex::call("omit", all), Kind::Labels))
}

/// Methods of a time.
fn time(of: Value, name: &str, args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Value, Problem> {
    let Kind::Time(zone) = of.kind.clone() else { return Ok(of) };
    let part = |layout: &str| {
        let at = Value::new(of.ex.clone(), Kind::Time(zone.clone()));
        Ok(shown_time(at, Ex::Text(layout.to_owned())))
    };
    let in_zone = |name: &str| Value::new(of.ex.clone(), Kind::Time(Some(Ex::Text(name.to_owned()))));
    match (name, args.as_slice()) {
        ("Format", [layout]) => {
            let layout = super::functions::layout(layout, pos)?;
            if zone.is_none() {
                notes.add(pos, ZONE, ZONE_HINT);
            }
            Ok(shown_time(of, layout))
        }
        ("UTC", []) => Ok(in_zone("UTC")),
        ("Local", []) => Ok(Value::new(of.ex, Kind::Time(None))),
        ("Add", [Value { ex: Ex::Number(nanoseconds), .. }]) => {
            let seconds = nanoseconds.parse::<f64>().unwrap_or_default() / 1e9;
            Ok(later(of, seconds, pos, notes))
        }
        ("Before" | "After" | "Equal", [Value { kind: Kind::Time(_), ex }]) => {
            let own = match name {
                "Before" => "lt",
                "After" => "gt",
                _ => "eq",
            };
            let seconds = |at: &Ex| Ex::call("timestamp", vec![at.clone()]);
            Ok(Value::flag(Ex::call(own, vec![seconds(&of.ex), seconds(ex)])))
        }
        ("Sub", [Value { kind: Kind::Time(_), ex }]) => {
            Ok(Value::new(Ex::call("duration", vec![ex.clone(), of.ex]), Kind::Length))
        }
        ("IsZero", []) => Ok(Value::flag(Ex::call("not", vec![of.ex]))),
        ("Unix", []) => part("%s").map(|value: Value| Value { kind: Kind::Number, ..value }),
        ("Year", []) => part("%Y"),
        ("Month", []) => part("%B"),
        ("Day", []) => part("%-d"),
        ("Hour", []) => part("%-H"),
        ("Minute", []) => part("%-M"),
        ("Second", []) => part("%-S"),
        ("Weekday", []) => part("%A"),
        ("String", []) => {
            let value = Value::new(of.ex.clone(), of.kind.clone());
            Ok(Value::new(text(value, pos, notes)?, Kind::Text))
        }
        _ => Err(Problem::new(
            pos,
            format!("the time's method `.{name}` has no counterpart"),
            "see `time` and `duration` in templates/README.md",
        )),
    }
}

pub(super) fn utc() -> Ex {
    Ex::Text("UTC".to_owned())
}

/// A time so many seconds later. Whole hours are the exception: they are added because the zone is UTC as a rule, and the
/// chat's people are elsewhere.
pub(super) fn later(of: Value, seconds: f64, pos: Pos, notes: &mut Notes) -> Value {
    let hours = seconds / 3_600.0;
    let name = match hours {
        8.0 => "Asia/Shanghai".to_owned(),
        h if h.fract() == 0.0 && (-12.0..=14.0).contains(&h) && h != 0.0 => format!("Etc/GMT{:+}", -h),
        _ => {
            let at = Ex::call("addTime", vec![of.ex, Ex::Number(seconds.to_string())]);
            return Value::new(at, of.kind);
        }
    };
    notes.add(
        pos,
        format!("the hours that are added to a UTC time are taken for the zone {name}"),
        "for a later time write {{time (addTime x \"8h\")}}",
    );
    Value::new(of.ex, Kind::Time(Some(Ex::Text(name))))
}

pub(super) const ZONE: &str =
    "this time is shown in the bot's zone (`timezone`), not in the one that came with the alert";
pub(super) const ZONE_HINT: &str = "as a rule that was UTC: for UTC write tz=\"UTC\" behind the layout";
