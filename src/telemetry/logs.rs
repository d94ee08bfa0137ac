//! Logs on standard error, one line per event, in logfmt or JSON, as Prometheus' own tools write them:
//! `ts=2026-11-21T01:02:03.004Z level=info msg="..." key=value`. Every value goes through [`redact`].

use std::fmt::{self, Write as _};
use std::io;
use std::str::FromStr;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use super::redact;

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// `key=value`
    #[default]
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// The word is neither `logfmt` nor `json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("log formats are logfmt and json")]
pub struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        match word {
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err(FormatError),
        }
    }
}

/// The word is none of `debug`, `info`, `warn` and `error`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("log levels are debug, info, warn and error")]
pub struct LevelError;

/// Reads a level's name.
///
/// # Errors
/// It is no level.
pub fn level(word: &str) -> Result<Level, LevelError> {
    match word {
        "debug" => Ok(Level::DEBUG),
        "info" => Ok(Level::INFO),
        "warn" => Ok(Level::WARN),
        "error" => Ok(Level::ERROR),
        _ => Err(LevelError),
    }
}

/// Starts logging to standard error. Panics outside of requests are logged too. Does nothing when logging was started.
///
/// # Errors
/// `level_name` is no level.
pub fn init(level_name: &str, format: Format) -> Result<(), LevelError> {
    let subscriber = subscriber(level(level_name)?, format, io::stderr);
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let text = panic.payload().downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.payload().downcast_ref::<String>().map(String::as_str));
            tracing::error!(panic = text.unwrap_or("no message"), place, "a defect");
        }));
    }
    Ok(())
}

fn subscriber<W>(level: Level, format: Format, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // What libraries say at their lower levels is noise here, and may hold what they send.
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("alarmbell", level);
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).event_format(Line(format)).with_writer(writer);
    tracing_subscriber::registry().with(ours).with(layer)
}

/// Writes one event. Spans are not shown: what an event is about belongs into its fields.
struct Line(Format);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = event.metadata().level();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = Timestamp::now();
        let head = [
            ("ts".to_owned(), Value::Text(format!("{now:.3}"))),
            ("level".to_owned(), Value::Text(level.as_str().to_lowercase())),
            ("msg".to_owned(), Value::Text(fields.message)),
        ];
        let all = head.into_iter().chain(fields.others);
        let mut line = String::new();
        match self.0 {
            Format::Logfmt => {
                for (name, value) in all {
                    let space = if line.is_empty() { "" } else { " " };
                    write!(line, "{space}{name}={}", value.logfmt())?;
                }
            }
            Format::Json => {
                for (name, value) in all {
                    let comma = if line.is_empty() { '{' } else { ',' };
                    write!(line, "{comma}{}:{}", serde_json::Value::from(name), value.json())?;
                }
                line.push('}');
            }
        }
        writeln!(writer, "{line}")
    }
}

enum Value {
    /// Already redacted.
    Text(String),
    /// A number or a truth value: the same in both formats.
    Plain(String),
}

impl Value {
    fn logfmt(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => {
                let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
                if !text.is_empty() && text.chars().all(plain) { text.clone() } else { quoted(text) }
            }
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => quoted(text),
        }
    }
}

/// In quotes, so that no value can begin a new line, or steer a terminal.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Controls and the characters that turn the writing direction.
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                // Writing to a String can not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        // `type` and the like are written r#type.
        let name = field.name().trim_start_matches("r#");
        match value {
            Value::Text(text) if name == "message" => self.message = text,
            value => self.others.push((name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN.
        let plain = value.is_finite();
        self.add(field, if plain { Value::Plain(value.to_string()) } else { Value::Text(value.to_string()) });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(redact(value)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                let _ = write!(text, ": {cause_text}");
            }
            source = cause.source();
        }
        self.add(field, Value::Text(redact(&text)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Text(redact(&format!("{value:?}"))));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: Level, events: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        tracing::subscriber::with_default(subscriber(level, format, move || writer.clone()), events);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn some_events() {
        let error = io::Error::other("for url (https://h/robot/send?access_token=abc123)");
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::info!(bot = "ops", waiting = 3, share = 0.5, ok = true, empty = "", "told: {}", "a b");
        tracing::warn!(error, text = "x=\"1\"\nlevel=error \u{1b}[31m", "failed");
        tracing::error!(secret = ?"SEC0123456789abcdef0123", r#type = %"wecom", "key=abc");
        tracing::debug!("quiet");
        tracing::info!(target: "hyper::proto", "noise");
        tracing::warn!(target: "hyper::proto", "worth it");
    }

    #[test]
    fn logfmt_lines() {
        let text = logged(Format::Logfmt, Level::INFO, some_events);
        let lines: Vec<&str> = text.lines().collect();
        let (ts, first) = lines[0].split_once(' ').unwrap();
        let time = ts.strip_prefix("ts=").unwrap();
        assert!(time.ends_with('Z') && time.len() == 24 && time.parse::<Timestamp>().is_ok(), "{time}");
        assert_eq!(first, r#"level=info msg="told: a b" bot=ops waiting=3 share=0.5 ok=true empty="""#);
        let rest = |n: usize| lines[n].split_once(' ').unwrap().1.to_owned();
        assert_eq!(
            rest(1),
            r#"level=warn msg=failed error="for url (https://h/robot/send?access_token=<redacted>)" text="x=\"1\"\nlevel=error \u001b[31m""#
        );
        assert_eq!(rest(2), r#"level=error msg="key=<redacted>" secret="\"<redacted>\"" type=wecom"#);
        assert_eq!(rest(3), r#"level=warn msg="worth it""#);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn json_lines() {
        let text = logged(Format::Json, Level::DEBUG, some_events);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0]["msg"], "told: a b");
        assert_eq!(lines[0]["waiting"], 3);
        assert_eq!(lines[0]["ok"], true);
        assert_eq!(lines[1]["text"], "x=\"1\"\nlevel=error \u{1b}[31m");
        assert_eq!(lines[3]["level"], "debug");
        assert!(!text.contains("abc123") && !text.contains("SEC0123"));
    }

    #[test]
    fn levels_and_formats() {
        assert_eq!(logged(Format::Logfmt, Level::ERROR, some_events).lines().count(), 2);
        assert_eq!(level("trace"), Err(LevelError));
        assert_eq!("json".parse(), Ok(Format::Json));
        assert_eq!("JSON".parse::<Format>(), Err(FormatError));
    }
}
