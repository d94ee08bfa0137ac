//! Helpers with regular expressions: linear time, bounded size, so that a template can not hang a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use handlebars::{Handlebars, Helper};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{Answer, MAX_TEXT, arg, flag, function};

/// Compiled patterns that are kept. Templates write theirs down, so a few dozen are all there are.
const MAX_PATTERNS: usize = 128;

pub(super) fn register(registry: &mut Handlebars<'_>) {
    let patterns = Arc::new(Patterns::default());
    let shared = Arc::clone(&patterns);
    registry.register_helper("match", function(move |h| Ok(shared.get(&arg(h, 1))?.is_match(&arg(h, 0)).into())));
    let shared = Arc::clone(&patterns);
    registry.register_helper("capture", function(move |h| capture(&shared, h)));
    registry.register_helper("replace", function(move |h| replace(&patterns, h)));
}

/// The pattern as the helpers take it.
///
/// # Errors
/// Why not.
pub(in crate::render) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(256 * 1024).build().map_err(|_| {
        let pattern = super::marks::cut(pattern, 100);
        format!("{pattern:?} is not a regular expression, or too large a one")
    })
}

fn replace(patterns: &Patterns, h: &Helper<'_>) -> Answer {
    let (subject, from, to) = (arg(h, 0), arg(h, 1), arg(h, 2));
    // Every place where something is put in could make it longer by the whole of it.
    if subject.len().saturating_mul(to.len() + 1) > 64 * MAX_TEXT {
        return Err("the texts are too long".to_owned());
    }
    if flag(h, "regex") {
        return Ok(patterns.get(&from)?.replace_all(&subject, to.as_str()).into_owned().into());
    }
    Ok(if from.is_empty() { subject } else { subject.replace(&from, &to) }.into())
}

/// What the first bracket of the pattern found, or the one that is named; all of it for a pattern without brackets.
fn capture(patterns: &Patterns, h: &Helper<'_>) -> Answer {
    let regex = patterns.get(&arg(h, 1))?;
    let subject = arg(h, 0);
    let Some(found) = regex.captures(&subject) else { return Ok(Value::Null) };
    let group = match arg(h, 2) {
        name if name.is_empty() => found.get(usize::from(regex.captures_len() > 1)),
        name => name.parse().map_or_else(|_| found.name(&name), |at: usize| found.get(at)),
    };
    Ok(group.map_or(Value::Null, |group| group.as_str().into()))
}

/// Compiled patterns.
#[derive(Default)]
struct Patterns(Mutex<HashMap<String, Regex>>);

impl Patterns {
    fn get(&self, pattern: &str) -> Result<Regex, String> {
        // A map of finished patterns can not be half written by a panic elsewhere.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = compile(pattern)?;
        if known.len() < MAX_PATTERNS {
            known.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    }
}
