//! A program that runs while the test does: its output is kept, and it is killed when the test ends.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// See the module's text.
pub struct Program {
    name: String,
    child: Child,
    output: Arc<Mutex<String>>,
    /// They end when the program has closed its streams.
    readers: Vec<JoinHandle<()>>,
}

fn collect(from: impl AsyncRead + Unpin + Send + 'static, to: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let to = Arc::clone(to);
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let mut text = to.lock().unwrap();
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
        }
    })
}

impl Program {
    /// Starts it.
    pub fn start(program: impl AsRef<OsStr>, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(&program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // Proxies of the machine are no part of any test.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        configure(&mut command);
        let name = program.as_ref().to_string_lossy().into_owned();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Arc::default();
        let readers =
            vec![collect(child.stdout.take().unwrap(), &output), collect(child.stderr.take().unwrap(), &output)];
        Self { name, child, output, readers }
    }

    /// What it has written so far, both streams.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until a line of the output holds `part`, and returns it. Fails when the program ends before.
    pub async fn wait_line(&mut self, part: &str) -> String {
        let deadline = tokio::time::Instant::now() + super::PATIENCE;
        loop {
            let ended = !self.is_running();
            let output = self.output();
            if let Some(line) = output.lines().find(|line| line.contains(part)) {
                return line.to_owned();
            }
            let late = tokio::time::Instant::now() >= deadline;
            assert!(!ended && !late, "{} did not write {part:?} (ended: {ended}):\n{output}", self.name);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// As `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(super::PATIENCE, self.child.wait()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{} does not end:\n{}", self.name, self.output())).unwrap();
        for reader in self.readers.drain(..) {
            tokio::time::timeout(super::PATIENCE, reader).await.expect("its output does not end").unwrap();
        }
        ended
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        if std::thread::panicking() {
            let output = self.output();
            let tail = output.len().saturating_sub(20_000);
            let tail = (tail..output.len()).find(|at| output.is_char_boundary(*at)).unwrap_or(0);
            eprintln!("--- {} wrote:\n{}---", self.name, &output[tail..]);
        }
    }
}

/// The answer of a program that ends by itself.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end.
pub async fn run(program: impl AsRef<OsStr>, configure: impl FnOnce(&mut Command)) -> Ran {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    configure(&mut command);
    let ended =
        tokio::time::timeout(super::PATIENCE, command.output()).await.expect("the program does not end").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: ended.status.code().unwrap_or(-1), stdout: text(ended.stdout), stderr: text(ended.stderr) }
}
