//! Finds, when a template is loaded, what would fail only when an alert is to be told: unknown helpers and partials,
//! partials that include each other without end, and nesting deep enough to exhaust the stack.

use std::collections::{BTreeMap, BTreeSet};

use handlebars::Template;
use handlebars::template::{DecoratorTemplate, HelperTemplate, Parameter, TemplateElement};

use super::helpers;

/// Deepest nesting of blocks, and of brackets inside one tag.
const MAX_DEPTH: usize = 24;
/// Partials that one run may expand, all together.
const MAX_PARTIALS: u64 = 1_000;
/// Longest source of a template, in bytes.
pub(super) const MAX_SOURCE: usize = 64 * 1024;

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
pub(super) fn compiled(template: &Template) -> Vec<Finding> {
    let mut lint = Lint::default();
    lint.template(template, (0, 0), None);
    lint.partials();
    lint.findings
}

type Place = (usize, usize);

#[derive(Default)]
struct Lint {
    findings: Vec<Finding>,
    /// Inline partials that are defined somewhere in the file.
    defined: BTreeSet<String>,
    /// Who (an inline partial, or the file itself) includes what, where.
    uses: Vec<(Option<String>, String, Place)>,
}

impl Lint {
    fn add(&mut self, place: Place, what: String, hint: &str) {
        self.findings.push((place.0, place.1, what, hint.to_owned()));
    }

    fn template(&mut self, template: &Template, around: Place, inside: Option<&str>) {
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

    fn call(&mut self, call: &HelperTemplate, place: Place, is_helper: bool, inside: Option<&str>) {
        match call.name.as_name() {
            Some(name) if is_helper && !helpers::NAMES.contains(&name) => self.unknown_helper(name, call.block, place),
            _ => self.parameters([&call.name].into_iter(), place),
        }
        self.parameters(call.params.iter().chain(call.hash.values()), place);
        for inner in call.template.iter().chain(call.inverse.iter()) {
            self.template(inner, place, inside);
        }
    }

    fn parameters<'a>(&mut self, parameters: impl Iterator<Item = &'a Parameter>, place: Place) {
        for parameter in parameters {
            let Parameter::Subexpression(call) = parameter else { continue };
            if !helpers::NAMES.contains(&call.name()) {
                self.unknown_helper(call.name(), false, place);
            }
            let inner = call.params().into_iter().flatten().chain(call.hash().into_iter().flat_map(|h| h.values()));
            let inner: Vec<&Parameter> = inner.collect();
            self.parameters(inner.into_iter(), place);
        }
    }

    fn unknown_helper(&mut self, name: &str, block: bool, place: Place) {
        let near = helpers::NAMES
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), *known))
            .filter(|(distance, _)| *distance <= 2 && distance * 3 <= name.len())
            .min();
        let hint = match near {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None if block => format!("write {{{{#each {name}}}}}, {{{{#if {name}}}}} or {{{{#with {name}}}}}"),
            None => format!("the helpers are: {}", helpers::NAMES.join(", ")),
        };
        self.add(place, format!("unknown helper `{name}`"), &hint);
    }

    fn decorator(&mut self, place: Place) {
        self.add(place, "unknown decorator".to_owned(), "only {{#*inline \"name\"}}...{{/inline}} exists");
    }

    fn inline(&mut self, inline: &DecoratorTemplate, place: Place) {
        let name = match (inline.name.as_name(), inline.params.first()) {
            (Some("inline"), Some(Parameter::Literal(serde_json::Value::String(name)))) => name.clone(),
            (Some("inline"), _) => {
                let hint = "write {{#*inline \"name\"}}...{{/inline}}";
                return self.add(place, "an inline partial needs a name in quotes".to_owned(), hint);
            }
            _ => return self.decorator(place),
        };
        if let Some(inner) = &inline.template {
            self.template(inner, place, Some(&name));
        }
        self.defined.insert(name);
    }

    fn partial(&mut self, partial: &DecoratorTemplate, place: Place, inside: Option<&str>) {
        self.parameters(partial.params.iter().chain(partial.hash.values()), place);
        match partial.name.as_name() {
            Some(name) => self.uses.push((inside.map(str::to_owned), name.to_owned(), place)),
            None => self.add(place, "the name of a partial must be written down".to_owned(), "it can not be computed"),
        }
        if let Some(inner) = &partial.template {
            self.template(inner, place, inside);
        }
    }

    /// Unknown partials, circles, and doubling chains.
    fn partials(&mut self) {
        let uses = std::mem::take(&mut self.uses);
        for (_, name, place) in &uses {
            if name != "@partial-block" && !self.defined.contains(name) {
                let hint = "define it in the same file: {{#*inline \"name\"}}...{{/inline}}";
                self.add(*place, format!("unknown partial `{name}`"), hint);
            }
        }
        let mut costs = BTreeMap::new();
        let mut total = 0_u64;
        for (_, name, place) in uses.iter().filter(|(inside, ..)| inside.is_none()) {
            match cost(name, &uses, &mut costs, 0) {
                Some(cost) => total = total.saturating_add(cost),
                None => return self.add(*place, format!("the partial `{name}` includes itself without end"), ""),
            }
        }
        if total > MAX_PARTIALS {
            self.add((0, 0), "its partials include each other too often".to_owned(), "write it flatter");
        }
    }
}

/// How many partials one inclusion expands; `None` for a circle or a chain that is too long.
fn cost(
    name: &str,
    uses: &[(Option<String>, String, Place)],
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
