//! Writes a config for the targets of prometheus-webhook-dingtalk, and template files for their messages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Source, Templates};
use crate::model::{Mistake, Place, Secret};

/// A message's templates as a target or `default_message` gives them; what is missing is the built-in one's.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageText {
    /// Of the title.
    pub title: Option<Source>,
    /// Of the text.
    pub text: Option<Source>,
}

/// One of the other bridge's targets.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in `/dingtalk/NAME/send`.
    pub name: String,
    /// The robot's webhook URL.
    pub url: Secret,
    /// `http://` to another machine.
    pub plain_http: bool,
    /// The signing secret.
    pub secret: Option<Secret>,
    /// Everybody is mentioned.
    pub all: bool,
    /// Mobile numbers of those who are mentioned, and whether they are such.
    pub mobiles: Vec<(String, bool, Place)>,
    /// Its own message.
    pub message: Option<MessageText>,
}

/// The other bridge's config.
#[derive(Clone, Debug)]
pub struct Original {
    /// The file as the person named it.
    pub file: String,
    /// The targets in the file's order; at least one.
    pub targets: Vec<Target>,
    /// `default_message`.
    pub message: Option<MessageText>,
}

/// A template file to write: its path below the config's folder, and its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateFile {
    /// `templates/dingtalk.NAME.body.hbs`.
    pub path: String,
    /// Handlebars.
    pub text: String,
}

/// What came of a config.
#[derive(Clone, Debug)]
pub struct Made {
    /// The config's text. Holds secrets.
    pub config: Secret,
    /// Templates that it names.
    pub templates: Vec<TemplateFile>,
    /// What is left to do, and, as warnings, what is worth knowing.
    pub findings: Vec<Mistake>,
    /// Bots whose messages are alarmbell's own, because they were not customised.
    pub plain: Vec<String>,
}

/// What a message must say and a template that was written for something else does not.
const TAIL: &str = "\n{{!-- Not in the original: what fires as before, what did not fit, and what else must be said. --}}\n\
                    {{#if (and stillFiring counts)}}\n\n{{counts}}\n{{/if}}\n{{#if more}}\n\n{{more}}\n{{/if}}\n\
                    {{#each notes}}\n\n{{this}}\n{{/each}}\n";
const TITLE: &str = "ding.link.title";
const CONTENT: &str = "ding.link.content";

/// Title and body of a set, in Go.
type Parts = (Option<Source>, Option<Source>);

/// Makes a config that keeps the targets' names, so that their addresses stay the same.
///
/// # Errors
/// Where a message is no Go template.
pub fn config(original: &Original, templates: &Templates) -> Result<Made, Vec<Mistake>> {
    let mut made =
        Made { config: Secret::new(String::new()), templates: Vec::new(), findings: Vec::new(), plain: Vec::new() };
    let mut mistakes = Vec::new();
    let mut sets: Vec<(Parts, String)> = Vec::new();
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for target in &original.targets {
        let parts = parts(target.message.as_ref().or(original.message.as_ref()), templates);
        if parts == (None, None) {
            made.plain.push(target.name.clone());
            continue;
        }
        if let Some((_, set)) = sets.iter().find(|(known, _)| texts(known) == texts(&parts)) {
            names.insert(&target.name, set.clone());
            continue;
        }
        let taken = |name: &str| name == "default" || sets.iter().any(|(_, set)| set == name);
        let wanted = if target.message.is_some() { target.name.as_str() } else { "migrated" };
        let set = [wanted.to_owned(), format!("{wanted}-message")].into_iter().find(|name| !taken(name));
        let set = set.unwrap_or_else(|| format!("{}-{}", target.name, sets.len()));
        for (part, source) in [("title", &parts.0), ("body", &parts.1)] {
            let Some(source) = source else { continue };
            match templates.translate(source) {
                Err(mistake) => mistakes.push(mistake),
                Ok(done) => {
                    made.findings.extend(done.findings);
                    if !done.text.is_empty() {
                        let tail = if part == "body" { TAIL } else { "\n" };
                        let text = format!("{}{tail}", done.text.trim());
                        made.templates
                            .push(TemplateFile { path: format!("templates/dingtalk.{set}.{part}.hbs"), text });
                    }
                }
            }
        }
        names.insert(&target.name, set.clone());
        sets.push((parts, set));
    }
    for target in &original.targets {
        for (mobile, _, place) in target.mobiles.iter().filter(|(_, valid, _)| !valid) {
            made.findings.push(Mistake {
                place: place.clone(),
                what: format!("the mobile number {} is left out: it is not one", shown(mobile)),
                line: String::new(),
                hint: "digits, with + and - for other countries; add the person under `contacts`".to_owned(),
                warning: false,
            });
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    // A set whose parts came to nothing has no files, and a config may not name it.
    names.retain(|_, set| {
        made.templates.iter().any(|file| file.path.starts_with(&format!("templates/dingtalk.{set}.")))
    });
    made.findings.sort_by(|a, b| a.place.cmp(&b.place));
    made.findings.dedup();
    made.config = Secret::new(write(original, &names, &made.templates));
    Ok(made)
}

fn texts(parts: &Parts) -> [Option<&str>; 2] {
    [&parts.0, &parts.1].map(|part| part.as_ref().map(|source| source.text.as_str()))
}

/// The parts of a message that are not just the built-in ones.
fn parts(message: Option<&MessageText>, templates: &Templates) -> Parts {
    let part = |given: Option<&Source>, name: &str| {
        let source = given.cloned().unwrap_or_else(|| Source {
            file: "built-in".to_owned(),
            text: format!("{{{{ template \"{name}\" . }}}}"),
            lines: Vec::new(),
        });
        let text: String = source.text.split_whitespace().collect();
        let standard = text == format!("{{{{template\"{name}\".}}}}") && !templates.is_custom(name);
        (!standard).then_some(source)
    };
    (part(message.and_then(|m| m.title.as_ref()), TITLE), part(message.and_then(|m| m.text.as_ref()), CONTENT))
}

/// A value in quotes that YAML reads as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn shown(text: &str) -> String {
    text.chars().take(20).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn write(original: &Original, sets: &BTreeMap<&str, String>, templates: &[TemplateFile]) -> String {
    let mut out = String::new();
    // Writing to a String can not fail.
    let _ = writeln!(
        out,
        "# Made from {} by `alarmbell migrate`. It holds secrets: keep it from others, or move them into files and name\n\
         # these as `url_file` and `secret_file`. All settings: examples/full.yml.\n",
        shown_line(&original.file),
    );
    out.push_str(
        "# In templates, times are shown in this zone; the words of built-in messages are in this language.\nglobal:\n",
    );
    out.push_str("  timezone: Asia/Shanghai\n  language: zh\n\n");
    if !templates.is_empty() {
        out.push_str("templates:\n");
        for file in templates {
            let _ = writeln!(out, "  - {}", quoted(&file.path));
        }
        out.push('\n');
    }
    out.push_str("# Each answers under the address it had: POST /dingtalk/NAME/send.\nbots:\n");
    for target in &original.targets {
        bot(&mut out, target, sets.get(target.name.as_str()));
    }
    contacts(&mut out, &original.targets);
    if let Some(first) = original.targets.first() {
        out.push_str(
            "\n# Where alerts go that were posted to a name that no bot has; without it they are refused with 404.\n",
        );
        let _ = writeln!(out, "default_policy: {{notify: {{bots: [{}]}}}}", quoted(&first.name));
    }
    out
}

fn shown_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn bot(out: &mut String, target: &Target, set: Option<&String>) {
    let _ = writeln!(
        out,
        "  - name: {}\n    type: dingtalk\n    url: {}",
        quoted(&target.name),
        quoted(target.url.expose())
    );
    if target.plain_http {
        out.push_str("    allow_http: true    # its token can be read on the way\n");
    }
    if let Some(secret) = &target.secret {
        let _ = writeln!(out, "    secret: {}", quoted(secret.expose()));
    }
    out.push_str("    # If the robot's settings name keywords, name them here, so that no message is refused:\n");
    out.push_str("    # keywords: [Alarm]\n");
    match set {
        Some(set) => {
            let _ = writeln!(out, "    template: {}", quoted(set));
        }
        None => out.push_str("    # It had no message of its own; now alarmbell's built-in one is shown.\n"),
    }
    let mobiles: Vec<String> = valid(target).map(quoted).collect();
    if target.all || !mobiles.is_empty() {
        out.push_str("    # Only firing alerts call people, each at most every `interval` (5m).\n    mention:\n");
        if target.all {
            out.push_str("      all: true\n");
        }
        if !mobiles.is_empty() {
            let _ = writeln!(out, "      contacts: [{}]", mobiles.join(", "));
        }
    }
}

fn valid(target: &Target) -> impl Iterator<Item = &str> {
    let mut seen = std::collections::BTreeSet::new();
    target
        .mobiles
        .iter()
        .filter(|(_, valid, _)| *valid)
        .map(|(mobile, ..)| mobile.as_str())
        .filter(move |m| seen.insert(*m))
}

fn contacts(out: &mut String, targets: &[Target]) {
    let mut known: Vec<&str> = targets.iter().flat_map(valid).collect();
    known.sort_unstable();
    known.dedup();
    if known.is_empty() {
        return;
    }
    out.push_str("\n# Give them their names if you like, here and under `mention`.\ncontacts:\n");
    for mobile in known {
        let _ = writeln!(out, "  - {{name: {0}, mobile: {0}}}", quoted(mobile));
    }
}
