//! What is asked on the command line.

use std::path::PathBuf;

use alarmbell::model::BotKind;

pub const USAGE: &str = "usage: cargo test --release --test drill -- [storm|crash|fault|cluster|all]
    --vendor dingtalk|wecom|feishu|all    storm: whose robot is told (all)
    --shape groups|one-group|mix|bursts|names|all    storm: what is posted (all)
    --alerts N     storm: alerts in all (10000; short 600)
    --seconds N    storm: posted within so many seconds (60; short 10)
    --kills N      crash: kill -9 so often (200; short 20)
    --runs N       cluster: so often, each with the next seed (1)
    --seed N       repeats a run's random choices
    --short        the versions that tests/run runs; also without any argument
    --report FILE  writes the report as JSON too
    --chat FOLDER  writes every message that the robots took, one file for each robot";

/// The drills.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drill {
    Storm,
    Crash,
    Fault,
    Cluster,
}

const ALL: [Drill; 4] = [Drill::Crash, Drill::Cluster, Drill::Fault, Drill::Storm];

/// What a storm consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Every alert a group of its own.
    Groups,
    /// One group whose snapshots grow.
    OneGroup,
    /// Alerts that fire, end and flap in groups of a few, and critical ones spread evenly.
    Mix,
    /// Every alert a group of its own, and many critical ones within a second, several times.
    Bursts,
    /// Every alert a group and a name of its own.
    Names,
}

impl Shape {
    pub const ALL: [Self; 5] = [Self::Groups, Self::OneGroup, Self::Mix, Self::Bursts, Self::Names];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::OneGroup => "one-group",
            Self::Mix => "mix",
            Self::Bursts => "bursts",
            Self::Names => "names",
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Options {
    pub drills: Vec<Drill>,
    pub vendors: Vec<BotKind>,
    pub shapes: Vec<Shape>,
    pub alerts: usize,
    pub seconds: u64,
    pub kills: usize,
    pub runs: u64,
    pub seed: u64,
    pub short: bool,
    pub report: Option<PathBuf>,
    pub chat: Option<PathBuf>,
    pub help: bool,
}

/// What to do.
#[derive(Debug)]
pub enum Asked {
    Run(Options),
    /// The arguments are a filter for other test binaries, or ask for a list of tests.
    Nothing,
    Wrong(String),
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value:?} is not a number that it can be"))
}

fn vendors(value: &str) -> Result<Vec<BotKind>, String> {
    if value == "all" {
        return Ok(BotKind::ALL.to_vec());
    }
    let found = BotKind::ALL.into_iter().find(|kind| kind.as_str() == value);
    found.map(|kind| vec![kind]).ok_or_else(|| format!("--vendor: {value:?} is none of dingtalk, wecom, feishu, all"))
}

fn shapes(value: &str) -> Result<Vec<Shape>, String> {
    if value == "all" {
        return Ok(Shape::ALL.to_vec());
    }
    let found = Shape::ALL.into_iter().find(|shape| shape.as_str() == value);
    found
        .map(|shape| vec![shape])
        .ok_or_else(|| format!("--shape: {value:?} is none of groups, one-group, mix, bursts, names, all"))
}

/// Reads the arguments after the program's name.
pub fn read(arguments: &[String]) -> Asked {
    match parse(arguments) {
        Ok(Some(options)) => Asked::Run(options),
        Ok(None) => Asked::Nothing,
        Err(mistake) => Asked::Wrong(mistake),
    }
}

fn parse(arguments: &[String]) -> Result<Option<Options>, String> {
    let mut drills = Vec::new();
    let (mut alerts, mut seconds, mut kills) = (None, None, None);
    let mut options = Options {
        drills: Vec::new(),
        vendors: BotKind::ALL.to_vec(),
        shapes: Shape::ALL.to_vec(),
        alerts: 0,
        seconds: 0,
        kills: 0,
        runs: 1,
        seed: fastrand::u64(..1_000_000),
        short: false,
        report: None,
        chat: None,
        help: false,
    };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().map(String::as_str).ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "storm" => drills.push(Drill::Storm),
            "crash" => drills.push(Drill::Crash),
            "fault" => drills.push(Drill::Fault),
            "cluster" => drills.push(Drill::Cluster),
            "all" => drills.extend(ALL),
            "--vendor" => options.vendors = vendors(value()?)?,
            "--shape" => options.shapes = shapes(value()?)?,
            "--alerts" => alerts = Some(number(argument, value()?)?),
            "--seconds" => seconds = Some(number(argument, value()?)?),
            "--kills" => kills = Some(number(argument, value()?)?),
            "--runs" => options.runs = number(argument, value()?)?,
            "--seed" => options.seed = number(argument, value()?)?,
            "--short" => options.short = true,
            "--report" => options.report = Some(value()?.into()),
            "--chat" => options.chat = Some(value()?.into()),
            "--help" | "-h" => return Ok(Some(Options { help: true, ..options })),
            // What `cargo test -- ...` hands to every test binary.
            "--list" | "--ignored" => return Ok(None),
            "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" | "--include-ignored" => {}
            "--test-threads" | "--skip" | "--format" | "--color" | "--logfile" => {
                value()?;
            }
            "--exact" => {}
            flag if flag.starts_with("--test-threads=") || flag.starts_with("--color=") => {}
            flag if flag.starts_with('-') => return Err(format!("{flag} is not known")),
            // A filter of test names.
            _ => return Ok(None),
        }
    }
    if drills.is_empty() {
        drills = ALL.to_vec();
        options.short = true;
    }
    options.drills = drills;
    options.alerts = alerts.unwrap_or(if options.short { 600 } else { 10_000 });
    options.seconds = seconds.unwrap_or(if options.short { 10 } else { 60 });
    options.kills = kills.unwrap_or(if options.short { 20 } else { 200 });
    if options.alerts < 20 || options.seconds < 1 {
        return Err("--alerts: at least 20; --seconds: at least 1".to_owned());
    }
    Ok(Some(options))
}
