//! From what was typed to what would be sent.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::failed;
use super::flags::Render;
use crate::app::build;
use crate::cli::{Failure, bare, bot, payload, samples};
use crate::clock::Clock;
use crate::config::{self, Config, Watched};
use crate::dispatch::{BotConfig, Occasion, Previews, Settings, preview_on};
use crate::model::{BotKind, Lang, Layout, MessageId, Mistake, Notification};
use crate::render::{Form, Templates};

/// The config that is taken when it is there.
const CONFIG: &str = "alarmbell.yml";
/// Template files of `--templates`, at most, and the largest of them in bytes: what a template may be, and a little, so that
/// the mistake is the template's.
const MAX_FILES: usize = 1_000;
const MAX_SOURCE: u64 = 128 << 10;

/// What was asked for, and what can be read only once.
pub(super) struct Ask<'a> {
    pub(super) args: &'a Render,
    clock: Arc<dyn Clock>,
    /// Name and content of standard input.
    stdin: Option<(String, Vec<u8>)>,
}

/// What one look shows.
pub(super) struct Look {
    /// Bot by bot.
    pub(super) shown: Vec<Shown>,
    /// What is odd about templates that are tried.
    pub(super) odd: Vec<Mistake>,
    /// Templates that failed, each once.
    pub(super) failed: Vec<Mistake>,
}

/// What one bot would be sent.
pub(super) struct Shown {
    pub(super) bot: BotConfig,
    /// Where the body is from, and what is in it.
    pub(super) from: String,
    pub(super) previews: Previews,
    /// What must be said besides.
    pub(super) notes: Vec<String>,
}

/// A body and its occasion.
struct Story {
    from: String,
    body: Notification,
    told: Option<Vec<Notification>>,
    now: Timestamp,
    digest: bool,
    form: Form,
}

impl<'a> Ask<'a> {
    /// Reads standard input if it is the payload.
    ///
    /// # Errors
    /// What no change of a file would mend.
    pub(super) fn new(args: &'a Render, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        if let Some(name) = &args.sample {
            samples::find(name).map_err(Failure::usage)?;
        }
        let stdin = args.payload.as_deref().filter(|file| is_stdin(file)).map(payload::bytes).transpose()?;
        Ok(Self { args, clock, stdin })
    }

    /// The webhook body itself.
    ///
    /// # Errors
    /// It can not be read.
    pub(super) fn payload(&self) -> Result<Cow<'static, [u8]>, Failure> {
        match (&self.stdin, &self.args.payload) {
            (Some((_, bytes)), _) => Ok(bytes.clone().into()),
            (None, Some(file)) => Ok(payload::bytes(file)?.1.into()),
            (None, None) => Ok(self.sample()?.bytes(self.args.lang.unwrap_or(Lang::Zh))),
        }
    }

    fn sample(&self) -> Result<&'static samples::Sample, Failure> {
        samples::find(self.args.sample.as_deref().unwrap_or(samples::DEFAULT)).map_err(Failure::usage)
    }

    /// Reads everything anew. Also says what was read, or would be if it were there.
    pub(super) fn look(&self) -> (Watched, Result<Look, Failure>) {
        let (mut watched, config) = self.config();
        let bodies = self.args.payload.iter().chain(&self.args.told);
        watched.files.extend(bodies.filter(|file| !is_stdin(file)).cloned());
        watched.globs.extend(self.args.templates.iter().cloned());
        (watched, config.and_then(|(config, url)| self.shown(config, &url)))
    }

    /// The config and the server's address.
    fn config(&self) -> (Watched, Result<(Config, String), Failure>) {
        let args = self.args;
        let url = args.external_url.as_ref().map(|url| url.0.as_ref().map_or("", |url| url.as_str()));
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        let refused = |mistakes: Vec<Mistake>| Failure { code: 2, text: config::report(&mistakes) };
        let given = args.config_file.as_deref().or(args.bot.is_some().then_some(Path::new(CONFIG)));
        let usual = Path::new(CONFIG);
        let wanted = given.or((!self.is_bare() && usual.exists()).then_some(usual));
        let Some(file) = wanted else {
            let mut watched = Watched::default();
            watched.files.extend((!self.is_bare()).then(|| PathBuf::from(CONFIG)));
            let config = bare::config(args.lang.unwrap_or(Lang::Zh), args.mention).map_err(refused);
            return (watched, config.map(|config| (config, url.unwrap_or_else(|| bare::EXTERNAL_URL.to_owned()))));
        };
        let (watched, loaded) = config::load_watched(file);
        (watched, loaded.map(|loaded| (loaded.config, url.unwrap_or_default())).map_err(refused))
    }

    /// Whether no config is looked for.
    fn is_bare(&self) -> bool {
        self.args.no_config || self.args.mention
    }

    fn shown(&self, mut config: Config, external_url: &str) -> Result<Look, Failure> {
        let mut bots = self.bots(&config)?;
        let odd = self.try_templates(&mut config, &mut bots)?;
        let settings = build::dispatch_settings(&config, external_url);
        let shown = bots.into_iter().map(|bot| self.of_bot(&settings, bot)).collect::<Result<Vec<_>, _>>()?;
        let failed = failed::mistakes(&shown, &config.template_files);
        Ok(Look { shown, odd, failed })
    }

    /// The bots that were asked for, as they were asked for.
    fn bots(&self, config: &Config) -> Result<Vec<BotConfig>, Failure> {
        let Render { bot: name, vendor, kind, lang, .. } = self.args;
        let mut bots = match name {
            Some(name) => vec![bot(config, name)?.clone()],
            None => config.bots.clone(),
        };
        bots.retain(|bot| vendor.is_none_or(|vendor| bot.kind == vendor));
        if let (true, Some(vendor)) = (bots.is_empty(), vendor) {
            let what = if name.is_some() { "this bot is not" } else { "the config has no bot" };
            return Err(Failure::usage(format!("{what} of type {}", vendor.as_str())));
        }
        if let Some(kind) = kind {
            let types: BTreeSet<&str> = bots.iter().map(|bot| bot.kind.as_str()).collect();
            bots.retain(|bot| Layout::of(bot.kind).contains(kind));
            if bots.is_empty() {
                let types: Vec<&str> = types.into_iter().collect();
                let what = format!("`{}` is no message type of {}", kind.as_str(), types.join(", "));
                return Err(Failure::usage(format!("{what}; {}", kinds())));
            }
        }
        for bot in &mut bots {
            bot.layout = kind.unwrap_or(bot.layout);
            bot.lang = lang.unwrap_or(bot.lang);
        }
        Ok(bots)
    }

    /// Puts the templates that are tried into the config, and has the bots use them. Says what is odd about them.
    fn try_templates(&self, config: &mut Config, bots: &mut Vec<BotConfig>) -> Result<Vec<Mistake>, Failure> {
        let files = self.template_files()?;
        let (tried, mistakes) = Templates::new(&files);
        if mistakes.iter().any(|mistake| !mistake.warning) {
            return Err(Failure { code: 2, text: config::report(&mistakes) });
        }
        let names: BTreeSet<String> = tried.sets().into_iter().map(|(_, set)| set).collect();
        let set = match (&self.args.template, names.first()) {
            (None, None) => return Ok(mistakes),
            (Some(set), _) => set.clone(),
            (None, Some(only)) if names.len() == 1 => only.clone(),
            (None, Some(_)) => {
                let names: Vec<String> = names.into_iter().collect();
                return Err(Failure::usage(format!(
                    "these are several sets; choose one: --template={}",
                    names.join("|")
                )));
            }
        };
        let tried: BTreeSet<String> = files.iter().map(|(path, _)| file_name(path).to_owned()).collect();
        config.template_files.retain(|(path, _)| !tried.contains(file_name(path)));
        config.template_files.extend(files);
        let all = Templates::new(&config.template_files).0;
        bots.retain(|bot| all.has_set(bot.kind, &set));
        if bots.is_empty() {
            let known: Vec<String> =
                all.sets().into_iter().map(|(kind, set)| format!("{set} ({})", kind.as_str())).collect();
            let known = if known.is_empty() { "only `default`".to_owned() } else { known.join(", ") };
            return Err(Failure::usage(format!("no such bot has a template set `{set}`; there is {known}")));
        }
        for bot in bots {
            bot.template.clone_from(&set);
        }
        for policy in config.routing.policies.iter_mut().chain(&mut config.routing.default_policy) {
            policy.template = None;
        }
        Ok(mistakes)
    }

    /// Path and source of what `--templates` names, each once.
    fn template_files(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut paths: BTreeSet<PathBuf> = BTreeSet::new();
        for pattern in &self.args.templates {
            let found = glob::glob(pattern).map_err(|error| Failure::usage(format!("{pattern}: {}", error.msg)))?;
            let found: Vec<PathBuf> =
                found.flatten().filter(|path| !path.is_dir()).take(MAX_FILES.saturating_sub(paths.len())).collect();
            if found.is_empty() {
                return Err(Failure::usage(format!("{pattern}: there is no such template file")));
            }
            paths.extend(found);
        }
        let read = |path: PathBuf| {
            let name = path.display().to_string();
            let large = std::fs::metadata(&path).is_ok_and(|file| file.len() > MAX_SOURCE || !file.is_file());
            if large {
                return Err(Failure::usage(format!("{name}: it is too large for a template")));
            }
            let source = std::fs::read_to_string(&path);
            source.map(|source| (name.clone(), source)).map_err(|error| Failure::usage(format!("{name}: {error}")))
        };
        paths.into_iter().map(read).collect()
    }

    fn of_bot(&self, settings: &Settings, bot: BotConfig) -> Result<Shown, Failure> {
        let Story { from, body, told, now, digest, form } = self.story(bot.lang)?;
        let id = MessageId::from_bytes([0; 16]);
        let occasion = Occasion { told: told.as_deref(), digest, form };
        let previews = preview_on(&occasion, settings, &bot, body, now, || id.clone());
        let notes = super::notes(&previews, (!digest).then_some(settings.storms.threshold));
        Ok(Shown { bot, from, previews, notes })
    }

    fn story(&self, lang: Lang) -> Result<Story, Failure> {
        let Render { told, digest, form, at, .. } = self.args;
        let told = told.iter().map(|file| payload::read(file)).collect::<Result<Vec<_>, _>>()?;
        let told = (!told.is_empty()).then_some(told);
        let form = form.unwrap_or(Form::Full);
        let mut story = match (&self.stdin, &self.args.payload) {
            (Some((name, bytes)), _) => self.read(name, payload::of_bytes(name, bytes)?),
            (None, Some(file)) => self.read(&file.display().to_string(), payload::read(file)?),
            (None, None) => {
                let sample = self.sample()?;
                let body = sample.read(lang).map_err(Failure::runtime)?;
                let from = super::counted(&format!("sample `{}` ({})", sample.name, sample.title), &body);
                let told = sample.told(lang).map_err(Failure::runtime)?;
                Story { from, told, now: sample.now(&body), digest: sample.digest, form: sample.form, body }
            }
        };
        story.told = told.or(story.told);
        story.digest |= digest;
        story.form = story.form.max(form);
        story.now = at.unwrap_or(story.now);
        Ok(story)
    }

    fn read(&self, name: &str, body: Notification) -> Story {
        let from = super::counted(name, &body);
        Story { from, body, told: None, now: self.clock.now(), digest: false, form: Form::Full }
    }
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == payload::STDIN
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Which message types each vendor has.
fn kinds() -> String {
    let of = |kind: &BotKind| {
        let layouts: Vec<&str> = Layout::of(*kind).iter().map(|layout| layout.as_str()).collect();
        format!("{} has {}", kind.as_str(), layouts.join(", "))
    };
    BotKind::ALL.iter().map(of).collect::<Vec<_>>().join("; ")
}
