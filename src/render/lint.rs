//! Finds, when a template is loaded, what would fail only when an alert is to be told: unknown helpers, fields and
//! partials, calls that can not work, partials that include each other without end, and nesting deep enough to exhaust
//! the stack.

mod calls;
mod fields;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

pub(super) use self::types::Schema;
use super::templates::Part;

/// Deepest nesting of blocks, and of brackets inside one tag.
const MAX_DEPTH: usize = 24;
/// Partials that one run may expand, all together.
const MAX_PARTIALS: u64 = 1_000;
/// Longest source of a template, in bytes.
pub(super) const MAX_SOURCE: usize = 64 * 1024;
/// Findings of one file.
const MAX_FINDINGS: usize = 50;

/// One finding: line and column from 1 (0 when not known), what, hint.
pub(super) type Finding = (usize, usize, String, String);

/// Looks at the source before it is parsed: the parser recurses, so its input must not nest without bound.
pub(super) fn source(source: &str) -> Option<Finding> {
    if source.len() > MAX_SOURCE {
        return Some((0, 0, format!("the template is over {} KiB", MAX_SOURCE / 1024), String::new()));
    }
    let mut blocks = 0_usize;
    for (at, line) in source.split('\n').enumerate() {
        let mut brackets = 0_usize;
        for (column, c) in line.chars().enumerate() {
            match c {
                '(' | '[' | '{' => brackets += 1,
                ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            if brackets > MAX_DEPTH {
                return Some((at + 1, column + 1, "brackets nest too deeply".to_owned(), String::new()));
            }
        }
        for tag in line.split("{{").skip(1) {
            let tag = tag.trim_start_matches(['{', '~', ' ']);
            if tag.starts_with('#') || line.contains("{{{{") {
                blocks += 1;
            } else if tag.starts_with('/') {
                blocks = blocks.saturating_sub(1);
            }
            if blocks > MAX_DEPTH {
                return Some((at + 1, 1, "blocks nest too deeply".to_owned(), String::new()));
            }
        }
    }
    None
}

/// Looks at a compiled template.
pub(super) fn compiled(template: &Template, source: &str, part: Part, schema: &Schema) -> Vec<Finding> {
    let mut lint = Lint { findings: Findings::new(source), defined: BTreeSet::new(), uses: Vec::new() };
    lint.template(template, (0, 0), None);
    let mut findings =
        if lint.partials() { fields::check(template, part, schema, lint.findings) } else { lint.findings };
    findings.all.sort_by_key(|(line, column, ..)| (*line, *column));
    findings.all.truncate(MAX_FINDINGS);
    findings.all
}

type At = (usize, usize);

/// What was found so far, each once.
struct Findings<'a> {
    source: &'a str,
    all: Vec<Finding>,
}

impl<'a> Findings<'a> {
    const fn new(source: &'a str) -> Self {
        Self { source, all: Vec::new() }
    }

    /// `word` is what is wrong, written somewhere from `at` on: the engine knows only where a tag or a block begins.
    fn add(&mut self, at: At, word: &str, what: String, hint: &str) {
        if self.all.len() >= MAX_FINDINGS {
            return;
        }
        let (line, column) = self.place(at, word).unwrap_or(at);
        let found = (line, column, what, hint.to_owned());
        if !self.all.contains(&found) {
            self.all.push(found);
        }
    }

    /// Where the word first stands inside a tag.
    fn place(&self, (line, column): At, word: &str) -> Option<At> {
        if word.is_empty() {
            return None;
        }
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '$');
        let lines = self.source.split('\n').enumerate().skip(line.saturating_sub(1));
        let mut inside = false;
        for (at, text) in lines {
            let skip = if at + 1 == line { column.saturating_sub(1) } else { 0 };
            let from = text.char_indices().nth(skip).map_or(text.len(), |(from, _)| from);
            let mut before = None;
            for (chars, (byte, c)) in text.char_indices().enumerate() {
                let Some(rest) = text.get(byte..).filter(|_| byte >= from) else { continue };
                if rest.starts_with("{{") {
                    inside = true;
                } else if rest.starts_with("}}") {
                    inside = false;
                }
                let ends = |rest: &str| !rest.starts_with(part);
                if inside && !before.is_some_and(part) && rest.strip_prefix(word).is_some_and(ends) {
                    return Some((at + 1, chars + 1));
                }
                before = Some(c);
            }
        }
        None
    }
}

struct Lint<'a> {
    findings: Findings<'a>,
    /// Inline partials that are defined somewhere in the file.
    defined: BTreeSet<String>,
    /// Who (an inline partial, or the file itself) includes what, where.
    uses: Vec<(Option<String>, String, At)>,
}

impl Lint<'_> {
    fn template(&mut self, template: &Template, around: At, inside: Option<&str>) {
        for (at, element) in template.elements.iter().enumerate() {
            let place = template.mapping.get(at).map_or(around, |mapping| (mapping.0, mapping.1));
            match element {
                TemplateElement::Expression(call) | TemplateElement::HtmlExpression(call) => {
                    self.call(call, place, call.block || !call.params.is_empty() || !call.hash.is_empty(), inside);
                }
                TemplateElement::HelperBlock(call) => self.call(call, place, true, inside),
                TemplateElement::DecoratorExpression(_) => self.decorator(place),
                TemplateElement::DecoratorBlock(inline) => self.inline(inline, place),
                TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                    self.partial(partial, place, inside);
                }
                // Text and comments.
                _ => {}
            }
        }
    }

    fn call(&mut self, call: &HelperTemplate, place: At, is_helper: bool, inside: Option<&str>) {
        match call.name.as_name() {
            Some(name) if is_helper => {
                let block = call.block || call.template.is_some();
                calls::check(&mut self.findings, name, (&call.params, &call.hash), block, place);
            }
            _ => self.parameters([&call.name].into_iter(), place),
        }
        self.parameters(call.params.iter().chain(call.hash.values()), place);
        for inner in call.template.iter().chain(call.inverse.iter()) {
            self.template(inner, place, inside);
        }
    }

    fn parameters<'p>(&mut self, parameters: impl Iterator<Item = &'p Parameter>, place: At) {
        for parameter in parameters {
            let Parameter::Subexpression(call) = parameter else { continue };
            let (Some(params), Some(hash)) = (call.params(), call.hash()) else { continue };
            calls::check(&mut self.findings, call.name(), (params, hash), false, place);
            let inner: Vec<&Parameter> = params.iter().chain(hash.values()).collect();
            self.parameters(inner.into_iter(), place);
        }
    }

    fn decorator(&mut self, place: At) {
        let hint = "only {{#*inline \"name\"}}...{{/inline}} exists";
        self.findings.add(place, "", "unknown decorator".to_owned(), hint);
    }

    fn inline(&mut self, inline: &DecoratorTemplate, place: At) {
        let name = match inline_name(inline) {
            Some(name) => name.to_owned(),
            None if inline.name.as_name() == Some("inline") => {
                let hint = "write {{#*inline \"name\"}}...{{/inline}}";
                return self.findings.add(place, "", "an inline partial needs a name in quotes".to_owned(), hint);
            }
            None => return self.decorator(place),
        };
        if let Some(inner) = &inline.template {
            self.template(inner, place, Some(&name));
        }
        self.defined.insert(name);
    }

    fn partial(&mut self, partial: &DecoratorTemplate, place: At, inside: Option<&str>) {
        self.parameters(partial.params.iter().chain(partial.hash.values()), place);
        match partial.name.as_name() {
            Some(name) => self.uses.push((inside.map(str::to_owned), name.to_owned(), place)),
            None => {
                let what = "the name of a partial must be written down".to_owned();
                self.findings.add(place, "", what, "it can not be computed");
            }
        }
        if let Some(inner) = &partial.template {
            self.template(inner, place, inside);
        }
    }

    /// Unknown partials, circles, and doubling chains; whether all inclusions end.
    fn partials(&mut self) -> bool {
        let uses = std::mem::take(&mut self.uses);
        for (_, name, place) in &uses {
            if name != "@partial-block" && !self.defined.contains(name) {
                let hint = match name.as_str() {
                    "default" | "builtin" => "the built-in text of this part is {{builtin}}",
                    _ => "define it in the same file: {{#*inline \"name\"}}...{{/inline}}",
                };
                self.findings.add(*place, name, format!("unknown partial `{name}`"), hint);
            }
        }
        let mut costs = BTreeMap::new();
        let mut total = 0_u64;
        for (_, name, place) in uses.iter().filter(|(inside, ..)| inside.is_none()) {
            match cost(name, &uses, &mut costs, 0) {
                Some(cost) => total = total.saturating_add(cost),
                None => {
                    let what = format!("the partial `{name}` includes itself without end");
                    self.findings.add(*place, name, what, "");
                    return false;
                }
            }
        }
        if total > MAX_PARTIALS {
            let what = "its partials include each other too often".to_owned();
            self.findings.add((0, 0), "", what, "write it flatter");
        }
        total <= MAX_PARTIALS
    }
}

/// The name in `{{#*inline "name"}}`.
fn inline_name(inline: &DecoratorTemplate) -> Option<&str> {
    match (inline.name.as_name(), inline.params.first()) {
        (Some("inline"), Some(Parameter::Literal(serde_json::Value::String(name)))) => Some(name),
        _ => None,
    }
}

/// How many partials one inclusion expands; `None` for a circle or a chain that is too long.
fn cost(
    name: &str,
    uses: &[(Option<String>, String, At)],
    known: &mut BTreeMap<String, u64>,
    depth: usize,
) -> Option<u64> {
    if let Some(cost) = known.get(name) {
        return Some(*cost);
    }
    if depth > MAX_DEPTH {
        return None;
    }
    let mut total = 1_u64;
    for (_, inner, _) in uses.iter().filter(|(inside, ..)| inside.as_deref() == Some(name)) {
        total = total.saturating_add(cost(inner, uses, known, depth + 1)?);
    }
    known.insert(name.to_owned(), total);
    Some(total)
}
