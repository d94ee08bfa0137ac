//! The real program and what a benchmark needs around it.

#![allow(dead_code, reason = "each benchmark uses its own part")]

pub(crate) mod backlog;
pub(crate) mod engine;
pub(crate) mod robot;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A running alarmbell; killed when dropped.
pub(crate) struct Server {
    /// The process.
    pub(crate) child: tokio::process::Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From its start until it said that it listens.
    pub(crate) cold: Duration,
    folder: Option<tempfile::TempDir>,
}

/// Resident memory, MB of 1024 × 1024 bytes.
pub(crate) struct Memory {
    /// As `ps` shows it.
    pub(crate) resident: f64,
    /// Without pages of files, which are the program itself.
    pub(crate) own: f64,
    /// The most that it ever was.
    pub(crate) peak: f64,
}

/// The program to measure: this build's, or the one that `ALARMBELL` names, to compare two builds.
fn program() -> String {
    std::env::var("ALARMBELL").unwrap_or_else(|_| env!("CARGO_BIN_EXE_alarmbell").to_owned())
}

impl Server {
    /// Starts it with this config on an empty folder of its own and waits until it listens.
    pub(crate) async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self::start_on(folder.path(), config).await;
        Self { folder: Some(folder), ..server }
    }

    /// Starts it on a folder that may hold a store already (`data` in it).
    pub(crate) async fn start_on(folder: &Path, config: &str) -> Self {
        Self::start_with(folder, config, &[]).await
    }

    /// As [`Server::start_on`], with further arguments.
    pub(crate) async fn start_with(folder: &Path, config: &str, further: &[String]) -> Self {
        let file = folder.join("alarmbell.yml");
        std::fs::write(&file, config).unwrap();
        let begin = Instant::now();
        let mut child = tokio::process::Command::new(program())
            .arg("serve")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
            .args(further)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the server ended");
            if let Some(at) = line.find("address=").filter(|_| line.contains("listening")) {
                break line[at + 8..].split_whitespace().next().unwrap().trim_matches('"').parse().unwrap();
            }
        };
        let cold = begin.elapsed();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address, cold, folder: None }
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it speaks for so many bots, when several can share its store.
    pub(crate) async fn until_owns(&self, bots: usize) {
        let begin = Instant::now();
        while self.metric("alarmbell_bots_owned").await < bots as f64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not speak for {bots} bots");
        }
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// What it holds in memory now.
    pub(crate) fn memory(&self) -> Memory {
        memory(self.pid())
    }

    /// The sum of a metric over all its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let values =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

/// What a process holds in memory now.
pub(crate) fn memory(pid: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mb = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    Memory { resident: mb("VmRSS:"), own: mb("RssAnon:"), peak: mb("VmHWM:") }
}

/// Processor time that a process has used, all threads that still live.
pub(crate) fn cpu(pid: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let ns = |thread: std::fs::DirEntry| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().map_or(0, |ns| ns.parse().unwrap())
    };
    Duration::from_nanos(threads.map(|thread| ns(thread.unwrap())).sum())
}

/// Processor time that a process's children have used, those that ended included. To 10 ms each.
pub(crate) fn cpu_of_children(pid: u32) -> Duration {
    let stat = |pid: u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the program's name, which may have anything in it.
        let fields: Vec<i64> =
            text.rsplit_once(')')?.1.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0)).collect();
        Some((fields[0], fields[10] + fields[11], fields[12] + fields[13]))
    };
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let of_living = all.filter_map(stat).filter(|(parent, ..)| *parent == i64::from(pid)).map(|(_, own, _)| own);
    let ticks = of_living.sum::<i64>() + stat(pid).map_or(0, |(_, _, ended)| ended);
    Duration::from_millis(u64::try_from(ticks).unwrap() * 10)
}

/// The value at a share of sorted values, in milliseconds.
pub(crate) fn at_ms(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

/// The number at a place among the numbers of the program's arguments; `cargo bench` adds flags of its own.
pub(crate) fn number(place: usize) -> Option<u64> {
    std::env::args().filter_map(|arg| arg.parse().ok()).nth(place)
}

/// What the disk alone takes, sorted: 16 KB at a file's end, or over what is there, and `fdatasync`.
pub(crate) fn disk(append: bool) -> Vec<Duration> {
    use std::os::unix::fs::FileExt as _;
    const TIMES: usize = 500;
    let file = tempfile::tempfile().unwrap();
    let bytes = vec![7; 16 << 10];
    let mut taken = Vec::new();
    for round in 0..TIMES * 2 {
        let at = if append { round } else { round % TIMES };
        let begin = Instant::now();
        file.write_all_at(&bytes, (at * bytes.len()) as u64).unwrap();
        file.sync_data().unwrap();
        taken.push(begin.elapsed());
    }
    let mut taken = taken.split_off(TIMES);
    taken.sort_unstable();
    taken
}

/// Whether a part of a benchmark was asked for, by its name or by naming none.
pub(crate) fn wants(part: &str) -> bool {
    let mut named =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-') && arg.parse::<u64>().is_err()).peekable();
    named.peek().is_none() || named.any(|arg| arg == part)
}
