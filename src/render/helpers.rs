//! The helpers that templates may use. What each does stands in `templates/README.md`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use handlebars::{
    BlockContext, BlockParams, Context, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy as _, Output,
    RenderContext, RenderError, RenderErrorReason, Renderable as _, ScopedJson, Template,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};

use super::{Scene, extras, links, marks, words};
use crate::model::{Labels, Lang, Layout};

/// Names of all helpers, the engine's own included, so that an unknown one is found when a template is loaded.
pub const NAMES: &[&str] = &[
    "if",
    "unless",
    "each",
    "with",
    "lookup",
    "raw",
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "and",
    "or",
    "not",
    "len",
    "time",
    "duration",
    "t",
    "upper",
    "lower",
    "title",
    "trim",
    "oneLine",
    "join",
    "default",
    "truncate",
    "contains",
    "match",
    "replace",
    "urlEncode",
    "sortedLabels",
    "json",
    "link",
    "where",
    "pluck",
    "omit",
    "list",
    "split",
    "concat",
    "url",
    "urlDecode",
    "ternary",
    "startsWith",
    "endsWith",
    "add",
    "sub",
    "mul",
    "div",
    "mod",
    "fixed",
];

/// Longest text that one helper may make, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Compiled patterns that are kept. Templates write theirs down, so a few dozen are all there are.
const MAX_PATTERNS: usize = 128;

pub(super) type Answer = Result<Value, String>;

/// A helper that is a function of its arguments.
pub(super) struct Function<F>(F);

pub(super) fn function<F: Fn(&Helper<'_>) -> Answer + Send + Sync>(f: F) -> Box<Function<F>> {
    Box::new(Function(f))
}

impl<F: Fn(&Helper<'_>) -> Answer + Send + Sync> HelperDef for Function<F> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        match (self.0)(h) {
            Ok(Value::String(text)) if text.len() > MAX_TEXT => Err(failed(h.name(), "its text is over 64 KiB")),
            Ok(value) => Ok(ScopedJson::Derived(value)),
            Err(why) => Err(failed(h.name(), &why)),
        }
    }
}

fn failed(helper: &str, why: &str) -> RenderError {
    RenderErrorReason::Other(format!("{helper}: {}", marks::cut(why, 200))).into()
}

/// A value as text without marks: what `{{x}}` would show of it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => marks::plain(text),
        other => marks::plain(&other.to_string()),
    }
}

pub(super) fn value<'a>(h: &'a Helper<'_>, at: usize) -> &'a Value {
    h.param(at).map_or(&Value::Null, handlebars::PathAndJson::value)
}

pub(super) fn arg(h: &Helper<'_>, at: usize) -> String {
    text(value(h, at))
}

pub(super) fn count(h: &Helper<'_>, at: usize) -> Option<usize> {
    let value = value(h, at);
    value.as_u64().or_else(|| text(value).trim().parse().ok()).and_then(|n| usize::try_from(n).ok())
}

/// The engine with every helper that needs nothing of the message.
pub(super) fn registry() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.register_escape_fn(marks::escape);
    // Writes to the program's log what a sender says.
    registry.unregister_helper("log");
    let patterns = Arc::new(Patterns::default());
    macro_rules! helper {
        ($name:literal, $function:expr) => {
            registry.register_helper($name, function($function));
        };
    }
    helper!("upper", |h| Ok(arg(h, 0).to_uppercase().into()));
    helper!("lower", |h| Ok(arg(h, 0).to_lowercase().into()));
    helper!("title", |h| Ok(title(&arg(h, 0)).into()));
    helper!("trim", |h| Ok(arg(h, 0).trim().into()));
    helper!("oneLine", |h| Ok(marks::one_line(&arg(h, 0), MAX_TEXT).into()));
    helper!("join", |h| Ok(join(h)));
    helper!("default", |h| {
        let found = h.params().iter().map(handlebars::PathAndJson::value).find(|v| v.is_truthy(true));
        Ok(found.cloned().unwrap_or_default())
    });
    helper!("truncate", |h| {
        let max = count(h, 1).ok_or("say how many characters: {{truncate text 80}}")?;
        Ok(marks::cut(&arg(h, 0), max).into())
    });
    helper!("contains", |h| Ok(contains(value(h, 0), &arg(h, 1)).into()));
    helper!("urlEncode", |h| Ok(links::encode(&arg(h, 0)).into()));
    helper!("sortedLabels", |h| Ok(sorted_labels(value(h, 0))));
    helper!("json", |h| Ok(marks::plain(&value(h, 0).to_string()).into()));
    helper!("link", |h| Ok(link(&arg(h, 0), &arg(h, 1))));
    let shared = Arc::clone(&patterns);
    helper!("match", move |h| Ok(shared.get(&arg(h, 1))?.is_match(&arg(h, 0)).into()));
    helper!("replace", move |h| replace(&patterns, h));
    registry.register_helper("raw", Box::new(Block::Raw));
    extras::register(&mut registry);
    registry
}

/// Whether a list has the item, an object the key, or a text the text.
fn contains(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|item| text(item) == wanted),
        Value::Object(map) => map.contains_key(wanted),
        other => text(other).contains(wanted),
    }
}

fn replace(patterns: &Patterns, h: &Helper<'_>) -> Answer {
    let (subject, from, to) = (arg(h, 0), arg(h, 1), arg(h, 2));
    // Every place where something is put in could make it longer by the whole of it.
    if subject.len().saturating_mul(to.len() + 1) > 64 * MAX_TEXT {
        return Err("the texts are too long".to_owned());
    }
    if h.hash_get("regex").is_some_and(|v| v.value().is_truthy(false)) {
        return Ok(patterns.get(&from)?.replace_all(&subject, to.as_str()).into_owned().into());
    }
    Ok(if from.is_empty() { subject } else { subject.replace(&from, &to) }.into())
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

fn sorted_labels(labels: &Value) -> Value {
    let Value::Object(map) = labels else { return Value::Array(Vec::new()) };
    let labels: Labels = map.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let pairs = super::identity::sorted(&labels).into_iter();
    pairs.map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// `[text](url)`, or the text alone when there is no such link.
fn link(text: &str, url: &str) -> Value {
    match links::usable(url, &[]) {
        Some(url) => super::data::markdown_link(text, &url).into(),
        None => text.into(),
    }
}

/// Compiled patterns. Linear time, bounded size: a template can not hang a message.
#[derive(Default)]
struct Patterns(Mutex<HashMap<String, Regex>>);

impl Patterns {
    fn get(&self, pattern: &str) -> Result<Regex, String> {
        // A map of finished patterns can not be half written by a panic elsewhere.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = RegexBuilder::new(pattern)
            .size_limit(256 * 1024)
            .build()
            .map_err(|_| format!("{pattern:?} is not a regular expression, or too large a one"))?;
        if known.len() < MAX_PATTERNS {
            known.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    }
}

/// The helpers that are written as blocks.
enum Block<'a> {
    /// `{{raw x}}` writes a value as it is; `{{{{raw}}}}...{{{{/raw}}}}` writes a piece of template as it is.
    Raw,
    /// The engine's `each` with a bound on all rounds of a message, because loops in loops multiply.
    Each(&'a Surroundings<'a>),
}

impl HelperDef for Block<'_> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        match self {
            Self::Raw => Ok(ScopedJson::Derived(marks::safe(&arg(h, 0)).into())),
            Self::Each(_) => Err(RenderErrorReason::Unimplemented.into()),
        }
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        match self {
            Self::Raw => match (h.template(), h.param(0)) {
                (Some(inner), _) => inner.render(r, ctx, rc, out),
                (None, Some(value)) => Ok(out.write(&text(value.value()))?),
                (None, None) => Ok(()),
            },
            Self::Each(around) => each(around, h, rc, |template, rc| template.render(r, ctx, rc, out)),
        }
    }
}

/// What the helpers of one message need: the message itself, its type, and how many rounds its loops may still make.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) scene: &'a Scene,
    #[expect(dead_code, reason = "helpers that write a vendor's markup follow")]
    pub(super) layout: Layout,
    pub(super) rounds: AtomicUsize,
}

/// Makes the message's own helpers known to one run of a template.
pub(super) fn local<'reg: 'rc, 'rc>(rc: &mut RenderContext<'reg, 'rc>, around: &'rc Surroundings<'rc>) {
    rc.register_local_helper("time", function(|h| time(around, h)));
    rc.register_local_helper("duration", function(|h| duration(around, h)));
    rc.register_local_helper("t", function(|h| Ok(translated(around.scene.lang, &arg(h, 0)))));
    rc.register_local_helper("each", Box::new(Block::Each(around)));
}

/// Our own words are markup as they are; another text, which may be a sender's, stays a value.
fn translated(lang: Lang, key: &str) -> Value {
    let known = words::WORDS.iter().any(|(name, ..)| *name == key);
    if known { marks::safe(words::word(lang, key)).into() } else { key.into() }
}

/// RFC 3339, or seconds since the epoch; `None` for nothing.
fn timestamp(value: &Value) -> Result<Option<Timestamp>, String> {
    if let Some(seconds) = value.as_f64() {
        #[allow(clippy::cast_possible_truncation)] // saturates, and out of range is refused below
        let millis = (seconds * 1_000.0) as i64;
        return Timestamp::from_millisecond(millis).map(Some).map_err(|_| "the time is out of range".to_owned());
    }
    match text(value).trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "this is not an RFC 3339 time".to_owned()),
    }
}

fn time(around: &Surroundings<'_>, h: &Helper<'_>) -> Answer {
    let Some(at) = timestamp(value(h, 0))? else { return Ok(Value::Null) };
    let tz = match h.hash_get("tz").map(|name| text(name.value())) {
        Some(name) => TimeZone::get(&name).map_err(|_| format!("there is no time zone {name:?}"))?,
        None => around.scene.tz.clone(),
    };
    let shown = match arg(h, 1).as_str() {
        "" => words::time(at, around.scene.now, &tz),
        layout => jiff::fmt::strtime::format(layout, &at.to_zoned(tz)).map_err(|e| e.to_string())?,
    };
    Ok(shown.into())
}

fn duration(around: &Surroundings<'_>, h: &Helper<'_>) -> Answer {
    #[allow(clippy::cast_possible_truncation)] // saturates
    let seconds = match (value(h, 0), h.param(1)) {
        (Value::Number(seconds), None) => seconds.as_f64().unwrap_or_default() as i64,
        (from, _) => {
            let Some(from) = timestamp(from)? else { return Ok(Value::Null) };
            let to = timestamp(value(h, 1))?.unwrap_or(around.scene.now);
            to.as_second().saturating_sub(from.as_second())
        }
    };
    Ok(words::duration(around.scene.lang, seconds).into())
}

fn each<'reg, 'rc>(
    around: &Surroundings<'_>,
    h: &Helper<'rc>,
    rc: &mut RenderContext<'reg, 'rc>,
    mut render: impl FnMut(&'rc Template, &mut RenderContext<'reg, 'rc>) -> HelperResult,
) -> HelperResult {
    let Some(list) = h.param(0) else { return Err(failed("each", "say over what: {{#each alerts}}")) };
    let Some(template) = h.template() else { return Ok(()) };
    let items: Vec<(Option<&String>, &Value)> = match list.value() {
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (Some(key), item)).collect(),
        _ => Vec::new(),
    };
    if items.is_empty() {
        return h.inverse().map_or(Ok(()), |other| render(other, rc));
    }
    let enough = |left: usize| left.checked_sub(items.len());
    if around.rounds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_err() {
        return Err(failed("each", "too many rounds: loops inside loops multiply"));
    }
    let base = list.context_path();
    rc.push_block(BlockContext::new());
    for (at, (key, item)) in items.iter().enumerate() {
        if let Some(block) = rc.block_mut() {
            block.set_local_var("first", (at == 0).into());
            block.set_local_var("last", (at + 1 == items.len()).into());
            block.set_local_var("index", at.into());
            let key = key.map_or_else(|| Value::from(at), |key| key.as_str().into());
            block.set_local_var("key", key.clone());
            match base {
                Some(base) => {
                    let mut path = base.clone();
                    path.push(key.as_str().map_or_else(|| at.to_string(), str::to_owned));
                    *block.base_path_mut() = path;
                }
                None => block.set_base_value((*item).clone()),
            }
            block.set_block_params(block_params(h, base.is_some(), &key, item)?);
        }
        render(template, rc)?;
    }
    rc.pop_block();
    Ok(())
}

/// `as |item key|`.
fn block_params<'rc>(
    h: &Helper<'rc>,
    by_path: bool,
    key: &Value,
    item: &Value,
) -> Result<BlockParams<'rc>, RenderError> {
    let mut params = BlockParams::new();
    let (name, key_name) = match (h.block_param(), h.block_param_pair()) {
        (Some(name), _) => (Some(name), None),
        (None, Some((name, key_name))) => (Some(name), Some(key_name)),
        (None, None) => (None, None),
    };
    match name {
        Some(name) if by_path => params.add_path(name, Vec::new())?,
        Some(name) => params.add_value(name, item.clone())?,
        None => {}
    }
    if let Some(name) = key_name {
        params.add_value(name, key.clone())?;
    }
    Ok(params)
}
