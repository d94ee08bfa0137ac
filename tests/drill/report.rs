//! Figures, and what they were held to.

use serde_json::{Value, json};

/// One thing that must hold.
#[derive(Clone, Debug)]
pub struct Check {
    pub name: String,
    pub ok: bool,
    /// The figure, or what is wrong.
    pub detail: String,
}

/// What one part of a drill found.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub title: String,
    pub figures: Vec<(String, String)>,
    pub checks: Vec<Check>,
    /// All of it in a line, for a list of many runs; may be empty.
    pub line: String,
}

impl Section {
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    pub fn figure(&mut self, name: impl Into<String>, value: impl ToString) {
        self.figures.push((name.into(), value.to_string()));
    }

    pub fn check(&mut self, name: impl Into<String>, ok: bool, detail: impl ToString) {
        self.checks.push(Check { name: name.into(), ok, detail: detail.to_string() });
    }

    /// Holds when there are no complaints; shows the first few.
    pub fn none(&mut self, name: impl Into<String>, wrong: &[String]) {
        let first: Vec<&str> = wrong.iter().take(3).map(String::as_str).collect();
        let more = if wrong.len() > first.len() { " ..." } else { "" };
        let detail = match wrong.len() {
            0 => "0".to_owned(),
            n => format!("{n}: {}{more}", first.join("; ")),
        };
        self.check(name, wrong.is_empty(), detail);
    }

    fn print(&self) {
        println!("\n== {}", self.title);
        for (name, value) in &self.figures {
            println!("       {name:<52} {value}");
        }
        for check in &self.checks {
            println!("  {} {:<52} {}", if check.ok { "PASS" } else { "FAIL" }, check.name, check.detail);
        }
    }

    fn json(&self) -> Value {
        let figures: serde_json::Map<String, Value> =
            self.figures.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        let checks: Vec<Value> = self
            .checks
            .iter()
            .map(|check| json!({"name": check.name, "pass": check.ok, "detail": check.detail}))
            .collect();
        json!({"title": self.title, "figures": figures, "checks": checks})
    }
}

/// The whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub sections: Vec<Section>,
}

impl Report {
    pub fn add(&mut self, section: Section) {
        section.print();
        self.sections.push(section);
    }

    fn count(&self, ok: bool) -> usize {
        self.sections.iter().flat_map(|section| &section.checks).filter(|check| check.ok == ok).count()
    }

    /// Prints the last line, as other test binaries do. Returns whether everything held.
    pub fn end(&self, seconds: f64) -> bool {
        let (passed, failed) = (self.count(true), self.count(false));
        let word = if failed == 0 { "ok" } else { "FAILED" };
        for section in self.sections.iter().filter(|section| !section.line.is_empty()) {
            println!("{}: {}", section.title, section.line);
        }
        println!("\nseed {}: the same choices again with --seed {}", self.seed, self.seed);
        for section in &self.sections {
            for check in section.checks.iter().filter(|check| !check.ok) {
                println!("FAIL {}: {}: {}", section.title, check.name, check.detail);
            }
        }
        println!(
            "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in {seconds:.2}s\n"
        );
        failed == 0
    }

    pub fn json(&self) -> Value {
        let sections: Vec<Value> = self.sections.iter().map(Section::json).collect();
        json!({"seed": self.seed, "passed": self.count(true), "failed": self.count(false), "sections": sections})
    }
}
