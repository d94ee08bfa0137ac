//! What a message says, read as a person reads it: whom it names, and its figures. English built-in messages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::ledger::{Ledger, Step, fires};

/// What a figure or a named alert says of its alerts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    Firing,
    Resolved,
    /// Fires unchanged: a reminder.
    Still,
}

/// The figures of one message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// By state and severity; the severity is empty where the text does not say it.
    pub totals: BTreeMap<(State, String), u64>,
    /// By state and alertname: what is shown for each name.
    pub names: BTreeMap<(State, String), u64>,
    /// By state: what stands behind "other names".
    pub folded: BTreeMap<State, u64>,
}

impl Figures {
    fn add(&mut self, state: State, severity: &str, name: &str, n: u64) {
        *self.totals.entry((state, severity.to_owned())).or_default() += n;
        *self.names.entry((state, name.to_owned())).or_default() += n;
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.totals.values().sum()
    }

    /// Those that are news.
    pub fn news(&self) -> u64 {
        self.totals.iter().filter(|((state, _), _)| *state != State::Still).map(|(_, n)| n).sum()
    }

    /// New firing ones of this severity.
    pub fn firing(&self, severity: &str) -> u64 {
        self.totals.get(&(State::Firing, severity.to_owned())).copied().unwrap_or(0)
    }
}

/// What one message says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said {
    pub digest: bool,
    /// Alerts named as news, and the state that is told.
    pub named: Vec<(usize, Step)>,
    /// Alerts named as firing unchanged.
    pub reminders: Vec<usize>,
    pub figures: Figures,
    /// Beside news of its group: how many others still fire. Only those of which a reminder waited are told by it.
    pub beside: u64,
    /// What does not add up within the message.
    pub wrong: Vec<String>,
}

impl Said {
    /// Whether a list of so many alerts can be that of this message.
    pub fn holds(&self, listed: usize) -> bool {
        let listed = u64::try_from(listed).unwrap_or(u64::MAX);
        (self.figures.total()..=self.figures.total() + self.beside).contains(&listed)
    }
}

static LINK: LazyLock<Regex> = LazyLock::new(|| re(r"\]\([^)]*\)"));
static TAG: LazyLock<Regex> = LazyLock::new(|| re(r"<[^<>]*>"));
static MARK: LazyLock<Regex> = LazyLock::new(|| {
    // A token, or when an alert of that token began.
    let time = r"(?:\d{4}-)?(?:\d\d-\d\d )?(\d\d:\d\d)(?::\d\d)?";
    re(&format!(
        "(?P<token>i[0-9]{{6}})\\b|fired {time}, resolved|(?P<still>still firing, )?since {time}(?P<over>, resolved)?|{time}–"
    ))
});
static COUNTED: LazyLock<Regex> = LazyLock::new(|| re(r"(\d+) (?:more|alerts|in all): ([^\n]*)"));
static BESIDE: LazyLock<Regex> =
    LazyLock::new(|| re(r"(?m)(?:^|, )(\d+) still firing(?:,|\s*$)|still (\d+)(?: \((\d+) new\))? [A-Z]"));
static PAIR: LazyLock<Regex> = LazyLock::new(|| re(r"(\d+) ([a-z]+)"));
static HEAD: LazyLock<Regex> = LazyLock::new(|| re(r"Alarm digest \| (\d+) alerts? \|"));
static CLASS: LazyLock<Regex> =
    LazyLock::new(|| re(r"^(Resolved |Still firing )?(?i:(critical|error|warning|info|none)) (\d+)(?:: (.*))?$"));
static OTHERS: LazyLock<Regex> = LazyLock::new(|| re(r"^(\d+) other names?( resolved| still firing)?: (.*)$"));
static NAME: LazyLock<Regex> = LazyLock::new(|| re(r"^(\S+) (\d+)$"));
static TOLD: LazyLock<Regex> = LazyLock::new(|| re(r"(\d+) named, (\d+) counted"));

fn re(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

/// Without markup and addresses.
fn plain(text: &str) -> String {
    let text = LINK.replace_all(text, "");
    TAG.replace_all(&text, "").replace("**", "").replace("&gt;", ">")
}

/// Alerts in the order in which they are named, each with the state that the time behind it says.
fn scan(ledger: &Ledger, text: &str) -> Vec<(usize, Step, bool)> {
    let mut found = Vec::new();
    let mut last: Option<usize> = None;
    for mark in MARK.captures_iter(text) {
        if let Some(token) = mark.name("token") {
            last = token.as_str()[1..].parse().ok();
            continue;
        }
        let whole = &mark[0];
        let starts = (1..mark.len()).filter_map(|at| mark.get(at)).map(|part| part.as_str());
        let firing =
            starts.filter(|part| part.len() == 5 && part.as_bytes()[2] == b':').find_map(|at| ledger.firing(at));
        let (Some(alert), Some(firing)) = (last, firing) else { continue };
        let resolved = !whole.contains("since ") || mark.name("over").is_some();
        found.push((alert, firing * 2 + u32::from(resolved), mark.name("still").is_some()));
        // What follows belongs to the next one.
        last = None;
    }
    found
}

/// The states that the list behind a message's link shows.
pub fn page(ledger: &Ledger, html: &str) -> Vec<(usize, Step)> {
    let text = TAG.replace_all(html, " ");
    scan(ledger, &text).into_iter().map(|(alert, step, _)| (alert, step)).collect()
}

/// Reads a message.
pub fn read(ledger: &Ledger, title: &str, text: &str) -> Said {
    let text = plain(text);
    if let Some(head) = HEAD.captures(&text) {
        return digest(ledger, number(&head[1]), &text);
    }
    single(ledger, &plain(title), &text)
}

fn single(ledger: &Ledger, title: &str, text: &str) -> Said {
    let mut said = Said::default();
    // The labels that a card folds away are no statement.
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(" = ")).collect();
    let text = lines.join("\n");
    let reminder = title.contains("Still firing") || text.starts_with("Still firing");
    let alerts = ledger.alerts().clone();
    for (alert, step, still) in scan(ledger, &text) {
        let Some(known) = alerts.get(alert) else {
            said.wrong.push(format!("names an alert that nobody posted: {alert}"));
            continue;
        };
        let state = match (still || reminder, fires(step)) {
            (true, true) => State::Still,
            (_, true) => State::Firing,
            (_, false) => State::Resolved,
        };
        if state == State::Still {
            said.reminders.push(alert)
        } else {
            said.named.push((alert, step))
        }
        said.figures.add(state, known.severity, &known.name, 1);
    }
    let any = said.named.first().map(|(alert, _)| *alert).or(said.reminders.first().copied());
    let name = match any {
        Some(alert) => alerts[alert].name.clone(),
        None => {
            alerts.iter().find(|alert| title.contains(&alert.name)).map_or(String::new(), |alert| alert.name.clone())
        }
    };
    // Where the title is drawn, the body need not say it again.
    let beside = BESIDE.captures(&text).or_else(|| BESIDE.captures(title)).filter(|_| !reminder);
    said.beside = beside.map_or(0, |beside| {
        let part = |at| beside.get(at).map_or(0, |part: regex::Match<'_>| number(part.as_str()));
        part(1) + (part(2) - part(3))
    });
    if let Some(counted) = COUNTED.captures(&text) {
        let mut sum = 0;
        for pair in PAIR.captures_iter(&counted[2]) {
            let n = number(&pair[1]);
            sum += n;
            match &pair[2] {
                "resolved" => said.figures.add(State::Resolved, "", &name, n),
                severity => {
                    let state = if reminder { State::Still } else { State::Firing };
                    said.figures.add(state, severity, &name, n);
                }
            }
        }
        if sum != number(&counted[1]) {
            said.wrong.push(format!("does not add up: {}", &counted[0]));
        }
    }
    said
}

fn state_of(word: Option<&str>) -> State {
    match word.map(|word| word.trim().to_lowercase()).as_deref() {
        Some("resolved") => State::Resolved,
        Some("still firing") => State::Still,
        _ => State::Firing,
    }
}

/// One state and severity of a digest.
#[derive(Default)]
struct Class {
    total: u64,
    names: Vec<(String, u64)>,
}

fn digest(ledger: &Ledger, total: u64, text: &str) -> Said {
    let mut said = Said { digest: true, ..Said::default() };
    // A long list stands folded away, apart from its class's line: the line with names is the whole one.
    let mut classes: BTreeMap<(State, String), Class> = BTreeMap::new();
    let mut shares: BTreeMap<(State, String), u64> = BTreeMap::new();
    let mut here = State::Firing;
    for line in text.lines() {
        let line = line.trim().trim_start_matches(['>', '-']).trim();
        if let Some(class) = CLASS.captures(line) {
            here = state_of(class.get(1).map(|part| part.as_str()));
            let key = (here, class[2].to_lowercase());
            let pairs =
                class.get(4).map_or("", |part| part.as_str()).split(", ").filter_map(|pair| NAME.captures(pair));
            let names: Vec<(String, u64)> = pairs.map(|pair| (pair[1].to_owned(), number(&pair[2]))).collect();
            let entry = classes.entry(key).or_default();
            entry.total = number(&class[3]);
            if !names.is_empty() {
                entry.names = names;
            }
        } else if let Some(others) = OTHERS.captures(line) {
            let state = state_of(others.get(2).map(|part| part.as_str()));
            for pair in PAIR.captures_iter(&others[3]) {
                *shares.entry((state, pair[2].to_owned())).or_default() += number(&pair[1]);
                *said.figures.folded.entry(state).or_default() += number(&pair[1]);
            }
        } else {
            for (alert, step, _) in scan(ledger, line) {
                if here == State::Still {
                    said.reminders.push(alert)
                } else {
                    said.named.push((alert, step))
                }
                if here != State::Still && (here == State::Firing) != fires(step) {
                    said.wrong.push(format!("names {line:?} among {here:?}"));
                }
            }
        }
    }
    for ((state, severity), Class { total, names }) in classes {
        let listed: u64 = names.iter().map(|(_, n)| n).sum();
        let share = shares.get(&(state, severity.clone())).copied().unwrap_or(0);
        if listed + share != total {
            said.wrong.push(format!("{state:?} {severity} {total}, but names {listed} and others {share}"));
        }
        *said.figures.totals.entry((state, severity)).or_default() += total;
        for (name, n) in names {
            *said.figures.names.entry((state, name)).or_default() += n;
        }
    }
    if said.figures.total() != total {
        said.wrong.push(format!("{total} alerts in its head, {} in its classes", said.figures.total()));
    }
    let named = u64::try_from(said.named.len() + said.reminders.len()).unwrap();
    match TOLD.captures(text) {
        Some(told) if number(&told[1]) == named && named + number(&told[2]) == total => {}
        Some(told) => said.wrong.push(format!("{} in its last line, but {named} named of {total}", &told[0])),
        None => said.wrong.push("does not say how many it names".to_owned()),
    }
    said
}
