//! Templates that failed while they ran, as mistakes with their place in the file.

use super::ask::Shown;
use crate::model::{Mistake, Place};
use crate::render::TemplateFailure;

/// Longest line of a template that is quoted, in characters.
const LINE_CHARS: usize = 200;

/// Each once, in the order in which they were met. `files` are path and source of the templates.
pub(super) fn mistakes(shown: &[Shown], files: &[(String, String)]) -> Vec<Mistake> {
    let mut found: Vec<Mistake> = Vec::new();
    for failure in
        shown.iter().flat_map(|shown| &shown.previews.messages).filter_map(|message| message.failure.as_ref())
    {
        let mistake = mistake(failure, files);
        if !found.contains(&mistake) {
            found.push(mistake);
        }
    }
    found
}

/// Where it failed: in the file that a person knows, when it is one.
fn mistake(failure: &TemplateFailure, files: &[(String, String)]) -> Mistake {
    let (place, why) = failure.place();
    let (line, column) = place.unwrap_or((0, 0));
    let file = &failure.place.file;
    let source = files.iter().find(|(path, _)| path == file).map(|(_, source)| source);
    let text = source.and_then(|source| source.lines().nth(line.checked_sub(1)?)).unwrap_or_default();
    let name = || format!("{}.hbs", failure.template);
    Mistake {
        place: Place { file: if file.is_empty() { name() } else { file.clone() }, line, column },
        what: format!("the template failed: {why}"),
        line: text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE_CHARS).collect(),
        hint: "until it is mended such messages leave in the built-in plain form".to_owned(),
        warning: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_file_that_people_know() {
        let file = "t/wecom.odd.body.hbs".to_owned();
        let failure = TemplateFailure {
            template: "wecom.odd.body".to_owned(),
            error: "line 2, column 3: no such zone".to_owned(),
            place: Place { file: file.clone(), line: 2, column: 3 },
            alert: None,
        };
        let text = mistake(&failure, &[(file, "first\n\t {{time x tz=1}}\n".to_owned())]).to_string();
        assert!(
            text.starts_with("t/wecom.odd.body.hbs:2:3: the template failed: no such zone\n      {{time x"),
            "{text}"
        );
        let elsewhere = TemplateFailure { error: "it is too long".to_owned(), place: Place::default(), ..failure };
        assert!(mistake(&elsewhere, &[]).to_string().starts_with("wecom.odd.body.hbs: the template failed: it is"));
    }
}
