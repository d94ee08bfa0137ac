//! What an expression of Go's is worth where it stands.

use std::rc::Rc;

use super::Definition;
use super::fields::field;
use super::functions::{Notes, call};
use super::source::{Head, Pipe, Pos, Problem, Word};
use super::value::{Ex, Kind, Value};

/// Calls inside of each other in one expression, and its parts.
const MAX_CALLS: usize = 8;
const MAX_PARTS: usize = 100;

/// What is known at a place.
pub(super) struct Scope {
    pub(super) dot: Option<Value>,
    pub(super) dollar: Option<Value>,
    /// `None` when the value has no counterpart.
    pub(super) variables: Vec<(String, Option<Value>)>,
    /// The definition that is walked through; its file is where places are.
    pub(super) of: Rc<Definition>,
}

/// A pipeline's value.
///
/// # Errors
/// What of it has no counterpart.
pub(super) fn evaluate(pipe: &Pipe, scope: &Scope, notes: &mut Notes) -> Result<Value, Problem> {
    let mut value = None;
    for words in &pipe.commands {
        let made = command(words, value, scope, notes)?;
        // At once: each further one wraps all before it.
        if made.ex.depth() > MAX_CALLS || made.size() > MAX_PARTS {
            return Err(Problem::new(pipe.pos, "this is too long for one expression", "write it simpler"));
        }
        value = Some(made);
    }
    value.ok_or_else(|| Problem::new(pipe.pos, "a value is missing here", ""))
}

fn command(words: &[Word], piped: Option<Value>, scope: &Scope, notes: &mut Notes) -> Result<Value, Problem> {
    let Some((first, rest)) = words.split_first() else {
        return Err(Problem::new(Pos::default(), "a value is missing here", ""));
    };
    let mut args = Vec::with_capacity(rest.len() + 1);
    for word in rest {
        args.push(operand(word, scope, Vec::new(), notes)?);
    }
    args.extend(piped);
    operand(first, scope, args, notes)
}

/// An operand with its fields; the last of them, or the function, takes the arguments.
fn operand(word: &Word, scope: &Scope, mut args: Vec<Value>, notes: &mut Notes) -> Result<Value, Problem> {
    let pos = word.pos;
    let lone = word.fields.is_empty();
    let mut value = match &word.head {
        Head::Dot => scope.dot.clone().ok_or_else(|| Problem::new(pos, "nothing was handed to this template", "")),
        Head::Variable(name) if name.is_empty() => {
            scope.dollar.clone().ok_or_else(|| Problem::new(pos, "nothing was handed to this template", ""))
        }
        Head::Variable(name) => variable(name, scope, pos),
        Head::Name(name) if lone => call(name, pos, std::mem::take(&mut args), notes),
        Head::Name(name) => call(name, pos, Vec::new(), notes),
        Head::Text(text) => Ok(Value::text(text.clone())),
        Head::Number(text) => Ok(Value::new(Ex::Number(written(text)), Kind::Number)),
        Head::Flag(flag) => Ok(Value::flag(Ex::Flag(*flag))),
        Head::Nil => Err(Problem::new(pos, "nil has no counterpart", "")),
        Head::Bracket(pipe) => evaluate(pipe, scope, notes),
    }?;
    for (at, name) in word.fields.iter().enumerate() {
        let last = at + 1 == word.fields.len();
        let taken = if last { std::mem::take(&mut args) } else { Vec::new() };
        value = field(value, name, taken, pos, notes)?;
    }
    if !args.is_empty() {
        return Err(Problem::new(pos, "only functions and methods take arguments", ""));
    }
    Ok(value)
}

fn variable(name: &str, scope: &Scope, pos: Pos) -> Result<Value, Problem> {
    match scope.variables.iter().rev().find(|(known, _)| known == name) {
        Some((_, Some(value))) => Ok(value.clone()),
        Some((_, None)) => Err(Problem::new(pos, format!("the variable ${name} could not be carried over"), "")),
        None => Err(Problem::new(pos, format!("there is no variable ${name} here"), "")),
    }
}

/// A number as Handlebars reads it.
fn written(text: &str) -> String {
    if text.parse::<i64>().is_ok() {
        return text.trim_start_matches('+').to_owned();
    }
    match text.parse::<f64>() {
        Ok(number) if number.abs() < 1e18 => number.to_string(),
        _ => text.to_owned(),
    }
}
