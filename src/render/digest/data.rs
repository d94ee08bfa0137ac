//! What a digest's template sees. The fields are described in `templates/README.md`.

use serde_json::{Map, Value, json};

use super::super::data::{self, Cut, NAME_CHARS, Vendor};
use super::super::links;
use super::super::marks::{clean, plain, safe};
use super::super::words;
use super::text;
use super::view::{Block, Rung, View};

/// Texts of an alert, in characters: a digest has room for a line of each.
const CUT: Cut = Cut { annotations: 150, labels: 150 };

/// The whole digest at one step. `folded` says which classes list their names elsewhere.
pub(super) fn root(view: &View<'_>, rung: Rung, blocks: &[Block<'_>], folded: &[bool], vendor: Vendor<'_>) -> Value {
    let (digest, scene, facts) = (view.digest, view.scene, view.facts);
    let list = links::usable(&digest.list_url, &[]);
    let links: Vec<(&'static str, String)> = list.into_iter().map(|url| ("list", url)).collect();
    let mut alerts: Vec<(usize, Value)> = Vec::new();
    for (at, _) in view.chosen.iter().take(rung.named) {
        alerts.push((*at, alert(view, *at)));
    }
    let classes: Vec<Value> =
        blocks.iter().zip(folded).map(|(block, folded)| class(view, block, *folded, &alerts)).collect();
    let worst = view.classes.iter().find(|class| Some(class.rank) == digest.tally.worst());
    let mut out = data::counted(scene, facts, vendor);
    let more = json!({
        "emoji": facts.emoji,
        // Our own words and numbers.
        "head": safe(&text::head(digest)),
        "totals": text::totals(digest.lang, &view.classes),
        "buttons": vendor.1.has_buttons() && !links.is_empty(),
        "waitingSince": data::waiting_since(digest.since_ms),
        "waited": data::waited(scene, digest.since_ms),
        "since": text::since(digest).map(|at| at.to_string()).unwrap_or_default(),
        "storm": digest.storm.map(|storm| json!({
            "since": jiff::Timestamp::from_millisecond(storm.since_ms).map(|at| at.to_string()).unwrap_or_default(),
            "digest": storm.digests,
            "firing": storm.firing,
            "resolved": storm.resolved,
        })),
        "stormLine": text::storm(digest),
        "severity": worst.map(|class| clean(class.severity, NAME_CHARS)),
        "severityText": worst.map(|class| class.text.clone()),
        "severityRank": digest.tally.worst(),
        "classes": classes,
        "alerts": alerts.into_iter().map(|(_, alert)| alert).collect::<Vec<_>>(),
        "namedCount": rung.named,
        "countedCount": digest.tally.total().saturating_sub(u64::try_from(rung.named).unwrap_or(u64::MAX)),
        "toldLine": text::told(digest, rung.named),
        "notes": facts.notes(scene),
        "dispatch": data::dispatch(scene, facts, vendor.2),
        "links": data::link_values(scene, &links),
        "linkLine": data::link_line(scene, &links),
    });
    data::extend(&mut out, more);
    out
}

fn class(view: &View<'_>, block: &Block<'_>, folded: bool, alerts: &[(usize, Value)]) -> Value {
    let lang = view.digest.lang;
    let own = block.alerts.iter().filter_map(|at| alerts.iter().find(|(known, _)| known == at));
    let names: Vec<Value> = block.names.iter().map(|(name, count)| json!({"name": name, "count": count})).collect();
    let hidden = |text: String| if folded || text.is_empty() { String::new() } else { safe(&text) };
    let others = block.others.as_ref();
    let mut out = Map::new();
    let short = || format!("{} {}", block.label, block.class.total);
    for (key, value) in [
        ("state", Value::from(block.class.state.as_str())),
        ("severity", clean(block.class.severity, NAME_CHARS).into()),
        ("severityText", block.class.text.clone().into()),
        ("severityRank", block.class.rank.into()),
        ("label", safe(&block.label).into()),
        ("total", block.class.total.into()),
        ("names", names.into()),
        ("namesLine", hidden(block.names_line(lang)).into()),
        ("line", safe(&if folded { short() } else { block.line(lang) }).into()),
        ("folded", folded.into()),
        ("others", hidden(others.map(|others| others.text.clone()).unwrap_or_default()).into()),
        ("otherNames", others.map_or(0, |others| others.names).into()),
        ("otherTotal", others.map_or(0, |others| others.total).into()),
        ("alerts", own.map(|(_, alert)| alert.clone()).collect()),
    ] {
        out.insert(key.to_owned(), value);
    }
    Value::Object(out)
}

/// As in other messages, with a label and a line that need nothing around them.
fn alert(view: &View<'_>, at: usize) -> Value {
    let mut out = data::alert(view.scene, view.facts, at, true, CUT);
    if let Some(told) = view.scene.alerts.get(at) {
        let more = json!({"label": view.label(&told.alert), "line": safe(&view.line(told))});
        data::extend(&mut out, more);
    }
    out
}

/// The long lists for a vendor that can fold: head and lines, still with marks. `folded` says whose lists these are.
pub(super) fn panel(view: &View<'_>, blocks: &[Block<'_>], folded: &[bool]) -> Option<(String, String)> {
    let lang = view.digest.lang;
    let mut lines = Vec::new();
    for (block, folded) in blocks.iter().zip(folded).filter(|(_, folded)| **folded) {
        if !block.names.is_empty() {
            lines.push(block.line(lang));
        }
        lines.extend(block.others.iter().filter(|_| *folded).map(|others| others.text.clone()));
    }
    (!lines.is_empty()).then(|| (plain(words::word(lang, "names")), lines.join("\n")))
}
