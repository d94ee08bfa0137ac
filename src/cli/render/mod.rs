//! `render`: what would be sent.

mod ask;
mod failed;
mod flags;
mod json;
#[cfg(test)]
mod tests;
mod text;
mod watch;

use std::io::{self, IsTerminal as _};

use self::ask::{Ask, Look};
pub use self::flags::{Output, Render};
use super::{Failure, plural, runtime, samples, say, warn};
use crate::clock::SystemClock;
use crate::config;
use crate::dispatch::Previews;
use crate::model::{Notification, Status};

pub(super) fn run(args: &Render) -> Result<(), Failure> {
    if args.list_samples {
        return say(&list());
    }
    let ask = Ask::new(args, SystemClock::new())?;
    if args.output == Output::Payload {
        return say(&String::from_utf8_lossy(&ask.payload()?));
    }
    if args.watch {
        return follow(&ask);
    }
    let look = ask.look().1?;
    say(&written(&look, args.output))?;
    let text = failed(&look);
    if look.failed.is_empty() {
        warn(&text);
        return Ok(());
    }
    Err(Failure { code: 1, text })
}

/// Renders until Ctrl-C.
fn follow(ask: &Ask<'_>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let _inside = runtime.enter();
    let mut stop = Box::pin(super::stopped());
    let changed = |watched: &config::Watched, seen: &str| runtime.block_on(watch::changed(watched, seen, &mut stop));
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let clear = out.is_terminal();
    watch::watch(ask, &mut out, &mut err, clear, changed);
    Ok(())
}

/// What goes to standard output.
fn written(look: &Look, output: Output) -> String {
    match output {
        Output::Brief => text::brief(&look.shown),
        Output::Json => json::document(&look.shown),
        Output::Text | Output::Payload => text::full(&look.shown),
    }
}

/// What goes to standard error: what is odd about templates, and those that failed; often empty.
fn failed(look: &Look) -> String {
    if look.failed.is_empty() {
        return config::report(&look.odd);
    }
    let noun = if look.failed.len() == 1 { "template" } else { "templates" };
    format!("{}\nerror: {} {noun} failed\n", config::report(&[&look.odd[..], &look.failed].concat()), look.failed.len())
}

/// The samples, for people.
fn list() -> String {
    let wide = samples::ALL.iter().map(|sample| sample.name.len()).max().unwrap_or(0);
    samples::ALL.iter().map(|sample| format!("{:wide$}  {}\n", sample.name, sample.title)).collect()
}

/// `firing.json: 3 alerts, 1 resolved`.
fn counted(name: &str, body: &Notification) -> String {
    let resolved = body.alerts.iter().filter(|alert| alert.status == Status::Resolved).count();
    let resolved = if resolved == 0 { String::new() } else { format!(", {resolved} resolved") };
    format!("{name}: {}{resolved}", plural(body.alerts.len(), "alert"))
}

/// What must be said of alerts that are in no message, and of messages that would be a digest: more of them than the
/// `threshold`, when there is one.
pub(super) fn notes(previews: &Previews, threshold: Option<usize>) -> Vec<String> {
    let mut notes = Vec::new();
    if previews.direct {
        notes.push("no policy leads these alerts to this bot; shown as sent to its own webhook address".to_owned());
    }
    if previews.elsewhere > 0 {
        notes.push(format!("the policies lead {} elsewhere", plural(previews.elsewhere, "alert")));
    }
    if previews.silent > 0 {
        notes.push(format!("{} would not be told (send_resolved: false)", plural(previews.silent, "resolved alert")));
    }
    if previews.repeats > 0 {
        notes.push(format!("{} would not be told again", plural(previews.repeats, "alert")));
    }
    if threshold.is_some_and(|threshold| previews.messages.len() > threshold) {
        let groups = previews.messages.len();
        notes.push(format!("{groups} groups at once are a storm: they would leave as a digest, see --digest"));
    }
    notes
}

/// [`notes`] as lines.
pub(super) fn remarks(notes: &[String]) -> String {
    notes.iter().map(|note| format!("note      {note}\n")).collect()
}
