//! Short facts that stand beside the body, in layouts that have a place for them.

use super::facts::{self, Facts, Timing};
use super::marks::{cut, one_line};
use super::texts::Texts;
use super::{Scene, SceneAlert, data, identity, words};
use crate::model::Layout;

/// Rows of a template card (the vendor's limit is six).
const ROWS: usize = 6;
/// Width of a row's name, in Latin letters (the vendor advises five Chinese characters).
const NAME_WIDTH: usize = 12;
/// Width of what is read at a glance there (the vendor advises 26 Chinese characters).
const LINE_WIDTH: usize = 52;
/// Width of the longest value: beyond that the vendors' forms cut.
const CARD_WIDTH: usize = 300;
const TEMPLATE_CARD_WIDTH: usize = 104;
/// Longest value, in characters.
const VALUE_CHARS: usize = 300;

/// The facts of a message that names its first `shown` alerts. `calls` says that its body calls somebody.
pub(super) fn columns(
    scene: &Scene,
    facts: &Facts<'_>,
    layout: Layout,
    calls: bool,
    shown: usize,
) -> Vec<(String, String)> {
    let mut rows = match (layout, scene.alerts.get(..shown)) {
        (Layout::Card | Layout::TemplateCard, Some([only])) if facts.total == 1 => about(scene, facts, layout, only),
        // A column for each of several alerts would be a table.
        (Layout::TemplateCard, Some(several)) if facts.total > 1 => {
            several.iter().map(|told| row(scene, facts, told)).collect()
        }
        _ => return Vec::new(),
    };
    if !calls {
        rows.truncate(ROWS - 1);
        rows.push(("Dispatch".to_owned(), data::who(scene, facts).to_owned()));
    }
    rows.truncate(ROWS);
    let most = if layout == Layout::TemplateCard { TEMPLATE_CARD_WIDTH } else { CARD_WIDTH };
    rows.into_iter().map(|(name, value)| (name, narrow(&one_line(&value, VALUE_CHARS), most))).collect()
}

/// Where, how much, and since when.
fn about(scene: &Scene, facts: &Facts<'_>, layout: Layout, told: &SceneAlert) -> Vec<(String, String)> {
    let word = |key: &str| words::word(scene.lang, key).to_owned();
    let place = data::place(&told.alert, facts);
    let whole = data::whole_place(&place);
    let mut rows = Vec::new();
    if width(&whole) > if layout == Layout::TemplateCard { LINE_WIDTH } else { CARD_WIDTH } {
        rows.push((word("where"), place.0));
        let marks = identity::marks(&told.alert, &facts.common, &scene.notification.group_labels);
        rows.extend(marks.into_iter().map(|(name, value)| (short_name(name), value)));
    } else {
        rows.push((word("where"), whole));
    }
    if facts::fires(told) {
        rows.push((word("value"), Texts::of(&told.alert, VALUE_CHARS).value));
    }
    if layout == Layout::TemplateCard {
        rows.push((word("when"), facts::when(scene, facts, told)));
    } else {
        // Two short ones stand beside each other.
        let Timing { at, length, flaps } = Timing::of(scene, facts, told);
        rows.push((
            word("when"),
            at.into_iter().chain(flaps).collect::<Vec<_>>().join(words::word(scene.lang, "comma")),
        ));
        rows.push((word(if facts::fires(told) { "lasts" } else { "lasted" }), length.unwrap_or_default()));
    }
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

/// One of several alerts.
fn row(scene: &Scene, facts: &Facts<'_>, told: &SceneAlert) -> (String, String) {
    let name = if facts::fires(told) {
        words::severity(scene.lang, &told.severity)
    } else {
        words::word(scene.lang, "resolved").to_owned()
    };
    let value = format!("{} {}", data::label(&told.alert, facts), facts::when_brief(scene, told));
    (narrow(&one_line(&name, 40), NAME_WIDTH), value)
}

/// A label's name where there is room for five Chinese characters.
fn short_name(label: &str) -> String {
    let label = label.strip_prefix("exported_").unwrap_or(label);
    let short = match label {
        "persistentvolumeclaim" => "pvc",
        "persistentvolume" => "pv",
        "horizontalpodautoscaler" => "hpa",
        "poddisruptionbudget" => "pdb",
        "statefulset" => "sts",
        other => other,
    };
    narrow(short, NAME_WIDTH)
}

/// At most so wide; the last character is an ellipsis when something was cut.
fn narrow(text: &str, most: usize) -> String {
    let mut used = 0;
    let fitting = |c: &char| {
        used += width(c.encode_utf8(&mut [0; 4]));
        used <= most
    };
    let fits = text.chars().take_while(fitting).count();
    if text.chars().nth(fits).is_none() { text.to_owned() } else { cut(text, fits) }
}

/// Chinese characters are twice as wide as Latin ones.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}
