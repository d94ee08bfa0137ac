//! Arithmetic. What is no number gives nothing.

use handlebars::{Handlebars, Helper};
use serde_json::{Number, Value};

use super::{count, function, text, value, values};

pub(super) fn register(registry: &mut Handlebars<'_>) {
    macro_rules! helper {
        ($name:literal, $function:expr) => {
            registry.register_helper($name, function($function));
        };
    }
    helper!("add", |h| Ok(folded(h, |a, b| a + b)));
    helper!("sub", |h| Ok(folded(h, |a, b| a - b)));
    helper!("mul", |h| Ok(folded(h, |a, b| a * b)));
    helper!("div", |h| Ok(folded(h, |a, b| a / b)));
    helper!("mod", |h| Ok(folded(h, |a, b| a % b)));
    helper!("min", |h| Ok(folded(h, f64::min)));
    helper!("max", |h| Ok(folded(h, f64::max)));
    helper!("round", |h| Ok(rounded(h)));
    helper!("floor", |h| Ok(one(h, f64::floor)));
    helper!("ceil", |h| Ok(one(h, f64::ceil)));
    helper!("abs", |h| Ok(one(h, f64::abs)));
    helper!("fixed", |h| {
        let digits = count(h, 1).unwrap_or(2).min(9);
        Ok(parsed(value(h, 0)).map_or(Value::Null, |number| format!("{number:.digits$}").into()))
    });
}

/// A number, or a text that is one.
pub(super) fn parsed(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        other => text(other).trim().parse().ok(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// All arguments together, those of lists included, from left to right.
fn folded(h: &Helper<'_>, with: impl Fn(f64, f64) -> f64) -> Value {
    let each = values(h).flat_map(|value| match value {
        Value::Array(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    });
    let numbers: Option<Vec<f64>> = each.map(parsed).collect();
    numbers.and_then(|numbers| numbers.into_iter().reduce(with)).map_or(Value::Null, shown)
}

fn one(h: &Helper<'_>, with: impl Fn(f64) -> f64) -> Value {
    parsed(value(h, 0)).map_or(Value::Null, |number| shown(with(number)))
}

/// Half away from zero, as people round.
fn rounded(h: &Helper<'_>) -> Value {
    let digits = i32::try_from(count(h, 1).unwrap_or(0).min(9)).unwrap_or(9);
    let scale = 10_f64.powi(digits);
    one(h, |number| if number.abs() < 1e15 { (number * scale).round() / scale } else { number })
}

/// Whole numbers without a point.
pub(super) fn shown(number: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)] // every whole number below 2^53 has its i64
    let whole = (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    whole.map_or_else(|| Number::from_f64(number).map_or(Value::Null, Value::Number), Value::from)
}
