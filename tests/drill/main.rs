//! The drills: storms, crashes and faults, against the real program and the strict sandbox. Anyone can run them:
//! `cargo test --release --test drill -- all`; docs/drills.md says more.
//!
//! What is held is read out of the sandbox's own record; of alarmbell's word only the equation over its metrics, the 200 to a
//! webhook, and the lists that its messages link to, which must agree with the messages' own figures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]
#![allow(unreachable_pub, missing_docs, reason = "a program, not a library; the harness is shared by binaries")]

#[path = "../it/support/mod.rs"]
mod support;

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/proxy.rs"]
mod proxy;

mod args;
mod chat;
mod cluster;
mod crash;
mod fault;
mod full;
mod judge;
mod ledger;
mod load;
mod parse;
mod report;
mod rig;
mod storm;

use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::{Asked, Drill, Options};
use chat::Chat;
use report::{Report, Section};

/// How the drills start the server: its messages link to their lists.
pub const FLAGS: [&str; 2] = ["--web.external-url=http://drill.example", "--log.level=info"];

/// Writes what the robot was told, when that was asked for.
pub fn keep_chat(options: &Options, name: &str, chat: &Chat) {
    if let Some(folder) = &options.chat {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("{name}.txt")), chat.draw()).unwrap();
    }
}

/// Waits until nothing waits for any bot. Says no when that takes too long.
pub async fn emptied(server: &support::Server, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while server.metrics().await.sum("queue_alerts", &[]) > 0.0 {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    true
}

/// A part that broke off has failed.
async fn part(name: &str, work: impl Future<Output = Vec<Section>> + Send + 'static) -> Vec<Section> {
    match tokio::spawn(work).await {
        Ok(sections) => sections,
        Err(error) => {
            let mut section = Section::new(name);
            section.check("runs to its end", false, error);
            vec![section]
        }
    }
}

async fn drill(drill: Drill, options: Options) -> Vec<Section> {
    let mut sections = Vec::new();
    match drill {
        Drill::Storm if options.short => {
            // Side by side: a storm is mostly waiting.
            let storms: Vec<_> = options
                .shapes
                .iter()
                .map(|shape| {
                    let (options, shape) = (options.clone(), *shape);
                    tokio::spawn(part(shape.as_str(), async move { storm::run(&options, shape).await }))
                })
                .collect();
            for storm in storms {
                sections.extend(storm.await.unwrap());
            }
        }
        Drill::Storm => {
            for shape in options.shapes.clone() {
                let options = options.clone();
                sections.extend(part(shape.as_str(), async move { storm::run(&options, shape).await }).await);
            }
        }
        Drill::Crash => sections.extend(part("crash", async move { crash::run(&options).await }).await),
        Drill::Fault => {
            let also = options.clone();
            sections.extend(part("fault", async move { fault::run(&options).await }).await);
            sections.extend(part("disk full", async move { full::run(&also).await }).await);
        }
        Drill::Cluster => {
            for run in 0..options.runs {
                let options = Options { seed: options.seed.wrapping_add(run), ..options.clone() };
                let title = format!("cluster, seed {}", options.seed);
                sections.extend(part(&title, async move { cluster::run(&options).await }).await);
            }
        }
    }
    sections
}

async fn all(options: Options) -> Report {
    let mut report = Report { seed: options.seed, ..Report::default() };
    println!("seed {}", options.seed);
    report.add(rig::check());
    if options.short {
        // These keep the processors busy; the others wait for robots most of the time.
        let busy = |one: &Drill| matches!(one, Drill::Crash | Drill::Cluster);
        for one in options.drills.iter().filter(|one| busy(one)) {
            drill(*one, options.clone()).await.into_iter().for_each(|section| report.add(section));
        }
        let others = options.drills.iter().filter(|one| !busy(one));
        let running: Vec<_> = others.map(|one| tokio::spawn(drill(*one, options.clone()))).collect();
        for one in running {
            one.await.unwrap().into_iter().for_each(|section| report.add(section));
        }
        return report;
    }
    for one in &options.drills {
        drill(*one, options.clone()).await.into_iter().for_each(|section| report.add(section));
    }
    report
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match args::read(&arguments) {
        Asked::Run(options) if options.help => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Asked::Run(options) => options,
        Asked::Nothing => return ExitCode::SUCCESS,
        Asked::Wrong(mistake) => {
            eprintln!("{mistake}\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let path = options.report.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(all(options));
    if let Some(path) = path {
        std::fs::write(&path, format!("{:#}\n", report.json())).unwrap();
    }
    match report.end(begun.elapsed().as_secs_f64()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
