//! The sentences of a digest.

use jiff::Timestamp;

use super::super::tally::{Sorted, State};
use super::super::words::{self, pick};
use super::super::{finish, marks};
use super::DigestScene;
use crate::model::{BotKind, Lang};

/// Characters of a title that severities may take; those beyond it are summed up.
const TITLE_ROOM: usize = 100;

/// The title: how bad it is, in numbers. Cards and WeCom's heading have a colour instead of the circle.
pub(super) fn title(scene: &DigestScene, classes: &[Sorted<'_>], emoji: &str, kind: Option<BotKind>) -> String {
    let (lang, totals) = (scene.lang, totals(scene.lang, classes));
    let word = pick(lang, "汇总", "Digest");
    let title = match (kind, lang) {
        (Some(BotKind::Feishu), _) => format!("{word} {}{}{totals}", scene.tally.total(), pick(lang, "｜", " | ")),
        (Some(BotKind::WeCom), Lang::Zh) => format!("{word} {totals}"),
        (Some(BotKind::WeCom), Lang::En) => format!("{word}: {totals}"),
        (_, Lang::Zh) => format!("{emoji}{word} {totals}"),
        (_, Lang::En) => format!("{emoji}{word}: {totals}"),
    };
    marks::one_line(&title, finish::TITLE_CHARS)
}

/// `严重3 警告412 恢复57`, `3 critical, 412 warning, 57 resolved`.
pub(super) fn totals(lang: Lang, classes: &[Sorted<'_>]) -> String {
    let part = |text: &str, count: u64| match lang {
        Lang::En => format!("{count} {}", text.to_lowercase()),
        // `P13` would be another level than `P1`.
        Lang::Zh if text.ends_with(|c: char| c.is_ascii_alphanumeric()) => format!("{text} {count}"),
        Lang::Zh => format!("{text}{count}"),
    };
    let mut parts = Vec::new();
    let (mut room, mut rest) = (TITLE_ROOM, 0);
    for class in classes.iter().filter(|class| class.state == State::Firing) {
        let text = part(&class.text, class.total);
        match room.checked_sub(text.chars().count() + 2).filter(|_| rest == 0) {
            Some(left) => {
                room = left;
                parts.push(text);
            }
            None => rest += class.total,
        }
    }
    if rest > 0 {
        parts.push(part(pick(lang, "其他", "others"), rest));
    }
    for state in [State::Resolved, State::Still] {
        let total: u64 = classes.iter().filter(|class| class.state == state).map(|class| class.total).sum();
        if total > 0 {
            parts.push(part(state.word(lang), total));
        }
    }
    parts.join(pick(lang, " ", ", "))
}

/// When the oldest alert was accepted; `None` when that is not known.
pub(super) fn since(scene: &DigestScene) -> Option<Timestamp> {
    let known = (1..=scene.now.as_millisecond()).contains(&scene.since_ms);
    known.then(|| Timestamp::from_millisecond(scene.since_ms).ok()).flatten()
}

/// `10:05:00–10:05:30`.
fn span(scene: &DigestScene) -> String {
    let at = |time| words::time(time, scene.now, &scene.tz);
    let now = at(scene.now);
    match since(scene).map(at).filter(|since| *since != now) {
        Some(since) => format!("{since}–{now}"),
        None => now,
    }
}

/// `Alarm 汇总｜472 条｜10:05:00–10:05:30`.
pub(super) fn head(scene: &DigestScene) -> String {
    let span = span(scene);
    match (scene.lang, scene.tally.total()) {
        (Lang::Zh, total) => format!("Alarm 汇总｜{total} 条｜{span}"),
        (Lang::En, 1) => format!("Alarm digest | 1 alert | {span}"),
        (Lang::En, total) => format!("Alarm digest | {total} alerts | {span}"),
    }
}

/// The storm's running totals; empty when this digest is all there was of it.
pub(super) fn storm(scene: &DigestScene) -> String {
    let (firing, resolved) = (scene.tally.firing(), scene.tally.resolved());
    let more =
        |storm: &&crate::model::StormState| storm.digests > 1 || storm.firing > firing || storm.resolved > resolved;
    let Some(storm) = scene.storm.as_ref().filter(more) else { return String::new() };
    let since = Timestamp::from_millisecond(storm.since_ms).unwrap_or(scene.now);
    let since = words::time(since.min(scene.now), scene.now, &scene.tz);
    let (nth, firing, resolved) = (storm.digests.max(1), storm.firing, storm.resolved);
    match scene.lang {
        Lang::Zh => format!("告警风暴 {since} 起，第 {nth} 次汇总，累计告警 {firing}，恢复 {resolved}"),
        Lang::En => format!("Alert storm since {since}, digest {nth}: {firing} firing, {resolved} resolved so far"),
    }
}

/// `点名 3，计数 469`.
pub(super) fn told(scene: &DigestScene, named: usize) -> String {
    let counted = scene.tally.total().saturating_sub(u64::try_from(named).unwrap_or(u64::MAX));
    match scene.lang {
        Lang::Zh => format!("点名 {named}，计数 {counted}"),
        Lang::En => format!("{named} named, {counted} counted"),
    }
}

/// Totals alone, a line for each class: nothing that a sender wrote.
pub(super) fn class_totals(lang: Lang, classes: &[Sorted<'_>]) -> Vec<String> {
    classes.iter().map(|class| marks::plain(&format!("{} {}", class.label(lang), class.total))).collect()
}
