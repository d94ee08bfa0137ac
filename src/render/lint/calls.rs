//! Whether a helper exists and is called in a way that can work, as far as the template itself says.

use std::collections::HashMap;

use handlebars::template::Parameter;
use serde_json::Value;

use super::{At, Findings};
use crate::render::helpers::{Colour, LEVELS, check_layout, compile_pattern};
use crate::render::signatures::{self, Form, NAMES, Signature};

type Args<'a> = (&'a [Parameter], &'a HashMap<String, Parameter>);

pub(super) fn check(found: &mut Findings<'_>, name: &str, (params, hash): Args<'_>, block: bool, at: At) {
    let Some(signature) = signatures::find(name) else { return unknown(found, name, block, at) };
    // Go has `range` and `date`; here the first is a list of numbers.
    let right = format!("write {}", signature.usage);
    match (signature.form, block) {
        (Form::Inline, true) => return found.add(at, name, format!("`{name}` is no block"), &right),
        (Form::Block, false) => return found.add(at, name, format!("`{name}` is a block"), &right),
        _ => {}
    }
    let (least, most) = signature.args;
    // A block colours what is in it, and writes what is in it.
    let most = if block && matches!(name, "color") { 1 } else { most };
    let least = if !block && matches!(name, "color") { 2 } else { least };
    let given = params.len();
    if given < least || given > most {
        let wanted = match (least, most) {
            (least, most) if least == most => values(least),
            (least, usize::MAX) => format!("at least {}", values(least)),
            (least, most) => format!("{least} to {}", values(most)),
        };
        return found.add(at, name, format!("`{name}` takes {wanted}, here it has {given}"), &right);
    }
    for known in hash.keys().filter(|key| name != "url" && !signature.named.contains(&key.as_str())) {
        let hint = match signature.named {
            [] => right.clone(),
            named => format!("it knows {}", named.iter().map(|n| format!("`{n}=`")).collect::<Vec<_>>().join(", ")),
        };
        found.add(at, known, format!("`{name}` knows no `{known}=`"), &hint);
    }
    literals(found, signature, (params, hash), at);
}

fn values(count: usize) -> String {
    match count {
        0 => "no value".to_owned(),
        1 => "1 value".to_owned(),
        count => format!("{count} values"),
    }
}

fn unknown(found: &mut Findings<'_>, name: &str, block: bool, at: At) {
    let near = signatures::nearest(name, NAMES.iter().copied());
    let hint = match (signatures::elsewhere(name), near) {
        (Some(own), _) => format!("here it is {own}"),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) if block => format!("write {{{{#each {name}}}}}, {{{{#if {name}}}}} or {{{{#with {name}}}}}"),
        (None, None) => "templates/README.md lists the helpers".to_owned(),
    };
    found.add(at, name, format!("unknown helper `{name}`"), &hint);
}

fn text(parameter: Option<&Parameter>) -> Option<&str> {
    match parameter {
        Some(Parameter::Literal(Value::String(text))) => Some(text),
        _ => None,
    }
}

/// Values that are written down are looked at once and for all.
fn literals(found: &mut Findings<'_>, signature: &Signature, (params, hash): Args<'_>, at: At) {
    let named = |name: &str| text(hash.get(name));
    let wrong = match signature.name {
        "time" | "parseTime" => check_layout(named("tz"), text(params.get(1)), named("go")).err(),
        "match" | "capture" => text(params.get(1)).and_then(|pattern| compile_pattern(pattern).err()),
        "replace" if hash.contains_key("regex") => text(params.get(1)).and_then(|p| compile_pattern(p).err()),
        "color" => text(params.first()).and_then(colour),
        "dict" if params.len() % 2 == 1 => Some("every key needs a value".to_owned()),
        _ => None,
    };
    if let Some(wrong) = wrong {
        let hint = format!("write {}", signature.usage);
        found.add(at, signature.name, format!("`{}`: {wrong}", signature.name), &hint);
    }
}

/// A level may have any name; what is nearly a colour is meant as one.
fn colour(name: &str) -> Option<String> {
    let mut known = Colour::ALL.iter().chain(LEVELS).map(|(known, _)| *known);
    if known.clone().any(|known| name.eq_ignore_ascii_case(known)) {
        return None;
    }
    signatures::nearest(name, &mut known).map(|near| format!("there is no colour `{name}`; did you mean `{near}`?"))
}
