//! `migrate`: takes over the config of another bridge.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, plural, say};
use crate::config::{self, DingTalkBridge, Loaded};
use crate::migrate::{Made, Templates, config as convert};
use crate::model::Mistake;
use crate::telemetry::redact;

/// `migrate`.
#[derive(Subcommand, Clone, Debug)]
pub enum Migrate {
    /// Make a config, and Handlebars of Go templates, from the config of prometheus-webhook-dingtalk
    ///
    /// Exit codes: 0, everything was carried over; 1, written, and something is left to do (named with its place), or it
    /// could not be written; 2, the input can not be read or a file is in the way, and nothing was written.
    PrometheusWebhookDingtalk(MigrateDingTalk),
}

/// Flags of `migrate prometheus-webhook-dingtalk`.
#[derive(Args, Clone, Debug)]
pub struct MigrateDingTalk {
    /// Its config; the templates that this names are read too
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The config to write, with the robots' secrets in it; templates go into `templates/` beside it
    #[arg(short, long, value_name = "FILE", default_value = "alarmbell.yml")]
    pub output: PathBuf,
    /// Overwrite what is there
    #[arg(long)]
    pub force: bool,
}

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
    let text = format!(
        "\nLeft to do:\n\n{}\n{count} left to do; the places are marked in the templates\n",
        config::report(&left)
    );
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
    let _ = writeln!(
        text,
        "{}: {bots}; only you can read it, because the robots' secrets are in it",
        args.output.display()
    );
    for file in &made.templates {
        let path = args.output.with_file_name(&file.path);
        let _ = writeln!(text, "{}: from Go", path.display());
    }
    if !made.plain.is_empty() {
        let _ = writeln!(
            text,
            "\nThe messages of {} were not customised: they are alarmbell's own now.",
            made.plain.join(", ")
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
templates: ['*.tmpl']
targets:
  ops:
    url: https://oapi.dingtalk.com/robot/send?access_token=MARKtokenDING
    secret: SECMARKsignDING
    message: {text: '{{ template \"mine\" . }}'}
";

    struct Place(tempfile::TempDir);

    impl Place {
        fn new(template: &str) -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            fs::write(place.path("config.yml"), CONFIG).unwrap();
            fs::write(place.path("mine.tmpl"), template).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn run(&self, force: bool) -> Result<(), Failure> {
            let (file, output) = (self.path("config.yml"), self.path("out/alarmbell.yml"));
            fs::create_dir_all(self.path("out")).unwrap();
            dingtalk(&MigrateDingTalk { file, output, force })
        }

        fn written(&self) -> Vec<String> {
            let mut names = Vec::new();
            for folder in ["out", "out/templates"] {
                for entry in fs::read_dir(self.path(folder)).into_iter().flatten() {
                    names.push(entry.unwrap().file_name().to_string_lossy().into_owned());
                }
            }
            names.sort();
            names
        }
    }

    #[test]
    fn everything_carried_over() {
        let place = Place::new("{{ define \"mine\" }}{{ .Status }}{{ end }}");
        assert_eq!(place.run(false), Ok(()));
        assert_eq!(place.written(), ["alarmbell.yml", "dingtalk.ops.body.hbs", "templates"]);
        let config = place.path("out/alarmbell.yml");
        assert!(fs::read_to_string(&config).unwrap().contains("MARKtokenDING"));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&config).unwrap());
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(config::load(&config).is_ok());
    }

    /// The looks that people have, and the samples that they will try them with.
    #[test]
    fn every_sample_is_told_by_what_was_taken_over() {
        use crate::cli::samples;
        use crate::dispatch::{Occasion, preview_on};
        use crate::model::{Lang, MessageId};
        let place =
            Place::new("{{ define \"mine\" }}{{ template \"default.content\" . }}{{ .CommonLabels.x }}{{ end }}");
        let looks = ["default", "legacy", "ding.link"].map(|look| {
            format!(
                "  {}:\n    url: https://oapi.dingtalk.com/robot/send?access_token={look}\n    message: {{title: '{{{{ template \"{look}.title\" . }}}}', text: '{{{{ template \"{look}.content\" . }}}}'}}\n",
                look.replace('.', "-")
            )
        });
        fs::write(place.path("config.yml"), CONFIG.to_owned() + &looks.concat()).unwrap();
        assert_eq!(place.run(false), Ok(()));
        let config = config::load(&place.path("out/alarmbell.yml")).unwrap().config;
        assert_eq!(config.bots.len(), 4);
        let settings = crate::app::build::dispatch_settings(&config, "https://bell.example");
        for sample in &samples::ALL {
            for lang in [Lang::Zh, Lang::En] {
                let (body, told) = (sample.read(lang).unwrap(), sample.told(lang).unwrap());
                let occasion = Occasion { told: told.as_deref(), digest: sample.digest, form: sample.form };
                for bot in &config.bots {
                    let id = MessageId::from_bytes([0; 16]);
                    let made = preview_on(&occasion, &settings, bot, body.clone(), sample.now(&body), || id.clone());
                    assert!(!made.messages.is_empty(), "{} of {}", bot.name, sample.name);
                    for message in &made.messages {
                        let of = format!("{} of {}: {:?}", bot.name, sample.name, message.failure);
                        assert!(message.failure.is_none() && message.size <= message.limit, "{of}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_there_is_overwritten_only_when_told_to() {
        let place = Place::new("{{ define \"mine\" }}new{{ end }}");
        fs::create_dir_all(place.path("out/templates")).unwrap();
        let there = place.path("out/templates/dingtalk.ops.body.hbs");
        fs::write(&there, "old").unwrap();
        let failure = place.run(false).unwrap_err();
        assert_eq!(failure.code, 2);
        assert!(failure.text.contains("dingtalk.ops.body.hbs exists already"), "{}", failure.text);
        assert_eq!(place.written(), ["dingtalk.ops.body.hbs", "templates"]);
        assert_eq!(place.run(true), Ok(()));
        assert!(fs::read_to_string(&there).unwrap().starts_with("new\n"));
    }

    #[test]
    fn exit_codes() {
        let left = Place::new("{{ define \"mine\" }}{{ frob }}{{ end }}").run(false).unwrap_err();
        assert_eq!(left.code, 1);
        assert!(
            left.text.contains("mine.tmpl:1:23: the function `frob`")
                && left.text.ends_with("1 thing left to do; the places are marked in the templates\n"),
            "{}",
            left.text
        );
        for (template, part) in [
            ("{{ define \"mine\" }}", "mine.tmpl:1:20: this define does not end"),
            // Our own reader has the last word, and no trace stays of what it refuses.
            ("{{ define \"mine\" }}((((((((((((((((((((((((((({{ end }}", "brackets nest too deeply"),
        ] {
            let place = Place::new(template);
            let failure = place.run(false).unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(failure.text.contains(part) && !failure.text.contains("MARK"), "{}", failure.text);
            assert_eq!(place.written(), [""; 0]);
        }
        let missing = MigrateDingTalk { file: "no/such.yml".into(), output: "x.yml".into(), force: false };
        assert_eq!(dingtalk(&missing).unwrap_err().code, 2);
    }
}
