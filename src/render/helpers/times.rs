//! Helpers on times and lengths of time.

use handlebars::{Helper, RenderContext};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Answer, Surroundings, arg, function, named, text, value};
use crate::render::{golayout, words};

/// Longest layout, in bytes.
const MAX_LAYOUT: usize = 200;

pub(super) fn local<'reg: 'rc, 'rc>(rc: &mut RenderContext<'reg, 'rc>, around: &'rc Surroundings<'rc>) {
    rc.register_local_helper("time", function(|h| time(around, h)));
    rc.register_local_helper("duration", function(|h| duration(around, h)));
    rc.register_local_helper("parseTime", function(|h| parse_time(around, h)));
    rc.register_local_helper("addTime", function(add_time));
    rc.register_local_helper(
        "timestamp",
        function(|h| Ok(timestamp(value(h, 0))?.map_or(Value::Null, |at| at.as_second().into()))),
    );
}

/// RFC 3339, or seconds since the epoch; `None` for nothing.
fn timestamp(value: &Value) -> Result<Option<Timestamp>, String> {
    if let Some(seconds) = value.as_f64() {
        #[allow(clippy::cast_possible_truncation)] // saturates, and out of range is refused below
        let millis = (seconds * 1_000.0) as i64;
        return Timestamp::from_millisecond(millis).map(Some).map_err(|_| "the time is out of range".to_owned());
    }
    match text(value).trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "this is not an RFC 3339 time".to_owned()),
    }
}

fn zone(around: &Surroundings<'_>, h: &Helper<'_>) -> Result<TimeZone, String> {
    named(h, "tz").map_or_else(|| Ok(around.scene.tz.clone()), |name| zone_of(&name))
}

fn zone_of(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("there is no time zone {:?}", super::marks::cut(name, 60)))
}

/// The layout of strftime or, as `go=`, of Go; empty without one.
fn layout(h: &Helper<'_>) -> Result<String, String> {
    let layout = match named(h, "go") {
        Some(go) => golayout::strftime(&go).map_err(|sign| format!("`{sign}` in a Go layout has no counterpart"))?,
        None => arg(h, 1),
    };
    if layout.len() > MAX_LAYOUT { Err("the layout is too long".to_owned()) } else { Ok(layout) }
}

/// What is wrong with a zone or layouts that a template writes down.
pub(in crate::render) fn check_layout(tz: Option<&str>, strf: Option<&str>, go: Option<&str>) -> Result<(), String> {
    if let Some(name) = tz {
        zone_of(name)?;
    }
    let go = go.map(golayout::strftime).transpose();
    let go = go.map_err(|sign| format!("`{sign}` in a Go layout has no counterpart"))?;
    for layout in strf.into_iter().chain(go.as_deref()) {
        let at = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        strtime::format(layout, &at).map_err(|error| format!("{layout:?} is no layout of strftime: {error}"))?;
    }
    Ok(())
}

fn time(around: &Surroundings<'_>, h: &Helper<'_>) -> Answer {
    let Some(at) = timestamp(value(h, 0))? else { return Ok(Value::Null) };
    let tz = zone(around, h)?;
    Ok(match layout(h)?.as_str() {
        "" => words::time(at, around.scene.now, &tz),
        layout => strtime::format(layout, &at.to_zoned(tz)).map_err(|e| e.to_string())?,
    }
    .into())
}

fn duration(around: &Surroundings<'_>, h: &Helper<'_>) -> Answer {
    #[allow(clippy::cast_possible_truncation)] // saturates
    let seconds = match (value(h, 0), h.param(1)) {
        (Value::Number(seconds), None) => seconds.as_f64().unwrap_or_default() as i64,
        (from, _) => {
            let Some(from) = timestamp(from)? else { return Ok(Value::Null) };
            let to = timestamp(value(h, 1))?.unwrap_or(around.scene.now);
            to.as_second().saturating_sub(from.as_second())
        }
    };
    Ok(words::duration(around.scene.lang, seconds).into())
}

/// A time that a label or an annotation has in a form of its own, as RFC 3339; nothing when it is none.
fn parse_time(around: &Surroundings<'_>, h: &Helper<'_>) -> Answer {
    let (layout, tz) = (layout(h)?, zone(around, h)?);
    if layout.is_empty() {
        return Err("say how it is written: {{parseTime text \"%Y-%m-%d %H:%M\"}}".to_owned());
    }
    let found = strtime::parse(&layout, arg(h, 0).trim()).ok().and_then(|parts| {
        // A layout with an offset needs no zone.
        parts.to_timestamp().ok().or_else(|| {
            let at = parts.to_datetime().or_else(|_| parts.to_date().map(|date| date.at(0, 0, 0, 0))).ok()?;
            at.to_zoned(tz).ok().map(|at| at.timestamp())
        })
    });
    Ok(found.map_or(Value::Null, |at| at.to_string().into()))
}

fn add_time(h: &Helper<'_>) -> Answer {
    let Some(at) = timestamp(value(h, 0))? else { return Ok(Value::Null) };
    let length = length(value(h, 1)).ok_or("say how much: {{addTime startsAt \"-1h30m\"}}, units ms, s, m, h, d, w")?;
    at.checked_add(length).map(|at| at.to_string().into()).map_err(|_| "the time is out of range".to_owned())
}

/// Seconds, or Prometheus' `1h30m` with a sign.
fn length(value: &Value) -> Option<SignedDuration> {
    if let Some(seconds) = value.as_f64() {
        return SignedDuration::try_from_secs_f64(seconds).ok();
    }
    let text = text(value);
    let text = text.trim();
    let (minus, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if rest.is_empty() {
        return None;
    }
    let mut millis = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
        let (unit, size) = units.into_iter().find(|(unit, _)| rest.starts_with(unit))?;
        millis = millis.checked_add(number.checked_mul(size)?)?;
        rest = rest.get(unit.len()..)?;
    }
    Some(SignedDuration::from_millis(if minus { -millis } else { millis }))
}
