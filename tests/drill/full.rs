//! A full disk: what does not fit is not taken, what was taken is told, and it goes on when there is room.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use alarmbell::clock::Clock;
use alarmbell::model::BotKind;

use super::args::Options;
use super::chat::{Watch, chat};
use super::judge;
use super::ledger::Ledger;
use super::load;
use super::report::Section;
use super::support::{Bot, Place, Robots, Server, config};

/// Megabytes of the small disk, and of the one with room.
const SMALL: u32 = 40;
const LARGE: u32 = 160;

/// A tmpfs that goes away with the drill.
struct Disk {
    at: PathBuf,
}

fn mount(arguments: &[&str], at: &Path) -> Result<(), String> {
    let ran = Command::new("mount").args(arguments).arg(at).output().map_err(|error| error.to_string())?;
    match ran.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
    }
}

impl Disk {
    fn new(at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        mount(&["-t", "tmpfs", "-o", &format!("size={SMALL}m"), "tmpfs"], &at)?;
        Ok(Self { at })
    }

    fn enlarge(&self) -> Result<(), String> {
        mount(&["-o", &format!("remount,size={LARGE}m")], &self.at)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

/// Posts alerts, a group each, until the answer changes or there are too many. Returns how many were taken, and the answer.
async fn fill(ledger: &Ledger, robots: &Robots, server: &Server, name: &str, most: usize) -> (usize, u16) {
    let client = load::client();
    for n in 0..most {
        let states = [(ledger.add(name, "warning"), 0)];
        ledger.note(&states, None);
        // What fills a disk: other alerts' long annotations.
        let mut body = String::from_utf8(ledger.body(&format!("{name}{n}"), &states)).unwrap();
        body = body.replace("measured 97, bound 90", &"x".repeat(60_000));
        match load::post(&client, server.address, body.into_bytes()).await {
            Ok(()) => ledger.note(&states, Some(robots.clock.mono())),
            Err(status) => return (n, status),
        }
    }
    (most, 200)
}

pub async fn run(options: &Options) -> Vec<Section> {
    let mut section = Section::new(format!("fault: a disk of {SMALL} MB is full, then has room"));
    let robots = Robots::start().await;
    let bots: Vec<Bot> = options.vendors.iter().map(|kind| robots.bot(*kind, kind.as_str())).collect();
    let place = Place::new(&config(&bots, "global: {language: en, timezone: UTC}"));
    let disk = match Disk::new(place.storage()) {
        Ok(disk) => disk,
        Err(error) => {
            section.figure("skipped: it needs to mount a tmpfs, as root", error);
            return vec![section];
        }
    };
    let server = place.serve_with(&super::FLAGS).await;
    let watch = Watch::start(&robots, &bots);
    let ledger = Arc::new(Ledger::new());
    // While the robots do not answer, everything stays in the store.
    for bot in &bots {
        robots.fault(bot, alarmbell::sandbox::FaultKind::Http503, 0);
    }
    let (taken, status) = fill(&ledger, &robots, &server, "DiskFirst", 2_000).await;
    section.figure("webhooks of 60 KB taken before it was full", taken);
    section.check("webhooks are refused with 503 when it is full", status == 503 && taken > 10, status);
    let healthy = server.get("/-/healthy").await.status;
    section.check("the server lives", healthy == 200, healthy);
    let full = server.metrics().await;
    let waiting = full.sum("queue_alerts", &[("bot", BotKind::as_str(options.vendors[0]))]);
    section.check("what was taken waits", waiting == taken as f64, waiting);
    for bot in &bots {
        robots.clear_faults(bot);
    }
    let emptied = super::emptied(&server, Duration::from_secs(100)).await;
    section.check("all of it is told while the disk is full", emptied, if emptied { "yes" } else { "no" });
    let enlarged = disk.enlarge();
    section.check("the disk has room", enlarged.is_ok(), enlarged.err().unwrap_or_default());
    // As Alertmanager does: again until it is taken.
    let mut back = Duration::ZERO;
    let begun = robots.clock.mono();
    while back == Duration::ZERO && robots.clock.mono() < begun + Duration::from_secs(30) {
        if fill(&ledger, &robots, &server, "DiskAgain", 1).await.0 == 1 {
            back = robots.clock.mono() - begun;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    section.check("webhooks are taken again", back > Duration::ZERO, format!("after {:.1} s", back.as_secs_f64()));
    let (more, status) = fill(&ledger, &robots, &server, "DiskLater", 20).await;
    section.check("and stay so", more == 20, status);
    let emptied = super::emptied(&server, Duration::from_secs(100)).await;
    section.check("everything is told", emptied, if emptied { "yes" } else { "no" });
    for bot in &bots {
        let chat = chat(&robots, &watch, bot, &ledger, Some(&server)).await;
        super::keep_chat(options, &format!("full-{}", bot.name), &chat);
        judge::limits(&mut section, &bot.name, &chat);
        judge::losses(&mut section, &bot.name, &chat, &ledger);
    }
    let code = server.stop().await;
    section.check("it stops as asked", code == 0, code);
    drop(disk);
    vec![section]
}
