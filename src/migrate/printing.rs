//! `print` and `printf`: their parts one after the other.

use super::functions::{Notes, own_text, text};
use super::source::{Pos, Problem};
use super::value::{Ex, Kind, Value};

pub(super) fn print(args: Vec<Value>, between: &str, pos: Pos, notes: &mut Notes) -> Result<Value, Problem> {
    let mut parts = Vec::new();
    for arg in args {
        if !parts.is_empty() && !between.is_empty() {
            parts.push(Ex::Text(between.to_owned()));
        }
        parts.push(text(arg, pos, notes)?);
    }
    Ok(concat(parts))
}

/// The parts as one text.
fn concat(parts: Vec<Ex>) -> Value {
    match <[Ex; 1]>::try_from(parts) {
        Ok([only]) => Value::new(only, Kind::Text),
        Err(parts) => own_text("concat", parts),
    }
}

pub(super) fn printf(args: Vec<Value>, pos: Pos, notes: &mut Notes) -> Result<Value, Problem> {
    let mut args = args.into_iter();
    let Some(Value { ex: Ex::Text(format), .. }) = args.next() else {
        return Err(Problem::new(pos, "the format of this printf is computed", "write it down"));
    };
    let (mut parts, mut plain) = (Vec::new(), String::new());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        let mut verb = String::new();
        for c in chars.by_ref() {
            verb.push(c);
            if c.is_alphabetic() || c == '%' {
                break;
            }
        }
        if verb == "%" {
            plain.push('%');
            continue;
        }
        let Some(arg) = args.next() else {
            return Err(Problem::new(pos, "this printf has fewer values than verbs", ""));
        };
        let arg = text(arg, pos, notes)?;
        let made = match verb.as_str() {
            "s" | "v" | "d" => arg,
            "q" => Ex::call("concat", vec![Ex::Text("\"".to_owned()), arg, Ex::Text("\"".to_owned())]),
            "f" => Ex::call("fixed", vec![arg, Ex::Number("6".to_owned())]),
            other => match digits(other) {
                Some(digits) => Ex::call("fixed", vec![arg, Ex::Number(digits)]),
                None => {
                    let hint = "%s, %v, %d, %q, %f and %.2f have one";
                    return Err(Problem::new(pos, format!("the verb `%{other}` has no counterpart"), hint));
                }
            },
        };
        if !plain.is_empty() {
            parts.push(Ex::Text(std::mem::take(&mut plain)));
        }
        parts.push(made);
    }
    if args.next().is_some() {
        return Err(Problem::new(pos, "this printf has more values than verbs", ""));
    }
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Ex::Text(plain));
    }
    Ok(concat(parts))
}

/// The digits of `.2f`, at most 9.
fn digits(verb: &str) -> Option<String> {
    let digits = verb.strip_prefix('.')?.strip_suffix('f')?;
    matches!(digits.as_bytes(), [b'0'..=b'9']).then(|| digits.to_owned())
}
