//! Time intervals with Alertmanager's schema and meaning (`timeinterval/timeinterval.go`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// One time interval as it is written. Every field that is empty holds always.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RawTimeInterval {
    /// `start_time` and `end_time` as `HH:MM`, `24:00` allowed; the end is not in it.
    pub times: Vec<(String, String)>,
    /// `saturday` or `monday:friday`, both ends in it.
    pub weekdays: Vec<String>,
    /// `1`, `1:5` or `-3:-1`; -1 is the month's last day.
    pub days_of_month: Vec<String>,
    /// `january:march`, or by number.
    pub months: Vec<String>,
    /// `2026` or `2026:2028`.
    pub years: Vec<String>,
    /// IANA zone, `UTC`, or `Local` (the configured zone, like none at all).
    pub location: Option<String>,
}

/// Why a time interval can not be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {message}")]
pub struct IntervalError {
    /// The field of the schema: `times`, `weekdays`, `days_of_month`, `months`, `years` or `location`.
    pub field: &'static str,
    /// What is wrong, with the value.
    pub message: String,
}

/// Both ends are in it.
type Range = (i32, i32);

/// One checked time interval: a time is in it when every field that is not empty has a range that holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeInterval {
    /// Minutes of the day; the end is not in it.
    times: Vec<Range>,
    /// 0 is Sunday.
    weekdays: Vec<Range>,
    /// Negative ones count from the end.
    days_of_month: Vec<Range>,
    /// 1 is January.
    months: Vec<Range>,
    years: Vec<Range>,
    zone: TimeZone,
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl TimeInterval {
    /// Checks an interval; `default_zone` is used when it names no location.
    ///
    /// # Errors
    /// The first field with a value that Alertmanager refuses too, or a month outside 1 to 12.
    pub fn build(raw: &RawTimeInterval, default_zone: &TimeZone) -> Result<Self, IntervalError> {
        let zone = match raw.location.as_deref().map(str::trim) {
            None | Some("" | "Local") => default_zone.clone(),
            Some(name) => TimeZone::get(name).map_err(|_| IntervalError {
                field: "location",
                message: format!("{name:?} is not a time zone like Asia/Shanghai"),
            })?,
        };
        let times = raw.times.iter().map(|(start, end)| time_range(start, end)).collect::<Result<_, _>>();
        Ok(Self {
            times: times.map_err(|message| IntervalError { field: "times", message })?,
            weekdays: each("weekdays", &raw.weekdays, weekday_range)?,
            days_of_month: each("days_of_month", &raw.days_of_month, day_range)?,
            months: each("months", &raw.months, month_range)?,
            years: each("years", &raw.years, |text| ordered(text, |year| number(year, "year")))?,
            zone,
        })
    }

    /// Whether `now` is in it.
    pub fn contains(&self, now: Timestamp) -> bool {
        let at = self.zone.to_datetime(now);
        let minute = i32::from(at.hour()) * 60 + i32::from(at.minute());
        let day = i32::from(at.day());
        let last = i32::from(at.date().days_in_month());
        let within = |ranges: &[Range], value: i32| {
            ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&value))
        };
        (self.times.is_empty() || self.times.iter().any(|(start, end)| (*start..*end).contains(&minute)))
            && (self.days_of_month.is_empty() || self.days_of_month.iter().any(|range| in_month(*range, day, last)))
            && within(&self.months, i32::from(at.month()))
            && within(&self.weekdays, i32::from(at.weekday().to_sunday_zero_offset()))
            && within(&self.years, i32::from(at.year()))
    }
}

/// Days that the month does not have are cut off; a range that begins behind the month's end is not in it at all.
fn in_month((first, end): Range, day: i32, last: i32) -> bool {
    let place = |n: i32| if n < 0 { last + n + 1 } else { n };
    (place(first)..=place(end)).contains(&day)
}

fn each(
    field: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Result<Range, String>,
) -> Result<Vec<Range>, IntervalError> {
    let ranges = texts.iter().map(|text| read(&text.trim().to_lowercase())).collect::<Result<_, _>>();
    ranges.map_err(|message| IntervalError { field, message })
}

/// `a` or `a:b`, not checked for order.
fn range(text: &str, member: impl Fn(&str) -> Result<i32, String>) -> Result<Range, String> {
    match text.split_once(':') {
        None => member(text).map(|n| (n, n)),
        Some((_, end)) if end.contains(':') => Err(format!("{text:?} is not a range like a:b")),
        Some((first, end)) => Ok((member(first.trim())?, member(end.trim())?)),
    }
}

fn ordered(text: &str, member: impl Fn(&str) -> Result<i32, String>) -> Result<Range, String> {
    let (first, end) = range(text, member)?;
    if first > end {
        return Err(format!("{text:?} ends before it begins; write it as two ranges"));
    }
    Ok((first, end))
}

fn number(text: &str, what: &str) -> Result<i32, String> {
    text.parse().map_err(|_| format!("{text:?} is not a {what}"))
}

fn named(text: &str, names: &[&str]) -> Option<i32> {
    names.iter().position(|name| *name == text).and_then(|at| i32::try_from(at).ok())
}

fn weekday_range(text: &str) -> Result<Range, String> {
    // The week begins on Sunday, as in Alertmanager.
    ordered(text, |day| named(day, &WEEKDAYS).ok_or_else(|| format!("{day:?} is not a weekday like monday")))
}

fn month_range(text: &str) -> Result<Range, String> {
    ordered(text, |month| {
        let number = named(month, &MONTHS).map(|at| at + 1).or_else(|| month.parse().ok());
        number
            .filter(|n| (1..=12).contains(n))
            .ok_or_else(|| format!("{month:?} is not a month; use january to december or 1 to 12"))
    })
}

fn day_range(text: &str) -> Result<Range, String> {
    let (first, end) = range(text, |day| {
        number(day, "day of the month")
            .ok()
            .filter(|n| *n != 0 && (-31..=31).contains(n))
            .ok_or_else(|| format!("{day:?} is not a day of the month; use 1 to 31, or -31 to -1 from its end"))
    })?;
    if first < 0 && end > 0 {
        return Err(format!("{text:?}: the end must be negative too when the start is"));
    }
    // As Alertmanager counts: a range must not be empty in February.
    let place = |n: i32| if n < 0 { 28 + n } else { n };
    if place(first) > place(end) {
        return Err(format!("{text:?} ends before it begins in a short month"));
    }
    Ok((first, end))
}

fn time_range(start: &str, end: &str) -> Result<Range, String> {
    let (first, last) = (minute(start)?, minute(end)?);
    if first >= last {
        return Err(format!("{start} to {end} is empty; split a range over midnight at 24:00"));
    }
    Ok((first, last))
}

/// `HH:MM` from 00:00 to 24:00, two digits each.
fn minute(text: &str) -> Result<i32, String> {
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i32>().ok()).flatten()
    };
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (two(hour)?, two(minute)?);
        ((hour < 24 && minute < 60) || (hour == 24 && minute == 0)).then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| format!("{text:?} is not a time of day; use 00:00 to 24:00"))
}

#[cfg(test)]
mod tests;
