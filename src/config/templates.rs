//! `templates:`, the custom template files.

use std::collections::BTreeMap;

use crate::render::Templates;

use super::fields::Fields;
use super::files::{Files, as_text};
use super::report::{Pos, Report, quoted};

pub(super) struct RawTemplates {
    /// Path and source, each file once, sorted by path.
    pub(super) files: Vec<(String, String)>,
    pub(super) compiled: Templates,
    /// Where the key stands.
    pub(super) pos: Pos,
}

pub(super) fn read(top: &Fields<'_>, files: &mut Files, report: &mut Report) -> RawTemplates {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for pattern in top.texts("templates", report) {
        let shown = quoted(&pattern.value);
        if pattern.value.contains("**") {
            report.mistake(pattern.pos, format!("{shown}: `**` is not understood"), "name each folder, like a/*.hbs");
            continue;
        }
        let found = match files.matches(&pattern.value) {
            Ok(found) => found,
            Err(why) => {
                report.mistake(pattern.pos, format!("{shown} is no good pattern: {why}"), "like templates/*.hbs");
                continue;
            }
        };
        if found.is_empty() {
            let hint = "relative paths begin at the config's folder";
            if pattern.value.contains(['*', '?', '[']) {
                report.warning(pattern.pos, format!("no file matches {shown}"), hint);
            } else {
                report.mistake(pattern.pos, format!("there is no template file {shown}"), hint);
            }
        }
        for path in found {
            let name = path.to_string_lossy().into_owned();
            match files.read_match(path).and_then(as_text) {
                Ok(source) => {
                    sources.insert(name, source);
                }
                Err(why) => {
                    report.mistake(pattern.pos, format!("the template {} can not be read: {why}", quoted(&name)), "");
                }
            }
        }
    }
    let files: Vec<(String, String)> = sources.into_iter().collect();
    let (compiled, mistakes) = Templates::new(&files);
    for mistake in mistakes {
        report.foreign(mistake);
    }
    RawTemplates { files, compiled, pos: top.key_pos("templates") }
}
