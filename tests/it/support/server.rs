//! The real program, serving from a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tempfile::TempDir;

use super::metrics::Metrics;
use super::program::{Program, Ran, run};
use super::web::{Answer, CLIENT};
use super::{Hook, wait_until};

/// The program.
pub const ALARMBELL: &str = env!("CARGO_BIN_EXE_alarmbell");

/// A folder with a config and a storage, which outlives the servers that run in it.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new(config: &str) -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.write_config(config);
        place
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("alarmbell.yml")
    }

    pub fn storage(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Replaces the config, as an editor does.
    pub fn write_config(&self, config: &str) {
        self.write("alarmbell.yml", config);
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts a server and waits until it listens.
    pub async fn serve(&self) -> Server {
        self.serve_with(&[]).await
    }

    /// The same with more flags.
    pub async fn serve_with(&self, flags: &[&str]) -> Server {
        Server::listening(self.program(flags)).await
    }

    /// Starts a server and waits for nothing.
    pub fn program(&self, flags: &[&str]) -> Program {
        Program::start(ALARMBELL, |command| {
            command.arg("serve");
            command.arg(format!("--config.file={}", self.config().display()));
            command.arg(format!("--storage.path={}", self.storage().display()));
            if !flags.iter().any(|flag| flag.starts_with("--web.listen-address")) {
                command.arg("--web.listen-address=127.0.0.1:0");
            }
            if !flags.iter().any(|flag| flag.starts_with("--log.level")) {
                command.arg("--log.level=debug");
            }
            command.args(flags);
        })
    }

    /// Runs another command to its end, in this folder.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        run(ALARMBELL, |command| {
            command.args(arguments).current_dir(self.path());
        })
        .await
    }
}

/// A server that listens.
pub struct Server {
    pub program: Program,
    pub address: SocketAddr,
    login: Option<(String, String)>,
}

impl Server {
    /// Waits until it listens.
    pub async fn listening(mut program: Program) -> Self {
        let line = program.wait_line("msg=listening").await;
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.unwrap_or_else(|| panic!("no address in {line}")).parse().unwrap();
        Self { program, address, login: None }
    }

    /// The same server, asked with a name and a password from now on.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn logs(&self) -> String {
        self.program.output()
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    pub async fn try_get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        Answer::of(self.authorized(CLIENT.get(self.url(path)))).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    pub async fn try_post(&self, path: &str, body: impl Into<reqwest::Body>) -> Result<Answer, reqwest::Error> {
        Answer::of(self.authorized(CLIENT.post(self.url(path)).body(body))).await
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.try_post(path, body).await.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.authorized(CLIENT.delete(self.url(path)))).await.unwrap()
    }

    /// Posts a webhook that must be taken.
    pub async fn take(&self, hook: &Hook) {
        self.take_at("/api/v1/webhook", hook.body()).await;
    }

    /// Posts a body that must be taken.
    pub async fn take_at(&self, path: &str, body: Vec<u8>) {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Scrapes, and holds the scrape to the equation.
    pub async fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let metrics = Metrics::parse(answer.text);
        metrics.check_equation();
        metrics
    }

    /// Waits until nothing waits for any bot.
    pub async fn wait_empty(&self) {
        wait_until("the queues are empty", || async { self.metrics().await.sum("queue_alerts", &[]) == 0.0 }).await;
    }

    /// Waits until a series has at least this value.
    pub async fn wait_metric(&self, name: &str, labels: &[(&str, &str)], least: f64) {
        let what = format!("{name}{labels:?} is at least {least}");
        wait_until(&what, || async { self.metrics().await.sum(name, labels) >= least }).await;
    }

    /// Waits until a series has exactly this value.
    pub async fn wait_gauge(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name}{labels:?} is {value}");
        wait_until(&what, || async { self.metrics().await.sum(name, labels) == value }).await;
    }

    /// Waits until its log holds this.
    pub async fn wait_log(&self, part: &str) {
        wait_until(&format!("the log holds {part:?}"), || async { self.logs().contains(part) }).await;
    }

    /// As `kill -9` does.
    pub async fn kill(mut self) -> String {
        self.program.kill().await;
        self.program.output()
    }

    /// Asks it to end, and waits until it has. Returns its exit code.
    pub async fn stop(mut self) -> i32 {
        self.program.signal(Signal::TERM);
        self.program.wait().await.code().unwrap_or(-1)
    }

    /// Reads the config again, which must work.
    pub async fn reload(&self) {
        let before = self.metrics().await.sum("config_last_reload_success_timestamp_seconds", &[]);
        self.program.signal(Signal::HUP);
        wait_until("the config was read again", || async {
            self.metrics().await.sum("config_last_reload_success_timestamp_seconds", &[]) > before
        })
        .await;
    }

    /// The most resident memory that it ever had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Open descriptors now.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.program.pid())).unwrap().count()
    }
}
