//! The command line as clap reads it.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use url::Url;

use super::database::{self, Database};
use super::migrate::Migrate;
use super::render::Render;
use crate::app;
use crate::config;
use crate::model::Secret;

/// The bridge from Prometheus Alertmanager to the group chats of DingTalk, WeCom and Feishu/Lark.
///
/// Without a command it serves. Exit codes: 0, 1 (it failed), 2 (wrong command line or config).
#[derive(Parser, Clone, Debug)]
#[command(name = "alarmbell", version = version(), args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; nothing: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `serve`, without the word.
    #[command(flatten)]
    pub serve: Serve,
}

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Take webhooks and tell the chats (the default)
    Serve(Box<Serve>),
    /// Everything on this machine: robots to look at, a server, sample alerts
    Demo(Demo),
    /// Strict imitations of the three vendors' robots, and a page that shows their chats
    Sandbox(Sandbox),
    /// Name every mistake in config files, with its place and a hint
    CheckConfig(CheckConfig),
    /// Ask where alerts go
    #[command(subcommand)]
    Routes(Routes),
    /// Show what would be sent, and its size; sends nothing
    ///
    /// Without a config it shows a built-in sample for each vendor: alarmbell render --sample=one. Exit code 1 when a template
    /// failed.
    Render(Box<Render>),
    /// Send one test message, and say what the robot said
    Send(Send),
    /// Move a store between engines
    #[command(subcommand)]
    Storage(Storage),
    /// Take over the config of another bridge
    #[command(subcommand)]
    Migrate(Migrate),
}

/// `storage`.
#[derive(Subcommand, Clone, Debug)]
pub enum Storage {
    /// Copy a whole store into an empty one, from SQLite to PostgreSQL, back, or between two of a kind
    ///
    /// No server may use either. The source stays as it is. A copy that was interrupted goes on when the same command is
    /// given again.
    Copy(StorageCopy),
}

/// Flags of `storage copy`.
#[derive(Args, Clone, Debug)]
pub struct StorageCopy {
    /// The store to copy: the folder of a SQLite store (a server's --storage.path), or a URL like --storage.url
    #[arg(long, value_name = "DIR|URL", value_parser = database::secret, required_unless_present = "from_url_file")]
    pub from: Option<Secret>,
    /// File that holds the URL of --from
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub from_url_file: Option<PathBuf>,
    /// Where to copy it: a folder or a URL, without a store or with this copy's unfinished one
    #[arg(long, value_name = "DIR|URL", value_parser = database::secret, required_unless_present = "to_url_file")]
    pub to: Option<Secret>,
    /// File that holds the URL of --to
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub to_url_file: Option<PathBuf>,
}

/// `routes`.
#[derive(Subcommand, Clone, Debug)]
pub enum Routes {
    /// Where an alert with these labels would go, and why
    Test(RoutesTest),
}

/// Flags of `serve`.
#[derive(Args, Clone, Debug)]
pub struct Serve {
    /// The config
    #[arg(long = "config.file", value_name = "FILE", default_value = "alarmbell.yml")]
    pub config_file: PathBuf,
    /// How often config, templates and secret files are looked at for changes; 0 for never
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub reload_interval: Duration,
    /// Folder of the store
    #[arg(long = "storage.path", value_name = "DIR", default_value = "data/")]
    pub storage_path: PathBuf,
    /// The database instead
    #[command(flatten)]
    pub database: Database,
    /// How long messages and dead letters are kept
    #[arg(long = "storage.retention.time", value_name = "DURATION", default_value = "30d", value_parser = retention)]
    pub retention: Duration,
    /// Where to listen; port 0 picks one
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":8060", value_parser = address)]
    pub listen: String,
    /// Users and passwords, in the format of Prometheus' web config
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
    /// Where people reach this server; links in messages begin with it
    #[arg(long = "web.external-url", value_name = "URL", default_value = "", hide_default_value = true, value_parser = external_url)]
    pub external_url: ExternalUrl,
    /// Path before all of the server's own; by default the one of the external URL
    #[arg(long = "web.route-prefix", value_name = "PATH", default_value = "", hide_default_value = true)]
    pub route_prefix: String,
    /// Allow POST /-/reload
    #[arg(long = "web.enable-lifecycle")]
    pub lifecycle: bool,
    /// Allow replaying and deleting dead letters
    #[arg(long = "web.enable-admin-api")]
    pub admin: bool,
    /// How much is logged
    #[arg(long = "log.level", value_name = "LEVEL", default_value = "info", value_parser = ["debug", "info", "warn", "error"])]
    pub log_level: String,
    /// How log lines look
    #[arg(long = "log.format", value_name = "FORMAT", default_value = "logfmt", value_parser = ["logfmt", "json"])]
    pub log_format: String,
}

impl Serve {
    /// What the server needs of them, and the database's URL.
    pub fn options(&self, storage_url: Option<Secret>) -> app::Options {
        app::Options {
            config_file: self.config_file.clone(),
            reload_interval: self.reload_interval,
            storage_path: self.storage_path.clone(),
            storage_url,
            retention: self.retention,
            listen: self.listen.clone(),
            web_config_file: self.web_config_file.clone(),
            external_url: self.external_url.0.clone(),
            route_prefix: self.route_prefix.clone(),
            lifecycle: self.lifecycle,
            admin: self.admin,
        }
    }
}

/// Flags of `demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Where the server listens; port 0 picks one
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:8060", value_parser = address)]
    pub listen: String,
    /// End when the last sample alert has been told.
    #[arg(long, hide = true)]
    pub exit_after_samples: bool,
    /// Pauses between the samples are divided by this.
    #[arg(long, hide = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub speed: u32,
}

/// Flags of `sandbox`.
#[derive(Args, Clone, Debug)]
pub struct Sandbox {
    /// Where the robots and the page are; port 0 picks one
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = "127.0.0.1:8061", value_parser = address)]
    pub listen: String,
}

/// Arguments of `check-config`.
#[derive(Args, Clone, Debug)]
pub struct CheckConfig {
    /// Config files
    #[arg(value_name = "FILE", required_unless_present = "web_config_file")]
    pub files: Vec<PathBuf>,
    /// Check this web config too
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
}

/// Arguments of `routes test`.
#[derive(Args, Clone, Debug)]
pub struct RoutesTest {
    /// The config
    #[arg(long = "config.file", value_name = "FILE", default_value = "alarmbell.yml")]
    pub config_file: PathBuf,
    /// When the alert fires, as 2026-11-21T09:00:00+08:00; now by default
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub at: Option<Timestamp>,
    /// The alert's labels, as severity=critical team=db
    #[arg(value_name = "LABEL=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
}

/// Flags of `send`.
#[derive(Args, Clone, Debug)]
pub struct Send {
    /// The config
    #[arg(long = "config.file", value_name = "FILE", default_value = "alarmbell.yml")]
    pub config_file: PathBuf,
    /// The bot
    #[arg(long, value_name = "NAME")]
    pub bot: String,
    /// Which robot of a pool, from 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub robot: u32,
    /// Send what this webhook body would be instead of a test text; the people it mentions are called
    #[arg(long, value_name = "FILE")]
    pub payload: Option<PathBuf>,
    /// Folder of the server's store: the message is paced together with the server's
    #[arg(long = "storage.path", value_name = "DIR", default_value = "data/")]
    pub storage_path: PathBuf,
    /// The servers' database instead
    #[command(flatten)]
    pub database: Database,
}

/// `--web.external-url`, which may be given and empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExternalUrl(pub Option<Url>);

/// Version and revision.
pub(super) fn version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let revision = option_env!("ALARMBELL_REVISION").unwrap_or("unknown");
        format!("{} (revision {revision})", env!("CARGO_PKG_VERSION"))
    });
    &TEXT
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
}

fn retention(text: &str) -> Result<Duration, String> {
    match config::duration(text)? {
        Duration::ZERO => Err("what has just been told must be kept for some time".to_owned()),
        time => Ok(time),
    }
}

fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| text.to_owned()).ok_or_else(|| "expected HOST:PORT or :PORT".to_owned())
}

pub(super) fn external_url(text: &str) -> Result<ExternalUrl, String> {
    if text.is_empty() {
        return Ok(ExternalUrl(None));
    }
    let hint = "expected something like https://alarmbell.example.com/";
    let url = Url::parse(text).map_err(|error| format!("{error}; {hint}"))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if !plain || url.host_str().is_none_or(str::is_empty) {
        return Err(hint.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it stands in messages, so it can not hold a password".to_owned());
    }
    Ok(ExternalUrl(Some(url)))
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "not an RFC 3339 time like 2026-11-21T09:00:00+08:00".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is written name=value, as in severity=critical".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["alarmbell"].iter().chain(args))
    }

    #[test]
    fn the_definition_is_sound() {
        let command = <Cli as clap::CommandFactory>::command();
        command.clone().debug_assert();
        assert!(command.render_version().contains("revision"));
    }

    #[test]
    fn serve_is_the_default_and_its_defaults_are_the_contracts() {
        let cli = parse(&[]).unwrap();
        assert!(cli.command.is_none());
        let options = cli.serve.options(None);
        assert_eq!(options.config_file, PathBuf::from("alarmbell.yml"));
        assert_eq!(options.reload_interval, Duration::from_secs(30));
        assert_eq!(options.storage_path, PathBuf::from("data/"));
        assert_eq!(options.retention, Duration::from_secs(30 * 86_400));
        assert_eq!(options.listen, ":8060");
        assert_eq!((options.web_config_file, options.external_url), (None, None));
        assert_eq!((options.route_prefix.as_str(), options.lifecycle, options.admin), ("", false, false));
        assert_eq!((cli.serve.log_level.as_str(), cli.serve.log_format.as_str()), ("info", "logfmt"));
    }

    #[test]
    fn every_flag_of_serve_with_and_without_the_word() {
        let flags = [
            "--config.file=a.yml",
            "--config.auto-reload-interval=0",
            "--storage.path=/var/lib/alarmbell",
            "--storage.retention.time=1h30m",
            "--web.listen-address=[::1]:0",
            "--web.config.file=web.yml",
            "--web.external-url=https://bell.example.com/x/",
            "--web.route-prefix=/x",
            "--web.enable-lifecycle",
            "--web.enable-admin-api",
            "--log.level=debug",
            "--log.format=json",
        ];
        let bare = parse(&flags).unwrap().serve;
        let Some(Command::Serve(named)) = parse(&[&["serve"], flags.as_slice()].concat()).unwrap().command else {
            panic!("not serve")
        };
        for serve in [bare, *named] {
            let options = serve.options(None);
            assert_eq!(options.config_file, PathBuf::from("a.yml"));
            assert_eq!(options.reload_interval, Duration::ZERO);
            assert_eq!(options.storage_path, PathBuf::from("/var/lib/alarmbell"));
            assert_eq!(options.retention, Duration::from_secs(5_400));
            assert_eq!(options.listen, "[::1]:0");
            assert_eq!(options.web_config_file, Some(PathBuf::from("web.yml")));
            assert_eq!(options.external_url.unwrap().as_str(), "https://bell.example.com/x/");
            assert_eq!((options.route_prefix.as_str(), options.lifecycle, options.admin), ("/x", true, true));
            assert_eq!((serve.log_level.as_str(), serve.log_format.as_str()), ("debug", "json"));
        }
    }

    #[test]
    fn commands() {
        let command = |args: &[&str]| parse(args).unwrap().command.unwrap();
        let Command::Routes(Routes::Test(test)) =
            command(&["routes", "test", "--config.file=f", "--at=2026-11-21T09:00:00+08:00", "a=b", "c==d", "e="])
        else {
            panic!("not routes test")
        };
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(test.labels, [label("a", "b"), label("c", "=d"), label("e", "")]);
        assert_eq!(test.at.unwrap().to_string(), "2026-11-21T01:00:00Z");
        assert!(matches!(command(&["check-config", "a", "b"]), Command::CheckConfig(args) if args.files.len() == 2));
        assert!(
            matches!(command(&["demo"]), Command::Demo(flags) if flags.listen == "127.0.0.1:8060" && flags.speed == 1)
        );
        assert!(matches!(command(&["sandbox"]), Command::Sandbox(flags) if flags.listen == "127.0.0.1:8061"));
        assert!(matches!(command(&["render", "--bot=b", "--digest"]), Command::Render(args) if args.digest));
        assert!(matches!(command(&["send", "--bot=b"]), Command::Send(args) if args.robot == 1));
        let Command::Storage(Storage::Copy(copy)) = command(&["storage", "copy", "--from=data", "--to-url-file=f"])
        else {
            panic!("not storage copy")
        };
        assert_eq!(copy.from.unwrap().expose(), "data");
        assert_eq!((copy.to, copy.to_url_file), (None, Some(PathBuf::from("f"))));
    }

    #[test]
    fn what_can_not_be_is_a_usage_error() {
        for (args, why) in [
            (vec!["--nonsense"], "unexpected argument"),
            (vec!["nonsense"], "unrecognized subcommand"),
            (vec!["--config.file=x", "demo"], "cannot be used with"),
            (vec!["--config.file=x", "--config.file=y"], "multiple times"),
            (vec!["--config.auto-reload-interval=5"], "a duration needs a unit"),
            (vec!["--config.auto-reload-interval=-1s"], "negative"),
            (vec!["--storage.retention.time=soon"], "not a duration"),
            (vec!["--storage.retention.time=0s"], "kept for some time"),
            (vec!["--storage.url=postgres://MARK", "--storage.url-file=f"], "cannot be used with"),
            (vec!["send", "--bot=b", "--storage.url=postgres://MARK", "--storage.url-file=f"], "cannot be used with"),
            (vec!["--storage.url=postgres://MARK", "--storage.url=postgres://MARK"], "multiple times"),
            (vec!["storage"], "storage"),
            (vec!["storage", "copy"], "--from"),
            (vec!["storage", "copy", "--from=data"], "--to"),
            (vec!["storage", "copy", "--from=postgres://MARK", "--from-url-file=f", "--to=x"], "cannot be used with"),
            (vec!["--web.listen-address=8060"], "HOST:PORT"),
            (vec!["--web.listen-address=:99999"], "HOST:PORT"),
            (vec!["--web.external-url=bell.example.com"], "https://alarmbell.example.com/"),
            (vec!["--web.external-url=ftp://bell"], "https://alarmbell.example.com/"),
            (vec!["--web.external-url=http://u:p@bell"], "password"),
            (vec!["--log.level=loud"], "possible values: debug, info, warn, error"),
            (vec!["--log.format=xml"], "possible values: logfmt, json"),
            (vec!["check-config"], "required"),
            (vec!["routes"], "routes"),
            (vec!["routes", "test", "severity"], "name=value"),
            (vec!["routes", "test", "=x"], "name=value"),
            (vec!["routes", "test", "--at=today"], "RFC 3339"),
            (vec!["render", "--payload=a", "--sample=b"], "cannot be used with"),
            (vec!["render", "--kind=cards"], "template_card"),
            (vec!["send", "--bot=x", "--robot=0"], "0 is not in"),
        ] {
            let error = parse(&args).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{args:?}");
            assert!(error.to_string().contains(why), "{args:?}: {error}");
            assert!(!error.to_string().contains("MARK"), "{error}");
        }
        for fine in ["--help", "--version"] {
            assert_eq!(parse(&[fine]).unwrap_err().exit_code(), 0);
        }
        assert!(parse(&["--web.external-url="]).unwrap().serve.external_url.0.is_none());
    }
}
