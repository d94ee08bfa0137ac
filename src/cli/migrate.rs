//! `migrate`: takes over the config of another bridge.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::args::MigrateDingTalk;
use super::{Failure, plural, say};
use crate::config::{self, DingTalkBridge, Loaded};
use crate::migrate::{Made, Templates, config as convert};
use crate::model::Mistake;
use crate::telemetry::redact;

pub(super) fn dingtalk(args: &MigrateDingTalk) -> Result<(), Failure> {
    let read = config::load_dingtalk_bridge(&args.file).map_err(|mistakes| refused(&mistakes))?;
    let DingTalkBridge { original, templates, built_in, mut findings } = read;
    let templates = Templates::new(templates, built_in).map_err(|mistakes| refused(&mistakes))?;
    let made = convert(&original, &templates).map_err(|mistakes| refused(&mistakes))?;
    findings.extend(made.findings.iter().cloned());
    let loaded = write(&made, args)?;
    findings.extend(loaded.warnings.iter().cloned());
    say(&summary(&made, &loaded, args))?;
    let (worth_knowing, left): (Vec<Mistake>, Vec<Mistake>) = findings.into_iter().partition(|found| found.warning);
    if !worth_knowing.is_empty() {
        say(&format!("\nWorth knowing:\n\n{}", redact(&config::report(&worth_knowing))))?;
    }
    say(&next_steps(&args.output, original.targets.first().map_or("", |target| &target.name)))?;
    if left.is_empty() {
        return Ok(());
    }
    let count = plural(left.len(), "thing");
    let text = format!("\nLeft to do:\n\n{}\n{count} left to do; the places are marked in the templates\n", config::report(&left));
    Err(Failure { code: 1, text: redact(&text) })
}

/// Nothing was written.
fn refused(mistakes: &[Mistake]) -> Failure {
    Failure { code: 2, text: redact(&config::report(mistakes)) }
}

/// Writes everything once our own reader has taken it from a folder beside its place.
fn write(made: &Made, args: &MigrateDingTalk) -> Result<Loaded, Failure> {
    let folder = args.output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file_name = args.output.file_name().ok_or_else(|| Failure::usage("--output names no file"))?;
    let files: Vec<PathBuf> = made.templates.iter().map(|file| folder.join(&file.path)).collect();
    let in_the_way = files.iter().chain([&args.output]).filter(|file| file.symlink_metadata().is_ok());
    let in_the_way: Vec<String> = in_the_way.map(|file| file.display().to_string()).collect();
    if !args.force && !in_the_way.is_empty() {
        let hint = "give another --output, or --force to overwrite";
        return Err(Failure::usage(format!("{} exists already; {hint}", in_the_way.join(", "))));
    }
    let wrong = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| Failure::runtime(format!("{path}: {error}"))
    };
    let draft = tempfile::Builder::new().prefix(".alarmbell-migrate").tempdir_in(folder).map_err(wrong(folder))?;
    fs::create_dir(draft.path().join("templates")).map_err(wrong(draft.path()))?;
    for file in &made.templates {
        let path = draft.path().join(&file.path);
        fs::write(&path, &file.text).map_err(wrong(&path))?;
    }
    let config_file = draft.path().join(file_name);
    private(&config_file, made.config.expose()).map_err(wrong(&config_file))?;
    let mut loaded = config::load(&config_file).map_err(|mut mistakes| {
        mistakes.iter_mut().for_each(|mistake| move_place(mistake, draft.path(), folder));
        let text = format!("{}\nnothing was written: the result would not work\n", config::report(&mistakes));
        Failure { code: 2, text: redact(&text) }
    })?;
    loaded.warnings.iter_mut().for_each(|warning| move_place(warning, draft.path(), folder));
    if !made.templates.is_empty() {
        let templates = folder.join("templates");
        fs::create_dir_all(&templates).map_err(wrong(&templates))?;
    }
    for (file, to) in made.templates.iter().zip(&files) {
        settle(&draft.path().join(&file.path), to).map_err(wrong(to))?;
    }
    // Last: with it, everything is there.
    settle(&config_file, &args.output).map_err(wrong(&args.output))?;
    Ok(loaded)
}

/// The draft's paths as those of the result.
fn move_place(mistake: &mut Mistake, from: &Path, to: &Path) {
    let path = Path::new(&mistake.place.file);
    if let Ok(rest) = path.strip_prefix(from) {
        mistake.place.file = to.join(rest).display().to_string();
    }
}

/// Writes a file that only its owner can read.
fn private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// Moves a file, also to another file system.
fn settle(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))
}

fn summary(made: &Made, loaded: &Loaded, args: &MigrateDingTalk) -> String {
    let mut text = String::new();
    // Writing to a String can not fail.
    let bots = plural(loaded.config.bots.len(), "bot");
    let _ = writeln!(text, "{}: {bots}; only you can read it, because the robots' secrets are in it", args.output.display());
    for file in &made.templates {
        let path = args.output.with_file_name(&file.path);
        let _ = writeln!(text, "{}: from Go", path.display());
    }
    if !made.plain.is_empty() {
        let _ = writeln!(text, "\nThe messages of {} were not customised: they are alarmbell's own now.", made.plain.join(", "));
    }
    if !made.templates.is_empty() {
        text.push_str(
            "\nIn the templates, what alerts say is shown as typed: it can not be markup, nor call anybody ({{raw x}} shows it \
             unescaped).\n",
        );
    }
    text
}

fn next_steps(output: &Path, name: &str) -> String {
    let file = output.display();
    format!(
        "\nIn Alertmanager's config only the host changes: http://HERE:8060/dingtalk/{name}/send, and so on.\n\
         \x20 alarmbell check-config {file}\n\
         \x20 alarmbell render --config.file={file} --bot={name}     shows a message, sends nothing\n\
         \x20 alarmbell send --config.file={file} --bot={name}       sends a test message\n"
    )
}
