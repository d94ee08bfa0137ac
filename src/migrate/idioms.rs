//! Variables that change from round to round of a loop, where they only say what Handlebars says by itself: whether this is
//! the first round (`$first := true` before it, `$first = false` in it), and which it is (`$n = add $n 1`).

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Choice, Head, Kind as NodeKind, Node, Pipe, Pos, Word};
use super::value::{Ex, Kind, Value};

/// Declarations that are looked into: each looks through all that follows.
const MAX_DECLARATIONS: usize = 100;

/// What such a variable is at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Round {
    First,
    NotFirst,
    /// The number of the round, from this one on.
    Number(i64),
}

/// Those of a template.
#[derive(Debug, Default)]
pub(super) struct Idioms {
    /// Where they are declared.
    declared: BTreeSet<Pos>,
    /// Loops, and what each variable is at the beginning of a round.
    rounds: BTreeMap<Pos, Vec<(String, Round)>>,
    /// Where one changes, and what it is from there on.
    changes: BTreeMap<Pos, (String, Round)>,
    looked_into: usize,
}

impl Round {
    fn value(self) -> Value {
        let index = || Ex::Local("@index".to_owned(), Vec::new());
        match self {
            Self::First => Value::flag(Ex::Local("@first".to_owned(), Vec::new())),
            Self::NotFirst => Value::flag(Ex::Flag(false)),
            Self::Number(0) => Value::new(index(), Kind::Number),
            Self::Number(from) => {
                Value::new(Ex::call("add", vec![index(), Ex::Number(from.to_string())]), Kind::Number)
            }
        }
    }
}

impl Idioms {
    /// Finds them. The reader bounds how deeply nodes nest.
    pub(super) fn of(nodes: &[Node], changing: &BTreeSet<String>) -> Self {
        let mut found = Self::default();
        if !changing.is_empty() {
            found.search(nodes, changing);
        }
        found
    }

    /// Whether nothing needs to be written for this node: a declaration.
    pub(super) fn declares(&self, pos: Pos) -> bool {
        self.declared.contains(&pos)
    }

    /// The variable that changes here, and its value from here on.
    pub(super) fn changes(&self, pos: Pos) -> Option<(&str, Value)> {
        self.changes.get(&pos).map(|(name, round)| (name.as_str(), round.value()))
    }

    /// What variables are at the beginning of each round of a loop.
    pub(super) fn rounds(&self, pos: Pos) -> Vec<(String, Option<Value>)> {
        let found = self.rounds.get(&pos).map(Vec::as_slice).unwrap_or_default();
        found.iter().map(|(name, round)| (name.clone(), Some(round.value()))).collect()
    }

    fn search(&mut self, nodes: &[Node], changing: &BTreeSet<String>) {
        for (at, node) in nodes.iter().enumerate() {
            if let NodeKind::Set(pipe) = &node.kind {
                let name = pipe.names.first().filter(|name| pipe.declares && changing.contains(*name));
                if let Some((name, from)) = name.zip(beginning(pipe)).filter(|_| self.looked_into < MAX_DECLARATIONS) {
                    self.looked_into += 1;
                    self.declaration(node.pos, name, from, nodes.get(at + 1..).unwrap_or_default());
                }
            }
            for inner in children(&node.kind) {
                self.search(inner, changing);
            }
        }
    }

    /// A variable is declared before `rest`: it must mean nothing but in one loop, and there only what we know.
    fn declaration(&mut self, pos: Pos, name: &str, from: Round, rest: &[Node]) {
        let again = |node: &Node| matches!(&node.kind, NodeKind::Set(pipe) if pipe.declares && sets(pipe, name));
        let end = rest.iter().position(again).unwrap_or(rest.len());
        let mut users = rest.get(..end).unwrap_or_default().iter().filter(|node| mentions(node, name));
        let (Some(Node { pos: place, kind: NodeKind::Range { pipe, body, other } }), None) =
            (users.next(), users.next())
        else {
            return;
        };
        let beside = pipe_mentions(pipe, name) || any(other.as_deref().unwrap_or_default(), name);
        let Some((change, round)) = changed(body, name, from).filter(|_| !beside) else { return };
        self.declared.insert(pos);
        self.rounds.entry(*place).or_default().push((name.to_owned(), from));
        self.changes.insert(change, (name.to_owned(), round));
    }
}

/// `true`, or a whole number.
fn beginning(pipe: &Pipe) -> Option<Round> {
    match only(pipe)? {
        Word { head: Head::Flag(true), .. } => Some(Round::First),
        Word { head: Head::Number(number), .. } => number.parse().ok().map(Round::Number),
        _ => None,
    }
}

/// A pipe of one word.
fn only(pipe: &Pipe) -> Option<&Word> {
    match pipe.commands.as_slice() {
        [command] => match command.as_slice() {
            [word] if word.fields.is_empty() => Some(word),
            _ => None,
        },
        _ => None,
    }
}

fn is_variable(word: &Word, name: &str) -> bool {
    word.fields.is_empty() && matches!(&word.head, Head::Variable(known) if known == name)
}

/// Where the variable changes in a round, and into what, if it does so once, in every round or only in the first, and
/// what else is said of it is said in the loop itself.
fn changed(body: &[Node], name: &str, from: Round) -> Option<(Pos, Round)> {
    let mut found = None;
    for (at, node) in body.iter().enumerate() {
        let place = match &node.kind {
            NodeKind::Set(pipe) if sets(pipe, name) => step(pipe, name, from).map(|round| (node.pos, round)),
            NodeKind::If(choice) if from == Round::First && mentions_set(node, name) => {
                let place = in_first(choice, name)?;
                // Behind it, whether the round is the first one is no longer known.
                let behind = body.get(at + 1..).unwrap_or_default();
                (!any(behind, name)).then_some((place, Round::NotFirst))
            }
            _ if !mentions(node, name) => continue,
            _ if mentions_set(node, name) || beyond(node, name) => None,
            _ => continue,
        };
        if found.is_some() {
            return None;
        }
        found = Some(place?);
    }
    found
}

/// `$first = false` of a flag; `add $n 1`, `add 1 $n`, `add1 $n` of a number.
fn step(pipe: &Pipe, name: &str, from: Round) -> Option<Round> {
    if pipe.declares || pipe.names.len() != 1 {
        return None;
    }
    match from {
        Round::First => matches!(only(pipe)?, Word { head: Head::Flag(false), .. }).then_some(Round::NotFirst),
        Round::Number(from) => {
            let [command] = pipe.commands.as_slice() else { return None };
            let one = |word: &Word| matches!(&word.head, Head::Number(number) if number == "1");
            let adds = |word: &Word, function: &str| matches!(&word.head, Head::Name(known) if known == function);
            let steps = match command.as_slice() {
                [function, word] => adds(function, "add1") && is_variable(word, name),
                [function, a, b] => {
                    let either = (is_variable(a, name) && one(b)) || (one(a) && is_variable(b, name));
                    adds(function, "add") && either
                }
                _ => false,
            };
            from.checked_add(1).filter(|_| steps).map(Round::Number)
        }
        Round::NotFirst => None,
    }
}

/// `{{ if $first }}{{ $first = false }}...{{ else }}...{{ end }}`, or the other way round with `not`: the place.
fn in_first(choice: &Choice, name: &str) -> Option<Pos> {
    let [(pipe, body)] = choice.arms.as_slice() else { return None };
    let [command] = pipe.commands.as_slice() else { return None };
    let other = choice.other.as_deref().unwrap_or_default();
    let (first, others) = match command.as_slice() {
        [word] if is_variable(word, name) => (body.as_slice(), other),
        [not, word] if is_variable(word, name) && matches!(&not.head, Head::Name(known) if known == "not") => {
            (other, body.as_slice())
        }
        _ => return None,
    };
    let mut users = first.iter().filter(|node| mentions(node, name));
    let (Some(Node { pos, kind: NodeKind::Set(set) }), None) = (users.next(), users.next()) else { return None };
    let known = pipe.names.is_empty() && !any(others, name) && step(set, name, Round::First).is_some();
    known.then_some(*pos)
}

fn children(kind: &NodeKind) -> Vec<&[Node]> {
    match kind {
        NodeKind::If(choice) | NodeKind::With(choice) => {
            let arms = choice.arms.iter().map(|(_, body)| body.as_slice());
            arms.chain(choice.other.as_deref()).collect()
        }
        NodeKind::Range { body, other, .. } => std::iter::once(body.as_slice()).chain(other.as_deref()).collect(),
        _ => Vec::new(),
    }
}

fn pipes(kind: &NodeKind) -> Vec<&Pipe> {
    match kind {
        NodeKind::Print(pipe) | NodeKind::Set(pipe) | NodeKind::Range { pipe, .. } => vec![pipe],
        NodeKind::If(choice) | NodeKind::With(choice) => choice.arms.iter().map(|(pipe, _)| pipe).collect(),
        NodeKind::Call { with, .. } => with.iter().collect(),
        _ => Vec::new(),
    }
}

fn sets(pipe: &Pipe, name: &str) -> bool {
    pipe.names.iter().any(|known| known == name)
}

fn pipe_mentions(pipe: &Pipe, name: &str) -> bool {
    let word = |word: &Word| match &word.head {
        Head::Variable(known) => known == name,
        Head::Bracket(inner) => pipe_mentions(inner, name),
        _ => false,
    };
    sets(pipe, name) || pipe.commands.iter().flatten().any(word)
}

fn mentions(node: &Node, name: &str) -> bool {
    pipes(&node.kind).into_iter().any(|pipe| pipe_mentions(pipe, name))
        || children(&node.kind).into_iter().any(|nodes| any(nodes, name))
}

fn any(nodes: &[Node], name: &str) -> bool {
    nodes.iter().any(|node| mentions(node, name))
}

fn mentions_set(node: &Node, name: &str) -> bool {
    pipes(&node.kind).into_iter().any(|pipe| sets(pipe, name))
        || children(&node.kind).into_iter().flatten().any(|inner| mentions_set(inner, name))
}

/// Whether the variable is used where `@first` would be another loop's, or taken to such a place: in loops and `with`
/// inside, by another variable, or by a template that is called.
fn beyond(node: &Node, name: &str) -> bool {
    match &node.kind {
        NodeKind::Range { .. } | NodeKind::With(_) | NodeKind::Call { .. } | NodeKind::Set(_) => mentions(node, name),
        NodeKind::If(choice) => {
            let taken = choice.arms.iter().any(|(pipe, _)| !pipe.names.is_empty() && pipe_mentions(pipe, name));
            taken || children(&node.kind).into_iter().flatten().any(|inner| beyond(inner, name))
        }
        _ => false,
    }
}
