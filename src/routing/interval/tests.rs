#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn raw(fields: &[(&str, &[&str])]) -> RawTimeInterval {
    let mut raw = RawTimeInterval::default();
    for (name, values) in fields {
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        match *name {
            "times" => {
                raw.times =
                    values.iter().map(|v| v.split_once('-').unwrap()).map(|(a, b)| (a.into(), b.into())).collect();
            }
            "weekdays" => raw.weekdays = values,
            "days" => raw.days_of_month = values,
            "months" => raw.months = values,
            "years" => raw.years = values,
            "location" => raw.location = Some(values[0].clone()),
            other => panic!("{other}"),
        }
    }
    raw
}

fn holds(fields: &[(&str, &[&str])], at: &str) -> bool {
    TimeInterval::build(&raw(fields), &TimeZone::UTC).unwrap().contains(at.parse().unwrap())
}

#[test]
fn an_empty_interval_always_holds() {
    assert!(holds(&[], "2026-11-21T09:00:00Z"));
}

#[test]
fn times_begin_in_and_end_out() {
    let office: &[(&str, &[&str])] = &[("times", &["09:00-17:00"])];
    assert!(!holds(office, "2026-11-20T08:59:59.999Z"));
    assert!(holds(office, "2026-11-20T09:00:00Z"));
    assert!(holds(office, "2026-11-20T16:59:59.999Z"));
    assert!(!holds(office, "2026-11-20T17:00:00Z"));
    let night: &[(&str, &[&str])] = &[("times", &["00:00-06:00", "22:00-24:00"])];
    for (at, want) in [("23:59:59", true), ("00:00:00", true), ("06:00:00", false), ("21:59:00", false)] {
        assert_eq!(holds(night, &format!("2026-11-20T{at}Z")), want, "{at}");
    }
}

#[test]
fn weekdays_months_and_years_hold_both_ends() {
    // 2026-11-20 is a Friday.
    let week: &[(&str, &[&str])] = &[("weekdays", &["Monday:friday"])];
    assert!(holds(week, "2026-11-20T23:59:59Z"));
    assert!(!holds(week, "2026-11-21T00:00:00Z"));
    assert!(holds(&[("weekdays", &["saturday", "sunday"])], "2026-11-22T12:00:00Z"));
    for (months, month, want) in [("november", 11, true), ("1:march", 3, true), ("1:3", 4, false), ("12", 12, true)] {
        assert_eq!(holds(&[("months", &[months])], &format!("2026-{month:02}-10T00:00:00Z")), want, "{months}");
    }
    assert!(holds(&[("years", &["2024:2026", "2030"])], "2026-12-31T23:59:59Z"));
    assert!(!holds(&[("years", &["2024:2026", "2030"])], "2027-01-01T00:00:00Z"));
}

/// Alertmanager's own cases for days: negative ones, and ends that the month does not have.
#[test]
fn days_of_month() {
    let table: &[(&str, &str, bool)] = &[
        ("1:5", "2026-11-01", true),
        ("1:5", "2026-11-05", true),
        ("1:5", "2026-11-06", false),
        ("-1", "2026-11-30", true),
        ("-1", "2026-11-29", false),
        ("-3:-1", "2026-02-26", true),
        ("-3:-1", "2026-02-25", false),
        ("28:31", "2026-02-28", true),
        ("31", "2026-04-30", false),
        ("30:31", "2026-02-28", false),
        ("-31:-1", "2026-04-01", true),
        ("-31", "2026-04-30", false),
        ("5:-5", "2026-11-26", true),
        ("5:-5", "2026-11-27", false),
        ("10:-18", "2026-02-11", true),
        ("10:-18", "2026-02-12", false),
        ("29", "2028-02-29", true),
    ];
    for (days, date, want) in table {
        assert_eq!(holds(&[("days", &[days])], &format!("{date}T12:00:00Z")), *want, "{days} {date}");
    }
}

#[test]
fn all_fields_must_hold_and_in_its_zone() {
    let shop: &[(&str, &[&str])] =
        &[("times", &["09:00-17:00"]), ("weekdays", &["monday:friday"]), ("location", &["Asia/Shanghai"])];
    // 2026-11-23 is a Monday; 01:00Z is 09:00 in Shanghai.
    assert!(holds(shop, "2026-11-23T01:00:00Z"));
    assert!(!holds(shop, "2026-11-23T00:59:59Z"));
    assert!(!holds(shop, "2026-11-23T09:00:00Z"));
    // Sunday in UTC is not yet Monday morning in Shanghai, but Monday 00:30 there is.
    assert!(holds(&[("weekdays", &["monday"]), ("location", &["Asia/Shanghai"])], "2026-11-22T16:30:00Z"));
    // Summer time moves with the zone: 09:00 in Berlin is 07:00Z in July and 08:00Z in January.
    let berlin: &[(&str, &[&str])] = &[("times", &["09:00-10:00"]), ("location", &["Europe/Berlin"])];
    assert!(holds(berlin, "2026-07-01T07:30:00Z") && !holds(berlin, "2026-01-05T07:30:00Z"));
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    for location in [None, Some("Local".to_owned())] {
        let nine = RawTimeInterval { location, ..raw(&[("times", &["09:00-10:00"])]) };
        assert!(TimeInterval::build(&nine, &zone).unwrap().contains("2026-11-23T01:30:00Z".parse().unwrap()));
    }
}

#[test]
fn mistakes_name_their_field_and_value() {
    let table: &[(&str, &str, &str, &str)] = &[
        ("times", "9:00-17:00", "times", "\"9:00\""),
        ("times", "09:00-24:01", "times", "24:01"),
        ("times", "09:60-10:00", "times", "09:60"),
        ("times", "17:00-09:00", "times", "midnight"),
        ("times", "09:00-09:00", "times", "empty"),
        ("times", "-09:00", "times", "\"\""),
        ("times", "+9:00-10:00", "times", "+9:00"),
        ("weekdays", "mon", "weekdays", "\"mon\""),
        ("weekdays", "friday:monday", "weekdays", "two ranges"),
        ("weekdays", "a:b:c", "weekdays", "a:b:c"),
        ("days", "0", "days_of_month", "\"0\""),
        ("days", "32", "days_of_month", "32"),
        ("days", "-1:5", "days_of_month", "negative"),
        ("days", "5:1", "days_of_month", "before"),
        ("days", "10:-19", "days_of_month", "short month"),
        ("days", "-1:-3", "days_of_month", "before"),
        ("days", "", "days_of_month", "\"\""),
        ("months", "13", "months", "13"),
        ("months", "march:january", "months", "before"),
        ("years", "soon", "years", "soon"),
        ("years", "2027:2026", "years", "before"),
        ("location", "Mars/Olympus", "location", "Mars/Olympus"),
    ];
    for (field, value, at, part) in table {
        let error = TimeInterval::build(&raw(&[(field, &[value])]), &TimeZone::UTC).unwrap_err();
        assert_eq!(error.field, *at, "{value}");
        assert!(error.message.contains(part), "{value}: {}", error.message);
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(
        texts in proptest::collection::vec("[a-z0-9:\\- ]{0,12}|\\PC{0,6}", 6),
        seconds in -62_135_596_800_i64..253_402_207_200,
    ) {
        let zone = TimeZone::get("Pacific/Auckland").unwrap();
        let fields = [0, 1, 2, 3, 4].map(|n| RawTimeInterval {
            times: if n == 0 { vec![(texts[0].clone(), texts[1].clone())] } else { vec![] },
            weekdays: if n == 1 { vec![texts[2].clone()] } else { vec![] },
            days_of_month: if n == 2 { vec![texts[3].clone()] } else { vec![] },
            months: if n == 3 { vec![texts[4].clone()] } else { vec![] },
            years: if n == 4 { vec![texts[5].clone()] } else { vec![] },
            location: None,
        });
        for raw in fields {
            if let Ok(interval) = TimeInterval::build(&raw, &zone) {
                interval.contains(Timestamp::from_second(seconds).unwrap());
            }
        }
    }

    /// The last n days of a month are the same by either way of counting.
    #[test]
    fn negative_days_count_from_the_end(day in 1..=31_i8, back in 1..=28_i32, month in 1..=12_i8, year in 2020..2040_i16) {
        if let Ok(date) = jiff::civil::Date::new(year, month, day) {
            let last = i32::from(date.days_in_month());
            let at = format!("{date}T12:00:00Z");
            let negative = holds(&[("days", &[&format!("-{back}:-1")])], &at);
            prop_assert_eq!(negative, i32::from(day) > last - back);
        }
    }
}
