//! YAML text to a tree with places. The only user of YAML.
//!
//! The parser's events are used instead of serde: serde stops at the first mistake, and a config is checked for all of
//! them at once. YAML 1.2; anchors, aliases and merge keys (`<<`) work, and what they expand to is bounded.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::node::{Data, Entry, Node};
use super::report::{Pos, Report, quoted_key};

/// The largest file, in bytes.
pub(super) const MAX_BYTES: u64 = 4 << 20;
/// The most values in a file, aliases expanded.
const MAX_NODES: usize = 500_000;
/// The deepest nesting, aliases expanded. The schema needs 8.
const MAX_DEPTH: usize = 32;

/// A file that is YAML.
pub(super) struct Tree {
    pub(super) root: Rc<Node>,
    /// Bytes of the text that are neither values nor structure, and what to show in their place.
    pub(super) extras: Vec<(Range<usize>, char)>,
}

/// Reads the report's text. Duplicate keys and the like are noted and reading goes on; `None` when it is no YAML.
pub(super) fn tree(report: &mut Report) -> Option<Tree> {
    let text = report.text();
    let mut builder = Builder::new(report);
    let options = granit_parser::options! { emit_comments: false, disallow_directives: true };
    for event in Parser::new_from_str_with_options(&text, options) {
        match event {
            Ok((event, span)) => builder.take(event, &span)?,
            Err(error) => {
                let pos = place(*error.marker());
                report.mistake(pos, format!("this is not YAML: {}", error.info()), syntax_hint(&text, pos));
                return None;
            }
        }
    }
    let Builder { root, scalars, .. } = builder;
    let Some(root) = root.filter(|root| !root.is_null()) else {
        report.mistake(Pos::default(), "the file is empty", "examples/minimal.yml is a start");
        return None;
    };
    Some(Tree { root, extras: extras(&text, scalars) })
}

/// The text as all of this room reads it: without a byte order mark, and with every break that YAML counts as one ending in
/// a line feed. Else a line's number would mean one line to the parser and another to the report.
pub(super) fn plain_breaks(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    // Each stays one byte long.
    let mut chars = text.chars().peekable();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        out.push(if c == '\r' && chars.peek() != Some(&'\n') { '\n' } else { c });
    }
    Cow::Owned(out)
}

fn place(mark: Marker) -> Pos {
    Pos { line: mark.line(), column: mark.col() + 1 }
}

fn syntax_hint(text: &str, pos: Pos) -> &'static str {
    let line = text.lines().nth(pos.line.saturating_sub(1)).unwrap_or_default();
    let here: Vec<char> = line.chars().skip(pos.column.saturating_sub(1)).take(1).collect();
    if line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t') {
        "YAML is indented with spaces, not with tabs"
    } else if matches!(here[..], ['*' | '&' | '!' | '%' | '@' | '`']) {
        "a value that begins with a special character needs quotes"
    } else {
        "look at indentation, quotes, brackets and the space after each colon, here and in the lines above"
    }
}

/// Outside of every scalar a `#` begins a comment, and `&`, `*` and `!` begin an anchor, an alias or a tag: or a secret
/// that lacks its quotes.
fn extras(text: &str, mut scalars: Vec<Range<usize>>) -> Vec<(Range<usize>, char)> {
    scalars.sort_by_key(|span| span.start);
    let mut found = Vec::new();
    let mut at = 0;
    for span in scalars.into_iter().chain(std::iter::once(text.len()..text.len())) {
        let gap = text.get(at..span.start).unwrap_or_default();
        let mut from = 0;
        while let Some(start) = gap.get(from..).and_then(|rest| rest.find(['#', '&', '*', '!'])) {
            let start = from + start;
            let comment = gap[start..].starts_with('#');
            let ends = |c: char| if comment { c == '\n' } else { c.is_whitespace() || "[]{},".contains(c) };
            let end = gap[start..].find(ends).map_or(gap.len(), |length| start + length);
            found.push((at + start..at + end, if comment { ' ' } else { '*' }));
            from = end;
        }
        at = at.max(span.end);
    }
    found
}

/// A finished node with what it weighs when aliases repeat it.
#[derive(Clone)]
struct Weighed {
    node: Rc<Node>,
    nodes: usize,
    depth: usize,
}

struct Frame {
    pos: Pos,
    anchor: usize,
    open: Open,
    nodes: usize,
    depth: usize,
}

enum Open {
    Seq(Vec<Rc<Node>>),
    Map { entries: Vec<Entry>, merged: Vec<Rc<Node>>, key: Option<Key> },
}

struct Key {
    text: String,
    pos: Pos,
    span: Range<usize>,
}

struct Builder<'r> {
    report: &'r mut Report,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Weighed>,
    scalars: Vec<Range<usize>>,
    nodes: usize,
    root: Option<Rc<Node>>,
}

impl<'r> Builder<'r> {
    fn new(report: &'r mut Report) -> Self {
        Self { report, stack: Vec::new(), anchors: HashMap::new(), scalars: Vec::new(), nodes: 0, root: None }
    }

    /// Takes one event; `None` when it makes no sense to go on.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Option<()> {
        let pos = place(span.start);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.report.mistake(pos, "a second document begins here", "a config is one document: remove the `---`");
                None
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = !self.tag(span, tag.as_deref()) && matches!(style, ScalarStyle::Plain);
                let bytes = span.byte_range().unwrap_or_default();
                self.scalars.push(bytes.clone());
                let node = Rc::new(Node::new(pos, bytes, Data::Scalar { text: text.into_owned(), plain }));
                self.add(anchor, Weighed { node, nodes: 1, depth: 1 })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(span, tag.as_deref());
                self.open(pos, anchor, Open::Seq(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(span, tag.as_deref());
                self.open(pos, anchor, Open::Map { entries: Vec::new(), merged: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(target) => self.add(0, target),
                None => {
                    self.report.mistake(pos, "this alias stands inside of what it means", "");
                    None
                }
            },
            _ => Some(()),
        }
    }

    /// Notes a tag that is none of YAML's own; says whether the tag makes a text of a scalar.
    fn tag(&mut self, span: &Span, tag: Option<&Tag>) -> bool {
        let Some(tag) = tag else { return false };
        match tag.core_suffix() {
            Some("str") => true,
            Some("int" | "float" | "bool" | "null" | "map" | "seq") => false,
            _ => {
                let pos = place(span.tag_start().unwrap_or(span.start));
                let what = format!("the tag {} is not understood", quoted_key(&tag.original()));
                self.report.mistake(pos, what, "remove it; secrets come from `url_file` and `secret_file`");
                false
            }
        }
    }

    fn open(&mut self, pos: Pos, anchor: usize, open: Open) -> Option<()> {
        if self.stack.len() >= MAX_DEPTH {
            self.report.mistake(pos, format!("nested deeper than {MAX_DEPTH} levels"), "");
            return None;
        }
        self.stack.push(Frame { pos, anchor, open, nodes: 1, depth: 1 });
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let frame = self.stack.pop()?;
        let data = match frame.open {
            Open::Seq(items) => Data::Seq(items),
            Open::Map { entries, merged, .. } => Data::Map(self.merge(entries, &merged)),
        };
        let node = Rc::new(Node::new(frame.pos, 0..0, data));
        // What a collection holds was counted when it was added.
        self.nodes = self.nodes.saturating_sub(frame.nodes - 1);
        self.add(frame.anchor, Weighed { node, nodes: frame.nodes, depth: frame.depth })
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, anchor: usize, new: Weighed) -> Option<()> {
        self.nodes += new.nodes;
        if self.nodes > MAX_NODES || self.stack.len() + new.depth > MAX_DEPTH + 1 {
            let what = format!("more than {MAX_NODES} values or {MAX_DEPTH} levels, aliases counted as often as used");
            self.report.mistake(new.node.pos, what, "");
            return None;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, new.clone());
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(new.node);
            return Some(());
        };
        frame.nodes += new.nodes;
        frame.depth = frame.depth.max(new.depth + 1);
        match &mut frame.open {
            Open::Seq(items) => items.push(new.node),
            Open::Map { entries, merged, key } => match key.take() {
                None => *key = Some(as_key(&new.node, self.report)),
                Some(key) if key.text == "<<" => merged.push(new.node),
                Some(Key { text, pos, span }) => {
                    entries.push(Entry { key: text, pos, span, value: new.node, known: Cell::new(false) })
                }
            },
        }
        Some(())
    }

    /// Notes duplicate keys, and takes over what merge keys bring.
    fn merge(&mut self, written: Vec<Entry>, merged: &[Rc<Node>]) -> Vec<Entry> {
        let mut first: HashMap<String, Pos> = HashMap::with_capacity(written.len());
        let mut entries = Vec::with_capacity(written.len());
        for entry in written {
            if let Some(before) = first.get(&entry.key) {
                let what = format!("{} is given twice, first in line {}", quoted_key(&entry.key), before.line);
                self.report.mistake(entry.pos, what, "keep one of them");
            } else {
                first.insert(entry.key.clone(), entry.pos);
                entries.push(entry);
            }
        }
        for source in merged {
            let sources = match &source.data {
                Data::Seq(items) => items.as_slice(),
                _ => std::slice::from_ref(source),
            };
            for source in sources {
                let Data::Map(more) = &source.data else {
                    self.report.mistake(source.pos, "`<<` takes a map or a list of maps", "");
                    continue;
                };
                for entry in more {
                    if !first.contains_key(&entry.key) {
                        first.insert(entry.key.clone(), entry.pos);
                        entries.push(entry.clone());
                    }
                }
            }
        }
        entries
    }
}

fn as_key(node: &Node, report: &mut Report) -> Key {
    let text = match &node.data {
        Data::Scalar { text, .. } => text.clone(),
        _ => {
            report.mistake(node.pos, format!("a key must be a word, not {}", node.noun()), "");
            String::new()
        }
    };
    Key { text, pos: node.pos, span: node.span.clone() }
}
