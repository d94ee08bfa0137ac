//! `time_intervals:`, Alertmanager's schema.

use jiff::tz::TimeZone;

use crate::routing::{RawTimeInterval, TimeInterval};

use super::fields::Fields;
use super::node::{Data, Node};
use super::report::{At, Pos, Report};

pub(super) const KEYS: &[&str] = &["times", "weekdays", "days_of_month", "months", "years", "location"];

pub(super) struct RawInterval {
    pub(super) name: At<String>,
    pub(super) intervals: Vec<TimeInterval>,
}

pub(super) fn read(top: &Fields<'_>, zone: &TimeZone, report: &mut Report) -> Vec<RawInterval> {
    top.list("time_intervals", report).iter().filter_map(|node| named(node, zone, report)).collect()
}

fn named(node: &Node, zone: &TimeZone, report: &mut Report) -> Option<RawInterval> {
    let fields = Fields::open(node, "a time interval", &["name", "time_intervals"], report)?;
    if !fields.has("name") {
        report.mistake(fields.pos, "a time interval needs a `name`", "");
    }
    let name = fields.text("name", report);
    let nodes = fields.list("time_intervals", report);
    if nodes.is_empty() {
        let what = "a time interval needs `time_intervals`, a list with at least one item";
        report.mistake(
            fields.pos,
            what,
            "like {weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:00'}]}",
        );
    }
    let intervals = nodes.iter().filter_map(|node| one(node, zone, report)).collect();
    Some(RawInterval { name: name?, intervals })
}

fn one(node: &Node, zone: &TimeZone, report: &mut Report) -> Option<TimeInterval> {
    let fields = Fields::open(node, "an item of a time interval", KEYS, report)?;
    let mut texts = |key| fields.texts(key, report).into_iter().map(|text| text.value).collect::<Vec<_>>();
    let (weekdays, days_of_month) = (texts("weekdays"), texts("days_of_month"));
    let (months, years) = (texts("months"), texts("years"));
    let times = times(&fields, report);
    let location = fields.text("location", report).map(|location| location.value);
    let raw = RawTimeInterval { times: times?, weekdays, days_of_month, months, years, location };
    match TimeInterval::build(raw, zone) {
        Ok(interval) => Some(interval),
        Err(error) => {
            report.mistake(place(&fields, &error.field), error.message, "");
            None
        }
    }
}

fn times(fields: &Fields<'_>, report: &mut Report) -> Option<Vec<(String, String)>> {
    let keys = ["start_time", "end_time"];
    let mut whole = true;
    let mut times = Vec::new();
    for node in fields.list("times", report) {
        let Some(range) = Fields::open(node, "a range of times", &keys, report) else {
            whole = false;
            continue;
        };
        for key in keys {
            if !range.has(key) {
                report.mistake(
                    range.pos,
                    format!("a range of times needs `{key}`"),
                    "like '09:00'; a day ends at '24:00'",
                );
            }
        }
        match range.text("start_time", report).zip(range.text("end_time", report)) {
            Some((start, end)) => times.push((start.value, end.value)),
            None => whole = false,
        }
    }
    whole.then_some(times)
}

/// The place of `weekdays[1]`, `times[0].end_time` or `location`; of the whole item when it is unknown.
fn place(fields: &Fields<'_>, field: &str) -> Pos {
    let (key, rest) = field.split_once('[').unwrap_or((field, ""));
    let Some(node) = fields.node(key) else { return fields.pos };
    let Some((index, rest)) = rest.split_once(']') else { return node.pos };
    let item = match (&node.data, index.parse::<usize>()) {
        (Data::Seq(items), Ok(index)) => items.get(index),
        _ => None,
    };
    let Some(item) = item else { return node.pos };
    match &item.data {
        Data::Map(entries) => {
            let key = rest.trim_start_matches('.');
            entries.iter().find(|entry| entry.key == key).map_or(item.pos, |entry| entry.value.pos)
        }
        _ => item.pos,
    }
}
