//! The helpers that templates may use. What each does stands in `templates/README.md`.

mod humanize;
mod lists;
mod loops;
mod markup;
mod numbers;
mod patterns;
mod texts;
mod times;

use std::sync::atomic::{AtomicUsize, Ordering};

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, PathAndJson, RenderContext, RenderError,
    RenderErrorReason, ScopedJson, Template,
};
use serde_json::Value;

pub(super) use self::markup::{Colour, LEVELS};
pub(super) use self::patterns::compile as compile_pattern;
pub(super) use self::times::check_layout;
use super::engine::Capped;
use super::{Scene, links, marks, words};
use crate::model::{Dialect, Layout};

/// Longest text that one helper may make, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Items that one helper may make at most.
const MAX_ITEMS: usize = 1_000;
/// Results above this, in bytes of text or in items, count as work of [`MAX_TEXT`].
const LARGE: usize = 4 * 1024;
/// The meters' names: nothing that a template can write.
const METER: &str = " meter";
const LARGE_METER: &str = " large";

pub(super) type Answer = Result<Value, String>;

/// A helper that is a function of its arguments.
struct Function<F>(F);

fn function<F: Fn(&Helper<'_>) -> Answer + Send + Sync>(f: F) -> Box<Function<F>> {
    Box::new(Function(f))
}

impl<F: Fn(&Helper<'_>) -> Answer + Send + Sync> HelperDef for Function<F> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        // A field may be called like a helper: `{{#each links}}{{url}}{{/each}}`.
        if let Some(field) = field_of_that_name(h, ctx, rc) {
            return Ok(field);
        }
        let charge = |name, rc: &mut RenderContext<'reg, 'rc>| {
            rc.get_local_helper(name).map_or(Ok(ScopedJson::Missing), |meter| meter.call_inner(h, r, ctx, rc))
        };
        charge(METER, rc)?;
        let made = (self.0)(h).map_err(|why| failed(h.name(), &why))?;
        let size = match &made {
            Value::String(text) if text.len() > MAX_TEXT => return Err(failed(h.name(), "its text is over 64 KiB")),
            Value::String(text) => text.len(),
            Value::Array(items) => items.len().saturating_mul(64),
            _ => 0,
        };
        if size > LARGE {
            charge(LARGE_METER, rc)?;
        }
        Ok(ScopedJson::Derived(made))
    }
}

fn field_of_that_name<'reg, 'rc>(
    h: &Helper<'rc>,
    ctx: &'rc Context,
    rc: &RenderContext<'reg, 'rc>,
) -> Option<ScopedJson<'rc>> {
    let bare = h.params().is_empty() && h.hash().is_empty() && !h.is_block();
    // An error says that the context is a list.
    bare.then(|| rc.evaluate(ctx, h.name()).ok()).flatten().filter(|found| !found.is_missing())
}

pub(super) fn failed(helper: &str, why: &str) -> RenderError {
    RenderErrorReason::Other(format!("{helper}: {}", marks::cut(why, 200))).into()
}

/// A value as text without marks: what `{{x}}` would show of it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => marks::plain(text),
        other => marks::plain(&other.to_string()),
    }
}

fn value<'a>(h: &'a Helper<'_>, at: usize) -> &'a Value {
    h.param(at).map_or(&Value::Null, PathAndJson::value)
}

fn values<'a>(h: &'a Helper<'_>) -> impl Iterator<Item = &'a Value> {
    h.params().iter().map(PathAndJson::value)
}

fn arg(h: &Helper<'_>, at: usize) -> String {
    text(value(h, at))
}

fn named(h: &Helper<'_>, name: &str) -> Option<String> {
    h.hash_get(name).map(|found| text(found.value()))
}

fn flag(h: &Helper<'_>, name: &str) -> bool {
    use handlebars::JsonTruthy as _;
    h.hash_get(name).is_some_and(|found| found.value().is_truthy(false))
}

fn count(h: &Helper<'_>, at: usize) -> Option<usize> {
    let value = value(h, at);
    value.as_u64().or_else(|| text(value).trim().parse().ok()).and_then(|n| usize::try_from(n).ok())
}

/// The engine with every helper that needs nothing of the message.
pub(super) fn registry() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.register_escape_fn(marks::escape);
    // Writes to the program's log what a sender says.
    registry.unregister_helper("log");
    texts::register(&mut registry);
    lists::register(&mut registry);
    numbers::register(&mut registry);
    humanize::register(&mut registry);
    patterns::register(&mut registry);
    markup::register(&mut registry);
    registry
}

/// What the helpers of one run need: the message itself, its vendor and type, and how much its template may still do.
pub(super) struct Surroundings<'a> {
    pub(super) scene: &'a Scene,
    pub(super) dialect: &'a dyn Dialect,
    pub(super) layout: Layout,
    /// The text is no markup: a title.
    pub(super) plain: bool,
    /// Where in the data the part begins.
    pub(super) path: &'a [String],
    /// Rounds that loops may still make.
    pub(super) rounds: AtomicUsize,
    /// Bytes that helpers may still look at or make.
    pub(super) work: AtomicUsize,
}

impl Surroundings<'_> {
    fn charge(&self, of: &AtomicUsize, amount: usize) -> bool {
        of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(amount)).is_ok()
    }
}

/// Makes the message's own helpers known to one run of a template.
pub(super) fn local<'reg: 'rc, 'rc>(rc: &mut RenderContext<'reg, 'rc>, around: &'rc Surroundings<'rc>) {
    rc.register_local_helper(METER, Box::new(Meter { around, flat: 0 }));
    rc.register_local_helper(LARGE_METER, Box::new(Meter { around, flat: MAX_TEXT }));
    rc.register_local_helper("t", function(|h| Ok(word(around, &arg(h, 0)))));
    rc.register_local_helper("each", Box::new(loops::Each(around)));
    times::local(rc, around);
    markup::local(rc, around);
}

/// A word of the built-in messages; what is none is a value like any other.
fn word(around: &Surroundings<'_>, key: &str) -> Value {
    let known = words::WORDS.iter().any(|(name, ..)| *name == key);
    if known { marks::safe(words::word(around.scene.lang, key)).into() } else { key.into() }
}

/// Counts what helpers do. A loop of a few thousand rounds is nothing, but not when each looks at all alerts: without
/// this, templates could take minutes.
struct Meter<'a> {
    around: &'a Surroundings<'a>,
    flat: usize,
}

impl HelperDef for Meter<'_> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let amount = if self.flat > 0 { self.flat } else { values(h).map(weight).sum() };
        if self.around.charge(&self.around.work, amount) {
            Ok(ScopedJson::Missing)
        } else {
            Err(failed(h.name(), "too much work: helpers look at the same long lists or texts again and again"))
        }
    }
}

/// About how many bytes it takes to look at a value, or to copy it.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => 8 + text.len(),
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 8,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>() + 8,
        _ => 8,
    }
}

/// Runs a block into a text of its own.
fn inner<'reg: 'rc, 'rc>(
    template: &'rc Template,
    r: &'reg Handlebars<'reg>,
    ctx: &'rc Context,
    rc: &mut RenderContext<'reg, 'rc>,
) -> Result<String, RenderError> {
    use handlebars::Renderable as _;
    let mut out = Capped::new(super::full::MAX_BODY);
    template.render(r, ctx, rc, &mut out)?;
    Ok(out.into_text())
}

/// The end of a helper that writes markup itself.
fn write(out: &mut dyn Output, text: &str) -> HelperResult {
    Ok(out.write(text)?)
}

/// Addresses that may stand in a message.
fn usable(url: &str) -> Option<String> {
    links::usable(url, &[])
}
