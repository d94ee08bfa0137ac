//! Helpers that write a vendor's markup, and links. Values inside stay data.

use std::fmt::Write as _;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, ScopedJson,
};
use serde_json::Value;
use url::Url;

use super::{Surroundings, arg, function, inner, named, text, usable, value, values, write};
use crate::model::{BotKind, Layout, Mentions};
use crate::render::engine::{BUILT_IN, blocks};
use crate::render::{Scene, data, links, marks};

pub(super) fn register(registry: &mut Handlebars<'_>) {
    registry.register_helper("url", function(|h| Ok(url(h))));
    registry.register_helper("promql", function(|h| Ok(promql(&arg(h, 0)).map_or(Value::Null, Value::from))));
    registry.register_helper("raw", Box::new(Raw));
}

pub(super) fn local<'reg: 'rc, 'rc>(rc: &mut RenderContext<'reg, 'rc>, around: &'rc Surroundings<'rc>) {
    rc.register_local_helper("link", function(|h| Ok(link(around, h))));
    rc.register_local_helper("mention", function(|h| Ok(mention(around, h))));
    rc.register_local_helper("escape", function(|h| Ok(escape(around, &arg(h, 0)).into())));
    rc.register_local_helper("color", Box::new(Color(around)));
    rc.register_local_helper("builtin", Box::new(BuiltIn(around)));
}

/// `[text](url)`, or the text alone when there is no such link, or where links can not be.
fn link(around: &Surroundings<'_>, h: &Helper<'_>) -> Value {
    match usable(&arg(h, 1)) {
        Some(url) if !around.plain => data::markdown_link(&arg(h, 0), &url).into(),
        _ => arg(h, 0).into(),
    }
}

/// The parts as one address for a link, named values as its query, made safe for the place between `(` and `)`; nothing
/// when it is none.
fn url(h: &Helper<'_>) -> Value {
    let mut whole = String::new();
    for part in values(h).map(text) {
        // What stood there would become a user name in front of another host.
        let at = if links::ends_in_host(&whole) { "%40" } else { "@" };
        whole.push_str(&part.replace('@', at));
    }
    let fragment = whole.find('#').map(|at| whole.split_off(at)).unwrap_or_default();
    for name in h.hash().keys() {
        let mark = if whole.contains('?') { '&' } else { '?' };
        let _ = write!(whole, "{mark}{name}={}", links::encode(&named(h, name).unwrap_or_default()));
    }
    usable(&(whole + &fragment)).map_or(Value::Null, |url| marks::safe(&url).into())
}

/// The query out of the link to its graph: Prometheus' and VictoriaMetrics' pages (`g0.expr`, `expr`), and Grafana's
/// explore, which has JSON in `left` or `panes`.
fn promql(link: &str) -> Option<String> {
    let url = Url::parse(link.trim()).ok()?;
    // VictoriaMetrics' page has its query behind the `#`.
    let behind = url.fragment().and_then(|fragment| fragment.split_once('?')).map_or("", |(_, query)| query);
    let behind = url::form_urlencoded::parse(behind.as_bytes());
    let pairs: Vec<_> = url.query_pairs().chain(behind).collect();
    let of = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref());
    let found = of("g0.expr").or_else(|| of("expr")).map(str::to_owned).or_else(|| {
        let json = of("left").or_else(|| of("panes"))?;
        expression(&serde_json::from_str(json).ok()?, 8)
    })?;
    Some(marks::clean(found.trim(), 2_000)).filter(|found| !found.is_empty())
}

/// The first `expr` in Grafana's JSON.
fn expression(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Array(items) => items.iter().find_map(|item| expression(item, depth)),
        Value::Object(map) => match map.get("expr").and_then(Value::as_str) {
            Some(found) => Some(found.to_owned()),
            None => map.values().find_map(|item| expression(item, depth)),
        },
        _ => None,
    }
}

/// The text that calls this person, if the message calls them; their name otherwise.
fn mention(around: &Surroundings<'_>, h: &Helper<'_>) -> Value {
    let name = arg(h, 0);
    let person = around.scene.mentions.people.iter().find(|person| person.name == name);
    match person {
        Some(person) if !around.plain && around.layout.calls() => {
            let only = Mentions { all: false, people: vec![person.clone()] };
            marks::safe(&around.dialect.mention_text(&only, around.scene.lang)).into()
        }
        _ => name.into(),
    }
}

/// Finished markup that reads as the value does: what happens to values anyway, for those that go through `raw`.
fn escape(around: &Surroundings<'_>, text: &str) -> String {
    if around.plain { text.to_owned() } else { marks::safe(&around.dialect.escape(text)) }
}

/// Colours that a template may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::render) enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    Grey,
}

/// Severity levels and states, with the colours of a message's head.
pub(in crate::render) const LEVELS: &[(&str, Colour)] = &[
    ("critical", Colour::Red),
    ("error", Colour::Red),
    ("warning", Colour::Orange),
    ("info", Colour::Blue),
    ("none", Colour::Grey),
    ("firing", Colour::Red),
    ("resolved", Colour::Green),
];

impl Colour {
    pub(in crate::render) const ALL: [(&'static str, Self); 8] = [
        ("red", Self::Red),
        ("orange", Self::Orange),
        ("yellow", Self::Yellow),
        ("green", Self::Green),
        ("blue", Self::Blue),
        ("purple", Self::Purple),
        ("grey", Self::Grey),
        ("gray", Self::Grey),
    ];

    fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().chain(LEVELS);
        known.clone().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, colour)| *colour)
    }

    /// By name, by a level as the config names it, or by a level's rank.
    fn of(scene: &Scene, value: &Value) -> Option<Self> {
        let by_rank = |rank: u64| match rank {
            0 | 1 => Self::Red,
            2 => Self::Orange,
            _ => Self::Blue,
        };
        if let Some(rank) = value.as_u64() {
            return Some(by_rank(rank));
        }
        let name = text(value);
        let level = || scene.alerts.iter().find(|told| told.severity == name).map(|told| by_rank(told.rank.into()));
        Self::named(&name).or_else(level)
    }

    /// What the vendor's message type has for it: DingTalk any colour, WeCom three, Feishu's card names.
    fn open(self, kind: BotKind, layout: Layout) -> Option<&'static str> {
        match (kind, layout) {
            (BotKind::DingTalk, _) => Some(match self {
                Self::Red => "<font color=\"#D92B2B\">",
                Self::Orange => "<font color=\"#E07A00\">",
                Self::Yellow => "<font color=\"#B8930A\">",
                Self::Green => "<font color=\"#2E8B3D\">",
                Self::Blue => "<font color=\"#2F6FDE\">",
                Self::Purple => "<font color=\"#8A3FC4\">",
                Self::Grey => "<font color=\"#8C8C8C\">",
            }),
            (BotKind::WeCom, Layout::Markdown) => Some(match self {
                Self::Red | Self::Orange | Self::Yellow => "<font color=\"warning\">",
                Self::Green => "<font color=\"info\">",
                Self::Blue | Self::Purple | Self::Grey => "<font color=\"comment\">",
            }),
            (BotKind::Feishu, Layout::Card) => Some(match self {
                Self::Red => "<font color='red'>",
                Self::Orange => "<font color='orange'>",
                Self::Yellow => "<font color='yellow'>",
                Self::Green => "<font color='green'>",
                Self::Blue => "<font color='blue'>",
                Self::Purple => "<font color='purple'>",
                Self::Grey => "<font color='grey'>",
            }),
            _ => None,
        }
    }
}

/// `{{color severity "text"}}`, and around a piece of a template.
struct Color<'a>(&'a Surroundings<'a>);

impl Color<'_> {
    /// Every line has a tag of its own, behind what begins a quote or a list.
    fn paint(&self, colour: &Value, marked: &str) -> String {
        let around = self.0;
        let colour = Colour::of(around.scene, colour).filter(|_| !around.plain);
        let Some(open) = colour.and_then(|colour| colour.open(around.dialect.kind(), around.layout)) else {
            return marked.to_owned();
        };
        let mut out = String::with_capacity(marked.len() + 64);
        for (at, line) in marks::flat(marked).split('\n').enumerate() {
            if at > 0 {
                out.push('\n');
            }
            let begin = line.find(|c: char| c != ' ' && c != '>').unwrap_or(line.len());
            let (begin, line) = line.split_at_checked(begin).unwrap_or(("", line));
            let (item, line) = line.strip_prefix("- ").map_or(("", line), |line| ("- ", line));
            let rest = line.trim_end();
            out.push_str(begin);
            out.push_str(item);
            if rest.is_empty() {
                out.push_str(line);
            } else {
                out.extend([open, rest, "</font>", line.get(rest.len()..).unwrap_or_default()]);
            }
        }
        out
    }
}

impl HelperDef for Color<'_> {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let shown = match value(h, 1) {
            Value::String(text) => marks::escape(text),
            other => marks::escape(&text(other)),
        };
        let made = if marks::plain(&shown).is_empty() { String::new() } else { self.paint(value(h, 0), &shown) };
        Ok(ScopedJson::Derived(marks::safe(&made).into()))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let painted = match h.template() {
            Some(template) => self.paint(value(h, 0), &inner(template, r, ctx, rc)?),
            None => self.call_inner(h, r, ctx, rc)?.as_json().as_str().unwrap_or_default().to_owned(),
        };
        write(out, &painted)
    }
}

/// The built-in part in whose place this one stands, about the same.
struct BuiltIn<'a>(&'a Surroundings<'a>);

impl HelperDef for BuiltIn<'_> {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        // Only a user's part has one to call.
        let Some(template) = rc.get_partial(BUILT_IN).filter(|_| h.params().is_empty()) else { return Ok(()) };
        let saved = rc.replace_blocks(blocks(self.0.path));
        // `{{{builtin}}}` asks for its text as it is, not for its values as they are.
        let unescaped = rc.is_disable_escape();
        rc.set_disable_escape(false);
        let made = inner(template, r, ctx, rc);
        rc.set_disable_escape(unescaped);
        rc.replace_blocks(saved);
        write(out, made?.trim_matches('\n'))
    }
}

/// `{{raw x}}` writes a value as it is; `{{{{raw}}}}...{{{{/raw}}}}` writes a piece of template as it is.
struct Raw;

impl HelperDef for Raw {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        Ok(ScopedJson::Derived(marks::safe(&arg(h, 0)).into()))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        r: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        use handlebars::Renderable as _;
        match (h.template(), h.param(0)) {
            (Some(inner), _) => inner.render(r, ctx, rc, out),
            (None, Some(value)) => write(out, &text(value.value())),
            (None, None) => Ok(()),
        }
    }
}
