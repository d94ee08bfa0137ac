//! The template sets: built-in ones, and those that a user's files add or override part by part.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::sync::Arc;

use handlebars::{Handlebars, Template, TemplateErrorReason};

use super::lint::Schema;
use super::{TemplateFailure, helpers, lint, trial};
use crate::model::{BotKind, Mistake, Place};

/// A part of a message that has its own template.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    Title,
    Alert,
    Body,
    /// The whole body of a digest.
    Digest,
}

impl Part {
    const ALL: [Self; 4] = [Self::Title, Self::Alert, Self::Body, Self::Digest];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Alert => "alert",
            Self::Body => "body",
            Self::Digest => "digest",
        }
    }
}

/// For when no template is to be looked at.
const NOTHING: serde_json::Value = serde_json::Value::Null;
/// Name of the set that is built in.
const DEFAULT: &str = "default";
const SCHEME: &str = "name it <type>.<set>.<part>.hbs, as in wecom.night.title.hbs: type dingtalk, wecom or feishu; \
     set letters, digits, `.`, `_`, `-`; part title, alert, body or digest";
/// Distinct custom template files.
const MAX_FILES: usize = 1_000;

macro_rules! built_in {
    ($kind:ident, $name:literal, $part:ident, $part_name:literal) => {
        (BotKind::$kind, Part::$part, include_str!(concat!("../../templates/", $name, ".default.", $part_name, ".hbs")))
    };
}

pub(super) const BUILT_IN: [(BotKind, Part, &str); 12] = [
    built_in!(DingTalk, "dingtalk", Title, "title"),
    built_in!(DingTalk, "dingtalk", Alert, "alert"),
    built_in!(DingTalk, "dingtalk", Body, "body"),
    built_in!(DingTalk, "dingtalk", Digest, "digest"),
    built_in!(WeCom, "wecom", Title, "title"),
    built_in!(WeCom, "wecom", Alert, "alert"),
    built_in!(WeCom, "wecom", Body, "body"),
    built_in!(WeCom, "wecom", Digest, "digest"),
    built_in!(Feishu, "feishu", Title, "title"),
    built_in!(Feishu, "feishu", Alert, "alert"),
    built_in!(Feishu, "feishu", Body, "body"),
    built_in!(Feishu, "feishu", Digest, "digest"),
];

/// A compiled part and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    /// `<type>.<set>.<part>`.
    pub(super) name: String,
    /// The file as the person named it; empty for a built-in one.
    pub(super) path: String,
    pub(super) part: Part,
    pub(super) template: Arc<Template>,
    /// The built-in one in whose place this one stands.
    pub(super) built_in: Option<Arc<Template>>,
    pub(super) custom: bool,
}

/// The compiled templates.
#[derive(Debug)]
pub struct Templates {
    pub(super) registry: Handlebars<'static>,
    custom: BTreeMap<(&'static str, String, Part), Compiled>,
    built_in: BTreeMap<(&'static str, Part), Compiled>,
    /// Sets with a file that was left out for its mistakes, by vendor.
    broken: BTreeSet<(&'static str, String)>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::new::<&str, &str>(&[]).0
    }
}

impl Templates {
    /// Compiles the built-in templates and a user's files (path as the person named it, source).
    ///
    /// A file is `<type>.<set>.<part>.hbs`; a part that a set does not have is the built-in one of that vendor. The set
    /// `default` overrides the built-in one itself. Every mistake has line, column and a hint: what can not be read or can
    /// not work is left out, and what fails for all or, as a warning, for some of a few sample messages is told. At most
    /// 64 KiB a file.
    pub fn new<P: AsRef<str>, S: AsRef<str>>(files: &[(P, S)]) -> (Self, Vec<Mistake>) {
        let mut templates = Self::bare();
        let mut mistakes = Vec::new();
        let schema = if files.is_empty() { Schema::of(&NOTHING, &NOTHING) } else { trial::schema(&templates) };
        for (at, (path, source)) in files.iter().enumerate() {
            if at == MAX_FILES {
                mistakes.push(mistake(
                    path.as_ref(),
                    "",
                    (0, 0, format!("more than {MAX_FILES} templates"), String::new()),
                ));
                break;
            }
            templates.add(path.as_ref(), source.as_ref(), &schema, &mut mistakes);
        }
        for ((kind, ..), part) in &templates.custom {
            let source = files.iter().find(|(path, _)| path.as_ref() == part.path).map_or("", |(_, s)| s.as_ref());
            mistakes.extend(trial::run(&templates, kind, part).map(|found| {
                let warning = found.warning;
                Mistake { warning, ..mistake(&part.path, source, found.finding) }
            }));
        }
        (templates, mistakes)
    }

    fn bare() -> Self {
        let mut templates = Self {
            registry: helpers::registry(),
            custom: BTreeMap::new(),
            built_in: BTreeMap::new(),
            broken: BTreeSet::new(),
        };
        // A built-in that does not compile would be missing here and its messages go out plain; a test forbids it.
        for (kind, part, source) in BUILT_IN {
            let name = format!("{}.{DEFAULT}.{}", kind.as_str(), part.as_str());
            if let Ok(template) = parse(source) {
                let template = Arc::new(template);
                let compiled = Compiled { name, path: String::new(), part, template, built_in: None, custom: false };
                templates.built_in.insert((kind.as_str(), part), compiled);
            }
        }
        templates
    }

    /// These templates with one custom part only, under a name of its own.
    pub(super) fn alone(&self, kind: &'static str, part: Compiled, set: &str) -> Self {
        let custom = BTreeMap::from([((kind, set.to_owned(), part.part), part)]);
        let broken = BTreeSet::new();
        Self { registry: self.registry.clone(), custom, built_in: self.built_in.clone(), broken }
    }

    fn add(&mut self, path: &str, source: &str, schema: &Schema, mistakes: &mut Vec<Mistake>) {
        let (kind, set, part) = match file_name(path) {
            Ok(found) => found,
            Err(found) => return mistakes.push(found),
        };
        let name = format!("{}.{set}.{}", kind.as_str(), part.as_str());
        match compile(source, part, schema) {
            Err(findings) => {
                mistakes.extend(findings.into_iter().map(|finding| mistake(path, source, finding)));
                self.broken.insert((kind.as_str(), set));
            }
            Ok(template) => {
                let built_in = self.built_in.get(&(kind.as_str(), part)).map(|own| Arc::clone(&own.template));
                let (template, path_of) = (Arc::new(template), path.to_owned());
                let compiled = Compiled { name: name.clone(), path: path_of, part, template, built_in, custom: true };
                if self.custom.insert((kind.as_str(), set, part), compiled).is_some() {
                    let hint = "keep one of them".to_owned();
                    mistakes.push(mistake(path, "", (0, 0, format!("there are two templates {name}"), hint)));
                }
            }
        }
    }

    /// Whether the set has at least one part for this vendor, be it one with mistakes. `default` always has.
    pub fn has_set(&self, kind: BotKind, set: &str) -> bool {
        let has = |part: &Part| self.custom.contains_key(&(kind.as_str(), set.to_owned(), *part));
        set == DEFAULT || Part::ALL.iter().any(has) || self.broken.contains(&(kind.as_str(), set.to_owned()))
    }

    /// The sources of a vendor's built-in templates, by part (`title`, `alert`, `body`, `digest`).
    pub fn built_in(kind: BotKind) -> impl Iterator<Item = (&'static str, &'static str)> {
        BUILT_IN.iter().filter(move |(of, ..)| *of == kind).map(|(_, part, source)| (part.as_str(), *source))
    }

    /// The sets that the user's files make, by vendor and name; for finding unused and mistyped ones.
    pub fn sets(&self) -> Vec<(BotKind, String)> {
        let sets: BTreeSet<(&str, &String)> = self.custom.keys().map(|(kind, set, _)| (*kind, set)).collect();
        let kind = |name: &str| BotKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        sets.into_iter().filter_map(|(name, set)| Some((kind(name)?, set.clone()))).collect()
    }

    /// [`Templates::part`], or that there is none.
    ///
    /// # Errors
    /// As if that template had failed.
    pub(super) fn wanted(&self, kind: BotKind, set: &str, part: Part) -> Result<&Compiled, TemplateFailure> {
        self.part(kind, set, part).ok_or_else(|| TemplateFailure {
            template: format!("{}.{set}.{}", kind.as_str(), part.as_str()),
            error: "there is no such template".to_owned(),
            place: Place::default(),
            alert: None,
        })
    }

    /// The set's own part, else the user's `default` one, else the built-in one.
    pub(super) fn part(&self, kind: BotKind, set: &str, part: Part) -> Option<&Compiled> {
        let own = self.custom.get(&(kind.as_str(), set.to_owned(), part));
        let default = || self.custom.get(&(kind.as_str(), DEFAULT.to_owned(), part));
        own.or_else(default).or_else(|| self.built_in.get(&(kind.as_str(), part)))
    }
}

fn compile(source: &str, part: Part, schema: &Schema) -> Result<Template, Vec<lint::Finding>> {
    let template = parse(source)?;
    let findings = lint::compiled(&template, source, part, schema);
    if findings.is_empty() { Ok(template) } else { Err(findings) }
}

pub(super) fn parse(source: &str) -> Result<Template, Vec<lint::Finding>> {
    if let Some(finding) = lint::source(source) {
        return Err(vec![finding]);
    }
    // The parser asserts what it expects of its grammar; a person's typo must not end the program.
    let compiled = catch_unwind(|| Template::compile(source))
        .map_err(|_| vec![(0, 0, "the template can not be read".to_owned(), syntax_hint(source))])?;
    compiled.map_err(|error| {
        let (line, column) = error.pos().unwrap_or((0, 0));
        // The parser lists its grammar's rules, which tell nobody anything.
        let what = match error.reason() {
            TemplateErrorReason::InvalidSyntax(_) if line >= source.lines().count() && open_block(source) => {
                "the template ends inside a block".to_owned()
            }
            TemplateErrorReason::InvalidSyntax(_) => "this can not be read".to_owned(),
            other => super::marks::one_line(&other.to_string(), 300),
        };
        vec![(line, column, what, syntax_hint(source))]
    })
}

/// Whether more blocks begin than end.
fn open_block(source: &str) -> bool {
    source.matches("{{#").count() > source.matches("{{/").count()
}

fn syntax_hint(source: &str) -> String {
    let go = ["{{ .", "{{.", "{{- ", "{{range", "{{ range", "{{end", "{{ end", ":="];
    if go.iter().any(|sign| source.contains(sign)) {
        return "this looks like a Go template; here it is Handlebars: {{labels.alertname}}, {{#each alerts}}...{{/each}}, \
                {{#if x}}...{{/if}}"
            .to_owned();
    }
    "every {{#block}} needs its {{/block}}, every quote and bracket its partner".to_owned()
}

fn mistake(path: &str, source: &str, (line, column, what, hint): lint::Finding) -> Mistake {
    let text = line.checked_sub(1).and_then(|at| source.split('\n').nth(at)).unwrap_or_default();
    Mistake {
        place: Place { file: path.to_owned(), line, column },
        what,
        line: super::marks::clean(text, 200),
        hint,
        warning: false,
    }
}

/// Takes a file's name apart.
fn file_name(path: &str) -> Result<(BotKind, String, Part), Mistake> {
    let wrong = |what: String, hint: &str| mistake(path, "", (0, 0, what, hint.to_owned()));
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    let parts = name.strip_suffix(".hbs").and_then(|stem| {
        let (kind, rest) = stem.split_once('.')?;
        let (set, part) = rest.rsplit_once('.')?;
        Some((kind, set, part))
    });
    let Some((kind, set, part)) = parts else {
        return Err(wrong(format!("`{name}` is not a template's name"), SCHEME));
    };
    let Some(kind) = BotKind::ALL.into_iter().find(|known| known.as_str() == kind) else {
        return Err(wrong(format!("`{kind}` is not a type of bot"), SCHEME));
    };
    let first = set.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if !first || !set.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(wrong(format!("`{set}` is not a set's name"), SCHEME));
    }
    match Part::ALL.into_iter().find(|known| known.as_str() == part) {
        Some(part) => Ok((kind, set.to_owned(), part)),
        None => Err(wrong(format!("`{part}` is not a part of a message"), SCHEME)),
    }
}
