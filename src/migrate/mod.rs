//! Turns Go templates for Alertmanager's data into templates of alarmbell, and another bridge's targets into a config.
//! Pure: texts in, texts out.
//!
//! `lex` and `parse` read Go's text/template into the tree of `source`; `translate` walks through it with what is known of
//! the data (`value`, `evaluate`, `fields`, `functions`, `lists`, `texts`, `printing`, `idioms`); `out` writes Handlebars; `config`
//! writes the config file.

mod config;
mod evaluate;
mod fields;
mod functions;
mod idioms;
mod lex;
mod lists;
mod out;
mod parse;
mod printing;
mod source;
mod texts;
mod translate;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub use self::config::{Made, MessageText, Original, Target, TemplateFile, config};

use self::idioms::Idioms;
use self::source::{Choice, Kind, Node, Pos, Problem};
use crate::model::{Mistake, Place};

/// A text that holds Go templates, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// The file as the person named it.
    pub file: String,
    /// The text.
    pub text: String,
    /// Of a text that stands in another file (YAML): for each of its lines the line there and the column before it, both
    /// from 1 and 0; empty when the text is the file.
    pub lines: Vec<(usize, usize)>,
}

impl Source {
    fn place(&self, pos: Pos) -> Place {
        let (line, column) = match self.lines.get(pos.line.saturating_sub(1)).or(self.lines.last()) {
            Some((line, before)) => (*line, before + pos.column),
            None => (pos.line, pos.column),
        };
        Place { file: self.file.clone(), line, column }
    }

    /// A mistake at a place of this text. A line of another file is not shown: what else stands there is unknown.
    fn mistake(&self, problem: &Problem) -> Mistake {
        let line = if self.lines.is_empty() {
            self.text.lines().nth(problem.pos.line.saturating_sub(1)).unwrap_or_default()
        } else {
            ""
        };
        Mistake {
            place: self.place(problem.pos),
            what: problem.what.clone(),
            line: line.chars().take(160).map(|c| if c.is_control() { ' ' } else { c }).collect(),
            hint: problem.hint.clone(),
            warning: false,
        }
    }
}

/// A template by its name.
#[derive(Debug)]
struct Definition {
    nodes: Vec<Node>,
    /// Variables that are set again somewhere in it.
    changing: BTreeSet<String>,
    idioms: Idioms,
    source: Rc<Source>,
    /// One of ours, for the names that the other bridge always had.
    built_in: bool,
}

impl Definition {
    fn new(nodes: Vec<Node>, source: &Rc<Source>, built_in: bool) -> Self {
        let mut changing = BTreeSet::new();
        changes(&nodes, &mut changing);
        let idioms = Idioms::of(&nodes, &changing);
        Self { nodes, changing, idioms, source: Rc::clone(source), built_in }
    }
}

/// The reader bounds how deeply nodes nest.
fn changes(nodes: &[Node], names: &mut BTreeSet<String>) {
    let choice = |choice: &Choice, names: &mut BTreeSet<String>| {
        for (pipe, body) in &choice.arms {
            if !pipe.declares {
                names.extend(pipe.names.iter().cloned());
            }
            changes(body, names);
        }
        changes(choice.other.as_deref().unwrap_or_default(), names);
    };
    for node in nodes {
        match &node.kind {
            Kind::Set(pipe) if !pipe.declares => names.extend(pipe.names.iter().cloned()),
            Kind::If(arms) | Kind::With(arms) => choice(arms, names),
            Kind::Range { pipe, body, other } => {
                if !pipe.declares {
                    names.extend(pipe.names.iter().cloned());
                }
                changes(body, names);
                changes(other.as_deref().unwrap_or_default(), names);
            }
            _ => {}
        }
    }
}

/// Something to know of a place, or to do there.
#[derive(Clone, PartialEq, Debug)]
struct Finding {
    source: Rc<Source>,
    problem: Problem,
    /// It was left out and is to be done.
    left: bool,
    /// The place is in our own text, which nobody can look at.
    own: bool,
}

/// All templates that others can call by name.
#[derive(Debug)]
pub struct Templates {
    defined: BTreeMap<String, Rc<Definition>>,
}

/// A Go template in Handlebars.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translated {
    /// The template.
    pub text: String,
    /// What is left to do, and, as warnings, what is worth knowing; each once, in the order of places.
    pub findings: Vec<Mistake>,
}

const BUILT_IN: &str = include_str!("builtin.tmpl");

impl Templates {
    /// Reads template files, later definitions over earlier ones. With `built_in` the names are there that
    /// prometheus-webhook-dingtalk brings along (`default.content`, `legacy.content`, `__subject` and so on).
    ///
    /// # Errors
    /// Where a file is no Go template; one mistake each.
    pub fn new(sources: Vec<Source>, built_in: bool) -> Result<Self, Vec<Mistake>> {
        let mut templates = Self { defined: BTreeMap::new() };
        let mut mistakes = Vec::new();
        if built_in {
            let own = Source { file: "built-in".to_owned(), text: BUILT_IN.to_owned(), lines: Vec::new() };
            // A test reads it.
            if let Err(mistake) = templates.add(own, true) {
                mistakes.push(mistake);
            }
        }
        for source in sources {
            if let Err(mistake) = templates.add(source, false) {
                mistakes.push(mistake);
            }
        }
        if mistakes.is_empty() { Ok(templates) } else { Err(mistakes) }
    }

    fn add(&mut self, source: Source, built_in: bool) -> Result<(), Mistake> {
        let tree = parse::parse(&source.text).map_err(|problem| source.mistake(&problem))?;
        let source = Rc::new(source);
        for (name, nodes) in tree.defines {
            // Go keeps what there is when a definition without content follows.
            if blank(&nodes) && self.defined.contains_key(&name) {
                continue;
            }
            self.defined.insert(name, Rc::new(Definition::new(nodes, &source, built_in)));
        }
        // What stands outside of every definition is the template of the file's name.
        if !blank(&tree.nodes) {
            let name = source.file.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
            self.defined.insert(name, Rc::new(Definition::new(tree.nodes, &source, built_in)));
        }
        Ok(())
    }

    /// Whether the template of this name, or any that it calls, is not one of the built-in ones.
    pub fn is_custom(&self, name: &str) -> bool {
        let mut open = vec![name];
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            if !seen.insert(name) {
                continue;
            }
            match self.defined.get(name) {
                Some(found) if found.built_in => calls(&found.nodes, &mut open),
                _ => return true,
            }
        }
        false
    }

    /// Turns a text into Handlebars. Bounded in time and memory whatever it calls.
    ///
    /// # Errors
    /// Where it is no Go template.
    pub fn translate(&self, source: &Source) -> Result<Translated, Mistake> {
        let tree = parse::parse(&source.text).map_err(|problem| source.mistake(&problem))?;
        let source = Rc::new(source.clone());
        let mut defined = self.defined.clone();
        for (name, nodes) in tree.defines {
            defined.insert(name, Rc::new(Definition::new(nodes, &source, false)));
        }
        let main = Rc::new(Definition::new(tree.nodes, &source, false));
        let mut walk = translate::Walk::new(&defined);
        walk.all(&main);
        let mut findings: Vec<Mistake> = Vec::new();
        let mut seen = BTreeSet::new();
        for found in walk.found.iter().filter(|found| found.left || !found.own) {
            let mut mistake = found.source.mistake(&found.problem);
            mistake.warning = !found.left;
            // What is called from several places is written several times, and said once.
            if seen.insert((mistake.place.clone(), mistake.what.clone())) {
                findings.push(mistake);
            }
        }
        findings.sort_by(|a, b| a.place.cmp(&b.place));
        let text = if walk.spent() { String::new() } else { out::source(walk.pieces) };
        Ok(Translated { text, findings })
    }
}

fn blank(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match &node.kind {
        Kind::Text(text) => text.trim().is_empty(),
        Kind::Comment(_) => true,
        _ => false,
    })
}

/// Names of the templates that are called.
fn calls<'a>(nodes: &'a [Node], into: &mut Vec<&'a str>) {
    for node in nodes {
        match &node.kind {
            Kind::Call { name, .. } => into.push(name),
            Kind::If(choice) | Kind::With(choice) => {
                choice.arms.iter().for_each(|(_, body)| calls(body, into));
                calls(choice.other.as_deref().unwrap_or_default(), into);
            }
            Kind::Range { body, other, .. } => {
                calls(body, into);
                calls(other.as_deref().unwrap_or_default(), into);
            }
            _ => {}
        }
    }
}
