//! Walks a Go template with the data that a webhook has, and writes what it would show as pieces of Handlebars.
//!
//! What a `template` calls is written at its place: there the kind of its data is known. All that has no counterpart is
//! noted with its place, left out, and marked by a comment.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::evaluate::{Scope, evaluate};
use super::functions::{Notes, text};
use super::lists::items;
use super::out::Piece;
use super::source::{Choice, Kind as NodeKind, Node, Pipe, Pos, Problem};
use super::value::{Ex, Kind, Value};
use super::{Definition, Finding};

/// Blocks inside of each other in the result; the engine takes 24.
const MAX_BLOCKS: usize = 20;
/// Conditions of one choice.
const MAX_ARMS: usize = 50;
/// Nodes that are walked through: templates that call each other can make much of little.
const MAX_STEPS: usize = 20_000;
/// Text of the result, in bytes; a template may have 64 KiB.
const MAX_TEXT: usize = 60 * 1024;

pub(super) struct Walk<'a> {
    defined: &'a BTreeMap<String, Rc<Definition>>,
    pub(super) pieces: Vec<Piece>,
    pub(super) found: Vec<Finding>,
    /// Names of the templates that are being written.
    stack: Vec<String>,
    /// Names that blocks around have given.
    names: Vec<String>,
    blocks: usize,
    /// Blocks around that change the context.
    contexts: usize,
    steps: usize,
    bytes: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(defined: &'a BTreeMap<String, Rc<Definition>>) -> Self {
        Self {
            defined,
            pieces: Vec::new(),
            found: Vec::new(),
            stack: Vec::new(),
            names: Vec::new(),
            blocks: 0,
            contexts: 0,
            steps: MAX_STEPS,
            bytes: MAX_TEXT,
        }
    }

    /// Walks through a definition with the whole message as its data.
    pub(super) fn all(&mut self, of: &Rc<Definition>) {
        let message = Value::new(Ex::Root(Vec::new()), Kind::Message);
        let mut scope =
            Scope { dot: Some(message.clone()), dollar: Some(message), variables: Vec::new(), of: Rc::clone(of) };
        self.nodes(&of.nodes, &mut scope);
        if self.spent() {
            let what = "the result is too long: templates that call each other are written out at each place";
            let problem = Problem::new(Pos { line: 1, column: 1 }, what, "shorten it, or write this one by hand");
            self.found.push(Finding { source: Rc::clone(&of.source), problem, left: true, own: false });
        }
    }

    /// Whether the bounds on the result were reached.
    pub(super) fn spent(&self) -> bool {
        self.steps == 0 || self.bytes == 0
    }

    fn nodes(&mut self, nodes: &[Node], scope: &mut Scope) {
        let known = scope.variables.len();
        for node in nodes {
            if self.spent() {
                break;
            }
            self.steps -= 1;
            if let Err(problem) = self.node(node, scope) {
                self.leave(problem, scope);
            }
        }
        scope.variables.truncate(known);
    }

    /// Notes what has no counterpart, and marks its place.
    fn leave(&mut self, problem: Problem, scope: &Scope) {
        let place = scope.of.source.place(problem.pos);
        let hint = if problem.hint.is_empty() { String::new() } else { format!("; {}", problem.hint) };
        let comment = format!("migrate: {}:{}:{}: {}{hint}", place.file, place.line, place.column, problem.what);
        self.push(Piece::Comment(comment));
        let source = Rc::clone(&scope.of.source);
        self.found.push(Finding { source, problem, left: true, own: scope.of.built_in });
    }

    fn push(&mut self, piece: Piece) {
        let bytes = match &piece {
            Piece::Text(text) | Piece::Tag(text) | Piece::Comment(text) => text.len(),
            Piece::Show(ex, inside) => ex.tag(*inside).len() + 4,
        };
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes > 0 {
            self.pieces.push(piece);
        }
    }

    fn tag(&mut self, tag: String) {
        self.push(Piece::Tag(tag));
    }

    fn node(&mut self, node: &Node, scope: &mut Scope) -> Result<(), Problem> {
        let (known, names) = (scope.variables.len(), self.names.len());
        let done = self.node_in(node, scope);
        if !matches!(node.kind, NodeKind::Set(_)) {
            scope.variables.truncate(known);
        }
        self.names.truncate(names);
        done
    }

    fn node_in(&mut self, node: &Node, scope: &mut Scope) -> Result<(), Problem> {
        match &node.kind {
            NodeKind::Text(text) => self.push(Piece::Text(text.clone())),
            NodeKind::Comment(text) => self.push(Piece::Comment(text.clone())),
            NodeKind::Print(pipe) => self.print(pipe, scope)?,
            NodeKind::Set(pipe) => self.set(pipe, scope, node.pos)?,
            NodeKind::If(choice) => self.choose(choice, scope, node.pos)?,
            NodeKind::With(choice) => self.with(&choice.arms, choice.other.as_deref(), scope, node.pos)?,
            NodeKind::Range { pipe, body, other } => self.range(pipe, body, other.as_deref(), scope, node.pos)?,
            NodeKind::Call { name, with } => self.template(name, with.as_ref(), scope, node.pos)?,
            NodeKind::Break => return Err(no_loop_control(node.pos, "break")),
            NodeKind::Continue => return Err(no_loop_control(node.pos, "continue")),
        }
        Ok(())
    }

    fn print(&mut self, pipe: &Pipe, scope: &Scope) -> Result<(), Problem> {
        let value = self.pipe(pipe, scope)?;
        if value.kind == Kind::Labels {
            // As Alertmanager shows them.
            let name = self.name("pair");
            let list = Ex::call("sortedLabels", vec![value.ex]);
            self.tag(format!("#each {} as |{name}|", list.argument(self.contexts > 0)));
            self.tag("#unless @first".to_owned());
            self.push(Piece::Text(", ".to_owned()));
            self.tag("/unless".to_owned());
            self.push(Piece::Show(Ex::Local(name.clone(), vec!["name".to_owned()]), true));
            self.push(Piece::Text("=".to_owned()));
            self.push(Piece::Show(Ex::Local(name, vec!["value".to_owned()]), true));
            self.tag("/each".to_owned());
            return Ok(());
        }
        let mut notes = Notes::default();
        let shown = text(value, pipe.pos, &mut notes)?;
        self.note(notes, scope);
        match shown {
            // The template's own words.
            Ex::Text(text) | Ex::Number(text) => self.push(Piece::Text(text)),
            Ex::Flag(flag) => self.push(Piece::Text(flag.to_string())),
            Ex::Call("concat", parts, _) => {
                for part in parts {
                    match part {
                        Ex::Text(text) | Ex::Number(text) => self.push(Piece::Text(text)),
                        ex => self.push(Piece::Show(ex, self.contexts > 0)),
                    }
                }
            }
            ex => self.push(Piece::Show(ex, self.contexts > 0)),
        }
        Ok(())
    }

    fn set(&mut self, pipe: &Pipe, scope: &mut Scope, pos: Pos) -> Result<(), Problem> {
        let name = pipe.names.first().cloned().unwrap_or_default();
        let of = Rc::clone(&scope.of);
        if of.idioms.declares(pos) {
            return Ok(());
        }
        if let Some((name, value)) = of.idioms.changes(pos) {
            let known = scope.variables.iter_mut().rev().find(|(known, _)| known == name);
            known.into_iter().for_each(|(_, known)| *known = Some(value.clone()));
            return Ok(());
        }
        if !pipe.declares || scope.of.changing.contains(&name) {
            if pipe.declares {
                scope.variables.push((name.clone(), None));
            }
            let what = format!("the variable ${name} changes its value, which Handlebars' can not");
            return Err(Problem::new(pipe.pos, what, "in a loop there are @first, @last and @index"));
        }
        let value = self.pipe(pipe, scope);
        scope.variables.push((name, value.as_ref().ok().cloned()));
        value.map(|_| ())
    }

    /// A pipeline's value; a variable that it declares is known from now on.
    fn declared(&mut self, pipe: &Pipe, scope: &mut Scope) -> Result<Value, Problem> {
        let value = self.pipe(pipe, scope)?;
        if let Some(name) = pipe.names.first() {
            let changes = !pipe.declares || scope.of.changing.contains(name);
            scope.variables.push((name.clone(), (!changes).then(|| value.clone())));
        }
        Ok(value)
    }

    fn enter(&mut self, pos: Pos) -> Result<(), Problem> {
        if self.blocks >= MAX_BLOCKS {
            return Err(Problem::new(pos, "blocks nest too deeply", "write it flatter"));
        }
        self.blocks += 1;
        Ok(())
    }

    fn choose(&mut self, choice: &Choice, scope: &mut Scope, pos: Pos) -> Result<(), Problem> {
        if choice.arms.len() > MAX_ARMS {
            return Err(Problem::new(pos, "too many `else if`", "write it simpler"));
        }
        let known = scope.variables.len();
        // All first: half a choice would be another one.
        let mut arms = Vec::new();
        for (pipe, body) in &choice.arms {
            let condition = self.declared(pipe, scope)?.condition().argument(self.contexts > 0);
            arms.push((condition, body, scope.variables.len() - known));
        }
        self.enter(pos)?;
        let declared = scope.variables.split_off(known);
        for (at, (condition, body, visible)) in arms.into_iter().enumerate() {
            self.tag(format!("{} {condition}", if at == 0 { "#if" } else { "else if" }));
            scope.variables.truncate(known);
            scope.variables.extend(declared.iter().take(visible).cloned());
            self.nodes(body, scope);
        }
        if let Some(other) = &choice.other {
            self.tag("else".to_owned());
            self.nodes(other, scope);
        }
        self.tag("/if".to_owned());
        self.blocks -= 1;
        Ok(())
    }

    fn with(
        &mut self,
        arms: &[(Pipe, Vec<Node>)],
        other: Option<&[Node]>,
        scope: &mut Scope,
        pos: Pos,
    ) -> Result<(), Problem> {
        let Some(((pipe, body), more)) = arms.split_first() else { return Ok(()) };
        let known = scope.variables.len();
        let mut value = self.declared(pipe, scope)?;
        self.enter(pos)?;
        // What has a path needs no name: it means the same everywhere.
        let condition = value.clone().condition().argument(self.contexts > 0);
        let named = matches!(value.ex, Ex::Call(..));
        if named {
            let name = self.name(match value.kind {
                Kind::Labels => "labels",
                Kind::Alert => "alert",
                Kind::Alerts(_) => "alerts",
                Kind::Pairs => "pairs",
                Kind::Texts => "items",
                _ => "value",
            });
            self.tag(format!("#with {condition} as |{name}|"));
            value.ex = Ex::Local(name, Vec::new());
            if let (Some(last), Some(_)) = (scope.variables.get_mut(known), pipe.names.first()) {
                last.1 = last.1.is_some().then(|| value.clone());
            }
        } else {
            self.tag(format!("#if {condition}"));
        }
        self.contexts += usize::from(named);
        let outer = scope.dot.replace(value);
        self.nodes(body, scope);
        scope.dot = outer;
        self.contexts -= usize::from(named);
        if !more.is_empty() || other.is_some() {
            self.tag("else".to_owned());
        }
        if more.is_empty() {
            self.nodes(other.unwrap_or_default(), scope);
        } else if let Err(problem) = self.with(more, other, scope, pos) {
            self.leave(problem, scope);
        }
        self.tag(if named { "/with" } else { "/if" }.to_owned());
        self.blocks -= 1;
        Ok(())
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        other: Option<&[Node]>,
        scope: &mut Scope,
        pos: Pos,
    ) -> Result<(), Problem> {
        let over = self.pipe(pipe, scope)?.object(pipe.pos)?;
        if over.kind == Kind::Mobiles {
            return self.mobiles(body, other, scope, pos);
        }
        let Some((wanted, kind)) = items(&over.kind) else {
            return Err(Problem::new(pipe.pos, "only lists, labels and annotations can be ranged over", ""));
        };
        self.enter(pos)?;
        let known = scope.variables.len();
        let list = over.ex.argument(self.contexts > 0);
        let (key, own) = match pipe.names.as_slice() {
            [value] => (None, value.as_str()),
            [key, value] => (Some(key), value.as_str()),
            _ => (None, wanted),
        };
        let name = self.name(if own == "_" { wanted } else { own });
        let item = Value::new(Ex::Local(name.clone(), Vec::new()), kind);
        let mut given = name;
        if let Some(key) = key.filter(|key| *key != "_") {
            let name = self.name(key);
            let kind = if over.kind == Kind::Labels { Kind::Text } else { Kind::Number };
            given.push_str(&format!(" {name}"));
            let value = Value::new(Ex::Local(name, Vec::new()), kind);
            scope.variables.push((key.clone(), (!scope.of.changing.contains(key)).then_some(value)));
        }
        if let Some(last) = pipe.names.last() {
            let changes = !pipe.declares || scope.of.changing.contains(last);
            scope.variables.push((last.clone(), (!changes).then(|| item.clone())));
        }
        scope.variables.extend(scope.of.idioms.rounds(pos));
        self.tag(format!("#each {list} as |{given}|"));
        self.contexts += 1;
        let outer = scope.dot.replace(item);
        self.nodes(body, scope);
        scope.dot = outer;
        self.contexts -= 1;
        scope.variables.truncate(known);
        if let Some(other) = other {
            self.tag("else".to_owned());
            self.nodes(other, scope);
        }
        self.tag("/each".to_owned());
        self.blocks -= 1;
        Ok(())
    }

    /// A loop that writes `@` and the number of everybody who is called: there is one text for that.
    fn mobiles(&mut self, body: &[Node], other: Option<&[Node]>, scope: &Scope, pos: Pos) -> Result<(), Problem> {
        let shown =
            |node: &&Node| !matches!(&node.kind, NodeKind::Text(text) if text.trim().is_empty() || text.trim() == "@");
        let rest: Vec<&Node> = body.iter().filter(shown).collect();
        if rest.len() != 1
            || other.is_some()
            || !matches!(rest.first().map(|node| &node.kind), Some(NodeKind::Print(_)))
        {
            let hint = "{{mentions}} is the text that calls everybody; it is added at the end when it is nowhere";
            return Err(Problem::new(pos, "numbers of people are not at hand one by one", hint));
        }
        self.push(Piece::Show(Ex::root("mentions"), self.contexts > 0));
        let mut notes = Notes::default();
        notes.add(pos, "{{mentions}} calls people only when the message does, see `mention`", "");
        self.note(notes, scope);
        Ok(())
    }

    fn template(&mut self, name: &str, with: Option<&Pipe>, scope: &Scope, pos: Pos) -> Result<(), Problem> {
        let Some(of) = self.defined.get(name).map(Rc::clone) else {
            return Err(Problem::new(
                pos,
                format!("there is no template {name:?}"),
                "its file must be named in `templates`",
            ));
        };
        if self.stack.iter().any(|open| open == name) {
            return Err(Problem::new(pos, format!("the template {name:?} calls itself"), "write it as a loop"));
        }
        let dot = with.map(|pipe| self.pipe(pipe, scope)).transpose()?;
        self.stack.push(name.to_owned());
        let mut inner = Scope { dot: dot.clone(), dollar: dot, variables: Vec::new(), of: Rc::clone(&of) };
        self.nodes(&of.nodes, &mut inner);
        self.stack.pop();
        Ok(())
    }

    /// A name for a block's item that means nothing else.
    fn name(&mut self, wanted: &str) -> String {
        let plain: String = wanted.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(30).collect();
        let plain = if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { "item".to_owned() };
        let reserved = ["this", "as", "else", "true", "false", "null", "root"];
        let free = |name: &str| {
            !self.names.iter().any(|known| known == name)
                && !reserved.contains(&name)
                && !crate::render::HELPERS.contains(&name)
        };
        let mut name = plain.clone();
        let mut at = 2;
        while !free(&name) {
            name = format!("{plain}{at}");
            at += 1;
        }
        self.names.push(name.clone());
        name
    }

    fn note(&mut self, notes: Notes, scope: &Scope) {
        for problem in notes.0 {
            let source = Rc::clone(&scope.of.source);
            self.found.push(Finding { source, problem, left: false, own: scope.of.built_in });
        }
    }

    fn pipe(&mut self, pipe: &Pipe, scope: &Scope) -> Result<Value, Problem> {
        let mut notes = Notes::default();
        let value = evaluate(pipe, scope, &mut notes);
        self.note(notes, scope);
        value
    }
}

fn no_loop_control(pos: Pos, word: &str) -> Problem {
    // Without braces: it stands in a comment of the template, too.
    let hint = match word {
        "break" => "loop over less: #each (limit alerts 5), or #each (where alerts \"status\" \"firing\")",
        _ => "put what follows it in the loop into #unless with the condition that it stands under",
    };
    Problem::new(pos, format!("`{word}` has no counterpart"), hint)
}
