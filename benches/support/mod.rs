//! The real program, for benchmarks.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

/// A running alarmbell on a folder of its own; killed when dropped.
pub(crate) struct Server {
    /// The process.
    pub(crate) child: tokio::process::Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts it with this config and waits until it listens.
    pub(crate) async fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alarmbell.yml");
        std::fs::write(&file, config).unwrap();
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_alarmbell"))
            .arg("serve")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
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
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, address, _folder: folder }
    }
}
