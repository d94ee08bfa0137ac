//! Helpers on texts.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE};
use handlebars::{Handlebars, Helper, JsonTruthy as _};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Answer, MAX_ITEMS, MAX_TEXT, arg, count, function, text, value, values};
use crate::render::{identity, links, marks};

pub(super) fn register(registry: &mut Handlebars<'_>) {
    macro_rules! helper {
        ($name:literal, $function:expr) => {
            registry.register_helper($name, function($function));
        };
    }
    helper!("upper", |h| Ok(arg(h, 0).to_uppercase().into()));
    helper!("lower", |h| Ok(arg(h, 0).to_lowercase().into()));
    helper!("title", |h| Ok(title(&arg(h, 0)).into()));
    helper!("trim", |h| Ok(arg(h, 0).trim().into()));
    helper!("trimPrefix", |h| trimmed(h, |text, part| text.strip_prefix(part)));
    helper!("trimSuffix", |h| trimmed(h, |text, part| text.strip_suffix(part)));
    helper!("oneLine", |h| Ok(marks::one_line(&arg(h, 0), MAX_TEXT).into()));
    helper!("join", |h| Ok(join(h)));
    helper!("split", |h| Ok(split(&arg(h, 0), &arg(h, 1))));
    helper!("concat", |h| Ok(values(h).map(text).collect::<String>().into()));
    helper!("repeat", repeat);
    helper!("default", |h| Ok(values(h).find(|v| v.is_truthy(true)).cloned().unwrap_or_default()));
    helper!("truncate", |h| {
        let max = count(h, 1).ok_or("say how many characters: {{truncate text 80}}")?;
        Ok(marks::cut(&arg(h, 0), max).into())
    });
    helper!("contains", |h| Ok(contains(value(h, 0), &arg(h, 1)).into()));
    helper!("startsWith", |h| Ok(arg(h, 0).starts_with(&arg(h, 1)).into()));
    helper!("endsWith", |h| Ok(arg(h, 0).ends_with(&arg(h, 1)).into()));
    helper!("ternary", |h| Ok(value(h, if value(h, 0).is_truthy(false) { 1 } else { 2 }).clone()));
    helper!("urlEncode", |h| Ok(links::encode(&arg(h, 0)).into()));
    helper!("urlDecode", |h| Ok(decode(&arg(h, 0)).into()));
    helper!("json", |h| Ok(marks::plain(&value(h, 0).to_string()).into()));
    helper!("base64encode", |h| Ok(URL_SAFE.encode(arg(h, 0)).into()));
    helper!("base64decode", |h| Ok(decode_base64(&arg(h, 0))));
    helper!("stripPort", |h| Ok(identity::without_port(&arg(h, 0)).into()));
    helper!("stripDomain", |h| Ok(without_domain(&arg(h, 0)).into()));
}

/// Every word with a capital, the rest lower, as Alertmanager's `title`.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = true;
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        start = !c.is_alphanumeric() && c != '\'';
    }
    out
}

fn trimmed(h: &Helper<'_>, cut: impl for<'a> Fn(&'a str, &str) -> Option<&'a str>) -> Answer {
    let (whole, part) = (arg(h, 0), arg(h, 1));
    Ok(cut(&whole, &part).unwrap_or(&whole).into())
}

/// Takes `list separator` and Alertmanager's `separator list`. Finished markup in the list stays what it is.
fn join(h: &Helper<'_>) -> Value {
    let (list, separator) = match (value(h, 0), value(h, 1)) {
        (Value::Array(list), Value::Null) => (list, ", ".to_owned()),
        (Value::Array(list), separator) | (separator, Value::Array(list)) => (list, text(separator)),
        (other, _) => return other.clone(),
    };
    let text_of = |item: &Value| item.as_str().map_or_else(|| text(item), str::to_owned);
    let parts: Vec<String> = list.iter().map(text_of).filter(|part| !part.is_empty()).collect();
    // Beside finished markup the separator is the template's own text, blanks included.
    let separator = if parts.iter().any(|part| marks::has_safe(part)) { marks::safe(&separator) } else { separator };
    parts.join(&separator).into()
}

fn split(whole: &str, by: &str) -> Value {
    if by.is_empty() {
        return Value::Array(vec![whole.into()]);
    }
    whole.splitn(MAX_ITEMS, by).collect()
}

fn repeat(h: &Helper<'_>) -> Answer {
    let text = arg(h, 0);
    let times = count(h, 1).ok_or("say how often: {{repeat text 3}}")?;
    if text.len().saturating_mul(times) > MAX_TEXT {
        return Err("its text would be over 64 KiB".to_owned());
    }
    Ok(text.repeat(times).into())
}

/// Whether a list has the item, an object the key, or a text the text.
fn contains(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|item| text(item) == wanted),
        Value::Object(map) => map.contains_key(wanted),
        other => text(other).contains(wanted),
    }
}

/// The opposite of `urlEncode`; `+` is a blank, as in a query.
fn decode(text: &str) -> String {
    let blanks = text.replace('+', " ");
    marks::clean(&percent_decode_str(&blanks).decode_utf8_lossy(), MAX_TEXT)
}

/// Either alphabet, padded or not; nothing when it is no text. What comes out is a sender's like any other.
fn decode_base64(text: &str) -> Value {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text: String = text.trim().replace('+', "-").replace('/', "_");
    let decoded = LENIENT.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map_or(Value::Null, |text| marks::clean(&text, MAX_TEXT).into())
}

/// `db-1.corp.example:9100` is `db-1:9100`, as Prometheus' `stripDomain`; addresses of numbers stay.
fn without_domain(text: &str) -> String {
    let host = identity::without_port(text);
    let port = text.get(host.len()..).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    format!("{}{port}", host.split('.').next().unwrap_or(host))
}
