//! The inputs that the fuzzers of `fuzz/` keep, run as plain tests: what they found once stays found.

mod targets;

use std::fs;
use std::path::{Path, PathBuf};

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs a target on its corpus, on what it found once, and on `samples` of the repository.
fn run(target: &str, body: fn(&[u8]), samples: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = inputs(&root.join("fuzz/corpus").join(target));
    assert!(files.len() >= 20, "{target}: the corpus is gone");
    let found = root.join("fuzz/regressions").join(target);
    if found.exists() {
        files.extend(inputs(&found));
    }
    for folder in samples {
        files.extend(inputs(&root.join(folder)).into_iter().filter(|path| path.is_file()));
    }
    for file in files {
        let data = fs::read(&file).unwrap();
        let ran = std::panic::catch_unwind(|| body(&data));
        assert!(ran.is_ok(), "{target} fails on {}", file.display());
    }
}

#[test]
fn webhooks() {
    run("webhook", targets::webhook, &["tests/fixtures/payloads", "examples/payloads"]);
}

#[test]
fn matchers() {
    run("matchers", targets::matchers, &[]);
}

#[test]
fn configs() {
    run("config", targets::config, &["tests/fixtures/config/good", "tests/fixtures/config/bad", "examples"]);
}

#[test]
fn templates() {
    run("templates", targets::templates, &[]);
}

#[test]
fn go_templates() {
    run("gotmpl", targets::gotmpl, &[]);
}
