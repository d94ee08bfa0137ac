//! `storage copy`: moves a store between engines.

use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::args::StorageCopy;
use super::database::{EXPOSED, from_file, from_line, is_url};
use super::{Failure, plural, runtime, say, stopped, warn};
use crate::clock::{Clock as _, SystemClock};
use crate::model::Secret;
use crate::store::copy::{self, CopyError, Order, Place, Report, Step};

/// How often a terminal sees how far it is.
const REDRAW: Duration = Duration::from_millis(200);
/// How often a log does.
const LINE: Duration = Duration::from_secs(5);
/// Characters of the bar.
const BAR: usize = 30;

pub(super) fn copy(args: &StorageCopy) -> Result<(), Failure> {
    let from = place("--from", args.from.as_ref(), args.from_url_file.as_ref())?;
    let to = place("--to", args.to.as_ref(), args.to_url_file.as_ref())?;
    if from.exposed || to.exposed {
        warn(&format!("warning: {EXPOSED} (--from-url-file, --to-url-file)\n"));
    }
    say(&format!("from      {}\nto        {}\n", name(&from.place), name(&to.place)))?;
    let order = Order::new(from.place, to.place, SystemClock::new().now_ms());
    let stop = Arc::new(AtomicBool::new(false));
    let mut shown = Shown::new(io::stderr().is_terminal());
    let copied = runtime()?.block_on(async {
        let (asked, now) = (Arc::clone(&stop), Arc::new(Notify::new()));
        let at_once = Arc::clone(&now);
        tokio::spawn(async move {
            stopped().await;
            asked.store(true, Ordering::Relaxed);
            // The second time somebody does not want to wait for the database any more.
            stopped().await;
            at_once.notify_one();
        });
        let mut watch = |step: Step| {
            shown.at(Instant::now(), step);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        tokio::select! {
            copied = copy::copy(&order, &mut watch) => copied,
            () = now.notified() => Err(CopyError::Stopped),
        }
    });
    shown.end();
    say(&result(&copied.map_err(Failure::runtime)?, &order.to))
}

struct Given {
    place: Place,
    exposed: bool,
}

fn place(flag: &str, text: Option<&Secret>, file: Option<&PathBuf>) -> Result<Given, Failure> {
    let database = |given: super::database::Given| Given { place: Place::Database(given.url), exposed: given.exposed };
    match (text, file) {
        (_, Some(file)) => from_file(&format!("{flag}-url-file"), file).map(database),
        (Some(text), None) if is_url(text.expose()) => from_line(flag, text).map(database),
        (Some(text), None) if !text.expose().is_empty() => {
            Ok(Given { place: Place::Folder(text.expose().into()), exposed: false })
        }
        _ => Err(Failure::usage(format!("{flag} is the folder of a store, or the URL of a database"))),
    }
}

fn name(place: &Place) -> String {
    match place {
        Place::Folder(path) => format!("SQLite in {}", path.display()),
        Place::Database(_) => "PostgreSQL".to_owned(),
    }
}

/// What people see on the way.
struct Shown {
    terminal: bool,
    began: Option<(Instant, u64)>,
    last: Option<Instant>,
    /// Whether a line stands there that has no end yet.
    open: bool,
}

impl Shown {
    const fn new(terminal: bool) -> Self {
        Self { terminal, began: None, last: None, open: false }
    }

    fn at(&mut self, now: Instant, step: Step) {
        let (began, first) = *self.began.get_or_insert((now, step.all_done));
        let pause = if self.terminal { REDRAW } else { LINE };
        let whole = step.all_done >= step.all_rows;
        if !whole && self.last.is_some_and(|last| now.duration_since(last) < pause) {
            return;
        }
        self.last = Some(now);
        let left = left(now.duration_since(began), step.all_done - first, step.all_rows.saturating_sub(step.all_done));
        if self.terminal {
            // Back to the line's begin, and what stood there goes.
            warn(&format!("\r{}\u{1b}[K", line(&step, left, true)));
            self.open = true;
        } else {
            warn(&format!("{}\n", line(&step, left, false)));
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.open) {
            warn("\n");
        }
    }
}

/// How long so many more rows take, when so many took so long.
fn left(time: Duration, done: u64, rows: u64) -> Option<Duration> {
    let enough = time >= Duration::from_secs(1) && done > 0;
    enough.then(|| Duration::from_secs_f64(time.as_secs_f64() * rows as f64 / done as f64))
}

fn line(step: &Step, left: Option<Duration>, bar: bool) -> String {
    let part = if step.all_rows == 0 { 1.0 } else { (step.all_done as f64 / step.all_rows as f64).min(1.0) };
    let drawn = if bar {
        let full = (part * BAR as f64) as usize;
        format!("[{}{}] ", "#".repeat(full), "-".repeat(BAR - full))
    } else {
        "copying   ".to_owned()
    };
    let left = left.map_or_else(String::new, |time| {
        let seconds = time.as_secs();
        format!(", {}:{:02} left", seconds / 60, seconds % 60)
    });
    format!("{drawn}{:3.0} %  {} {} of {}{left}", (part * 100.0).floor(), step.table, step.done, step.rows)
}

fn result(report: &Report, to: &Place) -> String {
    let mut text = String::new();
    let mut add = |name: &str, what: String| text.push_str(&format!("{name:<10}{what}\n"));
    if report.resumed {
        add("resumed", "an earlier copy was gone on with".to_owned());
    }
    let rows: u64 = report.tables.iter().map(|(_, rows)| rows).sum();
    let tables: Vec<String> = report.tables.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
    add("copied", format!("{rows} rows: {}", tables.join(", ")));
    let bots = plural(report.bots, "bot");
    add("checked", format!("every table has as many rows as its source, and the counters of {bots} are the same"));
    add("waiting", format!("{} alert states", report.waiting));
    if report.ended > 0 {
        let attempts = plural(usize::try_from(report.ended).unwrap_or(usize::MAX), "attempt");
        add("note", format!("{attempts} without an outcome ended now; what they told may be told once more"));
    }
    for bot in &report.unproved {
        add("warning", format!("{bot}: accepted - told - superseded - dead is not what waits, here as in the source"));
    }
    let flag = match to {
        Place::Folder(path) => format!("--storage.path={}, without --storage.url", path.display()),
        Place::Database(_) => "--storage.url-file=FILE with the database's URL".to_owned(),
    };
    add("next", format!("serve with {flag}"));
    add("", "the source stays as it is: never serve from both, or alerts are told twice".to_owned());
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn step(all_done: u64) -> Step {
        Step { table: "heads", done: all_done, rows: 400, all_done, all_rows: 400 }
    }

    #[test]
    fn folders_and_databases() {
        let of = |text: &str| place("--from", Some(&Secret::new(text)), None).map(|given| (given.place, given.exposed));
        assert_eq!(of("data/").unwrap(), (Place::Folder("data/".into()), false));
        let url = "postgres://u:p@h/d";
        assert_eq!(of(url).unwrap(), (Place::Database(Secret::new(url)), true));
        for wrong in ["", "mysql://u:MARK@h/d", "file://MARK"] {
            let failure = of(wrong).unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(failure.text.contains("--from") && !failure.text.contains("MARK"), "{}", failure.text);
        }
        let none = place("--to", None, Some(&"missing".into())).map(|given| given.place);
        assert!(none.unwrap_err().text.contains("--to-url-file: missing"));
        assert_eq!(name(&Place::Database(Secret::new("postgres://MARK"))), "PostgreSQL");
    }

    #[test]
    fn how_far_it_is() {
        let half = line(&step(200), Some(Duration::from_secs(75)), true);
        assert_eq!(half, format!("[{}{}]  50 %  heads 200 of 400, 1:15 left", "#".repeat(15), "-".repeat(15)));
        assert_eq!(line(&step(399), None, false), "copying    99 %  heads 399 of 400");
        let none = Step { table: "bots", done: 0, rows: 0, all_done: 0, all_rows: 0 };
        assert!(line(&none, None, true).contains("100 %"));
        // More rows than were counted do not break the bar.
        assert!(line(&step(900), None, true).contains("100 %"));
        assert_eq!(left(Duration::from_secs(10), 100, 50), Some(Duration::from_secs(5)));
        assert_eq!(left(Duration::from_millis(900), 100, 50), None);
        assert_eq!(left(Duration::from_secs(10), 0, 50), None);
    }

    #[test]
    fn the_result_says_what_to_do_next() {
        let report = Report {
            tables: vec![("bots", 2), ("heads", 3)],
            bots: 2,
            waiting: 3,
            ended: 1,
            resumed: true,
            unproved: vec!["ops".to_owned()],
        };
        let text = result(&report, &Place::Database(Secret::new("postgres://u:MARK@h/d")));
        for part in
            ["5 rows: bots 2, heads 3", "2 bots", "resumed", "1 attempt without", "ops: accepted", "--storage.url-file"]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.contains("the source stays as it is") && !text.contains("MARK"), "{text}");
        assert!(result(&report, &Place::Folder("d".into())).contains("--storage.path=d"));
    }
}
