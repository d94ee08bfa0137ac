//! The command line: one file per command. Results go to standard output, mistakes and logs to standard error.

mod args;
mod bare;
mod check_config;
mod database;
mod demo;
mod migrate;
mod payload;
mod playground;
mod render;
mod routes;
mod samples;
mod sandbox;
mod send;
mod serve;
mod storage;
#[cfg(test)]
mod testing;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use clap::Parser as _;

use crate::app::AppError;
use crate::config::{self, Config};
use crate::dispatch::BotConfig;
use crate::telemetry;

pub use args::{Cli, Command, Routes, Storage};
pub use migrate::{Migrate, MigrateDingTalk};
pub use render::{Output, Render};

/// Threads for blocking work (reading files, large bodies, password hashes), at most; further work waits.
const BLOCKING_THREADS: usize = 64;

/// Why a command did not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The process's exit code: 1 for a failure, 2 for a wrong command line or config.
    pub code: u8,
    /// What to say on standard error; empty when everything has been said.
    pub text: String,
}

impl Failure {
    fn usage(why: impl fmt::Display) -> Self {
        Self { code: 2, text: format!("error: {why}\n") }
    }

    fn runtime(why: impl fmt::Display) -> Self {
        Self { code: 1, text: format!("error: {why}\n") }
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        let text = match &error {
            AppError::Config(mistakes) => config::report(mistakes),
            other => format!("error: {other}\n"),
        };
        Self { code: error.exit_code(), text }
    }
}

/// Runs the program. The exit code is that of [`Failure`]; `--help` and `--version` are successes.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // Nobody is left to tell when the terminal is gone.
        Err(error) if error.exit_code() == 0 => {
            let _ = error.print();
            return 0;
        }
        Err(error) => {
            // It quotes what was typed.
            warn(&telemetry::redact(&error.to_string()));
            return 2;
        }
    };
    match run(cli) {
        Ok(()) => 0,
        Err(Failure { code, text }) => {
            warn(&text);
            code
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // Fails only when a provider was installed before, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.command {
        None => serve::run(&cli.serve),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::CheckConfig(args)) => check_config::run(&args),
        Some(Command::Routes(Routes::Test(args))) => routes::test(&args),
        Some(Command::Render(args)) => render::run(&args),
        Some(Command::Send(args)) => send::run(&args),
        Some(Command::Storage(Storage::Copy(args))) => storage::copy(&args),
        Some(Command::Migrate(Migrate::PrometheusWebhookDingtalk(args))) => migrate::dingtalk(&args),
        Some(Command::Sandbox(flags)) => sandbox::run(&flags),
        Some(Command::Demo(flags)) => demo::run(&flags),
    }
}

/// Reads a config of which only the mistakes matter.
fn load(file: &Path) -> Result<Config, Failure> {
    match config::load(file) {
        Ok(loaded) => Ok(loaded.config),
        Err(mistakes) => Err(Failure { code: 2, text: config::report(&mistakes) }),
    }
}

fn bot<'a>(config: &'a Config, name: &str) -> Result<&'a BotConfig, Failure> {
    if let Some(bot) = config.bots.iter().find(|bot| *bot.name == *name) {
        return Ok(bot);
    }
    let near = |bot: &&BotConfig| strsim::damerau_levenshtein(&bot.name, name);
    let hint = match config.bots.iter().min_by_key(near).filter(|bot| near(bot) <= 3) {
        Some(nearest) => format!("did you mean `{}`?", nearest.name),
        None => {
            let names: Vec<&str> = config.bots.iter().take(20).map(|bot| &*bot.name).collect();
            format!("bots are {}", names.join(", "))
        }
    };
    Err(Failure::usage(format!("there is no bot `{name}`; {hint}")))
}

/// `1 bot`, `2 bots`, `2 policies`.
fn plural(count: usize, what: &str) -> String {
    match (count, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {what}s"),
    }
}

/// Writes to standard error; when that is gone nobody is left to tell.
fn warn(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes to standard output. A reader that has gone away (`| head`) is no failure.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::runtime(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::runtime(format!("no threads to run on: {error}")))
}

/// Completes at Ctrl-C, at a polite kill, and when the terminal is closed.
async fn stopped() {
    #[cfg(unix)]
    {
        use std::task::Poll;

        use tokio::signal::unix::{SignalKind, signal};
        let mut signals: Vec<_> = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
            .into_iter()
            .filter_map(|kind| signal(kind).ok())
            .collect();
        let any = std::future::poll_fn(|context| {
            // Every one is asked, so that every one wakes this up.
            let ready = signals.iter_mut().map(|signal| signal.poll_recv(context)).filter(Poll::is_ready).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        any.await;
    }
    #[cfg(not(unix))]
    {
        // Without a handler the system ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
    }
}
