//! What of a message's alerts people see, and what was left out to make it fit.

use std::fmt;

use super::data::Cut;
use super::{Scene, SceneAlert};

/// How much of its alerts a message shows. The text of it is a sentence for the person who looks at a preview, and empty
/// when everything is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trim {
    /// Alerts that the message is about.
    pub total: usize,
    /// Alerts by name, those in full included; the others are in its numbers.
    pub named: usize,
    /// Alerts in full.
    pub detailed: usize,
    /// Longer annotations than so many characters were cut; `None` when there were no longer ones.
    pub annotations: Option<usize>,
    /// Whether folded labels, or another part that may fold away, had to go.
    pub unfolded: bool,
    /// Names that are listed of each severity at most; `None` when all are listed, and outside of digests.
    pub names: Option<usize>,
    /// No markup: plain text has no alert in full.
    pub plain: bool,
}

impl Trim {
    /// Of a message that was given `shown` alerts, the first `detailed` of them in full.
    pub(super) fn full(scene: &Scene, detailed: usize, shown: usize, cut: Cut) -> Self {
        let alerts = scene.alerts.get(..detailed.min(shown)).unwrap_or_default();
        Self {
            total: scene.alerts.len(),
            named: shown,
            detailed: detailed.min(shown),
            annotations: alerts.iter().any(|told| has_longer(told, cut.annotations)).then_some(cut.annotations),
            ..Self::default()
        }
    }

    /// Of plain text that names so many.
    pub(super) fn plain(total: usize, named: usize) -> Self {
        Self { total, named, plain: true, ..Self::default() }
    }

    /// Of a digest that names so many, and lists at most `names` names of each severity.
    pub(super) fn digest(total: usize, named: usize, names: Option<usize>) -> Self {
        Self { total, named, names, ..Self::default() }
    }

    /// The form of the plain text that took this one's place.
    pub(super) fn without_markup(self) -> Self {
        Self { plain: true, detailed: 0, ..self }
    }
}

/// Whether it has a text of the kind that messages show with more than so many characters.
fn has_longer(told: &SceneAlert, chars: usize) -> bool {
    let texts = ["summary", "description", "message"].iter().filter_map(|name| told.alert.annotations.get(*name));
    // No text has more characters than bytes.
    texts.chain([&told.alert.value_string]).any(|text| text.len() > chars && text.trim().chars().count() > chars)
}

impl fmt::Display for Trim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total, named, detailed, .. } = *self;
        let mut said: Vec<String> = Vec::new();
        let by_name = named.saturating_sub(detailed);
        let counted = total.saturating_sub(named);
        let ways = [(detailed, "in full"), (by_name, "by name"), (counted, "in numbers")];
        let ways: Vec<(usize, &str)> = ways.into_iter().filter(|(count, _)| *count > 0).collect();
        // One way to tell all of them needs no words, unless it is only a number.
        if ways.len() > 1 || (counted > 0 && counted == total) {
            let noun = if total == 1 { "alert" } else { "alerts" };
            let words = ways.iter().enumerate().map(|(at, (count, how))| match at {
                0 => format!("{count} of {total} {noun} {how}"),
                _ => format!("{count} {how}"),
            });
            said.push(words.collect::<Vec<_>>().join(", "));
        }
        if let Some(chars) = self.annotations {
            said.push(format!("annotations cut at {chars} characters"));
        }
        if let Some(names) = self.names {
            said.push(match names {
                0 => "no names are listed".to_owned(),
                1 => "one name of each severity is listed".to_owned(),
                names => format!("at most {names} names of each severity are listed"),
            });
        }
        if self.unfolded {
            said.push("labels not shown".to_owned());
        }
        if self.plain {
            said.push("plain text, no markup".to_owned());
        }
        f.write_str(&said.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_plain_words() {
        let full = |total, named, detailed| Trim { total, named, detailed, ..Trim::default() };
        let cases = [
            (full(0, 0, 0), ""),
            (full(1, 1, 1), ""),
            (full(2, 2, 2), ""),
            (full(5, 5, 0), ""),
            (full(1, 0, 0), "1 of 1 alert in numbers"),
            (full(50, 30, 3), "3 of 50 alerts in full, 27 by name, 20 in numbers"),
            (full(12, 12, 3), "3 of 12 alerts in full, 9 by name"),
            (full(50, 0, 0), "50 of 50 alerts in numbers"),
            (
                Trim { annotations: Some(150), unfolded: true, ..full(50, 30, 3) },
                "3 of 50 alerts in full, 27 by name, 20 in numbers; annotations cut at 150 characters; labels not shown",
            ),
            (
                Trim::digest(300, 12, Some(40)),
                "12 of 300 alerts by name, 288 in numbers; at most 40 names of each severity are listed",
            ),
            (Trim::digest(3, 3, None), ""),
            (Trim::plain(3, 1), "1 of 3 alerts by name, 2 in numbers; plain text, no markup"),
            (Trim { names: Some(0), ..Trim::digest(1, 0, None) }, "1 of 1 alert in numbers; no names are listed"),
        ];
        for (trim, text) in cases {
            assert_eq!(trim.to_string(), text, "{trim:?}");
        }
    }
}
