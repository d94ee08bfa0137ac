//! Words, times and durations of the built-in messages, in Chinese and English.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::Lang;

/// Words that the `t` helper knows: key, Chinese, English.
pub(super) const WORDS: &[(&str, &str, &str)] = &[
    ("resolved", "恢复", "Resolved"),
    ("reminder", "仍在告警", "Still firing"),
    ("notice", "通知", "Notice"),
    ("where", "位置", "Where"),
    ("what", "现象", "What"),
    ("when", "时间", "When"),
    ("lasts", "已持续", "For"),
    ("lasted", "持续", "Lasted"),
    ("value", "当前值", "Value"),
    ("labels", "标签", "Labels"),
    ("names", "按名称", "By name"),
    ("graph", "图表", "graph"),
    ("runbook", "手册", "runbook"),
    ("dashboard", "面板", "dashboard"),
    ("silence", "静默", "silence"),
    ("list", "完整列表", "full list"),
    ("details", "详情", "details"),
    ("nobody", "无需处理", "nothing to do"),
    ("oncall", "值班人员", "on-call"),
    ("colon", "：", ": "),
    ("comma", "，", ", "),
    ("bar", "｜", " | "),
];

/// The word for `key`; the key itself when there is none.
pub(super) fn word(lang: Lang, key: &str) -> &str {
    WORDS.iter().find(|(name, ..)| *name == key).map_or(key, |(_, zh, en)| match lang {
        Lang::Zh => zh,
        Lang::En => en,
    })
}

/// Picks by language.
pub const fn pick<T: Copy>(lang: Lang, zh: T, en: T) -> T {
    match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }
}

/// A severity level for people: Chinese for the usual names, a capital for English; others as configured.
pub fn severity(lang: Lang, level: &str) -> String {
    let level = super::marks::one_line(level, 40);
    match (lang, level.as_str()) {
        (Lang::Zh, "critical") => "严重".to_owned(),
        (Lang::Zh, "error") => "错误".to_owned(),
        (Lang::Zh, "warning") => "警告".to_owned(),
        (Lang::Zh, "info") => "提示".to_owned(),
        (Lang::Zh, "none") => "未分级".to_owned(),
        (Lang::Zh, "unknown") => "未知".to_owned(),
        (Lang::Zh, other) => other.to_owned(),
        (Lang::En, other) => capital(other),
    }
}

/// With a capital, as what stands alone has in English.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A time as people read it: `HH:MM:SS` today, `MM-DD HH:MM` this year, else `YYYY-MM-DD HH:MM`.
pub fn time(at: Timestamp, now: Timestamp, tz: &TimeZone) -> String {
    let short = minute(at, now, tz);
    let (at, now) = (at.to_zoned(tz.clone()), now.to_zoned(tz.clone()));
    if at.date() == now.date() { format!("{short}:{:02}", at.second()) } else { short }
}

/// The same without seconds.
pub(super) fn minute(at: Timestamp, now: Timestamp, tz: &TimeZone) -> String {
    let (at, now) = (at.to_zoned(tz.clone()), now.to_zoned(tz.clone()));
    let (h, m) = (at.hour(), at.minute());
    if at.date() == now.date() {
        format!("{h:02}:{m:02}")
    } else if at.year() == now.year() {
        format!("{:02}-{:02} {h:02}:{m:02}", at.month(), at.day())
    } else {
        format!("{:04}-{:02}-{:02} {h:02}:{m:02}", at.year(), at.month(), at.day())
    }
}

/// From when to when, `at` one of the two above. The day is said once.
pub(super) fn range(
    (start, end): (Timestamp, Timestamp),
    now: Timestamp,
    tz: &TimeZone,
    at: fn(Timestamp, Timestamp, &TimeZone) -> String,
) -> String {
    let day = |time: Timestamp| time.to_zoned(tz.clone()).date();
    let past = day(start) == day(end) && day(end) != day(now);
    let end = if past { minute(end, end, tz) } else { at(end, now, tz) };
    format!("{}–{end}", at(start, now, tz))
}

/// Seconds as a length of time, two units at most: `7分33秒`, `7m33s`, `3小时5分`, `3h5m`. Negative counts as 0.
pub fn duration(lang: Lang, seconds: i64) -> String {
    let seconds = seconds.max(0);
    let units: [(i64, &str); 4] = match lang {
        Lang::Zh => [(86_400, "天"), (3_600, "小时"), (60, "分"), (1, "秒")],
        Lang::En => [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")],
    };
    let Some(at) = units.iter().position(|(size, _)| seconds >= *size) else {
        return format!("0{}", units[3].1);
    };
    let (size, unit) = units[at];
    let mut text = format!("{}{unit}", seconds / size);
    if let Some((next, unit)) = units.get(at + 1) {
        let rest = seconds % size / next;
        if rest > 0 {
            text.push_str(&format!("{rest}{unit}"));
        }
    }
    text
}

/// How long something goes on already. Coarse: whoever reads it reads it later than it was written.
pub(super) fn age(lang: Lang, seconds: i64) -> String {
    match seconds {
        ..60 => pick(lang, "不到 1 分钟", "under 1m").to_owned(),
        60..3_600 => match lang {
            Lang::Zh => format!("{} 分钟", seconds / 60),
            Lang::En => format!("{}m", seconds / 60),
        },
        _ => duration(lang, seconds),
    }
}
