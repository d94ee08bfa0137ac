//! `time_intervals:`, Alertmanager's schema.

use jiff::tz::TimeZone;

use crate::routing::{RawTimeInterval, TimeInterval};

use super::fields::Fields;
use super::node::Node;
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
    type List = fn(&mut RawTimeInterval) -> &mut Vec<String>;
    let lists: [(&str, List); 4] = [
        ("weekdays", |raw| &mut raw.weekdays),
        ("days_of_month", |raw| &mut raw.days_of_month),
        ("months", |raw| &mut raw.months),
        ("years", |raw| &mut raw.years),
    ];
    let fields = Fields::open(node, "an item of a time interval", KEYS, report)?;
    let mut raw = RawTimeInterval::default();
    // Each value is tried alone first, so that every mistake has its place.
    let mut whole = true;
    let mut alone = |single: &RawTimeInterval, pos: Pos, report: &mut Report| {
        whole &= build(single, zone, pos, report).is_some();
    };
    for (start, end, pos) in times(&fields, report) {
        let single = RawTimeInterval { times: vec![(start, end)], ..RawTimeInterval::default() };
        alone(&single, pos, report);
        raw.times.extend(single.times);
    }
    for (key, list) in lists {
        for text in fields.texts(key, report) {
            let mut single = RawTimeInterval::default();
            list(&mut single).push(text.value.clone());
            alone(&single, text.pos, report);
            list(&mut raw).push(text.value);
        }
    }
    if let Some(location) = fields.text("location", report) {
        raw.location = Some(location.value);
        let single = RawTimeInterval { location: raw.location.clone(), ..RawTimeInterval::default() };
        alone(&single, location.pos, report);
    }
    if whole { build(&raw, zone, fields.pos, report) } else { None }
}

fn build(raw: &RawTimeInterval, zone: &TimeZone, pos: Pos, report: &mut Report) -> Option<TimeInterval> {
    TimeInterval::build(raw, zone)
        .map_err(|error| report.mistake(pos, format!("`{}`: {}", error.field, error.message), ""))
        .ok()
}

/// Each readable range with its place.
fn times(fields: &Fields<'_>, report: &mut Report) -> Vec<(String, String, Pos)> {
    let keys = ["start_time", "end_time"];
    let mut times = Vec::new();
    for node in fields.list("times", report) {
        let Some(range) = Fields::open(node, "a range of times", &keys, report) else { continue };
        for key in keys {
            if !range.has(key) {
                let hint = "like '09:00'; a day ends at '24:00'";
                report.mistake(range.pos, format!("a range of times needs `{key}`"), hint);
            }
        }
        if let Some((start, end)) = range.text("start_time", report).zip(range.text("end_time", report)) {
            times.push((start.value, end.value, range.pos));
        }
    }
    times
}
