//! Finds fields that no message has. Only where the context is certain: what stands under labels is free, and what
//! helpers compute is unknown.

use std::collections::BTreeMap;
use std::rc::Rc;

use handlebars::Template;
use handlebars::template::{BlockParam, DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};
use serde_json::Value;

use super::types::{Nowhere, Schema, Type};
use super::{At, Findings, inline_name};
use crate::render::signatures::{self, Gives};
use crate::render::templates::Part;

/// Inclusions of one inline partial that are looked at, each with the context of its place.
const MAX_USES: usize = 20;
/// Fields that a hint lists.
const FEW: usize = 20;
/// Labels and annotations that are nearly everywhere: whoever writes one alone means it.
const LABELS: [&str; 14] = [
    "alertname",
    "instance",
    "job",
    "pod",
    "node",
    "namespace",
    "container",
    "service",
    "team",
    "owner",
    "device",
    "mountpoint",
    "env",
    "region",
];
const ANNOTATIONS: [&str; 5] = ["description", "message", "runbook_url", "summary", "dashboard"];

/// Adds what is wrong with the fields of a template to what was found before.
pub(super) fn check<'a>(template: &Template, part: Part, schema: &Schema, found: Findings<'a>) -> Findings<'a> {
    let mut inlines = BTreeMap::new();
    collect(template, &mut inlines);
    let frames = schema.frames(part).into_iter().map(Frame::of).collect();
    let root = if part == Part::Digest { schema.digest.clone() } else { schema.message.clone() };
    let alert = root.at(&["alerts".to_owned()]).map_or(Type::Any, |alerts| alerts.item());
    let mut check = Check { found, frames, root, alert, inlines, uses: BTreeMap::new() };
    check.template(template, (0, 0));
    // What nobody includes yet may be meant for anywhere.
    let unused: Vec<&Template> = (check.inlines.iter())
        .filter(|(name, _)| !check.uses.contains_key(**name))
        .filter_map(|(_, inline)| inline.as_ref().copied())
        .collect();
    for template in unused {
        check.frames = vec![Frame::of(Type::Any)];
        check.template(template, (0, 0));
    }
    check.found
}

/// Inline partials by name; `None` for a name that is defined twice.
fn collect<'t>(template: &'t Template, into: &mut BTreeMap<&'t str, Option<&'t Template>>) {
    for element in &template.elements {
        match element {
            TemplateElement::DecoratorBlock(inline) => {
                if let (Some(name), Some(inner)) = (inline_name(inline), &inline.template) {
                    let known = into.insert(name, Some(inner)).is_some();
                    if known {
                        into.insert(name, None);
                    }
                    collect(inner, into);
                }
            }
            TemplateElement::HelperBlock(call) => {
                call.template.iter().chain(&call.inverse).for_each(|inner| collect(inner, into));
            }
            TemplateElement::PartialBlock(partial) => partial.template.iter().for_each(|inner| collect(inner, into)),
            _ => {}
        }
    }
}

/// One context: what it is, and the names that its block gave.
#[derive(Clone)]
struct Frame {
    this: Type,
    names: Vec<(String, Type)>,
}

impl Frame {
    const fn of(this: Type) -> Self {
        Self { this, names: Vec::new() }
    }
}

struct Check<'a, 't> {
    found: Findings<'a>,
    /// The innermost last.
    frames: Vec<Frame>,
    root: Type,
    alert: Type,
    inlines: BTreeMap<&'t str, Option<&'t Template>>,
    uses: BTreeMap<&'t str, usize>,
}

impl<'t> Check<'_, 't> {
    fn template(&mut self, template: &'t Template, around: At) {
        for (at, element) in template.elements.iter().enumerate() {
            let place = template.mapping.get(at).map_or(around, |mapping| (mapping.0, mapping.1));
            match element {
                TemplateElement::Expression(call) | TemplateElement::HtmlExpression(call) => self.tag(call, place),
                TemplateElement::HelperBlock(call) => self.block(call, place),
                TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                    self.partial(partial, place);
                }
                _ => {}
            }
        }
    }

    fn tag(&mut self, call: &'t HelperTemplate, at: At) {
        if !call.params.is_empty() || !call.hash.is_empty() || call.block {
            self.call(call.name.as_name().unwrap_or_default(), &call.params, call.hash.values(), at);
            return;
        }
        let helper = call.name.as_name().and_then(signatures::find);
        match (helper, &call.name) {
            // A helper alone is a field of that name, if there is one.
            (Some(helper), _) if helper.args.0 > 0 => {
                let here = self.frames.last().map_or(&Type::Any, |frame| &frame.this);
                let named = self.frames.iter().flat_map(|frame| &frame.names).any(|(name, _)| name == helper.name);
                if !named && *here != Type::Any && !here.has(helper.name) {
                    let hint = format!("write {}", helper.usage);
                    self.found.add(at, helper.name, format!("`{}` needs a value", helper.name), &hint);
                }
            }
            (Some(_), _) => {}
            (None, name) => {
                self.value(name, at);
            }
        }
    }

    fn block(&mut self, call: &'t HelperTemplate, at: At) {
        let name = call.name.as_name().unwrap_or_default();
        self.call(name, &call.params, call.hash.values(), at);
        let of = call.params.first().filter(|_| matches!(name, "each" | "with"));
        if let Some(template) = &call.template {
            match of {
                Some(parameter) => {
                    let of = self.value(parameter, at);
                    let this = if name == "each" { of.item() } else { of };
                    self.frames.push(Frame { names: names(call.block_param.as_ref(), &this), this });
                    self.template(template, at);
                    self.frames.pop();
                }
                None => self.template(template, at),
            }
        }
        if let Some(inverse) = &call.inverse {
            self.template(inverse, at);
        }
    }

    fn partial(&mut self, partial: &'t DecoratorTemplate, at: At) {
        let here = self.frames.last().map_or(Type::Any, |frame| frame.this.clone());
        let of = partial.params.first().map_or(here, |parameter| self.value(parameter, at));
        for parameter in partial.hash.values() {
            self.value(parameter, at);
        }
        let names: Vec<(String, Type)> = partial.hash.keys().map(|name| (name.clone(), Type::Any)).collect();
        let Some(name) = partial.name.as_name() else { return };
        if let Some(block) = &partial.template {
            self.frames.push(Frame::of(Type::Any));
            self.template(block, at);
            self.frames.pop();
        }
        let known = self.inlines.get_key_value(name).map(|(name, inline)| (*name, *inline));
        let Some((name, inline)) = known else { return };
        let uses = self.uses.entry(name).or_default();
        *uses += 1;
        if let Some(template) = inline.filter(|_| *uses <= MAX_USES) {
            self.frames.push(Frame { this: of, names });
            self.template(template, (0, 0));
            self.frames.pop();
        }
    }

    /// Looks at a helper's arguments; what it gives.
    fn call<'p>(
        &mut self,
        name: &str,
        params: &'p [Parameter],
        hash: impl Iterator<Item = &'p Parameter>,
        at: At,
    ) -> Type {
        let types: Vec<Type> = params.iter().map(|parameter| self.value(parameter, at)).collect();
        for parameter in hash {
            self.value(parameter, at);
        }
        let first = types.first().cloned().unwrap_or(Type::Any);
        let word = params.first().and_then(Parameter::as_name).unwrap_or_default();
        if name == "each" && first == Type::Plain {
            let what = format!("`{word}` is no list");
            self.found.add(at, word, what, "each goes through lists and objects: {{#each alerts}}...{{/each}}");
        }
        let field = match params.get(1) {
            Some(Parameter::Literal(Value::String(field))) => Some(field.as_str()),
            _ => None,
        };
        let of_items = matches!(name, "where" | "pluck" | "sort" | "uniq" | "groupBy");
        let found = field.filter(|_| of_items).map(|field| self.field(&first.item(), field, at));
        match signatures::find(name).map(|helper| helper.gives) {
            Some(Gives::Plain) => Type::Plain,
            Some(Gives::Plains) => Type::List(Rc::new(Type::Plain)),
            Some(Gives::Same) if matches!(first, Type::Object(_)) => Type::Any,
            Some(Gives::Same) => first,
            Some(Gives::Item) => first.item(),
            Some(Gives::Groups) => Type::List(Rc::new(object([("key", Type::Plain), ("items", first)]))),
            Some(Gives::Pairs) => Type::List(Rc::new(object([("name", Type::Plain), ("value", Type::Plain)]))),
            _ => match (name, field, found) {
                ("pluck", _, Some(found)) => Type::List(Rc::new(found)),
                ("lookup", Some(field), _) => first.at(&[field.to_owned()]).unwrap_or(Type::Any),
                _ => Type::Any,
            },
        }
    }

    /// A field of the items of a list, by a name that is written down: `"labels.namespace"`.
    fn field(&mut self, item: &Type, field: &str, at: At) -> Type {
        let mut names = field.split('.').map(str::to_owned);
        let path: Vec<String> = match names.next() {
            // The rest is one label's name.
            Some(first) if item.at(std::slice::from_ref(&first)) == Ok(Type::Free) => {
                let rest: Vec<String> = names.collect();
                std::iter::once(first).chain((!rest.is_empty()).then(|| rest.join("."))).collect()
            }
            Some(first) => std::iter::once(first).chain(names).collect(),
            None => return Type::Any,
        };
        item.at(&path).unwrap_or_else(|why| {
            self.nowhere(&why, item, field, field, at);
            Type::Any
        })
    }

    fn value(&mut self, parameter: &Parameter, at: At) -> Type {
        match parameter {
            Parameter::Path(_) | Parameter::Name(_) => self.path(parameter.as_name().unwrap_or_default(), at),
            Parameter::Literal(Value::Array(_) | Value::Object(_)) => Type::Any,
            Parameter::Literal(_) => Type::Plain,
            Parameter::Subexpression(call) => {
                let none = Vec::new();
                let params = call.params().unwrap_or(&none);
                let hash = call.hash().into_iter().flat_map(|hash| hash.values());
                self.call(call.name(), params, hash, at)
            }
            _ => Type::Any,
        }
    }

    fn path(&mut self, raw: &str, at: At) -> Type {
        let path = Path::parse(raw);
        let Some(name) = path.names.first() else { return self.frame(path.ups) };
        if path.local {
            if !["index", "key", "first", "last"].contains(&name.as_str()) {
                let hint = "there are @index, @key, @first, @last, and @root.x for a field of the message";
                self.found.add(at, raw, format!("unknown variable `{raw}`"), hint);
            }
            return Type::Any;
        }
        let named = self.frames.iter().rev().flat_map(|frame| &frame.names).find(|(known, _)| known == name);
        let (from, names) = match named {
            Some((_, of)) => (of.clone(), path.names.get(1..).unwrap_or_default()),
            None if path.root => (self.root.clone(), path.names.as_slice()),
            None => (self.frame(path.ups), path.names.as_slice()),
        };
        from.at(names).unwrap_or_else(|why| {
            let shown = path.names.join(".");
            self.nowhere(&why, &from, &shown, raw, at);
            Type::Any
        })
    }

    /// The context so many blocks further out.
    fn frame(&self, ups: usize) -> Type {
        self.frames.iter().rev().nth(ups).map_or(Type::Any, |frame| frame.this.clone())
    }

    fn nowhere(&mut self, why: &Nowhere, from: &Type, path: &str, word: &str, at: At) {
        let (what, hint) = match why {
            Nowhere::Unknown(name) => (format!("unknown field `{name}`"), self.hint(name, from, path)),
            Nowhere::Plain(label) => {
                let (before, last) = path.split_once('.').unwrap_or((path, ""));
                let hint = match label {
                    true => format!("a name with dots stands in brackets: {{{{{before}.[{last}]}}}}"),
                    false => String::new(),
                };
                (format!("`{word}` leads nowhere: what stands before its end is a text"), hint)
            }
            Nowhere::List => {
                let list = path.split('.').next().unwrap_or_default();
                let hint = format!("{{{{#each {list}}}}}...{{{{/each}}}}, or its first: {{{{{list}.[0].name}}}}");
                (format!("`{word}` leads nowhere: `{list}` is a list"), hint)
            }
        };
        self.found.add(at, word, what, &hint);
    }

    fn hint(&self, name: &str, from: &Type, path: &str) -> String {
        if path.split('.').next() != Some(name) {
            let near = signatures::nearest(name, from.fields());
            return near.map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        }
        let of_alert = from.has("labels");
        if let Some(own) = signatures::elsewhere(name).filter(|_| name == "end") {
            return own.to_owned();
        }
        for (known, map, common) in
            [(&LABELS[..], "labels", "commonLabels"), (&ANNOTATIONS[..], "annotations", "commonAnnotations")]
        {
            if known.contains(&name) {
                let kind = map.trim_end_matches('s');
                return match (of_alert, from.has(common)) {
                    (true, _) => format!("`{name}` is of the {kind}s: write {map}.{name}"),
                    (_, true) => format!("write {common}.{name}, or {map}.{name} inside {{{{#each alerts}}}}"),
                    _ => format!("`{name}` is of an alert's {kind}s: {map}.{name}"),
                };
            }
        }
        if !of_alert && self.alert.has(name) {
            return format!("`{name}` is a field of each alert: {{{{#each alerts}}}}{{{{{name}}}}}{{{{/each}}}}");
        }
        if *from != self.root && self.root.has(name) {
            return format!("`{name}` is a field of the message: write @root.{name}");
        }
        match signatures::nearest(name, from.fields()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if of_alert => format!("if it is a label: labels.{name}"),
            None if from.fields().count() > FEW => "templates/README.md lists the fields".to_owned(),
            None => format!("the fields here are: {}", from.fields().collect::<Vec<_>>().join(", ")),
        }
    }
}

fn object<const N: usize>(fields: [(&str, Type); N]) -> Type {
    Type::Object(Rc::new(fields.into_iter().map(|(name, of)| (name.to_owned(), of)).collect()))
}

/// `as |item key|`.
fn names(param: Option<&BlockParam>, item: &Type) -> Vec<(String, Type)> {
    let name = |parameter: &Parameter| parameter.as_name().unwrap_or_default().to_owned();
    match param {
        Some(BlockParam::Single(one)) => vec![(name(one), item.clone())],
        Some(BlockParam::Pair((one, key))) => vec![(name(one), item.clone()), (name(key), Type::Plain)],
        _ => Vec::new(),
    }
}

/// A path as the engine understands it.
#[derive(Default)]
struct Path {
    local: bool,
    root: bool,
    ups: usize,
    names: Vec<String>,
}

impl Path {
    fn parse(raw: &str) -> Self {
        let mut path = Self::default();
        let mut rest = raw;
        for here in ["this.", "this/", "./"] {
            rest = rest.strip_prefix(here).unwrap_or(rest);
        }
        if let Some(inside) = rest.strip_prefix("@root.").or_else(|| rest.strip_prefix("@root/")) {
            (path.root, rest) = (true, inside);
        }
        if let Some(inside) = rest.strip_prefix('@') {
            (path.local, rest) = (true, inside);
        }
        while let Some(inside) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("...")) {
            (path.ups, rest) = (path.ups + 1, inside);
        }
        while !rest.is_empty() {
            let (name, behind) = match rest.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
                Some((name, behind)) => (name, behind.strip_prefix(['.', '/']).unwrap_or(behind)),
                None => rest.split_once(['.', '/']).unwrap_or((rest, "")),
            };
            if name != "this" {
                path.names.push(name.to_owned());
            }
            rest = behind;
        }
        path
    }
}
