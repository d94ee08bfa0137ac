//! Rooms import each other only downwards: the table of the design, with its additions, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The room, what it may import, and why where the design's table says less.
const TABLE: &[(&str, &[&str], &str)] = &[
    ("main", &["cli"], ""),
    ("cli", &ALL, ""),
    ("app", &ALL, ""),
    (
        "config",
        &["model", "routing", "dispatch", "render", "channel", "migrate"],
        "each room owns its config struct, and config fills them all; channel knows what a webhook URL looks like",
    ),
    (
        "http",
        &["ingest", "store", "render", "model", "telemetry", "clock", "html"],
        "errors are redacted, answers show model types, replays are stamped, pages are escaped",
    ),
    ("ingest", &["routing", "store", "model", "clock"], ""),
    (
        "dispatch",
        &["waiting", "store", "render", "channel", "pacing", "model", "clock", "telemetry", "routing"],
        "client errors are redacted; mentions and templates of policies are the router's to say",
    ),
    ("store", &["model", "clock"], "the database's clock is compared with ours"),
    ("sandbox", &["model", "clock", "html"], "independent of channel, which it checks; its pages are escaped"),
    ("migrate", &["model", "render"], "pure; a name that a template gives must not be a helper's"),
    ("routing", &["model", "clock"], ""),
    ("waiting", &["model", "clock"], ""),
    ("pacing", &["model", "clock"], ""),
    ("render", &["model", "clock"], ""),
    ("channel", &["model", "clock"], ""),
    ("telemetry", &[], ""),
    ("clock", &["model"], "its wall clock counts in the model's milliseconds"),
    ("html", &[], "no room: the escaping that the pages of http and sandbox share"),
    ("model", &[], ""),
];

const ALL: [&str; 17] = [
    "app",
    "channel",
    "clock",
    "config",
    "dispatch",
    "html",
    "http",
    "ingest",
    "migrate",
    "model",
    "pacing",
    "render",
    "routing",
    "sandbox",
    "store",
    "telemetry",
    "waiting",
];

/// Files that may be longer than [`LINES`], and why.
const LONG: &[(&str, &str)] = &[
    ("store/mod.rs", "the interface with its contract: types and trait explain each other"),
    ("waiting/tests/model.rs", "one life, with everything that may happen in it"),
];
/// About 400, and a little; lists of cases may be longer.
const LINES: usize = 440;
const TEST_LINES: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// All source files with their path below `src`.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/") || file.ends_with("_tests.rs")
}

/// The source without comments and without what only tests see: an item behind `#[cfg(test)]`.
fn shipped(source: &str) -> String {
    let mut out = String::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let code = line.split("//").next().unwrap_or("");
        if code.trim() != "#[cfg(test)]" {
            out.push_str(code);
            out.push('\n');
            continue;
        }
        // Up to the end of the item: its `;` at depth 0, or the brace that closes it.
        let mut depth = 0_i32;
        for line in lines.by_ref() {
            depth += i32::try_from(line.matches('{').count()).unwrap();
            depth -= i32::try_from(line.matches('}').count()).unwrap();
            if depth == 0 && (line.contains(';') || line.contains('}')) {
                break;
            }
        }
    }
    out
}

/// Rooms named behind `crate::`, also in `crate::{a, b::c}`.
fn imports(source: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for (_, rest) in source.match_indices("crate::").map(|(at, _)| source.split_at(at + "crate::".len())) {
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let (mut depth, mut item) = (0, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => found.extend([word(&std::mem::take(&mut item))]),
                _ => item.push(c),
            }
        }
        found.insert(word(&item));
    }
    found.remove("");
    found
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().map(|(room, may, _)| (*room, *may)).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (file, source) in sources() {
        let room = room(&file);
        if room == "lib" || is_test(&file) {
            continue;
        }
        let may = table.get(room).unwrap_or_else(|| panic!("{file}: the room {room} is not in the table"));
        seen.insert(room.to_owned());
        for import in imports(&shipped(&source)) {
            // A binary names the library's rooms, not its own.
            if import != room && table.contains_key(import.as_str()) && !may.contains(&import.as_str()) {
                wrong.push(format!("src/{file} imports {import}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let gone: Vec<_> = table.keys().filter(|room| !seen.contains(**room)).collect();
    assert!(gone.is_empty(), "rooms of the table that are not there: {gone:?}");
}

#[test]
fn main_is_thin() {
    let main = fs::read_to_string(root().join("src/main.rs")).unwrap();
    assert!(main.lines().count() < 30);
    let named: BTreeSet<&str> = main.match_indices("alarmbell::").map(|(at, _)| &main[at + 11..at + 14]).collect();
    assert_eq!(named, BTreeSet::from(["cli"]));
}

#[test]
fn files_are_short_enough_to_be_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(file, source)| (file, source.lines().count()))
        .filter(|(file, lines)| *lines > if is_test(file) { TEST_LINES } else { LINES })
        .filter(|(file, _)| !LONG.iter().any(|(name, _)| name == file))
        .map(|(file, lines)| format!("src/{file} has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
    for (name, why) in LONG {
        let lines = fs::read_to_string(root().join("src").join(name)).unwrap().lines().count();
        assert!(lines > LINES && !why.is_empty(), "src/{name} needs no exception any more");
    }
}

#[test]
fn the_reader_of_imports_sees_them() {
    let source = "
use crate::model::{Alert, Labels};
use crate::{clock::Clock, store::{Store, sqlite}, render};
// crate::http is only talked about
fn f() -> crate::routing::Router { todo() }
#[cfg(test)]
mod tests {
    use crate::sandbox::Sandbox;
}
#[cfg(test)]
use crate::ingest::Ingest;
use crate::pacing::Bucket;
";
    let found: Vec<String> = imports(&shipped(source)).into_iter().collect();
    assert_eq!(found, ["clock", "model", "pacing", "render", "routing", "store"]);
}
