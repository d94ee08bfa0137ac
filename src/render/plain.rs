//! The built-in forms without markup: one that names the alerts, one with numbers only.

use super::data;
use super::facts::{self, Facts};
use super::finish::{self, Parts};
use super::{Scene, words};
use crate::model::{Dialect, Draft, How, Lang};

/// Alerts that are named at most.
const SHOWN: usize = 100;
/// Lines of an alert are cut to this, in characters.
const LINE_CHARS: usize = 240;

/// Plain text that names the alerts, as many as fit; the others are counted.
pub(super) fn plain(dialect: &dyn Dialect, scene: &Scene, facts: &Facts<'_>) -> (Draft, Vec<How>) {
    let title = finish::title(scene, facts, &format!("Alarm{}", words::word(scene.lang, "bar")));
    let named = scene.alerts.len().min(SHOWN);
    let lines: Vec<String> = (0..named).filter_map(|at| line(scene, facts, at)).collect();
    let make = |shown: usize| {
        let mut body = lines.iter().take(shown).fold(String::new(), |mut body, line| {
            finish::add_line(&mut body, line);
            body
        });
        tail(scene, facts, shown, &mut body);
        finished(dialect, scene, facts, &title, &body)
    };
    let all = make(lines.len());
    let (mut low, mut high) = (0, lines.len());
    if finish::fits(dialect, &all) {
        low = high;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if finish::fits(dialect, &make(middle)) { low = middle } else { high = middle - 1 }
    }
    let draft = if low == lines.len() { all } else { make(low) };
    if !finish::fits(dialect, &draft) {
        return counts(dialect, scene, facts);
    }
    let how = (0..scene.alerts.len()).map(|at| if at < low { How::Named } else { How::Counted }).collect();
    (draft, how)
}

fn line(scene: &Scene, facts: &Facts<'_>, at: usize) -> Option<String> {
    let told = scene.alerts.get(at)?;
    let max = data::Cut { annotations: 100, labels: 100 };
    let alert = data::alert(scene, facts, at, true, max);
    let text = |name: &str| alert.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let state = if facts::fires(told) { text("severityText") } else { words::word(scene.lang, "resolved").to_owned() };
    let head = match data::label(&told.alert, facts) {
        label if facts.one_name && facts.total > 1 && label != text("name") => format!("{} {label}", text("name")),
        label => label,
    };
    let mut line = format!("{state} {head}");
    let firing = |name| if facts::fires(told) { text(name) } else { String::new() };
    for more in [firing("summary"), firing("value"), text("when")] {
        if !more.is_empty() {
            line.push_str(words::word(scene.lang, "comma"));
            line.push_str(&more);
        }
    }
    Some(super::marks::one_line(&line, LINE_CHARS))
}

/// What follows the alerts: how many more, and what else is known.
fn tail(scene: &Scene, facts: &Facts<'_>, shown: usize, body: &mut String) {
    let counts = if facts.total == 1 { String::new() } else { facts.counts(scene) };
    for line in [facts.more(scene, shown), counts].iter().chain(&facts.notes(scene)).filter(|line| !line.is_empty()) {
        finish::add_line(body, line);
    }
}

fn finished(dialect: &dyn Dialect, scene: &Scene, facts: &Facts<'_>, title: &str, body: &str) -> Draft {
    let (draft, parts) = bare(dialect, scene, facts, title, body);
    finish::finish(dialect, scene, draft, &parts)
}

pub(super) fn bare(dialect: &dyn Dialect, scene: &Scene, facts: &Facts<'_>, title: &str, body: &str) -> (Draft, Parts) {
    let draft = Draft::plain(title.to_owned(), body.to_owned(), facts.tone, scene.mentions.clone());
    let list = super::links::usable(&scene.list_url, &[])
        .map(|url| format!("{}{}{url}", words::word(scene.lang, "list"), words::word(scene.lang, "colon")));
    let mentions = dialect.mention_text(&scene.mentions, scene.lang);
    let mentions = super::marks::plain(&format!("Dispatch{}", data::dispatch(scene, facts, &mentions)));
    (draft, Parts { list: list.unwrap_or_default(), mentions })
}

/// Numbers by severity and status: nothing that a sender wrote.
pub(super) fn counts(dialect: &dyn Dialect, scene: &Scene, facts: &Facts<'_>) -> (Draft, Vec<How>) {
    let totals = facts::totals(scene.lang, &scene.alerts);
    let title = match scene.lang {
        Lang::Zh => format!("{} Alarm：{totals}", facts.emoji),
        Lang::En => format!("{} Alarm: {totals}", facts.emoji),
    };
    let mut body = match scene.lang {
        Lang::Zh => format!("共 {} 条：{totals}", facts.total),
        Lang::En => format!("{} in all: {totals}", facts.total),
    };
    tail(scene, facts, scene.alerts.len(), &mut body);
    let (draft, parts) = bare(dialect, scene, facts, &title, &body);
    let draft = finish::squeeze(dialect, scene, &body, draft, parts);
    (draft, vec![How::Counted; scene.alerts.len()])
}
